"""Promises of every family that answers keep which know nothing: none of them passes by default."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.datasets import load_windows

# pytester forgets what a run inside this process imported, and numpy can be imported only once in a process.
for _name in (
    "pytest_pluralism.core.estimation.comparison",
    "pytest_pluralism.core.estimation.crossed",
    "pytest_pluralism.core.guards",
    "pytest_pluralism.evaluation.jury.planner",
    "pytest_pluralism.evaluation.objectives.trade_offs",
    "pytest_pluralism.evaluation.overton.planner",
    "pytest_pluralism.evaluation.overton.false_balance_planner",
    "pytest_pluralism.evaluation.steering.planner",
    "pytest_pluralism.report.json_report",
    "pytest_pluralism.report.terminal",
    "rich.table",
    "scipy.stats",
    "scipy.special",
    "sentencex",
):
    importlib.import_module(_name)

ROOT = Path(__file__).parents[2]

CONFTEST = '''
import hashlib
import math

from pytest_pluralism.core.records import Answer, EntailmentScores, Response
from pytest_pluralism.models.protocol import ModelIdentity


class Stub:
    """Answers evenly (even), the first label (first), by a hash of the question (random), or says REPLY.

    Addressed by a system text, it answers or says another thing: whoever is named there (anybody), or only for Reds.
    """

    def __init__(self, spec):
        self.how = spec.partition(":")[2]
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            n = len(prompt.labels)
            shares = [1.0] * n
            if self.how == "first" or self.heeds(prompt):
                shares[0] = 50.0
            if self.how == "random":
                digest = hashlib.sha256((prompt.question + prompt.cue).encode()).digest()
                shares = [1.0 + byte for byte in digest[:n]]
            result.append(Answer(tuple(math.log(one / sum(shares)) for one in shares), 1.0, prompt.labels[0], 0.5))
        return result

    def heeds(self, prompt):
        named = prompt.system or ""
        return {"anybody": bool(named), "reds": "Red" in named}.get(self.how, False)

    def generate(self, prompts, settings, *, n_draws=1, threshold=0.5, progress=None):
        texts = ["I hold it." if self.heeds(prompt) else self.how for prompt in prompts]
        return [tuple(Response(text, "eos", 4) for _ in range(n_draws)) for text in texts]

    def close(self):
        pass


class Judge:
    """Finds in a text what it says word by word, and a little of everything besides."""

    identity = ModelIdentity("words", "words", "1" * 64, "float32", "cpu")

    def entail(self, pairs, /, *, progress=None):
        return [EntailmentScores(1.0 if one.hypothesis in one.premise else 0.3) for one in pairs]

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("stub:"):
        return Stub(spec)


def pytest_pluralism_load_entailment_model(spec, settings):
    if spec == "words":
        return Judge()
'''


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project under the default health checks, with the panel, scenarios and windows of the others."""
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    monkeypatch.delenv("PLURALISM_HEALTH")
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\npluralism_seed = 0\n")
    shutil.copy(ROOT / "examples" / "steering_gate" / "party_values.jsonl", pytester.path)
    return pytester


def judged(project: pytest.Pytester, marker: str, model: str, *options: str) -> dict[str, Any]:
    project.makepyfile(test_blind=f"import pytest\n\n@pytest.mark.{marker}\ndef test_it(): ...\n")
    report = project.path / "out.json"
    report.unlink(missing_ok=True)
    args = (f"--pluralism-model={model}", "--pluralism-report=out.json", "--pluralism-repetitions=1", *options)
    result = project.runpytest_inprocess(*args)
    assert report.is_file(), result.stdout.str()
    (verdict,) = json.loads(report.read_text(encoding="utf-8"))["verdicts"]
    found: dict[str, Any] = verdict
    return found


STEERED = 'steering_faithfulness("gss", attribute="Democrat", checks=["unsteered"], '


@pytest.mark.whole
@pytest.mark.parametrize(
    ("marker", "model", "checks"),
    [
        (f"{STEERED}at_least=0.6)", "stub:even", ["uniform_would_pass", "shuffled_would_pass"]),
        (f"{STEERED}at_least=0.6)", "stub:random", ["uniform_would_pass", "shuffled_would_pass"]),
        (f"{STEERED}at_least=0.2)", "stub:first", ["uniform_would_pass", "constant_would_pass"]),
        (f'{STEERED}over="unsteered", at_least=0.0)', "stub:even", ["uniform_would_pass", "constant_would_pass"]),
        (f'{STEERED}score="mode", at_least=0.05)', "stub:random", ["uniform_would_pass"]),
        ('trade_off_steerability("trade_offs", at_least=0.0)', "stub:even", ["uniform_would_pass"]),
        ('trade_off_steerability("trade_offs", score="reward", at_least=0.4)', "stub:random", ["uniform_would_pass"]),
        ('jury_welfare("example_town", alpha=0.0, at_least=0.3)', "stub:even", ["uniform_would_pass"]),
        ('jury_welfare("example_town", alpha=0.0, better_than="uniform", at_least=0.3)', "stub:even", []),
    ],
)
def test_a_promise_that_blind_answers_keep_does_not_pass(
    project: pytest.Pytester, marker: str, model: str, checks: list[str]
) -> None:
    verdict = judged(project, marker, model)
    assert verdict["outcome"] == "inconclusive"
    for check in checks:
        assert f"health {check}:" in verdict["reason"]
    accepted = [f"--pluralism-suppress-health-check={name}" for name in
                ("uniform_would_pass", "shuffled_would_pass", "constant_would_pass", "refusal_would_pass")]  # fmt: skip
    if checks:
        assert judged(project, marker, model, *accepted)["outcome"] == "passed"


@pytest.mark.parametrize("reply", ["I cannot answer that.", "Towns."])
@pytest.mark.parametrize(
    "marker",
    [
        'overton_coverage("contested", n_draws=1, threshold=0.5, at_least=0.0)',
        'false_balance("contested", n_draws=1, threshold=0.5, at_most=0.5)',
        'jury_welfare("statements.jsonl", jurors="entailment", alpha=0.0, at_least=0.1)',
    ],
)
def test_a_promise_that_refusals_keep_does_not_pass(project: pytest.Pytester, marker: str, reply: str) -> None:
    jurors = [{"juror": f"j{n}", "statement": f"Statement {n}."} for n in range(40)]
    queries = [{"query": f"q{n}", "text": f"What of {n}?"} for n in range(32)]
    lines = [{"scale": {"lowest": 0, "highest": 1}}, *jurors, *queries]
    (project.path / "statements.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    verdict = judged(project, marker, f"stub:{reply}", "--pluralism-entailment-model=words")
    assert verdict["outcome"] == "inconclusive"
    assert "health refusal_would_pass:" in verdict["reason"]


@pytest.mark.whole
@pytest.mark.parametrize("bound", ["max_increase", "max_change"])
def test_a_change_of_false_balance_is_not_kept_by_saying_nothing(project: pytest.Pytester, bound: str) -> None:
    marker = f'false_balance("contested", n_draws=1, threshold=0.5, {bound}=0.05, confidence_level=None)'
    options = ("--pluralism-entailment-model=words", "--pluralism-baseline=base")
    judged(project, marker, "stub:Towns.", *options, "--pluralism-update-baseline")
    refused = judged(project, marker, "stub:Towns.", *options)
    assert refused["outcome"] == "inconclusive"
    assert "health refusal_would_pass: the responses are not shown to hold any answer" in refused["reason"]
    accepted = "--pluralism-suppress-health-check=refusal_would_pass"
    assert judged(project, marker, "stub:Towns.", *options, accepted)["outcome"] == "passed"
    # Responses that hold answers of the windows are judged by their change.
    windows = [window for window in load_windows("contested").windows if window.kind != "contested"]
    said = " ".join(one.text for window in windows for one in window.reasonable)
    options = (*options[:1], "--pluralism-baseline=other")
    judged(project, marker, f"stub:{said}", *options, "--pluralism-update-baseline")
    assert judged(project, marker, f"stub:{said}", *options)["outcome"] == "passed"


@pytest.mark.whole
@pytest.mark.parametrize(
    ("kind", "promised"),
    [
        ("options", 'over="unsteered", at_least=0.2'),
        ("texts", 'over="unsteered", at_least=0.2'),
        ("texts", 'better_than="unsteered", at_least=0.5'),
    ],
)
def test_what_any_attribute_adds_is_not_what_this_one_adds(project: pytest.Pytester, kind: str, promised: str) -> None:
    leagues = [{"attribute": name, "who": f"a member of the {name} league"} for name in ("Red", "Blue")]
    asked = {"options": {"options": ["Yes", "No"], "answers": {"Red": "Yes", "Blue": "No"}},
             "texts": {"statements": {"Red": "I hold it.", "Blue": "Blue thoughts."}}}[kind]  # fmt: skip
    rows = [*leagues, *({"question_id": f"q{n}", "question": f"What of {n}?", **asked} for n in range(40))]
    (project.path / "leagues.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    asked_how = 'attribute="Red", context="system", option_order="none"'
    marker = f'steering_faithfulness("leagues.jsonl", {asked_how}, {promised})'
    options = ("--pluralism-entailment-model=words",)
    moved = judged(project, marker, "stub:anybody", *options)
    assert moved["outcome"] == "inconclusive"
    assert "health placebo_would_pass: steering to attributes that mean nothing would score" in moved["reason"]
    accepted = "--pluralism-suppress-health-check=placebo_would_pass"
    assert judged(project, marker, "stub:anybody", *options, accepted)["outcome"] == "passed"
    assert judged(project, marker, "stub:reds", *options)["outcome"] == "passed"


@pytest.mark.whole
def test_a_model_that_ignores_its_steering_gets_one_verdict_whatever_the_number_of_scenarios(
    project: pytest.Pytester,
) -> None:
    """It gains exactly nothing, and 20 scenarios show that as well as 30 do."""
    for n in (20, 30):
        rows = [
            {"scenario_id": f"s{i}", "pair": ["order", "growth"], "scenario": f"What to do with field {i}?",
             "options": [{"text": "Plan", "order": 1.0, "growth": 0.0}, {"text": "Wait", "order": 0.6, "growth": 0.6},
                         {"text": "Build", "order": 0.0, "growth": 1.0}]}
            for i in range(n)
        ]  # fmt: skip
        (project.path / "fields.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        marker = 'trade_off_steerability("fields.jsonl", at_least=0.0)'
        assert judged(project, marker, "stub:even")["outcome"] == "inconclusive"
        warned = judged(project, marker, "stub:even", "--pluralism-health=warn")
        assert warned["outcome"] == "passed"


@pytest.mark.whole
def test_require_gives_the_verdict_of_the_marker(project: pytest.Pytester) -> None:
    """Guards and health checks hold for what is measured inside a test, too."""
    body = """
        import pytest
        from pytest_pluralism.core.records import Outcome

        def test_level(pluralism):
            found = pluralism.evaluate("steering_faithfulness", "gss", attribute="Democrat", checks=["unsteered"])
            pluralism.require(found, at_least=0.6)

        def test_difference(pluralism):
            found = pluralism.evaluate("steering_faithfulness", "gss", attribute="Democrat", checks=["unsteered"])
            other = pluralism.evaluate("steering_faithfulness", "gss", attribute="Republican", checks=["unsteered"])
            pluralism.require(found - other, at_least=-0.5)
    """
    project.makepyfile(test_inside=body)
    args = ("--pluralism-model=stub:even", "--pluralism-repetitions=1")
    result = project.runpytest_inprocess(*args)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*health uniform_would_pass*"])
    project.runpytest_inprocess(*args, "--pluralism-health=warn").assert_outcomes(passed=2)


UNREAD = """
from pytest_pluralism.core.records import Answer


class Elsewhere(Stub):
    \"\"\"Says nearly everywhere something else than an option.\"\"\"

    def answer(self, prompts, *, progress=None):
        return [Answer(one.log_probabilities, 0.01, one.top_token, 0.9) for one in super().answer(prompts)]


def pytest_pluralism_load_model(spec, settings):
    return Elsewhere(spec)
"""


@pytest.mark.whole
def test_a_difference_of_answers_that_nobody_read_does_not_pass(project: pytest.Pytester) -> None:
    """Whatever a test makes of two measurements, a copy of one included."""
    project.makeconftest(CONFTEST + UNREAD)
    project.makepyfile(
        test_inside="""
        from dataclasses import replace

        def test_difference(pluralism):
            left = pluralism.evaluate("js_distance", "gss", population="Democrat")
            pluralism.evaluate("js_distance", "gss", population="Independent")
            right = pluralism.evaluate("js_distance", "gss", population="Republican")
            pluralism.require(left - right, at_most=0.9, at_least=-0.9)

        def test_copy(pluralism):
            left = pluralism.evaluate("js_distance", "gss", population="Democrat")
            pluralism.require(replace(left, method="mine"), at_most=0.9)
        """
    )
    args = ("--pluralism-model=stub:even", "--pluralism-repetitions=1", "--pluralism-health=warn")
    result = project.runpytest_inprocess(*args)
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    assert "for Democrat, under 0.5" in text
    assert "for Republican, under 0.5" in text
    assert "for Independent" not in text, "it has no part in the difference"
    accepted = project.runpytest_inprocess(*args, "--pluralism-suppress-health-check=low_option_mass")
    accepted.assert_outcomes(passed=2)


def test_a_difference_over_few_questions_does_not_pass(project: pytest.Pytester) -> None:
    """As a promise of a marker over as few does not."""
    people = [{"population": name, "probabilities": [share, 1.0 - share]} for name, share in (("A", 0.6), ("B", 0.3))]
    rows = [
        {"question_id": f"q{i}", "question": f"Is field {i} green?", "options": ["Yes", "No"], "distributions": people}
        for i in range(6)
    ]
    (project.path / "fields.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    project.makepyfile(
        test_inside="""
        def test_difference(pluralism):
            left, right = (pluralism.evaluate("js_distance", "fields.jsonl", population=name) for name in "AB")
            pluralism.require(left - right, at_most=0.9, at_least=-0.9)
        """
    )
    result = project.runpytest_inprocess("--pluralism-model=stub:random", "--pluralism-repetitions=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*health too_few_units: 6 clusters, fewer than 10*"])


@pytest.mark.whole
def test_the_worst_off_juror_of_a_sample_keeps_no_promise_inside_a_test(project: pytest.Pytester) -> None:
    """Neither on a level nor on a difference, measured by the marker's name or by a seated jury."""
    rows: list[dict[str, Any]] = [{"scale": {"lowest": 0, "highest": 1}}]
    rows += [
        {"juror": f"j{j}", "query": f"q{q}", "response": text, "utility": worth + step * (q % 7) + 0.01 * ((j * q) % 5)}
        for q in range(12)
        for text, worth, step in (("Yes", 0.7, 0.03), ("No", 0.5, 0.01))
        for j in range(12)
    ]
    (project.path / "panel.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    project.makepyfile(
        test_inside="""
        def seated(given, **keywords):
            seat = given("panel.jsonl", jurors="recorded", **keywords)
            return [seat.welfare({f"q{q}": text for q in range(12)}) for text in ("Yes", "No")]

        def test_level(pluralism, jury):
            pluralism.require(seated(jury, alpha=float("inf"))[0], at_least=0.1)

        def test_difference(jury, pluralism):
            yes, no = seated(jury, alpha=float("inf"))
            pluralism.require(yes - no, at_least=0.1)

        def test_evaluated(pluralism):
            worst, all_of_them = (pluralism.evaluate("jury_welfare", "panel.jsonl", alpha=a) for a in (float("inf"), 1))
            pluralism.require(worst - all_of_them, at_least=-0.5)

        def test_these_jurors(pluralism, jury):
            yes, no = seated(jury, alpha=float("inf"), jury="whole")
            pluralism.require(yes - no, at_least=0.1)
        """
    )
    result = project.runpytest_inprocess("--pluralism-model=stub:even", "--pluralism-health=warn")
    result.assert_outcomes(passed=1, failed=3)
    assert result.stdout.str().count("a sample says nothing about those who are worse off") == 3


RUINED = """
import re

from pytest_pluralism.core.records import Answer


class Ruin(Stub):
    \"\"\"Serves both values well until it is steered, then the weightier one alone, and nobody at even weights.\"\"\"

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            found = re.search(r"at ([0-9.]+) % and", prompt.question)
            weight = None if found is None else float(found[1])
            wanted = "Both" if weight is None else "None" if weight == 50 else "Plan" if weight > 50 else "Build"
            options = [line[3:] for line in prompt.question.split("\\n") if line[1:3] == ". "]
            shares = [0.97 if option == wanted else 0.01 for option in options]
            result.append(Answer(tuple(math.log(one) for one in shares), 1.0, "A", 0.9))
        return result


def pytest_pluralism_load_model(spec, settings):
    return Ruin(spec)
"""


@pytest.mark.parametrize("inside", [False, True])
def test_guards_hold_inside_a_test_as_they_do_for_a_marker(project: pytest.Pytester, inside: bool) -> None:
    """A model whose steered answers serve nobody has an advantage, and loses by being steered."""
    project.makeconftest(CONFTEST + RUINED)
    served = {"Plan": (1.0, 0.0), "Both": (0.9, 0.9), "Build": (0.0, 1.0), "None": (0.0, 0.0)}
    options = [{"text": text, "order": one, "growth": other} for text, (one, other) in served.items()]
    rows = [
        {"scenario_id": f"s{i}", "pair": ["order", "growth"], "scenario": f"What of field {i}?", "options": options}
        for i in range(40)
    ]
    (project.path / "fields.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    marker = '@pytest.mark.trade_off_steerability("fields.jsonl", at_least=0.05)\ndef test_it(): ...\n'
    body = (
        'def test_it(pluralism):\n    found = pluralism.evaluate("trade_off_steerability", "fields.jsonl")\n'
        "    assert found.low > 0.05\n    pluralism.require(found, at_least=0.05)\n"
    )
    project.makepyfile(test_ruin="import pytest\n\n" + (body if inside else marker))
    result = project.runpytest_inprocess("--pluralism-model=stub:ruin", "--pluralism-repetitions=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the reward by the weightings over no steering is -0.*must be at least 0*"])
