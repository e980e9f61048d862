"""Moments of many sources without any votes, and how they are solved for the strengths of the sources.

Each source votes for one class or abstains, so that there is one indicator a source and Algorithm 1 has all
of them in one problem. The moments are those of independent sources, each pair with an error as large as that
of a sample of items: no strengths explain them exactly.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import consilience as cs
from consilience import _core
from consilience.check import find_structure
from consilience.completion import fit_completion
from consilience.components import JointCounts
from consilience.moments import fit_moments

EVEN = np.array([0.5, 0.5])
N_ITEMS = 1_000_000


class SolverCase(NamedTuple):
    """A form by its method, the number of indicators, and the seconds that it may take."""

    name: str
    method: str
    d: int
    goal: float


SOLVER_CASES = (
    SolverCase("solver, forward form", "moments", 200, 0.01),
    SolverCase("solver, forward form", "moments", 1000, 0.2),
    SolverCase("solver, forward form", "moments", 5000, 5.0),
    SolverCase("solver, inverse form", "completion", 200, 0.02),
    SolverCase("solver, inverse form", "completion", 1000, 0.8),
    SolverCase("solver, inverse form", "completion", 5000, 60.0),
)


class Answer(NamedTuple):
    """Strengths (d,), and what the core says of the completion that they come from."""

    strength: np.ndarray
    completion: _core.RankOneFit


def draw_moments(d: int) -> tuple[cs.VoteStatistics, np.ndarray]:
    """Statistics of sources that vote on 20 to 40 % of the items, and their true strengths, (d,)."""
    rng = np.random.default_rng(20190127)
    coverage, accuracy = rng.uniform(0.2, 0.4, d), rng.uniform(0.6, 0.95, d)
    rate = 2 * coverage * np.stack([1 - accuracy, accuracy])  # without and with the class
    mean = EVEN @ rate
    spread = np.sqrt(N_ITEMS * mean * (1 - mean))
    error = np.triu(rng.standard_normal((d, d)), 1)
    pairs = N_ITEMS * (rate.T * EVEN) @ rate + (error + error.T) * np.outer(spread, spread / N_ITEMS**0.5)
    pairs[np.diag_indices(d)] = N_ITEMS * mean
    counts = np.rint(pairs).astype(np.int64)
    votes, none = counts.diagonal().copy(), np.zeros(d, dtype=np.int64)
    statistics = cs.VoteStatistics(
        task_graph=cs.TaskGraph({"label": 2}),
        source_names=None,
        n=N_ITEMS,
        node_source=np.arange(d),
        node_event=np.ones((d, 1), dtype=np.int64),
        pairs=counts,
        n_votes=votes,
        n_overlaps=votes,
        n_conflicts=none,
        n_covered=N_ITEMS,
        n_infeasible=none,
        joint=JointCounts.none(d, 1),
    )
    return statistics, rate[1] - rate[0]


def solve(statistics: cs.VoteStatistics, method: str) -> Answer:
    """All that lies between the moments and the strengths: what they determine, the start, the completion."""
    core, fits = _core.complete_rank_one, []

    def keep(*arguments: Any, **options: Any) -> _core.RankOneFit:
        fits.append(core(*arguments, **options))
        return fits[-1]

    with patch.object(_core, "complete_rank_one", keep):
        structure = find_structure(statistics, dependencies=(), class_balance=EVEN, method=method)
        fit = fit_completion if method == "completion" else fit_moments
        strength = fit(structure.system, structure.report)
    (completion,) = fits
    return Answer(strength, completion)
