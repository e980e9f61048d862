"""LabelModel: from votes to source accuracies and probabilistic labels, without gold labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from consilience import _core
from consilience.accuracy_prior import Beliefs, read_accuracy_prior
from consilience.answers import Written, frame_like, gather, write_answers
from consilience.automatic import could_be_tested, fit_automatically
from consilience.chunks import Chunk, Form, VoteChunks, is_stream, open_chunks
from consilience.class_balance import (
    BalanceEstimate,
    ClassBalance,
    balance_of_labels,
    is_told,
    read_class_balance,
    read_shares,
)
from consilience.container import read_file, write_atomically
from consilience.dependence import find_dependencies, learn_from_votes
from consilience.dependency_report import DependencyReport
from consilience.distinct_rows import DistinctRows
from consilience.estimator import Estimator
from consilience.events import CodedVotes, code_votes, has_plain_events, warn_of_infeasible
from consilience.exceptions import (
    FileFormatError,
    InvalidArgumentError,
    InvalidVotesError,
    NotFittedError,
    NotIdentifiableError,
    SingularCovarianceError,
    WrongTypeError,
    listed,
)
from consilience.explanation import Explanation, explain_votes
from consilience.fitted_model import FittedModel
from consilience.fitting import METHODS, SourceFit, fit_sources
from consilience.gold import Gold, GoldCounts, count_gold, read_gold
from consilience.label_files import label_columns
from consilience.label_uncertainty import LabelUncertainty, measure_uncertainty
from consilience.likelihood import maximise_likelihood
from consilience.local_identifiability import LocalIdentifiability, local_identifiability_of
from consilience.planning import Plan, plan_items
from consilience.progress import Progress, Report, reporting
from consilience.refinement import may_be_uneven, refine, uneven_balance
from consilience.scores import model_events, score_parts
from consilience.signs import Trusted, is_disputed
from consilience.source_graph import SourceGraph
from consilience.statistics import (
    Observation,
    VoteStatistics,
    count_triples,
    graph_of,
    observe,
    threads_of,
)
from consilience.streams import Observed, observe_chunks
from consilience.table import Table
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.theorem2 import theorem2_terms
from consilience.tied import SourceTable
from consilience.votes import Votes, as_votes

__all__ = ["LabelModel", "load"]

ABSTENTIONS = ("auto", "informative", "missing")


MAX_LEARNED_SOURCES = 64
"""Sources up to which the default looks for dependencies."""

USE_ROWS = ("auto", "em")
"""Methods that look at rows of votes, not at their statistics alone."""


class LabelModel(Estimator):
    """Accuracies of sources, and probabilistic labels, from their votes alone.

    Parameters
    ----------
    n_classes, classes, task_graph : int, sequence of names, TaskGraph, optional
        What is voted on, at most one of the three; by default read from the votes. With a ``TaskGraph`` of
        several tasks, votes are ``{task: table}``.
    class_balance : None, "uniform" or (K,) array, optional
        ``P(Y)`` over the classes (over ``task_graph.feasible_set`` with several tasks): positive, sums to 1.
        None: learned from the votes where these tell it, and uniform otherwise.
    dependencies : iterable of pairs, or "learn", optional
        Sources, by index or name, that depend on each other given the true label. None: independent, but
        sources that vote alike on (almost) all items are found, counted once and reported. "learn" also finds
        pairs that hang together more, or less, than the labels explain, see :func:`learn_dependencies`.
    method : {"auto", "completion", "moments", "em", "majority"}
        ``"auto"`` always answers. It keeps the fit of greatest likelihood (``"em"``) where that explains how
        often every two sources vote together; what it leaves unexplained shows that sources depend on each
        other, and labels are then an average of more cautious fits, with priors and measured confidence.
        ``"completion"`` is the paper's Algorithm 1, one event at a time, with the inverse covariance scaled
        to unit diagonal (which changes the answer only where the fit is not exact). ``"moments"`` is its
        covariance form, all events at once. Both raise ``NotIdentifiableError`` where the votes cannot tell.
        ``"em"`` goes on from the moments to the maximum of the likelihood, with one strength a source, tied
        or free tables by BIC; it presumes that the sources are independent, or their dependencies given.
        ``"majority"`` counts votes. From statistics alone, without the votes, ``"auto"`` is ``"moments"``.
    abstentions : {"auto", "informative", "missing"}
        Whether an abstention is a state of the source, with a probability given the label, or says nothing.
        ``"auto"`` is informative.
    random_state : int, optional
        Seed of :meth:`label_uncertainty`; fits do not depend on it.
    n_threads : int, optional
        By default one a core. No result depends on it.
    trusted : index or name of a source, or several, optional
        Sources that are better than chance. Votes alone leave it open whether all sources are what they seem
        or the opposite; these decide it. None: third moments, where they tell and the class balance does not
        leave it open, else sources are better than chance on average. ``identifiability_.sign_rules`` says
        which. Cautious fits of ``"auto"`` start from the plain vote, and settle no sign.
    accuracy_prior : {source: (accuracy, votes)}, optional
        What you believe of some sources, by index or name: ``{"annotator": (0.9, 50)}`` counts as 50 votes of
        which 90 % were right, beside those that are observed. For ``"auto"`` and ``"em"``; sources that are
        modelled together with others that they depend on have none. Intervals do not count them.

    Attributes
    ----------
    classes_ : list, or {task: list}
        Class names, or ``0..k-1``: the order of every class axis.
    class_balance_ : (K,) float64 array
        ``P(Y)`` over the classes, or the feasible set.
    class_balance_error_ : (K,) float64 array, or None
        Its standard errors where it was learned from the votes, and these identify it. Worked out when
        first asked for.
    emission_ : (m, k + 1, k) float64 array, or list of (states, K) arrays
        ``[j, l, y] = P(source j votes l | Y = y)``, ``l = k`` abstains; the tables over ``y`` sum to 1.
    states_ : list of (states, t) int64 arrays
        What each row of the tables stands for, as a vote vector; the last row, only -1, abstains.
    accuracy_ : (m,) float64 array
        ``P(vote right | source votes)``; that of guessing for a source that never votes.
    accuracy_interval_ : (m, 2) float64 array
        95 % interval of each accuracy, for the class balance as given; (0, 1) where it was not learned. Where
        ``"auto"`` is cautious it spans what the other votes tell of a source's votes, and what these come to
        with its own: sources that depend on each other can be wrong together, which no votes can show.
        Worked out when first asked for.
    task_graph_ : TaskGraph
        Tasks, classes and feasible set: as given, or read from the votes.
    identifiability_ : IdentifiabilityReport
        What the votes determine, for this fit.
    dependencies_ : DependencyReport
        What was learned about dependencies, kept or not; with ``dependencies="learn"``, and where ``"auto"``
        found some that explain the votes.
    source_names_ : tuple of str
        Names of the sources, ``"source 0"``, ... where they have none.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 5000)
    >>> votes = np.where(rng.random((5000, 3)) < [0.9, 0.8, 0.7], y[:, None], 1 - y[:, None])
    >>> model = LabelModel(n_classes=2).fit(votes)
    >>> model.accuracy_.round(1).tolist()
    [0.9, 0.8, 0.7]
    """

    def __init__(
        self,
        n_classes: int | None = None,
        classes: Sequence[Hashable] | None = None,
        task_graph: TaskGraph | None = None,
        class_balance: ClassBalance = None,
        dependencies: Iterable[Sequence[int | str]] | str | None = None,
        method: str = "auto",
        abstentions: str = "auto",
        random_state: int | None = None,
        n_threads: int | None = None,
        trusted: Trusted = None,
        accuracy_prior: Beliefs = None,
    ) -> None:
        self.n_classes = n_classes
        self.classes = classes
        self.task_graph = task_graph
        self.class_balance = class_balance
        self.dependencies = dependencies
        self.method = method
        self.abstentions = abstentions
        self.random_state = random_state
        self.n_threads = n_threads
        self.trusted = trusted
        self.accuracy_prior = accuracy_prior

    _model: FittedModel | None = None
    _seen: VoteStatistics | None = None
    _rows: DistinctRows | None = None  # of what partial_fit has seen; None where some of it left no rows
    _reason: str | None = None

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(
        self,
        votes: Any,
        weights: ArrayLike | None = None,
        y: Any = None,
        *,
        progress: Progress = None,
    ) -> LabelModel:
        """Learn from votes, or from their statistics.

        Parameters
        ----------
        votes : (n_items, n_sources) table, sparse matrix, {task: table}, Votes, or VoteStatistics
            ``-1`` abstains. Or votes that are read chunk by chunk, in memory for one chunk: Parquet files
            (a path, a glob, a folder), a stream of Arrow, an iterator of any of the former, or a callable
            that gives a fresh one. Class names need `classes`, unless files or a callable bring them.
            ``"auto"`` and ``"em"`` keep the rows of chunks that differ, in up to 256 MiB.
        weights : (n_items,) array, optional
            How many items each row stands for.
        y : (n_items,) array, or {task: (n_items,) array}, optional
            Gold labels of some items: class indices, -1 where unknown, or class names, None where unknown.
            Numbers are indices, also where classes are named by numbers and in arrays of objects.
            Gold for some tasks leaves the label vectors that agree with it. To ``"auto"`` and ``"em"`` the
            labels of these items are known; ``"moments"`` and ``"completion"`` take from gold the signs and,
            from 50 items on, the class balance. The items should be drawn like the others. Later predictions
            treat them like any other item: by their votes.
        progress : bool or callable, optional
            True shows on standard error how many items of chunks are read; a function is called with that
            number and, where it is known, that of all.

        Returns
        -------
        LabelModel
            Itself.

        Raises
        ------
        InvalidVotesError, InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form; names the row and source. The model is left as it was.
        NotIdentifiableError
            If the method is ``"completion"`` or ``"moments"`` and the votes cannot determine the accuracies.
        """
        self._check_parameters()
        if y is not None:
            self._check_gold_is_of_use(votes)
        if isinstance(votes, VoteStatistics):
            self._set(self._learn(self._given(votes, weights)))
        elif is_stream(votes):
            observed = self._observe_chunks(
                votes, weights, progress, sources=None, triples=self._counts_triples
            )
            self._set(self._learn(observed.statistics, observed.observation()))
        else:
            observation = self._observe(votes, weights)
            items, graph = observation.coded.votes.n_items, observation.statistics.task_graph
            gold = read_gold(y, items, graph)
            self._set(self._learn(observation.statistics, observation, gold))
        self._rows = None
        return self

    def partial_fit(self, votes: Any, weights: ArrayLike | None = None) -> LabelModel:
        """Learn from further items, on top of those seen so far; exactly as from all of them at once.

        Give `n_classes`, `classes` or `task_graph` to the model, so that every chunk has the same classes.
        While the items seen so far do not suffice for the method, they are kept and the model counts as not
        fitted; the next prediction says why. ``"auto"`` and ``"em"`` keep the rows of votes that differ, in
        up to 256 MiB, and learn from all of them again each time. On top of :meth:`fit`, of statistics, or of
        a loaded model there are no such rows: ``"auto"`` then learns from the statistics alone.

        Raises
        ------
        InvalidVotesError, InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form, classes or sources differ from those seen so far, rows
            that differ are too many, rows of what was seen are missing that ``"em"`` or ``"learn"`` need, or
            the model was fitted with gold; it is left as it was.
        """
        self._check_parameters()
        if self._model is not None and self._model.n_gold:
            raise InvalidArgumentError(
                f"this model was fitted with gold labels of {self._model.n_gold:g} items, which partial_fit "
                "would lose; give all votes and their gold to fit, or begin anew with another LabelModel"
            )
        if isinstance(votes, VoteStatistics):
            observed = Observed(self._given(votes, weights), None)
        else:
            sources = None if self._seen is None else self._seen.source_names
            # A later call may be of another method.
            observed = self._observe_chunks(votes, weights, None, sources=sources, triples=True)
        if self._seen is not None:
            rows = observed.rows if self._rows is not None else None
            rows = None if rows is None or self._rows is None else self._rows.merge(rows)
            observed = Observed(self._seen.merge(observed.statistics), rows)
        learns = self._learns_dependencies and not isinstance(votes, VoteStatistics)
        if observed.rows is None and (self.method == "em" or learns):
            what = 'dependencies="learn"' if learns else 'method="em"'
            raise InvalidArgumentError(
                f"{what} needs the rows of all votes, and only statistics are left of what this model has "
                "seen; give all votes to fit, or begin with partial_fit"
            )
        statistics = observed.statistics
        try:
            if statistics.n_votes.any():
                self._set(self._learn(statistics, observed.observation()))
            else:
                self._postpone(statistics, "no source has voted so far")
        except (NotIdentifiableError, SingularCovarianceError) as error:
            self._postpone(statistics, str(error))
        self._seen, self._rows = observed.statistics, observed.rows
        return self

    def _postpone(self, statistics: VoteStatistics, reason: str) -> None:
        """Keep what was seen, and forget what was learned from less."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        self._seen, self._model, self._reason = statistics, None, reason

    def _check_gold_is_of_use(self, votes: Any) -> None:
        if self.method == "majority":
            raise InvalidArgumentError(
                'y is not used by method="majority", which counts votes; leave it out, or use "auto"'
            )
        if isinstance(votes, VoteStatistics) or is_stream(votes):
            what = "statistics of votes" if isinstance(votes, VoteStatistics) else "votes in chunks"
            raise InvalidArgumentError(
                f"y gives labels to items, and {what} do not keep them apart; give the votes in one piece"
            )

    def _given(self, statistics: VoteStatistics, weights: ArrayLike | None) -> VoteStatistics:
        if weights is not None:
            raise InvalidArgumentError("weights belong to items; the statistics hold theirs already")
        if self.method == "em":
            raise InvalidArgumentError('method="em" needs the votes themselves, not their statistics')
        self._check_graph(statistics.task_graph)
        return statistics

    def _observe(self, votes: Any, weights: ArrayLike | None) -> Observation:
        read = as_votes(votes, n_classes=self.n_classes, classes=self.classes, task_graph=self.task_graph)
        graph = self.task_graph
        if graph is None:
            graph = graph_of(read, self.n_classes, self.classes)
        return observe(
            read,
            graph,
            weights,
            self.n_threads,
            self._given_dependencies,
            strict=self._is_strict,
            triples=self._counts_triples,
        )

    def _observe_chunks(
        self,
        votes: Any,
        weights: ArrayLike | None,
        progress: Progress,
        *,
        sources: tuple[str, ...] | None,
        triples: bool,
    ) -> Observed:
        return observe_chunks(
            votes,
            Form(self.n_classes, self.classes, self.task_graph, sources),
            weights=weights,
            n_threads=self.n_threads,
            dependencies=self._given_dependencies,
            strict=self._is_strict,
            keeps_rows=self.method in USE_ROWS or self._learns_dependencies,
            triples=triples,
            progress=progress,
        )

    @property
    def _is_strict(self) -> bool:
        """Whether dependent sources that cannot be counted together are an error."""
        return self.method in ("moments", "completion")

    @property
    def _given_dependencies(self) -> Any:
        return None if isinstance(self.dependencies, str) else self.dependencies

    @property
    def _learns_dependencies(self) -> bool:
        return isinstance(self.dependencies, str) and self.method != "majority"

    def _check_graph(self, graph: TaskGraph) -> None:
        expected = self.task_graph
        if expected is None and (self.n_classes is not None or self.classes is not None):
            own: Any = self.n_classes if self.classes is None else list(self.classes)
            expected = TaskGraph({graph.tasks[0]: own})
        if expected is not None and expected != graph:
            raise InvalidArgumentError(f"the statistics are about {graph!r}, the model about {expected!r}")

    def _check_parameters(self) -> None:
        given = [name for name in ("n_classes", "classes", "task_graph") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InvalidArgumentError(
                f"give at most one of n_classes, classes and task_graph, not {listed(given)}"
            )
        if self.task_graph is not None and not isinstance(self.task_graph, TaskGraph):
            raise WrongTypeError(f"task_graph must be a TaskGraph, got {type(self.task_graph).__name__}")
        if self.classes is not None and (
            isinstance(self.classes, str) or not isinstance(self.classes, (Sequence, np.ndarray))
        ):
            raise WrongTypeError(f"classes must be a sequence of names, got {self.classes!r}")
        if isinstance(self.dependencies, str) and self.dependencies != "learn":
            raise InvalidArgumentError(
                f'dependencies must be "learn" or a list of pairs of sources, got {self.dependencies!r}'
            )
        if self.class_balance is not None and not isinstance(self.class_balance, str):
            read_shares(self.class_balance)
        if self.accuracy_prior is not None and self.method not in USE_ROWS:
            raise InvalidArgumentError(
                f'accuracy_prior is taken up by "auto" and "em", not by method={self.method!r}; leave it out'
            )
        if isinstance(self.trusted, Iterator):
            raise WrongTypeError(f"trusted must be a list of sources, got {type(self.trusted).__name__}")
        if isinstance(self.dependencies, Iterator):
            raise WrongTypeError(
                f"dependencies must be a list of pairs, got {type(self.dependencies).__name__}"
            )
        if self.method not in METHODS:
            raise InvalidArgumentError(f"method must be one of {listed(METHODS)}, got {self.method!r}")
        if self.abstentions not in ABSTENTIONS:
            raise InvalidArgumentError(
                f"abstentions must be one of {listed(ABSTENTIONS)}, got {self.abstentions!r}"
            )

    def _learn(
        self,
        statistics: VoteStatistics,
        observed: Observation | None = None,
        gold: Gold | None = None,
    ) -> FittedModel:
        if not statistics.n_votes.any():
            raise InvalidVotesError(
                f"none of the {statistics.n_sources} sources votes on any item; give at least one vote"
            )
        balance = read_class_balance(self.class_balance, statistics.task_graph)
        if self._learns_dependencies and observed is None:
            learned = self._of_statistics(statistics, balance)
            return self._learn_given(statistics, observed, gold, learned)
        threads = threads_of(self.n_threads)
        if self._learns_dependencies and observed is not None:
            learned, observed = learn_from_votes(observed, balance, n_threads=threads)
            return self._learn_given(observed.statistics, observed, gold, learned)
        model = self._learn_given(statistics, observed, gold, None)
        if observed is None or not self._may_look_for_dependencies(model):
            return model
        # What makes the fit cautious may be a few sources that depend on each other.
        found, counted = learn_from_votes(observed, balance, n_threads=threads, most=statistics.n_sources)
        if not found.pairs:
            return model
        other = self._learn_given(counted.statistics, counted, gold, found, warns=False)
        return model if other.fit.parts else other

    def _may_look_for_dependencies(self, model: FittedModel) -> bool:
        """Whether a fit by default is cautious although there are votes enough for a likelihood."""
        return (
            self.method == "auto"
            and self.dependencies is None
            and bool(model.fit.parts)
            and model.statistics.n_sources <= MAX_LEARNED_SOURCES
            and could_be_tested(model.statistics, model.fit, len(model.class_balance))
        )

    def _learn_given(
        self,
        statistics: VoteStatistics,
        observed: Observation | None,
        gold: Gold | None,
        learned: DependencyReport | None,
        *,
        warns: bool = True,
    ) -> FittedModel:
        """What votes tell under dependencies that were learned, or those that are given."""
        balance = read_class_balance(self.class_balance, statistics.task_graph)
        dependencies: Any = self._given_dependencies if learned is None else learned
        names = SourceGraph(statistics.n_sources, (), statistics.source_names).source_names
        prior = read_accuracy_prior(self.accuracy_prior, names)
        if prior is not None and observed is None:
            raise InvalidArgumentError(
                "accuracy_prior needs the votes, and statistics alone are fitted by moments; leave it out"
            )
        believed = None if prior is None else prior.votes > 0
        counts = None if gold is None or observed is None else count_gold(gold, observed)
        estimate = None
        if counts is not None and self.class_balance is None:
            estimate = balance_of_labels(counts.weights)
            balance = balance if estimate is None else estimate.class_balance
        by_gold = estimate is not None
        fit = fit_sources(
            statistics,
            balance,
            dependencies,
            self.method,
            trusted=self.trusted,
            gold=counts,
            believed=believed,
            warns=warns,
        )
        if not self._counts_triples and (self.method != "auto" or observed is not None):
            statistics = replace(statistics, triples=None)
        if estimate is None:
            fit, estimate = self._with_third_moments(
                fit, statistics, observed, dependencies, counts, believed
            )
            balance = fit.structure.system.class_balance
        if self.method in ("auto", "em") and observed is not None:
            estimate = None  # they learn the balance further, with errors of their own
            go_on: Any = maximise_likelihood
            if self.method == "auto":
                go_on = partial(fit_automatically, dependencies_learned=learned is not None)
            fit, balance = go_on(
                observed,
                fit,
                balance,
                learn_balance=self.class_balance is None,
                missing=self.abstentions == "missing",
                n_threads=threads_of(self.n_threads),
                gold=gold,
                prior=prior,
            )
        model = FittedModel(self.get_params(), statistics, fit, balance, learned)
        if counts is not None:
            model = replace(
                model,
                n_gold=counts.n,
                n_certain=counts.n_certain,
                balance_by_gold=by_gold and estimate is not None,
            )
        if estimate is None:
            return model
        return replace(model, balance_error=estimate.error, balance_told=estimate.is_told)

    def _with_third_moments(
        self,
        fit: SourceFit,
        statistics: VoteStatistics,
        observed: Observation | None,
        dependencies: Any,
        gold: GoldCounts | None,
        believed: NDArray[np.bool_] | None,
    ) -> tuple[SourceFit, BalanceEstimate | None]:
        """The fit under the class balance, and with the signs, that third moments tell.

        The balance is what methods of moments learn, and where EM starts. "em" looks at the signs too, where
        sources dispute them; "auto" does not presume that sources are as independent as that asks, unless it
        has nothing but moments to go by.
        """
        if not fit.learned.any():
            return fit, None
        refit = partial(
            fit_sources,
            statistics,
            dependencies=dependencies,
            method=self.method,
            trusted=self.trusted,
            gold=gold,
            believed=believed,
            warns=False,
        )
        if statistics.triples is not None:
            return refine(statistics, fit, refit, learn_balance=self.class_balance is None)
        if observed is None or self.method not in USE_ROWS:
            return fit, None
        settles_signs = self.method == "em" and self._sign_is_open(fit)
        if not settles_signs and (self.class_balance is not None or not may_be_uneven(fit)):
            return fit, None
        # Copies are known by now, and meet in no triple with what they repeat.
        component = fit.structure.system.source_graph.component[fit.first]
        counted = count_triples(observed, component, threads_of(self.n_threads)).statistics
        if settles_signs:
            return refine(counted, fit, refit, learn_balance=self.class_balance is None)
        uneven = uneven_balance(counted, fit)
        return (fit if uneven is None else refit(class_balance=uneven)), None

    @property
    def _counts_triples(self) -> bool:
        """Whether triples are counted with the pairs: where they tell the class balance, or the signs."""
        if self.method not in ("moments", "completion"):
            return False
        if isinstance(self.class_balance, str):
            graph = self.task_graph
            k = self.n_classes if self.classes is None else len(self.classes)
            return (k if graph is None else graph.n_vectors) != 2
        return self.class_balance is None or not _is_even(self.class_balance)

    def _sign_is_open(self, fit: SourceFit) -> bool:
        """Whether sources disagree about which way is right, and third moments could tell."""
        choice, balance = fit.sign_choice, fit.structure.system.class_balance
        told = len(balance) > 2 if self.class_balance is None else not _is_even(balance)
        return told and choice is not None and is_disputed(fit.structure.report, fit.strength, choice)

    @staticmethod
    def _of_statistics(statistics: VoteStatistics, balance: NDArray[np.float64]) -> DependencyReport:
        """What pairs tell, which suffices only where there is nothing to count together."""
        learned = find_dependencies(statistics, balance)
        if learned.pairs:
            raise InvalidArgumentError(
                f"the statistics show dependent sources, {learned.pairs}, but do not count them together; "
                "fit on the votes, or give these pairs to VoteStatistics.of and to the model as dependencies"
            )
        return learned

    def _set(self, model: FittedModel) -> None:
        """Take over what was learned; nothing before this changes the model."""
        fit, graph, balance = model.fit, model.statistics.task_graph, model.class_balance
        parts = score_parts(model)
        self._model = model
        # Which sources are counted together is learned anew, with further votes.
        self._seen = model.statistics if model.dependencies is None else model.statistics.without_joint()
        self._parts = parts
        self._errors: tuple[NDArray[np.float64], NDArray[np.float64] | None] | None = None
        self.identifiability_ = fit.report
        vars(self).pop("dependencies_", None)
        if model.dependencies is not None:
            self.dependencies_ = model.dependencies
        self.task_graph_ = graph
        self.class_balance_ = balance
        self.classes_ = graph.classes if graph.n_tasks > 1 else graph.classes[graph.tasks[0]]
        self.source_names_ = fit.report.source_names
        self.n_features_in_ = model.statistics.n_sources
        tables = self._tables()
        silent = np.full((1, graph.n_tasks), ABSTAIN, dtype=np.int64)
        self.states_ = [np.concatenate([table.events, silent]) for table in tables]
        self.emission_ = (
            _dense_emission(tables, graph) if has_plain_events(graph) else [t.table for t in tables]
        )
        self.accuracy_ = fit.accuracy(balance)

    def _tables(self) -> list[SourceTable]:
        """Table of each source as it is shown."""
        model = self._fitted()
        if model.params["abstentions"] != "missing":
            return model.fit.tables
        return [_as_missing(table, model.class_balance) for table in model.fit.tables]

    # --- prediction ----------------------------------------------------------------------------------------

    def predict_proba(
        self,
        votes: Any,
        *,
        dtype: DTypeLike = np.float64,
        out: str | os.PathLike[str] | None = None,
        progress: Progress = None,
    ) -> Any:
        """Probabilistic labels: ``P(Y_task = class | votes)``.

        Parameters
        ----------
        votes
            In any form that :meth:`fit` takes, with the same sources. Where both name them they are matched
            by name: others are left out, and one that is missing is an error, as it is not known to abstain.
        dtype : float64 or float32
            Of the probabilities. ``float32`` takes half the memory; it is the float64 result, rounded.
        out : path-like, optional
            Write labels and probabilities, chunk by chunk, to this ``.parquet``, ``.csv`` or ``.npz`` file
            (wholly or not at all). For votes in Parquet files also a folder, with one file for each of them:
            those that were finished before, for the same model and votes, are kept, so that a run that was
            interrupted is resumed by the same call.
        progress : bool or callable, optional
            As for :meth:`fit`.

        Returns
        -------
        (n_items, k) array, or {task: (n_items, k_task) array}
            Rows sum to 1; an item without votes has what the abstentions say, or the class balance. With
            `out`, a ``Written`` that names the files in place of the arrays; they hold the columns ``item``
            where votes came with ids, ``label`` and ``p_<class>`` (``<task>`` and ``p_<task>_<class>``).

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        InvalidArgumentError
            If `dtype` is another one.
        ConsilienceError
            If the votes are not of an allowed form, or of other sources.
        OSError
            If a file cannot be read, or `out` not be written.
        """
        single = _is_single_precision(dtype)
        if out is not None:
            return self._write(votes, out, progress, with_probabilities=True, single=single)
        return self._answer(votes, lambda coded: self._probabilities(coded, single=single), progress)

    def predict_joint(self, votes: Any, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """``P(Y = y | votes)`` over the feasible set, (n_items, K); see :meth:`predict_proba`."""
        single = _is_single_precision(dtype)
        joint: NDArray[Any] = self._answer(votes, lambda coded: self._joint(coded, single=single), None)
        return joint

    def predict(
        self, votes: Any, *, out: str | os.PathLike[str] | None = None, progress: Progress = None
    ) -> Any:
        """Class index of each item, jointly feasible over the tasks.

        The most probable feasible label vector; among equally probable ones the one with the larger class
        balance, then the first.

        Parameters
        ----------
        votes, out, progress
            As for :meth:`predict_proba`; a file holds names of classes, and no probabilities.

        Returns
        -------
        (n_items,) int64 array, or {task: (n_items,) array}
            With `out`, a ``Written``.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ConsilienceError
            If the votes are not of an allowed form, or of other sources.
        OSError
            If a file cannot be read, or `out` not be written.
        """
        if out is not None:
            return self._write(votes, out, progress, with_probabilities=False, single=False)
        return self._answer(votes, self._labels, progress)

    def transform(self, votes: Any) -> Any:
        """Labels and probabilities of a frame of votes, as a frame of the same kind with the same index.

        Parameters
        ----------
        votes : pandas or polars frame, pyarrow table, or {task: such a frame}
            One row an item, columns named by source; other columns are left out.

        Returns
        -------
        frame
            Columns ``label``, a class name, and ``p_<class>``; with several tasks ``<task>`` and
            ``p_<task>_<class>``.

        Raises
        ------
        WrongTypeError
            If the votes are no frame.
        NotFittedError, ConsilienceError
            As :meth:`predict_proba`.
        """
        coded = self._code(self._read(votes))
        warn_of_infeasible(coded.n_infeasible, coded.votes.source_names)
        graph = self._fitted().statistics.task_graph
        return frame_like(votes, label_columns(graph, self._labels(coded), self._probabilities(coded)))

    def _probabilities(self, coded: CodedVotes, *, single: bool = False) -> Any:
        graph = self._fitted().statistics.task_graph
        columns = [graph.feasible_set[:, r].astype(np.int32) for r in range(graph.n_tasks)]
        results = self._posterior(coded, columns, single=single)
        if graph.n_tasks == 1:
            return _widen(results[0], graph.cardinalities[0])
        return {
            task: _widen(result, k)
            for task, result, k in zip(graph.tasks, results, graph.cardinalities, strict=True)
        }

    def _joint(self, coded: CodedVotes, *, single: bool = False) -> NDArray[Any]:
        vectors = np.arange(self._fitted().statistics.task_graph.n_vectors, dtype=np.int32)
        return self._posterior(coded, [vectors], single=single)[0]

    def _labels(self, coded: CodedVotes) -> Any:
        graph = self._fitted().statistics.task_graph
        preference = np.lexsort((np.arange(graph.n_vectors), -self.class_balance_)).astype(np.int32)
        best = self._ask(_core.most_probable, coded, preference=preference)
        if has_plain_events(graph):
            return best
        labels = {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}
        return labels if graph.n_tasks > 1 else labels[graph.tasks[0]]

    def _posterior(
        self, coded: CodedVotes, class_of_vector: list[NDArray[np.int32]], *, single: bool
    ) -> list[NDArray[Any]]:
        """Marginals of the posterior; of the mean posterior, where there are several score tables."""
        results: list[NDArray[Any]] = self._ask(
            _core.posterior, coded, class_of_vector=class_of_vector, single_precision=single
        )
        return results

    def _ask(self, kernel: Callable[..., Any], coded: CodedVotes, **arguments: Any) -> Any:
        parts = [(p.weight, p.scores.of_state, p.scores.base, p.scores.link) for p in self._parts]
        try:
            return kernel(coded.view, coded.coding, parts, n_threads=threads_of(self.n_threads), **arguments)
        except _core.LabelOutOfRange as error:
            raise coded.votes.label_error(error) from None

    def _answer(self, votes: Any, answer: Callable[[CodedVotes], Any], progress: Progress) -> Any:
        """Answer for all items, of votes in one piece or in chunks."""
        if not is_stream(votes):
            coded = self._code(self._read(votes))
            warn_of_infeasible(coded.n_infeasible, coded.votes.source_names)
            return answer(coded)
        chunks = open_chunks(votes, self._form(), n_threads=self.n_threads)
        with reporting(progress) as report:
            return gather((answer(coded) for _, coded in self._coded(chunks, report)), chunks.n_items)

    def _write(
        self,
        votes: Any,
        out: str | os.PathLike[str],
        progress: Progress,
        *,
        with_probabilities: bool,
        single: bool,
    ) -> Written:
        graph = self._fitted().statistics.task_graph
        n_voted = 0

        def parts(chunks: VoteChunks, report: Report) -> Iterator[dict[str, Any]]:
            for chunk, coded in self._coded(chunks, report):
                probabilities = self._probabilities(coded, single=single) if with_probabilities else None
                columns = label_columns(graph, self._labels(coded), probabilities)
                nonlocal n_voted
                n_voted += chunk.votes.count_voted()
                yield columns if chunk.ids is None else {"item": chunk.ids, **columns}

        with reporting(progress) as report:
            written = write_answers(
                votes,
                out,
                replace(self._form(), with_ids=True),
                parts,
                fingerprint=lambda: self._fitted().to_bytes() + bytes([with_probabilities, single]),
                n_threads=self.n_threads,
                report=report,
            )
        return replace(written, n_voted=n_voted)

    def _coded(self, chunks: VoteChunks, report: Report) -> Iterator[tuple[Chunk, CodedVotes]]:
        """Chunks as the core takes them, an empty one if there are none; warns of infeasible votes."""
        statistics, n_read = self._fitted().statistics, 0
        n_infeasible = np.zeros(statistics.n_sources, dtype=np.int64)
        for chunk in chunks:
            coded = self._code(chunk.votes)
            yield chunk, coded
            n_read += chunk.votes.n_items
            n_infeasible += coded.n_infeasible
            report(n_read, chunks.n_items)
        if not n_read:
            table = np.empty((0, statistics.n_sources), dtype=np.int8)
            nothing = self._read(dict.fromkeys(statistics.task_graph.tasks, table))
            yield Chunk(nothing), self._code(nothing)
        warn_of_infeasible(n_infeasible, statistics.source_names)

    def _form(self) -> Form:
        """What is known of votes to be labelled."""
        statistics = self._fitted().statistics
        graph = statistics.task_graph
        return Form(
            task_graph=graph,
            sources=statistics.source_names,
            takes_others=True,
            answer_width=sum(graph.cardinalities),
        )

    def _read(self, votes: Any) -> Votes:
        statistics = self._fitted().statistics
        return as_votes(votes, task_graph=statistics.task_graph, sources=statistics.source_names)

    def _code(self, read: Votes) -> CodedVotes:
        """Votes as the core takes them, of as many sources as the model has."""
        model = self._fitted()
        statistics, graph = model.statistics, model.statistics.task_graph
        if read.n_sources != statistics.n_sources:
            raise InvalidVotesError(
                f"votes have {read.n_sources} sources (columns), the model was fitted with "
                f"{statistics.n_sources}; give the same columns"
            )
        known = None if has_plain_events(graph) else model_events(model)
        coded = code_votes(read, graph, known=known, n_threads=threads_of(self.n_threads))
        layout = self._parts[0].scores.layout  # the only part, where there is one
        if layout is None:
            return coded
        return replace(coded, coding=layout.code(coded.coding, model_events(model)))

    def _fitted(self) -> FittedModel:
        if self._model is None:
            reason = self._reason or "call fit(votes) first"
            raise NotFittedError(f"this LabelModel is not fitted yet; {reason}")
        return self._model

    # --- looking at the result -----------------------------------------------------------------------------

    @property
    def accuracy_interval_(self) -> NDArray[np.float64]:
        """95 % interval of each accuracy, (m, 2)."""
        return self._uncertainty()[0]

    @property
    def class_balance_error_(self) -> NDArray[np.float64] | None:
        """Standard error of each class's share, (K,); None where it was given or assumed."""
        model = self._fitted()
        if model.fit.balance_learned:
            of_likelihood = self._uncertainty()[1]
            return model.balance_error if of_likelihood is None else of_likelihood
        return model.balance_error if model.balance_told else None

    def _uncertainty(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        model = self._fitted()
        if self._errors is None:
            self._errors = model.fit.uncertainty(self.class_balance_, model.known_share)
        return self._errors

    def summary(self) -> Table:
        """One row a source: how often it votes and meets others, and how accurate it is.

        Returns
        -------
        Table
            Columns source, coverage, overlaps, conflicts (shares of all items), accuracy, its 95 % interval
            (neither where it was not learned), notes.
        """
        model = self._fitted()
        statistics, n, learned = model.statistics, model.statistics.n, model.fit.learned
        notes = [f"method: {model.params['method']}"]
        if model.fit.model is not None:
            notes.append(f"tables: {model.fit.model}, by BIC")
        if model.params["class_balance"] is None:
            notes.append("class balance: " + self._describe_balance())
        if not self.identifiability_.identifiable:
            notes += ["not identifiable: " + " ".join(self.identifiability_.advice)]
            notes += self._locally_identified()
        if model.n_gold:
            notes.append(f"gold labels of {model.n_gold:g} items")
        notes += model.fit.remarks
        if model.dependencies is not None:
            notes.append(model.dependencies.in_words())
        infeasible = int(statistics.n_infeasible.sum())
        if infeasible:
            notes.append(f"{infeasible} infeasible votes were taken as abstentions")
        return Table(
            {
                "source": self.source_names_,
                "coverage": statistics.n_votes / n,
                "overlaps": statistics.n_overlaps / n,
                "conflicts": statistics.n_conflicts / n,
                "accuracy": [a if known else None for a, known in zip(self.accuracy_, learned, strict=True)],
                "interval": [
                    tuple(interval) if known else None
                    for interval, known in zip(self.accuracy_interval_.tolist(), learned, strict=True)
                ],
                "notes": ["; ".join(of_source) for of_source in model.fit.notes],
            },
            title=f"{statistics.n_sources} sources, {n:g} items, {statistics.n_covered / n:.1%} with a vote",
            notes=notes,
        )

    def explain(
        self, votes: Any, *, task: str | None = None, label: Any = None, against: Any = None
    ) -> Explanation:
        """Contribution of each source to the label of each item, in log-odds that sum to the posterior's.

        Parameters
        ----------
        votes
            Those of some items, as for :meth:`predict_proba` but in one piece.
        task : str, optional
            Of several tasks, the one whose class is explained; by default the whole label vector is.
        label, against : optional
            What the log-odds are of, and against what: a class index or name (a row of
            ``task_graph_.feasible_set`` without `task`), or one for each item. By default what
            :meth:`predict` gives, and the most probable other one.

        Returns
        -------
        Explanation
            Arrays, a table of each item, and with ``flip(item)`` the fewest votes without which the label is
            another.

        Raises
        ------
        InvalidArgumentError
            If there is no such task or label, or `label` and `against` are the same.
        NotFittedError, ConsilienceError
            As :meth:`predict_proba`.

        Examples
        --------
        >>> votes = np.repeat([[0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1]], [30, 30, 20, 20], axis=0)
        >>> model = LabelModel(n_classes=2, method="majority").fit(votes)
        >>> print(model.explain([[0, 0, 1]]).table(0))
        Item 0: 0 against 1, log-odds 0.693 (66.7% of the two)
        <BLANKLINE>
        source    vote  log_odds
        --------  ----  --------
        source 0  0        0.693
        source 1  0        0.693
        source 2  1       -0.693
        <BLANKLINE>
        The fewest votes without which the label is 1: 'source 0', 'source 1'.
        """
        model, coded = self._fitted(), self._code(self._read(votes))
        return explain_votes(
            coded,
            self._parts,
            model.statistics.task_graph,
            self.class_balance_,
            model_events(model),
            self.source_names_,
            task=task,
            label=label,
            against=against,
            n_threads=threads_of(self.n_threads),
        )

    def plan(self, target_error: float) -> Plan:
        """How many items it takes until the standard error of the accuracies is at a target.

        From the errors of this fit, which fall with the root of the number of items of the same kind, as many
        of them with gold, for the class balance as given.

        Parameters
        ----------
        target_error : float
            In units of accuracy: 0.01 is a point.

        Returns
        -------
        Plan
            For every source (the largest error), and for the root mean square of the errors; and the sources
            that no number of items tells.

        Raises
        ------
        InvalidArgumentError, WrongTypeError
            If the target is no number between 0 and 1.
        NotFittedError
            Before :meth:`fit`.
        """
        model = self._fitted()
        return plan_items(
            target_error,
            self.accuracy_,
            model.fit.sampling_uncertainty(self.class_balance_, model.known_share)[0],
            model.fit.learned,
            np.asarray(model.statistics.n_votes > 0),
            float(model.statistics.n),
            self.source_names_,
            is_cautious=bool(model.fit.parts),
        )

    def label_uncertainty(
        self, votes: Any, weights: ArrayLike | None = None, *, n_draws: int = 20
    ) -> LabelUncertainty:
        """How far labels would move if other items had been drawn to fit on: mean total variation to refits.

        An end model that learns from the labels is off by at most twice their distance to those of the true
        model, for which the distance to refits stands in. Refits are to as many items drawn from the fitted
        model; where labels average cautious fits, to the votes themselves, drawn with replacement, since no
        fitted model explains them. It takes about as long as `n_draws` fits. What is wrong with the model
        itself does not show. `random_state` decides the draws; None always draws the same.

        Parameters
        ----------
        votes
            Items to label, as for :meth:`predict_proba` but in one piece; for a cautious fit, the votes that
            it was fitted on.
        weights : (n_items,) array, optional
            How many items each row stands for.
        n_draws : int
            Number of refits, at least 2.

        Returns
        -------
        LabelUncertainty
            The mean with its error, and the same for each item and each draw.

        Raises
        ------
        InvalidArgumentError
            If the method is ``"majority"``, `n_draws` is less than 2, the model was fitted with gold, or a
            cautious fit was to other votes.
        NotIdentifiableError
            If hardly any draw could be fitted.
        NotFittedError, ConsilienceError
            As :meth:`predict_proba`.
        """
        model = self._fitted()
        if model.fit.method == "majority":
            raise InvalidArgumentError('method="majority" learns nothing, so nothing about it is uncertain')
        if model.n_gold:
            raise InvalidArgumentError(
                f"this model was fitted with gold labels of {model.n_gold:g} items, which refits to other "
                "items would not have; fit on the votes alone to measure this"
            )
        read = self._read(votes)
        return measure_uncertainty(
            model,
            self._tables(),
            read,
            self.predict_joint(read),
            weights,
            type(self),
            n_draws=n_draws,
            random_state=self.random_state,
        )

    def local_identifiability(self, freedom: str | None = None) -> LocalIdentifiability:
        """Whether the whole distribution of the votes tells the tables, near this fit.

        ``identifiability_`` is about second moments; the distribution may tell more, and free tables may ask
        for more. From the rank of the scores at the fit; abstentions count as a state.

        Parameters
        ----------
        freedom : {"one-coin", "tied", "free"}, optional
            Of the tables of independent sources; by default that of the fit, or "tied" where moments or
            cautious fits gave them. Those of dependent sources are free.

        Returns
        -------
        LocalIdentifiability
            Rank, number of parameters, and which sources may move together without a trace.

        Raises
        ------
        InvalidArgumentError
            If the freedom is unknown, or there are too many parameters.
        NotFittedError
            Before :meth:`fit`.
        """
        return local_identifiability_of(self._fitted(), freedom)

    def theorem2_terms(self) -> Table:
        """Terms of the paper's Theorem 2, one event at a time; its bound is no guarantee.

        Returns
        -------
        Table
            Columns event, d, pairs, sigma_max, lambda_min, kappa, weakest, a, b, bound; see
            :mod:`consilience.theorem2`. Strengths of sources are those of the moments.

        Raises
        ------
        InvalidArgumentError
            If the method is ``"majority"``, which learns nothing that the theorem is about.
        NotFittedError
            Before :meth:`fit`.
        """
        fit = self._fitted().fit
        if fit.method == "majority":
            raise InvalidArgumentError('method="majority" learns no accuracies; fit by another method')
        return theorem2_terms(fit.structure.system, fit.strength)

    def _locally_identified(self) -> list[str]:
        """What is to be said of tables that second moments do not determine and the distribution does."""
        if self._fitted().fit.method == "majority":
            return []
        try:
            local = local_identifiability_of(self._fitted(), max_parameters=300)
        except InvalidArgumentError:  # too many parameters
            return []
        return [f"second moments do not, but {local.in_words()}"] if local.identified else []

    def _describe_balance(self) -> str:
        error = self.class_balance_error_
        if error is None:
            if self._fitted().fit.parts:
                return "learned, drawn towards uniform"
            if self._fitted().fit.balance_learned:
                return "learned, but how sure it is is not known; give class_balance if you know it"
            model, assumed = self._fitted(), "assumed uniform; give class_balance if you know it"
            if model.balance_error is not None:
                return f"the votes cannot tell it; {assumed}"
            by_moments = model.fit.model is None and model.params["method"] != "majority"
            lacks = by_moments and model.statistics.triples is None
            return f"{assumed}, or count triples: VoteStatistics.of(..., triples=True)" if lacks else assumed
        shares = [f"{p:.3g} ± {e:.2g}" for p, e in zip(self.class_balance_[:6], error, strict=False)]
        model, by = self._fitted(), "the votes"
        if model.n_gold and model.fit.balance_learned:
            by = "votes and gold"
        elif model.balance_by_gold:
            by = "gold"
        hardly = "" if is_told(error) else "; they hardly tell it: give class_balance if you know it"
        return f"{', '.join(shares)}{', ...' if len(error) > 6 else ''} (standard errors), from {by}{hardly}"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file, wholly or not at all; ``consilience.load`` reads it.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        OSError
            If the file cannot be written.
        """
        write_atomically(path, self._fitted().to_bytes())


def _is_even(balance: ArrayLike) -> bool:
    """Whether it is two halves."""
    shares = np.asarray(balance, dtype=np.float64).tolist()
    return len(shares) == 2 and shares[0] == shares[1]


def _is_single_precision(dtype: DTypeLike) -> bool:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in (np.float64, np.float32):
        raise InvalidArgumentError(f"dtype must be float64 or float32, got {dtype!r}")
    return wanted == np.float32


def _as_missing(table: SourceTable, balance: NDArray[np.float64]) -> SourceTable:
    """The table of a source whose abstention does not depend on the label."""
    votes = table.table[:-1]
    coverage = 1 - table.table[-1] @ balance
    total = votes.sum(axis=0)
    shares = np.divide(votes, total, out=np.zeros_like(votes), where=total > 0)
    return SourceTable(table.events, np.vstack([shares * coverage, np.full(votes.shape[1], 1 - coverage)]))


def _dense_emission(tables: list[SourceTable], graph: TaskGraph) -> NDArray[np.float64]:
    k = graph.n_vectors
    emission = np.zeros((len(tables), k + 1, k))
    for j, table in enumerate(tables):
        emission[j, table.events[:, 0]] = table.table[:-1]
        emission[j, k] = table.table[-1]
    return emission


def _widen(probabilities: NDArray[Any], k: int) -> NDArray[Any]:
    """Columns of zeros for classes that no feasible vector has."""
    missing = k - probabilities.shape[1]
    return probabilities if missing == 0 else np.pad(probabilities, ((0, 0), (0, missing)))


def load(path: str | os.PathLike[str]) -> LabelModel:
    """Model that ``LabelModel.save`` wrote, of this release or an earlier one.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another kind, or of a newer format.
    OSError
        If it cannot be read.
    """
    name = os.fspath(path)
    fitted = FittedModel.from_bytes(read_file(path), name=name)
    try:
        model = LabelModel(**fitted.params)
        model._check_parameters()
        model._set(fitted)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{name} does not hold a label model: {error}; save it again") from error
    return model
