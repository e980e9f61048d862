"""Every fit answers, or refuses with a typed error: problems that mix whatever votes may look like.

    pytest tests/python/test_random_problems.py --problems 400

puts 400 of them to each of the five methods; those after the first few are wider.
"""

import warnings

import numpy as np
import pytest

import consilience as cs


def random_graph(rng, k):
    """One task of k classes, a tree of tasks, or tasks with an arbitrary feasible set."""
    kind = rng.integers(0, 4)
    if kind < 2:
        return cs.TaskGraph.single(k)
    if kind == 2:
        children = {f"sort {v}": int(rng.integers(2, 4)) for v in range(int(rng.integers(1, k + 1)))}
        return cs.TaskGraph(
            {"kind": k, **children}, parents={f"sort {v}": ("kind", v) for v in range(len(children))}
        )
    vectors = np.unique(rng.integers(0, [k, 2, 3], (int(rng.integers(2, 9)), 3)), axis=0)
    return cs.TaskGraph({"a": k, "b": 2, "c": 3}, feasible=vectors)


N_NARROW = 24
"""Problems soon solved; further ones have up to 60 sources and 100,000 items, and any dependencies."""


def random_problem(seed):
    """Votes, weights, gold, parameters; sources may be one-sided, adversarial, silent, constant or copies."""
    rng = np.random.default_rng(seed)
    is_wide = seed >= N_NARROW
    m = int(rng.integers(1, 61)) if is_wide else int(rng.choice([1, 2, 3, 5, 10, 30]))
    n = int(10 ** (5 * rng.random() ** 2)) if is_wide else int(rng.choice([1, 3, 20, 300, 3000]))
    graph = random_graph(rng, int(rng.choice([2, 3, 5, 20])))
    balance = rng.dirichlet(np.full(graph.n_vectors, rng.choice([0.5, 5.0]))) + 1e-3
    balance /= balance.sum()
    truth = graph.feasible_set[rng.choice(graph.n_vectors, n, p=balance)]
    tables = {task: np.full((n, m), -1, dtype=np.int16) for task in graph.tasks}
    for j in range(m):
        accuracy, coverage = rng.choice([0.0, 0.3, 0.7, 0.95, 1.0]), rng.choice([0.0, 0.05, 0.5, 1.0])
        right = rng.random(n) < accuracy
        guess = graph.feasible_set[rng.integers(0, graph.n_vectors, n)]
        said = np.where(right[:, None], truth, guess)
        about = rng.random(graph.n_tasks) < 0.6
        about[rng.integers(0, graph.n_tasks)] = True
        silent = rng.random(n) >= coverage
        if rng.random() < 0.2:  # one-sided
            silent |= said[:, 0] != rng.integers(0, graph.cardinalities[0])
        if rng.random() < 0.1:  # votes that no vector agrees with
            said = np.column_stack([rng.integers(0, c, n) for c in graph.cardinalities])
        for r, task in enumerate(graph.tasks):
            if about[r]:
                tables[task][:, j] = np.where(silent, -1, said[:, r])
            if j and rng.random() < 0.1:
                tables[task][:, j] = tables[task][:, j - 1]
    pairs = [(i, i + 1) for i in range(0, m - 1, 3)] if rng.random() < 0.3 else None
    parameters = {
        "task_graph": graph,
        "dependencies": pairs,
        "abstentions": str(rng.choice(["auto", "missing"])),
        "class_balance": balance if rng.random() < 0.3 else None,
    }
    if is_wide:
        chain = [(i, i + 1) for i in range(min(m - 1, 3))]
        star = [(0, i) for i in range(1, min(m, 4))]
        parameters["dependencies"] = (pairs, chain, star, "learn", None)[rng.integers(0, 5)]
        parameters["abstentions"] = str(rng.choice(["auto", "missing", "informative"]))
        if rng.random() < 0.2:
            parameters["trusted"] = int(rng.integers(0, m))
    weights = rng.random(n) * 3 if rng.random() < 0.3 else None
    gold = None
    if rng.random() < 0.3:  # of some tasks of some items; the same for all tasks of an item
        known = rng.random(n) < rng.choice([0.05, 0.5, 1.0])
        gold = {task: np.where(known, truth[:, r], -1) for r, task in enumerate(graph.tasks)}
        gold = {task: gold[task] for task in graph.tasks if rng.random() < 0.7} or None
    if rng.random() < 0.2:
        believed = rng.random(m) < 0.5
        parameters["accuracy_prior"] = {
            int(j): (float(rng.uniform(0.05, 0.95)), float(rng.choice([0.5, 50, 5000])))
            for j in np.flatnonzero(believed)
        } or None
    votes = tables if graph.n_tasks > 1 else tables[graph.tasks[0]]
    if gold is not None and graph.n_tasks == 1:
        gold = gold[graph.tasks[0]]
    return votes, weights, gold, parameters, any((table >= 0).any() for table in tables.values())


def check(seed, method):
    votes, weights, gold, parameters, has_votes = random_problem(seed)
    graph = parameters["task_graph"]
    if method not in ("auto", "em"):
        parameters.pop("accuracy_prior", None)
    if method == "majority":
        gold = None
    model = cs.LabelModel(method=method, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        if not has_votes:
            with pytest.raises(cs.InvalidVotesError):
                model.fit(votes, weights, gold)
            return
        try:
            model.fit(votes, weights, gold)
        except cs.InvalidVotesError:  # every vote was infeasible, or says nothing
            assert graph.n_tasks > 1
            return
        except (cs.NotIdentifiableError, cs.SingularCovarianceError):
            assert method in ("moments", "completion")
            return
        joint = model.predict_joint(votes)
        again = cs.LabelModel(method=method, **parameters).fit(votes, weights, gold).predict_joint(votes)
        labels = model.predict(votes)
        model.summary()
    assert np.isfinite(joint).all()
    np.testing.assert_allclose(joint.sum(axis=1), 1, rtol=1e-9)
    np.testing.assert_array_equal(joint, again)
    assert np.isfinite(model.accuracy_).all()
    assert ((model.accuracy_ >= 0) & (model.accuracy_ <= 1 + 1e-12)).all()
    assert np.isfinite(model.accuracy_interval_).all()
    graph = parameters["task_graph"]
    vectors = (
        np.column_stack([labels[task] for task in graph.tasks]) if graph.n_tasks > 1 else labels[:, None]
    )
    feasible = {tuple(vector) for vector in graph.feasible_set.tolist()}
    assert {tuple(vector) for vector in vectors.tolist()} <= feasible
    check_what_is_said_of(model, votes, method)


def check_what_is_said_of(model, votes, method):
    """Explanations and plans are finite and add up, or refused with a typed error."""
    graph = model.task_graph_
    some = {t: v[:40] for t, v in votes.items()} if isinstance(votes, dict) else votes[:40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", cs.ConsilienceWarning)
        for task in (None, graph.tasks[-1]):
            try:
                explained = model.explain(some, task=task)
            except cs.InvalidArgumentError:  # only one thing is feasible
                assert len(np.unique(graph.feasible_set[:, -1])) == 1 or graph.n_vectors == 1
                continue
            total = explained.prior + explained.contributions.sum(axis=1)
            assert np.isfinite(explained.contributions).all()
            np.testing.assert_allclose(total, explained.log_odds, rtol=1e-11, atol=1e-11)
            flip = explained.flip(0)
            assert flip.sources is None or len(flip.sources) > 0
        assert np.isfinite(model.plan(0.01).n_items or 1)
        str(model.plan(0.01))
        if model._fitted().fit.method != "majority":  # nor where nothing can be learned
            terms = model.theorem2_terms()
            assert not any(isinstance(v, float) and np.isnan(v) for row in terms for v in row.values())
        if len(model.states_) > 5:
            return
        try:
            local = model.local_identifiability()
        except cs.InvalidArgumentError:  # too many parameters
            return
        assert np.isfinite(local.smallest_ratio)
        assert np.isfinite(local.directions).all()
        assert 0 <= local.rank <= local.n_parameters


@pytest.mark.parametrize("method", ["auto", "moments", "completion", "em", "majority"])
def test_random_problems_are_answered_or_refused(method, request):
    for seed in range(request.config.getoption("--problems")):
        check(seed, method)
