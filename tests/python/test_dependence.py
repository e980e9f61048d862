"""Dependencies between sources are found in their votes, and the fit is then that with the true ones."""

import itertools
import pickle
from functools import partial

import numpy as np
import pytest
from enumeration import ExactModel, copying_pair, free_source, hierarchy, single_task, tied_source

import consilience as cs
from consilience.chi_square import chi_square_tail, normal_score
from consilience.components import ComponentLayout
from consilience.dependence import conditional_association, find_dependencies
from consilience.pair_tables import FreeModel, PairTables, TiedModel

RATE = 0.4
STRUCTURES = {
    "nothing": [],
    "pairs": [(0, 1), (2, 3)],
    "chain": [(0, 1), (1, 2), (2, 3)],
    "star": [(0, 1), (0, 2), (0, 3)],
}


def tables(rng, k, m, kind):
    """One (k + 1, k) table a source, the abstention last."""
    if kind == "free":
        return [free_source(rng, k).table for _ in range(m)]
    found = []
    for j in range(m):
        coverage, accuracy = rng.uniform(0.3, 0.9), rng.uniform(0.6, 0.85)
        if kind == "dense":
            coverage = 1.0
        if kind == "one-sided":
            table = np.zeros((k + 1, k))
            table[j % k] = 0.05
            table[j % k, j % k] = rng.uniform(0.4, 0.8)
            table[k] = 1 - table.sum(axis=0)
        else:
            table = np.where(np.eye(k) > 0, coverage * accuracy, coverage * (1 - accuracy) / (k - 1))
            table = np.vstack([table, np.full((1, k), 1 - coverage)])
        found.append(table)
    return found


def draw(seed, k, m, edges, n=10_000, kind="tied", rate=RATE, balance=None):
    """Votes and labels; the second source of each edge copies the first on a share of the items."""
    rng = np.random.default_rng(seed)
    balance = rng.dirichlet(np.full(k, 8.0)) if balance is None else balance
    y = rng.choice(k, n, p=balance)
    uniform = rng.random((n, m))
    votes = np.column_stack(
        [
            (uniform[:, j, None] >= table.cumsum(axis=0).T[y]).sum(axis=1)
            for j, table in enumerate(tables(rng, k, m, kind))
        ]
    )
    votes[votes >= k] = -1
    for i, j in edges:
        copied = rng.random(n) < rate
        votes[copied, j] = votes[copied, i]
    return votes, y


def learned(votes, k):
    return cs.learn_dependencies(votes, n_classes=k, n_threads=1).pairs


@pytest.mark.parametrize("m", [10, 20])
@pytest.mark.parametrize(("k", "kind"), [(2, "tied"), (2, "dense"), (4, "tied"), (4, "free")])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_planted_dependencies_are_found_and_no_others(structure, k, kind, m):
    edges = STRUCTURES[structure]
    votes, _ = draw(m, k, m, edges, kind=kind)
    assert learned(votes, k) == edges


@pytest.mark.parametrize("structure", STRUCTURES)
def test_one_sided_sources_are_not_dependent_because_they_exclude_each_other(structure):
    edges = STRUCTURES[structure]
    votes, _ = draw(0, 2, 12, edges, kind="one-sided")
    assert learned(votes, 2) == edges


@pytest.mark.parametrize("balance", [[0.97, 0.03], [0.8, 0.1, 0.06, 0.04]])
def test_a_wrong_class_balance_is_no_dependence(balance):
    votes, _ = draw(1, len(balance), 12, [], n=100_000, balance=balance)
    assert learned(votes, len(balance)) == []


@pytest.mark.parametrize("rate", [0.3, 0.95])
def test_rare_and_nearly_certain_copying_is_found(rate):
    votes, _ = draw(2, 3, 10, [(0, 1), (5, 7)], rate=rate)
    assert learned(votes, 3) == [(0, 1), (5, 7)]


def test_strength_is_about_the_share_of_copied_items():
    votes, _ = draw(3, 2, 10, [(0, 1)], n=50_000)
    (dependency,) = cs.learn_dependencies(votes, n_classes=2).found
    assert dependency.strength == pytest.approx(RATE, abs=0.05)
    assert dependency.p_value < 1e-10


def test_sources_that_avoid_each_other_have_a_negative_strength():
    votes, y = draw(3, 2, 10, [], kind="dense")
    wrong = votes[:, 0] != y
    votes[wrong, 1] = y[wrong]  # never wrong together
    (dependency,) = cs.learn_dependencies(votes, n_classes=2).found
    assert dependency.pair == (0, 1)
    assert dependency.strength < 0


def test_low_coverage_dependencies_are_found():
    rng = np.random.default_rng(0)
    votes, _ = draw(0, 2, 12, [])
    votes[rng.random(votes.shape) < 0.85] = -1
    copied = rng.random(len(votes)) < 0.3
    votes[copied, 4] = votes[copied, 2]
    assert learned(votes, 2) == [(2, 4)]


def test_never_firing_constant_and_rare_sources_are_left_alone():
    votes, _ = draw(0, 2, 10, [(0, 1)])
    rare = np.full(len(votes), -1)
    rare[:3] = 1
    others = np.column_stack([np.full(len(votes), -1), np.zeros(len(votes), int), rare])
    assert learned(np.column_stack([votes, others]), 2) == [(0, 1)]


def test_duplicates_are_found_first_and_are_no_dependency():
    votes, _ = draw(0, 2, 10, [(0, 1)])
    assert learned(np.column_stack([votes, votes[:, 0], votes[:, 5]]), 2) == [(0, 1)]


def test_six_sources_of_which_most_are_copies_keep_three_groups():
    votes, _ = draw(0, 3, 6, [(0, 1), (1, 2), (2, 3), (3, 4)], rate=0.6)
    report = cs.learn_dependencies(votes, n_classes=3)
    group = cs.LabelModel(n_classes=3, dependencies=report.pairs).fit(votes).identifiability_
    assert group.identifiable
    assert group.n_components >= 3


def test_a_chain_of_all_sources_is_cut_where_too_little_would_be_left_independent():
    votes, _ = draw(0, 2, 12, [(j, j + 1) for j in range(11)], rate=0.5)
    report = cs.learn_dependencies(votes, n_classes=2)
    assert cs.check_identifiability(12, report.pairs).n_components >= 4
    assert any("fewer than 4 independent groups" in row["reason"] for row in report)


def test_cliques_have_no_more_joint_states_than_the_items_can_fill():
    votes, _ = draw(0, 3, 10, [(0, 1), (0, 2), (1, 2)], n=600, rate=0.6)
    report = cs.learn_dependencies(votes, n_classes=3)
    kept = [set(pair) for pair in report.pairs]
    assert not all({i, j} in kept for i, j in itertools.combinations(range(3), 2))  # 64 states, 60 allowed
    assert any("64 joint states" in row["reason"] for row in report)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_with_few_sources_nothing_is_told_and_the_report_says_so(m):
    votes, _ = draw(0, 2, 4, [(0, 1)])
    report = cs.learn_dependencies(votes[:, :m], n_classes=2)
    assert report.pairs == []
    assert "fewer than 5" in str(report)


def test_hierarchies_with_a_copying_source():
    graph_of = np.random.default_rng(0)
    events = [[(0, -1, -1), (1, -1, -1)], [(-1, 0, -1), (-1, 1, -1)], [(-1, -1, 0), (-1, -1, 1)]] * 3
    exact = hierarchy(graph_of, events)
    sources = exact.sources
    rng = np.random.default_rng(1)
    n = 20_000
    y = rng.choice(4, n, p=exact.class_balance)
    states = np.column_stack(
        [(rng.random((n, 1)) >= s.table.cumsum(axis=0).T[y]).sum(axis=1) for s in sources]
    )
    copied = rng.random(n) < RATE
    states[copied, 3] = states[copied, 0]
    cast = [np.vstack([s.events, np.full((1, 3), -1)])[states[:, j]] for j, s in enumerate(sources)]
    votes = {task: np.column_stack([c[:, r] for c in cast]) for r, task in enumerate(exact.graph.tasks)}
    assert cs.learn_dependencies(votes, task_graph=exact.graph).pairs == [(0, 3)]


# The fit


@pytest.mark.parametrize("method", ["auto", "em"])
@pytest.mark.parametrize("k", [2, 4])
def test_the_fit_with_learned_dependencies_is_that_with_the_true_ones(k, method):
    edges = STRUCTURES["chain"]
    votes, y = draw(7, k, 10, edges, rate=0.6)
    fits = {
        name: cs.LabelModel(n_classes=k, dependencies=given, method=method).fit(votes)
        for name, given in {"none": [], "true": edges, "learn": "learn"}.items()
    }
    np.testing.assert_array_equal(fits["learn"].predict_proba(votes), fits["true"].predict_proba(votes))
    right = {name: (model.predict(votes) == y).mean() for name, model in fits.items()}
    assert right["learn"] > right["none"] + 0.01


def test_the_summary_and_the_report_name_what_was_learned():
    votes, _ = draw(0, 2, 8, STRUCTURES["star"])
    named = cs.Votes.from_dense(votes, n_classes=2, source_names=list("abcdefgh"))
    model = cs.LabelModel(dependencies="learn").fit(named)
    assert "dependencies learned: " in str(model.summary())
    rows = list(model.dependencies_)
    assert {(row["source"], row["other"]) for row in rows if row["kept"]} == {
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
    }
    assert all("others of the group" in row["reason"] for row in rows if not row["kept"])
    assert str(model.dependencies_).startswith("3 dependencies learned from 28 pairs of sources")


def test_a_copy_of_a_dependent_source_changes_no_label():
    votes, _ = draw(0, 2, 8, [(0, 1)])
    alone = cs.LabelModel(dependencies="learn", method="em").fit(votes)
    doubled_votes = np.column_stack([votes, votes[:, 1]])
    with pytest.warns(cs.DuplicateSourcesWarning):
        doubled = cs.LabelModel(dependencies="learn", method="em").fit(doubled_votes)
    np.testing.assert_allclose(doubled.predict_proba(doubled_votes), alone.predict_proba(votes), atol=1e-6)


def test_a_model_with_learned_dependencies_survives_a_file_and_a_pickle(tmp_path):
    votes, _ = draw(0, 2, 8, [(0, 1)])
    model = cs.LabelModel(dependencies="learn").fit(votes)
    model.save(tmp_path / "model")
    for again in (cs.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert again.get_params()["dependencies"] == "learn"
        assert str(again.dependencies_) == str(model.dependencies_)
        np.testing.assert_array_equal(again.predict_proba(votes), model.predict_proba(votes))


def test_nothing_is_left_of_learned_dependencies_after_a_fit_without():
    votes, _ = draw(0, 2, 8, [(0, 1)])
    model = cs.LabelModel(dependencies="learn").fit(votes)
    model.set_params(dependencies=None, method="em").fit(votes)
    assert not hasattr(model, "dependencies_")


def test_majority_vote_learns_no_dependencies():
    votes, _ = draw(0, 2, 8, [(0, 1)])
    model = cs.LabelModel(dependencies="learn", method="majority").fit(votes)
    assert not hasattr(model, "dependencies_")


# Statistics


def test_statistics_show_the_same_dependencies_and_the_transitive_ones():
    votes, _ = draw(0, 2, 10, STRUCTURES["chain"], rate=0.6)
    report = cs.learn_dependencies(cs.VoteStatistics.of(votes, n_classes=2))
    assert set(STRUCTURES["chain"]) <= set(report.pairs) <= set(itertools.combinations(range(4), 2))


def test_a_model_that_learns_from_statistics_fits_where_there_is_no_dependence():
    votes, _ = draw(0, 2, 10, [])
    statistics = cs.VoteStatistics.of(votes, n_classes=2)
    model = cs.LabelModel(dependencies="learn").fit(statistics)
    np.testing.assert_array_equal(
        model.predict_proba(votes), cs.LabelModel().fit(statistics).predict_proba(votes)
    )


def test_statistics_with_dependencies_are_refused_with_the_way_out():
    votes, _ = draw(0, 2, 10, [(2, 5)])
    with pytest.raises(cs.InvalidArgumentError, match=r"\[\(2, 5\)\].*VoteStatistics.of"):
        cs.LabelModel(dependencies="learn").fit(cs.VoteStatistics.of(votes, n_classes=2))


@pytest.mark.parametrize("method", ["auto", "moments"])
def test_learning_in_parts_finds_what_all_votes_show(method):
    votes, _ = draw(0, 2, 10, [(2, 5)])
    model = partial(cs.LabelModel, n_classes=2, dependencies="learn", method=method)
    whole, grown = model().fit(votes), model()
    for part in np.array_split(votes, 3):
        grown.partial_fit(part)
    streamed = model().fit(iter(np.array_split(votes, 7)))
    assert whole.dependencies_.pairs == [(2, 5)]
    for found in (grown, streamed):
        assert found._fitted().to_bytes() == whole._fitted().to_bytes()
    assert cs.learn_dependencies(iter(np.array_split(votes, 7)), n_classes=2).pairs == [(2, 5)]


def test_learning_on_from_what_left_no_rows_is_refused():
    votes, _ = draw(0, 2, 10, [])
    model = cs.LabelModel(n_classes=2, dependencies="learn").fit(votes)
    with pytest.raises(cs.InvalidArgumentError, match=r'"learn" needs the rows.*begin with partial_fit'):
        model.partial_fit(votes)


def test_another_word_than_learn_is_refused():
    with pytest.raises(cs.InvalidArgumentError, match='"learn" or a list of pairs'):
        cs.LabelModel(dependencies="guess").fit(draw(0, 2, 5, [])[0])


def test_arguments_about_votes_do_not_go_with_statistics():
    statistics = cs.VoteStatistics.of(draw(0, 2, 6, [])[0], n_classes=2)
    with pytest.raises(cs.InvalidArgumentError, match="n_classes belongs to votes"):
        cs.learn_dependencies(statistics, n_classes=2)


# The parts


def exact_tables(exact):
    statistics = cs.VoteStatistics.of(exact.votes, exact.weights, task_graph=exact.graph)
    return PairTables(statistics, exact.class_balance, np.ones(exact.n_sources, dtype=bool))


def equal_weights(pair_tables):
    return np.where(pair_tables.apart, 1.0, 0.0)


@pytest.mark.parametrize("abstains", [True, False])
@pytest.mark.parametrize("k", [2, 3])
def test_the_tied_model_explains_independent_sources_exactly(k, abstains):
    pair_tables = exact_tables(single_task(np.random.default_rng(k), k, 4, abstains=abstains))
    model = TiedModel(pair_tables)
    weight = equal_weights(pair_tables)
    null = model.fit(weight, model.start(weight), 500)
    between = pair_tables.owner[:, None] != pair_tables.owner
    np.testing.assert_allclose(null.covariance[between], pair_tables.covariance[between], atol=1e-5)


def test_the_free_model_explains_any_confusion_exactly():
    rng = np.random.default_rng(0)
    exact = ExactModel(cs.TaskGraph.single(3), [0.5, 0.3, 0.2], [free_source(rng, 3) for _ in range(5)])
    pair_tables = exact_tables(exact)
    weight = equal_weights(pair_tables)
    tied, free = TiedModel(pair_tables), FreeModel(pair_tables)
    start = free.start(tied.fit(weight, tied.start(weight)))
    null = free.fit(weight, start.parameters, 2000)
    between = pair_tables.owner[:, None] != pair_tables.owner
    np.testing.assert_allclose(null.covariance[between], pair_tables.covariance[between], atol=1e-5)


def test_each_pair_is_predicted_from_the_others():
    graph = cs.TaskGraph.single(2)
    rng = np.random.default_rng(0)
    sources = [tied_source(rng, graph, [[0], [1]]) for _ in range(5)]
    independent = ExactModel(graph, [0.5, 0.5], sources)
    sources = list(sources)
    sources[1], joint = copying_pair(sources[0], sources[1], 0.0)
    joint = joint.copy()
    joint[0, 0] += 0.01  # the same margins, other than by independence
    joint[1, 1] += 0.01
    joint[0, 1] -= 0.01
    joint[1, 0] -= 0.01
    dependent = ExactModel(graph, [0.5, 0.5], sources, {(0, 1): joint})
    predicted = []
    for exact in (independent, dependent):
        pair_tables = exact_tables(exact)
        model = TiedModel(pair_tables)
        weight = equal_weights(pair_tables)
        weight[0, 1] = weight[1, 0] = 1e-9
        null = model.fit(weight, model.start(weight), 500)
        predicted.append(null.covariance[:3, 3:6])
    np.testing.assert_allclose(*predicted, atol=1e-6)


def beside_an_expert(seed, accuracies, n=3000):
    """Votes of sources that always vote and are independent given one of two even classes, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.choice(2, n)
    return np.where(rng.random((n, len(accuracies))) < accuracies, y[:, None], 1 - y[:, None]), y


def test_an_expert_among_weak_sources_depends_on_none():
    accuracies = [0.95] + [0.55] * 6
    found = [bool(learned(beside_an_expert(seed, accuracies)[0], 2)) for seed in range(60)]
    assert sum(found) <= 3  # one search of a hundred; 11 with the others' strengths taken for known


def test_weak_sources_that_copy_each_other_beside_an_expert_are_found_alone():
    for seed in range(15):
        votes, _ = beside_an_expert(seed, [0.95] + [0.55] * 6)
        copied = np.random.default_rng([seed, 1]).random(len(votes)) < 0.25
        votes[copied, 4] = votes[copied, 3]
        assert learned(votes, 2) == [(3, 4)]


def test_the_default_labels_beside_an_expert_by_no_made_up_dependency():
    votes, y = beside_an_expert(0, [0.95] + [0.55] * 6)
    model = cs.LabelModel(n_classes=2).fit(votes)
    assert not hasattr(model, "dependencies_")
    assert (model.predict(votes) == y).mean() > 0.93  # 0.905 with an invented one


@pytest.mark.parametrize("accuracies", [[0.9] + [0.6] * 5, [0.7] * 8])
def test_the_error_of_a_prediction_from_the_other_pairs_is_that_over_draws(accuracies):
    predicted, error = [], []
    m, n = len(accuracies), 20_000
    for seed in range(150):
        statistics = cs.VoteStatistics.of(beside_an_expert(seed, accuracies, n)[0], n_classes=2)
        pair_tables = PairTables(statistics, np.array([0.5, 0.5]), np.ones(m, dtype=bool))
        model = TiedModel(pair_tables)
        weight = equal_weights(pair_tables)
        weight[0, 1] = weight[1, 0] = 1e-9
        null = model.fit(weight, model.start(weight), 200)
        predicted.append(null.covariance[0, 2])
        error.append(null.variance[0, 2] / n)
    assert np.median(error) / np.var(predicted) == pytest.approx(1, abs=0.4)


def test_association_given_the_others_is_that_of_a_table_spelled_out():
    rng = np.random.default_rng(0)
    layout = ComponentLayout(3, ((0, 1, 2),), ((),), (np.arange(2)[:, None],) * 3, ("a", "b", "c"))
    states = layout.member_states((0, 1, 2))
    counts = rng.uniform(5, 50, (len(states), 2))
    statistic, df = conditional_association(counts, states, 0, 2)
    beyond, variance = np.zeros(4), np.zeros((4, 4))
    for middle, y in itertools.product(range(3), range(2)):
        table = np.zeros((3, 3))
        for e, (a, b, c) in enumerate(states.tolist()):
            if b == middle:
                table[a, c] += counts[e, y]
        n, rows, columns = table.sum(), table.sum(axis=1), table.sum(axis=0)
        beyond += (table - np.outer(rows, columns) / n)[1:, 1:].ravel()
        of_rows = (np.diag(rows) - np.outer(rows, rows) / n)[1:, 1:]
        of_columns = (np.diag(columns) - np.outer(columns, columns) / n)[1:, 1:]
        variance += np.kron(of_rows, of_columns) / (n - 1)
    assert df == 4
    assert statistic == pytest.approx(beyond @ np.linalg.solve(variance, beyond), rel=1e-8)


@pytest.mark.parametrize("df", [1, 2, 4, 9, 16, 81])
def test_tails_of_the_chi_square_are_those_of_scipy(df):
    special = pytest.importorskip("scipy.special")
    for x in (1e-3, 0.5, 1.0, 5.0, df * 1.0, df + 30.0, 400.0):
        assert chi_square_tail(x, df) == pytest.approx(special.chdtrc(df, x), rel=1e-8, abs=1e-300)


def test_far_tails_of_the_chi_square_are_zero_and_not_an_error():
    assert chi_square_tail(1e7, 4) == 0.0
    assert chi_square_tail(0.0, 4) == 1.0


def test_normal_scores_invert_the_tail():
    assert normal_score(0.5) == pytest.approx(0.0, abs=1e-12)
    assert normal_score(1e-6) == pytest.approx(4.753424308822899, abs=1e-9)


def test_the_order_of_the_sources_changes_nothing():
    votes, _ = draw(4, 3, 10, [(0, 1), (2, 3)])
    order = np.random.default_rng(0).permutation(10)
    place = np.argsort(order)
    expected = sorted(tuple(sorted((int(place[i]), int(place[j])))) for i, j in [(0, 1), (2, 3)])
    assert learned(votes[:, order], 3) == expected


def test_pairs_are_found_without_the_votes_whatever_the_class_balance():
    votes, _ = draw(4, 2, 10, [(0, 1)])
    statistics = cs.VoteStatistics.of(votes, n_classes=2)
    for balance in ([0.5, 0.5], [0.9, 0.1]):
        assert find_dependencies(statistics, np.array(balance)).pairs == [(0, 1)]
