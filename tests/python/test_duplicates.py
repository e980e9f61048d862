"""Sources that vote alike are found and counted once, unless dependencies are given."""

import warnings

import numpy as np
import pytest

import consilience as cs
from consilience.duplicates import find_duplicates


def noisy_votes(n=4000, accuracies=(0.9, 0.8, 0.7, 0.75), seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return np.where(rng.random((n, len(accuracies))) < accuracies, y[:, None], 1 - y[:, None])


def with_copy(votes, source=0, share_changed=0.0):
    """The same votes with a last source that repeats another on almost every item."""
    copy = votes[:, source].copy()
    changed = np.random.default_rng(1).permutation(len(copy))[: round(share_changed * len(copy))]
    copy[changed] = 1 - copy[changed]
    return np.column_stack([votes, copy])


def first_of(votes):
    return find_duplicates(cs.VoteStatistics.of(votes)).tolist()


@pytest.mark.parametrize("share_changed", [0.0, 0.0005])
def test_an_all_but_exact_copy_repeats_the_first_of_its_group(share_changed):
    assert first_of(with_copy(noisy_votes(), share_changed=share_changed)) == [0, 1, 2, 3, 0]


def test_a_copy_with_differences_stands_for_itself():
    assert first_of(with_copy(noisy_votes(), share_changed=0.01)) == [0, 1, 2, 3, 4]


def test_copies_of_a_copy_are_one_group():
    votes = noisy_votes()
    assert first_of(np.column_stack([votes, votes[:, 1], votes[:, 1]])) == [0, 1, 2, 3, 1, 1]


def test_sources_that_never_meet_are_no_duplicates():
    votes = noisy_votes()
    votes[::2, 0] = -1
    votes[1::2, 1] = -1
    assert first_of(votes) == [0, 1, 2, 3]


def test_sources_that_never_vote_are_no_duplicates():
    votes = noisy_votes()
    votes[:, 2:] = -1
    assert first_of(votes) == [0, 1, 2, 3]


def test_agreement_on_few_items_is_held_for_chance():
    assert first_of(np.repeat(noisy_votes(19)[:, :1], 3, axis=1)) == [0, 1, 2]


def test_sources_that_always_disagree_are_no_duplicates():
    votes = noisy_votes()
    assert first_of(np.column_stack([votes, 1 - votes[:, 0]])) == [0, 1, 2, 3, 4]


def test_a_fit_warns_of_duplicates_by_name():
    votes = cs.Votes.from_dense(with_copy(noisy_votes()), source_names=list("abcde"))
    with pytest.warns(cs.DuplicateSourcesWarning, match="'e' like 'a'"):
        cs.LabelModel().fit(votes)


@pytest.mark.filterwarnings("ignore::consilience.DuplicateSourcesWarning")
def test_the_summary_says_which_source_a_duplicate_repeats():
    model = cs.LabelModel().fit(with_copy(noisy_votes()))
    assert "source 0" in list(model.summary())[4]["notes"]


@pytest.mark.filterwarnings("ignore::consilience.DuplicateSourcesWarning")
@pytest.mark.parametrize(
    ("method", "balance"),
    [("moments", "uniform"), ("completion", "uniform"), ("auto", None), ("em", None), ("em", [0.4, 0.6])],
)
def test_an_exact_duplicate_changes_no_label(method, balance):
    votes = noisy_votes()
    alone = cs.LabelModel(method=method, class_balance=balance).fit(votes)
    doubled = cs.LabelModel(method=method, class_balance=balance).fit(with_copy(votes))
    np.testing.assert_allclose(
        doubled.predict_proba(with_copy(votes)), alone.predict_proba(votes), atol=1e-12
    )


@pytest.mark.filterwarnings("ignore::consilience.DuplicateSourcesWarning")
@pytest.mark.parametrize("method", ["moments", "completion"])
def test_a_duplicate_hardly_changes_the_class_balance(method):
    # Triples are counted before anyone knows of the copy; what it adds is taken out, its weight stays.
    votes = noisy_votes()
    alone = cs.LabelModel(method=method).fit(votes)
    doubled = cs.LabelModel(method=method).fit(with_copy(votes))
    difference = np.abs(doubled.class_balance_ - alone.class_balance_)
    assert (difference < alone.class_balance_error_).all()
    assert (difference < 0.03).all()


@pytest.mark.filterwarnings("ignore::consilience.DuplicateSourcesWarning")
def test_a_duplicate_has_the_accuracy_of_the_source_it_repeats():
    model = cs.LabelModel().fit(with_copy(noisy_votes(), share_changed=0.0005))
    assert model.accuracy_[4] == pytest.approx(model.accuracy_[0], abs=0.002)


@pytest.mark.parametrize("method", ["moments", "auto"])
def test_given_dependencies_switch_the_search_off(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = cs.LabelModel(method=method, dependencies=[], class_balance="uniform")
        model.fit(with_copy(noisy_votes()))
    assert model.accuracy_[4] == model.accuracy_[0]


def test_a_declared_duplicate_is_counted_once():
    votes = noisy_votes()
    alone = cs.LabelModel(method="moments").fit(votes)
    doubled = cs.LabelModel(method="moments", dependencies=[(0, 4)]).fit(with_copy(votes))
    # The table of the pair is drawn towards independence a little: it was estimated.
    np.testing.assert_allclose(doubled.predict_proba(with_copy(votes)), alone.predict_proba(votes), atol=0.02)


@pytest.mark.filterwarnings("ignore::consilience.DuplicateSourcesWarning")
def test_duplicates_of_duplicates_still_need_three_sources():
    votes = noisy_votes(accuracies=(0.9, 0.8))
    with pytest.raises(cs.NotIdentifiableError):
        cs.LabelModel(method="moments").fit(np.column_stack([votes, votes]))
