"""Votes of a panel of sources, counted by the states that sources were in: what cautious fits are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.accuracy_prior import AccuracyPrior
from consilience.gold import KnownRows

__all__ = ["Cells", "Panel", "columns_of", "spoken_for"]

WORK_FOR_THREADS = 1 << 18
"""Votes times classes from which on a pass is worth more than one thread."""


@dataclass(frozen=True, eq=False)
class Cells:
    """States of sources, one after the other: what tables have a row for.

    Attributes
    ----------
    source, state : (C,) int array
        Sorted by source.
    masks : (C, K) bool array
        Event of each one.
    n_sources : int
        Of all sources, those without a cell included.
    """

    source: NDArray[np.int64]
    state: NDArray[np.int64]
    masks: NDArray[np.bool_]
    n_sources: int

    @classmethod
    def of(cls, kept: NDArray[np.bool_], masks: NDArray[np.bool_]) -> Cells:
        """The cells of ``kept``, (m, S); ``masks`` are those of states, (S, K)."""
        source, state = np.nonzero(kept)
        return cls(source, state, masks[state], len(kept))

    def only(self, kept: NDArray[np.bool_]) -> Cells:
        """Some of the cells, of as many sources."""
        if kept.all():
            return self
        return Cells(self.source[kept], self.state[kept], self.masks[kept], self.n_sources)

    def by_source(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over the cells of each source, (m, ...) of (C, ...)."""
        sums = np.zeros((self.n_sources, *values.shape[1:]))
        if len(values):
            sums[self.source[self._first_of_source]] = np.add.reduceat(values, self._first_of_source, axis=0)
        return sums

    @cached_property
    def _first_of_source(self) -> NDArray[np.intp]:
        """The first cell of every source that has one."""
        return np.flatnonzero(np.diff(self.source, prepend=-1))

    @cached_property
    def n_inside(self) -> NDArray[np.intp]:
        """Label vectors in the event of each cell, (C,)."""
        sizes: NDArray[np.intp] = self.masks.sum(axis=1)
        return sizes

    def spread(self, values: NDArray[np.float64], n_states: int) -> NDArray[np.float64]:
        """Values in the table of all states, (m, S, ...) of (C, ...); 0 where there is no cell."""
        table = np.zeros((self.n_sources, n_states, *values.shape[1:]))
        table[self.source, self.state] = values
        return table


@dataclass(frozen=True, eq=False)
class Panel:
    """Votes of a panel of sources, counted.

    Attributes
    ----------
    patterns
        Distinct rows of votes, in which every cell is a column of its own, with the one state 1.
    n : float
        Weight of the rows with a vote.
    cells : Cells
        The states that sources were in, the columns of the patterns.
    counts : (m, S) float64 array
        Votes of each source in each state; state 0, the abstention, is 0.
    masks : (S, K) bool array
        Event of each state; row 0 is not read.
    support : (m, S) bool array
        States that a source may be in.
    one_sided : (m,) float64 array
        How surely each source cannot vote for every class.
    agreements : (m, m) float64 array or None
        Share of rows on which two sources cast the same vote; None where sources are too many to look.
    class_balance : (K,) float64 array or None
        ``P(Y)`` where it is given.
    n_threads : int
        For the passes over the rows; no result depends on it.
    known : KnownRows or None
        Rows whose label gold tells, by cell; they weigh nothing among the patterns.
    prior : AccuracyPrior or None
        What is believed of the sources, in place of the priors of this module.
    slope : float
        How fast wrong votes get rarer with the distance of classes; 0: not at all.
    turned : (m,) bool array or None
        Sources that are taken to be worse than chance, all else being equal: see :mod:`consilience.anchors`.
    """

    patterns: _core.Patterns
    n: float
    cells: Cells
    counts: NDArray[np.float64]
    masks: NDArray[np.bool_]
    support: NDArray[np.bool_]
    one_sided: NDArray[np.float64]
    agreements: NDArray[np.float64] | None
    class_balance: NDArray[np.float64] | None
    n_threads: int
    known: KnownRows | None = None
    prior: AccuracyPrior | None = None
    slope: float = 0.0
    turned: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        patterns: _core.Patterns,
        counts: NDArray[np.float64],
        masks: NDArray[np.bool_],
        support: NDArray[np.bool_],
        agreements: NDArray[np.float64] | None,
        class_balance: NDArray[np.float64] | None,
        n_threads: int,
    ) -> Panel:
        """Panel of the votes of distinct rows, whose columns are sources.

        What each source seems able to vote for is worked out.
        """
        if patterns.n_votes.sum() * masks.shape[1] < WORK_FOR_THREADS:
            n_threads = 1
        by_state = patterns.with_column_per_state(counts > 0)
        return cls(
            by_state,
            float(by_state.weight[by_state.n_votes > 0].sum()),
            Cells.of(counts > 0, masks),
            counts,
            masks,
            support,
            _one_sided(counts, masks),
            agreements,
            class_balance,
            n_threads,
        )

    def with_known(self, rows: KnownRows) -> Panel:
        """The panel with rows whose label gold tells, in columns that are sources."""
        by_cell = KnownRows(
            columns_of(rows.counts[self.cells.source, self.cells.state]),
            rows.weights,
            tuple((mask, some.with_column_per_state(self.counts > 0)) for mask, some in rows.several),
            rows.n_voted,
        )
        return replace(self, known=by_cell, n=self.n + rows.n_voted)

    @cached_property
    def rows_by_company(self) -> tuple[_core.Patterns, _core.Patterns]:
        """Rows that several sources vote on, and rows that one does."""
        everything = np.ones(len(self.cells.source), dtype=np.uint8)
        n_votes = self.patterns.n_votes
        first, second = (
            self.patterns.select(np.flatnonzero(kept), self.patterns.weight[kept], everything)
            for kept in (n_votes > 1, n_votes == 1)
        )
        return first, second

    @cached_property
    def said(self) -> NDArray[np.float64]:
        """What the vote of each cell plainly says: its event's label vectors in equal shares, (C, 2, K).

        That of a source that is turned speaks for all the others.
        """
        masks = self.cells.masks
        if self.turned is not None:
            masks = spoken_for(masks, self.turned[self.cells.source])
        return columns_of(masks / masks.sum(axis=1, keepdims=True))

    @property
    def share_one_sided(self) -> float:
        """Share of the votes that one-sided sources cast."""
        votes = self.counts.sum(axis=1)
        return float(self.one_sided @ votes / max(votes.sum(), 1.0))


def columns_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of cells, (C, K), for patterns whose columns they are, (C, 2, K): state 0 has none."""
    columns = np.zeros((len(values), 2, values.shape[1]))
    columns[:, 1] = values
    return columns


def spoken_for(masks: NDArray[np.bool_], turned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Label vectors that votes speak for, (C, K): those of their events, and the others where `turned`, (C,).

    A vote for all label vectors speaks for all of them either way.
    """
    return masks ^ (turned & ~masks.all(axis=1))[:, None]


def _one_sided(counts: NDArray[np.float64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How surely each source cannot vote for every class, (m,).

    A class that a source never voted for is out of its reach, or was not met by chance: the share of such
    sources is read off all sources together. One-sided sources in a panel of others are taken for unlucky.
    """
    sizes = masks.sum(axis=1)
    votes_for = counts[:, 1:] @ (masks[1:] / np.maximum(sizes[1:], 1)[:, None])
    votes = counts.sum(axis=1)
    total = max(float(votes.sum()), 1.0)
    pool = (votes_for.sum(axis=0) / total + 1 / masks.shape[1]) / 2
    missing = votes_for <= 0
    by_chance = np.exp(votes[:, None] * np.log1p(-np.minimum(pool, 1 - 1e-9)))
    telling = (1 - by_chance) * votes[:, None]
    share = float(np.clip((missing * telling).sum() / max(telling.sum(), 1e-9), 0.01, 0.99))
    out_of_reach = np.where(missing, share / (share + (1 - share) * by_chance), 0.0).max(axis=1, initial=0.0)
    u = float(out_of_reach @ votes) / total
    result: NDArray[np.float64] = out_of_reach * u * u / (u * u + (1 - u) ** 2)
    return result
