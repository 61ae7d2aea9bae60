"""Files of preference pairs: two responses to a prompt, the one that somebody prefers, and who that is.

One object a line (``.jsonl``), an array (``.json``) or a table (``.csv``), each also with ``.gz``::

    {"prompt": "...", "chosen": "...", "rejected": "...", "persona": "ana", "groups": {"party": "Green"}}

A line with a ``persona`` and no prompt declares that persona: its ``description``, ``groups`` and ``weight``.
The published form of PERSONA, in which each row holds the whole text of its persona, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_pluralism.core.errors import DatasetError, invalid_parameter, unknown_name
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.datasets.fields import Field, Fields, Kind, UnfitError, number, text
from pytest_pluralism.datasets.reading import Line, Problems, Record, read_entries, shown

__all__ = ["Persona", "PreferencePair", "PreferenceSet", "load_preferences"]

REMEDY = 'Write one line a pair: {"prompt": "...", "chosen": "...", "rejected": "...", "persona": "..."}.'

#: Other names of the fields of a pair, as published files have them.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("instruction", "question"),
    "chosen": ("data", "preferred", "revised"),
    "rejected": ("original", "dispreferred"),
}

#: Columns of a table that are kinds of groups begin with this.
GROUP_COLUMN = "group:"

#: The kind of group that a plain name stands for.
GROUP = "group"

#: The kind under which each persona is a group of its own.
PERSONA = "persona"


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody who prefers: a name, a description for a judge to read, groups by kind, and a weight."""

    name: str
    description: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two responses to a prompt, of which a persona prefers the first one."""

    pair_id: str
    prompt: str
    chosen: str
    rejected: str
    persona: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None


@dataclass(frozen=True)
class PreferenceSet:
    """Preference pairs, and the personas that they belong to.

    Attributes
    ----------
    name : str
        The name of the file.
    pairs : tuple of PreferencePair
        The pairs, in the order of the file.
    personas : mapping of str to Persona
        The personas by name; empty where nobody is named.
    sha256 : str
        The hash of the content.
    source : str
        Where the pairs come from.
    """

    name: str
    pairs: tuple[PreferencePair, ...]
    personas: Mapping[str, Persona]
    sha256: str
    source: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of groups, ``"persona"`` last where pairs name one."""
        kinds = dict.fromkeys(kind for pair in self.pairs for kind in self.groups_of(pair))
        return (*(kind for kind in kinds if kind != PERSONA), *((PERSONA,) if self.personas else ()))

    def groups_of(self, pair: PreferencePair, /) -> dict[str, str]:
        """Return the groups of a pair by kind: its own, and those of its persona."""
        persona = self.personas.get(pair.persona)
        named = {PERSONA: pair.persona} if pair.persona else {}
        return {**({} if persona is None else persona.groups), **pair.groups, **named}

    def by_group(self, kind: str, /) -> dict[str, tuple[PreferencePair, ...]]:
        """Return the pairs of each group of a kind, in order of first appearance.

        Raises
        ------
        DatasetError
            No pair has a group of this kind.
        """
        if kind not in self.kinds:
            raise DatasetError(f"{self.name}: {unknown_name('kind of group', kind, self.kinds)}")
        found: dict[str, list[PreferencePair]] = {}
        for pair in self.pairs:
            group = self.groups_of(pair).get(kind)
            if group is not None:
                found.setdefault(group, []).append(pair)
        return {name: tuple(pairs) for name, pairs in found.items()}

    def description_of(self, pair: PreferencePair, /) -> str:
        """Return who prefers, as a judge reads it; empty where nothing is known of the persona."""
        persona = self.personas.get(pair.persona)
        return "" if persona is None else persona.description


def _groups(value: object) -> Mapping[str, str]:
    if isinstance(value, str) and value.strip():
        return {GROUP: value.strip()}
    if not isinstance(value, Mapping) or not value:
        raise UnfitError
    found = {}
    for kind, group in value.items():
        if not isinstance(kind, str) or not kind.strip() or kind.strip() == PERSONA:
            raise UnfitError(instead=f"must not have the kind {shown(kind)}")
        if isinstance(group, bool) or not isinstance(group, (str, int, float)) or not str(group).strip():
            raise UnfitError(instead=f"must name a group under {kind!r}, not {shown(group)}")
        found[kind.strip()] = str(group).strip()
    return found


GROUPS = Kind("the name of a group, or an object of groups by kind", _groups)
TEXT = text("a text that is not empty")

_PERSONA = Fields(
    Persona,
    Field("persona", TEXT, required=True, attribute="name"),
    Field("description", TEXT, default=""),
    Field("groups", GROUPS, default={}),
    Field("weight", number("a number above 0", above=0.0), default=1.0),
    strict=True,
)

_PAIR = Fields(
    PreferencePair,
    Field("pair_id", TEXT, default=""),
    Field("prompt", TEXT, required=True),
    Field("chosen", text("a text that is not empty", strip=False), required=True),
    Field("rejected", text("a text that is not empty", strip=False), required=True),
    Field("persona", TEXT, default=""),
    Field("groups", GROUPS, default={}),
    Field("cluster", TEXT),
)


def load_preferences(path: str | os.PathLike[str], /) -> PreferenceSet:
    """Read a file of preference pairs.

    Parameters
    ----------
    path : str or path
        A ``.jsonl``, ``.json`` or ``.csv`` file, or one of these followed by ``.gz``. In a table the columns
        ``group:KIND`` are groups.

    Returns
    -------
    PreferenceSet
        The pairs with their personas.

    Raises
    ------
    DatasetError
        If the file cannot be read, or a line is wrong: a field is missing, both responses are equal, an id or a
        persona comes twice, or a pair names a persona that others declare and nobody declared. Up to ten problems are
        named at once.
    InvalidParameterError
        If ``path`` is not a path.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise invalid_parameter("path", "load_preferences", "the path of a file of preference pairs", repr(path)[:60])
    file = Path(path)
    entries, problems = read_entries(
        file, what="file of preference pairs", holds="pair", remedy=REMEDY, numbers=("weight",)
    )
    personas: dict[str, Persona] = {}
    rows: list[tuple[str, Record]] = []
    for where, entry in entries:
        if isinstance(entry, Mapping) and "persona" in entry and not _has_pair(entry):
            persona = _PERSONA.read(_with_groups(entry), where, problems)
            if persona is not None and persona.name in personas:
                problems.add(where, f"declares the persona {persona.name!r} a second time")
            elif persona is not None:
                personas[persona.name] = persona
        else:
            rows.append((where, entry))
    declared = bool(personas)
    found: dict[str, PreferencePair] = {}
    for where, entry in rows:
        pair = _pair(entry, where, problems, personas, declared=declared, number=len(found) + 1)
        if pair is None:
            continue
        if pair.pair_id in found:
            problems.add(where, f"the pair_id {pair.pair_id!r} comes a second time")
        found[pair.pair_id] = pair
    problems.raise_if_any("" if found else "holds no pair")
    used = {pair.persona for pair in found.values() if pair.persona}
    silent = [name for name in personas if name not in used]
    if silent:
        raise DatasetError(f"{file}: no pair belongs to the persona {silent[0]!r}. Leave it out, or add pairs.")
    pairs = tuple(found.values())
    digest = hashlib.sha256(json.dumps(list(_content(pairs, personas)), ensure_ascii=True).encode("ascii")).hexdigest()
    n = f"{len(personas)} personas" if personas else "no personas"
    return PreferenceSet(file.name, pairs, personas, digest, f"file {file.name}: {len(pairs)} pairs, {n}")


def _has_pair(entry: Line) -> bool:
    return any(name in entry for own, others in ALIASES.items() for name in (own, *others))


def _with_groups(entry: Line) -> Record:
    """Return a row of a table with its columns of groups as one field."""
    found = {name: value for name, value in entry.items() if not str(name).startswith(GROUP_COLUMN)}
    groups = {
        str(name).removeprefix(GROUP_COLUMN): value
        for name, value in entry.items()
        if str(name).startswith(GROUP_COLUMN) and value not in (None, "")
    }
    return {**found, "groups": groups} if groups else found


def _pair(
    entry: object, where: str, problems: Problems, personas: dict[str, Persona], *, declared: bool, number: int
) -> PreferencePair | None:
    """Return the pair of a row; a persona that stands in the row as a whole is added to the personas."""
    if not isinstance(entry, Mapping):
        return _PAIR.read(entry, where, problems)
    row = _with_groups(entry)
    for own, others in ALIASES.items():
        known = [name for name in others if name in row]
        if own not in row and known:
            row[own] = row.pop(known[0])
    if "persona" in row and not declared:
        whole = _whole_persona(row["persona"])
        if whole is not None:
            personas.setdefault(whole.name, whole)
            row["persona"] = whole.name
    pair = _PAIR.read(row, where, problems)
    if pair is None:
        return None
    if pair.chosen.strip() == pair.rejected.strip():
        problems.add(where, "has the same text as 'chosen' and 'rejected', so that nothing is preferred")
        return None
    if declared and pair.persona and pair.persona not in personas:
        problems.add(where, unknown_name("persona", pair.persona, list(personas)))
        return None
    if pair.persona and pair.persona not in personas:
        personas[pair.persona] = Persona(pair.persona)
    return pair if pair.pair_id else _named(pair, f"pair {number}")


def _named(pair: PreferencePair, name: str) -> PreferencePair:
    return PreferencePair(name, pair.prompt, pair.chosen, pair.rejected, pair.persona, pair.groups, pair.cluster)


def _whole_persona(value: object) -> Persona | None:
    """Return the persona of a text of lines ``kind: group``, or of an object; ``None`` where it is a name."""
    if isinstance(value, Mapping) and value:
        groups = {str(kind): str(one) for kind, one in value.items() if isinstance(one, (str, int, float))}
        lines = "\n".join(f"{kind}: {one}" for kind, one in groups.items())
    elif isinstance(value, str) and "\n" in value.strip():
        lines = value.strip()
        groups = {}
        for line in lines.splitlines():
            kind, colon, group = line.partition(":")
            if colon and kind.strip() and group.strip():
                groups[kind.strip()] = group.strip()
    else:
        return None
    name = f"persona {hashlib.sha256(lines.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
    return Persona(name, lines, {kind: group for kind, group in groups.items() if kind != PERSONA})


def _content(pairs: tuple[PreferencePair, ...], personas: Mapping[str, Persona]) -> Iterator[object]:
    """Yield all that decides a number."""
    for pair in pairs:
        yield [pair.pair_id, pair.prompt, pair.chosen, pair.rejected, pair.persona, dict(pair.groups), pair.cluster]
    for one in personas.values():
        yield [one.name, one.description, dict(one.groups), finite_or_none(one.weight)]
