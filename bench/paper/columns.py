"""Ways to turn votes into training labels: the columns of the tables.

Each is fitted on the training items' votes and then labels items: soft labels for the end model, and
feasible hard labels to look at without one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from problem import Problem, decode, kinds_of

import consilience as cs

PRIOR_ACCURACY, PRIOR_VOTES, N_STEPS = 0.7, 10.0, 30
"""Data programming: the accuracy that EM starts from, how many votes it counts as, and when EM stops."""

LEAST = 0.01
"""Accuracies lie between this and one less this."""


Items = NDArray[np.int64]
SoftLabels = dict[str, NDArray[np.float64]]
HardLabels = dict[str, NDArray[np.int64]]
Cast = tuple[int, NDArray[np.bool_], Items]  # a source, the event it votes for, and the rows


@dataclass(frozen=True)
class Labeler:
    """What a column says about items, once it is fitted."""

    soft: Callable[[Items], SoftLabels]
    hard: Callable[[Items], HardLabels]


def gold(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The labels themselves, for the development items."""
    graph = problem.graph
    ks = dict(zip(graph.tasks, graph.cardinalities, strict=True))
    return Labeler(
        lambda items: {task: np.eye(ks[task])[problem.gold[task][items]] for task in graph.tasks},
        lambda items: {task: problem.gold[task][items] for task in graph.tasks},
    )


def hierarchical_majority(problem: Problem, train: Items, *, ties: str = "drawn") -> Labeler:
    """Majority votes down the task graph: on the first tasks first, then on those that still apply.

    A vote counts for every task that it speaks about. Ties, and tasks without votes, leave several vectors:
    one of them is drawn, so that every item has one label, as if-then rules would give it; or, with `ties`
    "open", the label is spread evenly over them.
    """
    graph = problem.graph
    votes = problem.implied_votes
    chance = np.random.default_rng(0).random(problem.n_items)

    def vectors(items: Items) -> NDArray[np.float64]:
        left = np.ones((len(items), graph.n_vectors), dtype=np.bool_)
        for task in parents_first(graph):
            r = graph.tasks.index(task)
            classes = np.arange(graph.cardinalities[r])
            counts = (votes[task][items][:, :, None] == classes).sum(axis=1)
            members = graph.feasible_set[:, r] == classes[:, None]
            counts[~(left @ members.T)] = -1  # what the choices so far rule out
            chosen = counts == counts.max(axis=1, keepdims=True)
            left &= chosen @ members
        if ties == "drawn":
            nth = np.floor(chance[items] * left.sum(axis=1)) + 1
            left &= left.cumsum(axis=1) == nth[:, None]
        return left / left.sum(axis=1, keepdims=True)

    return _of_vectors(graph, vectors)


def joint(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The joint label model."""
    model = _fitted(cs.LabelModel(task_graph=problem.graph, n_threads=1, **options), problem.votes_on(train))
    return Labeler(
        lambda items: model.predict_proba(problem.votes_on(items)),
        lambda items: model.predict(problem.votes_on(items)),
    )


def joint_given_balance(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The joint label model, told how frequent each label vector is: counted on the development items."""
    counts = np.bincount(problem.vectors[problem.dev], minlength=problem.graph.n_vectors) + 1
    return joint(problem, train, class_balance=counts / counts.sum(), **options)


def separate(problem: Problem, train: Items, **options: Any) -> Labeler:
    """A label model for each task alone.

    It is told what each vote implies for the task through the graph, and the share of each class among the
    feasible label vectors, so that it does not take "not applicable" for one class among equals.
    """
    graph = problem.graph
    votes = problem.implied_votes
    balance = graph.marginal(np.full((1, graph.n_vectors), 1 / graph.n_vectors))
    models = {
        task: _fitted(
            cs.LabelModel(n_classes=k, class_balance=balance[task][0], n_threads=1, **options),
            votes[task][train],
        )
        for task, k in zip(graph.tasks, graph.cardinalities, strict=True)
    }

    def soft(items: Items) -> SoftLabels:
        return {task: model.predict_proba(votes[task][items]) for task, model in models.items()}

    return Labeler(soft, lambda items: decode(graph, soft(items)))


def one_accuracy(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The joint label model, read with one accuracy a source whatever the class; silence says nothing."""
    graph = problem.graph
    model = _fitted(cs.LabelModel(task_graph=graph, n_threads=1, **options), problem.votes_on(train))
    accuracy = np.clip(model.accuracy_, LEAST, 1 - LEAST)
    return _of_vectors(
        graph,
        lambda items: _posterior(
            _cast(graph, problem.votes, items), len(items), accuracy, model.class_balance_
        ),
    )


def data_programming(problem: Problem, train: Items, **options: Any) -> Labeler:
    """Data programming: each task alone, one accuracy for each source by maximum likelihood, from EM.

    Silence says nothing. It is told what :func:`separate` is told.
    """
    graph = problem.graph
    votes = problem.implied_votes
    balance = graph.marginal(np.full((1, graph.n_vectors), 1 / graph.n_vectors))
    alone = {task: cs.TaskGraph({task: k}) for task, k in zip(graph.tasks, graph.cardinalities, strict=True)}
    accuracy = {}
    for task in graph.tasks:
        accuracy[task] = np.full(len(problem.source_names), PRIOR_ACCURACY)
        cast = _cast(alone[task], votes, train)
        for _ in range(N_STEPS):
            labels = _posterior(cast, len(train), accuracy[task], balance[task][0])
            right = np.full(len(accuracy[task]), PRIOR_ACCURACY * PRIOR_VOTES)
            total = np.full(len(accuracy[task]), PRIOR_VOTES)
            for j, event, rows in cast:
                right[j] += labels[rows][:, event].sum()
                total[j] += len(rows)
            accuracy[task] = np.clip(right / total, LEAST, 1 - LEAST)

    def soft(items: Items) -> SoftLabels:
        return {
            task: _posterior(_cast(alone[task], votes, items), len(items), accuracy[task], balance[task][0])
            for task in graph.tasks
        }

    return Labeler(soft, lambda items: decode(graph, soft(items)))


def _cast(graph: cs.TaskGraph, votes: Mapping[str, NDArray[np.int16]], items: Items) -> list[Cast]:
    """All votes on some items that tell something."""
    found = []
    for j in range(votes[graph.tasks[0]].shape[1]):
        own = np.column_stack([votes[task][items, j] for task in graph.tasks])
        rows, kinds, which = kinds_of(own)
        for i, event in enumerate(graph.event_masks(kinds)):
            if event.any() and not event.all():
                found.append((j, event, rows[which == i]))
    return found


def _posterior(
    cast: list[Cast], n: int, accuracy: NDArray[np.float64], balance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Probabilities of the feasible label vectors, (n, K), under one accuracy for each source.

    A vote of a source with accuracy ``a`` for an event of probability ``p`` multiplies the odds by
    ``(a / p) / ((1 - a) / (1 - p))``, whichever the event.
    """
    score = np.tile(np.log(balance), (n, 1))
    for j, event, rows in cast:
        a, p = accuracy[j], np.clip(balance[event].sum(), 1e-6, 1 - 1e-6)
        score[rows] += np.where(event, np.log(a / p), np.log((1 - a) / (1 - p)))
    score = np.exp(score - score.max(axis=1, keepdims=True))
    return score / score.sum(axis=1, keepdims=True)


def _of_vectors(graph: cs.TaskGraph, vectors: Callable[[Items], NDArray[np.float64]]) -> Labeler:
    """Labels from probabilities of feasible label vectors."""

    def hard(items: Items) -> HardLabels:
        best = vectors(items).argmax(axis=1)
        return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}

    return Labeler(lambda items: graph.marginal(vectors(items)), hard)


def parents_first(graph: cs.TaskGraph) -> list[str]:
    """Tasks in an order in which parents come before their children."""
    order: list[str] = []
    while len(order) < graph.n_tasks:
        order += [
            task
            for task in graph.tasks
            if task not in order and all(p in order for p, _ in (graph.parents or {}).get(task, ()))
        ]
    return order


def _fitted(model: cs.LabelModel, votes: Any) -> cs.LabelModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        return model.fit(votes)
