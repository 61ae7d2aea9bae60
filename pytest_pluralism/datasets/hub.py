"""Data of the Hugging Face hub by name: ``hf:ORG/DATA@REVISION#CONFIG/SPLIT``, pinned, cached and hashed.

One file is chosen by the words of ``CONFIG`` and ``SPLIT``, and read as a local file of its form is. The hub is asked
which files a revision has; a file that the cache has is not fetched again. Without a network, and with
``HF_HUB_OFFLINE=1``, the cache is read.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pytest_pluralism.core.errors import DatasetError, needed_for
from pytest_pluralism.datasets.reading import FORMATS, format_of

__all__ = ["HubFile", "HubName", "hub_file", "parse_hub_name"]

#: Files that belong to another file of the same folder, and are fetched with it.
COMPANIONS = re.compile(r"(?:survey\.jsonl|notes[^/]*\.tsv|perspective_pool[^/]*\.json)\Z")

#: Names of files that hold no data.
NO_DATA = re.compile(r"(?:dataset_infos?|config|metadata|croissant|.*schema)\.json\Z")

FORM = "hf:ORG/DATA@REVISION#CONFIG/SPLIT"


@dataclass(frozen=True)
class HubName:
    """The parts of a name: the repository, the revision, and the words that choose a file."""

    text: str
    repository: str
    revision: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class HubFile:
    """A file of the hub in the local cache, with the commit and the hash that ``source`` tells."""

    name: str
    path: Path
    file: str
    commit: str
    sha256: str

    @property
    def words(self) -> str:
        """Return where the file is from, for ``source``."""
        return f"{self.name}, commit {self.commit}, file {self.file} sha256:{self.sha256}"


def parse_hub_name(text: str, /) -> HubName:
    """Return the parts of a name.

    Raises
    ------
    DatasetError
        If it is of another form, or names no revision.

    Examples
    --------
    >>> parse_hub_name("hf:jjssuh/subpop@886d78a#train").words
    ('train',)
    """
    found = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?:#([\w.\-/]*))?", text)
    if found is None:
        raise DatasetError(f"{text!r} does not name data of the hub. Write {FORM}.")
    repository, revision, words = found.groups()
    if not revision:
        raise DatasetError(
            f"{text!r} names no revision, so that its content may change. Pin a commit, a tag or a branch: "
            f"hf:{repository}@REVISION{'#' + words if words else ''}."
        )
    return HubName(text, repository, revision, tuple(filter(None, (words or "").split("/"))))


def hub_file(text: str, /) -> HubFile:
    """Return the one file that a name means, from the cache or the hub.

    Raises
    ------
    DatasetError
        If the name is wrong, the data cannot be had, or several files fit.
    MissingExtraError
        If ``huggingface_hub`` is not installed.
    """
    name = parse_hub_name(text)
    with needed_for(f"{text!r}", 'pip install "pytest-pluralism[hub]"'):
        hub = importlib.import_module("huggingface_hub")
    constants = importlib.import_module("huggingface_hub.constants")
    cached = _of_cache(hub, name) if constants.HF_HUB_OFFLINE else None
    if cached is not None:
        return cached
    try:
        info = hub.HfApi().dataset_info(name.repository, revision=name.revision)
        commit, files = str(info.sha), [one.rfilename for one in info.siblings or ()]
        chosen = _chosen(name, files, of_all=True)
        wanted = [chosen, *(file for file in files if _is_companion(file, str(chosen)))]
        fetched = [
            hub.hf_hub_download(name.repository, file, repo_type="dataset", revision=commit) for file in wanted if file
        ]
    except DatasetError:
        raise
    except Exception as error:
        # The library passes on the errors of the packages underneath.
        if (cached := _of_cache(hub, name)) is not None:
            return cached
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"{text!r} cannot be had: {first_line[:300]} Check the network and the name, or fetch it once on a machine "
            "with a network and copy the cache."
        ) from error
    return _hashed(name, Path(fetched[0]), str(chosen), commit)


def _of_cache(hub: ModuleType, name: HubName) -> HubFile | None:
    """Return the file of a name where the cache has one alone that fits.

    The cache may lack files that fit as well, which is why the hub is asked first where it can be.
    """
    try:
        folder = Path(
            hub.snapshot_download(name.repository, repo_type="dataset", revision=name.revision, local_files_only=True)
        )
    except Exception:  # noqa: BLE001 - whatever is wrong with the cache: the caller says that the data cannot be had.
        return None
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    chosen = _chosen(name, files, of_all=False)
    return None if chosen is None else _hashed(name, folder / chosen, chosen, folder.name)


def _is_companion(file: str, chosen: str) -> bool:
    return file != chosen and os.path.dirname(file) == os.path.dirname(chosen) and bool(COMPANIONS.search(file))  # noqa: PTH120


def _chosen(name: HubName, files: Iterable[str], *, of_all: bool) -> str | None:
    """Return the file whose path has all words of the name; ``None`` where the cache has none, or not one alone."""
    data = [file for file in files if format_of(Path(file)) is not None and not NO_DATA.search(Path(file).name)]
    fitting = [file for file in data if all(_has(file, word) for word in name.words)]
    if len(fitting) == 1:
        return fitting[0]
    exact = [file for file in fitting if Path(file).name.split(".")[0] == (name.words or ("",))[-1]]
    if len(exact) == 1:
        return exact[0]
    if not of_all:
        return None
    shown = ", ".join((fitting or data)[:12]) or f"no file that ends in {', '.join(FORMATS)}"
    what = f"{len(fitting)} of its files fit" if fitting else "none of its files fits"
    raise DatasetError(
        f"{name.text!r}: {what}: {shown}. Choose one by the words of its path: "
        f"hf:{name.repository}@{name.revision}#CONFIG/SPLIT."
    )


def _has(file: str, word: str) -> bool:
    """Return whether a path has a word, as a part of it between signs."""
    return re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}(?![a-z0-9])", file.lower()) is not None


def _hashed(name: HubName, path: Path, file: str, commit: str) -> HubFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return HubFile(name.text, path, file, commit, digest)
