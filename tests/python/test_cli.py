"""The command: what it writes and prints, and what it says about bad input."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import consilience as cs
from consilience.cli import main

SPORTS = ["chess", "judo", "golf"]
GRAPH = {
    "tasks": {
        "kind": ["person", "org"],
        "person_type": ["doctor", "lawyer"],
        "org_type": ["hospital", "office"],
    },
    "parents": {"person_type": ["kind", "person"], "org_type": ["kind", "org"]},
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> tuple[int, str, str]:
        status = main(argv)
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def _sample(n: int = 600, m: int = 5, k: int = 3) -> np.ndarray:
    """Votes of sources that are right in 60 to 80 percent of the cases and vote on 80 percent."""
    rng = np.random.default_rng(5)
    truth = rng.integers(k, size=(n, 1))
    wrong = (truth + rng.integers(1, k, size=(n, m))) % k
    votes = np.where(rng.random((n, m)) < np.linspace(0.8, 0.6, m), truth, wrong)
    return np.where(rng.random((n, m)) < 0.8, votes, -1)


def _write_csv(path: str, votes: np.ndarray, names: Sequence[str] | None = None, ids: bool = True) -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*["item"] * ids, *(f"source_{j}" for j in range(votes.shape[1]))])
        for i, row in enumerate(votes.tolist()):
            cells = ["" if vote < 0 else vote if names is None else names[vote] for vote in row]
            writer.writerow([*[f"no. {i}"] * ids, *cells])
    return path


def _write_hierarchy(n: int = 400) -> str:
    rng = np.random.default_rng(6)
    types = ["doctor", "lawyer", "hospital", "office"]
    truth = rng.integers(4, size=n)
    with open("votes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["kind:a", "kind:b", "person_type:c", "org_type:c", "person_type:d", "org_type:d"])
        for y in truth:
            row = [("person", "org")[v // 2] for v in np.where(rng.random(2) < 0.85, y, 3 - y)]
            for v in np.where(rng.random(2) < 0.8, y, rng.integers(4, size=2)):
                row += [types[v], ""] if v < 2 else ["", types[v]]
            writer.writerow(row)
    Path("graph.json").write_text(json.dumps(GRAPH), encoding="utf-8")
    return "votes.csv"


def _read_csv(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# What it does


def test_fit_prints_the_sources_and_the_verdict_and_predict_writes_labels(run: Run) -> None:
    votes = _sample()
    _write_csv("votes.csv", votes, SPORTS)

    status, out, err = run("fit", "votes.csv", "-o", "model", "--classes", ",".join(SPORTS))
    assert (status, err) == (0, "")
    assert "Identifiable: yes" in out
    assert all(f"\nsource_{j} " in out for j in range(5))
    assert max(map(len, out.splitlines())) <= 80

    status, out, err = run("predict", "model", "votes.csv", "-o", "labels.csv")
    assert (status, err) == (0, "")
    n_voted = int((votes >= 0).any(axis=1).sum())
    assert out == f"Labelled 600 items, {n_voted} of them with a vote; wrote labels.csv\n"

    labels = _read_csv("labels.csv")
    model = cs.LabelModel(classes=SPORTS).fit(votes)
    assert list(labels[0]) == ["item", "label", "p_chess", "p_judo", "p_golf"]
    assert [row["item"] for row in labels] == [f"no. {i}" for i in range(600)]
    assert [row["label"] for row in labels] == [SPORTS[y] for y in model.predict(votes)]
    shares = [[float(row[f"p_{name}"]) for name in SPORTS] for row in labels]
    assert np.array_equal(shares, model.predict_proba(votes))


def test_labels_follow_class_names_read_from_the_file(run: Run) -> None:
    _write_csv("votes.csv", _sample(), SPORTS, ids=False)

    assert run("fit", "votes.csv", "-o", "model")[0] == 0
    assert run("predict", "model", "votes.csv", "-o", "labels.csv")[0] == 0

    assert list(_read_csv("labels.csv")[0]) == ["label", "p_chess", "p_golf", "p_judo"]


@pytest.mark.parametrize("ending", ["csv", "npz", "parquet"])
def test_every_format_goes_in_and_out(run: Run, ending: str) -> None:
    votes = _sample()
    if ending == "csv":
        _write_csv("votes.csv", votes)
    elif ending == "npz":
        np.savez("votes.npz", votes=votes, ids=np.arange(600))
    else:
        pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        table = {"item": range(600), **{f"source_{j}": votes[:, j] for j in range(5)}}
        pq.write_table(pa.table({name: pa.array(values) for name, values in table.items()}), "votes.parquet")

    assert run("fit", f"votes.{ending}", "-o", "model")[0] == 0
    assert run("predict", "model", f"votes.{ending}", "-o", f"labels.{ending}")[0] == 0

    if ending == "csv":
        labels = [int(row["label"]) for row in _read_csv("labels.csv")]
    elif ending == "npz":
        labels = np.load("labels.npz")["label"].tolist()
    else:
        written = pq.read_table("labels.parquet")
        assert written.column_names == ["item", "label", "p_0", "p_1", "p_2"]
        assert written.column("item").to_pylist() == list(range(600))
        labels = written.column("label").to_pylist()
    assert labels == cs.LabelModel().fit(votes).predict(votes).tolist()


def test_ids_that_are_no_numbers_or_texts_are_written_as_text(run: Run) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    days = np.arange(600).astype("datetime64[D]")
    votes = _sample()
    table = {"id": days, **{f"source_{j}": votes[:, j] for j in range(5)}}
    pq.write_table(pa.table({name: pa.array(values) for name, values in table.items()}), "votes.parquet")

    assert run("fit", "votes.parquet", "-o", "model")[0] == 0
    assert run("predict", "model", "votes.parquet", "-o", "labels.csv")[0] == 0

    assert _read_csv("labels.csv")[2]["item"] == "1970-01-03"


def test_several_tasks_have_a_label_each_and_jointly_feasible_ones(run: Run) -> None:
    votes = _write_hierarchy()

    status, _, err = run("fit", votes, "-o", "model", "--task-graph", "graph.json")
    assert (status, err) == (0, "")
    assert run("predict", "model", votes, "-o", "labels.csv")[0] == 0

    labels = _read_csv("labels.csv")
    assert list(labels[0])[:4] == ["kind", "p_kind_person", "p_kind_org", "person_type"]
    assert "p_org_type_N/A" in labels[0]
    for row in labels:
        assert (row["person_type"] == "N/A") == (row["kind"] == "org") == (row["org_type"] != "N/A")


def test_a_feasible_set_stands_in_for_parents(run: Run) -> None:
    votes = _write_hierarchy()
    feasible = cs.TaskGraph(GRAPH["tasks"], parents=GRAPH["parents"]).feasible_set.tolist()
    tasks = {task: [*names, "N/A"] if task != "kind" else names for task, names in GRAPH["tasks"].items()}
    Path("feasible.json").write_text(json.dumps({"tasks": tasks, "feasible": feasible}), encoding="utf-8")

    assert run("fit", votes, "-o", "a", "--task-graph", "graph.json")[0] == 0
    assert run("fit", votes, "-o", "b", "--task-graph", "feasible.json")[0] == 0

    assert np.array_equal(cs.load("a").accuracy_, cs.load("b").accuracy_)


def test_a_task_graph_may_be_what_another_wrote(run: Run) -> None:
    votes = _write_hierarchy()
    graph = cs.TaskGraph(GRAPH["tasks"], parents=GRAPH["parents"])
    Path("described.json").write_text(json.dumps(graph.to_json()), encoding="utf-8")

    assert run("fit", votes, "-o", "a", "--task-graph", "graph.json")[0] == 0
    assert run("fit", votes, "-o", "b", "--task-graph", "described.json")[0] == 0

    assert cs.load("b").task_graph_ == graph
    assert np.array_equal(cs.load("a").accuracy_, cs.load("b").accuracy_)


def test_options_reach_the_model(run: Run) -> None:
    _write_csv("votes.csv", _sample(), SPORTS)

    status, _, err = run(
        "fit", "votes.csv", "-o", "model", "--classes", "golf, judo,chess", "--class-balance", "0.5,0.3,0.2",
        "--dependencies", "source_0:source_1, 1:2", "--method", "moments", "--abstentions", "missing",
    )  # fmt: skip

    assert (status, err) == (0, "")
    params = cs.load("model").get_params()
    assert params["classes"] == ["golf", "judo", "chess"]
    assert np.allclose(params["class_balance"], [0.5, 0.3, 0.2])
    assert [tuple(pair) for pair in params["dependencies"]] == [("source_0", "source_1"), (1, 2)]
    assert (params["method"], params["abstentions"]) == ("moments", "missing")


def _write_gold(path: str, rows: dict[str, str], column: str = "gold") -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["item", column], *rows.items()])
    return path


def test_gold_is_found_by_the_ids_of_both_files(run: Run) -> None:
    votes = _sample()
    _write_csv("votes.csv", votes, SPORTS)
    gold = np.full(600, -1)
    gold[::7] = np.arange(600)[::7] % 3
    known = {f"no. {i}": SPORTS[gold[i]] for i in np.flatnonzero(gold >= 0)[::-1]}
    _write_gold("gold.csv", {"another": "judo", **known})

    status, out, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv", "--method", "em")

    assert (status, err) == (0, "")
    assert "gold labels of 86 items" in out
    model = cs.LabelModel(classes=sorted(SPORTS), method="em")  # as the file names them
    as_file = np.array([sorted(SPORTS).index(name) for name in SPORTS])
    relabelled = np.where(votes >= 0, as_file[votes], -1)
    model.fit(relabelled, y=np.where(gold >= 0, as_file[gold], -1))
    assert np.array_equal(cs.load("model").accuracy_, model.accuracy_)


@pytest.mark.parametrize("ending", [".csv", ".npz", ".parquet"])
def test_gold_without_ids_is_a_label_an_item(run: Run, ending: str) -> None:
    votes = _sample()
    gold = np.where(np.arange(600) < 60, votes[:, 0], -1)
    paths = [f"votes{ending}", f"gold{ending}"]
    for path, table in zip(paths, (votes, gold[:, None]), strict=True):
        if ending == ".csv":
            _write_csv(path, table, ids=False)
        elif ending == ".npz":
            np.savez(path, votes=table)
        else:
            pyarrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pyarrow.table({f"s{j}": table[:, j] for j in range(table.shape[1])}), path)

    status, _, err = run("fit", paths[0], "-o", "model", "--gold", paths[1], "--n-classes", "3")

    assert (status, err) == (0, "")
    expected = cs.LabelModel(n_classes=3).fit(votes, y=gold)
    assert np.array_equal(cs.load("model").accuracy_, expected.accuracy_)


def test_gold_of_several_tasks_has_a_column_each(run: Run) -> None:
    _write_hierarchy()
    with open("gold.csv", "w", newline="", encoding="utf-8") as file:
        rows = [["person", "doctor"], ["org", "N/A"], ["", ""], ["org", ""]] * 100
        csv.writer(file).writerows([["kind:gold", "person_type:gold"], *rows])

    status, out, err = run(
        "fit", "votes.csv", "-o", "model", "--task-graph", "graph.json", "--gold", "gold.csv"
    )

    assert (status, err) == (0, "")
    assert "gold labels of 300 items" in out


def test_trusted_sources_and_beliefs_reach_the_model(run: Run) -> None:
    votes = _sample()
    _write_csv("votes.csv", votes, ids=False)

    status, out, err = run(
        "fit", "votes.csv", "-o", "model", "--trusted", "source_0,1", "--trusted", "source_2",
        "--accuracy-prior", "source_0=0.9:50,1=.6:5", "--accuracy-prior", "source_2=0.7:1", "--no-ordered",
    )  # fmt: skip

    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    params = cs.load("model").get_params()
    assert params["trusted"] == ["source_0", 1, "source_2"]
    assert params["ordered"] is False
    assert params["accuracy_prior"] == {"source_0": (0.9, 50), 1: (0.6, 5), "source_2": (0.7, 1)}


@pytest.mark.parametrize("command", ["fit", "check", "predict"])
def test_help_names_every_method_and_fits_80_columns(
    run: Run, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    if command == "fit":
        assert all(f" {method}" in text for method in ("auto", "em", "moments", "completion", "majority"))
        assert "by default learned where the votes tell it" in " ".join(text.split())


@pytest.mark.parametrize(
    ("rows", "column", "said"),
    [
        ({"no. 1": "chess", "no. 2": "tennis"}, "gold", "'tennis', expected one of the class names"),
        ({"x": "chess"}, "gold", "gold.csv has no item of the votes, whose first is 'no. 0'"),
        ({"no. 1": "chess"}, "kind:gold", "gold.csv is about the task 'kind', but classes are given for"),
    ],
)
def test_gold_that_does_not_fit_is_refused(run: Run, rows: dict[str, str], column: str, said: str) -> None:
    _write_csv("votes.csv", _sample(), SPORTS)
    _write_gold("gold.csv", rows, column)

    status, out, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not Path("model").exists()


def test_gold_that_is_refused_is_called_by_its_option_and_item(run: Run) -> None:
    _write_gold("gold.csv", {"no. 3": "7"})
    votes = "item,a,b,c\n" + "".join(f"no. {i},0,1,{i % 2}\n" for i in range(40))
    Path("votes.csv").write_text(votes, encoding="utf-8")

    status, _, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv")

    assert status == 2
    assert "error: --gold gold.csv, item 'no. 3': label 7; give one of 0..1" in err

    status, _, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv", "--method", "majority")
    assert status == 2
    assert "error: --gold is not used by --method majority" in err


def test_gold_of_other_rows_or_columns_is_refused(run: Run) -> None:
    _write_csv("votes.csv", _sample(), ids=False)
    for text, said in [
        ("gold\n1\n2\n", "gold.csv has 2 rows for 600 items"),
        ("a,b\n" + "1,2\n" * 600, "gold.csv has 2 columns of labels"),
        ("gold\n" + "chess\n" * 600, "gold.csv holds class names, 'chess', and the votes hold indices"),
        ("item,gold\n" + "a,1\n" * 2, "gold.csv has 2 rows for 600 items"),
    ]:
        Path("gold.csv").write_text(text, encoding="utf-8")
        status, _, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv")
        assert status == 2
        assert said in err
    _write_csv("votes.csv", _sample())
    status, _, err = run("fit", "votes.csv", "-o", "model", "--gold", "gold.csv")
    assert "gold.csv names the item 'a' twice" in err


def test_a_number_is_the_name_of_a_source_before_it_is_an_index(run: Run) -> None:
    rows = [[f"no. {i}", *votes] for i, votes in enumerate(["0011", "1101", "0001"] * 9)]
    text = "\n".join(",".join(row) for row in [["item", *"3210"], *rows])
    Path("votes.csv").write_text(text + "\n", encoding="utf-8")

    run("fit", "votes.csv", "-o", "model", "--dependencies", "3:0")

    assert [tuple(pair) for pair in cs.load("model").get_params()["dependencies"]] == [("3", "0")]


def test_copies_are_found_unless_told_that_there_are_none(run: Run) -> None:
    votes = _sample()
    _write_csv("votes.csv", np.column_stack([votes, votes[:, 0]]))

    _, _, found = run("fit", "votes.csv", "-o", "model")
    _, _, untold = run("fit", "votes.csv", "-o", "model", "--dependencies", "")

    assert found.startswith("consilience: warning: sources vote alike")
    assert "'source_5' like 'source_0'" in found
    assert "vote alike" not in untold


def test_check_tells_whether_accuracies_can_be_learned(run: Run) -> None:
    _write_csv("votes.csv", _sample(), SPORTS)

    status, out, err = run("check", "votes.csv")
    assert (status, err) == (0, "")
    assert out.startswith("Identifiable: yes\n")

    status, out, err = run("check", "votes.csv", "--dependencies", "source_0:source_1,source_2:3,3:4")
    assert (status, err) == (0, "")
    assert out.startswith("Identifiable: no\n")
    assert "Add 1 source" in out
    assert os.listdir() == ["votes.csv"]


def test_warnings_are_lines_of_their_own_and_do_not_stop_the_fit(run: Run) -> None:
    _write_csv("votes.csv", _sample(m=2), SPORTS)

    status, _, err = run("fit", "votes.csv", "-o", "model")

    assert status == 0
    assert os.path.exists("model")
    assert all(line.startswith("consilience: warning: ") for line in err.splitlines())
    assert "'source_0', 'source_1'" in err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])

    assert end.value.code == 0
    assert capsys.readouterr().out == f"consilience {cs.__version__}\n"


# What it refuses


def _damage(path: str) -> None:
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path(path).write_bytes(content)


@pytest.mark.parametrize(
    ("argv", "status", "culprits"),
    [
        ("fit", 2, ["VOTES", "-o"]),
        ("shave votes.csv", 2, ["shave"]),
        ("fit nowhere.csv -o out", 1, ["nowhere.csv"]),
        ("fit folder.csv -o out", 1, ["folder.csv"]),
        ("fit votes.xlsx -o out", 2, ["votes.xlsx", ".parquet"]),
        ("fit ragged.csv -o out", 2, ["ragged.csv, line 3"]),
        ("fit damaged.npz -o out", 2, ["damaged.npz"]),
        ("fit negative.csv -o out", 2, ["negative.csv, line 2", "'source_1'", "'-7'"]),
        ("fit silent.csv -o out", 2, ["none of the 3 sources votes"]),
        ("fit indices.csv -o out --n-classes 2", 2, ["label 2", "'source_"]),
        ("fit votes.csv -o out --n-classes two", 2, ["--n-classes", "two"]),
        ("fit votes.csv -o out --n-classes 3 --classes a,b,c", 2, ["--classes", "--n-classes"]),
        ("fit votes.csv -o out --classes chess,judo", 2, ["votes.csv", "'golf'"]),
        ("fit votes.csv -o out --classes chess,,judo", 2, ["--classes", "chess,,judo"]),
        ("fit votes.csv -o out --class-balance 0.5,0.5", 2, ["class_balance", "(3,)"]),
        ("fit votes.csv -o out --class-balance half", 2, ["--class-balance", "half"]),
        ("fit votes.csv -o out --class-balance nan,0.5,0.5", 2, ["class_balance", "nan"]),
        ("fit votes.csv -o out --dependencies source_0", 2, ["--dependencies", "source_0"]),
        ("fit votes.csv -o out --dependencies source_0:nobody", 2, ["nobody"]),
        ("fit votes.csv -o out --dependencies 0:9", 2, ["9"]),
        ("fit votes.csv -o out --method magic", 2, ["magic", "completion"]),
        ("fit votes.csv -o out --abstentions never", 2, ["never", "informative"]),
        ("fit two.csv -o out --method moments", 2, ["'source_0'", "Add 1 source"]),
        ("fit votes.csv -o out --task-graph nowhere.json", 1, ["nowhere.json"]),
        ("fit votes.csv -o votes.csv", 2, ["votes.csv"]),
        ("fit votes.csv -o folder.csv", 1, ["folder.csv"]),
        ("fit votes.csv -o nowhere/out", 1, ["nowhere/out"]),
        ("check nowhere.csv", 1, ["nowhere.csv"]),
        ("check votes.csv --method majority", 2, ["majority", "moments"]),
        ("predict nowhere votes.csv -o out.csv", 1, ["nowhere"]),
        ("predict votes.csv votes.csv -o out.csv", 2, ["votes.csv was not written by consilience"]),
        ("predict statistics votes.csv -o out.csv", 2, ["statistics holds", "'label model'"]),
        ("predict damaged votes.csv -o out.csv", 2, ["damaged"]),
        ("predict model nowhere.csv -o out.csv", 1, ["nowhere.csv"]),
        ("predict model ragged.csv -o out.csv", 2, ["ragged.csv, line 3"]),
        ("predict model indices.csv -o out.txt", 2, ["out.txt", ".parquet"]),
        ("predict model two.csv -o out.csv", 2, ["two.csv", "'source_2'"]),
        ("predict model renamed.csv -o out.csv", 2, ["renamed.csv", "'source_4'", "'other'"]),
        ("predict model four.csv -o out.csv", 2, ["four.csv", "line 2", "'3'"]),
        ("predict model votes.csv -o votes.csv", 2, ["votes.csv"]),
        ("predict model votes.csv -o model", 2, ["model"]),
        ("predict model votes.csv -o nowhere/out.csv", 1, ["nowhere/out.csv"]),
    ],
)
def test_bad_input_is_one_line_that_names_the_culprit_and_writes_nothing(
    run: Run, argv: str, status: int, culprits: list[str]
) -> None:
    votes = _sample()
    _write_csv("votes.csv", votes, SPORTS)
    _write_csv("indices.csv", votes)
    _write_csv("two.csv", votes[:, :2], SPORTS)
    _write_csv("four.csv", np.full((2, 5), 3))
    Path("folder.csv").mkdir()
    Path("votes.xlsx").write_bytes(b"PK")
    Path("ragged.csv").write_text("a,b,c\n0,1,0\n0,1\n1,1,0\n", encoding="utf-8")
    Path("silent.csv").write_text("a,b,c\n,,\n-1,,\n", encoding="utf-8")
    Path("renamed.csv").write_text("source_0,source_1,source_2,source_3,other\n0,1,2,0,1\n", encoding="utf-8")
    Path("negative.csv").write_text("source_0,source_1\n0,-7\n", encoding="utf-8")
    np.savez("damaged.npz", votes=votes)
    _damage("damaged.npz")
    Path("statistics").write_bytes(cs.VoteStatistics.of(votes).to_bytes())
    cs.LabelModel(classes=SPORTS).fit("indices.csv").save("model")
    Path("damaged").write_bytes(Path("model").read_bytes())
    _damage("damaged")
    for name in ("out", "out.csv"):
        Path(name).write_bytes(b"an old output")
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}

    found, out, err = run(*argv.split(" "))

    assert (found, out) == (status, ""), err
    assert err.startswith("consilience: error: ")
    assert err.count("\n") == 1
    assert all(culprit in err for culprit in culprits), err
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"graph"', "must hold"),
        ("[1, 2]", "must hold"),
        ('{"parents": {}}', "must hold"),
        ('{"tasks": {"kind": ["a", "b"]}, "feasable": [[0]]}', "must hold"),
        ('{"tasks": {"kind": ["a", "b"], "kind": ["c", "d"]}}', "'kind' stands twice"),
        ('{"tasks": null}', "tasks"),
        ('{"tasks": ["a", "b"]}', "tasks"),
        ('{"tasks": {"kind": {"a": 1}}}', "kind"),
        ('{"tasks": {"kind": [["a"], ["b"]]}}', "kind"),
        ('{"tasks": {"kind": [null, "b"]}}', "kind"),
        ('{"tasks": {"kind": 1e400}}', "kind"),
        ('{"tasks": {"kind": ["a", "b"]}, "parents": ["kind"]}', "parents"),
        ('{"tasks": {"kind": ["a", "b"], "sort": ["c"]}, "parents": {"sort": ["kind", "z"]}}', "'z'"),
        ('{"tasks": {"kind": ["a", "b"], "sort": ["c"]}, "parents": {"sort": ["kind", {}]}}', "sort"),
        ('{"tasks": {"kind": ["a", "b"], "sort": ["c"]}, "parents": {"sort": ["kind", [["a"]]]}}', "sort"),
        ('{"tasks": {"kind": ["a", "b"]}, "feasible": [[0], [7]]}', "7"),
        ('{"tasks": {"kind": ["a", "b"]}, "feasible": [[0], [1, 1]]}', "feasible"),
        ('{"tasks": {"kind": ["a", "b"]}, "feasible": "all"}', "feasible"),
        ('{"tasks": ["kind"], "classes": {}, "parents": null, "feasible_set": [[0]]}', "kind"),
        ('{"tasks": 3, "classes": {"kind": ["a"]}, "parents": null, "feasible_set": [[0]]}', "task graph"),
    ],
)
def test_a_task_graph_that_makes_no_sense_is_refused_by_the_name_of_its_file(
    run: Run, content: str, culprit: str
) -> None:
    _write_hierarchy()
    Path("bad.json").write_text(content, encoding="utf-8")

    status, out, err = run("fit", "votes.csv", "-o", "model", "--task-graph", "bad.json")

    assert (status, out) == (2, ""), err
    assert err.startswith("consilience: error: bad.json")
    assert err.count("\n") == 1
    assert culprit in err
    assert not os.path.exists("model")


def test_columns_of_labels_that_would_have_the_same_name_are_refused(run: Run) -> None:
    Path("votes.csv").write_text("a:x,a:y,a_b:x\n0,0,0\n1,1,1\n0,1,1\n", encoding="utf-8")
    Path("graph.json").write_text('{"tasks": {"a": ["c", "b_c"], "a_b": ["c", "d"]}}', encoding="utf-8")
    assert run("fit", "votes.csv", "-o", "model", "--task-graph", "graph.json")[0] == 0

    status, _, err = run("predict", "model", "votes.csv", "-o", "labels.csv")

    assert status == 2
    assert "'p_a_b_c'" in err
    assert not os.path.exists("labels.csv")


# As a process of its own


def _start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "consilience", *argv]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_the_module_runs_as_a_command_with_its_exit_status() -> None:
    demo = _start("demo", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = demo.communicate(timeout=60)
    assert (demo.returncode, err) == (0, b"")
    assert b"Identifiable: yes" in out

    wrong = _start("fit", "nowhere.csv", "-o", "model")
    assert wrong.communicate(timeout=60) == (
        b"",
        b"consilience: error: nowhere.csv: No such file or directory\n",
    )
    assert wrong.returncode == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_ctrl_c_ends_it_with_130_and_without_an_output() -> None:
    os.mkfifo("votes.csv")
    process = _start("fit", "votes.csv", "-o", "model")
    with open("votes.csv", "w", encoding="utf-8") as pipe:  # opens once the command reads
        pipe.write("a,b,c\n")
        pipe.flush()
        for _ in range(6):  # Python itself drops a signal that comes in the midst of an import
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=10)
                break
            except subprocess.TimeoutExpired:
                continue

    assert (process.returncode, out) == (130, b"")
    assert err.endswith(b"consilience: error: interrupted\n")
    assert os.listdir() == ["votes.csv"]


@pytest.mark.skipif(os.name == "nt", reason="signals work in other ways")
def test_a_fit_that_is_interrupted_goes_on_from_its_checkpoint(run: Run) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = _sample()
    pq.write_table(pa.table({f"source {j}": table[:, j] for j in range(table.shape[1])}), "votes.parquet")
    arguments = ["fit", "votes.parquet", "-o", "model", "--checkpoint", "kept"]
    code = (
        "import os, signal, sys\n"
        "from consilience import cli, learning\n"
        "learning.learn = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        f"sys.exit(cli.main({arguments}))"
    )
    stopped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert stopped.returncode == 130
    assert stopped.stderr.endswith("error: interrupted; the same command goes on from kept\n")
    assert sorted(os.listdir()) == ["kept", "votes.parquet"]

    status, _, err = run(*arguments, "--method", "moments")
    assert (status, err.count("\n")) == (2, 1)
    assert "kept is the checkpoint of another fit" in err
    assert run(*arguments)[0] == 0
    assert sorted(os.listdir()) == ["model", "votes.parquet"]
    found = Path("model").read_bytes()
    assert run(*arguments[:4])[0] == 0
    assert Path("model").read_bytes() == found


def test_a_checkpoint_is_for_parquet_files(run: Run) -> None:
    _write_csv("votes.csv", _sample(), SPORTS)
    status, _, err = run("fit", "votes.csv", "-o", "model", "--checkpoint", "kept")
    assert status == 2
    assert "--checkpoint goes with votes in Parquet files, and votes.csv is none" in err
    assert os.listdir() == ["votes.csv"]


def test_a_checkpoint_does_not_go_with_gold(run: Run) -> None:
    _write_csv("votes.csv", _sample(), SPORTS)
    status, _, err = run("fit", "votes.csv", "-o", "model", "--gold", "votes.csv", "--checkpoint", "kept")
    assert (status, err.count("\n")) == (2, 1)
    assert "--checkpoint does not go with --gold" in err


def test_the_command_alone_prints_its_help(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "label items by their votes" in out


@pytest.mark.parametrize("command", [("fit",), ("predict", "model")])
def test_several_files_without_a_pattern_are_refused_with_a_word_on_quotes(run: Run, command: Any) -> None:
    status, _, err = run(*command, "a.parquet", "b.parquet", "-o", "out")
    assert (status, err.count("\n")) == (2, 1)
    assert "unrecognized arguments: b.parquet; VOTES is one file, or a pattern in quotes" in err


def test_a_full_disk_leaves_the_old_labels_as_they_were(run: Run) -> None:
    resource = pytest.importorskip("resource")
    _write_csv("votes.csv", _sample(), SPORTS)
    assert run("fit", "votes.csv", "-o", "model")[0] == 0
    Path("labels.csv").write_bytes(b"old labels")

    process = _start(
        "predict", "model", "votes.csv", "-o", "labels.csv",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )  # fmt: skip
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, b"")
    assert err.startswith(b"consilience: error: labels.csv: cannot be written: ")
    assert Path("labels.csv").read_bytes() == b"old labels"
    assert sorted(os.listdir()) == ["labels.csv", "model", "votes.csv"]


@pytest.mark.skipif(os.name == "nt", reason="pipes break in other ways")
def test_a_reader_that_stops_early_is_no_error_to_talk_about() -> None:
    process = _start("demo")
    assert process.stdout is not None
    process.stdout.close()

    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 1
    process.stderr.close()


# Larger than memory


def _write_parquet(folder: str, votes: np.ndarray, n_files: int = 3) -> str:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    Path(folder).mkdir()
    for number, part in enumerate(np.array_split(votes, n_files)):
        columns = {f"source_{j}": column for j, column in enumerate(part.T)}
        pq.write_table(pa.table(columns), f"{folder}/{number}.parquet")
    return f"{folder}/*.parquet"


@pytest.mark.parametrize("form", ["votes/*.parquet", "votes", "votes/"])
def test_files_of_votes_are_fitted_and_labelled_together(run: Run, form: str) -> None:
    votes = _sample()
    _write_parquet("votes", votes)
    n_voted = int((votes >= 0).any(axis=1).sum())

    status, out, err = run("fit", form, "-o", "model", "--dependencies", "source_0:source_1")
    assert (status, err) == (0, "")
    assert "\nsource_4 " in out
    status, out, err = run("predict", "model", form, "-o", "labels.csv")
    assert (status, err) == (0, "")
    assert out == f"Labelled 600 items, {n_voted} of them with a vote; wrote labels.csv\n"

    model = cs.LabelModel(dependencies=[(0, 1)]).fit(votes)
    assert [int(row["label"]) for row in _read_csv("labels.csv")] == model.predict(votes).tolist()
    assert run("check", form)[0] == 0


def test_a_folder_of_labels_is_completed_by_the_same_command(run: Run) -> None:
    votes = _write_parquet("votes", _sample())
    assert run("fit", votes, "-o", "model")[0] == 0

    assert run("predict", "model", votes, "-o", "labels/")[0] == 0
    Path("labels/1.parquet").unlink()
    status, out, err = run("predict", "model", votes, "-o", "labels/")

    assert (status, err) == (0, "")
    assert "Labelled 200 items" in out
    assert out.endswith("wrote labels/ (2 of 3 files were finished before)\n")
    assert sorted(os.listdir("labels")) == ["0.parquet", "1.parquet", "2.parquet"]

    status, out, err = run("predict", "model", votes, "-o", "labels/")
    assert (status, err) == (0, "")
    assert out == f"All files of {votes} were labelled before by this model (3); labels/ is as it was\n"


@pytest.mark.parametrize(
    ("argv", "status", "culprits"),
    [
        ("fit nowhere/*.parquet -o out", 1, ["nowhere/*.parquet", "no file matches"]),
        ("fit empty -o out", 1, ["empty", "no file matches"]),
        ("fit nothing -o out", 2, ["nothing has no items"]),
        ("fit votes -o votes/1.parquet", 2, ["votes/1.parquet is read"]),
        ("predict model votes/* -o votes/1.parquet", 2, ["votes/1.parquet is read"]),
        ("predict model votes -o votes", 2, ["votes is read"]),
        ("predict model votes.csv -o labels/", 2, ["labels/", "folder"]),
        ("predict model nowhere/*.parquet -o out.csv", 1, ["nowhere/*.parquet", "no file matches"]),
        ("predict model votes -o nowhere/out.csv", 1, ["nowhere/out.csv"]),
        ("predict model votes -o new", 2, ["got 'new'", "'new/', for a folder"]),
        ("predict model bad -o labels/", 2, ["bad/0.parquet, row 3, source 'source_1': label 9"]),
    ],
)
def test_files_that_cannot_be_used_are_one_line_that_names_them(
    run: Run, argv: str, status: int, culprits: list[str]
) -> None:
    votes = _sample()
    _write_parquet("votes", votes)
    _write_parquet("nothing", votes[:0])
    _write_parquet("bad", np.array([[0] * 5] * 3 + [[0, 9, 0, 0, 0]] * 9))
    for name in ("empty", "labels"):
        Path(name).mkdir()
    _write_csv("votes.csv", votes)
    cs.LabelModel(n_classes=3).fit("votes").save("model")
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}

    found, out, err = run(*argv.split(" "))

    assert (found, out) == (status, ""), err
    assert err.startswith("consilience: error: ")
    assert err.count("\n") == 1
    assert all(culprit in err for culprit in culprits), err
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before
