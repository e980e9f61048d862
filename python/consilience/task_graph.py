"""Tasks, the logic between them, and the label vectors which that logic allows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.arrays import as_array
from consilience.exceptions import (
    ConsilienceError,
    FileFormatError,
    InvalidArgumentError,
    WrongTypeError,
    listed,
)

__all__ = ["ABSTAIN", "MAX_VECTORS", "NOT_APPLICABLE", "ClassName", "TaskGraph"]

ABSTAIN = -1
"""The vote of a source that says nothing."""

NOT_APPLICABLE = "N/A"
"""Last class of a child task: the value it takes where its parents rule it out."""

MAX_VECTORS = 100_000
"""Most label vectors a task graph may allow; beyond it every event mask and table is too large."""

ClassName: TypeAlias = str | int | float
Condition: TypeAlias = tuple[str, ClassName | Collection[ClassName]]
Predicate: TypeAlias = Callable[[dict[str, ClassName]], bool]
Classes: TypeAlias = dict[str, tuple[ClassName, ...]]
Requirement: TypeAlias = tuple[str, tuple[ClassName, ...]]  # a parent, and the values it must have
Conditions: TypeAlias = dict[str, tuple[Requirement, ...]]


class TaskGraph:
    """Tasks with their classes, and the feasible set: the label vectors their logic allows.

    Parameters
    ----------
    tasks : mapping of str to sequence of class names, or to int
        The classes of each task, in order; an int ``k`` stands for the classes ``0..k-1``.
    parents : mapping, optional
        ``{child: (parent, value)}``, ``{child: (parent, [values])}`` or ``{child: [(parent, value), ...]}``,
        where all conditions of the list must hold; values are class names of the parent. The child gets its
        own last class ``"N/A"``, and ``y[child] != "N/A"`` exactly where its conditions hold. Any depth,
        several parents, no cycles.
    feasible : (K, t) int array or callable, optional
        Any other logic: the feasible label vectors themselves, as class indices in any order (repeats count
        once), or a predicate on ``{task: class name}`` that is asked about every combination. Not together
        with `parents`. With neither, every combination is feasible.

    Attributes
    ----------
    tasks : tuple of str
        Names, in the order given; ``t`` of them.
    classes : dict of str to list
        Class names of each task, with the ``"N/A"`` of child tasks.
    cardinalities : tuple of int
        Number of classes of each task.
    parents : dict or None
        ``{child: ((parent, (value, ...)), ...)}``, None where no hierarchy was given.
    feasible_set : (K, t) int64 array
        Feasible label vectors as class indices, one a row, in lexicographic order; read-only.

    Raises
    ------
    InvalidArgumentError
        If names repeat or are unknown, a child has a class ``"N/A"`` of its own or can never apply, parents
        form a cycle, `feasible` allows nothing or lies out of range, or more than ``MAX_VECTORS`` vectors are
        allowed.
    WrongTypeError
        If an argument is of another kind than the above.

    Examples
    --------
    >>> graph = TaskGraph(
    ...     {
    ...         "kind": ["person", "org"],
    ...         "person_type": ["doctor", "lawyer"],
    ...         "org_type": ["hospital", "office"],
    ...     },
    ...     parents={"person_type": ("kind", "person"), "org_type": ("kind", "org")},
    ... )
    >>> graph.classes["person_type"]
    ['doctor', 'lawyer', 'N/A']
    >>> graph.feasible_set.tolist()
    [[0, 0, 2], [0, 1, 2], [1, 2, 0], [1, 2, 1]]
    """

    _classes: Classes
    _parents: Conditions | None
    _feasible_set: NDArray[np.int64]

    def __init__(
        self,
        tasks: Mapping[str, Sequence[ClassName] | int],
        parents: Mapping[str, Condition | Sequence[Condition]] | None = None,
        feasible: ArrayLike | Predicate | None = None,
    ) -> None:
        if parents is not None and feasible is not None:
            raise InvalidArgumentError("give parents or feasible, not both: feasible can hold all the logic")
        classes = _read_tasks(tasks)
        conditions = _read_parents(parents, classes)
        if callable(feasible):
            vectors = _filter_by_predicate(classes, feasible)
        elif feasible is not None:
            vectors = _read_feasible_set(classes, feasible)
        else:
            vectors = _enumerate(classes, conditions)
        self._assign(classes, conditions or None, vectors)

    @classmethod
    def single(cls, classes: Sequence[ClassName] | int, task: str = "label") -> TaskGraph:
        """Graph of one task, in which every class is feasible.

        Parameters
        ----------
        classes : sequence of class names, or int
            Strings or numbers, in order; an int ``k`` stands for ``0..k-1``.
        task : str
            Name of the task.
        """
        return cls({task: classes})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskGraph:
        """Graph that :meth:`to_json` described.

        Raises
        ------
        FileFormatError
            If `data` does not describe a task graph.
        """
        try:
            classes = {task: data["classes"][task] for task in data["tasks"]}
            graph = cls(classes, feasible=data["feasible_set"])
            parents = data["parents"]
            if parents is not None:
                graph._parents = {
                    child: _read_conditions(child, pairs, graph._classes) for child, pairs in parents.items()
                }
        except (AttributeError, KeyError, TypeError, ConsilienceError) as error:
            raise FileFormatError(f"not the description of a task graph: {error}") from error
        return graph

    def to_json(self) -> dict[str, Any]:
        """Plain lists and scalars under ``tasks``, ``classes``, ``parents`` (or None), ``feasible_set``."""
        parents = None
        if self._parents is not None:
            parents = {
                child: [[parent, list(values)] for parent, values in pairs]
                for child, pairs in self._parents.items()
            }
        return {
            "tasks": list(self.tasks),
            "classes": self.classes,
            "parents": parents,
            "feasible_set": self._feasible_set.tolist(),
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order given."""
        return tuple(self._classes)

    @property
    def classes(self) -> dict[str, list[ClassName]]:
        """Class names of each task, in order: ``{task: [name, ...]}``; a fresh dict at each call."""
        return {task: list(names) for task, names in self._classes.items()}

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """Number of classes of each task."""
        return tuple(len(names) for names in self._classes.values())

    @property
    def n_tasks(self) -> int:
        """Number of tasks, ``t``."""
        return len(self._classes)

    @property
    def parents(self) -> Conditions | None:
        """Conditions of each child, ``{child: ((parent, (value, ...)), ...)}``; None without a hierarchy."""
        return None if self._parents is None else dict(self._parents)

    @property
    def feasible_set(self) -> NDArray[np.int64]:
        """Feasible label vectors, (K, t) class indices in lexicographic order; read-only."""
        return self._feasible_set

    @property
    def n_vectors(self) -> int:
        """Number of feasible label vectors, ``K``."""
        return len(self._feasible_set)

    def event_masks(self, vote_vectors: ArrayLike) -> NDArray[np.bool_]:
        """Events of vote vectors: the feasible label vectors that agree with every vote.

        Parameters
        ----------
        vote_vectors : (q, t) int array
            One vote a task, ``-1`` for none.

        Returns
        -------
        (q, K) bool array
            ``A(lambda) = {y : lambda_r = -1 or lambda_r = y_r for all r}``; a row of only False is an
            infeasible vote.

        Raises
        ------
        InvalidArgumentError
            If the shape is wrong or a vote lies outside ``-1..k_r-1``.
        WrongTypeError
            If the votes are not integers.
        """
        votes = _read_label_vectors(vote_vectors, "vote_vectors", self._classes, lowest=ABSTAIN)
        masks = np.ones((len(votes), self.n_vectors), dtype=np.bool_)
        for r in range(self.n_tasks):
            vote = votes[:, r, None]
            masks &= (vote == ABSTAIN) | (vote == self._feasible_set[:, r])
        return masks

    def implied(self, masks: ArrayLike) -> NDArray[np.int64]:
        """Canonical vote vectors of events: for each task the class that all vectors of the event share.

        Parameters
        ----------
        masks : (q, K) bool array
            Events as rows.

        Returns
        -------
        (q, t) int64 array
            ``-1`` where the vectors of the event differ, and everywhere for the empty event. For the event of
            any feasible vote vector, ``event_masks(implied(masks))`` gives `masks` back.

        Raises
        ------
        InvalidArgumentError
            If the shape is wrong.
        WrongTypeError
            If `masks` is not boolean.
        """
        events = as_array(masks, "masks")
        if events.dtype != np.bool_:
            raise WrongTypeError(f"masks must be an array of bool, got dtype {events.dtype}: see event_masks")
        if events.ndim != 2 or events.shape[1] != self.n_vectors:
            raise InvalidArgumentError(f"masks must have shape (q, {self.n_vectors}), got {events.shape}")
        votes = np.full((len(events), self.n_tasks), ABSTAIN, dtype=np.int64)
        for r in range(self.n_tasks):
            occurs = events @ self._members(r)
            votes[:, r] = np.where(occurs.sum(axis=1) == 1, occurs.argmax(axis=1), ABSTAIN)
        return votes

    def marginal(self, joint: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Values over the feasible set summed to values over the classes of each task.

        Parameters
        ----------
        joint : (n, K) float array
            For example ``P(Y = y)`` of each item over the feasible set.

        Returns
        -------
        dict of str to (n, k_t) float64 array
            ``P(Y_r = v) = sum of P(y) over y with y_r = v``, under the name of each task.

        Raises
        ------
        InvalidArgumentError
            If the shape is wrong or a value is not finite.
        WrongTypeError
            If the values are not numbers.
        """
        values = as_array(joint, "joint")
        if values.dtype.kind not in "fiu":
            raise WrongTypeError(f"joint must hold numbers, got dtype {values.dtype}")
        if values.ndim != 2 or values.shape[1] != self.n_vectors:
            raise InvalidArgumentError(f"joint must have shape (n, {self.n_vectors}), got {values.shape}")
        if not np.isfinite(values.sum()):
            row = int(np.argmin(np.isfinite(values).all(axis=1)))
            raise InvalidArgumentError(f"joint, row {row}: values must be finite, got {values[row].tolist()}")
        result = {}
        for r, (task, names) in enumerate(self._classes.items()):
            # Column after column, so that the bits of a row do not depend on the rows that come with it.
            result[task] = np.zeros((len(values), len(names)))
            for y, label in enumerate(self._feasible_set[:, r]):
                result[task][:, label] += values[:, y]
        return result

    def project(self, tasks: Sequence[str]) -> TaskGraph:
        """Graph of some of the tasks, whose feasible set holds the distinct restrictions of this one's.

        A child task keeps its class ``"N/A"``; `parents` keeps the children whose parents are all among
        `tasks`.

        Parameters
        ----------
        tasks : sequence of str
            Names of tasks of this graph, each once, in the order wanted.

        Raises
        ------
        InvalidArgumentError
            If there is none, or one is unknown or repeated.
        WrongTypeError
            If `tasks` is a single string.
        """
        if isinstance(tasks, str):
            raise WrongTypeError(f"tasks must be a list of names, got a string: pass [{tasks!r}]")
        for task in tasks:
            _check_known(task, self._classes, "tasks")
        if not tasks or len(set(tasks)) < len(tasks):
            raise InvalidArgumentError(f"tasks must name at least one task, each once, got {listed(tasks)}")
        parents = {
            child: conditions
            for child, conditions in (self._parents or {}).items()
            if child in tasks and all(parent in tasks for parent, _ in conditions)
        }
        columns = [self.tasks.index(task) for task in tasks]
        graph = TaskGraph.__new__(TaskGraph)
        graph._assign(
            {task: self._classes[task] for task in tasks},
            parents or None,
            np.unique(self._feasible_set[:, columns], axis=0),
        )
        return graph

    def _assign(self, classes: Classes, parents: Conditions | None, feasible_set: NDArray[np.int64]) -> None:
        self._classes = classes
        self._parents = parents
        self._feasible_set = np.ascontiguousarray(feasible_set)
        self._feasible_set.flags.writeable = False

    def _members(self, r: int) -> NDArray[np.bool_]:
        """(K, k_r) mask: which feasible vectors give task `r` which class."""
        members: NDArray[np.bool_] = self._feasible_set[:, r, None] == np.arange(self.cardinalities[r])
        return members

    def __eq__(self, other: object) -> bool:
        """Whether both have the same tasks, classes and feasible set, in the same order."""
        if not isinstance(other, TaskGraph):
            return NotImplemented
        return list(self._classes.items()) == list(other._classes.items()) and np.array_equal(
            self._feasible_set, other._feasible_set
        )

    def __hash__(self) -> int:
        return hash((tuple(self._classes.items()), self._feasible_set.tobytes()))

    def __repr__(self) -> str:
        shown = [f"{task}: {len(names)}" for task, names in itertools.islice(self._classes.items(), 5)]
        if self.n_tasks > len(shown):
            shown.append(f"... {self.n_tasks} tasks")
        return f"TaskGraph({', '.join(shown)}; {self.n_vectors} feasible)"

    def __reduce__(self) -> tuple[Callable[[Mapping[str, Any]], TaskGraph], tuple[dict[str, Any]]]:
        return TaskGraph.from_json, (self.to_json(),)  # numpy would forget that the array is read-only


def _read_tasks(tasks: Mapping[str, Sequence[ClassName] | int]) -> Classes:
    """Class names of each task as tuples, checked."""
    if not isinstance(tasks, Mapping):
        raise WrongTypeError(f"tasks must be a dict {{name: classes}}, got {type(tasks).__name__}")
    if not tasks:
        raise InvalidArgumentError("tasks is empty: name at least one task and its classes")
    for task in tasks:
        if not isinstance(task, str):
            raise WrongTypeError(f"tasks: a name must be a string, got {task!r}")
    return {str(task): _read_classes(task, classes) for task, classes in tasks.items()}


def _read_classes(task: str, classes: object) -> tuple[ClassName, ...]:
    """Class names of one task as a tuple, checked."""
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        if classes > MAX_VECTORS:
            raise InvalidArgumentError(
                f"tasks: {task!r} has {classes} classes; at most {MAX_VECTORS} are supported"
            )
        classes = range(int(classes))
    if isinstance(classes, (str, bytes)) or not isinstance(classes, (Sequence, np.ndarray)):
        raise WrongTypeError(f"tasks: classes of {task!r} must be a list or their number, got {classes!r}")
    names = tuple(name.item() if isinstance(name, np.generic) else name for name in classes)
    if not names:
        raise InvalidArgumentError(f"tasks: {task!r} has no classes; give at least one")
    for name in names:
        if not isinstance(name, (str, int, float)):
            raise WrongTypeError(f"tasks: a class of {task!r} must be a string or a number, got {name!r}")
        if isinstance(name, float) and not math.isfinite(name):
            raise InvalidArgumentError(f"tasks: a class of {task!r} must be finite, got {name!r}")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidArgumentError(f"tasks: {task!r} has the class {repeated!r} twice; rename one")
    return names


def _read_parents(parents: object, classes: Classes) -> Conditions:
    """Conditions of each child, checked; gives each child in `classes` its last class ``"N/A"``."""
    if parents is None:
        return {}
    if not isinstance(parents, Mapping):
        raise WrongTypeError(f"parents must be {{child: (parent, value)}}, got {type(parents).__name__}")
    for child in parents:
        _check_known(child, classes, "parents")
        if NOT_APPLICABLE in classes[child]:
            raise InvalidArgumentError(
                f"parents: the child task {child!r} has a class {NOT_APPLICABLE!r} already, which every "
                "child is given; leave it out or rename it"
            )
        classes[child] += (NOT_APPLICABLE,)
    return {child: _read_conditions(child, spec, classes) for child, spec in parents.items()}


def _read_conditions(child: str, spec: object, classes: Classes) -> tuple[Requirement, ...]:
    """Conditions of one child as ``((parent, (value, ...)), ...)``, checked."""
    _check_known(child, classes, "parents")
    if not isinstance(spec, Sequence) or isinstance(spec, str) or not spec:
        _reject_condition(child, spec)
    conditions = []
    for pair in [spec] if isinstance(spec[0], str) else spec:
        if not isinstance(pair, Sequence) or len(pair) != 2 or not isinstance(pair[0], str):
            _reject_condition(child, pair)
        parent, wanted = pair
        _check_known(parent, classes, f"parents of {child!r}")
        several = isinstance(wanted, (Collection, np.ndarray)) and not isinstance(wanted, str)
        indices = set()
        for value in wanted if several else [wanted]:
            if value not in classes[parent]:
                raise InvalidArgumentError(
                    f"parents of {child!r}: {parent!r} has no class {value!r}, only {listed(classes[parent])}"
                )
            indices.add(classes[parent].index(value))
        if not indices:
            raise InvalidArgumentError(f"parents of {child!r}: name at least one value of {parent!r}")
        conditions.append((parent, tuple(classes[parent][v] for v in sorted(indices))))
    return tuple(conditions)


def _check_known(task: str, classes: Classes, argument: str) -> None:
    if task not in classes:
        raise InvalidArgumentError(f"{argument}: unknown task {task!r}; the tasks are {listed(classes)}")


def _reject_condition(child: str, found: object) -> NoReturn:
    raise WrongTypeError(
        f"parents of {child!r} must be (parent, value), (parent, [values]) or a list of these, got {found!r}"
    )


def _read_label_vectors(values: ArrayLike, argument: str, classes: Classes, lowest: int) -> NDArray[np.int64]:
    """(q, t) int64 array of class indices from `lowest` on, checked."""
    vectors = as_array(values, argument)
    if vectors.ndim != 2 or vectors.shape[1] != len(classes):
        raise InvalidArgumentError(
            f"{argument} must have one column a task, shape (q, {len(classes)}), got shape {vectors.shape}"
        )
    if vectors.size and vectors.dtype.kind not in "iu":
        raise WrongTypeError(f"{argument} must hold integers, got dtype {vectors.dtype}: give class indices")
    cardinalities = np.array([len(names) for names in classes.values()])
    outside = (vectors < lowest) | (vectors >= cardinalities)
    if outside.any():
        row, r = np.argwhere(outside)[0].tolist()
        raise InvalidArgumentError(
            f"{argument}, row {row}, task {list(classes)[r]!r}: must lie in "
            f"{lowest}..{cardinalities[r] - 1}, got {vectors[row, r]}"
        )
    return vectors.astype(np.int64)


def _read_feasible_set(classes: Classes, feasible: ArrayLike) -> NDArray[np.int64]:
    """Distinct rows of a feasible set the user gave, in lexicographic order."""
    vectors = np.unique(_read_label_vectors(feasible, "feasible", classes, lowest=0), axis=0)
    if not len(vectors):
        raise InvalidArgumentError("feasible holds no label vector: give at least one")
    _check_size(len(vectors), classes)
    return vectors


def _filter_by_predicate(classes: Classes, feasible: Predicate) -> NDArray[np.int64]:
    """All combinations that the predicate accepts, in lexicographic order."""
    _check_size(math.prod(len(names) for names in classes.values()), classes)
    vectors = [
        [index for index, _ in choice]
        for choice in itertools.product(*(enumerate(names) for names in classes.values()))
        if feasible({task: name for task, (_, name) in zip(classes, choice, strict=True)})
    ]
    if not vectors:
        raise InvalidArgumentError(f"feasible accepts no combination of the classes of {listed(classes)}")
    return np.array(vectors, dtype=np.int64)


def _enumerate(classes: Classes, conditions: Conditions) -> NDArray[np.int64]:
    """Feasible set of a hierarchy: partial vectors are extended task by task, parents first."""
    column = {task: r for r, task in enumerate(classes)}
    vectors = np.zeros((1, len(classes)), dtype=np.int64)
    for task in _parents_first(classes, conditions):
        applies = np.ones(len(vectors), dtype=np.bool_)
        for parent, values in conditions.get(task, ()):
            applies &= np.isin(vectors[:, column[parent]], [classes[parent].index(value) for value in values])
        if not applies.any():
            raise InvalidArgumentError(f"parents of {task!r}: its conditions never hold together")
        last = len(classes[task]) - 1
        n_choices = np.where(applies, last if task in conditions else last + 1, 1)
        _check_size(int(n_choices.sum()), classes)
        start = np.cumsum(n_choices) - n_choices
        choice = np.arange(n_choices.sum()) - np.repeat(start, n_choices)  # 0, 1, ... for each vector
        vectors = np.repeat(vectors, n_choices, axis=0)
        vectors[:, column[task]] = np.where(np.repeat(applies, n_choices), choice, last)
    return vectors[np.lexsort(vectors.T[::-1])]


def _parents_first(classes: Classes, conditions: Conditions) -> list[str]:
    """Tasks in an order in which parents come before their children."""
    before = {task: [parent for parent, _ in conditions.get(task, ())] for task in classes}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        cycle = " -> ".join(repr(task) for task in error.args[1])
        raise InvalidArgumentError(f"parents form a cycle, {cycle}: drop one") from error


def _check_size(n_vectors: int, classes: Classes) -> None:
    if n_vectors > MAX_VECTORS:
        raise InvalidArgumentError(
            f"the tasks {listed(classes)} have {n_vectors} combinations or more, over {MAX_VECTORS}: "
            "rule some out with parents, list the feasible ones in feasible, or fit groups of tasks apart"
        )
