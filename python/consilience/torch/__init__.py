"""End models in PyTorch, trained on soft labels, for tasks that depend on each other; the extra ``torch``.

``MultiTaskClassifier`` is the whole of it in scikit-learn's style. ``MultiTaskNetwork``,
``SoftLabelDataset``, ``LengthBatches`` and ``noise_aware_loss`` are its parts, for a loop of one's own.
"""

from consilience.optional import require

require("torch", install="consilience[torch]", purpose="consilience.torch")

from consilience.torch.classifier import MultiTaskClassifier
from consilience.torch.data import Batch, LengthBatches, SoftLabelDataset
from consilience.torch.losses import noise_aware_loss
from consilience.torch.network import MultiTaskNetwork, joint_probabilities
from consilience.torch.trunks import LSTM, MLP, BagOfEmbeddings, Trunk

__all__ = [
    "LSTM",
    "MLP",
    "BagOfEmbeddings",
    "Batch",
    "LengthBatches",
    "MultiTaskClassifier",
    "MultiTaskNetwork",
    "SoftLabelDataset",
    "Trunk",
    "joint_probabilities",
    "noise_aware_loss",
]
