"""What people would write instead: the same statistics in plain NumPy and in plain Python."""

from __future__ import annotations

import numpy as np


def numpy_pairs(votes: np.ndarray, k: int) -> np.ndarray:
    """Items on which each pair of indicators is 1, (m k, m k), indicator ``j * k + label``.

    One-hot in float64 and one matrix product; for one BLAS thread set OPENBLAS_NUM_THREADS=1. No coverage,
    overlaps or conflicts.
    """
    n, m = votes.shape
    one_hot = np.zeros((n, m * k))
    for label in range(k):
        one_hot[:, label::k] = votes == label
    return one_hot.T @ one_hot


def python_statistics(votes: list[list[int]]) -> dict[str, dict]:
    """All that ``VoteStatistics`` counts, with dictionaries and loops: pairs, votes, overlaps, conflicts."""
    pairs: dict[tuple[int, int, int, int], int] = {}
    n_votes: dict[int, int] = {}
    overlaps: dict[int, int] = {}
    conflicts: dict[int, int] = {}
    for row in votes:
        for i, a in enumerate(row):
            if a == -1:
                continue
            n_votes[i] = n_votes.get(i, 0) + 1
            overlap = conflict = False
            for j, b in enumerate(row):
                if b == -1:
                    continue
                pairs[i, a, j, b] = pairs.get((i, a, j, b), 0) + 1
                overlap |= i != j
                conflict |= a != b
            overlaps[i] = overlaps.get(i, 0) + overlap
            conflicts[i] = conflicts.get(i, 0) + conflict
    return {"pairs": pairs, "votes": n_votes, "overlaps": overlaps, "conflicts": conflicts}


def numpy_fit(votes: np.ndarray, k: int) -> np.ndarray:
    """``P(source votes label | Y)``, (m k, k), for a uniform class balance, by gradient descent.

    Two classes by the inverse covariance (Ratner et al., 2019, Algorithm 1), more by the second moments.
    """
    n, m = votes.shape
    together = numpy_pairs(votes, k) / n
    rate = np.diag(together).copy()
    source = np.repeat(np.arange(m), k)
    apart = source[:, None] != source
    if k == 2:
        covariance = together - np.outer(rate, rate)
        inverse = np.linalg.inv(covariance + 1e-9 * np.eye(2 * m))
        scale = 1 / np.sqrt(np.diag(inverse))
        target = np.where(apart, inverse * np.outer(scale, scale), 0)
        z = np.tile([-1.0, 1.0], m) / np.sqrt(2 * m)
        before = np.inf
        for _ in range(3000):
            residual = target + np.where(apart, np.outer(z, z), 0)
            loss = (residual**2).sum()
            z -= 0.4 * (residual @ z) / max(1.0, z @ z)
            if abs(before - loss) < 1e-9 * max(loss, 1e-12):
                break
            before = loss
        z /= scale
        towards = covariance @ z / np.sqrt((1 + z @ covariance @ z) / 0.25)
        towards *= np.sign((towards[1::2] - towards[::2]).sum()) or 1.0
        mu = np.column_stack([rate - 2 * towards, rate + 2 * towards])
    else:
        label = np.tile(np.arange(k), m)
        right = label[:, None] == np.arange(k)
        mu = np.where(right, 0.7 * k * rate[:, None], 0.3 * k / (k - 1) * rate[:, None])
        step = np.zeros_like(mu)
        for _ in range(300):
            residual = np.where(apart, together - mu @ mu.T / k, 0)
            gradient = -4 * (residual @ mu) / k + 2 * (mu.mean(axis=1) - rate)[:, None] / k
            step = 0.9 * step - 0.02 * gradient
            mu = mu + step
    return np.clip(mu, 1e-4, 1 - 1e-4)


def numpy_posterior(votes: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """``P(Y | votes)``, (n, k), for a uniform class balance; abstentions say nothing."""
    n, m = votes.shape
    k = mu.shape[1]
    one_hot = np.zeros((n, m * k))
    for label in range(k):
        one_hot[:, label::k] = votes == label
    scores = one_hot @ np.log(mu)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)
