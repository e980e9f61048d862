"""Why labels and end models are as good as they are: what the gold of a problem says about votes and labels.

Gold is looked at here for the report alone; nothing of it enters an experiment.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import columns
import numpy as np
from experiments import with_votes
from numpy.typing import NDArray
from problem import Problem, kinds_of, rows_of
from sklearn.linear_model import LogisticRegression

import consilience as cs

N_BINS, N_CONFUSIONS = 10, 5


@dataclass(frozen=True)
class Cast:
    """The votes of one source, over all items."""

    items: NDArray[np.int64]
    right: NDArray[np.bool_]
    n_kinds: int


def reasons(problem: Problem, method: str) -> dict[str, Any]:
    """Shares in [0, 1] and counts by name, on the test items of the first trial where not said otherwise."""
    split = problem.split(0)
    test, gold = split.test, problem.vectors[split.test]
    votes = [of_source(problem, j) for j in range(len(problem.source_names))]
    voting = [v for v in votes if len(v.items)]
    accuracy = np.array([v.right.mean() for v in voting])
    labels = {
        "majority": columns.hierarchical_majority(problem, split.train, ties="open"),
        "joint": columns.joint(problem, split.train, method=method),
    }
    said = {name: rows_of(problem.graph, labeler.hard(test)) for name, labeler in labels.items()}
    model = fitted(cs.LabelModel(task_graph=problem.graph, method=method), problem, split.train)
    best = support(problem, test)
    right = best[np.arange(len(test)), gold]
    differ = said["joint"] != said["majority"]
    return {
        "votes an item": sum(len(v.items) for v in votes) / problem.n_items,
        "items without votes": 1 - len(with_votes(problem, test)) / len(test),
        "sources that cast one kind of vote": float(np.mean([v.n_kinds == 1 for v in voting])),
        "coverage of a source, median": float(np.median([len(v.items) for v in voting]) / problem.n_items),
        "accuracy of a source, median": float(np.median(accuracy)),
        "accuracy of a source, lowest tenth": float(np.quantile(accuracy, 0.1)),
        "votes right": float(np.concatenate([v.right for v in votes]).mean()),
        "votes right, development items": float(
            np.concatenate([v.right[np.isin(v.items, problem.dev)] for v in votes]).mean()
        ),
        "most votes for the truth alone": float(((right == best.max(axis=1)) & (ties(best) == 1)).mean()),
        "most votes for the truth and others": float(((right == best.max(axis=1)) & (ties(best) > 1)).mean()),
        "more votes for another": float((right < best.max(axis=1)).mean()),
        "majority right": float((said["majority"] == gold).mean()),
        "joint right": float((said["joint"] == gold).mean()),
        "joint right where they differ": share(said["joint"] == gold, differ),
        "majority right where they differ": share(
            said["majority"] == gold, said["joint"] != said["majority"]
        ),
        "tables fitted on gold": tables_on_gold(problem, split.train, test, gold),
        "logistic regression on votes and gold": regression_on_gold(problem, split.train, test, gold),
        "calibration error of joint": calibration_error(model.predict_joint(problem.votes_on(test)), gold),
        "confusions": confusions(problem, gold, said["joint"]),
    }


def of_source(problem: Problem, j: int) -> Cast:
    """Which items a source votes on, and where the true label vector agrees with the vote."""
    own = np.column_stack([problem.votes[task][:, j] for task in problem.graph.tasks])
    items, kinds, which = kinds_of(own)
    masks = problem.graph.event_masks(kinds)
    return Cast(items, masks[which, problem.vectors[items]], len(kinds))


def support(problem: Problem, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of votes that agree with each feasible label vector, (n, K)."""
    graph = problem.graph
    counts = np.zeros((len(items), graph.n_vectors), dtype=np.int64)
    for j in range(len(problem.source_names)):
        own = np.column_stack([problem.votes[task][items, j] for task in graph.tasks])
        rows, kinds, which = kinds_of(own)
        counts[rows] += graph.event_masks(kinds)[which]
    return counts


def ties(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many label vectors share the most votes."""
    return (counts == counts.max(axis=1, keepdims=True)).sum(axis=1)


def tables_on_gold(
    problem: Problem, train: NDArray[np.int64], test: NDArray[np.int64], gold: NDArray[np.int64]
) -> float:
    """Accuracy of the posterior of independent sources with tables counted on the gold of training items."""
    known = {task: labels[train] for task, labels in problem.gold.items()}
    model = fitted(cs.LabelModel(task_graph=problem.graph, method="em"), problem, train, y=known)
    return float((rows_of(problem.graph, model.predict(problem.votes_on(test))) == gold).mean())


def regression_on_gold(
    problem: Problem, train: NDArray[np.int64], test: NDArray[np.int64], gold: NDArray[np.int64]
) -> float:
    """Accuracy of a linear classifier that reads the votes and is trained on the gold of training items."""
    tables = [table[:, j] for table in problem.votes.values() for j in range(table.shape[1])]
    features = np.column_stack(
        [column == value for column in tables for value in np.unique(column) if value != cs.ABSTAIN]
    ).astype(np.float32)
    model = LogisticRegression(C=3.0, max_iter=200).fit(features[train], problem.vectors[train])
    return float((model.predict(features[test]) == gold).mean())


def calibration_error(joint: NDArray[np.float64], gold: NDArray[np.int64]) -> float:
    """Mean distance of confidence and accuracy of the most probable label vector, in bins of equal size."""
    confidence, right = joint.max(axis=1), joint.argmax(axis=1) == gold
    bins = np.array_split(np.argsort(confidence, kind="stable"), N_BINS)
    return float(sum(len(b) * abs(confidence[b].mean() - right[b].mean()) for b in bins) / len(gold))


def confusions(problem: Problem, gold: NDArray[np.int64], said: NDArray[np.int64]) -> list[str]:
    """The commonest errors: ``truth -> label (share of all errors)``."""
    wrong = Counter(zip(gold[gold != said].tolist(), said[gold != said].tolist(), strict=True))
    return [
        f"{name(problem, a)} → {name(problem, b)} ({count / wrong.total():.0%})"
        for (a, b), count in wrong.most_common(N_CONFUSIONS)
    ]


def name(problem: Problem, vector: int) -> str:
    """The finest classes of a label vector."""
    graph = problem.graph
    return "/".join(
        graph.classes[task][c]
        for task, c in zip(graph.tasks, graph.feasible_set[vector], strict=True)
        if graph.classes[task][c] != "N/A"
    )


def share(right: NDArray[np.bool_], where: NDArray[np.bool_]) -> float:
    """Accuracy on some of the items."""
    return float(right[where].mean()) if where.any() else float("nan")


def fitted(
    model: cs.LabelModel, problem: Problem, items: NDArray[np.int64], y: Mapping[str, Any] | None = None
) -> cs.LabelModel:
    """Fit on the votes of some items, without warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        return model.fit(problem.votes_on(items), y=y)
