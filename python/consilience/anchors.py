"""Trusted sources in cautious fits: which sources are to be read the other way round.

Cautious fits start from the plain vote, and so take sources to be better than chance on average. Where most
are worse, labels are those that most sources name, and a trusted source comes out worse than chance. The
sources that a trusted one votes together with are then *turned*: at the start, and in what is expected of
them before votes tell, each speaks as much against what it says as it would else speak for it. Of two
classes all this is the mirror image of what it was, but for the trusted sources.

How a trusted source comes out is told by the other votes of its rows: the covariance of its votes with the
label, for a vote would confirm itself. Where it is positive nothing is turned; nor where the fit with
sources turned does not make it positive beyond the noise of so many votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.cautious import CautiousFit
from consilience.panel import Panel, columns_of

__all__ = ["Told", "groups_of_sources", "told_of_trusted"]

SURE = 2.0
"""Standard errors by which trusted sources must come out better than chance to settle which way is right."""


@dataclass(frozen=True, eq=False)
class Told:
    """How much better than chance trusted sources come out in fits.

    Attributes
    ----------
    group : (m,) int64 array
        Sources that hang together have the same number.
    standard_errors : (m,) float64 array
        For each group: above (or, negative, below) chance by so many standard errors of that many votes; 0
        without votes.
    """

    group: NDArray[np.int64]
    standard_errors: NDArray[np.float64]

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Sources with which trusted ones come out better than chance for sure, (m,)."""
        settled: NDArray[np.bool_] = self.standard_errors[self.group] > SURE
        return settled

    @property
    def worse(self) -> NDArray[np.bool_]:
        """Sources with which trusted ones come out worse than chance, (m,)."""
        worse: NDArray[np.bool_] = self.standard_errors[self.group] < 0
        return worse


def told_of_trusted(
    panel: Panel, fits: Sequence[CautiousFit], trusted: NDArray[np.bool_], group: NDArray[np.int64]
) -> Told:
    """How fits take trusted sources.

    Parameters
    ----------
    panel : Panel
        The votes.
    fits : sequence of CautiousFit
        Which labels average.
    trusted : (m,) bool array
        Sources that are better than chance.
    group : (m,) int64 array
        Of :func:`groups_of_sources`.
    """
    cells = panel.cells
    kept = trusted[cells.source]
    covariance, variance = np.zeros(len(cells.source)), np.zeros(len(cells.source))
    shared, _ = panel.rows_by_company
    for fit in fits:
        scores = (columns_of(fit.temperature * fit.scores), fit.temperature * fit.base, panel.said)
        share, n_threads = fit.vote_share, panel.n_threads
        votes = _core.told_by_others(shared, *scores, vote_share=share, n_threads=n_threads)[:, 1]
        items = _core.expect(shared, *scores, vote_share=share, n_threads=n_threads)[1]
        if panel.known is not None:
            known_votes, known_items, _ = panel.known.expect(*scores[:2], n_threads)
            votes, items = votes + known_votes[:, 1], items + known_items
        by_chance = cells.masks @ (items / max(float(items.sum()), 1e-300))
        n_votes = votes.sum(axis=1)
        covariance += (votes * cells.masks).sum(axis=1) - n_votes * by_chance
        variance += n_votes * by_chance * (1 - by_chance)
    m = len(group)
    weights = [np.where(kept, values, 0.0) / max(len(fits), 1) for values in (covariance, variance)]
    of_group, noise = (np.bincount(group[cells.source], one, m) for one in weights)
    return Told(group, np.where(noise > 0, of_group / np.sqrt(np.where(noise > 0, noise, 1.0)), 0.0))


def groups_of_sources(panel: Panel) -> NDArray[np.int64]:
    """Number of the group of each source, (m,): sources that vote on the same items about the same things.

    About the same things are votes whose events tell of each other under the uniform class balance. A number
    is that of the first source of the group.
    """
    cells = panel.cells
    start, column, _ = panel.patterns.rows()
    row = np.repeat(np.arange(len(start) - 1), np.diff(start))
    matter = _matter_of_states(panel.masks)[cells.state[column]]
    _, place = np.unique(row * len(panel.masks) + matter, return_inverse=True)
    source = cells.source[column]
    return _linked(source, place.reshape(-1), len(panel.counts))


def _matter_of_states(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """What each state is about, (S,): the same number where events tell of each other, in some steps."""
    event = masks.astype(np.float64)
    rate = event.mean(axis=1)
    tells = np.abs(event @ event.T / masks.shape[1] - np.outer(rate, rate)) > 1e-12
    one, other = np.nonzero(tells)
    return _linked(one, other, len(masks))


def _linked(thing: NDArray[np.intp], place: NDArray[np.intp], n_things: int) -> NDArray[np.int64]:
    """Least number of the things, (n_things,), that each one is linked with by places in common."""
    least = np.arange(n_things)
    while True:
        of_place = np.full(int(place.max(initial=-1)) + 1, n_things)
        np.minimum.at(of_place, place, least[thing])
        found = least.copy()
        np.minimum.at(found, thing, of_place[place])
        if np.array_equal(found, least):
            return least
        least = found
