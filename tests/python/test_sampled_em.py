"""EM by way of a sample ends where EM over all rows does."""

from itertools import pairwise

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task, single_task_with_pairs

import consilience as cs
from consilience import _core, rows, sampled_em
from consilience.em import first_of_best
from consilience.rows import Distinct, Items


@pytest.fixture(params=["distinct rows", "items"])
def small_samples(request, monkeypatch):
    monkeypatch.setattr(rows, "MAX_PATTERNS", 10 if request.param == "items" else 1 << 18)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 100)
    monkeypatch.setattr(sampled_em, "SAMPLE", 2000)


def sizes_of_passes(monkeypatch):
    """Numbers of rows that EM's passes are over, as they are made."""
    sizes = []

    def counting(expect):
        def counted(over, *arguments):
            sizes.append(len(over))
            return expect(over, *arguments)

        return counted

    for kind in (Distinct, Items):
        monkeypatch.setattr(kind, "expect", counting(kind.expect))
    return sizes


TRUTHS = {
    "two classes": lambda rng: single_task(rng, 2, 9),
    "four classes": lambda rng: single_task(rng, 4, 6),
    "no abstentions": lambda rng: single_task(rng, 3, 7, abstains=False),
    "hierarchy": lambda rng: hierarchy(rng, COARSE_AND_FINE),
    "dependent pairs": lambda rng: single_task_with_pairs(rng, 3),
}


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize(
    ("abstentions", "most_patterns", "size"),
    [("informative", 1 << 18, 2000), ("missing", 1 << 18, 2000), ("informative", 10, 8000)],
    ids=["informative", "missing", "items"],
)
def test_it_ends_where_em_over_all_rows_does(name, abstentions, most_patterns, size, monkeypatch):
    rng = np.random.default_rng(3)
    exact = TRUTHS[name](rng)
    votes = draw(rng, exact, 20_000)[0]
    arguments = {
        "task_graph": exact.graph,
        "method": "em",
        "dependencies": exact.dependencies or None,
        "abstentions": abstentions,
    }
    whole = cs.LabelModel(**arguments).fit(votes)
    monkeypatch.setattr(rows, "MAX_PATTERNS", most_patterns)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", size)
    sampled = cs.LabelModel(**arguments).fit(votes)
    one, other = sampled._fitted().fit, whole._fitted().fit
    assert one.model == other.model
    np.testing.assert_allclose(one.bic[one.model], other.bic[other.model], rtol=1e-8)
    for table, expected in zip(one.tables, other.tables, strict=True):
        np.testing.assert_allclose(table.table, expected.table, atol=1e-5)
    np.testing.assert_allclose(sampled.class_balance_, whole.class_balance_, atol=1e-5)


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_it_ends_there_too_where_some_votes_are_all_but_impossible(seed, monkeypatch):
    # What the sample leaves out of a count near zero may be below zero, and the count is cut off at 0 then.
    rng = np.random.default_rng(seed)
    n, m, k = 40_000, 30, 3
    y, alike = rng.choice(k, n, p=rng.dirichlet(np.full(k, 5))), rng.random(n) < 0.15
    right = rng.random((n, m)) < rng.uniform(0.45, 0.9, m)
    votes = np.where(right, y[:, None], (y[:, None] + rng.integers(1, k, (n, m))) % k)
    votes[alike] = rng.integers(0, k, m)
    votes[rng.random((n, m)) > 0.3] = -1
    arguments = {"n_classes": k, "method": "em", "abstentions": "missing"}
    whole = cs.LabelModel(**arguments).fit(votes)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", 12_000)
    sampled = cs.LabelModel(**arguments).fit(votes)
    # At the edge even EM over all rows stops some 1e-6 before its end.
    np.testing.assert_allclose(sampled.emission_, whole.emission_, atol=1e-5)


def test_most_passes_are_over_the_sample(monkeypatch, small_samples):
    rng = np.random.default_rng(0)
    votes = draw(rng, single_task(rng, 2, 9), 50_000)[0]
    sizes = sizes_of_passes(monkeypatch)
    cs.LabelModel(n_classes=2, method="em").fit(votes)
    assert sizes.count(max(sizes)) <= 5 < len(sizes) / 3


def test_the_better_model_wins_though_the_sample_cannot_tell(monkeypatch):
    rng = np.random.default_rng(1)
    n, m = 60_000, 8
    y = rng.integers(0, 2, n)
    # Votes are a little more frequent under one class: seen in all of them, hardly in 500.
    right, voted = rng.random((n, m)) < 0.75, rng.random((n, m)) < np.where(y == 1, 0.63, 0.57)[:, None]
    votes = np.where(voted, np.where(right, y[:, None], 1 - y[:, None]), -1)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", 500)
    arguments = {"n_classes": 2, "method": "em", "class_balance": "uniform"}
    assert cs.LabelModel(**arguments).fit(votes[:500])._fitted().fit.model == "one-coin"
    assert cs.LabelModel(**arguments).fit(votes)._fitted().fit.model == "tied"


@pytest.mark.parametrize("seed", [0, 1, 11])
def test_the_narrowest_model_wins_though_the_sample_cannot_tell_it_from_a_wider_one(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    n, m, k = 12_000, 6, 3
    y = rng.integers(0, k, n)
    right, voted = rng.random((n, m)) < 0.75, rng.random((n, m)) < 0.6
    wrong = (y[:, None] + rng.integers(1, k, (n, m))) % k
    votes = np.where(voted, np.where(right, y[:, None], wrong), -1)
    arguments = {"n_classes": k, "method": "em", "class_balance": "uniform"}
    # In the sample "tied" comes to be the same fit; over all rows some abstention tells a little by chance.
    assert cs.LabelModel(**arguments).fit(votes)._fitted().fit.model == "one-coin"
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", 2000)
    assert cs.LabelModel(**arguments).fit(votes)._fitted().fit.model == "one-coin"


def test_of_models_that_are_equally_good_the_narrowest_is_chosen_whatever_the_rounding():
    assert first_of_best([1e8, 1e8 - 1e-6, 1e8 + 5.0]) == 0
    assert first_of_best([1e8, 1e8 - 0.1, 1e8 - 0.1]) == 1


def test_a_sample_that_says_too_little_is_left(monkeypatch):
    rng = np.random.default_rng(2)
    votes = draw(rng, single_task(rng, 3, 6), 5000)[0]
    whole = cs.LabelModel(n_classes=3, method="em").fit(votes)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", 250)
    model = cs.LabelModel(n_classes=3, method="em").fit(votes)
    np.testing.assert_allclose(model.emission_, whole.emission_, atol=1e-4)


def test_samples_are_the_same_for_any_order_of_the_sources(small_samples):
    rng = np.random.default_rng(4)
    votes = draw(rng, single_task(rng, 2, 9), 20_000)[0]
    order = rng.permutation(9)
    one = cs.LabelModel(n_classes=2, method="em").fit(votes)
    other = cs.LabelModel(n_classes=2, method="em").fit(votes[:, order])
    np.testing.assert_allclose(one.emission_[order], other.emission_, rtol=0, atol=1e-10)


def patterns_of(votes, k, weights=None):
    n, m = votes.shape
    view = _core.VoteView([np.ascontiguousarray(votes, dtype=np.int8)], n, m, [k])
    return _core.find_patterns(view, _core.StateCoding.of_one_task(k), weights)


@pytest.mark.parametrize(("m", "k"), [(8, 2), (30, 3), (50, 4)])  # keys of 64 bits, and none
def test_thinned_patterns_stand_for_the_items_in_proportion(m, k):
    rng = np.random.default_rng(m)
    votes = np.where(rng.random((40_000, m)) < 4 / m, rng.integers(0, k, (40_000, m)), -1)
    patterns = patterns_of(votes, k)
    thin = patterns.thinned(20.0, n_threads=1)
    assert thin.weight.sum() == pytest.approx(2000, abs=250)
    assert (thin.weight == np.floor(thin.weight)).all()
    assert (thin.weight >= 1).all()
    # The share of each vote is that among all items.
    tables, base = np.zeros((m, k + 1, 1)), np.zeros(1)
    of_all = _core.expect(patterns, tables, base, n_threads=1)[0][:, 1:, 0] / 40_000
    of_thin = _core.expect(thin, tables, base, n_threads=1)[0][:, 1:, 0] / thin.weight.sum()
    assert np.abs(of_thin - of_all).max() < 5 * np.sqrt(of_all.max() / 2000)
    again = patterns.thinned(20.0, n_threads=3)
    for part, expected in zip(again.rows(), thin.rows(), strict=True):
        np.testing.assert_array_equal(part, expected)
    with pytest.raises(ValueError, match="positive"):
        patterns.thinned(0.0, n_threads=1)


def test_thinning_draws_the_same_rows_whatever_the_order_of_items_and_columns():
    rng = np.random.default_rng(5)
    votes = np.where(rng.random((5000, 7)) < rng.uniform(0.2, 0.6, 7), rng.integers(0, 3, (5000, 7)), -1)
    order = rng.permutation(7)

    def drawn(table, place):
        start, column, state = patterns_of(table, 3).thinned(10.0, n_threads=1).rows()
        return sorted(
            tuple(sorted(zip(place[column[a:b]].tolist(), state[a:b].tolist(), strict=True)))
            for a, b in pairwise(start)
        )

    one = drawn(votes, np.arange(7))
    assert one == drawn(votes[rng.permutation(5000)][:, order], order)
    assert 100 < len(one) < len(np.unique(votes, axis=0)) / 2


def test_votes_in_chunks_and_in_one_piece_end_at_the_same_maximum(monkeypatch):
    monkeypatch.setattr(rows, "MAX_PATTERNS", 10)  # chunks are kept as distinct rows, an array as items
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 100)
    monkeypatch.setattr(sampled_em, "SAMPLE", 20_000)
    rng = np.random.default_rng(6)
    votes = draw(rng, single_task(rng, 2, 9), 60_000)[0]
    arguments = {"n_classes": 2, "method": "em"}
    one = cs.LabelModel(**arguments).fit(votes)
    other = cs.LabelModel(**arguments).fit(lambda: (votes[i : i + 7000] for i in range(0, 60_000, 7000)))
    np.testing.assert_allclose(one.emission_, other.emission_, rtol=0, atol=1e-9)


@pytest.mark.parametrize("most_patterns", [10, 1 << 18], ids=["items", "distinct rows"])
def test_sources_with_few_votes_are_drawn_to_the_others_as_by_em_over_all_rows(most_patterns, monkeypatch):
    rng = np.random.default_rng(0)
    n, m, k = 20_000, 14, 3
    y = rng.integers(0, k, n)
    coverage = np.append(np.full(8, 0.5), np.full(6, 6 / n))
    right = rng.random((n, m)) < np.append(rng.uniform(0.6, 0.9, 8), np.full(6, 0.75))
    votes = np.where(right, y[:, None], rng.integers(0, k, (n, m)))
    votes = np.where(rng.random((n, m)) < coverage, votes, -1)
    whole = cs.LabelModel(n_classes=k, method="em").fit(votes)
    monkeypatch.setattr(rows, "MAX_PATTERNS", most_patterns)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 10)
    monkeypatch.setattr(sampled_em, "SAMPLE", 8000)
    sampled = cs.LabelModel(n_classes=k, method="em").fit(votes)
    # Left alone, they confirm themselves: accuracies differ by a half.
    np.testing.assert_allclose(sampled.accuracy_, whole.accuracy_, atol=2e-3)
    np.testing.assert_allclose(sampled.predict_proba(votes), whole.predict_proba(votes), atol=2e-3)
