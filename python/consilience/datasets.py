"""Votes on real items that ship with the package: two small data sets, read without the network."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["DemoData", "load_clinc", "load_youtube"]

Labels: TypeAlias = NDArray[np.int8]
TablesT = TypeVar("TablesT", Labels, dict[str, Labels])


@dataclass(frozen=True, eq=False)
class DemoData(Generic[TablesT]):
    """Votes on real items, with gold for scoring.

    Gold is for scoring, never for a fit: a comparison is best made on ``split == 2``.

    Attributes
    ----------
    name : str
        Short name of the data set.
    votes : (n_items, n_sources) int8 array, or {task: such an array}
        Class index each source votes for, -1 where it abstains.
    gold : (n_items,) int8 array, or {task: such an array}
        Class index that people gave the item; in a child task the last index is N/A.
    split : (n_items,) int8 array
        0 train, 1 validation, 2 test.
    source_names : tuple of str
        One name a source, in the order of the columns.
    classes : tuple of str or None
        Class names of the one task; None where there are several tasks.
    tasks : {task: tuple of class names} or None
        First argument of ``TaskGraph``, without the N/A that a child task gets; None for one task.
    parents : {child task: (parent task, class name)} or None
        Second argument of ``TaskGraph``; None for one task.
    texts : tuple of str or None
        The items themselves; None where only their votes ship.
    description : str
        What the items and the sources are.
    licence : str
        SPDX names of the licences.
    attribution : str
        Whom to name, and what was changed.
    """

    name: str
    votes: TablesT
    gold: TablesT
    split: Labels
    source_names: tuple[str, ...]
    classes: tuple[str, ...] | None
    tasks: dict[str, tuple[str, ...]] | None
    parents: dict[str, tuple[str, str]] | None
    texts: tuple[str, ...] | None
    description: str
    licence: str
    attribution: str

    def __repr__(self) -> str:
        """One line: name and sizes."""
        return f"DemoData({self.name!r}, n_items={len(self.split)}, n_sources={len(self.source_names)})"


def load_youtube() -> DemoData[Labels]:
    """Ten sources on 2056 comments, spam or not: one task.

    Returns
    -------
    DemoData
        ``votes`` (2056, 10), ``gold`` (2056,), ``classes`` ("HAM", "SPAM"). Every source votes for one class
        only.

    Examples
    --------
    >>> from consilience.datasets import load_youtube
    >>> data = load_youtube()
    >>> data.votes.shape, data.classes
    ((2056, 10), ('HAM', 'SPAM'))
    """
    arrays, about = _read("youtube_votes")
    return DemoData(
        votes=arrays["votes"],
        gold=arrays["gold"],
        classes=tuple(about["classes"]),
        tasks=None,
        parents=None,
        texts=None,
        **_common(arrays, about),
    )


def load_clinc() -> DemoData[dict[str, Labels]]:
    """Eighteen sources on 1950 queries to an assistant: a domain, and an intent within each of three domains.

    Returns
    -------
    DemoData
        ``votes`` and ``gold`` by task: "domain" and its three child tasks "banking_intent",
        "credit_cards_intent", "travel_intent" with five intents each, index 5 being N/A. A source leaves -1
        in the tasks it says nothing about, also where its vote on an intent implies the domain. ``texts``
        holds the queries.

    Examples
    --------
    >>> from consilience.datasets import load_clinc
    >>> data = load_clinc()
    >>> data.votes["domain"].shape, data.tasks["domain"]
    ((1950, 18), ('banking', 'credit_cards', 'travel'))
    >>> data.parents["travel_intent"]
    ('domain', 'travel')
    """
    arrays, about = _read("clinc_votes")
    tasks = {task: tuple(names) for task, names in about["tasks"].items()}
    return DemoData(
        votes={task: arrays[f"votes/{task}"] for task in tasks},
        gold={task: arrays[f"gold/{task}"] for task in tasks},
        classes=None,
        tasks=tasks,
        texts=tuple(arrays["texts"].tolist()),
        parents={child: (parent, value) for child, (parent, value) in about["parents"].items()},
        **_common(arrays, about),
    )


def _read(stem: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays of ``stem.npz`` and content of ``stem.json`` among the package's data."""
    folder = resources.files("consilience") / "data"
    about: dict[str, Any] = json.loads((folder / f"{stem}.json").read_text(encoding="utf-8"))
    with np.load(io.BytesIO((folder / f"{stem}.npz").read_bytes()), allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}, about


def _common(arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> dict[str, Any]:
    """Fields that do not depend on the number of tasks."""
    words = {key: about[key] for key in ("name", "description", "licence", "attribution")}
    return {"split": arrays["split"], "source_names": tuple(arrays["source_names"].tolist()), **words}
