"""How sure the accuracies are: intervals from the influence of single items on the moment estimates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.drawing import SourceRanks, draw_indicators
from consilience.joint_tables import ComponentTable
from consilience.nodes import NodeSystem
from consilience.tied import SourceTable

__all__ = ["accuracy_intervals", "n_draws"]

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
    if d == 0:
        return np.tile([0.0, 1.0], (statistics.n_sources, 1))
    label = np.random.default_rng(0).choice(k, n_draws(d), p=system.class_balance)
    ranks = SourceRanks.of(system, tables)
    indicators = draw_indicators(label, system, tables, layout, components, ranks)
    centred = indicators - indicators.mean(axis=0)
    influence = influence_of(centred)
    source = np.eye(statistics.n_sources)[statistics.node_source]
    rate = system.means @ source
    with np.errstate(divide="ignore", invalid="ignore"):
        of_item = ((p * (centred + (1 - p) * influence)) @ source - accuracy * (centred @ source)) / rate
        variance = ranks.mean_of_alike(of_item.var(axis=0))
        error = QUANTILE * np.sqrt(variance / statistics.n)
        intervals = np.column_stack([accuracy - error, accuracy + error])
    intervals[~np.isfinite(intervals).all(axis=1)] = (0.0, 1.0)
    clipped: NDArray[np.float64] = np.clip(intervals, 0.0, 1.0)
    return clipped


def n_draws(n_nodes: int) -> int:
    """How many items to draw."""
    return int(np.clip(MAX_CELLS // max(n_nodes, 1), MIN_DRAWS, MAX_DRAWS))
