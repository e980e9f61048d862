"""What is asked of a label model: the parameters of its constructor, checked."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from consilience.accuracy_prior import Beliefs
from consilience.chunks import Form
from consilience.class_balance import ClassBalance, is_even, read_shares
from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.fitting import METHODS
from consilience.signs import Trusted
from consilience.task_graph import TaskGraph

__all__ = ["ABSTENTIONS", "Parameters"]

ABSTENTIONS = ("auto", "informative", "missing")

USE_ROWS = ("auto", "em")
"""Methods that look at rows of votes, not at their statistics alone."""

ARE_STRICT = ("moments", "completion")
"""Methods that refuse what they cannot determine."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """Parameters of ``LabelModel``, which says what each means; as far as they can be checked without votes.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If one is not of an allowed form, or two exclude each other.
    """

    n_classes: int | None
    classes: Sequence[Hashable] | None
    task_graph: TaskGraph | None
    class_balance: ClassBalance
    dependencies: Iterable[Sequence[int | str]] | str | None
    method: str
    abstentions: str
    random_state: int | np.random.Generator | None
    n_threads: int | None
    trusted: Trusted
    accuracy_prior: Beliefs
    ordered: bool | None

    @classmethod
    def of(cls, estimator: Any) -> Parameters:
        """Those that an estimator stores under their names."""
        return cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})

    def by_name(self) -> dict[str, Any]:
        """The parameters as the constructor takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __post_init__(self) -> None:
        given = [name for name in ("n_classes", "classes", "task_graph") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InvalidArgumentError(
                f"give at most one of n_classes, classes and task_graph, not {listed(given)}"
            )
        if self.task_graph is not None and not isinstance(self.task_graph, TaskGraph):
            raise WrongTypeError(f"task_graph must be a TaskGraph, got {type(self.task_graph).__name__}")
        if self.classes is not None and (
            isinstance(self.classes, str) or not isinstance(self.classes, (Sequence, np.ndarray))
        ):
            raise WrongTypeError(f"classes must be a sequence of names, got {self.classes!r}")
        if isinstance(self.dependencies, str) and self.dependencies != "learn":
            raise InvalidArgumentError(
                f'dependencies must be "learn" or a list of pairs of sources, got {self.dependencies!r}'
            )
        if self.class_balance is not None and not isinstance(self.class_balance, str):
            read_shares(self.class_balance)
        if self.accuracy_prior is not None and not self.uses_rows:
            raise InvalidArgumentError(
                f'accuracy_prior is taken up by "auto" and "em", not by method={self.method!r}; leave it out'
            )
        if not (self.ordered is None or isinstance(self.ordered, (bool, np.bool_))):
            raise WrongTypeError(f"ordered must be True, False or None, got {self.ordered!r}")
        if self.task_graph is not None:
            self.check_order(self.task_graph)
        if isinstance(self.trusted, Iterator):
            raise WrongTypeError(f"trusted must be a list of sources, got {type(self.trusted).__name__}")
        if isinstance(self.dependencies, Iterator):
            raise WrongTypeError(
                f"dependencies must be a list of pairs, got {type(self.dependencies).__name__}"
            )
        if self.method not in METHODS:
            raise InvalidArgumentError(f"method must be one of {listed(METHODS)}, got {self.method!r}")
        _check_random_state(self.random_state)
        if self.abstentions not in ABSTENTIONS:
            raise InvalidArgumentError(
                f"abstentions must be one of {listed(ABSTENTIONS)}, got {self.abstentions!r}"
            )

    def check_order(self, graph: TaskGraph) -> None:
        """Refuse several tasks whose classes are said to be ordered."""
        if self.ordered and len(graph.tasks) > 1:
            raise InvalidArgumentError(
                "ordered is about the classes of a single task; leave it out for several tasks"
            )

    def form(self, sources: tuple[str, ...] | None = None) -> Form:
        """What is known of votes before they are read."""
        return Form(self.n_classes, self.classes, self.task_graph, sources)

    @property
    def uses_rows(self) -> bool:
        """Whether the method looks at rows of votes, not at their statistics alone."""
        return self.method in USE_ROWS

    @property
    def keeps_rows(self) -> bool:
        """Whether the rows of votes in chunks are kept."""
        return self.uses_rows or self.learns_dependencies

    @property
    def is_strict(self) -> bool:
        """Whether dependent sources that cannot be counted together are an error."""
        return self.method in ARE_STRICT

    @property
    def given_dependencies(self) -> Any:
        """Pairs of sources, where they are given."""
        return None if isinstance(self.dependencies, str) else self.dependencies

    @property
    def learns_dependencies(self) -> bool:
        """Whether dependencies are looked for."""
        return isinstance(self.dependencies, str) and self.method != "majority"

    @property
    def counts_triples(self) -> bool:
        """Whether triples are counted with the pairs: where they tell the class balance, or the signs."""
        if self.method not in ARE_STRICT:
            return False
        if isinstance(self.class_balance, str):
            graph = self.task_graph
            k = self.n_classes if self.classes is None else len(self.classes)
            return (k if graph is None else graph.n_vectors) != 2
        return self.class_balance is None or not is_even(self.class_balance)


def _check_random_state(seed: Any) -> None:
    """Refuse what random numbers cannot begin from."""
    allowed = "give None, an int of at least 0, or numpy.random.default_rng(...)"
    if seed is None or isinstance(seed, np.random.Generator):
        return
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise WrongTypeError(f"random_state must be an int or a Generator, got {seed!r:.80}; {allowed}")
    if seed < 0:
        raise InvalidArgumentError(f"random_state must be at least 0, got {seed}; {allowed}")
