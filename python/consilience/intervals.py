"""How sure the accuracies are: intervals from the influence of single items on the moment estimates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.joint_tables import ComponentTable
from consilience.nodes import NodeSystem
from consilience.tied import SourceTable

__all__ = ["accuracy_intervals", "choose_states", "draw_indicators", "n_draws"]

QUANTILE = 1.959963984540054
"""Of the standard normal, for 95 %."""

MAX_CELLS = 4_000_000
MAX_DRAWS = 20_000
MIN_DRAWS = 2_000


def accuracy_intervals(
    system: NodeSystem,
    influence_of: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    tables: list[SourceTable],
    layout: ComponentLayout | None,
    components: list[ComponentTable],
    accuracy: NDArray[np.float64],
) -> NDArray[np.float64]:
    """95 % intervals of ``P(vote right | source votes)``, for the class balance as given.

    The variance of an estimate is that of the influence of single items on it. It is taken over items drawn
    from the fitted model (with a fixed seed: the same interval for the same fit), so that statistics suffice.

    Parameters
    ----------
    system : NodeSystem
        The ``d`` nodes.
    influence_of : callable
        From centred indicators, (n_items, d), to the influence of each item on the strengths, (n_items, d).
    tables : list of SourceTable
        One a source; the first rows of each are those of its nodes.
    layout, components
        Sources that were modelled together.
    accuracy : (m,) float64 array
        The accuracies, which the intervals lie around.

    Returns
    -------
    (m, 2) float64 array
        Within [0, 1]; (0, 1) for a source without votes.
    """
    statistics, p = system.statistics, system.events.p
    d, k = len(system.means), len(system.class_balance)
    label = np.random.default_rng(0).choice(k, n_draws(d), p=system.class_balance)
    indicators = draw_indicators(label, system, tables, layout, components)
    centred = indicators - indicators.mean(axis=0)
    influence = influence_of(centred)
    source = np.eye(statistics.n_sources)[statistics.node_source]
    rate = system.means @ source
    with np.errstate(divide="ignore", invalid="ignore"):
        of_item = ((p * (centred + (1 - p) * influence)) @ source - accuracy * (centred @ source)) / rate
        error = QUANTILE * of_item.std(axis=0) / np.sqrt(statistics.n)
        intervals = np.column_stack([accuracy - error, accuracy + error])
    intervals[~np.isfinite(intervals).all(axis=1)] = (0.0, 1.0)
    clipped: NDArray[np.float64] = np.clip(intervals, 0.0, 1.0)
    return clipped


def n_draws(n_nodes: int) -> int:
    """How many items to draw."""
    return int(np.clip(MAX_CELLS // max(n_nodes, 1), MIN_DRAWS, MAX_DRAWS))


def draw_indicators(
    label: NDArray[np.int64],
    system: NodeSystem,
    tables: list[SourceTable],
    layout: ComponentLayout | None,
    components: list[ComponentTable],
) -> NDArray[np.float64]:
    """Indicators of items with given labels, drawn from a fitted model, (n_items, d).

    The same ones each time, and for each source wherever its column stands.
    """
    indicators = np.zeros((len(label), len(system.means)))
    node_source = system.statistics.node_source
    first_node = np.searchsorted(node_source, np.arange(len(tables) + 1))
    rank = _ranks(system)
    rows = np.arange(len(label))
    drawn: dict[int, NDArray[np.int64]] = {}  # states of the members of cliques
    for component in components:
        assert layout is not None
        clique = component.members
        separator = layout.separators[layout.members.index(clique)]
        given = np.zeros(len(label), dtype=np.int64)
        for j, step in zip(separator, layout.radix(separator).tolist(), strict=True):
            given += drawn[j] * step
        of_clique = np.zeros(len(label), dtype=np.int64)
        states = layout.member_states(clique)
        order = _by_rank(states, rank[list(clique)])
        rng = np.random.default_rng([1, *np.sort(rank[list(clique)])])
        for state in _by_rank(layout.member_states(separator), rank[list(separator)]).tolist():
            items = np.flatnonzero(given == state)
            possible = np.where((layout.separator_states(clique) == state)[:, None], component.table, 0.0)
            of_clique[items] = order[choose_states(rng, possible[order], label[items])]
        for j, own in zip(clique, states[of_clique].T, strict=True):
            if j in drawn:
                continue
            drawn[j] = own
            votes = own > 0
            indicators[rows[votes], first_node[j] + own[votes] - 1] = 1
    for j, table in enumerate(tables):
        n_nodes = first_node[j + 1] - first_node[j]
        if j not in drawn and n_nodes:
            state = choose_states(np.random.default_rng([1, rank[j]]), table.table, label)
            votes = state < n_nodes
            indicators[rows[votes], first_node[j] + state[votes]] = 1
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


def choose_states(
    rng: np.random.Generator, table: NDArray[np.float64], label: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One state an item, drawn from the column of its label."""
    edges = np.cumsum(table, axis=0)
    uniform = rng.random(len(label)) * edges[-1, label]
    states: NDArray[np.int64] = (uniform >= edges[:, label]).sum(axis=0)
    return np.minimum(states, len(table) - 1)
