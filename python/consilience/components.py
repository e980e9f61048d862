"""Sources that depend on each other given the labels, read and modelled together.

A component of the source graph is one variable whose state stands for the states of all its members. Given
the labels it is independent of every other component, which is all that the posterior [T12] and the tables
[T7] need; how its members hang together inside is left free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.exceptions import (
    InvalidArgumentError,
    TooManyJointStatesWarning,
    listed,
    warn_caller,
)
from consilience.task_graph import ABSTAIN

__all__ = ["MAX_JOINT_STATES", "ComponentLayout", "JointCounts"]

MAX_JOINT_STATES = 4096
"""Most joint states of one component: the product of its members' numbers of states."""


@dataclass(frozen=True, eq=False)
class ComponentLayout:
    """How the states of sources make up the states of columns, one column a component.

    The state of a component is a mixed-radix number of its members' own states: 0 where a member abstains,
    else 1 + the place of its event among the events it votes for.

    Attributes
    ----------
    n_sources : int
        Number of sources, ``m``.
    members : tuple of tuple of int
        Components of two or more sources, sorted; every other source is a column of its own.
    events : tuple of (s, t) int64 arrays
        Events that each source votes for, sorted; ``m`` of them.
    source_names : tuple of str
        For messages.
    left_out : tuple of int
        Sources whose votes are not read: their columns always abstain.
    """

    n_sources: int
    members: tuple[tuple[int, ...], ...]
    events: tuple[NDArray[np.int64], ...]
    source_names: tuple[str, ...]
    left_out: tuple[int, ...] = ()

    def checked(self) -> ComponentLayout:
        """The layout itself.

        Raises
        ------
        InvalidArgumentError
            If the states of a component are too many to count.
        """
        for group in self.members:
            if self.n_states(group) > MAX_JOINT_STATES:
                raise InvalidArgumentError(
                    f"{self._too_large(group)}; leave out dependencies so that fewer hang together, or "
                    'use method="auto", which scores them apart'
                )
        return self

    def without_too_large(self) -> ComponentLayout:
        """The layout without components whose states are too many to count; warns of them."""
        kept = tuple(group for group in self.members if self.n_states(group) <= MAX_JOINT_STATES)
        for group in self.members:
            if group not in kept:
                warn_caller(
                    f"{self._too_large(group)}; they are kept apart when accuracies are learned, but "
                    "labels take them as independent",
                    TooManyJointStatesWarning,
                )
        return replace(self, members=kept)

    def _too_large(self, group: tuple[int, ...]) -> str:
        names = [self.source_names[j] for j in group]
        return (
            f"the {len(group)} dependent sources {listed(names)} have {self.n_states(group)} joint states, "
            f"more than the {MAX_JOINT_STATES} that are counted"
        )

    def n_states(self, group: Sequence[int]) -> int:
        """Number of joint states of a component, abstentions of all members included."""
        return int(np.prod([len(self.events[j]) + 1 for j in group], dtype=object))

    @cached_property
    def column(self) -> NDArray[np.int32]:
        """Column of each source, (m,): components in the order of their first members."""
        first = np.arange(self.n_sources)
        for group in self.members:
            first[list(group)] = group[0]
        return np.unique(first, return_inverse=True)[1].reshape(-1).astype(np.int32)

    def radix(self, group: Sequence[int]) -> NDArray[np.int64]:
        """What one step of each member's state adds to the component's state."""
        sizes = [len(self.events[j]) + 1 for j in group]
        return np.concatenate([[1], np.cumprod(sizes[:-1], dtype=np.int64)]).astype(np.int64)

    def member_states(self, group: Sequence[int]) -> NDArray[np.int64]:
        """States of the members in each joint state, (n_states, members)."""
        sizes = np.array([len(self.events[j]) + 1 for j in group])
        states: NDArray[np.int64] = np.arange(self.n_states(group))[:, None] // self.radix(group) % sizes
        return states

    def joint_votes(self, group: Sequence[int]) -> NDArray[np.int64]:
        """Vote vector of each member in each joint state, (n_states, members, t); -1 abstains."""
        states = self.member_states(group)
        t = self.events[group[0]].shape[1]
        votes = np.full((*states.shape, t), ABSTAIN, dtype=np.int64)
        for i, j in enumerate(group):
            own = np.vstack([np.full((1, t), ABSTAIN), self.events[j]])
            votes[:, i] = own[states[:, i]]
        return votes

    def code(self, coding: _core.StateCoding, state_events: NDArray[np.int64]) -> _core.StateCoding:
        """Coding of components from a coding of sources whose state s is row s - 1 of `state_events`.

        A member's vote for an event that it never voted for before counts as an abstention.
        """
        n_events = len(state_events)
        contribution = np.tile(np.arange(n_events + 1, dtype=np.int32), (self.n_sources, 1))
        index = {tuple(event): s for s, event in enumerate(state_events.tolist(), start=1)}
        contribution[list(self.left_out)] = 0
        n_states = n_events + 1
        for group in self.members:
            n_states = max(n_states, self.n_states(group))
            for j, step in zip(group, self.radix(group).tolist(), strict=True):
                contribution[j] = 0
                for local, event in enumerate(self.events[j].tolist(), start=1):
                    contribution[j, index[tuple(event)]] = local * step
        return coding.with_components(
            self.column, contribution, n_components=int(self.column.max()) + 1, n_states=n_states
        )


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Counts of what dependent sources vote together, and beside which votes of all sources.

    Attributes
    ----------
    members : tuple of tuple of int
        Components of two or more sources.
    component : (e,) int64 array
        Component of each joint state that occurs.
    votes : (e, c, t) int64 array
        Vote vector of each member, in the order of `members`; -1 abstains and fills up to the largest
        component's size ``c``. Sorted with `component`.
    counts : (e,) int64 or float64 array
        Items in that joint state.
    pairs : (e, d) int64 or float64 array
        Of those, the ones on which each node of the statistics is 1.
    """

    members: tuple[tuple[int, ...], ...]
    component: NDArray[np.int64]
    votes: NDArray[np.int64]
    counts: NDArray[Any]
    pairs: NDArray[Any]

    @classmethod
    def none(cls, n_nodes: int, n_tasks: int) -> JointCounts:
        """Of independent sources: nothing."""
        empty = np.zeros(0, dtype=np.int64)
        shape = (0, 0, n_tasks)
        return cls((), empty, np.zeros(shape, np.int64), empty, np.zeros((0, n_nodes), np.int64))

    def keys(self) -> NDArray[np.int64]:
        """Component and votes of each joint state as one row, (e, 1 + c t)."""
        e, c, t = self.votes.shape
        return np.column_stack([self.component, self.votes.reshape(e, c * t)])


def joint_counts(
    layout: ComponentLayout,
    node_source: NDArray[np.int64],
    node_event: NDArray[np.int64],
    moments: _core.Moments,
) -> JointCounts:
    """Joint counts from the moments of the components' states.

    Parameters
    ----------
    layout : ComponentLayout
        How the columns were made up.
    node_source, node_event : arrays
        The ``d`` nodes of the statistics, in which the layout's events occur.
    moments : Moments
        Pair counts of the columns' states.
    """
    numbered = enumerate(zip(node_source.tolist(), node_event.tolist(), strict=True))
    nodes = {(j, *event): a for a, (j, event) in numbered}
    column, state = moments["node_source"], moments["node_state"].astype(np.int64)
    # Which nodes are 1 when a column is in a state.
    contains = np.zeros((len(column), len(node_source)), dtype=moments["pairs"].dtype)
    groups = {int(layout.column[group[0]]): group for group in layout.members}
    alone = {int(layout.column[j]): j for j in range(layout.n_sources) if int(layout.column[j]) not in groups}
    t = node_event.shape[1]
    size = max(len(group) for group in layout.members)
    rows: list[int] = []
    component: list[int] = []
    votes: list[NDArray[np.int64]] = []
    joint = {c: layout.joint_votes(group) for c, group in groups.items()}
    for f, (c, s) in enumerate(zip(column.tolist(), state.tolist(), strict=True)):
        if c in alone:
            continue
        filled = np.full((size, t), ABSTAIN, dtype=np.int64)
        filled[: len(groups[c])] = joint[c][s]
        rows.append(f)
        component.append(layout.members.index(groups[c]))
        votes.append(filled)
        for j, vote in zip(groups[c], joint[c][s].tolist(), strict=True):
            node = nodes.get((j, *vote))
            if node is not None:
                contains[f, node] = 1
    # Columns of one source keep their own nodes, in the same order as the statistics have them.
    for c, j in alone.items():
        own = np.flatnonzero(column == c)
        contains[own, np.flatnonzero(node_source == j)] = 1
    pairs = moments["pairs"][rows] @ contains
    counts = np.diag(moments["pairs"])[rows]
    found = JointCounts(
        layout.members,
        np.array(component, dtype=np.int64),
        np.array(votes, dtype=np.int64).reshape(-1, size, t),
        counts,
        pairs,
    )
    order = np.lexsort(found.keys().T[::-1])
    return JointCounts(
        layout.members, found.component[order], found.votes[order], found.counts[order], found.pairs[order]
    )
