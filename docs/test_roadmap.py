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
    for key, lines in found.items():
        if key[0] == "lake":
            continue
        outcomes = [line.split()[1] for line in lines.splitlines()]
        half = len(outcomes) // 2
        assert set(outcomes[:half]) == {"PASSED"}, key
        assert "PASSED" not in outcomes[half:], key
