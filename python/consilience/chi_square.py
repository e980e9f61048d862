"""Tails of the chi-square and the normal distribution, far out too."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["chi_square_scores", "chi_square_tail", "normal_score"]


def chi_square_tail(x: float, df: float) -> float:
    """``P(X >= x)`` for a chi-square variable with `df` degrees of freedom, relative precision 1e-10.

    Examples
    --------
    >>> round(chi_square_tail(3.841458820694124, 1), 6)
    0.05
    """
    a, z = df / 2, x / 2
    if z <= 0:
        return 1.0
    front = math.exp(min(0.0, a * math.log(z) - z - math.lgamma(a)))
    log_front = a * math.log(z) - z - math.lgamma(a)
    front = math.exp(log_front) if log_front > -745 else 0.0
    if z < a + 1:  # series of the lower tail
        term = total = 1 / a
        for i in range(1, 10_000):
            term *= z / (a + i)
            total += term
            if term < total * 1e-15:
                break
        return max(0.0, 1 - total * front)
    # Continued fraction of the upper tail, by Lentz's method.
    b = z + 1 - a
    c, d = 1e300, 1 / b
    fraction = d
    for i in range(1, 10_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b)
        c = b + step / c
        fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return front * fraction


def normal_score(tail: float) -> float:
    """``z`` with ``P(Z >= z) = tail`` for a standard normal variable.

    Examples
    --------
    >>> round(normal_score(0.025), 6)
    1.959964
    """
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) / 2 > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def chi_square_scores(x: NDArray[np.float64], df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal scores of chi-square variables.

    By Wilson and Hilferty (1931): their cube roots are all but normal.

    Examples
    --------
    >>> chi_square_scores(np.array([3.841458820694124]), np.array([1.0])).round(2)
    array([1.64])
    """
    spread = 2 / (9 * df)
    scores: NDArray[np.float64] = (np.cbrt(x / df) - (1 - spread)) / np.sqrt(spread)
    return scores
