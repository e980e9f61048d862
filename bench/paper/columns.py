"""Ways to turn votes into training labels: the columns of the tables.

Each is fitted on the training items' votes and then labels items: soft labels for the end model, and
feasible hard labels to look at without one.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from problem import Problem, decode

import consilience as cs

Items = NDArray[np.int64]
SoftLabels = dict[str, NDArray[np.float64]]
HardLabels = dict[str, NDArray[np.int64]]


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


def hierarchical_majority(problem: Problem, train: Items, **options: Any) -> Labeler:
    """Majority votes down the task graph: on the first tasks first, then on those that still apply.

    A vote counts for every task that it speaks about. Ties, and tasks without votes, stay open, and the label
    is spread evenly over the vectors that remain.
    """
    graph = problem.graph
    votes = implied_votes(problem)

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
        return left / left.sum(axis=1, keepdims=True)

    def hard(items: Items) -> HardLabels:
        best = vectors(items).argmax(axis=1)
        return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}

    return Labeler(lambda items: graph.marginal(vectors(items)), hard)


def majority(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The package's majority vote: shares of votes, each spread over the vectors it agrees with."""
    return joint(problem, train, method="majority")


def joint(problem: Problem, train: Items, **options: Any) -> Labeler:
    """The joint label model."""
    model = _fitted(cs.LabelModel(task_graph=problem.graph, n_threads=1, **options), problem.votes_on(train))
    return Labeler(
        lambda items: model.predict_proba(problem.votes_on(items)),
        lambda items: model.predict(problem.votes_on(items)),
    )


def separate(problem: Problem, train: Items, **options: Any) -> Labeler:
    """A label model for each task alone.

    It is told what each vote implies for the task through the graph, and the share of each class among the
    feasible label vectors, so that it does not take "not applicable" for one class among equals.
    """
    graph = problem.graph
    votes = implied_votes(problem)
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
    """The joint label model without class-conditional accuracies: one for each source, silence says nothing.

    A vote of a source with accuracy ``a`` for an event of probability ``p`` multiplies the odds by
    ``(a / p) / ((1 - a) / (1 - p))``, whichever the event.
    """
    graph = problem.graph
    model = _fitted(cs.LabelModel(task_graph=graph, n_threads=1, **options), problem.votes_on(train))
    accuracy = np.clip(model.accuracy_, 0.01, 0.99)

    def vectors(items: Items) -> NDArray[np.float64]:
        score = np.tile(np.log(model.class_balance_), (len(items), 1))
        for j, a in enumerate(accuracy):
            own = np.column_stack([problem.votes[task][items, j] for task in graph.tasks])
            kinds, which = np.unique(own, axis=0, return_inverse=True)
            masks = graph.event_masks(kinds)
            p = np.clip(masks @ model.class_balance_, 1e-6, 1 - 1e-6)[:, None]
            added = np.where(masks, np.log(a / p), np.log((1 - a) / (1 - p)))
            score += np.where((kinds == cs.ABSTAIN).all(axis=1)[:, None], 0.0, added)[which.reshape(-1)]
        score = np.exp(score - score.max(axis=1, keepdims=True))
        return score / score.sum(axis=1, keepdims=True)

    def hard(items: Items) -> HardLabels:
        best = vectors(items).argmax(axis=1)
        return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}

    return Labeler(lambda items: graph.marginal(vectors(items)), hard)


def implied_votes(problem: Problem) -> dict[str, NDArray[np.int64]]:
    """Votes with all that the task graph makes of them: {task: (n, m)}."""
    graph = problem.graph
    implied = {task: np.empty(table.shape, dtype=np.int16) for task, table in problem.votes.items()}
    for j in range(len(problem.source_names)):
        own = np.column_stack([problem.votes[task][:, j] for task in graph.tasks])
        kinds, which = np.unique(own, axis=0, return_inverse=True)
        of_kind = graph.implied(graph.event_masks(kinds))
        for r, task in enumerate(graph.tasks):
            implied[task][:, j] = of_kind[which.reshape(-1), r]
    return implied


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


def accepts(**options: Any) -> bool:
    """Whether the label model takes these options."""
    try:
        model = cs.LabelModel(n_classes=2, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rng = np.random.default_rng(0)
            model.fit(rng.integers(0, 2, (200, 5)))
    except (cs.ConsilienceError, TypeError):
        return False
    return set(options) <= set(inspect.signature(cs.LabelModel).parameters)


def _fitted(model: cs.LabelModel, votes: Any) -> cs.LabelModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        return model.fit(votes)
