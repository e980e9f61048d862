"""Third moments from counts of triples: exact against brute force, and the skewness they tell."""

import itertools

import numpy as np
import pytest
from enumeration import (
    LEVEL_BY_LEVEL,
    TOTAL,
    ExactModel,
    Source,
    copying_pair,
    hierarchy,
    single_task,
    single_task_with_pairs,
)

import consilience as cs
from consilience.fitting import fit_sources
from consilience.refinement import balance_evidence
from consilience.third_moments import probability_of, skewness_of, third_moment_sums


def indicators(exact, statistics):
    """Centred nodes of every vote vector, (N, d), by canonical events."""
    states = []
    for source in exact.sources:
        implied = exact.graph.implied(exact.graph.event_masks(source.events))
        states.append([tuple(event) for event in implied.tolist()] + [None])
    columns = []
    for j, event in zip(statistics.node_source, statistics.node_event.tolist(), strict=True):
        hits = np.array([state == tuple(event) for state in states[j]])
        columns.append(hits[exact.states[:, j]].astype(float))
    values = np.column_stack(columns)
    return values - exact.probability @ values


def brute_force_sums(exact, statistics, group):
    """For each node, over all pairs of further nodes, the third central moment itself."""
    x = indicators(exact, statistics)
    event = [tuple(e) for e in statistics.node_event.tolist()]
    own = [group[j] for j in statistics.node_source]
    sums = np.zeros(len(event))
    for nodes in itertools.combinations(range(len(event)), 3):
        if len({event[a] for a in nodes}) == 1 and len({own[a] for a in nodes}) == 3:
            sums[list(nodes)] += exact.probability @ x[:, nodes].prod(axis=1)
    return sums


def three_dependent(rng):
    """Seven sources, two of which copy another one, and a pair apart."""
    sources = single_task(rng, 2, 7).sources
    joints = {}
    for i, j in ((0, 1), (4, 6)):
        sources[j], joints[i, j] = copying_pair(sources[i], sources[j], 0.6)
    return ExactModel(cs.TaskGraph.single(2), np.array([0.7, 0.3]), sources, joints)


EXACT = {
    "two classes": lambda rng: single_task(rng, 2, 6),
    "no abstentions": lambda rng: single_task(rng, 2, 6, abstains=False),
    "three classes": lambda rng: single_task(rng, 3, 5),
    "a hierarchy": lambda rng: hierarchy(rng, LEVEL_BY_LEVEL),
    "dependent sources": lambda rng: single_task_with_pairs(rng, 2),
    "more dependent sources": three_dependent,
}


def statistics_of(exact):
    return cs.VoteStatistics.of(
        exact.votes,
        weights=exact.weights,
        task_graph=exact.graph,
        dependencies=exact.dependencies,
        triples=True,
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", EXACT)
def test_sums_of_third_central_moments_equal_brute_force_over_triples(name, seed):
    exact = EXACT[name](np.random.default_rng(seed))
    statistics = statistics_of(exact)
    component = statistics.triples.component
    found = third_moment_sums(statistics, component)
    np.testing.assert_allclose(found, brute_force_sums(exact, statistics, component), atol=1e-12)


@pytest.mark.parametrize("copies", [[0], [0, 0], [0, 2], [1, 1, 3]])
def test_triples_with_exact_copies_are_taken_out_again(copies):
    exact = single_task(np.random.default_rng(0), 2, 5)
    table = np.column_stack([exact.votes, exact.votes[:, copies]])
    statistics = cs.VoteStatistics.of(table, weights=exact.weights, n_classes=2, triples=True)
    group = np.array([0, 1, 2, 3, 4, *copies])
    doubled = ExactModel(exact.graph, exact.class_balance, [*exact.sources, *np.take(exact.sources, copies)])
    doubled.states = np.column_stack([exact.states, exact.states[:, copies]])
    doubled.joint = exact.joint
    found = third_moment_sums(statistics, group)
    np.testing.assert_allclose(found, brute_force_sums(doubled, statistics, group), atol=1e-12)


def evidence_of(exact, **arguments):
    statistics = statistics_of(exact)
    k = exact.graph.n_vectors
    fit = fit_sources(statistics, np.full(k, 1 / k), exact.dependencies or None, "moments", **arguments)
    return balance_evidence(statistics, fit)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", EXACT)
def test_skewness_of_exact_moments_is_that_of_the_events(name, seed):
    exact = EXACT[name](np.random.default_rng(seed))
    skewness = evidence_of(exact).skewness
    expected = skewness_of(skewness.masks @ exact.class_balance)
    assert len(expected) >= 1
    np.testing.assert_allclose(skewness.value, expected, atol=1e-4)  # weights stop at 1e-9 of an item


def test_an_event_and_its_complement_are_told_together():
    exact = single_task(np.random.default_rng(0), 2, 6)
    for j in range(6):
        votes = exact.sources[j].table[[j % 2]]
        exact = exact.with_source(j, Source(exact.sources[j].events[[j % 2]], np.vstack([votes, 1 - votes])))
    skewness = evidence_of(exact).skewness
    assert skewness.masks.tolist() == [[True, False]]
    np.testing.assert_allclose(skewness.value, skewness_of(exact.class_balance[:1]), atol=1e-4)


def test_two_independent_sources_tell_nothing():
    exact = single_task(np.random.default_rng(0), 2, 3)
    statistics = cs.VoteStatistics.of(
        exact.votes, weights=exact.weights, n_classes=2, dependencies=[(0, 1)], triples=True
    )
    np.testing.assert_allclose(third_moment_sums(statistics, statistics.triples.component), 0, atol=1e-15)
    with pytest.warns(cs.NotIdentifiableWarning):
        fit = fit_sources(statistics, np.array([0.5, 0.5]), [(0, 1)], "auto")
    assert len(balance_evidence(statistics, fit).skewness.value) == 0


def test_probability_of_inverts_skewness_of():
    p = np.array([1e-6, 0.02, 0.3, 0.5, 0.9, 1 - 1e-6])
    np.testing.assert_allclose(probability_of(skewness_of(p)), p, rtol=1e-9)


@pytest.mark.parametrize("name", EXACT)
def test_the_influence_of_an_item_is_the_derivative_by_its_weight(name):
    exact = EXACT[name](np.random.default_rng(0))
    k = exact.graph.n_vectors
    uniform = np.full(k, 1 / k)

    def skewness(weights):
        statistics = cs.VoteStatistics.of(
            exact.votes,
            weights=weights,
            task_graph=exact.graph,
            dependencies=exact.dependencies,
            triples=True,
        )
        fit = fit_sources(statistics, uniform, exact.dependencies or None, "moments")
        return statistics, balance_evidence(statistics, fit).skewness

    statistics, at = skewness(exact.weights)
    influence = at.influence(indicators(exact, statistics))
    influence -= exact.probability @ influence
    for row in np.random.default_rng(1).choice(len(exact.weights), 5, replace=False):
        step = 1e-4 * exact.weights[row]
        moved = exact.weights.copy()
        moved[row] += step
        change = (skewness(moved)[1].value - at.value) * TOTAL / step
        np.testing.assert_allclose(change, influence[row], rtol=2e-2, atol=2e-2 * np.abs(influence).max())
