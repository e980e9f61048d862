"""The end model: one multi-task network trained on soft labels, the same for every column of the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

import consilience as cs
from consilience.text import Vocabulary
from consilience.torch import LSTM, MLP, MultiTaskClassifier

Soft = Mapping[str, NDArray[np.float64]]
Setting = Mapping[str, float]

BATCH = 128
N_FEATURES, N_FIRST = 30_000, 4
GRID: tuple[dict[str, float], ...] = (
    {"steps": 300, "learning_rate": 4e-3, "dropout": 0.3},
    {"steps": 800, "learning_rate": 4e-3, "dropout": 0.3},
    {"steps": 2000, "learning_rate": 4e-3, "dropout": 0.3},
    {"steps": 800, "learning_rate": 1e-3, "dropout": 0.3},
)
"""What is tried on the development split.

Steps, not epochs, so that few items and many are trained for as long.
"""

torch.set_num_threads(1)


@dataclass(frozen=True)
class Trunk:
    """What reads the items.

    Attributes
    ----------
    name : {"mlp", "lstm"}
        A layer on TF-IDF of :func:`features` (or on the matrix given), or a bidirectional LSTM, as in the
        paper.
    embeddings : path, optional
        File of word vectors for the LSTM to start from.
    """

    name: str = "mlp"
    embeddings: Path | None = None


def features(text: str) -> list[str]:
    """Words of a text, pairs of words in their order and at any distance, and its first words.

    Examples
    --------
    >>> features("who wrote it")
    ['who', 'wrote', 'it', 'who wrote', 'wrote it', 'who .. it', '^ who', '^ who wrote', '^ who wrote it']
    """
    words = text.split()
    n = len(words)
    together = [f"{words[i]} {words[i + 1]}" for i in range(n - 1)]
    apart = [f"{words[i]} .. {words[j]}" for i in range(n) for j in range(i + 2, n)]
    first = [" ".join(["^", *words[:length]]) for length in range(1, min(n, N_FIRST) + 1)]
    return words + together + apart + first


class EndModel:
    """Features of a problem's items, and networks trained on them.

    Parameters
    ----------
    graph : TaskGraph
        The tasks: one head each.
    texts : list of str, or (n, d) float array
        All items.
    train : (n_train,) int array
        Unlabeled items from which words and their weights are learned.
    trunk : Trunk
        What reads them; a matrix is read by "mlp" in any case.
    """

    def __init__(
        self,
        graph: cs.TaskGraph,
        texts: Sequence[str] | NDArray[np.float32],
        train: NDArray[np.int64],
        trunk: Trunk,
    ) -> None:
        self.graph, self.trunk, self.embeddings = graph, trunk.name, None
        if isinstance(texts, np.ndarray):
            self.items: Any = sp.csr_matrix(texts)
            self.trunk = "mlp"
        elif trunk.name == "mlp":
            words = TfidfVectorizer(analyzer=features, min_df=2, max_features=N_FEATURES, sublinear_tf=True)
            words.fit([texts[i] for i in train])
            self.items = words.transform(texts).astype(np.float32)
        else:
            vocabulary = Vocabulary.learn([texts[i] for i in train])
            self.items, self.n_words = vocabulary.encode(texts), len(vocabulary)
            if trunk.embeddings is not None:
                table = vocabulary.embeddings(trunk.embeddings)
                self.embeddings = table / table.std()

    def fit(self, items: NDArray[np.int64], soft: Soft, setting: Setting, seed: int) -> MultiTaskClassifier:
        """Train on some items, with least expected loss under their soft labels."""
        dropout = setting["dropout"]
        if self.trunk == "mlp":
            trunk: Any = MLP(self.items.shape[1], (100,), dropout=dropout)
        else:
            trunk = LSTM(self.n_words, embeddings=self.embeddings, dropout=dropout)
        model = MultiTaskClassifier(
            self.graph,
            trunk,
            random_state=seed,
            max_epochs=math.ceil(setting["steps"] / math.ceil(len(items) / BATCH)),
            hidden_sizes=(),
            dropout=dropout,
            batch_size=BATCH,
            learning_rate=setting["learning_rate"],
            validation_fraction=0.0,  # no item is lost on choosing an epoch: the number of steps is chosen
            device="cpu",
        )
        return model.fit(self.items[items], soft)
