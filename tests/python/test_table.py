"""Tables of results, in a terminal, in a notebook and as data frames."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.exceptions import InvalidArgumentError, MissingDependencyError, WrongTypeError
from consilience.table import Table

COLUMNS = {
    "source": ["keyword_my", "short_comment"],
    "votes": [12, 1203],
    "accuracy": [0.91234, None],
    "interval": [(0.8, 0.951), None],
}
TABLE = Table(COLUMNS, title="Sources", notes=["Accuracies are on votes only."])

values = (
    st.none()
    | st.text(max_size=200)
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.tuples(st.floats(), st.floats())
)
tables = st.integers(0, 4).flatmap(
    lambda n: st.dictionaries(st.text(max_size=100), st.lists(values, min_size=n, max_size=n), max_size=12)
)


def test_a_table_prints_aligned_with_title_and_notes() -> None:
    assert str(TABLE).splitlines() == [
        "Sources",
        "",
        "source         votes  accuracy   interval",
        "-------------  -----  --------  ---------",
        "keyword_my        12     0.912  0.80–0.95",
        "short_comment   1203         –          –",
        "",
        "Accuracies are on votes only.",
    ]


@given(tables)
def test_no_line_is_longer_than_80_characters_for_ascii(columns: dict[str, list[Any]]) -> None:
    ascii_only = {
        ascii(name): [ascii(value) if isinstance(value, str) else value for value in column]
        for name, column in columns.items()
    }

    lines = str(Table(ascii_only, title="t" * 200, notes=["a note " * 30])).splitlines()

    assert max(map(len, lines)) <= 80


@given(tables)
def test_any_names_and_values_print_without_control_characters(columns: dict[str, list[Any]]) -> None:
    assert "".join(str(Table(columns)).split("\n")).isprintable()


def test_long_names_end_in_an_ellipsis_and_numbers_stay_whole() -> None:
    printed = str(Table({"source": ["keyword_" + "x" * 90], "votes": [123456789]}))

    row = printed.splitlines()[-1]
    assert len(row) == 80
    assert "x…" in row
    assert row.endswith(" 123456789")


def test_columns_that_do_not_fit_follow_in_blocks_with_the_first_column_in_front() -> None:
    columns = {"source": ["regex"]} | {f"P(vote {k})": [k / 20] for k in range(20)}

    blocks = str(Table(columns)).split("\n\n")

    assert len(blocks) > 1
    assert all(block.startswith("source") for block in blocks)
    assert all(f"P(vote {k})" in "".join(blocks) for k in range(20))


def test_wide_characters_keep_the_columns_aligned() -> None:
    lines = str(Table({"source": ["词典", "abcd"], "votes": [1, 2]})).splitlines()

    assert lines[2:] == ["词典        1", "abcd        2"]


def test_control_characters_of_a_name_do_not_reach_the_terminal() -> None:
    assert str(Table({"source": ["a\nb\x1b[31m"]})).splitlines()[2:] == ["a b [31m"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (-0.5, "-0.500"),
        (1e-7, "1.0e-07"),
        (1e12, "1.0e+12"),
        (float("nan"), "–"),
        (float("-inf"), "-inf"),
        (True, "yes"),
        ((0.714, 0.776), "0.71–0.78"),
        (np.float32(0.5), "0.500"),
        (np.int64(3), "3"),
        (np.array([0.0, 1.0]), "0.00–1.00"),
    ],
)
def test_a_value_prints_as(value: Any, text: str) -> None:
    assert str(Table({"x": [value]})).splitlines()[-1].strip() == text


def test_html_shows_every_value_and_escapes_it() -> None:
    page = Table({"<b>": ["<script>", "&"]}, title="<t>", notes=["<n>"])._repr_html_()

    assert "<script>" not in page
    for text in ("&lt;b&gt;", "&lt;script&gt;", "&amp;", "&lt;t&gt;", "&lt;n&gt;"):
        assert text in page


def test_a_table_iterates_as_dicts() -> None:
    assert len(TABLE) == 2
    assert list(TABLE)[1] == {"source": "short_comment", "votes": 1203, "accuracy": None, "interval": None}


def test_columns_are_a_copy() -> None:
    TABLE.columns["votes"].append(0)

    assert TABLE.columns == COLUMNS


def test_head_keeps_the_first_rows_title_and_notes() -> None:
    head = TABLE.head(1)

    assert head.columns["source"] == ["keyword_my"]
    assert (head.title, head.notes) == (TABLE.title, TABLE.notes)
    assert len(TABLE.head(9)) == 2


def test_an_empty_table_prints_its_notes() -> None:
    table = Table({}, notes=["nothing to show"])

    assert len(table) == 0
    assert list(table) == []
    assert str(table) == "nothing to show"


def test_tables_copy_and_pickle() -> None:
    for twin in (copy.deepcopy(TABLE), pickle.loads(pickle.dumps(TABLE))):
        assert str(twin) == str(TABLE)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="'votes': 1"):
        Table({"source": ["a", "b"], "votes": [1]})


def test_a_value_of_another_kind_is_refused_by_place() -> None:
    with pytest.raises(WrongTypeError, match=r"columns\['votes'\]\[1\].*dict"):
        Table({"votes": [1, {}]})


def test_a_negative_head_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="-1"):
        TABLE.head(-1)


def test_pandas_gets_the_values() -> None:
    pytest.importorskip("pandas")

    frame = TABLE.to_pandas()

    assert list(frame.columns) == list(COLUMNS)
    assert frame["votes"].tolist() == [12, 1203]
    assert frame["interval"][0] == (0.8, 0.951)


def test_polars_gets_the_values() -> None:
    pytest.importorskip("polars")

    frame = TABLE.to_polars()

    assert frame.columns == list(COLUMNS)
    assert frame["accuracy"].to_list() == [0.91234, None]
    assert frame["interval"].to_list() == [[0.8, 0.951], None]


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingDependencyError, match=f'pip install "{package}"'):
        getattr(TABLE, f"to_{package}")()
