"""How much of the frequencies of whole rows independence given the label leaves over.

Pairs of votes are what many sources are tested by. Of three or four sources there are too few of them; but
there are not many different rows either, each of them met often, and these say all there is to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.tied import SourceTable, n_parameters

__all__ = ["RowFrequencies"]

MAX_ROWS = 4096
"""Different rows that there may be; where there are more, they are not compared one by one."""

MIN_EXPECTED = 5
"""Items that a row must be expected on to be looked at."""


@dataclass(frozen=True, eq=False)
class RowFrequencies:
    """How often a few sources cast each row of votes together.

    Attributes
    ----------
    met : (s_1, s_2, ...) float64 array
        Items with each row: one axis a source, its states in the order of its table, the abstention last.
    missing : bool
        Whether rows are looked at given who votes.
    """

    met: NDArray[np.float64]
    missing: bool

    @classmethod
    def of(
        cls,
        tables: Sequence[SourceTable],
        states: Sequence[NDArray[np.int64]],
        weights: NDArray[np.float64],
        *,
        missing: bool,
    ) -> RowFrequencies | None:
        """Frequencies of rows; None where different ones may be too many.

        Parameters
        ----------
        tables : sequence of SourceTable
            One a source; their numbers do not matter.
        states : sequence of (n_rows,) int arrays
            State of each source in each row: a row of its table.
        weights : (n_rows,) float64 array
            Items that each row stands for.
        missing : bool
            Whether rows are looked at given who votes.
        """
        shape = tuple(len(table.table) for table in tables)
        if not shape or np.log(shape).sum() > np.log(MAX_ROWS) + 1e-9:
            return None
        met = np.zeros(shape)
        np.add.at(met, tuple(states), weights)
        return cls(met, missing)

    def freedom(self, model: str, k: int) -> tuple[int, int]:
        """Numbers that rows met often enough tell, and those of them that a model with `k` labels chooses."""
        alone = self._expected([rate[:, None] for rate in self._rates()], np.ones(1))
        seen = alone >= MIN_EXPECTED
        chosen = k - 1
        for rate in self._rates():
            abstains = bool(rate[-1] > 0) and not self.missing
            chosen += n_parameters(model, int(np.count_nonzero(rate[:-1])), k, abstains=abstains)
        return int(np.count_nonzero(seen)) - len(np.unique(self._voters()[seen])), chosen

    def unexplained_share(
        self, tables: Sequence[SourceTable], class_balance: NDArray[np.float64], model: str
    ) -> float:
        """Share of what the votes of a row tell of each other that independence given the label leaves over.

        0 where it explains all but noise, 1 where it explains nothing: Pearson's statistic, beyond what noise
        adds, relative to that of a fit without any label.

        Parameters
        ----------
        tables : sequence of SourceTable
            One a source, in the same order.
        class_balance : (K,) float64 array
            ``P(Y)``.
        model : str
            See :mod:`consilience.em`.
        """
        explained = self._expected([table.table for table in tables], class_balance)
        alone = self._expected([rate[:, None] for rate in self._rates()], np.ones(1))
        expected = np.maximum(explained, alone)
        seen = expected >= MIN_EXPECTED
        residual, without_label = (
            float(((self.met - of_model)[seen] ** 2 / expected[seen]).sum())
            for of_model in (explained, alone)
        )
        free = int(np.count_nonzero(seen)) - len(np.unique(self._voters()[seen]))
        _, chosen = self.freedom(model, len(class_balance))
        n_rates = sum(int(np.count_nonzero(rate[:-1])) for rate in self._rates())
        share = max(0.0, residual - max(free - chosen, 1)) / max(without_label - max(free - n_rates, 1), 1.0)
        return float(min(share, 1.0))

    def _rates(self) -> list[NDArray[np.float64]]:
        """How often each source is in each state."""
        axes = range(self.met.ndim)
        return [self.met.sum(axis=tuple(a for a in axes if a != j)) / self.met.sum() for j in axes]

    def _voters(self) -> NDArray[np.int64]:
        """A number for who votes in each row; 0 for all of them where that says something."""
        voters = np.zeros((1,) * self.met.ndim, dtype=np.int64)
        if self.missing:
            for grid in np.ogrid[tuple(slice(size) for size in self.met.shape)]:
                voters = 2 * voters + (grid < grid.size - 1)
        return np.broadcast_to(voters, self.met.shape)

    def _expected(
        self, tables: Sequence[NDArray[np.float64]], balance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Items expected with each row, from tables (s_j, K) of independent sources."""
        chance = np.ones((1, len(balance)))
        for table in tables:
            own = _given_vote(table) if self.missing else table
            chance = (chance[:, None] * own).reshape(-1, len(balance))
        voters = self._voters()
        n = np.zeros(int(voters.max(initial=0)) + 1)
        np.add.at(n, voters, self.met)
        return np.asarray(n[voters] * (chance @ balance).reshape(self.met.shape), dtype=np.float64)


def _given_vote(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates of states, the last of which abstains, given whether a source votes."""
    total = rates[:-1].sum(axis=0)
    votes: NDArray[np.float64] = np.divide(rates[:-1], total, out=np.zeros_like(rates[:-1]), where=total > 0)
    return np.concatenate([votes, np.ones_like(rates[-1:])])
