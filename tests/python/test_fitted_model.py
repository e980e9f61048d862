"""Saved models come back bit for bit; files of every release stay readable; damage is noticed.

``python tests/python/test_fitted_model.py`` writes the fixture of the present release. It is written once,
when the release is made, and never again.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
from enumeration import COARSE_AND_FINE, draw, hierarchy, single_task_with_pairs

import consilience as cs
from consilience.container import pack, unpack

FIXTURES = Path(__file__).parent / "fixtures"
KIND = "label model"


def fixed_model():
    """A tiny model in which nothing is drawn: four sources on three classes, each row with a count."""
    rows = [
        [0, 0, 0, -1],
        [1, 1, 1, 1],
        [2, 2, 2, 2],
        [0, 1, 0, 0],
        [1, 1, 2, -1],
        [2, 2, -1, 0],
        [0, 0, 1, 0],
    ]
    rows += [[1, -1, 1, 0], [2, 1, 2, 2], [-1, 0, 0, 1], [-1, -1, -1, -1]]
    counts = [50, 60, 55, 12, 14, 9, 11, 13, 15, 8, 10]
    votes = cs.Votes.from_dense(rows, classes=["ham", "spam", "egg"], source_names=["a", "b", "c", "d"])
    model = cs.LabelModel(classes=["ham", "spam", "egg"], class_balance=[0.3, 0.4, 0.3])
    return model.fit(votes, weights=counts)


ASKED = [[0, 0, 0, 0], [1, 2, 1, -1], [-1, -1, -1, 2], [-1, -1, -1, -1], [0, 1, 2, 1]]


def fitted_models():
    rng = np.random.default_rng(0)
    table = np.where(
        rng.random((2000, 5)) < 0.8, rng.integers(0, 2, (2000, 1)), rng.integers(-1, 2, (2000, 5))
    )
    deep = hierarchy(rng, COARSE_AND_FINE)
    tables, _ = draw(rng, deep, 3000)
    pairs = single_task_with_pairs(rng, 2)
    dependent, _ = draw(rng, pairs, 3000)
    names = np.array(["no", "yes", ""])[table]
    copies = np.where(rng.random((2000, 5)) < 0.7, table, table[:, [1, 2, 3, 4, 0]])
    one_sided = np.where(table == np.arange(5) % 2, table, -1)
    return {
        "auto": (cs.LabelModel(), table),
        "moments": (cs.LabelModel(method="moments", class_balance=[0.4, 0.6]), table),
        "completion": (cs.LabelModel(method="completion", n_classes=2), table),
        "majority": (cs.LabelModel(method="majority"), table),
        "missing abstentions": (cs.LabelModel(abstentions="missing"), table),
        "a cautious fit": (cs.LabelModel(), np.hstack([table, copies])),
        "a cautious fit of one-sided sources": (cs.LabelModel(), one_sided),
        "names": (cs.LabelModel(classes=["yes", "no"]), names),
        "a hierarchy": (cs.LabelModel(task_graph=deep.graph), tables),
        "dependencies": (cs.LabelModel(dependencies=pairs.dependencies), dependent),
        "dependencies in an array": (cs.LabelModel(dependencies=np.array(pairs.dependencies)[:1]), dependent),
        "NumPy parameters": (cs.LabelModel(n_classes=np.int64(2), random_state=np.int64(3)), table),
    }


MODELS = fitted_models()


def saved(model, tmp_path):
    model.save(tmp_path / "model")
    return cs.load(tmp_path / "model")


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_predicts_the_same_bits(tmp_path, name):
    model, votes = MODELS[name]
    again = saved(model.fit(votes), tmp_path)
    assert again.predict_joint(votes).tobytes() == model.predict_joint(votes).tobytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_is_saved_as_the_same_bytes(tmp_path, name):
    model, votes = MODELS[name]
    model.fit(votes).save(tmp_path / "first")
    cs.load(tmp_path / "first").save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_model_tells_the_same(tmp_path, name):
    model, votes = MODELS[name]
    again = saved(model.fit(votes), tmp_path)
    assert str(again.summary()) == str(model.summary())
    assert str(again.identifiability_) == str(model.identifiability_)
    assert again.accuracy_.tobytes() == model.accuracy_.tobytes()


def test_a_model_with_duplicates_comes_back(tmp_path):
    _, votes = MODELS["auto"]
    doubled = np.column_stack([votes, votes[:, 0]])
    with pytest.warns(cs.DuplicateSourcesWarning):
        model = cs.LabelModel().fit(doubled)
    assert saved(model, tmp_path).predict_proba(doubled).tobytes() == model.predict_proba(doubled).tobytes()


def test_a_model_that_kept_priors_comes_back_without_a_warning(tmp_path):
    _, votes = MODELS["auto"]
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel().fit(votes[:, :2])
    again = saved(model, tmp_path)
    assert again.predict_proba(votes[:, :2]).tobytes() == model.predict_proba(votes[:, :2]).tobytes()


def test_a_model_with_unlearned_dependent_sources_comes_back(tmp_path):
    _, votes = MODELS["auto"]
    with pytest.warns(cs.NotIdentifiableWarning):
        model = cs.LabelModel(dependencies=[(0, 1), (2, 3), (3, 4)]).fit(votes)
    assert saved(model, tmp_path).predict_proba(votes).tobytes() == model.predict_proba(votes).tobytes()


def test_the_parameters_come_back(tmp_path):
    model = cs.LabelModel(n_classes=2, class_balance=[0.4, 0.6], dependencies=[(0, 1)], method="moments")
    again = saved(model.fit(MODELS["auto"][1]), tmp_path)
    assert again.get_params() == model.get_params()


def test_the_model_that_was_fitted_is_saved_and_not_the_parameters_set_since(tmp_path):
    _, votes = MODELS["auto"]
    model = cs.LabelModel(n_classes=2).fit(votes)
    expected = model.predict_proba(votes).tobytes()
    again = saved(model.set_params(method="majority", class_balance=[0.9, 0.1]), tmp_path)
    assert again.predict_proba(votes).tobytes() == expected


def test_a_folder_is_no_model_and_says_so(tmp_path):
    with pytest.raises(cs.FileFormatError, match="is a folder: give the file"):
        cs.load(tmp_path)
    with pytest.raises(cs.WrongTypeError, match=r"path must be a path, .* got int"):
        cs.load(3)


def test_a_loaded_model_learns_on(tmp_path):
    _, votes = MODELS["auto"]
    half = cs.LabelModel(n_classes=2, method="moments").fit(votes[:1000])
    grown = saved(half, tmp_path).partial_fit(votes[1000:])
    whole = cs.LabelModel(n_classes=2, method="moments").fit(votes)
    assert grown.predict_proba(votes).tobytes() == whole.predict_proba(votes).tobytes()


def test_the_same_fit_is_saved_as_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        fixed_model().save(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


# Files of earlier releases


@pytest.mark.parametrize("release", ["0.1.0"])
def test_the_file_of_a_release_predicts_what_it_did_then(release):
    model = cs.load(FIXTURES / f"label_model_{release}.consilience")
    expected = [
        [0.9999999739042356, 1.7231842341185263e-08, 8.863921989652373e-09],
        [0.00012017011221537065, 0.9984687825618814, 0.0014110473259031804],
        [0.023879134140976574, 0.020951700092855574, 0.9551691657661678],
        [0.3, 0.4000000000000001, 0.3],
        [0.7656744548634059, 0.23088937517390226, 0.003436169962691833],
    ]
    np.testing.assert_allclose(model.predict_proba(ASKED), expected, rtol=0, atol=1e-12)
    assert model.predict(ASKED).tolist() == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("release", ["0.1.0"])
def test_the_file_of_a_release_keeps_names(release):
    model = cs.load(FIXTURES / f"label_model_{release}.consilience")
    assert (list(model.classes_), list(model.source_names_)) == (["ham", "spam", "egg"], ["a", "b", "c", "d"])


@pytest.mark.parametrize("release", ["0.1.0"])
@pytest.mark.filterwarnings("ignore:the rows of earlier votes")
def test_the_file_of_a_release_learns_on(release):
    model = cs.load(FIXTURES / f"label_model_{release}.consilience")
    more = cs.Votes.from_dense(ASKED, classes=["ham", "spam", "egg"], source_names=["a", "b", "c", "d"])
    assert np.isfinite(model.partial_fit(more).predict_proba(ASKED)).all()


# Damage


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model"
    fixed_model().save(path)
    return path.read_bytes()


def load_bytes(data, tmp_path):
    (tmp_path / "model").write_bytes(data)
    return cs.load(tmp_path / "model")


def test_any_changed_byte_is_a_file_format_error(data, tmp_path):
    for position in range(0, len(data), 37):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(cs.FileFormatError, match="model"):
            load_bytes(bytes(damaged), tmp_path)


def test_a_file_cut_anywhere_is_a_file_format_error(data, tmp_path):
    for length in range(0, len(data), 101):
        with pytest.raises(cs.FileFormatError):
            load_bytes(data[:length], tmp_path)


def test_bytes_after_the_end_are_a_file_format_error(data, tmp_path):
    with pytest.raises(cs.FileFormatError):
        load_bytes(data + b"\0", tmp_path)


def test_statistics_are_no_model(tmp_path):
    with pytest.raises(cs.FileFormatError, match="vote statistics"):
        load_bytes(cs.VoteStatistics.of([[0, 1]]).to_bytes(), tmp_path)


def test_a_pickle_is_no_model(tmp_path):
    with pytest.raises(cs.FileFormatError):
        load_bytes(pickle.dumps(fixed_model()), tmp_path)


def array(name, change):
    def changed(header, arrays):
        return header, {**arrays, name: change(arrays[name])}

    return changed


def without(name):
    return lambda header, arrays: (header, {key: value for key, value in arrays.items() if key != name})


def param(name, value):
    return lambda header, arrays: ({**header, "params": {**header["params"], name: value}}, arrays)


def put(value, *at):
    def change(values):
        values = np.array(values)
        values[at] = value
        return values

    return change


HOSTILE = {
    "no statistics": without("statistics"),
    "no tables": without("tables"),
    "statistics that are noise": array("statistics", lambda a: a[::-1].copy()),
    "a NaN in a table": array("tables", put(np.nan, 0, 0)),
    "a negative probability": array("tables", put(-0.1, 0, 0)),
    "a probability above 1": array("tables", put(1.5, 0, 0)),
    "a vote that is impossible": array("tables", put(0.0, 0, 0)),
    "a column that does not sum to 1": array("tables", lambda a: a * 0.5),
    "tables of integers": array("tables", lambda a: np.zeros(a.shape, dtype=np.int64)),
    "too few tables": array("tables", lambda a: a[:-1]),
    "a negative count of events": array("n_events", put(-1, 0)),
    "counts of events that wrap around": array("n_events", put(2**62, 0)),
    "an event of no class": array("events", put(99, 0, 0)),
    "an event below -1": array("events", put(-7, 0, 0)),
    "an event twice": array("events", lambda a: np.zeros_like(a)),
    "events of floats": array("events", lambda a: a + 0.5),
    "a source that repeats none": array("first", put(99, 0)),
    "a source that repeats a negative one": array("first", put(-1, 0)),
    "a source that repeats a fraction": array("first", lambda a: a + 0.5),
    "too few learned": array("learned", lambda a: a[:-1]),
    "a class balance of another length": array("class_balance", lambda a: a[:-1]),
    "a class balance of zeros": array("class_balance", lambda a: a * 0),
    "an unknown method": param("method", "magic"),
    "a method of another type": param("method", 7),
    "unknown abstentions": param("abstentions", "sometimes"),
    "an unknown parameter": param("colour", "red"),
    "a dependency out of range": param("dependencies", [[0, 99]]),
    "dependencies of another type": param("dependencies", 5),
    "a task graph of another type": param("task_graph", "graph"),
    "no parameters": lambda header, arrays: ({**header, "params": {}}, arrays),
    "parameters in a list": lambda header, arrays: ({**header, "params": []}, arrays),
    "notes of another type": lambda header, arrays: ({**header, "notes": 3}, arrays),
    "too few notes": lambda header, arrays: ({**header, "notes": []}, arrays),
    "no header": lambda header, arrays: ({}, arrays),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_file_whose_parts_do_not_fit_is_a_file_format_error(data, tmp_path, hostile):
    with pytest.raises(cs.FileFormatError):
        load_bytes(pack(KIND, *HOSTILE[hostile](*unpack(data, KIND))), tmp_path)


# Writing


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(cs.NotFittedError):
        cs.LabelModel().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_saving_replaces_the_file_as_a_whole(data, tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    fixed_model().save(tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        fixed_model().save(tmp_path / "nowhere" / "model")


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        cs.load(tmp_path / "nothing")


def test_paths_may_be_strings(tmp_path):
    fixed_model().save(str(tmp_path / "model"))
    assert cs.load(str(tmp_path / "model")).predict(ASKED).tolist() == [0, 1, 2, 1, 0]


if __name__ == "__main__":
    fixed_model().save(FIXTURES / f"label_model_{cs.__version__}.consilience")
