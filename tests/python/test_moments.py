"""The forward form recovers exact parameters, coarse and fine votes in one problem."""

import warnings

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
from consilience.moments import signed_start


def fitted(exact, **arguments):
    model = cs.LabelModel(
        task_graph=exact.graph, class_balance=exact.class_balance, method="moments", **arguments
    )
    return model.fit(exact.votes, weights=exact.weights)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("abstains", [True, False])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_moments_recover_the_tables_of_one_task(k, abstains, seed):
    exact = single_task(np.random.default_rng(seed), k, abstains=abstains)
    assert table_error(fitted(exact), exact) < 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "events", [COARSE_AND_FINE, LEVEL_BY_LEVEL], ids=["coarse and fine", "level by level"]
)
def test_moments_recover_the_tables_of_a_hierarchy(events, seed):
    exact = hierarchy(np.random.default_rng(seed), events)
    assert table_error(fitted(exact), exact) < 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 3])
def test_moments_recover_the_tables_of_dependent_sources(k, seed):
    exact = single_task_with_pairs(np.random.default_rng(seed), k)
    assert table_error(fitted(exact, dependencies=exact.dependencies), exact) < 1e-6


def test_moments_are_wrong_when_a_dependency_is_not_declared():
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    assert table_error(fitted(exact, dependencies=[]), exact) > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_moments_recover_a_minority_of_adversarial_sources(seed):
    exact = single_task(np.random.default_rng(seed), 2, 6)
    exact = exact.with_source(0, Source(exact.sources[0].events, exact.sources[0].table[:, ::-1]))
    assert table_error(fitted(exact), exact) < 1e-6


def test_moments_recover_unipolar_sources():
    exact = single_task(np.random.default_rng(0), 2, 6)
    for j, source in enumerate(exact.sources):
        votes = source.table[[j % 2]]
        exact = exact.with_source(j, Source(source.events[[j % 2]], np.vstack([votes, 1 - votes])))
    model = fitted(exact)
    for j, source in enumerate(exact.sources):
        np.testing.assert_allclose(model.emission_[j, j % 2], source.table[0], atol=1e-6)


@pytest.mark.parametrize("m", [3, 4, 10])
def test_the_more_votes_the_nearer_the_estimate(m):
    exact = single_task(np.random.default_rng(m), 2, m)
    rng = np.random.default_rng(1)
    errors = []
    for n in (1_000, 100_000):
        rows = rng.choice(len(exact.votes), size=n, p=exact.probability)
        model = cs.LabelModel(n_classes=2, class_balance=exact.class_balance, method="moments")
        errors.append(table_error(model.fit(exact.votes[rows]), exact))
    assert errors[1] < errors[0] / 2  # a tenth in expectation


@pytest.mark.parametrize("k", [10, 50])
def test_moments_of_many_classes_are_not_biased_by_pairs_that_did_not_occur(k):
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, 20_000)
    right = rng.random((len(y), 10)) < 0.7
    votes = np.where(right, y[:, None], rng.integers(0, k, right.shape))
    votes[rng.random(votes.shape) < 0.2] = -1
    model = cs.LabelModel(n_classes=k, method="moments").fit(votes)
    # The sampling error of an accuracy is about 0.004; that of the estimate a few times that.
    np.testing.assert_allclose(model.accuracy_, 0.7 + 0.3 / k, atol=0.03)


def test_a_useless_source_does_not_disturb_the_others():
    exact = single_task(np.random.default_rng(0), 2, 4)
    guesses = np.repeat(exact.sources[3].table.mean(axis=1)[:, None], 2, axis=1)
    exact = exact.with_source(3, Source(exact.sources[3].events, guesses))
    model = cs.LabelModel(n_classes=2, class_balance=exact.class_balance).fit(
        exact.votes, weights=exact.weights
    )
    assert table_error(model, exact) < 1e-6


def test_the_start_has_the_sizes_and_the_relative_signs_of_an_exact_product():
    z = np.array([0.5, -0.3, 0.8, -0.1])
    product = np.outer(z, z)
    np.fill_diagonal(product, 0)
    start = signed_start(np.log(z**2), product)
    np.testing.assert_allclose(start * np.sign(start[0]), z, rtol=1e-12)


@pytest.mark.parametrize(("method", "n"), [("moments", 1000), ("moments", 5000), ("completion", 5000)])
def test_many_classes_with_few_items_each_are_learned_the_right_way_round(method, n):
    rng = np.random.default_rng(0)
    balance = rng.dirichlet(np.ones(100)) + 0.002
    balance /= balance.sum()
    label = rng.choice(100, n, p=balance)[:, None]
    accuracy = rng.uniform(0.6, 0.9, 10)
    votes = np.where(rng.random((n, 10)) < accuracy, label, rng.integers(0, 100, (n, 10)))
    votes[rng.random(votes.shape) < 0.2] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.SignWarning)  # of the rarest classes, by completion
        model = cs.LabelModel(n_classes=100, method=method, class_balance=balance).fit(votes)
    # Of rare classes little is known, and what is known is drawn towards nothing.
    np.testing.assert_allclose(model.accuracy_, accuracy, atol=0.15)
    assert (model.predict(votes) == label[:, 0]).mean() > 0.9
