"""What the benches are asked, and write: results that are whole at any time, Markdown tables, pictures."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def read_arguments(doc: str, *, quick: str, repeats: int) -> argparse.Namespace:
    """Arguments of a bench that times cases: `quick`, `out` (which is made), `repeats`, words of `cases`."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument(
        "--cases", nargs="*", default=[""], metavar="WORD", help="only cases with such a name"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def read_results(path: Path) -> dict[str, Any]:
    """Results by name, as far as there are some."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep_result(path: Path, name: str, content: Any) -> None:
    """Write one result beside those that the file holds under other names."""
    results = read_results(path)
    results[name] = content
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    part.replace(path)  # whole at any time


def table_lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns line up."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[c]) for row in cells) for c in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def pyplot() -> Any:
    """matplotlib.pyplot that draws into files; None, with a line that says so, where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
