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
