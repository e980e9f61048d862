"""How probable each feasible label vector is before any vote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.arrays import as_array
from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.task_graph import TaskGraph
from consilience.third_moments import skewness_of

__all__ = ["ClassBalance", "is_even", "read_class_balance", "read_shares"]

ClassBalance = str | ArrayLike | None


def read_shares(class_balance: ArrayLike) -> NDArray[np.float64]:
    """The numbers of a class balance, (K,), before it is known how many there must be.

    Raises
    ------
    InvalidArgumentError
        If they are no list, one number for each class.
    WrongTypeError
        If it does not hold numbers.
    """
    shares = as_array(class_balance, "class_balance")
    if shares.dtype.kind not in "iuf":
        raise WrongTypeError(
            f"class_balance must hold numbers, got {class_balance!r:.80}; give one probability for each class"
        )
    if shares.ndim != 1:
        raise InvalidArgumentError(
            f"class_balance must have shape (K,), one probability for each class, got {shares.shape}"
        )
    return shares.astype(np.float64)


def is_even(class_balance: ArrayLike) -> bool:
    """Whether it is two halves."""
    shares = np.asarray(class_balance, dtype=np.float64).tolist()
    return len(shares) == 2 and shares[0] == shares[1]


def read_class_balance(class_balance: ClassBalance, graph: TaskGraph) -> NDArray[np.float64]:
    """``P(Y)`` over the feasible set, (K,).

    Raises
    ------
    InvalidArgumentError
        If it has another length, is not positive, or does not sum to 1.
    WrongTypeError
        If it does not hold numbers.
    """
    k = graph.n_vectors
    if class_balance is None or (isinstance(class_balance, str) and class_balance == "uniform"):
        return np.full(k, 1 / k)
    if isinstance(class_balance, str):
        raise InvalidArgumentError(
            f'class_balance must be "uniform" or {k} probabilities, got {class_balance!r}'
        )
    balance = read_shares(class_balance)
    over = "classes" if graph.n_tasks == 1 else "feasible label vectors"
    if balance.shape != (k,):
        raise InvalidArgumentError(
            f"class_balance must have shape ({k},), one for each of the {over}, got {balance.shape}"
        )
    if not (np.isfinite(balance).all() and (balance > 0).all() and abs(balance.sum() - 1) < 1e-6):
        raise InvalidArgumentError(
            f"class_balance must be positive and sum to 1, got {balance.tolist()[:8]} with sum "
            f"{balance.sum():g}; leave out classes that never occur"
        )
    normalised: NDArray[np.float64] = balance / balance.sum()
    return normalised


MIN_LABELS = 50
"""Items with known labels from which on these tell the class balance."""


@dataclass(frozen=True, eq=False)
class BalanceEstimate:
    """A class balance as far as the votes tell it.

    Attributes
    ----------
    class_balance : (K,) float64 array
        ``P(Y)`` over the feasible set.
    error : (K,) float64 array
        Standard error of each.
    moved : (K, q) float64 array
        How each moves with the skewness of each event.
    misfit : float
        Half the squared distance, in standard errors, between the skewness of the events and what the
        balance makes of it.
    n_spare : int
        Events beyond those that a balance could fit exactly.
    """

    class_balance: NDArray[np.float64]
    error: NDArray[np.float64]
    moved: NDArray[np.float64]
    misfit: float
    n_spare: int = 0

    @property
    def wider_error(self) -> NDArray[np.float64]:
        """Standard error of each, wider where no balance explains the events, as with free tables."""
        by_chance = self.n_spare + 4 * np.sqrt(2 * self.n_spare)  # of 100 true balances one is beyond it
        if self.n_spare == 0 or 2 * self.misfit <= by_chance:
            return self.error
        wider: NDArray[np.float64] = self.error * np.sqrt(2 * self.misfit / self.n_spare)
        return wider

    @property
    def is_told(self) -> bool:
        """Whether the votes tell it."""
        return is_told(self.error)


def is_told(error: NDArray[np.float64]) -> bool:
    """Whether standard errors, (K,), are below half of what is left open without votes."""
    k = len(error)
    before = (k - 1) / (k**2 * (2 * k + 1))  # variance of each under the prior
    return k > 1 and bool(np.mean(error**2) < before / 4)


def balance_of_labels(weights: NDArray[np.float64]) -> BalanceEstimate | None:
    """Class balance of items whose labels are known; None if they are few, or all alike, or tell it hardly.

    Parameters
    ----------
    weights : (K,) float64 array
        Items with each label vector.
    """
    k, n = len(weights), float(weights.sum())
    balance = (weights + 1) / (n + k)
    error = np.sqrt(balance * (1 - balance) / (n + k + 1))
    estimate = BalanceEstimate(balance, error, np.zeros((k, 0)), 0.0)
    drawn = n >= MIN_LABELS and np.count_nonzero(weights) > 1  # not picked for one class
    return estimate if drawn and estimate.is_told else None


def balance_from_skewness(
    masks: NDArray[np.bool_], skewness: NDArray[np.float64], covariance: NDArray[np.float64]
) -> BalanceEstimate:
    """Class balance that explains the skewness of some events, [T9].

    The mode of the posterior under a Dirichlet prior with all parameters 2, which is worth one item a class:
    it decides only what the votes leave open.

    Parameters
    ----------
    masks : (q, K) bool array
        The events.
    skewness : (q,) float64 array
        Their ``(1 - 2 P) / sqrt(P (1 - P))``, estimated.
    covariance : (q, q) float64 array
        Of the estimates.
    """
    q, k = masks.shape
    scale = np.sqrt(np.diag(covariance))
    # Events that are nearly functions of each other, such as all classes but one, must not count as exact.
    correlation = covariance / np.outer(scale, scale) + 1e-6 * np.eye(q)
    precision = np.linalg.inv(correlation) / np.outer(scale, scale)
    member = masks.astype(np.float64)
    gauge = np.full((k, k), 1 / k)  # logits have a free constant

    def at(logits: NDArray[np.float64]) -> _Balance:
        balance = _softmax(logits)
        p = np.clip(member @ balance, 1e-12, 1 - 1e-12)
        residual = skewness - skewness_of(p)
        misfit = float(residual @ precision @ residual / 2)
        spread = np.diag(balance) - np.outer(balance, balance)
        slope = (-0.5 * (p * (1 - p)) ** -1.5)[:, None] * (member @ spread)
        normal = slope.T @ precision @ slope + k * spread + gauge
        # Where some events are told far better than others, rounding must not make it singular.
        normal[np.diag_indices(k)] += 1e-12 * np.diag(normal).max()
        return _Balance(
            balance,
            misfit,
            misfit - float(np.log(balance).sum()),
            slope.T @ precision @ residual + 1 - k * balance,
            normal,
            slope.T @ precision,
        )

    logits = np.zeros(k)
    point = at(logits)
    for _ in range(100):
        step = np.linalg.solve(point.normal, point.ascent)
        step *= min(1.0, 2.0 / np.abs(step).max(initial=1e-300))
        settled = np.abs(step).max() < 1e-9
        ahead = at(logits + step)
        while ahead.loss > point.loss and not settled:
            step = step / 2
            settled = np.abs(step).max() < 1e-9
            ahead = at(logits + step)
        logits, point = logits + step, ahead
        if settled:
            break
    spread = np.diag(point.balance) - np.outer(point.balance, point.balance)
    through = spread @ np.linalg.inv(point.normal)
    error = np.sqrt(np.maximum(np.diag(through @ spread), 0.0))
    n_spare = max(q - (k - 1), 0)
    return BalanceEstimate(point.balance, error, through @ point.pull, point.misfit, n_spare)


@dataclass(frozen=True, eq=False)
class _Balance:
    balance: NDArray[np.float64]
    misfit: float
    loss: float
    ascent: NDArray[np.float64]
    normal: NDArray[np.float64]
    pull: NDArray[np.float64]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max())
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised
