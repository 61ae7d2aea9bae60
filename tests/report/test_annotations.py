"""Commands of GitHub and issues of GitLab, whatever stands in the verdicts."""

from __future__ import annotations

import json
from typing import Any

from pytest_pluralism.report.annotations import code_quality_json, github_commands, shortened_markdown


def test_nothing_in_a_verdict_begins_a_command_of_its_own(hostile: dict[str, Any]) -> None:
    for entry in hostile["verdicts"]:
        entry["witness"] = {"id": "a\n::set-env name=X::1", "value": 0.5, "text": "##[add-path]/tmp 100%0A::error::x"}
        entry["key"] = "k,line=1::\r\n::warning::"
    places = {entry["nodeid"]: ("a,b:c\n.py", 3) for entry in hostile["verdicts"]}
    lines = list(github_commands(hostile["verdicts"], places))
    assert len(lines) == 3
    for line in lines:
        assert line.startswith("::error file=a%2Cb%3Ac%0A.py,line=3,title=Pluralism%3A failed%2C k%2Cline=1%3A%3A")
        assert not {"\n", "\r", "\x1b", "\u202e"} & set(line)
        assert "##[" not in line
        assert "100%250A" in line
    assert not {"\x1b", "\u202e"} & set(code_quality_json(hostile["verdicts"], places))


def test_more_annotations_than_github_shows_are_counted(recorded: dict[str, Any]) -> None:
    failed = [entry for entry in recorded["verdicts"] if entry["outcome"] == "failed"]
    lines = list(github_commands(failed * 5, {}))
    assert len(lines) == 11
    assert lines[-1] == "::notice title=Pluralism::5 more errors of this kind stand in the summary of the job."
    assert list(github_commands([], {})) == []


def test_a_test_of_unknown_place_is_looked_for_in_its_file(recorded: dict[str, Any]) -> None:
    issues = json.loads(code_quality_json(recorded["verdicts"], {}))
    assert [issue["location"]["path"] for issue in issues] == [
        entry["nodeid"].partition("::")[0] for entry in recorded["verdicts"] if entry["outcome"] == "failed"
    ]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


def test_a_summary_is_cut_where_a_job_could_not_hold_it() -> None:
    assert shortened_markdown("short\n") == "short\n"
    cut = shortened_markdown(("ä" * 99 + "\n") * 10_000)
    assert len(cut.encode()) < 1_000_000
    assert cut.endswith("wrote.\n")
    assert set(cut.splitlines()[:-2]) == {"ä" * 99}
