"""How far a long run has come, for whoever wants to see it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeAlias

from consilience.exceptions import WrongTypeError

__all__ = ["Progress", "Report", "reporting"]

Report: TypeAlias = Callable[[int, int | None], object]
"""Called with the number of items that are done, and of all items where that is known."""

Progress: TypeAlias = bool | Report | None
"""What callers give: True shows a line on standard error, a function is called, None and False are silent."""

_SECONDS_BETWEEN = 0.1


@contextmanager
def reporting(progress: Progress, n_before: int = 0) -> Iterator[Report]:
    """What to call as items get done; so many were done before, and tell nothing of the speed."""
    if callable(progress):
        yield progress
    elif progress not in (None, True, False):
        raise WrongTypeError(f"progress must be True, False, None or a function, got {progress!r}")
    elif not progress:
        yield lambda done, total: None
    else:
        line = _Line(sys.stderr, n_before)
        try:
            yield line
        finally:
            line.clear()


class _Line:
    """One line of text that is written over again and again, and gone in the end."""

    def __init__(self, stream: TextIO, n_before: int) -> None:
        self._stream = stream
        self._n_before = n_before
        self._start = time.monotonic()
        self._last = float("-inf")
        self._length = 0

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN:
            return
        self._last = now
        self._write(progress_text(done, total, now - self._start, self._n_before))

    def clear(self) -> None:
        self._write("")
        self._stream.write("\r" if self._length else "")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._length) if text or self._length else "")
        self._stream.flush()
        self._length = max(self._length, len(text))


def progress_text(done: int, total: int | None, seconds: float, n_before: int = 0) -> str:
    """Such as ``25 % of 4,000,000 items, 2,000,000 a second, 2 s left``.

    Examples
    --------
    >>> progress_text(1_000_000, 4_000_000, 0.5)
    '25 % of 4,000,000 items, 2,000,000 a second, 2 s left'
    >>> progress_text(1_000_000, 4_000_000, 0.5, n_before=500_000)
    '25 % of 4,000,000 items, 1,000,000 a second, 3 s left'
    >>> progress_text(1_000_000, None, 0.5)
    '1,000,000 items, 2,000,000 a second'
    """
    rate = (done - n_before) / seconds if seconds > 0 else 0.0
    speed = f", {rate:,.0f} a second" if rate else ""
    if not total:
        return f"{done:,} items{speed}"
    left = f", {(total - done) / rate:,.0f} s left" if rate else ""
    return f"{done / total:.0%}".replace("%", " %") + f" of {total:,} items{speed}{left}"
