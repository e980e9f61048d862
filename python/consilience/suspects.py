"""Pairs of sources whose votes hang together more than a fit of independent sources explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.alignment import beyond_chance
from consilience.nodes import NodeSystem

__all__ = ["unexplained_pairs"]


def unexplained_pairs(
    system: NodeSystem, strength: NDArray[np.float64], known: NDArray[np.bool_], most: int = 3
) -> list[tuple[int, int, float]]:
    """Pairs of sources whose votes hang together more than their accuracies explain.

    Parameters
    ----------
    system : NodeSystem
        The nodes.
    strength : (d,) float64 array
        ``alpha - beta`` of each node.
    known : (d,) bool array
        Nodes that were learned; only these are looked at.
    most : int
        How many pairs at most.

    Returns
    -------
    list of (i, j, z)
        In standard errors, largest first: how much more often than explained two sources agree, or cast two
        certain votes together, whichever is more. Only what chance does not allow among so many pairs.
    """
    n, source = float(system.statistics.n), system.statistics.node_source
    pairs = np.triu(system.related & known[:, None] & known)
    if not pairs.any():
        return []
    explained = system.events.g * np.outer(strength, strength)
    residual = system.covariance - explained

    # Two votes. Most pairs are out of the question by the spread of unrelated ones, which is less.
    n_pairs = int(np.count_nonzero(pairs))
    a, b = np.nonzero(pairs & (residual > beyond_chance(n_pairs) * np.sqrt(system.variance / n)))
    of_votes = _Spread.of_products(system.means[a], system.means[b], explained[a, b], n)
    z_votes = of_votes.standard_errors(residual[a, b], n, n_pairs)

    # Agreement, over all events that both vote for.
    alike = pairs & system.same_event
    i, j = np.nonzero(_by_source(alike.astype(np.float64), source))
    agreement = _by_source(np.where(alike, np.outer(system.means, system.means) + explained, 0.0), source)
    more = _by_source(np.where(alike, residual, 0.0), source)
    z_agreement = _Spread.of_event(agreement[i, j], n).standard_errors(more[i, j], n, len(i))

    voters = np.unique(source)
    first, second = np.concatenate([source[a], voters[i]]), np.concatenate([source[b], voters[j]])
    found: dict[tuple[int, int], float] = {}
    for one, other, z in zip(first, second, np.concatenate([z_votes, z_agreement]), strict=True):
        if z > 0:
            pair = (int(one), int(other))
            found[pair] = max(found.get(pair, 0.0), float(z))
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [(one, other, z) for (one, other), z in ordered[:most]]


def _by_source(of_nodes: NDArray[np.float64], source: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums over the nodes of two sources, of those that have nodes."""
    first = np.flatnonzero(np.diff(source, prepend=-1))
    return np.add.reduceat(np.add.reduceat(of_nodes, first, axis=0), first, axis=1)


@dataclass(frozen=True, eq=False)
class _Spread:
    """How numbers that each item has are spread: their standard deviation and skewness.

    Votes for rare classes come together on few items: many times as often as chance, where both tend to be
    right, and with a skewness that makes large deviations likelier than the normal distribution has them.
    What is rare is taken to happen on one item at least.
    """

    deviation: NDArray[np.float64]
    skewness: NDArray[np.float64]

    @classmethod
    def of(cls, *cells: tuple[NDArray[np.float64], NDArray[np.float64]]) -> _Spread:
        """From probabilities and values."""
        mean = sum(p * value for p, value in cells)
        square = sum(p * (value - mean) ** 2 for p, value in cells)
        cube = sum(p * (value - mean) ** 3 for p, value in cells)
        deviation = np.sqrt(np.maximum(square, 1e-300))
        return cls(deviation, np.maximum(cube / deviation**3, 0.0))

    @classmethod
    def of_event(cls, probability: NDArray[np.float64], n: float) -> _Spread:
        """Of 1 where something happens, 0 elsewhere."""
        p = np.clip(probability, 1 / (n + 1), 1 - 1 / (n + 1))
        return cls.of((p, np.ones_like(p)), (1 - p, np.zeros_like(p)))

    @classmethod
    def of_products(
        cls,
        first: NDArray[np.float64],
        second: NDArray[np.float64],
        covariance: NDArray[np.float64],
        n: float,
    ) -> _Spread:
        """Of products of two centred indicators, whose means and covariance are given."""
        most = np.minimum(first, second)
        both = np.clip(first * second + covariance, np.minimum(1 / n, most), most)
        return cls.of(
            (both, (1 - first) * (1 - second)),
            (first - both, -(1 - first) * second),
            (second - both, -first * (1 - second)),
            (np.maximum(1 - first - second + both, 0.0), first * second),
        )

    def standard_errors(self, more: NDArray[np.float64], n: float, n_pairs: int) -> NDArray[np.float64]:
        """Standard errors by which means of n items are off; 0 for what chance allows among so many pairs."""
        z, limit = more * np.sqrt(n) / self.deviation, beyond_chance(n_pairs)
        # Cornish and Fisher (1938): quantiles of a skewed distribution.
        allowed = limit + self.skewness / np.sqrt(n) * (limit**2 - 1) / 6
        return np.where(z > allowed, z, 0.0)
