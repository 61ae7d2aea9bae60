"""The share of a window of reasonable answers that the responses of a model hold.

Two rounds: the model responds to each query, and an entailment model says which answers each response holds.
The windows and the settings decide all requests to the two, so that nothing here needs a model.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pytest_pluralism.core.equal import compare
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.finite import finite_or_none
from pytest_pluralism.core.records import Prompt, RequestName, Response, Scores, UnitScore, Window, WindowSet
from pytest_pluralism.evaluation.asking.meanings import NamedRequests
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.evaluation.overton.held import Reading, union_of
from pytest_pluralism.evaluation.overton.judged import without_errors
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.languages import detect_language
from pytest_pluralism.evaluation.overton.reading import REFUSAL, WORD, WindowReader, first_words, is_refusal
from pytest_pluralism.evaluation.overton.scoring import (
    answer_json,
    can_score,
    close_pairs,
    false_balance_of,
    precision_of,
    scored,
    share_of,
    sides_of,
)
from pytest_pluralism.evaluation.overton.settings import MEASURED, OvertonSettings

__all__ = ["OvertonEvaluation", "overton_prompt"]


@dataclass(frozen=True)
class OvertonEvaluation:
    """One measurement of one model on a set of windows.

    Attributes
    ----------
    windows : WindowSet
        The queries with their answers.
    settings : OvertonSettings
        How it is asked and read.
    responses : mapping of str to sequence of str, optional
        Responses that were recorded elsewhere, by the id of the query; no model is asked then.
    judge : EntailmentJudge, optional
        The judge that says whether a part of a response holds an answer, with its known errors; by default that of
        the settings, whose errors are not known.

    Raises
    ------
    DatasetError
        There is no window, an answer has no support although answers are weighted by it, no stance although sides are
        scored, or no unreasonable answer although F1 is; or recorded responses lack a query.
    """

    windows: WindowSet
    settings: OvertonSettings = field(default_factory=OvertonSettings)
    responses: Mapping[str, Sequence[str]] | None = None
    judge: EntailmentJudge | None = None

    #: The name of the measure in the scores.
    metric = "overton_coverage"

    def __post_init__(self) -> None:
        _check_windows(self.windows, self.settings)
        if self.responses is None:
            return
        missing = [window.query_id for window in self.windows.windows if not self.responses.get(window.query_id)]
        if missing:
            shown = ", ".join(map(repr, missing[:10])) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
            raise DatasetError(
                f"The recorded responses lack {len(missing)} of the {len(self.windows.windows)} queries of "
                f"{self.windows.name}: {shown}. Record a response to each query (an empty one counts as 0)."
            )

    @property
    def reads_sentences(self) -> bool:
        """Whether the value of a response is that of its sentences, so that shorter ones can be scored too."""
        settings = self.settings
        return settings.premise == "sentences" and settings.draws == "single" and settings.method == "entailment"

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Return the prompts, one for each window."""
        return tuple(overton_prompt(window, self.settings) for window in self.windows.windows)

    def names(self) -> NamedRequests:
        """Yield the prompts with the ids of their queries."""
        for window, prompt in zip(self.windows.windows, self.prompts, strict=True):
            yield prompt, RequestName(window.query_id, text=window.query)

    def rounds(self) -> Rounds:
        """Ask for responses, then for entailments, and return the scores."""
        settings, windows = self.settings, self.windows.windows
        truncated = 0.0
        if self.responses is None:
            written: Sequence[Sequence[Response]] = yield Round(
                "responses", self.prompts, settings.generation, settings.n_draws
            )
            texts = [tuple(response.text for response in draws) for draws in written]
            truncated = share_of(one.stopped_by == "length" for draws in written for one in draws)
        else:
            texts = [tuple(self.responses[window.query_id]) for window in windows]
        reader = WindowReader(settings, self.judge)
        yield from reader.ask(self._jobs(texts, reader))
        other = None
        if settings.second_opinion:
            other = WindowReader(settings, self.judge)
            pairs = zip(windows, texts, strict=True)
            mine = [(window, other.parts(text)) for window, draws in pairs for text in draws]
            yield from other.ask(mine, named="second_entailment_model")
        return self._scores(texts, reader, other, truncated)

    def later(self) -> dict[str, int]:
        """Return how many entailments may be asked for after the responses, at about eight tokens a sentence."""
        settings = self.settings
        texts = sum(
            len(answer.texts)
            for window in self.windows.windows
            for answer in (*window.reasonable, *window.unreasonable)
        )
        if self.responses is None:
            draw = 1 if settings.premise == "whole" else 1 + settings.max_new_tokens // 8
            parts, chance = settings.n_draws * draw, draw if settings.draws == "single" else settings.n_draws * draw
        else:
            longest = max(sum(map(len, draws)) for draws in self.responses.values())
            parts = chance = 1 + longest // 32
        # A shortened response shares all its sentences but the last one.
        controls = chance + 1 + settings.n_draws * len(settings.word_budgets) if settings.controls else 0
        return {"entailment": texts * (parts + controls)}

    # ---------------------------------------------------------------------------------------------------- what is read

    def _jobs(self, texts: Sequence[tuple[str, ...]], reader: WindowReader) -> Iterator[tuple[Window, tuple[str, ...]]]:
        """Yield every window with what is compared with it."""
        windows, controls = self.windows.windows, self.settings.controls
        budgets = self._budgets(texts) if controls else ()
        strangers = self._strangers() if controls else [None] * len(windows)
        for window, draws, other in zip(windows, texts, strangers, strict=True):
            for text in draws:
                yield window, reader.parts(text)
                for budget in budgets:
                    yield window, reader.parts(first_words(text, budget))
            if controls:
                yield window, reader.parts(REFUSAL, refusals=False)
            if other is not None:
                yield other, tuple(part for text in self._for_chance(draws) for part in reader.parts(text))

    def _budgets(self, texts: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
        """Return the budgets that cut at least one response."""
        longest = max((len(WORD.findall(text)) for draws in texts for text in draws), default=0)
        return tuple(budget for budget in self.settings.word_budgets if budget < longest)

    def _for_chance(self, draws: tuple[str, ...]) -> tuple[str, ...]:
        """Return the responses that are compared with another window: one a query is enough for a mean over queries."""
        return draws if self.settings.draws == "union" else draws[:1]

    def _strangers(self) -> list[Window | None]:
        """Return for each query the window that its responses are compared with by chance: never its own."""
        windows = self.windows.windows
        order = list(range(len(windows)))
        # A string seed is hashed by `random` itself, the same on every platform and Python.
        random.Random(f"{self.settings.seed}/chance").shuffle(order)  # noqa: S311
        clusters = [window.cluster or window.query_id for window in windows]
        chosen: list[Window | None] = [None] * len(windows)
        for at, place in enumerate(order):
            # The next one in the shuffled circle that is about something else, or else just the next one.
            circle = (order[(at + step) % len(order)] for step in range(1, len(order)))
            other = next((one for one in circle if clusters[one] != clusters[place]), order[(at + 1) % len(order)])
            chosen[place] = windows[other] if other != place else None
        return chosen

    # --------------------------------------------------------------------------------------------------- what it means

    def _scores(
        self, texts: Sequence[tuple[str, ...]], reader: WindowReader, other: WindowReader | None, truncated: float
    ) -> Scores:
        settings, windows = self.settings, self.windows.windows
        readings = [
            [reader.read(window, reader.parts(text)) for text in draws]
            for window, draws in zip(windows, texts, strict=True)
        ]
        units = [
            self._unit(window, draws, read, reader)
            for window, draws, read in zip(windows, texts, readings, strict=True)
        ]
        references = dict(self._other_measures(readings))
        references["empty"] = 0.0
        if settings.controls:
            blind = [self._blind(*each, reader) for each in zip(windows, self._strangers(), texts, strict=True)]
            units = [replace(unit, references=found) for unit, found in zip(units, blind, strict=True)]
            references.update(self._controls(texts, reader, blind))
        noise = [np.var(unit.details["draw_values"], ddof=1) for unit in units if len(unit.details["draw_values"]) > 1]
        if noise:
            references["draw_standard_deviation"] = math.sqrt(float(np.mean(noise)))
        warnings = list(self._warnings(texts, truncated))
        if other is not None:
            second = [
                [other.read(window, other.parts(text)) for text in draws]
                for window, draws in zip(windows, texts, strict=True)
            ]
            references["second_entailment_model"] = float(
                np.mean([self._value(window, read) for window, read in zip(windows, second, strict=True)])
            )
            gaps = [
                np.abs(mine.values - theirs.values).mean()
                for pair in zip(readings, second, strict=True)
                for mine, theirs in zip(*pair, strict=True)
            ]
            references["entailment_disagreement"] = float(np.mean(gaps))
        close = close_pairs(windows, readings, settings.threshold)
        found = Scores(
            metric=self.metric,
            units=tuple(units),
            details={"close_pairs": close} if close else {},
            references={name: value for name, value in references.items() if math.isfinite(value)},
            warnings=tuple(warnings),
        )
        return without_errors(found, settings, reader.judge)

    def _value(self, window: Window, read: Sequence[Reading], score: str | None = None) -> float:
        """Return the value of one window: the mean over draws, or that of their union."""
        draws = [union_of(read)] if self.settings.draws == "union" else read
        return float(np.mean([scored(window, one, self.settings, score) for one in draws]))

    def _by_length(self, window: Window, text: str, reader: WindowReader) -> list[list[float]]:
        """Return the value of the beginnings of a response, sentence by sentence, by their numbers of words."""
        parts, found, end = reader.parts(text), [[0.0, 0.0]], 0
        for n, part in enumerate(parts, start=1):
            end = text.find(part, end) + len(part)
            value = float(scored(window, reader.read(window, parts[:n]), self.settings))
            if value != found[-1][1]:
                found.append([float(len(WORD.findall(text[:end]))), value])
        # How long the response is, whatever it says at its end.
        return [*found, [float(len(WORD.findall(text))), found[-1][1]]]

    def _unit(self, window: Window, texts: tuple[str, ...], read: list[Reading], reader: WindowReader) -> UnitScore:
        settings = self.settings
        together = union_of(read)
        sides = sides_of(window, together, settings)
        details: dict[str, object] = {
            "kind": window.kind,
            "n_draws": len(texts),
            **{name: self._value(window, read, name) for name in ("coverage", "soft_coverage")},
            "draw_values": [scored(window, one, settings) for one in read],
            "responses": list(texts),
            "answers": [
                answer_json(answer, [one.reasonable[place] for one in read], settings.threshold)
                for place, answer in enumerate(window.reasonable)
            ],
        }
        if self.reads_sentences:
            details["by_length"] = [self._by_length(window, text, reader) for text in texts]
        if sides is not None:
            details["stance_coverage"] = sides
            details["worst_stance"] = min(sides, key=lambda stance: sides[stance])
        if window.unreasonable:
            argued = [
                any(compare(held.entailment, settings.threshold) >= 0 for held in one.unreasonable) for one in read
            ]
            details["f1"] = self._value(window, read, "f1")
            precision = precision_of(window, together, settings)
            details["precision"] = finite_or_none(precision)
            details["argues_unreasonable"] = share_of(argued)
            details["unreasonable_answers"] = [
                answer_json(answer, [one.unreasonable[place] for one in read], settings.threshold)
                for place, answer in enumerate(window.unreasonable)
            ]
        if settings.method == "extraction":
            details["unmatched_claims"] = [list(one.unmatched) for one in read]
        refused = sum(is_refusal(text) for text in texts)
        if refused:
            details["refusals"] = refused
        return UnitScore(
            unit_id=window.query_id,
            cluster=window.cluster or window.query_id,
            value=self._value(window, read),
            text=window.query,
            details=details,
        )

    def _other_measures(self, readings: Sequence[list[Reading]]) -> Iterator[tuple[str, float]]:
        """Yield the same responses by the other measures, and by the union of the draws."""
        settings, windows = self.settings, self.windows.windows
        for name in MEASURED:
            if name == settings.score:
                continue
            # F1 and sides are measured on the windows that can have them.
            able = [(w, r) for w, r in zip(windows, readings, strict=True) if can_score(w, name)]
            if able:
                yield name, float(np.mean([self._value(window, read, name) for window, read in able]))
        precise = [
            precision_of(window, one, settings)
            for window, read in zip(windows, readings, strict=True)
            if window.unreasonable
            for one in read
        ]
        precise = [value for value in precise if math.isfinite(value)]
        if precise:
            yield "precision", float(np.mean(precise))
        if settings.draws == "single" and max(map(len, readings)) > 1:
            union = [scored(w, union_of(read), settings) for w, read in zip(windows, readings, strict=True)]
            yield "union_of_draws", float(np.mean(union))
        balance = false_balance_of(windows, readings, settings)
        if balance is not None:
            yield "false_balance", balance

    def _blind(
        self, window: Window, other: Window | None, draws: tuple[str, ...], reader: WindowReader
    ) -> dict[str, float]:
        """Return what a refusal scores on a window, and the response to it on the window of another query."""
        refused = reader.read(window, reader.parts(REFUSAL, refusals=False))
        found = {"refusal": float(scored(window, refused, self.settings))}
        if other is not None and can_score(other, self.settings.score):
            read = [reader.read(other, reader.parts(text)) for text in self._for_chance(draws)]
            found["shuffled"] = self._value(other, read)
        return found

    def _controls(
        self, texts: Sequence[tuple[str, ...]], reader: WindowReader, blind: Sequence[Mapping[str, float]]
    ) -> Iterator[tuple[str, float]]:
        """Yield what the same responses, or none at all, would get where they cannot hold anything."""
        windows = self.windows.windows
        strangers = [found["shuffled"] for found in blind if "shuffled" in found]
        if strangers:
            yield "chance", float(np.mean(strangers))
        for budget in self._budgets(texts):
            values = [
                self._value(window, [reader.read(window, reader.parts(first_words(text, budget))) for text in draws])
                for window, draws in zip(windows, texts, strict=True)
            ]
            yield f"first_{budget}_words", float(np.mean(values))
        yield "refusal", float(np.mean([found["refusal"] for found in blind]))

    def _warnings(self, texts: Sequence[tuple[str, ...]], truncated: float) -> Iterator[str]:
        windows = self.windows.windows
        everything = [text for draws in texts for text in draws]
        empty = sum(not text.strip() for text in everything)
        if empty:
            yield f"{empty} of {len(everything)} responses are empty and hold nothing"
        refusals = sum(map(is_refusal, everything))
        if refusals:
            yield f"{refusals} of {len(everything)} responses refuse to answer and hold nothing"
        if truncated > 0.5:
            yield (
                f"{100 * truncated:.0f} % of the responses were cut off at {self.settings.max_new_tokens} tokens; "
                "what they would have said later is not counted (max_new_tokens)"
            )
        foreign = []
        for window, draws in zip(windows, texts, strict=True):
            said = [text for answer in window.reasonable for text in answer.texts]
            language = detect_language(" ".join([window.query, *said]))
            theirs = [found for text in draws if (found := detect_language(text)) is not None]
            foreign += [(language, one, window.query_id) for one in theirs if language is not None and one != language]
        if foreign:
            (ours, theirs_most), _ = Counter((one, other) for one, other, _ in foreign).most_common(1)[0]
            yield (
                f"{len(foreign)} of {len(everything)} responses seem to be in another language than their windows "
                f"({theirs_most!r} where the window is in {ours!r}; the first is on {foreign[0][2]}): "
                "what entails what is then not reliable"
            )


def overton_prompt(window: Window, settings: OvertonSettings, /) -> Prompt:
    """Return what is asked about a window: its own prompt, or its query within the instruction."""
    asked = settings.instruction.replace("{query}", window.query) if window.prompt is None else window.prompt
    return Prompt(question=asked, labels=(), system=settings.system, template=settings.template)


def _check_windows(windows: WindowSet, settings: OvertonSettings) -> None:
    if not windows.windows:
        raise DatasetError(f"{windows.name} holds no windows.")
    for window in windows.windows:
        if settings.weights == "support":
            lacking = [answer.answer_id for answer in window.reasonable if answer.support is None]
            if lacking:
                raise DatasetError(
                    f"Answer {lacking[0]!r} of query {window.query_id!r} in {windows.name} has no 'support', by which "
                    "answers are to be weighted. State the share of people who hold it, or use weights='equal'."
                )
            if not any(answer.support for answer in window.reasonable):
                raise DatasetError(
                    f"Nobody supports any answer of query {window.query_id!r} in {windows.name}, so that nothing can "
                    "be weighted. Correct 'support', or use weights='equal'."
                )
        if not can_score(window, settings.score):
            lacks = "a 'stance' for each answer" if settings.score == "sided_coverage" else "'unreasonable' answers"
            raise DatasetError(
                f"Query {window.query_id!r} in {windows.name} lacks {lacks}, which score={settings.score!r} needs. "
                "Add them, or use score='coverage'."
            )
