"""MultiTaskClassifier: a network trained on soft labels, with predictions that the task graph allows."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from consilience.container import path_of, target_of
from consilience.estimator import Estimator, class_names
from consilience.exceptions import (
    FileFormatError,
    InvalidArgumentError,
    NotFittedError,
    WrongTypeError,
    listed,
)
from consilience.optional import require
from consilience.soft_labels import read_weights
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.torch.data import Features, FeatureTable, SoftLabelDataset, is_gold, read_gold
from consilience.torch.losses import noise_aware_loss
from consilience.torch.network import (
    MultiTaskNetwork,
    apply_trunk,
    is_unrelated,
    joint_probabilities,
    not_applicable_columns,
    task_probabilities,
)
from consilience.torch.training import (
    EpochRecord,
    Schedule,
    Settings,
    TrainingRun,
    logits_of,
    read_file,
    seeded,
    stream,
    train,
    write_file,
)
from consilience.torch.trunks import MLP, Trunk

__all__ = ["MultiTaskClassifier", "enough_epochs"]

SCHEDULES = ("cosine", "constant")
FUSED = ("cpu", "cuda")

_CHECKPOINT, _WEIGHTS = "a training of an end model", "the weights of an end model"
_INIT, _SPLIT = 2**32 - 1, 2**32 - 2  # streams of random numbers beside those of the epochs, 1, 2, ...
_CHUNK = 8192  # items that are predicted at once


class MultiTaskClassifier(Estimator):
    """A network with a trunk that all tasks share and one head a task, trained on soft labels.

    It minimises :func:`noise_aware_loss`. Predictions respect the task graph: the probability of a feasible
    label vector is the product of what the heads say about its classes, normalised over the feasible set.

    Parameters
    ----------
    graph : TaskGraph
        The tasks; ``TaskGraph.single(k)`` for one.
    trunk : torch module, optional
        From a batch of items to (n, width) vectors: ``LSTM``, ``BagOfEmbeddings``, ``MLP``, or any other
        module. `fit` trains a copy; in trunks of this package it draws the weights anew, others start from
        the weights they have. None: an ``MLP`` with one layer of 256 on a matrix of features.
    random_state : int or numpy Generator, optional
        Seed of weights, dropout, order and hold-out. The same int gives the same bits on one machine with one
        number of threads, on a GPU the same up to rounding. Global generators are left as they are.
    max_epochs : int, optional
        Passes over the training items, at most. None: as many as make 2,000 steps, from 20 to 200.
    hidden_sizes : sequence of int
        Sizes of the linear layers between trunk and heads, which all tasks share.
    dropout : float
        Share of those layers' values that are left out in training.
    applicability_weights : bool
        Weigh a child task by ``1 - q(N/A)``: its head only tells its other classes apart, and its parents
        decide whether it applies. In a tree, the probability of a label vector is then that of a class times
        that of its refinement. False: N/A is a class like any other, as in the paper. Then all heads speak
        about the same fact, their product is surer than each, and with many tasks most of the loss is about
        N/A.
    confidence_weights : bool
        Weigh an item in a task by ``1 - H(q) / log k``.
    batch_size : int
        Items a step. Texts of about the same length come together.
    learning_rate : float
        Of AdamW, at its height.
    weight_decay : float
        Of AdamW.
    schedule : {"cosine", "constant"} or callable
        Learning rate over the training: up in its first 5 %, then down to 0 by a half cosine, or level; or a
        function from the share of steps done to the share of `learning_rate`.
    clip_norm : float or None
        Largest norm of the gradient of a step.
    patience : int, optional
        Stop after so many epochs without a better validation. None: train to the end. The weights of the
        epoch with the best validation are kept in either case.
    validation_fraction : float
        Share of the training items that are held out where `fit` is given no validation; 0 for none, and
        for the weights of the last epoch.
    mixed_precision : bool, optional
        Products in bfloat16. By default on GPUs that have it (compute capability 8 or more).
    device : str, optional
        By default ``"cuda"`` where there is such a GPU, else ``"cpu"``.
    progress : bool
        Show a bar of the epochs; needs tqdm, which the extra ``torch`` brings.

    Attributes
    ----------
    network_ : MultiTaskNetwork
        What was trained.
    classes_ : (k,) array, or {task: list}
        Class names: the order of every class axis.
    history_ : list of dict
        One an epoch: "epoch", "loss", "learning_rate", "validation_loss", "validation_accuracy".
    best_epoch_ : int
        Epoch whose weights were kept.
    n_features_in_ : int
        Columns of the feature matrix; not there for texts and for other shapes.

    Examples
    --------
    >>> import consilience as cs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 2))
    >>> votes = np.where(rng.random((500, 3)) < 0.8, X[:, :1] > 0, X[:, :1] <= 0).astype(int)
    >>> soft_labels = cs.LabelModel(n_classes=2).fit(votes).predict_proba(votes)
    >>> clf = MultiTaskClassifier(cs.TaskGraph.single(2), max_epochs=9, random_state=0).fit(X, soft_labels)
    >>> clf.predict(np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist()
    [1, 0]
    """

    def __init__(
        self,
        graph: TaskGraph,
        trunk: nn.Module | None = None,
        random_state: int | np.random.Generator | None = None,
        max_epochs: int | None = None,
        *,
        hidden_sizes: Sequence[int] = (100,),
        dropout: float = 0.2,
        applicability_weights: bool = True,
        confidence_weights: bool = False,
        batch_size: int = 64,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        schedule: Schedule = "cosine",
        clip_norm: float | None = 1.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        mixed_precision: bool | None = None,
        device: str | None = None,
        progress: bool = False,
    ) -> None:
        self.graph = graph
        self.trunk = trunk
        self.random_state = random_state
        self.max_epochs = max_epochs
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.applicability_weights = applicability_weights
        self.confidence_weights = confidence_weights
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.mixed_precision = mixed_precision
        self.device = device
        self.progress = progress

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Features,
        soft_labels: Mapping[str, ArrayLike] | ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        validation: tuple[Features, Mapping[str, ArrayLike] | ArrayLike] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> MultiTaskClassifier:
        """Train on items with soft labels, or on gold.

        Parameters
        ----------
        X : (n, ...) array, tensor, SciPy sparse matrix or data frame
            One row an item, in the form that the trunk reads: a matrix of features; word indices for
            ``LSTM`` and ``BagOfEmbeddings``, as ``Vocabulary.encode`` gives them; anything for other modules.
        soft_labels : {task: (n, k_task) array}, or (n, k) array for one task
            Probabilities, rows sum to 1: what ``LabelModel.predict_proba`` returns. Or gold, ``{task: (n,)}``
            class indices, -1 where unknown.
        sample_weight : (n,) array, optional
            What each item counts. Where a few count hundreds of times as much as others, steps on them are
            long, and `clip_norm` makes them count less.
        mask : (n,) bool array, optional
            Items to learn from, such as those with a vote.
        validation : (X, labels), optional
            Items to stop on: by the loss under soft labels, or by accuracy on gold. By default a share of the
            training items.
        checkpoint : path, optional
            A file written after each epoch. Where it exists already, the training goes on from it, and ends
            as if it had not been interrupted. It holds weights and numbers, no code. Parameters must be the
            same again, but for `progress`, for `device`, on which rounding depends, and for a larger
            `max_epochs` or `patience`, with which it goes on longer; learning rates then are those of the
            longer training from there on. A trunk of one's own must start from the same weights again: seed
            PyTorch before it is made. A `schedule` that is a function must have the same name again, and do
            the same: that cannot be checked.

        Returns
        -------
        MultiTaskClassifier
            Itself.

        Raises
        ------
        InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form; names task and row. The model is left as it was.
        FileFormatError
            If `checkpoint` is damaged, or belongs to other data, parameters or initial weights of the trunk.
        OSError
            If `checkpoint` cannot be written; where its folder is missing, before the training starts.
        """
        settings = self._settings()
        n_words = getattr(self.trunk, "n_words", None)
        table = FeatureTable(X, n_words)
        weights = read_weights(sample_weight, mask, len(table), "sample_weight")
        data = SoftLabelDataset(table, soft_labels, task_graph=self.graph, weights=weights)
        rows = _labelled(data)
        if not len(rows):
            raise InvalidArgumentError("no item is left to learn from: give labels, and keep some")
        seed, gold = self._seed(), is_gold(soft_labels)
        network = self._build(data, settings, seed)
        run = TrainingRun(network, self._optimizer(network), seed)
        held_out: tuple[SoftLabelDataset, NDArray[np.int64]] | None = None
        if validation is not None:
            held_out = self._read_validation(validation, network.trunk, settings)
            gold = is_gold(validation[1])
        identity = ""
        if checkpoint is not None:
            identity = self._identity(data, held_out[0] if held_out else None)
            _resume(run, checkpoint, identity)
        if validation is None:
            rows, apart = _split(rows, self.validation_fraction, run.seed)
            held_out = (data, apart) if len(apart) else None

        if self.max_epochs is None:
            settings = replace(settings, max_epochs=enough_epochs(len(rows), settings.batch_size))
        _set_limits(run, settings, checkpoint)

        def validate() -> EpochRecord:
            assert held_out is not None
            return _validate(network, *held_out, gold, settings)

        def after_epoch(record: EpochRecord) -> None:
            if checkpoint is not None:
                write_file(checkpoint, _CHECKPOINT, {"identity": identity, **run.state_dict()})
            if bar is not None:
                bar.set_postfix({name: f"{value:.3g}" for name, value in record.items() if name != "epoch"})
                bar.update()

        bar = _bar(settings.max_epochs, initial=len(run.history)) if self.progress else None
        try:
            train(
                run,
                data,
                rows,
                settings,
                validate=None if held_out is None else validate,
                after_epoch=after_epoch,
            )
        finally:
            if bar is not None:
                bar.close()
        self._set(network)
        if n_words is None and len(data.table.shape) == 2:
            self.n_features_in_ = data.table.shape[1]
        self.history_ = run.history
        self.best_epoch_ = run.best_epoch
        return self

    def _set(self, network: MultiTaskNetwork) -> None:
        """Take over a trained network; nothing before this changes the model."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        graph = network.task_graph
        self.network_ = network.eval()
        self.classes_ = class_names(graph)

    def _settings(self) -> Settings:
        """Parameters, checked."""
        if not isinstance(self.graph, TaskGraph):
            raise WrongTypeError(
                f"graph must be a TaskGraph, got {type(self.graph).__name__}: TaskGraph.single(k) is one task"
            )
        if self.trunk is not None and not isinstance(self.trunk, nn.Module):
            raise WrongTypeError(f"trunk must be a torch module, not a class, or None, got {self.trunk!r}")
        self._check_numbers()
        if not callable(self.schedule) and self.schedule not in SCHEDULES:
            raise InvalidArgumentError(
                f"schedule must be one of {listed(SCHEDULES)} or a function, got {self.schedule!r}"
            )
        device = _usable_device(self.device)
        for name in ("applicability_weights", "confidence_weights", "progress"):
            value = getattr(self, name)
            if not isinstance(value, (bool, np.bool_)):
                raise WrongTypeError(f"{name} must be True or False, got {value!r}")
        mixed = self.mixed_precision
        if mixed is not None and not isinstance(mixed, (bool, np.bool_)):
            raise WrongTypeError(f"mixed_precision must be True, False or None, got {mixed!r}")
        if mixed is None:
            mixed = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return Settings(
            max_epochs=0 if self.max_epochs is None else int(self.max_epochs),
            batch_size=int(self.batch_size),
            learning_rate=float(self.learning_rate),
            schedule=self.schedule,
            clip_norm=self.clip_norm,
            patience=self.patience,
            confidence_weights=bool(self.confidence_weights),
            mixed_precision=bool(mixed),
            device=device,
        )

    def _check_numbers(self) -> None:
        for name in ("max_epochs", "batch_size", "patience"):
            value = getattr(self, name)
            optional = name != "batch_size" and value is None
            if not optional and (not isinstance(value, Integral) or value < 1):
                raise InvalidArgumentError(f"{name} must be a whole number from 1 on, got {value!r}")
        for name, least, below in (
            ("learning_rate", 0.0, np.inf),
            ("clip_norm", 0.0, np.inf),
            ("weight_decay", -1e-300, np.inf),
            ("validation_fraction", -1e-300, 1.0),
        ):
            value = getattr(self, name)
            optional = name == "clip_norm" and value is None
            if not optional and not (isinstance(value, (int, float, np.number)) and least < value < below):
                sign = "positive" if least == 0 else "0 or more"
                raise InvalidArgumentError(f"{name} must be {sign} and below {below}, got {value!r}")

    def _seed(self) -> int:
        if isinstance(self.random_state, (int, np.integer)):
            if self.random_state < 0:
                raise InvalidArgumentError(f"random_state must not be negative, got {self.random_state}")
            return int(self.random_state)
        if self.random_state is not None and not isinstance(self.random_state, np.random.Generator):
            raise WrongTypeError(
                f"random_state must be a whole number, a numpy Generator or None, got {self.random_state!r}"
            )
        return int(np.random.default_rng(self.random_state).integers(2**63))

    def _build(self, data: SoftLabelDataset, settings: Settings, seed: int) -> MultiTaskNetwork:
        """A new network on the device."""
        with seeded(stream(seed, _INIT), settings.device):
            trunk = copy.deepcopy(self.trunk) if self.trunk is not None else _default_trunk(data.table.shape)
            _check_width(trunk, data.table)
            network = self._network(trunk.to(settings.device), _output_width(trunk, data.table, settings))
            network.reset_parameters()
            return network.to(settings.device)

    def _network(self, trunk: nn.Module, width: int) -> MultiTaskNetwork:
        return MultiTaskNetwork(
            self.graph,
            trunk,
            width=width,
            hidden_sizes=self.hidden_sizes,
            dropout=self.dropout,
            not_applicable=not_applicable_columns(self.graph) if self.applicability_weights else None,
        )

    def _optimizer(self, network: MultiTaskNetwork) -> torch.optim.Optimizer:
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        fused = all(parameter.device.type in FUSED for parameter in parameters)  # one pass over the weights
        return torch.optim.AdamW(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay, fused=fused
        )

    def _read_validation(
        self, validation: Any, trunk: nn.Module, settings: Settings
    ) -> tuple[SoftLabelDataset, NDArray[np.int64]]:
        if not isinstance(validation, Sequence) or len(validation) != 2:
            raise WrongTypeError("validation must be a pair (X, labels)")
        try:
            table = FeatureTable(validation[0], getattr(trunk, "n_words", None))
            _check_width(trunk, table)
            if len(table) and not isinstance(trunk, Trunk):
                _tried(trunk, table, settings)
            data = SoftLabelDataset(table, validation[1], task_graph=self.graph)
        except (InvalidArgumentError, WrongTypeError) as error:
            raise type(error)(f"validation: {error}") from error
        rows = _labelled(data)
        if not len(rows):
            raise InvalidArgumentError("validation: no item has a label; leave validation out")
        return data, rows

    def _identity(self, data: SoftLabelDataset, validation: SoftLabelDataset | None) -> str:
        """What a checkpoint must agree on: the data, the network and what steers the weights, as JSON."""
        params: dict[str, Any] = {name: _plain(value) for name, value in self.get_params().items()}
        for name in ("max_epochs", "patience", "device", "progress", "graph"):
            del params[name]
        if callable(self.schedule):
            params["schedule"] = _name_of(self.schedule)
        if not isinstance(self.random_state, (int, np.integer)):
            params["random_state"] = None
        content = {name: repr(value) for name, value in params.items()}
        content["initial weights of the trunk"] = self._digest_of_trunk()
        content |= {"labels": _digest_of_labels(data), "X": data.table.digest()}
        content["validation"] = (
            "held out" if validation is None else _digest_of_labels(validation) + validation.table.digest()
        )
        return json.dumps({**content, "graph": self.graph.to_json()})

    def _digest_of_trunk(self) -> str:
        """SHA-256 of what the trunk starts from: given embeddings, and all weights of other modules.

        Weights that `fit` draws follow from `random_state` and the device. Here they are drawn from one seed
        in main memory, so that an unseeded training, or one that moves to another device, goes on.
        """
        if self.trunk is None:
            return "drawn"
        trunk = copy.deepcopy(self.trunk).cpu()
        if isinstance(trunk, Trunk):
            with seeded(0, torch.device("cpu")):
                trunk.reset_parameters()
        sha = hashlib.sha256()
        for name, tensor in (*trunk.named_parameters(), *trunk.named_buffers()):
            if nn.parameter.is_lazy(tensor):  # drawn from the seed once its shape is known
                continue
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.requires_grad};".encode())
            values = tensor.detach().to_dense().contiguous().flatten()
            sha.update(values.view(torch.uint8).numpy().data)
        return sha.hexdigest()

    # --- prediction ----------------------------------------------------------------------------------------

    def predict_proba(self, X: Features) -> Any:
        """Probabilities of the classes: (n, k) float64 array, or {task: (n, k_task) array}; rows sum to 1.

        Marginals of the probabilities over the feasible set, see :meth:`predict_joint`.

        Parameters
        ----------
        X
            Items in the form that :meth:`fit` was given.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        InvalidArgumentError, WrongTypeError
            If the items are not of that form.
        """
        network = self._fitted()
        parts = [
            task_probabilities(logits, network.task_graph, not_applicable=network.not_applicable)
            for logits in self._logits(X)
        ]
        return _joined([{task: part.numpy() for task, part in of_part.items()} for of_part in parts])

    def predict_joint(self, X: Features) -> NDArray[np.float64]:
        """Probabilities of the feasible label vectors, (n, K) float64 array; rows sum to 1.

        The product of what the heads say about the classes of a vector, normalised over
        ``graph.feasible_set``, whose rows are the columns here.
        """
        network = self._fitted()
        parts = [
            joint_probabilities(logits, network.task_graph, not_applicable=network.not_applicable).numpy()
            for logits in self._logits(X)
        ]
        return np.concatenate(parts)

    def predict(self, X: Features) -> Any:
        """Class index of each item, (n,) int64 array, or {task: (n,) array} that is jointly feasible.

        The most probable feasible label vector by :meth:`predict_joint`; the first one among equals.
        """
        network = self._fitted()
        return _joined([_decide(network, logits) for logits in self._logits(X)])

    def score(
        self, X: Features, y: Mapping[str, ArrayLike] | ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Share of the items whose classes are right in every task.

        Parameters
        ----------
        X
            Items in the form that :meth:`fit` was given.
        y : {task: (n,) array}, or (n,) array for one task
            True class indices, -1 where unknown: such tasks, and items with no other, do not count.
        sample_weight : (n,) array, optional
            What each item counts.

        Returns
        -------
        float
            In [0, 1].
        """
        predicted = self.predict(X)
        by_task = predicted if self.graph.n_tasks > 1 else {self.graph.tasks[0]: predicted}
        found = np.stack([by_task[task] for task in self.graph.tasks], axis=1)
        true = read_gold(y, self.graph, len(found))
        weights = read_weights(sample_weight, None, len(found), "sample_weight")
        counts = weights * (true != ABSTAIN).any(axis=1)
        if not counts.any():
            raise InvalidArgumentError("y: no item that counts has a known class; give gold for some")
        right = ((found == true) | (true == ABSTAIN)).all(axis=1)
        return float(right @ counts / counts.sum())

    def _logits(self, X: Features) -> Iterator[dict[str, Tensor]]:
        """Logits by task, some items at a time; once for no items."""
        network = self._fitted()
        table = FeatureTable(X, getattr(network.trunk, "n_words", None))
        _check_width(network.trunk, table)
        settings = self._settings()
        network.to(settings.device)
        if len(table) and not isinstance(network.trunk, Trunk):
            _tried(network.trunk, table, settings)
        for start in range(0, max(len(table), 1), _CHUNK):
            logits = logits_of(network, table, np.arange(start, min(start + _CHUNK, len(table))), settings)
            finite = torch.cat(list(logits.values()), dim=1).isfinite().all(dim=1)
            if not finite.all():
                row = start + int(finite.int().argmin())
                raise InvalidArgumentError(
                    f"X, row {row}: the network gives scores that are not finite; see that the trunk gives "
                    "finite numbers in eval mode too, or fit with a lower learning_rate"
                )
            yield logits

    def _fitted(self) -> MultiTaskNetwork:
        network: MultiTaskNetwork | None = getattr(self, "network_", None)
        if network is None:
            raise NotFittedError("this MultiTaskClassifier is not fitted yet; call fit(X, soft_labels) first")
        return network

    # --- files ---------------------------------------------------------------------------------------------

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned to a file, wholly or not at all: weights and numbers, no code.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        OSError
            If the file cannot be written.
        """
        network, name = self._fitted(), path_of(path)
        write_file(
            name,
            _WEIGHTS,
            {
                "graph": json.dumps(network.task_graph.to_json()),
                "not_applicable": network.not_applicable,
                "n_features": getattr(self, "n_features_in_", None),
                "weights": network.state_dict(),
            },
        )

    def load_weights(self, path: str | os.PathLike[str]) -> MultiTaskClassifier:
        """Take over what :meth:`save_weights` wrote, into a classifier with the same parameters.

        Returns
        -------
        MultiTaskClassifier
            Itself, fitted.

        Raises
        ------
        FileFormatError
            If the file is damaged, or belongs to another graph or network; the model is left as it was.
        OSError
            If it cannot be read.
        """
        settings = self._settings()
        name = path_of(path)
        content = read_file(name, _WEIGHTS)
        try:
            if json.loads(content["graph"]) != self.graph.to_json():
                raise FileFormatError(f"{name} belongs to another task graph: give the classifier its own")
            weights, n_features = content["weights"], content["n_features"]
            trunk = copy.deepcopy(self.trunk) if self.trunk is not None else _default_trunk((0, n_features))
            first = "shared.0.weight" if self.hidden_sizes else "heads.weight"
            network = self._network(trunk, weights[first].shape[1])
            if content["not_applicable"] != network.not_applicable:
                raise FileFormatError(f"{name} was trained with other applicability_weights: give its own")
            network.load_state_dict(weights)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(
                f"{name} does not hold the weights of this network ({error}): give the classifier the "
                "parameters it was trained with"
            ) from error
        self._set(network.to(settings.device))
        if n_features is not None:
            self.n_features_in_ = n_features
        return self


def _plain(value: Any) -> Any:
    """A parameter such that equal ones look alike: lists and arrays are tuples, 1.0 is 1."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _name_of(function: Any) -> str:
    """What a function, or the class of a callable object, is called."""
    return f"function {getattr(function, '__qualname__', type(function).__qualname__)}"


def _digest_of_labels(data: SoftLabelDataset) -> str:
    return hashlib.sha256(data.soft_labels.numpy().tobytes() + data.weights.numpy().tobytes()).hexdigest()


def _labelled(data: SoftLabelDataset) -> NDArray[np.int64]:
    """Items that count in some task."""
    return np.flatnonzero(data.weights.any(dim=1).numpy())


def enough_epochs(n_items: int, batch_size: int) -> int:
    """Epochs of 2,000 steps, from 20 to 200."""
    return min(max(math.ceil(2_000 / math.ceil(n_items / batch_size)), 20), 200)


def _usable_device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InvalidArgumentError(
            f"device must be one that PyTorch can use here, got {name!r} ({error}): leave it "
            "out for the best one"
        ) from error
    return device


def _bar(total: int, initial: int) -> Any:
    tqdm = require("tqdm.auto", install="tqdm", purpose="progress=True").tqdm
    return tqdm(total=total, initial=initial, unit="epoch")


def _split(
    rows: NDArray[np.int64], fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, and rows to hold out; each ascending."""
    n_apart = min(round(fraction * len(rows)), len(rows) - 1)
    order = np.random.default_rng(stream(seed, _SPLIT)).permutation(rows)
    return np.sort(order[n_apart:]), np.sort(order[:n_apart])


def _default_trunk(shape: Sequence[int]) -> nn.Module:
    if len(shape) != 2:
        raise InvalidArgumentError(f"X must be a matrix where no trunk is given, got shape {tuple(shape)}")
    return MLP(shape[1])


def _check_width(trunk: nn.Module, table: FeatureTable) -> None:
    """The columns of X must be those that the trunk reads, where it says how many."""
    n_features = getattr(trunk, "n_features", None)
    if n_features is not None and table.shape[1:] != (n_features,):
        raise InvalidArgumentError(f"X must have shape (n, {n_features}) for this trunk, got {table.shape}")


def _tried(trunk: nn.Module, table: FeatureTable, settings: Settings) -> Any:
    """What a trunk of one's own gives for two items."""
    was_training = trunk.training
    items = table.take(np.arange(min(2, len(table)))).to(settings.device)
    try:
        with torch.no_grad():
            return apply_trunk(trunk.eval(), items)
    except torch.cuda.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        advice = "give the columns that it was made for"
        if not items.is_floating_point():
            advice = "whole numbers stay whole, as word indices must; most layers read X.astype(np.float32)"
        raise InvalidArgumentError(
            f"trunk cannot read X of shape {table.shape} as {items.dtype} ({error}): {advice}"
        ) from error
    finally:
        trunk.train(was_training)


def _output_width(trunk: nn.Module, table: FeatureTable, settings: Settings) -> int:
    """Length of a trunk's vectors: as it says, or as two items show."""
    if isinstance(trunk, Trunk):
        return trunk.out_features
    vectors = _tried(trunk, table, settings)
    if not isinstance(vectors, Tensor) or vectors.ndim != 2:
        found = tuple(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise WrongTypeError(f"trunk must return a (n, width) tensor, got {found}: pool or flatten it")
    return vectors.shape[1]


def _validate(
    network: MultiTaskNetwork,
    data: SoftLabelDataset,
    rows: NDArray[np.int64],
    gold: bool,
    settings: Settings,
) -> EpochRecord:
    """Loss, and on gold the share of items that are right in every known task."""
    logits = logits_of(network, data.table, rows, settings)
    labels, weights = data.labels(rows)
    loss = noise_aware_loss(
        logits,
        labels,
        weights=weights,
        confidence_weights=settings.confidence_weights,
        not_applicable=network.not_applicable,
    )
    if not loss.isfinite():
        raise InvalidArgumentError(
            f"the loss is {float(loss)} in validation with learning_rate={settings.learning_rate}: lower it, "
            "or see that the trunk gives finite numbers in eval mode too"
        )
    record = {"validation_loss": float(loss)}
    if gold:
        found = _decide(network, logits)
        right = [
            (found[task] == labels[task].argmax(dim=1).numpy()) | (weights[task] == 0).numpy()
            for task in found
        ]
        record["validation_accuracy"] = float(np.all(right, axis=0).mean())
    return record


def _decide(network: MultiTaskNetwork, logits: Mapping[str, Tensor]) -> dict[str, NDArray[np.int64]]:
    """The most probable feasible label vector of each item, by task."""
    graph = network.task_graph
    if is_unrelated(graph, network.not_applicable):
        return {task: logits[task].argmax(dim=1).numpy() for task in graph.tasks}
    joint = joint_probabilities(logits, graph, not_applicable=network.not_applicable)
    best = joint.argmax(dim=1).numpy()
    return {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}


def _joined(parts: Sequence[Mapping[str, NDArray[Any]]]) -> Any:
    """Arrays by task, one after the other; a bare array for one task."""
    joined = {task: np.concatenate([part[task] for part in parts]) for task in parts[0]}
    return joined if len(joined) > 1 else next(iter(joined.values()))


def _set_limits(run: TrainingRun, settings: Settings, checkpoint: str | os.PathLike[str] | None) -> None:
    """Say when a run is to stop: not before a checkpoint, if it goes on from one, was to."""
    limits = {
        "max_epochs": settings.max_epochs,
        "patience": math.inf if settings.patience is None else settings.patience,
    }
    for name, limit in limits.items():
        before = run.limits.get(name, limit)
        if limit < before:
            found = None if before == math.inf else before
            raise FileFormatError(
                f"{checkpoint} is of a training with {name}={found}, which stops earlier with {limit}: give "
                "no less, another path, or delete the file"
            )
    run.limits = limits


def _resume(run: TrainingRun, checkpoint: str | os.PathLike[str], identity: str) -> None:
    """Bring a run to where a checkpoint left it, where there is one already."""
    name = path_of(checkpoint, "checkpoint")
    if not target_of(name).exists():
        return
    content = read_file(name, _CHECKPOINT)
    try:
        found, wanted = json.loads(content["identity"]), json.loads(identity)
        differing = [key for key in wanted if found.get(key) != wanted[key]]
        if differing:
            raise FileFormatError(
                f"{name} belongs to another training, which differs in {listed(differing)}: give another "
                "path, or delete the file"
            )
        run.load_state_dict(content)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"{name} is no checkpoint of this network ({error}): delete it") from error
