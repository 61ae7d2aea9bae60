"""Steering that is judged by what a model writes: by entailment, rewards or people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.parameters import one_of
from pytest_pluralism.core.records import (
    EntailmentPair,
    GenerationSettings,
    Prompt,
    RequestName,
    RewardRequest,
    Scores,
)
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.labels import HumanLabels
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.steering.words import PLACEBO_FAMILIES, PLACEBOS
from pytest_pluralism.evaluation.asking.meanings import NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Asking, Round, Rounds
from pytest_pluralism.evaluation.measures.agreement import krippendorff_alpha
from pytest_pluralism.evaluation.overton.premises import PREMISE_FORMS, premises
from pytest_pluralism.evaluation.steering.contexts import steer_prompt
from pytest_pluralism.evaluation.steering.families import (
    by_attribute,
    confusable,
    difference_json,
    lost_groups,
    nothing_gained,
    worst_attribute,
)
from pytest_pluralism.evaluation.steering.settings import (
    MANY_ATTRIBUTES,
    PLACEBO,
    UNSTEERED,
    check_steering,
    other_attribute,
)
from pytest_pluralism.evaluation.steering.text_board import Asked, Judged, TextBoard, as_unit_score

__all__ = ["TEXT_SCORES", "TextSettings", "TextSteering"]

#: How a response is scored, by name.
TEXT_SCORES = ("entailment", "reward", "preferred", "human")

#: The sides that can be written beside the attribute, for comparison.
TEXT_CHECKS = (UNSTEERED, "family", PLACEBO)

#: How responses are written by default.
WRITING = GenerationSettings(max_new_tokens=120, temperature=0.7)


@dataclass(frozen=True)
class TextSettings:
    """Settings of steering, of writing, and of scoring the responses.

    Attributes
    ----------
    contexts : tuple of str
        The ways of naming the attribute; scores are averaged over them.
    score : {"entailment", "reward", "preferred", "human"}
        Whether the response entails the attribute's statement and does not contradict it; the reward of a value model;
        the chance that the value model prefers the steered response to the unsteered one, by their rewards as
        log-odds; or what people said of the same text.
    threshold : float
        From this probability on something is entailed, or contradicted; in (0, 1).
    premise : {"whole", "sentences", "windows"}
        The parts of a response that may entail a statement.
    over : str or None
        ``"unsteered"`` or another attribute: what the score must exceed. Units are then differences.
    checks : tuple of str
        ``"unsteered"``, ``"family"`` and ``"placebo"``: what is written beside, for comparison.
    writing : GenerationSettings
        Settings of generation.
    n_draws : int
        Number of responses to each question.
    template : {"auto", "chat", "raw"}
        The form of the prompt.
    """

    contexts: tuple[str, ...] = ("instruction",)
    score: str = "entailment"
    threshold: float = 0.5
    premise: str = "whole"
    over: str | None = None
    checks: tuple[str, ...] = (UNSTEERED, "family")
    writing: GenerationSettings = WRITING
    n_draws: int = 1
    template: str = "auto"

    def __post_init__(self) -> None:
        function = "steering_faithfulness"
        for name, value, known in (("score", self.score, TEXT_SCORES), ("premise", self.premise, PREMISE_FORMS)):
            one_of(value, known, name=name, function=function)
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, float) or not 0.0 < self.threshold < 1.0:
            raise invalid_parameter("threshold", function, "a float in (0, 1)", repr(self.threshold))
        if isinstance(self.n_draws, bool) or not isinstance(self.n_draws, int) or self.n_draws < 1:
            raise invalid_parameter("draws", function, "a whole number from 1", repr(self.n_draws))
        check_steering(self.contexts, self.over, self.checks, known_checks=TEXT_CHECKS)

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values."""
        return {**asdict(self), "contexts": list(self.contexts), "checks": list(self.checks),
                "writing": {**asdict(self.writing), "stop": list(self.writing.stop)}}  # fmt: skip


@dataclass(frozen=True)
class _Written:
    """One prompt of one side, and what it asks."""

    side: str
    context: str
    question_id: str
    prompt: Prompt


@dataclass(frozen=True)
class TextSteering:
    """The responses of a model steered to attributes, judged by an entailment model, a value model or people.

    Attributes
    ----------
    steering : SteeringSet
        Of kind ``"entailment"`` for entailment; of any kind for the others, whose questions are then put openly.
    settings : TextSettings
        How it is steered, writes and is scored.
    attribute : str or None
        The attribute; ``None`` takes every one.
    labels : HumanLabels or None
        The ratings of responses by people; only for ``score="human"``. Questions that they say nothing about are not
        asked, and a response that they say nothing about has no score.
    """

    steering: SteeringSet
    settings: TextSettings = TextSettings()
    attribute: str | None = None
    labels: HumanLabels | None = None

    def __post_init__(self) -> None:
        if (self.settings.score == "human") != (self.labels is not None):
            raise InvalidParameterError(
                "score='human' and a file of labels belong together: labels='labels.jsonl' says what people found."
            )
        if self.settings.score == "entailment" and self.steering.kind != "entailment":
            raise InvalidParameterError(
                f"{self.steering.name} holds no statements that a response could entail. Give each question a field "
                "'statements' with a statement for each attribute, or use another score."
            )
        for name in self.settings.contexts:
            if self.steering.template(name).place == "model":
                raise InvalidParameterError(
                    f"The context {name!r} asks another model, which is not done for responses. Use one in words."
                )
            if self.steering.template(name).place == "examples":
                raise InvalidParameterError(
                    f"The context {name!r} shows answers to closed questions, and these questions are open. "
                    "Use another context."
                )
        other_attribute(self.steering, self.settings.over, self.attribute)

    # ------------------------------------------------------------------------------------------------ what is asked

    def targets(self) -> tuple[Attribute, ...]:
        """Return the attributes that are evaluated."""
        if self.attribute is not None:
            return (self.steering.attribute(self.attribute),)
        # The reference that the others must exceed is not compared with itself.
        return tuple(one for one in self._spoken_for() if one.name != self.settings.over)

    def _spoken_for(self) -> tuple[Attribute, ...]:
        """Return the attributes that something says how to judge."""
        if self.labels is not None:
            return tuple(one for one in self.steering.attributes if self.labels.questions(one.name))
        if self.steering.kind == "entailment":
            spoken = {one.attribute for one in self.steering.statements}
            return tuple(one for one in self.steering.attributes if one.population in spoken)
        return self.steering.attributes

    def statements(self) -> dict[tuple[str, str], str]:
        """Return the statement of each attribute to each question; its label where there are none."""
        names: dict[str, list[str]] = {}
        for attribute in self.steering.attributes:
            names.setdefault(attribute.population, []).append(attribute.name)
        if self.labels is not None:
            named = {one.name: one.label for one in (*self.steering.attributes, *self.targets())}
            return {(name, q): label for name, label in named.items() for q in self.labels.questions(name)}
        if self.steering.kind == "entailment":
            return {
                (name, one.question_id): one.text
                for one in self.steering.statements
                for name in names.get(one.attribute, [one.attribute])
            }
        questions = [question.question_id for question in self.steering.survey.questions]
        asked = {one.name: one for one in (*self.steering.attributes, *self.targets())}
        return {(one.name, q): one.label for one in asked.values() for q in questions}

    def _written(self) -> list[_Written]:
        """Return the prompts of all sides."""
        statements = self.statements()
        wanted: dict[str, dict[str, None]] = {}
        for target in self.targets():
            asked = [
                q.question_id for q in self.steering.survey.questions if (target.name, q.question_id) in statements
            ]
            sides = [target.name]
            if (
                UNSTEERED in self.settings.checks
                or self.settings.over == UNSTEERED
                or self.settings.score == "preferred"
            ):
                sides.append(UNSTEERED)
            if PLACEBO in self.settings.checks or self.settings.over == PLACEBO:
                sides += [placebo.name for placebo in PLACEBOS]
            if "family" in self.settings.checks:
                sides += [other.name for other in confusable(self.steering, target)]
            if self.settings.over not in (None, UNSTEERED, PLACEBO):
                sides.append(str(self.settings.over))
            for side in sides:
                wanted.setdefault(side, {}).update(dict.fromkeys(asked))
        questions = {question.question_id: question for question in self.steering.survey.questions}
        placebos = {one.name: one for one in PLACEBOS}
        result = []
        for side, ids in wanted.items():
            attribute = None if side == UNSTEERED else placebos.get(side) or self.steering.attribute(side)
            for context in self.settings.contexts if attribute is not None else ("",):
                for question_id in ids:
                    prompt = Prompt(questions[question_id].text, (), template=self.settings.template)
                    if attribute is not None:
                        is_placebo = attribute in PLACEBOS
                        family = PLACEBO_FAMILIES[attribute.category] if is_placebo else self.steering.family(attribute)
                        template = self.steering.template(context)
                        prompt = steer_prompt(prompt, template, attribute, family=family)
                    result.append(_Written(side, context, question_id, prompt))
        return result

    def names(self) -> NamedRequests:
        """Yield the prompts with the names of their questions, and the attribute and context that they steer with."""
        for one in self._written():
            steering = "" if one.side == UNSTEERED else str(one.side)
            yield one.prompt, RequestName(one.question_id, steering=steering, context=one.context)

    def rounds(self) -> Rounds:
        """Have the responses written from all sides, have them judged, and score them."""
        asked = self._written()
        settings = self.settings
        responses = yield Round(
            "responses", tuple(one.prompt for one in asked), settings.writing, n_draws=settings.n_draws
        )
        texts = {
            Asked(one.side, one.context, one.question_id): tuple(response.text for response in draws)
            for one, draws in zip(asked, responses, strict=True)
        }
        statements = self.statements()
        # Every side's responses are judged for the attributes that are evaluated.
        named = [target.name for target in (self.targets() if self.attribute is not None else self._spoken_for())]
        judged = [
            Judged(one, draw, name)
            for one, draws in texts.items()
            for draw in range(len(draws))
            for name in named
            if (name, one.question_id) in statements
        ]
        values = yield from self._judge(judged, texts, statements)
        is_preference = settings.score == "preferred"
        return self._scores(TextBoard(self.steering, texts, values, statements, is_preference, settings.over))

    def _judge(
        self,
        judged: Sequence[Judged],
        texts: Mapping[Asked, tuple[str, ...]],
        statements: Mapping[tuple[str, str], str],
    ) -> Asking[dict[Judged, float]]:
        """Return the score of each response, by what people said of it, by a value model or by entailment."""
        settings = self.settings
        if self.labels is not None:
            return {
                one: self.labels.value(one.attribute, one.asked.question_id, texts[one.asked][one.draw])
                for one in judged
            }
        if settings.score != "entailment":
            prompts = {one.question_id: one.text for one in self.steering.survey.questions}
            requests = tuple(
                RewardRequest(
                    prompts[one.asked.question_id],
                    texts[one.asked][one.draw],
                    statements[one.attribute, one.asked.question_id],
                )
                for one in judged
            )
            return dict(zip(judged, (yield Round("rewards", requests)), strict=True))
        pairs = {
            one: [
                EntailmentPair(premise, statements[one.attribute, one.asked.question_id])
                for premise in premises(texts[one.asked][one.draw], form=settings.premise)
            ]
            for one in judged
        }
        found = iter((yield Round("entailment", tuple(pair for mine in pairs.values() for pair in mine))))
        values = {}
        for one, mine in pairs.items():
            given = [next(found) for _ in mine]
            entailed = max((score.entailment for score in given), default=0.0)
            contradicted = max((score.contradiction or 0.0 for score in given), default=0.0)
            values[one] = float(
                compare(entailed, settings.threshold) >= 0 and compare(contradicted, settings.threshold) < 0
            )
        return values

    # ---------------------------------------------------------------------------------------------- what it means

    def _scores(self, board: TextBoard) -> Scores:
        targets, is_alone = self.targets(), self.attribute is not None
        units = board.units(targets)
        # A response that nobody labelled has no score, and takes no part in the numbers beside the value.
        scored = [unit for unit in units if math.isfinite(unit.steered)]
        names, steered = [unit.attribute for unit in scored], [unit.steered for unit in scored]
        both = [(unit, plain) for unit in scored if (plain := unit.unsteered) is not None and math.isfinite(plain)]
        details: dict[str, object] = {
            "kind": "responses",
            "score": self.settings.score,
            "contexts": list(self.settings.contexts),
        }
        references = {}
        if scored:
            details["attributes"] = by_attribute(names, steered, MANY_ATTRIBUTES)
            if self.settings.over is not None:
                references["steered"] = float(np.mean(steered))
        if both:
            plains = [plain for _, plain in both]
            clusters = [unit.cluster for unit, _ in both]
            details["gain"] = difference_json([unit.steered for unit, _ in both], plains, clusters)
            references["unsteered"] = float(np.mean(plains))
        placebo = board.placebo_mean(units)
        if placebo is not None:
            references["placebo"] = placebo
        confusions = board.confusions(targets, is_alone=is_alone) if "family" in self.settings.checks else []
        beside = {"confusion": confusions, "gain_over_opposite": board.opposites(targets, units)}
        details |= {name: found for name, found in beside.items() if found}
        warnings = (*nothing_gained(self.settings.over, [unit.value for unit in units]), *lost_groups(confusions))
        if scored and placebo is not None:
            warnings += tuple(_said_of_placebo(float(np.mean(steered)), placebo, references.get("unsteered")))
        if self.labels is not None:
            missing = _unlabelled(board)
            warnings += _said_of_labels(self.labels, len(board.values), missing)
            details |= {"labels": _labels_json(self.labels), "unlabelled": missing}
        shown = self.settings.contexts[0]
        return Scores(
            "steering_faithfulness",
            tuple(
                as_unit_score(
                    unit,
                    board.references(unit),
                    board.statements[unit.attribute, unit.question.question_id],
                    board.texts[Asked(unit.attribute, shown, unit.question.question_id)][0],
                    is_alone=is_alone,
                )
                for unit in units
            ),
            references=references,
            warnings=warnings,
            witness=None if is_alone else worst_attribute(names, [unit.value for unit in scored]),
            details=details,
            differences=self.settings.over is not None,
            doubt="" if scored else "nobody has labelled a response yet; the report lists them under 'unlabelled'",
        )


def _said_of_placebo(steered: float, placebo: float, unsteered: float | None) -> Iterator[str]:
    """Yield a sentence where a gain comes with irrelevant attributes too."""
    if compare(placebo, steered) >= 0 and (unsteered is None or compare(steered, unsteered) > 0):
        yield (
            f"irrelevant attributes score as high ({placebo:.3f}) as the attribute itself ({steered:.3f}): what "
            "changes the responses is being addressed, not who is named"
        )


def _unlabelled(board: TextBoard) -> list[dict[str, str]]:
    """Return the responses that have no score."""
    return [
        {
            "attribute": one.attribute,
            "question_id": one.asked.question_id,
            "response": board.texts[one.asked][one.draw],
        }
        for one, value in board.values.items()
        if math.isnan(value)
    ]


def _labels_json(labels: HumanLabels) -> dict[str, object]:
    """Return who labelled how much, and how far they agree."""
    table = labels.matrix()
    return {
        "name": labels.name,
        "sha256": labels.sha256,
        "scale": list(labels.scale),
        "n_labels": int(np.isfinite(table).sum()),
        "n_annotators": len(table),
        "agreement": krippendorff_alpha(table, level="interval"),
    }


def _said_of_labels(labels: HumanLabels, n_judged: int, missing: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    if not missing:
        return ()
    first = missing[0]
    told = (
        f"{len(missing)} of {n_judged} responses have no label in {labels.name} (first: {first['response'][:60]!r} to "
        f"{first['question_id']!r} for {first['attribute']!r}); the report lists them under 'unlabelled'"
    )
    return (told,)
