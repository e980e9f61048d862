"""Classes that are grades: wrong votes for neighbouring classes are likelier than for distant ones."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from test_cautious import brier, crowd_votes, panel_of

import consilience as cs
from consilience.cautious import fit_panel, with_grades
from consilience.ordered import SLOPES, order_stands_out, weights_of_errors


def graded_votes(n=600, m=40, k=5, *, seed=0, spread=(0.4, 1.2), per_item=5):
    """Workers who miss the grade by a normal error of their own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    said = np.rint(y[:, None] + rng.normal(size=(n, m)) * rng.uniform(*spread, m)).clip(0, k - 1)
    asked = np.argsort(rng.random((n, m)), axis=1) < per_item
    return np.where(asked, said, -1).astype(int), y


def confused_votes(n=600, m=40, k=5, *, seed=0):
    """Workers who all take 0 for 3, 1 for 4 and so on: their errors have a pattern, but no order."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    right = rng.random((n, m)) < rng.uniform(0.5, 0.8, m)
    said = np.where(right, y[:, None], (y[:, None] + 3) % k)
    asked = np.argsort(rng.random((n, m)), axis=1) < 5
    return np.where(asked, said, -1), y


def counts_of(table, y, k):
    return np.array(
        [[[((row == v) & (y == c)).sum() for c in range(k)] for v in range(k)] for row in table.T]
    )


@pytest.mark.parametrize("k", [3, 5, 8])
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_grades_stands_out_and_no_other_does(k, seed):
    table, y = graded_votes(2000, 20, k, seed=seed, per_item=10)
    counts = counts_of(table, y, k).astype(float)
    assert order_stands_out(counts)
    assert order_stands_out(counts[:, ::-1, ::-1])
    for order in list(permutations(range(k)))[1 : 1 + 5 * k]:
        if order != tuple(reversed(range(k))):
            assert not order_stands_out(counts[:, order][:, :, order])


def test_errors_with_a_pattern_but_no_order_make_no_grades():
    table, y = confused_votes()
    assert not order_stands_out(counts_of(table, y, 5).astype(float))
    right = np.random.default_rng(0).multinomial(100, np.full(4, 0.25), (30, 4)).transpose(0, 2, 1)
    assert not order_stands_out(right.astype(float))  # every error as frequent as any other
    assert not order_stands_out(np.zeros((5, 4, 4)))


@pytest.mark.parametrize("slope", SLOPES)
def test_a_source_all_but_without_votes_has_the_table_of_grades(slope):
    k, accuracy = 4, 0.7
    panel = replace(panel_of(graded_votes(200, 6, k, per_item=4)[0], k), slope=slope)
    reading = fit_panel(panel, max_steps=2).reading
    table = reading._table_of(panel.cells, np.full(6, accuracy), slope).reshape(6, k, k)
    odds = np.array(
        [[float(np.exp(-slope * (abs(v - y) - 1))) if v != y else 0.0 for y in range(k)] for v in range(k)]
    )
    np.testing.assert_array_equal(odds, weights_of_errors(k, slope))
    errors = (1 - accuracy) / accuracy / odds.sum(axis=0).mean()
    expected = np.eye(k) + errors * odds
    expected /= expected.sum(axis=0)
    np.testing.assert_allclose(table, np.broadcast_to(expected, table.shape), rtol=1e-12)
    assert expected[0, 0] > expected[1, 1]  # the outermost have fewer neighbours


@pytest.mark.parametrize("k", [3, 5, 10])
def test_grades_are_labelled_better_for_being_known_as_such(k):
    gains = []
    for seed in range(3):
        table, y = graded_votes(500, 30, k, seed=seed, spread=(0.4, 1.2 if k < 10 else 2.0))
        soft = {}
        for ordered in (None, True, False):
            model = cs.LabelModel(n_classes=k, ordered=ordered).fit(table)
            soft[ordered] = model.predict_proba(table)
            said_so = "taken for grades" in str(model.summary()).replace("\n  ", " ")
            assert said_so == (ordered is not False) or (ordered is None and k == 3)  # hardly a distant class
        gains.append([brier(soft[False], y) - brier(soft[given], y) for given in (None, True)])
    assert np.mean(gains, axis=0)[0 if k > 3 else 1] > 0.03


def test_classes_in_no_order_are_not_taken_for_grades():
    for table in (crowd_votes(800, 12, 4)[0], confused_votes()[0]):
        k = int(table.max()) + 1
        panel = panel_of(table, k)
        assert with_grades(panel, None).slope == 0.0
        assert with_grades(panel, False) is panel
        plain, found = (
            cs.LabelModel(n_classes=k, ordered=ordered).fit(table).predict_proba(table)
            for ordered in (False, None)
        )
        np.testing.assert_array_equal(plain, found)


def test_two_classes_have_no_order():
    table, _ = crowd_votes(300, 8, 2)
    assert with_grades(panel_of(table, 2), True).slope == 0.0


def test_a_graded_model_is_the_same_for_any_order_of_sources_and_after_saving(tmp_path):
    table, _ = graded_votes()
    model = cs.LabelModel(n_classes=5).fit(table)
    order = np.random.default_rng(1).permutation(table.shape[1])
    moved = cs.LabelModel(n_classes=5).fit(table[:, order])
    np.testing.assert_allclose(moved.predict_proba(table[:, order]), model.predict_proba(table), atol=1e-8)
    model = cs.LabelModel(n_classes=5, ordered=True).fit(table)
    model.save(tmp_path / "graded.model")
    again = cs.load(tmp_path / "graded.model")
    assert again.ordered is True
    np.testing.assert_array_equal(again.predict_proba(table), model.predict_proba(table))


def test_an_order_that_cannot_be_is_refused():
    table, _ = graded_votes(100)
    with pytest.raises(cs.WrongTypeError, match="ordered must be True, False or None, got 'yes'"):
        cs.LabelModel(n_classes=5, ordered="yes").fit(table)
    graph = cs.TaskGraph({"a": ["x", "y", "z"], "b": ["u", "v"]})
    with pytest.raises(cs.InvalidArgumentError, match="ordered is about the classes of a single task"):
        cs.LabelModel(task_graph=graph, ordered=True).fit({"a": table[:, :3] % 3, "b": table[:, :3] % 2})
    with pytest.raises(cs.InvalidArgumentError, match="ordered is about the classes of a single task"):
        cs.LabelModel(ordered=True).fit({"a": table[:, :3] % 3, "b": table[:, :3] % 2})
