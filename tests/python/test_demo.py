"""The demonstration: what it prints, and that its scores are what they claim to be."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.datasets import load_clinc, load_youtube
from consilience.demo import best_vectors, print_demo
from consilience.label_model import LabelModel


@pytest.fixture(scope="module")
def output() -> str:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *parts: lines.append(" ".join(map(str, parts))))
        print_demo()
    return "\n".join(lines)


def _row(output: str, start: str, occurrence: int = 0) -> list[float]:
    line = [line for line in output.splitlines() if line.startswith(start + " ")][occurrence]
    return [float(cell) for cell in line.removeprefix(start).split()]


def test_the_demo_is_short_and_fits_80_columns(output: str) -> None:
    lines = output.splitlines()

    assert len(lines) <= 85
    assert max(map(len, lines)) <= 80


def test_the_demo_shows_licences_verdicts_and_every_source(output: str) -> None:
    words = " ".join(output.split())
    for data in (load_youtube(), load_clinc()):
        assert data.licence in words
        assert data.attribution in words
        assert all(f"\n{source} " in output for source in data.source_names)
    assert words.count("Identifiable: yes") == 2


def test_the_label_model_beats_majority_vote_on_both_data_sets(output: str) -> None:
    for task in ("label", "all tasks"):
        majority, model = _row(output, task)
        assert model > majority


def test_the_accuracy_of_majority_vote_is_that_of_votes_counted_one_by_one(output: str) -> None:
    data = load_youtube()
    test = data.split == 2
    scores = []
    for votes, truth in zip(data.votes[test].tolist(), data.gold[test].tolist(), strict=True):
        counts = [votes.count(0), votes.count(1)]
        if any(counts):
            scores.append(0.5 if counts[0] == counts[1] else float(counts.index(max(counts)) == truth))

    assert _row(output, "label")[0] == pytest.approx(np.mean(scores), abs=5e-4)  # three decimals are printed
    assert f"{len(scores)} of {test.sum()} test items" in " ".join(output.split())


def test_the_accuracy_of_the_label_model_is_that_of_its_predictions(output: str) -> None:
    data = load_youtube()
    train, test = data.split == 0, data.split == 2
    voted = (data.votes[test] >= 0).any(axis=1)
    predicted = LabelModel(n_classes=2).fit(data.votes[train]).predict(data.votes[test])

    # Its probabilities do not tie here, so that every item counts wholly or not at all.
    assert _row(output, "label")[1] == pytest.approx((predicted == data.gold[test])[voted].mean(), abs=5e-4)


def test_ties_are_shared_equally() -> None:
    assert best_vectors(np.array([[2, 1, 2], [0, 3, 1]])).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
