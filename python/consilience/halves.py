"""How cautious to be: two halves of the sources, fitted apart, should name the same labels.

The likelihood of all votes together cannot choose, for it grows with whatever dependence it describes. Two
halves that share no source agree on the label, and on little else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.cautious import CautiousFit, fit_panel
from consilience.panel import Cells, Panel, columns_of

__all__ = ["CAUTIONS", "chance_corrected_agreement", "choose_caution"]

CAUTIONS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Candidates: from all but free confusion tables to all but a single accuracy, a factor of 3 apart: ten, or
the root of it, move no mean over a kind of sets by more than 0.2."""

DEFAULT_CAUTION = 0.1
"""Where halves cannot tell: few sources, or few items with votes from both halves."""

N_SPLITS = 16
"""With 4, chance misses the caution of 33 language-model judges, which costs 5 points."""

SURE = 0.5
"""Standard errors, over splits, by which a caution must fall short of the best not to be taken: without them
crowds lose 0.9 points to chance; twice as many change nothing."""

MAX_ROWS = 4000
"""Rows that halves are fitted to: a kappa of so many is known to 0.02 or so. 1,000 do nearly as well, in less
time."""

MAX_STEPS = 30
"""Of each fit, which starts where the one before ended."""

MIN_SOURCES = 6
"""Three in a half: of two neither can be outvoted. With 4 or 10 nothing changes on the sets at hand."""

MIN_ITEMS = 50
"""With votes from both halves; kappa of fewer is known to 0.15 or so. With 20 or 200 nothing changes."""


def choose_caution(panel: Panel) -> tuple[float, dict[float, float]]:
    """Least caution under which halves agree best, but for chance, and the agreement under each.

    Halves are drawn from a generator with a fixed seed: the same votes, the same answer.
    """
    generator = np.random.default_rng(0)
    voting = _in_canonical_order(panel)
    rows = np.flatnonzero((panel.patterns.n_votes >= 2) & (panel.patterns.weight > 0))
    if len(voting) < MIN_SOURCES or len(rows) == 0:
        return DEFAULT_CAUTION, {}
    weight = panel.patterns.weight[rows]
    if len(rows) > MAX_ROWS:
        # Each row stands for as many others as it is likely to be left out.
        chance = np.minimum(1.0, MAX_ROWS * weight / weight.sum())
        kept = _lot_of_rows(panel, voting)[rows] < chance
        rows, weight = rows[kept], (weight / chance)[kept]
    agreements: list[list[float]] = []
    for _ in range(N_SPLITS):
        order = generator.permutation(voting)
        halves = [_half(panel, rows, weight, order[side::2]) for side in (0, 1)]
        both = np.logical_and(*(half.patterns.n_votes > 0 for half in halves))
        if weight[both].sum() < MIN_ITEMS:
            continue
        agreements.append([0.0] * len(CAUTIONS))
        # From the most cautious fit on, each is the start of the next.
        fits: list[CautiousFit | None] = [None, None]
        for c in reversed(range(len(CAUTIONS))):
            for side, half in enumerate(halves):
                fits[side] = fit_panel(half, caution=CAUTIONS[c], start=fits[side], max_steps=MAX_STEPS)
            labels = [_labels(half, fit)[both] for half, fit in zip(halves, fits, strict=True)]
            agreements[-1][c] = chance_corrected_agreement(
                labels[0], labels[1], weight[both], panel.masks.shape[1]
            )
    if not agreements:
        return DEFAULT_CAUTION, {}
    of_splits = np.array(agreements)
    agreement = of_splits.mean(axis=0)
    # Of those that the splits cannot tell from the best, the one that leaves votes the most say.
    short_of_best = of_splits[:, [int(np.argmax(agreement))]] - of_splits
    chance = SURE * short_of_best.std(axis=0) / np.sqrt(max(len(of_splits) - 1, 1))
    best = CAUTIONS[int(np.argmax(short_of_best.mean(axis=0) <= chance))]
    return best, {c: float(a) for c, a in zip(CAUTIONS, agreement, strict=True)}


def _in_canonical_order(panel: Panel) -> NDArray[np.int64]:
    """Sources that vote, in an order that depends on their votes, not on their places or those of classes."""
    voting = np.flatnonzero(panel.counts.sum(axis=1) > 0)
    keys = list(panel.counts[voting][:, np.argsort(_rank_of_states(panel), kind="stable")].T)
    if panel.agreements is not None:
        keys.insert(0, panel.agreements.sum(axis=1)[voting])
    return voting[np.lexsort(keys)]


def _rank_of_states(panel: Panel) -> NDArray[np.int64]:
    """Place of each state among all, by how many votes are cast in it, (S,)."""
    order = np.argsort(panel.counts.sum(axis=0), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _lot_of_rows(panel: Panel, voting: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, as if drawn, by its votes and not by their places."""
    rank = np.zeros(len(panel.counts), dtype=np.int64)
    rank[voting] = np.arange(len(voting))
    number = rank[panel.cells.source] * panel.counts.shape[1] + _rank_of_states(panel)[panel.cells.state]
    of_cell = np.random.default_rng(1).integers(0, 2**63, panel.counts.size, dtype=np.uint64)[number]
    start, column, _ = panel.patterns.rows()
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(of_cell[column], dtype=np.uint64)])
    mixed = (sums[start[1:]] - sums[start[:-1]]) * np.uint64(0x9E3779B97F4A7C15)  # all modulo 2**64
    lots: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return lots


def _half(
    panel: Panel, rows: NDArray[np.int64], weight: NDArray[np.float64], sources: NDArray[np.int64]
) -> Panel:
    in_half = np.zeros(len(panel.counts), dtype=np.bool_)
    in_half[sources] = True
    of_half = in_half[panel.cells.source]
    patterns = panel.patterns.select(rows, weight, of_half.astype(np.uint8))
    nothing = np.zeros((np.count_nonzero(of_half), 2, 1))
    of_cell = np.zeros(len(of_half))
    of_cell[of_half] = _core.expect(patterns, nothing, np.zeros(1), n_threads=1)[0][:, 1, 0]
    # What no source does in these rows says nothing, but takes its time: most of it, in a large crowd.
    cast = of_cell > 0
    patterns = panel.patterns.select(rows, weight, cast.astype(np.uint8))
    counts = panel.cells.spread(of_cell, panel.counts.shape[1])
    kept = counts.any(axis=1)
    return replace(
        panel,
        patterns=patterns,
        n=float(weight[patterns.n_votes > 0].sum()),
        cells=Cells.of(counts[kept] > 0, panel.masks),
        counts=counts[kept],
        support=panel.support[kept],
        one_sided=panel.one_sided[kept],
        agreements=None if panel.agreements is None else panel.agreements[np.ix_(kept, kept)],
        n_threads=1,
        known=None,
        prior=None if panel.prior is None else panel.prior.take(kept),
        turned=None if panel.turned is None else panel.turned[kept],
    )


def _labels(half: Panel, fit: CautiousFit | None) -> NDArray[np.int32]:
    assert fit is not None
    return _core.preferred(half.patterns, columns_of(fit.scores), fit.base)


def chance_corrected_agreement(
    first: NDArray[np.int32], second: NDArray[np.int32], weight: NDArray[np.float64], k: int
) -> float:
    """Cohen's kappa of two labellings of weighted items: 1 where all agree, 0 where only chance would."""
    joint = np.zeros((k, k))
    np.add.at(joint, (first, second), weight)
    joint /= joint.sum()
    chance = float(joint.sum(axis=1) @ joint.sum(axis=0))
    return float((np.trace(joint) - chance) / max(1 - chance, 1e-12))
