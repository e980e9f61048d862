"""Estimates for sources that may depend on each other in ways that nobody has said.

The likelihood of independent sources spends its freedom on whatever makes votes agree: copies, common
habits, items that many sources speak about. This module keeps to weaker statements that hold up there:

* A source that never votes for some class (*one-sided*) has a precision for each event it votes for, drawn
  towards ``PRECISION`` by ten votes and as many again as it has. How often it fires tells nothing of the
  class balance.
* A source that votes for every class has a table of how it confuses them, given that it votes, drawn towards
  a single accuracy for all its votes: as strongly as the tables of all sources together suggest, and further
  by a *caution*, a weight for each vote, that is chosen so that two halves of the sources, fitted apart,
  name the same labels (:mod:`consilience.halves`).
* What a silence says, and how much votes that hang together count, is not known: labels average fits that
  answer differently (``STRUCTURES``).
* How sure labels are is measured: each vote is foretold by the other votes of its row, and the posterior is
  tempered, and mixed with the plain vote, as foretells best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience import _core

__all__ = ["STRUCTURES", "CautiousFit", "Panel", "Structure", "fit_panel", "tempered"]

PRECISION = 0.8
"""Prior mean of a one-sided source's precision."""

PRIOR_VOTES, PRIOR_PER_VOTE = 10.0, 1.0
"""Votes that the prior precision counts as: so many, and so many for each vote of the source."""

ACCURACY, ACCURACY_VOTES = 0.7, 4.0
"""Prior mean of the single accuracy of a source that votes for every class, and the votes it counts as."""

STRENGTHS = tuple(float(2**i) for i in range(8))
"""Candidates for how strongly confusion tables keep to a single accuracy, in votes."""

LEAST_BALANCE_SHARE = 0.1
"""Least weight of the uniform class balance, as a share of the items; one-sided votes add to it."""

MAX_STEPS = 60
TOLERANCE = 2e-3
"""Steps end when no source has more than this share of its votes counted elsewhere than before."""

EVIDENCE_STEPS = (1, 3, 6, 10, 15, 25, 40)
REDUNDANCY_STEPS = (0, 2, 5, 10)

MIN_RESIDUAL = 0.1
"""Agreement given the label, as a correlation, from which on votes count as hanging together."""

TEMPERATURES = (1.0, 0.8, 0.6, 0.45, 0.3)
VOTE_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
MAX_HELD_OUT = 200_000
"""Votes that the temperature is chosen by."""

WORK_FOR_THREADS = 1 << 18
"""Votes times classes from which on a pass is worth more than one thread."""

Tables = NDArray[np.float64]


@dataclass(frozen=True)
class Structure:
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


STRUCTURES = (Structure(), Structure(silence=0.5), Structure(discount=True))
"""Labels average these where there are one-sided sources; others are only read the first way."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Votes of a panel of sources, counted.

    Attributes
    ----------
    patterns
        Distinct rows of votes; those without votes weigh nothing.
    n : float
        Weight of the rows with a vote.
    counts : (m, S) float64 array
        Votes of each source in each state; state 0, the abstention, is 0.
    masks : (S, K) bool array
        Event of each state; row 0 is not read.
    support : (m, S) bool array
        States that a source may be in.
    one_sided : (m,) float64 array
        How surely each source cannot vote for every class.
    agreements : (m, m) float64 array
        Share of rows on which two sources cast the same vote.
    class_balance : (K,) float64 array or None
        ``P(Y)`` where it is given.
    n_threads : int
        For the passes over the rows; no result depends on it.
    """

    patterns: _core.Patterns
    n: float
    counts: NDArray[np.float64]
    masks: NDArray[np.bool_]
    support: NDArray[np.bool_]
    one_sided: NDArray[np.float64]
    agreements: NDArray[np.float64]
    class_balance: NDArray[np.float64] | None
    n_threads: int

    @classmethod
    def of(
        cls,
        patterns: _core.Patterns,
        counts: NDArray[np.float64],
        masks: NDArray[np.bool_],
        support: NDArray[np.bool_],
        agreements: NDArray[np.float64],
        class_balance: NDArray[np.float64] | None,
        n_threads: int,
    ) -> Panel:
        """Panel of these votes: what each source seems able to vote for is worked out."""
        weight = np.where(patterns.n_votes > 0, patterns.weight, 0.0)
        everyone = np.ones(len(counts), dtype=np.uint8)
        covered = patterns.select(np.arange(len(patterns)), weight, everyone)
        if patterns.n_votes.sum() * masks.shape[1] < WORK_FOR_THREADS:
            n_threads = 1
        return cls(
            covered,
            float(weight.sum()),
            counts,
            masks,
            support,
            _one_sided(counts, masks),
            agreements,
            class_balance,
            n_threads,
        )

    @property
    def vote_of_state(self) -> NDArray[np.float64]:
        """What a vote plainly says: its event's label vectors in equal shares, (S, K)."""
        sizes = self.masks.sum(axis=1, keepdims=True)
        return np.ascontiguousarray(self.masks / np.maximum(sizes, 1))

    @property
    def share_one_sided(self) -> float:
        """Share of the votes that one-sided sources cast."""
        votes = self.counts.sum(axis=1)
        return float(self.one_sided @ votes / max(votes.sum(), 1.0))


@dataclass(frozen=True, eq=False)
class CautiousFit:
    """What one structure learned.

    Attributes
    ----------
    of_state : (m, S, K) float64 array
        What each state adds to the score of a label vector; state 0, the abstention, adds nothing.
    base : (K,) float64 array
        Score of a row without votes.
    confusion : (m, S, K) float64 array
        ``P(state | votes, Y = y)``.
    tables : (m, S, K) float64 array
        ``P(state | Y = y)``; state 0 abstains.
    class_balance : (K,) float64 array
        ``P(Y)``.
    temperature, vote_share : float
        The posterior is ``(1 - vote_share) softmax(temperature * score) + vote_share * plain vote``.
    """

    of_state: Tables
    base: NDArray[np.float64]
    confusion: Tables
    tables: Tables
    class_balance: NDArray[np.float64]
    temperature: float = 1.0
    vote_share: float = 0.0


def fit_panel(
    panel: Panel,
    structure: Structure = STRUCTURES[0],
    caution: float = 0.1,
    start: CautiousFit | None = None,
    max_steps: int = MAX_STEPS,
) -> CautiousFit:
    """Fit of a panel, from the plain vote or from an earlier fit with its temperature.

    Parameters
    ----------
    panel : Panel
        The votes.
    structure : Structure
        How one-sided sources are read.
    caution : float
        Weight, for each vote, of a single accuracy against the confusion table.
    start : CautiousFit, optional
        Where to start; its temperature and share of the plain vote hold in every step.
    max_steps : int
        Passes over the rows.
    """
    m, n_states = panel.counts.shape
    k = panel.masks.shape[1]
    said = panel.vote_of_state
    if start is None:
        temperature, share = 1.0, 0.0
        scores, base, vote = np.zeros((m, n_states, k)), np.zeros(k), 1.0
    else:
        temperature, share = start.temperature, start.vote_share
        scores, base, vote = start.of_state, start.base, start.vote_share
    reading = _Reading(panel, structure, caution)
    last: Tables | None = None
    for step in range(max_steps):
        expected, weights, _ = _core.expect(
            panel.patterns,
            np.ascontiguousarray(temperature * scores),
            temperature * base,
            said,
            vote_share=vote if step == 0 else share,
            n_threads=panel.n_threads,
        )
        if last is not None:
            moved = np.abs(expected - last).sum(axis=(1, 2)) / np.maximum(panel.counts.sum(axis=1), 1.0)
            if moved.max(initial=0.0) < TOLERANCE:
                break
        last = expected
        scores, base = reading.maximise(step if start is None else step + 1, expected, weights)
    return CautiousFit(
        scores, base, reading.confusion, reading.tables(), reading.class_balance, temperature, share
    )


class _Reading:
    """The steps of one fit, which remember what is not worked out in every step."""

    def __init__(self, panel: Panel, structure: Structure, caution: float) -> None:
        self.panel, self.structure, self.caution = panel, structure, caution
        self.strength = ACCURACY_VOTES
        self.power = np.ones(len(panel.counts))
        votes = panel.counts.sum(axis=1)
        self.sided = panel.one_sided > 1e-3
        self.many = (panel.one_sided < 1 - 1e-3) & (votes > 0)
        k = panel.masks.shape[1]
        self.balance_count = 1 + max(panel.share_one_sided, LEAST_BALANCE_SHARE) * panel.n / k
        self.class_balance: NDArray[np.float64] = np.full(k, 1 / k)
        self.confusion: Tables = np.zeros((*panel.counts.shape, k))
        self.firing: Tables = np.zeros((*panel.counts.shape, k))

    def maximise(
        self, step: int, expected: Tables, weights: NDArray[np.float64]
    ) -> tuple[Tables, NDArray[np.float64]]:
        """Scores of states and of no votes, from what sources are expected to have done."""
        panel, k = self.panel, len(weights)
        n = max(panel.n, 1.0)
        if panel.class_balance is not None:
            self.class_balance = panel.class_balance
        else:
            self.class_balance = (weights + self.balance_count) / (weights.sum() + k * self.balance_count)
        seen = (weights + 0.02 * n) / (weights.sum() + 0.02 * n * k)
        logs = np.zeros_like(expected)
        silent = np.zeros((len(expected), k))
        share = panel.one_sided[:, None, None]
        if self.sided.any():
            self.firing = self._firing(step, expected, seen)
            logs += share * np.log(np.maximum(self.firing, 1e-12))
            if self.structure.silence:
                rest = np.clip(1 - self.firing.sum(axis=1), 1e-6, 1.0)
                silent = self.structure.silence * panel.one_sided[:, None] * np.log(rest)
        if self.many.any():
            self.confusion[self.many] = self._confusion(step, expected[self.many])
            logs += (1 - share) * np.log(np.maximum(self.confusion, 1e-9))
        logs[~panel.support] = 0.0
        if self.structure.discount and step in REDUNDANCY_STEPS:
            self.power = self._power(expected, weights)
        logs *= self.power[:, None, None]
        silent = silent * self.power[:, None]
        logs -= silent[:, None]
        logs[:, 0] = 0.0
        return logs, np.log(self.class_balance) + silent.sum(axis=0)

    def _firing(self, step: int, expected: Tables, seen: NDArray[np.float64]) -> Tables:
        """``P(state | Y = y)`` by precisions: of the votes for A, what share is right."""
        panel, n = self.panel, max(self.panel.n, 1.0)
        counts, masks = panel.counts, panel.masks
        prior = PRIOR_VOTES + PRIOR_PER_VOTE * counts
        right = (expected * masks).sum(axis=2)
        precision = (right + prior * PRECISION) / (counts + prior)
        if step == 0:
            precision = np.full_like(precision, PRECISION)
        inside = masks @ seen
        certain = inside >= 1 - 1e-12
        lift = np.where(certain, 1.0, precision / np.maximum(inside, 1e-12))
        drop = np.where(certain, 1.0, (1 - precision) / np.maximum(1 - inside, 1e-12))
        rate = (counts / n)[:, :, None]
        firing = rate * np.where(masks, lift[:, :, None], drop[:, :, None])
        total = firing.sum(axis=1, keepdims=True)
        limited: Tables = firing / np.maximum(1.0, total / 0.999)
        return limited

    def _confusion(self, step: int, expected: Tables) -> Tables:
        """``P(state | votes, Y = y)``, drawn towards a single accuracy."""
        panel = self.panel
        support = panel.support[self.many][:, :, None]
        right = support & panel.masks
        wrong = support & ~panel.masks
        votes = panel.counts[self.many].sum(axis=1)
        hits = (expected * right).sum(axis=(1, 2))
        accuracy = np.minimum((hits + ACCURACY_VOTES * ACCURACY) / (votes + ACCURACY_VOTES), 0.995)
        centre = accuracy[:, None, None] * right / np.maximum(right.sum(axis=1, keepdims=True), 1) + (
            1 - accuracy
        )[:, None, None] * wrong / np.maximum(wrong.sum(axis=1, keepdims=True), 1)
        centre = centre / centre.sum(axis=1, keepdims=True)
        total = expected.sum(axis=1, keepdims=True)
        if step in EVIDENCE_STEPS:
            by_row = (0, 2, 1)
            evidence = _core.dirichlet_evidence(
                np.ascontiguousarray(expected.transpose(by_row)).reshape(-1, expected.shape[1]),
                np.ascontiguousarray(centre.transpose(by_row)).reshape(-1, expected.shape[1]),
                STRENGTHS,
            )
            self.strength = STRENGTHS[int(np.argmax(evidence))]
        posterior = expected + (self.strength + self.caution * total) * centre
        table: Tables = posterior / posterior.sum(axis=1, keepdims=True)
        return table

    def _power(self, expected: Tables, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weight of each source's votes: 1, and less the more they agree with others' given the label."""
        panel = self.panel
        share = weights / max(panel.n, 1.0)
        rates = expected / np.maximum(weights, 1e-9)
        scaled = (rates * np.sqrt(share)).reshape(len(rates), -1)
        explained = scaled @ scaled.T
        spread = (rates * (1 - rates) * share).sum(axis=(1, 2))
        residual = (panel.agreements - explained) / np.sqrt(np.maximum(np.outer(spread, spread), 1e-12))
        np.fill_diagonal(residual, 0.0)
        least = max(MIN_RESIDUAL, 4 / np.sqrt(max(panel.n, 1.0)))
        kept = np.where(residual > least, np.minimum(residual, 1.0), 0.0)
        kept *= np.outer(self.sided, self.sided)
        power: NDArray[np.float64] = 1 / (1 + kept.sum(axis=1))
        return power

    def tables(self) -> Tables:
        """``P(state | Y = y)`` of every source, (m, S, K)."""
        panel = self.panel
        coverage = np.minimum(panel.counts.sum(axis=1) / max(panel.n, 1.0), 1.0)[:, None, None]
        share = panel.one_sided[:, None, None]
        tables = share * self.firing + (1 - share) * coverage * self.confusion
        tables[:, 0] = np.maximum(1 - tables[:, 1:].sum(axis=1), 0.0)
        result: Tables = tables
        return result


def tempered(panel: Panel, structure: Structure, caution: float) -> CautiousFit:
    """Fit whose temperature and share of the plain vote foretell held-out votes best.

    Fitted, measured, fitted again under what was measured, and measured again. Only votes of sources that
    vote for every class are foretold: of the others', dependence between sources tells more than labels.
    """
    fit = _measured(panel, fit_panel(panel, structure, caution))
    if (fit.temperature, fit.vote_share) != (1.0, 0.0):
        fit = _measured(panel, fit_panel(panel, structure, caution, start=fit))
    return fit


def _measured(panel: Panel, fit: CautiousFit) -> CautiousFit:
    included = (panel.one_sided < 0.5) & (panel.counts.sum(axis=1) > 0)
    if not included.any():
        return fit
    told, n_votes = _core.held_out_votes(
        panel.patterns,
        fit.of_state,
        fit.base,
        panel.vote_of_state,
        fit.confusion,
        included.astype(np.uint8),
        temperatures=TEMPERATURES,
        shares=VOTE_SHARES,
        most=MAX_HELD_OUT,
        n_threads=panel.n_threads,
    )
    if n_votes == 0:
        return fit
    # The first of equals is the plain posterior: no change without evidence.
    t, w = np.unravel_index(int(np.argmax(told > told.max() - 1e-9)), told.shape)
    return CautiousFit(
        fit.of_state,
        fit.base,
        fit.confusion,
        fit.tables,
        fit.class_balance,
        TEMPERATURES[int(t)],
        VOTE_SHARES[int(w)],
    )


def _one_sided(counts: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How surely each source cannot vote for every class, (m,).

    A class that a source never voted for is out of its reach, or was not met by chance: the share of such
    sources is read off all sources together. One-sided sources in a panel of others are taken for unlucky.
    """
    sizes = masks.sum(axis=1)
    votes_for = counts[:, 1:] @ (masks[1:] / np.maximum(sizes[1:], 1)[:, None])
    votes = counts.sum(axis=1)
    total = max(float(votes.sum()), 1.0)
    pool = (votes_for.sum(axis=0) / total + 1 / masks.shape[1]) / 2
    missing = votes_for <= 0
    by_chance = np.exp(votes[:, None] * np.log1p(-np.minimum(pool, 1 - 1e-9)))
    telling = (1 - by_chance) * votes[:, None]
    share = float(np.clip((missing * telling).sum() / max(telling.sum(), 1e-9), 0.01, 0.99))
    out_of_reach = np.where(missing, share / (share + (1 - share) * by_chance), 0.0).max(axis=1, initial=0.0)
    u = float(out_of_reach @ votes) / total
    result: NDArray[np.float64] = out_of_reach * u * u / (u * u + (1 - u) ** 2)
    return result
