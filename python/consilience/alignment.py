"""Signs relative to each other, from evidence about pairs, and when evidence is believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.nodes import NodeSystem

__all__ = ["CONTRADICTION", "align", "align_groups", "beyond_chance"]

CONTRADICTION = 3.0
"""Standard errors from which on evidence about a sign is believed."""


def beyond_chance(n: int) -> float:
    """Standard errors that n deviations hardly reach by chance; ``CONTRADICTION`` or more."""
    return max(CONTRADICTION, float(np.sqrt(2 * np.log(max(n, 1)))) + 1.5)


def align(
    z: NDArray[np.float64], least: float = CONTRADICTION
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Signs of some parts relative to each other, and which parts are so related: strongest evidence first.

    Parameters
    ----------
    z : (c, c) float64 array
        Evidence, in standard errors, that two parts have the same sign; above the diagonal.
    least : float
        Standard errors from which on it is believed.

    Returns
    -------
    signs : (c,) float64 array
        1 or -1, up to one sign for each group.
    groups : (c,) int64 array
        Parts with the same number are related.
    """
    c = len(z)
    signs, groups = np.ones(c), np.arange(c)
    upper = np.abs(np.triu(z, 1))
    for cell in np.argsort(-upper, axis=None, kind="stable").tolist():
        first, second = divmod(cell, c)
        if upper[first, second] < least:
            break
        if groups[first] != groups[second]:
            moved = groups == groups[second]
            if z[first, second] * signs[first] * signs[second] < 0:
                signs[moved] *= -1
            groups[moved] = groups[first]
    return signs, groups


def align_groups(
    system: NodeSystem,
    group: NDArray[np.int64],
    strength: NDArray[np.float64],
    pairs: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Signs of groups of nodes relative to each other, from the pairs across them: see :func:`align`.

    Parameters
    ----------
    system : NodeSystem
        The ``d`` nodes.
    group : (d,) int array
        Group of each node, -1 for nodes of none.
    strength : (d,) float64 array
        ``alpha - beta`` of each node, up to a sign for each group.
    pairs : (d, d) bool array
        Those that are looked at.
    """
    member = (group[:, None] == np.arange(group.max(initial=-1) + 1)).astype(np.float64)
    expected = np.where(pairs, system.events.g * np.outer(strength, strength), 0.0)
    evidence = member.T @ (expected * system.covariance / system.variance) @ member
    noise = member.T @ (expected**2 / system.variance) @ member / float(system.statistics.n)
    # Sources that vote for an event do so on the same items: what they say of another comes in one.
    weight = strength / np.sqrt(np.diag(system.variance))
    within = np.where(group[:, None] == group, system.covariance, 0.0)
    together = member.T @ (weight * (within @ weight))
    apart = member.T @ (weight**2 * np.diag(system.covariance))
    inflation = np.maximum(together / np.maximum(apart, 1e-300), 1.0)
    noise *= np.outer(inflation, inflation)
    z = np.divide(evidence, np.sqrt(noise), out=np.zeros_like(evidence), where=noise > 0)
    return align(z, beyond_chance(int(np.count_nonzero(np.triu(noise, 1)))))
