"""README.md and the pages it points to: examples run, and commands are the ones that are tested."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
END_MODEL = (ROOT / "docs" / "end_model.md").read_text(encoding="utf-8")


def examples_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


EXAMPLES = examples_of(README)


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
    check_shapes(example, names)


def check_shapes(example: str, names: dict[str, object]) -> None:
    for name, shape in re.findall(r"^(\w+) = .*# .*?\((\d+,[ \d]*)\)", example, flags=re.MULTILINE):
        found = names[name]
        found = next(iter(found.values())) if isinstance(found, dict) else found
        assert list(found.shape) == [int(size) for size in re.findall(r"\d+", shape)], name


def test_the_page_on_end_models_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch").set_num_threads(1)
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in examples_of(END_MODEL):
        if "import lightning" in example and importlib.util.find_spec("lightning") is None:
            continue
        with warnings.catch_warnings():
            if "import lightning" in example:  # it warns of loaders without workers, and of much else
                warnings.simplefilter("ignore")
            exec(compile(example, "docs/end_model.md", "exec"), names)
        check_shapes(example, names)
    assert len(capsys.readouterr().out.split()) >= 3


@pytest.mark.parametrize("command", ["pip install . && consilience demo", 'pip install ".[test]" && pytest'])
def test_each_of_the_two_commands_stands_alone_on_a_line(command: str) -> None:
    assert README.splitlines().count(command) == 1


def test_every_file_that_readme_points_to_exists() -> None:
    linked = [target for target in re.findall(r"\]\(([^)]+)\)", README) if not target.startswith("http")]

    assert linked
    assert all((ROOT / target).is_file() for target in linked)
