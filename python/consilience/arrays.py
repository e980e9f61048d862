"""Arrays: those that callers hand over, with errors that name the argument, and rows that are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError

__all__ = ["as_array", "number_rows"]


def as_array(
    values: Any, argument: str, error: type[InvalidArgumentError] = InvalidArgumentError
) -> NDArray[Any]:
    """Anything array-like as an array, not copied where it is one.

    Raises
    ------
    InvalidArgumentError
        If its rows differ in length, or it cannot be read as an array; of the class `error`.
    """
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as cause:
        raise error(f"{argument} cannot be read as an array ({cause}); give rows of equal length") from cause


def number_rows(table: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows of a table of integers or bools are equal.

    Parameters
    ----------
    table : (n, c) array
        Not many rows: each becomes a Python object.

    Returns
    -------
    first : (q,) int64 array
        Where each distinct row occurs first, increasing.
    at : (n,) int64 array
        ``table[first][at]`` equals `table`.
    """
    number: dict[bytes, int] = {}
    first = []
    at = []
    for i, row in enumerate(table):
        key = row.tobytes()
        if key not in number:
            number[key] = len(number)
            first.append(i)
        at.append(number[key])
    return np.array(first, dtype=np.int64), np.array(at, dtype=np.int64)
