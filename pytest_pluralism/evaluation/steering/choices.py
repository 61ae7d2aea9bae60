"""Steering that is judged by answers to closed questions.

Every attribute is a *side* from which the same questions are asked; no attribute at all is another side, and so is
each placebo.
A score belongs to an attribute and a question; higher is better.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pytest_pluralism.core.equal import compare, difference
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.chance import sampling_floor
from pytest_pluralism.core.metrics.steerable import (
    attribute_faithfulness,
    steering_gain,
)
from pytest_pluralism.core.records import (
    AnswerDistribution,
    Prompt,
    Scores,
    Survey,
    UnitScore,
)
from pytest_pluralism.core.records.plain import JsonFields, JsonObject
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.steering.words import PLACEBO_FAMILIES, PLACEBOS, UNRELATED
from pytest_pluralism.evaluation.asking.meanings import Meanings, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Asking, Role, Round, Rounds
from pytest_pluralism.evaluation.steering.board import Board
from pytest_pluralism.evaluation.steering.bounds import SteeringBounds, guards_of
from pytest_pluralism.evaluation.steering.contexts import GroupExamples, steer_prompt
from pytest_pluralism.evaluation.steering.families import (
    confusable,
    difference_json,
    lost_groups,
    nothing_gained,
    worst_attribute,
)
from pytest_pluralism.evaluation.steering.left_open import LeftOpen, left_open_units
from pytest_pluralism.evaluation.steering.settings import (
    ACROSS,
    CHECKS,
    EXAGGERATED,
    FLATTENED,
    MANY_ATTRIBUTES,
    PLACEBO,
    SCORES,
    UNSTEERED,
    Side,
    SteeringSettings,
    Unrelated,
    other_attribute,
    steered_role,
)
from pytest_pluralism.evaluation.surveys.answered import (
    LOW_OPTION_MASS,
    ModelDistribution,
    drawn_of,
    model_distributions,
    people_of,
)
from pytest_pluralism.evaluation.surveys.asking import AskSettings, Request, Requests, meanings_of, names_of, requests
from pytest_pluralism.evaluation.surveys.left_open import open_words

__all__ = ["ACROSS", "CHECKS", "SCORES", "SteerableEvaluation", "SteeringSettings", "steered_role"]

#: How a model is steered where nothing else is said.
BY_INSTRUCTION = SteeringSettings()

#: No bounds beside a promise.
UNBOUNDED = SteeringBounds()


@dataclass(frozen=True)
class _Asked:
    """The questions of one side in one context, and where its prompts stand in the round."""

    side: Side
    context: str
    requests: Requests
    prompts: tuple[Prompt, ...]
    #: The model that is asked, if it is another than the one under test.
    role: Role | None = None


@dataclass(frozen=True)
class SteerableEvaluation:
    """The answers of a model steered to attributes, against the answers of those who have them.

    Attributes
    ----------
    steering : SteeringSet
        Attributes, templates and answers; of kind ``"distribution"`` or ``"choice"``.
    asking : AskSettings
        Settings of asking.
    settings : SteeringSettings
        Settings of steering.
    attribute : str or None
        The attribute; ``None`` takes every one that has answers, and its units are attributes by questions.
    bounds : SteeringBounds
        Bounds that must hold beside a promise about the value.
    """

    steering: SteeringSet
    asking: AskSettings
    settings: SteeringSettings = BY_INSTRUCTION
    attribute: str | None = None
    bounds: SteeringBounds = UNBOUNDED
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.steering.kind in ("entailment", "open"):
            holds = (
                "statements, which responses must entail" if self.steering.kind == "entailment" else "open questions"
            )
            raise InvalidParameterError(f"{self.steering.name} holds {holds}, and no answers to choose from.")
        for name in self.settings.contexts:
            self.steering.template(name)
        other = other_attribute(self.steering, self.settings.over, self.attribute)
        if self.settings.over == PLACEBO and not self._has_words():
            raise InvalidParameterError("over='placebo' needs a context in words: there is no model of a placebo.")
        self._refuse_unlike_contexts()
        if other is not None and self._shows_any():
            # Found now, not when the model has been loaded.
            self.steering.rows(other)

    def _refuse_unlike_contexts(self) -> None:
        """Refuse the best of several contexts over what has fewer: it gains where nothing steers."""
        settings = self.settings
        if settings.across == "mean" or len(settings.contexts) < 2 or settings.over not in (UNSTEERED, PLACEBO):
            return
        words = sum(self.steering.template(name).place != "model" for name in settings.contexts)
        if settings.over == PLACEBO and words == len(settings.contexts):
            return
        has = "one answer" if settings.over == UNSTEERED else f"{words} context{'s' * (words != 1)}"
        raise InvalidParameterError(
            f"across={settings.across!r} takes the best of {len(settings.contexts)} contexts, and what over="
            f"{settings.over!r} compares it with has {has}: it would gain where nothing steers. Use across='mean', or "
            "over='placebo' with contexts in words, which the placebos have too."
        )

    def rounds(self) -> Rounds:
        """Ask from all sides at once, and score it."""
        found = yield from self.answers()
        return self._scores(found)

    def answers(self) -> Asking[dict[tuple[Side, str], dict[str, ModelDistribution]]]:
        """Ask from all sides at once; return the answers of each side in each context."""
        found: dict[tuple[Side, str], dict[str, ModelDistribution]] = {}
        by_role: dict[Role | None, list[_Asked]] = {}
        for one in self._sides():
            by_role.setdefault(one.role, []).append(one)
        for role, asked in by_role.items():
            prompts = tuple(prompt for one in asked for prompt in one.prompts)
            answers = yield Round("answers", prompts, named=role, prompts_each=self.asking.repetitions)
            place = 0
            for one in asked:
                mine = answers[place : place + len(one.prompts)]
                place += len(one.prompts)
                found[one.side, one.context] = model_distributions(one.requests, mine)
        return found

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for, and how everybody answers."""
        people = people_of(self.steering.survey, None)
        sides = [meanings_of(one.requests, one.prompts, people) for one in self._sides()]
        return {prompt: meaning for side in sides for prompt, meaning in side.items()}

    def names(self) -> NamedRequests:
        """Yield what is asked with the names of its questions, and the attribute and context that it steers with."""
        for one in self._sides():
            if isinstance(one.side, str) and one.role is None:
                steering = "" if one.side == UNSTEERED else one.side
                yield from names_of(one.requests, one.prompts, steering=steering, context=one.context)

    # ------------------------------------------------------------------------------------------------ what is asked

    def targets(self) -> tuple[Attribute, ...]:
        """Return the attributes that are evaluated.

        Raises
        ------
        DatasetError
            If the attribute is unknown, or nobody says how it answers.
        """
        if self.attribute is not None:
            found = self.steering.attribute(self.attribute)
            self.steering.rows(found)
            return (found,)
        known = set(self.steering.survey.populations)
        # The reference that the others must exceed is not compared with itself.
        return tuple(
            one for one in self.steering.attributes if one.population in known and one.name != self.settings.over
        )

    def opposed(self) -> bool:
        """Return whether an attribute that is evaluated has an opposite for which people answer."""
        known = set(self.steering.survey.populations)
        names = {one.name: one for one in self.steering.attributes}
        opposites = [names[one.opposite] for one in self.targets() if one.opposite in names]
        return any(one.population in known for one in opposites)

    def try_contexts(self) -> None:
        """Put one question in every context, so that what cannot be asked is found before a model is loaded.

        Raises
        ------
        DatasetError
            If there are no answers to other questions that could be shown as examples.
        InvalidParameterError
            If a context does not fit into the prompts of the protocol.
        """
        units = list(self.units().items())
        # Words fit for all attributes or for none.
        for name, rows in units if self._shows_any() else units[:1]:
            one = {rows[0].question_id: None}
            plain = _Index(self.steering.survey, [one], self.asking).part(one)
            for context in self.settings.contexts:
                self._asked(name, context, plain, self.steering.attribute(name))

    def units(self) -> dict[str, tuple[AnswerDistribution, ...]]:
        """Return for each attribute the answers that it is compared with."""
        by_population: dict[str, list[AnswerDistribution]] = {}
        for row in self.steering.survey.distributions:
            by_population.setdefault(row.population, []).append(row)
        rows = [(one.name, row) for one in self.targets() for row in by_population[one.population]]
        most = self.settings.most_units
        if most is not None and most < len(rows):
            chosen = random.Random(f"{self.asking.seed}/units").sample(range(len(rows)), most)  # noqa: S311
            rows = [rows[index] for index in sorted(chosen)]
        found: dict[str, list[AnswerDistribution]] = {}
        for name, row in rows:
            found.setdefault(name, []).append(row)
        return {name: tuple(mine) for name, mine in found.items()}

    def _wanted(self) -> dict[str, dict[str, None]]:
        """Return the questions that each side must be asked."""
        units = self.units()
        wanted: dict[str, dict[str, None]] = {}

        def add(side: str, rows: Iterable[AnswerDistribution]) -> None:
            wanted.setdefault(side, {}).update(dict.fromkeys(row.question_id for row in rows))

        for name, rows in units.items():
            add(name, rows)
            attribute = self.steering.attribute(name)
            if UNSTEERED in self.settings.checks or self.settings.over == UNSTEERED:
                add(UNSTEERED, rows)
            if self._has_words() and (PLACEBO in self.settings.checks or self.settings.over == PLACEBO):
                for placebo in PLACEBOS:
                    add(placebo.name, rows)
            if "family" in self.settings.checks:
                for other in self._others(attribute):
                    add(other.name, rows)
            if self.settings.over not in (None, UNSTEERED, PLACEBO):
                add(str(self.settings.over), rows)
        return wanted

    def _others(self, attribute: Attribute) -> list[Attribute]:
        """Return the attributes that it may be confused with, and that can be asked."""
        others = confusable(self.steering, attribute)
        if self._shows_any():
            # A mere part of intersections has no answers to show.
            others = [one for one in others if one.population in self.steering.survey.populations]
        return others

    def _side(self, side: str) -> Attribute | None:
        """Return the attribute of a side."""
        if side == UNSTEERED:
            return None
        return next((one for one in PLACEBOS if one.name == side), None) or self.steering.attribute(side)

    def _sides(self) -> list[_Asked]:
        wanted = self._wanted()
        # All questions are put into words once; a side takes those that it needs.
        everything = _Index(self.steering.survey, wanted.values(), self.asking)
        unrelated = None
        if "unrelated" in self.settings.checks and UNSTEERED in wanted:
            unrelated = requests(Survey("unrelated", UNRELATED, (), ""), self.asking)
        asked = []
        for side, questions in wanted.items():
            attribute = self._side(side)
            for context in self.settings.contexts if attribute is not None else ("",):
                if attribute in PLACEBOS and self.steering.template(context).place == "model":
                    continue
                asked.append(self._asked(side, context, everything.part(questions), attribute))
                if unrelated is not None and not self._shows_answers(context):
                    asked.append(self._asked(Unrelated(side), context, unrelated, attribute))
        return asked

    def _has_words(self) -> bool:
        """Return whether some context puts the attribute into words, as there is no model of a placebo."""
        return any(self.steering.template(name).place != "model" for name in self.settings.contexts)

    def _shows_any(self) -> bool:
        return any(self._shows_answers(name) for name in self.settings.contexts)

    def _shows_answers(self, context: str) -> bool:
        return bool(context) and self.steering.template(context).place == "examples"

    def _asked(self, side: Side, context: str, plain: Requests, attribute: Attribute | None) -> _Asked:
        if attribute is None:
            return _Asked(side, context, plain, plain.prompts)
        template = self.steering.template(context)
        if template.place == "model":
            return _Asked(side, context, plain, plain.prompts, steered_role(attribute))
        family = PLACEBO_FAMILIES[attribute.category] if attribute in PLACEBOS else self.steering.family(attribute)
        shown = None
        if template.place == "examples":
            shown = GroupExamples(
                self.steering.survey.questions, self._shown_rows(attribute), n_examples=template.n_examples,
                seed=self.asking.seed,
            )  # fmt: skip
        questions = {question.question_id: question for question in plain.survey.questions}
        prompts = []
        for item in plain.items:
            examples = shown.for_question(questions[item.question_id], item.repetition) if shown else ()
            prompts.append(steer_prompt(item.prompt, template, attribute, family=family, examples=examples))
        return _Asked(side, context, plain, tuple(prompts))

    def _shown_rows(self, attribute: Attribute) -> Sequence[AnswerDistribution]:
        """Return the answers that are shown as examples; those of a placebo are everybody's."""
        if attribute not in PLACEBOS:
            return self.steering.rows(attribute)
        survey = self.steering.survey
        if survey.default_population is not None:
            return tuple(row for row in survey.distributions if row.population == survey.default_population)
        # Nobody says who everybody is, so each attribute counts alike.
        known = dict.fromkeys(one.population for one in self.steering.attributes)
        by_question: dict[str, list[tuple[float, ...]]] = {}
        for row in survey.distributions:
            if row.population in known:
                by_question.setdefault(row.question_id, []).append(row.probabilities)
        return tuple(
            AnswerDistribution(name, "everybody", tuple(float(p) for p in np.mean(each, axis=0)))
            for name, each in by_question.items()
        )

    # ---------------------------------------------------------------------------------------------- what it means

    def _scores(self, found: Mapping[tuple[Side, str], Mapping[str, ModelDistribution]]) -> Scores:
        published = self.asking.protocol == "modular_pluralism"
        board = Board(
            self.steering,
            self.settings,
            units=self.units(),
            found=found,
            is_alone=self.attribute is not None,
            ties="first" if published else "share",
        )
        over = self.settings.over
        left = LeftOpen(board)
        units: list[UnitScore] = []
        steered: list[float] = []
        unsteered: list[float] = []
        names = []
        for name, rows in board.units.items():
            values = board.of(name, rows)
            plain = board.of(UNSTEERED, rows) if board.has(UNSTEERED) else None
            placebo = board.of_placebo(rows) if board.has(PLACEBOS[0].name) else None
            sides = {"unsteered": plain, "placebo": placebo} if over is None else {}
            below = None if over is None else board.of_placebo(rows) if over == PLACEBO else board.of(over, rows)
            for index, row in enumerate(rows):
                details: dict[str, object] = {"attribute": name, "steered": float(values[index])}
                if plain is not None:
                    details["unsteered"] = float(plain[index])
                value = values[index] if below is None else difference(values[index], below[index])
                beside = {side: float(scores[index]) for side, scores in sides.items() if scores is not None}
                if over == UNSTEERED and plain is not None and placebo is not None:
                    beside["placebo"] = float(difference(placebo[index], plain[index]))
                beside |= board.blind(row, name, over)
                masses = board.reference_masses((side for side in sides if side in beside), row.question_id)
                unit = board.unit(name, row, float(value), details)
                units.append(dataclasses.replace(unit, references=beside, reference_masses=masses))
            if left.is_open:
                shown = [side for side, scores in sides.items() if scores is not None]
                units[-len(rows) :] = left_open_units(left, name, rows, units[-len(rows) :], over=over, beside=shown)
            names += [name] * len(rows)
            steered += list(values)
            unsteered += list(plain) if plain is not None else []
        details = self._details(board, names, steered, unsteered, units)
        return Scores(
            metric="steering_faithfulness",
            units=tuple(units),
            references=self._references(board, steered, unsteered),
            other_populations=self._other_sides(board),
            warnings=(*open_words(units), *self._warnings(units, details)),
            witness=worst_attribute(names, [unit.value for unit in units]) if self.attribute is None else None,
            details=details,
            differences=over is not None,
            drawn=drawn_of(one for side in found.values() for one in side.values()),
            guards=guards_of(board, self.bounds),
        )

    def _references(self, board: Board, steered: Sequence[float], unsteered: Sequence[float]) -> dict[str, float]:
        """Return what would be scored without steering, by placebos, and by answers that know nothing."""
        result: dict[str, float] = {}
        if self.settings.over is not None:
            result["steered"] = float(np.mean(steered))
        if unsteered:
            result["unsteered"] = float(np.mean(unsteered))
        if board.has(PLACEBOS[0].name):
            result["placebo"] = float(np.mean([v for rows in board.units.values() for v in board.of_placebo(rows)]))
        rows = [row for mine in board.units.values() for row in mine]
        result["uniform"] = float(np.mean([board.score(row, board.even(row)) for row in rows]))
        if not board.knows_the_answer():
            result["majority"] = float(np.mean([board.score(row, board.commonest(row)) for row in rows]))
        if self.steering.kind == "distribution" and self.settings.score == "js":
            counts = [(board.reference(row), row.n_respondents) for row in rows]
            if all(n for _, n in counts):
                floors = [sampling_floor(p, n_respondents=n, method="mean") for p, n in counts if n]
                result["sampling_ceiling"] = 1.0 - float(np.mean(np.array(floors)))
        whole = self.steering.survey.default_population
        if whole is not None and self.steering.kind == "distribution":
            others = {row.question_id: row for row in self.steering.survey.distributions if row.population == whole}
            if all(row.question_id in others for row in rows):
                result["whole_population"] = float(
                    np.mean([board.score(row, board.reference(others[row.question_id])) for row in rows])
                )
        return result

    def _other_sides(self, board: Board) -> dict[str, float]:
        """Return how the model steered to each other attribute of the category answers for this one."""
        if self.attribute is None or "family" not in self.settings.checks:
            return {}
        ((name, rows),) = board.units.items()
        others = self._others(self.steering.attribute(name))
        return {other.name: float(np.mean(board.of(other.name, rows))) for other in others}

    def _details(
        self,
        board: Board,
        names: Sequence[str],
        steered: Sequence[float],
        unsteered: Sequence[float],
        units: Sequence[UnitScore],
    ) -> JsonFields:
        details: dict[str, object] = {
            "kind": self.steering.kind,
            "score": self.settings.score,
            "contexts": list(self.settings.contexts),
            "across": self.settings.across,
        }
        if unsteered:
            details["gain"] = difference_json(steered, unsteered, [unit.cluster for unit in units])
        each = attribute_faithfulness(steered, names)
        gains = steering_gain(steered, unsteered, names).values if unsteered else None
        order = np.argsort(each.values, kind="stable")[:MANY_ATTRIBUTES]
        details["attributes"] = [
            {
                "attribute": str(each.attributes[index]),
                "value": float(each.values[index]),
                "n": each.n_units[index],
                **({} if gains is None else {"gain": float(gains[index])}),
            }
            for index in order
        ]
        details["n_attributes"] = len(each.attributes)
        details["attribute_mean"] = each.attribute_mean
        if self.steering.kind == "choice":
            details["classification"] = board.classification()
        checks = {
            "contexts_each": board.by_context() if len(self.settings.contexts) > 1 else None,
            "confusion": board.confusions(),
            "movement": board.movement(),
            "opposite": board.opposites(),
            "flattening": board.flattening(),
            "fidelity": board.fidelity(),
        }
        return details | {name: value for name, value in checks.items() if value}

    def _warnings(self, units: Sequence[UnitScore], details: JsonObject) -> Iterable[str]:
        low = [unit for unit in units if (unit.option_mass or 0.0) < LOW_OPTION_MASS]
        if low:
            worst = min(low, key=lambda unit: unit.option_mass or 0.0)
            yield (
                f"option mass under {LOW_OPTION_MASS} on {len(low)} of {len(units)} units (lowest "
                f"{worst.option_mass:.2f} on {worst.unit_id}, where the likeliest token was "
                f"{worst.details['top_token']!r})"
            )
        movement = details.get("movement", {})
        # Before examples, the placebo is everybody's answers, which may well move as far.
        named = any(not self._shows_answers(context) for context in self.settings.contexts)
        if named and movement.get("placebo") and compare(movement["placebo"], movement["steered"]) >= 0:
            yield (
                f"irrelevant attributes move the answers as far ({movement['placebo']:.3f}) as the attribute itself "
                f"({movement['steered']:.3f}): what moves them is being addressed, not who is named"
            )
        yield from nothing_gained(self.settings.over, [unit.value for unit in units])
        yield from lost_groups(details.get("confusion", ()))
        for pair in details.get("opposite", ()):
            if compare(pair["contrast"], 0.0) <= 0:
                yield (
                    f"steering to {pair['attribute']} and to {pair['opposite']} does not part the answers the way the "
                    f"people part (contrast {pair['contrast']:+.2f}, people +1)"
                )
            elif compare(pair["contrast"], EXAGGERATED) >= 0:
                yield (
                    f"steering to {pair['attribute']} and to {pair['opposite']} parts the answers further than the "
                    f"people part (contrast {pair['contrast']:+.2f}, people +1): a stereotype of both"
                )
        flat = details.get("flattening", {})
        if compare(flat.get("ratio", 1.0), FLATTENED) < 0:
            yield (
                f"the steered answers vary less than the people of a group do (entropy {flat['steered']:.2f} of "
                f"{flat['people']:.2f} bits): they are its commonest answer, not its spread"
            )
        elif compare(flat.get("spread_ratio", 1.0), FLATTENED) < 0:
            yield (
                f"the steered answers spread less along the options than the people of a group do (variance "
                f"{flat['spread_ratio']:.2f} of theirs): they are close to its mean, not its spread"
            )
        if len(self.settings.contexts) > 1 and self.settings.across != "mean":
            yield (
                f"the best of {len(self.settings.contexts)} contexts is a maximum of noisy numbers: it rises with "
                "their number even where none of them steers"
            )


class _Index:
    """The requests of a survey by question."""

    def __init__(self, survey: Survey, wanted: Iterable[Iterable[str]], asking: AskSettings) -> None:
        ids = {question_id for part in wanted for question_id in part}
        self.survey = dataclasses.replace(survey, questions=tuple(q for q in survey.questions if q.question_id in ids))
        self.asking = asking
        self.questions = {question.question_id: question for question in self.survey.questions}
        self.items: dict[str, list[Request]] = {}
        for item in requests(self.survey, asking).items:
            self.items.setdefault(item.question_id, []).append(item)

    def part(self, wanted: Iterable[str], /) -> Requests:
        """Return the requests of some questions."""
        ids = list(wanted)
        survey = dataclasses.replace(self.survey, questions=tuple(self.questions[one] for one in ids))
        return Requests(survey, self.asking, tuple(item for one in ids for item in self.items[one]))
