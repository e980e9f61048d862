"""Votes of so many sources and classes that pairs of their votes say little, or cannot be counted.

A crowd of thousands has tens of thousands of indicators ("source j votes for l"), most pairs of which never
occur together. Statistics then hold no indicators at all, only what is counted source by source; how often
each source casts each vote stands beside them. Tables start from a prior, and cautious fits or EM learn them
from the rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience import _core
from consilience.components import JointCounts
from consilience.events import code_votes, has_plain_events, recode, warn_of_infeasible
from consilience.exceptions import InvalidVotesError
from consilience.fitting import SourceFit
from consilience.statistics import Observation, VoteStatistics, read_weights, threads_of
from consilience.task_graph import TaskGraph
from consilience.tied import prior_tables
from consilience.votes import Votes

__all__ = ["observe_alone", "with_prior_tables"]

FEW_INDICATORS = 1000
"""Indicators up to which pairs are always counted."""

MAX_PAIRED = _core.MAX_NODES
"""Most indicators whose pairs can be counted."""


def observe_alone(
    votes: Votes,
    task_graph: TaskGraph,
    weights: ArrayLike | None,
    n_threads: int | None,
    *,
    min_votes_per_indicator: float,
) -> Observation | None:
    """Votes with the counts of each indicator, where pairs are not worth counting; None where they are.

    Parameters
    ----------
    votes, task_graph, weights, n_threads
        As for :func:`consilience.statistics.observe`.
    min_votes_per_indicator : float
        From so many votes for each indicator on, pairs are counted where they can be.
    """
    if votes.n_items == 0 or votes.n_sources * sum(task_graph.cardinalities) <= FEW_INDICATORS:
        return None
    read = None if weights is None else read_weights(weights, votes.n_items)
    threads = threads_of(n_threads)
    coded = code_votes(votes, task_graph, n_threads=threads)
    try:
        counts, overlaps, conflicts, n_covered = _core.count_marginals(
            coded.view, coded.coding, coded.disjoint(task_graph), read, n_threads=threads
        )
    except _core.LabelOutOfRange as error:
        raise coded.votes.label_error(error) from None
    n_votes = counts.sum(axis=1)
    d = int(np.count_nonzero(counts))
    if d <= FEW_INDICATORS or (d <= MAX_PAIRED and n_votes.sum() >= min_votes_per_indicator * d):
        return None
    if not n_votes.any():
        raise InvalidVotesError(f"none of the {votes.n_sources} sources votes on any item; give a vote")
    warn_of_infeasible(coded.n_infeasible, votes.source_names)
    if not has_plain_events(task_graph):
        counted = np.flatnonzero(counts.any(axis=0))
        coded = recode(coded, task_graph, counted, threads)
        counts = np.ascontiguousarray(counts[:, np.append(0, counted)])
    n_tasks = task_graph.n_tasks
    statistics = VoteStatistics(
        task_graph,
        votes.source_names,
        votes.n_items if read is None else read.sum().item(),
        np.zeros(0, dtype=np.int64),
        np.zeros((0, n_tasks), dtype=np.int64),
        np.zeros((0, 0), dtype=counts.dtype),
        n_votes,
        overlaps,
        conflicts,
        n_covered,
        coded.n_infeasible,
        JointCounts.none(0, n_tasks),
    )
    return Observation(statistics, coded, read, counts)


def with_prior_tables(fit: SourceFit, observed: Observation, class_balance: NDArray[np.float64]) -> SourceFit:
    """The fit of such votes, which learned nothing, with tables to start from and to be learned.

    Parameters
    ----------
    fit : SourceFit
        Of statistics without indicators.
    observed : Observation
        Of :func:`observe_alone`.
    class_balance : (K,) float64 array
        ``P(Y)``.
    """
    statistics, counts = observed.statistics, observed.marginals
    assert counts is not None
    node_source, state = np.nonzero(counts)
    node_event = observed.coded.events[state - 1].reshape(-1, statistics.task_graph.n_tasks)
    masks = statistics.task_graph.event_masks(node_event)
    n = float(statistics.n)
    tables = prior_tables(
        node_source,
        node_event,
        masks,
        masks @ class_balance,
        counts[node_source, state] / n,
        1 - statistics.n_votes / n,
    )
    votes = statistics.n_votes > 0
    learns = fit.method != "majority"
    notes: list[list[str]] = [
        ["never votes"] if not voted else [] if learns else ["not estimated"] for voted in votes.tolist()
    ]
    return replace(fit, tables=tables, learned=votes & learns, notes=notes)
