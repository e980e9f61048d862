"""From a fit by moments to the maximum of the likelihood: sources to columns for EM, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.accuracy_prior import AccuracyPrior, ImaginedItems
from consilience.components import ComponentLayout
from consilience.em import (
    MAX_PASSES,
    Ascent,
    Columns,
    EMFit,
    Point,
    choose_model,
    expect_counts,
    fit_em,
    voted_shares,
)
from consilience.events import states_of
from consilience.exceptions import ConvergenceWarning, warn_caller
from consilience.fitting import SourceFit
from consilience.gold import Gold, known_rows, without_gold
from consilience.joint_forms import Clique
from consilience.joint_tables import ComponentTable, conditional
from consilience.sampled_em import choose_model_by_sample, is_worth_a_sample
from consilience.shrinkage import FEW_VOTES, FIRST_ACCURACY, first_prior, learned_prior
from consilience.statistics import Observation
from consilience.tied import SourceTable

__all__ = ["likely_components", "maximise_likelihood", "without_copies"]

COMPONENT_PASSES = 100
"""Of EM over the rows, for joint tables that are looked at and not kept: weak votes may take a thousand, in
which what is tested in the tables hardly moves."""

CLEAR_GAIN = 0.01
"""Share of the votes that must come to be right for two label vectors to change names."""

TURN = 1.0
"""Log-likelihood by which sources must be better taken for the opposite of what they seem on average."""

DRAWING_STEPS = 2
"""Of EM over very many rows, under each of two priors, for sources with few votes: they settle fast."""


def maximise_likelihood(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    missing: bool | NDArray[np.bool_],
    n_threads: int,
    asks: bool = False,
    is_hopeless: Callable[[SourceFit, NDArray[np.float64]], bool] | None = None,
    gold: Gold | None = None,
    prior: AccuracyPrior | None = None,
    trusted: NDArray[np.int64] | None = None,
    warns: bool = True,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """Tables, and class balance, of the greatest likelihood, with the model of a source chosen by BIC.

    Sources with few votes are drawn towards the others, see :mod:`consilience.shrinkage`.

    Parameters
    ----------
    observed : Observation
        The votes.
    fit : SourceFit
        By the moments: the start. Sources that it could not learn keep their tables; duplicates count once.
    class_balance : (K,) float64 array
        ``P(Y)``, or where to start.
    learn_balance : bool
        Whether to learn it.
    missing : bool or (m,) bool array
        Whether abstentions say nothing; an array says of which sources, and tables then abstain at one rate.
    n_threads : int
        For the passes over the votes.
    asks : bool
        Whether each source is asked if its abstentions say anything, where they are not `missing`.
    is_hopeless : callable, optional
        Asked about tables and class balance after some passes; where it says so, they are the result.
    gold : Gold or None
        What is known of the labels.
    prior : AccuracyPrior or None
        What is believed of the sources; sources that are modelled together have none.
    trusted : array of int, optional
        Sources that are better than chance; `fit` has their signs already.
    warns : bool
        Whether to warn of a fit that stops before it has converged.

    Returns
    -------
    fit : SourceFit
    class_balance : (K,) float64 array
    """
    if not fit.learned.any():
        return fit, class_balance
    layout = without_copies(fit)
    given_voters = isinstance(missing, np.ndarray) or missing
    columns = _columns(observed, fit, layout, gold, missing=given_voters, n_threads=n_threads)
    if isinstance(missing, np.ndarray) and columns.voters is not None:
        columns.voters[: len(layout.alone)][~missing[list(layout.alone)]] = 0  # as states like others
    if asks:
        columns = replace(columns, asked=columns.single)
    own = None if prior is None else _of_columns(prior, fit, layout)
    start = _to_columns(fit, layout, columns.masks.shape[1])
    imagined_by = partial(ImaginedItems, masks=columns.masks, rate=start @ class_balance)
    if own is not None:
        columns = replace(columns, imagined=imagined_by(own))

    def give_up(found: EMFit) -> bool:
        return is_hopeless is not None and is_hopeless(
            _to_sources(fit, layout, found, {}), found.class_balance
        )

    choose = partial(
        choose_model_by_sample if is_worth_a_sample(columns) else choose_model,
        class_balance=class_balance,
        learn_balance=learn_balance,
        is_hopeless=None if is_hopeless is None else give_up,
    )
    n_votes = np.zeros(len(columns.single))
    n_votes[: len(layout.alone)] = observed.statistics.n_votes[list(layout.alone)]
    starts = [start]
    if "sum" in fit.sign_rules and (gold is not None or own is not None):
        starts.append(_turned_round(columns, start, class_balance))
    top = _highest(columns, choose, starts, n_votes, own, imagined_by)
    found = top.fit
    if gold is None and own is None:
        if learn_balance and "trusted" not in fit.sign_rules:
            found = _named_by_votes(columns, found)
        if "third moments" not in fit.sign_rules and (learn_balance or np.ptp(class_balance) == 0):
            of_trusted = np.isin(layout.alone, [] if trusted is None else fit.first[trusted])
            found = _right_way_round(columns, found, np.flatnonzero(of_trusted))
    refined = _to_sources(fit, layout, found, top.bic)
    if top.start > 0:
        by = "gold" if own is None else "accuracy_prior"
        rules = [by if rule == "sum" else rule for rule in fit.sign_rules]
        refined = replace(refined, sign_rules=rules)
    if top.stopped:
        refined = replace(refined, said=[*refined.remarks, top.stopped])
        if warns:
            warn_caller(top.stopped, ConvergenceWarning)
    refined = _with_missing(refined, found.class_balance, missing)
    refined = replace(refined, balance_learned=learn_balance, given_voters=given_voters)
    return refined, found.class_balance


def _with_missing(
    fit: SourceFit, class_balance: NDArray[np.float64], missing: bool | NDArray[np.bool_]
) -> SourceFit:
    """The fit with one rate of abstention for each source whose abstentions were said to say nothing."""
    if isinstance(missing, bool):
        return replace(fit, missing=None) if missing else fit  # of none it was asked
    silent = missing & fit.learned
    tables = [
        table.with_one_silence(class_balance) if is_silent else table
        for table, is_silent in zip(fit.tables, silent.tolist(), strict=True)
    ]
    return replace(fit, tables=tables, missing=silent)


@dataclass(frozen=True, eq=False)
class _Top:
    """The greatest likelihood that was found.

    Attributes
    ----------
    fit : EMFit
    bic : dict of str to float
        Of each model.
    start : int
        From which of the starts.
    stopped : str
        What is said of a fit that stopped before it had converged, or nothing.
    """

    fit: EMFit
    bic: dict[str, float]
    start: int
    stopped: str


def _highest(
    columns: Columns,
    choose: Callable[..., tuple[EMFit, dict[str, float]]],
    starts: list[NDArray[np.float64]],
    n_votes: NDArray[np.float64],
    own: AccuracyPrior | None,
    imagined_by: Callable[[AccuracyPrior], ImaginedItems],
) -> _Top:
    """The greatest likelihood from some starts; sources with few votes are drawn towards the others.

    Parameters
    ----------
    columns, starts
        The votes, and tables to start from.
    choose : callable
        Fits columns from a start, as :func:`consilience.em.choose_model`.
    n_votes : (C,) float64 array
        Votes of each column that is one source.
    own : AccuracyPrior or None
        What is believed of the columns.
    imagined_by : callable
        The imagined items of a prior.
    """
    learned = columns.single & ~columns.held
    few = first_prior(n_votes, learned)
    about_few = ""
    if few is None or is_worth_a_sample(columns):
        found, bic, used = _best_of_starts(choose, columns, starts)
        if few is not None and found.converged:
            found = _with_few_votes_drawn(columns, found, starts[0], few, learned, imagined_by)
        elif few is not None:
            about_few = f", and sources with fewer than {FEW_VOTES:g} votes are not drawn towards the others"
    else:
        believing = replace(columns, imagined=imagined_by(few.where_not(own)))
        found, bic, used = _best_of_starts(choose, believing, starts)
        of_population = _prior_of_population(columns, Point(found.tables, found.class_balance), learned)
        if found.converged:  # not given up
            believing = replace(columns, imagined=imagined_by(of_population.where_not(own)))
            found, bic = choose(believing, starts[used])
        else:
            about_few = (
                f", and sources with fewer than {FEW_VOTES:g} votes are drawn towards an accuracy of "
                f"{FIRST_ACCURACY:.0%}, not towards the others"
            )
    stopped = ""
    if not found.converged and found.n_passes >= MAX_PASSES:
        stopped = (
            f"EM stopped after {found.n_passes} passes over the votes before its tables settled; they are "
            f"near a maximum of the likelihood but not at it{about_few}"
        )
    return _Top(found, bic, used, stopped)


def _turned_round(
    columns: Columns, start: NDArray[np.float64], class_balance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Tables of sources that are the opposite of what they seem in others, with the same rates."""
    rate = start @ class_balance
    turned = np.maximum(2 * rate[:, :, None] - start, 0.1 * rate[:, :, None])
    turned[columns.held] = start[columns.held]
    # Of each of its separator's states, or alone, a column sums to what it did.
    for c, own in enumerate(columns.given):
        for state in np.unique(own):
            of_state = own == state
            before, after = start[c, of_state].sum(axis=0), turned[c, of_state].sum(axis=0)
            turned[c, of_state] *= np.divide(before, after, out=np.ones_like(after), where=after > 0)
    return turned


def _best_of_starts(
    choose: Callable[..., tuple[EMFit, dict[str, float]]], columns: Columns, starts: list[NDArray[np.float64]]
) -> tuple[EMFit, dict[str, float], int]:
    """The best fit from one of some starts, what is imagined included, the BIC of each model, and which.

    Known labels, and beliefs, tell sources from their opposites where votes do not.
    """
    found = [choose(columns, start) for start in starts]
    worth = [_told_by_imagined(columns, fit) - fit.bic(columns.n) / 2 for fit, _ in found]
    best = max(range(len(found)), key=lambda i: worth[i] - TURN * i)
    return *found[best], best


def _told_by_imagined(columns: Columns, fit: EMFit) -> float:
    """Log-likelihood ratio of what is imagined: a fit's tables beside those that are believed; 0 at most."""
    if columns.imagined is None:
        return 0.0
    items = columns.imagined.under(fit.class_balance)
    believed = items / np.maximum(items.sum(axis=1, keepdims=True), 1e-300)
    ratio = np.log(np.maximum(fit.tables, 1e-300)) - np.log(np.maximum(believed, 1e-300))
    return float((items * ratio).sum(where=items > 0))


def _named_by_votes(columns: Columns, found: EMFit) -> EMFit:
    """The same fit with its label vectors in the order in which votes agree with them most.

    The likelihood of free tables is the same in any order, and EM may end in another than it started in. Of
    two vectors the signs of the strengths decide, and narrower models say what a vote means.
    """
    k = len(found.class_balance)
    if found.model != "free" or k == 2 or columns.cliques or columns.held.any():
        return found
    votes = found.tables[:, 1:] * found.class_balance
    agreement = np.einsum("csv,csy->vy", columns.masks[:, 1:].astype(np.float64), votes)
    order = np.arange(k)
    least = CLEAR_GAIN * float(votes.sum())
    while True:  # exchange the two whose exchange gains most
        own = np.diag(agreement)
        gain = agreement + agreement.T - own[:, None] - own
        a, b = np.unravel_index(int(np.argmax(gain)), gain.shape)
        if gain[a, b] <= least:
            break
        order[[a, b]], agreement[:, [a, b]] = order[[b, a]], agreement[:, [b, a]]
    return replace(found, tables=found.tables[:, :, order], class_balance=found.class_balance[order])


def _right_way_round(columns: Columns, found: EMFit, trusted: NDArray[np.int64]) -> EMFit:
    """A fit of two label vectors or its mirror image: that in which trusted columns, or all, beat chance.

    Both are equally likely. Where sources depend on each other, cliques too would have to be asked, and the
    start decides. By the sum of the strengths, as the start was chosen; but where abstentions say
    nothing of the votes alone, and the start was chosen by abstentions too, which may tell of anything.
    """
    if len(found.class_balance) != 2 or columns.cliques:
        return found
    tables = found.tables if columns.voters is None else voted_shares(found.tables, columns.voters)
    inside = columns.masks[:, 1:]
    about_one = inside.sum(axis=2) == 1
    strength = np.where(inside, tables[:, 1:], -tables[:, 1:]).sum(axis=2, where=about_one[:, :, None])
    strength[columns.held] = 0.0
    total = float(strength[trusted].sum()) or float(strength.sum())
    if total >= 0:
        return found
    mirrored = np.where(columns.held[:, None, None], found.tables, found.tables[:, :, ::-1])
    return replace(found, tables=mirrored, class_balance=found.class_balance[::-1])


def likely_components(
    observed: Observation, fit: SourceFit, class_balance: NDArray[np.float64], *, n_threads: int
) -> tuple[list[ComponentTable], NDArray[np.float64]]:
    """Joint tables of dependent sources at the maximum of the likelihood, and the class balance there.

    All tables are free, so that nothing about a source passes for dependence, nor any dependence for another.

    Parameters
    ----------
    observed, fit, class_balance, n_threads
        As for :func:`maximise_likelihood`.
    """
    layout = without_copies(fit)
    columns = _columns(observed, fit, layout, None, missing=False, n_threads=n_threads)
    columns = replace(columns, cliques=())
    start = _to_columns(fit, layout, columns.masks.shape[1])
    found = fit_em(columns, start, class_balance, model="free", learn_balance=True, n_passes=COMPONENT_PASSES)
    return _to_sources(fit, layout, found, {}).components, found.class_balance


def without_copies(fit: SourceFit) -> ComponentLayout:
    """Layout of the learned components, without the sources that repeat another."""
    copies = np.flatnonzero(fit.first != np.arange(len(fit.first)))
    return ComponentLayout(
        len(fit.first),
        () if fit.layout is None else fit.layout.members,
        () if fit.layout is None else fit.layout.separators,
        tuple(table.events for table in fit.tables),
        fit.report.source_names,
        tuple(copies.tolist()),
    )


def _columns(
    observed: Observation,
    fit: SourceFit,
    layout: ComponentLayout,
    gold: Gold | None,
    *,
    missing: bool,
    n_threads: int,
) -> Columns:
    coded, graph = observed.coded, observed.statistics.task_graph
    rows, coding = without_gold(gold, observed).rows(layout, n_threads)
    # The states of a column are those that it was ever in: of a source in the order of its table.
    own = [fit.tables[j].events for j in layout.alone]
    sizes = [len(events) for events in own] + [layout.n_states(clique) - 1 for clique in layout.members]
    n_states = 1 + max(sizes, default=0)
    number = np.zeros((layout.n_columns, coding.n_states), dtype=np.int32)
    masks = np.zeros((layout.n_columns, n_states, graph.n_vectors), dtype=np.bool_)
    for column, events in enumerate(own):
        number[column, states_of(coded.events, events)] = np.arange(1, len(events) + 1)
        masks[column, 1 : len(events) + 1] = graph.event_masks(events)
    for column in range(len(own), layout.n_columns):
        number[column, : sizes[column] + 1] = np.arange(sizes[column] + 1)
    if n_states != coding.n_states or (number != np.arange(n_states)).any():
        rows = rows.with_states(number, n_states)
    n_alone, n_columns = len(layout.alone), layout.n_columns
    single = np.arange(n_columns) < n_alone
    held = np.zeros(n_columns, dtype=np.bool_)
    kept = ~fit.learned
    kept[list(layout.left_out)] = True
    held[:n_alone] = kept[list(layout.alone)]
    given = np.zeros((n_columns, n_states), dtype=np.int64)
    voters = np.tile(np.minimum(np.arange(n_states), 1), (n_columns, 1))
    for clique in layout.members:
        column, n_joint = layout.column_of(clique), layout.n_states(clique)
        given[column, :n_joint] = layout.separator_states(clique)
        who = np.column_stack([layout.separator_states(clique), layout.member_states(clique) > 0])
        voters[column] = 0
        voters[column, :n_joint] = np.unique(who, axis=0, return_inverse=True)[1].reshape(-1)
    known = None
    if gold is not None:
        recoded = partial(_core.Patterns.with_states, number=number, n_states=n_states)
        known = known_rows(gold, observed, coding, (n_columns, n_states), recoded)
    return Columns(
        rows,
        float(observed.statistics.n),
        masks,
        single,
        held,
        given,
        voters if missing else None,
        n_threads,
        known,
        cliques=tuple(
            Clique.of(
                layout,
                clique,
                [graph.event_masks(layout.events[j]) for j in clique],
                observed.statistics.n_votes[list(clique)].tolist(),
            )
            for clique in layout.members
        ),
    )


def _with_few_votes_drawn(
    columns: Columns,
    found: EMFit,
    start: NDArray[np.float64],
    prior: AccuracyPrior,
    learned: NDArray[np.bool_],
    imagined_by: Callable[[AccuracyPrior], ImaginedItems],
) -> EMFit:
    """The maximum, with the tables of sources that have few votes drawn towards the others.

    Among so many rows these say next to nothing of the labels: the other tables, which EM would have to find
    again, stay. First steps of EM under the given prior let go of what their own votes confirmed, further
    ones follow that of the population.
    """
    few = prior.votes > 0

    def drawn(point: Point, prior: AccuracyPrior) -> Point:
        believing = replace(columns, imagined=imagined_by(prior))
        ascent = Ascent(believing, start, point.balance, found.model, learn_balance=False)
        ascent.take_up(point, found.forms, found.missing)
        for _ in range(DRAWING_STEPS):
            counts, weights, _ = expect_counts(columns, point)
            tables = point.tables.copy()
            tables[few] = ascent.step_from(counts, weights, point).tables[few]
            point = replace(point, tables=tables)
        return point

    point = drawn(Point(found.tables, found.class_balance), prior)
    point = drawn(point, _prior_of_population(columns, point, learned))
    return replace(found, tables=point.tables)


def _prior_of_population(columns: Columns, point: Point, learned: NDArray[np.bool_]) -> AccuracyPrior:
    """What the columns that are one source are like, for those with few votes."""
    votes = expect_counts(columns, point)[0][:, 1:]
    right = (votes * columns.masks[:, 1:]).sum(axis=(1, 2))
    return learned_prior(right, votes.sum(axis=(1, 2)), learned)


def _of_columns(prior: AccuracyPrior, fit: SourceFit, layout: ComponentLayout) -> AccuracyPrior:
    """The prior of each column; none for cliques."""
    own = prior.counted_once(fit.first).take(list(layout.alone))
    n_cliques = layout.n_columns - len(layout.alone)
    return AccuracyPrior(
        np.append(own.accuracy, np.full(n_cliques, 0.5)), np.append(own.votes, np.zeros(n_cliques))
    )


def _to_columns(fit: SourceFit, layout: ComponentLayout, n_states: int) -> NDArray[np.float64]:
    """Tables of the columns, (C, S, K), with the abstention first; of a clique given its separator."""
    k = fit.tables[0].table.shape[1]
    tables = np.zeros((layout.n_columns, n_states, k))
    tables[:, 0] = 1.0  # where a column's votes are not read
    for j in layout.alone:
        source = fit.tables[j]
        if j not in layout.left_out:
            tables[layout.column[j], 0] = source.table[-1]
            tables[layout.column[j], 1 : len(source.table)] = source.table[:-1]
    for component in fit.components:
        column = layout.column_of(component.members)
        given = conditional(component.table, layout.separator_states(component.members))
        tables[column] = 0.0
        tables[column, : len(given)] = given
    return tables


def _to_sources(fit: SourceFit, layout: ComponentLayout, found: EMFit, bic: dict[str, float]) -> SourceFit:
    tables, missing = list(fit.tables), np.zeros(len(fit.tables), dtype=np.bool_)
    for j in layout.alone:
        if fit.learned[j] and j not in layout.left_out:
            missing[j] = found.missing[layout.column[j]]
            table = found.tables[layout.column[j], : len(tables[j].table)]
            tables[j] = SourceTable(tables[j].events, np.roll(table, -1, axis=0))  # the abstention last
    given = [found.tables[layout.column_of(c.members), : len(c.table)] for c in fit.components]
    components = []
    for q, (clique, joint) in enumerate(zip(layout.members, layout.joined(given), strict=True)):
        form = (found.forms[q].name, found.forms[q].order) if found.forms else ()
        components.append(ComponentTable(clique, joint, *form))
        for j in clique:
            own = layout.marginal(clique, joint, (j,))
            tables[j] = SourceTable(tables[j].events, np.roll(own, -1, axis=0))
    tables = [tables[j] for j in fit.first]
    return replace(
        fit, tables=tables, components=components, model=found.model, bic=bic, missing=missing[fit.first]
    )
