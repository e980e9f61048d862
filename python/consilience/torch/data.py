"""Features with soft labels as a PyTorch dataset, and batches of items of about the same length."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from consilience.arrays import as_array
from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.soft_labels import read_soft_labels, read_weights
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.text import PADDING

__all__ = ["Batch", "FeatureTable", "Features", "LengthBatches", "SoftLabelDataset", "is_gold", "read_gold"]

Features: TypeAlias = Any  # (n, ...) array, torch tensor, SciPy sparse matrix, or data frame of numbers

_GROUP = 64  # batches that are sorted by length together: with more of them less is padded, and less mixed


class Batch(NamedTuple):
    """Some items: their features, soft labels by task, and what each counts in each task.

    Attributes
    ----------
    features : (n, ...) tensor
        float32, or int64 for whole numbers; a sparse COO tensor for a sparse matrix.
    soft_labels : {task: (n, k_task) float32 tensor}
        Zeros where the weight is 0.
    weights : {task: (n,) float32 tensor}
        0 for items that do not count.
    """

    features: Tensor
    soft_labels: dict[str, Tensor]
    weights: dict[str, Tensor]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(
            self.features.to(device, non_blocking=True),
            {task: labels.to(device, non_blocking=True) for task, labels in self.soft_labels.items()},
            {task: weights.to(device, non_blocking=True) for task, weights in self.weights.items()},
        )


class FeatureTable:
    """Features of items, one row an item, checked once and taken out in batches.

    Parameters
    ----------
    features : (n, ...) array, tensor, SciPy sparse matrix or data frame
        Finite real numbers.
    n_words : int, optional
        For texts as word indices: how many indices there are.

    Attributes
    ----------
    values : tensor or CSR matrix
        float32, or whole numbers; not copied where it need not be.
    lengths : (n,) int64 array or None
        Words of each text, up to the last that is not padding; None where the features are not texts.
    """

    def __init__(self, features: Features, n_words: int | None = None) -> None:
        self.values: Any = _read_sparse(features) if hasattr(features, "tocsr") else _read_dense(features)
        self.lengths = None if n_words is None else _text_lengths(self.values, n_words)

    def __len__(self) -> int:
        """Number of items."""
        return int(self.values.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features."""
        return tuple(self.values.shape)

    def digest(self) -> str:
        """SHA-256 of all features."""
        if isinstance(self.values, Tensor):
            parts = [self.values.numpy()]
        else:
            parts = [self.values.data, self.values.indices, self.values.indptr]
        sha = hashlib.sha256()
        for part in parts:
            sha.update(np.ascontiguousarray(part).data.cast("B") if part.size else b"")
        return sha.hexdigest()

    def take(self, rows: NDArray[np.int64], *, whole: bool = False) -> Tensor:
        """Some items: float32 or int64, sparse COO from a sparse matrix.

        Texts are cut to the longest of them, unless `whole`.
        """
        if not isinstance(self.values, Tensor):
            chosen = self.values[rows].tocoo()
            return torch.sparse_coo_tensor(
                torch.from_numpy(np.stack([chosen.row, chosen.col]).astype(np.int64)),
                torch.from_numpy(chosen.data),
                chosen.shape,
                is_coalesced=True,
                check_invariants=False,  # read checked them
            )
        items = self.values[torch.from_numpy(rows)]
        if self.lengths is not None and not whole:
            items = items[:, : max(int(self.lengths[rows].max(initial=0)), 1)]
        return items if items.is_floating_point() else items.long()


class SoftLabelDataset(Dataset[Batch]):
    """Items with features, soft labels and weights, for ``torch.utils.data.DataLoader``.

    An index gives one item; a slice or a list of indices gives a :class:`Batch` at once. So the fastest
    loader is ``DataLoader(dataset, sampler=LengthBatches(dataset, 64), batch_size=None)``.

    Parameters
    ----------
    features : (n, ...) array, tensor, SciPy sparse matrix, data frame or FeatureTable
        One row an item. Real numbers; whole numbers stay whole, as word indices must.
    labels : {task: array}, or array for one task
        Soft labels, (n, k_task) floats whose rows sum to 1; or gold, (n,) class indices, -1 where unknown.
    task_graph : TaskGraph
        The tasks and their classes.
    mask : (n,) bool array, optional
        Items that count, such as those with a vote.
    weights : (n,) array, optional
        What each item counts.
    n_words : int, optional
        For texts as word indices, padded with 0 at the end: how many indices there are. A batch is then cut
        to its longest text.

    Attributes
    ----------
    table : FeatureTable
        The features, read.
    soft_labels : (n, sum of k_task) float32 tensor
        Those of all tasks side by side.
    weights : (n, t) float32 tensor
        What each item counts in each task.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If the arguments do not fit together, or hold values that are not allowed; names task and row.
    """

    def __init__(
        self,
        features: Features,
        labels: Mapping[str, ArrayLike] | ArrayLike,
        *,
        task_graph: TaskGraph,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        n_words: int | None = None,
    ) -> None:
        self.table = features if isinstance(features, FeatureTable) else FeatureTable(features, n_words)
        self.task_graph = task_graph
        item_weights = read_weights(weights, mask, len(self.table))
        by_task = _by_task(labels, task_graph)
        soft, weight = [], []
        for task, k in zip(task_graph.tasks, task_graph.cardinalities, strict=True):
            of_task, known = _read_labels(by_task[task], task, k, item_weights > 0)
            soft.append(torch.from_numpy(of_task).float())
            weight.append(torch.from_numpy(item_weights * known).float())
        self.soft_labels = torch.cat(soft, dim=1)
        self.weights = torch.stack(weight, dim=1)
        if is_gold(labels):
            _check_feasible(self.soft_labels, self.weights > 0, task_graph)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.weights)

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[np.int64]) -> Batch:
        """One item, or a batch of those that a slice or a sequence of indices names."""
        if isinstance(index, (int, np.integer)):
            features = self.table.take(np.array([index]), whole=True)  # of one shape, to be stacked
            labels, weights = self.labels(np.array([index]))
            return Batch(
                (features.to_dense() if features.is_sparse else features)[0],
                {task: of_task[0] for task, of_task in labels.items()},
                {task: of_task[0] for task, of_task in weights.items()},
            )
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise WrongTypeError(
                "a dataset is indexed by whole numbers, one or a sequence, or by a slice, got "
                f"{type(index).__name__}: np.flatnonzero(mask) gives those of a mask"
            )
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        return Batch(self.table.take(rows), *self.labels(rows))

    def labels(self, rows: NDArray[np.int64]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Soft labels and weights of some items, each by task."""
        chosen, graph = torch.from_numpy(rows), self.task_graph
        return (
            dict(zip(graph.tasks, self.soft_labels[chosen].split(graph.cardinalities, dim=1), strict=True)),
            dict(zip(graph.tasks, self.weights[chosen].unbind(dim=1), strict=True)),
        )


class LengthBatches(Sampler[list[int]]):
    """Lists of indices, one a batch: all items in a new order in each epoch, those of one length together.

    Batches differ in size by one item at most. Without lengths they are drawn at random; with them, items are
    drawn in groups of some batches, and sorted within a group. Batches come in random order.

    Parameters
    ----------
    data : SoftLabelDataset
        What is drawn from.
    batch_size : int
        Items in a batch at most.
    rows : (q,) int array, optional
        Items to draw, all by default.
    generator : torch.Generator, optional
        Gives the order; by default that of PyTorch.
    """

    def __init__(
        self,
        data: SoftLabelDataset,
        batch_size: int,
        *,
        rows: NDArray[np.int64] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise InvalidArgumentError(f"batch_size must be 1 or more, got {batch_size}")
        self.rows = np.arange(len(data)) if rows is None else np.asarray(rows)
        self.lengths = data.table.lengths
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self.rows) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        """One epoch."""
        if not len(self.rows):
            return
        order = self.rows[torch.randperm(len(self.rows), generator=self.generator).numpy()]
        if self.lengths is not None:
            group = np.arange(len(order)) // (_GROUP * self.batch_size)
            order = order[np.lexsort((self.lengths[order], group))]
        batches = np.array_split(order, len(self))
        for b in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[b].tolist()


def read_gold(labels: Any, task_graph: TaskGraph, n: int) -> NDArray[np.int64]:
    """Class indices as one column a task, (n, t) int64, -1 where unknown.

    Raises
    ------
    InvalidArgumentError, WrongTypeError
        If they are not of an allowed form; names task and row.
    """
    by_task = _by_task(labels, task_graph)
    columns = [
        _read_gold(_as_array(by_task[task], f"gold of task {task!r}"), f"gold of task {task!r}", k)
        for task, k in zip(task_graph.tasks, task_graph.cardinalities, strict=True)
    ]
    for task, column in zip(task_graph.tasks, columns, strict=True):
        if len(column) != n:
            raise InvalidArgumentError(
                f"gold of task {task!r} must have {n} entries, one an item, got {len(column)}"
            )
    return np.stack(columns, axis=1)


def _check_feasible(one_hot: Tensor, known: Tensor, task_graph: TaskGraph) -> None:
    """Some feasible label vector must agree with what is known of each item."""
    if task_graph.n_vectors == math.prod(task_graph.cardinalities):
        return  # whatever is known
    of_task = one_hot.split(task_graph.cardinalities, dim=1)
    classes = torch.stack([of.argmax(dim=1) for of in of_task], dim=1).masked_fill(~known, ABSTAIN).numpy()
    vectors, at = np.unique(classes, axis=0, return_inverse=True)
    impossible = np.flatnonzero(~task_graph.event_masks(vectors).any(axis=1))
    if len(impossible):
        row = int(np.flatnonzero(np.isin(at.reshape(-1), impossible))[0])
        said = {
            t: task_graph.classes[t][v] for t, v in zip(task_graph.tasks, classes[row], strict=True) if v >= 0
        }
        raise InvalidArgumentError(
            f"labels, row {row}: no feasible label vector agrees with {said}; correct it, or put -1 where a "
            "task is not known"
        )


def is_gold(labels: Any) -> bool:
    """Whether labels are class indices, (n,) a task, not probabilities."""
    tables = labels.values() if isinstance(labels, Mapping) else [labels]
    return all(np.ndim(table) == 1 for table in tables)


def _by_task(labels: Any, task_graph: TaskGraph) -> dict[str, Any]:
    """Labels under the name of their task; every task of the graph has some."""
    if not isinstance(labels, Mapping):
        if task_graph.n_tasks > 1:
            raise WrongTypeError(
                f"labels must be {{task: array}} for the tasks {listed(task_graph.tasks)}, "
                f"got {type(labels).__name__}"
            )
        return {task_graph.tasks[0]: labels}
    if labels.keys() != set(task_graph.tasks):
        raise InvalidArgumentError(
            f"labels must be of the tasks {listed(task_graph.tasks)}, got {listed(labels)}"
        )
    return dict(labels)


def _read_labels(
    values: Any, task: str, k: int, kept: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Soft labels of one task, (n, k), and which items have any among those kept."""
    argument = f"labels of task {task!r}"
    array = _as_array(values, argument)
    if array.ndim == 1:
        gold = _read_gold(array, argument, k, f"(n, {k}) probabilities or (n,) class indices")
        if len(gold) != len(kept):
            raise InvalidArgumentError(f"{argument}: {len(gold)} entries for {len(kept)} items")
        known = kept & (gold != ABSTAIN)
        return np.eye(k)[gold] * known[:, None], known
    if array.ndim == 2 and array.shape[1] != k:
        raise InvalidArgumentError(f"{argument} must have {k} columns, one a class, got {array.shape[1]}")
    return read_soft_labels(array, argument, kept), kept


def _read_gold(
    array: NDArray[Any], argument: str, k: int, allowed: str = "(n,) class indices"
) -> NDArray[np.int64]:
    if array.dtype.kind not in "iu":
        raise WrongTypeError(f"{argument} must be {allowed}, got dtype {array.dtype} and shape {array.shape}")
    if array.ndim != 1:
        raise InvalidArgumentError(f"{argument} must be class indices, shape (n,), got {array.shape}")
    outside = (array < ABSTAIN) | (array >= k)
    if outside.any():
        row = int(np.argmax(outside))
        raise InvalidArgumentError(
            f"{argument}, row {row}: must lie in 0..{k - 1}, or be -1 where unknown, got {array[row]}"
        )
    return array.astype(np.int64)


def _as_array(values: Any, argument: str) -> NDArray[Any]:
    """Anything array-like as an array; tensors too, wherever they are and of whatever precision."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # NumPy knows no such numbers
            values = values.float()
    return as_array(values, argument)


def _read_dense(features: Features) -> Tensor:
    """Features as a tensor of float32 or whole numbers."""
    array = _as_array(features, "X")
    if array.dtype.kind not in "fiub":
        advice = "encode texts with Vocabulary.encode or TF-IDF" if array.dtype.kind in "OUS" else ""
        raise WrongTypeError(f"X must hold real numbers, got dtype {array.dtype}: {advice or 'convert it'}")
    if array.ndim < 2:
        raise InvalidArgumentError(f"X must have one row an item, shape (n, ...), got {array.shape}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # found below
            array = array.astype(np.float32, copy=False)
    elif array.dtype not in (np.int8, np.int16, np.int32, np.int64, np.uint8):
        array = array.astype(np.int64)
    tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
    if tensor.is_floating_point() and not tensor.isfinite().all():
        row = int(torch.nonzero(~tensor.isfinite())[0, 0])
        raise InvalidArgumentError(f"X, row {row}: must be finite in float32; fill or drop missing values")
    return tensor


def _read_sparse(features: Any) -> Any:
    """Features as a CSR matrix of float32, each entry once."""
    if features.dtype.kind not in "fiub":
        raise WrongTypeError(f"X must hold real numbers, got dtype {features.dtype}: convert it")
    try:
        with np.errstate(over="ignore"):  # found below
            matrix = features.tocsr().astype(np.float32)
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise InvalidArgumentError(f"X is a damaged sparse matrix: {error}") from error
    matrix.sum_duplicates()
    finite = np.isfinite(matrix.data)
    if not finite.all():
        row = int(np.searchsorted(matrix.indptr, np.argmin(finite), side="right")) - 1
        raise InvalidArgumentError(f"X, row {row}: must be finite in float32; fill or drop missing values")
    return matrix


def _text_lengths(features: Any, n_words: int) -> NDArray[np.int64]:
    """Words of each text, up to the last one that is not padding."""
    if not isinstance(features, Tensor) or features.is_floating_point() or features.ndim != 2:
        raise WrongTypeError(
            "X must hold word indices for this trunk, (n, length) ints, as Vocabulary.encode gives them"
        )
    if not features.shape[1]:
        raise InvalidArgumentError("X must have a column at least: Vocabulary.encode pads empty texts")
    words = features.numpy()
    outside = (words < 0) | (words >= n_words)
    if outside.any():
        row, column = np.argwhere(outside)[0].tolist()
        raise InvalidArgumentError(
            f"X, row {row}: must hold word indices in 0..{n_words - 1}, got {words[row, column]}; "
            "encode with the vocabulary that the trunk was made for"
        )
    position = np.arange(1, words.shape[1] + 1) * (words != PADDING)
    lengths: NDArray[np.int64] = position.max(axis=1, initial=0)
    return lengths
