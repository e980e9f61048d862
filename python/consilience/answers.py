"""Where the labels of many items go: one array put together from chunks, files, or a frame."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience.arrow_columns import import_pyarrow
from consilience.chunks import Form, VoteChunks, is_stream, open_chunks, open_parquet, parquet_files
from consilience.container import path_of
from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.label_files import Columns, write_labels
from consilience.progress import Report
from consilience.vote_files import format_of

__all__ = ["Written", "check_output", "frame_like", "gather", "is_folder", "write_answers"]

Parts: TypeAlias = Callable[[VoteChunks, Report], Iterator[Columns]]
"""Columns of labels of each chunk in turn, at least once; tells a report how far it is."""

_NOTE = "consilience"


@dataclass(frozen=True)
class Written:
    """What ``predict_proba(votes, out=...)`` has written.

    Attributes
    ----------
    files : tuple of str
        Paths of the labels.
    n_items : int
        Items that were labelled.
    n_voted : int
        Those of them with at least one vote.
    n_kept : int
        Files that an earlier run had finished; their items do not count here.
    """

    files: tuple[str, ...]
    n_items: int
    n_voted: int = 0
    n_kept: int = 0


def gather(parts: Iterable[Any], n_items: int | None) -> Any:
    """One array, or ``{task: array}``, of those of consecutive items.

    With the number of items in all, where it is known, no more memory than for the result and one part.
    """
    parts = iter(parts)
    first = next(parts)
    tasks = list(first) if isinstance(first, dict) else [None]
    if n_items is None:
        taken = [first, *parts]
        whole = {task: np.concatenate([_of_task(part, task) for part in taken]) for task in tasks}
    else:
        arrays = {task: _of_task(first, task) for task in tasks}
        whole = {task: np.empty((n_items, *array.shape[1:]), array.dtype) for task, array in arrays.items()}
        end = 0
        for part in chain([first], parts):
            begin, end = end, end + len(_of_task(part, tasks[0]))
            for task in tasks:
                whole[task][begin:end] = _of_task(part, task)
    return whole if isinstance(first, dict) else whole[None]


def _of_task(part: Any, task: str | None) -> NDArray[Any]:
    array: NDArray[Any] = part if task is None else part[task]
    return array


def write_answers(
    votes: Any,
    out: str | os.PathLike[str],
    form: Form,
    parts: Parts,
    *,
    fingerprint: Callable[[], bytes],
    n_threads: int | None,
    report: Report,
) -> Written:
    """Write the labels of votes to a file, or of a run of Parquet files to one each.

    Parameters
    ----------
    votes
        In any accepted form.
    out : path-like
        A file to write, wholly or not at all; or, for votes in Parquet files, a folder (one that is there, or
        a path that ends in a separator). A file there that was finished before, for the same model and the
        same votes, is kept: a run that was interrupted goes on with the next file.
    form : Form
        What is known of the votes.
    parts : callable
        Columns to write.
    fingerprint : callable
        Gives bytes that tell the model, and what is written of it, from others.
    n_threads : int, optional
        As for :func:`open_chunks`.
    report : callable
        Told how far it is.

    Raises
    ------
    InvalidArgumentError
        If `out` is one of the files that are read, or a folder for votes that are not files.
    ConsilienceError, OSError
        If the votes cannot be read, or the labels written.
    """
    name = path_of(out, "out")
    is_file = isinstance(votes, (str, os.PathLike))
    files = parquet_files(votes) if is_file and is_stream(votes) else []
    if is_folder(name):
        if not files:
            raise InvalidArgumentError(
                f"out={name!r} is a folder, for votes in Parquet files; give the path of a file"
            )
        return _write_folder(files, name, form, parts, fingerprint(), n_threads, report)
    _refuse_inputs([name], files or ([os.fspath(votes)] if is_file else []))
    check_output(name, votes)
    counted = _Counted(report)
    chunks = open_chunks(votes, form, n_threads=n_threads)
    write_labels(name, parts(chunks, counted))
    return Written((name,), counted.n_done)


def check_output(path: str, votes: Any) -> None:
    """Refuse a path of no known format; for votes in Parquet files it may be meant for a folder."""
    if is_folder(path):
        return
    try:
        format_of(path)
    except InvalidArgumentError as error:
        if not (isinstance(votes, (str, os.PathLike)) and is_stream(votes)):
            raise
        raise InvalidArgumentError(
            f"{error}, or end it in a slash, {path + '/'!r}, for a folder with a file for each file of votes"
        ) from error


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether answers written there are one file for each file of votes."""
    return os.fspath(path).endswith(("/", os.sep)) or os.path.isdir(path)


class _Counted:
    """A report that remembers how far it was, on top of items that were done before."""

    def __init__(self, report: Report, n_before: int = 0, n_items: int | None = None) -> None:
        self._report, self._n_before, self._n_items = report, n_before, n_items
        self.n_done = 0

    def __call__(self, done: int, total: int | None) -> None:
        self.n_done = done
        self._report(self._n_before + done, total if self._n_items is None else self._n_items)


def _write_folder(
    files: Sequence[str],
    folder: str,
    form: Form,
    parts: Parts,
    fingerprint: bytes,
    n_threads: int | None,
    report: Report,
) -> Written:
    common = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])
    targets = [os.path.join(folder, os.path.relpath(os.path.abspath(file), common)) for file in files]
    _refuse_inputs(targets, files)
    opened = open_parquet(files, form).files  # what is wrong with any is said before the first is labelled
    n_all, n_done, n_kept, n_labelled = sum(file.n_items for file in opened), 0, 0, 0
    model = hashlib.sha256(fingerprint).hexdigest()
    for file, target in zip(opened, targets, strict=True):
        note = {_NOTE: json.dumps({"model": model, "votes": file.identity()})}
        if _is_finished(target, note):
            n_kept += 1
        else:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            chunks = open_parquet([file.path], form, n_threads=n_threads).chunks()
            write_labels(target, parts(chunks, _Counted(report, n_done, n_all)), note=note)
            n_labelled += file.n_items
        n_done += file.n_items
        report(n_done, n_all)
    return Written(tuple(targets), n_labelled, n_kept=n_kept)


def _is_finished(path: str, note: Mapping[str, str]) -> bool:
    """Whether a file of labels with this note is there; such a file is never half-written."""
    pyarrow, parquet = import_pyarrow()
    if not os.path.exists(path):
        return False
    try:
        found = parquet.read_schema(path).metadata or {}
    except (pyarrow.ArrowException, OSError):
        return False
    return all(found.get(key.encode()) == value.encode() for key, value in note.items())


def _refuse_inputs(outputs: Iterable[str], inputs: Sequence[str]) -> None:
    """Refuse an output that would replace an input."""
    known = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        if os.path.realpath(path) in known:
            raise InvalidArgumentError(f"{path} is read, and would be overwritten; give out another name")


def frame_like(frame: Any, columns: Columns) -> Any:
    """Frame of the same kind with these columns; one of pandas keeps its index.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame or pyarrow.Table, or {task: such a frame}
        With several, the first says the kind and the index.
    columns : {name: (n_items,) array}

    Raises
    ------
    WrongTypeError
        If it is another kind of object.
    """
    if isinstance(frame, Mapping) and frame:
        frame = next(iter(frame.values()))
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    package, kind = type(frame).__module__.partition(".")[0], type(frame).__name__
    if package == "pandas" and kind == "DataFrame":
        return type(frame)(arrays, index=frame.index)
    if package == "polars" and kind == "DataFrame":
        return type(frame)(arrays)
    if package == "pyarrow" and kind in ("Table", "RecordBatch"):
        return type(frame).from_pydict(arrays)
    raise WrongTypeError(
        f"votes must be a pandas or polars frame or a pyarrow table, got {type(frame).__name__}; for other "
        "forms use predict_proba and predict"
    )
