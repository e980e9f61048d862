"""Sources so many that pairs of their votes are not counted."""

import re

import numpy as np
import pytest

import consilience as cs
from consilience import _core, learning, many_sources
from consilience.events import code_votes
from consilience.statistics import observe_part
from consilience.votes import as_votes


def crowd(rng, m, k, n, per_item):
    """Few votes of each of many workers, in long form, and the true labels."""
    y = rng.integers(0, k, n)
    item = np.repeat(np.arange(n), per_item)
    worker = np.concatenate([rng.choice(m, per_item, replace=False) for _ in range(n)])
    right = rng.random(len(item)) < rng.uniform(0.4, 0.9, m)[worker]
    label = np.where(right, y[item], rng.integers(0, k, len(item)))
    return cs.Votes.from_long(item, worker, label), y


@pytest.mark.parametrize("weights", [None, "whole", "fractions"])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("form", ["one task", "sparse", "tasks"])
def test_marginals_are_those_of_the_moments(weights, n_threads, form):
    rng = np.random.default_rng(0)
    n, m = 3000, 7
    table = np.where(rng.random((n, m)) < 0.4, rng.integers(0, 3, (n, m)), -1)
    graph = cs.TaskGraph({"y": 3})
    if form == "tasks":
        graph = cs.TaskGraph({"kind": 3, "sort": 2}, parents={"sort": ("kind", 0)})
        votes = as_votes({"kind": table, "sort": np.where(table == 0, table % 2, -1)}, task_graph=graph)
    elif form == "sparse":
        item, source = np.nonzero(table >= 0)
        votes = cs.Votes.from_long(item, source, table[item, source], n_items=n)
    else:
        votes = as_votes(table)
    given = {"whole": rng.integers(0, 4, n), "fractions": rng.random(n)}.get(weights)
    coded = code_votes(votes, graph, n_threads=1)
    statistics = observe_part(votes, graph, given, 1).statistics
    counts, overlaps, conflicts, n_covered = _core.count_marginals(
        coded.view, coded.coding, coded.disjoint(graph), given, n_threads=n_threads
    )
    source, state = np.nonzero(counts)
    np.testing.assert_array_equal(source, statistics.node_source)
    np.testing.assert_array_equal(coded.events[state - 1], statistics.node_event)
    np.testing.assert_array_equal(counts[source, state], np.diag(statistics.pairs))
    np.testing.assert_array_equal(overlaps, statistics.n_overlaps)
    np.testing.assert_array_equal(conflicts, statistics.n_conflicts)
    assert n_covered == statistics.n_covered


@pytest.mark.parametrize("gold", [False, True])
def test_cautious_fits_are_the_same_with_and_without_pairs(gold, monkeypatch):
    votes, y = crowd(np.random.default_rng(1), 60, 4, 400, 8)
    known = np.where(np.arange(400) < 100, y, -1) if gold else None
    with_pairs = cs.LabelModel(n_classes=4).fit(votes, y=known)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    alone = cs.LabelModel(n_classes=4).fit(votes, y=known)
    assert len(alone._fitted().statistics.node_source) == 0
    np.testing.assert_allclose(alone.predict_proba(votes), with_pairs.predict_proba(votes), atol=1e-6)
    np.testing.assert_allclose(alone.accuracy_, with_pairs.accuracy_, atol=1e-6)
    np.testing.assert_array_equal(alone._fitted().statistics.n_votes, with_pairs._fitted().statistics.n_votes)


@pytest.mark.parametrize("method", ["auto", "em", "majority"])
def test_a_crowd_whose_pairs_would_not_fit_in_memory_is_answered(method, tmp_path):
    rng = np.random.default_rng(2)
    votes, y = crowd(rng, 3500, 4, 3000, 12)
    model = cs.LabelModel(n_classes=4, method=method).fit(votes)
    labels = model.predict(votes)
    assert (labels == y).mean() > 0.95
    assert np.isfinite(model.predict_proba(votes)).all()
    if method == "majority":
        return
    assert np.isfinite(model.accuracy_).all()
    assert "pairs of their votes were not looked at" in " ".join(str(model.summary()).split())
    assert len(model.summary().head(3)) == 3
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(votes), labels)
    np.testing.assert_array_equal(again.accuracy_, model.accuracy_)
    np.testing.assert_array_equal(again.accuracy_interval_, model.accuracy_interval_)
    assert model.explain(votes.take(np.arange(2))).table(0) is not None


def in_parts(votes, size):
    return (votes.rows(i, min(i + size, votes.n_items)) for i in range(0, votes.n_items, size))


@pytest.fixture(scope="module")
def large_crowd():
    """12,202 indicators, whose pairs would take 1.1 GiB."""
    return crowd(np.random.default_rng(2), 3500, 4, 3000, 12)[0]


@pytest.mark.parametrize("method", ["auto", "majority"])
def test_a_crowd_in_chunks_is_answered_as_in_one_piece(method, large_crowd):
    whole = cs.LabelModel(n_classes=4, method=method).fit(large_crowd)
    model = cs.LabelModel(n_classes=4, method=method).fit(in_parts(large_crowd, 700))
    np.testing.assert_array_equal(model.predict_proba(large_crowd), whole.predict_proba(large_crowd))
    np.testing.assert_array_equal(model.accuracy_, whole.accuracy_)
    statistics = model._fitted().statistics
    assert statistics.is_without_pairs
    assert statistics.to_bytes() == whole._fitted().statistics.to_bytes()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", ["auto", "em", "majority"])
def test_a_crowd_is_learned_from_chunk_by_chunk(method, weighted, monkeypatch):
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    votes, _ = crowd(np.random.default_rng(7), 60, 3, 600, 8)
    weights = np.random.default_rng(3).integers(0, 4, 600) if weighted else [None] * 600
    whole = cs.LabelModel(n_classes=3, method=method).fit(votes, weights if weighted else None)
    model = cs.LabelModel(n_classes=3, method=method)
    for begin, end in [(0, 100), (100, 101), (101, 600)]:
        part = in_parts(votes.rows(begin, end), 90) if end == 600 else votes.rows(begin, end)
        model.partial_fit(part, weights[begin:end] if weighted else None)
    np.testing.assert_array_equal(model.predict_proba(votes), whole.predict_proba(votes))
    assert model._fitted().statistics.is_without_pairs
    assert model._fitted().statistics.to_bytes() == whole._fitted().statistics.to_bytes()


@pytest.mark.parametrize("most", [10, 11_585])
def test_pairs_of_chunks_are_counted_where_those_of_one_piece_are(most, monkeypatch):
    votes, _ = crowd(np.random.default_rng(4), 30, 3, 2000, 6)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 20)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", most)
    whole = cs.LabelModel(n_classes=3).fit(votes)
    stream = cs.LabelModel(n_classes=3).fit(in_parts(votes, 300))
    grown = cs.LabelModel(n_classes=3).partial_fit(votes.rows(0, 700)).partial_fit(votes.rows(700, 2000))
    assert whole._fitted().statistics.is_without_pairs == (most == 10)
    for model in (stream, grown):
        assert model._fitted().to_bytes() == whole._fitted().to_bytes()


@pytest.mark.filterwarnings("ignore::consilience.InfeasibleVotesWarning")
def test_infeasible_votes_of_a_crowd_in_chunks_are_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 2)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 2)
    graph = cs.TaskGraph({"kind": 2, "sort": 3}, parents={"sort": ("kind", 0)})
    rng = np.random.default_rng(5)
    votes = {"kind": rng.integers(-1, 2, (300, 5)), "sort": rng.integers(-1, 3, (300, 5))}
    parts = [{task: table[i : i + 50] for task, table in votes.items()} for i in range(0, 300, 50)]
    with pytest.warns(cs.InfeasibleVotesWarning) as of_whole:
        whole = cs.LabelModel(task_graph=graph).fit(votes)
    with pytest.warns(cs.InfeasibleVotesWarning) as of_chunks:
        stream = cs.LabelModel(task_graph=graph).fit(iter(parts))
    without_example = [re.sub(", such as .* at row [0-9]+", "", str(w.message)) for w in of_whole]
    assert [str(w.message) for w in of_chunks] == without_example
    np.testing.assert_array_equal(stream.predict_joint(votes), whole.predict_joint(votes))


def test_em_ends_at_the_same_maximum_with_and_without_pairs(monkeypatch):
    votes, _ = crowd(np.random.default_rng(3), 40, 3, 3000, 6)
    with_pairs = cs.LabelModel(n_classes=3, method="em").fit(votes)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    alone = cs.LabelModel(n_classes=3, method="em").fit(votes)
    assert len(alone._fitted().statistics.node_source) == 0
    np.testing.assert_allclose(alone.emission_, with_pairs.emission_, atol=1e-4)


def test_tasks_are_labelled_without_pairs(monkeypatch):
    graph = cs.TaskGraph({"kind": 2, "sort": 3}, parents={"sort": ("kind", 0)})
    rng = np.random.default_rng(6)
    n, m = 800, 30
    truth = graph.feasible_set[rng.integers(0, graph.n_vectors, n)]
    voted, right = rng.random((n, m)) < 0.3, rng.random((n, m)) < 0.75
    said = np.where(
        right[:, :, None], truth[:, None], graph.feasible_set[rng.integers(0, graph.n_vectors, (n, m))]
    )
    fine = np.arange(m) % 2 == 1  # the others say no more than the kind
    votes = {
        "kind": np.where(voted & ~fine, said[:, :, 0], -1),
        "sort": np.where(voted & fine, said[:, :, 1], -1),
    }
    with_pairs = cs.LabelModel(task_graph=graph).fit(votes)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    alone = cs.LabelModel(task_graph=graph).fit(votes)
    assert len(alone._fitted().statistics.node_source) == 0
    joint, expected = alone.predict_joint(votes), with_pairs.predict_joint(votes)
    assert np.abs(joint - expected).mean() < 0.02
    assert (joint.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.97


def test_pairs_are_counted_where_votes_are_many_enough_for_them(monkeypatch):
    votes, _ = crowd(np.random.default_rng(4), 30, 3, 2000, 6)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    model = cs.LabelModel(n_classes=3).fit(votes)
    assert 12_000 > learning.MIN_VOTES_PER_INDICATOR["auto"] * len(model._fitted().statistics.node_source) > 0


@pytest.mark.parametrize("method", ["moments", "completion"])
@pytest.mark.parametrize("chunks", [False, True])
def test_methods_of_moments_refuse_more_than_they_can_count(method, chunks, large_crowd):
    votes = in_parts(large_crowd, 2999) if chunks else large_crowd
    with pytest.raises(cs.InvalidVotesError, match=r"would take \d+ MiB; .* 11585 .*; fit all votes by"):
        cs.LabelModel(n_classes=4, method=method).fit(votes)


def test_one_sided_sources_without_pairs_are_read_in_two_ways(monkeypatch):
    rng = np.random.default_rng(5)
    n, m = 300, 40
    y = rng.integers(0, 2, n)
    fires = rng.random((n, m)) < np.where(y[:, None] == np.arange(m) % 2, 0.2, 0.03)
    table = np.where(fires, np.arange(m) % 2, -1)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    model = cs.LabelModel(n_classes=2).fit(table)
    assert len(model._fitted().statistics.node_source) == 0
    voted = (table >= 0).any(axis=1)
    assert (model.predict(table) == y)[voted].mean() > 0.8


@pytest.mark.parametrize("method", ["auto", "majority"])
def test_votes_are_not_added_to_a_fit_without_pairs(method, monkeypatch):
    votes, _ = crowd(np.random.default_rng(7), 60, 3, 600, 8)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    model = cs.LabelModel(n_classes=3, method=method).fit(votes.take(np.arange(500)))
    before = model.predict_proba(votes)
    with pytest.raises(cs.InvalidArgumentError, match="give all votes to fit"):
        model.partial_fit(votes.take(np.arange(500, 600)))
    np.testing.assert_array_equal(model.predict_proba(votes), before)


def test_the_uncertainty_of_labels_is_measured_without_pairs(monkeypatch):
    votes, _ = crowd(np.random.default_rng(8), 60, 3, 400, 8)
    with_pairs = cs.LabelModel(n_classes=3).fit(votes).label_uncertainty(votes, n_draws=4)
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 10)
    monkeypatch.setattr(many_sources, "MAX_PAIRED", 10)
    model = cs.LabelModel(n_classes=3).fit(votes)
    alone = model.label_uncertainty(votes, n_draws=4)
    assert alone.mean == pytest.approx(with_pairs.mean, rel=0.05)
    with pytest.raises(cs.InvalidArgumentError, match="these are others"):
        model.label_uncertainty(votes.take(np.arange(399)))


@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
@pytest.mark.parametrize("without_pairs", [False, True])
@pytest.mark.parametrize("learn", ["fit", "partial_fit"])
def test_events_on_items_of_no_weight_are_unknown_to_the_model(without_pairs, learn, monkeypatch):
    if without_pairs:
        monkeypatch.setattr(many_sources, "FEW_INDICATORS", 1)
        monkeypatch.setattr(many_sources, "MAX_PAIRED", 1)
    graph = cs.TaskGraph({"kind": 2, "sort": 3}, parents={"sort": ("kind", 0)})
    rng = np.random.default_rng(9)
    kind = rng.integers(0, 2, (50, 1)) ^ (rng.random((50, 4)) < 0.1)
    votes = {"kind": kind, "sort": np.where(kind == 0, rng.integers(0, 2, (50, 4)), -1)}
    votes["sort"][0], votes["kind"][0] = 2, 0  # an event of this item alone
    weights = np.append(0, np.ones(49, dtype=np.int64))
    model = getattr(cs.LabelModel(task_graph=graph), learn)(votes, weights)
    rest = {task: table[1:] for task, table in votes.items()}
    expected = getattr(cs.LabelModel(task_graph=graph), learn)(rest).predict_joint(votes)
    np.testing.assert_allclose(model.predict_joint(votes), expected, atol=1e-12)
