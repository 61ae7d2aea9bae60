"""Evaluations of damaged answers: the rounds of an evaluation, with the damage between the engine and the scores.

A damage finds the facts that it needs in the evaluation: the meaning of its labels (``meanings()``), its windows with
their sides, or its panel with the groups of its jurors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from pytest_pluralism.core import damage as damages
from pytest_pluralism.core.damage import Damage
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerScores,
    Prompt,
    Response,
    Scores,
    Window,
    WindowSet,
)
from pytest_pluralism.evaluation.asking.meanings import Meaning, Meanings, Means
from pytest_pluralism.evaluation.asking.rounds import Evaluation, Results, Round, SteeredModel, drive
from pytest_pluralism.evaluation.jury.beside import BesideSystem
from pytest_pluralism.evaluation.jury.evaluations import AgainstReference, WrittenEvaluation, smallest_group
from pytest_pluralism.evaluation.jury.jurors import EntailmentJurors
from pytest_pluralism.evaluation.overton.coverage import overton_prompt
from pytest_pluralism.evaluation.overton.premises import premises
from pytest_pluralism.evaluation.overton.reading import REFUSAL
from pytest_pluralism.evaluation.overton.settings import OvertonSettings
from pytest_pluralism.evaluation.surveys.whole_answers import distributions

__all__ = ["Bearing", "LeftOutError"]

#: The works whose results say how the model under test answers.
CLOSED = ("answers", "full_answers")

#: The reason why a damage does not apply to a measure, by kind of damage.
NEEDS = {
    "sharpened": "closed questions that are read by the shares of their labels",
    "flattened": "closed questions that are read by the shares of their labels",
    "collapsed": "closed questions that are read by the shares of their labels",
    "majority": "closed questions that people answered, read by the shares of their labels",
    "dropped_option": "closed questions that are read by the shares of their labels",
    "shuffled": "closed questions that are read by the shares of their labels",
    "refusals": "responses, or closed questions with an option mass",
    "one_sided": "windows whose answers have sides",
    "first_sentence": "responses that were written in this run",
    "unequal": "a jury with groups that chooses among responses or reads them by entailment",
}


class LeftOutError(Exception):
    """A damage does not apply to a measure; its text says why."""


class Bearing:
    """The facts that an evaluation gives to damages: computed once, and used for each of them.

    Parameters
    ----------
    evaluation : Evaluation
        The evaluation to measure.
    seed : int
        Draws the questions that are refused, and the orders of confused options.
    """

    def __init__(self, evaluation: Evaluation, /, *, seed: int) -> None:
        self.evaluation = evaluation
        self.seed = seed

    @functools.cached_property
    def meanings(self) -> Meanings:
        """The meaning of each closed question; none where the evaluation does not say it."""
        return self.evaluation.meanings() if isinstance(self.evaluation, Means) else {}

    @functools.cached_property
    def windows(self) -> _Sides | None:
        """The windows with their sides, where the evaluation reads windows."""
        windows, settings, recorded = (
            getattr(self.evaluation, name, None) for name in ("windows", "settings", "responses")
        )
        if not isinstance(windows, WindowSet) or not isinstance(settings, OvertonSettings):
            return None
        return _Sides(windows.windows, settings, recorded or {})

    @functools.cached_property
    def statements(self) -> frozenset[str]:
        """The statements of the smallest group of jurors, where entailment estimates what texts are worth to them."""
        evaluation: object = self.evaluation
        if isinstance(evaluation, (AgainstReference, BesideSystem)):
            evaluation = evaluation.evaluation
        if not isinstance(evaluation, WrittenEvaluation) or not isinstance(evaluation.jurors, EntailmentJurors):
            return frozenset()
        panel = evaluation.panel
        return frozenset(panel.jurors[place].statement for place in smallest_group(panel, evaluation.settings))

    def scores(self, damage: Damage, answered: Callable[[Round], Results | None], /) -> Scores:
        """Return the scores that the damaged answers get.

        Parameters
        ----------
        damage : Damage
            The damage.
        answered : callable
            Returns the results of a round that are known, else ``None``.

        Raises
        ------
        LeftOutError
            The damage does not apply to this evaluation, or needs results that are not known.
        """
        (found,) = self._driven(damage, answered, [self.evaluation])
        return found

    def scores_of_parts(
        self, damage: Damage, answered: Callable[[Round], Results | None], parts: Mapping[str, Evaluation], /
    ) -> dict[str, Scores]:
        """Return the scores that the damaged answers get in each of the evaluations that this one consists of.

        A request that several of them make gets the same damaged answer in each.

        Parameters
        ----------
        damage, answered
            As for :meth:`scores`.
        parts : mapping of str to Evaluation
            The evaluations by name.

        Raises
        ------
        LeftOutError
            As for :meth:`scores`.
        """
        return dict(zip(parts, self._driven(damage, answered, list(parts.values())), strict=True))

    def _driven(
        self, damage: Damage, answered: Callable[[Round], Results | None], evaluations: Sequence[Evaluation]
    ) -> list[Scores]:
        borne = _Borne(self, damage)

        def damaged(asked: Round) -> Results:
            found = answered(asked)
            if found is None:
                raise LeftOutError(f"the {asked.role} would have to be asked about texts that it has not read yet")
            return borne.results(asked, found)

        found = [drive(one.rounds(), damaged) for one in evaluations]
        if not borne.applied:
            raise LeftOutError(f"it takes {NEEDS[damage.name]}")
        return found


class _Sides:
    """The side of each window that a damage leaves out, and the responses to each window."""

    def __init__(
        self, windows: Sequence[Window], settings: OvertonSettings, recorded: Mapping[str, Sequence[str]]
    ) -> None:
        self.by_prompt = {overton_prompt(window, settings): window.query_id for window in windows}
        self.recorded = recorded
        self.dropped: dict[str, list[str]] = {}
        for window in windows:
            for text in _left_out(window):
                self.dropped.setdefault(text, []).append(window.query_id)


def _left_out(window: Window) -> Iterator[str]:
    """Yield the texts of the side that has the least support, or else is named last; none of a window with one side."""
    if len(window.stances) < 2:
        return
    support = dict.fromkeys(reversed(window.stances), 0.0)
    for answer in window.reasonable:
        if answer.stance is not None:
            support[answer.stance] += answer.support or 0.0
    side = min(support, key=lambda stance: support[stance])
    for answer in window.reasonable:
        if answer.stance == side:
            yield from answer.texts


class _Borne:
    """One damage on the results of one evaluation, round by round."""

    def __init__(self, bearing: Bearing, damage: Damage) -> None:
        self.bearing, self.damage = bearing, damage
        self.applied = False
        recorded = bearing.windows.recorded if bearing.windows is not None else {}
        self._said: dict[str, list[str]] = {name: list(texts) for name, texts in recorded.items()}

    def results(self, asked: Round, found: Results) -> Results:
        """Return the damaged results of a round; those of other models than the one under test as they are."""
        if asked.work in ("entailment", "similarities"):
            return self._entailment(asked, found)
        if asked.role != "language_model" and not isinstance(asked.role, SteeredModel):
            return found
        if asked.work in CLOSED:
            return self._closed(asked, found)
        if asked.work == "responses":
            return self._responses(asked, found)
        return found

    def _closed(self, asked: Round, found: Sequence[Answer | FullAnswerScores]) -> Results:
        meanings = [self.bearing.meanings.get(request) for request in asked.requests]
        refused = frozenset[str]()
        if self.damage.name == "refusals":
            keys = [one.key for one in self.bearing.meanings.values()]
            refused = damages.chosen(keys, self.damage.amount, seed=self.bearing.seed) if keys else refused
        result = []
        for meaning, one in zip(meanings, found, strict=True):
            damaged = None if meaning is None else self._answer(meaning, one, refused)
            self.applied |= damaged is not None
            result.append(one if damaged is None else damaged)
        return result

    def _answer(
        self, meaning: Meaning, found: Answer | FullAnswerScores, refused: frozenset[str]
    ) -> Answer | FullAnswerScores | None:
        """Return one damaged answer; ``None`` where the damage does not apply to it."""
        if self.damage.name == "refusals":
            # Whole answers have no option mass, so that a refusal leaves no trace in them.
            if not isinstance(found, Answer):
                return None
            return damages.refused_answer(found) if meaning.key in refused else found
        if isinstance(found, Answer):
            shares = self._shares(damages.shares_of(found), meaning)
            return None if shares is None else damages.with_shares(found, shares)
        if self.damage.label == "collapsed letter":
            return None
        shares = self._shares(distributions([found], meaning.scoring), meaning)
        return None if shares is None else damages.with_shares_of_texts(found, shares)

    def _shares(self, shares: np.ndarray, meaning: Meaning) -> np.ndarray | None:
        """Return the damaged shares of the labels; ``None`` where the damage does not apply."""
        damage = self.damage
        if damage.name == "sharpened":
            return damages.sharpened(shares, temperature=damage.amount)
        if damage.name == "flattened":
            return damages.flattened(shares)
        if damage.label == "collapsed letter":
            return damages.collapsed(shares, 0)
        # The rest speaks of options; a label stands for another one in each repetition.
        order, n = list(meaning.order), len(meaning.order)
        people = np.asarray(meaning.people)
        if damage.name == "collapsed":
            return damages.collapsed(shares, order.index(0))
        if damage.name == "majority":
            return damages.collapsed(shares, order.index(int(people.argmax()))) if len(people) == n else None
        if damage.name == "dropped_option":
            option = int(people.argmin()) if len(people) == n else n - 1
            return damages.without_option(shares, order.index(option))
        if damage.name == "shuffled":
            to = damages.derangement(n, f"{self.bearing.seed}/{meaning.key}")
            return damages.moved(shares, [order.index(to[option]) for option in order])
        if damage.name == "unequal" and meaning.least_liked is not None:
            return damages.towards(shares, order.index(meaning.least_liked), amount=damage.amount)
        return None

    def _responses(self, asked: Round, found: Sequence[tuple[Response, ...]]) -> Results:
        name, result = self.damage.name, list(found)
        if name == "refusals":
            keys = [str(place) for place in range(len(result))]
            refused = damages.chosen(keys, self.damage.amount, seed=self.bearing.seed)
            result = [
                damages.rewritten(draws, [REFUSAL] * len(draws)) if key in refused else draws
                for key, draws in zip(keys, result, strict=True)
            ]
            self.applied = True
        elif name == "first_sentence":
            result = [damages.rewritten(draws, [_first_sentence(one.text) for one in draws]) for draws in result]
            self.applied = True
        by_prompt = self.bearing.windows.by_prompt if self.bearing.windows is not None else {}
        for prompt, draws in zip(asked.requests_as(Prompt), result, strict=True):
            self._said.setdefault(by_prompt.get(prompt, ""), []).extend(one.text for one in draws)
        return result

    def _entailment(self, asked: Round, found: Results) -> Results:
        windows = self.bearing.windows
        if self.damage.name == "unequal" and self.bearing.statements:
            lost = self._is_unequal
        elif self.damage.name == "one_sided" and windows is not None and windows.dropped:
            lost = functools.partial(self._is_dropped, windows=windows)
        else:
            return found
        self.applied = True
        pairs = zip(asked.requests_as(EntailmentPair), found, strict=True)
        return [self._less(one) if lost(pair) else one for pair, one in pairs]

    def _less(self, found: EntailmentScores | float) -> EntailmentScores | float:
        amount = self.damage.amount
        return found * (1.0 - amount) if isinstance(found, float) else damages.less_entailed(found, amount)

    def _is_unequal(self, pair: EntailmentPair) -> bool:
        """Return whether a pair asks if a response of the model says what a juror of the group wrote."""
        return pair.hypothesis in self.bearing.statements and self._is_said(pair.premise, self._said)

    def _is_dropped(self, pair: EntailmentPair, windows: _Sides) -> bool:
        """Return whether a pair asks if a response to a window holds an answer of the side that is left out there."""
        # Judges ask in either direction, or in both.
        orders = ((pair.premise, pair.hypothesis), (pair.hypothesis, pair.premise))
        return any(self._is_said(part, windows.dropped.get(text, ())) for part, text in orders)

    def _is_said(self, part: str, queries: Iterable[str]) -> bool:
        """Return whether a part stands in a response of the model to one of the queries."""
        return any(part in one for query in queries for one in self._said.get(query, ()))


def _first_sentence(text: str) -> str:
    found = premises(text, form="sentences") if text.strip() else ()
    return found[0] if found else text
