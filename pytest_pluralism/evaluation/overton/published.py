"""The Overton evaluation of Modular Pluralism (arXiv:2406.15951), as its authors ran it, in rounds.

One response a situation, 200 new tokens at temperature 0.1, no chat template; each sentence of it is judged as the
*hypothesis* of each value's explanation.
Two details cannot be had from a response as text: the authors kept special tokens in it, and split sentences with
another package.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_pluralism.core.protocols.modular_pluralism import (
    OvertonQuirks,
    OvertonSituation,
    evaluate_overton,
    overton_quirk_table,
)
from pytest_pluralism.core.records import (
    EntailmentPair,
    EntailmentScores,
    GenerationSettings,
    Prompt,
    RequestName,
    Response,
    Scores,
    UnitScore,
    Window,
    WindowSet,
)
from pytest_pluralism.evaluation.asking.meanings import NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.overton.premises import premises

__all__ = ["ModularOvertonEvaluation", "modular_overton_numbers"]

#: As published; nothing of it is a choice.
MAX_NEW_TOKENS = 200
TEMPERATURE = 0.1


@dataclass(frozen=True)
class ModularOvertonEvaluation:
    """The published Overton evaluation on a set of windows.

    Attributes
    ----------
    windows : WindowSet
        The situations; the text of each reasonable answer is a value's explanation, paraphrases are not used.
    seed : int
        Decides the draws, which at temperature 0.1 hardly differ.
    responses : mapping of str to sequence of str, optional
        Responses that were recorded elsewhere; the first of each query is read.
    quirks : OvertonQuirks
        Which of the published quirks are on; by default all.
    """

    windows: WindowSet
    seed: int = 0
    responses: Mapping[str, Sequence[str]] | None = None
    quirks: OvertonQuirks = dataclasses.field(default_factory=OvertonQuirks)

    metric = "overton_coverage"

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Return the prompts: the window's own prompt or its query, as it stands."""
        return tuple(Prompt("", (), verbatim=window.prompt or window.query) for window in self.windows.windows)

    def names(self) -> NamedRequests:
        """Yield the prompts with the ids of their queries."""
        for window, prompt in zip(self.windows.windows, self.prompts, strict=True):
            yield prompt, RequestName(window.query_id, text=window.query)

    def as_json(self) -> dict[str, object]:
        """Return what decides the numbers, as plain JSON values."""
        return {
            "protocol": "modular_pluralism",
            "seed": self.seed,
            "max_new_tokens": MAX_NEW_TOKENS,
            "temperature": TEMPERATURE,
            "quirks": dataclasses.asdict(self.quirks),
        }

    def rounds(self) -> Rounds:
        """Ask for responses, then for entailments in both directions, and return the scores."""
        windows = self.windows.windows
        if self.responses is None:
            how = GenerationSettings(max_new_tokens=MAX_NEW_TOKENS, temperature=TEMPERATURE, seed=self.seed)
            written: Sequence[Sequence[Response]] = yield Round("responses", self.prompts, how)
            texts = [draws[0].text for draws in written]
        else:
            texts = [self.responses[window.query_id][0] for window in windows]
        sentences = [premises(text, form="sentences") for text in texts]
        pairs = dict.fromkeys(
            pair
            for window, parts in zip(windows, sentences, strict=True)
            for answer in window.reasonable
            for part in parts
            for pair in (EntailmentPair(answer.text, part), EntailmentPair(part, answer.text))
        )
        found: Sequence[EntailmentScores] = yield Round("entailment", tuple(pairs))
        known = {pair: score.entailment for pair, score in zip(pairs, found, strict=True)}
        situations = [_situation(window, parts, known) for window, parts in zip(windows, sentences, strict=True)]
        return self._scores(texts, situations)

    def _scores(self, texts: Sequence[str], situations: Sequence[OvertonSituation]) -> Scores:
        units = []
        for window, text, situation in zip(self.windows.windows, texts, situations, strict=True):
            single = evaluate_overton([situation], quirks=dataclasses.replace(self.quirks, population_deviation=True))
            units.append(
                UnitScore(
                    unit_id=window.query_id,
                    cluster=window.cluster or window.query_id,
                    value=single.coverage,
                    text=window.query,
                    details={"responses": [text], "covered_at_0.33": single.accuracy_at_threshold},
                )
            )
        return Scores("overton_coverage", tuple(units), modular_overton_numbers(situations, quirks=self.quirks))


def modular_overton_numbers(
    situations: Sequence[OvertonSituation], /, *, quirks: OvertonQuirks | None = None
) -> dict[str, float]:
    """Return the three published numbers of recorded entailments, and what they would be without the quirks.

    Parameters
    ----------
    situations : sequence of OvertonSituation
        Entailments of every value with every sentence, in both directions for the sound number.
    quirks : OvertonQuirks, optional
        Which quirks are on; by default all.

    Returns
    -------
    dict of str to float
        ``mean_entailment``, ``standard_deviation``, ``accuracy_at_0.33``; and ``without_quirks``, the mean without
        any of them, where both directions were recorded.
    """
    found = evaluate_overton(situations, quirks=quirks)
    numbers = {
        "mean_entailment": found.coverage,
        "standard_deviation": found.standard_deviation,
        "accuracy_at_0.33": found.accuracy_at_threshold,
    }
    if all(situation.sentence_entails_explanation is not None for situation in situations):
        table = overton_quirk_table(situations)
        numbers["without_quirks"] = next(
            row.without for row in table if row.quirk == "all" and row.quantity == "coverage"
        )
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _situation(window: Window, parts: Sequence[str], known: Mapping[EntailmentPair, float]) -> OvertonSituation:
    shape = (len(window.reasonable), len(parts))
    texts = [answer.text for answer in window.reasonable]
    forward = [[known[EntailmentPair(text, part)] for part in parts] for text in texts]
    backward = [[known[EntailmentPair(part, text)] for part in parts] for text in texts]
    return OvertonSituation(window.query_id, np.reshape(forward, shape), np.reshape(backward, shape))
