"""Shared first layers: from the features of a batch of items to one vector an item."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from consilience.arrays import as_array
from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.text import PADDING

__all__ = ["LSTM", "MLP", "POOLINGS", "BagOfEmbeddings", "Trunk", "layers"]

POOLINGS = ("max", "mean", "last")


class Trunk(nn.Module):
    """Base of the trunks of this package; any other module may be a trunk as well.

    Attributes
    ----------
    out_features : int
        Length of the vector it gives for each item.
    n_features : int or None
        Columns of the matrix it reads, where it reads one.
    n_words : int or None
        For texts as word indices: how many indices there are. Batches then hold texts of about the same
        length, with the padding cut off that all of them share.
    takes_sparse : bool
        Whether it reads sparse tensors; other trunks get dense ones.
    """

    out_features: int
    n_features: int | None = None
    n_words: int | None = None
    takes_sparse: bool = False

    def reset_parameters(self) -> None:
        """Draw all weights anew, but for embeddings that were given."""
        for module in self.children():
            for layer in module.modules():
                if isinstance(layer, (nn.Linear, nn.LSTM, _Features)):
                    layer.reset_parameters()


def _check_size(value: object, argument: str, least: int = 1, hint: str = "") -> None:
    """Sizes are whole numbers."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise WrongTypeError(f"{argument} must be a whole number{hint}, got {value!r}")
    if value < least:
        raise InvalidArgumentError(f"{argument} must be {least} or more{hint}, got {value}")


def _check_dropout(dropout: float) -> None:
    if not isinstance(dropout, Real) or not 0 <= dropout < 1:
        raise InvalidArgumentError(f"dropout must lie in [0, 1), got {dropout!r}")


def layers(n_features: int, sizes: Sequence[int], dropout: float) -> tuple[nn.Sequential, int]:
    """Linear layers, each with ReLU and dropout, and how many features the last one gives."""
    _check_dropout(dropout)
    if not isinstance(sizes, Iterable):
        raise WrongTypeError(f"hidden_sizes must be a sequence, one number a layer, got {sizes!r}")
    modules: list[nn.Module] = []
    for size in sizes:
        if not isinstance(size, Integral) or size < 1:
            raise InvalidArgumentError(f"hidden_sizes must hold whole numbers from 1 on, got {listed(sizes)}")
        modules += [nn.Linear(n_features, size), nn.ReLU(), nn.Dropout(dropout)]
        n_features = size
    return nn.Sequential(*modules), n_features


class _Features(nn.Module):
    """A linear layer with one row of weights a feature, so that rare features cost few lines of memory.

    ``nn.Linear`` has one a unit: the gradient of a sparse product is then turned over in every step.
    """

    def __init__(self, n_features: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_features, size))
        self.bias = nn.Parameter(torch.empty(size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, spread as those of ``nn.Linear``."""
        bound = len(self.weight) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        if not features.is_sparse:
            return torch.addmm(self.bias, features.to(self.weight.dtype), self.weight)
        with torch.autocast(features.device.type, enabled=False):  # sparse products know no bfloat16
            product: Tensor = torch.sparse.mm(features, self.weight) + self.bias
        return product


class MLP(Trunk):
    """Linear layers with ReLU on a matrix of features, dense or sparse.

    Parameters
    ----------
    n_features : int
        Columns of the matrix.
    hidden_sizes : sequence of int
        Size of each layer, one at least.
    dropout : float
        Share of each layer's values that are left out in training.
    """

    takes_sparse = True

    def __init__(self, n_features: int, hidden_sizes: Iterable[int] = (256,), dropout: float = 0.0) -> None:
        super().__init__()
        _check_size(n_features, "n_features")
        if isinstance(hidden_sizes, Iterable):  # an array as well
            hidden_sizes = list(hidden_sizes)
        if not hidden_sizes:
            raise InvalidArgumentError(f"hidden_sizes must name a layer at least, got {hidden_sizes!r}")
        self.n_features = n_features
        stack, self.out_features = layers(n_features, hidden_sizes, dropout)
        self.first = _Features(n_features, hidden_sizes[0])
        self.rest = stack[1:]

    def forward(self, features: Tensor) -> Tensor:
        """(n, n_features) tensor, dense or sparse -> (n, out_features)."""
        return self.rest(self.first(features))


class _WordTrunk(Trunk):
    """Embeddings of word indices, learned or given."""

    def __init__(
        self, n_words: int, width: int, embeddings: ArrayLike | None, freeze: bool, dropout: float
    ) -> None:
        super().__init__()
        _check_size(n_words, "n_words", 2, ", len(vocabulary)")
        _check_size(width, "width")
        _check_dropout(dropout)
        if freeze and embeddings is None:
            raise InvalidArgumentError("freeze=True keeps embeddings as they are: give some")
        self.n_words = n_words
        self.pretrained = embeddings is not None
        if embeddings is None:
            self.embedding = nn.Embedding(n_words, width, padding_idx=PADDING)
        else:
            table = as_array(embeddings, "embeddings")
            if table.dtype.kind != "f":
                raise WrongTypeError(f"embeddings must hold floats, got dtype {table.dtype}")
            if table.ndim != 2 or len(table) != n_words:
                raise InvalidArgumentError(
                    f"embeddings must have one row a word, shape ({n_words}, d), got {table.shape}"
                )
            weights = torch.tensor(table, dtype=torch.float32)
            finite = weights.isfinite().all(dim=1)
            if not finite.all():
                row = int(finite.int().argmin())
                raise InvalidArgumentError(
                    f"embeddings, row {row}: must be finite in float32; draw those of words that have none"
                )
            self.embedding = nn.Embedding.from_pretrained(weights, freeze=freeze, padding_idx=PADDING)

    def reset_parameters(self) -> None:
        """Draw all weights anew, but for embeddings that were given."""
        super().reset_parameters()
        if not self.pretrained:
            self.embedding.reset_parameters()


class BagOfEmbeddings(_WordTrunk):
    """Mean of the embeddings of a text's words, whatever their order.

    Parameters
    ----------
    n_words : int
        ``len(vocabulary)``.
    width : int
        Size of the embeddings, where none are given.
    embeddings : (n_words, d) float array, optional
        Embeddings to start from: ``vocabulary.embeddings(...)``.
    freeze : bool
        Leave the given embeddings as they are.
    dropout : float
        Share of the embeddings' values that are left out in training.
    """

    def __init__(
        self,
        n_words: int,
        width: int = 100,
        *,
        embeddings: ArrayLike | None = None,
        freeze: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(n_words, width, embeddings, freeze, dropout)
        self.dropout = nn.Dropout(dropout)
        self.out_features = self.embedding.embedding_dim

    def forward(self, words: Tensor) -> Tensor:
        """(n, length) word indices -> (n, out_features); zeros for an empty text."""
        is_word = (words != PADDING)[:, :, None]
        total = (self.embedding(words) * is_word).sum(dim=1)  # given embeddings of padding may be any
        mean: Tensor = total / is_word.sum(dim=1).clamp_min(1)
        return self.dropout(mean)


class LSTM(_WordTrunk):
    """Bidirectional LSTM over the embeddings of a text's words, as in the paper.

    Parameters
    ----------
    n_words : int
        ``len(vocabulary)``.
    width : int
        Size of the embeddings, where none are given.
    hidden_size : int
        Size of the state in each direction; ``out_features`` is twice that.
    n_layers : int
        LSTM layers.
    pooling : {"max", "mean", "last"}
        What is taken of the states along the text; ``"last"``: where each direction ends.
    embeddings : (n_words, d) float array, optional
        Embeddings to start from: ``vocabulary.embeddings(...)``.
    freeze : bool
        Leave the given embeddings as they are.
    dropout : float
        Share of the values of embeddings, of states between layers and of the result that are left out in
        training.
    """

    def __init__(
        self,
        n_words: int,
        width: int = 100,
        *,
        hidden_size: int = 100,
        n_layers: int = 1,
        pooling: str = "max",
        embeddings: ArrayLike | None = None,
        freeze: bool = False,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(n_words, width, embeddings, freeze, dropout)
        _check_size(hidden_size, "hidden_size")
        _check_size(n_layers, "n_layers")
        if pooling not in POOLINGS:
            raise InvalidArgumentError(f"pooling must be one of {listed(POOLINGS)}, got {pooling!r}")
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(
            self.embedding.embedding_dim,
            hidden_size,
            n_layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if n_layers > 1 else 0.0,
        )
        self.out_features = 2 * hidden_size

    def extra_repr(self) -> str:
        """What no layer shows."""
        return f"pooling={self.pooling!r}"

    def forward(self, words: Tensor) -> Tensor:
        """(n, length) word indices -> (n, out_features); an empty text is read as one padding word."""
        place = torch.arange(1, words.shape[1] + 1, device=words.device)
        lengths = (place * (words != PADDING)).amax(dim=1).clamp_min(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.embedding(words)), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, (last, _) = self.lstm(packed)
        if self.pooling == "last":
            pooled = torch.cat([last[-2], last[-1]], dim=1)
        else:
            fill = -torch.inf if self.pooling == "max" else 0.0
            states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, padding_value=fill)
            pooled = states.amax(dim=1) if self.pooling == "max" else states.sum(dim=1) / lengths[:, None]
        return self.dropout(pooled)
