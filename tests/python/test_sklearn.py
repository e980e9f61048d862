"""LabelModel among the tools of scikit-learn: clones, pipelines, cross-validation, labels given second."""

import numpy as np
import pytest

import consilience as cs

base = pytest.importorskip("sklearn.base")
from sklearn.metrics import get_scorer  # noqa: E402
from sklearn.model_selection import cross_val_predict  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils import get_tags  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 600)
    votes = np.where(rng.random((600, 5)) < [0.9, 0.8, 0.7, 0.8, 0.6], gold[:, None], 1 - gold[:, None])
    votes[rng.random(votes.shape) < 0.2] = -1
    return votes, gold


def test_a_clone_has_every_parameter_and_nothing_that_was_learned(data):
    votes, _ = data
    model = cs.LabelModel(
        task_graph=cs.TaskGraph.single(2),
        class_balance=[0.5, 0.5],
        dependencies=[(0, 1)],
        method="em",
        trusted=[0],
        accuracy_prior={1: (0.8, 5)},
        ordered=False,
    ).fit(votes)
    clone = base.clone(model)
    assert clone.get_params() == model.get_params()
    assert not [name for name in vars(clone) if name.endswith("_")]
    np.testing.assert_array_equal(clone.fit(votes).predict_proba(votes), model.predict_proba(votes))


def test_tags_say_classifier_that_needs_no_labels():
    tags = get_tags(cs.LabelModel())
    assert base.is_classifier(cs.LabelModel())
    assert not tags.target_tags.required
    assert tags.input_tags.sparse


def test_scikit_learn_sees_whether_a_model_is_fitted(data):
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(cs.LabelModel())
    check_is_fitted(cs.LabelModel().fit(data[0]))


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_cross_validated_answers_are_those_of_fits_to_the_other_folds(data, method):
    votes, _ = data
    found = cross_val_predict(cs.LabelModel(n_classes=2), votes, cv=3, method=method)
    for fold in np.split(np.arange(600), 3):
        model = cs.LabelModel(n_classes=2).fit(np.delete(votes, fold, axis=0))
        np.testing.assert_array_equal(found[fold], getattr(model, method)(votes[fold]))


def test_cross_validation_hands_over_gold_and_weights_by_name(data):
    votes, gold = data
    known = np.where(np.arange(600) % 3 == 0, gold, -1)
    params = {"y": known, "weights": np.arange(600) % 2 + 1}
    found = cross_val_predict(cs.LabelModel(n_classes=2), votes, cv=2, method="predict_proba", params=params)
    first, rest = np.arange(300), np.arange(300, 600)
    model = cs.LabelModel(n_classes=2).fit(votes[rest], params["weights"][rest], known[rest])
    np.testing.assert_array_equal(found[first], model.predict_proba(votes[first]))


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "f1", "average_precision", "accuracy"])
def test_scikit_learn_scores_the_labels_by_gold(data, scoring):
    votes, gold = data
    score = get_scorer(scoring)(cs.LabelModel(n_classes=2).fit(votes), votes, gold)
    assert score > (-0.5 if scoring == "neg_log_loss" else 0.85)


def test_classes_are_an_array_of_one_type_or_of_the_names_as_they_are(data):
    votes, _ = data
    assert cs.LabelModel().fit(votes).classes_.dtype.kind == "i"
    assert cs.LabelModel(classes=["ham", "spam"]).fit(votes).classes_.dtype.kind == "U"
    assert cs.LabelModel(classes=["ham", 1]).fit(votes).classes_.tolist() == ["ham", 1]


def test_a_pipeline_ends_with_a_label_model(data):
    votes, gold = data
    texts = np.array([[" ".join(map(str, row))] for row in votes])
    pipeline = make_pipeline(
        FunctionTransformer(lambda X: np.array([text.split() for text in X[:, 0]], dtype=np.int64)),
        cs.LabelModel(n_classes=2),
    )
    found = base.clone(pipeline).fit(texts).predict(texts)
    assert (found == gold).mean() > 0.85
    np.testing.assert_array_equal(found, cs.LabelModel(n_classes=2).fit(votes).predict(votes))


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        (lambda gold: np.where(np.arange(600) < 50, gold, -1), cs.InvalidArgumentError),
        (lambda gold: np.where(np.arange(600) < 50, gold, -1).tolist(), cs.InvalidArgumentError),
        (lambda gold: np.where(gold == 1, "spam", "ham"), cs.WrongTypeError),
        (lambda gold: np.where(gold == 1, "spam", None), cs.WrongTypeError),
        (lambda gold: {"label": gold}, cs.WrongTypeError),
    ],
)
def test_labels_in_the_place_of_weights_are_refused_with_a_word_on_y(data, labels, error):
    votes, gold = data
    with pytest.raises(error, match=r"weights come second; .* give them as y="):
        cs.LabelModel(n_classes=2).fit(votes, labels(gold))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64])
@pytest.mark.parametrize("stream", [False, True])
def test_labels_of_every_item_in_the_place_of_weights_are_warned_of(dtype, stream):
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 3, 300)
    votes = np.where(rng.random((300, 5)) < 0.8, gold[:, None], rng.integers(0, 3, (300, 5)))
    given = (lambda: iter([votes])) if stream else votes
    with pytest.warns(
        cs.ConsilienceWarning, match=r"0 to 2 for 3 classes; .* fit\(votes, y=gold\)"
    ) as caught:
        cs.LabelModel(n_classes=3).fit(given, gold.astype(dtype))
    assert caught[0].filename == __file__
    with pytest.warns(cs.ConsilienceWarning, match="look like class labels"):
        cs.LabelModel(n_classes=3).partial_fit(votes, gold.astype(dtype))


@pytest.mark.filterwarnings("ignore::consilience.NotIdentifiableWarning")
@pytest.mark.parametrize(
    "weights_of",
    [
        lambda gold: gold == 1,  # a mask
        lambda gold: gold + 1,
        lambda gold: 2 * gold,  # beyond the classes
        lambda gold: gold / 2,
        np.ones_like,
        lambda gold: np.full(len(gold), 1.0),
    ],
)
def test_weights_that_are_no_labels_are_taken_without_a_word(data, weights_of):
    votes, gold = data
    cs.LabelModel(n_classes=2).fit(votes, weights_of(gold))  # warnings are errors here
    cs.LabelModel(n_classes=2).partial_fit(votes, weights_of(gold))


def test_weights_beside_gold_are_not_taken_for_labels(data):
    votes, gold = data
    cs.LabelModel(n_classes=2).fit(votes, gold, gold)


def test_labels_in_a_pipeline_or_a_cross_validation_are_refused_with_a_word_on_y(data):
    votes, gold = data
    known = np.where(np.arange(600) < 50, gold, -1)
    with pytest.raises(cs.InvalidArgumentError, match="give them as y="):
        make_pipeline(FunctionTransformer(), cs.LabelModel(n_classes=2)).fit(votes, known)
    with pytest.raises(cs.InvalidArgumentError, match="give them as y="):
        cross_val_predict(cs.LabelModel(n_classes=2), votes, known, cv=2)
