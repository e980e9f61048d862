"""The paper's experiments in ``bench/paper``, on problems small enough to work out by hand."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import consilience as cs

FOLDER = Path(__file__).parents[2] / "bench" / "paper"


@pytest.fixture(scope="module", autouse=True)
def _paths():
    before = sys.path.copy()
    sys.path.insert(0, str(FOLDER))
    sys.path.append(str(FOLDER.parent))
    yield
    sys.path[:] = before


def load(name):
    return importlib.import_module(name)


def make_problem(votes, gold, graph):
    n = len(next(iter(votes.values())))
    m = next(iter(votes.values())).shape[1]
    names = tuple(f"source {j}" for j in range(m))
    return load("problem").Problem("small", graph, ["text"] * n, gold, votes, names, np.arange(3))


@pytest.fixture
def hierarchy():
    return cs.TaskGraph(
        {"kind": ["person", "org"], "person_type": ["doctor", "lawyer"], "org_type": ["hospital", "office"]},
        parents={"person_type": ("kind", "person"), "org_type": ("kind", "org")},
    )


def test_hierarchical_majority_decides_on_the_parent_before_it_counts_finer_votes(hierarchy):
    abstain = -np.ones((4, 4), dtype=np.int16)
    votes = {task: abstain.copy() for task in hierarchy.tasks}
    votes["kind"][0, :3] = 0  # three for a person, and one for a hospital
    votes["org_type"][0, 3] = 0
    problem = make_problem(votes, {task: np.zeros(4, dtype=int) for task in hierarchy.tasks}, hierarchy)
    soft = load("columns").hierarchical_majority(problem, np.arange(4), ties="open").soft(np.arange(4))
    np.testing.assert_allclose(soft["kind"][0], [1, 0])
    np.testing.assert_allclose(soft["person_type"][0], [0.5, 0.5, 0])
    np.testing.assert_allclose(soft["org_type"][0], [0, 0, 1])
    np.testing.assert_allclose(soft["kind"][1], [0.5, 0.5])  # no votes


def test_hierarchical_majority_draws_one_of_the_vectors_that_votes_leave(hierarchy):
    votes = {task: -np.ones((4000, 2), dtype=np.int16) for task in hierarchy.tasks}
    votes["kind"][:, 0] = 1  # an organisation, of whichever type
    problem = make_problem(votes, {task: np.zeros(4000, dtype=int) for task in hierarchy.tasks}, hierarchy)
    labeler = load("columns").hierarchical_majority(problem, np.arange(4000))
    soft = labeler.soft(np.arange(4000))
    assert set(np.unique(soft["org_type"])) == {0, 1}
    assert (soft["kind"] == [0, 1]).all()
    assert abs(soft["org_type"][:, 0].mean() - 0.5) < 0.04  # 5 sigma
    for task, labels in labeler.hard(np.arange(4000)).items():
        assert (soft[task][np.arange(4000), labels] == 1).all()


def test_one_accuracy_a_source_is_found_where_sources_have_one(hierarchy):
    rng, columns = np.random.default_rng(0), load("columns")
    truth = np.array([0.95, 0.9, 0.85, 0.8, 0.75, 0.7])
    y = rng.integers(0, 3, 20_000)
    wrong = (y[:, None] + rng.integers(1, 3, (20_000, 6))) % 3
    cast = np.where(rng.random((20_000, 6)) < truth, y[:, None], wrong).astype(np.int16)
    cast[rng.random(cast.shape) < 0.3] = cs.ABSTAIN
    graph = cs.TaskGraph.single(3)
    problem = make_problem({"label": cast}, {"label": y}, graph)
    found = columns.data_programming(problem, np.arange(20_000)).soft(np.arange(20_000))["label"]
    odds = np.log(truth / (1 / 3)) - np.log((1 - truth) / (2 / 3))
    score = (odds * (cast[:, :, None] == np.arange(3)).transpose(2, 0, 1)).sum(axis=2).T
    exact = np.exp(score - score.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    assert np.abs(found - exact).mean() < 0.01  # accuracies are known to about 0.01


def test_columns_agree_on_the_labels_where_all_sources_are_right(hierarchy):
    rng = np.random.default_rng(0)
    truth = hierarchy.feasible_set[rng.integers(0, 4, 300)]
    votes = {}
    for r, task in enumerate(hierarchy.tasks):
        votes[task] = np.where(rng.random((300, 6)) < 0.8, truth[:, [r]], cs.ABSTAIN).astype(np.int16)
    gold = {task: truth[:, r] for r, task in enumerate(hierarchy.tasks)}
    problem, columns = make_problem(votes, gold, hierarchy), load("columns")
    split = problem.split(0)
    for name in (
        "hierarchical_majority",
        "separate",
        "one_accuracy",
        "data_programming",
        "joint_given_balance",
        "joint",
    ):
        column = getattr(columns, name)
        labels = column(problem, split.train).hard(split.test)
        assert all((labels[task] == gold[task][split.test]).mean() > 0.95 for task in hierarchy.tasks), column


def test_a_trial_draws_train_and_test_anew_and_leaves_the_development_items_alone(hierarchy):
    votes = {task: np.zeros((50, 1), dtype=np.int16) for task in hierarchy.tasks}
    problem = make_problem(votes, {task: np.zeros(50, dtype=int) for task in hierarchy.tasks}, hierarchy)
    first, second = problem.split(0), problem.split(1)
    for split in (first, second):
        assert sorted([*split.dev, *split.train, *split.test]) == list(range(50))
        assert split.dev.tolist() == [0, 1, 2]
    assert set(first.test) != set(second.test)


def test_sources_of_the_crossing_tasks_vote_for_what_the_task_graph_allows():
    household, problem = load("household"), load("problem")
    graph = cs.TaskGraph(household.TASKS, parents=household.PARENTS)
    queries = [
        "is anything on my calendar for june 22nd",
        "how many pto days are left",
        "please order me some more paper plates",
        "what is the calorie content of a steak",
    ]
    votes = problem.apply(household.SOURCES, graph, queries)
    vectors = np.stack([votes[task] for task in graph.tasks], axis=-1).reshape(-1, graph.n_tasks)
    assert graph.event_masks(vectors).any(axis=1).all()
    assert (vectors != cs.ABSTAIN).any(axis=1).reshape(4, -1).sum(axis=1).min() >= 2


def test_gibbs_sampling_finds_the_accuracies_votes_were_drawn_with():
    rng = np.random.default_rng(0)
    truth, y = np.array([0.9, 0.8, 0.7, 0.6, 0.75]), rng.integers(0, 2, 3000)
    votes = np.where(rng.random((3000, 5)) < truth, y[:, None], 1 - y[:, None]).astype(np.int8)
    votes[rng.random(votes.shape) < 0.2] = cs.ABSTAIN
    found = load("gibbs").accuracies_by_gibbs(votes)
    np.testing.assert_allclose(found, truth, atol=0.05)  # 4 sigma at n = 3000


def test_a_vote_says_for_every_task_what_the_graph_makes_of_it(hierarchy):
    rng = np.random.default_rng(0)
    votes = {
        task: rng.integers(-1, k, (40, 3)).astype(np.int16) * (rng.random((40, 3)) < 0.5)
        for task, k in zip(hierarchy.tasks, hierarchy.cardinalities, strict=True)
    }
    implied = make_problem(votes, votes, hierarchy).implied_votes
    for i in range(40):
        for j in range(3):
            vote = np.array([votes[task][i, j] for task in hierarchy.tasks])
            agree = ((vote == cs.ABSTAIN) | (hierarchy.feasible_set == vote)).all(axis=1)
            left = hierarchy.feasible_set[agree]
            for r, task in enumerate(hierarchy.tasks):
                told = len(left) > 0 and len(set(left[:, r])) == 1
                assert implied[task][i, j] == (left[0, r] if told else cs.ABSTAIN)


def test_features_are_words_pairs_in_their_order_and_the_start_of_a_text():
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    features = load("end_model").features
    assert features("who did it") == [
        *("who", "did", "it"),
        *("who did", "did it", "who .. it"),
        *("^ who", "^ who did", "^ who did it"),
    ]
    assert features("") == []
    assert len(features("a b c d e f")) == 6 + 6 * 5 // 2 + 4


def test_trials_go_on_from_those_that_were_run(hierarchy, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    experiments, columns = load("experiments"), load("columns")
    monkeypatch.setattr(experiments, "GRID", ({"steps": 20, "learning_rate": 1e-2, "dropout": 0.0},))
    rng = np.random.default_rng(0)
    truth = hierarchy.feasible_set[rng.integers(0, 4, 120)]
    gold = {task: truth[:, r] for r, task in enumerate(hierarchy.tasks)}
    votes = {task: np.where(rng.random((120, 3)) < 0.7, y[:, None], -1) for task, y in gold.items()}
    problem = make_problem({task: table.astype(np.int16) for task, table in votes.items()}, gold, hierarchy)
    problem.texts[:] = [f"{'abcd'[v]} x" for v in rng.integers(0, 4, 120)]
    column = experiments.Column("Majority", columns.hierarchical_majority)
    run, fits = [], experiments.EndModel.fit
    monkeypatch.setattr(experiments.EndModel, "fit", lambda *a: run.append(1) or fits(*a))

    def compare(trials, known):
        return experiments.compare(problem, [column], trials, experiments.Trunk(), known, len)["Majority"]

    straight = compare(2, {})
    first = compare(1, {})
    run.clear()
    appended = compare(2, {"Majority": first})
    assert len(run) == 1
    assert appended["end model"] == straight["end model"]
    assert appended["labels"] == straight["labels"]
    assert compare(1, {"Majority": appended}) == appended
    run.clear()
    rows = [experiments.sizes(problem, column, appended["setting"], 1, experiments.Trunk(), (), len)]
    assert len(run) == 1
    rows.append(experiments.sizes(problem, column, appended["setting"], 2, experiments.Trunk(), rows[0], len))
    assert len(run) == 2
    assert rows[1][:1] == rows[0]


def test_every_experiment_chooses_by_the_labels_of_majority_vote(hierarchy, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    experiments, columns = load("experiments"), load("columns")
    truth = np.tile(hierarchy.feasible_set, (10, 1))
    gold = {task: truth[:, r] for r, task in enumerate(hierarchy.tasks)}
    problem = make_problem(
        {t: np.stack([y, y], 1).astype(np.int16) for t, y in gold.items()}, gold, hierarchy
    )
    problem.texts[:] = [f"{'abcd'[v]} x" for v in problem.vectors]
    made, guides = [], []

    def majority(*args, **options):
        made.append(original(*args, **options))
        return made[-1]

    def choose(problem, split, network, column, labeler):
        guides.append(labeler)
        return {"steps": 2, "learning_rate": 1e-2, "dropout": 0.0}

    original = columns.hierarchical_majority
    monkeypatch.setattr(columns, "hierarchical_majority", majority)
    monkeypatch.setattr(experiments, "choose", choose)
    column = experiments.joint_column("majority")
    experiments.compare(problem, [column], 1, experiments.Trunk(), {}, len)
    assert [labeler in made for labeler in guides] == [True]


@pytest.fixture
def command():
    """The command, and the arguments that every call needs."""
    for extra in ("torch", "sklearn", "scipy"):
        pytest.importorskip(extra)
    return load("run")


def test_fewer_trials_than_are_held_show_the_first_and_delete_none(command, monkeypatch, tmp_path):
    scores = [{"finest": 0.5 + t / 100} for t in range(3)]
    column = {"setting": {}, "labels": scores, "end model": scores, "seconds": [1.0, 2.0, 3.0]}
    monkeypatch.setattr(command, "problems", lambda options: [SimpleNamespace(name="trec")])
    monkeypatch.setattr(command, "compare", lambda problem, chosen, trials, trunk, known, note: known)
    options = command.read(["fig4", "--out", str(tmp_path), "--trials", "3", "--problems", "trec"])
    command.keep(options, "fig6", {"trec": {"Joint": column, "n_train": 9, "n_test": 3}})
    options.trials = 1
    shown = command.compared("fig6", options, ())
    assert shown["trec"]["Joint"]["end model"] == scores[:1]
    held = command.read_results(tmp_path / "results.json")["fig6"]
    assert held["problems"]["trec"]["Joint"]["end model"] == scores
    assert held["trials"] == 3
    fewer = column | {"end model": scores[:2]}
    assert command.first({"A": column, "B": fewer}, 9)["A"]["end model"] == scores[:2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig4", "--trials", "0"], "--trials must be 1 or more, got 0"),
        (["table1"], "table1 reads data: give --data DIR"),
        (["table1", "--data", "."], "--data: trec needs trec/labels.npz"),
        (["fig6", "--data", ".", "--problems", "tokens"], "--data: tokens needs conll03_tokens/labels.npz"),
        (["fig4", "--trunk", "lstm", "--embeddings", "none.txt"], "there is no file none.txt"),
    ],
)
def test_a_call_that_cannot_be_is_refused_before_anything_is_run(
    command, arguments, message, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        command.read([*arguments, "--out", "out"])
    assert message in capsys.readouterr().err.replace("\\", "/")


def test_help_says_what_the_folder_of_data_must_hold(command, capsys):
    with pytest.raises(SystemExit):
        command.read(["--help"])
    assert "conll03_tokens" in capsys.readouterr().out


@pytest.fixture
def comparison():
    rng = np.random.default_rng(0)

    def scores(mean, trials):
        return [{"finest": value} for value in rng.normal(mean, 0.01, trials)]

    def column(labels, end, trials):
        return {"labels": scores(labels, trials) if labels else [], "end model": scores(end, trials)}

    return lambda trials: {
        "small": {"Gold (dev)": column(None, 0.3, trials), "Joint": column(0.8, 0.85, trials)}
    }


def test_without_matplotlib_there_is_no_picture_and_no_error(comparison, monkeypatch, tmp_path):
    pytest.importorskip("scipy")
    tables = load("tables")
    monkeypatch.setattr(tables, "pyplot", lambda: None)
    tables.draw_comparison(comparison(2), ["Gold (dev)", "Joint"], tmp_path / "table1.png")
    tables.draw_sizes({"small": []}, tmp_path / "fig5.png")
    tables.draw_synthetic({}, tmp_path / "fig4.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trials", [1, 3])
def test_a_picture_shows_a_gain_of_a_point_and_intervals_where_there_are_some(
    comparison, trials, monkeypatch, tmp_path
):
    pytest.importorskip("scipy")
    pytest.importorskip("matplotlib")
    tables, drawn = load("tables"), []
    monkeypatch.setattr(tables, "_write", lambda figure, path: drawn.append(figure))
    tables.draw_comparison(comparison(trials), ["Gold (dev)", "Joint"], tmp_path / "table1.png")
    axis = drawn[0].axes[0]
    left, right = axis.get_xlim()
    assert right - left < 25
    assert len(axis.containers) == (2 if trials > 1 else 0)  # Joint's; gold is an arrow with its number
    assert [text.get_text()[0] for text in axis.texts] == ["←"]
    tables.pyplot().close(drawn[0])
