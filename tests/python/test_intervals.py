"""Intervals cover the true accuracy about as often as they say, whichever the method and the source."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from enumeration import draw, single_task

import consilience as cs
from consilience.information import likelihood_uncertainty
from consilience.tied import SourceTable

RUNS = 60


def votes_of(rng, accuracies, n):
    label = rng.integers(0, 2, (n, 1))
    votes = np.where(rng.random((n, len(accuracies))) < accuracies, label, 1 - label)
    votes[rng.random(votes.shape) < 0.4] = -1
    return votes


def coverage(method, accuracies, n):
    """Share of the fits whose interval holds the truth, for each source."""
    inside = []
    for seed in range(RUNS):
        votes = votes_of(np.random.default_rng(seed), accuracies, n)
        low, high = (
            cs.LabelModel(n_classes=2, method=method, class_balance="uniform").fit(votes).accuracy_interval_.T
        )
        inside.append((low <= accuracies) & (accuracies <= high))
    return np.mean(inside, axis=0)


@pytest.mark.parametrize("method", ["moments", "completion", "em"])
def test_intervals_cover_the_truth_by_every_method(method):
    covered = coverage(method, np.array([0.9, 0.8, 0.7, 0.75, 0.65]), 2000)
    # 95 % of 60 has a standard error of 0.028; three of them below.
    assert (covered >= 0.86).all()


@pytest.mark.parametrize("weak", [0.5, 0.55])
def test_intervals_of_a_source_that_hardly_tells_anything_cover_the_truth(weak):
    covered = coverage("auto", np.array([0.9, 0.8, 0.7, 0.75, weak]), 1000)
    assert covered[-1] >= 0.86


def test_intervals_narrow_with_the_root_of_the_number_of_items():
    exact = single_task(np.random.default_rng(0), 2, 5)
    widths = []
    for n in (2000, 32_000):
        votes, _ = draw(np.random.default_rng(1), exact, n)
        low, high = (
            cs.LabelModel(n_classes=2, class_balance=exact.class_balance).fit(votes).accuracy_interval_.T
        )
        widths.append((high - low).mean())
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.15)


def test_what_was_not_learned_has_no_interval_in_the_summary():
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel(n_classes=2).fit([[0, 0], [1, 1], [0, 1]])
    assert model.accuracy_interval_.tolist() == [[0.0, 1.0]] * 2
    assert [row["interval"] for row in model.summary()] == [None, None]


@pytest.mark.parametrize("method", ["moments", "completion"])
def test_a_fit_has_the_same_bits_for_any_number_of_blas_threads(method):
    script = textwrap.dedent(f"""
        import hashlib, numpy as np, consilience as cs
        rng = np.random.default_rng(0)
        label = rng.integers(0, 2, (3000, 1))
        votes = np.where(rng.random((3000, 200)) < rng.uniform(0.6, 0.9, 200), label, 1 - label)
        votes[rng.random(votes.shape) < 0.5] = -1
        model = cs.LabelModel(n_classes=2, method={method!r}).fit(votes)
        print(hashlib.sha256(model.emission_.tobytes() + model.predict_proba(votes).tobytes()).hexdigest())
    """)
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("k", [2, 20])  # with 20 classes there are too many parameters for the information
def test_intervals_of_em_lie_around_the_accuracies_it_shows(k):
    rng = np.random.default_rng(0)
    label = rng.integers(0, k, (4000, 1))
    votes = np.where(rng.random((4000, 6)) < 0.7, label, rng.integers(0, k, (4000, 6)))
    model = cs.LabelModel(n_classes=k, method="em", class_balance="uniform").fit(votes)
    low, high = model.accuracy_interval_.T
    np.testing.assert_allclose((low + high) / 2, model.accuracy_, atol=1e-9)
    assert (high - low < 0.1).all()


def test_what_only_a_belief_tells_has_no_interval():
    votes = votes_of(np.random.default_rng(0), np.array([0.8, 0.7]), 3000)
    beliefs = {0: (0.8, 50), 1: (0.7, 50)}
    model = cs.LabelModel(n_classes=2, method="em", accuracy_prior=beliefs).fit(votes)
    np.testing.assert_array_equal(model.accuracy_interval_, [[0.0, 1.0]] * 2)
    assert model.class_balance_error_ is None
    assert "how sure it is is not known" in str(model.summary())


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("freedom", ["one-coin", "tied", "free"])
def test_the_likelihood_is_flat_for_two_sources_and_curved_for_three(k, freedom):
    for m in (2, 3):
        exact = single_task(np.random.default_rng(1), k, m)
        tables = [SourceTable(np.arange(k)[:, None], source.table) for source in exact.sources]
        masks = [np.eye(k, dtype=bool)] * m
        intervals, error = likelihood_uncertainty(
            tables,
            masks,
            np.ones(m, dtype=bool),
            None,
            [],
            model=freedom,
            class_balance=exact.class_balance,
            balance_learned=True,
            n=1e9,
        )
        if m == 3:
            assert (np.diff(intervals) < 0.1).all()
            assert (error < 0.1).all()
        elif freedom != "one-coin":
            np.testing.assert_array_equal(intervals, [[0.0, 1.0]] * m)
            assert error is None or k > 2  # more classes tell the balance, if the tables are tied


def test_votes_that_hardly_occur_leave_intervals_as_they_are():
    rng = np.random.default_rng(0)
    exact = single_task(rng, 3, 4)
    common = [np.vstack([s.table[:-1] * 0.99999999, s.table[-1:]]) for s in exact.sources]
    for table in common:
        table[-1] = 1 - table[:-1].sum(axis=0)
    rare = [table.copy() for table in common]
    for table in rare:  # one class that is next to never voted for
        table[-1] += table[2] * (1 - 1e-9)
        table[2] *= 1e-9
    masks = [np.eye(3, dtype=bool)] * 4
    intervals, _ = likelihood_uncertainty(
        [SourceTable(np.arange(3)[:, None], table) for table in rare],
        masks,
        np.ones(4, dtype=bool),
        None,
        [],
        model="free",
        class_balance=exact.class_balance,
        balance_learned=False,
        n=1e9,
    )
    assert (np.diff(intervals) < 0.1).all()


@pytest.mark.parametrize("last", [np.ones(2000, dtype=int), np.append(0, np.ones(1999, dtype=int))])
def test_a_source_that_says_always_the_same_leaves_the_intervals_of_others_as_they_are(last):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 2000)
    votes = np.where(rng.random((2000, 5)) < 0.8, label[:, None], 1 - label[:, None])
    votes[rng.random((2000, 5)) > 0.9] = -1
    without = cs.LabelModel(n_classes=2, method="moments").fit(votes)
    beside = cs.LabelModel(n_classes=2, method="moments").fit(np.column_stack([votes, last]))
    widths = np.ptp(without.accuracy_interval_, axis=1)
    np.testing.assert_allclose(np.ptp(beside.accuracy_interval_[:5], axis=1), widths, rtol=0.1)
    assert beside.plan(0.01).n_items > 2000
