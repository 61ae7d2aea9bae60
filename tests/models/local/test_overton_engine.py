"""Coverage of windows with a real network that writes, through the engine and its store."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import EntailmentScores, Window, WindowAnswer, WindowSet
from pytest_pluralism.datasets.windows.assembly import windows_sha256
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation
from pytest_pluralism.evaluation.overton.settings import OvertonSettings
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.local.loading import load_model
from pytest_pluralism.models.protocol import ModelIdentity

pytestmark = pytest.mark.filterwarnings("ignore:.*sequence length.*:UserWarning")

WINDOWS = tuple(
    Window(
        f"q{n}",
        f"What do you think about {topic}?",
        (
            WindowAnswer("like", "I like it.", ("I like dogs.",), "for"),
            WindowAnswer("not", "I like it not.", (), "against"),
        ),
        (WindowAnswer("war", "War and bread."),),
    )
    for n, topic in enumerate(("taxes", "dogs", "war", "bread", "butter"))
)
WINDOW_SET = WindowSet("tiny", WINDOWS, windows_sha256(WINDOWS))


class Judge:
    """Judges by the share of words."""

    identity = ModelIdentity("words", "words", "f" * 64, "float32", "cpu")

    def __init__(self) -> None:
        self.asked = 0

    def entail(self, pairs, *, progress=None):
        self.asked += len(pairs)
        return [EntailmentScores(self.share(pair)) for pair in pairs]

    @staticmethod
    def share(pair) -> float:
        premise, hypothesis = (set(re.findall(r"\w+", text.lower())) for text in (pair.premise, pair.hypothesis))
        return len(premise & hypothesis) / len(hypothesis)


def engine(store=None):
    return Engine(store=lambda: store, note=lambda text: None, progress=lambda text: nullcontext())


@pytest.mark.whole
def test_a_real_network_is_measured_and_asked_once(tiny_folder, tmp_path) -> None:
    model, judge = load_model(str(tiny_folder()), device="cpu"), Judge()
    models = {"language_model": model, "entailment_model": judge}
    evaluation = OvertonEvaluation(WINDOW_SET, OvertonSettings(n_draws=3, max_new_tokens=24, template="raw"))
    with AnswerStore(tmp_path / "answers") as store:
        first, roles = engine(store).measure(evaluation, models.__getitem__)
        assert roles == {"language_model", "entailment_model"}
        asked = judge.asked
        assert 0 < asked <= evaluation.later()["entailment"]
        # Stored texts and judgements are not made again, by another engine either.
        again, _ = engine(store).measure(evaluation, models.__getitem__)
    assert judge.asked == asked
    assert again == first
    assert len({tuple(unit.details["responses"]) for unit in first.units}) > 1
    assert all(len(unit.details["draw_values"]) == 3 for unit in first.units)
    assert all(0 <= unit.value <= 1 for unit in first.units)
    model.close()


@pytest.mark.whole
def test_a_prompt_over_the_context_is_named(tiny_folder) -> None:
    model = load_model(str(tiny_folder()), device="cpu")
    models = {"language_model": model, "entailment_model": Judge()}
    evaluation = OvertonEvaluation(WINDOW_SET, OvertonSettings(max_new_tokens=255, template="raw"))
    with pytest.raises(
        ModelError, match=r"The prompt 'What do you think about \w+\? \.\.\.' has \d+ tokens; with 255 new"
    ):
        engine().measure(evaluation, models.__getitem__)
    model.close()
