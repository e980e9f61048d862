"""The terms of Theorem 2 are those of the population, and its bound is as far from the error as was found."""

import numpy as np
import pytest
from enumeration import LEVEL_BY_LEVEL, ExactModel, Source, hierarchy, single_task

import consilience as cs


def best_case(m, n=1e4):
    """Terms of sources of accuracy .7 to .9, balanced, that never abstain."""
    tables = [np.array([[a, 1 - a], [1 - a, a], [0, 0]]) for a in np.linspace(0.7, 0.9, m)]
    sources = [Source(np.arange(2)[:, None], table) for table in tables]
    exact = ExactModel(cs.TaskGraph.single(2), [0.5, 0.5], sources)
    model = cs.LabelModel(n_classes=2, method="moments", class_balance="uniform")
    return exact, model.fit(exact.votes, weights=exact.probability * n).theorem2_terms()


def spelled_out(exact, n):
    """The same from the exact model, with K_O by its definition: the inverse of E[Cov(psi | Y)]."""
    first = [a for a, (_, s) in enumerate(exact.nodes()) if s == 0]
    label = np.array([True, False])
    whole = exact.covariance(label)
    sigma_o, cross, sigma_s = whole[np.ix_(first, first)], whole[first, -1], whole[-1, -1]
    k_o = np.linalg.inv(sigma_o - np.outer(cross, cross) / sigma_s)
    d = len(first)
    a = np.sqrt(d / sigma_s + (d / sigma_s) ** 2 * np.linalg.eigvalsh(k_o)[-1])
    inverse = np.linalg.inv(sigma_o)
    b = np.linalg.norm(inverse, 2) ** 2 / np.abs(inverse[~np.eye(d, dtype=bool)]).min()
    pairs = np.argwhere(np.triu(np.ones((d, d)), 1))
    m_omega = np.zeros((len(pairs), d))
    m_omega[np.arange(len(pairs))[:, None], pairs] = 1
    sigma_max = np.linalg.svd(np.linalg.pinv(m_omega), compute_uv=False)[0]
    values = np.linalg.eigvalsh(sigma_o)
    kappa = values[-1] / values[0]
    tail = (3 * np.sqrt(d) * a / values[0] + 1) * (kappa + 1 / values[0])
    bound = 16 * d**2 * np.sqrt(32 * np.pi / n) * a * b * sigma_max * tail
    return {"a": a, "b": b, "sigma_max": sigma_max, "lambda_min": values[0], "kappa": kappa, "bound": bound}


@pytest.mark.parametrize(("m", "bound"), [(3, 1.3e9), (10, 1.8e12)])
def test_the_best_case_has_the_terms_of_the_population(m, bound):
    exact, terms = best_case(m)
    rows = list(terms)
    assert [row["event"] for row in rows] == ["0", "1"]
    for name, value in spelled_out(exact, 1e4).items():
        assert rows[0][name] == pytest.approx(value, rel=1e-4), name
    assert rows[0]["bound"] == pytest.approx(bound, rel=0.05)
    assert rows[0]["sigma_max"] == pytest.approx(1 / np.sqrt(m - 2))
    assert rows[0]["pairs"] == m * (m - 1) // 2


def test_the_terms_are_marked_as_no_guarantee():
    text = str(best_case(3)[1])
    assert "no guarantee" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_events_that_too_few_sources_vote_for_have_no_terms():
    exact = hierarchy(np.random.default_rng(0), LEVEL_BY_LEVEL[:4])
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method="em")
    rows = list(model.fit(exact.votes, weights=exact.weights).theorem2_terms())
    assert {row["d"] for row in rows} == {1, 3}
    lonely = next(row for row in rows if row["d"] == 1)
    assert lonely["sigma_max"] is lonely["a"] is lonely["bound"] is lonely["weakest"] is None


def test_linearly_dependent_votes_have_no_finite_bound():
    exact = single_task(np.random.default_rng(0), 2, 4)
    votes = np.column_stack([exact.votes, exact.votes[:, 0]])
    model = cs.LabelModel(n_classes=2, method="em", dependencies=[]).fit(votes, weights=exact.weights)
    assert all(row["bound"] == np.inf for row in model.theorem2_terms())


def test_majority_vote_has_no_terms():
    model = cs.LabelModel(n_classes=2, method="majority").fit([[0, 1], [1, 1]])
    with pytest.raises(cs.InvalidArgumentError, match="majority"):
        model.theorem2_terms()
