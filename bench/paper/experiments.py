"""The experiments on real items: what is trained and scored, trial by trial."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import columns
import numpy as np
from columns import HardLabels, Labeler
from numpy.typing import NDArray
from problem import Problem, Split

from end_model import GRID, EndModel, Trunk

JOINT = "Joint"
FOLDS = 3
SIZES = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)
Scores = dict[str, float]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Column:
    """A way to label, its name in the tables, and what it passes to the label model."""

    name: str
    labeler: Callable[..., Labeler]
    options: Mapping[str, Any] = field(default_factory=dict)
    items: str = "votes"
    """What the end model is trained on: training items with "votes", all of "train", or "dev"."""


def joint_column(method: str) -> Column:
    """The joint label model."""
    return Column(JOINT, columns.joint, {"method": method})


def table1_columns(method: str) -> tuple[Column, ...]:
    """Columns of Table 1, and last what the end model learns from the gold of all training items."""
    return (
        Column("Gold (dev)", columns.gold, items="dev"),
        Column("Majority vote", columns.hierarchical_majority),
        Column("Majority, ties open", columns.hierarchical_majority, {"ties": "open"}),
        Column("Task by task", columns.separate, {"method": method}),
        joint_column(method),
        Column("Gold (train)", columns.gold, items="train"),
    )


def ablation_columns(method: str) -> tuple[Column, ...]:
    """The joint label model, and the same with one thing less, or more."""
    return (
        joint_column(method),
        Column("Task by task", columns.separate, {"method": method}),
        Column("Abstentions missing", columns.joint, {"method": method, "abstentions": "missing"}),
        Column("Class balance given", columns.joint_given_balance, {"method": method}),
        Column("One accuracy a source", columns.one_accuracy, {"method": method}),
        Column("Data programming", columns.data_programming),
        Column("Dependencies learned", columns.joint, {"method": method, "dependencies": "learn"}),
    )


def compare(
    problem: Problem,
    chosen: Sequence[Column],
    trials: int,
    trunk: Trunk,
    known: Mapping[str, Any],
    report: Report,
) -> dict[str, Any]:
    """Scores of the labels themselves and of the end model trained on them, for each column and trial.

    The setting of the end model is chosen on the first trial, for all columns that are trained on items with
    votes by majority vote's labels: choices of their own would differ by chance more than the columns do.
    `known` holds what came out for columns in an earlier experiment. Their setting stands, trials that were
    run are not run again, and all of them are in the result, be they more than `trials`.
    """
    settings = {c.items: known[c.name]["setting"] for c in chosen if c.name in known}
    result: dict[str, Any] = {}
    for column in chosen:
        before = known.get(column.name, {})
        result[column.name] = {key: list(before.get(key, [])) for key in ("labels", "end model", "seconds")}
        if before:
            result[column.name]["setting"] = before["setting"]
    for trial in range(trials):
        split = problem.split(trial)
        missing = [column for column in chosen if len(result[column.name]["end model"]) <= trial]
        if not missing:
            continue
        network = EndModel(problem.graph, problem.texts, split.train, trunk)
        for column in missing:
            start = time.perf_counter()
            labeler = column.labeler(problem, split.train, **column.options)
            seconds = time.perf_counter() - start
            if column.items not in settings:
                by_votes = column.items == "votes"
                guide = columns.hierarchical_majority(problem, split.train) if by_votes else labeler
                settings[column.items] = choose(problem, split, network, column, guide)
            labels = end_labels(problem, split, network, column, labeler, settings[column.items], trial)
            of = result[column.name]
            of["setting"] = settings[column.items]
            of["seconds"].append(seconds)
            of["end model"].append(score(problem, labels, split.test))
            if column.items == "votes":
                of["labels"].append(score(problem, labeler.hard(split.test), split.test))
            own = f"labels {of['labels'][-1]['finest']:.3f}, " if of["labels"] else ""
            finest = of["end model"][-1]["finest"]
            report(
                f"{problem.name}, trial {trial}, {column.name}: {own}end model {finest:.3f} ({seconds:.1f} s)"
            )
    result["n_train"] = len(split.train)
    result["n_test"] = len(split.test)
    return result


def end_labels(
    problem: Problem,
    split: Split,
    network: EndModel,
    column: Column,
    labeler: Labeler,
    setting: Mapping[str, float],
    seed: int,
) -> HardLabels:
    """What the end model, trained on a column's labels, says about the test items."""
    items = items_of(problem, split, column)
    model = network.fit(items, labeler.soft(items), setting, seed)
    return model.predict(network.items[split.test])


def choose(
    problem: Problem, split: Split, network: EndModel, column: Column, labeler: Labeler
) -> dict[str, float]:
    """Setting of the end model that is best on the development split; to gold labels by cross-validation."""
    if column.items == "dev":
        fold = np.random.default_rng(0).permutation(len(split.dev)) % FOLDS
        parts = [(split.dev[fold != f], split.dev[fold == f]) for f in range(FOLDS)]
    else:
        parts = [(items_of(problem, split, column), split.dev)]
    soft = [labeler.soft(items) for items, _ in parts]

    def quality(setting: Mapping[str, float]) -> float:
        right = 0.0
        for (items, held_out), labels in zip(parts, soft, strict=True):
            model = network.fit(items, labels, setting, 0)
            right += score(problem, model.predict(network.items[held_out]), held_out)["finest"] * len(
                held_out
            )
        return right / len(split.dev)

    return dict(max(GRID, key=quality))


def sizes(
    problem: Problem,
    column: Column,
    setting: Mapping[str, float],
    trials: int,
    trunk: Trunk,
    known: Sequence[Mapping[str, Any]],
    report: Report,
) -> list[dict[str, Any]]:
    """Figure 5: scores against the number of unlabeled items.

    Trials that `known` holds with the same setting are not run again, and all of them are in the result.
    """
    rows = [dict(row) for row in known if row.get("setting", setting) == setting]
    for trial in sorted(set(range(trials)) - {row["trial"] for row in rows}):
        split = problem.split(trial)
        network = EndModel(problem.graph, problem.texts, split.train, trunk)
        for n in [*(s for s in SIZES if s < len(split.train)), len(split.train)]:
            part = Split(split.dev, split.train[:n], split.test)
            labeler = column.labeler(problem, part.train, **column.options)
            labels = end_labels(problem, part, network, column, labeler, setting, trial)
            rows.append(
                {
                    "trial": trial,
                    "n": n,
                    "setting": dict(setting),
                    "labels": score(problem, labeler.hard(split.test), split.test)["finest"],
                    "end model": score(problem, labels, split.test)["finest"],
                }
            )
            own, end = rows[-1]["labels"], rows[-1]["end model"]
            report(f"{problem.name}, trial {trial}, n = {n}: labels {own:.3f}, end model {end:.3f}")
    return rows


def items_of(problem: Problem, split: Split, column: Column) -> NDArray[np.int64]:
    """Items that the end model of a column is trained on."""
    if column.items == "dev":
        return split.dev
    return split.train if column.items == "train" else with_votes(problem, split.train)


def with_votes(problem: Problem, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the items on which some source votes."""
    voted = np.any([(table[items] >= 0).any(axis=1) for table in problem.votes.values()], axis=0)
    return items[voted]


def score(problem: Problem, labels: HardLabels, items: NDArray[np.int64]) -> Scores:
    """Accuracy in each task, and of the whole label vector ("finest")."""
    right = {task: labels[task] == problem.gold[task][items] for task in problem.graph.tasks}
    finest = np.all(list(right.values()), axis=0)
    return {"finest": float(finest.mean())} | {task: float(r.mean()) for task, r in right.items()}
