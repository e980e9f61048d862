"""Training of end models on short texts: how long it takes, and that they know more than their labels.

    python bench/end_model.py [--quick] [--threads 2] --out DIR

Texts are drawn: 12 words on average out of 5,000, some of which tell of a class, of six coarse classes with
five fine ones each. Soft labels are right on 70 % of the texts. Writes ``results.json`` and ``table.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import consilience as cs
from consilience.text import Vocabulary
from consilience.torch import LSTM, BagOfEmbeddings, MultiTaskClassifier

N_WORDS, WORDS_A_TEXT, RIGHT = 5_000, 12, 0.7
COARSE, FINE = 6, 5
GRAPH = cs.TaskGraph(
    {"coarse": COARSE, **{f"fine {c}": FINE for c in range(COARSE)}},
    parents={f"fine {c}": ("coarse", c) for c in range(COARSE)},
)
TRUNKS = {"LSTM": LSTM, "bag of embeddings": BagOfEmbeddings}


@dataclass(frozen=True)
class Result:
    """One training; accuracies are of whole label vectors, on texts that the training did not see."""

    trunk: str
    n_texts: int
    n_epochs: int
    seconds: float
    processor_seconds: float
    accuracy_of_labels: float
    accuracy_of_model: float


def draw(n: int, rng: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Texts, and the feasible label vector each is about: a word of that vector comes two or three times."""
    vector = rng.integers(0, GRAPH.n_vectors, n)
    common = np.minimum(rng.zipf(1.2, (n, 4 * WORDS_A_TEXT)) - 1, N_WORDS - 1)  # few words make up most of it
    # One of three is used: so the texts are those of earlier results.
    telling = N_WORDS - 1 - (vector[:, None] * 40 + rng.integers(0, 40, (n, 3))[:, :1])
    texts = []
    for i, length in enumerate(np.clip(rng.poisson(WORDS_A_TEXT, n), 3, 4 * WORDS_A_TEXT)):
        words = common[i, :length].copy()
        words[rng.permutation(length)[: rng.integers(2, 4)]] = telling[i]
        texts.append(" ".join(f"w{word}" for word in words))
    return texts, vector


def measure(trunk: str, n: int, rng: np.random.Generator) -> Result:
    """Train once and score on 2,000 further texts."""
    texts, vector = draw(n + 2_000, rng)
    noisy = np.where(rng.random(len(vector)) < RIGHT, vector, rng.integers(0, GRAPH.n_vectors, len(vector)))
    joint = np.eye(GRAPH.n_vectors)[noisy] * RIGHT + (1 - RIGHT) / GRAPH.n_vectors
    soft_labels = GRAPH.marginal(joint[:n])
    gold = {task: GRAPH.feasible_set[vector[n:], r] for r, task in enumerate(GRAPH.tasks)}
    start, processor = time.perf_counter(), time.process_time()
    vocabulary = Vocabulary.learn(texts[:n], max_words=N_WORDS)
    model = MultiTaskClassifier(GRAPH, TRUNKS[trunk](len(vocabulary)), random_state=0)
    model.fit(vocabulary.encode(texts[:n]), soft_labels)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    return Result(
        trunk=trunk,
        n_texts=n,
        n_epochs=len(model.history_),
        seconds=seconds,
        processor_seconds=processor,
        accuracy_of_labels=float((noisy == vector)[n:].mean()),
        accuracy_of_model=model.score(vocabulary.encode(texts[n:]), gold),
    )


def main() -> None:
    """Train each model and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 texts instead of 20,000")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and table.md")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)

    lines = ["| trunk | texts | epochs | seconds | of the processor | labels right | model right |"]
    lines.append("|---" * 7 + "|")
    results = []
    for trunk in TRUNKS:
        result = measure(trunk, 2_000 if arguments.quick else 20_000, np.random.default_rng(20190127))
        if not arguments.quick and result.accuracy_of_model < result.accuracy_of_labels:
            raise AssertionError(f"{result}: the model knows less than its labels")
        results.append(asdict(result))
        cells = [trunk, f"{result.n_texts:,}", result.n_epochs]
        cells += [f"{result.seconds:.1f}", f"{result.processor_seconds:.1f}"]
        cells += [f"{result.accuracy_of_labels:.3f}", f"{result.accuracy_of_model:.3f}"]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        print(lines[-1], flush=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    machine["threads"] = arguments.threads
    versions = {"consilience": cs.__version__, "torch": torch.__version__, "numpy": np.__version__}
    content = {"machine": machine, "versions": versions, "results": results}
    (arguments.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    (arguments.out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
