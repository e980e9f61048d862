"""The container: what goes in comes out, what is damaged is refused, what fails leaves nothing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from consilience import container
from consilience.container import FORMAT_VERSION, MAGIC, pack, read_file, unpack, write_atomically
from consilience.exceptions import FileFormatError, InvalidArgumentError, WrongTypeError

HEADER = {"classes": ["HAM", "SPAM"], "n": 3, "nested": {"é": None}}
ARRAYS = {"mu": np.array([[0.25, -1.0], [1e300, 0.0]]), "n": np.array(7, np.int8), "none": np.zeros((0, 4))}
DATA = pack("label model", HEADER, ARRAYS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
numbers = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.unsigned_integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
)
arrays = hnp.arrays(numbers, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))


def sealed(content: object, payload: bytes = b"", version: int = FORMAT_VERSION) -> bytes:
    """A file with a valid checksum around any content, as an attacker would write it."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    start = struct.pack("<12sIQ", MAGIC, version, len(text)) + text
    body = start + bytes(-len(start) % 64) + payload
    return body + hashlib.sha256(body).digest()


def with_entry(payload: bytes = bytes(64), **changes: object) -> bytes:
    entry = {"name": "a", "dtype": "<f8", "shape": [2], "offset": 0} | changes
    return sealed({"kind": "label model", "header": {}, "arrays": [entry]}, payload)


@given(st.dictionaries(st.text(), json_values, max_size=3), st.dictionaries(st.text(), arrays, max_size=3))
def test_what_is_packed_comes_back_equal(header: dict[str, Any], given_arrays: dict[str, Any]) -> None:
    found_header, found = unpack(pack("votes", header, given_arrays), "votes")

    assert found_header == header
    assert list(found) == list(given_arrays)
    for name, array in given_arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=False)
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape


def test_arrays_come_back_writable_and_in_c_order_from_any_memory_order() -> None:
    strided = np.asfortranarray(np.arange(24).reshape(4, 6))[::2, ::-1]

    _, found = unpack(pack("k", {}, {"a": strided}), "k")

    np.testing.assert_array_equal(found["a"], strided)
    assert found["a"].flags.writeable
    assert found["a"].flags.c_contiguous


def test_the_payload_is_aligned_to_64_bytes() -> None:
    raw = np.full(8, 0x5A, np.uint8)

    data = pack("k", {"text": "x" * 17}, {"a": raw[:1], "b": raw})

    assert data.index(raw.tobytes()) % 64 == 0


def test_equal_arguments_give_equal_bytes() -> None:
    assert pack("label model", HEADER, ARRAYS) == DATA


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(position: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[position] ^= change

    with pytest.raises(FileFormatError):
        unpack(bytes(damaged), "label model")


@given(st.integers(0, len(DATA) - 1))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(FileFormatError):
        unpack(DATA[:length], "label model")


@given(st.binary(max_size=200), st.booleans())
def test_bytes_of_another_origin_are_refused(data: bytes, starts_alike: bool) -> None:
    with pytest.raises(FileFormatError):
        unpack(MAGIC + data if starts_alike else data, "label model")


@given(st.binary(max_size=120) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_header_with_a_valid_checksum_is_refused_with_the_same_error(text: bytes) -> None:
    with pytest.raises(FileFormatError):
        unpack(sealed(text), "label model")


@pytest.mark.parametrize(
    "data",
    [
        with_entry(shape=[-2]),
        with_entry(shape=[2, True]),
        with_entry(shape=[1.0]),
        with_entry(shape=[2**62, 2**62]),
        with_entry(shape=[0, 2**62, 2**62]),
        with_entry(shape=[0, 10**30]),
        with_entry(shape=[1] * 65),
        with_entry(shape="2"),
        with_entry(shape=[9]),
        with_entry(offset=-64),
        with_entry(offset=64),
        with_entry(offset=8),
        with_entry(offset=10**30),
        with_entry(offset=None),
        with_entry(dtype="|O"),
        with_entry(dtype=">f8"),
        with_entry(dtype="<U4"),
        with_entry(dtype="f8,O"),
        with_entry(dtype=["<f8"]),
        with_entry(name=3),
        with_entry(dtype="|b1", payload=b"\1\2".ljust(64, b"\0")),
        with_entry(payload=bytes(128)),
        with_entry(payload=b""),
        sealed({"kind": "label model", "header": {}, "arrays": [3]}),
        sealed(b'{"kind": "label model", "header": {"x": NaN}, "arrays": []}'),
        sealed(b"[" * 200_000),
        sealed(b"1" * 10_000),
    ],
)
def test_a_hostile_header_is_refused(data: bytes) -> None:
    with pytest.raises(FileFormatError, match="malformed"):
        unpack(data, "label model")


def test_arrays_may_not_share_bytes_so_that_a_small_file_cannot_ask_for_much_memory() -> None:
    entries = [{"name": str(i), "dtype": "<f8", "shape": [8], "offset": 0} for i in range(1000)]

    with pytest.raises(FileFormatError, match="array '1'"):
        unpack(sealed({"kind": "k", "header": {}, "arrays": entries}, bytes(64)), "k")


def test_another_kind_is_refused_and_both_kinds_are_named() -> None:
    with pytest.raises(FileFormatError, match=r"m\.csl holds 'label model', not 'vote statistics'"):
        unpack(DATA, "vote statistics", name="m.csl")


def test_a_newer_format_asks_for_an_upgrade() -> None:
    with pytest.raises(FileFormatError, match="upgrade consilience"):
        unpack(sealed({}, version=FORMAT_VERSION + 1), "label model")


def test_unpack_takes_bytes_only() -> None:
    with pytest.raises(WrongTypeError, match="str"):
        unpack("consilience", "label model")  # type: ignore[arg-type]


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.array([1j]), np.zeros(1, "i4,f4")])
def test_pack_refuses_arrays_that_are_no_plain_numbers(array: Any) -> None:
    with pytest.raises(WrongTypeError, match="'mu'"):
        pack("k", {}, {"mu": array})


def test_pack_refuses_headers_that_json_cannot_say() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)

    with pytest.raises(WrongTypeError, match="header"):
        pack("k", {"x": {1, 2}}, {})
    for value in (float("nan"), float("inf"), cycle):
        with pytest.raises(InvalidArgumentError, match="header"):
            pack("k", {"x": value}, {})


def test_read_file_returns_what_was_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "m.csl", DATA)

    assert read_file(tmp_path / "m.csl") == DATA


def test_read_file_refuses_a_foreign_file_by_name(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8" * 100)

    with pytest.raises(FileFormatError, match=r"photo\.jpg was not written by consilience"):
        read_file(tmp_path / "photo.jpg")


def test_read_file_says_that_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csl"):
        read_file(tmp_path / "none.csl")


def test_a_function_can_write_the_content(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", lambda file: file.write(b"content"))

    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "model").write_bytes(b"old")

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        write_atomically(tmp_path / "model", fail)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"model": b"old"}


def test_a_writer_that_fails_leaves_no_new_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "copy", lambda file: file.write(read_file(tmp_path / "none.csl")))
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"old")
    seen = []

    def write(file: BinaryIO) -> None:
        file.write(b"new")
        seen.append((tmp_path / "model").read_bytes())

    write_atomically(tmp_path / "model", write)

    assert seen == [b"old"]
    assert (tmp_path / "model").read_bytes() == b"new"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder.*results"):
        write_atomically(tmp_path / "results" / "model", b"")


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, b"")


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_permissions_and_links_survive(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"old")
    (tmp_path / "model").chmod(0o640)
    (tmp_path / "latest").symlink_to("model")

    write_atomically(tmp_path / "latest", b"new")

    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "model").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640


# What a writer leaves that was killed

WRITER = (
    "import sys\n"
    "from consilience.container import write_atomically\n"
    "def content(file):\n"
    "    file.write(b'half'); file.flush(); print('ready', flush=True)\n"
    "    sys.stdin.readline(); file.write(b' and half')\n"
    "write_atomically('slow', content)\n"
)


def start_writer(folder: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A process in the midst of writing, and its partial file, which seems not to have changed for long."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (partial,) = folder.glob(".consilience-*.partial")
    return process, aged(partial)


def aged(path: Path, hours: float = 30) -> Path:
    then = path.stat().st_mtime - 3600 * hours
    os.utime(path, (then, then))
    return path


@pytest.fixture
def looked_through(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    folders: dict[str, float] = {}
    monkeypatch.setattr(container, "_looked_through", folders)
    return folders


@pytest.mark.skipif(os.name == "nt", reason="signals work in other ways")
def test_what_a_killed_writer_left_is_deleted_by_a_later_one(
    tmp_path: Path, looked_through: dict[str, float]
) -> None:
    process, partial = start_writer(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert partial.exists()

    write_atomically(tmp_path / "model", b"new")

    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.skipif(os.name == "nt", reason="an open file is what protects a writer there")
def test_what_another_process_is_writing_is_left_alone_however_long_it_takes(
    tmp_path: Path, looked_through: dict[str, float]
) -> None:
    process, partial = start_writer(tmp_path)
    for _ in range(3):
        looked_through.clear()
        write_atomically(tmp_path / "model", b"new")
        assert partial.exists()
    process.communicate(b"go on\n", timeout=60)

    assert process.returncode == 0
    assert (tmp_path / "slow").read_bytes() == b"half and half"
    assert sorted(os.listdir(tmp_path)) == ["model", "slow"]


def test_what_this_process_is_writing_is_left_alone(tmp_path: Path, looked_through: dict[str, float]) -> None:
    def content(file: BinaryIO) -> None:
        (partial,) = tmp_path.glob(".consilience-*.partial")
        aged(partial)
        looked_through.clear()
        write_atomically(tmp_path / "inner", b"inner")
        assert partial.exists() or os.name == "nt"
        file.write(b"outer")

    write_atomically(tmp_path / "outer", content)

    assert sorted(os.listdir(tmp_path)) == ["inner", "outer"]


@pytest.mark.parametrize("hours", [0, 0.9])
def test_partial_files_of_late_are_left_alone(
    tmp_path: Path, looked_through: dict[str, float], hours: float
) -> None:
    """A file system may keep the locks of one machine from another."""
    partial = tmp_path / f".consilience-{'0' * 16}.partial"
    partial.write_bytes(b"half")
    aged(partial, hours)

    write_atomically(tmp_path / "model", b"new")

    assert partial.exists()


def test_files_of_other_names_and_kinds_are_left_alone(
    tmp_path: Path, looked_through: dict[str, float]
) -> None:
    zeros = "0" * 16
    others = [".consilience-0.partial", f".consilience-{zeros}.partial.txt", f"consilience-{zeros}.partial"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
        aged(tmp_path / name)
    name = f".consilience-{'a' * 15}%d.partial"
    (tmp_path / (name % 0)).mkdir()
    kinds = [name % 0]
    if os.name != "nt":
        (tmp_path / (name % 1)).symlink_to(others[0])
        os.mkfifo(tmp_path / (name % 2))
        aged(tmp_path / (name % 2))
        kinds += [name % 1, name % 2]

    write_atomically(tmp_path / "model", b"new")

    assert sorted(os.listdir(tmp_path)) == sorted([*others, *kinds, "model"])


def test_a_folder_is_looked_through_once_an_hour(tmp_path: Path, looked_through: dict[str, float]) -> None:
    write_atomically(tmp_path / "model", b"new")
    partial = tmp_path / f".consilience-{'0' * 16}.partial"
    partial.write_bytes(b"half")
    aged(partial)
    write_atomically(tmp_path / "model", b"new")
    assert partial.exists()
    looked_through[os.fspath(tmp_path)] -= 30 * 3600
    write_atomically(tmp_path / "model", b"new")
    assert not partial.exists()


@pytest.mark.skipif(os.name == "nt", reason="the devices of POSIX")
def test_a_device_is_written_to_and_not_replaced() -> None:
    write_atomically("/dev/null", b"content")

    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
