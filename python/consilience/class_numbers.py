"""Whether indices of classes look like something else: like names, as if counted from 1, or with gaps.

One rule for all that reads votes. How many classes there are is looked at only where it was read off the
largest vote: who says `n_classes`, `classes` or `task_graph`, to the model or to the votes, has said it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.chunks import Form
from consilience.exceptions import ConsilienceWarning, InvalidVotesError, listed, warn_caller
from consilience.task_graph import TaskGraph
from consilience.votes import Votes

__all__ = ["check_class_numbers"]

MANY_CLASSES = 1000
"""Classes, counted by the largest vote, from which on most of them must be voted for."""


def check_class_numbers(
    votes: Any,
    form: Form,
    graph: TaskGraph,
    voted_events: NDArray[np.int64],
    *,
    infers_classes: bool,
    named: NDArray[np.bool_] | None = None,
) -> None:
    """Warn where indices of the classes of a single task look like names of these, or leave some out.

    Parameters
    ----------
    votes
        As the caller gave them.
    form : Form
        What the caller says of their classes.
    graph : TaskGraph
        What the votes are about; several tasks are not looked at.
    voted_events : (q, t) int64 array
        Events that some source votes for, in all votes.
    infers_classes : bool
        Whether the votes themselves do not say how many classes there are.
    named : (K,) bool array, optional
        Classes that known labels name: these are there, whoever votes for them.

    Raises
    ------
    InvalidVotesError
        If very many classes were inferred, and nobody votes for most of them.
    """
    if graph.n_tasks > 1:
        return
    met = set(voted_events.ravel().tolist())
    if form.classes is not None and not isinstance(votes, Votes):
        _look_for_names(met, form.classes)
    says_nothing = form.n_classes is None and form.names() is None
    if infers_classes and says_nothing and _are_indices(graph):
        _look_for_gaps(met | (set() if named is None else set(np.flatnonzero(named).tolist())), graph)


def _are_indices(graph: TaskGraph) -> bool:
    (names,) = graph.classes.values()
    return names == list(range(len(names)))


def _look_for_names(met: set[int], names: Sequence[Hashable]) -> None:
    """Warn of votes that are all among the names of classes, which are other numbers than their indices."""
    are_numbers = all(type(name) is int for name in names)
    if are_numbers and list(names) != list(range(len(names))) and met and met <= set(names):
        warn_caller(
            f"votes are indices of classes, of which {listed(sorted(met))} occur; these are also names in "
            f"classes={list(names)}. If names are meant, give indices instead, "
            "or votes as strings with classes named by strings",
            ConsilienceWarning,
        )


def _look_for_gaps(met: set[int], graph: TaskGraph) -> None:
    """Warn of classes below the largest that nobody names; refuse where these are most of very many."""
    (k,) = graph.cardinalities
    gaps = sorted(set(range(k)) - met)
    if k <= 2 or not met or not gaps:
        return
    if gaps == [0]:
        warn_caller(
            f"no source ever votes for class 0, but for every other up to {k - 1}: are classes "
            "numbered from 1? Then take 1 off, but where -1 abstains; otherwise give n_classes",
            ConsilienceWarning,
        )
        return
    problem = (
        f"votes are indices of classes, the largest is {k - 1}, and no source votes for {listed(gaps, 5)}"
    )
    remedy = "number the classes 0, 1, 2, ..., or give n_classes if they are"
    if k > MANY_CLASSES and len(gaps) > k / 2:
        raise InvalidVotesError(f"{problem}; {remedy}")
    warn_caller(f"{problem}: {remedy}", ConsilienceWarning)
