"""The output blocks of the page on the systems of the roadmap are those of its examples."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "roadmap.md"


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("roadmap_page", ROOT / "tools" / "roadmap_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for file in sorted((ROOT / "examples" / "roadmap").glob("test_*.py")):
        assert f"`{file.name}`" in text, f"{file.name} is not on the page"


def test_every_example_has_its_output_on_the_page() -> None:
    module = tool()
    shown = {file for _, file, *_ in module.BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
    files = {file.stem.removeprefix("test_") for file in (ROOT / "examples" / "roadmap").glob("test_*.py")}
    assert shown == files == {*module.FILES, *(name for name, *_ in module.COMPARED), "lake"}


def test_a_promise_on_the_page_is_that_of_its_example() -> None:
    examples = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "examples" / "roadmap").glob("test_*.py"))
    promises = re.findall(r"^@pytest\.mark\..*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(promises) > 12
    for promise in promises:
        assert promise in examples, promise


@pytest.mark.slow
def test_the_outputs_are_those_of_the_examples() -> None:
    module = tool()
    text = PAGE.read_text(encoding="utf-8")
    found = module.outputs()
    assert module.page(text, found) == text
    # The pair of Lake et al. has a loss and a gain.
    assert [found["lake", test].split()[1] for test in ("no_distributional_loss", "no_overton_loss")] == [
        "FAILED",
        "PASSED",
    ]
    moved, harm = (
        found["modular_pluralism", test].splitlines()
        for test in ("the_patch_moves_the_patched_group", "the_patch_takes_nothing_from_any_party")
    )
    # A patch moves its group, and the other promise says who loses by it; one with another voice moves it not at all.
    assert [line.split()[:2] for line in moved] == [["patched", "PASSED"], ["again", "FAILED"]]
    assert [line.split()[1] for line in harm if line.startswith("patched")] == ["FAILED", "PASSED", "PASSED"]
    closer = found["composed_system", "closer_to_each_party"].splitlines()
    assert [line.split()[:2] for line in closer] == [["plain", "PASSED"]] * 3 + [["mixture", "INCONCLUSIVE"]] * 3
    for key, lines in found.items():
        if key[0] in {name for name, *_ in module.COMPARED}:
            assert "ERROR" not in lines
            continue
        if key[0] == "lake":
            assert [line.split()[0] for line in lines.splitlines()] == ["after", module.TUNED]
            assert "ERROR" not in lines
            continue
        outcomes: dict[str, list[str]] = {}
        for line in lines.splitlines():
            name, outcome = line.split()[:2]
            outcomes.setdefault(name, []).append(outcome)
        assert set(outcomes["good"]) == {"PASSED"}, key
        assert "PASSED" not in outcomes["poor"], key
        # A real model may keep a promise or not; what it answered was recorded, so that nothing is an error.
        assert "ERROR" not in outcomes.get(module.REAL, []), key
        assert (key[0] in module.RECORDED and module.RECORDED[key[0]] in key[1]) == (module.REAL in outcomes), key


def test_each_row_says_on_which_data_a_real_model_was_measured() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|") and ".py` |" in line]
    assert len(rows) > 15
    for row in rows:
        last = row.rstrip("|").rpartition("|")[2].strip()
        assert last.startswith(("SmolLM2 ", "none: ", "the same")), row
