"""Weak supervision without gold: how accurate each source of votes is, and what the votes say together."""

from consilience._core import __version__
from consilience.check import check_identifiability
from consilience.dependence import learn_dependencies
from consilience.dependency_report import DependencyReport
from consilience.exceptions import (
    ConsilienceError,
    ConsilienceWarning,
    ConvergenceWarning,
    DuplicateSourcesWarning,
    FileFormatError,
    InfeasibleVotesWarning,
    InvalidArgumentError,
    InvalidVotesError,
    MissingDependencyError,
    NotFittedError,
    NotIdentifiableError,
    NotIdentifiableWarning,
    SignWarning,
    SingularCovarianceError,
    TooManyJointStatesWarning,
    WrongTypeError,
)
from consilience.explanation import Explanation
from consilience.flips import Flip
from consilience.identifiability import IdentifiabilityReport
from consilience.label_model import LabelModel, load
from consilience.label_uncertainty import LabelUncertainty
from consilience.local_identifiability import LocalIdentifiability
from consilience.planning import Plan
from consilience.soft_labels import expand_soft_labels
from consilience.statistics import VoteStatistics
from consilience.table import Table
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.votes import Votes

__all__ = [
    "ABSTAIN",
    "ConsilienceError",
    "ConsilienceWarning",
    "ConvergenceWarning",
    "DependencyReport",
    "DuplicateSourcesWarning",
    "Explanation",
    "FileFormatError",
    "Flip",
    "IdentifiabilityReport",
    "InfeasibleVotesWarning",
    "InvalidArgumentError",
    "InvalidVotesError",
    "LabelModel",
    "LabelUncertainty",
    "LocalIdentifiability",
    "MissingDependencyError",
    "NotFittedError",
    "NotIdentifiableError",
    "NotIdentifiableWarning",
    "Plan",
    "SignWarning",
    "SingularCovarianceError",
    "Table",
    "TaskGraph",
    "TooManyJointStatesWarning",
    "VoteStatistics",
    "Votes",
    "WrongTypeError",
    "__version__",
    "check_identifiability",
    "expand_soft_labels",
    "learn_dependencies",
    "load",
]


_SUBMODULES = ("datasets", "text", "torch")
"""Those to import by name, ``from consilience import datasets``: no others are meant for users."""


def __dir__() -> list[str]:
    return sorted((*__all__, *_SUBMODULES))
