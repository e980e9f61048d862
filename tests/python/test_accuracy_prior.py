"""Beliefs about the accuracy of sources count as votes beside those observed."""

import numpy as np
import pytest

import consilience as cs


def binary(n=2000, accuracies=(0.8, 0.75, 0.7, 0.65, 0.6), seed=0, coverage=0.8):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    table = np.where(rng.random((n, len(accuracies))) < accuracies, y[:, None], 1 - y[:, None])
    return np.where(rng.random(table.shape) < coverage, table, -1), y


def learned(model):
    return model.class_balance_.tobytes(), model.emission_.tobytes(), model.accuracy_.tobytes()


@pytest.mark.parametrize("method", ["auto", "em"])
def test_beliefs_worth_no_vote_change_no_bit(method):
    table, _ = binary()
    model = cs.LabelModel(n_classes=2, method=method).fit(table)
    for nothing in ({}, {0: (0.9, 0)}, {0: (0.9, 0.0), "source 3": (0.2, 0)}):
        same = cs.LabelModel(n_classes=2, method=method, accuracy_prior=nothing).fit(table)
        assert learned(same) == learned(model)


@pytest.mark.parametrize("votes", [10, 1000])
def test_with_known_labels_beliefs_and_votes_are_added_up(votes):
    table, y = binary()
    model = cs.LabelModel(n_classes=2, method="em", accuracy_prior={1: (0.9, votes)}).fit(table, y=y)
    voted = table[:, 1] >= 0
    right = np.sum(table[voted, 1] == y[voted])
    expected = (right + 0.9 * votes) / (voted.sum() + votes)
    assert model.accuracy_[1] == pytest.approx(expected, abs=2e-4)  # PRIOR_COUNT
    without = cs.LabelModel(n_classes=2, method="em").fit(table, y=y)
    np.testing.assert_allclose(model.accuracy_[[0, 2, 3, 4]], without.accuracy_[[0, 2, 3, 4]], atol=1e-6)


@pytest.mark.parametrize("k", [2, 3])
def test_a_belief_beyond_doubt_decides_the_accuracy(k):
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, 3000)
    table = np.where(rng.random((3000, 5)) < 0.7, y[:, None], rng.integers(0, k, (3000, 5)))
    model = cs.LabelModel(n_classes=k, method="em", accuracy_prior={2: (0.9, 1e9)}).fit(table)
    assert model.accuracy_[2] == pytest.approx(0.9, abs=1e-3)
    assert np.isfinite(model.predict_proba(table)).all()


def test_beliefs_about_one_sided_sources_are_about_their_votes():
    rng = np.random.default_rng(0)
    y = (rng.random(6000) < 0.3).astype(int)
    table = np.full((6000, 6), -1)
    for j in range(6):  # three vote for each class
        right = (y == j % 2) & (rng.random(6000) < 0.4)
        table[right | (rng.random(6000) < 0.05), j] = j % 2
    model = cs.LabelModel(n_classes=2, method="em", accuracy_prior={1: (0.6, 1e7)}).fit(table)
    assert model.accuracy_[1] == pytest.approx(0.6, abs=0.02)


def test_beliefs_help_where_votes_are_few():
    errors = np.zeros(2)
    for seed in range(8):
        table, _ = binary(400, (0.8, 0.75, 0.7, 0.75), seed=seed, coverage=0.9)
        for i, beliefs in enumerate((None, dict.fromkeys(range(4), (0.75, 200)))):
            model = cs.LabelModel(n_classes=2, method="em", accuracy_prior=beliefs).fit(table)
            errors[i] += np.abs(model.accuracy_ - [0.8, 0.75, 0.7, 0.75]).sum()
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.filterwarnings("error")
def test_two_sources_are_learned_where_something_is_believed_of_them():
    table, y = binary(4000, (0.9, 0.6), coverage=1.0)
    model = cs.LabelModel(n_classes=2, method="em", accuracy_prior={0: (0.9, 1e4), 1: (0.6, 10)}).fit(table)
    np.testing.assert_allclose(model.accuracy_, [0.9, 0.6], atol=0.05)
    assert (model.predict(table) == y).mean() > 0.85


MOSTLY_POOR = (0.9, 0.3, 0.25, 0.35, 0.3)


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("beliefs", [{0: (0.9, 20)}, {0: (0.9, 2000)}, {1: (0.3, 100)}, "all"])
def test_beliefs_tell_sources_from_their_opposites(beliefs, method):
    table, y = binary(4000, MOSTLY_POOR, coverage=1.0)
    if beliefs == "all":
        beliefs = {j: (accuracy, 500) for j, accuracy in enumerate(MOSTLY_POOR)}
    model = cs.LabelModel(n_classes=2, method=method, accuracy_prior=beliefs).fit(table)
    assert (model.predict(table) == y).mean() > 0.9
    assert model.identifiability_.sign_rules == ("accuracy_prior",)
    assert "believed of sources" in str(model.identifiability_)


def test_beliefs_that_agree_with_the_start_leave_the_sign_to_it():
    table, _ = binary()
    model = cs.LabelModel(n_classes=2, accuracy_prior={0: (0.8, 100)}).fit(table)
    assert model.identifiability_.sign_rules == ("sum",)


def copying(seed=0, n=3000):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    first = np.where(rng.random(n) < 0.65, y, 1 - y)
    copies = [np.where(rng.random(n) < 0.9, first, rng.integers(0, 2, n)) for _ in range(4)]
    return np.column_stack(copies + [np.where(rng.random(n) < a, y, 1 - y) for a in (0.9, 0.85, 0.8)]), y


def test_beliefs_enter_the_cautious_fits():
    table, y = copying()
    without = cs.LabelModel(n_classes=2, dependencies=[]).fit(table)
    assert without._model.fit.parts
    beliefs = {**dict.fromkeys(range(4), (0.65, 100000.0)), **dict.fromkeys((4, 5, 6), (0.85, 100000.0))}
    model = cs.LabelModel(n_classes=2, dependencies=[], accuracy_prior=beliefs).fit(table)
    assert (model.predict(table) == y).mean() > (without.predict(table) == y).mean()
    assert model.accuracy_[4] > model.accuracy_[0]


def test_beliefs_about_a_copy_count_for_what_it_repeats():
    table, _ = binary()
    doubled = np.column_stack([table, table[:, 1]])
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel(n_classes=2, method="em", accuracy_prior={5: (0.9, 1e9)}).fit(doubled)
    np.testing.assert_allclose(model.accuracy_[[1, 5]], 0.9, atol=1e-3)


def test_a_model_with_beliefs_is_cloned_and_saved(tmp_path):
    table, _ = binary()
    votes = cs.Votes.from_dense(table, n_classes=2, source_names=list("abcde"))
    beliefs = {"a": (0.9, 50), 3: (np.float64(0.7), 10)}
    model = cs.LabelModel(accuracy_prior=beliefs).fit(votes)
    assert cs.LabelModel(**model.get_params()).accuracy_prior == beliefs
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.accuracy_prior == {"a": (0.9, 50.0), 3: (0.7, 10.0)}
    assert again.predict_proba(votes).tobytes() == model.predict_proba(votes).tobytes()
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


@pytest.mark.parametrize(
    ("beliefs", "error", "culprit"),
    [
        ([(0, 0.9, 10)], cs.WrongTypeError, "dict"),
        ({9: (0.9, 10)}, cs.InvalidArgumentError, "0..4, got 9"),
        ({"nobody": (0.9, 10)}, cs.InvalidArgumentError, "'nobody'"),
        ({0: (0.9, 1), "source 0": (0.8, 1)}, cs.InvalidArgumentError, "'source 0' twice"),
        ({0: 0.9}, cs.WrongTypeError, "pair"),
        ({0: (0.9, "many")}, cs.WrongTypeError, "pair"),
        ({0: (1.0, 5)}, cs.InvalidArgumentError, "between 0 and 1, got 1.0"),
        ({0: (np.nan, 5)}, cs.InvalidArgumentError, "nan"),
        ({0: (0.9, -1)}, cs.InvalidArgumentError, "at least 0, got -1"),
        ({0: (0.9, np.inf)}, cs.InvalidArgumentError, "inf"),
    ],
)
def test_wrong_beliefs_are_a_typed_error_that_names_them(beliefs, error, culprit):
    table, _ = binary(200)
    with pytest.raises(error, match=culprit):
        cs.LabelModel(n_classes=2, accuracy_prior=beliefs).fit(table)


def test_beliefs_that_a_method_cannot_take_up_are_a_typed_error():
    table, _ = binary(200)
    for method in ("moments", "completion", "majority"):
        with pytest.raises(cs.InvalidArgumentError, match=method):
            cs.LabelModel(n_classes=2, method=method, accuracy_prior={0: (0.9, 5)}).fit(table)
    with pytest.raises(cs.InvalidArgumentError, match="statistics"):
        cs.LabelModel(accuracy_prior={0: (0.9, 5)}).fit(cs.VoteStatistics.of(table))


def copying_votes(n=3000, seed=0):
    """Four sources that copy one, which the default is cautious about, and three of their own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    first = np.where(rng.random(n) < 0.65, y, 1 - y)
    copies = [np.where(rng.random(n) < 0.9, first, rng.integers(0, 2, n)) for _ in range(4)]
    return np.column_stack([*copies, *(np.where(rng.random(n) < a, y, 1 - y) for a in (0.9, 0.85, 0.8))]), y


@pytest.mark.parametrize("votes", [300, 3000, 30_000])
def test_a_cautious_fit_counts_beliefs_once(votes):
    table, y = copying_votes()
    model = cs.LabelModel(n_classes=2, accuracy_prior={4: (0.6, votes)}).fit(table, y=y)
    assert model._model.fit.parts
    expected = (np.sum(table[:, 4] == y) + 0.6 * votes) / (len(y) + votes)
    assert model.accuracy_[4] == pytest.approx(expected, abs=0.003)


@pytest.mark.filterwarnings("ignore:the rows of earlier votes")
def test_beliefs_need_the_rows_of_all_votes_when_a_model_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 300)[:, None]
    votes = np.where(rng.random((300, 4)) < 0.8, label, 1 - label)
    model = cs.LabelModel(n_classes=2, accuracy_prior={0: (0.9, 20)})
    model.fit(votes).save(tmp_path / "model")
    for begun in (model, cs.load(tmp_path / "model")):
        with pytest.raises(cs.InvalidArgumentError, match="accuracy_prior needs the rows of all votes"):
            begun.partial_fit(votes)
        begun.predict(votes)  # as it was
        begun.set_params(accuracy_prior=None).partial_fit(votes)
    parts = cs.LabelModel(n_classes=2, accuracy_prior={0: (0.9, 20)})
    parts.partial_fit(votes[:100]).partial_fit(votes[100:])
    whole = cs.LabelModel(n_classes=2, accuracy_prior={0: (0.9, 20)}).fit(votes)
    np.testing.assert_allclose(parts.accuracy_, whole.accuracy_, atol=1e-12)
