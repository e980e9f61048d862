"""Third moments of votes for one event: how skewed the event is, from triples of independent sources, [T9].

For three sources that are independent given the labels, the third central moment of their votes for an event
``E`` is ``d_1 d_2 d_3 P(E)(1 - P(E))(1 - 2 P(E))``. With ``u = d sqrt(P(1 - P))``, which the covariances
``u_1 u_2`` tell up to one sign, it is ``s u_1 u_2 u_3`` with the skewness
``s = (1 - 2 P) / sqrt(P(1 - P))``: what binary votes say about the class balance, or, where that is known,
about the sign. Sums over all triples that a node is in are enough, and those are counted in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.alignment import align
from consilience.events import nodes_by_event
from consilience.identifiability import solve_log_linear, solve_positive
from consilience.moments import signed_start
from consilience.nodes import NodeSystem
from consilience.statistics import VoteStatistics

__all__ = [
    "EventSkewness",
    "event_skewness",
    "no_skewness",
    "probability_of",
    "rough_probabilities",
    "skewness_of",
    "third_moment_sums",
]

MIN_SIGNAL = 2.0
"""Nodes whose covariances are all within this many standard errors of zero do not shape the others' ``u``."""


def skewness_of(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(1 - 2 P) / sqrt(P (1 - P))`` of events of probability ``P``, in (0, 1)."""
    s: NDArray[np.float64] = (1 - 2 * p) / np.sqrt(p * (1 - p))
    return s


def probability_of(skewness: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability in (0, 1) that has a skewness: the inverse of :func:`skewness_of`."""
    p: NDArray[np.float64] = (1 - skewness / np.sqrt(4 + skewness**2)) / 2
    return p


def third_moment_sums(statistics: VoteStatistics, group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Third central moments of each node with two others, summed over the others, (d,).

    Over pairs of further nodes of the same event, the three of them of sources in different groups.

    Parameters
    ----------
    statistics : VoteStatistics
        Counts of the nodes, triples among them.
    group : (m,) int64 array
        Sources of one component are of one group. Sources that vote alike may be too, though they were
        counted as independent: their triples are taken out again, as if they voted alike on every item.
    """
    assert statistics.triples is not None
    sums = np.zeros(len(statistics.node_source))
    own = group[statistics.node_source]
    counted = statistics.triples.component[statistics.node_source]
    for nodes in nodes_by_event(statistics.node_event):
        pairs = statistics.pairs[np.ix_(nodes, nodes)] / statistics.n
        apart = own[nodes, None] != own[nodes]
        copies = ~apart & (counted[nodes, None] != counted[nodes])
        raw = statistics.triples.of_node[nodes] / statistics.n - _within(pairs, apart, copies)
        mean = np.diag(pairs)
        together = np.where(apart, pairs, 0.0)
        beside = together.sum(axis=1)  # with one node of another group
        of_group = (~apart).astype(np.float64)
        elsewhere = mean.sum() - of_group @ mean  # means of the other groups
        squares = (mean * (of_group @ mean)).sum() - (of_group @ mean) ** 2
        pairs_elsewhere = beside.sum() / 2 - of_group @ beside
        sums[nodes] = (
            raw
            - mean * pairs_elsewhere
            - (beside * elsewhere - together @ (of_group @ mean))
            + mean * (elsewhere**2 - squares)
        )
    return sums


def rough_probabilities(
    system: NodeSystem, third: NDArray[np.float64], strength: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probability of each event that is voted for, at first sight: by least squares under given strengths.

    Parameters
    ----------
    system, third, strength
        As for :func:`event_skewness`. Sources that depend on each other are taken as independent.
    """
    found = []
    u = strength * np.sqrt(np.abs(np.diag(system.events.g)))
    for nodes in nodes_by_event(system.statistics.node_event):
        own = u[nodes]
        others = own.sum() - own
        per_unit = own * (others**2 - (np.sum(own**2) - own**2)) / 2
        scale = float(np.sum(per_unit**2))
        if scale > 0:
            found.append(float(np.sum(third[nodes] * per_unit)) / scale)
    return probability_of(np.array(found, dtype=np.float64))


def _within(
    pairs: NDArray[np.float64], apart: NDArray[np.bool_], copies: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Triples of each node in which two nodes are copies of each other, which vote alike."""
    if not copies.any():
        return np.zeros(len(pairs))
    n_copies = copies.sum(axis=1)
    across = np.where(apart, pairs, 0.0)
    of_others = across @ n_copies / 2
    own = (n_copies * across.sum(axis=1) + copies @ across.sum(axis=1)) / 2
    three = np.diag(pairs) * n_copies * (n_copies - 1) / 2
    within: NDArray[np.float64] = of_others + own + three
    return within


@dataclass(frozen=True, eq=False)
class EventSkewness:
    """How skewed some events are.

    An event and its complement count as one: votes for one are votes against the other.

    Attributes
    ----------
    masks : (q, K) bool array
        Feasible vectors of each event.
    value : (q,) float64 array
        Estimate of its ``s``.
    least_variance : (q,) float64 array
        Of the estimate times n, if votes were independent of each other and of the labels.
    """

    masks: NDArray[np.bool_]
    value: NDArray[np.float64]
    least_variance: NDArray[np.float64]
    _sides: tuple[_Sides, ...]

    @property
    def nodes(self) -> tuple[NDArray[np.intp], ...]:
        """Nodes that each event was told from."""
        return tuple(sides.nodes for sides in self._sides)

    def influence(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        """What single items do to the estimates, up to a constant, (n_items, q).

        Its variance over items, divided by n, is that of the estimates.

        Parameters
        ----------
        centred : (n_items, d) float64 array
            Indicators of some items, minus their means.
        """
        influence = np.zeros((len(centred), len(self.value)))
        for e, sides in enumerate(self._sides):
            influence[:, e] = sides.influence(centred[:, sides.nodes])
        return influence


def no_skewness(n_vectors: int) -> EventSkewness:
    """Of no event."""
    none = np.zeros(0)
    return EventSkewness(np.zeros((0, n_vectors), dtype=np.bool_), none, none, ())


def event_skewness(
    system: NodeSystem, third: NDArray[np.float64], strength: NDArray[np.float64]
) -> EventSkewness:
    """Skewness of the events that at least three independent sources with signal vote for.

    Parameters
    ----------
    system : NodeSystem
        The ``d`` nodes. Its class balance is not used.
    third : (d,) float64 array
        Of :func:`third_moment_sums`.
    strength : (d,) float64 array
        ``alpha - beta`` of the nodes under any class balance. Of its signs those are used that the events
        have as a whole: under a wrong balance the signs of rare events need not be right.

    References
    ----------
    [T9]; ``s`` by least squares of the sums of third moments on what they are per unit of ``s``, weighted as
    if votes were independent.
    """
    masks, found = [], []
    for mask, nodes, sign in _by_side(system):
        sides = _fit_sides(system, third, nodes, sign)
        if sides is not None:
            masks.append(mask)
            found.append(sides)
    found = _oriented(system, np.array(masks, dtype=np.bool_), found, strength)
    k = system.events.masks.shape[1]
    return EventSkewness(
        np.array(masks, dtype=np.bool_).reshape(-1, k),
        np.array([sides.skewness for sides in found], dtype=np.float64),
        np.array([sides.least_variance for sides in found], dtype=np.float64),
        tuple(found),
    )


def _oriented(
    system: NodeSystem,
    masks: NDArray[np.bool_],
    found: list[_Sides],
    strength: NDArray[np.float64],
) -> list[_Sides]:
    """The same with signs that agree with the pairs of votes for different events, and with the strengths.

    An event that another one implies goes with it, one that excludes it goes against it, whatever the class
    balance.
    """
    z = np.zeros((len(found), len(found)))
    spread = system.means * (1 - system.means)
    for e, one in enumerate(found):
        for f, other in enumerate(found[:e]):
            nested = not (masks[e] & ~masks[f]).any() or not (masks[f] & ~masks[e]).any()
            if not nested and not (masks[e] | masks[f]).all():  # the first vector is in both
                continue
            cells = np.ix_(one.nodes, other.nodes)
            component = system.source_graph.component[system.statistics.node_source]
            apart = component[one.nodes][:, None] != component[other.nodes]
            expected = np.where(apart, np.outer(one.u, other.u), 0.0)
            variance = np.outer(spread[one.nodes], spread[other.nodes])
            noise = float(np.sum(expected**2 / variance)) / system.statistics.n
            evidence = float(np.sum(expected * system.covariance[cells] / variance))
            z[f, e] = (1 if nested else -1) * evidence / np.sqrt(noise) if noise > 0 else 0.0
    signs, groups = align(z)
    own = system.events.masks[:, 0]
    along = np.array(
        [np.sum(np.where(own[s.nodes], 1, -1) * s.u * strength[s.nodes]) for s in found], dtype=np.float64
    )
    for group in np.unique(groups):
        members = groups == group
        if np.sum((signs * along)[members]) < 0:
            signs[members] *= -1
    return [s if sign > 0 else s.opposite() for s, sign in zip(found, signs.tolist(), strict=True)]


def _by_side(
    system: NodeSystem,
) -> list[tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.float64]]]:
    """Each event with the nodes of it, sign +1, and of its complement, sign -1."""
    masks = system.events.masks
    against = ~masks[:, 0]  # an event stands for both if the first feasible vector is in it
    sides, at = np.unique(np.where(against[:, None], ~masks, masks), axis=0, return_inverse=True)
    at = at.reshape(-1)
    sign = np.where(against, -1.0, 1.0)
    groups = [np.flatnonzero((at == e) & system.live) for e in range(len(sides))]
    return [(side, nodes, sign[nodes]) for side, nodes in zip(sides, groups, strict=True)]


@dataclass(frozen=True, eq=False)
class _Sides:
    """Nodes of one event and of its complement, ``r`` of them.

    Attributes
    ----------
    nodes : (r,) int array
        Which of the ``d`` nodes.
    skewness, least_variance : float
        As in :class:`EventSkewness`.
    partners : _Partners
        Which nodes are independent.
    u : (r,) float64 array
        What the event does to each indicator, for ``E`` the event: its covariance with ``1_E``, divided by
        ``sqrt(P (1 - P))``. 0 for nodes without signal.
    find_coefficients : callable
        Works out those of the influence of an item: of each node's third moments, of its indicator, and, in
        two parts, of pairs of independent nodes.
    turn : float
        1, or -1 where all sources are taken to be the opposite of what they seem.
    """

    nodes: NDArray[np.intp]
    skewness: float
    least_variance: float
    partners: _Partners
    u: NDArray[np.float64]
    find_coefficients: Callable[[], tuple[NDArray[np.float64], ...]]
    turn: float = 1.0

    def influence(self, centred: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of items, (n_items,), up to a constant, from their centred indicators, (n_items, r)."""
        cubic, linear, of_left, of_right = self.find_coefficients()
        third = self.partners.pairs_elsewhere(centred * self.partners.copies)
        left, right = centred * of_left, centred * of_right
        of_item: NDArray[np.float64] = (centred * (third * cubic + linear)).sum(axis=1)
        of_item += left.sum(axis=1) * right.sum(axis=1)
        of_item -= (left * self.partners.within(right, any_event=True)).sum(axis=1)
        return self.turn * of_item

    def opposite(self) -> _Sides:
        """The same if all sources are the opposite of what they seem."""
        return replace(self, skewness=-self.skewness, u=-self.u, turn=-self.turn)


class _Partners:
    """Who meets whom among the ``r`` nodes of an event and its complement.

    Parameters
    ----------
    sign : (r,) float64 array
        Which of the two a node is of.
    component : (r,) int64 array
        Of its source.
    copies : (r,) float64 array
        How many sources vote like its own, itself included.
    """

    def __init__(
        self, sign: NDArray[np.float64], component: NDArray[np.int64], copies: NDArray[np.float64]
    ) -> None:
        self.copies = copies
        self.independent: NDArray[np.bool_] = component[:, None] != component
        same = sign[:, None] == sign
        self.apart = (same & self.independent).astype(np.float64)
        """1 for nodes of the same event and independent sources, (r, r)."""
        self._event = _Groups(sign > 0)
        self._component = _Groups(component)
        self._both = _Groups(2 * component + (sign > 0))

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the nodes of the same event, for each node; along the last axis."""
        return self._event.sums(values)

    def within(self, values: NDArray[np.float64], *, any_event: bool = False) -> NDArray[np.float64]:
        """Sum over the nodes that are not independent of each node, itself included."""
        return (self._component if any_event else self._both).sums(values)

    def pairs_elsewhere(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``sum_B<C v_B v_C`` over the groups of dependent sources other than each node's own."""
        own = self.within(values)
        others = self.total(values) - own
        pairs: NDArray[np.float64] = (others**2 - self.total(values * own) + own**2) / 2
        return pairs


class _Groups:
    """Sums over the members of each one's group, added in one order."""

    def __init__(self, group: NDArray[Any]) -> None:
        _, self._at = np.unique(group, return_inverse=True)
        self._order = np.argsort(self._at, kind="stable")
        self._starts = np.flatnonzero(np.diff(self._at[self._order], prepend=-1))

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Along the last axis."""
        if len(self._starts) == len(self._at):
            return values
        of_group = np.add.reduceat(values[..., self._order], self._starts, axis=-1)
        sums: NDArray[np.float64] = of_group[..., self._at]
        return sums


def _fit_sides(
    system: NodeSystem,
    third: NDArray[np.float64],
    nodes: NDArray[np.intp],
    sign: NDArray[np.float64],
) -> _Sides | None:
    """Skewness of one event, up to its sign; None where its sources do not tell."""
    source = system.statistics.node_source[nodes]
    component = system.source_graph.component[source]
    n_copies = (
        np.ones(system.statistics.n_sources)
        if system.first is None
        else np.bincount(system.first, minlength=system.statistics.n_sources)
    )
    partners = _Partners(sign, component, n_copies[source].astype(np.float64))
    pairs = partners.independent
    signed = np.outer(sign, sign) * system.covariance[np.ix_(nodes, nodes)]
    spread = system.means[nodes] * (1 - system.means[nodes])
    z = np.where(pairs, np.abs(signed), 0.0) / np.sqrt(np.outer(spread, spread) / system.statistics.n)
    strong = z.max(axis=1, initial=0.0) >= MIN_SIGNAL
    if len(np.unique(component[strong])) < 3:
        return None
    u = _complete(signed, spread, pairs, strong)
    per_unit = u * partners.pairs_elsewhere(partners.copies * u)
    weight = solve_positive(_spread_of_sums(partners, spread), per_unit)
    scale = float(np.sum(weight * per_unit))
    if not scale > 0:
        return None
    weight /= scale
    skewness = float(np.sum(weight * sign * third[nodes]))
    return _Sides(
        nodes,
        skewness,
        1 / scale,
        partners,
        np.where(strong, sign * u, 0.0),
        partial(_coefficients, partners, pairs, signed, spread, strong, u, weight, sign, skewness),
    )


def _complete(
    signed: NDArray[np.float64],
    spread: NDArray[np.float64],
    pairs: NDArray[np.bool_],
    strong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """``u`` with ``u_a u_b`` the covariance of independent nodes, (r,); weak ones are read off the others."""
    among = pairs & strong[:, None] & strong
    weight = np.where(among, 1 / np.outer(spread, spread), 0.0)
    target = np.where(among, signed, 0.0)
    start = signed_start(solve_log_linear(target, among)[0], weight * target)
    u = np.where(strong, _core.complete_rank_one(target, weight, np.where(strong, start, 0.0)).z, 0.0)
    with_strong = pairs & ~strong[:, None] & strong
    above = np.einsum("ab,b->a", np.where(with_strong, signed, 0.0), u / spread)
    below = np.einsum("ab,b->a", with_strong.astype(np.float64), u**2 / spread)
    read_off: NDArray[np.float64] = np.divide(above, below, out=np.zeros_like(u), where=below > 0)
    return u + read_off


def _spread_of_sums(partners: _Partners, spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of the sums of third moments if all votes were independent, times n, (r, r)."""
    elsewhere = partners.copies**2 * spread
    own = partners.within(elsewhere)
    rest = partners.total(elsewhere)[:, None] - own[:, None] - own
    scaled = partners.copies * spread
    covariance: NDArray[np.float64] = partners.apart * np.outer(scaled, scaled) * rest
    diagonal = spread * partners.pairs_elsewhere(elsewhere)
    # A trace more keeps it positive definite where triples are few.
    covariance[np.diag_indices_from(covariance)] = diagonal + 1e-9 * diagonal.max(initial=0.0) + 1e-300
    return covariance


def _coefficients(
    partners: _Partners,
    pairs: NDArray[np.bool_],
    signed: NDArray[np.float64],
    spread: NDArray[np.float64],
    strong: NDArray[np.bool_],
    u: NDArray[np.float64],
    weight: NDArray[np.float64],
    sign: NDArray[np.float64],
    skewness: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of the influence of an item on the skewness: cubic, linear, left and right, each (r,).

    The third moments move by ``x_a x_b x_c - T_abc - x_a C_bc - x_b C_ac - x_c C_ab``; ``u`` through
    ``sum_b u_b (C_ab - u_a u_b) / (v_a v_b) = 0`` over strong partners b; the skewness with both.
    """
    cubic = weight * sign
    # The terms of the means, summed over triples: C_bc beside x_a, then C_ac beside all other x.
    covariance = np.outer(sign, sign) * signed * partners.apart * np.outer(partners.copies, partners.copies)
    beside = covariance.sum(axis=1)
    elsewhere = partners.total(beside) / 2 - partners.within(beside)
    beside_one = beside / partners.copies
    linear = -cubic * elsewhere
    linear -= partners.copies * np.einsum("ab,a->b", partners.apart, cubic * beside_one)
    of_groups = np.einsum("a,ab->b", cubic / partners.copies, covariance)
    linear += partners.copies * partners.within(of_groups)
    # What u does to the estimate, and the items to u.
    scaled = partners.copies * u
    own = partners.within(scaled)
    others = partners.total(scaled) - own
    move = np.outer(u, partners.copies) * partners.apart * (others[:, None] - own)
    through = weight * partners.pairs_elsewhere(scaled) + np.einsum("a,ab->b", weight, move)
    slope = np.where(pairs & strong, u / np.outer(spread, spread), 0.0)
    diagonal = np.einsum("ab,b->a", slope, u)
    weak = ~strong
    h = np.divide(through, diagonal, out=np.zeros_like(u), where=weak & (diagonal > 0))
    right = through - np.einsum("a,ab->b", h * u, slope)
    derivative = slope * u[:, None]
    derivative[np.diag_indices_from(derivative)] = diagonal
    h[strong] = solve_positive(derivative[np.ix_(strong, strong)], right[strong])
    left = -skewness * h * sign / spread
    return cubic, linear, left, np.where(strong, sign * u / spread, 0.0)
