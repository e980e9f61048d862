"""Items are drawn to stand for all; fits to votes in chunks and in one piece draw the same, and agree."""

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task, single_task_with_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

import consilience as cs
from consilience import distinct_rows, item_sample, rows, sampled_em
from consilience.distinct_rows import DistinctRows
from consilience.item_sample import draw_items, spread
from consilience.rows import Items, Tallied


@pytest.fixture
def small_limits(monkeypatch):
    """What takes millions of items begins with thousands."""
    monkeypatch.setattr(item_sample, "MOST_ITEMS", 2048)
    monkeypatch.setattr(item_sample, "MOST_PARTS", 3)
    monkeypatch.setattr(distinct_rows, "_MIN_FRESH", 500)
    monkeypatch.setattr(rows, "MAX_PATTERNS", 200)
    monkeypatch.setattr(rows, "GUESSED_FROM", 1000)
    monkeypatch.setattr(sampled_em, "MIN_ROWS", 200)
    monkeypatch.setattr(sampled_em, "SAMPLE", 1000)


def by_definition(level, n):
    """Slow twin: the coins of one stretch after the other."""
    chosen = []
    for stretch in range(-(-n // 2**level)):
        item = stretch
        for below in range(level, 0, -1):
            item = 2 * item + int(item_sample._coins(below, np.array([item], dtype=np.uint64))[0])
        chosen += [item] if item < n else []
    return chosen


@pytest.mark.parametrize(("n", "level"), [(1, 0), (64, 0), (65, 1), (1000, 4), (1100, 5)])
def test_one_item_is_drawn_from_each_stretch_by_its_coins(n, level, monkeypatch):
    monkeypatch.setattr(item_sample, "MOST_ITEMS", 64)
    assert draw_items(n, 0).tolist() == by_definition(level, n)


def test_items_are_drawn_evenly_and_in_no_step(monkeypatch):
    monkeypatch.setattr(item_sample, "MOST_ITEMS", 20_000)
    place = draw_items(640_000, 0) % 32
    expected = 20_000 / 32
    assert len(place) == 20_000
    assert np.square(np.bincount(place) - expected).sum() / expected < 61  # chi-square, 31 degrees, 0.999
    both = np.bincount(32 * place[:-1] + place[1:], minlength=1024)
    assert both.max() < 50  # 20 expected: neighbours have nothing to do with each other


def test_fewer_items_are_drawn_where_they_have_many_votes():
    assert len(draw_items(1 << 17, 0)) == 1 << 17
    assert len(draw_items(1 << 17, 1 << 26)) == 1 << 15
    assert len(draw_items(1 << 17, 1 << 40)) == item_sample.FEW_ITEMS


def test_a_spread_takes_one_from_each_stretch():
    taken = spread(100, 9000)
    np.testing.assert_array_equal(taken // 90, np.arange(100))
    assert len(np.unique(taken % 90)) > 40


@settings(max_examples=40)
@given(data=st.data())
def test_items_drawn_in_chunks_are_those_drawn_from_all(data):
    n, votes_per_item = data.draw(st.integers(1, 400)), data.draw(st.sampled_from([0, 1, 30]))
    ends = sorted(data.draw(st.lists(st.integers(0, n), max_size=8)))
    table = np.arange(n, dtype=np.int32)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(item_sample, "MOST_ITEMS", data.draw(st.integers(1, 70)))
        patch.setattr(item_sample, "MOST_VOTES", 600)
        patch.setattr(item_sample, "FEW_ITEMS", 3)
        patch.setattr(item_sample, "MOST_PARTS", 2)
        seen = DistinctRows()
        for part in np.split(table, ends):
            if len(part):
                votes = cs.Votes.from_dense(part, n_classes=n)
                seen = seen.with_votes(votes, len(part) * votes_per_item)
        assert seen.drawn.items.tolist() == draw_items(n, n * votes_per_item).tolist()
        if len(seen.drawn.items):
            _, _, labels = seen.drawn_votes().tables["label"]
            assert (labels - 1).tolist() == seen.drawn.items.tolist()


def test_items_that_weigh_more_than_others_are_not_drawn():
    votes = cs.Votes.from_dense([[0], [1]])
    weighed = DistinctRows().with_votes(votes, 2, np.array([1.0, 2.0]))
    assert weighed.drawn_votes() is None
    assert weighed.with_votes(votes, 2).drawn_votes() is None


# Fits


def chunked(votes, sizes):
    """The same votes in chunks of these sizes, again and again."""
    begin, turn, parts = 0, 0, []
    while begin < len(votes):
        end = begin + sizes[turn % len(sizes)]
        parts.append(votes[begin:end])
        begin, turn = end, turn + 1
    return parts


def crowded(k, n=9000, m=9, seed=0):
    rng = np.random.default_rng(seed)
    y, accuracy = rng.integers(0, k, n), rng.uniform(0.55, 0.9, m)
    wrong = (y[:, None] + rng.integers(1, k, (n, m))) % k
    votes = np.where(rng.random((n, m)) < accuracy, y[:, None], wrong)
    return np.where(rng.random((n, m)) < 0.4, -1, votes).astype(np.int8)


def assert_same(one, other, votes):
    np.testing.assert_array_equal(one.predict_proba(votes), other.predict_proba(votes))
    np.testing.assert_array_equal(one.accuracy_, other.accuracy_)
    np.testing.assert_array_equal(one.class_balance_, other.class_balance_)
    own, others = one._fitted().fit, other._fitted().fit
    assert own.model == others.model
    assert own.bic == pytest.approx(others.bic, rel=1e-13)  # log-likelihoods are added in another order


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("sizes", [[9000], [1, 0, 999, 4000, 17]])
@pytest.mark.parametrize("method", ["auto", "em"])
def test_a_fit_to_chunks_is_that_to_one_array_where_most_rows_differ(
    k, n_threads, sizes, method, small_limits
):
    votes = crowded(k)
    arguments = {"n_classes": k, "method": method, "n_threads": n_threads}
    whole = cs.LabelModel(**arguments).fit(votes)
    stream = cs.LabelModel(**arguments).fit(iter(chunked(votes, sizes)))
    assert_same(stream, whole, votes)


TRUTHS = {
    "no abstentions": (lambda rng: single_task(rng, 3, 7, abstains=False), {"method": "em"}),
    "missing": (lambda rng: single_task(rng, 2, 9), {"abstentions": "missing"}),
    "prior": (lambda rng: single_task(rng, 2, 9), {"method": "em", "accuracy_prior": {0: (0.8, 100)}}),
    "hierarchy": (lambda rng: hierarchy(rng, COARSE_AND_FINE), {"method": "em"}),
    "dependent pairs": (lambda rng: single_task_with_pairs(rng, 3), {}),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_so_it_is_for_votes_of_every_kind(name, small_limits, monkeypatch):
    monkeypatch.setattr(rows, "MAX_PATTERNS", 10)
    rng = np.random.default_rng(3)
    truth, more = TRUTHS[name]
    exact = truth(rng)
    votes = draw(rng, exact, 6000)[0]
    arguments = {"task_graph": exact.graph, "dependencies": exact.dependencies or None}
    if isinstance(votes, dict):
        parts = [{task: table[i : i + 900] for task, table in votes.items()} for i in range(0, 6000, 900)]
    else:
        parts = chunked(votes, [900])
    one = cs.LabelModel(**arguments, **more).fit(votes)
    other = cs.LabelModel(**arguments, **more).fit(iter(parts))
    for table, expected in zip(other._fitted().fit.tables, one._fitted().fit.tables, strict=True):
        np.testing.assert_array_equal(table.table, expected.table)
    np.testing.assert_array_equal(other.predict_joint(votes), one.predict_joint(votes))


def test_learning_on_chunk_by_chunk_ends_there_too_whatever_holds_the_votes(small_limits):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    votes = crowded(3)
    arguments = {"n_classes": 3, "method": "em"}
    whole = cs.LabelModel(**arguments).fit(votes)
    grown = cs.LabelModel(**arguments)
    first, second, third = chunked(votes, [4000, 2000, 3000])
    grown.partial_fit(np.asfortranarray(first)).partial_fit(scipy_sparse.csr_array(second + 1))
    grown.partial_fit(iter(chunked(third.astype(np.int64), [700])))
    assert_same(grown, whole, votes)


def test_weighted_chunks_are_fitted_as_weighted_votes(small_limits):
    votes = crowded(2)
    weights = np.random.default_rng(1).integers(0, 4, len(votes))
    whole = cs.LabelModel(n_classes=2, method="em").fit(votes, weights)
    stream = cs.LabelModel(n_classes=2, method="em").fit(iter(chunked(votes, [3000])), weights)
    assert_same(stream, whole, votes)


def test_items_that_are_tallied_are_sampled_and_summed_up_like_those_at_hand(small_limits):
    votes = crowded(3)
    seen, whole = [], cs.LabelModel(n_classes=3, method="em")
    with pytest.MonkeyPatch.context() as patch:
        expect = Items.expect

        def watched(items, *arguments):
            found = expect(items, *arguments)
            seen.append((type(items.held), len(items), items.factor, found))
            return found

        patch.setattr(Items, "expect", watched)
        whole.fit(votes)
        at_hand, n = list(seen), len(seen)
        whole.fit(iter(chunked(votes, [3000])))
    assert len(seen) == 2 * n
    for (_, size, factor, found), (kind, *same, again) in zip(at_hand, seen[n:], strict=True):
        assert same == [size, factor]
        assert (kind is Tallied) == (size == len(votes))
        np.testing.assert_array_equal(again[0], found[0])
        np.testing.assert_array_equal(again[1], found[1])
        assert again[2] == pytest.approx(found[2], rel=1e-13)
