"""From markers to verdicts, and every mistake that a marker can hold."""

from __future__ import annotations

import json
import math

import pytest


def run(project: pytest.Pytester, body: str, *args: str, model: str | None = "table:plain") -> pytest.RunResult:
    project.makepyfile(test_town="import pytest\n" + body)
    options = [f"--pluralism-model={model}"] if model else []
    return project.runpytest_inprocess(*options, *args)


def test_an_empty_body_asserts_the_promise(project: pytest.Pytester) -> None:
    body = """
@pytest.mark.js_distance("town.jsonl", population="North", at_most={bound})
def test_speaks_for_the_north(): ...
"""
    run(project, body.format(bound=0.9)).assert_outcomes(passed=1)
    result = run(project, body.format(bound=0.001))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*0.* [[]0.*, 0.*], must be at most 0.001: JS distance to North (town.jsonl), 95 % interval",
            "*questions 12 in 12 clusters*seed 0*option mass 1.00*",
            "*shuffled 0.*uniform 0.*human sampling floor 0.*South 0.*",
            '*worst * "Should the town do thing number *" 0.*: model * % "*", North * %*',
            "*model   plain sha256:* float32 cpu    survey town*sha256:*",
            "*to inspect: pytest --pluralism-model=table:plain --pluralism-report=report.html 'test_town.py::*'*",
            "FAILED test_town.py::test_speaks_for_the_north[[]table:plain] - Failed: 0.*",
        ]
    )


def test_the_body_can_use_the_verdict_and_fail_by_itself(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_uses(pluralism, language_model):
    assert pluralism.verdict.passed
    assert pluralism.estimate.n == 12
    assert language_model.identity.name == "plain"

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_own_reason():
    assert 1 == 2
""",
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_each_population_of_a_list_gets_its_verdict(project: pytest.Pytester) -> None:
    report = project.path / "out.json"
    run(
        project,
        """
@pytest.mark.js_distance("town.jsonl", population=["North", "South"], at_most=0.9)
def test_nobody_is_lost(): ...

@pytest.mark.js_distance("town.jsonl", population="all", at_most=0.9)
def test_all(): ...
""",
        f"--pluralism-report={report}",
    ).assert_outcomes(passed=2)
    verdicts = json.loads(report.read_text())["verdicts"]
    assert [entry["population"] for entry in verdicts] == ["North", "South"] * 2


def test_one_question_makes_populations_the_units(project: pytest.Pytester) -> None:
    lines = project.path.joinpath("town.jsonl").read_text().splitlines()
    project.path.joinpath("one.jsonl").write_text(lines[0] + "\n")
    report = project.path / "out.json"
    run(
        project,
        """
@pytest.mark.js_distance("one.jsonl", at_most=0.99)
def test_across(): ...
""",
        f"--pluralism-report={report}",
    )
    (entry,) = json.loads(report.read_text())["verdicts"]
    assert [unit["id"] for unit in entry["units"]] == ["North", "South"]
    assert "population" not in entry
    assert "another population" in entry["other_populations"]


def test_the_fixture_measures_and_requires(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
def test_in_my_own_words(pluralism, language_model):
    left = pluralism.evaluate("js_distance", "town.jsonl", population="North")
    right = pluralism.evaluate("js_distance", "town.jsonl", population="South")
    assert left.value < 0.9
    difference = left - right
    assert difference.n == 12
    assert abs(difference.value - (left.value - right.value)) < 1e-12
    pluralism.require(difference, at_most=0.9, at_least=-0.9)

def test_broken(pluralism):
    left = pluralism.evaluate("js_distance", "town.jsonl", population="North")
    pluralism.require(left, at_most=0.0001)

def test_assertion_text(pluralism):
    left = pluralism.evaluate("js_distance", "town.jsonl", population="North")
    assert left.value < 0.0001
""",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*0.* [[]0.*], must be at most 0.000*", "*Estimate(value=0.*, low=*, high=*"])


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ('"town.jsonl", population="North", at_mots=0.4', ["unknown keyword 'at_mots'. Did you mean 'at_most'?"]),
        (
            '"town.jsonl", population="North", at_least=0.4',
            ["at_least=0.4 promises the wrong direction", "Use at_most"],
        ),
        ('"town.jsonl", population="North"', ["no promise", "at_most=0.4"]),
        ('"town.jsonl", population="Norht", at_most=0.4', ["unknown population 'Norht' (there are 2)", "'North'"]),
        ('"gsss", population="Democrat", at_most=0.4', ["gsss", "'gss'"]),
        ('"town.jsonl", at_most=0.4', ["no population", "North, South"]),
        ('"town.jsonl", population="North", at_most=float("nan")', ["'at_most' parameter", "nan"]),
        ('"town.jsonl", population="North", at_most="x"', ["'at_most' parameter", "'x'"]),
        (
            '"town.jsonl", population="North", at_most=0.4, confidence_level=1.5',
            ["'confidence_level'", "(0, 1)", "1.5"],
        ),
        ('"town.jsonl", population="North", at_most=0.4, repetitions=0', ["'repetitions'", "0"]),
        ('"town.jsonl", population="North", at_most=0.4, template="chatty"', ["'template'", "'chatty'"]),
        ('"town.jsonl", population="North", at_most=0.4, protocol="soundest"', ["'protocol'", "'soundest'"]),
        ('"town.jsonl", population="North", at_most=0.4, refusals="toss"', ["'refusals'", "'toss'"]),
        ("population='North', at_most=0.4", ["one positional argument"]),
    ],
)
def test_a_wrong_marker_is_an_error_of_its_item_before_any_model_loads(
    project: pytest.Pytester, marker: str, words: list[str]
) -> None:
    result = run(project, f"@pytest.mark.js_distance({marker})\ndef test_it(): ...\n", "-s")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    for word in words:
        assert word in text
    assert "LOADED" not in text


def test_all_wrong_markers_are_reported_in_one_run_and_first(project: pytest.Pytester) -> None:
    body = """
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_right(): ...

@pytest.mark.js_distance("town.jsonl", population="Norht", at_mots=0.4)
def test_wrong_twice(): ...

@pytest.mark.js_distance("nowhere", at_most=0.4)
def test_wrong_survey(): ...
"""
    result = run(project, body, "-s")
    result.assert_outcomes(passed=1, errors=2)
    text = result.stdout.str()
    assert text.index("unknown keyword 'at_mots'") < text.index("LOADED")
    assert text.index("unknown population 'Norht'") < text.index("LOADED")
    assert text.index("nowhere") < text.index("LOADED")
    collected = run(project, body, "--collect-only", "-q", "-s").stdout.str()
    assert "unknown keyword 'at_mots'" in collected
    assert "LOADED" not in collected


def test_two_markers_of_the_same_measurement_are_refused(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.8)
def test_it(): ...
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*two markers promise the same measurement*"])


def test_no_model_is_a_clear_error(project: pytest.Pytester) -> None:
    body = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)\ndef test_it(): ...\n'
    result = run(project, body, model=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no language model to test. Name one with --pluralism-model=SPEC*"])


def test_a_project_can_bring_its_own_fixture(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
from conftest import TableModel

@pytest.fixture
def language_model():
    return TableModel("table:own")

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9)
def test_it(pluralism):
    assert pluralism.language_model.identity.name == "own"
""",
        model=None,
    )
    result.assert_outcomes(passed=1)


@pytest.mark.whole
def test_inconclusive_fails_by_default_and_says_how_many_units_would_decide(project: pytest.Pytester) -> None:
    probe = """
import pathlib

def test_it(pluralism):
    estimate = pluralism.evaluate("js_distance", "town.jsonl", population="North")
    pathlib.Path("value.txt").write_text(repr((estimate.low + estimate.high) / 2 + (estimate.high - estimate.low) / 4))
"""
    run(project, probe).assert_outcomes(passed=1)
    bound = float(project.path.joinpath("value.txt").read_text())
    body = f'@pytest.mark.js_distance("town.jsonl", population="North", at_most={bound})\ndef test_it(): ...\n'
    result = run(project, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*undecided: *", "*INCONCLUSIVE*"])
    run(project, body, "--pluralism-inconclusive=skip").assert_outcomes(skipped=1)
    # In a process of its own: our filters, which make warnings errors, would hold inside this one.
    warned = project.runpytest_subprocess("--pluralism-model=table:plain", "--pluralism-inconclusive=warn")
    warned.assert_outcomes(passed=1, warnings=1)


@pytest.mark.parametrize(("protocol", "asked", "most"), [("sorensen2024", 131, 1.0), ("modular_pluralism", 84, 0.8326)])
def test_a_published_protocol_asks_and_reads_in_its_own_way(
    project: pytest.Pytester, protocol: str, asked: int, most: float
) -> None:
    report = project.path / "out.json"
    body = f"""
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, protocol="{protocol}")
def test_published(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99)
def test_sound(): ...
"""
    page = project.path / "out.md"
    result = run(project, body, f"--pluralism-report={report}", f"--pluralism-report={page}", "-s")
    result.assert_outcomes(passed=2)
    # Under the protocol 60 prompts, of which one comes twice, or 12; the sound ones beside them are those of the other
    # test, and asked once: 12 questions of three options, each in six repetitions.
    result.stdout.fnmatch_lines([f"*ASKED {asked}*"])
    published, sound = json.loads(report.read_text())["verdicts"]
    assert published["settings"]["protocol"] == protocol
    assert published["settings"]["template"] == "raw"
    # The table model answers alike however it is asked, so that the two differ by the base of the logarithm, and by the
    # correction of the sound distance for the sample of people.
    for one, other in zip(published["units"], sound["units"], strict=True):
        assert one["model_probabilities"] == pytest.approx(other["model_probabilities"], abs=1e-6)
        assert one["value"] == pytest.approx(other["uncorrected"] * most, rel=1e-3)
    assert published["details"]["sound"] == pytest.approx(sound["estimate"]["value"], abs=1e-12)
    rows = {(row["quirk"], row["quantity"]): row for row in published["details"]["quirks"]}
    whole = rows["all", "js_distance"]
    assert whole["published"] == pytest.approx(published["estimate"]["value"], rel=1e-3)
    if protocol == "modular_pluralism":
        base = rows["natural_base", "js_distance"]
        assert base["without"] == pytest.approx(base["published"] / most, rel=1e-3)
    text = page.read_text(encoding="utf-8")
    assert f"under the protocol `{protocol}`" in text
    assert "| all | js\\_distance |" in text or "| all | js_distance |" in text


@pytest.mark.whole
def test_whole_answers_in_place_of_letters(project: pytest.Pytester) -> None:
    report = project.path / "out.json"
    body = "\n".join(
        f"""
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, scoring="{scoring}")
def test_{scoring}(): ...
"""
        for scoring in ("letters", "sum", "per_byte", "pmi")
    )
    result = run(project, body, f"--pluralism-report={report}", "-s")
    result.assert_outcomes(passed=4)
    # The three ways of reading whole answers ask the same once: 12 questions, five repetitions.
    result.stdout.fnmatch_lines(["*ASKED 72*", "*SCORED 60*"])
    letters, total, per_byte, information = json.loads(report.read_text())["verdicts"]
    # The table model likes an option equally by its letter and by its text.
    for one, other in zip(letters["units"], total["units"], strict=True):
        assert one["model_probabilities"] == pytest.approx(other["model_probabilities"], abs=1e-9)
        assert "option_mass" in one
        assert "option_mass" not in other
    for one, other, third in zip(total["units"], information["units"], per_byte["units"], strict=True):
        shares = [share * weight for share, weight in zip(one["model_probabilities"], (1, math.e, math.e), strict=True)]
        assert other["model_probabilities"] == pytest.approx([share / sum(shares) for share in shares], abs=1e-9)
        # "Perhaps" is long: per byte it loses less by that.
        assert third["model_probabilities"][1] > one["model_probabilities"][1]
    assert total["settings"]["scoring"] == "sum"
    assert total["settings"]["option_order"] == "none"
    assert "scoring" not in letters["settings"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ('scoring="words"', "*'scoring' parameter * must be one of 'letters', 'sum', 'per_byte', 'pmi'*"),
        ('scoring="pmi", option_order="cyclic"', "*option_order='cyclic' cannot be chosen with scoring='pmi'*"),
        ('scoring="sum", protocol="sorensen2024"', "*'scoring' * must be 'letters' under 'sorensen2024'*"),
    ],
)
def test_whole_answers_that_cannot_be_asked(project: pytest.Pytester, keywords: str, message: str) -> None:
    result = run(
        project,
        f'@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, {keywords})\ndef test_it(): ...',
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_protocol_decides_about_the_asking(project: pytest.Pytester) -> None:
    result = run(
        project,
        """
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, protocol="sorensen2024", template="chat")
def test_it(): ...
""",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*template='chat' cannot be chosen under the protocol 'sorensen2024'*"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tonw.jsonl", "there is no such file. Nearest: 'town.jsonl'."),
        ("tonw", "unknown survey 'tonw' * Files beside the test: 'town.jsonl'."),
        ("town", "unknown survey 'town' * Files beside the test: 'town.jsonl'."),
    ],
)
def test_a_misspelt_file_is_told_with_the_nearest_one(project: pytest.Pytester, name: str, says: str) -> None:
    project.makepyfile(
        f"import pytest\n@pytest.mark.js_distance({name!r}, population='North', at_most=1.0)\ndef test_it(): ...\n"
    )
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{says}*"])
