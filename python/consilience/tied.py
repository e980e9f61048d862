"""The tied class-conditional model: two numbers a node, and the tables they expand to.

Source j votes for event A with probability ``alpha`` where the true label vector lies in A and ``beta`` where
it does not; what remains is its probability to abstain, which may depend on the label vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.nodes import NodeSystem

__all__ = [
    "SourceTable",
    "chance_accuracy",
    "directions_given_votes",
    "expand_tied",
    "feasible_strength",
    "n_parameters",
    "prior_tables",
    "tied_directions",
    "vote_accuracy",
]

MIN_RATIO = 1e-4
"""Least probability of a vote given a label vector, relative to the vote's overall rate.

No estimate from finitely many items is evidence that a vote is impossible, and a zero would overrule every
other source.
"""


@dataclass(frozen=True, eq=False)
class SourceTable:
    """What one source does, given the true label vector.

    Attributes
    ----------
    events : (s, t) int64 array
        Canonical vote vector of each of its states, without the abstention.
    table : (s + 1, K) float64 array
        ``P(state | Y = y)``; the last row abstains; columns sum to 1.
    """

    events: NDArray[np.int64]
    table: NDArray[np.float64]

    def __post_init__(self) -> None:
        # Sums go in the order of the memory: a table that was saved and read again adds up the same.
        object.__setattr__(self, "table", np.ascontiguousarray(self.table))

    def with_one_silence(self, class_balance: NDArray[np.float64]) -> SourceTable:
        """The table of a source that votes alike, given that it votes, and abstains whatever the label is."""
        votes = self.table[:-1]
        coverage = 1 - self.table[-1] @ class_balance
        total = votes.sum(axis=0)
        shares = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
        silence = np.full(votes.shape[1], 1 - coverage)
        return SourceTable(self.events, np.vstack([shares * coverage, silence]))


def n_parameters(model: str, n_events: int, n_vectors: int, *, abstains: bool) -> int:
    """Free parameters of a source's table.

    Parameters
    ----------
    model : {"one-coin", "tied", "free"}
        See :mod:`consilience.em`.
    n_events : int
        Events that it votes for.
    n_vectors : int
        Label vectors, ``K``.
    abstains : bool
        Whether it ever abstains.
    """
    free = n_vectors * (n_events + abstains - 1)
    alone = {"one-coin": n_events + abstains, "tied": n_events * (1 + abstains), "free": free}[model]
    return min(alone, free)


def feasible_strength(system: NodeSystem, strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearest ``d`` for which alpha and beta are probabilities, given each node's rate; (d,)."""
    p, rate = system.events.p, system.means
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.fmax(-rate / (1 - p), (rate - 1) / p)
        high = np.fmin(rate / p, (1 - rate) / (1 - p))
    certain = (p <= 0) | (p >= 1)  # such an event tells nothing
    return np.where(certain, 0.0, np.clip(strength, low, high))


def expand_tied(
    system: NodeSystem, strength: NDArray[np.float64], known: NDArray[np.bool_]
) -> list[SourceTable]:
    """Table of each source from the strength of its nodes (ExpandTied).

    ``beta = rate - d P(A)`` and ``alpha = beta + d``. Where sampling noise makes a column of votes exceed 1,
    or a vote impossible, the column is brought back by the least floor and division by its sum.

    A node about which nothing is known keeps its prior: its vote is right with a probability half-way between
    chance, ``P(A)``, and certainty. All such sources count alike, so that their labels are the majority's.

    Parameters
    ----------
    system : NodeSystem
        The nodes; their sources may have none.
    strength : (d,) float64 array
        ``alpha - beta`` of each node, feasible.
    known : (d,) bool array
        Nodes whose strength was learned.

    Returns
    -------
    list of SourceTable
        One a source, ``m`` of them.
    """
    statistics, rate, p = system.statistics, system.means, system.events.p
    beta = rate - strength * p
    # With the prior only the ratio is meant; at most the observed rate, it fits in beside other votes.
    alpha = np.where(known, beta + strength, rate)
    beta = np.where(known, beta, rate * _prior_ratio(p))
    of_node = np.where(system.events.masks, alpha[:, None], beta[:, None])
    silence = 1 - statistics.n_votes / statistics.n
    return _tables(statistics.node_source, statistics.node_event, of_node, rate, silence, known)


def prior_tables(
    node_source: NDArray[np.int64],
    node_event: NDArray[np.int64],
    masks: NDArray[np.bool_],
    p: NDArray[np.float64],
    rate: NDArray[np.float64],
    silence: NDArray[np.float64],
) -> list[SourceTable]:
    """Table of each source if nothing is known of any node, as in :func:`expand_tied`.

    Parameters
    ----------
    node_source, node_event : (d,) and (d, t) int64 arrays
        Source and event of each node, sorted by source.
    masks : (d, K) bool array
        The events.
    p : (d,) float64 array
        Their probabilities.
    rate : (d,) float64 array
        Share of the items on which each node is 1.
    silence : (m,) float64 array
        Share of the items on which each source abstains.
    """
    of_node = np.where(masks, rate[:, None], (rate * _prior_ratio(p))[:, None])
    return _tables(node_source, node_event, of_node, rate, silence, np.zeros(len(rate), dtype=np.bool_))


def _tables(
    node_source: NDArray[np.int64],
    node_event: NDArray[np.int64],
    of_node: NDArray[np.float64],
    rate: NDArray[np.float64],
    silence: NDArray[np.float64],
    known: NDArray[np.bool_],
) -> list[SourceTable]:
    """Tables from the probability of each node's vote given each label vector, (d, K)."""
    of_node = np.maximum(of_node, MIN_RATIO * rate[:, None])
    tables = []
    bounds = np.searchsorted(node_source, np.arange(len(silence) + 1)).tolist()
    for first, last, silent in zip(bounds, bounds[1:], silence.tolist(), strict=False):
        votes = of_node[first:last]
        table = np.empty((last - first + 1, votes.shape[1]))
        table[:-1] = votes
        if first < last and silent <= 0 and known[first:last].all():
            table[-1] = 0.0
        else:
            table[-1] = np.maximum(1 - votes.sum(axis=0), MIN_RATIO * silent)
        tables.append(SourceTable(node_event[first:last], table / table.sum(axis=0)))
    return tables


def tied_directions(
    masks: NDArray[np.bool_], model: str, *, abstains: bool, n_vectors: int
) -> NDArray[np.float64]:
    """Directions of a source's table under a model: its votes for the events in `masks`, then abstention.

    Parameters
    ----------
    masks : (s, K) bool array
        Events of its votes.
    model : {"one-coin", "tied", "free"}
        See :mod:`consilience.em`.
    abstains : bool
        Whether it ever abstains; otherwise its votes alone sum to 1.
    n_vectors : int
        ``K``.
    """
    s, k = len(masks), n_vectors
    inside = masks.astype(np.float64)
    votes: list[NDArray[np.float64]] = []
    n_free = s if abstains else s - 1  # without abstentions the last vote is what remains

    def moved(event: int, by: NDArray[np.float64]) -> NDArray[np.float64]:
        direction = np.zeros((s + 1, k))
        direction[event] = by
        return direction

    if model == "free":
        votes = [moved(a, np.eye(k)[y]) for a in range(n_free) for y in range(k)]
    else:
        votes = [moved(a, np.ones(k)) for a in range(n_free)]
        if model == "tied" and abstains:
            votes += [moved(a, inside[a]) for a in range(s)]
        else:
            votes.append(np.vstack([inside, np.zeros((1, k))]))
    directions = np.stack(votes, axis=2) if votes else np.zeros((s + 1, k, 0))
    remainder = s if abstains else s - 1
    directions[remainder] -= directions.sum(axis=0)
    return directions


def directions_given_votes(
    table: NDArray[np.float64], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions of a table whose abstentions have one rate, (s + 1, K, q + 1); the last one is that rate.

    Parameters
    ----------
    table : (s + 1, K) float64 array
        With an abstention of the same probability for every label vector.
    directions : (s + 1, K, q) float64 array
        Of a model in which abstentions are what remains: of them the votes, given that there is one, stay.
    """
    votes, coverage = table[:-1], table[:-1].sum(axis=0)
    given = votes / coverage
    moved = directions[:-1] - given[:, :, None] * directions[:-1].sum(axis=0)
    of_votes = np.concatenate([moved, -given[:, :, None]], axis=2)
    of_silence = np.zeros((1, *of_votes.shape[1:]))
    of_silence[:, :, -1] = 1.0
    return np.concatenate([of_votes, of_silence])


def _prior_ratio(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``beta / alpha`` of a vote that is right with probability ``(1 + P(A)) / 2``."""
    certain = p >= 1
    right = (1 + p) / 2
    ratio = (1 - right) * p / np.where(certain, 1.0, right * (1 - p))
    return np.where(certain, 1.0, ratio)


def vote_accuracy(source: SourceTable, masks: NDArray[np.bool_], class_balance: NDArray[np.float64]) -> float:
    """``P(vote right | source votes)`` by a table; that of guessing for a source that never votes.

    Parameters
    ----------
    source : SourceTable
        With ``s`` states beside the abstention.
    masks : (s, K) bool array
        Events of these states.
    class_balance : (K,) float64 array
        ``P(Y)``.
    """
    joint = source.table[:-1] * class_balance
    if not len(joint):
        return chance_accuracy(class_balance)
    return float(joint[masks].sum() / joint.sum())


def chance_accuracy(class_balance: NDArray[np.float64]) -> float:
    """Probability that a label vector drawn from the class balance is right."""
    return float(class_balance @ class_balance)
