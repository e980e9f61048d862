"""How sure the accuracies are: intervals from the influence of single items on the moment estimates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.joint_tables import ComponentTable
from consilience.nodes import NodeSystem
from consilience.tied import SourceTable

__all__ = ["accuracy_intervals", "choose_states"]

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
    indicators = _draw(system, tables, layout, components)
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


def _draw(
    system: NodeSystem,
    tables: list[SourceTable],
    layout: ComponentLayout | None,
    components: list[ComponentTable],
) -> NDArray[np.float64]:
    """Indicators of items drawn from the fitted model, (n_draws, d)."""
    d = len(system.means)
    n_draws = int(np.clip(MAX_CELLS // max(d, 1), MIN_DRAWS, MAX_DRAWS))
    rng = np.random.default_rng(0)
    label = rng.choice(len(system.class_balance), n_draws, p=system.class_balance)
    indicators = np.zeros((n_draws, d))
    node_source = system.statistics.node_source
    first_node = np.searchsorted(node_source, np.arange(len(tables) + 1))
    rows = np.arange(n_draws)
    drawn: dict[int, NDArray[np.int64]] = {}  # states of the members of cliques
    for component in components:
        assert layout is not None
        clique = component.members
        separator = layout.separators[layout.members.index(clique)]
        given = np.zeros(n_draws, dtype=np.int64)
        for j, step in zip(separator, layout.radix(separator).tolist(), strict=True):
            given += drawn[j] * step
        of_clique = np.zeros(n_draws, dtype=np.int64)
        for state in np.unique(given).tolist():
            items = np.flatnonzero(given == state)
            possible = np.where((layout.separator_states(clique) == state)[:, None], component.table, 0.0)
            of_clique[items] = choose_states(rng, possible, label[items])
        for j, states in zip(clique, layout.member_states(clique)[of_clique].T, strict=True):
            if j in drawn:
                continue
            drawn[j] = states
            votes = states > 0
            indicators[rows[votes], first_node[j] + states[votes] - 1] = 1
    for j, table in enumerate(tables):
        n_nodes = first_node[j + 1] - first_node[j]
        if j not in drawn and n_nodes:
            state = choose_states(rng, table.table, label)
            votes = state < n_nodes
            indicators[rows[votes], first_node[j] + state[votes]] = 1
    return indicators


def choose_states(
    rng: np.random.Generator, table: NDArray[np.float64], label: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One state an item, drawn from the column of its label."""
    edges = np.cumsum(table, axis=0)
    uniform = rng.random(len(label)) * edges[-1, label]
    states: NDArray[np.int64] = (uniform >= edges[:, label]).sum(axis=0)
    return np.minimum(states, len(table) - 1)
