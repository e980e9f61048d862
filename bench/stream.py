"""Votes larger than memory: Parquet files in, labels out, and how much memory that takes.

    python bench/stream.py --items N --out DIR [--sources M] [--files F] [--threads T] [--keep]

Writes N items in F Parquet files into DIR/votes (once; later runs use them again), then runs each step in a
process of its own and prints its seconds and its peak of resident memory: Arrow decoding the files alone,
the sketch (``VoteStatistics.of``), a fit with ``method="moments"``, one with ``method="em"``, and
``predict_proba(out=...)``. The first 200,000 items are checked against the same fit and prediction in memory.
Writes ``results.json`` into DIR; compare the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

PER_FILE_SEED = 20190127
BLOCK = 1_000_000


def write_votes(folder: Path, n_items: int, n_sources: int, n_files: int) -> None:
    """Files of int8 votes, without nulls: two classes, 70 % abstentions, right in 60 to 90 % of the votes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    accuracy = np.linspace(0.9, 0.6, n_sources)
    ends = np.linspace(0, n_items, n_files + 1).astype(int)
    for number, (begin, end) in enumerate(pairwise(ends)):
        path = folder / f"{number:05d}.parquet"
        if path.exists():
            continue
        rng = np.random.default_rng((PER_FILE_SEED, number))
        schema = pa.schema([(f"source_{j}", pa.int8()) for j in range(n_sources)])
        with pq.ParquetWriter(path.with_suffix(".partial"), schema) as writer:
            for start in range(begin, end, BLOCK):
                n = min(BLOCK, end - start)
                label = rng.integers(0, 2, n, dtype=np.int8)
                columns = []
                for j in range(n_sources):
                    draw = rng.random(n, dtype=np.float32)
                    right = rng.random(n, dtype=np.float32) < accuracy[j]
                    columns.append(
                        pa.array(np.where(draw < 0.3, np.where(right, label, 1 - label), -1).astype(np.int8))
                    )
                writer.write_table(pa.table(columns, schema=schema))
        path.with_suffix(".partial").rename(path)


def decode(folder: Path, n_threads: int) -> None:
    """All that Arrow does, batch by batch."""
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20) as file:
            for _ in file.iter_batches(batch_size=2**18, use_threads=n_threads > 1):
                pass


def step(name: str, out: Path, n_threads: int) -> None:
    """One step, timed without the imports."""
    import pyarrow.parquet  # noqa: F401

    import consilience as cs

    votes = str(out / "votes" / "*.parquet")
    start, start_cpu = time.perf_counter(), time.process_time()
    if name == "decode":
        decode(out / "votes", n_threads)
    elif name == "sketch":
        cs.VoteStatistics.of(votes, n_classes=2, n_threads=n_threads)
    elif name == "predict":
        cs.load(out / "moments.model").predict_proba(votes, out=out / "labels.parquet")
    else:
        cs.LabelModel(n_classes=2, method=name, n_threads=n_threads).fit(votes).save(out / f"{name}.model")
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak}))


def run(name: str, out: Path, n_threads: int, repeats: int) -> dict[str, float]:
    """Median of a step over processes of its own."""
    found = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--out", str(out), "--threads", str(n_threads), "--step", name]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def check(out: Path) -> None:
    """The labels of the first items are those that the same model gives them in memory."""
    import pyarrow.parquet as pq

    import consilience as cs

    first = sorted((out / "votes").glob("*.parquet"))[0]
    part = next(pq.ParquetFile(first).iter_batches(batch_size=200_000))
    votes = np.column_stack([column.to_numpy() for column in part.columns])
    written = next(pq.ParquetFile(out / "labels.parquet").iter_batches(batch_size=200_000))
    expected = cs.load(out / "moments.model").predict_proba(votes)
    found = np.column_stack([written.column(name).to_numpy() for name in ("p_0", "p_1")])
    if not np.allclose(found[: len(expected)], expected[: len(found)], rtol=0, atol=1e-12):
        raise AssertionError("the labels in the file differ from those in memory")


def main() -> None:
    """Write the votes, run the steps, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--em", action="store_true", help="also a fit by EM, which keeps distinct rows")
    parser.add_argument("--keep", action="store_true", help="keep the files of votes and labels")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step(arguments.step, arguments.out, arguments.threads)
        return
    write_votes(arguments.out / "votes", arguments.items, arguments.sources, arguments.files)
    size = sum(path.stat().st_size for path in (arguments.out / "votes").glob("*.parquet"))
    print(f"{arguments.items:,} items x {arguments.sources} sources, {size / 2**20:,.0f} MiB of Parquet")
    names = ["decode", "sketch", "moments", *(["em"] if arguments.em else []), "predict"]
    results = {}
    for name in names:
        results[name] = run(name, arguments.out, arguments.threads, arguments.repeats)
        found, base = results[name], results["decode"]
        print(
            f"{name:8} {found['seconds']:8.2f} s  {found['seconds'] / base['seconds']:5.2f} x decode   "
            f"CPU {found['cpu_seconds']:8.2f} s  {found['cpu_seconds'] / base['cpu_seconds']:5.2f} x "
            f"decode   {found['peak_mib']:5.0f} MiB at most",
            flush=True,
        )
    check(arguments.out)
    sizes = {"items": arguments.items, "sources": arguments.sources, "parquet_bytes": size}
    settings = {"threads": arguments.threads, "cores": os.cpu_count()}
    content = {**sizes, **settings, "results": results}
    (arguments.out / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    if not arguments.keep:
        shutil.rmtree(arguments.out / "votes")
        (arguments.out / "labels.parquet").unlink()


if __name__ == "__main__":
    main()
