"""Steering that is judged by what a model writes: by entailment, rewards or people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.metrics.multi_objective import diagonal_dominance, trade_off_regret
from pytest_pluralism.core.metrics.steerable import attribute_faithfulness
from pytest_pluralism.core.records import (
    EntailmentPair,
    GenerationSettings,
    Prompt,
    RewardRequest,
    Scores,
    UnitScore,
    Witness,
)
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.labels import HumanLabels
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.steering.words import PLACEBO_FAMILIES, PLACEBOS
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.measures.agreement import krippendorff_alpha
from pytest_pluralism.evaluation.overton.premises import PREMISE_FORMS, premises
from pytest_pluralism.evaluation.steering.contexts import steer_prompt
from pytest_pluralism.evaluation.steering.settings import (
    MANY_ATTRIBUTES,
    PLACEBO,
    UNSTEERED,
    check_steering,
    lost_groups,
    other_attribute,
    regret_intervals,
)

__all__ = ["TEXT_SCORES", "TextSettings", "TextSteering"]

#: How a response is scored, by name.
TEXT_SCORES = ("entailment", "reward", "preferred", "human")

#: What can be written beside the attribute, for comparison.
TEXT_CHECKS = (UNSTEERED, "family", PLACEBO)

#: How responses are written by default.
WRITING = GenerationSettings(max_new_tokens=120, temperature=0.7)


@dataclass(frozen=True)
class TextSettings:
    """How a model is steered and writes, and what its responses are scored by.

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
        What of a response may entail a statement.
    over : str or None
        ``"unsteered"`` or another attribute: what the score must exceed. Units are then differences.
    checks : tuple of str
        ``"unsteered"``, ``"family"`` and ``"placebo"``: what is written beside, for comparison.
    writing : GenerationSettings
        How responses are written.
    n_draws : int
        How many responses each question gets.
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
            if value not in known:
                raise invalid_parameter(name, function, "one of " + ", ".join(map(repr, known)), repr(value))
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, float) or not 0.0 < self.threshold < 1.0:
            raise invalid_parameter("threshold", function, "a float in (0, 1)", repr(self.threshold))
        if isinstance(self.n_draws, bool) or not isinstance(self.n_draws, int) or self.n_draws < 1:
            raise invalid_parameter("draws", function, "a whole number from 1", repr(self.n_draws))
        check_steering(self.contexts, self.over, self.checks, known_checks=TEXT_CHECKS)

    def as_json(self) -> dict[str, Any]:
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
    """How a model that is steered to attributes writes, judged by an entailment model, a value model or people.

    Attributes
    ----------
    steering : SteeringSet
        Of kind ``"entailment"`` for entailment; of any kind for the others, whose questions are then put openly.
    settings : TextSettings
        How it is steered, writes and is scored.
    attribute : str or None
        The attribute; ``None`` takes every one.
    labels : HumanLabels or None
        What people said of responses; only of ``score="human"``. Questions that they say nothing of are not asked, and
        a response that they say nothing of has no score.
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
        # What the others must exceed is not compared with itself.
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

    def _others(self, attribute: Attribute) -> list[Attribute]:
        others = [one for one in self.steering.family(attribute) if one.name != attribute.name]
        if attribute.opposite in self.steering.names:
            opposite = self.steering.attribute(str(attribute.opposite))
            others += [opposite] if opposite not in others else []
        return others

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
                sides += [other.name for other in self._others(target)]
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

    def rounds(self) -> Rounds:
        """Have the responses written from all sides, have them judged, and score them."""
        asked = self._written()
        settings = self.settings
        responses = yield Round(
            "responses", tuple(one.prompt for one in asked), settings.writing, n_draws=settings.n_draws
        )
        texts: dict[tuple[str, str, str], tuple[str, ...]] = {
            (one.side, one.context, one.question_id): tuple(response.text for response in draws)
            for one, draws in zip(asked, responses, strict=True)
        }
        prompts = {one.question_id: one.text for one in self.steering.survey.questions}
        statements = self.statements()
        # Every side's responses are judged for the attributes that are evaluated.
        judged: list[tuple[tuple[str, str, str], int, str]] = []
        named = [target.name for target in (self.targets() if self.attribute is not None else self._spoken_for())]
        for key, draws in texts.items():
            judged += [
                (key, draw, name) for draw in range(len(draws)) for name in named if (name, key[2]) in statements
            ]
        if settings.score == "entailment":
            pairs: dict[tuple[tuple[str, str, str], int, str], list[EntailmentPair]] = {
                place: [
                    EntailmentPair(premise, statements[place[2], place[0][2]])
                    for premise in premises(texts[place[0]][place[1]], form=settings.premise)
                ]
                for place in judged
            }
            flat = [pair for mine in pairs.values() for pair in mine]
            found = iter((yield Round("entailment", tuple(flat))))
            values = {}
            for place, mine in pairs.items():
                given = [next(found) for _ in mine]
                entailed = max((one.entailment for one in given), default=0.0)
                contradicted = max((one.contradiction or 0.0 for one in given), default=0.0)
                values[place] = float(entailed >= settings.threshold > contradicted)
        elif self.labels is not None:
            values = {
                (key, draw, name): self.labels.value(name, key[2], texts[key][draw]) for key, draw, name in judged
            }
        else:
            requests = tuple(
                RewardRequest(prompts[key[2]], texts[key][draw], statements[name, key[2]]) for key, draw, name in judged
            )
            values = dict(zip(judged, (yield Round("rewards", requests)), strict=True))
        return self._scores(texts, values, statements)

    # ---------------------------------------------------------------------------------------------- what it means

    def _scores(
        self,
        texts: Mapping[tuple[str, str, str], tuple[str, ...]],
        values: Mapping[tuple[tuple[str, str, str], int, str], float],
        statements: Mapping[tuple[str, str], str],
    ) -> Scores:
        contexts: dict[str, dict[str, None]] = {}
        for side, context, _ in texts:
            contexts.setdefault(side, {})[context] = None

        def of(side: str, name: str, question_id: str) -> float:
            """Return the mean score of one side's responses to a question, judged for an attribute."""
            found = [
                values[(side, context, question_id), draw, name]
                for context in contexts[side]
                for draw in range(len(texts[side, context, question_id]))
            ]
            if self.settings.score != "preferred" or side == UNSTEERED:
                return float(np.mean(found))
            plain = [
                values[(UNSTEERED, "", question_id), draw, name]
                for draw in range(len(texts[UNSTEERED, "", question_id]))
            ]
            return float(np.mean([_chance(one - other) for one in found for other in plain]))

        def below(name: str, question_id: str) -> float:
            over = str(self.settings.over)
            if over == PLACEBO:
                return float(np.mean([of(one.name, name, question_id) for one in PLACEBOS]))
            return of(over, name, question_id)

        questions = {question.question_id: question for question in self.steering.survey.questions}
        units, names, steered, unsteered = [], [], [], []
        for target in self.targets():
            for question_id, question in questions.items():
                if (target.name, question_id) not in statements:
                    continue
                value = of(target.name, target.name, question_id)
                details: dict[str, Any] = {
                    "attribute": target.name,
                    "statement": statements[target.name, question_id],
                    "response": texts[target.name, self.settings.contexts[0], question_id][0],
                    "steered": value,
                }
                steered.append(value)
                if UNSTEERED in contexts:
                    # What the unsteered model would score against itself is even.
                    plain = 0.5 if self.settings.score == "preferred" else of(UNSTEERED, target.name, question_id)
                    details["unsteered"] = plain
                    unsteered.append(plain)
                if self.settings.over is not None:
                    value -= 0.5 if self._against_itself() else below(target.name, question_id)
                names.append(target.name)
                alone = self.attribute is not None
                units.append(
                    UnitScore(
                        unit_id=question_id if alone else f"{target.name}: {question_id}",
                        cluster=question.cluster or question_id,
                        value=value,
                        population=target.name if alone else None,
                        text=question.text,
                        details=details,
                    )
                )
        details = {"kind": "responses", "score": self.settings.score, "contexts": list(self.settings.contexts)}
        # What nobody labelled has no score, and takes no part in what is said beside the number.
        scored = [place for place, value in enumerate(steered) if math.isfinite(value)]
        if scored:
            each = attribute_faithfulness([steered[i] for i in scored], [names[i] for i in scored])
            order = np.argsort(each.values, kind="stable")[:MANY_ATTRIBUTES]
            details["attributes"] = [
                {"attribute": str(each.attributes[i]), "value": float(each.values[i]), "n": each.n_units[i]}
                for i in order
            ]
        references = {}
        if self.settings.over is not None and scored:
            references["steered"] = float(np.mean([steered[i] for i in scored]))
        both = [i for i in scored if unsteered and math.isfinite(unsteered[i])]
        if both:
            gain = compare_paired(
                [steered[i] for i in both], [unsteered[i] for i in both], clusters=[units[i].cluster for i in both]
            )
            details["gain"] = {"value": gain.value, "low": gain.low, "high": gain.high, "n": gain.n}
            references["unsteered"] = float(np.mean([unsteered[i] for i in both]))
        if all(placebo.name in contexts for placebo in PLACEBOS):
            placebo = [of(p.name, unit.details["attribute"], _id(unit)) for unit in units for p in PLACEBOS]
            if math.isfinite(math.fsum(placebo)):
                references["placebo"] = float(np.mean(placebo))
        details |= self._confusions(of, contexts, statements)
        details |= self._opposites(of, contexts, texts, units)
        warnings = tuple(lost_groups(details.get("confusion", ())))
        if self.labels is not None:
            missing = [
                {"attribute": name, "question_id": key[2], "response": texts[key][draw]}
                for (key, draw, name), value in values.items()
                if math.isnan(value)
            ]
            warnings += _said_of_labels(self.labels, len(values), missing)
            details |= {"labels": _labels_json(self.labels), "unlabelled": missing}
        return Scores(
            "steering_faithfulness",
            tuple(units),
            references=references,
            warnings=warnings,
            witness=_witness([names[i] for i in scored], [units[i] for i in scored])
            if self.attribute is None
            else None,
            details=details,
            differences=self.settings.over is not None,
        )

    def _against_itself(self) -> bool:
        return self.settings.score == "preferred" and self.settings.over == UNSTEERED

    def _opposites(
        self,
        of: Any,
        contexts: Mapping[str, Any],
        texts: Mapping[tuple[str, str, str], Any],
        units: Sequence[UnitScore],
    ) -> dict[str, Any]:
        """Return by how much responses reflect an attribute better when steered to it than to its opposite."""
        found = []
        for target in self.targets():
            opposite = target.opposite
            if opposite not in contexts:
                continue
            mine = [unit for unit in units if unit.details["attribute"] == target.name]
            pairs = [
                (unit.details["steered"], of(opposite, target.name, _id(unit)), unit.cluster)
                for unit in mine
                # Without the check, the opposite answers its own questions only.
                if all((opposite, context, _id(unit)) in texts for context in contexts[opposite])
            ]  # fmt: skip
            pairs = [pair for pair in pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]
            if len({cluster for _, _, cluster in pairs}) < 2:
                continue
            own, other, clusters = zip(*pairs, strict=True)
            gain = compare_paired(own, other, clusters=clusters)
            numbers = {"value": gain.value, "low": gain.low, "high": gain.high, "n": gain.n}
            found.append({"attribute": target.name, "opposite": opposite, **numbers})
        return {"gain_over_opposite": found} if found else {}

    def _confusions(
        self, of: Any, contexts: Mapping[str, Any], statements: Mapping[tuple[str, str], str]
    ) -> dict[str, Any]:
        """Return for each category how the responses of every steering do for every attribute."""
        tables, seen = [], set()
        for target in self.targets():
            family = [one for one in self.steering.family(target) if one.name in contexts]
            if "family" not in self.settings.checks or target.category in seen or len(family) < 2:
                continue
            seen.add(target.category)
            groups = family if self.attribute is None else [target]
            ids = [
                q.question_id
                for q in self.steering.survey.questions
                if all((one.name, q.question_id) in statements for one in family)
                and all(math.isfinite(of(s.name, g.name, q.question_id)) for s in family for g in groups)
            ]
            if not ids:
                continue
            each = np.array([[[of(s.name, g.name, q) for q in ids] for s in family] for g in groups])
            scores = each.mean(axis=2)
            places = [family.index(group) for group in groups]
            own = np.array([scores[row, place] for row, place in enumerate(places)])
            clusters = {one.question_id: one.cluster or one.question_id for one in self.steering.survey.questions}
            square = len(groups) == len(family)
            tables.append(
                {
                    "category": target.category,
                    "groups": [one.name for one in groups],
                    "attributes": [one.name for one in family],
                    "n_questions": len(ids),
                    "scores": scores.tolist(),
                    "diagonal_dominance": float(
                        diagonal_dominance(scores) if square else (own >= scores.max(axis=1)).mean()
                    ),
                    "regret": (trade_off_regret(scores) if square else scores.max(axis=1) - own).tolist(),
                    "regret_interval": regret_intervals(each, places, [clusters[q] for q in ids]),
                }
            )
        return {"confusion": tables} if tables else {}


def _labels_json(labels: HumanLabels) -> dict[str, Any]:
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


def _id(unit: UnitScore) -> str:
    name = f"{unit.details['attribute']}: "
    return unit.unit_id.removeprefix(name)


def _chance(difference: float) -> float:
    """Return the chance of a preference by its log-odds (Bradley and Terry 1952)."""
    return float(1.0 / (1.0 + np.exp(-np.clip(difference, -700.0, 700.0))))


def _witness(names: Sequence[str], units: Iterable[UnitScore]) -> Witness | None:
    if len(set(names)) < 2:
        return None
    each = attribute_faithfulness([unit.value for unit in units], names)
    return Witness(str(each.worst_attribute), float(np.min(each.values)), "the attribute that fares worst")
