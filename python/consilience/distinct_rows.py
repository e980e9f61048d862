"""Rows of votes that differ, and how many items each stands for: what EM needs of votes in parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.exceptions import InvalidArgumentError
from consilience.item_sample import DrawnItems
from consilience.votes import Table, Votes

__all__ = ["MAX_BYTES", "DistinctRows", "distinct_rows"]

MAX_BYTES = 2**28
"""Most memory that distinct rows take, at 16 bytes a row and 2 to 8 a vote. While they are put together it is
about eight times as much."""

_MIN_FRESH = 2**16


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """Distinct rows of the votes seen so far; in which chunks they came makes no difference.

    Rows are put together when those that came since the last time are as many: the work stays proportional to
    the number of rows, the memory to the number of distinct ones.

    Attributes
    ----------
    parts : tuple of (Votes, (n,) float64 array)
        Rows and their weights; distinct within a part. The first part is the largest.
    n_fresh : int
        Rows of all parts but the first.
    drawn : DrawnItems or None
        Some of the items as they came; None where some weigh more than others.
    """

    parts: tuple[tuple[Votes, NDArray[np.float64]], ...] = ()
    n_fresh: int = 0
    drawn: DrawnItems | None = field(default_factory=DrawnItems)

    def with_votes(
        self, votes: Votes, n_votes: int, weights: NDArray[np.float64] | None = None
    ) -> DistinctRows:
        """The rows with those of further items, whose weights may be given.

        Parameters
        ----------
        votes : Votes
            At least one item.
        n_votes : int
            How many votes they have that say anything.
        weights : (n_items,) float64 array, optional
            How many items each row stands for.

        Raises
        ------
        InvalidArgumentError
            If the distinct rows need more than ``MAX_BYTES``.
        """
        part, drawn = distinct_rows(votes, weights), None
        if weights is None and self.drawn is not None:
            drawn = self.drawn.with_votes(votes, n_votes, _as_rows, _stacked)
        n_fresh = self.n_fresh + (part[0].n_items if self.parts else 0)
        grown = DistinctRows((*self.parts, part), n_fresh, drawn)
        return grown.merged() if n_fresh > max(_MIN_FRESH, grown.parts[0][0].n_items) else grown

    def merged(self) -> DistinctRows:
        """The same rows in one part."""
        if len(self.parts) < 2:
            return self
        together = distinct_rows(_stacked([votes for votes, _ in self.parts]), self._weights())
        size = sum(array.nbytes for table in together[0].tables.values() for array in table)
        if size + together[1].nbytes > MAX_BYTES:
            raise InvalidArgumentError(
                f"the rows of votes that differ from each other take more than {MAX_BYTES >> 20} MiB (there "
                f'are {len(together[1])} so far), too much for maximum likelihood; use method="moments", '
                "which needs sums only"
            )
        return replace(self, parts=(together,), n_fresh=0)

    def votes(self) -> tuple[Votes, NDArray[np.float64]]:
        """The rows and how many items each stands for; there must be some."""
        return self.merged().parts[0]

    def drawn_votes(self) -> Votes | None:
        """Votes of the items that are drawn, in the order of the items; None without such."""
        return None if self.drawn is None else _stacked(list(self.drawn.parts))

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and arrays from which :meth:`from_parts` restores the rows; there must be some."""
        rows, drawn = _stacked([votes for votes, _ in self.parts]), self.drawn
        header = {
            "n_sources": rows.n_sources,
            "source_names": None if rows.source_names is None else list(rows.source_names),
            "classes": {task: _plain_names(rows.classes[task]) for task in rows.tasks},
            "lengths": [votes.n_items for votes, _ in self.parts],
            "drawn": None if drawn is None else {"n_items": drawn.n_items, "n_votes": drawn.n_votes},
        }
        arrays = {"weights": self._weights(), **_arrays_of(rows, "")}
        if drawn is not None:
            arrays |= {"drawn_items": drawn.items}
            arrays |= _arrays_of(_stacked(list(drawn.parts)), "drawn_") if drawn.parts else {}
        return header, arrays

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> DistinctRows:
        """Rows that :meth:`to_parts` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something is missing, or does not fit together.
        """
        rows, weights = _of_arrays(header, arrays, ""), arrays["weights"]
        ends = np.cumsum(header["lengths"], dtype=np.int64)
        if min(header["lengths"]) < 1 or not ends[-1] == rows.n_items == len(weights):
            raise ValueError("parts of rows that are not as long as all of them")
        if not (weights >= 0).all():
            raise ValueError("rows of negative weight")
        parts = zip(_split(rows, ends), np.split(weights, ends[:-1]), strict=True)
        drawn, own = None, header["drawn"]
        if own is not None:
            items = arrays["drawn_items"]
            of_items = (_of_arrays(header, arrays, "drawn_"),) if len(items) else ()
            is_count = [type(own[name]) is int and own[name] >= 0 for name in ("n_items", "n_votes")]
            if not all(is_count) or sum(votes.n_items for votes in of_items) != len(items):
                raise ValueError("items that are drawn without their votes")
            drawn = DrawnItems(own["n_items"], own["n_votes"], items, of_items)
        return cls(tuple(parts), int(ends[-1] - ends[0]), drawn)

    def _weights(self) -> NDArray[np.float64]:
        return np.concatenate([weights for _, weights in self.parts])


def distinct_rows(
    votes: Votes, weights: NDArray[np.float64] | None = None
) -> tuple[Votes, NDArray[np.float64]]:
    """Rows of votes that differ, and the sum of the weights of each.

    Parameters
    ----------
    votes : Votes
        At least one item.
    weights : (n_items,) array, optional
        How many items each row stands for; 1 by default.

    Returns
    -------
    rows : Votes
        Sparse tables over the same tasks and sources.
    weights : (n_rows,) float64 array
        Summed in the order of the rows.
    """
    view, coding, labels_of = _coding(votes)
    patterns = _core.find_patterns(view, coding, weights)
    start, column, state = patterns.rows()
    weights = patterns.weight
    del patterns  # before the rows are checked
    return _of_lists(votes, start, column, labels_of(state)), weights


def _as_rows(votes: Votes) -> Votes:
    """The same votes as sparse tables like those of distinct rows."""
    view, coding, labels_of = _coding(votes)
    start, column, state = _core.list_votes(view, coding)
    return _of_lists(votes, start, column, labels_of(state))


Labels: TypeAlias = "list[NDArray[np.int32]]"


def _coding(
    votes: Votes,
) -> tuple[_core.VoteView, _core.StateCoding, Callable[[NDArray[np.int32]], Labels]]:
    """The votes as the core takes them, every vote vector a state, and the labels of each task in states."""
    sizes = list(votes.cardinalities)
    view = _core.VoteView(list(votes.tables.values()), votes.n_items, votes.n_sources, sizes)
    if len(sizes) == 1:
        return view, _core.StateCoding.of_one_task(sizes[0]), lambda state: [state]
    # Every vote vector is a state of its own, whatever it means.
    strides = _core.key_strides(sizes)
    keys, _ = _core.vote_vectors(view, n_threads=1)
    states = np.arange(1, len(keys) + 1, dtype=np.int32)
    coding = _core.StateCoding(keys, states, strides[-1] * (sizes[-1] + 1), len(keys) + 1)

    def labels_of(state: NDArray[np.int32]) -> Labels:
        key = keys[state - 1] if len(keys) else np.zeros(0, dtype=np.uint64)
        return [
            (key // np.uint64(stride) % np.uint64(size + 1)).astype(np.int32)
            for stride, size in zip(strides, sizes, strict=True)
        ]

    return view, coding, labels_of


def _of_lists(votes: Votes, start: NDArray[np.int64], column: NDArray[np.int32], labels: Labels) -> Votes:
    """Rows of the same tasks and sources as some votes; labels are from 1 on."""
    column_type = np.min_scalar_type(max(votes.n_sources - 1, 0))
    tables: dict[str, Table] = {
        task: (start, column.astype(column_type), label.astype(_smallest(size)))
        for task, label, size in zip(votes.tasks, labels, votes.cardinalities, strict=True)
    }
    return _as_votes(tables, len(start) - 1, votes)


def _smallest(n_labels: int) -> type[np.signedinteger]:
    return next(dtype for dtype in (np.int8, np.int16, np.int32) if n_labels <= np.iinfo(dtype).max)


def _stacked(parts: Sequence[Votes]) -> Votes:
    """Sparse votes one after the other; the classes are those of the first."""
    counts = [np.diff(part.tables[part.tasks[0]][0]) for part in parts]
    start = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    column = np.concatenate([part.tables[part.tasks[0]][1] for part in parts])
    tables: dict[str, Table] = {
        task: (start, column, np.concatenate([part.tables[task][2] for part in parts]))
        for task in parts[0].tasks
    }
    return _as_votes(tables, len(start) - 1, parts[0])


def _split(votes: Votes, ends: NDArray[np.int64]) -> list[Votes]:
    """Sparse votes in parts that end at these items."""
    parts = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        tables: dict[str, Table] = {}
        for task, (start, column, label) in votes.tables.items():
            first, last = start[begin], start[end]
            tables[task] = (start[begin : end + 1] - first, column[first:last], label[first:last])
        parts.append(_as_votes(tables, int(end - begin), votes))
    return parts


def _arrays_of(votes: Votes, prefix: str) -> dict[str, NDArray[Any]]:
    """Arrays of sparse votes, whose tables have the same places."""
    start, column, _ = votes.tables[votes.tasks[0]]
    labels = {f"{prefix}label_{r}": votes.tables[task][2] for r, task in enumerate(votes.tasks)}
    return {f"{prefix}start": start, f"{prefix}column": column, **labels}


def _of_arrays(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], prefix: str) -> Votes:
    """Votes of such arrays, checked."""
    start, column = arrays[f"{prefix}start"], arrays[f"{prefix}column"]
    tables: dict[str, Table] = {
        task: (start, column, arrays[f"{prefix}label_{r}"]) for r, task in enumerate(header["classes"])
    }
    unknown, names = dict.fromkeys(tables), header["source_names"]
    return Votes(tables, len(start) - 1, header["n_sources"], header["classes"], unknown, names)


def _plain_names(names: Sequence[Any] | None) -> list[Any] | None:
    """Class names without the scalars of numpy."""
    return None if names is None else [n.item() if isinstance(n, np.generic) else n for n in names]


def _as_votes(tables: dict[str, Table], n_items: int, like: Votes) -> Votes:
    return Votes(tables, n_items, like.n_sources, like.classes, dict.fromkeys(like.tasks), like.source_names)
