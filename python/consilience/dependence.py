"""Which sources depend on each other given the true labels, learned from the votes alone.

A pair of sources is tested by its table of votes against what the other pairs, taken as independent, say it
should be (:mod:`consilience.pair_tables`). The pairs that stand out are left out of the fit and the rest is
tested again, until nothing stands out and nothing left out looks independent after all. With the votes at
hand, a pair of a larger group is then tested given the others of its group, so that two sources that only
share a third are not taken for a dependency of their own.

References
----------
Bach et al. (2017), arXiv:1703.00854, and Varma et al. (2019), arXiv:1903.05844, learn the same by other
means.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.check import find_structure
from consilience.chi_square import chi_square_scores, chi_square_tail, normal_score
from consilience.chunks import Form, is_stream
from consilience.class_balance import read_class_balance
from consilience.components import MAX_JOINT_STATES, ComponentLayout
from consilience.dependency_report import Dependency, DependencyReport
from consilience.duplicates import find_duplicates
from consilience.exceptions import InvalidArgumentError
from consilience.fitting import fit_sources
from consilience.joint_tables import ComponentTable
from consilience.likelihood import likely_components
from consilience.pair_tables import FreeModel, Null, PairTables, TiedModel
from consilience.source_graph import Edge, SourceGraph, names_of_sources
from consilience.statistics import Observation, VoteStatistics, count_together, observe_whole, threads_of
from consilience.streams import observe_chunks
from consilience.task_graph import TaskGraph

__all__ = ["find_dependencies", "learn_dependencies", "learn_from_votes"]

FALSE_RATE = 0.01
"""How often any false dependency at all may be found among independent sources."""

MIN_STRENGTH = 0.05
"""Weaker dependencies are left alone, however sure: on many items every model is wrong a little."""

MIN_SOURCES = 5
"""With fewer, a misfit cannot be told to be of one pair rather than of another."""

MAX_STATES = 8000
"""Most votes and abstentions of all sources together that are looked at in pairs."""

SCALE = 2.5**2
"""Misfit, per degree of freedom, at which a pair begins to lose its weight in the fit."""

HOPELESSLY_MANY = 1.5
"""Pairs that stand out, relative to the most that are looked for, from which on the search is given up."""

MAX_ROUNDS = 100

MIN_ITEMS_PER_STATE = 10
"""Joint states of a clique are at most the number of items divided by this."""

MIN_GROUPS_LEFT = 1 / 3
"""Share of the sources with signal that must be left as independent groups, three at the least: accuracies
are learned from what is independent."""

INFLATION = 2.0
"""How much a statistic of expected counts may exceed that of counts with known labels."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Fit:
    """A robust fit.

    Attributes
    ----------
    null : Null
        What it predicts.
    weight : (M, M) float64 array
        Of each pair of sources.
    misfit : (M, M) float64 array
        Of each pair.
    loss : float
        About how many pairs it cannot explain.
    """

    null: Null
    weight: Array
    misfit: Array
    loss: float


class _Search:
    """Robust fits to pairs of sources, of which some are left out."""

    def __init__(self, tables: PairTables) -> None:
        self.tables = tables
        self._upper = np.triu(tables.apart)
        self._tied = TiedModel(tables)
        free = FreeModel(tables)
        # A free model with as many numbers as the pairs have explains whatever they say.
        enough = float(tables.df[self._upper].sum()) >= 3 * free.n_parameters
        self._free = free if free.rank > 1 and enough else None
        self._last: dict[str, _Fit] = {}

    def fit(self, used: Mask) -> _Fit:
        """Fit of the model that predicts better, to the pairs in `used`, (M, M)."""
        tied = self._fit_tied(used)
        fits = {"tied": tied}
        if self._free is not None:
            last = self._last.get("free", replace(tied, null=self._free.start(tied.null)))
            fits["free"] = self._run(self._free, used, last.null.parameters, last.weight, SCALE, 8)
        self._last = fits
        if len(fits) == 1:
            return tied
        return min(fits.values(), key=lambda fit: self._loss(self._misfit_alone(fit.null), used))

    def _fit_tied(self, used: Mask) -> _Fit:
        last = self._last.get("tied")
        if last is not None:
            return self._run(self._tied, used, last.null.parameters, last.weight, SCALE, 8)
        apart = self.tables.apart
        equal = np.where(used & apart, 1.0, 0.0)
        fits = [self._run(self._tied, used, self._tied.start(equal), equal, None, 14)]
        for groups in self._groups():
            # As if the most alike sources were dependent: where they are, all pairs would be misled.
            outside = np.where(groups, equal, 0.0)
            null = self._tied.fit(outside, self._tied.start(outside))
            misfit = self.tables.misfit(null)
            weight = self._weights(misfit, used, SCALE)
            fits.append(self._run(self._tied, used, null.parameters, weight, SCALE, 10))
        return min(fits, key=lambda fit: fit.loss)

    def _run(
        self,
        model: TiedModel | FreeModel,
        used: Mask,
        parameters: Array,
        weight: Array,
        scale: float | None,
        n_rounds: int,
    ) -> _Fit:
        """Rounds of weighted fits; from a large scale down where none is given."""
        for i in range(n_rounds):
            null = model.fit(weight, parameters)
            parameters = null.parameters
            misfit = self.tables.misfit(null)
            if scale is None:
                excess = misfit / self.tables.df
                scale = max(SCALE, float(np.quantile(excess[self._upper], 0.9)))
            weight = self._weights(misfit, used, scale)
            if i > 2:
                scale = max(SCALE, scale / 2)
        return _Fit(null, weight, misfit, self._loss(misfit, used))

    def _weights(self, misfit: Array, used: Mask, scale: float) -> Array:
        """Weights that fall off with the misfit; hardly any for pairs that are left out."""
        weight = 1 / (1 + misfit / self.tables.df / scale) ** 2
        return np.where(self.tables.apart, np.where(used, weight, 1e-6), 0.0)

    def _loss(self, misfit: Array, used: Mask) -> float:
        excess = misfit / self.tables.df
        return float(np.where(used, excess / (excess + SCALE), 1.0)[self._upper].sum())

    def _misfit_alone(self, null: Null) -> Array:
        return self.tables.misfit(null, with_error=False)

    def _groups(self) -> list[Mask]:
        """Pairs outside of groups of the most alike sources, for several sizes of the groups."""
        alike = self.tables.similarity()
        m = self.tables.n_sources
        group = np.arange(m)
        found: list[Mask] = []
        order = np.argsort(-np.where(self._upper, alike, -1.0), axis=None, kind="stable")
        for cell in order[: m * (m - 1) // 2].tolist():
            i, j = divmod(cell, m)
            if group[i] == group[j]:
                continue
            group = np.where(group == group[j], group[i], group)
            sizes = np.bincount(group)
            if sizes.max() > max(2, m // 2) or np.count_nonzero(sizes) < max(4, m // 2):
                break
            found.append(group[:, None] != group)
        most = 6 if m <= 60 else 2
        return [found[at] for at in np.unique(np.linspace(0, len(found) - 1, most).astype(int)) if found]


def find_dependencies(
    statistics: VoteStatistics, class_balance: Array, most: int | None = None
) -> DependencyReport:
    """Dependencies that the pairs of sources show.

    Parameters
    ----------
    statistics : VoteStatistics
        Of the votes. Duplicates are left out; what is found about a source holds for them too.
    class_balance : (K,) float64 array
        ``P(Y)``, where known; a wrong one is not taken for dependence.
    most : int, optional
        Pairs from which on the search ends without a result: not single pairs then depend on each other.

    Returns
    -------
    DependencyReport
        Of pairs; those that only share a third source are among them.
    """
    first = find_duplicates(statistics)
    own = first == np.arange(len(first))
    names = names_of_sources(statistics.source_names, statistics.n_sources)
    if np.count_nonzero(own & (statistics.n_votes > 0)) < MIN_SOURCES:
        return _nothing(names, f"fewer than {MIN_SOURCES} different sources vote")
    tables = PairTables(statistics, class_balance, own)
    m = tables.n_sources
    if m < MIN_SOURCES:
        return _nothing(names, f"fewer than {MIN_SOURCES} sources vote often enough")
    if len(tables.rate) > MAX_STATES:
        return _nothing(names, f"the sources have {len(tables.rate)} states, more than {MAX_STATES}")
    if len(class_balance) < 2:
        return _nothing(names, "there is only one label vector")
    fit, edges = _search(tables, most)
    if most is not None and len(edges) > most:
        return _nothing(names, f"more than {most} pairs depend on each other")
    n_pairs = m * (m - 1) // 2
    strength = _strengths(tables, fit)
    misfit, df = _tested(tables, fit)
    sources = tables.sources.tolist()
    found = [
        Dependency(
            (sources[i], sources[j]),
            strength[i, j],
            chi_square_tail(misfit[i, j], df[i, j]),
            True,
            "",
        )
        for i, j in edges
    ]
    report = DependencyReport(_sorted(found), names, n_pairs)
    return _within_budget(report, statistics, class_balance, saturated=_just_enough(tables))


def _nothing(names: tuple[str, ...], reason: str) -> DependencyReport:
    return DependencyReport((), names, 0, (f"no dependencies can be learned: {reason}",))


def _search(tables: PairTables, most: int | None) -> tuple[_Fit, list[Edge]]:
    """The last fit, and the pairs that it leaves out."""
    m = tables.n_sources
    search = _Search(tables)
    limit = normal_score(FALSE_RATE / (m * (m - 1) / 2))
    edges: set[Edge] = set()
    seen: set[frozenset[Edge]] = set()
    while True:
        used = np.ones((m, m), dtype=np.bool_)
        for i, j in edges:
            used[i, j] = used[j, i] = False
        fit = search.fit(used)
        misfit, df = _tested(tables, fit)
        stands_out = tables.apart & (chi_square_scores(misfit, df) > limit)
        stands_out &= np.abs(_strengths(tables, fit)) >= MIN_STRENGTH
        many = {(int(i), int(j)) for i, j in np.argwhere(np.triu(stands_out))}
        if most is not None and len(many) > HOPELESSLY_MANY * most:
            return fit, sorted(many)
        dropped = {edge for edge in edges if not stands_out[edge]}
        excess = np.where(stands_out & used, misfit / df, 0.0)
        top = excess.max(axis=1)
        highest = np.triu((excess > 0) & (excess >= top[:, None]) & (excess >= top))
        added = {(int(i), int(j)) for i, j in np.argwhere(highest)}
        if (not added and not dropped) or len(seen) >= MAX_ROUNDS:
            return fit, sorted(edges)
        edges = (edges - dropped) | added
        if most is not None and len(edges) > most:
            return fit, sorted(edges)
        if frozenset(edges) in seen:  # going in circles: what came and went stays
            return fit, sorted(edges | dropped)
        seen.add(frozenset(edges))


def _tested(tables: PairTables, fit: _Fit) -> tuple[Array, Array]:
    """Misfit and degrees of freedom that tell whether a pair is dependent.

    Where both have opinions only these count. A source that votes one way only says it by voting at all.
    """
    if not tables.opinionated[tables.apart].any():
        return fit.misfit, tables.df
    return (
        np.where(tables.opinionated, tables.opinion_misfit(fit.null), fit.misfit),
        np.where(tables.opinionated, tables.opinion_df, tables.df),
    )


def _strengths(tables: PairTables, fit: _Fit) -> Array:
    """Association of each pair given the label, (M, M), signed."""
    product = np.outer(tables.rate, tables.rate)
    beyond = tables.covariance - fit.null.covariance
    share = tables.per_pair(beyond**2 / np.maximum(product, 1 / tables.n))
    free = np.sqrt(np.diag(tables.df))
    smaller = np.minimum.outer(free, free)
    known = 1 - _explained(tables, fit)
    size = np.sqrt(np.maximum(share - tables.df / tables.n, 0.0) / smaller / np.outer(known, known) ** 0.5)
    # Towards each other or apart: by the cells in which both say what can be true together.
    joint = tables.event_masks[tables.node_event].astype(np.float64)
    agree = tables.of_agreement(joint @ joint.T > 0)
    sign = np.where(tables.per_pair(np.where(agree, beyond, 0.0)) < 0, -1.0, 1.0)
    signed: Array = np.clip(sign * size, -1.0, 1.0)
    return signed


def _explained(tables: PairTables, fit: _Fit) -> Array:
    """Share of each source's variance that the label explains, (M,), at most 0.95."""
    parameters = fit.null.parameters
    if parameters.ndim == 1:  # tied
        own = parameters[: len(tables.node_rate)] ** 2
        share = own / np.maximum(tables.node_rate * (1 - tables.node_rate), 1e-12)
        sums = np.add.reduceat(share, tables.first_node)
    else:
        own = (parameters**2).sum(axis=1) * tables.scale**2 / tables.rate
        sums = np.add.reduceat(own, tables.first)
    explained: Array = np.clip(sums / np.sqrt(np.diag(tables.df)), 0.0, 0.95)
    return explained


def _just_enough(tables: PairTables) -> bool:
    """Whether three groups of sources leave nothing to test: one number a pair, one a source."""
    return bool((tables.df[tables.apart] <= 1).all())


def _sorted(found: Iterable[Dependency]) -> tuple[Dependency, ...]:
    return tuple(sorted(found, key=lambda d: (not d.kept, -abs(d.strength), d.pair)))


def _within_budget(
    report: DependencyReport, statistics: VoteStatistics, class_balance: Array, *, saturated: bool
) -> DependencyReport:
    """The strongest dependencies that leave the accuracies identifiable and can be modelled together."""
    structure = find_structure(statistics, dependencies=None, class_balance=class_balance, method="moments")
    m = statistics.n_sources
    live = np.array([status != "no signal" for status in structure.report.sources])
    live &= structure.first == np.arange(m)
    needed = max(4 if saturated else 3, int(np.ceil(MIN_GROUPS_LEFT * live.sum())))
    most = int(min(MAX_JOINT_STATES, float(statistics.n) / MIN_ITEMS_PER_STATE))
    node_source = statistics.node_source
    n_states = 1 + np.bincount(node_source, minlength=m)
    edges: list[Edge] = []
    group = np.arange(m)
    found = []
    for dependency in report.found:
        i, j = dependency.pair
        merged = np.where(group == group[j], group[i], group)
        members = np.flatnonzero(merged == merged[i])
        if len(np.unique(merged[live])) < min(needed, int(live.sum())):
            reason = f"would leave fewer than {needed} independent groups of sources"
        elif (largest := _largest_clique(members, [*edges, dependency.pair], n_states)) > most:
            reason = f"its clique would have {largest} joint states, more than {most} for so many items"
        else:
            group = merged
            edges.append(dependency.pair)
            found.append(dependency)
            continue
        found.append(replace(dependency, kept=False, reason=reason))
    report = replace(report, found=_sorted(found))
    while structure.report.identifiable and report.pairs:
        after = find_structure(statistics, dependencies=report, class_balance=class_balance, method="moments")
        if after.report.identifiable:
            break
        reason = "would leave accuracies without an answer"
        weakest = [d for d in report.found if d.kept][-1]
        found = [replace(d, kept=False, reason=reason) if d is weakest else d for d in report.found]
        report = replace(report, found=_sorted(found))
    return report


def _largest_clique(members: NDArray[np.int64], edges: list[Edge], n_states: NDArray[np.int64]) -> int:
    """Joint states of the largest clique of one component, triangulated."""
    place = {j: at for at, j in enumerate(members.tolist())}
    inside = [(place[i], place[j]) for i, j in edges if i in place]
    cliques = SourceGraph(len(members), inside).cliques
    return max(int(np.prod(n_states[members[list(clique)]], dtype=object)) for clique in cliques)


def learn_from_votes(
    observed: Observation, class_balance: Array, *, n_threads: int, most: int | None = None
) -> tuple[DependencyReport, Observation]:
    """Dependencies of the votes, each tested given the others of its group, and the votes counted with them.

    Parameters
    ----------
    observed : Observation
        Votes whose sources are not counted together yet.
    class_balance : (K,) float64 array
        ``P(Y)``, or a start.
    n_threads : int
        No result depends on it.
    most : int, optional
        As for :func:`find_dependencies`.
    """
    report = find_dependencies(observed.statistics, class_balance, most)
    counted = count_together(observed, report.pairs, n_threads, strict=False)
    if not report.pairs:
        return report, counted
    fit = fit_sources(counted.statistics, class_balance, report, "auto", warns=False)
    if fit.layout is None:
        return report, counted
    components, balance = likely_components(counted, fit, class_balance, n_threads=n_threads)
    pruned = _pruned(report, components, fit.layout, balance * float(counted.statistics.n))
    if pruned.pairs != report.pairs:
        counted = count_together(observed, pruned.pairs, n_threads, strict=False)
    return pruned, counted


def _pruned(
    report: DependencyReport, components: Sequence[ComponentTable], layout: ComponentLayout, weights: Array
) -> DependencyReport:
    """The report without pairs that are independent given the label and the others of a clique they are in.

    A pair is left out only where others of its group connect it, or where nothing is left of it at all.
    """
    independent: set[Edge] = set()
    n_tests = len(report.pairs)
    for component in components:
        states = layout.member_states(component.members)
        for i, j in report.pairs:
            if i in component.members and j in component.members:
                places = component.members.index(i), component.members.index(j)
                x, df = conditional_association(component.table * weights, states, *places)
                if chi_square_tail(x / INFLATION, df) > FALSE_RATE / n_tests:
                    independent.add((i, j))
    left = set(report.pairs)
    group = SourceGraph(len(report.source_names), left).component
    out: dict[Edge, str] = {}
    for dependency in reversed(report.found):  # weakest first
        i, j = dependency.pair
        if (i, j) not in independent:
            continue
        others = SourceGraph(len(report.source_names), left - {(i, j)}).component
        if others[i] == others[j]:
            out[i, j] = "explained by others of the group"
        elif np.count_nonzero(group == group[i]) == 2:
            out[i, j] = "explained by the accuracies"
        else:
            continue
        left.discard((i, j))
    found = [replace(d, kept=False, reason=out[d.pair]) if d.pair in out else d for d in report.found]
    return replace(report, found=_sorted(found))


def conditional_association(counts: Array, states: NDArray[np.int64], i: int, j: int) -> tuple[float, float]:
    """Generalised Cochran-Mantel-Haenszel statistic of two members given the other members and the label.

    It adds up, over all states of the others and all label vectors, how far the table of the two is from
    independence: sensitive to what is the same everywhere, as copying is, and with few degrees of freedom.

    Parameters
    ----------
    counts : (S, K) float64 array
        Expected items in each joint state under each label vector.
    states : (S, members) int64 array
        States of the members in each joint state.
    i, j : int
        The two members.

    Returns
    -------
    statistic, df : float
        Chi-square with `df` degrees of freedom under independence, were the labels known.
    """
    others = np.delete(states, [i, j], axis=1)
    sizes = others.max(axis=0) + 1
    stratum = others @ np.concatenate([[1], np.cumprod(sizes)])[: len(sizes)]
    a, b = states[:, i], states[:, j]
    cells = np.zeros((int(stratum.max()) + 1, int(a.max()) + 1, int(b.max()) + 1, counts.shape[1]))
    np.add.at(cells, (stratum, a, b), counts)
    table = np.moveaxis(cells, 3, 1).reshape(-1, *cells.shape[1:3])
    n = table.sum(axis=(1, 2))
    table, n = table[n > 1], n[n > 1]
    if not len(n):
        return 0.0, 1.0
    rows, columns = table.sum(axis=2), table.sum(axis=1)
    beyond = (table - rows[:, :, None] * columns[:, None] / n[:, None, None]).sum(axis=0).ravel()
    variance = np.einsum(
        "hac,hbd->abcd", _spread(rows, n) / (n - 1)[:, None, None], _spread(columns, n), optimize=True
    ).reshape(len(beyond), len(beyond))
    values, vectors = np.linalg.eigh(variance)
    live = values > 1e-9 * values[-1]
    if not live.any():
        return 0.0, 1.0
    return float(((vectors[:, live].T @ beyond) ** 2 / values[live]).sum()), float(np.count_nonzero(live))


def _spread(margin: Array, n: Array) -> Array:
    """``diag(margin) - margin margin' / n`` of each stratum."""
    spread: Array = -margin[:, :, None] * margin[:, None] / n[:, None, None]
    at = np.arange(margin.shape[1])
    spread[:, at, at] += margin
    return spread


def learn_dependencies(
    votes: Any,
    *,
    weights: ArrayLike | None = None,
    n_classes: int | None = None,
    classes: Sequence[Hashable] | None = None,
    task_graph: TaskGraph | None = None,
    class_balance: ArrayLike | str | None = None,
    n_threads: int | None = None,
) -> DependencyReport:
    """Report on which sources depend on each other given the true labels, without any label.

    Parameters
    ----------
    votes
        In any form that ``LabelModel.fit`` takes, or a ``VoteStatistics``. Statistics hold pairs only: two
        sources that merely share a third are then reported as well.
    weights, n_classes, classes, task_graph, class_balance, n_threads : optional
        As for ``LabelModel`` and its ``fit``; not with statistics, but for `class_balance`.

    Returns
    -------
    DependencyReport
        Prints as a table; ``report.pairs`` is what ``LabelModel(dependencies=...)`` takes.

    Raises
    ------
    ConsilienceError
        If an argument is not of an allowed form.

    Notes
    -----
    Each pair of sources is tested by its table of votes against the table that the other pairs predict for
    sources that are independent given the label, with any confusion between the classes and any class
    balance. Among independent sources a false dependency turns up in one search of a hundred. With fewer
    than five sources nothing can be told. A search leaves at least a third of the sources as independent
    groups, never fewer than three, and joint tables that the items can fill.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 5000)
    >>> votes = np.where(rng.random((5000, 6)) < 0.8, y[:, None], 1 - y[:, None])
    >>> votes[:2000, 5] = votes[:2000, 2]  # the last source copies another on 40 % of the items
    >>> learn_dependencies(votes).pairs
    [(2, 5)]
    """
    if isinstance(votes, VoteStatistics):
        given = {"weights": weights, "n_classes": n_classes, "classes": classes, "task_graph": task_graph}
        for name, value in given.items():
            if value is not None:
                raise InvalidArgumentError(f"{name} belongs to votes; the statistics hold theirs already")
        return find_dependencies(votes, read_class_balance(class_balance, votes.task_graph))
    if is_stream(votes):
        observed = observe_chunks(
            votes,
            Form(n_classes, classes, task_graph),
            weights=weights,
            n_threads=n_threads,
            strict=False,
            keeps_rows=True,
        ).observation()
        assert observed is not None
    else:
        form = Form(n_classes, classes, task_graph)
        observed = observe_whole(votes, form, weights, n_threads, strict=False)
    balance = read_class_balance(class_balance, observed.statistics.task_graph)
    return learn_from_votes(observed, balance, n_threads=threads_of(n_threads))[0]
