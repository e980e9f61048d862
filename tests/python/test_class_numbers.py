"""Votes that are indices of classes and leave some out: who is warned, who is refused, and who is not."""

import warnings

import numpy as np
import pytest

import consilience as cs
from consilience.cli import main

GAP = np.array([[0, 3, 0], [3, 3, -1], [0, 0, 1], [0, 3, 3]] * 5)
"""Nobody votes for class 2."""

FROM_1 = np.array([[1, 3, 1], [3, 3, -1], [1, 2, 2], [1, 3, 3]] * 5)


def majority(**options):
    return cs.LabelModel(method="majority", **options)


def as_parquet(table, path):
    pyarrow = pytest.importorskip("pyarrow")
    columns = {f"s{j}": column for j, column in enumerate(table.T)}
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), path / "votes.parquet")
    return path / "votes.parquet"


WAYS = {
    "fit": lambda votes, path: majority().fit(votes),
    "partial_fit": lambda votes, path: majority().partial_fit(votes),
    "chunks": lambda votes, path: majority().fit(iter([votes[:7], votes[7:]])),
    "Parquet": lambda votes, path: majority().fit(as_parquet(votes, path)),
    "Votes": lambda votes, path: majority().fit(cs.Votes.from_dense(votes)),
    "statistics": lambda votes, path: cs.VoteStatistics.of(votes),
    "check": lambda votes, path: cs.check_identifiability(votes=votes),
    "dependencies": lambda votes, path: cs.learn_dependencies(np.hstack([votes, votes])),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_warns_of_gaps_and_of_classes_numbered_from_1(way, tmp_path):
    with pytest.warns(cs.ConsilienceWarning, match="the largest is 3, and no source votes for 2: number the"):
        WAYS[way](GAP, tmp_path)
    with pytest.warns(cs.ConsilienceWarning, match="are classes numbered from 1"):
        WAYS[way](FROM_1, tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_refuses_huge_gaps(way, tmp_path):
    with pytest.raises(cs.InvalidVotesError, match="the largest is 9999, and no source votes for 2, 3, 4"):
        WAYS[way](np.where(GAP == 3, 9999, GAP), tmp_path)


@pytest.mark.parametrize("votes", [GAP, FROM_1], ids=["gap", "from 1"])
def test_classes_that_somebody_has_counted_are_not_looked_at(votes, tmp_path):
    counted = cs.Votes.from_dense(votes, n_classes=4)
    graph = cs.TaskGraph({"label": 4})
    parquet = as_parquet(votes, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for options in ({"n_classes": 4}, {"classes": list("abcd")}, {"task_graph": graph}):
            majority(**options).fit(votes)
            majority(**options).partial_fit(votes)
            majority(**options).fit(iter([votes]))
            majority(**options).fit(parquet)
            cs.VoteStatistics.of(votes, **options)
            cs.check_identifiability(votes=votes, **options)
            cs.learn_dependencies(np.hstack([votes, votes]), **options)
        majority().fit(counted)
        majority().partial_fit(counted)
        majority().fit(iter([cs.Votes.from_dense(votes), counted]))
        cs.check_identifiability(votes=counted)
        majority().fit(cs.VoteStatistics.of(counted))


def test_a_class_that_gold_names_is_there():
    rng = np.random.default_rng(0)
    y = rng.choice([0, 1, 3], 500)
    votes = np.where(rng.random((500, 4)) < 0.8, y[:, None], rng.choice([0, 1, 3], (500, 4)))
    known = np.where(np.arange(500) < 60, y, -1)
    with pytest.warns(cs.ConsilienceWarning, match="no source votes for 2"):
        cs.LabelModel(method="moments", class_balance="uniform").fit(votes, y=known)
    known[70] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.LabelModel(method="moments", class_balance="uniform").fit(votes, y=known)


def test_further_votes_are_about_the_classes_of_the_first():
    first = cs.Votes.from_dense(GAP, n_classes=4)
    model = majority().partial_fit(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(GAP)


def test_partial_fit_that_is_refused_leaves_the_model_as_it_was():
    model = majority()
    with pytest.raises(cs.InvalidVotesError):
        model.partial_fit(np.where(GAP == 3, 9999, GAP))
    assert model.partial_fit(cs.Votes.from_dense(GAP, n_classes=4)).task_graph_.cardinalities == (4,)


@pytest.mark.parametrize("given", [lambda votes: votes, lambda votes: iter([votes])], ids=["table", "chunks"])
@pytest.mark.parametrize("method", ["auto", "majority"])
def test_votes_of_so_many_sources_that_no_pairs_are_counted_are_looked_at_too(method, given):
    rng = np.random.default_rng(0)
    votes = np.full((400, 600), -1)
    for row in votes:
        row[rng.choice(600, 5, replace=False)] = rng.integers(0, 4, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", cs.ConsilienceWarning)
        assert cs.LabelModel(method=method).fit(given(votes))._fitted().statistics.is_without_pairs
    with pytest.warns(cs.ConsilienceWarning, match="the largest is 3, and no source votes for 2: number the"):
        cs.LabelModel(method=method).fit(given(np.where(votes == 2, 0, votes)))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("command", ["fit", "check"])
def test_the_command_line_has_the_same_rule(command, ending, tmp_path, capsys):
    path = tmp_path / "votes.csv"
    lines = [",".join("" if v < 0 else str(v) for v in row) for row in GAP]
    path.write_text("\n".join(["a,b,c", *lines]) + "\n")
    path = as_parquet(GAP, tmp_path) if ending == "parquet" else path
    arguments = [command, str(path), *(["-o", str(tmp_path / "model")] if command == "fit" else [])]
    assert main(arguments) == 0
    assert "no source votes for 2" in capsys.readouterr().err
    for said in (["--n-classes", "4"], ["--classes", "w,x,y,z"]):
        assert main([*arguments, *said]) == 0
        assert "no source votes for" not in capsys.readouterr().err
