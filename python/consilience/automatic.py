"""The default method: maximum likelihood where votes look independent, caution where they do not.

Sources are first taken to be independent given the label and fitted by the moments and by EM. If that fit
explains how often every two sources vote together, the posterior of all votes but one foretells that one as
surely as it should, votes of one-sided sources together speak for what they say, and the class balance is
known well enough, it is as good as any, and is kept. What it leaves unexplained is evidence that sources
depend on each other; the more of it there is, the more the labels are those of the cautious fits of
:mod:`consilience.cautious`. With a real dependence that share stays, however many items there are; without
one it goes to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from consilience.accuracy_prior import AccuracyPrior
from consilience.anchors import groups_of_sources, told_of_trusted
from consilience.cautious import INTERPRETATIONS, CautiousFit, accuracy_range, tempered, with_grades
from consilience.events import has_plain_events, states_of
from consilience.exceptions import listed
from consilience.fitting import SUSPECTS, SourceFit
from consilience.gold import Gold, known_rows, without_gold
from consilience.goodness_of_fit import (
    balance_error,
    can_be_tested,
    gain_by_doubt,
    has_pairs,
    spoken_against,
    unexplained_by_fit,
    unexplained_share,
)
from consilience.halves import DEFAULT_CAUTION, choose_caution
from consilience.likelihood import maximise_likelihood, without_copies
from consilience.panel import Panel
from consilience.score_table import ScoreTable, WeightedScores
from consilience.scores import independent_scores, majority_shares
from consilience.statistics import Observation, VoteStatistics
from consilience.tied import SourceTable

__all__ = ["fit_automatically"]

FULL_TRUST, NO_TRUST = 0.005, 0.015
"""Unexplained shares up to which the likelihood is trusted wholly, and from which on not at all."""

FULL_CONFIDENCE, NO_CONFIDENCE = 0.001, 0.003
"""Gains in a vote's log-probability by doubt up to which the likelihood is trusted, and from which on not."""

WELL_KNOWN, UNKNOWN = 0.05, 0.1
"""Half the sum of the standard errors of the class balance, beyond those of as many known labels, up to which
the likelihood is trusted, and from which on not."""

SPOKEN_FOR, SPOKEN_AGAINST = 0.1, 0.2
"""Log-odds that an event loses by a one-sided source's vote for it, beyond noise, up to which the likelihood
is trusted, and from which on not; 0.25 to 0.45 where a trait of 1,000 items is taken for a class of 2 %."""

MAX_NODES_OF_INTERVALS = 300
"""Votes that sources may cast, up to which the intervals of the likelihood are worked out beside others."""

HOPELESS, HOPELESS_TOGETHER = 0.1, 0.05
"""Unexplained share of the moments, and of the best model on its way, from which on EM is given up early; the
second where the fit is kept wholly or not at all: with dependencies found in the votes, or on trial."""

FEW_ONE_SIDED, MANY_ONE_SIDED = 0.02, 0.98
"""Shares of one-sided votes below, and above, which sources are all read alike."""


def fit_automatically(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    missing: bool,
    n_threads: int,
    asks: bool = False,
    dependencies_learned: bool = False,
    gold: Gold | None = None,
    prior: AccuracyPrior | None = None,
    ordered: bool | None = None,
    trusted: NDArray[np.int64] | None = None,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """Tables, what labels are scored by, and class balance.

    Parameters
    ----------
    observed : Observation
        The votes.
    fit : SourceFit
        By the moments.
    class_balance : (K,) float64 array
        ``P(Y)``, or where to start.
    learn_balance : bool
        Whether to learn it.
    missing : bool
        Whether abstentions say nothing.
    n_threads : int
        For the passes over the votes.
    asks : bool
        Whether to find out if abstentions say anything, where they are not `missing`.
    dependencies_learned : bool
        Whether the dependencies, where there are some, were found in these votes: then they are put to the
        test with the rest. Given ones are taken for all there are, and the likelihood is trusted.
    gold : Gold or None
        What is known of the labels.
    prior : AccuracyPrior or None
        What is believed of the sources.
    ordered : bool or None
        Whether the classes of a single task are grades, for cautious fits; None: by evidence.
    trusted : array of int, optional
        Sources that are better than chance, for cautious fits; `fit` has their signs already.

    Returns
    -------
    fit : SourceFit
    class_balance : (K,) float64 array
    """
    statistics = observed.statistics
    trusted = np.zeros(0, dtype=np.int64) if trusted is None else trusted
    reason = "votes, or sources, are too few to tell whether sources are independent given the label"
    if not fit.learned[statistics.n_votes > 0].all():
        reason = "votes cannot tell how accurate every source is"
    found = _Likelihood(fit, class_balance, 0.0, reason)
    # Given dependencies are what there is, where all of them are modelled.
    given = fit.layout is not None and not dependencies_learned and not fit.uncounted
    if given or can_be_tested(observed, fit, len(class_balance), missing=missing, n_threads=n_threads):
        climb = partial(
            _likelihood,
            observed,
            found,
            learn_balance=learn_balance,
            n_threads=n_threads,
            given=given,
            gold=gold,
            prior=prior,
            trusted=trusted,
        )
        found = climb(missing=missing, asks=asks)
        if given:
            return found.fit, found.class_balance
        if asks and found.trust < 1 and fit.layout is None and _vote_for_everything(statistics):
            # Who is asked about what may follow a plan: then only what sources say need be independent.
            other = climb(missing=True, asks=False, is_trial=True)
            if other.trust == 1.0:
                found, missing = other.with_one_silence(), True
    likely, balance, trust, reason = found.fit, found.class_balance, found.trust, found.reason
    if likely.layout is not None:  # labels by joint tables are not averaged with others
        trust = float(trust >= 0.5)
    if trust == 1.0:
        return replace(likely, said=_remarks_of_likelihood(likely)), balance
    if likely.layout is not None:
        remarks = likely.remarks if dependencies_learned else [*likely.remarks, _about_given(likely)]
        likely = replace(likely, layout=None, components=[], said=remarks)
    return _with_caution(
        observed,
        likely,
        balance,
        trust,
        reason,
        None if learn_balance else class_balance,
        gold,
        prior,
        ordered,
        trusted,
        missing=missing,
        n_threads=n_threads,
    )


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """A maximum of the likelihood, and how far it is trusted."""

    fit: SourceFit
    class_balance: NDArray[np.float64]
    trust: float
    reason: str

    def trusted_up_to(self, trust: float, reason: str) -> _Likelihood:
        """The same, trusted less where a further test says so, and for what reason."""
        return self if trust >= self.trust else replace(self, trust=trust, reason=reason)

    def with_one_silence(self) -> _Likelihood:
        """The same votes given who votes; abstentions with one rate each."""
        tables = [table.with_one_silence(self.class_balance) for table in self.fit.tables]
        missing = np.ones(len(tables), dtype=np.bool_)
        remark = "sources vote on the same items more, or less, than labels explain: abstentions say nothing"
        fit = replace(self.fit, tables=tables, missing=missing, said=[*self.fit.remarks, remark])
        return replace(self, fit=fit)


def _likelihood(
    observed: Observation,
    start: _Likelihood,
    *,
    learn_balance: bool,
    missing: bool,
    asks: bool,
    is_trial: bool = False,
    n_threads: int,
    given: bool,
    gold: Gold | None,
    prior: AccuracyPrior | None,
    trusted: NDArray[np.int64],
) -> _Likelihood:
    """The most likely fit, put to the test unless dependencies are `given`; a trial is given up sooner."""
    statistics, fit, class_balance = observed.statistics, start.fit, start.class_balance
    most = HOPELESS if fit.layout is None and not is_trial else HOPELESS_TOGETHER

    def is_hopeless(tables: SourceFit, balance: NDArray[np.float64]) -> bool:
        return unexplained_share(statistics, tables, balance, missing=missing) > most

    may_be_hopeless = is_trial or (not given and is_hopeless(fit, class_balance))
    # Few sources cast few different rows: EM takes no time, and may yet find its way.
    may_be_hopeless &= given or has_pairs(statistics, fit, len(class_balance))
    likely, balance = maximise_likelihood(
        observed,
        fit,
        class_balance,
        learn_balance=learn_balance,
        missing=missing,
        asks=asks,
        n_threads=n_threads,
        is_hopeless=is_hopeless if may_be_hopeless else None,
        gold=gold,
        prior=prior,
        trusted=trusted,
        warns=not is_trial,
    )
    if given or not can_be_tested(observed, likely, len(balance), missing=missing, n_threads=n_threads):
        return _Likelihood(likely, balance, start.trust, start.reason)
    unexplained = unexplained_by_fit(observed, likely, balance, missing=missing, n_threads=n_threads)
    found = _Likelihood(
        likely,
        balance,
        _between(unexplained, FULL_TRUST, NO_TRUST),
        f"the label leaves {unexplained:.1%} of what votes tell of each other unexplained",
    )
    if found.trust > 0:
        doubt = gain_by_doubt(observed, likely, balance, missing=missing, n_threads=n_threads)
        found = found.trusted_up_to(
            _between(doubt, FULL_CONFIDENCE, NO_CONFIDENCE),
            "votes on an item hang together beyond its label: others foretell them too surely",
        )
    if found.trust > 0:
        against, event = spoken_against(observed, likely, balance, gold, prior, trusted)
        found = found.trusted_up_to(
            _between(against, SPOKEN_FOR, SPOKEN_AGAINST),
            f"votes of one-sided sources for {event} would, taken together, speak against it",
        )
    if found.trust > 0 and learn_balance and likely.layout is None:
        error, beyond_labels = balance_error(observed, likely, balance, gold, n_threads)
        found = found.trusted_up_to(
            _between(float(beyond_labels.sum() / 2), WELL_KNOWN, UNKNOWN),
            f"votes leave the class balance too open for the likelihood (standard error {error.max():.2f})",
        )
    return found


def _vote_for_everything(statistics: VoteStatistics) -> bool:
    """Whether no source that votes leaves out some label vector: what it would say by its silence.

    Also where nobody votes for it: then all are silent about it.
    """
    masks = statistics.task_graph.event_masks(statistics.node_event)
    of_vector = np.zeros((statistics.n_sources, masks.shape[1]), dtype=np.int64)
    np.add.at(of_vector, statistics.node_source, masks)
    return bool((of_vector[statistics.n_votes > 0] > 0).all())


def _between(found: float, full: float, none: float) -> float:
    """1 up to `full`, 0 from `none` on, and the share of the way between."""
    return float(np.clip((none - found) / (none - full), 0.0, 1.0))


def _with_caution(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    trust: float,
    reason: str,
    given_balance: NDArray[np.float64] | None,
    gold: Gold | None,
    prior: AccuracyPrior | None,
    ordered: bool | None,
    trusted: NDArray[np.int64],
    *,
    missing: bool,
    n_threads: int,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """Labels that average the cautious fits, and the most likely one as far as it is trusted."""
    panel = _panel(observed, fit, given_balance, gold, missing=missing, n_threads=n_threads)
    if prior is not None:
        panel = replace(panel, prior=prior.counted_once(fit.first))
    if not has_plain_events(observed.statistics.task_graph):
        ordered = False
    panel, fits, about_trusted = _anchored(panel, ordered, fit.first[trusted])
    balance = cautious_balance = np.mean([one.class_balance for one in fits], axis=0)
    tables = np.mean([one.tables for one in fits], axis=0)
    if trust > 0:
        balance = (1 - trust) * balance + trust * class_balance
    sources = _source_tables(observed, fit, tables, trust)
    parts = _parts(observed, fit, fits, trust, class_balance, cautious_balance, panel.turned, missing=missing)
    remark = (
        f"{reason}: accuracies are drawn towards a prior, and labels average cautious readings of the votes"
    )
    if trust > 0:
        remark += f", with a weight of {trust:.0%} on the most likely one"
    remark += _held_out_remark(fits)
    if panel.slope > 0:
        remark += (
            ". Classes are taken for grades: with each class further off, a wrong vote is "
            f"{np.exp(panel.slope):.1f} times as rare"
        )
    remark += about_trusted.remark
    remarks = [*fit.remarks, remark]
    result = replace(
        fit,
        tables=sources,
        parts=parts,
        said=remarks,
        balance_learned=False,
        model=None,
        bic={},
        accuracy_range=accuracy_range(panel, fits),
        likely=_likely_intervals(fit, class_balance),
        sign_rules=_sign_rules(fit, about_trusted.settled),
    )
    return result, balance / balance.sum()


def _readings(panel: Panel, ordered: bool | None) -> tuple[Panel, list[CautiousFit]]:
    """The cautious fits of a panel, and the panel with what was learned of grades."""
    caution = DEFAULT_CAUTION
    if panel.share_one_sided < MANY_ONE_SIDED:
        panel = with_grades(panel, ordered)
        caution, _ = choose_caution(panel)
    n_interpretations = len(INTERPRETATIONS) if panel.share_one_sided > FEW_ONE_SIDED else 1
    interpretations = [
        s for s in INTERPRETATIONS[:n_interpretations] if panel.agreements is not None or not s.discount
    ]
    return panel, [tempered(panel, one, caution) for one in interpretations]


@dataclass(frozen=True, eq=False)
class _AboutTrusted:
    """Which sources trusted ones settle the sign of, (m,), and what is said of it."""

    settled: NDArray[np.bool_]
    remark: str = ""


def _anchored(
    panel: Panel, ordered: bool | None, trusted: NDArray[np.int64]
) -> tuple[Panel, list[CautiousFit], _AboutTrusted]:
    """Cautious fits in which trusted sources are better than chance, as far as votes tell."""
    m = len(panel.counts)
    as_given = panel
    panel, fits = _readings(as_given, ordered)
    if not len(trusted):
        return panel, fits, _AboutTrusted(np.zeros(m, dtype=np.bool_))
    is_trusted = np.zeros(m, dtype=np.bool_)
    is_trusted[trusted] = True
    told = told_of_trusted(panel, fits, is_trusted, groups_of_sources(panel))
    turned = told.worse & ~is_trusted
    if panel.prior is not None:  # these have a start of their own
        turned &= panel.prior.votes == 0
    if not turned.any():
        found = "come" if told.settled.any() else "settle nothing: they hardly come"
        remark = f". Trusted sources {found} out better than chance in them"
        return panel, fits, _AboutTrusted(told.settled, remark)
    other, others = _readings(replace(as_given, turned=turned), ordered)
    again = told_of_trusted(other, others, is_trusted, told.group)
    if not again.settled[turned].all():
        remark = ". Trusted sources come out worse than chance, but votes hardly bear the opposite either"
        return panel, fits, _AboutTrusted(told.settled, remark)
    remark = (
        f". By the plain vote trusted sources would be worse than chance: {np.count_nonzero(turned)} sources "
        "that vote on the same items are taken to speak against what they say, as far as votes do not tell"
    )
    return other, others, _AboutTrusted(again.settled, remark)


def _sign_rules(fit: SourceFit, settled: NDArray[np.bool_]) -> list[str]:
    """What chose the sign of each sign component in cautious fits, trusted sources where they did so."""
    component = fit.structure.report.sign_components
    of_node = settled[fit.structure.system.statistics.node_source]
    return [
        "trusted" if of_node[component == c].any() else rule if rule == "gold" else "plain vote"
        for c, rule in enumerate(fit.sign_rules)
    ]


def _held_out_remark(fits: list[CautiousFit]) -> str:
    """How much less sure labels are than the readings, by the votes held out, or nothing."""
    temperature = float(np.mean([one.temperature for one in fits]))
    vote_share = float(np.mean([one.vote_share for one in fits]))
    found = []
    if temperature < 1:
        found.append(f"log-odds count {temperature:.2f} times")
    if vote_share > 0:
        found.append(f"the plain vote has a weight of {vote_share:.0%}")
    return f". As held-out votes are foretold best, {' and '.join(found)}" if found else ""


def _remarks_of_likelihood(fit: SourceFit) -> list[str]:
    """What is said of a likelihood that stands its tests: then pairs that moments do not explain are none."""
    remark = "given the label"
    if fit.layout is not None:
        # Where some could not be modelled, which ones were.
        of = f"the dependencies of {_dependent(fit)}" if fit.uncounted else "these dependencies"
        remark += f" but for {of}"
    kept = [one for one in fit.remarks if not one.startswith(SUSPECTS)]
    return [*kept, f"as far as these votes tell, sources are independent {remark}: maximum likelihood"]


def _about_given(fit: SourceFit) -> str:
    """What is said of given dependencies that a fit models, where labels are cautious instead."""
    return (
        f"the given dependencies of {_dependent(fit)} are modelled only where the fit with them stands its "
        "tests: labels take these sources as independent too. Leave out most of the sources with too many "
        "joint states, and dependencies that are given are modelled, and trusted"
    )


def _dependent(fit: SourceFit) -> str:
    """Names of the sources that a fit models together."""
    assert fit.layout is not None
    members = sorted({j for clique in fit.layout.members for j in clique})
    return listed(fit.structure.report.source_names[j] for j in members)


def _likely_intervals(
    fit: SourceFit, class_balance: NDArray[np.float64]
) -> tuple[SourceFit, NDArray[np.float64]] | None:
    """The most likely fit and its class balance, where its intervals can be found in good time."""
    soon = fit.learned.any() and 0 < len(fit.strength) <= MAX_NODES_OF_INTERVALS
    return (fit, class_balance) if soon else None


def _panel(
    observed: Observation,
    fit: SourceFit,
    given_balance: NDArray[np.float64] | None,
    gold: Gold | None,
    *,
    missing: bool,
    n_threads: int,
) -> Panel:
    statistics, coded = observed.statistics, observed.coded
    graph, m = statistics.task_graph, statistics.n_sources
    own = fit.first == np.arange(m)
    patterns, coding = without_gold(gold, observed).patterns(without_copies(fit), n_threads)
    n_states = coded.coding.n_states
    counts, agreements = _counts(observed)
    counts[~own] = 0.0
    if agreements is not None:
        agreements[~own], agreements[:, ~own] = 0.0, 0.0
    masks = np.zeros((n_states, graph.n_vectors), dtype=np.bool_)
    masks[1 : len(coded.events) + 1] = graph.event_masks(coded.events)
    support = counts > 0
    if has_plain_events(graph):
        support[:, 1:] = True
    panel = Panel.of(patterns, counts, masks, support, agreements, given_balance, n_threads)
    if gold is not None:
        panel = panel.with_known(known_rows(gold, observed, coding, (m, n_states)))
    if missing:  # then how often a source fires says nothing either
        panel = replace(panel, one_sided=np.zeros(m))
    return panel


def _counts(observed: Observation) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Votes of each source in each state, (m, S), and the share of items on which sources agree, (m, m).

    The latter is None where sources are too many for their pairs.
    """
    statistics, coded = observed.statistics, observed.coded
    if observed.marginals is not None:
        return observed.marginals.astype(np.float64), None
    m = statistics.n_sources
    counts, agreements = np.zeros((m, coded.coding.n_states)), np.zeros((m, m))
    state = states_of(coded.events, statistics.node_event)
    counts[statistics.node_source, state] = np.diag(statistics.pairs)
    for s in np.unique(state):
        nodes = np.flatnonzero(state == s)
        source = statistics.node_source[nodes]
        agreements[np.ix_(source, source)] += statistics.pairs[np.ix_(nodes, nodes)]
    agreements /= max(float(statistics.n_covered), 1.0)
    return counts, agreements


def _parts(
    observed: Observation,
    fit: SourceFit,
    fits: list[CautiousFit],
    trust: float,
    class_balance: NDArray[np.float64],
    cautious_balance: NDArray[np.float64],
    turned: NDArray[np.bool_] | None,
    *,
    missing: bool,
) -> tuple[WeightedScores, ...]:
    """Score tables whose posteriors are averaged; duplicates share what one of them says."""
    graph, events = observed.statistics.task_graph, observed.coded.events
    copies = 1 / np.bincount(fit.first, minlength=len(fit.first))[fit.first]
    parts = []
    if trust > 0:
        parts.append(WeightedScores(trust, independent_scores(fit, events, class_balance, missing=missing)))
    plain = 0.0
    for one in fits:
        weight = (1 - trust) / len(fits)
        plain += weight * one.vote_share
        of_state = one.temperature * one.of_state[fit.first] * copies[:, None, None]
        silent = one.temperature * one.silent[fit.first] * copies[:, None]
        scores = ScoreTable(
            np.ascontiguousarray(of_state), one.temperature * one.base, "softmax", silent=silent
        )
        parts.append(WeightedScores(weight * (1 - one.vote_share), scores))
    if plain > 0:
        own = None if turned is None else turned[fit.first]
        shares = majority_shares(len(fit.first), graph, events, cautious_balance, own)
        parts.append(WeightedScores(plain, replace(shares, of_state=shares.of_state * copies[:, None, None])))
    return tuple(part for part in parts if part.weight > 0)


def _source_tables(
    observed: Observation, fit: SourceFit, tables: NDArray[np.float64], trust: float
) -> list[SourceTable]:
    result = []
    for j, source in enumerate(fit.tables):
        states = states_of(observed.coded.events, source.events)
        table = tables[fit.first[j]][[*states.tolist(), 0]]
        table = table / table.sum(axis=0)
        if trust > 0:
            table = (1 - trust) * table + trust * source.table
        result.append(SourceTable(source.events, np.maximum(table, 1e-300)))
    return result
