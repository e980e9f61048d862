"""What sources over texts are made of: looking for words, and voting where they stand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

Vote = dict[str, str]


def has(pattern: str, text: str) -> bool:
    """Whether one of the words or phrases of `pattern`, a regular expression, stands in the text."""
    return re.search(rf"(?<!\w)(?:{pattern})(?!\w)", text) is not None


def vote_if(holds: bool, task: str, name: str) -> Vote:
    """Vote where the condition holds, abstention elsewhere."""
    return {task: name} if holds else {}


def pick(text: str, task: str, /, **patterns: str) -> Vote:
    """Vote for the first class whose pattern stands in the text; abstention where none does."""
    return next(({task: name} for name, pattern in patterns.items() if has(pattern, text)), {})


def sources_of(module: Mapping[str, Any]) -> tuple[Callable[[str], Vote], ...]:
    """Public functions that a module defines and that return a vote, in the order of its text."""
    return tuple(
        value
        for value in module.values()
        if isinstance(value, FunctionType)
        and value.__module__ == module["__name__"]
        and value.__annotations__.get("return") == "Vote"
        and not value.__name__.startswith("_")
    )
