"""Welfare beside another system's: what a promise with ``better_than`` compares with, on the same jurors and queries.

The advantage carries jurors as well as queries, as a gain on a reference model does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Scores
from pytest_pluralism.core.records.measures import SYSTEM
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.asking.meanings import Meanings, Means
from pytest_pluralism.evaluation.asking.rounds import Rounds
from pytest_pluralism.evaluation.jury.evaluations import (
    ChoiceEvaluation,
    JuryRounds,
    WrittenEvaluation,
    choice_survey,
    gain_over,
)
from pytest_pluralism.evaluation.jury.jurors import Candidate
from pytest_pluralism.evaluation.jury.scores import jury_table, measured_policy, measured_texts
from pytest_pluralism.evaluation.jury.settings import JurySettings

__all__ = ["BesideSystem", "reference_shares"]


def reference_shares(panel: Panel, reference: str, settings: JurySettings, /) -> FloatArray:
    """Return how often a reference gives each recorded response.

    Parameters
    ----------
    panel : Panel
        Queries with recorded responses.
    reference : str
        ``"uniform"`` gives each judged response as often, ``"majority"`` the one with the highest mean vote, and
        ``"system:NAME"`` the responses that have this id or author.
    settings : JurySettings
        The kind of group.

    Returns
    -------
    ndarray, shape (n_responses,)
        Sums to 1 over the responses of a query.

    Raises
    ------
    InvalidParameterError
        A query has no response of the system, or a written evaluation is compared with what has no votes.
    """
    of, n = panel.response_queries, len(panel.queries)
    judged = np.bincount(panel.vote_responses, minlength=len(panel.responses)) > 0
    if reference.startswith(SYSTEM):
        name = reference.removeprefix(SYSTEM)
        chosen = np.array([name in (one.response_id, one.author) for one in panel.responses], dtype=np.float64)
    elif reference == "majority":
        table = jury_table(panel, judged.astype(np.float64), by=settings.by)
        sums = np.bincount(table.response, table.utility * table.weights[table.juror], len(judged))
        weights = np.bincount(table.response, table.weights[table.juror], len(judged))
        means = np.divide(sums, weights, out=np.full(len(judged), -np.inf), where=weights > 0)
        best = np.full(n, -np.inf)
        np.maximum.at(best, of, means)
        chosen = ((means == best[of]) & np.isfinite(means)).astype(np.float64)
    else:
        chosen = judged.astype(np.float64)
    counts = np.bincount(of, chosen, n)
    empty = [query.query_id for query, count in zip(panel.queries, counts, strict=True) if count == 0.0]
    if empty:
        known = sorted({name for one in panel.responses for name in (one.response_id, one.author) if name})
        shown = ", ".join(map(repr, known[:8])) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        word = reference.removeprefix(SYSTEM)
        raise InvalidParameterError(
            f"better_than={word!r}: {len(empty)} of {n} queries of {panel.name} have no response of that id or author "
            f"(first: {empty[0]!r}). Use 'uniform', 'majority', or a system that answers every query; ids and authors "
            f"there: {shown}."
        )
    return np.asarray(chosen / counts[of])


@dataclass(frozen=True)
class BesideSystem:
    """The welfare of a model beside that of a reference, for a promise with ``better_than``.

    Attributes
    ----------
    evaluation : ChoiceEvaluation or WrittenEvaluation
        The measurement of the model.
    reference : str
        The reference, under the name that units keep it by.
    """

    evaluation: ChoiceEvaluation | WrittenEvaluation
    reference: str

    def __post_init__(self) -> None:
        # A system that lacks a query is found now, not when the model has been loaded.
        reference_shares(self._asked(), self.reference, self.evaluation.settings)

    def meanings(self) -> Meanings:
        """Return what the labels of each request stand for, where the model chooses among responses."""
        return self.evaluation.meanings() if isinstance(self.evaluation, Means) else {}

    def rounds(self) -> Rounds:
        """Measure the model, then the reference before the same jurors, and subtract."""
        ours = yield from self.evaluation.measured()
        # Queries that were left out of one are left out of both.
        panel = self.evaluation.panel.select(queries=[unit.unit_id for unit in ours.scores.units])
        theirs = yield from self._of_reference(panel)
        gain = gain_over(ours, theirs)
        level = self.evaluation.settings.confidence_level
        values = {unit.unit_id: unit.value for unit in theirs.scores.units}
        return _with_advantage(ours.scores, gain, self.reference, values, level)

    def _asked(self) -> Panel:
        panel = self.evaluation.panel
        if isinstance(self.evaluation, WrittenEvaluation):
            return panel
        return panel.select(queries=[question.question_id for question in choice_survey(panel).questions])

    def _of_reference(self, panel: Panel) -> JuryRounds:
        evaluation, settings = self.evaluation, self.evaluation.settings
        shares = reference_shares(panel, self.reference, settings)
        if isinstance(evaluation, ChoiceEvaluation):
            return measured_policy(panel, shares, settings=settings)
        places = np.flatnonzero(shares > 0.0)
        texts = [panel.responses[place].text for place in places.tolist()]
        of = panel.response_queries[places]
        queries = [panel.queries[row] for row in of.tolist()]
        candidates = [Candidate(one.query_id, one.text, text) for one, text in zip(queries, texts, strict=True)]
        found = yield from evaluation.jurors.rounds(panel, candidates)
        return measured_texts(panel, found, texts, of, settings=settings)


def _with_advantage(
    scores: Scores, gain: Scores, reference: str, values: Mapping[str, float], level: float | None
) -> Scores:
    """Return scores that hold the value of a reference on each unit, and the advantage over it."""
    units = tuple(
        replace(unit, references={**unit.references, reference: values[unit.unit_id]}) for unit in scores.units
    )
    known = [value for value in values.values() if np.isfinite(value)]
    word = reference.removeprefix(SYSTEM)
    beside = {word: float(np.mean(known))} if known and word not in scores.references else {}
    advantage = estimate_scores(gain, confidence_level=level)
    return replace(scores, units=units, references={**scores.references, **beside}, advantages={reference: advantage})
