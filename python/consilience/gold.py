"""Gold labels of some items: what is known of them, and what their votes say of the sources."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.arrays import as_array
from consilience.events import states_of
from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.statistics import Observation, VoteStatistics
from consilience.task_graph import ABSTAIN, TaskGraph

__all__ = [
    "Gold",
    "GoldCounts",
    "GoldOrigin",
    "KnownRows",
    "count_gold",
    "known_rows",
    "read_gold",
    "without_gold",
]

MIN_VOTES = 20
"""Votes on gold from which on a source's table is learned, whatever pairs of votes tell."""


@dataclass(frozen=True, eq=False)
class Gold:
    """What is known of the labels of some items.

    Attributes
    ----------
    at : (n_items,) int array
        Row of `masks` that holds for an item, -1 where nothing is known.
    masks : (q, K) bool array
        Feasible vectors that gold leaves possible.
    """

    at: NDArray[np.signedinteger]
    masks: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Items that something is known of, (n_items,)."""
        known: NDArray[np.bool_] = self.at >= 0
        return known

    @property
    def named(self) -> NDArray[np.bool_]:
        """Feasible vectors that gold leaves possible for some item of which it says anything, (K,)."""
        named: NDArray[np.bool_] = np.asarray(self.masks.any(axis=0))
        return named


@dataclass(frozen=True, eq=False)
class GoldOrigin:
    """What messages call gold labels: the argument ``y``, or the file that they come from.

    Attributes
    ----------
    path : str or None
        Of the file that the command line was given; None for the argument.
    ids : sequence or None
        What the file names the items; None where it gives them no names.
    """

    path: str | None = None
    ids: Sequence[Any] | None = None

    @property
    def name(self) -> str:
        """All the labels."""
        return "y" if self.path is None else f"--gold {self.path}"

    def of_task(self, task: str) -> str:
        """Those of one of several tasks."""
        return f"y[{task!r}]" if self.path is None else f"{self.name}, task {task!r}"

    def item(self, row: int) -> str:
        """One item."""
        return f"row {row}" if self.ids is None else f"item {str(self.ids[row])!r}"


ARGUMENT = GoldOrigin()


def read_gold(y: Any, n_items: int, graph: TaskGraph, origin: GoldOrigin = ARGUMENT) -> Gold | None:
    """Gold labels, checked; None if there are none.

    Parameters
    ----------
    y : None, (n_items,) array, or {task: (n_items,) array}
        Class indices, -1 where unknown; or class names, None or "" where unknown. Numbers are indices,
        whatever the classes are called.
    n_items : int
        How many there must be.
    graph : TaskGraph
        What they are about.
    origin : GoldOrigin
        What messages call them.

    Raises
    ------
    InvalidArgumentError
        If the length is wrong, a label or task is not there, or no feasible label vector agrees with what is
        said about an item; names the row.
    WrongTypeError
        If they are neither whole numbers nor names.
    """
    if y is None:
        return None
    if isinstance(y, Mapping):
        unknown = [task for task in y if task not in graph.tasks]
        if unknown or not y:
            raise InvalidArgumentError(f"{origin.name} has the tasks {list(y)}; tasks: {listed(graph.tasks)}")
        by_task = {task: (y[task], origin.of_task(task)) for task in graph.tasks if task in y}
    elif graph.n_tasks > 1 and origin.path is not None:
        raise InvalidArgumentError(
            f"{origin.name} names no task; give it a column for one or more of {listed(graph.tasks)}, named "
            "task:gold"
        )
    elif graph.n_tasks > 1:
        raise InvalidArgumentError(
            f"y must be a dict, {{task: labels}}, of one or more of {listed(graph.tasks)}, got "
            f"{type(y).__name__}"
        )
    else:
        by_task = {graph.tasks[0]: (y, origin.name)}
    # As narrow as labels may be: there may be very many items.
    narrow = np.min_scalar_type(-max(graph.cardinalities))
    labels = np.full((n_items, graph.n_tasks), ABSTAIN, dtype=narrow)
    for r, task in enumerate(graph.tasks):
        if task in by_task:
            labels[:, r] = _read_labels(*by_task[task], n_items, graph.classes[task], origin.item)
    known = (labels != ABSTAIN).any(axis=1)
    if not known.any():
        return None
    vectors, at = np.unique(labels[known], axis=0, return_inverse=True)
    masks = graph.event_masks(vectors.astype(np.int64))
    place = np.full(n_items, -1, dtype=np.min_scalar_type(-len(masks)))
    place[known] = at.reshape(-1)
    impossible = np.flatnonzero(~masks.any(axis=1))
    if len(impossible):
        row = int(np.flatnonzero(np.isin(place, impossible))[0])
        said = {t: graph.classes[t][v] for t, v in zip(graph.tasks, labels[row], strict=True) if v >= 0}
        raise InvalidArgumentError(
            f"{origin.name}, {origin.item(row)}: no feasible label vector agrees with {said}; correct "
            "it, or put -1 where a task is not known"
        )
    return Gold(place, masks)


def _read_labels(
    labels: Any, name: str, n_items: int, classes: list[Any], item: Callable[[int], str]
) -> NDArray[Any]:
    array = as_array(labels, name)
    if array.shape != (n_items,):
        raise InvalidArgumentError(f"{name} must have shape ({n_items},), one an item, got {array.shape}")
    if array.dtype.kind == "f":
        array = _indices_of_floats(array, name)
    if array.dtype.kind in "OUS":
        array = _indices_of_objects(array, name, classes)
    elif array.dtype.kind not in "biu":
        raise WrongTypeError(
            f"{name} must hold class indices or names, got dtype {array.dtype}; use -1 where one is unknown"
        )
    k = len(classes)
    bad = np.flatnonzero((array < ABSTAIN) | (array >= k)) if array.dtype.kind != "b" else array[:0]
    if len(bad):
        raise InvalidArgumentError(
            f"{name}, {item(int(bad[0]))}: label {array[bad[0]]}; give one of 0..{k - 1}, or -1 where it is "
            "unknown"
        )
    return array


def _indices_of_floats(array: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Whole numbers that missing values made floats of; NaN is unknown."""
    whole = np.where(np.isnan(array), ABSTAIN, array)
    odd = np.flatnonzero((whole != np.floor(whole)) | (np.abs(whole) >= 2**31))
    if len(odd):
        raise WrongTypeError(
            f"{name}, row {odd[0]}: {array[odd[0]]} is no class index; use -1 or NaN where a label is unknown"
        )
    return whole.astype(np.int64)


def _indices_of_objects(array: NDArray[Any], name: str, classes: list[Any]) -> NDArray[np.int64]:
    """Indices of numbers, which mean what they do in an array of numbers, and of names."""
    index = {label: i for i, label in enumerate(classes)}
    found = np.full(len(array), ABSTAIN, dtype=np.int64)
    for row, value in enumerate(array.tolist()):
        if value is None or type(value).__name__ == "NAType" or value != value or value == "":
            continue  # NaN, which differs from itself, is no name
        if isinstance(value, (int, float, np.integer, np.floating, np.bool_)):
            if abs(value) >= 2**31 or value != int(value):
                raise WrongTypeError(
                    f"{name}, row {row}: {value} is no class index; use -1 or None where a label is unknown"
                )
            found[row] = int(value)
        elif isinstance(value, Hashable) and value in index:
            found[row] = index[value]
        else:
            raise InvalidArgumentError(
                f"{name}, row {row}: no class {value!r}; classes: {listed(classes)}; None is unknown"
            )
    return found


@dataclass(frozen=True, eq=False)
class KnownRows:
    """Rows of votes whose label gold tells, for passes over columns with states.

    Attributes
    ----------
    counts : (C, S, K) float64 array
        Where one label vector is left: how often each column was in each state under it, state 0 left out.
    weights : (K,) float64 array
        Items under each label vector.
    several : tuple of (mask, patterns)
        Where several are left: which, (K,), and the distinct rows.
    n_voted : float
        Weight of those of the rows that have a vote.
    """

    counts: NDArray[np.float64]
    weights: NDArray[np.float64]
    several: tuple[tuple[NDArray[np.bool_], _core.Patterns], ...]
    n_voted: float

    @property
    def n(self) -> float:
        """Weight of all these rows."""
        return float(self.weights.sum() + sum(rows.weight.sum() for _, rows in self.several))

    def expect(
        self, of_state: NDArray[np.float64], base: NDArray[np.float64], n_threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """What columns are expected to have done under scores, as ``_core.expect`` says it of other rows."""
        counts, weights = self.counts.copy(), self.weights.copy()
        log_likelihood = float(np.sum(counts * of_state) + np.sum(weights * base))
        for mask, rows in self.several:
            possible = np.where(mask, base, IMPOSSIBLE)
            more, of_vector, of_rows = _core.expect(rows, of_state, possible, n_threads=n_threads)
            counts += more
            weights += of_vector
            log_likelihood += of_rows
        return counts, weights, log_likelihood


IMPOSSIBLE = -1e9
"""Score of a label vector that gold rules out."""


def known_rows(
    gold: Gold,
    observed: Observation,
    coding: _core.StateCoding,
    shape: tuple[int, int],
    recoded: Callable[[_core.Patterns], _core.Patterns] | None = None,
) -> KnownRows:
    """Rows with gold.

    Parameters
    ----------
    gold : Gold
        What is known.
    observed : Observation
        The votes.
    coding
        How they are to be read.
    shape : tuple of int
        Number of columns and of states, ``(C, S)``.
    recoded : callable, optional
        What makes these states of those of the coding.
    """
    k = gold.masks.shape[1]
    counts, of_vector = np.zeros((*shape, k)), np.zeros(k)
    several, n_voted = [], 0.0
    for q, mask in enumerate(gold.masks):
        items = np.flatnonzero(gold.at == q)
        view = observed.coded.votes.take(items).view(observed.statistics.task_graph)[0]
        own = None if observed.weights is None else observed.weights[items].astype(np.float64)
        patterns = _core.find_patterns(view, coding, own, n_threads=1)
        if recoded is not None:
            patterns = recoded(patterns)
        n_voted += float(patterns.weight[patterns.n_votes > 0].sum())
        if mask.sum() == 1:
            y = int(np.argmax(mask))
            nothing = np.zeros((*shape, 1))
            of_state, weight, _ = _core.expect(patterns, nothing, np.zeros(1), n_threads=1)
            counts[:, :, y] += of_state[:, :, 0]
            of_vector[y] += weight[0]
        else:
            several.append((mask, patterns))
    return KnownRows(counts, of_vector, tuple(several), n_voted)


def without_gold(gold: Gold | None, observed: Observation) -> Observation:
    """The same votes, of which items that gold tells something of weigh nothing."""
    if gold is None:
        return observed
    if observed.weights is None:
        return replace(observed, left_out=gold.known)
    return replace(observed, weights=np.where(gold.known, 0.0, observed.weights), drawn=None)


@dataclass(frozen=True, eq=False)
class GoldCounts:
    """What gold says of the class balance and of each node.

    Attributes
    ----------
    weights : (K,) float64 array
        Items under each label vector, shared equally where several are left.
    strength : (d,) float64 array
        ``alpha - beta`` of each node among items with gold; 0 where these tell nothing.
    variance : (d,) float64 array
        About its sampling variance.
    n_votes : (m,) float64 array
        Votes of each source on items with gold.
    n_certain : float
        Items of which gold leaves one label vector.
    """

    weights: NDArray[np.float64]
    strength: NDArray[np.float64]
    variance: NDArray[np.float64]
    n_votes: NDArray[np.float64]
    n_certain: float

    @property
    def n(self) -> float:
        """Items with gold."""
        return float(self.weights.sum())

    @property
    def tells(self) -> NDArray[np.bool_]:
        """Sources with enough votes on gold to be learned from these, (m,)."""
        enough: NDArray[np.bool_] = self.n_votes >= MIN_VOTES
        return enough


def count_gold(gold: Gold, observed: Observation) -> GoldCounts:
    """What gold says before anything is fitted."""
    coded, statistics = observed.coded, observed.statistics
    m, k = statistics.n_sources, gold.masks.shape[1]
    shape = (m, coded.coding.n_states)
    rows = known_rows(gold, observed, coded.coding, shape)
    counts, weights, _ = rows.expect(np.zeros((*shape, k)), np.zeros(k), n_threads=1)
    node = statistics.node_source, states_of(coded.events, statistics.node_event)
    return GoldCounts(
        weights,
        *_strengths(statistics, counts[node], weights),
        counts.sum(axis=(1, 2)),
        float(rows.weights.sum()),
    )


def _strengths(
    statistics: VoteStatistics, counts: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strength of each node, (d,), and its variance; against all items where gold holds one side only."""
    masks = statistics.task_graph.event_masks(statistics.node_event)
    rate = statistics.means

    def side(of: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        total = np.where(of, weights, 0.0).sum(axis=1)
        own = np.where(of, counts, 0.0).sum(axis=1)
        told = total > 0
        return (
            np.divide(own, total, out=rate.copy(), where=told),
            np.divide(1.0, total, out=np.zeros_like(total), where=told),
        )

    (alpha, of_alpha), (beta, of_beta) = side(masks), side(~masks)
    variance = np.maximum(rate * (1 - rate), 1e-12) * (of_alpha + of_beta)
    return np.where(variance > 0, alpha - beta, 0.0), np.where(variance > 0, variance, 1.0)
