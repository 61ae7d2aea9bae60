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
    def promises(self) -> tuple[str, str]:
        """The two bounds that make sense for the direction."""
        return ("at_most", "max_increase") if self.direction == "lower" else ("at_least", "max_decrease")
