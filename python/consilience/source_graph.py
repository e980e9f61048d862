"""Sources, the dependencies between them, and the junction tree of each group of dependent sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import InvalidArgumentError, WrongTypeError, listed

__all__ = ["Clique", "Dependencies", "Edge", "SourceGraph", "names_of_sources", "read_source"]

Edge: TypeAlias = tuple[int, int]
Clique: TypeAlias = tuple[int, ...]


Dependencies: TypeAlias = Iterable[Sequence[int | str]] | None
"""Pairs of sources, by index or name; None leaves the question open."""


class SourceGraph:
    """Sources as vertices, and an edge between any two that depend on each other given the true labels.

    The paper's ``G_source`` without its vertex ``Y``: different components are independent given ``Y``.

    Parameters
    ----------
    n_sources : int
        Number of sources, ``m >= 1``.
    dependencies : iterable of pairs
        Sources that depend on each other, by index or by name; order and repeats do not matter.
    source_names : sequence of str, optional
        One distinct name a source; ``"source 0"``, ``"source 1"``, ... where not given.

    Attributes
    ----------
    n_sources : int
        Number of sources.
    source_names : tuple of str
        Their names.
    edges : tuple of (i, j)
        Dependencies, ``i < j``, sorted, each once.
    component : (m,) int64 array
        Component of each source; components are numbered by their first member; read-only.

    Raises
    ------
    InvalidArgumentError
        If `n_sources` is not positive, names repeat or are too many or few, or a dependency names an unknown
        source, an index outside ``0..m-1``, or one source twice.
    WrongTypeError
        If `n_sources` is not an int, a name not a string, or a dependency not a pair.

    Examples
    --------
    >>> graph = SourceGraph(5, [(1, 0), (1, 2)])
    >>> graph.component.tolist(), graph.cliques, graph.separators
    ([0, 0, 0, 1, 2], ((0, 1), (1, 2), (3,), (4,)), ((1,),))
    """

    def __init__(
        self,
        n_sources: int,
        dependencies: Iterable[Sequence[int | str]] = (),
        source_names: Sequence[str] | None = None,
    ) -> None:
        if isinstance(n_sources, bool) or not isinstance(n_sources, (int, np.integer)):
            raise WrongTypeError(f"n_sources must be an int, got {n_sources!r}")
        if n_sources < 1:
            raise InvalidArgumentError(f"n_sources must be at least 1, got {n_sources}")
        self.n_sources = int(n_sources)
        self.source_names = names_of_sources(source_names, self.n_sources)
        self.edges = _read_edges(dependencies, self.source_names)
        self.component = _components(self._neighbours(self.edges))

    @property
    def n_components(self) -> int:
        """Number of components: groups of sources that are independent of each other given ``Y``."""
        return int(self.component.max()) + 1

    def members(self, c: int) -> Clique:
        """Give the sources of component `c`, sorted."""
        return self._members[c]

    @cached_property
    def _members(self) -> list[Clique]:
        members: list[list[int]] = [[] for _ in range(self.n_components)]
        for j, c in enumerate(self.component.tolist()):
            members[c].append(j)
        return [tuple(of_component) for of_component in members]

    def complete(self) -> bool:
        """Whether every component is a clique, so that all separators of the junction tree are ``{Y}``."""
        sizes = np.bincount(self.component)
        return len(self.edges) == int((sizes * (sizes - 1) // 2).sum())

    @property
    def added_edges(self) -> tuple[Edge, ...]:
        """Edges ``(i, j)``, ``i < j``, sorted, that make the graph chordal (min-fill elimination)."""
        return self._triangulation[0]

    @property
    def cliques(self) -> tuple[Clique, ...]:
        """Maximal cliques of the triangulated graph: sorted tuples of sources, sorted."""
        return tuple(sorted(clique for cliques in self._triangulation[1] for clique in cliques))

    @property
    def separators(self) -> tuple[Clique, ...]:
        """Separators of the junction tree inside components, once for each tree edge, without ``Y``; sorted.

        The tree has the largest possible separators, so ``P(votes | Y)`` is the product of the tables of
        `cliques` divided by the tables of `separators`.
        """
        return tuple(sorted(separator for tree in self.junction_trees() for _, separator in tree[1:]))

    def junction_trees(
        self, weights: Sequence[float] | None = None
    ) -> tuple[tuple[tuple[Clique, Clique], ...], ...]:
        """Junction tree of each component: its cliques, each with its separator, parents first.

        A clique's separator is what it shares with all cliques before it, and lies in one of them; the first
        one's is empty. Which clique is first, where several trees will do, goes by the `weights` of the
        sources, so that the order of the sources need not matter.
        """
        return tuple(_junction_tree(cliques, weights) for cliques in self._triangulation[1])

    @cached_property
    def _triangulation(self) -> tuple[tuple[Edge, ...], tuple[tuple[Clique, ...], ...]]:
        """Fill-in edges, and the maximal cliques of each component."""
        neighbours = self._neighbours(self.edges)
        added: list[Edge] = []
        cliques: list[tuple[Clique, ...]] = []
        for members in self._members:
            if len(members) == 1:
                cliques.append((members,))
                continue
            fill, found = _triangulate({v: neighbours[v] for v in members})
            added += fill
            cliques.append(found)
        return tuple(sorted(added)), tuple(cliques)

    def _neighbours(self, edges: Iterable[Edge]) -> list[set[int]]:
        neighbours: list[set[int]] = [set() for _ in range(self.n_sources)]
        for i, j in edges:
            neighbours[i].add(j)
            neighbours[j].add(i)
        return neighbours

    def __eq__(self, other: object) -> bool:
        """Whether both have the same sources, names and dependencies."""
        if not isinstance(other, SourceGraph):
            return NotImplemented
        return self.source_names == other.source_names and self.edges == other.edges

    def __hash__(self) -> int:
        return hash((self.source_names, self.edges))

    def __repr__(self) -> str:
        return f"SourceGraph(n_sources={self.n_sources}, dependencies={len(self.edges)})"

    def __reduce__(self) -> tuple[Callable[..., SourceGraph], tuple[Any, ...]]:
        return SourceGraph, (self.n_sources, self.edges, self.source_names)


def names_of_sources(names: Sequence[str] | None, n_sources: int) -> tuple[str, ...]:
    """Names as a tuple, checked; numbered names for None."""
    if names is None:
        return tuple(f"source {j}" for j in range(n_sources))
    if isinstance(names, str):
        raise WrongTypeError(f"source_names must be a list of names, got the string {names!r}")
    if len(names) != n_sources:
        raise InvalidArgumentError(
            f"source_names must hold {n_sources} names, one a source, got {len(names)}"
        )
    seen: set[str] = set()
    for j, name in enumerate(names):
        if not isinstance(name, str):
            raise WrongTypeError(f"source_names[{j}] must be a string, got {name!r}")
        if name in seen:
            raise InvalidArgumentError(f"source_names[{j}]: the name {name!r} is taken; names must differ")
        seen.add(name)
    return tuple(str(name) for name in names)


def _read_edges(dependencies: object, names: tuple[str, ...]) -> tuple[Edge, ...]:
    """Pairs of sources as sorted, distinct ``(i, j)``, ``i < j``, checked."""
    if isinstance(dependencies, str) or not isinstance(dependencies, Iterable):
        raise WrongTypeError(f"dependencies must be a list of pairs of sources, got {dependencies!r}")
    index = {name: j for j, name in enumerate(names)}
    edges = set()
    for at, pair in enumerate(dependencies):
        if isinstance(pair, str) or not isinstance(pair, (Sequence, np.ndarray)) or len(pair) != 2:
            raise WrongTypeError(f"dependencies[{at}] must be a pair of sources, got {pair!r}")
        i, j = sorted(read_source(source, index, f"dependencies[{at}]") for source in pair)
        if i == j:
            raise InvalidArgumentError(
                f"dependencies[{at}]: {names[i]!r} cannot depend on itself; name two different sources"
            )
        edges.add((i, j))
    return tuple(sorted(edges))


def read_source(source: object, index: dict[str, int], what: str) -> int:
    """Index of the source that an index or a name stands for; `what` is the argument, for messages."""
    if isinstance(source, str):
        if source not in index:
            raise InvalidArgumentError(f"{what}: no source {source!r}; sources: {listed(index)}")
        return index[source]
    if isinstance(source, bool) or not isinstance(source, (int, np.integer)):
        raise WrongTypeError(f"{what}: a source must be an index or a name, got {source!r}")
    if not 0 <= source < len(index):
        raise InvalidArgumentError(f"{what}: an index lies in 0..{len(index) - 1}, got {source}")
    return int(source)


def _components(neighbours: list[set[int]]) -> NDArray[np.int64]:
    """Component of each vertex, numbered by first member; read-only."""
    component = [-1] * len(neighbours)
    n_components = 0
    for start in range(len(neighbours)):
        if component[start] >= 0:
            continue
        reached = [start]
        while reached:
            v = reached.pop()
            if component[v] < 0:
                component[v] = n_components
                reached += neighbours[v]
        n_components += 1
    numbers = np.array(component, dtype=np.int64)
    numbers.flags.writeable = False
    return numbers


def _triangulate(component: dict[int, set[int]]) -> tuple[list[Edge], tuple[Clique, ...]]:
    """Fill-in edges and maximal cliques of one component, by min-fill elimination (changes its argument)."""

    def n_missing(v: int) -> int:
        """Edges that eliminating `v` would add, each counted twice."""
        around = component[v]
        return sum(len(around - component[u]) - 1 for u in around)

    cost = {v: n_missing(v) for v in component}
    added: list[Edge] = []
    cliques: list[set[int]] = []
    while cost:
        v = min(cost, key=lambda u: (cost[u], u))
        around = component.pop(v)
        clique = around | {v}
        if not any(clique <= other for other in cliques):
            cliques.append(clique)
        missing = [(i, j) for i in around for j in around - component[i] if i < j]
        for i, j in missing:
            component[i].add(j)
            component[j].add(i)
        added += missing
        del cost[v]
        for u in around:
            component[u].discard(v)
        # Without new edges a cost of 0 stays: part of a clique is a clique.
        touched = around.union(*(component[u] for u in around)) if missing else {u for u in around if cost[u]}
        cost.update((u, n_missing(u)) for u in touched)
    return added, tuple(sorted(tuple(sorted(clique)) for clique in cliques))


def _junction_tree(
    cliques: tuple[Clique, ...], weights: Sequence[float] | None
) -> tuple[tuple[Clique, Clique], ...]:
    """Cliques with their separators, in a tree with the largest total separator size (Prim)."""
    if weights is not None:
        cliques = tuple(sorted(cliques, key=lambda clique: sorted(float(weights[j]) for j in clique)))
    tree: list[tuple[Clique, Clique]] = [(cliques[0], ())]
    waiting = [set(clique) for clique in cliques[1:]]
    shared = [clique & set(cliques[0]) for clique in waiting]
    while waiting:
        best = max(range(len(waiting)), key=lambda c: len(shared[c]))
        joined = waiting.pop(best)
        tree.append((tuple(sorted(joined)), tuple(sorted(shared.pop(best)))))
        shared = [max(old, clique & joined, key=len) for old, clique in zip(shared, waiting, strict=True)]
    return tuple(tree)
