"""Published evaluation protocols, reproduced bug for bug from recorded numbers, each quirk with its own switch.

A protocol is a pure function from what was recorded (logits, token probabilities, entailment scores) to the numbers
that its authors printed.
With all quirks on it gives theirs; with all off it is sound; the table in between shows what each quirk moves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["QuirkEffect", "quirk_effects"]

Quirks = TypeVar("Quirks")


@dataclass(frozen=True, slots=True)
class QuirkEffect:
    """The effect of one quirk on one number.

    Attributes
    ----------
    quirk : str
        The switch, or ``"all"``.
    quantity : str
        The number, by the name that its protocol gives it.
    published : float
        With every quirk on, as the authors computed it.
    without : float
        With this quirk alone turned off (``"all"``: with every quirk off, the sound value).
    """

    quirk: str
    quantity: str
    published: float
    without: float

    @property
    def effect(self) -> float:
        """The part of the number that the quirk adds: ``published - without``."""
        return self.published - self.without


def quirk_effects(numbers: Callable[[Quirks], Mapping[str, float]], quirks: type[Quirks], /) -> tuple[QuirkEffect, ...]:
    """Evaluate a protocol as published, then without each quirk, then without all of them.

    Parameters
    ----------
    numbers : callable
        Gives the numbers of a protocol for one setting of its quirks; a random generator must start afresh each time.
    quirks : type
        A dataclass of booleans which are all ``True`` by default.

    Returns
    -------
    tuple of QuirkEffect
        One for each quirk and number, quirks in the order of the class, ``"all"`` last.
    """
    names = [field.name for field in dataclasses.fields(quirks)]  # type: ignore[arg-type]
    published = numbers(quirks())
    settings: dict[str, dict[str, object]] = {name: {name: False} for name in names}
    settings["all"] = dict.fromkeys(names, False)
    rows = []
    for quirk, switches in settings.items():
        found = numbers(quirks(**switches))
        rows += [QuirkEffect(quirk, quantity, value, found[quantity]) for quantity, value in published.items()]
    return tuple(rows)
