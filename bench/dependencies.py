"""Dependencies learned without labels: what is found of planted ones, what is made up, and what it brings.

    python bench/dependencies.py [--quick] [--classes 2 4] [--sources 10 20] [--trials 100] --out DIR

Sources of a pair, chain or star copy each other on 30 to 70 % of the items (abstentions too). For each case:
the share of planted dependencies found, of draws with a dependency between independent sources, and of draws
with a pair of one group kept that depends on each other through others only; then accuracy and negative
log-likelihood of the labels (of the first draws) with independent sources, with the planted and with the
learned dependencies.
Writes ``results.json`` and ``table.md`` into DIR.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported

import argparse
import itertools
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import consilience as cs
from truths import draw_votes

N_ITEMS = 10_000
N_LABELLED = 10
"""Draws of each case whose labels are compared."""

KINDS = ("one coin", "tied", "always votes", "free", "one-sided")
STRUCTURES = {
    "none": [],
    "pairs": [(0, 1), (2, 3), (4, 5)],
    "chain": [(0, 1), (1, 2), (2, 3)],
    "star": [(0, 1), (0, 2), (0, 3)],
}


def source_table(rng: np.random.Generator, kind: str, k: int) -> np.ndarray:
    """``P(state | Y)`` of a source, (k + 1, k), the abstention last."""
    if kind == "free":
        return np.column_stack([rng.dirichlet(1 + 4 * np.eye(k + 1)[y] + np.eye(k + 1)[k]) for y in range(k)])
    if kind == "one-sided":
        table, own = np.zeros((k + 1, k)), rng.integers(k)
        precision, coverage = rng.uniform(0.6, 0.95), rng.uniform(0.1, 0.4)
        table[own] = coverage * (1 - precision) * k / (k - 1) / 1.5
        table[own, own] = coverage * precision * k / 1.5
    else:
        coverage = 1.0 if kind == "always votes" else rng.uniform(0.3, 0.9)
        accuracy = rng.uniform(0.55, 0.85)
        right, wrong = np.full(k, coverage * accuracy), np.full(k, coverage * (1 - accuracy) / (k - 1))
        if kind == "tied":
            right, wrong = right * rng.uniform(0.7, 1.3, k), wrong * rng.uniform(0.6, 1.4, k)
        table = np.vstack([np.where(np.eye(k) > 0, right[:, None], wrong[:, None]), np.zeros((1, k))])
        table *= min(1.0, 1 / table.sum(axis=0).max())
    table[k] = 1 - table[:k].sum(axis=0)
    return table


def draw(
    seed: int, kind: str, k: int, m: int, edges: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes, labels and class balance."""
    rng = np.random.default_rng(seed)
    balance = rng.dirichlet(np.full(k, 8.0))
    tables = [source_table(rng, kind, k) for _ in range(m)]
    y = rng.choice(k, N_ITEMS, p=balance)
    votes = draw_votes(rng, tables, y)
    for i, j in edges:
        copied = rng.random(N_ITEMS) < rng.uniform(0.3, 0.7)
        votes[copied, j] = votes[copied, i]
    return votes, y, balance


def trial(seed: int, kind: str, k: int, m: int, edges: list[tuple[int, int]], method: str | None) -> dict:
    """What one draw shows; with a method, also of the labels."""
    votes, y, balance = draw(seed, kind, k, m, edges)
    start = time.perf_counter()
    found = set(cs.learn_dependencies(votes, n_classes=k, n_threads=1).pairs)
    seconds = time.perf_counter() - start
    ends = {source for edge in edges for source in edge}
    group = set(itertools.combinations(ends, 2)) if len(ends) <= len(edges) + 1 else set()  # all connected
    result = {
        "found": len(found & set(edges)),
        "planted": len(edges),
        "false": len(found - set(edges) - group),
        "transitive": len(found & group - set(edges)),
        "seconds": seconds,
    }
    fits: dict[str, Any] = {"ignored": [], "planted": edges, "learned": "learn"} if method and edges else {}
    for name, given in fits.items():
        model = cs.LabelModel(
            n_classes=k, class_balance=balance, dependencies=given, method=method, n_threads=1
        ).fit(votes)
        right = model.predict_proba(votes)[np.arange(len(y)), y]
        result[f"accuracy {name}"] = float((model.predict(votes) == y).mean())
        result[f"nll {name}"] = float(-np.log(np.maximum(right, 1e-12)).mean())
    return result


def main() -> None:
    """Run the cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="k = 2 and 10 sources, 5 draws")
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--sources", type=int, nargs="+", default=[10, 20])
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and table.md")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--method", default="auto", help="of the fits whose labels are compared")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", cs.ConsilienceWarning)

    head = ["k", "m", "sources", "planted", "found", "draws with a false pair", "with a transitive one"]
    head += ["accuracy: ignored", "planted", "learned", "NLL: ignored", "planted", "learned", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    results = []
    n_trials = 5 if arguments.quick else arguments.trials
    for k, m in [(2, 10)] if arguments.quick else itertools.product(arguments.classes, arguments.sources):
        for kind, (structure, edges) in itertools.product(KINDS, STRUCTURES.items()):
            if kind == "free" and k == 2:
                continue  # as tied
            methods = [arguments.method if s < N_LABELLED else None for s in range(n_trials)]
            draws = [trial(s, kind, k, m, edges, method) for s, method in enumerate(methods)]
            mean = {name: float(np.mean([d[name] for d in draws if name in d])) for name in draws[0]}
            false = float(np.mean([d["false"] > 0 for d in draws]))
            transitive = float(np.mean([d["transitive"] > 0 for d in draws]))
            planted = sum(d["planted"] for d in draws)
            share = sum(d["found"] for d in draws) / planted if planted else None
            results.append(
                {"k": k, "m": m, "sources": kind, "structure": structure, "found_share": share}
                | {"false_share": false, "transitive_share": transitive, "mean": mean, "trials": len(draws)}
            )
            cells = [k, m, kind, structure, "" if share is None else f"{share:.1%}"]
            cells += [f"{false:.1%}", f"{transitive:.1%}"]
            cells += [
                f"{mean[f'{figure} {name}']:.4f}" if edges else ""
                for figure in ("accuracy", "nll")
                for name in ("ignored", "planted", "learned")
            ]
            lines.append("| " + " | ".join(map(str, [*cells, f"{mean['seconds']:.2f}"])) + " |")
            print(lines[-1], flush=True)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
