"""Errors and warnings of the package, and how a message lists values.

Every error derives from :class:`ConsilienceError` and from the built-in exception a caller would expect. A
message names the argument, the source, task or row, the value found and the values allowed, and says one
thing to do.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable

__all__ = [
    "ConsilienceError",
    "ConsilienceWarning",
    "ConvergenceWarning",
    "DuplicateSourcesWarning",
    "FileFormatError",
    "InfeasibleVotesWarning",
    "InvalidArgumentError",
    "InvalidVotesError",
    "MissingDependencyError",
    "NotFittedError",
    "NotIdentifiableError",
    "NotIdentifiableWarning",
    "SignWarning",
    "SingularCovarianceError",
    "TooManyJointStatesWarning",
    "WrongTypeError",
    "in_digits",
    "listed",
    "warn_caller",
]

_PACKAGE = __name__.partition(".")[0]


class ConsilienceError(Exception):
    """Base of every error the package raises on purpose."""


class InvalidArgumentError(ConsilienceError, ValueError):
    """An argument of the right type has a value that is not allowed."""


class InvalidVotesError(InvalidArgumentError):
    """The votes have a wrong shape, a vote outside its range, or no vote at all."""


class WrongTypeError(ConsilienceError, TypeError):
    """An argument is of a type that is never allowed there."""


class NotIdentifiableError(ConsilienceError, ValueError):
    """The sources and their dependencies leave the accuracies without a unique answer."""


class SingularCovarianceError(ConsilienceError, ValueError):
    """The covariance of the indicators cannot be inverted."""


class NotFittedError(ConsilienceError, ValueError, AttributeError):
    """A fitted attribute or a prediction was asked of a model before ``fit``."""


class FileFormatError(ConsilienceError, ValueError):
    """A file is truncated, damaged, of another kind, or of a newer format."""


class MissingDependencyError(ConsilienceError, ImportError):
    """An optional package is needed and not installed; the message names the extra."""


class ConsilienceWarning(UserWarning):
    """Base of every warning the package gives."""


class NotIdentifiableWarning(ConsilienceWarning):
    """What cannot be learned about the named sources keeps its prior; in cautious fits, is drawn to it."""


class InfeasibleVotesWarning(ConsilienceWarning):
    """Some vote vectors agree with no feasible label vector and were taken as abstentions."""


class DuplicateSourcesWarning(ConsilienceWarning):
    """Some sources vote alike on (almost) every item and were counted once."""


class SignWarning(ConsilienceWarning):
    """Most sources of a group are taken to be worse than chance, because third moments say so."""


class TooManyJointStatesWarning(ConsilienceWarning):
    """Some dependent sources are too many to be modelled together; their labels take them as independent."""


class ConvergenceWarning(ConsilienceWarning):
    """An iteration stopped at its limit before it converged."""


def warn_caller(message: str, category: type[ConsilienceWarning]) -> None:
    """Warn at the line outside the package that led here."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def in_digits(n: float) -> str:
    """A number of items, or a sum of their weights, in digits: ``10000000``, never ``1e+07``.

    Examples
    --------
    >>> in_digits(10_000_000), in_digits(2.5), in_digits(1234567.25)
    ('10000000', '2.5', '1234567.2')
    """
    if n == int(n):
        return f"{n:.0f}"
    return f"{n:g}" if abs(n) < 1e5 else f"{n:.1f}"


def listed(values: Iterable[object], limit: int = 8) -> str:
    """Values for a message: ``'a', 'b', 'c'``, cut after `limit` of them.

    Parameters
    ----------
    values : iterable
        What to list, in order; each is shown by ``repr``.
    limit : int
        How many are shown before "and … more".

    Returns
    -------
    str
        ``"nothing"`` for no values.

    Examples
    --------
    >>> listed(["a", "b", 3], limit=2)
    "'a', 'b' and 1 more"
    """
    shown = [repr(value) for value in values]
    if not shown:
        return "nothing"
    rest = len(shown) - limit
    return ", ".join(shown[:limit]) + (f" and {rest} more" if rest > 0 else "")
