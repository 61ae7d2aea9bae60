"""`population="worst"` in runs of pytest: levels, changes against a baseline and against a reference model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_pluralism.cli import main

CONFTEST = """
from pytest_pluralism.models.protocol import ModelIdentity


class Reward:
    def __init__(self, name):
        self.identity = ModelIdentity(f"ours:{name}", "ours", name, "float32", "cpu")
        self.serves = name.split("+")

    def reward(self, requests, /, *, progress=None):
        return [float(any(word in one.response for word in self.serves)) for one in requests]

    def close(self):
        pass


def pytest_pluralism_load_value_model(spec, settings):
    return Reward(spec.partition(":")[2])
"""

TESTS = """
import pytest


@pytest.mark.preference_accuracy("pairs.jsonl", population="worst", at_least=0.6)
def test_level(): ...


@pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_decrease=0.05)
def test_change(): ...


@pytest.mark.preference_accuracy("pairs.jsonl", at_least=0.6)
def test_mean(): ...
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_pairs=TESTS)
    pytester.makeini("[pytest]\npluralism_seed = 0\n")
    rows = [
        {
            "pair_id": f"{group} {number}",
            "prompt": f"p{number}",
            "chosen": f"the {'fields' if number % 10 else 'stars'} of {group}"
            if group == "north"
            else f"the sea {number}",
            "rejected": f"nothing {number}",
            "groups": group,
        }
        for group, n in (("north", 120), ("south", 40))
        for number in range(n)
    ]
    pytester.path.joinpath("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return pytester


def outcomes(project: pytest.Pytester, reward: str, *words: str) -> dict[str, dict[str, object]]:
    project.runpytest_inprocess(f"--pluralism-value-model=ours:{reward}", "--pluralism-report=run.json", *words)
    found = json.loads(project.path.joinpath("run.json").read_text(encoding="utf-8"))["verdicts"]
    return {one["nodeid"].rpartition("::")[2]: one for one in found}


@pytest.mark.whole
def test_a_reward_that_serves_all_keeps_every_promise_and_one_that_loses_a_group_does_not(
    project: pytest.Pytester,
) -> None:
    stored = outcomes(project, "fields+stars+sea", "--pluralism-update-baseline")
    assert {one["outcome"] for one in stored.values()} == {"passed"}
    kept = outcomes(project, "fields+stars+sea")
    assert {one["outcome"] for one in kept.values()} == {"passed"}
    lost = outcomes(project, "fields+stars")
    # Three quarters of all pairs are right: the mean hides the group that lost everything.
    assert {name: one["outcome"] for name, one in lost.items()} == {
        "test_level": "failed",
        "test_change": "failed",
        "test_mean": "passed",
    }
    level = lost["test_level"]
    assert level["witness"]["id"] == "south"
    assert [row["group"] for row in level["details"]["groups"]] == ["north", "south"]
    assert lost["test_change"]["baseline"]["change_by_group"]["south"] == pytest.approx(-0.5)
    report = project.path / "run.md"
    outcomes(project, "fields+stars", f"--pluralism-report={report.name}")
    assert "| south |" in report.read_text(encoding="utf-8").replace("**", "")


@pytest.mark.whole
def test_a_loss_of_the_better_group_that_stays_above_the_worst_is_no_loss_of_the_worst(
    project: pytest.Pytester,
) -> None:
    assert outcomes(project, "fields", "--pluralism-update-baseline")["test_change"]["outcome"] == "passed"
    # The south, which had nothing, gains all; the worst is then the north, at nine tenths.
    assert outcomes(project, "fields+sea")["test_change"]["outcome"] == "passed"


@pytest.mark.whole
@pytest.mark.parametrize("groups", [{"south": "east"}, {"south": ""}], ids=["renamed", "vanished"])
def test_a_group_that_vanishes_is_not_compared_and_the_others_are_still_measured(
    project: pytest.Pytester, groups: dict[str, str]
) -> None:
    assert outcomes(project, "fields+stars", "--pluralism-update-baseline")["test_change"]["outcome"] == "passed"
    path = project.path / "pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    named = [{**row, "groups": groups.get(row["groups"], row["groups"])} for row in rows]
    named += [{**row, "pair_id": f"also {row['pair_id']}", "groups": "west"} for row in rows[:30]]
    path.write_text("\n".join(json.dumps(row) for row in named if row["groups"]), encoding="utf-8")
    change = outcomes(project, "fields+stars")["test_change"]
    assert change["outcome"] == "error"
    assert "baseline not comparable: content of the data was" in change["reason"]
    assert change["estimate"]["n"] == (190 if groups["south"] else 150)


def test_single_units_of_a_changing_group_cannot_be_guarded(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_pairs="""
        import pytest

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_unit_decrease=0.5)
        def test_it(): ...
        """
    )
    result = project.runpytest_inprocess("--pluralism-value-model=ours:sea")
    result.stdout.fnmatch_lines(["*max_unit_decrease=0.5 guards single units*Use population='all'*"])


@pytest.mark.whole
def test_the_worst_group_is_compared_with_that_of_a_reference_and_may_move_neither_way(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(
        test_pairs="""
        import pytest

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", better_than="longer")
        def test_better(): ...

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_change=0.04)
        def test_still(): ...

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", better_than="longer", max_decrease=0.1)
        def test_both(): ...
        """
    )
    # Preferring the longer response serves the north, and has nothing to say of the south, whose pairs are as long.
    outcomes(project, "fields+sea", "--pluralism-update-baseline")
    found = {
        reward: {name: one["outcome"] for name, one in outcomes(project, reward).items()}
        for reward in ("fields+sea", "fields", "sea", "fields+stars+sea")
    }
    assert found["fields+sea"] == {"test_better": "passed", "test_still": "passed", "test_both": "passed"}
    assert found["fields"] == {"test_better": "inconclusive", "test_still": "failed", "test_both": "failed"}
    assert found["sea"] == {"test_better": "inconclusive", "test_still": "failed", "test_both": "failed"}
    # From .95 to 1: the change is beyond the margin, and may be within it.
    assert found["fields+stars+sea"]["test_still"] == "inconclusive"
    better = outcomes(project, "fields+sea")["test_better"]
    assert better["advantage"]["value"] == pytest.approx(0.45)
    assert better["advantage"]["low"] > 0.0


@pytest.mark.whole
def test_a_run_that_stores_is_judged_by_its_level_and_against_the_anchor(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_pairs="""
        import pytest

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_decrease=0.05)
        def test_change(): ...

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_decrease=0.05, at_least=0.6)
        def test_both(): ...
        """
    )
    first = outcomes(project, "fields+stars+sea", "--pluralism-update-baseline")
    assert {one["outcome"] for one in first.values()} == {"passed"}
    assert first["test_change"]["reason"] == "stored as the baseline"
    lost = outcomes(project, "fields+stars", "--pluralism-update-baseline")
    assert {one["outcome"] for one in lost.values()} == {"failed"}
    assert str(lost["test_change"]["reason"]).startswith("the change from the anchor is")
    # Without an anchor there is nothing to drift from, and the level is judged all the same.
    moved = outcomes(project, "fields+stars", "--pluralism-move-anchor=all")
    assert {name: one["outcome"] for name, one in moved.items()} == {"test_change": "passed", "test_both": "failed"}


@pytest.mark.whole
def test_a_group_that_is_new_to_a_baseline_stores_no_promise_about_the_others(project: pytest.Pytester) -> None:
    only = """
        import pytest

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", max_decrease=0.05)
        def test_change(): ...
        """
    project.makepyfile(test_pairs=only)
    assert outcomes(project, "fields+stars+sea", "--pluralism-update-baseline")["test_change"]["outcome"] == "passed"
    west = [
        {"pair_id": f"west {n}", "prompt": f"p{n}", "chosen": "the stars", "rejected": "nothing", "groups": "west"}
        for n in range(40)
    ]
    with project.path.joinpath("pairs.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n" + "\n".join(map(json.dumps, west)))
    # The south lost everything, and the baseline lacks the west alone.
    found = outcomes(project, "fields+stars", "--pluralism-update-baseline=new")["test_change"]
    assert found["outcome"] == "error"
    assert "baseline not comparable" in str(found["reason"])
    # The anchor holds other groups: the remedy is to move it.
    stored = outcomes(project, "fields+stars", "--pluralism-update-baseline")["test_change"]
    assert stored["outcome"] == "inconclusive"
    assert "--pluralism-move-anchor" in str(stored["reason"])


def test_a_group_whose_questions_are_not_read_is_not_hidden_by_the_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")
    pytester.makeconftest(
        """
        import pytest_pluralism as pp

        def answers(prompt):
            share = 0.01 if "odd" in prompt.question else 1.0
            return [share / len(prompt.labels)] * len(prompt.labels)

        def pytest_pluralism_load_model(spec, settings):
            return pp.FunctionModel(answers, name="even")
        """
    )
    pytester.makeini("[pytest]\npluralism_seed = 0\npluralism_answers = off\n")
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.js_distance("town.jsonl", population="worst", at_most=0.45)
        def test_worst(): ...
        """
    )
    shares = {"probabilities": [0.4, 0.6], "n_respondents": 900}
    rows = [
        {
            "question_id": f"{kind} {number}",
            "question": f"Is this {kind} thing {number} good?",
            "options": ["Yes", "No"],
            "distributions": [{"population": one, **shares} for one in populations],
        }
        for kind, n, populations in (("usual", 40, ("North", "South", "West")), ("odd", 10, ("East",)))
        for number in range(n)
    ]
    pytester.path.joinpath("town.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    result = pytester.runpytest_inprocess("--pluralism-model=any")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the mean option mass is 0.01 for East*"])


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*words, "--json"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, content


@pytest.mark.whole
def test_two_reports_are_compared_by_the_worst_group_as_a_run_compares_them(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes(project, "fields+stars+sea", "--pluralism-update-baseline", "--pluralism-report=before.json")
    # The south falls from 1 to .5, and the mean of all pairs by an eighth only.
    for reward, outcome in (("fields+stars", "failed"), ("stars+fields+sea", "passed")):
        run = outcomes(project, reward, "--pluralism-report=after.json", "-k", "change")["test_change"]
        code, content = said(capsys, "compare", "before.json", "after.json")
        (row,) = [one for one in content["results"] if "::test_change " in one["key"]]
        assert (run["outcome"], row["outcome"], code) == (outcome, outcome, int(outcome == "failed"))
        assert row["change"]["method"] == run["change"]["method"]
        for name in ("value", "low", "high"):
            assert row["change"][name] == pytest.approx(run["change"][name], abs=1e-12), (reward, name)


def test_a_change_of_the_worst_group_whose_uncertainty_is_not_known_is_not_decided(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes(project, "fields+stars+sea", "--pluralism-update-baseline", "--pluralism-report=before.json")
    path = project.path / "before.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    (verdict,) = [one for one in content["verdicts"] if one["nodeid"].endswith("test_change")]
    # As a judge or jurors leave it, who stand behind all units.
    verdict["comparison"] = {"extra_variance": 0.001}
    path.write_text(json.dumps(content), encoding="utf-8")
    _, content = said(capsys, "compare", "before.json", "before.json")
    (row,) = [one for one in content["results"] if "::test_change " in one["key"]]
    assert (row["outcome"], row["change"]["low"], row["change"]["high"]) == ("inconclusive", None, None)


@pytest.mark.whole
def test_promises_about_the_worst_group_have_a_slack_from_a_baseline_of_its_groups(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    project.makepyfile(
        test_pairs="""
        import pytest

        @pytest.mark.preference_accuracy("pairs.jsonl", population="worst", at_least=0.6, max_decrease=0.05)
        def test_it(): ...
        """
    )
    run = outcomes(project, "fields+sea", "--pluralism-update-baseline", "--pluralism-report=run.json")["test_it"]
    for words in ([], ["--results=run.json"]):
        _, content = said(capsys, "promises", *words)
        (row,) = content["promises"]
        assert row["value"] == pytest.approx(run["estimate"]["value"])
        assert row["slacks"]["at_least"] == pytest.approx(run["estimate"]["low"] - 0.6)
