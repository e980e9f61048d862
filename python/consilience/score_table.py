"""What votes add to the score of each feasible label vector: the input of the posterior kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout

__all__ = ["ScoreTable", "WeightedScores"]


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Input of the posterior kernel.

    Attributes
    ----------
    of_state : (m, n_states, K) float64 array
        What state s of source j adds; state 0, the abstention, adds nothing.
    base : (K,) float64 array
        Score of an item without votes.
    link : {"softmax", "share"}
        How scores become probabilities.
    layout : ComponentLayout or None
        Where sources are scored together, the columns that ``of_state`` is about in place of sources.
    silent : (m, K) float64 array or None
        What an abstention of each column adds: a part of ``base``. None: nothing, as far as is known.
    """

    of_state: NDArray[np.float64]
    base: NDArray[np.float64]
    link: str
    layout: ComponentLayout | None = None
    silent: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class WeightedScores:
    """One of several score tables whose posteriors are averaged.

    Attributes
    ----------
    weight : float
        Of its posterior; the weights of all parts sum to 1.
    scores : ScoreTable
        The table.
    """

    weight: float
    scores: ScoreTable
