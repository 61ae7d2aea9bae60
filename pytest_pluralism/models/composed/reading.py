"""Reads the files of composed models: ``mixture:FILE.toml`` and ``modular:FILE.toml``."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_pluralism.core.errors import ModelError, unknown_name
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.models.composed.wording import Wording, WordingError, read_wording
from pytest_pluralism.models.specification import moved_spec

__all__ = [
    "COMMENT_TOKENS",
    "MODES",
    "MOST_PARTS",
    "MOST_WEIGHT",
    "UNWEIGHTED",
    "Composition",
    "Part",
    "read_composition",
]

#: The ways in which community models help the main one.
MODES = ("overton", "steerable", "distributional")

#: Maximum size of a file, in bytes.
MOST_BYTES = 1_000_000

#: Maximum weight of a part, so that the weights have a sum.
MOST_WEIGHT = 1_000_000_000

#: Maximum number of models of a file: the main model chooses among communities by a letter.
MOST_PARTS = 26

#: The keys of each table of a file; those without a default must be there.
_KEYS = {
    "mixture": {"part"},
    "modular": {"mode", "main", "community", "comment_tokens", "prompts"},
    "part": {"model", "weight"},
    "community": {"model", "name", "weight"},
}

#: Why a weight cannot stand beside a mode that would ignore it.
UNWEIGHTED = "left out where mode is {mode!r}, which has no weights; they belong to mode 'distributional'"

#: Maximum number of tokens of a comment of a community model.
COMMENT_TOKENS = 200


@dataclass(frozen=True)
class Part:
    """One model of a composition: its spec, its share of the whole, and its name."""

    spec: str
    weight: float
    name: str


@dataclass(frozen=True)
class Composition:
    """The parts of a file with weights that sum to 1, and of a modular system its mode, main model and prompts."""

    parts: tuple[Part, ...]
    mode: str = ""
    main: str = ""
    comment_tokens: int = COMMENT_TOKENS
    wording: Wording = field(default_factory=Wording)


def read_composition(path: Path, kind: str, /) -> Composition:
    """Read a file.

    Parameters
    ----------
    path : Path
        The file. Paths in it are seen from its folder.
    kind : str
        ``"mixture"`` or ``"modular"``.

    Raises
    ------
    ModelError
        The file cannot be read, or lacks or holds too much; the message names the key, its value and the remedy.
    """
    content = _content(path)
    table, other = ("part", "community") if kind == "mixture" else ("community", "part")
    if other in content and table not in content:
        right = "modular" if kind == "mixture" else "mixture"
        raise ModelError(f"{path}: a file with tables [[{other}]] is a {right} model. Write {right}:{path.name}.")
    _refuse_unknown(content, _KEYS[kind], path, f"the file of a {kind} model")
    rows = content.get(table)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ModelError(f"{path}: there must be at least one table [[{table}]], with model = SPEC.")
    if len(rows) > MOST_PARTS:
        raise ModelError(f"{path}: there must be at most {MOST_PARTS} tables [[{table}]]. Got {len(rows)}.")
    parts = [_part(row, number, table, path) for number, row in enumerate(rows, start=1)]
    total = math.fsum(part.weight for part in parts)
    if not total > 0:
        raise ModelError(f"{path}: the weights must not all be 0.")
    parts = [Part(part.spec, part.weight / total, part.name) for part in parts]
    if len({part.name for part in parts}) < len(parts):
        raise ModelError(f"{path}: two tables [[{table}]] have the same name. Give each a name of its own.")
    if kind == "mixture":
        return Composition(tuple(parts))
    mode, main, tokens = _modular(content, path)
    for number, row in enumerate(rows, start=1):
        if mode != "distributional" and "weight" in row:
            why = UNWEIGHTED.format(mode=mode)
            raise ModelError(f"{path}: the weight of [[{table}]] {number} must be {why}. Got {row['weight']!r}.")
    try:
        wording = read_wording(content.get("prompts"))
    except WordingError as error:
        raise ModelError(f"{path}: prompts {error}") from None
    return Composition(tuple(parts), mode, main, tokens, wording)


def _modular(content: Mapping[str, object], path: Path) -> tuple[str, str, int]:
    mode, main, tokens = content.get("mode"), content.get("main"), content.get("comment_tokens", COMMENT_TOKENS)
    if mode not in MODES:
        raise ModelError(f"{path}: mode must be one of {', '.join(MODES)}. Got {mode!r}.")
    if not isinstance(main, str) or not main.strip():
        raise ModelError(f"{path}: main must be the spec of the main model. Got {main!r}.")
    if isinstance(tokens, bool) or not isinstance(tokens, int) or not 1 <= tokens <= 4096:
        raise ModelError(f"{path}: comment_tokens must be a whole number in [1, 4096]. Got {tokens!r}.")
    return str(mode), _beside(main, path), tokens


def _part(row: Mapping[str, object], number: int, table: str, path: Path) -> Part:
    _refuse_unknown(row, _KEYS[table], path, f"[[{table}]] {number}")
    spec, weight = row.get("model"), row.get("weight", 1.0)
    if not isinstance(spec, str) or not spec.strip():
        raise ModelError(f"{path}: [[{table}]] {number} must have model = SPEC. Got {spec!r}.")
    if not is_number(weight) or not 0 <= weight <= MOST_WEIGHT:
        must = f"a number of at least 0, and at most {MOST_WEIGHT:,}"
        raise ModelError(f"{path}: the weight of [[{table}]] {number} must be {must}. Got {repr(weight)[:40]}.")
    name = row.get("name", f"{number}: {spec.strip()}")
    if not isinstance(name, str) or not name.strip():
        raise ModelError(f"{path}: the name of [[{table}]] {number} must be a text. Got {name!r}.")
    return Part(_beside(spec, path), float(weight), name.strip())


def _beside(spec: str, path: Path) -> str:
    """Return a spec with its path as seen from the folder of the file."""

    def moved(text: str) -> str:
        kind, colon, rest = text.partition(":")
        if colon and kind in {"mixture", "modular", "responses", "llamacpp"}:
            return f"{kind}:{path.parent / Path(rest).expanduser()}"
        # A scheme has two letters at least, so that C:\\models is a path.
        if colon and len(kind) > 1 and kind.isidentifier():
            return text
        return str(path.parent / Path(text).expanduser())

    return moved_spec(spec.strip(), moved)


def _content(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} has more than {MOST_BYTES:,} bytes: it is not the file of a composed model.")
        # Some editors write a mark before the first line.
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read: {why}. Name a .toml file.") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Python reads no integer of thousands of digits, which is not an error of TOML.
        raise ModelError(f"{path} is not TOML: {error}.") from None


def _refuse_unknown(found: Mapping[str, object], known: Collection[str], path: Path, what: str) -> None:
    for key in found:
        if key not in known:
            raise ModelError(f"{path}: {unknown_name(f'key of {what}', key, sorted(known))}")
