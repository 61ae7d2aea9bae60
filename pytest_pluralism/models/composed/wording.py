"""The prompts of a modular system: how comments are asked for, shown, summarised and chosen.

The prompt with a passage is the published one; the other defaults are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from string import Formatter

__all__ = ["Wording", "WordingError", "read_wording"]

#: Maximum number of characters of a prompt.
MOST_CHARACTERS = 20_000


class WordingError(ValueError):
    """A prompt is wrong; the text says what there must be, and what there is."""

    def __init__(self, must: str, got: object) -> None:
        super().__init__(f"must be {must}. Got {got!r}.")
        self.must, self.got = must, got


@dataclass(frozen=True, slots=True)
class Wording:
    """The four prompts of a modular system.

    Attributes
    ----------
    comment : str
        Asks a community model for its comment on ``{question}``.
    passage : str
        Puts one ``{comment}`` before a ``{question}``.
    summary : str
        Asks the main model to answer a ``{question}`` and cover all ``{comments}``.
    choice : str
        Asks the main model which of the ``{options}`` fits; ``{system}`` and ``{question}`` can be left out.
    """

    comment: str = (
        "Please comment on the following from your own point of view, in a few sentences.\n\n{question}\n\nComment:"
    )
    passage: str = (
        "Please respond to the following instruction with the help of a passage.\n\nPassage: {comment}\n\n{question}"
    )
    summary: str = (
        "Please respond to the following with the help of these passages. Cover the points of view of all of them.\n\n"
        "{comments}\n\n{question}"
    )
    choice: str = "{system}\n\nWhich passage fits this best?\n\n{options}\n\nQuestion: {question}"

    @property
    def texts(self) -> list[str]:
        """The prompts, which belong to the identity of a system."""
        return list(asdict(self).values())


#: The names that each prompt must hold, and those that it can hold.
_HOLDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "comment": (frozenset({"question"}), frozenset()),
    "passage": (frozenset({"comment", "question"}), frozenset()),
    "summary": (frozenset({"comments", "question"}), frozenset()),
    "choice": (frozenset({"options"}), frozenset({"system", "question"})),
}


def read_wording(given: object, /) -> Wording:
    """Read prompts by name; those that are left out keep their default.

    Raises
    ------
    WordingError
        A name or a prompt is wrong.
    """
    if given is None:
        return Wording()
    names = ", ".join(_HOLDS)
    if not isinstance(given, Mapping) or not given:
        raise WordingError(f"a table of prompts by name ({names})", given)
    for name, text in given.items():
        if name not in _HOLDS:
            raise WordingError(f"a table with some of the names {names}", name)
        needed, allowed = _HOLDS[name]
        wanted = f"under {name!r} a text with {_braced(needed)}"
        if allowed:
            wanted += f", which may also have {_braced(allowed)}"
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            raise WordingError(f"{wanted}, of at most {MOST_CHARACTERS:,} characters", str(text)[:60])
        held = _placeholders(text)
        if held is None or not needed <= held <= needed | allowed:
            raise WordingError(f"{wanted}, and no other braces (a brace itself is written twice)", text[:200])
    return Wording(**given)


def _placeholders(text: str) -> frozenset[str] | None:
    """Return the names in braces, or ``None`` where the braces are wrong."""
    try:
        found = [(name, form, change) for _, name, form, change in Formatter().parse(text) if name is not None]
    except ValueError:
        return None
    return None if any(form or change for _, form, change in found) else frozenset(name for name, _, _ in found)


def _braced(names: frozenset[str]) -> str:
    return " and ".join(f"{{{name}}}" for name in sorted(names))
