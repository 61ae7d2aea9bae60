"""Every promise that a page, the README or an example shows: a perfect model keeps it, and a useless one does not.

The models are those of ``test_perfect_and_useless.py``; changes are those against a perfect model.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.evaluation.measures.registry import PLANNERS

ROOT = Path(__file__).resolve().parents[2]

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

#: The promises of pages and examples that these stubs are not asked to keep, by a part of their text, with the reason.
EXEMPT = {
    r"\.(jsonl?|csv|json\.gz)": "the data are those of the reader",
    r"staff_2026": "the data come from a hook that the page writes",
    r"minority_mass|preference_accuracy": "the measure is one that a page adds",
    r"OPINIONS|KALEIDOSCOPE|\*\*": "the example has data or settings of its own, and test_perfect_and_useless runs it",
    r"free_text": "texts in a model's own words: tests/evaluation/surveys/test_free_text.py has these stubs",
    r"score='reward'": "a reward model decides, of which no stub is perfect",
    r"at_most=1\.0": "the page shows a promise that everybody keeps",
    r"js_distance\(.*at_most=0\.1\)": "the example shows a promise that nobody keeps",
}


def promises_of_pages() -> dict[str, list[str]]:
    """Return every marker of a measure in the pages, the README and the examples, with the files that show it."""
    found: dict[str, list[str]] = {}
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.py")),
    ]:
        text = path.read_text(encoding="utf-8")
        blocks = [text] if path.suffix == ".py" else BLOCK.findall(text)
        for block in blocks:
            if block.startswith(">>>"):
                continue
            for node in ast.walk(ast.parse(block)):
                if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("pytest.mark."):
                    continue
                promise = ast.unparse(node).removeprefix("pytest.mark.")
                if promise.partition("(")[0] in (*PLANNERS, "minority_mass", "preference_accuracy"):
                    found.setdefault(promise, []).append(path.name)
    return found


def exempt(promise: str) -> bool:
    return any(re.search(part, promise) for part in EXEMPT)


SHOWN = {promise: files for promise, files in promises_of_pages().items() if not exempt(promise)}


def test_pages_show_promises_and_each_exemption_is_used() -> None:
    everything = promises_of_pages()
    assert len(everything) > 50
    assert len(SHOWN) > 20
    assert [part for part in EXEMPT if not any(re.search(part, one) for one in everything)] == []


def stubs() -> str:
    """Return the models and the judge of the promises of the package."""
    spec = importlib.util.spec_from_file_location("stubs", Path(__file__).with_name("test_perfect_and_useless.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.CONFTEST)


@pytest.fixture(scope="module")
def verdicts_of_pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Return the outcome of every promise by model; changes are those against a perfect model."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "pytest.ini").write_text("[pytest]\npluralism_seed = 0\n", encoding="utf-8")
    (folder / "conftest.py").write_text("TARGET = 'US adults'\n" + stubs(), encoding="utf-8")
    promises = list(SHOWN)
    # The judge of these tests knows words alone: nobody measured its errors.
    by_hand = [
        f"{promise[:-1]}, threshold=0.5)" if promise.startswith(("overton_coverage", "false_balance")) else promise
        for promise in promises
    ]
    tests = [f"@pytest.mark.{promise}\ndef test_{place}(): ...\n" for place, promise in enumerate(by_hand)]
    (folder / "test_all.py").write_text("import pytest\n\n" + "\n".join(tests), encoding="utf-8")
    fixed = "-p no:cacheprovider -q --pluralism-entailment-model=words --pluralism-answers=off"
    fixed += " --pluralism-repetitions=1 --pluralism-reference-model=stub:mute --pluralism-baseline=base.json"
    surroundings = {name: value for name, value in os.environ.items() if name != "PLURALISM_HEALTH"}
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for model, more in (("perfect", "--pluralism-update-baseline"), ("perfect", ""), ("even", ""), ("random", "")):
        arguments = [*fixed.split(), f"--pluralism-model=stub:{model}", "--pluralism-report=out.json", *more.split()]
        subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=folder,
            env=surroundings,
            capture_output=True,
            check=False,
            timeout=600,
        )
        report = json.loads((folder / "out.json").read_text(encoding="utf-8"))
        rows: dict[str, tuple[str, str]] = {}
        for verdict in report["verdicts"]:
            promise = promises[int(verdict["nodeid"].partition("::test_")[2].partition("[")[0])]
            worst = rows.get(promise, ("passed", ""))
            rows[promise] = worst if worst[0] != "passed" else (verdict["outcome"], verdict["reason"])
        found[model] = rows
    return found


@pytest.mark.slow
def test_a_perfect_model_keeps_what_pages_show(verdicts_of_pages: Mapping[str, Any]) -> None:
    found = verdicts_of_pages["perfect"]
    assert set(found) == set(SHOWN)
    assert {promise: (why, SHOWN[promise]) for promise, why in found.items() if why[0] != "passed"} == {}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["even", "random"])
def test_a_useless_model_keeps_nothing_that_pages_show(verdicts_of_pages: Mapping[str, Any], model: str) -> None:
    found = verdicts_of_pages[model]
    assert set(found) == set(SHOWN)
    assert {promise: SHOWN[promise] for promise, why in found.items() if why[0] == "passed"} == {}
