"""How sure the accuracies are at a maximum of the likelihood: intervals from the information of the votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.drawing import SourceRanks, by_rank, choose_states
from consilience.intervals import MAX_DRAWS, QUANTILE
from consilience.joint_forms import Clique, named_form
from consilience.joint_tables import ComponentTable
from consilience.tied import SourceTable, directions_given_votes, tied_directions, vote_accuracy

__all__ = ["Factor", "balance_error_by_rows", "likelihood_uncertainty"]

MAX_PARAMETERS = 1500
"""Beyond this many the information is not inverted."""

MAX_CELLS = 20_000_000

MIN_DRAWN = 20.0
"""Draws below which an entry of a table is too rare to tell whether it is identified."""


@dataclass(frozen=True, eq=False)
class Factor:
    """One independent part of the votes: a source, or some that depend on each other.

    Attributes
    ----------
    table : (S, K) float64 array
        ``P(state | Y = y)``, every entry of a state that occurs positive.
    directions : (S, K, q) float64 array
        How the table moves with each of its ``q`` parameters; sums to 0 over the states.
    gradients : dict of int to (S, K) float64 array
        For each source of the factor, by its number: derivative of its accuracy with respect to the table.
    members : tuple of int
        Its sources.
    member_states : (S, members) int64 array or None
        State of each of several sources in each state.
    """

    table: NDArray[np.float64]
    directions: NDArray[np.float64]
    gradients: dict[int, NDArray[np.float64]]
    members: tuple[int, ...]
    member_states: NDArray[np.int64] | None = None


def likelihood_uncertainty(
    tables: Sequence[SourceTable],
    masks: Sequence[NDArray[np.bool_]],
    own: NDArray[np.bool_],
    layout: ComponentLayout | None,
    components: Sequence[ComponentTable],
    *,
    model: str,
    class_balance: NDArray[np.float64],
    balance_learned: bool,
    n: float,
    known_share: float = 0.0,
    missing: NDArray[np.bool_] | None = None,
    given_voters: bool = False,
    ranks: SourceRanks | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """95 % intervals of ``P(vote right | source votes)`` and errors of ``P(Y)``, by the delta method.

    The information is the mean outer product of the scores over items drawn from the fitted model (with a
    fixed seed).

    Parameters
    ----------
    tables : sequence of SourceTable
        One a source, ``m`` of them.
    masks : sequence of (s, K) bool arrays
        Events of each source's votes.
    own : (m,) bool array
        Sources that were learned, and not as the copy of another.
    layout, components
        Sources that were modelled together.
    model : str
        Of the other sources; see :func:`consilience.tied.tied_directions`.
    class_balance : (K,) float64 array
        ``P(Y)``.
    balance_learned : bool
        Whether that was learned too.
    n : float
        Number of items.
    known_share : float
        Share of them whose label was known, in [0, 1].
    missing : (m,) bool array, optional
        Sources whose abstentions were found to say nothing.
    given_voters : bool
        Whether these, or without them all, were fitted given that they vote.
    ranks : SourceRanks, optional
        By which the draws go, so that they are the same in whatever columns the sources stand.

    Returns
    -------
    intervals : (m, 2) float64 array
        Within [0, 1]; (0, 1) for sources that were not learned.
    balance_error : (K,) float64 array or None
        Standard errors; None for a balance that was not learned, or that the votes do not identify.

    Notes
    -----
    An accuracy that changes along a direction in which the likelihood is flat has the interval (0, 1).
    """
    m, k = len(tables), len(class_balance)
    if ranks is None:
        ranks = SourceRanks(np.arange(m), np.arange(m))
    accuracy = np.array([vote_accuracy(*pair, class_balance) for pair in zip(tables, masks, strict=True)])
    tables, silent, own_models = _as_silent(tables, model, class_balance, missing, given_voters)
    per_cell = [_gradient(t, a, b, class_balance) for t, a, b in zip(tables, masks, accuracy, strict=True)]
    joint_gradients = [g * class_balance for g in per_cell]
    factors = _factors(tables, masks, own, silent, own_models, layout, components, model, joint_gradients)
    balance_gradients = None
    if balance_learned:
        balance_gradients = np.array(
            [(g * t.table).sum(axis=0) for g, t in zip(per_cell, tables, strict=True)]
        )
    sizes = [factor.directions.shape[2] for factor in factors]
    n_balance = 0 if balance_gradients is None else k - 1
    total = sum(sizes) + n_balance
    n_draws = int(np.clip(MAX_CELLS // max(total, 1), 2000, MAX_DRAWS))
    states, posterior = _draw(factors, ranks.rank, class_balance, n_draws, known_share)
    moves = _moves_of(class_balance)
    blocks = [_scores(factor, own, posterior) for factor, own in zip(factors, states, strict=True)]
    if n_balance:
        blocks.append(posterior[:, : k - 1] - class_balance[: k - 1])
    scores = np.hstack(blocks)
    information = scores.T @ scores / n_draws
    covariance = np.linalg.pinv(information, rcond=1e-10, hermitian=True) / n
    parts = np.split(np.arange(total), np.cumsum(sizes))
    flat = _Flat.of(factors, states, posterior, information)
    variance = np.full(m, np.nan)
    for f, factor in enumerate(factors):
        for j, gradient in factor.gradients.items():
            along = np.zeros(total)
            along[parts[f]] = np.einsum("sy,syq->q", gradient, factor.directions)
            if balance_gradients is not None:
                along[parts[-1]] = balance_gradients[j] @ moves
            if not flat.moves(along):
                variance[j] = along @ covariance @ along
    error = QUANTILE * np.sqrt(ranks.mean_of_alike(np.maximum(variance, 0.0)))
    intervals = np.column_stack([accuracy - error, accuracy + error])
    intervals[~np.isfinite(intervals).all(axis=1)] = (0.0, 1.0)
    balance_error = None
    of_balance = np.zeros((k, total))
    of_balance[:, parts[-1]] = moves if n_balance else 0.0
    if n_balance and not any(flat.moves(along) for along in of_balance):
        of_logits = covariance[np.ix_(parts[-1], parts[-1])]
        balance_error = _error_of(moves, of_logits)
    return np.clip(intervals, 0.0, 1.0), balance_error


def balance_error_by_rows(
    tables: Sequence[SourceTable],
    masks: Sequence[NDArray[np.bool_]],
    own: NDArray[np.bool_],
    states: Sequence[NDArray[np.int64]],
    weights: NDArray[np.float64],
    *,
    model: str,
    class_balance: NDArray[np.float64],
    missing: NDArray[np.bool_] | None = None,
    given_voters: bool = False,
) -> NDArray[np.float64]:
    """Standard errors of a class balance that was learned with independent sources, (K,), by the votes seen.

    The information is the sum of the outer products of the rows' scores: rougher than that of
    :func:`likelihood_uncertainty`, soon found, and the same for any order of the items and the sources.

    Parameters
    ----------
    tables, masks, own, model, class_balance, missing, given_voters
        As for :func:`likelihood_uncertainty`.
    states : sequence of (n_rows,) int array
        For each source of `own` that votes, in their order, its state in each row: a row of its table.
    weights : (n_rows,) float64 array
        Items that each row stands for.
    """
    k = len(class_balance)
    tables, silent, own_models = _as_silent(tables, model, class_balance, missing, given_voters)
    gradients = [np.zeros_like(t.table) for t in tables]
    factors = _factors(tables, masks, own, silent, own_models, None, [], model, gradients)
    posterior = _posterior(factors, states, class_balance)
    blocks = [_scores(factor, of_rows, posterior) for factor, of_rows in zip(factors, states, strict=True)]
    scores = np.hstack([posterior[:, : k - 1] - class_balance[: k - 1], *blocks])
    information = (scores * weights[:, None]).T @ scores
    covariance = np.linalg.pinv(information, rcond=1e-10, hermitian=True)
    return _error_of(_moves_of(class_balance), covariance[: k - 1, : k - 1])


def _moves_of(class_balance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Movement of ``P(Y)`` with its logits, all but the last, (K, K - 1)."""
    k = len(class_balance)
    return (np.diag(class_balance) - np.outer(class_balance, class_balance))[:, : k - 1]


def _error_of(moves: NDArray[np.float64], of_logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of ``P(Y)`` from the covariance of its logits."""
    variance = np.einsum("yi,ij,yj->y", moves, of_logits, moves)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Flat:
    """Directions in which the likelihood is flat, which the pseudo-inverse takes for known.

    Attributes
    ----------
    directions : (p, r) float64 array
        An orthonormal basis of them, in units of `scale`.
    scale : (p,) float64 array
        Root of the information of each parameter alone.
    """

    directions: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        factors: Sequence[Factor],
        states: Sequence[NDArray[np.int64]],
        posterior: NDArray[np.float64],
        information: NDArray[np.float64],
    ) -> _Flat:
        """Those of the information, but for entries of tables that hardly occur among the draws."""
        told, first = information.copy(), 0
        for factor, drawn in zip(factors, states, strict=True):
            n_states, _, q = factor.directions.shape
            met = np.array([posterior[drawn == s].sum(axis=0) for s in range(n_states)])
            rare = factor.directions[met < MIN_DRAWN]
            told[first : first + q, first : first + q] += rare.T @ rare
            first += q
        scale = np.sqrt(np.diag(told))
        scale[scale == 0] = 1.0
        values, vectors = np.linalg.eigh(told / np.outer(scale, scale))
        return cls(vectors[:, values < 1e-10 * values.max(initial=0.0)], scale)

    def moves(self, gradient: NDArray[np.float64]) -> bool:
        """Whether a quantity with this gradient changes along them."""
        own = gradient / self.scale
        return bool(np.linalg.norm(own @ self.directions) > 1e-4 * np.linalg.norm(own))


def _gradient(
    source: SourceTable,
    masks: NDArray[np.bool_],
    accuracy: float,
    class_balance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Derivative of a source's accuracy by its joint probabilities ``P(state, Y = y)``, (s + 1, K)."""
    gradient = np.zeros_like(source.table)
    rate = float((source.table[:-1] @ class_balance).sum())
    if len(masks):
        gradient[:-1] = (masks - accuracy) / rate
    return gradient


def _as_silent(
    tables: Sequence[SourceTable],
    model: str,
    class_balance: NDArray[np.float64],
    missing: NDArray[np.bool_] | None,
    given_voters: bool,
) -> tuple[list[SourceTable], NDArray[np.bool_], list[str]]:
    """Tables, sources whose abstentions have one rate, (m,), and the model of each."""
    silent = np.full(len(tables), given_voters) if missing is None else missing
    shown = [t.with_one_silence(class_balance) if silent[j] else t for j, t in enumerate(tables)]
    # A tied source that abstains at one rate has one strength; given who votes, it need not.
    of_silent = "one-coin" if model == "tied" and not given_voters else model
    return shown, silent, [of_silent if own_silent else model for own_silent in silent.tolist()]


def _factors(
    tables: Sequence[SourceTable],
    masks: Sequence[NDArray[np.bool_]],
    own: NDArray[np.bool_],
    silent: NDArray[np.bool_],
    own_models: Sequence[str],
    layout: ComponentLayout | None,
    components: Sequence[ComponentTable],
    model: str,
    gradients: Sequence[NDArray[np.float64]],
) -> list[Factor]:
    """Sources alone under their models, and components with the forms of their joint tables."""
    together = {j for component in components for j in component.members}
    factors = []
    for j, (source, inside) in enumerate(zip(tables, masks, strict=True)):
        if own[j] and j not in together and len(inside):
            abstains, k = bool(source.table[-1].any()), source.table.shape[1]
            directions = tied_directions(inside, own_models[j], abstains=abstains, n_vectors=k)
            if silent[j] and abstains:
                directions = directions_given_votes(source.table, directions)
            factors.append(Factor(source.table, directions, {j: gradients[j]}, (j,)))
    for component in components:
        assert layout is not None
        states = layout.member_states(component.members)
        own_masks = [masks[j] for j in component.members]
        clique = Clique.of(layout, component.members, own_masks, [0.0] * len(own_masks))
        occurs = np.asarray((component.table > 0).any(axis=1), dtype=np.bool_)
        form = named_form(clique, occurs, model, component.form, component.order)
        directions = form.directions(component.table)
        # Member state 0, the abstention, is the last row of a source's table.
        of_members = {j: gradients[j][states[:, i] - 1] for i, j in enumerate(component.members)}
        factors.append(Factor(component.table, directions, of_members, component.members, states))
    return factors


def _draw(
    factors: Sequence[Factor],
    rank: NDArray[np.int64],
    class_balance: NDArray[np.float64],
    n_draws: int,
    known_share: float,
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """States of drawn items in each factor, and their posterior, (n_draws, K)."""
    label = np.random.default_rng(0).choice(len(class_balance), n_draws, p=class_balance)
    states = []
    for factor in factors:
        own_ranks = rank[list(factor.members)]
        rng = np.random.default_rng([2, *np.sort(own_ranks)])
        if factor.member_states is None:
            states.append(choose_states(rng, factor.table, label))
            continue
        order = by_rank(factor.member_states, own_ranks)
        states.append(order[choose_states(rng, factor.table[order], label)])
    posterior = _posterior(factors, states, class_balance)
    known = round(known_share * n_draws)
    posterior[:known] = np.eye(len(class_balance))[label[:known]]
    return states, posterior


def _posterior(
    factors: Sequence[Factor], states: Sequence[NDArray[np.int64]], class_balance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``P(Y | states)`` of rows whose states in each factor are given, (n_rows, K)."""
    logs = np.log(class_balance) + sum(
        np.log(np.maximum(factor.table, 1e-300))[own] for factor, own in zip(factors, states, strict=True)
    )
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    posterior: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return posterior


def _scores(factor: Factor, states: NDArray[np.int64], posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivative of each row's log-likelihood, (n_rows, q)."""
    scores = np.zeros((len(states), factor.directions.shape[2]))
    for s in np.unique(states):
        rows = states == s
        per_vector = factor.directions[s] / np.maximum(factor.table[s], 1e-300)[:, None]
        scores[rows] = posterior[rows] @ per_vector
    return scores
