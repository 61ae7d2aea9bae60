"""Texts of strangers in surveys and names: the runner of a code host finds no command of theirs in the log."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.core.untrusted import harmless, printable, without_commands

#: Texts that a runner, a terminal or a reader would take for something else.
PAYLOADS = (
    "::error::forged",
    "::stop-commands::forged",
    "\u00a0 ::add-mask::PASSED",
    "##[add-mask]forged",
    "##vso[task.setvariable variable=x]forged",
    "long words so that the next one begins a line ::add-matcher::forged",
    "w" * 30 + "::set-output name=x::forged",
    "A\u202eB\u2066C\u200bD",
    "\x1b]8;;http://127.0.0.1/\x07L\x1b[2J\x9b2J",
)

#: In names of populations and units a line can end too.
LINES = ("a\n::error::forged\n##[group]forged", "b\r::warning::forged\u2028::debug::forged\x85::group::forged")


def commands(output: str) -> Iterator[str]:
    """Yield each command that the runner of GitHub Actions would find, by its two forms; any name counts.

    After ``ActionCommand.TryParseV2`` and ``ActionCommand.TryParse`` of the runner (MIT licence), which looks at lines.
    """
    for line in re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029|\x0b|\x0c", output):
        message = line.lstrip()
        if message.startswith("::") and message.find("::", 2) >= 0:
            yield message
        found = line.find("##[")
        if found >= 0 and line.find("]", found) >= 0:
            yield line
        if re.search(r"##\w+\[", line):
            yield line


@pytest.mark.parametrize("text", [*PAYLOADS, *LINES])
def test_cleaned_text_holds_no_command_wherever_it_stands(text: str) -> None:
    for clean in (harmless, printable):
        for shown in (clean(text), clean(f"{text}\n{text}"), clean(f"  {text}")):
            assert list(commands(shown)) == []
            assert not {"\x1b", "\x9b", "\x07", "\r", "\u202e", "\u200b"} & set(shown)
    assert "\n" not in printable(text)
    assert list(commands(without_commands(text.splitlines()[0]))) == []


def test_what_is_no_command_stays_as_it_is() -> None:
    text = "test_gate.py::test_it[a]: 2 ## 3 and C# [x]\n  worst   q1 “Why?” é"
    assert harmless(text) == text


def hostile_rows() -> list[dict[str, object]]:
    names = [*PAYLOADS[:6], *LINES]
    rows = []
    for number in range(12):
        texts = [*PAYLOADS, *LINES]
        options = [f"{PAYLOADS[(number + k) % 6]} {k}" for k in range(3)]
        given = [{"population": name, "probabilities": [0.2, 0.3, 0.5], "n_respondents": 500} for name in names]
        rows.append(
            {
                "question_id": f"{texts[number % len(texts)]} {number}",
                "question": f"{texts[(number + 1) % len(texts)]} {number}?",
                "options": options,
                "distributions": given,
            }
        )
    return rows


BODY = """
import pytest

@pytest.mark.js_distance("evil.jsonl", population="all", at_most=0.0001)
def test_broken(): ...

@pytest.mark.js_distance("evil.jsonl", population="all", at_most=0.9)
def test_kept(): ...

@pytest.mark.js_distance("evil.jsonl", population="::error::nobody", at_most=0.9)
def test_nobody(): ...

@pytest.mark.js_distance("broken.jsonl", at_most=0.9)
def test_unread(): ...

@pytest.mark.parametrize("name", ["##[error]forged", "::error::forged", "é##[error]"])
@pytest.mark.js_distance("evil.jsonl", population="all", max_increase=0.02)
def test_named(name): ...

def test_measured(pluralism):
    pluralism.require(pluralism.evaluate("js_distance", "evil.jsonl", population="::error::forged"), at_most=0.0001)
"""


@pytest.mark.parametrize(
    "width", ["60", pytest.param("100", marks=pytest.mark.slow), pytest.param("200", marks=pytest.mark.slow)]
)
def test_the_log_of_a_hostile_run_holds_only_our_annotations(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("COLUMNS", width)
    rows = hostile_rows()
    (project.path / "evil.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    broken = [{**row, "options": ["a\n::error::forged", "##[error]b"]} for row in rows]
    (project.path / "broken.jsonl").write_text("".join(json.dumps(row) + "\n" for row in broken))
    conftest = project.path / "conftest.py"
    asked = "text, *options = prompt.question.splitlines()"
    assert asked in conftest.read_text()
    text = conftest.read_text().replace(
        asked, 'text, options = "", prompt.question.split("\\n")[-len(prompt.labels) :]'
    )
    # This model of the project's own prints its name.
    conftest.write_text(text + "\nprint = lambda *words: None\n")
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess(
        "--pluralism-model=table:::stop-commands::forged",
        "--pluralism-model=table:##[add-mask]x",
        "--pluralism-report=out.json",
        "--pluralism-update-baseline",
        "-rA",
        "-v",
    )
    text = result.stdout.str() + "\n" + result.stderr.str()
    assert "forged" in text
    verdicts = json.loads((project.path / "out.json").read_text())["verdicts"]
    assert {one["outcome"] for one in verdicts} == {"failed", "passed", "error"}
    ours = re.compile(r"::(error|warning|notice) ([^:]*,)?title=Pluralism")
    assert [line for line in commands(text) if not ours.match(line)] == []
    assert not {"\x1b", "\u202e", "\u2028"} & set(text)
    for command in (
        ["report", "out.json", "--output=out.md"],
        ["compare", "out.json", "out.json"],
        ["leaderboard", "out.json", "::error::x"],
        ["leaderboard", "out.json", "--json"],
        ["history", "::error::x"],
        ["plan", "out.json"],
        ["\n::error::x"],
        ["compare", "out.json", "out.json", "--\n::error::x"],
    ):
        capsys.readouterr()
        with contextlib.suppress(SystemExit):
            main(command)
        output = "\n".join(capsys.readouterr())
        assert list(commands(output)) == [], command
        assert "Traceback" not in output


def test_json_of_a_command_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    from pytest_pluralism.cli.showing import say_json

    say_json({"name": "##[error]\n::error::x"})
    out = capsys.readouterr().out
    assert list(commands(out)) == []
    assert json.loads(out) == {"name": "##[error]\n::error::x"}


def test_a_wrong_argument_is_shown_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["x\n::error::forged"])
    assert list(commands(capsys.readouterr().err)) == []


def test_a_model_whose_name_is_not_ascii_keeps_its_keys(project: pytest.Pytester) -> None:
    body = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.02)
def test_kept(): ...
"""
    project.makepyfile(test_town=body)
    options = ("--pluralism-baseline=base.json", "--color=no", "-n", "0")
    project.runpytest_inprocess("--pluralism-model=table:modèle", "--pluralism-update-baseline", *options)
    (key,) = json.loads((project.path / "base.json").read_text())["entries"]
    assert key.startswith("test_town.py::test_kept ")
    named = ("--pluralism-model=table:plain", "--pluralism-baseline-model=modèle")
    text = project.runpytest_inprocess(*named, *options).stdout.str()
    assert "no baseline" not in text
    assert "test_kept[mod" not in text
