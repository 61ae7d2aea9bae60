"""Settings of steering and scoring, with their checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.evaluation.asking.rounds import SteeredModel

__all__ = [
    "ACROSS",
    "CHECKS",
    "EXAGGERATED",
    "FLATTENED",
    "MANY_ATTRIBUTES",
    "PLACEBO",
    "SCORES",
    "UNSTEERED",
    "Side",
    "SteeringSettings",
    "Unrelated",
    "check_most_units",
    "check_steering",
    "other_attribute",
    "steered_role",
]

#: How an answer is scored against that of an attribute, by name.
SCORES = ("js", "wasserstein", "mode", "probability")

#: The separator between several contexts.
ACROSS = ("mean", "best_per_question", "best_per_group")

#: The sides that are asked beside the attribute, for comparison.
CHECKS = ("unsteered", "family", "placebo", "unrelated")

#: The sides other than the attribute.
UNSTEERED = "unsteered"
PLACEBO = "placebo"


@dataclass(frozen=True, slots=True)
class Unrelated:
    """Name a side that is asked about something else than its attribute.

    Attributes
    ----------
    side : str
        An attribute, a placebo, or ``"unsteered"``.
    """

    side: str


#: A way in which the model is asked: steered to an attribute or a placebo, or unsteered.
Side = str | Unrelated

#: Below this share of the people's entropy, the answers of a steered model are said to flatten the group.
FLATTENED = 0.5

#: From this contrast on, steering is said to exaggerate how far a group and its opposite are apart; 1 is as the people.
EXAGGERATED = 1.5

#: With more attributes than this, the checks are not asked by themselves, and the report lists the worst ones only.
MANY_ATTRIBUTES = 24


def check_steering(contexts: object, over: object, checks: object, /, *, known_checks: Sequence[str]) -> None:
    """Refuse contexts, a comparison or checks that are not valid.

    Raises
    ------
    InvalidParameterError
        If one of them is wrong.
    """
    function = "steering_faithfulness"
    if not isinstance(contexts, (list, tuple)) or not contexts or not all(isinstance(name, str) for name in contexts):
        raise invalid_parameter("context", function, "the name of a context, or several", repr(contexts))
    if len(set(contexts)) < len(contexts):
        raise invalid_parameter("context", function, "without repetitions", repr(contexts))
    if over is not None and not isinstance(over, str):
        must = f"'{UNSTEERED}', '{PLACEBO}' or the name of an attribute"
        raise invalid_parameter("over", function, must, repr(over))
    must = "some of " + ", ".join(map(repr, known_checks))
    if not isinstance(checks, (list, tuple)):
        raise invalid_parameter("checks", function, must, repr(checks))
    for check in checks:
        if check not in known_checks:
            raise invalid_parameter("checks", function, must, repr(check))


def check_most_units(most: object, /) -> None:
    """Refuse a value that is not a number of units.

    Raises
    ------
    InvalidParameterError
        If it is neither a whole number from 2 nor ``None``.
    """
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 2):
        raise invalid_parameter("most_units", "steering_faithfulness", "a whole number from 2, or None", repr(most))


@dataclass(frozen=True)
class SteeringSettings:
    """Settings of steering, and of scoring and comparing the answers.

    Attributes
    ----------
    contexts : tuple of str
        The ways of naming the attribute.
    across : {"mean", "best_per_question", "best_per_group"}
        The mean of the contexts' scores, or the best context for each question or for the attribute as a whole.
    score : {"js", "wasserstein", "mode", "probability"}
        One minus the Jensen-Shannon distance; one minus the Wasserstein distance over the length of the scale; whether
        the likeliest options agree; the probability of the right answer.
    over : str or None
        The side that the score must exceed: ``"unsteered"``, ``"placebo"`` or another attribute. Units are then
        differences.
    checks : tuple of str
        Sides that are asked for comparison.
    most_units : int or None
        Maximum number of answers of attributes, drawn with the seed.
    """

    contexts: tuple[str, ...] = ("instruction",)
    across: str = "mean"
    score: str = "js"
    over: str | None = None
    checks: tuple[str, ...] = (UNSTEERED, "family", PLACEBO, "unrelated")
    most_units: int | None = None

    def __post_init__(self) -> None:
        function = "steering_faithfulness"
        for name, value, known in (("across", self.across, ACROSS), ("score", self.score, SCORES)):
            one_of(value, known, name=name, function=function)
        check_steering(self.contexts, self.over, self.checks, known_checks=CHECKS)
        check_most_units(self.most_units)

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values."""
        return {**asdict(self), "contexts": list(self.contexts), "checks": list(self.checks)}


def other_attribute(steering: SteeringSet, over: str | None, attribute: str | None, /) -> Attribute | None:
    """Return the attribute that ``over`` names, if it names one.

    Raises
    ------
    DatasetError
        If it is unknown.
    InvalidParameterError
        If it is the attribute itself.
    """
    if over in (None, UNSTEERED, PLACEBO):
        return None
    if over == attribute:
        raise InvalidParameterError(
            f"over={over!r} is the attribute itself, and the difference always 0. Name another attribute, "
            f"'{UNSTEERED}' or '{PLACEBO}'."
        )
    return steering.attribute(str(over))


def steered_role(attribute: Attribute, /) -> SteeredModel:
    """Return the role under which a run finds the model that is steered to an attribute."""
    return SteeredModel(attribute.name, attribute.model)
