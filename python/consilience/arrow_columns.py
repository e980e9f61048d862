"""What columns of Arrow hold: labels as they are where they are numbers, distinct texts everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import FileFormatError
from consilience.optional import require

__all__ = [
    "check_type",
    "distinct_texts",
    "from_texts",
    "from_values",
    "import_pyarrow",
    "is_text",
    "whole_numbers",
]


def import_pyarrow() -> tuple[ModuleType, ModuleType]:
    """``pyarrow`` and ``pyarrow.parquet``, or an error that says how to install them."""
    wanted = {"install": "consilience[frames]", "purpose": "Reading or writing Parquet or Arrow"}
    return require("pyarrow", **wanted), require("pyarrow.parquet", **wanted)


def is_text(arrow_type: Any) -> bool:
    """Whether a column of this type may hold class names."""
    types = import_pyarrow()[0].types
    if types.is_dictionary(arrow_type):
        arrow_type = arrow_type.value_type
    is_view = getattr(types, "is_string_view", types.is_string)  # pyarrow 16
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or is_view(arrow_type))


def check_type(path: str, name: str, arrow_type: Any) -> None:
    """Raise FileFormatError if a column of this type cannot hold votes."""
    types = import_pyarrow()[0].types
    inner = arrow_type.value_type if types.is_dictionary(arrow_type) else arrow_type
    known = (types.is_boolean, types.is_null, types.is_integer, types.is_floating, is_text)
    if not any(fits(inner) for fits in known):
        raise FileFormatError(
            f"{path}: column {name!r} holds {arrow_type}; save integers, booleans or strings"
        )


def distinct_texts(path: str, name: str, column: Any) -> tuple[list[Any], NDArray[np.integer[Any]]]:
    """Distinct values of a column, and for each row the position of its value there, -1 for a null."""
    check_type(path, name, column.type)
    pyarrow = import_pyarrow()[0]
    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type) or types.is_null(column.type):
        column = column.cast("int8")
    if is_text(column.type):
        column = column.cast("large_string")
    if isinstance(column, pyarrow.ChunkedArray):
        column = column.combine_chunks()
    encoded = column.dictionary_encode()
    return encoded.dictionary.to_pylist(), _values(encoded.indices)


def whole_numbers(column: Any) -> NDArray[np.integer[Any]] | None:
    """Labels of a column of numbers, -1 for a null, borrowed where that is possible.

    None where the column holds something else, or numbers that are no labels, which only
    :func:`distinct_texts` can name.
    """
    types = import_pyarrow()[0].types
    kind = column.type
    if types.is_null(kind):
        return np.full(len(column), -1, dtype=np.int8)
    if types.is_boolean(kind) or types.is_unsigned_integer(kind):
        wider = {8: "int16", 16: "int32", 32: "int64"}
        if kind.bit_width == 64:
            return None
        column = column.cast(wider.get(kind.bit_width, "int8"))
    elif types.is_floating(kind):
        values = _values(column.cast("float64"))
        with np.errstate(invalid="ignore"):
            is_label = ((values >= -1) & (values < 2**31) & (values == np.floor(values))).all()
        return values.astype(np.int32) if is_label else None
    elif not types.is_integer(kind):
        return None
    return _values(column)


def from_values(values: NDArray[Any]) -> Any:
    """Array of Arrow that borrows integers or floats."""
    pyarrow = import_pyarrow()[0]
    contiguous = np.ascontiguousarray(values)
    kind = pyarrow.from_numpy_dtype(contiguous.dtype)
    return pyarrow.Array.from_buffers(kind, len(values), [None, pyarrow.py_buffer(contiguous)])


def from_texts(names: Sequence[str], positions: NDArray[np.integer[Any]]) -> Any:
    """Array of Arrow of the texts ``names[position]``."""
    pyarrow = import_pyarrow()[0]
    data = [name.encode() for name in names]
    offsets = np.cumsum([0, *map(len, data)], dtype=np.int32)
    buffers = [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(b"".join(data))]
    distinct = pyarrow.Array.from_buffers(pyarrow.string(), len(names), buffers)
    return distinct.take(from_values(positions))


def _values(column: Any) -> NDArray[Any]:
    """Numbers of a column, -1 for a null; borrowed where there is none.

    pyarrow's own conversions, here and back, import pandas where it is installed: a quarter of a second and
    tens of megabytes.
    """
    dtype, n, begin = np.dtype(column.type.to_pandas_dtype()), len(column), column.offset
    if not n:
        return np.zeros(0, dtype=dtype)
    validity, data = column.buffers()
    values = np.frombuffer(data, dtype, n, begin * dtype.itemsize)
    if not column.null_count:
        return values
    bits = np.frombuffer(validity, np.uint8, (begin + n + 7) // 8 - begin // 8, begin // 8)
    is_valid = np.unpackbits(bits, bitorder="little")[begin % 8 : begin % 8 + n].view(np.bool_)
    return np.where(is_valid, values, dtype.type(-1))
