"""Objectives other than the built-in measures: functions of a project, and scores that were computed elsewhere.

A function is called with the model, ``function(language_model)``, and returns a score for each unit; or, where the
objective has prompts, with what the model wrote, ``function(prompt, response)``, and returns the score of that text.
The second way goes through the answer store, so that an unchanged model writes nothing twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import GenerationSettings, Prompt, Scores, UnitScore
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds

__all__ = ["CallableObjective", "ExternalObjective", "ResponseObjective"]

#: How responses are written for an objective, unless it says otherwise: the likeliest text.
WRITING = GenerationSettings(max_new_tokens=64, temperature=0.0)


@dataclass(frozen=True)
class CallableObjective:
    """A function of the model: ``function(language_model)`` returns ``{"unit": score}``.

    Attributes
    ----------
    name : str
        Of the objective.
    function : callable
        The function, which is called once for each model of a run.
    """

    name: str
    function: Callable[[object], Mapping[str, float]]

    def rounds(self) -> Rounds:
        """Ask the function, and check its result.

        Raises
        ------
        InvalidParameterError
            If it returns anything but finite numbers by the names of units.
        """
        (found,) = yield Round("objectives", (self,))
        must = f"The function of the objective {self.name!r} must return a dict of units and finite numbers. "
        if not isinstance(found, Mapping) or not found:
            raise InvalidParameterError(f"{must}Got {found!r}"[:300] + " instead.")
        units = []
        for unit, value in found.items():
            if not isinstance(unit, str):
                raise InvalidParameterError(f"{must}Got the unit {unit!r} instead of a name.")
            units.append(UnitScore(unit, unit, _number(value, must, repr(unit))))
        return Scores("objective", tuple(units))


@dataclass(frozen=True)
class ResponseObjective:
    """A function of what the model writes: ``function(prompt, response)`` returns the score of a response.

    Attributes
    ----------
    name : str
        Of the objective.
    function : callable
        Takes the text of the prompt and that of the response.
    prompts : tuple of str
        The prompts for the model; the units.
    writing : GenerationSettings
        How it writes.
    template : {"auto", "chat", "raw"}
        The form of the prompts.
    """

    name: str
    function: Callable[[str, str], float]
    prompts: tuple[str, ...]
    writing: GenerationSettings = WRITING
    template: str = "auto"

    def rounds(self) -> Rounds:
        """Have the responses written, and score them.

        Raises
        ------
        InvalidParameterError
            If the function returns no finite number.
        """
        asked = tuple(Prompt(text, (), cue="", template=self.template) for text in self.prompts)
        written = yield Round("responses", asked, self.writing)
        must = f"The function of the objective {self.name!r} must return a finite number for each response. "
        units = []
        for number, (text, draws) in enumerate(zip(self.prompts, written, strict=True), start=1):
            response = draws[0].text
            value = _number(self.function(text, response), must, f"prompt {number}")
            units.append(
                UnitScore(f"prompt {number}", f"prompt {number}", value, text=text, details={"response": response})
            )
        return Scores("objective", tuple(units))


@dataclass(frozen=True)
class ExternalObjective:
    """Scores by unit that were computed elsewhere.

    Attributes
    ----------
    scores : mapping of str to float
        By unit.
    """

    scores: Mapping[str, float] = field(default_factory=dict)

    def rounds(self) -> Rounds:
        """Ask nothing."""
        yield from ()
        return Scores("objective", tuple(UnitScore(unit, unit, value) for unit, value in self.scores.items()))


def _number(value: object, must: str, where: str) -> float:
    try:
        number = float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, (bool, str)) or not math.isfinite(number):
        raise InvalidParameterError(f"{must}Got {value!r} for {where} instead."[:300])
    return number
