"""A file of human labels is named by its kind, in whatever place it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.kinds import taken_for
from pytest_pluralism.datasets.steering.file import load_steering

TABLE = "attribute,question_id,response,label,annotator\nDemocrat,q1,a,,ana\nDemocrat,q2,b,1,ana\n"
LINES = (
    '{"scale": {"lowest": 1, "highest": 5}}\n'
    '{"attribute": "Democrat", "question_id": "q2", "response": "b", "label": 4, "annotator": "ana"}\n'
)


@pytest.mark.parametrize(("name", "text"), [("labels.csv", TABLE), ("labels.jsonl", LINES)])
def test_labels_are_labels(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    taken = taken_for(path)
    assert taken.kind == "labels"
    assert len(taken.load().labels) == 1
    with pytest.raises(DatasetError, match="human labels of responses, not a steering set") as found:
        load_steering(str(path))
    assert "lacks" not in str(found.value)
