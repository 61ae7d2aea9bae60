"""Settings of an evaluation of coverage."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass

from pytest_pluralism.core.errors import InvalidParameterError, invalid_parameter
from pytest_pluralism.core.judges import JUDGES
from pytest_pluralism.core.parameters import real_number, unit_interval, whole_number
from pytest_pluralism.core.records import GenerationSettings
from pytest_pluralism.evaluation.overton.premises import PREMISE_FORMS

__all__ = ["MEASURED", "OvertonSettings"]


#: The ways to score a window; see :class:`OvertonSettings`.
MEASURED = ("coverage", "soft_coverage", "sided_coverage", "f1")

#: The judges that took the place of the two directions.
DIRECTIONS = {"response_entails_answer": "forward", "answer_entails_response": "backward"}


@dataclass(frozen=True)
class OvertonSettings:
    """Settings of asking a model about windows, and of reading its responses.

    Attributes
    ----------
    n_draws : int
        How many responses to each query, at least 1.
    draws : {"single", "union"}
        Score each response by itself and take the mean, or all responses of a query together: the set of draws then
        holds what any of them holds.
    score : {"coverage", "soft_coverage", "sided_coverage", "f1"}
        The value of a window: the share of its answers that are held; their mean entailment; the share of the side
        that is held worst; or F1 against the unreasonable answers.
    method : {"entailment", "extraction"}
        An answer is held when some part of the response entails it; or: the response is split into claims (its
        sentences), claims and answers are matched one to one, and an answer is held when a claim is its own.
    entailment_judge : {"forward", "backward", "both", "combined"}
        The judge of whether a part of a response holds an answer: the part entails the answer, the answer entails the
        part, the mean of both probabilities, or the combined judge (:mod:`pytest_pluralism.core.judges`).
    threshold : float
        The probability from which on an answer is held, in (0, 1].
    premise : {"sentences", "whole", "windows"}
        The part of a response that is read at once: each sentence, all of it, or every ``n_sentences`` sentences in a
        row.
    n_sentences : int
        The length of such a row, at least 1.
    weights : {"equal", "support"}
        Whether answers count alike, or by the share of people who hold them.
        Precision, F1 and false balance count answers alike in any case.
    max_new_tokens, temperature, top_p, seed
        How responses are written; see :class:`~pytest_pluralism.core.records.GenerationSettings`.
        ``seed`` also decides which window each response is compared with by chance.
    template : {"auto", "chat", "raw"}
        The model's chat template if it has one, always, or never.
    system : str
        The system prompt.
    instruction : str
        The prompt for a model, with ``{query}`` in it; a window's own prompt goes before it.
    language : str
        The language of the responses, which decides where their sentences end, as a code of ISO 639.
    controls : bool
        Whether the references are computed for which more must be entailed: chance, length and refusal.
    word_budgets : tuple of int
        The control for length: coverage of the first so many words of each response.
    second_opinion : bool
        Whether a second entailment model is asked the same, to see how far the two disagree.
    direction : {"response_entails_answer", "answer_entails_response"}, optional
        The old name of ``entailment_judge`` (``"forward"`` and ``"backward"``); it will go in the next release.
    """

    n_draws: int = 3
    draws: str = "single"
    score: str = "coverage"
    method: str = "entailment"
    entailment_judge: str = "forward"
    threshold: float = 0.5
    premise: str = "sentences"
    n_sentences: int = 3
    weights: str = "equal"
    max_new_tokens: int = 128
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    template: str = "auto"
    system: str = ""
    instruction: str = "{query}"
    language: str = "en"
    controls: bool = True
    word_budgets: tuple[int, ...] = (25, 50, 100)
    second_opinion: bool = False
    direction: str | None = None

    def __post_init__(self) -> None:
        function = "OvertonSettings"
        choices = {
            "draws": ("single", "union"),
            "score": MEASURED,
            "method": ("entailment", "extraction"),
            "premise": PREMISE_FORMS,
            "entailment_judge": JUDGES,
            "direction": (None, *DIRECTIONS),
            "weights": ("equal", "support"),
            "template": ("auto", "chat", "raw"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                must = "one of " + ", ".join(map(repr, allowed))
                raise invalid_parameter(name, function, must, repr(getattr(self, name)))
        for name in ("n_draws", "n_sentences"):
            whole_number(getattr(self, name), name=name, function=function)
        if not unit_interval(self.threshold, name="threshold", function=function, open_interval=False):
            # At 0 a response without a word would hold every answer.
            raise invalid_parameter("threshold", function, "a float in (0, 1]", repr(self.threshold))
        real_number(self.temperature, name="temperature", function=function)
        for name in ("system", "language", "instruction"):
            if not isinstance(getattr(self, name), str):
                raise invalid_parameter(name, function, "a text", repr(getattr(self, name)))
        if "{query}" not in self.instruction:
            raise invalid_parameter("instruction", function, "a text with {query} in it", repr(self.instruction))
        for name in ("controls", "second_opinion"):
            if not isinstance(getattr(self, name), bool):
                raise invalid_parameter(name, function, "True or False", repr(getattr(self, name)))
        budgets = self.word_budgets
        if not isinstance(budgets, (tuple, list)) or not all(
            isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in budgets
        ):
            raise invalid_parameter("word_budgets", function, "whole numbers from 1", repr(budgets))
        object.__setattr__(self, "word_budgets", tuple(sorted(set(budgets))))
        if self.direction is not None:
            self._take_direction(DIRECTIONS[self.direction])
        # Errors in these are reported where they are defined.
        _ = self.generation

    def _take_direction(self, judge: str) -> None:
        if self.entailment_judge not in ("forward", judge):
            raise InvalidParameterError(
                f"direction={self.direction!r} means entailment_judge={judge!r}, and entailment_judge="
                f"{self.entailment_judge!r} is given too. Leave out direction."
            )
        told = f"direction={self.direction!r} is called entailment_judge={judge!r} now, and will go in the next release"
        warnings.warn(told, DeprecationWarning, stacklevel=4)
        object.__setattr__(self, "entailment_judge", judge)
        object.__setattr__(self, "direction", None)

    @property
    def generation(self) -> GenerationSettings:
        """The settings of generation."""
        return GenerationSettings(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=self.top_p, seed=self.seed
        )

    def as_json(self) -> dict[str, object]:
        """Return the settings as plain JSON values."""
        told = {**asdict(self), "word_budgets": list(self.word_budgets)}
        del told["direction"]
        return told
