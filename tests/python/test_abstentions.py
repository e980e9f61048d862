"""What abstentions say, found in the votes: source by source, or for all where a plan says who votes."""

import numpy as np
import pytest
from enumeration import ExactModel, Source, draw, single_task

import consilience as cs
from consilience import _core
from consilience.em import Columns, fit_em
from consilience.information import likelihood_uncertainty
from consilience.plans import meetings_beyond_chance, two_sided
from consilience.rows import Distinct
from consilience.tied import SourceTable, directions_given_votes, tied_directions


def source_of(rng, k, kind, label=0):
    """A source with a free table given that it votes; or one that votes for one label only."""
    if kind == "one-sided":
        votes = np.where(np.arange(k) == label, 0.6, 0.08)[None]
        return Source(np.array([[label]]), np.vstack([votes, 1 - votes]))
    given = np.array([rng.dirichlet(np.where(np.arange(k) == y, 6.0, 1.0)) for y in range(k)]).T
    coverage = np.full(k, 0.6) if kind == "missing" else np.linspace(0.35, 0.8, k)
    return Source(np.arange(k)[:, None], np.vstack([given * coverage, 1 - coverage]))


def mixed(k, kinds, seed=0):
    rng = np.random.default_rng(seed)
    graph = cs.TaskGraph({"label": k})
    balance = np.linspace(1.5, 1.0, k) / np.linspace(1.5, 1.0, k).sum()
    return ExactModel(graph, balance, [source_of(rng, k, kind, j % k) for j, kind in enumerate(kinds)])


KINDS = ("missing", "informative", "missing", "informative", "one-sided", "one-sided")


def expected(kinds):
    return tuple("missing" if kind == "missing" else "informative" for kind in kinds)


@pytest.mark.parametrize("k", [2, 3])
def test_exact_votes_tell_whose_abstentions_say_nothing(k):
    exact = mixed(k, KINDS[: 6 if k == 2 else 5])
    model = cs.LabelModel(n_classes=k, method="em").fit(exact.votes, weights=exact.weights)
    assert model.abstentions_ == expected(KINDS[: exact.n_sources])
    for table, source in zip(model._model.fit.tables, exact.sources, strict=True):
        np.testing.assert_allclose(table.table, source.table, atol=1e-4)  # PRIOR_COUNT, flat directions
    np.testing.assert_allclose(model.predict_proba(exact.votes), exact.posterior, atol=1e-3)


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("k", [2, 3])
def test_drawn_votes_tell_whose_abstentions_say_nothing(k, method):
    exact = mixed(k, KINDS + KINDS[:4])
    votes, _ = draw(np.random.default_rng(1), exact, 20_000)
    model = cs.LabelModel(n_classes=k, method=method).fit(votes)
    assert model.abstentions_ == expected(KINDS + KINDS[:4])
    silence = model.emission_[:, -1]
    equal = np.ptp(silence, axis=1) < 1e-12
    assert equal.tolist() == [kind == "missing" for kind in KINDS + KINDS[:4]]


def columns_of(votes, k, asked):
    n, m = votes.shape
    view = _core.VoteView([np.ascontiguousarray(votes, dtype=np.int8)], n, m, [k])
    patterns = _core.find_patterns(view, _core.StateCoding.of_one_task(k), None)
    masks = np.vstack([np.zeros((1, k), bool), np.eye(k, dtype=bool)])
    return Columns(
        Distinct(patterns), float(n), np.tile(masks, (m, 1, 1)), np.ones(m, bool), np.zeros(m, bool),
        np.zeros((m, k + 1), int), None, 1, asked=np.full(m, asked),
    )  # fmt: skip


def plain_em(votes, tables, balance, missing, passes=600):
    """Slow twin: free tables, item by item; a column whose abstentions say nothing has one rate of them."""
    m, s, k = tables.shape
    for _ in range(passes):
        weights = balance * np.prod([tables[j, votes[:, j] + 1] for j in range(m)], axis=0)
        posterior = weights / weights.sum(axis=1, keepdims=True)
        new = np.zeros_like(tables)
        for j in range(m):
            for state in range(s):
                new[j, state] = posterior[votes[:, j] + 1 == state].sum(axis=0)
            if missing[j]:
                silent = np.mean(votes[:, j] < 0)
                new[j] = np.vstack([np.full(k, silent), (1 - silent) * new[j, 1:] / new[j, 1:].sum(axis=0)])
            else:
                new[j] /= new[j].sum(axis=0)
        tables = new
    likelihood = (balance * np.prod([tables[j, votes[:, j] + 1] for j in range(m)], axis=0)).sum(axis=1)
    return tables, np.log(likelihood).sum()


@pytest.mark.parametrize(("k", "model"), [(2, "tied"), (3, "free")])
def test_tables_are_the_most_likely_ones_that_abstain_at_one_rate(k, model):
    exact = mixed(k, ("missing", "informative") * 3, seed=2)
    votes, _ = draw(np.random.default_rng(3), exact, 3000)
    start = np.ascontiguousarray([np.roll(source.table, 1, axis=0) for source in exact.sources])
    fit = fit_em(columns_of(votes, k, True), start, exact.class_balance, model=model, learn_balance=False)
    assert fit.missing.tolist() == [True, False] * 3
    tables, log_likelihood = plain_em(votes, start, exact.class_balance, fit.missing)
    np.testing.assert_allclose(fit.tables, tables, atol=2e-4)  # PRIOR_COUNT
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-2)
    free = fit_em(columns_of(votes, k, False), start, exact.class_balance, model=model, learn_balance=False)
    assert not free.missing.any()
    assert free.n_parameters - fit.n_parameters == 3 * (k - 1)
    # What the votes lose is less than the parameters are worth: 2 each.
    assert 0 <= free.log_likelihood - fit.log_likelihood + 1e-3 < 2 * 3 * (k - 1)


def test_one_sided_sources_stay_informative_however_few_their_votes():
    rng = np.random.default_rng(4)
    exact = mixed(2, ("one-sided",) * 8)
    votes, y = draw(rng, exact, 400)
    model = cs.LabelModel(n_classes=2, method="em").fit(votes)
    assert set(model.abstentions_) == {"informative"}
    assert (model.predict(votes) == y).mean() > 0.8


def planned(k, n, seed=0):
    """Votes of which a plan chooses four sources an item, and their labels."""
    rng = np.random.default_rng(seed)
    exact = single_task(np.random.default_rng(seed), k, 10, abstains=False)
    votes, y = draw(rng, exact, n)
    return np.where(rng.random(votes.shape).argsort(axis=1) < 4, votes, -1), y


def test_votes_by_a_plan_are_read_given_who_votes():
    votes, _ = planned(3, 10_000)
    model = cs.LabelModel(n_classes=3).fit(votes)
    told = cs.LabelModel(n_classes=3, abstentions="missing").fit(votes)
    assert set(model.abstentions_) == {"missing"}
    assert not model._model.fit.parts
    np.testing.assert_allclose(model.predict_proba(votes), told.predict_proba(votes), atol=1e-9)
    np.testing.assert_allclose(model.emission_, told.emission_, atol=1e-9)
    np.testing.assert_allclose(model.accuracy_interval_, told.accuracy_interval_, atol=1e-9)
    assert "abstentions: they say nothing" in str(model.summary())


def test_a_plan_says_nothing_of_sources_that_leave_out_a_class():
    votes, _ = planned(3, 5000)
    votes[:, 0] = np.where(votes[:, 0] == 2, -1, votes[:, 0])
    model = cs.LabelModel(n_classes=3).fit(votes)
    assert model._model.fit.parts  # cautious: the likelihood of what sources say would leave its silence out


def test_what_was_found_of_abstentions_is_told_and_kept(tmp_path):
    exact = mixed(3, KINDS)
    votes, _ = draw(np.random.default_rng(5), exact, 20_000)
    model = cs.LabelModel(n_classes=3, method="em").fit(votes)
    assert "abstentions: of 2 sources they say nothing, of 4 they are informative" in str(model.summary())
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert again.abstentions_ == model.abstentions_
    np.testing.assert_array_equal(again.accuracy_interval_, model.accuracy_interval_)


def test_what_is_said_of_abstentions_is_kept():
    exact = mixed(3, KINDS)
    votes, _ = draw(np.random.default_rng(6), exact, 3000)
    assert set(cs.LabelModel(n_classes=3, abstentions="missing").fit(votes).abstentions_) == {"missing"}
    informative = cs.LabelModel(n_classes=3, method="em", abstentions="informative").fit(votes)
    assert set(informative.abstentions_) == {"informative"}
    assert set(cs.LabelModel(n_classes=3, method="majority").fit(votes).abstentions_) == {"missing"}


def test_directions_of_a_silent_table_are_derivatives():
    rng = np.random.default_rng(7)
    table = source_of(rng, 3, "missing").table
    directions = tied_directions(np.eye(3, dtype=bool), "tied", abstains=True, n_vectors=3)
    balance = np.array([0.5, 0.3, 0.2])
    own = directions_given_votes(table, directions)
    for q in range(directions.shape[2]):
        moved = SourceTable(np.arange(3)[:, None], table + 1e-6 * directions[:, :, q])
        moved = moved.table[:-1] / moved.table[:-1].sum(axis=0) * (1 - table[-1])
        np.testing.assert_allclose((moved - table[:-1]) / 1e-6, own[:-1, :, q], atol=1e-4)
    np.testing.assert_allclose(own.sum(axis=0), 0, atol=1e-12)
    assert (np.ptp(own[-1], axis=0) == 0).all()
    wider = SourceTable(np.arange(3)[:, None], table + 1e-3 * own[:, :, -1]).with_one_silence(balance)
    np.testing.assert_allclose(wider.table, table + 1e-3 * own[:, :, -1], atol=1e-12)


def test_intervals_are_narrower_where_abstentions_say_nothing():
    exact = mixed(3, ("missing",) * 6)
    tables = [SourceTable(source.events, source.table) for source in exact.sources]
    masks = [np.eye(3, dtype=bool)] * 6

    def widths(**found):
        intervals, _ = likelihood_uncertainty(
            tables, masks, np.ones(6, bool), None, [], model="free", class_balance=exact.class_balance,
            balance_learned=True, n=1000, **found,
        )  # fmt: skip
        return np.ptp(intervals, axis=1)

    silent = widths(missing=np.ones(6, bool))
    assert (silent < widths()).all()
    np.testing.assert_allclose(silent, widths(given_voters=True))


def test_em_reads_planned_votes_given_who_votes_and_one_sided_sources_as_ever():
    votes, y = planned(3, 6000)
    rng = np.random.default_rng(8)
    hits = rng.random((len(y), 2)) < np.where(y[:, None] == [0, 1], 0.6, 0.08)
    votes = np.hstack([votes, np.where(hits, [0, 1], -1)])
    model = cs.LabelModel(n_classes=3, method="em").fit(votes)
    assert model.abstentions_ == ("missing",) * 10 + ("informative",) * 2
    assert "of 10 sources they say nothing, of 2 they are informative" in str(model.summary())
    silent = model.emission_[10:, -1]
    # The sixth of the items that they vote on by mistake, 0.005 each.
    np.testing.assert_allclose(silent, np.where(np.eye(2, 3) > 0, 0.4, 0.92), atol=0.05)
    assert (model.predict(votes) == y).mean() > 0.85


@pytest.mark.parametrize("kinds", [("informative",) * 6, ("one-sided",) * 6, KINDS])
def test_sources_that_meet_as_tables_say_follow_no_plan(kinds):
    exact = mixed(3, kinds)
    votes, _ = draw(np.random.default_rng(9), exact, 5000)
    found = cs.LabelModel(n_classes=3, method="em").fit(votes)._model
    assert meetings_beyond_chance(found.statistics, found.fit, found.class_balance) < 3
    assert not found.fit.given_voters


def test_a_source_for_one_of_many_classes_is_not_taken_for_one_that_met_no_other():
    rng = np.random.default_rng(0)
    k, m, n = 40, 80, 4000
    y = rng.integers(0, k, n)
    votes = np.full((n, m), -1)
    for j in range(m):  # each votes for one class only, some 100 times
        votes[rng.random(n) < np.where(y == j % k, 0.9, 0.005), j] = j % k
    both = rng.random(n) < 0.3
    votes[both, -1] = y[both]  # and one for all of them
    found = two_sided(cs.VoteStatistics.of(votes, n_classes=k))
    np.testing.assert_array_equal(found, np.arange(m) == m - 1)
    few = votes[:60].copy()
    few[:, 0] = -1
    few[0, 0] = 0  # one vote: whether it would vote for more is not known
    assert two_sided(cs.VoteStatistics.of(few, n_classes=k))[0]


def waves_of_annotation(seed, n=5000, m=6, minority=0.15):
    """Half of the items go to half of the sources, the others to all: who votes says nothing of the label."""
    rng = np.random.default_rng(seed)
    label, accuracy = (rng.random(n) < minority).astype(int), rng.uniform(0.55, 0.9, m)
    votes = np.where(rng.random((n, m)) < accuracy, label[:, None], 1 - label[:, None])
    asked = np.ones((n, m), dtype=bool)
    asked[: n // 2, m // 2 :] = False
    votes[~asked | (rng.random((n, m)) > 0.7)] = -1
    return votes, label, int(np.argmax(accuracy))


def test_whom_items_are_given_to_does_not_turn_the_labels_round():
    n_right = 0
    for seed in range(12):
        votes, label, best = waves_of_annotation(seed)
        covered = (votes >= 0).any(axis=1)
        for trusted in (None, [best]):
            model = cs.LabelModel(n_classes=2, trusted=trusted).fit(votes)
            n_right += (model.predict(votes) == label)[covered].mean() > 0.6
    assert n_right == 24


def keyword_rules(seed=0, n=2000):
    """Six sources that vote for one class each."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    votes = np.full((n, 6), -1)
    for j in range(6):
        fires = rng.random(n) < np.where(label == j % 2, 0.4, 0.1)
        votes[fires, j] = j % 2
    return votes, label


@pytest.mark.parametrize("method", ["auto", "em"])
def test_sources_that_only_say_one_thing_are_counted_where_abstentions_say_nothing(method):
    votes, _ = keyword_rules()
    with pytest.warns(cs.NotIdentifiableWarning, match="'source 0', 'source 1'.*they say the same.*majority"):
        model = cs.LabelModel(n_classes=2, method=method, abstentions="missing").fit(votes)
    majority = cs.LabelModel(n_classes=2, method="majority").fit(votes)
    np.testing.assert_array_equal(model.predict_proba(votes), majority.predict_proba(votes))
    assert "leaves nothing to tell from the votes of" in str(model.summary())


@pytest.mark.parametrize("method", ["moments", "completion"])
def test_methods_that_must_learn_refuse_them(method):
    votes, _ = keyword_rules()
    with pytest.raises(cs.NotIdentifiableError, match=r"'source 5'.*abstentions=\"auto\""):
        cs.LabelModel(n_classes=2, method=method, abstentions="missing").fit(votes)


def test_beside_three_sources_that_tell_they_may_say_nothing():
    votes, label = keyword_rules()
    rng = np.random.default_rng(1)
    annotators = np.where(rng.random((2000, 3)) < 0.8, label[:, None], 1 - label[:, None])
    both = np.hstack([votes, annotators])
    model = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(both)
    without = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(annotators)
    np.testing.assert_allclose(model.predict_proba(both), without.predict_proba(annotators), atol=0.05)


@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
def test_what_gold_tells_of_them_counts_all_the_same():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 3000)
    right = rng.random((3000, 2)) < [0.9, 0.6]
    annotators = np.where(right, label[:, None], 1 - label[:, None])
    votes = np.column_stack([annotators, np.where(rng.random(3000) < 0.3, 1, -1)])
    gold = np.where(np.arange(3000) < 500, label, -1)
    known = {"y": gold}, {}
    believed = {}, {"accuracy_prior": {0: (0.9, 500), 1: (0.6, 500)}}
    for of_fit, of_model in zip(known, believed, strict=True):
        model = cs.LabelModel(n_classes=2, method="em", abstentions="missing", **of_model)
        assert (model.fit(votes, **of_fit).predict(votes) == label).mean() > 0.85
    stray = votes.copy()
    stray[1:, 2] = -1
    model = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(stray)
    assert model._fitted().params["method"] == "em"
