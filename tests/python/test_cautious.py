"""The default method: when it trusts the likelihood, and what it does when it does not."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task
from scipy.special import gammaln, softmax

import consilience as cs
from consilience import _core, goodness_of_fit, held_out
from consilience.cautious import INTERPRETATIONS, Interpretation, accuracy_range, fit_panel, tempered
from consilience.events import code_votes
from consilience.goodness_of_fit import unexplained_share
from consilience.halves import CAUTIONS, DEFAULT_CAUTION, _half, chance_corrected_agreement, choose_caution
from consilience.held_out import TEMPERATURES, gain_of_doubt
from consilience.panel import Cells, Panel
from consilience.scores import independent_scores
from consilience.task_graph import TaskGraph
from consilience.votes import as_votes


def panel_of(table, k, weights=None):
    graph = TaskGraph.single(k)
    coded = code_votes(as_votes(table, n_classes=k), graph, n_threads=1)
    weights = np.ones(len(table)) if weights is None else weights
    n_covered = weights[(table >= 0).any(axis=1)].sum()
    indicators = np.stack([(table == label) for label in range(k)], axis=2).astype(float)
    counts = np.concatenate(
        [np.zeros((table.shape[1], 1)), np.einsum("i,ijl->jl", weights, indicators)], axis=1
    )
    masks = np.vstack([np.zeros((1, k), dtype=bool), np.eye(k, dtype=bool)])
    support = np.ones(counts.shape, dtype=bool)
    support[:, 0] = False
    agreements = np.einsum("i,ijl,ihl->jh", weights, indicators, indicators) / n_covered
    patterns = _core.find_patterns(coded.view, coded.coding, weights)
    return Panel.of(patterns, counts, masks, support, agreements, None, 1)


def one_sided_votes(n=4000, m=8, *, seed=0, copies=0.0, k=2):
    """Sources that vote for one class only, some of them copying another of the same class."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    table = np.full((n, m), -1)
    for j in range(m):
        rate = np.where(y == j % k, rng.uniform(0.2, 0.5), rng.uniform(0.03, 0.15))
        table[rng.random(n) < rate, j] = j % k
    for j in range(m):
        copied = rng.random(n) < copies
        table[copied, j] = table[copied, (j + k) % m]
    return table, y


def crowd_votes(n=3000, m=12, k=3, *, seed=0, coverage=0.5, accuracy=(0.55, 0.9)):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    right = rng.random((n, m)) < rng.uniform(*accuracy, m)
    table = np.where(right, y[:, None], (y[:, None] + rng.integers(1, k, (n, m))) % k)
    table[rng.random((n, m)) > coverage] = -1
    return table, y


def asked_in_both_orders(n=400, m=20, *, seed=0):
    """Judges who are each asked twice which of two answers is better, and like the first one they read."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    skill = np.where(rng.random(m) < 0.4, rng.uniform(1, 2, m), rng.uniform(0, 0.5, m))
    habit = np.where(skill > 0.6, 0.3, rng.normal(1.5, 0.5, m))
    told = np.outer(np.exp(rng.normal(0, 0.8, n)) * (2 * y - 1), skill)
    first = np.outer(rng.normal(1, 2, n), habit)
    drawn = rng.logistic(size=(n, 2 * m))
    return (np.hstack([told + first, told - first]) > drawn).astype(int), y


def brier(soft, y):
    return float(((soft - np.eye(soft.shape[1])[y]) ** 2).sum(axis=1).mean())


# One fit, against a slow and obvious twin


def plain_fit(table, k, one_sided, interpretation, caution, agreements, n_steps):
    """The fit of `fit_panel` from item to item, with the steps written out; posteriors (n, k)."""
    m = table.shape[1]
    covered = (table >= 0).any(axis=1)
    table = table[covered]
    n = len(table)
    votes = np.array([[(table[:, j] == v).sum() for v in range(k)] for j in range(m)], dtype=float)
    posterior = np.array([[np.mean(row[row >= 0] == y) for y in range(k)] for row in table])
    u = one_sided @ votes.sum(axis=1) / votes.sum()
    count = 1 + max(u, 0.1) * n / k
    strength, power, at_word = 10.0, np.ones(m), False
    for step in range(n_steps):
        total = posterior.sum(axis=0)
        balance = (total + count) / (n + k * count)
        seen = (total + 0.1 * n) / (n + 0.1 * n * k)
        expected = expected_votes(posterior, table, np.ones(n, dtype=bool), k)
        shared = expected_votes(posterior, table, (table >= 0).sum(axis=1) > 1, k)
        log = np.zeros((m, k, k))
        silent = np.zeros((m, k))
        accuracy = [min((np.trace(own) + 7) / (own.sum() + 10), 0.995) for own in shared]
        centres = [np.where(np.eye(k, dtype=bool), a, (1 - a) / (k - 1)) for a in accuracy]
        many = one_sided < 1 - 1e-3
        if step in (1, 3, 6, 10, 15, 25, 40) and many.any():
            strength = likely_strength(strength, shared[many], np.array(centres)[many])
        confusion = shared + (strength + caution * shared.sum(axis=1))[:, None] * np.array(centres)
        confusion /= confusion.sum(axis=1, keepdims=True)
        against = [(j, v) for j in range(m) if many[j] for v in range(k) if speaks_against(confusion[j], v)]
        votes_against = sum(shared[j, v].sum() for j, v in against)
        at_word = at_word or votes_against > 0.3 * shared[many].sum()
        for j, v in against if at_word else []:
            confusion[j, v] = confusion[j, v].mean()
        for j in range(m):
            fires = np.zeros((k, k))
            for v in range(k):
                prior = 10 + votes[j, v]
                a = 0.75 if step == 0 else (expected[j, v, v] + 0.75 * prior) / (votes[j, v] + prior)
                for y in range(k):
                    odds = a / seen[v] if y == v else (1 - a) / (1 - seen[v])
                    fires[v, y] = votes[j, v] / n * odds
            fires /= np.maximum(1, fires.sum(axis=0) / 0.999)
            r = one_sided[j]
            log[j] = r * np.log(np.maximum(fires, 1e-12))
            if many[j]:
                log[j] += (1 - r) * np.log(np.maximum(confusion[j], 1e-9))
            silent[j] = interpretation.silence * r * np.log(np.clip(1 - fires.sum(axis=0), 1e-6, 1))
        if interpretation.discount and step in (0, 2, 5, 10):
            power = plain_power(expected, total, n, agreements, one_sided)
        scores = np.tile(np.log(balance), (n, 1))
        for j in range(m):
            scores += power[j] * np.where(table[:, [j]] < 0, silent[j], log[j][table[:, j]])
        posterior = np.exp(scores - scores.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior


def speaks_against(table, v):
    return table[v, v] < np.delete(table[v], v).mean()


def expected_votes(posterior, table, rows, k):
    return np.array([[posterior[rows & (column == v)].sum(axis=0) for v in range(k)] for column in table.T])


def likely_strength(strength, shared, centres):
    """Of the strengths next to the present one, that under which counts are the most likely."""
    candidates = [2.0**i for i in range(8)]
    if strength in candidates:
        at = candidates.index(strength)
        candidates = candidates[max(at - 1, 0) : at + 2]
    evidence = []
    for s in candidates:
        told = gammaln(s * centres + shared) - gammaln(s * centres)
        drawn = gammaln(s) - gammaln(s + shared.sum(axis=1))
        evidence.append(told.sum() + drawn.sum())
    return candidates[int(np.argmax(evidence))]


def plain_power(expected, total, n, agreements, one_sided):
    m, k = len(expected), len(total)
    rates = expected / total
    power = np.ones(m)
    for i in range(m):
        for j in range(m):
            if i == j or one_sided[i] <= 1e-3 or one_sided[j] <= 1e-3:
                continue
            explained = sum(
                total[y] / n * rates[i, v, y] * rates[j, v, y] for v in range(k) for y in range(k)
            )
            spread = [
                sum(total[y] / n * rates[h, v, y] * (1 - rates[h, v, y]) for v in range(k) for y in range(k))
                for h in (i, j)
            ]
            residual = (agreements[i, j] - explained) / np.sqrt(spread[0] * spread[1])
            if residual > max(0.1, 4 / np.sqrt(n)):
                power[i] += min(residual, 1.0)
    return 1 / power


@pytest.mark.parametrize("interpretation", INTERPRETATIONS)
@pytest.mark.parametrize("kind", ["one-sided", "crowd", "mixed", "divided"])
@pytest.mark.parametrize("n_steps", [1, 8])
def test_a_fit_is_that_of_the_steps_written_out(kind, interpretation, n_steps, monkeypatch):
    monkeypatch.setattr("consilience.cautious.TOLERANCE", 0.0)
    sided, _ = one_sided_votes(600, 6, copies=0.5)
    crowd, _ = crowd_votes(600, 5, 2, coverage=0.3)  # many votes stand alone
    divided, _ = asked_in_both_orders(400, 6)
    table = {"one-sided": sided, "crowd": crowd, "mixed": np.hstack([sided, crowd]), "divided": divided}[kind]
    panel = panel_of(table, 2)
    fit = fit_panel(panel, interpretation, caution=0.3, max_steps=n_steps)
    expected = plain_fit(table, 2, panel.one_sided, interpretation, 0.3, panel.agreements, n_steps)
    covered = table[(table >= 0).any(axis=1)]
    scores = fit.base + sum(fit.of_state[j, covered[:, j] + 1] for j in range(table.shape[1]))
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), expected, rtol=0, atol=1e-9)


def test_a_habit_that_divides_the_sources_is_not_taken_for_the_label():
    right = []
    for seed in range(4):
        table, y = asked_in_both_orders(seed=seed)
        model = cs.LabelModel(n_classes=2).fit(table)
        assert "cautious" in str(model.summary())
        right.append((model.predict(table) == y).mean())
        right_votes = np.einsum("jyy->jy", model.emission_[:, :2])
        wrong_votes = model.emission_[:, [0, 1], [1, 0]]
        assert np.mean(right_votes < wrong_votes - 1e-9) <= 0.3
    assert np.mean(right) > 0.7


def test_what_gold_says_of_a_source_stands_although_it_speaks_against_its_votes():
    table, y = asked_in_both_orders(seed=1)
    table[:, -1] = 1 - y  # always wrong
    gold = np.where(np.arange(len(y)) < 100, y, -1)
    model = cs.LabelModel(n_classes=2).fit(table, y=gold)
    assert model.accuracy_[-1] < 0.2
    model = cs.LabelModel(n_classes=2, accuracy_prior={table.shape[1] - 1: (0.05, 200)}).fit(table)
    assert model.accuracy_[-1] < 0.2


def rough_votes(n, seed):
    """Twenty sources that each vote for one class, right six times in ten."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    table = np.full((n, 20), -1)
    for j in range(20):
        precision, rate = rng.uniform(0.5, 0.75), rng.uniform(0.02, 0.2)
        fires = rng.random(n) < 2 * rate * np.where(y == j % 2, precision, 1 - precision)
        table[fires, j] = j % 2
    return table, y


def test_a_likelihood_that_hardly_knows_the_class_balance_is_not_trusted():
    worse = []
    for seed in (0, 4, 6, 7):
        table, y = rough_votes(3000, seed)
        likely = cs.LabelModel(n_classes=2, method="em").fit(table)
        assert likely.class_balance_error_.max() > 0.052
        model = cs.LabelModel(n_classes=2).fit(table)
        assert "leave the class balance too open" in str(model.summary()).replace("\n", " ")
        worse.append(brier(likely.predict_proba(table), y) - brier(model.predict_proba(table), y))
    assert np.mean(worse) > 0.01
    table, y = rough_votes(200_000, 0)  # which know it
    model = cs.LabelModel(n_classes=2).fit(table)
    assert "cautious" not in str(model.summary())


def test_a_little_gold_leaves_a_class_balance_as_open():
    table, y = rough_votes(3000, 4)
    for n_known, open_still in ((1, True), (600, False)):
        gold = np.where(np.arange(3000) < n_known, y, -1)
        model = cs.LabelModel(n_classes=2).fit(table, y=gold)
        assert ("leave the class balance too open" in str(model.summary()).replace("\n", " ")) == open_still


@pytest.mark.parametrize("k", [2, 4])
def test_the_error_of_the_balance_by_rows_is_that_by_information(k, monkeypatch):
    table, _ = crowd_votes(4000, 8, k, coverage=0.6)
    found = []

    def recorded(*given):
        found.append(error_by_votes(*given))
        return found[-1]

    error_by_votes = goodness_of_fit._error_by_votes
    monkeypatch.setattr(goodness_of_fit, "_error_by_votes", recorded)
    model = cs.LabelModel(n_classes=k).fit(table)
    cs.LabelModel(n_classes=k).fit(table[:, ::-1][::-1])
    np.testing.assert_allclose(found[0], model.class_balance_error_, rtol=0.15)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_weights_count_like_repeated_rows():
    table, _ = crowd_votes(300, 6)
    weights = np.random.default_rng(0).integers(1, 4, 300)
    one = fit_panel(panel_of(table, 3, weights.astype(float)))
    other = fit_panel(panel_of(np.repeat(table, weights, axis=0), 3))
    np.testing.assert_allclose(one.of_state, other.of_state, rtol=0, atol=1e-10)


def test_tables_are_probabilities():
    for table, k in ((one_sided_votes(k=3, m=9)[0], 3), (crowd_votes()[0], 3)):
        for interpretation in INTERPRETATIONS:
            fit = tempered(panel_of(table, k), interpretation, 0.1)
            assert (fit.tables >= 0).all()
            np.testing.assert_allclose(fit.tables.sum(axis=1), 1, rtol=1e-12)
            assert fit.class_balance.sum() == pytest.approx(1)


# Which sources are one-sided


def test_sources_that_vote_for_one_class_are_one_sided_and_others_are_not():
    sided, crowd = one_sided_votes()[0], crowd_votes(4000, 8, 2)[0]
    assert panel_of(sided, 2).one_sided.min() > 0.9
    assert panel_of(crowd, 2).one_sided.max() < 0.1


def test_a_worker_with_few_votes_in_a_crowd_is_not_taken_for_one_sided():
    table, _ = crowd_votes(3000, 12, 3)
    table[:, 0] = -1
    table[:2, 0] = 1
    assert panel_of(table, 3).one_sided[0] < 0.1


# How cautious to be


def test_kappa_is_1_for_equal_labels_and_0_for_unrelated_ones():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 20_000).astype(np.int32)
    weight = np.ones(len(labels))
    assert chance_corrected_agreement(labels, labels, weight, 3) == pytest.approx(1)
    assert chance_corrected_agreement(labels, rng.permutation(labels), weight, 3) == pytest.approx(
        0, abs=0.02
    )


def test_sources_with_habits_of_their_own_get_free_tables():
    rng = np.random.default_rng(0)
    n, m, k = 3000, 16, 3
    y = rng.integers(0, k, n)
    tables = 0.4 * np.eye(k) + 0.6 * rng.dirichlet(np.full(k, 0.4), (m, k))
    table = np.array([[rng.choice(k, p=tables[j, y[i]]) for j in range(m)] for i in range(n)])
    assert choose_caution(panel_of(table, k))[0] == CAUTIONS[0]


def test_what_no_source_does_in_the_rows_of_a_half_changes_nothing_in_its_fit():
    table = crowd_votes(1500, 12)[0]
    panel = panel_of(table, 3)
    rows = np.flatnonzero(panel.patterns.n_votes >= 2)[:9]  # too few for all that sources do
    weight = panel.patterns.weight[rows]
    half = _half(panel, rows, weight, np.array([1, 2, 3, 5, 8, 11]))
    # The slow twin keeps every source of the half, and all that they ever did.
    kept = np.isin(np.arange(12), [1, 2, 3, 5, 8, 11])
    of_half = kept[panel.cells.source].astype(np.uint8)
    patterns = panel.patterns.select(rows, weight, of_half)
    cells = Cells.of((panel.counts > 0)[kept], panel.masks)
    votes = _core.expect(patterns, np.zeros((len(cells.source), 2, 1)), np.zeros(1), n_threads=1)[0]
    whole = replace(
        panel,
        patterns=patterns,
        n=float(weight[patterns.n_votes > 0].sum()),
        cells=cells,
        counts=cells.spread(votes[:, 1, 0], 4),
        support=panel.support[kept],
        one_sided=panel.one_sided[kept],
        agreements=panel.agreements[np.ix_(kept, kept)],
    )
    cast = whole.counts[cells.source, cells.state] > 0
    assert len(half.cells.source) == np.count_nonzero(cast) < len(cells.source)
    for caution in CAUTIONS:
        one, other = fit_panel(half, caution=caution), fit_panel(whole, caution=caution)
        np.testing.assert_allclose(one.scores, other.scores[cast], rtol=0, atol=1e-9)
        np.testing.assert_allclose(one.class_balance, other.class_balance, rtol=0, atol=1e-12)


def test_a_panel_with_a_common_habit_gets_a_single_accuracy_a_source():
    rng = np.random.default_rng(0)
    n, m, k = 3000, 18, 4
    y = rng.choice(k, n, p=[0.45, 0.28, 0.18, 0.09])
    family = rng.normal(size=(n, 6)) * 0.9
    grade = y[:, None] + family[:, np.repeat(np.arange(6), 3)] + rng.normal(size=(n, m)) * 0.5 - 0.3
    table = np.clip(np.round(grade), 0, k - 1).astype(int)
    caution, agreement = choose_caution(panel_of(table, k))
    assert caution > CAUTIONS[0]
    assert agreement[caution] == max(agreement.values())


def test_a_caution_that_splits_cannot_tell_from_the_best_is_not_taken():
    cautious = []
    for seed in range(6):  # a hundred items: agreement of the halves is mostly chance
        table, _ = crowd_votes(100, 16, 2, seed=seed, coverage=1.0, accuracy=(0.5, 0.8))
        found, agreement = choose_caution(panel_of(table, 2))
        cautious.append(max(agreement, key=agreement.get))
        assert found <= cautious[-1]
        assert found == CAUTIONS[0] or agreement[found] > agreement[CAUTIONS[0]]
    assert max(cautious) > CAUTIONS[0]


def test_few_sources_leave_the_caution_at_its_default():
    caution, agreement = choose_caution(panel_of(crowd_votes(1000, 4)[0], 3))
    assert (caution, agreement) == (DEFAULT_CAUTION, {})


# Whether the likelihood is trusted


@pytest.mark.parametrize(
    "build", [lambda rng: single_task(rng, 3), lambda rng: hierarchy(rng, COARSE_AND_FINE)]
)
def test_independent_sources_leave_nothing_unexplained(build):
    exact = build(np.random.default_rng(0))
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method="moments")
    model.fit(exact.votes, weights=exact.weights)
    fitted = model._fitted()
    assert unexplained_share(fitted.statistics, fitted.fit, exact.class_balance) < 1e-6


def test_copied_votes_leave_much_unexplained():
    table, _ = one_sided_votes(20_000, copies=0.5)
    fitted = cs.LabelModel(n_classes=2, method="em").fit(table)._fitted()
    assert unexplained_share(fitted.statistics, fitted.fit, fitted.class_balance) > 0.1


INDEPENDENT = {
    "one-sided sources": lambda: one_sided_votes(10_000, 10),
    "a crowd": lambda: crowd_votes(10_000, 10, 3),
    "a minority of 2 %": lambda: minority(0.02),
    "four adversaries of ten": lambda: adversaries(),
}


def minority(share):
    rng = np.random.default_rng(3)
    y = (rng.random(20_000) < share).astype(int)
    right = rng.random((20_000, 10)) < rng.uniform(0.65, 0.95, (10, 2))[:, y].T
    table = np.where(right, y[:, None], 1 - y[:, None])
    table[rng.random(table.shape) > 0.6] = -1
    return table, y


def adversaries():
    rng = np.random.default_rng(0)
    y = (rng.random(10_000) < 0.4).astype(int)
    accuracy = np.r_[rng.uniform(0.2, 0.4, 4), rng.uniform(0.65, 0.9, 6)]
    return np.where(rng.random((10_000, 10)) < accuracy, y[:, None], 1 - y[:, None]), y


@pytest.mark.parametrize("name", INDEPENDENT)
def test_where_sources_are_independent_the_default_is_the_likelihood(name):
    table, _ = INDEPENDENT[name]()
    likely = cs.LabelModel(n_classes=int(table.max()) + 1, method="em").fit(table)
    model = cs.LabelModel(n_classes=int(table.max()) + 1).fit(table)
    np.testing.assert_array_equal(model.predict_proba(table), likely.predict_proba(table))
    np.testing.assert_array_equal(model.emission_, likely.emission_)
    assert "by BIC" in str(model.summary())


@pytest.mark.parametrize("seed", range(3))
def test_where_votes_are_copied_the_default_beats_the_likelihood_and_the_vote(seed):
    table, y = one_sided_votes(6000, 10, copies=0.5, seed=seed)
    voted = (table >= 0).any(axis=1)
    scores = {
        method: brier(
            cs.LabelModel(n_classes=2, method=method).fit(table).predict_proba(table)[voted], y[voted]
        )
        for method in ("auto", "em", "majority")
    }
    assert scores["auto"] < min(scores["em"], scores["majority"])


def test_the_summary_says_how_held_out_votes_changed_the_labels():
    rng = np.random.default_rng(0)
    label, misleads = rng.integers(0, 2, 1_000), rng.random(1_000) < 0.25
    accuracy = np.where(misleads, 0.3, 0.9)[:, None]
    votes = np.where(rng.random((1_000, 12)) < accuracy, label[:, None], 1 - label[:, None])
    model = cs.LabelModel(n_classes=2).fit(votes)
    words = " ".join(str(model.summary()).split())
    assert re.search(r"As held-out votes are foretold best, log-odds count 0\.\d\d times", words)


def test_the_summary_says_that_labels_are_of_the_greatest_likelihood():
    # Free tables, of which the moments explain little, but no pair that hangs together.
    rng = np.random.default_rng([22, 10_000, sum(map(ord, "conf"))])
    table, _ = confusing_votes(rng, 10_000)
    words = " ".join(str(cs.LabelModel(n_classes=3).fit(table).summary()).split())
    assert "sources are independent given the label: maximum likelihood" in words
    assert "hang together" not in words


def confusing_votes(rng, n, m=8, balance=(0.5, 0.3, 0.2), right=4.0, missing=0.3):
    """Votes for some classes, each source with a table of its own, and the labels."""
    k = len(balance)
    label = rng.choice(k, n, p=balance)
    table = np.empty((n, m), dtype=np.int64)
    for j in range(m):
        rows = np.array([rng.dirichlet(np.ones(k) + right * rng.random() * np.eye(k)[c]) for c in range(k)])
        table[:, j] = (rows[label].cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(0, k - 1)
    table[rng.random(table.shape) < missing] = -1
    return table, label


def test_independent_votes_that_the_likelihood_is_slow_to_explain_are_not_given_up():
    # After the first passes of EM 6 % of what two votes tell of each other are unexplained; in the end 0.
    balance = [0.45, *[0.1375] * 4]
    table, _ = confusing_votes(np.random.default_rng(98359), 3000, 11, balance, 1.4, 0.24)
    model, likely = (cs.LabelModel(n_classes=5, method=method).fit(table) for method in ("auto", "em"))
    np.testing.assert_array_equal(model.predict_proba(table), likely.predict_proba(table))


@pytest.mark.parametrize("method", ["auto", "em"])
def test_classes_keep_the_names_that_votes_give_them(method):
    # From these moments EM ends with the first class and the third exchanged, at the same likelihood.
    rng = np.random.default_rng([22, 10_000, sum(map(ord, "conf"))])
    table, label = confusing_votes(rng, 10_000)
    label = label[(table >= 0).any(axis=1)]
    table = table[(table >= 0).any(axis=1)]
    assert np.mean(cs.LabelModel(n_classes=3, method=method).fit(table).predict(table) == label) > 0.85


@pytest.mark.parametrize("seed", range(3))
def test_judges_of_both_orders_count_alike_where_half_of_them_would_be_worse_than_chance(seed):
    # On ambiguous items all judges of an order name the answer they read first.
    rng = np.random.default_rng(seed)
    label, ambiguity = rng.integers(0, 2, 4_000), rng.random(4_000)
    table = np.empty((4_000, 16), dtype=np.int64)
    for j in range(16):
        right = rng.random(4_000) < rng.uniform(0.7, 0.8)
        table[:, j] = np.where(ambiguity < 0.4, j % 2, np.where(right, label, 1 - label))
    model, vote = (
        cs.LabelModel(n_classes=2).fit(table),
        cs.LabelModel(n_classes=2, method="majority").fit(table),
    )
    right, by_vote = (np.mean(one.predict(table) == label) for one in (model, vote))
    assert right > by_vote - 0.02
    assert np.ptp(model.accuracy_) < 0.2


@pytest.mark.parametrize("up", [0.45, 0.6])
def test_one_sided_sources_that_share_a_trait_of_items_are_not_taken_for_dependent(up):
    rng = np.random.default_rng([20_000, 30, int(up * 100)])
    n = 20_000
    label, trait = (rng.random(n) < 0.3).astype(np.int64), rng.random(n) < 0.5
    table = np.full((n, 10), -1)
    for j in range(10):
        rate = rng.uniform(0.2, 0.5)
        fires = np.where(label == j % 2, rate, rate * rng.uniform(0.1, 0.4)) * np.where(trait, 1 + up, 1 - up)
        table[rng.random(n) < fires, j] = j % 2
    model = cs.LabelModel(n_classes=2).fit(table)
    assert not hasattr(model, "dependencies_")
    spoken = (table >= 0).any(axis=1)
    assert np.mean(model.predict(table)[spoken] == label[spoken]) > 0.8


def test_the_summary_says_that_labels_are_cautious():
    model = cs.LabelModel(n_classes=2).fit(one_sided_votes(6000, copies=0.5)[0])
    assert "cautious" in str(model.summary())
    assert "by BIC" not in str(model.summary())


def test_cautious_labels_are_the_most_probable_ones():
    table, _ = one_sided_votes(6000, copies=0.5)
    model = cs.LabelModel(n_classes=2).fit(table)
    assert "cautious" in str(model.summary())
    np.testing.assert_array_equal(model.predict(table), model.predict_proba(table).argmax(axis=1))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_labels_of_several_score_tables_are_read_off_their_mean_posterior(dtype):
    table, _ = one_sided_votes(6000, copies=0.5)
    model = cs.LabelModel(n_classes=2).fit(table)
    parts, scores = model._parts, 0.0
    assert len(parts) > 1
    for part in parts:
        of_part = np.tile(part.scores.base, (len(table), 1))
        for j in range(table.shape[1]):
            of_part += np.where((table[:, j] >= 0)[:, None], part.scores.of_state[j, table[:, j] + 1], 0)
        if part.scores.link == "softmax":
            of_part = np.exp(of_part - of_part.max(axis=1, keepdims=True))
        scores += part.weight * of_part / of_part.sum(axis=1, keepdims=True)
    found = model.predict_proba(table, dtype=dtype)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, scores, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-7)
    ordered = scores[:, np.argsort(-model.class_balance_, kind="stable")]
    first = np.argmax(ordered >= ordered.max(axis=1, keepdims=True) - 1e-9, axis=1)
    np.testing.assert_array_equal(
        model.predict(table), np.argsort(-model.class_balance_, kind="stable")[first]
    )


def test_a_given_class_balance_is_kept_by_a_cautious_fit():
    model = cs.LabelModel(n_classes=2, class_balance=[0.3, 0.7]).fit(one_sided_votes(6000, copies=0.5)[0])
    assert "cautious" in str(model.summary())
    np.testing.assert_allclose(model.class_balance_, [0.3, 0.7], rtol=1e-12)


def test_a_hierarchy_of_dependent_sources_is_labelled_cautiously():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    tables, _ = draw(np.random.default_rng(1), exact, 4000)
    copied = np.random.default_rng(2).random(4000) < 0.7
    for table in tables.values():
        table[copied, 1] = table[copied, 0]
        table[copied, 3] = table[copied, 2]
    model = cs.LabelModel(task_graph=exact.graph).fit(tables)
    assert "cautious" in str(model.summary())
    np.testing.assert_allclose(model.predict_joint(tables).sum(axis=1), 1, rtol=1e-12)
    labels = np.column_stack(list(model.predict(tables).values()))
    assert {tuple(row) for row in labels} <= {tuple(row) for row in exact.graph.feasible_set}


def test_a_copy_of_a_source_changes_no_cautious_label():
    table, _ = one_sided_votes(6000, copies=0.5)
    doubled = np.column_stack([table, table[:, 0]])
    expected = cs.LabelModel(n_classes=2).fit(table).predict_proba(table)
    with pytest.warns(cs.DuplicateSourcesWarning):
        found = cs.LabelModel(n_classes=2).fit(doubled).predict_proba(doubled)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("most", [10_000, 10**9])
def test_permuting_the_sources_permutes_a_cautious_fit(most, monkeypatch):
    monkeypatch.setattr(held_out, "MAX_HELD_OUT", most)
    table, _ = items_of_unequal_difficulty(6000, 8, 2.0, m=20)
    order = np.random.default_rng(3).permutation(table.shape[1])
    model = cs.LabelModel(n_classes=3).fit(table)
    assert "cautious" in str(model.summary())
    straight = model.predict_proba(table)
    permuted = cs.LabelModel(n_classes=3).fit(table[:, order]).predict_proba(table[:, order])
    np.testing.assert_allclose(permuted, straight, rtol=0, atol=1e-8)


def test_of_many_votes_about_so_many_are_foretold(monkeypatch):
    table, _ = items_of_unequal_difficulty(6000, 8, 2.0, m=20)
    view = _core.VoteView([table.astype(np.int8)], *table.shape, [3])
    patterns = _core.find_patterns(view, _core.StateCoding.of_one_task(3), None)
    monkeypatch.setattr(held_out, "MAX_HELD_OUT", 3000)
    few = held_out._few_of(patterns, 1)
    assert few.n_votes @ few.weight == pytest.approx(3000, rel=0.15)


def test_silence_is_read_by_its_interpretation_only():
    panel = panel_of(one_sided_votes()[0], 2)
    assert (fit_panel(panel, Interpretation()).of_state[:, 0] == 0).all()
    deaf, told = (fit_panel(panel, Interpretation(silence=s), max_steps=1).base for s in (0.0, 0.5))
    assert not np.allclose(deaf - deaf.mean(), told - told.mean())


def test_a_little_dependence_mixes_the_likelihood_with_caution():
    table, _ = one_sided_votes(20_000, 10, copies=0.04)
    model = cs.LabelModel(n_classes=2, dependencies=[]).fit(table)  # none are looked for
    trust = model._parts[0].weight
    assert len(model._parts) == 1 + len(INTERPRETATIONS)
    assert f"{trust:.0%} on the most likely one" in " ".join(str(model.summary()).split())
    likely = cs.LabelModel(n_classes=2, method="em").fit(table)
    cautious = (model.predict_proba(table) - trust * likely.predict_proba(table)) / (1 - trust)
    assert (cautious > -1e-9).all()
    np.testing.assert_allclose(cautious.sum(axis=1), 1, rtol=1e-9)


def test_a_source_alone_is_held_to_be_as_accurate_as_the_prior_says():
    votes = np.random.default_rng(0).integers(0, 2, (2000, 1))
    with pytest.warns(cs.NotIdentifiableWarning):
        soft = cs.LabelModel(n_classes=2).fit(votes).predict_proba(votes)
    assert soft.max(axis=1).mean() < 0.75


@pytest.mark.parametrize("seed", range(3))
def test_votes_that_stand_alone_do_not_confirm_themselves(seed):
    rng = np.random.default_rng(seed)
    table, _ = crowd_votes(600, 6, 2, seed=seed, accuracy=(0.6, 0.8))
    alone = rng.integers(0, 6, 3000)
    truth = rng.integers(0, 2, 3000)
    more = np.full((3000, 6), -1)
    right = rng.random(3000) < 0.7
    more[np.arange(3000), alone] = np.where(right, truth, 1 - truth)
    model = cs.LabelModel(n_classes=2).fit(np.vstack([table, more]))
    soft = model.predict_proba(more)
    assert abs(soft.max(axis=1).mean() - 0.7) < 0.06


def test_the_model_of_missing_abstentions_is_tested_on_common_items_only():
    # Which three of twelve sources see an item is drawn, so that abstentions hang together.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 20_000)
    right = rng.random((20_000, 12)) < rng.uniform(0.6, 0.9, 12)
    table = np.where(right, y[:, None], 1 - y[:, None])
    table[rng.random(table.shape).argsort(axis=1) >= 3] = -1
    fitted = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(table)._fitted()
    shares = [
        unexplained_share(fitted.statistics, fitted.fit, fitted.class_balance, missing=missing)
        for missing in (True, False)
    ]
    assert shares[0] < 0.005 < 0.015 < shares[1]


def test_intervals_of_cautious_fits_cover():
    covered = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 200)
        accuracy = rng.uniform(0.55, 0.9, 10)
        table = np.where(rng.random((200, 10)) < accuracy, y[:, None], 1 - y[:, None])
        table[rng.random(table.shape) < 0.5] = -1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cs.NotIdentifiableWarning)
            model = cs.LabelModel(n_classes=2).fit(table)
        low, high = model.accuracy_interval_.T
        assert "cautious" in str(model.summary())
        assert (low <= model.accuracy_).all()
        assert (model.accuracy_ <= high).all()
        covered.append((low <= accuracy) & (accuracy <= high))
    assert np.mean(covered) > 0.92


def test_an_interval_spans_what_others_say_of_a_source_with_its_own_vote_and_without():
    table, _ = one_sided_votes(2000, 8, copies=0.5)
    panel = panel_of(table, 2)
    fit = fit_panel(panel)
    found = accuracy_range(panel, [fit])
    scores = fit.base + sum(fit.of_state[h, table[:, h] + 1] for h in range(8))
    for j in range(8):
        shared = (table[:, j] >= 0) & ((table >= 0).sum(axis=1) > 1)
        n, ends = shared.sum(), []
        for rows, own in ((shared, fit.of_state[j, table[:, j] + 1]), (table[:, j] >= 0, 0.0)):
            p = softmax(scores - own, axis=1)
            ends.append(p[rows, table[rows, j]].mean())
        low, high = min(ends), max(ends)
        low -= 1.959964 * np.sqrt((low * (1 - low) + 1 / (n + 1)) / n)
        high += 1.959964 * np.sqrt((high * (1 - high) + 1 / (n + 1)) / n)
        np.testing.assert_allclose(found[j], np.clip([low, high], 0, 1), atol=1e-10)


def test_a_saved_cautious_model_has_the_same_intervals(tmp_path):
    model = cs.LabelModel(n_classes=2).fit(one_sided_votes(1000, copies=0.5)[0])
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(cs.load(tmp_path / "model").accuracy_interval_, model.accuracy_interval_)


# Items that differ in how hard they are


def items_of_unequal_difficulty(n, n_votes, spread, *, seed=0, k=3, m=40):
    """Each item has an ease of its own, and a class that it is mostly mistaken for."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    accuracy = rng.uniform(0.55, 0.9, m)
    right = 1 / (1 + np.exp(-(np.log(accuracy / (1 - accuracy)) + spread * rng.normal(size=(n, 1)))))
    mistaken = ((y + rng.integers(1, k, n)) % k)[:, None]
    other = (y[:, None] + rng.integers(1, k, (n, m))) % k
    wrong = np.where(rng.random((n, m)) < 0.8 * (spread > 0), mistaken, other)
    table = np.where(rng.random((n, m)) < right, y[:, None], wrong)
    table[rng.random((n, m)) >= n_votes / m] = -1
    return table, y


def doubt(table, k):
    """Gain of a tempered posterior, vote by vote, by the definition; and by the package."""
    model = cs.LabelModel(n_classes=k, method="em").fit(table)
    fitted = model._fitted()
    states = np.zeros((table.shape[1], k + 1), dtype=bool)
    states[:, 1:] = True
    coded = code_votes(as_votes(table, n_classes=k), model.task_graph_, n_threads=1)
    patterns = _core.find_patterns(coded.view, coded.coding, None, n_threads=1)
    scores = independent_scores(fitted.fit, coded.events, fitted.class_balance, missing=False)
    found, n_votes = gain_of_doubt(patterns, scores, states, n_threads=1)
    log = np.log(np.maximum(model.emission_, 1e-300))  # (m, k + 1, k), the abstention last
    said = np.where(table < 0, k, table)
    base = np.log(model.class_balance_) + sum(log[j, said[:, j]] for j in range(table.shape[1]))
    told = np.zeros(len(TEMPERATURES))
    for j in range(table.shape[1]):
        rows = (table[:, j] >= 0) & ((table >= 0).sum(axis=1) > 1)
        # All other sources as they are, and this one as if it had abstained.
        others = base[rows] - log[j, said[rows, j]] + log[j, k]
        for t, temperature in enumerate(TEMPERATURES):
            p = softmax(temperature * others, axis=1) * np.exp(-log[j, k])
            vote = (p * np.exp(log[j, said[rows, j]])).sum(axis=1)
            told[t] += np.log(vote / (p * (1 - np.exp(log[j, k]))).sum(axis=1)).sum()
    return told.max() - told[0], found, n_votes


def test_the_gain_of_doubt_is_that_of_the_definition():
    table, _ = items_of_unequal_difficulty(500, 6, 2.0, m=8)
    expected, found, n_votes = doubt(table, 3)
    assert expected > 5
    assert found == pytest.approx(expected, rel=1e-6)
    voted = (table >= 0).sum(axis=1)
    assert n_votes == voted[voted > 1].sum()


@pytest.mark.parametrize("name", [name for name in INDEPENDENT if "one-sided" not in name])
def test_doubt_gains_nothing_where_sources_are_independent(name):
    table, _ = INDEPENDENT[name]()
    _, found, n_votes = doubt(table, int(table.max()) + 1)
    assert found < 5
    assert n_votes > 10_000


def test_a_posterior_that_is_too_sure_is_not_trusted():
    # Pairs of sources do not show it: what items have in common passes for their label.
    table, y = items_of_unequal_difficulty(3000, 10, 2.0)
    likely = cs.LabelModel(n_classes=3, method="em").fit(table)
    fitted = likely._fitted()
    assert unexplained_share(fitted.statistics, fitted.fit, fitted.class_balance) < 0.005
    model = cs.LabelModel(n_classes=3).fit(table)
    assert "hang together beyond its label" in str(model.summary()).replace("\n  ", " ")
    soft = model.predict_proba(table)
    assert brier(soft, y) < 0.85 * brier(likely.predict_proba(table), y)
    assert np.mean(model.predict(table) == y) > np.mean(likely.predict(table) == y) - 0.01


def test_a_temperature_below_1_takes_the_errors_of_votes_to_be_correlated():
    table, _ = items_of_unequal_difficulty(300, 10, 2.0)
    panel = panel_of(table, 3)
    fit = tempered(panel, INTERPRETATIONS[0], 0.1)
    voted = (table >= 0).sum(axis=1)
    worth = 1 / (1 + 0.2 * ((voted**2).sum() / voted.sum() - 1))
    assert fit.temperature == pytest.approx(min(fit.temperature, worth))
    assert fit.temperature < 0.4


# Few sources that depend on each other


def near_copies(n=6000, *, seed=0):
    """Ten sources, and five that repeat the weakest of them but for one vote in ten."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    accuracy = np.r_[0.55, rng.uniform(0.6, 0.85, 9)]
    table = np.where(rng.random((n, 10)) < accuracy, y[:, None], 1 - y[:, None])
    table[rng.random(table.shape) < 0.3] = -1
    copies = np.repeat(table[:, :1], 5, axis=1)
    copies = np.where((rng.random(copies.shape) < 0.1) & (copies >= 0), 1 - copies, copies)
    return table, np.hstack([table, copies]), y


def test_near_copies_of_the_weakest_source_cost_nothing():
    table, more, y = near_copies()
    right = [np.mean(cs.LabelModel(n_classes=2).fit(votes).predict(votes) == y) for votes in (table, more)]
    assert right[1] > right[0] - 0.005
    majority = cs.LabelModel(n_classes=2, method="majority").fit(more)
    assert np.mean(majority.predict(more) == y) < right[0] - 0.1


@pytest.mark.filterwarnings("ignore:the rows of earlier votes")
def test_the_default_tells_which_dependencies_it_found(tmp_path):
    more = near_copies()[1][:, :11]
    model = cs.LabelModel(n_classes=2).fit(more)
    assert model.dependencies_.pairs == [(0, 10)]
    assert model.dependencies is None
    assert "cautious" not in str(model.summary())
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(more), model.predict_proba(more))
    assert again.dependencies_.pairs == model.dependencies_.pairs
    # They are found anew with further votes, and where there are only statistics they are left out.
    parts = cs.LabelModel(n_classes=2).partial_fit(more[:3000]).partial_fit(more[3000:])
    np.testing.assert_array_equal(parts.predict_proba(more), model.predict_proba(more))
    assert model.partial_fit(more).predict_proba(more).shape == (len(more), 2)


def test_dependencies_that_leave_votes_unexplained_are_not_used():
    # All of these sources are one-sided, and half of the votes of each are copied.
    model = cs.LabelModel(n_classes=2).fit(one_sided_votes(6000, copies=0.8)[0])
    assert "cautious" in str(model.summary())
    assert not hasattr(model, "dependencies_")


def test_a_cautious_fit_says_how_trusted_sources_come_out():
    table, _ = one_sided_votes(6000, copies=0.5)
    model = cs.LabelModel(n_classes=2, dependencies=[], trusted=[0]).fit(table)
    assert "Trusted sources come out better than chance" in " ".join(str(model.summary()).split())


@pytest.mark.parametrize("seed", range(3))
def test_a_trait_of_items_is_not_taken_for_a_rare_class(seed):
    rng = np.random.default_rng(seed)
    n = 1000
    y = (rng.random(n) < 0.02).astype(int)
    how_often = np.where(rng.random(n) < 0.4, 1.7, 0.5)  # some items are voted on more than others
    votes = np.full((n, 12), -1)
    for j in range(12):
        rate = rng.uniform(0.2, 0.5)
        votes[rng.random(n) < np.where(y == j % 2, rate, rate / 10) * how_often, j] = j % 2
    model = cs.LabelModel(n_classes=2).fit(votes)
    covered = (votes >= 0).any(axis=1)
    assert (model.predict(votes) == y)[covered].mean() > 0.865  # the likeliest tables: .45 to .55
    assert "speak against it" in " ".join(str(model.summary()).split())


# One-sided sources whose votes speak against what they say


def with_poor_one_sided(seed, n_poor, lift=0.43, n=2000):
    """Eight sources that vote for both classes, and some that vote for the second one, mostly wrongly."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    right = rng.random((n, 8)) < rng.uniform(0.58, 0.7, 8)
    votes = np.where(right, y[:, None], 1 - y[:, None])
    votes[rng.random(votes.shape) > 0.7] = -1
    fires = rng.random((n, n_poor)) < np.where(y == 1, 0.42 * lift, 0.42)[:, None]
    return np.hstack([votes, np.where(fires, 1, -1)]), y


@pytest.mark.parametrize("n_poor", [1, 3])
@pytest.mark.parametrize("seed", range(2))
def test_poor_one_sided_sources_beside_good_ones_do_not_cost_the_likelihood_its_trust(seed, n_poor):
    votes, y = with_poor_one_sided(seed, n_poor)
    likely, vote = (cs.LabelModel(n_classes=2, method=method).fit(votes) for method in ("em", "majority"))
    model = cs.LabelModel(n_classes=2).fit(votes)
    np.testing.assert_array_equal(model.predict_proba(votes), likely.predict_proba(votes))
    assert (model.predict(votes) == y).mean() > (vote.predict(votes) == y).mean() + 0.02


def spoken_against_a_class(lift=0.5, n=4000, seed=0):
    """Eight good sources for the second class, and two for the first that speak against it."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(int)
    votes = np.full((n, 10), -1)
    for j in range(8):
        rate = rng.uniform(0.2, 0.5)
        votes[rng.random(n) < np.where(y == 1, rate, rate / rng.uniform(3, 10)), j] = 1
    for j in (8, 9):
        votes[rng.random(n) < np.where(y == 0, 0.3 * lift, 0.3), j] = 0
    return votes, y


def is_spoken_against(model):
    return "speak against it" in " ".join(str(model.summary()).split())


def test_sources_that_somebody_knows_to_be_poor_are_no_sign_of_a_trait():
    votes, y = spoken_against_a_class()
    covered = (votes >= 0).any(axis=1)
    assert is_spoken_against(cs.LabelModel(n_classes=2).fit(votes))
    gold = np.where(np.arange(len(y)) < 400, y, -1)
    known = [
        cs.LabelModel(n_classes=2).fit(votes, y=gold),
        cs.LabelModel(n_classes=2, accuracy_prior={8: (0.55, 50), 9: (0.55, 50)}).fit(votes),
    ]
    for model in known:
        assert "cautious" not in str(model.summary())
        assert (model.predict(votes) == y)[covered].mean() > 0.83
    # Who believes in them has been given no reason to trust the fit.
    believing = cs.LabelModel(n_classes=2, accuracy_prior={8: (0.8, 50), 9: (0.8, 50)})
    assert is_spoken_against(believing.fit(votes))


def test_a_trusted_source_for_a_class_settles_what_others_say_of_it():
    votes, y = spoken_against_a_class()
    rng = np.random.default_rng(1)
    good = np.where(rng.random(len(y)) < np.where(y == 0, 0.06, 0.01), 0, -1)
    votes = np.column_stack([votes, good])
    assert is_spoken_against(cs.LabelModel(n_classes=2).fit(votes))
    model = cs.LabelModel(n_classes=2, trusted=[10]).fit(votes)
    assert "cautious" not in str(model.summary())
    # One that votes for the other class settles nothing.
    assert is_spoken_against(cs.LabelModel(n_classes=2, trusted=[0]).fit(votes))


def test_trust_fades_with_how_far_votes_speak_against_what_they_say():
    trusts = []
    for lift in (1.0, 0.85, 0.8, 0.7):
        votes, _ = spoken_against_a_class(lift, 20_000)
        model = cs.LabelModel(n_classes=2, dependencies=[]).fit(votes)
        words = " ".join(str(model.summary()).split())
        found = re.search(r"speak against it.* with a weight of (\d+)% on the most likely one", words)
        trusts.append(int(found[1]) if found else 0 if "speak against it" in words else 100)
    assert trusts[0] == 100
    assert 60 < trusts[1] < 100
    assert 0 < trusts[2] < 40
    assert trusts[3] == 0


# Constants that labels do not show at once


@pytest.mark.parametrize("seed", [8, 9, 13])  # of 24, those with the greatest gains
def test_a_gain_of_doubt_that_few_votes_have_by_chance_costs_no_trust(seed):
    table, _ = crowd_votes(200, 8, 2, seed=seed, coverage=1.0, accuracy=(0.65, 0.9))
    likely = cs.LabelModel(n_classes=2, method="em").fit(table)
    np.testing.assert_array_equal(
        cs.LabelModel(n_classes=2).fit(table).predict_proba(table), likely.predict_proba(table)
    )


@pytest.mark.parametrize(("n_sided", "n_readings"), [(1, 1), (12, 3)])
def test_one_sided_sources_are_read_in_several_ways_unless_they_are_few(n_sided, n_readings):
    crowd, _ = items_of_unequal_difficulty(3000, 6, 2.0, k=2, m=12)
    rng = np.random.default_rng(0)
    sided = np.where(rng.random((3000, n_sided)) < 0.25, np.arange(n_sided) % 2, -1)
    model = cs.LabelModel(n_classes=2, dependencies=[]).fit(np.hstack([crowd, sided]))
    readings = [part for part in model._parts if part.scores.link == "softmax"]
    assert len(readings) == n_readings


def test_very_many_votes_of_weak_sources_do_not_tell_the_class_balance():
    gains = []
    for seed in (4, 6, 10, 11):  # learned with the rest it comes out as 0.41, 0.18, 0.34 and 0.40
        rng = np.random.default_rng(seed)
        y = rng.choice(2, 30_000)
        right = rng.random((30_000, 5)) < (0.55, 0.55, 0.55, 0.6, 0.58)
        votes = np.where(right, y[:, None], 1 - y[:, None])
        model = cs.LabelModel(n_classes=2).fit(votes)
        assert "class balance too open" in " ".join(str(model.summary()).split())
        gains.append(np.mean(model.predict(votes) == y) - np.mean((votes.sum(axis=1) > 2.5) == y))
    assert np.mean(gains) > -0.005
    assert min(gains) > -0.01


@pytest.mark.parametrize("n", [500, 1000, 4000])
def test_a_classifier_among_rules_for_the_rarer_class_is_not_turned_round(n):
    gains = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        label = (rng.random(n) < 0.2).astype(int)
        classifier = np.where(rng.random(n) < np.where(label == 1, 0.6, 0.9), label, 1 - label)
        rules = [np.where(rng.random(n) < np.where(label == 1, 0.3, 0.03), 1, -1) for _ in range(3)]
        votes = np.column_stack([classifier, *rules])
        right = [
            (cs.LabelModel(n_classes=2, method=method).fit(votes).predict(votes) == label).mean()
            for method in ("auto", "majority")
        ]
        gains.append(right[0] - right[1])
    # Once it was: in one draw of six 14 % of the labels were right.
    assert min(gains) > -0.03


@pytest.mark.parametrize("seed", range(2))
def test_the_names_of_classes_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    n, m, k = 2000, 30, 4
    label = rng.choice(k, n, p=[0.4, 0.3, 0.2, 0.1])
    right, guesses = rng.random((n, m)) < rng.uniform(0.3, 0.9, m), rng.integers(0, k, (n, m))
    votes = np.where(right, label[:, None], guesses)
    hard = rng.random(n) < 0.3  # where half of the sources say the same, whatever the label is
    common = rng.integers(0, k, n)[:, None]
    votes = np.where(hard[:, None] & (rng.random((n, m)) < 0.5), common, votes)
    votes[rng.random((n, m)) > 0.25] = -1
    names = np.array([3, 1, 0, 2])
    model = cs.LabelModel(n_classes=k, ordered=False)
    as_they_are = model.fit(votes).predict_proba(votes)
    assert model._fitted().fit.parts
    renamed = np.where(votes >= 0, names[votes], -1)
    np.testing.assert_allclose(model.fit(renamed).predict_proba(renamed)[:, names], as_they_are, atol=1e-8)
