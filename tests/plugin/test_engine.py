"""The engine that drives evaluations: every cell once, round by round, over all gates at once."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import ModelChangedError, ModelError
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    Scores,
    UnitScore,
)
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.protocol import ModelIdentity

SETTINGS = GenerationSettings(max_new_tokens=5, seed=3)


def number(*parts: object) -> float:
    return hashlib.sha256(repr(parts).encode()).digest()[0] / 256


class Writer:
    """A model of all four works that counts what it is asked; its results depend on the request alone."""

    def __init__(self, name: str = "writer") -> None:
        self.identity = ModelIdentity(f"./{name}", name, hashlib.sha256(name.encode()).hexdigest(), "float32", "cpu")
        self.calls: list[tuple[str, int]] = []

    def answer(self, prompts: Sequence[Prompt], /, *, progress: Any = None) -> list[Answer]:
        self.calls.append(("answer", len(prompts)))
        return [Answer(tuple(-1.0 - number(p.question, label) for label in p.labels), 1.0, "A", 0.5) for p in prompts]

    def score_answers(self, prompts: Sequence[FullAnswerPrompt], /, *, progress: Any = None, receive: Any) -> Any:
        self.calls.append(("score_answers", len(prompts)))
        scores = []
        for asked in prompts:
            n = len(asked.answers)
            one = FullAnswerScores(tuple(-number(a) for a in asked.answers), (-1.0,) * n, (1,) * n, (1,) * n)
            receive([(asked, one)])
            scores.append(one)
        return scores

    def generate(
        self, prompts: Sequence[Prompt], settings: GenerationSettings, /, *, n_draws: int = 1, progress: Any = None,
        receive: Any = None,
    ) -> list[tuple[Response, ...]]:  # fmt: skip
        self.calls.append(("generate", len(prompts) * n_draws))
        written = []
        for prompt in prompts:
            draws = tuple(Response(f"{prompt.question} {settings.seed} {d}", 3, "end", d) for d in range(n_draws))
            receive([(prompt, response) for response in draws])
            written.append(draws)
        return written

    def entail(self, pairs: Sequence[EntailmentPair], /, *, progress: Any = None) -> list[EntailmentScores]:
        self.calls.append(("entail", len(pairs)))
        return [EntailmentScores(number(pair.premise, pair.hypothesis)) for pair in pairs]


@dataclass(frozen=True)
class Written:
    """Three rounds: texts, closed questions and whole answers about them, and what they say."""

    topics: tuple[str, ...]
    n_draws: int = 2
    broken_in: int = 0

    def rounds(self) -> Rounds:
        prompts = tuple(Prompt(topic, ("A", "B")) for topic in self.topics)
        if self.broken_in == 1:
            raise ModelError("broken in the first round")
        texts = yield Round("responses", prompts, SETTINGS, self.n_draws)
        assert [len(draws) for draws in texts] == [self.n_draws] * len(prompts)
        if self.broken_in == 2:
            raise ModelError("broken in the second round")
        pairs = tuple(EntailmentPair(one.text, "It rains.") for draws in texts for one in draws)
        said = yield Round("entailment", pairs)
        answers = yield Round("answers", prompts)
        wholes = yield Round("full_answers", tuple(FullAnswerPrompt(prompt, ("Fair", "Foul")) for prompt in prompts))
        units = []
        for index, prompt in enumerate(prompts):
            value = said[index * self.n_draws].entailment + answers[index].log_probabilities[0]
            units.append(UnitScore(prompt.question, prompt.question, value + wholes[index].log_likelihoods[1]))
        return Scores("written", tuple(units))


class Run:
    """An engine, its models and its store."""

    def __init__(self, folder: Path | None = None, *, name: str = "writer") -> None:
        self.writer = Writer(name)
        self.judge = Writer("judge")
        self.notes: list[str] = []
        self.store = AnswerStore(folder) if folder is not None else None
        self.engine = Engine(store=lambda: self.store, note=self.notes.append, progress=self.progress)

    @contextlib.contextmanager
    def progress(self, what: str) -> Iterator[None]:
        yield None

    def model_of(self, role: str) -> Writer:
        return {"language_model": self.writer, "entailment_model": self.judge}[role]

    def values(self, evaluation: Written) -> list[float]:
        scores, roles = self.engine.measure(evaluation, self.model_of, key=evaluation)
        assert roles == {"language_model", "entailment_model"}
        return [unit.value for unit in scores.units]


FIRST, SECOND = Written(("rain", "snow")), Written(("snow", "sun"))


def test_gathering_asks_each_round_of_all_gates_at_once_and_changes_no_result() -> None:
    alone = [Run().values(FIRST), Run().values(SECOND)]
    run = Run()
    run.engine.gather({FIRST: FIRST, SECOND: SECOND}, run.model_of)
    assert run.writer.calls == [("generate", 6), ("answer", 3), ("score_answers", 3)]
    assert run.judge.calls == [("entail", 6)]
    assert [run.values(FIRST), run.values(SECOND)] == alone
    # Also a third time, when the gathered scores have been handed out.
    assert run.values(FIRST) == alone[0]
    assert len(run.writer.calls) == 3
    assert (run.engine.asked, run.engine.recalled) == (18, 0)


@pytest.mark.parametrize("broken_in", [1, 2])
def test_an_evaluation_that_breaks_costs_the_others_nothing(broken_in: int) -> None:
    run = Run()
    broken = Written(("hail",), broken_in=broken_in)
    run.engine.gather({broken: broken, FIRST: FIRST}, run.model_of)
    calls = list(run.writer.calls)
    assert run.values(FIRST) == Run().values(FIRST)
    assert run.writer.calls == calls
    with pytest.raises(ModelError, match="broken in the"):
        run.engine.measure(broken, run.model_of)


def test_what_a_store_has_is_not_asked_again(tmp_path: Path) -> None:
    first = Run(tmp_path)
    expected = first.values(FIRST)
    assert first.store is not None
    first.store.close()
    second = Run(tmp_path)
    assert second.values(FIRST) == expected
    assert second.writer.calls == second.judge.calls == []
    assert (second.engine.asked, second.engine.recalled) == (0, 12)
    # More draws: only what was not there is counted, and the earlier draws stay as they were.
    more = Written(FIRST.topics, n_draws=3)
    second.engine.measure(more, second.model_of)
    assert second.engine.asked == 4
    assert Run(tmp_path, name="another").engine.measure(FIRST, Run(name="another").model_of)[0].units
    assert second.notes == []


def test_what_a_model_gave_before_its_server_was_seen_to_have_changed_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    write = Writer.score_answers

    def changes(self: Writer, prompts: Sequence[FullAnswerPrompt], /, *, progress: Any = None, receive: Any) -> Any:
        write(self, prompts[:1], progress=progress, receive=receive)
        raise ModelChangedError("it serves another model than before")

    monkeypatch.setattr(Writer, "score_answers", changes)
    with pytest.raises(ModelChangedError):
        run.values(FIRST)
    monkeypatch.undo()
    # The texts came before, from a model that was seen to be the same; what came with the change is asked again.
    for again in (run, Run(tmp_path)):
        again.writer.calls.clear()
        again.values(FIRST)
        assert again.writer.calls == ([("score_answers", 2)] if again is run else [])


def test_a_model_that_cannot_do_a_work_is_named() -> None:
    run = Run()

    class Closed:
        identity = run.writer.identity
        answer = run.writer.answer

    with pytest.raises(ModelError, match=r"writer cannot be used for this: it does not write texts \(no method gen"):
        run.engine.measure(FIRST, lambda role: Closed() if role == "language_model" else run.judge)


def test_a_model_that_gives_too_little_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    full = run.judge.entail
    monkeypatch.setattr(run.judge, "entail", lambda pairs, /, *, progress=None: full(pairs)[:-1])
    with pytest.raises(ModelError, match="judge gave 3 scores to 4 prompts"):
        run.engine.measure(FIRST, run.model_of)
