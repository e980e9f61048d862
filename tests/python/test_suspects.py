"""Which pairs of sources a summary names as hanging together: dependent ones, and hardly any other."""

import numpy as np
import pytest

import consilience as cs


def votes_of(seed, n, k, *, copied=0.0):
    """Votes of ten sources on classes of uneven frequency; the second repeats a share of the first's."""
    rng = np.random.default_rng(seed)
    balance = rng.dirichlet(np.ones(k)) + 0.2 / k
    balance /= balance.sum()
    label = rng.choice(k, n, p=balance)[:, None]
    accuracy = rng.uniform(0.6, 0.9, 10)
    votes = np.where(rng.random((n, 10)) < accuracy, label, rng.integers(0, k, (n, 10)))
    votes[rng.random(votes.shape) > 0.8] = -1
    repeats = rng.random(n) < copied
    votes[repeats, 1] = votes[repeats, 0]
    return votes, balance


def suspects(seed, n, k, **arguments):
    votes, balance = votes_of(seed, n, k, **arguments)
    model = cs.LabelModel(n_classes=k, method="moments", class_balance=balance, dependencies=[]).fit(votes)
    return [note for note in model._fitted().fit.remarks if "hang together" in note]


@pytest.mark.parametrize(("n", "k"), [(1000, 2), (1000, 20), (5000, 20), (5000, 50), (5000, 100)])
def test_independent_sources_are_not_said_to_hang_together(n, k):
    assert not any(suspects(seed, n, k) for seed in range(4))


@pytest.mark.parametrize(("n", "k"), [(2000, 2), (2000, 20), (2000, 50)])
def test_a_source_that_repeats_another_now_and_then_is_named_with_it(n, k):
    for seed in range(3):
        (note,) = suspects(seed, n, k, copied=0.3)
        assert "explain: source 0 and source 1 (" in note
