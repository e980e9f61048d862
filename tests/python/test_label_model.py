"""LabelModel from the outside: any votes in, probabilities out, errors that say what is wrong."""

import copy
import itertools
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from enumeration import (
    COARSE_AND_FINE,
    DOCTOR,
    LAWYER,
    ORG,
    PERSON,
    Source,
    draw,
    hierarchy,
    kind_graph,
    single_task,
    single_task_with_pairs,
    table_error,
)

import consilience as cs

METHODS = ["auto", "moments", "completion", "majority"]


def draw_votes(n=3000, m=5, k=2, *, accuracy=0.8, coverage=0.8, seed=0):
    """Votes of sources that are right, guess or abstain, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    wrong = (y[:, None] + rng.integers(1, max(k, 2), (n, m))) % k
    votes = np.where(rng.random((n, m)) < accuracy, y[:, None], wrong)
    votes = np.where(rng.random((n, m)) < coverage, votes, -1)
    return votes.astype(np.int8 if k < 128 else np.int16), y


def learned(model):
    """All that a fit learned, as bytes."""
    tables = model.emission_ if isinstance(model.emission_, list) else [model.emission_]
    arrays = [*tables, model.accuracy_, model.class_balance_, model.identifiability_.log_z2]
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


@pytest.fixture(scope="module")
def votes():
    return draw_votes()[0]


@pytest.fixture(scope="module")
def model(votes):
    return cs.LabelModel(n_classes=2, n_threads=1).fit(votes)


@pytest.fixture(scope="module")
def moments_model(votes):
    return cs.LabelModel(n_classes=2, n_threads=1, method="moments").fit(votes)


# The same votes in any form


VOTE_FORMS = {
    "int8": lambda t: t.astype(np.int8),
    "int16": lambda t: t.astype(np.int16),
    "int32": lambda t: t.astype(np.int32),
    "int64": lambda t: t.astype(np.int64),
    "Fortran order": np.asfortranarray,
    "strided": lambda t: np.repeat(np.repeat(t, 2, axis=0), 3, axis=1)[::2, ::3],
    "Votes": lambda t: cs.Votes.from_dense(t, n_classes=2),
}


@pytest.mark.parametrize("form", VOTE_FORMS)
def test_every_form_of_votes_gives_the_same_fit_and_labels(votes, model, form):
    other = cs.LabelModel(n_classes=2).fit(VOTE_FORMS[form](votes))
    assert learned(other) == learned(model)
    assert other.predict_proba(VOTE_FORMS[form](votes)).tobytes() == model.predict_proba(votes).tobytes()


@pytest.mark.parametrize("layout", ["csr_array", "csc_array", "csr_matrix"])
def test_sparse_votes_give_the_same_fit_and_labels(votes, model, layout):
    stored = getattr(pytest.importorskip("scipy.sparse"), layout)(votes + 1)
    other = cs.LabelModel(n_classes=2).fit(stored)
    assert learned(other) == learned(model)
    assert other.predict_proba(stored).tobytes() == model.predict_proba(votes).tobytes()


def test_one_task_by_name_gives_the_same_fit_and_labels(votes, model):
    graph = cs.TaskGraph.single(2, task="topic")
    other = cs.LabelModel(task_graph=graph).fit({"topic": votes})
    assert learned(other) == learned(model)
    assert other.predict_proba({"topic": votes}).tobytes() == model.predict_proba(votes).tobytes()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_any_number_of_threads_gives_the_same_bits(method, n_threads):
    table, _ = draw_votes(50_001, 6, 3)
    one, several = (cs.LabelModel(n_classes=3, method=method, n_threads=t).fit(table) for t in (1, n_threads))
    assert learned(one) == learned(several)
    assert one.predict_proba(table).tobytes() == several.predict_proba(table).tobytes()
    assert one.predict(table).tobytes() == several.predict(table).tobytes()


@pytest.mark.parametrize("n_threads", [2, 3])
def test_any_number_of_threads_gives_the_same_bits_for_a_hierarchy(n_threads):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 40_000)
    one, several = (cs.LabelModel(task_graph=exact.graph, n_threads=t).fit(tables) for t in (1, n_threads))
    assert learned(one) == learned(several)
    assert one.predict_joint(tables).tobytes() == several.predict_joint(tables).tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_many_items_have_the_same_bits_as_few(method):
    # Many items: the answers are copied from a table of all possible rows. Few: each is worked out.
    table, _ = draw_votes(20_000, 5, 3)
    model = cs.LabelModel(n_classes=3, method=method).fit(table)
    few = np.array_split(table, 100)
    soft, labels = model.predict_proba(table), model.predict(table)
    assert soft.tobytes() == b"".join(model.predict_proba(part).tobytes() for part in few)
    assert labels.tobytes() == b"".join(model.predict(part).tobytes() for part in few)


def test_probabilities_in_single_precision_are_the_rounded_ones(model, votes):
    for predict in (model.predict_proba, model.predict_joint):
        rounded = predict(votes, dtype="float32")
        assert rounded.dtype == np.float32
        assert np.array_equal(rounded, predict(votes).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.float16, ">f8", "int", "no dtype"])
def test_probabilities_of_another_dtype_are_refused(model, votes, dtype):
    with pytest.raises(cs.InvalidArgumentError, match="float64 or float32"):
        model.predict_proba(votes, dtype=dtype)


@pytest.mark.parametrize("ends", [[1], [1000], [1, 2, 3], [500, 501, 2999]])
@pytest.mark.parametrize("method", ["moments", "completion", "majority"])
@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
def test_any_chunking_through_partial_fit_gives_the_same_bits(votes, method, ends):
    whole = cs.LabelModel(n_classes=2, method=method).fit(votes)
    grown = cs.LabelModel(n_classes=2, method="auto")
    for chunk in np.split(votes, ends)[:-1]:
        grown.partial_fit(chunk)
    grown.set_params(method=method)
    grown.partial_fit(np.split(votes, ends)[-1])
    assert learned(grown) == learned(whole)


@pytest.mark.parametrize("method", ["moments", "completion"])
@pytest.mark.parametrize("ends", [[1], [1, 2, 3]])
def test_chunks_may_be_too_small_to_learn_from_alone(votes, method, ends):
    grown = cs.LabelModel(n_classes=2, method=method)
    for chunk in np.split(votes, ends):
        grown.partial_fit(chunk)
    assert learned(grown) == learned(cs.LabelModel(n_classes=2, method=method).fit(votes))


@pytest.mark.parametrize("first", [True, False])
def test_a_chunk_may_hold_no_vote(votes, first):
    silent = np.full((100, 5), -1, dtype=np.int8)
    chunks = [silent, votes] if first else [votes, silent]
    grown = cs.LabelModel(n_classes=2, method="moments")
    for chunk in chunks:
        grown.partial_fit(chunk)
    assert learned(grown) == learned(cs.LabelModel(n_classes=2, method="moments").fit(np.vstack(chunks)))


def test_chunks_of_dependent_sources_give_the_same_bits():
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    table, _ = draw(np.random.default_rng(1), exact, 5000)
    arguments = {"n_classes": 2, "dependencies": exact.dependencies, "method": "moments"}
    whole = cs.LabelModel(**arguments).fit(table)
    grown = cs.LabelModel(**arguments)
    for chunk in np.split(table, [2000, 2100]):
        grown.partial_fit(chunk)
    assert grown.predict_proba(table).tobytes() == whole.predict_proba(table).tobytes()


def test_statistics_give_the_same_fit_as_their_votes(votes, moments_model):
    for method in ("moments", "auto"):  # which has nothing but the moments to go by
        statistics = cs.VoteStatistics.of(votes, n_classes=2, triples=True)
        assert learned(cs.LabelModel(method=method).fit(statistics)) == learned(moments_model)


def test_partial_fit_continues_from_statistics(votes, moments_model):
    grown = cs.LabelModel(n_classes=2, method="moments")
    grown.fit(cs.VoteStatistics.of(votes[:1000], n_classes=2, triples=True))
    assert learned(grown.partial_fit(votes[1000:])) == learned(moments_model)


def test_fit_forgets_what_was_fitted_before(votes, model):
    again = cs.LabelModel(n_classes=2).fit(draw_votes(seed=9)[0]).fit(votes)
    assert learned(again) == learned(model)


def test_whole_weights_count_like_repeated_rows(votes):
    weights = np.random.default_rng(0).integers(0, 4, len(votes))
    repeated = np.repeat(votes, weights, axis=0)
    one, other = (cs.LabelModel(n_classes=2, method="moments") for _ in range(2))
    assert learned(one.fit(votes, weights=weights)) == learned(other.fit(repeated))
    one, other = (cs.LabelModel(n_classes=2) for _ in range(2))
    one.fit(votes, weights=weights)
    other.fit(repeated)
    np.testing.assert_allclose(one.emission_, other.emission_, rtol=0, atol=1e-8)  # sums in another order


def test_weights_of_one_change_nothing(votes, model):
    assert learned(cs.LabelModel(n_classes=2).fit(votes, weights=np.ones(len(votes)))) == learned(model)


def test_the_order_of_items_does_not_matter(votes, model, moments_model):
    turned = cs.LabelModel(n_classes=2, method="moments").fit(votes[::-1])
    assert learned(turned) == learned(moments_model)
    turned = cs.LabelModel(n_classes=2).fit(votes[::-1])
    np.testing.assert_allclose(turned.emission_, model.emission_, rtol=0, atol=1e-8)  # sums in another order


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [2, 4])
def test_permuting_the_sources_permutes_the_result(method, k):
    table, _ = draw_votes(3000, 6, k)
    order = np.random.default_rng(1).permutation(6)
    straight = cs.LabelModel(n_classes=k, method=method).fit(table)
    permuted = cs.LabelModel(n_classes=k, method=method).fit(table[:, order])
    np.testing.assert_allclose(permuted.emission_, straight.emission_[order], rtol=0, atol=1e-8)
    np.testing.assert_allclose(
        permuted.predict_proba(table[:, order]), straight.predict_proba(table), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("dependencies", [None, [(0, 1), (1, 3)]])
@pytest.mark.parametrize("method", ["auto", "em", "moments"])
def test_intervals_of_sources_with_few_votes_do_not_depend_on_the_order_of_the_sources(method, dependencies):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 400)
    table = np.where(rng.random((400, 9)) < rng.uniform(0.6, 0.9, 9), y[:, None], 1 - y[:, None])
    table[:, 1] = np.where(rng.random(400) < 0.4, table[:, 0], table[:, 1])
    table[rng.random(table.shape) > [0.9, 0.8, 0.85, 0.8, 0.7, 0.75, 0.6, 0.03, 0.02]] = -1
    # And four sources with one vote each, on an item of its own: nothing but their place tells them apart.
    alone = np.full((4, 13), -1)
    alone[range(4), range(9, 13)] = [0, 0, 1, 1]
    table = np.vstack([np.hstack([table, np.full((400, 4), -1)]), alone])
    order = rng.permutation(13)
    place = np.argsort(order)
    moved = None if dependencies is None else [(int(place[i]), int(place[j])) for i, j in dependencies]
    first = cs.LabelModel(n_classes=2, method=method, dependencies=dependencies).fit(table)
    second = cs.LabelModel(n_classes=2, method=method, dependencies=moved).fit(table[:, order])
    np.testing.assert_allclose(second.accuracy_interval_, first.accuracy_interval_[order], rtol=0, atol=1e-8)
    if first.class_balance_error_ is not None:
        np.testing.assert_allclose(second.class_balance_error_, first.class_balance_error_, atol=1e-8)


def test_permuting_the_sources_of_a_hierarchy_permutes_the_result():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 5000)
    order = [3, 1, 4, 0, 2]
    permuted = {task: table[:, order] for task, table in tables.items()}
    straight_joint = cs.LabelModel(task_graph=exact.graph).fit(tables).predict_joint(tables)
    permuted_joint = cs.LabelModel(task_graph=exact.graph).fit(permuted).predict_joint(permuted)
    np.testing.assert_allclose(permuted_joint, straight_joint, rtol=0, atol=1e-8)


def test_permuting_dependent_sources_permutes_the_result():
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    table, _ = draw(np.random.default_rng(1), exact, 5000)
    order = np.array([4, 1, 3, 0, 5, 2])
    place = np.argsort(order)
    permuted_pairs = [(int(place[i]), int(place[j])) for i, j in exact.dependencies]
    straight = cs.LabelModel(n_classes=2, dependencies=exact.dependencies).fit(table)
    permuted = cs.LabelModel(n_classes=2, dependencies=permuted_pairs).fit(table[:, order])
    np.testing.assert_allclose(
        permuted.predict_proba(table[:, order]), straight.predict_proba(table), rtol=0, atol=1e-8
    )


# What comes out


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [2, 3, 7])
def test_rows_of_probabilities_sum_to_one(method, k):
    table, _ = draw_votes(2000, 5, k)
    table[:10] = -1
    soft = cs.LabelModel(n_classes=k, method=method).fit(table).predict_proba(table)
    assert soft.shape == (2000, k)
    assert (soft >= 0).all()
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_columns_of_emissions_sum_to_one(model):
    assert model.emission_.shape == (5, 3, 2)
    np.testing.assert_allclose(model.emission_.sum(axis=1), 1, rtol=0, atol=1e-12)


def test_emissions_of_several_tasks_have_a_row_a_state():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph).fit(exact.votes, weights=exact.weights)
    assert [table.shape for table in model.emission_] == [(3, 4), (3, 4), (5, 4), (4, 4), (3, 4)]
    assert [len(states) for states in model.states_] == [3, 3, 5, 4, 3]


def test_accuracy_is_the_probability_that_a_vote_is_right():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(n_classes=3, class_balance=exact.class_balance).fit(
        exact.votes, weights=exact.weights
    )
    for j in range(4):
        voted = exact.votes[:, j] >= 0
        right = exact.joint[voted, exact.votes[voted, j]].sum() / exact.joint[voted].sum()
        assert model.accuracy_[j] == pytest.approx(right, abs=1e-8)


def test_accuracy_in_a_hierarchy_is_the_probability_that_the_true_vector_agrees():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method="moments")
    model.fit(exact.votes, weights=exact.weights)
    for j, source in enumerate(exact.sources):
        joint = source.table[:-1] * exact.class_balance
        masks = exact.graph.event_masks(source.events)
        assert model.accuracy_[j] == pytest.approx(joint[masks].sum() / joint.sum(), abs=1e-8)


def test_accuracy_intervals_hold_the_accuracies(model):
    assert model.accuracy_interval_.shape == (5, 2)
    assert (model.accuracy_interval_[:, 0] <= model.accuracy_).all()
    assert (model.accuracy_ <= model.accuracy_interval_[:, 1]).all()


@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
def test_a_source_that_never_votes_has_the_accuracy_of_chance(votes):
    model = cs.LabelModel(n_classes=2, class_balance=[0.7, 0.3])
    model.fit(np.column_stack([votes, np.full(len(votes), -1)]))
    assert model.accuracy_[5] == pytest.approx(0.7**2 + 0.3**2)
    assert model.accuracy_interval_[5].tolist() == [0, 1]


def test_accuracy_intervals_of_a_hierarchy_hold_the_accuracies():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 3000)
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance).fit(tables)
    low, high = model.accuracy_interval_.T
    assert ((low < model.accuracy_) & (model.accuracy_ < high)).all()


def test_more_items_make_narrower_intervals():
    table, _ = draw_votes(20_000)
    few, many = (cs.LabelModel(n_classes=2).fit(t).accuracy_interval_ for t in (table[:2000], table))
    # A tenth of the items: intervals about 3.2 times as wide.
    assert (np.diff(few) > 2 * np.diff(many)).all()


def test_majority_vote_knows_no_interval(votes):
    model = cs.LabelModel(n_classes=2, method="majority").fit(votes)
    assert model.accuracy_interval_.tolist() == [[0, 1]] * 5


def test_intervals_hold_the_true_accuracy_in_95_of_100_cases():
    exact = single_task(np.random.default_rng(1), 2, 8)
    joint = [source.table[:-1] * exact.class_balance for source in exact.sources]
    true = np.array([np.trace(of_source) / of_source.sum() for of_source in joint])
    inside = []
    for seed in range(60):
        table, _ = draw(np.random.default_rng(seed), exact, 3000)
        low, high = (
            cs.LabelModel(n_classes=2, class_balance=exact.class_balance).fit(table).accuracy_interval_.T
        )
        inside.append((low <= true) & (true <= high))
    # 480 intervals that depend on each other a little: 3 standard errors are 0.03, and some more.
    assert np.mean(inside) == pytest.approx(0.95, abs=0.04)


def test_a_given_class_balance_is_kept():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(class_balance=exact.class_balance, n_classes=3).fit(
        exact.votes, weights=exact.weights
    )
    np.testing.assert_allclose(model.class_balance_, exact.class_balance, rtol=1e-15)


def test_the_summary_has_a_row_a_source(model):
    rows = list(model.summary())
    assert [row["source"] for row in rows] == [f"source {j}" for j in range(5)]
    assert {"coverage", "overlaps", "conflicts", "accuracy", "interval", "notes"} <= set(rows[0])


def test_the_summary_prints_at_80_columns_with_long_names():
    named = cs.Votes.from_dense(draw_votes()[0], source_names=[f"{'long ' * 20}{j}" for j in range(5)])
    assert max(map(len, str(cs.LabelModel().fit(named).summary()).splitlines())) <= 80


def test_shares_in_the_summary_are_those_of_the_votes(votes, model):
    voted = votes >= 0
    several = voted.sum(axis=1) > 1
    rows = model.summary().columns
    np.testing.assert_allclose(rows["coverage"], voted.mean(axis=0))
    np.testing.assert_allclose(rows["overlaps"], (voted & several[:, None]).mean(axis=0))


def test_labels_are_close_to_the_truth():
    table, y = draw_votes(5000, 7, 4)
    assert (cs.LabelModel(n_classes=4).fit(table).predict(table) == y).mean() > 0.9


def test_classes_are_indices_without_names(model):
    assert list(model.classes_) == [0, 1]


def test_classes_are_names_where_votes_have_names():
    model = cs.LabelModel(method="majority").fit([["spam", "ham"], ["ham", "ham"]])
    assert list(model.classes_) == ["ham", "spam"]


def test_names_predict_like_their_indices(votes, model):
    names = np.array(["ham", "spam", ""])[votes]
    assert cs.LabelModel().fit(names).predict(names).tolist() == model.predict(votes).tolist()


def test_names_in_new_votes_are_read_by_the_classes_of_the_fit():
    table = np.array(["ham", "spam", ""])[draw_votes()[0]]
    model = cs.LabelModel().fit(table)
    only_spam = np.full((1, 5), "spam")
    assert model.predict(only_spam).tolist() == [1]


# Hard labels


@pytest.mark.parametrize("method", METHODS)
def test_hard_labels_are_the_most_probable_ones(method):
    table, _ = draw_votes(2000, 5, 3)
    model = cs.LabelModel(n_classes=3, method=method).fit(table)
    soft = model.predict_proba(table)
    hard = model.predict(table)
    np.testing.assert_allclose(soft[np.arange(2000), hard], soft.max(axis=1), rtol=1e-9)


def test_a_tie_goes_to_the_larger_class_balance():
    model = cs.LabelModel(n_classes=3, class_balance=[0.2, 0.3, 0.5], method="majority").fit([[0, 1, 2]])
    assert model.predict([[0, 1, 2], [0, 1, -1], [-1, -1, -1]]).tolist() == [2, 1, 2]


def test_a_tie_of_equally_frequent_classes_goes_to_the_first():
    model = cs.LabelModel(n_classes=3, method="majority").fit([[0, 1, 2]])
    assert model.predict([[2, 1, -1], [-1, 2, 0], [-1, -1, -1]]).tolist() == [1, 0, 0]


def test_a_tie_in_the_posterior_goes_to_the_larger_class_balance():
    exact = single_task(np.random.default_rng(0), 2)
    source = Source(exact.sources[0].events, np.array([[0.6, 0.2], [0.2, 0.6], [0.2, 0.2]]))
    for j in range(4):
        exact = exact.with_source(j, source)
    model = cs.LabelModel(n_classes=2, class_balance=[0.5, 0.5])
    exact = type(exact)(exact.graph, [0.5, 0.5], exact.sources)
    model.fit(exact.votes, weights=exact.weights)
    assert model.predict([[0, 1, -1, -1], [1, 0, -1, -1], [1, 0, 0, 1], [-1] * 4]).tolist() == [0, 0, 0, 0]


def test_majority_vote_counts_votes():
    table, _ = draw_votes(500, 5, 3)
    labels = cs.LabelModel(n_classes=3, method="majority").fit(table).predict(table)
    counts = (table[:, :, None] == np.arange(3)).sum(axis=1)
    np.testing.assert_array_equal(labels, counts.argmax(axis=1))


def test_majority_probabilities_are_shares_of_the_votes():
    model = cs.LabelModel(n_classes=2, class_balance=[0.3, 0.7], method="majority").fit([[0, 1, 0]])
    expected = [[2 / 3, 1 / 3], [0, 1], [0.3, 0.7]]
    np.testing.assert_allclose(model.predict_proba([[0, 1, 0], [1, -1, -1], [-1] * 3]), expected, atol=1e-9)


def test_hard_labels_of_a_hierarchy_are_jointly_feasible():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph).fit(exact.votes, weights=exact.weights)
    labels = model.predict(exact.votes)
    vectors = np.column_stack([labels[task] for task in exact.graph.tasks])
    assert {tuple(v) for v in vectors.tolist()} <= {tuple(v) for v in exact.graph.feasible_set.tolist()}


@pytest.mark.parametrize("method", ["auto", "majority"])
def test_hard_labels_of_a_hierarchy_are_the_most_probable_vector(method):
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method=method)
    model.fit(exact.votes, weights=exact.weights)
    labels = model.predict(exact.votes)
    vectors = np.column_stack([labels[task] for task in exact.graph.tasks])
    joint = model.predict_joint(exact.votes)
    np.testing.assert_array_equal(vectors, exact.graph.feasible_set[joint.argmax(axis=1)])


def test_joint_probabilities_of_one_task_are_its_probabilities(votes, model):
    np.testing.assert_array_equal(model.predict_joint(votes), model.predict_proba(votes))


def test_a_class_that_no_vector_has_is_never_predicted():
    graph = cs.TaskGraph({"a": 3}, feasible=[[0], [2]])
    table = draw_votes(500, 4)[0] * 2
    table[table < 0] = -1
    soft = cs.LabelModel(task_graph=graph).fit(table).predict_proba(table)
    assert soft.shape == (500, 3)
    assert (soft[:, 1] == 0).all()


# Abstentions


def test_an_item_without_votes_has_what_the_abstentions_say():
    exact = single_task(np.random.default_rng(0), 2)
    model = cs.LabelModel(n_classes=2, class_balance=exact.class_balance, abstentions="informative")
    model.fit(exact.votes, weights=exact.weights)
    silent = np.flatnonzero((exact.votes == -1).all(axis=1))
    np.testing.assert_allclose(model.predict_proba([[-1] * 4]), exact.posterior[silent], atol=1e-8)


def test_an_item_without_votes_has_the_class_balance_where_abstentions_say_nothing():
    exact = single_task(np.random.default_rng(0), 2)
    model = cs.LabelModel(n_classes=2, class_balance=exact.class_balance, abstentions="missing")
    model.fit(exact.votes, weights=exact.weights)
    np.testing.assert_allclose(model.predict_proba([[-1] * 4])[0], exact.class_balance, atol=1e-12)


def test_missing_abstentions_are_equally_probable_for_every_class():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(n_classes=3, class_balance=exact.class_balance, abstentions="missing")
    model.fit(exact.votes, weights=exact.weights)
    abstains = model.emission_[:, 3]
    np.testing.assert_allclose(abstains, abstains[:, :1].repeat(3, axis=1), rtol=1e-12)


def test_the_coverage_of_missing_abstentions_is_that_of_the_votes():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(
        n_classes=3, class_balance=exact.class_balance, abstentions="missing", method="moments"
    )
    model.fit(exact.votes, weights=exact.weights)
    share = exact.probability @ (exact.votes == -1)
    np.testing.assert_allclose(model.emission_[:, 3].T, np.tile(share, (3, 1)), atol=1e-8)


def test_missing_abstentions_are_left_out_of_the_posterior():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(
        n_classes=3, class_balance=exact.class_balance, abstentions="missing", method="moments"
    )
    model.fit(exact.votes, weights=exact.weights)
    votes = np.array([0, -1, 2, -1])
    joint = exact.class_balance * model.emission_[0, 0] * model.emission_[2, 2]
    np.testing.assert_allclose(model.predict_proba([votes])[0], joint / joint.sum(), atol=1e-10)


# Degenerate votes


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("class_balance", [None, "skewed"])
def test_one_or_two_sources_are_labelled_like_majority_vote_with_a_warning(m, k, class_balance):
    table, _ = draw_votes(500, m, k)
    balance = None if class_balance is None else np.arange(k, 0, -1) / np.arange(k, 0, -1).sum()
    model = cs.LabelModel(n_classes=k, class_balance=balance)
    with pytest.warns(cs.NotIdentifiableWarning, match="source 0"):
        model.fit(table)
    majority = cs.LabelModel(n_classes=k, class_balance=balance, method="majority").fit(table)
    told = (table >= 0).any(axis=1) & (table[:, 0] == table[:, -1])  # no tie to break
    np.testing.assert_array_equal(model.predict(table)[told], majority.predict(table)[told])


def test_the_warning_points_at_the_line_that_called_fit():
    with pytest.warns(cs.NotIdentifiableWarning) as caught:
        cs.LabelModel().fit(draw_votes(m=2)[0])
    assert caught[0].filename == __file__


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_the_warning_of_duplicates_points_at_the_line_that_called_fit(call):
    table = draw_votes()[0]
    with pytest.warns(cs.DuplicateSourcesWarning) as caught:
        getattr(cs.LabelModel(), call)(np.column_stack([table, table[:, 0]]))
    assert caught[0].filename == __file__


def test_the_warning_of_infeasible_votes_points_at_the_line_that_called():
    tables = {
        task: np.full((3, 3), value) for task, value in zip(kind_graph().tasks, (0, -1, 0), strict=True)
    }
    tables["kind"][0] = 1
    with pytest.warns(cs.InfeasibleVotesWarning) as caught:
        cs.LabelModel(task_graph=kind_graph(), method="majority").fit(tables)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["moments", "completion"])
@pytest.mark.parametrize("m", [1, 2])
def test_one_or_two_sources_are_an_error_where_the_method_cannot_tell(method, m):
    with pytest.raises(cs.NotIdentifiableError, match="source 0"):
        cs.LabelModel(method=method).fit(draw_votes(m=m)[0])


@pytest.mark.parametrize("method", ["moments", "completion"])
def test_dependencies_that_leave_two_groups_are_an_error(votes, method):
    with pytest.raises(cs.NotIdentifiableError, match=r"dependency|independent"):
        cs.LabelModel(method=method, dependencies=[(0, 1), (1, 2), (3, 4)]).fit(votes)


def test_the_summary_and_the_report_say_what_could_not_be_learned():
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel().fit(draw_votes(m=2)[0])
    assert not model.identifiability_.identifiable
    assert "prior" in next(iter(model.summary()))["notes"]


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_a_few_items_have_finite_probabilities(n, m):
    table = draw_votes(n, m, coverage=1.0)[0]
    assert np.isfinite(cs.LabelModel(n_classes=2).fit(table).predict_proba(table)).all()


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")
@pytest.mark.parametrize("row", [[1], [1, 1], [1, 1, 1], [2, 0, 2], [-1, 2, -1]])
def test_one_item_is_labelled_like_majority_vote(row):
    model = cs.LabelModel(n_classes=3).fit([row])
    majority = cs.LabelModel(n_classes=3, method="majority").fit([row])
    assert model.predict([row]).tolist() == majority.predict([row]).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_rows_without_any_vote_all_have_the_same_probabilities(votes, method):
    table = np.vstack([votes, np.full((500, 5), -1)])
    soft = cs.LabelModel(n_classes=2, method=method).fit(table).predict_proba(table)
    assert (soft[-500:] == soft[-1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_unipolar_sources_are_learned(method):
    table, y = draw_votes(20_000, 6, 2)
    for j in range(6):
        table[table[:, j] != j % 2, j] = -1
    model = cs.LabelModel(n_classes=2, method=method).fit(table)
    assert (model.predict(table) == y).mean() > 0.85


@pytest.mark.parametrize("method", ["auto", "moments", "completion"])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_a_dead_or_constant_source_changes_no_label(votes, method, value):
    table = np.column_stack([votes, np.full(len(votes), value, dtype=np.int8)])
    found = cs.LabelModel(n_classes=2, method=method).fit(table).predict_proba(table)
    expected = cs.LabelModel(n_classes=2, method=method).fit(votes).predict_proba(votes)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("method", ["auto", "moments"])
def test_a_source_that_votes_at_random_hardly_changes_a_label(method):
    table, _ = draw_votes(20_000, 5)
    noise = np.random.default_rng(7).integers(0, 2, (len(table), 1)).astype(np.int8)
    found = (
        cs.LabelModel(n_classes=2, method=method)
        .fit(np.hstack([table, noise]))
        .predict(np.hstack([table, noise]))
    )
    expected = cs.LabelModel(n_classes=2, method=method).fit(table).predict(table)
    assert (found != expected).mean() < 0.01


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")
@pytest.mark.parametrize("value", [0, 1])
def test_sources_that_all_vote_for_one_class_are_followed(value):
    table = np.full((100, 4), value)
    assert (cs.LabelModel(n_classes=2).fit(table).predict(table) == value).all()


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")
@pytest.mark.parametrize("dependencies", [None, []])
def test_sources_that_always_agree_are_followed(dependencies):
    y = np.random.default_rng(0).integers(0, 3, 400)
    table = np.repeat(y[:, None], 4, axis=1)
    model = cs.LabelModel(n_classes=3, dependencies=dependencies).fit(table)
    np.testing.assert_array_equal(model.predict(table), y)


@pytest.mark.filterwarnings("ignore::consilience.ConsilienceWarning")
@pytest.mark.parametrize("seed", range(5))
def test_votes_at_random_are_answered_with_finite_probabilities(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 5))
    table = rng.integers(-1, k, (int(rng.integers(1, 40)), int(rng.integers(1, 8))))
    table[0, 0] = 0
    model = cs.LabelModel(n_classes=k).fit(table)
    soft = model.predict_proba(table)
    assert np.isfinite(soft).all()
    assert np.isfinite(model.emission_).all()
    assert np.isfinite(model.accuracy_).all()
    assert np.isfinite(model.accuracy_interval_).all()


def test_a_vote_for_a_second_class_where_there_is_to_be_one_says_that_one_leaves_nothing_to_learn(votes):
    with pytest.raises(cs.InvalidVotesError, match="one class leaves nothing to learn: give n_classes"):
        cs.LabelModel(n_classes=1).fit(votes)


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        ("a", cs.WrongTypeError),
        (1.5, cs.WrongTypeError),
        (True, cs.WrongTypeError),
        (-1, cs.InvalidArgumentError),
    ],
)
def test_a_random_state_that_is_no_seed_is_refused_by_fit(votes, seed, error):
    with pytest.raises(error, match=f"random_state must be .*, got {seed!r}; give None, an int"):
        cs.LabelModel(random_state=seed).fit(votes)


def test_a_random_state_may_be_a_generator(votes):
    model = cs.LabelModel(random_state=np.random.default_rng(0)).fit(votes)
    assert model.label_uncertainty(votes, n_draws=2).mean >= 0


def test_a_summary_and_a_warning_say_whether_an_accuracy_is_the_prior_or_drawn_to_it():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 50)
    votes = np.where(rng.random((50, 5)) < [0.9, 0.8, 0.7, 0.75, 0.65], y[:, None], 1 - y[:, None])
    with pytest.warns(cs.NotIdentifiableWarning, match="keeps its prior, or is drawn to it where"):
        drawn = cs.LabelModel(n_classes=2).fit(votes)
    assert len(set(drawn.accuracy_.tolist())) > 1
    assert [row["notes"] for row in drawn.summary()] == ["drawn to prior"] * 5
    assert "accuracy_ holds what prior and votes come to" in " ".join(str(drawn.summary()).split())
    with pytest.warns(cs.NotIdentifiableWarning, match="and keeps its prior; "):
        kept = cs.LabelModel(n_classes=2, method="em").fit(votes)
    assert kept.accuracy_.tolist() == [0.75] * 5
    assert [row["notes"] for row in kept.summary()] == ["prior kept"] * 5
    assert "accuracy_ holds the prior" in " ".join(str(kept.summary()).split())


def test_one_class_is_certain():
    model = cs.LabelModel(n_classes=1, method="majority").fit(np.zeros((10, 3), dtype=int))
    assert (model.predict_proba(np.zeros((2, 3), dtype=int)) == 1).all()


@pytest.mark.parametrize("method", ["auto", "completion"])
def test_500_sources_are_learned(method):
    table, _ = draw_votes(5000, 500, 2)
    model = cs.LabelModel(n_classes=2, method=method).fit(table)
    np.testing.assert_allclose(model.accuracy_, 0.8, atol=0.05)  # 7 standard errors of a share of 4000 votes


def test_50_classes_are_learned():
    table, _ = draw_votes(20_000, 8, 50)
    np.testing.assert_allclose(cs.LabelModel(n_classes=50).fit(table).accuracy_, 0.8, atol=0.05)


@pytest.mark.parametrize("method", ["auto", "completion"])
def test_300_classes_are_learned(method):
    table, _ = draw_votes(60_000, 5, 300)
    model = cs.LabelModel(n_classes=300, method=method).fit(table)
    np.testing.assert_allclose(model.accuracy_, 0.8, atol=0.05)


def test_more_classes_than_int8_holds_are_told_apart():
    table, y = draw_votes(3000, 5, 100, accuracy=0.9)
    assert (cs.LabelModel(n_classes=100, method="majority").fit(table).predict(table) == y).mean() > 0.9


def test_infeasible_votes_are_warned_about_counted_and_taken_as_abstentions():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 2000)
    silent = {task: table.copy() for task, table in tables.items()}
    for task, infeasible in zip(exact.graph.tasks, (1, 0, -1), strict=True):
        tables[task][:7, 2] = infeasible
        silent[task][:7, 2] = -1
    expected = cs.LabelModel(task_graph=exact.graph).fit(silent)
    with pytest.warns(cs.InfeasibleVotesWarning, match="7 votes of source 2"):
        model = cs.LabelModel(task_graph=exact.graph).fit(tables)
    assert learned(model) == learned(expected)
    assert "7 infeasible votes" in str(model.summary())


def test_infeasible_votes_to_be_labelled_are_taken_as_abstentions():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph).fit(exact.votes, weights=exact.weights)
    row = np.array([[PERSON, DOCTOR, (1, 0, -1), ORG, PERSON]])
    silent = np.array([[PERSON, DOCTOR, (-1, -1, -1), ORG, PERSON]])
    tables, expected = ({t: r[:, :, i] for i, t in enumerate(exact.graph.tasks)} for r in (row, silent))
    with pytest.warns(cs.InfeasibleVotesWarning):
        found = model.predict_joint(tables)
    np.testing.assert_array_equal(found, model.predict_joint(expected))


def test_a_vote_that_a_source_never_cast_before_says_nothing():
    graph = kind_graph()
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    kind = np.where(rng.random((3000, 4)) < 0.8, y[:, None], 1 - y[:, None])
    silent = np.full_like(kind, -1)
    model = cs.LabelModel(task_graph=graph).fit({"kind": kind, "person_type": silent, "org_type": silent})
    row = np.array([[PERSON, PERSON, ORG, LAWYER]])
    unknown = {task: row[:, :, r] for r, task in enumerate(graph.tasks)}
    assert np.isfinite(model.predict_joint(unknown)).all()


# Errors, and what they leave behind


def test_a_model_that_is_not_fitted_says_so():
    for method in ("predict", "predict_proba", "predict_joint"):
        with pytest.raises(cs.NotFittedError, match="fit"):
            getattr(cs.LabelModel(), method)([[0, 1]])
    with pytest.raises(cs.NotFittedError):
        cs.LabelModel().summary()


@pytest.mark.parametrize("attribute", ["emission_", "accuracy_", "class_balance_", "accuracy_interval_"])
def test_a_model_that_is_not_fitted_has_no_learned_attributes(attribute):
    assert not hasattr(cs.LabelModel(), attribute)


def test_votes_without_any_vote_are_an_error():
    for method in METHODS:
        with pytest.raises(cs.InvalidVotesError, match="3 sources"):
            cs.LabelModel(n_classes=2, method=method).fit(np.full((5, 3), -1))


def test_an_item_that_weighs_nothing_is_no_vote():
    with pytest.raises(cs.InvalidVotesError):
        cs.LabelModel(n_classes=2).fit([[0, 1, 1], [-1, -1, -1]], weights=[0.0, 2.0])


WRONG_PARAMETERS = {
    "an unknown method": ({"method": "best"}, cs.InvalidArgumentError, "'best'"),
    "a method of another type": ({"method": ["moments"]}, cs.ConsilienceError, "method"),
    "unknown abstentions": ({"abstentions": "ignore"}, cs.InvalidArgumentError, "'ignore'"),
    "too many descriptions": ({"n_classes": 2, "classes": ["a", "b"]}, cs.InvalidArgumentError, "n_classes"),
    "no classes": ({"n_classes": 0}, cs.InvalidArgumentError, "n_classes"),
    "a fraction of classes": ({"n_classes": 2.5}, cs.WrongTypeError, "n_classes"),
    "classes in a string": ({"classes": "ab"}, cs.WrongTypeError, "classes"),
    "classes of an int": ({"classes": 5}, cs.ConsilienceError, "classes"),
    "an empty list of classes": ({"classes": []}, cs.ConsilienceError, "class"),
    "a class twice": ({"classes": ["a", "a"]}, cs.InvalidArgumentError, "'a'"),
    "no task graph": ({"task_graph": {"a": 2}}, cs.WrongTypeError, "task_graph"),
    "a class balance of another length": (
        {"class_balance": [0.2, 0.3, 0.5]},
        cs.InvalidArgumentError,
        r"\(2,\)",
    ),
    "a class balance of another sum": ({"class_balance": [0.2, 0.3]}, cs.InvalidArgumentError, "sum"),
    "a negative class balance": ({"class_balance": [1.5, -0.5]}, cs.InvalidArgumentError, "positive"),
    "an impossible class": ({"class_balance": [1.0, 0.0]}, cs.InvalidArgumentError, "positive"),
    "a class balance of NaN": ({"class_balance": [np.nan, 0.5]}, cs.InvalidArgumentError, "class_balance"),
    "an infinite class balance": ({"class_balance": [np.inf, 0.5]}, cs.InvalidArgumentError, "class_balance"),
    "a class balance of words": ({"class_balance": ["a", "b"]}, cs.WrongTypeError, "class_balance"),
    "an unknown class balance": ({"class_balance": "learned"}, cs.InvalidArgumentError, "'learned'"),
    "a ragged class balance": (
        {"class_balance": [[0.5], [0.25, 0.25]]},
        cs.ConsilienceError,
        "class_balance",
    ),
    "a class balance of one number": ({"class_balance": 3}, cs.InvalidArgumentError, "class_balance"),
    "a class balance by name": ({"class_balance": {}}, cs.WrongTypeError, "class_balance"),
    "a dependency out of range": ({"dependencies": [(0, 7)]}, cs.InvalidArgumentError, "7"),
    "a dependency on itself": ({"dependencies": [(1, 1)]}, cs.InvalidArgumentError, "1"),
    "a dependency by an unknown name": ({"dependencies": [("a", "b")]}, cs.InvalidArgumentError, "'a'"),
    "a dependency of one": ({"dependencies": [(1,)]}, cs.WrongTypeError, "dependenc"),
    "dependencies of a number": ({"dependencies": 3}, cs.WrongTypeError, "dependencies"),
    "no threads": ({"n_threads": 0}, cs.InvalidArgumentError, "n_threads"),
    "threads in a string": ({"n_threads": "2"}, cs.WrongTypeError, "n_threads"),
}


@pytest.mark.parametrize("method", ["moments", "completion"])
@pytest.mark.parametrize("wrong", [name for name in WRONG_PARAMETERS if "class balance" in name])
def test_a_wrong_class_balance_is_the_same_error_to_methods_that_read_it_first(votes, wrong, method):
    parameters, error, culprit = WRONG_PARAMETERS[wrong]
    for given in (votes, iter([votes])):
        with pytest.raises(error, match=culprit):
            cs.LabelModel(n_classes=2, method=method, **parameters).fit(given)


@pytest.mark.parametrize("wrong", WRONG_PARAMETERS)
def test_a_wrong_parameter_is_a_typed_error_that_names_it_and_changes_nothing(votes, wrong):
    parameters, error, culprit = WRONG_PARAMETERS[wrong]
    model = cs.LabelModel().fit(votes)
    before = learned(model), model.predict_proba(votes).tobytes()
    with pytest.raises(error, match=culprit):
        model.set_params(**parameters).fit(votes)
    model.set_params(**cs.LabelModel().get_params())
    assert (learned(model), model.predict_proba(votes).tobytes()) == before


def bad_votes(value, dtype=np.int64):
    table = draw_votes(100)[0].astype(dtype)
    table[7, 2] = value
    return table


WRONG_VOTES = {
    "a label out of range": (bad_votes(9), {}, cs.InvalidVotesError, "row 7, source 2"),
    "a label below -1": (bad_votes(-2), {}, cs.InvalidVotesError, "row 7, source 2"),
    "NaN": (bad_votes(np.nan, float), {}, cs.InvalidVotesError, "row 7, source 2"),
    "floats": (bad_votes(1, float), {}, cs.WrongTypeError, "float64"),
    "booleans": (bad_votes(1) > 0, {}, cs.WrongTypeError, "bool"),
    "no items": (np.zeros((0, 5), dtype=int), {}, cs.InvalidVotesError, "no items"),
    "one row": ([0, 1, 0], {}, cs.InvalidVotesError, "shape"),
    "nothing": (None, {}, cs.WrongTypeError, "got NoneType: give an array"),
    "names and numbers": (np.array([["a", 1, "b"]], dtype=object), {}, cs.ConsilienceError, "votes"),
    "no vote": (np.full((4, 5), -1), {}, cs.InvalidVotesError, "5 sources"),
    "NaN weights": (bad_votes(1), {"weights": np.full(100, np.nan)}, cs.InvalidArgumentError, "weights"),
    "negative weights": (bad_votes(1), {"weights": np.full(100, -1)}, cs.InvalidArgumentError, "weights"),
    "infinite weights": (bad_votes(1), {"weights": np.full(100, np.inf)}, cs.InvalidArgumentError, "weights"),
    "too few weights": (bad_votes(1), {"weights": [1, 2]}, cs.InvalidArgumentError, "weights"),
    "too few gold labels": (bad_votes(1), {"y": [0, 1]}, cs.InvalidArgumentError, "y"),
    "tables of several tasks": ({"a": [[0]], "b": [[0]]}, {}, cs.InvalidArgumentError, "task_graph"),
}


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("wrong", WRONG_VOTES)
def test_wrong_votes_are_a_typed_error_that_names_the_culprit_and_changes_nothing(votes, wrong, call):
    table, arguments, error, culprit = WRONG_VOTES[wrong]
    if call == "partial_fit" and ("y" in arguments or wrong == "no vote"):
        pytest.skip("partial_fit has no gold, and may see items without votes")
    model = cs.LabelModel(n_classes=2).fit(votes)
    before = learned(model), model.predict_proba(votes).tobytes()
    with pytest.raises(error, match=culprit):
        getattr(model, call)(table, **arguments)
    assert (learned(model), model.predict_proba(votes).tobytes()) == before


@pytest.mark.parametrize("call", ["predict", "predict_proba", "predict_joint"])
@pytest.mark.parametrize(
    ("table", "culprit"),
    [
        ([[0, 1]], "2 sources.*5"),
        ([[0, 1, 0, 1, 7]], "row 0, source 4: label 7"),
        ([[0.5] * 5], "float64"),
        ({"a": [[0] * 5]}, "'a'"),
    ],
)
def test_wrong_votes_to_be_labelled_are_a_typed_error_that_names_the_culprit(model, call, table, culprit):
    with pytest.raises(cs.ConsilienceError, match=culprit):
        getattr(model, call)(table)


def test_no_items_have_empty_answers_of_the_right_shape(model):
    nothing = np.zeros((0, 5), dtype=int)
    assert model.predict(nothing).shape == (0,)
    assert model.predict_proba(nothing).shape == model.predict_joint(nothing).shape == (0, 2)


def test_sources_are_matched_by_name():
    table = draw_votes()[0]
    model = cs.LabelModel().fit(cs.Votes.from_dense(table, source_names=list("abcde")))
    mixed = np.column_stack([table[:, ::-1], table[:, 0]])
    found = model.predict_proba(cs.Votes.from_dense(mixed, source_names=list("edcbax")))
    np.testing.assert_array_equal(found, model.predict_proba(table))


def test_a_source_that_is_missing_by_name_is_not_taken_to_abstain():
    table = draw_votes()[0]
    model = cs.LabelModel().fit(cs.Votes.from_dense(table, source_names=list("abcde")))
    with pytest.raises(cs.InvalidVotesError, match="'c', 'e' are missing"):
        model.predict(cs.Votes.from_dense(table, source_names=list("abfdg")))


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_are_matched_by_name_and_may_hold_more(library):
    table = draw_votes()[0][:50]
    columns = {name: table[:, j] for j, name in enumerate("abcde")}
    model = cs.LabelModel(n_classes=2).fit(cs.Votes.from_dense(table, source_names=list("abcde")))
    shuffled = {"text": ["x"] * 50, **{name: columns[name] for name in "cabed"}}
    package = pytest.importorskip(library)
    frame = package.table(shuffled) if library == "pyarrow" else package.DataFrame(shuffled)
    np.testing.assert_array_equal(model.predict_proba(frame), model.predict_proba(table))


def test_other_classes_are_not_merged_into_a_fit(votes):
    model = cs.LabelModel().fit(votes)
    with pytest.raises(cs.InvalidArgumentError, match="classes"):
        model.partial_fit(votes + 1)


def test_statistics_of_other_classes_are_not_fitted(votes):
    with pytest.raises(cs.InvalidArgumentError, match="statistics"):
        cs.LabelModel(n_classes=3).fit(cs.VoteStatistics.of(votes, n_classes=2))


def test_weights_do_not_go_with_statistics(votes):
    with pytest.raises(cs.InvalidArgumentError, match="weights"):
        cs.LabelModel().fit(cs.VoteStatistics.of(votes), weights=np.ones(len(votes)))


def test_statistics_cannot_be_labelled(votes, model):
    with pytest.raises(cs.ConsilienceError):
        model.predict(cs.VoteStatistics.of(votes))


def test_a_fit_that_is_not_identifiable_leaves_the_earlier_fit(votes):
    model = cs.LabelModel(method="moments").fit(votes)
    before = learned(model), model.predict_proba(votes).tobytes()
    with pytest.raises(cs.NotIdentifiableError):
        model.fit(votes[:, :2])
    assert (learned(model), model.predict_proba(votes).tobytes()) == before


@pytest.mark.parametrize(
    "changed", [{"method": "majority"}, {"abstentions": "missing"}, {"class_balance": [0.9, 0.1]}]
)
def test_a_changed_parameter_changes_no_prediction_before_the_next_fit(votes, changed):
    model = cs.LabelModel(n_classes=2).fit(votes)
    before = model.predict(votes).tobytes(), model.predict_proba(votes).tobytes()
    model.set_params(**changed)
    assert (model.predict(votes).tobytes(), model.predict_proba(votes).tobytes()) == before


def test_votes_are_not_changed(votes):
    before = votes.tobytes()
    cs.LabelModel().fit(votes).predict_proba(votes)
    assert votes.tobytes() == before


# scikit-learn's conventions


def test_fit_returns_the_model_itself(votes):
    model = cs.LabelModel()
    assert model.fit(votes) is model
    twice = cs.LabelModel().partial_fit(votes).partial_fit(votes)
    np.testing.assert_array_equal(twice.classes_, model.classes_)


def test_init_only_stores():
    odd = {"n_classes": object(), "dependencies": object(), "method": object(), "n_threads": object()}
    model = cs.LabelModel(**odd)
    assert all(model.get_params()[name] is value for name, value in odd.items())
    assert set(vars(model)) == set(model.get_params())


def test_a_clone_by_its_parameters_is_equal_and_not_fitted(votes):
    model = cs.LabelModel(n_classes=2, class_balance=[0.4, 0.6], dependencies=[(0, 1)]).fit(votes)
    clone = cs.LabelModel(**model.get_params())
    assert all(clone.get_params()[name] is value for name, value in model.get_params().items())
    assert not hasattr(clone, "emission_")


def test_set_params_returns_the_model_and_refuses_unknown_names():
    model = cs.LabelModel()
    assert model.set_params(n_classes=4) is model
    assert model.n_classes == 4
    with pytest.raises(cs.InvalidArgumentError, match="'colour'"):
        model.set_params(colour="red")


def test_unknown_names_set_nothing():
    model = cs.LabelModel()
    with pytest.raises(cs.InvalidArgumentError):
        model.set_params(n_classes=4, colour="red")
    assert model.n_classes is None


def test_fit_does_not_change_the_parameters(votes):
    model = cs.LabelModel(class_balance="uniform")
    before = model.get_params()
    assert model.fit(votes).get_params() == before


def test_repr_shows_what_is_not_default():
    assert repr(cs.LabelModel(n_classes=3, method="moments")) == "LabelModel(n_classes=3, method='moments')"


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles_predict_the_same_bits(votes, model, copied):
    other = copied(model)
    assert learned(other) == learned(model)
    assert other.predict_proba(votes).tobytes() == model.predict_proba(votes).tobytes()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_a_hierarchy_with_dependencies_predict_the_same_bits(copied):
    exact = hierarchy(np.random.default_rng(0), [*COARSE_AND_FINE, COARSE_AND_FINE[0]])
    tables, _ = draw(np.random.default_rng(1), exact, 3000)
    model = cs.LabelModel(task_graph=exact.graph, dependencies=[(0, 4)]).fit(tables)
    assert copied(model).predict_joint(tables).tobytes() == model.predict_joint(tables).tobytes()


def test_a_copy_goes_its_own_way(votes, model):
    before = learned(model)
    copy.deepcopy(model).fit(draw_votes(seed=5)[0])
    assert learned(model) == before


def test_the_same_votes_give_the_same_answer_again(votes, model):
    assert learned(cs.LabelModel(n_classes=2).fit(votes)) == learned(model)


# Threads, processes, interrupts


def test_two_threads_predict_with_one_model_at_once():
    table, _ = draw_votes(20_000, 6, 3)
    model = cs.LabelModel(n_classes=3, n_threads=2).fit(table)
    expected = model.predict_proba(table).tobytes()
    barrier, found = threading.Barrier(4), []

    def predict():
        barrier.wait()
        for _ in range(5):
            found.append(model.predict_proba(table).tobytes())

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 20


def test_two_threads_fit_models_of_their_own_at_once():
    tables = [draw_votes(20_000, 6, 3, seed=seed)[0] for seed in range(2)]
    expected = [learned(cs.LabelModel(n_classes=3).fit(table)) for table in tables]
    found = [b"", b""]

    def fit(i):
        found[i] = learned(cs.LabelModel(n_classes=3, n_threads=2).fit(tables[i]))

    threads = [threading.Thread(target=fit, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_no_thread_outlives_a_call():
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("threads are counted in /proc")
    code = """
import os, time
import numpy as np
import consilience as cs
table = np.random.default_rng(0).integers(-1, 2, (50_000, 5))
before = len(os.listdir("/proc/self/task"))
cs.LabelModel(n_classes=2, n_threads=4, method="majority").fit(table).predict_proba(table)
deadline = time.monotonic() + 10  # the system lists a joined thread for a moment longer
while len(os.listdir("/proc/self/task")) > before and time.monotonic() < deadline:
    time.sleep(0.001)
assert len(os.listdir("/proc/self/task")) == before
"""  # in a process of its own: other packages start threads when they like
    subprocess.run([sys.executable, "-c", code], check=True)


def _predict_in_a_child(arguments):
    model, table = arguments
    return model.predict_proba(table).tobytes()


def _fit_in_a_child(table):
    return learned(cs.LabelModel(n_classes=2, n_threads=2).fit(table))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_forked_processes_fit_and_predict_like_their_parent():
    table, _ = draw_votes(20_000)
    model = cs.LabelModel(n_classes=2, n_threads=2).fit(table)  # the parent has used its threads
    with multiprocessing.get_context("fork").Pool(2) as pool:
        predicted = pool.map(_predict_in_a_child, [(model, table)] * 4)
        fitted = pool.map(_fit_in_a_child, [table] * 4)
    assert predicted == [model.predict_proba(table).tobytes()] * 4
    assert fitted == [learned(model)] * 4


LONG_CALLS = {
    # Rows that are all one row in memory: years of votes in a few bytes.
    "fit": """
        votes = np.broadcast_to(np.array([0, 1, 1, 0, -1, 1, 0, 1], dtype=np.int8), (2_000_000_000, 8))
        print("ready", flush=True)
        cs.LabelModel(n_classes=2, n_threads=2).fit(votes)
    """,
    "statistics with weights": """
        votes = np.broadcast_to(np.tile(np.array([0, 1, 1, 0], dtype=np.int8), 16), (4_000_000, 64))
        print("ready", flush=True)
        cs.VoteStatistics.of(votes, np.full(len(votes), 0.5), n_threads=2)
    """,
    "predict": """
        model = cs.LabelModel(method="majority").fit([[0, 1, 1]])
        votes = np.broadcast_to(np.array([0, 1, 1], dtype=np.int8), (20_000_000, 3))
        print("ready", flush=True)
        while True:
            model.predict(votes)
    """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no POSIX signals")
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_ends_a_long_call_soon(call):
    script = "import numpy as np, consilience as cs\n" + textwrap.dedent(LONG_CALLS[call])
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        sent = time.perf_counter()
        _, said = child.communicate(timeout=30)
        elapsed = time.perf_counter() - sent
    finally:
        child.kill()
        child.wait()
    assert b"KeyboardInterrupt" in said
    # 0.2 s is promised; the interpreter takes some more to end, and the machine may be busy.
    assert elapsed < 1.0


def test_the_package_neither_prints_nor_touches_the_global_random_state(votes, capfd):
    state = np.random.get_state()[1].tobytes()  # noqa: NPY002
    model = cs.LabelModel(random_state=3).fit(votes)
    model.predict(votes)
    model.accuracy_interval_  # noqa: B018
    assert np.random.get_state()[1].tobytes() == state  # noqa: NPY002
    assert capfd.readouterr() == ("", "")


def test_a_good_fit_warns_of_nothing(votes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.LabelModel(n_classes=2).fit(votes)


def test_exact_weights_recover_exact_tables_by_default():
    exact = single_task(np.random.default_rng(0), 3)
    model = cs.LabelModel(n_classes=3, class_balance=exact.class_balance).fit(
        exact.votes, weights=exact.weights
    )
    assert table_error(model, exact) < 1e-6


def all_pairs(m):
    return list(itertools.combinations(range(m), 2))


TOO_LARGE = r"the 10 dependent sources 'source 0', .*'source 9' have 59049 joint states, more than the 4096"


@pytest.mark.parametrize("method", ["auto", "em"])
def test_dependent_sources_too_many_to_count_together_are_named_with_what_was_done_instead(method):
    votes, _ = draw_votes(4000, 14)
    with pytest.warns(cs.TooManyJointStatesWarning) as met:
        model = cs.LabelModel(n_classes=2, dependencies=[*all_pairs(10), (9, 10)], method=method).fit(votes)
    (message,) = [str(one.message) for one in met if one.category is cs.TooManyJointStatesWarning]
    assert re.match(TOO_LARGE, message)
    assert "they and 1 more that depend on these are not compared with each other" in message
    assert "labels take them as independent. Leave out dependencies" in message
    assert any("too many joint states" in note for note in model.summary().notes)
    assert np.isfinite(model.predict_proba(votes)).all()


@pytest.mark.parametrize("method", ["moments", "completion"])
def test_moments_refuse_dependent_sources_that_are_too_many_to_count_together(method):
    votes, _ = draw_votes(4000, 14)
    with pytest.raises(cs.InvalidArgumentError, match=TOO_LARGE + r".*leave out dependencies"):
        cs.LabelModel(n_classes=2, dependencies=all_pairs(10), method=method).fit(votes)


def test_dependencies_that_can_be_read_once_only_are_an_error(votes):
    with pytest.raises(cs.WrongTypeError, match="dependencies must be a list"):
        cs.LabelModel(n_classes=2, dependencies=iter([(0, 1)])).fit(votes)


def test_what_was_learned_is_forgotten_when_further_items_contradict_it(votes):
    model = cs.LabelModel(n_classes=2, method="moments").fit(votes)
    noise = np.random.default_rng(0).integers(0, 2, (1_000_000, votes.shape[1])).astype(np.int8)
    model.partial_fit(noise)
    assert not hasattr(model, "accuracy_")
    with pytest.raises(cs.NotFittedError, match="cannot determine"):
        model.predict(votes)


def test_the_summary_names_sources_that_hang_together_beyond_their_accuracies():
    votes, _ = draw_votes(5000, 6)
    rng = np.random.default_rng(3)
    votes[:, 1] = np.where(rng.random(len(votes)) < 0.6, votes[:, 0], votes[:, 1])
    assert "source 0 and source 1" in " ".join(str(cs.LabelModel(n_classes=2).fit(votes).summary()).split())


def test_the_summary_says_nothing_of_dependence_where_there_is_none():
    votes, _ = draw_votes(5000, 6)
    assert "hang together" not in str(cs.LabelModel(n_classes=2).fit(votes).summary())


def test_parameters_by_position_keep_their_places():
    places = ["n_classes", "classes", "task_graph", "class_balance", "dependencies", "method", "abstentions"]
    model = cs.LabelModel(2, None, None, [0.4, 0.6], None, "em", "missing", 7, 1)
    assert list(model.get_params())[:9] == [*places, "random_state", "n_threads"]
    assert (model.random_state, model.n_threads, model.trusted, model.accuracy_prior) == (7, 1, None, None)


# Numbers that are names


def stars(seed=0):
    """Votes for one to four of five stars, as numbers of stars."""
    rng = np.random.default_rng(seed)
    label = rng.integers(1, 5, 300)
    return np.where(rng.random((300, 5)) < 0.8, label[:, None], rng.integers(1, 5, (300, 5)))


def test_votes_that_look_like_classes_named_by_numbers_are_warned_of():
    with pytest.warns(cs.ConsilienceWarning, match=r"indices of classes, of which 1, 2, 3, 4 occur"):
        cs.LabelModel(classes=[1, 2, 3, 4, 5]).fit(stars())


@pytest.mark.parametrize(
    ("classes", "votes"),
    [([1, 2, 3, 4, 5], stars() - 1), ([0, 1, 2, 3, 4], stars()), (list("12345"), stars().astype(str))],
)
def test_votes_that_can_only_be_indices_or_names_are_not_warned_of(classes, votes):
    with warnings.catch_warnings():
        warnings.simplefilter("error", cs.ConsilienceWarning)
        cs.LabelModel(classes=classes).fit(votes)


def test_classes_that_seem_to_be_numbered_from_1_are_warned_of():
    with pytest.warns(cs.ConsilienceWarning, match="are classes numbered from 1"):
        cs.LabelModel().fit(stars())
    with warnings.catch_warnings():
        warnings.simplefilter("error", cs.ConsilienceWarning)
        cs.LabelModel(n_classes=5).fit(stars())


def test_a_column_of_item_numbers_is_no_source():
    table = np.column_stack([stars(), np.arange(300)])
    with pytest.raises(cs.InvalidVotesError, match=r"all votes of source 5 differ, from 0 to 299.*n_classes"):
        cs.LabelModel().fit(table)


def test_partial_fit_after_fit_warns_that_rows_are_lost():
    model = cs.LabelModel(n_classes=5).fit(stars())
    with pytest.warns(cs.ConsilienceWarning, match="Begin with partial_fit"):
        model.partial_fit(stars(1))


def test_scores_that_would_not_fit_into_memory_are_refused_by_the_fit(monkeypatch):
    monkeypatch.setattr("consilience.scores.MAX_CELLS", 3 * 3 * 2 - 1)
    votes = np.random.default_rng(0).integers(-1, 2, (200, 3))
    model = cs.LabelModel(n_classes=2, method="majority")
    with pytest.raises(cs.InvalidArgumentError, match="use fewer classes"):
        model.fit(votes)
    with pytest.raises(cs.NotFittedError):
        model.predict(votes)
    assert model.fit(votes[:, :2]).accuracy_.shape == (2,)


def test_what_is_worked_out_when_asked_is_that_of_the_last_fit():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    votes = np.where(rng.random((2000, 4)) < [0.9, 0.8, 0.7, 0.6], y[:, None], 1 - y[:, None])
    model = cs.LabelModel(n_classes=2, method="moments").fit(votes)
    before = (model.accuracy_, model.emission_, model.predict_proba(votes))
    model.fit(votes[:, ::-1])
    anew = cs.LabelModel(n_classes=2, method="moments").fit(votes[:, ::-1])
    after = (model.accuracy_, model.emission_, model.predict_proba(votes))
    for old, new, expected in zip(
        before, after, (anew.accuracy_, anew.emission_, anew.predict_proba(votes)), strict=True
    ):
        assert not np.array_equal(old, new)
        np.testing.assert_array_equal(new, expected)


def test_classes_that_nobody_votes_for_below_the_largest_are_told_of():
    votes = np.array([[0, 3, 0], [3, 3, -1], [0, 0, 1], [0, 3, 3]] * 5)
    with pytest.warns(cs.ConsilienceWarning, match="the largest is 3, and no source votes for 2: number the"):
        cs.LabelModel(method="majority").fit(votes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cs.LabelModel(n_classes=4, method="majority").fit(votes)
    with pytest.raises(cs.InvalidVotesError, match="the largest is 9999, and no source votes for 2, 3, 4"):
        cs.LabelModel(method="majority").fit(np.where(votes == 3, 9999, votes))


@pytest.mark.parametrize(
    "votes", [None, 3, {1, 2}, b"votes", object()], ids=lambda votes: type(votes).__name__
)
def test_what_is_no_table_of_votes_is_a_typed_error_that_says_what_is(votes):
    expected = f"votes must be a table .*, got {type(votes).__name__}: give an array, a frame"
    fitted = cs.LabelModel(n_classes=2, method="majority").fit([[0, 1], [1, 1]])
    for take in (cs.LabelModel().fit, cs.LabelModel().partial_fit, fitted.predict, cs.VoteStatistics.of):
        with pytest.raises(cs.WrongTypeError, match=expected):
            take(votes)


def test_a_lazy_frame_is_to_be_collected():
    polars = pytest.importorskip("polars")
    lazy = polars.LazyFrame({"a": [0, 1], "b": [1, 1]})
    fitted = cs.LabelModel(n_classes=2, method="majority").fit(lazy.collect())
    takes = (cs.LabelModel().fit, cs.LabelModel().partial_fit, fitted.predict, cs.VoteStatistics.of)
    for take in takes:
        with pytest.raises(cs.WrongTypeError, match=r"votes is a LazyFrame.*give votes\.collect\(\)"):
            take(lazy)
        with pytest.raises(cs.WrongTypeError, match=r"votes\['t'\] is a LazyFrame.*\.collect\(\)"):
            take({"t": lazy})
    with pytest.raises(cs.WrongTypeError, match=r"give frame\.collect\(\)"):
        cs.Votes.from_frame(lazy)
    with pytest.raises(cs.WrongTypeError, match=r"give y\.collect\(\)"):
        cs.LabelModel().fit(lazy.collect(), y=lazy)


@pytest.mark.parametrize("path", [None, 3, b"model", {}], ids=lambda path: type(path).__name__)
def test_what_is_no_path_is_a_typed_error(path):
    """An int above all: it would be taken for the number of an open file, and written to."""
    votes = np.array([[0, 1], [1, 1]])
    model = cs.LabelModel(n_classes=2, method="majority").fit(votes)
    for take in (model.save, cs.load, cs.Votes.from_file, cs.Votes.from_parquet):
        with pytest.raises(
            cs.WrongTypeError, match=f"path must be a path, .*, got {type(path).__name__}; give"
        ):
            take(path)
    if path is not None:
        with pytest.raises(cs.WrongTypeError, match="out must be a path"):
            model.predict_proba(votes, out=path)
