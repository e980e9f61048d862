"""From votes to events: which feasible label vectors each vote speaks for.

The core works with *states*: 0 where a source abstains, else 1 + the index of an event. With one task whose
classes are all feasible the events are the classes and nothing needs to be looked up; otherwise the vote
vectors that occur are listed first and each is given the state of its event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.arrays import number_rows
from consilience.exceptions import InfeasibleVotesWarning, InvalidArgumentError, listed, warn_caller
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.votes import Votes

__all__ = [
    "CodedVotes",
    "EventProbabilities",
    "code_votes",
    "has_plain_events",
    "nodes_by_event",
    "number_events",
    "recode",
    "states_of",
    "warn_of_infeasible",
]


_ROWS = 2**16
"""Rows that are searched at once for a vote to show."""


@dataclass(frozen=True, eq=False)
class CodedVotes:
    """Votes ready for the core under a task graph.

    Attributes
    ----------
    votes : Votes
        What was coded.
    view, coding
        What the core takes.
    events : (q, t) int64 array
        Canonical vote vector (``TaskGraph.implied``) of each event; state ``s`` stands for row ``s - 1``.
    n_infeasible : (m,) int64 array
        Votes of each source that no feasible label vector agrees with; taken as abstentions.
    """

    votes: Votes
    view: _core.VoteView
    coding: _core.StateCoding
    events: NDArray[np.int64]
    n_infeasible: NDArray[np.int64]

    def disjoint(self, task_graph: TaskGraph) -> NDArray[np.uint8] | None:
        """States whose events have no vector in common, (q + 1, q + 1); None where that is "unequal"."""
        if has_plain_events(task_graph):
            return None
        masks = task_graph.event_masks(self.events)
        table = np.zeros((len(masks) + 1, len(masks) + 1), dtype=np.uint8)
        table[1:, 1:] = (masks.astype(np.int64) @ masks.T.astype(np.int64)) == 0
        return table


def warn_of_infeasible(
    n_infeasible: NDArray[np.int64],
    source_names: Sequence[str] | None,
    votes: Votes | None = None,
    task_graph: TaskGraph | None = None,
) -> None:
    """Warn, naming the sources, if there are infeasible votes; `n_infeasible` counts them by source, (m,).

    With the votes themselves the warning shows the first of the source that has most of them.
    """
    if not n_infeasible.any():
        return
    worst = np.argsort(-n_infeasible, kind="stable")[: np.count_nonzero(n_infeasible)].tolist()
    names = [f"source {j if source_names is None else repr(source_names[j])}" for j in worst]
    times = ["1 vote" if n == 1 else f"{n} votes" for n in n_infeasible[worst].tolist()]
    counts = [f"{n_votes} of {name}" for n_votes, name in zip(times, names, strict=True)]
    more = f" and {len(counts) - 8} more sources" if len(counts) > 8 else ""
    example = "" if votes is None or task_graph is None else _first_infeasible(votes, task_graph, worst[0])
    warn_caller(
        f"{', '.join(counts[:8])}{more} agree with no feasible label vector and were taken as abstentions"
        f"{example}; check how these sources combine tasks",
        InfeasibleVotesWarning,
    )


def _first_infeasible(votes: Votes, task_graph: TaskGraph, j: int) -> str:
    """The first vote of a source that no feasible label vector agrees with, for a message."""
    order = votes.view(task_graph)[1]
    for begin in range(0, votes.n_items, _ROWS):
        part = votes.rows(begin, min(begin + _ROWS, votes.n_items))
        vectors = np.full((part.n_items, task_graph.n_tasks), ABSTAIN, dtype=np.int64)
        vectors[:, list(order)] = part.column(j)
        distinct, at = np.unique(vectors, axis=0, return_inverse=True)
        infeasible: NDArray[np.bool_] = np.asarray(~task_graph.event_masks(distinct).any(axis=1))
        if infeasible.any():
            row = int(np.argmax(infeasible[at.reshape(-1)]))
            said = zip(task_graph.tasks, vectors[row].tolist(), strict=True)
            example = {task: task_graph.classes[task][v] for task, v in said if v != ABSTAIN}
            return f", such as {example} at row {part.first_row + row}"
    return ""


def has_plain_events(task_graph: TaskGraph) -> bool:
    """Whether every class of a single task is an event of its own."""
    return task_graph.n_tasks == 1 and task_graph.n_vectors == task_graph.cardinalities[0]


def code_votes(
    votes: Votes,
    task_graph: TaskGraph,
    *,
    known: NDArray[np.int64] | None = None,
    n_threads: int = 1,
) -> CodedVotes:
    """Votes as the core takes them.

    A vote that every feasible vector agrees with says nothing and counts as an abstention.

    Parameters
    ----------
    votes : Votes
        The votes.
    task_graph : TaskGraph
        Tasks that the votes are about; tasks without a table abstain.
    known : (q, t) int array, optional
        Events of a fitted model, whose states are kept; votes for other events become abstentions. By
        default the events that occur, in lexicographic order (all classes, for a single task).
    n_threads : int
        Threads for the pass that lists the vote vectors of several tasks.

    Raises
    ------
    InvalidArgumentError
        If tasks or classes do not match the graph, or there are more than 2^62 possible vote vectors.
    InvalidVotesError
        If a label is out of range.
    """
    view, order = votes.view(task_graph)
    none = np.zeros(votes.n_sources, dtype=np.int64)
    if has_plain_events(task_graph):
        k = task_graph.n_vectors
        events = np.arange(k, dtype=np.int64)[:, None]
        return CodedVotes(votes, view, _core.StateCoding.of_one_task(k), events, none)

    sizes = [task_graph.cardinalities[r] for r in order]
    try:
        strides = np.array(_core.key_strides(sizes), dtype=np.uint64)
    except ValueError as error:
        raise InvalidArgumentError(f"task_graph: {error}; model {listed(votes.tasks)} apart") from None
    try:
        keys, counts = _core.vote_vectors(view, n_threads=n_threads)
    except _core.LabelOutOfRange as error:
        raise votes.label_error(error) from None
    vectors = np.full((len(keys), task_graph.n_tasks), ABSTAIN, dtype=np.int64)
    for r, stride, size in zip(order, strides, sizes, strict=True):
        vectors[:, r] = (keys // stride % np.uint64(size + 1)).astype(np.int64) - 1
    masks = task_graph.event_masks(vectors)
    agreeing = masks.sum(axis=1)
    speaks = (agreeing > 0) & (agreeing < task_graph.n_vectors)
    implied = task_graph.implied(masks[speaks])
    events = np.unique(implied, axis=0) if known is None else known
    index = {tuple(event): s for s, event in enumerate(events.tolist(), start=1)}
    states = np.zeros(len(keys), dtype=np.int32)
    states[speaks] = [index.get(tuple(event), 0) for event in implied.tolist()]
    # States up to the number of events must exist, also where the last ones do not occur.
    n_keys = int(strides[-1]) * (sizes[-1] + 1)
    coding = _core.StateCoding(keys, states, n_keys, len(events) + 1)
    infeasible = counts[agreeing == 0].sum(axis=0, dtype=np.int64) if len(keys) else none
    return CodedVotes(votes, view, coding, events, infeasible)


def recode(
    coded: CodedVotes, task_graph: TaskGraph, counted: NDArray[np.int64], n_threads: int
) -> CodedVotes:
    """Votes whose states are those of the events that were counted.

    Others, voted for on items of weight 0 only, are unknown to a fitted model, as if their items were left
    out.

    Parameters
    ----------
    coded : CodedVotes
        Of :func:`code_votes`.
    task_graph : TaskGraph
        Its tasks.
    counted : (q,) int64 array
        States that were counted, ascending.
    n_threads : int
        For the pass over the votes.
    """
    if has_plain_events(task_graph) or len(counted) == len(coded.events):
        return coded
    again = code_votes(coded.votes, task_graph, known=coded.events[counted - 1], n_threads=n_threads)
    return replace(again, n_infeasible=coded.n_infeasible)


@dataclass(frozen=True, eq=False)
class EventProbabilities:
    """Probabilities of some events under a class balance.

    Attributes
    ----------
    masks : (d, K) bool array
        Feasible vectors of each event.
    p : (d,) float64 array
        ``P(A)``.
    g : (d, d) float64 array
        ``G_ab = P(A_a and A_b) - P(A_a) P(A_b)`` of [T6].
    overlap : (d, d) bool array
        Whether both events can hold.
    """

    masks: NDArray[np.bool_]
    p: NDArray[np.float64]
    g: NDArray[np.float64]
    overlap: NDArray[np.bool_]

    @classmethod
    def of(cls, masks: NDArray[np.bool_], class_balance: NDArray[np.float64]) -> EventProbabilities:
        """From the events and ``P(Y)`` over the feasible set, (K,)."""
        # Few events are distinct. einsum adds in one order, whatever the number of BLAS threads.
        first, at = number_rows(masks)
        member = masks[first].astype(np.float64)
        p = np.einsum("ay,y->a", member, class_balance)
        both = np.einsum("ay,by->ab", member * class_balance, member)
        overlap = np.einsum("ay,by->ab", member, member) > 0
        every = np.ix_(at, at)
        return cls(masks, p[at], (both - np.outer(p, p))[every], overlap[every])


def number_events(node_event: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct events of some nodes, in order, (q, t), and which of them is each node's, (d,)."""
    first, at = number_rows(np.ascontiguousarray(node_event))  # few are distinct: only these are sorted
    events = node_event[first]
    order = np.lexsort(events.T[::-1])
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return events[order], place[at]


def nodes_by_event(
    node_event: NDArray[np.int64], among: NDArray[np.bool_] | None = None
) -> list[NDArray[np.intp]]:
    """Nodes of each event, in the order of the events.

    Parameters
    ----------
    node_event : (d, t) int64 array
        Event of each node.
    among : (d,) bool array, optional
        The nodes that are looked at: events that none of them is about are left out.
    """
    events, event = number_events(node_event)
    groups = [event == e for e in range(len(events))]
    if among is not None:
        groups = [group & among for group in groups if (group & among).any()]
    return [np.flatnonzero(group) for group in groups]


def states_of(events: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """State that stands for each wanted event, where `events` are those of the states from 1 on."""
    index = {tuple(event): s for s, event in enumerate(events.tolist(), start=1)}
    return np.array([index[tuple(event)] for event in wanted.tolist()], dtype=np.int64)
