"""From a marker to what can be measured: what every measure's planner gets, and what it gives back. No pytest here.

A planner is a module with these names (``PLANNERS`` in the registry has one for each marker):

- ``MEASURE``: the :class:`~pytest_pluralism.core.records.measures.Measure`, everything that is said of the measure;
- ``KEYWORDS``: the keywords of the marker beside the bounds and ``confidence_level``;
- ``DATASET``: what its positional argument is, in words, and ``EXAMPLE``: one, as it is written;
- ``plan(planning)``: the gates of one marker, as a list of :class:`PlannedGate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import Gate, Survey
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.evaluation.asking.drawing import Promised
from pytest_pluralism.evaluation.asking.rounds import Evaluation

__all__ = ["PlannedGate", "Planner", "Planning", "out_of_reach"]

#: Fewer units count as so many where the best score that they can show is meant.
FEWEST_UNITS = 10

_Data = TypeVar("_Data")


@dataclass(frozen=True)
class PlannedGate:
    """One promise of one test: what is measured, on whom, and what is promised.

    Attributes
    ----------
    measure : Measure
        The entry in the table of measures.
    dataset : str
        The positional argument of the marker, as it was written.
    evaluation : Evaluation
        The questions and the way of scoring.
    gate : Gate or None
        The promise; ``None`` where only the estimate is wanted.
    confidence_level : float or None
        Of the estimate.
    source : mapping
        Where the data come from (``name``, ``sha256``, ``source``): the ``dataset`` of the provenance.
    settings : mapping
        All that decides what is asked and how it is read, as plain JSON values: the ``settings`` of the provenance.
    population : str or None
        Whom the number is about: a population, an attribute, a jury. ``None`` where there is nothing to choose from.
    over : str or None
        The reference of the difference, where the number is one.
    apart : str
        The words that tell this promise from another one of its test about the same; empty for most.
    at_equal_length : bool
        Whether a promise about a change speaks of responses that are cut to equal length.
    subject : str
        The role of the model under test: ``"value_model"`` where it is a reward model.
    unreachable : str
        Why no model can keep the promise; empty where one can, or where it is not known before the answers.
    """

    measure: Measure
    dataset: str
    evaluation: Evaluation
    gate: Gate | None
    confidence_level: float | None
    source: JsonObject
    settings: JsonObject = field(default_factory=dict)
    population: str | None = None
    over: str | None = None
    apart: str = ""
    at_equal_length: bool = False
    unreachable: str = ""
    subject: str = "language_model"

    @property
    def promised(self) -> Promised:
        """The promise, as far as it decides how many answers are drawn."""
        return Promised(self.gate, self.measure.highest - self.measure.lowest)

    @property
    def parts(self) -> Mapping[str, PlannedGate]:
        """The measurements that are compared with a baseline one by one, by name; none for most."""
        found: Mapping[str, PlannedGate] = getattr(self.evaluation, "parts", {})
        return found

    @property
    def stored_parts(self) -> Mapping[str, PlannedGate]:
        """The measurements that a baseline stores one by one, whether they are compared or not, by name."""
        found: Mapping[str, PlannedGate] = getattr(self.evaluation, "stored", self.parts)
        return found

    @property
    def part_keys(self) -> dict[str, str]:
        """The keys of the parts in a baseline, by name."""
        return {name: f"{self.key} / {name}" for name in self.stored_parts}

    @property
    def key(self) -> str:
        """The key that tells this promise from the others of its test."""
        parts = [self.measure.name, self.dataset]
        if self.population is not None:
            parts.append(self.population)
        if self.over is not None:
            parts.append(f"over {self.over}")
        if self.apart:
            parts.append(self.apart)
        return " ".join(parts)


def out_of_reach(gate: Gate | None, n_units: int, /) -> str:
    r"""Return why scores in [0, 1] of so many units cannot keep a level, however good they are; empty where they can.

    A sample of n units misses a share of bad ones of up to :math:`1 - (\alpha / 2)^{1/n}`, so that n perfect scores
    show no more than that: see :func:`~pytest_pluralism.core.estimation.trust.unseen_end`. Fewer than ten units count
    as ten.
    """
    level = None if gate is None else gate.confidence_level
    if gate is None or level is None:
        return ""
    room = 1.0 - math.pow(0.5 - level / 2.0, 1.0 / max(n_units, FEWEST_UNITS))
    for word, bound in (("at_most", gate.at_most), ("at_least", gate.at_least)):
        if bound is None:
            continue
        distance = bound if word == "at_most" else 1.0 - bound
        if 0.0 < distance < room:
            best = room if word == "at_most" else 1.0 - room
            needed = math.ceil(math.log(0.5 - level / 2.0) / math.log1p(-distance))
            return (
                f"no model can keep {word}={bound:g} with {n_units} units: so few perfect scores show {best:.3f} at "
                f"best. It takes {needed} units, or another bound"
            )
    return ""


@dataclass
class Planning:
    """The inputs of a planner: one marker, the settings of the run, and the ways to its data.

    Attributes
    ----------
    measure : Measure
        The entry in the table of measures.
    dataset : str
        The positional argument of the marker.
    keywords : mapping
        The keywords of the marker; unknown ones and wrong bounds are problems already.
    settings : mapping
        The settings of the run, by name.
    gate : Gate or None
        The promise that the bounds make.
    confidence_level : float or None
        Of the estimate.
    load_survey : callable
        ``load_survey(dataset, refusals)`` gives the :class:`~pytest_pluralism.core.records.Survey` of a name or file.
    bring : callable
        ``bring(type, name, **arguments)`` gives the data of that type which a hook of the project has under a name,
        else ``None``.
    find_file : callable
        ``find_file(name)`` gives the path of a file that lies beside the test or under the root, else the name.
    planners : mapping of str to Planner
        The planners of all measures that the test can name.
    problems : list of str
        The errors of the marker; a planner adds to it, or raises a ``PluralismError``. All are shown together.
    """

    measure: Measure
    dataset: str
    keywords: JsonObject
    settings: JsonObject
    gate: Gate | None
    confidence_level: float | None
    load_survey: Callable[[str, Any], Survey]
    find_file: Callable[[str], Path]
    planners: Mapping[str, Planner] = field(default_factory=dict)
    bring: Callable[..., Any] = lambda *_, **__: None
    problems: list[str] = field(default_factory=list)

    def refuse_protocols(self) -> None:
        """Refuse the published protocols, for a measure that has none.

        Raises
        ------
        InvalidParameterError
            The run asks for one.
        """
        if self.settings["protocol"] != "sound":
            raise InvalidParameterError(
                f"{self.measure.name} has no published protocol. Use --pluralism-protocol=sound."
            )

    def choose(self, name: str, /) -> Any:
        """Return the keyword of the marker, or else the setting of that name."""
        return self.keywords[name] if name in self.keywords else self.settings[name]

    def brought(self, kind: type[_Data], /, **arguments: object) -> _Data | None:
        """Return the data that a hook of the project has under the name of the marker; ``None`` where none has.

        Parameters
        ----------
        kind : type
            ``WindowSet``, ``Panel`` or ``SteeringSet``.
        **arguments
            Passed on to the hook.
        """
        found: _Data | None = self.bring(kind, self.dataset, **arguments)
        return found

    def planned(
        self,
        evaluation: Evaluation,
        /,
        *,
        source: Mapping[str, object],
        settings: Mapping[str, object],
        population: str | None = None,
        over: str | None = None,
        measure: Measure | None = None,
        n_units: int | None = None,
    ) -> PlannedGate:
        """Return a gate of this marker; ``measure`` is its entry where it differs from the usual one.

        With ``n_units``, the number of scores in [0, 1], it is told where no model can keep its level.
        """
        entry = self.measure if measure is None else measure
        return PlannedGate(
            measure=entry if over is None else replace(entry, kind="difference"),
            dataset=self.dataset,
            evaluation=evaluation,
            gate=self.gate,
            confidence_level=self.confidence_level,
            source=source,
            # An older entry without it was measured by the first definition.
            settings={**settings, "definition": entry.definition},
            population=population,
            over=over,
            unreachable="" if n_units is None else out_of_reach(self.gate, n_units),
        )


class Planner(Protocol):
    """The module that plans the gates of one measure."""

    MEASURE: Measure
    KEYWORDS: tuple[str, ...]
    DATASET: str
    EXAMPLE: str

    def plan(self, planning: Planning, /) -> list[PlannedGate]:
        """Return the gates of one marker."""
        ...
