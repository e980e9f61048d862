"""Sources with few votes are drawn towards the others, and only they are."""

import itertools
from math import comb

import numpy as np
import pytest
from enumeration import draw, single_task

import consilience as cs
from consilience.shrinkage import FEW_VOTES, MIN_SOURCES, first_prior, learned_prior, weight_of_population


def beta_binomial(votes, accuracy, weight):
    """Chances of 0, 1, ..., votes right ones, from products."""
    rises = lambda x, r: np.prod([x + i for i in range(r)])  # noqa: E731
    a, b = accuracy * weight, (1 - accuracy) * weight
    return [
        comb(votes, r) * rises(a, r) * rises(b, votes - r) / rises(weight, votes) for r in range(votes + 1)
    ]


@pytest.mark.parametrize(("accuracy", "weight"), [(0.8, 6.0), (0.7, 12.0)])
def test_the_spread_of_beta_binomial_counts_is_the_one_that_weights_are_solved_for(accuracy, weight):
    votes = np.array([3, 5, 8])
    chances = [beta_binomial(n, accuracy, weight) for n in votes.tolist()]
    total, m, mean_spread = votes.sum(), len(votes), 0.0
    for right in itertools.product(*(range(n + 1) for n in votes.tolist())):
        p = np.prod([chance[r] for chance, r in zip(chances, right, strict=True)])
        mean = sum(right) / total
        mean_spread += p * float((votes * (np.array(right) / votes - mean) ** 2).sum())
    rho = 1 / (weight + 1)
    by_formula = (1 - rho) * (m - 1) + rho * (total - (votes**2).sum() / total)
    assert mean_spread == pytest.approx(accuracy * (1 - accuracy) * by_formula, rel=1e-10)


def test_the_weight_of_a_population_is_found():
    rng = np.random.default_rng(0)
    votes = rng.integers(2, 60, 4000).astype(float)
    right = rng.binomial(votes.astype(int), rng.beta(0.8 * 9, 0.2 * 9, 4000)).astype(float)
    mean, weight = weight_of_population(right, votes)
    assert mean == pytest.approx(0.8, abs=0.01)
    assert weight == pytest.approx(9, rel=0.15)


def test_the_prior_fades_with_votes_and_is_gone_where_they_suffice():
    votes = np.array([0.0, 1, 25, FEW_VOTES, 1e6, 5])
    learned = np.array([True] * 5 + [False])
    prior = learned_prior(0.8 * votes, votes, learned)
    weight = prior.votes
    assert weight[1] > weight[2] > 0
    assert not weight[[0, 3, 4, 5]].any()


def test_there_is_no_prior_where_no_source_has_few_votes_or_hardly_any_is_there():
    enough = np.full(8, FEW_VOTES)
    assert first_prior(enough, np.ones(8, bool)) is None
    few = np.full(MIN_SOURCES - 1, 3.0)
    assert first_prior(few, np.ones(len(few), bool)) is None


def long_tail(k, n, seed, m=60):
    """Votes of a crowd in which few workers cast most votes."""
    rng = np.random.default_rng(seed)
    share = rng.pareto(0.7, m) + 0.05
    accuracy, y = rng.beta(6, 2.5, m), rng.choice(k, n)
    # A plan: of each item, the five workers with the least of exponential times.
    who = (rng.exponential(size=(n, m)) / share).argsort(axis=1)[:, :5]
    votes = np.full((n, m), -1)
    right = rng.random((n, 5)) < accuracy[who]
    wrong = (y[:, None] + rng.integers(1, k, (n, 5))) % k
    votes[np.arange(n)[:, None], who] = np.where(right, y[:, None], wrong)
    return votes, y


def test_labels_of_a_crowd_with_a_long_tail_are_better_than_by_likelihood_alone(monkeypatch):
    def loss():
        losses = []
        for seed in range(3):
            votes, y = long_tail(4, 500, seed)
            soft = cs.LabelModel(n_classes=4, method="em").fit(votes).predict_proba(votes)
            losses.append(-np.log(np.maximum(soft[np.arange(len(y)), y], 1e-6)).mean())
        return np.mean(losses)

    drawn = loss()
    monkeypatch.setattr("consilience.likelihood.first_prior", lambda votes, learned: None)
    assert drawn < loss() - 0.02


def test_a_source_with_three_votes_is_not_taken_to_be_always_right():
    exact = single_task(np.random.default_rng(0), 2, 6)
    votes, y = draw(np.random.default_rng(1), exact, 3000)
    few = np.full((len(votes), 1), -1)
    few[:3, 0] = y[:3]
    votes = np.hstack([votes, few])
    model = cs.LabelModel(n_classes=2, method="em").fit(votes)
    assert 0.6 < model.accuracy_[-1] < 0.97
    without = cs.LabelModel(n_classes=2, method="em").fit(votes[:, :-1])
    np.testing.assert_allclose(model.accuracy_[:-1], without.accuracy_, atol=2e-3)


@pytest.mark.parametrize("few", [True, False])
def test_where_em_does_not_settle_one_is_told_what_sources_with_few_votes_are_drawn_to(few, monkeypatch):
    for module in ("em", "likelihood"):
        monkeypatch.setattr(f"consilience.{module}.MAX_PASSES", 2)
    monkeypatch.setattr("consilience.em.TRIAL_PASSES", 1)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    table = np.where(rng.random((500, 9)) < 0.72, y[:, None], 1 - y[:, None])
    table[rng.random(table.shape) < 0.3] = -1
    if few:
        table[20:, 7:] = -1
    with pytest.warns(cs.ConvergenceWarning, match="EM stopped after") as met:
        model = cs.LabelModel(n_classes=2, method="em").fit(table)
    (warning,) = [str(one.message) for one in met]
    assert warning in model.summary().notes
    assert (
        "fewer than 50 votes are drawn towards an accuracy of 70%, not towards the others" in warning
    ) is few
