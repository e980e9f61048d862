"""EM against exact models: the truth is its fixed point; the likelihood never falls; BIC finds the model."""

from dataclasses import replace

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task, single_task_with_pairs, table_error

import consilience as cs
from consilience import _core
from consilience.accuracy_prior import AccuracyPrior, ImaginedItems
from consilience.em import FALL, MODELS, Ascent, Columns, choose_model, fit_em
from consilience.rows import Distinct
from consilience.tied import tied_directions


def fitted(exact, **arguments):
    arguments = {"task_graph": exact.graph, "class_balance": exact.class_balance, **arguments}
    return cs.LabelModel(method="em", **arguments).fit(exact.votes, weights=exact.weights)


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("abstains", [True, False])
def test_em_stays_at_the_exact_tables_of_exact_votes(k, abstains):
    exact = single_task(np.random.default_rng(k), k, abstains=abstains)
    assert table_error(fitted(exact), exact) < 1e-6


def test_em_stays_at_the_exact_tables_of_a_hierarchy():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    assert table_error(fitted(exact), exact) < 1e-6


@pytest.mark.parametrize("k", [2, 3])
def test_em_stays_at_the_exact_tables_of_dependent_sources(k):
    exact = single_task_with_pairs(np.random.default_rng(0), k)
    model = fitted(exact, dependencies=exact.dependencies)
    assert table_error(model, exact) < 1e-6
    # EM stops when its tables move by less than 1e-6.
    np.testing.assert_allclose(model.predict_proba(exact.votes), exact.posterior, atol=1e-5)


@pytest.mark.parametrize("minority", [0.02, 0.1, 0.3])
def test_em_learns_the_class_balance(minority):
    exact = single_task(np.random.default_rng(1), 2, 8)
    rng = np.random.default_rng(2)
    label = (rng.random(20_000) < minority).astype(int)
    tables = np.stack([source.table for source in exact.sources])  # (m, 3, 2)
    edges = tables.cumsum(axis=1)[:, :, label]  # (m, 3, n)
    votes = (rng.random((8, 1, 20_000)) >= edges).sum(axis=1).T
    votes = np.where(votes == 2, -1, votes)
    model = cs.LabelModel(n_classes=2, method="em").fit(votes)
    # The counts alone have a standard error of sqrt(p (1 - p) / n), at most 0.0033; EM at most twice that.
    assert model.class_balance_[1] == pytest.approx(label.mean(), abs=0.01)


def columns_of(votes, k):
    n, m = votes.shape
    view = _core.VoteView([np.ascontiguousarray(votes, dtype=np.int8)], n, m, [k])
    patterns = _core.find_patterns(view, _core.StateCoding.of_one_task(k), None)
    masks = np.vstack([np.zeros((1, k), bool), np.eye(k, dtype=bool)])
    return Columns(
        Distinct(patterns),
        float(n),
        np.tile(masks, (m, 1, 1)),
        np.ones(m, bool),
        np.zeros(m, bool),
        np.zeros((m, k + 1), int),
        None,
        1,
    )


def plain_em(votes, tables, balance, passes):
    """Slow twin: free tables, item by item, without extrapolation."""
    m = votes.shape[1]
    for _ in range(passes):
        weights = balance * np.prod([tables[j, votes[:, j] + 1] for j in range(m)], axis=0)
        posterior = weights / weights.sum(axis=1, keepdims=True)
        new = np.zeros_like(tables)
        for j in range(m):
            for s in range(tables.shape[1]):
                new[j, s] = posterior[votes[:, j] + 1 == s].sum(axis=0)
        tables = new / new.sum(axis=1, keepdims=True)
    likelihood = (balance * np.prod([tables[j, votes[:, j] + 1] for j in range(m)], axis=0)).sum(axis=1)
    return tables, np.log(likelihood).sum()


def test_em_with_free_tables_ends_where_many_plain_steps_end():
    exact = single_task(np.random.default_rng(3), 2, 6)
    votes, _ = draw(np.random.default_rng(4), exact, 3000)
    start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
    fit = fit_em(columns_of(votes, 2), start, exact.class_balance, model="free", learn_balance=False)
    tables, log_likelihood = plain_em(votes, start, exact.class_balance, 300)
    assert fit.converged
    # The prior count of 0.01 items moves a table by about 1e-5.
    np.testing.assert_allclose(fit.tables, tables, atol=1e-4)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-2)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_em_needs_far_fewer_passes_than_plain_steps(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(5000) < 0.03).astype(int)
    votes = np.where(rng.random((5000, 10)) < rng.uniform(0.6, 0.9, 10), label[:, None], 1 - label[:, None])
    votes[rng.random((5000, 10)) > 0.3] = -1
    columns, balance = columns_of(votes, 2), np.array([0.9, 0.1])
    start = np.tile(np.array([[0.7, 0.7], [0.2, 0.1], [0.1, 0.2]]), (10, 1, 1))
    run = Ascent(columns, start, balance, "free", learn_balance=True)
    run.go_on(1000)
    assert run.converged
    plain = Ascent(columns, start, balance, "free", learn_balance=True)
    for _ in range(3 * run.n_passes):
        plain.point = plain._step(plain.point)[0]
    assert plain.point.distance(run.point) > 1e-3
    # Plain steps stay where it ended.
    plain.point = run.point
    for _ in range(200):
        plain.point = plain._step(plain.point)[0]
    assert plain.point.distance(run.point) < 1e-4


@pytest.mark.parametrize("model", MODELS)
def test_em_ends_at_a_likelihood_no_lower_than_that_of_its_start(model):
    for seed in range(5):
        exact = single_task(np.random.default_rng(seed), 3, 5)
        votes, _ = draw(np.random.default_rng(seed), exact, 1000)
        columns = columns_of(votes, 3)
        start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
        first = fit_em(columns, start, exact.class_balance, model=model, learn_balance=False)
        again = fit_em(columns, first.tables, exact.class_balance, model=model, learn_balance=False)
        assert again.log_likelihood >= first.log_likelihood - 1e-3


def test_em_that_is_asked_on_its_way_ends_at_the_same_bits_unless_it_is_given_up(monkeypatch):
    monkeypatch.setattr("consilience.em.TRIAL_PASSES", 6)
    exact = single_task(np.random.default_rng(5), 2, 10)
    votes, _ = draw(np.random.default_rng(6), exact, 200)
    columns = columns_of(votes, 2)
    start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
    at_once, kept, given_up = (
        choose_model(columns, start, exact.class_balance, learn_balance=True, is_hopeless=is_hopeless)[0]
        for is_hopeless in (None, lambda fit: False, lambda fit: True)
    )
    assert at_once.n_passes > 9
    assert kept.tables.tobytes() == at_once.tables.tobytes()
    assert 6 <= given_up.n_passes < 9


@pytest.mark.parametrize("model", ["one-coin", "tied"])
@pytest.mark.parametrize(("k", "abstains"), [(3, True), (4, True), (3, False)])
def test_em_ends_where_no_direction_of_its_model_goes_up(k, abstains, model):
    exact = single_task(np.random.default_rng(3), k, 6, abstains=abstains)
    votes, _ = draw(np.random.default_rng(4), exact, 1000)  # so few that no tied tables fit them exactly
    p = exact.class_balance
    start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
    fit = fit_em(columns_of(votes, k), start, p, model=model, learn_balance=False)
    directions = tied_directions(np.eye(k, dtype=bool), model, abstains=abstains, n_vectors=k)
    if abstains:
        np.testing.assert_allclose(fit.tables.sum(axis=1), 1)
    for j in range(6):
        for direction in np.moveaxis(np.roll(directions, 1, axis=0), 2, 0):
            either_way = []
            for step in (-1e-5, 1e-5):
                moved = fit.tables.copy()
                moved[j] += step * direction
                either_way.append(plain_em(votes, moved, p, 0)[1])
            # By the standard deviation of such a slope, sqrt(n), or more: about 50.
            assert abs(either_way[1] - either_way[0]) / 2e-5 < 1


def believed_of(exact, votes, beliefs):
    """Columns with imagined items, and where EM starts."""
    k = len(exact.class_balance)
    columns = columns_of(votes, k)
    own = np.array([beliefs.get(j, (0.5, 0.0)) for j in range(votes.shape[1])])
    rate = np.stack([(votes == state - 1).mean(axis=0) for state in range(k + 1)], axis=1)
    prior = AccuracyPrior(own[:, 0], own[:, 1])
    start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
    return replace(columns, imagined=ImaginedItems(prior, columns.masks, rate)), start


def test_imagined_items_have_the_accuracy_votes_and_rates_that_are_believed():
    exact = single_task(np.random.default_rng(3), 3, 4)
    votes, _ = draw(np.random.default_rng(4), exact, 3000)
    columns, _ = believed_of(exact, votes, {0: (0.9, 50.0), 2: (0.4, 7.0)})
    imagined = columns.imagined.under(exact.class_balance)
    cast = imagined[:, 1:]
    right = np.einsum("cyy->c", cast)
    np.testing.assert_allclose(cast.sum(axis=(1, 2)), [50, 0, 7, 0], rtol=0.02)
    np.testing.assert_allclose(right[[0, 2]] / cast.sum(axis=(1, 2))[[0, 2]], [0.9, 0.4], atol=0.02)
    items = imagined.sum(axis=1)
    np.testing.assert_allclose(
        items[[0, 2]] / items[[0, 2]].sum(axis=1, keepdims=True), [exact.class_balance] * 2
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("k", [2, 3])
def test_under_a_prior_em_never_falls_and_ends_where_no_direction_goes_up(k, model):
    exact = single_task(np.random.default_rng(3), k, 6)
    votes, _ = draw(np.random.default_rng(4), exact, 1000)
    beliefs = {0: (0.95, 300.0), 1: (0.3, 2000.0), 3: (0.6, 5.0)}
    columns, start = believed_of(exact, votes, beliefs)
    p = exact.class_balance
    imagined = columns.imagined.under(p)

    def worth(tables):
        cast = imagined > 0
        of_imagined = np.sum(imagined[cast] * np.log(tables[cast]))
        return plain_em(votes, tables, p, 0)[1] + of_imagined

    run = Ascent(columns, start, p, model, learn_balance=False)
    last = -np.inf
    for n_passes in range(1, 200, 3):
        run.go_on(n_passes)
        assert worth(run.point.tables) >= last - 1e-3  # PRIOR_COUNT
        last = worth(run.point.tables) if run.n_passes > 3 else -np.inf  # the start is of another model
    assert run.converged
    assert run.n_passes < 100
    directions = tied_directions(np.eye(k, dtype=bool), model, abstains=True, n_vectors=k)
    for j in range(6):
        for direction in np.moveaxis(np.roll(directions, 1, axis=0), 2, 0):
            either_way = []
            for step in (-1e-5, 1e-5):
                moved = run.point.tables.copy()
                moved[j] += step * direction
                either_way.append(worth(moved))
            assert abs(either_way[1] - either_way[0]) / 2e-5 < 1


@pytest.mark.parametrize("is_believed", [True, False], ids=["believed", "few votes"])
@pytest.mark.parametrize("seed", [7, 13, 21])
def test_where_imagined_items_move_with_the_balance_em_does_not_stop_on_its_way(
    seed, is_believed, monkeypatch
):
    beliefs = {1: (0.33, 2000), 5: (0.89, 25)} if is_believed else None
    rng = np.random.default_rng(seed)
    n, m = 950, 8
    y = (rng.random(n) < 0.4).astype(int)
    right = rng.random((n, m)) < rng.uniform(0.4, 0.95, m)
    votes = np.where(right, y[:, None], 1 - y[:, None])
    coverage = np.linspace(0.25, 0.85, m) if is_believed else np.where(np.arange(m) % 2, 0.03, 0.6)
    votes[rng.random((n, m)) > coverage] = -1
    stopped = cs.LabelModel(n_classes=2, method="em", accuracy_prior=beliefs).fit(votes)
    monkeypatch.setattr("consilience.em.MAX_IDLE", 10**9)
    went_on = cs.LabelModel(n_classes=2, method="em", accuracy_prior=beliefs).fit(votes)
    np.testing.assert_allclose(stopped.class_balance_, went_on.class_balance_, atol=2e-4)
    np.testing.assert_allclose(stopped.predict_proba(votes), went_on.predict_proba(votes), atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_em_never_falls_where_classes_die_out_and_floors_hold_tables(seed):
    rng = np.random.default_rng(seed)
    k, m, n = int(rng.integers(3, 12)), int(rng.integers(4, 15)), int(rng.integers(60, 1500))
    y = rng.choice(k, n, p=rng.dirichlet(np.full(k, 0.7)))
    votes = np.where(rng.random((n, m)) < rng.uniform(0.3, 0.95, m), y[:, None], rng.integers(0, k, (n, m)))
    votes[rng.random((n, m)) < rng.uniform(0.05, 0.7, m)] = -1
    columns, rate = columns_of(votes, k), np.stack([(votes == v - 1).mean(axis=0) for v in range(k + 1)], 1)
    lifted = np.where(columns.masks[0, 1:], 3.0, 1.0)  # all sources alike
    start = np.concatenate(
        [np.repeat(rate[:, :1, None], k, 2), rate[:, 1:, None] * lifted / lifted.mean(0)], axis=1
    )
    for model in MODELS:
        run = Ascent(columns, start / start.sum(axis=1, keepdims=True), np.full(k, 1 / k), model, True)
        known = []
        while not run.converged and run.n_passes < 300:
            run.go_on(run.n_passes + 1)
            known.append(run.safe[1])
        assert (np.diff(known) > -FALL).all()
        assert run.fit().log_likelihood > known[0]


@pytest.mark.parametrize("seed", [1, 12, 13])  # from the moments alone, EM ended 3.5, 9.4 and 0.5 lower
def test_em_of_votes_that_tell_little_ends_no_lower_than_em_from_the_truth(seed):
    k, m, n = 4, 10, 1000
    p = np.array([0.4, 0.3, 0.2, 0.1])
    rng = np.random.default_rng(seed)
    accuracy, coverage = rng.uniform(1.3 / k, 1.9 / k, m), rng.uniform(0.1, 0.3, m)
    hit, miss = (coverage * accuracy)[:, None, None], (coverage * (1 - accuracy))[:, None, None] / (k - 1)
    silent = np.repeat(1 - coverage, k).reshape(m, 1, k)
    truth = np.concatenate([silent, np.where(np.eye(k), hit, miss)], axis=1)
    y = rng.choice(k, n, p=p)
    votes = np.column_stack([(rng.random((n, 1)) >= t.cumsum(axis=0).T[y]).sum(axis=1) - 1 for t in truth])
    best = fit_em(columns_of(votes, k), truth, p, model="one-coin", learn_balance=False)
    model = cs.LabelModel(n_classes=k, class_balance=p, method="em").fit(votes)
    _, log_likelihood = plain_em(votes, np.roll(model.emission_, 1, axis=1), p, 0)
    assert log_likelihood > best.log_likelihood - 0.05


@pytest.mark.parametrize("seed", range(4))
def test_one_coin_does_not_rest_where_a_vote_is_all_but_impossible(seed):
    rng = np.random.default_rng([0, 7, 1, 3][seed])
    y = (rng.random(3000) > 0.7).astype(int)
    votes = np.where(rng.random((3000, 15)) < np.linspace(0.6, 0.9, 15), y[:, None], 1 - y[:, None])
    votes[rng.random(votes.shape) >= 0.2] = -1
    model = cs.LabelModel(n_classes=2, method="em").fit(votes)
    assert model.emission_.min() > 1e-3
    assert model.class_balance_[0] == pytest.approx(0.7, abs=0.08)


def test_a_class_without_items_leaves_tied_tables_finite():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2000)
    votes = np.where(rng.random((2000, 6)) < 0.8, y[:, None], rng.integers(0, 3, (2000, 6)))
    model = cs.LabelModel(n_classes=3, method="em").fit(votes, y=y)  # gold of all items, none of class 2
    assert np.isfinite(list(model._fitted().fit.bic.values())).all()
    assert model._fitted().fit.bic["tied"] < 1.1 * min(model._fitted().fit.bic.values())
    np.testing.assert_allclose(model.emission_.sum(axis=1), 1, atol=1e-9)


def test_em_takes_tens_of_passes():
    exact = single_task(np.random.default_rng(5), 2, 10)
    votes, _ = draw(np.random.default_rng(6), exact, 10_000)
    start = np.stack([np.roll(source.table, 1, axis=0) for source in exact.sources])
    for model in MODELS:
        fit = fit_em(columns_of(votes, 2), start, exact.class_balance, model=model, learn_balance=True)
        assert fit.converged
        assert fit.n_passes < 100


def test_em_gives_the_same_bits_for_any_number_of_threads():
    exact = single_task(np.random.default_rng(7), 3, 8)
    votes, _ = draw(np.random.default_rng(8), exact, 20_000)
    one, three = (
        cs.LabelModel(n_classes=3, method="em", n_threads=n).fit(votes).predict_proba(votes).tobytes()
        for n in (1, 3)
    )
    assert one == three


@pytest.mark.parametrize("model", ["tied", "free"])
def test_bic_finds_the_model_that_was_drawn_from(model):
    rng = np.random.default_rng(9)
    exact = single_task(rng, 4, 8)
    if model == "free":
        for j, source in enumerate(exact.sources):
            table = rng.dirichlet(np.ones(5), size=4).T + np.vstack([2 * np.eye(4), np.full((1, 4), 0.5)])
            exact = exact.with_source(j, type(source)(source.events, table / table.sum(axis=0)))
    votes, _ = draw(rng, exact, 10_000)
    summary = str(
        cs.LabelModel(n_classes=4, class_balance=exact.class_balance, method="em").fit(votes).summary()
    )
    assert f"tables: {model}, by BIC" in summary


def test_intervals_of_em_cover_the_truth():
    exact = single_task(np.random.default_rng(10), 2, 6)
    joint = np.stack([source.table[:2] for source in exact.sources]) * exact.class_balance
    true = np.einsum("jll->j", joint) / joint.sum(axis=(1, 2))
    inside = []
    for seed in range(40):
        votes, _ = draw(np.random.default_rng(seed), exact, 2000)
        low, high = cs.LabelModel(n_classes=2, method="em").fit(votes).accuracy_interval_.T
        inside.append((low <= true) & (true <= high))
    # 240 intervals: 3 standard errors are 0.042, and some for those of one fit depend on each other.
    assert 0.89 < np.mean(inside) <= 1


def test_a_duplicate_counts_once_in_em():
    exact = single_task(np.random.default_rng(11), 2, 5)
    votes, _ = draw(np.random.default_rng(12), exact, 3000)
    alone = cs.LabelModel(n_classes=2, method="em").fit(votes).predict_proba(votes)
    doubled = np.hstack([votes, votes[:, :1]])
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel(n_classes=2, method="em").fit(doubled)
    np.testing.assert_allclose(model.predict_proba(doubled), alone, atol=1e-9)


def test_em_with_missing_abstentions_says_nothing_about_items_without_votes():
    exact = single_task(np.random.default_rng(13), 2, 5)
    votes, _ = draw(np.random.default_rng(14), exact, 3000)
    model = cs.LabelModel(n_classes=2, method="em", abstentions="missing").fit(votes)
    silent = np.full((1, 5), -1)
    np.testing.assert_allclose(model.predict_proba(silent)[0], model.class_balance_, atol=1e-12)


def test_em_needs_the_votes_themselves():
    votes = np.array([[0, 1, 0], [1, 1, 1]])
    with pytest.raises(cs.InvalidArgumentError, match="statistics"):
        cs.LabelModel(method="em").fit(cs.VoteStatistics.of(votes))


@pytest.mark.parametrize("start", ["fit", "statistics"])
def test_em_does_not_go_on_from_what_left_no_rows(start):
    votes, _ = draw(np.random.default_rng(1), single_task(np.random.default_rng(0), 2), 1000)
    model = cs.LabelModel(n_classes=2)
    model.fit(votes if start == "fit" else cs.VoteStatistics.of(votes, n_classes=2))
    with pytest.raises(cs.InvalidArgumentError, match="begin with partial_fit"):
        model.set_params(method="em").partial_fit(votes)


def test_em_falls_back_like_auto_where_nothing_can_be_learned():
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel(n_classes=2, method="em").fit([[0, 0], [1, 1], [0, -1]])
    assert model.predict([[0, 0], [1, 1]]).tolist() == [0, 1]
