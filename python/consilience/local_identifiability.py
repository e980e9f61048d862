"""Whether the whole distribution of the votes tells the tables, near a fit: the rank of the scores.

Second moments are not all that votes tell. A direction in which all tables may move together without any vote
vector becoming more or less probable is one along which the score, the derivative of the log-likelihood, is
zero on every item: a null direction of the information. With two dependent groups of sources second moments
determine nothing, and yet a chain of three beside a single source is determined, up to a swap of classes.
With three classes and three sources of two votes each, four directions stay open, however many items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilience.em import MODELS
from consilience.exceptions import InvalidArgumentError, listed
from consilience.fitted_model import FittedModel
from consilience.fitting import SourceFit
from consilience.joint_tables import conditional
from consilience.statistics import VoteStatistics, layout_of
from consilience.tied import tied_directions

__all__ = ["LocalIdentifiability", "Unit", "local_identifiability", "local_identifiability_of", "units_of"]

MAX_PARAMETERS = 1500
"""Beyond this many the information is not decomposed."""

NULL = 1e-8
"""Eigenvalues below this share of the largest are zero: rounding leaves 1e-13 or so."""

MAX_ROWS = 1 << 16
MAX_CELLS = 4_000_000
"""Vote vectors, and vote vectors times parameters, up to which all of them are looked at."""

_PART = 1e-4  # share of a null direction from which on a source takes part in it
_SPREAD = 0.5  # of the logarithms of tables that nothing was learned about

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Unit:
    """Sources that are read together, and how their table may move.

    Attributes
    ----------
    name : str
        For messages.
    members : tuple of int
        Places of its sources in the model; their states number its own, the first one running fastest, 0
        where a source abstains.
    table : (S, K) float64 array
        ``P(state | Y = y)``, given the state of its separator in other units.
    directions : (S, K, q) float64 array
        How the table moves with each of its ``q`` parameters.
    """

    name: str
    members: tuple[int, ...]
    table: Floats
    directions: Floats


@dataclass(frozen=True, eq=False, repr=False)
class LocalIdentifiability:
    """What the distribution of the votes determines near a fit; prints at 80 columns.

    Attributes
    ----------
    identified : bool
        Whether no direction is open: the tables are the only ones near them with these votes. Other ones far
        away, such as with classes swapped, are not ruled out.
    rank, n_parameters : int
        Of the scores, and how many parameters there are; their difference is the number of open directions.
    smallest_ratio : float
        Least eigenvalue of the information, scaled to unit diagonal, over the largest.
    open : tuple of str
        Sources (or dependent ones together, or "class balance") that take part in an open direction.
    directions : (n_parameters, n_parameters - rank) float64 array
        The open directions in the parameters, orthonormal after each was scaled by its information.
    owners : tuple of str
        What each parameter belongs to.
    freedom : {"one-coin", "tied", "free"}
        Of the tables of independent sources; those of dependent ones are free.
    notes : tuple of str
        What the answer rests on.
    """

    identified: bool
    rank: int
    n_parameters: int
    smallest_ratio: float
    open: tuple[str, ...]
    directions: Floats
    owners: tuple[str, ...]
    freedom: str
    notes: tuple[str, ...] = ()

    def in_words(self) -> str:
        """One sentence."""
        if self.identified:
            return (
                f"the distribution of the votes determines the {self.freedom} tables locally (rank "
                f"{self.rank} of {self.n_parameters})"
            )
        n_open = self.n_parameters - self.rank
        return (
            f"however many items there are, votes leave {n_open} of {self.n_parameters} directions open in "
            f"which {self.freedom} tables may move: {listed(self.open)}"
        )

    def __repr__(self) -> str:
        return (
            f"LocalIdentifiability(identified={self.identified}, rank={self.rank}, "
            f"n_parameters={self.n_parameters})"
        )

    def __str__(self) -> str:
        lines = [
            f"Locally identified: {'yes' if self.identified else 'no'}",
            f"  rank {self.rank} of {self.n_parameters} parameters, tables {self.freedom}",
            f"  least eigenvalue of the information, over the largest: {self.smallest_ratio:.1e}",
        ]
        if self.open:
            lines.append(f"  open directions move: {listed(self.open, limit=20)}")
        return "\n".join([*lines, *(f"- {note}" for note in self.notes)])


def local_identifiability_of(
    model: FittedModel, freedom: str | None = None, *, max_parameters: int = MAX_PARAMETERS
) -> LocalIdentifiability:
    """Rank of the scores at a fit; see :func:`units_of` and :func:`local_identifiability`."""
    units, freedom, notes = units_of(model.statistics, model.fit, freedom)
    return local_identifiability(
        units,
        [len(source.table) for source in model.fit.tables],
        model.class_balance,
        balance_known=model.params["class_balance"] is not None,
        freedom=freedom,
        notes=notes,
        max_parameters=max_parameters,
    )


def units_of(
    statistics: VoteStatistics, fit: SourceFit, freedom: str | None
) -> tuple[list[Unit], str, tuple[str, ...]]:
    """Units of a fit, the freedom of the tables (that of the fit by default), and notes.

    Dependent sources about which nothing was learned have a table drawn at random, with a fixed seed: what
    is open there is so for almost all tables.

    Raises
    ------
    InvalidArgumentError
        If the freedom is unknown.
    """
    if freedom is not None and freedom not in MODELS:
        raise InvalidArgumentError(f"freedom must be one of {listed(MODELS)}, got {freedom!r}")
    freedom = freedom or fit.model or "tied"
    rng = np.random.default_rng(0)
    graph, names, k = statistics.task_graph, fit.report.source_names, fit.tables[0].table.shape[1]
    layout = layout_of(
        fit.structure.system.source_graph,
        statistics.node_source,
        statistics.node_event,
        statistics.n_votes.tolist(),
    )
    layout = replace(layout, events=tuple(table.events for table in fit.tables)).countable()
    learned = {component.members: component.table for component in fit.components}
    units, at_random = [], []
    always = np.asarray(statistics.n_votes >= statistics.n)
    tables = [_without_abstention(*own) for own in zip([t.table for t in fit.tables], always, strict=True)]
    for j in layout.alone:
        source, table = fit.tables[j], tables[j]
        if fit.first[j] != j or not len(source.events):
            continue
        if not fit.learned[j] and freedom == "free":
            at_random.append(names[j])
            table = table * np.exp(_SPREAD * rng.standard_normal(table.shape))
            table = table / table.sum(axis=0)
        _check_size(names[j], len(table), k, freedom)
        masks = graph.event_masks(source.events)
        directions = tied_directions(masks, freedom, abstains=bool(table[-1].any()), n_vectors=k)
        units.append(Unit(names[j], (j,), np.roll(table, 1, axis=0), np.roll(directions, 1, axis=0)))
    for clique, separator in zip(layout.members, layout.separators, strict=True):
        name = " + ".join(names[j] for j in clique)
        _check_size(name, layout.n_states(clique), k, "free")
        given = layout.separator_states(clique)
        joint = learned.get(clique)
        if joint is None:
            at_random += [names[j] for j in clique if j not in separator]
            states = layout.member_states(clique)
            joint = np.exp(_SPREAD * rng.standard_normal((len(states), k)))
            for i, j in enumerate(clique):
                joint = joint * np.roll(tables[j], 1, axis=0)[states[:, i]]
        table = conditional(joint, given)
        units.append(Unit(name, clique, table, _free_directions(table, given)))
    notes: tuple[str, ...] = ()
    if at_random:
        notes = (f"nothing was learned about {listed(at_random)}: their tables are drawn at random here",)
    return units, freedom, notes


def _check_size(name: str, n_states: int, k: int, freedom: str) -> None:
    """Refuse a table that alone has more directions than can be held."""
    n_directions = n_states * k if freedom == "free" else 2 * n_states
    if n_states * k * n_directions > MAX_CELLS:
        raise InvalidArgumentError(
            f"the {freedom} table of {name!r} has {n_directions} parameters, too many to be looked at; ask "
            'for freedom="one-coin", or give fewer dependencies'
        )


def _without_abstention(table: Floats, always_votes: bool) -> Floats:
    """The table of a source that always votes: one that keeps its prior has room for abstentions."""
    if not always_votes:
        return table
    votes = np.vstack([table[:-1], np.zeros(table.shape[1])])
    shares: Floats = votes / votes.sum(axis=0)
    return shares


def _free_directions(table: Floats, given: NDArray[np.int64]) -> Floats:
    """Every entry of a table against the first possible one of its separator's state, for each vector."""
    possible = np.flatnonzero((table > 0).any(axis=1))
    _, first = np.unique(given[possible], return_index=True)
    reference = dict(zip(given[possible[first]].tolist(), possible[first].tolist(), strict=True))
    moving = [s for s in possible.tolist() if s != reference[int(given[s])]]
    n_states, k = table.shape
    directions = np.zeros((n_states, k, len(moving), k))
    for q, s in enumerate(moving):
        directions[s, :, q] = np.eye(k)
        directions[reference[int(given[s])], :, q] = -np.eye(k)
    return directions.reshape(n_states, k, -1)


def local_identifiability(
    units: Sequence[Unit],
    sizes: Sequence[int],
    class_balance: Floats,
    *,
    balance_known: bool,
    freedom: str = "free",
    notes: tuple[str, ...] = (),
    max_parameters: int = MAX_PARAMETERS,
) -> LocalIdentifiability:
    """Rank of the scores at some tables.

    Parameters
    ----------
    units : sequence of Unit
        Independent given the label, but for separators that they share.
    sizes : sequence of int
        Number of states of each source, the abstention included.
    class_balance : (K,) float64 array
        ``P(Y)``.
    balance_known : bool
        Whether it is no parameter.
    freedom, notes
        For the result.
    max_parameters : int
        More are refused.

    Raises
    ------
    InvalidArgumentError
        If there are more parameters.

    Notes
    -----
    Up to ``MAX_ROWS`` vote vectors all count, with their probabilities. Of more, some are drawn, the states
    of each source with equal chances (and a fixed seed): a null direction is one on every vote vector.
    """
    k = len(class_balance)
    owners = [unit.name for unit in units for _ in range(unit.directions.shape[2])]
    if not balance_known:
        owners += ["class balance"] * (k - 1)
    n_parameters = len(owners)
    if n_parameters > max_parameters:
        raise InvalidArgumentError(
            f"{n_parameters} parameters are more than the {max_parameters} whose information is decomposed; "
            'ask for freedom="one-coin", or fit fewer sources'
        )
    if not n_parameters:
        nothing = np.zeros((0, 0))
        return LocalIdentifiability(True, 0, 0, 1.0, (), nothing, (), freedom, notes)
    scores, weight = _scores(units, sizes, class_balance, n_parameters, balance_known=balance_known)
    information = (scores * weight[:, None]).T @ scores
    size = np.sqrt(np.diag(information))
    size[size <= 0] = 1.0
    values, vectors = np.linalg.eigh(information / np.outer(size, size))
    null = values < NULL * values[-1]
    directions = vectors[:, null]
    part = np.linalg.norm(directions, axis=1) > _PART
    taking_part = tuple(dict.fromkeys(owner for owner, own in zip(owners, part, strict=True) if own))
    return LocalIdentifiability(
        not null.any(),
        int(n_parameters - null.sum()),
        n_parameters,
        float(max(values[0], 0.0) / values[-1]) if values[-1] > 0 else 0.0,
        taking_part,
        directions,
        tuple(owners),
        freedom,
        notes,
    )


def _scores(
    units: Sequence[Unit],
    sizes: Sequence[int],
    class_balance: Floats,
    n_parameters: int,
    *,
    balance_known: bool,
) -> tuple[Floats, Floats]:
    """Derivatives of the log-likelihood of vote vectors, (n, n_parameters), and their weights, (n,)."""
    involved = sorted({j for unit in units for j in unit.members})
    n_all = int(np.prod([sizes[j] for j in involved], dtype=object))
    most = min(MAX_ROWS, max(MAX_CELLS // n_parameters, 4 * n_parameters))
    states = np.zeros((min(n_all, most), len(sizes)), dtype=np.int64)
    if n_all <= most:
        rest = np.arange(n_all)
        for j in involved:
            rest, states[:, j] = np.divmod(rest, sizes[j])
    else:
        rng = np.random.default_rng(0)
        for j in involved:
            # States that cannot be would take all their rows with them.
            possible = np.flatnonzero(_possible(units, j, sizes[j]))
            states[:, j] = rng.choice(possible, len(states))
    own = [_states_of(unit, states, sizes) for unit in units]
    with np.errstate(divide="ignore"):
        logs = np.log(class_balance) + sum(
            (np.log(unit.table)[state] for unit, state in zip(units, own, strict=True)),
            start=np.zeros((len(states), len(class_balance))),
        )
    occurs = np.isfinite(logs).any(axis=1)
    logs, own = logs[occurs], [state[occurs] for state in own]
    largest = logs.max(axis=1, keepdims=True)
    joint = np.exp(logs - largest)
    posterior = joint / joint.sum(axis=1, keepdims=True)
    blocks = []
    for unit, state in zip(units, own, strict=True):
        block = np.zeros((len(state), unit.directions.shape[2]))
        for s in np.unique(state):
            rows = state == s
            # Where an entry is 0, so is the posterior.
            relative = unit.directions[s] / np.maximum(unit.table[s], 1e-300)[:, None]
            block[rows] = posterior[rows] @ relative
        blocks.append(block)
    if not balance_known:
        blocks.append(posterior[:, :-1] / class_balance[:-1] - posterior[:, -1:] / class_balance[-1])
    weight = np.ones(len(logs)) / len(logs)
    if n_all <= most:
        weight = np.exp(largest[:, 0]) * joint.sum(axis=1)
    return np.hstack(blocks), weight


def _states_of(unit: Unit, states: NDArray[np.int64], sizes: Sequence[int]) -> NDArray[np.int64]:
    """State of a unit on rows of its sources' states."""
    step, state = 1, np.zeros(len(states), dtype=np.int64)
    for j in unit.members:
        state += step * states[:, j]
        step *= sizes[j]
    return state


def _possible(units: Sequence[Unit], j: int, size: int) -> NDArray[np.bool_]:
    """States of a source that some unit gives a probability."""
    unit = next(unit for unit in units if j in unit.members)
    if len(unit.members) > 1:
        return np.ones(size, dtype=np.bool_)
    return np.asarray((unit.table > 0).any(axis=1), dtype=np.bool_)
