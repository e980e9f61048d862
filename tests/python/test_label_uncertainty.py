"""How far labels move between refits is how far they lie from those of the true model."""

import numpy as np
import pytest
from enumeration import (
    LEVEL_BY_LEVEL,
    draw,
    hierarchy,
    single_task,
    single_task_with_pairs,
)
from test_cautious import near_copies, one_sided_votes
from test_junction_trees import CHAIN, model_along

import consilience as cs
from consilience import label_uncertainty
from consilience.label_uncertainty import draw_votes


def variation(p, q, weight):
    """E TV, spelled out."""
    return float(sum(w * max(0.5 * abs(a - b).sum(), 0) for a, b, w in zip(p, q, weight, strict=True)))


def fit(exact, n, seed, **parameters):
    votes, _ = draw(np.random.default_rng(seed), exact, n)
    return cs.LabelModel(task_graph=exact.graph, **parameters).fit(votes)


@pytest.mark.parametrize("method", ["moments", "em"])
def test_it_is_the_distance_to_the_exact_posterior(method):
    exact = single_task(np.random.default_rng(0), 2, 5)
    parameters = {"method": method, "class_balance": exact.class_balance}
    actual, measured = [], []
    for seed in range(30):
        model = fit(exact, 1000, seed, **parameters)
        actual.append(variation(model.predict_joint(exact.votes), exact.posterior, exact.probability))
        if seed < 4:
            found = model.label_uncertainty(exact.votes, weights=exact.weights, n_draws=15)
            assert not found.is_resampled
            measured.append(found.mean)
    # 30 draws, each with a spread of about a third, and four measurements that differ by a tenth.
    assert np.mean(measured) == pytest.approx(np.mean(actual), rel=0.2)


def test_it_is_the_mean_over_refits_as_spelled_out():
    exact = single_task(np.random.default_rng(0), 3, 4)
    model = fit(exact, 800, 0, method="em")
    found = model.label_uncertainty(exact.votes, weights=exact.weights, n_draws=3)
    seeds = np.random.default_rng(0).integers(2**63, size=3).tolist()
    labels, by_draw, by_item = model.predict_joint(exact.votes), [], []
    for seed in seeds:
        drawn = draw_votes(model._model, model._model.fit.tables, 800, np.random.default_rng(seed))
        refit = cs.LabelModel(task_graph=exact.graph, method="em").fit(drawn)
        theirs = refit.predict_joint(exact.votes)
        by_draw.append(variation(labels, theirs, exact.probability))
        by_item.append(0.5 * np.abs(labels - theirs).sum(axis=1))
    np.testing.assert_allclose(found.by_draw, by_draw, rtol=1e-9)
    np.testing.assert_allclose(found.by_item, np.mean(by_item, axis=0), rtol=1e-9)
    assert found.mean == pytest.approx(np.mean(by_draw))
    assert found.error == pytest.approx(np.std(by_draw, ddof=1) / np.sqrt(3))


def test_it_falls_with_the_root_of_the_items_also_where_fewer_are_drawn(monkeypatch):
    exact = single_task(np.random.default_rng(0), 2, 5)
    model = cs.LabelModel(n_classes=2, method="moments", class_balance=exact.class_balance)
    given = exact.weights
    few, many = (
        model.fit(exact.votes, exact.probability * n).label_uncertainty(
            exact.votes, exact.weights, n_draws=40
        )
        for n in (4000, 36_000)
    )
    # Each mean over 40 draws is known to about 6 %.
    assert few.mean / many.mean == pytest.approx(3, rel=0.2)
    monkeypatch.setattr(label_uncertainty, "MAX_DRAWN", 9000)
    scaled = model.label_uncertainty(exact.votes, given, n_draws=40)
    assert scaled.mean == pytest.approx(many.mean, rel=0.25)
    assert scaled.mean != many.mean


@pytest.mark.parametrize("kind", ["single", "pairs", "chain", "hierarchy"])
def test_drawn_votes_are_of_the_fitted_model(kind):
    rng = np.random.default_rng(0)
    exact = {
        "single": lambda: single_task(rng, 3, 4),
        "pairs": lambda: single_task_with_pairs(rng, 2),
        "chain": lambda: model_along(rng, CHAIN, 2, n_alone=3),
        "hierarchy": lambda: hierarchy(rng, LEVEL_BY_LEVEL),
    }[kind]()
    dependencies = {"pairs": [(0, 1), (2, 3)], "chain": CHAIN}.get(kind)
    method = "em" if kind == "chain" else "moments"
    model = cs.LabelModel(
        task_graph=exact.graph,
        method=method,
        class_balance=exact.class_balance,
        dependencies=dependencies,
    ).fit(exact.votes, weights=exact.weights)
    n = 40_000
    drawn = cs.VoteStatistics.of(
        draw_votes(model._model, model._model.fit.tables, n, np.random.default_rng(1)),
        task_graph=exact.graph,
    )
    known = model._model.statistics
    np.testing.assert_array_equal(drawn.node_source, known.node_source)
    np.testing.assert_array_equal(drawn.node_event, known.node_event)
    expected = known.pairs / known.n
    # 5 standard errors, and what EM stops short of.
    np.testing.assert_allclose(drawn.pairs / n, expected, atol=5 * 0.5 / np.sqrt(n) + 1e-3)


def test_copies_are_drawn_as_copies():
    rng = np.random.default_rng(0)
    votes, _ = draw(rng, single_task(rng, 2, 4), 2000)
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel(n_classes=2, method="em").fit(np.column_stack([votes, votes[:, 1]]))
    drawn = draw_votes(model._model, model._model.fit.tables, 500, rng).tables["label"]
    np.testing.assert_array_equal(drawn[:, 4], drawn[:, 1])
    assert model.label_uncertainty(np.column_stack([votes, votes[:, 1]]), n_draws=2).mean < 0.1


def test_a_cautious_fit_is_refitted_to_its_own_votes():
    votes, _ = one_sided_votes(1500, copies=0.3)
    model = cs.LabelModel(n_classes=2, dependencies=[]).fit(votes)
    found = model.label_uncertainty(votes, n_draws=4)
    assert found.is_resampled
    assert 0 < found.mean < 0.1
    rows, counts = np.unique(votes, axis=0, return_counts=True)
    weighted = cs.LabelModel(n_classes=2, dependencies=[]).fit(rows, weights=counts)
    assert weighted.label_uncertainty(rows, counts, n_draws=4).mean == pytest.approx(found.mean, rel=0.5)
    with pytest.raises(cs.InvalidArgumentError, match="give the votes of fit, with their weights"):
        model.label_uncertainty(votes[:100])
    with pytest.raises(cs.InvalidArgumentError, match=r"\(1500 items, not 1500, or other votes"):
        model.label_uncertainty(votes[:, ::-1])


@pytest.mark.parametrize("n_copies", [1, 5])
def test_refits_know_of_dependencies_that_the_default_found(n_copies):
    _, votes, _ = near_copies(3000)
    model = cs.LabelModel(n_classes=2).fit(votes[:, : 10 + n_copies])
    assert model.dependencies_.teams if n_copies > 1 else model.dependencies_.pairs
    # Without them, labels follow the copies, and most of them move.
    assert model.label_uncertainty(votes[:, : 10 + n_copies], n_draws=4).mean < 0.05


def test_the_draws_are_those_of_the_seed():
    exact = single_task(np.random.default_rng(0), 2, 4)
    model = fit(exact, 500, 0, method="moments")
    one, again = (model.label_uncertainty(exact.votes, n_draws=3) for _ in range(2))
    np.testing.assert_array_equal(one.by_draw, again.by_draw)
    model.set_params(random_state=1)
    assert (model.label_uncertainty(exact.votes, n_draws=3).by_draw != one.by_draw).all()
    # More draws go on from the same ones.
    model.set_params(random_state=None)
    np.testing.assert_array_equal(model.label_uncertainty(exact.votes, n_draws=5).by_draw[:3], one.by_draw)


@pytest.mark.parametrize("kind", ["missing", "hierarchy", "pairs", "statistics", "learn"])
def test_every_kind_of_fit_is_measured(kind):
    rng = np.random.default_rng(0)
    if kind == "hierarchy":
        exact = hierarchy(rng, LEVEL_BY_LEVEL)
    elif kind in ("pairs", "learn"):
        exact = single_task_with_pairs(rng, 2)
    else:
        exact = single_task(rng, 2, 5)
    parameters = {
        "missing": {"abstentions": "missing", "method": "em"},
        "pairs": {"dependencies": [(0, 1), (2, 3)]},
        "learn": {"dependencies": "learn", "method": "em"},
    }.get(kind, {})
    votes, _ = draw(rng, exact, 5000)
    model = cs.LabelModel(task_graph=exact.graph, **parameters)
    given = cs.VoteStatistics.of(votes, task_graph=exact.graph) if kind == "statistics" else votes
    found = model.fit(given).label_uncertainty(votes, n_draws=2)
    assert 0 < found.mean < 0.1
    assert found.n_failed == 0
    assert (found.by_item >= 0).all()
    assert (found.by_item <= 1).all()


@pytest.mark.parametrize(("every", "n_failed"), [(2, 3), (6, None)])
def test_draws_that_cannot_be_fitted_are_counted_or_refused(every, n_failed, monkeypatch):
    exact = single_task(np.random.default_rng(0), 2, 4)
    model = fit(exact, 500, 0, method="moments")
    n_fits, plain = [], cs.LabelModel.fit

    def fit_now_and_then(self, *arguments):
        n_fits.append(1)
        if len(n_fits) % every:
            raise cs.NotIdentifiableError("no")
        return plain(self, *arguments)

    monkeypatch.setattr(cs.LabelModel, "fit", fit_now_and_then)
    if n_failed is None:
        with pytest.raises(cs.NotIdentifiableError, match="fitted to 1 of 6 draws only"):
            model.label_uncertainty(exact.votes, n_draws=6)
        return
    found = model.label_uncertainty(exact.votes, n_draws=6)
    assert found.n_failed == n_failed
    assert len(found.by_draw) == 6 - n_failed
    assert "3 more draws could not be fitted" in str(found)


def test_sources_that_keep_their_prior_are_named():
    votes = np.repeat([[0, 0], [1, 1], [0, 1]], 100, axis=0)
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel(n_classes=2).fit(votes)
    found = model.label_uncertainty(votes, n_draws=2)
    assert found.priors == ("source 0", "source 1")
    assert "'source 0', 'source 1' was not learned" in str(found)
    exact = single_task(np.random.default_rng(0), 2, 4)
    assert fit(exact, 500, 0, method="em").label_uncertainty(exact.votes, n_draws=2).priors == ()


def test_it_prints_the_mean_and_what_parts_of_the_items_lie_below():
    exact = single_task(np.random.default_rng(0), 2, 4)
    found = fit(exact, 500, 0, method="moments").label_uncertainty(exact.votes, n_draws=3)
    rows = list(found.table)
    assert rows[0]["items"] == "mean"
    assert rows[-1]["total_variation"] == pytest.approx(found.by_item.max())
    assert "3 refits to items drawn from the fitted model" in str(found)
    assert all(len(line) <= 80 for line in str(found).splitlines())


def test_no_items_have_no_quantiles():
    exact = single_task(np.random.default_rng(0), 2, 4)
    found = fit(exact, 500, 0, method="moments").label_uncertainty(exact.votes[:0], n_draws=2)
    assert found.mean == 0
    assert len(found.table) == 1


@pytest.mark.parametrize(
    ("n_draws", "error"), [(1, ValueError), (0, ValueError), (2.0, TypeError), (True, TypeError)]
)
def test_a_number_of_draws_that_is_none_is_refused(n_draws, error):
    exact = single_task(np.random.default_rng(0), 2, 4)
    with pytest.raises(error, match="n_draws must be"):
        fit(exact, 500, 0, method="moments").label_uncertainty(exact.votes, n_draws=n_draws)


def test_majority_vote_is_not_uncertain():
    model = cs.LabelModel(n_classes=2, method="majority").fit([[0, 1], [1, 1]])
    with pytest.raises(cs.InvalidArgumentError, match="majority"):
        model.label_uncertainty([[0, 1]])
