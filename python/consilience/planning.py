"""How many items it takes until accuracies are known to within an error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError, WrongTypeError, in_digits, listed
from consilience.intervals import QUANTILE
from consilience.table import Table, Value

__all__ = ["Plan", "plan_items"]

_MOST = 2**53
"""Larger numbers of items are not told."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """How many items like those seen it takes; prints as a table, and iterates as its rows.

    Errors are standard errors of ``P(vote right | source votes)``, in units of accuracy: 0.01 is a point.
    They fall with the root of the number of items.

    Attributes
    ----------
    target_error : float
        What was asked for.
    n_items : int or None
        Items until the error of every source is at the target; None if that is never (`never` then names the
        sources), or takes more than 2^53.
    n_items_rms : int or None
        Items until the root mean square of the errors that are finite is, which one poor source does not
        decide.
    errors : (m,) float64 array
        Standard errors now; infinite where the accuracy is not learned.
    n_by_source : tuple of int or None
        Items until each source's error is at the target; None as above.
    n_seen : int or float
        Items that the model was fitted on.
    never : tuple of str
        Sources whose accuracy no number of such items tells.
    source_names : tuple of str
        Names of all sources.
    notes : tuple of str
        What the answer rests on.
    is_cautious : bool
        Whether labels average cautious fits, so that errors are those under independence alone.
    """

    target_error: float
    n_items: int | None
    n_items_rms: int | None
    errors: NDArray[np.float64]
    n_by_source: tuple[int | None, ...]
    n_seen: int | float
    never: tuple[str, ...]
    source_names: tuple[str, ...]
    notes: tuple[str, ...]
    is_cautious: bool = False

    @cached_property
    def table(self) -> Table:
        """Columns source, error (now), items (in all, until it is at the target)."""
        return Table(
            {
                "source": self.source_names,
                "error": [float(e) if math.isfinite(e) else None for e in self.errors],
                "items": self.n_by_source,
            },
            title=self.in_words(),
            notes=self.notes,
        )

    def in_words(self) -> str:
        """One sentence; of a cautious fit, every number of items in it is one under independence."""
        target = f"a standard error of {self.target_error:g}"
        if not np.isfinite(self.errors).any():
            return f"No number of such items gives {target}"
        mean, seen = _counted(self.n_items_rms), f"{in_digits(self.n_seen)} seen"
        if self.never:
            presuming = "if sources were independent, " * self.is_cautious
            does = "does" if self.n_items_rms == 1 else "do"
            return (
                f"No number of such items gives {target} of every accuracy; {presuming}{mean} {does} for the "
                f"root mean square of those that are learned; {seen}"
            )
        found = f"{_counted(self.n_items)} for {target} of every accuracy (root mean square: {mean}); {seen}"
        if self.is_cautious:
            return f"If sources were independent: {found}"
        return found[0].upper() + found[1:]

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """Rows of the table, each a dict by column name."""
        return iter(self.table)

    def __len__(self) -> int:
        """Count of sources."""
        return len(self.source_names)

    def __repr__(self) -> str:
        return f"Plan(target_error={self.target_error:g}, n_items={self.n_items})"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def plan_items(
    target_error: float,
    accuracy: NDArray[np.float64],
    intervals: NDArray[np.float64],
    learned: NDArray[np.bool_],
    votes: NDArray[np.bool_],
    n: float,
    source_names: Sequence[str],
    *,
    is_cautious: bool,
) -> Plan:
    """Plan from the intervals of a fit.

    Parameters
    ----------
    target_error : float
        Above 0 and below 1.
    accuracy, intervals : (m,) and (m, 2) float64 arrays
        With their 95 % intervals, which end at 0 and 1.
    learned, votes : (m,) bool arrays
        Sources that were learned, and that ever vote.
    n : float
        Items.
    source_names : sequence of str
        Names.
    is_cautious : bool
        Whether labels average cautious fits.
    """
    if isinstance(target_error, bool) or not isinstance(target_error, (int, float, np.number)):
        raise WrongTypeError(f"target_error must be a number, got {type(target_error).__name__}")
    target = float(target_error)
    if not 0 < target < 1:
        raise InvalidArgumentError(
            f"target_error must lie between 0 and 1, got {target_error}; 0.01 is a point of accuracy"
        )
    known = learned & votes
    # The longer side is the one that was not cut at 0 or 1.
    half = np.maximum(accuracy - intervals[:, 0], intervals[:, 1] - accuracy)
    errors = np.where(known, half / QUANTILE, np.inf)
    cut = known & (intervals[:, 0] <= 0) & (intervals[:, 1] >= 1)
    by_source = tuple(_items(n, float(error), target) for error in errors)
    never = tuple(name for name, error in zip(source_names, errors, strict=True) if np.isinf(error))
    worst = float(errors.max(initial=0.0))
    mean = float(np.sqrt(np.mean(errors[known] ** 2))) if known.any() else math.inf
    notes = []
    if never:
        notes.append(
            f"not learned from such items, however many: {listed(never)}; identifiability_.advice says what "
            "would help"
        )
    beyond = np.isfinite(errors) & np.array([own is None for own in by_source], dtype=np.bool_)
    if beyond.any():
        names = [name for name, own in zip(source_names, beyond, strict=True) if own]
        notes.append(f"{_counted(None)}: {listed(names)}")
    if cut.any():
        names = [name for name, own in zip(source_names, cut, strict=True) if own]
        notes.append(f"hardly anything is known yet of {listed(names)}: at least so many items")
    if is_cautious:
        notes.append(
            "the fit is a cautious one: errors are those of the moments, which presume independent sources, "
            "around accuracies that are drawn towards a prior. More items do not take away what dependence "
            "between sources does to either"
        )
    return Plan(
        target,
        _items(n, worst, target),
        _items(n, mean, target),
        errors,
        by_source,
        n,
        never,
        tuple(source_names),
        tuple(notes),
        is_cautious,
    )


def _items(n: float, error: float, target: float) -> int | None:
    """Items until an error that falls with their root is at the target; None beyond ``_MOST``."""
    ratio = error / target  # may overflow to infinity, and so may its square
    needed = n * (ratio * ratio)
    return max(1, math.ceil(needed * (1 - 1e-12))) if needed < _MOST else None


def _counted(n_items: int | None) -> str:
    """A number of items in words."""
    if n_items is None:
        return f"more than {_MOST:.0e} items".replace("e+", "e")
    return "1 item" if n_items == 1 else f"{in_digits(n_items)} items"
