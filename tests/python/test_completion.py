"""Algorithm 1 recovers exact parameters where each event has three independent sources."""

import numpy as np
import pytest
from enumeration import (
    COARSE_AND_FINE,
    LEVEL_BY_LEVEL,
    Source,
    hierarchy,
    single_task,
    single_task_with_pairs,
    table_error,
)

import consilience as cs


def fitted(exact, **arguments):
    model = cs.LabelModel(
        task_graph=exact.graph, class_balance=exact.class_balance, method="completion", **arguments
    )
    return model.fit(exact.votes, weights=exact.weights)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("abstains", [True, False])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_completion_recovers_the_tables_of_one_task(k, abstains, seed):
    exact = single_task(np.random.default_rng(seed), k, abstains=abstains)
    assert table_error(fitted(exact), exact) < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_completion_recovers_the_tables_of_a_hierarchy_level_by_level(seed):
    exact = hierarchy(np.random.default_rng(seed), LEVEL_BY_LEVEL)
    assert table_error(fitted(exact), exact) < 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 3])
def test_completion_recovers_the_tables_of_dependent_sources(k, seed):
    exact = single_task_with_pairs(np.random.default_rng(seed), k)
    assert table_error(fitted(exact, dependencies=exact.dependencies), exact) < 1e-6


def test_completion_cannot_use_agreement_between_coarse_and_fine_votes():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    with pytest.raises(cs.NotIdentifiableError, match="source 1"):
        fitted(exact)


def test_linearly_dependent_votes_are_a_singular_covariance_that_names_the_source():
    exact = single_task(np.random.default_rng(0), 2, 3)
    votes = np.column_stack([exact.votes, exact.votes[:, 0]])
    model = cs.LabelModel(n_classes=2, method="completion", dependencies=[])
    with pytest.raises(cs.SingularCovarianceError, match=r"'source 3' .* 'source 0', .* remove the copy"):
        model.fit(votes, weights=exact.weights)


def test_sources_that_vote_alike_for_one_class_on_few_items_are_not_called_copies():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 100)
    votes = np.where(rng.random((100, 12)) < 0.95, y[:, None], rng.integers(0, 10, (100, 12)))
    said = r"it is no copy: there are 120 kinds of votes on 100 items, .* Give more items"
    with pytest.raises(cs.SingularCovarianceError, match=said):
        cs.LabelModel(n_classes=10, method="completion").fit(votes)


def test_votes_that_several_sources_determine_together_are_not_called_a_copy():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    votes = np.where(rng.random((400, 4)) < 0.8, y[:, None], 1 - y[:, None])
    votes[::2, 0] = votes[1::2, 1] = -1
    both = np.maximum(votes[:, 0], votes[:, 1])  # what one of the two said
    model = cs.LabelModel(n_classes=2, method="completion", dependencies=[])
    with pytest.raises(cs.SingularCovarianceError, match=r"'source 4' .* the 4 sources before it together, "):
        model.fit(np.column_stack([votes, both]))


def test_a_constant_source_does_not_disturb_the_others():
    exact = single_task(np.random.default_rng(0), 2, 4)
    votes = np.column_stack([exact.votes, np.zeros(len(exact.votes), dtype=int)])
    model = cs.LabelModel(n_classes=2, class_balance=exact.class_balance, method="completion")
    model.fit(votes, weights=exact.weights)
    for j, source in enumerate(exact.sources):
        np.testing.assert_allclose(model.emission_[j], source.table, atol=1e-6)


def test_completion_agrees_with_moments_on_exact_moments():
    exact = single_task(np.random.default_rng(5), 3, 5)
    forward = cs.LabelModel(n_classes=3, class_balance=exact.class_balance, method="moments")
    forward.fit(exact.votes, weights=exact.weights)
    np.testing.assert_allclose(fitted(exact).emission_, forward.emission_, atol=1e-8)


def test_rare_and_frequent_sources_are_learned_together():
    # Scaling the inverse to unit diagonal keeps rare sources from being drowned.
    exact = single_task(np.random.default_rng(0), 2, 4)
    for j, source in enumerate(exact.sources[:2]):
        votes = source.table[:-1] * 0.01
        exact = exact.with_source(j, Source(source.events, np.vstack([votes, 1 - votes.sum(axis=0)])))
    assert table_error(fitted(exact), exact) < 1e-6
