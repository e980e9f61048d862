"""Passes over items say what passes over their distinct rows do, and which it is depends on the votes."""

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task, single_task_with_pairs

import consilience as cs
from consilience import rows
from consilience.events import code_votes
from consilience.rows import Distinct, Items, Stored, rows_of
from consilience.votes import as_votes


def items_of(votes, k, graph=None):
    graph = cs.TaskGraph({"label": k}) if graph is None else graph
    read = as_votes(votes, n_classes=None if isinstance(votes, dict) else k, task_graph=None)
    coded = code_votes(read, graph)
    return Items(Stored(read, graph, coded.coding), None, coded.coding.n_states)


def drawn(n, m, k, coverage=0.3, seed=0):
    rng = np.random.default_rng(seed)
    votes = np.where(rng.random((n, m)) < coverage, rng.integers(0, k, (n, m)), -1)
    return votes.astype(np.int8)


def scores(m, n_states, n_vectors, seed=1):
    rng = np.random.default_rng(seed)
    of_state = rng.normal(size=(m, n_states, n_vectors))
    of_state[:, 0] = 0.0
    return of_state, rng.normal(size=n_vectors)


def by_definition(votes, of_state, base):
    """Slow twin: one item at a time."""
    counts, of_vector, log_likelihood = np.zeros_like(of_state), np.zeros_like(base), 0.0
    for row in votes:
        of_row = base + sum(of_state[j, vote + 1] for j, vote in enumerate(row))
        total = np.exp(of_row).sum()
        log_likelihood += np.log(total)
        of_vector += np.exp(of_row) / total
        for j, vote in enumerate(row):
            if vote >= 0:
                counts[j, vote + 1] += np.exp(of_row) / total
    return counts, of_vector, log_likelihood


@pytest.mark.parametrize(("m", "k"), [(1, 2), (7, 2), (70, 2), (5, 3), (6, 9), (4, 20)])
def test_a_pass_over_items_and_one_over_distinct_rows_are_those_of_the_definition(m, k):
    votes = drawn(700, m, k)
    items = items_of(votes, k)
    found = items.expect(*scores(m, k + 1, k), 1)
    of_rows = Distinct(items.patterns(1)).expect(*scores(m, k + 1, k), 1)
    expected = by_definition(votes, *scores(m, k + 1, k))
    for one, other, exact in zip(found, of_rows, expected, strict=True):
        # Items' probabilities are rounded to multiples of 2^-31.
        np.testing.assert_allclose(one, exact, rtol=1e-12, atol=700 * k * 2.0**-32)
        np.testing.assert_allclose(other, exact, rtol=1e-11, atol=1e-11)


def test_a_pass_over_items_has_the_same_bits_for_any_threads_memory_order_and_storage():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    votes = drawn(30_000, 11, 3)
    expected = items_of(votes, 3).expect(*scores(11, 4, 3), 1)
    for form in (votes, np.asfortranarray(votes), votes.astype(np.int32), scipy_sparse.csr_array(votes + 1)):
        for n_threads in (1, 2, 5):
            found = items_of(form, 3).expect(*scores(11, 4, 3), n_threads)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)


def test_expected_counts_of_items_do_not_depend_on_their_order():
    votes = drawn(20_000, 9, 2)
    expected = items_of(votes, 2).expect(*scores(9, 3, 2), 1)
    again = items_of(np.random.default_rng(3).permutation(votes), 2).expect(*scores(9, 3, 2), 1)
    np.testing.assert_array_equal(again[0], expected[0])
    np.testing.assert_array_equal(again[1], expected[1])
    assert again[2] == pytest.approx(expected[2], rel=1e-14)


def test_extreme_scores_and_items_without_votes_give_numbers():
    votes = np.array([[0, 1], [-1, -1], [1, 1], [0, 0]], dtype=np.int8)
    of_state = np.array([[[0, 0], [900, -900], [-900, 900]]] * 2, dtype=float)
    counts, of_vector, log_likelihood = items_of(votes, 2).expect(of_state, np.zeros(2), 1)
    np.testing.assert_allclose(of_vector, [2, 2])
    np.testing.assert_allclose(counts[:, 1], [[1.5, 0.5], [1, 0]])
    assert log_likelihood == pytest.approx(1800 * 2 + 2 * np.log(2))


def test_states_that_are_numbered_anew_are_those_that_tables_are_about():
    votes = drawn(2000, 4, 3)
    items = items_of(votes, 3)
    number = np.array([[0, 1, 0, 2], [0, 1, 2, 0], [0, 0, 0, 1], [0, 2, 1, 0]], dtype=np.int32)
    of_state, base = scores(4, 3, 3)
    distinct = Distinct(items.patterns(1)).with_states(number, 3)
    over = items.with_states(number, 3).expect(of_state, base, 1)
    for one, other in zip(over, distinct.expect(of_state, base, 1), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=2000 * 2.0**-32)
    swapped = np.array([[0, 2, 1]] * 4, dtype=np.int32)
    twice = items.with_states(number, 3).with_states(swapped, 3)
    once = items.with_states(swapped[0][number], 3)
    for one, other in zip(twice.expect(of_state, base, 1), once.expect(of_state, base, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_sample_takes_one_item_from_each_stretch_and_stands_for_all():
    votes = np.arange(9000, dtype=np.int32)[:, None]
    items = items_of(votes, 9000)
    some = items.some(100)
    taken = some.held.votes.tables["label"][:, 0]
    np.testing.assert_array_equal(taken // 90, np.arange(100))
    assert len(np.unique(taken % 90)) > 40  # in no step
    np.testing.assert_array_equal(items.some(100).held.votes.tables["label"][:, 0], taken)
    assert some.n == 100
    assert some.times(90.0).n == 9000
    assert items.some(9000) is items


def test_a_sample_of_few_distinct_rows_is_these():
    items = items_of(drawn(3000, 3, 2), 2)
    number = np.array([[0, 2, 1]] * 3, dtype=np.int32)
    some = items.with_states(number, 3).times(2.0).sample(1000, 1)
    assert isinstance(some, Distinct)
    assert some.n == 2000
    expected = items.some(1000).with_states(number, 3).times(2.0).expect(*scores(3, 3, 2), 1)
    for one, other in zip(some.expect(*scores(3, 3, 2), 1), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=2000 * 2.0**-31)
    assert isinstance(items_of(drawn(3000, 20, 2), 2).sample(1000, 1), Items)


def test_distinct_rows_are_kept_where_they_are_few_and_items_where_most_rows_differ(monkeypatch):
    monkeypatch.setattr(rows, "MAX_PATTERNS", 2000)
    monkeypatch.setattr(rows, "GUESSED_FROM", 1000)
    assert isinstance(rows_of(items_of(drawn(2000, 20, 2), 2), 1), Distinct)  # no more than that
    assert isinstance(rows_of(items_of(drawn(20_000, 5, 2), 2), 1), Distinct)
    assert isinstance(rows_of(items_of(drawn(20_000, 20, 2), 2), 1), Items)
    # The sample tells little of rows that are rare; that there are too many is then found on the way.
    half = np.vstack([drawn(19_000, 3, 2), drawn(1000, 3, 2)])
    rare = np.where(np.arange(20_000)[:, None] % 8 == 7, drawn(20_000, 20, 2), -1)
    votes = np.hstack([half, rare])
    monkeypatch.setattr(Items, "may_be_few", lambda items, n_threads: True)
    assert isinstance(rows_of(items_of(votes, 2), 1), Items)


def test_a_hierarchy_is_read_item_by_item_as_by_distinct_rows(monkeypatch):
    rng = np.random.default_rng(7)
    exact = hierarchy(rng, COARSE_AND_FINE)
    votes = draw(rng, exact, 4000)[0]
    items = items_of(votes, None, exact.graph)
    table = scores(len(exact.sources), items.n_states, exact.graph.n_vectors)
    found, expected = items.expect(*table, 1), Distinct(items.patterns(1)).expect(*table, 1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=4000 * 2.0**-30)


TRUTHS = {
    "two classes": lambda rng: single_task(rng, 2, 9),
    "dependent pairs": lambda rng: single_task_with_pairs(rng, 3),
    "hierarchy": lambda rng: hierarchy(rng, COARSE_AND_FINE),
}


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("method", ["auto", "em"])
def test_a_fit_over_items_is_that_over_their_distinct_rows(name, method, monkeypatch):
    rng = np.random.default_rng(5)
    exact = TRUTHS[name](rng)
    votes = draw(rng, exact, 8000)[0]
    arguments = {"task_graph": exact.graph, "method": method, "dependencies": exact.dependencies or None}
    expected = cs.LabelModel(**arguments).fit(votes)
    monkeypatch.setattr(rows, "MAX_PATTERNS", 10)
    found = cs.LabelModel(**arguments).fit(votes)
    for one, other in zip(found._fitted().fit.tables, expected._fitted().fit.tables, strict=True):
        np.testing.assert_allclose(one.table, other.table, atol=1e-6)
    np.testing.assert_allclose(found.class_balance_, expected.class_balance_, atol=1e-6)
