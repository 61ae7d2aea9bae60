"""A real model, a real survey, real people: the gate catches a collapsed model and leaves an unchanged one alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.model]

SPEC = "embedded:smollm2-135m-instruct"

# The order of the survey: averaged over rotations, a collapse onto a place in the list looks like an even answer.
PROMISES = """
import pytest

@pytest.mark.js_distance("gss", population="US adults", at_most=0.43, option_order="none", repetitions=3)
def test_near_the_country(): ...

@pytest.mark.js_distance(
    "gss", population=["Democrat", "Republican"], max_increase=0.02, option_order="none", repetitions=3
)
def test_no_party_is_lost(): ...
"""


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 with its logits ten times as far apart: the same favourites at a temperature of 0.1."""
    import torch
    from transformers import AutoModelForCausalLM

    from pytest_pluralism.models.embedded import find_embedded
    from pytest_pluralism.models.local.gguf import converted

    original = converted(find_embedded("smollm2-135m-instruct")).folder
    folder = tmp_path_factory.mktemp("models") / "collapsed"
    shutil.copytree(original, folder)
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    network = AutoModelForCausalLM.from_pretrained(original, dtype=torch.float32)
    network.config.tie_word_embeddings = False
    network.lm_head.weight = torch.nn.Parameter(network.get_input_embeddings().weight.detach().clone() * 10)
    network.save_pretrained(folder)
    return folder


def verdicts(pytester: pytest.Pytester) -> dict[str, dict[str, object]]:
    content = json.loads((pytester.path / "out.json").read_text())
    return {entry["key"]: entry for entry in content["verdicts"]}


COMMON = (
    "--pluralism-baseline=base.json",
    "--pluralism-report=out.json",
    # Everything is computed anew: stored answers would agree with themselves.
    "--pluralism-answers=off",
    "-p",
    "no:cacheprovider",
    "-W",
    "error",
)


@pytest.fixture
def stored(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a baseline of the model as it is."""
    pytester.makepyfile(test_release=PROMISES)
    result = pytester.runpytest_subprocess(f"--pluralism-model={SPEC}", "--pluralism-update-baseline", *COMMON)
    result.assert_outcomes(passed=2)
    return pytester


def test_an_unchanged_model_passes_ten_times_in_ten(stored: pytest.Pytester) -> None:
    for number in range(1, 11):
        # Batches of another size round otherwise, as they would on another machine.
        result = stored.runpytest_subprocess(f"--pluralism-model={SPEC}", f"--pluralism-batch-size={number}", *COMMON)
        result.assert_outcomes(passed=2)


def test_a_collapsed_model_fails_what_the_original_passes(stored: pytest.Pytester, collapsed: Path) -> None:
    stored.runpytest_subprocess(f"--pluralism-model={SPEC}", *COMMON).assert_outcomes(passed=2)
    before = verdicts(stored)
    assert {entry["outcome"] for entry in before.values()} == {"passed"}

    name = SPEC.partition(":")[2]
    result = stored.runpytest_subprocess(
        f"--pluralism-model={collapsed}", f"--pluralism-baseline-model={name}", *COMMON
    )
    result.assert_outcomes(failed=2)
    after = verdicts(stored)
    outcomes = {key: entry["outcome"] for key, entry in after.items()}
    assert {outcome for key, outcome in outcomes.items() if "US adults" not in key} == {"failed"}
    # The bound on the value is broken narrowly: among three gates that may be chance, and does not pass either.
    assert {outcome for key, outcome in outcomes.items() if "US adults" in key} <= {"failed", "inconclusive"}
    result.stdout.fnmatch_lines(["*may rise by at most 0.020: change of JS distance to Democrat*was 0.*, is 0.*"])
    for key, entry in after.items():
        assert entry["estimate"]["value"] > before[key]["estimate"]["value"] + 0.05
        assert entry["witness"]["text"]


@pytest.mark.browser
def test_the_page_of_a_collapsed_model_shows_the_question_that_got_most_worse(
    stored: pytest.Pytester, collapsed: Path, show: Callable[..., Any], check_witness: Callable[..., None]
) -> None:
    options = (f"--pluralism-baseline-model={SPEC.partition(':')[2]}", "--pluralism-report=out.html", *COMMON)
    stored.runpytest_subprocess(f"--pluralism-model={collapsed}", *options).assert_outcomes(failed=2)
    text = (stored.path / "out.html").read_text(encoding="utf-8")
    compared = [entry for entry in verdicts(stored).values() if "change" in entry]
    assert len(compared) == 2
    for entry in compared:
        check_witness(show(text), entry)
