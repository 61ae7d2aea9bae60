"""Whether a model that is steered to an attribute answers as that attribute does, and what else the steering moves.

Every attribute is a *side* from which the same questions are asked; so are no attribute at all, and placebos.
A score belongs to an attribute and a question; higher is better.
"""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.metrics.distributional import (
    entropy,
    jensen_shannon_distance,
    mode_agreement,
    population_fidelity_score,
    sampling_floor,
    wasserstein_distance,
)
from pytest_pluralism.core.metrics.multi_objective import diagonal_dominance, trade_off_regret
from pytest_pluralism.core.metrics.steerable import (
    attribute_faithfulness,
    best_of_contexts,
    classification_scores,
    goal_space_steering,
    prompt_steerability_index,
    steering_gain,
)
from pytest_pluralism.core.records import (
    AnswerDistribution,
    Prompt,
    Question,
    Scores,
    Survey,
    UnitScore,
    Witness,
)
from pytest_pluralism.datasets.steering import SteeringSet
from pytest_pluralism.datasets.steering_templates import Attribute
from pytest_pluralism.datasets.steering_words import PLACEBO_FAMILIES, PLACEBOS, UNRELATED
from pytest_pluralism.evaluation.contexts import GroupExamples, steer_prompt
from pytest_pluralism.evaluation.distributional import (
    LOW_OPTION_MASS,
    AskSettings,
    ModelDistribution,
    Request,
    Requests,
    model_distributions,
    requests,
)
from pytest_pluralism.evaluation.rounds import Round, Rounds

__all__ = ["ACROSS", "CHECKS", "SCORES", "STEERED", "SteerableEvaluation", "SteeringSettings", "steered_role"]

#: How an answer is scored against that of an attribute, by name.
SCORES = ("js", "wasserstein", "mode", "probability")

#: What several contexts are put together by.
ACROSS = ("mean", "best_per_question", "best_per_group")

#: What is asked beside the attribute, for comparison.
CHECKS = ("unsteered", "family", "placebo", "unrelated")

#: The sides that are no attribute.
UNSTEERED = "unsteered"
PLACEBO = "placebo"

#: What the name of a model begins with that is steered to an attribute by its weights.
STEERED = "steered:"

#: With more attributes than this, the checks are not asked by themselves, and the report lists the worst ones only.
MANY_ATTRIBUTES = 24


def check_steering(contexts: Any, over: Any, checks: Any, /, *, known_checks: Sequence[str]) -> None:
    """Refuse contexts, a comparison or checks that are none.

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


def check_most_units(most: Any, /) -> None:
    """Refuse what is no number of units.

    Raises
    ------
    InvalidParameterError
        If it is neither a whole number from 2 nor ``None``.
    """
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 2):
        raise invalid_parameter("most_units", "steering_faithfulness", "a whole number from 2, or None", repr(most))


@dataclass(frozen=True)
class SteeringSettings:
    """How a model is steered, and what its answers are scored and compared by.

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
        What the score must exceed: ``"unsteered"``, ``"placebo"`` or another attribute. Units are then differences.
    checks : tuple of str
        What is asked beside the attribute, for comparison.
    most_units : int or None
        At most so many answers of attributes, drawn with the seed.
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
            if value not in known:
                raise invalid_parameter(name, function, "one of " + ", ".join(map(repr, known)), repr(value))
        check_steering(self.contexts, self.over, self.checks, known_checks=CHECKS)
        check_most_units(self.most_units)

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return {**asdict(self), "contexts": list(self.contexts), "checks": list(self.checks)}


@dataclass(frozen=True)
class _Asked:
    """The questions of one side in one context, and where its prompts stand in the round."""

    side: str
    context: str
    requests: Requests
    prompts: tuple[Prompt, ...]
    #: The model that is asked, if it is another than the one under test.
    role: str | None = None


@dataclass(frozen=True)
class SteerableEvaluation:
    """How a model that is steered to attributes answers, against the answers of those who have them.

    Attributes
    ----------
    steering : SteeringSet
        Attributes, templates and answers; of kind ``"distribution"`` or ``"choice"``.
    asking : AskSettings
        How the questions are put.
    settings : SteeringSettings
        How the model is steered.
    attribute : str or None
        The attribute; ``None`` takes every one that has answers, and its units are attributes by questions.
    """

    steering: SteeringSet
    asking: AskSettings
    settings: SteeringSettings = SteeringSettings()
    attribute: str | None = None

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
        found: dict[tuple[str, str], dict[str, ModelDistribution]] = {}
        by_role: dict[str | None, list[_Asked]] = {}
        for one in self._sides():
            by_role.setdefault(one.role, []).append(one)
        for role, asked in by_role.items():
            answers = yield Round("answers", tuple(prompt for one in asked for prompt in one.prompts), named=role)
            place = 0
            for one in asked:
                mine = answers[place : place + len(one.prompts)]
                place += len(one.prompts)
                found[one.side, one.context] = model_distributions(one.requests, mine)
        return self._scores(found)

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
        # What the others must exceed is not compared with itself.
        return tuple(
            one for one in self.steering.attributes if one.population in known and one.name != self.settings.over
        )

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
        """Return the attributes that it may be confused with: those of its category, and its opposite."""
        others = [one for one in self.steering.family(attribute) if one.name != attribute.name]
        if attribute.opposite and attribute.opposite in self.steering.names:
            opposite = self.steering.attribute(attribute.opposite)
            others += [opposite] if opposite not in others else []
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
                    asked.append(self._asked(f"{side}\0unrelated", context, unrelated, attribute))
        return asked

    def _has_words(self) -> bool:
        """Whether some context puts the attribute into words, as there is no model of a placebo."""
        return any(self.steering.template(name).place != "model" for name in self.settings.contexts)

    def _shows_any(self) -> bool:
        return any(self._shows_answers(name) for name in self.settings.contexts)

    def _shows_answers(self, context: str) -> bool:
        return bool(context) and self.steering.template(context).place == "examples"

    def _asked(self, side: str, context: str, plain: Requests, attribute: Attribute | None) -> _Asked:
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

    def _scores(self, found: Mapping[tuple[str, str], Mapping[str, ModelDistribution]]) -> Scores:
        board = _Board(self, found)
        over = self.settings.over
        units, steered, unsteered = [], [], []
        names = []
        for name, rows in board.units.items():
            values = board.of(name, rows)
            plain = board.of(UNSTEERED, rows) if board.has(UNSTEERED) else None
            below = None if over is None else board.of_placebo(rows) if over == PLACEBO else board.of(over, rows)
            for index, row in enumerate(rows):
                details: dict[str, Any] = {"attribute": name, "steered": float(values[index])}
                if plain is not None:
                    details["unsteered"] = float(plain[index])
                value = values[index] if below is None else values[index] - below[index]
                units.append(board.unit(name, row, float(value), details))
            names += [name] * len(rows)
            steered += list(values)
            unsteered += list(plain) if plain is not None else []
        details = self._details(board, names, steered, unsteered, units)
        return Scores(
            metric="steering_faithfulness",
            units=tuple(units),
            references=self._references(board, steered, unsteered, details),
            other_populations=self._other_sides(board),
            warnings=tuple(self._warnings(units, details)),
            witness=self._witness(names, units) if self.attribute is None else None,
            details=details,
            differences=over is not None,
        )

    def _references(
        self, board: _Board, steered: Sequence[float], unsteered: Sequence[float], details: Mapping[str, Any]
    ) -> dict[str, float]:
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

    def _other_sides(self, board: _Board) -> dict[str, float]:
        """Return how the model steered to each other attribute of the category answers for this one."""
        if self.attribute is None or "family" not in self.settings.checks:
            return {}
        rows = board.units[self.attribute]
        others = self._others(self.steering.attribute(self.attribute))
        return {other.name: float(np.mean(board.of(other.name, rows))) for other in others}

    def _details(
        self,
        board: _Board,
        names: Sequence[str],
        steered: Sequence[float],
        unsteered: Sequence[float],
        units: Sequence[UnitScore],
    ) -> dict[str, Any]:
        details: dict[str, Any] = {
            "kind": self.steering.kind,
            "score": self.settings.score,
            "contexts": list(self.settings.contexts),
            "across": self.settings.across,
        }
        if unsteered:
            clusters = [unit.cluster for unit in units]
            gain = compare_paired(steered, unsteered, clusters=clusters)
            details["gain"] = {"value": gain.value, "low": gain.low, "high": gain.high, "n": gain.n}
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

    def _warnings(self, units: Sequence[UnitScore], details: Mapping[str, Any]) -> Iterable[str]:
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
        if named and movement.get("placebo") and movement["placebo"] >= movement["steered"] - 1e-9:
            yield (
                f"irrelevant attributes move the answers as far ({movement['placebo']:.3f}) as the attribute itself "
                f"({movement['steered']:.3f}): what moves them is being addressed, not who is named"
            )
        yield from lost_groups(details.get("confusion", ()))
        for pair in details.get("opposite", ()):
            if pair["contrast"] <= 0:
                yield (
                    f"steering to {pair['attribute']} and to {pair['opposite']} does not part the answers the way the "
                    f"people part (contrast {pair['contrast']:+.2f}, people +1)"
                )
        if len(self.settings.contexts) > 1 and self.settings.across != "mean":
            yield (
                f"the best of {len(self.settings.contexts)} contexts is a maximum of noisy numbers: it rises with "
                "their number even where none of them steers"
            )

    def _witness(self, names: Sequence[str], units: Sequence[UnitScore]) -> Witness | None:
        """Return the attribute that fares worst."""
        if len(set(names)) < 2:
            return None
        each = attribute_faithfulness([unit.value for unit in units], names)
        return Witness(str(each.worst_attribute), float(np.min(each.values)), "the attribute that fares worst")


class _Board:
    """The scores of every side on every answer, and what they say together."""

    def __init__(
        self, evaluation: SteerableEvaluation, found: Mapping[tuple[str, str], Mapping[str, ModelDistribution]]
    ) -> None:
        self.evaluation = evaluation
        self.steering = evaluation.steering
        self.settings = evaluation.settings
        self.found = found
        self.units = evaluation.units()
        self.questions = {question.question_id: question for question in self.steering.survey.questions}
        self._matrices: dict[tuple[str, tuple[str, ...]], np.ndarray] = {}
        self._common: int | None = None

    # ------------------------------------------------------------------------------------------- one answer

    def has(self, side: str) -> bool:
        """Say whether a side was asked."""
        return any(name == side for name, _ in self.found)

    def contexts(self, side: str) -> list[str]:
        """Return the contexts of a side."""
        return [context for name, context in self.found if name == side]

    def reference(self, row: AnswerDistribution) -> np.ndarray:
        """Return how people answer, without the refusals that are kept apart."""
        return _substantive(self.questions[row.question_id], row.probabilities)

    def answer(self, side: str, context: str, question_id: str) -> np.ndarray:
        """Return how the model answers, without the refusals that are kept apart."""
        found = self.found[side, context][question_id].probabilities
        question = self.questions.get(question_id)
        return np.asarray(found) if question is None else _substantive(question, found)

    def mean_answer(self, side: str, question_id: str) -> np.ndarray:
        """Return how the model answers in the mean over contexts."""
        each = [self.answer(side, context, question_id) for context in self.contexts(side)]
        return np.asarray(np.mean(each, axis=0))

    def even(self, row: AnswerDistribution) -> np.ndarray:
        """Return the answer that prefers nothing."""
        n_options = len(self.reference(row))
        return np.full(n_options, 1.0 / n_options)

    def commonest(self, row: AnswerDistribution) -> np.ndarray:
        """Return the answer that always says what most say: of a choice, the commonest right answer."""
        people = self.reference(row)
        mode = int(people.argmax())
        if self.steering.kind == "choice" and self._same_options():
            if self._common is None:
                right = [int(self.reference(one).argmax()) for mine in self.units.values() for one in mine]
                self._common = int(np.bincount(right).argmax())
            mode = self._common
        result = np.zeros(len(people))
        result[mode] = 1.0
        return result

    def score(self, row: AnswerDistribution, answer: np.ndarray) -> float:
        """Return how faithful an answer is."""
        people = self.reference(row)
        if self.settings.score == "js":
            return 1.0 - float(jensen_shannon_distance(answer, people))
        if self.settings.score == "wasserstein":
            question = self.questions[row.question_id]
            kept = _kept(question)
            places = np.arange(len(kept)) if question.positions is None else np.asarray(question.positions)[kept]
            length = float(places.max() - places.min())
            if length <= 0:
                raise DatasetError(f"The options of {question.question_id!r} have one place, so no distance exists.")
            return 1.0 - float(wasserstein_distance(answer, people, positions=places)) / length
        if self.settings.score == "mode":
            published = self.evaluation.asking.protocol == "modular_pluralism"
            return float(mode_agreement(answer, people, ties="first" if published else "share"))
        return float(answer @ people)

    # ------------------------------------------------------------------------------------------ many answers

    def matrix(self, side: str, rows: Sequence[AnswerDistribution]) -> np.ndarray:
        """Return the scores of one side, shape (n_contexts, n_rows)."""
        key = (side, tuple(f"{row.population}\0{row.question_id}" for row in rows))
        if key not in self._matrices:
            self._matrices[key] = np.array(
                [
                    [self.score(row, self.answer(side, context, row.question_id)) for row in rows]
                    for context in self.contexts(side)
                ]
            )
        return self._matrices[key]

    def of(self, side: str, rows: Sequence[AnswerDistribution]) -> np.ndarray:
        """Return the scores of one side over its contexts, shape (n_rows,)."""
        scores = self.matrix(side, rows)
        if self.settings.across == "best_per_question":
            return np.asarray(scores.max(axis=0))
        if self.settings.across == "best_per_group":
            return np.asarray(scores[int(scores.mean(axis=1).argmax())])
        return np.asarray(scores.mean(axis=0))

    def of_placebo(self, rows: Sequence[AnswerDistribution]) -> np.ndarray:
        """Return the mean scores of the placebos, shape (n_rows,)."""
        return np.asarray(np.mean([self.of(placebo.name, rows) for placebo in PLACEBOS], axis=0))

    def unit(self, name: str, row: AnswerDistribution, value: float, details: dict[str, Any]) -> UnitScore:
        """Return the unit of one attribute and question."""
        question = self.questions[row.question_id]
        ours, theirs = self.mean_answer(name, row.question_id), self.reference(row)
        given = [self.found[name, context][row.question_id] for context in self.contexts(name)]
        alone = self.evaluation.attribute is not None
        return UnitScore(
            unit_id=row.question_id if alone else f"{name}: {row.question_id}",
            cluster=question.cluster or question.question_id,
            value=value,
            population=name if alone else None,
            text=question.text,
            options=tuple(question.options[index] for index in _kept(question)),
            model_probabilities=tuple(float(p) for p in ours),
            reference_probabilities=tuple(float(p) for p in theirs),
            option_mass=float(np.mean([one.option_mass for one in given])),
            n_respondents=row.n_respondents,
            details={
                "top_token": given[0].top_token,
                "model_entropy": float(entropy(ours)),
                "reference_entropy": float(entropy(theirs)),
                **details,
            },
        )

    # ------------------------------------------------------------------------------------------------- checks

    def by_context(self) -> dict[str, float]:
        """Return the mean score of each context, and of the best in both published readings."""
        whole = np.concatenate([self.matrix(name, rows) for name, rows in self.units.items()], axis=1)
        each = {name: float(value) for name, value in zip(self.settings.contexts, whole.mean(axis=1), strict=True)}
        for reading in ("per_question", "per_group"):
            best = [best_of_contexts(self.matrix(name, rows), reading=reading) for name, rows in self.units.items()]
            sizes = [len(rows) for rows in self.units.values()]
            each[f"best {reading.replace('_', ' ')}"] = float(np.average(np.array(best), weights=sizes))
        return each

    def confusions(self) -> list[dict[str, Any]]:
        """Return for each category how every steering does for every group: rows groups, columns steerings."""
        if "family" not in self.settings.checks:
            return []
        result, seen = [], set()
        for name in self.units:
            attribute = self.steering.attribute(name)
            family = [one for one in self.steering.family(attribute) if self.has(one.name)]
            if attribute.category in seen or len(family) < 2:
                continue
            seen.add(attribute.category)
            groups = family if self.evaluation.attribute is None else [attribute]
            # Only what every side was asked, and every group answered, fills the matrix evenly.
            rows = {one.name: {row.question_id: row for row in self._rows(one)} for one in family}
            shared = [
                question_id
                for question_id in self.questions
                if all(question_id in rows[one.name] for one in groups)
                and all(
                    question_id in self.found[one.name, context]
                    for one in family
                    for context in self.contexts(one.name)
                )
            ]
            if not shared:
                continue
            each = np.array(
                [[self.of(side.name, [rows[group.name][q] for q in shared]) for side in family] for group in groups]
            )
            scores = each.mean(axis=2)
            table = {
                "category": attribute.category,
                "groups": [one.name for one in groups],
                "attributes": [one.name for one in family],
                "n_questions": len(shared),
                "scores": scores.tolist(),
            }
            own_places = [family.index(group) for group in groups]
            own = np.array([scores[i, place] for i, place in enumerate(own_places)])
            clusters = [self.questions[q].cluster or q for q in shared]
            table["regret_interval"] = regret_intervals(each, own_places, clusters)
            if len(groups) == len(family):
                table["diagonal_dominance"] = float(diagonal_dominance(scores))
                table["regret"] = trade_off_regret(scores).tolist()
            else:
                table["diagonal_dominance"] = float((own >= scores.max(axis=1)).mean())
                table["regret"] = (scores.max(axis=1) - own).tolist()
            if self.has(UNSTEERED):
                plain = [self.of(UNSTEERED, [rows[group.name][q] for q in shared]).mean() for group in groups]
                table["unsteered"] = [float(value) for value in plain]
            result.append(table)
        return result

    def _rows(self, attribute: Attribute) -> Sequence[AnswerDistribution]:
        if attribute.name in self.units:
            return self.units[attribute.name]
        if attribute.population in self.steering.survey.populations:
            return self.steering.rows(attribute)
        return ()

    def movement(self) -> dict[str, Any]:
        """Return how far the answers are moved: by the attributes, by placebos, and on questions of something else.

        A length is the mean Jensen-Shannon distance from the unsteered answers. Along the way from those answers to the
        people's, ``progress`` 1 is exact, 0 nothing; what is off that way is the share of side effects.
        """
        if not self.has(UNSTEERED):
            return {}

        def moved(side: str, ids: Iterable[str]) -> list[float]:
            _, _, unrelated = side.partition("\0")
            start = f"{UNSTEERED}\0{unrelated}" if unrelated else UNSTEERED
            return [
                float(jensen_shannon_distance(self.mean_answer(side, q), self.mean_answer(start, q)))
                for q in ids
            ]  # fmt: skip

        ids = {name: [row.question_id for row in rows] for name, rows in self.units.items()}
        result: dict[str, Any] = {"steered": float(np.mean([m for name in ids for m in moved(name, ids[name])]))}
        if self.has(PLACEBOS[0].name):
            result["placebo"] = float(
                np.mean([m for one in PLACEBOS for name in ids for m in moved(one.name, ids[name])])
            )
        asked = [f"{name}\0unrelated" for name in ids if self.has(f"{name}\0unrelated")]
        if asked and self.has(f"{UNSTEERED}\0unrelated"):
            others = [question.question_id for question in UNRELATED]
            result["unrelated"] = float(np.mean([m for side in asked for m in moved(side, others)]))
        if self.steering.kind == "distribution":
            source, output, goal = (
                np.concatenate([each(name, row) for name, rows in self.units.items() for row in rows])
                for each in (
                    lambda _, row: self.mean_answer(UNSTEERED, row.question_id),
                    lambda name, row: self.mean_answer(name, row.question_id),
                    lambda _, row: self.reference(row),
                )
            )
            if not np.array_equal(source, goal):
                way = goal_space_steering(source, output, goal)
                for name in ("progress", "overshoot", "undershoot", "side_effect_share"):
                    result[name] = float(getattr(way, name))
        return result

    def opposites(self) -> list[dict[str, Any]]:
        """Return for each attribute and its opposite how far steering parts the answers, where the people are 1 apart.

        Above 1 steering exaggerates the difference between the groups; below 0 it turns it round.
        """
        result: list[dict[str, Any]] = []
        for name in self.units:
            opposite = self.steering.attribute(name).opposite
            if opposite is None or opposite not in self.steering.names or not self.has(opposite):
                continue
            if any(pair["attribute"] == opposite for pair in result):
                continue
            theirs = {row.question_id: row for row in self._rows(self.steering.attribute(opposite))}
            mine = [row for row in self.units[name] if row.question_id in theirs]
            mine = [row for row in mine if row.question_id in self.found[opposite, self.contexts(opposite)[0]]]
            if not mine:
                continue
            people = [self.reference(row) - self.reference(theirs[row.question_id]) for row in mine]
            model = [self.mean_answer(name, r.question_id) - self.mean_answer(opposite, r.question_id) for r in mine]
            length = sum(float(p @ p) for p in people)
            if length > 0:
                contrast = sum(float(m @ p) for m, p in zip(model, people, strict=True)) / length
                pair = {"attribute": name, "opposite": opposite, "contrast": contrast, "n_questions": len(mine)}
                if self.has(UNSTEERED):
                    start = [self.mean_answer(UNSTEERED, row.question_id) for row in mine]
                    for key, side in (("moves", name), ("opposite_moves", opposite)):
                        steps = [self.mean_answer(side, r.question_id) - s for r, s in zip(mine, start, strict=True)]
                        pair[key] = sum(float(d @ p) for d, p in zip(steps, people, strict=True)) / length
                    pair["steerability_index"] = self._steerability_index(name, mine, people)
                result.append(pair)
        return result

    def _steerability_index(self, name: str, rows: Sequence[AnswerDistribution], people: Sequence[np.ndarray]) -> float:
        """Return the prompt steerability index towards what an attribute answers more often than its opposite."""

        def counts(side: str) -> list[float]:
            towards = [
                float(self.mean_answer(side, row.question_id)[gap > 0].sum())
                for row, gap in zip(rows, people, strict=True)
            ]
            return [sum(towards), len(rows) - sum(towards)]

        return float(prompt_steerability_index(counts(UNSTEERED), counts(name)))

    def flattening(self) -> dict[str, float]:
        """Return the mean entropies (bits): of the people within a group, of the model steered and unsteered."""
        if self.steering.kind != "distribution":
            return {}
        rows = [(name, row) for name, mine in self.units.items() for row in mine]
        people = float(np.mean([entropy(self.reference(row)) for _, row in rows]))
        model = float(np.mean([entropy(self.mean_answer(name, row.question_id)) for name, row in rows]))
        result = {"people": people, "steered": model}
        if people > 0:
            result["ratio"] = model / people
        if self.has(UNSTEERED):
            plain = [entropy(self.mean_answer(UNSTEERED, row.question_id)) for _, row in rows]
            result["unsteered"] = float(np.mean(np.array(plain)))
        return result

    def fidelity(self) -> dict[str, float]:
        """Return the Population Fidelity Score of all groups on the questions that all of them answered."""
        if self.steering.kind != "distribution" or len(self.units) < 3:
            return {}
        rows = {name: {row.question_id: row for row in mine} for name, mine in self.units.items()}
        shared = [q for q in self.questions if all(q in mine for mine in rows.values())]
        if not shared:
            return {}
        model = [np.array([self.mean_answer(name, q) for name in rows]) for q in shared]
        people = [np.array([self.reference(rows[name][q]) for name in rows]) for q in shared]
        positions = [q.positions if not q.refusals else None for q in (self.questions[one] for one in shared)]
        found = population_fidelity_score(model, people, positions=positions)
        return {name: float(getattr(found, name)) for name in ("score", "accuracy", "adaptability", "structure")}

    def classification(self) -> dict[str, Any]:
        """Return accuracy, balanced accuracy and macro-F1, with all classes, and without a last class "either"."""
        if not self._same_options():
            return {}
        labels = next(iter(self.questions.values())).options
        rows = [(name, row) for name, mine in self.units.items() for row in mine]
        actual = [labels[int(self.reference(row).argmax())] for _, row in rows]
        predicted = [labels[int(self.mean_answer(name, row.question_id).argmax())] for name, row in rows]
        whole = classification_scores(predicted, actual, labels=labels)
        result: dict[str, Any] = {"labels": list(labels)}
        numbers = ("accuracy", "balanced_accuracy", "macro_f1", "n")
        result["all"] = {name: float(getattr(whole, name)) for name in numbers}
        result["confusion"] = whole.confusion[:, :-1].tolist()
        if len(labels) == 3 and labels[-1].casefold() == "either":
            two = classification_scores(predicted, actual, labels=labels, drop=labels[-1])
            result["binary"] = {name: float(getattr(two, name)) for name in (*numbers, "n_dropped")}
        return result

    def _same_options(self) -> bool:
        return len({question.options for question in self.questions.values()}) == 1


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


def regret_intervals(each: np.ndarray, own: Sequence[int], clusters: Sequence[str], /) -> list[list[float] | None]:
    """Return for each group the paired interval of what its best steering has over its own; ``None`` if that is best.

    Parameters
    ----------
    each : ndarray, shape (n_groups, n_steerings, n_questions)
        Scores, higher is better.
    own : sequence of int, shape (n_groups,)
        Which steering is the group's own.
    clusters : sequence of str, shape (n_questions,)
        What makes questions dependent.
    """
    result: list[list[float] | None] = []
    for scores, place in zip(each, own, strict=True):
        best = int(scores.mean(axis=1).argmax())
        interval = None
        if scores[best].mean() > scores[place].mean() and len(set(clusters)) > 1:
            found = compare_paired(scores[best], scores[place], clusters=clusters)
            interval = [found.low, found.high] if math.isfinite(found.low) and math.isfinite(found.high) else None
        result.append(interval)
    return result


def lost_groups(tables: Iterable[Mapping[str, Any]], /) -> Iterator[str]:
    """Yield for each category which groups another steering fits better than their own, beyond chance."""
    for family in tables:
        lost = [
            f"{name} (better: {family['attributes'][int(np.argmax(row))]})"
            for name, row, ends in zip(family["groups"], family["scores"], family["regret_interval"], strict=True)
            if ends is not None and ends[0] > 0
        ]
        if lost:
            yield f"another steering fits better than their own: {', '.join(lost[:4])}"


def steered_role(attribute: Attribute, /) -> str:
    """Return the name under which a run finds the model that is steered to an attribute."""
    return f"{STEERED}{json.dumps([attribute.name, attribute.model], ensure_ascii=False)}"


def _kept(question: Question) -> list[int]:
    return [index for index in range(len(question.options)) if index not in question.refusals]


def _substantive(question: Question, probabilities: Sequence[float]) -> np.ndarray:
    """Return a distribution without the refusals that are kept apart."""
    values = np.asarray(probabilities, dtype=np.float64)
    if not question.refusals or len(values) != len(question.options):
        return values
    inside = values[_kept(question)]
    if inside.sum() <= 0.0:
        raise DatasetError(
            f"Question {question.question_id!r}: everybody refused, so that no answer is left to compare. "
            "Use refusals='keep' to compare the refusals too."
        )
    return np.asarray(inside / inside.sum())


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
