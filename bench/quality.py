"""Quality on real votes: the default label model beside other methods, without any gold label in a fit.

    python bench/quality.py --data DIR [--others FILE] --out DIR

DIR holds one folder a set: ``labels.npz`` with ``L`` (n, m) votes, -1 abstains, ``y`` (n,) gold, -1 unknown,
and ``split`` (n,), 2 for test; ``meta.json`` with ``n_classes``, ``metric`` and, where it is not to be read
off the name, ``family`` ("functions", "crowd" or "judges"). Each model is fitted once on the votes of every
item, with default settings, and scored on test items with gold (all with gold where there are none) on which
some source votes; ties count at their expected value. FILE may bring figures of other systems:
``{system: {set: {"metric": .., "brier": .., "seconds": ..}}}``.

The same is done on synthetic votes with known truth, in families with and without dependence between
sources. Writes ``results.json``, ``table.md`` and, where matplotlib is installed, ``reliability.png``.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import consilience as cs
from output import pyplot

METHODS = ("auto", "em", "majority")
FAMILIES = ("functions", "crowd", "judges")
N_BINS = 15
N_JITTERS = 20


@dataclass(frozen=True)
class VoteSet:
    """Votes with gold to measure by."""

    name: str
    family: str
    votes: np.ndarray
    gold: np.ndarray
    measured: np.ndarray
    n_classes: int
    metric: str


@dataclass
class Score:
    """How good the labels of one model are on one set."""

    metric: float
    brier: float
    ece: float
    seconds: float


def read_sets(folder: Path) -> list[VoteSet]:
    """Every set of a folder with gold for some item that a source votes on."""
    sets = []
    for path in sorted(folder.iterdir()):
        if not (path / "labels.npz").exists():
            continue
        arrays, meta = np.load(path / "labels.npz"), json.loads((path / "meta.json").read_text())
        votes, gold, split = arrays["L"], arrays["y"].astype(int), arrays["split"].astype(int)
        if votes.shape[1] == 0:
            continue
        test = (split == 2) & (gold >= 0)
        measured = (test if test.any() else gold >= 0) & (votes >= 0).any(axis=1)
        if not measured.any():
            continue
        metric = "accuracy" if path.name.endswith("_tokens") else meta["metric"].split()[0]
        sets.append(
            VoteSet(
                path.name, family_of(path.name, meta), votes, gold, measured, int(meta["n_classes"]), metric
            )
        )
    return sets


def family_of(name: str, meta: dict) -> str:
    """What kind of sources a set has."""
    if "family" in meta:
        return meta["family"]
    if name.startswith("judges_"):
        return "judges"
    return "crowd" if name.startswith("crowd_") or name == "cifar10n" else "functions"


def hit_rate(gold: np.ndarray, soft: np.ndarray, metric: str) -> float:
    """The set's metric in percent; equal probabilities are told apart at random, many times."""
    rng = np.random.default_rng(0)
    k, values = soft.shape[1], []
    for _ in range(N_JITTERS):
        label = (soft + 1e-9 * rng.random(soft.shape)).argmax(axis=1)
        if metric.startswith("f1"):
            classes = [1] if "binary" in metric else range(k)
            values.append(np.mean([f1(gold, label, c) for c in classes]))
        else:
            values.append(np.mean(label == gold))
    return 100 * float(np.mean(values))


def f1(gold: np.ndarray, label: np.ndarray, c: int) -> float:
    """F1 of one class."""
    both = ((label == c) & (gold == c)).sum()
    return 2 * both / max(1, (label == c).sum() + (gold == c).sum())


def reliability(gold: np.ndarray, soft: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of items, mean confidence and accuracy of each bin of confidence."""
    confidence, right = soft.max(axis=1), soft.argmax(axis=1) == gold
    at = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    count = np.bincount(at, minlength=N_BINS)
    mean = [np.bincount(at, of, N_BINS) / np.maximum(count, 1) for of in (confidence, right)]
    return count / len(gold), mean[0], mean[1]


def score(gold: np.ndarray, soft: np.ndarray, metric: str, seconds: float) -> Score:
    """All figures of one model's probabilities."""
    share, confidence, accuracy = reliability(gold, soft)
    brier = ((soft - np.eye(soft.shape[1])[gold]) ** 2).sum(axis=1).mean()
    ece = float(share @ np.abs(confidence - accuracy))
    return Score(hit_rate(gold, soft, metric), float(brier), ece, seconds)


def label(votes: np.ndarray, n_classes: int, method: str) -> tuple[np.ndarray, float]:
    """Probabilities by one method, and the seconds that fit and prediction took."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        soft = cs.LabelModel(n_classes=n_classes, method=method).fit(votes).predict_proba(votes)
    return soft, time.perf_counter() - began


# ---- synthetic votes: what is true is known -------------------------------------------------------------


def one_sided(n: int, rng: np.random.Generator, *, copies: float = 0.0, share: float = 0.5, m: int = 10):
    """Sources that vote for one of two classes only; `copies` of their votes are another's."""
    y = (rng.random(n) < share).astype(int)
    votes = np.full((n, m), -1)
    for j in range(m):
        lift, rate = rng.uniform(1.5, 12), rng.uniform(0.05, 0.4)
        of_class = share if j % 2 else 1 - share
        high = min(0.95, rate / (of_class + (1 - of_class) / lift))
        votes[rng.random(n) < np.where(y == j % 2, high, high / lift), j] = j % 2
    for j in range(m):
        copied = rng.random(n) < copies
        votes[copied, j] = votes[copied, (j + 2) % m]
    return votes, y, 2


def two_sided(
    n: int, rng: np.random.Generator, *, copies: float = 0.0, share: float = 0.5, adversaries: int = 0
):
    """Ten sources that vote for both classes, each with an accuracy for each class."""
    y = (rng.random(n) < share).astype(int)
    accuracy = rng.uniform(0.6, 0.95, (10, 2))
    accuracy[:adversaries] = 1 - accuracy[:adversaries]
    votes = np.where(rng.random((n, 10)) < accuracy[:, y].T, y[:, None], 1 - y[:, None])
    votes[rng.random((n, 10)) > rng.uniform(0.3, 0.8, 10)] = -1
    for j in range(6, 10):
        copied = rng.random(n) < copies
        votes[copied, j] = votes[copied, 5]
    return votes, y, 2


def confused(n: int, rng: np.random.Generator):
    """Four classes, ten sources that confuse them each in a way of its own."""
    y = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1])
    votes = np.empty((n, 10), dtype=int)
    for j in range(10):
        table = 0.5 * rng.dirichlet(np.ones(4), 4) + 0.5 * np.eye(4)
        votes[:, j] = (rng.random(n)[:, None] > np.cumsum(table[y], axis=1)).sum(axis=1).clip(0, 3)
    votes[rng.random((n, 10)) > 0.5] = -1
    return votes, y, 4


def crowd(n: int, rng: np.random.Generator):
    """Eighty workers, five votes an item, three classes."""
    y = rng.integers(0, 3, n)
    right = rng.random((n, 80)) < rng.beta(8, 3, 80)
    votes = np.where(right, y[:, None], (y[:, None] + rng.integers(1, 3, (n, 80))) % 3)
    asked = np.argsort(rng.random((n, 80)), axis=1)[:, :5]
    kept = np.zeros((n, 80), dtype=bool)
    np.put_along_axis(kept, asked, True, axis=1)
    return np.where(kept, votes, -1), y, 3


def team(n: int, rng: np.random.Generator):
    """Eight good sources, and eight that repeat a weak one but for one vote in ten."""
    y = rng.integers(0, 2, n)
    good = np.where(rng.random((n, 8)) < rng.uniform(0.7, 0.85, 8), y[:, None], 1 - y[:, None])
    leader = np.where(rng.random(n) < 0.6, y, 1 - y)
    copies = np.where(rng.random((n, 8)) < 0.9, leader[:, None], 1 - leader[:, None])
    return np.hstack([good, copies]), y, 2


def two_orders(n: int, rng: np.random.Generator):
    """Judges of whom half are asked in the other order; on ambiguous items each names what it read first."""
    y, ambiguous = rng.integers(0, 2, n), rng.random(n) < 0.4
    votes = np.where(rng.random((n, 16)) < rng.uniform(0.7, 0.8, 16), y[:, None], 1 - y[:, None])
    return np.where(ambiguous[:, None], np.arange(16) % 2, votes), y, 2


def trait(n: int, rng: np.random.Generator):
    """Ten one-sided sources that all fire more on items with some trait, which tells nothing of the label."""
    y, has = (rng.random(n) < 0.3).astype(int), rng.random(n) < 0.5
    votes = np.full((n, 10), -1)
    for j in range(10):
        high = rng.uniform(0.2, 0.5)
        rate = np.where(y == j % 2, high, high * rng.uniform(0.1, 0.4)) * np.where(has, 1.5, 0.5)
        votes[rng.random(n) < rate, j] = j % 2
    return votes, y, 2


SYNTHETIC: dict[str, Callable] = {
    "one-sided": one_sided,
    "one-sided, minority of 10 %": lambda n, rng: one_sided(n, rng, share=0.1, m=12),
    "one-sided, half the votes copied": lambda n, rng: one_sided(n, rng, copies=0.5, m=12),
    "two-sided": two_sided,
    "two-sided, minority of 2 %": lambda n, rng: two_sided(n, rng, share=0.02),
    "two-sided, four of ten adversaries": lambda n, rng: two_sided(n, rng, adversaries=4),
    "two-sided, four copy a fifth": lambda n, rng: two_sided(n, rng, copies=0.6),
    "four one-sided, minority of 10 %": lambda n, rng: one_sided(n, rng, share=0.1, m=4),
    "eight and a team of eight": team,
    "judges of two orders": two_orders,
    "one-sided, a shared trait": trait,
    "four classes, confused": confused,
    "crowd": crowd,
}


# ---- what is written ------------------------------------------------------------------------------------


def means(scores: dict[str, dict[str, Score]], family: list[str]) -> dict[str, Score]:
    """Mean figures of each system over the sets of a family that all of them have."""
    result = {}
    for system, of_set in scores.items():
        own = [of_set[name] for name in family if name in of_set]
        if len(own) == len(family):
            result[system] = Score(*(float(np.mean([getattr(s, f) for s in own])) for f in asdict(own[0])))
    return result


def table_lines(title: str, rows: dict[str, dict[str, Score]]) -> list[str]:
    """A Markdown table: a row a set, a column a system, metric / Brier."""
    systems = list(dict.fromkeys(system for of_system in rows.values() for system in of_system))
    lines = [f"| {title} | " + " | ".join(systems) + " |", "|---" * (len(systems) + 1) + "|"]
    for name, of_system in rows.items():
        cells = [
            f"{of_system[s].metric:.1f} / {of_system[s].brier:.3f}" if s in of_system else "" for s in systems
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def draw_reliability(curves: dict[str, dict[str, tuple]], path: Path) -> None:
    """Accuracy against confidence, one panel a set, where matplotlib is installed."""
    plt = pyplot()
    if plt is None:
        return
    n_columns = 5
    n_rows = -(-len(curves) // n_columns)
    figure, axes = plt.subplots(
        n_rows, n_columns, figsize=(3 * n_columns, 3 * n_rows), sharex=True, sharey=True, squeeze=False
    )
    colours = {"auto": "C0", "majority": "C1"}
    for axis, (name, of_method) in zip(axes.ravel(), curves.items(), strict=False):
        axis.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
        for method, colour in colours.items():
            share, confidence, accuracy = of_method[method]
            seen = share > 0
            axis.plot(confidence[seen], accuracy[seen], color=colour, linewidth=1)
            axis.scatter(
                confidence[seen], accuracy[seen], s=4 + 120 * share[seen], color=colour, label=method
            )
        axis.set_title(name, fontsize=9)
    for axis in axes.ravel()[len(curves) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    for axis in axes[-1]:
        axis.set_xlabel("confidence")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder of sets; without it only synthetic votes are labelled"
    )
    parser.add_argument("--others", type=Path, help="figures of other systems")
    parser.add_argument("--trials", type=int, default=5, help="draws of each synthetic family")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines, results = [], {}
    if arguments.data is not None:
        sets = read_sets(arguments.data)
        lines, results = measure_sets(sets, arguments)
    synthetic: dict[str, dict[str, Score]] = {}
    for name, family in SYNTHETIC.items():
        of_method: dict[str, list[Score]] = {method: [] for method in METHODS}
        for trial in range(arguments.trials):
            votes, gold, k = family(10_000, np.random.default_rng(trial))
            voted = (votes >= 0).any(axis=1)
            for method in METHODS:
                soft, seconds = label(votes.astype(np.int8), k, method)
                of_method[method].append(score(gold[voted], soft[voted], "accuracy", seconds))
        synthetic[name] = {
            method: Score(*(float(np.mean([getattr(s, f) for s in own])) for f in asdict(own[0])))
            for method, own in of_method.items()
        }
    lines += ["", *table_lines(f"synthetic, n = 10,000, mean of {arguments.trials}", synthetic)]
    results["synthetic"] = {n: {s: asdict(v) for s, v in row.items()} for n, row in synthetic.items()}
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(lines))


def measure_sets(sets: list[VoteSet], arguments: argparse.Namespace) -> tuple[list[str], dict]:
    """Table lines and results of the real sets; draws the reliability plot."""
    scores: dict[str, dict[str, Score]] = {method: {} for method in METHODS}
    curves: dict[str, dict[str, tuple]] = {}
    for one in sets:
        gold = one.gold[one.measured]
        curves[one.name] = {}
        for method in METHODS:
            soft, seconds = label(one.votes, one.n_classes, method)
            scores[method][one.name] = score(gold, soft[one.measured], one.metric, seconds)
            curves[one.name][method] = reliability(gold, soft[one.measured])
    if arguments.others is not None:
        for system, of_set in json.loads(arguments.others.read_text()).items():
            known = {
                n: v for n, v in of_set.items() if v.get("metric") is not None and v.get("brier") is not None
            }
            name = system if system not in scores else f"{system} (given)"
            scores[name] = {
                n: Score(v["metric"], v["brier"], float("nan"), v.get("seconds", float("nan")))
                for n, v in known.items()
            }
    lines: list[str] = []
    for family in FAMILIES:
        names = [one.name for one in sets if one.family == family]
        if not names:
            continue
        rows = {n: {s: of_set[n] for s, of_set in scores.items() if n in of_set} for n in names}
        rows[f"mean of {len(names)}"] = means(scores, names)
        lines += ["", *table_lines(f"{family}: metric / Brier", rows)]
        auto, vote = scores["auto"], scores["majority"]
        below = sum(auto[n].metric < vote[n].metric - 1 for n in names)
        better = sum(auto[n].ece < vote[n].ece for n in names)
        lines.append(
            f"\nmore than a point below majority vote on {below} of {len(names)}; calibration error below "
            f"majority vote's on {better} of {len(names)}; {sum(auto[n].seconds for n in names):.1f} s to "
            "fit and predict all"
        )
    draw_reliability(curves, arguments.out / "reliability.png")
    return lines, {"sets": {s: {n: asdict(v) for n, v in of_set.items()} for s, of_set in scores.items()}}


if __name__ == "__main__":
    main()
