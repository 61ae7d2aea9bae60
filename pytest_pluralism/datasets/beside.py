"""Files that a data file names: beside it or below, and never out of the project."""

from __future__ import annotations

from pathlib import Path

from pytest_pluralism.core.errors import DatasetError

__all__ = ["file_beside"]


def file_beside(path: Path, name: str, /) -> Path:
    """Return the file that a data file names, seen from the folder of that data file.

    A data file may come from a stranger, and what it names may be shown to a model and printed in a report. So what
    it names must lie in its own folder or below, or in the folder where the run was started, links followed.

    Parameters
    ----------
    path : Path
        The data file.
    name : str
        The name in the data file.

    Raises
    ------
    DatasetError
        If that lies elsewhere, or cannot be the name of a file.
    """
    named = path.parent / name
    try:
        real = named.resolve()
        named.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # A NUL, half of a character, more than 255 letters, or links that lead round in a circle.
        why = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{name[:80]!r} cannot be the name of a file: {why}. Name a file beside this one."
        ) from error
    if not any(real.is_relative_to(folder.resolve()) for folder in (path.parent, Path.cwd())):
        raise DatasetError(
            f"{name!r} leads out of the project, to {real.as_posix()}. A file may name files in its own folder, below "
            "it, or in the folder where the run is started: put a copy there."
        )
    return named
