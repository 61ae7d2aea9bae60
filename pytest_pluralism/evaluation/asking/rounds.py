"""The seam between what an evaluation asks and the engine that answers: rounds of requests, and nothing else.

An evaluation is a generator that yields what must be asked next, is sent what came back, and returns its scores.
It computes nothing itself and holds nothing between rounds that a second run could not rebuild, so that the rounds of
all gates of a run can be gathered before the first of them is answered, and a run that was killed can start again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from pytest_pluralism.core.records import GenerationSettings, Scores
from pytest_pluralism.models.protocol import ModelIdentity

__all__ = [
    "ROLES",
    "Answered",
    "Asking",
    "Evaluation",
    "Identified",
    "JudgeModel",
    "ModelOf",
    "Results",
    "Role",
    "Round",
    "Rounds",
    "SteeredModel",
    "asked_of",
    "drive",
]

#: The kinds of request, each with the model of a run that answers it.
ROLES = {
    "answers": "language_model",
    "full_answers": "language_model",
    "responses": "language_model",
    "entailment": "entailment_model",
    "rewards": "value_model",
    "objectives": "language_model",
    "similarities": "text_encoder",
}


@dataclass(frozen=True, slots=True)
class SteeredModel:
    """Name the model under test, steered to an attribute by its weights or while it decodes.

    Attributes
    ----------
    attribute : str
        The name of the attribute.
    spec : str
        The field ``model`` of the attribute; it may be empty.
    """

    attribute: str
    spec: str


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """Name an entailment model of its own for the judge of one promise.

    Attributes
    ----------
    spec : str
        The model; see :func:`~pytest_pluralism.models.specification.parse_entailment_spec`.
    """

    spec: str


#: A model of a run: one of :data:`ROLES`, another fixture by its name, a steered model, or the model of a judge.
Role = str | SteeredModel | JudgeModel


class Identified(Protocol):
    """A model of any kind; what it can be asked depends on its kind."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""
        ...


#: Returns the model of a role.
ModelOf = Callable[[Role], Identified]


_Request = TypeVar("_Request")


@dataclass(frozen=True)
class Round:
    """The requests that an evaluation must have answered next.

    Attributes
    ----------
    work : {"answers", "full_answers", "responses", "entailment", "rewards", "objectives", "similarities"}
        The requests.
    requests : tuple
        A ``Prompt`` each for answers and responses, a ``FullAnswerPrompt`` for full answers, an ``EntailmentPair`` for
        entailment and similarities, a ``RewardRequest`` for rewards, a ``CallableObjective`` for objectives. Equal
        requests, here and in other gates, are answered once.
    settings : GenerationSettings or None
        How responses are written.
    n_draws : int
        How many responses each prompt gets.
    named : str or SteeredModel or JudgeModel or None
        Another model of the run than the usual one, such as ``second_entailment_model``.
    optional : bool
        Whether a recording may lack the results; the evaluation is then sent ``None``.
    prompts_each : int
        In how many prompts a closed question is put from each side: its repetitions.
    """

    work: str
    requests: tuple[Hashable, ...]
    settings: GenerationSettings | None = None
    n_draws: int = 1
    named: Role | None = None
    optional: bool = False
    prompts_each: int = 1

    def requests_as(self, kind: type[_Request], /) -> tuple[_Request, ...]:
        """Return the requests, all of one kind; raise ``TypeError`` where one is of another."""
        found = tuple(request for request in self.requests if isinstance(request, kind))
        if len(found) < len(self.requests):
            raise TypeError(f"A round of {self.work} asks for something else than a {kind.__name__}.")
        return found

    @property
    def role(self) -> Role:
        """The model that answers: the one of :data:`ROLES` for this work, or the named one."""
        return self.named or ROLES[self.work]


#: One result for each request of a round: an Answer, FullAnswerScores, a tuple of Responses, EntailmentScores, a reward
#: or a similarity as a float, or a dict of scores by unit. The kind of work of the round says which.
Results = Sequence[Any]

#: Returns the results of a round.
Answered = Callable[[Round], Results]

_Result = TypeVar("_Result")

#: Yields rounds, is sent their results, and returns what they come to.
Asking = Generator[Round, Results, _Result]

#: Returns scores.
Rounds = Asking[Scores]


def asked_of(role: Role, rounds: Asking[_Result], /) -> Asking[_Result]:
    """Put what an evaluation asks of the model under test to another model of the run."""
    try:
        asked = next(rounds)
        while True:
            results = yield replace(asked, named=role) if asked.role == "language_model" else asked
            asked = rounds.send(results)
    except StopIteration as stop:
        found: _Result = stop.value
        return found


def drive(rounds: Asking[_Result], answered: Answered, /) -> _Result:
    """Answer rounds one by one, and return what they come to."""
    try:
        asked = next(rounds)
        while True:
            asked = rounds.send(answered(asked))
    except StopIteration as stop:
        found: _Result = stop.value
        return found


class Evaluation(Protocol):
    """One measurement of one model: pure, and the same rounds whenever it is started again with the same answers.

    An evaluation whose later rounds depend on answers also has ``later()``: for each kind of work, how many cells (a
    request, or one draw of it) may come after the first round at most, which ``--pluralism-plan`` shows.
    """

    def rounds(self) -> Rounds:
        """Start the evaluation."""
        ...
