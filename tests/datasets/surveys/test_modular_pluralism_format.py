"""The files of the Modular Pluralism benchmark."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets import load_survey
from pytest_pluralism.datasets.surveys.modular_pluralism import plain_question


def entry(text: str, options: list[str], attribute: str, gold: list[float]) -> dict[str, Any]:
    listed = " ".join(f"{letter}. {option}" for letter, option in zip("ABCDEFG", options, strict=False))
    prompt = f"Question: {text}\nOptions: {listed}\nAnswer:"
    row = {"question": prompt, "options": options, "attribute": attribute, "gold_distribution": gold}
    return row | {"pred_distribution": None, "id": 7}


ROWS = [
    entry("Do you agree?", ["Yes", "No", "DK/Refused"], "Japan", [0.5, 0.25, 0.25]),
    entry("Is it hot?", ["Very", "Not at all"], "Peru", [0.9, 0.1]),
    entry("Do you agree?", ["Yes", "No", "DK/Refused"], "Peru", [0.25, 0.5, 0.25]),
    entry("Do you agree?", ["Yes", "No"], "Chile", [0.25, 0.75]),
]


def write(path: Path, rows: Any) -> Path:
    path.write_bytes(gzip.compress(json.dumps(rows).encode()))
    return path


def test_rows_of_one_question_are_grouped(tmp_path: Path) -> None:
    survey = load_survey(write(tmp_path / "rows.json.gz", ROWS))
    assert [question.text for question in survey.questions] == ["Do you agree?", "Is it hot?", "Do you agree?"]
    assert len({question.question_id for question in survey.questions}) == 3
    first = survey.questions[0].question_id
    assert [row.population for row in survey.distributions if row.question_id == first] == ["Japan", "Peru"]
    assert survey.default_population is None
    assert "Modular Pluralism" in survey.source
    assert "left out" not in survey.source


def test_identifiers_do_not_depend_on_the_place(tmp_path: Path) -> None:
    forward = load_survey(write(tmp_path / "a.json.gz", ROWS))
    backward = load_survey(write(tmp_path / "b.json.gz", ROWS[::-1]))
    assert forward.sha256 == backward.sha256


def test_json_lines_hold_the_same(tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    assert load_survey(lines).sha256 == load_survey(write(tmp_path / "a.json.gz", ROWS)).sha256


def test_what_cannot_be_compared_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        entry("Which?", ["Only this"], "Japan", [1.0]),
        entry("Which now?", ["Only this", "DK/Refused"], "Japan", [0.5, 0.5]),
        entry("Damaged?", ["Ye", "requently", "Ye"], "Japan", [0.0, 0.0, 1.0]),
        entry("Is it hot?", ["Very", "Not at all"], "Peru", [0.1, 0.9]),
        entry("Do you agree?", ["Yes", "No"], "Chile", [0.25, 0.75]),
        entry("Asked?", ["Yes", "No", "DK/Refused"], "Japan", [0.0, 0.0, 1.0]),
    ]
    survey = load_survey(write(tmp_path / "rows.json.gz", rows), refusals="drop")
    assert {question.text for question in survey.questions} == {"Do you agree?"}
    assert len(survey.distributions) == 3
    assert "left out: 1 question(s) with the same option twice" in survey.source
    assert "left out: 1 population(s) with different answers to one question" in survey.source
    assert "left out: 2 question(s) with fewer than two options" in survey.source
    assert "left out: 1 distribution(s) with nothing but refusals" in survey.source


def test_questions_about_politicians_of_one_country_are_counted(tmp_path: Path) -> None:
    text = "(Now I'd like to ask your views about some political leaders in our country.) Your opinion of...Somebody?"
    rows = [
        entry(text, ["Good", "Bad"], country, [0.5, 0.5]) for country in ("Spain", "India (Current national sample)")
    ]
    survey = load_survey(write(tmp_path / "rows.json.gz", [*ROWS, *rows]))
    assert "1 question(s) name a politician or party of one country and may hold answers of others" in survey.source
    assert survey.questions[-1].text == text


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (entry("So?", ["Yes", "No"], "Japan", [0.5, 0.4]), "must sum to 1"),
        (entry("So?", ["Yes", "No"], "Japan", [1.0]), "has 1 probabilities for 2 options"),
        (entry("So?", ["Yes", "No"], "", [0.5, 0.5]), "'population' must be a non-empty string"),
        (
            entry("So?", ["Yes", "No"], "Japan", [0.5, 0.5]) | {"options": ["No", "Yes"]},
            "differ from those in 'options'",
        ),
        (entry("So?", ["Yes", "No"], "Japan", [0.5, 0.5]) | {"options": "Yes"}, "'options' must be a list of strings"),
        (entry("So?", ["Yes", "No"], "Japan", [0.5, 0.5]) | {"question": 3}, "'question' must be a string"),
        ({"question": "So?", "gold_distribution": [1]}, "lacks 'options', 'attribute'"),
        ("text", "not a string"),
    ],
)
def test_problems_are_named(tmp_path: Path, row: Any, expected: str) -> None:
    path = write(tmp_path / "rows.json.gz", [*ROWS, row])
    with pytest.raises(DatasetError, match=r"entry 5") as caught:
        load_survey(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "options", "expected"),
    [
        ("Question: A\nB?\nOptions: A. Yes B. No\nAnswer:", ["Yes", "No"], "A\nB?"),
        ("Question: Options: which?\nOptions: A. x  B. y \nAnswer:", ["x", "y "], "Options: which?"),
        ("Question: So?\nOptions: A. Yes B. No", ["Yes", "No"], None),
        ("So?\nOptions: A. Yes B. No\nAnswer:", ["Yes", "No"], None),
        ("Question: So?", ["Yes", "No"], None),
    ],
)
def test_plain_question(prompt: str, options: list[str], expected: str | None) -> None:
    assert plain_question(prompt, options) == expected


@pytest.mark.whole
def test_real_files(shared_data: Path) -> None:
    """5,752 rows of 1,270 questions and 130 populations; 16 rows with one option in the other file."""
    survey = load_survey(shared_data / "surveys" / "global_opinion_qa_small.json.gz")
    assert (len(survey.questions), len(survey.populations), len(survey.distributions)) == (1270, 130, 5752)
    assert not [question.text for question in survey.questions if question.text.startswith("Question:")]
    assert not [question.text for question in survey.questions if "\nOptions:" in question.text]
    apart = load_survey(shared_data / "surveys" / "global_opinion_qa_small.json.gz", refusals="separate")
    marked = {q.options[index] for q in apart.questions for index in q.refusals}
    assert marked == {
        "DK/Refused",
        "Don't know",
        "Don't know/Refused",
        "Missing; Not available",
        "No answer",
        "Other missing; Multiple answers Mail (EVS)",
    }

    path = shared_data / "steering" / "opinion_qa_small.json.gz"
    rows = json.loads(gzip.decompress(path.read_bytes()))
    assert sum(len(row["options"]) == 1 for row in rows) == 16
    groups = load_survey(path)
    assert "fewer than two options" in groups.source
    assert min(len(question.options) for question in groups.questions) == 2
    answers: dict[tuple[str, str], set[tuple[float, ...]]] = {}
    for row in rows:
        if len(row["options"]) == len(set(row["options"])) > 1:
            answers.setdefault((row["question"], row["attribute"]), set()).add(tuple(row["gold_distribution"]))
    contradictory = sum(len(different) > 1 for different in answers.values())
    assert contradictory == 1
    assert f"left out: {contradictory} population(s) with different answers" in groups.source
    assert len(groups.distributions) == len(answers) - contradictory
