"""Forms of joint tables: each contains what it says, its table is the most likely one, and EM goes up."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from enumeration import (
    COARSE_AND_FINE,
    ExactModel,
    always_voting_source,
    balance,
    copying_pair,
    draw,
    free_source,
    hierarchy,
    kind_graph,
    single_task,
    tied_source,
)

import consilience as cs
from consilience import em
from consilience.components import ComponentLayout
from consilience.em import MODELS, Ascent
from consilience.fitted_model import FittedModel
from consilience.joint_forms import FORMS, Clique, best_form, forms_of, named_form

CLASSES = {k: np.arange(k)[:, None] for k in (1, 2, 3, 4)}


def clique_of(events, graph=None, separators=((),)):
    """Clique of all sources with these events."""
    members = tuple(range(len(events)))
    layout = ComponentLayout(len(events), (members,), separators, tuple(events), ("",) * len(events))
    graph = graph or cs.TaskGraph.single(1 + max(int(own.max()) for own in events))
    return Clique.of(layout, members, [graph.event_masks(own) for own in events], [1.0] * len(events))


def flat(joint):
    """Joint table with an axis a source, abstention last, as rows of joint states, abstention 0."""
    for axis in range(joint.ndim - 1):
        joint = np.roll(joint, 1, axis=axis)
    order = (*reversed(range(joint.ndim - 1)), joint.ndim - 1)  # the state of the first runs fastest
    return joint.transpose(order).reshape(-1, joint.shape[-1])


def slopes(form, table, counts):
    """Derivative of the log-likelihood of counts along each direction, in standard errors."""
    directions = form.directions(table)
    slope = np.einsum("sy,syq->q", counts / table, directions)
    return slope / np.sqrt(np.einsum("sy,syq->q", counts / table**2, directions**2))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("k", "r"), [(2, 2), (3, 2), (4, 2), (2, 3)])
def test_no_direction_goes_up_from_the_most_likely_table_of_any_form(k, r, model):
    clique = clique_of([CLASSES[k]] * r)
    counts = np.random.default_rng(k + r).gamma(0.3, 100, (len(clique.states), k)) + 1e-4
    for form in forms_of(clique, np.ones(len(counts), bool), model):
        table = form.most_likely(counts, clique.given)
        np.testing.assert_allclose(table.sum(axis=0), 1, atol=1e-12)
        assert table.min() > 0
        # Newton's last step promised less than 1e-6. The problem is concave, so this is the top.
        assert np.abs(slopes(form, table, counts)).max() < 1e-3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("k", "r"), [(2, 2), (3, 2), (2, 3)])
def test_parameters_are_as_many_as_independent_directions(k, r, model):
    clique = clique_of([CLASSES[k]] * r)
    counts = np.random.default_rng(0).uniform(1, 2, (len(clique.states), k))
    forms = forms_of(clique, np.ones(len(counts), bool), model)
    assert len({form.n_parameters for form in forms}) > 1
    for form in forms:
        directions = form.directions(form.most_likely(counts, clique.given))
        np.testing.assert_allclose(directions.sum(axis=0), 0, atol=1e-12)
        rank = np.linalg.matrix_rank(directions.reshape(-1, directions.shape[2]))
        assert form.n_parameters == rank == directions.shape[2]


def copied(first, second, rate):
    """A copying pair whose rate goes by what the first source says and what is true, (s, K)."""
    alone = first.table[:, None] * second.table[None]
    return (1 - rate[:, None]) * alone + rate[:, None] * np.einsum(
        "ay,ab->aby", first.table, np.eye(len(rate))
    )


def rates(k, name):
    of_state = {"copying": np.full(k + 1, 0.6), "voting": np.append(np.full(k, 0.6), 0.1)}
    of_state["tied"] = np.linspace(0.2, 0.8, k + 1)
    return of_state[name][:, None] if name != "free" else np.linspace(0.2, 0.8, k) * np.ones((k + 1, 1))


@pytest.mark.parametrize("name", FORMS)
def test_a_form_holds_the_sources_it_is_made_for_and_no_narrower_one_does(name):
    rng, k = np.random.default_rng(3), 4
    graph = cs.TaskGraph.single(k)
    first, second = (tied_source(rng, graph, CLASSES[k], beta=(0.02, 0.08)) for _ in range(2))
    truth = flat(copied(first, second, rates(k, name)))
    clique = clique_of([CLASSES[k]] * 2)
    counts = 1e4 * truth * balance(rng, k)
    for form in forms_of(clique, np.ones(len(truth), bool), "tied"):
        if form.order != (1, 0):
            error = np.abs(form.most_likely(counts, clique.given) - truth).max()
            if FORMS.index(form.name) < FORMS.index(name):
                assert error > 1e-3
            else:
                assert error < 1e-6
    assert best_form(forms_of(clique, np.ones(len(truth), bool), "tied"), counts, clique.given).name == name


def test_the_order_of_reading_finds_who_copies_whom():
    rng, k = np.random.default_rng(5), 3
    graph = cs.TaskGraph.single(k)
    first, second = (tied_source(rng, graph, CLASSES[k]) for _ in range(2))
    joint = copied(first, second, rates(k, "copying"))
    clique = clique_of([CLASSES[k]] * 2)
    occurs = np.ones(len(clique.states), bool)
    for table, order in ((flat(joint), (0, 1)), (flat(joint.transpose(1, 0, 2)), (1, 0))):
        form = best_form(forms_of(clique, occurs, "tied"), 1e4 * table * 0.3, clique.given)
        assert (form.name, form.order) == ("copying", order)


@pytest.mark.parametrize("abstains", [True, False])
def test_a_source_that_avoids_what_another_says_copies_at_a_negative_rate(abstains):
    rng, k = np.random.default_rng(6), 3
    source = tied_source if abstains else lambda rng, graph, events: always_voting_source(rng, k)
    first, second = (source(rng, cs.TaskGraph.single(k), CLASSES[k]) for _ in range(2))
    joint = copied(first, second, np.full((k + 1, 1), -0.01))
    truth = flat(joint)
    clique = clique_of([CLASSES[k]] * 2)
    occurs = truth.sum(axis=1) > 0
    form = named_form(clique, occurs, "tied", "copying", (0, 1))
    counts = np.where(occurs[:, None], 1e6 * truth, 0.0)
    np.testing.assert_allclose(form.most_likely(counts, clique.given), truth, atol=1e-6)
    assert form.n_parameters < forms_of(clique, occurs, "tied")[-1].n_parameters


def test_a_copy_that_has_no_word_for_a_vote_is_silent_there():
    rng, k = np.random.default_rng(7), 3
    graph = cs.TaskGraph.single(k)
    first, second = (tied_source(rng, graph, CLASSES[size]) for size in (3, 2))
    says = np.zeros((4, 3))  # of the first, abstention last, to the second
    says[[0, 1, 2, 3], [0, 1, 2, 2]] = 1.0
    joint = 0.5 * first.table[:, None] * second.table[None] + 0.5 * np.einsum("ay,ab->aby", first.table, says)
    clique = clique_of([CLASSES[3], CLASSES[2]], graph)
    occurs = np.ones(len(clique.states), bool)
    form = named_form(clique, occurs, "tied", "copying", (0, 1))
    table = form.most_likely(1e4 * flat(joint), clique.given)
    np.testing.assert_allclose(table, flat(joint), atol=1e-6)


@pytest.mark.parametrize("events", [[CLASSES[1], CLASSES[1]], [CLASSES[3], CLASSES[1]]])
@pytest.mark.parametrize("silent", [True, False])
def test_sources_of_one_vote_have_forms_with_finite_tables(events, silent):
    clique = clique_of(events, cs.TaskGraph.single(3))
    occurs = np.ones(len(clique.states), bool) if silent else clique.states[:, 1] > 0
    counts = (
        np.random.default_rng(0).uniform(0, 5, (len(occurs), 3)) * occurs[:, None] + 1e-3 * occurs[:, None]
    )
    for model in MODELS:
        for form in forms_of(clique, occurs, model):
            table = form.most_likely(counts, clique.given)
            np.testing.assert_allclose(table.sum(axis=0), 1)
            assert (table[occurs] > 0).all()
            assert (table[~occurs] == 0).all()


def test_given_a_separator_tables_sum_to_one_for_each_of_its_states():
    layout = ComponentLayout(3, ((0, 1), (1, 2)), ((), (1,)), (CLASSES[3],) * 3, ("",) * 3)
    graph = cs.TaskGraph.single(3)
    clique = Clique.of(layout, (1, 2), [graph.event_masks(CLASSES[3])] * 2, [1.0, 1.0])
    counts = np.random.default_rng(0).uniform(0, 5, (16, 3)) + 1e-3
    forms = forms_of(clique, np.ones(16, bool), "tied")
    assert [form.name for form in forms] == list(FORMS)  # the separator comes first: one order
    for form in forms:
        table = form.most_likely(counts, clique.given)
        sums = [table[clique.given == s].sum(axis=0) for s in range(4)]
        np.testing.assert_allclose(sums, 1)


# ---- in EM ------------------------------------------------------------------------------------------------


def exact_pair(rng, k, joint_of, graph=None, m=5):
    """Sources of which the first two have a joint table, and three more."""
    exact = single_task(rng, k, m)
    first, second, *others = exact.sources
    joint = joint_of(first, second)
    pair = [type(first)(s.events, joint.sum(axis=1 - i)) for i, s in enumerate((first, second))]
    return ExactModel(exact.graph, exact.class_balance, [*pair, *others], {(0, 1): joint})


def copying(k, name):
    return lambda first, second: copied(first, second, rates(k, name))


def ascents(monkeypatch):
    """Every ascent that is made from now on."""
    made = []
    init = Ascent.__init__

    def kept(self, *arguments):
        init(self, *arguments)
        made.append(self)

    monkeypatch.setattr(Ascent, "__init__", kept)
    return made


@pytest.mark.parametrize("model", ["tied", "free"])
@pytest.mark.parametrize("name", FORMS)
def test_plain_steps_of_em_never_lower_the_likelihood(name, model, monkeypatch):
    rng = np.random.default_rng(4)
    exact = exact_pair(rng, 3, copying(3, "free"))
    votes, _ = draw(rng, exact, 400)
    made = ascents(monkeypatch)
    cs.LabelModel(n_classes=3, method="em", dependencies=[(0, 1)]).fit(votes)
    run = Ascent(made[0].columns, made[0].start, made[0].point.balance, model, True)
    run.forms = tuple(next((f for f in forms if f.name == name), forms[-1]) for forms in run.possible)
    point, *_ = run._step(run.point)  # the start is of no form
    before = -np.inf
    for _ in range(30):
        point, log_likelihood, _ = run._step(point)
        assert log_likelihood > before - 1e-6
        before = log_likelihood


def test_going_over_to_another_form_is_worth_no_less_to_the_votes_than_to_the_expected_counts(monkeypatch):
    rng = np.random.default_rng(5)
    exact = exact_pair(rng, 3, copying(3, "tied"))
    votes, _ = draw(rng, exact, 3000)
    made = ascents(monkeypatch)
    cs.LabelModel(n_classes=3, method="em", dependencies=[(0, 1)]).fit(votes)
    run = Ascent(made[0].columns, made[0].start, made[0].point.balance, "tied", True)
    run.forms = run.possible[0][:1]
    monkeypatch.setattr(em, "MAX_TURNS", 0)
    run.go_on(200)
    narrow = run.fit()
    monkeypatch.undo()
    run.converged = not run._turns()
    run.go_on(400)
    wide = run.fit()
    assert wide.forms != narrow.forms
    more = wide.n_parameters - narrow.n_parameters
    assert wide.log_likelihood - narrow.log_likelihood > 2 * more


@pytest.mark.parametrize("name", FORMS)
def test_em_finds_the_form_and_the_tables_of_exact_votes(name):
    k = 3
    exact = exact_pair(np.random.default_rng(6), k, copying(k, name))
    arguments = {"n_classes": k, "class_balance": exact.class_balance, "dependencies": [(0, 1)]}
    model = cs.LabelModel(method="em", **arguments).fit(exact.votes, weights=exact.weights)
    (component,) = model._fitted().fit.components
    assert component.form == name
    np.testing.assert_allclose(component.table, flat(exact.joints[0, 1]), atol=1e-4)


def test_copied_pairs_cost_little_where_the_model_is_tied():
    k, n = 3, 4000
    pairs = [(0, 1), (2, 3), (4, 5), (6, 7)]
    errors = {"none": [], "pairs": []}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        alone = single_task(rng, k, 8)
        label = rng.choice(k, n, p=alone.class_balance)
        states = [(rng.random((n, 1)) >= s.table.cumsum(axis=0).T[label]).sum(axis=1) for s in alone.sources]
        votes = np.column_stack(states)
        votes[votes == k] = -1
        repeated = votes.copy()
        for i, j in pairs:
            same = rng.random(n) < 0.7
            repeated[same, j] = votes[same, i]
        tables = np.stack([s.table for s in alone.sources])
        truth = tables.copy()
        truth[1::2] = 0.7 * tables[::2] + 0.3 * tables[1::2]
        for name, given, dependencies, right in (
            ("none", votes, (), tables),
            ("pairs", repeated, pairs, truth),
        ):
            model = cs.LabelModel(
                n_classes=k, class_balance=alone.class_balance, dependencies=dependencies, method="em"
            ).fit(given)
            errors[name].append(np.linalg.norm((model.emission_ - right)[:, :-1] * alone.class_balance))
    assert np.mean(errors["pairs"]) < 1.2 * np.mean(errors["none"])


def test_a_source_that_speaks_where_another_is_silent_has_a_table_of_its_own_there():
    def instead(first, second):
        joint = np.zeros((4, 4, 3))
        joint[:3, 3] = first.table[:3]
        joint[3] = first.table[3] * second.table
        return joint

    rng = np.random.default_rng(8)
    exact = exact_pair(rng, 3, instead)
    votes, _ = draw(rng, exact, 2000)
    model = cs.LabelModel(
        n_classes=3, class_balance=exact.class_balance, dependencies=[(0, 1)], method="em"
    ).fit(votes)
    assert [c.form for c in model._fitted().fit.components] == ["voting"]
    found = np.einsum("ny,ny->n", model.predict_proba(exact.votes), exact.posterior)
    assert (
        found @ exact.probability
        > 0.95 * np.einsum("ny,ny->n", exact.posterior, exact.posterior) @ exact.probability
    )


def test_cliques_of_a_hierarchy_have_narrow_forms_too():
    rng = np.random.default_rng(9)
    alone = hierarchy(rng, [*COARSE_AND_FINE, COARSE_AND_FINE[2]])
    sources = list(alone.sources)
    sources[5], joint = copying_pair(sources[2], sources[5], 0.6)
    exact = ExactModel(kind_graph(), alone.class_balance, sources, {(2, 5): joint})
    votes, _ = draw(rng, exact, 3000)
    found = {}
    for forms in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if not forms:
                patch.setattr(em, "forms_of", lambda *arguments: forms_of(*arguments)[-1:])
            model = cs.LabelModel(
                task_graph=exact.graph, class_balance=exact.class_balance, dependencies=[(2, 5)], method="em"
            ).fit(votes)
        tables = zip(model.emission_, exact.sources, strict=True)
        found[forms] = sum(float(np.square(np.sort(a, 0) - np.sort(s.table, 0)).sum()) for a, s in tables)
    assert [c.form for c in model._fitted().fit.components] == ["copying"]
    assert found[True] < found[False]


def test_joint_tables_stay_free_where_abstentions_say_nothing():
    rng = np.random.default_rng(10)
    votes, _ = draw(rng, exact_pair(rng, 3, copying(3, "copying")), 2000)
    model = cs.LabelModel(n_classes=3, dependencies=[(0, 1)], method="em", abstentions="missing").fit(votes)
    assert [c.form for c in model._fitted().fit.components] == ["free"]


def test_the_order_of_the_sources_does_not_matter_to_copies():
    rng = np.random.default_rng(11)
    exact = exact_pair(rng, 3, copying(3, "copying"))
    votes, _ = draw(rng, exact, 2000)
    arguments = {"n_classes": 3, "class_balance": exact.class_balance, "method": "em"}
    one = cs.LabelModel(dependencies=[(0, 1)], **arguments).fit(votes).predict_proba(votes)
    turned = np.ascontiguousarray(votes[:, ::-1])
    other = cs.LabelModel(dependencies=[(3, 4)], **arguments).fit(turned).predict_proba(turned)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_saved_model_keeps_the_forms_and_the_intervals(tmp_path):
    rng = np.random.default_rng(12)
    votes, _ = draw(rng, exact_pair(rng, 3, copying(3, "copying")), 2000)
    model = cs.LabelModel(n_classes=3, dependencies=[(0, 1)], method="em").fit(votes)
    model.save(tmp_path / "model")
    again = cs.load(tmp_path / "model")
    assert [(c.form, c.order) for c in again._fitted().fit.components] == [("copying", (0, 1))]
    assert again.accuracy_interval_.tobytes() == model.accuracy_interval_.tobytes()


@pytest.mark.parametrize("wrong", [{"form": "loose"}, {"order": (0, 2)}, {"form": "free"}])
def test_a_saved_model_with_a_form_that_cannot_be_is_refused(wrong):
    rng = np.random.default_rng(12)
    votes, _ = draw(rng, exact_pair(rng, 3, copying(3, "copying")), 1000)
    model = cs.LabelModel(n_classes=3, dependencies=[(0, 1)], method="em").fit(votes)._fitted()
    components = [replace(component, **wrong) for component in model.fit.components]
    data = replace(model, fit=replace(model.fit, components=components)).to_bytes()
    with pytest.raises(cs.FileFormatError, match="a joint table has the form"):
        FittedModel.from_bytes(data, name="it")


def test_a_narrow_form_has_narrower_intervals():
    rng = np.random.default_rng(13)
    exact = exact_pair(rng, 3, copying(3, "copying"))
    votes, _ = draw(rng, exact, 2000)
    widths = []
    for forms in (forms_of, lambda *arguments: forms_of(*arguments)[-1:]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(em, "forms_of", forms)
            model = cs.LabelModel(n_classes=3, dependencies=[(0, 1)], method="em").fit(votes)
        low, high = model.accuracy_interval_[:2].T
        widths.append(high - low)
    assert (widths[0] < widths[1]).all()
    assert (widths[0] > 0.5 * widths[1]).all()


def test_many_dependent_sources_are_read_in_one_order():
    clique = clique_of([CLASSES[1]] * 5, cs.TaskGraph.single(2))
    occurs = np.ones(len(clique.states), bool)
    assert {form.order for form in forms_of(clique, occurs, "tied")} <= {(0, 1, 2, 3, 4), ()}
    orders = {form.order for form in forms_of(clique_of([CLASSES[2]] * 3), np.ones(27, bool), "tied")}
    assert orders == {*itertools.permutations(range(3)), ()}


def test_joint_states_that_are_ruled_out_together_leave_only_the_free_form():
    clique = clique_of([CLASSES[2]] * 2)
    occurs = np.ones(len(clique.states), bool)
    occurs[4] = False
    assert [form.name for form in forms_of(clique, occurs, "tied")] == ["free"]


def test_members_with_any_confusion_copy_too():
    rng, k = np.random.default_rng(14), 3
    first, second = free_source(rng, k), free_source(rng, k)
    truth = flat(copied(first, second, rates(k, "copying")))
    clique = clique_of([CLASSES[k]] * 2)
    form = named_form(clique, np.ones(len(truth), bool), "free", "copying", (0, 1))
    assert form.n_parameters == 2 * k * k + 1
    np.testing.assert_allclose(form.most_likely(1e4 * truth, clique.given), truth, atol=1e-6)
