"""How the joint table of dependent sources may look, and which one makes expected votes most likely.

The members of a clique are read one after the other, each given those before it (and given the separator, if
there is one). From few to many parameters:

``"copying"``
    Given the label vector and the others, a member has a table ``u`` of its own and, for each member before
    it, a fixed amount for saying the same: ``P(s | c, y) = u(s | y) + sum_j r_j 1{s = c_j}``, where ``u`` is
    one-coin or tied and sums to ``1 - sum_j r_j``. So votes a source that repeats another one on a share
    ``r`` of the items, silent or not. A negative ``r`` avoids what the other says.
``"voting"``
    The same, with a ``u`` of its own for each combination of members before it that vote.
``"tied"``
    For each thing that the members before it may say, a member has a table of its own, of that model.
``"free"``
    Each joint state has any probability under each label vector.

Each contains the one before. All but the last are affine in their parameters, so that the expected
log-likelihood is concave: one table maximises it, and Newton's method finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.tied import tied_directions

__all__ = [
    "FORMS",
    "Clique",
    "JointForm",
    "best_form",
    "forms_of",
    "most_likely_rates",
    "named_form",
]

FORMS = ("copying", "voting", "tied", "free")

MAX_ORDERED = 3
"""Members up to which every order of reading them is tried; of more, the one with most votes comes first."""

PENALTY = 4.0
"""What a parameter of a form has to gain in twice the log-likelihood: twice as much as by Akaike's criterion,
less than by BIC with more than 55 items. Too narrow a form bends accuracies, too wide a one only blurs them.
"""

MAX_CELLS = 30_000
"""Entries of a joint table times the parameters of a member, up to which it may be other than free."""

MAX_NEWTON, MAX_HALVINGS = 60, 40

MIN_GAIN = 1e-3
"""A form that is better by less than this is no better."""

TOLERANCE = 1e-6
"""Newton's method ends with a step that promises less log-likelihood than this: the next one would promise
about the square of it."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clique:
    """Dependent sources that are read as one column.

    Attributes
    ----------
    states : (S, r) int array
        State of each member in each joint state; 0 abstains.
    given : (S,) int array
        State of the separator in each joint state.
    separator : tuple of int
        Places of the members that belong to it.
    masks : tuple of (s, K) bool arrays
        Events of each member's votes: of its states 1, 2, ...
    events : tuple of (s, t) int arrays
        The same as vote vectors.
    n_votes : tuple of float
        Items that each member votes on.
    """

    states: Ints
    given: Ints
    separator: tuple[int, ...]
    masks: tuple[NDArray[np.bool_], ...]
    events: tuple[Ints, ...]
    n_votes: tuple[float, ...]

    @classmethod
    def of(
        cls,
        layout: ComponentLayout,
        members: tuple[int, ...],
        masks: Sequence[NDArray[np.bool_]],
        n_votes: Sequence[float],
    ) -> Clique:
        """Clique of a layout; masks and numbers of votes are those of its members."""
        separator = layout.separators[layout.members.index(members)]
        return cls(
            layout.member_states(members),
            layout.separator_states(members),
            tuple(members.index(j) for j in separator),
            tuple(masks),
            tuple(layout.events[j] for j in members),
            tuple(n_votes),
        )

    @property
    def n_vectors(self) -> int:
        """``K``."""
        return int(self.masks[0].shape[1])

    @property
    def read(self) -> tuple[int, ...]:
        """Places of the members that do not belong to the separator."""
        return tuple(i for i in range(self.states.shape[1]) if i not in self.separator)

    def said_by(self, i: int, j: int) -> Ints:
        """State of member i that says what member j says in each joint state; -1 where it has none, (S,)."""
        own = {tuple(event): s for s, event in enumerate(self.events[i].tolist(), start=1)}
        same = np.array([0, *(own.get(tuple(event), -1) for event in self.events[j].tolist())])
        return same[self.states[:, j]]


@dataclass(frozen=True, eq=False)
class _Factor:
    """Probability of one member's states, given the members read before it.

    Attributes
    ----------
    cell : (S,) int array
        Cell of each joint state in the table ``P(own state | context, y)``.
    context : (n_cells,) int array
        Context of each cell.
    row : (n_cells, K) int array
        Row of the design that tells each entry; -1 where the entry is 0.
    design : (R, q) float array
        How the entries of each row move with the parameters.
    state : (R,) int array
        State that the rows are about.
    apart : bool
        Whether each context has parameters of its own.
    """

    cell: Ints
    context: Ints
    row: Ints
    design: Floats
    state: Ints
    apart: bool

    @cached_property
    def n_batches(self) -> int:
        """Sets of parameters."""
        return int(self.context.max()) + 1 if self.apart else 1

    @cached_property
    def n_parameters(self) -> int:
        """Free parameters, without those of contexts that never occur."""
        occurs = np.unique(self.context[(self.row >= 0).any(axis=1)])
        return int(self.design.shape[1]) * (len(occurs) if self.apart else 1)

    @cached_property
    def entry(self) -> Ints:
        """Row of each entry among the rows of all sets of parameters, (n_cells, K); one more stands for 0."""
        first = len(self.design) * self.context[:, None] if self.apart else 0
        return np.where(self.row >= 0, first + self.row, len(self.design) * self.n_batches)

    @cached_property
    def entry_of_state(self) -> Ints:
        """The same for each joint state, (S, K)."""
        return np.asarray(self.entry[self.cell], dtype=np.int64)

    def most_likely(self, counts: Floats, start: Floats | None) -> Floats:
        """Rates of the rows, (b, R), of the greatest likelihood, from counts of joint states, (S, K).

        `start` are rates that this factor can have, such as those of the step before.
        """
        n_batches, n_rows = self.n_batches, len(self.design)
        length = n_batches * n_rows
        flat = np.asarray(
            np.bincount(self.entry_of_state.ravel(), counts.ravel(), length + 1)[:length], dtype=np.float64
        )
        of_row = flat.reshape(n_batches, n_rows)
        total = of_row.sum(axis=1, keepdims=True)
        occurs = total[:, 0] > 0
        if start is None:
            # As if it said everything as often whatever the others say, and whatever is true.
            start = _rate(of_row @ (self.state[:, None] == self.state), total)
        rates = np.zeros_like(of_row)
        rates[occurs] = most_likely_rates(self.design, of_row[occurs], start[occurs])
        return rates

    def directions(self) -> Floats:
        """How the table moves with each parameter, (n_cells, K, p)."""
        n_rows, q = self.design.shape
        moves = np.zeros((self.n_batches, n_rows, self.n_batches, q))
        moves[np.arange(self.n_batches), :, np.arange(self.n_batches)] = self.design
        flat = moves.reshape(self.n_batches * n_rows, -1)
        of_entry: Floats = np.vstack([flat, np.zeros((1, flat.shape[1]))])[self.entry]
        return of_entry

    def own_table(self, joint: Floats) -> Floats:
        """``P(own state | context, y)``, (n_cells, K), from a joint table, (S, K)."""
        own = np.zeros(self.row.shape)
        np.add.at(own, self.cell, joint)
        whole = np.zeros((int(self.context.max()) + 1, self.row.shape[1]))
        np.add.at(whole, self.context, own)
        return _rate(own, whole[self.context])


@dataclass(frozen=True, eq=False)
class JointForm:
    """What a clique's table may look like.

    Attributes
    ----------
    name : str
        One of ``FORMS``.
    order : tuple of int
        Places of the members in the order in which they are read, without those of the separator; empty
        where the table is free.
    n_parameters : int
        Free parameters.
    factors : tuple
        One a member that is read; empty where the table is free.
    """

    name: str
    order: tuple[int, ...]
    n_parameters: int
    factors: tuple[_Factor, ...] = ()

    def most_likely(self, counts: Floats, given: Ints, ended: dict[int, Floats] | None = None) -> Floats:
        """Table that maximises ``sum(counts * log(table))``, (S, K), given the state of the separator.

        Parameters
        ----------
        counts : (S, K) float array
            Expected items in each joint state; positive where a state occurs.
        given : (S,) int array
            State of the separator.
        ended : dict, optional
            Where the search for each factor ended; it starts there, and keeps where it ends.
        """
        if not self.factors:
            whole = np.zeros((int(given.max()) + 1, counts.shape[1]))
            np.add.at(whole, given, counts)
            return _rate(counts, whole[given])
        table = np.ones_like(counts)
        for place, factor in enumerate(self.factors):
            rates = factor.most_likely(counts, None if ended is None else ended.get(place))
            if ended is not None:
                ended[place] = rates
            table *= np.append(rates.ravel(), 0.0)[factor.entry_of_state]
        return table

    def directions(self, table: Floats) -> Floats:
        """How a table without separator moves with each parameter, (S, K, p); sums to 0 over the states.

        Parameters
        ----------
        table : (S, K) float array
            One of this form, all abstaining first.
        """
        n_states, k = table.shape
        if not self.factors:
            free = np.eye(n_states)[:, 1:] - np.eye(n_states)[:, :1]
            return np.asarray(np.einsum("eq,yz->eyqz", free, np.eye(k)).reshape(n_states, k, -1))
        parts = []
        for factor in self.factors:
            relative = factor.directions() / np.maximum(factor.own_table(table), 1e-300)[:, :, None]
            parts.append(table[:, :, None] * relative[factor.cell])
        return np.concatenate(parts, axis=2)


class AloneTables:
    """Most likely tables of sources that are alone and vote for the same events, step by step.

    Parameters
    ----------
    masks : (s, K) bool array
        Events of their votes, each of which occurs.
    abstains : bool
        Whether they ever abstain.
    model : {"one-coin", "tied", "free"}
        See :mod:`consilience.em`.
    """

    def __init__(self, masks: NDArray[np.bool_], model: str, *, abstains: bool) -> None:
        s, k = masks.shape
        directions = np.roll(tied_directions(masks, model, abstains=abstains, n_vectors=k), 1, axis=0)
        self._first = 0 if abstains else 1  # state
        state = np.repeat(np.arange(self._first, s + 1), k)
        keys = np.column_stack([state, directions[self._first :].reshape(len(state), -1)])
        rows, row = np.unique(keys, axis=0, return_inverse=True)
        self._row = row.reshape(-1)
        self._merge = np.eye(len(rows))[self._row]
        self._same = (rows[:, :1] == rows[:, 0]).astype(np.float64)
        self._design = np.ascontiguousarray(rows[:, 1:][:, _independent_columns(rows[:, 1:])])
        self._ended: Floats | None = None

    def most_likely(self, counts: Floats) -> Floats:
        """Tables that maximise ``sum(counts * log(tables))``, (m, s + 1, K); they begin where the last ended.

        `counts` are the expected items of the same sources in each state, of which the first one abstains;
        positive where it occurs.
        """
        possible = counts[:, self._first :]
        of_row = possible.reshape(len(counts), -1) @ self._merge
        start = self._ended
        if start is None:
            start = _rate(of_row @ self._same, of_row.sum(axis=1, keepdims=True))
        self._ended = most_likely_rates(self._design, of_row, start)
        tables = np.zeros_like(counts)
        tables[:, self._first :] = self._ended[:, self._row].reshape(possible.shape)
        return tables


def forms_of(clique: Clique, occurs: NDArray[np.bool_], model: str) -> tuple[JointForm, ...]:
    """Forms that a clique's table may have, those with fewer parameters first; the last one is free.

    Parameters
    ----------
    clique : Clique
        The sources.
    occurs : (S,) bool array
        Joint states that occur.
    model : {"one-coin", "tied", "free"}
        Of sources alone; members have tables of their own of the same model.
    """
    free = _free_form(clique, occurs)
    if not occurs.any():
        return (free,)
    possible = [np.unique(clique.states[occurs, i]) for i in range(clique.states.shape[1])]
    if np.prod([len(own) for own in possible]) != np.count_nonzero(occurs):
        return (free,)  # some states are ruled out together, which no other form can do
    orders = [tuple(sorted(clique.read, key=lambda i: -clique.n_votes[i]))]
    if len(clique.read) <= MAX_ORDERED:
        orders = list(permutations(clique.read))
    found = [form for order in orders for form in _ordered_forms(clique, occurs, order, model)]
    narrower = [form for form in found if form.n_parameters < free.n_parameters]
    return (*sorted(narrower, key=lambda form: (form.n_parameters, FORMS.index(form.name))), free)


def named_form(
    clique: Clique, occurs: NDArray[np.bool_], model: str, name: str, order: Sequence[int]
) -> JointForm:
    """The form of this name that reads members in this order; the arguments are those of :func:`forms_of`."""
    if name == "free":
        return _free_form(clique, occurs)
    return _form(clique, occurs, tuple(order), model, name)


def best_form(
    forms: Sequence[JointForm], counts: Floats, given: Ints, current: JointForm | None = None
) -> JointForm:
    """The form with the greatest log-likelihood, less half of ``PENALTY`` a parameter, of some counts.

    Where the counts are expected under a table of the form `current`, going over to a better one is as good
    for the votes as well, or better: their log-likelihood gains no less than that of the counts.

    Parameters
    ----------
    forms : sequence of JointForm
        To choose among.
    counts : (S, K) float array
        Expected items in each joint state.
    given : (S,) int array
        State of the separator.
    current : JointForm, optional
        One that stays unless another is better.
    """
    most, best = -np.inf, forms[-1]
    occurs = counts > 0
    for form in forms if current is None else (current, *forms):
        table = form.most_likely(counts, given)
        log_likelihood = float((counts[occurs] * np.log(np.maximum(table[occurs], 1e-300))).sum())
        worth = log_likelihood - PENALTY / 2 * form.n_parameters
        if worth > most + MIN_GAIN:
            most, best = worth, form
    return best


def _free_form(clique: Clique, occurs: NDArray[np.bool_]) -> JointForm:
    n_free = int(np.count_nonzero(occurs)) - len(np.unique(clique.given[occurs]))
    return JointForm("free", (), n_free * clique.n_vectors)


def _ordered_forms(
    clique: Clique, occurs: NDArray[np.bool_], order: tuple[int, ...], model: str
) -> Iterator[JointForm]:
    k = clique.n_vectors
    n_directions = max(len(own) for own in clique.masks) * (k if model == "free" else 2)
    if len(clique.states) * k * n_directions > MAX_CELLS:
        return
    n_parameters = 0
    for name in FORMS[:-1]:
        form = _form(clique, occurs, order, model, name)
        if form.n_parameters > n_parameters:
            yield form
            n_parameters = form.n_parameters


def _form(
    clique: Clique, occurs: NDArray[np.bool_], order: tuple[int, ...], model: str, name: str
) -> JointForm:
    factors = tuple(
        _factor(clique, occurs, i, (*clique.separator, *order[:place]), model, name)
        for place, i in enumerate(order)
    )
    return JointForm(name, order, sum(factor.n_parameters for factor in factors), factors)


def _factor(
    clique: Clique, occurs: NDArray[np.bool_], i: int, before: tuple[int, ...], model: str, name: str
) -> _Factor:
    """Factor of member i, given the members `before` it."""
    own, masks, k = clique.states[:, i], clique.masks[i], clique.n_vectors
    abstains = bool((own[occurs] == 0).any())
    directions = np.roll(tied_directions(masks, model, abstains=abstains, n_vectors=k), 1, axis=0)
    remainder = 0 if abstains else len(masks)
    context = np.zeros(len(own), dtype=np.int64)
    for j in before:
        context = context * (len(clique.masks[j]) + 1) + clique.states[:, j]
    cells, one, cell = np.unique(
        np.column_stack([context, own]), axis=0, return_index=True, return_inverse=True
    )
    cell = cell.reshape(-1)
    of_state = cells[:, 1]
    apart = name == "tied"
    blocks = [directions[of_state]]
    if name == "voting":
        votes = clique.states[one][:, before] > 0
        _, pattern = np.unique(votes, axis=0, return_inverse=True)
        chosen = np.eye(int(pattern.max()) + 1)[pattern.reshape(-1)]
        blocks = [blocks[0] * own[:, None, None] for own in chosen.T]
    for j in () if apart else before:
        same = clique.said_by(i, j)[one]
        # Where it has no word for that, what it would have said falls to the remainder.
        same[~np.isin(same, own[occurs])] = remainder
        copied = (of_state == same).astype(np.float64) - (of_state == remainder)
        if name == "voting":
            copied[clique.states[one, j] == 0] = 0.0
        blocks.append(np.repeat(copied[:, None, None], k, axis=1))
    features = np.concatenate(blocks, axis=2)
    met = np.zeros(len(cells), dtype=np.bool_)
    met[cell[occurs]] = True
    # Entries with the same features, of the same state, are the same number.
    state = np.repeat(of_state[:, None], k, axis=1)
    keys = np.concatenate([state[:, :, None], features], axis=2)[met].reshape(-1, features.shape[2] + 1)
    rows, number = np.unique(keys, axis=0, return_inverse=True)
    row = np.full((len(cells), k), -1, dtype=np.int64)
    row[met] = number.reshape(-1, k)
    design = rows[:, 1:]
    design = np.ascontiguousarray(design[:, _independent_columns(design)])
    return _Factor(
        cell,
        cells[:, 0],
        row,
        design,
        rows[:, 0].astype(np.int64),
        apart,
    )


def _independent_columns(design: Floats) -> list[int]:
    """Columns of which none is a combination of those before it."""
    kept: list[int] = []
    basis = np.zeros((len(design), 0))
    for q, column in enumerate(design.T):
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > 1e-9 * max(float(np.linalg.norm(column)), 1e-300):
            kept.append(q)
            basis = np.column_stack([basis, rest / size])
    return kept


def _rate(counts: Floats, of: Floats) -> Floats:
    whole = np.broadcast_to(of, counts.shape)
    shares: Floats = np.divide(counts, whole, out=np.zeros_like(counts), where=whole > 0)
    return shares


def most_likely_rates(design: Floats, counts: Floats, start: Floats) -> Floats:
    """``start + design @ x`` that maximises ``sum(counts * log(start + design @ x))``, (b, R), for each of b.

    A concave function with a barrier at each rate of 0: Newton's steps, shortened where they would leave the
    positive numbers or go down.

    Parameters
    ----------
    design : (R, q) float array
        Of full column rank.
    counts, start : (b, R) float arrays
        Positive.
    """
    rates: Floats = start.copy()
    if not design.shape[1]:
        return rates
    active = np.arange(len(rates))
    lost = -1e-14 * counts.sum(axis=1)  # what rounding may take
    for _ in range(MAX_NEWTON):
        here, of = rates[active], counts[active]
        slope = (of / here) @ design
        bend = design.T @ (design * (of / here**2)[:, :, None])
        scale = np.sqrt(np.einsum("bqq->bq", bend))
        scaled = bend / (scale[:, :, None] * scale[:, None, :]) + 1e-13 * np.eye(design.shape[1])
        step = np.linalg.solve(scaled, (slope / scale)[:, :, None])[:, :, 0] / scale
        move = step @ design.T
        shrinks = np.maximum(-move / here, 0.0).max(axis=1)
        length = 0.95 / np.maximum(shrinks, 0.95)
        for _ in range(MAX_HALVINGS):
            gain = (counts[active] * np.log1p(length[:, None] * move / here)).sum(axis=1)
            short = gain < lost[active]
            if not short.any():
                break
            length[short] /= 2
        length[gain < lost[active]] = 0.0
        rates[active] = here + length[:, None] * move
        active = active[(step * slope).sum(axis=1) > TOLERANCE]
        if not len(active):
            break
    return rates
