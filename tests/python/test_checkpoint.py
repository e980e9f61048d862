"""Checkpoints: however a fit to Parquet files ends, the same call goes on, to the same result bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy

import consilience as cs
from consilience import arrow_votes, checkpoint, chunks, distinct_rows, item_sample, many_sources
from consilience.checkpoint import Checkpoint
from consilience.chunks import Form
from consilience.container import pack, unpack
from consilience.streams import observe_chunks

pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

NAMES = ["a", "b", "c", "d", "e"]
WORDS = np.array(["wolf", "lynx", "bear", ""])


def draw_table(n=300, k=3, m=5, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, k, n)
    table = np.where(rng.random((n, m)) < 0.7, label[:, None], rng.integers(0, k, (n, m)))
    return np.where(rng.random((n, m)) < 0.6, table, -1).astype(np.int8)


TABLE = draw_table()


def write_files(folder, table, names=NAMES, ends=(100, 101, 101)):
    """Four files, one of a single row and one without rows, in row groups that no batch fits."""
    folder.mkdir()
    for number, part in enumerate(np.split(table, ends)):
        columns = dict(zip(names, part.T, strict=True))
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=45)
    return folder


@pytest.fixture
def votes(tmp_path):
    return write_files(tmp_path / "votes", TABLE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "MIN_ROWS", 32)
    monkeypatch.setattr(chunks, "MAX_ROWS", 32)


def stop(done=None, total=None):
    raise KeyboardInterrupt


def stop_after(n_chunks):
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == n_chunks:
            stop()

    return progress


def fit_interrupted_after_each_chunk(model, votes, path):
    """The same call over and over; each counts one chunk and is interrupted, until none is left."""
    for n_interrupted in range(100):
        try:
            return model.fit(votes, progress=stop, checkpoint=path), n_interrupted
        except KeyboardInterrupt:
            assert path.exists()
    raise AssertionError("the fit does not get on")


def learned(model):
    return model._fitted().to_bytes()


# The same result


@pytest.mark.parametrize("method", ["auto", "moments", "majority"])
@pytest.mark.parametrize("n_threads", [1, None])
def test_a_fit_that_is_interrupted_after_each_chunk_ends_as_if_it_were_not(votes, path, method, n_threads):
    model = cs.LabelModel(n_classes=3, method=method, n_threads=n_threads)
    found, n_interrupted = fit_interrupted_after_each_chunk(model, votes, path)
    assert n_interrupted >= 12
    whole = cs.LabelModel(n_classes=3, method=method, n_threads=n_threads).fit(votes)
    assert learned(found) == learned(whole)
    assert os.listdir(path.parent) == ["votes"]


def test_a_fit_may_be_interrupted_anywhere(votes, path):
    whole = learned(cs.LabelModel(method="moments").fit(votes))
    for n_chunks in range(1, 13):
        model = cs.LabelModel(method="moments")
        with pytest.raises(KeyboardInterrupt):
            model.fit(votes, progress=stop_after(n_chunks), checkpoint=path)
        assert learned(model.fit(votes, checkpoint=path)) == whole
        assert not path.exists()


def test_an_interruption_within_a_chunk_loses_that_chunk_alone(votes, path, monkeypatch):
    merge, calls = cs.VoteStatistics.merge, []

    def interrupted(self, other):
        calls.append(self.n)
        if len(calls) == 5:
            stop()
        return merge(self, other)

    monkeypatch.setattr(cs.VoteStatistics, "merge", interrupted)
    model = cs.LabelModel(method="moments")
    with pytest.raises(KeyboardInterrupt):
        model.fit(votes, checkpoint=path)
    done = []
    model.fit(votes, checkpoint=path, progress=lambda n, total: done.append(n))
    assert calls[4] < done[0] <= calls[4] + 32
    assert learned(model) == learned(cs.LabelModel(method="moments").fit(votes))


@pytest.mark.parametrize("class_balance", [None, "uniform"])
@pytest.mark.parametrize("dependencies", [None, [("a", "b")], "learn"])
def test_triples_and_dependent_sources_are_counted_on(votes, path, class_balance, dependencies):
    def model():
        return cs.LabelModel(class_balance=class_balance, dependencies=dependencies, method="moments")

    found, _ = fit_interrupted_after_each_chunk(model(), votes, path)
    assert learned(found) == learned(model().fit(votes))


@pytest.mark.parametrize("method", ["auto", "moments"])
def test_a_fit_of_several_tasks_goes_on(tmp_path, path, method):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 300)
    names = [f"{task}:{source}" for task in tables for source in NAMES]
    votes = write_files(tmp_path / "votes", np.hstack(list(tables.values())), names)
    found, _ = fit_interrupted_after_each_chunk(
        cs.LabelModel(task_graph=exact.graph, method=method), votes, path
    )
    assert learned(found) == learned(cs.LabelModel(task_graph=exact.graph, method=method).fit(votes))


@pytest.mark.parametrize("classes", [None, ["wolf", "lynx", "bear"], WORDS[:3]])
def test_class_names_are_looked_for_once(tmp_path, path, monkeypatch, classes):
    votes = write_files(tmp_path / "votes", WORDS[TABLE])
    whole = learned(cs.LabelModel(classes=classes).fit(votes))
    passes, texts_in_files = [], arrow_votes.texts_in_files

    def looked_for(*arguments):
        passes.append(arguments)
        return texts_in_files(*arguments)

    monkeypatch.setattr(chunks, "texts_in_files", looked_for)
    found, _ = fit_interrupted_after_each_chunk(cs.LabelModel(classes=classes), votes, path)
    assert learned(found) == whole
    assert len(passes) == (classes is None)


@pytest.mark.filterwarnings("ignore:votes are indices of classes, the largest is 200")
def test_the_largest_label_of_all_chunks_says_how_many_classes_there_are(tmp_path, path):
    table = np.minimum(draw_table(k=4).astype(np.int16), 1)
    table[-2:] = [[2, 2, 150, 2, 2], [-1, 2, 2, 2, 200]]
    votes = write_files(tmp_path / "votes", table)
    found, _ = fit_interrupted_after_each_chunk(cs.LabelModel(), votes, path)
    assert found.task_graph_.cardinalities == (201,)
    assert learned(found) == learned(cs.LabelModel().fit(votes))


@pytest.mark.parametrize("few_votes", [True, False])
@pytest.mark.parametrize("method", ["auto", "majority"])
def test_many_sources_whose_pairs_are_left_for_later_are_counted_on(
    votes, path, monkeypatch, method, few_votes
):
    monkeypatch.setattr(many_sources, "FEW_INDICATORS", 8)
    if few_votes:  # then pairs are not counted in the end either
        monkeypatch.setattr("consilience.learning.MIN_VOTES_PER_INDICATOR", {method: np.inf})
    found, _ = fit_interrupted_after_each_chunk(cs.LabelModel(n_classes=3, method=method), votes, path)
    whole = cs.LabelModel(n_classes=3, method=method).fit(votes)
    assert whole._fitted().statistics.is_without_pairs == (few_votes or method == "majority")
    assert learned(found) == learned(whole)


def tables_of(votes):
    return {task: [array.tobytes() for array in table] for task, table in votes.tables.items()}


@pytest.mark.parametrize("most_items", [16, 100])
@pytest.mark.parametrize("min_fresh", [1, 80])
def test_rows_and_the_sample_of_items_are_the_same(votes, path, monkeypatch, most_items, min_fresh):
    monkeypatch.setattr(item_sample, "MOST_ITEMS", most_items)
    monkeypatch.setattr(item_sample, "MOST_PARTS", 3)
    monkeypatch.setattr(distinct_rows, "_MIN_FRESH", min_fresh)
    arguments = {"strict": False, "keeps_rows": True, "triples": True}
    whole = observe_chunks(votes, Form(), **arguments)
    for _ in range(100):
        try:
            kept = Checkpoint(path, votes)
            found = observe_chunks(votes, Form(), progress=stop, checkpoint=kept, **arguments)
            break
        except KeyboardInterrupt:
            continue
    assert found.statistics.to_bytes() == whole.statistics.to_bytes()
    (rows, weights), (expected, expected_weights) = found.rows.votes(), whole.rows.votes()
    assert tables_of(rows) == tables_of(expected)
    assert weights.tobytes() == expected_weights.tobytes()
    assert len(whole.rows.drawn.items) <= most_items
    assert found.rows.drawn.items.tobytes() == whole.rows.drawn.items.tobytes()
    assert found.rows.drawn.n_votes == whole.rows.drawn.n_votes
    assert tables_of(found.rows.drawn_votes()) == tables_of(whole.rows.drawn_votes())


def test_what_was_counted_comes_back_from_the_file_as_it_was(votes, path):
    with pytest.raises(KeyboardInterrupt):
        cs.LabelModel().fit(votes, progress=stop_after(7), checkpoint=path)
    before = path.read_bytes()
    header, arrays = unpack(before, "fit checkpoint")
    counted = checkpoint.Counted.from_parts(header["counted"], arrays)
    counted_header, counted_arrays = counted.to_parts()
    assert pack("fit checkpoint", {**header, "counted": counted_header}, counted_arrays) == before


def test_infeasible_votes_are_warned_of_as_if_there_were_no_interruption(tmp_path, path):
    graph = cs.TaskGraph({"kind": ["x", "y"], "part": ["u", "v"]}, parents={"part": ("kind", "x")})
    table = draw_table(k=2)
    part = np.where(table == 0, 0, -1)
    part[::50] = 2  # N/A, where the kind may be x
    names = [f"{task}:{source}" for task in ("kind", "part") for source in NAMES]
    votes = write_files(tmp_path / "votes", np.hstack([table, part]), names)
    with pytest.warns(cs.InfeasibleVotesWarning) as whole:
        cs.LabelModel(task_graph=graph, method="majority").fit(votes)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = cs.LabelModel(task_graph=graph, method="majority")
        fit_interrupted_after_each_chunk(model, votes, path)
    assert [str(w.message) for w in found] == [str(w.message) for w in whole]


# What is read, and written


@pytest.mark.parametrize("n_chunks", [2, 4, 6, 9])
def test_what_was_read_is_not_read_again(votes, path, monkeypatch, n_chunks):
    opened, read = [], []
    batches, iter_batches = arrow_votes.ParquetVotes.batches, pq.ParquetFile.iter_batches

    def watched(self, columns, n_rows, begin=0, **options):
        opened.append((Path(self.path).name, begin))
        return batches(self, columns, n_rows, begin, **options)

    def counted(self, *arguments, **options):
        for batch in iter_batches(self, *arguments, **options):
            read.append(batch.num_rows)
            yield batch

    progress = stop_after(n_chunks)
    with pytest.raises(KeyboardInterrupt):
        cs.LabelModel(method="moments").fit(votes, progress=progress, checkpoint=path)
    n_done = unpack(path.read_bytes(), "fit checkpoint")[0]["counted"]["n_items"]
    monkeypatch.setattr(arrow_votes.ParquetVotes, "batches", watched)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    cs.LabelModel(method="moments").fit(votes, checkpoint=path)
    first, begin = next((file, n_done - n) for file, n in ((3, 101), (1, 100), (0, 0)) if n_done >= n)
    assert opened == [(f"{first}.parquet", begin), *((f"{file}.parquet", 0) for file in range(first + 1, 4))]
    assert sum(read) - (300 - n_done) < 45  # of a row group, no more


def test_it_is_written_after_the_first_chunk_and_then_now_and_then(votes, path, monkeypatch):
    def written(seconds):
        sizes = []
        monkeypatch.setattr(checkpoint, "SECONDS", seconds)
        monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1e9)
        write = checkpoint.write_atomically
        monkeypatch.setattr(
            checkpoint, "write_atomically", lambda name, data: (sizes.append(len(data)), write(name, data))
        )
        cs.LabelModel().fit(votes, checkpoint=path)
        monkeypatch.setattr(checkpoint, "write_atomically", write)
        return len(sizes)

    assert written(1000.0) == 2  # the first chunk, and all of them before anything is learned
    assert written(0.0) >= 12


def test_what_takes_long_to_write_is_written_seldom(votes, path, monkeypatch):
    now, written = [0.0], []

    def slow(name, data):
        written.append(now[0])
        now[0] += 100.0

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoint, "write_atomically", slow)

    def progress(done, total):
        now[0] += 300.0

    cs.LabelModel().fit(votes, checkpoint=path, progress=progress)
    assert np.diff(written)[:-1].min() >= 2000.0


def test_an_error_while_learning_leaves_all_that_was_counted(votes, path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("consilience.learning.learn", lambda *_: stop())
        with pytest.raises(KeyboardInterrupt):
            cs.LabelModel().fit(votes, checkpoint=path)
    model = cs.LabelModel().fit(votes, checkpoint=path, progress=stop)  # no chunk is read, so nothing stops
    assert learned(model) == learned(cs.LabelModel().fit(votes))
    assert not path.exists()


def test_an_error_in_a_file_leaves_what_was_counted_before_it(votes, path, monkeypatch):
    batches = arrow_votes.ParquetVotes.batches

    def failing(self, *arguments, **options):
        if self.path.endswith("3.parquet"):
            raise cs.FileFormatError("the network is down")
        return batches(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(arrow_votes.ParquetVotes, "batches", failing)
        with pytest.raises(cs.FileFormatError, match="network"):
            cs.LabelModel().fit(votes, checkpoint=path)
    calls = []
    cs.LabelModel().fit(votes, checkpoint=path, progress=lambda done, total: calls.append(done))
    assert calls[0] > 101


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(votes, path, monkeypatch):
    def full(name, data):
        raise OSError(28, "No space left on device", "/hidden")

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.raises(OSError, match="cannot be written: No space left") as error:
        cs.LabelModel().fit(votes, checkpoint=path)
    assert error.value.filename == os.fspath(path)


# As a process of its own

SLOW = (
    "import time, consilience as cs\n"
    "from consilience import chunks\n"
    "chunks.MIN_ROWS = chunks.MAX_ROWS = 32\n"
    "def slow(done, total):\n"
    "    if done > 150: print(done, flush=True); time.sleep(60)\n"
    "cs.LabelModel(n_classes=3).fit('votes', progress=slow, checkpoint='fit.checkpoint')"
)


@pytest.mark.skipif(os.name == "nt", reason="signals work in other ways")
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_process_that_is_stopped_leaves_a_checkpoint_that_another_goes_on_from(
    votes, path, monkeypatch, name
):
    number = getattr(signal, name)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW], cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode in (-number, 130)
    assert sorted(os.listdir(path.parent)) == ["fit.checkpoint", "votes"]
    n_done = unpack(path.read_bytes(), "fit checkpoint")[0]["counted"]["n_items"]
    assert n_done > 150 if name == "SIGINT" else n_done == 32
    monkeypatch.chdir(path.parent)
    calls = []
    model = cs.LabelModel(n_classes=3)
    model.fit("votes/*.parquet", checkpoint=path, progress=lambda done, total: calls.append(done))
    assert calls[0] > n_done
    assert learned(model) == learned(cs.LabelModel(n_classes=3).fit(votes))
    assert os.listdir(path.parent) == ["votes"]


# Refusals


@pytest.fixture
def begun(votes, path):
    with pytest.raises(KeyboardInterrupt):
        cs.LabelModel(n_classes=3).fit(votes, progress=stop_after(5), checkpoint=path)
    return path


OTHERS = {
    "n_classes": ({"n_classes": 4}, "n_classes was 3, and is 4"),
    "classes": ({"n_classes": None, "classes": ["x", "y", "z"]}, "n_classes was 3, and is None"),
    "graph": ({"n_classes": None, "task_graph": cs.TaskGraph({"label": 3})}, "n_classes was 3, and is None"),
    "method": ({"method": "moments"}, "begun with the rows of votes .* this fit is not"),
    "dependencies": ({"dependencies": [("a", "b")]}, r"dependencies was None, and is \[\['a', 'b'\]\]"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_parameters_are_refused_by_name_and_change_nothing(votes, begun, case):
    changes, message = OTHERS[case]
    before = begun.read_bytes()
    model = cs.LabelModel(**{"n_classes": 3, **changes})
    with pytest.raises(cs.InvalidArgumentError, match=f"{message}; delete that file to begin anew") as error:
        model.fit(votes, checkpoint=begun)
    assert os.fspath(begun) in str(error.value)
    assert begun.read_bytes() == before


def test_parameters_that_change_nothing_of_what_is_counted_may_change(votes, begun):
    arguments = {"n_classes": 3, "method": "em", "class_balance": [0.3, 0.3, 0.4], "n_threads": 1}
    calls = []
    model = cs.LabelModel(**arguments)
    model.fit(votes, checkpoint=begun, progress=lambda done, total: calls.append(done))
    assert calls[0] > 100
    assert learned(model) == learned(cs.LabelModel(**arguments).fit(votes))


@pytest.mark.parametrize("dependencies", [5, [("a", "z")], [1, 2]])
def test_wrong_dependencies_are_refused_as_without_a_checkpoint(votes, path, dependencies):
    model = cs.LabelModel(dependencies=dependencies)
    with pytest.raises(cs.ConsilienceError) as expected:
        model.fit(votes)
    with pytest.raises(type(expected.value)) as found:
        model.fit(votes, checkpoint=path)
    assert str(found.value) == str(expected.value)
    assert not path.exists()


def test_the_order_of_dependencies_does_not_matter(votes, path):
    model = cs.LabelModel(dependencies={("a", "b"), ("c", "d")}, method="moments")
    with pytest.raises(KeyboardInterrupt):
        model.fit(votes, progress=stop_after(5), checkpoint=path)
    model.dependencies = [np.array(["c", "d"]), ["a", "b"]]
    calls = []
    model.fit(votes, checkpoint=path, progress=lambda done, total: calls.append(done))
    assert calls[0] > 100


def test_other_files_are_refused_by_name(votes, begun):
    shutil.copy(votes / "1.parquet", votes / "4.parquet")
    with pytest.raises(
        cs.InvalidArgumentError, match=r"that one did not read '.*4\.parquet'; delete that file"
    ):
        cs.LabelModel(n_classes=3).fit(votes, checkpoint=begun)
    with pytest.raises(cs.InvalidArgumentError, match=r"that one also read '.*0\.parquet'"):
        cs.LabelModel(n_classes=3).fit(votes / "[123].parquet", checkpoint=begun)


@pytest.mark.parametrize("change", ["content", "time"])
def test_files_that_changed_are_refused_by_name(votes, begun, change):
    file = votes / "3.parquet"
    status = file.stat()
    if change == "content":
        table = pq.read_table(file)
        pq.write_table(table.set_column(0, "a", pa.array(np.zeros(len(table), np.int8))), file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + (change == "time")))
    with pytest.raises(cs.InvalidArgumentError, match=r"3\.parquet' changed since; delete that file"):
        cs.LabelModel(n_classes=3).fit(votes, checkpoint=begun)


def test_a_checkpoint_of_another_release_is_refused(votes, begun, monkeypatch):
    monkeypatch.setattr(checkpoint, "__version__", "99.0")
    with pytest.raises(cs.InvalidArgumentError, match=r"begun with consilience .* this is 99\.0"):
        cs.LabelModel(n_classes=3).fit(votes, checkpoint=begun)


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "foreign", "kind", "header", "arrays", "rows"])
def test_a_damaged_file_is_refused_and_left_alone(votes, begun, damage):
    data = begun.read_bytes()
    header, arrays = unpack(data, "fit checkpoint")
    counted = header["counted"]
    of_rows = {**counted, "rows": {**counted["rows"], "lengths": [0]}}
    broken = {
        "cut": data[:-100],
        "bit": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "empty": b"",
        "foreign": b"PAR1" + data,
        "kind": pack("label model", header, arrays),
        "header": pack("fit checkpoint", {"about": header["about"]}, arrays),
        "arrays": pack("fit checkpoint", header, {**arrays, "rows_weights": np.ones(3)}),
        "rows": pack("fit checkpoint", {**header, "counted": of_rows}, arrays),
    }[damage]
    begun.write_bytes(broken)
    with pytest.raises(cs.FileFormatError, match="delete it, and the fit begins anew") as error:
        cs.LabelModel(n_classes=3).fit(votes, checkpoint=begun)
    assert os.fspath(begun) in str(error.value)
    assert begun.read_bytes() == broken


@pytest.mark.parametrize("given", ["table", "statistics", "iterator", "csv"])
def test_only_parquet_files_have_checkpoints(tmp_path, path, given):
    (tmp_path / "votes.csv").write_text("a,b\n0,1\n")
    forms = {
        "table": TABLE,
        "statistics": cs.VoteStatistics.of(TABLE),
        "iterator": iter([TABLE]),
        "csv": tmp_path / "votes.csv",
    }
    with pytest.raises(cs.InvalidArgumentError, match="votes in Parquet files"):
        cs.LabelModel().fit(forms[given], checkpoint=path)


def test_weights_have_no_checkpoint(votes, path):
    with pytest.raises(cs.InvalidArgumentError, match="checkpoint does not go with weights"):
        cs.LabelModel().fit(votes, weights=np.ones(300), checkpoint=path)


def test_a_checkpoint_is_the_path_of_a_file_in_a_folder_that_is_there(votes, tmp_path):
    for wrong in ("", tmp_path):
        with pytest.raises(cs.InvalidArgumentError, match="give the path of a file"):
            cs.LabelModel().fit(votes, checkpoint=wrong)
    with pytest.raises(cs.WrongTypeError, match=r"checkpoint must be a path.*got int"):
        cs.LabelModel().fit(votes, checkpoint=1)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        cs.LabelModel().fit(votes, checkpoint=tmp_path / "nowhere" / "fit.checkpoint")


def test_a_file_of_votes_is_not_taken_for_a_checkpoint(votes):
    before = (votes / "0.parquet").read_bytes()
    with pytest.raises(cs.FileFormatError, match="was not written by consilience"):
        cs.LabelModel().fit(votes, checkpoint=votes / "0.parquet")
    assert (votes / "0.parquet").read_bytes() == before
