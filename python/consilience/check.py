"""Whether votes, or sources alone, can tell how accurate the sources are: asked before and during a fit."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.class_balance import read_class_balance
from consilience.completion import completion_report
from consilience.dependency_report import DependencyReport
from consilience.duplicates import find_duplicates
from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.identifiability import IdentifiabilityReport, structure_report
from consilience.moments import moments_report
from consilience.nodes import NodeSystem
from consilience.source_graph import Dependencies, SourceGraph
from consilience.statistics import VoteStatistics
from consilience.task_graph import TaskGraph
from consilience.votes import Votes

__all__ = ["Structure", "check_identifiability", "find_structure"]


@dataclass(frozen=True, eq=False)
class Structure:
    """Who depends on whom, and what that leaves to be learned.

    Attributes
    ----------
    system : NodeSystem
        The nodes, without those of sources that repeat another.
    report : IdentifiabilityReport
        What the pairs of nodes determine; a source that repeats another has the other's status.
    first : (m,) int64 array
        The source that each one repeats: itself, but for duplicates.
    """

    system: NodeSystem
    report: IdentifiabilityReport
    first: NDArray[np.int64]


def find_structure(
    statistics: VoteStatistics,
    *,
    dependencies: Dependencies | DependencyReport,
    class_balance: NDArray[np.float64],
    method: str,
) -> Structure:
    """Structure of votes for a method.

    Parameters
    ----------
    statistics : VoteStatistics
        Of the votes.
    dependencies : iterable of pairs, or DependencyReport, optional
        None finds duplicates; pairs are taken as they are; learned ones are kept beside the duplicates.
    class_balance : (K,) float64 array
        ``P(Y)`` over the feasible set.
    method : str
        ``"completion"`` has pairs of equal events only, every other method pairs of all related events.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If the dependencies do not fit the sources.
    SingularCovarianceError
        If the method is ``"completion"`` and votes are linearly dependent.
    """
    m = statistics.n_sources
    edges = dependencies.pairs if isinstance(dependencies, DependencyReport) else dependencies
    source_graph = SourceGraph(m, () if edges is None else edges, statistics.source_names)
    own = np.arange(m)
    first = own
    if isinstance(dependencies, DependencyReport):
        first = find_duplicates(statistics, dependencies.teams)
    elif edges is None:
        first = find_duplicates(statistics)
    system = NodeSystem(statistics.of_sources(first == own), source_graph, class_balance, first)
    report = completion_report(system) if method == "completion" else moments_report(system)
    if not np.array_equal(first, own):
        report = dataclasses.replace(report, sources=[report.sources[j] for j in first])
    return Structure(system, report, first)


def check_identifiability(
    n_sources: int | None = None,
    dependencies: Iterable[Sequence[int | str]] | None = None,
    *,
    votes: Any = None,
    task_graph: TaskGraph | None = None,
    n_classes: int | None = None,
    classes: Sequence[Hashable] | None = None,
    class_balance: ArrayLike | str | None = None,
    method: str = "moments",
) -> IdentifiabilityReport:
    """Report on whether the sources' accuracies can be learned without gold labels.

    Parameters
    ----------
    n_sources : int, optional
        Number of sources, to ask before there are votes. There is then one node a source: the answer is that
        for any event on which all sources vote, so what is said of the classes does not matter.
    dependencies : iterable of pairs, optional
        Sources that depend on each other given the true labels, by index or, with named votes, by name.
    votes : optional
        The votes, in any form that ``LabelModel.fit`` takes, or their statistics; not together with
        `n_sources`. There is then a
        node for each way a source votes, and nodes without detectable signal are found.
    task_graph, n_classes, classes, class_balance : optional
        As for ``LabelModel``; used with `votes`.
    method : {"moments", "completion"}
        Whose system is solved, with `votes`.

    Returns
    -------
    IdentifiabilityReport

    Raises
    ------
    InvalidArgumentError
        If neither or both of `n_sources` and `votes` are given, `method` is unknown, or `dependencies` do not
        fit.
    WrongTypeError
        If an argument is of another kind than the above.

    Examples
    --------
    >>> report = check_identifiability(n_sources=5, dependencies=[(0, 1), (1, 2)])
    >>> report.identifiable, report.rank, report.n_unknowns
    (True, 5, 5)
    >>> print(check_identifiability(n_sources=3, dependencies=[(0, 1)]))
    Identifiable: no
      2 pairs of indicators, rank 2 of 3 unknowns
      independent groups of sources that may have signal: 2 (3 needed)
      scale ambiguous (3): 'source 0', 'source 1', 'source 2'
    - Add 1 source that is independent of all others and votes on the same classes.
    - Or drop the dependency, if the data allow it: 'source 0' with 'source 1'.
    """
    if method not in ("moments", "completion"):
        raise InvalidArgumentError(f'method must be "moments" or "completion", got {method!r}')
    if (n_sources is None) == (votes is None):
        raise InvalidArgumentError("give either n_sources or votes: the sources are counted from the votes")
    if votes is not None:
        statistics = (
            votes
            if isinstance(votes, VoteStatistics)
            else VoteStatistics.of(votes, n_classes=n_classes, classes=classes, task_graph=task_graph)
        )
        balance = read_class_balance(class_balance, statistics.task_graph)
        return find_structure(
            statistics, dependencies=dependencies, class_balance=balance, method=method
        ).report
    assert n_sources is not None
    given: Any = n_sources
    if isinstance(given, (str, os.PathLike, Votes)) or hasattr(given, "__iter__"):
        found = repr(given) if isinstance(given, str) else type(given).__name__
        raise WrongTypeError(
            f"n_sources must be an int, got {found}; if these are votes, give them as "
            "check_identifiability(votes=...)"
        )
    source_graph = SourceGraph(n_sources, () if dependencies is None else dependencies)
    return structure_report(
        source_graph=source_graph,
        node_source=np.arange(source_graph.n_sources),
        node_names=source_graph.source_names,
        omega_mask=source_graph.component[:, None] != source_graph.component,
    )
