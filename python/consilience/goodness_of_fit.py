"""How much of the frequencies of whole rows independence given the label leaves over.

Pairs of votes are what many sources are tested by. Of three or four sources there are too few of them; but
there are not many different rows either, each of them met often, and these say all there is to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consilience.tied import SourceTable, n_parameters

__all__ = ["MAX_ROWS", "degrees_of_freedom", "unexplained_share_of_rows"]

MAX_ROWS = 4096
"""Different rows that there may be; where there are more, they are not compared one by one."""

MIN_EXPECTED = 5
"""Items that a row must be expected on to count alone; the others count together."""


def degrees_of_freedom(
    tables: Sequence[SourceTable], class_balance: NDArray[np.float64], model: str, *, missing: bool
) -> tuple[int, int]:
    """Numbers that tell the frequencies of rows, and those of them that a model of the sources may choose.

    Parameters
    ----------
    tables : sequence of SourceTable
        One a source that votes.
    class_balance : (K,) float64 array
        ``P(Y)``.
    model : str
        See :mod:`consilience.em`.
    missing : bool
        Whether rows are looked at given who votes.

    Returns
    -------
    free, chosen : int
        0 and 0 where rows may be too many.
    """
    k = len(class_balance)
    n_states = np.array([np.count_nonzero(table.table.any(axis=1)) for table in tables])
    if np.log(n_states).sum() > np.log(MAX_ROWS) + 1e-9:
        return 0, 0
    chosen, n_voters = k - 1, 1
    for table in tables:
        abstains, votes = bool(table.table[-1].any()), len(table.events)
        chosen += n_parameters(model, votes, k, abstains=abstains and not missing)
        n_voters *= 1 + (abstains and missing)
    return int(np.prod(n_states)) - n_voters, chosen


def unexplained_share_of_rows(
    tables: Sequence[SourceTable],
    states: Sequence[NDArray[np.int64]],
    weights: NDArray[np.float64],
    class_balance: NDArray[np.float64],
    model: str,
    *,
    missing: bool,
) -> float:
    """Share of what the votes of a row tell of each other that independence given the label leaves over.

    0 where it explains all but noise, 1 where it explains nothing: Pearson's statistic, beyond what noise
    adds, relative to that of a fit without any label.

    Parameters
    ----------
    tables : sequence of SourceTable
        One a source that votes.
    states : sequence of (n_rows,) int arrays
        State of each source in each row: a row of its table.
    weights : (n_rows,) float64 array
        Items that each row stands for.
    class_balance, model, missing
        As for :func:`degrees_of_freedom`.
    """
    shape = tuple(len(table.table) for table in tables)
    met = np.bincount(np.ravel_multi_index(tuple(states), shape), weights, minlength=int(np.prod(shape)))
    n = met.sum()
    given_label, alone, voters = np.ones((1, len(class_balance))), np.ones(1), np.zeros(1, dtype=np.int64)
    for table, own in zip(tables, states, strict=True):
        cells, rates = table.table, np.bincount(own, weights, minlength=len(table.table)) / n
        if missing:
            cells, rates = _given_vote(cells), _given_vote(rates)
        given_label = (given_label[:, None] * cells).reshape(-1, len(class_balance))
        alone = (alone[:, None] * rates).reshape(-1)
        votes = np.arange(len(table.table)) < len(table.events)
        voters = (2 * voters[:, None] + votes).reshape(-1)
    of_voters = n
    if missing:
        of_voters = np.bincount(voters, met)[voters]
    explained, alone = of_voters * (given_label @ class_balance), of_voters * alone
    expected = np.maximum(explained, alone)
    seen = expected >= MIN_EXPECTED
    residual, without_label = (
        float(((met - of_model)[seen] ** 2 / expected[seen]).sum()) for of_model in (explained, alone)
    )
    free, chosen = degrees_of_freedom(tables, class_balance, model, missing=missing)
    n_rates = sum(len(table.events) for table in tables)
    freedom = max(min(free, int(seen.sum())) - chosen, 1)
    share = max(0.0, residual - freedom) / max(without_label - max(free - n_rates, 1), 1.0)
    return float(min(share, 1.0))


def _given_vote(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates of states, the last of which abstains, given whether a source votes."""
    total = rates[:-1].sum(axis=0)
    votes: NDArray[np.float64] = np.divide(rates[:-1], total, out=np.zeros_like(rates[:-1]), where=total > 0)
    return np.concatenate([votes, np.ones_like(rates[-1:])])
