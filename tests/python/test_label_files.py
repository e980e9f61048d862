"""Labels written to CSV, npz and Parquet files, in parts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.label_files import write_labels
from consilience.vote_files import read_votes

ENDINGS = [".csv", ".npz", ".parquet"]
# Python 3.10 reads no NUL characters in CSV.
class_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map("<{}>".format)

LABELS = {
    "item": np.array(["x", 'y, "z"\n']),
    "label": ["HAM", "SPAM"],
    "p_HAM": np.array([0.1 + 0.2, 1e-300]),
    "sure": np.array([True, False]),
    "file": [1, 2],
}


def test_labels_in_csv_keep_every_digit(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", [LABELS])

    with open(tmp_path / "labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["item", "label", "p_HAM", "sure", "file"],
        ["x", "HAM", "0.30000000000000004", "True", "1"],
        ['y, "z"\n', "SPAM", "1e-300", "False", "2"],
    ]


@given(st.lists(class_names, min_size=1, max_size=3))
def test_any_texts_in_csv_come_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.csv"

    name = texts[0].replace(":", "")

    write_labels(path, [{"item": texts, name: [0] * len(texts)}])

    found = read_votes(path)
    assert (found["ids"], found["source_names"]) == (texts, [name])


def test_labels_in_npz_come_back(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.npz", [LABELS])

    with np.load(tmp_path / "labels.npz", allow_pickle=False) as found:
        assert found.files == list(LABELS)
        for name, values in LABELS.items():
            np.testing.assert_array_equal(found[name], values)


def test_labels_in_parquet_come_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")

    write_labels(tmp_path / "labels.parquet", [LABELS])

    with open(tmp_path / "labels.parquet", "rb") as file:
        found = parquet.ParquetFile(file).read().to_pydict()
    assert found == {name: np.asarray(values).tolist() for name, values in LABELS.items()}


@pytest.mark.parametrize("ending", ENDINGS)
def test_labels_of_no_items_are_a_file_too(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("pyarrow")

    write_labels(tmp_path / f"labels{ending}", [{"label": np.array([], str), "p": np.array([])}])

    assert (tmp_path / f"labels{ending}").stat().st_size > 0


@pytest.mark.parametrize("ending", ENDINGS)
def test_equal_labels_give_equal_bytes(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("pyarrow")
    for name in ("a", "b"):
        write_labels(tmp_path / f"{name}{ending}", [LABELS])

    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({}, InvalidArgumentError, "equal lengths"),
        ({"item": [1, 2], "label": ["a"]}, InvalidArgumentError, "'label': 1"),
        ({"p": np.zeros((2, 2))}, InvalidArgumentError, "'p'.*one-dimensional"),
        ({"p": [[1], [1, 2]]}, InvalidArgumentError, "'p'.*one-dimensional"),
        ({"label": ["a", None]}, WrongTypeError, "'label'.*object"),
        ({"label": [{}]}, WrongTypeError, "'label'"),
    ],
)
def test_columns_that_cannot_be_written_leave_the_old_file_as_it_was(
    tmp_path: Path, ending: str, columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = tmp_path / f"labels{ending}"
    path.write_bytes(b"old")

    with pytest.raises(error, match=message):
        write_labels(path, [columns])
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {path.name: b"old"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_fails_leaves_nothing(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_labels(tmp_path / f"labels{ending}", [LABELS])
    assert list(tmp_path.iterdir()) == []
