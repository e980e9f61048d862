"""Soft labels as rows with weights, for classifiers that know only hard labels."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import consilience as cs
from consilience import soft_labels as module
from consilience.soft_labels import confidence_of


def draw(n, k, seed=0, spread=1.0):
    return np.random.default_rng(seed).dirichlet(np.full(k, spread), n)


def twin(soft, mask, weights, confidence_weights, least):
    """The definition, item by item."""
    result = []
    for i, q in enumerate(soft):
        weight = weights[i] * mask[i]
        if confidence_weights and len(q) > 1:
            weight *= 1 + sum(v * np.log(v) for v in q if v > 0) / np.log(len(q))
        kept = [y for y, v in enumerate(q) if v > 0 and (v >= least or v == max(q))]
        total = sum(q[y] for y in kept)
        result += [(i, y, weight * q[y] / total) for y in kept if weight > 0]
    return result


@given(
    n=st.integers(0, 12),
    k=st.integers(1, 5),
    seed=st.integers(0, 1000),
    confidence_weights=st.booleans(),
    least=st.sampled_from([0, 1e-3, 0.2, 0.9]),
)
def test_rows_labels_and_weights_are_those_of_the_definition(n, k, seed, confidence_weights, least):
    rng = np.random.default_rng(seed)
    soft, mask, weights = draw(n, k, seed, 0.3), rng.random(n) < 0.7, rng.integers(0, 3, n)
    found = cs.expand_soft_labels(
        soft, mask=mask, weights=weights, confidence_weights=confidence_weights, min_probability=least
    )
    expected = twin(soft, mask, weights, confidence_weights, least)
    assert list(zip(found.rows, found.labels, strict=True)) == [(i, y) for i, y, _ in expected]
    np.testing.assert_allclose(found.weights, [weight for _, _, weight in expected], rtol=1e-9)


def test_hard_labels_expand_to_themselves():
    labels = np.array([2, 0, 1, 1])
    found = cs.expand_soft_labels(np.eye(3)[labels])
    np.testing.assert_array_equal(found.rows, np.arange(4))
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_array_equal(found.weights, np.ones(4))


def test_a_row_without_votes_may_hold_anything():
    soft = np.array([[0.5, 0.5], [np.nan, np.nan], [0.0, 0.0]])
    found = cs.expand_soft_labels(soft, mask=[True, False, False])
    assert found.rows.tolist() == [0, 0]


def test_a_classifier_fitted_to_the_rows_minimises_the_expected_loss():
    rng = np.random.default_rng(0)
    X, soft = rng.normal(size=(200, 1)), draw(200, 2)
    rows, labels, weights = cs.expand_soft_labels(soft, min_probability=0)
    fitted = LogisticRegression(C=np.inf, tol=1e-9).fit(X[rows], labels, sample_weight=weights)

    def expected_loss(slope, intercept):
        z = X[:, 0] * slope + intercept
        return (soft[:, 1] * np.logaddexp(0, -z) + soft[:, 0] * np.logaddexp(0, z)).mean()

    slope, intercept = fitted.coef_[0, 0], fitted.intercept_[0]
    best = expected_loss(slope, intercept)
    for step in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert best < expected_loss(slope + step[0], intercept + step[1])


def test_confidence_is_one_for_hard_and_zero_for_uniform_labels():
    np.testing.assert_allclose(confidence_of(np.array([[1.0, 0, 0], [1 / 3] * 3])), [1, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("soft", "arguments", "error", "message"),
    [
        ([0.5, 0.5], {}, ValueError, r"shape \(n, k\), got \(2,\)"),
        (0.5, {}, ValueError, r"shape \(n, k\), got \(\)"),
        ([[0.5, 0.5], [0.7, 0.7]], {}, ValueError, "row 1: must be probabilities that sum to 1"),
        ([[1.5, -0.5]], {}, ValueError, "row 0"),
        ([[np.nan, 1]], {}, ValueError, "row 0"),
        ([["a", "b"]], {}, TypeError, "must hold probabilities, got dtype"),
        ({"task": [[1, 0]]}, {}, TypeError, r"give soft_labels\[task\]"),
        ([[1, 0]], {"mask": [1]}, TypeError, "mask must hold booleans"),
        ([[1, 0]], {"mask": [True, True]}, ValueError, r"mask must have shape \(1,\)"),
        ([[1, 0]], {"weights": [-1]}, ValueError, "weights, row 0: must be finite and >= 0, got -1"),
        ([[1, 0]], {"weights": [np.inf]}, ValueError, "weights, row 0"),
        ([[1, 0]], {"weights": ["x"]}, TypeError, "weights must hold numbers"),
        ([[1, 0]], {"min_probability": 1}, ValueError, r"must lie in \[0, 1\)"),
        ([[1, 0]], {"min_probability": "a"}, ValueError, r"must lie in \[0, 1\), got 'a'"),
    ],
)
def test_what_is_no_soft_label_is_refused_by_name(soft, arguments, error, message):
    with pytest.raises(error, match=message) as caught:
        cs.expand_soft_labels(soft, **arguments)
    assert isinstance(caught.value, cs.ConsilienceError)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(module).failed == 0


def test_a_word_for_whether_confidence_counts_is_refused():
    with pytest.raises(cs.WrongTypeError, match="confidence_weights must be True or False, got 'no'"):
        cs.expand_soft_labels([[0.5, 0.5]], confidence_weights="no")
