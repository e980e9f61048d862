"""Which of two opposite answers is right: the sign that pairs of votes leave open.

Pairs of votes tell the strengths ``d`` up to one sign for each connected part of the pairs. Four things can
decide it, the first that applies:

- a *trusted* source, which somebody believes to be better than chance;
- *gold*: the known labels of some items, where they tell by more than two standard errors;
- *third moments*, where they contradict the default by more than three standard errors. For an event ``E``
  of known probability, ``sign(s) = sign(1 - 2 P(E))`` for the skewness ``s`` of
  :mod:`consilience.third_moments`. With three or more classes of unknown balance, the probabilities of the
  classes sum to 1 under one sign only;
- the *sum*: sources are better than chance on average.

With two classes of unknown balance third moments say nothing: opposite sources under the opposite balance
give the same votes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience.alignment import CONTRADICTION, align_groups
from consilience.class_balance import balance_from_skewness
from consilience.exceptions import WrongTypeError
from consilience.identifiability import IdentifiabilityReport
from consilience.nodes import NodeSystem
from consilience.source_graph import read_source
from consilience.third_moments import EventSkewness, skewness_of

__all__ = [
    "SignChoice",
    "Trusted",
    "choose_signs",
    "contradicted_signs",
    "is_disputed",
    "read_trusted",
]

Trusted: TypeAlias = int | str | Iterable[int | str] | None
"""Sources, by index or name, that are better than chance."""

GOLD_SURE = 2.0
"""Standard errors by which gold must tell a sign."""

DISPUTED = 0.2
"""Least share of the strengths that is to point the other way for a sign to be in dispute."""


def read_trusted(trusted: Trusted, source_names: tuple[str, ...]) -> NDArray[np.int64]:
    """Indices of trusted sources, sorted.

    Raises
    ------
    InvalidArgumentError
        If a source is not there.
    WrongTypeError
        If it is neither an index nor a name.
    """
    if trusted is None:
        return np.zeros(0, dtype=np.int64)
    if isinstance(trusted, (str, int, np.integer)):
        trusted = [trusted]
    if not isinstance(trusted, Iterable):
        raise WrongTypeError(f"trusted must be a source or a list of them, got {trusted!r}")
    index = {name: j for j, name in enumerate(source_names)}
    return np.unique([read_source(source, index, "trusted") for source in trusted]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SignChoice:
    """Which sign each sign component of a report has.

    Attributes
    ----------
    signs : (c,) float64 array
        -1 where the strengths as they were must be turned round.
    groups : (c,) int64 array
        Components with the same number have one sign in common.
    rules : list of str
        ``"trusted"``, ``"gold"`` or ``"sum"``, for each component.
    """

    signs: NDArray[np.float64]
    groups: NDArray[np.int64]
    rules: list[str]


def choose_signs(
    system: NodeSystem,
    report: IdentifiabilityReport,
    strength: NDArray[np.float64],
    trusted: NDArray[np.int64],
    gold: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> SignChoice:
    """Signs by what a method left unused of the pairs, then by trusted sources, then by the sum.

    Parameters
    ----------
    system, report
        With the sign components.
    strength : (d,) float64 array
        ``alpha - beta`` of each node, up to these signs.
    trusted : array of int
        Sources that are better than chance; several count by how much their votes tell.
    gold : (strength, variance), optional
        What known labels say of each node, (d,) each.
    """
    component = report.sign_components
    signs, groups = _aligned(system, component, strength)
    of_node = np.where(component >= 0, signs[component] if len(signs) else 0.0, 0.0) * strength
    group = np.where(component >= 0, groups[component] if len(signs) else 0, -1)
    telling = np.where(np.isin(system.statistics.node_source, trusted), np.diag(system.events.g), 0.0)
    by_trust = np.array([np.sum((telling * of_node)[group == g]) for g in groups])
    by_sum = np.array([np.sum(of_node[group == g]) for g in groups])
    by_gold = np.zeros(len(groups))
    if gold is not None:
        told, noise = of_node * gold[0] / gold[1], of_node**2 / gold[1] * (gold[0] != 0)
        size = np.sqrt([np.sum(noise[group == g]) for g in groups])
        by_gold = np.array([np.sum(told[group == g]) for g in groups])
        by_gold[np.abs(by_gold) < GOLD_SURE * size] = 0.0
    turned = np.where(by_trust != 0, by_trust, np.where(by_gold != 0, by_gold, by_sum)) < 0
    rules = [
        "trusted" if trust != 0 else "gold" if known != 0 else "sum"
        for trust, known in zip(by_trust.tolist(), by_gold.tolist(), strict=True)
    ]
    return SignChoice(np.where(turned, -signs, signs), groups, rules)


def is_disputed(report: IdentifiabilityReport, strength: NDArray[np.float64], choice: SignChoice) -> bool:
    """Whether sources disagree so much that a sign chosen by their sum may well be wrong.

    Parameters
    ----------
    report : IdentifiabilityReport
        With the sign components.
    strength : (d,) float64 array
        ``alpha - beta`` of each node under the signs chosen.
    choice : SignChoice
        Which components have a sign in common, and which rules chose it.
    """
    for group in np.unique(choice.groups).tolist():
        components = np.flatnonzero(choice.groups == group)
        own = strength[np.isin(report.sign_components, components)]
        against = -float(np.minimum(own, 0.0).sum())
        by_sum = all(choice.rules[c] == "sum" for c in components)
        if by_sum and against >= DISPUTED * float(np.abs(own).sum()) > 0:
            return True
    return False


def _aligned(
    system: NodeSystem, component: NDArray[np.int64], strength: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Signs of components relative to each other, and which of them have such a relation.

    Algorithm 1 treats events apart; pairs of votes for different events, which it does not use, tell how the
    signs of the events go together. Strongest evidence first.
    """
    n_components = int(component.max(initial=-1)) + 1
    if n_components < 2:
        return np.ones(n_components), np.arange(n_components)
    across = system.related & (component[:, None] != component)
    return align_groups(system, component, strength, across)


def contradicted_signs(
    skewness: EventSkewness,
    find_covariance: Callable[[], NDArray[np.float64]],
    report: IdentifiabilityReport,
    choice: SignChoice,
    class_balance: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """-1 for each sign component whose sign third moments contradict, 1 for the others.

    Parameters
    ----------
    skewness : EventSkewness
        Under the present signs.
    find_covariance : callable
        Gives that of its values, (q, q); with a known balance, only asked where some event has the other sign
        than it should.
    report : IdentifiabilityReport
        With the sign components.
    choice : SignChoice
        Which of them have a sign in common, and which are trusted to be right.
    class_balance : (K,) float64 array or None
        ``P(Y)`` where it is known.
    """
    signs = np.ones(len(choice.signs))
    masks, value = skewness.masks, skewness.value
    linked = [
        (components, events)
        for components, events in _linked(skewness, report, choice)
        if all(choice.rules[c] == "sum" for c in components)
    ]
    if class_balance is not None:
        for components, events in linked:
            p = (masks @ class_balance)[events]
            known = events[(p > 1e-9) & (p < 1 - 1e-9)]
            expected = skewness_of(masks[known] @ class_balance)
            if (expected * value[known] >= 0).all():
                continue
            filtered = np.linalg.solve(find_covariance()[np.ix_(known, known)], expected)
            size = float(np.sqrt(np.sum(filtered * expected)))
            if np.sum(filtered * value[known]) < -CONTRADICTION * size:
                signs[components] = -1.0
        return signs
    covariance = find_covariance()
    best = balance_from_skewness(masks, value, covariance)
    enough = CONTRADICTION**2 / 2 + float(np.log(max(len(linked), 1)))
    for components, events in linked:
        # What a turn can gain is at most what does not fit now.
        if best.misfit <= enough:
            break
        turn = np.ones(len(value))
        turn[events] = -1.0
        opposite = turn * value, covariance * np.outer(turn, turn)
        turned = balance_from_skewness(masks, *opposite)
        if turned.misfit < best.misfit - enough:
            signs[components] = -1.0
            (value, covariance), best = opposite, turned
    return signs


def _linked(
    skewness: EventSkewness, report: IdentifiabilityReport, choice: SignChoice
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Sign components that turn round together, each with the events that their nodes tell."""
    touched = [np.unique(report.sign_components[nodes]) for nodes in skewness.nodes]
    touched = [of_event[of_event >= 0] for of_event in touched]
    label = choice.groups.copy()
    for of_event in touched:
        if len(of_event):
            label[np.isin(label, label[of_event])] = label[of_event].min()
    linked = []
    for c in np.unique(label):
        events = [e for e, of_event in enumerate(touched) if len(of_event) and label[of_event[0]] == c]
        if events:
            linked.append((np.flatnonzero(label == c), np.array(events)))
    return linked
