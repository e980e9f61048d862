"""What sources with few votes are like before they vote: like the others, as far as these are alike.

A source with three votes that agree with the rest is not always right; its likelihood has its maximum there
all the same. Its accuracy is drawn towards that of all sources, as if it had cast further votes (empirical
Bayes). How many is learned from how much sources differ: accuracies that are a Beta distribution with mean
``a`` and weight ``s`` make the counts of right votes beta-binomial, and

    sum_j N_j (r_j / N_j - a)^2  is on average  a (1 - a) [(1 - rho) (m - 1) + rho (N - sum_j N_j^2 / N)]

for ``rho = 1 / (s + 1)``. The further votes fade as a source casts its own, and are gone at ``FEW_VOTES``: a
source that is observed well has no prior. Where there are none but such, nothing changes to the last bit.
Among very many rows the others are fitted without it, and those with few votes drawn to them afterwards.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.accuracy_prior import AccuracyPrior

__all__ = ["FEW_VOTES", "FIRST_ACCURACY", "first_prior", "learned_prior", "weight_of_population"]

FEW_VOTES = 50.0
"""Votes from which on a source speaks for itself alone."""

MIN_SOURCES = 5
"""Fewer are no population."""

FIRST_ACCURACY, FIRST_WEIGHT = 0.7, 4.0
"""Of the fit that the population is read off: without a prior, sources with few votes confirm themselves."""

LEAST_WEIGHT, MOST_WEIGHT = 2.0, 30.0
"""Further votes that sources may be worth, however different or alike they are."""


def first_prior(votes: NDArray[np.float64], learned: NDArray[np.bool_]) -> AccuracyPrior | None:
    """Prior of the sources before anything is known of them; None where it draws none.

    Parameters
    ----------
    votes : (m,) float64 array
        Votes of each.
    learned : (m,) bool array
        Those that are one source and learned.
    """
    few = learned & (votes > 0) & (votes < FEW_VOTES)
    if not few.any() or np.count_nonzero(learned & (votes > 0)) < MIN_SOURCES:
        return None
    return _faded(np.full(len(votes), FIRST_ACCURACY), FIRST_WEIGHT, votes, few)


def learned_prior(
    right: NDArray[np.float64], votes: NDArray[np.float64], learned: NDArray[np.bool_]
) -> AccuracyPrior:
    """Prior by the population of sources.

    Parameters
    ----------
    right, votes : (m,) float64 arrays
        Expected right votes of each source, and its votes.
    learned : (m,) bool array
        Those that are one source and learned.
    """
    few = learned & (votes > 0) & (votes < FEW_VOTES)
    several = learned & (votes >= 2)
    mean, weight = weight_of_population(right[several], votes[several])
    return _faded(np.full(len(votes), mean), weight, votes, few)


def weight_of_population(right: NDArray[np.float64], votes: NDArray[np.float64]) -> tuple[float, float]:
    """Mean accuracy of some sources, and how many votes it is worth for one of them.

    Parameters
    ----------
    right, votes : (m,) float64 arrays
        Right votes of each source, and its votes, at least 1.
    """
    if len(votes) < 2:
        return FIRST_ACCURACY, FIRST_WEIGHT
    total, m = votes.sum(), len(votes)
    mean = float(np.clip(right.sum() / total, 0.02, 0.98))
    spread = float((votes * (right / votes - mean) ** 2).sum()) / (mean * (1 - mean))
    rho = (spread - (m - 1)) / max(float(total - (votes**2).sum() / total) - (m - 1), 1.0)
    return mean, 1 / float(np.clip(rho, 1 / (MOST_WEIGHT + 1), 1 / (LEAST_WEIGHT + 1))) - 1


def _faded(
    accuracy: NDArray[np.float64], weight: float, votes: NDArray[np.float64], few: NDArray[np.bool_]
) -> AccuracyPrior:
    return AccuracyPrior(accuracy, np.where(few, weight * (1 - votes / FEW_VOTES), 0.0))
