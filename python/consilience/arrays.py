"""Arrays: those that callers hand over, with errors that name the argument, and rows that are equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError, WrongTypeError

__all__ = ["as_array", "in_item_order", "number_rows", "refuse_lazy"]


def as_array(
    values: Any, argument: str, error: type[InvalidArgumentError] = InvalidArgumentError
) -> NDArray[Any]:
    """Anything array-like as an array, not copied where it is one.

    Raises
    ------
    WrongTypeError
        If it is a lazy frame.
    InvalidArgumentError
        If its rows differ in length, it cannot be read as an array, or some of it is masked; of the class
        `error`.
    """
    refuse_lazy(values, argument)
    if np.ma.is_masked(values):
        row = int(np.argwhere(np.ma.getmaskarray(values))[0, 0]) if np.ndim(values) else 0
        raise error(f"{argument}, row {row}: must hold no masked entries; fill them with values.filled(...)")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as cause:
        ragged = _first_ragged(values)
        if ragged is not None:
            raise error(f"{argument}, {ragged}; give rows of equal length") from None
        raise error(f"{argument} cannot be read as an array ({cause}); give rows of equal length") from cause


def refuse_lazy(values: Any, argument: str) -> None:
    """Raise WrongTypeError where values are a lazy frame of polars: a query, and no data yet."""
    if type(values).__name__ == "LazyFrame":
        raise WrongTypeError(f"{argument} is a LazyFrame, which holds no data yet; give {argument}.collect()")


def _first_ragged(values: Any) -> str | None:
    """Which row of a list differs in length from the first, or holds a list; None if none does."""
    lengths = _lengths(values)
    row = next((i for i, length in enumerate(lengths) if length != lengths[0]), None)
    if row is not None:
        return f"row {row}: has {_in_words(lengths[row])} where row 0 has {_in_words(lengths[0])}"
    for i, length in enumerate(lengths):
        within = [] if length is None else _lengths(values[i])
        place = next((j for j, of_entry in enumerate(within) if of_entry != within[0]), None)
        if place is not None:
            return f"row {i}: entry {place} is {values[i][place]!r:.80} where entry 0 is {values[i][0]!r:.80}"
    return None


def _lengths(values: Any) -> list[int | None]:
    """Length of each entry of a list, None for what has none; nothing for what is no list."""
    is_list = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    return [_length(value) for value in values] if is_list else []


def _length(value: Any) -> int | None:
    is_list = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
    return len(value) if is_list and getattr(value, "shape", None) != () else None


def _in_words(length: int | None) -> str:
    return "no list of values" if length is None else "1 value" if length == 1 else f"{length} values"


def in_item_order(values: Any, votes: Any, argument: str) -> Any:
    """What a series of pandas says of items, in the order of a frame of votes, where the indices tell it.

    Anything else, one value an item, is in that order already, and comes back as it is.

    Parameters
    ----------
    values
        One an item.
    votes
        In any form; of several tables the first says the order.
    argument : str
        What callers call the values.

    Raises
    ------
    InvalidArgumentError
        If both have an index, and the labels differ or are not unique.
    """
    if isinstance(votes, Mapping):
        votes = next(iter(votes.values()), None)
    index, own = (getattr(one, "index", None) if _is_of_pandas(one) else None for one in (votes, values))
    if index is None or own is None or own.equals(index) or len(own) != len(index):
        return values  # the length is checked where values are read
    if not (own.is_unique and index.is_unique):
        raise InvalidArgumentError(
            f"{argument} and votes have indices that differ and name some items twice; give "
            f"{argument}.to_numpy() if both are in the same order"
        )
    place = own.get_indexer(index)
    if (place < 0).any():
        missing = index[int((place < 0).argmax())]
        raise InvalidArgumentError(
            f"{argument} has no item {missing!r}, which the index of votes has; give "
            f"{argument}.to_numpy() if both are in the same order"
        )
    return values.iloc[place]


def _is_of_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas"


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
