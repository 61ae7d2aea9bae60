"""Damages that answers can bear without asking a model again: shares and records in, shares and records out.

They show whether a promise guards anything: a promise that is kept by damaged answers too notices nothing of the damage
(``--pluralism-mutants``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import FloatArray
from pytest_pluralism.core.records import Answer, EntailmentScores, FullAnswerScores, Response

__all__ = [
    "DAMAGES",
    "Damage",
    "chosen",
    "collapsed",
    "derangement",
    "flattened",
    "less_entailed",
    "moved",
    "refused_answer",
    "rewritten",
    "shares_of",
    "sharpened",
    "towards",
    "with_shares",
    "with_shares_of_texts",
    "without_option",
]

#: The part of the option mass that a refused question keeps.
LEFT_AFTER_REFUSAL = 1e-3


@dataclass(frozen=True, slots=True)
class Damage:
    """Name one damage.

    Attributes
    ----------
    name : str
        The kind of damage, ``"sharpened"``.
    at : str
        The strength in words, ``"T=0.5"``; empty where a kind has one strength.
    amount : float
        The strength as a number: a temperature, or a share in (0, 1].
    words : str
        The model that is damaged so, as it ends the sentence "nothing in this suite would notice ...".
    """

    name: str
    at: str
    amount: float
    words: str

    @property
    def label(self) -> str:
        """The kind and the strength, ``"sharpened T=0.5"``."""
        return f"{self.name} {self.at}".rstrip()


def _several(name: str, words: str, amounts: Sequence[float], form: str) -> tuple[Damage, ...]:
    return tuple(Damage(name, form.format(amount), amount, words) for amount in amounts)


#: Every damage, the mildest of a kind first.
DAMAGES: tuple[Damage, ...] = (
    *_several("sharpened", "a model whose answers are sharpened", (0.8, 0.5, 0.2, 0.1), "T={:g}"),
    Damage("flattened", "", 1.0, "a model that answers every question evenly"),
    Damage("collapsed", "letter", 1.0, "a model that always answers with the first letter"),
    Damage("collapsed", "place", 1.0, "a model that always takes the first option of the scale"),
    Damage("majority", "", 1.0, "a model that never gives a minority answer"),
    Damage("dropped_option", "", 1.0, "a model that never gives the rarest answer"),
    Damage("shuffled", "", 1.0, "a model that confuses the options of each question"),
    *_several("refusals", "a model that refuses to answer", (0.1, 0.3), "{:.0%}"),
    Damage("one_sided", "", 1.0, "a model that leaves out one side of each question"),
    Damage("first_sentence", "", 1.0, "a model that stops after its first sentence"),
    *_several("unequal", "a model that serves one group of jurors worse", (0.25, 0.5, 1.0), "{:.0%}"),
)


# ------------------------------------------------------------------------------------------------------------ shares


def sharpened(shares: npt.ArrayLike, /, *, temperature: float) -> FloatArray:
    r"""Return shares as a lower temperature makes them.

    .. math:: p_i^{1/T} / \sum_j p_j^{1/T}

    Parameters
    ----------
    shares : array_like, shape (n_options,)
        Shares that sum to 1.
    temperature : float in (0, inf)
        Below 1 the likeliest option gains, above 1 it loses.

    Returns
    -------
    numpy.ndarray, shape (n_options,)
        Shares that sum to 1.

    Raises
    ------
    InvalidParameterError
        If the temperature is not a positive number.

    Examples
    --------
    >>> sharpened([0.6, 0.4], temperature=0.5).round(4).tolist()
    [0.6923, 0.3077]
    """
    if not 0.0 < temperature < math.inf:
        raise invalid_parameter("temperature", "sharpened", "a float in (0, inf)", repr(temperature))
    values = np.asarray(shares, dtype=np.float64)
    # Relative to the largest, so that no power underflows in all of them.
    powers = (values / values.max()) ** (1.0 / temperature)
    return np.asarray(powers / powers.sum())


def flattened(shares: npt.ArrayLike, /) -> FloatArray:
    """Return even shares, shape (n_options,)."""
    n_options = len(np.asarray(shares))
    return np.full(n_options, 1.0 / n_options)


def collapsed(shares: npt.ArrayLike, option: int, /) -> FloatArray:
    """Return shares that are all on one option, shape (n_options,)."""
    return towards(shares, option, amount=1.0)


def towards(shares: npt.ArrayLike, option: int, /, *, amount: float) -> FloatArray:
    """Return shares of which a part moved to one option.

    Parameters
    ----------
    shares : array_like, shape (n_options,)
        Shares that sum to 1.
    option : int
        The option that gains.
    amount : float in [0, 1]
        The part of all other shares that it gains.

    Examples
    --------
    >>> towards([0.6, 0.4], 1, amount=0.5).tolist()
    [0.3, 0.7]
    """
    values = np.asarray(shares, dtype=np.float64) * (1.0 - amount)
    values[option] += amount
    return values


def without_option(shares: npt.ArrayLike, option: int, /) -> FloatArray:
    """Return shares in which one option has none, and the others have grown in proportion (evenly if they had none).

    Examples
    --------
    >>> without_option([0.5, 0.3, 0.2], 2).tolist()
    [0.625, 0.375, 0.0]
    """
    values = np.array(shares, dtype=np.float64)
    values[option] = 0.0
    if values.sum() <= 0.0:
        values[:] = 1.0
        values[option] = 0.0
    return np.asarray(values / values.sum())


def moved(shares: npt.ArrayLike, to: Sequence[int], /) -> FloatArray:
    """Return shares in which option ``i`` has moved to place ``to[i]``."""
    values = np.asarray(shares, dtype=np.float64)
    result = np.empty_like(values)
    result[np.asarray(to)] = values
    return result


def derangement(n: int, key: str, /) -> tuple[int, ...]:
    """Return an order of ``n`` options that leaves none in its place, drawn from a key: the same for the same key."""
    draw = random.Random(key)  # noqa: S311
    order = list(range(n))
    draw.shuffle(order)
    # Each moves to the place of the next one in a random circle.
    following = {one: order[(place + 1) % n] for place, one in enumerate(order)}
    return tuple(following[one] for one in range(n))


def chosen(keys: Sequence[str], share: float, /, *, seed: int) -> frozenset[str]:
    """Return the given share of the keys, at least one, drawn from the seed.

    A larger share under the same seed holds the smaller one.
    """
    distinct = list(dict.fromkeys(keys))
    random.Random(f"{seed}/damage").shuffle(distinct)  # noqa: S311
    return frozenset(distinct[: max(1, round(share * len(distinct)))])


# ----------------------------------------------------------------------------------------------------------- records


def shares_of(answer: Answer, /) -> FloatArray:
    """Return the shares of the labels of an answer among themselves, shape (n_labels,)."""
    values = np.asarray(answer.log_probabilities, dtype=np.float64)
    weights = np.exp(values - values.max())
    return np.asarray(weights / weights.sum())


def with_shares(answer: Answer, shares: npt.ArrayLike, /) -> Answer:
    """Return an answer with other shares of its labels and the same option mass.

    The logits and likeliest tokens, which the published protocols read, are left out: they would contradict the shares.
    """
    with np.errstate(divide="ignore"):
        logged = np.log(np.asarray(shares, dtype=np.float64) * answer.option_mass)
    # A sampled answer stays one, from as many draws.
    counts = tuple((np.asarray(shares) * math.fsum(answer.counts)).tolist()) if answer.is_sampled else ()
    bare = replace(answer, label_logits=(), top_tokens=(), bounds=())
    return replace(bare, log_probabilities=tuple(logged.tolist()), counts=counts)


def with_shares_of_texts(scores: FullAnswerScores, shares: npt.ArrayLike, /) -> FullAnswerScores:
    """Return scores of whole answers that every reading of them turns into the given shares."""
    with np.errstate(divide="ignore"):
        logged = tuple(np.log(np.asarray(shares, dtype=np.float64)).tolist())
    ones = (1,) * len(logged)
    return replace(
        scores, log_likelihoods=logged, neutral_log_likelihoods=(0.0,) * len(logged), n_tokens=ones, n_bytes=ones
    )


def refused_answer(answer: Answer, /) -> Answer:
    """Return the answer of a model that refuses: its labels keep their shares, and nearly no mass is on them."""
    logged = tuple(value + math.log(LEFT_AFTER_REFUSAL) for value in answer.log_probabilities)
    mass = answer.option_mass * LEFT_AFTER_REFUSAL
    drawn = answer.n_drawn / LEFT_AFTER_REFUSAL
    bare = replace(answer, label_logits=(), top_tokens=(), bounds=())
    return replace(bare, log_probabilities=logged, option_mass=mass, n_drawn=drawn)


def rewritten(responses: Sequence[Response], texts: Sequence[str], /) -> tuple[Response, ...]:
    """Return responses with other texts, as if the model had ended each of them."""
    pairs = zip(responses, texts, strict=True)
    return tuple(one if one.text == text else replace(one, text=text, stopped_by="eos") for one, text in pairs)


def less_entailed(scores: EntailmentScores, amount: float, /) -> EntailmentScores:
    """Return scores in which a part of the entailment, in [0, 1], has become neutral."""
    lost = scores.entailment * amount
    neutral = None if scores.neutral is None else scores.neutral + lost
    return replace(scores, entailment=scores.entailment - lost, neutral=neutral)
