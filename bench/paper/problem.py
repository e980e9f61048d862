"""A problem: items with gold labels, a task graph, and the votes of its sources.

Gold labels serve three ends only: the development split, on which sources were written, the scores on the
test split, and what the reports say about sources. No label model sees them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import consilience as cs

Vote = Mapping[str, str]
Source = Callable[..., Vote]

DEV_SEED = 2019
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Items of one trial, as indices; the three do not meet."""

    dev: NDArray[np.int64]
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """Items, what is asked about them, and what the sources say.

    Attributes
    ----------
    texts : list of str, or (n, d) float array
        What the end model reads: texts, or a matrix of features.
    gold : {task: (n,) int array}
        Classes of each item, jointly feasible.
    votes : {task: (n, m) int array}
        ``-1`` abstains; the same sources in every table.
    dev : (n_dev,) int array
        The items whose gold was looked at.
    """

    name: str
    graph: cs.TaskGraph
    texts: Sequence[str] | NDArray[np.float32]
    gold: dict[str, NDArray[np.int64]]
    votes: dict[str, NDArray[np.int16]]
    source_names: tuple[str, ...]
    dev: NDArray[np.int64]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.texts)

    @cached_property
    def vectors(self) -> NDArray[np.int64]:
        """Gold as rows of the feasible set, (n,)."""
        return rows_of(self.graph, self.gold)

    @cached_property
    def implied_votes(self) -> dict[str, NDArray[np.int16]]:
        """Votes with all that the task graph makes of them: {task: (n, m)}."""
        graph = self.graph
        implied = {task: np.full(table.shape, cs.ABSTAIN, np.int16) for task, table in self.votes.items()}
        for j in range(len(self.source_names)):
            rows, kinds, which = kinds_of(np.column_stack([self.votes[task][:, j] for task in graph.tasks]))
            of_kind = graph.implied(graph.event_masks(kinds))
            for r, task in enumerate(graph.tasks):
                implied[task][rows, j] = of_kind[which, r]
        return implied

    def split(self, trial: int) -> Split:
        """The development items, and the rest drawn anew into train and test."""
        rest = np.setdiff1d(np.arange(self.n_items), self.dev)
        rest = np.random.default_rng([DEV_SEED, trial]).permutation(rest)
        n_test = round(TEST_SHARE * len(rest))
        return Split(self.dev, rest[n_test:], rest[:n_test])

    def votes_on(self, items: NDArray[np.int64]) -> cs.Votes:
        """Votes on some of the items."""
        tables = {task: table[items] for task, table in self.votes.items()}
        return cs.Votes.from_tasks(tables, task_graph=self.graph, source_names=self.source_names)


def kinds_of(
    votes: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.integer], NDArray[np.int64]]:
    """Items that one source votes on, its votes that differ, and which of them each item has.

    `votes` is (n, t), a column a task.
    """
    rows = np.flatnonzero((votes != cs.ABSTAIN).any(axis=1))
    kinds, which = np.unique(votes[rows], axis=0, return_inverse=True)
    return rows, kinds, which.reshape(-1)


def rows_of(graph: cs.TaskGraph, labels: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Rows of the feasible set that labels stand for; -1 for an infeasible combination."""
    row = {tuple(vector): index for index, vector in enumerate(graph.feasible_set.tolist())}
    table = np.column_stack([labels[task] for task in graph.tasks])
    return np.array([row.get(tuple(vector), -1) for vector in table.tolist()])


def decode(
    graph: cs.TaskGraph, probabilities: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.int64]]:
    """The feasible label vector with the largest product of the tasks' probabilities, as {task: (n,)}."""
    log_joint = sum(
        np.log(np.maximum(probabilities[task], 1e-12))[:, graph.feasible_set[:, r]]
        for r, task in enumerate(graph.tasks)
    )
    best = np.asarray(log_joint).argmax(axis=1)
    return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}


def gold_of(graph: cs.TaskGraph, labels: Iterable[Vote]) -> dict[str, NDArray[np.int64]]:
    """Class indices of named labels, one dict an item; a task it does not name is not applicable."""
    index = {task: {name: i for i, name in enumerate(names)} for task, names in graph.classes.items()}
    named = list(labels)
    return {task: np.array([index[task][label.get(task, "N/A")] for label in named]) for task in graph.tasks}


def apply(
    sources: Sequence[Source], graph: cs.TaskGraph, items: Iterable[str]
) -> dict[str, NDArray[np.int16]]:
    """Votes of the sources, item by item: {task: (n, m)}."""
    index = {task: {name: i for i, name in enumerate(names)} for task, names in graph.classes.items()}
    items = list(items)
    votes = {task: np.full((len(items), len(sources)), cs.ABSTAIN, dtype=np.int16) for task in graph.tasks}
    for i, item in enumerate(items):
        for j, source in enumerate(sources):
            for task, name in source(item).items():
                votes[task][i, j] = index[task][name]
    return votes


def development_items(n_items: int, size: int) -> NDArray[np.int64]:
    """The development split: the first items of one fixed order."""
    return np.sort(fixed_order(n_items)[:size])


def fixed_order(n_items: int) -> NDArray[np.int64]:
    """The order of which development splits are the beginning."""
    return np.random.default_rng(DEV_SEED).permutation(n_items)


def read_texts(folder: Path) -> list[str]:
    """Texts of a data set."""
    with gzip.open(folder / "texts.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def read_arrays(folder: Path) -> tuple[dict[str, NDArray[np.int64]], dict[str, list]]:
    """Arrays and description of a data set."""
    with np.load(folder / "labels.npz") as arrays:
        return dict(arrays), json.loads((folder / "meta.json").read_text(encoding="utf-8"))
