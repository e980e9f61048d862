"""Whether who votes on what follows more than the label, and maximum likelihood that allows for it.

In a crowd a plan gives every item to so many annotators, or annotators come and go: who votes together then
says nothing of the label, and EM that reads abstentions as independent states takes it for the label. It
shows in how often every two sources vote on the same item, whatever they say. Where tables do not explain
that, sources that vote for every class are read given that they vote. For one-sided sources, whether they
vote is what they say: their abstentions stay a state.

Where sources are so many that their pairs are not counted, this is not looked at. There each is silent on
nearly all items, and its silence says next to nothing of any: on 4,000 items with five or three votes each,
planned, of 600 sources, labels by the one likelihood and by the other are right equally often (95.1 and
95.0 %, 90.8 and 90.4 %).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.fitting import SourceFit
from consilience.likelihood import maximise_likelihood
from consilience.statistics import Observation, VoteStatistics

__all__ = ["maximise_by_evidence", "meetings_beyond_chance", "two_sided"]

BEYOND_CHANCE = 6.0
"""Standard errors by which meetings of sources have to differ from what tables explain."""

BY_CHANCE = 0.01
"""Least chance that a source that votes for every class has left out those that it did."""

MIN_EXPECTED = 5
"""Items that two sources must be expected to meet on, to be looked at."""


def maximise_by_evidence(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    missing: bool,
    asks: bool = False,
    **arguments: Any,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """As `maximise_likelihood`; where it `asks`, and meetings show a plan, sources given that they vote."""
    found, balance = maximise_likelihood(
        observed, fit, class_balance, missing=missing, asks=asks, **arguments
    )
    if not asks or fit.layout is not None or not fit.learned.any():
        return found, balance
    if meetings_beyond_chance(observed.statistics, found, balance) < BEYOND_CHANCE:
        return found, balance
    sided = two_sided(observed.statistics)[fit.first]
    if not sided.any():
        return found, balance
    return maximise_likelihood(observed, fit, class_balance, missing=sided, **arguments)


def meetings_beyond_chance(
    statistics: VoteStatistics, fit: SourceFit, class_balance: NDArray[np.float64]
) -> float:
    """How far the items that two sources both vote on are from those by the tables, in standard errors.

    Their numbers: the sum over pairs of squared standardised residuals, less its mean and over its
    standard deviation if all of them were independent; 0 where pairs were not counted.
    """
    m, n = statistics.n_sources, float(statistics.n)
    votes = 1 - np.array([source.table[-1] for source in fit.tables])  # (m, K)
    of_node = (statistics.node_source[:, None] == np.arange(m)).astype(np.float64)
    meetings = of_node.T @ statistics.pairs.astype(np.float64) @ of_node
    explained = (votes * class_balance) @ votes.T
    rate = statistics.n_votes / n
    expected = np.maximum(explained, np.outer(rate, rate))
    own = fit.learned & (fit.first == np.arange(m))
    tested = np.triu(np.outer(own, own) & (expected * n >= MIN_EXPECTED), 1)
    if not tested.any() or not len(statistics.node_source):
        return 0.0
    variance = np.maximum(expected * (1 - expected), 1e-12) / n
    residual = float((((meetings / n - explained) ** 2 / variance)[tested]).sum())
    n_pairs = int(tested.sum())
    return (residual - n_pairs) / float(np.sqrt(2 * n_pairs))


def two_sided(statistics: VoteStatistics) -> NDArray[np.bool_]:
    """Sources that vote for every label vector, but for those that they may not have met, (m,)."""
    masks = statistics.task_graph.event_masks(statistics.node_event).astype(np.float64)
    counts = np.diag(statistics.pairs).astype(np.float64)
    of_node = (statistics.node_source[:, None] == np.arange(statistics.n_sources)).astype(np.float64)
    votes_for = of_node.T @ (counts[:, None] * masks)
    shares = counts @ (masks / masks.sum(axis=1, keepdims=True)) / max(counts.sum(), 1.0)
    left_out = np.where(votes_for > 0, 0.0, shares).sum(axis=1)  # of the votes of all sources
    by_chance = (1 - np.minimum(left_out, 1.0)) ** (of_node.T @ counts)
    return np.asarray((left_out == 0) | (by_chance > BY_CHANCE), dtype=np.bool_)
