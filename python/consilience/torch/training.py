"""The training loop: epochs, early stopping, checkpoints."""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from consilience.container import write_atomically
from consilience.exceptions import FileFormatError, InvalidArgumentError
from consilience.torch.data import FeatureTable, LengthBatches, SoftLabelDataset
from consilience.torch.losses import noise_aware_loss, what_items_count
from consilience.torch.network import MultiTaskNetwork

__all__ = [
    "EpochRecord",
    "Schedule",
    "Settings",
    "TrainingRun",
    "drop_denormals",
    "logits_of",
    "read_file",
    "seeded",
    "stream",
    "train",
    "write_file",
]

EpochRecord: TypeAlias = dict[str, float]
Schedule: TypeAlias = str | Callable[[float], float]

_WARM_UP = 0.05  # share of the steps in which the learning rate rises to its full height
_FORMAT = 1
_ROWS = 2**16  # items whose labels are looked at together
_TIDY = 100  # steps between two looks at the moments


@dataclass(frozen=True)
class Settings:
    """What the loop is told; ``MultiTaskClassifier`` explains each."""

    max_epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    clip_norm: float | None
    patience: int | None
    confidence_weights: bool
    mixed_precision: bool
    device: torch.device

    def factor(self, progress: float) -> float:
        """Share of the learning rate in use when `progress` of all steps, in [0, 1), are done."""
        if callable(self.schedule):
            share = self.schedule(progress)
            if not (isinstance(share, Real) and 0 <= share < math.inf):
                raise InvalidArgumentError(
                    f"schedule must give a share of learning_rate, 0 or more, got {share!r} at {progress:.3g}"
                )
            return float(share)
        if progress < _WARM_UP:
            return (progress + 1e-3) / (_WARM_UP + 1e-3)
        if self.schedule == "constant":
            return 1.0
        return 0.5 + 0.5 * math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which products run in bfloat16, where mixed precision is on."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed_precision)


@dataclass
class TrainingRun:
    """A training between two epochs, with all it takes to go on.

    Attributes
    ----------
    network, optimizer
        As the last epoch left them.
    seed : int
        All that is random in an epoch follows from it and the number of the epoch.
    history : list of dict
        One an epoch: "epoch", "loss", "learning_rate", and with validation "validation_loss" and, on gold,
        "validation_accuracy".
    best_epoch : int
        Epoch whose weights count: of the best validation where there is any, otherwise the last.
    best_weights : {name: tensor}
        The weights after it; empty without validation.
    limits : {"max_epochs": number, "patience": number}
        When it is to stop; infinite patience for none. A run that goes on may not stop earlier.
    """

    network: MultiTaskNetwork
    optimizer: torch.optim.Optimizer
    seed: int
    history: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)

    def finished(self, settings: Settings) -> bool:
        """Whether all epochs are done, or the best one lies `patience` epochs back."""
        epoch = len(self.history)
        patience = math.inf if settings.patience is None else settings.patience
        return epoch >= settings.max_epochs or epoch - self.best_epoch >= patience

    def state_dict(self) -> dict[str, Any]:
        """All of it as tensors, numbers and plain containers."""
        return {
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seed": self.seed,
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "limits": self.limits,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.network.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.seed, self.best_epoch = int(state["seed"]), int(state["best_epoch"])
        self.history, self.best_weights = list(state["history"]), dict(state["best_weights"])
        self.limits = dict(state["limits"])


def train(
    run: TrainingRun,
    data: SoftLabelDataset,
    rows: NDArray[np.int64],
    settings: Settings,
    *,
    validate: Callable[[], EpochRecord] | None,
    after_epoch: Callable[[EpochRecord], None],
) -> None:
    """Train until the run is finished, on some rows of the data; leaves the best weights in the network.

    `validate` gives the figures of the validation, `after_epoch` is told each record once the run holds it.

    Raises
    ------
    InvalidArgumentError
        If the loss is not finite any more.
    """
    shares = _shares(run, data, rows, settings)
    while not run.finished(settings):
        epoch = len(run.history) + 1
        record: EpochRecord = {"epoch": epoch}
        with seeded(stream(run.seed, epoch), settings.device):
            record["loss"] = _train_epoch(run, data, rows, shares, settings, epoch)
            record["learning_rate"] = run.optimizer.param_groups[0]["lr"]
            if validate is not None:
                record |= validate()
        if validate is None:
            run.best_epoch = epoch
        elif not run.best_epoch or _merit(record) > _merit(run.history[run.best_epoch - 1]):
            run.best_epoch = epoch
            run.best_weights = {
                name: tensor.detach().cpu().clone() for name, tensor in run.network.state_dict().items()
            }
        run.history.append(record)
        after_epoch(record)
    if run.best_weights:
        run.network.load_state_dict(run.best_weights)


def _shares(
    run: TrainingRun, data: SoftLabelDataset, rows: NDArray[np.int64], settings: Settings
) -> NDArray[np.float64]:
    """What each item of the data counts in the loss, over the mean of the rows to train on, (n,)."""
    parts = np.array_split(np.arange(len(data)), max(1, len(data) // _ROWS))
    counts = np.concatenate(
        [
            what_items_count(
                *data.labels(part),
                confidence_weights=settings.confidence_weights,
                not_applicable=run.network.not_applicable,
            ).numpy()
            for part in parts
        ]
    )
    mean = float(counts[rows].mean())
    return counts / (mean if mean > 0 else 1.0)


def _train_epoch(
    run: TrainingRun,
    data: SoftLabelDataset,
    rows: NDArray[np.int64],
    shares: NDArray[np.float64],
    settings: Settings,
    epoch: int,
) -> float:
    """Mean loss over the items of one epoch."""
    network, optimizer, device = run.network, run.optimizer, settings.device
    generator = torch.Generator().manual_seed(stream(run.seed, epoch))
    batches = LengthBatches(data, settings.batch_size, rows=rows, generator=generator)
    total = torch.zeros((), device=device)
    network.train()
    for done, chosen in enumerate(batches):
        progress = (epoch - 1 + done / len(batches)) / settings.max_epochs
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * settings.factor(progress)
        batch = data[chosen].to(device)
        with settings.autocast():
            logits = network(batch.features)
        loss = noise_aware_loss(
            logits,
            batch.soft_labels,
            weights=batch.weights,
            confidence_weights=settings.confidence_weights,
            not_applicable=network.not_applicable,
        )
        # The loss is a mean over what the batch's items weigh. Times this, batches add up to the mean over
        # all items; items would else be weighed against those of their batch alone.
        loss = loss * float(shares[chosen].mean())
        optimizer.zero_grad()
        loss.backward()
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm)
        optimizer.step()
        total += loss.detach() * len(chosen)
        if done % _TIDY == 0:
            drop_denormals(optimizer)
    mean = float(total) / len(rows)
    if not math.isfinite(mean):
        raise InvalidArgumentError(
            f"the loss is {mean} in epoch {epoch} with learning_rate={settings.learning_rate}: lower it, or "
            "scale the features"
        )
    return mean


def drop_denormals(optimizer: torch.optim.Optimizer) -> None:
    """Set moments to 0 that are too small to move a weight.

    Where a feature has become rare its moments shrink step by step into the denormal numbers and, rounded,
    stay there; processors are many times slower with these.
    """
    for moments in optimizer.state.values():
        for name in ("exp_avg", "exp_avg_sq"):
            moments[name].masked_fill_(moments[name].abs() < 1e-30, 0)


def _merit(record: EpochRecord) -> tuple[float, float]:
    """How good an epoch is: by accuracy on gold where there is any, then by loss."""
    return record.get("validation_accuracy", 0.0), -record["validation_loss"]


def logits_of(
    network: MultiTaskNetwork, table: FeatureTable, rows: NDArray[np.int64], settings: Settings
) -> dict[str, Tensor]:
    """Logits of some items by task, without training: {task: (q, k_task) float32 tensor} in main memory."""
    order = np.arange(len(rows)) if table.lengths is None else np.argsort(table.lengths[rows])
    graph = network.task_graph
    result = torch.empty(len(rows), sum(graph.cardinalities))
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(rows), 4 * settings.batch_size):
                part = order[start : start + 4 * settings.batch_size]
                batch = table.take(rows[part]).to(settings.device)
                with settings.autocast():
                    logits = network(batch)
                result[torch.from_numpy(part)] = torch.cat(list(logits.values()), dim=1).float().cpu()
    finally:
        network.train(was_training)
    return dict(zip(graph.tasks, result.split(graph.cardinalities, dim=1), strict=True))


def stream(seed: int, number: int) -> int:
    """Seed of one of the streams of random numbers that follow from a seed."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """PyTorch's generators run from a seed inside, and go on afterwards as if nothing had been drawn."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def write_file(path: str | os.PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Write tensors, numbers and plain containers, wholly or not at all; ``torch.load`` reads the file."""
    buffer = io.BytesIO()
    torch.save({"kind": kind, "format": _FORMAT, **content}, buffer)
    write_atomically(path, buffer.getvalue())


def read_file(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """What :func:`write_file` wrote; runs nothing that a file may hold.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another kind, or of a newer format.
    OSError
        If it cannot be read.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # PyTorch does not look at the checksums
            if damaged is not None:
                raise FileFormatError(f"{name} is damaged: copy or write it again")
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
            if isinstance(error, FileFormatError):
                raise
            raise FileFormatError(
                f"{name} is no file of weights, or a damaged one ({type(error).__name__}): write it again"
            ) from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise FileFormatError(f"{name} does not hold {kind}: pass one that does")
    if content.get("format") != _FORMAT:
        raise FileFormatError(f"{name} has format {content.get('format')}, not {_FORMAT}: upgrade")
    return content
