"""Files of recorded responses and of representation ratings."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.metrics import overton_score
from pytest_pluralism.datasets.windows.representation import RepresentationRatings, read_overtonbench, read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses
from pytest_pluralism.evaluation.overton.representation import rating_agreement, representation_scores


def written(folder: Path, rows: list[Any], name: str) -> Path:
    path = folder / name
    text = json.dumps(rows) if ".json" in path.suffixes else "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


SAID = [
    {"query_id": "a", "response": "One."},
    {"query_id": "b", "responses": ["Two.", ""]},
    {"query_id": "a", "response": "Three."},
    {"query_id": "other", "response": "Four."},
]


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.jsonl.gz", "r.json.gz"])
def test_responses_are_gathered_by_query(tmp_path: Path, name: str) -> None:
    found = read_responses(written(tmp_path, SAID, name), queries=["b", "a"])
    assert found.responses == {"b": ("Two.", ""), "a": ("One.", "Three.")}
    assert found.name == name
    turned = read_responses(written(tmp_path, [SAID[1], SAID[0], SAID[2], SAID[3]], "s.json"), queries=["a", "b"])
    assert turned.sha256 == found.sha256
    assert set(read_responses(written(tmp_path, SAID, name)).responses) == {"a", "b", "other"}


def test_missing_queries_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, SAID, "r.jsonl")
    with pytest.raises(DatasetError, match=r"lacks responses to 2 of 3 queries: 'othr', 'zzz'\. Is 'other' meant"):
        read_responses(path, queries=["a", "othr", "zzz"])
    with pytest.raises(DatasetError, match="'q9' and 3 more"):
        read_responses(path, queries=[f"q{n}" for n in range(13)])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([1], "must be an object with 'query_id', not an array"),
        ({"response": "x"}, "lacks 'query_id'"),
        ({"query_id": "", "response": "x"}, "'query_id' must be a non-empty string"),
        ({"query_id": "a"}, "must have 'response' (a text) or 'responses'"),
        ({"query_id": "a", "response": "x", "responses": ["x"]}, "one of the two"),
        ({"query_id": "a", "response": 3}, "responses must be texts"),
        ({"query_id": "a", "responses": []}, "responses must be texts"),
        ({"query_id": "a", "respnse": "x"}, "unknown field 'respnse'; did you mean 'response'"),
        ({"query_id": "a", "response": "\ud800"}, "half of a surrogate pair"),
        ({"query_id": "a", "response": "x" * 200_001}, "'response' has 200,001 characters"),
    ],
)
def test_what_is_wrong_with_a_response_is_said_with_its_line(tmp_path: Path, row: Any, said: str) -> None:
    path = written(tmp_path, [SAID[0], row], "r.jsonl")
    with pytest.raises(DatasetError) as raised:
        read_responses(path)
    assert said in str(raised.value)
    assert f"{path}, line 2" in str(raised.value)


def test_a_response_file_has_an_ending(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"must end in \.jsonl, \.json"):
        read_responses(tmp_path / "r.txt")


RATINGS: list[dict[str, Any]] = [
    {"question_id": "q1", "cluster": "a", "rating": 5, "respondent": 1},
    {"question_id": "q1", "cluster": "a", "rating": 4, "respondent": 2},
    {"question_id": "q1", "cluster": "b", "rating": 2, "respondent": 3},
    {"question_id": "q2", "cluster": "a", "rating": 3.5, "respondent": 1},
    {"question_id": "q2", "cluster": "b", "rating": 5, "respondent": 2},
    {"question_id": "q2", "cluster": "b", "rating": 4, "respondent": 3},
]


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.csv"])
def test_ratings_are_scored_question_by_question(tmp_path: Path, name: str) -> None:
    if name.endswith(".csv"):
        path = tmp_path / name
        lines = [
            ",".join(str(row[key]) for key in ("question_id", "cluster", "rating", "respondent")) for row in RATINGS
        ]
        path.write_text("\n".join(["question_id,cluster,rating,respondent", *lines]) + "\n", encoding="utf-8")
    else:
        path = written(tmp_path, RATINGS, name)
    found = read_ratings(path)
    scores = representation_scores(found)
    assert [(unit.unit_id, unit.value) for unit in scores.units] == [("q1", 0.5), ("q2", 0.5)]
    # q1: two of three people are represented; q2: two of three.
    assert scores.references["everybody_weighted"] == pytest.approx(2 / 3)
    assert [unit.value for unit in representation_scores(found, weighted=True).units] == pytest.approx([2 / 3, 2 / 3])
    assert scores.units[0].details == {"viewpoints": {"a": 4.5, "b": 2.0}, "worst_viewpoint": "b", "n_represented": 1}
    mean = overton_score(found.ratings, found.clusters, questions=found.questions)
    assert sum(unit.value for unit in scores.units) / 2 == pytest.approx(mean)
    assert [unit.value for unit in representation_scores(found, threshold=3.5).units] == [0.5, 1.0]


def test_sampling_weights_count_people(tmp_path: Path) -> None:
    rows = [{**row, "sampling_weight": 9 if row["respondent"] == 2 else 1} for row in RATINGS]
    found = read_ratings(written(tmp_path, rows, "r.jsonl"))
    assert found.sampling_weights == (1, 9, 1, 1, 9, 1)
    assert [unit.value for unit in representation_scores(found, weighted=True).units] == pytest.approx(
        [10 / 11, 10 / 11]
    )
    assert representation_scores(found).units[0].details["viewpoints"] == {"a": pytest.approx(4.1), "b": 2.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question_id": "q1", "cluster": "a"}, "line 2: lacks 'rating'"),
        ({"question_id": "q1", "cluster": "a", "rating": "high"}, "line 2: 'rating' must be a number, not 'high'"),
        ({"question_id": "q1", "cluster": "a", "rating": True}, "line 2: 'rating' must be a number, not True"),
        ({"question_id": "q1", "cluster": 3, "rating": 2}, "line 2: 'cluster' must be a non-empty string"),
        ({"question_id": "q1", "cluster": "a", "rating": 2, "sampling_weight": 0}, "a number greater than 0, not 0"),
        (
            {"question_id": "q1", "cluster": "a", "rating": 2, "sampling_weight": 1},
            "1 of 2 ratings have no 'sampling_wei",
        ),
        ({**RATINGS[0]}, "line 2: respondent '1' rates question 'q1' a second time, after line 1"),
        ("x", "line 2: must be an object"),
    ],
)
def test_what_is_wrong_with_a_rating_is_said(tmp_path: Path, row: Any, said: str) -> None:
    with pytest.raises(DatasetError) as raised:
        read_ratings(written(tmp_path, [RATINGS[0], row], "r.jsonl"))
    assert said in str(raised.value)


def test_files_that_hold_no_ratings(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no ratings"):
        read_ratings(written(tmp_path, [], "r.json"))
    (tmp_path / "r.txt").write_text("x", encoding="utf-8")
    with pytest.raises(DatasetError, match="must end in"):
        read_ratings(tmp_path / "r.txt")
    (tmp_path / "r.csv").write_text("question_id,cluster,rating\nq,a\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2: must have 3 columns like the header, not 2"):
        read_ratings(tmp_path / "r.csv")


BENCH = [
    {"user": f"u{person}", "question_id": 3, "question": "Should it?", "freeresponse": "Yes.", "model": model,
     "llm_response": "It depends.", "representation_rating": rating, "cluster_kmeans": person % 2}
    for model, ratings in {"m1": (5, 1, 4, 2), "m2": (4, 4, 5, 4)}.items()
    for person, rating in enumerate(ratings)
]  # fmt: skip


@pytest.mark.parametrize("name", ["b.jsonl", "b.json", "b.csv", "b.parquet"])
def test_the_table_of_overtonbench_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "b.csv":
        lines = [",".join(map(str, row.values())) for row in BENCH]
        path.write_text("\n".join([",".join(BENCH[0]), *lines]) + "\n", encoding="utf-8")
    elif name == "b.parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(BENCH), path)
    else:
        path = written(tmp_path, BENCH, name)
    found = read_overtonbench(path)
    assert list(found) == ["m1", "m2"]
    scores = {model: representation_scores(ratings).units[0] for model, ratings in found.items()}
    assert scores["m1"].details["viewpoints"] == {"0": 4.5, "1": 1.5}
    assert (scores["m1"].value, scores["m2"].value) == (0.5, 1.0)
    by_question = read_overtonbench(path, cluster="question")
    assert representation_scores(by_question["m1"]).units[0].details["viewpoints"] == {"Should it?": 3.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"representation_rating": 7}, "'representation_rating' must be a number from 1 to 5, not 7"),
        ({"representation_rating": "good"}, "'representation_rating' must be a number from 1 to 5, not 'good'"),
        ({"cluster_kmeans": None}, "lacks 'cluster_kmeans'"),
        ({"user": "u1"}, "user 'u1' rates 'm1' on question '3' again, after"),
    ],
)
def test_what_is_wrong_with_a_row_of_overtonbench_is_said(tmp_path: Path, change: Any, said: str) -> None:
    rows = [BENCH[1], {**BENCH[0], **change}]
    with pytest.raises(DatasetError) as raised:
        read_overtonbench(written(tmp_path, rows, "b.jsonl"))
    assert said in str(raised.value)
    with pytest.raises(DatasetError, match="holds no ratings"):
        read_overtonbench(written(tmp_path, [], "c.json"))


def test_the_agreement_of_predicted_ratings_with_those_of_people() -> None:
    def rated(covered: int) -> RepresentationRatings:
        questions = tuple(f"q{number}" for number in range(10))
        ratings = tuple(5.0 if number < covered else 1.0 for number in range(10))
        return RepresentationRatings("r", questions, ("all",) * 10, ratings, None, "ab")

    given = {name: rated(n) for name, n in {"a": 2, "b": 4, "c": 7}.items()}
    found = rating_agreement({name: rated(n) for name, n in {"a": 3, "b": 5, "c": 8}.items()}, given)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.mean_absolute_error == pytest.approx(0.1)
    assert (found.n, found.published_rank_correlation) == (3, 0.88)
    turned = rating_agreement({name: rated(n) for name, n in {"a": 8, "b": 5, "c": 3}.items()}, given)
    assert turned.rank_correlation == pytest.approx(-1.0)
    assert math.isnan(rating_agreement(dict.fromkeys("abc", rated(3)), given).rank_correlation)
    with pytest.raises(InvalidParameterError, match="the same models in both"):
        rating_agreement({"a": rated(3)}, {"a": rated(3)})
    assert representation_scores(rated(4)).references["published_highest"] == 0.41
    assert "published_highest" not in representation_scores(rated(4), weighted=True).references
