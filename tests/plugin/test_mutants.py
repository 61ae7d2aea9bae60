"""``--pluralism-mutants``: which damage the promises of a suite notice."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pytest_pluralism.report import json_report

MARK = "import pytest\n\n@pytest.mark.{marker}\ndef test_it(): ...\n"

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    # Of people who are not a sample of known size no distance is corrected, so that it can be computed by hand.
    survey = project.path / "town.jsonl"
    rows = [json.loads(line) for line in survey.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        for one in row["distributions"]:
            del one["n_respondents"]
    survey.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def run(marker: str, *args: str, model: str = "table:plain", strength: str = "") -> pytest.RunResult:
        if marker:
            project.makepyfile(test_town=MARK.format(marker=marker))
        option = f"--pluralism-mutants{strength}"
        return project.runpytest_inprocess(option, f"--pluralism-model={model}", "--pluralism-report=out.json", *args)

    return run


@functools.cache
def schema() -> jsonschema.Draft202012Validator:
    """Return the schema of reports, ready to validate: to read it takes longer than to check a report."""
    text = Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def content(project: pytest.Pytester) -> dict[str, Any]:
    report = json.loads((project.path / "out.json").read_text(encoding="utf-8"))
    schema().validate(report)
    (found,) = report["run"]["mutants"]
    assert not report["run"]["complete"]
    return dict(found)


def of_damage(promise: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {f"{one['name']} {one['at']}".rstrip(): one for one in promise["damages"]}


def distances(
    project: pytest.Pytester, change: Callable[[np.ndarray, list[float]], Any], place: int = 0
) -> list[float]:
    """Return the distances of the table's answers to the North or South, changed, by an independent implementation."""
    found = []
    for line in (project.path / "town.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        logits = [hashlib.sha256((row["question"] + one).encode()).digest()[0] / 128 for one in row["options"]]
        shares = np.exp(logits) / np.exp(logits).sum()
        people = row["distributions"][place]["probabilities"]
        found.append(float(jensenshannon(change(shares, people), people, base=2)))
    return found


#: Each damage that needs no draw, done anew from its definition.
DAMAGES: dict[str, Callable[[np.ndarray, list[float]], Any]] = {
    "sharpened T=0.8": lambda p, _: p**1.25 / (p**1.25).sum(),
    "sharpened T=0.2": lambda p, _: p**5 / (p**5).sum(),
    "sharpened T=0.1": lambda p, _: p**10 / (p**10).sum(),
    "flattened": lambda _, __: [1 / 3] * 3,
    # A letter stands before each option in turn.
    "collapsed letter": lambda _, __: [1 / 3] * 3,
    "collapsed place": lambda _, __: [1.0, 0.0, 0.0],
    "majority": lambda _, people: [float(one == max(people)) for one in people],
    "dropped_option": lambda p, people: (
        np.where(np.arange(3) == np.argmin(people), 0, p) / np.where(np.arange(3) == np.argmin(people), 0, p).sum()
    ),
    "refusals 30%": lambda p, _: p,
}


@pytest.mark.whole
@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("side", [-1e-3, 1e-3])
def test_a_level_flips_exactly_where_an_independent_computation_says(
    project: pytest.Pytester, run: Run, name: str, side: float
) -> None:
    whole, value = (float(np.mean(distances(project, one))) for one in (lambda p, _: p, DAMAGES[name]))
    bound = max(value, whole) + side if value != whole else whole + 1e-3
    run(f"js_distance('town.jsonl', population='North', at_most={bound!r}, confidence_level=None)",
        "--pluralism-health=warn")  # fmt: skip
    (promise,) = content(project)["promises"]
    found = of_damage(promise)[name]
    assert found["value"] == pytest.approx(value, abs=1e-9)
    assert promise["value"] == pytest.approx(whole, abs=1e-9)
    assert promise["kept"] == (whole <= bound)
    # A refused question keeps its shares, and four of twelve without option mass leave the level undecided.
    assert found["caught"] == (whole <= bound and (bound < value or name.startswith("refusals")))


@pytest.mark.whole
def test_confused_options_are_the_same_shares_in_other_places(project: pytest.Pytester, run: Run) -> None:
    run("answer_entropy('town.jsonl', population='North', max_decrease=0.01)")
    (promise,) = content(project)["promises"]
    assert of_damage(promise)["shuffled"]["value"] == pytest.approx(promise["value"], abs=1e-12)
    assert promise["smallest"]["shuffled"] is None
    assert promise["smallest"]["sharpened"] is not None


@pytest.mark.whole
def test_a_level_alone_catches_little_and_a_change_much(project: pytest.Pytester, run: Run) -> None:
    whole = float(np.mean(distances(project, lambda p, _: p)))
    level = run(f"js_distance('town.jsonl', population='North', at_most={whole + 0.3!r})", "--pluralism-health=warn")
    assert level.ret == pytest.ExitCode.OK
    few = content(project)
    text = level.stdout.str()
    assert "test_town.py::test_it js_distance town.jsonl North" in text
    assert "nothing in this suite would notice a model that answers every question evenly" in text
    assert "it takes windows whose answers have sides" in text
    change = run("js_distance('town.jsonl', population='North', max_increase=0.01)")
    assert change.ret == pytest.ExitCode.OK
    many = content(project)
    noticed = [{(one["name"], one["at"]) for one in found["damages"] if one["caught"]} for found in (few, many)]
    # Refusals show in the option mass alone, which is a warning for a change here and decides about a level.
    assert noticed[0] - {("refusals", "30%")} < noticed[1]
    assert {("sharpened", "T=0.5"), ("majority", ""), ("dropped_option", "")} <= noticed[1]
    assert "a model that refuses to answer" in many["unnoticed"]
    (promise,) = many["promises"]
    assert promise["left_out"]["one_sided"] == "it takes windows whose answers have sides"
    assert promise["not_compared"][0].startswith("no baseline")
    assert not (project.path / "pluralism-baselines").exists()


@pytest.mark.whole
def test_a_change_of_the_worst_group_is_judged_beside_what_is_stored_of_each_group(
    project: pytest.Pytester, run: Run
) -> None:
    project.makepyfile(test_town=MARK.format(marker="js_distance('town.jsonl', population='worst', max_increase=0.01)"))
    stored = project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline")
    stored.assert_outcomes(passed=1)
    result = run("")
    (promise,) = content(project)["promises"]
    assert (promise["kept"], promise["outcome"], promise.get("not_compared")) == (True, "passed", None)
    found = of_damage(promise)
    for name in ("flattened", "collapsed place", "sharpened T=0.2"):
        value = max(float(np.mean(distances(project, DAMAGES[name], place))) for place in (0, 1))
        assert found[name]["value"] == pytest.approx(value, abs=1e-9)
        assert found[name]["caught"] or value <= promise["value"] + 0.01
    assert found["collapsed place"]["caught"]
    # The change alone is promised, and refused questions keep their shares.
    assert not found["refusals 30%"]["caught"]
    assert "no baseline" not in result.stdout.str()
    # Beside the groups of a release that was better, the answers as they are break the promise.
    better = ("--pluralism-baseline=even.json", "--pluralism-looks=each")
    project.runpytest_inprocess("--pluralism-model=table:plain*0.1", "--pluralism-update-baseline", *better)
    text = run("", *better).stdout.str()
    (promise,) = content(project)["promises"]
    assert (promise["kept"], promise["outcome"]) == (True, "failed")
    assert "failed without any damage, beside the stored baseline: the change is 0.1" in text


@pytest.mark.whole
def test_a_stored_baseline_counts_as_in_a_run(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=MARK.format(marker="js_distance('town.jsonl', population='North', max_increase=0.01)"))
    for file, model in (("own.json", "table:plain"), ("sharp.json", "table:plain*3"), ("even.json", "table:plain*0.1")):
        stored = project.runpytest_inprocess(
            f"--pluralism-model={model}", f"--pluralism-baseline={file}", "--pluralism-update-baseline"
        )
        stored.assert_outcomes(passed=1)
    found = {}
    for file in ("own.json", "sharp.json", "even.json"):
        text = run("", f"--pluralism-baseline={file}", "--pluralism-looks=each").stdout.str()
        (promise,) = content(project)["promises"]
        assert "not_compared" not in promise
        assert promise["kept"]
        found[file] = promise
        assert ("failed without any damage, beside the stored baseline: the change is" in text) == (file == "even.json")
    assert [found[file]["outcome"] for file in found] == ["passed", "passed", "failed"]
    # Beside the model itself the damage is the same, whatever is stored.
    assert len({json.dumps(one["smallest"]) for one in found.values()}) == 1


@pytest.mark.whole
def test_a_damage_is_caught_beside_a_stored_baseline_alone(project: pytest.Pytester, run: Run) -> None:
    """A mild damage is within the margin of the model itself, and beyond that of the release that it drifted from."""
    whole, mild = (float(np.mean(distances(project, one))) for one in (lambda p, _: p, DAMAGES["sharpened T=0.8"]))
    step = mild - whole
    marker = f"js_distance('town.jsonl', population='North', max_increase={1.3 * step!r}, confidence_level=None)"
    project.makepyfile(test_town=MARK.format(marker=marker))
    args = ("--pluralism-model=table:plain*0.8", "--pluralism-baseline=start.json", "--pluralism-update-baseline")
    project.runpytest_inprocess(*args).assert_outcomes(passed=1)
    caught = []
    for args in ((), ("--pluralism-baseline=start.json",)):
        run("", *args)
        (promise,) = content(project)["promises"]
        assert promise["outcome"] == "passed"
        caught.append(of_damage(promise)["sharpened T=0.8"]["caught"])
    assert caught == [False, True]


@pytest.mark.whole
def test_a_broken_promise_notices_nothing_and_a_run_of_them_fails(project: pytest.Pytester, run: Run) -> None:
    result = run("js_distance('town.jsonl', population='North', at_most=0.01)")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = content(project)
    assert [one["kept"] for one in found["promises"]] == [False]
    assert not any(one["caught"] for one in found["damages"])
    assert "failed without any damage, so that it can notice none" in result.stdout.str()


@pytest.mark.whole
def test_undecided_counts_as_the_run_has_it(project: pytest.Pytester, run: Run) -> None:
    """A verdict that becomes undecided is noticed where that fails its test, and not where it is a warning."""
    whole = float(np.mean(distances(project, lambda p, _: p)))
    marker = f"js_distance('town.jsonl', population='North', at_most={whole + 0.12!r})"
    outcomes = {}
    for how in ("fail", "warn"):
        run(marker, "--pluralism-health=warn", f"--pluralism-inconclusive={how}")
        (promise,) = content(project)["promises"]
        outcomes[how] = {(one["name"], one["at"]): one for one in promise["damages"]}
    # Undecided by itself and not beside a baseline.
    text = run(f"js_distance('town.jsonl', population='North', at_most={whole!r})", "--pluralism-health=warn",
               "--pluralism-inconclusive=warn").stdout.str()  # fmt: skip
    assert "inconclusive without any damage, and counts as kept: the value is" in text
    undecided = [key for key, one in outcomes["fail"].items() if one["outcome"] == "inconclusive"]
    assert undecided
    for key in undecided:
        assert outcomes["fail"][key]["caught"]
        assert not outcomes["warn"][key]["caught"]


@pytest.mark.whole
def test_a_strict_run_fails_where_a_promise_catches_nothing(project: pytest.Pytester, run: Run) -> None:
    lax = "js_distance('town.jsonl', population='North', at_most=1.0)"
    accepted = ("--pluralism-health=warn", "--pluralism-suppress-health-check=low_option_mass")
    assert run(lax, *accepted).ret == pytest.ExitCode.OK
    assert run(lax, *accepted, strength="=strict").ret == pytest.ExitCode.TESTS_FAILED
    # Refusals leave no option mass to read a level from.
    assert run(lax, "--pluralism-health=warn", strength="=strict").ret == pytest.ExitCode.OK
    real = "js_distance('town.jsonl', population='North', max_increase=0.01)"
    assert run(real, strength="=strict").ret == pytest.ExitCode.OK


@pytest.mark.whole
def test_the_page_and_the_table_say_the_same(project: pytest.Pytester, run: Run) -> None:
    run("js_distance('town.jsonl', population='North', max_increase=0.01)", "--pluralism-report=out.html",
        "--pluralism-report=out.md")  # fmt: skip
    smallest = content(project)["promises"][0]["smallest"]
    page = (project.path / "out.html").read_text(encoding="utf-8")
    table = (project.path / "out.md").read_text(encoding="utf-8")
    for text in (page, table):
        assert "Damage that the promises notice: plain" in text
        assert "Nothing in this suite would notice a model that refuses to answer" in text
        assert f"{smallest['sharpened']}" in text.replace("\\", "")
        assert "not noticed" in text


@pytest.mark.whole
def test_whole_answers_bear_damage_and_published_protocols_do_not(project: pytest.Pytester, run: Run) -> None:
    run("js_distance('town.jsonl', population='North', scoring='pmi', max_increase=0.01)")
    (promise,) = content(project)["promises"]
    assert promise["smallest"]["majority"] == "caught"
    assert "collapsed letter" in promise["left_out"]
    assert "refusals 10%" in promise["left_out"]
    run("js_distance('town.jsonl', population='North', protocol='sorensen2024', max_increase=0.01)")
    (promise,) = content(project)["promises"]
    assert not promise["damages"]
    assert "read by the shares of their labels" in promise["left_out"]["sharpened T=0.5"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "damages the answers of a model, and none is named. Add --pluralism-model=SPEC"),
        (("--pluralism-model=table:a", "--pluralism-update-baseline"), "Leave --pluralism-update-baseline out"),
        (("--pluralism-model=table:a", "--pluralism-prune-baseline"), "Leave --pluralism-prune-baseline out"),
        (("--pluralism-model=table:a", "--pluralism-aa=2"), "Leave --pluralism-aa out"),
        (("--pluralism-model=table:a", "--pluralism-plan"), "Leave --pluralism-plan out"),
        (("--pluralism-model=table:a", "--pluralism-mutants=strct"), "Did you mean strict"),
        (("--pluralism-model=table:a",), "no test of this run makes a promise with a marker"),
    ],
)
def test_what_cannot_be_run_is_said(project: pytest.Pytester, args: tuple[str, ...], says: str) -> None:
    project.makepyfile("def test_plain(): ...")
    result = project.runpytest_inprocess("--pluralism-mutants", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str() + result.stdout.str()
    assert "LOADED" not in result.stdout.str()


def test_workers_are_refused(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=MARK.format(marker="js_distance('town.jsonl', population='North', at_most=1.0)"))
    result = project.runpytest_inprocess("--pluralism-mutants", "--pluralism-model=table:a", "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Leave -n out, or write -n 0" in result.stderr.str()


@pytest.mark.whole
def test_a_test_after_the_option_is_a_test(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=MARK.format(marker="js_distance('town.jsonl', population='North', max_increase=0.01)"))
    result = project.runpytest_inprocess("--pluralism-model=table:a", "--pluralism-mutants", "test_town.py::test_it")
    assert result.ret == pytest.ExitCode.OK
    assert "1 promise, 1 of them kept" in result.stdout.str()


def test_a_wrong_marker_is_told_and_fails(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(
        test_town=MARK.format(marker="js_distance('town.jsonl', population='North', max_increase=0.01)")
        + "\n@pytest.mark.js_distance('town.jsonl', population='North', at_mots=0.4)\ndef test_wrong(): ...\n"
    )
    assert run("").ret == pytest.ExitCode.USAGE_ERROR


def test_the_model_is_asked_once(project: pytest.Pytester, run: Run) -> None:
    result = run("js_distance('town.jsonl', population='North', max_increase=0.01)")
    asked = [line for line in result.stdout.lines if line.startswith("ASKED")]
    assert asked == ["ASKED 72"]
    assert math.isclose(sum(one["tried"] for one in content(project)["damages"]), 12)
