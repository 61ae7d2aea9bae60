"""The tools of the alignment study: how dialogues are read, texts are cut and counted, and batches are chosen."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
Tool = Callable[[str], ModuleType]

TOOLS = ROOT / "tools" / "align"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.syspath_prepend(str(TOOLS))

    def loaded(name: str) -> ModuleType:
        return importlib.import_module(name)

    return loaded


def test_dialogues_become_turns_with_roles(tool: Tool) -> None:
    found = tool("train").messages("\n\nHuman: Hello,\nyou?\n\nAssistant: Yes: I.\n\nHuman:  More ")
    assert found == [
        {"role": "user", "content": "Hello,\nyou?"},
        {"role": "assistant", "content": "Yes: I."},
        {"role": "user", "content": "More"},
    ]


def test_a_recording_is_cut_to_the_lengths_of_another(tool: Tool, tmp_path: Path) -> None:
    def recording(name: str, *texts: str) -> Path:
        rows: list[dict[str, object]] = [{"model": {"name": name}}, {"prompt_id": "letters", "probabilities": [1.0]}]
        rows += [{"prompt_id": "q", "draw": draw, "response": text} for draw, text in enumerate(texts)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    long, short = recording("long", "One two\n three four.", "One.", "One two"), recording("short", "a b c", "a b", "")
    tool("cut").main(str(long), str(short), str(tmp_path / "cut.jsonl"))
    rows = tool("cut").rows_of(tmp_path / "cut.jsonl")
    assert [row["response"] for row in rows[2:]] == ["One two\n three", "One.", ""]
    # Everything but the texts stays.
    assert rows[:2] == tool("cut").rows_of(long)[:2]


@given(st.text(alphabet="ab \n.", max_size=40), st.integers(0, 12))
def test_a_text_that_is_cut_is_its_own_beginning(text: str, words: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        found = importlib.import_module("cut").cut(text, words)
    assert text.startswith(found)
    assert found.split() == text.split()[:words]


@pytest.mark.parametrize("batch", [1, 3])
def test_each_text_to_stay_near_comes_once_before_one_comes_again(tool: Tool, batch: int) -> None:
    texts = tuple(((number,), 0) for number in range(6))
    kept = tool("keep").Kept(texts, batch, 1.0, 8, seed=5)
    steps = 6 // batch
    first, second = (
        [ids for step in range(turn * steps, (turn + 1) * steps) for ids, _ in kept.of_step(step)] for turn in (0, 1)
    )
    assert sorted(first) == sorted(second) == [(number,) for number in range(6)]
    assert first != second
    assert tool("keep").Kept(texts, batch, 1.0, 8, seed=5).of_step(1) == kept.of_step(1)


def test_the_counts_of_the_study_are_those_of_its_recordings(tool: Tool, capsys: pytest.CaptureFixture[str]) -> None:
    """Words, other sides, apologies and refusals of the three releases, as the page shows them."""
    answers = ROOT / "examples" / "releases" / "answers"
    tool("texts").main(*(str(answers / f"{name}.jsonl.gz") for name in ("v1", "v2", "v3")))
    page = (ROOT / "docs" / "explanation" / "alignment-study.md").read_text(encoding="utf-8")
    for line in capsys.readouterr().out.splitlines()[2:]:
        name, n, average, middle, evasive, refuse, sides = re.findall(r"[^| ]+", line)
        assert n == "88"
        assert f"| {name} | {average} ({middle}) | {sides} | {evasive} | {refuse} |" in page


def test_no_question_of_the_training_is_one_of_the_packaged_windows(tool: Tool) -> None:
    from pytest_pluralism.datasets import load_windows

    asked = {window.query.casefold() for window in load_windows("contested").windows}
    questions = [line for line in (TOOLS / "questions.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    assert not asked & {question.casefold() for question in questions}
    assert max(Counter(questions).values()) == 1
