import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.exceptions import ConsilienceError, InvalidArgumentError, WrongTypeError
from consilience.source_graph import SourceGraph


@st.composite
def source_graphs(draw):
    m = draw(st.integers(1, 8))
    pairs = list(itertools.combinations(range(m), 2))
    return SourceGraph(m, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else ())


def subsets(vertices):
    return itertools.chain.from_iterable(
        itertools.combinations(vertices, r) for r in range(1, len(vertices) + 1)
    )


def is_clique(vertices, edges):
    return all(pair in edges for pair in itertools.combinations(vertices, 2))


def is_chordal(m, edges):
    """Slow twin: no induced subgraph on four or more vertices is a cycle (connected, every degree 2)."""
    for vertices in subsets(range(m)):
        inside = [(i, j) for i, j in edges if i in vertices and j in vertices]
        degrees = np.bincount(np.array(inside, dtype=int).ravel(), minlength=m)[list(vertices)]
        if (
            len(vertices) >= 4
            and (degrees == 2).all()
            and SourceGraph(m, inside).n_components == m - len(vertices) + 1
        ):
            return False
    return True


@given(source_graphs())
def test_triangulation_is_chordal_and_adds_nothing_to_a_chordal_graph(graph):
    filled = set(graph.edges) | set(graph.added_edges)
    assert is_chordal(graph.n_sources, filled)
    assert not set(graph.edges) & set(graph.added_edges)
    if is_chordal(graph.n_sources, set(graph.edges)):
        assert graph.added_edges == ()


@given(source_graphs())
def test_cliques_are_all_maximal_cliques_of_the_triangulated_graph(graph):
    filled = set(graph.edges) | set(graph.added_edges)
    cliques = [v for v in subsets(range(graph.n_sources)) if is_clique(v, filled)]
    maximal = [v for v in cliques if not any(set(v) < set(other) for other in cliques)]
    assert list(graph.cliques) == sorted(maximal)


@given(source_graphs())
def test_separators_have_the_largest_total_size_of_any_clique_tree(graph):
    """Every maximal clique but one of a component brings a separator, and members are counted once."""
    assert len(graph.separators) == len(graph.cliques) - graph.n_components
    n_members = sum(map(len, graph.cliques)) - sum(map(len, graph.separators))
    assert n_members == graph.n_sources  # running intersection: true of a junction tree only
    assert all(separator for separator in graph.separators)


@given(source_graphs())
def test_components_are_the_reachable_sets_numbered_by_first_member(graph):
    reach = np.eye(graph.n_sources, dtype=bool)
    for i, j in graph.edges:
        reach[i, j] = reach[j, i] = True
    reach = np.linalg.matrix_power(reach.astype(float), graph.n_sources) > 0
    assert np.array_equal(graph.component[:, None] == graph.component, reach)
    firsts = [graph.members(c)[0] for c in range(graph.n_components)]
    assert firsts == sorted(firsts)


@given(source_graphs())
def test_complete_means_that_every_component_is_a_clique(graph):
    expected = all(is_clique(graph.members(c), graph.edges) for c in range(graph.n_components))
    assert graph.complete() == expected


def test_a_chain_has_its_inner_sources_as_separators():
    graph = SourceGraph(5, [(3, 2), (0, 1), (1, 2)])
    assert graph.cliques == ((0, 1), (1, 2), (2, 3), (4,))
    assert graph.separators == ((1,), (2,))
    assert not graph.complete()


def test_a_star_counts_its_centre_once_for_each_tree_edge():
    assert SourceGraph(4, [(0, 1), (0, 2), (0, 3)]).separators == ((0,), (0,))


def test_a_cycle_of_four_gets_one_chord():
    graph = SourceGraph(4, [(0, 1), (1, 2), (2, 3), (3, 0)])
    assert graph.added_edges == ((1, 3),)
    assert graph.cliques == ((0, 1, 3), (1, 2, 3))
    assert graph.separators == ((1, 3),)


def test_a_long_cycle_and_a_large_clique_are_quick():
    n = 300
    cycle = SourceGraph(n, [(i, (i + 1) % n) for i in range(n)])
    assert len(cycle.added_edges) == n - 3
    assert SourceGraph(n, itertools.combinations(range(n), 2)).cliques == (tuple(range(n)),)


def test_names_and_indices_order_and_repeats_say_the_same():
    named = SourceGraph(3, [("c", "a"), (0, "c"), np.array([2, 0])], source_names=["a", "b", "c"])
    assert named == SourceGraph(3, np.array([[0, 2]]), source_names=["a", "b", "c"])
    assert named.edges == ((0, 2),)
    assert hash(named) == hash(SourceGraph(3, [(0, 2)], ["a", "b", "c"]))
    assert named != SourceGraph(3, [(0, 2)])
    assert named != 3


def test_sources_without_names_are_numbered():
    assert SourceGraph(2).source_names == ("source 0", "source 1")


def test_copies_are_equal_and_the_components_cannot_be_changed():
    graph = SourceGraph(4, [(0, 1), (1, 2)], source_names=list("abcd"))
    for twin in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert (twin, twin.cliques) == (graph, graph.cliques)
        with pytest.raises(ValueError, match="read-only"):
            twin.component[0] = 1


def test_repr_is_short():
    assert repr(SourceGraph(4, [(0, 1)])) == "SourceGraph(n_sources=4, dependencies=1)"


@pytest.mark.parametrize(
    ("arguments", "error", "culprit"),
    [
        ((0,), InvalidArgumentError, "0"),
        ((-1,), InvalidArgumentError, "-1"),
        ((2.0,), WrongTypeError, "2.0"),
        ((True,), WrongTypeError, "True"),
        ((3, [(0, 3)]), InvalidArgumentError, r"dependencies\[0\].*0..2, got 3"),
        ((3, [(0, 1), (-1, 0)]), InvalidArgumentError, r"dependencies\[1\].*-1"),
        ((3, [(1, 1)]), InvalidArgumentError, "'source 1'.*itself"),
        ((3, [("a", "z")], ["a", "b", "c"]), InvalidArgumentError, "'z'.*'a', 'b', 'c'"),
        ((3, [(0, 1, 2)]), WrongTypeError, r"\(0, 1, 2\)"),
        ((3, ["ab"], ["a", "b", "c"]), WrongTypeError, "'ab'"),
        ((3, "ab"), WrongTypeError, "'ab'"),
        ((3, 7), WrongTypeError, "7"),
        ((3, [(0, 1.0)]), WrongTypeError, "1.0"),
        ((3, [(0, True)]), WrongTypeError, "True"),
        ((3, [0, 1]), WrongTypeError, "pair of sources, got 0"),
        ((3, (), ["a", "b"]), InvalidArgumentError, "3 names.*got 2"),
        ((3, (), ["a", "b", "a"]), InvalidArgumentError, r"source_names\[2\].*'a'"),
        ((3, (), ["a", "b", 3]), WrongTypeError, "3"),
        ((3, (), "abc"), WrongTypeError, "'abc'"),
    ],
)
def test_a_wrong_source_graph_is_an_error_that_names_the_culprit(arguments, error, culprit):
    with pytest.raises(error, match=culprit) as caught:
        SourceGraph(*arguments)
    assert isinstance(caught.value, ConsilienceError)
