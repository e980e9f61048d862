"""Votes in chunks: whatever brings them and wherever they are cut, the same fit as of all at once."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task_with_pairs
from hypothesis import given, settings
from hypothesis import strategies as st

import consilience as cs
from consilience import chunks as chunks_module
from consilience import distinct_rows as rows_module
from consilience.distinct_rows import DistinctRows, distinct_rows

METHODS = ["auto", "moments", "completion", "em", "majority"]
NAMES = ["a", "b", "c", "d", "e"]


def draw_table(n=2000, k=3, m=5, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, k, n)
    table = np.where(rng.random((n, m)) < 0.7, label[:, None], rng.integers(0, k, (n, m)))
    return np.where(rng.random((n, m)) < 0.6, table, -1).astype(np.int8)


TABLE = draw_table()
VOTES = cs.Votes.from_dense(TABLE, source_names=NAMES)


def parts_of(table, ends):
    return np.split(table, sorted(ends))


def write_parquet(path, table, names=NAMES, nulls=False, **options):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        name: pa.array(np.maximum(column, 0), mask=column < 0) if nulls else pa.array(column)
        for name, column in zip(names, table.T, strict=True)
    }
    pq.write_table(pa.table(columns), path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four files, one without rows, in small row groups, that read chunk by chunk."""
    folder = tmp_path_factory.mktemp("votes")
    for number, part in enumerate(parts_of(TABLE, [700, 701, 701])):
        write_parquet(folder / f"{number}.parquet", part, nulls=number % 2 == 0, row_group_size=90)
    return folder


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks_module, "MIN_ROWS", 64)
    monkeypatch.setattr(chunks_module, "MAX_ROWS", 64)


def arrow_stream(table=TABLE, size=77):
    pa = pytest.importorskip("pyarrow")
    whole = pa.table(dict(zip(NAMES, table.T, strict=True)))
    return pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=size))


class Capsule:
    """Brings Arrow by its protocol alone."""

    def __init__(self, reader):
        self._reader = reader

    def __arrow_c_stream__(self, requested_schema=None):
        return self._reader.__arrow_c_stream__(requested_schema)


def frames(library, size=300):
    package = pytest.importorskip(library)
    for begin in range(0, len(TABLE), size):
        part = TABLE[begin : begin + size]
        columns = {name: part[:, j] for j, name in enumerate(NAMES)}
        yield package.table(columns) if library == "pyarrow" else package.DataFrame(columns)


def sparse_parts():
    sparse = pytest.importorskip("scipy.sparse")
    for part in parts_of(TABLE, [1, 500, 900]):
        yield cs.Votes.from_sparse(sparse.csr_array(part + 1), source_names=NAMES)


FORMS = {
    "glob": lambda folder: str(folder / "*.parquet"),
    "folder": lambda folder: folder,
    "Arrow stream": lambda folder: arrow_stream(),
    "Arrow protocol": lambda folder: Capsule(arrow_stream()),
    "batches": lambda folder: iter(list(arrow_stream())),
    "callable of batches": lambda folder: arrow_stream,
    "votes": lambda folder: iter([VOTES.rows(0, 10), VOTES.rows(10, 10), VOTES.rows(10, 2000)]),
    "callable of votes": lambda folder: lambda: (VOTES.rows(i, i + 1) for i in range(2000)),
    "pandas": lambda folder: frames("pandas"),
    "polars": lambda folder: frames("polars"),
    "pyarrow": lambda folder: frames("pyarrow"),
    "sparse": lambda folder: sparse_parts(),
}


def learned(model):
    return model._fitted().to_bytes()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n_threads", [1, None])
def test_every_stream_gives_the_statistics_of_all_votes(folder, form, n_threads):
    found = cs.VoteStatistics.of(FORMS[form](folder), n_threads=n_threads)
    assert found.to_bytes() == cs.VoteStatistics.of(VOTES).to_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_fit_to_a_stream_is_that_to_all_votes_by_every_method(folder, method):
    whole = cs.LabelModel(method=method).fit(VOTES)
    stream = cs.LabelModel(method=method).fit(folder / "*.parquet")
    assert learned(stream) == learned(whole)


@pytest.mark.parametrize("form", FORMS)
def test_every_stream_is_labelled_as_all_votes_at_once(folder, form):
    model = cs.LabelModel().fit(VOTES)
    for answer in (model.predict_proba, model.predict, model.predict_joint):
        assert answer(FORMS[form](folder)).tobytes() == answer(VOTES).tobytes()


@pytest.mark.filterwarnings("ignore:votes are indices of classes", "ignore:no source ever votes for class 0")
@settings(max_examples=25)
@given(data=st.data(), k=st.integers(1, 4), weighted=st.booleans())
def test_any_chunking_gives_the_same_statistics_and_rows(data, k, weighted):
    n, m = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 4)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    table = rng.integers(-1, k, (n, m))
    weights = rng.integers(0, 4, n) if weighted else None
    if weighted:
        weights[rng.integers(n)] += 1
    ends = data.draw(st.lists(st.integers(0, n), max_size=5))
    parts = parts_of(table, ends)

    found = cs.VoteStatistics.of(iter(parts), weights=weights)
    assert found.to_bytes() == cs.VoteStatistics.of(table, weights=weights).to_bytes()

    rows = DistinctRows()
    for part, of_part in zip(parts, parts_of(np.ones(n) if weights is None else weights, ends), strict=True):
        if len(part):
            rows = rows.with_votes(cs.Votes.from_dense(part, n_classes=k), 0, of_part.astype(float))
    votes, counts = rows.votes()
    expected = {}
    for i, row in enumerate(table.tolist()):
        expected[tuple(row)] = expected.get(tuple(row), 0) + (1 if weights is None else weights[i])
    assert dict(zip(map(tuple, dense(votes)), counts.tolist(), strict=True)) == expected
    assert dense(votes) == dense(distinct_rows(cs.Votes.from_dense(table, n_classes=k))[0])


def dense(votes, task="label"):
    indptr, indices, data = votes.tables[task]
    table = np.full((votes.n_items, votes.n_sources), -1)
    table[np.repeat(np.arange(votes.n_items), np.diff(indptr)), indices] = data.astype(int) - 1
    return table.tolist()


def test_weights_of_a_stream_are_those_of_all_items(folder):
    weights = np.random.default_rng(0).integers(0, 4, len(TABLE))
    stream = cs.LabelModel(method="em").fit(folder, weights=weights)
    assert learned(stream) == learned(cs.LabelModel(method="em").fit(VOTES, weights=weights))


@pytest.mark.parametrize("length", [1999, 2001])
def test_weights_of_another_length_than_the_stream_are_refused(folder, length):
    with pytest.raises(cs.InvalidArgumentError, match=f"weights has {length} numbers for 2000 items"):
        cs.LabelModel().fit(folder, weights=np.ones(length))


def test_chunks_of_dependent_sources_are_counted_together(folder):
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    table, _ = draw(np.random.default_rng(1), exact, 3000)
    arguments = {"n_classes": 2, "dependencies": exact.dependencies}
    stream = iter(parts_of(table, [1, 2, 1000]))
    found, whole = (cs.LabelModel(method="moments", **arguments).fit(v) for v in (stream, table))
    assert learned(found) == learned(whole)


@pytest.mark.filterwarnings("ignore::consilience.TooManyJointStatesWarning")
def test_components_that_only_all_chunks_find_too_large_are_left_out(monkeypatch):
    table = draw_table(k=6)
    monkeypatch.setattr("consilience.components.MAX_JOINT_STATES", 40)
    arguments = {"n_classes": 6, "dependencies": [(0, 1), (2, 3)], "method": "auto"}
    first = np.where(table < 4, table, -1)[:500]  # of at most 5 x 5 joint states
    table = np.vstack([first, table])
    with pytest.warns(cs.TooManyJointStatesWarning):
        found = cs.LabelModel(**arguments).fit(iter(parts_of(table, [500])))
    assert learned(found) == learned(cs.LabelModel(**arguments).fit(table))
    with pytest.raises(cs.InvalidArgumentError, match="joint states"):
        cs.LabelModel(**{**arguments, "method": "moments"}).fit(iter(parts_of(table, [500])))


@pytest.mark.parametrize("method", ["auto", "em"])
def test_chunks_of_several_tasks_give_the_same_fit(method):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 2000)
    model = partial(cs.LabelModel, task_graph=exact.graph, method=method)

    def stream():
        for begin in range(0, 2000, 170):
            yield {task: table[begin : begin + 170] for task, table in tables.items()}

    found, whole = model().fit(stream()), model().fit(tables)
    assert learned(found) == learned(whole)
    for task, probabilities in whole.predict_proba(tables).items():
        assert found.predict_proba(stream)[task].tobytes() == probabilities.tobytes()


def test_parquet_files_of_several_tasks_are_read_by_the_names_of_their_columns(tmp_path):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 600)
    names = [f"{task}:{source}" for task in tables for source in NAMES]
    wide = np.hstack(list(tables.values()))
    write_parquet(tmp_path / "0.parquet", wide[:100], names)
    write_parquet(tmp_path / "1.parquet", wide[100:, ::-1], names[::-1])
    votes = cs.Votes.from_tasks(tables, task_graph=exact.graph, source_names=NAMES)
    model = cs.LabelModel(task_graph=exact.graph).fit(tmp_path)
    assert learned(model) == learned(cs.LabelModel(task_graph=exact.graph).fit(votes))
    assert model.predict(tmp_path)["kind"].tobytes() == model.predict(votes)["kind"].tobytes()


def test_infeasible_votes_of_a_stream_are_counted_and_warned_of_once():
    graph = cs.TaskGraph({"kind": ["x", "y"], "part": ["u", "v"]}, parents={"part": ("kind", "x")})
    table = draw_table(k=2)
    tables = {"kind": table, "part": np.where(table == 0, 0, -1)}
    tables["part"][::50] = 2  # N/A, where the kind may be x
    model = cs.LabelModel(task_graph=graph, method="majority")

    def stream():
        for begin in range(0, 2000, 100):
            yield {task: part[begin : begin + 100] for task, part in tables.items()}

    for run in (model.fit, model.predict):
        with pytest.warns(cs.InfeasibleVotesWarning) as whole:
            run(tables)
        with pytest.warns(cs.InfeasibleVotesWarning) as streamed:
            run(stream())
        without_example = [re.sub(", such as .* at row [0-9]+", "", str(w.message)) for w in whole]
        assert [str(w.message) for w in streamed] == without_example


# What is read from the chunks


@pytest.mark.filterwarnings("ignore:votes are indices of classes, the largest is 4")
def test_the_largest_label_of_all_chunks_says_how_many_classes_there_are():
    parts = [[[0, 1]], [[0, 4]], [[2, -1]]]
    found = cs.VoteStatistics.of(iter(parts))
    assert found.to_bytes() == cs.VoteStatistics.of(np.vstack(parts)).to_bytes()
    assert found.task_graph.cardinalities == (5,)


WORDS = np.array(["wolf", "lynx", "bear", ""])


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_class_names_in_files_are_those_of_all_files(tmp_path, kind):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for number, part in enumerate(parts_of(TABLE, [3, 900])):
        arrays = [pa.array(WORDS[column]) for column in part.T]
        arrays = [a.dictionary_encode() if kind == "dictionary" else a.cast(kind) for a in arrays]
        pq.write_table(pa.table(arrays, NAMES), tmp_path / f"{number}.parquet")
    whole = cs.LabelModel().fit(cs.Votes.from_dense(WORDS[TABLE], source_names=NAMES))
    model = cs.LabelModel().fit(tmp_path)
    assert learned(model) == learned(whole)
    assert list(model.classes_) == ["bear", "lynx", "wolf"]
    assert model.predict(tmp_path).tobytes() == model.predict(WORDS[TABLE]).tobytes()


def test_class_names_of_a_callable_are_those_of_all_chunks():
    words = WORDS[TABLE]
    model = cs.LabelModel().fit(lambda: iter(parts_of(words, [2, 1000])))
    assert learned(model) == learned(cs.LabelModel().fit(words))


def test_class_names_of_an_iterator_must_be_given():
    words = WORDS[TABLE]
    with pytest.raises(cs.InvalidVotesError, match=r"chunk 0 holds class names.*give classes"):
        cs.LabelModel().fit(iter([words]))
    classes = ["bear", "lynx", "wolf"]
    model = cs.LabelModel(classes=classes).fit(iter(parts_of(words, [2])))
    assert learned(model) == learned(cs.LabelModel(classes=classes).fit(words))


def test_class_names_of_a_stream_of_arrow_must_be_given():
    pa = pytest.importorskip("pyarrow")
    table = pa.table([pa.array(WORDS[column]) for column in TABLE.T], NAMES)
    with pytest.raises(cs.InvalidVotesError, match=r"class names.*give classes"):
        cs.LabelModel().fit(table.to_reader())
    classes = ["bear", "lynx", "wolf"]
    stream = cs.LabelModel(classes=classes).fit(table.to_reader(max_chunksize=9))
    assert stream.predict(table.to_reader()).tobytes() == stream.predict(WORDS[TABLE]).tobytes()


@pytest.mark.parametrize(
    ("texts", "classes", "expected"),
    [
        (["0", "1"], None, None),  # indices
        (["0", "x"], ["0", "x"], ["0", "x"]),  # names, although the first file alone may hold indices
        (["1", "0"], ["1", "0"], ["1", "0"]),  # names that look like numbers
        (["1", "2"], ["a", "1", "b"], ["a", "1", "b"]),  # indices, although the first file alone holds a name
    ],
)
def test_all_files_together_say_what_a_text_means(tmp_path, texts, classes, expected):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for number, text in enumerate(texts):
        columns = {name: [text, None] for name in NAMES[:3]}
        pq.write_table(pa.table(columns), tmp_path / f"{number}.parquet")
    pq.write_table(pa.table({name: [*texts, None, None] for name in NAMES[:3]}), tmp_path / "all")
    os.rename(tmp_path / "all", tmp_path.parent / "together.parquet")
    found = cs.VoteStatistics.of(tmp_path, classes=classes)
    whole = cs.VoteStatistics.of(cs.Votes.from_file(tmp_path.parent / "together.parquet", classes=classes))
    np.testing.assert_array_equal(found.pairs, whole.pairs)
    np.testing.assert_array_equal(found.node_event, whole.node_event)
    names = found.task_graph.classes["label"]
    assert names == (expected or list(range(len(names))))


def test_a_word_in_another_file_than_the_indices_is_an_error_that_names_its_place(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for number, text in enumerate(["0", "x"]):
        pq.write_table(pa.table({name: [text, None] for name in NAMES[:3]}), tmp_path / f"{number}.parquet")
    with pytest.raises(cs.FileFormatError, match=r"1\.parquet, row 0, column 'a': found 'x'.*give classes"):
        cs.VoteStatistics.of(tmp_path)


@pytest.mark.parametrize("kind", ["int8", "int16", "int64", "uint8", "uint32", "uint64", "float32", "double"])
def test_numbers_of_every_type_are_labels(tmp_path, kind):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        name: pa.array(np.maximum(column, 0), mask=column < 0).cast(kind)
        for name, column in zip(NAMES, TABLE.T, strict=True)
    }
    pq.write_table(pa.table(columns), tmp_path / "votes.parquet")
    found = cs.VoteStatistics.of(tmp_path / "votes.parquet")
    assert found.to_bytes() == cs.VoteStatistics.of(VOTES).to_bytes()


def test_booleans_and_columns_of_nulls_are_labels(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"a": [True, None, False], "b": pa.nulls(3), "c": [1, 0, None]}
    pq.write_table(pa.table(columns), tmp_path / "votes.parquet")
    expected = cs.Votes.from_dense([[1, -1, 1], [-1, -1, 0], [0, -1, -1]], source_names=["a", "b", "c"])
    found = cs.VoteStatistics.of(tmp_path / "votes.parquet")
    assert found.to_bytes() == cs.VoteStatistics.of(expected).to_bytes()


def test_columns_of_ids_are_no_sources(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(TABLE, columns=NAMES, index=[f"no. {i}" for i in range(len(TABLE))])
    frame.to_parquet(tmp_path / "votes.parquet")
    assert cs.LabelModel().fit(tmp_path / "votes.parquet").source_names_ == tuple(NAMES)


def test_sources_of_later_files_are_matched_by_name(tmp_path):
    write_parquet(tmp_path / "0.parquet", TABLE[:500])
    write_parquet(tmp_path / "1.parquet", TABLE[500:, ::-1], NAMES[::-1])
    assert cs.VoteStatistics.of(tmp_path).to_bytes() == cs.VoteStatistics.of(VOTES).to_bytes()


def test_sources_of_later_chunks_are_matched_by_name():
    parts = [VOTES.rows(0, 5), VOTES.rows(5, 2000).of_sources(NAMES[::-1])]
    assert cs.VoteStatistics.of(iter(parts)).to_bytes() == cs.VoteStatistics.of(VOTES).to_bytes()


def test_arrow_is_read_without_the_import_of_pandas(tmp_path):
    write_parquet(tmp_path / "votes.parquet", TABLE, nulls=True)
    code = (
        "import sys, consilience as cs\n"
        "model = cs.LabelModel(classes=['x', 'y', 'z']).fit('votes.parquet')\n"
        "model.predict_proba('votes.parquet', out='labels.parquet')\n"
        "assert 'pyarrow' in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# What is refused


def bad_table(value):
    table = TABLE[:200].astype(int)
    table[130, 2] = value
    return table


@pytest.mark.parametrize(("value", "found"), [(7, "label 7"), (-2, "label -2")])
def test_a_label_out_of_range_is_named_with_its_place_in_its_file(tmp_path, value, found):
    write_parquet(tmp_path / "0.parquet", TABLE)
    write_parquet(tmp_path / "1.parquet", bad_table(value))
    place = rf"1\.parquet, row 130, source 'c': {found}"
    with pytest.raises(cs.InvalidVotesError, match=place):
        cs.LabelModel(n_classes=3).fit(tmp_path)
    model = cs.LabelModel(n_classes=3).fit(VOTES)
    with pytest.raises(cs.InvalidVotesError, match=place):
        model.predict(tmp_path)


def test_a_cell_that_is_no_vote_is_named_with_its_place_in_its_file(tmp_path):
    write_parquet(tmp_path / "0.parquet", np.where(bad_table(0) == 0, 0.5, 1.0))
    with pytest.raises(cs.FileFormatError, match=r"0\.parquet, row \d+, column '\w': found '0.5'"):
        cs.LabelModel().fit(tmp_path)


def test_a_label_out_of_range_in_a_chunk_is_named_with_its_place():
    with pytest.raises(cs.InvalidVotesError, match="chunk 1, row 130, source 2: label 7"):
        cs.LabelModel(n_classes=3).fit(iter([TABLE, bad_table(7)]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "c", "d", "x"], "1.parquet: the sources 'e' are missing"),
        (["a", "b", "c", "d"], "1.parquet: the sources 'e' are missing"),
        (["a", "b", "c", "d", "e", "f"], "1.parquet: the sources 'f' are not among"),
        (["t:a", "t:b", "t:c", "t:d", "t:e"], "1.parquet lacks the columns"),
    ],
)
def test_files_of_other_sources_are_refused_before_any_is_read(tmp_path, names, message):
    write_parquet(tmp_path / "0.parquet", bad_table(-9))
    write_parquet(tmp_path / "1.parquet", np.zeros((3, len(names)), dtype=int), names)
    with pytest.raises(cs.InvalidVotesError, match=message):
        cs.LabelModel().fit(tmp_path)


REFUSED = {
    "nothing": (lambda: iter([]), cs.InvalidVotesError, "no items"),
    "chunks without rows": (lambda: iter([TABLE[:0]]), cs.InvalidVotesError, "no items"),
    "another width": (lambda: iter([TABLE, TABLE[:, 1:]]), cs.InvalidVotesError, "chunk 1 has 4 sources"),
    "another name": (
        lambda: iter([VOTES, cs.Votes.from_dense(TABLE, source_names=list("abcdx"))]),
        cs.InvalidVotesError,
        "chunk 1: .*'e' are missing",
    ),
    "names now and then": (lambda: iter([VOTES, TABLE]), cs.InvalidVotesError, "names to all of them"),
    "no vote": (lambda: iter([np.full((3, 5), -1)]), cs.InvalidVotesError, "5 sources"),
    "names after indices": (lambda: iter([TABLE, WORDS[TABLE]]), cs.InvalidVotesError, "chunk 1 holds class"),
    "what is no chunk": (lambda: iter([TABLE, 3]), cs.WrongTypeError, "chunk 1"),
    "a callable that gives no iterator": (lambda: lambda: 3, cs.WrongTypeError, "iterator of chunks"),
    "other classes": (
        lambda: iter([cs.Votes.from_dense(TABLE, classes=list("xyz")), cs.Votes.from_dense(TABLE)]),
        cs.InvalidVotesError,
        "different tasks or classes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_stream_that_cannot_be_learned_from_is_a_typed_error_that_changes_nothing(case):
    stream, error, message = REFUSED[case]
    model = cs.LabelModel().fit(VOTES)
    before = learned(model)
    with pytest.raises(error, match=message):
        model.fit(stream())
    assert learned(model) == before


def test_a_glob_that_matches_nothing_is_a_missing_file(tmp_path):
    pytest.importorskip("pyarrow")
    for path in (tmp_path / "*.parquet", tmp_path):
        with pytest.raises(FileNotFoundError, match="no file matches"):
            cs.LabelModel().fit(path)
    with pytest.raises(FileNotFoundError):
        cs.LabelModel().fit(tmp_path / "nowhere.parquet")


def test_a_glob_of_other_files_is_refused(tmp_path):
    (tmp_path / "votes.csv").write_text("a,b\n0,1\n", encoding="utf-8")
    with pytest.raises(cs.InvalidArgumentError, match=r"votes\.csv"):
        cs.LabelModel().fit(tmp_path / "*")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    write_parquet(tmp_path / "votes[1].parquet", TABLE)
    assert cs.LabelModel().fit(tmp_path / "votes[1].parquet").summary()


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")  # what is left may look odd
@settings(max_examples=40)
@given(data=st.data())
def test_a_damaged_file_never_raises_another_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged-stream.parquet"
    write_parquet(path, TABLE[:40], nulls=True)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        cs.VoteStatistics.of(path)
    except (cs.FileFormatError, cs.InvalidVotesError):
        return


# Distinct rows, and learning on


def test_rows_without_an_end_to_their_number_are_an_error_that_says_what_to_do(monkeypatch, folder):
    monkeypatch.setattr(rows_module, "MAX_BYTES", 2**12)
    with pytest.raises(cs.InvalidArgumentError, match='method="moments"'):
        cs.LabelModel(method="em").fit(folder)
    model = cs.LabelModel(method="em", n_classes=3).partial_fit(VOTES.rows(0, 50))
    before = learned(model)
    with pytest.raises(cs.InvalidArgumentError, match='method="moments"'):
        model.partial_fit(VOTES)
    assert learned(model) == before
    assert cs.LabelModel(method="moments").fit(folder).identifiability_.identifiable


def test_rows_are_put_together_when_they_have_doubled(monkeypatch):
    monkeypatch.setattr(rows_module, "_MIN_FRESH", 8)
    rows = DistinctRows()
    for begin in range(0, 2000, 10):
        rows = rows.with_votes(VOTES.rows(begin, begin + 10), 0)
        assert sum(votes.n_items for votes, _ in rows.parts) <= 2 * len(np.unique(TABLE, axis=0)) + 8
    votes, counts = rows.votes()
    found, expected = distinct_rows(VOTES)[1], counts
    assert found.tolist() == expected.tolist()
    assert votes.n_items == len(np.unique(TABLE, axis=0))


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("ends", [[1000], [1, 2, 3], [300, 300, 1999]])
@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
@pytest.mark.filterwarnings("ignore::consilience.ConvergenceWarning")
def test_learning_on_chunk_by_chunk_ends_where_a_fit_to_all_does(method, ends):
    grown = cs.LabelModel(n_classes=3, method=method)
    for part in parts_of(TABLE, ends):
        if len(part):
            grown.partial_fit(part)
    assert learned(grown) == learned(cs.LabelModel(n_classes=3, method=method).fit(TABLE))


def test_learning_on_takes_streams_too(folder):
    model = cs.LabelModel(n_classes=3, method="em").partial_fit(VOTES).partial_fit(folder)
    twice = cs.Votes.from_dense(np.vstack([TABLE, TABLE]), source_names=NAMES)
    assert learned(model) == learned(cs.LabelModel(n_classes=3, method="em").fit(twice))


def test_learning_on_matches_sources_by_name():
    model = cs.LabelModel(n_classes=3).partial_fit(VOTES.rows(0, 900))
    model.partial_fit(VOTES.rows(900, 2000).of_sources(NAMES[::-1]))
    assert learned(model) == learned(cs.LabelModel(n_classes=3).fit(VOTES))


def test_a_model_that_learns_on_survives_a_pickle():
    model = cs.LabelModel(n_classes=3, method="em").partial_fit(VOTES.rows(0, 900))
    model = pickle.loads(pickle.dumps(model)).partial_fit(VOTES.rows(900, 2000))
    assert learned(model) == learned(cs.LabelModel(n_classes=3, method="em").fit(VOTES))


# Progress


def test_progress_is_told_after_each_chunk(folder):
    calls = []
    cs.LabelModel().fit(folder, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (2000, 2000)
    assert len(calls) > 20
    assert sorted(calls) == calls


def test_a_line_of_progress_is_gone_in_the_end(folder, capsys):
    model = cs.LabelModel().fit(folder, progress=True)
    model.predict(folder, progress=True)
    text = capsys.readouterr().err
    assert "% of 2,000 items" in text
    assert text.endswith("\r")
    model.fit(folder)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("pattern", ["part.parquet", "*.parquet", "part[1].parquet", "**/*.parquet", ""])
def test_a_folder_whose_name_has_brackets_is_that_folder(tmp_path, pattern):
    folder, other = tmp_path / "votes[1]", tmp_path / "votes1"
    for place in (folder, other):
        place.mkdir()
        for name in ("part", "part1"):
            write_parquet(place / f"{name}.parquet", TABLE)
    found = chunks_module.parquet_files(folder / pattern if pattern else folder)
    names = {"part.parquet": ["part"], "part[1].parquet": ["part1"]}.get(pattern, ["part", "part1"])
    assert [Path(file) for file in found] == [folder / f"{name}.parquet" for name in names]
    assert cs.LabelModel(n_classes=3, method="majority").fit(folder / pattern).summary()


def test_brackets_that_no_folder_has_are_a_pattern(tmp_path):
    for name in ("votes1", "votes2", "votes3"):
        (tmp_path / name).mkdir()
        write_parquet(tmp_path / name / "part.parquet", TABLE)
    found = chunks_module.parquet_files(tmp_path / "votes[12]" / "*.parquet")
    assert [Path(file).parent.name for file in found] == ["votes1", "votes2"]


@pytest.mark.parametrize(("n_threads", "uses"), [(1, {False}), (2, {True}), (None, {True})])
def test_one_thread_reads_without_those_of_arrow(folder, n_threads, uses, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    found, readers = set(), set()
    iter_batches = parquet.ParquetFile.iter_batches

    def watched(self, *arguments, use_threads=True, **options):
        found.add(use_threads)
        readers.add(threading.get_ident())
        return iter_batches(self, *arguments, use_threads=use_threads, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", watched)
    cs.LabelModel(n_classes=3, n_threads=n_threads).fit(folder)
    assert found == uses
    assert (readers == {threading.get_ident()}) == (n_threads == 1)


def test_a_file_whose_name_has_brackets_is_that_file(tmp_path):
    path = tmp_path / "v[1].csv"
    path.write_text("a,b,c\n0,1,0\n1,1,-1\n0,0,0\n")
    assert cs.LabelModel(n_classes=2, method="majority").fit(str(path)).predict(str(path)).shape == (3,)
