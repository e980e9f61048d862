"""Sufficient statistics: exact integers, the same for any chunking, order of memory and number of threads."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from enumeration import DOCTOR, ORG, PERSON, kind_graph
from hypothesis import given
from hypothesis import strategies as st

import consilience as cs
from consilience.components import ComponentLayout
from consilience.container import pack, unpack
from consilience.statistics import observe
from consilience.votes import as_votes


def of(table, k=3, **arguments):
    votes = np.asarray(table) if isinstance(table, list) else table
    return cs.VoteStatistics.of(votes, n_classes=k, **arguments)


def draw_table(data, k):
    n, m = data.draw(st.tuples(st.integers(1, 15), st.integers(1, 5)))
    cells = data.draw(st.lists(st.integers(-1, k - 1), min_size=n * m, max_size=n * m))
    return np.array(cells).reshape(n, m)


def triples_twin(ones, event, component, weights):
    """For each node the triples it is in, over all triples of nodes, item by item."""
    found = np.zeros(ones.shape[1], dtype=weights.dtype)
    for nodes in itertools.combinations(range(ones.shape[1]), 3):
        if len({event[a] for a in nodes}) == 1 and len({component[a] for a in nodes}) == 3:
            found[list(nodes)] += weights @ ones[:, nodes].prod(axis=1)
    return found


def twin(table, weights=None, component=None):
    """Slow and obvious: one-hot columns and loops."""
    n, m = table.shape
    weights = np.ones(n, dtype=int) if weights is None else weights
    nodes = sorted({(j, table[i, j]) for i in range(n) for j in range(m) if table[i, j] >= 0 and weights[i]})
    ones = np.array([[table[i, j] == label for j, label in nodes] for i in range(n)], dtype=int)
    ones = ones.reshape(n, len(nodes))
    votes = table >= 0
    overlaps = [sum(weights[i] for i in range(n) if votes[i, j] and votes[i].sum() > 1) for j in range(m)]
    conflicts = [
        sum(
            weights[i]
            for i in range(n)
            if votes[i, j] and any(votes[i, q] and table[i, q] != table[i, j] for q in range(m))
        )
        for j in range(m)
    ]
    return {
        "n": weights.sum(),
        "nodes": nodes,
        "pairs": ones.T @ (ones * weights[:, None]),
        "triples": triples_twin(
            ones,
            [label for _, label in nodes],
            [j if component is None else component[j] for j, _ in nodes],
            weights,
        ),
        "n_votes": weights @ votes,
        "n_overlaps": overlaps,
        "n_conflicts": conflicts,
        "n_covered": weights[votes.any(axis=1)].sum(),
    }


def assert_equals_twin(found, expected):
    assert (
        list(zip(found.node_source.tolist(), found.node_event[:, 0].tolist(), strict=True))
        == expected["nodes"]
    )
    for name in ("n", "pairs", "n_votes", "n_overlaps", "n_conflicts", "n_covered"):
        np.testing.assert_array_equal(getattr(found, name), expected[name], err_msg=name)
    if found.triples is not None:
        np.testing.assert_array_equal(found.triples.of_node, expected["triples"])


@given(data=st.data(), k=st.integers(1, 4))
def test_statistics_equal_the_numpy_twin(data, k):
    table, triples = draw_table(data, k), data.draw(st.booleans())
    found = of(table, k, triples=triples)
    assert (found.triples is not None) == triples
    assert_equals_twin(found, twin(table))


@given(data=st.data(), k=st.integers(1, 3))
def test_triples_are_over_sources_that_are_independent(data, k):
    table = draw_table(data, k)
    m = table.shape[1]
    pairs = list(itertools.combinations(range(m), 2))
    dependencies = data.draw(st.lists(st.sampled_from(pairs), max_size=3)) if pairs else []
    found = of(table, k, dependencies=dependencies, triples=True)
    component = found.triples.component
    assert_equals_twin(found, twin(table, component=component))
    assert all(component[i] == component[j] for i, j in dependencies)


@given(data=st.data())
def test_fractional_triples_are_summed(data):
    table = draw_table(data, 2)
    weights = np.array(data.draw(st.lists(st.integers(1, 9), min_size=len(table), max_size=len(table)))) / 8
    found = of(table, 2, weights=weights, triples=True)
    np.testing.assert_array_equal(found.triples.of_node, twin(table, weights)["triples"])


@given(data=st.data(), k=st.integers(1, 4))
def test_whole_weights_count_like_repeated_rows(data, k):
    table = draw_table(data, k)
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(table), max_size=len(table))))
    weights[data.draw(st.integers(0, len(table) - 1))] += 1
    repeated = of(np.repeat(table, weights, axis=0), k)
    assert of(table, k, weights=weights).to_bytes() == repeated.to_bytes()


def test_statistics_of_a_sparse_large_table_equal_the_dense_ones():
    # The cost model takes another kernel for rows with few votes.
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    table = np.where(rng.random((20_000, 60)) < 0.03, rng.integers(0, 3, (20_000, 60)), -1)
    assert (
        of(table.astype(np.int8)).to_bytes()
        == cs.VoteStatistics.of(sparse.csr_array(table + 1), n_classes=3).to_bytes()
    )


def test_statistics_of_a_large_table_equal_the_product_of_its_indicators():
    rng = np.random.default_rng(0)
    table = rng.integers(-1, 3, (30_001, 7))
    ones = (table[:, :, None] == np.arange(3)).reshape(len(table), -1).astype(np.int64)
    np.testing.assert_array_equal(of(table.astype(np.int8)).pairs, ones.T @ ones)


def test_whole_floats_are_counted_as_integers():
    table = [[0, 1], [1, 1]]
    assert of(table, weights=[2.0, 3.0]).to_bytes() == of(table, weights=[2, 3]).to_bytes()


def test_fractional_weights_are_summed():
    found = of([[0, 1], [1, 1], [0, 1]], weights=[0.25, 0.5, 0.125])
    np.testing.assert_array_equal(found.pairs, [[0.375, 0, 0.375], [0, 0.5, 0.5], [0.375, 0.5, 0.875]])


@pytest.mark.parametrize("weighted", [None, "whole", "fractional"])
@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(n_threads, weighted):
    rng = np.random.default_rng(0)
    table = rng.integers(-1, 3, (100_003, 6)).astype(np.int8)
    weights = {None: None, "whole": rng.integers(0, 5, len(table)), "fractional": rng.random(len(table))}[
        weighted
    ]
    one, several = (of(table, weights=weights, n_threads=t).to_bytes() for t in (1, n_threads))
    assert one == several


@pytest.mark.parametrize("form", ["Fortran order", "strided", "sparse"])
def test_fractional_weights_give_the_same_bits_for_any_memory_order(form):
    rng = np.random.default_rng(0)
    table = rng.integers(-1, 3, (50_001, 5)).astype(np.int8)
    weights = rng.random(len(table))
    if form == "sparse":
        other = pytest.importorskip("scipy.sparse").csr_array(table + 1)
    else:
        other = np.asfortranarray(table) if form == "Fortran order" else np.repeat(table, 2, axis=1)[:, ::2]
    expected = of(table, weights=weights).to_bytes()
    assert cs.VoteStatistics.of(other, n_classes=3, weights=weights).to_bytes() == expected


# Merging


@given(data=st.data(), k=st.integers(1, 3))
def test_any_chunking_merges_to_the_statistics_of_the_whole(data, k):
    table, triples = draw_table(data, k), data.draw(st.booleans())
    ends = sorted(data.draw(st.sets(st.integers(1, len(table) - 1), max_size=4))) if len(table) > 1 else []
    first, *rest = (of(chunk, k, triples=triples) for chunk in np.split(table, ends))
    for chunk in rest:
        first = first.merge(chunk)
    assert first.to_bytes() == of(table, k, triples=triples).to_bytes()


@given(data=st.data())
def test_merging_is_commutative_and_associative(data):
    table = draw_table(data, 3)
    parts = (table, table[::-1][:1], table[: len(table) // 2 + 1])
    a, b, c = (of(part, 3, triples=data.draw(st.booleans())) for part in parts)
    assert a.merge(b).to_bytes() == b.merge(a).to_bytes()
    assert a.merge(b).merge(c).to_bytes() == a.merge(b.merge(c)).to_bytes()


def test_triples_that_one_part_lacks_are_dropped():
    table = np.random.default_rng(0).integers(-1, 2, (50, 4))
    merged = of(table[:20], triples=True).merge(of(table[20:]))
    assert merged.to_bytes() == of(table).to_bytes()


def test_triples_are_the_same_through_chunks():
    table = np.random.default_rng(0).integers(-1, 2, (500, 5))
    chunks = of(iter([table[:200], table[200:]]), 2, triples=True, dependencies=[(0, 1)])
    assert chunks.to_bytes() == of(table, 2, triples=True, dependencies=[(0, 1)]).to_bytes()


def test_merging_changes_neither_part():
    a, b = of([[0, 1]]), of([[2, -1]])
    before = a.to_bytes(), b.to_bytes()
    a.merge(b)
    assert (a.to_bytes(), b.to_bytes()) == before


def test_statistics_of_several_tasks_merge():
    graph = kind_graph()
    rows = np.array([[PERSON, DOCTOR], [ORG, DOCTOR], [DOCTOR, ORG]])
    tables = {task: rows[:, :, r] for r, task in enumerate(graph.tasks)}
    parts = [
        cs.VoteStatistics.of({task: t[i : i + 1] for task, t in tables.items()}, task_graph=graph)
        for i in range(3)
    ]
    merged = parts[2].merge(parts[0]).merge(parts[1])
    assert merged.to_bytes() == cs.VoteStatistics.of(tables, task_graph=graph).to_bytes()


@given(data=st.data(), k=st.integers(1, 3))
def test_any_chunking_of_dependent_sources_merges_to_the_statistics_of_the_whole(data, k):
    table = draw_table(data, k)
    pairs = [(0, table.shape[1] - 1)] if table.shape[1] > 1 else []
    ends = sorted(data.draw(st.sets(st.integers(1, len(table) - 1), max_size=3))) if len(table) > 1 else []
    first, *rest = (of(chunk, k, dependencies=pairs) for chunk in np.split(table, ends))
    for chunk in rest:
        first = first.merge(chunk)
    assert first.to_bytes() == of(table, k, dependencies=pairs).to_bytes()


def test_weights_of_dependent_sources_count_like_repeated_rows():
    rng = np.random.default_rng(0)
    table, weights = rng.integers(-1, 3, (200, 4)), rng.integers(0, 3, 200)
    pairs = [(0, 2), (2, 3)]
    repeated = of(np.repeat(table, weights, axis=0), dependencies=pairs)
    assert of(table, weights=weights, dependencies=pairs).to_bytes() == repeated.to_bytes()


@pytest.mark.parametrize("n_threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits_for_dependent_sources(n_threads):
    table = np.random.default_rng(0).integers(-1, 3, (60_001, 5)).astype(np.int8)
    one, several = (of(table, dependencies=[(0, 1), (3, 4)], n_threads=t).to_bytes() for t in (1, n_threads))
    assert one == several


def test_statistics_of_dependent_sources_come_back_from_bytes():
    found = of(np.random.default_rng(0).integers(-1, 3, (200, 4)), dependencies=[(0, 2), (2, 3)])
    assert cs.VoteStatistics.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


def test_statistics_with_other_dependencies_do_not_merge():
    table = [[0, 1, 2]]
    with pytest.raises(cs.InvalidArgumentError, match="dependen"):
        of(table, dependencies=[(0, 1)]).merge(of(table, dependencies=[(1, 2)]))


@pytest.mark.parametrize(
    ("other", "culprit"),
    [
        (lambda: of([[0, 1]], k=2), "classes"),
        (lambda: of([[0, 1, 1]]), "sources"),
        (
            lambda: cs.VoteStatistics.of(cs.Votes.from_dense([[0, 1]], n_classes=3, source_names=["a", "b"])),
            "sources",
        ),
        (lambda: "statistics", "other must be VoteStatistics"),
    ],
)
def test_statistics_about_other_things_do_not_merge(other, culprit):
    with pytest.raises(cs.ConsilienceError, match=culprit):
        of([[0, 1]]).merge(other())


def test_triples_too_many_to_be_exact_are_refused():
    with pytest.raises(cs.InvalidArgumentError, match="of 1000 sources at most"):
        of(np.zeros((2, 1000), dtype=int), weights=[2**50, 1], triples=True)
    assert of(np.zeros((2, 1000), dtype=int), weights=[2**50, 1]).n == 2**50 + 1


def test_a_sum_too_large_to_be_exact_is_refused():
    half = of([[0, 1]], weights=[2**52 + 1])
    with pytest.raises(cs.InvalidArgumentError, match=r"2\^53"):
        half.merge(half)


# Bytes


@pytest.mark.parametrize("triples", [False, True])
def test_bytes_come_back_as_the_same_statistics(triples):
    found = of([[0, 1], [2, -1]], weights=[0.5, 3.25], triples=triples)
    assert cs.VoteStatistics.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


def test_pickled_statistics_are_the_same():
    found = of([[0, 1], [2, -1]])
    assert pickle.loads(pickle.dumps(found)).to_bytes() == found.to_bytes()


def test_any_changed_byte_is_a_file_format_error():
    data = of([[0, 1], [2, -1]]).to_bytes()
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(cs.FileFormatError):
            cs.VoteStatistics.from_bytes(bytes(damaged))


HOSTILE = {
    "a source out of range": {"node_source": np.array([0, 5])},
    "a negative source": {"node_source": np.array([-1, 1])},
    "nodes out of order": {"node_source": np.array([1, 0])},
    "an event of no class": {"node_event": np.array([[0], [9]])},
    "a silent node": {"node_event": np.array([[-1], [1]])},
    "floats for events": {"node_event": np.array([[0.5], [1.0]])},
    "pairs not symmetric": {"pairs": np.array([[1, 1], [0, 1]])},
    "negative pairs": {"pairs": np.array([[1, -1], [-1, 1]])},
    "pairs that are not finite": {"pairs": np.array([[1, np.nan], [np.nan, 1]])},
    "more pairs than items": {"pairs": np.array([[9, 1], [1, 9]])},
    "negative triples": {"triples": np.array([-1, 0])},
    "triples of two sources": {"triples": np.array([1, 0])},
    "triples of another shape": {"triples": np.zeros(3, dtype=int)},
    "a component out of range": {"triples_component": np.array([0, 2])},
    "floats for components": {"triples_component": np.array([0.0, 1.0])},
    "pairs of another shape": {"pairs": np.ones((3, 3), dtype=int)},
    "no sources": {
        name: np.zeros(0, dtype=int) for name in ("n_votes", "n_overlaps", "n_conflicts", "n_infeasible")
    },
    "more votes than items": {"n_votes": np.array([99, 1])},
    "negative votes": {"n_votes": np.array([-1, 1])},
    "votes that are not finite": {"n_votes": np.array([np.nan, 1])},
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_arrays_that_do_not_fit_together_are_a_file_format_error(hostile):
    header, arrays = unpack(of([[0, 1]], triples=True).to_bytes(), "vote statistics")
    with pytest.raises(cs.FileFormatError):
        cs.VoteStatistics.from_bytes(pack("vote statistics", header, {**arrays, **HOSTILE[hostile]}))


HOSTILE_HEADERS = {
    "no items": {"n": 0},
    "negative items": {"n": -1},
    "a word for the items": {"n": "many"},
    "more covered than there are": {"n_covered": 9},
    "too few names": {"source_names": ["a"]},
    "no task graph": {"task_graph": None},
}


@pytest.mark.parametrize("hostile", HOSTILE_HEADERS)
def test_a_header_that_does_not_fit_is_a_file_format_error(hostile):
    header, arrays = unpack(of([[0, 1]]).to_bytes(), "vote statistics")
    with pytest.raises(cs.FileFormatError):
        cs.VoteStatistics.from_bytes(pack("vote statistics", {**header, **HOSTILE_HEADERS[hostile]}, arrays))


# Weights


WRONG_WEIGHTS = {
    "NaN": ([1.0, np.nan], cs.InvalidArgumentError, r"weights\[1\] is nan"),
    "negative": ([1, -1], cs.InvalidArgumentError, r"weights\[1\] is -1"),
    "infinite": ([np.inf, 1.0], cs.InvalidArgumentError, r"weights\[0\] is inf"),
    "all zero": ([0, 0], cs.InvalidArgumentError, "all 0"),
    "too many": ([1, 1, 1], cs.InvalidArgumentError, r"shape \(2,\)"),
    "a table": ([[1], [1]], cs.InvalidArgumentError, r"shape \(2,\)"),
    "of different lengths": ([[1], [1, 2]], cs.InvalidArgumentError, "weights"),
    "words": (["a", "b"], cs.WrongTypeError, "weights"),
    "objects": ([None, 1], cs.WrongTypeError, "weights"),
    "complex": ([1j, 1], cs.WrongTypeError, "weights"),
    "too large": ([2**53, 2], cs.InvalidArgumentError, r"2\^53"),
    "overflowing": ([1e308, 1e308], cs.InvalidArgumentError, r"2\^53"),
    "beyond 64 bits": (np.array([2**64 - 1, 1], dtype=np.uint64), cs.InvalidArgumentError, r"2\^53"),
}


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_wrong_weights_are_a_typed_error_that_names_them(wrong):
    weights, error, culprit = WRONG_WEIGHTS[wrong]
    with pytest.raises(error, match=culprit):
        of([[0, 1], [1, 1]], weights=weights)


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_threads_is_a_typed_error(n_threads):
    with pytest.raises(cs.ConsilienceError, match="n_threads"):
        of([[0, 1]], n_threads=n_threads)


def test_items_with_weight_zero_leave_no_trace():
    table, weights = [[0, 1], [2, 2], [0, 0]], [1, 0, 2]
    assert of(table, weights=weights).to_bytes() == of([[0, 1], [0, 0], [0, 0]]).to_bytes()


def test_items_with_fractional_weights_and_zeros_leave_no_trace_of_the_zeros():
    found = of([[0, 1], [2, 2]], weights=[0.5, 0.0])
    assert found.node_event.ravel().tolist() == [0, 1]


def test_rows_that_differ_are_found_once_for_each_way_to_read_the_sources():
    table = np.random.default_rng(0).integers(-1, 2, (500, 4))
    observed = observe(as_votes(table, n_classes=2), cs.TaskGraph.single(2), None, 1, strict=True)
    events = tuple(np.arange(2)[:, None] for _ in range(4))
    alone = ComponentLayout(4, (), (), events, ("a", "b", "c", "d"))
    patterns, coding = observed.patterns(alone, 1)
    assert observed.patterns(alone, 2)[0] is patterns
    assert coding is observed.coded.coding
    without_last = ComponentLayout(4, (), (), events, ("a", "b", "c", "d"), left_out=(3,))
    fewer, _ = observed.patterns(without_last, 1)
    assert len(fewer) == len(np.unique(table[:, :3], axis=0)) < len(patterns) == len(np.unique(table, axis=0))
    assert fewer.weight.sum() == patterns.weight.sum() == 500


def test_sums_of_fractional_weights_come_back_although_they_are_rounded():
    rng = np.random.default_rng(0)
    for n in (1000, 30_001):  # each sum has an order of its own
        weights = rng.random(n)
        found = of(rng.integers(0, 2, (n, 3)), 2, weights=weights, triples=True)
        assert cs.VoteStatistics.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()
    assert (found.n_votes != found.n).any()


@pytest.mark.parametrize("name", ["n_votes", "n_overlaps", "n_conflicts", "n_covered"])
def test_counts_above_their_limit_are_refused_whole_ones_exactly(name):
    table = np.array([[0, 1], [1, 1], [0, 1]])
    for weights, excess in ((None, 1), ([2**51] * 3, 1), ([0.1, 0.2, 0.3], 1e-6)):
        found = of(table, 2, weights=weights)
        more = replace(found, **{name: np.zeros_like(getattr(found, name)) + found.n + excess})
        if name == "n_covered":
            more = replace(more, n_covered=more.n_covered.item())
        with pytest.raises(cs.FileFormatError, match="must"):
            cs.VoteStatistics.from_bytes(more.to_bytes())


@pytest.mark.parametrize("heavy", [1e200, 1e308])
def test_weights_beyond_exact_counts_are_refused_by_name_with_a_remedy(heavy):
    weights = np.array([1.0, heavy, heavy])
    with pytest.raises(cs.InvalidArgumentError, match=r"weights have the sum .* weights\[1\] .*; divide all"):
        cs.VoteStatistics.of(np.zeros((3, 2), dtype=int), weights, n_classes=2)
