"""Tables and pictures of the results, with intervals over trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from output import pyplot

SHOWN_POINTS = 22
STYLES: tuple[dict[str, Any], ...] = (  # a later one leaves those under it visible
    {"color": "tab:blue", "marker": "o", "linestyle": "-", "markersize": 8, "markerfacecolor": "none"},
    {"color": "tab:orange", "marker": "s", "linestyle": "-", "markersize": 6},
    {"color": "tab:green", "marker": "D", "linestyle": "--", "markersize": 3},
    {"color": "tab:red", "marker": "^", "linestyle": "-.", "markersize": 5},
)


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
    drawn = _figure(3)
    if drawn is None:
        return
    figure, axes = drawn
    titles = {"method": "Independent sources, by method", "dependencies": "Four dependent pairs of sources"}
    for axis, name, key in ((axes[0], "error", "method"), (axes[1], "dependencies", "dependencies")):
        rows = results[name]
        ns = np.array(sorted({row["n"] for row in rows}))
        for style, kind in zip(STYLES, dict.fromkeys(row[key] for row in rows), strict=False):
            means, slope = curve([row for row in rows if row[key] == kind])
            what = f"dependencies {kind}" if key == "dependencies" else kind
            axis.plot(ns, means, label=f"{what} (slope {slope:.2f})", **style)
        axis.plot(ns, means[0] * np.sqrt(ns[0] / ns), "k:", label="slope -1/2")
        axis.set(title=titles[key], ylabel="mean error of the accuracies")
    for style, name in zip(STYLES, list(results["time"][0])[1:], strict=False):
        seconds = [row[name]["seconds"] for row in results["time"]]
        axes[2].plot([row["n"] for row in results["time"]], seconds, label=name, **style)
    axes[2].set(title="Time of one fit of ten sources", ylabel="seconds")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="items")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    _write(figure, path)


def draw_sizes(results: Mapping[str, Any], path: Path) -> None:
    """Figure 5 as a picture."""
    drawn = _figure(len(results))
    if drawn is None:
        return
    figure, axes = drawn
    for axis, (problem, rows) in zip(axes, results.items(), strict=True):
        ns = sorted({row["n"] for row in rows})
        for style, key in zip(STYLES, ("labels", "end model"), strict=False):
            means, halves = zip(
                *(interval([row[key] for row in rows if row["n"] == n]) for n in ns), strict=True
            )
            axis.plot(ns, means, label=key, **style)
            _whiskers(axis, ns, means, halves, style["color"], upright=True)
        axis.set(xscale="log", xlabel="unlabeled items", title=problem)
    axes[0].set_ylabel("accuracy, finest level (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    _write(figure, path)


def draw_comparison(results: Mapping[str, Any], columns: Sequence[str], path: Path) -> None:
    """Accuracy of each column as points, that of the labels above that of the end model.

    All axes are cut to as many points, up to the best. What lies further down is an arrow with its number.
    """
    drawn = _figure(len(results), 1.6 + 0.45 * len(columns))
    if drawn is None:
        return
    figure, axes = drawn
    for axis, (problem, result) in zip(axes, results.items(), strict=True):
        marks: list[tuple[float, float, float, Any]] = []
        for style, shift, level in zip(STYLES, (-0.15, 0.15), ("labels", "end model"), strict=False):
            look = style | {"linestyle": "none"}
            axis.plot([], [], label=level, **look)
            marks += [
                (place + shift, *interval(finest(result, column, level)), look)
                for place, column in enumerate(columns)
                if result[column][level]
            ]
        most = max(mean for _, mean, _, _ in marks) + 1.5
        least = most - SHOWN_POINTS
        for place, mean, half, look in marks:
            if mean < least:
                axis.text(least + 0.3, place, f"← {mean:.1f}", va="center", fontsize=8, color=look["color"])
            else:
                axis.plot(mean, place, **look)
                _whiskers(axis, [mean], [place], [half], look["color"], upright=False)
        axis.set(title=problem, xlabel="accuracy, finest level (%)", xlim=(least, most))
        axis.set_yticks(range(len(columns)), columns if axis is axes[0] else [])
        axis.set_ylim(len(columns) - 0.5, -0.5)
        axis.set_xticks(np.arange(np.ceil(least / 5) * 5, most, 5))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    _write(figure, path)


def _whiskers(
    axis: Any, x: Sequence[float], y: Sequence[float], halves: Sequence[float], color: str, upright: bool
) -> None:
    """95 % intervals around points; none where there is but one trial."""
    for a, b, half in zip(x, y, halves, strict=True):
        if np.isfinite(half):
            axis.errorbar(a, b, **{"yerr" if upright else "xerr": half}, color=color, capsize=2)


def _figure(n: int, height: float = 4.2) -> tuple[Any, Any] | None:
    """A figure with panels side by side; None without matplotlib."""
    plot = pyplot()
    if plot is None:
        return None
    figure, axes = plot.subplots(1, n, figsize=(4.2 * n, height), squeeze=False, layout="constrained")
    return figure, axes[0]


def _write(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=150)
    pyplot().close(figure)
