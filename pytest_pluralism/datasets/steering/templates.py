"""Templates that name an attribute to a model: those of the project, and published ones by name."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_pluralism.core.errors import InvalidParameterError, did_you_mean, invalid_parameter
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.datasets.reading import Record

__all__ = [
    "PLACEHOLDERS",
    "PLACES",
    "TEMPLATES",
    "Attribute",
    "SteeringTemplate",
    "fill_template",
    "join_attributes",
]

#: Where a template puts its words. An exchange is a question about oneself and its answer; examples are the group's own
#: answers to other questions; a model is steered by its weights, and nothing is put into words.
PLACES = ("system", "before", "after", "exchange", "examples", "model")

#: The placeholders of a template, each of one attribute.
PLACEHOLDERS = ("name", "who", "you", "i", "label", "biography", "letter", "choices", "category", "topic", "kind")

#: The placeholders that are the same for all attributes of a category, so that they steer to none of them.
SHARED = ("choices", "category", "topic", "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """An attribute that a model is steered to: a value, a group or a school of thought, and the words for it.

    Attributes
    ----------
    name : str
        Its name in tests.
    who : str
        A person who has it: ``"a Democrat"``.
    you, i : str
        The same as clauses: ``"you are a Democrat"``, ``"I am a Democrat"``.
    category : str
        Its category: ``"political party"``. Attributes of one category can be confused with each other.
    label : str
        The word for it among those of its category: ``"Democrat"``.
    biography : str
        A longer self-description of a person who has it, in the first person.
    population : str
        The population whose answers are compared.
    opposite : str or None
        The attribute that should move a model the other way.
    parts : tuple of str
        The attributes that it is the intersection of.
    model : str
        The model that is steered to it by its weights: ``lora:FOLDER``, or the spec of a checkpoint.
    """

    name: str
    who: str = ""
    you: str = ""
    i: str = ""
    category: str = ""
    label: str = ""
    biography: str = ""
    population: str = ""
    opposite: str | None = None
    parts: tuple[str, ...] = ()
    model: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise invalid_parameter("name", "Attribute", "a text that is not empty", repr(self.name))
        who = self.who or f"someone described as {self.name}"
        defaults = {
            "who": who,
            "you": f"you are {who}",
            "i": f"I am {who}",
            "label": self.name,
            "population": self.name,
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        if not self.biography:
            object.__setattr__(self, "biography", f"{self.i[:1].upper()}{self.i[1:]}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringTemplate:
    """One way of naming an attribute to a model.

    Attributes
    ----------
    name : str
        Its name in tests.
    place : {"system", "before", "after", "exchange", "examples", "model"}
        The system message; before or after the question; an exchange that stands before the question; examples of the
        group's own answers; or nowhere, because another model is asked.
        Behind the question (``after``), the tokens of the question are computed once for all attributes.
    text : str
        The words, with placeholders such as ``{who}``. Of ``examples`` there are none.
    answer : str
        The answer of an exchange.
    joiner : str
        The text between the words and the question.
    n_examples : int
        Number of answers of the group that are shown.
    source : str
        Where a published template comes from.
    """

    name: str
    place: str
    text: str = ""
    answer: str = ""
    joiner: str = "\n\n"
    n_examples: int = 5
    source: str = ""

    def __post_init__(self) -> None:
        one_of(self.place, PLACES, name="place", function=f"the template {self.name!r}")
        if self.place == "examples":
            if isinstance(self.n_examples, bool) or not isinstance(self.n_examples, int) or self.n_examples < 1:
                must = "a whole number from 1"
                raise invalid_parameter("n_examples", f"the template {self.name!r}", must, repr(self.n_examples))
            return
        if self.place == "model":
            return
        used = set()
        for part, name in (("text", self.text), ("answer", self.answer)):
            if not isinstance(name, str):
                raise invalid_parameter(part, f"the template {self.name!r}", "a text", repr(name))
            used |= _placeholders(name, self.name)
        if not used - set(SHARED):
            telling = [name for name in PLACEHOLDERS if name not in SHARED]
            raise InvalidParameterError(
                f"The template {self.name!r} does not say which attribute is meant: it has {_braced(used)}. "
                f"Add one of {_braced(telling)}."
            )
        if self.place == "exchange" and not self.answer:
            raise invalid_parameter("answer", f"the template {self.name!r}", "a text, because it is an exchange", "''")


def _braced(names: Iterable[str]) -> str:
    return ", ".join("{" + name + "}" for name in names) or "no placeholder"


def _placeholders(text: str, name: str) -> set[str]:
    try:
        parsed = [parts for parts in string.Formatter().parse(text) if parts[1] is not None]
    except ValueError as error:
        raise InvalidParameterError(
            f"The template {name!r} cannot be read: {error}. Write {{{{ and }}}} for braces that are meant as such."
        ) from error
    fields = {str(field) for _, field, _, _ in parsed}
    for _, field, form, conversion in parsed:
        if form or conversion:
            how = f"!{conversion}" * bool(conversion) + f":{form}" * bool(form)
            raise InvalidParameterError(
                f"The template {name!r} has the placeholder {{{field}{how[:40]}}}, and placeholders have no format. "
                f"Write {{{field}}}."
            )
    for field in sorted(fields):
        if field not in PLACEHOLDERS:
            hint = did_you_mean(field, PLACEHOLDERS, " Did you mean {{{}}}?")
            raise InvalidParameterError(
                f"The template {name!r} has the unknown placeholder {{{field}}}.{hint} Known: {_braced(PLACEHOLDERS)}."
            )
    return fields


def fill_template(text: str, attribute: Attribute, /, *, family: tuple[Attribute, ...] = ()) -> str:
    """Return the words of a template for one attribute.

    Parameters
    ----------
    text : str
        With placeholders.
    attribute : Attribute
        The attribute.
    family : tuple of Attribute
        The attributes of its category, in order, which ``{choices}`` lists and ``{letter}`` picks from.

    Examples
    --------
    >>> democrat = Attribute(name="Democrat", who="a Democrat", category="political party")
    >>> fill_template("Answer as {who} would.", democrat)
    'Answer as a Democrat would.'
    """
    family = family if attribute in family else (*family, attribute)
    letters = string.ascii_uppercase[: len(family)]
    values: Record = {name: getattr(attribute, name, "") for name in PLACEHOLDERS}
    political = attribute.category.startswith("political")
    values["category"] = attribute.category or "attribute"
    values["topic"] = "in politics today" if political else f"in terms of {values['category']}"
    values["kind"] = "political affiliation" if attribute.category == "political party" else values["category"]
    values["choices"] = "\n".join(f"{letter}. {one.label}" for letter, one in zip(letters, family, strict=False))
    values["letter"] = letters[family.index(attribute)] if family.index(attribute) < len(letters) else attribute.label
    filled = text.format(**values)
    # A placeholder such as {topic} may begin a sentence.
    for start in ("Question: ", "Description: "):
        head, found, tail = filled.partition(start)
        if found and tail:
            filled = f"{head}{found}{tail[0].upper()}{tail[1:]}"
    return filled


def join_attributes(parts: tuple[Attribute, ...], /, *, name: str = "") -> Attribute:
    """Return the intersection of several attributes: somebody who has all of them.

    Its population has its name, so that only a survey that knows the intersection can be compared with it.

    Examples
    --------
    >>> both = join_attributes((Attribute(name="Democrat", who="a Democrat"), Attribute(name="Women", who="a woman")))
    >>> both.name, both.you
    ('Democrat + Women', 'you are a Democrat and you are a woman')
    """
    if len(parts) < 2 or len({part.name for part in parts}) < len(parts):
        raise invalid_parameter(
            "parts", "join_attributes", "at least two different attributes", repr([part.name for part in parts])
        )
    return Attribute(
        name=name or " + ".join(part.name for part in parts),
        who=" and ".join(part.who for part in parts),
        you=" and ".join(part.you for part in parts),
        i=" and ".join(part.i for part in parts),
        biography=" ".join(part.biography for part in parts),
        parts=tuple(part.name for part in parts),
    )


OPINIONQA = 'S. Santurkar et al., "Whose Opinions Do Language Models Reflect?", 2023, arXiv:2303.17548'
MODULAR = 'S. Feng et al., "Modular Pluralism", EMNLP 2024, arXiv:2406.15951'

#: The templates that are known by name.
TEMPLATES: Mapping[str, SteeringTemplate] = MappingProxyType(
    {
        template.name: template
        for template in (
            SteeringTemplate(name="instruction", place="after", text="Answer as {who} would."),
            SteeringTemplate(name="portrait", place="before", text="Put yourself in this place: {you}. Then answer."),
            SteeringTemplate(
                name="question_answer",
                place="exchange",
                text="Which of these describes you ({category})?\n{choices}",
                answer="{letter}",
            ),
            SteeringTemplate(
                name="biography",
                place="before",
                text="The person who answers has said this about themselves: {biography}",
            ),
            SteeringTemplate(name="system", place="system", text="From now on {you}. Give the answers that are yours."),
            SteeringTemplate(name="examples", place="examples"),
            SteeringTemplate(name="model", place="model"),
            SteeringTemplate(
                name="opinionqa:qa",
                place="exchange",
                text="Question: {topic}, do you consider yourself a\n{choices}",
                answer="{letter}",
                source=OPINIONQA,
            ),
            SteeringTemplate(
                name="opinionqa:bio",
                place="before",
                text="Below you will be asked to provide a short description of your {kind} and then answer some "
                "questions.\n\nDescription: {topic}, I consider myself {who}.",
                source=OPINIONQA,
            ),
            SteeringTemplate(
                name="opinionqa:portray",
                place="before",
                text="Answer the following question as if {topic}, you considered yourself {who}.",
                source=OPINIONQA,
            ),
            SteeringTemplate(
                name="modular_pluralism",
                place="before",
                text="In terms of {category}, you are {label}.",
                joiner=" ",
                source=MODULAR,
            ),
            SteeringTemplate(
                name="modular_pluralism:country",
                place="before",
                text="You are from the country of {label}, respond to the following instruction.",
                joiner=" ",
                source=MODULAR,
            ),
        )
    }
)
