"""A model or a data set is named by a path as well as by a text."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_pluralism
from pytest_pluralism.core.errors import InvalidParameterError, ModelError


@pytest.mark.parametrize("load", [pytest_pluralism.load_model, pytest_pluralism.load_entailment_model])
def test_a_path_is_never_taken_for_a_name(load, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path, said in [
        (Path("embedded:gemma-3-270m"), "no folder './embedded:gemma-3-270m'"),
        (Path("models/mine"), "no folder './models/mine'"),
        (tmp_path / "mine", f"no folder '{tmp_path / 'mine'}'"),
    ]:
        with pytest.raises(ModelError, match="There is no folder") as error:
            load(path)
        assert said in str(error.value)
    with pytest.raises(ModelError, match="Got 5"):
        load(5)


def test_preferences_say_what_is_not_a_path():
    with pytest.raises(InvalidParameterError, match="'path' parameter of load_preferences"):
        pytest_pluralism.load_preferences(5)
