"""Other packages that learn from weak labels, where they are installed: how each fits and predicts.

None is needed. In an environment of its own: ``pip install snorkel crowd-kit``,
``pip install --pre flyingsquid pgmpy`` and ``pip install snorkel-metal tensorboardX``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Predict = Callable[[Any], object]
Fit = Callable[[Any, int], Predict]


def snorkel() -> Fit:
    """Snorkel's LabelModel with its default number of epochs."""
    from snorkel.labeling.model import LabelModel

    def fit(votes: np.ndarray, k: int) -> Predict:
        model = LabelModel(cardinality=k, verbose=False)
        model.fit(votes, seed=1, progress_bar=False)
        return model.predict_proba

    return fit


def crowdkit() -> Fit:
    """Dawid and Skene's EM of crowd-kit; it labels the items that it was fitted on."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    def fit(votes: np.ndarray, k: int) -> Predict:
        item, source = np.nonzero(votes >= 0)
        label = votes[item, source].astype(np.int64)
        model = DawidSkene(n_iter=100)
        model.fit(pd.DataFrame({"task": item, "worker": source, "label": label}))
        labels = model.probas_.reindex(index=range(len(votes)), columns=range(k))
        return lambda more: (
            labels.iloc[: len(more)].fillna(1 / k).to_numpy()
        )  # items without votes are left out

    return fit


def flyingsquid() -> Fit:
    """FlyingSquid's triplets, for two classes; int64, as int8 overflows."""
    import pgmpy.models

    if not hasattr(pgmpy.models, "MarkovModel"):  # its name in the release that flyingsquid was written for
        pgmpy.models.MarkovModel = pgmpy.models.DiscreteMarkovNetwork
    from flyingsquid.label_model import LabelModel

    def signed(votes: np.ndarray) -> np.ndarray:
        return np.where(votes < 0, 0, 2 * votes.astype(np.int64) - 1)

    def fit(votes: np.ndarray, k: int) -> Predict:
        if k != 2:
            raise ValueError("flyingsquid knows two classes")
        model = LabelModel(votes.shape[1], triplet_seed=0)
        model.fit(signed(votes), class_balance=np.array([0.5, 0.5]), verbose=False)
        return lambda more: model.predict_proba(signed(more), verbose=False)

    return fit


def metal() -> Fit:
    """MTLabelModel of snorkel-metal (MeTaL), for the hierarchy of three tasks of ``run.py``, {task: votes}.

    Two names that it needs are no longer there: Graph.node of networkx, and masks of uint8 in torch.
    """
    import networkx

    if not hasattr(networkx.Graph, "node"):
        networkx.Graph.node = property(lambda graph: graph.nodes)
    from metal.multitask import MTLabelModel
    from metal.multitask.task_graph import TaskHierarchy

    class Model(MTLabelModel):
        def _build_mask(self) -> None:
            super()._build_mask()
            self.mask = self.mask.bool()

    def counted_from_1(votes: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [table + 1 for table in votes.values()]

    def fit(votes: dict[str, np.ndarray], k: int) -> Predict:
        # "N/A" is a class of both children, the last one.
        hierarchy = TaskHierarchy(cardinalities=[2, 3, 3], edges=[(0, 1), (0, 2)])
        model = Model(task_graph=hierarchy, seed=1, verbose=False)
        model.train_model(counted_from_1(votes), deps=[])
        return lambda more: model.predict_proba(counted_from_1(more))

    return fit


def installed(wanted: tuple[str, ...]) -> dict[str, Fit]:
    """Those of the wanted ones that can be imported."""
    found = {}
    for peer in (snorkel, crowdkit, flyingsquid, metal):
        if peer.__name__ in wanted:
            try:
                found[peer.__name__] = peer()
            except Exception as error:  # a broken installation may raise anything
                print(f"{peer.__name__} is left out: {error!r}", flush=True)
    return found
