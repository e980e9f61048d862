"""From votes to a fitted model: the steps of a fit, in order.

Votes are read and counted (:func:`learn_votes`, :func:`read_further`); then (:func:`learn`) dependencies are
learned where that is asked for, tables by the moments, the class balance and the signs by third moments, and
what the method goes on to from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.accuracy_prior import AccuracyPrior, read_accuracy_prior
from consilience.arrays import as_array, in_item_order
from consilience.automatic import fit_automatically
from consilience.checkpoint import Checkpoint
from consilience.chunks import is_stream
from consilience.class_balance import (
    BalanceEstimate,
    balance_of_labels,
    is_even,
    read_class_balance,
)
from consilience.class_numbers import check_class_numbers
from consilience.dependence import find_dependencies, learn_from_votes
from consilience.dependency_report import DependencyReport
from consilience.distinct_rows import DistinctRows
from consilience.exceptions import (
    ConsilienceWarning,
    InvalidArgumentError,
    InvalidVotesError,
    NotIdentifiableError,
    NotIdentifiableWarning,
    WrongTypeError,
    listed,
    warn_caller,
)
from consilience.fitted_model import FittedModel
from consilience.fitting import SourceFit, fit_sources
from consilience.gold import Gold, GoldCounts, count_gold, read_gold
from consilience.goodness_of_fit import MIN_VOTES_PER_STRENGTH, can_be_tested_by_pairs
from consilience.many_sources import observe_alone, with_prior_tables
from consilience.near_copies import find_teams
from consilience.parameters import Parameters
from consilience.plans import maximise_by_evidence, two_sided
from consilience.progress import Progress
from consilience.refinement import may_be_uneven, refine, uneven_balance, warn_of_signs
from consilience.signs import is_disputed, read_trusted
from consilience.source_graph import names_of_sources
from consilience.statistics import (
    Observation,
    VoteStatistics,
    count_triples,
    graph_of,
    observe,
    threads_of,
    without_pairs,
)
from consilience.streams import Observed, observe_chunks
from consilience.task_graph import TaskGraph
from consilience.votes import as_votes

__all__ = ["learn", "learn_votes", "read_further"]

MAX_LEARNED_SOURCES = 64
"""Sources up to which the default looks for dependencies."""

MIN_VOTES_PER_INDICATOR = {"auto": MIN_VOTES_PER_STRENGTH, "em": MIN_VOTES_PER_STRENGTH, "majority": np.inf}
"""Votes for each indicator from which on a method has a use for pairs, if there are many indicators."""

CHANCE = 10.0
"""Difference of BIC from which on the signs that third moments choose are followed."""

LEAST_SOURCES, MUTE = 3, 0.05
"""Sources that must say something where abstentions say nothing, and the share of the votes from which on
those that do not are more than a stray vote."""


# --- votes are read ----------------------------------------------------------------------------------------


def learn_votes(
    parameters: Parameters,
    votes: Any,
    weights: ArrayLike | None = None,
    y: Any = None,
    progress: Progress = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> FittedModel:
    """What votes in any form tell; the arguments are those of ``LabelModel.fit``."""
    if y is not None:
        _check_gold_is_of_use(parameters, votes)
    elif weights is not None:
        _check_no_labels(weights)
    may_be_labels = y is None and weights is not None
    saved = None if checkpoint is None else Checkpoint(checkpoint, votes, weights)
    if isinstance(votes, VoteStatistics):
        return learn(parameters, _given(parameters, votes, weights))
    weights = in_item_order(weights, votes, "weights")
    if is_stream(votes):
        triples = parameters.counts_triples
        observed = _observe_chunks(
            parameters, votes, weights, progress, before=None, triples=triples, checkpoint=saved
        )
        if may_be_labels:
            _warn_of_labels(weights, observed.statistics.task_graph)
        model = learn(parameters, observed.statistics, observed.observation())
        if saved is not None:
            saved.remove()
        return model
    observation, infers_classes = _observe(parameters, votes, weights)
    graph = observation.statistics.task_graph
    if may_be_labels:
        _warn_of_labels(weights, graph)
    if isinstance(y, Mapping):
        y = {task: in_item_order(labels, votes, f"y[{task!r}]") for task, labels in y.items()}
    else:
        y = in_item_order(y, votes, "y")
    gold = read_gold(y, observation.coded.votes.n_items, graph)
    check_class_numbers(
        votes,
        parameters.form(),
        graph,
        observation.voted_events,
        infers_classes=infers_classes,
        named=None if gold is None else gold.named,
    )
    return learn(parameters, observation.statistics, observation, gold)


def read_further(
    parameters: Parameters,
    seen: VoteStatistics | None,
    rows: DistinctRows | None,
    votes: Any,
    weights: ArrayLike | None = None,
) -> Observed:
    """What was seen so far together with further votes, of which nothing is learned yet.

    Parameters
    ----------
    parameters : Parameters
        Of the model.
    seen : VoteStatistics or None
        Statistics of all items before; None if there were none.
    rows : DistinctRows or None
        Their rows, where all of them were kept.
    votes, weights
        As for ``LabelModel.partial_fit``.

    Raises
    ------
    ConsilienceError
        If the votes are not of an allowed form, or rows are missing that the method needs.
    """
    if isinstance(votes, VoteStatistics):
        statistics = _given(parameters, votes, weights)
        observed = Observed(statistics if seen is None else seen.merge(statistics), None)
    else:
        if weights is not None:
            _check_no_labels(weights)
        weights = in_item_order(weights, votes, "weights")
        if seen is not None and seen.is_without_pairs and rows is None:
            raise InvalidArgumentError(without_pairs(seen.n_sources))
        # A later call may be of another method.
        before = None if seen is None else Observed(seen, rows)
        observed = _observe_chunks(parameters, votes, weights, None, before=before, triples=True)
        if weights is not None:
            _warn_of_labels(weights, observed.statistics.task_graph)
    needs = {
        'method="em"': parameters.method == "em",
        'dependencies="learn"': parameters.learns_dependencies,
        "accuracy_prior": bool(parameters.accuracy_prior),
    }
    what = next((name for name, does in needs.items() if does), None)
    if what is not None and observed.rows is None and not isinstance(votes, VoteStatistics):
        raise InvalidArgumentError(
            f"{what} needs the rows of all votes, and only statistics are left of what this model has "
            "seen; give all votes to fit, or begin with partial_fit"
        )
    return observed


def _check_no_labels(weights: Any) -> None:
    """Refuse gold labels where weights belong: scikit-learn hands labels over second, without their name."""
    remedy = "weights come second; if these are gold labels, give them as y=: fit(votes, y=gold)"
    if isinstance(weights, Mapping):
        raise WrongTypeError(
            f"weights must be numbers, one an item, got a dict of {listed(weights)}; {remedy}"
        )
    array = as_array(weights, "weights")
    if array.dtype.kind in "OSU" and array.size:
        raise WrongTypeError(f"weights must be numbers, one an item, got {array.flat[0]!r:.80}; {remedy}")
    if array.ndim == 1 and array.dtype.kind in "if" and (array < 0).any():
        row = int(np.argmax(array < 0))
        raise InvalidArgumentError(f"weights[{row}] is {array[row]}; weights must be at least 0; {remedy}")


def _warn_of_labels(weights: Any, graph: TaskGraph) -> None:
    """Warn of weights that could be a label for every item: whole numbers, each of them 0..k-1, one a 0.

    Weights of 0 are rare elsewhere, for such rows can be left out. Booleans are a mask.
    """
    given = as_array(weights, "weights")
    if graph.n_tasks > 1 or given.dtype.kind not in "iuf" or not given.size:
        return
    k = graph.cardinalities[0]
    lowest, highest = given.min(), given.max()
    if lowest == 0 and 0 < highest < k and (given.dtype.kind != "f" or np.array_equal(given, given.round())):
        silent = "give a mask as booleans" if k == 2 else "leave out the rows of weight 0"
        warn_caller(
            f"weights look like class labels, whole numbers from 0 to {highest:.0f} for {k} classes; weights "
            f"come second: give gold labels as fit(votes, y=gold). If they are weights, {silent}",
            ConsilienceWarning,
        )


def _check_gold_is_of_use(parameters: Parameters, votes: Any) -> None:
    if parameters.method == "majority":
        raise InvalidArgumentError(
            'y is not used by method="majority", which counts votes; leave it out, or use "auto"'
        )
    if isinstance(votes, VoteStatistics) or is_stream(votes):
        what = "statistics of votes" if isinstance(votes, VoteStatistics) else "votes in chunks"
        raise InvalidArgumentError(
            f"y gives labels to items, and {what} do not keep them apart; give the votes in one piece"
        )


def _given(parameters: Parameters, statistics: VoteStatistics, weights: ArrayLike | None) -> VoteStatistics:
    """Statistics that were handed over, checked."""
    if weights is not None:
        raise InvalidArgumentError("weights belong to items; the statistics hold theirs already")
    if parameters.method == "em":
        raise InvalidArgumentError('method="em" needs the votes themselves, not their statistics')
    graph, expected = statistics.task_graph, parameters.task_graph
    if expected is None and (parameters.n_classes is not None or parameters.classes is not None):
        own: Any = parameters.n_classes if parameters.classes is None else list(parameters.classes)
        expected = TaskGraph({graph.tasks[0]: own})
    if expected is not None and expected != graph:
        raise InvalidArgumentError(f"the statistics are about {graph!r}, the model about {expected!r}")
    return statistics


def _observe(parameters: Parameters, votes: Any, weights: ArrayLike | None) -> tuple[Observation, bool]:
    """Votes in one piece with their statistics, and whether they do not say how many classes there are."""
    graph, n_classes, classes = parameters.task_graph, parameters.n_classes, parameters.classes
    read = as_votes(votes, n_classes=n_classes, classes=classes, task_graph=graph)
    graph = graph_of(read, n_classes, classes) if graph is None else graph
    if parameters.dependencies is None and not parameters.is_strict:
        enough = MIN_VOTES_PER_INDICATOR[parameters.method]
        alone = observe_alone(read, graph, weights, parameters.n_threads, min_votes_per_indicator=enough)
        if alone is not None:
            return alone, read.infers_classes
    observed = observe(
        read,
        graph,
        weights,
        parameters.n_threads,
        parameters.given_dependencies,
        strict=parameters.is_strict,
        triples=parameters.counts_triples,
    )
    return observed, read.infers_classes


def _observe_chunks(
    parameters: Parameters,
    votes: Any,
    weights: ArrayLike | None,
    progress: Progress,
    *,
    before: Observed | None,
    triples: bool,
    checkpoint: Checkpoint | None = None,
) -> Observed:
    may_be_alone = parameters.dependencies is None and not parameters.is_strict
    return observe_chunks(
        votes,
        parameters.form(None if before is None else before.statistics.source_names),
        weights=weights,
        n_threads=parameters.n_threads,
        dependencies=parameters.given_dependencies,
        strict=parameters.is_strict,
        keeps_rows=parameters.keeps_rows,
        triples=triples,
        min_votes_per_indicator=MIN_VOTES_PER_INDICATOR[parameters.method] if may_be_alone else None,
        before=before,
        progress=progress,
        checkpoint=checkpoint,
    )


# --- and learned from --------------------------------------------------------------------------------------


def learn(
    parameters: Parameters,
    statistics: VoteStatistics,
    observed: Observation | None = None,
    gold: Gold | None = None,
) -> FittedModel:
    """What statistics tell, and the votes themselves where these are at hand.

    Parameters
    ----------
    parameters : Parameters
        What is asked.
    statistics : VoteStatistics
        Of all votes.
    observed : Observation or None
        The votes.
    gold : Gold or None
        What is known of their labels.

    Raises
    ------
    InvalidVotesError
        If there is no vote.
    InvalidArgumentError, WrongTypeError
        If a parameter does not fit the votes.
    NotIdentifiableError, SingularCovarianceError
        If the method is ``"completion"`` or ``"moments"`` and the votes cannot determine the accuracies.
    """
    if not statistics.n_votes.any():
        raise InvalidVotesError(
            f"none of the {statistics.n_sources} sources votes on any item; give at least one vote"
        )
    parameters.check_order(statistics.task_graph)
    balance = read_class_balance(parameters.class_balance, statistics.task_graph)
    remark = _about_mute(parameters, statistics, has_gold=gold is not None)
    if remark is not None and parameters.method != "majority":
        if parameters.is_strict:
            raise NotIdentifiableError(remark)
        warn_caller(f"{remark} Labels are those of the majority", NotIdentifiableWarning)
        model = _learn_given(replace(parameters, method="majority"), statistics, observed, None, None)
        return replace(model, fit=replace(model.fit, said=[*model.fit.remarks, remark]))
    if parameters.learns_dependencies and observed is None:
        return _learn_given(parameters, statistics, None, gold, _of_statistics(statistics, balance))
    threads = threads_of(parameters.n_threads)
    if parameters.learns_dependencies and observed is not None:
        learned, observed = learn_from_votes(observed, balance, n_threads=threads)
        return _learn_given(parameters, observed.statistics, observed, gold, learned)
    model = _learn_given(parameters, statistics, observed, gold, None)
    if observed is None:
        return model
    if parameters.method == "auto" and _sign_is_open(parameters, model.fit):
        turned = _learn_given(parameters, statistics, observed, gold, None, warns=False, settles_signs=True)
        if _is_likelier(turned, model):
            warn_of_signs(turned.fit)
            return turned
    if not _may_look_for_dependencies(parameters, model):
        return model
    # What makes the fit cautious may be teams of near-copies among sources that are independent.
    teams = find_teams(statistics, balance)
    if teams.teams:
        other = _learn_given(parameters, statistics, observed, gold, teams, warns=False)
        if not other.fit.parts:
            return other
    # Or a few sources that depend on each other. One-sided ones hang together like copies whatever makes them
    # fire on the same items, and with that explained, the label may be taken for it.
    sided = two_sided(statistics)
    if np.count_nonzero(sided) < 2:
        return model
    found, counted = learn_from_votes(observed, balance, n_threads=threads, most=statistics.n_sources)
    if not found.pairs or not sided[np.unique(found.pairs)].all():
        return model
    other = _learn_given(parameters, counted.statistics, counted, gold, found, warns=False)
    return model if other.fit.parts else other


def _about_mute(parameters: Parameters, statistics: VoteStatistics, *, has_gold: bool) -> str | None:
    """Why votes say nothing where abstentions are said to: the kind of vote is all the same. Or None."""
    if parameters.abstentions != "missing" or has_gold or parameters.accuracy_prior is not None:
        return None
    of_source = np.bincount(statistics.node_source, minlength=statistics.n_sources)
    of_nodes = np.bincount(statistics.node_source, np.diag(statistics.pairs), statistics.n_sources)
    is_mute = (of_source == 1) & (of_nodes == statistics.n_votes)
    share = float(statistics.n_votes[is_mute].sum()) / max(float(statistics.n_votes.sum()), 1.0)
    if share < MUTE or np.count_nonzero((statistics.n_votes > 0) & ~is_mute) >= LEAST_SOURCES:
        return None
    names = names_of_sources(statistics.source_names, statistics.n_sources)
    return (
        f'abstentions="missing" leaves nothing to tell from the votes of '
        f"{listed(names[j] for j in np.flatnonzero(is_mute))}: whenever they vote they say the same, and "
        f'fewer than {LEAST_SOURCES} other sources vote. Let it count whether they vote: abstentions="auto".'
    )


def _of_statistics(statistics: VoteStatistics, balance: NDArray[np.float64]) -> DependencyReport:
    """What pairs tell of dependencies, which suffices only where there is nothing to count together."""
    learned = find_dependencies(statistics, balance)
    if learned.pairs:
        raise InvalidArgumentError(
            f"the statistics show dependent sources, {learned.pairs}, but do not count them together; "
            "fit on the votes, or give these pairs to VoteStatistics.of and to the model as dependencies"
        )
    return learned


def _is_likelier(turned: FittedModel, model: FittedModel) -> bool:
    """Whether a fit whose signs third moments chose is trusted, and the other is not, or is less likely."""
    if "third moments" not in turned.fit.sign_rules or turned.fit.parts:
        return False
    return bool(model.fit.parts) or min(turned.fit.bic.values()) < min(model.fit.bic.values()) - CHANCE


def _may_look_for_dependencies(parameters: Parameters, model: FittedModel) -> bool:
    """Whether a fit by default is cautious although there are votes enough for a likelihood."""
    return (
        parameters.method == "auto"
        and parameters.dependencies is None
        and bool(model.fit.parts)
        and model.statistics.n_sources <= MAX_LEARNED_SOURCES
        and can_be_tested_by_pairs(model.statistics, model.fit, len(model.class_balance))
    )


def _learn_given(
    parameters: Parameters,
    statistics: VoteStatistics,
    observed: Observation | None,
    gold: Gold | None,
    learned: DependencyReport | None,
    *,
    warns: bool = True,
    settles_signs: bool = False,
) -> FittedModel:
    """What votes tell under dependencies that were learned, or those that are given.

    With `settles_signs` third moments choose the signs where sources dispute them.
    """
    balance = read_class_balance(parameters.class_balance, statistics.task_graph)
    dependencies: Any = parameters.given_dependencies if learned is None else learned
    prior = _read_prior(parameters, statistics)
    if prior is not None and observed is None:
        raise InvalidArgumentError(
            "accuracy_prior needs the votes, and statistics alone are fitted by moments; leave it out"
        )
    believed = None if prior is None else prior.votes > 0
    counts = None if gold is None or observed is None else count_gold(gold, observed)
    estimate = None
    if counts is not None and parameters.class_balance is None:
        estimate = balance_of_labels(counts.weights)
        balance = balance if estimate is None else estimate.class_balance
    by_gold = estimate is not None
    fit = fit_sources(
        statistics,
        balance,
        dependencies,
        parameters.method,
        trusted=parameters.trusted,
        gold=counts,
        believed=believed,
        warns=warns and not statistics.is_without_pairs,
    )
    if statistics.is_without_pairs and observed is not None:
        fit = with_prior_tables(fit, observed, balance)
    if not parameters.counts_triples and (parameters.method != "auto" or observed is not None):
        statistics = replace(statistics, triples=None)
    if estimate is None:
        fit, estimate = _with_third_moments(
            parameters,
            fit,
            statistics,
            observed,
            dependencies,
            counts,
            believed,
            settles_signs=settles_signs or parameters.method == "em",
            warns=warns,
        )
        balance = fit.structure.system.class_balance
    if parameters.uses_rows and observed is not None:
        estimate = None  # they learn the balance further, with errors of their own
        are_learned = learned is not None
        fit, balance = _learn_from_rows(
            parameters, observed, fit, balance, gold, prior, dependencies_learned=are_learned
        )
    model = FittedModel(parameters.by_name(), statistics, fit, balance, learned)
    if counts is not None:
        model = replace(
            model,
            n_gold=counts.n,
            n_certain=counts.n_certain,
            balance_by_gold=by_gold and estimate is not None,
        )
    if estimate is None:
        return model
    return replace(model, balance_error=estimate.wider_error, balance_told=estimate.is_told)


def _read_prior(parameters: Parameters, statistics: VoteStatistics) -> AccuracyPrior | None:
    if parameters.accuracy_prior is None:
        return None
    names = names_of_sources(statistics.source_names, statistics.n_sources)
    return read_accuracy_prior(parameters.accuracy_prior, names)


def _learn_from_rows(
    parameters: Parameters,
    observed: Observation,
    fit: SourceFit,
    balance: NDArray[np.float64],
    gold: Gold | None,
    prior: AccuracyPrior | None,
    *,
    dependencies_learned: bool,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """Where "em" and "auto" go on to from the moments: a fit, and its class balance."""
    go_on: Callable[..., tuple[SourceFit, NDArray[np.float64]]] = maximise_by_evidence
    if parameters.method == "auto":
        go_on = partial(
            fit_automatically, dependencies_learned=dependencies_learned, ordered=parameters.ordered
        )
    statistics = observed.statistics
    names = names_of_sources(statistics.source_names, statistics.n_sources)
    return go_on(
        observed,
        fit,
        balance,
        learn_balance=parameters.class_balance is None,
        missing=parameters.abstentions == "missing",
        asks=parameters.abstentions == "auto",
        n_threads=threads_of(parameters.n_threads),
        gold=gold,
        prior=prior,
        trusted=read_trusted(parameters.trusted, names),
    )


def _with_third_moments(
    parameters: Parameters,
    fit: SourceFit,
    statistics: VoteStatistics,
    observed: Observation | None,
    dependencies: Any,
    gold: GoldCounts | None,
    believed: NDArray[np.bool_] | None,
    *,
    settles_signs: bool,
    warns: bool,
) -> tuple[SourceFit, BalanceEstimate | None]:
    """The fit under the class balance, and with the signs, that third moments tell.

    The balance is what methods of moments learn, and where EM starts. "em" looks at the signs too, where
    sources dispute them; "auto" first does without, as that asks of sources to be independent, unless it has
    nothing but moments to go by.
    """
    if not fit.learned.any():
        return fit, None
    refit = partial(
        fit_sources,
        statistics,
        dependencies=dependencies,
        method=parameters.method,
        trusted=parameters.trusted,
        gold=gold,
        believed=believed,
        warns=False,
    )
    if statistics.triples is not None:
        return refine(statistics, fit, refit, learn_balance=parameters.class_balance is None, warns=warns)
    if observed is None or statistics.is_without_pairs or not parameters.uses_rows:
        return fit, None
    settles_signs = settles_signs and _sign_is_open(parameters, fit)
    if not settles_signs and (parameters.class_balance is not None or not may_be_uneven(fit)):
        return fit, None
    # Copies are known by now, and meet in no triple with what they repeat.
    component = fit.structure.system.source_graph.component[fit.first]
    counted = count_triples(observed, component, threads_of(parameters.n_threads)).statistics
    if settles_signs:
        return refine(counted, fit, refit, learn_balance=parameters.class_balance is None, warns=warns)
    uneven = uneven_balance(counted, fit)
    return (fit if uneven is None else refit(class_balance=uneven)), None


def _sign_is_open(parameters: Parameters, fit: SourceFit) -> bool:
    """Whether sources disagree about which way is right, and third moments could tell."""
    choice, balance = fit.sign_choice, fit.structure.system.class_balance
    told = len(balance) > 2 if parameters.class_balance is None else not is_even(balance)
    return told and choice is not None and is_disputed(fit.structure.report, fit.strength, choice)
