"""Small tables of results that read well in a terminal and in a notebook."""

from __future__ import annotations

import html
import math
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.optional import require

Value: TypeAlias = str | int | float | tuple[float, float] | None

_LINE = 80
_GAP = "  "
_SHORTEST_TEXT = 12
_DASH = "\N{EN DASH}"
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class Table:
    """Named columns of equal length, with a title above and notes below.

    Parameters
    ----------
    columns : mapping of str to iterable
        The values of each column, top to bottom: strings, numbers, ``(low, high)`` intervals, or None where
        there is nothing to say. NumPy's scalars become Python's.
    title : str, optional
        Line above the table.
    notes : iterable of str
        Sentences below the table.

    Raises
    ------
    InvalidArgumentError
        If columns differ in length.
    WrongTypeError
        If a value is of another kind.

    Examples
    --------
    >>> print(Table({"source": ["regex", "model"], "votes": [7, 1203], "accuracy": [0.9, None]}))
    source  votes  accuracy
    ------  -----  --------
    regex       7     0.900
    model    1203         –
    """

    def __init__(
        self, columns: Mapping[str, Iterable[Any]], title: str | None = None, notes: Iterable[str] = ()
    ) -> None:
        self._columns = {
            name: [_plain(value, f"columns[{name!r}][{row}]") for row, value in enumerate(values)]
            for name, values in columns.items()
        }
        lengths = {name: len(values) for name, values in self._columns.items()}
        if len(set(lengths.values())) > 1:
            raise InvalidArgumentError(f"columns must have equal lengths, got {lengths}; pad with None")
        self.title = title
        self.notes = tuple(notes)

    @property
    def columns(self) -> dict[str, list[Value]]:
        """Values by column name, a copy."""
        return {name: list(values) for name, values in self._columns.items()}

    def __len__(self) -> int:
        """Count of rows."""
        return len(next(iter(self._columns.values()), ()))

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """Rows, each a dict by column name."""
        for row in zip(*self._columns.values(), strict=True):
            yield dict(zip(self._columns, row, strict=True))

    def head(self, n: int = 5) -> Table:
        """Table of the first `n` rows, under the same title and notes."""
        if n < 0:
            raise InvalidArgumentError(f"n must be at least 0, got {n}")
        return Table({name: values[:n] for name, values in self._columns.items()}, self.title, self.notes)

    def to_pandas(self) -> Any:
        """``pandas.DataFrame`` of the values; intervals stay tuples."""
        return require("pandas", install="pandas", purpose="Table.to_pandas").DataFrame(self.columns)

    def to_polars(self) -> Any:
        """``polars.DataFrame`` of the values; intervals become lists of two numbers."""
        polars = require("polars", install="polars", purpose="Table.to_polars")
        listed = {
            name: [list(value) if isinstance(value, tuple) else value for value in values]
            for name, values in self._columns.items()
        }
        return polars.DataFrame(listed, strict=False)

    def __str__(self) -> str:
        """Text of at most 80 columns.

        Long texts end in an ellipsis, numbers are never cut. Columns that still do not fit follow in further
        blocks, each with the first column in front.
        """
        drawn = [_Column(name, values) for name, values in self._columns.items()]
        _fit(drawn)
        parts = [textwrap.fill(self.title, _LINE)] if self.title else []
        parts += ["\n".join(_draw(block)) for block in _blocks(drawn)]
        if self.notes:
            parts.append("\n".join(textwrap.fill(note, _LINE, subsequent_indent="  ") for note in self.notes))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """HTML for a notebook, every text escaped."""
        drawn = [_Column(name, values) for name, values in self._columns.items()]

        def row(tag: str, texts: Iterable[str]) -> str:
            cells = (
                f'<{tag} style="text-align: {column.side}">{html.escape(text)}</{tag}>'
                for column, text in zip(drawn, texts, strict=True)
            )
            return f"<tr>{''.join(cells)}</tr>"

        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        head = row("th", (column.name for column in drawn))
        body = "".join(row("td", texts) for texts in zip(*(column.texts for column in drawn), strict=True))
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>{notes}"


class _Column:
    """A column as it is drawn; `width` starts at what its texts take and may shrink to `shortest`."""

    def __init__(self, name: str, values: Sequence[Value]) -> None:
        self.name = _one_line(name)
        self.texts = [_text(value) for value in values]
        self.is_numeric = bool(values) and not any(isinstance(value, str | bool) for value in values)
        self.side = "right" if self.is_numeric else "left"
        content = max(map(_width, self.texts), default=0)
        self.width = max(content, _width(self.name))
        unbreakable = content if self.is_numeric else 0
        self.shortest = max(unbreakable, min(self.width, _SHORTEST_TEXT))

    def align(self, text: str) -> str:
        text = _cut(text, self.width)
        padding = " " * (self.width - _width(text))
        return padding + text if self.is_numeric else text + padding


def _fit(columns: Sequence[_Column]) -> None:
    """Shrink the widest columns, one character at a time, until the line fits or none can shrink."""
    excess = sum(column.width for column in columns) + len(_GAP) * (len(columns) - 1) - _LINE
    while excess > 0 and (soft := [column for column in columns if column.width > column.shortest]):
        max(soft, key=lambda column: column.width).width -= 1
        excess -= 1


def _blocks(columns: Sequence[_Column]) -> list[list[_Column]]:
    """Columns in groups that fit the line, each after the first column."""
    blocks: list[list[_Column]] = []
    room = 0
    for column in columns[1:]:
        needed = len(_GAP) + column.width
        if not blocks or needed > room:
            blocks.append([columns[0]])
            room = _LINE - columns[0].width
        blocks[-1].append(column)
        room -= needed
    return blocks or ([list(columns)] if columns else [])


def _draw(columns: Sequence[_Column]) -> Iterator[str]:
    yield _GAP.join(column.align(column.name) for column in columns).rstrip()
    yield _GAP.join("-" * column.width for column in columns)
    for texts in zip(*(column.texts for column in columns), strict=True):
        yield _GAP.join(column.align(text) for column, text in zip(columns, texts, strict=True)).rstrip()


def _plain(value: Any, place: str) -> Value:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list | np.ndarray) and len(value) == 2:
        return float(value[0]), float(value[1])
    raise WrongTypeError(
        f"{place} must be a string, a number, an interval (low, high) or None, got {type(value).__name__}"
    )


def _text(value: Value) -> str:
    match value:
        case None:
            return _DASH
        case bool():
            return "yes" if value else "no"
        case float():
            return _decimal(value, 3)
        case tuple():
            return f"{_decimal(value[0], 2)}{_DASH}{_decimal(value[1], 2)}"
        case _:
            return _one_line(str(value))


def _decimal(number: float, digits: int) -> str:
    """Text of a number to that many decimals, or with a power of ten where these would not do."""
    if math.isnan(number):
        return _DASH
    shows = number == 0 or 10**-digits <= 2 * abs(number) < 2e7
    return f"{number:.{digits}f}" if shows or math.isinf(number) else f"{number:.1e}"


def _one_line(text: str) -> str:
    """Text with a space for each control character: a name can neither break lines nor set colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def _width(text: str) -> int:
    """Terminal cells that the text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, width: int) -> str:
    """Text, or as much of its start as fits with an ellipsis."""
    if _width(text) <= width:
        return text
    room = width - 1
    kept = ""
    for character in text:
        room -= _cells(character)
        if room < 0:
            break
        kept += character
    return kept + _ELLIPSIS
