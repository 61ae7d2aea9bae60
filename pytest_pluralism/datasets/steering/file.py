"""What a model can be steered to, and what people with that attribute say: attributes, templates and questions.

A steering file is JSON lines of several kinds, told apart by their first field:

- ``{"attribute": "Democrat", "who": "a Democrat", "category": "political party", "opposite": "Republican"}``
- ``{"template": "as a voter", "place": "before", "text": "You vote as {who} does."}``
- ``{"survey": "gss"}``: the questions of a survey, and how the groups answered them;
- a question with the answer that each attribute gives (``answers``), how its people answer (``distributions``), or
  what follows from it (``statements``); or with none of these, where a value model or people judge the responses.

Survey files, and the files of Modular Pluralism and of the Pew survey by group, are read as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import (
    DatasetError,
    InvalidParameterError,
    PluralismError,
    invalid_parameter,
    nearest_names,
    unknown_name,
)
from pytest_pluralism.core.records import AnswerDistribution, Question, Survey
from pytest_pluralism.datasets.beside import file_beside
from pytest_pluralism.datasets.reading import Problems, json_array, json_lines, read_text
from pytest_pluralism.datasets.steering import sources as steering_sources
from pytest_pluralism.datasets.steering.templates import TEMPLATES, Attribute, SteeringTemplate, join_attributes
from pytest_pluralism.datasets.steering.words import known_attribute
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, assemble_survey, survey_sha256
from pytest_pluralism.datasets.surveys.file import is_survey_path, read_survey_file
from pytest_pluralism.datasets.surveys.loading import load_survey

__all__ = ["Statement", "SteeringSet", "load_steering", "steering_of_survey"]

#: What a model begins with that is an adapter of the tested one.
ADAPTER = "lora:"

REMEDY = "The format of steering files is described in the reference, under 'Steering'."

ATTRIBUTE_FIELDS = tuple(field.name for field in fields(Attribute) if field.name != "name")
TEMPLATE_FIELDS = tuple(field.name for field in fields(SteeringTemplate) if field.name not in ("name", "source"))
QUESTION_FIELDS = (
    "question_id", "question", "options", "answers", "distributions", "statements", "cluster", "positions", "refusals",
)  # fmt: skip

#: Names of what is asked beside the attributes; a name that begins with the second is one too.
RESERVED = ("unsteered", "placebo")

#: What the lines of a steering file begin with.
LINE_KINDS = ("attribute", "template", "survey", "question_id")


@dataclass(frozen=True, slots=True)
class Statement:
    """What follows from an attribute for one open question: a faithful response entails it."""

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
        """Return an attribute by its name, or the intersection of several: ``"Democrat + Women"``.

        Raises
        ------
        DatasetError
            If it is unknown; the nearest names are in the message.
        """
        by_name = {attribute.name: attribute for attribute in self.attributes}
        if name in by_name:
            return by_name[name]
        parts = [part.strip() for part in name.split("+")]
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
        The survey; whoever its ``default_population`` is, is no group of it.
    attributes : sequence of Attribute
        The attributes, by default one a population.

    Examples
    --------
    >>> steering = steering_of_survey(load_survey("gss"))
    >>> steering.names[:3], steering.attribute("Women").you
    (('Democrat', 'Independent', 'Republican'), 'you are a woman')
    """
    chosen = tuple(attributes) or tuple(
        known_attribute(name)
        for name in survey.populations
        if name != survey.default_population or len(survey.populations) == 1
    )
    return _finished(SteeringSet(survey.name, "distribution", survey, chosen, source=survey.source))


def load_steering(
    name_or_path: str,
    /,
    *,
    refusals: str = "keep",
    load: Callable[..., Survey] = load_survey,
) -> SteeringSet:
    """Load what a model is steered to.

    Parameters
    ----------
    name_or_path : str
        The name of a survey with several populations (``gss``), a steering file, a survey file, or a file of
        Modular Pluralism (OpinionQA, Value Kaleidoscope) or of the Pew survey by group.
    refusals : {"keep", "drop", "separate"}
        What becomes of options such as "Don't know".
    load : callable
        What loads a survey by name, ``load(name, refusals=...)``.

    Raises
    ------
    DatasetError
        If it is unknown, or anything in it is wrong; up to ten problems are named, each with its line and remedy.
    """
    if not isinstance(name_or_path, str) or not name_or_path:
        raise invalid_parameter(
            "name_or_path", "load_steering", "the name or file of a steering set", repr(name_or_path)
        )
    if not is_survey_path(name_or_path):
        return steering_of_survey(load(name_or_path, refusals=refusals))
    path = Path(name_or_path)
    stem = path.name.removesuffix(".gz")
    if not stem.endswith((".jsonl", ".json")):
        return steering_of_survey(load(name_or_path, refusals=refusals))
    text = read_text(path)
    problems = Problems(str(path), REMEDY)
    entries = json_lines(text, problems) if stem.endswith(".jsonl") else json_array(text, path, remedy=REMEDY)
    contents = [entry for _, entry in entries]
    if steering_sources.is_value_kaleidoscope(contents):
        survey, attributes, templates = steering_sources.read_value_kaleidoscope(path.name, entries, problems)
        source = steering_sources.VALUE_KALEIDOSCOPE
        return _finished(SteeringSet(path.name, "choice", survey, attributes, templates, source=source))
    if steering_sources.is_pew(contents):
        survey = steering_sources.read_pew(path.name, entries, problems, refusals=refusals)
        return steering_of_survey(survey)
    if not any(isinstance(entry, dict) and _line_kind(entry) for entry in contents):
        return steering_of_survey(read_survey_file(path, refusals=refusals))  # type: ignore[arg-type]
    return _read_lines(path, entries, problems, refusals=refusals, load=load)


# ------------------------------------------------------------------------------------------------------ in detail


def _line_kind(entry: Mapping[str, Any]) -> str:
    """Return what a line of a steering file is; nothing for a line that a survey file may hold too."""
    if "attribute" in entry and "gold_distribution" not in entry:
        return "attribute"
    if "template" in entry:
        return "template"
    if "survey" in entry:
        return "survey"
    return "question_id" if {"answers", "statements"} & entry.keys() else ""


def _read_lines(
    path: Path,
    entries: Sequence[tuple[str, Any]],
    problems: Problems,
    *,
    refusals: str,
    load: Callable[..., Survey],
) -> SteeringSet:
    attributes: dict[str, tuple[str, Attribute]] = {}
    written: dict[str, dict[str, Any]] = {}
    templates: dict[str, SteeringTemplate] = {}
    surveys: list[tuple[str, str]] = []
    questions: list[tuple[str, dict[str, Any]]] = []
    for where, entry in entries:
        if not isinstance(entry, dict):
            problems.add(where, f"must be an object, not {type(entry).__name__}")
            continue
        kind = _line_kind(entry) or ("question_id" if "question_id" in entry or "question" in entry else "")
        if not kind:
            near = [n for name in entry for n in nearest_names(str(name), LINE_KINDS, most=1)][:1]
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.add(where, f"has none of the fields {', '.join(map(repr, LINE_KINDS))}{hint}")
        elif kind == "attribute":
            _read_attribute(where, entry, attributes, written, path, problems)
        elif kind == "template":
            _read_template(where, entry, templates, problems)
        elif kind == "survey":
            surveys.append((where, entry["survey"]))
        elif _fields_fit(where, entry, QUESTION_FIELDS, problems):
            questions.append((where, entry))
    _check_attributes(attributes, written, problems)
    kinds = {
        kind
        for _, entry in questions
        for field, kind in (("answers", "choice"), ("distributions", "distribution"), ("statements", "entailment"))
        if field in entry
    } | ({"distribution"} if surveys else set())
    if len(surveys) > 1 or (surveys and questions):
        problems.add(surveys[-1][0], "names a survey beside other questions; one file holds one set of questions")
    elif len(kinds) > 1:
        problems.add("", f"mixes questions of several kinds ({', '.join(sorted(kinds))}); write a file for each")
    elif not questions and not surveys:
        problems.add("", "holds no question; add questions with 'answers', 'distributions' or 'statements', or a line "
                         '{"survey": "gss"}')  # fmt: skip
    elif not kinds and not attributes:
        problems.add("", "has open questions and no attribute; add lines such as "
                         '{"attribute": "Democrat", "who": "a Democrat"}')  # fmt: skip
    problems.raise_if_any()
    kind = kinds.pop() if kinds else "open"
    known = tuple(attribute for _, attribute in attributes.values())
    statements: list[Statement] = []
    if surveys:
        survey = _named_survey(surveys[0], path, problems, refusals, load)
        known = known or steering_of_survey(survey).attributes
    elif kind in ("entailment", "open"):
        survey, statements = _read_statements(path, questions, known, problems)
    else:
        survey = _read_questions(path, questions, known, kind, problems, refusals)
    known = known or tuple(
        known_attribute(name) for name in (survey.populations or dict.fromkeys(one.attribute for one in statements))
    )
    if kind not in ("entailment", "open"):
        lacking = [one for one in known if one.population not in survey.populations and not _is_mere_part(one, known)]
        for attribute in lacking:
            where = attributes[attribute.name][0] if attribute.name in attributes else ""
            near = nearest_names(attribute.population, survey.populations)
            hint = f" (nearest: {', '.join(map(repr, near))})" if near else ""
            problems.add(
                where,
                f"attribute {attribute.name!r}: no question says how {attribute.population!r} answers{hint}; add its "
                "answers, or name the population in the field 'population'",
            )
        problems.raise_if_any()
    return _finished(
        SteeringSet(
            path.name, kind, survey, known, tuple(templates.values()), tuple(statements), source=f"file {path.name}"
        ),
        # Wherever the file lies, it is the same one.
        models={name: given["model"] for name, given in written.items() if "model" in given},
    )


def _is_mere_part(attribute: Attribute, known: Iterable[Attribute]) -> bool:
    """Whether an attribute only stands there to be part of intersections."""
    return any(attribute.name in one.parts for one in known)


def _fields_fit(where: str, entry: Mapping[str, Any], known: Sequence[str], problems: Problems) -> bool:
    """Note fields that are probably misspelt; others may say more than is read."""
    before = len(problems.found)
    for name in entry:
        if name in known:
            continue
        near = [one for one in nearest_names(name, known, most=1) if one not in entry]
        if near and (near[0].startswith(name[:2]) or len(name) == len(near[0])):
            problems.add(where, f"unknown field {name!r}; did you mean {near[0]!r}?")
    return len(problems.found) == before


def _read_attribute(
    where: str,
    entry: Mapping[str, Any],
    attributes: dict[str, tuple[str, Attribute]],
    written: dict[str, dict[str, Any]],
    path: Path,
    problems: Problems,
) -> None:
    """Take in an attribute, and what was written of it."""
    if not _fields_fit(where, entry, ("attribute", *ATTRIBUTE_FIELDS), problems):
        return
    name = entry["attribute"]
    if not isinstance(name, str) or not name.strip():
        problems.add(where, f"'attribute' must be a text that is not empty, not {name!r}")
        return
    if name == "all" or _is_reserved(name):
        problems.add(where, f"{name!r} is a word of ours; give this attribute another name")
        return
    if name in attributes:
        problems.add(where, f"the attribute {name!r} is already given by {attributes[name][0]}; keep one of them")
        return
    given = {field: entry[field] for field in ATTRIBUTE_FIELDS if field in entry}
    parts = given.pop("parts", ())
    for field, value in given.items():
        if not isinstance(value, str) or not value.strip():
            problems.add(where, f"'{field}' must be a text that is not empty, not {value!r}")
            return
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        problems.add(where, f"'parts' must be a list of names of attributes, not {parts!r}")
        return
    base = known_attribute(name)
    if parts:
        # Resolved when all attributes have been read.
        given["parts"] = tuple(parts)
    elif "who" not in given and base.category:
        given = {"who": base.who, "label": base.label, "category": base.category, "opposite": base.opposite} | given
    written[name] = dict(given)
    if given.get("model", "").startswith(ADAPTER):
        # A folder is meant beside the file, wherever the run was started.
        try:
            given["model"] = ADAPTER + str(file_beside(path, given["model"].removeprefix(ADAPTER)))
        except DatasetError as error:
            problems.add(where, f"'model': {error}")
            return
    attributes[name] = (where, Attribute(name=name, **given))


def _is_reserved(name: str) -> bool:
    return name == RESERVED[0] or name.startswith(RESERVED[1])


def _check_attributes(
    attributes: dict[str, tuple[str, Attribute]], written: Mapping[str, Mapping[str, Any]], problems: Problems
) -> None:
    """Look for what attributes say of each other, and put intersections into words."""
    whole = set()
    for name, (where, attribute) in list(attributes.items()):
        known = [other for other in attributes if other != name]
        named = [*attribute.parts, *([attribute.opposite] if attribute.opposite else [])]
        missing = [one for one in named if one not in known]
        # The opposite of a known attribute need not be in this file.
        if attribute.opposite in missing and attribute.opposite == known_attribute(name).opposite:
            attributes[name] = (where, dataclasses.replace(attribute, opposite=None))
            missing.remove(attribute.opposite)
        for one in missing:
            problems.add(where, f"attribute {name!r}: {unknown_name('attribute', one, known)}")
        if not missing:
            whole.add(name)
    done: set[str] = set()
    for name in attributes:
        _put_together(name, attributes, written, whole, done, (), problems)


def _put_together(
    name: str,
    attributes: dict[str, tuple[str, Attribute]],
    written: Mapping[str, Mapping[str, Any]],
    whole: set[str],
    done: set[str],
    above: tuple[str, ...],
    problems: Problems,
) -> None:
    """Put an intersection into words, its parts first; what its author wrote of it stays."""
    where, attribute = attributes[name]
    if name in above:
        problems.add(where, f"the parts of {name!r} lead back to it: {' > '.join((*above[above.index(name) :], name))}")
        done |= set(above)
    if name in done or name not in whole or not attribute.parts:
        return
    for part in attribute.parts:
        _put_together(part, attributes, written, whole, done, (*above, name), problems)
    if name in done:
        return
    done.add(name)
    try:
        joined = join_attributes(tuple(attributes[part][1] for part in attribute.parts), name=name)
    except PluralismError as error:
        problems.add(where, str(error))
        return
    own = {field: getattr(attribute, field) for field in (*written[name], "opposite")}
    if "who" in own:
        # Who that is says what they are, too.
        own |= {field: getattr(attribute, field) for field in ("you", "i", "biography")}
    elif "i" in own:
        own["biography"] = attribute.biography
    attributes[name] = (where, dataclasses.replace(joined, **own))


def _read_template(
    where: str, entry: Mapping[str, Any], templates: dict[str, SteeringTemplate], problems: Problems
) -> None:
    if not _fields_fit(where, entry, ("template", *TEMPLATE_FIELDS), problems):
        return
    name = entry["template"]
    if not isinstance(name, str) or not name.strip():
        problems.add(where, f"'template' must be a text that is not empty, not {name!r}")
        return
    if name in templates or name in TEMPLATES:
        problems.add(where, f"a template {name!r} exists already; give it another name")
        return
    if "place" not in entry:
        problems.add(where, f"the template {name!r} lacks 'place': system, before, after, exchange or examples")
        return
    try:
        templates[name] = SteeringTemplate(
            name=name, **{field: entry[field] for field in TEMPLATE_FIELDS if field in entry}
        )
    except PluralismError as error:
        problems.add(where, str(error))


def _named_survey(
    named: tuple[str, Any], path: Path, problems: Problems, refusals: str, load: Callable[..., Survey]
) -> Survey:
    where, name = named
    if not isinstance(name, str) or not name:
        problems.add(where, f"'survey' must be the name or file of a survey, not {name!r}")
        problems.raise_if_any()
    try:
        # A file that does not lie here may lie under the root, where the loader looks; ".." is counted from here only.
        if is_survey_path(name) and ((beside := file_beside(path, name)).is_file() or ".." in beside.parts):
            name = str(beside)
        return load(name, refusals=refusals)
    except DatasetError as error:
        problems.add(where, str(error))
        problems.raise_if_any()
        raise


def _check_labels(
    where: str, given: Any, field: str, known: Sequence[Attribute], problems: Problems
) -> Mapping[str, Any]:
    """Return what a question says by attribute; the names must be those of attributes, if any are given."""
    if not isinstance(given, dict) or not given:
        problems.add(where, f"'{field}' must be an object with the name of an attribute for each, not {given!r}")
        return {}
    populations = list(dict.fromkeys(one.population for one in known))
    for name in given:
        if populations and name not in populations:
            problems.add(where, f"'{field}': {unknown_name('attribute', name, populations)}")
    return given


def _read_questions(
    path: Path,
    questions: Sequence[tuple[str, dict[str, Any]]],
    known: Sequence[Attribute],
    kind: str,
    problems: Problems,
    refusals: str,
) -> Survey:
    read = []
    for where, entry in questions:
        rows = []
        options: Any = entry.get("options")
        if kind == "choice":
            listed = [option.strip() for option in options] if _are_texts(options) else []
            for name, answer in _check_labels(where, entry.get("answers"), "answers", known, problems).items():
                if not listed:
                    continue
                if not isinstance(answer, str) or answer.strip() not in listed:
                    near = nearest_names(str(answer), listed, most=1)
                    hint = f"; did you mean {near[0]!r}?" if near else ""
                    problems.add(
                        where,
                        f"the answer of {name!r} must be one of the options ({', '.join(listed)}), "
                        f"not {answer!r}{hint}",
                    )
                    continue
                rows.append(ReadDistribution(name, [float(option == answer.strip()) for option in listed]))
            if not rows:
                continue
        else:
            given = entry.get("distributions")
            if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
                problems.add(where, "'distributions' must be a list of objects with 'population' and 'probabilities'")
                continue
            populations = list(dict.fromkeys(one.population for one in known))
            for row in given:
                # Populations that are no attribute may stand there, for comparison.
                rows.append(
                    ReadDistribution(
                        row.get("population"),
                        row.get("probabilities"),
                        row.get("n_respondents"),
                        row.get("n_effective"),
                    )
                )
                near = nearest_names(str(row.get("population")), populations, most=1)
                if populations and row.get("population") not in populations and near:
                    problems.add(where, f"unknown attribute {row.get('population')!r}; did you mean {near[0]!r}?")
        read.append(
            ReadQuestion(
                entry.get("question_id"),
                entry.get("question"),
                options,
                rows,
                cluster=entry.get("cluster"),
                positions=entry.get("positions"),
                # A right answer such as "No opinion" is an answer like the others.
                refusals=entry.get("refusals", [] if kind == "choice" else None),
                where=where,
            )
        )
    return assemble_survey(
        path.name,
        read,
        problems=problems,
        refusals="keep" if kind == "choice" else refusals,  # type: ignore[arg-type]
        source=f"file {path.name}",
    )


def _are_texts(options: Any) -> bool:
    return isinstance(options, list) and all(isinstance(option, str) for option in options)


def _read_statements(
    path: Path, questions: Sequence[tuple[str, dict[str, Any]]], known: Sequence[Attribute], problems: Problems
) -> tuple[Survey, list[Statement]]:
    found: dict[str, tuple[str, Question]] = {}
    statements = []
    for where, entry in questions:
        identifier: Any = entry.get("question_id")
        text: Any = entry.get("question")
        for field, value in (("question_id", identifier), ("question", text)):
            if not isinstance(value, str) or not value.strip():
                problems.add(where, f"'{field}' must be a text that is not empty, not {value!r}")
                break
        else:
            if identifier in found:
                problems.add(where, f"the question_id {identifier!r} is already used by {found[identifier][0]}")
                continue
            cluster = entry.get("cluster")
            if cluster is not None and (not isinstance(cluster, str) or not cluster.strip()):
                problems.add(where, f"'cluster' must be a text that is not empty, not {cluster!r}")
                cluster = None
            found[identifier] = (where, Question(identifier, text.strip(), (), cluster))
            given = entry.get("statements")
            if given is None and "statements" not in entry and not any("statements" in one for _, one in questions):
                continue
            for name, statement in _check_labels(where, given, "statements", known, problems).items():
                if not isinstance(statement, str) or not statement.strip():
                    problems.add(
                        where, f"the statement of {name!r} must be a text that is not empty, not {statement!r}"
                    )
                    continue
                statements.append(Statement(identifier, name, statement.strip()))
    problems.raise_if_any()
    listed = tuple(question for _, question in found.values())
    survey = Survey(path.name, listed, (), survey_sha256(listed, ()), f"file {path.name}")
    return survey, statements


def _finished(steering: SteeringSet, *, models: Mapping[str, str] | None = None) -> SteeringSet:
    """Write the hash of all that decides what is asked and compared; ``models`` are those of attributes, as written.

    Raises
    ------
    DatasetError
        If an attribute has the name of what is asked beside attributes.
    """
    for name in filter(_is_reserved, steering.names):
        raise DatasetError(
            f"{steering.name}: the population {name!r} has the name of what is asked beside attributes. Give it "
            f"another name there, or write a steering file whose attribute has 'population': {name!r}."
        )
    written = models or {}
    content = {
        "kind": steering.kind,
        "survey": steering.survey.sha256,
        "attributes": [
            dataclasses.asdict(one) | {"model": written.get(one.name, one.model)} for one in steering.attributes
        ],
        "templates": [dataclasses.asdict(one) for one in steering.templates],
        "statements": [dataclasses.asdict(one) for one in steering.statements],
    }
    encoded = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return dataclasses.replace(steering, sha256=hashlib.sha256(encoded.encode("ascii")).hexdigest())
