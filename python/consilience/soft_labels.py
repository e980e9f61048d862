"""Soft labels as training data: how sure they are, and rows with weights for any classifier."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.arrays import as_array
from consilience.exceptions import InvalidArgumentError, WrongTypeError

__all__ = ["WeightedLabels", "confidence_of", "expand_soft_labels", "read_soft_labels", "read_weights"]

_SUM_TOLERANCE = 1e-3  # what half precision leaves of a sum of 1


class WeightedLabels(NamedTuple):
    """Hard labels with weights that stand for soft ones; all arrays have one entry a pair of item and class.

    Attributes
    ----------
    rows : (q,) int64 array
        Index of the item, ascending.
    labels : (q,) int64 array
        Class index.
    weights : (q,) float64 array
        Positive; those of an item sum to its weight.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]


def expand_soft_labels(
    soft_labels: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    confidence_weights: bool = False,
    min_probability: float = 1e-3,
) -> WeightedLabels:
    """Soft labels as (row, class, weight), for any classifier whose ``fit`` takes ``sample_weight``.

    A classifier that minimises a weighted sum of losses then minimises the expected loss under the soft
    labels.

    Parameters
    ----------
    soft_labels : (n, k) float array
        Probabilities of the classes of one task, or of the vectors of a feasible set; rows sum to 1.
    mask : (n,) bool array, optional
        Items to keep, such as those with a vote: ``(votes != -1).any(axis=1)``. What the others hold is not
        looked at.
    weights : (n,) array, optional
        What each item counts; 1 by default. Items of weight 0 are dropped.
    confidence_weights : bool
        Multiply the weight of an item by ``1 - H(q) / log k``: 1 for a hard label, 0 for a uniform one.
    min_probability : float
        Classes below it are dropped and the others of the item scaled up to its weight; the most probable
        class always stays. 0 keeps all that are positive.

    Returns
    -------
    WeightedLabels
        ``rows, labels, weights``, sorted by row, then class.

    Raises
    ------
    InvalidArgumentError
        If shapes do not fit, or a row is not a distribution.
    WrongTypeError
        If an argument is of another kind, such as the soft labels of several tasks at once.

    References
    ----------
    Ratner et al. (2019), arXiv:1810.02840, eq. (6).

    Examples
    --------
    >>> rows, labels, weights = expand_soft_labels([[0.75, 0.25], [0.0, 1.0]])
    >>> rows.tolist(), labels.tolist(), weights.tolist()
    ([0, 0, 1], [0, 1, 1], [0.75, 0.25, 1.0])

    With scikit-learn: ``LogisticRegression().fit(X[rows], labels, sample_weight=weights)``.
    """
    if not isinstance(confidence_weights, (bool, np.bool_)):
        raise WrongTypeError(f"confidence_weights must be True or False, got {confidence_weights!r}")
    if isinstance(soft_labels, Mapping):
        raise WrongTypeError("soft_labels must be those of one task: give soft_labels[task], task after task")
    if not isinstance(min_probability, (Real, np.ndarray)) or not 0 <= min_probability < 1:
        raise InvalidArgumentError(f"min_probability must lie in [0, 1), got {min_probability!r}")
    values = as_array(soft_labels, "soft_labels")
    item_weights = read_weights(weights, mask, len(values) if values.ndim else 0)
    kept = item_weights > 0
    labels = read_soft_labels(values, "soft_labels", kept)
    if confidence_weights:
        item_weights = item_weights * confidence_of(labels)
    least = np.minimum(min_probability, labels.max(axis=1, initial=0))
    labels[labels < least[:, None]] = 0
    total = labels.sum(axis=1, where=kept[:, None])
    labels *= np.divide(item_weights, total, out=np.zeros_like(total), where=kept)[:, None]
    rows, columns = np.nonzero(labels)
    return WeightedLabels(rows, columns, labels[rows, columns])


def confidence_of(soft_labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 - H(q) / log k`` of each row: 1 for a hard label, 0 for a uniform one; (n,) in [0, 1].

    Examples
    --------
    >>> confidence_of(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [0.0, 1.0]
    """
    k = soft_labels.shape[1]
    if k == 1:
        return np.ones(len(soft_labels))
    logs = np.log(soft_labels, out=np.zeros_like(soft_labels), where=soft_labels > 0)
    entropy = -(soft_labels * logs).sum(axis=1)
    confidence: NDArray[np.float64] = np.clip(1 - entropy / np.log(k), 0, 1)
    return confidence


def read_soft_labels(soft_labels: ArrayLike, argument: str, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Own (n, k) float64 copy of soft labels; rows sum to 1 where `kept`, and are 0 elsewhere.

    Raises
    ------
    InvalidArgumentError
        If the shape is wrong, or a kept row is not a distribution; names the row.
    WrongTypeError
        If the values are not real numbers.
    """
    values = as_array(soft_labels, argument)
    if values.dtype.kind not in "fiub":
        raise WrongTypeError(f"{argument} must hold probabilities, got dtype {values.dtype}")
    if values.ndim != 2 or values.shape[1] < 1:
        raise InvalidArgumentError(
            f"{argument} must have one column a class, shape (n, k), got {values.shape}"
        )
    if len(values) != len(kept):
        raise InvalidArgumentError(f"{argument} must have {len(kept)} rows, one an item, got {len(values)}")
    labels = np.where(kept[:, None], values, 0).astype(np.float64)
    valid = (labels >= 0).all(axis=1) & (np.abs(labels.sum(axis=1) - kept) <= _SUM_TOLERANCE)
    if not valid.all():
        row = int(np.argmin(valid))
        found = np.array2string(labels[row], threshold=8, precision=4)
        raise InvalidArgumentError(
            f"{argument}, row {row}: must be probabilities that sum to 1, got {found}; mask items without any"
        )
    return labels


def read_weights(
    weights: ArrayLike | None, mask: ArrayLike | None, n: int, argument: str = "weights"
) -> NDArray[np.float64]:
    """What each of `n` items counts, (n,) float64: its weight, or 0 where the mask is False.

    Errors call the weights by the name of the `argument`.

    Raises
    ------
    InvalidArgumentError
        If a shape is wrong, or a weight is negative or not finite.
    WrongTypeError
        If the mask is not boolean, or the weights are not numbers.
    """
    result = np.ones(n)
    if weights is not None:
        given = as_array(weights, argument)
        if given.dtype.kind not in "fiub":
            raise WrongTypeError(f"{argument} must hold numbers, got dtype {given.dtype}")
        if given.shape != (n,):
            raise InvalidArgumentError(f"{argument} must have shape ({n},), one an item, got {given.shape}")
        result = given.astype(np.float64)
        valid = (result >= 0) & (result < np.inf)
        if not valid.all():
            row = int(np.argmin(valid))
            raise InvalidArgumentError(f"{argument}, row {row}: must be finite and >= 0, got {given[row]}")
    if mask is not None:
        wanted = as_array(mask, "mask")
        if wanted.dtype != np.bool_:
            raise WrongTypeError(f"mask must hold booleans, got dtype {wanted.dtype}: True keeps an item")
        if wanted.shape != (n,):
            raise InvalidArgumentError(f"mask must have shape ({n},), one an item, got {wanted.shape}")
        result = result * wanted
    return result
