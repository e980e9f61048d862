"""What the cells of a table of votes mean: the one rule for all files and streams.

Every cell becomes a small code as it is read, one code for each distinct text, and each distinct text is
understood once: a million rows are mostly dictionary look-ups.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import FileFormatError, InvalidArgumentError, listed

VoteTable: TypeAlias = NDArray[np.integer[Any]]
Classes: TypeAlias = Sequence[Hashable] | Mapping[str, Sequence[Hashable]]

ABSTAINS = -1
_LARGEST_VOTE = int(np.iinfo(np.int32).max)
_NULLS = frozenset(("nan", "na", "<na>", "none", "null"))
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?(e[-+]?\d+)?|inf)|nan", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class VoteTexts:
    """A table of texts, ``texts[codes[row, column]]``, and where its columns belong."""

    path: str
    codes: NDArray[np.int32]
    texts: list[str]
    owners: list[tuple[str, str]]  # task and source of each column; task "" if the file names no tasks
    place: Callable[[int], str]
    spells_nulls: bool = False  # whether words such as NA may stand for no vote

    def refuse(self, columns: Sequence[int], text: str, rule: str) -> NoReturn:
        """Raise an error that points at the first cell with that text in these columns."""
        same = [code for code, other in enumerate(self.texts) if other == text]
        row, column = np.argwhere(np.isin(self.codes[:, columns], same))[0]
        name = ":".join(filter(None, self.owners[columns[column]]))
        where = f"{self.path}, {self.place(int(row))}, column {name!r}"
        raise FileFormatError(f"{where}: found {reprlib.repr(text)}, expected {rule}")


class Codes(dict[str, int]):
    """A number for each text, given when it is first asked for; 0 is the empty text."""

    def __init__(self) -> None:
        super().__init__({"": 0})

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code

    def of(self, distinct: Iterable[object], inverse: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """Codes of the texts of ``distinct[inverse]``; an inverse of -1 is the empty text."""
        known = [self[str(value)] for value in distinct]
        return np.take(np.array([*known, 0], np.int32), inverse)

    def texts(self) -> list[str]:
        """Texts in the order of their codes, without blanks around them: some may be equal then."""
        return [text.strip() for text in self]


def owners_of(path: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    """Task and source of columns named ``source``, or all of them ``task:source``."""
    parts = [name.partition(":") for name in columns]
    if not any(colon for _, colon, _ in parts):
        return [("", name) for name in columns]
    for task, colon, source in parts:
        if not (task and colon and source):
            raise FileFormatError(
                f"{path}: column {task + colon + source!r} is not named task:source as others are; rename it"
            )
    return [(task, source) for task, _, source in parts]


def classes_of(path: str, task: str, classes: Classes | None) -> list[Hashable] | None:
    """Class names that the caller gave for a task of the file; the file names no task where it is ""."""
    if classes is None:
        return None
    if isinstance(classes, Mapping):
        if task in classes:
            return list(classes[task])
        if not task and len(classes) == 1:  # one task, whatever it is called
            return list(next(iter(classes.values())))
        about = f"the task {task!r}" if task else "one task without a name"
        raise InvalidArgumentError(f"{path} is about {about}, but classes are given for {listed(classes)}")
    if task:
        raise InvalidArgumentError(
            f"{path} is about the task {task!r}; give its class names as {{{task!r}: [...]}}"
        )
    return list(classes)


@dataclass(frozen=True)
class Meaning:
    """What the texts of a task stand for.

    Attributes
    ----------
    classes : list or None
        Class names in the order of the indices; None where there are indices only.
    are_names : bool
        Whether the texts are class names; otherwise they are indices.
    """

    classes: list[Hashable] | None
    are_names: bool

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        classes: list[Hashable] | None,
        *,
        is_text: bool,
        spells_nulls: bool = False,
    ) -> Meaning:
        """Meaning of all the texts of a task, by the rule of `read_votes`.

        Parameters
        ----------
        texts : iterable of str
            The distinct ones.
        classes : list, optional
            Class names that the caller gave.
        is_text : bool
            Whether class names are possible: not in columns of numbers.
        spells_nulls : bool
            Whether words such as NA, where they are no classes, stand for no vote.
        """
        voting = {text for text in texts if not abstains(text)}
        words = {text for text in voting if not (spells_nulls and _is_null(text, classes))}
        if classes is not None and is_text and words <= {str(name) for name in classes}:
            return cls(classes, are_names=True)
        numbers = [_number(text) for text in words or voting]
        # A word among numbers is more likely to be a slip than a class, unless the caller names it.
        is_mixed = classes is None and any(number is not None and np.isfinite(number) for number in numbers)
        if is_mixed or None not in numbers:
            return cls(classes, are_names=False)
        return cls(classes if classes is not None else [*sorted(voting)], are_names=is_text)


def decode(cells: VoteTexts, columns: Sequence[int], meaning: Meaning) -> VoteTable:
    """Votes in some columns, of the smallest signed integers that hold them.

    Raises
    ------
    FileFormatError
        If a cell has no such meaning; names the first one.
    """
    codes, classes = cells.codes[:, columns], meaning.classes
    used = np.flatnonzero(np.bincount(codes.ravel(), minlength=len(cells.texts)))
    voting = {cells.texts[code]: None for code in used if not abstains(cells.texts[code])}
    if cells.spells_nulls:
        voting = {text: None for text in voting if not _is_null(text, classes)}
    vote_of: dict[str, int] = {}
    if meaning.are_names:
        by_name = {str(name): index for index, name in enumerate(classes or ())}
        for text in voting:
            if text not in by_name:
                cells.refuse(
                    columns, text, f"one of the class names {listed(by_name)}, or nothing to abstain"
                )
            vote_of[text] = by_name[text]
    else:
        top = _LARGEST_VOTE if classes is None else len(classes) - 1
        for text in voting:
            number = _number(text)
            if number is None or not (number.is_integer() and 0 <= number <= top):
                allowed = "0, 1, 2, ..." if classes is None else f"0..{top}"
                rule = f"a class index of {allowed}, or -1 or nothing to abstain"
                if number is None and classes is None:
                    other = next((f" ({word!r})" for word in voting if _number(word) is not None), "")
                    rule += f", for other cells hold numbers{other}; if these are names, give classes"
                cells.refuse(columns, text, rule)
            vote_of[text] = int(number)
    largest = max(vote_of.values(), default=0)
    dtype = next(dtype for dtype in (np.int8, np.int16, np.int32) if largest <= np.iinfo(dtype).max)
    vote_of_code = np.array([vote_of.get(text, ABSTAINS) for text in cells.texts], dtype)
    votes: VoteTable = vote_of_code[codes]
    return votes


def abstains(text: str) -> bool:
    """Whether a cell with this text is no vote."""
    return not text or _number(text) == ABSTAINS


def _is_null(text: str, classes: Sequence[Hashable] | None) -> bool:
    """Whether a text is what other programs write for a null, and no class."""
    return text.lower() in _NULLS and text not in {str(name) for name in classes or ()}


def looks_like_number(text: str) -> bool:
    """Whether a text may be a class index."""
    return _number(text) is not None


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def check_names(path: str, columns: Sequence[str]) -> None:
    """Raise FileFormatError unless there are columns, each with a name of its own."""
    if not columns:
        raise FileFormatError(f"{path} has no column of votes; give it one column a source")
    seen: set[str] = set()
    for name in columns:
        if not name or name in seen:
            problem = "appears twice" if name else "has no name"
            raise FileFormatError(f"{path}: column {name!r} {problem}; give every source a name of its own")
        seen.add(name)
