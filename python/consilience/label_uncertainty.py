"""How far labels would move if other items had been drawn: refits, and the total variation between labels.

An end model that learns from soft labels is off by at most twice ``E TV(P_fit(Y | votes), P(Y | votes))``
more than its own error (Theorem 1 of the paper in the form that holds, [T31]). The true ``P`` is not at hand;
refits to other items stand in for it. Items are drawn from the fitted model. A cautious fit is one to votes
that no such model explains, and items drawn from it would look nothing like them: there, the items themselves
are drawn, with replacement.

References
----------
Ratner et al. (2019), arXiv:1810.02840, Theorem 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.drawing import draw_states
from consilience.exceptions import (
    ConsilienceWarning,
    InvalidArgumentError,
    InvalidVotesError,
    NotIdentifiableError,
    SingularCovarianceError,
    WrongTypeError,
    in_digits,
    listed,
)
from consilience.fitted_model import FittedModel
from consilience.many_sources import observe_alone
from consilience.statistics import VoteStatistics, read_weights
from consilience.table import Table
from consilience.task_graph import ABSTAIN
from consilience.tied import SourceTable
from consilience.votes import Votes

__all__ = ["LabelUncertainty", "draw_votes", "measure_uncertainty"]

MAX_DRAWN = 100_000
"""Items of a draw. Of larger fits so many are drawn, and what they move is scaled down to all."""

_QUANTILES = {"half of the items, below": 0.5, "90 % of the items, below": 0.9, "all items, below": 1.0}

Floats = NDArray[np.float64]
Refit = Callable[[np.random.Generator], Any]
"""Draws items and fits an estimator to them."""


@dataclass(frozen=True, eq=False, repr=False)
class LabelUncertainty:
    """How far labels move from one set of items to another; prints as a table.

    Attributes
    ----------
    mean : float
        Mean total variation between the labels of the fit and of refits, over items and draws: half the sum
        of absolute differences of the probabilities, from 0 to 1.
    error : float
        Standard error of that mean, from the number of draws.
    by_item : (n_items,) float64 array
        The same for each item.
    by_draw : (n_draws,) float64 array
        The same for each refit.
    is_resampled : bool
        Whether the items themselves were drawn, with replacement; otherwise items of the fitted model were.
    n_failed : int
        Draws to which the method could not be fitted; they count nowhere.
    priors : tuple of str
        Sources whose accuracy was not learned: refits share their prior, and what it does to labels does not
        show.
    """

    mean: float
    error: float
    by_item: Floats
    by_draw: Floats
    is_resampled: bool
    n_failed: int = 0
    priors: tuple[str, ...] = ()

    @cached_property
    def table(self) -> Table:
        """Columns items, total_variation: the mean, and what parts of the items lie below."""
        parts = _QUANTILES if len(self.by_item) else {}
        quantiles = [float(np.quantile(self.by_item, q)) for q in parts.values()]
        drawn = "the votes themselves, with replacement" if self.is_resampled else "the fitted model"
        notes = [f"{len(self.by_draw)} refits to items drawn from {drawn}"]
        if self.n_failed:
            notes.append(f"{self.n_failed} more draws could not be fitted: votes hardly tell what is learned")
        if self.priors:
            notes.append(
                f"the accuracy of {listed(self.priors)} was not learned: refits share its prior, and what "
                "that does to labels does not show"
            )
        about = f"{self.mean:.2g} ± {self.error:.1g}"
        return Table(
            {
                "items": ["mean", *parts],
                "total_variation": [self.mean, *quantiles],
            },
            title=f"Had other items been drawn, labels would differ by {about} on average",
            notes=notes,
        )

    def __repr__(self) -> str:
        return f"LabelUncertainty(mean={self.mean:.3g}, error={self.error:.2g}, n_draws={len(self.by_draw)})"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def measure_uncertainty(
    model: FittedModel,
    tables: Sequence[SourceTable],
    votes: Votes,
    labels: Floats,
    weights: ArrayLike | None,
    estimator: Callable[..., Any],
    *,
    n_draws: int,
    random_state: Any,
) -> LabelUncertainty:
    """Mean total variation between the labels of a fit and those of refits.

    Parameters
    ----------
    model : FittedModel
        The fit.
    tables : sequence of SourceTable
        One a source, as items are drawn by them.
    votes : Votes
        Items to label.
    labels : (n_items, K) float64 array
        Their joint posterior by the fit.
    weights : (n_items,) array, optional
        How many items each row stands for.
    estimator : callable
        Takes parameters by name, and gives what has ``fit`` and ``predict_joint``.
    n_draws : int
        At least 2.
    random_state
        Seed; None is 0.

    Raises
    ------
    InvalidArgumentError
        If there are fewer than two draws, or the votes are others than they have to be.
    NotIdentifiableError
        If fewer than two draws could be fitted.
    """
    if isinstance(n_draws, bool) or not isinstance(n_draws, (int, np.integer)):
        raise WrongTypeError(f"n_draws must be an int, got {type(n_draws).__name__}")
    if n_draws < 2:
        raise InvalidArgumentError(f"n_draws must be at least 2, got {n_draws}")
    seeds = np.random.default_rng(0 if random_state is None else random_state).integers(
        2**63, size=int(n_draws)
    )
    counts = None if weights is None else read_weights(weights, votes.n_items).astype(np.float64)
    is_resampled = bool(model.fit.parts)
    if is_resampled:
        scale, refit = 1.0, _refit_to_resampled(model, votes, counts, estimator)
    else:
        scale, refit = _refit_to_drawn(model, tables, estimator)
    share = np.ones(votes.n_items) if counts is None else counts
    share = share / max(float(share.sum()), 1e-300)
    by_item, by_draw = np.zeros(votes.n_items), []
    for seed in seeds.tolist():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConsilienceWarning)
                moved = refit(np.random.default_rng(seed)).predict_joint(votes)
        except (InvalidVotesError, NotIdentifiableError, SingularCovarianceError):
            continue
        variation = np.minimum(scale * 0.5 * np.abs(moved - labels).sum(axis=1), 1.0)
        by_item += variation
        by_draw.append(float(share @ variation))
    if len(by_draw) < 2:
        raise NotIdentifiableError(
            f"the method could be fitted to {len(by_draw)} of {n_draws} draws only: what the votes tell "
            "hangs on single items; give more items"
        )
    found = np.array(by_draw)
    prior = np.asarray(~model.fit.learned & (model.statistics.n_votes > 0))
    return LabelUncertainty(
        float(found.mean()),
        float(found.std(ddof=1) / np.sqrt(len(found))),
        by_item / len(found),
        found,
        is_resampled,
        int(n_draws) - len(found),
        tuple(name for name, own in zip(model.fit.report.source_names, prior.tolist(), strict=True) if own),
    )


def _refit_to_drawn(
    model: FittedModel, tables: Sequence[SourceTable], estimator: Callable[..., Any]
) -> tuple[float, Refit]:
    """Refits to items of the fitted model, by the method that the fit went by."""
    params = _params(model)
    if params["method"] == "auto" and model.fit.model is not None:
        params["method"] = "em"
    n = max(1, round(float(model.statistics.n)))
    n_drawn = min(n, MAX_DRAWN)

    def refit(rng: np.random.Generator) -> Any:
        drawn: Any = draw_votes(model, tables, n_drawn, rng)
        weights = np.full(n_drawn, n / n_drawn) if n > n_drawn else None
        if params["method"] == "auto":  # it was fitted on statistics alone
            given = None if isinstance(params["dependencies"], str) else params["dependencies"]
            graph = params["task_graph"]
            drawn, weights = VoteStatistics.of(drawn, weights, task_graph=graph, dependencies=given), None
        return estimator(**params).fit(drawn, weights)

    return float(np.sqrt(n_drawn / n)), refit


def _refit_to_resampled(
    model: FittedModel, votes: Votes, weights: Floats | None, estimator: Callable[..., Any]
) -> Refit:
    """Refits to the same votes, as many drawn with replacement.

    Raises
    ------
    InvalidArgumentError
        If these are not the votes that the model was fitted on.
    """
    statistics, params = model.statistics, _params(model)
    if not _are_those_of(statistics, votes, weights):
        n_given = votes.n_items if weights is None else weights.sum()
        raise InvalidArgumentError(
            "the labels of this model average cautious fits, whose uncertainty is measured by drawing from "
            f"the votes that it was fitted on, and these are others ({in_digits(n_given)} items, not "
            f"{in_digits(statistics.n)}, or other votes on them); give the votes of fit, with their weights"
        )
    share = np.ones(votes.n_items) if weights is None else weights
    share = share / share.sum()
    n = max(1, round(float(statistics.n)))
    return lambda rng: estimator(**params).fit(votes, rng.multinomial(n, share))


def _are_those_of(statistics: VoteStatistics, votes: Votes, weights: Floats | None) -> bool:
    """Whether these are the votes that were counted, as far as their counts tell."""
    graph = statistics.task_graph
    if statistics.is_without_pairs:
        alone = observe_alone(votes, graph, weights, None, min_votes_per_indicator=np.inf)
        if alone is None:
            return False
        given, name = alone.statistics, "n_votes"
    else:
        given, name = VoteStatistics.of(votes, weights, task_graph=graph), "pairs"
    ours, theirs = getattr(statistics, name), getattr(given, name)
    same = ours.shape == theirs.shape and np.allclose(ours, theirs)
    return bool(same and np.isclose(float(given.n), float(statistics.n)))


def _params(model: FittedModel) -> dict[str, Any]:
    """Parameters of the model, with the tasks and dependencies that it found in its votes."""
    params = {**model.params, "n_classes": None, "classes": None, "task_graph": model.statistics.task_graph}
    found = model.dependencies
    # The default looked for them. Teams that count once are drawn as copies, and found as such.
    if found is not None and found.pairs and params["dependencies"] is None:
        params["dependencies"] = list(found.pairs)
    return params


def draw_votes(model: FittedModel, tables: Sequence[SourceTable], n: int, rng: np.random.Generator) -> Votes:
    """Votes on items drawn from a fitted model.

    Parameters
    ----------
    model : FittedModel
        What sources depend on each other, which repeat others, and the class balance.
    tables : sequence of SourceTable
        One a source.
    n : int
        Number of items.
    rng : Generator
        Where they come from.
    """
    fit, statistics = model.fit, model.statistics
    graph, m = statistics.task_graph, statistics.n_sources
    label = rng.choice(graph.n_vectors, n, p=model.class_balance)
    own = np.flatnonzero(fit.first == np.arange(m)).tolist()
    states = draw_states(label, tables, fit.layout, fit.components, own, lambda _: rng)[:, fit.first]
    silent = np.full((1, graph.n_tasks), ABSTAIN, dtype=np.int64)
    votes = {task: np.empty((n, m), dtype=np.int32) for task in graph.tasks}
    for j, table in enumerate(tables):
        said = np.vstack([silent, table.events])[states[:, j]]
        for r, task in enumerate(graph.tasks):
            votes[task][:, j] = said[:, r]
    return Votes.from_tasks(votes, task_graph=graph, source_names=statistics.source_names)
