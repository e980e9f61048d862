"""Tables from strengths: probabilities always, and the exact ones for exact strengths."""

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, hierarchy, single_task
from hypothesis import given
from hypothesis import strategies as st

import consilience as cs
from consilience.nodes import NodeSystem
from consilience.source_graph import SourceGraph
from consilience.tied import chance_accuracy, expand_tied, feasible_strength


def system_of(exact):
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    return NodeSystem(statistics, SourceGraph(exact.n_sources), exact.class_balance)


def known(system, value=True):
    return np.full(len(system.means), value)


def true_strength(exact, system):
    """alpha - beta of each node, in the order of the system."""
    strength = {}
    for j, s in exact.nodes():
        mask, row = exact.event(j, s), exact.sources[j].table[s]
        strength[j, tuple(mask)] = row[mask][0] - row[~mask][0]
    masks = system.events.masks
    return np.array(
        [strength[j, tuple(e)] for j, e in zip(system.statistics.node_source, masks, strict=True)]
    )


MODELS = {
    "one task": lambda rng: single_task(rng, 3, 3),
    "one task, no abstentions": lambda rng: single_task(rng, 3, 3, abstains=False),
    "hierarchy": lambda rng: hierarchy(rng, COARSE_AND_FINE),
}


@pytest.mark.parametrize("name", MODELS)
def test_exact_strengths_expand_to_the_exact_tables(name):
    exact = MODELS[name](np.random.default_rng(0))
    system = system_of(exact)
    tables = expand_tied(system, true_strength(exact, system), known(system))
    for j, (source, table) in enumerate(zip(exact.sources, tables, strict=True)):
        masks = [tuple(exact.event(j, s)) for s in range(len(source.events))]
        order = [masks.index(tuple(mask)) for mask in exact.graph.event_masks(table.events)]
        np.testing.assert_allclose(table.table, source.table[[*order, -1]], atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_exact_strengths_are_feasible(name):
    exact = MODELS[name](np.random.default_rng(0))
    system = system_of(exact)
    strength = true_strength(exact, system)
    np.testing.assert_allclose(feasible_strength(system, strength), strength, atol=1e-12)


@given(data=st.data())
def test_any_strength_expands_to_probabilities(data):
    n, m, k = data.draw(st.tuples(st.integers(1, 10), st.integers(1, 4), st.integers(2, 4)))
    cells = data.draw(st.lists(st.integers(-1, k - 1), min_size=n * m, max_size=n * m))
    statistics = cs.VoteStatistics.of(np.array(cells).reshape(n, m), n_classes=k)
    system = NodeSystem(statistics, SourceGraph(m), np.full(k, 1 / k))
    d = len(statistics.node_source)
    strength = np.array(data.draw(st.lists(st.floats(-10, 10), min_size=d, max_size=d)))
    for table in expand_tied(system, feasible_strength(system, strength), known(system)):
        assert (table.table >= 0).all()
        np.testing.assert_allclose(table.table.sum(axis=0), 1, atol=1e-12)


def test_no_vote_that_occurred_is_held_impossible():
    statistics = cs.VoteStatistics.of([[0, 0], [1, 1], [0, 0]], n_classes=2)
    system = NodeSystem(statistics, SourceGraph(2), np.array([0.5, 0.5]))
    tables = expand_tied(system, feasible_strength(system, np.full(4, 1.0)), known(system))
    assert min(table.table[:-1].min() for table in tables) > 0


def test_sources_without_votes_have_a_table_that_abstains():
    statistics = cs.VoteStatistics.of([[0, -1], [1, -1]], n_classes=2)
    system = NodeSystem(statistics, SourceGraph(2), np.array([0.5, 0.5]))
    np.testing.assert_array_equal(expand_tied(system, np.zeros(2), known(system))[1].table, [[1.0, 1.0]])


def test_a_vote_that_keeps_its_prior_is_right_half_way_between_chance_and_certainty():
    statistics = cs.VoteStatistics.of([[0, -1], [1, -1], [-1, -1], [0, 0]], n_classes=2)
    balance = np.array([0.7, 0.3])
    system = NodeSystem(statistics, SourceGraph(2), balance)
    votes = np.vstack([t.table[:-1] for t in expand_tied(system, np.zeros(3), known(system, False))])
    right = (votes * balance)[system.events.masks] / (votes @ balance)
    np.testing.assert_allclose(right, (1 + system.events.p) / 2, rtol=1e-12)


def test_a_constant_source_keeps_its_prior_too():
    statistics = cs.VoteStatistics.of([[1], [1]], n_classes=2)
    system = NodeSystem(statistics, SourceGraph(1), np.array([0.5, 0.5]))
    (table,) = expand_tied(system, np.zeros(1), known(system, False))
    np.testing.assert_allclose(table.table[0, 1] / table.table[0, 0], 3, rtol=1e-12)


def test_chance_is_right_as_often_as_two_draws_agree():
    assert chance_accuracy(np.array([0.5, 0.3, 0.2])) == pytest.approx(0.38)
