"""Plan the gates of the marker ``steering_faithfulness``: one an attribute, or one over all of them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError, invalid_parameter
from pytest_pluralism.core.records import GenerationSettings
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import ANSWER_FACTS, UNIT_COLUMNS
from pytest_pluralism.datasets.steering.file import SteeringSet, load_steering
from pytest_pluralism.datasets.steering.labels import HumanLabels, read_labels
from pytest_pluralism.datasets.steering.sources import VALUE_KALEIDOSCOPE
from pytest_pluralism.datasets.surveys.file import is_survey_path
from pytest_pluralism.datasets.surveys.refusals import Refusals, check_refusal_policy
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.steering.bounds import BOUNDS, SteeringBounds, check_bounds
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation
from pytest_pluralism.evaluation.steering.published import PublishedKaleidoscope
from pytest_pluralism.evaluation.steering.settings import (
    CHECKS,
    MANY_ATTRIBUTES,
    PLACEBO,
    UNSTEERED,
    SteeringSettings,
)
from pytest_pluralism.evaluation.steering.texts import TEXT_SCORES, TextSettings, TextSteering
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.evaluation.surveys.published import FIXED

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "plan"]

MEASURE = Measure(
    "steering_faithfulness",
    "higher",
    "steering faithfulness",
    "how much a model that is steered to an attribute answers as those do who have it (1 is best)",
    lowest=-1.0,
    highest=1.0,
    data="steering set",
    references=(
        Term("steered", "steered"),
        Term("unsteered", "unsteered"),
        Term("placebo", "placebo"),
        Term("uniform", "uniform"),
        Term("majority", "majority"),
        Term("sampling_ceiling", "human sampling ceiling"),
        Term("whole_population", "the whole population"),
    ),
    beside="unsteered",
    comparisons=(Term("unsteered", "unsteered"), Term("placebo", "placebo")),
    others=Noun("attribute", "attributes"),
    columns=(Term("unsteered", "Not steered"), *UNIT_COLUMNS),
    facts=(*ANSWER_FACTS, Term("attribute", "steered to")),
    view="steering",
)

#: Keywords that say how the model is asked; each overrides the setting of the same name.
ASKING = ("protocol", "template", "option_order", "repetitions", "examples", "seed")

#: Keywords that say how responses are written and judged.
WRITING = ("threshold", "premise", "labels", "draws", "max_new_tokens", "temperature")

KEYWORDS = (
    *("attribute", "context", "score", "over", "across", "checks", "most_units", "refusals"),
    *BOUNDS,
    *WRITING,
    *ASKING,
)

DATASET = "the name of a survey, or a steering file"
EXAMPLE = "gss"


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate an attribute; without ``attribute``, one over all attributes.

    Raises
    ------
    PluralismError
        The steering set, an attribute or a context is wrong, or a question cannot be asked.
    """
    policy = check_refusal_policy(planning.choose("refusals"), function=planning.measure.name)
    refusals: str | list[str] = policy if isinstance(policy, str) else list(policy)
    asking = _asking(planning)
    steering = load_for(planning, refusals)
    if not is_survey_path(planning.dataset):
        planning.measure = dataclasses.replace(planning.measure, data="survey")
    if _is_written(planning, steering, asking.protocol):
        return _plan_texts(planning, steering, asking, refusals)
    misplaced = [word for word in WRITING if word in planning.keywords]
    if misplaced:
        raise InvalidParameterError(
            f"{misplaced[0]} says how responses are written and judged, and {steering.name} has options to choose "
            "from. Leave it out, or use score='reward'."
        )
    settings = _settings(planning, steering, asking.protocol)
    bounds = SteeringBounds(**{field: planning.keywords.get(word) for word, field in BOUNDS.items()})
    # A question that cannot be asked is found now, not when the model has been loaded.
    requests(steering.survey, asking)
    gates = []
    for name in _attributes(steering, planning.keywords.get("attribute"), over=settings.over):
        evaluation = SteerableEvaluation(steering, asking, settings, name, bounds)
        if not evaluation.targets():
            raise InvalidParameterError(f"{steering.name}: nobody says how any of its attributes answers.")
        pairs = evaluation.opposed() and "family" in settings.checks
        check_bounds(bounds, planning.gate, kind=steering.kind, can_contrast=pairs)
        evaluation.try_contexts()
        gates.append(
            planning.planned(
                evaluation,
                source=_source(steering),
                settings={**asking.as_json(), "refusals": refusals, "steering": settings.as_json()},
                population=name,
                over=settings.over,
            )
        )
    return gates


def _with_reference(planning: Planning, checks: object, /) -> Any:
    """Return the checks, among them the one that asks what ``better_than`` compares with.

    Raises
    ------
    InvalidParameterError
        If the marker names checks without it.
    """
    wanted = planning.keywords.get("better_than")
    if wanted not in (UNSTEERED, PLACEBO) or not isinstance(checks, tuple) or wanted in checks:
        return checks
    if "checks" in planning.keywords:
        raise InvalidParameterError(f"better_than={wanted!r} needs the check {wanted!r}. Name it in checks.")
    return (*checks, wanted)


def _source(steering: SteeringSet) -> dict[str, str]:
    return {"name": steering.name, "sha256": steering.sha256, "source": steering.source}


def _is_written(planning: Planning, steering: SteeringSet, protocol: str) -> bool:
    """Return whether a model writes responses, rather than choosing among options."""
    published = protocol == "modular_pluralism" and steering.source.startswith(VALUE_KALEIDOSCOPE)
    asked_for = planning.keywords.get("score") in TEXT_SCORES or "labels" in planning.keywords
    return published or steering.kind in ("entailment", "open") or asked_for


def _plan_texts(
    planning: Planning, steering: SteeringSet, asking: AskSettings, refusals: str | list[str]
) -> list[PlannedGate]:
    """Return the gates whose responses are written."""
    keywords = planning.keywords
    if asking.protocol == "modular_pluralism":
        for word in ("attribute", "context", "score", "over", "across", "checks", *WRITING):
            if word in keywords:
                raise InvalidParameterError(
                    f"{word}={keywords[word]!r} cannot be chosen under the protocol 'modular_pluralism', which "
                    "fixes it. Leave it out, or use protocol='sound'."
                )
        published = PublishedKaleidoscope(steering, most_units=keywords.get("most_units"), seed=asking.seed)
        settings = {"protocol": asking.protocol, "seed": asking.seed, "most_units": keywords.get("most_units")}
        return [planning.planned(published, source=_source(steering), settings=settings)]
    for word in ("across", "most_units", *BOUNDS):
        if word in keywords:
            raise InvalidParameterError(f"{word} belongs to questions with options. Leave it out.")
    labels = _labels(planning, steering)
    default = "human" if labels else "entailment" if steering.kind == "entailment" else "reward"
    writing = GenerationSettings(
        max_new_tokens=keywords.get("max_new_tokens", 120),
        temperature=keywords.get("temperature", 0.7),
        seed=asking.seed,
    )
    # Texts written beside it must be labelled too.
    checks = keywords.get("checks", () if labels else (UNSTEERED, "family"))
    if "checks" not in keywords and not labels and UNSTEERED in (keywords.get("over"), keywords.get("better_than")):
        # A gain may come of being addressed at all.
        checks = (*checks, PLACEBO)
    text = TextSettings(
        contexts=_several(keywords.get("context", "instruction")),
        score=keywords.get("score", default),
        threshold=keywords.get("threshold", 0.5),
        premise=keywords.get("premise", "whole"),
        over=keywords.get("over"),
        checks=_with_reference(planning, _several(checks)),
        writing=writing,
        n_draws=keywords.get("draws", 1),
        template=asking.template,
    )
    if text.score == "reward":
        # A reward is in the units of its model, which need not end at 1.
        planning.measure = dataclasses.replace(planning.measure, lowest=-math.inf, highest=math.inf)
    known = [one.name for one in TextSteering(steering, text, labels=labels).targets()]
    wanted = keywords.get("attribute")
    names: list[str | None] = [None] if wanted is None else [*known] if wanted == "all" else [*_named(wanted)]
    gates = []
    for name in names:
        if name is not None:
            name = steering.attribute(name).name
            if name not in known and name != text.over:
                lacking = "label is about a response for" if labels else "statement says what is held by"
                raise InvalidParameterError(f"{steering.name}: no {lacking} {name!r}.")
        gates.append(
            planning.planned(
                TextSteering(steering, text, name, labels),
                source=_source(steering),
                settings={"refusals": refusals, "steering": text.as_json(), **_told(labels)},
                population=name,
                over=text.over,
            )
        )
    return gates


def _labels(planning: Planning, steering: SteeringSet) -> HumanLabels | None:
    """Return the human labels that a marker names.

    Raises
    ------
    PluralismError
        A line of the file is wrong, or it is named beside another score.
    """
    name = planning.keywords.get("labels")
    if name is None:
        return None
    if not isinstance(name, str):
        raise invalid_parameter("labels", planning.measure.name, "the name of a file", repr(name))
    if planning.keywords.get("score", "human") != "human":
        raise InvalidParameterError(
            f"labels are what people said, which score={planning.keywords['score']!r} does not read. Use score='human'."
        )
    questions = [question.question_id for question in steering.survey.questions]
    return read_labels(planning.find_file(name), attributes=steering.names, questions=questions)


def _told(labels: HumanLabels | None) -> dict[str, object]:
    return {} if labels is None else {"labels": {"name": labels.name, "sha256": labels.sha256}}


def load_for(planning: Planning, refusals: Refusals, /) -> SteeringSet:
    """Return the steering set of a marker: of a hook, of a file beside the test, or of a survey."""
    brought = planning.brought(SteeringSet, refusals=refusals)
    if brought is not None:
        return brought
    name = planning.dataset
    if isinstance(name, str) and is_survey_path(name):
        name = str(planning.find_file(name))
    return load_steering(name, refusals=refusals, load=lambda survey, refusals: planning.load_survey(survey, refusals))


def _asking(planning: Planning) -> AskSettings:
    chosen = {name: planning.choose(name) for name in ASKING}
    protocol = chosen["protocol"]
    if protocol not in ("sound", "modular_pluralism"):
        raise InvalidParameterError(
            f"the protocol {protocol!r} does not steer. Use 'sound' or 'modular_pluralism', for example "
            "protocol='sound' in the marker."
        )
    for name, value in FIXED.get(protocol, {}).items():
        if planning.keywords.get(name, value) != value:
            raise InvalidParameterError(
                f"{name}={planning.keywords[name]!r} cannot be chosen under the protocol {protocol!r}, which has "
                f"{value!r}. Leave it out, or use protocol='sound'."
            )
    return AskSettings(**chosen)


def _settings(planning: Planning, steering: SteeringSet, protocol: str) -> SteeringSettings:
    keywords = planning.keywords
    default = "instruction"
    if any(template.name == "value" for template in steering.templates):
        default = "value"
    if protocol == "modular_pluralism":
        default = "modular_pluralism"
    contexts = keywords.get("context", default)
    checks = keywords.get("checks")
    if checks is None:
        # With thousands of values, the other sides would be asked more than the values themselves.
        checks = CHECKS if len(steering.attributes) <= MANY_ATTRIBUTES else (UNSTEERED,)
        if protocol != "sound":
            checks = (UNSTEERED,)
    score = keywords.get("score", "mode" if steering.kind == "choice" or protocol != "sound" else "js")
    if steering.kind == "choice" and score in ("js", "wasserstein"):
        raise InvalidParameterError(
            f"score={score!r} compares distributions, and {steering.name} has one right answer each. "
            "Use score='mode' (whether the likeliest answer is right) or 'probability'."
        )
    return SteeringSettings(
        contexts=_several(contexts),
        across=keywords.get("across", "mean"),
        score=score,
        over=keywords.get("over"),
        checks=_with_reference(planning, _several(checks)),
        most_units=keywords.get("most_units"),
    )


def _several(given: object) -> Any:
    """Return one name as several; the settings refuse a value that is not a list of names."""
    return (given,) if isinstance(given, str) else tuple(given) if isinstance(given, (list, tuple)) else given


def _named(wanted: object) -> list[str]:
    """Return the attributes that a marker names."""
    names = [wanted] if isinstance(wanted, str) else wanted
    must = "an attribute's name, a list of names, or 'all'"
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise invalid_parameter("attribute", "steering_faithfulness", must, repr(wanted))
    if len(set(names)) < len(names):
        raise invalid_parameter("attribute", "steering_faithfulness", "without repetitions", repr(wanted))
    return list(names)


def _attributes(steering: SteeringSet, wanted: object, *, over: str | None) -> list[str | None]:
    if wanted is None:
        return [None]
    if wanted == "all":
        known = set(steering.survey.populations)
        # The reference that the others must exceed is not compared with itself.
        return [one.name for one in steering.attributes if one.population in known and one.name != over]
    names = _named(wanted)
    problems = []
    for name in names:
        try:
            steering.rows(steering.attribute(name))
        except PluralismError as error:
            problems.append(str(error))
    if problems:
        raise InvalidParameterError("\n\n".join(problems))
    return [steering.attribute(name).name for name in names]
