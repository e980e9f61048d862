"""Votes as events: which feasible label vectors each vote vector speaks for."""

import warnings

import numpy as np
import pytest
from enumeration import DOCTOR, ORG, PERSON, agreeing, kind_graph
from hypothesis import given
from hypothesis import strategies as st

import consilience as cs
from consilience.events import EventProbabilities, code_votes, has_plain_events, number_events

GRAPH = kind_graph()
TASKS = GRAPH.tasks


def tables(*rows):
    """Tables of the tasks from rows of vote vectors, one a source."""
    array = np.array(rows)
    return {task: array[:, :, r] for r, task in enumerate(TASKS)}


def statistics(*rows):
    return cs.VoteStatistics.of(tables(*rows), task_graph=GRAPH)


def test_vote_vectors_with_the_same_meaning_are_one_event():
    spelled_out = statistics([DOCTOR], [(0, 0, 2)], [(0, 0, -1)], [(-1, 0, 2)])
    assert spelled_out.node_event.tolist() == [[0, 0, 2]]


def test_a_vote_that_every_label_vector_agrees_with_counts_as_an_abstention():
    graph = cs.TaskGraph({"a": 1, "b": 2})
    found = cs.VoteStatistics.of({"a": [[0]], "b": [[-1]]}, task_graph=graph)
    assert found.n_votes.tolist() == [0]


def test_infeasible_votes_are_counted_by_source_and_warned_about():
    lawyer_at_a_hospital = (-1, 1, 0)
    with pytest.warns(cs.InfeasibleVotesWarning, match="2 votes of source 1 "):
        found = statistics([PERSON, lawyer_at_a_hospital], [ORG, lawyer_at_a_hospital])
    assert found.n_infeasible.tolist() == [0, 2]


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_the_warning_counts_by_source_the_worst_first_and_shows_a_vote(form):
    odd = (-1, 1, 0)
    rows = [[PERSON, ORG, PERSON], [PERSON, ORG, odd], [odd, PERSON, (0, -1, 1)]]
    votes = {task: np.asarray(table) for task, table in tables(*rows).items()}
    if form == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        votes = {task: sparse.csr_matrix(table + 1) for task, table in votes.items()}
    first = {task: GRAPH.classes[task][v] for task, v in zip(GRAPH.tasks, odd, strict=True) if v >= 0}
    said = f"2 votes of source 2, 1 vote of source 0 agree .* such as {first} at row 1; check how"
    with pytest.warns(cs.InfeasibleVotesWarning, match=said):
        cs.VoteStatistics.of(votes, task_graph=GRAPH)


def test_infeasible_votes_are_taken_as_abstentions():
    with pytest.warns(cs.InfeasibleVotesWarning):
        found = statistics([PERSON, (0, -1, 0)], [ORG, ORG])
    assert found.n_votes.tolist() == [2, 1]


def test_the_warning_names_a_source_by_its_name():
    votes = cs.Votes.from_tasks(tables([PERSON, (0, -1, 0)]), source_names=["good", "odd"])
    with pytest.warns(cs.InfeasibleVotesWarning, match="'odd'"):
        cs.VoteStatistics.of(votes, task_graph=GRAPH)


def test_a_task_without_a_table_abstains():
    part = cs.VoteStatistics.of({"kind": [[0, 1]]}, task_graph=GRAPH)
    np.testing.assert_array_equal(part.node_event, statistics([PERSON, ORG]).node_event)


def test_coarse_and_fine_votes_that_can_both_be_right_do_not_conflict():
    assert statistics([PERSON, DOCTOR]).n_conflicts.tolist() == [0, 0]


def test_coarse_and_fine_votes_that_cannot_both_be_right_conflict():
    assert statistics([ORG, DOCTOR]).n_conflicts.tolist() == [1, 1]


def test_the_classes_of_a_single_task_are_its_events():
    assert has_plain_events(cs.TaskGraph.single(3))


def test_a_single_task_with_an_infeasible_class_lists_its_events():
    graph = cs.TaskGraph({"a": 3}, feasible=[[0], [2]])
    with pytest.warns(cs.InfeasibleVotesWarning):
        found = cs.VoteStatistics.of([[0, 1], [2, 2]], task_graph=graph)
    assert found.node_event.ravel().tolist() == [0, 2, 2]


def test_events_unknown_to_a_fitted_model_become_abstentions():
    coded = code_votes(
        cs.Votes.from_tasks(tables([PERSON, DOCTOR]), task_graph=GRAPH), GRAPH, known=np.array([[0, -1, 2]])
    )
    assert coded.events.tolist() == [[0, -1, 2]]


@given(data=st.data())
def test_statistics_equal_a_twin_that_compares_vote_vectors_with_label_vectors(data):
    n, m = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 3)))
    rows = data.draw(
        st.lists(
            st.lists(
                st.tuples(st.integers(-1, 1), st.integers(-1, 2), st.integers(-1, 2)), min_size=m, max_size=m
            ),
            min_size=n,
            max_size=n,
        )
    )
    masks = np.array([[agreeing(GRAPH, vote) for vote in row] for row in rows])
    size = masks.sum(axis=2)
    speaks = (size > 0) & (size < GRAPH.n_vectors)
    nodes = sorted({(j, tuple(masks[i, j])) for i, j in np.argwhere(speaks).tolist()})
    ones = np.array(
        [[speaks[i, j] and tuple(masks[i, j]) == e for j, e in nodes] for i in range(n)], dtype=int
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.InfeasibleVotesWarning)
        found = statistics(*rows)
    order = [
        nodes.index((j, tuple(agreeing(GRAPH, event))))
        for j, event in zip(found.node_source.tolist(), found.node_event.tolist(), strict=True)
    ]
    assert sorted(order) == list(range(len(nodes)))
    ones = ones.reshape(n, len(nodes))[:, order]
    np.testing.assert_array_equal(found.pairs, ones.T @ ones)
    assert found.n_votes.tolist() == speaks.sum(axis=0).tolist()
    assert found.n_infeasible.tolist() == (size == 0).sum(axis=0).tolist()
    together = np.einsum("ijk,ilk->ijl", masks, masks) > 0
    for j in range(m):
        others = [q for q in range(m) if q != j]
        overlaps = sum(speaks[i, j] and speaks[i, others].any() for i in range(n))
        conflicts = sum(
            speaks[i, j] and any(speaks[i, q] and not together[i, j, q] for q in others) for i in range(n)
        )
        assert (found.n_overlaps[j], found.n_conflicts[j]) == (overlaps, conflicts)


def test_event_probabilities_are_sums_over_label_vectors():
    balance = np.array([0.1, 0.2, 0.3, 0.4])
    masks = np.array([[True, True, False, False], [False, True, True, False]])
    found = EventProbabilities.of(masks, balance)
    np.testing.assert_allclose(found.p, [0.3, 0.5], rtol=1e-15)
    np.testing.assert_allclose(found.g, [[0.21, 0.05], [0.05, 0.25]], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("n", "t"), [(0, 2), (1, 1), (40, 1), (40, 3)])
def test_events_are_numbered_in_lexicographic_order(n, t):
    nodes = np.random.default_rng(n).integers(-1, 2, (n, t))
    events, event = number_events(nodes)
    expected, number = np.unique(nodes, axis=0, return_inverse=True)
    np.testing.assert_array_equal(events, expected)
    np.testing.assert_array_equal(event, number.reshape(-1))


def test_more_vote_vectors_than_can_be_numbered_are_refused():
    graph = cs.TaskGraph({f"t{r}": 9000 if r == 0 else 1 for r in range(60)})
    votes = {f"t{r}": [[0]] for r in range(60)}
    with pytest.raises(cs.InvalidArgumentError, match="task_graph"):
        cs.VoteStatistics.of(votes, task_graph=graph)
