"""From a fit by moments to the maximum of the likelihood: sources to columns for EM, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.components import ComponentLayout
from consilience.em import Columns, EMFit, choose_model, fit_em
from consilience.events import states_of
from consilience.exceptions import ConvergenceWarning, warn_caller
from consilience.fitting import SourceFit
from consilience.joint_tables import ComponentTable, conditional
from consilience.statistics import Observation
from consilience.tied import SourceTable

__all__ = ["likely_components", "maximise_likelihood"]


def maximise_likelihood(
    observed: Observation,
    fit: SourceFit,
    class_balance: NDArray[np.float64],
    *,
    learn_balance: bool,
    missing: bool,
    n_threads: int,
) -> tuple[SourceFit, NDArray[np.float64]]:
    """Tables, and class balance, of the greatest likelihood, with the model of a source chosen by BIC.

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
    missing : bool
        Whether abstentions say nothing.
    n_threads : int
        For the passes over the votes.

    Returns
    -------
    fit : SourceFit
    class_balance : (K,) float64 array
    """
    if not fit.learned.any():
        return fit, class_balance
    layout = _layout(fit)
    columns = _columns(observed, fit, layout, missing=missing, n_threads=n_threads)
    start = _to_columns(fit, layout, observed.coded.events, len(columns.masks))
    found, bic = choose_model(columns, start, class_balance, learn_balance=learn_balance)
    if not found.converged:
        warn_caller(
            f"EM stopped after {found.n_passes} passes over the votes before its tables settled; they are "
            "near a maximum of the likelihood but not at it",
            ConvergenceWarning,
        )
    refined = _to_sources(fit, layout, observed.coded.events, found, bic)
    return replace(refined, balance_learned=learn_balance), found.class_balance


def likely_components(
    observed: Observation, fit: SourceFit, class_balance: NDArray[np.float64], *, n_threads: int
) -> tuple[list[ComponentTable], NDArray[np.float64]]:
    """Joint tables of dependent sources at the maximum of the likelihood, and the class balance there.

    All tables are free, so that nothing about a single source passes for dependence.

    Parameters
    ----------
    observed, fit, class_balance, n_threads
        As for :func:`maximise_likelihood`.
    """
    layout, events = _layout(fit), observed.coded.events
    columns = _columns(observed, fit, layout, missing=False, n_threads=n_threads)
    start = _to_columns(fit, layout, events, len(columns.masks))
    found = fit_em(columns, start, class_balance, model="free", learn_balance=True)
    return _to_sources(fit, layout, events, found, {}).components, found.class_balance


def _layout(fit: SourceFit) -> ComponentLayout:
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
    observed: Observation, fit: SourceFit, layout: ComponentLayout, *, missing: bool, n_threads: int
) -> Columns:
    coded, graph = observed.coded, observed.statistics.task_graph
    coding = layout.code(coded.coding, coded.events)
    weights = None if observed.weights is None else observed.weights.astype(np.float64)
    patterns = _core.find_patterns(coded.view, coding, weights)
    masks = np.zeros((coding.n_states, graph.n_vectors), dtype=np.bool_)
    masks[1 : len(coded.events) + 1] = graph.event_masks(coded.events)
    n_alone, n_columns = len(layout.alone), layout.n_columns
    single = np.arange(n_columns) < n_alone
    held = np.zeros(n_columns, dtype=np.bool_)
    kept = ~fit.learned
    kept[list(layout.left_out)] = True
    held[:n_alone] = kept[list(layout.alone)]
    given = np.zeros((n_columns, coding.n_states), dtype=np.int64)
    voters = np.tile(np.minimum(np.arange(coding.n_states), 1), (n_columns, 1))
    for clique in layout.members:
        column, n_states = layout.column_of(clique), layout.n_states(clique)
        given[column, :n_states] = layout.separator_states(clique)
        who = np.column_stack([layout.separator_states(clique), layout.member_states(clique) > 0])
        voters[column] = 0
        voters[column, :n_states] = np.unique(who, axis=0, return_inverse=True)[1].reshape(-1)
    return Columns(
        patterns,
        float(observed.statistics.n),
        masks,
        single,
        held,
        given,
        voters if missing else None,
        n_threads,
    )


def _to_columns(
    fit: SourceFit, layout: ComponentLayout, events: NDArray[np.int64], n_states: int
) -> NDArray[np.float64]:
    """Tables of the columns, (C, S, K), with the abstention first; of a clique given its separator."""
    k = fit.tables[0].table.shape[1]
    tables = np.zeros((layout.n_columns, n_states, k))
    tables[:, 0] = 1.0  # where a column's votes are not read
    for j in layout.alone:
        source = fit.tables[j]
        if j not in layout.left_out:
            tables[layout.column[j], 0] = source.table[-1]
            tables[layout.column[j], states_of(events, source.events)] = source.table[:-1]
    for component in fit.components:
        column = layout.column_of(component.members)
        given = conditional(component.table, layout.separator_states(component.members))
        tables[column] = 0.0
        tables[column, : len(given)] = given
    return tables


def _to_sources(
    fit: SourceFit, layout: ComponentLayout, events: NDArray[np.int64], found: EMFit, bic: dict[str, float]
) -> SourceFit:
    tables = list(fit.tables)
    for j in layout.alone:
        if fit.learned[j] and j not in layout.left_out:
            order = [*states_of(events, tables[j].events), 0]
            tables[j] = SourceTable(tables[j].events, found.tables[layout.column[j]][order])
    given = [found.tables[layout.column_of(c.members), : len(c.table)] for c in fit.components]
    components = []
    for clique, joint in zip(layout.members, layout.joined(given), strict=True):
        components.append(ComponentTable(clique, joint))
        for j in clique:
            own = layout.marginal(clique, joint, (j,))
            tables[j] = SourceTable(tables[j].events, np.roll(own, -1, axis=0))  # the abstention last
    tables = [tables[j] for j in fit.first]
    return replace(fit, tables=tables, components=components, model=found.model, bic=bic)
