"""Votes in any accepted form, checked once, as borrowed views for the compiled core."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience import _core
from consilience.arrays import as_array, refuse_lazy
from consilience.exceptions import InvalidArgumentError, InvalidVotesError, WrongTypeError, listed
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.vote_files import VoteFile, read_votes

__all__ = ["ABSTAIN", "Votes", "as_votes"]

Table: TypeAlias = NDArray[Any] | tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""A dense (n, m) table of labels, or the ``indptr, indices, data`` of a CSR table of ``label + 1``."""

Names: TypeAlias = Sequence[Hashable]

MAX_CLASSES = 10_000
MAX_ITEMS = 2**32
MAX_SOURCES = 2**20
SINGLE_TASK = "label"
_DIGITS = re.compile(r"\d{1,9}", re.ASCII).fullmatch
_UNKNOWN = (1 << 30) - 1  # cardinality while the classes are still to be read from the votes


class Votes:
    """What each source says about each item, for one task or several; ``-1`` (``ABSTAIN``) is no vote.

    Built by the ``from_*`` methods, which check every label once. Tables are borrowed, not copied, wherever
    their form allows; do not change them while a model reads them.

    Attributes
    ----------
    n_items, n_sources : int
        Shape of every table.
    source_names : tuple of str or None
        None where the sources have no names.
    tasks : tuple of str
        Tasks the tables are about; ``("label",)`` for a single task that was given no name.
    classes : dict
        Class names of each task, or None for a task whose classes are ``0..k-1``.
    cardinalities : tuple of int
        Number of classes of each task: as given, or the largest label + 1 and at least 2.
    infers_classes : bool
        Whether the number of classes of some task was read off its largest label, as nothing gave it.
    origin : str
        What messages call the votes: "votes", or the file or chunk that they come from.

    Examples
    --------
    >>> votes = Votes.from_dense([[0, 1], [1, -1], [0, 0]])
    >>> votes.n_items, votes.n_sources, votes.cardinalities
    (3, 2, (2,))
    """

    def __init__(
        self,
        tables: Mapping[str, Table],
        n_items: int,
        n_sources: int,
        classes: Mapping[str, list[Hashable] | None],
        n_classes: Mapping[str, int | None],
        source_names: Sequence[str] | None,
        *,
        check_labels: bool = True,
        origin: str | None = None,
        first_row: int = 0,
    ) -> None:
        if n_sources == 0:
            raise InvalidVotesError("votes hold no sources (0 columns); give at least one")
        self.origin = "votes" if origin is None else origin
        self._first_row = first_row
        self.n_items = n_items
        self.n_sources = n_sources
        self.source_names = _read_source_names(source_names, n_sources)
        self.tasks = tuple(tables)
        self.classes = dict(classes)
        self._tables = dict(tables)
        given = [_n_classes_of(self.classes[task], n_classes[task]) for task in self.tasks]
        self.infers_classes = None in given
        # Every pass over the votes checks them too: where one follows at once, it need not be done twice.
        if check_labels or None in given:
            largest = self._check([k or _UNKNOWN for k in given])
        else:
            largest = [ABSTAIN] * len(given)
        self.cardinalities = tuple(k or max(2, high + 1) for k, high in zip(given, largest, strict=True))
        for task, k in zip(self.tasks, self.cardinalities, strict=True):
            if _is_unsigned(self._tables[task]) and k - 1 in _UNSIGNED_MINUS_ONE:
                raise InvalidVotesError(
                    f"{self._of_task(task)} holds {k - 1}, which is -1 in an unsigned dtype; use a signed one"
                )
            if k > MAX_CLASSES:
                raise InvalidVotesError(
                    f"{self._of_task(task)} has labels up to {k - 1}; at most {MAX_CLASSES} classes are "
                    "supported: number the classes 0, 1, 2, ..."
                )

    # --- ways in -----------------------------------------------------------------------------------------

    @classmethod
    def from_dense(
        cls,
        table: ArrayLike,
        *,
        n_classes: int | None = None,
        classes: Names | None = None,
        source_names: Sequence[str] | None = None,
    ) -> Votes:
        """Votes about one task from a table of labels or of class names.

        Parameters
        ----------
        table : (n_items, n_sources) array
            Class indices ``0..k-1`` of any integer dtype and memory layout, not copied, ``-1`` where a source
            abstains; or class names as strings, ``None`` or ``""`` where it abstains.
        n_classes : int, optional
            Number of classes; read from the votes by default.
        classes : sequence of names, optional
            Class names in the order of the indices; by default the names that occur, sorted.
        source_names : sequence of str, optional
            One distinct name a column.

        Raises
        ------
        InvalidVotesError
            If the shape is wrong, a label lies outside ``-1..k-1``, or a name is not among `classes`.
        WrongTypeError
            If the table holds neither integers nor names.
        """
        array, names = _as_table(table, classes, "votes")
        n, m = array.shape
        return cls({SINGLE_TASK: array}, n, m, {SINGLE_TASK: names}, {SINGLE_TASK: n_classes}, source_names)

    @classmethod
    def from_frame(cls, frame: Any, *, n_classes: int | None = None, classes: Names | None = None) -> Votes:
        """Votes about one task from a pandas or polars frame or a pyarrow table; columns are sources.

        Parameters
        ----------
        frame : frame with one row an item
            Class indices or names; nulls and -1 abstain. Column names become source names.
        n_classes, classes
            As for :meth:`from_dense`.

        Raises
        ------
        WrongTypeError
            If it has no named columns.
        InvalidVotesError
            As :meth:`from_dense`.
        """
        refuse_lazy(frame, "frame")
        names = _column_names(frame)
        if names is None:
            raise WrongTypeError(f"frame must have named columns, got {type(frame).__name__}; see from_dense")
        return cls.from_dense(frame, n_classes=n_classes, classes=classes, source_names=names)

    @classmethod
    def from_parquet(
        cls, path: str | os.PathLike[str], *, classes: Names | Mapping[str, Names] | None = None
    ) -> Votes:
        """Votes in one Parquet file; needs the extra ``frames``. See :meth:`from_file`."""
        return cls.from_file(path, classes=classes)

    @classmethod
    def from_sparse(
        cls,
        matrix: Any,
        *,
        n_classes: int | None = None,
        classes: Names | None = None,
        source_names: Sequence[str] | None = None,
    ) -> Votes:
        """Votes about one task from a SciPy sparse matrix that stores ``label + 1``; what is absent abstains.

        Parameters
        ----------
        matrix : (n_items, n_sources) CSR matrix or array
            Stored values in ``1..k``; an explicit 0 abstains. CSC and COO are converted.
        n_classes, classes, source_names
            As for :meth:`from_dense`.

        Raises
        ------
        InvalidVotesError
            If a stored value lies outside ``0..k``, or an item holds two votes of one source.
        WrongTypeError
            If the matrix is not sparse or does not hold integers.
        """
        table, (n, m) = _as_csr(matrix, "votes")
        names = None if classes is None else _distinct_names(classes)
        return cls({SINGLE_TASK: table}, n, m, {SINGLE_TASK: names}, {SINGLE_TASK: n_classes}, source_names)

    @classmethod
    def from_long(
        cls,
        item: ArrayLike,
        source: ArrayLike,
        label: ArrayLike,
        *,
        n_items: int | None = None,
        n_classes: int | None = None,
        classes: Names | None = None,
        source_names: Sequence[str] | None = None,
    ) -> Votes:
        """Votes about one task from a list of votes, one triple each.

        Parameters
        ----------
        item : (n_votes,) int array
            Row of each vote, ``0..n_items-1``.
        source : (n_votes,) array of ints or names
            Column of each vote, or its source's name (columns in sorted order, or that of `source_names`).
        label : (n_votes,) array of ints or names
            Class index, or class name; ``-1``, None and ``""`` abstain.
        n_items : int, optional
            By default the largest item + 1.
        n_classes, classes, source_names
            As for :meth:`from_dense`.

        Raises
        ------
        InvalidVotesError
            If lengths differ, an index is out of range, or a source votes twice on an item.
        WrongTypeError
            If items are not integers.
        """
        rows = _as_indices(item, "item")
        columns, names_of_sources = _as_columns(source, source_names)
        column = as_array(label, "label", InvalidVotesError).reshape(-1, 1)
        labels, names = _as_table(column, classes, "label")
        if not len(rows) == len(columns) == len(labels):
            raise InvalidVotesError(
                f"item, source and label must be equally long, got {len(rows)}, {len(columns)}, {len(labels)}"
            )
        if n_items is not None and (isinstance(n_items, bool) or not isinstance(n_items, (int, np.integer))):
            raise WrongTypeError(f"n_items must be an int, got {n_items!r}")
        if n_items is not None and not 1 <= n_items <= MAX_ITEMS:
            raise InvalidVotesError(f"n_items must lie in 1..{MAX_ITEMS}, got {n_items}")
        for name, values, most in (("item", rows, MAX_ITEMS), ("source", columns, MAX_SOURCES)):
            if len(values) and values.max() >= most:
                at = int(values.argmax())
                raise InvalidVotesError(f"{name}[{at}] is {values[at]}; it must lie in 0..{most - 1}")
        n = int(rows.max(initial=-1)) + 1 if n_items is None else int(n_items)
        m = int(columns.max(initial=-1)) + 1 if names_of_sources is None else len(names_of_sources)
        if n_items is None and n > 1000 * (len(rows) + 1000):
            raise InvalidVotesError(
                f"item goes up to {n - 1} for {len(rows)} votes; number the items 0, 1, 2, ... (np.unique "
                "with return_inverse does), or give n_items"
            )
        for name, values in (("item", rows), ("source", columns)):
            if len(values) and values.min() < 0:
                raise InvalidVotesError(
                    f"{name}[{int(values.argmin())}] is {values.min()}; it must be at least 0"
                )
        for name, values, size in (("item", rows, n), ("source", columns, m)):
            if len(values) and not 0 <= values.min() <= values.max() < size:
                at = int(np.flatnonzero((values < 0) | (values >= size))[0])
                raise InvalidVotesError(f"{name}[{at}] is {values[at]}; it must lie in 0..{size - 1}")
        order = np.lexsort((columns, rows))
        rows, columns = rows[order], columns[order]
        twice = np.flatnonzero((rows[1:] == rows[:-1]) & (columns[1:] == columns[:-1]))
        if len(twice):
            raise InvalidVotesError(
                f"source {columns[twice[0]]} votes twice on item {rows[twice[0]]}; keep one of the votes"
            )
        indptr = np.searchsorted(rows, np.arange(n + 1)).astype(np.int64)
        data = labels[order, 0].astype(np.int64) + 1
        table = (indptr, columns.astype(np.int32), data)
        return cls(
            {SINGLE_TASK: table}, n, m, {SINGLE_TASK: names}, {SINGLE_TASK: n_classes}, names_of_sources
        )

    @classmethod
    def from_tasks(
        cls,
        tables: Mapping[str, Any],
        *,
        task_graph: TaskGraph | None = None,
        source_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    ) -> Votes:
        """Votes about several tasks, one table each: the same items and sources in all.

        Parameters
        ----------
        tables : {task: (n_items, n_sources) table}
            Dense tables of indices or class names, or sparse ones of ``label + 1``; ``-1`` where a source
            says nothing about that task on that item.
        task_graph : TaskGraph, optional
            Gives the class names of each task. A task of it without a table is one that no source votes on.
        source_names : sequence of str, or {task: sequence of str}, optional
            With names for each task, columns are matched by name and a missing column abstains.

        Raises
        ------
        InvalidVotesError
            If the tables differ in shape, or as for :meth:`from_dense`.
        InvalidArgumentError
            If a task is not in `task_graph`.
        """
        return cls._of_tasks(tables, task_graph, source_names)

    @classmethod
    def _of_tasks(
        cls,
        tables: Mapping[str, Any],
        task_graph: TaskGraph | None,
        source_names: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        *,
        check_labels: bool = True,
    ) -> Votes:
        if not tables:
            raise InvalidVotesError("votes name no task; give {task: table}")
        known = None if task_graph is None else task_graph.classes
        if known is not None and not set(tables) <= set(known):
            unknown = [task for task in tables if task not in known]
            raise InvalidArgumentError(
                f"votes are about {listed(unknown)}, but task_graph has the tasks {listed(known)}"
            )
        names: Sequence[str] | None
        columns = {task: _column_names(table) for task, table in tables.items()}
        if source_names is None and all(own is not None for own in columns.values()):
            source_names = {task: own for task, own in columns.items() if own is not None}
        if isinstance(source_names, Mapping):
            tables, names = _match_columns(tables, source_names)
        else:
            names = source_names
        read: dict[str, Table] = {}
        classes: dict[str, list[Hashable] | None] = {}
        shapes: dict[str, tuple[int, int]] = {}
        for task, table in tables.items():
            where = f"votes[{task!r}]"
            if _is_sparse(table):
                read[task], shapes[task] = _as_csr(table, where)
                classes[task] = None if known is None else list(known[task])
            else:
                array, classes[task] = _as_table(table, None if known is None else known[task], where)
                read[task], shapes[task] = array, (array.shape[0], array.shape[1])
        if len(set(shapes.values())) > 1:
            raise InvalidVotesError(f"all tables must have the same shape (n_items, n_sources), got {shapes}")
        n_items, n_sources = next(iter(shapes.values()))
        n_classes = dict.fromkeys(read)
        return cls(read, n_items, n_sources, classes, n_classes, names, check_labels=check_labels)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, classes: Names | Mapping[str, Names] | None = None
    ) -> Votes:
        """Votes in a ``.csv``, ``.npz`` or ``.parquet`` file; see :func:`consilience.vote_files.read_votes`.

        Raises
        ------
        FileFormatError
            If the file is damaged or a cell is no vote; names file, line and column.
        """
        return cls.of_file(read_votes(path, classes=classes))

    @classmethod
    def of_file(cls, found: VoteFile, *, origin: str = "votes") -> Votes:
        """Votes that :func:`consilience.vote_files.read_votes` found; `origin` is what messages call them."""
        tables, names = found["votes"], found["classes"]
        if not isinstance(tables, dict):
            tables, names = {SINGLE_TASK: tables}, {SINGLE_TASK: names}  # type: ignore[dict-item]
        of_task = names if isinstance(names, dict) else dict.fromkeys(tables)
        shape = next(iter(tables.values())).shape
        lengths: dict[str, int | None] = dict.fromkeys(tables)
        n_items, n_sources = shape
        return cls(tables, n_items, n_sources, of_task, lengths, found["source_names"], origin=origin)

    # --- parts ---------------------------------------------------------------------------------------------

    @property
    def tables(self) -> dict[str, Table]:
        """The table of each task, borrowed."""
        return dict(self._tables)

    def called(self, origin: str) -> Votes:
        """The same votes under a name of their own in messages."""
        named = copy.copy(self)
        named.origin = origin
        return named

    def rows(self, begin: int, end: int) -> Votes:
        """The votes on items ``begin..end-1``, borrowed and not checked again; the same classes."""
        part = copy.copy(self)
        part._tables = {task: _rows_of(table, begin, end) for task, table in self._tables.items()}
        part.n_items = end - begin
        part._first_row = self._first_row + begin
        return part

    def take(self, items: NDArray[np.int64]) -> Votes:
        """The votes on some items, copied and not checked again; the same classes."""
        part = copy.copy(self)
        part._tables = {task: _taken_from(table, items) for task, table in self._tables.items()}
        part.n_items = len(items)
        return part

    def of_sources(self, names: Sequence[str]) -> Votes:
        """The votes of these sources, in this order; the votes themselves where that is what they are.

        Votes whose sources have no names are taken as they are.

        Raises
        ------
        InvalidVotesError
            If one of the names is missing.
        """
        if self.source_names is None or self.source_names == tuple(names):
            return self
        position = {name: j for j, name in enumerate(self.source_names)}
        refuse_missing(names, self.source_names, self.origin)
        order = np.array([position[name] for name in names], dtype=np.int64)
        part = copy.copy(self)
        part._tables = {task: _columns_of(table, order) for task, table in self._tables.items()}
        part.source_names, part.n_sources = tuple(names), len(names)
        return part

    def voted(self) -> NDArray[np.bool_]:
        """Whether each item has a vote, feasible or not, (n_items,): the items worth learning from."""
        voted = np.zeros(self.n_items, dtype=np.bool_)
        for table in self._tables.values():
            if isinstance(table, tuple):
                indptr, _, data = table
                before = np.concatenate([[0], np.cumsum(data > 0)])
                voted |= before[indptr[1:]] > before[indptr[:-1]]
            else:
                for column in table.T:
                    voted |= column >= 0
        return voted

    # --- what the rest of the package asks ----------------------------------------------------------------

    @property
    def first_row(self) -> int:
        """Row of the first item among those that these are a part of, as messages count it."""
        return self._first_row

    def column(self, j: int) -> NDArray[np.int64]:
        """What a source says of each task that has a table, (n_items, n_tables); -1 where it says nothing."""
        said = np.full((self.n_items, len(self._tables)), ABSTAIN, dtype=np.int64)
        for r, table in enumerate(self._tables.values()):
            if isinstance(table, tuple):
                indptr, indices, data = table
                at = np.flatnonzero(indices == j)
                said[np.searchsorted(indptr, at, side="right") - 1, r] = data[at].astype(np.int64) - 1
            else:
                said[:, r] = table[:, j]
        return said

    def view(self, task_graph: TaskGraph) -> tuple[_core.VoteView, tuple[int, ...]]:
        """View for the core under a task graph, and the index in it of each table's task.

        Raises
        ------
        InvalidArgumentError
            If a task or its classes do not match the graph.
        InvalidVotesError
            If a label is not a class of the graph; names task, row and source.
        """
        if self.tasks == (SINGLE_TASK,) and task_graph.n_tasks == 1:
            order: tuple[int, ...] = (0,)
        else:
            unknown = [task for task in self.tasks if task not in task_graph.tasks]
            if unknown:
                raise InvalidArgumentError(
                    f"votes are about {listed(unknown)}, but the tasks are {listed(task_graph.tasks)}"
                )
            order = tuple(task_graph.tasks.index(task) for task in self.tasks)
        sizes = [task_graph.cardinalities[r] for r in order]
        for task, r, own in zip(self.tasks, order, self.cardinalities, strict=True):
            expected = task_graph.classes[task_graph.tasks[r]]
            names = self.classes[task]
            if names is not None and list(names) != expected[: len(names)]:
                raise InvalidArgumentError(
                    f"{self._of_task(task)} has the classes {listed(names)}, but {listed(expected)} are "
                    "expected: give both the same classes in the same order"
                )
            if own > len(expected):
                self._check(sizes)  # raises where a label is really out of range
        return self._view(sizes), order

    def label_error(self, error: _core.LabelOutOfRange) -> InvalidVotesError:
        """What to raise where the core met a label outside its range."""
        task, row, source, label, cardinality = error.args
        table = self._tables[self.tasks[task]]
        if not isinstance(table, tuple):
            label = int(table[row, source])  # as it is, also where no int64 holds it
        if cardinality == _UNKNOWN:
            allowed = "it must be -1 (abstain) or at least 0"
        else:
            allowed = f"it must lie in -1..{cardinality - 1}, -1 to abstain"
        where = f"{self._of_task(self.tasks[task])}, row {self._first_row + row}, {self.source_label(source)}"
        hint = "" if label < ABSTAIN else "; give n_classes or classes if there are more classes"
        if hint and cardinality == 1:
            hint = "; one class leaves nothing to learn: give n_classes or classes with all of them"
        if isinstance(table, tuple):
            allowed += f", and a sparse matrix stores label + 1 (here {label + 1})"
        return InvalidVotesError(f"{where}: label {label} is not allowed, {allowed}{hint}")

    def source_label(self, j: int) -> str:
        """How messages call a source."""
        return f"source {j}" if self.source_names is None else f"source {self.source_names[j]!r}"

    def _of_task(self, task: str) -> str:
        """How messages call a table."""
        if task == SINGLE_TASK:
            return self.origin
        return f"votes[{task!r}]" if self.origin == "votes" else f"{self.origin}, task {task!r}"

    def _view(self, cardinalities: Sequence[int]) -> _core.VoteView:
        tables = [self._tables[task] for task in self.tasks]
        try:
            return _core.VoteView(tables, self.n_items, self.n_sources, cardinalities)
        except ValueError as error:
            raise InvalidVotesError(f"votes: {error}") from None

    def _check(self, cardinalities: Sequence[int]) -> list[int]:
        try:
            return _core.largest_labels(self._view(cardinalities), n_threads=1)
        except _core.LabelOutOfRange as error:
            raise self.label_error(error) from None

    def __repr__(self) -> str:
        return f"Votes(n_items={self.n_items}, n_sources={self.n_sources}, tasks={list(self.tasks)})"


def as_votes(
    votes: Any,
    *,
    n_classes: int | None = None,
    classes: Names | None = None,
    task_graph: TaskGraph | None = None,
    sources: Sequence[str] | None = None,
) -> Votes:
    """Votes of any accepted form: a ``Votes``, a table, a sparse matrix, ``{task: table}``, or a file's path.

    Labels of dense tables, and of several tasks, may be left to be checked by the first pass over the votes.

    Parameters
    ----------
    votes
        The votes.
    n_classes, classes, task_graph : optional
        As for the constructors of :class:`Votes`.
    sources : sequence of str, optional
        Sources to take, in this order, where the votes name theirs; other columns are left out unread.

    Raises
    ------
    ConsilienceError
        As the constructors of :class:`Votes` do.
    """
    if isinstance(votes, Mapping) and not _is_sparse(votes):
        for task, table in votes.items():
            refuse_lazy(table, f"votes[{task!r}]")
    refuse_lazy(votes, "votes")
    if sources is not None:
        votes = _select(votes, sources)
        read = as_votes(votes, n_classes=n_classes, classes=classes, task_graph=task_graph)
        return read.of_sources(sources)
    if isinstance(votes, Votes):
        return votes
    if isinstance(votes, (str, os.PathLike)):
        return Votes.from_file(votes, classes=classes if task_graph is None else task_graph.classes)
    if isinstance(votes, Mapping) and not _is_sparse(votes):
        return Votes._of_tasks(votes, task_graph, check_labels=False)
    if task_graph is not None:
        if task_graph.n_tasks > 1:
            raise WrongTypeError(
                f"votes about {task_graph.n_tasks} tasks must be given as {{task: table}}, "
                f"got {type(votes).__name__}"
            )
        classes = task_graph.classes[task_graph.tasks[0]]
        n_classes = None
    if _is_sparse(votes):
        return Votes.from_sparse(votes, n_classes=n_classes, classes=classes)
    array, names = _as_table(votes, classes, "votes")
    return Votes(
        {SINGLE_TASK: array},
        array.shape[0],
        array.shape[1],
        {SINGLE_TASK: names},
        {SINGLE_TASK: n_classes},
        _column_names(votes),
        check_labels=False,
    )


def refuse_missing(wanted: Sequence[str], found: Sequence[str], where: str = "votes") -> None:
    """Raise InvalidVotesError if a source that is wanted is not among those found."""
    missing = [name for name in wanted if name not in set(found)]
    if missing:
        raise InvalidVotesError(
            f"{where}: the sources {listed(missing)} are missing, found {listed(found)}; add a column for "
            "each, null or -1 where it abstains"
        )


def _select(votes: Any, sources: Sequence[str]) -> Any:
    """Frames with only the columns of these sources, one a task or a single one; other forms as they are."""
    if isinstance(votes, Mapping) and not _is_sparse(votes):
        return {task: _select_columns(table, sources, every=False) for task, table in votes.items()}
    return _select_columns(votes, sources, every=True)


def _select_columns(table: Any, sources: Sequence[str], *, every: bool) -> Any:
    names = None if isinstance(table, Votes) else _column_names(table)
    if names is None:
        return table
    if every:
        refuse_missing(sources, names)
    labels = dict(zip(names, getattr(table, "column_names", None) or table.columns, strict=True))
    wanted = [labels[name] for name in sources if name in labels]
    if len(labels) < len(names) or wanted == list(labels.values()):
        return table  # a name that stands twice is refused where names are checked
    return table.select(wanted) if hasattr(type(table), "select") else table[wanted]


def _rows_of(table: Table, begin: int, end: int) -> Table:
    if not isinstance(table, tuple):
        return table[begin:end]
    indptr, indices, data = table
    stored = slice(int(indptr[begin]), int(indptr[end]))
    return indptr[begin : end + 1] - indptr[begin], indices[stored], data[stored]


def _taken_from(table: Table, items: NDArray[np.int64]) -> Table:
    if not isinstance(table, tuple):
        return table[items]
    indptr, indices, data = table
    lengths = indptr[items + 1] - indptr[items]
    ends = np.cumsum(lengths)
    at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(indptr[items] - (ends - lengths), lengths)
    return np.concatenate([[0], ends]).astype(indptr.dtype), indices[at], data[at]


def _columns_of(table: Table, order: NDArray[np.int64]) -> Table:
    """The columns ``order`` of a table, in that order."""
    if not isinstance(table, tuple):
        return table[:, order]
    indptr, indices, data = table
    place = np.full(max(int(indices.max(initial=0)), int(order.max())) + 1, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    columns = place[indices]
    kept = np.flatnonzero(columns >= 0)
    kept = kept[np.lexsort((columns[kept], rows[kept]))]
    starts = np.searchsorted(rows[kept], np.arange(len(indptr))).astype(np.int64)
    return starts, columns[kept].astype(np.int32), data[kept]


_UNSIGNED_MINUS_ONE = (2**8 - 1, 2**16 - 1, 2**32 - 1)


def _is_unsigned(table: Table) -> bool:
    """Whether a dense table cannot hold -1."""
    return not isinstance(table, tuple) and table.dtype.kind == "u"


def _n_classes_of(names: list[Hashable] | None, n_classes: int | None) -> int | None:
    if n_classes is not None:
        if isinstance(n_classes, bool) or not isinstance(n_classes, (int, np.integer)):
            raise WrongTypeError(f"n_classes must be an int, got {n_classes!r}")
        if not 1 <= n_classes <= MAX_CLASSES:
            raise InvalidArgumentError(f"n_classes must lie in 1..{MAX_CLASSES}, got {n_classes}")
    if names is None:
        return None if n_classes is None else int(n_classes)
    if n_classes is not None and n_classes != len(names):
        raise InvalidArgumentError(
            f"n_classes is {n_classes}, but there are {len(names)} classes; give one of them"
        )
    return len(names)


def _read_source_names(names: Sequence[str] | None, n_sources: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    read = tuple(str(name) for name in names)
    if len(read) != n_sources:
        raise InvalidArgumentError(f"source_names has {len(read)} names for {n_sources} sources")
    repeated = [name for name in read if read.count(name) > 1] if len(set(read)) < len(read) else []
    if repeated:
        raise InvalidArgumentError(f"source_names has {repeated[0]!r} twice; rename one")
    return read


def _column_names(table: Any) -> list[str] | None:
    columns = getattr(table, "column_names", None)  # a pyarrow table's columns are its data
    if columns is None:
        columns = getattr(table, "columns", None)
    return None if columns is None else [str(name) for name in columns]


def _as_table(
    table: Any, classes: Names | None, where: str, *, encode: bool = True
) -> tuple[NDArray[Any], list[Hashable] | None]:
    """A dense integer table and its class names; one of names as it is, unless they are to be encoded."""
    names = None if classes is None else _distinct_names(classes)
    if isinstance(table, np.ma.MaskedArray):
        signed = np.result_type(table.dtype, np.int8)
        table = np.where(np.ma.getmaskarray(table), ABSTAIN, table.data.astype(signed))
    array = as_array(table, where, InvalidVotesError)
    if array.ndim == 0:
        raise WrongTypeError(
            f"{where} must be a table of shape (n_items, n_sources), got {type(table).__name__}: give an "
            "array, a frame, a sparse matrix, {task: table}, Votes, or the path of a file"
        )
    if array.ndim != 2:
        raise InvalidVotesError(
            f"{where} must be a table of shape (n_items, n_sources), got shape {array.shape}"
        )
    if not len(array):
        return np.zeros(array.shape, dtype=np.int8), names  # whatever type an empty table has
    if array.dtype.kind in "OUST":
        return _encode_names(array, names, where) if encode else (array, names)
    if array.dtype.kind == "f" and hasattr(table, "columns"):
        array = _fill_nulls(array)
    if array.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            row, source = bad[0].tolist()
            raise InvalidVotesError(
                f"{where} is {array[row, source]} at row {row}, source {source}; "
                "votes are integers, with -1 where a source abstains"
            )
    if array.dtype.kind not in "iu":
        raise WrongTypeError(
            f"{where} must hold integers (-1 abstains) or class names, got dtype {array.dtype}; "
            "convert it, for example with .astype(int)"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array, names


def _distinct_names(classes: Names) -> list[Hashable]:
    if isinstance(classes, str) or not isinstance(classes, (Sequence, np.ndarray)):
        raise WrongTypeError(f"classes must be a sequence of names, got {classes!r}")
    names = [name.item() if isinstance(name, np.generic) else name for name in classes]
    odd = next((name for name in names if not isinstance(name, (str, int, float))), None)
    if odd is not None:
        raise WrongTypeError(f"classes must hold strings or numbers, got {odd!r}")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidArgumentError(f"classes has {repeated!r} twice; rename one")
    return names


def _fill_nulls(array: NDArray[Any]) -> NDArray[Any]:
    """Integers of a frame whose nulls made it floating; as it is if there are other floats."""
    null = np.isnan(array)
    whole = np.where(null, ABSTAIN, array)
    if np.array_equal(whole, np.floor(whole)) and (np.abs(whole) < 2**31).all():
        return whole.astype(np.int32)
    return array


def _encode_names(
    array: NDArray[Any], names: list[Hashable] | None, where: str
) -> tuple[NDArray[Any], list[Hashable] | None]:
    """Class indices of a table of names, or of integers among nulls; None, NaN, NA and "" abstain."""
    flat = array.ravel().tolist()
    try:
        distinct = {value for value in flat if not _is_null(value)}
    except TypeError as error:
        raise WrongTypeError(f"{where} holds something that is no vote: {error}") from error
    indexed = names is None or names == list(range(len(names)))
    if indexed and distinct and all(isinstance(value, str) and _DIGITS(value) for value in distinct):
        flat = [None if _is_null(value) else int(value) for value in flat]
        distinct = {value for value in flat if value is not None}
    if distinct and all(isinstance(value, int) and not isinstance(value, bool) for value in distinct):
        indices = [ABSTAIN if _is_null(value) else value for value in flat]
        if all(abs(value) < 2**31 for value in distinct):
            return np.array(indices, dtype=np.int32).reshape(array.shape), names
    if names is None:
        wrong = next(
            (i for i, value in enumerate(flat) if not (isinstance(value, str) or _is_null(value))), None
        )
        if wrong is not None:
            row, source = divmod(wrong, array.shape[1])
            known = next((value for value in flat if isinstance(value, str) and not _is_null(value)), None)
            mixes = "holds" if known is None else f"mixes class names such as {known!r} with"
            raise WrongTypeError(
                f"{where} {mixes} {flat[wrong]!r} at row {row}, source {source}; give names (str) "
                "throughout, or integers, and leave out columns that hold no votes"
            )
        number = min(filter(_DIGITS, distinct), default=None)
        if number is not None:  # a slip, unless the caller says that it is a name
            word = next(i for i, value in enumerate(flat) if not (_is_null(value) or _DIGITS(value)))
            row, source = divmod(word, array.shape[1])
            raise InvalidVotesError(
                f"{where} is {flat[word]!r} at row {row}, source {source}, where other votes are class "
                f"indices ({number!r}); give indices, or the names of all classes as classes"
            )
        names = sorted(distinct)
    index: dict[Any, int] = {name: label for label, name in enumerate(names)}
    unknown = [value for value in distinct if value not in index]
    if unknown:
        position = next(i for i, value in enumerate(flat) if value in unknown)
        row, source = divmod(position, array.shape[1])
        raise InvalidVotesError(
            f"{where} is {flat[position]!r} at row {row}, source {source}; classes are {listed(names)}"
        )
    labels = [ABSTAIN if _is_null(value) else index[value] for value in flat]
    return np.array(labels, dtype=np.int32).reshape(array.shape), names


def _is_null(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return bool(value in ("", "-1") or value != value)  # NaN differs from itself


def _is_sparse(table: Any) -> bool:
    return hasattr(table, "tocsr") and hasattr(table, "nnz")


def _as_csr(matrix: Any, where: str) -> tuple[Table, tuple[int, int]]:
    """``indptr, indices, data`` of a SciPy matrix, sorted within rows, and its shape."""
    if not _is_sparse(matrix):
        raise WrongTypeError(f"{where} must be a SciPy sparse matrix, got {type(matrix).__name__}")
    if len(matrix.shape) != 2:
        raise InvalidVotesError(f"{where} must have shape (n_items, n_sources), got {matrix.shape}")
    if matrix.dtype.kind not in "iu":
        raise WrongTypeError(
            f"{where} must store integers (label + 1), got dtype {matrix.dtype}; convert it with .astype(int)"
        )
    try:
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # SciPy itself trusts it, at the price of a crash
        csr = matrix.tocsr()
    except ValueError as error:
        raise InvalidVotesError(f"{where} is a damaged sparse matrix: {error}; build it again") from None
    if not csr.has_canonical_format:
        stored = csr.nnz
        csr = csr.copy()
        csr.sum_duplicates()  # sorts, and adds up what stands twice
        if csr.nnz != stored:
            raise InvalidVotesError(f"{where} stores two votes of one source on one item; keep one of them")
    return (csr.indptr, csr.indices, csr.data), (int(csr.shape[0]), int(csr.shape[1]))


def _as_indices(values: ArrayLike, where: str) -> NDArray[np.int64]:
    array = as_array(values, where, InvalidVotesError)
    if array.ndim != 1:
        raise InvalidVotesError(f"{where} must be one-dimensional, got shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise WrongTypeError(f"{where} must hold integers, got dtype {array.dtype}")
    return array.astype(np.int64)


def _as_columns(
    source: ArrayLike, source_names: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str] | None]:
    array = as_array(source, "source", InvalidVotesError)
    names = None if source_names is None else [str(name) for name in source_names]
    if array.dtype.kind not in "OUST":
        return _as_indices(array, "source"), names
    values = [str(value) for value in array.tolist()]
    if names is None:
        names = sorted(set(values))
    index = {name: j for j, name in enumerate(names)}
    unknown = next((value for value in values if value not in index), None)
    if unknown is not None:
        raise InvalidVotesError(f"source {unknown!r} is not among source_names: {listed(names)}")
    return np.array([index[value] for value in values], dtype=np.int64), names


def _match_columns(
    tables: Mapping[str, Any], names: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[str]]:
    """Tables with the same columns in the same order; a missing column abstains."""
    missing = [task for task in tables if task not in names]
    if missing:
        raise InvalidArgumentError(f"source_names has no names for the table of {missing[0]!r}")
    all_names = list(dict.fromkeys(name for task in tables for name in names[task]))
    matched = {}
    for task, table in tables.items():
        array, _ = _as_table(table, None, f"votes[{task!r}]", encode=False)
        own = list(names[task])
        if array.ndim != 2 or array.shape[1] != len(own):
            raise InvalidVotesError(
                f"votes[{task!r}] has shape {array.shape}, but source_names[{task!r}] has {len(own)} names"
            )
        is_text = array.dtype.kind in "OUST"
        dtype = np.dtype(object) if is_text else np.result_type(array.dtype, np.int8)
        wide = np.full((len(array), len(all_names)), None if is_text else ABSTAIN, dtype=dtype)
        wide[:, [all_names.index(name) for name in own]] = array
        matched[task] = wide
    return matched, all_names
