"""The grammar of ``responses:FILE[#NAME]``: which file, and what the model is called that was recorded."""

from __future__ import annotations

from pathlib import Path

from pytest_pluralism.core.errors import ModelError, nearest_names
from pytest_pluralism.models.recorded.opening import header_of

__all__ = ["PREFIX", "named_recording", "packaged"]

PREFIX = "responses:"


#: The folder of the recordings that are shipped with the package.
PACKAGED = Path(__file__).parent / "packaged"


def packaged() -> tuple[str, ...]:
    """Return the names of the recordings that are shipped with the package."""
    return tuple(sorted(path.name.removesuffix(".jsonl.gz") for path in PACKAGED.glob("*.jsonl.gz")))


def named_recording(text: str, /) -> tuple[Path, str]:
    """Return the file of a spec and the name of its model: behind ``#``, else in its first line.

    Raises
    ------
    ModelError
        There is no such file, or nobody names the model.
    """
    rest = text.strip().removeprefix(PREFIX).strip()
    target, mark, name = (rest, "", "") if _is_file(rest) else rest.rpartition("#")
    path = Path(target if mark else rest).expanduser()
    if not _is_file(str(path)) and (target if mark else rest) in packaged():
        path = PACKAGED / f"{target if mark else rest}.jsonl.gz"
    if not _is_file(str(path)):
        near = nearest_names(path.name, sorted(one.name for one in path.parent.iterdir())) if _has_folder(path) else []
        hint = " Nearest: " + ", ".join(repr(str(path.parent / one)) for one in near) + "." if near else ""
        if not hint and str(path) == path.name:
            hint = f" Recordings of this package: {', '.join(packaged())}."
        raise ModelError(f"There is no file {str(path)!r} of recorded answers.{hint}")
    name = name.strip() or str(header_of(path).get("name", "")).strip()
    if not name:
        raise ModelError(
            f"{str(path)!r} does not name the model that was recorded. Write {PREFIX}{path}#NAME, or a first line "
            '{"model": {"name": "NAME"}}.'
        )
    return path, name


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError):
        return False


def _has_folder(path: Path) -> bool:
    try:
        return path.parent.is_dir()
    except (OSError, ValueError):
        return False
