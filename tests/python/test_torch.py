"""End models in PyTorch: the loss, the network, the data, and the classifier around them."""

from __future__ import annotations

import copy
import doctest
import importlib
import math
import pickle
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import consilience as cs  # noqa: E402
from consilience.text import Vocabulary  # noqa: E402
from consilience.torch import (  # noqa: E402
    LSTM,
    MLP,
    BagOfEmbeddings,
    LengthBatches,
    MultiTaskClassifier,
    MultiTaskNetwork,
    SoftLabelDataset,
    joint_probabilities,
    noise_aware_loss,
)
from consilience.torch.classifier import enough_epochs  # noqa: E402
from consilience.torch.data import FeatureTable  # noqa: E402
from consilience.torch.network import task_probabilities  # noqa: E402
from consilience.torch.training import drop_denormals  # noqa: E402

GRAPH = cs.TaskGraph(
    {"kind": ["person", "org"], "person_type": ["doctor", "lawyer"], "org_type": ["bank", "shop", "farm"]},
    parents={"person_type": ("kind", "person"), "org_type": ("kind", "org")},
)
NOT_APPLICABLE = {"person_type": 2, "org_type": 3}
ONE = cs.TaskGraph.single(3)


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)  # small products: threads would only wait for each other
    torch.manual_seed(0)  # modules that a test makes start alike, whichever tests ran before


def draw(graph, n, seed=0, spread=0.5):
    """Logits, and soft labels from a distribution over the feasible set."""
    rng = np.random.default_rng(seed)
    joint = rng.dirichlet(np.full(graph.n_vectors, spread), n)
    logits = {
        task: torch.from_numpy(rng.normal(size=(n, k)))
        for task, k in zip(graph.tasks, graph.cardinalities, strict=True)
    }
    return logits, {task: torch.from_numpy(q) for task, q in graph.marginal(joint).items()}, joint


def learnable(n=400, seed=0):
    """Features from which the feasible vector follows, and that vector as gold by task."""
    X = np.random.default_rng(seed).normal(size=(n, 4))
    vector = np.where(X[:, 0] > 0, X[:, 1] > 0, 2 + np.digitize(X[:, 1], [-0.4, 0.4]))
    return X, {task: GRAPH.feasible_set[vector, r] for r, task in enumerate(GRAPH.tasks)}, vector


def softened(vector, accuracy=0.8, seed=0):
    """Soft labels that are right as often as they say."""
    rng, k = np.random.default_rng(seed), GRAPH.n_vectors
    noisy = np.where(rng.random(len(vector)) < accuracy, vector, rng.integers(0, k, len(vector)))
    return GRAPH.marginal(np.eye(k)[noisy] * accuracy + (1 - accuracy) / k)


def same_weights(a, b):
    pairs = zip(a.network_.state_dict().values(), b.network_.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


# --- the loss ----------------------------------------------------------------------------------------------


def test_hard_labels_give_the_ordinary_cross_entropy():
    logits, _, _ = draw(ONE, 20)
    y = torch.arange(20) % 3
    hard = functional.one_hot(y, 3).double()
    expected = functional.cross_entropy(logits["label"], y)
    torch.testing.assert_close(noise_aware_loss(logits["label"], hard), expected)
    torch.testing.assert_close(noise_aware_loss(logits, {"label": hard}), expected)


def twin_loss(logits, soft, weight, confidence_weights, left_out):
    """The definition, number by number."""
    total = counted = 0.0
    for task, scores in logits.items():
        for i, row in enumerate(scores.tolist()):
            columns = [v for v in range(len(row)) if v != left_out.get(task)]
            q = [float(soft[task][i, v]) for v in columns]
            w = float(weight[i]) * sum(q)
            q = [v / sum(q) for v in q]
            if confidence_weights:
                w *= 1 + sum(v * math.log(v) for v in q if v > 0) / math.log(len(q))
            log_sum = math.log(sum(math.exp(row[v]) for v in columns))
            total -= w * sum(p * (row[v] - log_sum) for p, v in zip(q, columns, strict=True))
            counted += w
    return total / counted


@given(seed=st.integers(0, 1000), confidence_weights=st.booleans(), left_out=st.booleans())
@settings(max_examples=30)
def test_the_loss_is_the_expected_cross_entropy_averaged_over_items_and_tasks(
    seed, confidence_weights, left_out
):
    logits, soft, _ = draw(GRAPH, 6, seed, spread=3.0)
    rng = np.random.default_rng(seed)
    mask, weights = rng.random(6) < 0.6, rng.uniform(0.5, 2, 6)
    mask[0] = True
    columns = NOT_APPLICABLE if left_out else {}
    found = noise_aware_loss(
        logits,
        soft,
        mask=torch.from_numpy(mask),
        weights=torch.from_numpy(weights),
        confidence_weights=confidence_weights,
        not_applicable=columns,
    )
    expected = twin_loss(logits, soft, mask * weights, confidence_weights, columns)
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_the_gradient_is_softmax_minus_soft_label_over_the_number_of_items_and_tasks():
    logits, soft, _ = draw(GRAPH, 5)
    leaves = {task: scores.requires_grad_() for task, scores in logits.items()}
    noise_aware_loss(leaves, soft).backward()
    for task, scores in leaves.items():
        torch.testing.assert_close(scores.grad, (scores.softmax(1) - soft[task]) / (5 * 3))


@pytest.mark.parametrize("options", [{}, {"confidence_weights": True}, {"not_applicable": NOT_APPLICABLE}])
def test_the_gradient_is_that_of_finite_differences(options):
    logits, soft, _ = draw(GRAPH, 4)
    names = list(logits)

    def loss(*scores):
        return noise_aware_loss(dict(zip(names, scores, strict=True)), soft, **options)

    assert torch.autograd.gradcheck(loss, [logits[task].requires_grad_() for task in names])


def test_items_without_votes_count_nothing_whatever_they_hold():
    logits, soft, _ = draw(GRAPH, 6)
    mask = torch.tensor([True, False, True, True, False, True])
    expected = noise_aware_loss(
        {task: scores[mask] for task, scores in logits.items()}, {task: q[mask] for task, q in soft.items()}
    )
    for q in soft.values():
        q[~mask] = torch.nan
    leaves = {task: scores.requires_grad_() for task, scores in logits.items()}
    loss = noise_aware_loss(leaves, soft, mask=mask)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all((scores.grad[~mask] == 0).all() for scores in leaves.values())


def test_a_mask_and_weights_may_differ_from_task_to_task():
    logits, soft, _ = draw(GRAPH, 4)
    mask = {task: torch.full((4,), task == "kind") for task in GRAPH.tasks}
    alone = noise_aware_loss(logits["kind"], soft["kind"])
    torch.testing.assert_close(noise_aware_loss(logits, soft, mask=mask), alone)
    weights = {task: of_task.double() for task, of_task in mask.items()}
    torch.testing.assert_close(noise_aware_loss(logits, soft, weights=weights), alone)


UNUSABLE = [torch.nan, torch.inf, -torch.inf]


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("by", ["mask", "weights", "both"])
@pytest.mark.parametrize("options", [{}, {"confidence_weights": True}, {"not_applicable": NOT_APPLICABLE}])
def test_no_label_and_no_score_of_a_pair_that_does_not_count_enters(value, by, options):
    logits, soft, _ = draw(GRAPH, 6)
    kept = {
        task: torch.tensor([True, False, True, r == 1, False, True]) for r, task in enumerate(GRAPH.tasks)
    }
    weights = {task: torch.where(of_task, 2.0, 0.0) for task, of_task in kept.items()}
    expected = noise_aware_loss(logits, soft, mask=kept, **options)
    leaves = {}
    for task, of_task in kept.items():
        soft[task][~of_task] = value
        leaves[task] = logits[task].masked_fill(~of_task[:, None], value).requires_grad_()
    given = {"mask": {"mask": kept}, "weights": {"weights": weights}}
    given["both"] = {
        "mask": kept,
        "weights": {task: torch.where(kept[task], 2.0, value) for task in kept},
    }
    loss = noise_aware_loss(leaves, soft, **given[by], **options)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    for task, of_task in kept.items():
        assert leaves[task].grad.isfinite().all()
        assert (leaves[task].grad[~of_task] == 0).all()


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        ([0.0, 0.0, 1.0], {"not_applicable": {"label": 2}}),
        ([1 / 2, 1 / 2, 0.0], {"not_applicable": {"label": 2}, "confidence_weights": True}),
    ],
)
def test_scores_of_an_item_that_does_not_apply_or_says_nothing_do_not_enter(labels, options):
    scores = torch.tensor([[1.0, 0.0, 0.0], [torch.inf, 0.0, 0.0]], requires_grad=True)
    soft = torch.tensor([[1.0, 0.0, 0.0], labels])
    loss = noise_aware_loss({"label": scores}, {"label": soft}, **options)
    torch.testing.assert_close(loss, torch.tensor(math.log1p(math.exp(-1))))
    loss.backward()
    assert scores.grad[1].tolist() == [0, 0, 0]


def test_a_label_that_is_unknown_and_counts_shows_in_the_loss():
    logits, soft, _ = draw(ONE, 4)
    soft["label"][2] = torch.nan
    assert noise_aware_loss(logits, soft, weights=torch.ones(4)).isnan()


@pytest.mark.parametrize(
    "options",
    [{"mask": True}, {"weights": True}, {"mask": True, "weights": True, "confidence_weights": True}],
)
def test_the_gradient_with_masks_and_weights_is_that_of_finite_differences(options):
    logits, soft, _ = draw(GRAPH, 4)
    rows = torch.arange(4)
    given = {
        "mask": {task: rows != r for r, task in enumerate(logits)},
        "weights": {task: ((rows + r) % 3).double() for r, task in enumerate(logits)},
    }
    chosen = {**options, **{name: given[name] for name in options if name in given}}

    def loss(*scores):
        return noise_aware_loss(dict(zip(logits, scores, strict=True)), soft, **chosen)

    assert torch.autograd.gradcheck(loss, [scores.requires_grad_() for scores in logits.values()])


def test_the_mean_is_over_all_pairs_of_item_and_task_together_where_masks_differ():
    logits, soft, _ = draw(GRAPH, 8)
    counts = {"kind": 8, "person_type": 2, "org_type": 5}
    mask = {task: torch.arange(8) < n for task, n in counts.items()}
    own = {task: noise_aware_loss(logits[task], soft[task], mask=of_task) for task, of_task in mask.items()}
    pooled = sum(n * own[task] for task, n in counts.items()) / 15
    torch.testing.assert_close(noise_aware_loss(logits, soft, mask=mask), pooled)


def test_a_task_with_no_class_but_not_applicable_counts_nothing():
    logits, soft = torch.zeros(3, 1, requires_grad=True), torch.ones(3, 1)
    loss = noise_aware_loss({"a": logits}, {"a": soft}, not_applicable={"a": 0}, confidence_weights=True)
    loss.backward()
    assert float(loss.detach()) == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("n", [0, 3])
def test_the_loss_of_nothing_is_zero_and_can_be_differentiated(n):
    logits, soft, _ = draw(GRAPH, n)
    leaves = {task: scores.requires_grad_() for task, scores in logits.items()}
    loss = noise_aware_loss(leaves, soft, mask=torch.zeros(n, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert all((scores.grad == 0).all() for scores in leaves.values())


def test_in_a_tree_applicability_makes_the_loss_that_of_the_joint_distribution():
    logits, soft, joint = draw(GRAPH, 7)
    product = joint_probabilities(logits, GRAPH, not_applicable=NOT_APPLICABLE)
    expected = -(torch.from_numpy(joint) * product.log()).sum(1).mean()
    # Each item counts once for its kind and once for the task of that kind.
    found = 2 * noise_aware_loss(logits, soft, not_applicable=NOT_APPLICABLE)
    torch.testing.assert_close(found, expected)


def test_half_precision_is_summed_in_float32():
    logits, soft, _ = draw(GRAPH, 8)
    halves = {task: scores.bfloat16() for task, scores in logits.items()}
    found = noise_aware_loss(halves, soft)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), noise_aware_loss(logits, soft), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda logits, soft: (logits, soft["kind"]), TypeError, "must both be"),
        (lambda logits, soft: ({}, {}), ValueError, "give the same ones"),
        (lambda logits, soft: (logits, {**soft, "x": soft["kind"]}), ValueError, "give the same ones"),
        (lambda logits, soft: (logits["kind"], soft["org_type"]), ValueError, r"got \(4, 2\) and \(4, 4\)"),
        (lambda logits, soft: (logits["kind"][0], soft["kind"][0]), ValueError, r"shape \(n, k\)"),
        (lambda logits, soft: (logits["kind"].numpy(), soft["kind"]), TypeError, "logits must be a tensor"),
        (
            lambda logits, soft: ({task: v.numpy() for task, v in logits.items()}, soft),
            TypeError,
            "logits of task 'kind' must be a tensor, got ndarray: torch.as_tensor",
        ),
        (
            lambda logits, soft: (logits, {**soft, "org_type": soft["org_type"].tolist()}),
            TypeError,
            "soft_labels of task 'org_type' must be a tensor, got list",
        ),
    ],
)
def test_logits_and_soft_labels_that_do_not_fit_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        noise_aware_loss(*change(*draw(GRAPH, 4)[:2]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mask": torch.ones(4)}, TypeError, "numbers are weights"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, ValueError, r"mask must have shape \(4,\)"),
        ({"weights": {"kind": torch.ones(4)}}, ValueError, "'person_type' is missing"),
        ({"mask": np.ones(4, dtype=bool)}, TypeError, "mask of task 'kind' must be a tensor, got ndarray"),
        ({"weights": [1.0] * 4}, TypeError, "weights of task 'kind' must be a tensor, got list"),
        (
            {"weights": torch.tensor([1.0, 0.0, -0.5, 1.0])},
            ValueError,
            r"weights of task 'kind', row 2: must be finite and 0 or more, got -0\.5",
        ),
        (
            {"weights": {task: torch.full((4,), -float(task == "org_type")) for task in GRAPH.tasks}},
            ValueError,
            r"weights of task 'org_type', row 0: must be finite and 0 or more, got -1\.0",
        ),
        ({"weights": torch.full((4,), torch.nan)}, ValueError, "row 0: must be finite .* got nan"),
        ({"weights": torch.full((4,), torch.inf)}, ValueError, "row 0: must be finite .* got inf"),
        ({"confidence_weights": "no"}, TypeError, "confidence_weights must be True or False, got 'no'"),
        ({"confidence_weights": 1}, TypeError, "confidence_weights must be True or False, got 1"),
    ],
)
def test_masks_and_weights_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        noise_aware_loss(*draw(GRAPH, 4)[:2], **options)


WRONG_COLUMNS = [
    ({"org_type": -1}, ValueError, r"not_applicable of task 'org_type' must be a column in 0\.\.3, got -1"),
    ({"org_type": 4}, ValueError, r"not_applicable of task 'org_type' must be a column in 0\.\.3, got 4"),
    ({"kind": 1, "zz": 0}, ValueError, "names the task 'zz': it must be one of 'kind', 'person_type'"),
    ({"kind": 1.0}, TypeError, r"not_applicable of task 'kind' must be a column index, got 1\.0"),
    ({"kind": True}, TypeError, "not_applicable of task 'kind' must be a column index, got True"),
    (2, TypeError, "not_applicable must be {task: column}, got int"),
]


@pytest.mark.parametrize(("columns", "error", "message"), WRONG_COLUMNS)
def test_columns_of_not_applicable_that_are_not_there_are_refused(columns, error, message):
    logits, soft, _ = draw(GRAPH, 4)
    for call in (
        lambda: noise_aware_loss(logits, soft, not_applicable=columns),
        lambda: joint_probabilities(logits, GRAPH, not_applicable=columns),
        lambda: task_probabilities(logits, GRAPH, not_applicable=columns),
        lambda: MultiTaskNetwork(GRAPH, MLP(4), not_applicable=columns),
    ):
        with pytest.raises(error, match=message) as caught:
            call()
        assert isinstance(caught.value, cs.ConsilienceError)


def test_not_applicable_needs_tasks_by_name():
    logits, soft, _ = draw(ONE, 4)
    with pytest.raises(cs.WrongTypeError, match="not_applicable names tasks: give logits"):
        noise_aware_loss(logits["label"], soft["label"], not_applicable={"label": 2})


# --- the network -------------------------------------------------------------------------------------------

GRAPHS = {
    "one task": ONE,
    "tree": GRAPH,
    "no logic": cs.TaskGraph({"a": 2, "b": 3}),
    "two parents": cs.TaskGraph({"a": 2, "b": 2, "c": 2}, parents={"c": [("a", 1), ("b", 0)]}),
    "one vector": cs.TaskGraph({"a": 2, "b": 3}, feasible=[[1, 2]]),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("applicability", [False, True])
def test_heads_are_read_as_their_product_over_the_feasible_set(name, applicability):
    graph = GRAPHS[name]
    logits, _, _ = draw(graph, 5)
    left_out = {task: len(graph.classes[task]) - 1 for task in graph.parents or {}} if applicability else {}
    expected = np.ones((5, graph.n_vectors))
    for i in range(5):
        for y, vector in enumerate(graph.feasible_set):
            for task, label in zip(graph.tasks, vector, strict=True):
                row = logits[task][i].numpy()
                columns = [v for v in range(len(row)) if v != left_out.get(task)]
                if label in columns:
                    expected[i, y] *= np.exp(row[label]) / np.exp(row[columns]).sum()
    expected /= expected.sum(axis=1, keepdims=True)
    found = joint_probabilities(logits, graph, not_applicable=left_out)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    marginals = task_probabilities(logits, graph, not_applicable=left_out)
    for task, expected_of_task in graph.marginal(expected).items():
        np.testing.assert_allclose(marginals[task], expected_of_task, atol=1e-12)


def test_a_column_left_to_other_tasks_is_read_alike_where_every_vector_is_feasible():
    graph = GRAPHS["no logic"]
    logits, _, _ = draw(graph, 5)
    joint = joint_probabilities(logits, graph, not_applicable={"b": 2}).numpy()
    marginals = task_probabilities(logits, graph, not_applicable={"b": 2})
    for task, expected in graph.marginal(joint).items():
        np.testing.assert_allclose(marginals[task], expected, atol=1e-12)


def test_tasks_that_nothing_ties_decide_alone_as_they_do_together():
    graph = cs.TaskGraph({"a": 3, "b": 2, "c": 4})
    X = np.random.default_rng(0).normal(size=(50, 3))
    clf = MultiTaskClassifier(graph, max_epochs=1, random_state=0, validation_fraction=0)
    clf.fit(X, {task: np.arange(50) % k for task, k in zip(graph.tasks, graph.cardinalities, strict=True)})
    best = clf.predict_joint(X).argmax(axis=1)
    for r, labels in enumerate(clf.predict(X).values()):
        np.testing.assert_array_equal(labels, graph.feasible_set[best, r])


def test_many_tasks_that_nothing_ties_are_predicted_without_their_product(monkeypatch):
    graph = cs.TaskGraph({f"task {r}": 2 for r in range(12)})
    X = np.random.default_rng(0).normal(size=(50, 3))
    clf = MultiTaskClassifier(graph, max_epochs=1).fit(X, {task: np.arange(50) % 2 for task in graph.tasks})
    monkeypatch.setattr("consilience.torch.classifier.joint_probabilities", None)
    assert clf.predict(X).keys() == set(graph.tasks)


def test_probabilities_of_extreme_scores_stay_probabilities():
    logits = {task: scores * 1e4 for task, scores in draw(GRAPH, 5)[0].items()}
    joint = joint_probabilities(logits, GRAPH)
    np.testing.assert_allclose(joint.sum(1), 1)


def test_any_name_of_a_task_names_a_head():
    graph = cs.TaskGraph({"keys": 2, "a.b": 3, "": 2})
    logits = MultiTaskNetwork(graph, MLP(4), hidden_sizes=(5,))(torch.zeros(2, 4))
    assert {task: tuple(scores.shape) for task, scores in logits.items()} == {
        "keys": (2, 2),
        "a.b": (2, 3),
        "": (2, 2),
    }


@pytest.mark.parametrize("pooling", ["max", "mean", "last"])
def test_an_lstm_reads_a_text_alike_alone_and_padded_among_others(pooling):
    trunk = LSTM(20, 5, hidden_size=3, pooling=pooling).eval()
    texts = [[2, 3, 4], [5], [], [6, 0, 7, 8, 9]]
    padded = torch.zeros(4, 5, dtype=torch.long)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    together = trunk(padded)
    for i, text in enumerate(texts):
        torch.testing.assert_close(together[i : i + 1], trunk(torch.tensor([text or [0]])))


def test_a_bag_of_embeddings_is_their_mean_and_zero_for_an_empty_text():
    trunk = BagOfEmbeddings(9, 4).eval()
    found = trunk(torch.tensor([[2, 3, 0], [0, 0, 0]]))
    torch.testing.assert_close(found[0], trunk.embedding.weight[[2, 3]].mean(0))
    assert (found[1] == 0).all()


@pytest.mark.parametrize("make", [BagOfEmbeddings, LSTM])
def test_a_text_is_read_alike_whatever_the_given_embedding_of_padding(make):
    trunk = make(9, embeddings=np.random.default_rng(0).normal(size=(9, 4))).eval()
    alone, padded = torch.tensor([[2, 3]]), torch.tensor([[2, 3, 0, 0], [4, 5, 6, 7]])
    torch.testing.assert_close(trunk(padded)[:1], trunk(alone))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_given_embeddings_that_are_not_finite_are_refused(value):
    table = np.zeros((4, 2))
    table[3, 1] = value
    with pytest.raises(cs.InvalidArgumentError, match="embeddings, row 3: must be finite"):
        LSTM(4, embeddings=table)


def test_a_sparse_matrix_goes_through_an_mlp_as_a_dense_one():
    X = scipy.sparse.random_array((30, 12), density=0.2, rng=np.random.default_rng(0))
    trunk = MLP(12, (6, 3))
    sparse = torch.from_numpy(X.toarray()).float().to_sparse_coo()
    dense = sparse.to_dense()
    torch.testing.assert_close(trunk(sparse), trunk(dense))
    gradients = []
    for features in (sparse, dense):
        trunk.zero_grad()
        trunk(features).square().sum().backward()
        gradients.append(trunk.first.weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_given_embeddings_are_kept_and_frozen_on_request():
    vocabulary = Vocabulary(["a", "b"])
    table = vocabulary.embeddings({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    X, y = vocabulary.encode(["a", "b", "a b", "b a"] * 20), np.tile([0, 1, 1, 0], 20)
    clf = MultiTaskClassifier(
        cs.TaskGraph.single(2),
        BagOfEmbeddings(4, embeddings=table, freeze=True),
        max_epochs=2,
    ).fit(X, y)
    np.testing.assert_array_equal(clf.network_.trunk.embedding.weight, table)
    assert clf.network_.trunk.out_features == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(0),
        lambda: MLP(3, ()),
        lambda: MLP(3, (0,)),
        lambda: MLP(3, dropout=1.0),
        lambda: MLP("3"),
        lambda: MLP(3, 5),
        lambda: LSTM(1),
        lambda: LSTM("x"),
        lambda: LSTM(None),
        lambda: LSTM(5, width=0),
        lambda: LSTM(30, dropout=1.5),
        lambda: LSTM(30, hidden_size=0),
        lambda: LSTM(30, hidden_size=2.5),
        lambda: LSTM(30, n_layers=0),
        lambda: LSTM(30, freeze=True),
        lambda: BagOfEmbeddings(30, dropout=-0.1),
        lambda: BagOfEmbeddings(30, dropout="half"),
        lambda: BagOfEmbeddings(30, freeze=True),
        lambda: LSTM(5, pooling="min"),
        lambda: LSTM(5, embeddings=np.zeros((4, 2))),
        lambda: BagOfEmbeddings(5, embeddings=[["a"]]),
        lambda: MultiTaskNetwork(GRAPH, nn.Flatten()),
        lambda: SoftLabelDataset([[1.0]], [[0.5, 0.5]], task_graph=GRAPH),
    ],
)
def test_parts_of_impossible_sizes_are_refused(make):
    with pytest.raises(cs.ConsilienceError):
        make()


# --- the data ----------------------------------------------------------------------------------------------


def dataset(n=53, **options):
    X, _, vector = learnable(n)
    return SoftLabelDataset(X, softened(vector), task_graph=GRAPH, **options), X


@pytest.mark.parametrize("n_words", [None, 9])
def test_batches_hold_every_item_once_in_equal_parts_and_another_order_each_time(n_words):
    if n_words is None:
        data, _ = dataset()
    else:
        rng = np.random.default_rng(0)
        X = np.where(np.arange(6) < rng.integers(0, 7, (53, 1)), 3, 0)
        data = SoftLabelDataset(X, np.zeros(53, int), task_graph=ONE, n_words=n_words)
    batches = LengthBatches(data, 8, generator=torch.Generator().manual_seed(0))
    first, second = list(batches), list(batches)
    assert len(first) == len(batches) == 7
    assert {len(batch) for batch in first} == {7, 8}
    assert sorted(row for batch in first for row in batch) == list(range(53))
    assert first != second
    if n_words is not None:
        lengths = [data.table.lengths[batch] for batch in first]
        assert sum(np.ptp(of_batch) for of_batch in lengths) <= 7
        assert {data[batch].features.shape[1] for batch in first} >= {1, 6}


def test_a_batch_holds_the_features_soft_labels_and_weights_of_its_items():
    mask = np.arange(53) % 2 == 0
    data, X = dataset(mask=mask, weights=np.arange(53.0))
    batch = data[[4, 5, 2]]
    np.testing.assert_array_equal(batch.features, X[[4, 5, 2]].astype(np.float32))
    for task in GRAPH.tasks:
        np.testing.assert_array_equal(batch.weights[task], [4, 0, 2])
        assert (batch.soft_labels[task][1] == 0).all()
        torch.testing.assert_close(batch.soft_labels[task][0].sum(), torch.tensor(1.0))
        torch.testing.assert_close(data[4].soft_labels[task], batch.soft_labels[task][0])


def test_a_slice_gives_the_batch_of_its_items():
    data, X = dataset()
    for part in (slice(0, 3), slice(None, None, -9), slice(50, 99), slice(4, 4)):
        rows = np.arange(53)[part]
        for found, expected in zip(
            data[part].soft_labels.values(), data[rows].soft_labels.values(), strict=True
        ):
            torch.testing.assert_close(found, expected)
        np.testing.assert_array_equal(data[part].features, X[part].astype(np.float32))
        assert len(data[part].weights["kind"]) == len(rows)


@pytest.mark.parametrize("index", [1.5, "a", None, [0.5], [[1, 2]], np.ones(53, dtype=bool)])
def test_what_names_no_items_is_no_index(index):
    data, _ = dataset()
    with pytest.raises(cs.WrongTypeError, match="indexed by whole numbers"):
        data[index]
    with pytest.raises(IndexError):
        data[53]


def test_single_texts_keep_their_padding_so_that_a_loader_can_stack_them():
    X = np.array([[1, 0, 0], [2, 1, 0]])
    data = SoftLabelDataset(X, [0, 1], task_graph=ONE, n_words=3)
    (batch,) = DataLoader(data, batch_size=2)
    np.testing.assert_array_equal(batch.features, X)
    np.testing.assert_array_equal(data[[1, 0]].features, [[2, 1], [1, 0]])


def test_gold_is_one_hot_and_counts_where_it_is_known():
    gold = {"kind": [0, 1, -1], "person_type": [1, 2, -1], "org_type": [-1, 0, 3]}
    data = SoftLabelDataset(np.zeros((3, 1)), gold, task_graph=GRAPH)
    assert data[[0, 1, 2]].soft_labels["org_type"].tolist() == [[0] * 4, [1, 0, 0, 0], [0, 0, 0, 1]]
    assert data.weights.tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 1]]


FORMS = [np.asarray, np.asfortranarray, scipy.sparse.csr_array, scipy.sparse.coo_matrix]


@pytest.mark.parametrize("form", FORMS)
def test_features_of_every_form_give_the_same_batches(form):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3)) * (rng.random((20, 3)) < 0.5)
    data = SoftLabelDataset(form(X), np.zeros(20, int), task_graph=ONE)
    features = data[[3, 1]].features
    np.testing.assert_array_equal(features.to_dense(), X[[3, 1]].astype(np.float32))


def test_strided_read_only_and_foreign_arrays_are_read():
    base = np.arange(40.0).reshape(10, 4)
    frozen = base.copy()
    frozen.flags.writeable = False
    for X, expected in (
        (base[::-2, 1:3], base[::-2, 1:3]),
        (frozen, base),
        (base.astype(">f4"), base),
        (torch.from_numpy(base), base),
        (torch.from_numpy(base).bfloat16(), base),  # holds whole numbers up to 256 exactly
    ):
        data = SoftLabelDataset(X, np.zeros(len(expected), int), task_graph=ONE)
        np.testing.assert_array_equal(data[list(range(len(expected)))].features, expected)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_features_that_differ_have_another_digest(form):
    X = np.eye(3)
    digests = [FeatureTable(form(features)).digest() for features in (X, X.copy(), X * 2, X[:0])]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("own_batches", [True, False])
def test_the_parts_train_in_a_loop_of_ones_own(own_batches):
    data, _ = dataset(200)
    if own_batches:
        generator = torch.Generator().manual_seed(0)
        loader = DataLoader(data, sampler=LengthBatches(data, 16, generator=generator), batch_size=None)
    else:
        loader = DataLoader(data, batch_size=16)
    network = MultiTaskNetwork(GRAPH, MLP(4), hidden_sizes=(16,))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    means = []
    for _ in range(4):
        losses = []
        for features, soft_labels, weights in loader:
            loss = noise_aware_loss(network(features), soft_labels, weights=weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(np.mean(losses))
    assert means[-1] < means[0] - 0.1


# --- the classifier ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{}, {"applicability_weights": False}, {"confidence_weights": True}, {"mixed_precision": True}],
    ids=str,
)
def test_it_learns_from_noisy_labels_what_they_hide_and_predicts_what_is_feasible(options):
    X, gold, vector = learnable(1500)
    labels = softened(vector)
    train = slice(0, 1000)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=15, learning_rate=5e-3, **options)
    assert clf.fit(X[train], {task: q[train] for task, q in labels.items()}) is clf
    test = {task: y[1000:] for task, y in gold.items()}
    assert clf.score(X[1000:], test) > 0.9  # 0.84 of the noisy labels are right
    predicted = clf.predict(X[1000:])
    vectors = np.stack([predicted[task] for task in GRAPH.tasks], axis=1)
    assert (vectors[:, None] == GRAPH.feasible_set).all(axis=2).any(axis=1).all()
    probabilities, joint = clf.predict_proba(X[1000:]), clf.predict_joint(X[1000:])
    for task, marginal in GRAPH.marginal(joint).items():
        assert probabilities[task].dtype == np.float64
        np.testing.assert_allclose(probabilities[task], marginal, atol=1e-12)
        np.testing.assert_allclose(probabilities[task].sum(axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(GRAPH.feasible_set[joint.argmax(axis=1)], vectors)


def test_with_applicability_predictions_are_no_surer_than_the_labels_and_without_they_are():
    X, _, vector = learnable(2000)
    labels = softened(vector, 0.7)
    sureness = {}
    for weights in (True, False):
        clf = MultiTaskClassifier(
            GRAPH, random_state=0, learning_rate=5e-3, max_epochs=20, applicability_weights=weights
        )
        sureness[weights] = clf.fit(X, labels).predict_joint(X).max(axis=1).mean()
    # A label says 0.76, and is of the vector that follows from X as often.
    expected = 0.76 * 0.76 + 0.24 * 0.06
    assert expected - 0.1 < sureness[True] < expected < sureness[False]


def test_one_task_takes_and_gives_arrays():
    X, gold, _ = learnable()
    graph = cs.TaskGraph.single(["person", "org"])
    soft = np.eye(2)[gold["kind"]] * 0.8 + 0.1
    clf = MultiTaskClassifier(graph, random_state=0, max_epochs=9, learning_rate=1e-2).fit(X, soft)
    assert list(clf.classes_) == ["person", "org"]
    assert clf.n_features_in_ == 4
    assert clf.predict(X).shape == (400,)
    assert clf.predict_proba(X).shape == (400, 2)
    assert clf.score(X, gold["kind"]) > 0.95
    same = clone(clf).fit(X, {"label": soft})
    assert same_weights(clf, same)


ORDER = ["the cat saw the dog", "the dog saw the cat", "a cat bit a dog", "a dog bit a cat"] * 40


@pytest.mark.parametrize(
    ("trunk", "reads_order"),
    [
        (lambda n: LSTM(n, 16, hidden_size=16, dropout=0.0), True),
        (lambda n: LSTM(n, 16, hidden_size=16, pooling="last", n_layers=2, dropout=0.0), True),
        (lambda n: LSTM(n, 16, hidden_size=16, pooling="mean", dropout=0.0), True),
        (lambda n: BagOfEmbeddings(n, 16), False),
    ],
)
def test_an_lstm_reads_the_order_of_words_and_a_bag_does_not(trunk, reads_order):
    vocabulary = Vocabulary.learn(ORDER)
    X, y = vocabulary.encode(ORDER), np.tile([0, 1], 80)
    clf = MultiTaskClassifier(
        cs.TaskGraph.single(2), trunk(len(vocabulary)), random_state=0, max_epochs=20, learning_rate=1e-2
    ).fit(X, y)
    assert clf.score(X, y) == (1.0 if reads_order else 0.5)


def test_tf_idf_of_texts_is_a_feature_matrix():
    texts = [f"{word} please number {i}" for i in range(60) for word in ("transfer", "balance")]
    X, y = TfidfVectorizer().fit_transform(texts), np.tile([0, 1], 60)
    clf = MultiTaskClassifier(cs.TaskGraph.single(2), random_state=0, max_epochs=20).fit(X, y)
    assert clf.score(X, y) > 0.95
    assert clf.predict(X[:1]).shape == (1,)


class OnesOwn(nn.Module):
    """A trunk on images, which does not tell its width."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())

    def forward(self, images):
        return self.layers(images)


def test_any_module_may_be_the_trunk_and_stays_as_it_was():
    X, gold, _ = learnable(200)
    images = np.zeros((200, 1, 4, 4), dtype=np.float32)
    images[:, 0, 0] = X
    trunk = OnesOwn()
    before = copy.deepcopy(trunk.state_dict())
    clf = MultiTaskClassifier(GRAPH, trunk, random_state=0, max_epochs=20, learning_rate=1e-2)
    clf.fit(images, gold)
    assert clf.score(images, gold) > 0.8
    assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())
    assert not hasattr(clf, "n_features_in_")


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generators_alone():
    X, _, vector = learnable(200)
    labels = softened(vector)
    torch.manual_seed(5)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=3).fit(X, labels)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    torch.manual_seed(6)
    again = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=3).fit(X, labels)
    other = MultiTaskClassifier(GRAPH, random_state=1, max_epochs=3).fit(X, labels)
    unseeded = MultiTaskClassifier(GRAPH, max_epochs=3).fit(X, labels)
    drawn = MultiTaskClassifier(GRAPH, random_state=np.random.default_rng(0), max_epochs=3).fit(X, labels)
    assert same_weights(first, again)
    assert first.history_ == again.history_
    assert not any(same_weights(first, clf) for clf in (other, unseeded, drawn))


def test_items_that_are_masked_or_weigh_nothing_might_as_well_not_be_there():
    X, _, vector = learnable(200)
    labels = softened(vector)
    mask = np.random.default_rng(0).random(200) < 0.5
    options = {"random_state": 0, "max_epochs": 3}
    kept = MultiTaskClassifier(GRAPH, **options).fit(X[mask], {task: q[mask] for task, q in labels.items()})
    X[~mask] = 1e6
    labels = {task: np.where(mask[:, None], q, np.nan) for task, q in labels.items()}
    masked = MultiTaskClassifier(GRAPH, **options).fit(X, labels, mask=mask)
    weighed = MultiTaskClassifier(GRAPH, **options).fit(X, labels, mask.astype(float))
    assert same_weights(kept, masked)
    assert same_weights(kept, weighed)


def test_it_stops_when_validation_gets_worse_and_keeps_the_best_weights():
    X, _, vector = learnable(120)
    labels = softened(vector, 0.6)
    options = {"random_state": 0, "learning_rate": 2e-2, "schedule": "constant"}
    other_X, _, other = learnable(200, seed=1)
    validation = (other_X, softened(other, 0.6, seed=1))
    clf = MultiTaskClassifier(GRAPH, max_epochs=60, patience=3, **options)
    clf.fit(X, labels, validation=validation)
    losses = [record["validation_loss"] for record in clf.history_]
    assert len(losses) == clf.best_epoch_ + 3 < 60
    assert losses[clf.best_epoch_ - 1] == min(losses)
    held = noise_aware_loss(
        clf.network_(torch.from_numpy(other_X).float()),
        {task: torch.from_numpy(q) for task, q in validation[1].items()},
        not_applicable=NOT_APPLICABLE,
    )
    assert float(held.detach()) == pytest.approx(min(losses), rel=1e-5)


def test_on_gold_it_stops_by_accuracy_and_then_by_loss():
    X, gold, vector = learnable(300)
    validation = X[:100], {task: y[:100] for task, y in gold.items()}
    labels = {task: q[100:] for task, q in softened(vector).items()}
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=10, patience=2, learning_rate=1e-2)
    clf.fit(X[100:], labels, validation=validation)
    merits = [(r["validation_accuracy"], -r["validation_loss"]) for r in clf.history_]
    assert merits[clf.best_epoch_ - 1] == max(merits)
    assert clf.score(*validation) == max(merits)[0]


def test_without_patience_it_trains_to_the_end_and_still_keeps_the_best_weights():
    X, _, vector = learnable(60)
    options = {"random_state": 0, "max_epochs": 60, "learning_rate": 2e-2}
    clf = MultiTaskClassifier(GRAPH, **options).fit(X, softened(vector, 0.5))
    losses = [record["validation_loss"] for record in clf.history_]
    assert len(losses) == 60
    assert clf.best_epoch_ == 1 + np.argmin(losses) < 60


def test_without_validation_it_trains_on_everything_and_keeps_the_last_weights():
    X, _, vector = learnable(50)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=4, validation_fraction=0)
    clf.fit(X, softened(vector))
    assert [record["epoch"] for record in clf.history_] == [1, 2, 3, 4]
    assert clf.best_epoch_ == 4
    assert "validation_loss" not in clf.history_[0]


@pytest.mark.parametrize(("n", "epochs"), [(1, 200), (640, 200), (2000, 63), (20_000, 20), (10**6, 20)])
def test_few_items_are_passed_over_more_often_than_many(n, epochs):
    assert enough_epochs(n, batch_size=64) == epochs


def test_the_learning_rate_rises_and_falls_to_zero_or_follows_a_function():
    X, _, vector = learnable(50)
    for schedule, last in (("cosine", 0.0), ("constant", 1e-3), (lambda done: 0.5, 5e-4)):
        clf = MultiTaskClassifier(GRAPH, max_epochs=40, schedule=schedule, learning_rate=1e-3)
        rates = [record["learning_rate"] for record in clf.fit(X, softened(vector)).history_]
        assert rates[-1] == pytest.approx(last, abs=1e-5)
        assert max(rates) <= 1e-3


def test_moments_too_small_to_matter_are_dropped_before_they_become_denormal():
    weights = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([weights])
    weights.grad = torch.tensor([1.0, 1e-12, 1e-31, 0.0])
    optimizer.step()
    drop_denormals(optimizer)
    moments = optimizer.state[weights]
    assert (moments["exp_avg"] != 0).tolist() == [True, True, False, False]
    assert (moments["exp_avg_sq"] != 0).tolist() == [True, True, False, False]


def test_one_item_is_enough_to_learn_from_and_none_to_predict():
    X, _, vector = learnable(1)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=2).fit(X, softened(vector))
    assert clf.predict(X)["kind"].shape == (1,)
    assert clf.predict(X[:0])["kind"].shape == (0,)
    assert clf.predict_proba(X[:0])["org_type"].shape == (0, 4)
    assert clf.predict_joint(X[:0]).shape == (0, 5)


def test_many_items_are_predicted_as_few_are():
    X, _, vector = learnable(9000)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1).fit(
        X[:50], {task: q[:50] for task, q in softened(vector).items()}
    )
    np.testing.assert_allclose(clf.predict_joint(X)[-3:], clf.predict_joint(X[-3:]), rtol=1e-5)


def test_score_counts_items_with_weights_by_the_tasks_that_are_known():
    X, _, vector = learnable(30)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1).fit(X, softened(vector))
    true = clf.predict(X)
    assert clf.score(X, true) == 1
    wrong = {**true, "kind": np.where(np.arange(30) < 10, 1 - true["kind"], true["kind"])}
    assert clf.score(X, wrong) == pytest.approx(2 / 3)
    assert clf.score(X, {**wrong, "kind": np.full(30, -1)}) == 1
    assert clf.score(X, wrong, np.arange(30) < 20) == pytest.approx(1 / 2)


# --- scikit-learn ------------------------------------------------------------------------------------------


def test_it_clones_pickles_and_goes_through_scikit_learn():
    X, gold, _ = learnable(90)
    y = gold["kind"]
    clf = MultiTaskClassifier(cs.TaskGraph.single(2), nn.Linear(4, 4), random_state=0, max_epochs=2)
    copied = clone(clf)
    assert copied.trunk is not clf.trunk
    assert copied.get_params().keys() == clf.get_params().keys()
    clf.fit(X, y)
    for other in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf)):
        np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))
    assert cross_val_score(clf, X, y, cv=2).shape == (2,)
    assert GridSearchCV(clf, {"learning_rate": [1e-3, 1e-2]}, cv=2).fit(X, y).best_score_ > 0.4
    assert make_pipeline(StandardScaler(), clf).fit(X, y).predict(X).shape == (90,)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1", "average_precision"])
def test_scikit_learn_scores_it_by_probabilities_and_by_classes(scoring):
    X, gold, _ = learnable(200)
    clf = MultiTaskClassifier(cs.TaskGraph.single(2), random_state=0, max_epochs=9, learning_rate=1e-2)
    scores = cross_val_score(clf, X, gold["kind"], cv=2, scoring=scoring, error_score="raise")
    assert (scores > (-0.5 if scoring == "neg_log_loss" else 0.9)).all()


def test_scikit_learn_calibrates_it():
    X, gold, _ = learnable(200)
    clf = MultiTaskClassifier(cs.TaskGraph.single(2), random_state=0, max_epochs=9, learning_rate=1e-2)
    calibrated = CalibratedClassifierCV(clf, cv=2).fit(X, gold["kind"])
    assert (calibrated.predict(X) == gold["kind"]).mean() > 0.9


def test_its_repr_shows_what_differs_from_the_defaults():
    assert repr(MultiTaskClassifier(ONE, random_state=3)) == (
        f"MultiTaskClassifier(graph={ONE!r}, random_state=3)"
    )
    assert clone(MultiTaskClassifier(ONE, random_state=3)).set_params(dropout=0.5).dropout == 0.5
    with pytest.raises(cs.InvalidArgumentError, match="has no parameter 'epochs'"):
        MultiTaskClassifier(ONE).set_params(epochs=3)


# --- files -------------------------------------------------------------------------------------------------


class Interrupt:
    """A schedule that interrupts the training once, at some share of the steps."""

    def __init__(self, at):
        self.at = at

    def __call__(self, done):
        if self.at is not None and done >= self.at:
            self.at = None
            raise KeyboardInterrupt
        return 1 - done


@pytest.mark.parametrize("patience", [None, 2, 9])
def test_an_interrupted_training_goes_on_to_the_same_bits(patience, tmp_path):
    X, _, vector = learnable(150)
    labels, path = softened(vector), tmp_path / "training.pt"
    options = {"random_state": 0, "max_epochs": 9, "patience": patience, "learning_rate": 1e-2}
    straight = MultiTaskClassifier(GRAPH, schedule=Interrupt(None), **options).fit(X, labels)
    clf = MultiTaskClassifier(GRAPH, schedule=Interrupt(0.5), **options)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, labels, checkpoint=path)
    assert not hasattr(clf, "network_")
    assert len(torch.load(path, weights_only=True)["history"]) == 4
    clf.fit(X, labels, checkpoint=path)
    assert clf.history_ == straight.history_
    assert clf.best_epoch_ == straight.best_epoch_
    assert same_weights(clf, straight)
    done = path.read_bytes()
    assert same_weights(clf.fit(X, labels, checkpoint=path), straight)  # nothing is left to do
    assert path.read_bytes() == done
    assert [file.name for file in tmp_path.iterdir()] == ["training.pt"]


def test_an_unseeded_training_goes_on_with_its_own_seed(tmp_path):
    X, _, vector = learnable(60)
    labels, path = softened(vector), tmp_path / "training.pt"
    MultiTaskClassifier(GRAPH, max_epochs=2, schedule="constant").fit(X, labels, checkpoint=path)
    longer = [MultiTaskClassifier(GRAPH, max_epochs=4, schedule="constant") for _ in range(2)]
    content = path.read_bytes()
    for clf in longer:
        path.write_bytes(content)
        clf.fit(X, labels, checkpoint=path)
    assert same_weights(*longer)


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        ({"learning_rate": 1e-2}, "learning_rate"),
        ({"hidden_sizes": (5,)}, "hidden_sizes"),
        ({"trunk": nn.Linear(4, 4)}, "trunk"),
        ({"mixed_precision": True}, "mixed_precision"),
        ({}, "labels"),
        ({}, "X"),
        ({}, "validation"),
    ],
)
@pytest.mark.parametrize("validated", [False, True])
def test_a_checkpoint_of_another_training_is_refused(options, differs, validated, tmp_path):
    X, gold, vector = learnable(40)
    path = tmp_path / "training.pt"
    given = (X, gold) if validated else None
    first = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1)
    first.fit(X, softened(vector), validation=given, checkpoint=path)
    other = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1, **options)
    with pytest.raises(cs.FileFormatError, match=f"differs in '{differs}'"):
        other.fit(
            X + (differs == "X"),
            softened(vector, seed=int(differs == "labels")),
            validation=(X - 1, gold) if differs == "validation" else given,
            checkpoint=path,
        )


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"max_epochs": 4}, {"max_epochs": 3}, "with max_epochs=4, .* earlier with 3"),
        ({"max_epochs": 4}, {"max_epochs": 5}, None),
        ({"max_epochs": 201}, {"max_epochs": None}, "with max_epochs=201, .* earlier with 200"),
        ({"max_epochs": 4, "patience": 3}, {"max_epochs": 4, "patience": 2}, "with patience=3, .* with 2"),
        ({"max_epochs": 4}, {"max_epochs": 4, "patience": 9}, "with patience=None, .* with 9"),
        ({"max_epochs": 4, "patience": 3}, {"max_epochs": 4}, None),
    ],
)
def test_a_checkpoint_goes_on_longer_and_not_shorter(first, second, message, tmp_path):
    X, _, vector = learnable(40)
    labels, path = softened(vector), tmp_path / "training.pt"
    clf = MultiTaskClassifier(GRAPH, random_state=0, **first).fit(X, labels, checkpoint=path)
    other = MultiTaskClassifier(GRAPH, random_state=0, **second)
    if message is None:
        other.fit(X, labels, checkpoint=path)
        assert other.history_[:4] == clf.history_[:4]
    else:
        with pytest.raises(cs.FileFormatError, match=message):
            other.fit(X, labels, checkpoint=path)


@pytest.mark.parametrize("path", [3, b"weights"])
def test_what_is_no_path_of_weights_is_a_typed_error(path):
    X, _, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1).fit(X, softened(vector))
    for take in (clf.save_weights, clf.load_weights):
        with pytest.raises(cs.WrongTypeError, match="path must be a path"):
            take(path)
    with pytest.raises(cs.WrongTypeError, match="checkpoint must be a path"):
        clf.fit(X, softened(vector), checkpoint=path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"hidden_sizes": (10,)}, {"hidden_sizes": [10]}),
        ({"hidden_sizes": [10, 5]}, {"hidden_sizes": np.array([10, 5])}),
        ({"learning_rate": 1e-2}, {"learning_rate": np.float64(1e-2)}),
        ({"clip_norm": 1}, {"clip_norm": 1.0}),
        ({"schedule": Interrupt(None)}, {"schedule": Interrupt(None)}),
    ],
)
def test_a_checkpoint_is_of_the_same_training_however_its_parameters_are_written(first, second, tmp_path):
    X, _, vector = learnable(40)
    labels, path = softened(vector), tmp_path / "training.pt"
    MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1, **first).fit(X, labels, checkpoint=path)
    on = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=2, **second).fit(X, labels, checkpoint=path)
    assert len(on.history_) == 2


def falling(done):
    return 1 - done


def level(done):
    return 1.0


@pytest.mark.parametrize(
    ("first", "second"),
    [(falling, level), (falling, "constant"), ("constant", level), (Interrupt(None), level)],
)
def test_a_checkpoint_of_another_schedule_is_refused(first, second, tmp_path):
    X, _, vector = learnable(40)
    labels, path = softened(vector), tmp_path / "training.pt"
    options = {"random_state": 0, "max_epochs": 1}
    MultiTaskClassifier(GRAPH, schedule=first, **options).fit(X, labels, checkpoint=path)
    with pytest.raises(cs.FileFormatError, match="differs in 'schedule': give another"):
        MultiTaskClassifier(GRAPH, schedule=second, **options).fit(X, labels, checkpoint=path)


def with_buffer(value):
    """A module that shows nothing of what it holds."""
    module = nn.Linear(4, 4)
    nn.init.eye_(module.weight)
    nn.init.zeros_(module.bias)
    module.register_buffer("scale", torch.tensor(value), persistent=False)
    return module


def with_odd_buffers():
    """Of every kind that has its own way into bytes."""
    module = with_buffer(1.0)
    module.register_buffer("rounded", torch.ones(2, 3).bfloat16().T)
    module.register_buffer("empty", torch.zeros(0, 3))
    module.register_buffer("complex", torch.ones(2, dtype=torch.complex64).conj())
    module.register_buffer("flags", torch.tensor([True, False]))
    module.register_buffer("sparse", torch.eye(3).to_sparse(), persistent=False)
    return module


def with_weights(value, *, frozen=False):
    module = with_buffer(1.0)
    nn.init.constant_(module.weight, value)
    module.weight.requires_grad_(not frozen)
    return module


def readable_by(trunk):
    """Texts or a matrix, and gold."""
    X = np.random.default_rng(0).integers(1, 9, (20, 4))
    return X if getattr(trunk, "n_words", None) else X.astype(float), np.arange(20) % 2


EMBEDDINGS = np.random.default_rng(0).normal(size=(2, 9, 4))


@pytest.mark.parametrize(
    ("first", "second", "differs"),
    [
        (
            LSTM(9, embeddings=EMBEDDINGS[0]),
            LSTM(9, embeddings=EMBEDDINGS[1]),
            "initial weights of the trunk",
        ),
        (BagOfEmbeddings(9, 4), BagOfEmbeddings(9, embeddings=EMBEDDINGS[1]), "initial weights of the trunk"),
        (with_weights(0.5), with_weights(0.25), "initial weights of the trunk"),
        (with_weights(0.5), with_weights(0.5, frozen=True), "initial weights of the trunk"),
        (with_buffer(1.0), with_buffer(2.0), "initial weights of the trunk"),
        (LSTM(9, 4, pooling="max"), LSTM(9, 4, pooling="mean"), "trunk"),
    ],
    ids=["embeddings", "given or drawn", "weights", "frozen", "buffer", "pooling"],
)
def test_a_checkpoint_of_a_trunk_that_started_otherwise_is_refused(first, second, differs, tmp_path):
    X, y = readable_by(first)
    options = {"random_state": 0, "max_epochs": 1}
    graph, path = cs.TaskGraph.single(2), tmp_path / "training.pt"
    MultiTaskClassifier(graph, first, **options).fit(X, y, checkpoint=path)
    with pytest.raises(cs.FileFormatError, match=f"differs in '{differs}': give another"):
        MultiTaskClassifier(graph, second, **options).fit(X, y, checkpoint=path)
    MultiTaskClassifier(graph, first, **options).fit(X, y, checkpoint=path)


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize(
    "make",
    [
        lambda: LSTM(9, 4, hidden_size=3),
        lambda: LSTM(9, embeddings=EMBEDDINGS[0], freeze=True),
        lambda: MLP(4),
        lambda: with_weights(0.5),
        lambda: nn.LazyLinear(3),
        with_odd_buffers,
    ],
)
def test_a_checkpoint_is_taken_up_by_a_trunk_made_anew_and_alike(make, random_state, tmp_path):
    X, y = readable_by(make())
    graph, path = cs.TaskGraph.single(2), tmp_path / "training.pt"
    options = {"random_state": random_state, "schedule": "constant"}
    torch.manual_seed(1)
    short = MultiTaskClassifier(graph, make(), max_epochs=1, **options).fit(X, y, checkpoint=path)
    torch.manual_seed(2)
    trunk = make()
    before = None if isinstance(trunk, nn.LazyLinear) else copy.deepcopy(trunk.state_dict())
    drawn = torch.get_rng_state()
    longer = MultiTaskClassifier(graph, trunk, max_epochs=2, **options).fit(X, y, checkpoint=path)
    assert longer.history_[:1] == short.history_
    assert len(longer.history_) == 2
    assert torch.equal(torch.get_rng_state(), drawn)
    if before is not None:
        assert all(torch.equal(before[name], tensor) for name, tensor in trunk.state_dict().items())


class Malicious:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code from the file ran')",))


def test_damaged_foreign_and_malicious_files_are_refused(tmp_path):
    X, _, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1).fit(X, softened(vector))
    path = tmp_path / "weights.pt"
    clf.save_weights(path)
    good = path.read_bytes()
    weights = clf.network_.heads.weight.detach().numpy().tobytes()
    at = good.index(weights[:16])
    torch.save({"kind": "x", "evil": Malicious()}, tmp_path / "evil.pt")
    torch.save([1], tmp_path / "list.pt")
    for content in (
        b"",
        good[:-100],
        good[: len(good) // 2],
        b"PK\x03\x04" + b"\0" * 100,
        pickle.dumps(Malicious()),
        good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
        (tmp_path / "evil.pt").read_bytes(),
        (tmp_path / "list.pt").read_bytes(),
    ):
        path.write_bytes(content)
        with pytest.raises(cs.FileFormatError, match=r"weights\.pt"):
            clf.load_weights(path)
        with pytest.raises(cs.FileFormatError, match=r"weights\.pt"):
            clf.fit(X, softened(vector), checkpoint=path)
    path.write_bytes(good)
    with pytest.raises(cs.FileFormatError, match="does not hold a training"):
        clf.fit(X, softened(vector), checkpoint=path)


def make_texts():
    vocabulary = Vocabulary.learn(ORDER)
    return LSTM(len(vocabulary), 4, hidden_size=3), vocabulary.encode(ORDER[:40])


def make_matrix():
    return None, learnable(40)[0]


def make_own():
    return nn.Linear(4, 3), learnable(40)[0]


@pytest.mark.parametrize("make", [make_texts, make_matrix, make_own])
@pytest.mark.parametrize("hidden_sizes", [(), (7,)])
def test_saved_weights_predict_as_the_model_that_learned_them(make, hidden_sizes, tmp_path):
    trunk, X = make()
    _, _, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, trunk, hidden_sizes=hidden_sizes, random_state=0, max_epochs=1)
    clf.fit(X, softened(vector)).save_weights(tmp_path / "weights.pt")
    loaded = clone(clf)
    assert loaded.load_weights(tmp_path / "weights.pt") is loaded
    np.testing.assert_array_equal(loaded.predict_joint(X), clf.predict_joint(X))
    assert loaded.classes_ == clf.classes_ == GRAPH.classes


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"graph": ONE}, "another task graph"),
        ({"applicability_weights": False}, "other applicability_weights"),
        ({"hidden_sizes": (3,)}, "the weights of this network"),
        ({"trunk": LSTM(9)}, "the weights of this network"),
    ],
)
def test_weights_of_another_network_are_refused_and_change_nothing(params, message, tmp_path):
    X, _, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=1).fit(X, softened(vector))
    clf.save_weights(tmp_path / "weights.pt")
    other = MultiTaskClassifier(**{**clf.get_params(), **params})
    with pytest.raises(cs.FileFormatError, match=message):
        other.load_weights(tmp_path / "weights.pt")
    with pytest.raises(cs.NotFittedError):
        other.predict(X)


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"graph": {"a": 2}}, TypeError, "graph must be a TaskGraph"),
        ({"trunk": LSTM}, TypeError, "trunk must be a torch module"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be a whole number from 1"),
        ({"batch_size": 2.5}, ValueError, "batch_size"),
        ({"patience": 0}, ValueError, "patience"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be positive"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be 0 or more"),
        ({"clip_norm": 0}, ValueError, "clip_norm"),
        ({"validation_fraction": 1}, ValueError, "validation_fraction"),
        ({"schedule": "linear"}, ValueError, "schedule must be one of 'cosine'"),
        ({"dropout": 1}, ValueError, "dropout"),
        ({"dropout": "half"}, ValueError, "dropout"),
        ({"hidden_sizes": 5}, TypeError, "hidden_sizes must be a sequence"),
        ({"hidden_sizes": (2.5,)}, ValueError, "hidden_sizes must hold whole numbers"),
        ({"device": "abacus"}, ValueError, "device must be one that PyTorch can use here, got 'abacus'"),
        ({"device": "cuda:999"}, ValueError, "device must be one that PyTorch can use here"),
        ({"mixed_precision": "yes"}, TypeError, "mixed_precision must be True, False or None"),
        ({"confidence_weights": "no"}, TypeError, "confidence_weights must be True or False, got 'no'"),
        ({"applicability_weights": "no"}, TypeError, "applicability_weights must be True or False"),
        ({"progress": None}, TypeError, "progress must be True or False, got None"),
        ({"schedule": lambda progress: math.nan}, ValueError, "schedule must give a share .* got nan"),
        ({"schedule": lambda progress: -1.0}, ValueError, "schedule must give a share .* got -1.0"),
        ({"random_state": -1}, ValueError, "random_state"),
        ({"random_state": 1.5}, TypeError, "random_state must be a whole number"),
        ({"learning_rate": 1e30, "clip_norm": None}, ValueError, "the loss is .* lower it"),
        ({"trunk": nn.Unflatten(1, (2, 2))}, TypeError, r"trunk must return a \(n, width\) tensor"),
        ({"trunk": MLP(5)}, ValueError, r"X must have shape \(n, 5\)"),
        ({"trunk": LSTM(5)}, TypeError, "X must hold word indices"),
    ],
)
def test_parameters_that_cannot_be_are_named(params, error, message):
    X, _, vector = learnable(40)
    clf = MultiTaskClassifier(**{"graph": GRAPH, "random_state": 0, **params})
    with pytest.raises(error, match=message) as caught:
        clf.fit(X, softened(vector))
    assert isinstance(caught.value, cs.ConsilienceError)
    assert not hasattr(clf, "network_")


def with_nan(X):
    X[7, 1] = np.nan
    return X


def test_weights_count_across_batches_too():
    rng = np.random.default_rng(0)
    y = np.zeros(1000, dtype=np.int64)
    y[:20] = 1
    weights = np.where(y == 1, 200.0, 1.0)  # 80 % of all that counts
    X = rng.standard_normal((1000, 2))  # tells nothing
    graph = cs.TaskGraph.single(2)
    model = MultiTaskClassifier(graph, batch_size=32, max_epochs=40, random_state=0, clip_norm=None)
    found = model.fit(X, np.eye(2)[y], sample_weight=weights).predict_proba(X)[:, 1].mean()
    assert found > 0.4  # weighed within each batch alone, 0.1


class Still(torch.optim.SGD):
    """Moves nothing, and keeps the gradients that it is given."""

    def step(self):
        self.seen.append(torch.cat([p.grad.flatten().double() for p in self.param_groups[0]["params"]]))


def gradients_of_batches(monkeypatch, X, labels, **options):
    """Gradient of each batch of an epoch, and the network, which stays as it began."""
    made = []

    def still(self, network):
        made.append(Still(network.parameters(), lr=1.0))
        made[0].seen = []
        return made[0]

    monkeypatch.setattr(MultiTaskClassifier, "_optimizer", still)
    weights = options.pop("sample_weight")
    clf = MultiTaskClassifier(
        GRAPH, random_state=0, max_epochs=1, batch_size=10, dropout=0.0, validation_fraction=0.0, **options
    )
    clf.fit(X, labels, sample_weight=weights)
    return made[0].seen, clf


@pytest.mark.parametrize("applicability_weights", [True, False])
@pytest.mark.parametrize("confidence_weights", [True, False])
@pytest.mark.parametrize("kind", ["soft", "gold of some tasks"])
def test_gradients_of_batches_add_up_to_that_of_all_items(
    kind, confidence_weights, applicability_weights, monkeypatch
):
    X, gold, _ = learnable(90)
    rng = np.random.default_rng(0)
    weights = np.where(np.arange(90) < 80, rng.choice([0.01, 1.0, 30.0], 90), 0)  # 80 items count
    options = {"confidence_weights": confidence_weights, "applicability_weights": applicability_weights}
    left_out = NOT_APPLICABLE if applicability_weights else None
    if kind == "soft":
        joint = rng.dirichlet(np.full(GRAPH.n_vectors, 0.3), 90)
        labels = GRAPH.marginal(joint)
        known = dict.fromkeys(labels, weights > 0)
        soft = labels
    else:
        labels = {task: np.where(rng.random(90) < 0.4, -1, y) for task, y in gold.items()}
        labels["kind"] = gold["kind"]  # so that every item counts somewhere
        known = {task: y >= 0 for task, y in labels.items()}
        soft = {
            task: np.eye(k)[labels[task]] for task, k in zip(GRAPH.tasks, GRAPH.cardinalities, strict=True)
        }
    options["sample_weight"] = weights
    seen, clf = gradients_of_batches(monkeypatch, X, labels, clip_norm=None, **options)
    assert len(seen) == 8

    network = clf.network_
    network.zero_grad()
    loss = noise_aware_loss(
        network(torch.from_numpy(X).float()),
        {task: torch.from_numpy(q).float() for task, q in soft.items()},
        weights={task: torch.from_numpy(weights * known[task]).float() for task in soft},
        confidence_weights=confidence_weights,
        not_applicable=left_out,
    )
    loss.backward()
    whole = torch.cat([p.grad.flatten().double() for p in network.parameters()])
    mean = torch.stack(seen).mean(dim=0)
    torch.testing.assert_close(mean, whole, rtol=1e-4, atol=1e-6)  # sums of float32
    assert clf.history_[0]["loss"] == pytest.approx(float(loss.detach()), rel=1e-5)

    norms = [float(gradient.norm()) for gradient in seen]
    limit = float(np.median(norms))
    clipped, _ = gradients_of_batches(monkeypatch, X, labels, clip_norm=limit, **options)
    for gradient, norm, short in zip(seen, norms, clipped, strict=True):
        torch.testing.assert_close(short, gradient * min(1.0, limit / norm), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_labels_that_leave_everything_open_teach_nothing(clip_norm):
    X, _, _ = learnable(40)
    labels = {task: np.full((40, k), 1 / k) for task, k in zip(GRAPH.tasks, GRAPH.cardinalities, strict=True)}
    clf = MultiTaskClassifier(
        GRAPH, random_state=0, max_epochs=2, confidence_weights=True, clip_norm=clip_norm
    )
    clf.fit(X, labels)
    assert all(math.isfinite(record["loss"]) for record in clf.history_)
    assert all(bool(torch.isfinite(p).all()) for p in clf.network_.parameters())


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_weights_of_another_unit_are_the_same_weights(clip_norm):
    X, _, vector = learnable(80)
    weights = np.random.default_rng(0).choice([1.0, 8.0], 80)
    clf = MultiTaskClassifier(GRAPH, random_state=0, max_epochs=3, clip_norm=clip_norm)
    one = clone(clf).fit(X, softened(vector), sample_weight=weights)
    assert same_weights(one, clone(clf).fit(X, softened(vector), sample_weight=1024 * weights))


def test_moderate_weights_count_across_batches_under_clipping_too():
    rng = np.random.default_rng(0)
    y = (np.arange(1000) < 50).astype(np.int64)
    weights = np.where(y == 1, 30.0, 1.0)  # 61 % of all that counts
    X = rng.standard_normal((1000, 2))  # tells nothing
    model = MultiTaskClassifier(cs.TaskGraph.single(2), batch_size=32, max_epochs=40, random_state=0)
    found = model.fit(X, np.eye(2)[y], sample_weight=weights).predict_proba(X)[:, 1].mean()
    assert found == pytest.approx(0.61, abs=0.1)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (with_nan, ValueError, "X, row 7: must be finite"),
        (lambda X: X * 1e200, ValueError, "X, row 0: must be finite"),
        (lambda X: scipy.sparse.csr_array(with_nan(X)), ValueError, "X, row 7: must be finite"),
        (lambda X: X[0], ValueError, r"shape \(n, ...\)"),
        (lambda X: X[:20], ValueError, "must have 20 rows, one an item, got 40"),
        (lambda X: X[:, :, None], ValueError, "X must be a matrix where no trunk is given"),
        (lambda X: X + 1j, TypeError, "real numbers, got dtype complex128"),
        (lambda X: scipy.sparse.csr_array(X + 1j), TypeError, "real numbers, got dtype complex128"),
        (lambda X: ["text"] * 40, TypeError, "encode texts with Vocabulary.encode or TF-IDF"),
        (lambda X: [[1], [1, 2]], ValueError, "X, row 1: has 2 values where row 0 has 1 value"),
    ],
)
def test_features_that_cannot_be_are_named(X, error, message):
    features, _, vector = learnable(40)
    with pytest.raises(error, match=message) as caught:
        MultiTaskClassifier(GRAPH).fit(X(features), softened(vector))
    assert isinstance(caught.value, cs.ConsilienceError)


def test_a_sparse_matrix_with_indices_out_of_range_is_refused():
    X = scipy.sparse.csr_array(np.eye(4))
    X.indices[2] = 9
    with pytest.raises(cs.InvalidArgumentError, match="damaged sparse matrix"):
        MultiTaskClassifier(ONE).fit(X, np.zeros(4, int))


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (lambda q: q["kind"], TypeError, "labels must be {task: array}"),
        (lambda q: {"kind": q["kind"]}, ValueError, "labels must be of the tasks"),
        (lambda q: {**q, "kind": q["org_type"]}, ValueError, "'kind' must have 2 columns"),
        (lambda q: {**q, "org_type": q["kind"]}, ValueError, "'org_type' must have 4 columns"),
        (lambda q: {**q, "kind": np.where(q["kind"] > 2, 0, np.nan)}, ValueError, "'kind', row 0: .* nan"),
        (lambda q: {**q, "kind": q["kind"] * 2}, ValueError, "'kind', row 0: must be probabilities"),
        (lambda q: {**q, "kind": q["kind"][:5]}, ValueError, "'kind' must have 40 rows"),
        (lambda q: {**q, "kind": np.full(40, 2)}, ValueError, r"'kind', row 0: must lie in 0\.\.1"),
        (lambda q: {**q, "kind": np.zeros(39, int)}, ValueError, "39 entries for 40 items"),
        (lambda q: {**q, "kind": np.zeros(40)}, TypeError, "class indices, got dtype float64"),
        (lambda q: {**q, "kind": ["person"] * 40}, TypeError, "class indices, got dtype"),
        (lambda q: {task: np.full(40, -1) for task in q}, ValueError, "no item is left to learn from"),
        (
            lambda q: {task: np.r_[np.full(7, -1), np.zeros(33, int)] for task in q},
            ValueError,
            "labels, row 7: no feasible label vector agrees with .*'person', .*'bank'",
        ),
    ],
)
def test_labels_that_cannot_be_are_named(labels, error, message):
    X, _, vector = learnable(40)
    with pytest.raises(error, match=message) as caught:
        MultiTaskClassifier(GRAPH).fit(X, labels(softened(vector)))
    assert isinstance(caught.value, cs.ConsilienceError)


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ("X", TypeError, r"validation must be a pair \(X, labels\)"),
        ((np.zeros((2, 4)), {"kind": [0, 1]}), ValueError, "validation: labels must be of the tasks"),
        ((np.zeros((2, 3)), softened(np.zeros(2, int))), ValueError, r"validation: X must have shape \(n, 4"),
        ((np.zeros((1, 4)), {task: [-1] for task in GRAPH.tasks}), ValueError, "no item has a label"),
    ],
)
def test_validation_that_cannot_be_is_named(validation, error, message):
    X, _, vector = learnable(40)
    with pytest.raises(error, match=message):
        MultiTaskClassifier(GRAPH).fit(X, softened(vector), validation=validation)


def test_gold_that_no_vector_allows_may_stand_where_it_does_not_count():
    X, gold, _ = learnable(40)
    gold["kind"][3] = 1 - gold["kind"][3]
    clf = MultiTaskClassifier(GRAPH, max_epochs=1)
    clf.fit(X, gold, mask=np.arange(40) != 3)
    with pytest.raises(cs.InvalidArgumentError, match="validation: labels, row 3: no feasible label vector"):
        clf.fit(X, gold, mask=np.arange(40) != 3, validation=(X, gold))


def test_weights_that_cannot_be_are_named_as_they_were_given():
    X, gold, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, max_epochs=1)
    with pytest.raises(cs.InvalidArgumentError, match="sample_weight, row 0: must be finite"):
        clf.fit(X, softened(vector), np.full(40, np.nan))
    clf.fit(X, softened(vector))
    with pytest.raises(cs.InvalidArgumentError, match=r"sample_weight must have shape \(40,\)"):
        clf.score(X, gold, np.ones(39))


def test_texts_without_a_column_are_refused():
    with pytest.raises(cs.InvalidArgumentError, match="X must have a column at least"):
        MultiTaskClassifier(ONE, LSTM(5)).fit(np.zeros((3, 0), int), np.zeros(3, int))


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_training(tmp_path):
    X, _, vector = learnable(40)
    epochs = []
    clf = MultiTaskClassifier(GRAPH, max_epochs=1, schedule=lambda progress: epochs.append(1) or 1.0)
    with pytest.raises(FileNotFoundError, match="create it first"):
        clf.fit(X, softened(vector), checkpoint=tmp_path / "missing" / "training.pt")
    assert not epochs


def test_predictions_need_a_fit_and_the_same_columns():
    X, gold, vector = learnable(40)
    clf = MultiTaskClassifier(GRAPH, max_epochs=1)
    for predict in (clf.predict, clf.predict_proba, clf.predict_joint):
        with pytest.raises(cs.NotFittedError):
            predict(X)
    clf.fit(X, softened(vector))
    with pytest.raises(cs.InvalidArgumentError, match=r"shape \(n, 4\) for this trunk, got \(40, 3\)"):
        clf.predict(X[:, :3])
    with pytest.raises(cs.InvalidArgumentError, match="no item that counts has a known class"):
        clf.score(X, {task: np.full(40, -1) for task in GRAPH.tasks})
    with pytest.raises(cs.InvalidArgumentError, match="must have 40 entries"):
        clf.score(X, {task: y[:3] for task, y in gold.items()})
    with pytest.raises(
        cs.WrongTypeError, match=r"gold of task 'kind' must be \(n,\) class indices, got dtype f"
    ):
        clf.score(X, softened(vector))


def test_what_a_trunk_of_ones_own_cannot_read_is_named():
    X, _, vector = learnable(40)
    labels = softened(vector)
    clf = MultiTaskClassifier(GRAPH, nn.Linear(4, 3), max_epochs=1)
    with pytest.raises(cs.InvalidArgumentError, match=r"cannot read X of shape \(40, 3\) .* the columns"):
        clf.fit(X[:, :3], labels)
    with pytest.raises(cs.InvalidArgumentError, match=r"as torch.int64 .* X.astype\(np.float32\)"):
        clf.fit(X.astype(int), labels)
    with pytest.raises(cs.InvalidArgumentError, match="validation: trunk cannot read X"):
        clf.fit(X, labels, validation=(X[:, :3], labels))
    clf.fit(X, labels)
    for wrong in (X[:, :3], X.astype(int), X[:5, :, None]):
        with pytest.raises(cs.InvalidArgumentError, match="trunk cannot read X"):
            clf.predict(wrong)


class Blind(nn.Linear):
    """A trunk that knows nothing of some items when it is not trained."""

    def forward(self, features):
        vectors = super().forward(features)
        return vectors if self.training else torch.where(features[:, :1] > 1, torch.nan, vectors)


def test_scores_that_are_not_finite_leave_no_method():
    X, _, vector = learnable(40)
    X[:, 0] = np.arange(40) == 23
    clf = MultiTaskClassifier(GRAPH, Blind(4, 3), max_epochs=1).fit(X, softened(vector))
    X[23, 0] = 2
    for predict in (clf.predict, clf.predict_proba, clf.predict_joint):
        with pytest.raises(cs.InvalidArgumentError, match=r"X, row 23: .* scores that are not finite"):
            predict(X)
    with pytest.raises(cs.InvalidArgumentError, match="the loss is nan in validation"):
        clf.fit(X, softened(vector), validation=(X, softened(vector)))


def test_a_word_that_the_vocabulary_does_not_know_is_named():
    X = np.array([[1, 2], [3, 9]])
    with pytest.raises(cs.InvalidArgumentError, match=r"row 1: must hold word indices in 0\.\.8, got 9"):
        MultiTaskClassifier(ONE, LSTM(9)).fit(X, np.array([0, 1]))


def test_a_bar_needs_tqdm(monkeypatch):
    X, _, vector = learnable(20)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(cs.MissingDependencyError, match=r"progress=True needs the package tqdm"):
        MultiTaskClassifier(GRAPH, progress=True).fit(X, softened(vector))


def test_a_bar_shows_the_epochs(monkeypatch):
    seen = []

    class Bar:
        def __init__(self, **options):
            seen.append(("open", options["total"]))

        def set_postfix(self, values):
            seen.append(("loss", "loss" in values))

        def update(self):
            seen.append(("update", None))

        def close(self):
            seen.append(("close", None))

    module = type(sys)("tqdm.auto")
    module.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    X, _, vector = learnable(20)
    MultiTaskClassifier(GRAPH, progress=True, max_epochs=1).fit(X, softened(vector))
    assert seen == [("open", 1), ("loss", True), ("update", None), ("close", None)]


@pytest.mark.parametrize("name", ["classifier", "losses", "network"])
def test_the_examples_in_the_docstrings_hold(name):
    module = importlib.import_module(f"consilience.torch.{name}")
    assert doctest.testmod(module, extraglobs={"torch": torch, "nn": nn}).failed == 0
