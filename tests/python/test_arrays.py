"""Rows that are equal."""

import numpy as np
import pytest

from consilience.arrays import number_rows


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(0, 2), (1, 1), (30, 1), (40, 3)])
def test_distinct_rows_are_those_of_numpy_in_the_order_of_their_first_occurrence(dtype, shape):
    table = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)[:, ::-1]
    first, at = number_rows(table)
    assert np.array_equal(table[first][at], table)
    assert first.tolist() == sorted(np.unique(table, axis=0, return_index=True)[1].tolist())
