"""The network: a trunk, layers that all tasks share, and one head a task; and how its heads are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.task_graph import TaskGraph
from consilience.torch.trunks import Trunk, layers

__all__ = [
    "MultiTaskNetwork",
    "apply_trunk",
    "is_unrelated",
    "joint_probabilities",
    "not_applicable_columns",
    "read_not_applicable",
    "task_probabilities",
]


class MultiTaskNetwork(nn.Module):
    """Scores of the classes of every task of a graph, from one trunk.

    Parameters
    ----------
    task_graph : TaskGraph
        Lays out the heads: one a task, as wide as it has classes.
    trunk : torch module
        From a batch of features to (n, width) vectors.
    width : int, optional
        That width; by default ``trunk.out_features``.
    hidden_sizes : sequence of int
        Sizes of the linear layers between the trunk and the heads, shared by all tasks.
    dropout : float
        Share of those layers' values that are left out in training.
    not_applicable : {task: column}, optional
        Tasks whose head leaves N/A to the tasks they depend on; kept for :func:`noise_aware_loss` and
        :func:`joint_probabilities`, which take it under this name.

    Examples
    --------
    >>> graph = TaskGraph({"colour": ["red", "blue"], "size": 3})
    >>> network = MultiTaskNetwork(graph, nn.Linear(5, 8))
    >>> {task: tuple(logits.shape) for task, logits in network(torch.zeros(4, 5)).items()}
    {'colour': (4, 2), 'size': (4, 3)}
    """

    def __init__(
        self,
        task_graph: TaskGraph,
        trunk: nn.Module,
        *,
        width: int | None = None,
        hidden_sizes: Sequence[int] = (),
        dropout: float = 0.0,
        not_applicable: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        if width is None:
            width = getattr(trunk, "out_features", None)
        if not isinstance(width, int):
            raise WrongTypeError("width must be given: the trunk has no out_features")
        self.task_graph = task_graph
        self.not_applicable = read_not_applicable(not_applicable, _n_classes(task_graph))
        self.trunk = trunk
        self.shared, width = layers(width, hidden_sizes, dropout)
        self.heads = nn.Linear(width, sum(task_graph.cardinalities))  # side by side: one product for all

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """Logits by task, ``{task: (n, k_task)}``."""
        logits = self.heads(self.shared(apply_trunk(self.trunk, features)))
        return dict(
            zip(self.task_graph.tasks, logits.split(self.task_graph.cardinalities, dim=1), strict=True)
        )

    def reset_parameters(self) -> None:
        """Draw the weights anew: all but embeddings that were given and trunks of other packages."""
        if isinstance(self.trunk, Trunk):
            self.trunk.reset_parameters()
        for layer in (*self.shared, self.heads):
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()


def apply_trunk(trunk: nn.Module, features: Tensor) -> Any:
    """What the trunk gives for a batch, which is made dense where the trunk reads no sparse tensors."""
    if features.is_sparse and not getattr(trunk, "takes_sparse", False):
        features = features.to_dense()
    return trunk(features)


def not_applicable_columns(task_graph: TaskGraph) -> dict[str, int]:
    """Column of N/A in each child task of a hierarchy, ``{task: column}``."""
    return {child: len(task_graph.classes[child]) - 1 for child in task_graph.parents or {}}


def read_not_applicable(
    not_applicable: Mapping[str, int] | None, n_classes: Mapping[str, int]
) -> dict[str, int]:
    """Column of N/A by task, checked against the number of classes of each task.

    Raises
    ------
    InvalidArgumentError
        If a task is unknown, or a column out of its range; names both.
    WrongTypeError
        If it is no mapping to whole numbers.
    """
    if not_applicable is None:
        return {}
    if not isinstance(not_applicable, Mapping):
        raise WrongTypeError(f"not_applicable must be {{task: column}}, got {type(not_applicable).__name__}")
    result: dict[str, int] = {}
    for task, column in not_applicable.items():
        if task not in n_classes:
            raise InvalidArgumentError(
                f"not_applicable names the task {task!r}: it must be one of {listed(n_classes)}"
            )
        if not isinstance(column, Integral) or isinstance(column, bool):
            raise WrongTypeError(f"not_applicable of task {task!r} must be a column index, got {column!r}")
        if not 0 <= column < n_classes[task]:
            raise InvalidArgumentError(
                f"not_applicable of task {task!r} must be a column in 0..{n_classes[task] - 1}, got {column}"
            )
        result[task] = int(column)
    return result


def _n_classes(task_graph: TaskGraph) -> dict[str, int]:
    return dict(zip(task_graph.tasks, task_graph.cardinalities, strict=True))


def joint_probabilities(
    logits: Mapping[str, Tensor], task_graph: TaskGraph, *, not_applicable: Mapping[str, int] | None = None
) -> Tensor:
    """Product of the heads over the feasible set, normalised: (n, K) float64 tensor, rows sum to 1.

    ``P(y) ~ prod_task softmax(logits[task])[y_task]`` for every feasible label vector ``y``; what the heads
    say together that no vector allows is left out.

    Parameters
    ----------
    logits : {task: (n, k_task) tensor}
        Scores of the heads.
    task_graph : TaskGraph
        Gives the vectors, in the order of ``task_graph.feasible_set``.
    not_applicable : {task: column}, optional
        As given to :func:`noise_aware_loss`: in these tasks the head speaks only about the other classes, and
        the column counts as 1. In a tree the product is then that of a class and of its refinement given it.
    """
    columns = read_not_applicable(not_applicable, _n_classes(task_graph))
    vectors = torch.as_tensor(task_graph.feasible_set.copy())
    scores = torch.zeros(())
    for r, task in enumerate(task_graph.tasks):
        of_task = _log_probabilities(logits[task], columns.get(task))
        scores = scores.to(of_task) + of_task[:, vectors[:, r].to(of_task.device)]
    return torch.softmax(scores, dim=1)


def is_unrelated(task_graph: TaskGraph, not_applicable: Mapping[str, int] | None) -> bool:
    """Whether no logic ties the tasks: each head is then the marginal of its task, and decides alone."""
    return not not_applicable and task_graph.n_vectors == math.prod(task_graph.cardinalities)


def task_probabilities(
    logits: Mapping[str, Tensor], task_graph: TaskGraph, *, not_applicable: Mapping[str, int] | None = None
) -> dict[str, Tensor]:
    """Marginals of :func:`joint_probabilities`, ``{task: (n, k_task) float64 tensor}``; rows sum to 1."""
    if is_unrelated(task_graph, not_applicable):
        return {task: torch.softmax(logits[task].double(), dim=1) for task in task_graph.tasks}
    joint = joint_probabilities(logits, task_graph, not_applicable=not_applicable)
    vectors = torch.as_tensor(task_graph.feasible_set.copy(), device=joint.device)
    return {
        task: joint.new_zeros(len(joint), k).index_add_(1, vectors[:, r], joint)
        for r, (task, k) in enumerate(zip(task_graph.tasks, task_graph.cardinalities, strict=True))
    }


def _log_probabilities(logits: Tensor, left_out: int | None) -> Tensor:
    """Log softmax of one head in float64; over all columns but one, which is 0, where one is left out."""
    scores = logits.double()
    if left_out is None:
        return torch.log_softmax(scores, dim=1)
    column = torch.arange(scores.shape[1], device=scores.device) == left_out
    return torch.log_softmax(scores.masked_fill(column, -torch.inf), dim=1).masked_fill(column, 0.0)
