"""What can be promised; a module of its own, because the plugin reads it whenever pytest starts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Measure"]


@dataclass(frozen=True)
class Measure:
    """One entry of the table of measures: its marker, its direction and its words.

    ``direction`` is ``"lower"`` or ``"higher"``: which values are better.
    """

    name: str
    direction: str
    title: str
    description: str = ""
    lowest: float = float("-inf")
    highest: float = float("inf")

    @property
    def promises(self) -> tuple[str, str, str]:
        """The bounds that make sense for the direction: of the value, of its change, of the change of each unit."""
        if self.direction == "lower":
            return ("at_most", "max_increase", "max_unit_increase")
        return ("at_least", "max_decrease", "max_unit_decrease")
