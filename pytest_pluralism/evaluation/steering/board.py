"""The scores of every side of a steering evaluation on every answer, and the checks that they give together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.metrics.chance import shuffle_control
from pytest_pluralism.core.metrics.classification import classification_scores
from pytest_pluralism.core.metrics.distributional import (
    entropy,
    jensen_shannon_distance,
    mode_agreement,
    wasserstein_distance,
)
from pytest_pluralism.core.metrics.fidelity import population_fidelity_score
from pytest_pluralism.core.metrics.steerability import goal_space_steering, prompt_steerability_index
from pytest_pluralism.core.metrics.steerable import best_of_contexts
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import (
    AnswerDistribution,
    Question,
    UnitScore,
)
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.steering.words import PLACEBOS, UNRELATED
from pytest_pluralism.evaluation.steering.families import Confusion, confusion_table
from pytest_pluralism.evaluation.steering.settings import (
    PLACEBO,
    UNSTEERED,
    Side,
    SteeringSettings,
    Unrelated,
)
from pytest_pluralism.evaluation.surveys.answered import ModelDistribution, kept_options, over_kept

__all__ = ["Board"]

#: The score of answers against those of people; the last axis of both is the option.
Scored = Callable[[FloatArray, FloatArray], "float | FloatArray"]

#: Up to this many options every permutation of an answer is scored; beyond, some are drawn.
MOST_PERMUTED = 4
DRAWN_ORDERS = 24


class Board:
    """The scores of every side on every answer, and what they say together.

    Parameters
    ----------
    steering : SteeringSet
        The questions and how people answer them.
    settings : SteeringSettings
        How answers are scored.
    units : mapping of str to sequence of AnswerDistribution
        For each attribute the answers that it is compared with.
    found : mapping of (side, context) to mapping of str to ModelDistribution
        How the model answers each question.
    is_alone : bool
        Whether one attribute is evaluated rather than all.
    ties : {"share", "first"}
        How several modes count; see :func:`~pytest_pluralism.core.metrics.mode_agreement`.
    """

    def __init__(
        self,
        steering: SteeringSet,
        settings: SteeringSettings,
        /,
        *,
        units: Mapping[str, Sequence[AnswerDistribution]],
        found: Mapping[tuple[Side, str], Mapping[str, ModelDistribution]],
        is_alone: bool,
        ties: str,
    ) -> None:
        self.steering = steering
        self.settings = settings
        self.units = units
        self.found = found
        self.is_alone = is_alone
        self.ties = ties
        self.questions = {question.question_id: question for question in self.steering.survey.questions}
        self._matrices: dict[tuple[Side, tuple[tuple[str, str], ...]], FloatArray] = {}
        self._common: int | None = None

    # ------------------------------------------------------------------------------------------- one answer

    def has(self, side: Side) -> bool:
        """Say whether a side was asked."""
        return any(name == side for name, _ in self.found)

    def contexts(self, side: Side) -> list[str]:
        """Return the contexts of a side."""
        return [context for name, context in self.found if name == side]

    def reference(self, row: AnswerDistribution) -> FloatArray:
        """Return how people answer, without the refusals that are kept apart."""
        return _substantive(self.questions[row.question_id], row.probabilities)

    def answer(self, side: Side, context: str, question_id: str) -> FloatArray:
        """Return how the model answers, without the refusals that are kept apart."""
        found = self.found[side, context][question_id].probabilities
        question = self.questions.get(question_id)
        return np.asarray(found) if question is None else _substantive(question, found)

    def mean_answer(self, side: Side, question_id: str) -> FloatArray:
        """Return how the model answers in the mean over contexts."""
        each = [self.answer(side, context, question_id) for context in self.contexts(side)]
        return np.asarray(np.mean(each, axis=0))

    def even(self, row: AnswerDistribution) -> FloatArray:
        """Return the answer that prefers nothing."""
        n_options = len(self.reference(row))
        return np.full(n_options, 1.0 / n_options)

    def commonest(self, row: AnswerDistribution) -> FloatArray:
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

    def blind(self, row: AnswerDistribution, name: str, below: str | None) -> dict[str, float]:
        """Return the scores of answers that ignore the question: even, shuffled, always the first or last option.

        Parameters
        ----------
        row : AnswerDistribution
            The answers of the people.
        name : str
            The attribute, whose answers are shuffled.
        below : str or None
            The side that the score must exceed, which is then answered blindly too.
        """
        even = self.even(row)
        always = np.eye(len(even))
        answers = {"uniform": even, "first": always[0], "last": always[-1]}
        if below is not None:
            # The same answer from every side gains nothing.
            found = dict.fromkeys(answers, 0.0)
            lower = _sides_of(below)
            beside = [self.shuffled(row, one) for one in lower]
            return {**found, "shuffle": self.shuffled(row, name) - float(np.mean(beside))}
        return {**{key: self.score(row, one) for key, one in answers.items()}, "shuffle": self.shuffled(row, name)}

    def shuffled(self, row: AnswerDistribution, side: Side) -> float:
        """Return the mean score of the answers of a side, permuted over the options."""
        ours, people = self.mean_answer(side, row.question_id), self.reference(row)
        method = "exact" if len(people) <= MOST_PERMUTED else "monte_carlo"
        found = shuffle_control(ours, people, measure=self._measure(row), method=method, n_draws=DRAWN_ORDERS)
        return float(found)

    def knows_the_answer(self) -> bool:
        """Return whether :meth:`commonest` is right by definition, so that its score says nothing."""
        if self.steering.kind == "choice":
            return not self._same_options()
        return self.settings.score == "mode"

    def score(self, row: AnswerDistribution, answer: FloatArray) -> float:
        """Return how faithful an answer is."""
        return float(self._measure(row)(answer, self.reference(row)))

    def _measure(self, row: AnswerDistribution) -> Scored:
        """Return the score of answers (last axis: options) against those of people."""
        if self.settings.score == "js":
            return lambda ours, theirs: 1.0 - jensen_shannon_distance(ours, theirs)
        if self.settings.score == "wasserstein":
            places = self.places(row)
            length = float(places.max() - places.min())
            if length <= 0:
                raise DatasetError(f"The options of {row.question_id!r} have one place, so no distance exists.")
            return lambda ours, theirs: 1.0 - wasserstein_distance(ours, theirs, positions=places) / length
        if self.settings.score == "mode":
            return lambda ours, theirs: mode_agreement(ours, theirs, ties=self.ties)
        return lambda ours, theirs: np.asarray((ours * theirs).sum(axis=-1))

    # ------------------------------------------------------------------------------------------ many answers

    def matrix(self, side: Side, rows: Sequence[AnswerDistribution]) -> FloatArray:
        """Return the scores of one side, shape (n_contexts, n_rows)."""
        key = (side, tuple((row.population, row.question_id) for row in rows))
        if key not in self._matrices:
            self._matrices[key] = np.array(
                [
                    [self.score(row, self.answer(side, context, row.question_id)) for row in rows]
                    for context in self.contexts(side)
                ]
            )
        return self._matrices[key]

    def of(self, side: Side, rows: Sequence[AnswerDistribution]) -> FloatArray:
        """Return the scores of one side over its contexts, shape (n_rows,)."""
        scores = self.matrix(side, rows)
        if self.settings.across == "best_per_question":
            return np.asarray(scores.max(axis=0))
        if self.settings.across == "best_per_group":
            return np.asarray(scores[int(scores.mean(axis=1).argmax())])
        return np.asarray(scores.mean(axis=0))

    def of_placebo(self, rows: Sequence[AnswerDistribution]) -> FloatArray:
        """Return the mean scores of the placebos, shape (n_rows,)."""
        return np.asarray(np.mean([self.of(placebo.name, rows) for placebo in PLACEBOS], axis=0))

    def unit(self, name: str, row: AnswerDistribution, value: float, details: Mapping[str, object]) -> UnitScore:
        """Return the unit of one attribute and question."""
        question = self.questions[row.question_id]
        ours, theirs = self.mean_answer(name, row.question_id), self.reference(row)
        given = [self.found[name, context][row.question_id] for context in self.contexts(name)]
        return UnitScore(
            unit_id=row.question_id if self.is_alone else f"{name}: {row.question_id}",
            cluster=question.cluster or question.question_id,
            value=value,
            population=name if self.is_alone else None,
            text=question.text,
            options=tuple(question.options[index] for index in kept_options(question)),
            model_probabilities=tuple(float(p) for p in ours),
            reference_probabilities=tuple(float(p) for p in theirs),
            option_mass=self._option_mass(name, row.question_id),
            n_respondents=row.n_respondents,
            details={
                "top_token": given[0].top_token,
                "model_entropy": float(entropy(ours)),
                "reference_entropy": float(entropy(theirs)),
                **details,
            },
        )

    def _option_mass(self, name: str, question_id: str) -> float | None:
        """Return the least option mass behind a score: of any context, and of any side that a gain is taken over.

        A context that is not read may be the best one by chance, and a gain over answers that are not read is not one.
        """
        sides: list[Side] = [name]
        if self.settings.over is not None:
            sides += _sides_of(self.settings.over)
        return self._least_mass(sides, question_id)

    def reference_masses(self, names: Iterable[str], question_id: str) -> dict[str, float]:
        """Return the least option mass behind each side that a promise may name; sides that have none are left out."""
        found = {name: self._least_mass(_sides_of(name), question_id) for name in names}
        return {name: mass for name, mass in found.items() if mass is not None}

    def _least_mass(self, sides: Sequence[Side], question_id: str) -> float | None:
        found = [self.found[side, context] for side in sides for context in self.contexts(side)]
        masses = [one[question_id].option_mass for one in found if question_id in one]
        return min((mass for mass in masses if mass is not None), default=None)

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

    def confusions(self) -> list[Confusion]:
        """Return for each category how every steering does for every group: rows groups, columns steerings."""
        if "family" not in self.settings.checks:
            return []
        result: list[Confusion] = []
        seen = set()
        for name in self.units:
            attribute = self.steering.attribute(name)
            family = [one for one in self.steering.family(attribute) if self.has(one.name)]
            if attribute.category in seen or len(family) < 2:
                continue
            seen.add(attribute.category)
            groups = [attribute] if self.is_alone else family
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
            clusters = [self.questions[q].cluster or q for q in shared]
            table = confusion_table(attribute.category, groups, family, each, clusters)
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

    def movement(self) -> dict[str, object]:
        """Return how far the answers are moved: by the attributes, by placebos, and on questions of something else.

        A length is the mean Jensen-Shannon distance from the unsteered answers. Along the way from those answers to the
        people's, ``progress`` 1 is exact, 0 nothing; what is off that way is the share of side effects.
        """
        if not self.has(UNSTEERED):
            return {}

        def moved(side: Side, ids: Iterable[str]) -> list[float]:
            start = Unrelated(UNSTEERED) if isinstance(side, Unrelated) else UNSTEERED
            return [
                float(jensen_shannon_distance(self.mean_answer(side, q), self.mean_answer(start, q)))
                for q in ids
            ]  # fmt: skip

        ids = {name: [row.question_id for row in rows] for name, rows in self.units.items()}
        result: dict[str, object] = {"steered": float(np.mean([m for name in ids for m in moved(name, ids[name])]))}
        if self.has(PLACEBOS[0].name):
            result["placebo"] = float(
                np.mean([m for one in PLACEBOS for name in ids for m in moved(one.name, ids[name])])
            )
        asked = [Unrelated(name) for name in ids if self.has(Unrelated(name))]
        if asked and self.has(Unrelated(UNSTEERED)):
            others = [question.question_id for question in UNRELATED]
            result["unrelated"] = float(np.mean([m for side in asked for m in moved(side, others)]))
        if self.steering.kind == "distribution":
            rows = [(name, row) for name, mine in self.units.items() for row in mine]
            source = np.concatenate([self.mean_answer(UNSTEERED, row.question_id) for _, row in rows])
            output = np.concatenate([self.mean_answer(name, row.question_id) for name, row in rows])
            goal = np.concatenate([self.reference(row) for _, row in rows])
            if not np.array_equal(source, goal):
                way = goal_space_steering(source, output, goal)
                for name in ("progress", "overshoot", "undershoot", "side_effect_share"):
                    result[name] = float(getattr(way, name))
        return result

    def parted(self) -> Iterator[tuple[str, str, list[AnswerDistribution], dict[str, AnswerDistribution]]]:
        """Yield each attribute and its opposite, with the answers to questions that both were asked; a pair once."""
        seen = set()
        for name in self.units:
            opposite = self.steering.attribute(name).opposite
            if opposite is None or opposite not in self.steering.names or not self.has(opposite):
                continue
            if frozenset((name, opposite)) in seen:
                continue
            theirs = {row.question_id: row for row in self._rows(self.steering.attribute(opposite))}
            mine = [row for row in self.units[name] if row.question_id in theirs]
            mine = [row for row in mine if row.question_id in self.found[opposite, self.contexts(opposite)[0]]]
            if mine:
                seen.add(frozenset((name, opposite)))
                yield name, opposite, mine, theirs

    def spread(self, row: AnswerDistribution, answer: FloatArray) -> float:
        """Return the variance of an answer along the places of its options."""
        places = self.places(row)
        mean = float(answer @ places)
        return float(answer @ (places - mean) ** 2)

    def places(self, row: AnswerDistribution) -> FloatArray:
        """Return the places of the options along their scale."""
        question = self.questions[row.question_id]
        kept = kept_options(question)
        places = np.arange(len(kept)) if question.positions is None else np.asarray(question.positions)[kept]
        return np.asarray(places, dtype=np.float64)

    def opposites(self) -> list[dict[str, object]]:
        """Return for each attribute and its opposite how far steering parts the answers, where the people are 1 apart.

        Above 1 steering exaggerates the difference between the groups; below 0 it turns it round.
        """
        result: list[dict[str, object]] = []
        for name, opposite, mine, theirs in self.parted():
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

    def _steerability_index(self, name: str, rows: Sequence[AnswerDistribution], people: Sequence[FloatArray]) -> float:
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
        # Only a scale that the data declare says what a spread along the options is.
        ordered = [(name, row) for name, row in rows if self.questions[row.question_id].positions is not None]
        spread = sum(self.spread(row, self.reference(row)) for _, row in ordered)
        if spread > 0:
            ours = sum(self.spread(row, self.mean_answer(name, row.question_id)) for name, row in ordered)
            result["spread_ratio"] = ours / spread
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

    def classification(self) -> dict[str, object]:
        """Return accuracy, balanced accuracy and macro-F1, with all classes, and without a last class "either"."""
        if not self._same_options():
            return {}
        labels = next(iter(self.questions.values())).options
        rows = [(name, row) for name, mine in self.units.items() for row in mine]
        actual = [labels[int(self.reference(row).argmax())] for _, row in rows]
        predicted = [labels[int(self.mean_answer(name, row.question_id).argmax())] for name, row in rows]
        whole = classification_scores(predicted, actual, labels=labels)
        result: dict[str, object] = {"labels": list(labels)}
        numbers = ("accuracy", "balanced_accuracy", "macro_f1", "n")
        result["all"] = {name: float(getattr(whole, name)) for name in numbers}
        result["confusion"] = whole.confusion[:, :-1].tolist()
        if len(labels) == 3 and labels[-1].casefold() == "either":
            two = classification_scores(predicted, actual, labels=labels, drop=labels[-1])
            result["binary"] = {name: float(getattr(two, name)) for name in (*numbers, "n_dropped")}
        return result

    def _same_options(self) -> bool:
        return len({question.options for question in self.questions.values()}) == 1


def _sides_of(name: Side) -> list[Side]:
    """Return the sides that a name stands for: placebos are several."""
    return [placebo.name for placebo in PLACEBOS] if name == PLACEBO else [name]


def _substantive(question: Question, probabilities: Sequence[float]) -> FloatArray:
    """Return a distribution without the refusals that are kept apart."""
    values: FloatArray = over_kept(question, probabilities, kept_options(question))[0]
    return values
