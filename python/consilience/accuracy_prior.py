"""What somebody believes of the accuracy of sources, in votes that would have shown it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.source_graph import read_source

__all__ = ["AccuracyPrior", "Beliefs", "ImaginedItems", "read_accuracy_prior"]

Beliefs: TypeAlias = Mapping[Any, tuple[float, float]] | None
"""``{source: (accuracy, votes)}``."""


@dataclass(frozen=True, eq=False)
class AccuracyPrior:
    """Prior of each of some sources, or columns.

    Attributes
    ----------
    accuracy : (m,) float64 array
        ``P(vote right | source votes)``, in (0, 1).
    votes : (m,) float64 array
        How many votes the prior counts as, 0 without one.
    """

    accuracy: NDArray[np.float64]
    votes: NDArray[np.float64]

    def counted_once(self, first: NDArray[np.int64]) -> AccuracyPrior:
        """Beliefs about sources that vote alike put together, at the first of them."""
        votes, right = np.zeros_like(self.votes), np.zeros_like(self.votes)
        np.add.at(votes, first, self.votes)
        np.add.at(right, first, self.votes * self.accuracy)
        accuracy = np.divide(right, votes, out=self.accuracy.copy(), where=votes > 0)
        return AccuracyPrior(accuracy, votes)

    def where_not(self, own: AccuracyPrior | None) -> AccuracyPrior:
        """These, but those of `own` where it has some."""
        if own is None:
            return self
        has = own.votes > 0
        return AccuracyPrior(np.where(has, own.accuracy, self.accuracy), np.where(has, own.votes, self.votes))

    def take(self, sources: Any) -> AccuracyPrior:
        """Of some of them, in that order."""
        return AccuracyPrior(self.accuracy[sources], self.votes[sources])


@dataclass(frozen=True, eq=False)
class ImaginedItems:
    """Items beside those observed, on which the votes of columns are right as a prior believes.

    A source that votes for every class is right as often under each; of one that does not, the belief is
    about its votes for each event. Right votes, and wrong ones, are for each event as often as ever.

    Attributes
    ----------
    prior : AccuracyPrior
        Of the columns; there are as many items as the votes that it counts as come from.
    masks : (C, S, K) bool array
        Event of each state; state 0, the abstention, is not read.
    rate : (C, S) float64 array
        How often each column is in each state, 0 where it never is.
    """

    prior: AccuracyPrior
    masks: NDArray[np.bool_]
    rate: NDArray[np.float64]

    def under(self, class_balance: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many have each state and label vector if ``P(Y)`` is this, (C, S, K)."""
        inside, rate = self.masks[:, 1:], self.rate[:, 1:, None]
        coverage = rate.sum(axis=1, keepdims=True)
        accuracy = self.prior.accuracy[:, None, None]
        right = (rate * inside).sum(axis=1, keepdims=True)
        wrong = (rate * ~inside).sum(axis=1, keepdims=True)
        if_right = _ratio(np.where(wrong > 0, accuracy, 1.0) * rate * coverage, right)
        if_wrong = _ratio((1 - accuracy) * rate * coverage, wrong)
        p = (inside @ class_balance)[:, :, None]
        one_sided = (right <= 0).any(axis=2, keepdims=True)
        if_right = np.where(one_sided, _ratio(accuracy * rate, p), if_right)
        if_wrong = np.where(one_sided, _ratio((1 - accuracy) * rate, 1 - p), if_wrong)
        votes = np.where(inside, if_right, if_wrong)
        votes /= np.maximum(1.0, votes.sum(axis=1, keepdims=True) / 0.999)
        silent = (1 - votes.sum(axis=1, keepdims=True)) * (self.rate[:, :1, None] > 0)
        n_items = _ratio(self.prior.votes[:, None, None], coverage)
        items: NDArray[np.float64] = n_items * class_balance * np.concatenate([silent, votes], axis=1)
        return items


def read_accuracy_prior(beliefs: Beliefs, source_names: tuple[str, ...]) -> AccuracyPrior | None:
    """Beliefs, checked; None if there are none.

    Raises
    ------
    InvalidArgumentError
        If a source is not there or named twice, an accuracy is not between 0 and 1, or votes are negative.
    WrongTypeError
        If the beliefs are no mapping to pairs of numbers.
    """
    if beliefs is None:
        return None
    if not isinstance(beliefs, Mapping):
        raise WrongTypeError(
            f"accuracy_prior must be a dict, {{source: (accuracy, votes)}}, got {type(beliefs).__name__}"
        )
    index = {name: j for j, name in enumerate(source_names)}
    accuracy, votes = np.full(len(source_names), 0.5), np.zeros(len(source_names))
    named: set[int] = set()
    for source, belief in beliefs.items():
        j = read_source(source, index, "accuracy_prior")
        if j in named:
            raise InvalidArgumentError(f"accuracy_prior names {source_names[j]!r} twice; give one belief")
        named.add(j)
        try:
            believed, weight = (float(number) for number in belief)
        except (TypeError, ValueError):
            raise WrongTypeError(
                f"accuracy_prior[{source!r}] must be a pair of numbers, (accuracy, votes), got {belief!r}"
            ) from None
        if not 0 < believed < 1:
            raise InvalidArgumentError(
                f"accuracy_prior[{source!r}]: the accuracy must lie between 0 and 1, got {believed}"
            )
        if not 0 <= weight < math.inf:
            raise InvalidArgumentError(
                f"accuracy_prior[{source!r}]: votes must be finite and at least 0, got {weight}"
            )
        accuracy[j], votes[j] = believed, weight
    return AccuracyPrior(accuracy, votes) if votes.any() else None


def _ratio(numerator: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(numerator.shape, of.shape)
    return np.divide(numerator, of, out=np.zeros(shape), where=of > 0)
