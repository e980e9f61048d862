"""What passes go over: distinct rows of votes with their weights, or all items where nearly all rows differ.

Distinct rows pay where they are few: each is looked at once, whatever it stands for. Where most items have a
row of their own, to find the distinct ones takes longer than the few passes over all items that EM needs, and
room for all of them. Items are then read from the votes in every pass; of votes that come in chunks, which
leave nothing else, the distinct rows are. Both sum up in whole numbers, and draw the same items to stand for
all, so that fits end at the same point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.item_sample import draw_items, spread
from consilience.task_graph import TaskGraph
from consilience.votes import Votes

__all__ = ["MAX_PATTERNS", "Distinct", "Items", "Rows", "Stored", "Tallied", "rows_of", "some_patterns"]

MAX_PATTERNS = 1 << 18
"""Distinct rows up to which they are kept rather than items, where these count once each: 4 MiB, and up to
eight times as much while they are found."""

GUESSED_FROM = 1 << 14
"""Items from which the number of distinct rows is guessed."""

FEW_DISTINCT = 0.3
"""Share of a sample's items up to which a pass over their distinct rows is the faster one."""

Expected: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64], float]


@dataclass(frozen=True, eq=False)
class Distinct:
    """Distinct rows and how many items each stands for."""

    patterns: _core.Patterns

    def __len__(self) -> int:
        """Rows that a pass goes over."""
        return len(self.patterns)

    @property
    def n(self) -> float:
        """Items they stand for."""
        return float(self.patterns.weight.sum())

    def expect(self, of_state: NDArray[np.float64], base: NDArray[np.float64], n_threads: int) -> Expected:
        """Expected counts of states and of label vectors, and the log-likelihood, under scores.

        Parameters
        ----------
        of_state : (C, S, K) float64 array
            What each state of a column adds; state 0 adds nothing.
        base : (K,) float64 array
            Score of a row without votes.
        n_threads : int
            For the pass; the result does not depend on it.

        Returns
        -------
        of_state : (C, S, K) float64 array
            That of state 0 is 0.
        of_vector : (K,) float64 array
        log_likelihood : float
        """
        return _core.expect(self.patterns, of_state, base, n_threads=n_threads)

    def sample(self, size: int, n_threads: int) -> Distinct:
        """About `size` of the items; which, depends neither on their order nor on that of the columns."""
        return Distinct(self.patterns.thinned(self.n / size, n_threads=n_threads))

    def times(self, factor: float) -> Distinct:
        """The same rows standing for so many times the items."""
        patterns = self.patterns
        every, columns = np.arange(len(patterns)), np.ones(patterns.n_columns, dtype=np.uint8)
        return Distinct(patterns.select(every, patterns.weight * factor, columns))

    def with_states(self, number: NDArray[np.int32], n_states: int) -> Distinct:
        """The same rows with other numbers of their states; see ``Patterns.with_states``."""
        return Distinct(self.patterns.with_states(number, n_states))


@dataclass(frozen=True, eq=False)
class Stored:
    """Items whose votes are at hand, to be read in every pass.

    Attributes
    ----------
    votes : Votes
        Their votes, borrowed.
    task_graph : TaskGraph
        What these are about.
    coding
        How they are read.
    n_votes : int
        How many votes say anything: it tells how many of the items may be drawn.
    left_out : (n_items,) bool array or None
        Items that do not count.
    """

    votes: Votes
    task_graph: TaskGraph
    coding: _core.StateCoding
    n_votes: int = 0
    left_out: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Items, those that do not count included."""
        return self.votes.n_items

    @cached_property
    def n(self) -> int:
        """Items that count."""
        return len(self) - (0 if self.left_out is None else int(np.count_nonzero(self.left_out)))

    @cached_property
    def view(self) -> _core.VoteView:
        """The votes as the core takes them, checked once."""
        return self.votes.view(self.task_graph)[0]

    def expect(self, of_state: NDArray[np.float64], base: NDArray[np.float64], n_threads: int) -> Expected:
        """As :meth:`Distinct.expect`, in the states of the coding."""
        return _core.expect_items(self.view, self.coding, of_state, base, self.left_out, n_threads=n_threads)

    def patterns(self, n_threads: int) -> _core.Patterns:
        """The distinct rows."""
        return _core.find_patterns(self.view, self.coding, None, self.left_out, n_threads=n_threads)

    def few_patterns(self, n_threads: int) -> _core.Patterns | None:
        """The same, unless there are more than ``MAX_PATTERNS``."""
        return _core.find_few_patterns(
            self.view, self.coding, MAX_PATTERNS, self.left_out, n_threads=n_threads
        )

    def some(self, size: int) -> Stored:
        """So many of those that are drawn, or all of these."""
        drawn = self._drawn
        return self.taken(drawn if size >= len(drawn) else drawn[spread(size, len(drawn))])

    @cached_property
    def _drawn(self) -> NDArray[np.int64]:
        return draw_items(len(self), self.n_votes)

    def taken(self, items: NDArray[np.int64]) -> Stored:
        """The items with these numbers."""
        left_out = None if self.left_out is None else self.left_out[items]
        return replace(self, votes=self.votes.take(items), n_votes=0, left_out=left_out)


@dataclass(frozen=True, eq=False)
class Tallied:
    """Items of which their distinct rows are left, and the votes of some.

    Attributes
    ----------
    rows : Patterns
        Their weights are whole numbers.
    drawn : Stored
        Those that are drawn from all.
    """

    rows: _core.Patterns
    drawn: Stored

    def __len__(self) -> int:
        """Items."""
        return self.n

    @cached_property
    def n(self) -> int:
        """Items that count: all of them."""
        return int(self.rows.weight.sum())

    def expect(self, of_state: NDArray[np.float64], base: NDArray[np.float64], n_threads: int) -> Expected:
        """As :meth:`Stored.expect`, the same but for the last digits of the log-likelihood."""
        return _core.expect_exactly(self.rows, of_state, base, n_threads=n_threads)

    def patterns(self, n_threads: int) -> _core.Patterns:
        """The distinct rows."""
        return self.rows

    def few_patterns(self, n_threads: int) -> _core.Patterns | None:
        """As :meth:`Stored.few_patterns`."""
        return self.rows if len(self.rows) <= MAX_PATTERNS else None

    def some(self, size: int) -> Stored:
        """As :meth:`Stored.some`."""
        n = len(self.drawn)
        return self.drawn if size >= n else self.drawn.taken(spread(size, n))


@dataclass(frozen=True, eq=False)
class Items:
    """Items that passes go over, each for itself, where nearly all rows differ.

    Attributes
    ----------
    held : Stored or Tallied
        What there is of them.
    number : (C, S) int32 array or None
        Number of each state of a column in the coding; None where these are its numbers. Votes with number 0
        are left out.
    n_states : int
        States of a column so numbered.
    factor : float
        How many items each stands for.
    """

    held: Stored | Tallied
    number: NDArray[np.int32] | None
    n_states: int
    factor: float = 1.0

    def __len__(self) -> int:
        """Items."""
        return len(self.held)

    @property
    def n(self) -> float:
        """Items they stand for."""
        return self.held.n * self.factor

    def expect(self, of_state: NDArray[np.float64], base: NDArray[np.float64], n_threads: int) -> Expected:
        """As :meth:`Distinct.expect`."""
        number = self.number
        if number is not None:
            at = (np.arange(len(number))[:, None], number)
            of_state = np.ascontiguousarray(of_state[at])
        counts, of_vector, log_likelihood = self.held.expect(of_state, base, n_threads)
        if number is not None:
            read, counts = counts, np.zeros((len(number), self.n_states, len(base)))
            np.add.at(counts, at, read)
            counts[:, 0] = 0.0
        return counts * self.factor, of_vector * self.factor, log_likelihood * self.factor

    def sample(self, size: int, n_threads: int) -> Rows:
        """Some of the items, as :meth:`some`; their distinct rows where these are few."""
        items = self.some(size)
        patterns = items.patterns(n_threads)
        if len(patterns) > FEW_DISTINCT * len(items):
            return items
        if items.number is not None:
            patterns = patterns.with_states(items.number, items.n_states)
        return Distinct(patterns).times(items.factor)

    def some(self, size: int) -> Items:
        """So many of the items, spread over them, or all; which, depends on how many they and votes are.

        No more than :func:`consilience.item_sample.draw_items` draws, unless all are wanted.
        """
        return self if size >= len(self) else replace(self, held=self.held.some(size))

    def times(self, factor: float) -> Items:
        """The same items, each standing for so many times as many."""
        return replace(self, factor=self.factor * factor)

    def with_states(self, number: NDArray[np.int32], n_states: int) -> Items:
        """The same items with other numbers of their states."""
        if self.number is not None:
            number = np.take_along_axis(number, self.number.astype(np.intp), axis=1)
        return replace(self, number=number, n_states=n_states)

    def patterns(self, n_threads: int) -> _core.Patterns:
        """The distinct rows among them, in the states of the coding."""
        return self.held.patterns(n_threads)

    def may_be_few(self, n_threads: int) -> bool:
        """Whether there may be no more than ``MAX_PATTERNS`` distinct rows."""
        if len(self) <= MAX_PATTERNS:
            return True
        some = self.some(GUESSED_FROM).patterns(n_threads)
        # The more of those met were met once, the faster new ones still come.
        share_once = float(np.mean(some.weight == 1))
        grows = max(len(self) / GUESSED_FROM, 1.0)
        return float(len(some) * grows**share_once) <= MAX_PATTERNS


Rows: TypeAlias = Distinct | Items


def rows_of(items: Items, n_threads: int) -> Rows:
    """The distinct rows of some items, or the items themselves where most have a row of their own."""
    if not items.may_be_few(n_threads):
        return items
    found = items.held.few_patterns(n_threads)
    return items if found is None else Distinct(found)


def some_patterns(rows: Rows, size: int, n_threads: int) -> _core.Patterns:
    """Distinct rows of about `size` items, spread over all of them, or of more."""
    return rows.patterns if isinstance(rows, Distinct) else rows.some(size).patterns(n_threads)
