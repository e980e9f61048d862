"""Texts as word indices."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import consilience as cs
from consilience import text
from consilience.text import PADDING, UNKNOWN, Vocabulary, tokenize

TEXTS = ["Book a flight to Rome", "book a table", "What's my balance?", ""]


def test_a_vocabulary_holds_the_most_frequent_words_first_and_ties_by_the_alphabet():
    assert Vocabulary.learn(TEXTS, min_count=1).words[:4] == ("a", "book", "?", "balance")
    assert Vocabulary.learn(TEXTS).words == ("a", "book")
    assert Vocabulary.learn(TEXTS, min_count=1, max_words=1).words == ("a",)


def test_texts_become_indices_padded_at_the_end():
    vocabulary = Vocabulary(["a", "book"])
    codes = vocabulary.encode(TEXTS)
    assert codes.dtype == np.int32
    assert codes.tolist() == [[3, 2, 1, 1, 1], [3, 2, 1, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 0, 0]]
    assert codes.max() < len(vocabulary)


def test_long_texts_are_cut_and_no_text_is_an_empty_table():
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode(["a " * 100], max_length=7).shape == (1, 7)
    assert vocabulary.encode([]).shape == (0, 1)
    assert vocabulary.encode([""]).tolist() == [[PADDING]]


def test_a_vocabulary_made_from_the_words_of_another_encodes_alike():
    learned = Vocabulary.learn(TEXTS, min_count=1)
    np.testing.assert_array_equal(Vocabulary(learned.words).encode(TEXTS), learned.encode(TEXTS))


def test_another_tokenizer_may_split_as_it_likes():
    assert Vocabulary.learn(["ab ba"], tokenizer=list, min_count=2).words == ("a", "b")


def test_words_numbers_and_marks_of_any_script_are_tokens():
    assert tokenize("Où est l’hôtel n°5, 東京?") == ["où", "est", "l’hôtel", "n", "°", "5", ",", "東京", "?"]


@pytest.mark.parametrize("texts", ["one string", [b"bytes"], ["a", None], None, 3])
def test_what_is_no_text_is_refused_by_row(texts):
    with pytest.raises(cs.WrongTypeError, match=r"texts"):
        Vocabulary.learn(texts)


@pytest.mark.parametrize("words", ["abc", None, ["a", 3]])
def test_what_is_no_word_is_refused(words):
    with pytest.raises(cs.WrongTypeError, match=r"words"):
        Vocabulary(words)


@pytest.mark.parametrize(
    "options", [{"max_words": -1}, {"max_words": "all"}, {"min_count": 0}, {"min_count": 1.5}]
)
def test_numbers_of_words_that_cannot_be_are_refused(options):
    with pytest.raises(cs.InvalidArgumentError, match=f"{next(iter(options))} must be a whole number"):
        Vocabulary.learn(TEXTS, **options)
    with pytest.raises(cs.InvalidArgumentError, match="max_length must be a whole number"):
        Vocabulary(["a"]).encode(TEXTS, max_length="all")


def test_embeddings_of_what_is_no_source_are_refused():
    with pytest.raises(cs.WrongTypeError, match=r"source must be a path or \{word: vector\}, got int"):
        Vocabulary(["a"]).embeddings(3)


def test_a_word_that_comes_twice_is_refused():
    with pytest.raises(cs.InvalidArgumentError, match="'a' come more than once"):
        Vocabulary(["a", "b", "a"])


def test_embeddings_come_from_a_mapping_or_a_file_alike(tmp_path):
    vocabulary = Vocabulary(["a", "book", "rare"])
    vectors = {"book": [1.0, 2.0], "a": [3.0, 4.0], "other": [5.0, 6.0]}
    path = tmp_path / "vectors.txt"
    lines = [f"{word} {x} {y}" for word, (x, y) in vectors.items()]
    tables = [vocabulary.embeddings(vectors)]
    for header in ([], ["3 2"]):
        path.write_text("\n".join([*header, *lines]) + "\n", encoding="utf-8")
        tables.append(vocabulary.embeddings(path))
    for table in tables:
        np.testing.assert_array_equal(table[[PADDING, 2, 3]], [[0, 0], [3, 4], [1, 2]])
        assert table.dtype == np.float32
        assert np.isfinite(table).all()
        assert table[UNKNOWN].any()
        np.testing.assert_array_equal(table, tables[0])


@pytest.mark.parametrize("content", ["a 1 2\nbook 1\n", "a 1 x\n", "a 1 nan\n", "a\n"])
def test_a_line_that_is_no_word_with_numbers_is_named(content, tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(cs.FileFormatError, match=r"vectors.txt, line \d"):
        Vocabulary(["a", "book"]).embeddings(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"other": [1.0]}, "holds none of the 2 words"),
        ({"a": [1.0], "book": [1.0, 2.0]}, "vectors of one length"),
        ({"a": [np.nan]}, r"source\['a'\] is not finite"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(source, message):
    with pytest.raises(cs.InvalidArgumentError, match=message):
        Vocabulary(["a", "book"]).embeddings(source)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(text).failed == 0
