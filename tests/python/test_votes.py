"""Every accepted form of votes is the same votes, and every other form is an error that names the culprit."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import consilience as cs

N_CLASSES = 3


def random_votes(n=300, m=4, k=N_CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-1, k, (n, m)).astype(np.int64)


def statistics(votes, **arguments):
    """All that is learned from votes, as bytes."""
    if not isinstance(votes, cs.Votes):
        arguments.setdefault("n_classes", N_CLASSES)
    return cs.VoteStatistics.of(votes, **arguments).to_bytes()


def unaligned(table):
    data = np.ascontiguousarray(table, dtype=np.int32)
    return np.frombuffer(b"\0" + data.tobytes(), dtype=np.int32, count=data.size, offset=1).reshape(
        data.shape
    )


def as_long(table):
    item, source = np.nonzero(table >= 0)
    shuffled = np.random.default_rng(1).permutation(len(item))
    item, source = item[shuffled], source[shuffled]
    return item, source, table[item, source]


FORMS = {
    "int8": lambda t: t.astype(np.int8),
    "int16": lambda t: t.astype(np.int16),
    "int32": lambda t: t.astype(np.int32),
    "Fortran order": lambda t: np.asfortranarray(t.astype(np.int8)),
    "every other row": lambda t: np.repeat(t, 2, axis=0)[::2],
    "every third column": lambda t: np.repeat(t, 3, axis=1)[:, ::3],
    "negative strides": lambda t: t[::-1, ::-1].copy()[::-1, ::-1],
    "a view into a wider Fortran table": lambda t: np.asfortranarray(np.hstack([t, t]))[:, : t.shape[1]],
    "read-only": lambda t: np.frombuffer(t.tobytes(), dtype=t.dtype).reshape(t.shape),
    "unaligned": unaligned,
    "big-endian": lambda t: t.astype(">i4"),
    "nested lists": lambda t: t.tolist(),
    "Votes": lambda t: cs.Votes.from_dense(t, n_classes=N_CLASSES),
    "a list of votes": lambda t: cs.Votes.from_long(
        *as_long(t), n_items=len(t), n_classes=N_CLASSES, source_names=None
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_dense_form_gives_identical_statistics(form):
    table = random_votes()
    assert statistics(FORMS[form](table)) == statistics(table)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_unsigned_votes_give_identical_statistics(dtype):
    table = random_votes().clip(0)
    assert statistics(table.astype(dtype)) == statistics(table)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_every_sparse_form_gives_identical_statistics(layout, kind, dtype):
    sparse = pytest.importorskip("scipy.sparse")
    table = random_votes()
    stored = getattr(sparse, f"{layout}_{kind}")((table + 1).astype(dtype))
    assert statistics(stored) == statistics(table)


def test_a_bad_value_of_a_sparse_matrix_is_named_as_it_is_stored():
    sparse = pytest.importorskip("scipy.sparse")
    stored = sparse.csr_array(np.ones((20, 4), dtype=np.int64))
    stored.data[7 * 4 + 2] = -1
    with pytest.raises(
        cs.InvalidVotesError, match=r"row 7, source 2: label -2 .*stores label \+ 1 \(here -1\)"
    ):
        cs.Votes.from_sparse(stored, n_classes=2)


def test_a_sparse_matrix_of_floats_is_refused_with_what_converts_it():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(cs.WrongTypeError, match=r"dtype float64; convert it with \.astype\(int\)"):
        cs.Votes.from_sparse(sparse.csr_matrix(np.ones((3, 2))))


def test_explicit_zeros_of_a_sparse_matrix_abstain():
    sparse = pytest.importorskip("scipy.sparse")
    table = random_votes()
    n, m = table.shape
    everything = sparse.csr_array(
        ((table + 1).ravel(), np.tile(np.arange(m), n), np.arange(0, n * m + 1, m)), shape=(n, m)
    )
    assert statistics(everything) == statistics(table)


def test_a_sparse_matrix_with_unsorted_rows_gives_identical_statistics():
    sparse = pytest.importorskip("scipy.sparse")
    table = random_votes()
    n, m = table.shape
    backwards = sparse.csr_array(
        ((table + 1)[:, ::-1].ravel(), np.tile(np.arange(m)[::-1], n), np.arange(0, n * m + 1, m)),
        shape=(n, m),
    )
    assert statistics(backwards) == statistics(table)


def test_a_sparse_matrix_is_left_as_it_was():
    sparse = pytest.importorskip("scipy.sparse")
    backwards = sparse.csr_array((np.array([1, 2]), np.array([1, 0]), np.array([0, 2])), shape=(1, 2))
    cs.Votes.from_sparse(backwards)
    assert backwards.indices.tolist() == [1, 0]


def test_one_task_by_name_gives_the_same_counts_as_a_bare_table():
    table = random_votes()
    named = cs.VoteStatistics.of({"topic": table}, task_graph=cs.TaskGraph.single(N_CLASSES, task="topic"))
    np.testing.assert_array_equal(named.pairs, cs.VoteStatistics.of(table, n_classes=N_CLASSES).pairs)


@given(data=st.data())
def test_dense_sparse_and_long_votes_agree_on_any_table(data):
    sparse = pytest.importorskip("scipy.sparse")
    n, m, k = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4)))
    cells = data.draw(st.lists(st.integers(-1, k - 1), min_size=n * m, max_size=n * m))
    table = np.array(cells).reshape(n, m)
    expected = statistics(table, n_classes=k)
    assert statistics(sparse.csr_array(table + 1), n_classes=k) == expected
    item, source, label = as_long(table)
    rows = cs.VoteStatistics.of(
        cs.Votes.from_long(
            item, source, label, n_items=n, n_classes=k, source_names=[str(j) for j in range(m)]
        )
    )
    np.testing.assert_array_equal(rows.pairs, cs.VoteStatistics.of(table, n_classes=k).pairs)


def test_a_row_repeated_by_a_zero_stride_is_read_as_often_as_it_is_repeated():
    repeated = np.broadcast_to(np.array([0, 1, -1], dtype=np.int8), (1000, 3))
    assert statistics(repeated) == statistics(repeated.copy())


def test_a_large_table_is_not_copied():
    table = np.zeros((1000, 5), dtype=np.int8)
    votes = cs.Votes.from_dense(table)
    table[:] = 1
    assert cs.VoteStatistics.of(votes).node_event.ravel().tolist() == [1] * 5


# Class names and source names


def test_names_are_sorted_into_classes():
    votes = cs.Votes.from_dense([["spam", "ham"], [None, "spam"], ["", "ham"]])
    assert votes.classes == {"label": ["ham", "spam"]}


def test_the_order_of_given_classes_is_kept():
    table = [["spam", "ham"], [None, "spam"]]
    as_names = cs.Votes.from_dense(table, classes=["spam", "ham"])
    as_indices = cs.Votes.from_dense([[0, 1], [-1, 0]], classes=["spam", "ham"])
    assert statistics(as_names) == statistics(as_indices)


def test_a_unicode_array_of_names_is_read_like_a_list_of_lists():
    table = [["b", "a"], ["a", "b"]]
    assert statistics(cs.Votes.from_dense(np.array(table))) == statistics(cs.Votes.from_dense(table))


def test_the_classes_of_the_model_order_the_names_in_the_votes():
    model = cs.LabelModel(classes=["spam", "ham"], method="majority")
    assert model.fit([["spam", "spam"], ["ham", "spam"]]).predict([["ham", "ham"]]).tolist() == [1]


def test_a_pandas_frame_names_the_sources():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"regex": [0, 1, -1], "model": [0, 1, 1]})
    model = cs.LabelModel(method="majority").fit(frame)
    assert tuple(model.source_names_) == ("regex", "model")


def test_missing_names_in_a_pandas_frame_abstain():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": ["x", None, "y"], "b": ["x", "y", np.nan]})
    expected = cs.Votes.from_dense([[0, 0], [-1, 1], [1, -1]], classes=["x", "y"], source_names=["a", "b"])
    assert statistics(frame, n_classes=None) == statistics(expected)


def test_sources_of_a_list_of_votes_may_be_names():
    votes = cs.Votes.from_long([0, 0, 1], ["b", "a", "b"], ["x", "y", "y"])
    assert votes.source_names == ("a", "b")
    assert votes.classes == {"label": ["x", "y"]}


def test_an_abstention_in_a_list_of_votes_is_as_good_as_none():
    said = cs.Votes.from_long([0, 1, 1], [0, 1, 0], [1, 0, -1], n_classes=2)
    unsaid = cs.Votes.from_long([0, 1], [0, 1], [1, 0], n_classes=2)
    assert statistics(said) == statistics(unsaid)


def test_tables_of_tasks_are_matched_by_source_name():
    graph = cs.TaskGraph({"a": 2, "b": 2})
    by_name = cs.Votes.from_tasks(
        {"a": [[0, 1]], "b": [[1, 0]]}, source_names={"a": ["s", "t"], "b": ["u", "s"]}, task_graph=graph
    )
    wide = cs.Votes.from_tasks(
        {"a": [[0, 1, -1]], "b": [[0, -1, 1]]}, source_names=["s", "t", "u"], task_graph=graph
    )
    assert statistics(by_name, task_graph=graph) == statistics(wide, task_graph=graph)


def test_unsigned_tables_can_be_matched_by_source_name():
    tables = {"a": np.array([[0, 1]], dtype=np.uint8), "b": np.array([[1]], dtype=np.uint8)}
    votes = cs.Votes.from_tasks(tables, source_names={"a": ["s", "t"], "b": ["t"]})
    assert cs.VoteStatistics.of(votes).n_votes.tolist() == [1, 1]


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_a_file_holds_the_votes_that_were_written(tmp_path, ending):
    pandas = pytest.importorskip("pandas")
    table = random_votes()
    path = tmp_path / f"votes.{ending}"
    frame = pandas.DataFrame(table, columns=list("abcd"))
    if ending == "csv":
        frame.to_csv(path, index=False)
    elif ending == "parquet":
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    else:
        np.savez(path, votes=table, source_names=np.array(list("abcd")))
    assert statistics(path, n_classes=None) == statistics(frame, n_classes=None)


@pytest.mark.parametrize("classes", [{}, {"n_classes": 2}, {"classes": ["0", "1"]}])
def test_digits_as_text_are_read_alike_when_fitted_and_when_labelled(classes):
    table = random_votes(50, 4, 2)
    text = np.where(table < 0, "", table.astype(str))
    model = cs.LabelModel(method="majority", **classes).fit(text)
    expected = cs.LabelModel(n_classes=2, method="majority").fit(table).predict_proba(table)
    np.testing.assert_array_equal(model.predict_proba(text), expected)


# What is no table of votes


def with_bad_cell(value, dtype=np.int64):
    table = random_votes(20, 4).astype(dtype)
    table[7, 2] = value
    return table


@pytest.mark.parametrize("value", [-2, 3, 127])
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64])
def test_a_label_out_of_range_is_named_with_its_row_and_source(value, dtype):
    with pytest.raises(
        cs.InvalidVotesError, match=rf"row 7, source 2: label {value} is not allowed.*-1\.\.2"
    ):
        cs.Votes.from_dense(with_bad_cell(value, dtype), n_classes=3)


@pytest.mark.parametrize("value", [2**40, 2**62, -(2**62), 2**32, 2**32 + 1])
def test_a_label_beyond_32_bits_is_not_wrapped_into_range(value):
    with pytest.raises(cs.InvalidVotesError, match=rf"row 7, source 2: label {value} "):
        cs.Votes.from_dense(with_bad_cell(value), n_classes=3)


def test_the_largest_unsigned_label_is_named_as_it_is():
    table = np.zeros((3, 2), dtype=np.uint64)
    table[1, 1] = 2**64 - 1
    with pytest.raises(cs.InvalidVotesError, match=rf"row 1, source 1: label {2**64 - 1} "):
        cs.Votes.from_dense(table, n_classes=2)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_first_bad_label_by_row_is_the_one_that_is_named(order):
    table = np.zeros((100, 5), dtype=np.int16, order=order)
    table[50, 0] = table[20, 4] = 9
    with pytest.raises(cs.InvalidVotesError, match="row 20, source 4"):
        cs.Votes.from_dense(table, n_classes=2)


def test_a_sparse_label_out_of_range_is_named_with_its_row_and_source():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(cs.InvalidVotesError, match="row 7, source 2: label 5 "):
        cs.Votes.from_sparse(sparse.csr_array(with_bad_cell(5) + 1), n_classes=3)


def test_a_negative_stored_value_of_a_sparse_matrix_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(cs.InvalidVotesError, match="row 7, source 2"):
        cs.Votes.from_sparse(sparse.csr_array(with_bad_cell(-3) + 1), n_classes=3)


def test_a_named_source_is_called_by_its_name():
    with pytest.raises(cs.InvalidVotesError, match="row 0, source 'regex'"):
        cs.Votes.from_dense([[7, 0]], n_classes=2, source_names=["regex", "model"])


def test_a_bad_label_of_a_task_names_the_task():
    graph = cs.TaskGraph({"a": 2, "b": 2})
    with pytest.raises(cs.InvalidVotesError, match=r"votes\['b'\], row 0, source 1: label 2"):
        cs.VoteStatistics.of({"a": [[0, 1]], "b": [[0, 2]]}, task_graph=graph)


def test_nan_in_a_float_table_is_named_with_its_row_and_source():
    with pytest.raises(cs.InvalidVotesError, match="nan at row 7, source 2"):
        cs.Votes.from_dense(with_bad_cell(np.nan, float))


WRONG_TYPES = {
    "nothing": None,
    "a number": 3,
    "a set": {0, 1},
    "float": np.zeros((3, 2)),
    "bool": np.zeros((3, 2), dtype=bool),
    "complex": np.zeros((3, 2), dtype=complex),
    "dates": np.zeros((3, 2), dtype="M8[s]"),
    "records": np.zeros((3, 2), dtype=[("a", int)]),
    "names and integers": np.array([["a", 1], ["b", "a"]], dtype=object),
    "names and booleans": np.array([["a", True], ["b", "a"]], dtype=object),
    "bytes": np.array([[b"a", b"b"]]),
}


@pytest.mark.parametrize("kind", WRONG_TYPES)
def test_a_table_of_another_type_is_a_wrong_type_error(kind):
    with pytest.raises(cs.WrongTypeError, match="votes"):
        cs.Votes.from_dense(WRONG_TYPES[kind])


WRONG_SHAPES = {
    "one row": [0, 1, 0],
    "three axes": np.zeros((2, 2, 2), dtype=int),
    "rows of different lengths": [[0, 1], [0]],
}


@pytest.mark.parametrize("shape", WRONG_SHAPES)
def test_a_table_of_another_shape_is_an_invalid_votes_error(shape):
    with pytest.raises(cs.InvalidVotesError, match="votes"):
        cs.Votes.from_dense(WRONG_SHAPES[shape])


@pytest.mark.parametrize("shape", [(3, 0), (0, 0)])
def test_a_table_without_sources_is_an_error(shape):
    with pytest.raises(cs.InvalidVotesError, match="no sources"):
        cs.Votes.from_dense(np.zeros(shape, dtype=int))


@pytest.mark.parametrize("dtype", [np.int8, float, object, "U1", bool])
def test_a_table_without_items_holds_votes_whatever_its_type(dtype):
    votes = cs.Votes.from_dense(np.zeros((0, 3), dtype=dtype))
    assert (votes.n_items, votes.n_sources, votes.cardinalities) == (0, 3, (2,))


def test_nothing_is_learned_from_a_table_without_items():
    with pytest.raises(cs.InvalidVotesError, match="no items"):
        cs.VoteStatistics.of(np.zeros((0, 3), dtype=int))


def test_nulls_of_a_nullable_integer_frame_abstain_or_are_a_typed_error():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [0, 1, None], "b": [1, 0, 1]}, dtype="Int64")
    try:
        found = cs.VoteStatistics.of(frame)
    except cs.ConsilienceError:
        return
    assert found.n_votes.tolist() == [2, 3]


def pandas_frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows)


@pytest.mark.parametrize("wrap", [np.array, pandas_frame, lambda rows: np.array(rows, dtype=object)])
def test_a_word_among_indices_is_an_error_unless_it_names_a_class(wrap):
    rows = wrap([["0", "1", ""], ["1", "-1", "x"]])
    with pytest.raises(cs.InvalidVotesError, match=r"'x' at row 1, source 2, .* indices \('0'\).*as classes"):
        cs.Votes.from_dense(rows)
    named = cs.Votes.from_dense(rows, classes=["x", "0", "1"])
    indices = np.array([[1, 2, -1], [2, -1, 0]])
    expected = cs.Votes.from_dense(indices, classes=["x", "0", "1"], source_names=named.source_names)
    assert statistics(named) == statistics(expected)


def test_a_number_among_class_names_is_named_with_its_row_and_source():
    with pytest.raises(cs.WrongTypeError, match="mixes class names such as 'a' with 1 at row 1, source 0"):
        cs.Votes.from_dense(np.array([["a", "b"], [1, None]], dtype=object))


def test_an_unknown_class_name_is_named_with_its_row_and_source():
    with pytest.raises(cs.InvalidVotesError, match=r"'egg' at row 1, source 0.*'ham', 'spam'"):
        cs.Votes.from_dense([["ham", "spam"], ["egg", "ham"]], classes=["ham", "spam"])


def test_two_votes_of_one_source_on_one_item_are_refused_in_a_list():
    with pytest.raises(cs.InvalidVotesError, match="source 1 votes twice on item 0"):
        cs.Votes.from_long([0, 0, 1], [1, 1, 0], [0, 1, 0])


def test_two_votes_of_one_source_on_one_item_are_refused_in_a_sparse_matrix():
    sparse = pytest.importorskip("scipy.sparse")
    twice = sparse.csr_array((np.array([1, 1]), np.array([0, 0]), np.array([0, 2])), shape=(1, 2))
    with pytest.raises(cs.InvalidVotesError, match="two votes of one source"):
        cs.Votes.from_sparse(twice)


def test_a_sparse_matrix_of_floats_is_a_wrong_type_error():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(cs.WrongTypeError, match="float64"):
        cs.Votes.from_sparse(sparse.csr_array(np.ones((2, 2))))


WRONG_LISTS = {
    "lengths differ": ({"item": [0, 1], "source": [0], "label": [0]}, "equally long"),
    "a negative item": ({"item": [-1], "source": [0], "label": [0]}, r"item\[0\] is -1"),
    "a negative source": ({"item": [0], "source": [-1], "label": [0]}, r"source\[0\] is -1"),
    "an item beyond n_items": (
        {"item": [5], "source": [0], "label": [0], "n_items": 3},
        r"item\[0\] is 5.*0\.\.2",
    ),
    "a negative n_items": ({"item": [0], "source": [0], "label": [0], "n_items": -1}, "n_items"),
    "a float item": ({"item": [0.5], "source": [0], "label": [0]}, "item"),
    "a huge item": ({"item": [2**62], "source": [0], "label": [0]}, "item"),
    "a huge source": ({"item": [0], "source": [2**40], "label": [0]}, "source"),
    "an unknown source": ({"item": [0], "source": ["x"], "label": [0], "source_names": ["y"]}, "'x'"),
    "a float label": ({"item": [0], "source": [0], "label": [0.5]}, "label"),
    "no votes": ({"item": [], "source": [], "label": []}, "votes|label"),
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_a_wrong_list_of_votes_is_a_typed_error_that_names_the_culprit(wrong):
    arguments, culprit = WRONG_LISTS[wrong]
    with pytest.raises(cs.ConsilienceError, match=culprit):
        cs.Votes.from_long(**arguments)


WRONG_NAMES = {
    "too few source names": ({"source_names": ["a"]}, "1 names for 2 sources"),
    "a source name twice": ({"source_names": ["a", "a"]}, "'a' twice"),
    "n_classes of no integer": ({"n_classes": 2.0}, "n_classes"),
    "n_classes of a boolean": ({"n_classes": True}, "n_classes"),
    "no classes": ({"n_classes": 0}, "n_classes"),
    "classes that contradict n_classes": ({"n_classes": 3, "classes": ["a", "b"]}, "n_classes is 3"),
    "a class twice": ({"classes": ["a", "a"]}, "'a'"),
    "classes that are no sequence": ({"classes": 5}, "classes"),
}


@pytest.mark.parametrize("wrong", WRONG_NAMES)
def test_wrong_names_are_a_typed_error_that_names_the_culprit(wrong):
    arguments, culprit = WRONG_NAMES[wrong]
    with pytest.raises(cs.ConsilienceError, match=culprit):
        cs.VoteStatistics.of(cs.Votes.from_dense([[0, 1]], **arguments))


WRONG_TASKS = {
    "no tasks": ({}, "no task"),
    "different shapes": ({"a": [[0, 1]], "b": [[0]]}, "same shape"),
    "an unknown task": ({"c": [[0, 1]]}, "'c'"),
    "one row": ({"a": [0, 1]}, r"votes\['a'\]"),
}


@pytest.mark.parametrize("wrong", WRONG_TASKS)
def test_wrong_tables_of_tasks_are_a_typed_error_that_names_the_culprit(wrong):
    tables, culprit = WRONG_TASKS[wrong]
    with pytest.raises(cs.InvalidArgumentError, match=culprit):
        cs.VoteStatistics.of(tables, task_graph=cs.TaskGraph({"a": 2, "b": 2}))


def test_a_bare_table_for_several_tasks_asks_for_a_table_for_each():
    with pytest.raises(cs.WrongTypeError, match="task: table"):
        cs.VoteStatistics.of([[0, 1]], task_graph=cs.TaskGraph({"a": 2, "b": 2}))


def test_an_absurd_number_of_classes_is_refused_before_memory_is_asked_for():
    with pytest.raises(cs.InvalidVotesError, match="at most 10000 classes"):
        cs.Votes.from_dense([[0, 100_000]])


def test_a_file_that_is_not_there_is_an_os_error():
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        cs.VoteStatistics.of("no-such-file.csv")


def test_votes_have_a_short_repr():
    assert repr(cs.Votes.from_dense([[0, 1]])) == "Votes(n_items=1, n_sources=2, tasks=['label'])"


@given(
    table=st.recursive(
        st.none()
        | st.integers(-5, 5)
        | st.floats()
        | st.text(max_size=2)
        | st.booleans()
        | st.binary(max_size=2),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=9,
    )
)
def test_no_input_raises_anything_but_the_errors_of_the_package(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            votes = cs.Votes.from_dense(table)
        except cs.ConsilienceError:
            return
    assert votes.n_items > 0


def test_minus_one_abstains_among_names_too():
    votes = cs.Votes.from_dense([["a", "-1"], ["b", "a"]])
    assert votes.classes == {"label": ["a", "b"]}


def test_digits_as_strings_are_class_indices():
    text = cs.VoteStatistics.of(np.array([["0", "3"], ["2", "1"], ["10", "-1"]]), n_classes=11)
    assert text.to_bytes() == cs.VoteStatistics.of([[0, 3], [2, 1], [10, -1]], n_classes=11).to_bytes()


def test_masked_cells_abstain():
    masked = np.ma.masked_array([[0, 1], [1, 1]], mask=[[False, True], [False, False]])
    assert cs.VoteStatistics.of(masked).to_bytes() == cs.VoteStatistics.of([[0, -1], [1, 1]]).to_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_minus_one_in_an_unsigned_table_is_an_error(dtype):
    table = np.array([[0, 1], [1, -1]]).astype(dtype)
    with pytest.raises(cs.InvalidVotesError, match="unsigned"):
        cs.Votes.from_dense(table)


def test_a_damaged_sparse_matrix_is_an_error():
    sparse = pytest.importorskip("scipy.sparse")
    matrix = sparse.csr_array(np.array([[1, 2], [2, 0]]))
    matrix.indptr = np.array([0, 10**6, 3], dtype=matrix.indptr.dtype)
    with pytest.raises(cs.InvalidVotesError, match="damaged"):
        cs.Votes.from_sparse(matrix)


def test_frames_of_several_tasks_are_matched_by_column_name():
    pandas = pytest.importorskip("pandas")
    first = pandas.DataFrame({"a": [0, 1], "b": [1, 1]})
    second = pandas.DataFrame({"c": [0, 0], "a": [1, 0]})
    votes = cs.Votes.from_tasks({"x": first, "y": second})
    assert votes.source_names == ("a", "b", "c")
    expected = {"x": [[0, 1, -1], [1, 1, -1]], "y": [[1, -1, 0], [0, -1, 0]]}
    graph = cs.TaskGraph({"x": 2, "y": 2})
    named = cs.Votes.from_tasks(expected, source_names=["a", "b", "c"])
    of = cs.VoteStatistics.of
    assert of(votes, task_graph=graph).to_bytes() == of(named, task_graph=graph).to_bytes()


def test_item_numbers_that_are_ids_are_an_error_that_says_so():
    with pytest.raises(cs.InvalidVotesError, match="number the items"):
        cs.Votes.from_long([10**9, 5], [0, 1], [0, 1])


FRAMES = {
    "pandas": lambda columns: pytest.importorskip("pandas").DataFrame(columns),
    "polars": lambda columns: pytest.importorskip("polars").DataFrame(columns),
    "pyarrow": lambda columns: pytest.importorskip("pyarrow").table(columns),
}


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize(
    "columns", [{"a": [0, 1, None], "b": [1, 1, 0]}, {"a": ["x", "y", None], "b": ["y", "y", "x"]}]
)
def test_a_frame_has_sources_as_columns_and_nulls_that_abstain(library, columns):
    votes = cs.Votes.from_frame(FRAMES[library](columns))
    expected = cs.VoteStatistics.of([[0, 1], [1, 1], [-1, 0]])
    assert votes.source_names == ("a", "b")
    np.testing.assert_array_equal(cs.VoteStatistics.of(votes).pairs, expected.pairs)


@pytest.mark.parametrize("library", FRAMES)
def test_fitting_a_frame_names_the_sources_by_its_columns(library):
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel().fit(FRAMES[library]({"a": [0, 1, 1], "b": [1, 1, 0]}))
    assert model.source_names_ == ("a", "b")


def test_an_array_is_no_frame():
    with pytest.raises(cs.WrongTypeError, match="named columns"):
        cs.Votes.from_frame(np.array([[0, 1]]))


def test_parquet_files_are_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"a": [0, 1], "b": [1, None]}), tmp_path / "votes.parquet")
    votes = cs.Votes.from_parquet(tmp_path / "votes.parquet")
    assert (votes.source_names, votes.n_items) == (("a", "b"), 2)


@pytest.mark.parametrize("form", ["dense", "Fortran", "sparse", "tasks"])
def test_voted_tells_the_items_with_a_vote(form):
    rng = np.random.default_rng(0)
    table = np.where(rng.random((200, 4)) < 0.3, rng.integers(0, 3, (200, 4)), -1)
    if form == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        votes = cs.Votes.from_sparse(sparse.csr_array(table + 1), n_classes=3)
    elif form == "tasks":
        others = np.where(rng.random((200, 4)) < 0.2, 1, -1)
        votes = cs.Votes.from_tasks({"a": table, "b": others}, task_graph=cs.TaskGraph({"a": 3, "b": 2}))
        table = np.hstack([table, others])
    else:
        votes = cs.Votes.from_dense(np.asfortranarray(table) if form == "Fortran" else table, n_classes=3)
    np.testing.assert_array_equal(votes.voted(), (table >= 0).any(axis=1))
