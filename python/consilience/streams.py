"""Statistics, and distinct rows, of votes that come in chunks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.checkpoint import Checkpoint
from consilience.chunks import Form, VoteChunks, open_chunks, open_parquet, parquet_files
from consilience.class_numbers import check_class_numbers
from consilience.counting import Counted, Rules
from consilience.distinct_rows import DistinctRows
from consilience.events import code_votes, has_plain_events, warn_of_infeasible
from consilience.exceptions import InvalidArgumentError, InvalidVotesError
from consilience.many_sources import are_many, count_alone, is_without_pairs, together
from consilience.progress import Progress, reporting
from consilience.source_graph import Dependencies
from consilience.statistics import (
    Observation,
    VoteStatistics,
    check_whole,
    component_of,
    observe_part,
    read_weights,
    threads_of,
)

__all__ = ["Observed", "observe_chunks"]


@dataclass(frozen=True, eq=False)
class Observed:
    """What a pass over chunks leaves.

    Attributes
    ----------
    statistics : VoteStatistics
        Of all items.
    rows : DistinctRows or None
        Their rows, if they were to be kept.
    counted : Observation or None
        The rows as votes with weights, where these are what was counted: where there are many sources.
    """

    statistics: VoteStatistics
    rows: DistinctRows | None
    counted: Observation | None = None

    @property
    def voted_events(self) -> NDArray[np.int64]:
        """Events that some source votes for, (q, t), perhaps several times."""
        return self.statistics.node_event if self.counted is None else self.counted.voted_events

    def observation(self) -> Observation | None:
        """The distinct rows as votes with weights, beside the statistics of all items; None without rows."""
        if self.rows is None or self.counted is not None:
            return self.counted
        votes, weights = self.rows.votes()
        statistics = self.statistics
        # Rows of weight 0 may tell of events that were not counted.
        known = None if has_plain_events(statistics.task_graph) else np.unique(statistics.node_event, axis=0)
        coded = code_votes(votes, statistics.task_graph, known=known)
        return Observation(statistics, coded, read_weights(weights), drawn=self.rows.drawn_votes())


def observe_chunks(
    votes: Any,
    form: Form,
    *,
    weights: ArrayLike | None = None,
    n_threads: int | None = None,
    dependencies: Dependencies = None,
    strict: bool,
    keeps_rows: bool = False,
    triples: bool = False,
    min_votes_per_indicator: float | None = None,
    before: Observed | None = None,
    progress: Progress = None,
    checkpoint: Checkpoint | None = None,
) -> Observed:
    """Statistics of votes in one pass, the same as of all at once; warns of infeasible votes.

    Of many sources the rows are kept, and pairs of votes counted in these if they are worth it.

    Parameters
    ----------
    votes
        In any accepted form.
    form : Form
        What is known of them.
    weights : (n_items,) array, optional
        Of all items. Sums of fractional weights depend on the chunks in their last digits.
    n_threads, dependencies, strict
        As for :func:`consilience.statistics.observe`.
    keeps_rows : bool
        Whether to keep the distinct rows.
    triples : bool
        Whether to count triples.
    min_votes_per_indicator : float, optional
        As for :func:`consilience.many_sources.observe_alone`; None counts pairs in any case.
    before : Observed, optional
        What came of earlier votes, which these are added to.
    progress : bool or callable, optional
        Who is told how far it is.
    checkpoint : Checkpoint, optional
        Keeps what was counted, of votes in Parquet files without weights, and what an earlier run has left.

    Raises
    ------
    ConsilienceError
        If the votes are not of an allowed form, differ in sources or classes, or there are none; if distinct
        rows to be kept take too much memory.
    """
    threads = threads_of(n_threads)
    read = None if weights is None else read_weights(weights)
    seen, rows = (None, DistinctRows()) if before is None else (before.statistics, before.rows)
    are_kept = keeps_rows or (seen is not None and are_many(seen.n_sources, seen.task_graph))
    spares_pairs = min_votes_per_indicator is not None
    rules = Rules(form, threads, dependencies, keeps_rows, triples, spares_pairs, begins=seen is None)
    counted = Counted(rows=rows if are_kept else None)
    if checkpoint is None:
        chunks = open_chunks(votes, form, n_threads=n_threads)
        counted = _count_chunks(chunks, counted, read, rules, progress, nullcontext(lambda counted: None))
    else:
        run = open_parquet(parquet_files(votes), form, n_threads=n_threads)
        resumed, run = checkpoint.resume(run, rules)
        counted = counted if resumed is None else resumed
        keeping = checkpoint.keeping(run)
        counted = _count_chunks(run.chunks(counted.n_items), counted, read, rules, progress, keeping)
    if counted.statistics is None:
        raise InvalidVotesError("votes hold no items (0 rows); give at least one")
    if read is not None and counted.n_items != len(read):
        raise InvalidArgumentError(
            f"weights has {len(read)} numbers for {counted.n_items} items; give one an item"
        )
    statistics, rows = counted.statistics, counted.rows
    if counted.is_alone and rows is not None and min_votes_per_indicator is not None:
        statistics = statistics if seen is None else together(seen, statistics)
        found = _count_rows(statistics, rows, min_votes_per_indicator, threads, triples=triples)
    else:
        statistics = check_whole(statistics, dependencies, strict=strict)
        found = Observed(statistics if seen is None else seen.merge(statistics), rows)
    if seen is None:  # later votes are about the classes of those before them
        graph, infers_classes = statistics.task_graph, counted.infers_classes
        check_class_numbers(votes, form, graph, found.voted_events, infers_classes=infers_classes)
    return found


def _count_chunks(
    chunks: VoteChunks,
    counted: Counted,
    weights: NDArray[Any] | None,
    rules: Rules,
    progress: Progress,
    keeping: AbstractContextManager[Callable[[Counted], None]],
) -> Counted:
    """What was counted before with all the chunks; whoever keeps it is told after each."""
    with reporting(progress, counted.n_items) as report, keeping as keep:
        for chunk in chunks:
            of_chunk = None if weights is None else _slice(weights, counted.n_items, chunk.votes.n_items)
            counted = counted.with_votes(chunk.votes, of_chunk, rules)
            keep(counted)
            report(counted.n_items, chunks.n_items)
    return counted


def _count_rows(
    seen: VoteStatistics,
    rows: DistinctRows,
    min_votes_per_indicator: float,
    n_threads: int,
    *,
    triples: bool,
) -> Observed:
    """What rows of many sources tell, with their pairs if these are worth counting.

    `seen` are the statistics of the same items without pairs.
    """
    rows = rows.merged()
    votes, weights = rows.votes()
    graph, counts = seen.task_graph, read_weights(weights)
    observed = count_alone(votes, graph, counts, n_threads)
    if not is_without_pairs(observed, min_votes_per_indicator):
        component = component_of(votes, None) if triples else None
        observed = observe_part(votes, graph, counts, n_threads, component=component)
    # Each vote that no label agrees with is counted, not each such row.
    statistics = replace(observed.statistics, n_infeasible=seen.n_infeasible)
    warn_of_infeasible(statistics.n_infeasible, statistics.source_names)
    counted = replace(observed, statistics=statistics, drawn=rows.drawn_votes())
    return Observed(statistics, rows, counted)


def _slice(weights: NDArray[Any], begin: int, length: int) -> NDArray[Any]:
    of_chunk = weights[begin : begin + length]
    if len(of_chunk) < length:
        raise InvalidArgumentError(
            f"weights has {len(weights)} numbers for {begin + length} items or more; give one an item"
        )
    return of_chunk
