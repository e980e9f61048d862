"""What all tests share: importable helpers, and property tests that draw the same cases every time."""

import sys
from pathlib import Path

import hypothesis

sys.path.insert(0, str(Path(__file__).parent))

hypothesis.settings.register_profile("consilience", deadline=None, derandomize=True)
hypothesis.settings.load_profile("consilience")
