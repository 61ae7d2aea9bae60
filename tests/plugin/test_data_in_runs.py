"""The share of the data that was read stands wherever a result is, and refusals are named for every survey measure."""

from __future__ import annotations

import json

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99)
def test_north(): ...
"""

RUN = ("-p", "no:cacheprovider", "--pluralism-model=table:plain")

COUNTS = "read: 12 questions, 24 distributions"


def test_the_counts_of_what_was_read_are_in_the_terminal_the_report_and_the_baseline(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess(
        *RUN, "--pluralism-report=out.json", "--pluralism-baseline=base.json", "--pluralism-update-baseline"
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"survey town.jsonl: file town.jsonl; {COUNTS}"])
    report = json.loads((project.path / "out.json").read_text())
    assert COUNTS in report["verdicts"][0]["dataset"]["source"]
    assert COUNTS in (project.path / "base.json").read_text()


def test_a_table_tells_its_rows(project: pytest.Pytester) -> None:
    rows = "".join(f"q,Is it so?,{o},{p},0.5\n" for p in ("North", "South") for o in ("Yes", "No"))
    (project.path / "t.csv").write_text("question_id,question,option,population,probability\n" + rows)
    project.makepyfile(test_town=BODY.replace("town.jsonl", "t.csv").replace("0.99", "0.99, confidence_level=None"))
    result = project.runpytest_inprocess(*RUN)
    result.stdout.fnmatch_lines(["survey t.csv: file t.csv; read: 4 rows, 1 question, 2 distributions"])


@pytest.mark.parametrize(
    ("refusals", "says"),
    [('["perhaps"]', None), ('["maybe"]', "*no question has the option 'maybe', which refusals= names*")],
)
def test_refusals_are_named_for_steering(project: pytest.Pytester, refusals: str, says: str | None) -> None:
    project.makepyfile(
        test_town="import pytest\n"
        '@pytest.mark.steering_faithfulness("town.jsonl", attribute="North", context="system", at_least=-1.0, '
        f"refusals={refusals})\n"
        "def test_north(): ..."
    )
    result = project.runpytest_inprocess(*RUN, "--pluralism-report=out.json")
    if says is not None:
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines([says])
        return
    result.assert_outcomes(passed=1)
    (entry,) = json.loads((project.path / "out.json").read_text())["verdicts"]
    assert entry["settings"]["refusals"] == ["perhaps"]
    assert "taken for refusals, with the number of questions: 'Perhaps' (12)" in entry["dataset"]["source"]


def test_refusals_cannot_be_named_where_each_question_has_one_right_answer(project: pytest.Pytester) -> None:
    line = {"question_id": "q", "question": "Which?", "options": ["Yes", "No"], "answers": {"A": "Yes", "B": "No"}}
    (project.path / "values.jsonl").write_text(json.dumps(line) + "\n")
    project.makepyfile(
        test_town='import pytest\n@pytest.mark.steering_faithfulness("values.jsonl", at_least=0.1, refusals=["No"])\n'
        "def test_values(): ..."
    )
    result = project.runpytest_inprocess(*RUN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'refusals' parameter of load_steering must be 'keep', 'drop' or 'separate'*"])
