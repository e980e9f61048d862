"""Votes in chunks, from any form that holds or brings them: tables, files, streams of Arrow, iterators.

A chunk is checked as it comes and forgotten when the next one does, so that a run over it takes the memory of
one chunk, whatever the number of items.
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from consilience.arrow_columns import import_pyarrow
from consilience.arrow_votes import ArrowColumns, ArrowVotes, ParquetVotes, find_meanings, texts_in_files
from consilience.exceptions import (
    ConsilienceError,
    InvalidArgumentError,
    InvalidVotesError,
    WrongTypeError,
    listed,
)
from consilience.task_graph import TaskGraph
from consilience.vote_files import read_votes
from consilience.vote_texts import Meaning
from consilience.votes import Votes, as_votes, refuse_missing

__all__ = [
    "Chunk",
    "Form",
    "Meanings",
    "ParquetRun",
    "VoteChunks",
    "are_parquet",
    "is_stream",
    "open_chunks",
    "open_parquet",
    "parquet_files",
]

CHUNK_BYTES = 2**22
"""Votes of a chunk, at a byte each, and the answer for it, at eight bytes a number, take about this much."""

MIN_ROWS, MAX_ROWS = 2**10, 2**18

Names: TypeAlias = Sequence[Hashable]

Meanings: TypeAlias = Mapping[str, Meaning | None]
"""What the texts of each task stand for; None where each batch says it well enough."""


@dataclass(frozen=True)
class Form:
    """What is known of the votes before they are read.

    Attributes
    ----------
    n_classes, classes, task_graph
        As for ``LabelModel``; at most one.
    sources : tuple of str or None
        Names that columns with names are matched with; by default those of the first chunk.
    takes_others : bool
        Whether further sources may be there, and are left out; otherwise they are an error.
    answer_width : int
        Numbers that will be computed for each item: bounds the rows of a chunk.
    with_ids : bool
        Whether to read what names the items.
    """

    n_classes: int | None = None
    classes: Names | None = None
    task_graph: TaskGraph | None = None
    sources: tuple[str, ...] | None = None
    takes_others: bool = False
    answer_width: int = 0
    with_ids: bool = False

    def names(self) -> Names | Mapping[str, Names] | None:
        """Class names as the caller gave them."""
        return self.classes if self.task_graph is None else self.task_graph.classes

    def n_rows(self, width: int) -> int:
        """Rows of a chunk, where a row has so many votes."""
        return max(MIN_ROWS, min(MAX_ROWS, CHUNK_BYTES // max(width, 8 * self.answer_width, 1)))

    def matched(self, votes: Votes) -> Votes:
        """The votes of the sources that are asked for, in their order."""
        if self.sources is None or votes.source_names is None:
            return votes
        self.check(votes.source_names, votes.origin)
        return votes.of_sources(self.sources)

    def check(self, found: Sequence[str], where: str) -> None:
        """Raise InvalidVotesError unless the sources found are those that are asked for."""
        if self.sources is None:
            return
        refuse_missing(self.sources, found, where)
        others = [name for name in found if name not in set(self.sources)]
        if others and not self.takes_others:
            raise InvalidVotesError(
                f"{where}: the sources {listed(others)} are not among {listed(self.sources)}, those of the "
                "votes before; give every part the same sources"
            )


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive items.

    Attributes
    ----------
    votes : Votes
        Perhaps on no items.
    ids : list, array of Arrow, or None
        What names the items, where a file says so.
    """

    votes: Votes
    ids: Any = None

    def split(self, n_rows: int) -> Iterator[Chunk]:
        """The same items in chunks of so many rows."""
        if self.votes.n_items <= n_rows:
            yield self
            return
        for begin in range(0, self.votes.n_items, n_rows):
            end = min(begin + n_rows, self.votes.n_items)
            yield Chunk(self.votes.rows(begin, end), None if self.ids is None else self.ids[begin:end])


@dataclass(frozen=True, eq=False)
class VoteChunks:
    """Votes that come in chunks; iterate for them, once if that is all their origin allows.

    Attributes
    ----------
    read : callable
        Gives a fresh iterator of chunks.
    n_items : int or None
        Number of items, where it is known beforehand.
    source_names : tuple of str or None
        Names of the sources, where they are known beforehand.
    """

    read: Callable[[], Iterator[Chunk]]
    n_items: int | None = None
    source_names: tuple[str, ...] | None = None

    def __iter__(self) -> Iterator[Chunk]:
        return self.read()


def is_stream(votes: Any) -> bool:
    """Whether votes come in chunks: Parquet files, a stream of Arrow, an iterator, or what gives one."""
    if isinstance(votes, (str, os.PathLike)):
        return are_parquet(votes)
    if isinstance(votes, (Votes, Mapping)) or hasattr(votes, "__array__"):
        return False
    return _is_arrow_stream(votes) or isinstance(votes, Iterator) or callable(votes)


def are_parquet(votes: Any) -> bool:
    """Whether votes are in Parquet files: a path, a glob or a folder."""
    if not isinstance(votes, (str, os.PathLike)):
        return False
    name = os.fspath(votes)
    is_glob = glob.has_magic(name) and not os.path.isfile(name)
    return os.path.isdir(name) or Path(name).suffix.lower() == ".parquet" or is_glob


def open_chunks(votes: Any, form: Form, *, n_threads: int | None = None) -> VoteChunks:
    """Votes of any accepted form in chunks.

    Parameters
    ----------
    votes
        What ``LabelModel.fit`` takes, but for statistics.
    form : Form
        What is known of them.
    n_threads : int, optional
        With 1, Parquet files are read on the caller's thread. With more, or None, they are read one chunk
        ahead, on a thread of its own, and Arrow decodes them on as many as it likes: its pool is that of the
        process (``pyarrow.set_cpu_count``), and not changed here.

    Raises
    ------
    ConsilienceError
        If the votes are not of an accepted form; what is wrong with a chunk is said when it comes.
    OSError
        If a file cannot be opened.
    """
    if isinstance(votes, (str, os.PathLike)):
        if are_parquet(votes):
            return open_parquet(parquet_files(votes), form, n_threads=n_threads).chunks()
        return _of_file(votes, form)
    if not is_stream(votes):
        read = form.matched(
            as_votes(
                votes,
                n_classes=form.n_classes,
                classes=form.classes,
                task_graph=form.task_graph,
                sources=form.sources,
            )
        )
        return _of_one(Chunk(read), form)
    if _is_arrow_stream(votes):
        votes = import_pyarrow()[0].RecordBatchReader.from_stream(votes)
    if isinstance(votes, Iterator):
        return VoteChunks(lambda: _parts(votes, form))
    return VoteChunks(lambda: _fresh_parts(votes, form))


def parquet_files(path: str | os.PathLike[str]) -> list[str]:
    """Files that a path, a glob or a folder of Parquet files stands for, sorted by name.

    Raises
    ------
    FileNotFoundError
        If there is none.
    InvalidArgumentError
        If a file does not end in ``.parquet``.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        name = os.path.join(glob.escape(name), "**", "*.parquet")
    elif not glob.has_magic(name) or os.path.exists(name):
        return [name]
    else:
        name = _with_literal_folders(name)
    # Hidden files are what other programs, and this one, write before they are done.
    found = sorted(file for file in glob.glob(name, recursive=True) if os.path.isfile(file))
    if not found:
        raise FileNotFoundError(errno.ENOENT, "no file matches", os.fspath(path))
    for file in found:
        if Path(file).suffix.lower() != ".parquet":
            raise InvalidArgumentError(
                f"{os.fspath(path)!r} matches {file!r}; only .parquet files are read together"
            )
    return found


def _with_literal_folders(pattern: str) -> str:
    """A pattern whose folders that exist under that very name are no patterns, such as ``votes[1]``."""
    folder, rest = os.path.split(pattern)
    while folder and not os.path.isdir(folder):
        folder, last = os.path.split(folder)
        rest = os.path.join(last, rest)
    return os.path.join(glob.escape(folder), rest) if folder else pattern


@dataclass(frozen=True, eq=False)
class ParquetRun:
    """Parquet files whose columns have been looked at, to be read one after the other.

    Attributes
    ----------
    files : tuple of ParquetVotes
        At least one.
    form : Form
        What is known of the votes, the sources included.
    n_threads : int or None
        As for :func:`open_chunks`.
    known : {task: Meaning or None}, optional
        What the texts stand for, where an earlier run over the same files has found it.
    """

    files: tuple[ParquetVotes, ...]
    form: Form
    n_threads: int | None = None
    known: Meanings | None = None

    @property
    def n_items(self) -> int:
        """Rows of all files."""
        return sum(file.n_items for file in self.files)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Sources in the order of the votes."""
        assert self.form.sources is not None
        return self.form.sources

    @cached_property
    def meanings(self) -> Meanings:
        """What the texts of each task stand for; may take a pass over all columns of texts."""
        if self.known is not None:
            return self.known
        return find_meanings(
            self._columns,
            self.form.names(),
            lambda task: texts_in_files(self.files, task, self._n_rows),
        )

    def chunks(self, begin: int = 0) -> VoteChunks:
        """The votes from an item on; files and row groups before it are not read."""
        return VoteChunks(
            (lambda: self._read(begin)) if self.n_threads == 1 else lambda: _read_ahead(self._read(begin)),
            self.n_items,
            self.source_names,
        )

    @cached_property
    def _columns(self) -> list[ArrowColumns]:
        return [file.columns.of_sources(self.source_names) for file in self.files]

    @property
    def _n_rows(self) -> int:
        return self.form.n_rows(len(self.source_names) * len(self._columns[0].tasks))

    def _read(self, begin: int) -> Iterator[Chunk]:
        form, meanings = self.form, self.meanings
        for file, columns in zip(self.files, self._columns, strict=True):
            first_row, begin = begin, max(0, begin - file.n_items)
            if first_row and first_row >= file.n_items:
                continue
            reader = ArrowVotes(columns, self.source_names, meanings, form.names(), form.n_classes)
            ids = columns.id_column if form.with_ids else None
            read = [*columns.owners, *([] if ids is None else [ids])]
            for batch in file.batches(read, self._n_rows, first_row, n_threads=self.n_threads):
                of_batch = None if ids is None else batch.column(batch.schema.names.index(columns.names[ids]))
                yield Chunk(reader.read(batch, first_row), of_batch)
                first_row += batch.num_rows


def open_parquet(
    files: Sequence[str], form: Form, *, n_threads: int | None = None, known: Meanings | None = None
) -> ParquetRun:
    """Votes of Parquet files, one after the other.

    The columns of all files are checked before the first is read.
    """
    opened: list[ParquetVotes] = []
    for path in files:
        file = ParquetVotes.open(path)
        if form.sources is None:
            form = replace(form, sources=file.source_names)
        form.check(file.source_names, path)
        if opened and not form.takes_others:
            file.columns.check_same(opened[0].columns)
        if opened and form.with_ids and file.id_type != opened[0].id_type:
            raise InvalidVotesError(
                f"{path} has ids of type {file.id_type}, {opened[0].path} of type {opened[0].id_type}; "
                "give all files the same column of ids, or none"
            )
        opened.append(file)
    return ParquetRun(tuple(opened), form, n_threads, known)


def _is_arrow_stream(votes: Any) -> bool:
    """Whether it brings batches of Arrow; frames, which hold them, do not count."""
    return hasattr(votes, "__arrow_c_stream__") and not hasattr(votes, "columns")


def _of_file(path: str | os.PathLike[str], form: Form) -> VoteChunks:
    found = read_votes(path, classes=form.names())
    read = Votes.of_file(found, origin=os.fspath(path))
    return _of_one(Chunk(form.matched(read), found["ids"]), form)


def _of_one(chunk: Chunk, form: Form) -> VoteChunks:
    votes = chunk.votes
    rows = form.n_rows(votes.n_sources * len(votes.tasks))
    return VoteChunks(lambda: chunk.split(rows), votes.n_items, votes.source_names)


def _parts(parts: Iterable[Any], form: Form) -> Iterator[Chunk]:
    """Chunks of an iterator: batches of Arrow, or whatever :func:`as_votes` takes."""
    batches: ArrowVotes | None = None
    n_sources: int | None = None
    for number, part in enumerate(parts):
        origin = f"chunk {number}"
        if _is_batch(part):
            if batches is None or list(part.schema.names) != batches.columns.names:
                batches = _batch_reader(origin, part.schema, form)
            n_rows = form.n_rows(len(batches.sources) * len(batches.columns.tasks))
            for begin in range(0, part.num_rows, n_rows):
                yield Chunk(batches.read(part.slice(begin, n_rows), begin))
            form = replace(form, sources=batches.sources)
            continue
        try:
            votes = as_votes(
                part,
                n_classes=form.n_classes,
                classes=form.classes,
                task_graph=form.task_graph,
                sources=form.sources if form.takes_others else None,
            )
            votes = form.matched(votes)
        except ConsilienceError as error:
            raise type(error)(f"{origin}: {error}") from error
        if form.names() is None and not isinstance(part, Votes) and _names_of(votes):
            raise InvalidVotesError(
                f"{origin} holds class names, which must be known before: give classes, in their order"
            )
        if n_sources not in (None, votes.n_sources):
            raise InvalidVotesError(
                f"{origin} has {votes.n_sources} sources (columns), those before have {n_sources}; give "
                "every chunk the same ones"
            )
        n_sources = votes.n_sources
        if form.sources is None and votes.source_names is not None:
            form = replace(form, sources=votes.source_names)
        yield from Chunk(votes.called(origin)).split(form.n_rows(votes.n_sources * len(votes.tasks)))


def _fresh_parts(give: Callable[[], Any], form: Form) -> Iterator[Chunk]:
    """Chunks of what gives a fresh iterator, with the class names of all if there are some."""
    if form.names() is None:
        names: set[Hashable] = set()
        for number, part in enumerate(_iterator(give)):
            if _is_batch(part) or isinstance(part, Votes):
                break  # batches say themselves what they lack, Votes have their names
            found = _names_of(as_votes(part, n_classes=form.n_classes))
            if number == 0 and found is None:
                break
            names.update(found or ())
        if names:
            form = replace(form, classes=sorted(names, key=str))
    yield from _parts(_iterator(give), form)


def _iterator(give: Callable[[], Any]) -> Iterator[Any]:
    given = give()
    if not isinstance(given, Iterable):
        raise WrongTypeError(
            f"votes is callable and must return an iterator of chunks of votes, got {type(given).__name__}"
        )
    return iter(given)


def _names_of(votes: Votes) -> list[Hashable] | None:
    """Class names of a single task that were read from the votes."""
    return votes.classes[votes.tasks[0]] if len(votes.tasks) == 1 else None


def _is_batch(part: Any) -> bool:
    return hasattr(part, "__arrow_c_array__") and hasattr(part, "schema")


def _batch_reader(origin: str, schema: Any, form: Form) -> ArrowVotes:
    columns = ArrowColumns.of(origin, schema)
    form.check(columns.source_names, origin)
    sources = form.sources or columns.source_names
    columns = columns.of_sources(sources)
    meanings = find_meanings([columns], form.names(), None)
    return ArrowVotes(columns, sources, meanings, form.names(), form.n_classes)


def _read_ahead(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks, each read while the one before is worked on."""
    from concurrent.futures import ThreadPoolExecutor  # not for every import of the package

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(next, chunks, None)
        while (chunk := ahead.result()) is not None:
            ahead = pool.submit(next, chunks, None)
            yield chunk
