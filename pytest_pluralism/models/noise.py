"""The noise floor: how far answers of an unchanged model move with the shape and order of batches. No torch here.

Sums of floating-point numbers depend on their order, and a device adds in another order for another shape of batch.
So the same prompt gets slightly different probabilities in another company, and a change that small says nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, cast, runtime_checkable

from pytest_pluralism.core.errors import ModelError, invalid_parameter
from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.models.measured import MeasuredFile, threads_offered
from pytest_pluralism.models.protocol import LanguageModel, ModelIdentity
from pytest_pluralism.models.versions import package_version

__all__ = ["N_PROMPTS", "BatchedModel", "NoiseFloor", "kept_noise_floor", "measure_noise_floor", "noise_floor"]

#: Number of prompts that are asked, each in every way.
N_PROMPTS = 24

#: The other batches: as large as the model takes, and small ones in the opposite order.
SMALL_BATCH = 7

#: Prompts that are added in a run that has few of its own.
_TOPICS = ("the news", "the schools near you", "your neighbours", "the courts", "large companies", "the weather")
_SCALES = (
    ("Good", "Bad"),
    ("A great deal", "Some", "Hardly any"),
    ("Very often", "Often", "Seldom", "Never"),
    ("Much better", "Better", "The same", "Worse", "Much worse"),
)


@runtime_checkable
class BatchedModel(Protocol):
    """A model that can be told how many prompts to compute at once."""

    @property
    def identity(self) -> ModelIdentity:
        """The identity of the model."""
        ...

    def answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt, at most ``batch_size`` at once; with 1, each by itself from its first token."""
        ...


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The noise floor of a model: how far answers moved that should not have moved at all.

    Parameters
    ----------
    probability : float
        The largest change of the probability of a label, of all labels of all prompts, from 0 to 1.
    distribution : float
        The largest Jensen-Shannon distance (base 2, from 0 to 1) between two distributions over the labels of a prompt.
    typical : float
        The root mean square of that distance over the prompts: no mean of Jensen-Shannon distances to anything, taken
        over these prompts, moved by more.
    n_prompts : int
        How many prompts were asked.

    Notes
    -----
    The Jensen-Shannon distance is a metric [1]_, so the distance of an answer to any reference moves by at most the
    distance between the two answers.
    Its square is jointly convex, so the same holds for an answer that is the mean over repetitions, with the root of
    the mean square in place of the distance.

    References
    ----------
    .. [1] Endres, D. M., & Schindelin, J. E. (2003). A new metric for probability distributions. IEEE Transactions on
       Information Theory, 49(7), 1858-1860. https://doi.org/10.1109/TIT.2003.813506
    """

    probability: float
    distribution: float
    typical: float
    n_prompts: int

    def as_json(self) -> dict[str, object]:
        """Return the record as plain JSON values."""
        return asdict(self)


def measure_noise_floor(model: BatchedModel, prompts: Sequence[Prompt], /) -> NoiseFloor:
    """Ask the same prompts one at a time, in large batches, and in small batches the other way round.

    Parameters
    ----------
    model : BatchedModel
        The model to ask; nothing is taken from a store.
    prompts : sequence of Prompt
        The questions to ask; some two dozen, evenly spread, are taken.

    Returns
    -------
    NoiseFloor
        The changes against one prompt at a time; 0 is best.

    Raises
    ------
    InvalidParameterError
        If there is no prompt.
    ModelError
        If the model cannot answer.
    """
    from pytest_pluralism.core.metrics import jensen_shannon_distance

    chosen = _spread(list(dict.fromkeys(prompts)), N_PROMPTS)
    if not chosen:
        raise invalid_parameter("prompts", "measure_noise_floor", "at least one prompt", "none")
    alone = model.answer_in_batches(chosen, batch_size=1)
    large = model.answer_in_batches(chosen, batch_size="auto")
    small = model.answer_in_batches(chosen[::-1], batch_size=SMALL_BATCH)[::-1]
    probability = 0.0
    distances = []
    for first, *others in zip(alone, large, small, strict=True):
        ours = _probabilities(first)
        moved = 0.0
        for other in others:
            theirs = _probabilities(other)
            probability = max(probability, *(abs(a - b) for a, b in zip(ours, theirs, strict=True)))
            moved = max(moved, float(jensen_shannon_distance(_shares(ours), _shares(theirs))))
        distances.append(moved)
    typical = math.sqrt(math.fsum(one * one for one in distances) / len(distances))
    return NoiseFloor(probability, max(distances), typical, len(chosen))


def noise_floor(model: LanguageModel, prompts: Sequence[Prompt], /) -> NoiseFloor | None:
    """Return the noise floor of a model where it runs: as it was measured before, or measured now and kept.

    Parameters
    ----------
    model : LanguageModel
        The model. Its answers to ``prompts`` are computed anew, in three ways, where no measurement is kept.
    prompts : sequence of Prompt
        The prompts of the run; where there are few, a small set of our own fills them up.

    Returns
    -------
    NoiseFloor or None
        ``None`` for a model that cannot be told how many prompts to compute at once.
    """
    told = getattr(type(model), "noise_floor_told", None)
    if told is not None:
        # Measured where the model ran.
        found_there: NoiseFloor | None = told(model)
        return found_there
    kept = kept_noise_floor(model.identity)
    # Not isinstance: a model that is loaded when it is first asked has the method only then.
    if kept is not None or not callable(getattr(model, "answer_in_batches", None)):
        return kept
    batched = cast("BatchedModel", model)
    own = list(dict.fromkeys(prompts))
    try:
        found = measure_noise_floor(batched, own + _set_of_our_own()[: max(0, N_PROMPTS - len(own))])
    except ModelError:
        # A tokenizer without our letters, or a context too short for our questions.
        if not own:
            return None
        found = measure_noise_floor(batched, own)
    # Where it cannot be kept, the next run measures it again.
    noise_file(model.identity).write(found.as_json())
    return found


def kept_noise_floor(identity: ModelIdentity, /) -> NoiseFloor | None:
    """Return what was measured of a model on this machine before; no model is needed for that."""
    content, _ = noise_file(identity).read()
    if content is None or set(content) != set(NoiseFloor.__slots__):
        return None
    numbers = [content[name] for name in ("probability", "distribution", "typical")]
    possible = all(type(value) in {int, float} and 0 <= value <= 1 for value in numbers)
    if not possible or type(content["n_prompts"]) is not int or content["n_prompts"] < 1:
        return None
    return NoiseFloor(**content)


def noise_file(identity: ModelIdentity) -> MeasuredFile:
    """Return the file that keeps the noise floor of a model."""
    return MeasuredFile(
        "noise",
        {
            "model": identity.sha256,
            "device": identity.device,
            "threads": threads_offered(),
            "torch": package_version("torch"),
            "transformers": package_version("transformers"),
        },
    )


def _spread(prompts: list[Prompt], most: int) -> list[Prompt]:
    """Return some of the prompts, evenly spread over all."""
    n = min(most, len(prompts))
    return [prompts[place * len(prompts) // n] for place in range(n)]


def _set_of_our_own() -> list[Prompt]:
    labels = ("A", "B", "C", "D", "E")
    return [
        Prompt(
            f"How do you feel about {topic}?\n"
            + "\n".join(f"{label}. {text}" for label, text in zip(labels, scale, strict=False)),
            labels[: len(scale)],
        )
        for topic, scale in itertools.product(_TOPICS, _SCALES)
    ]


def _probabilities(answer: Answer) -> list[float]:
    return [math.exp(value) for value in answer.log_probabilities]


def _shares(probabilities: Sequence[float]) -> list[float]:
    total = math.fsum(probabilities)
    return [value / total if total > 0 else 1 / len(probabilities) for value in probabilities]
