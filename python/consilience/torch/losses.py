"""The expected loss under soft labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed

__all__ = ["ByTask", "noise_aware_loss"]

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

    With ``q`` the soft labels and ``p = softmax(logits)`` it is the mean of ``-sum_v q(v) log p(v)``: for
    hard labels the ordinary cross-entropy. Its gradient in the logits of an item and task is ``p - q``,
    divided by their number.

    Parameters
    ----------
    logits : {task: (n, k_task) tensor}, or (n, k) tensor
        Scores before the softmax.
    soft_labels : {task: (n, k_task) tensor}, or (n, k) tensor
        Probabilities of the classes, rows sum to 1; not checked here. Same tasks as `logits`.
    mask : (n,) bool tensor, or {task: (n,) bool tensor}, optional
        Items that count, such as those with a vote.
    weights : (n,) tensor, or {task: (n,) tensor}, optional
        What each item counts, not negative; the mean is a weighted one. A weight of 0 masks.
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
        If tasks or shapes disagree.
    WrongTypeError
        If some arguments are tensors and others mappings where they must agree.

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
    scores_by_task, labels_by_task = _matched(logits, soft_labels)
    losses, totals = [], []
    for task, scores in scores_by_task.items():
        scores = scores if scores.dtype == torch.float64 else scores.float()
        labels = labels_by_task[task].to(scores.dtype)
        weight = torch.ones_like(scores[:, 0])
        if weights is not None:
            weight = weight * _of_task(weights, task, "weights", len(scores))
        if mask is not None:
            kept = _of_task(mask, task, "mask", len(scores))
            if kept.dtype != torch.bool:
                raise WrongTypeError(f"mask must hold booleans, got {kept.dtype}; numbers are weights")
            weight, labels = weight * kept, torch.where(kept[:, None], labels, 0)  # whatever the others hold
        column = (not_applicable or {}).get(task)
        if column is not None:
            scores, labels = _without(scores, column), _without(labels, column)
            applies = labels.sum(dim=1)
            labels = labels / torch.where(applies > 0, applies, 1)[:, None]
            weight = weight * applies
        if confidence_weights:
            weight = weight * _confidence(labels)
        losses.append((weight * functional.cross_entropy(scores, labels, reduction="none")).sum())
        totals.append(weight.sum())
    total = torch.stack(totals).sum()
    return torch.stack(losses).sum() / torch.where(total > 0, total, 1)


def _matched(logits: ByTask, soft_labels: ByTask) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Logits and soft labels by task, of the same tasks and shapes."""
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
        if of_task.ndim != 2 or of_task.shape != labels[task].shape:
            where = f" of task {task!r}" if task else ""
            raise InvalidArgumentError(
                f"logits and soft_labels{where} must have one shape (n, k), got {tuple(of_task.shape)} and "
                f"{tuple(labels[task].shape)}"
            )
    return scores, labels


def _of_task(given: ByTask, task: str, argument: str, n: int) -> Tensor:
    """Mask or weights of one task, (n,)."""
    if isinstance(given, Mapping) and task not in given:
        raise InvalidArgumentError(f"{argument}: the task {task!r} is missing, it has {listed(given)}")
    values = given[task] if isinstance(given, Mapping) else given
    if values.shape != (n,):
        raise InvalidArgumentError(f"{argument} must have shape ({n},), got {tuple(values.shape)}")
    return values


def _without(values: Tensor, column: int) -> Tensor:
    """All columns but one."""
    return torch.cat([values[:, :column], values[:, column + 1 :]], dim=1)


def _confidence(labels: Tensor) -> Tensor:
    """``1 - H(q) / log k`` of each row."""
    k = labels.shape[1]
    if k == 1:
        return torch.ones_like(labels[:, 0])
    return (1 + torch.xlogy(labels, labels).sum(dim=1) / math.log(k)).clamp(0, 1)
