"""The terms of Theorem 2 of the paper, for looking at; its bound is no guarantee of anything useful.

For one event, the theorem bounds the error of ``mu`` by

    16 (|Y| - 1) d^2 sqrt(32 pi / n) a b sigma_max (3 sqrt(d) a / lambda_min + 1) (kappa + 1 / lambda_min)

with ``a = (d / Sigma_S + (d / Sigma_S)^2 lambda_max(K_O))^(1/2)`` and ``b = |Sigma_O^-1|^2 /
min |Sigma_O^-1|`` over the pairs. The rate is right; the constants are 1e11 and more times the actual error,
and one useless source makes ``b`` infinite. The terms themselves tell what makes a problem hard. The printed
radical of the paper may be read to cover ``a b sigma_max`` as well; taken as here, the units fit.

References
----------
Ratner et al. (2019), arXiv:1810.02840, Theorem 2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from consilience.events import nodes_by_event
from consilience.exceptions import in_digits
from consilience.nodes import NodeSystem, describe_event
from consilience.table import Table

__all__ = ["theorem2_terms"]

_SINGULAR = 1e-12


def theorem2_terms(system: NodeSystem, strength: NDArray[np.float64]) -> Table:
    """Terms of Theorem 2 for each event that independent sources vote for.

    Parameters
    ----------
    system : NodeSystem
        The ``d`` nodes.
    strength : (d,) float64 array
        ``alpha - beta`` of each.

    Returns
    -------
    Table
        A row an event: event, d (its nodes), pairs, sigma_max (of ``pinv(M_omega)``), lambda_min and kappa of
        ``Sigma_O``, weakest (the least ``|C_ab|`` over its standard error), a, b, bound. None where there is
        no pair, or ``M_omega`` tells nothing; infinite where ``Sigma_O`` is singular.
    """
    statistics = system.statistics
    z = np.abs(system.covariance) / np.sqrt(system.variance / float(statistics.n))
    names = ["event", "d", "pairs", "sigma_max", "lambda_min", "kappa", "weakest", "a", "b", "bound"]
    rows: dict[str, list[object]] = {name: [] for name in names}
    for nodes in nodes_by_event(statistics.node_event, system.live):
        place = np.ix_(nodes, nodes)
        pairs = system.same_event[place]
        sigma_max = _largest_of_inverse(pairs)
        values = np.linalg.eigvalsh(system.covariance[place])
        smallest = float(values[0]) if values[0] > _SINGULAR * values[-1] else 0.0
        terms = _terms(system, nodes, strength, pairs, smallest) if pairs.any() else None
        bound = None
        if terms is not None and sigma_max is not None:
            bound = _bound(system, len(nodes), sigma_max, smallest, float(values[-1]), *terms)
        rows["event"].append(describe_event(statistics.task_graph, statistics.node_event[nodes[0]].tolist()))
        rows["d"].append(len(nodes))
        rows["pairs"].append(int(pairs.sum()) // 2)
        rows["sigma_max"].append(sigma_max)
        rows["lambda_min"].append(smallest)
        rows["kappa"].append(float(values[-1]) / smallest if smallest > 0 else math.inf)
        rows["weakest"].append(float(z[place][pairs].min()) if pairs.any() else None)
        rows["a"].append(None if terms is None else terms[0])
        rows["b"].append(None if terms is None else terms[1])
        rows["bound"].append(bound)
    return Table(
        rows,
        title=f"Terms of Theorem 2 at {in_digits(statistics.n)} items, one event at a time",
        notes=[
            "the bound is no guarantee: its rate is right, its constants are many orders of magnitude too "
            "large; see accuracy_interval_ for errors that hold",
            "weakest: least covariance of a pair, in standard errors; pairs below about 3 carry no signal",
        ],
    )


def _largest_of_inverse(pairs: NDArray[np.bool_]) -> float | None:
    """Largest singular value of ``pinv(M_omega)``, from ``M^T M``: degrees plus adjacency."""
    gram = pairs.astype(np.float64)
    gram[np.diag_indices_from(gram)] = pairs.sum(axis=1)
    values = np.linalg.eigvalsh(gram)
    positive = values[values > 1e-9 * max(1.0, values[-1])]
    return float(1 / np.sqrt(positive[0])) if len(positive) else None


def _terms(
    system: NodeSystem,
    nodes: NDArray[np.int64],
    strength: NDArray[np.float64],
    pairs: NDArray[np.bool_],
    smallest: float,
) -> tuple[float, float]:
    """The terms ``a`` and ``b``."""
    if smallest <= 0:
        return math.inf, math.inf
    sigma_o = system.covariance[np.ix_(nodes, nodes)]
    sigma_s = float(system.events.g[nodes[0], nodes[0]])
    inverse = np.linalg.inv(sigma_o)
    whitened = inverse @ (strength[nodes] * sigma_s)
    # K_O = Sigma_O^-1 + z z^T, eq. (4); positive also where the strengths do not fit the covariance.
    c = 1 / max(sigma_s - float(whitened @ sigma_o @ whitened), 1e-12)
    largest = float(np.linalg.eigvalsh(inverse + c * np.outer(whitened, whitened))[-1])
    ratio = len(nodes) / sigma_s
    least = float(np.abs(inverse[pairs]).min())
    b = float(np.linalg.norm(inverse, 2)) ** 2 / least if least > 0 else math.inf
    return math.sqrt(ratio + ratio**2 * largest), b


def _bound(
    system: NodeSystem, d: int, sigma_max: float, smallest: float, largest: float, a: float, b: float
) -> float:
    if not (smallest > 0 and math.isfinite(b)):
        return math.inf
    n, k = float(system.statistics.n), len(system.class_balance)
    front = 16 * (k - 1) * d**2 * math.sqrt(32 * math.pi / n)
    return (
        front
        * a
        * b
        * sigma_max
        * (3 * math.sqrt(d) * a / smallest + 1)
        * (largest / smallest + 1 / smallest)
    )
