"""Guard against kernels that become slow: instructions a row, counted by callgrind, beside recorded ones.

    python tests/instructions.py PROGRAM [--record]

PROGRAM is ``count_instructions`` of a Release build with ``CONSILIENCE_CPP_TESTS``. Counts do not depend on
how busy the machine is; the loops of the baseline instruction set run, so that hardly anything depends on the
processor. Compilers differ: only a kernel that takes a quarter more than recorded is an error. ``--record``
writes the present counts to ``instructions.json``, for a change that is meant to cost or save some.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

RECORDED = Path(__file__).with_name("instructions.json")
MOST = 1.25
"""Counts beyond this multiple of the recorded ones are an error."""

FEW = 0.8
"""Below this multiple it is time to record anew."""


def output_of(*command: object) -> tuple[str, str]:
    """What a command prints, and what it says beside that; it must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def count(program: Path, kernel: str, times: int) -> int:
    """Instructions of a process that runs a kernel so many times."""
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    _, said = output_of(*valgrind, program, kernel, times)
    found = re.search(r"Collected : (\d+)", said)
    if found is None:
        sys.exit(f"callgrind did not say what it collected:\n{said}")
    return int(found[1])


def main() -> None:
    """Count, compare and complain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--record", action="store_true", help="write the counts to instructions.json")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed (Debian: apt-get install valgrind)")
    recorded = json.loads(RECORDED.read_text())
    if platform.machine() not in ("x86_64", "AMD64"):
        print(f"NOT COMPARED: counts were recorded on x86_64, this is {platform.machine()}")
        return
    n_rows, *kernels = output_of(arguments.program)[0].splitlines()
    found, failed = {}, []
    for kernel in kernels:
        # What a process does beside the kernel is the same for one time as for two.
        of_rows = count(arguments.program, kernel, 2) - count(arguments.program, kernel, 1)
        found[kernel] = round(of_rows / int(n_rows), 1)
        before = recorded.get(kernel)
        ratio = float("nan") if before is None else found[kernel] / before
        print(f"{kernel:40s} {found[kernel]:8.1f} a row, {ratio:.2f} of what was recorded", flush=True)
        if not arguments.record and (before is None or ratio > MOST):
            failed.append(kernel)
        elif ratio < FEW:
            print("  far fewer than recorded: run with --record")
    if arguments.record:
        RECORDED.write_text(json.dumps(found, indent=1) + "\n")
    elif failed or set(recorded) - set(kernels):
        sys.exit(f"more than {MOST} times the recorded instructions, or not recorded: {failed}")


if __name__ == "__main__":
    main()
