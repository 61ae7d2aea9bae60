"""A mixture of models: its probabilities are the weighted means of those of its parts."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar, cast

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.finite import is_number
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
)
from pytest_pluralism.models.composed.functions import Answering, as_model
from pytest_pluralism.models.composed.reading import MOST_WEIGHT, Part, read_composition
from pytest_pluralism.models.protocol import (
    GenerativeModel,
    LanguageModel,
    ModelIdentity,
    Progress,
    Receive,
    ReceiveFullAnswers,
    ReceiveResponses,
)

__all__ = [
    "Mixture",
    "by_draw",
    "chunked",
    "composed_identity",
    "generative",
    "load_mixture",
    "load_part",
    "mixed_answer",
    "mixture",
    "name_of",
    "notes_of",
    "own_parts",
    "prompt_text_of",
    "shares_of",
]

AskedT = TypeVar("AskedT")
ResultT = TypeVar("ResultT")

#: Requests that go through all parts before their results are passed on.
CHUNK = 256

#: The files of the compositions that are being loaded, the outermost first.
_OPEN: ContextVar[tuple[Path, ...]] = ContextVar("compositions", default=())

#: Returns the model of a spec that is of no kind of this package, such as one of a hook of the project, or ``None``.
LoadOwn = Callable[[str], LanguageModel | None]
_OWN: ContextVar[LoadOwn | None] = ContextVar("own parts", default=None)


@contextmanager
def own_parts(load: LoadOwn, /) -> Iterator[None]:
    """Have the parts of compositions that are loaded inside asked of a loader of the caller first."""
    token = _OWN.set(load)
    try:
        yield
    finally:
        _OWN.reset(token)


def mixture(
    models: Sequence[LanguageModel | Answering | str],
    /,
    *,
    weights: Sequence[float] | None = None,
    name: str = "mixture",
) -> Mixture:
    r"""Return the mixture of models.

    .. math:: p(y \mid x) = \sum_i w_i p_i(y \mid x)

    Parameters
    ----------
    models : sequence of LanguageModel, str or callable
        The parts, at least one: models, their specs, or functions as
        :class:`~pytest_pluralism.models.composed.functions.FunctionModel` takes them.
    weights : sequence of float, shape (n_models,), optional
        The weights, in [0, 1e9], not all 0; they are scaled to sum to 1. By default all are equal.
    name : str, default "mixture"
        The name in reports.

    Returns
    -------
    Mixture
        A language model. It answers closed questions, scores whole answers, and writes each text with one part, which
        is drawn with its weight.

    Raises
    ------
    InvalidParameterError
        There is no model, the weights are not one number of at least 0 for each model, or the name is empty.
    """
    name = name_of(name, "mixture")
    shares = shares_of(weights, models, "mixture")
    return Mixture([as_model(one) for one in models], shares, spec=f"mixture:{name}", name=name)


def shares_of(weights: Sequence[float] | None, models: Sequence[object], function: str, /) -> list[float]:
    """Return the weights of models, scaled to sum to 1; equal ones where none are given.

    Raises
    ------
    InvalidParameterError
        There is no model, or the weights are not one number of at least 0 for each model.
    """
    if isinstance(models, (str, bytes)) or not isinstance(models, Sequence) or not models:
        raise invalid_parameter("models", function, "a list of at least one model, spec or function", repr(models)[:60])
    given: list[object] = [1.0] * len(models)
    if weights is not None:
        # A set has no order, and a mapping would give its keys.
        in_order = isinstance(weights, Iterable) and not isinstance(weights, (Set, Mapping))
        given = list(weights) if in_order else []
    numbers = [float(one) for one in given if is_number(one) and one >= 0]
    # The sum of larger ones may be infinite.
    fit = len(numbers) == len(given) == len(models) and max(numbers) <= MOST_WEIGHT
    if not fit or not math.fsum(numbers) > 0:
        must = f"a list of one number of at least 0 for each model, not all 0 and none above {MOST_WEIGHT:,}"
        raise invalid_parameter("weights", function, must, f"{repr(weights)[:80]} for {len(models)} models")
    total = math.fsum(numbers)
    return [one / total for one in numbers]


def name_of(given: object, function: str, /) -> str:
    """Return the name of a composed model, which reports and baselines use.

    Raises
    ------
    InvalidParameterError
        It is not a text, or empty.
    """
    if not isinstance(given, str) or not given.strip():
        raise invalid_parameter("name", function, "a text that is not empty", repr(given)[:60])
    return given.strip()


def load_mixture(spec: str, /, **options: Any) -> Mixture:
    """Load ``mixture:FILE.toml``: each table ``[[part]]`` has a ``model`` and a ``weight``.

    Raises
    ------
    ModelError
        The file or a part is wrong.
    """
    path = Path(spec.partition(":")[2].strip()).expanduser()
    found = read_composition(path, "mixture")
    models = [load_part(part, path, options) for part in found.parts]
    return Mixture(models, [part.weight for part in found.parts], spec=spec, name=path.stem)


def load_part(part: Part, path: Path, options: Mapping[str, Any], /) -> LanguageModel:
    """Load one model of a composition, which may be a composition too.

    Raises
    ------
    ModelError
        The model cannot be loaded, or a composition holds itself.
    """
    from pytest_pluralism.models import load_model
    from pytest_pluralism.models.lazy import lazy_model

    here = path.resolve()
    if here in _OPEN.get():
        raise ModelError(f"{path} holds itself: a part leads back to it. Name other models in it.")
    token = _OPEN.set((*_OPEN.get(), here))
    try:
        own = _OWN.get()
        if own is not None and (found := own(part.spec)) is not None:
            return found
        known = {name: value for name, value in options.items() if name != "batch_size"}
        return lazy_model(part.spec, functools.partial(load_model, part.spec, **options), **known)
    except ModelError as error:
        raise ModelError(f"{path}: {part.name}: {error}") from error
    finally:
        _OPEN.reset(token)


class Mixture:
    """A language model whose probabilities are the weighted means of those of its parts."""

    def __init__(self, models: Sequence[LanguageModel], weights: Sequence[float], *, spec: str, name: str) -> None:
        self.models, self.weights = tuple(models), tuple(weights)
        about = [[model.identity.sha256, weight] for model, weight in zip(models, weights, strict=True)]
        self.identity = composed_identity(spec, name, models, ["mixture", about])

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt with the weighted mean of the probabilities of the parts."""

        def ask(part: Sequence[Prompt]) -> list[Answer]:
            each = [model.answer(part) for model in self.models]
            return [mixed_answer(answers, self.weights) for answers in zip(*each, strict=True)]

        return chunked(prompts, ask, progress, receive)

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        """Return how likely each whole answer is under the mixture."""
        models = [generative(model, "score_answers") for model in self.models]

        def ask(part: Sequence[FullAnswerPrompt]) -> list[FullAnswerScores]:
            each = [model.score_answers(part) for model in models]
            return [self._mixed_scores(scores) for scores in zip(*each, strict=True)]

        return chunked(prompts, ask, progress, receive)

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
        """Write each text with one part, which is drawn with its weight, from the seed, the prompt and the draw."""
        models = [generative(model) for model in self.models]

        def ask(part: Sequence[Prompt]) -> list[tuple[Response, ...]]:
            chosen = [[self._part_of(prompt, settings.seed, draw) for draw in range(n_draws)] for prompt in part]
            written: dict[tuple[int, int], tuple[Response, ...]] = {}
            for number, model in enumerate(models):
                wanted = [place for place, parts in enumerate(chosen) if number in parts]
                if wanted:
                    texts = model.generate([part[place] for place in wanted], settings, n_draws=n_draws)
                    written |= {(place, number): text for place, text in zip(wanted, texts, strict=True)}
            return [
                tuple(written[place, number][draw] for draw, number in enumerate(parts))
                for place, parts in enumerate(chosen)
            ]

        return chunked(prompts, ask, progress, by_draw(receive))

    def prompt_text(self, prompt: Prompt, /) -> str:
        """Return the prompt as the first part reads it."""
        return prompt_text_of(self.models[0], prompt)

    def take_notes(self) -> list[str]:
        """Return what the parts have to say, once."""
        return notes_of(self.models)

    def close(self) -> None:
        """Give back the memory of all parts."""
        for model in self.models:
            model.close()

    def _part_of(self, prompt: Prompt, seed: int, draw: int) -> int:
        """Return the part that writes a draw: equal prompts, seeds and draws always get the same one."""
        words = json.dumps([seed, draw, prompt.question, prompt.system, prompt.verbatim], ensure_ascii=True)
        point = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") / 2**64
        total = 0.0
        for number, weight in enumerate(self.weights):
            total += weight
            if point < total:
                return number
        # Rounding may leave the sum just below 1; a part of weight 0 never writes.
        return max(number for number, weight in enumerate(self.weights) if weight)

    def _mixed_scores(self, scores: Sequence[FullAnswerScores]) -> FullAnswerScores:
        first = scores[0]
        return FullAnswerScores(
            tuple(
                _mean_of_logs(one, self.weights) for one in zip(*(each.log_likelihoods for each in scores), strict=True)
            ),
            tuple(
                _mean_of_logs(one, self.weights)
                for one in zip(*(each.neutral_log_likelihoods for each in scores), strict=True)
            ),
            first.n_tokens,
            first.n_bytes,
        )


def mixed_answer(answers: Sequence[Answer], weights: Sequence[float], /) -> Answer:
    """Return the weighted mean of answers to one prompt.

    ``top_probability`` is the weighted probability of the likeliest token of the part that gives it, a lower bound.
    Where a part leaves probabilities open, the bounds are the weighted means of those of the parts.

    Raises
    ------
    ModelError
        An answer is sampled: its counts cannot be mixed.
    """
    if any(answer.is_sampled for answer in answers):
        raise ModelError(
            "A part of a composed model gives sampled answers, which cannot be mixed. Name one with probabilities."
        )
    logs = tuple(
        _mean_of_logs(one, weights) for one in zip(*(answer.log_probabilities for answer in answers), strict=True)
    )
    pairs = list(zip(answers, weights, strict=True))
    top, weight = max(pairs, key=lambda pair: pair[0].top_probability * pair[1])
    mass = math.fsum(answer.option_mass * share for answer, share in pairs)
    bounds: tuple[tuple[float, float], ...] = ()
    if any(answer.bounds for answer in answers):
        lows, highs = ([_ends(answer, end) for answer in answers] for end in (0, 1))
        bounds = tuple(zip(_means(lows, weights), _means(highs, weights), strict=True))
    unread = any(answer.unread_choice for answer, share in pairs if share)
    return Answer(logs, mass, top.top_token, top.top_probability * weight, bounds=bounds, unread_choice=unread)


def _ends(answer: Answer, end: int) -> list[float]:
    """Return the least (0) or the most (1) probability of each label; both are the one that is known."""
    if answer.bounds:
        return [one[end] for one in answer.bounds]
    return [math.exp(one) for one in answer.log_probabilities]


def _means(values: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """Return the weighted mean of each label."""
    means = (math.fsum(map(operator.mul, one, weights)) for one in zip(*values, strict=True))
    return [min(one, 1.0) for one in means]


def _mean_of_logs(logs: Sequence[float], weights: Sequence[float]) -> float:
    """Return the logarithm of the weighted mean of numbers that are given as logarithms."""
    pairs = [(one, weight) for one, weight in zip(logs, weights, strict=True) if weight]
    # A probability that a part does not know is not 0, and the largest of numbers may pass over it.
    if any(math.isnan(one) for one, _ in pairs):
        return math.nan
    top = max(one for one, _ in pairs)
    if top == -math.inf:
        return top
    return top + math.log(math.fsum(weight * math.exp(one - top) for one, weight in pairs))


def generative(model: LanguageModel, /, method: str = "generate") -> GenerativeModel:
    """Return a model that writes or scores texts, or refuse one that does not. A model that waits is loaded for it."""
    if not hasattr(model, method):
        raise ModelError(
            f"The part {model.identity.name!r} of a composed model has no method {method!r}. Name one that has it."
        )
    return cast("GenerativeModel", model)


def by_draw(receive: ReceiveResponses | None, /) -> Callable[[Sequence[tuple[Prompt, tuple[Response, ...]]]], None]:
    """Return a function that passes on the texts after prompts one by one, as a receiver of responses takes them."""

    def spread(done: Sequence[tuple[Prompt, tuple[Response, ...]]]) -> None:
        if receive is not None:
            receive([(prompt, response) for prompt, responses in done for response in responses])

    return spread


def prompt_text_of(model: LanguageModel, prompt: Prompt, /) -> str:
    """Return the prompt as a part reads it, or its question where the part does not tell."""
    shown = getattr(model, "prompt_text", None)
    return str(shown(prompt)) if shown is not None else prompt.question


def notes_of(models: Sequence[LanguageModel], /) -> list[str]:
    """Return what models have to say since they were last asked; one that is not loaded has nothing to say."""
    loaded = [model for model in models if getattr(model, "is_loaded", True)]
    return list(dict.fromkeys(note for model in loaded for note in getattr(model, "take_notes", list)()))


def chunked(
    requests: Sequence[AskedT],
    ask: Callable[[Sequence[AskedT]], list[ResultT]],
    progress: Progress | None,
    receive: Callable[[Sequence[tuple[AskedT, ResultT]]], None] | None,
) -> list[ResultT]:
    """Answer requests in chunks, and pass the results of each on, so that a run that is killed loses one chunk."""
    results: list[ResultT] = []
    for start in range(0, len(requests), CHUNK):
        part = requests[start : start + CHUNK]
        found = ask(part)
        results += found
        if receive is not None:
            receive(list(zip(part, found, strict=True)))
        if progress is not None:
            progress(len(results), len(requests))
    return results


def composed_identity(spec: str, name: str, models: Sequence[LanguageModel], about: object, /) -> ModelIdentity:
    """Return the identity of a composed model: it covers the identities of its parts and how they are composed."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
    identities = [model.identity for model in models]
    return ModelIdentity(
        spec=spec,
        name=name,
        sha256=digest,
        dtype="+".join(dict.fromkeys(one.dtype for one in identities)),
        device="+".join(dict.fromkeys(one.device for one in identities)),
        architecture="composed",
        parameters=sum(one.parameters for one in identities),
        parts={f"{number}: {one.name}": one.sha256 for number, one in enumerate(identities, start=1)},
        notes=tuple(note for one in identities for note in one.notes),
    )
