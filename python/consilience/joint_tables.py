"""Tables of dependent sources: the probability of what they vote together, given the true label vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.nodes import NodeSystem
from consilience.statistics import VoteStatistics
from consilience.tied import MIN_RATIO, SourceTable

__all__ = ["ComponentTable", "conditional", "fit_component_tables"]

PRIOR_SPREAD = 0.3
"""How far, relative to its size, a joint probability is expected to lie from that of independent members."""

LEAST_OF_ERROR = 0.3
"""Least size of a joint probability in standard errors, up to what it is if the state tells nothing.

Of a rare class a quarter of the estimates lie below 0 by chance. Were these all but impossible, the states
would rule the class out: chains of four sources among 1,000 items of classes with 90, 8 and 2 % then cost
0.075 in log-loss beyond the exact posterior, and 0.026 so; with even classes 0.070 and 0.015. As items grow
many the bound goes to zero, and with exact moments ``MIN_RATIO`` binds nothing: tables are right to 3e-7.
"""


@dataclass(frozen=True, eq=False)
class ComponentTable:
    """What the sources of a clique do together.

    Attributes
    ----------
    members : tuple of int
        The sources.
    table : (n_states, K) float64 array
        ``P(joint state | Y = y)``, states numbered as :class:`ComponentLayout` does, the first one "all
        abstain"; columns sum to 1.
    form : str
        What it was chosen from: one of :data:`consilience.joint_forms.FORMS`.
    order : tuple of int
        Places of the members in the order in which that form reads them; empty for a free one.
    """

    members: tuple[int, ...]
    table: NDArray[np.float64]
    form: str = "free"
    order: tuple[int, ...] = ()


def fit_component_tables(
    system: NodeSystem, tables: list[SourceTable], layout: ComponentLayout
) -> list[ComponentTable]:
    """Table of each clique from the agreement of its joint states with sources of other components, [T7].

    For a joint state ``e`` and a node ``a`` of another component, ``E[1_e psi_a] = sum_y P(e, y) T_a(y)``:
    weighted least squares for the ``K`` numbers ``P(e, y)``. Where the outside sources do not tell all of
    them, they stay near those of members that are independent given the label; joint states that never
    occurred get these alone, at half an item altogether.

    Parameters
    ----------
    system : NodeSystem
        The nodes.
    tables : list of SourceTable
        One a source, learned.
    layout : ComponentLayout
        The cliques.
    """
    own = [_fit_clique(system, tables, layout, clique) for clique in layout.members]
    separators = [layout.separator_states(clique) for clique in layout.members]
    joint = layout.joined([conditional(*pair) for pair in zip(own, separators, strict=True)])
    return [ComponentTable(*pair) for pair in zip(layout.members, joint, strict=True)]


def conditional(table: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """A joint table divided by its sums over the states that share a number, (n_states, K).

    Parameters
    ----------
    table : (n_states, K) float64 array
        ``P(joint state | Y = y)``.
    given : (n_states,) int64 array
        What each state is divided with, such as the state of a separator.
    """
    total = np.zeros((int(given.max()) + 1, table.shape[1]))
    np.add.at(total, given, table)
    whole = total[given]
    return np.divide(table, whole, out=np.zeros_like(table), where=whole > 0)


def _fit_clique(
    system: NodeSystem, tables: list[SourceTable], layout: ComponentLayout, group: tuple[int, ...]
) -> NDArray[np.float64]:
    statistics, balance = system.statistics, system.class_balance
    n, k = statistics.n, len(balance)
    independent = _independent(tables, layout, group) * balance  # (n_states, K), P(e, y)
    counts, with_nodes = _counts(statistics, layout, group)
    seen = np.flatnonzero(counts > 1e-9 * n)
    share = counts[seen] / n

    # Deviations of P(e, y) from P(e) p(y), from the covariance of e with each node outside.
    outside = np.flatnonzero(~np.isin(statistics.node_source, layout.beside(group)) & system.live)
    of_node = np.vstack([table.table[:-1] for table in tables])[outside]
    means = system.means[outside]
    covariance = with_nodes[np.ix_(seen, outside)] / n - np.outer(share, means)
    weight = 1 / (means * (1 - means))
    prior = independent[seen]
    prior = prior / prior.sum(axis=1, keepdims=True) * share[:, None] - np.outer(share, balance)
    normal = (of_node.T * weight) @ of_node + np.outer(np.ones(k), np.ones(k))  # deviations sum to 0
    right = ((covariance - prior @ of_node.T) * weight) @ of_node
    # Sampling variance of a covariance, share / n in these units, against the spread of the prior.
    ridge = 1 / (n * share * PRIOR_SPREAD**2)
    values, vectors = np.linalg.eigh(normal)
    correction = ((right @ vectors) / (values + ridge[:, None])) @ vectors.T
    joint = np.outer(share, balance) + prior + correction
    error = np.sqrt((1 / (values + ridge[:, None])) @ (vectors**2).T * (share / n)[:, None])
    untold = np.outer(share, balance)
    joint = np.maximum(joint, np.maximum(MIN_RATIO * untold, LEAST_OF_ERROR * np.minimum(error, untold)))

    unseen = np.delete(np.arange(len(counts)), seen)
    full = np.empty_like(independent)
    full[seen] = joint
    if len(unseen):
        full[unseen] = independent[unseen] * (0.5 / n / max(independent[unseen].sum(), 0.5 / n))
    joint_table: NDArray[np.float64] = full / full.sum(axis=0)
    return joint_table


def _independent(
    tables: list[SourceTable], layout: ComponentLayout, group: tuple[int, ...]
) -> NDArray[np.float64]:
    """``P(joint state | y)`` if the members were independent given y, (n_states, K)."""
    states = layout.member_states(group)
    product = np.ones((len(states), tables[group[0]].table.shape[1]))
    for i, j in enumerate(group):
        abstains_first = np.roll(tables[j].table, 1, axis=0)
        product *= abstains_first[states[:, i]]
    return product


def _counts(
    statistics: VoteStatistics, layout: ComponentLayout, group: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of a clique's joint states, alone and beside each node: (n_states,), (n_states, d)."""
    joint = statistics.joint
    index = {tuple(votes.ravel()): e for e, votes in enumerate(layout.joint_votes(group))}
    counts = np.zeros(len(index))
    pairs = np.zeros((len(index), len(statistics.node_source)))
    for row in np.flatnonzero(joint.clique == joint.members.index(group)).tolist():
        e = index[tuple(joint.votes[row, : len(group)].ravel())]
        counts[e] = joint.counts[row]
        pairs[e] = joint.pairs[row]
    # All members abstain on what remains.
    counts[0] = max(statistics.n - counts.sum(), 0.0)
    pairs[0] = np.maximum(np.diag(statistics.pairs) - pairs.sum(axis=0), 0.0)
    return counts, pairs
