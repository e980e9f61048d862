"""Teams of near-copies are found among independent sources, and count once by default."""

import numpy as np
import pytest

import consilience as cs
from consilience.dependency_report import DependencyReport
from consilience.near_copies import MIN_OUTSIDE, find_teams
from consilience.pair_tables import PairTables

GOOD = 8


def independent(rng, y, accuracies, k=2):
    right = rng.random((len(y), len(accuracies))) < accuracies
    return np.where(right, y[:, None], (y[:, None] + rng.integers(1, k, right.shape)) % k)


def with_team(size, *, n=3000, k=2, abstain=0.0, seed=0, good=GOOD):
    """Labels and votes of good sources followed by a team that repeats a poor one nine times of ten."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    leader = independent(rng, y, [0.6], k)
    team = np.where(rng.random((n, size)) < 0.9, leader, rng.integers(0, k, (n, size)))
    votes = np.hstack([independent(rng, y, rng.uniform(0.7, 0.85, good), k), team])
    votes[rng.random(votes.shape) < abstain] = -1
    return y, votes.astype(np.int8)


def teams_of(votes, k=2):
    return find_teams(cs.VoteStatistics.of(votes, n_classes=k), np.full(k, 1 / k)).teams


def share_right(model, votes, y):
    return float((model.predict(votes) == y).mean())


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("abstain", [0.0, 0.4])
@pytest.mark.parametrize("size", [3, 12])
def test_a_team_of_near_copies_is_found_however_large(size, abstain, k):
    _, votes = with_team(size, k=k, abstain=abstain)
    (team,) = teams_of(votes, k)
    assert sorted(team) == list(range(GOOD, GOOD + size))


def test_two_teams_are_found_apart():
    _, votes = with_team(5)
    _, others = with_team(4, seed=1)
    teams = teams_of(np.hstack([votes, others[:, GOOD:]]))
    assert sorted(map(sorted, teams)) == [[8, 9, 10, 11, 12], [13, 14, 15, 16]]


@pytest.mark.parametrize("accuracy", [0.7, 0.95])
def test_independent_sources_are_no_team_however_accurate(accuracy):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 1000)
        votes = independent(rng, y, [*rng.uniform(0.55, 0.8, 6), *[accuracy] * 6])
        assert teams_of(votes) == ()


def test_a_team_is_not_told_from_the_rest_where_few_are_outside_it():
    _, votes = with_team(8, good=MIN_OUTSIDE)
    assert len(teams_of(votes)) == 1
    assert teams_of(votes[:, 1:]) == ()


def test_the_first_of_a_team_agrees_most_with_the_others():
    y, votes = with_team(6)
    rng = np.random.default_rng(2)
    noisier = [GOOD, *range(GOOD + 2, GOOD + 6)]  # all but the second
    changed = rng.random((len(y), len(noisier))) < 0.05
    votes[:, noisier] = np.where(changed, 1 - votes[:, noisier], votes[:, noisier])
    assert teams_of(votes)[0][0] == GOOD + 1


def test_sources_without_votes_and_votes_for_one_class_alone_are_left_alone():
    _, votes = with_team(6)
    silent = np.full((len(votes), 1), -1)
    one_sided = np.where(votes[:, :3] == 1, 1, -1)
    (team,) = teams_of(np.hstack([votes, silent, one_sided, one_sided]))
    assert sorted(team) == list(range(GOOD, GOOD + 6))
    assert teams_of(np.full((100, 12), -1)) == ()
    assert teams_of(np.zeros((100, 12), dtype=np.int8)) == ()


@pytest.mark.parametrize("abstain", [0.0, 0.3])
def test_agreement_beyond_chance_is_that_of_the_votes(abstain):
    _, votes = with_team(2, k=3, abstain=abstain, n=400)
    statistics = cs.VoteStatistics.of(votes, n_classes=3)
    tables = PairTables(statistics, np.full(3, 1 / 3), np.ones(votes.shape[1], dtype=np.bool_))
    found = tables.agreement(tables.covariance)
    for i, j in ((0, 1), (8, 9), (3, 8)):
        both = votes[(votes[:, i] >= 0) & (votes[:, j] >= 0)]
        agree = (both[:, i] == both[:, j]).mean()
        chance = sum((both[:, i] == s).mean() * (both[:, j] == s).mean() for s in range(3))
        assert found[i, j] == pytest.approx((agree - chance) / (1 - chance), rel=1e-9)
        assert tables.agreements[i, j] == pytest.approx(agree * len(both) / len(votes), rel=1e-9)


@pytest.mark.parametrize(("k", "abstain"), [(2, 0.0), (4, 0.3)])
def test_a_team_counts_once_by_default_and_costs_nothing(k, abstain):
    y, votes = with_team(8, k=k, abstain=abstain)
    model = cs.LabelModel(n_classes=k).fit(votes)
    one = cs.LabelModel(n_classes=k, method="em").fit(votes[:, : GOOD + 1])
    right = share_right(model, votes, y)
    assert right > share_right(cs.LabelModel(n_classes=k, method="majority").fit(votes), votes, y) + 0.1
    assert right > share_right(one, votes[:, : GOOD + 1], y) - 0.01
    (team,) = model.dependencies_.teams
    assert sorted(team) == list(range(GOOD, GOOD + 8))
    said = " ".join(str(model.summary()).split())
    assert "near-copies of one another, which count once: 'source " in said
    assert f"team of source {team[0]}" in model.summary().columns["notes"][team[1]]
    assert "count once" in str(model.dependencies_)


def test_dependencies_that_are_given_leave_a_team_as_it_is():
    _, votes = with_team(8)
    assert not hasattr(cs.LabelModel(dependencies=[]).fit(votes), "dependencies_")


def test_a_member_that_alone_votes_for_a_class_is_read_and_saved(tmp_path):
    y, votes = with_team(6, k=3)
    for j in range(GOOD, GOOD + 5):
        votes[votes[:, j] == 2, j] = -1
    model = cs.LabelModel(n_classes=3).fit(votes)
    assert len(model.dependencies_.teams) == 1
    assert share_right(model, votes, y) > 0.85
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.dependencies_.teams == model.dependencies_.teams
    np.testing.assert_array_equal(again.predict_proba(votes), model.predict_proba(votes))


@pytest.mark.parametrize("teams", [[[0, 3]], [[0, 1], [1, 2]], [[-1, 0]]])
def test_a_stored_report_whose_teams_do_not_fit_the_sources_is_refused(teams):
    plain = {**DependencyReport((), ("a", "b", "c"), 3).to_json(), "teams": teams}
    with pytest.raises(ValueError, match="no teams among 3 sources"):
        DependencyReport.from_json(plain, ("a", "b", "c"))


def test_a_report_of_an_earlier_version_has_no_teams():
    plain = DependencyReport((), ("a", "b"), 1, teams=((1, 0),)).to_json()
    assert DependencyReport.from_json(plain, ("a", "b")).teams == ((1, 0),)
    del plain["teams"]
    assert DependencyReport.from_json(plain, ("a", "b")).teams == ()
