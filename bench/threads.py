"""Every kernel with one thread and with two, beside what two threads take to read and write the same bytes.

    python bench/threads.py [--quick] --out DIR [--cases WORD ...]

Runs are interleaved, figures are medians; give the cores a rest meanwhile. A kernel is as fast with two
threads as it should be if it is 1.8 times as fast as with one, or within 1.3 times of the floor: two threads
that read the votes and fill a fresh array of the size of the answer, in the same run. Writes ``threads.json``
and ``threads.md`` into DIR.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported

import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

import consilience as cs
from consilience import _core
from output import read_arguments, table_lines
from run import GRAPH, Case, draw, draw_sparse, in_tasks, in_words, machine

FAST, NEAR = 1.8, 1.3

Kernel = Callable[[int], object]
"""What is timed, with a number of threads."""


@dataclass(frozen=True)
class Votes:
    """Votes that kernels run on."""

    n_items: int
    n_sources: int
    n_classes: int = 2
    abstain: float = 0.7
    storage: str = "C"

    def drawn(self) -> Any:
        case = Case("", self.n_items, self.n_sources, self.n_classes, self.abstain)
        if self.storage == "CSR":
            return draw_sparse(case)
        votes = draw(case)
        return in_tasks(votes) if self.storage == "tasks" else np.asarray(votes, order=self.storage)


def classes(votes: Any, k: int) -> dict[str, Any]:
    """What votes are about."""
    return {"task_graph": GRAPH} if isinstance(votes, dict) else {"n_classes": k}


def statistics_of(votes: Any, k: int) -> tuple[Kernel, int]:
    about = classes(votes, k)
    return lambda n_threads: cs.VoteStatistics.of(votes, **about, n_threads=n_threads), 0


def triples_of(votes: np.ndarray, k: int) -> tuple[Kernel, int]:
    return (
        lambda n_threads: cs.VoteStatistics.of(votes, n_classes=k, triples=True, n_threads=n_threads),
        0,
    )


def expectation(votes: np.ndarray, k: int, *, distinct: bool) -> tuple[Kernel, int]:
    view = _core.VoteView([votes], *votes.shape, [k])
    coding = _core.StateCoding.of_one_task(k)
    of_state = np.random.default_rng(0).normal(size=(votes.shape[1], k + 1, k))
    of_state[:, 0] = 0.0
    base = np.zeros(k)
    if not distinct:
        return lambda n_threads: _core.expect_items(view, coding, of_state, base, n_threads=n_threads), 0
    patterns = _core.find_patterns(view, coding, None, n_threads=2)
    return lambda n_threads: _core.expect(patterns, of_state, base, n_threads=n_threads), 0


def patterns_of(votes: np.ndarray, k: int) -> tuple[Kernel, int]:
    view = _core.VoteView([votes], *votes.shape, [k])
    coding = _core.StateCoding.of_one_task(k)
    return lambda n_threads: _core.find_patterns(view, coding, None, n_threads=n_threads), 0


def fit(votes: Any, k: int, *, method: str, pairs: int = 0) -> tuple[Kernel, int]:
    options = {**classes(votes, k), "method": method, "class_balance": "uniform" if pairs else None}
    options["dependencies"] = [(2 * p, 2 * p + 1) for p in range(pairs)] or None
    return lambda n_threads: cs.LabelModel(n_threads=n_threads, **options).fit(votes), 0


def prediction(votes: Any, k: int, *, what: str) -> tuple[Kernel, int]:
    about, is_tasks = classes(votes, k), isinstance(votes, dict)
    part = {task: table[:100_000] for task, table in votes.items()} if is_tasks else votes[:100_000]
    models = {n: cs.LabelModel(**about, method="moments", n_threads=n).fit(part) for n in (1, 2)}
    n_items = len(next(iter(votes.values()))) if is_tasks else votes.shape[0]
    if what == "labels":
        return lambda n_threads: models[n_threads].predict(votes), 8 * n_items
    dtype = np.dtype(what)
    width = sum(GRAPH.cardinalities) if is_tasks else k
    answer = dtype.itemsize * width * n_items
    return lambda n_threads: models[n_threads].predict_proba(votes, dtype=dtype.type), answer


FEW, MANY = Votes(10_000_000, 10), Votes(10_000_000, 20)
BY_COLUMN = Votes(10_000_000, 10, storage="F")
CLASSES = Votes(1_000_000, 50, 10, 0.9)
WIDE = Votes(1_000_000, 100, abstain=0.9)
MANY_CLASSES = Votes(500_000, 20, 64, 0.7)
SPARSE = Votes(2_000_000, 100, abstain=0.95, storage="CSR")
TASKS = Votes(2_000_000, 12, 4, storage="tasks")
KERNELS: tuple[tuple[str, Votes, Callable[[Any, int], tuple[Kernel, int]]], ...] = (
    ("statistics", FEW, statistics_of),
    ("statistics", BY_COLUMN, statistics_of),
    ("statistics", Votes(1_000_000, 50), statistics_of),
    ("statistics", WIDE, statistics_of),
    ("statistics", CLASSES, statistics_of),
    ("statistics", MANY_CLASSES, statistics_of),
    ("statistics", SPARSE, statistics_of),
    ("statistics", TASKS, statistics_of),
    ("triples", MANY, triples_of),
    ("patterns, few", FEW, patterns_of),
    ("patterns, many", MANY, patterns_of),
    ("EM, distinct rows", MANY, partial(expectation, distinct=True)),
    ("EM, items", MANY, partial(expectation, distinct=False)),
    ("EM, items", CLASSES, partial(expectation, distinct=False)),
    ("EM, items", MANY_CLASSES, partial(expectation, distinct=False)),
    ("fit moments", FEW, partial(fit, method="moments")),
    ("fit moments, four pairs", FEW, partial(fit, method="moments", pairs=4)),
    ("fit auto", FEW, partial(fit, method="auto")),
    ("fit auto", MANY, partial(fit, method="auto")),
    ("predict_proba", FEW, partial(prediction, what="float64")),
    ("predict_proba", BY_COLUMN, partial(prediction, what="float64")),
    ("predict_proba float32", FEW, partial(prediction, what="float32")),
    ("predict_proba", WIDE, partial(prediction, what="float64")),
    ("predict_proba", CLASSES, partial(prediction, what="float64")),
    ("predict_proba", MANY_CLASSES, partial(prediction, what="float64")),
    ("predict_proba", SPARSE, partial(prediction, what="float64")),
    ("predict_proba", TASKS, partial(prediction, what="float64")),
    ("predict", FEW, partial(prediction, what="labels")),
)


def bytes_of(votes: Any) -> np.ndarray:
    """All that is read of votes, in one piece."""
    if isinstance(votes, dict):
        return np.stack(list(votes.values())).ravel()
    if not isinstance(votes, np.ndarray):
        return np.concatenate([part.view(np.uint8) for part in (votes.data, votes.indices, votes.indptr)])
    return votes.ravel(order="K")  # no copy


def floor(lies: np.ndarray, n_bytes: int, threads: ThreadPoolExecutor, n_threads: int) -> None:
    """Reads the votes and fills a fresh answer, an equal part on each thread."""
    words = lies[: lies.size // 8 * 8].view(np.uint64)
    answer = np.empty(n_bytes // 8)

    def do(read: np.ndarray, written: np.ndarray) -> None:
        read.max()
        np.copyto(written, 0.5)

    parts = zip(np.array_split(words, n_threads), np.array_split(answer, n_threads), strict=True)
    for done in [threads.submit(do, *part) for part in parts]:
        done.result()


def measure(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each; the runs are interleaved, and a first one of each does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats + 1):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


HEAD = (
    *("kernel", "n", "m", "k", "abstain", "order", "floor 1", "floor 2", "one thread", "two threads"),
    *("1 ÷ 2", "× floor 2", "as it should be"),
)


def row_of(name: str, votes: Votes, seconds: dict[str, float]) -> list[str]:
    """A line of the table."""
    gain, above = seconds["one"] / seconds["two"], seconds["two"] / seconds["floor 2"]
    cells = [name, f"{votes.n_items:,}", votes.n_sources, votes.n_classes, votes.abstain, votes.storage]
    cells += [in_words(seconds[which]) for which in ("floor 1", "floor 2", "one", "two")]
    cells += [f"{gain:.2f}", f"{above:.1f}", "yes" if gain >= FAST or above <= NEAR else "no"]
    return [str(cell) for cell in cells]


def main() -> None:
    """Run the kernels and write the results."""
    arguments = read_arguments(__doc__, quick="a hundredth of the items, to see that it runs", repeats=9)
    results, rows = [], []
    drawn: dict[Votes, Any] = {}
    with ThreadPoolExecutor(2) as threads:
        for name, votes, kernel_of in KERNELS:
            if not any(word in name for word in arguments.cases):
                continue
            if arguments.quick:
                votes = Votes(**{**asdict(votes), "n_items": votes.n_items // 100})
            if votes not in drawn:
                drawn = {votes: votes.drawn()}  # one at a time
            kernel, n_bytes = kernel_of(drawn[votes], votes.n_classes)
            lies = bytes_of(drawn[votes])
            work = {f"floor {n}": partial(floor, lies, n_bytes, threads, n) for n in (1, 2)}
            work |= {"one": partial(kernel, 1), "two": partial(kernel, 2)}
            seconds = measure(work, arguments.repeats)
            results.append({"kernel": name, **asdict(votes), "seconds": seconds})
            rows.append(row_of(name, votes, seconds))
            print("  ".join(rows[-1]), flush=True)
    lines = table_lines(HEAD, rows)
    print(*lines, sep="\n")
    content = {"machine": machine(), "results": results}
    (arguments.out / "threads.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "threads.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
