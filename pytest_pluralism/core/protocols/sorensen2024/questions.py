"""The records of the case study, and the distribution over options that recorded logits give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import special

from pytest_pluralism.core.errors import invalid_parameter
from pytest_pluralism.core.parameters import at_least_one, whole_number
from pytest_pluralism.core.protocols.sorensen2024.prompts import LETTERS

__all__ = [
    "Sorensen2024Question",
    "Sorensen2024Quirks",
    "api_question",
    "option_probabilities",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorensen2024Quirks:
    """Quirks of the published code that its paper does not mention, each with its own switch; all on by default.

    Attributes
    ----------
    reads_hard_coded_tokens : bool
        Only the spellings whose ids are LLaMA's are read, whatever the model. Off: all recorded spellings.
    reads_processed_scores : bool
        The scores are those after temperature and top-p of the model's own generation settings. Off: the raw logits.
    averages_logits : bool
        Logits are averaged over the repetitions. Off: probabilities are, as the paper says.
    sums_spellings : bool
        An option's score is the sum of its spellings' mean logits, with three spellings roughly a temperature of 1/3
        (for an API: the spelling listed last overwrites the others). Off: the logarithm of their summed probability.
    empty_option_scores_zero : bool
        An option of which no spelling survives scores 0.0 and wins against negative logits. Off: probability 0.
    stops_at_18_letters : bool
        Options past R have no letter and get probability 0. Off: every recorded option counts.
    misses_are_impossible : bool
        A letter that an API does not list has logit minus infinity, so one miss in five makes it impossible. Off: half
        of the largest probability that it can have had.
    drops_zero_cells : bool
        A probability of 0 makes the entropy NaN, and the question is dropped. Off: 0 log 0 = 0 and nothing is dropped.
    drops_nan_distances : bool
        Near-equal distributions have distance NaN and are dropped. Off: clipped, and nothing is dropped.
    shuffles_once : bool
        The shuffle control is one permutation a question. Off: the mean over all of them.
    breaks_mpi_target : bool
        The human distribution of the inventory is sorted by frequency, without its mode. Off: the shares of people.
    single_precision : bool
        The scores and the softmax are in float32. Off: float64.
    """

    reads_hard_coded_tokens: bool = True
    reads_processed_scores: bool = True
    averages_logits: bool = True
    sums_spellings: bool = True
    empty_option_scores_zero: bool = True
    stops_at_18_letters: bool = True
    misses_are_impossible: bool = True
    drops_zero_cells: bool = True
    drops_nan_distances: bool = True
    shuffles_once: bool = True
    breaks_mpi_target: bool = True
    single_precision: bool = True


@dataclass(frozen=True)
class Sorensen2024Question:
    """The recorded logits of one question.

    Attributes
    ----------
    question_id : str
        Its name.
    logits : array_like, shape (n_repetitions, n_letters, n_spellings)
        The raw logit of each spelling of each letter as the next token; NaN where a letter has fewer spellings, minus
        infinity where a spelling has no probability.
    populations : mapping of str to array_like, shape (n_options,)
        The answers of people, by population.
    processed_logits : array_like, optional
        Of the same shape: after the model's generation settings. By default the raw logits.
    n_hard_coded : int, optional
        Number of spellings, from the first, that are in the published list. By default all.
    mpi_counts : mapping of int to float, optional
        For an item of the inventory, in place of ``populations``: how many people answered 1 ... 5 (5 the most
        accurate after the key) and 0 (nothing).
    mpi_key : int
        1, or -1 for an item that is keyed in reverse.
    missing_bounds : array_like, shape (n_repetitions,), optional
        For an API: the largest probability that a letter which is not listed can have.
    """

    question_id: str
    logits: npt.ArrayLike
    populations: Mapping[str, npt.ArrayLike] = field(default_factory=dict)
    processed_logits: npt.ArrayLike | None = None
    n_hard_coded: int | None = None
    mpi_counts: Mapping[int, float] | None = None
    mpi_key: int = 1
    missing_bounds: npt.ArrayLike | None = None

    @property
    def from_api(self) -> bool:
        """Whether the logits come from the list of an API."""
        return self.missing_bounds is not None


def option_probabilities(
    question: Sorensen2024Question, /, *, n_options: int, quirks: Sorensen2024Quirks | None = None
) -> npt.NDArray[np.floating]:
    """Turn the recorded logits of one question into the model's distribution over its options.

    Parameters
    ----------
    question : Sorensen2024Question
        The recorded question.
    n_options : int
        Number of options (the published code takes the length of the first human distribution).
    quirks : Sorensen2024Quirks, optional
        Which quirks are on; by default all.

    Returns
    -------
    ndarray, shape (n_options,)
        The distribution; NaN where no option has any probability.

    Raises
    ------
    InvalidParameterError
        The logits are not of shape (n_repetitions, n_letters, n_spellings), or there are fewer letters than options.
    """
    on = quirks or Sorensen2024Quirks()
    function = "option_probabilities"
    recorded = question.logits
    if on.reads_processed_scores and question.processed_logits is not None:
        recorded = question.processed_logits
    logits = np.asarray(recorded, dtype=np.float64)
    if logits.ndim != 3 or 0 in logits.shape:
        raise invalid_parameter(
            "logits", function, "of shape (n_repetitions, n_letters, n_spellings)", f"{logits.shape}"
        )
    if on.reads_hard_coded_tokens and question.n_hard_coded is not None:
        logits = logits[:, :, : question.n_hard_coded]
    n_read = min(n_options, len(LETTERS)) if on.stops_at_18_letters else n_options
    if logits.shape[1] < n_read:
        raise invalid_parameter("logits", function, f"recorded for {n_read} letters", f"{logits.shape[1]}")
    logits = logits[:, :n_read]
    if question.from_api and not on.misses_are_impossible:
        bounds = np.asarray(question.missing_bounds, dtype=np.float64)[:, np.newaxis]
        missed = np.isneginf(np.where(np.isnan(logits), -np.inf, logits).max(axis=-1))
        with np.errstate(divide="ignore"):
            logits = np.where(missed[..., np.newaxis], np.log(bounds / 2.0)[..., np.newaxis], logits)
            # The same number in every spelling would count several times.
            logits[..., 1:] = np.where(missed[..., np.newaxis], np.nan, logits[..., 1:])
    precise = logits.astype(np.float32) if on.single_precision else logits
    with np.errstate(invalid="ignore", under="ignore", over="ignore"):
        if on.averages_logits:
            spellings = precise.sum(axis=0, dtype=precise.dtype) / np.asarray(len(precise), dtype=precise.dtype)
            probabilities = _softmax(_combined(spellings, question.from_api, on))
        else:
            probabilities = _softmax(_combined(precise, question.from_api, on)).mean(axis=0)
    result = np.zeros(n_options, dtype=probabilities.dtype)
    result[:n_read] = probabilities
    return result


def api_question(
    question_id: str,
    top: Sequence[Mapping[str, float]],
    /,
    *,
    n_options: int,
    populations: Mapping[str, npt.ArrayLike],
) -> Sorensen2024Question:
    """Make the record of a question from what an API listed.

    Parameters
    ----------
    question_id : str
        Its name.
    top : sequence of mapping of str to float
        One a repetition: the log-probabilities of the tokens that the API listed, by their text.
    n_options : int
        Number of options.
    populations : mapping of str to array_like
        The answers of people.

    Returns
    -------
    Sorensen2024Question
        With the spellings of each letter in the order of the list, and the bounds of what is not listed: the smaller
        of the smallest listed probability and what the list leaves over.

    Raises
    ------
    InvalidParameterError
        There is no repetition, or more options than letters.
    """
    function = "api_question"
    at_least_one(top, "repetition", name="top", function=function)
    whole_number(n_options, name="n_options", function=function, most=len(LETTERS))
    found = [
        [[value for token, value in listed.items() if token.strip() == letter] for letter in LETTERS[:n_options]]
        for listed in top
    ]
    width = max(1, max(len(spellings) for letters in found for spellings in letters))
    logits = np.full((len(top), n_options, width), np.nan)
    for repetition, letters in enumerate(found):
        for place, spellings in enumerate(letters):
            logits[repetition, place, 0] = -math.inf
            logits[repetition, place, : len(spellings)] = spellings
    bounds = []
    for listed in top:
        probabilities = [math.exp(value) for value in listed.values()]
        left_over = max(0.0, 1.0 - sum(probabilities))
        bounds.append(min([left_over, *probabilities]))
    return Sorensen2024Question(question_id, logits, populations, missing_bounds=tuple(bounds))


def _combined(logits: npt.NDArray[np.floating], from_api: bool, on: Sorensen2024Quirks) -> npt.NDArray[np.floating]:
    """Return one score an option from its spellings, the last axis."""
    present = ~np.isnan(logits)
    if from_api:
        if on.sums_spellings:
            # The list is read into a dictionary by the letter alone: the last spelling stays.
            last = np.maximum(present.shape[-1] - 1 - present[..., ::-1].argmax(axis=-1), 0)
            one: npt.NDArray[np.floating] = np.take_along_axis(logits, last[..., np.newaxis], axis=-1)[..., 0]
            return np.where(present.any(axis=-1), one, -np.inf)
        return _log_sum(logits, present)
    alive = present & ~np.isneginf(logits)
    if on.sums_spellings:
        scores = np.where(alive, logits, np.zeros((), dtype=logits.dtype)).sum(axis=-1, dtype=logits.dtype)
    else:
        scores = _log_sum(logits, present)
    empty = 0.0 if on.empty_option_scores_zero else -np.inf
    return np.where(alive.any(axis=-1), scores, np.asarray(empty, dtype=logits.dtype))


def _log_sum(logits: npt.NDArray[np.floating], present: npt.NDArray[np.bool_]) -> npt.NDArray[np.floating]:
    with np.errstate(divide="ignore"):
        result: npt.NDArray[np.floating] = special.logsumexp(np.where(present, logits, -np.inf), axis=-1)
    return result


def _softmax(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the softmax over the last axis, NaN where every score is minus infinity."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: npt.NDArray[np.floating] = weights / weights.sum(axis=-1, keepdims=True)
    return result
