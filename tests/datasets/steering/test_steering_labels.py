"""Files of human labels of faithfulness: three formats, scales, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
import math

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.steering.labels import label_sheet, read_labels

LINE = {"attribute": "Democrat", "question_id": "guns", "response": "Stricter laws.", "label": True}


@pytest.fixture
def write(tmp_path):
    def save(*rows, name="labels.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return save


def test_labels_of_several_people_are_averaged(write):
    labels = read_labels(
        write(
            LINE | {"annotator": "ana"},
            LINE | {"annotator": "bo", "label": False},
            LINE | {"annotator": "cy", "label": 0.25, "response": "  Stricter laws.\n"},
            LINE | {"attribute": "Republican", "label": 0},
            LINE | {"response": "", "label": None},
        )
    )
    assert labels.value("Democrat", "guns", "Stricter laws. ") == pytest.approx(1.25 / 3)
    assert labels.value("Republican", "guns", "Stricter laws.") == 0.0
    assert math.isnan(labels.value("Democrat", "guns", ""))
    assert math.isnan(labels.value("Democrat", "taxes", "Stricter laws."))
    assert labels.questions("Democrat") == {"guns"}
    assert labels.questions("Green") == frozenset()
    assert labels.matrix().shape == (4, 2)


def test_a_declared_scale_is_mapped_to_0_and_1(write):
    scale = {"scale": {"lowest": 1, "highest": 5}}
    labels = read_labels(write(LINE | {"label": 4}, scale, LINE | {"response": "No.", "label": 1}))
    assert labels.value("Democrat", "guns", "Stricter laws.") == 0.75
    assert labels.value("Democrat", "guns", "No.") == 0.0
    assert labels.scale == (1.0, 5.0)


def test_tables_arrays_and_compressed_files_say_the_same(write, tmp_path):
    lines = read_labels(write(LINE, LINE | {"response": "Who, me?", "label": 0.5}))
    table = tmp_path / "labels.csv"
    table.write_text(
        'attribute,question_id,response,label\nDemocrat,guns,Stricter laws.,TRUE\nDemocrat,guns,"Who, me?",0.5\n',
        encoding="utf-8",
    )
    array = tmp_path / "labels.json.gz"
    array.write_bytes(gzip.compress(json.dumps([LINE, LINE | {"response": "Who, me?", "label": 0.5}]).encode()))
    assert read_labels(table).labels == read_labels(array).labels == lines.labels
    assert read_labels(table).sha256 == read_labels(array).sha256 == lines.sha256


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([LINE | {"attribute": "Democrats"}], ["line 1", "unknown attribute 'Democrats'", "Nearest: 'Democrat'"]),
        ([LINE, LINE | {"question_id": "gun"}], ["line 2", "unknown question 'gun'", "Nearest: 'guns'"]),
        ([LINE | {"label": 4}], ["line 1", "true, false or a number in [0, 1]", "not 4"]),
        ([LINE | {"label": "maybe"}], ["line 1", "not 'maybe'"]),
        ([LINE | {"label": float("nan")}], ["line 1"]),
        ([LINE | {"label": 10**400}], ["line 1", "true, false or a number in [0, 1]"]),
        ([{"scale": {"lowest": 5, "highest": 1}}, LINE], ["line 1", "'lowest' below 'highest'"]),
        ([{"scale": {"lowest": 1, "highest": 5}}, LINE | {"label": 0}], ["line 2", "[1, 5]", "not 0"]),
        ([{"scale": {"lowest": 1, "highest": 5}}] * 2, ["line 2", "a second time"]),
        ([LINE | {"annotator": "ana"}] * 2, ["line 2", "'ana'", "a second time"]),
        ([{"attribute": "Democrat", "question_id": "guns", "lable": 1}], ["line 1", "did you mean 'label'?", "lacks"]),
        ([LINE | {"response": 7}], ["line 1", "'response' must be a text"]),
        ([[LINE]], ["line 1", "must be an object"]),
        ([LINE | {"label": None}], ["holds no labels"]),
    ],
)
def test_wrong_files_name_line_value_and_remedy(write, rows, parts):
    path = write(*rows)
    with pytest.raises(DatasetError) as caught:
        read_labels(path, attributes=["Democrat", "Republican"], questions=["guns"])
    for part in (str(path), "Write one line a label", *parts):
        assert part in str(caught.value), str(caught.value)


def test_an_empty_label_of_a_table_is_an_open_one(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("attribute,question_id,response,label\nDemocrat,q1,a,\nDemocrat,q2,b,1\n", encoding="utf-8")
    assert list(read_labels(table).labels) == [("Democrat", "q2", "b")]
    table.write_text("attribute,question_id,response\nDemocrat,q1,a\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2: lacks 'label'"):
        read_labels(table)


def test_other_files(tmp_path):
    with pytest.raises(DatasetError, match="must end in"):
        read_labels(tmp_path / "labels.xlsx")
    with pytest.raises(DatasetError, match="there is no such file"):
        read_labels(tmp_path / "labels.jsonl")


def test_a_sheet_holds_each_open_response_once_and_can_be_filled_in(write):
    entry = {"details": {"unlabelled": [{name: LINE[name] for name in ("attribute", "question_id", "response")}]}}
    sheet = label_sheet({"verdicts": [entry, entry, {"details": None}, {}]})
    assert sheet == [LINE | {"label": None}]
    with pytest.raises(DatasetError, match="holds no labels"):
        read_labels(write(*sheet))
    sheet[0]["label"] = 1
    assert read_labels(write(*sheet)).value("Democrat", "guns", "Stricter laws.") == 1.0
