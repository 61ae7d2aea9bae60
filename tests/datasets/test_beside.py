"""A data file names no file outside the project."""

import json

import pytest

from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.beside import file_beside
from pytest_pluralism.datasets.steering.file import load_steering


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the data folder of a project, in which the run is started, with a secret outside it."""
    (tmp_path / "secret.txt").write_text("password\nanother line\n")
    folder = tmp_path / "project" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "prompts.txt").write_text("one\ntwo\n")
    (folder / "near.txt").write_text("one\ntwo\n")
    monkeypatch.chdir(folder.parent)
    return folder


@pytest.mark.parametrize("name", ["near.txt", "below/or/not/there.txt", "../prompts.txt", "./../data/near.txt"])
def test_files_of_the_project_may_be_named(project, name):
    assert file_beside(project / "objectives.json", name) == project / name


def test_a_file_elsewhere_may_name_its_neighbours(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    assert file_beside(project / "objectives.json", "near.txt").is_file()


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/hostname", "link.txt", "../../project2/data/near.txt"])
def test_nothing_outside_the_project_may_be_named(project, tmp_path, name):
    (project / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DatasetError, match="leads out of the project") as found:
        file_beside(project / "objectives.json", name)
    assert repr(name) in str(found.value)
    assert "put a copy there" in str(found.value)


@pytest.mark.parametrize("name", ["a\0b.jsonl", "\ud800.jsonl", "loop.jsonl", "x" * 300 + ".jsonl"])
def test_what_is_no_name_of_a_file_is_said_so(project, name):
    (project / "loop.jsonl").symlink_to(project / "pool.jsonl")
    (project / "pool.jsonl").symlink_to(project / "loop.jsonl")
    if name != "loop.jsonl":
        with pytest.raises(DatasetError, match="cannot be the name of a file"):
            file_beside(project / "objectives.json", name)
    file = project / "values.jsonl"
    file.write_text(json.dumps({"survey": name}) + "\n")
    with pytest.raises(DatasetError, match="values"):
        load_steering(str(file))


def test_a_steering_file_names_no_adapter_outside(project, tmp_path):
    file = project / "values.jsonl"
    file.write_text(json.dumps({"attribute": "A", "model": "lora:../../../etc"}) + "\n")
    with pytest.raises(DatasetError, match=r"line 1.*'model'.*leads out of the project"):
        load_steering(str(file))


def test_a_steering_file_names_no_survey_outside(project, tmp_path):
    (tmp_path / "survey.jsonl").write_text("{}\n")
    file = project / "values.jsonl"
    file.write_text(json.dumps({"survey": "../../survey.jsonl"}) + "\n")
    with pytest.raises(DatasetError, match=r"line 1.*leads out of the project"):
        load_steering(str(file))
