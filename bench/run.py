"""Speed: our kernels beside the floor (reading the votes once), plain NumPy and plain Python.

    python bench/run.py [--quick] --out DIR

Every figure is a median over interleaved runs on this machine; compare the ratios, not the seconds. Writes
``results.json`` and ``table.md`` into DIR. Each case checks its own answer against the slow twin.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported: one thread for the reference

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import consilience as cs
from references import numpy_pairs, python_statistics


@dataclass(frozen=True)
class Case:
    """Sizes of one measurement."""

    name: str
    n_items: int
    n_sources: int
    n_classes: int
    abstain: float
    rivals: tuple[str, ...]


CASES = (
    Case("moments", 1_000_000, 10, 2, 0.7, ("numpy",)),
    Case("moments", 100_000, 10, 2, 0.7, ("numpy", "python")),
    Case("moments", 1_000_000, 50, 2, 0.7, ("numpy",)),
    Case("moments", 1_000_000, 50, 10, 0.9, ("numpy",)),
    Case("fit", 1_000_000, 10, 2, 0.7, ("numpy",)),
    Case("predict", 1_000_000, 10, 2, 0.7, ()),
)
QUICK = CASES[1:2]


def draw(case: Case) -> np.ndarray:
    """Votes of sources that are right on 60 to 95 % of their votes, int8."""
    rng = np.random.default_rng(20190127)
    label = rng.integers(0, case.n_classes, case.n_items)
    votes = np.empty((case.n_items, case.n_sources), dtype=np.int8)
    for j, accuracy in enumerate(rng.uniform(0.6, 0.95, case.n_sources)):
        wrong = (label + rng.integers(1, case.n_classes, case.n_items)) % case.n_classes
        votes[:, j] = np.where(rng.random(case.n_items) < accuracy, label, wrong)
        votes[rng.random(case.n_items) < case.abstain, j] = cs.ABSTAIN
    return votes


def workloads(case: Case, votes: np.ndarray) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the floor reads every byte once."""
    k = case.n_classes
    words = votes.ravel()[: votes.size // 8 * 8].view(np.uint64)
    work: dict[str, Callable[[], object]] = {"floor": words.max}
    fitted = cs.LabelModel(n_classes=k, method="moments", n_threads=1)
    if case.name == "predict":
        fitted.fit(votes)
        work["consilience"] = lambda: fitted.predict_proba(votes)
        return work
    if case.name == "fit":
        work["consilience"] = lambda: fitted.fit(votes)
    else:
        work["consilience"] = lambda: cs.VoteStatistics.of(votes, n_classes=k, n_threads=1)
    if "numpy" in case.rivals:
        work["numpy"] = lambda: numpy_pairs(votes, k)
    if "python" in case.rivals:
        rows = votes.tolist()
        work["python"] = lambda: python_statistics(rows)
    return work


def check(case: Case, votes: np.ndarray) -> None:
    """Our counts are those of the slow twin, on the first items."""
    k, part = case.n_classes, votes[:20_000]
    ours = cs.VoteStatistics.of(part, n_classes=k)
    nodes = ours.node_source * k + ours.node_event[:, 0]
    expected = numpy_pairs(part, k)
    slow = python_statistics(part[:1000].tolist())
    few = cs.VoteStatistics.of(part[:1000], n_classes=k)
    same = np.array_equal(ours.pairs, expected[np.ix_(nodes, nodes)]) and all(
        of_source.get(j, 0) == count
        for of_source, counts in (
            (slow["votes"], few.n_votes),
            (slow["overlaps"], few.n_overlaps),
            (slow["conflicts"], few.n_conflicts),
        )
        for j, count in enumerate(counts.tolist())
    )
    if not same:
        raise AssertionError(f"{case}: the counts differ from the reference")


def measure(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, the runs interleaved.

    A first run of each does not count. What takes less than 20 ms is run as often as fits into that, and the
    mean of these counts as one run: a clock and a cold cache would blur it otherwise.
    """
    times = {}
    for name, run in work.items():
        start = time.perf_counter()
        run()
        times[name] = max(1, int(0.02 / (time.perf_counter() - start + 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats):
        for name, run in work.items():
            if name == "python" and repeat >= 3:
                continue
            start = time.perf_counter()
            for _ in range(times[name]):
                run()
            seconds[name].append((time.perf_counter() - start) / times[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Run the cases and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the smallest case only")
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and table.md")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    results = []
    lines = ["| case | n | m | k | abstain | floor | ours | × floor | numpy ÷ ours | python ÷ ours |"]
    lines.append("|---" * 10 + "|")
    for case in QUICK if arguments.quick else CASES:
        votes = draw(case)
        check(case, votes)
        seconds = measure(workloads(case, votes), arguments.repeats)
        ours = seconds["consilience"]
        ratio = {name: seconds[name] / ours for name in ("numpy", "python") if name in seconds}
        floors = ours / seconds["floor"]
        results.append({**asdict(case), "seconds": seconds, "ratio": ratio, "floors": floors})
        cells = [case.name, f"{case.n_items:,}", case.n_sources, case.n_classes, case.abstain]
        cells += [f"{seconds['floor'] * 1e3:.2f} ms", f"{ours * 1e3:.2f} ms", f"{floors:.1f}"]
        cells += [f"{ratio[name]:,.0f}" if name in ratio else "" for name in ("numpy", "python")]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        print(lines[-1], flush=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    versions = {"consilience": cs.__version__, "numpy": np.__version__, "python": platform.python_version()}
    content = {"machine": machine, "versions": versions, "results": results}
    (arguments.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
