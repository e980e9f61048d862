"""Small label models written out in full: every vote vector and every label vector with its probability.

Estimates are compared with these models, not with draws from them: votes are all vote vectors that can occur,
and their weights are the probabilities, so that sample moments are population moments.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

import consilience as cs

TOTAL = 1e9
"""What the weights sum to: large, so that nothing is taken for sampling noise."""


@dataclass(frozen=True)
class Source:
    """A source: ``events`` (s, t) vote vectors it may cast, ``table`` (s + 1, K) with the abstention last."""

    events: np.ndarray
    table: np.ndarray


class ExactModel:
    """Votes of sources given a label vector, all of it known.

    Parameters
    ----------
    graph : TaskGraph
        One task or several.
    class_balance : (K,) array
        P(Y).
    sources : sequence of Source
        In the order of the columns.
    joints : {(i, j, ...): (s_i + 1, s_j + 1, ..., K) array}
        Tables of sources that depend on each other, in place of the product of their own tables.
    """

    def __init__(
        self,
        graph: cs.TaskGraph,
        class_balance: np.ndarray,
        sources: Sequence[Source],
        joints: Mapping[tuple[int, ...], np.ndarray] | None = None,
    ):
        self.graph = graph
        self.class_balance = np.asarray(class_balance, dtype=float)
        self.sources = list(sources)
        self.joints = dict(joints or {})
        sizes = [len(source.table) for source in self.sources]
        states = np.array(list(itertools.product(*map(range, sizes))))
        probability = np.tile(self.class_balance, (len(states), 1))
        together = {j for members in self.joints for j in members}
        for j, source in enumerate(self.sources):
            if j not in together:
                probability = probability * source.table[states[:, j]]
        for members, table in self.joints.items():
            probability = probability * table[tuple(states[:, j] for j in members)]
        possible = probability.sum(axis=1) > 0
        self.states = states[possible]
        """(N, m) row of each source's table, for each vote vector that can occur."""
        self.joint = probability[possible]
        """(N, K) P(votes, Y)."""

    @property
    def n_sources(self):
        return len(self.sources)

    @property
    def dependencies(self):
        return [pair for members in self.joints for pair in itertools.combinations(members, 2)]

    @property
    def probability(self):
        """(N,) P(votes)."""
        return self.joint.sum(axis=1)

    @property
    def weights(self):
        return self.probability * TOTAL

    @property
    def posterior(self):
        """(N, K) P(Y | votes)."""
        return self.joint / self.probability[:, None]

    @cached_property
    def votes(self):
        """(N, m) table, or one for each task."""
        silent = np.full((1, self.graph.n_tasks), -1)
        cast = [np.vstack([source.events, silent]) for source in self.sources]
        tables = {
            task: np.column_stack([cast[j][self.states[:, j], r] for j in range(self.n_sources)])
            for r, task in enumerate(self.graph.tasks)
        }
        return tables if len(tables) > 1 else next(iter(tables.values()))

    def nodes(self):
        """Pairs (source, state) that are no abstention."""
        return [(j, s) for j, source in enumerate(self.sources) for s in range(len(source.events))]

    def event(self, j, s):
        """Which label vectors agree with state s of source j, (K,)."""
        return agreeing(self.graph, self.sources[j].events[s])

    def with_source(self, j, source):
        """The same model of independent sources, with another source j."""
        return ExactModel(
            self.graph, self.class_balance, [*self.sources[:j], source, *self.sources[j + 1 :]], self.joints
        )

    def covariance(self, *of_labels):
        """Covariance of all nodes, followed by the indicators "Y in E" of some (K,) masks."""
        votes = np.repeat(self.states, len(self.class_balance), axis=0)
        labels = np.tile(np.arange(len(self.class_balance)), len(self.states))
        columns = [votes[:, j] == s for j, s in self.nodes()] + [mask[labels] for mask in of_labels]
        values = np.column_stack(columns).astype(float)
        weight = self.joint.ravel()
        centred = values - weight @ values
        return centred.T @ (centred * weight[:, None])


def agreeing(graph, vote_vector):
    """Which feasible label vectors agree with a vote vector, spelled out."""
    return np.array(
        [all(v in (-1, y) for v, y in zip(vote_vector, label, strict=True)) for label in graph.feasible_set]
    )


def tied_source(rng, graph, events, *, alpha=(0.3, 0.7), beta=(0.02, 0.1)):
    """Source that casts each vote with one probability where it is right and another where it is wrong."""
    events = np.asarray(events).reshape(len(events), -1)
    masks = np.array([agreeing(graph, event) for event in events])
    right, wrong = rng.uniform(*alpha, len(events)), rng.uniform(*beta, len(events))
    votes = np.where(masks, right[:, None], wrong[:, None])
    votes *= min(1.0, 0.92 / votes.sum(axis=0).max())
    return Source(events, np.vstack([votes, 1 - votes.sum(axis=0)]))


def always_voting_source(rng, k):
    """Tied source of one task that never abstains: right with a probability, else it guesses."""
    guesses = rng.dirichlet(np.full(k, 5.0))
    skill = rng.uniform(0.3, 0.8)
    votes = (1 - skill) * np.repeat(guesses[:, None], k, axis=1) + skill * np.eye(k)
    return Source(np.arange(k)[:, None], np.vstack([votes, np.zeros(k)]))


def free_source(rng, k):
    """Source of one task with any confusion between the classes."""
    table = np.column_stack([rng.dirichlet(1 + 4 * np.eye(k + 1)[y]) for y in range(k)])
    return Source(np.arange(k)[:, None], table)


def copying_pair(first, second, rate):
    """The second source repeats the first with some probability; its own table, and that of both."""
    alone = first.table[:, None, :] * second.table[None, :, :]
    copied = np.einsum("ay,ab->aby", first.table, np.eye(len(first.table)))
    joint = (1 - rate) * alone + rate * copied
    return Source(second.events, joint.sum(axis=0)), joint


def balance(rng, k):
    return rng.dirichlet(np.full(k, 8.0))


def single_task(rng, k, m=4, *, abstains=True):
    """Independent tied sources on one task."""
    graph = cs.TaskGraph.single(k)
    classes = np.arange(k)[:, None]
    sources = [
        tied_source(rng, graph, classes, beta=(0.02, 0.3 / k)) if abstains else always_voting_source(rng, k)
        for _ in range(m)
    ]
    return ExactModel(graph, balance(rng, k), sources)


def single_task_with_pairs(rng, k, *, rate=0.5):
    """Two pairs of which the second copies the first, and two independent sources."""
    sources = single_task(rng, k, 6).sources if k == 2 else single_task(rng, k, 4).sources
    pairs = [(0, 1), (2, 3)] if k == 2 else [(0, 1)]
    joints = {}
    for i, j in pairs:
        sources[j], joints[i, j] = copying_pair(sources[i], sources[j], rate)
    return ExactModel(cs.TaskGraph.single(k), balance(rng, k), sources, joints)


def kind_graph():
    """Hierarchy of two levels with four feasible label vectors."""
    return cs.TaskGraph(
        {"kind": ["person", "org"], "person_type": ["doctor", "lawyer"], "org_type": ["hospital", "office"]},
        parents={"person_type": ("kind", "person"), "org_type": ("kind", "org")},
    )


PERSON, ORG = (0, -1, -1), (1, -1, -1)
DOCTOR, LAWYER, HOSPITAL, OFFICE = (-1, 0, -1), (-1, 1, -1), (-1, -1, 0), (-1, -1, 1)

COARSE_AND_FINE = [
    [PERSON, ORG],
    [DOCTOR, LAWYER],
    [DOCTOR, LAWYER, HOSPITAL, OFFICE],
    [HOSPITAL, OFFICE, PERSON],
    [PERSON, ORG],
]
"""Sources that speak about one level, part of another, or both: no event is shared by more than three."""

LEVEL_BY_LEVEL = [[PERSON, ORG]] * 3 + [[DOCTOR, LAWYER, HOSPITAL, OFFICE]] * 3
"""Three sources for each level: every event has three, as one event at a time needs."""


def hierarchy(rng, events_of_sources):
    """Independent tied sources on the hierarchy of :func:`kind_graph`."""
    graph = kind_graph()
    return ExactModel(graph, balance(rng, 4), [tied_source(rng, graph, e) for e in events_of_sources])


def table_error(model, exact):
    """Largest difference between the tables of a fitted model and the true ones."""
    worst = 0.0
    for j, source in enumerate(exact.sources):
        if exact.graph.n_tasks == 1:
            fitted = {(label,): model.emission_[j, label] for label in range(len(source.table) - 1)}
            fitted[(-1,)] = model.emission_[j, -1]
            canonical = source.events
        else:
            fitted = {
                tuple(s): row for s, row in zip(model.states_[j].tolist(), model.emission_[j], strict=True)
            }
            canonical = exact.graph.implied(exact.graph.event_masks(source.events))
        silent = (-1,) * exact.graph.n_tasks
        keys = [*map(tuple, canonical.tolist()), silent]
        for key, row in zip(keys, source.table, strict=True):
            worst = max(worst, np.abs(fitted[key] - row).max())
    return worst


def draw(rng, exact, n):
    """Items drawn from an exact model: votes as it gives them, and the index of each label vector."""
    cells = rng.choice(exact.joint.size, size=n, p=exact.joint.ravel() / exact.joint.sum())
    row, y = np.divmod(cells, exact.joint.shape[1])
    votes = exact.votes
    return ({task: table[row] for task, table in votes.items()} if isinstance(votes, dict) else votes[row]), y
