"""From the statistics of votes to the tables of the sources, by each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from consilience.check import Structure, find_structure
from consilience.completion import completion_influence, fit_completion
from consilience.components import ComponentLayout
from consilience.dependency_report import DependencyReport
from consilience.drawing import SourceRanks
from consilience.exceptions import (
    DuplicateSourcesWarning,
    InvalidArgumentError,
    NotIdentifiableError,
    NotIdentifiableWarning,
    listed,
    warn_caller,
)
from consilience.gold import GoldCounts
from consilience.identifiability import IdentifiabilityReport
from consilience.information import MAX_PARAMETERS, likelihood_uncertainty
from consilience.intervals import accuracy_intervals
from consilience.joint_tables import ComponentTable, fit_component_tables
from consilience.moments import fit_moments, moments_influence, with_weak_nodes
from consilience.nodes import NodeSystem
from consilience.score_table import WeightedScores
from consilience.signs import SignChoice, Trusted, choose_signs, read_trusted
from consilience.source_graph import Dependencies, SourceGraph
from consilience.statistics import VoteStatistics, layout_of
from consilience.suspects import unexplained_pairs
from consilience.tied import SourceTable, expand_tied, feasible_strength, vote_accuracy

__all__ = ["METHODS", "PRIOR_KEPT", "SUSPECTS", "SourceFit", "fit_sources", "learned_layout", "structure_for"]

METHODS = ("auto", "completion", "moments", "em", "majority")

PRIOR_KEPT = "prior kept"
"""Note on a source whose accuracy was not learned."""

SUSPECTS = "votes that hang together more than the accuracies explain"
"""How the remark on such pairs begins."""


@dataclass(frozen=True, eq=False)
class SourceFit:
    """What was learned about the sources.

    Attributes
    ----------
    tables : list of SourceTable
        One a source.
    learned : (m,) bool array
        Whether all of a source's table was learned; otherwise some of it is a prior.
    first : (m,) int64 array
        The source that each one repeats: itself, but for duplicates.
    notes : list of list of str
        What to tell about each source.
    structure : Structure
        What it was learned from.
    strength : (d,) float64 array
        ``alpha - beta`` of each node of the structure.
    method : str
        One of ``METHODS``.
    said : list of str or None
        What to tell about the sources together; None: what the moments of independent sources leave
        unexplained.
    layout : ComponentLayout or None
        Sources that depend on each other and were learned, to be scored together; None if there are none.
    components : list of ComponentTable
        Their tables.
    model : str or None
        How free the tables are, where they maximise the likelihood; None where the moments gave them.
    bic : dict of str to float
        What the choice of the model went by.
    balance_learned : bool
        Whether the class balance was learned with the tables.
    parts : tuple of WeightedScores
        What labels are scored by, where that is not the tables alone.
    accuracy_range : (m, 2) float64 array or None
        Where votes leave each source's accuracy, by a cautious fit.
    likely : (SourceFit, (K,) float64 array) or None
        The most likely fit, and its class balance, whose intervals those of a cautious fit are to hold; not
        stored.
    sign_rules : list of str
        How the sign of each sign component was chosen; see :mod:`consilience.signs`.
    sign_choice : SignChoice or None
        The same in full; not stored.
    missing : (m,) bool array or None
        Sources whose abstentions were found to say nothing, where that was asked.
    given_voters : bool
        Whether the likelihood was that of the votes given who votes.
    uncounted : tuple of str
        Dependent sources whose joint states were too many to count; not stored, but for the remark on them.
    """

    tables: list[SourceTable]
    learned: NDArray[np.bool_]
    first: NDArray[np.int64]
    notes: list[list[str]]
    structure: Structure
    strength: NDArray[np.float64]
    method: str
    said: list[str] | None = None
    layout: ComponentLayout | None = None
    components: list[ComponentTable] = field(default_factory=list)
    model: str | None = None
    bic: dict[str, float] = field(default_factory=dict)
    balance_learned: bool = False
    parts: tuple[WeightedScores, ...] = ()
    accuracy_range: NDArray[np.float64] | None = None
    likely: tuple[SourceFit, NDArray[np.float64]] | None = None
    sign_rules: list[str] = field(default_factory=list)
    sign_choice: SignChoice | None = None
    missing: NDArray[np.bool_] | None = None
    given_voters: bool = False
    uncounted: tuple[str, ...] = ()

    @property
    def report(self) -> IdentifiabilityReport:
        """What the votes determine."""
        return replace(self.structure.report, sign_rules=tuple(self.sign_rules))

    @cached_property
    def remarks(self) -> list[str]:
        """What to tell about the sources together; looked for when first asked."""
        if self.said is not None:
            return self.said
        if self.method == "majority":
            return []
        remarks = []
        if self.uncounted:
            remarks.append(
                f"too many joint states to model together: {listed(self.uncounted)}; "
                "they are not compared with each other, but labels take them as independent"
            )
        if self.learned.any():
            system, report = self.structure.system, self.structure.report
            suspects = unexplained_pairs(system, self.strength, _known_nodes(system, report))
            if suspects:
                remarks.append(_remark_on_pairs(suspects, report.source_names))
        return remarks

    def accuracy(self, class_balance: NDArray[np.float64]) -> NDArray[np.float64]:
        """``P(vote right | source votes)`` of each source, (m,)."""
        return np.array(
            [
                vote_accuracy(source, masks, class_balance)
                for source, masks in zip(self.tables, self.event_masks(), strict=True)
            ]
        )

    def uncertainty(
        self, class_balance: NDArray[np.float64], known_share: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """95 % interval of each source's accuracy, (m, 2), and the standard error of the balance, (K,).

        That of a cautious fit spans what a source's votes are told by others, and what they come to with its
        own (:func:`consilience.cautious.accuracy_range`). `known_share` is the share of the items whose label
        was known.
        """
        ranges = self.whole_range
        if ranges is None:
            return self.sampling_uncertainty(class_balance, known_share)
        accuracy = self.accuracy(class_balance)
        low, high = ranges[self.first].T
        intervals = np.column_stack([np.minimum(low, accuracy), np.maximum(high, accuracy)])
        intervals[~self.learned] = (0.0, 1.0)
        return intervals, None

    @cached_property
    def whole_range(self) -> NDArray[np.float64] | None:
        """``accuracy_range`` together with the intervals of the most likely fit, which take a while."""
        if self.accuracy_range is None or self.likely is None:
            return self.accuracy_range
        fit, class_balance = self.likely
        (low, high), (least, most) = self.accuracy_range.T, fit.sampling_uncertainty(class_balance)[0].T
        wider = np.column_stack([np.minimum(low, least), np.maximum(high, most)])
        return np.where(fit.learned[:, None], wider, self.accuracy_range)

    def sampling_uncertainty(
        self, class_balance: NDArray[np.float64], known_share: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """The same if the model holds: all that is unknown is which items were drawn.

        An accuracy that was not learned has (0, 1); a balance that was not learned with the tables, None. A
        likelihood with too many parameters to invert its information, with dependencies that are no cliques,
        and a cautious fit have the widths of the moments.
        """
        accuracy = self.accuracy(class_balance)
        balance_error = None
        sizes = [table.table.size for table in self.tables] + [c.table.size for c in self.components]
        chained = self.layout is not None and any(self.layout.separators)
        if self.model is not None and sum(sizes) <= MAX_PARAMETERS and not chained:
            own = self.learned & (self.first == np.arange(len(self.first)))
            intervals, balance_error = likelihood_uncertainty(
                self.tables,
                self.event_masks(),
                own,
                self.layout,
                self.components,
                ranks=SourceRanks.of(self.structure.system, self.tables),
                model=self.model,
                class_balance=class_balance,
                balance_learned=self.balance_learned,
                n=float(self.structure.system.statistics.n),
                known_share=known_share,
                missing=self.missing,
                given_voters=self.given_voters,
            )
        else:
            influence = completion_influence if self.method == "completion" else moments_influence
            intervals = accuracy_intervals(
                self.structure.system,
                partial(influence, self.structure.system, self.report, self.strength),
                self.tables,
                self.layout,
                self.components,
                accuracy,
            )
        intervals = intervals[self.first]
        intervals[~self.learned] = (0.0, 1.0)
        return intervals, balance_error

    def event_masks(self) -> list[NDArray[np.bool_]]:
        """Events of each source's votes, (s, K) each."""
        graph = self.structure.system.statistics.task_graph
        masks = graph.event_masks(np.concatenate([source.events for source in self.tables]))
        ends = np.cumsum([len(source.events) for source in self.tables]).tolist()
        return [masks[first:last] for first, last in zip([0, *ends], ends, strict=False)]


def structure_for(
    statistics: VoteStatistics,
    class_balance: NDArray[np.float64],
    dependencies: Dependencies | DependencyReport,
    method: str,
) -> Structure:
    """Structure that a method works on; to majority vote every source counts for itself."""
    if method == "majority":
        dependencies = ()
    return find_structure(statistics, dependencies=dependencies, class_balance=class_balance, method=method)


def fit_sources(
    statistics: VoteStatistics,
    class_balance: NDArray[np.float64],
    dependencies: Dependencies | DependencyReport,
    method: str,
    *,
    trusted: Trusted = None,
    gold: GoldCounts | None = None,
    believed: NDArray[np.bool_] | None = None,
    signs: NDArray[np.float64] | None = None,
    warns: bool = True,
) -> SourceFit:
    """Tables of the sources.

    Parameters
    ----------
    statistics : VoteStatistics
        Of votes with at least one vote.
    class_balance : (K,) float64 array
        ``P(Y)`` over the feasible set.
    dependencies : iterable of pairs, or DependencyReport, optional
        Sources that depend on each other given the labels; None finds duplicates.
    method : str
        One of ``METHODS``.
    trusted : sources, optional
        They are better than chance: see :mod:`consilience.signs`.
    gold : GoldCounts, optional
        What gold says of the signs. To methods that learn from it, sources with enough votes on gold count as
        learned.
    believed : (m,) bool array, optional
        Sources with a prior, which count as learned to methods that take it up.
    signs : (c,) float64 array, optional
        -1 for each sign component in which sources are worse than chance on average.
    warns : bool
        Whether to warn of duplicates and priors.

    Raises
    ------
    NotIdentifiableError
        If the method is ``"completion"`` or ``"moments"`` and the pairs do not determine every source.
    SingularCovarianceError
        If the method is ``"completion"`` and votes are linearly dependent.
    """
    structure = structure_for(statistics, class_balance, dependencies, method)
    uncounted = _check_joint(statistics, structure.system.source_graph, method)
    system, report, first = structure.system, structure.report, structure.first
    if method in ("moments", "completion") and not report.identifiable:
        raise NotIdentifiableError(_not_identifiable(method, report))
    if warns:
        _warn_of_duplicates(report.source_names, first)

    m = statistics.n_sources
    learned = np.zeros(m, dtype=np.bool_)
    strength = np.zeros_like(system.means)
    known = np.zeros(len(strength), dtype=np.bool_)
    choice: SignChoice | None = None
    better = first[read_trusted(trusted, report.source_names)]
    if method != "majority":
        known = _known_nodes(system, report)
        of_nodes = None
        if gold is not None:
            own = first[statistics.node_source] == statistics.node_source
            of_nodes = gold.strength[own], gold.variance[own]
        strength, choice = _signed_strength(system, report, method, better, of_nodes, signs)
        strength = np.where(known, feasible_strength(system, strength), 0.0)
        learned[system.statistics.node_source] = True
        learned[system.statistics.node_source[~known]] = False
        if gold is not None and method in ("auto", "em"):
            learned |= gold.tells
        if believed is not None:
            learned |= believed & (statistics.n_votes > 0)
        learned = learned[first]
    tables = expand_tied(system, strength, known)
    votes = statistics.n_votes > 0
    if warns and method in ("auto", "em") and not learned[votes].all():
        _warn_of_priors([report.source_names[j] for j in np.flatnonzero(votes & ~learned)], report, method)
    teams = dependencies.teams if isinstance(dependencies, DependencyReport) else ()
    in_team = {j for team in teams for j in team}
    notes: list[list[str]] = [[] for _ in range(m)]
    for j in range(m):
        if first[j] != j:
            counts = "team of" if j in in_team else "votes like"
            notes[j].append(f"{counts} {report.source_names[first[j]]}")
        if not votes[j]:
            notes[j].append("never votes")
        elif not learned[j]:
            notes[j].append("not estimated" if method == "majority" else PRIOR_KEPT)
    fit = SourceFit(
        [tables[j] for j in first],
        learned,
        first,
        notes,
        structure,
        strength,
        method,
        sign_rules=[] if choice is None else choice.rules,
        sign_choice=choice,
        uncounted=tuple(report.source_names[j] for j in uncounted),
    )
    layout = None if method == "majority" else learned_layout(statistics, system.source_graph, fit)
    if layout is None:
        return fit
    return replace(fit, layout=layout, components=fit_component_tables(system, tables, layout))


def _signed_strength(
    system: NodeSystem,
    report: IdentifiabilityReport,
    method: str,
    trusted: NDArray[np.int64],
    gold: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    signs: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], SignChoice]:
    """Strength of each node, and how its sign was chosen."""
    completes = method == "completion"
    if completes:
        strength = fit_completion(system, report)
    else:
        strength = fit_moments(system, report, warns=method == "moments")
    choice = choose_signs(system, report, strength, trusted, gold)
    if signs is not None:
        pairs = zip(signs, choice.rules, strict=True)
        rules = ["third moments" if sign < 0 else rule for sign, rule in pairs]
        choice = replace(choice, signs=choice.signs * signs, rules=rules)
    if (choice.signs < 0).any():
        in_pairs = report.sign_components >= 0
        strength[in_pairs] *= choice.signs[report.sign_components[in_pairs]]
        related = system.same_event if completes else system.related
        strength = with_weak_nodes(system, report, strength, related)
    return strength, choice


def learned_layout(
    statistics: VoteStatistics, source_graph: SourceGraph, fit: SourceFit
) -> ComponentLayout | None:
    """Layout of the dependent sources whose components were all learned; None if there are none."""
    if not source_graph.edges:
        return None
    # The same tables whatever the order of the sources.
    layout = layout_of(
        source_graph, statistics.node_source, statistics.node_event, statistics.n_votes.tolist()
    )
    layout = replace(layout, events=tuple(table.events for table in fit.tables))
    counted = set(statistics.joint.members)
    learned = [
        clique
        for cliques in layout.components
        for clique in cliques
        if counted.issuperset(cliques) and all(fit.learned[list(c)].all() for c in cliques)
    ]
    return layout.only(learned) if learned else None


def _check_joint(statistics: VoteStatistics, source_graph: SourceGraph, method: str) -> list[int]:
    """Dependent sources that were not counted together, for their joint states are too many.

    Other statistics that did not count dependent sources together are refused.
    """
    if not source_graph.edges and not statistics.joint.members:
        return []
    layout = layout_of(source_graph, statistics.node_source, statistics.node_event)
    counted, wanted = set(statistics.joint.members), set(layout.members)
    # Other methods leave out those with too many joint states.
    exact = method in ("moments", "completion")
    matches = counted == wanted if exact else counted <= wanted
    if not matches and method != "majority":
        raise InvalidArgumentError(
            f"the statistics count the sources {statistics.joint.members} together, dependencies ask for "
            f"{layout.members}; give the same dependencies to VoteStatistics.of and to the model"
        )
    return sorted({j for clique in wanted - counted for j in clique})


def _known_nodes(system: NodeSystem, report: IdentifiabilityReport) -> NDArray[np.bool_]:
    """Nodes whose strength the pairs tell: identified ones, and weak ones that were seen beside them."""
    identified = np.array([status == "identified" for status in report.node_status], dtype=np.bool_)
    weak = (report.sign_components < 0) & (system.related & identified).any(axis=1)
    # A node that is always 1, or votes for what is certain, carries nothing to be learned.
    empty = ~system.live | (np.abs(np.diag(system.events.g)) <= 0)
    return identified | weak | (empty & bool(identified.any()))


def _remark_on_pairs(suspects: list[tuple[int, int, float]], names: Sequence[str]) -> str:
    pairs = "; ".join(f"{names[i]} and {names[j]} ({z:.0f} standard errors)" for i, j, z in suspects)
    return (
        f"{SUSPECTS}: {pairs}. If these sources share "
        "something, give dependencies: otherwise they are taken to be independent"
    )


def _warn_of_duplicates(names: Sequence[str], first: NDArray[np.int64]) -> None:
    copies = np.flatnonzero(first != np.arange(len(first)))
    if len(copies):
        pairs = [f"{names[j]!r} like {names[first[j]]!r}" for j in copies[:8]]
        more = f" and {len(copies) - 8} more" if len(copies) > 8 else ""
        warn_caller(
            f"sources vote alike and are counted once: {', '.join(pairs)}{more}; give dependencies=[] to "
            "count each for itself",
            DuplicateSourcesWarning,
        )


def _warn_of_priors(names: Sequence[str], report: IdentifiabilityReport, method: str) -> None:
    left_to = "keeps its prior, or is drawn to it where the fit is cautious (see summary())"
    if method == "em":
        left_to = "keeps its prior"
    warn_caller(
        f"the accuracy of {listed(names)} cannot be learned from these votes and {left_to}; "
        + (" ".join(report.advice) or "see identifiability_"),
        NotIdentifiableWarning,
    )


def _not_identifiable(method: str, report: IdentifiabilityReport) -> str:
    unclear = [
        f"{name!r} ({status})"
        for name, status in zip(report.source_names, report.sources, strict=True)
        if status in ("scale ambiguous", "no signal")
    ]
    more = f" and {len(unclear) - 8} more" if len(unclear) > 8 else ""
    advice = " ".join((*report.advice, 'Or use method="auto", which puts a prior in their place.'))
    return f"method={method!r} cannot determine the accuracy of {', '.join(unclear[:8])}{more}. {advice}"
