"""Composed models in Python: `pp.mixture`, `pp.modular`, and functions as models."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_pluralism as pp
from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.models import load_model

QUESTION = Prompt("What do you think about taxes ?\nA. Yes\nB. No", ("A", "B"))


def first(prompt: Prompt) -> Any:
    return {label: float(place == 0) for place, label in enumerate(prompt.labels)} if prompt.labels else "A comment."


def even(prompt: Prompt) -> Any:
    return [1 / len(prompt.labels)] * len(prompt.labels) if prompt.labels else f"About {prompt.question[-6:]}"


def shares(model: Any) -> list[float]:
    return [math.exp(log) for log in model.answer([QUESTION])[0].log_probabilities]


def test_functions_and_models_are_mixed() -> None:
    assert shares(pp.mixture([first, even], weights=[1, 3])) == pytest.approx([0.625, 0.375])
    assert shares(pp.mixture([pp.mixture([first, even]), even])) == pytest.approx([0.625, 0.375])


def test_a_spec_is_loaded(tiny_folder: Callable[..., Path]) -> None:
    folder = str(tiny_folder("llama", name="one"))
    alone = shares(load_model(folder))
    assert shares(pp.mixture([folder, even])) == pytest.approx([(one + 0.5) / 2 for one in alone])


def test_a_modular_system_is_made_of_functions() -> None:
    read: list[str] = []

    def main(prompt: Prompt) -> Any:
        read.append(prompt.question)
        return {"A": 0.75, "B": 0.25}

    made = pp.modular(main, {"town": even, "country": first}, mode="distributional", weights=[1, 2])
    assert shares(made) == pytest.approx([0.75, 0.25])
    assert "Passage: About" in read[0]
    assert "Passage: A comment." in read[1]
    assert pp.modular(main, [even], mode="overton").identity.sha256 != made.identity.sha256


def test_a_function_is_evaluated_like_a_model(tmp_path: Path) -> None:
    path = tmp_path / "town.jsonl"
    path.write_text(
        '{"question_id": "q", "question": "?", "options": ["Yes", "No"],'
        ' "distributions": [{"population": "Town", "probabilities": [0.5, 0.5]}]}\n',
        encoding="utf-8",
    )
    assert pp.evaluate(even, "js_distance", str(path), settings={"answers": "off"}).value == pytest.approx(0, abs=1e-9)


def test_a_function_without_a_version_is_never_taken_for_an_earlier_one() -> None:
    assert pp.FunctionModel(even).identity.sha256 != pp.FunctionModel(even).identity.sha256
    kept = {pp.FunctionModel(even, version=version).identity.sha256 for version in ("1", "1", "2")}
    assert len(kept) == 2
    assert pp.FunctionModel(even, name="shares", version="1").identity.name == "shares"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.5], "a probability for each of A, B"),
        ({"A": 1.0}, "a probability for each of A, B"),
        ("A", "a probability for each of A, B"),
        (None, "a probability for each of A, B"),
        ([0.0, 0.0], "sum to more than 0"),
        ([0.9, 0.9], "at most 1"),
        ([1.5, -0.5], r"in \[0, 1\]"),
        ([math.nan, 1.0], "sum to more than 0"),
        (np.array([math.nan, 0.5]), "sum to more than 0"),
    ],
)  # fmt: skip
def test_a_function_that_gives_no_probabilities_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        pp.FunctionModel(lambda prompt: given).answer([QUESTION])


def test_a_function_that_raises_is_named_with_the_question() -> None:
    def broken(prompt: Prompt) -> Any:
        raise KeyError("price")

    for ask in (
        lambda model: model.answer([QUESTION]),
        lambda model: model.generate([Prompt("What about taxes?", ())], GenerationSettings(9)),
    ):
        with pytest.raises(ModelError, match=r"'broken' raised KeyError: 'price'\. It was asked: 'What") as raised:
            ask(pp.mixture([broken]))
        assert isinstance(raised.value.__cause__, KeyError)


def test_a_function_that_gives_no_text_is_refused() -> None:
    with pytest.raises(ModelError, match="must return a text"):
        pp.FunctionModel(lambda prompt: 3).generate([Prompt("Why?", ())], GenerationSettings(9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pp.mixture("one"), "'models' parameter of mixture"),
        (lambda: pp.mixture([even], weights=[-1]), "'weights' parameter of mixture"),
        (lambda: pp.mixture([even, even], weights=[1e308, 1e308]), "none above 1,000,000,000"),
        (lambda: pp.mixture([even], weights=3), "'weights' parameter of mixture"),  # type: ignore[arg-type]
        (lambda: pp.mixture(3), "'models' parameter of mixture"),  # type: ignore[arg-type]
        (lambda: pp.mixture([even, 3]), "Got 3"),  # type: ignore[list-item]
        (lambda: pp.mixture({"a": even}), "'models' parameter of mixture"),  # type: ignore[arg-type]
        (lambda: pp.mixture([even, even], weights={1, 3}), "'weights' parameter of mixture"),  # type: ignore[arg-type]
        (lambda: pp.mixture([even, even], weights={1: 0, 3: 0}), "'weights' parameter of mixture"),  # type: ignore[arg-type]
        (lambda: pp.mixture([even], name=" "), "'name' parameter of mixture"),
        (lambda: pp.modular(even, [even], mode="overton", name=3), "'name' parameter of modular"),  # type: ignore[arg-type]
        (lambda: pp.modular(even, [], mode="overton"), "'models' parameter of modular"),
        (lambda: pp.modular(even, [even], mode="best"), "one of overton, steerable, distributional"),
        (lambda: pp.modular(even, [even], mode="steerable", weights=[1]), "which has no weights"),
        (lambda: pp.modular(even, [even] * 27, mode="overton"), "at most 26"),
        (lambda: pp.modular(even, [even], mode="overton", comment_tokens=0), r"\[1, 4096\]"),
    ],
)  # fmt: skip
def test_a_wrong_composition_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make()


def test_a_weight_that_the_mode_would_ignore_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('mode = "overton"\nmain = "a"\n[[community]]\nmodel = "b"\nweight = 2\n', encoding="utf-8")
    with pytest.raises(ModelError, match=r"weight of \[\[community\]\] 1 must be left out where mode is 'overton'"):
        load_model(f"modular:{path}")
