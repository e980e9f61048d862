import itertools
import pickle

import numpy as np
import pytest

from consilience.check import check_identifiability
from consilience.exceptions import ConsilienceError, InvalidArgumentError, WrongTypeError
from consilience.identifiability import (
    FLOOR,
    IdentifiabilityReport,
    solve_log_linear,
    structure_report,
)
from consilience.source_graph import SourceGraph

SEEDS = range(300)


def explicit_m_omega(omega_mask):
    """Slow twin: one row a pair, with ones at both ends."""
    pairs = np.argwhere(np.triu(omega_mask))
    matrix = np.zeros((len(pairs), len(omega_mask)))
    matrix[np.arange(len(pairs))[:, None], pairs] = 1
    return matrix


def random_omega(rng):
    """Graph of pairs on up to 9 nodes; sparse ones are often bipartite or in several components."""
    d = int(rng.integers(1, 10))
    upper = np.triu(rng.random((d, d)) < rng.choice([0.1, 0.25, 0.5, 0.9]), 1)
    return upper | upper.T


def independent_nodes(omega_mask, **arguments):
    """Report on nodes of as many independent sources."""
    d = len(omega_mask)
    return structure_report(
        source_graph=SourceGraph(d),
        node_source=np.arange(d),
        node_names=[f"node {a}" for a in range(d)],
        omega_mask=omega_mask,
        **arguments,
    )


def random_dependencies(rng, m):
    density = rng.choice([0.1, 0.3, 0.6, 1.0])
    return [pair for pair in itertools.combinations(range(m), 2) if rng.random() < density]


@pytest.fixture(scope="module")
def random_reports() -> list[IdentifiabilityReport]:
    return [independent_nodes(random_omega(np.random.default_rng(seed))) for seed in SEEDS]


def test_rank_is_that_of_the_explicit_matrix_on_300_random_graphs(random_reports):
    for report in random_reports:
        matrix = explicit_m_omega(report.omega_mask)
        assert report.rank == (np.linalg.matrix_rank(matrix) if matrix.size else 0)
        assert report.n_unknowns == matrix.shape[1]
        assert report.identifiable == (report.rank == report.n_unknowns)


def test_sigma_max_is_that_of_the_explicit_pseudoinverse_on_300_random_graphs(random_reports):
    for report in random_reports:
        matrix = explicit_m_omega(report.omega_mask)
        expected = np.linalg.norm(np.linalg.pinv(matrix), 2) if len(matrix) else np.inf
        assert report.sigma_max == pytest.approx(expected, rel=1e-9)


def test_nodes_are_identified_where_the_null_space_of_the_explicit_matrix_vanishes(random_reports):
    for report in random_reports:
        matrix = explicit_m_omega(report.omega_mask)
        null_space = np.eye(report.n_unknowns) - np.linalg.pinv(matrix) @ matrix
        determined = np.abs(null_space.diagonal()) < 1e-9
        assert [status == "identified" for status in report.node_status] == determined.tolist()


def test_omega_lists_each_pair_once(random_reports):
    for report in random_reports:
        expected = [p for p in itertools.combinations(range(report.n_unknowns), 2) if report.omega_mask[p]]
        assert report.omega.shape == (len(expected), 2)
        assert [tuple(pair) for pair in report.omega] == expected


def test_sign_components_are_the_components_that_pairs_connect(random_reports):
    for report in random_reports:
        twin = SourceGraph(report.n_unknowns, report.omega).component
        paired = report.omega_mask.any(axis=1)
        assert ((report.sign_components >= 0) == paired).all()
        same = report.sign_components[:, None] == report.sign_components
        assert np.array_equal(same[np.ix_(paired, paired)], (twin[:, None] == twin)[np.ix_(paired, paired)])


def test_log_linear_solution_equals_lstsq_of_the_explicit_matrix_on_300_random_graphs():
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        omega = random_omega(rng)
        target = rng.normal(size=omega.shape)
        target += target.T
        log_z2, residual = solve_log_linear(target, omega)
        matrix, pairs = explicit_m_omega(omega), np.argwhere(np.triu(omega))
        q = np.log(target[tuple(pairs.T)] ** 2)
        expected = np.linalg.lstsq(matrix, q, rcond=None)[0] if len(q) else np.zeros(len(omega))
        np.testing.assert_allclose(log_z2, expected, atol=1e-9)
        misfit = np.sqrt(np.mean((matrix @ expected - q) ** 2)) if len(q) else 0.0
        assert residual == pytest.approx(misfit, abs=1e-9)


def test_log_linear_solution_recovers_exact_products():
    z = np.array([0.3, -0.8, 0.05, 2.0, -1e-4])
    log_z2, residual = solve_log_linear(np.outer(z, z), ~np.eye(5, dtype=bool))
    np.testing.assert_allclose(np.exp(log_z2 / 2), np.abs(z), rtol=1e-12)
    assert residual < 1e-12


def test_log_linear_solution_scales_with_the_target():
    rng = np.random.default_rng(0)
    target = rng.normal(size=(6, 6))
    target += target.T
    target[0, 1] = target[1, 0] = 0.0  # clamped to a share of the largest entry, so scaling carries over
    omega = ~np.eye(6, dtype=bool)
    once, residual = solve_log_linear(target, omega)
    again, residual_again = solve_log_linear(1e-30 * target, omega)
    np.testing.assert_allclose(again - once, np.log(1e-30), rtol=1e-12)
    assert residual_again == pytest.approx(residual)


@pytest.mark.parametrize("value", [0.0, 5e-324, 1.7e308])
def test_log_linear_solution_is_finite_for_extreme_targets(value):
    target = np.full((4, 4), value)
    target[0, 1] = target[1, 0] = 1.0 if value > 1 else 0.0
    log_z2, residual = solve_log_linear(target, ~np.eye(4, dtype=bool))
    assert np.isfinite([*log_z2, residual]).all()


def test_entries_near_zero_are_clamped_to_the_stated_share_of_the_largest():
    target = np.ones((4, 4))
    target[0, 1] = target[1, 0] = 1e-200
    clamped = target.copy()
    clamped[0, 1] = clamped[1, 0] = FLOOR
    omega = ~np.eye(4, dtype=bool)
    np.testing.assert_array_equal(solve_log_linear(target, omega)[0], solve_log_linear(clamped, omega)[0])


def test_the_target_is_read_on_the_pairs_only():
    target = np.full((4, 4), np.nan)
    omega = ~np.eye(4, dtype=bool)
    omega[0, 1] = omega[1, 0] = False
    target[omega] = 0.25
    log_z2, residual = solve_log_linear(target, omega)
    np.testing.assert_allclose(np.exp(log_z2 / 2), 0.5)
    assert residual == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("m", "dependencies", "rank", "n_components", "status"),
    [
        (4, [], 4, 4, "identified"),
        (4, [(0, 1)], 4, 3, "identified"),
        (3, [(0, 1)], 2, 2, "scale ambiguous"),
        (5, list(itertools.combinations(range(1, 5), 2)), 4, 2, "scale ambiguous"),
        (6, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5)], 5, 2, "scale ambiguous"),
        (5, [(i, i + 1) for i in range(4)], 0, 1, "no signal"),
        (2, [], 1, 2, "scale ambiguous"),
        (1, [], 0, 1, "no signal"),
    ],
)
def test_known_structures(m, dependencies, rank, n_components, status):
    report = check_identifiability(n_sources=m, dependencies=dependencies)
    assert (report.rank, report.n_unknowns, report.n_components) == (rank, m, n_components)
    assert report.sources == [status] * m
    assert report.identifiable == (status == "identified")
    assert (report.log_z2, report.residual) == (None, None)


@pytest.mark.parametrize("m", [3, 5, 10, 40])
def test_sigma_max_of_independent_sources_has_a_closed_form(m):
    assert check_identifiability(m).sigma_max == pytest.approx(1 / np.sqrt(m - 2))


def test_advice_followed_makes_the_check_pass_on_300_random_graphs():
    n_drops = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        m = int(rng.integers(1, 9))
        dependencies = random_dependencies(rng, m)
        report = check_identifiability(m, dependencies)
        assert bool(report.advice) == (not report.identifiable)
        assert report.sources_to_add == max(3 - report.n_components, 0)
        assert check_identifiability(m + report.sources_to_add, dependencies).identifiable
        if report.dependencies_to_drop:
            kept = [pair for pair in dependencies if pair not in report.dependencies_to_drop]
            assert check_identifiability(m, kept).identifiable
            n_drops += 1
        else:
            assert report.identifiable or m < 3
    assert n_drops > 100


def test_advice_says_what_the_report_holds():
    report = check_identifiability(4, [(0, 1), (1, 2), (2, 0)])
    assert report.dependencies_to_drop == ((0, 1), (0, 2))
    assert report.advice == (
        "Add 1 source that is independent of all others and votes on the same classes.",
        "Or drop these 2 dependencies, if the data allow it: "
        "'source 0' with 'source 1', 'source 0' with 'source 2'.",
    )
    assert check_identifiability(1).advice == (
        "Add 2 sources that are each independent of all others and vote on the same classes.",
    )


def brute_force_cut(m, weights):
    """Slow twin: lightest set of dependencies between two sides, over all ways to part the sources."""
    parts = [set(side) for r in range(1, m) for side in itertools.combinations(range(m), r)]
    return min(sum(w for (i, j), w in weights.items() if (i in side) != (j in side)) for side in parts)


def test_the_dependencies_to_drop_are_the_weakest_that_do():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        m = int(rng.integers(3, 8))
        chain = {(i, i + 1) for i in range(m - 2)}
        edges = sorted(chain | {p for p in itertools.combinations(range(m - 1), 2) if rng.random() < 0.5})
        weights = {edge: float(rng.integers(1, 6)) for edge in edges}  # source m - 1 stays on its own
        report = structure_report(
            source_graph=(graph := SourceGraph(m, edges)),
            node_source=np.arange(m),
            node_names=graph.source_names,
            omega_mask=graph.component[:, None] != graph.component,
            dependency_weights=weights,
        )
        assert sum(weights[edge] for edge in report.dependencies_to_drop) == brute_force_cut(m - 1, weights)


def test_cuts_leave_a_source_with_signal_on_each_side():
    """Weak sources may hang on either side of a cut; counting them as a side would not help."""
    n_drops = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        m = int(rng.integers(3, 9))
        dependencies = random_dependencies(rng, m)
        if SourceGraph(m, dependencies).n_components == 1:
            continue  # without any pair, no source can be told to be weak
        signal = rng.random(m) < 0.6

        def report_on(dependencies, m=m, signal=signal):
            graph = SourceGraph(m, dependencies)
            return structure_report(
                source_graph=graph,
                node_source=np.arange(m),
                node_names=graph.source_names,
                omega_mask=graph.component[:, None] != graph.component,
                has_signal=signal,
            )

        drop = report_on(dependencies).dependencies_to_drop
        if drop:
            assert report_on([pair for pair in dependencies if pair not in drop]).identifiable
            n_drops += 1
    assert n_drops > 25


def test_a_weak_source_does_not_break_the_rest():
    signal = np.array([True, True, True, False])
    report = independent_nodes(~np.eye(4, dtype=bool), has_signal=signal)
    assert report.identifiable
    assert report.sources == ["identified"] * 3 + ["no signal"]
    assert (report.rank, report.n_unknowns, len(report.omega)) == (3, 4, 3)
    assert report.advice == ("No agreement with others beyond chance: 'source 3'.",)


def test_of_sources_without_signal_the_advice_says_why():
    rng = np.random.default_rng(0)
    y, coin, zeros = rng.integers(0, 2, 3000), rng.integers(0, 2, 3000), np.zeros(3000, dtype=int)
    good = np.where(rng.random((3000, 4)) < 0.8, y[:, None], 1 - y[:, None])

    def advice(columns, dependencies=None):
        return check_identifiability(votes=np.column_stack(columns), dependencies=dependencies).advice

    but_for = "No agreement beyond chance, but with copies and sources they depend on: 'source 4'."
    assert advice([good, coin]) == ("No agreement with others beyond chance: 'source 4'.",)
    assert advice([good, coin, coin]) == (but_for,)
    assert advice([good, coin, coin], dependencies=[(4, 5)]) == (but_for.replace("4'", "4', 'source 5'"),)
    assert advice([good, zeros]) == ("Always the same vote, on every item, which tells nothing: 'source 4'.",)
    alone = "Those they could agree with always vote the same: 'source 0'."
    assert alone in advice([good[:, 0], zeros, 1 - zeros])


def test_where_sources_are_too_weak_the_advice_says_that_items_help_and_one_more_as_weak_does_not():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 20_000)
    votes = np.where(rng.random((20_000, 11)) < [0.58] * 10 + [0.8], y[:, None], 1 - y[:, None])
    few = check_identifiability(votes=votes[:2000, :9])
    assert (few.identifiable, few.sources_to_add) == (False, 1)
    assert not check_identifiability(votes=votes[:2000, :10]).identifiable
    assert check_identifiability(votes=votes[:2000, [*range(9), 10]]).identifiable
    assert check_identifiability(votes=votes[:, :9]).identifiable
    assert few.advice[-1].startswith("They may be too weak for so few items: more items may do instead")


@pytest.mark.parametrize(("n_weak", "said"), [(0, None), (1, "the other one is"), (2, "the other 2 are")])
def test_a_rank_that_is_not_full_is_explained_where_all_is_well(n_weak, said):
    d = 3 + n_weak
    report = independent_nodes(~np.eye(d, dtype=bool), has_signal=np.arange(d) < 3)
    assert report.identifiable
    expected = f"rank 3 of {d} unknowns" + (f"; {said} seen to be near zero" if said else "")
    assert report.rank_in_words() == expected
    assert expected in " ".join(str(report).split())


def test_a_single_source_is_not_said_to_have_signal_and_none():
    text = str(check_identifiability(n_sources=1))
    assert "0 pairs of indicators, rank 0 of 1 unknown\n" in text
    assert "groups of sources that may have signal: 1 (3 needed)" in text
    assert "no signal found (1): 'source 0'" in text


def test_two_sources_with_signal_are_not_enough():
    signal = np.array([True, True, False, False])
    report = independent_nodes(~np.eye(4, dtype=bool), has_signal=signal)
    assert not report.identifiable
    assert report.sources == ["scale ambiguous"] * 2 + ["no signal"] * 2
    assert (report.n_components, report.sources_to_add) == (2, 1)


@pytest.mark.parametrize("d", [0, 5])
def test_without_any_signal_three_sources_are_asked_for(d):
    report = structure_report(
        source_graph=SourceGraph(5),
        node_source=np.arange(d),
        node_names=[f"node {a}" for a in range(d)],
        omega_mask=~np.eye(d, dtype=bool),
        target=np.zeros((d, d)),
        has_signal=np.zeros(d, dtype=bool),
    )
    assert (report.identifiable, report.rank, report.sources_to_add) == (False, 0, 3)
    assert report.sources == ["no signal"] * 5
    assert report.omega.shape == (0, 2)
    assert report.sigma_max == np.inf
    assert (report.log_z2 == 0).all()


def test_a_source_that_never_votes_does_not_change_the_answer():
    report = structure_report(
        source_graph=SourceGraph(4),
        node_source=[0, 1, 3],
        node_names=["a", "b", "d"],
        omega_mask=~np.eye(3, dtype=bool),
    )
    assert report.identifiable
    assert report.sources == ["identified", "identified", "no signal", "identified"]
    assert report.advice == ("Without any vote, so nothing is learned: 'source 2'.",)


def test_unrelated_tasks_have_a_sign_each():
    omega = np.kron(np.eye(2, dtype=bool), ~np.eye(3, dtype=bool)).astype(bool)
    report = independent_nodes(omega)
    assert report.identifiable
    assert report.sources == ["sign only"] * 6
    assert report.sign_components.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_source_is_as_good_as_its_worst_node():
    """Sources 0-2 vote on task A; 2 and 3 on the unrelated task B; 0 alone on task C."""
    node_source, task = np.array([0, 1, 2, 2, 3, 0]), np.array(list("AAABBC"))
    report = structure_report(
        source_graph=SourceGraph(4),
        node_source=node_source,
        node_names=[f"{t}{j}" for t, j in zip(task, node_source, strict=True)],
        omega_mask=(task[:, None] == task) & (node_source[:, None] != node_source),
    )
    assert report.node_status == ["identified"] * 3 + ["scale ambiguous"] * 2 + ["no signal"]
    assert report.sources == ["no signal", "sign only", "scale ambiguous", "scale ambiguous"]
    assert not report.identifiable
    assert report.advice == (
        "Add 2 sources that are each independent of all others and vote like 'B2', 'B3', 'C0'.",
    )


def test_the_report_solves_the_system_when_given_a_target():
    z = np.array([0.5, 0.4, 0.3, 0.2])
    report = independent_nodes(~np.eye(4, dtype=bool), target=np.outer(z, z))
    np.testing.assert_allclose(np.exp(report.log_z2 / 2), z, rtol=1e-12)
    assert report.residual < 1e-12
    assert "misfit" in str(report)


def test_added_edges_are_those_of_the_source_graph():
    assert check_identifiability(6, [(0, 1), (1, 2), (2, 3), (3, 0)]).added_edges == ((1, 3),)


def test_a_report_prints_at_80_columns():
    rng = np.random.default_rng(0)
    for m in (1, 3, 60):
        text = str(check_identifiability(m, random_dependencies(rng, m)))
        assert text.startswith("Identifiable: ")
        assert max(map(len, text.splitlines())) <= 80


def test_a_report_pickles():
    report = pickle.loads(pickle.dumps(check_identifiability(4)))
    assert (report.identifiable, report.sources) == (True, ["identified"] * 4)
    assert repr(report) == "IdentifiabilityReport(identifiable=True, rank=4, n_unknowns=4)"


@pytest.mark.parametrize(
    ("arguments", "error", "culprit"),
    [
        ({}, InvalidArgumentError, "n_sources or votes"),
        ({"n_sources": 3, "votes": [[0, 1, 1]]}, InvalidArgumentError, "n_sources or votes"),
        ({"n_sources": 3, "method": "em"}, InvalidArgumentError, "'em'"),
        ({"n_sources": 0}, InvalidArgumentError, "n_sources"),
        ({"n_sources": "three"}, WrongTypeError, "'three'"),
        ({"n_sources": 3, "dependencies": [(0, 3)]}, InvalidArgumentError, "3"),
        ({"n_sources": 3, "dependencies": "learn"}, WrongTypeError, "'learn'"),
    ],
)
def test_a_wrong_question_is_an_error_that_names_the_culprit(arguments, error, culprit):
    with pytest.raises(error, match=culprit) as caught:
        check_identifiability(**arguments)
    assert isinstance(caught.value, ConsilienceError)


FULL = ~np.eye(3, dtype=bool)


@pytest.mark.parametrize(
    ("target", "omega_mask", "error", "culprit"),
    [
        (np.ones((3, 3)), FULL.astype(int), WrongTypeError, "int64"),
        (np.ones((3, 3)), FULL[:2], InvalidArgumentError, r"\(2, 3\)"),
        (np.ones((3, 3)), np.triu(FULL), InvalidArgumentError, r"\[0, 1\]"),
        (np.ones((3, 3)), np.ones((3, 3), dtype=bool), InvalidArgumentError, "node 0 with itself"),
        (np.ones((2, 2)), FULL, InvalidArgumentError, r"\(2, 2\)"),
        (np.where(np.eye(3)[[1, 0, 2]], np.nan, 1.0), FULL, InvalidArgumentError, r"target\[0, 1\] is nan"),
    ],
)
def test_a_wrong_system_is_an_error_that_names_the_culprit(target, omega_mask, error, culprit):
    with pytest.raises(error, match=culprit):
        solve_log_linear(target, omega_mask)


@pytest.mark.parametrize(
    ("changed", "culprit"),
    [
        ({"node_source": [0, 1]}, "got 2, 3 and 3"),
        ({"node_names": ["a"]}, "got 3, 1 and 3"),
        ({"has_signal": [True]}, "got 3, 3 and 1"),
        ({"node_source": [0, 1, 3]}, "0..2, got 0..3"),
        ({"source_graph": SourceGraph(3, [(1, 2)])}, "'b' with 'c'"),
    ],
)
def test_wrong_nodes_are_an_error_that_names_the_culprit(changed, culprit):
    arguments = {
        "source_graph": SourceGraph(3),
        "node_source": [0, 1, 2],
        "node_names": ["a", "b", "c"],
        "omega_mask": FULL,
    }
    with pytest.raises(InvalidArgumentError, match=culprit):
        structure_report(**arguments | changed)


def test_sigma_max_counts_nodes_with_the_same_partners_once_and_stays_exact():
    """Several nodes a source and dependent sources: many equal rows of the graph of pairs."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        m = int(rng.integers(2, 6))
        graph = SourceGraph(m, random_dependencies(rng, m))
        node_source = np.sort(rng.integers(0, m, size=9))
        component = graph.component[node_source]
        report = structure_report(
            source_graph=graph,
            node_source=node_source,
            node_names=[""] * 9,
            omega_mask=component[:, None] != component,
        )
        matrix = explicit_m_omega(report.omega_mask)
        expected = np.linalg.norm(np.linalg.pinv(matrix), 2) if len(matrix) else np.inf
        assert report.sigma_max == pytest.approx(expected, rel=1e-9)
