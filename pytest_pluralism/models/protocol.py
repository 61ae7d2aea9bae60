"""The protocols that models of all kinds follow, and the identity that every model has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    RewardRequest,
)

__all__ = [
    "EntailmentModel",
    "GenerativeModel",
    "LanguageModel",
    "ModelIdentity",
    "Progress",
    "Receive",
    "ReceiveEntailments",
    "ReceiveFullAnswers",
    "ReceiveResponses",
    "ReceiveRewards",
    "ReceiveSimilarities",
    "ValueModel",
]

#: Called with (prompts done, prompts in all) while a model answers.
Progress = Callable[[int, int], None]

#: Called with the answers of each batch as it is done.
Receive = Callable[[Sequence[tuple[Prompt, Answer]]], None]

#: Called with the scores of whole answers as they are done.
ReceiveFullAnswers = Callable[[Sequence[tuple[FullAnswerPrompt, FullAnswerScores]]], None]

#: Called with the scores of each batch of entailment pairs as it is done.
ReceiveEntailments = Callable[[Sequence[tuple[EntailmentPair, EntailmentScores]]], None]

#: Called with the rewards of each batch as it is done.
ReceiveRewards = Callable[[Sequence[tuple[RewardRequest, float]]], None]

#: Called with the similarities of each batch of pairs as it is done.
ReceiveSimilarities = Callable[[Sequence[tuple[EntailmentPair, float]]], None]

#: Called with the responses of each batch as it is done; a response knows the number of its draw.
ReceiveResponses = Callable[[Sequence[tuple[Prompt, Response]]], None]


@dataclass(frozen=True)
class ModelIdentity:
    """The identity of a model, precise enough that two equal identities give equal answers on one machine.

    ``name`` is what people call it (the spec without its revision); ``sha256`` is the hash over weights, tokenizer,
    chat template and dtype.
    ``parts`` holds the hash of each of these on its own, so that a difference can be named.
    """

    spec: str
    name: str
    sha256: str
    dtype: str
    device: str
    architecture: str = ""
    parameters: int = 0
    parts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the identity as plain JSON values."""
        return {
            "spec": self.spec,
            "name": self.name,
            "sha256": self.sha256,
            "dtype": self.dtype,
            "device": self.device,
            "architecture": self.architecture,
            "parameters": self.parameters,
            "parts": dict(self.parts),
            "notes": list(self.notes),
        }


@runtime_checkable
class LanguageModel(Protocol):
    """A model that answers closed questions with the log-probabilities of their labels."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""

    def answer(self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None) -> list[Answer]:
        """Answer each prompt; the answers come in the order of the prompts.

        A model may also take a keyword ``receive``, a callable of type :data:`Receive` that gets the answers as they
        come; a run that is killed then loses only those that it has not passed on.
        """

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""


@runtime_checkable
class GenerativeModel(LanguageModel, Protocol):
    """A model that also scores whole answers and writes texts."""

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        """Return how likely each whole answer to each prompt is, in the order of the prompts."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        /,
        settings: GenerationSettings,
        *,
        n_draws: int = 1,
        progress: Progress | None = None,
        receive: ReceiveResponses | None = None,
    ) -> list[tuple[Response, ...]]:
        """Write ``n_draws`` texts after each prompt, in the order of the prompts."""


@runtime_checkable
class EntailmentModel(Protocol):
    """A model that judges whether the first of two texts entails the second."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""

    def entail(
        self,
        pairs: Sequence[EntailmentPair],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveEntailments | None = None,
    ) -> list[EntailmentScores]:
        """Return how probable it is that each premise entails its hypothesis, in the order of the pairs."""

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""


@runtime_checkable
class ValueModel(Protocol):
    """A model that judges how faithfully responses reflect attributes; higher is better."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""

    def reward(self, requests: Sequence[RewardRequest], /, *, progress: Progress | None = None) -> list[float]:
        """Return the reward of each response for its attribute, in the order of the requests."""

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
