"""Votes read from CSV, npz and Parquet files."""

from __future__ import annotations

import csv
import io
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import consilience as cs
from consilience.exceptions import (
    FileFormatError,
    InvalidArgumentError,
    MissingDependencyError,
)
from consilience.vote_files import VoteFile, read_votes

VOTES = [[0, -1, 1], [-1, 2, 1]]


def read_csv(tmp_path: Path, text: str | bytes, **options: Any) -> VoteFile:
    path = tmp_path / "votes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_votes(path, **options)


def read_npz(tmp_path: Path, **arrays: Any) -> VoteFile:
    np.savez(tmp_path / "votes.npz", **arrays)
    return read_votes(tmp_path / "votes.npz")


def read_parquet(tmp_path: Path, columns: dict[str, Any], **options: Any) -> VoteFile:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), tmp_path / "votes.parquet")
    return read_votes(tmp_path / "votes.parquet", **options)


def table(found: VoteFile) -> list[list[int]]:
    assert isinstance(found["votes"], np.ndarray)
    rows: list[list[int]] = found["votes"].tolist()
    return rows


def tables(found: VoteFile) -> dict[str, list[list[int]]]:
    assert isinstance(found["votes"], dict)
    return {task: votes.tolist() for task, votes in found["votes"].items()}


# CSV


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\n0,-1,1\n-1,2,1\n",
        "a,b,c\n0,,1\n,2,1",
        "a,b,c\r\n0,,1\r\n,2,1\r\n",
        "a,b,c\r0,,1\r,2,1\r",
        "\ufeffa,b,c\n0,,1\n,2,1\n\n\n",
        '"a","b","c"\n"0","","1"\n"","2","1"\n',
        " a, b ,c\n 0, ,1\n-1, 2 ,1 \n",
        "a,b,c\n0.0,,1\n,2.,1.0\n",
    ],
)
def test_csv_indices_are_read_as_they_are(tmp_path: Path, text: str) -> None:
    found = read_csv(tmp_path, text)

    assert table(found) == VOTES
    assert found["source_names"] == ["a", "b", "c"]
    assert found["ids"] is None
    assert found["classes"] is None


def test_csv_class_names_share_one_sorted_list(tmp_path: Path) -> None:
    found = read_csv(tmp_path, 'a,b\nSPAM,\n-1,"ham, eggs"\nnan,SPAM\n')

    assert found["classes"] == ["SPAM", "ham, eggs", "nan"]
    assert table(found) == [[0, -1], [-1, 1], [2, 0]]


@pytest.mark.parametrize("null", ["nan", "NaN", "NA", "<NA>", "None", "null"])
def test_nulls_of_other_programs_abstain_in_a_csv_of_indices(tmp_path: Path, null: str) -> None:
    found = read_csv(tmp_path, f"a,b\n0,{null}\n{null},1.0\n")
    assert (table(found), found["classes"]) == ([[0, -1], [-1, 1]], None)
    found = read_csv(tmp_path, f"x:a,y:a\n0,{null}\n{null},ham\n")
    assert np.array_equal(found["votes"]["x"], [[0], [-1]])
    assert found["classes"] == {"x": None, "y": sorted([null, "ham"])}  # beside names it is one


def test_nulls_of_other_programs_abstain_where_classes_are_given_unless_one_is_called_so(
    tmp_path: Path,
) -> None:
    text = "a,b\nno,NA\nNA,yes\n"
    assert table(read_csv(tmp_path, text, classes=["no", "yes"])) == [[0, -1], [-1, 1]]
    assert table(read_csv(tmp_path, text, classes=["no", "yes", "NA"])) == [[0, 2], [2, 1]]
    with pytest.raises(FileFormatError, match="found '0', expected one of the class names"):
        read_csv(tmp_path, "a,b\n0,NA\n1,2\n", classes=["no", "yes", "NA"])
    assert read_csv(tmp_path, "a,b\nNA,NA\n")["classes"] == ["NA"]


def test_a_word_among_indices_in_a_csv_is_an_error_that_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        FileFormatError, match=r"line 3, column 'b': found 'x'.*numbers \('0'\).*give classes"
    ):
        read_csv(tmp_path, "a,b\n0,1\n1,x\n")
    named = read_csv(tmp_path, "a,b\n0,1\n1,x\n", classes=["0", "1", "x"])
    assert table(named) == [[0, 1], [1, 2]]


@pytest.mark.parametrize("name", ["item", "id", "Item", "item_id", ""])
def test_a_first_column_of_ids_is_kept_as_text(tmp_path: Path, name: str) -> None:
    found = read_csv(tmp_path, f'{name},a\n007,1\n"x\ny",0\n')

    assert found["ids"] == ["007", "x\ny"]
    assert found["source_names"] == ["a"]
    assert table(found) == [[1], [0]]


def test_given_classes_set_the_order_and_may_be_more_than_the_file_has(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "a,b\nSPAM,HAM\n", classes=["SPAM", "EGGS", "HAM"])

    assert found["classes"] == ["SPAM", "EGGS", "HAM"]
    assert table(found) == [[0, 2]]


def test_given_classes_that_look_like_numbers_are_names_first(tmp_path: Path) -> None:
    assert table(read_csv(tmp_path, "a,b\n1,3\n", classes=[1, 2, 3])) == [[0, 2]]
    assert table(read_csv(tmp_path, "a,b\n0,2\n", classes=[1, 2, 3])) == [[0, 2]]


def test_columns_of_several_tasks_become_tables_over_the_same_sources(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "item,kind:a,kind:b,size:b,size:c\nx,org,,0,1\ny,,person,-1,2\n")

    assert tables(found) == {"kind": [[0, -1, -1], [-1, 1, -1]], "size": [[-1, 0, 1], [-1, -1, 2]]}
    assert found["source_names"] == ["a", "b", "c"]
    assert found["classes"] == {"kind": ["org", "person"], "size": None}
    assert found["ids"] == ["x", "y"]


def test_given_classes_of_tasks_set_their_order(tmp_path: Path) -> None:
    classes = {"kind": ["person", "org"], "size": ["s", "l"]}

    found = read_csv(tmp_path, "kind:a,size:a\norg,1\n", classes=classes)

    assert tables(found) == {"kind": [[1]], "size": [[1]]}
    assert found["classes"] == classes


@pytest.mark.parametrize(("top", "dtype"), [(127, np.int8), (128, np.int16), (40_000, np.int32)])
def test_votes_take_the_smallest_integers_that_hold_them(tmp_path: Path, top: int, dtype: type) -> None:
    found = read_csv(tmp_path, f"a\n{top}\n-1\n")

    assert isinstance(found["votes"], np.ndarray)
    assert found["votes"].dtype == dtype
    assert table(found) == [[top], [-1]]


# Python 3.10 reads no NUL characters in CSV.
class_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map("<{}>".format)


@given(
    hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-1, 3)),
    st.lists(class_names, min_size=4, max_size=4, unique=True),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv_gives_the_votes_that_were_written_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, votes: Any, names: list[str], ending: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(range(votes.shape[1]))
    writer.writerows([[names[vote] if vote >= 0 else "" for vote in row] for row in votes.tolist()])

    found = read_csv(tmp_path_factory.getbasetemp(), text.getvalue(), classes=names)

    assert table(found) == votes.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column of votes"),
        ("\n", "no column of votes"),
        ("item\n1\n", "no column of votes"),
        ("a,a\n0,1\n", "column 'a' appears twice"),
        ("a,\n0,1\n", "column '' has no name"),
        ("a;b\n0;1\n", "line 1: semicolons"),
        ("a\tb\n0\t1\n", "line 1: tabs"),
        ("a,b\n0,1\n0\n", "line 3 has 1 cells where the header has 2"),
        ('a,b\n"0\n",1\n0,1,1\n0,1\n', "line 4 has 3 cells where the header has 2"),
        ("a,b\n0,1\n\n0,1\n", "line 3 is blank"),
        ('a,b\n0,"1\n', "line 2: unexpected end of data"),
        ('a,b\n0,"1"x\n', "line 2: "),
        ("a,b\n0,1\n1,-2\n", "line 3, column 'b': found '-2'"),
        ("a,b\n0,1\n0.5,1\n", "line 3, column 'a': found '0.5'"),
        ("a,b\n0,1\n1,inf\n", "line 3, column 'b': found 'inf'"),
        ("a,b\n0,1e99\n", "line 2, column 'b': found '1e99'"),
        ("a,b\n0,3000000000\n", "line 2, column 'b'"),
        ("t:a,b\n0,1\n", "column 'b' is not named task:source"),
        ("t:a,t:\n0,1\n", "column 't:' is not named task:source"),
        ("t:a,t:b\n0,-5\n", "line 2, column 't:b': found '-5'"),
        (b"a,b\n\xff,1\n", "not UTF-8"),
        ("a,b\n0,1\n".encode("utf-16"), "not UTF-8"),
        ("a,b\n0," + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_csv_that_holds_no_votes_is_refused_by_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_csv(tmp_path, text)

    assert message in str(caught.value)
    assert str(tmp_path / "votes.csv") in str(caught.value)


def test_a_cell_that_is_none_of_the_given_classes_is_refused_by_place(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"line 3, column 'b': found 'EGGS'.*'HAM', 'SPAM'"):
        read_csv(tmp_path, "a,b\nHAM,\nSPAM,EGGS\n", classes=["HAM", "SPAM"])
    with pytest.raises(FileFormatError, match=r"line 2, column 'b': found '2'.*0\.\.1"):
        read_csv(tmp_path, "a,b\n0,2\n", classes=["HAM", "SPAM"])


def test_given_classes_must_match_the_tasks_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="'kind'"):
        read_csv(tmp_path, "a\nx\n", classes={"kind": ["x"], "size": ["s"]})
    with pytest.raises(InvalidArgumentError, match="'kind'"):
        read_csv(tmp_path, "kind:a\nx\n", classes=["x"])
    with pytest.raises(InvalidArgumentError, match="'kind'"):
        read_csv(tmp_path, "kind:a\nx\n", classes={"size": ["x"]})


def test_a_file_that_names_no_task_takes_the_classes_of_the_only_one(tmp_path: Path) -> None:
    found = read_csv(tmp_path, "a\nx\n", classes={"kind": ["w", "x"]})
    assert found["votes"].tolist() == [[1]]


# npz


@pytest.mark.parametrize("name", ["L", "votes", "anything"])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, ">i4"])
def test_npz_holds_votes_by_name_or_as_its_only_table(tmp_path: Path, name: str, dtype: Any) -> None:
    found = read_npz(tmp_path, **{name: np.array(VOTES, dtype), "y": np.zeros(2)})

    assert table(found) == VOTES
    assert found["source_names"] is None
    assert found["classes"] is None


def test_npz_names_sources_and_ids(tmp_path: Path) -> None:
    found = read_npz(tmp_path, L=np.array(VOTES), source_names=np.array(["a:1", "b", "c"]), ids=[5, 6])

    assert found["source_names"] == ["a:1", "b", "c"]
    assert found["ids"] == [5, 6]
    assert table(found) == VOTES


def test_npz_holds_class_names_or_booleans(tmp_path: Path) -> None:
    found = read_npz(tmp_path, L=np.array([["b", ""], ["a", "b"]]))

    assert (table(found), found["classes"]) == ([[1, -1], [0, 1]], ["a", "b"])
    assert table(read_npz(tmp_path, L=np.array([[True, False]]))) == [[1, 0]]


def test_npz_holds_one_table_a_task(tmp_path: Path) -> None:
    found = read_npz(
        tmp_path, **{"votes/kind": np.array(VOTES), "votes/size": np.array([["s", "", "l"]] * 2)}
    )

    assert tables(found) == {"kind": VOTES, "size": [[1, -1, 0]] * 2}
    assert found["classes"] == {"kind": None, "size": ["l", "s"]}


def test_numbers_of_npz_are_indices_whatever_the_classes_are_called(tmp_path: Path) -> None:
    np.savez(tmp_path / "votes.npz", L=np.array([[0, 1]]))

    assert table(read_votes(tmp_path / "votes.npz", classes=["1", "0"])) == [[0, 1]]


def test_npz_may_hold_pickles_beside_the_votes_and_they_stay_closed(tmp_path: Path) -> None:
    assert table(read_npz(tmp_path, L=np.array(VOTES), texts=np.array([{}], dtype=object))) == VOTES


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"L": np.array([[0, None]], dtype=object)}, "plain arrays"),
        ({"L": np.zeros((2, 2), complex)}, "complex128"),
        ({"L": np.zeros((3, 0), np.int8)}, "no column of votes"),
        ({"L": np.zeros(3, np.int8)}, "(n_items, n_sources)"),
        ({"a": np.zeros((2, 2)), "b": np.zeros((2, 2))}, "'a', 'b'"),
        ({"y": np.zeros(2)}, "'y'"),
        ({"votes/a": np.zeros((2, 2)), "votes/b": np.zeros((2, 3))}, "(2, 3)"),
        ({"L": np.array([[0, -3]])}, "row 0, column '1': found '-3'"),
        ({"L": np.array([[0.0, np.nan]])}, "row 0, column '1': found 'nan'"),
        ({"L": np.array([[0.0, np.inf]])}, "row 0, column '1': found 'inf'"),
        ({"L": np.array(VOTES), "source_names": np.array(["a"])}, "source_names must have shape (3,)"),
        ({"L": np.array(VOTES), "source_names": np.array(["a", "a", "b"])}, "'a' appears twice"),
        ({"L": np.array(VOTES), "ids": np.zeros(3)}, "ids must have shape (2,)"),
    ],
)
def test_npz_that_holds_no_votes_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_npz(tmp_path, **arrays)

    assert message in str(caught.value)
    assert str(tmp_path / "votes.npz") in str(caught.value)


NPZ = io.BytesIO()
np.savez(NPZ, L=np.array(VOTES, np.int8), source_names=np.array(["a", "b", "c"]))


@given(st.integers(0, len(NPZ.getvalue()) - 1), st.integers(0, 255), st.booleans())
def test_a_damaged_npz_is_refused_or_still_holds_its_votes(
    tmp_path_factory: pytest.TempPathFactory, position: int, change: int, cut: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    data = bytearray(NPZ.getvalue())
    data[position] ^= change
    path.write_bytes(data[:position] if cut else data)

    try:
        found = read_votes(path)
    except FileFormatError:
        return
    assert table(found) == VOTES


# Parquet


@pytest.mark.parametrize("kind", ["int8", "uint16", "int64", "float64", "string"])
def test_parquet_indices_and_nulls(tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"a": [0, None], "b": [None, 2], "c": [1, 1]}

    found = read_parquet(
        tmp_path, {name: pyarrow.array(values).cast(kind) for name, values in columns.items()}
    )

    assert table(found) == VOTES
    assert found["source_names"] == ["a", "b", "c"]
    assert found["classes"] is None


def test_parquet_names_dictionaries_booleans_and_columns_of_nulls(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    names = pyarrow.array(["b", None, "a"])

    found = read_parquet(
        tmp_path,
        {
            "item": [7, 8, 9],
            "t:a": names,
            "t:b": names.dictionary_encode(),
            "t:c": names.cast("large_string"),
            "u:a": [True, None, False],
            "u:d": pyarrow.nulls(3),
        },
    )

    assert found["ids"] == [7, 8, 9]
    assert found["source_names"] == ["a", "b", "c", "d"]
    assert found["classes"] == {"t": ["a", "b"], "u": None}
    assert tables(found) == {
        "t": [[1, 1, 1, -1], [-1, -1, -1, -1], [0, 0, 0, -1]],
        "u": [[1, -1, -1, -1], [-1, -1, -1, -1], [0, -1, -1, -1]],
    }


def test_parquet_written_by_pandas_keeps_its_index_as_ids(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [0, None], "b": ["x", None]}, index=["i", "j"])
    frame.to_parquet(tmp_path / "votes.parquet")

    found = read_votes(tmp_path / "votes.parquet", classes=["0.0", "x"])

    assert found["ids"] == ["i", "j"]
    assert table(found) == [[0, 1], [-1, -1]]


def test_parquet_in_many_row_groups_is_one_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    votes = np.tile(VOTES, (50, 1))
    columns = {f"s{j}": pyarrow.array(list(map(str, votes[:, j]))).dictionary_encode() for j in range(3)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "votes.parquet", row_group_size=7)

    assert table(read_votes(tmp_path / "votes.parquet")) == votes.tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [[0]]}, "column 'a' holds list"),
        ({"a": [0.5]}, "row 0, column 'a': found '0.5'"),
        ({"a": [0, -2]}, "row 1, column 'a': found '-2'"),
        ({"id": [1]}, "no column of votes"),
        ({}, "no column of votes"),
    ],
)
def test_parquet_that_holds_no_votes_is_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(FileFormatError) as caught:
        read_parquet(tmp_path, columns)

    assert message in str(caught.value)


@given(st.data())
def test_a_damaged_parquet_file_never_raises_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path_factory.getbasetemp() / "damaged.parquet"
    parquet.write_table(pyarrow.table({"id": ["é", "b"], "a": ["é", None]}), path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(0, 255))
    path.write_bytes(content[:position] if data.draw(st.booleans()) else content)

    try:
        read_votes(path)
    except FileFormatError:
        return


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingDependencyError, match=r'pip install "consilience\[frames\]"'):
        read_votes(tmp_path / "votes.parquet")
    assert list(tmp_path.iterdir()) == []


# Any format

ENDINGS = [".csv", ".npz", ".parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    pytest.importorskip("pyarrow")

    with pytest.raises(FileNotFoundError, match="none"):
        read_votes(tmp_path / f"none{ending}")


@pytest.mark.parametrize("name", ["votes.txt", "votes", "votes.csv.gz"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\.csv, \.npz or \.parquet"):
        read_votes(tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_without_items_has_tables_without_rows(tmp_path: Path, ending: str) -> None:
    if ending == ".csv":
        found = read_csv(tmp_path, "a,b\n\n\n")
    elif ending == ".npz":
        found = read_npz(tmp_path, L=np.zeros((0, 2), np.int8))
    else:
        found = read_parquet(tmp_path, {"a": np.zeros(0, np.int8), "b": np.zeros(0, np.int8)})

    assert isinstance(found["votes"], np.ndarray)
    assert found["votes"].shape == (0, 2)


@pytest.mark.parametrize(
    "header",
    [
        "0,1,-1", "1,1,0", "-1,-1,-1", "1.0,0.0", "0.0,1.0", "1,0,2", "2,1", "1,,0", ",1,0", "nan,1,2",
        "17,1,0", "a.jpg,1,0", "a.jpg,0,0,1", "a.jpg,-1,1", "1e0,2,3",
    ],
)  # fmt: skip
def test_a_csv_whose_first_line_holds_votes_is_refused(tmp_path, header):
    path = tmp_path / "votes.csv"
    path.write_text(f"{header}\n" + ",".join("1" * (header.count(",") + 1)) + "\n")
    with pytest.raises(FileFormatError, match=r"line 1: .* are votes, not names; begin the file with a"):
        read_votes(path)


@pytest.mark.parametrize(
    "header",
    [
        "0,1,2",  # what pandas writes of a frame without names
        ",0,1,2",  # and with its index
        "104,233,871",
        "item,2,0,1",
        "id,9,8,7",
        "7,keywords,3",
        "model,0,1",
        "gpt4,5",
        "7",
        "t:2,t:1",
    ],
)
def test_sources_may_be_named_by_numbers_that_increase_or_stand_beside_words(tmp_path, header):
    path = tmp_path / "votes.csv"
    cells = ["3"] * (header.count(",") + 1)
    path.write_text(f"{header}\n{','.join(cells)}\n")
    found = read_votes(path)
    assert len(found["source_names"]) == len(cells) - (header.split(",")[0] in ("", "item", "id"))


@pytest.mark.parametrize(
    ("header", "row"), [("0,1", "1,0"), ("spam,ham", "ham,spam"), ("item,0,1", "a,1,0"), (",0,1", "a,1,0")]
)
def test_names_that_are_votes_too_are_warned_of(tmp_path, header, row):
    path = tmp_path / "votes.csv"
    path.write_text(f"{header}\n{row}\n")
    with pytest.warns(cs.ConsilienceWarning, match=r"line 1: '.*' are taken for the names of the sources"):
        read_votes(path)
    last = row.replace("0", "1").replace("spam", "ham")
    path.write_text(f"{header}\n{last}\n")  # one of the names is no vote
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_votes(path)["votes"].shape == (1, 2)
