"""Labels of more items than fit into memory: files that are whole or not there, runs that go on, frames."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy
from test_streams import NAMES, TABLE, VOTES, WORDS, parts_of, write_parquet

import consilience as cs
from consilience import chunks as chunks_module

MODEL = cs.LabelModel().fit(VOTES)
PROBABILITIES, LABELS = MODEL.predict_proba(VOTES), MODEL.predict(VOTES)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks_module, "MIN_ROWS", 64)
    monkeypatch.setattr(chunks_module, "MAX_ROWS", 64)


@pytest.fixture
def votes(tmp_path):
    """Four files of votes in two folders, one without rows."""
    paths = ["x/0.parquet", "x/1.parquet", "y/0.parquet", "y/1.parquet"]
    for path, part in zip(paths, parts_of(TABLE, [700, 701, 701]), strict=True):
        (tmp_path / "votes" / path).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(tmp_path / "votes" / path, part)
    return tmp_path / "votes"


def read_parquet(path):
    pq = pytest.importorskip("pyarrow.parquet")
    with pq.ParquetFile(path) as file:
        return file.read()


def probabilities_in(table, names=("0", "1", "2")):
    return np.column_stack([table.column(f"p_{name}").to_numpy() for name in names])


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# One file


@pytest.mark.parametrize("form", ["files", "array", "iterator"])
def test_labels_in_a_file_are_those_in_memory(tmp_path, votes, form):
    source = {"files": votes, "array": TABLE, "iterator": iter(parts_of(TABLE, [9, 300]))}[form]
    written = MODEL.predict_proba(source, out=tmp_path / "labels.parquet")
    table = read_parquet(tmp_path / "labels.parquet")
    assert table.column_names == ["label", "p_0", "p_1", "p_2"]
    np.testing.assert_array_equal(table.column("label").to_numpy(), LABELS)
    np.testing.assert_array_equal(probabilities_in(table), PROBABILITIES)
    assert written.files == (str(tmp_path / "labels.parquet"),)
    assert (written.n_items, written.n_voted) == (2000, int((TABLE >= 0).any(axis=1).sum()))


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_predict_writes_labels_alone_in_every_format(tmp_path, votes, ending):
    MODEL.predict(votes, out=tmp_path / f"labels.{ending}")
    path = tmp_path / f"labels.{ending}"
    if ending == "csv":
        found = np.loadtxt(path, skiprows=1, dtype=int)
        assert path.read_text().startswith("label\n")
    elif ending == "npz":
        with np.load(path) as archive:
            assert archive.files == ["label"]
            found = archive["label"]
    else:
        assert read_parquet(path).column_names == ["label"]
        found = read_parquet(path).column("label").to_numpy()
    np.testing.assert_array_equal(found, LABELS)


@pytest.mark.parametrize("kind", ["string", "dictionary", "date32", "int32"])
def test_ids_are_written_as_they_were_read(tmp_path, kind):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    numbers = pa.array(np.arange(2000, dtype=np.int32))
    ids = numbers.cast("string").dictionary_encode() if kind == "dictionary" else numbers.cast(kind)
    columns = {"id": ids, **{name: pa.array(TABLE[:, j]) for j, name in enumerate(NAMES)}}
    pq.write_table(pa.table(columns), tmp_path / "votes.parquet", row_group_size=99)
    MODEL.predict_proba(tmp_path / "votes.parquet", out=tmp_path / "labels.parquet")
    found = read_parquet(tmp_path / "labels.parquet").column("item")
    assert found.to_pylist() == ids.to_pylist()
    assert found.type == ids.type


def test_class_names_are_written(tmp_path):
    model = cs.LabelModel().fit(WORDS[TABLE])
    model.predict_proba(WORDS[TABLE], out=tmp_path / "labels.parquet")
    table = read_parquet(tmp_path / "labels.parquet")
    assert table.column_names == ["label", "p_bear", "p_lynx", "p_wolf"]
    expected = [model.classes_[y] for y in model.predict(WORDS[TABLE])]
    assert table.column("label").to_pylist() == expected


def test_several_tasks_have_columns_of_their_own(tmp_path):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 300)
    model = cs.LabelModel(task_graph=exact.graph).fit(tables)
    model.predict_proba(tables, out=tmp_path / "labels.parquet")
    table = read_parquet(tmp_path / "labels.parquet")
    for task, names in exact.graph.classes.items():
        assert table.column(task).to_pylist() == [names[y] for y in model.predict(tables)[task]]
        shares = np.column_stack([table.column(f"p_{task}_{name}").to_numpy() for name in names])
        np.testing.assert_array_equal(shares, model.predict_proba(tables)[task])


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_no_items_make_a_file_without_rows(tmp_path, ending):
    pytest.importorskip("pyarrow")
    for nothing in (iter([]), TABLE[:0]):
        written = MODEL.predict_proba(nothing, out=tmp_path / f"labels.{ending}")
        assert written.n_items == 0
    if ending == "parquet":
        assert read_parquet(tmp_path / "labels.parquet").column_names == ["label", "p_0", "p_1", "p_2"]
    write_parquet(tmp_path / "empty.parquet", TABLE[:0])
    assert MODEL.predict_proba(tmp_path / "empty.parquet").shape == (0, 3)


class Stop(BaseException):
    """As Ctrl-C."""


def stop_after(n_items):
    def report(done, total):
        if done >= n_items:
            raise Stop

    return report


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("old", [True, False])
def test_a_run_that_is_interrupted_leaves_what_was_there(tmp_path, votes, ending, old):
    folder = tmp_path / "labels"
    folder.mkdir()
    if old:
        (folder / f"labels.{ending}").write_bytes(b"old")
    before = content(folder)
    with pytest.raises(Stop):
        MODEL.predict_proba(votes, out=folder / f"labels.{ending}", progress=stop_after(1000))
    assert content(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="signals work in other ways")
def test_ctrl_c_in_the_middle_leaves_nothing_half_written(tmp_path):
    pytest.importorskip("pyarrow")
    MODEL.save(tmp_path / "model")
    code = (
        "import signal, sys, time, consilience as cs\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored by jobs in the background
        "def slow(done, total): print(done, flush=True); time.sleep(10)\n"
        "cs.load('model').predict_proba('votes.parquet', out='labels.parquet', progress=slow)"
    )
    write_parquet(tmp_path / "votes.parquet", np.tile(TABLE, (1500, 1)))
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in err
    assert sorted(os.listdir(tmp_path)) == ["model", "votes.parquet"]


@pytest.mark.parametrize("out", ["votes/x/0.parquet", "votes"])
def test_votes_are_not_overwritten_by_their_labels(tmp_path, votes, out):
    before = content(votes)
    with pytest.raises(cs.InvalidArgumentError, match="would be overwritten"):
        MODEL.predict(votes, out=tmp_path / out)
    assert content(votes) == before


def test_files_with_other_ids_are_refused_before_any_is_labelled(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {name: TABLE[:, j] for j, name in enumerate(NAMES)}
    pq.write_table(pa.table({"id": np.arange(2000), **columns}), tmp_path / "0.parquet")
    pq.write_table(pa.table(columns), tmp_path / "1.parquet")
    with pytest.raises(cs.InvalidVotesError, match=r"1\.parquet has ids of type None"):
        MODEL.predict(tmp_path / "*.parquet", out=tmp_path / "labels.csv")
    np.testing.assert_array_equal(MODEL.predict(tmp_path), np.tile(LABELS, 2))


# A folder


def test_a_folder_has_a_file_of_labels_for_each_file_of_votes(tmp_path, votes):
    written = MODEL.predict_proba(votes, out=f"{tmp_path}/labels/")
    paths = [str(path.relative_to(votes)) for path in sorted(votes.rglob("*.parquet"))]
    assert [os.path.relpath(path, tmp_path / "labels") for path in written.files] == paths
    assert (written.n_items, written.n_kept) == (2000, 0)
    found = np.vstack([probabilities_in(read_parquet(path)) for path in written.files])
    np.testing.assert_array_equal(found, PROBABILITIES)


def test_a_run_that_was_interrupted_goes_on_with_the_next_file(tmp_path, votes):
    out = f"{tmp_path}/labels/"
    with pytest.raises(Stop):
        MODEL.predict_proba(votes, out=out, progress=stop_after(701))
    finished = content(tmp_path / "labels")
    assert list(finished) == ["x/0.parquet"]

    calls = []
    written = MODEL.predict_proba(votes, out=out, progress=lambda *call: calls.append(call))
    assert (written.n_kept, written.n_items) == (1, 1300)
    assert calls[0] == (700, 2000)
    assert calls[-1] == (2000, 2000)
    assert content(tmp_path / "labels")["x/0.parquet"] == finished["x/0.parquet"]
    whole = MODEL.predict_proba(votes, out=f"{tmp_path}/again/")
    assert content(tmp_path / "again") == content(tmp_path / "labels")
    assert MODEL.predict_proba(votes, out=f"{tmp_path}/again/").n_kept == len(whole.files)


def _other_model(votes, out):
    return cs.LabelModel(method="majority").fit(VOTES).predict_proba(votes, out=out)


def _other_columns(votes, out):
    return MODEL.predict(votes, out=out)


def _other_votes(votes, out):
    for path in votes.rglob("*.parquet"):
        os.utime(path, ns=(1, 1))
    return MODEL.predict_proba(votes, out=out)


def _other_file(votes, out):
    for path in Path(out).rglob("*.parquet"):
        path.write_bytes(b"PAR1 and then nothing")
    return MODEL.predict_proba(votes, out=out)


@pytest.mark.parametrize("again", [_other_model, _other_columns, _other_votes, _other_file])
def test_what_was_finished_for_another_purpose_is_written_again(tmp_path, votes, again):
    out = f"{tmp_path}/labels/"
    MODEL.predict_proba(votes, out=out)
    assert again(votes, out).n_kept == 0


def test_a_file_of_votes_that_was_replaced_at_the_same_size_and_time_is_labelled_again(tmp_path, votes):
    path, plain = votes / "x" / "0.parquet", {"compression": "none", "use_dictionary": False}
    write_parquet(path, TABLE[:700], **plain)
    MODEL.predict_proba(votes, out=f"{tmp_path}/labels/")
    before = path.stat()
    write_parquet(path, TABLE[700:1400], **plain)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    written = MODEL.predict_proba(votes, out=f"{tmp_path}/labels/")
    assert (written.n_kept, written.n_items) == (3, 700)


@pytest.mark.parametrize("name", ["labels", "labels.v2"])
def test_a_folder_that_is_not_there_yet_is_told_by_its_slash(tmp_path, votes, name):
    for files in (votes, f"{votes}/x/*.parquet", votes / "x" / "0.parquet"):
        with pytest.raises(cs.InvalidArgumentError, match=rf"end it in a slash, '.*/{name}/', for a folder"):
            MODEL.predict_proba(files, out=tmp_path / name)
    with pytest.raises(cs.InvalidArgumentError, match=r"rename it$"):
        MODEL.predict_proba(TABLE, out=tmp_path / name)


def test_a_folder_is_for_files_of_votes(tmp_path):
    for path in (tmp_path, f"{tmp_path}/new/"):
        with pytest.raises(cs.InvalidArgumentError, match="is a folder"):
            MODEL.predict(TABLE, out=path)


def test_a_bad_file_is_refused_before_the_first_is_labelled(tmp_path, votes):
    (votes / "z.parquet").write_bytes(b"PAR1")
    with pytest.raises(cs.FileFormatError, match=r"z\.parquet"):
        MODEL.predict(votes, out=f"{tmp_path}/labels/")
    assert not (tmp_path / "labels").exists()


# Memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_memory_of_a_fit_and_of_its_labels_does_not_grow_with_the_items(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    code = (
        "import sys, resource, json, consilience as cs, pyarrow.parquet\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "def run(path):\n"
        "    m = cs.LabelModel(n_classes=3, method='moments').fit(path)\n"
        "    m.predict_proba(path, out=path + '.labels.parquet')\n"
        "    return peak()\n"
        "print(json.dumps([run('few.parquet'), run('many.parquet')]))"
    )
    few = pa.table({name: np.tile(TABLE[:, j], 250) for j, name in enumerate(NAMES)})  # 0.5 M items
    pq.write_table(few, tmp_path / "few.parquet")
    with pq.ParquetWriter(tmp_path / "many.parquet", few.schema) as writer:
        for _ in range(8):
            writer.write_table(few)  # 4 M: 20 MB of votes, 128 MB of labels
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True)
    few_peak, many_peak = json.loads(found.stdout)
    assert many_peak < few_peak + 40


# Frames


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_becomes_a_frame_of_its_kind(library):
    package = pytest.importorskip(library)
    columns = {"text": ["x"] * 2000, **{name: TABLE[:, j] for j, name in enumerate(NAMES)}}
    frame = package.table(columns) if library == "pyarrow" else package.DataFrame(columns)
    found = MODEL.transform(frame)
    assert type(found) is type(frame)
    names = found.column_names if library == "pyarrow" else list(found.columns)
    assert names == ["label", "p_0", "p_1", "p_2"]
    np.testing.assert_array_equal(np.asarray(found["label"]), LABELS)
    np.testing.assert_array_equal(np.asarray(found["p_1"]), PROBABILITIES[:, 1])


def test_a_frame_of_pandas_keeps_its_index():
    pandas = pytest.importorskip("pandas")
    index = pandas.MultiIndex.from_product([["u", "v"], range(1000)], names=["batch", "item"])
    found = MODEL.transform(pandas.DataFrame(TABLE, columns=NAMES, index=index))
    assert found.index.equals(index)


def test_frames_of_several_tasks_become_one():
    polars = pytest.importorskip("polars")
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 300)
    frames = {task: polars.DataFrame(table, schema=NAMES) for task, table in tables.items()}
    model = cs.LabelModel(task_graph=exact.graph).fit(frames)
    found = model.transform(frames)
    assert isinstance(found, polars.DataFrame)
    assert found["kind"].to_list() == [["person", "org"][y] for y in model.predict(tables)["kind"]]
    np.testing.assert_array_equal(found["p_kind_org"].to_numpy(), model.predict_proba(tables)["kind"][:, 1])


@pytest.mark.parametrize("empty", [True, False])
def test_names_of_classes_stand_in_a_frame(empty):
    pandas = pytest.importorskip("pandas")
    model = cs.LabelModel().fit(cs.Votes.from_dense(WORDS[TABLE], source_names=NAMES))
    frame = pandas.DataFrame(WORDS[TABLE[: 0 if empty else 9]], columns=NAMES)
    found = model.transform(frame)
    assert list(found.columns) == ["label", "p_bear", "p_lynx", "p_wolf"]
    assert found["label"].tolist() == [model.classes_[y] for y in model.predict(frame)]


def test_what_is_no_frame_is_not_transformed():
    with pytest.raises(cs.WrongTypeError, match="use predict_proba"):
        MODEL.transform(TABLE)


def test_nothing_is_transformed_before_a_fit():
    with pytest.raises(cs.NotFittedError):
        cs.LabelModel().transform(TABLE)
