"""How far the estimates are from the truth: errors, bounds, dependent sources, intervals, Figure 4.

    python bench/theory.py [--quick] [--draws N] [--only NAME ...] --out DIR

Votes are drawn from known truths and fitted through the public interface, in these experiments:

    errors      ||mu^ - mu*|| of P(vote, Y) against the number of items, for five truths, beside plain NumPy
                estimators and counting with the labels known, on the same draws
    bound       root mean square of that error over the Cramér-Rao bound
    dependent   sources of which q pairs copy each other: ignored, given, learned
    intervals   how often the 95 % intervals of the accuracies, and of the class balance, hold the truth
    copies      labels when five copies of the weakest of ten sources are added
    figure4     error against items with dependent sources, and seconds, beside EM and Gibbs sampling

--only takes the first words of a case, such as "errors" or "bound, k=4". Writes ``results.json`` (cases that
are already in it are kept), ``table.md`` with what was found and how it compares with the goals, and, where
matplotlib is installed, ``errors.png`` and ``figure4_left.png``, ``_middle`` and ``_right`` (not if --quick,
which times nothing).
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before NumPy is imported

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent / "paper"))

import numpy as np
from gibbs import accuracies_by_gibbs
from numpy.typing import NDArray
from synthetic import fit, time_against_n

import consilience as cs
from cramer_rao import bound
from estimators import all_references, counting
from output import keep_result, read_results
from theory_tables import draw_errors, draw_figure4, report
from truths import FAMILIES, Tables, Truth, copied, one_coin, tied, with_copies

Result = dict[str, Any]

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (300, 1_000)
METHODS = ("auto", "em", "moments", "completion")
BOUNDED = ("k=2 class-conditional", "k=4 tied", "k=4 free", "k=4 weak", "k=2 adversarial")
N_TRUTHS = 10
"""Truths among which the draws of a bound are shared."""

COPY_RATE = 0.7
N_DEPENDENT = 20_000
N_PAIRS = (0, 1, 2, 4)
FIGURE_SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
MANY_ITEMS = 20_000
"""More, and Gibbs sampling has a part of the draws."""


def mu_of(model: cs.LabelModel) -> Tables:
    """``P(vote, Y)`` of a fitted model, (m, k, k)."""
    return model.emission_[:, :-1] * model.class_balance_


def error(found: Tables, truth: Truth) -> float:
    """Frobenius distance of ``P(vote, Y)``."""
    return float(np.linalg.norm(found - truth.mu()))


# ---- errors -----------------------------------------------------------------------------------------------


def errors(name: str, n: int, draws: int) -> Result:
    """Errors of estimates from `n` items, each draw with a truth of its own; None where a method refuses."""
    found: dict[str, list[float | None]] = {}
    for draw in range(draws):
        truth = FAMILIES[name](np.random.default_rng([1, draw]))
        k, balance = truth.n_classes, truth.balance
        votes, y = truth.draw(np.random.default_rng([2, draw, n]), n)
        for method in METHODS:
            try:
                own = error(mu_of(fit(votes, n_classes=k, class_balance=balance, method=method)), truth)
            except cs.NotIdentifiableError:
                own = None
            found.setdefault(method, []).append(own)
        references = all_references(votes, balance) | {"counting": counting(votes, y, k)}
        for of, tables in references.items():
            found.setdefault(f"plain {of}", []).append(error(tables[:, :-1] * balance, truth))
    return {"truth": name, "n": n, "errors": found}


def errors_at_bound(name: str, balance_known: bool, draws: int) -> Result:
    """Squared errors and their bounds, of draws that share a few truths."""
    n = 10_000
    rows: dict[str, list[float]] = {"bound": [], "auto": [], "em": []}
    n_truths = min(N_TRUTHS, draws)
    for number in range(n_truths):
        truth = FAMILIES[name](np.random.default_rng([1, number]))
        least = bound(truth, n, balance_known=balance_known)
        given = truth.balance if balance_known else None
        for draw in range(number, draws, n_truths):
            votes, _ = truth.draw(np.random.default_rng([3, draw]), n)
            rows["bound"].append(least)
            for method in ("auto", "em"):
                model = fit(votes, n_classes=truth.n_classes, class_balance=given, method=method)
                rows[method].append(error(mu_of(model), truth) ** 2)
    return {"truth": name, "balance_known": balance_known, "n": n, "truths": n_truths, "squares": rows}


# ---- dependent sources ------------------------------------------------------------------------------------


def dependent(k: int, n_pairs: Sequence[int], draws: int) -> Result:
    """Errors and labels when q pairs of sources copy each other, by what the model is told."""
    rows: list[Result] = []
    for draw in range(draws):
        own = tied(np.random.default_rng([4, draw]), k)
        for q in n_pairs:
            pairs = [(2 * i, 2 * i + 1) for i in range(q)]
            rng = np.random.default_rng([5, draw])  # the same votes before they are copied
            votes, y = own.draw(rng, N_DEPENDENT)
            votes, truth = copied(rng, votes, pairs, COPY_RATE), with_copies(own, pairs, COPY_RATE)
            ways: dict[str, Any] = {"ignored": (), "given": pairs, "learned": "learn"}
            for way, dependencies in ways.items():
                for method in ("auto", "em"):
                    model = fit(
                        votes,
                        n_classes=k,
                        class_balance=truth.balance,
                        dependencies=dependencies,
                        method=method,
                    )
                    soft = model.predict_proba(votes)
                    rows.append(
                        {"draw": draw, "q": q, "way": way, "method": method}
                        | {"error": error(mu_of(model), truth)}
                        | {"accuracy": float((soft.argmax(axis=1) == y).mean())}
                        | {"nll": float(-np.log(np.maximum(soft[np.arange(len(y)), y], 1e-300)).mean())}
                    )
    return {"k": k, "n": N_DEPENDENT, "rows": rows}


# ---- intervals --------------------------------------------------------------------------------------------


def intervals(
    truth_of: Callable[[], Truth],
    n: int,
    method: str,
    balance: str,
    pairs: Sequence[tuple[int, int]],
    draws: int,
    *,
    learned: bool = False,
) -> Result:
    """Number of draws on which the interval of each source's accuracy lies below, and above it; the same of
    the share of each class where the balance is learned."""
    own = truth_of()
    truth = with_copies(own, pairs, COPY_RATE)
    k, accuracy = truth.n_classes, truth.accuracy()
    hits = {"accuracies": Hits(accuracy)}
    if balance == "learned":
        hits["balance"] = Hits(truth.balance)
    for draw in range(draws):
        rng = np.random.default_rng([6, draw])
        votes = copied(rng, own.draw(rng, n)[0], pairs, COPY_RATE)
        model = fit(
            votes,
            n_classes=k,
            method=method,
            class_balance=truth.balance if balance == "given" else None,
            dependencies="learn" if learned else pairs,
        )
        hits["accuracies"].add(model.accuracy_interval_)
        if balance == "learned":
            hits["balance"].add(model.class_balance_interval_)
    return {"n": n, "draws": draws} | {name: of.counted() for name, of in hits.items()}


class Hits:
    """How often intervals of some figures lie below them, and above; and those that were refused."""

    def __init__(self, truth: NDArray[np.float64]) -> None:
        self.truth = truth
        self.below, self.above, self.width = (np.zeros(len(truth)) for _ in range(3))
        self.refused = 0

    def add(self, interval: NDArray[np.float64] | None) -> None:
        """Those of one draw, (q, 2); None is an answer that was refused."""
        if interval is None:
            self.refused += 1
            return
        low, high = interval.T
        self.below += high < self.truth
        self.above += low > self.truth
        self.width += high - low

    def counted(self) -> Result:
        """The counts as they are written, and the mean width."""
        return {
            "truth": self.truth.tolist(),
            "below": self.below.tolist(),
            "above": self.above.tolist(),
            "refused": self.refused,
            "width": self.width.tolist(),
        }


TWO_PAIRS = ((0, 1), (2, 3))
FOUR_PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))


def interval_cases() -> dict[str, Callable[[int], Result]]:
    """By name, what takes the number of draws: eight binary sources with 3,000 items; with four pairs of
    copies, or four classes, ten sources with 10,000."""
    run: dict[str, Callable[[int], Result]] = {}

    def binary(m: int, *balance: float) -> Truth:
        truth = tied(np.random.default_rng(50), 2, m)
        return replace(truth, balance=np.array(balance)) if balance else truth

    for method, balance, pairs in (
        ("moments", "given", ()),
        ("moments", "learned", ()),
        ("em", "given", ()),
        ("em", "learned", ()),
        ("auto", "given", ()),
        ("auto", "learned", ()),
        ("moments", "given", TWO_PAIRS),
        ("em", "given", TWO_PAIRS),
        ("em", "learned", TWO_PAIRS),
        ("auto", "given", TWO_PAIRS),
    ):
        name = f"k=2, {method}, balance {balance}" + (", two pairs" if pairs else "")
        run[name] = partial(intervals, partial(binary, 8), 3_000, method, balance, pairs)
    for balance in ("given", "learned"):
        name = f"k=2, auto, balance {balance}, four pairs"
        case = partial(intervals, partial(binary, 10), 10_000, "auto", balance, FOUR_PAIRS)
        run[name], run[f"{name} found"] = case, partial(case, learned=True)
    for share, n in ((0.9, 1_000), (0.9, 3_000), (0.98, 3_000), (0.98, 20_000)):
        name = f"k=2, em, balance of {share:g} learned, n={n}"
        run[name] = partial(intervals, partial(binary, 8, share, 1 - share), n, "em", "learned", ())
    for family in ("k=4 tied", "k=4 free", "k=4 weak"):
        for balance in ("given", "learned"):
            run[f"{family}, auto, balance {balance}"] = partial(
                intervals,
                lambda of=FAMILIES[family]: of(np.random.default_rng(50)),
                10_000,
                "auto",
                balance,
                (),
            )
    return run


# ---- copies of a weak source ------------------------------------------------------------------------------


def copies(noise: float, draws: int) -> Result:
    """Accuracy of labels before and after five copies of the weakest of ten sources are added; a copy differs
    from the source on a share `noise` of the items."""
    rows: dict[str, list[float]] = {}
    for draw in range(draws):
        rng = np.random.default_rng([7, draw])
        accuracy = np.sort(rng.uniform(0.7, 0.9, 10))
        accuracy[0] = 0.55
        truth = one_coin(np.array([0.5, 0.5]), accuracy, rng.uniform(0.5, 0.9, 10))
        votes, y = truth.draw(rng, 10_000)
        again, _ = truth.draw(rng, 10_000)
        weakest = votes[:, :1]
        added = np.where(rng.random((len(y), 5)) < noise, again[:, :1], weakest)
        crowded = np.hstack([votes, added]).astype(np.int8)
        voted = (votes >= 0).any(axis=1)
        for method, options in {
            "auto": {},
            "auto, learn": {"dependencies": "learn"},
            "em": {"method": "em"},
            "majority": {"method": "majority"},
        }.items():
            for name, given in (("alone", votes), ("with copies", crowded)):
                labels = fit(given, n_classes=2, **options).predict(given)
                rows.setdefault(f"{method}: {name}", []).append(float((labels == y)[voted].mean()))
    return {"noise": noise, "accuracy": rows}


# ---- figure 4 ---------------------------------------------------------------------------------------------


def figure4_error(draws: int, sizes: Sequence[int] = FIGURE_SIZES) -> Result:
    """Errors against the number of items, of ten sources of which two pairs copy each other; balanced classes
    and one accuracy a source, as Gibbs sampling presumes."""
    pairs = [(0, 1), (2, 3)]
    found: dict[str, dict[int, list[float]]] = {}
    for draw in range(draws):
        rng = np.random.default_rng([8, draw])
        balance = np.array([0.5, 0.5])
        own = one_coin(balance, rng.uniform(0.6, 0.85, 10), rng.uniform(0.4, 0.9, 10))
        truth = with_copies(own, pairs, COPY_RATE)
        for n in sizes:
            apart, y = own.draw(rng, n)
            votes = copied(rng, apart, pairs, COPY_RATE)
            options = {"n_classes": 2, "class_balance": balance}
            mus = {
                "dependencies given": mu_of(fit(votes, dependencies=pairs, **options)),
                "dependencies learned": mu_of(fit(votes, dependencies="learn", **options)),
                "independent": mu_of(fit(votes, dependencies=(), method="em", **options)),
                "plain EM": all_references(votes, balance)["em by BIC"][:, :-1] * balance,
                "labels known": counting(votes, y, 2)[:, :-1] * balance,
            }
            if n <= MANY_ITEMS or draw < max(1, draws // 5):
                mus["Gibbs sampling"] = mu_of_accuracies(accuracies_by_gibbs(votes, seed=draw), votes)
            for name, mu in mus.items():
                found.setdefault(name, {}).setdefault(n, []).append(error(mu, truth))
            without = mu_of(fit(apart, dependencies=(), **options))
            found.setdefault("no copies", {}).setdefault(n, []).append(error(without, own))
    return {"errors": {name: {str(n): e for n, e in of.items()} for name, of in found.items()}}


def mu_of_accuracies(accuracy: NDArray[np.float64], votes: NDArray[np.int8]) -> Tables:
    """``P(vote, Y)`` of balanced binary votes from accuracies."""
    coverage = (votes >= 0).mean(axis=0)
    right, wrong = coverage * accuracy / 2, coverage * (1 - accuracy) / 2
    return np.where(np.eye(2) > 0, right[:, None, None], wrong[:, None, None])


# ---- the command ------------------------------------------------------------------------------------------


def cases(quick: bool, draws: int | None) -> dict[str, Callable[[], Any]]:
    """Every case by name, ready to run."""

    def number(full: int, fast: int) -> int:
        return draws or (fast if quick else full)

    sizes = QUICK_SIZES if quick else SIZES
    run: dict[str, Callable[[], Any]] = {}
    for name in FAMILIES:
        for n in sizes:
            run[f"errors, {name}, n={n}"] = partial(errors, name, n, number(100, 2))
    for name in BOUNDED:
        for known in (True, False):
            balance = "given" if known else "learned"
            case = partial(errors_at_bound, name, known, number(500, 2))
            if not (quick and (name not in BOUNDED[:1] or not known)):
                run[f"bound, {name}, balance {balance}"] = case
    for k in (2,) if quick else (2, 3):
        run[f"dependent, k={k}"] = partial(dependent, k, N_PAIRS[::3] if quick else N_PAIRS, number(50, 1))
    for name, of_case in interval_cases().items():
        if not quick or name.startswith("k=2"):
            run[f"intervals, {name}"] = partial(of_case, number(1000, 2))
    for noise in (0.0, 0.1):
        run[f"copies, {noise:.0%} noise"] = partial(copies, noise, number(20, 1))
    figure_sizes = FIGURE_SIZES[:2] if quick else FIGURE_SIZES
    run["figure4, error"] = partial(figure4_error, number(20, 1), figure_sizes)
    if not quick:
        run["figure4, time"] = partial(time_against_n, lambda line: print(line, file=sys.stderr))
    return run


def main(arguments: list[str] | None = None) -> None:
    """Run the cases and write what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--quick", action="store_true", help="the small cases, with a draw or two each")
    parser.add_argument("--draws", type=int, help="draws of each case, instead of as many as it needs")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[""], help="cases that start like this")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", cs.ConsilienceWarning)
    chosen = {
        name: run
        for name, run in cases(options.quick, options.draws).items()
        if name.startswith(tuple(options.only))
    }
    if not chosen:
        parser.error(f"no case starts with {' or '.join(options.only)}: see the experiments in --help")
    path = options.out / "results.json"
    for name, run in chosen.items():
        start = time.perf_counter()
        keep_result(path, name, run())
        print(f"{name} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
    results = read_results(path)
    lines = report(results)
    (options.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    draw_errors(results, options.out / "errors.png")
    draw_figure4(results, options.out)


if __name__ == "__main__":
    main()
