"""Votes of so many sources and classes that pairs of their votes say little, or cannot be counted.

A crowd of thousands has tens of thousands of indicators ("source j votes for l"), most pairs of which never
occur together. Statistics then hold no indicators at all, only what is counted source by source; how often
each source casts each vote stands beside them. Tables start from a prior, and cautious fits or EM learn them
from the rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience import _core
from consilience.components import JointCounts
from consilience.events import code_votes, has_plain_events, recode, warn_of_infeasible
from consilience.exceptions import InvalidVotesError
from consilience.fitting import SourceFit
from consilience.statistics import Observation, VoteStatistics, check_alike, read_weights, threads_of
from consilience.task_graph import TaskGraph
from consilience.tied import prior_tables
from consilience.votes import Votes

__all__ = [
    "are_many",
    "count_alone",
    "is_without_pairs",
    "observe_alone",
    "together",
    "with_prior_tables",
]

FEW_INDICATORS = 1000
"""Indicators up to which pairs are always counted."""

MAX_PAIRED = _core.MAX_NODES
"""Most indicators whose pairs can be counted."""


def are_many(n_sources: int, task_graph: TaskGraph) -> bool:
    """Whether there may be so many indicators that their pairs are not worth counting."""
    return n_sources * sum(task_graph.cardinalities) > FEW_INDICATORS


def observe_alone(
    votes: Votes,
    task_graph: TaskGraph,
    weights: ArrayLike | None,
    n_threads: int | None,
    *,
    min_votes_per_indicator: float,
) -> Observation | None:
    """Votes with the counts of each indicator, where pairs are not worth counting; None where they are.

    Warns of infeasible votes.

    Parameters
    ----------
    votes, task_graph, weights, n_threads
        As for :func:`consilience.statistics.observe`.
    min_votes_per_indicator : float
        From so many votes for each indicator on, pairs are counted where they can be.
    """
    if votes.n_items == 0 or not are_many(votes.n_sources, task_graph):
        return None
    read = None if weights is None else read_weights(weights, votes.n_items)
    observed = count_alone(votes, task_graph, read, threads_of(n_threads))
    if not is_without_pairs(observed, min_votes_per_indicator):
        return None
    if not observed.statistics.n_votes.any():
        raise InvalidVotesError(f"none of the {votes.n_sources} sources votes on any item; give a vote")
    warn_of_infeasible(observed.coded.n_infeasible, votes.source_names, votes, task_graph)
    return observed


def is_without_pairs(observed: Observation, min_votes_per_indicator: float) -> bool:
    """Whether the pairs of such votes are not worth counting, or cannot be counted."""
    assert observed.marginals is not None
    d, n_votes = int(np.count_nonzero(observed.marginals)), observed.statistics.n_votes.sum()
    return d > FEW_INDICATORS and (d > MAX_PAIRED or n_votes < min_votes_per_indicator * d)


def count_alone(
    votes: Votes, task_graph: TaskGraph, weights: NDArray[Any] | None, n_threads: int
) -> Observation:
    """Votes with the counts of each indicator, and statistics without pairs."""
    coded = code_votes(votes, task_graph, n_threads=n_threads)
    try:
        counts, overlaps, conflicts, n_covered = _core.count_marginals(
            coded.view, coded.coding, coded.disjoint(task_graph), weights, n_threads=n_threads
        )
    except _core.LabelOutOfRange as error:
        raise coded.votes.label_error(error) from None
    if not has_plain_events(task_graph):
        counted = np.flatnonzero(counts.any(axis=0))
        coded = recode(coded, task_graph, counted, n_threads)
        counts = np.ascontiguousarray(counts[:, np.append(0, counted)])
    n_tasks = task_graph.n_tasks
    statistics = VoteStatistics(
        task_graph,
        votes.source_names,
        votes.n_items if weights is None else weights.sum().item(),
        np.zeros(0, dtype=np.int64),
        np.zeros((0, n_tasks), dtype=np.int64),
        np.zeros((0, 0), dtype=counts.dtype),
        counts.sum(axis=1),
        overlaps,
        conflicts,
        n_covered,
        coded.n_infeasible,
        JointCounts.none(0, n_tasks),
    )
    return Observation(statistics, coded, weights, counts)


def together(one: VoteStatistics, other: VoteStatistics) -> VoteStatistics:
    """Statistics of both sets of items, without pairs."""
    check_alike(one, other)
    d, n_tasks = 0, one.task_graph.n_tasks
    return replace(
        one,
        node_source=np.zeros(d, dtype=np.int64),
        node_event=np.zeros((d, n_tasks), dtype=np.int64),
        pairs=np.zeros((d, d), dtype=other.pairs.dtype),
        joint=JointCounts.none(d, n_tasks),
        triples=None,
        n=one.n + other.n,
        n_votes=one.n_votes + other.n_votes,
        n_overlaps=one.n_overlaps + other.n_overlaps,
        n_conflicts=one.n_conflicts + other.n_conflicts,
        n_covered=one.n_covered + other.n_covered,
        n_infeasible=one.n_infeasible + other.n_infeasible,
    )


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
