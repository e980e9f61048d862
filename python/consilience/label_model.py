"""LabelModel: from votes to source accuracies and probabilistic labels, without gold labels."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from consilience.accuracy_prior import Beliefs
from consilience.arrays import in_item_order
from consilience.class_balance import ClassBalance
from consilience.container import path_of, read_file, write_atomically
from consilience.distinct_rows import DistinctRows
from consilience.estimator import Estimator, class_names
from consilience.events import has_plain_events
from consilience.exceptions import (
    ConsilienceWarning,
    FileFormatError,
    InvalidArgumentError,
    NotFittedError,
    NotIdentifiableError,
    SingularCovarianceError,
    in_digits,
    warn_caller,
)
from consilience.explanation import Explanation, explain_votes
from consilience.fitted_model import FittedModel
from consilience.intervals import QUANTILE
from consilience.label_uncertainty import LabelUncertainty, measure_uncertainty
from consilience.labelling import Labeller
from consilience.learning import learn, learn_votes, read_further
from consilience.local_identifiability import LocalIdentifiability, local_identifiability_of
from consilience.parameters import Parameters
from consilience.planning import Plan, plan_items
from consilience.progress import Progress
from consilience.score_table import WeightedScores
from consilience.scores import check_size, model_events, score_parts
from consilience.signs import Trusted
from consilience.statistics import VoteStatistics, threads_of
from consilience.summary import summarise
from consilience.table import Table
from consilience.task_graph import ABSTAIN, TaskGraph
from consilience.theorem2 import theorem2_terms
from consilience.tied import SourceTable

__all__ = ["LabelModel", "load"]


class LabelModel(Estimator):
    """Accuracies of sources, and probabilistic labels, from their votes alone.

    Parameters
    ----------
    n_classes, classes, task_graph : int, sequence of names, TaskGraph, optional
        What is voted on, at most one of the three; by default read from the votes. With a ``TaskGraph`` of
        several tasks, votes are ``{task: table}``. Numbers in votes are indices of classes, also where these
        are named by numbers.
    class_balance : None, "uniform" or (K,) array, optional
        ``P(Y)`` over the classes (over ``task_graph.feasible_set`` with several tasks): positive, sums to 1.
        None: learned from the votes where these tell it, and uniform otherwise.
    dependencies : list or set of pairs, or "learn", optional
        Sources, by index or name, that depend on each other given the true label. None: independent, but
        sources that vote alike on (almost) all items are found, counted once and reported. "learn" also finds
        pairs that hang together more, or less, than the labels explain, see :func:`learn_dependencies`.
    method : {"auto", "completion", "moments", "em", "majority"}
        ``"auto"`` always answers. It keeps the fit of greatest likelihood (``"em"``) where that explains how
        often every two sources vote together, foretells votes as surely as it should, knows the class balance
        and takes votes of sources that leave out classes, together, to speak for what they say. What it
        leaves unexplained shows that sources depend on each other, and labels are then an average of more
        cautious fits, with priors and measured confidence.
        ``"completion"`` is the paper's Algorithm 1, one event at a time, with the inverse covariance scaled
        to unit diagonal (which changes the answer only where the fit is not exact). ``"moments"`` is its
        covariance form, all events at once. Both raise ``NotIdentifiableError`` where the votes cannot tell.
        ``"em"`` goes on from the moments to the maximum of the likelihood, with one strength a source, tied
        or free tables by BIC; it presumes that the sources are independent, or their dependencies given.
        Sources with fewer than 50 votes are drawn towards the others, as strongly as these are alike.
        Joint tables of dependent sources are as free as their votes ask for, from copying to any table.
        ``"majority"`` counts votes. From statistics alone, without the votes, ``"auto"`` is ``"moments"``.
    abstentions : {"auto", "informative", "missing"}
        Whether an abstention is a state of the source, with a probability given the label, or says nothing.
        ``"auto"`` asks the votes: each source's abstentions are given one rate whatever the label is, unless
        a rate for each label makes its votes likelier by more than such parameters do by chance. Those of a
        source that never votes for some class always are a state, for whether it votes is what it says.
        Where who votes together depends on more than the label, as in a crowd in which every item is given
        to so many, ``"em"`` reads sources that vote for every class given that they vote; so does the method
        ``"auto"``, if all sources do and the fit stands its tests. In crowds so large that pairs of votes are
        not counted this does not show, and changes nothing: each source is silent on nearly all items.
        Moments have no likelihood to choose by: to ``"moments"`` and ``"completion"`` an abstention is what
        remains beside the votes, a state whose rates come out alike, but for noise, where it says nothing.
        ``abstentions_`` tells what was found. Under ``"missing"`` a source that only ever casts one kind of
        vote has nothing to say; unless three others vote, or gold or `accuracy_prior` tell of them, labels
        are then those of the majority, and ``"moments"`` and ``"completion"`` raise ``NotIdentifiableError``.
        With several tasks, a vote that all feasible label vectors agree with counts as an abstention.
    random_state : int or numpy.random.Generator, optional
        Seed of :meth:`label_uncertainty`; fits do not depend on it.
    n_threads : int, optional
        By default one a core. No result depends on it. With more than one Parquet files are decoded on as
        many threads as Arrow has for the whole process (``pyarrow.set_cpu_count``).
    trusted : index or name of a source, or several, optional
        Sources that are better than chance. Votes alone leave it open whether all sources are what they seem
        or the opposite; these decide it. None: third moments, where they tell and the class balance does not
        leave it open, else gold labels or `accuracy_prior`, if they are likelier for the opposite, else
        sources are better than chance on average. ``identifiability_.sign_rules`` says which. ``"auto"``
        follows third moments where the fit that they lead to stands its tests; its cautious fits start from
        the plain vote, or from its opposite where trusted sources then come out better than chance, and did
        not before.
    accuracy_prior : {source: (accuracy, votes)}, optional
        What you believe of some sources, by index or name: ``{"annotator": (0.9, 50)}`` counts as 50 votes of
        which 90 % were right, beside those that are observed. For ``"auto"`` and ``"em"``; sources that are
        modelled together with others that they depend on have none. Intervals do not count them.
    ordered : bool, optional
        Whether the classes of a single task are grades, from the first to the last, so that sources miss by
        one class rather than by several. The cautious fits of ``"auto"`` use it for sources that vote for
        every class (one that nobody votes for included); other fits learn it from the votes with the rest.
        None: up to 20 classes are grades where wrong votes show it, better than any other order of the
        classes; the summary says so.

    Attributes
    ----------
    classes_ : (k,) array, or {task: list}
        Class names, or ``0..k-1``: the order of every class axis.
    class_balance_ : (K,) float64 array
        ``P(Y)`` over the classes, or the feasible set.
    class_balance_error_ : (K,) float64 array, or None
        Its standard errors where it was learned from the votes, and these identify it. Worked out when
        first asked for. None too where ``"auto"`` is cautious, which draws it towards uniform, where the
        tables have more than 1,500 entries together, as in crowds whose pairs of votes are not counted, and
        where dependent sources form chains or cycles: the information of so many parameters takes too long.
        ``"moments"`` and ``"completion"`` presume that a source's errors do not depend on which of the wrong
        classes is true. Where they do, rare classes (2 %) come out wrong, and the errors are wider, as no
        balance explains what the votes for the classes say; ``"em"`` learns the shares.
    class_balance_interval_ : (K, 2) float64 array, or None
        95 % interval of the share of each class, where there are standard errors. Where votes hardly tell a
        class of a tenth of the items (few weak sources) it holds the share in 91 to 95 of 100.
    emission_ : (m, k + 1, k) float64 array, or list of (states, K) arrays
        ``[j, l, y] = P(source j votes l | Y = y)``, ``l = k`` abstains; the tables over ``y`` sum to 1. By
        ``"moments"`` and ``"completion"`` the joint tables of dependent sources, which label, differ a little
        from these in what they say of a single source.
    states_ : list of (states, t) int64 arrays
        What each row of the tables stands for, as a vote vector; the last row, only -1, abstains.
    abstentions_ : tuple of str
        Of each source ``"informative"``; or ``"missing"``, where its abstentions have the same probability
        for every label and say nothing about it; or ``"averaged"``, where ``"auto"`` is cautious and averages
        labels for which they do and for which they do not.
    accuracy_ : (m,) float64 array
        ``P(vote right | source votes)``; that of guessing for a source that never votes. Where it was not
        learned, the prior; in cautious fits by ``"auto"``, what the prior and the votes come to.
    accuracy_interval_ : (m, 2) float64 array
        95 % interval of each accuracy, for the class balance as given; (0, 1) where it was not learned. Where
        ``"auto"`` is cautious it spans what the other votes tell of a source's votes, and what these come to
        with its own: sources that depend on each other can be wrong together, which no votes can show.
        Of a source that tells more than all others together the upper end is too low where the estimate is:
        of one of 0.95 among six of 0.55, fits by ``"em"`` to 3,000 to 30,000 items hold the truth in 80 to
        90 % of draws, and nearly all others lie below it. Worked out when first asked for.
    task_graph_ : TaskGraph
        Tasks, classes and feasible set: as given, or read from the votes.
    identifiability_ : IdentifiabilityReport
        What the votes determine, for this fit.
    dependencies_ : DependencyReport
        What was learned about dependencies, kept or not; with ``dependencies="learn"``, and where ``"auto"``
        found some that explain the votes; its ``teams`` are near-copies of one another that count once.
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
        random_state: int | np.random.Generator | None = None,
        n_threads: int | None = None,
        trusted: Trusted = None,
        accuracy_prior: Beliefs = None,
        ordered: bool | None = None,
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
        self.ordered = ordered

    _needs_labels = False
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
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> LabelModel:
        """Learn from votes, or from their statistics.

        Parameters
        ----------
        votes : (n_items, n_sources) table, sparse matrix, {task: table}, Votes, or VoteStatistics
            ``-1`` abstains; on a task without a table every source does. Or votes that are read chunk by
            chunk, in memory for one chunk: Parquet files (a path, a glob, a folder), a stream of Arrow, an
            iterator of any of the former, or a callable that gives a fresh one. Class names need `classes`,
            unless files or a callable bring them. ``"auto"`` and ``"em"`` keep the rows of chunks that
            differ, in up to 256 MiB (while these are put together up to eight times as much), and a sample of
            the items in up to 64 MiB; so does ``"majority"`` where sources are too many for pairs of their
            votes.
        weights : (n_items,) array, optional
            How many items each row stands for. They come second, where scikit-learn's classifiers have their
            labels: give gold labels by name, ``fit(votes, y=gold)``. With weights, ``"auto"`` and ``"em"``
            keep the rows that differ, in 45 bytes each, and more where sources are many.
        y : (n_items,) array, or {task: (n_items,) array}, optional
            Gold labels of some items: class indices, -1 where unknown, or class names, None where unknown.
            Numbers are indices, also where classes are named by numbers and in arrays of objects.
            Gold for some tasks leaves the label vectors that agree with it. To ``"auto"`` and ``"em"`` the
            labels of these items are known; ``"moments"`` and ``"completion"`` take from gold the signs and,
            from 50 items on, the class balance. The items should be drawn like the others. Later predictions
            treat them like any other item: by their votes. A series of pandas beside a frame goes by the
            index, where both have the same labels; so do weights. Votes that are read chunk by chunk, and
            statistics, take no gold: their items are not at hand.
        progress : bool or callable, optional
            True shows on standard error how many items of chunks are read; a function is called with that
            number and, where it is known, that of all.
        checkpoint : path-like, optional
            Of votes in Parquet files, without weights: a file that keeps what was counted so far. It is
            written every 30 seconds, and when the fit ends early by Ctrl-C or an error; the same call then
            goes on where it stands, to the same result bit for bit, and deletes it once the fit is done. It
            belongs to these files, `n_classes`, `classes` or `task_graph`, and what the method and the
            dependencies have counted; other votes and arguments are refused.

        Returns
        -------
        LabelModel
            Itself.

        Raises
        ------
        InvalidVotesError, InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form; names the row and source. The model is left as it was.
        FileFormatError
            If a file, or `checkpoint`, is damaged.
        NotIdentifiableError
            If the method is ``"completion"`` or ``"moments"`` and the votes cannot determine the accuracies.
        """
        self._set(learn_votes(Parameters.of(self), votes, weights, y, progress, checkpoint))
        self._rows = None
        return self

    def partial_fit(self, votes: Any, weights: ArrayLike | None = None) -> LabelModel:
        """Learn from further items, on top of those of earlier calls; exactly as from all of them at once.

        Give `n_classes`, `classes` or `task_graph` to the model, so that every chunk has the same classes.
        While the items seen so far do not suffice for the method, they are kept and the model counts as not
        fitted; the next prediction says why. ``"auto"`` and ``"em"`` keep the rows of votes that differ, as
        :meth:`fit` does of chunks, and learn from all of them again each time. On top of :meth:`fit`, of
        statistics, or of a loaded model there are no such rows: ``"auto"`` then learns from the statistics
        alone, and warns.

        Raises
        ------
        InvalidVotesError, InvalidArgumentError, WrongTypeError
            If an argument is not of an allowed form, classes or sources differ from those seen so far, rows
            that differ are too many, rows of what was seen are missing that ``"em"``, ``"learn"`` or
            `accuracy_prior` need, or the model was fitted with gold; it is left as it was.
        """
        parameters = Parameters.of(self)
        if self._model is not None and self._model.n_gold:
            raise InvalidArgumentError(
                f"this model was fitted with gold labels of {in_digits(self._model.n_gold)} items, which "
                "partial_fit would lose; give all votes and their gold to fit, or begin anew with another "
                "LabelModel"
            )
        observed = read_further(parameters, self._seen, self._rows, votes, weights)
        statistics = observed.statistics
        lost = self._seen is not None and observed.rows is None and not isinstance(votes, VoteStatistics)
        try:
            if statistics.n_votes.any():
                self._set(learn(parameters, statistics, observed.observation()))
            else:
                self._postpone(statistics, "no source has voted so far")
        except (NotIdentifiableError, SingularCovarianceError) as error:
            self._postpone(statistics, str(error))
        self._seen, self._rows = statistics, observed.rows
        if lost and parameters.uses_rows:
            warn_caller(
                "the rows of earlier votes are not at hand after fit, load, or statistics: this fit is by "
                "the statistics alone, as by method='moments', and the class balance may be lost. Begin with "
                "partial_fit, or give all votes to fit",
                ConsilienceWarning,
            )
        return self

    def _postpone(self, statistics: VoteStatistics, reason: str) -> None:
        """Keep what was seen, and forget what was learned from less."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)
        self._seen, self._model, self._reason = statistics, None, reason

    def _set(self, model: FittedModel) -> None:
        """Take over what was learned; nothing before this changes the model."""
        fit, graph, balance = model.fit, model.statistics.task_graph, model.class_balance
        check_size(model)
        self._model = model
        for name in ("_parts", "accuracy_", "emission_", "states_"):  # worked out when first asked for
            vars(self).pop(name, None)
        # Which sources are counted together is learned anew, with further votes.
        self._seen = model.statistics if model.dependencies is None else model.statistics.without_joint()
        self._errors: tuple[NDArray[np.float64], NDArray[np.float64] | None] | None = None
        self.identifiability_ = fit.report
        vars(self).pop("dependencies_", None)
        if model.dependencies is not None:
            self.dependencies_ = model.dependencies
        self.task_graph_ = graph
        self.class_balance_ = balance
        self.classes_ = class_names(graph)
        self.source_names_ = fit.report.source_names
        self.n_features_in_ = model.statistics.n_sources

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
        labeller, single = self._labeller, _is_single_precision(dtype)
        if out is not None:
            return labeller.write(votes, out, progress, with_probabilities=True, single=single)
        return labeller.answer(votes, partial(labeller.probabilities, single=single), progress)

    def predict_joint(self, votes: Any, *, dtype: DTypeLike = np.float64) -> NDArray[Any]:
        """``P(Y = y | votes)`` over the feasible set, (n_items, K); see :meth:`predict_proba`."""
        labeller, single = self._labeller, _is_single_precision(dtype)
        joint: NDArray[Any] = labeller.answer(votes, partial(labeller.joint, single=single))
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
        labeller = self._labeller
        if out is not None:
            return labeller.write(votes, out, progress, with_probabilities=False)
        return labeller.answer(votes, labeller.labels, progress)

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
        return self._labeller.frame(votes)

    @property
    def _labeller(self) -> Labeller:
        return Labeller(self._fitted(), self._parts, self.n_threads)

    @cached_property
    def _parts(self) -> tuple[WeightedScores, ...]:
        return score_parts(self._fitted())

    def _fitted(self) -> FittedModel:
        if self._model is None:
            reason = self._reason or "call fit(votes) first"
            raise NotFittedError(f"this LabelModel is not fitted yet; {reason}")
        return self._model

    # --- looking at the result -----------------------------------------------------------------------------

    @cached_property
    def accuracy_(self) -> NDArray[np.float64]:
        """``P(vote right | source votes)`` of each source, (m,)."""
        model = self._fitted()
        return model.fit.accuracy(model.class_balance)

    @cached_property
    def emission_(self) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        """Table of each source: one array for a single task, a list of arrays for several."""
        model = self._fitted()
        graph, tables = model.statistics.task_graph, model.shown_tables
        return _dense_emission(tables, graph) if has_plain_events(graph) else [t.table for t in tables]

    @cached_property
    def states_(self) -> list[NDArray[np.int64]]:
        """What each row of the tables stands for, as a vote vector."""
        model = self._fitted()
        silent = np.full((1, model.statistics.task_graph.n_tasks), ABSTAIN, dtype=np.int64)
        return [np.concatenate([table.events, silent]) for table in model.shown_tables]

    @property
    def accuracy_interval_(self) -> NDArray[np.float64]:
        """95 % interval of each accuracy, (m, 2)."""
        return self._uncertainty()[0]

    @property
    def abstentions_(self) -> tuple[str, ...]:
        """``"informative"``, ``"missing"`` or ``"averaged"`` of each source."""
        return self._fitted().abstentions

    @property
    def class_balance_error_(self) -> NDArray[np.float64] | None:
        """Standard error of each class's share, (K,); None where it was given or assumed."""
        model = self._fitted()
        if model.fit.balance_learned:
            of_likelihood = self._uncertainty()[1]
            return model.balance_error if of_likelihood is None else of_likelihood
        return model.balance_error if model.balance_told else None

    @property
    def class_balance_interval_(self) -> NDArray[np.float64] | None:
        """95 % interval of each class's share, (K, 2), within [0, 1]; None where it was given or assumed."""
        error, balance = self.class_balance_error_, self._fitted().class_balance
        if error is None:
            return None
        interval = np.column_stack([balance - QUANTILE * error, balance + QUANTILE * error])
        return np.clip(interval, 0.0, 1.0)

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
        return summarise(self._fitted(), self.accuracy_, self.accuracy_interval_, self.class_balance_error_)

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
        model, labeller = self._fitted(), self._labeller
        return explain_votes(
            labeller.code(labeller.read(votes)),
            labeller.parts,
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
                f"this model was fitted with gold labels of {in_digits(model.n_gold)} items, which refits "
                "to other items would not have; fit on the votes alone to measure this"
            )
        read = self._labeller.read(votes)
        return measure_uncertainty(
            model,
            model.shown_tables,
            read,
            self.predict_joint(read),
            in_item_order(weights, votes, "weights"),
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
            If the method is ``"majority"``, or labels are the majority's because nothing else can be learned
            (see `abstentions`): that learns nothing that the theorem is about.
        NotFittedError
            Before :meth:`fit`.
        """
        fit = self._fitted().fit
        if fit.method == "majority":
            raise InvalidArgumentError("labels by majority vote learn no accuracies; fit by another method")
        return theorem2_terms(fit.structure.system, fit.strength)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a file, wholly or not at all; ``consilience.load`` reads it.

        Raises
        ------
        NotFittedError
            Before :meth:`fit`.
        WrongTypeError
            If `path` is no path.
        OSError
            If the file cannot be written.
        """
        write_atomically(path_of(path), self._fitted().to_bytes())


def _is_single_precision(dtype: DTypeLike) -> bool:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = None
    if wanted not in (np.float64, np.float32):
        raise InvalidArgumentError(f"dtype must be float64 or float32, got {dtype!r}")
    return wanted == np.float32


def _dense_emission(tables: list[SourceTable], graph: TaskGraph) -> NDArray[np.float64]:
    k = graph.n_vectors
    emission = np.zeros((len(tables), k + 1, k))
    for j, table in enumerate(tables):
        emission[j, table.events[:, 0]] = table.table[:-1]
        emission[j, k] = table.table[-1]
    return emission


def load(path: str | os.PathLike[str]) -> LabelModel:
    """Model that ``LabelModel.save`` wrote, of this release or an earlier one.

    Raises
    ------
    FileFormatError
        If the file is damaged, of another kind, or of a newer format, or is a folder.
    WrongTypeError
        If it is no path.
    OSError
        If it cannot be read.
    """
    name = path_of(path)
    fitted = FittedModel.from_bytes(read_file(path), name=name)
    try:
        model = LabelModel(**fitted.params)
        Parameters.of(model)
        model._set(fitted)
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"{name} does not hold a label model: {error}; save it again") from error
    return model
