"""LabelModel: from votes to source accuracies and probabilistic labels, without gold labels."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from consilience import _core
from consilience.automatic import fit_automatically
from consilience.class_balance import ClassBalance, read_class_balance
from consilience.container import read_file, write_atomically
from consilience.dependence import find_dependencies, learn_from_votes
from consilience.dependency_report import DependencyReport
from consilience.estimator import Estimator
from consilience.events import CodedVotes, code_votes, has_plain_events
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
from consilience.fitted_model import FittedModel
from consilience.fitting import METHODS, fit_sources
from consilience.likelihood import maximise_likelihood
from consilience.score_table import ScoreTable
from consilience.scores import model_events, score_parts
from consilience.statistics import Observation, VoteStatistics, graph_of, observe, threads_of
from consilience.table import Table
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.tied import SourceTable
from consilience.votes import as_votes

__all__ = ["LabelModel", "load"]

_TIE = 1e-9

ABSTENTIONS = ("auto", "informative", "missing")


class LabelModel(Estimator):
    """Accuracies of sources, and probabilistic labels, from their votes alone.

    Parameters
    ----------
    n_classes, classes, task_graph : int, sequence of names, TaskGraph, optional
        What is voted on, at most one of the three; by default read from the votes. With a ``TaskGraph`` of
        several tasks, votes are ``{task: table}``.
    class_balance : None, "uniform" or (K,) array, optional
        ``P(Y)`` over the classes (over ``task_graph.feasible_set`` with several tasks): positive, sums to 1.
        None is learned by ``"auto"`` and ``"em"``, and uniform otherwise.
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
        Kept for methods that draw; the present ones are deterministic.
    n_threads : int, optional
        By default one a core. No result depends on it.

    Attributes
    ----------
    classes_ : list, or {task: list}
        Class names, or ``0..k-1``: the order of every class axis.
    class_balance_ : (K,) float64 array
        ``P(Y)`` over the classes, or the feasible set.
    emission_ : (m, k + 1, k) float64 array, or list of (states, K) arrays
        ``[j, l, y] = P(source j votes l | Y = y)``, ``l = k`` abstains; the tables over ``y`` sum to 1.
    states_ : list of (states, t) int64 arrays
        What each row of the tables stands for, as a vote vector; the last row, only -1, abstains.
    accuracy_ : (m,) float64 array
        ``P(vote right | source votes)``; that of guessing for a source that never votes.
    accuracy_interval_ : (m, 2) float64 array
        95 % interval of each accuracy, for the class balance as given; (0, 1) where it was not learned.
        Worked out when first asked for.
    task_graph_ : TaskGraph
        Tasks, classes and feasible set: as given, or read from the votes.
    identifiability_ : IdentifiabilityReport
        What the votes determine, for this fit.
    dependencies_ : DependencyReport
        What was learned about dependencies, kept or not; only with ``dependencies="learn"``.
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

    _model: FittedModel | None = None
    _seen: VoteStatistics | None = None
    _reason: str | None = None

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(self, votes: Any, weights: ArrayLike | None = None, y: None = None) -> LabelModel:
        """Learn from votes, or from their statistics.

        Parameters
        ----------
        votes : (n_items, n_sources) table, sparse matrix, {task: table}, Votes, path, or VoteStatistics
            ``-1`` abstains.
        weights : (n_items,) array, optional
            How many items each row stands for.
        y : None
            Kept for scikit-learn's convention; these methods learn from votes alone.

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
        if y is not None:
            raise InvalidArgumentError(
                f"y is not used by method={self.method!r}, which learns from votes alone; leave it out"
            )
        self._check_parameters()
        if isinstance(votes, VoteStatistics):
            self._set(self._learn(self._given(votes, weights)))
        else:
            observed = self._observe(votes, weights)
            self._set(self._learn(observed.statistics, observed))
        return self

    def partial_fit(self, votes: Any, weights: ArrayLike | None = None) -> LabelModel:
        """Learn from further items, on top of those seen so far; exactly as from all of them at once.

        Give `n_classes`, `classes` or `task_graph` to the model, so that every chunk has the same classes.
        While the items seen so far do not suffice for the method, they are kept and the model counts as not
        fitted; the next prediction says why.

        Raises
        ------
        InvalidVotesError, InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form, classes or sources differ from those seen so far, or the
            method is ``"em"`` or the dependencies ``"learn"``, which need all votes at once; the model is
            left as it was.
        """
        self._check_parameters()
        if self._learns_dependencies and not isinstance(votes, VoteStatistics):
            raise InvalidArgumentError('dependencies="learn" needs all votes at once: give them to fit')
        if isinstance(votes, VoteStatistics):
            statistics = self._given(votes, weights)
        elif self.method == "em":
            raise InvalidArgumentError('method="em" needs all votes at once: give them to fit')
        else:
            statistics = self._observe(votes, weights).statistics
        if self._seen is not None:
            statistics = self._seen.merge(statistics)
        try:
            if statistics.n_votes.any():
                self._set(self._learn(statistics))
            else:
                self._postpone(statistics, "no source has voted so far")
        except (NotIdentifiableError, SingularCovarianceError) as error:
            self._postpone(statistics, str(error))
        return self

    def _postpone(self, statistics: VoteStatistics, reason: str) -> None:
        """Keep what was seen, and forget what was learned from less."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        self._seen, self._model, self._reason = statistics, None, reason

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
        strict = self.method in ("moments", "completion")
        given: Any = None if isinstance(self.dependencies, str) else self.dependencies
        return observe(read, graph, weights, self.n_threads, given, strict=strict)

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

    def _learn(self, statistics: VoteStatistics, observed: Observation | None = None) -> FittedModel:
        if not statistics.n_votes.any():
            raise InvalidVotesError(
                f"none of the {statistics.n_sources} sources votes on any item; give at least one vote"
            )
        balance = read_class_balance(self.class_balance, statistics.task_graph)
        dependencies: Any = None if isinstance(self.dependencies, str) else self.dependencies
        learned = None
        if self._learns_dependencies and observed is None:
            learned = dependencies = self._of_statistics(statistics, balance)
        elif self._learns_dependencies and observed is not None:
            learned, observed = learn_from_votes(observed, balance, n_threads=threads_of(self.n_threads))
            dependencies, statistics = learned, observed.statistics
        fit = fit_sources(statistics, balance, dependencies, self.method)
        if self.method in ("auto", "em") and observed is not None:
            refine: Any = maximise_likelihood
            if self.method == "auto":
                refine = partial(fit_automatically, dependencies_learned=learned is not None)
            fit, balance = refine(
                observed,
                fit,
                balance,
                learn_balance=self.class_balance is None,
                missing=self.abstentions == "missing",
                n_threads=threads_of(self.n_threads),
            )
        return FittedModel(self.get_params(), statistics, fit, balance, learned)

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
        self._seen = model.statistics
        self._parts = parts
        self._intervals: NDArray[np.float64] | None = None
        self.identifiability_ = fit.report
        vars(self).pop("dependencies_", None)
        if model.dependencies is not None:
            self.dependencies_ = model.dependencies
        self.task_graph_ = graph
        self.class_balance_ = balance
        self.classes_ = graph.classes if graph.n_tasks > 1 else graph.classes[graph.tasks[0]]
        self.source_names_ = fit.report.source_names
        self.n_features_in_ = model.statistics.n_sources
        tables = fit.tables
        if model.params["abstentions"] == "missing":
            tables = [_as_missing(table, balance) for table in tables]
        silent = np.full((1, graph.n_tasks), ABSTAIN, dtype=np.int64)
        self.states_ = [np.concatenate([table.events, silent]) for table in tables]
        self.emission_ = (
            _dense_emission(tables, graph) if has_plain_events(graph) else [t.table for t in tables]
        )
        self.accuracy_ = fit.accuracy(balance)

    # --- prediction ----------------------------------------------------------------------------------------

    def predict_proba(self, votes: Any, *, dtype: DTypeLike = np.float64) -> Any:
        """Probabilistic labels: ``P(Y_task = class | votes)``.

        Parameters
        ----------
        votes
            In any form that :meth:`fit` takes, with the same sources.
        dtype : float64 or float32
            Of the result. ``float32`` takes half the memory; it is the float64 result, rounded.

        Returns
        -------
        (n_items, k) array, or {task: (n_items, k_task) array}
            Rows sum to 1; an item without votes has what the abstentions say, or the class balance.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        InvalidArgumentError
            If `dtype` is another one.
        ConsilienceError
            If the votes are not of an allowed form, or of other sources.
        """
        graph = self._fitted().statistics.task_graph
        columns = [graph.feasible_set[:, r].astype(np.int32) for r in range(graph.n_tasks)]
        results = self._posterior(votes, columns, dtype)
        if graph.n_tasks == 1:
            return _widen(results[0], graph.cardinalities[0])
        return {
            task: _widen(result, k)
            for task, result, k in zip(graph.tasks, results, graph.cardinalities, strict=True)
        }

    def predict_joint(self, votes: Any, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """``P(Y = y | votes)`` over the feasible set, (n_items, K); see :meth:`predict_proba`."""
        k = self._fitted().statistics.task_graph.n_vectors
        return self._posterior(votes, [np.arange(k, dtype=np.int32)], dtype)[0]

    def predict(self, votes: Any) -> Any:
        """Class index of each item, jointly feasible over the tasks.

        The most probable feasible label vector; among equally probable ones the one with the larger class
        balance, then the first.

        Parameters
        ----------
        votes
            In any form that :meth:`fit` takes, with the same sources.

        Returns
        -------
        (n_items,) int64 array, or {task: (n_items,) array}

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        ConsilienceError
            If the votes are not of an allowed form, or of other sources.
        """
        graph = self._fitted().statistics.task_graph
        preference = np.lexsort((np.arange(graph.n_vectors), -self.class_balance_)).astype(np.int32)
        if len(self._parts) > 1:
            best = _first_of_largest(self.predict_joint(votes), preference)
        else:
            best = self._most_probable(votes, preference)
        if has_plain_events(graph):
            return best
        labels = {task: graph.feasible_set[best, r] for r, task in enumerate(graph.tasks)}
        return labels if graph.n_tasks > 1 else labels[graph.tasks[0]]

    def _most_probable(self, votes: Any, preference: NDArray[np.int32]) -> NDArray[np.int64]:
        scores = self._parts[0].scores
        coded = self._code(votes, scores)
        try:
            return _core.most_probable(
                coded.view,
                coded.coding,
                scores.of_state,
                scores.base,
                link=scores.link,
                preference=preference,
                n_threads=threads_of(self.n_threads),
            )
        except _core.LabelOutOfRange as error:
            raise coded.votes.label_error(error) from None

    def _posterior(
        self, votes: Any, class_of_vector: list[NDArray[np.int32]], dtype: DTypeLike
    ) -> list[NDArray[Any]]:
        """Mean posterior of all parts; the answer and one part's are all that is held."""
        single = _is_single_precision(dtype)
        mean: list[NDArray[Any]] = []
        coded: CodedVotes | None = None
        for part in self._parts:
            if coded is None:
                coded = self._code(votes, part.scores)
            try:
                results = _core.posterior(
                    coded.view,
                    coded.coding,
                    part.scores.of_state,
                    part.scores.base,
                    link=part.scores.link,
                    class_of_vector=class_of_vector,
                    n_threads=threads_of(self.n_threads),
                    single_precision=single,
                )
            except _core.LabelOutOfRange as error:
                raise coded.votes.label_error(error) from None
            if len(self._parts) == 1:
                return results
            for result in results:
                result *= part.weight
            if mean:
                for total, result in zip(mean, results, strict=True):
                    total += result
            else:
                mean = results
        return mean

    def _code(self, votes: Any, scores: ScoreTable) -> CodedVotes:
        model = self._fitted()
        statistics, graph = model.statistics, model.statistics.task_graph
        read = as_votes(votes, task_graph=graph)
        if read.n_sources != statistics.n_sources:
            raise InvalidVotesError(
                f"votes have {read.n_sources} sources (columns), the model was fitted with "
                f"{statistics.n_sources}; give the same columns"
            )
        if None not in (read.source_names, statistics.source_names) and (
            read.source_names != statistics.source_names
        ):
            raise InvalidVotesError(
                f"votes are of the sources {listed(read.source_names or ())}, the model was fitted with "
                f"{listed(statistics.source_names or ())}; give the same columns in the same order"
            )
        known = None if has_plain_events(graph) else model_events(model)
        coded = code_votes(read, graph, known=known, n_threads=threads_of(self.n_threads))
        coded.warn_of_infeasible()
        if scores.layout is None:
            return coded
        return replace(coded, coding=scores.layout.code(coded.coding, model_events(model)))

    def _fitted(self) -> FittedModel:
        if self._model is None:
            reason = self._reason or "call fit(votes) first"
            raise NotFittedError(f"this LabelModel is not fitted yet; {reason}")
        return self._model

    # --- looking at the result -----------------------------------------------------------------------------

    @property
    def accuracy_interval_(self) -> NDArray[np.float64]:
        """95 % interval of each accuracy, (m, 2)."""
        fit = self._fitted().fit
        if self._intervals is None:
            self._intervals = fit.accuracy_intervals(self.class_balance_)
        return self._intervals

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
            if model.fit.balance_learned:
                notes.append("class balance: learned")
            elif model.fit.parts:
                notes.append("class balance: learned, drawn towards uniform")
            else:
                notes.append("class balance: assumed uniform; give class_balance if you know it")
        if not self.identifiability_.identifiable:
            notes += ["not identifiable: " + " ".join(self.identifiability_.advice)]
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


def _first_of_largest(probabilities: NDArray[np.float64], preference: NDArray[np.int32]) -> NDArray[np.int64]:
    """Column of the largest probability of each row; of several within 1e-9, the first by preference."""
    ranked = probabilities[:, preference]
    first = np.argmax(ranked >= ranked.max(axis=1, keepdims=True) - _TIE, axis=1)
    labels: NDArray[np.int64] = preference[first].astype(np.int64)
    return labels


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
