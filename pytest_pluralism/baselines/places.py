"""The places of baselines: a folder or file here, or one elsewhere that fsspec reaches (``s3://``, ``hf://``, ...)."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pytest_pluralism.core.errors import BaselineError, MissingExtraError, needed_for
from pytest_pluralism.core.untrusted import has_secret
from pytest_pluralism.files import locked_folder, read_regular, write_atomically

__all__ = [
    "MOST_BYTES",
    "BaselineFile",
    "LocalFile",
    "RemoteFile",
    "companion_name",
    "files_in",
    "is_remote",
    "place_of",
]

#: A larger file is refused unread: 400 questions x 12 groups need less than 1 MB.
MOST_BYTES = 100_000_000

#: Seconds to wait for another run that writes the same file.
LOCK_SECONDS = 30

#: The package that knows a protocol, where fsspec itself does not.
PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "hf": "huggingface_hub", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "ssh": "paramiko", "sftp": "paramiko", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip

#: Protocols where a new object takes the place of the old one at once; elsewhere it is written beside it and renamed.
WRITES_AT_ONCE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "hf", "memory"}

#: Longer names of models are cut: with its companion and what is written beside it, a file has less than 255 bytes.
MOST_CHARACTERS = 120

#: A name of a model, or each of its two parts, that can be the name of a file as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")

_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class BaselineFile(Protocol):
    """One baseline: a summary that ends with ``.json``, and its companion beside it."""

    def __str__(self) -> str:
        """Return its name, as it is typed."""
        ...

    def read(self, *, companion: bool = False) -> str | None:
        """Return the text of one of its two files, or ``None`` where it does not exist."""
        ...

    def write(self, text: str, *, companion: bool = False) -> None:
        """Replace one of its two files: afterwards the old one or the new one is there, whole."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which no other run writes it, as far as that can be had."""
        ...

    def problem(self) -> str | None:
        """Return why it cannot be written, or ``None``."""
        ...


def is_remote(place: str, /) -> bool:
    """Return whether a place is a URL and no path.

    Examples
    --------
    >>> is_remote("s3://bucket/baselines"), is_remote("pluralism-baselines"), is_remote("C:/baselines")
    (True, False, False)
    """
    return _PROTOCOL.match(place) is not None


def place_of(place: str | Path, model_name: str, /) -> BaselineFile:
    """Return the baseline of a model: ``place`` itself when it ends with ``.json``, else a file in that folder.

    The name of a model can lead nowhere else, whatever stands in it.
    """
    text = str(place)
    if text.endswith(".json"):
        return _file_of(text)
    name, before = file_name(model_name), _earlier_name(model_name)
    file = _file_of(text, name)
    if before == name:
        return file
    # Earlier versions gave several models one name; what is theirs is still found.
    earlier = _file_of(text, before)
    return earlier if _holds(earlier, model_name) and not _exists(file) else file


def file_name(model_name: str, /) -> str:
    """Return the name of the file for a model: its own where it can be one, else cut, and followed by its hash.

    No two models share one: the hash follows a sign that no other name has.

    Examples
    --------
    >>> file_name("smollm2-135m-instruct"), file_name("org/name")
    ('smollm2-135m-instruct.json', 'org--name.json')
    >>> file_name("org--name")
    'org--name~276f0be646db.json'
    """
    parts = model_name.split("/")
    plain = all(_PLAIN.fullmatch(part) and "--" not in part for part in parts)
    # Only the ends of the whole name were cut ever, so that only they must not be cut now.
    if len(parts) <= 2 and plain and len(model_name) <= MOST_CHARACTERS:
        return f"{'--'.join(parts)}.json"
    import hashlib

    digest = hashlib.sha256(model_name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_earlier_name(model_name).removesuffix('.json')[:MOST_CHARACTERS]}~{digest[:12]}.json"


def _earlier_name(model_name: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "--", model_name).strip(".-") or "model"
    return f"{safe}.json"


def _file_of(place: str, name: str | None = None) -> BaselineFile:
    if has_secret(place):
        raise BaselineError(
            "The URL of a baseline holds a password, where reports and logs would show it. Take it out, and set it in "
            "the environment, in the variables of the storage (such as AWS_SECRET_ACCESS_KEY)."
        )
    if is_remote(place):
        return RemoteFile(place if name is None else f"{place.rstrip('/')}/{name}")
    return LocalFile(Path(place) if name is None else Path(place) / name)


def _holds(file: BaselineFile, model_name: str) -> bool:
    """Return whether a baseline is there and holds the results of a model."""
    from pytest_pluralism.baselines.schema import parse_summary

    try:
        text = file.read()
        return text is not None and bool(parse_summary(text, name=str(file), update="")["model"] == model_name)
    except (BaselineError, MissingExtraError):
        return False


def _exists(file: BaselineFile) -> bool:
    try:
        return file.read() is not None
    except (BaselineError, MissingExtraError):
        # Something is there, and its error is told where it is used.
        return True


def files_in(place: str | Path, /) -> list[BaselineFile]:
    """Return the baselines of a folder in the order of their names, or the one file that ``place`` names.

    Raises
    ------
    BaselineError
        The folder does not exist or cannot be read.
    """
    text = str(place)
    if text.endswith(".json"):
        return [place_of(text, "")]
    if is_remote(text):
        filesystem, folder = _filesystem(text)
        try:
            names = [str(one).rpartition("/")[2] for one in filesystem.ls(folder, detail=False)]
        except Exception as error:  # noqa: BLE001 - every backend has errors of its own.
            raise BaselineError(f"the folder of baselines {text} cannot be read: {_told(error)}.") from None
        return [RemoteFile(f"{text.rstrip('/')}/{name}") for name in sorted(names) if name.endswith(".json")]
    try:
        paths = sorted(path for path in Path(text).iterdir() if path.name.endswith(".json") and path.name[0] != ".")
    except OSError as error:
        raise BaselineError(
            f"the folder of baselines {text} cannot be read: {error.strerror}. Name a folder or a .json file."
        ) from None
    return [LocalFile(path) for path in paths]


def companion_name(name: str, /) -> str:
    """Return the name of the file with the values by unit.

    Examples
    --------
    >>> companion_name("pluralism-baselines/small.json")
    'pluralism-baselines/small.units.jsonl'
    """
    return name.removesuffix(".json") + ".units.jsonl"


class LocalFile:
    """A baseline on this machine's disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return self.path.as_posix()

    def __hash__(self) -> int:
        return hash(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalFile) and other.path == self.path

    def _file(self, *, companion: bool) -> Path:
        path = self.path.with_name(companion_name(self.path.name)) if companion else self.path
        # A baseline may come from a stranger's pull request, and a link in it may point at anything.
        try:
            is_link = path.is_symlink()
        except OSError as error:
            raise BaselineError(f"baseline {path.as_posix()[:200]} cannot be read: {error.strerror}.") from None
        if is_link:
            try:
                real, folder = path.resolve(), path.parent.resolve()
            except (OSError, RuntimeError):
                raise BaselineError(
                    f"baseline {path.as_posix()} is a symbolic link that leads back to itself. Replace it by a file."
                ) from None
            if folder not in real.parents:
                raise BaselineError(
                    f"baseline {path.as_posix()} is a symbolic link out of its folder, to {real.as_posix()}. "
                    "Replace it by a copy of that file, or name that file itself: --pluralism-baseline=PATH"
                )
        return path

    def read(self, *, companion: bool = False) -> str | None:
        """Return the text of one of its two files, or ``None`` where it does not exist."""
        path = self._file(companion=companion)
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise BaselineError(f"baseline {path.as_posix()} is not a file. Name a .json file or a folder.")
            _refuse_large(path.as_posix(), found.st_size)
            content = read_regular(path, most=MOST_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BaselineError(f"baseline {path.as_posix()} cannot be read: {error.strerror}.") from None
        return _decoded(path.as_posix(), content)

    def write(self, text: str, *, companion: bool = False) -> None:
        """Replace one of its two files: afterwards the old one or the new one is there, whole."""
        path = self._file(companion=companion)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not over the link itself, which stays what it is.
            write_atomically(path.resolve() if path.is_symlink() else path, text)
        except (OSError, ValueError) as error:
            raise _unwritable(path.as_posix(), getattr(error, "strerror", None) or error) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other run write it meanwhile, whatever its folder of temporary files is."""
        self._file(companion=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked_folder(self.path.parent, seconds=LOCK_SECONDS):
                self._tidy()
                yield
        except TimeoutError:
            raise BaselineError(
                f"baseline {self} has been written by another run for more than {LOCK_SECONDS} seconds. "
                "Nothing was changed. Run the command again when the other run has ended."
            ) from None
        except OSError as error:
            raise _unwritable(str(self), error.strerror or error) from None

    def _tidy(self) -> None:
        """Remove what writers left behind that were killed; none is at work while the lock is held."""
        names = (self.path.name, companion_name(self.path.name))
        beginnings = tuple(f".{name}." for name in names)
        for left in self.path.parent.iterdir():
            if left.name.startswith(beginnings) and left.suffix == ".tmp":
                with contextlib.suppress(OSError):
                    left.unlink()

    def problem(self) -> str | None:
        """Return why it cannot be written, or ``None``; nothing is left behind."""
        from pytest_pluralism.files import check_writable

        try:
            return check_writable(self._file(companion=False)) or check_writable(self._file(companion=True))
        except BaselineError as error:
            return str(error)


class RemoteFile:
    """A baseline elsewhere, through fsspec. Nothing locks it: of two runs that write at once, the later one stays."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteFile) and other.url == self.url

    def _name(self, companion: bool) -> str:
        return companion_name(self.url) if companion else self.url

    def read(self, *, companion: bool = False) -> str | None:
        """Return the text of one of its two files, or ``None`` where it does not exist."""
        url = self._name(companion)
        filesystem, path = _filesystem(url)
        try:
            size = filesystem.info(path).get("size")
            _refuse_large(url, size if isinstance(size, int) else 0)
            with filesystem.open(path, "rb") as file:
                content = file.read(MOST_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except BaselineError:
            raise
        except Exception as error:  # noqa: BLE001 - every backend has errors of its own.
            raise BaselineError(f"baseline {url} cannot be read: {_told(error)}.") from None
        return _decoded(url, content)

    def write(self, text: str, *, companion: bool = False) -> None:
        """Replace one of its two files: afterwards the old one or the new one is there, whole."""
        url = self._name(companion)
        filesystem, path = _filesystem(url)
        content = text.encode("utf-8", "backslashreplace")
        protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
        try:
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            if WRITES_AT_ONCE & set(protocols):
                filesystem.pipe_file(path, content)
            else:
                import uuid

                beside = f"{path}.{uuid.uuid4().hex}.tmp"
                filesystem.pipe_file(beside, content)
                filesystem.mv(beside, path)
        except Exception as error:  # noqa: BLE001 - every backend has errors of its own.
            raise _unwritable(url, _told(error)) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing: no lock holds everywhere."""
        yield

    def problem(self) -> str | None:
        """Return why it cannot be reached; whether a store takes a file is known when it has taken it."""
        try:
            _filesystem(self.url)
        except (BaselineError, MissingExtraError) as error:
            return str(error)
        return None


def _filesystem(url: str) -> tuple[Any, str]:
    with needed_for(f"The baseline {url}", 'pip install "pytest-pluralism[remote]"'):
        from fsspec.core import url_to_fs
    try:
        filesystem, path = url_to_fs(url)
    except ImportError:
        found = _PROTOCOL.match(url)
        package = PACKAGES.get(found[1].lower() if found else "", "")
        command = f'pip install "pytest-pluralism[remote]" {package}'.rstrip()
        raise MissingExtraError(f"The baseline {url}", command) from None
    except Exception as error:  # noqa: BLE001 - every backend has errors of its own.
        raise BaselineError(
            f"baseline {url} cannot be reached: {_told(error)}. Name a path, or a URL that fsspec knows (s3://, hf://)."
        ) from None
    return filesystem, path


def _refuse_large(name: str, size: int) -> None:
    if size > MOST_BYTES:
        from pytest_pluralism.baselines.schema import checkout

        raise BaselineError(
            f"baseline {name} has {size} bytes, more than the {MOST_BYTES} that are read. "
            f"It is hardly a baseline: restore it ({checkout(name)}), or delete it and store a new one."
        )


def _decoded(name: str, content: bytes) -> str:
    from pytest_pluralism.baselines.schema import restore

    _refuse_large(name, len(content))
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BaselineError(f"corrupt baseline: {name} is not UTF-8 text ({error.reason}). {restore(name)}") from None


def _unwritable(name: str, why: object) -> BaselineError:
    return BaselineError(
        f"baseline {name} cannot be written: {why}. Nothing was changed. "
        "Choose a folder that can be written: --pluralism-baseline=PATH"
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")[:300]
