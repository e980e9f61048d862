"""Maximum likelihood: EM over rows of votes, from the moments, and how free the tables may be.

Three models of a source, from few to many parameters: ``"one-coin"`` (one strength for all its votes),
``"tied"`` (two numbers for each event it votes for, see :mod:`consilience.tied`) and ``"free"`` (a
probability for each of its states under each label vector). Dependent sources are read as one column; their
joint table has one of the forms of :mod:`consilience.joint_forms`. Which model is fitted is left to BIC. It
presumes that different columns are independent given the label: where they are not and nobody said so, free
tables spend their freedom on the dependence.

Within ``"tied"`` and ``"free"`` it may be asked of each source whether its abstentions say anything: if not,
their row is the same for every label vector. That row is the likelihood of who votes times that of the votes
given who votes, so that the votes are read as where abstentions are missing at random; and a source of one
strength, whose strengths at all its votes are equal, is what tied tables become.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.accuracy_prior import ImaginedItems
from consilience.gold import KnownRows
from consilience.joint_forms import PENALTY, AloneTables, Clique, JointForm, best_form, forms_of
from consilience.rows import Rows
from consilience.secants import Secants
from consilience.tied import n_parameters

__all__ = [
    "MAX_PASSES",
    "MODELS",
    "TIE",
    "TOLERANCE",
    "Ascent",
    "Columns",
    "EMFit",
    "Point",
    "best_of_models",
    "choose_model",
    "expect_counts",
    "first_of_best",
    "fit_em",
    "voted_shares",
]

MODELS = ("one-coin", "tied", "free")
"""Each is a case of the next."""

TIE = 1e-3
"""Differences of BIC that are none: sums over the same rows in another order differ by less."""

MAX_PASSES = 1000
TRIAL_PASSES = 60
"""Passes after which a fit may be given up, where it is not the only way to go; one that has not converged by
then is not the only one that is tried."""

LIFT = 3.0
"""In the second start, how much likelier each vote is where it is right."""

TOLERANCE = 3e-7
"""EM has converged when no probability moves by more than this in a step."""

MIN_GAIN, MAX_IDLE = 1e-6, 10
"""It has as well when so many passes in a row each change the log-likelihood of all items by less: the
likelihood is flat, and where on it the tables lie means nothing."""

MOST_AHEAD = 10.0
"""How many times greater, or smaller, than by a plain step a probability may become."""

FALL, MAX_BACK = 1e-2, 5
"""A step that lowers the log-likelihood by more than floors do is halved, so many times at most."""

SETTLED, MAX_BALANCES = 1e-4, 20
"""Imagined items have the class balance that is learned, up to this; and times that it is set anew."""

MAX_TURNS = 10
"""Times that EM, having converged, may go on because another form suits the table of a column better."""

MAX_STEPS, MAX_NEWTON = 50, 32
"""Newton's steps for tied tables of the greatest likelihood, and label vectors up to which they are made."""

PRIOR_COUNT = 1e-2
"""Items that each column of a free table starts with, shared among its states."""

MIN_RATIO = 1e-4
"""Least probability of a state given a label vector, relative to its overall rate."""

Tables = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Columns:
    """Rows of votes, and what their columns stand for.

    Attributes
    ----------
    rows : Rows
        What passes go over.
    n : float
        Items.
    masks : (C, S, K) bool array
        Event of each state of a column that is one source; state 0, the abstention, is not read.
    single : (C,) bool array
        Columns that are one source.
    held : (C,) bool array
        Columns whose tables stay as they start, and whose abstentions say nothing.
    given : (C, S) int array
        State of a column's separator in each state, 0 without one: its table is given that state.
    voters : (C, S) int array or None
        That and which of a column's sources vote in each state, as a number; with it, states are weighed
        given who votes, and abstentions say nothing.
    n_threads : int
        For the passes over the rows; no result depends on it.
    known : KnownRows or None
        Items whose label gold tells, which weigh nothing among the rows; or what the rows, where they are a
        sample, leave out of all items.
    imagined : ImaginedItems or None
        Items beside all these, from which the tables are learned as well: a prior.
    cliques : tuple of Clique
        What the last columns stand for, where their tables may have other forms than the free one.
    asked : (C,) bool array or None
        Columns of which it is asked whether their abstentions say anything; None for none.
    """

    rows: Rows
    n: float
    masks: NDArray[np.bool_]
    single: NDArray[np.bool_]
    held: NDArray[np.bool_]
    given: NDArray[np.int64]
    voters: NDArray[np.int64] | None
    n_threads: int
    known: KnownRows | None = None
    imagined: ImaginedItems | None = None
    cliques: tuple[Clique, ...] = ()
    asked: NDArray[np.bool_] | None = None

    @property
    def of_cliques(self) -> range:
        """Columns of the cliques."""
        return range(len(self.single) - len(self.cliques), len(self.single))


@dataclass(frozen=True, eq=False)
class EMFit:
    """A maximum of the likelihood.

    Attributes
    ----------
    model : str
        One of ``MODELS``.
    tables : (C, S, K) float64 array
        ``P(state | Y = y)`` of each column, given its separator's state; state 0 abstains.
    class_balance : (K,) float64 array
        ``P(Y)``.
    log_likelihood : float
        Of all items.
    n_parameters : int
        Free parameters, those of the class balance included where it was learned.
    n_passes : int
        Passes over the rows.
    converged : bool
        Whether the tables stopped changing.
    forms : tuple of JointForm
        Of the tables of cliques.
    missing : (C,) bool array
        Columns whose abstentions were found to say nothing.
    """

    model: str
    tables: Tables
    class_balance: NDArray[np.float64]
    log_likelihood: float
    n_parameters: int
    n_passes: int
    converged: bool
    forms: tuple[JointForm, ...]
    missing: NDArray[np.bool_]

    def bic(self, n: float) -> float:
        """Bayesian information criterion for `n` items; the lower the better."""
        return -2 * self.log_likelihood + self.n_parameters * float(np.log(n))


def choose_model(
    columns: Columns,
    start: Tables,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    is_hopeless: Callable[[EMFit], bool] | None = None,
) -> tuple[EMFit, dict[str, float]]:
    """The fit with the lowest BIC among ``MODELS``, and the BIC of each.

    Parameters
    ----------
    columns, start, class_balance, learn_balance, is_hopeless
        As for :func:`best_of_models`.
    """
    fits = best_of_models(columns, start, class_balance, learn_balance=learn_balance, is_hopeless=is_hopeless)
    return fits[0], {fit.model: fit.bic(columns.n) for fit in fits}


def best_of_models(
    columns: Columns,
    start: Tables,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    is_hopeless: Callable[[EMFit], bool] | None = None,
) -> list[EMFit]:
    """The best fit of each of ``MODELS``, that with the lowest BIC first.

    Where votes tell so little that some model is slow to converge, the start may be far from the best
    maximum: then ``"one-coin"`` starts a second time, from sources that are all equally good, and once more
    from where ``"tied"`` ended if that is likelier by more than chance.

    Parameters
    ----------
    columns, start, class_balance, learn_balance
        As for :func:`fit_em`.
    is_hopeless : callable, optional
        Asked about the best fit after ``TRIAL_PASSES``; where it says so, no fit goes on.
    """
    runs = [Ascent(columns, start, class_balance, model, learn_balance) for model in MODELS]
    runs[MODELS.index("tied")].narrower = runs[MODELS.index("one-coin")]
    if not columns.cliques and runs[-1].n_parameters == runs[-2].n_parameters:
        runs.pop()  # with two label vectors, tied tables are free

    def best_after(n_passes: int) -> list[EMFit]:
        for run in runs:
            run.go_on(n_passes)
        fits = sorted((run.fit() for run in runs), key=lambda fit: fit.bic(columns.n), reverse=True)
        best = {fit.model: fit for fit in fits}
        ordered = [best[model] for model in MODELS if model in best]
        first = ordered[first_of_best([fit.bic(columns.n) for fit in ordered])]
        rest = [fit for fit in ordered if fit is not first]
        return [first, *sorted(rest, key=lambda fit: fit.bic(columns.n))]

    fits = best_after(TRIAL_PASSES)
    if is_hopeless is not None and is_hopeless(fits[0]):
        return fits
    if not all(run.converged for run in runs):
        # Votes that tell little: the likelihood may have several maxima, and moments be far from all of them.
        alike = _alike(columns, start, class_balance)
        again = Ascent(columns, alike, class_balance, "one-coin", learn_balance)
        again.go_on(MAX_PASSES)
        if not _is_mirrored(again.point.tables, start, class_balance):
            runs.append(again)
        fits = best_after(MAX_PASSES)
    narrow, wide = runs[MODELS.index("one-coin")].fit(), runs[MODELS.index("tied")].fit()
    more = max(wide.n_parameters - narrow.n_parameters, 1)
    if 2 * (wide.log_likelihood - narrow.log_likelihood) > more + 3 * np.sqrt(2 * more):
        # More than chance: "one-coin" is wrong, or it has come to rest at another maximum.
        runs.append(Ascent(columns, wide.tables, wide.class_balance, "one-coin", learn_balance))
        fits = best_after(MAX_PASSES)
    return fits


def first_of_best(bics: Sequence[float]) -> int:
    """Which is the lowest, or the first of those that are as low."""
    return next(i for i, bic in enumerate(bics) if bic <= min(bics) + TIE)


def _alike(columns: Columns, start: Tables, class_balance: NDArray[np.float64]) -> Tables:
    """Tables in which all sources are equally good, each with the rates of its votes in `start`."""
    rate = start @ class_balance
    inside = columns.masks[:, 1:]
    lifted = np.where(inside, LIFT, 1.0) / (1 + (LIFT - 1) * (inside @ class_balance))[:, :, None]
    tables = np.repeat(rate[:, :, None], len(class_balance), axis=2)
    tables[:, 1:] *= lifted
    tables = voted_shares(tables, columns.given)
    kept = ~columns.single | columns.held
    tables[kept] = start[kept]
    return tables


def _is_mirrored(tables: Tables, start: Tables, class_balance: NDArray[np.float64]) -> bool:
    """Whether votes speak, on the whole, for other labels than in the start, whose signs were chosen."""
    before = start[:, 1:] - (start[:, 1:] @ class_balance)[:, :, None]
    after = tables[:, 1:] - (tables[:, 1:] @ class_balance)[:, :, None]
    sizes = [float((part**2 @ class_balance).sum()) for part in (before, after)]
    return float((before * after @ class_balance).sum()) < -0.5 * float(np.sqrt(sizes[0] * sizes[1]))


def fit_em(
    columns: Columns,
    start: Tables,
    class_balance: NDArray[np.float64],
    *,
    model: str,
    learn_balance: bool,
    n_passes: int = MAX_PASSES,
) -> EMFit:
    """Maximum of the likelihood that EM reaches from a start.

    Parameters
    ----------
    columns : Columns
        The rows of votes.
    start : (C, S, K) float64 array
        Tables to start from; a state that is 0 in all columns of its table never occurs.
    class_balance : (K,) float64 array
        ``P(Y)``, or where to start.
    model : str
        One of ``MODELS``.
    learn_balance : bool
        Whether ``P(Y)`` is learned too.
    n_passes : int
        Passes after which it stops before the maximum.
    """
    run = Ascent(columns, start, class_balance, model, learn_balance)
    run.go_on(n_passes)
    return run.fit()


class Ascent:
    """EM under way, from the arguments of :func:`fit_em`.

    Each step goes beyond the plain one, as far as the last ones tell (:mod:`consilience.secants`); where that
    lowers the likelihood the plain step is made instead, and where floors make a plain step lower it, a part
    of that step. With imagined items, the likelihood is that of all items times
    ``prod(tables ** imagined)``; where the class balance is learned, they are given it each time that EM has
    converged, until it is theirs. With more than ``MAX_NEWTON`` label vectors, or of votes given who votes,
    the steps of ``"one-coin"`` and ``"tied"`` match the expected rates of each event, and stop where these
    agree with the tables: near the maximum, not at it.

    The tables of cliques begin with the forms that suit the counts expected at the start. Where EM has
    converged, they change to the forms that suit the counts expected there, and it goes on. Where abstentions
    say nothing, they are free. So with the abstentions of the columns that are asked: they begin as a state
    like others, and come to say nothing where that costs the expected counts less than the parameters that
    it saves are worth, or back where they gain more. The votes lose no more than the counts, and gain no
    less, so that each turn goes up.
    """

    def __init__(
        self,
        columns: Columns,
        start: Tables,
        class_balance: NDArray[np.float64],
        model: str,
        learn_balance: bool,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.columns, self.start, self.model, self.learn_balance = columns, start, model, learn_balance
        self.tolerance = tolerance
        self.occurs: NDArray[np.bool_] = np.asarray((start > 0).any(axis=2), dtype=np.bool_)
        self.maximise = {"one-coin": _one_coin, "tied": _tied, "free": _free}[model]
        self.point, self.converged = Point(start, class_balance), False
        self.imagined_balance, self.n_balances = class_balance, 0
        self.reach = tolerance if columns.imagined is None or not learn_balance else max(tolerance, SETTLED)
        self.imagined = None if columns.imagined is None else columns.imagined.under(class_balance)
        self.moving = self.occurs & ~columns.held[:, None]
        self.secants = Secants()
        self.n_passes, self.n_idle, self.n_back, self.is_fresh = 0, 0, 0, True
        self.safe: tuple[Point, float] = (self.point, -np.inf)
        self.instead: Point | None = None
        """The plain step, where the point is beyond it."""
        self.told = -np.inf
        self._fit: EMFit | None = None
        of_cliques = zip(columns.of_cliques, columns.cliques, strict=True)
        possible = [forms_of(clique, self.occurs[c, : len(clique.states)], model) for c, clique in of_cliques]
        # Given who votes, tables of other forms are not those of the greatest likelihood.
        self.possible = possible if columns.voters is None else [forms[-1:] for forms in possible]
        self.forms: tuple[JointForm, ...] = ()
        self.ended: dict[tuple[int, JointForm], dict[int, NDArray[np.float64]]] = {}
        self.n_turns = 0
        everything = np.ones(len(columns.single), dtype=np.bool_)
        exact = model == "one-coin" and start.shape[2] <= MAX_NEWTON
        self.alone = _alone_tables(columns, self.occurs, everything) if exact else []
        n_learned = np.count_nonzero(columns.single & ~columns.held & self.occurs[:, 1:].any(axis=1))
        if self.alone and sum(cells[0].size for cells, _ in self.alone) == n_learned:
            self.maximise = _free  # for cliques; the others are found one by one
        # Other steps match rates of events, which is not quite to climb.
        self.climbs = model == "free" or (columns.voters is None and start.shape[2] <= MAX_NEWTON)
        self.asked = _can_be_asked(columns, self.occurs, model)
        self.smoothing = self._smoothing()
        self.missing = np.zeros_like(everything)
        self.silent: list[tuple[tuple[NDArray[Any], ...], AloneTables]] = []
        self.narrower: Ascent | None = None
        """Of one strength a source, under way from the same start."""

    def take_up(self, point: Point, forms: tuple[JointForm, ...], missing: NDArray[np.bool_]) -> None:
        """Go on from elsewhere."""
        self.point, self.forms = point, forms
        self._ignore_silence(missing)

    def _ignore_silence(self, missing: NDArray[np.bool_]) -> None:
        self.missing = missing
        self.silent = _alone_tables(self.columns, self.occurs, missing) if self.model == "tied" else []

    def go_on(self, n_passes: int) -> None:
        """Up to so many passes over the rows, all that were made included; fewer where EM has converged."""
        while self.n_passes < n_passes and not self.converged:
            self._fit = None
            plain, at, told = self._step(self.point)
            if self.is_fresh:
                self.point, self.is_fresh = plain, False
            elif self.instead is not None and at < self.safe[1]:
                self.point, self.instead = self.instead, None
                self.secants.went_down()
            elif self.climbs and at < self.safe[1] - FALL:
                self._go_back()
            else:
                self._go_from(plain, at, told)
        if self.instead is not None:  # nobody has looked how high the point is
            self.point, self.instead = self.instead, None

    def _go_from(self, plain: Point, at: float, told: float) -> None:
        """On from a point that is not below the last, whose plain step is known."""
        if self.instead is not None:
            self.secants.went_up()
        # What tables start with draws them on where items tell nothing.
        self.n_idle = self.n_idle + 1 if abs(told - self.told) < MIN_GAIN else 0
        self.safe, self.told, self.n_back = (self.point, at), told, 0
        self.converged = plain.distance(self.point) < self.reach or self.n_idle >= MAX_IDLE
        if not self.converged:
            ahead = self._ahead(plain)
            self.point, self.instead = (plain, None) if ahead is None else (ahead, plain)
        else:
            self.point, self.instead = plain, None
            self.secants.forget()
            self.converged = not (self._imagines_anew() or self._turns())

    def _ahead(self, plain: Point) -> Point | None:
        """Beyond a plain step, as far as the last steps tell; None where they tell nothing yet."""
        point, next_one = (at.of_cells(self.moving) for at in (self.point, plain))
        of_cell = np.broadcast_to(plain.balance, (int(self.moving.sum()), len(plain.balance)))
        # Of as many items for which the tables and the class balance were drawn.
        metric = np.append(of_cell, np.ones(len(plain.balance))) / np.maximum(next_one, 1e-12)
        beyond = self.secants.beyond(point, next_one - point, metric)
        if beyond is None:
            return None
        # Far out, the likelihood is trusted and not the secants.
        ahead = np.clip(next_one + beyond, next_one / MOST_AHEAD, next_one * MOST_AHEAD)
        return plain.with_cells(self.moving, ahead, self.columns.given)

    def _go_back(self) -> None:
        """Half the way to the last point that is known to be higher; there at last."""
        self.n_back += 1
        if self.n_back <= MAX_BACK:
            self.point = self.safe[0].between(self.point)
        else:
            self.point, self.converged = self.safe[0], True

    def _imagines_anew(self) -> bool:
        """Go over to imagined items with the class balance learned since; whether there are any."""
        if self.columns.imagined is None or not self.learn_balance:
            return False
        balance = self.point.balance
        moved = float(np.abs(balance - self.imagined_balance).max())
        if self.n_balances == MAX_BALANCES or (moved < SETTLED and self.reach <= self.tolerance):
            return False
        self.n_balances += 1
        self.reach = max(self.tolerance, moved / 10) if self.n_balances < MAX_BALANCES else self.tolerance
        self.imagined, self.imagined_balance = self.columns.imagined.under(balance), balance
        self.safe, self.told, self.n_idle = (self.point, -np.inf), -np.inf, 0
        self.secants.forget()
        return True

    def _start_afresh(self) -> None:
        """Where tables need not be of the model that is climbed: the first step may go down."""
        self.safe, self.told, self.is_fresh = (self.point, -np.inf), -np.inf, True
        self.n_idle, self.n_back = 0, 0
        self.secants.forget()

    def _turns(self) -> bool:
        """Go over to forms that suit the tables better; whether there were any."""
        has_forms = any(len(forms) > 1 for forms in self.possible)
        if self.n_turns == MAX_TURNS or not (has_forms or self.asked.any()):
            return False
        counts, weights, _ = expect_counts(self.columns, self.point)
        forms = self._best_forms(counts) if has_forms else self.forms
        missing = self._found_missing(counts, weights)
        turned = forms != self.forms or bool((missing != self.missing).any())
        self.forms = forms
        self._ignore_silence(missing)
        self.n_turns += turned
        self._start_afresh()
        if turned and self._is_as_narrow():
            assert self.narrower is not None
            own = self.step_from(counts, weights, self.point)
            if self.narrower.fit().log_likelihood >= expect_counts(self.columns, own)[2]:
                self.point = self.narrower.point
        return turned

    def _is_as_narrow(self) -> bool:
        """Whether it has come to be the narrower model, which has been fitted: all votes of one strength."""
        narrower, alone = self.narrower, self.columns.single & ~self.columns.held
        if narrower is None or not narrower.converged or self.columns.cliques:
            return False
        return self.n_parameters == narrower.n_parameters and bool(self.missing[alone].all())

    def _found_missing(self, counts: Tables, weights: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Columns whose abstentions say nothing, by expected counts."""
        columns, found = self.columns, np.array(self.missing)
        if not self.asked.any():
            return self.missing
        counts, items = self._all_items(counts, weights)
        telling = self.maximise(columns, counts, items, self.occurs)
        silent = _alone_tables(columns, self.occurs, self.asked) if self.model == "tied" else []
        ignored, observed = telling.copy(), _with_prior_counts(counts, self.occurs)
        for cells, alone in silent:
            ignored[cells] = alone.most_likely(observed[cells])
        ignored = _with_one_silence(ignored, counts, weights, self.asked)
        worth = [
            (counts * np.log(np.maximum(tables, 1e-300))).sum(axis=(1, 2), where=self.occurs[:, :, None])
            for tables in (telling, ignored)
        ]
        saved = _n_saved(self.model, columns, self.occurs)
        found[self.asked] = (worth[0] - worth[1] < PENALTY / 2 * saved)[self.asked]
        return np.asarray(found, dtype=np.bool_)

    def _best_forms(self, counts: Tables) -> tuple[JointForm, ...]:
        """Of each clique's table, from expected counts."""
        columns = self.columns
        counts = _with_prior_counts(counts, self.occurs)
        current = self.forms or (None,) * len(columns.cliques)
        return tuple(
            best_form(forms, counts[c, : len(clique.states)], clique.given, form)
            for c, clique, forms, form in zip(
                columns.of_cliques, columns.cliques, self.possible, current, strict=True
            )
        )

    def fit(self) -> EMFit:
        """Where it stands."""
        if self._fit is None:
            self._fit = EMFit(
                self.model,
                self.point.tables,
                self.point.balance,
                expect_counts(self.columns, self.point)[2],
                self.n_parameters,
                self.n_passes,
                self.converged,
                self.forms,
                self.missing | _of_one_strength(self.columns, self.occurs, self.model),
            )
        return self._fit

    @property
    def n_parameters(self) -> int:
        """Free parameters, those of the class balance included where it is learned."""
        of_tables = _n_parameters(self.model, self.columns, self.occurs, self.forms)
        of_tables -= int(_n_saved(self.model, self.columns, self.occurs)[self.missing].sum())
        return of_tables + (len(self.point.balance) - 1) * self.learn_balance

    def _step(self, at: Point) -> tuple[Point, float, float]:
        """Next point of plain EM, and at the one given what it climbs, and how much of that items tell."""
        self.n_passes += 1
        counts, weights, told, logs = _expect(self.columns, at)
        if self.imagined is not None:
            told += float((self.imagined * logs).sum())
        return self.step_from(counts, weights, at), told + float((self.smoothing * logs).sum()), told

    def _smoothing(self) -> Tables:
        """What tables start with, where they do, (C, S, 1)."""
        columns, smoothed = self.columns, ~self.columns.held
        if self.maximise is not _free:
            smoothed = smoothed & ~columns.single
            for cells, _ in self.alone:
                smoothed[cells[0].ravel()] = True
        return _prior_counts(self.occurs)[:, :, None] * smoothed[:, None, None]

    def _all_items(self, counts: Tables, weights: NDArray[np.float64]) -> tuple[Tables, NDArray[np.float64]]:
        """Expected counts of states and of label vectors, (C, K), imagined items among as many altogether."""
        if self.imagined is None:
            return counts, np.broadcast_to(weights, (len(counts), len(weights)))
        total = weights.sum()
        share = total / (total + self.imagined.sum(axis=(1, 2), keepdims=True))
        counts = (counts + self.imagined) * share
        return counts, (weights + self.imagined.sum(axis=1)) * share[:, 0]

    def step_from(self, counts: Tables, weights: NDArray[np.float64], at: Point) -> Point:
        """Next point of plain EM, from what is expected at one."""
        columns = self.columns
        counts, items = self._all_items(counts, weights)
        tables = self.maximise(columns, counts, items, self.occurs)
        if not self.forms:
            self.forms = self._best_forms(counts)
        observed = _with_prior_counts(counts, self.occurs)
        for cells, alone in (*self.alone, *self.silent):
            tables[cells] = alone.most_likely(observed[cells])
        for c, clique, form in zip(columns.of_cliques, columns.cliques, self.forms, strict=True):
            if form.name != "free":
                n_states = len(clique.states)
                ended = self.ended.setdefault((c, form), {})
                tables[c, :n_states] = form.most_likely(observed[c, :n_states], clique.given, ended)
        tables = _floored(columns, tables, counts, self.occurs)
        if self.missing.any():
            tables = _with_one_silence(tables, counts, weights, self.missing)
        tables[columns.held] = self.start[columns.held]
        balance = at.balance
        if self.learn_balance:
            balance = np.maximum(weights / weights.sum(), 1e-3 / len(weights))
            balance = balance / balance.sum()
        return Point(tables, balance)


@dataclass(frozen=True, eq=False)
class Point:
    """Tables of the columns, (C, S, K), and ``P(Y)``, (K,)."""

    tables: Tables
    balance: NDArray[np.float64]

    def between(self, other: Point) -> Point:
        """Half the way, along which one strength stays one, and tied tables stay tied."""
        return Point((self.tables + other.tables) / 2, (self.balance + other.balance) / 2)

    def of_cells(self, cells: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities of some cells, (C, S), for each label vector, and the class balance: in one row."""
        return np.append(self.tables[cells], self.balance)

    def with_cells(
        self, cells: NDArray[np.bool_], values: NDArray[np.float64], given: NDArray[np.int64]
    ) -> Point:
        """With others in such a row, which are made to sum to 1 for each state of `given`, (C, S)."""
        k, among = len(self.balance), cells.any(axis=1)
        tables, balance = self.tables.copy(), values[-k:]
        tables[cells] = values[:-k].reshape(-1, k)
        tables[among] = voted_shares(tables[among], given[among])
        return Point(tables, balance / balance.sum())

    def distance(self, other: Point) -> float:
        """The most that a probability differs by."""
        return float(
            max(np.abs(self.tables - other.tables).max(), np.abs(self.balance - other.balance).max())
        )


def expect_counts(columns: Columns, point: Point) -> tuple[Tables, NDArray[np.float64], float]:
    """Expected counts of states, (C, S, K), and of label vectors, (K,), and the log-likelihood."""
    return _expect(columns, point)[:3]


def _expect(columns: Columns, point: Point) -> tuple[Tables, NDArray[np.float64], float, Tables]:
    """The same, and the logarithms of the probabilities that an item is scored by."""
    tables = point.tables
    if columns.voters is not None:
        tables = voted_shares(tables, columns.voters)
    logs = np.log(np.where(tables > 0, tables, 1.0))
    silent = np.where(columns.held[:, None], 0.0, logs[:, 0])
    of_state = logs - silent[:, None]
    of_state[:, 0] = 0.0
    base = np.log(point.balance) + silent.sum(axis=0)
    counts, weights, log_likelihood = columns.rows.expect(of_state, base, columns.n_threads)
    if columns.known is not None:
        more, of_vector, of_rows = columns.known.expect(of_state, base, columns.n_threads)
        counts, weights = np.maximum(counts + more, 0.0), np.maximum(weights + of_vector, 0.0)
        log_likelihood += of_rows
    counts[:, 0] = np.maximum(weights - counts[:, 1:].sum(axis=1), 0.0)
    return counts, weights, log_likelihood, logs


def voted_shares(tables: Tables, groups: NDArray[np.int64]) -> Tables:
    """States divided by the sum over those of their column that have the same number in `groups`, (C, S)."""
    plain = ~groups.any(axis=1)
    if plain.all():
        return _rate(tables, tables.sum(axis=1, keepdims=True))
    shares: Tables = tables.copy()
    shares[plain] = _rate(tables[plain], tables[plain].sum(axis=1, keepdims=True))
    for c in np.flatnonzero(~plain):
        total = np.zeros((int(groups[c].max()) + 1, tables.shape[2]))
        np.add.at(total, groups[c], tables[c])
        shares[c] = _rate(tables[c], total[groups[c]])
    return shares


def _free(columns: Columns, counts: Tables, items: NDArray[np.float64], occurs: NDArray[np.bool_]) -> Tables:
    return voted_shares(_with_prior_counts(counts, occurs), columns.given)


def _with_prior_counts(counts: Tables, occurs: NDArray[np.bool_]) -> Tables:
    return np.asarray(counts + _prior_counts(occurs)[:, :, None], dtype=np.float64)


def _prior_counts(occurs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each state, (C, S)."""
    return np.asarray(PRIOR_COUNT * occurs / occurs.sum(axis=1, keepdims=True), dtype=np.float64)


def _tied(columns: Columns, counts: Tables, items: NDArray[np.float64], occurs: NDArray[np.bool_]) -> Tables:
    """Rates of each event's votes inside and outside the event; abstentions are what remains."""
    tables = _free(columns, counts, items, occurs)
    inside = columns.masks[columns.single, 1:].astype(np.float64)
    votes = counts[columns.single, 1:]
    hits = (votes * inside).sum(axis=2)
    misses = votes.sum(axis=2) - hits
    of_class = _effective_weights(inside, hits, misses, counts[columns.single, 0], items[columns.single])
    within = (inside * of_class[:, None]).sum(axis=2)
    alpha = _rate(hits, within)
    beta = _rate(misses, of_class.sum(axis=1, keepdims=True) - within)
    tables[columns.single] = _with_abstention(np.where(inside > 0, alpha[:, :, None], beta[:, :, None]))
    return tables


def _effective_weights(
    inside: Tables,
    hits: NDArray[np.float64],
    misses: NDArray[np.float64],
    silent: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Items of each label vector that votes are divided by in the most likely tied tables, (C, K).

    The expected items would do if rates inside and outside of events were all there is; but together with the
    abstentions they sum to 1 for each label vector. The multipliers ``w`` of these sums solve

        hits_a / w(a) summed over events a of y + misses_a / w(not a) over the others + silent_y / w_y = 1

    for every ``y``: the minimum of a convex function, found by Newton's steps from the expected items.

    Parameters
    ----------
    inside : (C, S, K) float64 array
        1 where a label vector belongs to the event of a state.
    hits, misses : (C, S) float64 arrays
        Expected votes inside and outside of the event.
    silent : (C, K) float64 array
        Expected abstentions.
    weights : (C, K) float64 array
        Expected items of each label vector.
    """
    # A label vector without items has no rates to tell: its multiplier stays where it is.
    least = 1e-9 * weights.sum(axis=1, keepdims=True)
    empty = weights <= least
    either = empty[:, :, None] | empty[:, None]
    multipliers: NDArray[np.float64] = np.maximum(weights, least)
    k = weights.shape[1]
    if k > MAX_NEWTON:
        return multipliers
    outside = 1 - inside
    for _ in range(MAX_STEPS):
        within = np.maximum((inside * multipliers[:, None]).sum(axis=2), 1e-300)
        without = np.maximum((outside * multipliers[:, None]).sum(axis=2), 1e-300)
        rate_in, rate_out, rate_silent = hits / within, misses / without, silent / multipliers
        slope = 1 - rate_silent
        slope -= (inside * rate_in[:, :, None] + outside * rate_out[:, :, None]).sum(axis=1)
        slope[empty] = 0.0
        if np.abs(slope).max(initial=0.0) < TOLERANCE**2:
            break
        bend = inside.transpose(0, 2, 1) @ (inside * (rate_in / within)[:, :, None])
        bend += outside.transpose(0, 2, 1) @ (outside * (rate_out / without)[:, :, None])
        ridge = rate_silent / multipliers + 1e-9 / multipliers  # keeps what no count speaks of where it is
        bend[:, np.arange(k), np.arange(k)] += ridge
        bend = np.where(either, np.eye(k), bend)
        step = np.linalg.solve(bend, slope[:, :, None])[:, :, 0]
        multipliers = np.clip(multipliers - step, multipliers / 3, multipliers * 3)
    return multipliers


def _can_be_asked(columns: Columns, occurs: NDArray[np.bool_], model: str) -> NDArray[np.bool_]:
    """Columns of which a model may find that their abstentions say nothing, though it need not.

    Sources that never vote for some label vector are left out: whether they vote is what they say. Of tied
    tables are those whose votes can be brought to one strength, which then leaves abstentions one rate.
    """
    if model == "one-coin" or (model == "tied" and columns.masks.shape[2] > MAX_NEWTON):
        return np.zeros(len(columns.single), dtype=np.bool_)
    possible, of_vector = _asked(columns, occurs)
    if model == "tied":
        possible &= (of_vector == of_vector[:, :1]).all(axis=1)
    return possible


def _of_one_strength(columns: Columns, occurs: NDArray[np.bool_], model: str) -> NDArray[np.bool_]:
    """Columns that are asked and whose abstentions have one rate because their votes have one strength."""
    possible, of_vector = _asked(columns, occurs)
    equal = (of_vector == of_vector[:, :1]).all(axis=1)
    return np.asarray(possible & equal & (model == "one-coin"), dtype=np.bool_)


def _asked(columns: Columns, occurs: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Columns that abstain, vote for every label vector and are asked; votes for each vector, (C, K)."""
    inside = columns.masks[:, 1:] & occurs[:, 1:, None]
    of_vector = inside.sum(axis=1)
    if columns.asked is None or columns.voters is not None:
        return np.zeros(len(columns.single), dtype=np.bool_), of_vector
    # A vote for just anything is about whether it votes.
    apart = (inside.sum(axis=2) < inside.shape[2]).all(axis=1, where=occurs[:, 1:])
    possible = columns.asked & columns.single & ~columns.held & occurs[:, 0] & apart
    return np.asarray(possible & (of_vector > 0).all(axis=1), dtype=np.bool_), of_vector


def _n_saved(model: str, columns: Columns, occurs: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Parameters fewer in each column's table if its abstentions say nothing, (C,)."""
    states = occurs[:, 1:].sum(axis=1)
    saved = {"free": np.full(len(states), columns.masks.shape[2] - 1), "tied": states - 1}
    return np.asarray(saved.get(model, np.zeros(len(states))), dtype=np.int64)


def _alone_tables(
    columns: Columns, occurs: NDArray[np.bool_], among: NDArray[np.bool_]
) -> list[tuple[tuple[NDArray[Any], ...], AloneTables]]:
    """Some sources of one strength: columns and states of those that vote alike, and how tables are found."""
    learned = np.flatnonzero(among & columns.single & ~columns.held & occurs[:, 1:].any(axis=1))
    groups: dict[bytes, list[int]] = {}
    for c in learned.tolist():
        groups.setdefault(columns.masks[c, occurs[c]].tobytes() + occurs[c].tobytes(), []).append(c)
    found = []
    for of_group in groups.values():
        first = of_group[0]
        votes = 1 + np.flatnonzero(occurs[first, 1:])
        of_vector = columns.masks[first, votes].sum(axis=0)
        if not occurs[first, 0] and (of_vector != of_vector[0]).any():
            continue  # no strength but 0 would do where votes must sum to 1: it is taken from the rates
        alone = AloneTables(columns.masks[first, votes], "one-coin", abstains=bool(occurs[first, 0]))
        found.append((np.ix_(np.array(of_group), np.append(0, votes)), alone))
    return found


def _one_coin(
    columns: Columns, counts: Tables, items: NDArray[np.float64], occurs: NDArray[np.bool_]
) -> Tables:
    """One strength a source: the mean of its nodes' strengths, weighed by what each tells.

    Not the most likely tables: those are found by :class:`consilience.joint_forms.AloneTables`, unless there
    are too many label vectors, or a source always votes but for some labels only.
    """
    tables = _free(columns, counts, items, occurs)
    inside = columns.masks[columns.single, 1:]
    of_class = items[columns.single][:, :, None]
    total = of_class.sum(axis=1)
    p = (inside @ of_class)[:, :, 0] / total
    votes = counts[columns.single, 1:]
    rate = votes.sum(axis=2) / total
    alpha = _rate((votes * inside).sum(axis=2), (inside @ of_class)[:, :, 0])
    beta = _rate((votes * ~inside).sum(axis=2), (~inside @ of_class)[:, :, 0])
    telling = (p * (1 - p)) * (rate > 0)
    total = telling.sum(axis=1, keepdims=True)
    strength = (telling * (alpha - beta)).sum(axis=1, keepdims=True) / np.where(total > 0, total, 1.0)
    low = (rate - strength * p)[:, :, None]
    voted = np.where(inside, low + strength[:, :, None], low) * (rate > 0)[:, :, None]
    tables[columns.single] = _with_abstention(np.maximum(voted, 0.0))
    return tables


def _rate(counts: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(counts, of, out=np.zeros(np.broadcast(counts, of).shape), where=of > 0)


def _with_abstention(votes: Tables) -> Tables:
    return np.concatenate([np.maximum(1 - votes.sum(axis=1, keepdims=True), 0.0), votes], axis=1)


def _with_one_silence(
    tables: Tables, counts: Tables, weights: NDArray[np.float64], missing: NDArray[np.bool_]
) -> Tables:
    """Tables in which some columns abstain at one rate; their votes, given that they vote, stay."""
    tables = tables.copy()
    rate = counts[missing, :1].sum(axis=2, keepdims=True) / weights.sum()
    votes = tables[missing, 1:]
    tables[missing, 1:] = (1 - rate) * _rate(votes, votes.sum(axis=1, keepdims=True))
    tables[missing, :1] = rate
    return tables


def _floored(columns: Columns, tables: Tables, counts: Tables, occurs: NDArray[np.bool_]) -> Tables:
    """Probabilities that no state that occurs has too little of, with columns that sum to 1."""
    rate = np.maximum(counts.sum(axis=2, keepdims=True), 1.0) / columns.n
    floored = np.where(occurs[:, :, None], np.maximum(tables, MIN_RATIO * rate), 0.0)
    return voted_shares(floored, columns.given)


def _n_parameters(
    model: str, columns: Columns, occurs: NDArray[np.bool_], forms: tuple[JointForm, ...]
) -> int:
    states, k = occurs[:, 1:].sum(axis=1), columns.masks.shape[2]
    # A table given a separator sums to 1 for each of its states.
    sums = np.array([len(np.unique(own[seen])) for own, seen in zip(columns.given, occurs, strict=True)])
    counted = k * (states + occurs[:, 0] - sums)
    for c in np.flatnonzero(columns.single & (states > 0)):
        counted[c] = n_parameters(model, int(states[c]), k, abstains=bool(occurs[c, 0]))
    counted[columns.of_cliques] = [form.n_parameters for form in forms]
    return int(counted[~columns.held & (states > 0)].sum())
