"""`--pluralism-plan` says what a run would compute, and computes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_pluralism.core.records import Answer, FullAnswerPrompt, GenerationSettings, Prompt
from pytest_pluralism.evaluation.asking.engine import Measured, Readings
from pytest_pluralism.evaluation.asking.rounds import Round, Rounds
from pytest_pluralism.models.answers.kinds import ANSWERS
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.lazy import LazyModel
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.run.forecast import forecast, forecast_lines, remember_speed

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="all", at_most=0.99)
def test_one(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, seed=1)
def test_two(): ...

def test_unmarked():
    raise AssertionError("no test runs")
"""

IDENTITY = ModelIdentity("./m", "m", "ab" * 32, "float32", "cpu")


def test_it_computes_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY)
    (project.path / "out.json").write_text("the last real report")
    result = project.runpytest_inprocess(
        "--pluralism-model=table:plain", "--pluralism-plan", "--pluralism-report=out.json", "-s", "-n", "2"
    )
    assert result.ret == pytest.ExitCode.OK
    assert "LOADED" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "*pluralism plan: nothing was computed*",
            "table:plain: 3 gates",
            "  216 prompts asked, 132 distinct, what is stored is not known before the model is loaded",
            "  time and memory unknown: nothing measured yet",
        ]
    )
    assert (project.path / "out.json").read_text() == "the last real report"


def test_wrong_markers_and_no_models_are_told(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY.replace("at_most", "at_mots"))
    wrong = project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-plan")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stdout.fnmatch_lines(["*unknown keyword 'at_mots'*"])
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess("--pluralism-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["no model: name one with --pluralism-model=SPEC"])


class Reader:
    """Reads a prompt as the numbers of its characters."""

    model = "m"
    tokenizer = SimpleNamespace(all_special_tokens=[])

    def chat_renderer(self) -> None:
        return None

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))


class Texts:
    """Writes texts, and then wants pairs of them judged."""

    def rounds(self) -> Rounds:
        yield Round("responses", (Prompt("Why?", ()),), GenerationSettings(5), 4)
        raise AssertionError

    def later(self) -> dict[str, int]:
        return {"entailment": 40}


class Questions:
    def __init__(self, *names: str) -> None:
        self.prompts = tuple(Prompt("x" * 200 + name, ("A", "B"), cue="") for name in names)

    def rounds(self) -> Rounds:
        yield Round("answers", self.prompts)
        raise AssertionError


@pytest.fixture
def lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyModel:
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))

    def never() -> None:
        raise AssertionError

    return LazyModel(IDENTITY, never, read=Reader)


def test_what_is_stored_and_shared_is_not_counted(lazy: LazyModel, tmp_path: Path) -> None:
    gates = [Questions("a", "b", "c"), Questions("b", "c", "d"), Texts()]
    with AnswerStore(tmp_path) as store:
        prompt = gates[0].prompts[0]
        readings = Readings().of(lazy, [prompt], store)
        store.keep(ANSWERS, IDENTITY, [(prompt, Answer((-1.0, -1.0), 1.0, "A", 0.4))], readings=readings)
        lines = forecast_lines([forecast("m", gates, lazy, store)])
    # Three prompts of 201 tokens, of which the first 200 are computed once.
    assert lines == [
        "m: 3 gates",
        "  6 prompts asked, 4 distinct, 1 stored, 3 to compute",
        "  603 tokens, of which 400 are shared beginnings: 203 to compute",
        "  time and memory unknown: nothing measured yet",
        "  4 texts asked, 4 distinct, 0 stored, 4 to compute",
        "  48 tokens, of which 36 are shared beginnings: 12 to compute",
        "  time and memory unknown: nothing measured yet",
        "  then up to 40 pairs of texts, which depend on the answers",
    ]


def test_whole_answers_are_counted_with_both_their_prompts(lazy: LazyModel) -> None:
    neutral = Prompt("", (), verbatim="Answer:")
    asked = FullAnswerPrompt(Prompt("q", (), verbatim="x" * 200), ("Yes", "No"), neutral)

    class Whole:
        def rounds(self) -> Rounds:
            yield Round("full_answers", (asked, asked))
            raise AssertionError

    (work,) = forecast("m", [Whole()], lazy, None).works
    assert (work.asked, work.distinct) == (2, 1)
    # Behind a space and behind each prompt: 204 + 203 + 11 + 10 tokens, the long beginning and its space shared.
    assert work.tokens == 428
    assert work.shared == 201


def test_time_and_memory_are_those_of_an_earlier_run(lazy: LazyModel) -> None:
    earlier = Questions("a")
    remember_speed(lazy, Measured(IDENTITY, "answers", earlier.prompts, 2.01))
    one = forecast("m", [Questions("b", "c")], lazy, None)
    (work,) = one.works
    # 201 tokens took 2.01 s; 202 are to be computed.
    assert work.seconds == pytest.approx(2.02)
    assert work.peak_bytes is not None
    assert work.peak_bytes > 2**20
    assert forecast_lines([one])[-1].startswith("  about 2 s; at most ")


@pytest.mark.parametrize("damage", ['"seconds": "x"', '"seconds": 0', '"gone": 1'])
def test_a_damaged_memory_of_speed_is_no_estimate(lazy: LazyModel, tmp_path: Path, damage: str) -> None:
    remember_speed(lazy, Measured(IDENTITY, "answers", Questions("a").prompts, 2.0))
    (path,) = (tmp_path / "cache" / "measured").glob("speed-*.json")
    content = json.loads(path.read_text())
    assert content["measured"]["seconds"] == 2.0
    path.write_text(path.read_text().replace('"seconds": 2.0', damage))
    assert forecast("m", [Questions("b")], lazy, None).works[0].seconds is None


def test_short_work_says_nothing_about_speed(lazy: LazyModel, tmp_path: Path) -> None:
    remember_speed(lazy, Measured(IDENTITY, "answers", Questions("a").prompts, 0.01))
    assert not list((tmp_path / "cache").glob("measured/speed-*"))
