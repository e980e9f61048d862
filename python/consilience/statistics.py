"""What the votes say in sums: counts of the indicators, alone and in pairs."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience import _core
from consilience.container import pack, unpack
from consilience.events import code_votes
from consilience.exceptions import FileFormatError, InvalidArgumentError, InvalidVotesError, WrongTypeError
from consilience.task_graph import TaskGraph
from consilience.votes import Votes, as_votes

__all__ = ["VoteStatistics"]

_KIND = "vote statistics"
_MAX_TOTAL = 2**53


@dataclass(frozen=True, eq=False)
class VoteStatistics:
    """Sums over the items that the methods ``"moments"`` and ``"completion"`` need, and no more.

    A node is an indicator "source j votes for event A" (with one task, "votes for class l"); only nodes that
    occur are kept, ``d`` of them. With unweighted items, or whole-numbered weights, every sum is an exact
    integer.

    Attributes
    ----------
    task_graph : TaskGraph
        Tasks, classes and feasible set.
    source_names : tuple of str or None
        Names of the ``m`` sources.
    n : int or float
        Number of items, or sum of their weights.
    node_source : (d,) int64 array
        Source of each node; nodes are sorted by source, then event.
    node_event : (d, t) int64 array
        Event of each node as the canonical vote vector, ``-1`` where it says nothing about a task.
    pairs : (d, d) int64 or float64 array
        Items on which both nodes are 1; the diagonal counts each node alone.
    n_votes, n_overlaps, n_conflicts : (m,) arrays
        Items on which a source votes; of those, on which another source votes too, and on which another's
        vote contradicts it (no feasible label vector agrees with both).
    n_covered : int or float
        Items with at least one vote.
    n_infeasible : (m,) int64 array
        Votes that no feasible label vector agrees with, taken as abstentions (not weighted).
    """

    task_graph: TaskGraph
    source_names: tuple[str, ...] | None
    n: int | float
    node_source: NDArray[np.int64]
    node_event: NDArray[np.int64]
    pairs: NDArray[Any]
    n_votes: NDArray[Any]
    n_overlaps: NDArray[Any]
    n_conflicts: NDArray[Any]
    n_covered: int | float
    n_infeasible: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        votes: Any,
        weights: ArrayLike | None = None,
        n_classes: int | None = None,
        n_threads: int | None = None,
        *,
        classes: Sequence[Hashable] | None = None,
        task_graph: TaskGraph | None = None,
    ) -> VoteStatistics:
        """Statistics of votes, in one pass.

        Parameters
        ----------
        votes
            Any form that ``LabelModel.fit`` takes.
        weights : (n_items,) array, optional
            How many items each row stands for, at least 0.
        n_classes, classes, task_graph : optional
            At most one; by default read from the votes. Give one of them when statistics will be merged.
        n_threads : int, optional
            By default all cores. The result does not depend on it.

        Raises
        ------
        ConsilienceError
            If the votes or the weights are not of an allowed form; see :class:`Votes`.
        """
        read = as_votes(votes, n_classes=n_classes, classes=classes, task_graph=task_graph)
        graph = task_graph if task_graph is not None else graph_of(read)
        return count(read, graph, weights, n_threads)

    @property
    def n_sources(self) -> int:
        """Number of sources, ``m``."""
        return len(self.n_votes)

    @property
    def means(self) -> NDArray[np.float64]:
        """Share of the items on which each node is 1, (d,), in [0, 1]."""
        return np.diag(self.pairs) / self.n

    @property
    def covariance(self) -> NDArray[np.float64]:
        """``Sigma_O``: covariance of the nodes, (d, d), divided by n."""
        means = self.means
        covariance: NDArray[np.float64] = self.pairs / self.n - np.outer(means, means)
        return covariance

    def of_sources(self, kept: NDArray[np.bool_]) -> VoteStatistics:
        """The same statistics without the nodes of some sources; `kept` is an (m,) mask."""
        if kept.all():
            return self
        nodes = np.flatnonzero(kept[self.node_source])
        return replace(
            self,
            node_source=self.node_source[nodes],
            node_event=self.node_event[nodes],
            pairs=self.pairs[np.ix_(nodes, nodes)],
        )

    def merge(self, other: VoteStatistics) -> VoteStatistics:
        """Statistics of both sets of items together; commutative and associative, exact for whole numbers.

        Raises
        ------
        InvalidArgumentError
            If tasks, classes or sources differ.
        WrongTypeError
            If `other` is no ``VoteStatistics``.
        """
        if not isinstance(other, VoteStatistics):
            raise WrongTypeError(f"other must be VoteStatistics, got {type(other).__name__}")
        if self.task_graph != other.task_graph:
            raise InvalidArgumentError(
                f"the statistics are about different classes: {self.task_graph!r} and {other.task_graph!r}; "
                "give the same n_classes, classes or task_graph to both"
            )
        if self.n_sources != other.n_sources or self.source_names != other.source_names:
            raise InvalidArgumentError(
                f"the statistics are about different sources: {self.n_sources} named {self.source_names} and "
                f"{other.n_sources} named {other.source_names}"
            )
        n = self.n + other.n
        _check_total(n)
        nodes = np.unique(np.concatenate([self._nodes(), other._nodes()]), axis=0)
        index = {tuple(node): a for a, node in enumerate(nodes.tolist())}
        pairs = np.zeros((len(nodes), len(nodes)), np.result_type(self.pairs, other.pairs))
        for part in (self, other):
            places = [index[tuple(node)] for node in part._nodes().tolist()]
            pairs[np.ix_(places, places)] += part.pairs
        return VoteStatistics(
            self.task_graph,
            self.source_names,
            n,
            nodes[:, 0],
            np.ascontiguousarray(nodes[:, 1:]),
            pairs,
            self.n_votes + other.n_votes,
            self.n_overlaps + other.n_overlaps,
            self.n_conflicts + other.n_conflicts,
            self.n_covered + other.n_covered,
            self.n_infeasible + other.n_infeasible,
        )

    def to_bytes(self) -> bytes:
        """The statistics as versioned, checksummed bytes; the same ones for equal statistics."""
        header = {
            "task_graph": self.task_graph.to_json(),
            "source_names": None if self.source_names is None else list(self.source_names),
            "n": self.n,
            "n_covered": self.n_covered,
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return pack(_KIND, header, arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> VoteStatistics:
        """Statistics that :meth:`to_bytes` wrote, checked.

        Raises
        ------
        FileFormatError
            If the bytes are damaged, of another kind, or do not fit together.
        """
        header, arrays = unpack(data, _KIND)
        try:
            names = header["source_names"]
            statistics = cls(
                task_graph=TaskGraph.from_json(header["task_graph"]),
                source_names=None if names is None else tuple(names),
                n=header["n"],
                n_covered=header["n_covered"],
                **{name: arrays[name] for name in _ARRAYS},
            )
            statistics._check()
        except (KeyError, TypeError, ValueError) as error:
            raise FileFormatError(f"not the statistics of votes: {error}; write them again") from error
        return statistics

    def _nodes(self) -> NDArray[np.int64]:
        return np.column_stack([self.node_source, self.node_event])

    def _check(self) -> None:
        d, m, t = len(self.node_source), len(self.n_votes), self.task_graph.n_tasks
        shapes = {
            "node_source": (d,),
            "node_event": (d, t),
            "pairs": (d, d),
            "n_votes": (m,),
            "n_overlaps": (m,),
            "n_conflicts": (m,),
            "n_infeasible": (m,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise FileFormatError(f"{name} must have shape {shape}, got {getattr(self, name).shape}")
        if m == 0 or (d and not 0 <= self.node_source.min() <= self.node_source.max() < m):
            raise FileFormatError(f"node_source must lie in 0..{m - 1}")
        if self.source_names is not None and len(self.source_names) != m:
            raise FileFormatError(f"source_names must hold {m} names")
        nodes = self._nodes()
        if d and not np.array_equal(np.unique(nodes, axis=0), nodes):
            raise FileFormatError("nodes must be sorted and distinct")
        if not self.task_graph.event_masks(self.node_event).any(axis=1).all():
            raise FileFormatError("node_event holds an infeasible event")
        alone = np.diag(self.pairs)
        if not (np.array_equal(self.pairs, self.pairs.T) and (self.pairs >= 0).all()):
            raise FileFormatError("pairs must be symmetric and not negative")
        if (self.pairs > np.minimum.outer(alone, alone)).any() or (alone > self.n).any():
            raise FileFormatError("pairs must not exceed the counts of their nodes, nor those n")


_ARRAYS = ("node_source", "node_event", "pairs", "n_votes", "n_overlaps", "n_conflicts", "n_infeasible")


def graph_of(votes: Votes) -> TaskGraph:
    """Task graph that votes bring themselves: their classes, and no relation between tasks."""
    return TaskGraph(
        {
            task: k if votes.classes[task] is None else votes.classes[task]  # type: ignore[misc]
            for task, k in zip(votes.tasks, votes.cardinalities, strict=True)
        }
    )


def count(
    votes: Votes, task_graph: TaskGraph, weights: ArrayLike | None, n_threads: int | None
) -> VoteStatistics:
    """Statistics of checked votes under a task graph; warns of infeasible votes."""
    threads = threads_of(n_threads)
    coded = code_votes(votes, task_graph, n_threads=threads)
    coded.warn_of_infeasible()
    disjoint = coded.disjoint(task_graph)
    read = None if weights is None else read_weights(weights, votes.n_items)
    try:
        if read is None:
            moments = _core.count_moments(coded.view, coded.coding, disjoint, n_threads=threads)
        else:
            moments = _core.count_weighted_moments(
                coded.view, coded.coding, read, disjoint, n_threads=threads
            )
    except _core.LabelOutOfRange as error:
        raise votes.label_error(error) from None
    except ValueError as error:
        raise InvalidVotesError(f"votes: {error}; use fewer sources or classes") from None
    return VoteStatistics(
        task_graph,
        votes.source_names,
        votes.n_items if read is None else read.sum().item(),
        moments["node_source"].astype(np.int64),
        coded.events[moments["node_state"] - 1].reshape(-1, task_graph.n_tasks),
        moments["pairs"],
        moments["votes"],
        moments["overlaps"],
        moments["conflicts"],
        moments["n_covered"],
        coded.n_infeasible,
    )


def read_weights(weights: ArrayLike, n_items: int) -> NDArray[np.int64] | NDArray[np.float64]:
    """Weights as int64 where they are whole numbers, else as float64.

    Raises
    ------
    InvalidArgumentError
        If the shape is wrong, a weight is negative or not finite, all are 0, or their sum is above 2^53.
    WrongTypeError
        If they are not numbers.
    """
    array = np.asarray(weights)
    if array.shape != (n_items,):
        raise InvalidArgumentError(f"weights must have shape ({n_items},), one an item, got {array.shape}")
    if array.dtype.kind not in "biuf":
        raise WrongTypeError(f"weights must be numbers, got dtype {array.dtype}")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        raise InvalidArgumentError(
            f"weights[{bad[0]}] is {array[bad[0]]}; weights must be finite and at least 0"
        )
    total = float(array.sum(dtype=np.float64))
    if total == 0:
        raise InvalidArgumentError("weights are all 0; give at least one item a positive weight")
    _check_total(total)
    if array.dtype.kind in "biu" or np.array_equal(array, np.floor(array)):
        return np.ascontiguousarray(array, dtype=np.int64)
    return np.ascontiguousarray(array, dtype=np.float64)


def _check_total(total: float) -> None:
    if total > _MAX_TOTAL:
        raise InvalidArgumentError(f"the items weigh {total} together; at most 2^53 can be counted exactly")


def threads_of(n_threads: int | None) -> int:
    """Number of threads: as given, or one a core.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If it is not a positive int.
    """
    if n_threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(n_threads, bool) or not isinstance(n_threads, (int, np.integer)):
        raise WrongTypeError(f"n_threads must be an int or None, got {n_threads!r}")
    if n_threads < 1:
        raise InvalidArgumentError(f"n_threads must be at least 1, got {n_threads}")
    return int(n_threads)
