"""The smallest set of votes of an item without which its label is another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from consilience.score_table import WeightedScores

__all__ = ["Flip", "Reading", "smallest_flip"]

MAX_SETS = 100_000
"""Sets of votes that are tried for an item where no shortcut is exact."""

_BATCH = 2048
_TIE = 1e-9

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Flip:
    """Votes of an item that its label hangs on.

    Attributes
    ----------
    sources : tuple of int or None
        The sources whose votes, turned into abstentions, change the label; None if no set was found.
    label : int or None
        What it becomes: the row of the feasible set (the class, for one task whose classes are all feasible).
    is_smallest : bool
        Whether no smaller set does (or, where there is none, no set at all). Otherwise the search was cut
        short after ``MAX_SETS`` sets: the smallest set has at most as many votes as this one.
    """

    sources: tuple[int, ...] | None
    label: int | None
    is_smallest: bool


@dataclass(frozen=True, eq=False)
class Reading:
    """How the votes of some items are labelled.

    Attributes
    ----------
    states : (n_items, n_columns) int64 array
        State of each column of the score tables.
    parts : tuple of WeightedScores
        What labels are scored by.
    preference : (K,) int array
        Label vectors, those that win ties first.
    of_vector : (K,) int array
        What of each label vector is asked about: its class in a task, or itself.
    events : (q, t) int64 array
        Event of each state of a source, from 1 on.
    n_sources : int
        Number of sources.
    """

    states: Indices
    parts: tuple[WeightedScores, ...]
    preference: Indices
    of_vector: Indices
    events: Indices
    n_sources: int

    @cached_property
    def predicted(self) -> Indices:
        """Label vector of each item, as ``predict`` gives it, (n_items,)."""
        return self.labels(self.scores(self.states))

    def scores(self, states: Indices) -> list[Floats]:
        """Scores of rows of states by each part, (n, K) each."""
        found = []
        for part in self.parts:
            total = np.tile(part.scores.base, (len(states), 1))
            for c in np.flatnonzero((states > 0).any(axis=0)):
                total += part.scores.of_state[c, states[:, c]]
            found.append(total)
        return found

    def log_posterior(self, scores: list[Floats]) -> Floats:
        """``log P(Y = y | votes)`` from the scores by each part, (n, K)."""
        logs = []
        for part, total in zip(self.parts, scores, strict=True):
            own = np.log(total) if part.scores.link == "share" else total
            largest = own.max(axis=1, keepdims=True)
            norm = largest + np.log(np.exp(own - largest).sum(axis=1, keepdims=True))
            logs.append(np.log(part.weight) + own - norm)
        if len(logs) == 1:
            only: Floats = logs[0]
            return only
        stacked = np.stack(logs)
        largest = stacked.max(axis=0)
        result: Floats = largest + np.log(np.exp(stacked - largest).sum(axis=0))
        return result

    def labels(self, scores: list[Floats]) -> Indices:
        """Most probable label vectors by their scores; of several within 1e-9, the first by preference."""
        values = scores[0] if len(scores) == 1 else np.exp(self.log_posterior(scores))
        ranked = values[:, self.preference]
        first = np.argmax(ranked >= ranked.max(axis=1, keepdims=True) - _TIE, axis=1)
        labels: Indices = np.asarray(self.preference[first], dtype=np.int64)
        return labels

    def member_states(self, column: int, state: int) -> list[tuple[int, int]]:
        """Each source of a column, and its own state, 0 where it abstains."""
        layout = self.parts[0].scores.layout
        if layout is None:
            return [(column, state)]
        if column < len(layout.alone):
            return [(layout.alone[column], state)]
        clique = layout.members[column - len(layout.alone)]
        sizes = [len(layout.events[j]) + 1 for j in clique]
        own = []
        for j, size in zip(clique, sizes, strict=True):
            own.append((j, state % size))
            state //= size
        return own

    def events_of(self, column: int, state: int) -> list[list[int] | None]:
        """What each source of a column votes in a state; None where it abstains."""
        layout = self.parts[0].scores.layout
        said: list[list[int] | None] = []
        for j, own in self.member_states(column, state):
            together = layout is not None and column >= len(layout.alone)
            events = layout.events[j] if layout is not None and together else self.events
            said.append(events[own - 1].tolist() if own else None)
        return said

    def removals(self, item: int) -> tuple[list[int], Indices]:
        """Sources that vote on an item, and what each one's vote adds to the states of the columns."""
        layout = self.parts[0].scores.layout
        adds: dict[int, Indices] = {}
        for c in np.flatnonzero(self.states[item]).tolist():
            step = 1
            for j, own in self.member_states(c, int(self.states[item, c])):
                if own:
                    adds.setdefault(j, np.zeros(self.states.shape[1], dtype=np.int64))[c] = own * step
                step *= 1 if layout is None else len(layout.events[j]) + 1
        sources = sorted(adds)
        table = np.array([adds[j] for j in sources], dtype=np.int64)
        return sources, table.reshape(len(sources), self.states.shape[1])


def smallest_flip(reading: Reading, item: int) -> Flip:
    """Smallest set of an item's votes whose removal changes what its label vector is asked about.

    For one score table the margin over each rival falls by what each vote adds to it, and the votes that add
    most are the smallest set: exact. Elsewhere sets are tried by size, as many as ``MAX_SETS``, and what a
    greedy search finds is the upper end.
    """
    search = _Search(reading, item)
    if search.is_additive:
        found = search.by_margins()
        if found is not None:
            return found
    return search.by_size()


class _Search:
    def __init__(self, reading: Reading, item: int) -> None:
        self.reading = reading
        self.states = reading.states[item]
        self.sources, self.adds = reading.removals(item)
        self.label = int(reading.predicted[item])
        self.asked = reading.of_vector[self.label]
        self.total = [own[0] for own in reading.scores(self.states[None])]
        # What each vote adds to the scores, by each part; of dependent sources that is no constant.
        self.of_vote: list[Floats] | None = None
        if reading.parts[0].scores.layout is None:
            self.of_vote = [p.scores.of_state[self.sources, self.states[self.sources]] for p in reading.parts]

    @property
    def is_additive(self) -> bool:
        """Whether one score table is all there is, and every label vector is asked about for itself."""
        one_each = len(np.unique(self.reading.of_vector)) == len(self.reading.of_vector)
        return self.of_vote is not None and len(self.of_vote) == 1 and one_each

    def by_margins(self) -> Flip | None:
        """Exact for one table; None where ties let the shortcut down."""
        assert self.of_vote is not None
        total, of_vote = self.total[0], self.of_vote[0]
        gain = of_vote[:, [self.label]] - of_vote
        order = np.argsort(-gain, axis=0, kind="stable")
        lost = np.vstack([np.zeros(len(total)), np.take_along_axis(gain, order, axis=0).cumsum(axis=0)])
        margin = total[self.label] - total - lost  # (n_votes + 1, K): after so many removals
        place = np.argsort(self.reading.preference)
        # A rival that ties is close enough where it comes first by preference.
        limit = np.where(place < place[self.label], _TIE, -_TIE)
        limit[self.label] = -np.inf
        beaten = margin <= limit
        if not beaten.any():
            return Flip(None, None, True)
        n_removed = int(np.argmax(beaten.any(axis=1)))
        rivals = np.flatnonzero(beaten[n_removed])
        rival = int(rivals[np.argmin(margin[n_removed, rivals])])
        removed = np.zeros((1, len(self.sources)), dtype=np.bool_)
        removed[0, order[:n_removed, rival]] = True
        return self._first_flip(removed, exact=True)

    def by_size(self) -> Flip:
        """Exact where the sets of fewer votes than a greedy search needs are few enough to be tried."""
        greedy = self._greedy()
        n_votes = len(self.sources)
        largest = n_votes if greedy is None else int(greedy.sum()) - 1
        n_left, is_smallest = MAX_SETS, True
        for size in range(1, largest + 1):
            sets = combinations(range(n_votes), size)
            for removed in _batches(islice(sets, n_left), n_votes):
                n_left -= len(removed)
                found = self._first_flip(removed, exact=True)
                if found is not None:
                    return found
            if next(sets, None) is not None:
                is_smallest = False
                break
        if greedy is None:
            return Flip(None, None, is_smallest)
        found = self._first_flip(greedy[None], exact=is_smallest)
        assert found is not None
        return found

    def _greedy(self) -> NDArray[np.bool_] | None:
        """Votes taken away one at a time, each time the one that hurts the label most; None if none helps."""
        n_votes = len(self.sources)
        removed = np.zeros(n_votes, dtype=np.bool_)
        same = self.reading.of_vector == self.asked
        while not removed.all():
            rest = np.flatnonzero(~removed)
            candidates = np.tile(removed, (len(rest), 1))
            candidates[np.arange(len(rest)), rest] = True
            logs = self.reading.log_posterior(self._scores(candidates))
            margin = logs[:, same].max(axis=1) - logs[:, ~same].max(axis=1)
            removed[rest[int(np.argmin(margin))]] = True
            if self._first_flip(removed[None], exact=False) is not None:
                return removed
        return None

    def _first_flip(self, removed: NDArray[np.bool_], *, exact: bool) -> Flip | None:
        """First set of votes, one a row, that changes the label; checked by scores added up anew."""
        seems = self.reading.of_vector[self.reading.labels(self._scores(removed))] != self.asked
        for row in removed[seems]:
            states = self.states - row.astype(np.int64) @ self.adds
            label = int(self.reading.labels(self.reading.scores(states[None]))[0])
            if self.reading.of_vector[label] != self.asked:
                return Flip(tuple(self.sources[v] for v in np.flatnonzero(row).tolist()), label, exact)
        return None

    def _scores(self, removed: NDArray[np.bool_]) -> list[Floats]:
        """Scores without the votes in each row of a (q, n_votes) mask, by each part, (q, K) each."""
        if self.of_vote is None:
            return self.reading.scores(self.states - removed.astype(np.int64) @ self.adds)
        parts = zip(self.reading.parts, self.total, self.of_vote, strict=True)
        return [
            # Shares may not round below what no votes have.
            np.maximum(total - removed @ own, part.scores.base)
            if part.scores.link == "share"
            else total - removed @ own
            for part, total, own in parts
        ]


def _batches(sets: Iterator[tuple[int, ...]], n_votes: int) -> Iterator[NDArray[np.bool_]]:
    """Masks of some sets at a time."""
    while batch := list(islice(sets, _BATCH)):
        removed = np.zeros((len(batch), n_votes), dtype=np.bool_)
        removed[np.arange(len(batch))[:, None], np.array(batch)] = True
        yield removed
