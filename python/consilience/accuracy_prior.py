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

__all__ = ["AccuracyPrior", "Beliefs", "read_accuracy_prior"]

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
