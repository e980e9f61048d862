"""Tables of pairs of sources against what sources that are independent given the label can show together.

Under independence given ``Y`` the covariance between the indicators of two sources is ``T_i S T_j'`` with
``S`` the covariance of the ``K`` label vectors: of low rank over all pairs of sources, whatever the tables
are. Two such models are fitted to all pairs at once, with weights under which the few pairs that depend on
each other do not pull the fit:

- *tied*: ``C_ab = gamma_AB e_a e_b``, one number a node and one a pair of events. The numbers of the pairs of
  events are learned beside a class balance that is only a start, so that a wrong balance is no dependence.
- *free*: ``C_ij = F_i F_j'`` of rank ``K - 1``, which holds for any tables.

Each pair is then compared with what the *other* pairs say about it: a fit that has seen the pair could
explain it by itself. What they say has an error, which is large where one source tells more than all others
together: its strength then follows from pairs of the others alone, of which each says little.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.events import number_events
from consilience.moments import signed_start
from consilience.statistics import VoteStatistics

__all__ = ["FreeModel", "Null", "PairTables", "TiedModel"]

MIN_ITEMS = 5.0
"""A vote cast, or withheld, on fewer items than this tells nothing in pairs."""

BALANCE_SPREAD = 0.3
"""How far, in units of a correlation, that between two events may lie from the one of the given balance."""

N_MARGIN_STEPS = 10
"""Of iterative proportional fitting."""

MAX_SIZES = 300
"""Sources up to which a prediction's error counts that the other sources' strengths are not known either."""

SURE = 2.0
"""Standard errors of the logarithm of a strength by which it is taken to be less, for what it explains."""

MIN_REST = 0.05
"""Least share of votes for anything else that a vote's is taken to have."""

MAX_EXPLAINED = 0.9
"""Most of a source's variance that the label is taken to explain when its pairs are tested."""

RIDGE = 4.0
"""Precision, in units of 1 / n, with which the factors of the free model are held at 0."""

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Null:
    """What a model of independent sources predicts.

    Attributes
    ----------
    covariance : (D, D) float64 array
        Of the states of different sources, each pair of sources predicted from all other pairs.
    variance : (D, D) float64 array
        Of these predictions, times n.
    parameters : array
        Of the fit, to start another one from.
    unexplained : (M,) float64 array or None
        Share of each source's variance that the label does not explain, at the most; None: not known. A fit
        follows what the labels at hand happen to add to a covariance; only what the rest of two sources'
        votes adds by chance is left for a test.
    """

    covariance: Array
    variance: Array
    parameters: Array
    unexplained: Array | None = None


class PairTables:
    """Tables of all pairs of sources that vote often enough, from their statistics.

    The states of a source are its votes and, where it does neither always nor never vote, its abstention.

    Parameters
    ----------
    statistics : VoteStatistics
        Of the votes.
    class_balance : (K,) float64 array
        ``P(Y)``, a start.
    sources : (m,) bool array
        Sources to look at.

    Attributes
    ----------
    n : float
        Number of items.
    sources : (M,) int64 array
        Sources that can be looked at: those with a node that is neither (almost) always nor never 1.
    rate : (D,) float64 array
        Share of items in each state; states are sorted by source.
    covariance : (D, D) float64 array
        Of the states.
    owner : (D,) int64 array
        Place in `sources` of each state's source.
    df : (M, M) float64 array
        Degrees of freedom of the table of each pair.
    opinionated : (M, M) bool array
        Pairs of which both have opinions: they vote for events that exclude each other.
    coverage : (M,) float64 array
        Share of items that each source votes on.
    opinion_df : (M, M) float64 array
        Degrees of freedom of the table of what both vote, where both do.
    """

    def __init__(self, statistics: VoteStatistics, class_balance: Array, sources: NDArray[np.bool_]) -> None:
        n = float(statistics.n)
        counts = statistics.means * n
        live = (counts >= MIN_ITEMS) & (n - counts >= MIN_ITEMS) & sources[statistics.node_source]
        nodes = np.flatnonzero(live)
        self.n = n
        self.sources = np.unique(statistics.node_source[nodes])
        self.node_owner = np.searchsorted(self.sources, statistics.node_source[nodes])
        self.node_rate = statistics.means[nodes]
        pairs = statistics.pairs[np.ix_(nodes, nodes)] / n
        self.node_covariance = pairs - np.outer(self.node_rate, self.node_rate)

        # A source's remaining state is whatever its nodes leave.
        self.coverage = np.bincount(self.node_owner, self.node_rate, minlength=self.n_sources)
        rest = 1 - self.coverage
        kept = np.flatnonzero(rest * n >= 1)
        order = np.lexsort((np.r_[np.zeros(len(nodes)), np.ones(len(kept))], np.r_[self.node_owner, kept]))
        self._order = order  # nodes, then what remains of sources, in the order of the states
        self.owner = np.r_[self.node_owner, kept][order].astype(np.int64)
        self.rate = np.r_[self.node_rate, rest[kept]][order]
        self._has_rest = kept
        self.first = np.searchsorted(self.owner, np.arange(self.n_sources))
        self.first_node = np.searchsorted(self.node_owner, np.arange(self.n_sources))
        self.covariance = self.of_states(self.node_covariance)
        size = np.bincount(self.owner, minlength=self.n_sources) - 1.0
        self.df = np.maximum(np.outer(size, size), 1.0)

        graph = statistics.task_graph
        self.class_balance = class_balance
        events, self.node_event = number_events(statistics.node_event[nodes])
        masks = graph.event_masks(events)
        p = masks @ class_balance
        joint = (masks * class_balance) @ masks.T.astype(np.float64)
        spread = np.sqrt(np.maximum(p * (1 - p), 1e-12))
        self.event_masks = masks
        self.event_correlation = (joint - np.outer(p, p)) / np.outer(spread, spread)
        """Correlation of the events under the given balance."""
        excluded = (joint <= 0)[np.ix_(self.node_event, self.node_event)]
        excluded &= self.node_owner[:, None] == self.node_owner
        two_sided = np.bincount(self.node_owner[excluded.any(axis=1)], minlength=self.n_sources) > 0
        self.opinionated = two_sided[:, None] & two_sided
        n_votes = np.bincount(self.node_owner, minlength=self.n_sources) - 1.0
        self.opinion_df = np.maximum(np.outer(n_votes, n_votes), 1.0)

    @property
    def n_sources(self) -> int:
        """Number of sources that can be looked at, ``M``."""
        return len(self.sources)

    @cached_property
    def scale(self) -> Array:
        """What the states are divided by in the fits, (D,): their spread, with rare states held down."""
        return np.asarray(np.sqrt(np.maximum(self.rate, self.n**-0.5)))

    @cached_property
    def apart(self) -> NDArray[np.bool_]:
        """Pairs of different sources, (M, M)."""
        return ~np.eye(self.n_sources, dtype=np.bool_)

    def of_states(self, of_nodes: Array) -> Array:
        """Covariance of the states from that of the nodes."""
        return self._with_rest(of_nodes, -1.0)

    def variance_of_states(self, of_nodes: Array) -> Array:
        """Variances of a covariance's entries for all states, from those for the nodes."""
        return self._with_rest(of_nodes, 1.0)

    def _with_rest(self, of_nodes: Array, factor: float) -> Array:
        """Entries for all states; those of what remains of a source are its nodes' sum times `factor`."""
        rest = factor * np.add.reduceat(of_nodes, self.first_node, axis=0)[self._has_rest]
        rows = np.vstack([of_nodes, rest])
        rest = factor * np.add.reduceat(rows, self.first_node, axis=1)[:, self._has_rest]
        full = np.hstack([rows, rest])
        return np.asarray(full[np.ix_(self._order, self._order)], dtype=np.float64)

    def of_agreement(self, of_nodes: Mask) -> Mask:
        """Pairs of votes, as pairs of states; False for what remains of a source."""
        full = np.zeros((len(self.rate), len(self.rate)), dtype=np.bool_)
        at = np.argsort(self._order)[: len(self.node_rate)]
        full[np.ix_(at, at)] = of_nodes
        return full

    def per_pair(self, of_states: Array) -> Array:
        """Sums over the states of each pair of sources, (M, M), exactly symmetric."""
        sums = np.add.reduceat(np.add.reduceat(of_states, self.first, axis=0), self.first, axis=1)
        symmetric: Array = (sums + sums.T) / 2
        return symmetric

    def misfit(self, null: Null, *, with_error: bool = True) -> Array:
        """Deviance of each pair's table from the one predicted, (M, M): chi-square if they are independent.

        The variance of a cell is that of its count and, unless `with_error` is False, of its prediction.
        """
        product = np.outer(self.rate, self.rate)
        observed = self.n * np.maximum(product + self.covariance, 0.0)
        expected = self.n * np.maximum(product + null.covariance, 0.0)
        extra = 1e-6 * self.n * product + 1e-9
        if not with_error:
            return self.per_pair(_deviance(observed, expected, extra))
        of_cells = self._of_cells(self.rate, self.owner, self.df)
        left = _left_to_chance(null, self.n_sources)
        extra += self.n * null.variance * of_cells / left[np.ix_(self.owner, self.owner)]
        return self.per_pair(_deviance(observed, expected, extra)) / left

    def opinion_misfit(self, null: Null) -> Array:
        """The same for the votes alone, on the items on which both sources vote, (M, M).

        Whether both vote, and how often each then votes for what, is taken as it is: workers who were given
        the same items are no dependency.
        """
        votes = np.argsort(self._order)[: len(self.node_rate)]
        at = np.ix_(votes, votes)
        product = np.outer(self.node_rate, self.node_rate)
        apart = self.node_owner[:, None] != self.node_owner
        observed = np.where(apart, self.n * np.maximum(product + self.node_covariance, 0.0), 0.0)
        expected = np.maximum(product + null.covariance[at], 1e-3 * product) * apart
        margin = np.add.reduceat(observed, self.first_node, axis=1)
        for _ in range(N_MARGIN_STEPS):
            for _ in ("rows", "columns"):  # the observed table is symmetric: its margins are both
                found = np.add.reduceat(expected, self.first_node, axis=1)
                ratio = np.divide(margin, found, out=np.zeros_like(margin), where=found > 0)
                expected = (expected * ratio[:, self.node_owner]).T
        of_cells = self._of_cells(
            self.node_rate / self.coverage[self.node_owner], self.node_owner, self.opinion_df
        )
        left = _left_to_chance(null, self.n_sources)
        extra = self.n * null.variance[at] * of_cells / left[np.ix_(self.node_owner, self.node_owner)]
        extra += 1e-6 * self.n * product + 1e-9
        deviance = _deviance(observed, expected, extra)
        sums = np.add.reduceat(np.add.reduceat(deviance, self.first_node, axis=0), self.first_node, axis=1)
        symmetric: Array = (sums + sums.T) / 2
        return symmetric / left

    def _of_cells(self, rate: Array, owner: NDArray[np.int64], df: Array) -> Array:
        """What a prediction's variance is taken times, to be compared with Poisson's of a count.

        In a table of one degree of freedom all four cells err together: their squared deviations in units of
        Poisson's variance add up to one in units of that of a table with such margins.
        """
        rest = np.maximum(1 - rate, MIN_REST)
        return np.where(df[np.ix_(owner, owner)] == 1, 1 / np.outer(rest, rest), 1.0)

    @cached_property
    def agreements(self) -> Array:
        """Share of the items on which two sources vote for the same, (M, M)."""
        return self._of_votes(np.where(self._same_event, self._joint(self.covariance), 0.0))

    def agreement(self, covariance: Array) -> Array:
        """How often two sources agree where both vote, beyond chance (Cohen's kappa), (M, M).

        Under this covariance of the states; 0 where one of them always votes for the same.
        """
        joint = self._joint(covariance)
        both = np.maximum(self._of_votes(joint), 1e-100)
        margin = np.add.reduceat(joint, self.first_node, axis=1)[:, self.node_owner]
        chance = self._of_votes(np.where(self._same_event, margin * margin.T, 0.0)) / both**2
        found = self._of_votes(np.where(self._same_event, joint, 0.0)) / both - chance
        kappa: Array = np.where(chance < 1 - 1e-9, found / np.maximum(1 - chance, 1e-9), 0.0)
        return kappa

    @property
    def _same_event(self) -> Mask:
        """Pairs of votes for the same."""
        return np.asarray(self.node_event[:, None] == self.node_event)

    def _joint(self, covariance: Array) -> Array:
        """How often two votes occur together under this covariance of the states."""
        votes = np.argsort(self._order)[: len(self.node_rate)]
        product = np.outer(self.node_rate, self.node_rate)
        return np.asarray(np.maximum(product + covariance[np.ix_(votes, votes)], 0.0))

    def _of_votes(self, of_nodes: Array) -> Array:
        """Sums over the votes of each pair of sources, (M, M)."""
        sums = np.add.reduceat(np.add.reduceat(of_nodes, self.first_node, axis=0), self.first_node, axis=1)
        return np.asarray(sums, dtype=np.float64)

    def similarity(self) -> Array:
        """Pearson's chi-square of each pair of sources against full independence, per degree of freedom."""
        found = self.per_pair((self.covariance / np.outer(self.scale, self.scale)) ** 2)
        found = self.n * found / self.df
        np.fill_diagonal(found, 0.0)
        return np.asarray(found, dtype=np.float64)


def _left_to_chance(null: Null, n_sources: int) -> Array:
    """Variance of each pair's covariance about a fit, relative to that of sources without a label, (M, M)."""
    own = np.ones(n_sources) if null.unexplained is None else null.unexplained
    return np.asarray(np.outer(own, own), dtype=np.float64)


def _deviance(observed: Array, expected: Array, extra: Array) -> Array:
    """Deviance of counts whose variance is `extra` more than Poisson's: as that of so many more items."""
    deviance = (observed + extra) * np.log((observed + extra) / (expected + extra))
    return np.asarray(2 * np.maximum(deviance - (observed - expected), 0.0))


def _of_others(of_sources: Array) -> Array:
    """What all sources but each one tell, from what each one does, (d, M)."""
    total = of_sources.sum(axis=1, keepdims=True)
    return np.asarray(np.maximum(total - of_sources, 1e-2 * total + 1e-12))


class TiedModel:
    """``C_ab = gamma_AB e_a e_b``."""

    def __init__(self, tables: PairTables) -> None:
        self.tables = tables
        t = tables
        spread = np.maximum(t.node_rate * (1 - t.node_rate), 0.5 * t.n**-0.5)
        self._precision = 1 / np.outer(spread, spread)
        self._apart = t.node_owner[:, None] != t.node_owner
        self.n_parameters = len(t.node_rate)

    def start(self, weight: Array) -> Array:
        """Numbers of the nodes, all of one size and with the signs that agree best, and of the events."""
        t = self.tables
        gamma = t.event_correlation
        weights = self._weights(weight) * self._of_nodes(gamma)
        mean = (weights * t.node_covariance).sum() / max((weights * self._of_nodes(gamma)).sum(), 1e-300)
        size = np.full(len(t.node_rate), np.log(max(mean, 1e-4)))
        return np.concatenate([signed_start(size, weights * t.node_covariance), gamma.ravel()])

    def fit(self, weight: Array, start: Array, n_sweeps: int = 10) -> Null:
        """Weighted fit of all pairs; `weight` is one number a pair of sources, (M, M)."""
        t = self.tables
        d, n_events = len(t.node_rate), len(t.event_masks)
        gamma = start[d:].reshape(n_events, n_events)
        weights, gammas = self._weights(weight), self._of_nodes(gamma)
        e = _core.complete_rank_one(
            t.node_covariance / gammas,
            weights * gammas**2,
            start[:d],
            max_iterations=n_sweeps,
            tolerance=1e-6,
        ).z
        of_event = np.ones((n_events, n_events))
        if len(t.class_balance) > 2:  # with two classes all events have correlation 1 or -1
            gamma, of_event = self._correlations(weights, e)
            gammas = self._of_nodes(gamma)
        null = self._predict(weights, gammas, e, of_event, np.concatenate([e, gamma.ravel()]))
        return self._with_errors_of_all(null, weight, e)

    def _weights(self, weight: Array) -> Array:
        of_nodes = weight[np.ix_(self.tables.node_owner, self.tables.node_owner)]
        return np.asarray(of_nodes * self._precision * self._apart, dtype=np.float64)

    def _of_nodes(self, gamma: Array) -> Array:
        """Correlation of the events of each pair of nodes, away from zero so that it can be divided by."""
        found = gamma[np.ix_(self.tables.node_event, self.tables.node_event)]
        return np.where(np.abs(found) < 1e-6, 1e-6, found)

    def _correlations(self, weights: Array, e: Array) -> tuple[Array, Array]:
        """Correlation of each pair of events, near the given one, and its variance."""
        t = self.tables
        one_hot = np.eye(len(t.event_masks))[t.node_event]
        told = t.n * one_hot.T @ (weights * np.outer(e**2, e**2)) @ one_hot
        seen = t.n * one_hot.T @ (weights * np.outer(e, e) * t.node_covariance) @ one_hot
        prior = BALANCE_SPREAD**-2
        gamma = (seen + prior * t.event_correlation) / (told + prior)
        np.fill_diagonal(gamma, 1.0)
        variance = 1 / (told + prior)
        np.fill_diagonal(variance, 0.0)
        return np.clip(gamma, -1.0, 1.0), variance

    def _predict(self, weights: Array, gammas: Array, e: Array, of_event: Array, parameters: Array) -> Null:
        t = self.tables
        seen = np.add.reduceat(weights * gammas * t.node_covariance * e, t.first_node, axis=1)
        told = np.add.reduceat(weights * (gammas * e) ** 2, t.first_node, axis=1)
        without = _of_others(told)
        strength = ((seen.sum(axis=1, keepdims=True) - seen) / without)[:, t.node_owner]
        error = (1 / _of_others(self._information(weights, gammas * e)))[:, t.node_owner] * strength.T**2
        covariance = gammas * strength * strength.T * self._apart
        variance = gammas**2 * (error + error.T)
        if len(t.class_balance) > 2:
            variance += t.n * of_event[np.ix_(t.node_event, t.node_event)] * (strength * strength.T) ** 2
        return Null(t.of_states(covariance), t.variance_of_states(variance * self._apart), parameters)

    def _information(self, weights: Array, along: Array) -> Array:
        """What each source's states tell of each node's strength, (d, M), times 1 / n.

        The nodes of a source tell less than the sum of what each does, for they exclude each other.
        """
        t = self.tables
        told = np.add.reduceat(along**2 / t.node_rate, t.first_node, axis=1)
        beside = np.add.reduceat(along, t.first_node, axis=1)[:, t._has_rest]
        told[:, t._has_rest] += beside**2 / (1 - t.coverage[t._has_rest])
        of_pair = weights[:, t.first_node] / self._precision[:, t.first_node]  # whichever node: all alike
        spread = np.maximum(t.node_rate * (1 - t.node_rate), 0.5 * t.n**-0.5)
        return np.asarray(told * of_pair / spread[:, None])

    def _with_errors_of_all(self, null: Null, weight: Array, e: Array) -> Null:
        """The prediction with an error that counts that no strength is known, as if each source had one.

        The logarithm of a pair's covariance is then the sum of two numbers. What the fit tells of it without
        the pair is what it tells with it, less what the pair does.
        """
        t = self.tables
        told = weight * t.per_pair(null.covariance**2 / np.outer(t.rate, t.rate)) * t.apart
        total = told.sum(axis=1)
        least = 1e-9 * max(float(total.max()), 1e-290)
        own = 1 / np.maximum(total, least)
        variance = null.variance
        if t.n_sources <= MAX_SIZES:
            inverse = np.linalg.inv(np.diag(total + least) + told)
            own = np.diag(inverse)
            of_pair = own[:, None] + own + 2 * inverse
            unknown = of_pair / np.maximum(1 - told * of_pair, 1e-3)
            others = 1 / np.maximum(total[:, None] - told, least)  # with the strengths of all others known
            more = np.maximum(unknown - others - others.T, 0.0) * t.apart
            variance = variance + null.covariance**2 * more[np.ix_(t.owner, t.owner)]
        spread = t.node_rate * np.maximum(1 - t.node_rate, MIN_REST)
        explained = np.add.reduceat(e**2 / spread, t.first_node) / np.bincount(t.node_owner)
        explained *= np.exp(-2 * SURE * np.sqrt(own / t.n))
        return replace(null, variance=variance, unexplained=1 - np.minimum(explained, MAX_EXPLAINED))


class FreeModel:
    """``C_ij = F_i F_j'`` of rank ``K - 1``."""

    def __init__(self, tables: PairTables) -> None:
        self.tables = tables
        t = tables
        self._apart = t.owner[:, None] != t.owner
        self._scaled = t.covariance / np.outer(t.scale, t.scale) * self._apart
        self.rank = len(t.class_balance) - 1
        self.n_parameters = (len(t.rate) - t.n_sources) * self.rank - self.rank * (self.rank - 1) // 2

    def start(self, tied: Null) -> Null:
        """A tied fit with its factors, (D, K - 1), as parameters."""
        t, p = self.tables, self.tables.class_balance
        e = tied.parameters[: len(t.node_rate)]
        masks = t.event_masks[t.node_event]
        inside = masks @ p
        spread = np.sqrt(np.maximum(inside * (1 - inside), 1e-12))
        of_nodes = (e / spread)[:, None] * (masks - inside[:, None]) * np.sqrt(p)
        rest = -np.add.reduceat(of_nodes, t.first_node, axis=0)[t._has_rest]
        factors = np.vstack([of_nodes, rest])[t._order] / t.scale[:, None]
        root = np.sqrt(p)
        basis = np.linalg.svd(np.eye(len(p)) - np.outer(root, root))[0][:, : self.rank]
        return replace(tied, parameters=factors @ basis)

    def fit(self, weight: Array, start: Array, n_sweeps: int = 3) -> Null:
        """Weighted fit of all pairs; `weight` is one number a pair of sources, (M, M)."""
        t, r = self.tables, self.rank
        weight = np.where(t.apart, weight, 0.0)
        target = weight[np.ix_(t.owner, t.owner)] * self._scaled
        factors = start.copy()
        ridge = RIDGE / t.n * np.eye(r)
        ends = np.append(t.first, len(t.owner))
        grams = np.add.reduceat(factors[:, :, None] * factors[:, None, :], t.first, axis=0)
        for _ in range(n_sweeps):
            for j in range(t.n_sources):
                rows = slice(ends[j], ends[j + 1])
                normal = np.tensordot(weight[j], grams, 1) + ridge
                factors[rows] = np.linalg.solve(normal, (target[rows] @ factors).T).T
                grams[j] = factors[rows].T @ factors[rows]

        # The same step for each source without each other one.
        normal = np.tensordot(weight, grams, 1)[:, None] - weight[:, :, None, None] * grams + ridge
        inverse = np.linalg.inv(normal)  # (M, M, r, r), symmetric
        seen = np.stack([np.add.reduceat(target * factors[:, q], t.first, axis=1) for q in range(r)], axis=2)
        seen = (target @ factors)[:, None] - seen  # (D, M, r)
        without = np.einsum("amq,amqr->amr", seen, inverse[t.owner])
        covariance = np.empty_like(target)
        for j in range(t.n_sources):
            rows = slice(ends[j], ends[j + 1])
            covariance[:, rows] = np.einsum("ar,bar->ab", without[:, j], without[rows][:, t.owner])
        # Error of a source's factors without another, along the other's: for each source and state, (M, D).
        error = np.einsum("bmq,mbqr->bmr", without, inverse[:, t.owner])
        error = (error * without).sum(axis=2).T[t.owner]
        unit = np.outer(t.scale, t.scale)
        return Null(covariance * unit * self._apart, (error + error.T) * unit**2 * self._apart, factors)
