"""The end model: a multi-task classifier trained on soft labels, the same for every column of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

import consilience as cs

Soft = Mapping[str, NDArray[np.float64]]

GRID: tuple[dict[str, float], ...] = tuple({"penalty": p} for p in (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3))
"""What is tried on the development split, once for each column."""


def decode(graph: cs.TaskGraph, probabilities: Soft) -> dict[str, NDArray[np.int64]]:
    """The feasible label vector with the largest product of the tasks' probabilities, as {task: (n,)}."""
    log_joint = sum(
        np.log(np.maximum(probabilities[task], 1e-12))[:, graph.feasible_set[:, r]]
        for r, task in enumerate(graph.tasks)
    )
    best = np.asarray(log_joint).argmax(axis=1)
    return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}


class Features:
    """From items to what the end model reads, learned from all training items."""

    def __init__(self, texts: Sequence[str] | NDArray[np.float32], train: NDArray[np.int64]) -> None:
        if isinstance(texts, np.ndarray):
            self.matrix: Any = sp.csr_matrix(texts)
            return
        words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"[^\s]+")
        words.fit([texts[i] for i in train])
        self.matrix = words.transform(texts)


@dataclass(frozen=True)
class EndModel:
    """One softmax a task on a matrix of features."""

    graph: cs.TaskGraph
    weights: NDArray[np.float64]

    def predict(self, features: Any) -> dict[str, NDArray[np.int64]]:
        """Feasible labels, {task: (n,)}."""
        scores = np.asarray(_with_bias(features) @ self.weights)
        return decode(self.graph, {task: _softmax(scores[:, s]) for task, s in _heads(self.graph).items()})


def train(graph: cs.TaskGraph, features: Any, soft: Soft, setting: Mapping[str, float], seed: int) -> EndModel:
    """Least expected cross-entropy under the soft labels, mean over items, sum over tasks, with a ridge."""
    heads = _heads(graph)
    target = np.column_stack([soft[task] for task in graph.tasks])
    x = _with_bias(features)
    shape = (x.shape[1], target.shape[1])
    penalty = np.full((shape[0], 1), setting["penalty"])
    penalty[-1] = 0.0

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        scores = np.asarray(x @ weights)
        value = 0.5 * float((penalty * weights**2).sum())
        for s in heads.values():
            probabilities = _softmax(scores[:, s])
            value -= float((target[:, s] * np.log(np.maximum(probabilities, 1e-12))).sum()) / len(target)
            scores[:, s] = probabilities
        gradient = np.asarray(x.T @ (scores - target)) / len(target) + penalty * weights
        return value, gradient.ravel()

    start = np.zeros(shape).ravel()
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return EndModel(graph, found.x.reshape(shape))


def _heads(graph: cs.TaskGraph) -> dict[str, slice]:
    ends = np.cumsum(graph.cardinalities)
    return {
        task: slice(int(end) - k, int(end))
        for task, k, end in zip(graph.tasks, graph.cardinalities, ends, strict=True)
    }


def _with_bias(features: Any) -> Any:
    return sp.hstack([features, np.ones((features.shape[0], 1))]).tocsr()


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
