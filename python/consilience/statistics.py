"""What the votes say in sums: counts of the indicators, alone, in pairs and, where asked for, in triples."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience import _core
from consilience.arrays import as_array, in_item_order
from consilience.chunks import Form, is_stream
from consilience.class_numbers import check_class_numbers
from consilience.components import ComponentLayout, JointCounts, joint_counts
from consilience.container import pack, unpack
from consilience.events import CodedVotes, code_votes, recode, warn_of_infeasible
from consilience.exceptions import (
    FileFormatError,
    InvalidArgumentError,
    InvalidVotesError,
    WrongTypeError,
    listed,
)
from consilience.rows import Distinct, Items, Rows, Stored, Tallied, rows_of
from consilience.source_graph import Dependencies, SourceGraph
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.votes import Votes, as_votes

__all__ = ["Observation", "TripleCounts", "VoteStatistics"]

_KIND = "vote statistics"
_MAX_TOTAL = 2**53

MOST_TALLIED = 1 << 32
"""Items that distinct rows may stand for where these are summed up in whole numbers."""

_SLACK = 1e-9
"""Relative error of sums of fractional weights, whose order is not the same for every sum."""


@dataclass(frozen=True, eq=False)
class TripleCounts:
    """How often three independent sources vote for the same event on the same item.

    Attributes
    ----------
    of_node : (d,) int64 or float64 array
        For each node, the triples that it is in. Summed over an event's nodes, each counts three times.
    component : (m,) int64 array
        Sources with the same number depend on each other and meet in no triple.
    """

    of_node: NDArray[Any]
    component: NDArray[np.int64]


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
    joint : JointCounts
        The same of sources that depend on each other, counted together.
    triples : TripleCounts or None
        What the class balance is learned from; None where it was not asked for.
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
    joint: JointCounts
    triples: TripleCounts | None = None

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
        dependencies: Dependencies = None,
        triples: bool = False,
    ) -> VoteStatistics:
        """Statistics of votes, in one pass (two with dependencies).

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
        dependencies : iterable of pairs, optional
            Sources that depend on each other, as for ``LabelModel``: what they vote together is counted too.
        triples : bool
            Whether to count triples of sources too, which the class balance is learned from. The pass then
            takes up to twice as long.

        Raises
        ------
        ConsilienceError
            If the votes or the weights are not of an allowed form; see :class:`Votes`.
        """
        weights = in_item_order(weights, votes, "weights")
        if is_stream(votes):
            from consilience.streams import observe_chunks  # it merges what this module counts

            form = Form(n_classes, classes, task_graph)
            return observe_chunks(
                votes,
                form,
                weights=weights,
                n_threads=n_threads,
                dependencies=dependencies,
                strict=True,
                triples=triples,
            ).statistics
        form = Form(n_classes, classes, task_graph)
        return observe_whole(
            votes, form, weights, n_threads, dependencies, strict=True, triples=triples
        ).statistics

    @property
    def n_sources(self) -> int:
        """Number of sources, ``m``."""
        return len(self.n_votes)

    @property
    def is_without_pairs(self) -> bool:
        """Whether sources vote, and no nodes are held: they were too many for the pairs of their votes."""
        return not len(self.node_source) and bool(self.n_votes.any())

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

    @cached_property
    def pairs_of_sources(self) -> NDArray[Any]:
        """Items on which both of two sources vote, (p, p), of the p sources that ever do; in their order."""
        first = np.flatnonzero(np.diff(self.node_source, prepend=-1))
        together: NDArray[Any] = np.add.reduceat(np.add.reduceat(self.pairs, first, axis=0), first, axis=1)
        return together

    def without_joint(self) -> VoteStatistics:
        """The same statistics without what dependent sources do together."""
        return replace(self, joint=JointCounts.none(len(self.node_source), self.task_graph.n_tasks))

    def of_sources(self, kept: NDArray[np.bool_]) -> VoteStatistics:
        """The same statistics without the nodes of some sources; `kept` is an (m,) mask.

        The triples of the nodes that are kept still include those with the others.
        """
        if kept.all():
            return self
        nodes = np.flatnonzero(kept[self.node_source])
        return replace(
            self,
            node_source=self.node_source[nodes],
            node_event=self.node_event[nodes],
            pairs=self.pairs[np.ix_(nodes, nodes)],
            triples=None
            if self.triples is None
            else replace(self.triples, of_node=self.triples.of_node[nodes]),
            joint=replace(self.joint, pairs=self.joint.pairs[:, nodes]),
        )

    def merge(self, other: VoteStatistics) -> VoteStatistics:
        """Statistics of both sets of items together; commutative and associative, exact for whole numbers.

        Triples are kept if both hold them.

        Raises
        ------
        InvalidArgumentError
            If tasks, classes or sources differ, or either was counted without the pairs of votes.
        InvalidVotesError
            If there are too many indicators for the pairs of their votes to fit into memory.
        WrongTypeError
            If `other` is no ``VoteStatistics``.
        """
        if not isinstance(other, VoteStatistics):
            raise WrongTypeError(f"other must be VoteStatistics, got {type(other).__name__}")
        check_alike(self, other)
        if self.is_without_pairs or other.is_without_pairs:
            raise InvalidArgumentError(without_pairs(self.n_sources))
        if self.joint.members != other.joint.members:
            raise InvalidArgumentError(
                f"the statistics count different dependent sources together: {self.joint.members} and "
                f"{other.joint.members}; give the same dependencies to both"
            )
        own_triples, other_triples = self.triples, other.triples
        with_triples = own_triples is not None and other_triples is not None
        if (
            own_triples is not None
            and other_triples is not None
            and not np.array_equal(own_triples.component, other_triples.component)
        ):
            raise InvalidArgumentError(
                "the statistics take different sources for dependent; give the same dependencies to both"
            )
        n = self.n + other.n
        _check_total(n, self.n_sources if with_triples else 1)
        nodes = np.unique(np.concatenate([self._nodes(), other._nodes()]), axis=0)
        d = len(nodes)
        if d > _core.MAX_NODES:
            raise InvalidVotesError(
                f"votes: {d} indicators (source, label) occur, whose pairs would take {8 * d * d >> 20} MiB; "
                f"of at most {_core.MAX_NODES} are they counted; {_INSTEAD_OF_PAIRS}"
            )
        index = {tuple(node): a for a, node in enumerate(nodes.tolist())}
        dtype = np.result_type(self.pairs, other.pairs)
        pairs, triples = np.zeros((len(nodes), len(nodes)), dtype), np.zeros(len(nodes), dtype)
        states, at = np.unique(
            np.concatenate([self.joint.keys(), other.joint.keys()]), axis=0, return_inverse=True
        )
        counts, joint_pairs = np.zeros(len(states), dtype), np.zeros((len(states), len(nodes)), dtype)
        own, others = np.split(at.reshape(-1), [len(self.joint.counts)])
        for part, rows in ((self, own), (other, others)):
            places = np.array([index[tuple(node)] for node in part._nodes().tolist()], dtype=np.int64)
            pairs[np.ix_(places, places)] += part.pairs
            if with_triples and part.triples is not None:
                triples[places] += part.triples.of_node
            counts[rows] += part.joint.counts
            joint_pairs[np.ix_(rows, places)] += part.joint.pairs
        joint = JointCounts(
            self.joint.members,
            states[:, 0],
            states[:, 1:].reshape(len(states), *self.joint.votes.shape[1:]),
            counts,
            joint_pairs,
        )
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
            joint,
            replace(own_triples, of_node=triples) if with_triples and own_triples is not None else None,
        )

    def to_bytes(self) -> bytes:
        """The statistics as versioned, checksummed bytes; the same ones for equal statistics."""
        return pack(_KIND, *self.to_parts())

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and arrays from which :meth:`from_parts` restores the statistics."""
        header = {
            "task_graph": self.task_graph.to_json(),
            "source_names": None if self.source_names is None else list(self.source_names),
            "n": self.n,
            "n_covered": self.n_covered,
            "members": [list(group) for group in self.joint.members],
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"joint_{name}": getattr(self.joint, own) for name, own in _JOINT_ARRAYS.items()}
        if self.triples is not None:
            arrays |= {"triples": self.triples.of_node, "triples_component": self.triples.component}
        return header, arrays

    @classmethod
    def from_bytes(cls, data: bytes) -> VoteStatistics:
        """Statistics that :meth:`to_bytes` wrote, checked.

        Raises
        ------
        FileFormatError
            If the bytes are damaged, of another kind, or do not fit together.
        """
        return cls.from_parts(*unpack(data, _KIND))

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> VoteStatistics:
        """Statistics that :meth:`to_parts` described, checked.

        Raises
        ------
        FileFormatError
            If they do not fit together; arrays of other names are left alone.
        """
        try:
            names = header["source_names"]
            statistics = cls(
                task_graph=TaskGraph.from_json(header["task_graph"]),
                source_names=None if names is None else tuple(names),
                n=header["n"],
                n_covered=header["n_covered"],
                joint=JointCounts(
                    tuple(tuple(group) for group in header["members"]),
                    *(arrays[f"joint_{name}"] for name in _JOINT_ARRAYS),
                ),
                **{name: arrays[name] for name in _ARRAYS},
                triples=(
                    TripleCounts(arrays["triples"], arrays["triples_component"])
                    if "triples" in arrays
                    else None
                ),
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
        joint, e = self.joint, len(self.joint.clique)
        size = max((len(group) for group in joint.members), default=0)
        if joint.votes.shape != (e, size, t) or joint.counts.shape != (e,) or joint.pairs.shape != (e, d):
            raise FileFormatError("the joint counts do not fit their members and nodes")
        if e and not 0 <= joint.clique.min() <= joint.clique.max() < len(joint.members):
            raise FileFormatError("joint_component is out of range")
        if not all(0 <= j < m for group in joint.members for j in group):
            raise FileFormatError("members name a source that is not there")
        if m == 0 or (d and not 0 <= self.node_source.min() <= self.node_source.max() < m):
            raise FileFormatError(f"node_source must lie in 0..{m - 1}")
        if self.source_names is not None and len(self.source_names) != m:
            raise FileFormatError(f"source_names must hold {m} names")
        nodes = self._nodes()
        if d and not np.array_equal(np.unique(nodes, axis=0), nodes):
            raise FileFormatError("nodes must be sorted and distinct")
        for name in ("node_source", "node_event", "n_infeasible"):
            if getattr(self, name).dtype != np.int64:
                raise FileFormatError(f"{name} must hold int64, got {getattr(self, name).dtype}")
        if not self.task_graph.event_masks(self.node_event).any(axis=1).all():
            raise FileFormatError("node_event holds an infeasible event")
        if d and (self.node_event == ABSTAIN).all(axis=1).any():
            raise FileFormatError("node_event holds a node that says nothing")
        for name in ("n_votes", "n_overlaps", "n_conflicts", "n_covered"):
            counts = np.asarray(getattr(self, name))
            if not (counts >= 0).all() or _exceeds(counts, self.n):
                raise FileFormatError(f"{name} must lie in 0..{self.n}")
        if _exceeds(self.n_overlaps, self.n_votes) or _exceeds(self.n_conflicts, self.n_votes):
            raise FileFormatError("overlaps and conflicts must not exceed the votes")
        alone = np.diag(self.pairs)
        if not (np.array_equal(self.pairs, self.pairs.T) and (self.pairs >= 0).all()):
            raise FileFormatError("pairs must be symmetric and not negative")
        if _exceeds(self.pairs, np.minimum.outer(alone, alone)) or _exceeds(alone, self.n):
            raise FileFormatError("pairs must not exceed the counts of their nodes, nor those n")
        if self.triples is not None:
            _check_triples(self.triples, alone, m)


def _sources_in_words(statistics: VoteStatistics) -> str:
    names = statistics.source_names
    return f"{statistics.n_sources} without names" if names is None else listed(names)


def check_alike(one: VoteStatistics, other: VoteStatistics) -> None:
    """Raise InvalidArgumentError unless both are about the same classes and sources."""
    if one.task_graph != other.task_graph:
        raise InvalidArgumentError(
            f"the statistics are about different classes: {one.task_graph!r} and {other.task_graph!r}; "
            "give the same n_classes, classes or task_graph to both"
        )
    if one.n_sources != other.n_sources or one.source_names != other.source_names:
        raise InvalidArgumentError(
            f"different sources: {_sources_in_words(one)} before, {_sources_in_words(other)} now; give the "
            "same sources, in the same order, each time (a source that casts no vote abstains: -1)"
        )


_INSTEAD_OF_PAIRS = (
    'fit all votes by method="auto" or "em" without dependencies, which need no pairs, or use fewer sources '
    "or classes"
)


def without_pairs(n_sources: int) -> str:
    """Why votes cannot be added to statistics without pairs."""
    return (
        f"with {n_sources} sources the pairs of their votes were not counted, and more votes cannot be added "
        "to what is left; give all votes to fit, or begin with partial_fit"
    )


def _exceeds(counts: NDArray[Any], limit: Any) -> bool:
    """Whether a count is above its limit, or no number; sums of fractional weights may be, by rounding."""
    if np.asarray(counts).dtype.kind == "f":
        limit = limit * (1 + _SLACK)
    return not bool((counts <= limit).all())


def _check_triples(triples: TripleCounts, alone: NDArray[Any], m: int) -> None:
    """Refuse counts that do not fit `m` sources and how often each node is 1, (d,)."""
    of_node, component = triples.of_node, triples.component
    if of_node.shape != alone.shape or component.shape != (m,) or component.dtype != np.int64:
        raise FileFormatError("triples do not fit the nodes and sources")
    if not 0 <= component.min() <= component.max() < m:
        raise FileFormatError(f"triples_component must lie in 0..{m - 1}")
    most = alone * float(_n_partners(m))
    if not (of_node >= 0).all() or _exceeds(of_node, most):
        raise FileFormatError("triples must not exceed the counts of their nodes times the pairs of others")


_ARRAYS = (
    "node_source",
    "node_event",
    "pairs",
    "n_votes",
    "n_overlaps",
    "n_conflicts",
    "n_infeasible",
)
_JOINT_ARRAYS = {"component": "clique", "votes": "votes", "counts": "counts", "pairs": "pairs"}
"""Name of each array of the joint counts as bytes have it, and as objects do."""


def graph_of(
    votes: Votes, n_classes: int | None = None, classes: Sequence[Hashable] | None = None
) -> TaskGraph:
    """Task graph of votes that come without one: their classes, and no relation between tasks.

    Parameters
    ----------
    votes : Votes
        The votes.
    n_classes, classes : optional
        What the caller says about the classes; for a single task.

    Raises
    ------
    InvalidArgumentError
        If that contradicts the votes' own class names, or there are several tasks.
    """
    wanted: Any = n_classes if classes is None else list(classes)
    if len(votes.tasks) > 1:
        if wanted is not None:
            raise InvalidArgumentError(
                f"votes are about {len(votes.tasks)} tasks, {listed(votes.tasks)}; give task_graph in "
                "place of n_classes and classes"
            )
        sizes = zip(votes.tasks, votes.cardinalities, strict=True)
        return TaskGraph({task: votes.classes[task] or k for task, k in sizes})  # type: ignore[misc]
    task, own = votes.tasks[0], votes.classes[votes.tasks[0]]
    if own is not None:
        if (classes is not None and own != wanted) or (n_classes is not None and len(own) != n_classes):
            given = f"n_classes={n_classes}" if classes is None else f"classes={wanted}"
            raise InvalidArgumentError(
                f"votes have {len(own)} classes of their own, {listed(own)}, not {given}; leave it out, or "
                "name all classes with classes=[...]"
            )
        return TaskGraph({task: own})  # type: ignore[dict-item]
    if isinstance(wanted, list):
        return TaskGraph({task: wanted})
    if wanted is None and votes.cardinalities[0] > MANY_CLASSES:
        _check_no_identifiers(votes)
    return _plain_graph(task, votes.cardinalities[0] if wanted is None else wanted)


def _check_no_identifiers(votes: Votes) -> None:
    """Raise InvalidVotesError where all votes of a source differ: numbers of items, left in the table."""
    (table,) = votes.tables.values()
    if not isinstance(table, np.ndarray):
        return
    for j in range(votes.n_sources):
        column = table[: 10 * MANY_CLASSES, j]
        column = column[column >= 0]
        if len(column) > MANY_CLASSES and len(np.unique(column)) == len(column):
            name = SourceGraph(votes.n_sources, (), votes.source_names).source_names[j]
            raise InvalidVotesError(
                f"all votes of {name} differ, from {column.min()} to {column.max()}: numbers of items, and "
                "no votes? Leave that column out, or give n_classes if they are votes"
            )


MANY_CLASSES = 30
"""Classes, read off the votes, from which on it is checked that they are no numbers of items."""


@lru_cache(maxsize=64)
def _plain_graph(task: str, k: int) -> TaskGraph:
    return TaskGraph({task: k})


@dataclass(frozen=True, eq=False)
class Observation:
    """Votes and their statistics.

    Attributes
    ----------
    statistics : VoteStatistics
        Their sums.
    coded : CodedVotes
        The votes as the core takes them.
    weights : (n_items,) array or None
        As read.
    drawn : Votes or None
        Where `coded` holds the distinct rows of items, and `weights` how many these are: votes of the items
        that :func:`consilience.item_sample.draw_items` draws.
    left_out : (n_items,) bool array or None
        Items that passes leave out, where all others weigh the same.
    marginals : (m, S) array or None
        Votes of each source in each state, where the statistics hold no indicators because there are too many
        of them to look at pairs; see :mod:`consilience.many_sources`.
    """

    statistics: VoteStatistics
    coded: CodedVotes
    weights: NDArray[Any] | None
    marginals: NDArray[Any] | None = None
    drawn: Votes | None = None
    left_out: NDArray[np.bool_] | None = None
    _found: dict[Any, tuple[Rows, _core.StateCoding]] = field(default_factory=dict, init=False, repr=False)

    @property
    def voted_events(self) -> NDArray[np.int64]:
        """Events that some source votes for, (q, t), perhaps several times."""
        if self.marginals is None:
            return self.statistics.node_event
        return self.coded.events[self.marginals[:, 1:].any(axis=0)]  # the first state is to abstain

    def rows(self, layout: ComponentLayout, n_threads: int) -> tuple[Rows, _core.StateCoding]:
        """What passes go over, with the columns of a layout, and the coding of these; found once."""
        # The events of a source matter where it is read together with others.
        events = tuple(own.tobytes() for own in layout.events) if layout.members else ()
        key = (layout.members, layout.left_out, events)
        if key not in self._found:
            coding = layout.code(self.coded.coding, self.coded.events)
            self._found[key] = self._rows(coding, n_threads), coding
        return self._found[key]

    def _rows(self, coding: _core.StateCoding, n_threads: int) -> Rows:
        graph, n_votes = self.statistics.task_graph, int(self.statistics.n_votes.sum())
        if self.weights is None:
            stored = Stored(self.coded.votes, graph, coding, n_votes, self.left_out)
            return rows_of(Items(stored, None, coding.n_states), n_threads)
        weights = self.weights.astype(np.float64, copy=False)
        found = _core.find_patterns(self.coded.view, coding, weights, n_threads=n_threads)
        if self.drawn is None or weights.sum() > MOST_TALLIED:
            return Distinct(found)
        held = Tallied(found, Stored(self.drawn, graph, coding))
        return rows_of(Items(held, None, coding.n_states), n_threads)

    def patterns(self, layout: ComponentLayout, n_threads: int) -> tuple[_core.Patterns, _core.StateCoding]:
        """The distinct rows in any case."""
        rows, coding = self.rows(layout, n_threads)
        return rows.patterns if isinstance(rows, Distinct) else rows.patterns(n_threads), coding


def observe_whole(
    votes: Any,
    form: Form,
    weights: ArrayLike | None,
    n_threads: int | None,
    dependencies: Dependencies = None,
    *,
    strict: bool,
    triples: bool = False,
) -> Observation:
    """Votes in one piece, in any form, checked, with their statistics; otherwise as :func:`observe`."""
    graph = form.task_graph
    read = as_votes(votes, n_classes=form.n_classes, classes=form.classes, task_graph=graph)
    graph = graph_of(read, form.n_classes, form.classes) if graph is None else graph
    observed = observe(read, graph, weights, n_threads, dependencies, strict=strict, triples=triples)
    check_class_numbers(votes, form, graph, observed.voted_events, infers_classes=read.infers_classes)
    return observed


def observe(
    votes: Votes,
    task_graph: TaskGraph,
    weights: ArrayLike | None,
    n_threads: int | None,
    dependencies: Dependencies = None,
    *,
    strict: bool,
    triples: bool = False,
) -> Observation:
    """Checked votes under a task graph with their statistics; warns of infeasible votes.

    Dependent sources with too many joint states to count together are an error if `strict`; otherwise they
    are left uncounted, with a warning.
    """
    if votes.n_items == 0:
        raise InvalidVotesError("votes hold no items (0 rows); give at least one")
    threads = threads_of(n_threads)
    read = None if weights is None else read_weights(weights, votes.n_items)
    component = component_of(votes, dependencies) if triples else None
    observed = observe_part(votes, task_graph, read, threads, component=component)
    warn_of_infeasible(observed.coded.n_infeasible, votes.source_names, votes, task_graph)
    return (
        observed if dependencies is None else count_together(observed, dependencies, threads, strict=strict)
    )


def observe_part(
    votes: Votes,
    task_graph: TaskGraph,
    weights: NDArray[Any] | None,
    n_threads: int,
    dependencies: Dependencies = None,
    *,
    component: NDArray[np.int64] | None = None,
) -> Observation:
    """The same for a part of the votes, which may be empty; :func:`check_whole` then looks at the whole.

    With `component`, (m,), triples of sources of different components are counted too.
    """
    if component is not None:
        _check_total(
            votes.n_items if weights is None else float(weights.sum(dtype=np.float64)), votes.n_sources
        )
    coded = code_votes(votes, task_graph, n_threads=n_threads)
    moments = _count_moments(coded, coded.coding, weights, coded.disjoint(task_graph), component, n_threads)
    node_source = moments["node_source"].astype(np.int64)
    node_event = coded.events[moments["node_state"] - 1].reshape(-1, task_graph.n_tasks)
    statistics = VoteStatistics(
        task_graph,
        votes.source_names,
        votes.n_items if weights is None else weights.sum().item(),
        node_source,
        node_event,
        moments["pairs"],
        moments["votes"],
        moments["overlaps"],
        moments["conflicts"],
        moments["n_covered"],
        coded.n_infeasible,
        JointCounts.none(len(node_source), task_graph.n_tasks),
        None if component is None else TripleCounts(moments["triples"], component),
    )
    coded = recode(coded, task_graph, np.unique(moments["node_state"]).astype(np.int64), n_threads)
    observed = Observation(statistics, coded, weights)
    if dependencies is None:
        return observed
    return _count_components(observed, _components(statistics, dependencies).countable(), n_threads)


def check_whole(statistics: VoteStatistics, dependencies: Dependencies, *, strict: bool) -> VoteStatistics:
    """Statistics of all votes, without dependent sources that have too many joint states: see `observe`."""
    warn_of_infeasible(statistics.n_infeasible, statistics.source_names)
    if dependencies is None:
        return statistics
    layout = _components(statistics, dependencies)
    layout = layout.checked() if strict else layout.without_too_large()
    return replace(statistics, joint=statistics.joint.of_members(layout.members))


def count_together(
    observed: Observation, dependencies: Iterable[Sequence[int | str]], n_threads: int, *, strict: bool
) -> Observation:
    """The same votes with the joint counts of dependent sources, in one more pass; see :func:`observe`."""
    statistics = observed.statistics
    layout = _components(statistics, dependencies)
    if statistics.triples is not None:
        component = SourceGraph(statistics.n_sources, dependencies, statistics.source_names).component
        if not np.array_equal(component, statistics.triples.component):  # learned since they were counted
            observed = count_triples(observed, component, n_threads)
    return _count_components(observed, layout.checked() if strict else layout.without_too_large(), n_threads)


def count_triples(observed: Observation, component: NDArray[np.int64], n_threads: int) -> Observation:
    """The same votes with triples of sources of different components, (m,), in one more pass."""
    statistics, coded = observed.statistics, observed.coded
    _check_total(statistics.n, statistics.n_sources)
    moments = _count_moments(coded, coded.coding, observed.weights, None, component, n_threads)
    triples = TripleCounts(moments["triples"], component)
    return replace(observed, statistics=replace(statistics, triples=triples))


def component_of(votes: Votes, dependencies: Dependencies) -> NDArray[np.int64]:
    """Component of each source, (m,)."""
    given = () if dependencies is None else dependencies
    return SourceGraph(votes.n_sources, given, votes.source_names).component


def _components(statistics: VoteStatistics, dependencies: Iterable[Sequence[int | str]]) -> ComponentLayout:
    source_graph = SourceGraph(statistics.n_sources, dependencies, statistics.source_names)
    return layout_of(source_graph, statistics.node_source, statistics.node_event)


def _count_components(observed: Observation, layout: ComponentLayout, n_threads: int) -> Observation:
    if not layout.members:
        return observed
    statistics, coded = observed.statistics, observed.coded
    coding = layout.code(coded.coding, coded.events)
    # Conflicts between components are of no interest: any rule does.
    of_columns = _count_moments(coded, coding, observed.weights, None, None, n_threads)
    joint = joint_counts(layout, statistics.node_source, statistics.node_event, of_columns)
    return replace(observed, statistics=replace(statistics, joint=joint))


def layout_of(
    source_graph: SourceGraph,
    node_source: NDArray[np.int64],
    node_event: NDArray[np.int64],
    weights: Sequence[float] | None = None,
) -> ComponentLayout:
    """Layout of the cliques of a source graph, each source with the events of its nodes.

    `weights` tells where the junction trees begin, see :meth:`SourceGraph.junction_trees`.
    """
    trees = [tree for tree in source_graph.junction_trees(weights) if len(tree[0][0]) > 1]
    return ComponentLayout(
        source_graph.n_sources,
        tuple(clique for tree in trees for clique, _ in tree),
        tuple(separator for tree in trees for _, separator in tree),
        tuple(node_event[node_source == j] for j in range(source_graph.n_sources)),
        source_graph.source_names,
    )


def _count_moments(
    coded: CodedVotes,
    coding: _core.StateCoding,
    weights: NDArray[Any] | None,
    disjoint: NDArray[np.uint8] | None,
    component: NDArray[np.int64] | None,
    threads: int,
) -> _core.Moments:
    of_source = None if component is None else component.astype(np.int32)
    try:
        if weights is None:
            return _core.count_moments(coded.view, coding, disjoint, component=of_source, n_threads=threads)
        return _core.count_weighted_moments(
            coded.view, coding, weights, disjoint, component=of_source, n_threads=threads
        )
    except _core.LabelOutOfRange as error:
        raise coded.votes.label_error(error) from None
    except ValueError as error:
        raise InvalidVotesError(f"votes: {error}; {_INSTEAD_OF_PAIRS}") from None


def read_weights(weights: ArrayLike, n_items: int | None = None) -> NDArray[np.int64] | NDArray[np.float64]:
    """Weights as int64 where they are whole numbers, else as float64.

    Raises
    ------
    InvalidArgumentError
        If the shape is wrong, a weight is negative or not finite, all are 0, or their sum is above 2^53.
    WrongTypeError
        If they are not numbers.
    """
    array = as_array(weights, "weights")
    if array.ndim != 1 or (n_items is not None and len(array) != n_items):
        shape = f"({'n_items' if n_items is None else n_items},)"
        raise InvalidArgumentError(f"weights must have shape {shape}, one an item, got {array.shape}")
    if array.dtype.kind not in "biuf":
        raise WrongTypeError(f"weights must be numbers, got dtype {array.dtype}")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        raise InvalidArgumentError(
            f"weights[{bad[0]}] is {array[bad[0]]}; weights must be finite and at least 0"
        )
    with np.errstate(over="ignore"):
        total = float(array.sum(dtype=np.float64))
    if total == 0:
        raise InvalidArgumentError("weights are all 0; give at least one item a positive weight")
    if total > _MAX_TOTAL:
        raise InvalidArgumentError(
            f"weights have the sum {total:g}, weights[{int(np.argmax(array))}] is the largest with "
            f"{array.max():g}, and at most 2^53 can be counted exactly; divide all weights by one number"
        )
    if array.dtype.kind in "biu" or np.array_equal(array, np.floor(array)):
        return np.ascontiguousarray(array, dtype=np.int64)
    return np.ascontiguousarray(array, dtype=np.float64)


def _check_total(total: float, n_sources: int) -> None:
    """Refuse items that weigh too much for exact counts, of triples too."""
    most = min(_MAX_TOTAL, 2**63 // max(1, _n_partners(n_sources)) - 1)
    if total > most:
        limit = "2^53" if most == _MAX_TOTAL else most
        raise InvalidArgumentError(
            f"the items weigh {total} together; of {n_sources} sources at most {limit} can be counted exactly"
        )


def _n_partners(n_sources: int) -> int:
    """Most pairs of further sources that one source meets on an item."""
    return max(0, (n_sources - 1) * (n_sources - 2) // 2)


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
