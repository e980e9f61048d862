"""README.md: its examples run, and its commands are the ones that are tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_there_are_short_examples_for_one_task_a_hierarchy_a_closer_look_and_an_end_model() -> None:
    assert len(EXAMPLES) == 4
    assert all(len(example.splitlines()) <= 15 for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=["one task", "hierarchy", "closer look", "end model"])
def test_an_example_runs_as_it_stands_and_its_shapes_are_true(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "consilience.torch" in example:
        pytest.importorskip("torch").set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    exec(compile(example, "README.md", "exec"), names)

    assert capsys.readouterr().out
    for name, shape in re.findall(r"^(\w+) = .*# .*?\((\d+,[ \d]*)\)", example, flags=re.MULTILINE):
        found = names[name]
        found = next(iter(found.values())) if isinstance(found, dict) else found
        assert list(found.shape) == [int(size) for size in re.findall(r"\d+", shape)], name


@pytest.mark.parametrize("command", ["pip install . && consilience demo", 'pip install ".[test]" && pytest'])
def test_each_of_the_two_commands_stands_alone_on_a_line(command: str) -> None:
    assert README.splitlines().count(command) == 1


def test_every_file_that_readme_points_to_exists() -> None:
    root = Path(__file__).parents[2]
    linked = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("http")]

    assert linked
    assert all((root / target).is_file() for target in linked)
