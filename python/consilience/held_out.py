"""How sure votes leave one of labels: each vote is foretold by the others of its row.

Where votes are independent given the label, the posterior of the others foretells a vote as well as anything
made of them. Where they share more than the label (some items are hard, some mislead everybody), it is too
sure of itself, and a tempered posterior, or the plain share of the votes, foretells better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.score_table import ScoreTable

__all__ = ["MAX_HELD_OUT", "TEMPERATURES", "VOTE_SHARES", "best_confidence", "gain_of_doubt"]

TEMPERATURES = (1.0, 0.8, 0.6, 0.45, 0.3)
VOTE_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
"""Candidates, from no change to the greatest that crowds have asked for; twice as many, or more extreme ones,
are no better."""

MAX_HELD_OUT = 200_000
"""Votes that are foretold, about, where there are more: their mean log-probability is known to 0.002 or
so."""


def best_confidence(
    patterns: _core.Patterns,
    of_state: NDArray[np.float64],
    base: NDArray[np.float64],
    vote_of_state: NDArray[np.float64],
    of_vote: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    n_threads: int,
) -> tuple[float, float] | None:
    """Temperature of the posterior, and share of the plain vote in it, that foretell votes best.

    Parameters
    ----------
    patterns
        Distinct rows of votes, of C columns with S states.
    of_state, base : (C, S, K) and (K,) float64 arrays
        Scores.
    vote_of_state : (C, S, K) float64 array
        What a vote plainly says: rows sum to 1.
    of_vote : (C, S, K) float64 array
        ``P(state | the column's source votes, Y = y)``.
    included : (C,) bool array
        Columns whose votes are foretold.
    n_threads : int
        For the pass over the rows; no result depends on it.

    Returns
    -------
    (float, float) or None
        None where no row has two votes.
    """
    told, n_votes = _core.held_out_votes(
        _few_of(patterns, n_threads),
        of_state,
        base,
        vote_of_state,
        of_vote,
        included.astype(np.uint8),
        temperatures=TEMPERATURES,
        shares=VOTE_SHARES,
        n_threads=n_threads,
    )
    if n_votes == 0:
        return None
    # The first of equals is the plain posterior: no change without evidence.
    t, w = np.unravel_index(int(np.argmax(told > told.max() - 1e-9)), told.shape)
    return TEMPERATURES[int(t)], VOTE_SHARES[int(w)]


def gain_of_doubt(
    patterns: _core.Patterns, scores: ScoreTable, states: NDArray[np.bool_], *, n_threads: int
) -> tuple[float, float]:
    """How much better votes are foretold by a tempered posterior than by the posterior itself.

    That a source votes is taken as given, and what this says is counted: under the model the posterior is
    then the best there is, whatever abstentions say.

    Parameters
    ----------
    patterns
        Distinct rows of votes, one column a source.
    scores : ScoreTable
        Of the model.
    states : (m, S) bool array
        What each source votes for. Votes of a source with one such state are certain, and not foretold.
    n_threads : int
        For the passes over the rows; no result depends on it.

    Returns
    -------
    gain : float
        Log-likelihood of the votes under the best temperature, minus that under 1.
    n_votes : float
        Votes that were foretold.
    """
    # The posterior of the others takes it that the source abstains. exp(of_state) takes that back.
    odds = np.where(states[:, :, None], np.exp(scores.of_state), 0.0)
    included = states.sum(axis=1) > 1
    votes_at_all = np.broadcast_to(odds.sum(axis=1, keepdims=True), odds.shape)
    told, n_votes = _core.held_out_votes(
        _few_of(patterns, n_threads),
        scores.of_state,
        scores.base,
        np.zeros_like(scores.of_state),  # no share of the plain vote
        odds,
        included.astype(np.uint8),
        temperatures=TEMPERATURES,
        shares=(0.0,),
        given=np.ascontiguousarray(votes_at_all),
        n_threads=n_threads,
    )
    return float(told.max() - told[0, 0]), n_votes


def _few_of(patterns: _core.Patterns, n_threads: int) -> _core.Patterns:
    """Those rows, or of more than ``MAX_HELD_OUT`` votes about so many, in whatever order columns stand."""
    if len(patterns) * patterns.n_columns <= MAX_HELD_OUT:
        return patterns
    n_votes = patterns.n_votes
    if n_votes.sum() <= MAX_HELD_OUT:
        return patterns
    one_in = float(n_votes @ patterns.weight) / MAX_HELD_OUT
    return patterns.thinned(one_in, n_threads=n_threads) if one_in > 1 else patterns
