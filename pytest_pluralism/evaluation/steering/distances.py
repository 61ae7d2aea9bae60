"""The marker ``steered_distance``: how far a model that is steered to a group is from that group.

Distributional and steerable pluralism together: the model is steered to every group of a family, and its distributions
of answers are compared with those of every group.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.core.estimation.at_level import as_difference
from pytest_pluralism.core.estimation.comparison import compare_paired
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.estimation.left_open import with_bounds
from pytest_pluralism.core.estimation.selection import compare_best
from pytest_pluralism.core.finite import finite_or_none, is_number
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import AnswerDistribution, Estimate, Scores, UnitScore, Witness
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.records.scores import Guard
from pytest_pluralism.core.words import ANSWER_FACTS, UNIT_COLUMNS
from pytest_pluralism.datasets.steering.file import SteeringSet
from pytest_pluralism.datasets.steering.templates import Attribute
from pytest_pluralism.datasets.surveys.refusals import check_refusal_policy
from pytest_pluralism.evaluation.asking.meanings import Meanings, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Rounds
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.steering.board import Board
from pytest_pluralism.evaluation.steering.choices import SteerableEvaluation
from pytest_pluralism.evaluation.steering.families import confusion_table, lost_groups
from pytest_pluralism.evaluation.steering.left_open import LeftOpen
from pytest_pluralism.evaluation.steering.planner import load_for
from pytest_pluralism.evaluation.steering.settings import UNSTEERED, SteeringSettings
from pytest_pluralism.evaluation.surveys.answered import drawn_of
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.evaluation.surveys.left_open import open_words

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "DistanceBounds", "SteeredDistances", "plan"]

MEASURE = Measure(
    "steered_distance",
    "lower",
    "steered distance",
    "how far a model that is steered to a group is from how that group answers (JS distance, base 2)",
    lowest=0.0,
    highest=1.0,
    data="steering set",
    references=(
        Term("unsteered", "not steered"),
        Term("elsewhere", "steered to the others"),
        Term("uniform", "uniform"),
    ),
    beside="unsteered",
    comparisons=(Term("unsteered", "unsteered"), Term("elsewhere", "elsewhere"), Term("uniform", "uniform")),
    others=Noun("group", "groups"),
    columns=(Term("unsteered", "Not steered"), Term("elsewhere", "Steered to the others"), *UNIT_COLUMNS),
    facts=ANSWER_FACTS,
    figures=(
        Term("diagonal_dominance", "diagonal dominance"),
        Term("best_alone", "best alone"),
        Term("gap.value", "gap"),
    ),
    view="steering",
)

#: Keywords that say how the model is asked; each overrides the setting of the same name.
ASKING = ("template", "option_order", "repetitions", "examples", "seed")

KEYWORDS = ("population", "category", "context", "least_margin", "most_gap", "refusals", *ASKING)

DATASET = "the name of a survey, or a steering file"
EXAMPLE = "gss"

#: The answers that are the same option for every question, by the place of the option.
_CONSTANT = {"first": 0, "last": -1}

#: Steering that changes nothing fits no group better than the others do; a difference of rounding is not a change.
NOTHING = 2e-5


@dataclass(frozen=True)
class DistanceBounds:
    """Bounds that must hold beside a promise about the distance.

    Attributes
    ----------
    least_margin : float or None
        The mean over the groups of how much further the other steerings are from a group than its own is more than
        this. With 0, the default of the marker, a model that ignores its steering does not pass.
    most_gap : float or None
        No group is further from its own steering than another one by more than this.
    """

    least_margin: float | None = 0.0
    most_gap: float | None = None

    def __post_init__(self) -> None:
        for name in ("least_margin", "most_gap"):
            value = getattr(self, name)
            if value is not None and (not is_number(value) or not 0.0 <= value < 1.0):
                raise invalid_parameter(name, "steered_distance", "a number in [0, 1), or None", repr(value)[:60])


@dataclass(frozen=True)
class SteeredDistances:
    """The distances of every group from the model steered to every group.

    Attributes
    ----------
    inner : SteerableEvaluation
        The groups of one family, and how the model is steered to them.
    group : str or None
        The group whose distance is the value; ``None`` for the mean over all.
    bounds : DistanceBounds
        Bounds that must hold beside the value.
    """

    inner: SteerableEvaluation
    group: str | None = None
    bounds: DistanceBounds = field(default_factory=DistanceBounds)
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def rounds(self) -> Rounds:
        """Ask the model steered to every group and not steered, and compare."""
        found = yield from self.inner.answers()
        board = Board(
            self.inner.steering,
            self.inner.settings,
            units=self.inner.units(),
            found=found,
            is_alone=False,
            ties="share",
        )
        scores = self._scores(board)
        return dataclasses.replace(scores, drawn=drawn_of(one for side in found.values() for one in side.values()))

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for."""
        return self.inner.meanings()

    def names(self) -> NamedRequests:
        """Yield what is asked with the names of its questions, and the attribute that it steers to."""
        yield from self.inner.names()

    def shared(self) -> list[str]:
        """Return the questions that every group answered."""
        units = self.inner.units()
        answered = [{row.question_id for row in rows} for rows in units.values()]
        return [
            q.question_id for q in self.inner.steering.survey.questions if all(q.question_id in a for a in answered)
        ]

    def _scores(self, board: Board) -> Scores:
        family = list(self.inner.targets())
        names = [one.name for one in family]
        shared = self.shared()
        rows = {name: {row.question_id: row for row in mine} for name, mine in board.units.items()}
        asked = {name: [rows[name][q] for q in shared] for name in names}
        # Axes: groups, steerings, questions.
        each = 1.0 - np.array([[board.of(side, asked[group]) for side in names] for group in names])
        plain = 1.0 - np.array([board.of(UNSTEERED, asked[group]) for group in names])
        own = np.einsum("ggq->gq", each)
        elsewhere = (each.sum(axis=1) - own) / (len(names) - 1)
        clusters = [board.questions[q].cluster or q for q in shared]
        place = None if self.group is None else names.index(self.group)
        left = LeftOpen(board)
        open_ = _opened(left, names, asked, middles=(own, elsewhere, plain)) if left.is_open else None
        measured = _Measured(family, each, own, elsewhere, plain, clusters, open_)
        table = confusion_table(family[0].category, family, family, 1.0 - each, clusters)
        table["unsteered"] = (1.0 - plain.mean(axis=1)).tolist()
        gap = measured.gap()
        worst = names[int(own.mean(axis=1).argmax())]
        units = tuple(self._unit(board, q, asked, number, place, measured) for number, q in enumerate(shared))
        return Scores(
            "steered_distance",
            units,
            references={
                "unsteered": float(_of(plain, place).mean()),
                "elsewhere": float(_of(elsewhere, place).mean()),
                "uniform": float(np.mean([_even(board, row) for row in _rows(asked, names, place)])),
            },
            other_populations={}
            if place is None
            else {name: float(each[place, other].mean()) for other, name in enumerate(names) if other != place},
            warnings=(*open_words(units), *self._said(board, measured, table)),
            witness=Witness(worst, float(own.mean(axis=1).max()), "the group that its own steering fits worst")
            if place is None
            else None,
            details={
                "kind": "group",
                "groups": measured.by_group(),
                "matrix": measured.matrix(),
                "diagonal_dominance": table["diagonal_dominance"],
                "best_alone": table["best_alone"],
                "gap": gap,
                "margin": _json(measured.margin(place)),
                "confusion": [table],
            },
            guards=tuple(measured.guards(self.bounds, place)),
        )

    def _unit(
        self,
        board: Board,
        question_id: str,
        asked: Mapping[str, Sequence[AnswerDistribution]],
        number: int,
        place: int | None,
        measured: _Measured,
    ) -> UnitScore:
        """Return one question: of one group with its answers, of all groups the mean distance."""
        value = float(_of(measured.own, place)[number])
        beside = {
            "unsteered": float(_of(measured.plain, place)[number]),
            "elsewhere": float(_of(measured.elsewhere, place)[number]),
        }
        names = [one.name for one in measured.family]
        shown = names[0 if place is None else place]
        unit = board.unit(shown, asked[shown][number], value, beside)
        rows = [asked[name][number] for name in (names if place is None else [shown])]
        blind = {name: float(np.mean([_constant(board, row, at) for row in rows])) for name, at in _CONSTANT.items()}
        blind["uniform"] = float(np.mean([_even(board, row) for row in rows]))
        # A steering under which the model does not answer is far from everybody, and would make the others look near.
        read = [board.unit(name, asked[name][number], value, {}).option_mass for name in names]
        if place is None:
            # The answers of one group alone would be taken for those of all.
            unit = dataclasses.replace(unit, model_probabilities=(), reference_probabilities=(), n_respondents=None)
        return dataclasses.replace(
            unit,
            unit_id=question_id,
            population=None if place is None else shown,
            option_mass=min((one for one in read if one is not None), default=None),
            references={**beside, **blind},
            bounds=measured.ends("own", place, number),
            reference_bounds={
                name: (ends[0], ends[1]) for name in beside if (ends := measured.ends(name, place, number))
            },
        )

    def _said(self, board: Board, measured: _Measured, table: Any) -> Iterator[str]:
        """Yield what a reader must know."""
        yield from lost_groups([table])
        margin = measured.margin(None)
        if margin.high < 0:
            yield f"other steerings fit the groups better than their own: margin {margin}"
        left = {q for mine in board.units.values() for q in (row.question_id for row in mine)} - set(self.shared())
        if left:
            yield f"{len(left)} questions that not every group answered are left out of the comparison"


@dataclass(frozen=True)
class _Measured:
    """The distances: ``each`` of group by steering by question, and what is made of it by group and question."""

    family: Sequence[Attribute]
    each: FloatArray
    own: FloatArray
    elsewhere: FloatArray
    plain: FloatArray
    clusters: Sequence[str]
    #: The bounds of ``own``, ``elsewhere`` and ``unsteered``, shape (2, groups, questions), where some are open.
    opened: Mapping[str, FloatArray] | None = None

    def ends(self, name: str, place: int | None, number: int) -> tuple[float, ...]:
        """Return the least and the most of one number at one question; empty where it is known."""
        if self.opened is None:
            return ()
        low, high = (float(_of(side, place)[number]) for side in self.opened[name])
        return low, high

    def _carried(
        self, found: Estimate, better: tuple[str, int | None], worse: tuple[str, int | None], middle: FloatArray
    ) -> Estimate:
        """Return the estimate of a difference, better less worse, with what is left open of both."""
        if self.opened is None:
            return found
        (least, most), (lowest, highest) = (
            [_of(side, place) for side in self.opened[name]] for name, place in (better, worse)
        )
        ours, theirs = (_of(self._middles[name], place) for name, place in (better, worse))
        low, high = middle - (ours - least) - (highest - theirs), middle + (most - ours) + (theirs - lowest)
        return with_bounds(found, list(zip(low.tolist(), high.tolist(), strict=True)))

    @property
    def _middles(self) -> Mapping[str, FloatArray]:
        return {"own": self.own, "elsewhere": self.elsewhere, "unsteered": self.plain}

    def margin(self, place: int | None) -> Estimate:
        """Return how much further the other steerings are than a group's own."""
        ours, others = _of(self.own, place), _of(self.elsewhere, place)
        found = compare_paired(others, ours, clusters=self.clusters)
        return as_difference(self._carried(found, ("elsewhere", place), ("own", place), others - ours))

    def by_group(self) -> list[dict[str, object]]:
        """Return each group's distance from its own steering with its interval."""
        rows = []
        for one, values in zip(self.family, self.own, strict=True):
            found = estimate_mean(values, clusters=self.clusters)
            rows.append({"group": one.name, **_json(found), "n": found.n, "n_clusters": found.n_clusters})
        return rows

    def matrix(self) -> dict[str, object]:
        """Return the distance of each group (rows) from the model steered to each (columns), with intervals."""
        cells = [[estimate_mean(cell, clusters=self.clusters) for cell in row] for row in self.each]
        ends = {name: [[getattr(one, name) for one in row] for row in cells] for name in ("value", "low", "high")}
        finite = {name: [[finite_or_none(one) for one in row] for row in rows] for name, rows in ends.items()}
        return {"groups": [one.name for one in self.family], **finite}

    def gap(self) -> dict[str, object]:
        """Return by how much the group that is served worst is further than the one that is served best.

        The interval allows for having looked for both among all pairs of groups.
        """
        means = self.own.mean(axis=1)
        best, n = int(means.argmin()), len(means)
        worst, found = compare_best(self.own, best, clusters=self.clusters, n_looks=max(1, n // 2))
        return {"worst": self.family[worst].name, "best": self.family[best].name, **_json(found)}

    def guards(self, bounds: DistanceBounds, place: int | None) -> Iterator[Guard]:
        """Yield what must hold beside the value."""
        if bounds.least_margin is not None:
            own, others = _of(self.own, place), _of(self.elsewhere, place)
            least = max(bounds.least_margin, NOTHING)
            beyond = compare_paired(others, own + least, clusters=self.clusters)
            beyond = self._carried(beyond, ("elsewhere", place), ("own", place), others - own - least)
            whose = "the groups than their own" if place is None else f"{self.family[place].name} than its own"
            margin = f"{self.margin(place)}, which must be more than {bounds.least_margin:g}"
            told = f"the other steerings are further from {whose} by {margin}"
            yield Guard("the margin", as_difference(beyond), told=told)
        if bounds.most_gap is not None:
            for one, other in itertools.permutations(range(len(self.family)), 2):
                # Groups that are served alike in every question have no gap, however few the questions are.
                room = compare_paired(self.own[other], self.own[one], clusters=self.clusters)
                room = self._carried(room, ("own", other), ("own", one), self.own[other] - self.own[one])
                names = f"of {self.family[other].name} less that of {self.family[one].name}"
                yield Guard(f"the distance {names}", as_difference(room), least=-bounds.most_gap)


def _opened(
    left: LeftOpen,
    names: Sequence[str],
    asked: Mapping[str, Sequence[AnswerDistribution]],
    *,
    middles: tuple[FloatArray, FloatArray, FloatArray],
) -> dict[str, FloatArray]:
    """Return the bounds of the distances of each group from its own steering, the others and none."""
    # Axes: least and most, groups, steerings, questions.
    each = 1.0 - np.array([[left.of(side, asked[group])[::-1] for side in names] for group in names])
    each = each.transpose(2, 0, 1, 3)
    own = np.einsum("bggq->bgq", each)
    elsewhere = (each.sum(axis=2) - own) / (len(names) - 1)
    plain = 1.0 - np.array([left.of(UNSTEERED, asked[group])[::-1] for group in names]).transpose(1, 0, 2)
    found = dict(zip(("own", "elsewhere", "unsteered"), (own, elsewhere, plain), strict=True))
    return {
        name: np.array([np.minimum(ends[0], middle), np.maximum(ends[1], middle)])
        for (name, ends), middle in zip(found.items(), middles, strict=True)
    }


def _of(values: FloatArray, place: int | None) -> FloatArray:
    """Return the values of one group by question, or their mean over the groups."""
    return np.asarray(values.mean(axis=0) if place is None else values[place])


def _rows(
    asked: Mapping[str, Sequence[AnswerDistribution]], names: Sequence[str], place: int | None
) -> list[AnswerDistribution]:
    return [row for name in (names if place is None else [names[place]]) for row in asked[name]]


def _even(board: Board, row: AnswerDistribution) -> float:
    return 1.0 - board.score(row, board.even(row))


def _constant(board: Board, row: AnswerDistribution, at: int) -> float:
    """Return the distance of the people from one option, by its place."""
    return 1.0 - board.score(row, np.eye(len(board.even(row)))[at])


def _json(found: Estimate) -> dict[str, object]:
    ends = {name: float(getattr(found, name)) for name in ("value", "low", "high")}
    return {name: finite_or_none(value) for name, value in ends.items()}


# ---------------------------------------------------------------------------------------------------------- planning


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate over all groups of a family, or one for each group that ``population`` names.

    Raises
    ------
    PluralismError
        The steering set, the family, a group or a bound is wrong, or a question cannot be asked.
    """
    planning.refuse_protocols()
    policy = check_refusal_policy(planning.choose("refusals"), function=planning.measure.name)
    refusals: str | list[str] = policy if isinstance(policy, str) else list(policy)
    asking = AskSettings(**{name: planning.choose(name) for name in ASKING})
    steering = load_for(planning, refusals)
    if steering.kind != "distribution":
        raise InvalidParameterError(
            f"{steering.name} does not say how the people of a group answer, so that there is no distance from them. "
            "Use steering_faithfulness."
        )
    wanted = planning.keywords.get("population")
    family = _family(steering, planning.keywords.get("category"), wanted)
    steering = dataclasses.replace(steering, attributes=tuple(family))
    context = planning.keywords.get("context", "instruction")
    contexts = (context,) if isinstance(context, str) else tuple(context) if isinstance(context, list) else context
    settings = SteeringSettings(contexts=contexts, score="js", checks=(UNSTEERED, "family"))
    inner = SteerableEvaluation(steering, asking, settings)
    inner.try_contexts()
    bounds = DistanceBounds(planning.keywords.get("least_margin", 0.0), planning.keywords.get("most_gap"))
    questions = SteeredDistances(inner).shared()
    if len(questions) < 2:
        raise InvalidParameterError(
            f"{steering.name}: the groups {', '.join(one.name for one in family)} share {len(questions)} questions, "
            "and an interval needs at least two. Name groups that answered the same."
        )
    names = [one.name for one in family]
    if bounds.least_margin is not None and _answer_alike(steering, questions):
        raise InvalidParameterError(
            f"{steering.name}: the groups {', '.join(names)} answer every question that they share alike, so that no "
            "steering fits one of them better than another. Name other groups, or write least_margin=None."
        )
    requests(dataclasses.replace(steering.survey, distributions=()), asking)
    chosen = [None] if wanted is None or isinstance(wanted, list) else names if wanted == "all" else [str(wanted)]
    return [
        planning.planned(
            SteeredDistances(inner, group, bounds),
            source={"name": steering.name, "sha256": steering.sha256, "source": steering.source},
            settings={
                **asking.as_json(),
                "refusals": refusals,
                "steering": settings.as_json(),
                "groups": names,
                "bounds": dataclasses.asdict(bounds),
            },
            population=group,
            n_units=len(questions),
        )
        for group in chosen
    ]


def _answer_alike(steering: SteeringSet, questions: Sequence[str]) -> bool:
    """Return whether all groups of a family answer every shared question by the same shares."""
    populations = {one.population for one in steering.attributes}
    shared, found = set(questions), dict[str, list[Sequence[float]]]()
    for row in steering.survey.distributions:
        if row.question_id in shared and row.population in populations:
            found.setdefault(row.question_id, []).append(row.probabilities)
    return all(np.allclose(rows, rows[0], rtol=0.0, atol=1e-9) for rows in found.values())


def _family(steering: SteeringSet, category: object, wanted: object) -> list[Attribute]:
    """Return the groups that the model is steered to: the named ones, those of a category, or the only family."""
    known = set(steering.survey.populations)
    answered = [one for one in steering.attributes if one.population in known]
    if isinstance(wanted, (list, tuple)):
        for name in wanted:
            if name not in [one.name for one in answered]:
                raise InvalidParameterError(
                    unknown_name(f"group of {steering.name}", str(name), [o.name for o in answered])
                )
        found = [one for one in answered if one.name in wanted]
    else:
        categories = list(dict.fromkeys(one.category for one in answered))
        of_group = next((one.category for one in answered if one.name == wanted), None)
        if category is None and of_group is None and len([c for c in categories if c]) > 1:
            raise InvalidParameterError(
                f"{steering.name} has several kinds of groups. Name one with category=: "
                f"{', '.join(repr(one) for one in categories if one)}; or list the groups in population=."
            )
        if category is not None and category not in categories:
            raise InvalidParameterError(unknown_name(f"category of {steering.name}", str(category), categories))
        kind = category if category is not None else of_group if of_group is not None else None
        found = [one for one in answered if kind is None or one.category == kind]
        if kind is None and any(one.category for one in answered):
            found = [one for one in answered if one.category]
        if wanted not in (None, "all") and wanted not in [one.name for one in found]:
            raise InvalidParameterError(unknown_name(f"group of {steering.name}", str(wanted), [o.name for o in found]))
    if len(found) < 2:
        raise InvalidParameterError(
            f"steered_distance compares at least two groups, and {steering.name} has {len(found)} here. Name others."
        )
    return found
