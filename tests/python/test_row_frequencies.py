"""Few sources are tested by the frequencies of whole rows."""

import itertools

import numpy as np
import pytest
from enumeration import single_task, single_task_with_pairs

import consilience as cs
from consilience.row_frequencies import RowFrequencies
from consilience.tied import SourceTable


def tables_of(exact):
    return [SourceTable(source.events, source.table) for source in exact.sources]


def columns_of(exact):
    return list(exact.states.T.copy())


def share_of(exact, n, *, tables=None, weights=None, missing=False):
    tables = tables_of(exact) if tables is None else tables
    weights = n * exact.probability if weights is None else weights
    rows = RowFrequencies.of(tables, columns_of(exact), weights, missing=missing)
    return rows.unexplained_share(tables, exact.class_balance, "tied")


def slow_share(tables, states, weights, class_balance, model):
    """Row by row, where abstentions are states like others."""
    n, k = weights.sum(), len(class_balance)
    pairs = list(zip(tables, states, strict=True))
    rates = [[weights[s == i].sum() / n for i in range(len(t.table))] for t, s in pairs]
    residual = without_label = 0.0
    n_seen = 0
    for cell in itertools.product(*(range(len(t.table)) for t in tables)):
        met = sum(w for *row, w in zip(*states, weights, strict=True) if tuple(row) == cell)
        of_label = n * sum(
            p * np.prod([t.table[s, y] for t, s in zip(tables, cell, strict=True)])
            for y, p in enumerate(class_balance)
        )
        alone = n * np.prod([rate[s] for rate, s in zip(rates, cell, strict=True)])
        most = max(of_label, alone)
        if most >= 5:
            n_seen += 1
            residual += (met - of_label) ** 2 / most
            without_label += (met - alone) ** 2 / most
    votes = [len(t.events) for t in tables]
    chosen = k - 1 + sum(2 * s if model == "tied" else k * s for s in votes)
    excess = max(0.0, residual - max(n_seen - 1 - chosen, 1))
    return min(excess / max(without_label - max(n_seen - 1 - sum(votes), 1), 1.0), 1.0)


@pytest.mark.parametrize("model", ["tied", "free"])
@pytest.mark.parametrize("seed", range(6))
def test_the_share_is_that_of_a_sum_over_rows(seed, model):
    rng = np.random.default_rng(seed)
    exact = single_task(rng, int(rng.integers(2, 4)), m=3)
    weights = rng.poisson(exact.probability * 3_000).astype(float)
    tables, columns = tables_of(exact), columns_of(exact)
    share = RowFrequencies.of(tables, columns, weights, missing=False).unexplained_share(
        tables, exact.class_balance, model
    )
    assert share == pytest.approx(slow_share(tables, columns, weights, exact.class_balance, model), abs=1e-12)


def test_independent_sources_leave_nothing_unexplained():
    assert share_of(single_task(np.random.default_rng(0), 3, m=3), 1e6) < 1e-6


def test_copies_leave_much_unexplained():
    assert share_of(single_task_with_pairs(np.random.default_rng(2), 2, rate=0.6), 1e6) > 0.05


def test_a_plan_of_who_votes_is_unexplained_unless_votes_are_read_given_who_votes():
    exact = single_task(np.random.default_rng(1), 2, m=3)
    tables = [table.with_one_silence(exact.class_balance) for table in tables_of(exact)]
    n_votes = (exact.states < [len(s.events) for s in exact.sources]).sum(axis=1)
    probability = np.tile(exact.class_balance, (len(exact.states), 1))
    for table, states in zip(tables, exact.states.T, strict=True):
        probability = probability * table.table[states]
    weights = 1e6 * probability.sum(axis=1) * (1 + 2 * (n_votes == 2))
    shares = [
        share_of(exact, 1, tables=tables, weights=weights, missing=missing) for missing in (False, True)
    ]
    assert shares[0] > 0.05
    assert shares[1] < 1e-6


def test_rows_tell_as_many_numbers_as_there_are_less_their_sum():
    exact = single_task(np.random.default_rng(3), 2, m=3)  # three states each
    rows = RowFrequencies.of(tables_of(exact), columns_of(exact), 1e6 * exact.probability, missing=False)
    assert rows.freedom("tied", 2) == (26, 13)
    assert rows.freedom("one-coin", 2) == (26, 10)
    # Given who votes: 27 rows less 8 sums; each vote is one number a label.
    rows = RowFrequencies.of(tables_of(exact), columns_of(exact), 1e6 * exact.probability, missing=True)
    assert rows.freedom("free", 2) == (19, 7)


def test_rows_that_are_hardly_met_tell_nothing():
    exact = single_task(np.random.default_rng(3), 2, m=3)
    rows = RowFrequencies.of(tables_of(exact), columns_of(exact), 20 * exact.probability, missing=False)
    assert rows.freedom("tied", 2)[0] < 5


def test_rows_that_may_be_too_many_are_not_looked_at():
    exact = single_task(np.random.default_rng(4), 2, m=3)
    tables, columns = 4 * tables_of(exact), 4 * columns_of(exact)
    assert RowFrequencies.of(tables, columns, exact.probability, missing=False) is None


def few_sources(seed, n=20_000, m=4, copies=0.0):
    """Votes of one-sided sources, for either class in turn, one item in ten of the second, and the labels."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.1).astype(np.int64)
    votes = np.full((n, m), -1, dtype=np.int8)
    for j in range(m):
        fires = rng.random(n) < np.where(label == j % 2, 0.4, 0.08)
        if j == m - 1:
            fires = np.where(rng.random(n) < copies, votes[:, j - 2] >= 0, fires)
        votes[fires, j] = j % 2
    return votes, label


def words(model):
    """Summary in one line."""
    return " ".join(str(model.summary()).split())


@pytest.mark.parametrize("seed", range(3))
def test_four_independent_sources_are_fitted_by_their_likelihood(seed):
    votes, label = few_sources(seed, n=100_000)
    model = cs.LabelModel(n_classes=2).fit(votes)
    likely = cs.LabelModel(n_classes=2, method="em").fit(votes)
    np.testing.assert_array_equal(model.predict_proba(votes), likely.predict_proba(votes))
    assert model.class_balance_[1] == pytest.approx(0.1, abs=0.03)
    spoken = (votes >= 0).any(axis=1)
    assert np.mean(model.predict(votes)[spoken] == label[spoken]) > 0.9


def test_of_four_sources_one_that_copies_is_noticed():
    votes, _ = few_sources(0, copies=0.6)
    model = cs.LabelModel(n_classes=2).fit(votes)
    assert "of what votes tell of each other unexplained" in words(model)


def test_three_sources_that_always_vote_are_not_tested_by_themselves():
    # Eight rows tell seven numbers, as many as a fit chooses.
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 5_000)
    votes = np.where(rng.random((5_000, 3)) < 0.75, label[:, None], 1 - label[:, None])
    assert "too few to tell" in words(cs.LabelModel(n_classes=2).fit(votes))
