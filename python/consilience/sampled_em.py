"""EM on very many rows: most passes over a sample of them, and few over all.

EM over a sample stops at its own maximum, some standard errors from that of all rows. From there on the
sample stands for all of them, with what it leaves out at that point, which one pass over all rows tells, held
fixed: the expected counts of all rows minus those of the sample. That adds a linear function of the
logarithms of the probabilities to the sample's log-likelihood, with which its gradient at that point is that
of all rows. EM climbs the sum as it climbs a likelihood, in passes over the sample, and where it ends lies
nearer to the maximum of all rows by a factor of about the root of the size of the sample. Two or three such
turns make up for as many passes over all rows as a plain fit of each model needs, and end where it does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilience.em import (
    MAX_PASSES,
    MODELS,
    TIE,
    TOLERANCE,
    Ascent,
    Columns,
    EMFit,
    Point,
    Tables,
    best_of_models,
    expect_counts,
    first_of_best,
)
from consilience.gold import KnownRows
from consilience.joint_forms import JointForm

__all__ = ["choose_model_by_sample", "is_worth_a_sample"]

MIN_ROWS = 1 << 18
"""Rows from which on a sample pays."""

SAMPLE = 1 << 17
"""Items that are drawn."""

MAX_TURNS = 8
"""Passes over all rows after which EM goes on without the sample."""

MOST_LEFT = 0.5
"""It does so too where a turn goes further than this share of the one before."""


def is_worth_a_sample(columns: Columns) -> bool:
    """Whether there are so many rows, and nothing beside them, that a sample pays."""
    return len(columns.rows) >= MIN_ROWS and columns.known is None and columns.imagined is None


def choose_model_by_sample(
    columns: Columns,
    start: Tables,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    is_hopeless: Callable[[EMFit], bool] | None = None,
) -> tuple[EMFit, dict[str, float]]:
    """As :func:`consilience.em.choose_model`, in few passes over all rows.

    A model with fewer parameters than the one that is best for the sample is left out: all rows speak against
    it even more. Of the others, one that the first turn leaves behind the best is not finished.

    Parameters
    ----------
    columns, start, class_balance, learn_balance, is_hopeless
        As for :func:`consilience.em.best_of_models`.
    """
    drawn = columns.rows.sample(SAMPLE, columns.n_threads)
    sample = replace(columns, rows=drawn, n=drawn.n)
    fits = best_of_models(sample, start, class_balance, learn_balance=learn_balance, is_hopeless=is_hopeless)
    if is_hopeless is not None and is_hopeless(fits[0]):
        return fits[0], {fit.model: fit.bic(sample.n) for fit in fits}
    sample = replace(columns, rows=drawn.times(columns.n / drawn.n))
    fits.sort(key=lambda fit: MODELS.index(fit.model))
    left = fits[first_of_best([fit.bic(drawn.n) for fit in fits]) :]
    # One pass over all rows, where the narrowest of these ended, is the first turn of all.
    at = Point(left[0].tables, left[0].class_balance)
    found = expect_counts(columns, at)
    climbs = [_Climb.of(columns, sample, start, fit, learn_balance).turned(at, found) for fit in left]
    finished: list[EMFit] = []
    while climbs:  # the most promising is finished, and others that still promise more
        bics = [climb.fit().bic(columns.n) for climb in climbs]
        if finished and min(bics) >= min(fit.bic(columns.n) for fit in finished) - TIE:
            break
        finished.append(climbs.pop(first_of_best(bics)).finished())
    best = finished[first_of_best([fit.bic(columns.n) for fit in finished])]
    every = [*finished, *(climb.fit() for climb in climbs)]
    return best, {fit.model: fit.bic(columns.n) for fit in every}


@dataclass(frozen=True, eq=False)
class _Climb:
    """A fit to all rows under way, after some turns.

    Attributes
    ----------
    columns, sample : Columns
        All rows, and some, with weights that sum to the same.
    start : (C, S, K) float64 array
        Which states occur, and tables of columns that are held.
    model : str
        One of ``MODELS``.
    learn_balance : bool
        Whether ``P(Y)`` is learned.
    point : Point
        Where it stands.
    forms : tuple of JointForm
        Of the tables of cliques.
    missing : (C,) bool array
        Columns whose abstentions were found to say nothing.
    log_likelihood : float
        Of all rows there, all but exactly.
    n_passes : int
        Over all rows.
    last_move : float
        How far the last turn went.
    is_cut : bool
        Whether it ended where some count of the sample, corrected, would be below zero, and was 0 instead:
        how far it went then says nothing of what it leaves.
    """

    columns: Columns
    sample: Columns
    start: Tables
    model: str
    learn_balance: bool
    point: Point
    forms: tuple[JointForm, ...]
    missing: NDArray[np.bool_]
    log_likelihood: float
    n_passes: int = 0
    last_move: float = 0.0
    is_cut: bool = False

    @staticmethod
    def of(columns: Columns, sample: Columns, start: Tables, fit: EMFit, learn_balance: bool) -> _Climb:
        """At a fit to the sample."""
        point = Point(fit.tables, fit.class_balance)
        return _Climb(
            columns,
            sample,
            start,
            fit.model,
            learn_balance,
            point,
            fit.forms,
            fit.missing,
            fit.log_likelihood,
        )

    def fit(self, *, converged: bool = False) -> EMFit:
        """Where it stands."""
        n_parameters = self._ascent(self.columns, self.point).n_parameters
        return EMFit(
            self.model,
            self.point.tables,
            self.point.balance,
            self.log_likelihood,
            n_parameters,
            self.n_passes,
            converged,
            self.forms,
            self.missing,
        )

    def finished(self) -> EMFit:
        """The maximum."""
        climb = self
        while climb.n_passes < MAX_TURNS:
            before = climb
            climb = before.turned(before.point, expect_counts(before.columns, before.point))
            if climb.last_move > MOST_LEFT * before.last_move:
                break
            # Each turn leaves about the share that it is of the one before.
            left = climb.last_move**2 / before.last_move if climb.last_move else 0.0
            if left < TOLERANCE / 2 and not (before.is_cut or climb.is_cut):
                return climb.fit(converged=True)
        rest = climb._ascent(climb.columns, climb.point)  # the sample is too unlike the rest
        rest.go_on(MAX_PASSES)
        return rest.fit()

    def turned(self, at: Point, found: tuple[Tables, NDArray[np.float64], float]) -> _Climb:
        """One turn further, from what is expected of all rows at a point near the maximum."""
        counts, weights, log_likelihood = found
        own, of_vector, _ = expect_counts(self.sample, at)
        left_out = KnownRows(counts - own, weights - of_vector, (), 0.0)
        corrected = replace(self.sample, known=left_out)
        before = expect_counts(corrected, at)[2]
        # The first turn, far from the end, need not be told apart from it.
        ascent = self._ascent(corrected, self.point, TOLERANCE / 100 if self.n_passes else TOLERANCE)
        ascent.go_on(MAX_PASSES)
        gain = ascent.fit().log_likelihood - before
        at_end = expect_counts(self.sample, ascent.point)[0] + left_out.counts
        return replace(
            self,
            point=ascent.point,
            forms=ascent.forms,
            missing=ascent.missing,
            log_likelihood=log_likelihood + gain,
            n_passes=self.n_passes + 1,
            last_move=ascent.point.distance(self.point),
            is_cut=bool((at_end[:, 1:] < 0).any()),
        )

    def _ascent(self, columns: Columns, point: Point, tolerance: float = TOLERANCE) -> Ascent:
        ascent = Ascent(columns, self.start, point.balance, self.model, self.learn_balance, tolerance)
        ascent.take_up(point, self.forms, self.missing)
        return ascent
