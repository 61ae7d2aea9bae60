"""The records that cross borders inside the package: frozen, made of plain Python values, free of numpy.

Nothing here computes a measure or decides anything.
Live objects (models, pytest items, arrays on a device) never go into a record.
"""

from __future__ import annotations

import enum
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.finite import is_finite, is_number
from pytest_pluralism.core.records.measures import Measure

__all__ = [
    "Answer",
    "AnswerDistribution",
    "Crossed",
    "EntailmentPair",
    "EntailmentScores",
    "Estimate",
    "FullAnswerPrompt",
    "FullAnswerScores",
    "Gate",
    "GenerationSettings",
    "Measure",
    "Outcome",
    "Prompt",
    "Provenance",
    "Question",
    "ReportEntry",
    "Response",
    "RewardRequest",
    "Scores",
    "Survey",
    "Turn",
    "UnitScore",
    "Verdict",
    "Window",
    "WindowAnswer",
    "WindowSet",
    "Witness",
]


# ---------------------------------------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Question:
    """One closed question of a survey.

    ``positions`` are the places of the options on an ordinal scale (``None``: the options have no order).
    ``refusals`` are the indices of options such as "Don't know" or "Refused" that are kept apart from the others: a
    distribution holds their mass too, and it is taken out before anything is compared.
    ``cluster`` names what makes units dependent; by default every question is its own cluster.
    """

    question_id: str
    text: str
    options: tuple[str, ...]
    cluster: str | None = None
    positions: tuple[float, ...] | None = None
    refusals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerDistribution:
    """How one population answered one question: a probability for each option, and how many answered."""

    question_id: str
    population: str
    probabilities: tuple[float, ...]
    n_respondents: float | None = None
    n_effective: float | None = None


@dataclass(frozen=True)
class Survey:
    """Questions, and the answers of real populations to them.

    ``default_population`` is who is meant when a test names nobody (``None``: the test must name somebody).
    ``sha256`` is the hash of the questions and distributions, written into provenance and baselines.
    """

    name: str
    questions: tuple[Question, ...]
    distributions: tuple[AnswerDistribution, ...]
    sha256: str
    source: str = ""
    default_population: str | None = None

    @property
    def populations(self) -> tuple[str, ...]:
        """The names of the populations, in order of first appearance."""
        return tuple(dict.fromkeys(row.population for row in self.distributions))


@dataclass(frozen=True, slots=True)
class WindowAnswer:
    """One answer of an Overton window, or one outside of it, in words.

    ``paraphrases`` say the same in other words: a response that entails one of them holds the answer.
    ``stance`` names the side that the answer is on.
    ``support`` is the share of people who hold it, in [0, 1], and ``support_by_group`` the same for each opinion group.
    ``source`` says where it can be seen that people hold it.
    """

    answer_id: str
    text: str
    paraphrases: tuple[str, ...] = ()
    stance: str | None = None
    support: float | None = None
    support_by_group: tuple[tuple[str, float], ...] = ()
    source: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The text and its paraphrases."""
        return (self.text, *self.paraphrases)


@dataclass(frozen=True, slots=True)
class Window:
    """The reasonable answers to one query, W(x), and some that are not reasonable, U(x).

    ``kind`` is ``"contested"``, ``"one_sided"`` (nearly everybody agrees) or ``"settled"`` (the evidence is in).
    ``prompt`` is what is put to a model instead of ``query``; ``cluster`` names what makes windows dependent, by
    default every window is its own cluster.
    """

    query_id: str
    query: str
    reasonable: tuple[WindowAnswer, ...]
    unreasonable: tuple[WindowAnswer, ...] = ()
    prompt: str | None = None
    kind: str = "contested"
    cluster: str | None = None

    @property
    def stances(self) -> tuple[str, ...]:
        """The sides of the reasonable answers, in order of first appearance."""
        return tuple(dict.fromkeys(answer.stance for answer in self.reasonable if answer.stance is not None))


@dataclass(frozen=True)
class WindowSet:
    """Windows, where they come from, and the hash of their content, which is written into provenance and baselines."""

    name: str
    windows: tuple[Window, ...]
    sha256: str
    source: str = ""


# ------------------------------------------------------------------------------------- what is asked of a model


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
    """What a model answered to one :class:`Prompt`.

    ``log_probabilities`` holds one natural logarithm a label, over the whole vocabulary, in fp32 or better: the
    logsumexp over all single-token spellings of the label.
    ``option_mass`` is the sum of their exponentials; ``top_token`` the likeliest next token of all.
    ``label_logits`` (the raw logit of each spelling of each label) and ``top_tokens`` (the ten likeliest next tokens,
    as the tokenizer decodes each alone, with their probabilities) are what the published protocols read; a model that
    is never asked under one of them may leave both empty.
    """

    log_probabilities: tuple[float, ...]
    option_mass: float
    top_token: str
    top_probability: float
    label_logits: tuple[tuple[float, ...], ...] = ()
    top_tokens: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FullAnswerPrompt:
    """One question, and the texts of the whole answers whose likelihoods are asked for: options that are no letters.

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
    r"""How likely each whole answer to one :class:`FullAnswerPrompt` is.

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
        """How much likelier each answer is after the prompt than after the neutral one, in nats.

        This is the domain-conditional pointwise mutual information of Holtzman et al. 2021 (arXiv:2104.08315).
        """
        return tuple(
            value - neutral for value, neutral in zip(self.log_likelihoods, self.neutral_log_likelihoods, strict=True)
        )


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How a text is written: everything that decides it beside the prompt, the model and the number of the draw.

    Nothing is taken from a model's own ``generation_config``.

    Attributes
    ----------
    max_new_tokens : int
        At most so many tokens, at least 1.
    temperature : float
        Divides the logits, in [0, inf); 0 is greedy decoding: always the likeliest token.
    top_p : float
        Only the smallest set of likeliest tokens with at least this probability together, in (0, 1].
    top_k : int or None
        Only so many of the likeliest tokens, at least 1 (and those that are exactly as likely as the last of them);
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
    """

    text: str
    n_tokens: int
    stopped_by: str
    draw: int = 0


@dataclass(frozen=True, slots=True)
class EntailmentPair:
    """Two texts, of which an entailment model says whether the first (the premise) entails the second."""

    premise: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class EntailmentScores:
    """What an entailment model says of one :class:`EntailmentPair`: probabilities that sum to 1.

    A two-way model knows only whether the premise entails the hypothesis: ``neutral`` is then ``None``, and
    ``contradiction`` too; ``entailment`` stands alone.
    """

    entailment: float
    neutral: float | None = None
    contradiction: float | None = None


@dataclass(frozen=True, slots=True)
class RewardRequest:
    """A response to a prompt, and the attribute that a value model says how faithfully it reflects."""

    prompt: str
    response: str
    attribute: str


# -------------------------------------------------------------------------------------------- what it amounts to


@dataclass(frozen=True, slots=True)
class UnitScore:
    """The value of a measure for one unit, and what it was computed from.

    ``details`` holds JSON-able extras of the measure, under the names of the report's schema.
    """

    unit_id: str
    cluster: str
    value: float
    population: str | None = None
    text: str = ""
    options: tuple[str, ...] = ()
    model_probabilities: tuple[float, ...] = ()
    reference_probabilities: tuple[float, ...] = ()
    option_mass: float | None = None
    n_respondents: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crossed:
    """The second dimension of an evaluation whose units were all judged by the same others: jurors beside queries.

    ``units`` holds one pseudo-value for each of the others, whose mean is that of the units of the scores;
    ``cell_variance`` is what both dimensions contain of the variance of the mean, ``bias`` how much too large the
    mean is in expectation: see :func:`~pytest_pluralism.core.estimation.estimate_crossed`.
    """

    units: tuple[UnitScore, ...]
    cell_variance: float = 0.0
    bias: float = 0.0


@dataclass(frozen=True)
class Scores:
    """All units of one evaluation, with the references that stand beside their mean.

    ``references`` maps a name (``uniform``, ``shuffle``, ``sampling_floor``, ...) to the mean score that it would get;
    ``other_populations`` maps the other populations to the score of the reference population against them.
    ``details`` holds JSON-able extras of the whole evaluation, such as a matrix of several scores.
    ``crossed`` is the second dimension of the units, where there is one; ``witness`` is what shows the outcome best
    where that is no unit (a group of jurors).
    ``extra_variance`` is what no unit shows of the variance of their mean (of jurors that are estimated).
    ``estimate`` stands where what is promised is no mean of the units (the least of several means).
    ``differences`` says that each value is a difference: gains of 0 and 1 are no shares, and no gain in any unit is no
    lack of a spread.
    """

    metric: str
    units: tuple[UnitScore, ...]
    references: Mapping[str, float] = field(default_factory=dict)
    other_populations: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    crossed: Crossed | None = None
    witness: Witness | None = None
    extra_variance: float = 0.0
    estimate: Estimate | None = None
    differences: bool = False


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty: never a bare float.

    Attributes
    ----------
    value : float
        The mean over units.
    low, high : float
        The ends of the interval at ``confidence_level``; equal to ``value`` when ``confidence_level`` is ``None``.
    standard_error : float
        The standard error of ``value``, clustered; NaN where it cannot be known.
    n, n_clusters : int
        How many units and how many independent clusters of units.
    confidence_level : float or None
        ``None`` means that the units are the whole set, so that there is nothing to infer.
    method : str
        How the interval was made.
    degrees_of_freedom : float or None
        Of Student's t in the interval, in [1, inf]; ``None`` means ``n_clusters - 1``. An estimate without its units is
        taken to another confidence level by it.
    crossed_ids, crossed_values : tuple
        The second dimension of a crossed mean (jurors beside queries), kept for the same reason.
    unit_ids, values, clusters : tuple
        The units themselves, kept so that two estimates can be paired: ``left - right`` is the mean of the differences
        by unit, with its own clustered interval.
    extra_variance : float
        What the units do not show of the squared standard error, which holds it (of jurors that are estimated).
    """

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    n_clusters: int
    confidence_level: float | None = 0.95
    method: str = ""
    n_missing: int = 0
    unit_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)
    values: tuple[float, ...] = field(default=(), repr=False, compare=False)
    clusters: tuple[str, ...] = field(default=(), repr=False, compare=False)
    degrees_of_freedom: float | None = field(default=None, repr=False, compare=False)
    crossed_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)
    crossed_values: tuple[float, ...] = field(default=(), repr=False, compare=False)
    extra_variance: float = field(default=0.0, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __sub__(self, other: Estimate) -> Estimate:
        """Return the paired difference by unit, with its interval."""
        if not isinstance(other, Estimate):
            return NotImplemented
        from pytest_pluralism.core.estimation.comparison import subtract_estimates

        return subtract_estimates(self, other)


# ------------------------------------------------------------------------------------------- promises and outcomes


class Outcome(enum.StrEnum):
    """What became of a promise."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A promise about an estimate: at least one of the six bounds, and the confidence that decides.

    ``at_least`` and ``at_most`` bound the value; ``max_increase`` and ``max_decrease`` bound its change against a
    baseline, by unit; ``max_unit_increase`` and ``max_unit_decrease`` bound the change of each single unit.
    ``confidence_level=None`` decides on the value alone.
    """

    at_least: float | None = None
    at_most: float | None = None
    max_increase: float | None = None
    max_decrease: float | None = None
    max_unit_increase: float | None = None
    max_unit_decrease: float | None = None
    confidence_level: float | None = 0.95

    def __post_init__(self) -> None:
        bounds = (
            *("at_least", "at_most", "max_increase", "max_decrease"),
            *("max_unit_increase", "max_unit_decrease"),
        )
        for name in bounds:
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not is_finite(value):
                raise invalid_parameter(name, "Gate", "a finite number", repr(value)[:80])
            if not isinstance(value, int):
                # Numbers of other libraries become plain ones, which a report can hold.
                object.__setattr__(self, name, int(value) if isinstance(value, numbers.Integral) else float(value))
            if name.startswith("max_") and value < 0:
                raise invalid_parameter(name, "Gate", "a number in [0, inf)", repr(value))
        if all(getattr(self, name) is None for name in bounds):
            raise InvalidParameterError(
                "Gate promises nothing. Give at least one of at_least, at_most, max_increase, max_decrease, "
                "max_unit_increase, max_unit_decrease."
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise invalid_parameter(
                "at_least", "Gate", f"no greater than at_most ({self.at_most})", repr(self.at_least)
            )
        level = self.confidence_level
        if level is not None and (
            isinstance(level, bool) or not isinstance(level, numbers.Real) or not 0.0 < level < 1.0
        ):
            raise invalid_parameter("confidence_level", "Gate", "a float in (0, 1) or None", repr(level))
        if level is not None:
            object.__setattr__(self, "confidence_level", float(level))

    @property
    def needs_baseline(self) -> bool:
        """Whether this promise compares with a stored past result."""
        changes = (self.max_increase, self.max_decrease, self.max_unit_increase, self.max_unit_decrease)
        return any(bound is not None for bound in changes)


@dataclass(frozen=True, slots=True)
class Witness:
    """The unit that shows the outcome best: the worst question, group or juror."""

    unit_id: str
    value: float
    text: str = ""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one promise.

    Attributes
    ----------
    outcome : Outcome
        PASSED, FAILED or INCONCLUSIVE (ERROR where nothing could be computed).
    gate : Gate
        The promise.
    estimate : Estimate or None
        What was measured.
    change : Estimate or None
        The paired change against the baseline, if the promise asks for one.
    witness : Witness or None
        The unit that shows it.
    reason : str
        Why, in one sentence, for outcomes other than PASSED.
    units_needed : int or None
        For INCONCLUSIVE: how many more units of the same kind would probably decide (``None``: no number would, or it
        is not known).
    """

    outcome: Outcome
    gate: Gate
    estimate: Estimate | None = None
    change: Estimate | None = None
    witness: Witness | None = None
    reason: str = ""
    units_needed: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the promise was kept."""
        return self.outcome is Outcome.PASSED


@dataclass(frozen=True)
class Provenance:
    """Where a number comes from: everything that must agree before two numbers may be compared."""

    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    settings: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportEntry:
    """One verdict with everything that a report says about it.

    ``test`` is the node id without the model in its brackets, the same for every model; ``key`` tells the promises of
    one test apart.
    ``baseline`` says what the verdict was compared with; ``options`` are the options that repeat the run, and ``path``
    is the node id as it is typed in the folder where the run was started.
    """

    nodeid: str
    test: str
    key: str
    measure: Measure
    dataset: str
    population: str | None
    verdict: Verdict
    scores: Scores | None
    provenance: Provenance
    baseline: Mapping[str, Any] | None = None
    options: str = ""
    path: str = ""
