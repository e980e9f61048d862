"""The least mean square error that an unbiased estimate of ``P(vote, Y)`` can have (Cramér-Rao).

The information is the expected one at the truth: the mean outer product of the scores, over all vote vectors
where these can be written out, and over many draws of them otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from truths import Tables, Truth

MAX_VECTORS = 100_000
N_DRAWS = 200_000
CHUNK = 25_000


def bound(truth: Truth, n: int, *, balance_known: bool = True, model: str | None = None) -> float:
    """Bound on ``E ||mu - mu*||^2`` over votes, not abstentions, from `n` items.

    The tables are known to be of the truth's model, or of a freer one that is given.
    """
    m, k = len(truth.tables), truth.n_classes
    directions = _directions(k, model or truth.model)
    q = directions.shape[2]
    n_balance = 0 if balance_known else k - 1
    information = np.zeros((m * q + n_balance,) * 2)
    per_state = directions / np.maximum(truth.tables, 1e-300)[:, :, :, None]  # (m, k + 1, k, q)
    for states, weight in _vectors(truth):
        logs = np.log(truth.balance) + sum(np.log(truth.tables[j, states[:, j]]) for j in range(m))
        joint = np.exp(logs)
        posterior = joint / joint.sum(axis=1, keepdims=True)
        weight = joint.sum(axis=1) if weight is None else weight
        scores = [np.einsum("iy,iyq->iq", posterior, per_state[j, states[:, j]]) for j in range(m)]
        if n_balance:
            scores.append((posterior - truth.balance)[:, :-1])
        stacked = np.hstack(scores)
        information += stacked.T @ (stacked * weight[:, None])
    covariance = np.linalg.inv(information)
    # How mu moves with each parameter.
    moves = np.zeros((m, k, k, m * q + n_balance))
    for j in range(m):
        moves[j, :, :, j * q : (j + 1) * q] = directions[:-1] * truth.balance[:, None]
    if n_balance:
        of_balance = (np.diag(truth.balance) - np.outer(truth.balance, truth.balance))[:, :-1]
        moves[:, :, :, m * q :] = truth.tables[:, :-1, :, None] * of_balance
    flat = moves.reshape(m * k * k, -1)
    return float(np.einsum("ca,ab,cb->", flat, covariance, flat, optimize=True)) / n


def _directions(k: int, model: str) -> Tables:
    """How a source's table, (k + 1, k), moves with each parameter; the abstention is what remains."""
    cells = np.zeros((k + 1, k, k, k))  # the last two: label, y
    cells[:k] = np.einsum("sl,yz->sylz", np.eye(k), np.eye(k))
    if model == "free":
        chosen = cells.reshape(k + 1, k, -1)
    else:
        hits = np.einsum("syll->syl", cells)
        if model == "one-coin":
            hits = hits.sum(axis=2, keepdims=True)
        chosen = np.concatenate([cells.sum(axis=3), hits], axis=2)
    chosen[k] = -chosen[:k].sum(axis=0)
    return chosen


def _vectors(truth: Truth) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64] | None]]:
    """Vote vectors as states, the abstention last, with their weights; None for their probabilities."""
    m, s = truth.tables.shape[:2]
    if s**m <= MAX_VECTORS:
        yield np.array(list(itertools.product(range(s), repeat=m))), None
        return
    rng = np.random.default_rng(0)
    for _ in range(N_DRAWS // CHUNK):
        votes, _ = truth.draw(rng, CHUNK)
        states: NDArray[np.int64] = np.where(votes < 0, s - 1, votes).astype(np.int64)
        yield states, np.full(CHUNK, 1 / N_DRAWS)
