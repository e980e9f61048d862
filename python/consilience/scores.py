"""What each vote adds to the score of each feasible label vector: the tables of the posterior kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError
from consilience.task_graph import TaskGraph
from consilience.tied import SourceTable

__all__ = ["ScoreTable", "majority_scores", "majority_shares", "model_scores"]

MAX_CELLS = 1 << 28
"""Largest table, 2 GiB."""

_TRACE = 1e-12  # weight of the class balance in vote shares: only seen where there are no votes


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Input of the posterior kernel.

    Attributes
    ----------
    of_state : (m, n_states, K) float64 array
        What state s of source j adds; state 0, the abstention, adds nothing.
    base : (K,) float64 array
        Score of an item without votes.
    link : {"softmax", "share"}
        How scores become probabilities.
    """

    of_state: NDArray[np.float64]
    base: NDArray[np.float64]
    link: str


def model_scores(
    tables: list[SourceTable],
    events: NDArray[np.int64],
    class_balance: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    missing: NDArray[np.bool_],
    power: NDArray[np.float64],
) -> ScoreTable:
    """Log-probabilities of the votes, [T12] with a component a source.

    Parameters
    ----------
    tables : list of SourceTable
        One a source, ``m`` of them.
    events : (q, t) int array
        Event of each state, from 1 on.
    class_balance : (K,) float array
        ``P(Y)``.
    ignored : (m,) bool array
        Sources whose abstention says nothing.
    missing : (m,) bool array
        Of those, the ones whose votes count given that they vote.
    power : (m,) float array
        Exponent of each source's factor: 1, and 1/g for each of g duplicates, so that they count once.

    Notes
    -----
    A state that a source never took while the model was fitted says nothing.
    """
    k = len(class_balance)
    of_state = _empty(len(tables), len(events) + 1, k)
    base = np.log(class_balance)
    index = {tuple(event): s for s, event in enumerate(events.tolist(), start=1)}
    for j, source in enumerate(tables):
        votes, abstains = source.table[:-1], source.table[-1]
        silent = np.zeros(k)
        if missing[j] and len(votes):
            votes = votes / votes.sum(axis=0)
        elif not ignored[j] and abstains.any():
            silent = np.log(abstains)
        # The base takes it that the source abstains; a vote takes that back.
        base += power[j] * silent
        of_state[j, 1:] = -power[j] * silent
        states = [index[tuple(event)] for event in source.events.tolist()]
        of_state[j, states] += power[j] * np.log(votes)
    return ScoreTable(of_state, base, "softmax")


def majority_shares(
    n_sources: int, graph: TaskGraph, events: NDArray[np.int64], class_balance: NDArray[np.float64]
) -> ScoreTable:
    """Shares of the votes; a vote for several vectors is divided among them by the class balance."""
    masks = graph.event_masks(events)
    within = np.where(masks, class_balance, 0.0)
    return _same_for_all(n_sources, within / within.sum(axis=1, keepdims=True), _TRACE * class_balance)


def majority_scores(n_sources: int, graph: TaskGraph, events: NDArray[np.int64]) -> ScoreTable:
    """Number of votes that agree with each vector."""
    masks = graph.event_masks(events).astype(np.float64)
    return _same_for_all(n_sources, masks, np.zeros(graph.n_vectors))


def _same_for_all(n_sources: int, of_event: NDArray[np.float64], base: NDArray[np.float64]) -> ScoreTable:
    of_state = _empty(n_sources, len(of_event) + 1, len(base))
    of_state[:, 1:] = of_event
    return ScoreTable(of_state, base, "share")


def _empty(n_sources: int, n_states: int, n_vectors: int) -> NDArray[np.float64]:
    if n_sources * n_states * n_vectors > MAX_CELLS:
        raise InvalidArgumentError(
            f"{n_sources} sources with {n_states} states over {n_vectors} label vectors need a table of more "
            f"than {MAX_CELLS} entries; use fewer classes, or model unrelated tasks apart"
        )
    return np.zeros((n_sources, n_states, n_vectors))
