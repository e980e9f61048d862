"""What a fit to Parquet files has counted so far, in a file from which the same call goes on.

The file belongs to these votes and to what is counted of them: anything else is refused, with what differs.
It is written in one step, so that there is always a whole one, whenever the process ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from consilience._core import __version__
from consilience.chunks import Meanings, ParquetRun, are_parquet
from consilience.container import pack, path_of, read_file, target_of, unpack, write_atomically
from consilience.counting import Counted, Rules
from consilience.exceptions import FileFormatError, InvalidArgumentError, listed
from consilience.vote_texts import Meaning

__all__ = ["Checkpoint"]

_KIND = "fit checkpoint"

SECONDS = 30.0
"""Time between two writes."""

LARGEST_SHARE = 0.05
"""Of the time, that writing takes at most, where there is much to write."""


class Checkpoint:
    """A file with what was counted of votes in Parquet files.

    Parameters
    ----------
    path : path-like
        Where it is, or will be.
    votes, weights
        As for ``LabelModel.fit``.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If `path` cannot be that of a file, the votes are not in Parquet files, or weights are given.
    FileNotFoundError
        If its folder does not exist.
    """

    def __init__(self, path: str | os.PathLike[str], votes: Any, weights: Any = None) -> None:
        self._path = path_of(path, "checkpoint")
        if not self._path or os.path.isdir(self._path):
            raise InvalidArgumentError(f"checkpoint={self._path!r} is no file; give the path of a file")
        if not are_parquet(votes):
            raise InvalidArgumentError(
                "checkpoint goes with votes in Parquet files (a path, a glob or a folder), which can be read "
                f"again from any item on, not with {type(votes).__name__}; leave it out"
            )
        if weights is not None:
            raise InvalidArgumentError(
                "checkpoint does not go with weights, whose sums depend on where a run goes on; leave it out"
            )
        target_of(self._path)
        self._about: dict[str, Any] = {}
        self._latest: Counted | None = None
        self._written: Counted | None = None
        self._due = float("-inf")

    def resume(self, run: ParquetRun, rules: Rules) -> tuple[Counted | None, ParquetRun]:
        """What an earlier run over these files has counted, and the files with what it knew of their texts.

        Raises
        ------
        InvalidArgumentError
            If the file is about other votes, or was written with other arguments.
        FileFormatError
            If it is damaged, or no checkpoint.
        """
        self._about = _about(run, rules)
        try:
            data = read_file(self._path)
        except FileNotFoundError:
            return None, run
        except FileFormatError as error:
            raise self._unreadable(error) from error
        try:
            header, arrays = unpack(data, _KIND, name=self._path)
            del data
            about, meanings = dict(header["about"]), _meanings_of(header["meanings"])
            difference = _difference(about, self._about)
            counted = None
            if not difference:
                counted = Counted.from_parts(header["counted"], arrays)
                _check(counted, meanings, run)
        except FileFormatError as error:
            raise self._unreadable(error) from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise self._unreadable(f"{self._path} is not what this release writes ({error})") from error
        if difference:
            raise InvalidArgumentError(
                f"{self._path} is the checkpoint of another fit: {difference}; delete that file to begin "
                "anew, or give another checkpoint"
            )
        return counted, replace(run, known=meanings)

    @contextmanager
    def keeping(self, run: ParquetRun) -> Iterator[Callable[[Counted], None]]:
        """Whom to tell what was counted after each chunk: writes it now and then, and at the end, any end."""

        def keep(counted: Counted) -> None:
            self._latest = counted
            begin = time.monotonic()
            if begin >= self._due:
                self._write(run.meanings)
                end = time.monotonic()
                self._due = end + max(SECONDS, (end - begin) / LARGEST_SHARE)

        try:
            yield keep
        finally:
            if self._latest is not self._written:
                self._write(run.meanings)

    def remove(self) -> None:
        """Delete the file, where the fit is done."""
        with suppress(OSError):  # no reason to lose the fit
            target_of(self._path).unlink()

    def _write(self, meanings: Meanings) -> None:
        counted = self._latest
        if counted is None or counted.statistics is None:
            return
        header, arrays = counted.to_parts()
        content = {"about": self._about, "meanings": _plain_meanings(meanings), "counted": header}
        try:
            write_atomically(self._path, pack(_KIND, content, arrays))
        except OSError as error:
            raise OSError(error.errno, f"cannot be written: {error.strerror}", self._path) from error
        self._written = counted

    def _unreadable(self, error: object) -> FileFormatError:
        return FileFormatError(f"{error}; if it is a checkpoint, delete it, and the fit begins anew")


def _about(run: ParquetRun, rules: Rules) -> dict[str, Any]:
    """What a checkpoint is about, as JSON has it: the votes, and all that decides what is counted of them."""
    form, graph, pairs = rules.form, rules.form.task_graph, _plain(rules.dependencies)
    return {
        "release": __version__,
        "files": [{"path": os.path.abspath(file.path), **file.identity()} for file in run.files],
        "n_classes": _plain(form.n_classes),
        "classes": _plain(form.classes),
        "task_graph": None if graph is None else _plain(graph.to_json()),
        "dependencies": sorted(pairs, key=repr) if isinstance(pairs, list) else pairs,
        "rows": rules.keeps_rows,
        "triples": rules.triples,
        "pairs": not rules.spares_pairs,
    }


def _plain(value: Any) -> Any:
    """The value as JSON has it; what JSON does not know, in words."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(of_key) for key, of_key in value.items()}
    return [_plain(part) for part in value] if isinstance(value, Iterable) else repr(value)


_COUNTED = {
    "rows": 'the rows of votes (kept by methods "auto" and "em", and by dependencies="learn")',
    "triples": 'triples of votes (counted by "moments" and "completion", unless class_balance is even)',
    "pairs": 'all pairs of votes (counted by "moments" and "completion", and with dependencies)',
}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs, in words; "" if nothing does."""
    name = next((name for name in now if before[name] != now[name]), None)
    if name is None:
        return ""
    old, new = before[name], now[name]
    if name == "release":
        return f"it was begun with consilience {old}, and this is {new}"
    if name == "files":
        return _difference_of_files(old, new)
    if name in _COUNTED:
        return f"it was begun {'with' if old else 'without'} {_COUNTED[name]}, and this fit is not"
    if name == "task_graph":
        return "task_graph was another"
    return f"{name} was {old!r:.80}, and is {new!r:.80}"


def _difference_of_files(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    paths, found = ([file["path"] for file in files] for files in (old, new))
    for others, own, words in ((found, paths, "that one did not read"), (paths, found, "that one also read")):
        further = [path for path in others if path not in set(own)]
        if further:
            return f"{words} {listed(further, 3)}"
    changed = [path for path, one, other in zip(paths, old, new, strict=True) if one != other]
    return f"{listed(changed, 3)} changed since"


def _plain_meanings(meanings: Meanings) -> dict[str, Any]:
    return {
        task: None if meaning is None else [_plain(meaning.classes), meaning.are_names]
        for task, meaning in meanings.items()
    }


def _meanings_of(plain: Mapping[str, Any]) -> Meanings:
    return {
        task: None if found is None else Meaning(None if found[0] is None else list(found[0]), bool(found[1]))
        for task, found in plain.items()
    }


def _check(counted: Counted, meanings: Meanings, run: ParquetRun) -> None:
    """Raise ValueError where what was counted is of other sources or tasks than the files are."""
    if counted.statistics is None or counted.statistics.source_names != run.source_names:
        raise ValueError("votes of other sources")
    if set(meanings) != {task for file in run.files for task in file.columns.tasks}:
        raise ValueError("texts of other tasks")
