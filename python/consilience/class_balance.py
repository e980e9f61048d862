"""How probable each feasible label vector is before any vote."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.arrays import as_array
from consilience.exceptions import InvalidArgumentError, WrongTypeError
from consilience.task_graph import TaskGraph

__all__ = ["ClassBalance", "read_class_balance"]

ClassBalance = str | ArrayLike | None


def read_class_balance(class_balance: ClassBalance, graph: TaskGraph) -> NDArray[np.float64]:
    """``P(Y)`` over the feasible set, (K,).

    Raises
    ------
    InvalidArgumentError
        If it has another length, is not positive, or does not sum to 1.
    WrongTypeError
        If it does not hold numbers.
    """
    k = graph.n_vectors
    if class_balance is None or (isinstance(class_balance, str) and class_balance == "uniform"):
        return np.full(k, 1 / k)
    if isinstance(class_balance, str):
        raise InvalidArgumentError(
            f'class_balance must be "uniform" or {k} probabilities, got {class_balance!r}'
        )
    balance = as_array(class_balance, "class_balance")
    if balance.dtype.kind not in "iuf":
        raise WrongTypeError(f"class_balance must hold numbers, got dtype {balance.dtype}")
    balance = balance.astype(np.float64)
    over = "classes" if graph.n_tasks == 1 else "feasible label vectors"
    if balance.shape != (k,):
        raise InvalidArgumentError(
            f"class_balance must have shape ({k},), one for each of the {over}, got {balance.shape}"
        )
    if not (np.isfinite(balance).all() and (balance > 0).all() and abs(balance.sum() - 1) < 1e-6):
        raise InvalidArgumentError(
            f"class_balance must be positive and sum to 1, got {balance.tolist()[:8]} with sum "
            f"{balance.sum():g}; leave out classes that never occur"
        )
    normalised: NDArray[np.float64] = balance / balance.sum()
    return normalised
