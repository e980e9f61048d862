"""The figures of ``bench/theory.py``: its references on populations written out in full, and a quick run."""

import importlib
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import consilience as cs

FOLDER = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module", autouse=True)
def _paths():
    before = sys.path.copy()
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path[:] = before


def load(name):
    return importlib.import_module(name)


def population(truth):
    """Every vote vector with its probability, as rows of the plain estimators."""
    m, s, k = truth.tables.shape
    states = np.array(list(itertools.product(range(s), repeat=m)))
    joint = np.prod([truth.tables[j, states[:, j]] for j in range(m)], axis=0) * truth.balance
    one_hot = np.eye(s)[states].reshape(len(states), -1)
    return load("estimators").Rows(one_hot, joint.sum(axis=1), 10**9, m, k)


def test_plain_estimators_are_exact_on_a_population_of_their_model():
    truths, estimators = load("truths"), load("estimators")
    rng = np.random.default_rng(0)
    accuracy, coverage = rng.uniform(0.6, 0.9, 5), rng.uniform(0.4, 0.8, 5)
    of_model = {
        "one-coin": truths.one_coin(truths.balance_of(3), accuracy, coverage),
        "tied": truths.tied(rng, 3, m=5),
    }
    for model, truth in of_model.items():
        rows = population(truth)
        start = estimators.moments(rows, truth.balance)
        np.testing.assert_allclose(start, truth.tables, atol=1e-7)
        found, _ = estimators.em(rows, truth.tables, truth.balance, model)
        np.testing.assert_allclose(found, truth.tables, atol=1e-7)


def test_em_by_bic_takes_free_tables_for_sources_that_confuse_classes():
    truths, estimators = load("truths"), load("estimators")
    truth = truths.free(np.random.default_rng(0), 4)
    votes, _ = truth.draw(np.random.default_rng(1), 2_000)
    found = estimators.all_references(votes, truth.balance)
    assert found["em by BIC"] is found["em free"]


def test_the_bound_is_the_variance_of_counting_where_votes_tell_the_label_and_less_with_fewer_parameters():
    truths, bound = load("truths"), load("cramer_rao").bound
    accuracy, coverage = np.array([0.7, *[0.999] * 5]), np.array([0.6, *[0.999] * 5])
    truth = truths.one_coin(truths.balance_of(3), accuracy, coverage)
    counting = (truth.balance * truth.tables * (1 - truth.tables))[:, :-1].sum() / 500
    free, tied, one_coin = (bound(truth, 500, model=model) for model in ("free", "tied", "one-coin"))
    assert free == pytest.approx(counting, rel=0.01)
    assert one_coin < 0.95 * tied < 0.95**2 * free


def test_a_class_balance_that_is_to_be_learned_raises_the_bound():
    truths, bound = load("truths"), load("cramer_rao").bound
    truth = truths.tied(np.random.default_rng(0), 2, m=6)
    assert bound(truth, 500, balance_known=False) > 1.02 * bound(truth, 500)


def test_a_quick_run_writes_results_and_tables_and_keeps_what_is_there(tmp_path, capsys):
    theory = load("theory")
    start = ["--quick", "--out", str(tmp_path), "--only"]
    theory.main([*start, "errors, k=2", "copies, 0%"])
    theory.main([*start, "bound", "dependent", "intervals, k=2, em, balance given", "figure4, error"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert {name.split(",")[0] for name in results} == {
        "errors",
        "bound",
        "dependent",
        "intervals",
        "copies",
        "figure4",
    }
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    for heading in ("Errors", "Cramér-Rao bound", "Dependent sources", "Intervals", "Copies", "Goals"):
        assert f"## {heading}\n" in table
    assert "nan" not in table.split("## Goals")[0].replace("± nan", "")


@pytest.mark.parametrize("draw", [43, 61, 78])
def test_weak_independent_sources_stand_their_test_whatever_chance_leaves_unexplained(draw):
    truth = load("truths").FAMILIES["k=4 weak"](np.random.default_rng([1, draw]))
    votes, _ = truth.draw(np.random.default_rng([2, draw, 100_000]), 100_000)
    fit = cs.LabelModel(n_classes=4, class_balance=truth.balance).fit(votes)
    assert "maximum likelihood" in " ".join(str(fit.summary()).split())
