"""Dependencies that are no cliques: chains, stars, cycles, through the factors of a junction tree."""

import itertools

import numpy as np
import pytest
from enumeration import ExactModel, Source, balance, draw, tied_source

import consilience as cs
from consilience.components import ComponentLayout
from consilience.source_graph import SourceGraph

CHAIN = [(0, 1), (1, 2), (2, 3)]
STAR = [(0, 1), (0, 2), (0, 3)]
CYCLE = [(0, 1), (1, 2), (2, 3), (0, 3)]
FORK = [(0, 1), (1, 2), (0, 2), (2, 3)]  # a triangle and a pair


def joint_of(rng, edges, table_of, n_members=4):
    """Table (s_0, ..., K) of sources that hang together along some edges, by random pair factors."""
    tables = [table_of() for _ in range(n_members)]
    s, k = tables[0].shape
    letters = "abcdefgh"[:n_members]
    joint = np.ones((s,) * n_members + (k,))
    for i, table in enumerate(tables):
        joint = joint * table.reshape([s if a == i else 1 for a in range(n_members)] + [k])
    for i, j in edges:
        factor = rng.uniform(0.3, 1, (s, s)) + 2 * np.eye(s)
        joint = np.einsum(f"{letters}y,{letters[i]}{letters[j]}->{letters}y", joint, factor)
    return joint / joint.sum(axis=tuple(range(n_members)))


def model_along(rng, edges, k, n_alone=3, beta=None):
    """Exact model of four sources that hang together along edges, and some independent ones."""
    graph = cs.TaskGraph.single(k)
    classes = np.arange(k)[:, None]
    joint = joint_of(rng, edges, lambda: tied_source(rng, graph, classes).table)
    axes = range(4)
    sources = [Source(classes, joint.sum(axis=tuple(a for a in axes if a != i))) for i in axes]
    beta = (0.02, 0.3 / k) if beta is None else beta
    alone = [tied_source(rng, graph, classes, beta=beta) for _ in range(n_alone)]
    return ExactModel(graph, balance(rng, k), [*sources, *alone], {(0, 1, 2, 3): joint})


@pytest.mark.parametrize("method", ["moments", "em"])
@pytest.mark.parametrize("edges", [CHAIN, STAR, CYCLE, FORK])
def test_exact_weights_give_the_exact_posterior(edges, method):
    exact = model_along(np.random.default_rng(1), edges, 2)
    model = cs.LabelModel(
        n_classes=2, class_balance=exact.class_balance, dependencies=edges, method=method
    ).fit(exact.votes, weights=exact.weights)
    # EM stops at steps of 1e-6, a few of which remain.
    atol = 1e-5 if method == "moments" else 2e-3
    np.testing.assert_allclose(model.predict_proba(exact.votes), exact.posterior, atol=atol)


def test_the_posterior_of_a_chain_is_exact_with_three_classes():
    exact = model_along(np.random.default_rng(2), CHAIN, 3)
    model = cs.LabelModel(
        n_classes=3, class_balance=exact.class_balance, dependencies=CHAIN, method="em"
    ).fit(exact.votes, weights=exact.weights)
    # Any tables, so by EM; it stops at steps of 1e-6, of which many remain.
    np.testing.assert_allclose(model.predict_proba(exact.votes), exact.posterior, atol=0.01)


@pytest.mark.parametrize(
    ("class_balance", "most"), [([0.98, 0.02], 0.03), ([0.9, 0.08, 0.02], 0.05), ([0.4, 0.3, 0.3], 0.04)]
)
def test_few_items_do_not_make_states_of_a_chain_rule_out_a_rare_class(class_balance, most):
    k, rng, losses = len(class_balance), np.random.default_rng(5), []
    for seed in (1, 2, 3):
        exact = model_along(np.random.default_rng(seed), CHAIN, k, beta=(0.02, 0.1))
        exact = ExactModel(exact.graph, np.array(class_balance), exact.sources, exact.joints)
        for _ in range(3):
            votes, _ = draw(rng, exact, 1000)
            model = cs.LabelModel(
                n_classes=k, class_balance=class_balance, dependencies=CHAIN, method="moments"
            ).fit(votes)
            told = np.maximum(model.predict_proba(exact.votes), 1e-300)
            losses.append(np.sum(exact.joint * np.log(exact.posterior / told)))
    assert np.mean(losses) < most


def test_a_chain_given_as_a_chain_is_learned_better_than_as_a_clique():
    rng = np.random.default_rng(0)
    figures = {"none": [], "clique": [], "chain": []}
    given = {"none": [], "clique": list(itertools.combinations(range(4), 2)), "chain": CHAIN}
    for _ in range(4):
        exact = model_along(rng, CHAIN, 2)
        votes, y = draw(rng, exact, 4000)
        for name, edges in given.items():
            model = cs.LabelModel(
                n_classes=2, class_balance=exact.class_balance, dependencies=edges, method="em"
            ).fit(votes)
            right = model.predict_proba(votes)[np.arange(len(y)), y]
            figures[name].append(-np.log(np.maximum(right, 1e-12)).mean())
    loss = {name: np.mean(values) for name, values in figures.items()}
    assert loss["chain"] < loss["clique"] < loss["none"]


def test_a_long_chain_is_fitted_although_its_joint_states_are_beyond_counting():
    rng = np.random.default_rng(0)
    m, n = 14, 4000
    y = rng.integers(0, 2, n)
    votes = np.where(rng.random((n, m)) < 0.75, y[:, None], 1 - y[:, None])
    votes[rng.random((n, m)) < 0.2] = -1
    chain = [(j, j + 1) for j in range(10)]
    for i, j in chain:
        copied = rng.random(n) < 0.5
        votes[copied, j] = votes[copied, i]
    right = {}
    for name, edges in {"ignored": [], "given": chain}.items():
        model = cs.LabelModel(n_classes=2, dependencies=edges, method="moments").fit(votes)
        right[name] = (model.predict(votes) == y).mean()
    assert right["given"] > right["ignored"] + 0.02


def test_the_error_of_a_clique_too_large_names_the_clique_and_not_its_component():
    votes = np.random.default_rng(0).integers(-1, 2, (500, 16))
    clique = list(itertools.combinations(range(9), 2))
    with pytest.raises(cs.InvalidArgumentError, match=r"the 9 dependent sources 'source 0'.*19683 joint"):
        cs.LabelModel(dependencies=[*clique, (8, 9), (9, 10)], method="moments").fit(votes)


@pytest.mark.parametrize("method", ["moments", "em"])
def test_the_order_of_the_sources_does_not_change_the_labels(method):
    exact = model_along(np.random.default_rng(3), CHAIN, 2)
    votes, _ = draw(np.random.default_rng(0), exact, 3000)
    order = np.random.default_rng(1).permutation(7)
    place = np.argsort(order)
    permuted = [(int(place[i]), int(place[j])) for i, j in CHAIN]
    straight = cs.LabelModel(n_classes=2, dependencies=CHAIN, method=method).fit(votes)
    turned = cs.LabelModel(n_classes=2, dependencies=permuted, method=method).fit(votes[:, order])
    np.testing.assert_allclose(
        turned.predict_proba(votes[:, order]), straight.predict_proba(votes), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("abstentions", ["informative", "missing"])
@pytest.mark.parametrize("method", ["moments", "em"])
def test_a_model_of_a_chain_survives_a_file(tmp_path, method, abstentions):
    exact = model_along(np.random.default_rng(4), CHAIN, 2)
    votes, _ = draw(np.random.default_rng(0), exact, 2000)
    model = cs.LabelModel(n_classes=2, dependencies=CHAIN, method=method, abstentions=abstentions).fit(votes)
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(votes), model.predict_proba(votes))
    assert str(again.summary()) == str(model.summary())


def test_chunks_of_a_chain_give_the_same_bits():
    exact = model_along(np.random.default_rng(5), CHAIN, 2)
    votes, _ = draw(np.random.default_rng(0), exact, 2000)
    whole = cs.LabelModel(n_classes=2, dependencies=CHAIN, method="moments").fit(votes)
    grown = cs.LabelModel(n_classes=2, dependencies=CHAIN, method="moments")
    for chunk in np.split(votes, [700, 1500]):
        grown.partial_fit(chunk)
    assert grown.predict_proba(votes).tobytes() == whole.predict_proba(votes).tobytes()


@pytest.mark.parametrize("edges", [CHAIN, STAR, CYCLE, FORK])
def test_every_separator_lies_in_a_clique_before_its_own(edges):
    (tree,) = SourceGraph(4, edges).junction_trees()
    before: set[int] = set()
    for q, (clique, separator) in enumerate(tree):
        assert set(separator) == set(clique) & before
        assert q == 0 or any(set(separator) <= set(other) for other, _ in tree[:q])
        before |= set(clique)


def test_the_weights_of_the_sources_say_where_a_junction_tree_begins():
    graph = SourceGraph(4, CHAIN)
    assert graph.junction_trees([4.0, 3.0, 2.0, 1.0])[0][0] == ((2, 3), ())
    assert graph.junction_trees([1.0, 2.0, 3.0, 4.0])[0][0] == ((0, 1), ())


def test_tables_given_separators_join_to_the_tables_of_the_cliques():
    rng = np.random.default_rng(0)
    exact = model_along(rng, CHAIN, 2)
    joint = exact.joints[0, 1, 2, 3]  # (3, 3, 3, 3, 2), the abstention last
    abstains_first = joint[np.ix_([2, 0, 1], [2, 0, 1], [2, 0, 1], [2, 0, 1])]
    cliques, separators = ((0, 1), (1, 2), (2, 3)), ((), (1,), (2,))
    layout = ComponentLayout(4, cliques, separators, (np.arange(2)[:, None],) * 4, tuple("abcd"))
    wanted = [abstains_first.sum(axis=tuple({0, 1, 2, 3} - set(clique))) for clique in cliques]
    # State numbers count the first member fastest.
    flat = [table.transpose(1, 0, 2).reshape(9, 2) for table in wanted]
    given = []
    for clique, table in zip(cliques, flat, strict=True):
        total = np.zeros((3, 2))
        states = layout.separator_states(clique)
        np.add.at(total, states, table)
        given.append(table / total[states])
    for found, expected in zip(layout.joined(given), flat, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def team_beside_a_pair(share):
    """Label, votes and dependencies of ten sources of which nine follow one by `share`, and of two others."""
    rng = np.random.default_rng(0)
    n = 3000
    y = rng.integers(0, 3, n)

    def votes_like(accuracy, other=None, share=0.6):
        own = np.where(rng.random(n) < accuracy, y, rng.integers(0, 3, n))
        return own if other is None else np.where(rng.random(n) < share, other, own)

    leader = votes_like(0.4)
    team = [votes_like(0.4, leader, share) for _ in range(10)]
    first = votes_like(0.7)
    votes = np.stack([*team, first, votes_like(0.7, first), *(votes_like(0.75) for _ in range(5))], axis=1)
    return y, votes, [*itertools.combinations(range(10), 2), (10, 11)]


def test_where_some_dependencies_are_too_many_to_count_the_rest_is_put_to_the_test():
    y, votes, pairs = team_beside_a_pair(0.6)
    model = cs.LabelModel(n_classes=3, dependencies=pairs)
    with pytest.warns(cs.ConsilienceWarning, match="joint states"):
        model.fit(votes)
    summary = " ".join(str(model.summary()).split())
    assert "unexplained" in summary
    assert "too many joint states to model together: 'source 0', 'source 1'" in summary
    assert "the given dependencies of 'source 10', 'source 11' are modelled only where" in summary
    majority = cs.LabelModel(n_classes=3, method="majority").fit(votes)
    assert (model.predict(votes) == y).mean() > (majority.predict(votes) == y).mean()


def test_where_the_rest_stands_the_test_the_summary_names_the_dependencies_that_are_modelled():
    _, votes, pairs = team_beside_a_pair(0.0)
    model = cs.LabelModel(n_classes=3, dependencies=pairs)
    with pytest.warns(cs.ConsilienceWarning, match="joint states"):
        model.fit(votes)
    summary = " ".join(str(model.summary()).split())
    assert "too many joint states to model together: 'source 0', 'source 1'" in summary
    assert "but for the dependencies of 'source 10', 'source 11': maximum likelihood" in summary
