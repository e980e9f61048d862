"""How source accuracies were learned before: a factor graph trained by Gibbs sampling.

The generative model of data programming (Ratner et al., 2016) for one binary task with balanced classes,

    p(votes, y)  proportional to  exp( sum_j  w_j s_j + b_j v_j ),

where ``v_j`` says whether source j votes, and ``s_j`` is +1 where its vote equals ``y``, -1 where it does
not, and 0 where it abstains. The gradient of the likelihood is a difference of two expectations, each
estimated by sampling: ``y`` given the votes of every item, and votes and ``y`` together by a chain of as many
fantasy items that goes on from step to step. Sweeps are vectorised over the items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import consilience as cs


def accuracies_by_gibbs(votes: NDArray[np.int8], n_steps: int = 200, seed: int = 0) -> NDArray[np.float64]:
    """Accuracy of each source, (m,), from (n, m) votes 0, 1 or -1.

    One step is one sweep over all items and one over all fantasy items, a gradient step whose length falls as
    ``1 / sqrt(step)``; the weights of the second half are averaged.
    """
    rng = np.random.default_rng(seed)
    m = votes.shape[1]
    sign = np.where(votes == cs.ABSTAIN, 0, 2 * votes - 1).astype(np.int8)  # +1, -1, or 0 for silence
    coverage = (sign != 0).mean(axis=0)
    w, b = np.full(m, 0.5), np.log(coverage / (2 * (1 - coverage) + 1e-9) + 1e-9)
    fantasy = sign.copy()
    average = np.zeros(m)
    for step in range(1, n_steps + 1):
        y = _sample_labels(sign, w, rng)
        fantasy_y = _sample_labels(fantasy, w, rng)
        for j in range(m):
            fantasy[:, j] = _sample_votes(fantasy_y, w[j], b[j], rng)
        length = 1.0 / np.sqrt(step)
        w += length * ((sign * y[:, None]).mean(axis=0) - (fantasy * fantasy_y[:, None]).mean(axis=0))
        b += length * (coverage - (fantasy != 0).mean(axis=0))
        if step > n_steps // 2:
            average += w / (n_steps - n_steps // 2)
    return 1 / (1 + np.exp(-2 * average))


def _sample_labels(
    sign: NDArray[np.int8], w: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int8]:
    """``y`` in {-1, +1} given the votes of each item."""
    chance = 1 / (1 + np.exp(-2 * (sign @ w)))
    return np.where(rng.random(len(sign)) < chance, 1, -1).astype(np.int8)


def _sample_votes(y: NDArray[np.int8], w: float, b: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """The vote of one source given ``y``: right, wrong, or none."""
    right, wrong = np.exp(b + w), np.exp(b - w)
    u = rng.random(len(y)) * (1 + right + wrong)
    return np.where(u < right, y, np.where(u < right + wrong, -y, 0)).astype(np.int8)
