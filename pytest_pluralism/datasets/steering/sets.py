"""Steering sets: attributes, the ways of naming them, and what people who have them say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, nearest_names, unknown_name
from pytest_pluralism.core.records import AnswerDistribution, Survey
from pytest_pluralism.datasets.steering.templates import TEMPLATES, Attribute, SteeringTemplate, join_attributes
from pytest_pluralism.datasets.steering.words import known_attribute

__all__ = ["Statement", "SteeringSet", "finished", "is_reserved", "steering_of_survey"]

#: Names of what is asked beside the attributes; a name that begins with the second is one too.
RESERVED = ("unsteered", "placebo")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that follows from an attribute for one open question: a faithful response entails it."""

    question_id: str
    attribute: str
    text: str


@dataclass(frozen=True)
class SteeringSet:
    """Attributes, the ways of naming them, and what people who have them say.

    Attributes
    ----------
    name : str
        The name of the file or survey.
    kind : {"distribution", "choice", "entailment", "open"}
        Whether a group's distribution, one right answer, or a statement is compared; or nothing of the file.
    survey : Survey
        The questions. Of a choice, the population of an attribute gives its right answer with probability 1; of an
        entailment, or open, the questions have no options and nobody answers them.
    attributes : tuple of Attribute
        In order of first appearance.
    templates : tuple of SteeringTemplate
        Those of the file; the named ones are known anyway.
    statements : tuple of Statement
        Only of ``"entailment"``.
    sha256 : str
        The hash of all of it.
    source : str
        Where it comes from.
    """

    name: str
    kind: str
    survey: Survey
    attributes: tuple[Attribute, ...]
    templates: tuple[SteeringTemplate, ...] = ()
    statements: tuple[Statement, ...] = ()
    sha256: str = ""
    source: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the attributes."""
        return tuple(attribute.name for attribute in self.attributes)

    def attribute(self, name: str, /) -> Attribute:
        """Return an attribute by its name, or the intersection of several in any order: ``"Democrat + Women"``.

        Raises
        ------
        DatasetError
            If it is unknown; the nearest names are in the message.
        """
        by_name = {attribute.name: attribute for attribute in self.attributes}
        if name in by_name:
            return by_name[name]
        parts = [part.strip() for part in name.split("+")]
        if len(parts) > 1:
            # The same people whatever is named first.
            for one in self.attributes:
                if sorted(one.parts) == sorted(parts):
                    return one
            known = (*self.names, *self.survey.populations)
            name = next((other for other in known if _parts(other) == sorted(parts)), name)
        if name in by_name:
            return by_name[name]
        if len(parts) > 1 and all(part in by_name for part in parts):
            return join_attributes(tuple(by_name[part] for part in parts), name=name)
        missing = next((part for part in parts if part not in by_name), name) if len(parts) > 1 else name
        raise DatasetError(f"{self.name}: {unknown_name('attribute', missing, self.names)}")

    def template(self, name: str, /) -> SteeringTemplate:
        """Return a template of this set, or a named one.

        Raises
        ------
        InvalidParameterError
            If it is unknown.
        """
        own = {template.name: template for template in self.templates}
        if name in own or name in TEMPLATES:
            return own.get(name) or TEMPLATES[name]
        raise InvalidParameterError(unknown_name("context", name, [*own, *TEMPLATES]))

    def family(self, attribute: Attribute, /) -> tuple[Attribute, ...]:
        """Return the attributes of the same category, in order, the given one among them."""
        same = tuple(one for one in self.attributes if attribute.category and one.category == attribute.category)
        return same if attribute in same else (*same, attribute)

    def rows(self, attribute: Attribute, /) -> tuple[AnswerDistribution, ...]:
        """Return how the people of an attribute answer, in the order of the questions.

        Raises
        ------
        DatasetError
            If nobody says how they answer.
        """
        found = {row.question_id: row for row in self.survey.distributions if row.population == attribute.population}
        if not found and self.kind not in ("entailment", "open"):
            near = nearest_names(attribute.population, self.survey.populations)
            hint = f" Nearest: {', '.join(map(repr, near))}." if near else ""
            raise DatasetError(
                f"{self.name}: nobody says how {attribute.name!r} answers: the survey {self.survey.name!r} has no "
                f"population {attribute.population!r}.{hint} Name the population of the attribute in the field "
                "'population', or add its distributions."
            )
        return tuple(found[q.question_id] for q in self.survey.questions if q.question_id in found)


def steering_of_survey(survey: Survey, /, *, attributes: Sequence[Attribute] = ()) -> SteeringSet:
    """Return the groups of a survey as attributes.

    Parameters
    ----------
    survey : Survey
        The survey. Its ``default_population`` is everybody, and so not one of its groups.
    attributes : sequence of Attribute
        The attributes, by default one a population.

    Examples
    --------
    >>> from pytest_pluralism.datasets import load_survey
    >>> steering = steering_of_survey(load_survey("gss"))
    >>> steering.names[:3], steering.attribute("Women").you
    (('Democrat', 'Independent', 'Republican'), 'you are a woman')
    """
    chosen = tuple(attributes) or tuple(
        known_attribute(name)
        for name in survey.populations
        if name != survey.default_population or len(survey.populations) == 1
    )
    return finished(SteeringSet(survey.name, "distribution", survey, chosen, source=survey.source))


def is_reserved(name: str, /) -> bool:
    """Return whether a name is that of what is asked beside the attributes."""
    return name == RESERVED[0] or name.startswith(RESERVED[1])


def finished(steering: SteeringSet, /, *, models: Mapping[str, str] | None = None) -> SteeringSet:
    """Return a set with the hash of all that decides what is asked and compared.

    ``models`` are the models of attributes as the file has them.

    Raises
    ------
    DatasetError
        If an attribute has the name of what is asked beside attributes.
    """
    for name in filter(is_reserved, steering.names):
        raise DatasetError(
            f"{steering.name}: the population {name!r} has the name of what is asked beside attributes. Give it "
            f"another name there, or write a steering file whose attribute has 'population': {name!r}."
        )
    written = models or {}
    content = {
        "kind": steering.kind,
        "survey": steering.survey.sha256,
        "attributes": [asdict(one) | {"model": written.get(one.name, one.model)} for one in steering.attributes],
        "templates": [asdict(one) for one in steering.templates],
        "statements": [asdict(one) for one in steering.statements],
    }
    encoded = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return replace(steering, sha256=hashlib.sha256(encoded.encode("ascii")).hexdigest())


def _parts(name: str) -> list[str]:
    return sorted(part.strip() for part in name.split("+"))
