"""One reader for the fields of an entry: a table of names, kinds and bounds makes a record of it, or notes problems.

The table gives the name and the kind of each field, whether it is required, and its default.
There are few kinds (:func:`text`, :func:`number`, :func:`one_of`, :func:`texts`, ...). Each has words for what a value
must be, so that every reader refuses a value in the same way: with the place, the field, the value and what it must be.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pytest_pluralism.core.errors import did_you_mean, nearest_names
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.datasets.reading import HALF_CHARACTERS, Line, Problems, Record, kind_of, listed, shown

__all__ = [
    "ANYTHING",
    "ANY_LIST",
    "Field",
    "Fields",
    "Kind",
    "UnfitError",
    "as_text",
    "number",
    "one_of",
    "text",
    "texts",
]

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")

#: Maximum number of characters of a text that has no limit of its own.
MOST_CHARACTERS = 1_000_000


class UnfitError(ValueError):
    """A value is not of its kind.

    Parameters
    ----------
    hint : str
        The end of the usual sentence.
    instead : str
        The sentence about the field in place of the usual one; a new sentence begins with a colon.
    """

    def __init__(self, hint: str = "", *, instead: str = "") -> None:
        super().__init__(hint or instead)
        self.hint = hint
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """A kind of value: what a value must be, in words, and the function that reads one or raises UnfitError."""

    must: str
    read: Callable[[object], T_co]

    def checked(self, value: object, label: str, where: str, problems: Problems, /) -> T_co | None:
        """Return the value as it is kept; note the problem and return ``None`` where it is of another kind."""
        try:
            return self.read(value)
        except UnfitError as error:
            said = error.instead or f"must be {self.must}, not {shown(value)}{error.hint}"
            problems.add(where, f"{label}{said}" if said.startswith(":") else f"{label} {said}")
            return None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entry.

    Attributes
    ----------
    name : str
        Its name in the file.
    kind : Kind
        The kind of its value.
    required : bool
        Whether it must be there. One that need not be there may be ``null`` as well.
    default : object
        Its value where it is not there.
    attribute : str
        Its name in the record, if another one.
    """

    name: str
    kind: Kind[object]
    required: bool = False
    default: object = None
    attribute: str = ""


class Fields(Generic[R]):
    """The fields of one kind of entry, and the record that is made of them.

    Parameters
    ----------
    make : callable
        Makes the record of the values by their names.
    *fields : Field
        The fields.
    also : sequence of str
        Fields that are known, and read by others.
    strict : bool
        Refuse every unknown field. By default only a probable misspelling is refused, so that a file may say more.
    """

    def __init__(
        self, make: Callable[..., R], /, *fields: Field, also: Collection[str] = (), strict: bool = False
    ) -> None:
        self.make = make
        self.fields = fields
        self.names = (*(field.name for field in fields), *also)
        self.required = tuple(field.name for field in fields if field.required)
        self.strict = strict

    def fit(self, entry: object, where: str, problems: Problems, /) -> bool:
        """Note what is not an object, and fields that are missing or unknown; return whether there were none."""
        if not isinstance(entry, Mapping):
            problems.add(where, f"must be an object with {listed(self.required or self.names)}, not {kind_of(entry)}")
            return False
        unknown = [name for name in entry if name not in self.names]
        if not unknown and all(name in entry for name in self.required):
            return True
        before = problems.count
        absent = [name for name in self.names if name not in entry]
        meant = set()
        for name in unknown:
            near = _meant(str(name), absent, strict=self.strict)
            if near:
                meant.add(near)
                problems.add(where, f"unknown field {name!r}; did you mean {near!r}?")
            elif self.strict:
                problems.add(where, f"unknown field {name!r}; the fields are {listed(self.names)}")
        missing = [name for name in self.required if name not in entry and name not in meant]
        if missing:
            problems.add(where, f"lacks {listed(missing)} (it has {listed(entry) or 'nothing'})")
        return problems.count == before

    def taken(self, entry: Line, /) -> Record:
        """Return the values of an entry by the names of the record, unchecked; what is not there is its default."""
        return {
            field.attribute or field.name: field.default if entry.get(field.name) is None else entry[field.name]
            for field in self.fields
            if field.required or entry.get(field.name) is not None
        }

    def checked(self, values: Line, where: str, problems: Problems, /, *, of: str = "") -> R | None:
        """Return the record of values by the names of the record, or note what is wrong with them.

        ``of`` stands behind the name of a field in a problem: ``" of juror 'ana'"``.
        """
        before = problems.count
        kept: Record = {}
        for field in self.fields:
            value = values.get(field.attribute or field.name)
            if value is None and not field.required:
                kept[field.attribute or field.name] = field.default
                continue
            kept[field.attribute or field.name] = field.kind.checked(value, f"'{field.name}'{of}", where, problems)
        return self.make(**kept) if problems.count == before else None

    def read(self, entry: object, where: str, problems: Problems, /, *, of: str = "") -> R | None:
        """Return the record of an entry, or note what is wrong with it."""
        if not self.fit(entry, where, problems) or not isinstance(entry, Mapping):
            return None
        values = {field.attribute or field.name: entry.get(field.name) for field in self.fields}
        return self.checked(values, where, problems, of=of)


def _meant(name: str, known: Collection[str], *, strict: bool) -> str | None:
    """Return the field that was probably meant by an unknown one."""
    near = nearest_names(name, known, most=1)
    if not near:
        return None
    folded, best = name.casefold(), near[0]
    alike = difflib.SequenceMatcher(None, best, folded).ratio()
    likely = alike >= 0.8 or (alike >= 0.6 and best[:1] == folded[:1]) or sorted(best) == sorted(folded)
    return best if strict or likely else None


# ------------------------------------------------------------------------------------------------------------ kinds


def as_text(value: object, /, *, most: int = MOST_CHARACTERS, empty: bool = False, strip: bool = True) -> str:
    """Return a text; raise UnfitError for anything else, for one that is empty, too long, or no text at all."""
    if not isinstance(value, str) or not (empty or value.strip()):
        raise UnfitError
    if len(value) > most:
        raise UnfitError(instead=f"has {len(value):,} characters; at most {most:,} are read")
    if HALF_CHARACTERS.search(value):
        raise UnfitError(instead="holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
    return value.strip() if strip else value


def text(
    must: str = "a non-empty string", /, *, most: int = MOST_CHARACTERS, empty: bool = False, strip: bool = True
) -> Kind[str]:
    """Return the kind of a text; white space around it is removed, unless ``strip`` is false."""
    return Kind(must, lambda value: as_text(value, most=most, empty=empty, strip=strip))


def texts(
    must: str = "a list of strings", /, *, most: int = MOST_CHARACTERS, empty: bool = False, strip: bool = True
) -> Kind[tuple[str, ...]]:
    """Return the kind of a list of texts."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise UnfitError
        for one in value:
            if not isinstance(one, str) or not (empty or one.strip()):
                raise UnfitError(instead=f"must be strings that are not empty, not {shown(one)}")
        return tuple(as_text(one, most=most, empty=empty, strip=strip) for one in value)

    return Kind(must, read)


def number(
    must: str = "a finite number", /, *, low: float = -math.inf, high: float = math.inf, above: float = -math.inf
) -> Kind[float]:
    """Return the kind of a finite number from ``low`` to ``high`` that is greater than ``above``."""

    def read(value: object) -> float:
        if not isinstance(value, (int, float)) or not is_number(value) or not low <= value <= high or value <= above:
            raise UnfitError
        return float(value)

    return Kind(must, read)


def _any_list(value: object) -> Sequence[object]:
    if not isinstance(value, (list, tuple)):
        raise UnfitError
    return value


#: The kinds of a value, and of the values of a list, that another place checks.
ANYTHING: Kind[object] = Kind("anything", lambda value: value)
ANY_LIST: Kind[Sequence[object]] = Kind("a list", _any_list)


def one_of(names: Collection[str], /) -> Kind[str]:
    """Return the kind of one of several words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise UnfitError(did_you_mean(value, names, "; did you mean {!r}?") if isinstance(value, str) else "")

    return Kind(f"one of {listed(names)}", read)
