"""A jury inside a test: the utility of any texts for it, from any author."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter, unknown_name
from pytest_pluralism.core.estimation.of_scores import estimate_scores
from pytest_pluralism.core.records import Estimate, Scores
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.asking.rounds import Answered, drive
from pytest_pluralism.evaluation.jury.beside import BesideSystem
from pytest_pluralism.evaluation.jury.evaluations import (
    AgainstReference,
    ChoiceEvaluation,
    JurySettings,
    WrittenEvaluation,
)
from pytest_pluralism.evaluation.jury.jurors import Candidate, JurorFunction, JurorUtilities, RecordedJurors
from pytest_pluralism.evaluation.jury.scores import written_scores

__all__ = ["Jury", "seat"]

#: The texts to judge: for the id of a query a text, or several.
Responses = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class Jury:
    """A panel with its jurors and the rule by which their utilities become one number.

    Attributes
    ----------
    panel : Panel
        Jurors, queries and votes.
    settings : JurySettings
        The rule, the group, and whether the jurors are all there are.
    jurors : JurorFunction
        The utility of a text for each juror.
    confidence_level : float or None
        Of the estimates.
    answered : callable
        Answers the rounds of jurors who ask a model.
    measured : callable, optional
        Is told each welfare and what it was computed from, so that a promise about it is judged as one of a marker.
    """

    panel: Panel
    settings: JurySettings
    jurors: JurorFunction
    confidence_level: float | None
    answered: Answered
    measured: Callable[[Estimate, Scores], None] | None = None

    def utilities(self, responses: Responses, /) -> JurorUtilities:
        """Return what texts are worth to each juror, and how that was made.

        Parameters
        ----------
        responses : mapping from str to str or sequence of str
            For the ids of queries, one text or several.

        Returns
        -------
        JurorUtilities
            Texts in the order of the queries of the panel; recorded votes are found by query and text.

        Raises
        ------
        InvalidParameterError
            If there are no responses, a query is unknown, or a response is not a text.
        """
        return self._judged(responses)[1]

    def scores(self, responses: Responses, /) -> Scores:
        """Return the welfare of each query that has a response, with the groups and the worst-off jurors.

        Parameters
        ----------
        responses : mapping from str to str or sequence of str
            As for :meth:`utilities`; several texts count equally.
        """
        candidates, found = self._judged(responses)
        panel = self.panel.select(queries=list(responses))
        place = {query.query_id: row for row, query in enumerate(panel.queries)}
        of = np.array([place[one.query_id] for one in candidates])
        return written_scores(panel, found, [one.text for one in candidates], of, settings=self.settings)

    def welfare(self, responses: Responses, /) -> Estimate:
        """Return the mean welfare over the queries that have a response, with its interval.

        Parameters
        ----------
        responses : mapping from str to str or sequence of str
            As for :meth:`scores`.

        Raises
        ------
        InvalidParameterError
            If what is given for a query has no value, because nobody judged it: :meth:`scores` leaves such queries out.
        """
        scores = self.scores(responses)
        for unit in scores.units:
            if math.isnan(unit.value):
                raise InvalidParameterError(self._unjudged(unit.unit_id, responses[unit.unit_id]))
        estimate = estimate_scores(scores, confidence_level=self.confidence_level)
        if self.measured is not None:
            self.measured(estimate, scores)
        return estimate

    def _unjudged(self, query_id: str, given: str | Sequence[str]) -> str:
        """Say why what is given for a query has no value."""
        if not isinstance(self.jurors, RecordedJurors):
            return (
                f"What is given for query {query_id!r} has no value: {self.jurors.name} gave too few of the jurors one."
            )
        known = [one.text for query in self.panel.queries if query.query_id == query_id for one in query.responses]
        texts = _texts(given)
        unknown = next((text for text in texts if text.strip() not in {one.strip() for one in known}), None)
        if unknown is None:
            who = "jurors" if self.settings.group is None else f"jurors of group {self.settings.group!r}"
            return f"Too few {who} voted on what is given for query {query_id!r}. Leave the query out."
        shown = ", ".join(repr(text[:60]) for text in known[:5]) + (", ..." if len(known) > 5 else "")
        return (
            f"No juror voted on {unknown[:60]!r} for query {query_id!r}. Recorded: {shown or 'nothing'}. Give one of "
            "these, or name jurors= that judge new texts."
        )

    def _judged(self, responses: Responses) -> tuple[list[Candidate], JurorUtilities]:
        candidates = self._candidates(responses)
        return candidates, drive(self.jurors.rounds(self.panel, candidates), self.answered)

    def _candidates(self, responses: Responses) -> list[Candidate]:
        must = "a mapping from ids of queries to texts"
        if not isinstance(responses, Mapping) or not responses:
            raise invalid_parameter("responses", "jury", must, repr(responses)[:60])
        queries = {query.query_id: query for query in self.panel.queries}
        for name, given in responses.items():
            if name not in queries:
                raise InvalidParameterError(unknown_name(f"query of panel {self.panel.name}", str(name), list(queries)))
            texts = _texts(given)
            if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
                raise invalid_parameter("responses", "jury", f"{must}, or to lists of texts", repr(given)[:60])
        found = []
        for name in sorted(responses, key=list(queries).index):
            found += [Candidate(name, queries[name].text, text) for text in _texts(responses[name])]
        return found


def _texts(given: str | Sequence[str]) -> Sequence[str]:
    """Return what is given for a query as texts."""
    return [given] if isinstance(given, str) else given


def seat(
    evaluation: object,
    confidence_level: float | None,
    answered: Answered,
    /,
    measured: Callable[[Estimate, Scores], None] | None = None,
) -> Jury:
    """Return the jury of an evaluation that was planned for a marker.

    Parameters
    ----------
    evaluation : ChoiceEvaluation, WrittenEvaluation, AgainstReference or BesideSystem
        Where a model would choose among recorded responses, texts are judged by the recorded votes on them.
    confidence_level : float in (0, 1) or None
        Of the estimates.
    answered : callable
        Answers the rounds of jurors who ask a model.
    measured : callable, optional
        Is told each welfare and what it was computed from.
    """
    if isinstance(evaluation, (AgainstReference, BesideSystem)):
        evaluation = evaluation.evaluation
    assert isinstance(evaluation, (ChoiceEvaluation, WrittenEvaluation))  # noqa: S101 - the planner makes no others
    jurors = evaluation.jurors if isinstance(evaluation, WrittenEvaluation) else RecordedJurors()
    return Jury(evaluation.panel, evaluation.settings, jurors, confidence_level, answered, measured)
