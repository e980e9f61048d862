import copy
import itertools
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.exceptions import ConsilienceError, FileFormatError, InvalidArgumentError, WrongTypeError
from consilience.task_graph import MAX_VECTORS, TaskGraph

KIND = {"kind": ["person", "org"], "person_type": ["doctor", "lawyer"], "org_type": ["hospital", "office"]}
KIND_PARENTS = {"person_type": ("kind", "person"), "org_type": ("kind", "org")}


@pytest.fixture
def kind_graph() -> TaskGraph:
    return TaskGraph(KIND, parents=KIND_PARENTS)


@st.composite
def hierarchies(draw):
    """Tasks t0, t1, ... of 2 or 3 classes; some hang on one or two earlier tasks, in shuffled order."""
    n_tasks = draw(st.integers(1, 5))
    tasks = {f"t{r}": [f"c{v}" for v in range(draw(st.integers(2, 3)))] for r in range(n_tasks)}
    parents = {}
    for r in range(1, n_tasks):
        above = draw(st.lists(st.integers(0, r - 1), unique=True, max_size=2))
        if above:
            parents[f"t{r}"] = [
                (f"t{p}", draw(st.lists(st.sampled_from(tasks[f"t{p}"]), min_size=1, max_size=2)))
                for p in above
            ]
    order = draw(st.permutations(sorted(tasks)))
    return {task: tasks[task] for task in order}, parents


def feasible_by_filtering(graph, parents):
    """Slow twin: all combinations of classes in which a child is N/A exactly when a condition fails."""
    vectors = []
    for choice in itertools.product(*graph.classes.values()):
        y = dict(zip(graph.tasks, choice, strict=True))
        if all(
            (y[child] != "N/A") == all(y[parent] in values for parent, values in conditions)
            for child, conditions in parents.items()
        ):
            vectors.append([graph.classes[task].index(y[task]) for task in graph.tasks])
    return vectors


def graph_or_none(tasks, parents):
    """A drawn hierarchy may contradict itself, which is an error tested below."""
    try:
        return TaskGraph(tasks, parents=parents)
    except InvalidArgumentError:
        return None


@given(hierarchies())
def test_feasible_set_equals_the_filtered_product(drawn):
    tasks, parents = drawn
    graph = graph_or_none(tasks, parents)
    if graph is not None:
        assert graph.feasible_set.tolist() == feasible_by_filtering(graph, parents)


@given(hierarchies(), st.randoms(use_true_random=False))
def test_event_masks_agree_with_the_definition_and_implied_inverts_them(drawn, random):
    tasks, parents = drawn
    graph = graph_or_none(tasks, parents)
    if graph is None:
        return
    votes = np.array([[random.randrange(-1, k) for k in graph.cardinalities] for _ in range(20)])
    masks = graph.event_masks(votes)
    expected = [
        [all(v in (-1, label) for v, label in zip(vote, y, strict=True)) for y in graph.feasible_set]
        for vote in votes
    ]
    assert masks.tolist() == expected
    possible = masks[masks.any(axis=1)]
    assert np.array_equal(graph.event_masks(graph.implied(possible)), possible)


@given(hierarchies())
def test_marginals_keep_the_total_and_equal_a_sum_over_vectors(drawn):
    graph = graph_or_none(*drawn)
    if graph is None:
        return
    joint = np.random.default_rng(1).dirichlet(np.ones(graph.n_vectors), size=3)
    for r, (task, marginal) in enumerate(graph.marginal(joint).items()):
        expected = [
            [row[graph.feasible_set[:, r] == v].sum() for v in range(graph.cardinalities[r])] for row in joint
        ]
        np.testing.assert_allclose(marginal, expected, atol=1e-14, err_msg=task)


def test_the_figure_of_the_paper_has_four_feasible_vectors(kind_graph):
    assert kind_graph.feasible_set.tolist() == [[0, 0, 2], [0, 1, 2], [1, 2, 0], [1, 2, 1]]
    assert kind_graph.classes["person_type"] == ["doctor", "lawyer", "N/A"]
    assert (kind_graph.tasks, kind_graph.cardinalities) == (tuple(KIND), (2, 3, 3))
    assert (kind_graph.n_tasks, kind_graph.n_vectors) == (3, 4)


def test_votes_that_imply_each_other_share_an_event(kind_graph):
    masks = kind_graph.event_masks([[-1, 0, -1], [0, 0, 2], [1, 0, -1]])
    assert masks.tolist() == [[True, False, False, False]] * 2 + [[False] * 4]
    assert kind_graph.implied(masks[:1]).tolist() == [[0, 0, 2]]


def test_the_empty_event_implies_nothing(kind_graph):
    assert kind_graph.implied(np.zeros((1, 4), dtype=bool)).tolist() == [[-1, -1, -1]]


def test_a_parent_value_without_a_child_is_a_leaf():
    graph = TaskGraph({"a": 3, "b": 2}, parents={"b": ("a", 0)})
    assert graph.feasible_set.tolist() == [[0, 0], [0, 1], [1, 2], [2, 2]]
    assert graph.classes == {"a": [0, 1, 2], "b": [0, 1, "N/A"]}


def test_several_parent_values_and_several_parents():
    tasks = {"kind": ["person", "group", "thing"], "alive": ["yes", "no"], "residence": ["here", "there"]}
    graph = TaskGraph(tasks, parents={"residence": [("kind", ["group", "person"]), ("alive", "yes")]})
    assert graph.feasible_set.tolist() == [
        [0, 0, 0],
        [0, 0, 1],
        [0, 1, 2],
        [1, 0, 0],
        [1, 0, 1],
        [1, 1, 2],
        [2, 0, 2],
        [2, 1, 2],
    ]
    assert graph.parents == {"residence": (("kind", ("person", "group")), ("alive", ("yes",)))}


def test_without_logic_every_combination_is_feasible():
    assert TaskGraph({"a": 2, "b": 3}).feasible_set.tolist() == [
        list(y) for y in itertools.product(range(2), range(3))
    ]


def test_a_single_task_is_a_graph_of_one_task():
    graph = TaskGraph.single(np.array(["ham", "spam"]))
    assert (graph.classes, graph.feasible_set.tolist()) == ({"label": ["ham", "spam"]}, [[0], [1]])
    assert all(type(name) is str for name in graph.classes["label"])


def test_predicate_and_array_give_the_same_graph():
    tasks = {"size": ["small", "large"], "animal": ["mouse", "whale"]}
    by_predicate = TaskGraph(tasks, feasible=lambda y: (y["size"] == "large") == (y["animal"] == "whale"))
    assert by_predicate == TaskGraph(tasks, feasible=[[1, 1], [0, 0], [1, 1]])


def test_a_deep_hierarchy_does_not_enumerate_the_product():
    depth = 40  # 3^40 combinations, 41 feasible vectors
    graph = TaskGraph(
        {f"t{r}": 2 for r in range(depth)}, parents={f"t{r}": (f"t{r - 1}", 0) for r in range(1, depth)}
    )
    assert graph.n_vectors == depth + 1


def test_project_keeps_distinct_restrictions_and_the_parents_inside(kind_graph):
    part = kind_graph.project(["person_type", "kind"])
    assert part.feasible_set.tolist() == [[0, 0], [1, 0], [2, 1]]
    assert part.parents == {"person_type": (("kind", ("person",)),)}
    assert kind_graph.project(["org_type"]).parents is None


def test_the_feasible_set_cannot_be_changed(kind_graph):
    for graph in (kind_graph, pickle.loads(pickle.dumps(kind_graph)), copy.deepcopy(kind_graph)):
        with pytest.raises(ValueError, match="read-only"):
            graph.feasible_set[0, 0] = 1
    kind_graph.classes["kind"].append("thing")
    assert kind_graph.classes["kind"] == ["person", "org"]


@given(hierarchies())
def test_json_pickle_and_copies_give_an_equal_graph(drawn):
    graph = graph_or_none(*drawn)
    if graph is None:
        return
    for twin in (
        TaskGraph.from_json(json.loads(json.dumps(graph.to_json()))),
        pickle.loads(pickle.dumps(graph)),
    ):
        assert twin == graph
        assert (hash(twin), twin.parents) == (hash(graph), graph.parents)


def test_graphs_differ_by_class_names_order_and_logic(kind_graph):
    assert kind_graph != TaskGraph(KIND)
    assert TaskGraph({"a": 2, "b": 2}) != TaskGraph({"b": 2, "a": 2})
    assert TaskGraph({"a": 2}) != TaskGraph({"a": ["no", "yes"]})
    assert kind_graph != "kind"


def test_repr_is_short(kind_graph):
    assert repr(kind_graph) == "TaskGraph(kind: 2, person_type: 3, org_type: 3; 4 feasible)"
    assert len(repr(TaskGraph({f"t{r}": 1 for r in range(300)}))) < 80


@pytest.mark.parametrize(
    ("arguments", "error", "culprit"),
    [
        (([],), WrongTypeError, "list"),
        (({},), InvalidArgumentError, "empty"),
        (({3: 2},), WrongTypeError, "3"),
        (({"a": "xyz"},), WrongTypeError, "'xyz'"),
        (({"a": True},), WrongTypeError, "True"),
        (({"a": {"x", "y"}},), WrongTypeError, "'a'"),
        (({"a": 0},), InvalidArgumentError, "'a'"),
        (({"a": ["x", "y", "x"]},), InvalidArgumentError, "'x' twice"),
        (({"a": ["x", None]},), WrongTypeError, "None"),
        (({"a": [0.5, float("nan")]},), InvalidArgumentError, "nan"),
        (({"a": 2, "b": 2}, {"c": ("a", 0)}), InvalidArgumentError, "'c'"),
        (({"a": 2, "b": 2}, {"b": ("c", 0)}), InvalidArgumentError, "'c'"),
        (({"a": 2, "b": 2}, {"b": ("a", 7)}), InvalidArgumentError, "7"),
        (({"a": 2, "b": 2}, {"b": ("a", [])}), InvalidArgumentError, "'a'"),
        (({"a": 2, "b": 2}, {"b": "a"}), WrongTypeError, "'a'"),
        (({"a": 2, "b": 2}, {"b": []}), WrongTypeError, "'b'"),
        (({"a": 2, "b": 2}, {"b": [("a", 0), "a"]}), WrongTypeError, "'a'"),
        (({"a": 2, "b": 2}, {"b": ("a", 0, 1)}), WrongTypeError, "'b'"),
        (({"a": 2, "b": 2}, [("b", "a", 0)]), WrongTypeError, "list"),
        (({"a": 2, "b": ["x", "N/A"]}, {"b": ("a", 0)}), InvalidArgumentError, "'b'"),
        (({"a": 2, "b": 2}, {"b": [("a", 0), ("a", 1)]}), InvalidArgumentError, "'b'"),
        (({"a": 2, "b": 2}, {"b": ("a", 0), "a": ("b", 0)}), InvalidArgumentError, "'a' -> 'b'|'b' -> 'a'"),
        (({"a": 2, "b": 2}, {"b": ("b", 0)}), InvalidArgumentError, "'b' -> 'b'"),
        (({"a": 2, "b": 2}, {"b": ("a", 0)}, [[0, 0]]), InvalidArgumentError, "not both"),
        (({"a": 2, "b": 2}, None, [[0, 0], [0, 2]]), InvalidArgumentError, "row 1, task 'b'.* 0..1, got 2"),
        (({"a": 2, "b": 2}, None, [[-1, 0]]), InvalidArgumentError, "row 0, task 'a'"),
        (({"a": 2, "b": 2}, None, [[0, 1, 1]]), InvalidArgumentError, r"\(1, 3\)"),
        (({"a": 2, "b": 2}, None, [[0, 1], [1]]), InvalidArgumentError, "feasible"),
        (({"a": 2, "b": 2}, None, [[0.0, 1.0]]), WrongTypeError, "float64"),
        (({"a": 2, "b": 2}, None, []), InvalidArgumentError, "feasible"),
        (({"a": 2, "b": 2}, None, np.empty((0, 2), int)), InvalidArgumentError, "at least one"),
        (({"a": 2, "b": 2}, None, lambda y: False), InvalidArgumentError, "'a', 'b'"),
        (({"a": 400, "b": 400},), InvalidArgumentError, f"'a', 'b'.*160000.*{MAX_VECTORS}"),
        (({"a": 400, "b": 400}, None, lambda y: True), InvalidArgumentError, "'a', 'b'"),
    ],
)
def test_a_wrong_task_graph_is_an_error_that_names_the_culprit(arguments, error, culprit):
    with pytest.raises(error, match=culprit) as caught:
        TaskGraph(*arguments)
    assert isinstance(caught.value, ConsilienceError)


@pytest.mark.parametrize(
    ("method", "argument", "error", "culprit"),
    [
        ("event_masks", [[0, 0, 3]], InvalidArgumentError, "row 0, task 'org_type'.*-1..2, got 3"),
        ("event_masks", [[0, 0, 0], [-2, 0, 0]], InvalidArgumentError, "row 1, task 'kind'"),
        ("event_masks", [[0.0, 1.0, 1.0]], WrongTypeError, "float64"),
        ("event_masks", [0, 1, 2], InvalidArgumentError, r"\(3,\)"),
        ("implied", [[0, 1, 1, 0]], WrongTypeError, "int64"),
        ("implied", [[True, False]], InvalidArgumentError, r"\(1, 2\)"),
        ("marginal", [[0.5, 0.5]], InvalidArgumentError, r"\(1, 2\)"),
        ("marginal", [[0.5, 0.5, 0, 0], [0, float("nan"), 0, 1]], InvalidArgumentError, "row 1"),
        ("marginal", [["a", "b", "c", "d"]], WrongTypeError, "joint"),
        ("project", ["kind", "age"], InvalidArgumentError, "'age'"),
        ("project", ["kind", "kind"], InvalidArgumentError, "'kind', 'kind'"),
        ("project", [], InvalidArgumentError, "nothing"),
        ("project", "kind", WrongTypeError, r"\['kind'\]"),
    ],
)
def test_a_wrong_argument_is_an_error_that_names_the_culprit(kind_graph, method, argument, error, culprit):
    with pytest.raises(error, match=culprit):
        getattr(kind_graph, method)(argument)


@pytest.mark.parametrize("missing", ["tasks", "classes", "parents", "feasible_set"])
def test_an_incomplete_description_is_a_file_format_error(kind_graph, missing):
    data = kind_graph.to_json()
    del data[missing]
    with pytest.raises(FileFormatError, match=missing):
        TaskGraph.from_json(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [("tasks", None), ("classes", []), ("parents", [1]), ("parents", {"x": []}), ("feasible_set", "?")],
)
def test_a_damaged_description_is_a_file_format_error(kind_graph, key, value):
    with pytest.raises(FileFormatError):
        TaskGraph.from_json(kind_graph.to_json() | {key: value})
