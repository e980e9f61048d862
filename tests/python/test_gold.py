"""Gold labels of some items: they enter as known, and change nothing where there are none."""

import numpy as np
import pytest
from enumeration import LEVEL_BY_LEVEL, draw, hierarchy, single_task
from test_cautious import one_sided_votes

import consilience as cs
from consilience import likelihood, rows
from consilience.em import Point, expect_counts
from consilience.fitting import fit_sources
from consilience.gold import read_gold
from consilience.intervals import QUANTILE
from consilience.statistics import observe
from consilience.votes import as_votes

METHODS = ["auto", "em", "moments", "completion"]


def binary(n=2000, accuracies=(0.8, 0.75, 0.7, 0.65, 0.6), balance=0.5, seed=0, coverage=0.7):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) >= balance).astype(int)
    table = np.where(rng.random((n, len(accuracies))) < accuracies, y[:, None], 1 - y[:, None])
    return np.where(rng.random(table.shape) < coverage, table, -1), y


def some_of(y, n, seed=0):
    """The labels of n items, -1 elsewhere."""
    gold = np.full(len(y), -1)
    items = np.random.default_rng(seed).permutation(len(y))[:n]
    gold[items] = y[items]
    return gold


def counted(table, y, k=2):
    """``P(source votes l | Y = y)`` from the labels themselves, (m, k + 1, k)."""
    states = np.where(table < 0, k, table)
    return np.array(
        [[[np.mean(column[y == c] == s) for c in range(k)] for s in range(k + 1)] for column in states.T]
    )


def learned(model):
    return model._model.to_bytes()


@pytest.mark.parametrize("method", METHODS)
def test_gold_that_tells_nothing_changes_no_bit(method):
    table, y = binary()
    nothing = np.full(len(y), -1)
    model = cs.LabelModel(n_classes=2, method=method).fit(table)
    for none in (nothing, nothing.tolist(), np.full(len(y), None), {"label": nothing}):
        if isinstance(none, dict):
            none = {model.task_graph_.tasks[0]: nothing}
        assert learned(cs.LabelModel(n_classes=2, method=method).fit(table, y=none)) == learned(model)


@pytest.mark.parametrize("balance", [0.5, 0.9])
def test_gold_of_all_items_makes_em_count(balance):
    table, y = binary(balance=balance)
    model = cs.LabelModel(n_classes=2, method="em", abstentions="informative").fit(table, y=y)
    np.testing.assert_allclose(model.class_balance_, [np.mean(y == 0), np.mean(y == 1)], atol=1e-9)
    if model._model.fit.model != "one-coin":
        np.testing.assert_allclose(model.emission_, counted(table, y), atol=1e-4)  # PRIOR_COUNT
    right = [np.mean(y[column >= 0] == column[column >= 0]) for column in table.T]
    np.testing.assert_allclose(model.accuracy_, right, atol=0.02)


def test_gold_of_all_items_makes_free_tables_count():
    exact = single_task(np.random.default_rng(0), 3, 4)
    table, y = draw(np.random.default_rng(1), exact, 4000)
    model = cs.LabelModel(n_classes=3, method="em").fit(table, y=y)
    np.testing.assert_allclose(model.class_balance_, np.bincount(y) / len(y), atol=1e-9)
    np.testing.assert_allclose(model.emission_, counted(table, y, 3), atol=0.03)


def as_observed(votes, graph, weights=None):
    return observe(as_votes(votes, task_graph=graph), graph, weights, 1, strict=False)


@pytest.mark.parametrize("weighted", [False, True])
def test_expected_counts_with_gold_equal_those_of_every_item_by_itself(weighted):
    """The slow twin: posteriors item by item, restricted to what gold leaves possible."""
    rng = np.random.default_rng(0)
    exact = hierarchy(rng, LEVEL_BY_LEVEL)
    votes, label = draw(rng, exact, 300)
    graph, n = exact.graph, 300
    y = exact.graph.feasible_set[label] if np.ndim(label) == 1 else np.column_stack(list(label.values()))
    gold = {task: np.where(rng.random(n) < 0.3, y[:, r], -1) for r, task in enumerate(graph.tasks)}
    weights = rng.random(n) if weighted else None
    observed = as_observed(votes, graph, weights)
    k = graph.n_vectors
    fit = fit_sources(observed.statistics, np.full(k, 1 / k), None, "moments")
    known = read_gold(gold, n, graph)
    assert len({tuple(mask) for mask in known.masks.tolist()}) > graph.n_vectors  # some gold is partial
    layout = likelihood.without_copies(fit)
    columns = likelihood._columns(observed, fit, layout, known, missing=False, n_threads=1)
    start = likelihood._to_columns(fit, layout, columns.masks.shape[1])
    balance = rng.dirichlet(np.full(k, 3.0))
    counts, of_vector, log_likelihood = expect_counts(columns, Point(start, balance))

    patterns = likelihood._columns(observed, fit, layout, None, missing=False, n_threads=1)
    expected, total, log_total = np.zeros_like(counts), np.zeros(k), 0.0
    for item in range(n):
        one = as_observed({task: table[[item]] for task, table in votes.items()}, graph)
        states = np.zeros(len(start), dtype=int)
        for j, event in zip(one.statistics.node_source, one.statistics.node_event, strict=True):
            states[j] = np.flatnonzero((fit.tables[j].events == event).all(axis=1))[0] + 1
        allowed = known.masks[known.at[item]] if known.at[item] >= 0 else np.ones(k, dtype=bool)
        joint = balance * start[np.arange(len(start)), states].prod(axis=0) * allowed
        weight = 1.0 if weights is None else weights[item]
        log_total += weight * np.log(joint.sum())
        expected[np.arange(len(start)), states] += weight * joint / joint.sum()
        total += weight * joint / joint.sum()
    assert patterns.n == columns.n
    np.testing.assert_allclose(counts, expected, atol=1e-9)
    np.testing.assert_allclose(of_vector, total, atol=1e-9)
    assert log_likelihood == pytest.approx(log_total, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_few_gold_labels_settle_the_sign_of_an_adversarial_majority(method):
    table, y = binary(5000, (0.3, 0.35, 0.25, 0.3, 0.35, 0.7, 0.75), coverage=0.9)
    assert (cs.LabelModel(n_classes=2, method=method).fit(table).predict(table) == y).mean() < 0.3
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 40))
    assert (model.predict(table) == y).mean() > 0.8
    assert set(model.identifiability_.sign_rules) == {"gold"}
    assert "gold" in str(model.identifiability_)


def test_a_trusted_source_goes_before_gold():
    table, y = binary(5000, (0.3, 0.35, 0.25, 0.7, 0.75))
    model = cs.LabelModel(n_classes=2, method="em", trusted=0).fit(table, y=some_of(y, 40))
    assert model.identifiability_.sign_rules == ("trusted",)


def test_gold_of_one_class_alone_settles_the_sign_too():
    table, y = binary(5000, (0.3, 0.35, 0.25, 0.3, 0.35, 0.7, 0.75), coverage=0.9)
    gold = some_of(y, 200)
    gold[gold == 0] = -1
    model = cs.LabelModel(n_classes=2, method="moments").fit(table, y=gold)
    assert (model.predict(table) == y).mean() > 0.8


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.filterwarnings("error")
def test_two_sources_are_learned_where_gold_tells(method):
    table, y = binary(4000, (0.9, 0.7), coverage=1.0)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 1000))
    # The default draws accuracies towards a prior: two sources cannot show that they are independent.
    np.testing.assert_allclose(model.accuracy_, [0.9, 0.7], atol=0.05 if method == "em" else 0.1)


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("most", [10, 100_000])
def test_items_with_gold_are_left_out_of_the_others_however_these_are_held(method, most, monkeypatch):
    rng = np.random.default_rng(4)
    n, m, k = 6000, 8, 3
    y = rng.integers(0, k, n)
    votes = np.where(rng.random((n, m)) < 0.7, y[:, None], rng.integers(0, k, (n, m)))
    votes[rng.random((n, m)) < 0.4] = -1
    gold = np.where(rng.random(n) < 0.3, y, -1)
    # Weights, of 1 each, keep the distinct rows.
    expected = cs.LabelModel(n_classes=k, method=method).fit(votes, np.ones(n), gold)
    monkeypatch.setattr(rows, "MAX_PATTERNS", most)
    for labels in (gold, gold.astype(np.int8), gold.astype(float)):
        found = cs.LabelModel(n_classes=k, method=method).fit(votes, y=labels)
        atol = 1e-6 if most == 10 else 0
        np.testing.assert_allclose(
            found.predict_proba(votes), expected.predict_proba(votes), rtol=0, atol=atol
        )


def test_gold_brings_em_closer_to_the_truth():
    errors = np.zeros(2)
    for seed in range(6):
        table, y = binary(1000, (0.75, 0.7, 0.7, 0.65), seed=seed, balance=0.7, coverage=0.9)
        for i, gold in enumerate((None, some_of(y, 500))):
            model = cs.LabelModel(n_classes=2, method="em").fit(table, y=gold)
            errors[i] += (
                np.abs(model.class_balance_[0] - 0.7)
                + np.abs(model.accuracy_ - counted_right(table, y)).sum()
            )
    assert errors[1] < 0.5 * errors[0]


def counted_right(table, y):
    return np.array([np.mean(y[column >= 0] == column[column >= 0]) for column in table.T])


def dependent(seed=0, n=3000):
    """Sources that copy each other's mistakes, which the default is cautious about."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    first = np.where(rng.random(n) < 0.65, y, 1 - y)
    copies = [np.where(rng.random(n) < 0.9, first, rng.integers(0, 2, n)) for _ in range(4)]
    others = [np.where(rng.random(n) < a, y, 1 - y) for a in (0.9, 0.85, 0.8)]
    return np.column_stack(copies + others), y


def test_gold_enters_the_cautious_fits():
    table, y = dependent()
    without = cs.LabelModel(n_classes=2, dependencies=[]).fit(table)
    assert without._model.fit.parts
    model = cs.LabelModel(n_classes=2, dependencies=[]).fit(table, y=some_of(y, 1500))
    right = counted_right(table, y)
    assert np.abs(model.accuracy_ - right).max() < 0.6 * np.abs(without.accuracy_ - right).max()
    assert (model.predict(table) == y).mean() > (without.predict(table) == y).mean()


def test_gold_of_all_items_is_no_trouble_to_the_cautious_fits():
    table, y = dependent()
    model = cs.LabelModel(n_classes=2).fit(table, y=y)
    np.testing.assert_allclose(model.accuracy_, counted_right(table, y), atol=0.05)


def test_cautious_fits_of_one_sided_sources_follow_gold_of_all_items():
    table, y = one_sided_votes(2000, copies=0.5)
    model = cs.LabelModel(n_classes=2, dependencies=[]).fit(table, y=y)
    assert model._model.fit.parts
    np.testing.assert_allclose(model.accuracy_, counted_right(table, y), atol=0.03)
    # Items without votes are no votes.
    silent = np.vstack([table, np.full((20_000, table.shape[1]), -1)])
    gold = np.r_[y, np.random.default_rng(0).integers(0, 2, 20_000)]
    other = cs.LabelModel(n_classes=2, dependencies=[]).fit(silent, y=gold)
    np.testing.assert_allclose(other.accuracy_, model.accuracy_, atol=0.03)


@pytest.mark.parametrize("method", ["moments", "completion"])
def test_methods_of_moments_take_the_class_balance_from_gold(method):
    table, y = binary(5000, (0.85, 0.8, 0.75, 0.8, 0.7), balance=0.8)
    gold = some_of(y, 400)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=gold)
    share = (np.sum(gold == 0) + 1) / 402
    np.testing.assert_allclose(model.class_balance_, [share, 1 - share], rtol=1e-12)
    np.testing.assert_allclose(model.class_balance_error_, np.sqrt(share * (1 - share) / 403), rtol=1e-12)
    assert "from gold" in str(model.summary())
    few = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 20))
    assert "from the votes" in str(few.summary()) or "cannot tell" in str(few.summary())


@pytest.mark.parametrize("method", ["auto", "em"])
def test_gold_with_weights_counts_like_repeated_items(method):
    table, y = binary(400, coverage=0.8)
    gold, weights = some_of(y, 100), np.random.default_rng(0).integers(1, 4, 400)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, weights=weights, y=gold)
    repeated = np.repeat(np.arange(400), weights)
    again = cs.LabelModel(n_classes=2, method=method).fit(table[repeated], y=gold[repeated])
    np.testing.assert_allclose(model.emission_, again.emission_, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_forms_of_votes_and_gold_do_not_matter(method):
    sparse = pytest.importorskip("scipy.sparse")
    table, y = binary(1000)
    gold = some_of(y, 100)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=gold)
    for votes, labels in (
        (sparse.csr_array(table + 1), gold.astype(np.int8)),
        (np.asfortranarray(table.astype(np.int8)), gold.tolist()),
        (table[::-1][::-1], np.repeat(gold, 2)[::2]),
    ):
        same = cs.LabelModel(n_classes=2, method=method).fit(votes, y=labels)
        assert same.emission_.tobytes() == model.emission_.tobytes()
        assert same.class_balance_.tobytes() == model.class_balance_.tobytes()


def test_gold_may_be_given_by_name():
    table, y = binary(1000)
    gold = some_of(y, 100)
    names = np.array(["no", "yes", ""])
    model = cs.LabelModel(classes=["no", "yes"]).fit(names[table], y=gold)
    for labels in (names[gold], names[gold].astype(object), np.where(gold < 0, None, names[gold])):
        same = cs.LabelModel(classes=["no", "yes"]).fit(names[table], y=labels)
        assert learned(same) == learned(model)


def test_a_saved_model_remembers_its_gold(tmp_path):
    table, y = binary(1000, (0.85, 0.8, 0.75, 0.8, 0.7), balance=0.8)
    for method in METHODS:
        model = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 200))
        model.save(tmp_path / method)
        again = cs.load(tmp_path / method)
        assert again._model.to_bytes() == model._model.to_bytes()
        assert str(again.summary()) == str(model.summary())
        assert "gold labels of 200 items" in str(model.summary())


def family():
    return cs.TaskGraph(
        {"kind": ["person", "org"], "job": ["doctor", "lawyer"]}, parents={"job": ("kind", "person")}
    )


VOTES = {"kind": np.zeros((6, 3), dtype=int), "job": np.zeros((6, 3), dtype=int)}
WRONG = {
    "a wrong length": ({"y": [0, 1]}, cs.InvalidArgumentError, r"\(6,\)"),
    "a table": ({"y": np.zeros((6, 1), dtype=int)}, cs.InvalidArgumentError, r"\(6, 1\)"),
    "a label out of range": ({"y": [0, 1, 0, 2, 0, 0]}, cs.InvalidArgumentError, "row 3: label 2"),
    "a label below -1": ({"y": [0, -2, 0, 1, 0, 0]}, cs.InvalidArgumentError, "row 1: label -2"),
    "a fraction": ({"y": np.array([0, 0.5, np.nan, 1, 0, 0])}, cs.WrongTypeError, "row 1: 0.5.*-1"),
    "complex": ({"y": np.zeros(6, dtype=complex)}, cs.WrongTypeError, "complex128.*-1"),
    "an unknown name": ({"y": ["no", "yes", "no", "no", "no", "no"]}, cs.InvalidArgumentError, "row 0.*'no'"),
    "ragged": ({"y": [[0], [0, 1], 0, 0, 0, 0]}, cs.InvalidArgumentError, "y"),
    "a number": ({"y": 3}, cs.InvalidArgumentError, "y"),
}


@pytest.mark.parametrize("kind", ["floats", "a nullable series", "objects"])
def test_what_is_unknown_may_be_missing(kind):
    table, y = binary(300)
    known = np.arange(300) < 60
    gold = np.where(known, y, np.nan)
    if kind == "a nullable series":
        gold = pytest.importorskip("pandas").Series(gold).astype("Int64")
    elif kind == "objects":
        gold = np.where(known, y, None)
    model = cs.LabelModel(n_classes=2, method="em").fit(table, y=gold)
    expected = cs.LabelModel(n_classes=2, method="em").fit(table, y=np.where(known, y, -1))
    np.testing.assert_array_equal(model.emission_, expected.emission_)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_gold_is_a_typed_error_that_names_the_row(name):
    arguments, error, culprit = WRONG[name]
    with pytest.raises(error, match=culprit):
        cs.LabelModel(n_classes=2).fit(VOTES["kind"], **arguments)


@pytest.mark.parametrize(
    ("y", "culprit"),
    [
        ([0] * 6, "dict"),
        ({"size": [0] * 6}, "'size'"),
        ({}, "tasks"),
        ({"kind": [-1, 1, -1, -1, -1, -1], "job": [-1, 0, -1, -1, -1, -1]}, "row 1.*'org'.*'doctor'"),
        ({"job": [3, 0, 0, 0, 0, 0]}, "job.*row 0: label 3"),
    ],
)
def test_wrong_gold_of_several_tasks_is_a_typed_error(y, culprit):
    with pytest.raises(cs.InvalidArgumentError, match=culprit):
        cs.LabelModel(task_graph=family()).fit(VOTES, y=y)


def test_gold_for_votes_that_are_not_kept_apart_is_a_typed_error():
    table, y = binary(100)
    with pytest.raises(cs.InvalidArgumentError, match="statistics"):
        cs.LabelModel().fit(cs.VoteStatistics.of(table), y=y)
    with pytest.raises(cs.InvalidArgumentError, match="chunks"):
        cs.LabelModel(n_classes=2).fit(iter([table]), y=y)
    with pytest.raises(cs.InvalidArgumentError, match="majority"):
        cs.LabelModel(n_classes=2, method="majority").fit(table, y=y)


def test_gold_that_contradicts_every_vote_is_believed():
    table, y = binary(500, (0.9,) * 5, coverage=1.0)
    model = cs.LabelModel(n_classes=2, method="em").fit(table, y=1 - y)
    assert (model.accuracy_ < 0.2).all()
    assert np.isfinite(model.predict_proba(table)).all()


def test_gold_where_votes_are_missing_tells_the_class_balance():
    table, y = binary(2000, balance=0.8)
    table[:500] = -1
    gold = np.where(np.arange(2000) < 500, y, -1)
    model = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(table, y=gold)
    assert model.class_balance_[0] == pytest.approx(0.8, abs=0.04)


def test_intervals_know_which_labels_were_known():
    hits, widths = [], []
    for seed in range(40):
        table, y = binary(1000, (0.75, 0.7, 0.7, 0.65), seed=seed, balance=0.6, coverage=0.9)
        model = cs.LabelModel(n_classes=2, method="em").fit(table, y=some_of(y, 600, seed))
        low, high = model.accuracy_interval_.T
        hits.append((low < [0.75, 0.7, 0.7, 0.65]) & (high > [0.75, 0.7, 0.7, 0.65]))
        widths.append(high - low)
    assert np.mean(hits) == pytest.approx(0.95, abs=0.05)  # 160 intervals of 40 draws
    without = cs.LabelModel(n_classes=2, method="em").fit(table)
    assert np.mean(widths) < 0.6 * np.mean(np.diff(without.accuracy_interval_))


@pytest.mark.parametrize("classes", [[1, 2], [1, 0], [0.5, 1.0], [True, False], ["no", "yes"]])
@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.bool_])
def test_numbers_are_indices_whatever_the_classes_are_called(classes, dtype):
    graph = cs.TaskGraph({"label": classes})
    numbers = np.array([1, 0, 1], dtype=dtype)
    of_objects = read_gold([*numbers.tolist(), None], 4, graph)
    of_numpy = read_gold(np.array([*numbers, None], dtype=object), 4, graph)
    expected = read_gold(numbers, 3, graph)
    assert expected.masks[expected.at].argmax(axis=1).tolist() == [1, 0, 1]
    for found in (of_objects, of_numpy):
        assert found.at.tolist() == [*expected.at, -1]
        np.testing.assert_array_equal(found.masks, expected.masks)


@pytest.mark.parametrize("odd", [0.5, 2**80, np.inf, -(2.0**40), [0]])
def test_objects_that_are_no_index_and_no_name_are_a_typed_error_that_names_the_row(odd):
    y = np.empty(3, dtype=object)
    y[:] = [0, None, None]
    y[1] = odd
    with pytest.raises(cs.ConsilienceError, match="row 1"):
        read_gold(y, 3, cs.TaskGraph({"label": [1, 2]}))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.filterwarnings("ignore:the rows of earlier votes")
def test_further_items_for_a_model_with_gold_are_a_typed_error_that_changes_nothing(method, saved, tmp_path):
    table, y = binary(500)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 60))
    if saved:
        model.save(tmp_path / "model")
        model = cs.load(tmp_path / "model")
    before = model.emission_.tobytes()
    with pytest.raises(cs.InvalidArgumentError, match=r"gold labels of 60 items.*to fit"):
        model.partial_fit(table)
    assert model.emission_.tobytes() == before
    if method != "em":  # which lacks the rows of fit, with gold and without
        model.fit(table, y=np.full(500, -1)).partial_fit(table)


@pytest.mark.parametrize("method", METHODS)
def test_label_uncertainty_of_a_model_with_gold_is_a_typed_error_since_refits_have_none(method):
    table, y = binary(500)
    model = cs.LabelModel(n_classes=2, method=method).fit(table, y=some_of(y, 60))
    with pytest.raises(cs.InvalidArgumentError, match=r"gold labels of 60 items.*votes alone"):
        model.label_uncertainty(table)


def test_a_plan_has_the_errors_of_the_intervals_with_gold_too():
    table, y = binary(1000, (0.75, 0.7, 0.7, 0.65), balance=0.6, coverage=0.9)
    model = cs.LabelModel(n_classes=2, method="em").fit(table, y=some_of(y, 600))
    low, high = model.accuracy_interval_.T
    np.testing.assert_allclose(model.plan(0.01).errors, (high - low) / 2 / QUANTILE, rtol=1e-9)


def test_gold_and_weights_as_series_go_by_the_index_of_the_votes():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 200)
    table = np.where(rng.random((200, 4)) < 0.7, label[:, None], 1 - label[:, None])
    names = np.array([f"item {i}" for i in range(200)])
    votes = pandas.DataFrame(table, columns=list("abcd"), index=names)
    gold = pandas.Series(np.where(np.arange(200) < 60, label, -1), index=names)
    weights = pandas.Series(np.arange(200) % 3 + 1, index=names)
    order = rng.permutation(200)
    plain = cs.LabelModel(n_classes=2).fit(table, weights.to_numpy(), gold.to_numpy())
    shuffled = cs.LabelModel(n_classes=2).fit(
        pandas.DataFrame(table, columns=list("abcd"), index=names), weights.iloc[order], gold.iloc[order]
    )
    np.testing.assert_array_equal(shuffled.predict_proba(votes), plain.predict_proba(table))
    by_task = cs.LabelModel(n_classes=2).fit(votes, weights.iloc[order], {"label": gold.iloc[order]})
    np.testing.assert_array_equal(by_task.predict_proba(votes), plain.predict_proba(table))
    counted = cs.VoteStatistics.of(votes, weights.iloc[order], n_classes=2)
    assert counted.to_bytes() == cs.VoteStatistics.of(votes, weights, n_classes=2).to_bytes()
    with pytest.raises(cs.InvalidArgumentError, match=r"y has no item 'item 0'"):
        cs.LabelModel(n_classes=2).fit(votes, y=gold.reset_index(drop=True))


@pytest.mark.parametrize(
    ("k", "accuracies"), [(2, (0.9, 0.3, 0.25, 0.35, 0.3, 0.4)), (3, (0.9, 0.1, 0.15, 0.05, 0.2, 0.7))]
)
def test_eight_gold_labels_tell_sources_from_their_opposites(k, accuracies):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, k, 2000)
        wrong = (y[:, None] + rng.integers(1, k, (2000, 6))) % k
        votes = np.where(rng.random((2000, 6)) < accuracies, y[:, None], wrong)
        gold = np.where(np.arange(2000) < 8, y, -1)
        model = cs.LabelModel(n_classes=k).fit(votes, y=gold)
        assert (model.predict(votes) == y).mean() > 0.85
