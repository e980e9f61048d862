"""Plans: how many items an error takes, and which sources no number of items settles."""

import numpy as np
import pytest
from enumeration import draw, single_task
from test_cautious import one_sided_votes

import consilience as cs
from consilience.intervals import QUANTILE
from consilience.planning import plan_items


def fit(exact, n, seed=1, method="moments"):
    votes, _ = draw(np.random.default_rng(seed), exact, n)
    model = cs.LabelModel(n_classes=2, method=method, class_balance=exact.class_balance)
    return model.fit(votes)


@pytest.fixture(scope="module")
def exact():
    return single_task(np.random.default_rng(0), 2, 6)


def test_a_plan_holds_on_the_number_of_items_that_it_names(exact):
    plan = fit(exact, 2000).plan(0.01)
    assert plan.n_items > 2000  # such an error is not there yet
    errors = fit(exact, plan.n_items).plan(0.01).errors
    assert errors.max() == pytest.approx(0.01, rel=0.15)
    errors = fit(exact, plan.n_items_rms).plan(0.01).errors
    assert np.sqrt((errors**2).mean()) == pytest.approx(0.01, rel=0.15)


def test_the_actual_error_is_what_was_planned(exact):
    n = fit(exact, 4000).plan(0.02).n_items_rms
    truth = np.array([_accuracy(exact, j) for j in range(6)])
    off = np.array([fit(exact, n, seed=s).accuracy_ - truth for s in range(60)])
    # 60 draws of 6 errors: the root mean square has a standard error of about 4 %.
    assert np.sqrt((off**2).mean()) == pytest.approx(0.02, rel=0.2)


def _accuracy(exact, j):
    joint = exact.sources[j].table[:-1] * exact.class_balance
    return np.trace(joint) / joint.sum()


def test_errors_are_those_of_the_intervals_and_fall_with_the_root_of_the_items(exact):
    model = fit(exact, 4000, method="em")
    plan = model.plan(0.005)
    low, high = model.accuracy_interval_.T
    np.testing.assert_allclose(plan.errors, (high - low) / 2 / QUANTILE, rtol=1e-9)
    np.testing.assert_allclose(plan.n_by_source, 4000 * (plan.errors / 0.005) ** 2, atol=1)
    assert plan.n_items == max(plan.n_by_source)
    assert model.plan(0.01).n_items == pytest.approx(plan.n_items / 4, abs=1)


def test_sources_that_are_not_learned_never_are():
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel(n_classes=2).fit(np.repeat([[0, 0], [1, 1], [0, 1]], 100, axis=0))
    plan = model.plan(0.01)
    assert plan.n_items is plan.n_items_rms is None
    assert plan.never == model.source_names_
    assert [row["items"] for row in plan] == [None, None]
    assert "No number of such items" in str(plan)
    assert "identifiability_.advice" in str(plan)


def test_a_source_that_never_votes_does_not_hide_what_the_others_need(exact):
    votes, _ = draw(np.random.default_rng(0), exact, 2000)
    model = cs.LabelModel(n_classes=2, method="moments").fit(np.column_stack([votes, np.full(2000, -1)]))
    plan = model.plan(0.01)
    assert plan.n_items is None
    assert plan.n_items_rms > 2000
    assert plan.never == ("source 6",)


def test_a_cautious_fit_says_what_its_plan_rests_on():
    votes, _ = one_sided_votes(copies=0.3)
    plan = cs.LabelModel(n_classes=2).fit(votes).plan(0.01)
    assert "cautious" in str(plan)
    assert all(len(line) <= 80 for line in str(plan).splitlines())


def plan_of(errors, learned, *, n=100, target=0.1, **options):
    options.setdefault("is_cautious", False)
    m = len(errors)
    half = QUANTILE * np.array(errors)
    intervals = np.column_stack([0.5 - half, 0.5 + half])
    known = np.array(learned)
    return plan_items(target, np.full(m, 0.5), intervals, known, known, n, list("abcdef")[:m], **options)


def test_what_is_told_of_a_cautious_fit_is_told_as_if_sources_were_independent():
    own = {"is_cautious": True}
    assert plan_of([0.2, 0.2], [True, True], **own).in_words() == (
        "If sources were independent: 400 items for a standard error of 0.1 of every accuracy (root mean "
        "square: 400 items); 100 seen"
    )
    assert plan_of([0.2, 0.2], [True, False], **own).in_words() == (
        "No number of such items gives a standard error of 0.1 of every accuracy; if sources were "
        "independent, 400 items do for the root mean square of those that are learned; 100 seen"
    )
    # Here no number of items is told.
    nothing = "No number of such items gives a standard error of 0.1"
    assert plan_of([0.2, 0.2], [False, False], **own).in_words() == nothing


def test_what_is_told_of_another_fit_presumes_nothing():
    own = {"is_cautious": False}
    for learned in ([True, True], [True, False], [False, False]):
        assert "independent" not in plan_of([0.2, 0.2], learned, **own).in_words()
    assert " 1 item does for the root mean" in plan_of([0.01, 0.2], [True, False], **own).in_words()


def test_a_plan_is_not_cautious_unless_it_says_so():
    plan = cs.Plan(0.1, 400, 400, np.array([0.2]), (400,), 100, (), ("a",), ())
    assert not plan.is_cautious
    assert plan.in_words().startswith("400 items for")


@pytest.mark.parametrize(("n", "seen"), [(10**7, "10000000"), (1e7, "10000000"), (1e7 + 0.5, "10000000.5")])
def test_items_that_were_seen_are_told_in_digits(n, seen):
    assert plan_of([0.2], [True], n=n).in_words().endswith(f"; {seen} seen")


def test_a_learned_interval_from_0_to_1_is_a_lower_end():
    learned = np.ones(2, dtype=bool)
    plan = plan_items(
        0.1,
        np.array([0.5, 0.9]),
        np.array([[0.0, 1.0], [0.7, 1.0]]),
        learned,
        learned,
        100,
        ["a", "b"],
        is_cautious=False,
    )
    # The side that is not cut is the true one.
    np.testing.assert_allclose(plan.errors, np.array([0.5, 0.2]) / QUANTILE)
    assert "known yet of 'a': at least so many items" in str(plan)


@pytest.mark.parametrize("target", [1e-9, 1e-300, 5e-324])
def test_a_target_that_takes_more_items_than_there_are_numbers_for_is_not_called_hopeless(exact, target):
    plan = fit(exact, 2000).plan(target)
    assert plan.n_items is plan.n_items_rms is None
    assert plan.never == ()
    text = str(plan)
    assert text.startswith("More than 9e15 items for a standard error of")
    assert "however many" not in text
    assert "more than 9e15 items: 'source 0'" in text


def test_a_plan_of_sources_beyond_reach_and_others_that_never_vote_tells_them_apart(exact):
    votes, _ = draw(np.random.default_rng(0), exact, 2000)
    model = cs.LabelModel(n_classes=2, method="moments").fit(np.column_stack([votes, np.full(2000, -1)]))
    plan = model.plan(1e-9)
    assert plan.never == ("source 6",)
    assert str(plan).startswith("No number of such items gives")
    assert "not learned from such items, however many: 'source 6'" in str(plan)


def test_a_coarse_target_takes_one_item(exact):
    assert fit(exact, 2000).plan(0.99).in_words().startswith("1 item for a standard error of 0.99")


@pytest.mark.parametrize("target", [0, 1, -0.1, 2.0, float("nan")])
def test_a_target_that_is_no_error_is_refused(target, exact):
    with pytest.raises(cs.InvalidArgumentError, match="target_error must lie between 0 and 1"):
        fit(exact, 500).plan(target)


def test_a_target_that_is_no_number_is_refused(exact):
    with pytest.raises(cs.WrongTypeError, match="target_error must be a number, got str"):
        fit(exact, 500).plan("small")
