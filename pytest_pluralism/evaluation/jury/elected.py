"""The marker ``jury_choice``: whether a model gives the responses that a jury would choose together.

Three rules need no utilities that can be compared between people: bridging (approval across viewpoints, as Community
Notes score it), Schulze's method (as the Habermas Machine ranks candidate statements), and the minimax winner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np
from scipy.sparse.csgraph import connected_components

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.estimation.left_open import Bounds, around
from pytest_pluralism.core.estimation.trust import CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE
from pytest_pluralism.core.metrics.voting import (
    maximal_lottery,
    pairwise_counts,
    pairwise_preferences,
    schulze,
)
from pytest_pluralism.core.parameters import FloatArray, IntArray
from pytest_pluralism.core.records import Scores, UnitScore, Witness
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import QUERIES
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.asking.meanings import Meanings, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.jury.evaluations import choice_survey
from pytest_pluralism.evaluation.jury.planner import panel_for
from pytest_pluralism.evaluation.jury.systems import bridging_of_responses
from pytest_pluralism.evaluation.jury.ties import TIES, worth_of_winners
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.surveys.answered import drawn_of, model_distributions
from pytest_pluralism.evaluation.surveys.asking import AskSettings, meanings_of, names_of, requests
from pytest_pluralism.evaluation.surveys.left_open import linear_bounds, open_words

__all__ = ["DATASET", "EXAMPLE", "KEYWORDS", "MEASURE", "RULES", "ChosenEvaluation", "ChosenSettings", "plan"]

MEASURE = Measure(
    "jury_choice",
    "higher",
    "jury choice",
    "how far a model gives the responses that a jury chooses together, by a rule that compares no utilities",
    unit=QUERIES,
    data="panel",
    people=Noun("juror", "jurors"),
    towards="for",
    references=(
        Term("uniform", "uniform"),
        Term("majority", "highest mean"),
        Term("best", "best possible"),
        Term("worst", "worst possible"),
    ),
    beside="uniform",
    comparisons=(Term("uniform", "uniform"), Term("majority", "majority")),
    has_nearest=False,
    columns=(Term("change", "Change"), Term("option_mass", "Option mass")),
    facts=(Term("chosen_by_jury", "chosen by the jury"), Term("given", "given most often")),
    figures=(Term("ties", "queries with several winners"),),
)

#: Keywords that say how the model is asked to choose; each overrides the setting of the same name.
ASKING = ("template", "option_order", "repetitions", "examples", "seed")

KEYWORDS = ("rule", "ties", "jury", "scale", "columns", "values", "leave_out_empty", *ASKING)

DATASET = "the name or file of a panel"
EXAMPLE = "example_town"

#: The rules, each with the range of its value and its words.
RULES: Mapping[str, tuple[float, float, str]] = {
    "bridging": (-np.inf, np.inf, "bridging score"),
    "schulze": (0.0, 1.0, "share of Schulze winners"),
    "minimax": (0.0, 0.5, "least share against any rival"),
}

#: How often the jurors are drawn again, for what another jury would say, by rule: each draw of bridging is a fit.
N_JURIES = {"bridging": 24, "schulze": 100, "minimax": 100}

#: One juror is not a jury.
FEWEST_JURORS = 2

#: Fewer jurors say too little of another jury: those who all agree would leave nothing open.
JURORS_OF_A_SAMPLE = CLUSTERS_NEEDED_FOR_A_CONSTANT_SHARE


@dataclass(frozen=True)
class ChosenSettings:
    """Settings of a jury that chooses.

    Attributes
    ----------
    rule : {"bridging", "schulze", "minimax"}
        The bridging score of the responses that are given; how often a Schulze winner is given; or the share of the
        jury that prefers what is given to its strongest rival, ties counting half, at most 1/2.
    ties : {"any", "random", "ballot"}
        Whether each of several Schulze winners counts as one, as the chance to be drawn among them, or as the chance
        to be put first by the ballots of jurors who are drawn.
    whole_jury : bool
        Whether the jurors are all there are; else the interval also holds what another jury would say.
    asking : AskSettings
        How the model is asked.
    """

    rule: str = "bridging"
    ties: str = "any"
    whole_jury: bool = False
    asking: AskSettings = field(default_factory=AskSettings)

    def __post_init__(self) -> None:
        for name, value, known in (("rule", self.rule, tuple(RULES)), ("ties", self.ties, TIES)):
            if not isinstance(value, str) or value not in known:
                raise invalid_parameter(name, "jury_choice", " or ".join(map(repr, known)), repr(value)[:60])

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values."""
        asking = self.asking.as_json()
        own = {name: value for name, value in asdict(self).items() if name != "asking"}
        return {**asking, **own}


@dataclass(frozen=True)
class ChosenEvaluation:
    """The recorded responses that a model gives, by what the jury chooses: one round of answers."""

    panel: Panel
    settings: ChosenSettings
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def rounds(self) -> Rounds:
        """Ask which response the model would give, and score it."""
        survey = choice_survey(self.panel)
        asked = requests(survey, self.settings.asking)
        answers = yield Round("answers", asked.prompts, prompts_each=self.settings.asking.repetitions)
        model = model_distributions(asked, answers)
        offered = self.offered()
        shares = {name: np.asarray(model[name].probabilities) for name in offered}
        by_query = _WORTH[self.settings.rule](self.panel, offered, np.arange(len(self.panel.jurors)), self.settings)
        found = self._scores(offered, by_query, shares, {name: model[name].option_mass for name in offered})
        if any(one.bounds for one in model.values()):
            found = self._left_open(found, by_query, {name: model[name].share_bounds for name in offered})
        return dataclasses.replace(found, drawn=drawn_of(model.values()))

    @staticmethod
    def _left_open(found: Scores, by_query: Mapping[str, _Worth], bounds: Mapping[str, Bounds]) -> Scores:
        """Return scores whose units have the bounds that the answers leave to them.

        Every rule gives the least of linear functions of the shares: the value of each option by itself, or against
        each rival.
        """
        units = []
        for unit in found.units:
            ends = by_query[unit.unit_id].ends(bounds[unit.unit_id])
            units.append(unit if ends is None else dataclasses.replace(unit, bounds=around(unit.value, ends)))
        return dataclasses.replace(found, units=tuple(units), warnings=(*open_words(units), *found.warnings))

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for."""
        asked = requests(choice_survey(self.panel), self.settings.asking)
        return meanings_of(asked, asked.prompts)

    def names(self) -> NamedRequests:
        """Yield the choices with the ids of their queries."""
        asked = requests(choice_survey(self.panel), self.settings.asking)
        return names_of(asked, asked.prompts)

    def offered(self) -> dict[str, list[int]]:
        """Return for each query that is asked the places of the responses that jurors judged."""
        judged = np.bincount(self.panel.vote_responses, minlength=len(self.panel.responses)) > 0
        found, place = {}, 0
        for query in self.panel.queries:
            here = [place + offset for offset in range(len(query.responses)) if judged[place + offset]]
            place += len(query.responses)
            if len(here) >= 2:
                found[query.query_id] = here
        return found

    def _scores(
        self,
        offered: Mapping[str, list[int]],
        by_query: Mapping[str, _Worth],
        shares: Mapping[str, FloatArray],
        masses: Mapping[str, float | None],
    ) -> Scores:
        n_asked = len(offered)
        offered = self._parted(offered, {name: one.winners for name, one in by_query.items()})
        matrix = self.panel.matrix()
        texts = self.panel.responses
        units, chosen_by_many = [], 0
        for name, here in offered.items():
            worth_of = by_query[name]
            value_of, winners = worth_of.of, worth_of.winners
            means = np.nanmean(matrix[:, here], axis=0)
            pure = [value_of(np.eye(len(here))[place]) for place in range(len(here))]
            chosen_by_many += len(winners) > 1
            units.append(
                UnitScore(
                    unit_id=name,
                    cluster=name,
                    value=value_of(shares[name]),
                    text=next(query.text for query in self.panel.queries if query.query_id == name),
                    options=tuple(texts[place].text for place in here),
                    model_probabilities=tuple(float(one) for one in shares[name]),
                    option_mass=masses[name],
                    details={
                        "chosen_by_jury": ", ".join(texts[here[place]].response_id for place in winners),
                        "given": texts[here[int(shares[name].argmax())]].response_id,
                    },
                    # Nothing is known of a query whose responses are not compared, whatever is given.
                    references={}
                    if not winners
                    else {
                        "uniform": value_of(np.full(len(here), 1.0 / len(here))),
                        "majority": pure[int(np.argmax(means))],
                        "first": pure[0],
                        "last": pure[-1],
                        "best": max(*pure, value_of(_lottery_of(winners, len(here)))),
                        "worst": min(pure),
                    },
                )
            )
        names = ("uniform", "majority", "best", "worst")
        known = [unit for unit in units if unit.references]
        variance, doubt = (0.0, "") if self.settings.whole_jury else self._of_jurors(offered, shares)
        return Scores(
            "jury_choice",
            tuple(units),
            references={one: float(np.mean([unit.references[one] for unit in known])) for one in names if known},
            witness=_witness(known),
            details={"rule": self.settings.rule, "ties": chosen_by_many, "n_jurors": len(self.panel.jurors)},
            extra_variance=variance,
            doubt=doubt,
            warnings=self._said(n_asked, len(units) - len(known), n_asked - len(offered)),
        )

    def _parted(self, offered: Mapping[str, list[int]], winners: Mapping[str, list[int]]) -> Mapping[str, list[int]]:
        """Return the queries on which the jury prefers a response to another: where all win, every answer is right."""
        if self.settings.rule != "schulze" or self.settings.ties != "any":
            return offered
        parted = {name: here for name, here in offered.items() if len(winners[name]) < len(here)}
        if not parted:
            raise InvalidParameterError(
                "All responses to every query win by Schulze's method, so that any model gives what the jury chooses. "
                "Use rule='bridging' or 'minimax', ties='random', or a panel with more votes."
            )
        return parted

    def _said(self, n_asked: int, n_unknown: int, n_tied: int) -> tuple[str, ...]:
        left_out, n = len(self.panel.queries) - n_asked, len(self.panel.queries)
        said = []
        if left_out:
            said.append(f"{left_out} of {n} queries have no two judged responses and were not asked")
        if n_tied:
            said.append(f"{n_tied} of {n} queries are left out: all their responses win, so that any answer is right")
        if n_unknown:
            said.append(f"{n_unknown} of {n} queries have responses that no juror compared: the choice is not known")
        return tuple(said)

    def _of_jurors(self, offered: Mapping[str, list[int]], shares: Mapping[str, FloatArray]) -> tuple[float, str]:
        """Return the variance of the mean value over juries that are drawn from this one, with replacement.

        The second value says why that variance is not known; it is empty where it is.
        """
        rng = np.random.default_rng(self.settings.asking.seed)
        n, worth = len(self.panel.jurors), _WORTH[self.settings.rule]
        means = []
        for _ in range(N_JURIES[self.settings.rule]):
            drawn = worth(self.panel, offered, rng.integers(n, size=n), self.settings)
            values = [drawn[name].of(shares[name]) for name in offered]
            known = [one for one in values if np.isfinite(one)]
            if known:
                means.append(float(np.mean(known)))
        # Juries that are drawn from n jurors vary by n - 1 of n parts of what juries of the people do.
        variance = float(np.var(means, ddof=1)) * n / (n - 1) if len(means) > 1 else 0.0
        doubt = ""
        if n < JURORS_OF_A_SAMPLE:
            doubt = f"{n} jurors say too little of another jury: add jurors, or use jury='whole' if these are all"
        elif 2 * len(means) < N_JURIES[self.settings.rule]:
            doubt = "most juries that are drawn from this one compare no two responses: add votes"
        return variance, doubt


@dataclass(frozen=True)
class _Worth:
    """The worth of a lottery over the responses to one query: the least of its means over the columns of a table.

    Attributes
    ----------
    table : numpy.ndarray, shape (n_responses, n_columns)
        The worth of each response: one column, or one against each rival; no column where nothing is known.
    winners : list of int
        The places of the responses that the jury chooses.
    """

    table: FloatArray
    winners: list[int]

    def of(self, share: FloatArray) -> float:
        """Return the worth of a lottery; NaN where nothing is known."""
        return float((share @ self.table).min()) if self.table.shape[1] else float("nan")

    def ends(self, bounds: Bounds) -> tuple[float, float] | None:
        """Return the least and the most worth of the lotteries within bounds; ``None`` where nothing is known.

        The least is exact; of the least of several means, the most is at most the least of their maxima.
        """
        each = [linear_bounds(column, bounds) for column in self.table.T]
        return (min(low for low, _ in each), min(high for _, high in each)) if each else None


def _unknown(n: int) -> _Worth:
    """Return the worth of responses that are not compared."""
    return _Worth(np.empty((n, 0)), [])


def _lottery_of(winners: list[int], n: int) -> FloatArray:
    found = np.zeros(n)
    found[winners] = 1.0 / max(1, len(winners))
    return found


def _are_compared(ranks: FloatArray, weights: FloatArray) -> bool:
    """Return whether jurors who ranked two responses join all of them; a response that stands alone wins by silence."""
    known = ~np.isnan(ranks)
    both = np.einsum("va,vb,v->ab", known, known, weights) > 0.0
    return int(connected_components(both, directed=False)[0]) == 1


def _bridging(
    panel: Panel, offered: Mapping[str, list[int]], jurors: IntArray, settings: ChosenSettings
) -> dict[str, _Worth]:
    """Return by query the mean bridging score of what is given; one fit over all responses."""
    fit = bridging_of_responses(panel, jurors=jurors)
    found: dict[str, _Worth] = {}
    for name, here in offered.items():
        scores = np.asarray(fit.response_intercepts)[here]
        known = np.where(np.isfinite(scores), scores, 0.0)
        found[name] = _Worth(known[:, None], [int(known.argmax())])
    return found


def _ranks(panel: Panel, here: list[int], jurors: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the ranks that drawn jurors give to the responses to one query, and their weights; 1 is the best."""
    matrix = panel.matrix()[jurors][:, here]
    return -matrix, panel.weights[jurors]


def _schulze(
    panel: Panel, offered: Mapping[str, list[int]], jurors: IntArray, settings: ChosenSettings
) -> dict[str, _Worth]:
    """Return by query how often a Schulze winner is given."""
    found: dict[str, _Worth] = {}
    for name, here in offered.items():
        ranks, weights = _ranks(panel, here, jurors)
        if not _are_compared(ranks, weights):
            found[name] = _unknown(len(here))
            continue
        winners = schulze(pairwise_counts(ranks, counts=weights, missing="omit")).winners
        each = worth_of_winners(winners, ranks, weights, ties=settings.ties)
        found[name] = _Worth(each[:, None], np.flatnonzero(winners).tolist())
    return found


def _minimax(
    panel: Panel, offered: Mapping[str, list[int]], jurors: IntArray, settings: ChosenSettings
) -> dict[str, _Worth]:
    """Return by query the share of the jury that prefers what is given to its strongest rival."""
    found: dict[str, _Worth] = {}
    for name, here in offered.items():
        ranks, weights = _ranks(panel, here, jurors)
        known = ~np.isnan(ranks)
        both = np.einsum("va,vb,v->ab", known, known, weights)
        if (both <= 0.0).any():
            found[name] = _unknown(len(here))
            continue
        preferences = pairwise_preferences(ranks, counts=weights, missing="omit")
        lottery = maximal_lottery(preferences)
        found[name] = _Worth(np.asarray(preferences), np.flatnonzero(lottery > 1e-6).tolist())
    return found


_WORTH: Mapping[str, Callable[[Panel, Mapping[str, list[int]], IntArray, ChosenSettings], dict[str, _Worth]]] = {
    "bridging": _bridging,
    "schulze": _schulze,
    "minimax": _minimax,
}


# ---------------------------------------------------------------------------------------------------------- planning


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return the gate of a panel.

    Raises
    ------
    PluralismError
        The panel, the rule or another keyword is wrong.
    """
    planning.refuse_protocols()
    keywords = planning.keywords
    jury = keywords.get("jury", "sample")
    if jury not in ("sample", "whole"):
        raise invalid_parameter("jury", planning.measure.name, "'sample' or 'whole'", repr(jury)[:60])
    if "rule" not in keywords:
        raise InvalidParameterError(f"jury_choice needs a rule. Name one with rule=: {', '.join(map(repr, RULES))}.")
    if "ties" in keywords and keywords["rule"] != "schulze":
        raise InvalidParameterError("'ties' is about several Schulze winners. Leave it out, or use rule='schulze'.")
    panel = panel_for(planning)
    asking = AskSettings(**{name: planning.choose(name) for name in ASKING})
    settings = ChosenSettings(keywords["rule"], keywords.get("ties", "any"), jury == "whole", asking)
    if len(panel.jurors) < FEWEST_JURORS:
        raise InvalidParameterError(f"Panel {panel.name} has one juror, which is not a jury. Add others.")
    requests(choice_survey(panel), asking)
    evaluation = ChosenEvaluation(panel, settings)
    lowest, highest, title = RULES[settings.rule]
    measure = dataclasses.replace(planning.measure, lowest=lowest, highest=highest, title=title)
    return [
        planning.planned(
            evaluation,
            source={"name": panel.name, "sha256": panel.sha256, "source": panel.source},
            settings=settings.as_json(),
            population=f"everyone, {settings.rule}",
            measure=measure,
        )
    ]


def _witness(units: Sequence[UnitScore]) -> Witness | None:
    """Return the query with the least value; ``None`` where there is none."""
    worst = min(units, key=lambda unit: unit.value, default=None)
    if worst is None:
        return None
    return Witness(worst.unit_id, worst.value, "the query on which least of the jury's choice is given")
