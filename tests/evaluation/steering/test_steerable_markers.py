"""The marker ``steering_faithfulness`` in runs of pytest, with a model that can be steered by its words."""

from __future__ import annotations

import json

import pytest

CONFTEST = '''
import hashlib
import math

from pytest_pluralism.core.records import Answer
from pytest_pluralism.models.protocol import ModelIdentity


class Voter:
    """Says Yes to a Democrat's question with probability YES, No to a Republican's, and does not know otherwise."""

    def __init__(self, spec):
        self.yes = float(spec.partition(":")[2])
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def answer(self, prompts, *, progress=None):
        result = []
        for prompt in prompts:
            yes = 0.5
            if "a Democrat" in prompt.question:
                yes = self.yes
            elif "a Republican" in prompt.question:
                yes = 1 - self.yes
            options = [line[3:] for line in prompt.question.split("\\n") if line[1:3] == ". "]
            logs = tuple(math.log(yes if option == "Yes" else 1 - yes) for option in options)
            result.append(Answer(logs, 1.0, "A", 0.9))
        return result

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    if spec.startswith("voter:"):
        return Voter(spec)
'''

ATTRIBUTES = [
    {"attribute": "Democrat", "who": "a Democrat", "category": "party", "opposite": "Republican"},
    {"attribute": "Republican", "who": "a Republican", "category": "party", "opposite": "Democrat"},
]


@pytest.fixture
def project(pytester, monkeypatch):
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest(CONFTEST)
    rows = [
        *ATTRIBUTES,
        *(
            {"question_id": f"q{n}", "question": f"Should law {n} pass?", "options": ["Yes", "No"],
             "answers": {"Democrat": "Yes" if n % 12 else "No", "Republican": "No"}}
            for n in range(48)
        ),
    ]  # fmt: skip
    path = pytester.path / "party_values.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\n")
    return pytester


def write(project, *markers):
    tests = [f"@pytest.mark.steering_faithfulness({marker})\ndef test_{n}(): ...\n" for n, marker in enumerate(markers)]
    project.makepyfile("import pytest\n\n" + "\n".join(tests))


def report_of(project, *arguments):
    result = project.runpytest_inprocess("--pluralism-report=r.json", "--pluralism-report=r.md", *arguments)
    return result, json.loads((project.path / "r.json").read_text(encoding="utf-8"))["verdicts"]


@pytest.mark.whole
def test_steering_must_beat_what_it_names(project):
    """By paired units: the model that follows passes, the one that does the contrary fails, and over= is another."""
    marker = '"party_values.jsonl", attribute="Democrat", better_than='
    write(project, *(f'{marker}"{name}"' for name in ("unsteered", "placebo")))
    result, verdicts = report_of(project, "--pluralism-model=voter:0.9")
    result.assert_outcomes(passed=2)
    assert [one["advantage"]["value"] for one in verdicts] == [pytest.approx(44 / 48 - 0.5)] * 2
    result, _ = report_of(project, "--pluralism-model=voter:0.1")
    result.assert_outcomes(failed=2)
    result, verdicts = report_of(project, "--pluralism-model=voter:0.5")
    assert {one["outcome"] for one in verdicts} == {"inconclusive"}
    for words, says in (
        ('better_than="unsteered", over="placebo"', "*better_than='unsteered' stands beside over='placebo'*"),
        ('better_than="placebo", checks=["unsteered"]', "*better_than='placebo' needs the check 'placebo'*"),
        ('better_than="uniform"', "*steering_faithfulness has no such reference. It has 'unsteered', 'placebo'*"),
    ):
        write(project, f'"party_values.jsonl", attribute="Democrat", {words}')
        result, _ = report_of(project, "--pluralism-model=voter:0.9")
        result.stdout.fnmatch_lines([says])
        result.assert_outcomes(errors=1)


@pytest.mark.whole
@pytest.mark.parametrize("reference", ["unsteered", "placebo"])
def test_better_than_answers_that_were_not_read_is_undecided(project, reference):
    """The steered answers are read; those that they are compared with are not, which no level shows."""
    write(project, f'"party_values.jsonl", attribute="Democrat", better_than="{reference}"')
    options = ("--pluralism-model=voter:0.9", "--pluralism-health=warn")
    result, (verdict,) = report_of(project, *options)
    result.assert_outcomes(passed=1)
    conftest = CONFTEST.replace("logs, 1.0,", 'logs, 0.02 if "a Democrat" not in prompt.question else 1.0,')
    project.makeconftest(conftest)
    result, (verdict,) = report_of(project, *options)
    assert verdict["outcome"] == "inconclusive"
    assert f"low_option_mass: of '{reference}', which the promise compares with, the mean option mass is 0.02" in str(
        verdict["reason"]
    )
    result, (verdict,) = report_of(project, *options, "--pluralism-suppress-health-check=low_option_mass")
    assert verdict["outcome"] == "passed"
    write(project, '"party_values.jsonl", attribute="Democrat", at_least=0.6')
    result, (verdict,) = report_of(project, *options)
    assert verdict["outcome"] == "passed"


@pytest.mark.whole
def test_the_form_of_the_contract(project):
    write(project, '"party_values.jsonl", attribute="Democrat", at_least=0.6')
    result, (verdict,) = report_of(project, "--pluralism-model=voter:0.9")
    result.assert_outcomes(passed=1)
    assert verdict["population"] == "Democrat"
    assert verdict["estimate"]["value"] == pytest.approx(44 / 48)
    assert verdict["estimate"]["n"] == verdict["estimate"]["n_clusters"] == 48
    assert verdict["other_populations"] == {"Republican": pytest.approx(4 / 48)}
    assert verdict["references"]["unsteered"] == pytest.approx(0.5)
    assert verdict["references"]["placebo"] == pytest.approx(0.5)
    details = verdict["details"]
    assert details["confusion"][0]["diagonal_dominance"] == 1.0
    assert details["opposite"][0]["contrast"] > 0
    assert details["gain"]["low"] > 0
    unit = verdict["units"][0]
    assert (unit["id"], unit["attribute"], unit["unsteered"]) == ("q0", "Democrat", 0.5)


@pytest.mark.whole
def test_a_model_that_is_not_steered_fails_with_what_it_would_get_anyway(project):
    write(project, '"party_values.jsonl", attribute=["Democrat", "Republican"], at_least=0.6')
    result, verdicts = report_of(project, "--pluralism-model=voter:0.5")
    result.assert_outcomes(failed=1)
    assert [verdict["population"] for verdict in verdicts] == ["Democrat", "Republican"]
    result.stdout.fnmatch_lines(["*must be at least 0.600: steering faithfulness to Democrat (party_values.jsonl)*"])
    result.stdout.fnmatch_lines(["*unsteered 0.50*placebo 0.50*"])


@pytest.mark.whole
def test_gains_and_all_attributes_at_once(project):
    write(
        project,
        '"party_values.jsonl", over="unsteered", at_least=0.2',
        '"party_values.jsonl", attribute="all", score="probability", at_least=0.6',
        '"party_values.jsonl", attribute="Republican", over="Democrat", at_least=0.5',
        '"party_values.jsonl", attribute="Republican", over="placebo", at_least=0.9',
    )
    result, verdicts = report_of(project, "--pluralism-model=voter:0.9")
    result.assert_outcomes(passed=3, failed=1)
    first = verdicts[0]
    assert "population" not in first
    assert first["estimate"]["n"] == 96
    assert first["estimate"]["n_clusters"] == 48
    assert first["witness"]["id"] == "Democrat"
    assert first["gate"]["at_least"] == 0.2
    keys = [verdict["key"].removeprefix("steering_faithfulness party_values.jsonl") for verdict in verdicts]
    assert keys == [
        " over unsteered",
        " Democrat",
        " Republican",
        " Republican over Democrat",
        " Republican over placebo",
    ]


def test_a_survey_by_its_name(project):
    write(project, '"gss", attribute="Democrat", repetitions=1, examples=0, context="portrait", at_least=0.1')
    result, (verdict,) = report_of(project, "--pluralism-model=voter:0.9", "--pluralism-protocol=sound")
    assert verdict["estimate"]["n"] == 25
    assert verdict["settings"]["steering"]["contexts"] == ["portrait"]
    result.assert_outcomes(passed=1)


@pytest.mark.whole
def test_a_promise_against_a_baseline(project):
    write(project, '"party_values.jsonl", attribute="Democrat", score="probability", max_decrease=0.05')
    arguments = ["--pluralism-baseline=b", "--pluralism-baseline-model=line"]
    project.runpytest_inprocess(
        "--pluralism-model=voter:0.9", "--pluralism-update-baseline", *arguments
    ).assert_outcomes(passed=1)
    stored = next((project.path / "b").glob("*.json"))
    text = stored.read_text(encoding="utf-8")
    assert "steering_faithfulness party_values.jsonl Democrat" in text


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ('"party_values.jsonl", attribute="Demokrat", at_least=0.6', "*Nearest: 'Democrat'*"),
        ('"party_values.jsonl", attribute="Democrat", at_most=0.6', "*promises the wrong direction*Use at_least*"),
        ('"party_values.jsonl", atribute="Democrat", at_least=0.6', "*Did you mean 'attribute'*"),
        ('"party_values.jsonl", context="potrait", at_least=0.6', "*unknown context 'potrait'*Nearest: 'portrait'*"),
        ('"party_values.jsonl", score="js", at_least=0.6', "*one right answer each*score='mode'*"),
        ('"party_values.jsonl", over="Rep", at_least=0.1', "*unknown attribute 'Rep'*"),
        ('"party_values.jsonl", over=3, at_least=0.1', "*'over' parameter*Got 3*"),
        ('"party_values.jsonl", attribute=[], at_least=0.1', "*an attribute's name, a list of names*"),
        ('"party_values.jsonl", attribute="Democrat + Republican", at_least=0.1', "*nobody says how*"),
        ('"party_value.jsonl", at_least=0.6', "*there is no such file*party_values.jsonl*"),
        ('"gsss", at_least=0.6', "*Nearest: 'gss'*"),
        ('"party_values.jsonl", protocol="sorensen2024", at_least=0.6', "*does not steer*"),
        ('"party_values.jsonl", at_least=6', "*says nothing*"),
        ('"party_values.jsonl", checks="placebos", at_least=0.6', "*'checks' parameter*Got 'placebos'*"),
    ],
)
def test_wrong_markers_are_the_errors_of_their_tests(project, marker, says):
    write(project, marker)
    result = project.runpytest_inprocess("--pluralism-model=voter:0.9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])


VALUE_MODEL = '''

class Reward:
    """Gives 1 to responses that name the attribute."""

    def __init__(self, spec):
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def reward(self, requests, *, progress=None):
        return [float(request.attribute in request.response) for request in requests]


class Judge:
    def __init__(self, spec):
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def entail(self, pairs, *, progress=None, receive=None):
        scores = [EntailmentScores(float(one.hypothesis in one.premise), 0.0, 0.0) for one in pairs]
        receive(list(zip(pairs, scores)))
        return scores


class Writer(Voter):
    def generate(self, prompts, settings, *, n_draws=1, progress=None, receive=None):
        said = [next((n for n in ("Democrat", "Republican") if f"a {n}" in p.question), "Nobody") for p in prompts]
        rows = [tuple(Response(f"{one} says so", 3, "eos", d) for d in range(n_draws)) for one in said]
        receive([(prompt, response) for prompt, row in zip(prompts, rows) for response in row])
        return rows


def pytest_pluralism_load_value_model(spec, settings):
    return Reward(spec)


def pytest_pluralism_load_entailment_model(spec, settings):
    return Judge(spec)


def pytest_pluralism_load_model(spec, settings):
    return Writer(spec)
'''


@pytest.fixture
def writers(project):
    text = CONFTEST.partition("\n\ndef pytest_pluralism_load_model")[0] + VALUE_MODEL
    project.makeconftest(text.replace("import Answer\n", "import Answer, EntailmentScores, Response\n"))
    rows = [
        *ATTRIBUTES,
        *(
            {"question_id": f"q{n}", "question": f"What of law {n}?",
             "statements": {"Democrat": "Democrat says so", "Republican": "Republican says so"}}
            for n in range(30)
        ),
    ]  # fmt: skip
    path = project.path / "statements.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return project


@pytest.mark.whole
def test_rewards_and_entailment_in_runs(writers):
    write(
        writers,
        '"statements.jsonl", attribute="Democrat", at_least=0.8',
        '"party_values.jsonl", attribute="Democrat", score="reward", over="unsteered", at_least=0.8',
        '"statements.jsonl", attribute=["Democrat", "Republican"], over="placebo", at_least=0.8',
    )
    result, verdicts = report_of(
        writers, "--pluralism-model=voter:0.9", "--pluralism-value-model=r", "--pluralism-entailment-model=e"
    )
    result.assert_outcomes(passed=3)
    assert [len(verdict["units"]) for verdict in verdicts] == [30, 48, 30, 30]
    assert verdicts[0]["settings"]["entailment_model"]["name"] == "e"
    assert verdicts[1]["settings"]["value_model"]["name"] == "r"


@pytest.mark.whole
def test_rewards_are_in_the_units_of_their_model(writers):
    conftest = writers.path / "conftest.py"
    text = conftest.read_text(encoding="utf-8")
    text = text.replace("float(request.attribute in", "3.0 + 0.1 * (len(request.prompt) % 7) + (request.attribute in")
    conftest.write_text(text, encoding="utf-8")
    write(
        writers,
        '"party_values.jsonl", attribute="Democrat", score="reward", at_least=2.5',
        '"party_values.jsonl", attribute="Democrat", score="reward", over="unsteered", at_least=-3.0',
        '"party_values.jsonl", attribute="Democrat", score="probability", at_least=2.5',
    )
    result, verdicts = report_of(
        writers, "--pluralism-model=voter:0.9", "--pluralism-value-model=r", "--pluralism-report=r.html"
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*at_least=2.5 says nothing: steering faithfulness lies in*"])
    estimate = next(one["estimate"] for one in verdicts if one["outcome"] == "passed" and one["gate"]["at_least"] > 0)
    assert 4.0 <= estimate["low"] <= estimate["value"] <= estimate["high"]


def test_without_a_value_model_the_test_says_which_option_names_it(writers):
    write(writers, '"party_values.jsonl", attribute="Democrat", score="reward", at_least=0.8')
    result = writers.runpytest_inprocess("--pluralism-model=voter:0.9")
    result.stdout.fnmatch_lines(["*no value model. Name one with --pluralism-value-model=SPEC*"])


def test_the_fixture_gives_the_model(writers):
    writers.makepyfile("def test_it(value_model):\n    assert value_model.identity.name == 'r'\n")
    writers.runpytest_inprocess("--pluralism-value-model=r").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ('"party_values.jsonl", threshold=0.5, at_least=0.1', "*threshold says how responses are written*"),
        ('"statements.jsonl", across="mean", at_least=0.1', "*across belongs to questions with options*"),
        ('"statements.jsonl", attribute="Demcrat", at_least=0.1', "*Nearest: 'Democrat'*"),
        ('"party_values.jsonl", score="entailment", at_least=0.1', "*no statements that a response could entail*"),
        ('"statements.jsonl", max_new_tokens=0, at_least=0.1', "*'max_new_tokens'*"),
        ('"statements.jsonl", context=[], at_least=0.1', "*'context'*"),
        ('"statements.jsonl", context=5, at_least=0.1', "*'context'*"),
        ('"statements.jsonl", checks=5, at_least=0.1', "*'checks'*"),
        ('"statements.jsonl", attribute=5, at_least=0.1', "*'attribute'*"),
        ('"statements.jsonl", attribute="Democrat", over="Democrat", at_least=0.1', "*is the attribute itself*"),
        ('"party_values.jsonl", attribute="Democrat", over="Democrat", at_least=0.0', "*is the attribute itself*"),
        ('"party_values.jsonl", attribute=5, at_least=0.1', "*'attribute'*"),
        (
            '"party_values.jsonl", protocol="modular_pluralism", context="instruction", at_least=0.1',
            "*does not fit into the fixed prompts*",
        ),
        ('"one_topic.jsonl", context="examples", at_least=0.1', "*no answers to other questions that could be shown*"),
    ],
)
def test_wrong_markers_of_texts(writers, marker, says):
    rows = (writers.path / "party_values.jsonl").read_text(encoding="utf-8")
    (writers.path / "one_topic.jsonl").write_text(rows.replace('"options"', '"cluster": "laws", "options"'))
    write(writers, marker)
    result = writers.runpytest_inprocess("--pluralism-model=voter:0.9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])


WRITER = '''
import hashlib

from pytest_pluralism.core.records import Response
from pytest_pluralism.models.protocol import ModelIdentity


class Writer:
    """Writes whom it is told to speak for."""

    def __init__(self, spec):
        self.identity = ModelIdentity(spec, spec, hashlib.sha256(spec.encode()).hexdigest(), "float32", "cpu")

    def answer(self, prompts, *, progress=None):
        raise AssertionError("nothing is to be chosen")

    def generate(self, prompts, settings, *, n_draws=1, progress=None):
        whom = [prompt.question.rsplit(None, 2)[1] for prompt in prompts]
        return [(Response(f"I speak for {one}.", 4, "eos", 0),) for one in whom]

    def close(self):
        pass


def pytest_pluralism_load_model(spec, settings):
    return Writer(spec)
'''


@pytest.mark.whole
def test_human_labels_by_file(project):
    project.makeconftest(WRITER)
    rows = [*ATTRIBUTES, *({"question_id": f"q{n}", "question": f"What of law {n}?"} for n in range(30))]
    (project.path / "open.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    marker = '"open.jsonl", attribute="Democrat", labels="labels.csv", at_least=0.6'
    write(project, marker)

    def save(n):
        lines = [f"Democrat,q{k},I speak for Democrat.,{k % 10 > 0}\n" for k in range(n)]
        lines += [f"Democrat,q{k},I speak for nobody.,no\n" for k in range(n, 30)]
        path = project.path / "labels.csv"
        path.write_text("attribute,question_id,response,label\n" + "".join(lines), encoding="utf-8")

    path = project.path / "labels.csv"
    path.write_text("attribute,question_id,response,label\nDemocrat,q1,What nobody says.,yes\n", encoding="utf-8")
    result, (verdict,) = report_of(project, "--pluralism-model=any")
    assert (verdict["outcome"], len(verdict["details"]["unlabelled"])) == ("inconclusive", 1)
    assert verdict["reason"] == "nobody has labelled a response yet; the report lists them under 'unlabelled'"
    save(28)
    result, (verdict,) = report_of(project, "--pluralism-model=any")
    assert verdict["outcome"] == "inconclusive"
    assert [one["question_id"] for one in verdict["details"]["unlabelled"]] == ["q28", "q29"]
    assert verdict["units"][28]["value"] is None
    assert "2 of 30 responses have no label" in verdict["warnings"][0]
    save(30)
    result, (verdict,) = report_of(project, "--pluralism-model=any")
    result.assert_outcomes(passed=1)
    assert verdict["estimate"]["value"] == pytest.approx(0.9)
    assert verdict["settings"]["labels"]["name"] == "labels.csv"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('labels="lables.csv"', "*there is no such file*labels.csv*"),
        ('labels="labels.csv", score="reward"', "*labels are what people said*Use score='human'*"),
        ("labels=3", "*'labels' parameter of steering_faithfulness must be the name of a file*"),
        ('score="human"', "*belong together*"),
        ('labels="labels.csv", attribute="Republican"', "*no label is about a response for 'Republican'*"),
        ('labels="wrong.csv"', "*line 2*unknown attribute 'Demokrat'*Nearest: 'Democrat'*"),
    ],
)  # fmt: skip
def test_wrong_labels(project, words, says):
    head = "attribute,question_id,response,label\n"
    (project.path / "labels.csv").write_text(f"{head}Democrat,q1,Yes.,yes\n", encoding="utf-8")
    (project.path / "wrong.csv").write_text(f"{head}Demokrat,q1,Yes.,yes\n", encoding="utf-8")
    write(project, f'"party_values.jsonl", {words}, at_least=0.6')
    result = project.runpytest_inprocess("--pluralism-model=voter:0.9")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])
