"""The bundled demo data: what is in it, and that it is what was written."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
import pytest

from consilience.datasets import DemoData, load_clinc, load_youtube

Load = Callable[[], DemoData[Any]]

FOLDER = resources.files("consilience") / "data"
SUMS = [line.split("  ") for line in (FOLDER / "SHA256SUMS").read_text(encoding="ascii").splitlines()]


@pytest.mark.parametrize(("expected", "name"), SUMS, ids=[name for _, name in SUMS])
def test_a_bundled_file_has_its_checksum(expected: str, name: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == expected


def test_every_bundled_file_is_listed_documented_and_together_they_are_small() -> None:
    files = {path.name: len(path.read_bytes()) for path in FOLDER.iterdir() if path.is_file()}

    assert set(files) == {name for _, name in SUMS} | {"README.md", "SHA256SUMS"}
    assert sum(files.values()) < 400_000
    about = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(words in about for words in ("CC BY 4.0", "CC BY 3.0", "MIT License", "Changes:"))


@pytest.mark.parametrize("load", [load_youtube, load_clinc])
def test_every_data_set_names_its_licence_its_authors_and_what_was_changed(load: Load) -> None:
    data = load()

    assert data.licence.startswith("CC-BY-")
    assert "Changed:" in data.attribution
    assert data.description
    assert repr(data).startswith(f"DemoData('{data.name}', n_items=")


@pytest.mark.parametrize("load", [load_youtube, load_clinc])
def test_a_data_set_is_frozen_and_pickles(load: Load) -> None:
    data = load()

    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(data))
    assert isinstance(again, DemoData)
    assert again.source_names == data.source_names


@pytest.mark.parametrize("load", [load_youtube, load_clinc])
def test_two_loads_share_no_arrays(load: Load) -> None:
    first, second = load(), load()

    first.split[:] = 9
    assert second.split.max() <= 2


def test_the_youtube_votes_have_their_shapes_types_and_ranges() -> None:
    data = load_youtube()

    assert data.votes.shape == (2056, 10)
    assert data.gold.shape == data.split.shape == (2056,)
    assert data.votes.dtype == data.gold.dtype == data.split.dtype == np.int8
    assert data.classes == ("HAM", "SPAM")
    assert data.tasks is None
    assert data.parents is None
    assert len(data.source_names) == len(set(data.source_names)) == 10
    assert set(np.unique(data.votes)) == {-1, 0, 1}
    assert set(np.unique(data.gold)) == {0, 1}
    assert np.bincount(data.split).tolist() == [1686, 120, 250]


def test_every_youtube_source_votes_for_one_class_only() -> None:
    votes = load_youtube().votes

    assert [len(set(column[column >= 0])) for column in votes.T] == [1] * 10


def test_the_clinc_votes_have_their_shapes_types_and_ranges() -> None:
    data = load_clinc()

    assert data.classes is None
    assert data.tasks is not None
    assert data.parents is not None
    assert set(data.votes) == set(data.gold) == set(data.tasks)
    assert len(data.source_names) == len(set(data.source_names)) == 18
    for task, names in data.tasks.items():
        n_classes = len(names) + (task in data.parents)  # a child task also has N/A
        assert data.votes[task].shape == (1950, 18)
        assert data.gold[task].shape == (1950,)
        assert data.votes[task].dtype == data.gold[task].dtype == np.int8
        assert -1 == data.votes[task].min() <= data.votes[task].max() < n_classes
        assert np.array_equal(np.unique(data.gold[task]), np.arange(n_classes))
    assert np.bincount(data.split).tolist() == [1500, 0, 450]  # the validation items stay out


def test_the_clinc_items_are_texts_and_the_youtube_items_stay_out() -> None:
    texts = load_clinc().texts
    assert texts is not None
    assert len(texts) == 1950
    assert all(isinstance(text, str) and text for text in texts)
    assert load_youtube().texts is None


def test_the_clinc_tasks_are_a_tree_that_leaves_n_a_to_the_task_graph() -> None:
    data = load_clinc()
    assert data.tasks is not None
    assert data.parents is not None

    assert data.tasks["domain"] == ("banking", "credit_cards", "travel")
    assert {value for _, value in data.parents.values()} == set(data.tasks["domain"])
    assert {parent for parent, _ in data.parents.values()} == {"domain"}
    assert set(data.parents) == set(data.tasks) - {"domain"}
    assert all("N/A" not in names for names in data.tasks.values())


def test_clinc_gold_is_n_a_exactly_where_the_parent_has_another_value() -> None:
    data = load_clinc()
    assert data.tasks is not None
    assert data.parents is not None

    for child, (parent, value) in data.parents.items():
        applies = data.gold[parent] == data.tasks[parent].index(value)
        assert np.array_equal(data.gold[child] != len(data.tasks[child]), applies)


def test_each_clinc_intent_has_a_hundred_train_and_thirty_test_items() -> None:
    data = load_clinc()
    assert data.parents is not None

    for child in data.parents:
        for split, count in ((0, 100), (2, 30)):
            assert np.bincount(data.gold[child][data.split == split])[:5].tolist() == [count] * 5


def test_every_clinc_vote_vector_is_feasible() -> None:
    data = load_clinc()
    assert data.tasks is not None
    assert data.parents is not None

    for child, (parent, value) in data.parents.items():
        named = data.votes[child]
        within = (named >= 0) & (named < len(data.tasks[child]))
        outside = named == len(data.tasks[child])
        parent_votes, parent_value = data.votes[parent], data.tasks[parent].index(value)
        assert np.all(np.isin(parent_votes[within], [-1, parent_value]))
        assert not np.any(parent_votes[outside] == parent_value)


def test_only_the_source_that_rules_travel_out_votes_n_a() -> None:
    data = load_clinc()
    assert data.tasks is not None
    assert data.parents is not None

    voters = {
        (child, data.source_names[j])
        for child in data.parents
        for j in np.flatnonzero((data.votes[child] == len(data.tasks[child])).any(axis=0))
    }
    assert voters == {("travel_intent", "named_bank")}


def test_every_clinc_source_votes_and_coarse_and_fine_sources_meet() -> None:
    data = load_clinc()
    assert data.parents is not None
    votes_on = {task: data.votes[task] >= 0 for task in data.votes}

    coarse = votes_on["domain"]
    fine = np.logical_or.reduce([votes_on[child] for child in data.parents])
    assert (coarse | fine).any(axis=0).all()
    assert 4 <= coarse.any(axis=0).sum() < 18
    both = coarse.any(axis=1) & fine.any(axis=1)
    assert both.sum() > 500
