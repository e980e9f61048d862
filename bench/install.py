"""From the sources to the end of the demo: seconds, and the size of what was installed.

    python bench/install.py

Makes a virtual environment in a temporary folder and runs the README's first command there, compiling
included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Install, run the demo, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        commands = (
            [
                environment / "bin" / "pip",
                "install",
                "--quiet",
                f"--config-settings=build-dir={folder}/build",
                ROOT,
            ],
            [environment / "bin" / "consilience", "demo"],
        )
        for command in commands:
            start = time.perf_counter()
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
            print(f"{Path(command[0]).name} {command[1]}: {time.perf_counter() - start:.1f} s")
        (package,) = environment.glob("lib/python*/site-packages/consilience")
        size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        print(f"installed, without NumPy: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
