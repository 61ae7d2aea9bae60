"""A baseline that git does not know has no history."""

from __future__ import annotations

from pathlib import Path

from pytest_pluralism.report.past import with_history


def test_what_git_does_not_know_adds_nothing(tmp_path: Path) -> None:
    entries = [
        {"baseline": {"key": "k", "file": str(tmp_path / "b.json")}},
        {"baseline": {"key": "k", "file": "s3://bucket/b.json"}},
        {"baseline": {"key": "k"}},
        {},
    ]
    assert with_history(entries) == entries
