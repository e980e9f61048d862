"""The indicators of the votes with everything that the moment methods ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilience.events import EventProbabilities, number_events
from consilience.exceptions import listed
from consilience.identifiability import IdentifiabilityReport, structure_report
from consilience.source_graph import SourceGraph
from consilience.statistics import VoteStatistics
from consilience.task_graph import ABSTAIN, NOT_APPLICABLE, TaskGraph

__all__ = ["NodeSystem", "describe_event"]

MIN_G = 1e-9
"""Pairs of events with ``|G_ab|`` below this are unrelated: their covariance says nothing about either."""

MIN_VARIANCE = 1e-12
"""Floor for ``n Var(C_ab)``, which is 0 for a node that is always or never 1."""

MIN_EXPECTED_TOGETHER = 10.0
"""Items that two sources would both vote on by chance, from which on never to do so is no coincidence."""

NOT_PAIRED = (
    "There are so many sources and classes that pairs of their votes were not looked at: accuracies are read "
    "off the votes that meet on each item."
)
"""What is said of statistics without indicators, see :mod:`consilience.many_sources`."""

SIGNAL = 3.0
"""A node whose covariances are all within this many standard errors of zero has no detectable signal."""


@dataclass(frozen=True, eq=False)
class NodeSystem:
    """Moments of the ``d`` nodes under a class balance and a graph of dependent sources.

    Attributes
    ----------
    statistics : VoteStatistics
        Counts of the nodes.
    source_graph : SourceGraph
        Which sources depend on each other given the true labels.
    class_balance : (K,) float64 array
        ``P(Y)`` over the feasible set.
    first : (m,) int64 array
        Source that each one repeats, itself for most; the nodes of the others are left out.
    """

    statistics: VoteStatistics
    source_graph: SourceGraph
    class_balance: NDArray[np.float64]
    first: NDArray[np.int64] | None = None

    @cached_property
    def events(self) -> EventProbabilities:
        """Event of each node, its probability and ``G``."""
        masks = self.statistics.task_graph.event_masks(self.statistics.node_event)
        return EventProbabilities.of(masks, self.class_balance)

    @cached_property
    def means(self) -> NDArray[np.float64]:
        """Labelling rate of each node, (d,)."""
        return self.statistics.means

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """``Sigma_O``, (d, d)."""
        return self.statistics.covariance

    @cached_property
    def variance(self) -> NDArray[np.float64]:
        """``n`` times the sampling variance of the covariance of unrelated nodes, (d, d).

        Taken from the rates alone. The variance estimated from a pair's own count is correlated with its
        covariance: among many rare pairs, those that happened not to occur would get all the weight.
        """
        spread = self.means * (1 - self.means)
        variance: NDArray[np.float64] = np.maximum(np.outer(spread, spread), MIN_VARIANCE)
        return variance

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """Nodes that are neither always nor never 1, (d,)."""
        live: NDArray[np.bool_] = self.means * (1 - self.means) > 1e-12
        return live

    @cached_property
    def _independent(self) -> NDArray[np.bool_]:
        """Pairs of nodes whose sources are independent given the labels, (d, d)."""
        component = self.source_graph.component[self.statistics.node_source]
        pairs: NDArray[np.bool_] = component[:, None] != component
        return pairs & ~self._never_together

    @cached_property
    def _never_together(self) -> NDArray[np.bool_]:
        """Pairs of nodes of two sources that could agree but are never asked together, (d, d).

        Who is asked about what was then decided before anybody voted. That says nothing of accuracy, while
        the covariances read it as strong disagreement.
        """
        statistics = self.statistics
        if len(statistics.node_source) == 0:
            return np.zeros((0, 0), dtype=np.bool_)
        never = statistics.pairs_of_sources == 0
        if not never.any():
            return np.zeros(statistics.pairs.shape, dtype=np.bool_)
        source, first, of_node = np.unique(
            statistics.node_source, return_index=True, return_inverse=True
        )  # the nodes of a source stand together
        votes = statistics.n_votes[source].astype(np.float64)
        never &= np.outer(votes, votes) / float(statistics.n) >= MIN_EXPECTED_TOGETHER
        overlap = np.logical_or.reduceat(self.events.overlap, first, axis=0)
        never &= np.logical_or.reduceat(overlap, first, axis=1)
        pairs: NDArray[np.bool_] = never[np.ix_(of_node, of_node)]
        return pairs

    @property
    def asks_some_apart(self) -> bool:
        """Whether some sources that could agree are never asked together."""
        return bool(self._never_together.any())

    @cached_property
    def related(self) -> NDArray[np.bool_]:
        """Pairs that [T6] explains: independent, and events that have to do with each other."""
        related: NDArray[np.bool_] = self._independent & (np.abs(self.events.g) > MIN_G)
        return related

    @cached_property
    def same_event(self) -> NDArray[np.bool_]:
        """Pairs that Algorithm 1 explains, one event at a time: independent, and about the same event."""
        _, event = number_events(self.statistics.node_event)
        certain = np.abs(np.diag(self.events.g)) <= MIN_G
        same: NDArray[np.bool_] = self._independent & (event[:, None] == event) & ~certain
        return same

    def report(self, pairs: NDArray[np.bool_], target: NDArray[np.float64]) -> IdentifiabilityReport:
        """Identifiability from some pairs, with the log-linear solution for a target on them."""
        z = np.abs(self.covariance) / np.sqrt(self.variance / self.statistics.n)

        def report_on(has_signal: NDArray[np.bool_]) -> IdentifiabilityReport:
            return structure_report(
                source_graph=self.source_graph,
                node_source=self.statistics.node_source,
                node_names=self.names,
                omega_mask=pairs,
                target=target,
                first=self.first,
                has_signal=has_signal,
                varies=self.live,
            )

        if self.statistics.is_without_pairs:
            return replace(report_on(self.live), advice=(NOT_PAIRED,))
        report = report_on(self.live & (np.where(pairs, z, 0.0).max(axis=1, initial=0.0) >= SIGNAL))
        if not report.identifiable:  # what no node shows alone, all nodes of a source may show together
            together = report_on(self.live & self.agrees_with_others(pairs))
            report = together if together.identifiable else report
        if report.identifiable or not self.asks_some_apart:
            return report
        apart = np.argwhere(np.triu(self._never_together))
        source, names = self.statistics.node_source, self.source_graph.source_names
        pairs_apart = sorted({(int(source[a]), int(source[b])) for a, b in apart})
        shown = listed(f"{names[i]} and {names[j]}" for i, j in pairs_apart)
        sentence = f"Let some items be voted on by both of two sources that never vote together: {shown}."
        return replace(report, advice=(sentence, *report.advice))

    def agrees_with_others(self, pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Nodes of sources that agree with another beyond chance, over all their votes, (d,).

        The covariances of two sources, summed in the proportions that one strength for all votes would give
        them, are more than ``SIGNAL`` standard errors from zero.
        """
        source = self.statistics.node_source
        if len(source) == 0:
            return np.zeros(0, dtype=np.bool_)
        _, first, of_node = np.unique(source, return_index=True, return_inverse=True)
        nodes_of = np.split(np.arange(len(source)), first[1:])

        def by_source(of_pairs: NDArray[np.float64]) -> NDArray[np.float64]:
            of_rows = np.add.reduceat(of_pairs, first, axis=0)
            return np.add.reduceat(of_rows, first, axis=1)

        weight = np.where(pairs, self.events.g / self.variance, 0.0)
        # Votes of one source exclude each other, so that the covariances of two sources hang together too.
        spread = weight.copy()
        for nodes in nodes_of:
            spread[nodes] = self.covariance[np.ix_(nodes, nodes)] @ spread[nodes]
        for nodes in nodes_of:
            spread[:, nodes] = spread[:, nodes] @ self.covariance[np.ix_(nodes, nodes)]
        variance = by_source(weight * spread) / self.statistics.n
        z = np.abs(by_source(weight * self.covariance)) / np.sqrt(np.where(variance > 0, variance, np.inf))
        agrees: NDArray[np.bool_] = np.any(z >= SIGNAL, axis=1)[of_node]
        return agrees

    @cached_property
    def names(self) -> list[str]:
        """Name of each node: its source, and what it votes for."""
        graph, sources = self.statistics.task_graph, self.source_graph.source_names
        events = [tuple(event) for event in self.statistics.node_event.tolist()]
        described = {event: describe_event(graph, event) for event in set(events)}
        return [
            f"{sources[j]}: {described[event]}"
            for j, event in zip(self.statistics.node_source.tolist(), events, strict=True)
        ]


def describe_event(task_graph: TaskGraph, event: Sequence[int]) -> str:
    """What a canonical vote vector says, in class names."""
    classes = task_graph.classes
    said = [
        (task, classes[task][label])
        for task, label in zip(task_graph.tasks, event, strict=True)
        if label != ABSTAIN
    ]
    if task_graph.n_tasks == 1:
        return ", ".join(str(name) for _, name in said)
    # Which tasks do not apply follows from the others.
    said = [(task, name) for task, name in said if name != NOT_APPLICABLE] or said
    return ", ".join(f"{task}={name}" for task, name in said) or "nothing"
