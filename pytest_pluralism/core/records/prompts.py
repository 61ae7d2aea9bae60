"""Requests to models, and the answers to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_number

__all__ = [
    "Answer",
    "EntailmentPair",
    "EntailmentScores",
    "FullAnswerPrompt",
    "FullAnswerScores",
    "GenerationSettings",
    "Prompt",
    "RequestName",
    "Response",
    "RewardRequest",
    "Turn",
    "more_draws",
    "sampled_answer",
]


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange in a prompt: an in-context example and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One closed question as it is put to a model, and the labels that it may answer with.

    ``template`` is ``"auto"`` (the model's chat template if it has one, else raw), ``"raw"`` or ``"chat"``.
    ``cue`` is what the model continues: the text after the question in a raw prompt (``"Answer:"``).
    A raw prompt is ``system``, then each example as ``question cue answer`` and a blank line, then ``question cue``.
    A prompt whose ``verbatim`` text is set is sent as that text exactly, whatever the rest says.
    """

    question: str
    labels: tuple[str, ...]
    examples: tuple[Turn, ...] = ()
    system: str = ""
    cue: str = "Answer:"
    template: str = "auto"
    verbatim: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a model to one :class:`Prompt`.

    ``log_probabilities`` holds one natural logarithm a label, over the whole vocabulary, in fp32 or better: the
    logsumexp over all single-token spellings of the label.
    ``option_mass`` is the sum of their exponentials; ``top_token`` the likeliest next token of all.
    ``label_logits`` (the raw logit of each spelling of each label) and ``top_tokens`` (the ten likeliest next tokens,
    as the tokenizer decodes each alone, with their probabilities) are what the published protocols read; a model that
    is never asked under one of them may leave both empty.
    ``counts`` says of a sampled answer how often each label was drawn, and ``n_drawn`` how many draws there were, those
    that name no label included; :func:`sampled_answer` makes such an answer. Both are empty where probabilities were
    read. The effect of drawing is taken out of a measure or carried by its interval.
    ``bounds`` holds the least and the most probability of each label where only the likeliest tokens are known;
    ``log_probabilities`` are then the logarithms of their middles. Empty where probabilities are known.
    ``unread_choice`` says that the answer rests on a choice of a model that could not be read, so that it was drawn.
    """

    log_probabilities: tuple[float, ...]
    option_mass: float
    top_token: str
    top_probability: float
    label_logits: tuple[tuple[float, ...], ...] = ()
    top_tokens: tuple[tuple[str, float], ...] = ()
    counts: tuple[float, ...] = ()
    n_drawn: float = 0.0
    bounds: tuple[tuple[float, float], ...] = ()
    unread_choice: bool = False

    @property
    def open_share(self) -> float:
        """The widest range of the share of a label among all labels, in [0, 1]; 0 where probabilities are known."""
        if not self.bounds:
            return 0.0
        return max(high - low for low, high in self.share_bounds())

    def share_bounds(self) -> tuple[tuple[float, float], ...]:
        r"""Return the least and the most share of each label among all labels.

        .. math:: \frac{l_i}{l_i + \sum_{j \ne i} h_j} \le s_i \le \frac{h_i}{h_i + \sum_{j \ne i} l_j}
        """
        lows, highs = math.fsum(low for low, _ in self.bounds), math.fsum(high for _, high in self.bounds)
        return tuple(
            (low / (highs - high + low) if highs - high + low > 0 else 0.0, high / (lows - low + high) if high else 0.0)
            for low, high in self.bounds
        )

    @property
    def is_sampled(self) -> bool:
        """Whether the labels were drawn and counted, so that another answer of the same model would differ."""
        return bool(self.counts)


def sampled_answer(counts: Sequence[float], /, *, n_drawn: float | None = None, top_text: str = "") -> Answer:
    r"""Return the answer of which only draws are known.

    .. math:: \hat p_i = c_i / n

    Parameters
    ----------
    counts : sequence of float
        How often each label was drawn, in [0, inf), at least one of them positive.
    n_drawn : float, optional
        How many draws there were, in [sum of the counts, inf); by default each named a label.
    top_text : str
        The commonest text of all draws.

    Returns
    -------
    Answer
        ``option_mass`` is the share of the draws that name a label. A label that was never drawn has the
        log-probability of 0; how sure that is stands in ``counts``.

    Raises
    ------
    InvalidParameterError
        A count is negative or not finite, none is positive, or there were fewer draws than counts.

    Examples
    --------
    >>> answer = sampled_answer([3, 1], n_drawn=5)
    >>> answer.option_mass, answer.counts
    (0.8, (3.0, 1.0))
    """
    kept = tuple(float(count) for count in counts)
    if not all(math.isfinite(count) and count >= 0.0 for count in kept) or math.fsum(kept) <= 0.0:
        must = "finite, at least 0, and not all 0"
        raise invalid_parameter("counts", "sampled_answer", must, repr(kept)[:80])
    drawn = math.fsum(kept) if n_drawn is None else float(n_drawn)
    if not math.isfinite(drawn) or drawn < math.fsum(kept):
        raise invalid_parameter("n_drawn", "sampled_answer", f"at least {math.fsum(kept):g}", repr(n_drawn))
    return Answer(
        log_probabilities=tuple(math.log(count / drawn) if count else -math.inf for count in kept),
        option_mass=math.fsum(kept) / drawn,
        top_token=top_text,
        top_probability=max(kept) / drawn,
        counts=kept,
        n_drawn=drawn,
    )


def more_draws(answer: Answer, counts: Sequence[float], /, *, n_drawn: float, top_text: str = "") -> Answer:
    """Return a sampled answer with further draws to the same prompt.

    Parameters
    ----------
    answer : Answer
        The answer, from :func:`sampled_answer`.
    counts : sequence of float
        How often each label was drawn since, in [0, inf); all may be 0.
    n_drawn : float
        How many draws there were since, in [sum of the counts, inf).
    top_text : str
        The commonest text of the further draws; that of the larger part is kept.

    Examples
    --------
    >>> more_draws(sampled_answer([3, 1], n_drawn=5), [0, 4], n_drawn=5).counts
    (3.0, 5.0)
    """
    if len(counts) != len(answer.counts):
        must = f"one for each of {len(answer.counts)} labels"
        raise invalid_parameter("counts", "more_draws", must, repr(counts)[:80])
    together = [before + since for before, since in zip(answer.counts, counts, strict=True)]
    shown = answer.top_token if answer.n_drawn >= n_drawn else top_text
    return sampled_answer(together, n_drawn=answer.n_drawn + n_drawn, top_text=shown)


@dataclass(frozen=True, slots=True)
class FullAnswerPrompt:
    """One question, and the texts of the whole answers whose likelihoods are asked for: options that are not letters.

    The labels of ``prompt`` are not used.
    ``neutral`` is the prompt whose likelihood of an answer is subtracted for the pointwise mutual information; ``None``
    asks with the cue alone, in the form (raw or chat) of ``prompt``.
    """

    prompt: Prompt
    answers: tuple[str, ...]
    neutral: Prompt | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.answers, tuple) or not self.answers:
            raise invalid_parameter("answers", "FullAnswerPrompt", "a tuple of at least one text", repr(self.answers))
        for answer in self.answers:
            if not isinstance(answer, str) or not answer.strip():
                raise invalid_parameter(
                    "answers", "FullAnswerPrompt", "texts that are not empty", repr(self.answers)[:80]
                )
        if len(set(self.answers)) < len(self.answers):
            raise invalid_parameter("answers", "FullAnswerPrompt", "different texts", repr(self.answers)[:80])

    @property
    def neutral_prompt(self) -> Prompt:
        """The prompt that tells nothing of the question: ``neutral``, or the cue alone."""
        if self.neutral is not None:
            return self.neutral
        if self.prompt.verbatim is not None:
            return Prompt("", (), verbatim=self.prompt.cue)
        return Prompt(self.prompt.cue, (), cue="", template=self.prompt.template)


@dataclass(frozen=True, slots=True)
class FullAnswerScores:
    r"""The log-probability of each whole answer to one :class:`FullAnswerPrompt`.

    ``log_likelihoods`` holds :math:`\log P(\text{answer} \mid \text{prompt})` for each answer, the sum over its tokens
    of natural logarithms in fp32 or better; ``neutral_log_likelihoods`` the same after the neutral prompt.
    ``n_tokens`` are the tokens that were summed after the prompt, ``n_bytes`` the bytes of the answer in UTF-8.
    The end of the answer is not part of it: a text that begins like another is at least as likely.

    Examples
    --------
    >>> scores = FullAnswerScores((-3.0, -8.0), (-2.0, -9.0), (1, 2), (3, 16))
    >>> scores.log_likelihoods_per_byte
    (-1.0, -0.5)
    >>> scores.pointwise_mutual_information
    (-1.0, 1.0)
    """

    log_likelihoods: tuple[float, ...]
    neutral_log_likelihoods: tuple[float, ...]
    n_tokens: tuple[int, ...]
    n_bytes: tuple[int, ...]

    @property
    def log_likelihoods_per_byte(self) -> tuple[float, ...]:
        """The log-likelihoods divided by the bytes of the answers, which does not depend on the tokenizer."""
        return tuple(value / size for value, size in zip(self.log_likelihoods, self.n_bytes, strict=True))

    @property
    def pointwise_mutual_information(self) -> tuple[float, ...]:
        """The log-ratio, in nats, of each answer's probability after the prompt to that after the neutral one.

        This is the domain-conditional pointwise mutual information of Holtzman et al. 2021 (arXiv:2104.08315).
        """
        return tuple(
            value - neutral for value, neutral in zip(self.log_likelihoods, self.neutral_log_likelihoods, strict=True)
        )


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """Settings of generation: all that decides a text beside the prompt, the model and the number of the draw.

    Nothing is taken from a model's own ``generation_config``.

    Attributes
    ----------
    max_new_tokens : int
        Maximum number of tokens, at least 1.
    temperature : float
        Divides the logits, in [0, inf); 0 is greedy decoding: always the likeliest token.
    top_p : float
        Only the smallest set of likeliest tokens with at least this probability together, in (0, 1].
    top_k : int or None
        Number of likeliest tokens to draw from, at least 1 (and those that are exactly as likely as the last of them);
        applied before ``top_p``.
    stop : tuple of str
        Texts at which to stop; the response ends before the first of them.
    seed : int
        Decides the draws, together with the prompt and the number of the draw; at least 0.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        def refuse(name: str, must: str) -> InvalidParameterError:
            return invalid_parameter(name, "GenerationSettings", must, repr(getattr(self, name)))

        for name, least in (("max_new_tokens", 1), ("top_k", 1), ("seed", 0)):
            value = getattr(self, name)
            if name == "top_k" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise refuse(name, f"a whole number from {least}{' or None' if name == 'top_k' else ''}")
        for name, inside in (("temperature", "[0, inf)"), ("top_p", "(0, 1]")):
            value = getattr(self, name)
            if not is_number(value):
                raise refuse(name, f"a float in {inside}")
        if self.temperature < 0:
            raise refuse("temperature", "a float in [0, inf)")
        if not 0 < self.top_p <= 1:
            raise refuse("top_p", "a float in (0, 1]")
        # 1 and 1.0 are one setting, and what is stored under it is found under both.
        object.__setattr__(self, "temperature", float(self.temperature))
        object.__setattr__(self, "top_p", float(self.top_p))
        if not isinstance(self.stop, tuple) or not all(isinstance(text, str) and text for text in self.stop):
            raise refuse("stop", "a tuple of texts that are not empty")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken, so that all draws are alike."""
        return self.temperature == 0


@dataclass(frozen=True, slots=True)
class Response:
    """One text that a model wrote after a prompt.

    ``n_tokens`` counts the tokens that were drawn, the one that ended the text included; ``stopped_by`` is ``"eos"``
    (the model ended it), ``"stop"`` (a stop text came) or ``"length"``; ``draw`` counts from 0.
    ``unread_choice`` is that of :class:`Answer`.
    """

    text: str
    n_tokens: int
    stopped_by: str
    draw: int = 0
    unread_choice: bool = False


@dataclass(frozen=True, slots=True)
class EntailmentPair:
    """Two texts, of which an entailment model says whether the first (the premise) entails the second."""

    premise: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class EntailmentScores:
    """The probabilities of an entailment model for one :class:`EntailmentPair`, which sum to 1.

    A two-way model knows only whether the premise entails the hypothesis: ``neutral`` is then ``None``, and
    ``contradiction`` too; ``entailment`` stands alone.
    """

    entailment: float
    neutral: float | None = None
    contradiction: float | None = None


@dataclass(frozen=True, slots=True)
class RequestName:
    """The name of a request that people use: the question or query that it puts.

    ``name`` is the id of the question, or of the query of a window.
    ``options`` are the options of a closed question in the order of its survey, and label ``i`` of the request stands
    for option ``order[i]``.
    ``steering`` names the attribute that the model is steered to, and ``context`` how; both are empty where it is not.
    ``text`` is the question or query as its data set puts it: two data sets may use one id for different ones.
    """

    name: str
    options: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    steering: str = ""
    context: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """A response to a prompt, and the attribute that a value model says how faithfully it reflects."""

    prompt: str
    response: str
    attribute: str
