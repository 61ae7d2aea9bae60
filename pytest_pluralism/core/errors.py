"""The errors of the package: raised in the core, translated once at the border to pytest."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "BaselineError",
    "ComputationError",
    "DatasetError",
    "InvalidParameterError",
    "MissingExtraError",
    "ModelChangedError",
    "ModelError",
    "NoNumberError",
    "NotRecordedError",
    "PluralismError",
    "did_you_mean",
    "invalid_parameter",
    "nearest_names",
    "needed_for",
    "unknown_name",
]


class PluralismError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidParameterError(PluralismError, ValueError):
    """A parameter has a value that it must not have."""


class DatasetError(PluralismError):
    """A survey, window set or panel cannot be read or does not hold what it must hold."""


class ModelError(PluralismError):
    """A model cannot be named, found, loaded or asked."""


class ComputationError(ModelError, RuntimeError):
    """A model failed while it computed: asked again, it may give a result, and then both must be told."""


class NoNumberError(ComputationError):
    """A model gave NaN or infinity."""


class NotRecordedError(ModelError):
    """A file of recorded answers has no row for a request."""


class BaselineError(PluralismError):
    """A baseline is missing, corrupt or not comparable."""


class ModelChangedError(ModelError):
    """A server serves another model than before, so that what it has just answered may not be the model's."""


class MissingExtraError(PluralismError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    what : str
        The wish of the user, as the subject of a sentence.
    command : str
        The command that installs what is missing.
    """

    def __init__(self, what: str, command: str) -> None:
        super().__init__(f"{what} needs packages that are not installed. Install them with: {command}")
        self.command = command


@contextlib.contextmanager
def needed_for(what: str, command: str, /) -> Iterator[None]:
    """Say what cannot be done where a package that is imported here is not installed."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(what, command) from error


def invalid_parameter(name: str, function: str, must: str, got: object) -> InvalidParameterError:
    """Make the error for one parameter, in the one grammar of the package.

    Returns
    -------
    InvalidParameterError
        ``The 'alpha' parameter of welfare must be a float in [0, inf]. Got -1 instead.``
    """
    return InvalidParameterError(f"The '{name}' parameter of {function} must be {must}. Got {got} instead.")


#: Maximum numbers of characters and of names that are compared with a mistyped one.
LONGEST_NAME = 400
MOST_NAMES = 5_000


def nearest_names(name: str, known: Iterable[str], /, *, most: int = 3) -> list[str]:
    """Return the known names that look most like a mistyped one, best first."""
    import difflib  # Only where somebody mistyped a name.

    if len(name) > LONGEST_NAME:
        return []
    by_folded: dict[str, str] = {}
    for candidate in itertools.islice(known, MOST_NAMES):
        if len(candidate) <= LONGEST_NAME:
            by_folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=most, cutoff=0.5)
    return [by_folded[folded] for folded in close]


def did_you_mean(name: str, known: Iterable[str], /, form: str = " Did you mean {!r}?") -> str:
    """Return a hint at the known name that was probably meant, and nothing where none is near."""
    near = nearest_names(name, known, most=1)
    return form.format(*near) if near else ""


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Say that a name is unknown, what was probably meant, and how many there are."""
    near = nearest_names(name, known)
    if near:
        hint = "Nearest: " + ", ".join(repr(candidate) for candidate in near) + "."
    elif known:
        hint = "Known: " + ", ".join(repr(candidate) for candidate in known[:5])
        hint += ", ..." if len(known) > 5 else "."
    else:
        hint = ""
    return f"unknown {kind} {name!r} (there are {len(known)}). {hint}".rstrip()
