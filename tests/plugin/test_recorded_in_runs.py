"""Runs on recorded answers: verdicts without torch, comparable recordings, and notes on rows that are not used."""

from __future__ import annotations

import json
import sys

import pytest

from pytest_pluralism.cli import main

SUITE = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_close(): ...

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.05)
def test_no_worse(): ...
"""


@pytest.fixture
def town(pytester):
    rows = [
        {
            "question_id": f"q{i}",
            "question": f"Question {i}?",
            "options": ["Yes", "No", "Unsure"],
            "distributions": [
                {"population": "North", "probabilities": [0.5 - i / 100, 0.3 + i / 100, 0.2], "n_respondents": 1000}
            ],
        }
        for i in range(14)
    ]
    write(pytester.path / "town.jsonl", rows)
    pytester.makepyfile(test_town=SUITE)
    return pytester


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def recording(pytester, name="first.jsonl", *, shift=0.0, n=14, model="mine"):
    rows = [{"model": {"name": model}}]
    for i in range(n):
        yes = 0.45 - i / 90 + shift
        rows.append({"question_id": f"q{i}", "probabilities": {"Yes": yes, "No": 0.8 - yes, "Unsure": 0.2}})
    write(pytester.path / name, rows)
    return f"--pluralism-model=responses:{name}"


@pytest.mark.whole
def test_a_new_recording_is_compared_with_the_baseline_of_the_last(town):
    first = recording(town)
    town.runpytest(first, "--pluralism-update-baseline", "-p", "no:cacheprovider").assert_outcomes(passed=2)
    recording(town, "second.jsonl", shift=0.01)
    again = town.runpytest("--pluralism-model=responses:second.jsonl")
    again.assert_outcomes(passed=2)
    recording(town, "worse.jsonl", shift=-0.25)
    worse = town.runpytest("--pluralism-model=responses:worse.jsonl")
    worse.assert_outcomes(passed=1, failed=1)
    worse.stdout.no_fnmatch_line("*not comparable*")


def test_the_report_says_where_the_answers_come_from(town):
    model = recording(town)
    found = town.runpytest(model, "--pluralism-report=out.json", "-k", "close")
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["*answers of mine are recorded: 14 rows of first.jsonl*"])
    (verdict,) = json.loads((town.path / "out.json").read_text())["verdicts"]
    assert verdict["model"]["name"] == "mine"
    assert verdict["model"]["dtype"] == "recorded"
    assert len(verdict["model"]["sha256"]) == 64
    assert not (town.path / ".pytest_cache" / "pluralism").exists()


def test_missing_rows_fail_their_test_and_unused_ones_are_said(town):
    model = recording(town, n=13)
    found = town.runpytest(model, "-k", "close")
    found.assert_outcomes(failed=1)
    found.stdout.fnmatch_lines(["*no row for * requests: q13*"])
    more = recording(town, "more.jsonl", n=16)
    found = town.runpytest(more, "-k", "close")
    found.assert_outcomes(passed=1)
    found.stdout.fnmatch_lines(["*2 of 16 rows of more.jsonl answer nothing that this run asked (first: q14)*"])


def test_sampled_rows_are_told_in_the_verdict(town):
    rows = [{"question_id": f"q{i}", "samples": {"Yes": 9, "No": 7, "Unsure": 4}} for i in range(14)]
    write(town.path / "drawn.jsonl", rows)
    found = town.runpytest("--pluralism-model=responses:drawn.jsonl#drawn", "-k", "close", "--pluralism-report=o.json")
    found.assert_outcomes(passed=1)
    (verdict,) = json.loads((town.path / "o.json").read_text())["verdicts"]
    assert any("sampled answers: 20 draws a unit (fewest 20)" in text for text in verdict["warnings"])
    assert verdict["units"][0]["n_draws"] == 20


@pytest.mark.whole
def test_a_recording_needs_no_torch(town):
    model = recording(town)
    town.makeconftest(
        """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ImportError(f"{name} is not wanted")

sys.meta_path.insert(0, Refuse())
"""
    )
    found = town.runpytest_subprocess(model, "-k", "close")
    found.assert_outcomes(passed=1)
    assert sys.executable


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("responses:nowhere.jsonl#x", "There is no file 'nowhere.jsonl'"),
        ("responses:town.jsonl#x", "unknown field 'question'"),
        ("responses:town.jsonl", "does not name the model that was recorded"),
    ],
)
def test_wrong_files_are_told_at_once(town, spec, why):
    found = town.runpytest(f"--pluralism-model={spec}")
    assert found.ret != 0
    found.stdout.re_match_lines_random([f".*{why}.*"]) if why in found.stdout.str() else None
    assert why in found.stdout.str() + found.stderr.str()


@pytest.mark.whole
def test_steered_answers_are_found_by_attribute(town):
    town.makepyfile(
        test_town="""
        import pytest

        @pytest.mark.steering_faithfulness("town.jsonl", attribute="North", context="system", at_least=0.1, checks=[])
        def test_can_speak_for_the_north(): ...
        """
    )
    shares = [{"Yes": 0.5 - i / 100, "No": 0.3 + i / 100, "Unsure": 0.2} for i in range(14)]
    rows = [{"question_id": f"q{i}", "population": "North", "probabilities": one} for i, one in enumerate(shares)]
    write(town.path / "steered.jsonl", rows)
    found = town.runpytest("--pluralism-model=responses:steered.jsonl#x", "--pluralism-report=r.json")
    (verdict,) = json.loads((town.path / "r.json").read_text())["verdicts"]
    assert verdict["estimate"]["value"] == pytest.approx(1.0), found.stdout.str()
    # Without the attribute these are the plain answers, of which none is steered.
    write(town.path / "plain.jsonl", [{name: row[name] for name in row if name != "population"} for row in rows])
    found = town.runpytest("--pluralism-model=responses:plain.jsonl#x")
    found.stdout.fnmatch_lines(["*no row for * requests: q0 steered to North*"])


@pytest.mark.whole
def test_one_draw_decides_nothing_about_a_change(town, capsys):
    town.makepyfile(
        test_town="""
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.05)
def test_no_worse(): ...

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.05, confidence_level=None)
def test_no_worse_by_value(): ...

@pytest.mark.js_distance("town.jsonl", population="North", max_unit_increase=0.05)
def test_no_question_is_worse(): ...

@pytest.mark.answer_entropy("town.jsonl", population="North", max_decrease=0.05)
def test_no_less_varied(): ...
"""
    )

    def sampled(name, counts):
        options = ("Yes", "No", "Unsure")
        rows = [{"question_id": f"q{i}", "samples": dict(zip(options, counts(i), strict=True))} for i in range(14)]
        write(town.path / f"{name}.jsonl", rows)
        return f"--pluralism-model=responses:{name}.jsonl#mine"

    once = sampled("once", lambda i: [int(i % 3 == option) for option in range(3)])
    town.runpytest(once, "--pluralism-update-baseline", "--pluralism-suppress-health-check=sampled_answers")
    # Many draws that are all alike are nearer to the people than single draws that vary as they do.
    collapsed = sampled("collapsed", lambda _: [20, 0, 0])
    for place, model in (("once.json", once), ("collapsed.json", collapsed)):
        town.runpytest(model, f"--pluralism-report={place}").assert_outcomes(failed=4)
        verdicts = json.loads((town.path / place).read_text())["verdicts"]
        assert {one["outcome"] for one in verdicts} == {"inconclusive"}
        assert all("one draw says nothing" in one["reason"] for one in verdicts)
    # Nor do two reports beside each other.
    capsys.readouterr()
    main(["compare", str(town.path / "once.json"), str(town.path / "collapsed.json"), "--json"])
    compared = json.loads(capsys.readouterr().out)["results"]
    assert [one["outcome"] for one in compared] == ["inconclusive"] * 4


@pytest.mark.whole
def test_one_draw_decides_nothing_without_an_interval(town):
    marker = 'answer_entropy("town.jsonl", population="North", at_least=0.0, confidence_level=None)'
    town.makepyfile(test_town=f"import pytest\n\n@pytest.mark.{marker}\ndef test_sure(): ...\n")
    rows = [{"question_id": f"q{i}", "samples": {"Yes": 1, "No": 0, "Unsure": 0}} for i in range(14)]
    write(town.path / "once.jsonl", rows)
    result = town.runpytest("--pluralism-model=responses:once.jsonl#mine")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*INCONCLUSIVE*", "*one draw says nothing*"])


def test_a_row_answers_no_two_questions_of_one_id(town):
    model = recording(town)
    rows = [json.loads(line) for line in (town.path / "town.jsonl").read_text().splitlines()]
    write(town.path / "village.jsonl", [{**row, "question": f"Not {row['question']}"} for row in rows])
    # A part of the same survey asks the same, and is answered by the same rows.
    write(town.path / "part.jsonl", rows[:12])
    town.makepyfile(test_town=SUITE + SUITE.replace("town.jsonl", "part.jsonl").replace("def test_", "def test_part_"))
    town.runpytest(model, "-k", "close").assert_outcomes(passed=2)
    town.makepyfile(test_town=SUITE + SUITE.replace("town.jsonl", "village.jsonl").replace("def test_", "def test_of_"))
    result = town.runpytest(model, "-k", "close")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*row about 'q0' may answer 2 questions of this run, which have one id: *"])


@pytest.mark.whole
def test_a_score_that_drawing_biases_is_compared_with_as_many_draws_alone(town, capsys):
    marker = 'steering_faithfulness("town.jsonl", attribute="North", context="system", max_decrease=0.05, checks=[])'
    town.makepyfile(test_town=f"import pytest\n\n@pytest.mark.{marker}\ndef test_can_speak(): ...\n")

    def steered(name, field, values):
        rows = [{"question_id": f"q{i}", "population": "North", field: values(i)} for i in range(14)]
        write(town.path / f"{name}.jsonl", rows)
        return f"--pluralism-model=responses:{name}.jsonl#mine"

    # Each is a draw from the people's answers, and scores less than even answers do.
    few = steered("few", "samples", lambda i: [[1, 1, 0], [2, 0, 0], [0, 1, 1]][i % 3])
    town.runpytest(few, "--pluralism-update-baseline").assert_outcomes(passed=1)
    town.runpytest(few, "--pluralism-report=few.json").assert_outcomes(passed=1)
    even = steered("even", "probabilities", lambda _: [0.3334, 0.3333, 0.3333])
    result = town.runpytest(even, "--pluralism-report=even.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the answers were 2 draws a unit, are probabilities, and what drawing adds*"])
    capsys.readouterr()
    assert main(["compare", str(town.path / "few.json"), str(town.path / "even.json")]) == 1
    assert "the answers were 2 draws a unit, are probabilities" in capsys.readouterr().out


@pytest.mark.parametrize("repetitions", [3, 30])
def test_draws_count_once_however_often_a_prompt_is_repeated(town, repetitions):
    # Without examples there are as many prompts as orders of the options.
    marker = f'js_distance("town.jsonl", population="North", at_most=0.9, examples=0, repetitions={repetitions})'
    town.makepyfile(test_town=f"import pytest\n\n@pytest.mark.{marker}\ndef test_close(): ...\n")
    rows = [{"question_id": f"q{i}", "samples": {"Yes": 9, "No": 7, "Unsure": 4}} for i in range(14)]
    write(town.path / "drawn.jsonl", rows)
    town.runpytest("--pluralism-model=responses:drawn.jsonl#drawn", "--pluralism-report=o.json")
    (verdict,) = json.loads((town.path / "o.json").read_text())["verdicts"]
    assert {unit["n_draws"] for unit in verdict["units"]} == {20}
