"""The welfare that a model's responses give a jury of different people.

Two ways lead from a model to utilities. Where a panel holds several recorded responses to a query, the model is asked
which of them it would give, and the recorded votes say what that is worth. Else the model writes a response, and a
juror function says what it is worth to each juror. In both, the welfare of a query is the mean over the responses that
the model gives of the welfare of each: a lottery between pleasing one group and pleasing another serves neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from pytest_pluralism.core.errors import DatasetError, ModelError
from pytest_pluralism.core.estimation.welfare_bands import Band, dominance_band, errors_of_difference
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule, query_welfare
from pytest_pluralism.core.metrics.welfare_carriers import doubts, trust_of
from pytest_pluralism.core.records import (
    Crossed,
    GenerationSettings,
    Prompt,
    Question,
    RequestName,
    Scores,
    Survey,
    UnitScore,
    Witness,
)
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.asking.meanings import Meanings, Means, NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Asking, Round, Rounds, asked_of
from pytest_pluralism.evaluation.jury.jurors import (
    Candidate,
    JurorFunction,
    ValueModelJurors,
    check_against_votes,
    recorded_candidates,
)
from pytest_pluralism.evaluation.jury.scores import (
    JuryMeasured,
    jury_table,
    measured_policy,
    measured_texts,
    policy_scores,
    written_scores,
)
from pytest_pluralism.evaluation.jury.settings import JurySettings
from pytest_pluralism.evaluation.jury.views import agreement
from pytest_pluralism.evaluation.overton.reading import REFUSAL
from pytest_pluralism.evaluation.surveys.answered import drawn_of, model_distributions
from pytest_pluralism.evaluation.surveys.asking import meanings_of, names_of, requests

__all__ = [
    "AgainstReference",
    "ChoiceEvaluation",
    "JuryRounds",
    "JurySettings",
    "WrittenEvaluation",
    "agreement",
    "choice_survey",
    "gain_over",
    "jury_table",
    "policy_scores",
    "smallest_group",
    "written_scores",
]

#: The rounds of an evaluation, before it is reduced to its scores.
JuryRounds = Asking[JuryMeasured]

#: How many recorded votes' responses an estimated juror is checked on.
CHECKED_RESPONSES = 24


def choice_survey(panel: Panel, /) -> Survey:
    """Return the queries of a panel with at least two judged responses as closed questions.

    A response that nobody voted on is not offered: nothing is known of what it is worth.

    Raises
    ------
    DatasetError
        If no query has two judged responses.
    """
    judged = np.bincount(panel.vote_responses, minlength=len(panel.responses)) > 0
    questions, place = [], 0
    for query in panel.queries:
        kept = [one for offset, one in enumerate(query.responses) if judged[place + offset]]
        place += len(query.responses)
        if len(kept) >= 2:
            questions.append(Question(query.query_id, query.text, tuple(one.text for one in kept)))
    if not questions:
        raise DatasetError(
            f"Panel {panel.name}: no query has two responses that jurors judged, so that a model has nothing to choose "
            "from. Let it write, with jurors that estimate what a new response is worth: jurors='entailment' (jurors "
            "with statements), jurors='fitted' (votes and texts), or a function of yours."
        )
    return Survey(panel.name, tuple(questions), (), panel.sha256, panel.source)


# ---------------------------------------------------------------------------------------------------- evaluations


@dataclass(frozen=True)
class ChoiceEvaluation:
    """The welfare of recorded responses that a model chooses, by the votes of jurors: one round of answers."""

    panel: Panel
    settings: JurySettings
    #: Answers that leave probabilities open are carried into the values.
    carries_bounds: ClassVar[bool] = True

    def rounds(self) -> Rounds:
        """Ask which response the model would give, and score it."""
        return (yield from self.measured()).scores

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for, and which response serves one group of jurors worst."""
        asked = requests(choice_survey(self.panel), self.settings.asking)
        return meanings_of(asked, asked.prompts, None, self._least_liked())

    def names(self) -> NamedRequests:
        """Yield the choices with the ids of their queries."""
        asked = requests(choice_survey(self.panel), self.settings.asking)
        return names_of(asked, asked.prompts)

    def _least_liked(self) -> dict[str, int]:
        """Return for each query the place of the offered response that the smallest group likes least."""
        panel, group = self.panel, smallest_group(self.panel, self.settings)
        votes = np.isin(panel.vote_jurors, group)
        n = len(panel.responses)
        judged = np.bincount(panel.vote_responses, minlength=n) > 0
        counts = np.bincount(panel.vote_responses[votes], minlength=n)
        sums = np.bincount(panel.vote_responses[votes], weights=panel.utilities[votes], minlength=n)
        means = np.divide(sums, counts, out=np.full(n, np.inf), where=counts > 0)
        found, place = {}, 0
        for query in panel.queries:
            mine = means[place : place + len(query.responses)][judged[place : place + len(query.responses)]]
            place += len(query.responses)
            if np.isfinite(mine).any():
                found[query.query_id] = int(mine.argmin())
        return found

    def measured(self) -> JuryRounds:
        """Ask the same, and return the utilities too."""
        survey = choice_survey(self.panel)
        asked = requests(survey, self.settings.asking)
        answers = yield Round("answers", asked.prompts, prompts_each=self.settings.asking.repetitions)
        model = model_distributions(asked, answers)
        panel = self.panel.select(queries=[question.question_id for question in survey.questions])
        judged = np.bincount(panel.vote_responses, minlength=len(panel.responses)) > 0
        share = np.zeros(len(panel.responses))
        bounds = np.zeros((len(panel.responses), 2)) if any(one.bounds for one in model.values()) else None
        place = 0
        for query in panel.queries:
            here = place + np.flatnonzero(judged[place : place + len(query.responses)])
            share[here] = model[query.query_id].probabilities
            if bounds is not None:
                bounds[here] = model[query.query_id].share_bounds
            place += len(query.responses)
        found = measured_policy(panel, share, settings=self.settings, model=model, bounds=bounds)
        found = replace(found, scores=replace(found.scores, drawn=drawn_of(model.values())))
        left_out = len(self.panel.queries) - len(panel.queries)
        if left_out:
            note = f"{left_out} of {len(self.panel.queries)} queries have no two judged responses and were not asked"
            found = replace(found, scores=replace(found.scores, warnings=(*found.scores.warnings, note)))
        return found


@dataclass(frozen=True)
class WrittenEvaluation:
    """The welfare of responses that a model writes, by a juror function: responses, then the function's own rounds.

    Attributes
    ----------
    panel : Panel
        Jurors and queries.
    settings : JurySettings
        The responses to measure.
    jurors : JurorFunction
        The utility of a text for each juror.
    generation : GenerationSettings
        How the model writes.
    n_draws : int
        How many responses each query gets.
    system : str
        Said to the model before each query.
    """

    panel: Panel
    settings: JurySettings
    jurors: JurorFunction
    generation: GenerationSettings
    n_draws: int = 1
    system: str = ""

    def rounds(self) -> Rounds:
        """Let the model write, ask what it is worth, and score it."""
        return (yield from self.measured()).scores

    def names(self) -> NamedRequests:
        """Yield the prompts with the ids of their queries."""
        for query, prompt in zip(self.panel.queries, self._prompts(), strict=True):
            yield prompt, RequestName(query.query_id)

    def _prompts(self) -> tuple[Prompt, ...]:
        template = self.settings.asking.template
        return tuple(
            Prompt(query.text, (), system=self.system, cue="", template=template) for query in self.panel.queries
        )

    def measured(self) -> JuryRounds:
        """Ask the same, and return the utilities too."""
        panel = self.panel
        written = yield Round("responses", self._prompts(), self.generation, self.n_draws)
        candidates = [
            Candidate(query.query_id, query.text, response.text)
            for query, responses in zip(panel.queries, written, strict=True)
            for response in responses
        ]
        recorded = self._checked()
        refusals = [Candidate(query.query_id, query.text, REFUSAL) for query in panel.queries] if self._judges() else []
        found = yield from self.jurors.rounds(panel, [*candidates, *(one for _, one in recorded), *refusals])
        n = len(candidates)
        accuracy = dict(found.accuracy)
        if not accuracy and recorded:
            predicted = np.full((len(panel.jurors), len(panel.responses)), np.nan)
            # All draws of a cell are there or none is.
            predicted[:, [place for place, _ in recorded]] = found.utilities[:, :, n : n + len(recorded)].mean(axis=0)
            accuracy = check_against_votes(panel, predicted)
        own = replace(found, utilities=found.utilities[:, :, :n], accuracy=accuracy)
        query = np.repeat(np.arange(len(panel.queries)), [len(responses) for responses in written])
        measured = measured_texts(panel, own, [one.text for one in candidates], query, settings=self.settings)
        if not refusals:
            return measured
        blind = replace(own, utilities=found.utilities[:, :, n + len(recorded) :])
        texts, places = [REFUSAL] * len(refusals), np.arange(len(panel.queries))
        refused = measured_texts(panel, blind, texts, places, settings=self.settings).scores
        return _beside_refusals(measured, refused)

    def _judges(self) -> bool:
        """Return whether jurors say at little cost what a refusal is worth to them.

        Recorded votes know nothing about it, and a value model would be asked as often as about the responses.
        """
        return self.jurors.name != "recorded" and not isinstance(self.jurors, ValueModelJurors)

    def _checked(self) -> list[tuple[int, Candidate]]:
        """Return the recorded responses on which estimated jurors are compared with votes: those with most votes."""
        if not self.panel.n_votes or self.jurors.name == "recorded" or self.jurors.name.startswith("fitted"):
            return []
        every = recorded_candidates(self.panel)
        counts = np.bincount(self.panel.vote_responses, minlength=len(every))
        best = np.argsort(-counts, kind="stable")[:CHECKED_RESPONSES]
        return [(int(place), every[place]) for place in sorted(best.tolist()) if counts[place]]


def _beside_refusals(measured: JuryMeasured, refused: Scores) -> JuryMeasured:
    """Return a measurement whose units hold what a refusal would be worth."""
    values = {unit.unit_id: unit.value for unit in refused.units if math.isfinite(unit.value)}
    units = tuple(
        replace(unit, references={**unit.references, "refusal": values[unit.unit_id]})
        if unit.unit_id in values
        else unit
        for unit in measured.scores.units
    )
    beside = {"refusal": math.fsum(values.values()) / len(values)} if values else {}
    references = {**measured.scores.references, **beside}
    return replace(measured, scores=replace(measured.scores, units=units, references=references))


def smallest_group(panel: Panel, settings: JurySettings, /) -> list[int]:
    """Return the places of the jurors of the group that is measured, else of the smallest one; none without groups."""
    names = panel.groups(settings.by)
    if names is None or len(set(names)) < 2:
        return []
    name = settings.group if settings.group in names else min(dict.fromkeys(names), key=names.count)
    return [place for place, one in enumerate(names) if one == name]


# ------------------------------------------------------------------------------------------------- a reference model


@dataclass(frozen=True)
class AgainstReference:
    """The gain of a model on the reference model of the run, by query and by juror.

    Attributes
    ----------
    evaluation : ChoiceEvaluation or WrittenEvaluation
        The evaluation of both models.
    alphas : tuple of float
        Where there are some, the value is the least gain over these aversions to inequality, with an interval from the
        band that holds all of them at once; the units are those of the aversion at which least is gained.
    """

    evaluation: ChoiceEvaluation | WrittenEvaluation
    alphas: tuple[float, ...] = ()
    #: Answers that leave probabilities open are carried into the gain, and refused where a band holds it.
    carries_bounds: ClassVar[bool] = True

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for, where the models choose among responses."""
        return self.evaluation.meanings() if isinstance(self.evaluation, Means) else {}

    def names(self) -> NamedRequests:
        """Yield the requests with the ids of their queries."""
        return self.evaluation.names()

    def rounds(self) -> Rounds:
        """Ask both models, and subtract."""
        ours = yield from self.evaluation.measured()
        theirs = yield from asked_of("reference_language_model", self.evaluation.measured())
        if not self.alphas:
            return self._gain(ours, theirs, self._band_of_report(ours, theirs))
        if any(unit.bounds for one in (ours, theirs) for unit in one.scores.units):
            raise ModelError(
                "The likeliest tokens leave shares of responses open, and the band over several aversions to "
                "inequality has no bounds for that, as its ends are those of juries drawn anew. Promise a gain at one "
                "alpha, or serve the model with more likeliest tokens (vLLM: --max-logprobs)."
            )
        band = self._band(ours, theirs, self.alphas)
        decisive = WelfareRule(alpha=self.alphas[band.least_place])
        found = self._gain(ours.under(decisive), theirs.under(decisive), band)
        witness = found.witness
        if witness is not None:
            witness = replace(witness, text=f"gains least at alpha {decisive.alpha:g}, which decides")
        else:
            words = "the aversion to inequality at which least is gained"
            witness = Witness(f"alpha {decisive.alpha:g}", band.values[band.least_place], words)
        warnings = tuple(dict.fromkeys((*found.warnings, *self._doubts_of_band(ours, theirs))))
        return replace(found, estimate=band.least(), witness=witness, warnings=warnings)

    def _doubts_of_band(self, ours: JuryMeasured, theirs: JuryMeasured) -> list[str]:
        """Return what is to be said of the band where fewest jurors carry the welfare: at its largest aversion."""
        if self.evaluation.settings.whole_jury:
            return []
        rule = WelfareRule(alpha=max(self.alphas))
        tables = (ours.table, theirs.table)
        found = [trust_of(one, rule, query_welfare(one, rule)) for one in tables]
        return [f"at alpha {rule.alpha:g} {words}" for trust in found for words in doubts(rule, trust)]

    def _band_of_report(self, ours: JuryMeasured, theirs: JuryMeasured) -> Band | None:
        curves = [one.scores.details["curve"]["alphas"] for one in (ours, theirs)]
        alphas = [alpha for alpha in curves[0] if isinstance(alpha, float)]
        if self.evaluation.settings.composition is not None or alphas != curves[1]:
            return None
        return self._band(ours, theirs, alphas)

    def _band(self, ours: JuryMeasured, theirs: JuryMeasured, alphas: Sequence[float]) -> Band:
        settings = self.evaluation.settings
        return dominance_band(
            ours.table,
            theirs.table,
            alphas=alphas,
            confidence_level=settings.confidence_level,
            whole_jury=settings.whole_jury,
            same_draws=ours.same_draws and theirs.same_draws,
            seed=settings.seed,
        )

    def _gain(self, ours: JuryMeasured, theirs: JuryMeasured, band: Band | None) -> Scores:
        return gain_over(ours, theirs, band=band, group=self.evaluation.settings.group)


def gain_over(
    ours: JuryMeasured, theirs: JuryMeasured, /, *, band: Band | None = None, group: str | None = None
) -> Scores:
    """Return the gain of one measurement on another of the same jurors and queries.

    Parameters
    ----------
    ours, theirs : JuryMeasured
        The two measurements.
    band : Band, optional
        The gain at every aversion to inequality, for the report.
    group : str, optional
        The group that is measured, where one is.
    """
    candidate, reference = ours.scores, theirs.scores
    there = {unit.unit_id: unit for unit in reference.units}
    units = tuple(
        replace(
            unit,
            value=unit.value - there[unit.unit_id].value,
            references={name: value - there[unit.unit_id].value for name, value in unit.references.items()},
            **_open_gain(unit, there[unit.unit_id]),
            details={
                **unit.details,
                "welfare": finite_or_none(unit.value),
                "welfare_of_reference": finite_or_none(there[unit.unit_id].value),
            },
        )
        for unit in candidate.units
    )
    by_group = {
        name: value - reference.other_populations[name]
        for name, value in candidate.other_populations.items()
        if name in reference.other_populations
    }
    details = {
        **candidate.details,
        "reference_model": {name: reference.details[name] for name in ("curve", "by_group", "worst_off")},
        "gain_by_group": by_group,
    }
    if band is not None:
        details["dominance"] = {**band.as_json(), "dominates": band.dominates}
    witness = None
    if by_group and group is None:
        worst = min(by_group, key=lambda name: by_group[name])
        witness = Witness(f"group {worst}", by_group[worst], "the group that gains least, or falls most")
    errors = errors_of_difference(ours.welfare, theirs.welfare, same_draws=ours.same_draws and theirs.same_draws)
    extra = float((errors**2).sum())
    extra = extra if math.isfinite(extra) else 0.0
    return Scores(
        metric=candidate.metric,
        units=units,
        references={"candidate": _mean_of(candidate), "reference_model": _mean_of(reference)},
        other_populations=by_group,
        warnings=tuple(dict.fromkeys((*candidate.warnings, *reference.warnings))),
        details=details,
        crossed=_crossed_gain(candidate, reference),
        witness=witness,
        extra_variance=extra,
        differences=True,
        doubt=candidate.change_doubt or reference.change_doubt,
        change_doubt=candidate.change_doubt or reference.change_doubt,
    )


def _open_gain(ours: UnitScore, theirs: UnitScore) -> dict[str, Any]:
    """Return the bounds of a gain, and of those of its references; nothing where both sides are known."""
    if not ours.bounds and not theirs.bounds:
        return {}
    low, high = ours.bounds or (ours.value, ours.value)
    least, most = theirs.bounds or (theirs.value, theirs.value)
    beside = {name: (value - most, value - least) for name, value in ours.references.items()}
    return {"bounds": (low - most, high - least), "reference_bounds": beside}


def _crossed_gain(candidate: Scores, reference: Scores) -> Crossed | None:
    """Return what each juror gains; jurors whom only one of the two reaches are left out."""
    ours, theirs = candidate.crossed, reference.crossed
    if ours is None or theirs is None:
        return None
    there = {unit.unit_id: unit.value for unit in theirs.units}
    units = tuple(replace(unit, value=unit.value - there[unit.unit_id]) for unit in ours.units if unit.unit_id in there)
    biases = (_bias(candidate) - _bias(reference),) * len(candidate.units)
    # The differences of the cells are not kept, so that nothing is taken out for them: the interval is rather too wide.
    return Crossed(units, biases=biases, carriers=min(ours.carriers, theirs.carriers))


def _bias(scores: Scores) -> float:
    """Return how much too large the mean over the units is."""
    biases = scores.crossed.biases if scores.crossed is not None else ()
    known = [bias for bias, unit in zip(biases, scores.units, strict=False) if not math.isnan(unit.value)]
    return math.fsum(known) / len(known) if known else 0.0


def _mean_of(scores: Scores) -> float:
    known = [unit.value for unit in scores.units if math.isfinite(unit.value)]
    return math.fsum(known) / len(known) if known else math.nan
