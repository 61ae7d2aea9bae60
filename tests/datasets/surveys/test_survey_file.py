"""Survey files: what can be read, and what is said about what cannot."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets import load_survey
from pytest_pluralism.datasets.reading import MAXIMUM_BYTES, Problems, read_text
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, assemble_survey

GOOD: list[dict[str, Any]] = [
    {
        "question_id": "trust",
        "question": "Can most people be trusted?",
        "options": ["Yes", "No", "It depends"],
        "distributions": [
            {"population": "Japan", "probabilities": [0.4, 0.5, 0.1], "n_respondents": 1200, "n_effective": 900.5},
            {"population": "Peru", "probabilities": [0.1, 0.85, 0.05], "n_respondents": 1000},
        ],
        "cluster": "trust items",
        "positions": [3, 1, 2],
    },
    {
        "question_id": "change",
        "question": "Is change “good”, bad, or – as some say – neither?",
        "options": ["Good", "Bad"],
        "distributions": [{"population": "Japan", "probabilities": [0.25, 0.75]}],
    },
]


def one(**changes: Any) -> dict[str, Any]:
    """A good question, changed; a change to ``...`` removes the field."""
    entry: dict[str, Any] = {
        "question_id": "q1",
        "question": "Is it so?",
        "options": ["Yes", "No"],
        "distributions": [{"population": "Japan", "probabilities": [0.5, 0.5], "n_respondents": 100}],
    }
    entry |= changes
    return {name: value for name, value in entry.items() if value is not ...}


def row(**changes: Any) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {"population": "Japan", "probabilities": [0.5, 0.5], "n_respondents": 100} | changes
    return [{name: value for name, value in entry.items() if value is not ...}]


def write_jsonl(path: Path, entries: list[Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def to_csv(entries: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    names = ["question_id", "question", "option", "population", "probability"]
    writer = csv.DictWriter(stream, [*names, "n_respondents", "n_effective", "cluster", "position"])
    writer.writeheader()
    for entry in entries:
        for distribution in entry["distributions"]:
            for index, option in enumerate(entry["options"]):
                writer.writerow(
                    {
                        "question_id": entry["question_id"],
                        "question": entry["question"],
                        "option": option,
                        "population": distribution["population"],
                        "probability": distribution["probabilities"][index],
                        "n_respondents": distribution.get("n_respondents", ""),
                        "n_effective": distribution.get("n_effective", ""),
                        "cluster": entry.get("cluster", ""),
                        "position": entry["positions"][index] if "positions" in entry else "",
                    }
                )
    return stream.getvalue()


def message_of(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        load_survey(path)
    message = str(caught.value)
    assert path.name in message
    return message


# ----------------------------------------------------------------------------------------------- what can be read


def test_json_lines(tmp_path: Path) -> None:
    survey = load_survey(write_jsonl(tmp_path / "good.jsonl", GOOD))
    assert survey.name == "good.jsonl"
    assert survey.source == "file good.jsonl; read: 2 questions, 3 distributions"
    trust, change = survey.questions
    assert (trust.question_id, trust.cluster, trust.positions) == ("trust", "trust items", (3.0, 1.0, 2.0))
    assert (change.cluster, change.positions, change.refusals) == (None, None, ())
    assert change.text == "Is change “good”, bad, or – as some say – neither?"
    japan = survey.distributions[0]
    assert (japan.population, japan.n_respondents, japan.n_effective) == ("Japan", 1200.0, 900.5)
    assert japan.probabilities == pytest.approx((0.4, 0.5, 0.1))
    assert survey.distributions[2].n_respondents is None
    assert survey.populations == ("Japan", "Peru")


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz", ".CSV", ".JSONL"])
def test_all_formats_hold_the_same_survey(tmp_path: Path, ending: str) -> None:
    texts = {
        ".jsonl": "\n".join(json.dumps(entry) for entry in GOOD),
        ".json": json.dumps(GOOD, indent=2, ensure_ascii=False),
        ".csv": to_csv(GOOD),
    }
    data = texts[ending.lower().removesuffix(".gz")].encode()
    path = tmp_path / f"good{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith(".gz") else data)
    expected = load_survey(write_jsonl(tmp_path / "expected.jsonl", GOOD))
    survey = load_survey(str(path))
    assert survey.sha256 == expected.sha256
    assert survey.questions == expected.questions
    assert survey.distributions == expected.distributions


def test_byte_order_marks_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    lines = "\r\n\r\n".join(json.dumps(entry, ensure_ascii=False) for entry in GOOD)
    path = tmp_path / "windows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n")
    assert load_survey(path).questions == load_survey(write_jsonl(tmp_path / "a.jsonl", GOOD)).questions
    table = tmp_path / "windows.csv"
    table.write_bytes(b"\xef\xbb\xbf" + to_csv(GOOD).encode())
    assert len(load_survey(table).questions) == 2


def test_line_separators_of_unicode_inside_a_string(tmp_path: Path) -> None:
    path = tmp_path / "separators.jsonl"
    path.write_text(json.dumps(one(question="Is\u2028it\x85so?"), ensure_ascii=False), encoding="utf-8")
    assert load_survey(path).questions[0].text == "Is\u2028it\x85so?"


def test_options_that_nobody_chose_and_those_without_a_letter_are_told(tmp_path: Path) -> None:
    many = [f"option {n}" for n in range(27)]
    entries = [
        one(distributions=row(probabilities=[1.0, 0.0])),
        one(question_id="q2", distributions=row(probabilities=[1, 0]) + row(population="Peru", probabilities=[0, 1])),
        one(question_id="q3", options=many, distributions=row(probabilities=[1 / 27] * 27)),
    ]
    source = load_survey(write_jsonl(tmp_path / "a.jsonl", entries)).source
    assert "; 1 option(s) that nobody chose, such as 'q1: No'" in source
    assert "; 1 question(s) with more than 26 options, which letters cannot label, such as 'q3'" in source


def test_rounded_shares_are_rescaled(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "a.jsonl", [one(options=["a", "b", "c"], distributions=row(probabilities=[0.333] * 3))]
    )
    assert load_survey(path).distributions[0].probabilities == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-15)


def test_fields_that_say_more_are_ignored(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", [one(topic="politics", source="ours", weight=3)])
    assert load_survey(path) == load_survey(write_jsonl(tmp_path / "a.jsonl", [one()]))


def test_columns_of_csv_may_come_in_any_order_and_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "population,probability,option,question,question_id,note\n"
        "Japan,.5,Yes,Is it so?,q1,\nPeru,0,No,Is it so?,q1,x\nJapan,.5,No,Is it so?,q1,\nPeru,1e0,Yes,Is it so?,q1,\n",
        encoding="utf-8",
    )
    survey = load_survey(path)
    assert survey.questions[0].options == ("Yes", "No")
    assert [row.probabilities for row in survey.distributions] == [(0.5, 0.5), (1.0, 0.0)]


def test_csv_may_mark_its_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "question_id,question,option,population,probability,refusal\n"
        "q,So?,Yes,Japan,.5,0\nq,So?,No,Japan,.25,\nq,So?,Pass,Japan,.25,1\n",
        encoding="utf-8",
    )
    assert load_survey(path, refusals="drop").questions[0].options == ("Yes", "No")


def test_default_population(tmp_path: Path) -> None:
    only = write_jsonl(tmp_path / "only.jsonl", [one(), one(question_id="q2")])
    assert load_survey(only).default_population == "Japan"
    across = write_jsonl(tmp_path / "across.jsonl", [one(distributions=row() + row(population="Peru"))])
    assert load_survey(across).default_population == "all"
    assert load_survey(write_jsonl(tmp_path / "many.jsonl", GOOD)).default_population is None


def test_a_question_that_is_asked_again_is_in_the_cluster_of_the_first(tmp_path: Path) -> None:
    """The answer of a model to it is the same; a cluster that is said stays, as does a question with other options."""
    entries = [
        *(one(question_id=name) for name in ("b", "a")),
        one(question_id="c", question="  is it SO? "),
        one(question_id="d", cluster="of their own"),
        one(question_id="e", options=["Yes", "Never"]),
    ]
    found = load_survey(write_jsonl(tmp_path / "again.jsonl", entries))
    clusters = {"b": "a", "a": None, "c": "a", "d": "of their own", "e": None}
    assert {question.question_id: question.cluster for question in found.questions} == clusters
    assert "2 question(s) with the text and options of another" in found.source
    assert load_survey(write_jsonl(tmp_path / "back.jsonl", entries[::-1])).sha256 == found.sha256
    with_clusters = [{**entry, "cluster": clusters[str(entry["question_id"])] or ...} for entry in entries]
    kept = [{name: value for name, value in entry.items() if value is not ...} for entry in with_clusters]
    assert load_survey(write_jsonl(tmp_path / "said.jsonl", kept)).sha256 == found.sha256


# ------------------------------------------------------------------------------------------------- content and hash


def test_hash_depends_on_content_only(tmp_path: Path) -> None:
    base = load_survey(write_jsonl(tmp_path / "a.jsonl", GOOD)).sha256
    assert load_survey(write_jsonl(tmp_path / "b.jsonl", GOOD[::-1])).sha256 == base
    changed = json.loads(json.dumps(GOOD))
    changed[0]["distributions"][0]["probabilities"] = [0.4, 0.49, 0.11]
    assert load_survey(write_jsonl(tmp_path / "c.jsonl", changed)).sha256 != base
    reworded = json.loads(json.dumps(GOOD))
    reworded[1]["question"] += " "
    assert load_survey(write_jsonl(tmp_path / "d.jsonl", reworded)).sha256 == base
    reworded[1]["question"] = "Is change good?"
    assert load_survey(write_jsonl(tmp_path / "d.jsonl", reworded)).sha256 != base
    reordered = json.loads(json.dumps(GOOD))
    reordered[1]["options"].reverse()
    reordered[1]["distributions"][0]["probabilities"].reverse()
    assert load_survey(write_jsonl(tmp_path / "e.jsonl", reordered)).sha256 != base


shares = st.lists(st.integers(0, 50), min_size=2, max_size=5).filter(sum).map(lambda c: [n / sum(c) for n in c])


@settings(max_examples=50, deadline=None)
@given(st.lists(shares, min_size=1, max_size=4), st.text(min_size=1).filter(str.strip))
def test_any_distribution_survives_all_formats(tmp_path_factory: Any, tables: list[list[float]], text: str) -> None:
    text = text.encode("utf-8", "ignore").decode().replace("\x00", "") or "?"
    if not text.strip():
        text = "?"
    entries = [
        one(
            question_id=f"q{number}",
            question=text.strip(),
            options=[f"option {index}" for index in range(len(table))],
            distributions=row(probabilities=table),
        )
        for number, table in enumerate(tables)
    ]
    folder = tmp_path_factory.mktemp("formats")
    lines = load_survey(write_jsonl(folder / "a.jsonl", entries))
    (folder / "a.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "a.csv").write_bytes(to_csv(entries).encode())
    assert load_survey(folder / "a.json").sha256 == lines.sha256
    assert load_survey(folder / "a.csv").distributions == lines.distributions
    for distribution, table in zip(lines.distributions, tables, strict=True):
        assert distribution.probabilities == pytest.approx(table, abs=1e-12)


# --------------------------------------------------------------------------------------- what is wrong in a question


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (one(distributions=row(probabilities=[0.5, 0.4])), "must sum to 1 (within 0.001), not 0.9"),
        (one(distributions=row(probabilities=[50, 50])), "not 100; these look like per cent: divide by 100"),
        (
            one(distributions=row(probabilities=[60, 39])),
            "not 99; these look like rounded per cent: divide by their sum",
        ),
        (one(distributions=row(probabilities=[60.5, 40.5])), "not 101; these look like rounded per cent"),
        (
            one(distributions=row(probabilities=[720, 480])),
            "not 1200; these look like counts: divide by their sum, and give it as 'n_respondents': 1200",
        ),
        (one(distributions=row(probabilities=[0.33, 0.66])), "not 0.99; these look like rounded shares: give three"),
        (
            one(distributions=row(n_respondents=1000, n_effective=5000)),
            "'n_effective' must be at most 'n_respondents' (1000), not 5000; are the two swapped?",
        ),
        (one(options=["Yes\nB. No", "No"]), "option 'Yes\\nB. No' holds a line feed, and would look like several opt"),
        (one(distributions=row(probabilities=[1.5, -0.5])), "probability of 'No' must not be negative, not -0.5"),
        (one(distributions=row(probabilities=[float("nan"), 1])), "probability of 'Yes' must be finite, not nan"),
        (one(distributions=row(probabilities=[float("inf"), 1])), "probability of 'Yes' must be finite, not inf"),
        (one(distributions=row(probabilities=[1])), "has 1 probabilities for 2 options"),
        (one(distributions=row(probabilities=[0.5, 0.25, 0.25])), "has 3 probabilities for 2 options"),
        (one(distributions=row(probabilities=["a", 1])), "probability of 'Yes' must be a number, not 'a'"),
        (one(distributions=row(probabilities=[True, 0])), "probability of 'Yes' must be a number, not True"),
        (one(distributions=row(probabilities=[None, 1])), "probability of 'Yes' must be a number, not nothing"),
        (one(distributions=row(probabilities=[10**400, 1])), "probability of 'Yes' must be finite, not inf"),
        (one(distributions=row(probabilities={"Yes": 1})), "'probabilities' must be a list of numbers"),
        (
            one(distributions=row(n_respondents=0)),
            "'n_respondents' must be a number greater than 0 and at most 1e12, not 0",
        ),
        (
            one(distributions=row(n_respondents=-5)),
            "'n_respondents' must be a number greater than 0 and at most 1e12, not -5",
        ),
        (
            one(distributions=row(n_respondents=1e300)),
            "'n_respondents' must be a number greater than 0 and at most 1e12",
        ),
        (
            one(distributions=row(n_respondents="many")),
            "'n_respondents' must be a number greater than 0 and at most 1e12, not 'many'",
        ),
        (
            one(distributions=row(n_effective=float("nan"))),
            "'n_effective' must be a number greater than 0 and at most 1e12, not nan",
        ),
        (one(distributions=row() + row()), "population 'Japan': appears twice"),
        (one(distributions=row(population="")), "'population' must be a non-empty string, not ''"),
        (one(distributions=row(population=3)), "'population' must be a non-empty string, not 3"),
        (one(distributions=row(population="all")), "'all' means every population in a test"),
        (one(distributions=row(population=...)), "distribution 1: lacks 'population' (it has 'probabilities'"),
        (one(distributions=row(probabilities=...)), "lacks 'probabilities'"),
        (one(distributions=row(popluation="Peru", population=...)), "unknown field 'popluation'; did you mean 'popula"),
        (one(distributions=[]), "'distributions' is empty"),
        (one(distributions={"Japan": [0.5, 0.5]}), "'distributions' must be a list, not an object"),
        (one(distributions=["Japan"]), "distribution 1: must be an object, not a string"),
        (one(options=["Yes"], distributions=row(probabilities=[1])), "needs at least two options, not 1"),
        (one(options=[], distributions=row(probabilities=[])), "needs at least two options, not 0"),
        (one(options=["Yes", "Yes "]), "option 'Yes' appears twice"),
        (one(options=["Yes", ""]), "each option must be a non-empty string, not ''"),
        (one(options=["Yes", 2]), "each option must be a non-empty string, not 2"),
        (one(options="Yes/No"), "'options' must be a list of strings, not 'Yes/No'"),
        (one(options=...), "lacks 'options' (it has 'question_id', 'question', 'distributions')"),
        (one(question=""), "'question' must be a non-empty string, not ''"),
        (one(question=None), "'question' must be a non-empty string, not nothing"),
        (one(question_id=7), "'question_id' must be a non-empty string, not 7"),
        (one(question_id=" "), "'question_id' must be a non-empty string, not ' '"),
        (one(cluser="c"), "unknown field 'cluser'; did you mean 'cluster'?"),
        (one(cluster=3), "'cluster' must be a non-empty string, not 3"),
        (one(positions=[1]), "'positions' must be a list of 2 numbers"),
        (one(positions=[1, "two"]), "position of option 'No' must be a finite number, not 'two'"),
        (one(positions=[1, None]), "position of option 'No' must be a finite number, not nothing"),
        (one(question="half \ud800 a pair"), "half of a surrogate pair"),
        (["a list"], "must be an object with 'question_id', 'question', 'options', 'distributions', not an array"),
        (None, "not null"),
    ],
)
def test_one_problem_names_file_line_question_value_and_remedy(tmp_path: Path, entry: Any, expected: str) -> None:
    path = write_jsonl(tmp_path / "bad.jsonl", [one(question_id="q0"), entry])
    message = message_of(path)
    assert f"{path}, line 2" in message
    assert expected in message
    if isinstance(entry, dict) and isinstance(entry["question_id"], str) and entry["question_id"].strip():
        assert "question 'q1'" in message or "surrogate" in expected
    array = tmp_path / "bad.json"
    array.write_text(json.dumps([one(question_id="q0"), entry]), encoding="utf-8")
    assert f"{array}, entry 2" in message_of(array)


def test_duplicate_question_names_both_places(tmp_path: Path) -> None:
    message = message_of(write_jsonl(tmp_path / "bad.jsonl", [one(), one(question_id="other"), one()]))
    assert "line 3, question 'q1': the question_id is already used by line 1; make it unique" in message


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    bad = [one(distributions=row(probabilities=[0.5, 0.4])), one(question_id="q2", options=["Yes"]), one(question=...)]
    path.write_text("\n".join([*(json.dumps(entry) for entry in bad), "{not json"]), encoding="utf-8")
    message = message_of(path)
    assert "has 4 problems" in message
    for part in ("line 1, question 'q1'", "line 2, question 'q2'", "line 3, question 'q1'", "line 4: is not JSON"):
        assert part in message


def test_ten_problems_are_named_and_the_others_counted(tmp_path: Path) -> None:
    entries = [one(question_id=f"q{number}", distributions=row(probabilities=[2, 2])) for number in range(25)]
    message = message_of(write_jsonl(tmp_path / "bad.jsonl", entries))
    assert "has 25 problems" in message
    assert message.count("must sum to 1") == 10
    assert "and 15 more" in message


# ----------------------------------------------------------------------------------------------- what is wrong in CSV

HEADER = "question_id,question,option,population,probability"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEADER}\nq,So?,Yes,Japan,0.5\nq,So?,No,Japan\n", "line 3: must have 5 columns like the header"),
        (f"{HEADER}\nq,So?,Yes,Japan,0.5,1\nq,So?,No,Japan,.5\n", "line 2: must have 5 columns like the header"),
        (f"{HEADER}\nq,So?,Yes,Japan,half\nq,So?,No,Japan,.5\n", "probability of 'Yes' must be a number, not 'half'"),
        (f"{HEADER}\nq,So?,Yes,Japan,nan\nq,So?,No,Japan,.5\n", "probability of 'Yes' must be finite, not nan"),
        (f"{HEADER}\nq,So?,Yes,Japan,\nq,So?,No,Japan,.5\n", "probability of 'Yes' must be a number, not nothing"),
        (f"{HEADER}\nq,So?,Yes,Japan,.5\nq,So?,No,Japan,.4\n", "must sum to 1 (within 0.001), not 0.9"),
        (f"{HEADER}\nq,So?,Yes,Japan,.5\nq,So?,Yes,Japan,.5\n", "option 'Yes' of population 'Japan' appears twice"),
        (
            f"{HEADER}\nq,So?,Yes,Japan,.5\nq,So?,No,Japan,.5\nq,So?,No,Peru,1\n",
            "population 'Peru': has no row for option 'Yes'; write probability 0",
        ),
        (
            f"{HEADER}\nq,So?,Yes,Japan,.5\nq,Or not?,No,Japan,.5\n",
            "line 3, question 'q': 'question' differs from line 2",
        ),
        ("question_id,question,option,population\nq,So?,Yes,Japan\n", "line 1: lacks 'probability'"),
        # A column beside a complete header is ignored, however it is spelt.
        (f"{HEADER},probabilty\nq,So?,Yes,Japan,1,1\n", "needs at least two options"),
        (HEADER.replace("population", "popluation") + "\n", "unknown field 'popluation'; did you mean 'population'?"),
        (f"{HEADER},option\n", "line 1: column 'option' appears twice"),
        (HEADER.replace(",", ";") + "\nq;So?;Yes;Japan;1\n", "separate columns with commas, not semicolons"),
        (
            f"{HEADER},n_respondents\nq,So?,Yes,Japan,.5,9\nq,So?,No,Japan,.5,8\n",
            "'n_respondents' of population 'Japan' d",
        ),
        (f"{HEADER},refusal\nq,So?,Yes,Japan,.5,x\nq,So?,No,Japan,.5,0\n", "'refusal' must be 1, 0 or empty, not 'x'"),
        (f"{HEADER},position\nq,So?,Yes,Japan,.5,one\nq,So?,No,Japan,.5,2\n", "must be a finite number, not 'one'"),
        (f'{HEADER}\nq,"So?,Yes,Japan,1\n', "is not CSV"),
        (f"{HEADER}\n", "holds no questions"),
    ],
)
def test_problems_of_csv(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    assert expected in message_of(path)


# --------------------------------------------------------------------------------------- what is wrong with the file


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "surveys.jsonl", GOOD)
    message = message_of(tmp_path / "survey.jsonl")
    assert "there is no such file. Nearest: 'surveys.jsonl'." in message
    assert "does not exist either" in message_of(tmp_path / "nowhere" / "survey.jsonl")


def test_folder_and_wrong_ending(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    assert "is not a file" in message_of(tmp_path / "folder.jsonl")
    (tmp_path / "survey.xlsx").write_bytes(b"PK")
    assert "must end in .jsonl, .json, .csv, .tsv, .parquet (or one of these and .gz), not '.xlsx'" in message_of(
        tmp_path / "survey.xlsx"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "secret.jsonl", GOOD)
    path.chmod(0)
    assert "cannot be read: Permission denied" in message_of(path)


def test_error_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_jsonl(tmp_path / "flaky.jsonl", GOOD)

    def fail(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert "cannot be read: Input/output error" in message_of(path)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_empty_binary_and_wrongly_encoded_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"bad.{ending}"
    for empty in (b"", b"  \n\n"):
        path.write_bytes(empty)
        assert "is empty. A survey file holds at least one question." in message_of(path)
    path.write_bytes(b"\x7fELF\x02\x00\x00\x01" * 40)
    assert "is binary, not text" in message_of(path)
    path.write_bytes("[]".encode("utf-16"))
    assert "is encoded in UTF-16. Save it as UTF-8." in message_of(path)
    path.write_bytes(b"[\n\n" + "caf\xe9".encode("latin-1"))
    assert "line 3: byte 0xe9 is not UTF-8" in message_of(path)


def test_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        file.truncate(10**9)  # Sparse: it takes no place on the disk.

    def refuse(*_: object) -> bytes:
        pytest.fail("a file of 1 GB was read")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    message = message_of(path)
    assert "is too large (1,000,000,000 bytes; at most 200,000,000 are read)" in message
    assert MAXIMUM_BYTES == 200_000_000


def test_large_content_of_a_small_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 100_000))
    with pytest.raises(DatasetError, match=r"too large when decompressed \(at most 50,000 bytes"):
        read_text(path, maximum_bytes=50_000)


def test_what_is_not_gzip(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(json.dumps(one()).encode())
    assert "is not a whole gzip file" in message_of(path)
    whole = gzip.compress(json.dumps([one(question=f"{n}?") for n in range(200)]).encode())
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a whole gzip file" in message_of(path)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("bad.json", '[\n{"question_id": "q",\n}]', "line 3: is not JSON"),
        ("bad.json", '{"question_id": "q"}', "must hold an array of questions, not an object"),
        ("bad.json", "3", "must hold an array of questions, not a number"),
        ("bad.json", "{}\n{}", "One object a line belongs in a .jsonl file."),
        ("bad.json", "[]", "holds no questions"),
        ("bad.json", '[{"question": 1, "question": 2}]', "field 'question' appears twice in one object"),
        ("bad.json", "[" * 100_000, "nested too deeply"),
        ("bad.json", f"[{'9' * 5000}]", "bad.json"),
        ("bad.jsonl", '{"question_id": "q"', "line 1: is not JSON: Expecting"),
        ("bad.jsonl", "[\n{}\n]", "an array over several lines belongs in a .json file"),
        ("bad.jsonl", '{"a": 1, "a": 2}', "line 1: field 'a' appears twice in one object"),
        ("bad.jsonl", "[" * 100_000, "line 1: is nested too deeply"),
        ("bad.jsonl", "<html></html>", "line 1: is not JSON"),
    ],
)
def test_broken_json(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert expected in message_of(path)


# --------------------------------------------------------------------------------------------------- names of surveys


def test_unknown_name() -> None:
    with pytest.raises(DatasetError, match=r"unknown survey 'gsss' \(there are 5\). Nearest: 'gss'.") as caught:
        load_survey("gsss")
    assert "must end in .jsonl, .json, .csv" in str(caught.value)


@pytest.mark.parametrize("name", ["", None, 3, b""])
def test_what_is_neither_name_nor_path(name: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'name_or_path' parameter of load_survey"):
        load_survey(name)


def test_path_objects_are_never_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="must end in"):
        load_survey(Path("gss"))
    with pytest.raises(DatasetError, match="there is no such file"):
        load_survey("gss.jsonl")


def test_assembling_nothing() -> None:
    with pytest.raises(DatasetError, match="mine, holds no questions"):
        assemble_survey("mine", [], problems=Problems("mine"))
    single = ReadQuestion("q", "So?", ["Yes"], [ReadDistribution("Japan", [1.0])])
    with pytest.raises(DatasetError, match="none of its 1 questions has two options"):
        assemble_survey("mine", [single], problems=Problems("mine"), leave_out_degenerate=True)


def test_records_are_plain(tmp_path: Path) -> None:
    survey: Survey = load_survey(write_jsonl(tmp_path / "a.jsonl", GOOD))
    assert type(survey.distributions[0].probabilities) is tuple
    assert {type(p) for row in survey.distributions for p in row.probabilities} == {float}
    assert hash(survey.questions[0]) == hash(survey.questions[0])


# ----------------------------------------------------------------------------------------- nothing else is raised

BENCHMARK_ROW = {
    "question": "Question: So?\nOptions: A. Yes B. No\nAnswer:",
    "options": ["Yes", "No"],
    "attribute": "Japan",
    "gold_distribution": [0.5, 0.5],
}
numbers = st.one_of(st.integers(-2, 2), st.floats(), st.sampled_from([10**400, 0.5]))
texts = st.one_of(st.sampled_from(["Yes", "No", "Refused", "all", "q", "\ud800", "", " "]), st.text(max_size=3))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
rows_of_anything = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "population": st.one_of(texts, anything),
            "probabilities": st.one_of(st.just([0.5, 0.5]), st.lists(numbers, max_size=3), anything),
            "n_respondents": st.one_of(numbers, anything),
        },
    ),
    max_size=3,
)
questions_of_anything = st.fixed_dictionaries(
    {},
    optional={
        "question_id": st.one_of(texts, anything),
        "question": st.one_of(texts, anything),
        "options": st.one_of(st.just(["Yes", "No"]), st.lists(texts, max_size=3), anything),
        "distributions": st.one_of(rows_of_anything, anything),
        "cluster": anything,
        "positions": st.one_of(st.lists(numbers, max_size=3), anything),
        "refusals": st.one_of(st.lists(texts, max_size=2), anything),
        "attribute": texts,
        "gold_distribution": st.one_of(st.lists(numbers, max_size=3), anything),
    },
)


@pytest.mark.whole
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            questions_of_anything.map(lambda changes: one() | changes),
            questions_of_anything.map(lambda changes: BENCHMARK_ROW | changes),
            questions_of_anything,
            anything,
        ),
        max_size=3,
    ),
    st.sampled_from(["keep", "drop", "separate"]),
    st.booleans(),
)
def test_any_json_is_a_survey_or_an_error_of_ours(
    tmp_path_factory: Any, entries: list[Any], policy: Any, lines: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / ("fuzz.jsonl" if lines else "fuzz.json")
    text = "\n".join(map(json.dumps, entries)) if lines else json.dumps(entries)
    path.write_text(text, encoding="utf-8")
    # Any other error fails the test.
    with contextlib.suppress(DatasetError):
        for distribution in load_survey(path, refusals=policy).distributions:
            assert sum(distribution.probabilities) == pytest.approx(1.0)


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "ignore"))),
    st.sampled_from(["fuzz.jsonl", "fuzz.json", "fuzz.csv", "fuzz.csv.gz"]),
    st.booleans(),
)
def test_any_bytes_are_an_error_of_ours(tmp_path_factory: Any, data: bytes, name: str, with_header: bool) -> None:
    path = tmp_path_factory.getbasetemp() / name
    content = HEADER.encode() + b"\n" + data if with_header else data
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(DatasetError, match="fuzz"):
        load_survey(path)
