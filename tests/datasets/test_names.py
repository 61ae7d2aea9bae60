"""Names of populations, groups and attributes: what looks the same is the same, or an error."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.core.records import Answer
from pytest_pluralism.datasets import load_panel, load_survey, resolve_populations
from pytest_pluralism.datasets.names import clean_name
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests
from pytest_pluralism.evaluation.surveys.distance import scores

COMPOSED = "C\u00f4te d\u2019Ivoire"
#: The same name in other codes: a combining accent, no-break and double spaces, characters without a width.
SAME = [
    "Co\u0302te d\u2019Ivoire",
    "C\u00f4te\u00a0d\u2019Ivoire",
    "C\u00f4te  d\u2019Ivoire ",
    "\ufeffC\u00f4te\u200b d\u2019Ivoire",
]
#: Names that look much like it: another apostrophe, another case, a Cyrillic letter, wide letters.
ALIKE = [
    "C\u00f4te d'Ivoire",
    "c\u00f4te d\u2019ivoire",
    "C\u00f4t\u0435 d\u2019Ivoire",
    "\uff23\u00f4te d\u2019Ivoire",
]


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def question(number: int, *populations: str) -> dict[str, Any]:
    rows = [{"population": name, "probabilities": [0.5, 0.5]} for name in populations]
    return {"question_id": f"q{number}", "question": "Is it so?", "options": ["Yes", "No"], "distributions": rows}


@pytest.mark.parametrize("other", SAME)
def test_a_population_in_another_unicode_form_is_the_same(tmp_path: Path, other: str) -> None:
    assert clean_name(other) == COMPOSED
    survey = load_survey(written(tmp_path / "s.jsonl", [question(1, COMPOSED, "Ghana"), question(2, other, "Ghana")]))
    assert survey.populations == (COMPOSED, "Ghana")
    assert resolve_populations(survey, other) == (COMPOSED,)
    lines = [f"q{n},So?,{option},{name},0.5" for n, name in ((1, COMPOSED), (2, other)) for option in ("Yes", "No")]
    table = tmp_path / "s.csv"
    table.write_text("\n".join(["question_id,question,option,population,probability", *lines]), encoding="utf-8")
    assert load_survey(table).populations == (COMPOSED,)


@pytest.mark.parametrize("other", SAME)
def test_it_stands_once_in_a_question(tmp_path: Path, other: str) -> None:
    with pytest.raises(DatasetError, match="appears twice; keep one distribution for each population"):
        load_survey(written(tmp_path / "s.jsonl", [question(1, COMPOSED, other)]))


@pytest.mark.parametrize("other", ALIKE)
def test_populations_that_look_alike_are_an_error(tmp_path: Path, other: str) -> None:
    path = written(tmp_path / "s.jsonl", [question(1, COMPOSED, "Ghana"), question(2, other, "Ghana")])
    with pytest.raises(DatasetError) as raised:
        load_survey(path)
    message = str(raised.value)
    assert (
        f"line 2, question 'q2': population {other!r} differs from {COMPOSED!r} (line 1, question 'q1') by" in message
    )
    assert "write both the same, or tell them apart" in message
    if other == ALIKE[2]:
        assert "(U+0435)" in message


@pytest.mark.parametrize("other", ["Yes\u200b", "Y\u0435s", "\uff39es", "Yes\ufe0f", "Yes\u034f"])
def test_options_and_questions_that_look_the_same_are_errors(tmp_path: Path, other: str) -> None:
    asked = question(1, "Ghana")
    with pytest.raises(DatasetError, match=r"options 'Yes' and .* look the same \(U\+"):
        load_survey(written(tmp_path / "s.jsonl", [{**asked, "options": ["Yes", other]}]))
    with pytest.raises(DatasetError, match=r"line 2, .* the question_id looks like 'Yes' \(U\+"):
        load_survey(written(tmp_path / "s.jsonl", [{**asked, "question_id": one} for one in ("Yes", other)]))
    assert load_survey(written(tmp_path / "s.jsonl", [{**asked, "options": ["Yes", "yes"]}])).questions


def test_names_of_different_people_stay_apart(tmp_path: Path) -> None:
    names = ["Niger", "Nigeria", "Male", "Female", "Росси́я", "Ελλάδα", "日本", "Black", "White", "18-29", "30-49"]
    assert load_survey(written(tmp_path / "s.jsonl", [question(1, *names)])).populations == tuple(
        map(clean_name, names)
    )


def test_groups_of_jurors_are_names_too(tmp_path: Path) -> None:
    votes = [{"juror": name, "query": "q", "utility": 0.5} for name in ("ana", "bo")]
    rows = [{"juror": "ana", "group": COMPOSED}, {"juror": "bo", "group": SAME[0]}, *votes]
    assert load_panel(written(tmp_path / "p.jsonl", rows)).groups() == (COMPOSED, COMPOSED)
    rows[1] = {"juror": "bo", "group": ALIKE[1]}
    with pytest.raises(DatasetError, match=r"juror 'bo': group 'côte.*by case alone"):
        load_panel(written(tmp_path / "p.jsonl", rows))
    table = tmp_path / "p.csv"
    table.write_text("juror,ward,query,utility\na,North,q,1\nb,north,q,0\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"juror 'b': ward group 'north' differs from 'North' .* by case alone"):
        load_panel(table)


def test_attributes_of_a_steering_file_are_names_too(tmp_path: Path) -> None:
    asked = {"question_id": "q", "question": "So?", "options": ["Yes", "No"], "answers": {SAME[0]: "Yes"}}
    path = written(tmp_path / "s.jsonl", [{"attribute": SAME[1], "who": "someone from there"}, asked])
    steering = load_steering(str(path))
    assert steering.names == (COMPOSED,)
    assert len(steering.rows(steering.attribute(COMPOSED))) == 1
    asked["answers"] = {COMPOSED: "Yes", SAME[0]: "No"}
    with pytest.raises(DatasetError, match=r"'answers' names .* twice; keep one"):
        load_steering(str(written(path, [asked])))


def test_a_verdict_says_when_a_population_was_asked_a_part_of_the_survey(tmp_path: Path) -> None:
    path = written(tmp_path / "s.jsonl", [question(1, "Peru", "Ghana"), question(2, "Ghana"), question(3, "Ghana")])
    survey = load_survey(path)
    asked = requests(survey, AskSettings(examples=0, repetitions=1, option_order="none"))
    answers = [Answer((math.log(0.5),) * 2, 1.0, "A", 0.5) for _ in asked.prompts]
    said = "Peru was asked 1 of 3 questions of this survey: the number says nothing about the others"
    assert said in scores(asked, answers, population="Peru").warnings
    assert not any("questions of this survey" in one for one in scores(asked, answers, population="Ghana").warnings)
