"""Files that readers never see half of, and the folder that this package keeps for the user."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows has no such module.
    fcntl = None  # type: ignore[assignment]

__all__ = ["cache_folder", "check_writable", "inside", "locked_folder", "read_regular", "write_atomically"]


@contextlib.contextmanager
def inside(folder: Path, /) -> Iterator[None]:
    """Work in a folder, whatever the working folder has become, and go back to that one afterwards."""
    try:
        here = Path.cwd()
    except OSError:
        # The folder of a test may be gone.
        here = folder
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)


def cache_folder() -> Path:
    """Return the folder of what can be computed again: ``PLURALISM_CACHE``, or a folder in the user's cache."""
    chosen = os.environ.get("PLURALISM_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("pytest-pluralism", appauthor=False))


def read_regular(path: Path, /, *, most: int) -> bytes:
    """Return the bytes of a file, one more than ``most`` where it is longer.

    Raises
    ------
    OSError
        If it cannot be read, or is a folder, a pipe or a device, which may never end.
    """
    # A pipe without a writer would wait for one.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file, but a folder, a pipe or a device", str(path))
        # It may have grown since it was measured.
        return file.read(most + 1)


def write_atomically(path: Path, text: str, /) -> None:
    """Write ``text`` to ``path`` as UTF-8: either the whole new file is there afterwards or the old one still is.

    The text goes to a temporary file in the same folder, is flushed to the disk and then renamed over ``path``.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        # A lone surrogate, which a model or an argument can hold, becomes an escape that JSON reads again.
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a report is meant for others too.
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked_folder(folder: Path, /, *, seconds: float) -> Iterator[None]:
    """Let no other process write in a folder meanwhile: the folder itself is locked, so that no file is left behind.

    Where a folder cannot be locked (Windows, some network file systems) it is a file ``.pluralism.lock`` inside it.

    Raises
    ------
    TimeoutError
        Another process has held the lock all the time.
    OSError
        The folder cannot be opened.
    """
    lock = None if fcntl is None else _flock_of(folder, seconds)
    if lock is None:
        import filelock

        try:
            with filelock.FileLock(folder / ".pluralism.lock", timeout=seconds):
                yield
        except filelock.Timeout as error:
            raise TimeoutError(str(error)) from None
        return
    try:
        yield
    finally:
        os.close(lock)


def _flock_of(folder: Path, seconds: float) -> int | None:
    """Return the descriptor of a folder that is locked, or ``None`` where its file system locks no folders."""
    descriptor = os.open(folder, os.O_RDONLY)
    end = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TimeoutError(f"{folder} is locked") from None
                time.sleep(0.02)
            except OSError:
                os.close(descriptor)
                return None
            else:
                return descriptor
    except TimeoutError:
        os.close(descriptor)
        raise


def check_writable(path: Path, /) -> str | None:
    """Return why ``path`` cannot be written, or ``None`` when it can; missing parent folders are made."""
    try:
        if path.is_dir():
            return f"{path} is a folder"
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".probe")
    except OSError as error:
        return f"{error.strerror or error}: {error.filename or path.parent}"
    os.close(descriptor)
    Path(temporary).unlink(missing_ok=True)
    try:
        is_read_only = path.exists() and not os.access(path, os.W_OK)
    except OSError as error:
        return f"{error.strerror or error}: {path}"
    return f"{path} is read-only" if is_read_only else None


def _umask() -> int:
    # The only portable way to read the mask is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
