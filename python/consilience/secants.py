"""Fewer steps to a fixed point: what the last few tell of the next.

A map whose steps raise some objective moves slowly where that is flat: along some directions each step is
nearly as long as the one before. The last points and their steps (secants) tell how steps change in the
space that the points span. A plain step outside of that space and one of Newton within it get much further.

In the metric of the complete data, that of the maximisation in EM, the derivative of the map is symmetric,
and so it is made here: its eigenvalues say for each direction whether plain steps approach a fixed point or
leave it. Newton's method would return to one that is left, a saddle; here the step goes as far the other way
(saddle-free Newton).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Secants"]

MEMORY = 6
"""Secants that are kept. Four take a tenth more steps, ten no fewer."""

MAX_CELLS = 1 << 20
"""Numbers of which secants consist in all, so that they take no more memory than what they are of; one is
always kept."""

INDEPENDENT = 1e-5
"""Least eigenvalue, relative to the greatest, of the Gram matrix of what counts as another direction."""

FLATTEST = 1e-3
"""Least eigenvalue of one minus the derivative, in size: steps get no longer than its inverse."""

SHORTER, LONGER = 4.0, 2.0
"""How much shorter steps may be after one that lowered the objective, and longer after one that was as long
as it might be and did not. Factors of 2 or 10, and of 4, take as many steps by a few in a hundred."""

Vector = NDArray[np.float64]


class Secants:
    """The last steps of a map, and how far beyond a plain step to go."""

    def __init__(self) -> None:
        self._points: list[Vector] = []
        self._steps: list[Vector] = []
        self._longest = np.inf
        self._length = 0.0

    def forget(self) -> None:
        """Begin anew, with another map."""
        self._points, self._steps = [], []
        self._longest = np.inf

    def beyond(self, point: Vector, step: Vector, metric: Vector) -> Vector | None:
        """What to add to the plain step from a point; None where nothing is known yet.

        Parameters
        ----------
        point : (d,) float64 array
            Where the map was worked out.
        step : (d,) float64 array
            Of the map there.
        metric : (d,) float64 array
            Diagonal of the metric.
        """
        kept = max(min(MEMORY, MAX_CELLS // max(len(point), 1)), 1)
        self._points = [*self._points[-kept:], point]
        self._steps = [*self._steps[-kept:], step]
        if len(self._points) == 1:
            return None
        moves, changes = np.diff(self._points, axis=0), np.diff(self._steps, axis=0)
        weighed = moves * metric
        gram = _products(weighed, moves)
        size = np.sqrt(np.maximum(np.diag(gram), 1e-300))
        of_gram, directions = np.linalg.eigh(gram / np.outer(size, size))
        independent = of_gram > INDEPENDENT * of_gram[-1]
        # Combinations of moves that are orthonormal in the metric.
        basis = directions[:, independent] / np.sqrt(of_gram[independent]) / size[:, None]
        slope = -basis.T @ _products(weighed, changes) @ basis
        eigenvalues, turned = np.linalg.eigh((slope + slope.T) / 2)
        basis = basis @ turned
        along = basis.T @ _products(weighed, step[None])[:, 0]
        further = basis @ ((1 / np.maximum(np.abs(eigenvalues), FLATTEST) - 1) * along)
        found: Vector = np.einsum("a,ad->d", further, moves)
        plain = np.sqrt((metric * step * step).sum())
        length = float(np.sqrt((metric * found * found).sum()) / max(plain, 1e-300))
        self._length = min(length, self._longest)
        return found * (self._length / max(length, 1e-300))

    def went_up(self) -> None:
        """The last step beyond has raised the objective."""
        if self._length >= self._longest:
            self._longest *= LONGER

    def went_down(self) -> None:
        """The last step beyond has lowered it."""
        self._longest = max(self._length / SHORTER, 1.0)


def _products(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the rows of one and of the other."""
    # Sums of NumPy have one order, whatever the number of threads of BLAS.
    found: NDArray[np.float64] = np.einsum("ad,bd->ab", a, b)
    return found
