"""What third moments add to a fit by pairs of votes: the class balance, and which sign is right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consilience.class_balance import BalanceEstimate, balance_from_skewness
from consilience.drawing import draw_indicators
from consilience.exceptions import SignWarning, listed, warn_caller
from consilience.fitting import SourceFit
from consilience.signs import contradicted_signs
from consilience.statistics import VoteStatistics
from consilience.third_moments import (
    EventSkewness,
    event_skewness,
    no_skewness,
    rough_probabilities,
    third_moment_sums,
)

__all__ = [
    "BalanceEvidence",
    "balance_evidence",
    "may_be_uneven",
    "refine",
    "uneven_balance",
    "warn_of_signs",
]

MAX_ROUNDS = 3
MAX_CELLS, MIN_DRAWS, MAX_DRAWS = 150_000, 1000, 4000
DRAWS_PER_VECTOR, MOST_CELLS = 30, 8_000_000
"""With more feasible vectors and nodes than these allow, errors would be guesses, and nothing is said."""

RARE = 0.5
"""A class with less than this share of the mean share is rare."""

MAX_NODES = 300
"""Most nodes for which EM is given a start by third moments."""

CLOSE = 0.1
"""A balance is settled when it moves by less than this share of its standard error."""


@dataclass(frozen=True, eq=False)
class BalanceEvidence:
    """What third moments say about the class balance.

    Attributes
    ----------
    fit : SourceFit
        Of the sources, under any class balance.
    n_items : float
        That were counted.
    skewness : EventSkewness
        Of the events that enough sources vote for.
    """

    fit: SourceFit
    n_items: float
    skewness: EventSkewness

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of the skewness, (q, q): that of items drawn from the fitted model (with fixed seeds).

        Half of them evenly over the feasible set, so that rare labels are seen.
        """
        fit, skewness, q = self.fit, self.skewness, len(self.skewness.value)
        if not q:
            return np.zeros((0, 0))
        system, balance = fit.structure.system, fit.structure.system.class_balance
        n_draws = _n_draws(fit)
        even = (balance + 1 / len(balance)) / 2
        label = np.random.default_rng(0).choice(len(balance), n_draws, p=even)
        weight = (balance / even)[label]
        weight /= weight.sum()
        centred = draw_indicators(label, system, fit.tables, fit.layout, fit.components)
        centred -= np.einsum("i,ia->a", weight, centred)
        influence = skewness.influence(centred)
        influence -= np.einsum("i,ie->e", weight, influence)
        covariance = np.einsum("ie,if->ef", influence * weight[:, None], influence)
        # With many events their correlations are partly chance, and of some no vote was drawn.
        variance = np.maximum(np.diag(covariance), skewness.least_variance)
        covariance *= max(0.0, 1 - q / n_draws)
        covariance[np.diag_indices(q)] = variance
        of_mean: NDArray[np.float64] = covariance / self.n_items
        return of_mean

    def balance(self) -> BalanceEstimate:
        """Class balance that explains it."""
        return balance_from_skewness(self.skewness.masks, self.skewness.value, self.covariance)

    def rough_balance(self) -> BalanceEstimate:
        """The same as if votes were independent of each other: at once, and at least so uncertain."""
        covariance = np.diag(self.skewness.least_variance / self.n_items)
        return balance_from_skewness(self.skewness.masks, self.skewness.value, covariance)


def balance_evidence(statistics: VoteStatistics, fit: SourceFit) -> BalanceEvidence:
    """Skewness of the events, with its sampling error.

    Parameters
    ----------
    statistics : VoteStatistics
        Of all sources, with triples.
    fit : SourceFit
        Of the sources, under any class balance.
    """
    system = fit.structure.system
    k, d = len(system.class_balance), len(system.means)
    too_large = _n_draws(fit) < DRAWS_PER_VECTOR * k or _n_draws(fit) * d > MOST_CELLS
    n = float(statistics.n)
    if too_large or system.asks_some_apart:  # whose triples say who was asked, not what is true
        return BalanceEvidence(fit, n, no_skewness(k))
    third = third_moment_sums(statistics, system.source_graph.component[fit.first])
    kept = fit.first[statistics.node_source] == statistics.node_source
    return BalanceEvidence(fit, n, event_skewness(system, third[kept], fit.strength))


def _n_draws(fit: SourceFit) -> int:
    d, k = len(fit.structure.system.means), len(fit.structure.system.class_balance)
    return int(np.clip(MAX_CELLS // d, max(MIN_DRAWS, DRAWS_PER_VECTOR * k), MAX_DRAWS))


def may_be_uneven(fit: SourceFit) -> bool:
    """Whether it is worth looking for rare classes; with many nodes that takes longer than it saves."""
    system = fit.structure.system
    return len(system.means) <= MAX_NODES and not system.asks_some_apart


def uneven_balance(statistics: VoteStatistics, fit: SourceFit) -> NDArray[np.float64] | None:
    """Class balance to start EM from; None where the uniform one does as well.

    From a uniform one EM does not always find classes that are rare. No errors are worked out here.

    Parameters
    ----------
    statistics : VoteStatistics
        Of all sources, with triples.
    fit : SourceFit
        Of the sources, under the uniform class balance.
    """
    system = fit.structure.system
    third = third_moment_sums(statistics, system.source_graph.component[fit.first])
    third = third[fit.first[statistics.node_source] == statistics.node_source]
    k = len(system.class_balance)
    rough = rough_probabilities(system, third, fit.strength)
    # A rare event whose strengths came out with the wrong sign looks like one that always holds. Of two
    # classes the other one then looks rare.
    turned = k > 2 and rough.max(initial=0.0) > 1 - RARE / k
    if not turned and rough.min(initial=1.0) > 1.5 * RARE / k:
        return None
    skewness = event_skewness(system, third, fit.strength)
    estimate = BalanceEvidence(fit, float(statistics.n), skewness).rough_balance()
    rare = estimate.class_balance.min() < RARE / k
    return estimate.class_balance if rare and estimate.is_told else None


class Refit(Protocol):
    """Fits the sources again, as before but for two things."""

    def __call__(self, *, class_balance: NDArray[np.float64], signs: NDArray[np.float64]) -> SourceFit:
        """Under a class balance, and with -1 for the sign components to turn round."""
        ...


def refine(
    statistics: VoteStatistics, fit: SourceFit, refit: Refit, *, learn_balance: bool, warns: bool = True
) -> tuple[SourceFit, BalanceEstimate | None]:
    """Fit with the signs and the class balance that third moments tell.

    Parameters
    ----------
    statistics : VoteStatistics
        Of all sources, with triples.
    fit : SourceFit
        From pairs alone, under the known class balance or, to learn it, the uniform one.
    refit : Refit
        How it was made.
    learn_balance : bool
        Whether the class balance is unknown.
    warns : bool
        Whether to warn of signs that are turned.

    Returns
    -------
    fit : SourceFit
        Its class balance is ``structure.system.class_balance``: the uniform one where the votes do not tell.
    estimate : BalanceEstimate or None
        Of a balance that is unknown.
    """
    before = fit.structure.system.class_balance
    first, evidence = fit, balance_evidence(statistics, fit)
    choice = fit.sign_choice
    assert choice is not None
    if learn_balance and len(evidence.skewness.value) <= 1:  # some balance explains it, whatever its sign
        signs = np.ones(len(choice.signs))
        rough = evidence.rough_balance()
        if rough.is_told:
            fit = refit(class_balance=rough.class_balance, signs=signs)
            evidence = balance_evidence(statistics, fit)
    else:
        signs = contradicted_signs(
            evidence.skewness,
            lambda: evidence.covariance,
            fit.structure.report,
            choice,
            None if learn_balance else before,
        )
    if (signs < 0).any():
        first = fit = refit(class_balance=before, signs=signs)
        if warns:
            warn_of_signs(fit)
        evidence = balance_evidence(statistics, fit)
    if not learn_balance:
        return fit, None
    estimate = evidence.balance()
    for _ in range(MAX_ROUNDS):
        step = np.abs(estimate.class_balance - fit.structure.system.class_balance).max()
        if not estimate.is_told or step < CLOSE * estimate.error.max():
            break
        fit = refit(class_balance=estimate.class_balance, signs=signs)
        estimate = balance_evidence(statistics, fit).balance()
    return (fit if estimate.is_told else first), estimate


def warn_of_signs(fit: SourceFit) -> None:
    """Warn of the sources whose signs third moments turned."""
    report, source = fit.report, fit.structure.system.statistics.node_source
    by_moments = np.array([rule == "third moments" for rule in fit.sign_rules], dtype=np.bool_)
    turned = (report.sign_components >= 0) & by_moments[report.sign_components]
    names = listed(report.source_names[j] for j in np.unique(source[turned]))
    warn_caller(
        f"third moments contradict that {names} are better than chance on average, by more than three "
        "standard errors, and are followed: most of them are taken to be worse; if that is wrong, correct "
        "class_balance, or name a source that is better than chance with trusted=",
        SignWarning,
    )
