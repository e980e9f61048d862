"""States of sources on items with given labels, drawn from fitted tables.

Independent sources are drawn each from its own table; dependent ones clique by clique along their junction
trees, each given the states of those members that it shares with the cliques before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.joint_tables import ComponentTable
from consilience.nodes import NodeSystem
from consilience.tied import SourceTable

__all__ = ["choose_states", "draw_indicators", "draw_states"]


def choose_states(
    rng: np.random.Generator, table: NDArray[np.float64], label: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One state an item, a row of the table, drawn from the column of its label."""
    edges = np.cumsum(table, axis=0)
    uniform = rng.random(len(label)) * edges[-1, label]
    states: NDArray[np.int64] = (uniform >= edges[:, label]).sum(axis=0)
    return np.minimum(states, len(table) - 1)


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
        order = _by_rank(member_states, rank[list(clique)])
        rng = generator_of(clique)
        for state in _by_rank(layout.member_states(separator), rank[list(separator)]).tolist():
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
) -> NDArray[np.float64]:
    """Indicators of items with given labels, drawn from a fitted model, (n_items, d).

    The same ones each time, and for each source wherever its column stands.

    Parameters
    ----------
    label, tables, layout, components
        As for :func:`draw_states`; the first rows of each table are those of the source's nodes.
    system : NodeSystem
        The ``d`` nodes.
    """
    rank, node_source = _ranks(system), system.statistics.node_source
    voters = np.unique(node_source)

    def generator_of(members: tuple[int, ...]) -> np.random.Generator:
        return np.random.default_rng([1, *np.sort(rank[list(members)])])

    states = draw_states(label, tables, layout, components, voters.tolist(), generator_of, rank)
    place = np.arange(len(node_source)) - np.searchsorted(node_source, node_source)
    indicators: NDArray[np.float64] = (np.take(states, node_source, axis=1) == place + 1).astype(np.float64)
    return indicators


def _by_rank(states: NDArray[np.int64], rank: NDArray[np.int64]) -> NDArray[np.intp]:
    """Order of joint states, (n_states, members), that is the same for any order of the members."""
    return np.lexsort(states[:, np.argsort(rank)].T) if states.shape[1] else np.zeros(1, dtype=np.intp)


def _ranks(system: NodeSystem) -> NDArray[np.int64]:
    """Places of the sources that have nodes by how they vote, (m,); in any order of the columns the same."""
    statistics = system.statistics
    voters = np.unique(statistics.node_source)
    of_source = [
        np.bincount(statistics.node_source, weights=weights, minlength=statistics.n_sources)[voters]
        for weights in ((statistics.pairs.astype(np.float64) ** 2).sum(axis=1), statistics.pairs.sum(axis=1))
    ]
    order = np.lexsort((*of_source, statistics.n_votes[voters]))
    rank = np.zeros(statistics.n_sources, dtype=np.int64)
    rank[voters[order]] = np.arange(len(voters))
    return rank
