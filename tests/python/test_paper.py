"""Claims of Ratner et al. (2019), arXiv:1810.02840, and of our covariance form, on models written out."""

import itertools

import numpy as np
import pytest
from enumeration import (
    COARSE_AND_FINE,
    LEVEL_BY_LEVEL,
    ExactModel,
    balance,
    copying_pair,
    draw,
    free_source,
    hierarchy,
    single_task,
    single_task_with_pairs,
    table_error,
)

import consilience as cs
from consilience.nodes import NodeSystem
from consilience.source_graph import SourceGraph

TOLERANCE = 1e-10


def free_model(rng, k, m=4):
    return ExactModel(cs.TaskGraph.single(k), balance(rng, k), [free_source(rng, k) for _ in range(m)])


def free_model_with_a_pair(rng, k):
    sources = [free_source(rng, k) for _ in range(4)]
    sources[1], joint = copying_pair(sources[0], sources[1], 0.4)
    return ExactModel(cs.TaskGraph.single(k), balance(rng, k), sources, {(0, 1): joint})


MODELS = {
    "two classes": lambda rng: single_task(rng, 2),
    "three classes": lambda rng: single_task(rng, 3),
    "three classes, free tables": lambda rng: free_model(rng, 3),
    "four classes": lambda rng: single_task(rng, 4, 3),
    "a dependent pair": lambda rng: single_task_with_pairs(rng, 3),
    "a dependent pair, free tables": lambda rng: free_model_with_a_pair(rng, 3),
    "a hierarchy": lambda rng: hierarchy(rng, COARSE_AND_FINE),
}
TIED = [name for name in MODELS if "free" not in name]


@pytest.fixture(params=MODELS)
def exact(request):
    return MODELS[request.param](np.random.default_rng(0))


@pytest.fixture(params=TIED)
def tied(request):
    return MODELS[request.param](np.random.default_rng(0))


def blocks(exact):
    """Sigma_O, Sigma_OS, Sigma_S for all nodes and all but one label vector."""
    k = len(exact.class_balance)
    sigma = exact.covariance(*np.eye(k, dtype=bool)[:-1])
    d = len(exact.nodes())
    return sigma[:d, :d], sigma[:d, d:], sigma[d:, d:]


def across(exact):
    """Pairs of nodes whose sources are independent given Y."""
    component = SourceGraph(exact.n_sources, exact.dependencies).component
    of_node = component[[j for j, _ in exact.nodes()]]
    return of_node[:, None] != of_node


def node_system(exact):
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    return NodeSystem(statistics, SourceGraph(exact.n_sources, exact.dependencies), exact.class_balance)


def package_order(exact, system):
    """Place of each of the package's nodes among those of the exact model."""
    places = {(j, tuple(exact.event(j, s))): a for a, (j, s) in enumerate(exact.nodes())}
    return [
        places[j, tuple(m)] for j, m in zip(system.statistics.node_source, system.events.masks, strict=True)
    ]


def assert_close(found, expected):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=TOLERANCE)


def test_the_counted_covariance_is_sigma_o(exact):
    system = node_system(exact)
    order = package_order(exact, system)
    assert_close(system.covariance, blocks(exact)[0][np.ix_(order, order)])


def inverse_block(exact):
    """K_O: the block of the nodes in the inverse of the whole covariance, eq. (1)."""
    sigma_o, sigma_os, sigma_s = blocks(exact)
    d = len(sigma_o)
    return np.linalg.inv(np.block([[sigma_o, sigma_os], [sigma_os.T, sigma_s]]))[:d, :d]


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values)) @ vectors.T


def low_rank_factor(exact):
    sigma_o, sigma_os, sigma_s = blocks(exact)
    inverse = np.linalg.inv(sigma_o)
    c = np.linalg.inv(sigma_s - sigma_os.T @ inverse @ sigma_os)
    return inverse @ sigma_os @ root(c)


def test_t1_the_inverse_is_completed_by_a_matrix_of_rank_k_minus_1(exact):
    z = low_rank_factor(exact)
    assert_close(np.linalg.inv(blocks(exact)[0]) + z @ z.T, inverse_block(exact))


def test_t1_the_correction_has_rank_k_minus_1(exact):
    correction = inverse_block(exact) - np.linalg.inv(blocks(exact)[0])
    tolerance = 1e-9 * np.abs(inverse_block(exact)).max()
    assert np.linalg.matrix_rank(correction, tol=tolerance) == len(exact.class_balance) - 1


def test_t2_k_o_inverts_the_expected_conditional_covariance(exact):
    sigma_o, sigma_os, sigma_s = blocks(exact)
    assert_close(
        np.linalg.inv(sigma_o - sigma_os @ np.linalg.solve(sigma_s, sigma_os.T)), inverse_block(exact)
    )


def test_t2_k_o_vanishes_between_independent_sources(exact):
    assert_close(inverse_block(exact)[across(exact)] / np.abs(inverse_block(exact)).max(), 0.0)


def test_k_o_does_not_vanish_between_dependent_sources():
    exact = free_model_with_a_pair(np.random.default_rng(0), 3)
    assert np.abs(inverse_block(exact)[:3, 3:6]).max() > 0.1


def test_t3_the_explained_covariance_follows_from_z_up_to_rotation(exact):
    sigma_o, sigma_os, sigma_s = blocks(exact)
    z = low_rank_factor(exact)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(z.shape[1], z.shape[1])))
    z = z @ rotation
    inner = np.linalg.inv(np.eye(z.shape[1]) + z.T @ sigma_o @ z)
    assert_close(sigma_o @ z @ inner @ z.T @ sigma_o, sigma_os @ np.linalg.solve(sigma_s, sigma_os.T))


def test_t3_algorithm_1_reads_sigma_os_off_z_where_s_is_one_indicator():
    exact = single_task(np.random.default_rng(0), 2)
    sigma_o, sigma_os, sigma_s = blocks(exact)
    z = low_rank_factor(exact)
    c = (1 + z.T @ sigma_o @ z) / sigma_s
    assert_close(sigma_o @ z / np.sqrt(c), sigma_os * np.sign(sigma_os.sum() * (sigma_o @ z).sum()))


def test_t4_labels_explain_all_covariance_between_independent_sources(exact):
    sigma_o, sigma_os, sigma_s = blocks(exact)
    explained = sigma_os @ np.linalg.solve(sigma_s, sigma_os.T)
    assert_close((sigma_o - explained)[across(exact)], 0.0)


@pytest.mark.parametrize("k", [3, 4])
def test_t5_a_broken_tie_biases_the_covariance_of_one_event_by_a_known_term(k):
    exact = free_model(np.random.default_rng(0), k)
    system = node_system(exact)
    order = package_order(exact, system)
    inverse_order = np.argsort(order)
    covariance = system.covariance[np.ix_(inverse_order, inverse_order)]
    nodes = exact.nodes()
    p = exact.class_balance
    for label in range(k):
        others = np.delete(np.arange(k), label)
        q = p[others] / (1 - p[label])
        of_label = [a for a, (_, s) in enumerate(nodes) if s == label]
        rates = np.array([exact.sources[nodes[a][0]].table[label] for a in of_label])
        beta = rates[:, others] @ q
        spread = (rates[:, others] * q) @ rates[:, others].T - np.outer(beta, beta)
        d = rates[:, label] - beta
        expected = p[label] * (1 - p[label]) * np.outer(d, d) + (1 - p[label]) * spread
        off = ~np.eye(len(of_label), dtype=bool)
        assert_close(covariance[np.ix_(of_label, of_label)][off], expected[off])


def test_t6_covariances_of_a_tied_model_are_rank_one_after_division_by_g(tied):
    system = node_system(tied)
    order = package_order(tied, system)
    strength = []
    for a in order:
        j, s = tied.nodes()[a]
        mask, row = tied.event(j, s), tied.sources[j].table[s]
        strength.append(row[mask].mean() - row[~mask].mean())
    expected = system.events.g * np.outer(strength, strength)
    apart = across(tied)[np.ix_(order, order)]
    assert_close(system.covariance[apart], expected[apart])


def test_t6_without_abstentions_all_strengths_of_a_source_are_equal():
    exact = single_task(np.random.default_rng(0), 4, abstains=False)
    for source in exact.sources:
        votes = source.table[:-1]
        strengths = np.diag(votes) - (votes.sum(axis=1) - np.diag(votes)) / 3
        assert_close(strengths, strengths[0])


@pytest.mark.parametrize(("m", "dependencies"), [(3, []), (5, [(0, 1)]), (6, [(0, 1), (1, 2), (3, 4)])])
def test_t8_the_rank_is_the_unknowns_without_the_bipartite_components(m, dependencies):
    report = cs.check_identifiability(n_sources=m, dependencies=dependencies)
    matrix = np.zeros((len(report.omega), m))
    matrix[np.arange(len(report.omega))[:, None], report.omega] = 1
    assert report.rank == np.linalg.matrix_rank(matrix)


@pytest.mark.parametrize("m", [3, 4, 8])
def test_the_error_term_of_independent_sources_is_one_over_the_root_of_m_minus_2(m):
    assert cs.check_identifiability(n_sources=m).sigma_max == pytest.approx(1 / np.sqrt(m - 2), rel=1e-9)


# The posterior, [T12]


def bayes(exact, model):
    """P(Y | votes) by the fitted tables, each source by itself."""
    log = np.tile(np.log(model.class_balance_), (len(exact.states), 1))
    for j in range(exact.n_sources):
        if exact.graph.n_tasks == 1:
            votes = exact.votes[:, j]
            log += np.log(model.emission_[j, np.where(votes < 0, exact.graph.n_vectors, votes)])
            continue
        rows = {tuple(state): row for row, state in enumerate(model.states_[j].tolist())}
        cast = np.column_stack([exact.votes[task][:, j] for task in exact.graph.tasks])
        canonical = exact.graph.implied(exact.graph.event_masks(cast))
        canonical[(cast == -1).all(axis=1)] = -1
        log += np.log(model.emission_[j][[rows[tuple(vote)] for vote in canonical.tolist()]])
    joint = np.exp(log - log.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True)


INDEPENDENT = {
    "two classes": lambda rng: single_task(rng, 2),
    "three classes": lambda rng: single_task(rng, 3),
    "five classes": lambda rng: single_task(rng, 5),
    "coarse and fine": lambda rng: hierarchy(rng, COARSE_AND_FINE),
    "level by level": lambda rng: hierarchy(rng, LEVEL_BY_LEVEL),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_t12_the_posterior_is_exact_bayes_under_the_fitted_tables(name):
    exact = INDEPENDENT[name](np.random.default_rng(0))
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method="moments")
    model.fit(exact.votes, exact.weights)
    np.testing.assert_allclose(model.predict_joint(exact.votes), bayes(exact, model), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_t12_the_posterior_of_exact_votes_is_the_true_one(name):
    exact = INDEPENDENT[name](np.random.default_rng(1))
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance, method="moments")
    model.fit(exact.votes, exact.weights)
    np.testing.assert_allclose(model.predict_joint(exact.votes), exact.posterior, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_by_default_the_posterior_of_exact_votes_is_the_true_one(name):
    exact = INDEPENDENT[name](np.random.default_rng(1))
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance)
    model.fit(exact.votes, exact.weights)
    # EM stops when no probability moves by more than 1e-6 in a step.
    np.testing.assert_allclose(model.predict_joint(exact.votes), exact.posterior, rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["moments", "completion"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 3])
def test_t12_the_posterior_of_dependent_sources_is_the_true_one(k, seed, method):
    exact = single_task_with_pairs(np.random.default_rng(seed), k)
    model = cs.LabelModel(
        task_graph=exact.graph,
        class_balance=exact.class_balance,
        dependencies=exact.dependencies,
        method=method,
    ).fit(exact.votes, weights=exact.weights)
    # Tables of pairs are drawn towards independence as by a few of the 1e9 items.
    np.testing.assert_allclose(model.predict_joint(exact.votes), exact.posterior, rtol=0, atol=1e-5)


def test_t12_the_posterior_of_dependent_sources_in_a_hierarchy_is_the_true_one():
    rng = np.random.default_rng(0)
    exact = hierarchy(rng, COARSE_AND_FINE)
    copy, joint = copying_pair(exact.sources[0], exact.sources[4], 0.5)
    exact = ExactModel(exact.graph, exact.class_balance, [*exact.sources[:4], copy], {(0, 4): joint})
    model = cs.LabelModel(
        task_graph=exact.graph,
        class_balance=exact.class_balance,
        dependencies=exact.dependencies,
        method="moments",
    ).fit(exact.votes, weights=exact.weights)
    np.testing.assert_allclose(model.predict_joint(exact.votes), exact.posterior, rtol=0, atol=1e-5)


def test_t12_task_marginals_are_sums_of_the_joint_posterior():
    exact = hierarchy(np.random.default_rng(0), COARSE_AND_FINE)
    model = cs.LabelModel(task_graph=exact.graph, class_balance=exact.class_balance).fit(
        exact.votes, exact.weights
    )
    expected = exact.graph.marginal(model.predict_joint(exact.votes))
    for task, marginal in model.predict_proba(exact.votes).items():
        np.testing.assert_allclose(marginal, expected[task], rtol=0, atol=1e-14)


# What the paper promises of finite samples


def test_the_error_falls_with_the_root_of_the_number_of_items():
    exact = single_task(np.random.default_rng(0), 2, 10)
    exact = ExactModel(exact.graph, [0.5, 0.5], exact.sources)
    sizes = [1_000, 10_000, 100_000]
    errors = []
    for n in sizes:
        fits = [
            cs.LabelModel(n_classes=2, class_balance=[0.5, 0.5]).fit(
                draw(np.random.default_rng(seed), exact, n)[0]
            )
            for seed in range(5)
        ]
        true = np.array([source.table for source in exact.sources])
        errors.append(np.mean([np.linalg.norm(model.emission_ - true) for model in fits]))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)  # five fits a size: about 0.05 of noise


def test_declared_dependencies_remove_the_error_that_ignored_ones_cause():
    exact = single_task_with_pairs(np.random.default_rng(0), 2, rate=0.7)
    votes, _ = draw(np.random.default_rng(1), exact, 20_000)
    ignored, declared = (
        cs.LabelModel(
            n_classes=2, class_balance=exact.class_balance, dependencies=pairs, method="moments"
        ).fit(votes)
        for pairs in ([], exact.dependencies)
    )
    assert table_error(declared, exact) < table_error(ignored, exact) / 2


def test_learned_accuracies_label_better_than_majority_vote():
    exact = single_task(np.random.default_rng(3), 2, 7)
    votes, y = draw(np.random.default_rng(1), exact, 20_000)
    learned, majority = (
        cs.LabelModel(n_classes=2, class_balance=exact.class_balance, method=method).fit(votes)
        for method in ("auto", "majority")
    )
    assert (learned.predict(votes) == y).mean() > (majority.predict(votes) == y).mean()


@pytest.mark.parametrize("pair", list(itertools.combinations(range(3), 2)))
def test_three_sources_of_which_two_depend_cannot_be_told_apart(pair):
    with pytest.raises(cs.NotIdentifiableError):
        cs.LabelModel(method="moments", dependencies=[pair]).fit(
            np.random.default_rng(0).integers(0, 2, (1000, 3))
        )
