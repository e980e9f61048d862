"""What all tests share: importable helpers, and property tests that draw the same cases every time."""

import sys
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).parent))

hypothesis.settings.register_profile("consilience", deadline=None, derandomize=True)
hypothesis.settings.load_profile("consilience")


def pytest_addoption(parser):
    parser.addoption("--problems", type=int, default=24, help="random problems that each method is to answer")
