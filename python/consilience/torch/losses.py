"""The expected loss under soft labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.torch.network import read_not_applicable

__all__ = ["ByTask", "noise_aware_loss", "what_items_count"]

ByTask: TypeAlias = Tensor | Mapping[str, Tensor]


def noise_aware_loss(
    logits: ByTask,
    soft_labels: ByTask,
    *,
    mask: ByTask | None = None,
    weights: ByTask | None = None,
    confidence_weights: bool = False,
    not_applicable: Mapping[str, int] | None = None,
) -> Tensor:
    """Cross-entropy in expectation under soft labels, averaged over items and tasks; a scalar tensor.

    With ``q`` the soft labels, ``p = softmax(logits)`` and ``w`` the weight of an item in a task, 1 by
    default and 0 where masked, it is ``sum w * -sum_v q(v) log p(v)`` over ``sum w``: for hard labels the
    ordinary cross-entropy. Both sums run over the pairs (item, task) of all tasks together. So pairs of
    equal weight have an equal say, and a task in which fewer items count has less of it than another: the
    loss is the mean of the tasks' own means only where all tasks have the same ``sum w``. Its gradient in
    the logits of a pair is ``w * (p - q)`` over ``sum w``.

    Parameters
    ----------
    logits : {task: (n, k_task) tensor}, or (n, k) tensor
        Scores before the softmax.
    soft_labels : {task: (n, k_task) tensor}, or (n, k) tensor
        Probabilities of the classes, rows sum to 1; not checked here. Same tasks as `logits`.
    mask : (n,) bool tensor, or {task: (n,) bool tensor}, optional
        Items that count, such as those with a vote.
    weights : (n,) tensor, or {task: (n,) tensor}, optional
        What each item counts, finite and not negative. A weight of 0 masks: what such an item holds there,
        NaN and infinite numbers too, is not looked at.
    confidence_weights : bool
        Multiply the weight of an item in a task by ``1 - H(q) / log k``: 1 for a hard label, 0 for a uniform
        one.
    not_applicable : {task: column}, optional
        In each task named, the class N/A is left to the tasks it depends on: the item weighs
        ``1 - q(N/A)`` there, and loss, softmax and confidence are over the other classes. By default N/A is
        a class like any other.

    Returns
    -------
    scalar tensor
        Not negative; 0 where nothing counts. In float32 at least, also under mixed precision.

    Raises
    ------
    InvalidArgumentError
        If tasks or shapes disagree, a weight that is not masked is negative or not finite, or
        `not_applicable` names a task or column that is not there.
    WrongTypeError
        If an argument is of another kind: an array where a tensor is due, a tensor where others are by task.

    References
    ----------
    Ratner et al. (2019), arXiv:1810.02840, eq. (6). The paper takes N/A as a class and leaves out
    ``confidence_weights``.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    >>> hard = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> noise_aware_loss(logits, hard) == torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
    tensor(True)
    """
    if not isinstance(confidence_weights, (bool, np.bool_)):
        raise WrongTypeError(f"confidence_weights must be True or False, got {confidence_weights!r}")
    scores_by_task, labels_by_task = _matched(logits, soft_labels)
    if not_applicable and not isinstance(logits, Mapping):
        raise WrongTypeError("not_applicable names tasks: give logits and soft_labels as {task: tensor} too")
    columns = read_not_applicable(
        not_applicable, {task: scores.shape[1] for task, scores in scores_by_task.items()}
    )
    weight_by_task = _item_weights(weights, mask, scores_by_task)
    losses, totals = [], []
    for task, scores in scores_by_task.items():
        column, labels = columns.get(task), labels_by_task[task].to(scores.dtype)
        scores = scores if column is None else _without(scores, column)
        labels, weight = _weighed(labels, weight_by_task[task], column, confidence_weights=confidence_weights)
        # 0 times an infinite loss would be NaN, here and in the gradient.
        scores = torch.where((weight != 0)[:, None], scores, 0)
        losses.append((weight * functional.cross_entropy(scores, labels, reduction="none")).sum())
        totals.append(weight.sum())
    total = torch.stack(totals).sum()
    return torch.stack(losses).sum() / torch.where(total > 0, total, 1)


def what_items_count(
    soft_labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    *,
    confidence_weights: bool,
    not_applicable: Mapping[str, int],
) -> Tensor:
    """Sum over the tasks of what each item weighs in :func:`noise_aware_loss`, (n,) float64 tensor.

    The loss of a batch times the sum over its items is a sum over these too: such sums make up that of all
    items. The arguments are those of the loss, in the form in which a dataset holds them.
    """
    total = torch.zeros(len(next(iter(weights.values()))), dtype=torch.float64)
    for task, labels in soft_labels.items():
        _, weight = _weighed(
            labels, weights[task], not_applicable.get(task), confidence_weights=confidence_weights
        )
        total += weight
    return total


def _weighed(
    labels: Tensor, weight: Tensor, not_applicable: int | None, *, confidence_weights: bool
) -> tuple[Tensor, Tensor]:
    """Soft labels of a task, without N/A where that is left to other tasks, and what each item weighs.

    Where an item does not count its labels are 0, whatever they were.
    """
    labels = torch.where((weight != 0)[:, None], labels, 0)
    if not_applicable is not None:
        labels = _without(labels, not_applicable)
        applies = labels.sum(dim=1)
        labels = labels / torch.where(applies > 0, applies, 1)[:, None]
        weight = weight * applies
    if confidence_weights:
        weight = weight * _confidence(labels)
    return labels, weight


def _matched(logits: ByTask, soft_labels: ByTask) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Logits, in float32 at least, and soft labels by task, of the same tasks and shapes."""
    if isinstance(logits, Mapping) != isinstance(soft_labels, Mapping):
        raise WrongTypeError(
            "logits and soft_labels must both be {task: tensor}, or both a tensor, got "
            f"{type(logits).__name__} and {type(soft_labels).__name__}"
        )
    scores = dict(logits) if isinstance(logits, Mapping) else {"": logits}
    labels = dict(soft_labels) if isinstance(soft_labels, Mapping) else {"": soft_labels}
    if scores.keys() != labels.keys() or not scores:
        raise InvalidArgumentError(
            f"logits are of the tasks {listed(scores)}, soft_labels of {listed(labels)}: give the same ones"
        )
    for task, of_task in scores.items():
        _check_tensor(of_task, "logits", task)
        _check_tensor(labels[task], "soft_labels", task)
        if of_task.ndim != 2 or of_task.shape != labels[task].shape:
            raise InvalidArgumentError(
                f"logits and soft_labels{_where(task)} must have one shape (n, k), got "
                f"{tuple(of_task.shape)} and {tuple(labels[task].shape)}"
            )
        if of_task.dtype != torch.float64:
            scores[task] = of_task.float()
    return scores, labels


def _check_tensor(values: object, argument: str, task: str) -> None:
    if not isinstance(values, Tensor):
        raise WrongTypeError(
            f"{argument}{_where(task)} must be a tensor, got {type(values).__name__}: "
            "torch.as_tensor makes one"
        )


def _where(task: str) -> str:
    """Where in a message: nowhere for a tensor that is of no named task."""
    return f" of task {task!r}" if task else ""


def _item_weights(
    weights: ByTask | None, mask: ByTask | None, scores_by_task: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What each item counts by mask and weights, {task: (n,)}; 0 where masked, whatever the weights hold."""
    result = {}
    for task, scores in scores_by_task.items():
        if weights is None:
            weight = scores.new_ones(len(scores))
        else:
            weight = _of_task(weights, task, "weights", len(scores))
            weight = weight.to(torch.promote_types(weight.dtype, scores.dtype))
        if mask is not None:
            kept = _of_task(mask, task, "mask", len(scores))
            if kept.dtype != torch.bool:
                raise WrongTypeError(f"mask must hold booleans, got {kept.dtype}; numbers are weights")
            weight = torch.where(kept, weight, 0)
        result[task] = weight
    if weights is not None:
        _check_weights(result)
    return result


def _check_weights(weight_by_task: Mapping[str, Tensor]) -> None:
    """Weights must be finite and not negative."""
    together = torch.cat(list(weight_by_task.values())).detach()  # a GPU then has to be waited for only once
    if not len(together):
        return
    least, most = torch.stack(together.aminmax()).tolist()  # both NaN where any is
    if least >= 0 and most < math.inf:
        return
    for task, weight in weight_by_task.items():
        for row, value in enumerate(weight.tolist()):
            if not 0 <= value < math.inf:
                raise InvalidArgumentError(
                    f"weights{_where(task)}, row {row}: must be finite and 0 or more, got {value}; "
                    "0 leaves an item out"
                )


def _of_task(given: ByTask, task: str, argument: str, n: int) -> Tensor:
    """Mask or weights of one task, (n,)."""
    if isinstance(given, Mapping) and task not in given:
        raise InvalidArgumentError(f"{argument}: the task {task!r} is missing, it has {listed(given)}")
    values = given[task] if isinstance(given, Mapping) else given
    _check_tensor(values, argument, task)
    if values.shape != (n,):
        raise InvalidArgumentError(f"{argument} must have shape ({n},), got {tuple(values.shape)}")
    return values


def _without(values: Tensor, column: int) -> Tensor:
    """All columns but one."""
    return torch.cat([values[:, :column], values[:, column + 1 :]], dim=1)


def _confidence(labels: Tensor) -> Tensor:
    """``1 - H(q) / log k`` of each row."""
    k = labels.shape[1]
    if k <= 1:
        return labels.new_ones(len(labels))
    return (1 + torch.xlogy(labels, labels).sum(dim=1) / math.log(k)).clamp(0, 1)
