"""Contributions sum to the posterior's log-odds, mean what they say, and the fewest votes are the fewest."""

import itertools

import numpy as np
import pytest
from enumeration import (
    DOCTOR,
    HOSPITAL,
    LAWYER,
    LEVEL_BY_LEVEL,
    OFFICE,
    ORG,
    PERSON,
    draw,
    hierarchy,
    single_task,
    single_task_with_pairs,
)
from test_cautious import crowd_votes, one_sided_votes
from test_junction_trees import CHAIN, model_along

import consilience as cs
from consilience import flips


def fitted(kind):
    """A model of each kind of scores, and votes to explain."""
    rng = np.random.default_rng(5)
    if kind in ("moments", "completion", "em", "majority"):
        exact = single_task(rng, 3, 6)
        votes, _ = draw(rng, exact, 4000)
        return cs.LabelModel(n_classes=3, method=kind).fit(votes), votes[:60]
    if kind == "one-sided":
        votes, _ = one_sided_votes(copies=0.3)
        return cs.LabelModel(n_classes=2, dependencies=[]).fit(votes), votes[:60]
    if kind == "crowd":
        votes, _ = crowd_votes(n=600, m=7)
        votes[:, 1] = np.where(rng.random(600) < 0.6, votes[:, 0], votes[:, 1])  # tempered, and mixed
        return cs.LabelModel(n_classes=3, dependencies=[]).fit(votes), votes[:60]
    if kind == "missing":
        votes, _ = draw(rng, single_task(rng, 2, 6), 4000)
        return cs.LabelModel(n_classes=2, abstentions="missing", method="em").fit(votes), votes[:60]
    if kind == "hierarchy":
        exact = hierarchy(rng, LEVEL_BY_LEVEL)
        votes, _ = draw(rng, exact, 4000)
        model = cs.LabelModel(task_graph=exact.graph, method="moments").fit(votes)
        return model, {task: table[:60] for task, table in votes.items()}
    if kind == "hierarchy, averaged":
        exact = hierarchy(
            rng, [[PERSON], [ORG, HOSPITAL], [DOCTOR], [LAWYER, OFFICE], [HOSPITAL], [OFFICE, PERSON]]
        )
        votes, _ = draw(rng, exact, 200)
        return cs.LabelModel(task_graph=exact.graph).fit(votes), {t: v[:60] for t, v in votes.items()}
    if kind == "pairs":
        exact = single_task_with_pairs(rng, 2)
        votes, _ = draw(rng, exact, 4000)
        return cs.LabelModel(n_classes=2, dependencies=exact.dependencies).fit(votes), votes[:60]
    exact = model_along(rng, CHAIN, 2)
    votes, _ = draw(rng, exact, 4000)
    return cs.LabelModel(n_classes=2, dependencies=CHAIN, method="em").fit(votes), votes[:60]


KINDS = [
    "moments",
    "completion",
    "em",
    "majority",
    "missing",
    "one-sided",
    "crowd",
    "hierarchy",
    "hierarchy, averaged",
    "pairs",
    "chain",
]


@pytest.fixture(scope="module")
def models():
    """Each model fitted once."""
    known = {}

    def of(kind):
        if kind not in known:
            known[kind] = fitted(kind)
        return known[kind]

    return of


def without(votes, item, sources):
    """The votes of one item, some of them turned into abstentions."""
    if isinstance(votes, dict):
        return {task: without(table, item, sources) for task, table in votes.items()}
    row = votes[[item]].copy()
    row[:, list(sources)] = -1
    return row


def answers(model, votes, task):
    """What is asked about, as one number an item: a class, or a row of the feasible set."""
    labels = model.predict(votes)
    if not isinstance(labels, dict):
        return labels
    if task is not None:
        return labels[task]
    vectors = np.column_stack(list(labels.values()))
    return np.array([np.flatnonzero((model.task_graph_.feasible_set == v).all(axis=1))[0] for v in vectors])


def log_posterior(model, votes, task):
    proba = model.predict_proba(votes)
    if isinstance(proba, dict):
        proba = model.predict_joint(votes) if task is None else proba[task]
    with np.errstate(divide="ignore"):
        return np.log(proba)


def tasks_of(model):
    tasks = model.task_graph_.tasks
    return [None, *tasks] if len(tasks) > 1 else [None]


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_sum_to_the_log_odds_of_the_posterior(kind, models):
    model, votes = models(kind)
    for task in tasks_of(model):
        logs = log_posterior(model, votes, task)
        explained = model.explain(votes, task=task)
        rows = np.arange(len(explained))
        total = explained.prior + explained.contributions.sum(axis=1)
        np.testing.assert_allclose(total, explained.log_odds, rtol=1e-13, atol=1e-12)
        expected = logs[rows, explained.label] - logs[rows, explained.against]
        np.testing.assert_allclose(explained.log_odds, expected, atol=1e-9, rtol=1e-9)
        np.testing.assert_array_equal(explained.label, answers(model, votes, task))
        others = logs.copy()
        others[rows, explained.label] = -np.inf
        np.testing.assert_allclose(others[rows, explained.against], others.max(axis=1))


def test_the_models_of_these_tests_are_of_the_kinds_they_are_meant_to_be(models):
    parts = {kind: [part.scores.link for part in models(kind)[0]._parts] for kind in KINDS}
    assert parts["em"] == parts["chain"] == parts["hierarchy"] == ["softmax"]
    assert parts["majority"] == ["share"]
    assert parts["one-sided"] == ["softmax"] * 3
    assert parts["crowd"] == ["softmax", "share"]
    assert len(parts["hierarchy, averaged"]) > 1


@pytest.mark.parametrize("k", [2, 4])
def test_contributions_of_independent_sources_are_the_log_ratios_of_their_tables(k):
    exact = single_task(np.random.default_rng(0), k)
    model = cs.LabelModel(n_classes=k, method="moments", class_balance=exact.class_balance)
    explained = model.fit(exact.votes, weights=exact.weights).explain(exact.votes)
    for j, source in enumerate(exact.sources):
        logs = np.log(source.table[exact.states[:, j]])
        rows = np.arange(len(logs))
        expected = logs[rows, explained.label] - logs[rows, explained.against]
        # An abstention counts as well: its row is the last of the table.
        np.testing.assert_allclose(explained.contributions[:, j], expected, atol=1e-5)
    balance = np.log(exact.class_balance)
    np.testing.assert_allclose(explained.prior, balance[explained.label] - balance[explained.against])


def test_dependent_sources_contribute_together_what_their_joint_table_says():
    exact = single_task_with_pairs(np.random.default_rng(0), 2)
    model = cs.LabelModel(
        n_classes=2, method="moments", class_balance=exact.class_balance, dependencies=exact.dependencies
    ).fit(exact.votes, weights=exact.weights)
    explained = model.explain(exact.votes)
    assert explained.units[2:] == ("source 0 + source 1", "source 2 + source 3")
    assert explained.members[2:] == ((0, 1), (2, 3))
    rows = np.arange(len(exact.states))
    for unit, pair in enumerate([(0, 1), (2, 3)], start=2):
        logs = np.log(exact.joints[pair][exact.states[:, pair[0]], exact.states[:, pair[1]]])
        expected = logs[rows, explained.label] - logs[rows, explained.against]
        np.testing.assert_allclose(explained.contributions[:, unit], expected, atol=1e-4)


def test_a_clique_contributes_what_it_adds_to_its_separator(models):
    model, votes = models("chain")
    explained = model.explain(votes)
    first, *later = (
        unit for unit, members in zip(explained.units, explained.members, strict=True) if members[1:]
    )
    assert " + " in first
    assert all(" given " in unit for unit in later)
    # All cliques together are the component's log-ratio: the posterior without any other vote.
    alone = votes.copy()
    alone[:, 4:] = -1
    others = model.explain(np.full_like(alone[:1], -1), label=1, against=0)
    whole = model.explain(alone, label=1, against=0)
    cliques = [u for u, members in enumerate(whole.members) if members[1:]]
    silent = np.delete(np.arange(len(whole.units)), cliques)
    np.testing.assert_allclose(
        whole.log_odds - whole.contributions[:, cliques].sum(axis=1),
        others.prior[0] + others.contributions[0, silent].sum(),
        atol=1e-9,
    )


def test_an_averaged_posterior_is_shared_out_as_spelled_out_item_by_item(models):
    model, votes = models("crowd")
    explained = model.explain(votes)

    def mean(p, q):
        return p if p == q else (p - q) / (np.log(p) - np.log(q))

    for i, row in enumerate(votes[:20]):
        a, b = explained.label[i], explained.against[i]
        p = model.predict_proba(row[None])[0]
        expected = np.zeros(len(row))
        for part in model._parts:
            entries = np.array([part.scores.of_state[j, vote + 1] for j, vote in enumerate(row)])
            scores = part.scores.base + entries.sum(axis=0)
            if part.scores.link == "share":
                own = scores / scores.sum()
                expected += part.weight * (entries[:, a] - entries[:, b]) / scores.sum() / mean(p[a], p[b])
            else:
                own = np.exp(scores) / np.exp(scores).sum()
                share = part.weight * mean(own[a], own[b]) / mean(p[a], p[b])
                expected += share * (entries[:, a] - entries[:, b])
        np.testing.assert_allclose(explained.contributions[i], expected, rtol=1e-9, atol=1e-12)


def test_a_class_of_several_label_vectors_is_shared_out_as_spelled_out_item_by_item(models):
    model, votes = models("hierarchy")
    graph, tables = model.task_graph_, list(zip(model.states_, model.emission_, strict=True))
    label, against = 2, 0  # "N/A", which two vectors have, and "doctor", which one has
    explained = model.explain(votes, task="person_type", label=label, against=against)
    column = graph.feasible_set[:, 1]
    prior = model.class_balance_
    joint = model.predict_joint(votes)

    def weights(of_class, posterior):
        inside = np.flatnonzero(column == of_class)
        p, q = (share[inside] / share[inside].sum() for share in (posterior, prior))
        means = [
            a if np.isclose(a, b, rtol=1e-12) else (a - b) / np.log(a / b) for a, b in zip(p, q, strict=True)
        ]
        return dict(zip(inside.tolist(), np.array(means) / sum(means), strict=True))

    for i in range(10):
        ours = np.zeros(len(tables))
        for of_class, sign in ((label, 1), (against, -1)):
            for y, weight in weights(of_class, joint[i]).items():
                for j, (states, table) in enumerate(tables):
                    vote = [votes[task][i, j] for task in graph.tasks]
                    event = graph.implied(graph.event_masks([vote]))[0] if max(vote) >= 0 else vote
                    row = np.flatnonzero((states == event).all(axis=1))[0]
                    ours[j] += sign * weight * np.log(table[row, y])
        np.testing.assert_allclose(explained.contributions[i], ours, rtol=1e-6, atol=1e-6)


def test_a_silent_source_contributes_what_its_abstention_tells_where_fits_are_averaged(models):
    model, votes = models("one-sided")
    explained = model.explain(np.full((1, votes.shape[1]), -1), label=1, against=0)
    assert (explained.contributions != 0).any()
    # One-sided sources that vote for a class speak against it by their silence.
    assert (np.sign(explained.contributions[0]) == np.where(np.arange(8) % 2 == 0, 1, -1)).all()


@pytest.mark.parametrize("kind", ["one-sided", "hierarchy", "crowd"])
def test_a_loaded_model_explains_as_the_fitted_one(kind, models, tmp_path):
    model, votes = models(kind)
    model.save(tmp_path / "model")
    ours, theirs = model.explain(votes), cs.load(tmp_path / "model").explain(votes)
    np.testing.assert_array_equal(ours.contributions, theirs.contributions)
    np.testing.assert_array_equal(ours.prior, theirs.prior)


def test_the_log_odds_of_one_task_count_every_label_vector_that_has_the_class(models):
    model, votes = models("hierarchy")
    explained = model.explain(votes, task="person_type", label="N/A", against="doctor")
    p = model.predict_proba(votes)["person_type"]
    np.testing.assert_allclose(explained.log_odds, np.log(p[:, 2] / p[:, 0]), rtol=1e-9, atol=1e-9)
    assert (explained.label == 2).all()


def test_swapping_the_two_labels_changes_the_signs_only(models):
    for kind in ("em", "crowd", "one-sided"):
        model, votes = models(kind)
        one, other = (model.explain(votes, label=a, against=1 - a) for a in (0, 1))
        np.testing.assert_allclose(one.contributions, -other.contributions, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(one.prior, -other.prior, rtol=1e-12, atol=1e-14)


def test_log_odds_stay_finite_where_probabilities_do_not():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (400, 1))
    votes = np.where(rng.random((400, 300)) < 0.99, y, 1 - y)
    model = cs.LabelModel(n_classes=2, method="moments", dependencies=[]).fit(votes)
    explained = model.explain([[0] * 300, [1] * 300])
    assert np.isfinite(explained.log_odds).all()
    assert explained.log_odds[0] > 800  # the other probability is 0 in double precision
    np.testing.assert_allclose(
        explained.prior + explained.contributions.sum(axis=1), explained.log_odds, rtol=1e-13
    )
    assert "(0.0% of the two)" in str(model.explain([[0] * 300], label=1, against=0))


# --- the fewest votes --------------------------------------------------------------------------------------


def brute_force(model, votes, item, task):
    """Size of the smallest set of sources without which the label is another; None if there is none."""
    m = (next(iter(votes.values())) if isinstance(votes, dict) else votes).shape[1]
    label = answers(model, without(votes, item, ()), task)[0]
    for size in range(1, m + 1):
        for sources in itertools.combinations(range(m), size):
            if answers(model, without(votes, item, sources), task)[0] != label:
                return size
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_flip_is_that_of_all_subsets(kind, models):
    model, votes = models(kind)
    for task in tasks_of(model)[:2]:
        explained = model.explain(votes, task=task)
        for item in range(0, 60, 8):
            flip = explained.flip(item)
            expected = brute_force(model, votes, item, task)
            assert flip.is_smallest
            if expected is None:
                assert flip == flips.Flip(None, None, True)
                continue
            assert len(flip.sources) == expected
            changed = without(votes, item, flip.sources)
            assert answers(model, changed, task)[0] != answers(model, without(votes, item, ()), task)[0]
            assert answers(model, changed, None)[0] == flip.label


def test_ties_flip_as_predict_breaks_them():
    votes = np.repeat([[0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 0]], 10, axis=0)
    model = cs.LabelModel(n_classes=2, method="majority", class_balance=[0.4, 0.6]).fit(votes)
    explained = model.explain([[0, 0, 1, -1], [1, 1, 0, -1]])
    # 1 to 1 goes to class 1, the more frequent.
    assert len(explained.flip(0).sources) == 1
    assert len(explained.flip(1).sources) == 2


def test_a_search_that_is_cut_short_says_at_most(models, monkeypatch):
    model, votes = models("crowd")
    explained = model.explain(votes)
    sizes = [len(explained.flip(i).sources or ()) for i in range(60)]
    item = int(np.argmax(sizes))
    assert sizes[item] > 2
    monkeypatch.setattr(flips, "MAX_SETS", 3)
    flip = explained.flip(item)
    assert not flip.is_smallest
    assert len(flip.sources) >= sizes[item]
    assert "At most so many votes" in str(explained.table(item))


def test_a_label_that_no_vote_carries_does_not_flip():
    votes = np.repeat([[0, 0], [1, 1], [0, 1]], 10, axis=0)
    model = cs.LabelModel(n_classes=2, method="majority", class_balance=[0.9, 0.1]).fit(votes)
    explained = model.explain([[0, 0], [-1, -1]])
    assert explained.flip(0) == explained.flip(1) == flips.Flip(None, None, True)
    assert "stays" in str(explained.table(1))


def test_a_search_over_many_votes_stays_quick(models):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, (300, 1))
    votes = np.where(rng.random((300, 60)) < 0.6, y, rng.integers(0, 3, (300, 60)))
    votes[:, 30:] = np.where(rng.random((300, 30)) < 0.5, votes[:, :30], votes[:, 30:])
    explained = cs.LabelModel(n_classes=3).fit(votes).explain(votes[:1])
    flip = explained.flip(0)
    assert flip.sources is not None


# --- tables and errors -------------------------------------------------------------------------------------


def test_the_table_of_an_item_prints_names_votes_and_the_fewest_votes():
    votes = cs.Votes.from_dense(
        [["spam", "spam", "ham"], ["ham", "ham", "spam"]] * 30, source_names=["links", "length", "caps"]
    )
    model = cs.LabelModel(method="majority").fit(votes)
    explained = model.explain(votes)
    text = str(explained.table(0))
    assert "'spam' against 'ham'" in text
    assert "without which the label is 'ham': 'links'" in text
    assert [row["source"] for row in explained.table(0)] == ["links", "length", "caps"]
    assert all(len(line) <= 80 for line in str(explained).splitlines())
    assert "57 more items" in str(explained)
    everything = explained.table()
    assert len(everything) == 60 * 4  # the class balance, and three sources
    assert next(iter(everything))["item"] == 0


def test_labels_go_by_name_or_index_for_all_items_or_each():
    votes = cs.Votes.from_dense([["b", "b"], ["a", "b"], ["a", "a"]] * 10)
    model = cs.LabelModel(method="majority").fit(votes)
    by_name = model.explain([["a", "b"]] * 2, label="b", against="a")
    by_index = model.explain([["a", "b"]] * 2, label=[1, 1])
    np.testing.assert_array_equal(by_name.log_odds, by_index.log_odds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "colour"}, "task must be one of 'kind', 'person_type', 'org_type', got 'colour'"),
        ({"task": "kind", "label": "dog"}, "label must be a class index .* 'person', 'org', got 'dog'"),
        ({"task": "kind", "label": 2}, "got 2"),
        ({"task": "kind", "label": True}, "got True"),
        ({"label": 4}, "got 4"),
        ({"label": 1.5}, "got 1.5"),
        ({"label": [0, 1]}, "one for each of the 60 items"),
        ({"label": 1, "against": 1}, "against must differ from label, both are 1 on item 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message, models):
    model, votes = models("hierarchy")
    with pytest.raises(cs.InvalidArgumentError, match=message):
        model.explain(votes, **arguments)


def test_an_item_that_is_not_there_is_named(models):
    explained = models("em")[0].explain(models("em")[1])
    with pytest.raises(cs.InvalidArgumentError, match=r"item must lie in 0..59, got 60"):
        explained.table(60)
    with pytest.raises(cs.WrongTypeError, match="item must be an int"):
        explained.flip(1.0)


def test_no_items_are_explained_as_such(models):
    model, votes = models("em")
    explained = model.explain(votes[:0])
    assert len(explained) == 0
    assert str(explained) == "no items"
    assert explained.contributions.shape == (0, 6)


def test_sparse_votes_and_unknown_sources_are_read_as_predict_reads_them(models):
    sparse = pytest.importorskip("scipy.sparse")
    model, votes = models("em")
    np.testing.assert_array_equal(
        model.explain(sparse.csr_matrix(votes + 1)).contributions, model.explain(votes).contributions
    )
    with pytest.raises(cs.InvalidVotesError, match="the model was fitted with 6"):
        model.explain(votes[:, :5])
