"""Texts as word indices: a tokenizer and a vocabulary, for end models that read words in order."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilience.exceptions import FileFormatError, InvalidArgumentError, WrongTypeError, listed

__all__ = ["PADDING", "UNKNOWN", "Vocabulary", "tokenize"]

PADDING = 0
"""Index that fills the end of a short text."""

UNKNOWN = 1
"""Index of every word that the vocabulary does not hold."""

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]|_")


def tokenize(text: str) -> list[str]:
    """Words, numbers and punctuation marks of a text, in lower case.

    Examples
    --------
    >>> tokenize("Who's the 1st U.S. president?")
    ["who's", 'the', '1st', 'u', '.', 's', '.', 'president', '?']
    """
    return _TOKEN.findall(text.lower())


class Vocabulary:
    """Words with an index each; 0 is padding and 1 stands for every other word.

    Parameters
    ----------
    words : sequence of str
        Words in the order of their indices, which start at 2. As plain strings they go into any file.
    tokenizer : callable
        From a text to its words.

    Attributes
    ----------
    words : tuple of str
        As given.

    Raises
    ------
    InvalidArgumentError
        If a word comes twice.
    WrongTypeError
        If a word is no string.

    Examples
    --------
    >>> vocabulary = Vocabulary.learn(["book a flight", "book a hotel"], min_count=2)
    >>> vocabulary.words
    ('a', 'book')
    >>> vocabulary.encode(["Book the flight!", "a"]).tolist()
    [[3, 1, 1, 1], [2, 0, 0, 0]]
    """

    def __init__(self, words: Iterable[str], tokenizer: Callable[[str], Sequence[str]] = tokenize) -> None:
        self.words = tuple(_checked(words, "words"))
        self.tokenizer = tokenizer
        self._index = {word: index for index, word in enumerate(self.words, start=UNKNOWN + 1)}
        if len(self._index) < len(self.words):
            twice = [word for word, count in Counter(self.words).items() if count > 1]
            raise InvalidArgumentError(f"words must differ, {listed(twice)} come more than once")

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        *,
        max_words: int = 20_000,
        min_count: int = 2,
        tokenizer: Callable[[str], Sequence[str]] = tokenize,
    ) -> Vocabulary:
        """Vocabulary of the most frequent words of some texts.

        Parameters
        ----------
        texts : iterable of str
            Training texts.
        max_words : int
            How many words to keep at most; ties go by the alphabet.
        min_count : int
            How often a word must occur. With 2 the rarer ones teach a model what to make of unknown words.
        tokenizer : callable
            From a text to its words.

        Raises
        ------
        WrongTypeError
            If a text is no string.
        """
        for name, value, least in (("max_words", max_words, 0), ("min_count", min_count, 1)):
            if not isinstance(value, Integral) or value < least:
                raise InvalidArgumentError(f"{name} must be a whole number from {least} on, got {value!r}")
        counts = Counter(word for text in _checked(texts) for word in tokenizer(text))
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls([word for _, word in frequent[:max_words]], tokenizer)

    def __len__(self) -> int:
        """Number of indices: the words, padding, and the one for unknown words."""
        return len(self.words) + UNKNOWN + 1

    def __repr__(self) -> str:
        """One line: how many words, and the first of them."""
        return f"Vocabulary of {len(self.words)} words: {listed(self.words, 5)}"

    def encode(self, texts: Iterable[str], *, max_length: int = 256) -> NDArray[np.int32]:
        """Word indices of each text, padded at the end.

        Parameters
        ----------
        texts : iterable of str
            One an item.
        max_length : int
            Words kept of each text, from its start.

        Returns
        -------
        (n, length) int32 array
            `length` is that of the longest text, at least 1 and at most `max_length`.
        """
        if not isinstance(max_length, Integral) or max_length < 1:
            raise InvalidArgumentError(f"max_length must be a whole number from 1 on, got {max_length!r}")
        rows = [self.tokenizer(text)[:max_length] for text in _checked(texts)]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        codes = np.full((len(rows), max(lengths.max(initial=0), 1)), PADDING, dtype=np.int32)
        look_up = self._index.get
        codes[np.arange(codes.shape[1]) < lengths[:, None]] = [
            look_up(word, UNKNOWN) for row in rows for word in row
        ]
        return codes

    def embeddings(
        self, source: str | os.PathLike[str] | Mapping[str, ArrayLike], *, random_state: int = 0
    ) -> NDArray[np.float32]:
        """One vector a word, from vectors that were trained elsewhere.

        Parameters
        ----------
        source : path or mapping
            ``{word: (d,) vector}``, or a text file with a word and its numbers in each line, as GloVe,
            word2vec and fastText write them; a first line of two counts is skipped.
        random_state : int
            Seed of the vectors of words that `source` does not hold: normal, as spread out as the others.

        Returns
        -------
        (len(vocabulary), d) float32 array
            Row 0, padding, is zero.

        Raises
        ------
        InvalidArgumentError
            If vectors differ in length, or `source` holds no word of the vocabulary.
        FileFormatError
            If a line of the file is not a word with numbers.
        WrongTypeError
            If `source` is neither.
        OSError
            If the file cannot be read.
        """
        is_table = hasattr(source, "__contains__") and hasattr(source, "__getitem__")
        if not isinstance(source, (str, os.PathLike)) and (not is_table or isinstance(source, Sequence)):
            raise WrongTypeError(f"source must be a path or {{word: vector}}, got {type(source).__name__}")
        found = self._read_vectors(source) if isinstance(source, (str, os.PathLike)) else self._pick(source)
        if not found:
            raise InvalidArgumentError(
                f"source holds none of the {len(self.words)} words, such as {listed(self.words, 3)}: "
                "check that it is of the same language, and in lower case"
            )
        known = np.stack(list(found.values()))
        rng = np.random.default_rng(random_state)
        table = rng.normal(0, known.std(), (len(self), known.shape[1])).astype(np.float32)
        table[list(found)] = known
        table[PADDING] = 0
        return table

    def _pick(self, source: Mapping[str, ArrayLike]) -> dict[int, NDArray[np.float32]]:
        found = {
            index: np.asarray(source[word], dtype=np.float32)
            for word, index in self._index.items()
            if word in source
        }
        shapes = {vector.shape for vector in found.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise InvalidArgumentError(f"source must hold vectors of one length, got shapes {listed(shapes)}")
        for index, vector in found.items():
            if not np.isfinite(vector).all():
                raise InvalidArgumentError(f"source[{self.words[index - UNKNOWN - 1]!r}] is not finite")
        return found

    def _read_vectors(self, path: str | os.PathLike[str]) -> dict[int, NDArray[np.float32]]:
        found: dict[int, NDArray[np.float32]] = {}
        size = 0
        with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.strip()
                if number == 1 and re.fullmatch(r"\d+ \d+", text):
                    continue
                size = size or text.count(" ")
                word, *numbers = text.rsplit(" ", size)
                index = self._index.get(word)
                if len(numbers) != size or not size:
                    raise FileFormatError(
                        f"{os.fspath(path)}, line {number}: must hold a word and {size or 'its'} numbers"
                    )
                if index is None:
                    continue
                try:
                    vector = np.array(numbers, dtype=np.float32)
                except ValueError as error:
                    raise FileFormatError(f"{os.fspath(path)}, line {number}: {error}") from error
                if not np.isfinite(vector).all():
                    raise FileFormatError(f"{os.fspath(path)}, line {number}: must hold finite numbers")
                found[index] = vector
        return found


def _checked(texts: Iterable[str], argument: str = "texts") -> Iterator[str]:
    """The texts, one by one, each of them a string."""
    if isinstance(texts, str):
        raise WrongTypeError(f"{argument} must be a sequence of strings, got one string: pass it as [string]")
    if not isinstance(texts, Iterable):
        raise WrongTypeError(f"{argument} must be a sequence of strings, got {texts!r}")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise WrongTypeError(f"{argument}, row {row}: must be a string, got {type(text).__name__}")
        yield text
