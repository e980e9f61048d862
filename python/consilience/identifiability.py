"""Whether the sources determine their accuracies: the system M_omega l = q_omega, before anything is fitted.

A *node* is an indicator that a source votes a given way. Two nodes form a pair of ``omega`` where their
sources are independent given ``Y`` and their events tell something about each other; there the moments
satisfy ``target_ab = z_a z_b``, and the logarithms ``l = log z^2`` solve the linear system ``l_a + l_b = log
target_ab^2``. Each row of its matrix ``M_omega`` holds two ones, so ``M^T M`` is degrees plus adjacency of
the graph of pairs and the rank is a matter of that graph: nodes minus bipartite components.

References
----------
Ratner et al. (2019), arXiv:1810.02840, Algorithm 1 and Theorem 2.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.source_graph import Clique, Edge, SourceGraph

__all__ = ["IdentifiabilityReport", "solve_log_linear", "solve_positive", "structure_report"]

FLOOR = 1e-10
"""Entries of the target below this share of the largest one are clamped to it before the logarithm."""

_FACTORISED = 64  # systems up to this size are factorised

NodeStatus = Literal["identified", "scale ambiguous", "no signal"]
SourceStatus = Literal["identified", "sign only", "scale ambiguous", "no signal"]
SOURCE_STATUSES: tuple[SourceStatus, ...] = ("identified", "sign only", "scale ambiguous", "no signal")

SIGN_RULES = {
    "sum": "by the sum rule: sources are better than chance on average",
    "third moments": "by third moments: sources are worse than chance on average",
    "trusted": "by a trusted source, which is better than chance",
    "gold": "by gold labels",
    "accuracy_prior": "by what is believed of sources",
    "plain vote": "by the plain vote, from which labels of a cautious fit start",
}


@dataclass(frozen=True, eq=False, repr=False)
class IdentifiabilityReport:
    """What the pairs in ``omega`` determine; prints at 80 columns.

    A node is

    - *weak* if it has pairs but no detectable signal; it is taken out of the pairs before anything else,
    - ``"identified"`` if its component of the graph of pairs has an odd cycle: ``|z|`` is determined,
    - ``"scale ambiguous"`` if its component has pairs but no odd cycle: one side may grow as the other
      shrinks,
    - ``"no signal"`` if it is weak, or has no pair. A weak node that was paired with an identified one is
      settled all the same: its ``z`` is seen to be (near) zero. A node without a pair is not.

    A source has the first status that fits:

    - ``"no signal"``: it never votes, or none of its nodes has a pair left,
    - ``"scale ambiguous"``: one of its nodes is,
    - ``"no signal"``: one of its nodes is neither identified nor settled,
    - ``"sign only"``: there are several components with pairs, and each has a sign of its own that the pairs
      do not tell (a rule such as "better than chance on average" has to),
    - ``"identified"``: otherwise; one sign common to all sources is still left to that rule.

    Attributes
    ----------
    identifiable : bool
        At least one node is identified, and every node is identified or settled. Sources that never vote and
        weak sources beside three sound ones do not change the answer.
    rank, n_unknowns : int
        Rank of ``M_omega`` and its number of columns ``d``; nodes without a pair count as unknowns. With weak
        nodes the rank is less than ``d`` even where all is well.
    nodes, node_status : list of str
        Name and status of each node, ``d`` of them.
    sources : list of str
        Status of each source, ``m`` of them.
    source_names : tuple of str
        Names of the sources.
    sign_components : (d,) int64 array
        Component of each node in the graph of pairs, ``-1`` for nodes without a pair. One free sign a
        component.
    n_components : int
        Components of the source graph that have a node with signal (or not yet tested for it): three are
        needed.
    omega_mask : (d, d) bool array
        The pairs, weak nodes taken out; symmetric.
    log_z2 : (d,) float64 array or None
        Solution ``l = log z^2`` of ``M_omega l = q_omega``; see :func:`solve_log_linear`. None without a
        target.
    residual : float or None
        Root mean square of ``M_omega l - q_omega``, in units of ``log z^2``; None without a target.
    sign_rules : tuple of str
        What chose the sign of each component of a fit: ``"sum"`` (sources are better than chance on average),
        ``"third moments"`` (these contradict that), ``"trusted"`` (a source that is), ``"gold"`` (known
        labels), ``"accuracy_prior"`` (beliefs that contradict it) or ``"plain vote"`` (a cautious fit starts
        from it, where no trusted source tells). Empty before a fit.
    added_edges : tuple of (i, j)
        Edges between sources that triangulation had to add.
    sources_to_add : int
        How many sources, independent of all others and voting on the same classes, settle the matter; 0 if
        settled.
    dependencies_to_drop : tuple of (i, j)
        Dependencies whose removal settles the matter instead; empty if that cannot help or is not needed.
    advice : tuple of str
        The same in sentences.
    """

    identifiable: bool
    rank: int
    n_unknowns: int
    nodes: list[str]
    node_status: list[NodeStatus]
    sources: list[SourceStatus]
    source_names: tuple[str, ...]
    sign_components: NDArray[np.int64]
    n_components: int
    omega_mask: NDArray[np.bool_]
    log_z2: NDArray[np.float64] | None = None
    residual: float | None = None
    sign_rules: tuple[str, ...] = ()
    added_edges: tuple[Edge, ...] = ()
    sources_to_add: int = 0
    dependencies_to_drop: tuple[Edge, ...] = ()
    advice: tuple[str, ...] = ()

    @cached_property
    def omega(self) -> NDArray[np.int64]:
        """The pairs ``a < b`` of nodes, (n_pairs, 2), each once, sorted."""
        return np.argwhere(np.triu(self.omega_mask)).astype(np.int64)

    @cached_property
    def sigma_max(self) -> float:
        """Largest singular value of ``pinv(M_omega)``, the term of Theorem 2; ``inf`` where there is no pair.

        Computed when first asked for, in O(q^3) for ``q`` nodes with different partners. For ``m``
        independent sources it is ``1/sqrt(m - 2)``.
        """
        graph = _NodeGraph(self.omega_mask)
        # A bipartite component has one eigenvalue 0, whose vector is its two-colouring; the next one counts.
        smallest = [graph.eigenvalues(c)[int(bipartite)] for c, bipartite in enumerate(graph.bipartite)]
        return float(1 / np.sqrt(min(smallest))) if smallest else float("inf")

    def rank_in_words(self) -> str:
        """What the rank leaves open, and whether that is settled all the same."""
        rank = f"rank {self.rank} of {_counted(self.n_unknowns, 'unknown')}"
        rest = self.n_unknowns - self.rank
        if not self.identifiable or not rest:
            return rank
        return f"{rank}; the other {f'{rest} are' if rest > 1 else 'one is'} seen to be near zero"

    def __repr__(self) -> str:
        rank = f"rank={self.rank}, n_unknowns={self.n_unknowns}"
        return f"IdentifiabilityReport(identifiable={self.identifiable}, {rank})"

    def __str__(self) -> str:
        """Verdict, sources by status, and advice, at 80 columns."""
        n_pairs = int(np.count_nonzero(self.omega_mask)) // 2
        lines = [
            f"Identifiable: {'yes' if self.identifiable else 'no'}",
            _wrapped(f"{_counted(n_pairs, 'pair')} of indicators, {self.rank_in_words()}", "  "),
            f"  independent groups of sources that may have signal: {self.n_components} (3 needed)",
        ]
        if self.residual is not None:
            lines.append(f"  misfit of the log-linear system: {self.residual:.3g} (root mean square)")
        for rule, meaning in SIGN_RULES.items():
            count = self.sign_rules.count(rule)
            if count:
                of = f", {count} of {len(self.sign_rules)} groups" if len(self.sign_rules) > 1 else ""
                lines.append(_wrapped(f"sign{of}: {meaning}", "  "))
        for status in SOURCE_STATUSES:
            names = [name for name, own in zip(self.source_names, self.sources, strict=True) if own == status]
            if names:
                found = "no signal found" if status == "no signal" else status
                lines.append(_wrapped(f"{found} ({len(names)}): {listed(names, limit=20)}", "  "))
        lines += [_wrapped(sentence, "- ") for sentence in self.advice]
        return "\n".join(lines)


def structure_report(
    *,
    source_graph: SourceGraph,
    node_source: ArrayLike,
    node_names: Sequence[str],
    omega_mask: ArrayLike,
    target: ArrayLike | None = None,
    has_signal: ArrayLike | None = None,
    first: ArrayLike | None = None,
    varies: ArrayLike | None = None,
    dependency_weights: Mapping[Edge, float] | None = None,
) -> IdentifiabilityReport:
    """Report on given nodes and pairs.

    Parameters
    ----------
    source_graph : SourceGraph
        The ``m`` sources and their dependencies.
    node_source : (d,) int array
        Source of each node, in ``0..m-1``.
    node_names : sequence of str
        One name a node.
    omega_mask : (d, d) bool array
        Pairs of nodes; symmetric, and only between different components of `source_graph`.
    target : (d, d) float array, optional
        Symmetric; ``z_a z_b`` on the pairs. Adds the solution of the log-linear system.
    has_signal : (d,) bool array, optional
        False for nodes whose covariances on the pairs cannot be told from zero; all True by default. Nodes
        without a pair cannot be tested and count as having signal.
    first : (m,) int array, optional
        Source that each one repeats, itself for most; a source that repeats another has no nodes of its own.
    varies : (d,) bool array, optional
        False for nodes that are always 0, or always 1; all True by default. Only the advice tells them from
        others without signal.
    dependency_weights : mapping of edge to float, optional
        Positive strength of each dependency, ``{(i, j): weight}`` with ``i < j``; the advice drops the
        weakest. Edges not named weigh 1.

    Returns
    -------
    IdentifiabilityReport

    Raises
    ------
    InvalidArgumentError
        If shapes disagree, a node's source is out of range, or a pair lies within one component.
    """
    omega = _read_omega(omega_mask)
    d, m = len(omega), source_graph.n_sources
    source = np.asarray(node_source, dtype=np.int64)
    signal = np.ones(d, dtype=np.bool_) if has_signal is None else np.asarray(has_signal, dtype=np.bool_)
    different = _check_nodes(source_graph, omega, source, signal, node_names)
    verdict = _Verdict(omega, signal)
    live = verdict.live

    def of_sources(nodes: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(m,) mask of the sources that have one of the nodes."""
        return np.bincount(source[nodes], minlength=m) > 0

    n_components = len(np.unique(source_graph.component[of_sources(live)]))
    dependencies_to_drop: tuple[Edge, ...] = ()
    # Where pairs across components are missing too, which ones a dropped dependency would admit is unknown.
    if verdict.sources_to_add and np.array_equal(omega, different):
        dependencies_to_drop = _edges_to_drop(source_graph, of_sources(live), dependency_weights or {})
    repeats = np.zeros(m, dtype=np.bool_) if first is None else np.asarray(first) != np.arange(m)
    unsettled = [node_names[a] for a in np.flatnonzero(~verdict.settled).tolist()]
    weak = of_sources(~live) & ~of_sources(live)
    changes = np.ones(d, dtype=np.bool_) if varies is None else np.asarray(varies, dtype=np.bool_)
    constant = weak & ~of_sources(changes)
    alone = weak & ~constant & ~of_sources(np.any(omega[:, changes], axis=1))
    # Who agrees with them was left out of the pairs.
    has_company = np.bincount(source_graph.component, minlength=m)[source_graph.component] > 1
    if first is not None:
        has_company[np.asarray(first)[repeats]] = True
    apart = weak & ~constant & ~alone & has_company
    advice = _advice(
        source_graph.source_names,
        verdict.sources_to_add,
        unsettled if n_components >= 3 else [],
        dependencies_to_drop,
        {
            "Without any vote, so nothing is learned": ~of_sources(np.ones(d, dtype=np.bool_)) & ~repeats,
            "Always the same vote, on every item, which tells nothing": constant,
            "Those they could agree with always vote the same": alone,
            "No agreement beyond chance, but with copies and sources they depend on": apart,
            "No agreement with others beyond chance": weak & ~constant & ~alone & ~apart,
        },
        may_be_weak=bool((weak & ~constant & ~alone).any()),
    )
    log_z2, residual = (None, None) if target is None else _solve(target, verdict.pairs, verdict.graph)
    return IdentifiabilityReport(
        identifiable=verdict.sources_to_add == 0,
        rank=verdict.rank,
        n_unknowns=d,
        nodes=list(node_names),
        node_status=verdict.of_nodes(),
        sources=verdict.of_sources(of_sources),
        source_names=source_graph.source_names,
        sign_components=verdict.graph.label,
        n_components=n_components,
        omega_mask=verdict.pairs,
        log_z2=log_z2,
        residual=residual,
        added_edges=source_graph.added_edges,
        sources_to_add=verdict.sources_to_add,
        dependencies_to_drop=dependencies_to_drop,
        advice=advice,
    )


def _check_nodes(
    source_graph: SourceGraph,
    omega: NDArray[np.bool_],
    source: NDArray[np.int64],
    signal: NDArray[np.bool_],
    names: Sequence[str],
) -> NDArray[np.bool_]:
    """Pairs of nodes whose sources are independent, (d, d); refuses what does not fit together."""
    d, m = len(omega), source_graph.n_sources
    if source.shape != (d,) or signal.shape != (d,) or len(names) != d:
        raise InvalidArgumentError(
            f"node_source, node_names and has_signal must have one entry for each of the {d} nodes, "
            f"got {len(source)}, {len(names)} and {len(signal)}"
        )
    if d and not 0 <= source.min() <= source.max() < m:
        raise InvalidArgumentError(f"node_source must lie in 0..{m - 1}, got {source.min()}..{source.max()}")
    component = source_graph.component[source]
    different: NDArray[np.bool_] = component[:, None] != component
    if (omega & ~different).any():
        a, b = np.argwhere(omega & ~different)[0].tolist()
        raise InvalidArgumentError(
            f"omega_mask pairs {names[a]!r} with {names[b]!r}, whose sources depend on each other"
        )
    return different


class _Verdict:
    """What some pairs of nodes determine; the words are those of :class:`IdentifiabilityReport`.

    Attributes
    ----------
    live, identified, ambiguous, settled : (d,) bool arrays
        Nodes that are not weak; identified; scale ambiguous; identified or seen to be near zero.
    pairs : (d, d) bool array
        Pairs of live nodes.
    graph : _NodeGraph
        Of these.
    rank, sources_to_add : int
        As in the report.
    """

    def __init__(self, omega: NDArray[np.bool_], signal: NDArray[np.bool_]) -> None:
        d = len(omega)
        self.live = signal | ~omega.any(axis=1)
        self.pairs = omega & self.live[:, None] & self.live
        self.graph = _NodeGraph(self.pairs)
        self._has_pair = self.graph.label >= 0
        self.identified = np.zeros(d, dtype=np.bool_)
        self.identified[self._has_pair] = ~self.graph.bipartite[self.graph.label[self._has_pair]]
        self.ambiguous = self._has_pair & ~self.identified
        self.settled = self.identified | (~self.live & omega[:, self.identified].any(axis=1))
        self.rank = int(self._has_pair.sum() - self.graph.bipartite.sum())

        missing = np.zeros(d, dtype=np.int64)  # new sources that a node needs around it for an odd cycle
        missing[self.ambiguous] = 1
        missing[self.live & ~self._has_pair] = 2
        missing[~self.live & ~omega[:, self.live].any(axis=1)] = 3
        self.sources_to_add = int(missing[~self.settled].max(initial=0)) if d else 3

    def of_nodes(self) -> list[NodeStatus]:
        return [
            "identified" if fixed else "scale ambiguous" if loose else "no signal"
            for fixed, loose in zip(self.identified, self.ambiguous, strict=True)
        ]

    def of_sources(self, having: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> list[SourceStatus]:
        """Status of each source; `having` tells the sources that have one of some nodes."""
        best = "sign only" if len(self.graph.members) > 1 else "identified"
        silent, ambiguous = having(~self.settled) | ~having(self._has_pair), having(self.ambiguous)
        status = np.where(silent, "no signal", best)
        status = np.where(ambiguous, "scale ambiguous", status)
        return [SOURCE_STATUSES[SOURCE_STATUSES.index(own)] for own in status.tolist()]


def solve_log_linear(target: ArrayLike, omega_mask: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """Least-squares ``l = log z^2`` of ``l_a + l_b = log target_ab^2`` over the pairs, and its misfit.

    Solved through the normal equations ``(degrees + adjacency) l = Q 1``, component by component; ``M_omega``
    is never built. It is a start and a test of consistency, not an estimator: entries near zero dominate it.

    Parameters
    ----------
    target : (d, d) float array
        Symmetric; read on the pairs only. Entries below ``FLOOR`` (1e-10) times the largest are clamped to
        that.
    omega_mask : (d, d) bool array
        Pairs of nodes; symmetric, with a diagonal of False.

    Returns
    -------
    log_z2 : (d,) float64 array
        Always finite. In a bipartite component, where one number is free, the solution of least norm; 0 for
        nodes without a pair.
    residual : float
        Root mean square of ``l_a + l_b - log target_ab^2`` over the pairs; 0 without pairs.

    Raises
    ------
    InvalidArgumentError
        If a shape is wrong, `omega_mask` is not symmetric or pairs a node with itself, or `target` is not
        finite on the pairs.
    WrongTypeError
        If `omega_mask` is not boolean.

    References
    ----------
    Ratner et al. (2019), arXiv:1810.02840, Algorithm 1.

    Examples
    --------
    >>> z = np.array([0.5, 0.25, 2.0])
    >>> log_z2, residual = solve_log_linear(np.outer(z, z), ~np.eye(3, dtype=bool))
    >>> np.exp(log_z2 / 2).round(12).tolist()
    [0.5, 0.25, 2.0]
    """
    omega = _read_omega(omega_mask)
    return _solve(target, omega, _NodeGraph(omega))


def _solve(
    target: ArrayLike, omega: NDArray[np.bool_], graph: _NodeGraph
) -> tuple[NDArray[np.float64], float]:
    """The same for pairs that were checked, with the graph that they make."""
    size = np.abs(np.asarray(target, dtype=np.float64))
    if size.shape != omega.shape:
        raise InvalidArgumentError(f"target must have shape {omega.shape} like omega_mask, got {size.shape}")
    if not np.isfinite(size[omega]).all():
        a, b = np.argwhere(omega & ~np.isfinite(size))[0].tolist()
        raise InvalidArgumentError(f"target[{a}, {b}] is {size[a, b]}: take the pair out of omega_mask")
    log_z2 = np.zeros(len(omega))
    if not omega.any():
        return log_z2, 0.0
    floor = max(FLOOR * float(size[omega].max()), float(np.finfo(np.float64).tiny))
    q = np.zeros(omega.shape)
    q[omega] = 2 * np.log(np.maximum(size[omega], floor))
    right_side = q.sum(axis=1)
    for c, members in enumerate(graph.members):
        normal = graph.normal_matrix(c)
        if graph.bipartite[c]:
            side = graph.side[members]
            normal += np.outer(side, side)  # fills the null space, which the right side is orthogonal to
        log_z2[members] = solve_positive(normal, right_side[members])
    q -= log_z2
    q -= log_z2[:, None]
    misfit = q[omega]
    return log_z2, float(np.sqrt(np.mean(misfit**2)))


def solve_positive(matrix: NDArray[np.float64], right: NDArray[Any]) -> NDArray[np.float64]:
    """Solution of a positive definite system, with the same bits however many threads BLAS has.

    Conjugate gradients: the eigenvalues of degrees plus adjacency lie close together where most nodes are
    paired, and a few steps suffice. Small systems, and what that does not settle, are factorised.
    """
    solution: NDArray[np.float64]
    if len(right) <= _FACTORISED:
        solution = np.linalg.solve(matrix, right)
        return solution
    scale: NDArray[np.float64] = 1 / np.diag(matrix)
    x: NDArray[np.float64] = scale * right
    residual: NDArray[np.float64] = right - np.einsum("ab,b->a", matrix, x)
    direction = preconditioned = scale * residual
    size, goal = float(np.sum(residual * preconditioned)), 1e-26 * float(np.sum(scale * right * right))
    for _ in range(200):
        if size <= goal:
            return x
        image = np.einsum("ab,b->a", matrix, direction)
        length = size / float(np.sum(direction * image))
        x += length * direction
        residual -= length * image
        preconditioned = scale * residual
        size, last = float(np.sum(residual * preconditioned)), size
        direction = preconditioned + (size / last) * direction
    solution = np.linalg.solve(matrix, right)
    return solution


class _NodeGraph:
    """Components of the graph of pairs, those with at least one pair, each two-coloured by distance.

    Attributes
    ----------
    label : (d,) int64 array
        Component of each node, numbered by first member; -1 for nodes without a pair.
    side : (d,) float64 array
        +1 or -1 by the parity of the distance to the first member: a two-colouring where there is one.
    members : list of int64 arrays
        Nodes of each component.
    bipartite : (n_components,) bool array
        Whether a component has no odd cycle.
    """

    def __init__(self, omega: NDArray[np.bool_]) -> None:
        self._omega = omega
        self.label = np.full(len(omega), -1, dtype=np.int64)
        self.side = np.ones(len(omega))
        self.members: list[NDArray[np.intp]] = []
        bipartite: list[bool] = []
        for first in np.flatnonzero(omega.any(axis=1)):
            if self.label[first] >= 0:
                continue
            level, side, even = np.array([first]), 1.0, True
            while len(level):
                self.label[level], self.side[level] = len(bipartite), side
                even &= not omega[np.ix_(level, level)].any()  # edges join equal or adjacent levels only
                level = np.flatnonzero(omega[level].any(axis=0) & (self.label < 0))
                side = -side
            self.members.append(np.flatnonzero(self.label == len(bipartite)))
            bipartite.append(even)
        self.bipartite = np.array(bipartite, dtype=np.bool_)

    def normal_matrix(self, c: int) -> NDArray[np.float64]:
        """``M^T M`` of a component: degrees plus adjacency; singular exactly if it is bipartite."""
        normal = self._omega[np.ix_(self.members[c], self.members[c])].astype(np.float64)
        np.fill_diagonal(normal, normal.sum(axis=1))
        return normal

    def eigenvalues(self, c: int) -> NDArray[np.float64]:
        """Eigenvalues of a component's ``M^T M``, ascending; not all repeats are listed.

        Nodes with the same partners, such as all those of one source, count as one: vectors that add up to
        zero over them have their degree as eigenvalue, all others are constant over them.
        """
        adjacency = self._omega[np.ix_(self.members[c], self.members[c])]
        _, first, size = np.unique(
            np.packbits(adjacency, axis=1), axis=0, return_index=True, return_counts=True
        )
        scale = np.sqrt(size)
        quotient = adjacency[np.ix_(first, first)] * np.outer(scale, scale)
        degree = adjacency[first].sum(axis=1)
        np.fill_diagonal(quotient, degree)
        return np.sort(np.concatenate([np.linalg.eigvalsh(quotient), degree[size > 1]]))


def _read_omega(omega_mask: ArrayLike) -> NDArray[np.bool_]:
    """Mask of the pairs, checked."""
    omega = np.asarray(omega_mask)
    if omega.dtype != np.bool_:
        raise WrongTypeError(f"omega_mask must be an array of bool, got dtype {omega.dtype}")
    if omega.ndim != 2 or omega.shape[0] != omega.shape[1]:
        raise InvalidArgumentError(f"omega_mask must be square, got shape {omega.shape}")
    if not np.array_equal(omega, omega.T):
        a, b = np.argwhere(omega != omega.T)[0].tolist()
        raise InvalidArgumentError(f"omega_mask must be symmetric; entries [{a}, {b}] and [{b}, {a}] differ")
    if omega.diagonal().any():
        raise InvalidArgumentError(f"omega_mask pairs node {int(omega.diagonal().argmax())} with itself")
    return omega


def _edges_to_drop(
    source_graph: SourceGraph, live: NDArray[np.bool_], weights: Mapping[Edge, float]
) -> tuple[Edge, ...]:
    """Dependencies whose removal leaves three components with a live source, by successive cheapest cuts.

    Empty if there are three already, or fewer than three live sources.
    """
    strength = np.zeros((source_graph.n_sources, source_graph.n_sources))
    for i, j in source_graph.edges:
        strength[i, j] = strength[j, i] = weights.get((i, j), 1.0)
    parts = [source_graph.members(c) for c in np.unique(source_graph.component[live])]
    while len(parts) < 3:
        divisible = [part for part in parts if live[list(part)].sum() >= 2]
        if not divisible:
            return ()
        cuts = [(*_cheapest_cut(part, strength, live), part) for part in divisible]
        _, side, part = min(cuts)
        rest = tuple(v for v in part if v not in side)
        parts.remove(part)
        parts += [side, rest]
        strength[np.ix_(side, rest)] = strength[np.ix_(rest, side)] = 0.0
    return tuple(edge for edge in source_graph.edges if strength[edge] == 0.0)


def _cheapest_cut(
    part: Clique, strength: NDArray[np.float64], live: NDArray[np.bool_]
) -> tuple[float, Clique]:
    """Cost of the cheapest cut of a connected part, and one side of it; both sides hold a live source.

    Stoer and Wagner (1997). Sources that are not live are first joined to their strongest neighbour, so that
    every group has a live source; the cut is the cheapest among those that respect this.
    """
    weight = strength[np.ix_(part, part)]
    groups = [[v] for v in part]
    active = np.ones(len(part), dtype=np.bool_)

    def join(a: int, b: int) -> None:
        """Let group `a` swallow group `b`."""
        weight[a] += weight[b]
        weight[:, a] = weight[a]
        weight[b] = weight[:, b] = weight[a, a] = 0.0
        groups[a] += groups[b]
        active[b] = False

    for v in np.flatnonzero(~live[list(part)]):
        join(int(weight[v].argmax()), int(v))
    best: tuple[float, Clique] = (np.inf, ())
    while active.sum() > 1:
        waiting = active.copy()
        attached = np.zeros(len(part))
        previous = last = -1
        while waiting.any():
            previous, last = last, int(np.where(waiting, attached, -1.0).argmax())
            waiting[last] = False
            attached += weight[last]
        best = min(best, (float(weight[last].sum()), tuple(sorted(groups[last]))))
        join(previous, last)
    return best


def _advice(
    names: Sequence[str],
    sources_to_add: int,
    unsettled: Sequence[str],
    dependencies_to_drop: Sequence[Edge],
    found: Mapping[str, NDArray[np.bool_]],
    *,
    may_be_weak: bool,
) -> tuple[str, ...]:
    """Sentences that say what to do, and of which sources what was found; empty where there is nothing."""
    sentences = []
    if sources_to_add:
        new = "1 source that is" if sources_to_add == 1 else f"{sources_to_add} sources that are each"
        votes = "vote" if sources_to_add > 1 else "votes"
        on = f"like {listed(unsettled)}" if unsettled else "on the same classes"
        sentences.append(f"Add {new} independent of all others and {votes} {on}.")
    if dependencies_to_drop:
        pairs = [f"{names[i]!r} with {names[j]!r}" for i, j in dependencies_to_drop]
        shown = ", ".join(pairs[:8]) + (", ... (all in dependencies_to_drop)" if len(pairs) > 8 else "")
        which = "the dependency" if len(pairs) == 1 else f"these {len(pairs)} dependencies"
        sentences.append(f"Or drop {which}, if the data allow it: {shown}.")
    for what, of_sources in found.items():
        if of_sources.any():
            sentences.append(f"{what}: {listed(names[j] for j in np.flatnonzero(of_sources).tolist())}.")
    if may_be_weak and sources_to_add:
        sentences.append(
            "They may be too weak for so few items: more items may do instead, and a source that is "
            "added should be clearly better than they are."
        )
    return tuple(sentences)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _wrapped(text: str, bullet: str) -> str:
    return textwrap.fill(text, 80, initial_indent=bullet, subsequent_indent="  ", break_on_hyphens=False)
