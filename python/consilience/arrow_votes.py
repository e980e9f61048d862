"""Votes in batches of Arrow, from Parquet files or streams, by the rule of ``vote_files.read_votes``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.arrow_columns import check_type, distinct_texts, import_pyarrow, is_text, whole_numbers
from consilience.exceptions import FileFormatError, InvalidVotesError, listed
from consilience.vote_files import id_column_of
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
from consilience.votes import SINGLE_TASK, Table, Votes

__all__ = ["ArrowColumns", "ArrowVotes", "ParquetVotes", "find_meanings", "texts_in_files"]

_END = 64 * 1024
"""Bytes at the end of a Parquet file that tell it from others: its footer knows each column."""

_BUFFER = 2**20
"""Bytes of a column that are read at once: not all of a row group, which may be large."""


@dataclass(frozen=True, eq=False)
class ArrowColumns:
    """What the columns of a schema stand for.

    Attributes
    ----------
    origin : str
        Path of the file, or what messages call the stream.
    names : list of str
        Of all columns, as they are.
    owners : {int: (str, str)}
        Task and source of each column of votes; the task is "" where none is named.
    id_column : int or None
        The one that names the items.
    text_tasks : frozenset of str
        Tasks with a column that may hold class names.
    """

    origin: str
    names: list[str]
    owners: dict[int, tuple[str, str]]
    id_column: int | None
    text_tasks: frozenset[str]

    @classmethod
    def of(cls, origin: str, schema: Any) -> ArrowColumns:
        """From a schema of Arrow.

        Raises
        ------
        FileFormatError
            If a column has no name of its own or holds what cannot be votes, or there is none.
        """
        names = [name.strip() for name in schema.names]
        id_column = id_column_of(names)
        voting = [column for column in range(len(names)) if column != id_column]
        check_names(origin, [names[column] for column in voting])
        for column in voting:
            check_type(origin, names[column], schema.types[column])
        owners = dict(zip(voting, owners_of(origin, [names[column] for column in voting]), strict=True))
        text = frozenset(task for column, (task, _) in owners.items() if is_text(schema.types[column]))
        return cls(origin, list(schema.names), owners, id_column, text)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks in the order of their first columns."""
        return tuple(dict.fromkeys(task for task, _ in self.owners.values()))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Sources in the order of their first columns."""
        return tuple(dict.fromkeys(source for _, source in self.owners.values()))

    def of_task(self, task: str) -> dict[int, str]:
        """Source of each column of a task."""
        return {column: source for column, (own, source) in self.owners.items() if own == task}

    def of_sources(self, sources: Sequence[str]) -> ArrowColumns:
        """Without the columns of other sources."""
        wanted = set(sources)
        owners = {column: owner for column, owner in self.owners.items() if owner[1] in wanted}
        return ArrowColumns(self.origin, self.names, owners, self.id_column, self.text_tasks)

    def check_same(self, other: ArrowColumns) -> None:
        """Raise InvalidVotesError unless both have columns for the same tasks and sources."""
        own, expected = set(self.owners.values()), set(other.owners.values())
        for there, missing, where in ((expected, own, self), (own, expected, other)):
            lacking = sorted(there - missing)
            if lacking:
                names = [":".join(filter(None, owner)) for owner in lacking]
                raise InvalidVotesError(
                    f"{where.origin} lacks the columns {listed(names)} that "
                    f"{(other if where is self else self).origin} has; add them, null where a source abstains"
                )


@dataclass(frozen=True, eq=False)
class ArrowVotes:
    """Reads batches with the same columns as votes.

    Attributes
    ----------
    columns : ArrowColumns
        Of the batches.
    sources : tuple of str
        Order of the sources in the votes.
    meanings : {task: Meaning or None}
        What texts stand for; None where each batch says it well enough.
    classes
        As the caller gave them.
    n_classes : int or None
        Of a single task.
    """

    columns: ArrowColumns
    sources: tuple[str, ...]
    meanings: Mapping[str, Meaning | None]
    classes: Classes | None
    n_classes: int | None

    def read(self, batch: Any, first_row: int = 0) -> Votes:
        """Votes of a batch, checked; `first_row` is its place in the file, for messages.

        Raises
        ------
        FileFormatError, InvalidVotesError
            If a cell is no vote; names file, row and column.
        """
        position = {source: j for j, source in enumerate(self.sources)}
        tables: dict[str, Table] = {}
        names: dict[str, list[Hashable] | None] = {}
        for task in self.columns.tasks:
            key, place = task or SINGLE_TASK, self.columns.of_task(task)
            found, names[key] = self._of_task(task, place, batch, first_row)
            dtype = np.result_type(np.int8, *found)
            table = np.empty((batch.num_rows, len(self.sources)), dtype, order="F")
            if len(place) < len(self.sources):
                table.fill(ABSTAINS)
            for source, column in zip(place.values(), found, strict=True):
                table[:, position[source]] = column
            tables[key] = table
        n_classes = self.n_classes if len(tables) == 1 else None
        known = {task: n_classes if names[task] is None else None for task in tables}
        return Votes(
            tables,
            batch.num_rows,
            len(self.sources),
            names,
            known,
            self.sources,
            check_labels=False,  # the pass that reads them does
            origin=self.columns.origin,
            first_row=first_row,
        )

    def _of_task(
        self, task: str, place: Mapping[int, str], batch: Any, first_row: int
    ) -> tuple[list[NDArray[np.integer[Any]]], list[Hashable] | None]:
        """Labels of a task, a column each, and its class names."""
        meaning = self.meanings[task]
        arrays = [batch.column(batch.schema.names.index(self.columns.names[column])) for column in place]
        if meaning is not None and not meaning.are_names:
            numbers = [whole_numbers(array) for array in arrays]
            plain = [column for column in numbers if column is not None]
            if len(plain) == len(arrays):
                return plain, meaning.classes
        batch.validate(full=True)
        codes = Codes()
        encoded = [
            codes.of(*distinct_texts(self.columns.origin, self.columns.names[column].strip(), array))
            for column, array in zip(place, arrays, strict=True)
        ]
        cells = VoteTexts(
            path=self.columns.origin,
            codes=np.column_stack(encoded),
            texts=codes.texts(),
            owners=[self.columns.owners[column] for column in place],
            place=lambda row: f"row {first_row + row}",
        )
        if meaning is None:
            texts = {cells.texts[code] for code in np.unique(cells.codes).tolist()}
            given = classes_of(self.columns.origin, task, self.classes)
            meaning = Meaning.of(texts, given, is_text=True)
        table: VoteTable = decode(cells, range(len(arrays)), meaning)
        return list(table.T), meaning.classes


@dataclass(frozen=True, eq=False)
class ParquetVotes:
    """A Parquet file whose columns have been looked at.

    Attributes
    ----------
    path : str
    columns : ArrowColumns
    n_items : int
        As the file says.
    id_type
        Type of the column of ids, or None.
    """

    path: str
    columns: ArrowColumns
    n_items: int
    id_type: Any

    @classmethod
    def open(cls, path: str) -> ParquetVotes:
        """Look at a file.

        Raises
        ------
        FileFormatError
            If it is damaged, or has a column that cannot hold votes.
        OSError
            If it cannot be opened.
        """
        with _reading(path) as file:
            schema, n_items = file.schema_arrow, file.metadata.num_rows
        columns = ArrowColumns.of(path, schema)
        at = columns.id_column
        return cls(path, columns, n_items, None if at is None else schema.types[at])

    @property
    def source_names(self) -> tuple[str, ...]:
        """Sources in the order of their first columns."""
        return self.columns.source_names

    def identity(self) -> dict[str, int | str]:
        """What would change if the file were written again, without reading all of it."""
        status = os.stat(self.path)
        with open(self.path, "rb") as content:
            content.seek(max(status.st_size - _END, 0))
            end = hashlib.sha256(content.read(_END)).hexdigest()
        return {"n_items": self.n_items, "size": status.st_size, "mtime_ns": status.st_mtime_ns, "end": end}

    def batches(
        self, columns: Iterable[int], n_rows: int, begin: int = 0, *, n_threads: int | None = 1
    ) -> Iterator[Any]:
        """Batches of up to so many rows of some columns from a row on, with memory for one of them.

        With more than one thread, or None, Arrow decodes on as many as it likes; its pool is the process's.
        """
        names = [self.columns.names[column] for column in columns]
        with _reading(self.path) as file:
            groups, n_read = _groups_from(begin, file.metadata) if begin else (None, 0)
            for batch in file.iter_batches(n_rows, groups, names, use_threads=n_threads != 1):
                n_before, n_read = n_read, n_read + batch.num_rows
                if n_read > self.n_items:
                    break
                if n_read > begin:
                    yield batch.slice(max(0, begin - n_before))
        if n_read != self.n_items:
            raise FileFormatError(f"{self.path} has not the {self.n_items} rows that it says; write it again")


def _groups_from(begin: int, metadata: Any) -> tuple[list[int], int]:
    """Row groups from the one that holds a row on, and how many rows those before it have."""
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    ends = np.cumsum(sizes)
    first = int(np.searchsorted(ends, begin, side="right"))
    return list(range(first, len(sizes))), int(ends[first - 1]) if first else 0


def find_meanings(
    columns: Sequence[ArrowColumns],
    classes: Classes | None,
    texts_of: Callable[[str], set[str]] | None,
) -> dict[str, Meaning | None]:
    """What the texts of each task stand for, in all of a run of batches.

    Parameters
    ----------
    columns : sequence of ArrowColumns
        Of all batches.
    classes : optional
        As the caller gave them.
    texts_of : callable or None
        Gives all distinct texts of a task; None where the batches can be read only once.

    Returns
    -------
    dict
        None for a task whose batches can be understood one by one.

    Raises
    ------
    InvalidVotesError
        If the class names cannot be known.
    """
    meanings: dict[str, Meaning | None] = {}
    for task in dict.fromkeys(task for of_file in columns for task in of_file.tasks):
        given = classes_of(columns[0].origin, task, classes)
        if not any(task in of_file.text_tasks for of_file in columns):
            meanings[task] = Meaning(given, are_names=False)
        elif given is not None and not any(looks_like_number(str(name)) for name in given):
            meanings[task] = None
        elif texts_of is not None:
            meanings[task] = Meaning.of(texts_of(task), given, is_text=True)
        elif given is None:
            raise InvalidVotesError(
                f"{columns[0].origin} may hold class names, which must be known before a stream is read; "
                "give classes (or task_graph), in their order"
            )
        else:
            meanings[task] = None
    return meanings


def texts_in_files(files: Sequence[ParquetVotes], task: str, n_rows: int) -> set[str]:
    """Distinct texts of a task, in one pass over its columns."""
    texts: set[str] = set()
    for file in files:
        columns = file.columns.of_task(task)
        for batch in file.batches(columns, n_rows) if columns else ():
            batch.validate(full=True)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                texts.update(str(text).strip() for text in distinct_texts(file.path, name, column)[0])
    return texts


@contextmanager
def _reading(path: str) -> Iterator[Any]:
    """An open Parquet file; what goes wrong while it is read names it."""
    pyarrow, parquet = import_pyarrow()
    with open(path, "rb"):  # an error that Python words
        pass
    try:
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} cannot be read as Parquet ({error}); write it again") from error
