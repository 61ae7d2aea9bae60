"""Reports of strangers are bounded and checked before they are used."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.report import reading
from pytest_pluralism.report.reading import read_report

pytest.importorskip("jsonschema")


def saved(folder: Path, content: Any) -> Path:
    path = folder / "run.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_recorded_report_is_read_as_it_is(recorded: dict[str, Any], tmp_path: Path) -> None:
    assert read_report(saved(tmp_path, recorded)) == recorded


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be read as JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"schema": "pytest-pluralism/report/1"}', "no list of verdicts"),
        ('{"schema": "pytest-pluralism/report/9", "verdicts": []}', "another version"),
        ('{"schema": "\\u001b[31m", "verdicts": []}', r'Got "\u001b[31m"'),
        ("[1]", "no schema"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": 1e999}', "beyond 1e+15"),
        ('{"a": -1e16}', "beyond 1e+15"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5,000 digits"),
    ],
)
def test_what_is_no_report_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DatasetError, match=re.escape(said)):
        read_report(saved(tmp_path, text))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("outcome",), "fine", r"\$\.verdicts\[0\]\.outcome"),
        (("estimate", "value"), "high", r"\$\.verdicts\[0\]\.estimate"),
        (("units",), [{"id": 1}], r"\$\.verdicts\[0\]\.units\[0\]"),
        (("model",), {}, r"\$\.verdicts\[0\]\.model"),
        (("nodeid",), ["\x1b" * 1000], r"\$\.verdicts\[0\]\.nodeid"),
    ],
)
def test_what_breaks_the_schema_is_named_by_its_place(
    recorded: dict[str, Any], tmp_path: Path, place: tuple[str, ...], value: Any, said: str
) -> None:
    inside = recorded["verdicts"][0]
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = value
    with pytest.raises(DatasetError, match=said) as error:
        read_report(saved(tmp_path, recorded))
    assert len(str(error.value)) < 600
    assert "\x1b" not in str(error.value)


def test_sizes_are_bounded(recorded: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, recorded)
    monkeypatch.setattr(reading, "MOST_UNITS", 100)
    with pytest.raises(DatasetError, match="a page holds 100"):
        read_report(path)
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    with pytest.raises(DatasetError, match="a report may have 1,000"):
        read_report(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b'{"schema": "\xff"}')
    with pytest.raises(DatasetError, match=r"not UTF-8 text \(byte 12\)"):
        read_report(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_report(tmp_path / "missing.json")


def test_the_command_writes_a_page_and_markdown(
    recorded: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, recorded)
    for name, begins in (("page.html", "<!DOCTYPE html>"), ("page.md", "# Pluralism report")):
        assert main(["report", str(path), "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
        assert capsys.readouterr().out == f"report written: {tmp_path / name}\n"
    assert main(["report", str(path), "-o", str(tmp_path / "page.md"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"] == len(recorded["verdicts"])


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("page.pdf", 2, "must end with .html or .md"),
        ("run.json", 2, "must end with .html or .md"),
        (".", 2, "must end with .html or .md"),
        ("run.json/page.html", 2, "cannot be written"),
    ],
)
def test_a_wrong_output_is_refused_before_anything_is_read(
    recorded: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, code: int, said: str
) -> None:
    saved(tmp_path, recorded)
    assert main(["report", str(tmp_path / "missing.json"), "-o", str(tmp_path / output)]) == code
    assert said in capsys.readouterr().err


def test_a_broken_report_is_a_problem_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(saved(tmp_path, "{}")), "-o", str(tmp_path / "page.html")]) == 1
    assert "is not a report of this version" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


@pytest.fixture
def in_time() -> Iterator[None]:
    """Stop a test that reads for ever."""

    def stop(*_: object) -> None:
        pytest.fail("it reads for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("command", ["report", "leaderboard", "compare", "plan", "history", "baselines list"])
@pytest.mark.parametrize("kind", ["pipe", "device", "pipe.json", "device.json", "folder.json"])
def test_what_never_ends_is_not_read(
    tmp_path: Path, command: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / kind
    if kind.startswith("pipe"):
        os.mkfifo(place)
    elif kind.startswith("folder"):
        place.mkdir()
    else:
        place.symlink_to("/dev/zero")
    more = {"report": ["-o", str(tmp_path / "x.md")], "compare": [str(place)]}.get(command, [])
    code = main([*command.split(), str(place), *more])
    _, err = capsys.readouterr()
    assert code in (1, 2)
    assert err.startswith("pluralism: ")
    assert tmp_path.name in err
