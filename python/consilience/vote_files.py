"""Votes from files, labels to files: CSV and npz on NumPy alone, Parquet with pyarrow.

Every cell becomes a small code as it is read, one code for each distinct text, and each distinct text is
understood once: a million rows are mostly dictionary look-ups. All formats take this way, so that one rule,
given with `read_votes`, says what a cell means.
"""

from __future__ import annotations

import csv
import io
import os
import re
import reprlib
import zipfile
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NoReturn, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.container import write_atomically
from consilience.exceptions import FileFormatError, InvalidArgumentError, WrongTypeError, listed
from consilience.optional import require

VoteTable: TypeAlias = NDArray[np.integer[Any]]
Classes: TypeAlias = Sequence[Hashable] | Mapping[str, Sequence[Hashable]]

_ABSTAIN = -1
_LARGEST_VOTE = int(np.iinfo(np.int32).max)
_COLUMN_KINDS = "biufU"  # booleans, integers, floats, strings
_NPZ_TABLES = ("votes", "L")
_ID_COLUMNS = frozenset(("", "id", "item", "item_id", "__index_level_0__"))
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?(e[-+]?\d+)?|inf)|nan", re.ASCII | re.IGNORECASE)


class VoteFile(TypedDict):
    """What `read_votes` found.

    Attributes
    ----------
    votes : (n_items, n_sources) integer array, or {task: such an array}
        Class indices, -1 where a source abstains. A dict where the file names tasks.
    source_names : list of str or None
        None where an npz file names no sources.
    ids : list or None
        One a row where the file has a column of them.
    classes : list, {task: list or None}, or None
        Class names in the order of the indices; None where the file has indices and the caller gave no names.
    """

    votes: VoteTable | dict[str, VoteTable]
    source_names: list[str] | None
    ids: list[Any] | None
    classes: list[Hashable] | dict[str, list[Hashable] | None] | None


def read_votes(path: str | os.PathLike[str], *, classes: Classes | None = None) -> VoteFile:
    """Votes in a ``.csv``, ``.npz`` or ``.parquet`` file.

    CSV and Parquet have one column a source and one row an item. A first column named ``item``, ``item_id``,
    ``id`` or nothing holds ids (in Parquet also a last one). Columns named ``task:source``, if all are, make
    one table a task over the same sources; a missing column abstains. An npz file has the table as ``votes``,
    ``L`` or its only two-dimensional array, or one array ``votes/<task>`` a task; ``source_names`` and
    ``ids`` may be there.

    An empty cell, a null and -1 abstain. If all other cells of a task are whole numbers (``1`` or ``1.0``),
    they are class indices, otherwise all are class names, sorted. With `classes`, the cells are these names
    if they can be, and indices if not; numbers of a binary format are always indices.

    Parameters
    ----------
    path : path-like
        The file; its ending says the format.
    classes : sequence, or {task: sequence}, optional
        Class names in the order of the indices; None reads them from the file.

    Returns
    -------
    VoteFile
        A dict with ``votes``, ``source_names``, ``ids`` and ``classes``.

    Raises
    ------
    FileFormatError
        If the file is damaged, a line is ragged, or a cell is no vote; names file, line or row, and column.
    InvalidArgumentError
        If the ending is another one, or `classes` does not match the tasks.
    MissingDependencyError
        If the file is Parquet and pyarrow is missing.
    OSError
        If it cannot be opened; ``FileNotFoundError`` if there is none.
    """
    readers = {".csv": _read_csv, ".npz": _read_npz, ".parquet": _read_parquet}
    return readers[format_of(path)](os.fspath(path), classes)


def write_labels(path: str | os.PathLike[str], columns: Mapping[str, ArrayLike]) -> None:
    """Write columns to a ``.csv``, ``.npz`` or ``.parquet`` file, wholly or not at all.

    Numbers keep every digit. An npz file holds one array a column.

    Parameters
    ----------
    path : path-like
        Where to write; its ending says the format.
    columns : {name: (n_items,) array or sequence}
        Numbers, booleans or strings, one kind a column.

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
    writers = {".csv": _write_csv, ".npz": _write_npz, ".parquet": _write_parquet}
    write = writers[format_of(path)]
    arrays = {name: _as_column(name, values) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise InvalidArgumentError(f"columns must be there and have equal lengths, got {lengths}")
    write_atomically(path, lambda file: write(file, arrays))


def format_of(path: str | os.PathLike[str]) -> str:
    """Ending that says a file's format: ``.csv``, ``.npz`` or ``.parquet``.

    Raises
    ------
    InvalidArgumentError
        If it is another one.
    """
    ending = Path(path).suffix.lower()
    if ending not in (".csv", ".npz", ".parquet"):
        raise InvalidArgumentError(
            f"path must end in .csv, .npz or .parquet, got {os.fspath(path)!r}; rename it"
        )
    return ending


def _as_column(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        column = np.asarray(values)
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


# What cells mean, whatever the format


@dataclass(frozen=True)
class _Cells:
    """A table of texts, ``texts[codes[row, column]]``, and where its columns belong."""

    path: str
    codes: NDArray[np.int32]
    texts: list[str]
    owners: list[tuple[str, str]]  # task and source of each column; task "" if the file names no tasks
    is_text: bool  # class names are possible: not in a file of numbers
    place: Callable[[int], str]

    def refuse(self, columns: Sequence[int], text: str, rule: str) -> NoReturn:
        """Raise an error that points at the first cell with that text in these columns."""
        same = [code for code, other in enumerate(self.texts) if other == text]
        row, column = np.argwhere(np.isin(self.codes[:, columns], same))[0]
        name = ":".join(filter(None, self.owners[columns[column]]))
        where = f"{self.path}, {self.place(int(row))}, column {name!r}"
        raise FileFormatError(f"{where}: found {reprlib.repr(text)}, expected {rule}")


class _Codes(dict[str, int]):
    """A number for each text, given when it is first asked for; 0 is the empty text."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code

    def of(self, distinct: Iterable[object], inverse: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Codes of the texts of ``distinct[inverse]``; an inverse of -1 is the empty text."""
        known = [self[str(value)] for value in distinct]
        return np.take(np.array([*known, 0], np.int32), inverse)

    def texts(self) -> list[str]:
        """Texts in the order of their codes, without blanks around them: some may be equal then."""
        return [text.strip() for text in self]


def _owners(path: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Task and source of columns named ``source``, or all of them ``task:source``."""
    parts = [name.partition(":") for name in columns]
    if not any(colon for _, colon, _ in parts):
        return [("", name) for name in columns]
    for task, colon, source in parts:
        if not (task and colon and source):
            raise FileFormatError(
                f"{path}: column {task + colon + source!r} is not named task:source as others are; rename it"
            )
    return [(task, source) for task, _, source in parts]


def _votes(cells: _Cells, ids: list[Any] | None, classes: Classes | None) -> VoteFile:
    """Tables of votes by task, over the same sources."""
    if not len(cells.codes):
        raise FileFormatError(f"{cells.path} has no items; give it one row an item")
    source_names = list(dict.fromkeys(source for _, source in cells.owners))
    position = {source: j for j, source in enumerate(source_names)}
    tables: dict[str, VoteTable] = {}
    names: dict[str, list[Hashable] | None] = {}
    for task in dict.fromkeys(task for task, _ in cells.owners):
        columns = [column for column, owner in enumerate(cells.owners) if owner[0] == task]
        votes, names[task] = _decode(cells, columns, _classes_of(cells.path, task, classes))
        tables[task] = np.full((len(votes), len(source_names)), _ABSTAIN, votes.dtype)
        tables[task][:, [position[cells.owners[column][1]] for column in columns]] = votes
    if "" in tables:
        return VoteFile(votes=tables[""], source_names=source_names, ids=ids, classes=names[""])
    return VoteFile(votes=tables, source_names=source_names, ids=ids, classes=names)


def _classes_of(path: str, task: str, classes: Classes | None) -> list[Hashable] | None:
    """Class names that the caller gave for a task of the file; the file names no task where it is ""."""
    if classes is None:
        return None
    if isinstance(classes, Mapping):
        if task in classes:
            return list(classes[task])
        if not task and len(classes) == 1:  # one task, whatever it is called
            return list(next(iter(classes.values())))
        about = f"the task {task!r}" if task else "one task without a name"
        raise InvalidArgumentError(f"{path} is about {about}, but classes are given for {listed(classes)}")
    if task:
        raise InvalidArgumentError(
            f"{path} is about the task {task!r}; give its class names as {{{task!r}: [...]}}"
        )
    return list(classes)


def _decode(
    cells: _Cells, columns: Sequence[int], classes: list[Hashable] | None
) -> tuple[VoteTable, list[Hashable] | None]:
    """Votes in some columns, and their class names, by the rule of `read_votes`."""
    codes = cells.codes[:, columns]
    used = np.flatnonzero(np.bincount(codes.ravel(), minlength=len(cells.texts)))
    numbers = {cells.texts[code]: _number(cells.texts[code]) for code in used}
    voting = {text: number for text, number in numbers.items() if text and number != _ABSTAIN}
    by_name = {str(name): index for index, name in enumerate(classes or ())} if cells.is_text else {}

    vote_of: dict[str, int] = {}
    if classes is not None and voting.keys() <= by_name.keys():
        vote_of = {text: by_name[text] for text in voting}
    elif None not in voting.values():
        top = _LARGEST_VOTE if classes is None else len(classes) - 1
        for text, number in voting.items():
            if number is None or not (number.is_integer() and 0 <= number <= top):
                allowed = "0, 1, 2, ..." if classes is None else f"0..{top}"
                cells.refuse(columns, text, f"a class index of {allowed}, or -1 or nothing to abstain")
            vote_of[text] = int(number)
    elif classes is not None:
        unknown = next(text for text in voting if text not in by_name)
        cells.refuse(columns, unknown, f"one of the class names {listed(by_name)}, or nothing to abstain")
    else:
        classes = [*sorted(voting)]
        vote_of = {text: index for index, text in enumerate(sorted(voting))}

    top = max(vote_of.values(), default=0)
    dtype = next(dtype for dtype in (np.int8, np.int16, np.int32) if top <= np.iinfo(dtype).max)
    vote_of_code = np.array([vote_of.get(text, _ABSTAIN) for text in cells.texts], dtype)
    return vote_of_code[codes], classes


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _check_names(path: str, columns: Sequence[str]) -> None:
    if not columns:
        raise FileFormatError(f"{path} has no column of votes; give it one column a source")
    seen: set[str] = set()
    for name in columns:
        if not name or name in seen:
            problem = "appears twice" if name else "has no name"
            raise FileFormatError(f"{path}: column {name!r} {problem}; give every source a name of its own")
        seen.add(name)


# CSV


def _read_csv(path: str, classes: Classes | None) -> VoteFile:
    codes = _Codes()
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            rows = _CsvRows(path, reader)
            flat = np.fromiter(map(codes.__getitem__, chain.from_iterable(rows)), np.int32)
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
        except csv.Error as error:
            raise FileFormatError(
                f"{path}, line {reader.line_num}: {error}; check the quotes there"
            ) from error
    cells = _Cells(
        path=path,
        codes=flat.reshape(-1, len(rows.columns)),
        texts=codes.texts(),
        owners=_owners(path, rows.columns),
        is_text=True,
        place=lambda row: f"line {rows.lines[row]}",
    )
    return _votes(cells, rows.ids, classes)


class _CsvRows:
    """Rows after the header, all of its length, without ids; `ids` and `lines` grow along the way."""

    def __init__(self, path: str, reader: Any) -> None:
        header = [name.strip() for name in next(reader, [])]
        for delimiter, word in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and delimiter in header[0]:
                raise FileFormatError(f"{path}, line 1: {word} separate the columns; separate them by commas")
        self.ids: list[Any] | None = [] if header and header[0].lower() in _ID_COLUMNS else None
        self.columns = header if self.ids is None else header[1:]
        self.lines = array("q")
        self._path = path
        self._reader = reader
        _check_names(path, self.columns)

    def __iter__(self) -> Iterator[list[str]]:
        length = len(self.columns) + (self.ids is not None)
        line = self._reader.line_num + 1
        for row in self._reader:
            if len(row) != length:
                self._end_or_refuse(row, line, length)
                return
            self.lines.append(line)
            line = self._reader.line_num + 1
            if self.ids is not None:
                self.ids.append(row.pop(0))
            yield row

    def _end_or_refuse(self, row: list[str], line: int, length: int) -> None:
        """Accept blank lines at the end of the file, and no other row of the wrong length."""
        if row or any(self._reader):
            found = f"has {len(row)} cells where the header has {length}" if row else "is blank"
            raise FileFormatError(
                f"{self._path}, line {line} {found}; give every item a cell for each column, empty to abstain"
            )


def _write_csv(file: BinaryIO, columns: Mapping[str, NDArray[Any]]) -> None:
    texts = chain(columns, *(values for values in columns.values() if values.dtype.kind == "U"))
    # Left to itself, csv writes a carriage return inside a cell bare in some versions of Python.
    quote_texts = any("\r" in text for text in texts)
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if quote_texts else csv.QUOTE_MINIMAL
    )
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    text.detach()


# NumPy's npz


def _read_npz(path: str, classes: Classes | None) -> VoteFile:
    with open(path, "rb") as file:
        try:
            arrays = _load(file)
        except Exception as error:  # zipfile, zlib and numpy raise a dozen types on damaged bytes
            raise FileFormatError(
                f"{path} is no npz file of plain arrays that can be read; write it again with numpy.savez"
            ) from error
    tables = _tables(path, arrays)
    n_items, n_sources = next(iter(tables.values())).shape
    given = _list(path, arrays, "source_names", n_sources)
    source_names = [str(source) for source in (range(n_sources) if given is None else given)]
    _check_names(path, source_names)
    codes = _Codes()
    encoded = [codes.of(*_distinct(path, task, table)) for task, table in tables.items()]
    cells = _Cells(
        path=path,
        codes=np.hstack(encoded),
        texts=codes.texts(),
        owners=[(task, source) for task in tables for source in source_names],
        is_text=any(table.dtype.kind == "U" for table in tables.values()),
        place=lambda row: f"row {row}",
    )
    votes = _votes(cells, _list(path, arrays, "ids", n_items), classes)
    if given is None:
        votes["source_names"] = None
    return votes


def _load(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Arrays that matter: a file may hold others, perhaps pickled ones that would be refused."""
    with np.load(file, allow_pickle=False) as archive:
        tables = [name for name in archive.files if name in _NPZ_TABLES or name.startswith("votes/")]
        about = [name for name in archive.files if name in ("source_names", "ids")]
        return {name: archive[name] for name in (tables + about if tables else archive.files)}


def _tables(path: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Tables of votes by task, all of one shape."""
    tables = {
        name.removeprefix("votes/"): table for name, table in arrays.items() if name.startswith("votes/")
    }
    if not tables:
        named = [arrays[name] for name in _NPZ_TABLES if name in arrays]
        square = named[:1] or [table for table in arrays.values() if table.ndim == 2]
        if len(square) != 1:
            raise FileFormatError(f"{path} holds the arrays {list(arrays)}; name the table of votes 'votes'")
        tables = {"": square[0]}
    shapes = {table.shape for table in tables.values()}
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise FileFormatError(f"{path}: votes must have one shape (n_items, n_sources), got {sorted(shapes)}")
    return tables


def _list(path: str, arrays: Mapping[str, NDArray[Any]], name: str, length: int) -> list[Any] | None:
    if name not in arrays:
        return None
    if arrays[name].shape != (length,):
        raise FileFormatError(f"{path}: {name} must have shape ({length},), got {arrays[name].shape}")
    return list(arrays[name].tolist())


def _distinct(path: str, task: str, table: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Distinct values of a table, and for each cell the position of its value there."""
    if table.dtype.kind not in _COLUMN_KINDS:
        name = f"votes/{task}" if task else "votes"
        raise FileFormatError(f"{path}: {name} has dtype {table.dtype}; save integers, booleans or strings")
    numbers = table.astype(np.int8) if table.dtype.kind == "b" else table
    distinct, inverse = np.unique(numbers, return_inverse=True)
    return distinct, inverse.reshape(table.shape)


def _write_npz(file: BinaryIO, columns: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in columns.items():
            # A ZipInfo of our own bears no time: same columns, same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)


# Parquet


def _read_parquet(path: str, classes: Classes | None) -> VoteFile:
    pyarrow, parquet = _pyarrow()
    with open(path, "rb") as file:
        try:
            table = parquet.ParquetFile(file).read()
            table.validate(full=True)
            names = [name.strip() for name in table.column_names]
            ends = sorted({0, len(names) - 1}) if names else []  # pandas writes its index last
            id_column = next((end for end in ends if names[end].lower() in _ID_COLUMNS), None)
            ids = None if id_column is None else table.column(id_column).to_pylist()
            voting = [column for column in range(len(names)) if column != id_column]
            distinct = [_distinct_arrow(path, names[column], table.column(column)) for column in voting]
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FileFormatError(
                f"{path} is no Parquet file that can be read ({error}); write it again"
            ) from error
    source_columns = [names[column] for column in voting]
    _check_names(path, source_columns)
    codes = _Codes()
    cells = _Cells(
        path=path,
        codes=np.column_stack([codes.of(*column) for column in distinct]),
        texts=codes.texts(),
        owners=_owners(path, source_columns),
        is_text=any(isinstance(value, str) for values, _ in distinct for value in values),
        place=lambda row: f"row {row}",
    )
    return _votes(cells, ids, classes)


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    wanted = {"install": "consilience[frames]", "purpose": "A Parquet file"}
    return require("pyarrow", **wanted), require("pyarrow.parquet", **wanted)


def _distinct_arrow(path: str, name: str, column: Any) -> tuple[list[Any], NDArray[np.integer[Any]]]:
    """Distinct values of a column, and for each row the position of its value there, -1 for a null."""
    types = _pyarrow()[0].types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type) or types.is_null(column.type):
        column = column.cast("int8")
    if not any(
        known(column.type)
        for known in (types.is_integer, types.is_floating, types.is_string, types.is_large_string)
    ):
        raise FileFormatError(
            f"{path}: column {name!r} holds {column.type}; save integers, booleans or strings"
        )
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _write_parquet(file: BinaryIO, columns: Mapping[str, NDArray[Any]]) -> None:
    pyarrow, parquet = _pyarrow()
    parquet.write_table(
        pyarrow.table({name: pyarrow.array(values) for name, values in columns.items()}), file
    )
