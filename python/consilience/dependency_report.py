"""What was learned about which sources depend on each other, as a table and as pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from consilience.exceptions import listed
from consilience.source_graph import Edge
from consilience.table import Table, Value

__all__ = ["Dependency", "DependencyReport"]

_SHOWN = 5  # dependencies named in a sentence


@dataclass(frozen=True)
class Dependency:
    """Two sources whose votes hang together more, or less, than the true labels explain.

    Attributes
    ----------
    pair : (i, j)
        The sources, ``i < j``.
    strength : float
        Association given the true label, between -1 and 1: about the share of items on which one copies the
        other; negative where they agree less often than independent sources would.
    p_value : float
        Of an association at least as strong between sources that are independent given the label, for this
        pair alone.
    kept : bool
        Whether the fit takes it into account.
    reason : str
        Why not, or how it was confirmed.
    """

    pair: Edge
    strength: float
    p_value: float
    kept: bool
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class DependencyReport:
    """Dependencies between sources that were learned from their votes; prints as a table.

    Iterating gives the rows of the table.

    Attributes
    ----------
    found : tuple of Dependency
        Strongest first, those that are not kept last.
    source_names : tuple of str
        Names of all sources.
    n_pairs : int
        Pairs of sources that could be tested.
    notes : tuple of str
        What to know about the search.
    teams : tuple of tuple of int
        Near-copies of one another, which count once: the votes of the first are read for all of them.
    """

    found: tuple[Dependency, ...]
    source_names: tuple[str, ...]
    n_pairs: int
    notes: tuple[str, ...] = ()
    teams: tuple[tuple[int, ...], ...] = ()

    @property
    def pairs(self) -> list[Edge]:
        """The kept dependencies ``(i, j)``, ``i < j``, sorted, for ``LabelModel(dependencies=...)``."""
        return sorted(dependency.pair for dependency in self.found if dependency.kept)

    @cached_property
    def table(self) -> Table:
        """Columns source, other, strength, p_value, kept, reason."""
        kept = len(self.pairs)
        title = f"{kept} dependencies" if kept != 1 else "1 dependency"
        return Table(
            {
                "source": [self.source_names[d.pair[0]] for d in self.found],
                "other": [self.source_names[d.pair[1]] for d in self.found],
                "strength": [d.strength for d in self.found],
                "p_value": [d.p_value for d in self.found],
                "kept": [d.kept for d in self.found],
                "reason": [d.reason for d in self.found],
            },
            title=f"{title} learned from {self.n_pairs} pairs of sources",
            notes=(*self.notes, *self._teams_in_words()),
        )

    def in_words(self) -> str:
        """One sentence: how many were found, and which are kept, or which sources count once."""
        if self.teams:
            return "; ".join(self._teams_in_words())
        if not self.found:
            return "; ".join(self.notes) or "no dependencies found among the sources"
        kept = [d for d in self.found if d.kept]
        named = "; ".join(
            f"{self.source_names[d.pair[0]]} and {self.source_names[d.pair[1]]} ({d.strength:.2f})"
            for d in kept[:_SHOWN]
        )
        more = f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else ""
        left = len(self.found) - len(kept)
        also = f"; {left} found but not kept, see dependencies_" if left else ""
        return f"dependencies learned: {named or 'none kept'}{more}{also}"

    def _teams_in_words(self) -> list[str]:
        return [
            f"near-copies of one another, which count once: {listed([self.source_names[j] for j in team])}"
            for team in self.teams
        ]

    def __iter__(self) -> Iterator[dict[str, Value]]:
        """Rows of the table, each a dict by column name."""
        return iter(self.table)

    def __len__(self) -> int:
        """Count of dependencies found, kept or not."""
        return len(self.found)

    def __repr__(self) -> str:
        return f"DependencyReport(found={len(self.found)}, kept={len(self.pairs)})"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "found": [[*d.pair, d.strength, d.p_value, d.kept, d.reason] for d in self.found],
            "n_pairs": self.n_pairs,
            "notes": list(self.notes),
            "teams": [list(team) for team in self.teams],
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], source_names: Sequence[str]) -> DependencyReport:
        """Report that :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is no such report, or names a source that is not there.
        """
        found = []
        for i, j, strength, p_value, kept, reason in plain["found"]:
            if not 0 <= int(i) < int(j) < len(source_names):
                raise ValueError(f"({i}, {j}) is no pair of {len(source_names)} sources")
            found.append(
                Dependency((int(i), int(j)), float(strength), float(p_value), bool(kept), str(reason))
            )
        notes = tuple(str(note) for note in plain["notes"])
        teams = tuple(tuple(int(j) for j in team) for team in plain.get("teams", ()))
        members = [j for team in teams for j in team]
        if len(set(members)) < len(members) or not all(0 <= j < len(source_names) for j in members):
            raise ValueError(f"{teams} are no teams among {len(source_names)} sources")
        return cls(tuple(found), tuple(source_names), int(plain["n_pairs"]), notes, teams)
