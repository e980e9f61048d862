"""Write the bundled demo data from the raw folders.

Usage::

    python bench/demo_data/make_demo_data.py YOUTUBE CLINC150 [--out python/consilience/data]

A raw folder holds ``labels.npz`` (``y`` (n,) gold class; ``split`` (n,), 0 train, 1 validation, 2 test; for
YouTube also ``L`` (n, m) votes, -1 = abstain) and ``meta.json`` (``class_names``; for YouTube also
``source_names``; for CLINC150 also ``coarse_class_names`` and ``fine_parent``). CLINC150's queries are in
``texts.jsonl.gz``, one ``{"text": ...}`` a line. Per data set one ``.npz`` (arrays, no pickles) and one
``.json`` (names, licence) are written, then the checksums of all.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from clinc_sources import PARENTS, SOURCES, TASKS
from numpy.typing import NDArray

YOUTUBE_ABOUT = {
    "name": "youtube",
    "description": (
        "Comments under five music videos, spam or not; ten sources: keywords, length, two tools of text "
        "analysis. Some comments occur more than once."
    ),
    "licence": "CC-BY-4.0 (gold), MIT (votes)",
    "attribution": (
        "YouTube Spam Collection by T. C. Alberto, J. V. Lochter and T. A. Almeida, UCI Machine Learning "
        "Repository, CC BY 4.0; votes of the sources in the WRENCH benchmark (J. Zhang et al., 2021), after "
        "the Snorkel spam tutorial, as archived in the WeShap repository under the MIT licence. Changed: "
        "comments left out, arrays repacked."
    ),
}
CLINC_ABOUT = {
    "name": "clinc",
    "description": (
        "Queries to an assistant: three domains with five intents each, from CLINC150. Eighteen keyword "
        "sources vote on domains and intents; they were written from the validation split, which "
        "is left out here."
    ),
    "licence": "CC-BY-3.0",
    "attribution": (
        "CLINC150 by S. Larson, A. Mahendran, J. J. Peper, C. Clarke, A. Lee, P. Hill, J. K. Kummerfeld, "
        "K. Leach, M. A. Laurenzano, L. Tang and J. Mars (EMNLP-IJCNLP 2019), CC BY 3.0. Changed: 15 of 150 "
        "intents, train and test splits only, votes of our own sources added."
    ),
}
SPLITS = {"train": 0, "validation": 1, "test": 2}


def read_raw(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and description of a raw folder."""
    with np.load(folder / "labels.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}, json.loads((folder / "meta.json").read_text())


def write(out: Path, stem: str, arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> None:
    """Write one data set as ``stem.npz`` and ``stem.json``."""
    np.savez_compressed(out / f"{stem}.npz", **arrays)  # type: ignore[arg-type]
    (out / f"{stem}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def make_youtube(folder: Path, out: Path) -> None:
    """Repack votes, gold and split; the comments are not shipped."""
    raw, meta = read_raw(folder)
    arrays = {
        "votes": raw["L"].astype(np.int8),
        "gold": raw["y"].astype(np.int8),
        "split": raw["split"].astype(np.int8),
        "source_names": np.array(meta["source_names"]),
    }
    write(out, "youtube_votes", arrays, {**YOUTUBE_ABOUT, "classes": meta["class_names"], "splits": SPLITS})


def make_clinc(folder: Path, out: Path) -> None:
    """Apply the sources to the train and test queries of the sub-tree."""
    raw, meta = read_raw(folder)
    classes = {task: [*names, "N/A"] if task in PARENTS else list(names) for task, names in TASKS.items()}
    intents = {name for task in PARENTS for name in TASKS[task]}
    names = [meta["class_names"][y] for y in raw["y"]]
    items = [i for i, name in enumerate(names) if name in intents and raw["split"][i] != SPLITS["validation"]]
    with gzip.open(folder / "texts.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]

    votes = {task: np.full((len(items), len(SOURCES)), -1, dtype=np.int8) for task in TASKS}
    gold = {task: np.empty(len(items), dtype=np.int8) for task in TASKS}
    for row, i in enumerate(items):
        for column, source in enumerate(SOURCES):
            for task, name in source(texts[i]).items():
                votes[task][row, column] = classes[task].index(name)
        domain = meta["coarse_class_names"][meta["fine_parent"][raw["y"][i]]]
        gold["domain"][row] = classes["domain"].index(domain)
        for task, (_, parent_value) in PARENTS.items():
            gold[task][row] = classes[task].index(names[i] if domain == parent_value else "N/A")

    arrays = {
        **{f"votes/{task}": table for task, table in votes.items()},
        **{f"gold/{task}": column for task, column in gold.items()},
        "split": raw["split"][items].astype(np.int8),
        "source_names": np.array([source.__name__ for source in SOURCES]),
        "texts": np.array([texts[i] for i in items]),
    }
    write(out, "clinc_votes", arrays, {**CLINC_ABOUT, "tasks": TASKS, "parents": PARENTS, "splits": SPLITS})


def main() -> None:
    """Write both data sets and ``SHA256SUMS``."""
    parser = argparse.ArgumentParser(description="Write the bundled demo data from the raw folders.")
    parser.add_argument("youtube", type=Path, help="raw folder of the YouTube votes")
    parser.add_argument("clinc150", type=Path, help="raw folder of CLINC150")
    default = Path(__file__).resolve().parents[2] / "python" / "consilience" / "data"
    parser.add_argument("--out", type=Path, default=default, help="where to write (default: the package)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    make_youtube(options.youtube, options.out)
    make_clinc(options.clinc150, options.out)
    written = sorted(path for path in options.out.iterdir() if path.suffix in {".npz", ".json"})
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in written)
    (options.out / "SHA256SUMS").write_text(sums, encoding="ascii")


if __name__ == "__main__":
    main()
