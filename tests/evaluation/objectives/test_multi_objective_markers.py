"""The markers ``trade_off_steerability`` and ``pareto_improvement`` in runs of pytest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "fixtures" / "trade_offs.jsonl"

CONFTEST = '''
import hashlib
import math
import re

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity


class Model:
    """Takes the option whose place among its like is that of the weight; SKILL in [0, 1] says how surely."""

    def __init__(self, spec):
        self.skill = float(spec.partition(":")[2])
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            found = re.search(r"at (\\\\d+) % and", prompt.question)
            options = [line[3:] for line in prompt.question.split("\\\\n") if line[1:3] == ". "]
            n = len(options)
            sharp = [self.skill if option == "Yes" else (1 - self.skill) / (n - 1) for option in options]
            if found and n == 3:
                # The scenarios name their options in the order of the first value's.
                order = {text: place for place, text in enumerate(ORDER[frozenset(options)])}
                wanted = {0: 2, 25: 2, 50: 1, 75: 0, 100: 0}[int(found[1])]
                sharp = [0.9 if order[option] == wanted else 0.05 for option in options]
            result.append(Answer(tuple(math.log(p) for p in sharp), 1.0, "A", 0.9))
        return result

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("skill:"):
        return Model(spec)


import json
from pathlib import Path

ORDER = {}
for line in (Path(__file__).parent / "trade_offs.jsonl").read_text().splitlines():
    texts = [option["text"] for option in json.loads(line)["options"]]
    ORDER[frozenset(texts)] = texts
'''.replace("\\\\", "\\")


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest(CONFTEST)
    shutil.copy(BENCHMARK, pytester.path / "trade_offs.jsonl")
    rows = [
        {"question_id": f"q{n}", "question": f"Should law {n} pass?", "options": ["Yes", "No"],
         "distributions": [{"population": "Town", "probabilities": [0.8 + 0.01 * (n % 9), 0.2 - 0.01 * (n % 9)],
                            "n_respondents": 400}]}
        for n in range(40)
    ]  # fmt: skip
    (pytester.path / "town.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    scores = {
        "new": {f"p{n}": 0.6 + 0.01 * (n % 5) for n in range(40)},
        "old": {f"p{n}": 0.5 + 0.01 * (n % 3) for n in range(40)},
    }
    objectives = [
        {"name": "for the town", "measure": "js_distance", "dataset": "town.jsonl", "population": "Town"},
        {"name": "helpful", "scores": scores},
    ]
    (pytester.path / "objectives.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\n")
    return pytester


def write(project, *markers):
    tests = [f"@pytest.mark.{marker}\ndef test_{n}(): ...\n" for n, marker in enumerate(markers)]
    project.makepyfile("import pytest\n\n" + "\n".join(tests))


def report_of(project, *arguments):
    result = project.runpytest_inprocess("--pluralism-report=r.json", *arguments)
    return result, json.loads((project.path / "r.json").read_text(encoding="utf-8"))["verdicts"]


@pytest.mark.whole
def test_trade_offs_in_a_run(project):
    write(
        project,
        'trade_off_steerability("trade_offs.jsonl", at_least=0.05)',
        'trade_off_steerability("trade_offs.jsonl", pair="security-freedom", score="reward", at_least=0.5)',
        'trade_off_steerability("trade_offs", pair="all", weights=[0, 1], at_least=0.9)',
    )
    result, verdicts = report_of(project, "--pluralism-model=skill:0.8")
    result.assert_outcomes(passed=2, failed=1)
    whole = verdicts[0]
    assert whole["details"]["pairs"][0]["pair"] == "security-freedom"
    assert whole["witness"]["text"] == "the pair of values with the largest regret"
    assert verdicts[1]["population"] == "security-freedom"
    assert len(verdicts) == 1 + 1 + 4


@pytest.mark.whole
def test_an_improvement_on_the_reference_model(project):
    write(
        project,
        'pareto_improvement("objectives.json", candidate="new", reference="old", '
        'functions={"equal": [0.5, 0.5]}, at_least=0.0)',
    )
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.8", "--pluralism-reference-model=skill:0.5")
    result.assert_outcomes(passed=1)
    assert verdict["details"]["is_pareto_improvement"]
    assert {one["name"] for one in verdict["details"]["objectives"]} == {"for the town", "helpful"}
    assert "equal" in verdict["details"]["functions"]
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.5", "--pluralism-reference-model=skill:0.8")
    result.assert_outcomes(failed=1)
    assert verdict["details"]["deciding"] == "for the town"


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ('trade_off_steerability("trade_off.jsonl", at_least=0.1)', "*there is no such file*trade_offs.jsonl*"),
        ('trade_off_steerability("trade_off", at_least=0.1)', "*unknown trade-off benchmark*'trade_offs'*must end in*"),
        ('trade_off_steerability("trade_offs.jsonl", pair="security", at_least=0.1)', "*unknown pair*"),
        ('trade_off_steerability("trade_offs.jsonl", pair=[], at_least=0.1)', "*measures nothing*empty list*"),
        ('trade_off_steerability("trade_offs.jsonl", weights=[1.0], at_least=0.1)', "*at least two different numbers*"),
        ('trade_off_steerability("trade_offs.jsonl", reference_point=[0.5, 0], at_least=0.1)', "*no greater than 0*"),
        ('trade_off_steerability("trade_offs.jsonl", reference_point=[float("nan"), 0], at_least=0.1)',
         "*two finite numbers*"),
        ('trade_off_steerability("trade_offs.jsonl", reference_point=[-float("inf"), 0], at_least=0.1)',
         "*two finite numbers*"),
        ('trade_off_steerability("trade_offs.jsonl", pair=5, at_least=0.1)', "*'pair' parameter*a list of them*"),
        ('trade_off_steerability("trade_offs.jsonl", pair=[["a"]], at_least=0.1)', "*'pair' parameter*a list of them*"),
        ('trade_off_steerability("trade_offs.jsonl", at_most=0.1)', "*wrong direction*"),
        ('pareto_improvement("objectives.json", at_least=0)', "*add candidate=*'new', 'old'*"),
        ('pareto_improvement("objectives.json", candidate="nwe", reference="old", at_least=0)', "*Did you mean 'new'*"),
        ('pareto_improvement("objectives.json", candidate="new", reference="old", functions=[1], at_least=0)',
         "*'functions'*"),
        ('pareto_improvement("town.jsonl", at_least=0)', "*is not JSON*"),
    ],
)  # fmt: skip
def test_wrong_markers(project, marker, says):
    write(project, marker)
    result = project.runpytest_inprocess("--pluralism-model=skill:0.8")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])


CALLABLES = '''
import pytest


def certainty(language_model):
    """How sure the model is of its first answer, for each of 40 questions."""
    from pytest_pluralism.core.records import Prompt

    texts = [f"Q{n}?\\nA. Yes\\nB. No" for n in range(40)]
    answers = language_model.answer([Prompt(text, ("A", "B")) for text in texts])
    return {text: max(answer.log_probabilities) - 0.001 * n for n, (text, answer) in enumerate(zip(texts, answers))}


def words(prompt, response):
    return len(response.split()) + len(prompt) / 100


@pytest.mark.pareto_improvement(
    "called.json",
    callables={"certainty": certainty, "words": words},
    functions={"worst": lambda values: min(values.values()), "equal": [0.5, 0.5]},
    at_least=0.0,
)
def test_better(): ...


def test_in_my_own_words(pluralism):
    gain = pluralism.evaluate("pareto_improvement", "called.json", callables={"certainty": certainty, "words": words})
    assert gain.value > 0
'''


@pytest.mark.whole
def test_functions_of_the_project_are_objectives(project):
    writes = """
    def generate(self, prompts, settings, *, n_draws=1, progress=None):
        from pytest_pluralism.core.records import Response

        assert (settings.max_new_tokens, settings.temperature) == (9, 0.0)
        return [(Response("so " * (8 if self.skill < 0.7 else 4), 9, "length", 0),) for prompt in prompts]

    def close(self):"""
    project.makeconftest(CONFTEST.replace("\n    def close(self):", writes))
    (project.path / "prompts.txt").write_text("".join(f"What is {'x' * n}?\n\n" for n in range(30)), encoding="utf-8")
    objectives = [
        {"name": "sure", "callable": "certainty"},
        {"name": "wordy", "callable": "words", "direction": "lower", "prompts": "prompts.txt", "max_new_tokens": 9},
    ]
    (project.path / "called.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
    project.makepyfile(CALLABLES)
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.9", "--pluralism-reference-model=skill:0.6")
    result.assert_outcomes(passed=2)
    sure, wordy = verdict["details"]["objectives"]
    assert wordy["candidate"] == pytest.approx(4 + sum(len(f"What is {'x' * n}?") for n in range(30)) / 3000)
    assert wordy["gain"] == pytest.approx(4.0)
    assert (sure["n"], wordy["n"]) == (40, 30)
    assert set(verdict["details"]["functions"]) == {"worst", "equal"}
    assert verdict["details"]["functions"]["worst"]["candidate"] == pytest.approx(sure["candidate"])


BY_FUNCTION = """
import pytest


def quick(language_model):
    return {{f"u{{n}}": {shift} + n % 7 for n in range(40)}}


def sure(language_model):
    return {{f"u{{n}}": 0.01 * n for n in range(40)}}


@pytest.mark.pareto_improvement(
    "called.json", callables={{"quick": quick, "sure": sure}}, against="baseline", at_least=-0.1
)
def test_better(): ...
"""


@pytest.mark.whole
def test_a_function_is_its_source_and_its_version_to_a_baseline(project):
    def save(shift, version):
        objectives = [{"name": "quick", "callable": "quick", "version": version}, {"name": "sure", "callable": "sure"}]
        (project.path / "called.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
        project.makepyfile(BY_FUNCTION.format(shift=shift))

    base = ("--pluralism-model=skill:0.5", "--pluralism-baseline=b.json")
    save(1, "1")
    report_of(project, *base, "--pluralism-update-baseline")[0].assert_outcomes(passed=1)
    # Another process has the functions at other addresses.
    save(1, "1")
    _, (verdict,) = report_of(project, *base)
    assert verdict["outcome"] == "passed"
    for shift, version in ((1000, "1"), (1, "2")):
        save(shift, version)
        _, (verdict,) = report_of(project, *base)
        assert verdict["outcome"] == "error"
        assert "baseline not comparable" in verdict["reason"]
        # Nothing is said of what was not compared.
        assert (verdict["estimate"], verdict.get("details") or {}) == (None, {})


@pytest.mark.whole
@pytest.mark.parametrize("form", ["Quick({shift})", "functools.partial(quick, {shift})"])
def test_an_object_that_is_called_is_its_source_and_what_it_holds(project, form):
    def save(shift):
        objectives = [{"name": "quick", "callable": "quick"}, {"name": "sure", "callable": "sure"}]
        (project.path / "called.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
        called = f"""
import functools


def quick(shift, language_model):
    return {{f"u{{n}}": shift + n % 7 for n in range(40)}}


class Quick:
    def __init__(self, shift):
        self.shift, self.other, self.mixed = shift, object(), {{1: "one", "two": 2}}

    def __call__(self, language_model):
        return quick(self.shift, language_model)


CALLED = {form.format(shift=shift)}
"""
        text = BY_FUNCTION.format(shift=shift).replace('"quick": quick', '"quick": CALLED')
        project.makepyfile(called + text.replace("def quick(language_model)", "def unused(language_model)"))

    base = ("--pluralism-model=skill:0.5", "--pluralism-baseline=b.json")
    save(1)
    report_of(project, *base, "--pluralism-update-baseline")[0].assert_outcomes(passed=1)
    save(1)
    _, (verdict,) = report_of(project, *base)
    assert verdict["outcome"] == "passed", verdict["reason"]
    save(1000)
    _, (verdict,) = report_of(project, *base)
    assert verdict["outcome"] == "error"
    assert "baseline not comparable" in verdict["reason"]


@pytest.mark.parametrize("field", ["prompts", "scores"])
def test_objectives_read_no_file_outside_the_project(project, field):
    outside = {"prompts": {"callable": "words", "prompts": "../../secret.txt"}, "scores": {"scores": "/etc/passwd"}}
    objectives = [{"name": "sure", "callable": "certainty"}, {"name": "other", **outside[field]}]
    (project.path / "called.json").write_text(json.dumps({"objectives": objectives}), encoding="utf-8")
    project.makepyfile(CALLABLES)
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.9", "--pluralism-reference-model=skill:0.6")
    result.assert_outcomes(failed=1, errors=1)
    assert "objective 2" in verdict["reason"]
    assert "leads out of the project" in verdict["reason"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"objectives": [{"name": "a", "direction": "lower", "direction": "higher"}]}', "*'direction' appears twice*"),
        ("[" * 100_000, "*is nested too deeply*"),
        ('{"objectives": [1]}', "*at least two*"),
        ('{"objectives": [' + "9" * 5000 + ", 1]}", "*objectives.json*"),
    ],
)
def test_files_of_objectives_that_say_two_things_or_nothing(project, text, says):
    (project.path / "objectives.json").write_text(text, encoding="utf-8")
    write(project, 'pareto_improvement("objectives.json", at_least=0)')
    result = project.runpytest_inprocess("--pluralism-model=skill:0.8")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.whole
def test_an_objective_may_bear_a_loss_and_values_alone_may_decide(project):
    path = project.path / "objectives.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["objectives"][1]["least"] = -0.2
    path.write_text(json.dumps(content), encoding="utf-8")
    marker = 'pareto_improvement("objectives.json", candidate="old", reference="new", at_least=0.0{})'
    write(project, marker.format(""), marker.format(", confidence_level=None"))
    models = ("--pluralism-model=skill:0.8", "--pluralism-reference-model=skill:0.5")
    result, verdicts = report_of(project, *models)
    result.assert_outcomes(passed=2)
    assert all("no Pareto improvement: worse in helpful by 0.1" in verdict["warnings"][0] for verdict in verdicts)
    assert verdicts[1]["details"]["objectives"][0]["p_worse"] is None
    del content["objectives"][1]["least"]
    path.write_text(json.dumps(content), encoding="utf-8")
    result, verdicts = report_of(project, *models)
    result.assert_outcomes(failed=2)
    assert [verdict["outcome"] for verdict in verdicts] == ["failed", "failed"]
    assert all(verdict["details"]["deciding"] == "helpful" for verdict in verdicts)


@pytest.mark.whole
def test_an_improvement_on_a_stored_baseline(project):
    marker = 'pareto_improvement("objectives.json", candidate="{}", against="baseline", at_least={})'
    base = ("--pluralism-baseline=b.json",)
    write(project, marker.format("old", 0.0))
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.5", *base)
    assert verdict["outcome"] == "error"
    assert "b.json does not exist" in verdict["reason"]
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.5", *base, "--pluralism-update-baseline")
    result.assert_outcomes(passed=1)
    assert verdict["reason"] == "stored as the baseline"
    assert "parts" not in verdict.get("baseline", {})
    stored = json.loads((project.path / "b.json").read_text(encoding="utf-8"))["entries"]
    assert [key.rpartition(" / ")[2] for key in stored] == ["for the town", "helpful"]
    assert [entry["metric"] for entry in stored.values()] == ["js_distance", "objective"]
    # The same model does not improve on itself; a promise that bears a small loss is kept.
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.5", *base)
    result.assert_outcomes(failed=1)
    assert verdict["details"]["against"] == "baseline"
    assert not verdict["details"]["is_pareto_improvement"]
    assert [verdict["estimate"][name] for name in ("value", "low", "high")] == [0.0, 0.0, 0.0]
    assert verdict["reason"].startswith("no objective gained")
    other = (*base, "--pluralism-baseline-model=skill:0.5")
    write(project, marker.format("new", 0.0))
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.8", *other)
    result.assert_outcomes(passed=1)
    assert verdict["details"]["probability_of_dominance"] == 1.0
    town, helpful = verdict["details"]["objectives"]
    assert town["reference"] == pytest.approx(stored[next(iter(stored))]["estimate"]["value"])
    assert helpful["gain"] == pytest.approx(0.1, abs=0.02)
    # Worse in one: the town's answers are the stored ones' opposite.
    result, (verdict,) = report_of(project, "--pluralism-model=skill:0.1", *other)
    result.assert_outcomes(failed=1)
    assert (verdict["outcome"], verdict["details"]["deciding"]) == ("failed", "for the town")
    result.stdout.no_fnmatch_line("*unused in b.json*")


def test_the_reference_model_is_no_stored_baseline(project):
    write(project, 'pareto_improvement("objectives.json", candidate="new", against="baseline", at_least=0.0)')
    models = ("--pluralism-model=skill:0.8", "--pluralism-reference-model=skill:0.5")
    _, (verdict,) = report_of(project, *models, "--pluralism-baseline=reference")
    assert verdict["outcome"] == "error"
    assert "Leave against= out to compare with the reference model" in verdict["reason"]
    assert "--pluralism-update-baseline" not in verdict["reason"]


@pytest.mark.whole
def test_a_baseline_of_other_objectives_is_not_compared(project):
    marker = 'pareto_improvement("objectives.json", candidate="old", against="baseline", at_least=0.0)'
    write(project, marker)
    base = ("--pluralism-model=skill:0.5", "--pluralism-baseline=b.json")
    report_of(project, *base, "--pluralism-update-baseline")
    path = project.path / "objectives.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["objectives"][0]["option_order"] = "none"
    path.write_text(json.dumps(content), encoding="utf-8")
    result, (verdict,) = report_of(project, *base)
    assert verdict["outcome"] == "error"
    assert "baseline not comparable" in verdict["reason"]
    content["objectives"][0]["name"] = "for nobody"
    path.write_text(json.dumps(content), encoding="utf-8")
    result, (verdict,) = report_of(project, *base)
    assert "has no entry" in verdict["reason"]
    write(project, marker.replace("against", 'reference="new", against'))
    result = project.runpytest_inprocess(*base)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*names a model beside against='baseline'*"])


@pytest.mark.parametrize(
    ("objective", "keywords", "says"),
    [
        (
            {"callable": "bervity"},
            "callables={'brevity': len}",
            "*names no function 'bervity'. Did you mean 'brevity'*",
        ),
        ({"callable": "brevity"}, "callables=[len]", "*'callables' parameter*dict of names to functions*"),
        ({"callable": "a"}, "callables={'a': len, 'b': len}", "*no objective has 'callable': 'b'*"),
        ({"callable": "a", "promts": []}, "callables={'a': len}", "*unknown field 'promts'. Did you mean 'prompts'*"),
        ({"callable": []}, "callables={'a': len}", "*'callable' must be the name of a function*not [[]]*"),
        ({"callable": "a", "prompts": ["one"]}, "callables={'a': len}", "*'prompts' must be a list of at least two*"),
        ({"callable": "a", "temperature": 1}, "callables={'a': len}", "*add 'prompts', or leave it out*"),
        ({"callable": "a", "prompts": ["x", "y"], "temperature": -1}, "callables={'a': len}", "*'temperature'*"),
        ({"callable": "a", "direction": "up"}, "callables={'a': len}", "*'direction'*"),
    ],
)
def test_wrong_functions(project, objective, keywords, says):
    path = project.path / "objectives.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["objectives"][1] = {"name": "second", **objective}
    path.write_text(json.dumps(content), encoding="utf-8")
    write(project, f'pareto_improvement("objectives.json", {keywords}, at_least=0)')
    result = project.runpytest_inprocess("--pluralism-model=skill:0.8")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("lambda model: [1.0]", "*must return a dict of units and finite numbers. Got*1.0*instead*"),
        (
            "lambda model: {'a': float('nan'), 'b': 1}",
            "*must return a dict of units and finite numbers. Got nan for 'a'*",
        ),
        ("lambda model: {1: 2.0}", "*Got the unit 1 instead*"),
    ],
)
def test_what_a_function_returns_is_checked(project, function, says):
    path = project.path / "objectives.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["objectives"][1] = {"name": "second", "callable": "f"}
    path.write_text(json.dumps(content), encoding="utf-8")
    write(project, f'pareto_improvement("objectives.json", callables={{"f": {function}}}, at_least=0)')
    result = project.runpytest_inprocess("--pluralism-model=skill:0.8", "--pluralism-reference-model=skill:0.5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([says])


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        ({"measure": "js_distanc", "dataset": "town.jsonl"}, "*Did you mean 'js_distance'*"),
        ({"measure": "js_distance", "dataset": "town.jsonl", "populaton": "Town"}, "*did you mean 'population'*"),
        ({"measure": "js_distance"}, "*'dataset' must be*"),
        ({"measure": "js_distance", "scores": {}}, "*one of 'measure', 'scores', 'callable'*"),
        ({"scores": {"new": {}}}, "*an object of units and numbers*"),
        ({"scores": {"new": {"a": 1}, "old": {"b": 1}}}, "*different units*"),
        ({"scores": {"new": {"a": "x"}, "old": {"a": 1}}}, "*must be a finite number*"),
        ({"scores": {"new": {"a": 10**400}, "old": {"a": 1}}}, "*must be a finite number, not 1000*"),
        ({"scores": {"new": {"a": 1}, "old": {"a": 1}}, "direction": "up"}, "*'direction'*"),
        (
            {"scores": {"new": {"a": 1}, "old": {"a": 1}}, "directon": "lower"},
            "*unknown field 'directon'. Did you mean 'direction'*",
        ),
        ({"scores": {"new": {"a": 1}, "old": {"a": 1}}, "least": "0"}, "*'least' must be a number*not '0'*"),
        ({"measure": "js_distance", "dataset": "town.jsonl", "direction": "lower"}, "*no keyword 'direction'*"),
    ],
)
def test_wrong_objectives(project, objective, says):
    path = project.path / "objectives.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["objectives"][1] = {"name": "second", **objective}
    path.write_text(json.dumps(content), encoding="utf-8")
    write(project, 'pareto_improvement("objectives.json", candidate="new", reference="old", at_least=0)')
    result = project.runpytest_inprocess("--pluralism-model=skill:0.8")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])
