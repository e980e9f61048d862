"""Algorithm 1 of the paper: completion of the inverse covariance, one event at a time.

With one binary hidden variable ``1{Y in E}``, ``Sigma_S`` is a number and ``K_O = Sigma_O^-1 + z z^T`` is
zero for sources that are independent given ``Y``, eq. (3) to (5). With more than two classes one hidden
indicator does not suffice for all labels at once, so the algorithm runs for each event ``E`` on the nodes
that vote for exactly ``E``; under the tied model that is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.events import nodes_by_event
from consilience.exceptions import SingularCovarianceError, in_digits
from consilience.identifiability import IdentifiabilityReport
from consilience.moments import signed_start, warn_unless_converged, weak_nodes, with_weak_nodes
from consilience.nodes import NodeSystem, describe_event

__all__ = ["completion_influence", "completion_report", "fit_completion"]


def completion_report(system: NodeSystem) -> IdentifiabilityReport:
    """Identifiability of ``z`` from ``(Sigma_O^-1 + z z^T)_Omega = 0``.

    Its ``log_z2`` solves ``M_Omega l = q_Omega``.

    Raises
    ------
    SingularCovarianceError
        If the votes for an event are linearly dependent; names the source.
    """
    return system.report(system.same_event, _inverse(system))


def fit_completion(system: NodeSystem, report: IdentifiabilityReport) -> NDArray[np.float64]:
    """Strength ``d = alpha - beta`` of each node by Algorithm 1, (d,).

    For each event: ``z`` by eq. (5), from the log-linear start and with the inverse scaled to unit diagonal
    (entries of rare sources are then as certain as others; the minimum is the same where the fit is exact),
    ``c = (1 + z^T Sigma_O z) / Sigma_S``, ``Sigma_OS = Sigma_O z / sqrt(c)``, and
    ``d = Sigma_OS / Sigma_S`` with ``Sigma_S = P(E)(1 - P(E))``.

    Parameters
    ----------
    system : NodeSystem
        The nodes and their moments.
    report : IdentifiabilityReport
        Of :func:`completion_report`; its log-linear solution is the start.

    Returns
    -------
    (d,) float64 array
        0 for nodes that the report gives no pair.

    Raises
    ------
    SingularCovarianceError
        If the votes for an event are linearly dependent; names the source.

    References
    ----------
    Ratner et al. (2019), arXiv:1810.02840, Algorithm 1.
    """
    strength = np.zeros(len(system.means))
    assert report.log_z2 is not None
    for members in nodes_by_event(system.statistics.node_event, report.sign_components >= 0):
        pairs = report.omega_mask[np.ix_(members, members)]
        sigma_o = np.ascontiguousarray(system.covariance[np.ix_(members, members)])
        a = _inverted(system, members)
        scale = 1 / np.sqrt(np.diag(a))
        target = np.where(pairs, -a * np.outer(scale, scale), 0.0)
        start = signed_start(report.log_z2[members] + 2 * np.log(scale), target)
        fit = _core.complete_rank_one(target, pairs.astype(np.float64), start)
        warn_unless_converged(fit)
        z = fit.z / scale
        sigma_s = float(system.events.g[members[0], members[0]])
        image = np.einsum("ab,b->a", sigma_o, z)  # the same bits for any number of BLAS threads
        c = (1 + np.sum(z * image)) / sigma_s
        sigma_os = image / np.sqrt(c)
        # One sign an event, for now: sources are better than chance on average.
        sign = -1.0 if sigma_os.sum() < 0 else 1.0
        strength[members] = sign * sigma_os / sigma_s
    return with_weak_nodes(system, report, strength, system.same_event)


def completion_influence(
    system: NodeSystem,
    report: IdentifiabilityReport,
    strength: NDArray[np.float64],
    centred: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What single items do to the estimate of :func:`fit_completion`.

    An item moves ``Sigma_O`` by ``x x^T - Sigma_O``, hence its inverse ``A`` by ``A - (A x)(A x)^T``, ``z``
    through ``sum_b w_ab (A_ab + z_a z_b) z_b = 0``, and then ``c`` and ``Sigma_OS``.

    Parameters
    ----------
    system, report
        As for :func:`fit_completion`.
    strength : (d,) float64 array
        Its result.
    centred : (n_items, d) float64 array
        Indicators of some items, minus their means.

    Returns
    -------
    (n_items, d) float64 array
        Influence of each item on each strength; its variance over items, divided by n, is the estimate's.
    """
    influence = np.zeros_like(centred)
    for members in nodes_by_event(system.statistics.node_event, report.sign_components >= 0):
        place = np.ix_(members, members)
        pairs = report.omega_mask[place]
        sigma_o, a, x = system.covariance[place], _inverted(system, members), centred[:, members]
        sigma_s = float(system.events.g[members[0], members[0]])
        # With Sigma_OS = Sigma_O z / sqrt(c), z is Sigma_O^-1 Sigma_OS times sqrt(c).
        whitened = a @ (strength[members] * sigma_s)
        c = 1 / max(sigma_s - float(whitened @ sigma_o @ whitened), 1e-12)
        z = np.sqrt(c) * whitened
        weight = np.where(pairs, np.outer(1 / np.diag(a), 1 / np.diag(a)), 0.0)
        derivative = weight * (a + 2 * np.outer(z, z))
        derivative[np.diag_indices_from(derivative)] = weight @ z**2
        image = x @ a
        equations = (weight * a) @ z - image * (image @ (weight * z).T)
        dz = -equations @ np.linalg.pinv(derivative, rcond=1e-10).T
        moved = x * (x @ z)[:, None] - sigma_o @ z + dz @ sigma_o
        dc = ((x @ z) ** 2 - z @ sigma_o @ z + 2 * dz @ (sigma_o @ z)) / sigma_s
        of_os = moved / np.sqrt(c) - np.outer(dc, sigma_o @ z) / (2 * c**1.5)
        influence[:, members] = of_os / sigma_s
    weak = weak_nodes(report, system.same_event)
    if weak.any():
        # sum_b G_ab d_b (C_ab - G_ab d_a d_b) / V_ab = 0 over the pairs with the others.
        g = np.where(system.same_event[weak] & ~weak, system.events.g[weak], 0.0)
        slope = g * strength / system.variance[weak]
        through = g * (system.covariance[weak] - 2 * g * np.outer(strength[weak], strength))
        below = np.maximum((g * slope * strength).sum(axis=1), 1e-300)
        equations = centred[:, weak] * (centred @ slope.T) + influence @ (through / system.variance[weak]).T
        influence[:, weak] = equations / below
    from_mean: NDArray[np.float64] = influence - influence.mean(axis=0)
    return from_mean


def _inverse(system: NodeSystem) -> NDArray[np.float64]:
    """``Sigma_O^-1`` of each event's live nodes, in place; 0 between different events."""
    inverse = np.zeros_like(system.covariance)
    for members in nodes_by_event(system.statistics.node_event, system.live):
        inverse[np.ix_(members, members)] = _inverted(system, members)
    return inverse


def _inverted(system: NodeSystem, members: NDArray[np.intp]) -> NDArray[np.float64]:
    """Inverse of the covariance of some nodes."""
    try:
        return _core.invert_covariance(np.ascontiguousarray(system.covariance[np.ix_(members, members)]))
    except _core.SingularCovariance as error:
        raise SingularCovarianceError(_singular(system, members[: error.args[0] + 1])) from None


def _singular(system: NodeSystem, members: NDArray[np.intp]) -> str:
    """What to say of the last of some nodes of an event, whose votes the others determine.

    A source that copies another does so for every event; with few items two may vote for one event alike.
    """
    statistics, names = system.statistics, system.source_graph.source_names
    *before, node = members.tolist()
    event = describe_event(statistics.task_graph, statistics.node_event[node].tolist())
    own = statistics.node_source[node]
    scale = np.sqrt(np.diag(system.covariance))
    alike = np.abs(system.covariance) >= (1 - 1e-9) * np.outer(scale, scale)
    others = [statistics.node_source[b] for b in before if alike[node, b]]
    mine = np.flatnonzero(system.live & (statistics.node_source == own))
    for other in others:
        theirs = system.live & (statistics.node_source == other)
        if (alike & system.same_event)[np.ix_(mine, theirs)].any(axis=1).all():
            return (
                f"the votes of {names[own]!r} for {event} are determined by those of {names[other]!r}, as "
                'are its others; remove the copy, or use method="moments", which inverts nothing'
            )
    by = f"{names[others[0]]!r}" if others else f"the {len(before)} sources before it together"
    most = in_digits(float(np.rint(system.means[members].max() * statistics.n)))
    return (
        f"the votes of {names[own]!r} for {event} are determined by those of {by}, though it is no copy: "
        f"there are {len(system.means)} kinds of votes on {in_digits(statistics.n)} items, and no source "
        f"votes for {event} on more than {most} of them. Give more items, or use "
        'method="moments" or "auto", which invert nothing'
    )
