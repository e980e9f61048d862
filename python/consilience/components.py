"""Sources that depend on each other given the labels, read and modelled together.

A clique of the triangulated source graph is one variable whose state stands for the states of all its
members. Given the labels, the votes of a component have the product of its cliques' tables as probability,
each given the state of its separator: what it shares with the cliques before it in a junction tree. What a
clique's table may look like is the matter of :mod:`consilience.joint_forms`. Different components are
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
"""Most joint states of one clique: the product of its members' numbers of states."""


@dataclass(frozen=True, eq=False)
class ComponentLayout:
    """How the states of sources make up the states of columns: one a source, or one a clique.

    The state of a clique is a mixed-radix number of its members' own states: 0 where a member abstains, else
    1 + the place of its event among the events it votes for.

    Attributes
    ----------
    n_sources : int
        Number of sources, ``m``.
    members : tuple of tuple of int
        Cliques of two or more sources, those of a component one after the other, parents in its junction tree
        first; every other source is a column of its own. The columns of cliques follow those of sources.
    separators : tuple of tuple of int
        What each clique shares with the cliques of its component before it; empty for the first.
    events : tuple of (s, t) int64 arrays
        Events that each source votes for, sorted; ``m`` of them.
    source_names : tuple of str
        For messages.
    left_out : tuple of int
        Sources whose votes are not read: their columns always abstain.
    """

    n_sources: int
    members: tuple[tuple[int, ...], ...]
    separators: tuple[tuple[int, ...], ...]
    events: tuple[NDArray[np.int64], ...]
    source_names: tuple[str, ...]
    left_out: tuple[int, ...] = ()

    def checked(self) -> ComponentLayout:
        """The layout itself.

        Raises
        ------
        InvalidArgumentError
            If the states of a clique are too many to count.
        """
        for clique in self.members:
            if self.n_states(clique) > MAX_JOINT_STATES:
                raise InvalidArgumentError(
                    f"{self._too_large(clique)}; leave out dependencies so that fewer hang together, or "
                    'use method="auto", which scores them apart'
                )
        return self

    def without_too_large(self) -> ComponentLayout:
        """The layout without components that have a clique with too many states; warns of these."""
        for of_component in self.components:
            others = len({j for clique in of_component for j in clique})
            for clique in of_component:
                if self.n_states(clique) <= MAX_JOINT_STATES:
                    continue
                rest = others - len(clique)
                they = "they" if rest == 0 else f"they and {rest} more that depend on these"
                warn_caller(
                    f"{self._too_large(clique)}; {they} are not compared with each other when accuracies are "
                    "learned, but labels take them as independent. Leave out dependencies so that fewer hang "
                    "together, or all but a few of these sources",
                    TooManyJointStatesWarning,
                )
        return self.countable()

    def countable(self) -> ComponentLayout:
        """The layout without components that have a clique with too many states."""
        return self.only(
            clique
            for of_component in self.components
            if all(self.n_states(other) <= MAX_JOINT_STATES for other in of_component)
            for clique in of_component
        )

    def only(self, cliques: Iterable[tuple[int, ...]]) -> ComponentLayout:
        """The layout with some of its components, given as all their cliques."""
        wanted = set(cliques)
        kept = [i for i, clique in enumerate(self.members) if clique in wanted]
        return replace(
            self,
            members=tuple(self.members[i] for i in kept),
            separators=tuple(self.separators[i] for i in kept),
        )

    def _too_large(self, clique: tuple[int, ...]) -> str:
        names = listed((self.source_names[j] for j in clique), limit=len(clique))
        return (
            f"the {len(clique)} dependent sources {names} have {self.n_states(clique)} joint states, "
            f"more than the {MAX_JOINT_STATES} that are counted"
        )

    def n_states(self, group: Sequence[int]) -> int:
        """Number of joint states of some sources, abstentions of all of them included."""
        return int(np.prod([len(self.events[j]) + 1 for j in group], dtype=object))

    @cached_property
    def components(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Cliques of each component."""
        groups: list[list[tuple[int, ...]]] = []
        for clique, separator in zip(self.members, self.separators, strict=True):
            if not separator:
                groups.append([])
            groups[-1].append(clique)
        return tuple(tuple(group) for group in groups)

    def beside(self, clique: tuple[int, ...]) -> tuple[int, ...]:
        """All sources of a clique's component, sorted."""
        (component,) = (cliques for cliques in self.components if clique in cliques)
        return tuple(sorted({j for other in component for j in other}))

    @cached_property
    def alone(self) -> tuple[int, ...]:
        """Sources that are a column of their own, sorted."""
        together = {j for clique in self.members for j in clique}
        return tuple(j for j in range(self.n_sources) if j not in together)

    @cached_property
    def column(self) -> NDArray[np.int64]:
        """Column of each source, (m,); -1 for members of cliques."""
        column = np.full(self.n_sources, -1, dtype=np.int64)
        column[list(self.alone)] = np.arange(len(self.alone))
        return column

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return len(self.alone) + len(self.members)

    def column_of(self, clique: tuple[int, ...]) -> int:
        """Column of a clique."""
        return len(self.alone) + self.members.index(clique)

    def separator_states(self, clique: tuple[int, ...]) -> NDArray[np.int64]:
        """State of its separator in each joint state of a clique, (n_states,); 0 without one."""
        separator = self.separators[self.members.index(clique)]
        places = [clique.index(j) for j in separator]
        return np.asarray(self.member_states(clique)[:, places] @ self.radix(separator), dtype=np.int64)

    def marginal(
        self, clique: tuple[int, ...], table: NDArray[np.float64], group: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Table of some members, numbered as their own clique would be, from a clique's table."""
        places = [clique.index(j) for j in group]
        states = self.member_states(clique)[:, places] @ self.radix(group)
        marginal = np.zeros((self.n_states(group), table.shape[1]))
        np.add.at(marginal, states, table)
        return marginal

    def joined(self, conditionals: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Joint table of each clique, from tables given the states of the separators."""
        found: dict[tuple[int, ...], NDArray[np.float64]] = {}
        for clique, separator, table in zip(self.members, self.separators, conditionals, strict=True):
            joint = table
            if separator:
                holder = next(c for c in found if set(separator) <= set(c))
                given = self.marginal(holder, found[holder], separator)
                joint = table * given[self.separator_states(clique)]
            found[clique] = joint
        return list(found.values())

    def radix(self, group: Sequence[int]) -> NDArray[np.int64]:
        """What one step of each member's state adds to the component's state."""
        sizes = [1] + [len(self.events[j]) + 1 for j in group]
        return np.cumprod(sizes[: len(group)], dtype=np.int64)

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
        """Coding of the columns from a coding of sources whose state s is row s - 1 of `state_events`.

        A member's vote for an event that it never voted for before counts as an abstention.
        """
        if not self.members and not self.left_out:
            return coding
        n_states = len(state_events) + 1
        index = {tuple(event): s for s, event in enumerate(state_events.tolist(), start=1)}
        parts: list[list[tuple[int, NDArray[np.int32]]]] = [[] for _ in range(self.n_sources)]
        for j in self.alone:
            if j not in self.left_out:
                parts[j].append((int(self.column[j]), np.arange(n_states, dtype=np.int32)))
        for clique in self.members:
            for j, step in zip(clique, self.radix(clique).tolist(), strict=True):
                adds = np.zeros(n_states, dtype=np.int32)
                for local, event in enumerate(self.events[j].tolist(), start=1):
                    adds[index[tuple(event)]] = local * step
                parts[j].append((self.column_of(clique), adds))
        listed_parts = [part for of_source in parts for part in of_source]
        start = np.cumsum([0, *(len(of_source) for of_source in parts)])
        contribution = [adds for _, adds in listed_parts] or [np.zeros((0, n_states), dtype=np.int32)]
        return coding.with_components(
            start.astype(np.int32),
            np.array([column for column, _ in listed_parts], dtype=np.int32),
            np.vstack(contribution),
            n_components=self.n_columns,
            n_states=max([n_states, *map(self.n_states, self.members)]),
        )


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Counts of what dependent sources vote together, and beside which votes of all sources.

    Attributes
    ----------
    members : tuple of tuple of int
        Cliques of two or more sources.
    clique : (e,) int64 array
        Clique of each joint state that occurs.
    votes : (e, c, t) int64 array
        Vote vector of each member, in the order of `members`; -1 abstains and fills up to the largest
        clique's size ``c``. Sorted with `clique`.
    counts : (e,) int64 or float64 array
        Items in that joint state.
    pairs : (e, d) int64 or float64 array
        Of those, the ones on which each node of the statistics is 1.
    """

    members: tuple[tuple[int, ...], ...]
    clique: NDArray[np.int64]
    votes: NDArray[np.int64]
    counts: NDArray[Any]
    pairs: NDArray[Any]

    @classmethod
    def none(cls, n_nodes: int, n_tasks: int) -> JointCounts:
        """Of independent sources: nothing."""
        empty = np.zeros(0, dtype=np.int64)
        shape = (0, 0, n_tasks)
        return cls((), empty, np.zeros(shape, np.int64), empty, np.zeros((0, n_nodes), np.int64))

    def of_members(self, members: tuple[tuple[int, ...], ...]) -> JointCounts:
        """The counts of these cliques alone, which are among its own."""
        if members == self.members:
            return self
        size = max((len(group) for group in members), default=0)
        place = np.array([members.index(g) if g in members else -1 for g in self.members], dtype=np.int64)
        rows = np.flatnonzero(place[self.clique] >= 0)
        clique = place[self.clique[rows]]
        return JointCounts(members, clique, self.votes[rows][:, :size], self.counts[rows], self.pairs[rows])

    def keys(self) -> NDArray[np.int64]:
        """Clique and votes of each joint state as one row, (e, 1 + c t)."""
        e, c, t = self.votes.shape
        return np.column_stack([self.clique, self.votes.reshape(e, c * t)])


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
    # Which nodes are 1 when a column is in a state; a member of several cliques is read in the first.
    contains = np.zeros((len(column), len(node_source)), dtype=moments["pairs"].dtype)
    # Columns of one source keep their own nodes, in the same order as the statistics have them.
    for c, j in enumerate(layout.alone):
        contains[np.flatnonzero(column == c), np.flatnonzero(node_source == j)] = 1
    t = node_event.shape[1]
    size = max(len(clique) for clique in layout.members)
    rows: list[int] = []
    clique_of: list[int] = []
    votes: list[NDArray[np.int64]] = []
    read: set[int] = set()
    for q, clique in enumerate(layout.members):
        joint = layout.joint_votes(clique)
        for f in np.flatnonzero(column == layout.column_of(clique)).tolist():
            said = joint[state[f]]
            filled = np.full((size, t), ABSTAIN, dtype=np.int64)
            filled[: len(clique)] = said
            rows.append(f)
            clique_of.append(q)
            votes.append(filled)
            for j, vote in zip(clique, said.tolist(), strict=True):
                node = nodes.get((j, *vote))
                if node is not None and j not in read:
                    contains[f, node] = 1
        read.update(clique)
    pairs = moments["pairs"][rows] @ contains
    counts = np.diag(moments["pairs"])[rows]
    found = JointCounts(
        layout.members,
        np.array(clique_of, dtype=np.int64),
        np.array(votes, dtype=np.int64).reshape(-1, size, t),
        counts,
        pairs,
    )
    order = np.lexsort(found.keys().T[::-1])
    return JointCounts(
        layout.members, found.clique[order], found.votes[order], found.counts[order], found.pairs[order]
    )
