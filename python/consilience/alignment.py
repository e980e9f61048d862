"""Signs relative to each other, from evidence about pairs, and when evidence is believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONTRADICTION", "align", "beyond_chance"]

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
