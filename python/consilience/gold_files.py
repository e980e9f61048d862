"""Gold labels from files of the formats of votes, put in the order of the items that are voted on."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import FileFormatError, listed
from consilience.task_graph import ABSTAIN
from consilience.vote_files import read_votes

__all__ = ["read_gold_file"]


def read_gold_file(
    path: str | os.PathLike[str],
    n_items: int,
    ids: Sequence[Any] | None,
    classes: Mapping[str, Sequence[Hashable] | None],
) -> NDArray[np.int64] | dict[str, NDArray[np.int64]]:
    """Gold labels of the items of a file of votes, -1 where unknown, by task where the file names tasks.

    Parameters
    ----------
    path : path-like
        A file as :func:`consilience.vote_files.read_votes` takes it, with one column of labels, or one a
        task, named ``task:gold`` (whatever follows the colon is the same for all). Rows are matched by the
        ids of both files; without ids they are the items in their order.
    n_items : int
        Number of items.
    ids : sequence or None
        What names the items.
    classes : {task: names or None}
        Class names that the votes have, in the order of the indices; None where they have indices only.

    Returns
    -------
    (n_items,) int64 array, or {task: such an array}

    Raises
    ------
    FileFormatError
        If the file cannot be read, has other columns or rows, or names classes where votes have indices.
    OSError
        If it cannot be opened.
    """
    name = os.fspath(path)
    known = {task: list(names) for task, names in classes.items() if names is not None}
    found = read_votes(path, classes=known or None)
    tables = found["votes"] if isinstance(found["votes"], dict) else {"": found["votes"]}
    names = found["classes"] if isinstance(found["classes"], dict) else {"": found["classes"]}
    place = _places(name, len(next(iter(tables.values()))), found["ids"], n_items, ids)
    labels = {}
    for task, table in tables.items():
        if table.shape[1] != 1:
            raise FileFormatError(
                f"{name} has {table.shape[1]} columns of labels; give gold labels in one, or in one a task, "
                "named task:gold"
            )
        own = names[task]
        if not known and own is not None:
            raise FileFormatError(
                f"{name} holds class names, {listed(own)}, and the votes hold indices; name the classes, in "
                "the order of the indices"
            )
        labels[task] = np.where(place >= 0, table[place, 0], ABSTAIN).astype(np.int64)
    return labels.get("", labels)


def _places(
    name: str, n_rows: int, own: Sequence[Any] | None, n_items: int, ids: Sequence[Any] | None
) -> NDArray[np.int64]:
    """Row of each item in the file, (n_items,); -1 where there is none."""
    if own is None or ids is None:
        if n_rows != n_items:
            raise FileFormatError(
                f"{name} has {n_rows} rows for {n_items} items; give one an item, or give both files a first "
                "column 'item' that names them"
            )
        return np.arange(n_items)
    row_of: dict[str, int] = {}
    for row, item in enumerate(map(str, own)):
        if item in row_of:
            raise FileFormatError(f"{name} names the item {item!r} twice; give one label an item")
        row_of[item] = row
    place = np.array([row_of.get(str(item), -1) for item in ids], dtype=np.int64)
    if n_rows and not (place >= 0).any():
        raise FileFormatError(
            f"{name} has no item of the votes, whose first is {str(ids[0])!r}; give the same names to items"
        )
    return place
