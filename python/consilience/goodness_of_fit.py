"""Whether a fit of independent sources stands: what of the votes it leaves unexplained, and open.

Four tests. Pairs of votes, or of few sources whole rows, should come as often as the fit says. Each vote
should be foretold by the others as surely as their posterior says. Votes of one-sided sources should, taken
together, speak for what they say. And the votes should tell the class balance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.accuracy_prior import AccuracyPrior
from consilience.components import ComponentLayout
from consilience.events import number_events, states_of
from consilience.fitting import SourceFit
from consilience.gold import Gold, count_gold
from consilience.held_out import MAX_HELD_OUT, gain_of_doubt
from consilience.information import balance_error_by_rows
from consilience.likelihood import without_copies
from consilience.nodes import describe_event
from consilience.plans import two_sided
from consilience.row_frequencies import RowFrequencies
from consilience.rows import some_patterns
from consilience.scores import independent_scores, with_components
from consilience.statistics import Observation, VoteStatistics
from consilience.tied import SourceTable

__all__ = [
    "MIN_VOTES_PER_STRENGTH",
    "balance_error",
    "can_be_tested",
    "can_be_tested_by_pairs",
    "gain_by_doubt",
    "has_pairs",
    "spoken_against",
    "unexplained_by_fit",
    "unexplained_share",
]

MAX_TABLES = 1_000
"""Entries of the tables of all sources; where there are more, it would take too long to find."""

MIN_VOTES_SEEN = 20
"""Votes of a source among the rows below which they tell nothing of the class balance."""

MIN_ROWS, ROWS_PER_STRENGTH = 2_000, 20
"""Rows from which the error of the class balance is worked out, about, where there are more."""

CHANCE_GAIN = 5.0
"""What all votes together may gain by chance, in log-likelihood."""

MIN_VOTES_PER_STRENGTH = 50
MIN_PAIRS_PER_STRENGTH = 2
"""Fewer, and a fit that explains everything is no evidence of anything."""

NOISE = 1.0
"""Standard deviations of what chance leaves unexplained that are taken off with its mean: without it, weak
sources that are independent fail in 3 of 100 draws of 100,000 items; two let traits of 1,500 items pass."""

SURE = 2.0
"""Standard errors that how often votes are right must differ from chance by, to speak for or against."""

MAX_FEW = 6
"""Sources that are few."""

MAX_ITEMS = 1_000_000
"""Whose rows are looked at, where they are too unlike each other to look at all."""

MIN_ROWS_PER_PARAMETER = 1.5
"""Numbers that whole rows tell, for each that a fit of few sources chooses: fewer, and they are no test."""

MIN_EXPECTED = 5
"""Items that a pair of votes must be expected on to be looked at."""


def can_be_tested_by_pairs(statistics: VoteStatistics, fit: SourceFit, k: int) -> bool:
    """Whether there are enough votes, and pairs, for a fit, or one yet to be made, to be put to the test."""
    return _has_votes(statistics, fit, k) and has_pairs(statistics, fit, k)


def can_be_tested(observed: Observation, fit: SourceFit, k: int, *, missing: bool, n_threads: int) -> bool:
    """The same, but few sources by whole rows too."""
    if not _has_votes(observed.statistics, fit, k):
        return False
    if has_pairs(observed.statistics, fit, k):
        return True
    return _telling_rows(observed, fit, k, missing=missing, n_threads=n_threads) is not None


def _has_votes(statistics: VoteStatistics, fit: SourceFit, k: int) -> bool:
    """Whether votes are enough, and tell of every source that casts some."""
    n_strengths = _n_strengths(statistics, fit.model or "tied", k)
    learned = fit.learned[statistics.n_votes > 0].all()
    return bool(learned and statistics.n_votes.sum() >= MIN_VOTES_PER_STRENGTH * n_strengths)


def has_pairs(statistics: VoteStatistics, fit: SourceFit, k: int) -> bool:
    """Whether pairs of votes are a test."""
    n_strengths = _n_strengths(statistics, fit.model or "tied", k)
    rates = np.diag(statistics.pairs) / float(statistics.n)
    expected = np.maximum(statistics.pairs, np.outer(rates, rates) * float(statistics.n))
    pairs = np.triu(_tested(statistics, fit, expected))
    return bool(pairs.sum() >= MIN_PAIRS_PER_STRENGTH * n_strengths)


def _telling_rows(
    observed: Observation, fit: SourceFit, k: int, *, missing: bool, n_threads: int
) -> RowFrequencies | None:
    """How often sources cast each row together; None where they are many, together, or rows are no test."""
    own = _of_their_own(fit)
    if fit.layout is not None or np.count_nonzero(own) > MAX_FEW:
        return None
    layout = without_copies(fit)
    patterns = some_patterns(observed.rows(layout, n_threads)[0], MAX_ITEMS, n_threads)
    states = _states_in_tables(observed, fit, layout, own, patterns)
    rows = RowFrequencies.of(_tables_of(fit, own), states, patterns.weight, missing=missing)
    if rows is None:
        return None
    free, chosen = rows.freedom(fit.model or "tied", k)
    return rows if free >= MIN_ROWS_PER_PARAMETER * chosen else None


def _of_their_own(fit: SourceFit) -> NDArray[np.bool_]:
    """Sources that were learned, and not as the copy of another, (m,)."""
    return np.asarray(fit.learned & (fit.first == np.arange(len(fit.first))), dtype=np.bool_)


def _tables_of(fit: SourceFit, own: NDArray[np.bool_]) -> list[SourceTable]:
    return [fit.tables[j] for j in np.flatnonzero(own)]


def unexplained_by_fit(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    missing: bool,
    n_threads: int,
) -> float:
    """Share of what votes tell of each other that a fit leaves over: pairs, or of few sources whole rows."""
    statistics, k = observed.statistics, len(class_balance)
    if not has_pairs(statistics, fit, k):
        rows = _telling_rows(observed, fit, k, missing=missing, n_threads=n_threads)
        if rows is not None:
            tables = _tables_of(fit, _of_their_own(fit))
            return rows.unexplained_share(tables, class_balance, fit.model or "tied")
    return unexplained_share(statistics, fit, class_balance, missing=missing)


def _n_strengths(statistics: VoteStatistics, model: str, k: int) -> int:
    """Parameters of a model beyond the rates of votes: what pairs of votes are to determine."""
    n_nodes = len(statistics.node_source)
    of_sources = {"one-coin": statistics.n_sources, "tied": n_nodes, "free": n_nodes * (k - 1)}
    return of_sources[model] + k - 1


def _tested(statistics: VoteStatistics, fit: SourceFit, expected: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pairs of nodes that are expected on items enough; not of dependent sources, nor of copies."""
    source = statistics.node_source
    component = np.arange(statistics.n_sources)
    for cliques in () if fit.layout is None else fit.layout.components:
        members = sorted({j for clique in cliques for j in clique})
        component[members] = members[0]
    own = fit.first[source] == source
    apart = (component[source][:, None] != component[source][None, :]) & np.outer(own, own)
    tested: NDArray[np.bool_] = apart & (expected >= MIN_EXPECTED)
    return tested


def unexplained_share(
    statistics: VoteStatistics,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    missing: bool = False,
) -> float:
    """Share of what two sources' votes tell of each other that independence given the label leaves over.

    0 where it explains all but noise, 1 where it explains nothing: the sum over pairs of votes of squared
    standardised residuals, beyond what noise may add, relative to that of a fit without any label. Where
    abstentions are `missing`, who votes on what says nothing, and only items that both sources vote on count.
    """
    tables = _tables_of_nodes(statistics, fit, missing=missing)
    explained = (tables * class_balance) @ tables.T
    together = statistics.pairs.astype(np.float64)
    if missing:
        of_source = (statistics.node_source[:, None] == np.arange(statistics.n_sources)).astype(np.float64)
        of_node = (
            together @ of_source @ of_source.T
        )  # items on which the row's node meets the column's source
        n = of_source @ (of_source.T @ together @ of_source) @ of_source.T
        alone = of_node * of_node.T / np.maximum(n, 1.0) ** 2
        both = of_source @ (of_source.T @ explained @ of_source) @ of_source.T
        explained = np.divide(explained, both, out=np.zeros_like(both), where=both > 0)
    else:
        n = np.full_like(together, float(statistics.n))
        rates = np.diag(together) / float(statistics.n)
        alone = np.outer(rates, rates)
    expected = np.maximum(explained, alone)
    tested = np.triu(_tested(statistics, fit, expected * n))
    if not tested.any():
        return 1.0
    n = np.maximum(n, 1.0)
    variance = np.maximum(expected * (1 - expected), 1e-12) / n
    residual = float((((together / n - explained) ** 2 / variance)[tested]).sum())
    without_label = float((((together / n - alone) ** 2 / variance)[tested]).sum())
    n_pairs = int(tested.sum())
    freedom = max(n_pairs - _n_strengths(statistics, fit.model or "tied", len(class_balance)), 1)
    by_chance = freedom + NOISE * float(np.sqrt(2 * freedom))
    share = max(0.0, residual - by_chance) / max(without_label - n_pairs, 1.0)
    return min(share, 1.0)


def _tables_of_nodes(statistics: VoteStatistics, fit: SourceFit, *, missing: bool) -> NDArray[np.float64]:
    """``P(vote | Y)`` of each node, (d, K), or given that the source votes; 0 where counted with another."""
    tables = np.zeros((len(statistics.node_source), fit.tables[0].table.shape[1]))
    for j, source in enumerate(fit.tables):
        if fit.first[j] != j:  # counted once with another, which may vote for other events
            continue
        nodes = np.flatnonzero(statistics.node_source == j)
        votes = source.table[:-1]
        if missing:
            total = votes.sum(axis=0)
            votes = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
        tables[nodes] = votes[states_of(source.events, statistics.node_event[nodes]) - 1]
    return tables


def gain_by_doubt(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    missing: bool,
    n_threads: int,
) -> float:
    """What a vote's log-probability gains, on average, if the posterior of the others is tempered."""
    events, layout = observed.coded.events, without_copies(fit)
    scores = independent_scores(fit, events, class_balance, missing=missing)
    copies = np.bincount(fit.first, minlength=len(fit.first))
    # Of copies one is read, and counts for all.
    scores = replace(scores, of_state=scores.of_state * copies[:, None, None])
    if fit.layout is not None:
        scores = with_components(scores, layout, fit.components, missing=missing)
    rows, _ = observed.rows(layout, n_threads)
    votes_per_item = float(observed.statistics.n_votes.sum()) / float(observed.statistics.n)
    patterns = some_patterns(rows, int(MAX_HELD_OUT / votes_per_item), n_threads)
    states = np.zeros(scores.of_state.shape[:2], dtype=np.bool_)
    for j in layout.alone:
        states[layout.column[j], states_of(events, fit.tables[j].events)] = True
    for component in fit.components:
        # The votes of a clique are foretold together, where no other clique knows some of them.
        if len(layout.beside(component.members)) == len(component.members):
            states[layout.column_of(component.members), 1 : len(component.table)] = True
    gain, n_votes = gain_of_doubt(patterns, scores, states, n_threads=n_threads)
    return max(gain - CHANCE_GAIN, 0.0) / max(n_votes, 1.0)


def balance_error(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    gold: Gold | None,
    n_threads: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard error of the class balance, (K,), and what of it as many known labels would not have."""
    error = _error_by_votes(observed, fit, class_balance, n_threads)
    of_label = class_balance * (1 - class_balance)
    if gold is not None:  # what votes tell, and what gold does
        n_known = np.count_nonzero(gold.masks[gold.at[gold.known]].sum(axis=1) == 1)
        error = error / np.sqrt(1 + n_known * error**2 / np.maximum(of_label, 1e-12))
    beyond = np.sqrt(np.maximum(error**2 - of_label / float(observed.statistics.n), 0.0))
    return error, beyond


def _error_by_votes(
    observed: Observation, fit: SourceFit, class_balance: NDArray[np.float64], n_threads: int
) -> NDArray[np.float64]:
    """Standard error of the class balance of independent sources, (K,); 0 where tables are large."""
    statistics = observed.statistics
    n_strengths = _n_strengths(statistics, fit.model or "tied", len(class_balance))
    layout = without_copies(fit)
    rows, _ = observed.rows(layout, n_threads)
    n, n_rows = rows.n, max(MIN_ROWS, ROWS_PER_STRENGTH * n_strengths)
    patterns = some_patterns(rows, n_rows, n_threads)
    if len(patterns) > n_rows:
        patterns = patterns.thinned(n / n_rows, n_threads=n_threads)
    weights = patterns.weight * (n / patterns.weight.sum())
    start, column, _ = patterns.rows()
    row = np.repeat(np.arange(len(patterns)), np.diff(start))
    votes = np.bincount(column, weights[row], minlength=layout.n_columns)[layout.column]
    own = _of_their_own(fit) & (votes >= MIN_VOTES_SEEN)
    if sum(table.table.size for table in _tables_of(fit, own)) > MAX_TABLES:
        return np.zeros(len(class_balance))
    in_tables = _states_in_tables(observed, fit, layout, own, patterns)
    return balance_error_by_rows(
        fit.tables,
        fit.event_masks(),
        own,
        in_tables,
        weights,
        model=fit.model or "tied",
        class_balance=class_balance,
        missing=fit.missing,
        given_voters=fit.given_voters,
    )


def _states_in_tables(
    observed: Observation,
    fit: SourceFit,
    layout: ComponentLayout,
    own: NDArray[np.bool_],
    patterns: _core.Patterns,
) -> list[NDArray[np.int64]]:
    """For each source of `own`, its state in each of some rows: a row of its table."""
    start, column, state = patterns.rows()
    row = np.repeat(np.arange(len(patterns)), np.diff(start))
    found = []
    for j in np.flatnonzero(own):
        events = fit.tables[j].events
        row_of_state = np.zeros(1 + len(observed.coded.events), dtype=np.int64)
        row_of_state[states_of(observed.coded.events, events)] = np.arange(len(events))
        of_source = column == layout.column[j]
        of_rows = np.full(len(patterns), len(events))  # abstains
        of_rows[row[of_source]] = row_of_state[state[of_source]]
        found.append(of_rows)
    return found


def spoken_against(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    gold: Gold | None,
    prior: AccuracyPrior | None,
    trusted: NDArray[np.int64],
) -> tuple[float, str]:
    """How far a vote of a one-sided source for an event lowers its log-odds, and the event, in words.

    All these votes pooled, beyond noise, less what votes for it of sources for every class move, whichever
    way: where they move more, it is they that carry the label. 0 where no event is spoken against.

    Sources that vote for every class may all be turned round, and third moments tell which way is right. Of
    one-sided ones that is no mirror image: whatever makes items be voted on was taken for the label. Where
    gold or `prior` says of a source that it is right less often than by chance, its votes are no sign of
    that; nor is any vote for an event for which `trusted` sources turn out to speak.
    """
    statistics = observed.statistics
    source = statistics.node_source
    masks = statistics.task_graph.event_masks(statistics.node_event)
    joint = float(statistics.n) * _tables_of_nodes(statistics, fit, missing=False) * class_balance
    votes, right, chance = joint.sum(axis=1), (joint * masks).sum(axis=1), masks @ class_balance
    counted = (votes > 0) & (chance > 1e-9) & (chance < 1 - 1e-9)
    of_many = counted & two_sided(statistics)[source]
    of_sided = counted & ~of_many & ~_known_for_poor(observed, fit.first, chance, gold, prior)
    of_trusted = counted & np.isin(source, fit.first[trusted])
    events, event = number_events(statistics.node_event)
    worst, words = 0.0, ""
    for e in np.unique(event[of_sided]).tolist():
        sided, many, told = (of & (event == e) for of in (of_sided, of_many, of_trusted))
        by_chance, n_sided = float(chance[sided][0]), float(votes[sided].sum())
        noise = SURE * np.sqrt(by_chance * (1 - by_chance))  # of a single vote
        if told.any():
            n_told = float(votes[told].sum())
            if right[told].sum() / n_told > by_chance + noise / np.sqrt(n_told):
                continue
        at_most = min(right[sided].sum() / n_sided + noise / np.sqrt(n_sided), by_chance)
        least = 0.5 / np.maximum(votes[many], 1.0)
        after_many = np.clip(right[many] / votes[many], least, 1 - least)
        moved_by_many = votes[many] @ np.abs(_log_odds(after_many) - _log_odds(by_chance))
        lowered = float(_log_odds(by_chance) - _log_odds(at_most) - moved_by_many / n_sided)
        if lowered > worst:
            worst, words = lowered, describe_event(statistics.task_graph, events[e].tolist())
    return worst, words


def _log_odds(p: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(p) - np.log1p(-np.asarray(p)), dtype=np.float64)


def _known_for_poor(
    observed: Observation,
    first: NDArray[np.int64],
    chance: NDArray[np.float64],
    gold: Gold | None,
    prior: AccuracyPrior | None,
) -> NDArray[np.bool_]:
    """Nodes that gold, or somebody, holds to be right less often than by chance, (d,)."""
    source = observed.statistics.node_source
    poor = np.zeros(len(source), dtype=np.bool_)
    if gold is not None:
        found = count_gold(gold, observed)
        poor |= found.tells[source] & (found.strength < 0)
    if prior is not None:
        own = prior.counted_once(first)
        poor |= (own.votes[source] > 0) & (own.accuracy[source] < chance)
    return poor
