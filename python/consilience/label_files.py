"""Labels to files, part by part: CSV and npz on NumPy alone, Parquet with pyarrow."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.arrow_columns import from_texts, from_values, import_pyarrow
from consilience.container import write_atomically
from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.task_graph import TaskGraph
from consilience.vote_files import format_of

__all__ = ["Texts", "label_columns", "write_labels"]

Columns: TypeAlias = Mapping[str, ArrayLike]

_COLUMN_KINDS = "biufU"  # booleans, integers, floats, strings
_SAMPLE = 4096
_LARGEST_ID = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts of which few differ, as an array of numpy wherever one is asked for.

    Attributes
    ----------
    names : sequence of str
        The different ones.
    positions : (n,) int array
        Of the texts among them.
    """

    names: Sequence[str]
    positions: NDArray[np.integer[Any]]

    def __len__(self) -> int:
        return len(self.positions)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        texts: NDArray[Any] = np.array(self.names)[self.positions]
        return texts if dtype is None else texts.astype(dtype)


def label_columns(graph: TaskGraph, labels: Any, probabilities: Any = None) -> dict[str, ArrayLike]:
    """Columns that say the answer of a model: the label of each task by name, then what each class has.

    Parameters
    ----------
    graph : TaskGraph
        Tasks and classes.
    labels : (n_items,) int array, or {task: such an array}
        Class indices, as ``predict`` returns them.
    probabilities : (n_items, k) array, or {task: such an array}, optional
        As ``predict_proba`` returns them.

    Returns
    -------
    dict
        ``label`` and ``p_<class>`` for a single task, else ``<task>`` and ``p_<task>_<class>``.

    Raises
    ------
    InvalidArgumentError
        If two columns would have the same name.
    """
    columns: list[tuple[str, ArrayLike]] = []
    for task, names in graph.classes.items():
        of_task, shares = labels, probabilities
        if graph.n_tasks > 1:
            of_task, shares = labels[task], None if probabilities is None else probabilities[task]
        single = graph.n_tasks == 1
        columns.append(("label" if single else task, _named(names, of_task)))
        prefix = "p_" if single else f"p_{task}_"
        if shares is not None:
            columns += [(f"{prefix}{name}", shares[:, label]) for label, name in enumerate(names)]
    names_of_columns = [name for name, _ in columns]
    twice = [name for name in names_of_columns if names_of_columns.count(name) > 1]
    if twice:
        raise InvalidArgumentError(
            f"two columns of labels would be named {twice[0]!r}; rename a task or a class"
        )
    return dict(columns)


def write_labels(
    path: str | os.PathLike[str],
    parts: Iterable[Columns],
    *,
    note: Mapping[str, str] | None = None,
) -> None:
    """Write columns to a ``.csv``, ``.npz`` or ``.parquet`` file, wholly or not at all.

    Numbers keep every digit. CSV and Parquet are written as the parts come, in memory for one of them. An npz
    file holds one array a column, and is put together in memory.

    Parameters
    ----------
    path : path-like
        Where to write; its ending says the format.
    parts : iterable of {name: (n_items,) array or sequence}
        Numbers, booleans or strings, one kind a column, or arrays of Arrow; the same columns in every part,
        and at least one part.
    note : {str: str}, optional
        Metadata of a Parquet file.

    Raises
    ------
    InvalidArgumentError
        If the ending is another one, or columns differ in length or have more than one dimension.
    WrongTypeError
        If a column holds other things than numbers, booleans or strings.
    MissingDependencyError
        If the file is Parquet and pyarrow is missing.
    OSError
        If it cannot be written.
    """
    ending = format_of(path)
    if ending == ".parquet":
        import_pyarrow()
    writers: dict[str, Callable[[BinaryIO, Iterable[Columns]], None]] = {
        ".csv": _write_csv,
        ".npz": _write_npz,
        ".parquet": lambda file, parts: _write_parquet(file, parts, note or {}),
    }
    write_atomically(path, lambda file: writers[ending](file, parts))


def _named(names: Sequence[Hashable], labels: NDArray[np.integer[Any]]) -> ArrayLike:
    """Names of labels: numbers if all are numbers, texts otherwise."""
    array = np.asarray(names)
    if array.dtype.kind in "biuf":
        numbers: NDArray[Any] = array[labels]
        return numbers
    return Texts([str(name) for name in names], labels)


def _as_arrays(part: Columns) -> dict[str, NDArray[Any]]:
    arrays = {name: _as_column(name, values) for name, values in part.items()}
    _check_lengths(arrays)
    return arrays


def _check_lengths(columns: Mapping[str, Any]) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise InvalidArgumentError(f"columns must be there and have equal lengths, got {lengths}")


def _as_column(name: str, values: Any) -> NDArray[Any]:
    try:
        column = np.asarray(_plain_ids(values.to_pylist()) if _is_arrow(values) else values)
    except ValueError as error:
        raise InvalidArgumentError(f"columns[{name!r}] must be one-dimensional: {error}") from error
    if column.ndim != 1:
        raise InvalidArgumentError(f"columns[{name!r}] must be one-dimensional, got shape {column.shape}")
    if column.dtype.kind == "O" and all(isinstance(value, str) for value in column):
        column = column.astype(np.str_)
    if column.dtype.kind not in _COLUMN_KINDS:
        raise WrongTypeError(
            f"columns[{name!r}] must hold numbers, booleans or strings, got dtype {column.dtype}"
        )
    return column


def _is_arrow(values: Any) -> bool:
    return hasattr(values, "__arrow_c_array__") and hasattr(values, "to_pylist")


def _plain_ids(ids: list[Any]) -> list[int] | list[str]:
    """Whole numbers as they are; anything else, such as dates, as text."""
    if all(type(item) is int and abs(item) <= _LARGEST_ID for item in ids):
        return ids
    return ["" if item is None else str(item) for item in ids]


def _write_csv(file: BinaryIO, parts: Iterable[Columns]) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    is_first = True
    for part in parts:
        columns = _as_arrays(part)
        texts = chain(columns, *(values for values in columns.values() if values.dtype.kind == "U"))
        # Left to itself, csv writes a carriage return inside a cell bare in some versions of Python.
        quote_texts = any("\r" in text for text in texts)
        writer = csv.writer(
            text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if quote_texts else csv.QUOTE_MINIMAL
        )
        if is_first:
            writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
        is_first = False
    text.detach()


def _write_npz(file: BinaryIO, parts: Iterable[Columns]) -> None:
    arrays = [_as_arrays(part) for part in parts]
    with zipfile.ZipFile(file, "w") as archive:
        for name in list(arrays[0]):
            values = np.concatenate([part.pop(name) for part in arrays])
            # A ZipInfo of our own bears no time: same columns, same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


def _write_parquet(file: BinaryIO, parts: Iterable[Columns], note: Mapping[str, str]) -> None:
    pyarrow, parquet = import_pyarrow()
    writer = None
    try:
        for part in parts:
            columns = {
                name: values if _is_arrow(values) else _as_arrow(name, values)
                for name, values in part.items()
            }
            _check_lengths(columns)
            table = pyarrow.table(columns)
            if writer is None:
                schema = table.schema.with_metadata(dict(note)) if note else table.schema
                repeated = [
                    name for name, column in zip(columns, table.columns, strict=True) if _repeats(column)
                ]
                writer = parquet.ParquetWriter(file, schema, use_dictionary=repeated)
            writer.write_table(table.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _as_arrow(name: str, values: ArrayLike) -> Any:
    if isinstance(values, Texts):
        return from_texts(values.names, values.positions)
    column = _as_column(name, values)
    return from_values(column) if column.dtype.kind in "iuf" else import_pyarrow()[0].array(column)


def _repeats(column: Any) -> bool:
    """Whether the first values of a column of Arrow occur several times: a dictionary is small then."""
    first = column[:_SAMPLE]
    return len(first.unique()) * 4 <= len(first)
