"""What was counted of votes that come in chunks, and how the next chunk is added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.chunks import Form
from consilience.distinct_rows import DistinctRows
from consilience.exceptions import InvalidVotesError
from consilience.many_sources import are_many, count_alone, together
from consilience.source_graph import Dependencies
from consilience.statistics import VoteStatistics, component_of, graph_of, observe_part
from consilience.task_graph import TaskGraph
from consilience.votes import Votes

__all__ = ["Counted", "Rules"]

_ROWS = "rows_"
"""What the names of arrays of rows begin with, beside those of statistics."""


@dataclass(frozen=True, eq=False)
class Rules:
    """What is counted of each chunk.

    Attributes
    ----------
    form : Form
        What is known of the votes.
    n_threads : int
        No result depends on it.
    dependencies : iterable of pairs, optional
        Sources that are counted together.
    keeps_rows : bool
        Whether the distinct rows are kept in any case.
    triples : bool
        Whether to count triples.
    spares_pairs : bool
        Whether pairs are left uncounted at first where sources are many, and the rows kept instead.
    begins : bool
        Whether there were no votes before those that come.
    """

    form: Form
    n_threads: int
    dependencies: Dependencies = None
    keeps_rows: bool = False
    triples: bool = False
    spares_pairs: bool = False
    begins: bool = True


@dataclass(frozen=True, eq=False)
class Counted:
    """What was counted of the chunks so far.

    Attributes
    ----------
    n_items : int
        Items that were read.
    statistics : VoteStatistics or None
        Of these items; None while there are none.
    rows : DistinctRows or None
        Their rows, if they are kept; with those of votes before them.
    is_alone : bool
        Whether the statistics are without pairs, which the rows will tell.
    infers_classes : bool
        Whether none of the chunks itself says how many classes there are.
    """

    n_items: int = 0
    statistics: VoteStatistics | None = None
    rows: DistinctRows | None = None
    is_alone: bool = False
    infers_classes: bool = True

    def with_votes(self, votes: Votes, weights: NDArray[Any] | None, rules: Rules) -> Counted:
        """The same with further items, whose weights may be given.

        Raises
        ------
        ConsilienceError
            If they differ in sources or classes, or rows to be kept take too much memory.
        """
        if not votes.n_items:
            return self
        form, rows, is_alone = rules.form, self.rows, self.is_alone
        graph = form.task_graph or graph_of(votes, form.n_classes, form.classes)
        if rules.spares_pairs and are_many(votes.n_sources, graph):
            if rules.begins and self.statistics is None and rows is None:
                rows = DistinctRows()
            is_alone = rows is not None
        part = _count(votes, graph, weights, rules, is_alone=is_alone)
        statistics = part
        if self.statistics is not None:
            statistics = _merge(self.statistics, part, is_alone=is_alone)
        if rows is not None:
            floats = None if weights is None else weights.astype(np.float64)
            rows = rows.with_votes(votes, int(part.n_votes.sum()), floats)
        infers_classes = self.infers_classes and votes.infers_classes
        return Counted(self.n_items + votes.n_items, statistics, rows, is_alone, infers_classes)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Header and arrays from which :meth:`from_parts` restores it; there must be some items."""
        assert self.statistics is not None
        header, arrays = self.statistics.to_parts()
        of_rows = None
        if self.rows is not None:
            of_rows, row_arrays = self.rows.to_parts()
            arrays |= {_ROWS + name: array for name, array in row_arrays.items()}
        own = {"n_items": self.n_items, "is_alone": self.is_alone, "statistics": header, "rows": of_rows}
        return own, arrays

    @classmethod
    def from_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Counted:
        """What :meth:`to_parts` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is not complete, or does not fit together.
        """
        n_items, is_alone, rows = header["n_items"], header["is_alone"], None
        of_rows = {name.removeprefix(_ROWS): arrays[name] for name in arrays if name.startswith(_ROWS)}
        if any(array.dtype.kind != "i" for name, array in arrays.items() if not name.startswith(_ROWS)):
            raise ValueError("counts of items that are no integers")
        statistics = VoteStatistics.from_parts(header["statistics"], arrays)
        if not (type(n_items) is type(statistics.n_covered) is int and n_items == statistics.n):
            raise ValueError(f"{n_items!r} items of {statistics.n}, {statistics.n_covered} with votes")
        if header["rows"] is not None:
            rows = DistinctRows.from_parts(header["rows"], of_rows)
            if rows.parts[0][0].source_names != statistics.source_names:
                raise ValueError("rows of other sources")
        return cls(n_items, statistics, rows, bool(is_alone))


def _count(
    votes: Votes, graph: TaskGraph, weights: NDArray[Any] | None, rules: Rules, *, is_alone: bool
) -> VoteStatistics:
    if is_alone:
        return count_alone(votes, graph, weights, rules.n_threads).statistics
    component = component_of(votes, rules.dependencies) if rules.triples else None
    return observe_part(
        votes, graph, weights, rules.n_threads, rules.dependencies, component=component
    ).statistics


def _merge(before: VoteStatistics, part: VoteStatistics, *, is_alone: bool) -> VoteStatistics:
    """Both together, where the classes are those that came so far, and so are the countable components."""
    if before.task_graph != part.task_graph:
        graph = _widest(before.task_graph, part.task_graph)
        before, part = replace(before, task_graph=graph), replace(part, task_graph=graph)
    if before.source_names != part.source_names and None in (before.source_names, part.source_names):
        raise InvalidVotesError(
            "some chunks name their sources and others do not; give names to all of them or to none"
        )
    if is_alone:
        return together(before, part)
    common = tuple(group for group in before.joint.members if group in part.joint.members)
    before, part = (replace(s, joint=s.joint.of_members(common)) for s in (before, part))
    return before.merge(part)


def _widest(one: TaskGraph, other: TaskGraph) -> TaskGraph:
    """Graph with the classes of both, where these are indices and were read from the votes."""
    if one.tasks != other.tasks or not all(_are_indices(graph) for graph in (one, other)):
        raise InvalidVotesError(
            f"chunks are about different tasks or classes, {one!r} and {other!r}; give classes or task_graph"
        )
    sizes = map(max, one.cardinalities, other.cardinalities)
    return TaskGraph(dict(zip(one.tasks, sizes, strict=True)))


def _are_indices(graph: TaskGraph) -> bool:
    return all(names == list(range(len(names))) for names in graph.classes.values())
