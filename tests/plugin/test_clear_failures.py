"""Mistakes of people in a project, and the one sentence that they get for each."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

MARKED = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_north(): ...
"""


@pytest.mark.parametrize("value", ["None", "3"])
def test_a_fixture_of_the_project_that_takes_our_name_is_named(project: pytest.Pytester, value: str) -> None:
    project.makepyfile(test_town=MARKED + f"\n@pytest.fixture\ndef pluralism():\n    return {value}\n")
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the fixture 'pluralism' of this test is one of the project's own*"])
    assert "AttributeError" not in result.stdout.str()


def test_estimates_that_cannot_be_compared_are_one_sentence(project: pytest.Pytester) -> None:
    rows = (project.path / "town.jsonl").read_text()
    (project.path / "other.jsonl").write_text(rows.replace('"question_id": "q', '"question_id": "x'))
    project.makepyfile(
        test_town="""
def test_difference(pluralism):
    left = pluralism.evaluate("js_distance", "town.jsonl", population="North")
    right = pluralism.evaluate("js_distance", "other.jsonl", population="North")
    pluralism.require(left - right, at_most=0.1)
"""
    )
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "test_town.py:4: " in text
    assert "Traceback" not in text
    assert "comparison.py" not in text
    assert "InvalidParameterError" not in text


def test_errors_in_tests_that_do_not_use_us_keep_their_frames(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_town="""
from pytest_pluralism.core.errors import DatasetError

def inner():
    raise DatasetError("from inside")

def test_other():
    inner()
"""
    )
    result = project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*def inner():*", "*DatasetError: from inside*"])


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--pluralism-model=embedded:smolm2-135m-instruct", "smollm2-135m-instruct"),
        ("--pluralism-model=embeded:smollm2-135m-instruct", "Did you mean embedded:smollm2-135m-instruct?"),
        ("--pluralism-model=./nowhere", "There is no folder"),
        ("--pluralism-reference-model=hf:", "does not name a repository"),
        ("--pluralism-entailment-model=embeded:x", "embeded"),
    ],
)
def test_a_misspelt_model_stops_the_run_at_once(pytester: pytest.Pytester, option: str, words: str) -> None:
    pytester.makepyfile("def test_one(language_model): ...\n\ndef test_two(language_model): ...")
    result = pytester.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert words in text
    assert text.count("ERROR") == 1


def test_a_name_that_a_hook_deep_in_the_project_knows_is_no_mistake(project: pytest.Pytester) -> None:
    deep = project.mkdir("tests") / "deep"
    deep.mkdir()
    (project.path / "conftest.py").rename(deep / "conftest.py")
    (deep / "test_town.py").write_text(
        "def test_it(language_model):\n    assert language_model.identity.name == 'one'\n"
    )
    project.runpytest_inprocess("--pluralism-model=table:one").assert_outcomes(passed=1)


def test_a_test_that_runs_again_has_its_properties_once(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=MARKED.replace("0.9", "0.0001"))
    project.runpytest_inprocess("--pluralism-model=table:plain", "--reruns", "2", "--junitxml=junit.xml")
    cases = ET.parse(project.path / "junit.xml").iter("testcase")  # noqa: S314 - written by this run
    names = [[one.get("name") for one in case.iter("property")] for case in cases]
    wanted = ("outcome", "promise", "value", "low", "high")
    assert names[-1][: len(wanted)] == [f"pluralism js_distance town.jsonl North {one}" for one in wanted]
    assert len(names[-1]) == len(set(names[-1]))


@pytest.mark.whole
def test_paths_of_an_ini_file_are_seen_from_its_folder(project: pytest.Pytester, tmp_path: Path) -> None:
    project.makepyfile(test_town=MARKED.replace("at_most=0.9", "max_increase=0.1"))
    project.makeini(
        "[pytest]\naddopts = -p no:hypothesispytest\npluralism_model =\n    table:plain\n"
        "pluralism_report =\n    out/report.json\npluralism_baseline = base\npluralism_answers = kept\n"
    )
    (project.path / "out").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    config = ("-c", str(project.path / "tox.ini"), "--rootdir", str(project.path), str(project.path))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLURALISM_ANSWERS")
        patch.chdir(elsewhere)
        first = project.runpytest_inprocess("--pluralism-update-baseline", *config)
        second = project.runpytest_inprocess(*config)
    first.assert_outcomes(passed=1)
    second.assert_outcomes(passed=1)
    report = json.loads((project.path / "out" / "report.json").read_text())
    assert report["run"]["answers"] == {"computed": 0, "from_store": 72}
    assert (project.path / "base" / "plain.json").exists()
    assert (project.path / "kept" / "answers.sqlite3").exists()
    assert not list(elsewhere.iterdir())


def test_models_of_an_ini_file_are_seen_from_its_folder(pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makeini("[pytest]\npluralism_model =\n    models/mine\n    embedded:gemma-3-270m\n")
    folder = pytester.path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    pytester.makepyfile("def test_it(language_model): ...")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = pytester.runpytest_inprocess(
            "--collect-only", "-q", "-c", str(pytester.path / "tox.ini"), pytester.path
        )
    result.stdout.fnmatch_lines(["*test_it[[]mine]", "*test_it[[]gemma-3-270m]"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("result[0] = Answer(logged[:1], 1.0, 'A', 0.9)", "gave 1 log-probabilities to the question*has 3 labels"),
        ("result[0] = {'A': 0.5}", "gave a dict to the question*must give an Answer for each prompt"),
        ("result[0] = Answer((math.nan,) * 3, 1.0, 'A', 0.9)", "gave the log-probabilities (nan, nan, nan)"),
        ("result[0] = Answer((0.5, -9.0, -9.0), 1.0, 'A', 0.9)", "gave the log-probabilities (0.5, -9.0, -9.0)"),
        ("result[0] = Answer(logged, math.nan, 'A', 0.9)", "gave the option mass nan to the question"),
        ("result[0] = Answer(logged, 2.0, 'A', 0.9)", "gave the option mass 2.0 to the question"),
        ("return None", "method answer of the model gave a NoneType*must give a list"),
    ],
)
def test_what_is_no_answer_is_one_sentence(project: pytest.Pytester, given: str, words: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text().replace('        print("ASKED"', f'        {given}\n        print("ASKED"')
    )
    project.makepyfile(
        test_town="""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=1.0)
        def test_near(): ...
        """
    )
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{words.replace('[', '[[]')}*"])
    assert "Traceback" not in result.stdout.str()
    assert "site-packages" not in result.stdout.str()


def test_a_hook_that_gives_no_model_is_one_sentence(project: pytest.Pytester) -> None:
    project.makeconftest("def pytest_pluralism_load_model(spec, settings):\n    return 3\n")
    project.makepyfile("def test_it(language_model): ...")
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*gave a int for 'table:plain', which has no 'identity'*"])


def test_a_quotation_that_never_ends_stops_the_run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLURALISM_MODEL", "it's")
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*PLURALISM_MODEL cannot be split into words*No closing quotation*it's*"])


def test_a_promise_too_large_for_a_float_is_one_sentence(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", max_increase=10**400)
        def test_near(): ...
        """
    )
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.stdout.fnmatch_lines(["*'max_increase' parameter of Gate must be a finite number*Got 1000*"])


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.whole)], ids=["alone", "workers"])
def test_a_file_that_cannot_be_collected_leaves_the_run_incomplete(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    project.makepyfile(
        test_town="""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="North", at_most=1.0)
        def test_near(): ...
        """,
        test_zoo="import nonexistent_xyz",
    )
    result = project.runpytest_inprocess(
        "--pluralism-model=table:plain",
        "--pluralism-report=out.json",
        "--pluralism-baseline=base.json",
        "--pluralism-update-baseline",
        "--continue-on-collection-errors",
        *workers,
    )
    result.assert_outcomes(passed=1, errors=1)
    assert json.loads((project.path / "out.json").read_text())["run"]["complete"] is False
    assert not (project.path / "base.json").exists()


def test_an_interval_stays_inside_the_range_of_its_measure(project: pytest.Pytester) -> None:
    rows = [json.loads(line) for line in (project.path / "town.jsonl").read_text().splitlines()][:4]
    (project.path / "few.jsonl").write_text("\n".join(map(json.dumps, rows)))
    project.makepyfile(
        """
        import pytest

        @pytest.mark.js_distance("few.jsonl", population="North", at_most=0.01)
        def test_near(): ...
        """
    )
    project.runpytest_inprocess("--pluralism-model=table:plain*9", "--pluralism-report=out.json")
    (entry,) = json.loads((project.path / "out.json").read_text())["verdicts"]
    assert 0.0 <= entry["estimate"]["low"] <= entry["estimate"]["value"] <= entry["estimate"]["high"] <= 1.0


def test_a_model_that_cannot_be_loaded_is_told_once(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from pytest_pluralism.core.errors import ModelError

        def pytest_pluralism_load_model(spec, settings):
            raise ModelError("The shelf is empty.")
        """
    )
    project.makepyfile("def test_it(language_model): ...")
    result = project.runpytest_inprocess("--pluralism-model=table:plain", "-rN")
    result.assert_outcomes(errors=1)
    assert result.stdout.str().count("The shelf is empty.") == 1
    assert "During handling" not in result.stdout.str()
