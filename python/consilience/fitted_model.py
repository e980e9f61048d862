"""A fitted label model as bytes: versioned, checksummed, without pickles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience import _core
from consilience.class_balance import read_class_balance
from consilience.components import ComponentLayout
from consilience.container import pack, unpack
from consilience.dependency_report import DependencyReport
from consilience.exceptions import FileFormatError
from consilience.fitting import METHODS, SourceFit, learned_layout, structure_for
from consilience.joint_forms import FORMS
from consilience.joint_tables import ComponentTable
from consilience.score_table import ScoreTable, WeightedScores
from consilience.source_graph import names_of_sources
from consilience.statistics import VoteStatistics
from consilience.task_graph import TaskGraph
from consilience.tied import SourceTable

__all__ = ["FittedModel"]

_KIND = "label model"


@dataclass(frozen=True, eq=False)
class FittedModel:
    """All that a fitted ``LabelModel`` is made of.

    Attributes
    ----------
    params : dict
        Parameters of the constructor.
    statistics : VoteStatistics
        Of the votes it was fitted on.
    fit : SourceFit
        What was learned.
    class_balance : (K,) float64 array
        ``P(Y)`` over the feasible set.
    dependencies : DependencyReport or None
        What was learned about dependencies.
    balance_error : (K,) float64 array or None
        Standard errors of what third moments, or gold, say about it; None where they were not asked.
    balance_told : bool
        Whether they tell it.
    n_gold : float
        Items with gold that it was learned from.
    n_certain : float
        Those of which gold leaves one label vector.
    balance_by_gold : bool
        Whether the errors are those of the labels of these items.
    """

    params: dict[str, Any]
    statistics: VoteStatistics
    fit: SourceFit
    class_balance: NDArray[np.float64]
    dependencies: DependencyReport | None = None
    balance_error: NDArray[np.float64] | None = None
    balance_told: bool = False
    n_gold: float = 0.0
    n_certain: float = 0.0
    balance_by_gold: bool = False

    @property
    def known_share(self) -> float:
        """Share of the items whose label gold tells, in [0, 1]."""
        return self.n_certain / float(self.statistics.n)

    @property
    def shown_tables(self) -> list[SourceTable]:
        """Table of each source as users see it: where an abstention says nothing, it has one rate."""
        if self.params["abstentions"] != "missing":
            return self.fit.tables
        return [table.with_one_silence(self.class_balance) for table in self.fit.tables]

    @property
    def abstentions(self) -> tuple[str, ...]:
        """What the abstentions of each source are to the labels: see ``LabelModel.abstentions_``."""
        fit, m = self.fit, len(self.fit.tables)
        if fit.parts:
            silent = [part.scores.silent for part in fit.parts if part.scores.silent is not None]
            says = np.any([np.ptp(of_part, axis=1) > 0 for of_part in silent] or np.zeros((1, m)), axis=0)
            return tuple("averaged" if own else "missing" for own in says.tolist())
        missing = ~fit.learned if fit.missing is None else ~fit.learned | fit.missing
        if self.params["abstentions"] == "missing" or fit.method == "majority":
            missing = np.ones(m, dtype=np.bool_)
        return tuple("missing" if own else "informative" for own in missing.tolist())

    def to_bytes(self) -> bytes:
        """The model as bytes; the same ones for the same model."""
        tables = self.fit.tables
        header = {
            "version": _core.__version__,
            "params": _plain_params(self.params),
            "notes": self.fit.notes,
            "remarks": self.fit.remarks,
            "model": self.fit.model,
            "bic": self.fit.bic,
            "balance_learned": self.fit.balance_learned,
            "part_weights": [part.weight for part in self.fit.parts],
            "part_links": [part.scores.link for part in self.fit.parts],
            "dependencies": None if self.dependencies is None else self.dependencies.to_json(),
            "balance_told": self.balance_told,
            "n_gold": self.n_gold,
            "n_certain": self.n_certain,
            "balance_by_gold": self.balance_by_gold,
            "sign_rules": self.fit.sign_rules,
            "missing": None if self.fit.missing is None else np.flatnonzero(self.fit.missing).tolist(),
            "given_voters": self.fit.given_voters,
            "joint_forms": [[c.form, list(c.order)] for c in self.fit.components],
        }
        arrays: dict[str, NDArray[Any]] = {
            "statistics": np.frombuffer(self.statistics.to_bytes(), dtype=np.uint8),
            "class_balance": self.class_balance,
            "first_balance": self.fit.structure.system.class_balance,
            "balance_error": np.zeros(0) if self.balance_error is None else self.balance_error,
            "learned": self.fit.learned,
            "strength": self.fit.strength,
            "first": self.fit.first,
            "n_events": np.array([len(t.events) for t in tables], dtype=np.int64),
            "events": np.vstack([t.events for t in tables]),
            "tables": np.vstack([t.table for t in tables]),
            "joint_tables": np.vstack(
                [np.zeros((0, len(self.class_balance))), *(c.table for c in self.fit.components)]
            ),
        }
        if self.fit.whole_range is not None:
            arrays["accuracy_range"] = self.fit.whole_range
        for i, part in enumerate(self.fit.parts):
            arrays[f"part_{i}_of_state"] = part.scores.of_state
            arrays[f"part_{i}_base"] = part.scores.base
            if part.scores.silent is not None:
                arrays[f"part_{i}_silent"] = part.scores.silent
        return pack(_KIND, header, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str) -> FittedModel:
        """Model that :meth:`to_bytes` wrote, checked; `name` is what messages call the data.

        What the votes determine is worked out from their statistics again, not stored.

        Raises
        ------
        FileFormatError
            If the data are damaged, of another kind, or do not fit together.
        """
        header, arrays = unpack(data, _KIND, name=name)
        try:
            params = _read_params(header["params"])
            statistics = VoteStatistics.from_bytes(arrays["statistics"].tobytes())
            balance = _read_balance(arrays["class_balance"], statistics.task_graph)
            balance_error = _read_errors(arrays.get("balance_error", np.zeros(0)), len(balance))
            balance_told = bool(header.get("balance_told", False))
            n_gold = float(header.get("n_gold", 0.0))
            first_balance = _read_balance(arrays["first_balance"], statistics.task_graph)
            dependencies, learned_report = params["dependencies"], None
            if header.get("dependencies") is not None:
                names = names_of_sources(statistics.source_names, statistics.n_sources)
                learned_report = DependencyReport.from_json(header["dependencies"], names)
                dependencies = learned_report
            elif isinstance(dependencies, str):  # majority vote, which learns none
                dependencies = None
            structure = structure_for(statistics, first_balance, dependencies, params["method"])
            first, m = arrays["first"], statistics.n_sources
            if arrays["events"].dtype != np.int64 or first.dtype != np.int64:
                raise FileFormatError("events and first must hold int64")
            if first.shape != (m,) or not ((first >= 0) & (first < m)).all():
                raise FileFormatError("first does not fit the number of sources")
            learned = arrays["learned"].astype(np.bool_)
            notes = [[str(note) for note in of_source] for of_source in header["notes"]]
            if learned.shape != (m,) or len(notes) != m:
                raise FileFormatError("learned or notes do not fit the number of sources")
            tables = _read_tables(arrays, statistics)
            strength = arrays["strength"]
            if strength.shape != structure.system.means.shape or not np.isfinite(strength).all():
                raise FileFormatError("strength does not fit the nodes")
            fit = SourceFit(
                tables,
                learned,
                first,
                notes,
                structure,
                strength,
                params["method"],
                [str(remark) for remark in header["remarks"]],
                model=header["model"],
                bic=header["bic"],
                balance_learned=header["balance_learned"],
                parts=_read_parts(header, arrays, m, len(balance)),
                accuracy_range=_read_range(arrays, m),
                sign_rules=[str(rule) for rule in header.get("sign_rules", [])],
                missing=_read_missing(header.get("missing"), m),
                given_voters=bool(header.get("given_voters", False)),
            )
            layout = None
            if params["method"] != "majority" and not fit.parts:  # else nothing is scored together
                layout = learned_layout(statistics, structure.system.source_graph, fit)
            if layout is None and len(arrays["joint_tables"]):
                raise FileFormatError("the joint tables do not fit the dependencies")
            if layout is not None:
                fit = replace(fit, layout=layout, components=_read_joint_tables(header, arrays, layout))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise FileFormatError(f"{name} does not hold a label model: {error}; save it again") from error
        return cls(
            params,
            statistics,
            fit,
            balance,
            learned_report,
            balance_error,
            balance_told,
            n_gold,
            float(header.get("n_certain", 0.0)),
            bool(header.get("balance_by_gold", False)),
        )


def _plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON has them."""
    plain = dict(params)
    if plain["task_graph"] is not None:
        plain["task_graph"] = plain["task_graph"].to_json()
    if plain["dependencies"] is not None and not isinstance(plain["dependencies"], str):
        plain["dependencies"] = [[_plain(end) for end in pair] for pair in plain["dependencies"]]
    if plain["classes"] is not None:
        plain["classes"] = [_plain(name) for name in plain["classes"]]
    if plain["class_balance"] is not None and not isinstance(plain["class_balance"], str):
        plain["class_balance"] = np.asarray(plain["class_balance"], dtype=np.float64).tolist()
    if plain["accuracy_prior"] is not None:
        beliefs = plain["accuracy_prior"].items()
        plain["accuracy_prior"] = [[_plain(source), *map(float, belief)] for source, belief in beliefs]
    if plain["trusted"] is not None:
        several = isinstance(plain["trusted"], Iterable) and not isinstance(plain["trusted"], str)
        plain["trusted"] = [_plain(j) for j in plain["trusted"]] if several else _plain(plain["trusted"])
    plain["ordered"] = None if plain["ordered"] is None else bool(plain["ordered"])
    for name in ("n_classes", "random_state", "n_threads"):
        # A random generator has a state that does not outlive the process.
        plain[name] = int(plain[name]) if isinstance(plain[name], (int, np.integer)) else None
    return plain


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _read_params(plain: Mapping[str, Any]) -> dict[str, Any]:
    params = dict(plain)
    for name in ("trusted", "accuracy_prior", "ordered"):  # newer than some files
        params.setdefault(name, None)
    if params["accuracy_prior"] is not None:
        params["accuracy_prior"] = {source: (a, votes) for source, a, votes in params["accuracy_prior"]}
    if params["task_graph"] is not None:
        params["task_graph"] = TaskGraph.from_json(params["task_graph"])
    if params["dependencies"] is not None and not isinstance(params["dependencies"], str):
        params["dependencies"] = [tuple(pair) for pair in params["dependencies"]]
    if params["method"] not in METHODS:
        raise FileFormatError(f"the method {params['method']!r} is unknown to this release")
    return params


def _read_balance(balance: NDArray[Any], graph: TaskGraph) -> NDArray[np.float64]:
    """The same bits, checked."""
    if balance.dtype != np.float64:
        raise FileFormatError(f"a class balance must hold float64, got {balance.dtype}")
    read_class_balance(balance, graph)
    return balance


def _read_errors(errors: NDArray[Any], k: int) -> NDArray[np.float64] | None:
    if errors.shape == (0,):
        return None
    if errors.shape != (k,) or errors.dtype != np.float64 or not ((errors >= 0) & (errors <= 1)).all():
        raise FileFormatError("balance_error does not fit the class balance")
    return errors


def _read_missing(sources: list[int] | None, m: int) -> NDArray[np.bool_] | None:
    if sources is None:
        return None
    if any(type(j) is not int or not 0 <= j < m for j in sources):
        raise FileFormatError("missing does not fit the number of sources")
    missing = np.zeros(m, dtype=np.bool_)
    missing[sources] = True
    return missing


def _read_tables(arrays: Mapping[str, NDArray[Any]], statistics: VoteStatistics) -> list[SourceTable]:
    counts = arrays["n_events"]
    k, t, m = statistics.task_graph.n_vectors, statistics.task_graph.n_tasks, statistics.n_sources
    total = int(counts.sum())
    if counts.shape != (m,) or (counts < 0).any():
        raise FileFormatError("n_events does not fit the number of sources")
    if arrays["events"].shape != (total, t) or arrays["tables"].shape != (total + m, k):
        raise FileFormatError("the tables do not fit the tasks")
    _check_probabilities(arrays["tables"])
    ends = np.cumsum(counts)
    events = np.split(arrays["events"], ends[:-1])
    tables = np.split(arrays["tables"], (ends + np.arange(1, m + 1))[:-1])
    read = [SourceTable(*pair) for pair in zip(events, tables, strict=True)]
    for table in read:
        _check_source_table(table, statistics)
    return read


def _check_source_table(table: SourceTable, statistics: VoteStatistics) -> None:
    masks = statistics.task_graph.event_masks(table.events)
    known = {tuple(event) for event in statistics.node_event.tolist()}
    events = [tuple(event) for event in table.events.tolist()]
    if not masks.any(axis=1).all() or len(set(events)) < len(events):
        raise FileFormatError("a table holds an event that is infeasible, or one twice")
    if not (statistics.is_without_pairs or known.issuperset(events)):
        raise FileFormatError("a table holds an event that no source votes for")
    if not (table.table[:-1] > 0).all():
        raise FileFormatError("a table holds a vote that is impossible")
    if not np.allclose(table.table.sum(axis=0), 1):
        raise FileFormatError("a table has a column that does not sum to 1")


def _read_parts(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], m: int, k: int
) -> tuple[WeightedScores, ...]:
    weights, links = header["part_weights"], header["part_links"]
    if len(weights) != len(links) or (weights and not math.isclose(sum(weights), 1)):
        raise FileFormatError("the weights of the scores do not sum to 1")
    parts = []
    for i, (weight, link) in enumerate(zip(weights, links, strict=True)):
        of_state, base = arrays[f"part_{i}_of_state"], arrays[f"part_{i}_base"]
        if link not in ("softmax", "share") or not weight > 0:
            raise FileFormatError(f"scores {i} are of an unknown kind")
        if of_state.ndim != 3 or (of_state.shape[0], of_state.shape[2]) != (m, k) or base.shape != (k,):
            raise FileFormatError(f"scores {i} do not fit the sources and classes")
        if not (np.isfinite(of_state).all() and np.isfinite(base).all()):
            raise FileFormatError(f"scores {i} hold numbers that are not finite")
        if link == "share" and not ((of_state >= 0).all() and (base > 0).all()):
            raise FileFormatError(f"scores {i} hold shares below 0")
        silent = arrays.get(f"part_{i}_silent")
        if silent is not None and (silent.shape != (m, k) or not np.isfinite(silent).all()):
            raise FileFormatError(f"scores {i} hold abstentions that do not fit the sources")
        parts.append(WeightedScores(weight, ScoreTable(of_state, base, link, silent=silent)))
    return tuple(parts)


def _read_range(arrays: Mapping[str, NDArray[Any]], m: int) -> NDArray[np.float64] | None:
    found = arrays.get("accuracy_range")
    if found is not None:
        _check_probabilities(found)
        if found.shape != (m, 2):
            raise FileFormatError("accuracy_range does not fit the number of sources")
    return found


def _read_joint_tables(
    header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], layout: ComponentLayout
) -> list[ComponentTable]:
    sizes = [layout.n_states(group) for group in layout.members]
    if len(arrays["joint_tables"]) != sum(sizes) or arrays["joint_tables"].ndim != 2:
        raise FileFormatError("the joint tables do not fit the dependent sources")
    _check_probabilities(arrays["joint_tables"])
    parts = np.split(arrays["joint_tables"], np.cumsum(sizes)[:-1])
    forms = header.get("joint_forms", [["free", []]] * len(parts))
    if len(forms) != len(parts):
        raise FileFormatError("the forms of joint tables do not fit the dependent sources")
    found = []
    for members, separator, part, (form, order) in zip(
        layout.members, layout.separators, parts, forms, strict=True
    ):
        read = [i for i, j in enumerate(members) if j not in separator]
        if form not in FORMS or sorted(order) != ([] if form == "free" else read):
            raise FileFormatError(f"a joint table has the form {form!r}, read in the order {order!r}")
        found.append(ComponentTable(members, part, form, tuple(order)))
    return found


def _check_probabilities(table: NDArray[Any]) -> None:
    if table.dtype != np.float64 or not ((table >= 0) & (table <= 1 + 1e-9)).all():
        raise FileFormatError("a table holds numbers that are no probabilities")
