"""What estimators share: the parameters of the constructor by name, as scikit-learn asks for them."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError, listed
from consilience.optional import require
from consilience.task_graph import ClassName, TaskGraph

__all__ = ["Estimator", "class_names"]

EstimatorT = TypeVar("EstimatorT", bound="Estimator")


class Estimator:
    """Base of classes whose constructor does nothing but store its arguments under their names."""

    _needs_labels = True  # whether fit asks for labels, or soft ones

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the constructor and their values."""
        estimator: Any = type(self)
        return {name: getattr(self, name) for name in _defaults(estimator)}

    def set_params(self: EstimatorT, **params: Any) -> EstimatorT:
        """Change parameters of the constructor.

        Raises
        ------
        InvalidArgumentError
            If a name is not one of them.
        """
        known = self.get_params()
        unknown = [name for name in params if name not in known]
        if unknown:
            raise InvalidArgumentError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {listed(known, 20)}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks about an estimator before it puts it in a pipeline or cross-validates it."""
        utils = require("sklearn.utils", install="consilience[sklearn]", purpose="__sklearn_tags__")
        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=self._needs_labels),
            classifier_tags=utils.ClassifierTags(),
            input_tags=utils.InputTags(sparse=True),
        )

    def __repr__(self) -> str:
        estimator: Any = type(self)
        defaults = _defaults(estimator)
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if not (
                value is defaults[name]
                or (isinstance(value, (str, int, float, tuple)) and value == defaults[name])
            )
        ]
        return f"{estimator.__name__}({', '.join(changed)})"


def class_names(graph: TaskGraph) -> NDArray[Any] | dict[str, list[ClassName]]:
    """What estimators keep as ``classes_``: for one task an array, as scikit-learn asks for; else by task."""
    if graph.n_tasks > 1:
        return graph.classes
    names = graph.classes[graph.tasks[0]]
    array = np.array(names)
    return array if array.tolist() == names else np.array(names, dtype=object)  # of names of several types


@cache
def _defaults(estimator: Any) -> dict[str, Any]:
    """Parameters of a constructor and what they are by default."""
    return {name: p.default for name, p in inspect.signature(estimator).parameters.items()}
