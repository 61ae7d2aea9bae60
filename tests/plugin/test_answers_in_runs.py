"""Answers that were given before are found again, across runs and workers."""

from __future__ import annotations

import json

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="all", at_most=0.99)
def test_one(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, seed=1)
def test_two(): ...
"""


@pytest.fixture
def kept(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PLURALISM_ANSWERS")
    project.makepyfile(test_town=BODY)
    return project


def run(project: pytest.Pytester, *args: str, model: str = "table:plain") -> dict[str, int]:
    project.runpytest_subprocess(
        f"--pluralism-model={model}", "--pluralism-answers=kept", "--pluralism-report=out.json", *args
    )
    answers: dict[str, int] = json.loads((project.path / "out.json").read_text())["run"]["answers"]
    return answers


def test_a_second_run_computes_nothing(kept: pytest.Pytester) -> None:
    # 72 prompts a seed, of which the two seeds share 12: the same draws in one of their repetitions.
    assert run(kept) == {"computed": 132, "from_store": 0}
    first = json.loads((kept.path / "out.json").read_text())["verdicts"]
    assert run(kept) == {"computed": 0, "from_store": 132}
    assert json.loads((kept.path / "out.json").read_text())["verdicts"] == first


def test_workers_share_the_store_and_report_what_they_did(kept: pytest.Pytester) -> None:
    counts = run(kept, "-n", "2")
    assert counts["computed"] + counts["from_store"] == 132
    assert run(kept, "-n", "2") == {"computed": 0, "from_store": 132}


def test_another_model_or_another_way_of_asking_misses(kept: pytest.Pytester) -> None:
    run(kept)
    assert run(kept, model="table:plain*2") == {"computed": 132, "from_store": 0}
    assert run(kept, "--pluralism-examples=2")["from_store"] == 0


def test_a_store_that_cannot_be_used_is_said_and_stops_nothing(kept: pytest.Pytester) -> None:
    (kept.path / "kept").write_text("a file where the folder should be")
    result = kept.runpytest_subprocess("--pluralism-model=table:plain", "--pluralism-answers=kept")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["answers are not kept: *"])


def test_a_damaged_store_is_set_aside(kept: pytest.Pytester) -> None:
    run(kept)
    (file,) = (kept.path / "kept").glob("*.sqlite3")
    file.write_bytes(b"not a database" * 100)
    result = kept.runpytest_subprocess(
        "--pluralism-model=table:plain", "--pluralism-answers=kept", "--pluralism-report=out.json"
    )
    result.assert_outcomes(passed=2)
    assert json.loads((kept.path / "out.json").read_text())["run"]["answers"]["computed"] == 132
    assert "damaged" in result.stdout.str()


def test_what_all_tests_want_is_asked_at_once(kept: pytest.Pytester) -> None:
    result = kept.runpytest_subprocess("--pluralism-model=table:plain", "--pluralism-answers=off", "-s")
    result.assert_outcomes(passed=2)
    assert "ASKED 132" in result.stdout.str()
    # A run that stops at the first failure asks only for what it comes to.
    stopping = kept.runpytest_subprocess("--pluralism-model=table:plain", "--pluralism-answers=off", "-s", "-x")
    assert "ASKED 72" in stopping.stdout.str()


def test_a_question_that_cannot_be_asked_is_the_error_of_its_own_test_alone(kept: pytest.Pytester) -> None:
    wide = {
        "question_id": "wide",
        "question": "Which of thirty?",
        "options": [f"Number {number}" for number in range(30)],
        "distributions": [{"population": "North", "probabilities": [1 / 30] * 30}],
    }
    (kept.path / "wide.jsonl").write_text(json.dumps(wide))
    kept.makepyfile(
        test_town=BODY
        + """
@pytest.mark.js_distance("wide.jsonl", population="North", at_most=0.99)
def test_wide(): ...
"""
    )
    result = kept.runpytest_subprocess("--pluralism-model=table:plain")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*'wide' of wide.jsonl has 30 options, but only 26 letters*"])
