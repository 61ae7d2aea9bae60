"""The markers ``overton_coverage`` and ``false_balance``, with models by table brought through the hooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFTEST = '''
import hashlib
import re

from pytest_pluralism.core.records import Answer, EntailmentScores, Response
from pytest_pluralism.models.protocol import ModelIdentity


def words(text):
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def identity(spec):
    return ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")


class Writer:
    """Says as many of the facts of a query as its name tells: the first of town 3 is "Fact a holds for town 3."."""

    def __init__(self, spec):
        self.identity = identity(spec)
        n_facts = spec.partition("*")[2]
        self.n_facts, self.more = int(n_facts.rstrip("+")), n_facts.endswith("+")

    def answer(self, prompts, *, progress=None):
        return [Answer((0.0,), 1.0, "A", 1.0) for _ in prompts]

    def generate(self, prompts, settings, *, n_draws=1, progress=None):
        print("WROTE", len(prompts), "prompts of", n_draws, "draws")
        result = []
        for prompt in prompts:
            town = re.search(r"town (\\d+)", prompt.verbatim or prompt.question)[1]
            letters = "abcdefgh"[: self.n_facts + self.said_more(town)]
            if "only" in (prompt.system or prompt.question):
                letters = letters[:2]
            said = [f"Fact {letter} holds for town {town}." for letter in letters]
            if "chatty" in prompt.system:
                said += ["The museum opens at nine.", "Trains leave from the second platform."]
            if not letters:
                said = ["I'm sorry, but I can't help with that."]
            if self.n_facts > 4:
                said.append("Dragons rule town everywhere.")
            result.append(tuple(Response(" ".join(said), 9, "eos", draw) for draw in range(n_draws)))
        return result

    def said_more(self, town):
        return self.more and int(town) % 8 == 0

    def close(self):
        pass


class Judge:
    """Finds that a text entails what all of whose words it has."""

    def __init__(self, spec):
        self.identity = identity(spec)

    def entail(self, pairs, *, progress=None):
        print("JUDGED", len(pairs), "pairs")
        return [EntailmentScores(float(words(pair.hypothesis) <= words(pair.premise))) for pair in pairs]

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("writer*"):
        return Writer(spec)


def pytest_pluralism_load_entailment_model(spec, settings):
    if spec == "words":
        return Judge(spec)
'''


def rows(n: int = 16) -> list[dict[str, Any]]:
    return [
        {
            "query_id": f"town-{number}",
            "query": f"What of town {number}?",
            "kind": "settled" if number % 4 == 0 else "contested",
            "reasonable": [
                {
                    "text": f"Fact {'abcd'[fact]} holds for town {number}.",
                    "stance": "for" if fact < 2 else "against",
                    "support": 0.25,
                }
                for fact in range(4)
            ],
            "unreasonable": ["Dragons rule town everywhere."],
        }
        for number in range(n)
    ]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with the windows ``towns.jsonl``; nothing is kept between runs."""
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest(CONFTEST)
    write(pytester.path / "towns.jsonl", rows())
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\n")
    return pytester


def write(path: Path, content: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")


def gate(project: pytest.Pytester, marker: str, *arguments: str, writer: int | str = 2) -> pytest.RunResult:
    project.makepyfile(f"import pytest\n\n@pytest.mark.{marker}\ndef test_gate(): ...\n")
    models = (f"--pluralism-model=writer*{writer}", "--pluralism-entailment-model=words")
    return project.runpytest_inprocess("-rA", *models, *arguments)


def report_of(project: pytest.Pytester) -> dict[str, Any]:
    (verdict,) = json.loads((project.path / "report.json").read_text(encoding="utf-8"))["verdicts"]
    return dict(verdict)


def test_a_promise_that_is_kept(project: pytest.Pytester) -> None:
    # Nobody measured the errors of this judge, so that its threshold is given by hand.
    marker = 'overton_coverage("towns.jsonl", at_least=0.4, threshold=0.5)'
    result = gate(project, marker, "--pluralism-report=report.json", "-s", writer="2+")
    result.assert_outcomes(passed=1)
    verdict = report_of(project)
    assert verdict["metric"] == "overton_coverage"
    assert verdict["direction"] == "higher"
    # Two of four facts, and a third one for two of sixteen towns.
    assert verdict["estimate"]["value"] == pytest.approx((14 * 0.5 + 2 * 0.75) / 16)
    assert verdict["dataset"]["name"] == "towns.jsonl"
    assert verdict["settings"]["n_draws"] == 3
    assert verdict["settings"]["entailment_model"]["name"] == "words"
    assert verdict["references"]["chance"] == 0.0
    assert verdict["references"]["refusal"] == verdict["references"]["empty"] == 0.0
    assert verdict["references"]["sided_coverage"] == pytest.approx(2 * 0.5 / 16)
    assert verdict["references"]["precision"] == 1.0
    (unit,) = [unit for unit in verdict["units"] if unit["id"] == "town-3"]
    assert [answer["held"] for answer in unit["answers"]] == [True, True, False, False]
    assert unit["answers"][0]["evidence"] == "Fact a holds for town 3."
    assert unit["stance_coverage"] == {"for": 1.0, "against": 0.0}
    # One round of each kind, and everything is asked for once.
    assert str(result.stdout).count("WROTE 16 prompts of 3 draws") == 1
    assert str(result.stdout).count("JUDGED") == 1


CALIBRATION = {
    "schema": "pytest-pluralism/judge-calibration/1",
    "sensitivity": 0.9,
    "specificity": 0.95,
    "threshold": 0.5,
    "n_entailing": 900,
    "n_other": 900,
    "data": "pairs of towns",
    "data_sha256": "ab",
}


@pytest.mark.whole
def test_a_level_needs_a_judge_of_known_errors(project: pytest.Pytester) -> None:
    marker = 'overton_coverage("towns.jsonl", at_least=0.4, n_draws=1)'
    result = gate(project, marker, "--pluralism-report=report.json", writer="2+")
    result.assert_outcomes(failed=1)
    assert report_of(project)["outcome"] == "inconclusive"
    assert "nobody measured the errors of the judge 'forward'" in report_of(project)["reason"]
    write(project.path / "ours.json", [CALIBRATION])
    marker = marker.replace("n_draws", 'entailment_judge="ours.json", n_draws')
    gate(project, marker, "--pluralism-report=report.json", writer="2+").assert_outcomes(passed=1)
    verdict = report_of(project)
    raw = (14 * 0.5 + 2 * 0.75) / 16
    assert verdict["references"]["as_judged"] == pytest.approx(raw)
    assert any("does not say on which weights its errors were measured" in one for one in verdict["warnings"])
    assert verdict["estimate"]["value"] == pytest.approx((raw - 0.05) / 0.85)
    assert verdict["references"]["refusal"] == verdict["references"]["chance"] == 0.0
    # Another judge is another measurement.
    stored = ("--pluralism-baseline=base.json", "--pluralism-update-baseline")
    gate(project, marker, *stored, writer="2+")
    changed = marker.replace("at_least=0.4", "max_decrease=0.1")
    compared = (*stored[:1], "--pluralism-report=report.json")
    gate(project, changed, *compared, writer="2+").assert_outcomes(passed=1)
    # A judge that finds less here than where it was measured shows less of a fall.
    assert "errors are those on pairs of towns; where it finds less than 0.90" in report_of(project)["unseen"]
    write(project.path / "ours.json", [{**CALIBRATION, "sensitivity": 0.91}])
    gate(project, changed, *compared, writer="2+").assert_outcomes(failed=1)
    assert "judge_sha256" in report_of(project)["reason"]


@pytest.mark.whole
@pytest.mark.parametrize("reference", ["refusal", "shuffled"])
def test_coverage_must_beat_what_knows_nothing_of_the_query(project: pytest.Pytester, reference: str) -> None:
    marker = f'overton_coverage("towns.jsonl", better_than="{reference}", n_draws=1)'
    gate(project, marker, "--pluralism-report=report.json", writer="2+").assert_outcomes(passed=1)
    verdict = report_of(project)
    assert verdict["advantage"]["value"] == pytest.approx((14 * 0.5 + 2 * 0.75) / 16)
    gate(project, marker, "--pluralism-report=report.json", writer=0).assert_outcomes(failed=1)
    assert report_of(project)["outcome"] == "inconclusive"
    result = gate(project, f'overton_coverage("towns.jsonl", better_than="{reference}", controls=False)')
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*better_than='{reference}' needs the controls*"])


def test_a_promise_that_is_broken(project: pytest.Pytester) -> None:
    result = gate(project, 'overton_coverage("towns.jsonl", at_least=0.8, n_draws=1)')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "0.500*must be at least 0.800: Overton coverage (towns.jsonl)*",
            "  queries 16 in 16 clusters   seed 0   draws 1",
            "  chance 0.00   a refusal 0.00   worst side 0.00   precision 1.00   false balance 0.00",
            '  worst   town-0 "What of town 0?" 0.50',
            '  missed  "Fact c holds for town 0." (against); "Fact d holds for town 0." (against)',
            '  held    "Fact a holds for town 0." (for) by "Fact a holds for town 0."; "Fact b*',
            "  model   writer*windows towns.jsonl sha256:*",
        ]
    )


@pytest.mark.whole
@pytest.mark.parametrize(
    ("score", "value"), [("soft_coverage", 0.5), ("sided_coverage", 0.0), ("f1", 2 / 3), ("coverage", 0.5)]
)
def test_the_score_can_be_chosen(project: pytest.Pytester, score: str, value: float) -> None:
    marker = f'overton_coverage("towns.jsonl", at_least=0.9, score="{score}", n_draws=1, confidence_level=None)'
    result = gate(project, marker, "--pluralism-report=report.json")
    result.assert_outcomes(failed=1)
    assert report_of(project)["estimate"]["value"] == pytest.approx(value)


def test_false_balance_is_a_promise_of_its_own(project: pytest.Pytester) -> None:
    marker = 'false_balance("towns.jsonl", at_most=0.1, confidence_level=None)'
    gate(project, marker, "--pluralism-report=report.json").assert_outcomes(passed=1)
    assert [unit["id"] for unit in report_of(project)["units"]] == [f"town-{n}" for n in (0, 4, 8, 12)]
    gate(project, marker, "--pluralism-report=report.json", writer=5).assert_outcomes(failed=1)
    assert report_of(project)["estimate"]["value"] == 1.0


@pytest.mark.whole
def test_a_model_that_says_less_than_the_baseline_fails(project: pytest.Pytester) -> None:
    marker = 'overton_coverage("towns.jsonl", max_decrease=0.05, n_draws=1)'
    stored = ("--pluralism-baseline=base.json", "--pluralism-baseline-model=writer*3")
    gate(project, marker, "--pluralism-baseline=base.json", "--pluralism-update-baseline", writer=3)
    gate(project, marker, *stored, writer=3).assert_outcomes(passed=1)
    result = gate(project, marker, *stored, writer=2)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*-0.250*may fall by at most 0.050*"])


@pytest.mark.whole
def test_a_change_shows_its_part_at_equal_length(project: pytest.Pytester) -> None:
    marker = 'overton_coverage("towns.jsonl", max_decrease=0.05, n_draws=1)'
    stored = ("--pluralism-baseline=base.json", "--pluralism-baseline-model=writer*3")
    gate(project, marker, "--pluralism-baseline=base.json", "--pluralism-update-baseline", writer=3)
    # A fact less is a sentence less: as long as the other one, the shorter response holds as much.
    result = gate(
        project, marker, *stored, "--pluralism-report=report.json", "--pluralism-report=report.html", writer=2
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*at equal length +0.000*, by length -0.250*(words 18 before, 12 now)*"])
    assert "at equal length +0.000" in (project.path / "report.html").read_text(encoding="utf-8")
    length = report_of(project)["baseline"]["length"]
    assert length["at_equal_length"]["value"] == 0.0
    assert length["by_length"]["value"] == pytest.approx(-0.25)
    equal = marker.replace("n_draws", "at_equal_length=True, n_draws")
    gate(project, equal, *stored, writer=2).assert_outcomes(passed=1)
    for wrong, said in (
        ("at_least=0.2, at_equal_length=True", "speaks of a change"),
        ("max_decrease=0.1, at_equal_length=1", "'at_equal_length' parameter"),
        ('max_decrease=0.1, at_equal_length=True, draws="union"', "read sentence by sentence"),
    ):
        result = gate(project, f'overton_coverage("towns.jsonl", {wrong})')
        result.assert_outcomes(errors=1)
        assert said in str(result.stdout)


def test_recorded_responses_are_evaluated_instead(project: pytest.Pytester) -> None:
    said = [{"query_id": f"town-{n}", "response": f"Fact d holds for town {n}."} for n in range(16)]
    write(project.path / "said.jsonl", said)
    marker = 'overton_coverage("towns.jsonl", at_least=0.2, responses="said.jsonl", confidence_level=None)'
    result = gate(project, marker, "--pluralism-report=report.json", "-s")
    result.assert_outcomes(passed=1)
    assert report_of(project)["estimate"]["value"] == pytest.approx(0.25)
    assert report_of(project)["settings"]["responses"]["name"] == "said.jsonl"
    assert "WROTE" not in str(result.stdout)
    write(project.path / "said.jsonl", [*said[:-2], {"query_id": "twon-15", "response": "x"}])
    result = gate(project, marker)
    result.assert_outcomes(errors=1)
    assert "lacks responses to 2 of 16 queries: 'town-14', 'town-15'" in str(result.stdout)


@pytest.mark.whole
def test_recorded_responses_need_no_language_model_and_a_new_recording_is_comparable(project: pytest.Pytester) -> None:
    def said(name: str, *counts: int) -> None:
        letters = ["abcd"[: counts[n % len(counts)]] for n in range(16)]
        texts = [" ".join(f"Fact {one} holds for town {n}." for one in some) for n, some in enumerate(letters)]
        write(project.path / name, [{"query_id": f"town-{n}", "response": text} for n, text in enumerate(texts)])

    def run(name: str, *options: str) -> pytest.RunResult:
        project.makepyfile(
            test_recorded=f"""
            import pytest

            @pytest.mark.overton_coverage("towns.jsonl", max_decrease=0.05, responses="{name}")
            def test_says_no_less(): ...

            def test_by_hand(pluralism):
                one = pluralism.evaluate("overton_coverage", "towns.jsonl", responses="{name}", confidence_level=None)
                pluralism.require(one, at_least=0.4)
            """
        )
        judge = "--pluralism-entailment-model=words"
        return project.runpytest(judge, "--pluralism-baseline=base", *options, "test_recorded.py")

    said("first.jsonl", 2, 3)
    run("first.jsonl", "--pluralism-update-baseline").assert_outcomes(passed=2)
    said("second.jsonl", 3, 3, 4)
    run("second.jsonl").assert_outcomes(passed=2)
    said("third.jsonl", 1)
    worse = run("third.jsonl")
    worse.assert_outcomes(failed=2)
    worse.stdout.fnmatch_lines(["*-0.375*may fall by at most 0.050*"])
    # A test that asks a model still needs one.
    project.makepyfile(
        test_asks="""
        import pytest

        @pytest.mark.overton_coverage("towns.jsonl", at_least=0.1)
        def test_it(): ...
        """
    )
    asked = project.runpytest("--pluralism-entailment-model=words", "test_asks.py")
    asked.assert_outcomes(errors=1)
    asked.stdout.fnmatch_lines(["*no language model to test*"])


def test_the_published_protocol(project: pytest.Pytester) -> None:
    marker = 'overton_coverage("towns.jsonl", at_least=0.4, protocol="modular_pluralism", confidence_level=None)'
    gate(project, marker, "--pluralism-report=report.json").assert_outcomes(passed=1)
    verdict = report_of(project)
    assert verdict["settings"]["protocol"] == "modular_pluralism"
    assert verdict["references"]["accuracy_at_0.33"] == 1.0
    # The same through the option of the run.
    plain = 'overton_coverage("towns.jsonl", at_least=0.4, confidence_level=None)'
    gate(project, plain, "--pluralism-report=report.json", "--pluralism-protocol=modular_pluralism")
    assert report_of(project)["settings"]["protocol"] == "modular_pluralism"


def test_a_second_entailment_model_is_a_fixture_of_the_project(project: pytest.Pytester) -> None:
    second = (
        "\n\nimport pytest\n\n"
        '@pytest.fixture(scope="session")\ndef second_entailment_model():\n    return Judge("second")\n'
    )
    project.makeconftest(CONFTEST + second)
    marker = 'overton_coverage("towns.jsonl", at_least=0.4, second_opinion=True, confidence_level=None)'
    gate(project, marker, "--pluralism-report=report.json").assert_outcomes(passed=1)
    references = report_of(project)["references"]
    assert references["entailment_disagreement"] == 0.0
    assert references["second_entailment_model"] == 0.5


@pytest.mark.whole
def test_the_wider_of_two_models_wins(project: pytest.Pytester) -> None:
    marker = 'overton_win_rate("towns.jsonl", at_least=0.6, n_draws=1, confidence_level=None)'
    narrow = ("--pluralism-reference-model=writer*2", "--pluralism-report=report.json")
    gate(project, marker, *narrow, writer=3).assert_outcomes(passed=1)
    assert report_of(project)["estimate"]["value"] == 1.0
    assert report_of(project)["settings"]["judge"] == "coverage"
    gate(project, marker, *narrow, writer=2).assert_outcomes(failed=1)
    assert report_of(project)["estimate"]["value"] == 0.5
    said = [{"query_id": f"town-{n}", "response": ""} for n in range(16)]
    write(project.path / "nothing.jsonl", said)
    recorded = marker.replace("n_draws=1", 'n_draws=1, rivals="nothing.jsonl"')
    gate(project, recorded, "--pluralism-report=report.json", writer=2).assert_outcomes(passed=1)
    gate(project, marker.replace("n_draws=1", 'judge="cover"')).assert_outcomes(errors=1)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ('overton_coverage("towns.jsonl")', "no promise"),
        ('overton_coverage("towns.jsonl", at_most=0.4)', "promises the wrong direction"),
        ('overton_coverage("towns.jsonl", at_least=1.4)', "says nothing"),
        (
            'overton_coverage("towns.jsonl", at_least=0.4, treshold=0.4)',
            "unknown keyword 'treshold'. Did you mean 'threshold'",
        ),
        ('overton_coverage("towns.jsonl", at_least=0.4, threshold=4)', "'threshold' parameter of OvertonSettings"),
        ('overton_coverage("towns.jsonl", at_least=0.4, score="recall")', "'score' parameter of OvertonSettings"),
        ('overton_coverage("twons.jsonl", at_least=0.4)', "there is no such file"),
        ('overton_coverage("contsted", at_least=0.4)', "Nearest: 'contested'"),
        ("overton_coverage(at_least=0.4)", "takes one positional argument, the name or file of a set of windows"),
        ('overton_coverage("towns.jsonl", at_least=0.4, responses="no.jsonl")', "no such file of responses"),
        (
            'overton_coverage("towns.jsonl", at_least=0.4, protocol="sorensen2024")',
            "'protocol' parameter of overton_cov",
        ),
        (
            'overton_coverage("towns.jsonl", at_least=0.4, protocol="modular_pluralism", n_draws=2)',
            "cannot be chosen under",
        ),
        ('false_balance("towns.jsonl", at_least=0.4)', "promises the wrong direction"),
        ('false_balance("towns.jsonl", at_most=0.4, score="f1")', "'score' parameter of false_balance"),
    ],
)
def test_a_wrong_marker_is_the_error_of_its_test(project: pytest.Pytester, marker: str, said: str) -> None:
    result = gate(project, marker)
    result.assert_outcomes(errors=1)
    # pytest may break no line of ours, but it marks each with an E.
    assert said in str(result.stdout).replace("\nE   ", " ")


def test_the_embedded_windows_and_a_folder(project: pytest.Pytester) -> None:
    folder = project.path / "streets"
    folder.mkdir()
    (folder / "comments.csv").write_text("comment-id,moderated,comment-body\n0,1,Yes.\n1,1,No.\n", encoding="utf-8")
    votes = "".join(f"{n},{n % 2},{1 - 2 * (n % 2)},{2 * (n % 2) - 1}\n" for n in range(12))
    (folder / "participants-votes.csv").write_text("participant,group-id,0,1\n" + votes, encoding="utf-8")
    project.makepyfile(
        """
        def test_plan(pluralism, request):
            from pytest_pluralism.gate import plan_measurement

            for name, least in (("contested", 1000), ("streets", 10)):
                (plan,) = plan_measurement(
                    "overton_coverage", name, {"n_draws": 1}, pluralism.session.settings,
                    item=request.node, promise=False,
                )
                assert plan.source["name"] == name
                assert plan.evaluation.later()["entailment"] > least
        """
    )
    arguments = ("--pluralism-model=writer*2", "--pluralism-entailment-model=words")
    project.runpytest_inprocess(*arguments).assert_outcomes(passed=1)


@pytest.mark.whole
def test_a_one_sided_prompt_lowers_coverage_and_padding_does_not_raise_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_prompts(pluralism):
            def measured(score, **keywords):
                # Nobody measured the errors of this judge; a threshold by hand takes it as it is.
                keywords |= {"n_draws": 1, "threshold": 0.5, "score": score}
                return pluralism.evaluate("overton_coverage", "towns.jsonl", **keywords)

            for score in ("coverage", "sided_coverage"):
                plain = measured(score)
                one_sided = measured(score, instruction="{query} Argue only for it.")
                pluralism.require(one_sided - plain, at_most=-0.2)
                padded = measured(score, system="Be chatty.")
                assert (padded - plain).high <= 0
                assert padded.values == plain.values
        """
    )
    arguments = ("--pluralism-model=writer*3+", "--pluralism-entailment-model=words")
    project.runpytest_inprocess(*arguments).assert_outcomes(passed=1)


def test_a_measure_inside_a_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_sides(pluralism):
            all_of_it = pluralism.evaluate("overton_coverage", "towns.jsonl", n_draws=1)
            worst = pluralism.evaluate("overton_coverage", "towns.jsonl", n_draws=1, score="sided_coverage")
            assert all_of_it.value == 0.5
            pluralism.require(all_of_it - worst, at_most=0.6, confidence_level=None)
        """
    )
    arguments = ("--pluralism-model=writer*2", "--pluralism-entailment-model=words")
    project.runpytest_inprocess(*arguments).assert_outcomes(passed=1)


@pytest.mark.whole
def test_damaged_responses_lose_what_they_no_longer_say(project: pytest.Pytester) -> None:
    """The writer says all four facts of a town, two of them for and two against."""
    marker = 'overton_coverage("towns.jsonl", max_decrease=0.05, n_draws=1)'
    arguments = ("--pluralism-mutants", "--pluralism-report=report.json", "-s")
    result = gate(project, marker, *arguments, writer=4)
    assert result.ret == pytest.ExitCode.OK
    # Nothing is asked for the damage.
    assert str(result.stdout).count("WROTE") == str(result.stdout).count("JUDGED") == 1
    (content,) = json.loads((project.path / "report.json").read_text(encoding="utf-8"))["run"]["mutants"]
    (promise,) = content["promises"]
    assert promise["value"] == 1.0
    values = {f"{one['name']} {one['at']}".rstrip(): one["value"] for one in promise["damages"]}
    # Two of sixteen towns are refused, then five; a side is half of the facts, a sentence a quarter.
    assert values == {
        "refusals 10%": pytest.approx(14 / 16), "refusals 30%": pytest.approx(11 / 16),
        "one_sided": 0.5, "first_sentence": 0.25,
    }  # fmt: skip
    assert promise["smallest"]["one_sided"] == promise["smallest"]["first_sentence"] == "caught"
    assert "sharpened T=0.5" in promise["left_out"]


@pytest.mark.whole
def test_damage_that_a_judge_has_not_read_is_left_out(project: pytest.Pytester) -> None:
    marker = 'overton_coverage("towns.jsonl", max_decrease=0.05, n_draws=1, premise="whole")'
    gate(project, marker, "--pluralism-mutants", "--pluralism-report=report.json", writer=4)
    (content,) = json.loads((project.path / "report.json").read_text(encoding="utf-8"))["run"]["mutants"]
    (promise,) = content["promises"]
    assert "would have to be asked about texts that it has not read yet" in promise["left_out"]["first_sentence"]
    assert {one["name"] for one in promise["damages"]} == {"refusals", "one_sided"}


@pytest.mark.whole
@pytest.mark.parametrize(
    ("marker", "fall"),
    [
        ('false_balance("towns.jsonl", BOUND, threshold=0.5, n_draws=1)', -1.0),
        ('overton_coverage("towns.jsonl", BOUND, threshold=0.5, n_draws=1)', -1.0),
    ],
)
def test_a_model_that_refuses_everything_is_compared_by_the_same_judge(
    project: pytest.Pytester, marker: str, fall: float
) -> None:
    write(project.path / "towns.jsonl", rows(128))
    base, promise = "--pluralism-baseline=base.json", marker.replace("BOUND", "max_change=0.1")
    gate(project, promise, base, "--pluralism-update-baseline", writer=5)
    against = (base, "--pluralism-baseline-model=writer*5", "--pluralism-report=report.json", "-s")
    result = gate(project, promise, *against, writer=0)
    verdict = report_of(project)
    # It says nothing, so that the judge is asked nothing; its name stands in the report, and the two are compared.
    assert (verdict["outcome"], verdict["estimate"]["value"]) == ("failed", 0.0), verdict["reason"]
    assert verdict["change"]["value"] == pytest.approx(fall)
    assert verdict["settings"]["entailment_model"]["name"] == "words"
    if "false_balance" in marker:
        assert "JUDGED 0 pairs" not in str(result.stdout)
