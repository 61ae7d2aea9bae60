"""Coverage of windows with the embedded entailment model: it tells wide responses from one-sided and empty ones."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.estimation import estimate_mean
from pytest_pluralism.core.records import Estimate, WindowSet
from pytest_pluralism.datasets.windows.assembly import windows_sha256
from pytest_pluralism.datasets.windows.loading import load_windows
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation, overton_prompt
from pytest_pluralism.evaluation.overton.recorded import score_responses
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

pytestmark = pytest.mark.model

#: Two reasons for and two reasons against, in other words than those of the windows.
REASONS: dict[str, tuple[str, str, str, str]] = {
    "death_penalty": (
        "Whoever murders someone has earned death.",
        "The threat of being executed keeps people from killing.",
        "Courts make mistakes, and innocent people have been executed.",
        "No government may kill a human being.",
    ),
    "nuclear_power": (
        "Reactors produce electricity almost without carbon dioxide.",
        "They supply power reliably at any hour.",
        "The waste remains radioactive for thousands of years.",
        "An accident in a reactor can be a disaster, as in Chernobyl.",
    ),
    "immigration": (
        "People who immigrate take up work and make the economy grow.",
        "Refugees who flee from war must be given a safe place.",
        "Immigrants compete for jobs and push down the wages of local workers.",
        "Housing and schools are overloaded when many people arrive.",
    ),
    "cannabis": (
        "Grown-up people should decide for themselves whether to smoke cannabis.",
        "The state could tax and control legal cannabis.",
        "Cannabis damages the health of young people.",
        "If cannabis is legal, more people will take drugs.",
    ),
    "guns": (
        "Fewer people are shot dead where gun laws are strict.",
        "Checks of buyers keep weapons out of dangerous hands.",
        "Citizens have the right to defend themselves with a gun.",
        "Criminals find weapons no matter what the law says.",
    ),
    "basic_income": (
        "Nobody would be poor if everyone had a basic income.",
        "People would be free to study or to look after their family.",
        "It is far too expensive to pay everybody.",
        "Many would no longer work if they were paid for nothing.",
    ),
    "eating_meat": (
        "Animals feel pain when they are kept and slaughtered for meat.",
        "Meat production is bad for the climate.",
        "It is natural for human beings to eat animals.",
        "Dishes with meat belong to our culture and traditions.",
    ),
    "video_surveillance": (
        "Cameras help the police to solve crimes.",
        "People feel safer where cameras watch.",
        "Being watched all the time violates people's privacy.",
        "A government could use cameras against its critics.",
    ),
    "phones_in_school": (
        "Mobile phones distract children from their lessons.",
        "Pupils are bullied with phones.",
        "Schools should teach children how to use phones sensibly.",
        "Parents want to be able to reach their child.",
    ),
    "health_care": (
        "Everybody has a right to medical treatment.",
        "A public system is cheaper and reaches more people.",
        "Patients wait a long time where the state runs hospitals.",
        "People should choose and pay for their own health insurance.",
    ),
}

PADDING = (
    " The museum opens at nine in the morning. A train leaves from the second platform every hour."
    " Bread is baked from flour, water and salt. The river is forty kilometres long."
)


@pytest.fixture(scope="module")
def entail() -> Iterator[Any]:
    from pytest_pluralism.models import load_entailment_model

    try:
        model = load_entailment_model("embedded:nli-minilm", device="cpu")
    except ModelError as error:
        if os.environ.get("PLURALISM_REQUIRE_NLI") == "1":
            raise
        pytest.skip(f"the embedded entailment model is not here: {error}")
    yield model.entail
    model.close()


@pytest.fixture(scope="module")
def windows() -> WindowSet:
    found = tuple(window for window in load_windows("contested").windows if window.query_id in REASONS)
    assert len(found) == len(REASONS)
    return WindowSet("ten of contested", found, windows_sha256(found))


def measured(windows: WindowSet, entail: Any, texts: dict[str, str], score: str = "coverage") -> Estimate:
    settings = OvertonSettings(score=score, controls=False)
    recorded = {query: [text] for query, text in texts.items()}
    scores = score_responses(OvertonEvaluation(windows, settings, recorded), entail)
    return estimate_mean([unit.value for unit in scores.units], unit_ids=[unit.unit_id for unit in scores.units])


@pytest.mark.slow
def test_a_one_sided_response_covers_less_and_its_other_side_less_still(windows: WindowSet, entail: Any) -> None:
    wide = {query: " ".join(reasons) for query, reasons in REASONS.items()}
    one_sided = {query: " ".join(reasons[:2]) for query, reasons in REASONS.items()}
    for score in ("coverage", "soft_coverage", "sided_coverage"):
        change = measured(windows, entail, one_sided, score) - measured(windows, entail, wide, score)
        assert change.high < 0, score


@pytest.mark.slow
def test_padding_does_not_raise_coverage(windows: WindowSet, entail: Any) -> None:
    wide = {query: " ".join(reasons) for query, reasons in REASONS.items()}
    padded = {query: text + PADDING for query, text in wide.items()}
    assert (measured(windows, entail, padded) - measured(windows, entail, wide)).value <= 0.02
    assert measured(windows, entail, dict.fromkeys(wide, PADDING)).value <= 0.05
    assert measured(windows, entail, dict.fromkeys(wide, "")).value == 0


@pytest.mark.slow
def test_a_response_covers_its_own_window_and_hardly_another(windows: WindowSet, entail: Any) -> None:
    recorded = {query: [" ".join(reasons)] for query, reasons in REASONS.items()}
    evaluation = OvertonEvaluation(windows, OvertonSettings(), recorded)
    scores = score_responses(evaluation, entail)
    own = sum(unit.value for unit in scores.units) / len(scores.units)
    assert scores.references["chance"] < own / 3
    assert scores.references["refusal"] <= 0.05
    assert scores.references["first_25_words"] < own


@pytest.mark.slow
def test_smollm2_covers_less_when_it_is_told_to_argue_one_side(entail: Any) -> None:
    from pytest_pluralism.models import load_model

    found = load_windows("contested")
    contested = tuple(window for window in found.windows if window.kind == "contested")
    model = load_model("embedded:smollm2-135m-instruct", device="cpu")
    both = "List two reasons to say yes and two reasons to say no to this question: {query}"
    one = "{query} Argue only for yes, and give reasons. Say nothing against it."
    estimates = {}
    for instruction in (both, one):
        # At temperature 1 so small a model says little that makes sense; several draws together find its two sides.
        # The threshold is that of the entailment model's card.
        settings = OvertonSettings(
            instruction=instruction,
            controls=False,
            n_draws=4,
            draws="union",
            threshold=0.26,
            temperature=0.5,
            max_new_tokens=80,
        )
        prompts = [overton_prompt(window, settings) for window in contested]
        written = model.generate(prompts, settings.generation, n_draws=settings.n_draws)
        recorded = {
            window.query_id: [response.text for response in draws]
            for window, draws in zip(contested, written, strict=True)
        }
        for score in ("coverage", "sided_coverage"):
            chosen = dataclasses.replace(settings, score=score)
            scores = score_responses(OvertonEvaluation(WindowSet("c", contested, "0"), chosen, recorded), entail)
            estimates[instruction, score] = estimate_mean(
                [unit.value for unit in scores.units], unit_ids=[unit.unit_id for unit in scores.units]
            )
    model.close()
    for score in ("coverage", "sided_coverage"):
        change = estimates[one, score] - estimates[both, score]
        assert change.high < 0, f"{score}: {change}"
