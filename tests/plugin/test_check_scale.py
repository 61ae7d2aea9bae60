"""``pluralism check`` of a table of votes whose scale is given, and of a matrix of votes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pluralism.cli import main

VOTES = "juror,query,response,utility\n" + "".join(
    f"r{juror},{query},{response},{1 + (juror + len(response)) % 5}\n"
    for juror in range(6)
    for query in ("tax", "bus")
    for response in ("more", "less!")
)


def test_the_scale_of_votes_is_an_option_and_stands_in_the_marker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("votes.csv").write_text(VOTES, encoding="utf-8")
    assert main(["check", "votes.csv"]) == 1
    assert "--scale=1,5" in capsys.readouterr().err
    main(["check", "votes.csv", "--scale=1,5,5"])
    shown = capsys.readouterr().out
    assert 'jury_welfare("votes.csv", scale={"lowest": 1, "highest": 5, "levels": 5}, ' in shown
    for wrong in ("1", "1,x", "1,5,5,5"):
        assert main(["check", "votes.csv", f"--scale={wrong}"]) != 0
        assert "must be LOW,HIGH" in capsys.readouterr().err


def test_a_matrix_of_votes_is_told_how_to_be_a_panel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("matrix.csv").write_text("voter,park,bridge\nv1,3,1\nv2,1,3\n", encoding="utf-8")
    assert main(["check", "matrix.csv"]) == 1
    assert "call the first column juror" in capsys.readouterr().err
