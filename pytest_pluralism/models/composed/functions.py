"""Functions as models: a callable that gives probabilities of labels, or texts, becomes a language model."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import SupportsFloat

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import Answer, GenerationSettings, Prompt, Response
from pytest_pluralism.models.protocol import (
    LanguageModel,
    ModelIdentity,
    Progress,
    Receive,
    ReceiveResponses,
)

__all__ = ["Answering", "FunctionModel", "as_model", "called"]

#: Probabilities may exceed 1 together by rounding alone.
ROUNDING = 1e-6

#: A function that answers: a prompt with labels by their probabilities, a prompt without by a text.
Answering = Callable[[Prompt], object]


def as_model(given: LanguageModel | Answering | str, /) -> LanguageModel:
    """Return a model: the one given, the one that a spec names, or the one that a function makes.

    Raises
    ------
    ModelError
        The spec names no model.
    InvalidParameterError
        It is none of the three.
    """
    if isinstance(given, str):
        from pytest_pluralism.models import load_model

        return load_model(given)
    if isinstance(given, LanguageModel):
        return given
    if callable(given):
        return FunctionModel(given)
    must = "a spec, a model with identity, answer and close, or a function of a prompt"
    raise invalid_parameter("models", "a composed model", must, repr(given)[:80])


def called(given: object, /) -> bool:
    """Return whether something is a function that stands for a model, and not a model or a class."""
    return callable(given) and not isinstance(given, (LanguageModel, type))


class FunctionModel:
    """A language model that asks a function.

    Parameters
    ----------
    function : callable
        Called with each :class:`~pytest_pluralism.core.records.Prompt`. Where the prompt has labels it returns a
        mapping from each label to its probability, or the probabilities in the order of the labels, each in [0, 1] and
        together at most 1; else it returns a text.
    name : str, optional
        The name in reports; by default that of the function.
    version : str, optional
        A text that changes when the answers may change. Without it no answer is kept between runs, because nobody
        can tell whether the function is still the same.
    """

    def __init__(self, function: Answering, /, *, name: str | None = None, version: str | None = None) -> None:
        self._function = function
        name = name or str(getattr(function, "__name__", type(function).__name__))
        about = uuid.uuid4().hex if version is None else f"{name} {version}"
        self.identity = ModelIdentity(
            spec=f"function:{name}",
            name=name,
            sha256=hashlib.sha256(about.encode()).hexdigest(),
            dtype="float64",
            device="cpu",
            architecture="function",
        )

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt with the probabilities that the function gives to its labels."""
        found = []
        for prompt in prompts:
            found.append(self._answer(prompt))
            if receive is not None:
                receive([(prompt, found[-1])])
            if progress is not None:
                progress(len(found), len(prompts))
        return found

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
        """Return the texts of the function; each draw is another call."""
        found = []
        for prompt in prompts:
            texts = tuple(Response(self._text(prompt), 0, "eos", draw) for draw in range(n_draws))
            found.append(texts)
            if receive is not None:
                receive([(prompt, text) for text in texts])
            if progress is not None:
                progress(len(found), len(prompts))
        return found

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the question of a prompt."""
        return prompt.question if prompt.verbatim is None else prompt.verbatim

    def close(self) -> None:
        """Do nothing: a function holds no memory of ours."""

    def _answer(self, prompt: Prompt) -> Answer:
        given = self._called(prompt)
        shares = self._shares(given, prompt.labels)
        mass = math.fsum(shares)
        if not all(0.0 <= one <= 1.0 for one in shares) or not 0.0 < mass <= 1.0 + ROUNDING:
            raise self._wrong("probabilities in [0, 1], which sum to more than 0 and at most 1", given)
        top = max(range(len(shares)), key=shares.__getitem__)
        logs = tuple(math.log(one) if one > 0 else -math.inf for one in shares)
        return Answer(logs, min(mass, 1.0), prompt.labels[top], shares[top])

    def _shares(self, given: object, labels: Sequence[str]) -> list[float]:
        """Return one number a label."""
        if isinstance(given, Mapping):
            if set(given) != set(labels):
                raise self._wrong(f"a probability for each of {', '.join(labels)}", given)
            given = [given[label] for label in labels]
        try:
            values = None if isinstance(given, (str, bytes)) else list(given)  # type: ignore[call-overload]
        except TypeError:
            values = None
        numbers = [float(one) for one in values or () if isinstance(one, SupportsFloat) and not isinstance(one, bool)]
        if len(numbers) != len(labels) or values is None or len(values) != len(labels):
            raise self._wrong(f"a probability for each of {', '.join(labels)}", given)
        return numbers

    def _text(self, prompt: Prompt) -> str:
        given = self._called(prompt)
        if not isinstance(given, str):
            raise self._wrong("a text", given)
        return given

    def _called(self, prompt: Prompt) -> object:
        try:
            return self._function(prompt)
        except Exception as error:
            raise ModelError(
                f"The function {self.identity.name!r} raised {type(error).__name__}: {error}. It was asked: "
                f"{prompt.question[:60]!r}."
            ) from error

    def _wrong(self, must: str, given: object) -> ModelError:
        return ModelError(f"The function {self.identity.name!r} must return {must}. Got {repr(given)[:80]}.")
