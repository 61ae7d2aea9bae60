"""Juror functions: what a response is worth to each juror of a panel, recorded, written or estimated.

Every function follows one protocol, says how it was made, and can be checked against votes that were recorded.
Nothing but a recorded vote is a person's: the others are estimates, and are called so wherever they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import EntailmentPair, RewardRequest
from pytest_pluralism.datasets.panels.records import Juror, Panel, shown
from pytest_pluralism.evaluation.asking.rounds import Asking, Round
from pytest_pluralism.evaluation.overton.premises import premises
from pytest_pluralism.models.protocol import ValueModel

__all__ = [
    "CallableJurors",
    "Candidate",
    "EntailmentJurors",
    "JurorFunction",
    "JurorUtilities",
    "RecordedJurors",
    "RewardJurors",
    "UtilityRounds",
    "ValueModelJurors",
    "check_against_votes",
    "recorded_candidates",
    "scale_range",
    "scorer_of",
]


#: The utility of an entailment of probability 0, so that the welfare of every aversion is defined.
ENTAILMENT_FLOOR = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text whose utilities are wanted, and the query that it answers."""

    query_id: str
    query: str
    text: str


@dataclass(frozen=True, eq=False)
class JurorUtilities:
    """The utilities of texts to the jurors of a panel.

    Attributes
    ----------
    utilities : numpy.ndarray, shape (n_draws, n_jurors, n_candidates)
        In (0, 1] or on the panel's own scale of utilities; NaN where a juror has none. Several draws say how uncertain
        an estimate is: each is as probable as the others.
    kind : {"recorded", "estimated"}
        Whether they are votes of people or predictions.
    made : str
        How they were made, in words.
    accuracy : mapping
        How well the function predicts votes that it was not shown; empty where that is not known.
    warnings : tuple of str
        The statement that a response should contain.
    draws_by_text : bool
        A text has the same draws whenever it is asked for, and other texts have draws of their own: what two models
        gain on each other is then known draw by draw. Otherwise their errors are taken to be independent.
    """

    utilities: FloatArray
    kind: str
    made: str
    accuracy: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    draws_by_text: bool = False


#: Yields rounds, is sent one result a request, returns the utilities.
UtilityRounds = Asking[JurorUtilities]


class JurorFunction(Protocol):
    """Says what texts are worth to the jurors of a panel.

    A function may also have ``check(panel)``, which refuses a panel that it cannot be used with, and
    ``utility_range(panel)``, the least and the greatest utility that it can give: both are asked at collection, before
    a model has written anything.
    """

    @property
    def name(self) -> str:
        """A word for provenance, the same whenever the function is the same."""
        ...

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Ask what must be known, and return the utilities."""
        ...


def _one_draw(panel: Panel, candidates: Sequence[Candidate]) -> FloatArray:
    return np.full((1, len(panel.jurors), len(candidates)), np.nan)


def recorded_candidates(panel: Panel, /) -> list[Candidate]:
    """Return the recorded responses of a panel, in its order."""
    return [
        Candidate(query.query_id, query.text, response.text) for query in panel.queries for response in query.responses
    ]


# ----------------------------------------------------------------------------------------------------- recorded


@dataclass(frozen=True)
class RecordedJurors:
    """Recorded votes: a text is worth what jurors said of the same text under the same query; else it is missing."""

    @property
    def name(self) -> str:
        """The word for provenance."""
        return "recorded"

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return scale_range(panel)

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Look the texts up; nothing is asked."""
        yield from ()
        places: dict[tuple[str, str], int] = {}
        for place, one in enumerate(recorded_candidates(panel)):
            places.setdefault((one.query_id, one.text.strip()), place)
        result = _one_draw(panel, candidates)
        wanted: dict[int, list[int]] = {}
        unknown = 0
        for column, candidate in enumerate(candidates):
            known = places.get((candidate.query_id, candidate.text.strip()))
            if known is None:
                unknown += 1
            else:
                wanted.setdefault(known, []).append(column)
        for who, what, value in zip(
            panel.vote_jurors.tolist(), panel.vote_responses.tolist(), panel.utilities.tolist(), strict=True
        ):
            for column in wanted.get(what, ()):
                result[0, who, column] = value
        warnings = (f"{unknown} of {len(candidates)} responses were never voted on",) if unknown else ()
        return JurorUtilities(result, "recorded", "recorded votes", warnings=warnings)


# ----------------------------------------------------------------------------------------------- a user's callable


@dataclass(frozen=True)
class CallableJurors:
    """A function of yours: ``function(juror, query, response)`` returns a vote on the panel's scale, or ``None``.

    Attributes
    ----------
    function : callable
        Takes a :class:`~pytest_pluralism.datasets.panels.records.Juror` and the texts of query and response.
    label : str
        Its name in provenance and reports.
    """

    function: Callable[[Juror, str, str], float | None]
    label: str = ""

    @property
    def name(self) -> str:
        """The word for provenance."""
        return self.label or f"callable {getattr(self.function, '__qualname__', type(self.function).__name__)}"

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return scale_range(panel)

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Call the function for each juror and text.

        Raises
        ------
        InvalidParameterError
            If it returns anything but a number on the scale or ``None``.
        """
        yield from ()
        votes = _one_draw(panel, candidates)
        for row, juror in enumerate(panel.jurors):
            for column, one in enumerate(candidates):
                vote = self.function(juror, one.query, one.text)
                if vote is None:
                    continue
                number = float(vote) if isinstance(vote, (np.floating, np.integer)) else vote
                if not is_number(number) or not _on_range(panel, float(number)):
                    inside = f"[{panel.scale.lowest:g}, {panel.scale.highest:g}]"
                    must = f"a function that returns a number in {inside} or None"
                    raise invalid_parameter("function", "CallableJurors", must, f"{shown(vote)} for {juror.juror_id!r}")
                votes[0, row, column] = float(number)
        return JurorUtilities(panel.scale.utilities(votes), "estimated", f"predictions of {self.name}")


def _on_range(panel: Panel, vote: float) -> bool:
    return panel.scale.lowest - 1e-9 <= vote <= panel.scale.highest + 1e-9


# ------------------------------------------------------------------------------------------------------ entailment


@dataclass(frozen=True)
class EntailmentJurors:
    """Entailment: how probable it is that the response entails what the juror wrote.

    Attributes
    ----------
    form : {"whole", "sentences", "windows"}
        The part of the response that is the premise; of several premises the best counts.
    floor : float
        The utility at a probability of 0, in (0, 1).

    References
    ----------
    Bakker et al. 2022, arXiv:2211.15006.
    """

    form: str = "whole"
    floor: float = ENTAILMENT_FLOOR

    def __post_init__(self) -> None:
        if self.form not in ("whole", "sentences", "windows"):
            raise invalid_parameter("form", "EntailmentJurors", "'whole', 'sentences' or 'windows'", repr(self.form))
        if not isinstance(self.floor, float) or not 0.0 < self.floor < 1.0:
            raise invalid_parameter("floor", "EntailmentJurors", "a float in (0, 1)", repr(self.floor))

    @property
    def name(self) -> str:
        """The word for provenance."""
        return f"entailment of the juror's statement by the {self.form} response, floor {self.floor:g}"

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return self.floor, 1.0

    def check(self, panel: Panel, /) -> None:
        """Refuse a panel without statements.

        Raises
        ------
        DatasetError
            If no juror of the panel wrote a statement.
        """
        if not any(juror.statement.strip() for juror in panel.jurors):
            raise DatasetError(
                f"Panel {panel.name}: no juror wrote a statement, so that entailment has nothing to compare with. Give "
                "jurors a 'statement', or choose other jurors=."
            )

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Ask whether each response entails each statement.

        Raises
        ------
        DatasetError
            If no juror of the panel wrote a statement.
        """
        self.check(panel)
        writers = [row for row, juror in enumerate(panel.jurors) if juror.statement.strip()]
        parts = [premises(one.text, form=self.form) if one.text.strip() else () for one in candidates]
        pairs = [
            EntailmentPair(premise, panel.jurors[row].statement)
            for column in range(len(candidates))
            for row in writers
            for premise in parts[column]
        ]
        answers = yield Round("entailment", tuple(pairs))
        probabilities = iter([answer.entailment for answer in answers])
        result = _one_draw(panel, candidates)
        for column in range(len(candidates)):
            for row in writers:
                # A response that says nothing entails nothing.
                best = max((next(probabilities) for _ in parts[column]), default=0.0)
                result[0, row, column] = self.floor + (1.0 - self.floor) * best
        silent = len(panel.jurors) - len(writers)
        warnings = (f"{silent} of {len(panel.jurors)} jurors wrote no statement and are missing",) if silent else ()
        made = "estimated from the entailment of each juror's statement by the response"
        return JurorUtilities(result, "estimated", made, warnings=warnings)


# --------------------------------------------------------------------------------------------------- reward models


@dataclass(frozen=True)
class RewardJurors:
    """A reward model for each juror or each group: any score of (query, response) pairs.

    A reward has no scale of its own. Its scores become utilities by the share of the panel's recorded responses that
    score lower (ties count half), so that the utility is an ordinal one.

    Attributes
    ----------
    scorers : mapping from str to callable
        For each group (or each juror) a function from a list of (query, response) to a list of scores, higher is
        better; :func:`scorer_of` makes one of a reward model.
    by : str or None
        The kind of group that the names in ``scorers`` belong to; ``"juror"`` for ids of jurors.
    label : str
        Its name in provenance.
    """

    scorers: Mapping[str, Callable[[Sequence[tuple[str, str]]], Sequence[float]]]
    by: str | None = None
    label: str = "reward models"

    @property
    def name(self) -> str:
        """The word for provenance."""
        return f"{self.label} for {', '.join(sorted(self.scorers))}"

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return rank_range(panel)

    def check(self, panel: Panel, /) -> None:
        """Refuse a panel with a group or a juror without a reward model.

        Raises
        ------
        InvalidParameterError
            If the panel knows no groups, or one of them (or a juror) has no reward model.
        """
        self._names(panel)

    def _names(self, panel: Panel) -> Sequence[str]:
        """Return whose reward model speaks for each juror."""
        names = [one.juror_id for one in panel.jurors] if self.by == "juror" else panel.groups(self.by)
        if names is None:
            raise InvalidParameterError(
                f"Panel {panel.name} knows no groups, so that no reward model fits a juror. Give jurors a 'group', or "
                "reward models by='juror'."
            )
        lacking = [name for name in dict.fromkeys(names) if name not in self.scorers]
        if lacking:
            each = "juror" if self.by == "juror" else "group"
            raise invalid_parameter("scorers", "RewardJurors", f"one for each {each}", f"none for {lacking[0]!r}")
        return names

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Score the texts and the recorded responses.

        Raises
        ------
        InvalidParameterError
            If a group of the panel has no reward model, or one gives other than one finite score a pair.
        """
        yield from ()
        names = self._names(panel)
        recorded = recorded_candidates(panel)
        pairs = [(one.query, one.text) for one in (*candidates, *recorded)]
        result = _one_draw(panel, candidates)
        rank_of: dict[str, FloatArray] = {}
        for name in dict.fromkeys(names):
            scores = np.asarray(self.scorers[name](pairs), dtype=np.float64)
            if scores.shape != (len(pairs),) or not np.isfinite(scores).all():
                raise invalid_parameter(
                    "scorers", "RewardJurors", f"one finite score a pair ({len(pairs)})", f"shape {scores.shape}"
                )
            rank_of[name] = _ranks(scores[: len(candidates)], scores[len(candidates) :])
        for row, name in enumerate(names):
            result[0, row] = rank_of[name]
        made = f"estimated by {self.name}; utility: the rank among the recorded responses, ordinal"
        return JurorUtilities(result, "estimated", made)


def scorer_of(model: ValueModel, /, *, attribute: str = "") -> Callable[[Sequence[tuple[str, str]]], Sequence[float]]:
    """Return a scorer for :class:`RewardJurors` from a loaded reward model.

    Parameters
    ----------
    model : object
        With ``reward(requests)``, as :func:`pytest_pluralism.models.local.value_models.load_value_model` gives it: any
        network for sequence classification with one output.
    attribute : str
        Whom it is asked to speak for; empty for a model that was trained for its group alone.
    """

    def score(pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        found: Sequence[float] = model.reward([RewardRequest(query, text, attribute) for query, text in pairs])
        return found

    return score


@dataclass(frozen=True)
class ValueModelJurors:
    """The value model of the run, asked for each group how well a response reflects it.

    Its rewards become utilities by rank among the recorded responses, as for :class:`RewardJurors`.

    Attributes
    ----------
    by : str or None
        The kind of group whose names are the attributes.
    """

    by: str | None = None

    @property
    def name(self) -> str:
        """The word for provenance."""
        return f"rewards of the value model for each {self.by or 'group'}"

    def utility_range(self, panel: Panel, /) -> tuple[float, float]:
        """Return the least and the greatest utility that a text can be worth."""
        return rank_range(panel)

    def check(self, panel: Panel, /) -> None:
        """Refuse a panel without groups.

        Raises
        ------
        InvalidParameterError
            If the panel knows no groups.
        """
        self._groups(panel)

    def _groups(self, panel: Panel) -> Sequence[str]:
        groups = panel.groups(self.by)
        if groups is None:
            raise InvalidParameterError(
                f"Panel {panel.name} knows no groups that a value model could be asked about. Give jurors a 'group'."
            )
        return groups

    def rounds(self, panel: Panel, candidates: Sequence[Candidate], /) -> UtilityRounds:
        """Ask for the rewards of the texts and of the recorded responses.

        Raises
        ------
        InvalidParameterError
            If the panel knows no groups.
        """
        groups = self._groups(panel)
        names = list(dict.fromkeys(groups))
        texts = [*candidates, *recorded_candidates(panel)]
        rewards = yield Round(
            "rewards", tuple(RewardRequest(one.query, one.text, name) for name in names for one in texts)
        )
        scores = np.asarray(rewards, dtype=np.float64).reshape(len(names), len(texts))
        if not np.isfinite(scores).all():
            raise InvalidParameterError("The value model gave a reward that is no finite number. Inspect the model.")
        ranks = np.stack([_ranks(row[: len(candidates)], row[len(candidates) :]) for row in scores])
        result = ranks[[names.index(name) for name in groups]][None]
        made = f"estimated by {self.name}; utility: the rank among the recorded responses, ordinal"
        return JurorUtilities(result, "estimated", made)


def scale_range(panel: Panel, /) -> tuple[float, float]:
    """Return the utilities of the worst and of the best vote on the scale of a panel."""
    return panel.scale.worst_utility, 1.0 if panel.scale.mapped else panel.scale.highest


def rank_range(panel: Panel, /) -> tuple[float, float]:
    """Return the utilities of the first and of the last rank among the recorded responses."""
    # Without any recorded response the texts are ranked among themselves, however many these are.
    n = len(panel.responses)
    edge = 0.5 / (n + 1.0) if n else 0.0
    return edge, 1.0 - edge


def _ranks(own: FloatArray, reference: FloatArray) -> FloatArray:
    """Return the share of the reference that scores lower, ties counting half, in (0, 1)."""
    ordered = np.sort(reference if len(reference) else own)
    below = np.searchsorted(ordered, own, side="left") + np.searchsorted(ordered, own, side="right")
    ranks: FloatArray = (below / 2.0 + 0.5) / (len(ordered) + 1.0)
    return ranks


# ------------------------------------------------------------------------------------------------- how well it does


def check_against_votes(panel: Panel, predicted: FloatArray, /) -> dict[str, float]:
    """Return how well predicted utilities agree with the recorded votes on the same responses.

    Parameters
    ----------
    panel : Panel
        With votes.
    predicted : numpy.ndarray, shape (n_jurors, n_responses)
        The utility of each recorded response to each juror; NaN where there is none.

    Returns
    -------
    dict
        ``n_votes`` that were predicted; ``correlation`` with them; ``within_juror``: the share of pairs of responses to
        one query on which a juror's order is predicted (ties left out); empty without any.
    """
    guess = predicted[panel.vote_jurors, panel.vote_responses]
    use = np.isfinite(guess)
    if use.sum() < 2:
        return {}
    said, guess = panel.utilities[use], guess[use]
    found = {"n_votes": float(use.sum())}
    if said.std() > 0 and guess.std() > 0:
        found["correlation"] = float(np.corrcoef(said, guess)[0, 1])
    keys = panel.vote_jurors[use] * len(panel.queries) + panel.response_queries[panel.vote_responses[use]]
    order = np.argsort(keys, kind="stable")
    right = n_pairs = 0.0
    for cell in np.split(order, np.flatnonzero(np.diff(keys[order])) + 1):
        if len(cell) < 2:
            continue
        first, second = np.triu_indices(len(cell), 1)
        true = np.sign(said[cell][first] - said[cell][second])
        ours = np.sign(guess[cell][first] - guess[cell][second])
        n_pairs += float((true != 0).sum())
        right += float(((ours == true) & (true != 0)).sum() + 0.5 * ((ours == 0) & (true != 0)).sum())
    if n_pairs:
        found["within_juror"] = right / n_pairs
    return found
