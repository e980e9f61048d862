"""What each vote adds to the score of each feasible label vector: the tables of the posterior kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.components import ComponentLayout
from consilience.events import has_plain_events, number_events, states_of
from consilience.exceptions import InvalidArgumentError
from consilience.fitted_model import FittedModel
from consilience.fitting import SourceFit
from consilience.joint_tables import ComponentTable, conditional
from consilience.panel import spoken_for
from consilience.score_table import ScoreTable, WeightedScores
from consilience.task_graph import TaskGraph
from consilience.tied import SourceTable

__all__ = [
    "check_size",
    "independent_scores",
    "majority_shares",
    "model_events",
    "score_parts",
]

MAX_CELLS = 1 << 28
"""Largest table, 2 GiB."""

_TRACE = 1e-12  # weight of the class balance in vote shares: only seen where there are no votes


def score_parts(model: FittedModel) -> tuple[WeightedScores, ...]:
    """Scores of a fitted model, whichever its method."""
    fit, balance = model.fit, model.class_balance
    if fit.parts:
        return fit.parts
    graph, events = model.statistics.task_graph, model_events(model)
    if model.params["method"] == "majority":
        return (WeightedScores(1.0, majority_shares(len(fit.tables), graph, events, balance)),)
    missing = model.params["abstentions"] == "missing"
    scores = independent_scores(fit, events, balance, missing=missing)
    if fit.layout is not None:
        scores = with_components(scores, fit.layout, fit.components, missing=missing)
    return (WeightedScores(1.0, scores),)


def check_size(model: FittedModel) -> None:
    """Refuse a model whose scores take too much memory."""
    fit, k = model.fit, len(model.class_balance)
    if fit.parts:  # they are there
        return
    n_states = len(model_events(model)) + 1
    _check_cells(len(fit.tables), n_states, k)
    if fit.layout is not None:
        largest = max([n_states, *(len(component.table) for component in fit.components)])
        _check_cells(fit.layout.n_columns, largest, k)


def independent_scores(
    fit: SourceFit, events: NDArray[np.int64], class_balance: NDArray[np.float64], *, missing: bool
) -> ScoreTable:
    """Scores of a fit's tables; those of dependent sources are left out."""
    m = len(fit.tables)
    apart = np.zeros(m, dtype=np.bool_)
    for component in fit.components:
        apart |= np.isin(fit.first, component.members)
    # An abstention says nothing where the user says so, and where nothing was learned of the source.
    is_missing = np.full(m, missing)
    power = 1 / np.bincount(fit.first, minlength=m)[fit.first]
    return model_scores(
        fit.tables, events, class_balance, is_missing | ~fit.learned, is_missing, power, apart
    )


def model_events(model: FittedModel) -> NDArray[np.int64]:
    """Event of each state of a fitted model, from 1 on: (q, t)."""
    graph = model.statistics.task_graph
    if has_plain_events(graph):
        return np.arange(graph.n_vectors, dtype=np.int64)[:, None]
    events = model.statistics.node_event
    if model.statistics.is_without_pairs:  # then only tables tell the events
        events = np.concatenate([table.events for table in model.fit.tables])
    return number_events(events)[0]


def model_scores(
    tables: list[SourceTable],
    events: NDArray[np.int64],
    class_balance: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    missing: NDArray[np.bool_],
    power: NDArray[np.float64],
    apart: NDArray[np.bool_],
) -> ScoreTable:
    """Log-probabilities of the votes of independent sources, [T12].

    Parameters
    ----------
    tables : list of SourceTable
        One a source, ``m`` of them.
    events : (q, t) int array
        Event of each state, from 1 on.
    class_balance : (K,) float array
        ``P(Y)``.
    ignored : (m,) bool array
        Sources whose abstention says nothing.
    missing : (m,) bool array
        Of those, the ones whose votes count given that they vote.
    power : (m,) float array
        Exponent of each source's factor: 1, and 1/g for each of g duplicates, so that they count once.
    apart : (m,) bool array
        Sources that are scored elsewhere: they add nothing here.

    Notes
    -----
    A state that a source never took while the model was fitted says nothing.
    """
    k = len(class_balance)
    of_state = _empty(len(tables), len(events) + 1, k)
    of_silence = np.zeros((len(tables), k))
    for j, source in enumerate(tables):
        if apart[j]:
            continue
        votes, abstains = source.table[:-1], source.table[-1]
        silent = np.zeros(k)
        if missing[j] and len(votes):
            votes = votes / votes.sum(axis=0)
        elif not ignored[j] and abstains.any():
            silent = np.log(abstains)
        # The base takes it that the source abstains; a vote takes that back.
        of_silence[j] = power[j] * silent
        of_state[j, 1:] = -power[j] * silent
        of_state[j, states_of(events, source.events)] += power[j] * np.log(votes)
    base = np.log(class_balance)
    for silent in of_silence:
        base += silent
    return ScoreTable(of_state, base, "softmax", silent=of_silence)


def with_components(
    scores: ScoreTable, layout: ComponentLayout, components: list[ComponentTable], *, missing: bool
) -> ScoreTable:
    """Scores in which dependent sources count together, each clique given its separator, [T12].

    Parameters
    ----------
    scores : ScoreTable
        Of the other sources; nothing of the dependent ones.
    layout : ComponentLayout
        Which sources are read together.
    components : list of ComponentTable
        Their tables, in the order of ``layout.members``.
    missing : bool
        Whether abstentions say nothing: states are then weighed given who votes.
    """
    k = len(scores.base)
    n_states = max([scores.of_state.shape[1], *(len(component.table) for component in components)])
    of_state = _empty(layout.n_columns, n_states, k)
    base = scores.base.copy()
    of_state[: len(layout.alone), : scores.of_state.shape[1]] = scores.of_state[list(layout.alone)]
    of_silence = np.zeros((layout.n_columns, k))
    if scores.silent is not None:
        of_silence[: len(layout.alone)] = scores.silent[list(layout.alone)]
    for component in components:
        clique = component.members
        given = layout.separator_states(clique)
        if missing:
            given = _numbered(np.column_stack([given, layout.member_states(clique) > 0]))
        table = conditional(component.table, given)
        # A joint state that cannot be, by what was learned, says nothing when it occurs all the same.
        impossible = (table <= 0).any(axis=1, keepdims=True)
        logs = np.log(np.where(impossible, 1.0, table))
        base += logs[0]
        of_silence[layout.column_of(clique)] = logs[0]
        of_state[layout.column_of(clique), : len(table)] = logs - logs[0]
    return ScoreTable(of_state, base, scores.link, layout, of_silence)


def _numbered(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each row among the distinct ones."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def majority_shares(
    n_sources: int,
    graph: TaskGraph,
    events: NDArray[np.int64],
    class_balance: NDArray[np.float64],
    turned: NDArray[np.bool_] | None = None,
) -> ScoreTable:
    """Shares of the votes; a vote for several vectors is divided among them by the class balance.

    Votes of the sources `turned`, (m,), speak for the label vectors that are not in their events.
    """
    masks = graph.event_masks(events)
    of_state = _empty(n_sources, len(events) + 1, len(class_balance))
    of_state[:, 1:] = _divided(masks, class_balance)
    if turned is not None:
        opposite = spoken_for(masks, np.ones(len(masks), dtype=np.bool_))
        of_state[turned, 1:] = _divided(opposite, class_balance)
    return ScoreTable(of_state, _TRACE * class_balance, "share")


def _divided(masks: NDArray[np.bool_], class_balance: NDArray[np.float64]) -> NDArray[np.float64]:
    within = np.where(masks, class_balance, 0.0)
    return np.asarray(within / within.sum(axis=1, keepdims=True), dtype=np.float64)


def _empty(n_sources: int, n_states: int, n_vectors: int) -> NDArray[np.float64]:
    _check_cells(n_sources, n_states, n_vectors)
    return np.zeros((n_sources, n_states, n_vectors))


def _check_cells(n_sources: int, n_states: int, n_vectors: int) -> None:
    if n_sources * n_states * n_vectors > MAX_CELLS:
        raise InvalidArgumentError(
            f"{n_sources} sources with {n_states} states over {n_vectors} label vectors need a table of more "
            f"than {MAX_CELLS} entries; use fewer classes, or model unrelated tasks apart"
        )
