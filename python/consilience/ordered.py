"""Whether classes are grades: wrong votes are then for neighbouring classes rather than for distant ones."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_SPAN", "MAX_GRADES", "SLOPES", "order_stands_out", "weights_of_errors"]

SLOPES = (0.5, 1.0, 1.5, 2.0, 3.0)
"""Candidates: with each class further off, a wrong vote is ``exp(slope)`` times as rare."""

LEAST_SPAN = 1.0
"""Of classes that are taken for grades without being said to be, the farthest errors are rarer by more than
``exp(LEAST_SPAN)`` than the nearest."""

MAX_GRADES = 20
"""More classes are only taken for grades where they are said to be."""

N_ORDERS = 60
"""Other orders that theirs has to beat: all of up to five classes; of more, those with two classes swapped,
and so many drawn ones."""

LEAST_Z = 2.0
"""Standard errors, over sources, by which it has to beat no order at all."""

Array = NDArray[np.float64]


def weights_of_errors(k: int, slope: float) -> Array:
    """How often wrong votes for each class are cast, relative to those for a neighbour, (k voted, k true)."""
    classes = np.arange(k)
    weights = np.exp(-slope * (np.abs(classes[:, None] - classes) - 1.0))
    weights[classes, classes] = 0.0
    return np.asarray(weights, dtype=np.float64)


def order_stands_out(counts: Array) -> bool:
    """Whether the order of the classes foretells wrong votes better than every other order of them, and none.

    Parameters
    ----------
    counts : (m, k, k) float64 array
        Votes of each source for each class, on items of each class.
    """
    k = counts.shape[1]
    errors = counts * (1.0 - np.eye(k))
    logs = [_logs(k, slope) for slope in SLOPES]

    def by_source(order: list[int]) -> Array:
        moved = errors[:, order][:, :, order]
        pooled = moved.sum(axis=0)
        likeliest = max(logs, key=lambda of_slope: float((pooled * of_slope).sum()))
        told: Array = (moved * likeliest).sum(axis=(1, 2))
        return told

    own = by_source(list(range(k)))
    gain = own - (errors * _logs(k, 0.0)).sum(axis=(1, 2))
    if gain.sum() <= LEAST_Z * float(np.sqrt((gain**2).sum())):
        return False
    return all(by_source(order).sum() < own.sum() for order in _other_orders(k))


def _logs(k: int, slope: float) -> Array:
    """``log P(voted | wrong, true)``, (k, k); 0 on the diagonal."""
    weights = weights_of_errors(k, slope)
    rates = weights / weights.sum(axis=0)
    return np.log(np.where(rates > 0, rates, 1.0))


def _other_orders(k: int) -> list[list[int]]:
    """Orders of classes but the natural one; an order and its reverse are the same."""
    natural = list(range(k))
    if k <= 5:
        orders = [list(order) for order in permutations(natural) if order[0] < order[-1]]
    else:
        rng = np.random.default_rng(0)
        orders = [rng.permutation(k).tolist() for _ in range(N_ORDERS)]
        for a, b in combinations(natural, 2):
            swapped = natural.copy()
            swapped[a], swapped[b] = b, a
            orders.append(swapped)
    return [order for order in orders if order not in (natural, natural[::-1])]
