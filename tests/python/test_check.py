"""Whether accuracies can be learned, asked of sources alone and of votes."""

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, balance, hierarchy, kind_graph, single_task, single_task_with_pairs

import consilience as cs
from consilience.nodes import NodeSystem
from consilience.source_graph import SourceGraph


def m_omega(report):
    matrix = np.zeros((len(report.omega), report.n_unknowns))
    matrix[np.arange(len(report.omega))[:, None], report.omega] = 1
    return matrix


@pytest.mark.parametrize(
    ("m", "dependencies", "identifiable"),
    [
        (1, None, False),
        (2, None, False),
        (3, None, True),
        (3, [(0, 1)], False),
        (5, [(0, 1), (1, 2)], True),
        (4, [(0, 1), (2, 3)], False),
        (6, [(0, 1), (2, 3), (4, 5)], True),
    ],
)
def test_three_independent_groups_of_sources_are_needed(m, dependencies, identifiable):
    assert cs.check_identifiability(m, dependencies).identifiable is identifiable


@pytest.mark.parametrize("seed", range(20))
def test_the_rank_is_that_of_the_explicit_system_on_random_votes(seed):
    rng = np.random.default_rng(seed)
    m, k = rng.integers(2, 6), rng.integers(2, 4)
    votes = rng.integers(-1, k, (50, m))
    pairs = [(i, j) for i in range(m) for j in range(i) if rng.random() < 0.3]
    report = cs.check_identifiability(votes=votes, dependencies=pairs, n_classes=int(k))
    matrix = m_omega(report)
    assert report.rank == (np.linalg.matrix_rank(matrix) if len(matrix) else 0)


@pytest.mark.parametrize("seed", range(3))
def test_exact_votes_give_the_exact_log_strengths(seed):
    exact = single_task(np.random.default_rng(seed), 3)
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, n_classes=3)
    report = cs.check_identifiability(votes=statistics, class_balance=exact.class_balance)
    strength = [
        exact.sources[j].table[label, label] - exact.sources[j].table[label, label - 1]
        for j, label in zip(statistics.node_source, statistics.node_event[:, 0], strict=True)
    ]
    np.testing.assert_allclose(report.log_z2, np.log(np.square(strength)), atol=1e-6)
    assert report.residual < 1e-6


def test_exact_votes_of_a_hierarchy_have_no_misfit():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    assert cs.check_identifiability(votes=statistics, class_balance=exact.class_balance).residual < 1e-6


def test_a_wrong_class_balance_shows_in_the_misfit():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    other = balance(np.random.default_rng(9), 4)
    assert cs.check_identifiability(votes=statistics, class_balance=other).residual > 0.01


def test_a_structure_without_votes_has_no_solution_of_the_system():
    report = cs.check_identifiability(n_sources=4)
    assert (report.log_z2, report.residual) == (None, None)


def test_completion_needs_three_sources_for_each_event():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    answers = [
        cs.check_identifiability(
            votes=statistics, class_balance=exact.class_balance, method=method
        ).identifiable
        for method in ("moments", "completion")
    ]
    assert answers == [True, False]


def test_a_source_that_votes_at_random_has_no_signal():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 5000)
    votes = np.where(rng.random((5000, 5)) < [0.9, 0.8, 0.8, 0.8, 0.5], y[:, None], 1 - y[:, None])
    report = cs.check_identifiability(votes=votes)
    assert list(report.sources) == ["identified"] * 4 + ["no signal"]


def test_sources_whose_votes_agree_only_when_taken_together_are_identified():
    # Four classes, few votes, barely better than chance: no pair of single votes stands out in these.
    k, m, n = 4, 10, 10_000
    rng = np.random.default_rng(13)
    accuracy, coverage = rng.uniform(1.3 / k, 1.9 / k, m), rng.uniform(0.1, 0.3, m)
    rng = np.random.default_rng(113)
    y = rng.choice(k, n, p=[0.4, 0.3, 0.2, 0.1])
    votes = np.full((n, m), -1)
    for j in range(m):
        hit, miss = coverage[j] * accuracy[j], coverage[j] * (1 - accuracy[j]) / (k - 1)
        edges = np.cumsum(np.where(np.eye(k), hit, miss), axis=1)
        state = (rng.random((n, 1)) >= edges[y]).sum(axis=1)
        votes[:, j] = np.where(state == k, -1, state)
    report = cs.check_identifiability(votes=votes)
    assert report.identifiable


def test_sources_that_vote_at_random_are_seldom_taken_to_agree_over_all_their_votes():
    n_found = 0
    for seed in range(30):
        votes = np.random.default_rng(seed).integers(-1, 4, (500, 3))
        stats = cs.VoteStatistics.of(votes, n_classes=4)
        system = NodeSystem(stats, SourceGraph(3), np.array([0.4, 0.3, 0.2, 0.1]))
        n_found += system.agrees_with_others(system.related).any()
    assert n_found <= 3  # three pairs a draw, each beyond three standard errors with a probability of 0.3 %


def test_sources_that_are_never_asked_together_tell_nothing_of_each_other():
    rng = np.random.default_rng(0)
    votes = np.full((9000, 3), -1)
    votes[np.arange(9000), np.arange(9000) % 3] = rng.integers(0, 2, 9000)
    report = cs.check_identifiability(votes=votes)
    assert not report.identifiable
    assert len(report.omega) == 0
    assert "source 0 and source 1" in report.advice[0]


def test_sources_that_exclude_each_other_by_what_they_say_do_tell():
    # Each votes for one class, and is never wrong: opposite ones never vote together.
    y = np.random.default_rng(0).integers(0, 2, 5000)
    fires = np.random.default_rng(1).random((5000, 6)) < 0.5
    votes = np.where(fires & (y[:, None] == np.arange(6) % 2), y[:, None], -1)
    report = cs.check_identifiability(votes=votes)
    assert report.identifiable
    assert len(report.omega) == 15


def test_a_source_that_never_votes_has_no_signal():
    exact = single_task(np.random.default_rng(0), 2)
    votes = np.column_stack([exact.votes, np.full(len(exact.votes), -1)])
    statistics = cs.VoteStatistics.of(votes, exact.weights, n_classes=2)
    assert cs.check_identifiability(votes=statistics).sources[4] == "no signal"


def test_a_duplicate_does_not_count_as_a_source():
    exact = single_task(np.random.default_rng(0), 2, 2)
    votes = np.column_stack([exact.votes, exact.votes[:, 0]])
    statistics = cs.VoteStatistics.of(votes, exact.weights, n_classes=2)
    assert not cs.check_identifiability(votes=statistics).identifiable


def test_dependencies_are_given_by_name_with_named_votes():
    votes = cs.Votes.from_dense(np.random.default_rng(0).integers(0, 2, (100, 3)), source_names=list("abc"))
    assert not cs.check_identifiability(votes=votes, dependencies=[("a", "c")]).identifiable


def test_a_fit_keeps_the_report_of_its_votes():
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    statistics = cs.VoteStatistics.of(
        exact.votes, exact.weights, n_classes=2, dependencies=exact.dependencies
    )
    arguments = {"dependencies": exact.dependencies, "class_balance": exact.class_balance}
    model = cs.LabelModel(method="moments", **arguments).fit(statistics)
    report = cs.check_identifiability(votes=statistics, **arguments)
    np.testing.assert_array_equal(model.identifiability_.log_z2, report.log_z2)


def test_advice_names_the_dependency_to_drop():
    votes = cs.Votes.from_dense(np.random.default_rng(0).integers(0, 2, (100, 3)), source_names=list("abc"))
    report = cs.check_identifiability(votes=votes, dependencies=[("a", "c")])
    assert report.advice


WRONG = {
    "neither votes nor sources": ({}, cs.InvalidArgumentError, "n_sources or votes"),
    "both": ({"n_sources": 2, "votes": [[0, 1]]}, cs.InvalidArgumentError, "n_sources or votes"),
    "an unknown method": ({"n_sources": 3, "method": "em2"}, cs.InvalidArgumentError, "em2"),
    "no sources": ({"n_sources": 0}, cs.InvalidArgumentError, "n_sources"),
    "a fraction of sources": ({"n_sources": 2.5}, cs.WrongTypeError, "n_sources"),
    "a dependency out of range": ({"n_sources": 3, "dependencies": [(0, 3)]}, cs.InvalidArgumentError, "3"),
    "a dependency on itself": ({"n_sources": 3, "dependencies": [(1, 1)]}, cs.InvalidArgumentError, "1"),
    "a dependency of three": ({"n_sources": 3, "dependencies": [(0, 1, 2)]}, cs.WrongTypeError, "pair"),
    "an unknown name": ({"n_sources": 3, "dependencies": [("a", "b")]}, cs.InvalidArgumentError, "'a'"),
    "a class balance of another length": (
        {"votes": [[0, 1, 0]], "class_balance": [0.2, 0.3, 0.5]},
        cs.InvalidArgumentError,
        "class_balance",
    ),
    "a label that is no class": ({"votes": [[0, 5]], "n_classes": 2}, cs.InvalidVotesError, "label 5"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_question_is_an_error_that_names_the_culprit(wrong):
    arguments, error, culprit = WRONG[wrong]
    with pytest.raises(error, match=culprit):
        cs.check_identifiability(**arguments)


def test_dependencies_may_be_an_array():
    array = np.array([[0, 1], [2, 3]])
    votes = np.random.default_rng(0).integers(0, 2, (100, 5))
    from_array = cs.check_identifiability(votes=votes, dependencies=array)
    assert from_array.rank == cs.check_identifiability(votes=votes, dependencies=array.tolist()).rank


def test_a_hierarchy_without_votes_for_one_level_says_nothing_about_it():
    graph = kind_graph()
    votes = {"kind": np.random.default_rng(0).integers(0, 2, (100, 3))}
    report = cs.check_identifiability(votes=votes, task_graph=graph)
    assert len(report.nodes) == 6


@pytest.mark.parametrize("votes", [np.zeros((5, 3), dtype=int), {"a": [[0]]}, "votes.parquet", [[0, 1]]])
def test_votes_in_the_place_of_the_number_of_sources_are_refused_with_a_word_on_their_name(votes):
    with pytest.raises(cs.WrongTypeError, match=r"n_sources must be an int, got \S+; .*votes=\.\.\."):
        cs.check_identifiability(votes)
