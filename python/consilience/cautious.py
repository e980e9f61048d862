"""Estimates for sources that may depend on each other in ways that nobody has said.

The likelihood of independent sources spends its freedom on whatever makes votes agree: copies, common
habits, items that many sources speak about. This module keeps to weaker statements that hold up there:

* A source that never votes for some class (*one-sided*) has a precision for each event it votes for, drawn
  towards ``PRECISION`` by ten votes and as many again as it has. How often it fires tells nothing of the
  class balance.
* A source that votes for every class has a table of how it confuses them, given that it votes, drawn towards
  a single accuracy for all its votes: as strongly as the tables of all sources together suggest, and further
  by a *caution*, a weight for each vote, that is chosen so that two halves of the sources, fitted apart,
  name the same labels (:mod:`consilience.halves`). Where many votes would come to speak against what they
  say, all count alike and as usual: a habit that splits the sources fits the votes as well as the label.
* What a silence says, and how much votes that hang together count, is not known: labels average fits that
  answer differently (``INTERPRETATIONS``).
* How sure labels are is measured: each vote is foretold by the other votes of its row, and the posterior is
  tempered, and mixed with the plain vote, as foretells best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.held_out import best_confidence
from consilience.intervals import QUANTILE
from consilience.ordered import LEAST_SPAN, MAX_GRADES, SLOPES, order_stands_out, weights_of_errors
from consilience.panel import Cells, Panel, columns_of

__all__ = [
    "INTERPRETATIONS",
    "CautiousFit",
    "Interpretation",
    "accuracy_range",
    "fit_panel",
    "tempered",
    "with_grades",
]

PRECISION = 0.75
"""Prior mean of a one-sided source's precision. At 0.65 the Brier score of synthetic one-sided votes is 0.02
worse, at 0.85 that of real ones 0.01; labels hardly change."""

PRIOR_VOTES, PRIOR_PER_VOTE = 10.0, 1.0
"""Votes that the prior precision counts as: so many, and so many for each vote of the source. The first may
be 3 or 30; as for the second, a third of it and three times as much both lose a point on real one-sided
votes."""

ACCURACY, ACCURACY_VOTES = 0.7, 10.0
"""Prior mean of the single accuracy of a source that votes for every class, and the votes it counts as: 0.6
or 0.8, and 3 or 30 votes, change no family of votes by more than 0.2 points."""

STRENGTHS = tuple(float(2**i) for i in range(8))
"""Candidates for how strongly confusion tables keep to a single accuracy, in votes: a factor of 2 apart. With
a factor of 4 crowds lose 0.2 points, half a factor changes nothing."""

LEAST_BALANCE_SHARE = 0.1
"""Least weight of the uniform class balance, as a share of the items; one-sided votes add to it. Anything
from 0.03 to 0.3 names the same labels, but for 0.2 points."""

ALL_SEEN, LEAST_SEEN = 0.2, 0.02
"""Lifts are taken over class shares to which this share of the items is added, divided among the classes, and
to each at least that much: a vote for a class that few items are held to have would otherwise outweigh all
others, as the balance beside it is drawn to uniform. With 0.04 in all, traits beside a class of 2 % cost 3
more points; with 0.4 they cost 3 fewer, but real one-sided votes lose 0.1. Of many classes a little of each
will do: from 0.004 to 0.1 the labels of 24 to 150 classes differ by 0.6 points at most."""

MAX_STEPS = 60
"""Half as many, or three times as many, give the same labels and the same scores."""

TOLERANCE = 2e-3
"""Steps end when no source has more than this share of its votes counted elsewhere than before. At 0.0002
scores are the same but for 0.1 points and take longer; at 0.01 one-sided minorities lose 0.3."""

GRADING_STEPS = 12
"""Steps after which wrong votes are looked at for the order of the classes: labels have mostly settled, and
the counts need not be exact."""

EVIDENCE_STEPS = (1, 3, 6, 10, 15, 25, 40)
REDUNDANCY_STEPS = (0, 2, 5, 10)
"""Steps in which the strength of the centre, and the weights of votes that agree, are worked out anew: often
at first, when tables move, and then held, so that steps come to an end."""

MIN_RESIDUAL = 0.1
"""Agreement given the label, as a correlation, from which on votes count as hanging together: at 0.05, or
0.2, the Brier score of real one-sided votes is worse, by 0.0004 and 0.002."""

MOST_AGAINST = 0.3
"""Share of the votes that may come to speak against what they say, before all their sources count alike.
Where a habit divides sources it comes near a half; at 0.2 crowds with poor workers lose 1.7 points, at 0.4
nothing changes. How right they then are, fits in which they are not cannot tell: it is what is usual
(``ACCURACY``), with which judges of two orders have a Brier score of 0.28 (0.36 where it was learned)."""

ERROR_CORRELATION = 0.3
"""Least correlation between the errors of two votes on an item, where votes on items hang together. Gold
would ask for 0.1 to 0.7; labels hardly change, Brier scores of crowds are 0.006 worse at 0.1, 0.008 at
0.5."""

Tables = NDArray[np.float64]


@dataclass(frozen=True)
class Interpretation:
    """One way to read one-sided sources.

    Attributes
    ----------
    silence : float
        Power of the evidence of an abstention: 0 ignores it, 1 takes it at its word.
    discount : bool
        Whether votes that agree more than the label explains count less.
    """

    silence: float = 0.0
    discount: bool = False


INTERPRETATIONS = (Interpretation(), Interpretation(silence=0.5), Interpretation(discount=True))
"""Labels average these where there are one-sided sources; others are only read the first way."""


@dataclass(frozen=True, eq=False)
class CautiousFit:
    """What one interpretation learned.

    Attributes
    ----------
    scores : (C, K) float64 array
        What each cell of the panel adds to the score of a label vector.
    base : (K,) float64 array
        Score of a row without votes.
    reading
        The last step, for what is worked out only on demand.
    temperature, vote_share : float
        The posterior is ``(1 - vote_share) softmax(temperature * score) + vote_share * plain vote``.
    """

    scores: NDArray[np.float64]
    base: NDArray[np.float64]
    reading: _Reading
    temperature: float = 1.0
    vote_share: float = 0.0

    @property
    def class_balance(self) -> NDArray[np.float64]:
        """``P(Y)``, (K,)."""
        return self.reading.class_balance

    @property
    def silent(self) -> NDArray[np.float64]:
        """What an abstention of each source adds: a part of ``base``, (m, K)."""
        return self.reading.silent

    @cached_property
    def of_state(self) -> NDArray[np.float64]:
        """What each state adds to the score, (m, S, K), those never met included; abstaining adds nothing."""
        return self.reading.dense()[0]

    @cached_property
    def tables(self) -> NDArray[np.float64]:
        """``P(state | Y = y)``, (m, S, K); state 0 abstains."""
        return self.reading.dense()[1]


def fit_panel(
    panel: Panel,
    interpretation: Interpretation = INTERPRETATIONS[0],
    caution: float = 0.1,
    start: CautiousFit | None = None,
    max_steps: int = MAX_STEPS,
) -> CautiousFit:
    """Fit of a panel, from the plain vote or from an earlier fit with its temperature.

    Parameters
    ----------
    panel : Panel
        The votes.
    interpretation : Interpretation
        How one-sided sources are read.
    caution : float
        Weight, for each vote, of a single accuracy against the confusion table.
    start : CautiousFit, optional
        Where to start; its temperature and share of the plain vote hold in every step.
    max_steps : int
        Passes over the rows.
    """
    k = panel.masks.shape[1]
    if start is None:
        temperature, share = 1.0, 0.0
        scores, base, vote = np.zeros((len(panel.cells.source), k)), np.zeros(k), 1.0
    else:
        temperature, share = start.temperature, start.vote_share
        scores, base, vote = start.scores, start.base, start.vote_share
    reading = _Reading(panel, interpretation, caution, start)
    last: NDArray[np.float64] | None = None
    votes = np.maximum(panel.counts.sum(axis=1), 1.0)
    for step in range(max_steps):
        of_cell = columns_of(temperature * scores)
        (shared, of_shared), (alone, of_alone) = (
            _expect(panel, rows, of_cell, temperature * base, vote if step == 0 else share)
            for rows in panel.rows_by_company
        )
        of_vector = of_shared + of_alone
        if panel.known is not None:  # which tell of accuracy whoever else votes
            more, of_known, _ = panel.known.expect(of_cell, temperature * base, panel.n_threads)
            shared, of_vector = shared + more[:, 1], of_vector + of_known
        expected = shared + alone
        # The very first reading counts on the prior alone, however little votes may move afterwards.
        if last is not None and (step > 1 or start is not None):
            moved = panel.cells.by_source(np.abs(expected - last).sum(axis=1)) / votes
            if moved.max(initial=0.0) < TOLERANCE:
                break
        last = expected
        scores, base = reading.maximise(step if start is None else step + 1, expected, of_vector, shared)
    return CautiousFit(scores, base, reading, temperature, share)


def _expect(
    panel: Panel,
    rows: _core.Patterns,
    of_cell: NDArray[np.float64],
    base: NDArray[np.float64],
    vote_share: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected votes in each cell by label vector, (C, K), and items of each label vector, (K,)."""
    expected, of_vector, *_ = _core.expect(
        rows, of_cell, base, panel.said, vote_share=vote_share, n_threads=panel.n_threads
    )
    return expected[:, 1].copy(), of_vector  # abstentions, half of it, are not kept


class _Reading:
    """The steps of one fit, which remember what is not worked out in every step."""

    def __init__(
        self, panel: Panel, interpretation: Interpretation, caution: float, start: CautiousFit | None
    ) -> None:
        self.panel, self.interpretation, self.caution = panel, interpretation, caution
        self.strength: float = ACCURACY_VOTES if start is None else start.reading.strength
        self.counts_all_alike: bool = start is not None and start.reading.counts_all_alike
        self.power = np.ones(len(panel.counts))
        votes = panel.counts.sum(axis=1)
        self.sided = panel.one_sided > 1e-3
        self.many = (panel.one_sided < 1 - 1e-3) & (votes > 0)
        k = panel.masks.shape[1]
        # What gold tells needs no prior to hold it back.
        known = panel.known
        n_unknown = panel.n if known is None else max(panel.n - known.n_voted, 0.0)
        self.balance_count = 1 + max(panel.share_one_sided, LEAST_BALANCE_SHARE) * n_unknown / k
        self.unknown_votes = panel.counts
        if known is not None:
            by_gold = panel.cells.spread(known.counts[:, 1].sum(axis=1), panel.counts.shape[1])
            self.unknown_votes = np.maximum(panel.counts - by_gold, 0.0)
        # Of which gold, or the user, says how accurate they are.
        self.is_known = np.zeros(len(votes), dtype=np.bool_)
        if known is not None:
            self.is_known |= panel.cells.by_source(known.counts[:, 1].sum(axis=1)) > 0
        if panel.prior is not None:
            self.is_known |= panel.prior.votes > 0
        self.class_balance: NDArray[np.float64] = np.full(k, 1 / k)
        self.silent: NDArray[np.float64] = np.zeros((len(votes), k))
        # States of a source whose event holds under each label vector, and those whose does not.
        self.n_right: NDArray[np.float64] = panel.support.astype(np.float64) @ panel.masks
        self.n_wrong: NDArray[np.float64] = panel.support.sum(axis=1, keepdims=True) - self.n_right
        self.n_right[~self.many], self.n_wrong[~self.many] = 1.0, 1.0  # not read
        self.turned = np.zeros(len(votes), dtype=np.bool_) if panel.turned is None else panel.turned
        self.usual = np.full(len(votes), ACCURACY)
        if self.turned.any():
            chance = (self.n_right / np.maximum(self.n_right + self.n_wrong, 1)).mean(axis=1)
            self.usual = np.where(self.turned, _opposite(ACCURACY, chance), ACCURACY)

    def maximise(
        self,
        step: int,
        expected: NDArray[np.float64],
        weights: NDArray[np.float64],
        shared: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores of cells and of no votes, from what sources are expected to have done.

        How accurate a source is, only rows tell that it shares with others: a vote that stands alone is as
        right as it was held to be, and would confirm whatever was thought before.
        """
        panel, cells, k = self.panel, self.panel.cells, len(weights)
        n = max(panel.n, 1.0)
        if panel.class_balance is not None:
            self.class_balance = panel.class_balance
        else:
            self.class_balance = (weights + self.balance_count) / (weights.sum() + k * self.balance_count)
        added = max(ALL_SEEN / k, LEAST_SEEN) * n
        self.seen = (weights + added) / (weights.sum() + added * k)
        self.first_step, self.expected, self.shared = step == 0, expected, shared
        if self.many.any() and step in EVIDENCE_STEPS:
            self.strength = self._likely_strength()
        if self.interpretation.discount and step in REDUNDANCY_STEPS:
            self.power = self._power(expected, weights)
        logs, firing, self.confusion = self._read(cells, expected, shared)
        if not self.counts_all_alike and self._share_against() > MOST_AGAINST:
            self.counts_all_alike = True
            logs, firing, self.confusion = self._read(cells, expected, shared)
        self.silent = self._silent(cells, firing)
        logs -= self.silent[cells.source]
        return logs, np.log(self.class_balance) + self.silent.sum(axis=0)

    def dense(self) -> tuple[Tables, Tables]:
        """Scores, and ``P(state | Y = y)``, of all states that sources may be in, (m, S, K)."""
        panel, n_states = self.panel, self.panel.counts.shape[1]
        cells = Cells.of(panel.support, panel.masks)
        at = (cells.source, cells.state)
        expected, shared = (panel.cells.spread(part, n_states)[at] for part in (self.expected, self.shared))
        logs, firing, confusion = self._read(cells, expected, shared)
        logs -= self._silent(cells, firing)[cells.source]
        coverage = np.minimum(panel.counts.sum(axis=1) / max(panel.n, 1.0), 1.0)[cells.source, None]
        share = panel.one_sided[cells.source, None]
        tables = cells.spread(share * firing + (1 - share) * coverage * confusion, n_states)
        tables[:, 0] = np.maximum(1 - tables[:, 1:].sum(axis=1), 0.0)
        return cells.spread(logs, n_states), tables

    def _read(
        self, cells: Cells, expected: NDArray[np.float64], shared: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """What cells say by themselves, how often they occur, and how often if their source votes, (C, K)."""
        share = self.panel.one_sided[cells.source, None]
        logs = np.zeros(expected.shape)
        firing, confusion = np.zeros(expected.shape), np.zeros(expected.shape)
        if self.sided.any():
            firing = self._firing(cells, expected)
            logs += share * np.log(np.maximum(firing, 1e-12))
        if self.many.any():
            kept = self.many[cells.source]
            confusion[kept] = self._confusion(cells.only(kept), shared[kept])
            logs += (1 - share) * np.log(np.maximum(confusion, 1e-9))
        return logs * self.power[cells.source, None], firing, confusion

    def _silent(self, cells: Cells, firing: NDArray[np.float64]) -> NDArray[np.float64]:
        """What abstentions say, (m, K)."""
        if not self.interpretation.silence:
            return np.zeros((len(self.power), firing.shape[1]))
        rest = np.clip(1 - cells.by_source(firing), 1e-6, 1.0)
        weight = self.interpretation.silence * self.panel.one_sided * self.power
        silent: NDArray[np.float64] = weight[:, None] * np.log(rest)
        return silent

    def _firing(self, cells: Cells, expected: NDArray[np.float64]) -> NDArray[np.float64]:
        """``P(state | Y = y)`` by precisions: of the votes for A, what share is right."""
        counts = self.panel.counts[cells.source, cells.state]
        unknown = self.unknown_votes[cells.source, cells.state]
        prior, centre = PRIOR_VOTES + PRIOR_PER_VOTE * unknown, np.full(len(counts), PRECISION)
        if self.turned.any():
            opposite = _opposite(PRECISION, cells.masks.mean(axis=1))
            centre = np.where(self.turned[cells.source], opposite, PRECISION)
        beliefs = self.panel.prior
        if beliefs is not None:
            believed = beliefs.votes[cells.source] > 0
            of_votes = counts / np.maximum(self.panel.counts.sum(axis=1), 1.0)[cells.source]
            prior = np.where(believed, beliefs.votes[cells.source] * of_votes + 1e-9, prior)
            centre = np.where(believed, beliefs.accuracy[cells.source], centre)
        right = (expected * cells.masks).sum(axis=1)
        precision = (right + prior * centre) / (counts + prior)
        if self.first_step:
            precision = centre
        inside = cells.masks @ self.seen
        certain = inside >= 1 - 1e-12
        lift = np.where(certain, 1.0, precision / np.maximum(inside, 1e-12))
        drop = np.where(certain, 1.0, (1 - precision) / np.maximum(1 - inside, 1e-12))
        rate = (counts / max(self.panel.n, 1.0))[:, None]
        firing = rate * np.where(cells.masks, lift[:, None], drop[:, None])
        total = cells.by_source(firing)
        limited: NDArray[np.float64] = firing / np.maximum(1.0, total / 0.999)[cells.source]
        return limited

    def _centre(self, cells: Cells, slope: float) -> NDArray[np.float64]:
        """``P(state | votes, Y = y)`` of sources with a single accuracy for all their votes."""
        hits = self.panel.cells.by_source((self.shared * self.panel.cells.masks).sum(axis=1))
        votes = self.panel.cells.by_source(self.shared.sum(axis=1))
        prior, mean = np.full(len(votes), ACCURACY_VOTES), self.usual
        beliefs = self.panel.prior
        if beliefs is not None:
            prior = np.where(beliefs.votes > 0, beliefs.votes, prior)
            mean = np.where(beliefs.votes > 0, beliefs.accuracy, mean)
        return self._table_of(cells, np.minimum((hits + prior * mean) / (votes + prior), 0.995), slope)

    def _table_of(self, cells: Cells, accuracy: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
        """``P(state | votes, Y = y)`` of sources with these accuracies, (m,), for all their votes.

        Of grades, where votes miss by little, the outermost have fewer neighbours, and are met more often.
        """
        if slope > 0:
            k = cells.masks.shape[1]
            weights = np.vstack([np.zeros(k), weights_of_errors(k, slope)])
            near = self.panel.support.astype(np.float64) @ weights
            errors = (1 - accuracy) / np.maximum(accuracy * near.mean(axis=1), 1e-12)
            wrong = errors[cells.source, None] * weights[cells.state]
            total = (1 + errors[:, None] * near)[cells.source]
            return np.asarray(np.where(cells.masks, 1.0, wrong) / total, dtype=np.float64)
        # A source all of whose states are right, or wrong, under a label vector divides 1 among them.
        right = np.where(self.n_wrong > 0, accuracy[:, None], 1.0) / np.maximum(self.n_right, 1)
        wrong = np.where(self.n_right > 0, 1 - accuracy[:, None], 1.0) / np.maximum(self.n_wrong, 1)
        return np.where(cells.masks, right[cells.source], wrong[cells.source])

    def _likely_strength(self) -> float:
        """How strongly the tables of all sources keep to a single accuracy, by evidence.

        Once chosen, it moves to the next candidate at most.
        """
        candidates = STRENGTHS
        if self.strength in STRENGTHS:
            at = STRENGTHS.index(self.strength)
            candidates = STRENGTHS[max(at - 1, 0) : at + 2]
        return candidates[int(np.argmax(self.evidence(self.panel.slope, candidates)))]

    def evidence(self, slope: float, strengths: Sequence[float]) -> list[float]:
        """Log-evidence of the tables of sources for every class, under these strengths of their centre."""
        cells = self.panel.cells
        kept = self.many[cells.source]
        shared = np.ascontiguousarray(self.shared[kept])
        centre = self._centre(cells.only(kept), slope)
        return _core.dirichlet_evidence(shared, centre, cells.source[kept], strengths)

    def _confusion(self, cells: Cells, shared: NDArray[np.float64]) -> NDArray[np.float64]:
        """``P(state | votes, Y = y)``, drawn towards a single accuracy."""
        total = cells.by_source(shared)
        prior = self.strength + self.caution * total
        centre = self._centre(cells, self.panel.slope)
        beliefs = self.panel.prior
        if beliefs is not None:  # votes like those seen, which the centre knows of too
            share = (total + 1e-9) / (total + 1e-9).sum(axis=1, keepdims=True)
            believed = beliefs.votes[:, None] * share
            shared = shared + believed[cells.source] * self._table_of(
                cells, beliefs.accuracy, self.panel.slope
            )
            total = total + believed
        table: NDArray[np.float64] = (shared + prior[cells.source] * centre) / (total + prior)[cells.source]
        if self.turned.any() and table.shape[1] > 2:
            # Against one of two classes is for the other; for which of more, a habit would decide.
            table = np.where(self.turned[cells.source, None], centre, table)
        if self.counts_all_alike:
            alike = (self.many & ~self.is_known)[cells.source, None]
            table = np.where(alike, self._table_of(cells, self.usual, self.panel.slope), table)
        return table

    def _share_against(self) -> float:
        """Share of the votes of sources for every class that speak against what they are taken to say."""
        cells, known = self.panel.cells, self.is_known[self.panel.cells.source]
        votes = np.where(self.many[cells.source] & ~known, self.shared.sum(axis=1), 0.0)
        against = _against(cells, self.confusion, self.turned[cells.source])
        return float(votes @ against) / max(float(votes.sum()), 1e-300)

    def _power(self, expected: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight of each source's votes: 1, and less the more they agree with others' given the label."""
        panel, cells = self.panel, self.panel.cells
        assert panel.agreements is not None
        share = weights / max(panel.n, 1.0)
        rates = expected / np.maximum(weights, 1e-9)
        scaled = rates * np.sqrt(share)
        explained = np.zeros_like(panel.agreements)
        for state in np.unique(cells.state):
            same = cells.state == state
            source = cells.source[same]
            explained[np.ix_(source, source)] += scaled[same] @ scaled[same].T
        spread = cells.by_source((rates * (1 - rates) * share).sum(axis=1))
        residual = (panel.agreements - explained) / np.sqrt(np.maximum(np.outer(spread, spread), 1e-12))
        np.fill_diagonal(residual, 0.0)
        least = max(MIN_RESIDUAL, 4 / np.sqrt(max(panel.n, 1.0)))
        kept = np.where(residual > least, np.minimum(residual, 1.0), 0.0)
        kept *= np.outer(self.sided, self.sided)
        power: NDArray[np.float64] = 1 / (1 + kept.sum(axis=1))
        return power


def _opposite(accuracy: float, chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often a vote is right that speaks as much against what it says as one so accurate speaks for it.

    `chance` is how often it is right by chance.
    """
    odds_of_chance = chance / np.maximum(1 - chance, 1e-12)
    odds = odds_of_chance**2 * (1 - accuracy) / accuracy
    found: NDArray[np.float64] = odds / (1 + odds)
    return found


def _against(cells: Cells, table: NDArray[np.float64], turned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells that are rarer under the label vectors they are to speak for than under the others, (C,).

    On average; those label vectors are the ones of their event, and the others for cells that are turned.
    """
    n_inside = cells.n_inside
    n_outside = cells.masks.shape[1] - n_inside
    inside = np.where(cells.masks, table, 0.0).sum(axis=1) / np.maximum(n_inside, 1)
    outside = np.where(cells.masks, 0.0, table).sum(axis=1) / np.maximum(n_outside, 1)
    is_rarer = np.where(turned, inside > outside, inside < outside)
    against: NDArray[np.bool_] = is_rarer & (n_inside > 0) & (n_outside > 0)
    return against


def with_grades(panel: Panel, ordered: bool | None) -> Panel:
    """The panel of one task with the slope of its wrong votes, found in fits without caution.

    Parameters
    ----------
    panel : Panel
        The votes; every state is a vote for one class.
    ordered : bool or None
        Whether the classes are grades; None: by evidence.
    """
    k = panel.masks.shape[1]
    if ordered is False or k < 3 or (ordered is None and k > MAX_GRADES):
        return panel
    for _ in range(2):  # where wrong votes miss by little, more of them are known for wrong
        reading = fit_panel(panel, max_steps=GRADING_STEPS).reading
        kept = reading.many[panel.cells.source]
        if ordered is None:
            counts = panel.cells.only(kept).spread(reading.shared[kept], k + 1)[:, 1:]
            if not order_stands_out(counts):
                return replace(panel, slope=0.0)
        evidence = [reading.evidence(slope, (reading.strength,))[0] for slope in (0.0, *SLOPES)]
        slope = (0.0, *SLOPES)[int(np.argmax(evidence))]
        if ordered is None and slope * (k - 2) <= LEAST_SPAN:
            return replace(panel, slope=0.0)
        panel = replace(panel, slope=slope)
    return panel


def tempered(panel: Panel, interpretation: Interpretation, caution: float) -> CautiousFit:
    """Fit whose temperature and share of the plain vote foretell held-out votes best.

    Fitted, measured, fitted again under what was measured, and measured again. Only votes of sources that
    vote for every class are foretold: of the others', dependence between sources tells more than labels.

    Where a temperature below 1 foretells best, votes on an item hang together. What they have in common is
    foretold by votes, but need not be the label; labels are then as unsure as if the errors of any two votes
    had the correlation ``ERROR_CORRELATION`` at least.
    """
    fit = _measured(panel, fit_panel(panel, interpretation, caution))
    if (fit.temperature, fit.vote_share) != (1.0, 0.0):
        fit = _measured(panel, fit_panel(panel, interpretation, caution, start=fit))
    if fit.temperature < 1:
        # So many correlated votes are worth 1 / (1 - c + c n) as many independent ones.
        worth = 1 / (1 + ERROR_CORRELATION * (_company(panel) - 1))
        fit = replace(fit, temperature=min(fit.temperature, worth))
    return fit


def _company(panel: Panel) -> float:
    """Votes of sources for every class in the row of such a vote, itself included: the mean over votes."""
    of_many = (panel.one_sided < 0.5)[panel.cells.source].astype(np.uint8)
    weight = panel.patterns.weight
    n_votes = panel.patterns.select(np.arange(len(weight)), weight, of_many).n_votes
    return float((weight * n_votes**2).sum() / max((weight * n_votes).sum(), 1e-300))


def _measured(panel: Panel, fit: CautiousFit) -> CautiousFit:
    included = (panel.one_sided < 0.5) & (panel.counts.sum(axis=1) > 0)
    if not included.any():
        return fit
    found = best_confidence(
        panel.patterns,
        columns_of(fit.scores),
        fit.base,
        panel.said,
        columns_of(fit.reading.confusion),
        included[panel.cells.source],
        n_threads=panel.n_threads,
    )
    return fit if found is None else replace(fit, temperature=found[0], vote_share=found[1])


def accuracy_range(panel: Panel, fits: Sequence[CautiousFit]) -> NDArray[np.float64]:
    """Between which values votes leave each source's accuracy, (m, 2); (0, 1) where they say nothing.

    The lower end is what the other votes of a source's items tell of its own: too little where they are few
    or wrong. The upper end counts its vote as well: too much, for it confirms itself. Both average the fits,
    and are moved apart by two standard errors of so many votes.

    Parameters
    ----------
    panel : Panel
        The votes.
    fits : sequence of CautiousFit
        What labels average.
    """
    cells = panel.cells
    shared, _ = panel.rows_by_company
    told, held = np.zeros(len(panel.counts)), np.zeros(len(panel.counts))
    for fit in fits:
        scores = (columns_of(fit.temperature * fit.scores), fit.temperature * fit.base, panel.said)
        share, n_threads = fit.vote_share, panel.n_threads
        by_others = _core.told_by_others(shared, *scores, vote_share=share, n_threads=n_threads)[:, 1]
        by_all = _core.expect(panel.patterns, *scores, vote_share=share, n_threads=n_threads)[0][:, 1]
        if panel.known is not None:  # of which gold tells, and everything
            more = panel.known.expect(*scores[:2], n_threads)[0][:, 1]
            by_others, by_all = by_others + more, by_all + more
        n_shared = cells.by_source(by_others.sum(axis=1))
        told += cells.by_source((by_others * cells.masks).sum(axis=1)) / np.maximum(n_shared, 1e-300)
        held += cells.by_source((by_all * cells.masks).sum(axis=1)) / np.maximum(
            panel.counts.sum(axis=1), 1e-300
        )
    told, held = told / len(fits), held / len(fits)
    low, high = np.minimum(told, held), np.maximum(told, held)
    votes = np.maximum(n_shared, 1.0)
    # A rate of 0 or 1 has an error too: that of one vote more.
    low -= QUANTILE * np.sqrt((low * (1 - low) + 1 / (votes + 1)) / votes)
    high += QUANTILE * np.sqrt((high * (1 - high) + 1 / (votes + 1)) / votes)
    found: NDArray[np.float64] = np.clip(np.column_stack([low, high]), 0.0, 1.0)
    found[n_shared <= 0] = (0.0, 1.0)
    return found
