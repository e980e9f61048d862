"""Items drawn from a fitted model vote as it says, and the same wherever sources have their columns."""

import numpy as np
import pytest
from test_junction_trees import model_along

import consilience as cs
from consilience.drawing import choose_states, draw_indicators

CHAIN = [(0, 1), (1, 2)]


def fitted(order):
    """Fit of three sources in a chain and three others, in these columns."""
    exact = model_along(np.random.default_rng(0), CHAIN, 2, n_alone=3)
    place = np.argsort(order)
    pairs = [tuple(place[[a, b]].tolist()) for a, b in CHAIN]
    model = cs.LabelModel(n_classes=2, method="em", class_balance=exact.class_balance, dependencies=pairs)
    return model.fit(exact.votes[:, order], weights=exact.weights)._fitted()


def indicators(model, label):
    fit = model.fit
    return draw_indicators(label, fit.structure.system, fit.tables, fit.layout, fit.components)


def test_states_are_as_frequent_as_the_table_says():
    table = np.array([[0.5, 0.1], [0.2, 0.1], [0.3, 0.8]])
    label = np.repeat([0, 1], 20_000)
    drawn = choose_states(np.random.default_rng(0), table, label)
    for y in (0, 1):
        # 4 standard errors of a share of 20 000
        shares = np.bincount(drawn[label == y], minlength=3) / 20_000
        np.testing.assert_allclose(shares, table[:, y], atol=4 * 0.5 / np.sqrt(20_000))


def test_indicators_are_together_as_often_as_the_fit_says():
    model = fitted(np.arange(6))
    n = 40_000
    label = np.random.default_rng(7).choice(2, n, p=model.class_balance)
    drawn = indicators(model, label)
    expected = model.statistics.pairs / model.statistics.n
    # 5 standard errors, and what EM stops short of
    np.testing.assert_allclose(drawn.T @ drawn / n, expected, atol=5 * 0.5 / np.sqrt(n) + 1e-3)


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [1, 4, 0, 3, 5, 2]])
def test_indicators_of_a_source_are_the_same_in_any_column(order):
    label = np.random.default_rng(7).integers(0, 2, 500)
    first, other = indicators(fitted(np.arange(6)), label), indicators(fitted(np.array(order)), label)
    # two nodes a source; tables differ in their last digits at most
    moved = np.ravel([[2 * j, 2 * j + 1] for j in order])
    assert (first[:, moved] != other).mean() < 1e-3
