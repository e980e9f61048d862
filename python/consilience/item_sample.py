"""Which items stand for all: the same ones, whether votes come in one piece or in chunks.

One item is drawn from each of equal stretches of the items, whose length is a power of two. The one from a
stretch is that from one of its halves, by a coin that depends on where the stretch is: so items that were
drawn before further ones came stay drawn, or give way to their neighbours, and the rest need not be kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from consilience.votes import Votes

__all__ = ["DrawnItems", "draw_items", "spread"]

MOST_ITEMS = 1 << 18
"""Items that are drawn at most; half as many at least, if there are so many."""

MOST_VOTES = 1 << 24
"""Votes that these hold at most, about: where items have many votes, fewer are drawn. 32 to 64 MiB."""

FEW_ITEMS = 1 << 10
"""Items that are drawn at least, whatever votes they have."""

MOST_PARTS = 256
"""Parts in which drawn items are held before they are put together."""


def draw_items(n_items: int, n_votes: int) -> NDArray[np.int64]:
    """Numbers of the items that are drawn, ascending; which, hangs on how many items and votes there are."""
    return _drawn_between(_level(n_items, n_votes), 0, n_items)


def spread(size: int, n: int) -> NDArray[np.int64]:
    """So many of the numbers below `n`, at least as many, ascending: one from each of equal stretches."""
    # At random, so that they are in no step with whatever order the items are in.
    place = np.arange(size) + np.random.default_rng(size).random(size)
    return np.minimum((place * (n / size)).astype(np.int64), n - 1)


def _level(n_items: int, n_votes: int) -> int:
    """Base-2 logarithm of the length of a stretch."""
    level = 0
    while n_items >> level > MOST_ITEMS:
        level += 1
    while n_votes >> level > MOST_VOTES and n_items >> level > FEW_ITEMS:
        level += 1
    return level


def _drawn_between(level: int, begin: int, end: int) -> NDArray[np.int64]:
    """The items drawn from stretches of ``2^level`` items that lie in ``begin..end-1``."""
    if end <= begin:
        return np.zeros(0, dtype=np.int64)
    item = np.arange(begin >> level, ((end - 1) >> level) + 1, dtype=np.uint64)
    for below in range(level, 0, -1):
        item = np.uint64(2) * item + _coins(below, item)
    numbers = item.astype(np.int64)
    return numbers[(numbers >= begin) & (numbers < end)]


def _coins(level: int, stretch: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """0 or 1 for each stretch of a level: bits that look drawn at random, by the finaliser of SplitMix64."""
    bits = stretch + np.uint64(level * 0x9E3779B97F4A7C15 % 2**64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    coins: NDArray[np.uint64] = bits >> np.uint64(63)
    return coins


@dataclass(frozen=True, eq=False)
class DrawnItems:
    """The items that are drawn from those seen so far, with their votes.

    Attributes
    ----------
    n_items, n_votes : int
        Items seen so far, and their votes.
    items : (s,) int64 array
        Numbers of those that are drawn, ascending.
    parts : tuple of Votes
        Their votes, one part after the other; sparse.
    """

    n_items: int = 0
    n_votes: int = 0
    items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    parts: tuple[Votes, ...] = ()

    def with_votes(
        self,
        votes: Votes,
        n_votes: int,
        listed: Callable[[Votes], Votes],
        stacked: Callable[[list[Votes]], Votes],
    ) -> DrawnItems:
        """Those drawn from these and further items, in that order.

        Parameters
        ----------
        votes : Votes
            Of the further items.
        n_votes : int
            How many they are.
        listed, stacked : callable
            What makes votes sparse, and puts such votes together.
        """
        n_items, n_votes = self.n_items + votes.n_items, self.n_votes + n_votes
        level, items, parts = _level(n_items, n_votes), self.items, self.parts
        if level > _level(self.n_items, self.n_votes) and len(items):
            stay = np.isin(items, _drawn_between(level, 0, self.n_items), assume_unique=True)
            items, parts = items[stay], (stacked(list(parts)).take(np.flatnonzero(stay)),)
        fresh = _drawn_between(level, self.n_items, n_items)
        if len(fresh):
            items = np.concatenate([items, fresh])
            parts = (*parts, listed(votes.take(fresh - self.n_items)))
        if len(parts) > MOST_PARTS:
            parts = (stacked(list(parts)),)
        return DrawnItems(n_items, n_votes, items, parts)
