"""Truths that votes are drawn from: tables of sources, more or less free, and the class balance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import consilience as cs

N_SOURCES = 10
MIN_PROBABILITY = 1e-4
Tables = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Tables, class balance, and the smallest of the package's models that holds the tables."""

    tables: Tables  # (m, k + 1, k), P(state | Y), the abstention last
    balance: NDArray[np.float64]  # (k,)
    model: str  # "one-coin", "tied" or "free"

    @property
    def n_classes(self) -> int:
        return len(self.balance)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Votes (n, m) and labels (n,)."""
        y = rng.choice(self.n_classes, n, p=self.balance)
        return draw_votes(rng, self.tables, y), y

    def mu(self) -> Tables:
        """``P(vote, Y)``, (m, k, k)."""
        return self.tables[:, :-1] * self.balance

    def accuracy(self) -> NDArray[np.float64]:
        """``P(vote right | source votes)``, (m,)."""
        mu = self.mu()
        return np.einsum("jll->j", mu) / mu.sum(axis=(1, 2))


def draw_votes(
    rng: np.random.Generator, tables: Sequence[Tables] | Tables, y: NDArray[np.int64]
) -> NDArray[np.int8]:
    """Votes of independent sources on items with labels `y`."""
    k = tables[0].shape[1]
    states = [(rng.random((len(y), 1)) >= table.cumsum(axis=0).T[y]).sum(axis=1) for table in tables]
    votes = np.column_stack(states).astype(np.int8)
    votes[votes >= k] = cs.ABSTAIN
    return votes


def copied(
    rng: np.random.Generator, votes: NDArray[np.int8], pairs: Sequence[tuple[int, int]], rate: float
) -> NDArray[np.int8]:
    """Votes in which the second source of each pair repeats the first on `rate` of items, silent or not."""
    votes = votes.copy()
    for i, j in pairs:
        repeats = rng.random(len(votes)) < rate
        votes[repeats, j] = votes[repeats, i]
    return votes


def with_copies(truth: Truth, pairs: Sequence[tuple[int, int]], rate: float) -> Truth:
    """Tables of single sources after :func:`copied`."""
    tables = truth.tables.copy()
    for i, j in pairs:
        tables[j] = rate * tables[i] + (1 - rate) * tables[j]
    return Truth(tables, truth.balance, truth.model)


# ---- families of truths -----------------------------------------------------------------------------------


def balance_of(k: int) -> NDArray[np.float64]:
    """The class balance that all families share."""
    return np.array({2: [0.6, 0.4], 3: [0.5, 0.3, 0.2], 4: [0.4, 0.3, 0.2, 0.1]}[k])


def tied(rng: np.random.Generator, k: int, m: int = N_SOURCES) -> Truth:
    """Each class is hit with a probability of its own, and named wrongly with another."""
    tables: list[Tables] = []
    while len(tables) < m:
        right = rng.uniform(0.35, 0.7, k)
        wrong = rng.uniform(0.03, 0.25 / (k - 1) + 0.03, k)
        votes = np.where(np.eye(k) > 0, right[:, None], wrong[:, None])
        if votes.sum(axis=0).max() <= 1:
            tables.append(_with_abstention(votes))
    return Truth(np.stack(tables), balance_of(k), "tied")


def free(rng: np.random.Generator, k: int) -> Truth:
    """Each source confuses the classes in a way of its own."""
    tables = np.empty((N_SOURCES, k + 1, k))
    for table in tables:
        for y in range(k):
            counts = np.ones(k + 1)
            counts[y] += 5
            counts[k] += 2
            table[:, y] = rng.dirichlet(counts)
    return Truth(_floored(tables), balance_of(k), "free")


def one_coin(
    balance: NDArray[np.float64], accuracy: NDArray[np.float64], coverage: NDArray[np.float64]
) -> Truth:
    """One accuracy a source, whatever the class; errors are spread evenly, abstentions say nothing."""
    k = len(balance)
    tables = [
        _with_abstention(c * (np.eye(k) * a + (1 - np.eye(k)) * (1 - a) / (k - 1)))
        for a, c in zip(accuracy, coverage, strict=True)
    ]
    return Truth(_floored(np.stack(tables)), balance, "one-coin")


def weak(rng: np.random.Generator, k: int) -> Truth:
    """Few votes, barely better than chance."""
    accuracy = rng.uniform(1.3 / k, min(0.9, 1.9 / k), N_SOURCES)
    return one_coin(balance_of(k), accuracy, rng.uniform(0.1, 0.3, N_SOURCES))


def adversarial(rng: np.random.Generator, k: int) -> Truth:
    """Four of ten sources are worse than chance."""
    bad = rng.uniform(0.35, 0.6, N_SOURCES) / (k - 1)
    accuracy = np.where(np.arange(N_SOURCES) < 4, bad, rng.uniform(0.65, 0.85, N_SOURCES))
    return one_coin(balance_of(k), accuracy, rng.uniform(0.5, 0.9, N_SOURCES))


FAMILIES: dict[str, Callable[[np.random.Generator], Truth]] = {
    "k=2 class-conditional": lambda rng: tied(rng, 2),
    "k=4 tied": lambda rng: tied(rng, 4),
    "k=4 free": lambda rng: free(rng, 4),
    "k=4 weak": lambda rng: weak(rng, 4),
    "k=2 adversarial": lambda rng: adversarial(rng, 2),
}


def _with_abstention(votes: Tables) -> Tables:
    return np.vstack([votes, np.maximum(1 - votes.sum(axis=0), 0.0)])


def _floored(tables: Tables) -> Tables:
    tables = np.maximum(tables, MIN_PROBABILITY)
    return tables / tables.sum(axis=1, keepdims=True)
