"""The marker ``jury_welfare`` in runs of pytest."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from pytest_pluralism.report import json_report

EXAMPLE = Path(__file__).parents[3] / "examples" / "jury_gate"


@pytest.fixture
def town(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest((EXAMPLE / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\n")
    return pytester


@pytest.mark.whole
def test_the_shipped_example_pleases_on_average_and_fails_those_who_are_served_worst(town: pytest.Pytester) -> None:
    town.makepyfile((EXAMPLE / "test_jury.py").read_text(encoding="utf-8"))
    result = town.runpytest_inprocess(
        "--pluralism-model=town:pleaser", "--pluralism-report=report.json", "--pluralism-report=report.md", "-rA"
    )
    result.assert_outcomes(passed=1, failed=2)
    views = (town.path / "report.md").read_text(encoding="utf-8")
    assert views.count("### jury\\_welfare example\\_town") == 3
    assert "| alpha | welfare | 95 % interval | band over all alpha | center | river |" in views
    assert "50 jurors, 1,800 recorded votes;" in views
    assert "\\(made up\\) | river |" in views
    result.stdout.fnmatch_lines(["*PASSED*test_good_on_average*", "*FAILED*served_worst*", "*FAILED*river_quarter*"])
    result.stdout.fnmatch_lines(["*worst*group river*the group that is served worst*0.0*"])
    report = json.loads((town.path / "report.json").read_text(encoding="utf-8"))
    schema = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, schema)
    mean, worst, river = report["verdicts"]
    assert (mean["outcome"], worst["outcome"], river["outcome"]) == ("passed", "failed", "failed")
    assert worst["metric"] == "jury_welfare"
    assert worst["witness"]["id"] == "group river"
    assert worst["estimate"]["n"] == 12
    assert worst["other_populations"]["river"] < 0.2 < worst["other_populations"]["center"]
    assert {"uniform", "best", "worst", "majority", "shuffle"} <= set(worst["references"])
    assert river["population"] == "river"
    assert mean["dataset"]["name"] == "example_town"
    assert mean["dataset"]["scale"] == "utility = value, in [0, 1]"


def test_common_ground_keeps_every_promise(town: pytest.Pytester) -> None:
    town.makepyfile((EXAMPLE / "test_jury.py").read_text(encoding="utf-8"))
    result = town.runpytest_inprocess("--pluralism-model=town:bridge")
    result.assert_outcomes(passed=3)


@pytest.mark.whole
def test_a_change_is_compared_over_queries_and_jurors(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        @pytest.mark.jury_welfare("example_town", alpha=[0.0, 1.0, 5.0], max_decrease=0.02)
        def test_no_worse_at_any_aversion(): ...
        """
    )
    stored = town.runpytest_inprocess(
        "--pluralism-model=town:bridge", "--pluralism-baseline=b.json", "--pluralism-update-baseline"
    )
    stored.assert_outcomes(passed=1)
    entries = json.loads((town.path / "b.json").read_text(encoding="utf-8"))["entries"]
    assert len(entries) == 3
    assert all(entry["units"]["n_crossed"] == 50 for entry in entries.values())
    same = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-baseline=b.json")
    same.assert_outcomes(passed=1)
    worse = town.runpytest_inprocess(
        "--pluralism-model=town:pleaser", "--pluralism-baseline=b.json", "--pluralism-baseline-model=bridge",
        "--pluralism-report=report.json",
    )  # fmt: skip
    worse.assert_outcomes(failed=1)
    verdicts = json.loads((town.path / "report.json").read_text(encoding="utf-8"))["verdicts"]
    outcomes = {verdict["population"]: verdict["outcome"] for verdict in verdicts}
    assert outcomes["everyone, alpha 0"] != "failed"
    assert outcomes["everyone, alpha 5"] == "failed"
    # The river quarter falls; the center, which is the first to be named worst by its level, does not.
    assert verdicts[2]["witness"]["id"] == "group river"
    assert verdicts[2]["witness"]["value"] == verdicts[2]["baseline"]["change_by_group"]["river"] < -0.4
    assert verdicts[2]["witness"]["text"] == "the group that falls most"
    assert verdicts[2]["baseline"]["change_by_group"]["center"] > 0


@pytest.mark.whole
def test_a_model_is_compared_with_the_reference_model(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        @pytest.mark.jury_welfare("example_town", alpha=[0.0, 5.0], over="reference_model", at_least=-0.02)
        def test_no_worse_than_before(): ...

        @pytest.mark.jury_welfare("example_town", alpha=5.0, over="reference_model", at_least=-0.02)
        @pytest.mark.jury_welfare("example_town", alpha=5.0, at_least=0.01)
        def test_two_promises_of_one_panel(): ...
        """
    )
    run = ("--pluralism-report=report.json", "--pluralism-report=report.md", "--pluralism-report=report.html")
    result = town.runpytest_inprocess("--pluralism-model=town:pleaser", "--pluralism-reference-model=town:bridge", *run)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*this model 0.07*the reference model 0.6*"])
    verdicts = json.loads((town.path / "report.json").read_text(encoding="utf-8"))["verdicts"]
    mean, worst = verdicts[:2]
    assert mean["outcome"] == "inconclusive"
    assert worst["outcome"] == "failed"
    assert worst["population"] == "everyone, alpha 5, over the reference model"
    assert worst["witness"] == {
        "id": "group river",
        "value": worst["details"]["gain_by_group"]["river"],
        "text": "the group that gains least, or falls most",
    }
    assert set(worst["references"]) == {"candidate", "reference_model"}
    assert worst["details"]["dominance"]["dominates"] is False
    assert worst["settings"]["over"] == "reference_model"
    result.stdout.fnmatch_lines(["*worst*group river*the group that gains least, or falls most*"])
    assert "| alpha | gain over the reference model |" in (town.path / "report.md").read_text(encoding="utf-8")
    page = (town.path / "report.html").read_text(encoding="utf-8")
    assert page.count("Gain over the reference model by aversion to inequality") == 3
    without = town.runpytest_inprocess("--pluralism-model=town:pleaser", "-k", "no_worse")
    without.assert_outcomes(failed=1)
    without.stdout.fnmatch_lines(["*no reference model*--pluralism-reference-model=SPEC*"])


#: Two jurors with statements on a scale of two levels, whose worst vote would be worth 1/2.
WRITTEN = [
    {"scale": {"lowest": 0, "highest": 1, "levels": 2}},
    {"juror": "ana", "group": "north", "statement": "Build the railway."},
    {"juror": "bo", "group": "south", "statement": "Mend the roads."},
    {"query": "q1", "text": "What first?"},
]

#: A marker, and what is said of it.
WRONG = [
    ('"example_town", alpha=1', "no promise"),
    ('"example_town", at_most=0.5', "wrong direction"),
    ('"example_town", at_least=4', "cannot be reached"),
    ('"example_town", alpha=-1, at_least=0.4', "'alpha'"),
    ('"example_town", alpha=[], at_least=0.4', "'alpha'"),
    ('"example_twon", at_least=0.4', "example_town"),
    ('"example_town", population="rivre", at_least=0.4', "'river'"),
    ('"example_town", by="party", at_least=0.4', "kind of group"),
    ('"example_town", jurors="fited", at_least=0.4', "'fitted'"),
    ('"example_town", jurors=3, at_least=0.4', "'jurors'"),
    ('"example_town", satisfied_above=0.5, worst_share=0.1, at_least=0.4', "different measures"),
    ('"example_town", alpha=1, satisfied_above=0.5, at_least=0.4', "has no part"),
    ('"example_town", composition={"center": 3, "river": 11}, at_least=0.4', "[1, 10] for 'river'"),
    ('"example_town", composition={"hill": 3}, at_least=0.4', "(center, river)"),
    ('"example_town", jury="half", at_least=0.4', "'jury'"),
    ('"example_town", over="baseline", at_least=0.0', "'over' parameter of jury_welfare must be 'reference_model'"),
    ('"example_town", n_draws=3, at_least=0.4', "how a model writes"),
    ('"panel.jsonl", alpha=1, at_least=0.4', "needs positive utilities"),
    ('"single.jsonl", alpha=1, at_least=0.4', "no query has two responses"),
    ('"double.jsonl", alpha=1, at_least=0.4', "votes a second time"),
    ('"alone.jsonl", alpha=1, by="group", at_least=0.4', "every group is one juror"),
    ('"alone.jsonl", alpha=1, population="only a", at_least=0.4', "every group is one juror"),
    ('"two.jsonl", alpha=0, between_alpha=1, at_least=0.4', "2 jurors in 2 groups, so that every group is one juror"),
    ('"two.jsonl", composition={"a": 1}, at_least=0.4', "every group is one juror"),
    ('"mail.csv", composition={"j1@x": 1}, at_least=0.4', "every group is one juror"),
    ('"example_town", alpha=np.array([1.0, -1.0]), at_least=0.4', "'alpha' parameter of WelfareRule"),
    ('"example_town", alpha=10**400, at_least=0.4', "'alpha' parameter of WelfareRule"),
    ('"example_town", satisfied_above=10**400, at_least=0.4', "'satisfied_above' parameter of WelfareRule"),
    ('"example_town", worst_share=10**400, at_least=0.4', "Got a larger one instead."),
    (
        '"example_town", population=np.array([1]), at_least=0.4',
        "'population' parameter of jury_welfare must be a group",
    ),
    ('"example_town", over=np.zeros(2), at_least=0.4', "'over' parameter of jury_welfare"),
    ('"example_town", jury=np.zeros(2), at_least=0.4', "'jury' parameter of jury_welfare"),
    ('"example_town", jurors=np.zeros(2), at_least=0.4', "'jurors' parameter of jury_welfare"),
    ('"example_town", by=np.zeros(2), at_least=0.4', "kind of group"),
    ('"example_town", over="reference_model", at_least=1.5', "gains in utilities of example_town by these jurors end"),
    ('"example_town", over="reference_model", at_least=-5.0', "says nothing: gains"),
    ('"dices:", alpha=1, at_least=0.4', "must be 'dices:' and a path"),
    ('"example_town", alpha=[1, [2]], at_least=0.4', "'alpha' parameter of jury_welfare must be"),
    ('"example_town", alpha="most", at_least=0.4', "or 'all'. Got 'most'"),
    ('"example_town", alpha=True, at_least=0.4', "'alpha' parameter of jury_welfare must be"),
    ('"example_town", population="river", alpha=0, between_alpha=1, at_least=0.4', "measures one group alone"),
    (
        '"example_town", population="river", composition={"river": 3}, at_least=0.4',
        "'composition' needs several groups",
    ),
    (
        '"example_town", composition={"river": 3}, n_juries="x", at_least=0.4',
        "'n_juries' parameter of jury_welfare must",
    ),
    ('"example_town", composition={"river": 3}, n_juries=0, at_least=0.4', "an integer in [1, 100000]. Got 0"),
    ('"example_town", n_juries=30, at_least=0.4', "Name a composition"),
    ('"example_town", satisfied_above=1.0, at_least=0.4', "satisfied_above=1.0 says nothing"),
    ('"example_town", values={"Yes": 1}, at_least=0.4', "'columns'"),
    ('"example_town", alpha="all", at_least=0.4', "Add over='reference_model'"),
    ('"example_town", alpha="all", over="reference_model", max_decrease=0.1', "promises at_least alone"),
    ('"example_town", alpha="all", between_alpha=1, over="reference_model", at_least=0.0', "has no part"),
    ('"panel.jsonl", alpha="all", over="reference_model", at_least=0.0', "needs positive utilities"),
    (
        '"panel.jsonl", alpha=1, jurors="recorded", at_least=0.4',
        "needs positive utilities: one juror with 0 (juror 'a')",
    ),
    ('"single.jsonl", alpha=0, jurors="recorded", between_alpha=1, at_least=0.4', "at least two groups"),
    ('"panel.jsonl", alpha=0, jurors="fitted", at_least=0.4', "4 votes on 2 responses are too few to fit"),
    ('"panel.jsonl", alpha=0, jurors="entailment", at_least=0.4', "no juror wrote a statement"),
    ('"panel.jsonl", alpha=0, jurors="rewards", at_least=0.4', "knows no groups"),
    ('"panel.jsonl", alpha=0, jurors=RewardJurors({"a": len}, by="juror"), at_least=0.4', "Got none for 'b'"),
    ('"panel.jsonl", scale="five", at_least=0.4', "a mapping of its fields (lowest, highest"),
    ('"written.jsonl", at_least=1.5', "cannot be reached: utilities of written.jsonl by these jurors end at 1"),
]


def mail_table() -> str:
    """Return votes with a column that is another for every juror."""
    rows = [
        f"j{juror},j{juror}@x,q{query},{response},0.{3 + (juror + query) % 5}"
        for juror in range(12)
        for query in range(12)
        for response in "mn"
    ]
    return "\n".join(["juror,email,query,response,utility", *rows])


def test_a_column_that_is_another_for_every_juror_is_no_group(town: pytest.Pytester) -> None:
    (town.path / "mail.csv").write_text(mail_table(), encoding="utf-8")
    town.makepyfile(
        """
        import numpy as np
        import pytest

        from pytest_pluralism.core.records import Answer
        from pytest_pluralism.models.protocol import ModelIdentity

        @pytest.fixture
        def language_model():
            class Even:
                identity = ModelIdentity(spec="even", name="even", sha256="2" * 64, dtype="float32", device="cpu")

                def answer(self, prompts, /, *, progress=None):
                    return [Answer((np.log(0.5), np.log(0.5)), 1.0, one.labels[0], 0.5) for one in prompts]

            return Even()

        @pytest.mark.jury_welfare("mail.csv", alpha=np.linspace(0.0, 2.0, 3), at_least=0.2)
        def test_everybody(pluralism):
            assert [verdict.estimate.n for verdict in pluralism.verdicts] == [12, 12, 12]

        def test_numbers_of_numpy(jury):
            seats = {"center": np.int64(3), "river": np.int64(2)}
            assert jury("example_town", composition=seats).settings.composition == {"center": 3, "river": 2}
            assert jury("example_town", alpha=np.int64(1)).settings.rule.alpha == 1.0
            assert jury("example_town", population=np.array(["river"])).settings.group == "river"
        """
    )
    town.runpytest_inprocess().assert_outcomes(passed=2)


@pytest.mark.whole
def test_what_is_wrong_with_a_marker_is_said_at_collection(town: pytest.Pytester) -> None:
    votes = [
        {"juror": juror, "query": "q", "response": response, "utility": value}
        for juror, response, value in (("a", "x", 0.0), ("a", "y", 0.5), ("b", "x", 0.5), ("b", "y", 0.5))
    ]
    alone = [{"juror": juror, "group": f"only {juror}"} for juror in "abc"]
    alone += [{"juror": "c", "query": "q", "response": "x", "utility": 0.5}]
    alone += [{**vote, "utility": 0.5} for vote in votes]
    (town.path / "alone.jsonl").write_text("\n".join(map(json.dumps, alone)), encoding="utf-8")
    (town.path / "written.jsonl").write_text("\n".join(map(json.dumps, WRITTEN)), encoding="utf-8")
    for name, rows in (("panel", votes), ("single", votes[1::2]), ("double", [*votes, votes[0]])):
        (town.path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    two = [{**vote, "utility": 0.5} for vote in votes] + [{"juror": name, "group": name} for name in "ab"]
    (town.path / "two.jsonl").write_text("\n".join(map(json.dumps, two)), encoding="utf-8")
    (town.path / "mail.csv").write_text(mail_table(), encoding="utf-8")
    lines = ["import numpy as np", "import pytest", "from pytest_pluralism.evaluation.jury.jurors import RewardJurors"]
    for place, (marker, _) in enumerate(WRONG):
        lines += [f"@pytest.mark.jury_welfare({marker})", f"def test_{place}(): ..."]
    town.makepyfile("\n".join(lines))
    result = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-report=report.json")
    result.assert_outcomes(errors=len(WRONG))
    report = json.loads((town.path / "report.json").read_text(encoding="utf-8"))
    reasons = {verdict["nodeid"].split("::")[1].split("[")[0]: verdict["reason"] for verdict in report["verdicts"]}
    missing = [
        (marker, reasons[f"test_{n}"]) for n, (marker, words) in enumerate(WRONG) if words not in reasons[f"test_{n}"]
    ]
    assert not missing


def test_other_measures_of_the_same_panel_can_be_promised(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import math
        import pytest

        def close(juror, query, response):
            return 0.9 if juror.attributes["group"] == "center" else 0.3

        @pytest.mark.jury_welfare("example_town", satisfied_above=0.5, at_least=0.8)
        @pytest.mark.jury_welfare("example_town", worst_share=0.1, jury="whole", at_least=0.4)
        def test_two(): ...

        @pytest.mark.jury_welfare("example_town", alpha=0, between_alpha=math.inf, at_least=0.5)
        def test_between_groups(): ...

        @pytest.mark.jury_welfare("example_town", composition={"center": 3, "river": 3}, at_least=0.5)
        def test_a_stated_jury(): ...

        @pytest.mark.jury_welfare("example_town", population="all", at_least=0.5)
        def test_each_group(): ...

        def test_in_python(pluralism):
            everyone = pluralism.evaluate("jury_welfare", "example_town", alpha=1)
            assert 0.5 < everyone.value < 0.7
            assert everyone.low < everyone.value < everyone.high
            center = pluralism.evaluate("jury_welfare", "example_town", alpha=1, population="center")
            river = pluralism.evaluate("jury_welfare", "example_town", alpha=1, population="river")
            pluralism.require(center - river, at_most=0.1, at_least=0.0)
        """
    )
    result = town.runpytest_inprocess("--pluralism-model=town:bridge")
    result.assert_outcomes(passed=5)


def test_estimated_jurors_have_a_range_of_their_own(town: pytest.Pytester) -> None:
    (town.path / "written.jsonl").write_text("\n".join(map(json.dumps, WRITTEN)), encoding="utf-8")
    town.makepyfile(
        """
        import pytest

        # A vote is worth at least 1/2, but what a statement is worth by entailment begins at 0.01.
        @pytest.mark.jury_welfare("written.jsonl", alpha=1.0, at_least=0.3)
        def test_low_but_something(): ...
        """
    )
    result = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-plan")
    result.stdout.no_fnmatch_line("*says nothing*")
    assert result.ret == 0


def test_missing_votes_leave_a_stated_jury_as_it_is(town: pytest.Pytester) -> None:
    panel = [{"juror": f"{group}{n}", "group": group} for group in "ab" for n in range(6)]
    panel += [
        {"juror": f"{group}{n}", "query": f"q{q}", "response": name, "utility": worth}
        for group in "ab"
        for n in range(6)
        for q in range(12)
        for name, worth in (("x", 0.9 if group == "a" else 0.5), ("y", 0.3))
        if (n + q) % 6
    ]
    (town.path / "gaps.jsonl").write_text("\n".join(map(json.dumps, panel)), encoding="utf-8")
    town.makeconftest(
        """
        from pytest_pluralism.core.records import Answer
        from pytest_pluralism.models.protocol import ModelIdentity

        class First:
            identity = ModelIdentity(spec="first:x", name="x", sha256="0" * 64, dtype="float32", device="cpu")

            def answer(self, prompts, /, *, progress=None):
                found = []
                for prompt in prompts:
                    options = prompt.question.splitlines()[-len(prompt.labels) :]
                    found.append(Answer(tuple(0.0 if one.endswith("x") else -50.0 for one in options), 1.0, "A", 1.0))
                return found

            def close(self):
                pass

        def pytest_pluralism_load_model(spec, settings):
            return First() if spec.startswith("first:") else None
        """
    )
    town.makepyfile(
        """
        import pytest

        @pytest.mark.jury_welfare("gaps.jsonl", composition={"a": 3, "b": 3}, confidence_level=None, at_least=0.69)
        def test_half_and_half(): ...

        @pytest.mark.jury_welfare("gaps.jsonl", composition={"a": 6, "b": 3}, confidence_level=None, at_least=0.5)
        def test_more_seats_than_votes(): ...
        """
    )
    result = town.runpytest_inprocess("--pluralism-model=first:x", "--pluralism-report=report.json")
    result.assert_outcomes(passed=1, failed=1)
    verdicts = json.loads((town.path / "report.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdicts[0]["estimate"]["value"] == pytest.approx(0.7)
    assert verdicts[1]["outcome"] == "error"
    assert "12 of 12 queries have no value" in " ".join(verdicts[1]["warnings"])


@pytest.mark.whole
def test_at_least_as_good_for_every_aversion_is_one_gate(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        @pytest.mark.jury_welfare("example_town", alpha="all", over="reference_model", at_least=-0.02)
        def test_at_least_as_good_for_every_aversion(): ...
        """
    )
    run = ("--pluralism-report=report.json", "--pluralism-report=report.md", "--pluralism-report=report.html")
    worse = town.runpytest_inprocess("--pluralism-model=town:pleaser", "--pluralism-reference-model=town:bridge", *run)
    worse.assert_outcomes(failed=1)
    worse.stdout.fnmatch_lines(
        ["*least gain in welfare for everyone, every alpha*", "*worst*group river*at alpha *which decides*"]
    )
    assert "cluster" not in worse.stdout.str(), "an interval over queries and jurors has none"
    (verdict,) = json.loads((town.path / "report.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdict["outcome"] == "failed"
    assert verdict["population"] == "everyone, every alpha, over the reference model"
    assert verdict["witness"]["id"] == "group river"
    band = verdict["details"]["dominance"]
    assert len(band["alphas"]) == 12
    assert verdict["estimate"]["high"] == min(band["band_high"]) < -0.02
    same = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-reference-model=town:bridge")
    same.assert_outcomes(passed=1)
    with_third = (EXAMPLE / "conftest.py").read_text(encoding="utf-8")
    even = '"even": {"for the center": 0.1, "for both": 0.8, "for the river": 0.1},'
    town.makeconftest(with_third.replace("SYSTEMS = {", "SYSTEMS = {" + even))
    better = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-reference-model=town:even", *run)
    better.assert_outcomes(passed=1)


@pytest.mark.whole
def test_the_fixture_jury_says_what_any_texts_are_worth(town: pytest.Pytester) -> None:
    (town.path / "written.jsonl").write_text("\n".join(map(json.dumps, WRITTEN)), encoding="utf-8")
    town.makepyfile(
        """
        import pytest

        from pytest_pluralism.core.records import EntailmentScores
        from pytest_pluralism.models.protocol import ModelIdentity

        def both(panel):
            return {query.query_id: query.responses[1].text for query in panel.queries}

        def test_recorded_texts_are_worth_their_votes(jury):
            town = jury("example_town", alpha=5.0)
            assert len(town.panel.jurors) == 50
            estimate = town.welfare(both(town.panel))
            assert 0.5 < estimate.low < estimate.value < estimate.high < 0.7
            assert estimate.n == 12
            river = jury("example_town", alpha=5.0, population="river")
            assert river.welfare(both(town.panel)).value > estimate.value - 0.05
            assert town.scores(both(town.panel)).witness.unit_id.startswith("group ")

        def test_texts_of_two_queries_in_any_order(jury):
            town = jury("example_town", alpha=0.0)
            responses = both(town.panel)
            some = {name: [responses[name], "nobody knows this"] for name in ("park", "bus")}
            found = town.utilities(some)
            assert found.utilities.shape == (1, 50, 4)
            assert found.kind == "recorded"
            one = {name: responses[name] for name in ("park", "bus")}
            assert town.welfare(one).n == 2
            assert town.welfare(one).value == pytest.approx(float(found.utilities[0][:, [0, 2]].mean()))

        def test_a_function_of_the_test_judges_new_texts(jury):
            town = jury("example_town", jurors=lambda juror, query, response: len(response) / 100, alpha=1.0)
            assert town.welfare({"bus": "x" * 40, "park": "x" * 40}).value == pytest.approx(0.4)

        @pytest.mark.jury_welfare("example_town", population="river", alpha=1.0, at_least=0.4)
        def test_the_jury_of_the_marker(jury, pluralism):
            river = jury()
            assert river.settings.group == "river"
            pluralism.require(river.welfare(both(river.panel)), at_least=0.5)

        @pytest.fixture
        def entailment_model():
            class Knows:
                identity = ModelIdentity(spec="knows", name="knows", sha256="1" * 64, dtype="float32", device="cpu")

                def entail(self, pairs, /, *, progress=None):
                    return [EntailmentScores(0.9 if "railway" in one.hypothesis else 0.1) for one in pairs]

            return Knows()

        def test_jurors_who_wrote_statements(jury):
            panel = jury("written.jsonl", alpha=0.0)
            found = panel.scores({"q1": "A railway first."})
            assert found.units[0].value == pytest.approx(0.01 + 0.99 * 0.5)
            assert found.other_populations["north"] > found.other_populations["south"]
        """
    )
    result = town.runpytest_inprocess("--pluralism-model=town:bridge")
    result.assert_outcomes(passed=5)


def test_what_is_wrong_with_a_jury_is_told(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        from pytest_pluralism.core.errors import InvalidParameterError

        def test_no_panel(jury):
            jury()

        def test_keywords_alone(jury):
            jury(alpha=1.0)

        def test_unknown_panel(jury):
            jury("example_twon")

        def test_a_promise(jury):
            jury("example_town", at_least=0.3)

        def test_several(jury):
            jury("example_town", population="all")

        def test_a_wrong_response(jury):
            jury("example_town").welfare({"bus": 3})

        @pytest.mark.parametrize(
            ("responses", "words"),
            [
                ({}, "'responses' parameter of jury must be a mapping"),
                ("bus", "'responses' parameter of jury must be a mapping"),
                ({"bsu": "x"}, "Nearest: 'bus'"),
                ({"bus": 3}, "or to lists of texts. Got 3"),
                ({"bus": []}, "or to lists of texts"),
            ],
        )
        def test_responses(jury, responses, words):
            with pytest.raises(InvalidParameterError, match=words):
                jury("example_town").welfare(responses)
        """
    )
    result = town.runpytest_inprocess()
    result.assert_outcomes(passed=5, failed=6)
    # A sentence with the line of the test, not our own frames.
    assert "def invalid_parameter" not in result.stdout.str()
    assert "seated_jury.py" not in result.stdout.str()
    for words in (
        "*jury needs a panel: this test has no marker*",
        "*with the name or file of a panel alone*",
        "*Nearest: 'example_town'*",
        "*the fixture jury makes no promise, so that 'at_least' has no part in it*",
        "*jury needs one rule and one group, not 2*",
        "*test_what_is_wrong_with_a_jury_is_told.py:*or to lists of texts. Got 3 instead.*",
    ):
        result.stdout.fnmatch_lines([words])


def test_a_text_without_a_vote_is_told_with_those_that_have_some(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        from pytest_pluralism.core.errors import InvalidParameterError

        @pytest.mark.parametrize("park", ["On the moon.", ["The one behind the town hall.", "On the moon."]])
        @pytest.mark.parametrize("bus", ["Through the center.", "Under the river."])
        def test_unknown_texts(jury, bus, park):
            words = "No juror voted on .* for query '(bus|park)'. Recorded: '.*Give one of these, or name jurors="
            with pytest.raises(InvalidParameterError, match=words):
                jury("example_town").welfare({"park": park, "bus": bus})

        def test_jurors_without_an_opinion(jury):
            town = jury("example_town", jurors=lambda juror, query, response: None)
            with pytest.raises(InvalidParameterError, match="for query 'bus' has no value"):
                town.welfare({"bus": "a", "park": "b"})
            assert town.scores({"bus": "a", "park": "b"}).warnings
        """
    )
    town.runpytest_inprocess().assert_outcomes(passed=5)


def test_the_snippet_of_the_guide_passes_as_printed(town: pytest.Pytester) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "jury.md").read_text(encoding="utf-8")
    snippet = next(part for part in guide.split("```python\n") if part.startswith("def test_the_leaflet"))
    town.makepyfile(snippet.split("```")[0])
    town.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.whole
def test_a_group_that_is_served_worse_is_noticed_by_the_promise_to_everybody(town: pytest.Pytester) -> None:
    town.makepyfile(
        """
        import pytest

        @pytest.mark.jury_welfare("example_town", alpha=1.0, max_decrease=0.02)
        def test_everybody(): ...

        @pytest.mark.jury_welfare("example_town", group="center", max_decrease=0.02)
        def test_center(): ...
        """
    )
    town.runpytest_inprocess(
        "--pluralism-model=town:bridge", "--pluralism-mutants", "--pluralism-report=report.json"
    ).assert_outcomes()
    (content,) = json.loads((town.path / "report.json").read_text(encoding="utf-8"))["run"]["mutants"]
    for promise in content["promises"]:
        found = {one["at"]: one["value"] for one in promise["damages"] if one["name"] == "unequal"}
        assert promise["value"] > found["25%"] > found["50%"] > found["100%"]
        assert promise["smallest"]["unequal"] is not None
        assert "one_sided" in promise["left_out"]
