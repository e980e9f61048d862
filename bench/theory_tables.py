"""Tables and pictures of ``theory.py``, and how its figures compare with the goals."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from output import pyplot, table_lines

Results = Mapping[str, Any]

MIN_DRAWS = 200
"""Fewer, and how often the interval of a single source holds the truth says nothing."""


@dataclass(frozen=True)
class Figure:
    """A figure with its standard error, and the range it is to lie in."""

    name: str
    value: float
    error: float
    low: float
    high: float
    form: str = ".3f"

    def row(self) -> list[str]:
        low, high = format(self.low, self.form), format(self.high, self.form)
        goal = f"<= {high}" if np.isinf(self.low) else f"{low} to {high}"
        verdict = "pass" if self.low <= self.value <= self.high else "FAIL"
        return [self.name, f"{self.value:{self.form}} ± {self.error:{self.form}}", goal, verdict]


def report(results: Results) -> list[str]:
    """All tables, and what they come to at the end."""
    lines: list[str] = []
    figures: list[Figure] = []
    for part in (errors_part, bound_part, dependent_part, intervals_part, copies_part, figure4_part):
        of_part, found = part(results)
        lines += of_part
        figures += found
    if figures:
        rows = [figure.row() for figure in figures]
        lines += ["", "## Goals", "", *table_lines(["figure", "± standard error", "goal", ""], rows)]
    return lines[1:] if lines and not lines[0] else lines


def of_experiment(results: Results, name: str) -> dict[str, Any]:
    """Results of an experiment, by what distinguishes its cases."""
    start = f"{name}, "
    return {case[len(start) :]: content for case, content in results.items() if case.startswith(start)}


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean and its standard error; nan from one value."""
    x = np.asarray(values, dtype=np.float64)
    return float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")


def ratio_of_means(above: ArrayLike, below: ArrayLike) -> tuple[float, float]:
    """Ratio of the means of paired values, and its standard error."""
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    ratio = float(a.mean() / b.mean())
    return ratio, mean_and_error(a - ratio * b)[1] / float(b.mean())


def slope(ns: Sequence[int], errors: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Slope of the logarithm of the mean error on that of the number of items, and its standard error."""
    x = np.log(ns) - np.mean(np.log(ns))
    means, of_means = np.array([mean_and_error(e) for e in errors]).T
    lever = x / (x**2).sum()
    return float(lever @ np.log(means)), float(np.sqrt(((lever * of_means / means) ** 2).sum()))


def shown(values: Sequence[float | None] | NDArray[np.float64], form: str = ".4f") -> str:
    """``0.0202 ± 0.0003``: mean and standard error; None is an answer that was refused."""
    answers = [value for value in values if value is not None]
    refused = f" ({len(values) - len(answers)} refused)" if len(answers) < len(values) else ""
    if not answers:
        return "refused"
    mean, error = mean_and_error(answers)
    return (f"{mean:{form}}" if np.isnan(error) else f"{mean:{form}} ± {error:{form}}") + refused


def errors_part(results: Results) -> tuple[list[str], list[Figure]]:
    """Errors against items; ratio to the best plain estimator; slopes."""
    lines: list[str] = []
    figures: list[Figure] = []
    cases = list(of_experiment(results, "errors").values())
    for truth in dict.fromkeys(case["truth"] for case in cases):
        own = sorted((case for case in cases if case["truth"] == truth), key=lambda case: case["n"])
        ns = [case["n"] for case in own]
        head = [f"error of P(vote, Y), {truth}", *(f"n = {n:,}" for n in ns), "slope"]
        rows = []
        for method in dict.fromkeys(m for case in own for m in case["errors"]):
            values = [case["errors"][method] for case in own]
            cells = [shown(v) for v in values]
            known = len(ns) > 1 and not any(None in v for v in values)
            rows.append([method, *cells, "{:+.3f} ± {:.3f}".format(*slope(ns, values)) if known else ""])
        lines += ["", *table_lines(head, rows)]
        for case in own:
            best = best_plain(case["errors"])
            against = ratio_of_means(case["errors"]["auto"], case["errors"][best])
            name = f"error over that of {best}, {truth}, n = {case['n']:,}"
            figures.append(Figure(name, *against, -np.inf, 1.03))
        if len(ns) > 1:
            values = [case["errors"]["auto"] for case in own]
            figures.append(Figure(f"slope of the error, {truth}", *slope(ns, values), -0.55, -0.45))
    return (["", "## Errors", *lines] if lines else []), figures


def best_plain(errors: Mapping[str, Sequence[float]]) -> str:
    """The plain estimator with the least mean error, among those that do not see the labels."""
    plain = [name for name in errors if name.startswith("plain ") and name != "plain counting"]
    return min(plain, key=lambda name: float(np.mean(errors[name])))


def bound_part(results: Results) -> tuple[list[str], list[Figure]]:
    """Ratios to the Cramér-Rao bound, over all draws and for the worst truth."""
    rows, figures = [], []
    goals = {"k=2 class-conditional": 1.05, "k=4 tied": 1.05, "k=4 free": 1.10}
    for case, content in of_experiment(results, "bound").items():
        squares = {name: np.array(values) for name, values in content["squares"].items()}
        cells = []
        for method in ("auto", "em"):
            value, error = root_ratio(squares[method], squares["bound"])
            at = [squares["bound"] == b for b in np.unique(squares["bound"])]
            worst = max(np.sqrt(squares[method][i].mean() / squares["bound"][i].mean()) for i in at)
            cells += [f"{value:.3f} ± {error:.3f}", f"{worst:.3f}"]
            if method == "auto" and content["balance_known"] and content["truth"] in goals:
                name = f"root mean square over the bound, {content['truth']}"
                figures.append(Figure(name, value, error, -np.inf, goals[content["truth"]]))
        rows.append([case, f"{len(squares['bound'])}", *cells])
    if not rows:
        return [], []
    head = ["n = 10,000: RMS error over the bound", "draws", "auto", "worst truth", "em", "worst truth"]
    return ["", "## Cramér-Rao bound", "", *table_lines(head, rows)], figures


def root_ratio(squares: NDArray[np.float64], least: NDArray[np.float64]) -> tuple[float, float]:
    """Root of the ratio of means, and its standard error."""
    ratio, error = ratio_of_means(squares, least)
    return float(np.sqrt(ratio)), error / (2 * float(np.sqrt(ratio)))


def dependent_part(results: Results) -> tuple[list[str], list[Figure]]:
    """Errors, accuracy and likelihood of labels by number of copying pairs."""
    lines: list[str] = []
    figures: list[Figure] = []
    for case, content in of_experiment(results, "dependent").items():
        rows = []
        qs = sorted({row["q"] for row in content["rows"]})
        for method in ("auto", "em"):
            clean = values_of(content["rows"], "error", 0, "ignored", method)
            for way in ("ignored", "given", "learned"):
                for q in qs:
                    columns = {
                        key: values_of(content["rows"], key, q, way, method)
                        for key in ("error", "accuracy", "nll")
                    }
                    ratio = ratio_of_means(columns["error"], clean)
                    rows.append([method, way, str(q), *map(shown, columns.values())])
                    rows[-1].append("{:.3f} ± {:.3f}".format(*ratio))
                    goal = {"given": 1.10, "learned": 1.15}.get(way)
                    if goal and q == qs[-1] and method == "auto":
                        name = f"error with {q} copied pairs over none, {way}, {case}"
                        figures.append(Figure(name, *ratio, -np.inf, goal))
        head = [f"{case}, n = {content['n']:,}", "dependencies", "copied pairs", "error", "accuracy"]
        lines += ["", *table_lines([*head, "NLL", "error over that without copies"], rows)]
    return (["", "## Dependent sources", *lines] if lines else []), figures


def values_of(rows: Iterable[Mapping[str, Any]], key: str, q: int, way: str, method: str) -> list[float]:
    """One figure of all draws."""
    wanted = (q, way, method)
    return [row[key] for row in rows if (row["q"], row["way"], row["method"]) == wanted]


def intervals_part(results: Results) -> tuple[list[str], list[Figure]]:
    """Coverage, and that of each source or class where the whole or the one is outside the goal."""
    rows, figures, details = [], [], []
    cases = of_experiment(results, "intervals")
    for what, (case, content) in itertools.product(("accuracies", "balance"), cases.items()):
        if what not in content:
            continue
        found, draws = content[what], content["draws"] - content[what]["refused"]
        name = f"{what}, {case}"
        refused = f" ({found['refused']} refused)" if found["refused"] else ""
        below, above, width = (np.array(found[of]) / max(draws, 1) for of in ("below", "above", "width"))
        covered = 1 - below - above
        mean = float(covered.mean())
        # Sources of one draw are not independent: no smaller than if they were one.
        error = float(np.sqrt(mean * (1 - mean) / max(draws, 1)))
        figures.append(Figure(f"95 % intervals hold the truth, {name}", mean, error, 0.93, 0.97))
        rows.append([name, f"{content['n']:,}", f"{draws}{refused}"])
        rows[-1] += [f"{value:.3f}" for value in (mean, covered.min(), covered.max(), width.mean())]
        for j in np.flatnonzero((covered < 0.93) | (covered > 0.97)) if draws >= MIN_DRAWS else ():
            of_one = (found["truth"][j], width[j], covered[j], below[j], above[j])
            details.append([name, str(j), *(f"{value:.3f}" for value in of_one)])
    if not rows:
        return [], []
    head = ["intervals", "n", "draws", "hold the truth", "least", "most", "mean width"]
    lines = ["", "## Intervals", "", *table_lines(head, rows)]
    if details:
        head = ["sources, or classes, outside 93-97 %", "", "truth", "mean width"]
        lines += ["", *table_lines([*head, "hold it", "below it", "above it"], details)]
    return lines, figures


def copies_part(results: Results) -> tuple[list[str], list[Figure]]:
    """What copies of a weak source cost."""
    rows, figures = [], []
    for case, content in of_experiment(results, "copies").items():
        accuracy = content["accuracy"]
        for method in dict.fromkeys(name.split(": ")[0] for name in accuracy):
            alone, crowded = (100 * np.array(accuracy[f"{method}: {at}"]) for at in ("alone", "with copies"))
            rows.append([case, method, *(shown(x, ".2f") for x in (alone, crowded, alone - crowded))])
            # Sources that are all but equal are copies to whoever looks for dependencies only.
            if method == ("auto" if content["noise"] == 0 else "auto, learn"):
                name = f"points lost to five copies of the weakest source, {case}, {method}"
                figures.append(Figure(name, *mean_and_error(alone - crowded), -np.inf, 0.5))
    if not rows:
        return [], []
    head = ["five copies of the weakest of ten", "method", "accuracy without, %", "with", "lost"]
    return ["", "## Copies", "", *table_lines(head, rows)], figures


def figure4_part(results: Results) -> tuple[list[str], list[Figure]]:
    """Errors with two pairs of copies, and seconds."""
    lines: list[str] = []
    if "figure4, error" in results:
        errors = results["figure4, error"]["errors"]
        ns = [int(n) for n in errors["no copies"]]
        rows = []
        for name, of_n in errors.items():
            values = [of_n.get(str(n)) for n in ns]
            fitted = [(n, v) for n, v in zip(ns, values, strict=True) if v]
            cells = [shown(v) if v else "" for v in values]
            fitted_slope = slope(*zip(*fitted, strict=True)) if len(fitted) > 1 else (np.nan, np.nan)
            rows.append([name, *cells, "{:+.2f} ± {:.2f}".format(*fitted_slope)])
        head = ["error, two pairs of copies", *(f"n = {n:,}" for n in ns), "slope"]
        lines += ["", *table_lines(head, rows)]
    if "figure4, time" in results:
        rows = [
            [f"{row['n']:,}", *(f"{of['seconds']:.4f} s (error {of['error']:.4f})" for of in of_methods(row))]
            for row in results["figure4, time"]
        ]
        head = ["seconds to fit, n", *(name for name in results["figure4, time"][0] if name != "n")]
        lines += ["", *table_lines(head, rows)]
    return (["", "## Figure 4", *lines] if lines else []), []


def of_methods(row: Mapping[str, Any]) -> list[Mapping[str, float]]:
    """What one row of times says of each method."""
    return [value for name, value in row.items() if name != "n"]


# ---- pictures ---------------------------------------------------------------------------------------------


def draw_errors(results: Results, path: Path) -> None:
    """A panel a truth: errors against the number of items."""
    cases = list(of_experiment(results, "errors").values())
    plot = pyplot() if cases else None
    if plot is None:
        return
    truths = list(dict.fromkeys(case["truth"] for case in cases))
    figure, axes = plot.subplots(
        1, len(truths), figsize=(3.4 * len(truths), 3.6), squeeze=False, layout="constrained"
    )
    for axis, truth in zip(axes[0], truths, strict=True):
        own = sorted((case for case in cases if case["truth"] == truth), key=lambda case: case["n"])
        ns = np.array([case["n"] for case in own])
        plain = best_plain(own[-1]["errors"])
        styles = {"auto": "o-", "moments": "s-", "completion": "^-", plain: "x--", "plain counting": "k:"}
        for method, style in styles.items():
            means = [
                np.nan if None in case["errors"][method] else np.mean(case["errors"][method]) for case in own
            ]
            label = "labels known" if method == "plain counting" else method
            axis.plot(ns, means, style, label=label, linewidth=1.2, markersize=5)
        axis.set(xscale="log", yscale="log", xlabel="items", title=truth)
        axis.legend(fontsize=7)
    axes[0, 0].set_ylabel("error of P(vote, Y)")
    figure.savefig(path, dpi=130)
    plot.close(figure)


def draw_figure4(results: Results, folder: Path) -> None:
    """The three parts of the paper's Figure 4, a picture each, those that have results."""
    for draw, case, name in (
        (_panel_error, "figure4, error", "left"),
        (_panel_dependent, "dependent, k=2", "middle"),
        (_panel_time, "figure4, time", "right"),
    ):
        plot = pyplot() if case in results else None
        if plot is None:
            continue
        figure, axis = plot.subplots(figsize=(5.2, 4.2), layout="constrained")
        draw(results, axis)
        figure.savefig(folder / f"figure4_{name}.png", dpi=130)
        plot.close(figure)


def _panel_error(results: Results, axis: Any) -> None:
    styles = {
        "independent": "s-",
        "plain EM": "x-",
        "Gibbs sampling": "v-",
        "dependencies given": "o-",
        "dependencies learned": "D--",
        "no copies": "k--",
        "labels known": "k:",
    }
    for name, style in styles.items():
        of_n = results["figure4, error"]["errors"][name]
        means = [np.mean(e) for e in of_n.values()]
        axis.plot([int(n) for n in of_n], means, style, label=name, markersize=5, markerfacecolor="none")
    axis.legend(fontsize=8)
    axis.set(xscale="log", yscale="log", xlabel="items", ylabel="error of P(vote, Y)")
    axis.set_title("error, two pairs of sources copy")


def _panel_dependent(results: Results, axis: Any) -> None:
    rows = results["dependent, k=2"]["rows"]
    qs = sorted({row["q"] for row in rows})
    for way, method, style in (
        ("ignored", "em", "x-"),
        ("ignored", "auto", "v-"),
        ("given", "auto", "o-"),
        ("learned", "auto", "s--"),
    ):
        means, halves = zip(
            *(mean_and_error(values_of(rows, "error", q, way, method)) for q in qs), strict=True
        )
        axis.errorbar(qs, means, yerr=np.nan_to_num(halves), fmt=style, capsize=2, label=f"{way}, {method}")
    axis.set(yscale="log", xlabel="copied pairs among ten sources", xticks=qs, title="dependencies")
    axis.legend(fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 0.1))


def _panel_time(results: Results, axis: Any) -> None:
    rows = results["figure4, time"]
    for name in rows[0]:
        if name != "n":
            seconds = [row[name]["seconds"] for row in rows]
            axis.plot([row["n"] for row in rows], seconds, "o-", label=name, markersize=5)
    axis.set(xscale="log", yscale="log", xlabel="items", ylabel="seconds", title="time to fit")
    axis.legend(fontsize=8)
