"""Eigen's headers are those of the release: nothing changed, added or lost."""

import hashlib
from pathlib import Path

import pytest

EIGEN = Path(__file__).parents[2] / "cpp" / "third_party" / "eigen"
OURS = {"MANIFEST.sha256", "README.md"}

pytestmark = pytest.mark.skipif(not EIGEN.is_dir(), reason="the sources are not beside the tests")


def manifest() -> dict[str, str]:
    lines = (EIGEN / "MANIFEST.sha256").read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def test_every_header_has_the_checksum_of_the_manifest():
    changed = [
        name
        for name, digest in manifest().items()
        if not (EIGEN / name).is_file() or hashlib.sha256((EIGEN / name).read_bytes()).hexdigest() != digest
    ]

    assert changed == []


def test_no_file_stands_beside_those_of_the_manifest():
    present = {path.relative_to(EIGEN).as_posix() for path in EIGEN.rglob("*") if path.is_file()}

    assert present - OURS == set(manifest())


def test_the_headers_are_those_of_release_3_4_0():
    macros = (EIGEN / "Eigen/src/Core/util/Macros.h").read_text(encoding="utf-8")

    version = [f"#define EIGEN_{part}_VERSION {n}" for part, n in (("WORLD", 3), ("MAJOR", 4), ("MINOR", 0))]
    assert [line for line in version if line not in macros] == []


def test_the_licences_stand_beside_the_headers():
    licences = {path.name for path in EIGEN.glob("COPYING.*")}

    assert {"COPYING.MPL2", "COPYING.BSD", "COPYING.APACHE"} <= licences
