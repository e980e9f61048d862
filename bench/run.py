"""Speed and memory beside the floor (reading the votes once), plain NumPy, plain Python and other packages.

    python bench/run.py [--quick] --out DIR [--cases WORD ...]

Every figure is a median over interleaved runs on this machine, in one thread unless it says otherwise;
compare the ratios, not the seconds, and give the cores a rest meanwhile. Counts are checked against the slow
twins first. Packages of ``peers.py`` are measured where they are installed. The cases "solver, ..." begin at
the moments and stand in a table of their own, beside the seconds that they may take; the cases "growth, ..."
show time against items, sources, classes and stored votes. Writes ``results.json``, ``table.md`` and, where
matplotlib is installed, ``growth.png`` into DIR.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported: one thread for the references

import importlib.metadata
import importlib.util
import json
import platform
import re
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import consilience as cs
from consilience import _core
from output import pyplot, read_arguments, table_lines
from peers import installed
from references import numpy_fit, numpy_pairs, numpy_posterior, python_statistics
from solver import SOLVER_CASES, Answer, SolverCase, draw_moments, solve

Work = dict[str, Callable[[], object]]

MOST_DRAWN = 10_000_000

LONGEST = 10.0
"""Seconds that all repeats of one workload may take; it runs once whatever it takes."""


@dataclass(frozen=True)
class Case:
    """What is measured, on how many votes, and beside what."""

    name: str
    n_items: int
    n_sources: int
    n_classes: int = 2
    abstain: float = 0.7
    rivals: tuple[str, ...] = ()


ALL = ("snorkel", "crowdkit", "flyingsquid")
CASES = (
    Case("moments", 10_000_000, 10, rivals=("numpy",)),
    Case("moments", 1_000_000, 10, rivals=("numpy",)),
    Case("moments", 100_000, 10, rivals=("numpy", "python")),
    Case("moments", 1_000_000, 50, rivals=("numpy",)),
    Case("moments", 1_000_000, 100, abstain=0.9),
    Case("moments", 1_000_000, 50, 10, 0.9, ("numpy",)),
    Case("fit moments", 1_000_000, 10, rivals=("numpy", "snorkel", "flyingsquid")),
    Case("fit moments", 1_000_000, 50, rivals=("numpy", "snorkel")),
    Case("fit moments, uniform", 1_000_000, 10, rivals=("numpy", "snorkel", "flyingsquid")),
    Case("fit moments, uniform", 1_000_000, 50, rivals=("numpy", "snorkel")),
    Case("fit auto", 1_000_000, 10, rivals=ALL),
    Case("fit auto", 10_000_000, 20, rivals=("snorkel",)),
    Case("predict_proba", 10_000_000, 10, rivals=("numpy", "snorkel")),
    Case("predict_proba", 1_000_000, 100, abstain=0.9, rivals=("numpy", "snorkel")),
    Case("predict_proba", 1_000_000, 50, 10, 0.9, ("numpy",)),
    Case("predict", 10_000_000, 10),
    Case("fit moments", 1000, 10, rivals=("numpy", "snorkel")),
    Case("fit auto", 1000, 10, rivals=ALL),
    Case("predict_proba", 1, 10),
    Case("fit moments, 3 tasks", 1_000_000, 12, 4, rivals=("numpy", "metal")),
    Case("fit moments, uniform, 3 tasks", 1_000_000, 12, 4, rivals=("numpy", "metal")),
    Case("predict_proba, 3 tasks", 1_000_000, 12, 4, rivals=("numpy", "metal")),
)
QUICK = (
    Case("moments", 100_000, 10, rivals=("numpy", "python")),
    Case("fit moments", 100_000, 10, rivals=("numpy", *ALL[:1])),
    Case("fit auto", 100_000, 10, rivals=ALL[:1]),
    Case("predict_proba", 100_000, 10, rivals=("numpy", *ALL[:1])),
    Case("predict_proba", 1, 10),
)
GROWTH = {
    "items": [Case("", n, 10) for n in (1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)],
    "sources": [Case("", 200_000, m) for m in (5, 10, 20, 50, 100, 200)],
    "classes": [Case("", 200_000, 20, k) for k in (2, 4, 8, 16, 32, 64)],
    "stored votes": [Case("", n, 100, abstain=0.95) for n in (20_000, 60_000, 200_000, 600_000, 2_000_000)],
}
QUICK_GROWTH = {"items": GROWTH["items"][:3]}
FIXED = {
    "items": "10 sources, 2 classes",
    "sources": "200,000 items, 2 classes",
    "classes": "200,000 items, 20 sources",
    "stored votes": "CSR: 100 sources, 5 votes an item",
}


def draw(case: Case) -> np.ndarray:
    """Votes of sources that are right on 60 to 95 % of their votes, int8; those of so many items repeat."""
    times = -(-case.n_items // MOST_DRAWN)
    if times > 1:
        return np.tile(draw(replace(case, n_items=case.n_items // times)), (times, 1))
    rng = np.random.default_rng(20190127)
    label = rng.integers(0, case.n_classes, case.n_items)
    votes = np.empty((case.n_items, case.n_sources), dtype=np.int8)
    for j, accuracy in enumerate(rng.uniform(0.6, 0.95, case.n_sources)):
        wrong = (label + rng.integers(1, case.n_classes, case.n_items)) % case.n_classes
        votes[:, j] = np.where(rng.random(case.n_items) < accuracy, label, wrong)
        votes[rng.random(case.n_items) < case.abstain, j] = cs.ABSTAIN
    return votes


def error_of(probabilities: Any, case: Case, votes: np.ndarray) -> float:
    """Mean total variation between labels and those by the truth that `draw` drew these first items from."""
    rng = np.random.default_rng(20190127)
    rng.integers(0, case.n_classes, case.n_items)
    accuracy = rng.uniform(0.6, 0.95, case.n_sources)
    voted = votes >= 0
    right = np.log(accuracy * (case.n_classes - 1) / (1 - accuracy))
    score = np.stack(
        [np.where(voted & (votes == label), right, 0.0).sum(axis=1) for label in range(case.n_classes)],
        axis=1,
    )
    truth = np.exp(score - score.max(axis=1, keepdims=True))
    truth /= truth.sum(axis=1, keepdims=True)
    return float(np.abs(np.asarray(probabilities) - truth).sum(axis=1).mean() / 2)


def errors(case: Case, work: Work) -> dict[str, float]:
    """Of the labels of the first items, by name of the fit; of those that say no more than once."""
    if case.name != "fit auto" or not case.rivals:
        return {}
    first = draw(case)[:100_000]
    fitted = {name: work[name]() for name in work if name == "consilience" or name in ALL}
    found = {}
    for name, fit in fitted.items():
        predict = fit.predict_proba if name == "consilience" else fit
        found[name] = error_of(np.asarray(predict(first))[: len(first)], case, first)
    return found


GRAPH = cs.TaskGraph(
    {"kind": ["person", "place"], "person": ["doctor", "lawyer"], "place": ["hospital", "office"]},
    parents={"person": ("kind", "person"), "place": ("kind", "place")},
)


def draw_sparse(case: Case) -> Any:
    """The same as a CSR matrix that stores ``label + 1``, with equally many votes on each item."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(20190127)
    n, m, votes = case.n_items, case.n_sources, round(case.n_sources * (1 - case.abstain))
    apart = m // votes  # each vote from sources of its own: in order, and none twice
    source = rng.integers(0, apart, (n, votes)) + apart * np.arange(votes)
    label = rng.integers(0, case.n_classes, (n, 1))
    wrong = (label + rng.integers(1, case.n_classes, (n, votes))) % case.n_classes
    right = rng.random((n, votes)) < rng.uniform(0.6, 0.95, m)[source]
    stored = (np.where(right, label, wrong) + 1).astype(np.int8).ravel()
    return csr_array((stored, source.astype(np.int32).ravel(), np.arange(n + 1) * votes), shape=(n, m))


def in_tasks(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Votes on label vectors as votes on three tasks: of an item, a source votes on all three or on none."""
    labels = np.vstack([GRAPH.feasible_set, np.full(GRAPH.n_tasks, cs.ABSTAIN)]).astype(np.int8)
    return {task: labels[vectors, t] for t, task in enumerate(GRAPH.tasks)}


def floor_of(votes: np.ndarray) -> Callable[[], object]:
    """Reads every byte once, as fast as NumPy can."""
    contiguous = np.ascontiguousarray(votes).ravel()
    return (
        contiguous[: contiguous.size // 8 * 8].view(np.uint64).max if contiguous.size >= 8 else contiguous.max
    )


def workloads(case: Case) -> Work:
    """What is timed, by name."""
    votes, k, predicts = draw(case), case.n_classes, case.name.startswith("predict")
    check(votes[:20_000], k)
    few, given, given_few, read = votes[:100_000], votes, votes[:100_000], votes
    if "tasks" in case.name:  # NumPy gets the label vectors, and need not look for them
        given, given_few = in_tasks(votes), in_tasks(few)
        read = np.stack(list(given.values()))
    work = {"floor": floor_of(read)} | {name: of(given) for name, of in ours(case).items()}
    if "numpy" in case.rivals and case.name == "moments":
        work["numpy"] = partial(numpy_pairs, votes, k)
    elif "numpy" in case.rivals and predicts:
        work["numpy"] = partial(numpy_posterior, votes, numpy_fit(few, k))
    elif "numpy" in case.rivals:
        work["numpy"] = partial(numpy_fit, votes, k)
    if "python" in case.rivals:
        work["python"] = partial(python_statistics, votes.tolist())
    for name, fit in installed(case.rivals).items():
        work[name] = partial(fit(given_few, k), given) if predicts else partial(fit, given, k)
    return work


def ours(case: Case) -> dict[str, Callable[[object], Callable[[], object]]]:
    """Our own workloads, in one thread and in two."""
    form = {"task_graph": GRAPH} if "tasks" in case.name else {"n_classes": case.n_classes}
    method = "auto" if "auto" in case.name else "moments"
    if "uniform" in case.name:  # as the others presume; otherwise the class balance is learned too
        form["class_balance"] = "uniform"

    def of(n_threads: int, given: object) -> Callable[[], object]:
        if case.name == "moments":
            return partial(cs.VoteStatistics.of, given, n_threads=n_threads, **form)
        model = cs.LabelModel(method=method, n_threads=n_threads, **form)
        if not case.name.startswith("predict"):
            return partial(model.fit, given)
        model.fit(given if case.n_items > 1 else draw(Case("", 20_000, case.n_sources)))
        return partial(model.predict if case.name == "predict" else model.predict_proba, given)

    return {"consilience": partial(of, 1), "two threads": partial(of, 2)}


def check(part: np.ndarray, k: int, given: Any = None) -> None:
    """Our counts, from the same votes in another form if there is one, are those of the slow twins."""
    ours = cs.VoteStatistics.of(part if given is None else given, n_classes=k)
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
        raise AssertionError("the counts differ from the reference")


def measure(work: Work, repeats: int) -> dict[str, float]:
    """Median seconds of each, the runs interleaved.

    A first run of each does not count, unless it alone takes longer than all repeats may. What takes less
    than 20 ms is run as often as fits into that, and the mean of these counts as one run: a clock and a cold
    cache would blur it otherwise.
    """
    times, rounds = {}, {}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for name, run in work.items():
        start = time.perf_counter()
        run()
        first = time.perf_counter() - start
        times[name] = max(1, int(0.02 / (first + 1e-9)))
        rounds[name] = min(repeats, int(LONGEST / first))
        if not rounds[name]:
            seconds[name].append(first)
    for repeat in range(repeats):
        for name, run in work.items():
            if repeat >= rounds[name]:
                continue
            start = time.perf_counter()
            for _ in range(times[name]):
                run()
            seconds[name].append((time.perf_counter() - start) / times[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def added_memory(run: Callable[[], object]) -> float | None:
    """Peak of resident memory that a run adds, its answer included, in MB; None where it cannot be told."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except OSError:
        return None
    before = _peak()
    run()
    return (_peak() - before) / 1e6


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10 if found else 0


RIVALS = ("numpy", "python", *ALL, "metal")
HEAD = (
    *("case", "n", "m", "k", "abstain", "floor", "ours", "× floor", "1 ÷ 2 threads", "MB added"),
    *(f"{name} ÷ ours" for name in RIVALS),
    "error: ours, " + ", ".join(ALL),
)


def row_of(case: Case, result: dict) -> list[str]:
    """A line of the table."""
    seconds, memory = result["seconds"], result["memory_mb"].get("consilience")
    cells = [case.name, f"{case.n_items:,}", case.n_sources, case.n_classes, case.abstain]
    cells += [in_words(seconds["floor"]), in_words(seconds["consilience"])]
    cells += ["" if case.n_items == 1 else f"{seconds['consilience'] / seconds['floor']:.1f}"]
    cells += [
        f"{seconds['consilience'] / seconds['two threads']:.2f}",
        "" if memory is None else f"{memory:.0f}",
    ]
    cells += [f"{result['ratio'][name]:,.1f}" if name in result["ratio"] else "" for name in RIVALS]
    cells += [", ".join(f"{error:.4f}" for error in result["error"].values())]
    return [str(cell) for cell in cells]


def in_words(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    unit, factor = next(
        (u, f) for u, f in (("s", 1), ("ms", 1e3), ("µs", 1e6)) if seconds * f >= 1 or u == "µs"
    )
    return f"{seconds * factor:.3g} {unit}"


SOLVER_HEAD = (
    *("case", "d", "ours", "goal", "ours ÷ goal", "steps", "relative gradient", "largest error"),
    *("LabelModel.fit", "MB added"),
)


def measure_solver(case: SolverCase, repeats: int) -> dict:
    """Seconds from the moments to the strengths, and of a whole fit; how near the strengths are."""
    statistics, truth = draw_moments(case.d)
    answers: list[Answer] = []
    model = cs.LabelModel(method=case.method, class_balance="uniform", n_threads=1)
    run: Work = {
        "solver": lambda: answers.append(solve(statistics, case.method)),
        "fit": partial(model.fit, statistics),
    }
    seconds = measure(run, repeats)
    strength, completion = answers[-1]
    error = float(np.abs(strength - truth).max())
    if not completion.converged or error > 0.01:
        raise AssertionError(f"{case}: the strengths are wrong by {error}")
    return {
        **case._asdict(),
        "seconds": seconds,
        "n_iterations": completion.n_iterations,
        "gradient_norm": completion.gradient_norm,
        "largest_error": error,
        "memory_mb": added_memory(run["solver"]) if seconds["solver"] < LONGEST else None,
    }


def solver_row(result: dict) -> list[str]:
    """A line of the solver's table."""
    seconds, memory = result["seconds"], result["memory_mb"]
    return [
        *(result["name"], f"{result['d']:,}", in_words(seconds["solver"]), in_words(result["goal"])),
        *(f"{seconds['solver'] / result['goal']:.2f}", str(result["n_iterations"])),
        *(f"{result['gradient_norm']:.0e}", f"{result['largest_error']:.0e}"),
        *(in_words(seconds["fit"]), "" if memory is None else f"{memory:.0f}"),
    ]


def grow(axis: str, cases: list[Case], repeats: int) -> list[dict]:
    """Seconds as one size grows: the floor, the statistics, a fit by the moments and a prediction."""
    points = []
    for case in cases:
        if axis == "stored votes":
            votes = draw_sparse(case)
            check(votes[:1000].toarray() - np.int8(1), case.n_classes, votes[:1000])
            value, parts = votes.nnz, (votes.data, votes.indices, votes.indptr)
            floor = floor_of(np.concatenate([part.view(np.uint8) for part in parts]))
        else:
            votes = draw(case)
            value = {"items": case.n_items, "sources": case.n_sources, "classes": case.n_classes}[axis]
            floor = floor_of(votes)
        model = cs.LabelModel(n_classes=case.n_classes, method="moments", n_threads=1).fit(votes)
        work = {
            "floor": floor,
            "statistics": partial(cs.VoteStatistics.of, votes, n_classes=case.n_classes, n_threads=1),
            "fit, moments": partial(model.fit, votes),
            "predict_proba": partial(model.predict_proba, votes),
        }
        points.append({"value": value, "seconds": measure(work, repeats)})
    return points


GROWTH_HEAD = ("growth in", "of", "value", "floor", "statistics", "fit, moments", "predict_proba")


def growth_rows(grown: dict[str, list[dict]]) -> list[list[str]]:
    """Lines of its table."""
    return [
        [
            axis,
            FIXED[axis],
            f"{point['value']:,}",
            *(in_words(point["seconds"][name]) for name in GROWTH_HEAD[3:]),
        ]
        for axis, points in grown.items()
        for point in points
    ]


def draw_growth(grown: dict[str, list[dict]], path: Path) -> None:
    """Time against what grows, both axes logarithmic."""
    drawn = pyplot()
    if drawn is None:
        return
    figure, (panels,) = drawn.subplots(
        1, len(grown), figsize=(4.3 * len(grown), 4.2), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, (axis, points) in zip(panels, grown.items(), strict=True):
        values = [point["value"] for point in points]
        for name in points[0]["seconds"]:
            style = (
                {"color": "0.6", "linestyle": "--"} if name == "floor" else {"marker": "o", "markersize": 4}
            )
            panel.loglog(values, [point["seconds"][name] for point in points], label=name, **style)
        panel.set_xlabel(axis)
        panel.set_title(FIXED[axis], fontsize=10)
        if axis in ("sources", "classes"):
            panel.set_xticks(values, [str(value) for value in values])
            panel.minorticks_off()
        panel.grid(color="0.9", which="major")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("seconds, one thread")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Run the cases and write the results."""
    arguments = read_arguments(
        __doc__, quick="small cases only: solver of 200 indicators, growth to 100,000 items", repeats=7
    )
    warnings.simplefilter("ignore")  # of other packages

    def wanted(name: str) -> bool:
        return any(word in name for word in arguments.cases)

    results, rows = [], []
    for case in filter(lambda case: wanted(case.name), QUICK if arguments.quick else CASES):
        work = workloads(case)
        seconds = measure(work, arguments.repeats)
        quick = (name for name in work if name not in ("floor", "python") and seconds[name] < LONGEST)
        memory = {name: added_memory(work[name]) for name in quick}
        ratio = {name: seconds[name] / seconds["consilience"] for name in RIVALS if name in seconds}
        measured = {"seconds": seconds, "ratio": ratio, "memory_mb": memory, "error": errors(case, work)}
        results.append({**asdict(case), **measured})
        rows.append(row_of(case, results[-1]))
        print("  ".join(rows[-1]), flush=True)

    solved, solver_rows = [], []
    for case in SOLVER_CASES:
        if wanted(case.name) and (case.d == 200 or not arguments.quick):
            solved.append(measure_solver(case, arguments.repeats))
            solver_rows.append(solver_row(solved[-1]))
            print("  ".join(solver_rows[-1]), flush=True)

    grows = QUICK_GROWTH if arguments.quick else GROWTH
    axes = [axis for axis in grows if wanted(f"growth, {axis}")]
    if "stored votes" in axes and importlib.util.find_spec("scipy") is None:
        print("growth, stored votes is left out: SciPy is not installed", flush=True)
        axes.remove("stored votes")
    growth = {axis: grow(axis, grows[axis], arguments.repeats) for axis in axes}

    heads = ((HEAD, rows), (SOLVER_HEAD, solver_rows), (GROWTH_HEAD, growth_rows(growth)))
    text = "\n\n".join("\n".join(table_lines(head, lines)) for head, lines in heads if lines) + "\n"
    print(text, end="")
    content = {"machine": machine(), "versions": versions()}
    content |= {"results": results, "solver": solved, "growth": growth}
    (arguments.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    (arguments.out / "table.md").write_text(text)
    if growth:
        draw_growth(growth, arguments.out / "growth.png")


def machine() -> dict[str, object]:
    """What the figures were taken on, and how busy it was."""
    return {
        "processor": platform.processor() or platform.machine(),
        "simd": _core.simd_level(),
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def versions() -> dict[str, str]:
    """Of everything that was measured."""
    found = {"python": platform.python_version()}
    for name in ("consilience", "numpy", "snorkel", "crowd-kit", "flyingsquid", "snorkel-metal"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
