"""The demonstration: learn from bundled votes without gold, then score the labels against gold."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.datasets import DemoData, load_clinc, load_youtube
from consilience.label_model import LabelModel
from consilience.table import Table
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.votes import Votes

__all__ = ["best_vectors", "print_demo"]

_TRAIN, _TEST = 0, 2
_TIE = 1e-9  # scores closer than this are equal: the last bits of a sum depend on its order

_INTRODUCTION = (
    "Two data sets that ship with consilience. A model is fitted to the votes on the training items, without "
    "gold and by the default method. Its accuracies have 95 % intervals, which cover chance, not sources "
    "that depend on each other or break the model in another way. Gold of the test items, which no fit has "
    "seen, then scores sources and labels."
)
_SCORING = (
    "Scored on the {n_voted} of {n_test} test items that have a vote. Where label vectors tie for the first "
    "place, each counts an equal part, in both columns."
)
_NEXT = "On your own votes: consilience fit VOTES -o MODEL; see consilience --help."


def print_demo() -> None:
    """Print what is learned from each bundled data set, and how good the labels are."""
    print(_filled(_INTRODUCTION))
    _print_data_set(load_youtube())
    _print_data_set(load_clinc())
    print(f"\n{_NEXT}")


def best_vectors(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Weight of each label vector in a decision for the highest score: 1, shared equally among ties.

    Parameters
    ----------
    scores : (n, K) array
        Numbers of votes, or probabilities.

    Returns
    -------
    (n, K) float64 array
        Rows sum to 1.
    """
    best = scores >= scores.max(axis=1, keepdims=True) - _TIE
    weights: NDArray[np.float64] = best / best.sum(axis=1, keepdims=True)
    return weights


def _print_data_set(data: DemoData[Any]) -> None:
    graph = (
        TaskGraph.single(data.classes or ()) if data.tasks is None else TaskGraph(data.tasks, data.parents)
    )
    tables = data.votes if isinstance(data.votes, dict) else {graph.tasks[0]: data.votes}
    gold = data.gold if isinstance(data.gold, dict) else {graph.tasks[0]: data.gold}
    train, test = data.split == _TRAIN, data.split == _TEST

    def votes_on(items: NDArray[np.bool_]) -> Votes:
        chosen = {task: table[items] for task, table in tables.items()}
        return Votes.from_tasks(chosen, task_graph=graph, source_names=data.source_names)

    model = LabelModel(task_graph=graph).fit(votes_on(train))
    majority = LabelModel(task_graph=graph, method="majority").fit(votes_on(train))
    report = model.identifiability_

    vote_vectors = np.stack([tables[task][test] for task in graph.tasks], axis=2)
    truth = np.stack([gold[task][test] for task in graph.tasks], axis=1)
    has_vote = (vote_vectors != ABSTAIN).any(axis=(1, 2))
    true = truth[has_vote]
    decisions = {
        name: best_vectors(fitted.predict_joint(votes_on(test))[has_vote])
        for name, fitted in (("majority vote", majority), ("label model", model))
    }

    size = f"{graph.n_tasks} tasks" if graph.n_tasks > 1 else f"{graph.cardinalities[0]} classes"
    heading = f"{data.name}: {len(data.split)} items, {len(data.source_names)} sources, {size}"
    verdict = (
        f"Identifiable: {'yes' if report.identifiable else 'no'}, from {report.n_components} independent "
        f"groups of sources, {report.rank_in_words()}"
    )
    print(f"\n{heading}\n{'=' * len(heading)}")
    print(_filled(data.description))
    print(_filled(f"Licence {data.licence}. {data.attribution}"))
    print("\n" + "\n".join(_filled(sentence) for sentence in (verdict, *report.advice)))
    print(f"\n{_sources(model, vote_vectors, truth)}")
    print(f"\n{_scores(decisions, true, graph)}\n")
    print(_filled(_SCORING.format(n_voted=len(true), n_test=len(truth))))


def _sources(model: LabelModel, votes: NDArray[Any], truth: NDArray[Any]) -> Table:
    """Accuracy of each source as learned, beside the share of its votes on test items that are right."""
    learned = model.summary().columns
    says = votes != ABSTAIN
    n_votes = says.any(axis=2).sum(axis=0)
    right = says.any(axis=2) & (~says | (votes == truth[:, None])).all(axis=2)
    on_gold = [r / n if n else None for r, n in zip(right.sum(axis=0), n_votes, strict=True)]
    return Table(
        {
            "source": learned["source"],
            "coverage": learned["coverage"],
            "accuracy": learned["accuracy"],
            "interval": learned["interval"],
            "on gold": on_gold,
            "test votes": n_votes,
        }
    )


def _scores(decisions: dict[str, NDArray[np.float64]], truth: NDArray[Any], graph: TaskGraph) -> Table:
    """Share of items each way of labelling gets right: in each task and, with several, in all of them."""
    correct = graph.feasible_set == truth[:, None]  # item, vector, task
    right = {task: correct[:, :, r] for r, task in enumerate(graph.tasks)}
    if graph.n_tasks > 1:
        right["all tasks"] = correct.all(axis=2)
    shares = {
        name: [float((weights * of_task).sum(axis=1).mean()) for of_task in right.values()]
        for name, weights in decisions.items()
    }
    return Table({"accuracy on gold": list(right), **shares})


def _filled(text: str) -> str:
    return textwrap.fill(text, 80, break_on_hyphens=False)
