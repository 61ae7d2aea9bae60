"""A survey of one question: its populations move together, and only askings in several ways give an interval."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_pluralism.core.estimation import compare_paired, estimate_scores
from pytest_pluralism.core.records import Answer, AnswerDistribution, Question, Survey
from pytest_pluralism.evaluation.asking.rounds import Round, drive
from pytest_pluralism.evaluation.surveys.asking import AskSettings
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.evaluation.surveys.one_question import OneQuestionEvaluation

NAMES = ["Chad", "Japan", "Peru", "Spain", "Togo", "Fiji", "Cuba", "Oman"]


@pytest.fixture
def nations(project: pytest.Pytester) -> pytest.Pytester:
    """The project of the other tests, with a survey of one question to eight nations."""
    row = {
        "question_id": "work",
        "question": "Should people from elsewhere be let in to work?",
        "options": ["Anyone", "With a job", "Few", "Nobody"],
        "distributions": [
            {"population": name, "probabilities": [0.1 + 0.02 * i, 0.4 - 0.02 * i, 0.3, 0.2], "n_respondents": 1000}
            for i, name in enumerate(NAMES)
        ],
    }
    (project.path / "nations.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return project


def verdict(nations: pytest.Pytester, keywords: str, *args: str) -> dict[str, object]:
    nations.makepyfile(
        test_nations=f"import pytest\n\n@pytest.mark.js_distance('nations.jsonl', {keywords})\ndef test_it(): ...\n"
    )
    nations.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-report=out.json", *args)
    (found,) = json.loads((nations.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    return found


@pytest.mark.parametrize("bound", [0.001, 0.99])
def test_a_level_of_one_question_is_undecided_and_names_the_remedies(nations: pytest.Pytester, bound: float) -> None:
    found = verdict(nations, f"at_most={bound}")
    assert found["outcome"] == "inconclusive"
    assert "one question: 8 populations move together" in str(found["reason"])
    assert "wordings=[...], seeds=10" in str(found["reason"])
    assert "confidence_level=None" in str(found["reason"])


def test_a_question_under_many_names_is_one_question(nations: pytest.Pytester) -> None:
    row = json.loads((nations.path / "nations.jsonl").read_text(encoding="utf-8"))
    rows = [{**row, "question_id": f"work {i}", "distributions": [one]} for i, one in enumerate(row["distributions"])]
    for one in rows:
        one["distributions"] = [{**one["distributions"][0], "population": "Members"}]
    (nations.path / "nations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    found = verdict(nations, "at_most=0.99", "--pluralism-health=warn")
    assert found["outcome"] == "inconclusive"


def test_the_value_alone_may_decide(nations: pytest.Pytester) -> None:
    assert verdict(nations, "at_most=0.99, confidence_level=None")["outcome"] == "passed"
    assert verdict(nations, "at_most=0.001, confidence_level=None")["outcome"] == "failed"


@pytest.mark.whole
def test_a_change_of_one_question_is_undecided_too(nations: pytest.Pytester) -> None:
    keywords = "max_increase=0.02"
    verdict(nations, keywords, "--pluralism-baseline=base.json", "--pluralism-update-baseline")
    found = verdict(nations, keywords, "--pluralism-baseline=base.json")
    assert found["outcome"] == "inconclusive"
    assert "one question: 8 populations move together" in str(found["reason"])
    verdict(nations, keywords + ", confidence_level=None", "--pluralism-baseline=b.json", "--pluralism-update-baseline")
    found = verdict(nations, keywords + ", confidence_level=None", "--pluralism-baseline=b.json")
    assert found["outcome"] == "passed"


def test_seeds_are_the_clusters(nations: pytest.Pytester) -> None:
    found = verdict(nations, "at_most=0.99, seeds=10")
    assert (found["estimate"]["n"], found["estimate"]["n_clusters"]) == (80, 10)  # type: ignore[index]
    assert any("one wording" in warning for warning in found["warnings"])  # type: ignore[attr-defined]
    assert found["settings"]["seeds"] == 10  # type: ignore[index]


def test_wordings_are_the_clusters_where_there_are_some(nations: pytest.Pytester) -> None:
    words = ["Should people of other countries be let in for work?", "May foreign workers come?"]
    found = verdict(nations, f"at_most=0.99, seeds=2, wordings={words!r}")
    assert (found["estimate"]["n"], found["estimate"]["n_clusters"]) == (48, 3)  # type: ignore[index]
    assert not any("one wording" in warning for warning in found["warnings"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("survey", "keywords", "words"),
    [
        ("nations", "seeds=0", "*seeds*must be an int in [[]1, 1000]*Got 0*"),
        ("nations", "seeds=2.5", "*seeds*must be an int*Got 2.5*"),
        ("nations", "wordings='x'", "*wordings*must be a list of texts*Got 'x'*"),
        ("nations", "wordings=['']", "*wordings*must be a list of texts*"),
        ("nations", "wordings=['Should people from elsewhere be let in to work?']", "*wordings*another one than*"),
        ("nations", "seeds=3, population='Peru'", "*seeds and wordings are for a survey of one question*"),
        ("nations", "seeds=3, scoring='sum'", "*seeds and wordings need protocol='sound'*Got 'sound' and 'sum'*"),
        ("town", "seeds=3, population='North'", "*seeds and wordings are for a survey of one question*"),
    ],
)
def test_wrong_ways_to_ask(nations: pytest.Pytester, survey: str, keywords: str, words: str) -> None:
    nations.makepyfile(
        test_nations=f"import pytest\n\n@pytest.mark.js_distance('{survey}.jsonl', at_most=0.9, {keywords})\n"
        "def test_it(): ...\n"
    )
    result = nations.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


SURVEY = Survey(
    "nations",
    (Question("work", "Who may come to work?", ("Anyone", "With a job", "Few", "Nobody")),),
    tuple(
        AnswerDistribution("work", name, (0.1 + 0.02 * i, 0.4 - 0.02 * i, 0.3, 0.2), 1000.0)
        for i, name in enumerate(NAMES)
    ),
    "",
)


def shaken(seed: int):
    """Answer every prompt as a model whose answers hang on the examples before the question."""
    known: dict[object, Answer] = {}

    def answered(asked: Round) -> list[Answer]:
        for prompt in asked.requests:
            if prompt.examples not in known:
                rng = np.random.default_rng([seed, len(known)])
                shares = rng.dirichlet([2.0, 4.0, 3.0, 2.0])
                known[prompt.examples] = Answer(tuple(np.log(shares)), 1.0, "A", 0.5)
        return [known[prompt.examples] for prompt in asked.requests]

    return answered


@pytest.mark.slow
def test_exchangeable_releases_change_in_few_runs_where_seeds_carry_the_interval() -> None:
    """200 pairs of releases that differ in nothing but luck: at most 5 % of their changes exclude 0."""
    settings = AskSettings(repetitions=4, option_order="none")

    def units(evaluation, seed):  # type: ignore[no-untyped-def]
        return drive(evaluation.rounds(), shaken(seed))

    alarms = {"seeds": 0, "populations": 0}
    pairs = 200
    for pair in range(pairs):
        one, other = (units(OneQuestionEvaluation(SURVEY, settings, seeds=10), 2 * pair + i).units for i in (0, 1))
        change = compare_paired([u.value for u in one], [u.value for u in other], clusters=[u.cluster for u in one])
        alarms["seeds"] += not change.low <= 0.0 <= change.high
        one, other = (units(DistributionalEvaluation(SURVEY, settings), 2 * pair + i).units for i in (0, 1))
        # As it was before: each population a cluster of its own.
        change = compare_paired([u.value for u in one], [u.value for u in other])
        alarms["populations"] += not change.low <= 0.0 <= change.high
    print({name: f"{count / pairs:.1%} of {pairs} changes exclude 0" for name, count in alarms.items()})
    assert alarms["populations"] > 0.5 * pairs
    assert alarms["seeds"] <= 0.05 * pairs + 2 * (0.05 * 0.95 * pairs) ** 0.5


def test_the_mean_over_ways_is_the_mean_of_each_way() -> None:
    settings = AskSettings(repetitions=4, option_order="none")
    together = drive(OneQuestionEvaluation(SURVEY, settings, seeds=3).rounds(), shaken(7))
    answered = shaken(7)
    apart = [
        drive(
            DistributionalEvaluation(SURVEY, AskSettings(repetitions=4, option_order="none", seed=seed)).rounds(),
            answered,
        )
        for seed in range(3)
    ]
    assert estimate_scores(together).value == pytest.approx(
        np.mean([estimate_scores(one, confidence_level=None).value for one in apart])
    )
    assert together.references["uniform"] == pytest.approx(apart[0].references["uniform"])
