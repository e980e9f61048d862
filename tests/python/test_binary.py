"""What was compiled and installed: the CPUs it runs on, its size, its load time, what it carries."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import consilience
import consilience._core

ROOT = Path(__file__).parents[2]
SIMD = ROOT / "cpp" / "src" / "simd"
COMPILER = next(filter(shutil.which, [os.environ.get("CXX", ""), "c++", "g++", "clang++"]), None)

needs_sources = pytest.mark.skipif(not SIMD.is_dir(), reason="the sources are not beside the tests")
needs_nm = pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
BUILD_TOOL = next(filter(shutil.which, ["ninja", "make"]), None)
needs_compiler = pytest.mark.skipif(
    None in (COMPILER, BUILD_TOOL, shutil.which("cmake")),
    reason="no C++ compiler, cmake, ninja or make",
)


def test_dir_lists_public_names_and_sub_modules_anew_each_time():
    names = dir(consilience)
    assert names == sorted([*consilience.__all__, "datasets", "text", "torch"])
    names.clear()
    assert len(dir(consilience)) > len(consilience.__all__) > 30
    consilience.__dir__().clear()
    assert "LabelModel" in consilience.__all__
    for name in ("datasets", "text"):
        assert (
            python(f"from consilience import {name}; print({name}.__name__)").strip() == f"consilience.{name}"
        )


def run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python(code: str) -> str:
    return run(sys.executable, "-c", code)


@pytest.fixture(scope="module")
def simd_objects(tmp_path_factory):
    """Object files of cpp/src/simd, compiled with the flags of the real build."""
    build = tmp_path_factory.mktemp("simd")
    generator = {"ninja": "Ninja", "make": "Unix Makefiles"}[BUILD_TOOL]
    run("cmake", "-S", ROOT, "-B", build, "-G", generator, f"-DCMAKE_CXX_COMPILER={shutil.which(COMPILER)}")
    run("cmake", "--build", build, "--target", "consilience_simd")
    return {
        re.split(r"\.c", path.name)[0]: path for path in build.rglob("*.o*") if path.suffix in {".o", ".obj"}
    }


@needs_sources
@needs_nm
@needs_compiler
def test_instruction_set_files_share_no_symbol_that_the_linker_could_merge(simd_objects):
    loops = {name: path for name, path in simd_objects.items() if name.startswith("loops_")}

    # nm's letters for weak, vague-linkage, unique and common symbols; "w" and "v" are the undefined ones
    merged = {
        name: re.findall(r"^[0-9a-f]* *([VvWwuC]) (\S+)$", run("nm", path), flags=re.M)
        for name, path in loops.items()
    }

    assert "loops_baseline" in merged
    assert {name: symbols for name, symbols in merged.items() if symbols} == {}


@needs_sources
@needs_nm
@needs_compiler
def test_each_instruction_set_file_defines_its_table_of_loops_and_nothing_else(simd_objects):
    defined = {
        name: run("nm", "--extern-only", "--defined-only", path).splitlines()
        for name, path in simd_objects.items()
        if name.startswith("loops_")
    }

    assert {name: len(symbols) for name, symbols in defined.items()} == dict.fromkeys(defined, 1)


@needs_sources
def test_instruction_set_files_include_nothing_but_c_headers_intrinsics_and_themselves():
    allowed = {
        "loops.inc",
        "loops.hpp",
        "stddef.h",
        "stdint.h",
        "string.h",
        "math.h",
        "immintrin.h",
        "arm_neon.h",
    }
    files = [SIMD / "loops.inc", SIMD / "loops.hpp", *SIMD.glob("loops_*.cpp")]

    included = {
        header
        for path in files
        for header in re.findall(
            r'^\s*#\s*include\s+[<"]([^>"]+)', path.read_text(encoding="utf-8"), flags=re.M
        )
    }

    assert included <= allowed


@needs_nm
@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF symbol table")
def test_the_module_exports_its_initialiser_and_nothing_else_of_ours():
    strong = re.findall(
        r" [TDBR] (\S+)$", run("nm", "-D", "--defined-only", consilience._core.__file__), flags=re.M
    )

    assert strong == ["PyInit__core"]


def test_the_compiled_version_is_the_installed_one():
    assert (
        consilience.__version__ == consilience._core.__version__ == importlib.metadata.version("consilience")
    )


def test_the_installed_package_is_under_10_megabytes():
    files = {path for path in Path(consilience.__file__).parent.rglob("*") if path.suffix != ".pyc"}
    files.add(Path(consilience._core.__file__))

    assert sum(path.stat().st_size for path in files if path.is_file()) < 10e6


def test_the_licences_of_everything_compiled_in_are_installed():
    distribution = importlib.metadata.distribution("consilience")

    licences = {
        file.as_posix().partition("licenses/")[2] for file in distribution.files if "licenses/" in str(file)
    }

    assert {
        "LICENSE",
        "cpp/third_party/eigen/COPYING.MPL2",
        "cpp/third_party/eigen/COPYING.BSD",
        "cpp/third_party/eigen/COPYING.APACHE",
        "cpp/third_party/pybind11/LICENSE",
    } <= licences


def test_numpy_is_the_only_base_dependency():
    requirements = importlib.metadata.requires("consilience") or []

    assert [re.match(r"[\w-]+", r).group() for r in requirements if "extra ==" not in r] == ["numpy"]


def test_import_takes_less_than_300_milliseconds():
    code = "import time; t = time.process_time(); import consilience; print(time.process_time() - t)"

    seconds = [float(python(code)) for _ in range(5)]

    assert min(seconds) < 0.3  # of the processor: what else runs makes little difference


def test_import_loads_no_optional_dependency():
    optional = [
        "torch",
        "pandas",
        "polars",
        "scipy",
        "sklearn",
        "pyarrow",
        "narwhals",
        "matplotlib",
        "rich",
        "dask",
    ]
    code = f"import sys, json, consilience; print(json.dumps([m for m in {optional} if m in sys.modules]))"

    assert json.loads(python(code)) == []
