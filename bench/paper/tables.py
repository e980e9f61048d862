"""Tables and pictures of the results, with intervals over trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from output import pyplot


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over trials and half the width of its 95 % interval (Student's t), in points."""
    x = 100 * np.asarray(values)
    if len(x) < 2:
        return float(x.mean()), float("nan")
    return float(x.mean()), float(stats.t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))


def shown(values: Sequence[float], signed: bool = False) -> str:
    """Mean and interval, ``71.8 ± 0.4``."""
    mean, half = interval(values)
    text = f"{mean:+.1f}" if signed else f"{mean:.1f}"
    return text if np.isnan(half) else f"{text} ± {half:.1f}"


def finest(result: Mapping[str, Any], column: str, level: str = "end model") -> list[float]:
    """Scores at the finest level, one a trial."""
    return [scores["finest"] for scores in result[column][level]]


def comparison(results: Mapping[str, Any], columns: Sequence[str], level: str) -> list[str]:
    """Accuracy at the finest level: a row a column, a column a problem, and what the last gains over each."""
    problems = list(results)
    lines = [f"| {level} | " + " | ".join(problems) + " | average |", "|---" * (len(problems) + 2) + "|"]
    for column in columns:
        if not results[problems[0]][column][level]:
            continue
        scores = [finest(results[p], column, level) for p in problems]
        mean = np.mean([np.mean(s) for s in scores])
        lines.append(f"| {column} | " + " | ".join(shown(s) for s in scores) + f" | {100 * mean:.1f} |")
    return lines


def gains(results: Mapping[str, Any], of: str, over: Sequence[str], level: str = "end model") -> list[str]:
    """What one column gains over others, in points, trial by trial."""
    problems = list(results)
    lines = [f"| {of}, {level}: gain over | " + " | ".join(problems) + " | average |"]
    lines.append("|---" * (len(problems) + 2) + "|")
    for other in over:
        if not results[problems[0]][other][level]:
            continue
        differences = [
            np.subtract(finest(results[p], of, level), finest(results[p], other, level)) for p in problems
        ]
        mean = np.mean([d.mean() for d in differences])
        cells = " | ".join(shown(d.tolist(), signed=True) for d in differences)
        lines.append(f"| {other} | {cells} | {100 * mean:+.1f} |")
    return lines


def sub_tasks(problem: str, result: Mapping[str, Any], columns: Sequence[str], level: str) -> list[str]:
    """Accuracy in each task of one problem."""
    columns = [column for column in columns if result[column][level]]
    tasks = list(result[columns[0]][level][0])
    lines = [f"| {problem}, {level} | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    for column in columns:
        cells = [shown([scores[task] for scores in result[column][level]]) for task in tasks]
        lines.append(f"| {column} | " + " | ".join(cells) + " |")
    return lines


def generalisation(results: Mapping[str, Any], column: str) -> list[str]:
    """Figure 6: the labels used directly, and the end model trained on them."""
    lines = ["| | # train | label model | end model | gain |", "|---|---|---|---|---|"]
    for problem, result in results.items():
        lm, em = finest(result, column, "labels"), finest(result, column)
        gain = shown(np.subtract(em, lm).tolist(), signed=True)
        lines.append(f"| {problem} | {result['n_train']:,} | {shown(lm)} | {shown(em)} | {gain} |")
    mean = np.mean(
        [np.mean(finest(r, column)) - np.mean(finest(r, column, "labels")) for r in results.values()]
    )
    lines.append(f"| average | | | | {100 * mean:+.1f} |")
    return lines


def sizes_table(results: Mapping[str, Any]) -> list[str]:
    """Figure 5 as a table."""
    lines = ["| problem | # unlabeled | label model | end model |", "|---|---|---|---|"]
    for problem, rows in results.items():
        for n in sorted({row["n"] for row in rows}):
            at = [row for row in rows if row["n"] == n]
            lm, em = ([row[key] for row in at] for key in ("labels", "end model"))
            lines.append(f"| {problem} | {n:,} | {shown(lm)} | {shown(em)} |")
    return lines


def reasons_table(results: Mapping[str, Any]) -> list[str]:
    """Figures about votes and labels, a problem a column, and the commonest confusions."""
    first = next(iter(results.values()))
    lines = ["| | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for name, value in first.items():
        if isinstance(value, float):
            counted = name == "votes an item"
            cells = [f"{r[name]:.1f}" if counted else f"{100 * r[name]:.1f} %" for r in results.values()]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", *(f"{p}: {'; '.join(r['confusions'])}" for p, r in results.items())]


def synthetic_table(results: Mapping[str, Any]) -> list[str]:
    """Figure 4 as tables."""
    lines = []
    for name, key in (("error", "method"), ("dependencies", "dependencies")):
        rows = results[name]
        ns = sorted({row["n"] for row in rows})
        lines += [f"| error, {key} | " + " | ".join(f"n = {n:,}" for n in ns) + " | slope |"]
        lines += ["|---" * (len(ns) + 2) + "|"]
        for kind in dict.fromkeys(row[key] for row in rows):
            means, slope = curve([row for row in rows if row[key] == kind])
            lines.append(f"| {kind} | " + " | ".join(f"{m:.4f}" for m in means) + f" | {slope:+.2f} |")
        lines.append("")
    *fits, gibbs = list(results["time"][0])[1:]
    lines += ["| n | " + " | ".join([*fits, gibbs, *(f"over {name}" for name in fits)]) + " |"]
    lines += ["|---" * (2 * len(fits) + 2) + "|"]
    for row in results["time"]:
        cells = [f"{row[name]['seconds']:.4f} s (error {row[name]['error']:.4f})" for name in (*fits, gibbs)]
        ratios = [f"{row[gibbs]['seconds'] / row[name]['seconds']:,.0f} ×" for name in fits]
        lines.append("| " + " | ".join([f"{row['n']:,}", *cells, *ratios]) + " |")
    return lines


def curve(rows: Sequence[Mapping[str, Any]]) -> tuple[list[float], float]:
    """Mean error at each number of items, and the slope of its logarithm on that of the number."""
    ns = sorted({row["n"] for row in rows})
    means = [float(np.mean([row["error"] for row in rows if row["n"] == n])) for n in ns]
    return means, float(np.polyfit(np.log(ns), np.log(means), 1)[0])


def draw_synthetic(results: Mapping[str, Any], path: Path) -> None:
    """Figure 4 as a picture: error, error with dependent sources, and time, against the number of items."""
    figure, axes = _figure(3)
    for axis, name, key in ((axes[0], "error", "method"), (axes[1], "dependencies", "dependencies")):
        rows = results[name]
        ns = np.array(sorted({row["n"] for row in rows}))
        for kind in dict.fromkeys(row[key] for row in rows):
            means, slope = curve([row for row in rows if row[key] == kind])
            axis.plot(ns, means, "o-", label=f"{kind} (slope {slope:.2f})")
        axis.plot(ns, means[0] * np.sqrt(ns[0] / ns), "k:", label="slope -1/2")
        axis.set(xscale="log", yscale="log", xlabel="items", title=f"{key}")
        axis.legend()
    axes[0].set_ylabel("mean error of the accuracies")
    for name in list(results["time"][0])[1:]:
        seconds = [row[name]["seconds"] for row in results["time"]]
        axes[2].plot([row["n"] for row in results["time"]], seconds, "o-", label=name)
    axes[2].set(xscale="log", yscale="log", xlabel="items", ylabel="seconds", title="time to fit")
    axes[2].legend()
    _write(figure, path)


def draw_sizes(results: Mapping[str, Any], path: Path) -> None:
    """Figure 5 as a picture."""
    figure, axes = _figure(len(results))
    for axis, (problem, rows) in zip(axes, results.items(), strict=True):
        ns = sorted({row["n"] for row in rows})
        for key, style in (("labels", "o--"), ("end model", "s-")):
            means, halves = zip(
                *(interval([row[key] for row in rows if row["n"] == n]) for n in ns), strict=True
            )
            axis.errorbar(ns, means, yerr=np.nan_to_num(halves), fmt=style, capsize=2, label=key)
        axis.set(xscale="log", xlabel="unlabeled items", title=problem)
    axes[0].set_ylabel("accuracy, finest level (%)")
    axes[0].legend()
    _write(figure, path)


def draw_comparison(results: Mapping[str, Any], columns: Sequence[str], path: Path) -> None:
    """Accuracy of each column as bars: the labels beside the end model."""
    figure, axes = _figure(len(results))
    for axis, (problem, result) in zip(axes, results.items(), strict=True):
        for shift, level in ((-0.2, "labels"), (0.2, "end model")):
            present = [(i, c) for i, c in enumerate(columns) if result[c][level]]
            means, halves = zip(*(interval(finest(result, c, level)) for _, c in present), strict=True)
            places = [i + shift for i, _ in present]
            axis.bar(places, means, 0.4, yerr=np.nan_to_num(halves), capsize=2, label=level)
        axis.set_title(problem)
        axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axes[0].set_ylabel("accuracy, finest level (%)")
    axes[0].legend()
    _write(figure, path)


def _figure(n: int) -> tuple[Any, Any]:
    figure, axes = pyplot().subplots(1, n, figsize=(4.2 * n, 3.6), squeeze=False, layout="constrained")
    return figure, axes[0]


def _write(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=150)
    pyplot().close(figure)
