"""Votes from files that are read whole: CSV and npz on NumPy alone, Parquet with pyarrow."""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np
from numpy.typing import NDArray

from consilience.arrow_columns import distinct_texts, import_pyarrow
from consilience.container import path_of
from consilience.exceptions import ConsilienceWarning, FileFormatError, InvalidArgumentError, warn_caller
from consilience.vote_texts import (
    ABSTAINS,
    Classes,
    Codes,
    Meaning,
    VoteTable,
    VoteTexts,
    check_names,
    classes_of,
    decode,
    looks_like_number,
    owners_of,
)

ID_COLUMNS = frozenset(("", "id", "item", "item_id", "__index_level_0__"))
_COLUMN_KINDS = "biufU"  # booleans, integers, floats, strings
_NPZ_TABLES = ("votes", "L")


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

    CSV and Parquet have one column a source and one row an item. A CSV file begins with a line of names; one
    whose first line holds numbers that are no names (``1,0``, ``1.0,2.0``, ``-1,3``) is refused. A first
    column named ``item``, ``item_id``, ``id`` or nothing holds ids (in Parquet also a last one). Columns
    named ``task:source``, if all are, make one table a task over the same sources; a missing column abstains.
    An npz file has the table as ``votes``, ``L`` or its only two-dimensional array, or one array
    ``votes/<task>`` a task; ``source_names`` and ``ids`` may be there.

    An empty cell, a null and -1 abstain. If all other cells of a task are whole numbers (``1`` or ``1.0``),
    they are class indices; if none is a number, all are class names, sorted; words among numbers are an
    error. With `classes`, the cells are these names if they can be, and indices if not; numbers of a binary
    format are always indices. In CSV ``nan``, ``NA``, ``<NA>``, ``None`` and ``null``, in any case, abstain
    among numbers, and where `classes` are given; unless a class is called so.

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
        If the file is damaged, has no line of names, a line is ragged, or a cell is no vote; names file, line
        or row, and column.
    InvalidArgumentError
        If the ending is another one, or `classes` does not match the tasks.
    MissingDependencyError
        If the file is Parquet and pyarrow is missing.
    OSError
        If it cannot be opened; ``FileNotFoundError`` if there is none.
    """
    readers = {".csv": _read_csv, ".npz": _read_npz, ".parquet": _read_parquet}
    return readers[format_of(path)](path_of(path), classes)


def format_of(path: str | os.PathLike[str]) -> str:
    """Ending that says a file's format: ``.csv``, ``.npz`` or ``.parquet``.

    Raises
    ------
    InvalidArgumentError
        If it is another one.
    WrongTypeError
        If `path` is no path.
    """
    ending = Path(path_of(path)).suffix.lower()
    if ending not in (".csv", ".npz", ".parquet"):
        raise InvalidArgumentError(
            f"path must end in .csv, .npz or .parquet, got {os.fspath(path)!r}; rename it"
        )
    return ending


def _votes(cells: VoteTexts, ids: list[Any] | None, classes: Classes | None, *, is_text: bool) -> VoteFile:
    """Tables of votes by task, over the same sources; class names are possible only if `is_text`."""
    source_names = list(dict.fromkeys(source for _, source in cells.owners))
    position = {source: j for j, source in enumerate(source_names)}
    tables: dict[str, VoteTable] = {}
    names: dict[str, list[Hashable] | None] = {}
    for task in dict.fromkeys(task for task, _ in cells.owners):
        columns = [column for column, owner in enumerate(cells.owners) if owner[0] == task]
        texts = {cells.texts[code] for code in np.unique(cells.codes[:, columns]).tolist()}
        given = classes_of(cells.path, task, classes)
        meaning = Meaning.of(texts, given, is_text=is_text, spells_nulls=cells.spells_nulls)
        votes, names[task] = decode(cells, columns, meaning), meaning.classes
        tables[task] = np.full((len(votes), len(source_names)), ABSTAINS, votes.dtype)
        tables[task][:, [position[cells.owners[column][1]] for column in columns]] = votes
    if "" in tables:
        return VoteFile(votes=tables[""], source_names=source_names, ids=ids, classes=names[""])
    return VoteFile(votes=tables, source_names=source_names, ids=ids, classes=names)


# CSV


def _read_csv(path: str, classes: Classes | None) -> VoteFile:
    codes = Codes()
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
    texts = codes.texts()
    rows.warn_of_votes_as_names(texts)
    cells = VoteTexts(
        path=path,
        codes=flat.reshape(-1, len(rows.columns)),
        texts=texts,
        owners=owners_of(path, rows.columns),
        place=lambda row: f"line {rows.lines[row]}",
        spells_nulls=True,
    )
    return _votes(cells, rows.ids, classes, is_text=True)


class _CsvRows:
    """Rows after the header, all of its length, without ids; `ids` and `lines` grow along the way."""

    def __init__(self, path: str, reader: Any) -> None:
        header = [name.strip() for name in next(reader, [])]
        for delimiter, word in ((";", "semicolons"), ("\t", "tabs")):
            if len(header) == 1 and delimiter in header[0]:
                raise FileFormatError(f"{path}, line 1: {word} separate the columns; separate them by commas")
        self.ids: list[Any] | None = [] if header and header[0].lower() in ID_COLUMNS else None
        self.columns = header if self.ids is None else header[1:]
        self.lines = array("q")
        self._path = path
        self._reader = reader
        if _look_like_votes(header):
            raise FileFormatError(
                f"{path}, line 1: {','.join(header)[:40]!r} are votes, not names; begin the file with a line "
                "of names, one a source"
            )
        check_names(path, self.columns)

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

    def warn_of_votes_as_names(self, texts: Sequence[str]) -> None:
        """Warn where every name is a vote too, by the texts of these: names may be the votes on an item."""
        names = [name.rpartition(":")[2] for name in self.columns]
        if self.lines and set(names) <= set(texts):
            warn_caller(
                f"{self._path}, line 1: {','.join(self.columns)[:40]!r} are taken for the names of the "
                "sources, and each is a vote in other lines: if they are votes, begin the file with a line "
                "of names; otherwise give the sources names that are no classes",
                ConsilienceWarning,
            )

    def _end_or_refuse(self, row: list[str], line: int, length: int) -> None:
        """Accept blank lines at the end of the file, and no other row of the wrong length."""
        if row or any(self._reader):
            found = f"has {len(row)} cells where the header has {length}" if row else "is blank"
            raise FileFormatError(
                f"{self._path}, line {line} {found}; give every item a cell for each column, empty to abstain"
            )


def _look_like_votes(header: Sequence[str]) -> bool:
    """Whether the first line of a file holds the votes on an item, perhaps after what names it.

    Numbers that are names are whole and increase, as pandas numbers columns, or follow a name of the ids.
    """
    cells = header
    if len(header) > 1 and not looks_like_number(header[0]):
        if header[0] and header[0].lower() in ID_COLUMNS:
            return False
        cells = header[1:]
    if not any(cells) or not all(looks_like_number(cell) for cell in cells if cell):
        return False
    are_names = all(cell.isascii() and cell.isdigit() for cell in cells)
    return not (are_names and all(int(one) < int(next_one) for one, next_one in pairwise(cells)))


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
    check_names(path, source_names)
    codes = Codes()
    encoded = [codes.of(*_distinct(path, task, table)) for task, table in tables.items()]
    cells = VoteTexts(
        path=path,
        codes=np.hstack(encoded),
        texts=codes.texts(),
        owners=[(task, source) for task in tables for source in source_names],
        place=lambda row: f"row {row}",
    )
    is_text = any(table.dtype.kind == "U" for table in tables.values())
    votes = _votes(cells, _list(path, arrays, "ids", n_items), classes, is_text=is_text)
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


# Parquet


def id_column_of(names: Sequence[str]) -> int | None:
    """Place of the column of ids among the columns of a Parquet file: pandas writes its index last."""
    ends = sorted({0, len(names) - 1}) if names else []
    return next((end for end in ends if names[end].lower() in ID_COLUMNS), None)


def _read_parquet(path: str, classes: Classes | None) -> VoteFile:
    pyarrow, parquet = import_pyarrow()
    with open(path, "rb") as file:
        try:
            table = parquet.ParquetFile(file).read()
            table.validate(full=True)
            names = [name.strip() for name in table.column_names]
            id_column = id_column_of(names)
            ids = None if id_column is None else table.column(id_column).to_pylist()
            voting = [column for column in range(len(names)) if column != id_column]
            distinct = [distinct_texts(path, names[column], table.column(column)) for column in voting]
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FileFormatError(
                f"{path} is no Parquet file that can be read ({error}); write it again"
            ) from error
    source_columns = [names[column] for column in voting]
    check_names(path, source_columns)
    codes = Codes()
    cells = VoteTexts(
        path=path,
        codes=np.column_stack([codes.of(*column) for column in distinct]),
        texts=codes.texts(),
        owners=owners_of(path, source_columns),
        place=lambda row: f"row {row}",
    )
    is_text = any(isinstance(value, str) for values, _ in distinct for value in values)
    return _votes(cells, ids, classes, is_text=is_text)
