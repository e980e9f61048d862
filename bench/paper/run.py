"""The paper's experiments on real items that have labels of several granularities.

    python bench/paper/run.py table1|ablations|fig4|fig5|fig6|reasons --data DIR --out DIR [--trials 10]

DIR of --data holds the data sets trec (problem trec), clinc150_hier (household and clinc) and conll03_tokens
(tokens): folders with labels.npz, meta.json and, but for the last, texts.jsonl.gz. fig4 draws its votes.

Results are written to the folder of --out: results.json with the scores of every trial, a table and, but for
reasons, a picture for each experiment. Trials that results.json holds already are kept and not run again, and
the table and the picture are of the first N: give another folder to start anew. The times of fig4, and
reasons, are measured again.

Needs PyTorch, scikit-learn and SciPy, and matplotlib for the pictures.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

import clinc
import household
import reasons
import synthetic
import tables
import tokens
import trec
from experiments import JOINT, Column, ablation_columns, compare, joint_column, sizes, table1_columns
from problem import Problem

import consilience as cs
from end_model import Trunk
from output import keep_result, read_results

PROBLEMS: dict[str, Callable[[Path], Problem]] = {
    "trec": trec.load,
    "household": household.load,
    "clinc": clinc.load,
    "tokens": tokens.load,
}
DATA = {"trec": "trec", "household": "clinc150_hier", "clinc": "clinc150_hier", "tokens": "conll03_tokens"}
"""The folder that a problem is read from."""


def main(arguments: list[str] | None = None) -> None:
    """Run one experiment and write what came out."""
    options = read(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    experiment = {
        "table1": run_table1,
        "ablations": run_ablations,
        "fig4": run_fig4,
        "fig5": run_fig5,
        "fig6": run_fig6,
        "reasons": run_reasons,
    }[options.experiment]
    lines = experiment(options)
    text = "\n".join(lines) + "\n"
    (options.out / f"{options.experiment}.md").write_text(text, encoding="utf-8")
    print(text)


def run_table1(options: argparse.Namespace) -> list[str]:
    """End models of the four columns."""
    chosen = table1_columns(options.method)
    results = compared("table1", options, chosen)
    names = [column.name for column in chosen]
    others = [name for name in names if name != JOINT]
    tables.draw_comparison(results, names, options.out / "table1.png")
    lines = []
    for level in ("end model", "labels"):
        lines += [*tables.comparison(results, names, level), ""]
        lines += [*tables.gains(results, JOINT, others, level), ""]
    for problem, result in results.items():
        for level in ("end model", "labels"):
            lines += [*tables.sub_tasks(problem, result, names, level), ""]
    return lines


def run_ablations(options: argparse.Namespace) -> list[str]:
    """The joint label model with one thing changed at a time."""
    chosen = ablation_columns(options.method)
    results = compared("ablations", options, chosen)
    names = [column.name for column in chosen]
    tables.draw_comparison(results, names, options.out / "ablations.png")
    lines = []
    for level in ("end model", "labels"):
        lines += [*tables.comparison(results, names, level), ""]
        lines += [*tables.gains(results, names[0], names[1:], level), ""]
    return lines


def run_fig4(options: argparse.Namespace) -> list[str]:
    """Error against the number of items, with dependencies too, and time beside Gibbs sampling."""
    known = known_problems(options, "fig4")
    results = {
        "error": synthetic.error_against_n(options.trials, known.get("error", ()), note),
        "dependencies": synthetic.error_with_dependencies(
            options.trials, known.get("dependencies", ()), note
        ),
        "time": synthetic.time_against_n(note),
    }
    keep(options, "fig4", results)
    for name in ("error", "dependencies"):
        results[name] = [row for row in results[name] if row["trial"] < options.trials]
    tables.draw_synthetic(results, options.out / "fig4.png")
    return tables.synthetic_table(results)


def run_fig6(options: argparse.Namespace) -> list[str]:
    """The joint label model used directly, and the end model trained on its labels."""
    results = compared("fig6", options, (joint_column(options.method),))
    tables.draw_comparison(results, [JOINT], options.out / "fig6.png")
    return tables.generalisation(results, JOINT)


def run_reasons(options: argparse.Namespace) -> list[str]:
    """What stands in the way: sources, votes and labels beside the gold."""
    results = known_problems(options, "reasons")
    for problem in problems(options):
        results[problem.name] = reasons.reasons(problem, options.method)
        keep(options, "reasons", results)
    return tables.reasons_table({name: results[name] for name in PROBLEMS if name in results})


def run_fig5(options: argparse.Namespace) -> list[str]:
    """Accuracy against the number of unlabeled items."""
    joint = joint_column(options.method)
    results = known_problems(options, "fig5")
    for problem in problems(options):
        known = known_columns(options, problem)
        if JOINT not in known:
            known |= compare(problem, [joint], 1, trunk(options), known, note)
        setting = known[JOINT]["setting"]
        before = results.get(problem.name, ())
        results[problem.name] = sizes(problem, joint, setting, options.trials, trunk(options), before, note)
        keep(options, "fig5", results)
    results = {name: [r for r in rows if r["trial"] < options.trials] for name, rows in results.items()}
    tables.draw_sizes(results, options.out / "fig5.png")
    return tables.sizes_table(results)


def compared(experiment: str, options: argparse.Namespace, chosen: tuple[Column, ...]) -> dict[str, Any]:
    """Results of :func:`compare` for each problem, written down as they come; the first trials of them."""
    results = known_problems(options, experiment)
    for problem in problems(options):
        known = known_columns(options, problem)
        results[problem.name] = compare(problem, chosen, options.trials, trunk(options), known, note)
        keep(options, experiment, results)
    return {name: first(results[name], options.trials) for name in PROBLEMS if name in results}


def first(result: dict[str, Any], trials: int) -> dict[str, Any]:
    """The same with so many trials at most, and with equally many of every column."""
    of_column = {name: of for name, of in result.items() if isinstance(of, dict)}
    n = min([trials, *(len(of["end model"]) for of in of_column.values())])
    return result | {
        name: of | {key: of[key][:n] for key in ("labels", "end model", "seconds")}
        for name, of in of_column.items()
    }


def known_problems(options: argparse.Namespace, experiment: str) -> dict[str, Any]:
    """What the same experiment found earlier, by the name of the problem."""
    run = read_results(options.out / "results.json").get(experiment)
    comparable = run is not None and all(run[key] == value for key, value in conditions(options).items())
    return run["problems"] if comparable else {}


def known_columns(options: argparse.Namespace, problem: Problem) -> dict[str, Any]:
    """What earlier experiments in the same folder found, by the name of the column."""
    known = [
        (column, result)
        for experiment in ("table1", "ablations", "fig6")
        for column, result in known_problems(options, experiment).get(problem.name, {}).items()
        if isinstance(result, dict) and "setting" in result
    ]
    return dict(sorted(known, key=lambda pair: len(pair[1]["end model"])))  # that of most trials counts


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """What results must have in common to be put side by side."""
    vectors = options.embeddings.name if options.embeddings else None
    return {
        "version": cs.__version__,
        "method": options.method,
        "trunk": options.trunk,
        "embeddings": vectors,
    }


def trunk(options: argparse.Namespace) -> Trunk:
    """What reads the items, as asked for."""
    return Trunk(options.trunk, options.embeddings)


def problems(options: argparse.Namespace) -> list[Problem]:
    """The problems asked for, read."""
    return [PROBLEMS[name](options.data) for name in options.problems]


def keep(options: argparse.Namespace, experiment: str, results: Any) -> None:
    """Write results beside those of other experiments."""
    path = options.out / "results.json"
    before = (
        read_results(path).get(experiment, {}).get("trials", 0) if known_problems(options, experiment) else 0
    )
    trials = max(options.trials, before)
    keep_result(path, experiment, {**conditions(options), "trials": trials, "problems": results})


def note(line: str) -> None:
    """Progress, beside the result."""
    print(line, file=sys.stderr, flush=True)


def read(arguments: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=["table1", "ablations", "fig4", "fig5", "fig6", "reasons"])
    parser.add_argument("--data", type=Path, help="folder that holds the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--trials", type=int, default=10, metavar="N", help="1 or more, by default 10")
    parser.add_argument("--method", default="auto", help="method of the label models")
    parser.add_argument("--trunk", choices=["mlp", "lstm"], default="mlp", help="of the end model")
    parser.add_argument("--embeddings", type=Path, help="file of word vectors that the lstm starts from")
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=list(PROBLEMS))
    options = parser.parse_args(arguments)
    if options.trials < 1:
        parser.error(f"--trials must be 1 or more, got {options.trials}")
    if options.experiment != "fig4":
        if options.data is None:
            parser.error(f"{options.experiment} reads data: give --data DIR")
        for name in options.problems:
            folder = options.data / DATA[name]
            needed = ("labels.npz", "meta.json", *(() if name == "tokens" else ("texts.jsonl.gz",)))
            missing = [file for file in needed if not (folder / file).is_file()]
            if missing:
                parser.error(f"--data: {name} needs {folder / missing[0]}; or leave {name} out of --problems")
    if options.embeddings and options.trunk != "lstm":
        parser.error("--embeddings are read by --trunk lstm alone")
    if options.embeddings and not options.embeddings.is_file():
        parser.error(f"--embeddings: there is no file {options.embeddings}")
    return options


if __name__ == "__main__":
    main()
