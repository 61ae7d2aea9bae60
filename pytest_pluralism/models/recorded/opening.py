"""Opens files of recorded answers: lines, arrays, tables and archives, compressed or not, as JSON objects with a place.

A recording may come from anywhere, so that sizes are bounded and nothing in it is run.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import io
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

from pytest_pluralism.core.errors import MissingExtraError, ModelError, needed_for
from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.recorded.rows import RowError, row_of_line

__all__ = ["MOST_BYTES", "MOST_LINE", "Found", "file_digest", "found_in", "header_of", "is_plain_lines"]

#: Maximum size of a recording after decompression, in bytes.
MOST_BYTES = 50_000_000_000

#: Maximum size of one line, in bytes.
MOST_LINE = 32_000_000

#: Maximum size of a JSON document that is read as a whole, in bytes.
MOST_DOCUMENT = 500_000_000

_GZIP, _ZSTD, _PARQUET, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK\x03\x04"

#: The number of zstd among the methods of a zip archive, and the size of the part of its headers that is fixed.
_ZIPPED_BY_ZSTD, _LOCAL_HEADER = 93, 30

#: The key of the model in the metadata of a Parquet file.
PARQUET_KEY = b"pytest_pluralism"


class Found(NamedTuple):
    """One JSON object of a file, where it stands in words, and where its line begins in a file of plain lines."""

    content: JsonFields
    where: str
    offset: int = -1


def file_digest(path: Path, /) -> str:
    """Return the SHA-256 of a file as it lies there."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_plain_lines(path: Path, /) -> bool:
    """Return whether a file is neither compressed nor a table, an archive or one JSON document."""
    return not _magic(path).startswith((_GZIP, _ZSTD, _PARQUET, _ZIP)) and not _is_document(path)


def found_in(path: Path, /) -> Iterator[Found]:
    """Yield the JSON objects of a file, in its order.

    Raises
    ------
    ModelError
        The file is missing, no regular file, damaged, cut off or too large; the message has the place and the remedy.
    MissingExtraError
        A package that reads it is not installed.
    """
    magic = _magic(path)
    with _told(path):
        if magic.startswith(_PARQUET):
            yield from _parquet(path)
        elif magic.startswith(_ZIP):
            yield from _archive(path)
        elif _is_document(path):
            yield from _document(path)
        else:
            yield from _lines(path)


@contextlib.contextmanager
def _told(path: Path) -> Generator[None, None, None]:
    """Make errors of reading errors that name the file and the remedy."""
    damaged = "Copy it again from where it was written"
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: the file is damaged or cut off ({str(error)[:120]}). {damaged}.") from None
    except OSError as error:
        raise ModelError(
            f"{path}: the file cannot be read ({error.strerror or str(error)[:120]}). {damaged}."
        ) from None
    except Exception as error:
        # The errors of packages for zst and Parquet, which may not be installed.
        if type(error).__module__.partition(".")[0] in ("backports", "compression", "pyarrow"):
            raise ModelError(f"{path}: the file is damaged ({str(error)[:120]}). {damaged}.") from None
        raise


def header_of(path: Path, /) -> JsonFields:
    """Return the model that the first line of a recording names, ``{"model": {"name", ...}}``; else nothing.

    Raises
    ------
    ModelError
        The header is wrong, or the file cannot be read.
    """
    magic = _magic(path)
    first: JsonFields = {}
    with _told(path):
        if magic.startswith(_PARQUET):
            raw = (_pyarrow().ParquetFile(path).schema_arrow.metadata or {}).get(PARQUET_KEY, b"")
            first = row_of_line(raw) if raw else {}
        elif not magic.startswith(_ZIP) and not _is_document(path):
            with contextlib.closing(_lines(path)) as lines:
                first = next((found.content for found in lines), {})
        return first["model"] if is_header(first) else {}


def is_header(content: JsonFields, /) -> bool:
    """Return whether a row says which model was recorded.

    Raises
    ------
    RowError
        It does so wrongly.
    """
    if set(content) - {"schema"} != {"model"} or not isinstance(content["model"], dict):
        return False
    about, known = content["model"], ("name", "revision", "dtype", "device")
    odd = next((name for name in about if name not in known), None)
    if odd is not None:
        raise RowError(f"names its model with an unknown field {str(odd)[:40]!r}. Known: {', '.join(known)}")
    if not all(isinstance(value, str) and value.strip() for value in about.values()) or "name" not in about:
        raise RowError('must name its model: {"model": {"name": "my-model", "revision": "v1"}}, with texts alone')
    return True


def _magic(path: Path) -> bytes:
    try:
        # A pipe without a writer would wait for one.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise ModelError(f"{path}: the recording cannot be opened ({error.strerror}).") from None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ModelError(f"{path} is a folder, a pipe or a device. Name a file of recorded answers.")
        return stream.read(4096)


def _is_document(path: Path) -> bool:
    """Return whether a file is one JSON array, or one JSON object over several lines."""
    start = _magic(path).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"["):
        return True
    first, newline, _ = start.partition(b"\n")
    return start.startswith(b"{") and bool(newline) and first.strip() in (b"{", b"{,")


def _lines(path: Path) -> Generator[Found, None, None]:
    with _decompressed(path) as stream:
        offset = number = 0
        while line := stream.readline(MOST_LINE + 1):
            number += 1
            if len(line) > MOST_LINE:
                raise ModelError(f"{path}, line {number}: the line has more than {MOST_LINE:,} bytes. Split it.")
            here, offset = offset, offset + len(line)
            if offset > MOST_BYTES:
                raise ModelError(f"{path}: more than {MOST_BYTES:,} bytes after decompression. Split the recording.")
            bare = line.strip() if number > 1 else line.removeprefix(b"\xef\xbb\xbf").strip()
            if not bare:
                continue
            try:
                content = row_of_line(bare)
            except RowError as error:
                raise ModelError(f"{path}, line {number}: the row {error}.") from None
            yield Found(content, f"line {number}", here)


def _decompressed(path: Path) -> IO[bytes]:
    magic = _magic(path)
    if magic.startswith(_GZIP):
        return io.BufferedReader(gzip.open(path, "rb"))
    if magic.startswith(_ZSTD):
        return io.BufferedReader(_zstd().open(path, "rb"))
    return path.open("rb")


def _zstd() -> ModuleType:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise MissingExtraError("A recording with .zst", 'pip install "pytest-pluralism[recorded]"')


def _pyarrow() -> ModuleType:
    with needed_for("A recording in Parquet", 'pip install "pytest-pluralism[recorded]"'):
        return importlib.import_module("pyarrow.parquet")


def _document(path: Path) -> Iterator[Found]:
    if path.stat().st_size > MOST_DOCUMENT:
        raise ModelError(f"{path}: a JSON document of more than {MOST_DOCUMENT:,} bytes. Write one object a line.")
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: the file is not JSON, or is cut off: {str(error)[:120]}.") from None
    for number, one in enumerate(content if isinstance(content, list) else [content], start=1):
        if not isinstance(one, dict):
            raise ModelError(f"{path}, entry {number}: must be a JSON object. Got {str(one)[:40]!r}.")
        yield Found(one, f"entry {number}")


def _archive(path: Path) -> Iterator[Found]:
    """Yield the JSON members of a zip archive: the header of a log first, then its samples in the order of names."""
    with zipfile.ZipFile(path) as archive:
        members = [one for one in archive.infolist() if one.filename.endswith(".json")]
        if sum(one.file_size for one in members) > MOST_BYTES:
            raise ModelError(f"{path}: more than {MOST_BYTES:,} bytes after decompression. Split the recording.")
        for member in sorted(members, key=lambda one: (one.filename != "header.json", one.filename)):
            if member.filename != "header.json" and not member.filename.startswith("samples/"):
                continue
            if member.file_size > MOST_LINE:
                raise ModelError(f"{path}, {member.filename}: more than {MOST_LINE:,} bytes.")
            try:
                content = row_of_line(_member(path, archive, member))
            except RowError as error:
                raise ModelError(f"{path}, {member.filename}: the entry {error}.") from None
            yield Found(content, member.filename)


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return a member of an archive; inspect_ai packs with zstd, which the archives of older Pythons cannot."""
    if member.compress_type != _ZIPPED_BY_ZSTD:
        try:
            return archive.read(member)
        except (NotImplementedError, RuntimeError) as error:
            raise ModelError(f"{path}, {member.filename}: cannot be unpacked ({str(error)[:120]}).") from None
    with path.open("rb") as stream:
        stream.seek(member.header_offset + _LOCAL_HEADER - 4)
        name, extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
        stream.seek(name + extra, os.SEEK_CUR)
        packed = stream.read(member.compress_size)
    with _zstd().open(io.BytesIO(packed), "rb") as unpacked:
        content: bytes = unpacked.read(MOST_LINE + 1)
    if len(content) > MOST_LINE:
        raise ModelError(f"{path}, {member.filename}: more than {MOST_LINE:,} bytes.")
    return content


def _parquet(path: Path) -> Iterator[Found]:
    number = 0
    for batch in _pyarrow().ParquetFile(path).iter_batches(batch_size=4096):
        for content in batch.to_pylist():
            number += 1
            yield Found(_without_nulls(content), f"row {number}")


def _without_nulls(value: object) -> Any:
    """Return a row without the fields that other rows of its table have, and with maps as objects."""
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list) and value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
        return {str(name): one for name, one in value}
    return value
