"""The end model: one multi-task network trained on soft labels, the same for every column of the tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
GRID: tuple[dict[str, float], ...] = (
    {"steps": 300, "learning_rate": 4e-3, "dropout": 0.3},
    {"steps": 800, "learning_rate": 4e-3, "dropout": 0.3},
    {"steps": 800, "learning_rate": 1e-3, "dropout": 0.3},
)
"""What is tried on the development split, once for each column.

Steps, not epochs, so that few items and many are trained for as long.
"""

torch.set_num_threads(1)
torch.set_flush_denormal(True)  # second moments of rare words become denormal, which is ten times as slow


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
    trunk : {"mlp", "lstm"}
        A layer on TF-IDF of words and pairs of words (or on the matrix given), or a bidirectional LSTM, as in
        the paper but without pre-trained embeddings.
    """

    def __init__(
        self,
        graph: cs.TaskGraph,
        texts: Sequence[str] | NDArray[np.float32],
        train: NDArray[np.int64],
        trunk: str,
    ) -> None:
        self.graph, self.trunk = graph, trunk
        if isinstance(texts, np.ndarray):
            self.items: Any = sp.csr_matrix(texts)
            self.trunk = "mlp"
        elif trunk == "mlp":
            words = TfidfVectorizer(
                ngram_range=(1, 2), min_df=2, max_features=8000, sublinear_tf=True, token_pattern=r"[^\s]+"
            )
            words.fit([texts[i] for i in train])
            self.items = words.transform(texts).astype(np.float32)
        else:
            vocabulary = Vocabulary.learn([texts[i] for i in train])
            self.items, self.n_words = vocabulary.encode(texts), len(vocabulary)

    def fit(self, items: NDArray[np.int64], soft: Soft, setting: Setting, seed: int) -> MultiTaskClassifier:
        """Train on some items, with least expected loss under their soft labels."""
        dropout = setting["dropout"]
        if self.trunk == "mlp":
            trunk: Any = MLP(self.items.shape[1], (100,), dropout=dropout)
        else:
            trunk = LSTM(self.n_words, dropout=dropout)
        model = MultiTaskClassifier(
            self.graph,
            trunk,
            random_state=seed,
            max_epochs=math.ceil(setting["steps"] / math.ceil(len(items) / BATCH)),
            hidden_sizes=(),
            dropout=dropout,
            batch_size=BATCH,
            learning_rate=setting["learning_rate"],
            patience=None,
            device="cpu",
        )
        return model.fit(self.items[items], soft)
