"""States of sources on items with given labels, drawn from fitted tables.

Independent sources are drawn each from its own table; dependent ones clique by clique along their junction
trees, each given the states of those members that it shares with the cliques before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.events import number_events
from consilience.joint_tables import ComponentTable
from consilience.nodes import NodeSystem
from consilience.tied import SourceTable

__all__ = ["SourceRanks", "by_rank", "choose_states", "draw_indicators", "draw_states"]


ROUNDS = 3
"""Times that what sources are compared by is handed on from each to those that it votes with."""

FINENESS = 1.2345678e9
"""Parts of the largest of some numbers that are told apart; their edges are no simple fractions of it."""


@dataclass(frozen=True, eq=False)
class SourceRanks:
    """An order of the sources by how they vote, which is the same in whatever columns they stand.

    Attributes
    ----------
    rank : (m,) int64 array
        Place of each source.
    alike : (m,) int64 array
        The same number where nothing tells sources from each other: their ranks are those of their columns.
    """

    rank: NDArray[np.int64]
    alike: NDArray[np.int64]

    @classmethod
    def of(cls, system: NodeSystem, tables: Sequence[SourceTable]) -> SourceRanks:
        """Ranks by the votes of each source, those that it shares with others, and its table."""
        statistics = system.statistics
        m, source = statistics.n_sources, statistics.node_source
        _, event = number_events(statistics.node_event)
        counts = np.diag(statistics.pairs).astype(np.float64)
        node = _numbered(event, _rounded(counts))
        of_source = np.zeros(m, dtype=np.int64)
        weight = np.random.default_rng(0).random(max(len(source), m) + 1)
        for _ in range(ROUNDS if len(source) else 0):
            of_source = _numbered(_rounded(np.bincount(source, weight[node], m).astype(np.float64)))
            node = _numbered(node, of_source[source])
            shared = statistics.pairs.astype(np.float64) @ weight[node]
            node = _numbered(node, _rounded(shared))
        own = np.bincount(source, weight[node], m).astype(np.float64)
        width = max((table.table.size for table in tables), default=0)
        cells = [np.append(table.table.ravel(), np.full(width - table.table.size, -1.0)) for table in tables]
        alike = _numbered(_rounded(own), *_rounded(np.array(cells).reshape(m, width), largest=1.0).T)
        rank = np.empty(m, dtype=np.int64)
        rank[np.argsort(alike, kind="stable")] = np.arange(m)
        return cls(rank, alike)

    def mean_of_alike(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the sources, (m,), in which those that nothing tells apart have their mean."""
        n_alike = np.bincount(self.alike)
        if n_alike.max(initial=0) <= 1:
            return values
        return np.asarray((np.bincount(self.alike, values) / np.maximum(n_alike, 1))[self.alike])


def _rounded(values: NDArray[np.float64], largest: float | None = None) -> NDArray[np.int64]:
    """Whole numbers that are the same where values differ by the order of a sum alone."""
    scale = float(np.abs(values).max(initial=0.0)) if largest is None else largest
    return np.floor(values * (FINENESS / max(scale, 1e-300)) + 0.3).astype(np.int64)


def _numbered(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each tuple of keys among the distinct ones, in order."""
    _, number = np.unique(np.column_stack(keys), axis=0, return_inverse=True)
    return number.reshape(-1).astype(np.int64)


def choose_states(
    rng: np.random.Generator, table: NDArray[np.float64], label: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One state an item, a row of the table, drawn from the column of its label."""
    edges = np.cumsum(table, axis=0)
    uniform = rng.random(len(label)) * edges[-1].take(label)
    states = np.zeros(len(label), dtype=np.int64)
    for edge in edges[:-1]:
        states += uniform >= edge.take(label)
    return states


def draw_states(
    label: NDArray[np.int64],
    tables: Sequence[SourceTable],
    layout: ComponentLayout | None,
    components: Sequence[ComponentTable],
    sources: Iterable[int],
    generator_of: Callable[[tuple[int, ...]], np.random.Generator],
    rank: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """State of each source on each item, (n_items, m): 0 where it abstains, else 1 + the row of its table.

    Parameters
    ----------
    label : (n_items,) int array
        Label vector of each item.
    tables : sequence of SourceTable
        One a source, ``m`` of them.
    layout, components
        Sources that were modelled together, in the order of ``layout.members``.
    sources : iterable of int
        Independent sources to be drawn, after the dependent ones; all others abstain.
    generator_of : callable
        Gives the generator that a source, or the members of a clique, are drawn from.
    rank : (m,) int array, optional
        Order of the sources, by which the joint states of cliques are put in order: the draws are then the
        same in whatever columns the sources stand. By default that of the columns.
    """
    rank = np.arange(len(tables)) if rank is None else rank
    states = np.zeros((len(label), len(tables)), dtype=np.int64)
    together: set[int] = set()
    for component in components:
        assert layout is not None
        clique = component.members
        separator = layout.separators[layout.members.index(clique)]
        given = states[:, list(separator)] @ layout.radix(separator)
        of_separator = layout.separator_states(clique)
        joint = np.zeros(len(label), dtype=np.int64)
        member_states = layout.member_states(clique)
        order = by_rank(member_states, rank[list(clique)])
        rng = generator_of(clique)
        for state in by_rank(layout.member_states(separator), rank[list(separator)]).tolist():
            items = np.flatnonzero(given == state)
            possible = np.where((of_separator == state)[:, None], component.table, 0.0)
            joint[items] = order[choose_states(rng, possible[order], label[items])]
        for j, own in zip(clique, member_states[joint].T, strict=True):
            if j not in separator:
                states[:, j] = own
        together.update(clique)
    for j in sources:
        if j not in together:
            rows = choose_states(generator_of((j,)), tables[j].table, label)
            states[:, j] = (rows + 1) % len(tables[j].table)  # the last row abstains
    return states


def draw_indicators(
    label: NDArray[np.int64],
    system: NodeSystem,
    tables: Sequence[SourceTable],
    layout: ComponentLayout | None,
    components: Sequence[ComponentTable],
    ranks: SourceRanks | None = None,
) -> NDArray[np.float64]:
    """Indicators of items with given labels, drawn from a fitted model, (n_items, d).

    The same ones each time, and for each source wherever its column stands.

    Parameters
    ----------
    label, tables, layout, components
        As for :func:`draw_states`; the first rows of each table are those of the source's nodes.
    system : NodeSystem
        The ``d`` nodes.
    ranks : SourceRanks, optional
        Of the same sources, where they are known.
    """
    rank = (SourceRanks.of(system, tables) if ranks is None else ranks).rank
    node_source = system.statistics.node_source
    voters = np.unique(node_source)

    def generator_of(members: tuple[int, ...]) -> np.random.Generator:
        return np.random.default_rng([1, *np.sort(rank[list(members)])])

    states = draw_states(label, tables, layout, components, voters.tolist(), generator_of, rank)
    place = np.arange(len(node_source)) - np.searchsorted(node_source, node_source)
    indicators: NDArray[np.float64] = (np.take(states, node_source, axis=1) == place + 1).astype(np.float64)
    return indicators


def by_rank(states: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.intp]:
    """Order of joint states, (n_states, members), that is the same for any order of the members."""
    return np.lexsort(states[:, np.argsort(rank)].T) if states.shape[1] else np.zeros(1, dtype=np.intp)
