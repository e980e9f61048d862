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
