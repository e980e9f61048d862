"""Whether sources are what they seem or the opposite: by their sum, third moments, or a trusted source."""

import numpy as np
import pytest
from enumeration import Source, single_task, table_error

import consilience as cs


def adversarial(rng, *, n_bad=6, n_good=4):
    """Two classes; most sources are right less often than wrong."""
    bad, good = rng.uniform(0.2, 0.4, n_bad), rng.uniform(0.65, 0.85, n_good)
    sources = []
    for accuracy in (*bad, *good):
        coverage = rng.uniform(0.5, 0.9)
        votes = coverage * np.array([[accuracy, 1 - accuracy], [1 - accuracy, accuracy]])
        sources.append(Source(np.array([[0], [1]]), np.vstack([votes, 1 - votes.sum(axis=0)])))
    return sources


def drawn(rng, balance, n, **arguments):
    """Votes of such sources, without the enumeration that ten sources would need."""
    sources = adversarial(rng, **arguments)
    y = rng.choice(2, n, p=balance)
    table = np.empty((n, len(sources)), dtype=int)
    for j, source in enumerate(sources):
        edges = np.cumsum(source.table, axis=0)[:, y]
        table[:, j] = np.array([0, 1, -1])[(rng.random(n) >= edges[:2]).sum(axis=0)]
    return table, y


METHODS = ["moments", "completion", "em", "auto"]


@pytest.mark.parametrize("method", METHODS)
def test_third_moments_overrule_a_majority_of_adversarial_sources_and_say_so(method):
    table, y = drawn(np.random.default_rng(0), [0.8, 0.2], 20_000)
    model = cs.LabelModel(n_classes=2, class_balance=[0.8, 0.2], method=method)
    with pytest.warns(cs.SignWarning, match="'source 0'.*trusted="):
        model.fit(table)
    assert (model.accuracy_[6:] > 0.6).all()
    assert (model.predict(table) == y).mean() > 0.85
    assert set(model.identifiability_.sign_rules) == {"third moments"}
    assert "third moments" in str(model.identifiability_)


def test_the_default_does_not_follow_third_moments_of_votes_that_hang_together():
    rng = np.random.default_rng(2)
    table, y = drawn(rng, [0.8, 0.2], 20_000, n_bad=2, n_good=8)
    # Most sources repeat one habit, which has nothing to do with the label, half of the time.
    habit = rng.integers(0, 2, len(y))
    follows = rng.random(table.shape) < np.linspace(0.3, 0.7, 10)
    table = np.where(follows & (table >= 0), habit[:, None], table)
    model = cs.LabelModel(n_classes=2, class_balance=[0.8, 0.2]).fit(table)
    assert model._fitted().fit.parts
    assert set(model.identifiability_.sign_rules) == {"plain vote"}


@pytest.mark.parametrize("method", METHODS)
def test_an_honest_majority_is_left_alone(method):
    table, y = drawn(np.random.default_rng(1), [0.8, 0.2], 20_000, n_bad=2, n_good=8)
    model = cs.LabelModel(n_classes=2, class_balance=[0.8, 0.2], method=method).fit(table)
    assert (model.predict(table) == y).mean() > 0.85
    assert set(model.identifiability_.sign_rules) == {"sum"}


def test_a_contradiction_within_noise_is_not_followed():
    table, _ = drawn(np.random.default_rng(0), [0.55, 0.45], 1000)
    model = cs.LabelModel(n_classes=2, class_balance=[0.55, 0.45], method="moments").fit(table)
    assert model.identifiability_.sign_rules == ("sum",)


@pytest.mark.parametrize("balance", ["uniform", None])
def test_two_classes_of_even_or_unknown_balance_leave_the_sign_to_the_sum(balance):
    table, _ = drawn(np.random.default_rng(0), [0.8, 0.2], 20_000)
    model = cs.LabelModel(n_classes=2, class_balance=balance, method="moments").fit(table)
    assert model.identifiability_.sign_rules == ("sum",)
    if balance is None:  # the opposite of the truth, which gives the same votes
        assert model.class_balance_[1] == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("balance", [None, [0.5, 0.3, 0.2], "uniform"])
def test_three_classes_tell_the_sign_by_the_sum_of_their_shares(balance):
    """Sources that mostly vote for classes that are not the true one."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 30_000, p=[1 / 3] * 3 if balance == "uniform" else [0.5, 0.3, 0.2])
    wrong = (y[:, None] + rng.integers(1, 3, (len(y), 8))) % 3
    table = np.where(rng.random((len(y), 8)) < np.array([0.1] * 5 + [0.7] * 3), y[:, None], wrong)
    strength = 2 * (0.1 - 0.45) * 5 + 2 * (0.7 - 0.15) * 3
    assert strength < 0  # the sum rule is wrong
    with pytest.warns(cs.SignWarning):
        model = cs.LabelModel(n_classes=3, class_balance=balance, method="moments").fit(table)
    np.testing.assert_allclose(model.accuracy_, [0.1] * 5 + [0.7] * 3, atol=0.05)
    if balance is None:
        np.testing.assert_allclose(model.class_balance_, [0.5, 0.3, 0.2], atol=0.03)


@pytest.mark.parametrize("trusted", [7, "good", [7, 8], ["good", 9]])
@pytest.mark.parametrize("method", METHODS)
def test_a_trusted_source_decides_the_sign(method, trusted):
    table, y = drawn(np.random.default_rng(0), [0.6, 0.4], 5000)
    names = [f"s{j}" for j in range(10)]
    names[7] = "good"
    votes = cs.Votes.from_dense(table, n_classes=2, source_names=names)
    model = cs.LabelModel(n_classes=2, method=method, trusted=trusted).fit(votes)
    assert (model.accuracy_[6:] > 0.6).all()
    assert (model.predict(votes) == y).mean() > 0.8
    assert set(model.identifiability_.sign_rules) == {"trusted"}
    assert "trusted source" in str(model.identifiability_)
    assert model.class_balance_[0] == pytest.approx(0.6, abs=0.06)


def test_a_trusted_source_overrules_third_moments():
    table, _ = drawn(np.random.default_rng(0), [0.8, 0.2], 20_000)
    model = cs.LabelModel(n_classes=2, class_balance=[0.8, 0.2], method="moments", trusted=0).fit(table)
    assert model.accuracy_[0] > 0.5
    assert model.identifiability_.sign_rules == ("trusted",)


def test_several_trusted_sources_count_by_what_they_tell():
    table, _ = drawn(np.random.default_rng(0), [0.5, 0.5], 5000)
    model = cs.LabelModel(n_classes=2, method="moments", trusted=[0, 6, 7, 8, 9]).fit(table)
    assert (model.accuracy_[6:] > 0.6).all()


def test_a_trusted_copy_counts_like_what_it_repeats():
    table, _ = drawn(np.random.default_rng(0), [0.5, 0.5], 5000)
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel(n_classes=2, method="moments", trusted=10).fit(
            np.column_stack([table, table[:, 7]])
        )
    assert (model.accuracy_[6:] > 0.6).all()


def test_a_trusted_source_without_votes_leaves_the_sign_to_the_sum():
    table, _ = drawn(np.random.default_rng(1), [0.5, 0.5], 5000, n_bad=0, n_good=5)
    table[:, 2] = -1
    model = cs.LabelModel(n_classes=2, method="moments", trusted=2).fit(table)
    assert (model.accuracy_[[0, 1, 3, 4]] > 0.6).all()
    assert model.identifiability_.sign_rules == ("sum",)


def votes_with_a_habit(rng, k, *, n=5000, n_bad=6, n_good=1, bad=(0.1, 0.3), habit=0.5, coverage=0.8):
    """Adversarial sources that vote alike on some of the items, right or wrong; then good ones."""
    y = rng.integers(0, k, n)
    accuracy = np.concatenate([rng.uniform(*bad, n_bad), rng.uniform(0.7, 0.85, n_good)])
    wrong = (y[:, None] + rng.integers(1, k, (n, len(accuracy)))) % k
    table = np.where(rng.random((n, len(accuracy))) < accuracy, y[:, None], wrong)
    table[:, :n_bad] = np.where(rng.random((n, 1)) < habit, table[:, :1], table[:, :n_bad])
    table[rng.random(table.shape) > coverage] = -1
    return table, y


def one_sided_with_a_habit(rng, k, *, n=5000, n_bad=6, n_good=3):
    """The same for sources that vote for one class each."""
    y, m = rng.integers(0, k, n), n_bad + n_good
    table = np.full((n, m), -1)
    for j in range(m):
        rates = (0.08, 0.4) if j < n_bad else (0.4, 0.08)
        table[rng.random(n) < np.where(y == j % k, *rates), j] = j % k
    for j in range(n_bad):
        copied = rng.random(n) < 0.4
        table[copied, j] = table[copied, (j + k) % n_bad]
    return table, y


@pytest.mark.parametrize(
    ("draw", "k", "trusted", "before", "after"),
    [
        (votes_with_a_habit, 2, [6], 0.2, 0.8),
        (votes_with_a_habit, 3, [6], 0.2, 0.58),
        (one_sided_with_a_habit, 2, [6], 0.35, 0.7),
        (one_sided_with_a_habit, 3, [6, 7, 8], 0.25, 0.6),
    ],
)
def test_a_trusted_source_turns_a_cautious_fit_that_holds_it_worse_than_chance(
    draw, k, trusted, before, after, tmp_path
):
    table, y = draw(np.random.default_rng(0), k)
    plain, model = (cs.LabelModel(n_classes=k, trusted=one).fit(table) for one in (None, trusted))
    assert plain._fitted().fit.parts
    assert model._fitted().fit.parts
    assert (plain.predict(table) == y).mean() < before
    assert (model.predict(table) == y).mean() > after
    assert plain.identifiability_.sign_rules == ("plain vote",)
    assert (model.accuracy_[:6] < plain.accuracy_[:6]).all()
    assert model.accuracy_[6] > max(plain.accuracy_[6], 1 / k)
    assert any("speak against what they say" in note for note in model.summary().notes)
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.predict_proba(table).tobytes() == model.predict_proba(table).tobytes()
    for one in (model, again):
        assert set(one.abstentions_) <= {"averaged", "missing"}
        assert one.identifiability_.sign_rules == ("trusted",)
        assert "trusted source, which" in str(one.identifiability_)


@pytest.mark.parametrize("k", [2, 3])
def test_a_turned_fit_does_not_depend_on_the_order_of_the_sources(k):
    rng = np.random.default_rng(1)
    table, _ = votes_with_a_habit(rng, k, n=1500, n_good=2)
    order = rng.permutation(table.shape[1])
    first = cs.LabelModel(n_classes=k, trusted=7).fit(table)
    second = cs.LabelModel(n_classes=k, trusted=int(np.flatnonzero(order == 7)[0])).fit(table[:, order])
    assert first.identifiability_.sign_rules == second.identifiability_.sign_rules == ("trusted",)
    np.testing.assert_allclose(first.accuracy_[order], second.accuracy_, atol=1e-8)
    np.testing.assert_allclose(first.predict_proba(table), second.predict_proba(table[:, order]), atol=1e-8)


@pytest.mark.parametrize("k", [2, 3])
def test_trusting_sources_that_a_cautious_fit_takes_to_be_good_changes_nothing(k):
    table, _ = votes_with_a_habit(np.random.default_rng(0), k, bad=(0.6, 0.8))
    plain, model = (cs.LabelModel(n_classes=k, trusted=trusted).fit(table) for trusted in (None, [2, 6]))
    assert plain._fitted().fit.parts
    assert model.predict_proba(table).tobytes() == plain.predict_proba(table).tobytes()
    assert model.identifiability_.sign_rules == ("trusted",)


def test_a_source_of_another_task_is_not_turned_with_a_trusted_one():
    rng = np.random.default_rng(0)
    drawn_tasks = [votes_with_a_habit(rng, 2, n=4000) for _ in range(2)]
    silent = np.full((4000, 7), -1)
    tables = {
        "a": np.column_stack([drawn_tasks[0][0], silent]),
        "b": np.column_stack([silent, drawn_tasks[1][0]]),
    }
    model = cs.LabelModel(task_graph=cs.TaskGraph({"a": 2, "b": 2}), trusted=6).fit(tables)
    assert model._fitted().fit.parts
    labels = model.predict(tables)
    assert (labels["a"] == drawn_tasks[0][1]).mean() > 0.8
    assert (labels["b"] == drawn_tasks[1][1]).mean() < 0.2
    assert sorted(model.identifiability_.sign_rules) == ["plain vote", "trusted"]


def test_one_trusted_annotator_turns_a_large_crowd():
    rng = np.random.default_rng(0)
    table, y = votes_with_a_habit(rng, 3, n=1000, n_bad=60, n_good=20, habit=0.0, coverage=0.06)
    assert (cs.LabelModel(n_classes=3).fit(table).predict(table) == y).mean() < 0.3
    model = cs.LabelModel(n_classes=3, trusted=60).fit(table)
    assert (model.predict(table) == y).mean() > 0.6


@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
def test_a_trusted_source_that_shares_no_item_with_others_turns_nothing():
    table, _ = votes_with_a_habit(np.random.default_rng(0), 2, n=2000)
    table[1000:, :6], table[:1000, 6] = -1, -1
    plain, model = (cs.LabelModel(n_classes=2, trusted=trusted).fit(table) for trusted in (None, 6))
    assert model.predict_proba(table).tobytes() == plain.predict_proba(table).tobytes()
    assert "trusted" not in model.identifiability_.sign_rules


def test_each_unrelated_task_has_its_own_sign_and_its_own_trusted_source():
    graph = cs.TaskGraph({"a": 2, "b": 2})
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (20_000, 2))
    tables = {}
    for r, accuracy in enumerate(([0.2, 0.3, 0.25, 0.8], [0.7, 0.8, 0.75, 0.9])):
        right = rng.random((len(y), 4)) < accuracy
        tables[graph.tasks[r]] = np.where(right, y[:, r, None], 1 - y[:, r, None])
    tables["a"] = np.column_stack([tables["a"], np.full((len(y), 4), -1)])
    tables["b"] = np.column_stack([np.full((len(y), 4), -1), tables["b"]])
    model = cs.LabelModel(task_graph=graph, method="moments", class_balance="uniform", trusted=3).fit(tables)
    np.testing.assert_allclose(model.accuracy_, [0.2, 0.3, 0.25, 0.8, 0.7, 0.8, 0.75, 0.9], atol=0.03)
    assert sorted(model.identifiability_.sign_rules) == ["sum", "trusted"]


def test_exact_moments_of_adversarial_sources_on_three_classes_give_their_tables():
    rng = np.random.default_rng(0)
    exact = single_task(rng, 3, 5)
    for j in range(5):
        votes = np.where(np.eye(3, dtype=bool), *((0.05, 0.3) if j < 3 else (0.3, 0.2)))
        table = np.vstack([votes, 1 - votes.sum(axis=0)])
        exact = exact.with_source(j, Source(exact.sources[j].events, table))
    with pytest.warns(cs.SignWarning):
        model = cs.LabelModel(n_classes=3, method="moments").fit(exact.votes, weights=exact.weights)
    assert table_error(model, exact) < 1e-3


@pytest.mark.parametrize(
    ("trusted", "error", "culprit"),
    [
        (5, cs.InvalidArgumentError, "0..2, got 5"),
        (-1, cs.InvalidArgumentError, "got -1"),
        ("nobody", cs.InvalidArgumentError, "'nobody'"),
        ([0, "nobody"], cs.InvalidArgumentError, "'nobody'"),
        (1.5, cs.WrongTypeError, "1.5"),
        ([True], cs.WrongTypeError, "True"),
        (iter([1]), cs.WrongTypeError, "trusted"),
    ],
)
def test_a_wrong_trusted_source_is_an_error_that_names_it(trusted, error, culprit):
    table, _ = drawn(np.random.default_rng(0), [0.5, 0.5], 500, n_bad=0, n_good=3)
    with pytest.raises(error, match=culprit):
        cs.LabelModel(n_classes=2, trusted=trusted).fit(table)


@pytest.mark.parametrize("trusted", [7, [7, 8], np.array([7, 8]), None])
def test_a_saved_model_remembers_whom_it_trusted_and_which_rule_held(tmp_path, trusted):
    table, _ = drawn(np.random.default_rng(0), [0.6, 0.4], 3000)
    model = cs.LabelModel(n_classes=2, method="moments", trusted=trusted).fit(table)
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.identifiability_.sign_rules == model.identifiability_.sign_rules
    assert np.array_equal(again.trusted, trusted)
    assert again.predict_proba(table).tobytes() == model.predict_proba(table).tobytes()


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("trusted", [None, 0])
def test_sources_that_depend_on_each_other_have_a_say_in_the_sign(method, trusted):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 5000)
    right = rng.random((5000, 6)) < [0.85, 0.8, 0.85, 0.8, 0.42, 0.45]
    votes = np.where(right, label[:, None], 1 - label[:, None])
    for first, second in ((0, 1), (2, 3)):
        copied = rng.random(5000) < 0.4
        votes[copied, second] = votes[copied, first]
    votes[rng.random((5000, 6)) < 0.2] = -1
    given = {"dependencies": [(0, 1), (2, 3)], "trusted": trusted}
    model = cs.LabelModel(n_classes=2, method=method, **given).fit(votes)
    assert (model.predict(votes) == label).mean() > 0.85
