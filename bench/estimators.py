"""Estimators of the sources' tables as one would write them down in plain NumPy, to compare with.

All take the class balance as known, and give ``P(state | Y)``, (m, k + 1, k), the abstention last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from truths import MIN_PROBABILITY, Tables

MAX_STEPS = 300
TOLERANCE = 1e-6
MODELS = ("one-coin", "tied", "free")


@dataclass(frozen=True)
class Rows:
    """Distinct rows of votes: states in one-hot, (u, m (k + 1)), and the share of items of each, (u,)."""

    one_hot: NDArray[np.float64]
    share: NDArray[np.float64]
    n_items: int
    n_sources: int
    n_classes: int

    @classmethod
    def of(cls, votes: NDArray[np.int8], k: int) -> Rows:
        n, m = votes.shape
        states = np.where(votes < 0, k, votes).astype(np.int64)
        codes, counts = np.unique(states @ (k + 1) ** np.arange(m), return_counts=True)
        states = codes[:, None] // (k + 1) ** np.arange(m) % (k + 1)
        one_hot = np.zeros((len(codes), m, k + 1))
        np.put_along_axis(one_hot, states[:, :, None], 1.0, axis=2)
        return cls(one_hot.reshape(len(codes), -1), counts / n, n, m, k)


def counting(votes: NDArray[np.int8], y: NDArray[np.int64], k: int) -> Tables:
    """The rates at which each source took each state, with the labels known."""
    return np.stack(
        [[(votes[y == c] == s).mean(axis=0) for c in range(k)] for s in (*range(k), -1)]
    ).transpose(2, 0, 1)


def moments(rows: Rows, balance: NDArray[np.float64]) -> Tables:
    """Covariances between sources as a weighted rank-one problem, divided by those of the labels."""
    m, k = rows.n_sources, rows.n_classes
    votes = rows.one_hot.reshape(-1, m, k + 1)[:, :, :k].reshape(len(rows.share), -1)
    mean = rows.share @ votes
    both = votes.T @ (votes * rows.share[:, None])
    covariance = both - np.outer(mean, mean)
    of_labels = np.tile(np.diag(balance) - np.outer(balance, balance), (m, m))
    apart = np.kron(1 - np.eye(m), np.ones((k, k)))
    a, b = mean[:, None], mean[None]
    variance = both * ((1 - a) * (1 - b)) ** 2 + (a - both) * ((1 - a) * b) ** 2
    variance += (b - both) * (a * (1 - b)) ** 2 + (1 - a - b + both) * (a * b) ** 2 - covariance**2
    weight = apart * of_labels**2 / np.maximum(variance, 1e-6)
    d = _rank_one(covariance / of_labels, weight)
    d = (d * np.sign(d.sum())).reshape(m, k)
    return _tables(d, mean.reshape(m, k) - d * balance)


def em(rows: Rows, start: Tables, balance: NDArray[np.float64], model: str) -> tuple[Tables, float]:
    """Tables where EM stops, and the log-likelihood of all items."""
    m, k = rows.n_sources, rows.n_classes
    tables = start
    weight = balance * (1 - balance) / (balance * (1 - balance)).sum()
    for _ in range(MAX_STEPS):
        posterior, _ = _posterior(rows, tables, balance)
        counts = (rows.one_hot.T @ (posterior * rows.share[:, None])).reshape(m, k + 1, k)
        of_class = counts[0].sum(axis=0)
        if model == "free":
            new = counts + 1e-2 / rows.n_items
            new = new / new.sum(axis=1, keepdims=True)
        else:
            hits, votes = np.einsum("jll->jl", counts[:, :k]), counts[:, :k].sum(axis=2)
            d = hits / of_class - (votes - hits) / (1 - of_class)
            wrong = (votes - hits) / (1 - of_class)
            if model == "one-coin":
                d = np.repeat((d * weight).sum(axis=1, keepdims=True), k, axis=1)
                wrong = votes - d * balance
            new = _tables(d, wrong)
        step, tables = np.abs(new - tables).max(), new
        if step < TOLERANCE:
            break
    return tables, rows.n_items * float(rows.share @ _posterior(rows, tables, balance)[1])


def all_references(votes: NDArray[np.int8], balance: NDArray[np.float64]) -> dict[str, Tables]:
    """Moments, EM in each model from there, and the one of these that BIC prefers."""
    k = len(balance)
    rows = Rows.of(votes, k)
    found = {"moments": moments(rows, balance)}
    bic = {}
    for model, n_parameters in zip(MODELS, (k + 1, 2 * k, k * k), strict=True):
        if model == "tied" and k == 2:
            continue  # as free
        tables, log_likelihood = em(rows, found["moments"], balance, model)
        found[f"em {model}"] = tables
        bic[model] = -2 * log_likelihood + n_parameters * rows.n_sources * np.log(rows.n_items)
    found["em by BIC"] = found[f"em {min(bic, key=bic.__getitem__)}"]
    return found


def _posterior(
    rows: Rows, tables: Tables, balance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``P(Y | row)`` and the log-likelihood of each row."""
    logs = rows.one_hot @ np.log(tables).reshape(-1, rows.n_classes) + np.log(balance)
    top = logs.max(axis=1, keepdims=True)
    weight = np.exp(logs - top)
    total = weight.sum(axis=1, keepdims=True)
    return weight / total, (top + np.log(total))[:, 0]


def _tables(d: NDArray[np.float64], wrong: NDArray[np.float64]) -> Tables:
    """Tables from ``alpha - beta`` and ``beta``, both (m, k); probabilities that leave [0, 1] are cut."""
    k = d.shape[1]
    votes = wrong[:, :, None] + d[:, :, None] * np.eye(k)
    tables = np.concatenate([votes, 1 - votes.sum(axis=1, keepdims=True)], axis=1)
    tables = np.maximum(tables, MIN_PROBABILITY)
    return tables / tables.sum(axis=1, keepdims=True)


def _rank_one(target: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """``z`` that minimises the weighted squares of ``target - z z^T``, one entry after the other."""
    seen = weight > 0
    filled = np.where(seen, target, 0.0)
    for _ in range(21):
        values, vectors = np.linalg.eigh(filled)
        z = vectors[:, -1] * np.sqrt(max(values[-1], 1e-12))
        filled = np.where(seen, target, np.outer(z, z))
    weighted = weight * target
    for _ in range(5000):
        before = z.copy()
        for a in range(len(z)):
            z[a] = (weighted[a] @ z) / (weight[a] @ z**2)
        if np.abs(z - before).max() < 1e-10 * np.abs(z).max():
            break
    return z
