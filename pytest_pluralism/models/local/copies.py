"""Copies of models that are made once and kept in the user's cache: converted GGUF files, and merged adapters."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.files import cache_folder

__all__ = ["MANIFEST", "is_complete", "is_converted", "join_parts", "kept_copy"]

#: Seconds to wait for another process that makes the same copy.
LOCK_TIMEOUT_S = 1800.0

MANIFEST = "pluralism-manifest.json"


def kept_copy(key: str, make: Callable[[Path], None], /, *, name: str, told: Mapping[str, object]) -> Path:
    """Return the folder of a copy, making it first where there is none.

    Two processes that ask at once wait for one another, and a process that is killed leaves nothing that is taken for a
    model: a copy is written beside its place, and moved there when it is complete.

    Parameters
    ----------
    key : str
        The name of the folder: whatever decides about its content is in it.
    make : callable
        Writes the copy into an empty folder.
    name : str
        The model, for messages.
    told : mapping
        Further fields of the manifest.

    Raises
    ------
    ModelError
        The cache cannot be written, or another process has been at it for half an hour.
    """
    import filelock

    root = cache_folder() / "converted"
    target = root / key
    if is_complete(target):
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / f"{key}.lock", timeout=LOCK_TIMEOUT_S):
            # The process that held the lock before may have done the work.
            if not is_complete(target):
                _make(target, make, told)
    except filelock.Timeout as error:
        raise ModelError(
            f"Another process has been converting {name} for {LOCK_TIMEOUT_S / 60:.0f} minutes. "
            f"If none is running, remove {root / (key + '.lock')}"
        ) from error
    except OSError as error:
        raise ModelError(
            f"The converted copy of {name} cannot be written to {root}: {error}. "
            "Free some space, or name another folder in the environment variable PLURALISM_CACHE."
        ) from error
    return target


def _make(target: Path, make: Callable[[Path], None], told: Mapping[str, object]) -> None:
    """Write beside the target, then move. The caller holds the lock."""
    # With the lock in our hands, every unfinished conversion is that of a process that died.
    for left_over in target.parent.glob(f".partial-{target.name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    if target.exists():
        shutil.rmtree(target)
    partial = target.parent / f".partial-{target.name}-{uuid.uuid4().hex[:8]}"
    partial.mkdir()
    try:
        make(partial)
        files: dict[str, dict[str, object]] = {}
        for path in sorted(partial.iterdir()):
            with path.open("rb+") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                os.fsync(stream.fileno())
            status = path.stat()
            times = {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
            files[path.name] = {"size": status.st_size, **times, "sha256": digest}
        manifest = {**told, "files": files}
        with (partial / MANIFEST).open("w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(target)
        _fsync_folder(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _fsync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut, where the system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_converted(folder: Path, /) -> bool:
    """Return whether a folder is a copy of this module."""
    return (folder / MANIFEST).is_file()


def is_complete(folder: Path) -> bool:
    """Return whether a conversion holds every file as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest["files"].items():
            path = folder / name
            status = path.stat()
            if status.st_size != expected["size"]:
                return False
            # Same size and same times: unchanged. Another time (a copied cache): the bytes decide.
            times = status.st_mtime_ns, status.st_ctime_ns
            if times != (expected["mtime_ns"], expected.get("ctime_ns", status.st_ctime_ns)):
                with path.open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != expected["sha256"]:
                        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def join_parts(parts: Sequence[Path], target: Path, /) -> None:
    """Write the parts of a file into one, one after the other."""
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out, 1 << 20)
