"""The forward form: covariances between sources as a weighted rank-one problem, [T6].

For sources that are independent given the labels, and a tied model (a source votes for an event with one
probability where the event holds and another where it does not), ``Cov(psi_a, psi_b) = G_ab d_a d_b`` with a
known ``G``. All events, coarse and fine, enter one problem, and no matrix is inverted. The paper's own route,
through the inverse, is in :mod:`consilience.completion`; both agree in the population, and this one is the
better conditioned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.alignment import align_groups
from consilience.events import number_events
from consilience.exceptions import ConvergenceWarning, warn_caller
from consilience.identifiability import IdentifiabilityReport
from consilience.nodes import NodeSystem

__all__ = [
    "fit_moments",
    "moments_influence",
    "moments_report",
    "signed_start",
    "weak_nodes",
    "with_weak_nodes",
]


def moments_report(system: NodeSystem) -> IdentifiabilityReport:
    """Identifiability of ``d`` from ``C_ab = G_ab d_a d_b``; ``log_z2`` is ``log d^2``."""
    return system.report(system.related, _target(system))


def fit_moments(
    system: NodeSystem, report: IdentifiabilityReport, *, warns: bool = True
) -> NDArray[np.float64]:
    """Strength ``d = alpha - beta`` of each node, (d,).

    Parameters
    ----------
    system : NodeSystem
        The nodes and their moments.
    report : IdentifiabilityReport
        Of :func:`moments_report`; its log-linear solution is the start.
    warns : bool
        Whether to warn where the completion did not converge: not if it is a start for something else.

    Returns
    -------
    (d,) float64 array
        Where the report says "identified"; elsewhere a value that the pairs allow, or 0. In each sign
        component the sum over its nodes is positive: sources are better than chance on average.

    References
    ----------
    Ratner et al. (2019), arXiv:1810.02840, eq. (1) and (5), in the covariance form [T6].
    """
    pairs, target = report.omega_mask, _target(system)
    precision = system.events.g**2 / system.variance
    assert report.log_z2 is not None
    precision = np.where(pairs, precision, 0.0)
    start = signed_start(report.log_z2, precision * target)
    fit = _core.complete_rank_one(
        np.where(pairs, target, 0.0),
        precision,
        _with_related_events(system, start, pairs),
        tolerance=1e-12,
    )
    if warns:
        warn_unless_converged(fit)
    strength = _orient(fit.z, report.sign_components)
    return with_weak_nodes(system, report, strength, system.related)


def weak_nodes(report: IdentifiabilityReport, related: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Nodes that took no part in the completion and are then read off their pairs with the others, (d,)."""
    weak: NDArray[np.bool_] = (report.sign_components < 0) & related.any(axis=1)
    return weak


def with_weak_nodes(
    system: NodeSystem,
    report: IdentifiabilityReport,
    strength: NDArray[np.float64],
    related: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Strengths in which weak nodes have what their pairs with the others say: (near) zero.

    They took no part in the completion, which noise must not steer.
    """
    strength = strength.copy()
    weak = weak_nodes(report, related)
    if weak.any():
        g = np.where(related[weak] & ~weak, system.events.g[weak], 0.0)
        below = np.einsum("ab,b->a", g**2 / system.variance[weak], strength**2)
        above = np.einsum("ab,b->a", g * system.covariance[weak] / system.variance[weak], strength)
        strength[weak] = np.divide(above, below, out=np.zeros_like(below), where=below > 0)
    return strength


def moments_influence(
    system: NodeSystem,
    report: IdentifiabilityReport,
    strength: NDArray[np.float64],
    centred: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What single items do to the estimate of :func:`fit_moments`.

    The estimate solves ``sum_b G_ab d_b (C_ab - G_ab d_a d_b) / V_ab = 0`` over the pairs of each node, for a
    weak node those with the others only.

    Parameters
    ----------
    system, report
        As for :func:`fit_moments`.
    strength : (d,) float64 array
        Its result.
    centred : (n_items, d) float64 array
        Indicators of some items, minus their means.

    Returns
    -------
    (n_items, d) float64 array
        Influence of each item on each strength; its variance over items, divided by n, is the estimate's.
    """
    weak = weak_nodes(report, system.related)
    pairs = np.where(weak[:, None], system.related & ~weak, report.omega_mask)
    # What is always 1, or never, has no noise and says nothing.
    g = np.where(pairs & np.outer(system.live, system.live), system.events.g, 0.0)
    slope = g * strength / system.variance  # d equation_a / d C_ab
    derivative = slope * g * strength[:, None]
    own = (slope * g * strength).sum(axis=1)
    derivative[np.diag_indices_from(derivative)] = own
    # Equations of rare and of frequent nodes differ by orders of magnitude.
    scale = 1 / np.sqrt(np.where(own > 0, own, 1.0))
    derivative *= np.outer(scale, scale)
    equations = centred * (centred @ slope.T) * scale
    equations -= equations.mean(axis=0)
    influence: NDArray[np.float64] = equations @ np.linalg.pinv(derivative, rcond=1e-10).T * scale
    return influence


def _target(system: NodeSystem) -> NDArray[np.float64]:
    """``C / G`` where the events are related, 0 elsewhere."""
    target = np.zeros_like(system.covariance)
    np.divide(system.covariance, system.events.g, out=target, where=system.related)
    return target


def signed_start(log_z2: NDArray[np.float64], weighted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Start for the completion: the log-linear sizes, with signs that follow the strongest entries.

    Parameters
    ----------
    log_z2 : (d,) float64 array
        Solution of ``M_omega l = q_omega``.
    weighted : (d, d) float64 array
        Target times weight, 0 off the pairs.
    """
    size: NDArray[np.float64] = np.exp(np.clip(log_z2 / 2, -50, 50))
    evidence = weighted * size
    sign: NDArray[np.float64] = np.zeros(len(size))
    for a in np.argsort(-np.abs(evidence).sum(axis=1), kind="stable"):
        known = evidence[a] @ sign  # signs given so far, strongest nodes first
        sign[a] = 1.0 if known >= 0 else -1.0
    for _ in range(100):
        better = np.where(evidence @ sign >= 0, 1.0, -1.0)
        if np.array_equal(better, sign):
            break
        sign = better
    return size * sign


def _with_related_events(
    system: NodeSystem, start: NDArray[np.float64], pairs: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The start with signs of whole events that agree with what pairs of different events say together.

    Node by node an event that few items are about may have got the wrong sign, and then all its nodes keep
    each other there. Where pairs do not relate events, sources are better than chance at each.
    """
    events, event = number_events(system.statistics.node_event)
    member = (event[:, None] == np.arange(len(events))).astype(np.float64)
    signs, groups = align_groups(system, event, start, pairs)
    of_event = member.T @ start
    for group in np.unique(groups):
        members = groups == group
        if np.sum((signs * of_event)[members]) < 0:
            signs[members] *= -1
    signed: NDArray[np.float64] = start * (member @ signs)
    return signed


def _orient(z: NDArray[np.float64], sign_components: NDArray[np.int64]) -> NDArray[np.float64]:
    """The same vector with a positive sum over each sign component."""
    oriented: NDArray[np.float64] = z.copy()
    for c in range(int(sign_components.max(initial=-1)) + 1):
        members = np.asarray(sign_components == c)
        if oriented[members].sum() < 0:
            oriented[members] *= -1
    return oriented


def warn_unless_converged(fit: _core.RankOneFit) -> None:
    """Warn when a completion stopped before its gradient was small."""
    if not fit.converged:
        warn_caller(
            f"the rank-one completion stopped after {fit.n_iterations} steps with a relative gradient of "
            f"{fit.gradient_norm:.1e}; its estimates are near a minimum but not at it",
            ConvergenceWarning,
        )
