"""What each source contributes to the label of an item, in log-odds that sum to the posterior's.

One score table is additive: the log-odds of label vector ``a`` against ``b`` are those of the class balance
plus, for each source (or clique of dependent ones, given its separator), the difference of what its state
adds to both, [T12]. Two more rules keep the sum exact where scores are not additive, both by the logarithmic
mean ``L(p, q) = (p - q) / (log p - log q)``:

* Posteriors ``P = sum_r w_r P_r`` that are averaged: ``log P(a)/P(b) = sum_r rho_r log P_r(a)/P_r(b)`` with
  ``rho_r = w_r L(P_r(a), P_r(b)) / L(P(a), P(b))``. A part weighs as much as it moves the average: one that
  is certain already is not heard more for being more certain. Vote shares ``N_a / N`` are a sum in the same
  sense: each vote adds its difference divided by ``L(N_a, N_b)``.
* A class of a task that several label vectors have: the logarithm of their sum moves from the class balance
  to the posterior by ``sum_y omega_y`` times what the votes add to each vector, with ``omega_y`` in
  proportion to ``L`` of the vector's share in the class before and after the votes.

Neither depends on an order of the sources, and a source that says nothing contributes 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.components import ComponentLayout
from consilience.events import CodedVotes
from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed
from consilience.flips import Flip, Reading, smallest_flip
from consilience.nodes import describe_event
from consilience.score_table import ScoreTable, WeightedScores
from consilience.table import Table
from consilience.task_graph import TaskGraph

__all__ = ["Explanation", "explain_votes"]

_COLUMNS = ("source", "vote", "log_odds")
_SHOWN = 3
_NOTHING = 1e-12  # contributions of silent sources below this are rounding, and not shown

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why items have their labels: contributions of the sources in log-odds; prints at 80 columns.

    ``log_odds == prior + contributions.sum(axis=1)`` up to rounding, whichever the method.

    Attributes
    ----------
    label, against : (n_items,) int64 arrays
        The label that is explained, and the one it is compared with: class indices or, about all of several
        tasks, rows of ``task_graph_.feasible_set``.
    log_odds : (n_items,) float64 array
        ``log P(label | votes) / P(against | votes)``.
    prior : (n_items,) float64 array
        What the class balance contributes.
    contributions : (n_items, n_units) float64 array
        What each unit contributes: positive speaks for `label`. An abstention contributes as well, where the
        model takes it to tell something.
    units : tuple of str
        Names of the units: a source, or sources that depend on each other and count together. "b given a" is
        what b adds to a, as a clique of a junction tree beyond its separator.
    members : tuple of tuple of int
        Sources of each unit whose votes it reads.
    task : str or None
        The task it is about; None for all of them together.
    """

    label: Indices
    against: Indices
    log_odds: Floats
    prior: Floats
    contributions: Floats
    units: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    task: str | None
    _reading: Reading
    _graph: TaskGraph
    _source_names: tuple[str, ...]

    def __len__(self) -> int:
        """Count of items."""
        return len(self.label)

    def __repr__(self) -> str:
        return f"Explanation(n_items={len(self)}, n_units={len(self.units)}, task={self.task!r})"

    def __str__(self) -> str:
        """The first few items, each as a table."""
        parts = [str(self.table(i)) for i in range(min(len(self), _SHOWN))]
        if len(self) > _SHOWN:
            parts.append(f"{len(self) - _SHOWN} more items: see table(item)")
        return "\n\n".join(parts) or "no items"

    def _repr_html_(self) -> str:
        return "".join(self.table(i)._repr_html_() for i in range(min(len(self), _SHOWN)))

    def table(self, item: int | None = None) -> Table:
        """What spoke for and against the label of an item; by default of all items.

        Parameters
        ----------
        item : int, optional
            Row of the votes. Units come by the size of their contribution, those that add nothing not at
            all. Without it, one row for each unit of each item, in order.

        Returns
        -------
        Table
            Columns source, vote (None: abstains), log_odds; ``"(class balance)"`` is the prior. Before them,
            without `item`, the item.

        Raises
        ------
        InvalidArgumentError
            If there is no such item.
        """
        if item is None:
            every = [(i, *row) for i in range(len(self)) for row in self._rows(i)]
            columns = {name: [row[c] for row in every] for c, name in enumerate(("item", *_COLUMNS))}
            return Table(
                columns,
                title="Contributions to the labels of "
                + ("1 item" if len(self) == 1 else f"{len(self)} items"),
            )
        i = self._item(item)
        rows = sorted(self._rows(i), key=lambda row: -abs(row[2]))
        said = [row for row in rows if row[1] is not None or abs(row[2]) > _NOTHING]
        odds = float(self.log_odds[i])
        title = (
            f"Item {i}: {self._name(self.label[i])} against {self._name(self.against[i])}, "
            f"log-odds {odds:.3f}{_as_percent(odds)}"
        )
        columns = {name: [row[c] for row in said] for c, name in enumerate(_COLUMNS)}
        return Table(columns, title=title, notes=[self._describe_flip(self.flip(i))])

    def flip(self, item: int) -> Flip:
        """The smallest set of votes of an item without which ``predict`` gives another label.

        About the label vector, or the class of `task`, that ``predict`` gives; `label` and `against` do not
        matter. Exact for up to a number of sets to be tried, and always for one task whose sources are
        scored by one table; see :class:`Flip`.

        Raises
        ------
        InvalidArgumentError
            If there is no such item.
        """
        return smallest_flip(self._reading, self._item(item))

    def _rows(self, i: int) -> Iterator[tuple[str, str | None, float]]:
        yield "(class balance)", None, float(self.prior[i])
        for u, name in enumerate(self.units):
            state = int(self._reading.states[i, u])
            yield name, self._vote(u, state), float(self.contributions[i, u])

    def _vote(self, unit: int, state: int) -> str | None:
        """What a unit's state says."""
        if state == 0:
            return None
        said = self._reading.events_of(unit, state)
        texts = ["\N{EN DASH}" if e is None else describe_event(self._graph, e) for e in said]
        return "; ".join(texts) if any(e is not None for e in said) else None

    def _name(self, label: np.int64) -> str:
        if self.task is not None:
            return repr(self._graph.classes[self.task][int(label)])
        vector = self._graph.feasible_set[int(label)].tolist()
        return repr(describe_event(self._graph, vector))

    def _describe_flip(self, flip: Flip) -> str:
        if flip.sources is None:
            if flip.is_smallest:
                return "Whichever votes are left out, the label stays."
            return "Among the sets of votes that were tried, none changes the label when it is left out."
        names = listed([self._source_names[j] for j in flip.sources])
        label = flip.label
        assert label is not None
        if self.task is not None:
            label = int(self._graph.feasible_set[label, self._graph.tasks.index(self.task)])
        kind = "The fewest votes" if flip.is_smallest else "At most so many votes"
        return f"{kind} without which the label is {self._name(np.int64(label))}: {names}."

    def _item(self, item: int) -> int:
        if isinstance(item, bool) or not isinstance(item, (int, np.integer)):
            raise WrongTypeError(f"item must be an int, got {type(item).__name__}")
        if not 0 <= item < len(self):
            raise InvalidArgumentError(f"item must lie in 0..{len(self) - 1}, got {item}")
        return int(item)


def _as_percent(odds: float) -> str:
    """How often the label is the true one of the two."""
    return f" ({np.exp(-np.logaddexp(0, -odds)):.1%} of the two)"


def explain_votes(
    coded: CodedVotes,
    parts: Sequence[WeightedScores],
    graph: TaskGraph,
    class_balance: Floats,
    events: Indices,
    source_names: tuple[str, ...],
    *,
    task: str | None,
    label: Any,
    against: Any,
    n_threads: int,
) -> Explanation:
    """Explanation of the labels of some items.

    Parameters
    ----------
    coded : CodedVotes
        The votes, as the columns of the score tables.
    parts : sequence of WeightedScores
        What labels are scored by.
    graph : TaskGraph
        Tasks and feasible set, ``K`` label vectors.
    class_balance : (K,) float64 array
        ``P(Y)``.
    events : (q, t) int64 array
        Event of each state of a source, from 1 on.
    source_names : tuple of str
        Of the ``m`` sources.
    task, label, against
        As for ``LabelModel.explain``.
    n_threads : int
        For the pass over the votes.
    """
    try:
        states = _core.read_states(coded.view, coded.coding, n_threads=n_threads).astype(np.int64)
    except _core.LabelOutOfRange as error:
        raise coded.votes.label_error(error) from None
    if task is None and graph.n_tasks == 1:
        task = graph.tasks[0]
    if task is not None and task not in graph.tasks:
        raise InvalidArgumentError(f"task must be one of {listed(graph.tasks)}, got {task!r}")
    of_vector, n_labels = np.arange(graph.n_vectors), graph.n_vectors
    if task is not None:
        r = graph.tasks.index(task)
        of_vector, n_labels = graph.feasible_set[:, r], graph.cardinalities[r]
    if len(np.unique(of_vector)) < 2:
        raise InvalidArgumentError(
            f"{task or 'the label vector'!r} can only be one thing; nothing to explain"
        )

    preference = np.lexsort((np.arange(graph.n_vectors), -class_balance))
    reading = Reading(states, tuple(parts), preference, of_vector, events, coded.votes.n_sources)
    log_joint = reading.log_posterior(reading.scores(states))
    log_label = np.stack(
        [_log_sum(log_joint, np.broadcast_to(of_vector == c, log_joint.shape)) for c in range(n_labels)],
        axis=1,
    )
    names = _names_of(graph, task)
    chosen = of_vector[reading.predicted]
    if label is not None:
        chosen = _read_labels(label, "label", len(states), names, of_vector)
    if against is None:
        rest = log_label.copy()
        rest[np.arange(len(rest)), chosen] = -np.inf
        rival: Indices = np.argmax(rest, axis=1)
    else:
        rival = _read_labels(against, "against", len(states), names, of_vector)
        if (same := np.flatnonzero(rival == chosen)).size:
            raise InvalidArgumentError(
                f"against must differ from label, both are {names[rival[same[0]]]!r} on item {same[0]}; "
                "leave it out for the most probable other one"
            )
    inside, outside = chosen[:, None] == of_vector, rival[:, None] == of_vector

    rows = np.arange(len(states))
    log_odds = log_label[rows, chosen] - log_label[rows, rival]
    of_mean = _log_mean(log_label[rows, chosen], log_label[rows, rival])
    prior = np.zeros(len(states))
    contributions = np.zeros((len(states), states.shape[1]))
    for part in parts:
        own, balance, odds = _of_part(part.scores, states, inside, outside)
        share = np.exp(np.log(part.weight) + odds - of_mean)
        if len(parts) == 1:
            share = np.ones(len(states))
        prior += share * balance
        contributions += share[:, None] * own
    layout = parts[0].scores.layout
    units, members = _units(layout, source_names)
    return Explanation(
        chosen.astype(np.int64),
        rival.astype(np.int64),
        log_odds,
        prior,
        contributions,
        units,
        members,
        task,
        reading,
        graph,
        source_names,
    )


def _of_part(
    scores: ScoreTable, states: Indices, inside: NDArray[np.bool_], outside: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Contributions to one table's log-odds, its prior's, and the logarithm of its ``L(P(a), P(b))``."""
    n, n_columns = states.shape
    columns = np.arange(n_columns)
    total = np.tile(scores.base, (n, 1))
    for c in columns:
        total += scores.of_state[c, states[:, c]]
    silent = np.zeros((n_columns, len(scores.base))) if scores.silent is None else scores.silent
    before = np.tile(scores.base - silent.sum(axis=0), (n, 1))
    if scores.link == "share":
        count = [(total * mask).sum(axis=1) for mask in (inside, outside)]
        log_mean = _log_mean(np.log(count[0]), np.log(count[1]))
        weight = (inside.astype(np.float64) - outside) / np.exp(log_mean)[:, None]
        log_mean = log_mean - np.log(total.sum(axis=1))
        prior: Floats = (before * weight).sum(axis=1)
    else:
        everything = np.ones_like(inside)
        log_all = _log_sum(total, everything)
        logs, priors, weight = [], [], np.zeros_like(total)
        for mask, sign in ((inside, 1.0), (outside, -1.0)):
            logs.append(_log_sum(total, mask))
            priors.append(_log_sum(before, mask))
            weight += sign * _secant(before - priors[-1][:, None], total - logs[-1][:, None], mask)
        log_mean = _log_mean(logs[0] - log_all, logs[1] - log_all)
        prior = priors[0] - priors[1]
    own = np.empty((n, n_columns))
    for c in columns:
        own[:, c] = ((silent[c] + scores.of_state[c, states[:, c]]) * weight).sum(axis=1)
    return own, prior, log_mean


def _secant(log_before: Floats, log_after: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Weights of the vectors in a set, from their shares in it before and after: in proportion to ``L``."""
    logs = np.where(mask, _log_mean(log_before, log_after), -np.inf)
    weight = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Floats = weight / weight.sum(axis=1, keepdims=True)
    return shares


def _log_mean(log_p: Floats, log_q: Floats) -> Floats:
    """Logarithm of the logarithmic mean of two positive numbers, from their logarithms."""
    gap = np.abs(log_p - log_q)
    apart = gap > 0
    ratio = np.divide(-np.expm1(-gap), gap, out=np.ones_like(gap), where=apart)
    mean: Floats = np.maximum(log_p, log_q) + np.log(ratio)
    return mean


def _log_sum(scores: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Logarithm of the sum of exponentials over a set, for each row; -inf for none."""
    inside = np.where(mask, scores, -np.inf)
    largest = inside.max(axis=1, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        result: Floats = largest + np.log(np.exp(inside - largest[:, None]).sum(axis=1))
    return result


def _names_of(graph: TaskGraph, task: str | None) -> list[Any]:
    """What labels are called: class names, or for label vectors their rows."""
    return list(range(graph.n_vectors)) if task is None else list(graph.classes[task])


def _read_labels(given: Any, argument: str, n: int, names: list[Any], of_vector: Indices) -> Indices:
    """Index of a label for each item, from one for all or one each; class names or indices."""
    values = np.asarray(given, dtype=object)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != n):
        raise InvalidArgumentError(
            f"{argument} must be one label or one for each of the {n} items, got shape {values.shape}"
        )
    feasible = {int(c) for c in of_vector}
    by_name = {name: c for c, name in enumerate(names) if isinstance(name, str)}
    found = []
    for value in np.broadcast_to(values, (n,)).tolist():
        index = by_name.get(value) if isinstance(value, str) else value
        if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or int(index) not in feasible:
            allowed = listed([names[c] for c in sorted(feasible)])
            raise InvalidArgumentError(
                f"{argument} must be a class index as predict gives it, or one of {allowed}, got {value!r}"
            )
        found.append(int(index))
    return np.array(found, dtype=np.int64)


def _units(
    layout: ComponentLayout | None, names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Name and sources of each column of the scores."""
    if layout is None:
        return names, tuple((j,) for j in range(len(names)))
    units = [names[j] for j in layout.alone]
    for clique, separator in zip(layout.members, layout.separators, strict=True):
        unit = " + ".join(names[j] for j in clique if j not in separator)
        units.append(f"{unit} given {' + '.join(names[j] for j in separator)}" if separator else unit)
    return tuple(units), tuple((j,) for j in layout.alone) + layout.members
