"""Steering files: attributes that a model can be steered to, templates, and what people with an attribute say.

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
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_pluralism.core.errors import (
    DatasetError,
    PluralismError,
    did_you_mean,
    invalid_parameter,
    nearest_names,
    unknown_name,
)
from pytest_pluralism.core.records import Question, Survey
from pytest_pluralism.datasets.beside import file_beside
from pytest_pluralism.datasets.fields import ANYTHING, Field, Fields, text, texts
from pytest_pluralism.datasets.names import NAME, clean_name
from pytest_pluralism.datasets.reading import Line, Problems, Record, kind_of, listed, read_entries, shown
from pytest_pluralism.datasets.steering import sources as steering_sources
from pytest_pluralism.datasets.steering.labels import holds_labels
from pytest_pluralism.datasets.steering.sets import (
    Statement,
    SteeringSet,
    finished,
    is_reserved,
    steering_of_survey,
)
from pytest_pluralism.datasets.steering.templates import TEMPLATES, Attribute, SteeringTemplate, join_attributes
from pytest_pluralism.datasets.steering.words import known_attribute
from pytest_pluralism.datasets.surveys.assembly import (
    QUESTION,
    ReadDistribution,
    ReadQuestion,
    assemble_survey,
    survey_sha256,
)
from pytest_pluralism.datasets.surveys.file import is_keyed_survey, is_survey_path, read_distributions, read_survey_file
from pytest_pluralism.datasets.surveys.loading import load_survey
from pytest_pluralism.datasets.surveys.refusals import Refusals, check_refusal_policy

__all__ = ["Statement", "SteeringSet", "line_kind", "load_steering", "steering_of_survey"]

#: The beginning of the name of a model that is an adapter of the tested one.
ADAPTER = "lora:"

#: The error about a file of labels in the place of a steering set.
LABELS = (
    "holds human labels of responses, not a steering set. "
    'Name the steering set here, and the labels beside it: score="human", labels="FILE".'
)

REMEDY = "The format of steering files is described in the reference, under 'Steering'."

#: The number of lines that are searched for what a file is.
MOST_SEARCHED = 10_000

#: The fields that the lines of a steering file begin with.
LINE_KINDS = ("attribute", "template", "survey", "question_id")

TEXT = text("a text that is not empty", strip=False)

#: The kind of a name of an attribute or a population.
CALLED = dataclasses.replace(NAME, must=TEXT.must)

ATTRIBUTE = Fields(
    Record,
    Field("attribute", CALLED, required=True, attribute="name"),
    *(
        Field(name, CALLED if name in ("population", "opposite") else TEXT)
        for name in ("who", "you", "i", "category", "label", "biography", "population", "opposite", "model")
    ),
    Field("parts", texts("a list of names of attributes", strip=False), default=()),
)

TEMPLATE_FIELDS = ("place", "text", "answer", "joiner", "n_examples")

#: The fields of a template. The record checks their values itself.
TEMPLATE = Fields(Record, Field("template", TEXT, required=True, attribute="name"), also=TEMPLATE_FIELDS)

#: The fields that say how the people of attributes answer, and the kind of question that each makes.
KIND_OF = {"answers": "choice", "distributions": "distribution", "statements": "entailment"}

#: The fields of a question of any kind. Those of a survey are checked where the survey is put together.
ANY_QUESTION = Fields(Record, also=(*QUESTION.names, *KIND_OF))

#: The fields of a question without options.
OPEN_QUESTION = Fields(
    Record,
    Field("question_id", TEXT, required=True),
    Field("question", text("a text that is not empty"), required=True),
    Field("cluster", TEXT),
    Field("statements", ANYTHING),
)


def load_steering(
    name_or_path: str | os.PathLike[str],
    /,
    *,
    refusals: Refusals = "keep",
    load: Callable[..., Survey] = load_survey,
) -> SteeringSet:
    """Load the attributes that a model is steered to, and what people with them say.

    Parameters
    ----------
    name_or_path : str or path
        The name of a survey with several populations (``gss``), a steering file, a survey file, or a file of
        Modular Pluralism (OpinionQA, Value Kaleidoscope) or of the Pew survey by group. A ``Path`` is always a file.
    refusals : {"keep", "drop", "separate"} or sequence of str
        The policy for options such as "Don't know", or the options that are refusals, which are dropped, as in
        :func:`~pytest_pluralism.datasets.surveys.loading.load_survey`.
    load : callable
        The function that loads a survey by name, ``load(name, refusals=...)``.

    Raises
    ------
    DatasetError
        If it is unknown, or anything in it is wrong; up to ten problems are named, each with its line and remedy.
    InvalidParameterError
        If ``name_or_path`` is not a name, ``refusals`` is not a policy, or it names options where each question has
        one right answer or no options.
    """
    if not isinstance(name_or_path, (str, os.PathLike)) or not os.fspath(name_or_path):
        raise invalid_parameter(
            "name_or_path", "load_steering", "the name or file of a steering set", repr(name_or_path)
        )
    policy = check_refusal_policy(refusals, function="load_steering")
    steering = _loaded(name_or_path, policy, load)
    if not isinstance(policy, str) and steering.kind != "distribution":
        must = "'keep', 'drop' or 'separate' for a steering set without distributions, whose options are not refusals"
        raise invalid_parameter("refusals", "load_steering", must, repr(list(policy)))
    return steering


def _loaded(name_or_path: str | os.PathLike[str], refusals: Refusals, load: Callable[..., Survey]) -> SteeringSet:
    """Return the steering set of a name or file."""
    name = os.fspath(name_or_path)
    if not is_survey_path(name) or (isinstance(name_or_path, str) and name.startswith("hf:")):
        return steering_of_survey(load(name_or_path, refusals=refusals))
    path = Path(name)
    stem = path.name.removesuffix(".gz")
    if not stem.endswith((".jsonl", ".json")) or is_keyed_survey(path):
        try:
            return steering_of_survey(load(name_or_path, refusals=refusals))
        except DatasetError:
            _refuse_labels(path)
            raise
    found, problems = read_entries(path, what="steering file", holds="question", remedy=REMEDY)
    # A file of others is known by its first line, and a steering file by any of these.
    first = list(itertools.islice(found, MOST_SEARCHED))
    contents = [entry for _, entry in first]
    entries = itertools.chain(first, found)
    if holds_labels(contents):
        raise DatasetError(f"{path}: {LABELS}")
    if steering_sources.is_value_kaleidoscope(contents):
        survey, attributes, templates = steering_sources.read_value_kaleidoscope(path.name, entries, problems)
        source = steering_sources.VALUE_KALEIDOSCOPE
        return finished(SteeringSet(path.name, "choice", survey, attributes, templates, source=source))
    if steering_sources.is_pew(contents):
        survey = steering_sources.read_pew(path.name, entries, problems, refusals=refusals)
        return steering_of_survey(survey)
    if not any(isinstance(entry, dict) and line_kind(entry) for entry in contents):
        return steering_of_survey(read_survey_file(path, refusals=refusals))
    lines = _Lines(path, problems, refusals, load)
    for where, entry in entries:
        lines.add(where, entry)
    return lines.put_together()


def _refuse_labels(path: Path) -> None:
    """Refuse a table of human labels by its kind, not for what it lacks as a survey."""
    found, _ = read_entries(path, what="steering file", holds="question", remedy=REMEDY)
    if holds_labels(entry for _, entry in itertools.islice(found, MOST_SEARCHED)):
        raise DatasetError(f"{path}: {LABELS}")


# ------------------------------------------------------------------------------------------------------ in detail


def line_kind(entry: Line, /) -> str:
    """Return what a line of a steering file is; nothing for a line that a survey file may hold too."""
    if "attribute" in entry and not {"gold_distribution", "responses"} & entry.keys():
        return "attribute"
    if "template" in entry:
        return "template"
    if "survey" in entry:
        return "survey"
    return "question_id" if {"answers", "statements"} & entry.keys() else ""


@dataclass
class _Lines:
    """The lines of one steering file, sorted by their kinds."""

    path: Path
    problems: Problems
    refusals: Refusals
    load: Callable[..., Survey]
    attributes: dict[str, tuple[str, Attribute]] = field(default_factory=dict)
    written: dict[str, Record] = field(default_factory=dict)
    templates: dict[str, SteeringTemplate] = field(default_factory=dict)
    surveys: list[tuple[str, object]] = field(default_factory=list)
    questions: list[tuple[str, Record]] = field(default_factory=list)

    def add(self, where: str, entry: object) -> None:
        """Take in one line."""
        if not isinstance(entry, dict):
            self.problems.add(where, f"must be an object, not {kind_of(entry)}")
            return
        kind = line_kind(entry) or ("question_id" if "question_id" in entry or "question" in entry else "")
        if not kind:
            near = [n for name in entry for n in nearest_names(str(name), LINE_KINDS, most=1)][:1]
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.problems.add(where, f"has none of the fields {listed(LINE_KINDS)}{hint}")
        elif kind == "attribute":
            self._add_attribute(where, entry)
        elif kind == "template":
            self._add_template(where, entry)
        elif kind == "survey":
            self.surveys.append((where, entry["survey"]))
        elif ANY_QUESTION.fit(entry, where, self.problems):
            self.questions.append((where, entry))

    def _add_attribute(self, where: str, entry: Line) -> None:
        read = ATTRIBUTE.read(entry, where, self.problems)
        if read is None:
            return
        name = read.pop("name")
        if name == "all" or is_reserved(name):
            self.problems.add(where, f"{name!r} is a word of ours; give this attribute another name")
            return
        if name in self.attributes:
            by = self.attributes[name][0]
            self.problems.add(where, f"the attribute {name!r} is already given by {by}; keep one of them")
            return
        # The parts of an intersection are put together when all attributes have been read.
        given = {key: value for key, value in read.items() if value}
        if "parts" in given:
            given["parts"] = tuple(map(clean_name, given["parts"]))
        base = known_attribute(name)
        if "parts" not in given and "who" not in given and base.category:
            given = {"who": base.who, "label": base.label, "category": base.category, "opposite": base.opposite} | given
        self.written[name] = dict(given)
        if given.get("model", "").startswith(ADAPTER):
            # A folder is meant beside the file, wherever the run was started.
            try:
                given["model"] = ADAPTER + str(file_beside(self.path, given["model"].removeprefix(ADAPTER)))
            except DatasetError as error:
                self.problems.add(where, f"'model': {error}")
                return
        self.attributes[name] = (where, Attribute(name=name, **given))

    def _add_template(self, where: str, entry: Line) -> None:
        read = TEMPLATE.read(entry, where, self.problems)
        if read is None:
            return
        name = read["name"]
        if name in self.templates or name in TEMPLATES:
            self.problems.add(where, f"a template {name!r} exists already; give it another name")
            return
        if "place" not in entry:
            what = f"the template {name!r} lacks 'place': system, before, after, exchange or examples"
            self.problems.add(where, what)
            return
        try:
            given = {key: entry[key] for key in TEMPLATE_FIELDS if key in entry}
            self.templates[name] = SteeringTemplate(name=name, **given)
        except PluralismError as error:
            self.problems.add(where, str(error))

    def put_together(self) -> SteeringSet:
        """Return the set that the lines make."""
        _check_attributes(self.attributes, self.written, self.problems)
        kind = self._kind()
        known = tuple(attribute for _, attribute in self.attributes.values())
        statements: list[Statement] = []
        if self.surveys:
            survey = self._named_survey()
            known = known or steering_of_survey(survey).attributes
        elif kind in ("entailment", "open"):
            survey, statements = _read_statements(self.path, self.questions, known, self.problems)
        else:
            read = _read_questions(self.questions, known, kind, self.problems)
            survey = assemble_survey(
                self.path.name,
                read,
                problems=self.problems,
                refusals="keep" if kind == "choice" else self.refusals,
                source=f"file {self.path.name}",
            )
        known = known or tuple(
            known_attribute(name) for name in (survey.populations or dict.fromkeys(one.attribute for one in statements))
        )
        if kind not in ("entailment", "open"):
            self._check_answered(known, survey)
        steering = SteeringSet(
            self.path.name,
            kind,
            survey,
            known,
            tuple(self.templates.values()),
            tuple(statements),
            source=self._source(kind, survey),
        )
        # Wherever the file lies, it is the same one.
        return finished(
            steering, models={name: given["model"] for name, given in self.written.items() if "model" in given}
        )

    def _source(self, kind: str, survey: Survey) -> str:
        """Return where the set comes from, and how much was read."""
        file, own = f"file {self.path.name}", len(self.questions)
        if kind in ("entailment", "open"):
            return f"{file}; read: {own} questions"
        return f"{file}: {survey.source}" if self.surveys else survey.source

    def _kind(self) -> str:
        """Return the one kind of the questions."""
        kinds = {kind for _, entry in self.questions for name, kind in KIND_OF.items() if name in entry}
        kinds |= {"distribution"} if self.surveys else set()
        if len(self.surveys) > 1 or (self.surveys and self.questions):
            what = "names a survey beside other questions; one file holds one set of questions"
            self.problems.add(self.surveys[-1][0], what)
        elif len(kinds) > 1:
            self.problems.add(
                "", f"mixes questions of several kinds ({', '.join(sorted(kinds))}); write a file for each"
            )
        elif not self.questions and not self.surveys:
            self.problems.add("", "holds no question; add questions with 'answers', 'distributions' or 'statements', "
                                  'or a line {"survey": "gss"}')  # fmt: skip
        elif not kinds and not self.attributes:
            self.problems.add("", "has open questions and no attribute; add lines such as "
                                  '{"attribute": "Democrat", "who": "a Democrat"}')  # fmt: skip
        self.problems.raise_if_any()
        return kinds.pop() if kinds else "open"

    def _named_survey(self) -> Survey:
        where, given = self.surveys[0]
        name = given if isinstance(given, str) else ""
        if not name:
            self.problems.add(where, f"'survey' must be the name or file of a survey, not {shown(given)}")
            self.problems.raise_if_any()
        try:
            # A file that does not lie here may lie under the root, where the loader looks; ".." is counted from here
            # only.
            if is_survey_path(name) and ((beside := file_beside(self.path, name)).is_file() or ".." in beside.parts):
                name = str(beside)
            return self.load(name, refusals=self.refusals)
        except DatasetError as error:
            self.problems.add(where, str(error))
            self.problems.raise_if_any()
            raise

    def _check_answered(self, known: Sequence[Attribute], survey: Survey) -> None:
        """Note the attributes of which no question says how their people answer."""
        for attribute in known:
            # Some attributes only stand there to be part of intersections.
            if attribute.population in survey.populations or any(attribute.name in one.parts for one in known):
                continue
            where = self.attributes[attribute.name][0] if attribute.name in self.attributes else ""
            near = nearest_names(attribute.population, survey.populations)
            hint = f" (nearest: {listed(near)})" if near else ""
            self.problems.add(
                where,
                f"attribute {attribute.name!r}: no question says how {attribute.population!r} answers{hint}; add its "
                "answers, or name the population in the field 'population'",
            )
        self.problems.raise_if_any()


def _check_attributes(
    attributes: dict[str, tuple[str, Attribute]], written: Mapping[str, Line], problems: Problems
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
    written: Mapping[str, Line],
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
        # The words in `who` say what the person is, too.
        own |= {field: getattr(attribute, field) for field in ("you", "i", "biography")}
    elif "i" in own:
        own["biography"] = attribute.biography
    attributes[name] = (where, dataclasses.replace(joined, **own))


def _check_labels(where: str, given: object, field: str, known: Iterable[Attribute], problems: Problems) -> Line:
    """Return what a question says by attribute; the names must be those of attributes, if any are given."""
    if not isinstance(given, dict) or not given:
        problems.add(where, f"'{field}' must be an object with the name of an attribute for each, not {shown(given)}")
        return {}
    populations = list(dict.fromkeys(one.population for one in known))
    named: Record = {}
    for written, said in given.items():
        name = clean_name(written)
        if name in named:
            problems.add(where, f"'{field}' names {name!r} twice; keep one")
        named[name] = said
    for name in named:
        if populations and name not in populations:
            problems.add(where, f"'{field}': {unknown_name('attribute', name, populations)}")
    return named


def _read_questions(
    questions: Sequence[tuple[str, Record]], known: Sequence[Attribute], kind: str, problems: Problems
) -> list[ReadQuestion]:
    read = []
    for where, entry in questions:
        rows = (_chosen if kind == "choice" else _distributed)(where, entry, known, problems)
        if rows is None:
            continue
        taken = QUESTION.taken(entry) | {"distributions": rows}
        if kind == "choice":
            # A right answer such as "No opinion" is an answer like the others.
            taken = {"refusals": []} | taken
        read.append(ReadQuestion(**taken, where=where))
    return read


def _chosen(where: str, entry: Line, known: Sequence[Attribute], problems: Problems) -> list[ReadDistribution] | None:
    """Return the right answers of a question, each as a distribution with all mass on one option."""
    options = entry.get("options")
    are_texts = isinstance(options, list) and all(isinstance(option, str) for option in options)
    choices = [option.strip() for option in options or ()] if are_texts else []
    rows = []
    for name, answer in _check_labels(where, entry.get("answers"), "answers", known, problems).items():
        if isinstance(answer, str) and answer.strip() in choices:
            rows.append(ReadDistribution(name, [float(option == answer.strip()) for option in choices]))
        elif choices:
            hint = did_you_mean(str(answer), choices, "; did you mean {!r}?")
            must = f"the answer of {name!r} must be one of the options ({', '.join(choices)})"
            problems.add(where, f"{must}, not {shown(answer)}{hint}")
    if not choices:
        problems.add(where, f"'options' must be a list of strings, not {shown(options)}")
    return rows or None


def _distributed(
    where: str, entry: Line, known: Sequence[Attribute], problems: Problems
) -> list[ReadDistribution] | None:
    """Return the distributions of a question."""
    rows = read_distributions(entry.get("distributions"), where, problems)
    populations = list(dict.fromkeys(one.population for one in known))
    for row in rows or ():
        # Populations that are not attributes may stand there, for comparison.
        near = nearest_names(str(row.population), populations, most=1)
        if near and row.population not in populations:
            problems.add(where, f"unknown attribute {row.population!r}; did you mean {near[0]!r}?")
    return rows


def _read_statements(
    path: Path, questions: Sequence[tuple[str, Record]], known: Sequence[Attribute], problems: Problems
) -> tuple[Survey, list[Statement]]:
    found: dict[str, tuple[str, Question]] = {}
    statements = []
    stated = any("statements" in entry for _, entry in questions)
    for where, entry in questions:
        read = OPEN_QUESTION.read(entry, where, problems)
        if read is None:
            continue
        identifier = read["question_id"]
        if identifier in found:
            problems.add(where, f"the question_id {identifier!r} is already used by {found[identifier][0]}")
            continue
        found[identifier] = (where, Question(identifier, read["question"], (), read["cluster"]))
        if not stated:
            continue
        given = _check_labels(where, read["statements"], "statements", known, problems)
        for name, statement in given.items():
            kept = TEXT.checked(statement, f"the statement of {name!r}", where, problems)
            if kept is not None:
                statements.append(Statement(identifier, name, kept.strip()))
    problems.raise_if_any()
    asked = tuple(question for _, question in found.values())
    survey = Survey(path.name, asked, (), survey_sha256(asked, ()), f"file {path.name}")
    return survey, statements
