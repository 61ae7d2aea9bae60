"""Records of a promise on its way to a verdict: what was measured, what stands beside it, what was judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_pluralism.run.items import Json
from pytest_pluralism.settings.places import NamedBaseline

if TYPE_CHECKING:
    from pytest_pluralism.core.records import Estimate, Provenance, ReportEntry, Scores
    from pytest_pluralism.core.records.scores import Guard
    from pytest_pluralism.evaluation.asking.rounds import Role
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = ["Beside", "Judged", "Measured", "NoiseFloors"]


@dataclass(frozen=True)
class NoiseFloors:
    """The change that an unchanged model may show: in the mean over units, and in a single unit."""

    mean: float = 0.0
    unit: float = 0.0

    def at_least(self, floor: float) -> NoiseFloors:
        """Return floors that are at least as high as another one."""
        return NoiseFloors(max(self.mean, floor), max(self.unit, floor))


@dataclass(frozen=True)
class Measured:
    """One promise, what was measured for it with the models of which roles, and the hash of what was asked first."""

    plan: PlannedGate
    scores: Scores
    estimate: Estimate
    roles: frozenset[Role]
    provenance: Provenance
    prompts_sha256: str | None
    #: The measurement of each group, where a promise is about a change of the worst of them.
    parts: Mapping[str, Measured] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """A verdict with all that a report says about it, and the noise floors it was decided with."""

    entry: ReportEntry
    floors: NoiseFloors
    #: Why the anchor of the baseline cannot be compared; empty where it can.
    anchor_problem: str = ""
    #: The changes of the parts of the promise, such as the groups of which it is about the worst.
    changes: tuple[Estimate, ...] = ()

    @property
    def is_compared(self) -> bool:
        """Whether the measurement could be put beside the baseline that a promise about a change names."""
        return self.entry.verdict.outcome.value != "error" or self.entry.verdict.change is not None

    @property
    def guards(self) -> tuple[Guard, ...]:
        """The guards of the promise, by the scores that were judged."""
        return () if self.entry.scores is None else self.entry.scores.guards


@dataclass
class Beside:
    """A measurement beside one baseline: what the report says of it, and the change, or why there is none."""

    named: NamedBaseline
    about: Json
    change: Estimate | None = None
    #: The change from the anchor, where that is another result; why it cannot be compared; and how often one looked.
    drift: Estimate | None = None
    anchor_problem: str = ""
    looks: float = 1.0
    floor: float = 0.0
    #: How much each group of jurors gained, where there are some.
    groups: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    is_stored: bool = False
