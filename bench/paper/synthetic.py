"""Figure 4, on votes drawn from a known model: error against the number of items, dependencies, and time."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from gibbs import accuracies_by_gibbs
from numpy.typing import NDArray

import consilience as cs

SIZES = (300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
DEPENDENT_SIZES = SIZES[1:6]
TIMED_SIZES = (1_000, 10_000, 100_000)
BALANCED: Mapping[str, Any] = {"n_classes": 2, "class_balance": "uniform"}
Report = Callable[[str], None]

HIERARCHY = cs.TaskGraph(
    {"kind": ["person", "org"], "person_type": ["doctor", "other"], "org_type": ["hospital", "other"]},
    parents={"person_type": ("kind", "person"), "org_type": ("kind", "org")},
)
"""The task graph of the paper's example, with four feasible label vectors."""


def error_against_n(trials: int, known: Sequence[Mapping[str, Any]], report: Report) -> list[dict[str, Any]]:
    """Mean absolute error of accuracies in a hierarchy, for sources that vote on one task each or abstain.

    Trials that `known` holds are not run again, and all of them are in the result.
    """
    rows = [dict(row) for row in known]
    for trial in sorted(set(range(trials)) - {row["trial"] for row in rows}):
        rng = np.random.default_rng([4, trial])
        truth = rng.uniform(0.6, 0.9, 12)
        for n in SIZES:
            votes = hierarchical_votes(truth, n, rng)
            for method in ("moments", "completion", "em"):
                model = fit(votes, task_graph=HIERARCHY, class_balance="uniform", method=method)
                error = float(np.abs(model.accuracy_ - truth).mean())
                rows.append({"trial": trial, "n": n, "method": method, "error": error})
            report(f"trial {trial}, n = {n}: error {rows[-1]['error']:.4f} by {method}")
    return rows


def hierarchical_votes(
    truth: NDArray[np.float64], n: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int8]]:
    """Votes of sources of which a third each speak about one of the three tasks, on 70 % of the items.

    A source is right with its accuracy; otherwise it names one of the task's other classes, all as probable.
    """
    labels = HIERARCHY.feasible_set[rng.integers(0, HIERARCHY.n_vectors, n)]
    tables = {task: np.full((n, len(truth)), cs.ABSTAIN, dtype=np.int8) for task in HIERARCHY.tasks}
    for j, accuracy in enumerate(truth):
        r = j % HIERARCHY.n_tasks
        k = HIERARCHY.cardinalities[r]
        wrong = (labels[:, r] + rng.integers(1, k, n)) % k
        vote = np.where(rng.random(n) < accuracy, labels[:, r], wrong)
        tables[HIERARCHY.tasks[r]][:, j] = np.where(rng.random(n) < 0.7, vote, cs.ABSTAIN)
    return tables


def error_with_dependencies(
    trials: int, known: Sequence[Mapping[str, Any]], report: Report
) -> list[dict[str, Any]]:
    """Error of twelve binary sources of which four pairs share votes: ignored, given, and learned.

    Trials that `known` holds are not run again, and all of them are in the result.
    """
    pairs = [(2 * i, 2 * i + 1) for i in range(4)]
    ways: dict[str, Any] = {"ignored": (), "given": pairs, "learned": "learn"}
    rows = [dict(row) for row in known]
    for trial in sorted(set(range(trials)) - {row["trial"] for row in rows}):
        rng = np.random.default_rng([5, trial])
        own = rng.uniform(0.6, 0.85, 12)
        for n in DEPENDENT_SIZES:
            y = rng.integers(0, 2, n)
            votes = np.where(rng.random((n, 12)) < own, y[:, None], 1 - y[:, None]).astype(np.int8)
            truth = own.copy()
            for i, j in pairs:
                votes[:, j] = np.where(rng.random(n) < 0.6, votes[:, i], votes[:, j])
                truth[j] = 0.6 * own[i] + 0.4 * own[j]
            for way, dependencies in ways.items():
                model = fit(votes, **BALANCED, dependencies=dependencies)
                error = float(np.abs(model.accuracy_ - truth).mean())
                rows.append({"trial": trial, "n": n, "dependencies": way, "error": error})
            report(f"trial {trial}, n = {n}: error {rows[-1]['error']:.4f}, dependencies {way}")
    return rows


def time_against_n(report: Report, repeats: int = 5) -> list[dict[str, Any]]:
    """Seconds to fit ten binary sources, beside training by Gibbs sampling; and the error of each.

    Gibbs sampling presumes balanced classes. So do the fits beside it, but for one that learns the balance.
    """
    rows = []
    for n in TIMED_SIZES:
        rng = np.random.default_rng([6, n])
        truth = rng.uniform(0.6, 0.9, 10)
        y = rng.integers(0, 2, n)
        votes = np.where(rng.random((n, 10)) < truth, y[:, None], 1 - y[:, None]).astype(np.int8)
        votes[rng.random((n, 10)) < 0.3] = cs.ABSTAIN
        row: dict[str, Any] = {"n": n}
        for name, run in {
            "moments": lambda v=votes: fit(v, **BALANCED, method="moments").accuracy_,
            "em": lambda v=votes: fit(v, **BALANCED, method="em").accuracy_,
            "moments, balance learned": lambda v=votes: fit(v, n_classes=2, method="moments").accuracy_,
            "Gibbs sampling": lambda v=votes: accuracies_by_gibbs(v),
        }.items():
            seconds, found = timed(run, 1 if name == "Gibbs sampling" else repeats)
            row[name] = {"seconds": seconds, "error": float(np.abs(found - truth).mean())}
        rows.append(row)
        report(f"n = {n}: " + ", ".join(f"{k} {v['seconds']:.4f} s" for k, v in row.items() if k != "n"))
    return rows


def timed(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds of some runs, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def fit(votes: Any, **options: Any) -> cs.LabelModel:
    """A fitted label model, on one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        return cs.LabelModel(n_threads=1, **options).fit(votes)
