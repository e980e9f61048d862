"""Arrays of callers, rows that are equal, and values in the order of the items that they are about."""

import numpy as np
import pytest

from consilience.arrays import as_array, in_item_order, number_rows
from consilience.exceptions import InvalidArgumentError
from consilience.soft_labels import expand_soft_labels


def test_what_a_mask_hides_is_not_read():
    values = np.ma.array([[0.0, 1.0], [1.0, 9e9]], mask=[[False, False], [False, True]])
    with pytest.raises(InvalidArgumentError, match=r"X, row 1: must hold no masked entries; fill them"):
        as_array(values, "X")
    with pytest.raises(InvalidArgumentError, match="soft_labels, row 1"):
        expand_soft_labels(values)
    assert as_array(values[:1], "X").tolist() == [[0, 1]]  # nothing is hidden


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([[0, 1], [1]], "X, row 1: has 1 value where row 0 has 2 values; give rows of equal length"),
        ([["a", "b"], ["ab", "b"], ["a"]], "X, row 2: has 1 value where row 0 has 2 values"),
        ([[0, 1], 1], "X, row 1: has no list of values where row 0 has 2 values"),
        ((np.zeros(3), np.zeros(2)), "X, row 1: has 2 values where row 0 has 3 values"),
        ([[0, 1], [1, [0]]], r"X, row 1: entry 1 is \[0\] where entry 0 is 1"),
    ],
)
def test_the_row_of_a_ragged_list_is_named(values, found):
    with pytest.raises(InvalidArgumentError, match=found) as caught:
        as_array(values, "X")
    assert "inhomogeneous" not in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(0, 2), (1, 1), (30, 1), (40, 3)])
def test_distinct_rows_are_those_of_numpy_in_the_order_of_their_first_occurrence(dtype, shape):
    table = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)[:, ::-1]
    first, at = number_rows(table)
    assert np.array_equal(table[first][at], table)
    assert first.tolist() == sorted(np.unique(table, axis=0, return_index=True)[1].tolist())


def frames(order):
    """A frame of three votes, and the gold label of each in another order, by the same names."""
    pandas = pytest.importorskip("pandas")
    names = np.array(["a", "b", "c"])
    votes = pandas.DataFrame({"x": [0, 1, 1], "y": [0, 1, 0]}, index=names)
    return votes, pandas.Series(np.array([10, 11, 12])[order], index=names[order])


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_a_series_beside_a_frame_goes_by_the_index(order):
    votes, values = frames(order)
    assert np.asarray(in_item_order(values, votes, "y")).tolist() == [10, 11, 12]
    assert np.asarray(in_item_order(values, {"task": votes}, "y")).tolist() == [10, 11, 12]


def test_what_has_no_index_is_in_the_order_of_the_items():
    votes, values = frames([2, 0, 1])
    assert in_item_order(values, votes.to_numpy(), "y") is values
    array = values.to_numpy()
    assert in_item_order(array, votes, "y") is array
    assert in_item_order(None, votes, "y") is None


def test_a_series_about_other_items_is_refused():
    votes, values = frames([2, 0, 1])
    with pytest.raises(InvalidArgumentError, match=r"y has no item 'a', .* give y\.to_numpy\(\)"):
        in_item_order(values.reset_index(drop=True), votes, "y")


def test_indices_that_name_items_twice_are_refused_unless_they_are_equal():
    votes, values = frames([2, 0, 1])
    twice = ["a", "a", "b"]
    with pytest.raises(InvalidArgumentError, match="name some items twice"):
        in_item_order(values.set_axis(twice), votes, "weights")
    same = values.set_axis(twice)
    assert in_item_order(same, votes.set_axis(twice), "weights") is same
