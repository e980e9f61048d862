r"""One file format for all the package stores: named arrays under a JSON header, checksummed, no pickle.

Layout, all integers little-endian::

    magic "consilience\n" | format version, uint32 | length of the header, uint64
    header: JSON, {"kind", "header", "arrays": [{"name", "dtype", "shape", "offset"}, ...]}
    zeros up to a multiple of 64
    the arrays in C order, each followed by zeros up to a multiple of 64; offsets count from the first one
    SHA-256 of everything before it

The magic and the version keep their place in every later format, so that an old release can say that a file
is too new for it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from consilience.exceptions import FileFormatError, InvalidArgumentError, WrongTypeError

_HAS_LOCKS = os.name != "nt"
if _HAS_LOCKS:
    import fcntl

MAGIC = b"consilience\n"
FORMAT_VERSION = 1

_PARTIAL = re.compile(r"\.consilience-[0-9a-f]{16}\.partial")
_HOUR = 3600.0
_looked_through: dict[str, float] = {}
"""When a folder was last looked through for partial files."""

_PREAMBLE = struct.Struct("<12sIQ")
_CHECKSUM_SIZE = hashlib.sha256().digest_size
_ALIGNMENT = 64
_MAX_DIMENSIONS = 32
_DTYPES = frozenset(
    ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"),
)


def pack(kind: str, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Bytes from which `unpack` restores the header and the arrays.

    Parameters
    ----------
    kind : str
        What the bytes hold, such as ``"label model"``; `unpack` asks for the same word.
    header : mapping
        Anything JSON can say without NaN and infinities. It comes back as JSON has it: tuples as lists, keys
        as strings.
    arrays : mapping of str to ndarray
        Booleans, integers and floats up to 64 bits, of any shape, memory order and byte order.

    Returns
    -------
    bytes
        The same bytes for the same arguments, on every machine.

    Raises
    ------
    WrongTypeError
        If the header holds something that JSON does not know, or an array is of another dtype.
    InvalidArgumentError
        If the header holds NaN, an infinity or itself.
    """
    directory = []
    payload = []
    offset = 0
    for name, values in arrays.items():
        array = np.asarray(values)
        little_endian = array.dtype.newbyteorder("<")
        if little_endian.str not in _DTYPES:
            raise WrongTypeError(
                f"arrays[{name!r}] has dtype {array.dtype}; convert it to booleans, integers or floats"
            )
        directory.append(
            {"name": name, "dtype": little_endian.str, "shape": list(array.shape), "offset": offset}
        )
        payload.append(_padded(array.astype(little_endian, copy=False).tobytes()))
        offset += len(payload[-1])
    content = {"kind": kind, "header": dict(header), "arrays": directory}
    try:
        text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    except TypeError as error:
        raise WrongTypeError(f"header: {error}; use plain numbers, strings, lists and dicts") from error
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"header: {error}; use finite numbers and no cycles") from error
    start = _padded(_PREAMBLE.pack(MAGIC, FORMAT_VERSION, len(text)) + text)
    body = b"".join([start, *payload])
    return body + hashlib.sha256(body).digest()


def unpack(
    data: bytes, kind: str, *, name: str = "the data"
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays that `pack` was given.

    Nothing in the bytes is trusted: no more memory is asked for than they take, and nothing is run.

    Parameters
    ----------
    data : bytes
        Result of `pack`, perhaps of another release.
    kind : str
        What the bytes should hold.
    name : str
        What messages call them, such as the path of the file.

    Returns
    -------
    header : dict
        As JSON has it.
    arrays : dict of str to ndarray
        Own, writable arrays in C order and native byte order.

    Raises
    ------
    FileFormatError
        If the bytes are cut short, damaged, of another kind, from a newer release, or no such bytes at all.
    WrongTypeError
        If `data` is not bytes.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise WrongTypeError(f"data must be bytes, got {type(data).__name__}")
    view = memoryview(data).cast("B")
    if view[: len(MAGIC)] != MAGIC:
        _refuse(name, "was not written by consilience", "check that it is the right file")
    if len(view) < _PREAMBLE.size + _CHECKSUM_SIZE:
        _refuse(name, "is cut short", "copy or write it again")
    _, version, header_size = _PREAMBLE.unpack_from(view)
    if version > FORMAT_VERSION:
        _refuse(
            name,
            f"has format {version}, newer than {FORMAT_VERSION}",
            "upgrade consilience, or copy it again",
        )
    body, checksum = view[:-_CHECKSUM_SIZE], view[-_CHECKSUM_SIZE:]
    if hashlib.sha256(body).digest() != checksum:
        _refuse(name, "is damaged or cut short (its checksum does not match)", "copy or write it again")
    try:
        found, header, directory = _read_content(body[_PREAMBLE.size :][:header_size])
        arrays = _read_arrays(directory, body[_aligned(_PREAMBLE.size + header_size) :])
    except (ValueError, OverflowError, RecursionError) as error:
        _refuse(name, f"has a malformed header ({error})", "write it again with consilience")
    if found != kind:
        _refuse(name, f"holds {found!r}, not {kind!r}", f"pass one that holds {kind!r}")
    return header, arrays


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Content of a file for `unpack`; one that was not written by `pack` is left after its first bytes.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    bytes
        All of it.

    Raises
    ------
    FileFormatError
        If it is a folder, or does not start as `pack` does.
    OSError
        If it cannot be opened; ``FileNotFoundError`` if there is none.
    """
    if os.path.isdir(path):
        _refuse(os.fspath(path), "is a folder", "give the file in it that was saved")
    with open(path, "rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            _refuse(os.fspath(path), "was not written by consilience", "check that it is the right file")
        return start + file.read()


def path_of(path: Any, argument: str = "path") -> str:
    """A path as text.

    Raises
    ------
    WrongTypeError
        If it is none: bytes, an open file, and the number of one are not.
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str):
        raise WrongTypeError(
            f"{argument} must be a path, a str or a pathlib.Path, got {type(path).__name__}; give "
            "the name of a file"
        )
    return name


def target_of(path: str | os.PathLike[str]) -> Path:
    """Where a file will be written: `path`, links followed, in a folder that exists.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "no such folder to write to, create it first", str(target.parent)
        )
    return target


def write_atomically(path: str | os.PathLike[str], content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file wholly or not at all.

    The content goes to a new file in the same folder, reaches the disk, and then takes the place of `path` in
    one step. On any error, and on Ctrl-C, an old file stays as it was with nothing left beside it; what a
    process leaves that is killed, a later call deletes. A link is followed; a pipe or a device is written to
    directly.

    Parameters
    ----------
    path : path-like
        Where to write; the folder exists. An old file passes on its permissions.
    content : bytes or callable
        What to write, or a function that writes it to the binary file it is given.

    Raises
    ------
    OSError
        If the folder does not exist, cannot be written to, or is full.
    Exception
        Whatever `content` raises.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            _write(file, content)
        return
    target = target_of(path)
    with _locked_partial(target.parent) as (partial, file):
        with file:
            _write(file, content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, partial)
        os.replace(partial, target)


@contextmanager
def _locked_partial(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file that its writer holds a lock on until it is renamed, or else is gone."""
    partial = folder / f".consilience-{secrets.token_hex(8)}.partial"
    lock = None
    try:
        with open(partial, "xb") as file:
            _delete_abandoned(folder, os.fstat(file.fileno()).st_mtime)
            if _HAS_LOCKS:
                lock = os.dup(file.fileno())  # for longer than the file is open
                _lock(lock)
            yield partial, file
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _lock(descriptor: int) -> bool:
    """Whether nobody else holds the lock on a file, which is taken; always so where there are no locks."""
    if not _HAS_LOCKS:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _delete_abandoned(folder: Path, now: float) -> None:
    """Delete the partial files of writers that were killed; `now` is the time of the file system.

    A living writer holds a lock. Some network file systems keep locks from other machines, so the file must
    not have changed for an hour besides; where there are no locks, for a day. A folder is looked through
    once in that time.
    """
    age = _HOUR if _HAS_LOCKS else 24 * _HOUR
    name = os.fspath(folder)
    if name in _looked_through and 0 <= now - _looked_through[name] < age:
        return
    _looked_through[name] = now
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PARTIAL.fullmatch(entry.name):
                _delete_if_abandoned(entry.path, now - age)


def _delete_if_abandoned(path: str, changed_before: float) -> None:
    # No link is followed, and no pipe waited for.
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(OSError):
        with open(path, "r+b", buffering=0, opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            is_old = stat.S_ISREG(status.st_mode) and status.st_mtime < changed_before
            is_abandoned = is_old and _lock(file.fileno())
        if is_abandoned:
            os.unlink(path)  # after it is closed, as Windows wants it


def _write(file: BinaryIO, content: bytes | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content)


def _aligned(size: int) -> int:
    return size + -size % _ALIGNMENT


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)), b"\0")


def _refuse(name: str, problem: str, advice: str) -> NoReturn:
    raise FileFormatError(f"{name} {problem}: {advice}")


def _read_content(text: memoryview) -> tuple[str, dict[str, Any], list[Any]]:
    """Kind, header and array directory; ValueError where the JSON is not what `pack` writes."""
    content = json.loads(str(text, "utf-8"), parse_constant=_no_constant)
    match content:
        case {"kind": str(kind), "header": dict(header), "arrays": list(directory)}:
            return kind, header, directory
    raise ValueError("kind, header or arrays missing")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _read_arrays(directory: list[Any], payload: memoryview) -> dict[str, NDArray[Any]]:
    """Arrays of the payload; ValueError unless they fill it exactly, one after the other.

    Because they may not overlap, their copies together are no larger than the payload.
    """
    arrays: dict[str, NDArray[Any]] = {}
    end = 0
    for entry in directory:
        match entry:
            case {"name": str(name), "dtype": str(code), "shape": list(shape), "offset": int(offset)}:
                pass
            case _:
                raise ValueError("array entry without name, dtype, shape or offset")
        if name in arrays or code not in _DTYPES or offset != end or not _is_shape(shape):
            raise ValueError(f"impossible entry for array {name!r}")
        dtype = np.dtype(code)
        size = math.prod(shape) * dtype.itemsize
        end = _aligned(offset + size)
        if end > len(payload):
            raise ValueError(f"array {name!r} reaches beyond the end")
        block = payload[offset : offset + size]
        if dtype.kind == "b" and bytes(block).strip(b"\0\1"):
            raise ValueError(f"array {name!r} holds a byte that is neither true nor false")
        arrays[name] = np.frombuffer(block, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    if end != len(payload):
        raise ValueError("bytes that belong to no array")
    return arrays


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) <= _MAX_DIMENSIONS and all(type(length) is int and length >= 0 for length in shape)
