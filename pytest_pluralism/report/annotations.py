"""Annotations beside the lines of a test: commands of GitHub Actions, and a code quality file of GitLab.

Names and answers of strangers stand in these texts, and a runner obeys what looks like a command; so they are made
printable and escaped as each host asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from pytest_pluralism.core.untrusted import printable, without_commands
from pytest_pluralism.report.alike import alike_lines
from pytest_pluralism.report.cells import Entry, interval_cell, promise_cell, warning_words

__all__ = ["code_quality_json", "github_commands", "shortened_markdown"]

#: GitHub shows no more annotations of one level for one step.
MOST_ANNOTATIONS = 10

#: GitHub refuses a summary of more than 1 MiB; the rest of the step may add to it too.
MOST_SUMMARY_BYTES = 900_000

_GITLAB_SEVERITY = {"error": "critical", "failed": "major", "inconclusive": "minor"}


def github_commands(
    entries: Iterable[Entry], places: Mapping[str, tuple[str, int]], /, *, inconclusive: str = "fail"
) -> Iterator[str]:
    """Yield a workflow command for each verdict that did not pass, as an annotation of its test.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    places : mapping of str to (str, int)
        The file (as the repository names it) and the line, from 1, of each node id.
    inconclusive : str
        The effect of an undecided promise on its test: with ``"fail"`` its annotation is an error, else a warning.
    """
    entries = list(entries)
    counts = {"error": 0, "warning": 0}
    if alike := alike_lines(entries):
        counts["warning"] += 1
        yield f"::warning title=Pluralism: names that look the same::{_data('; '.join(alike))}"
    for entry in entries:
        if entry["outcome"] == "passed":
            continue
        level = "warning" if entry["outcome"] == "inconclusive" and inconclusive != "fail" else "error"
        counts[level] += 1
        if counts[level] <= MOST_ANNOTATIONS:
            properties: dict[str, str] = {}
            if entry["nodeid"] in places:
                file, line = places[entry["nodeid"]]
                properties |= {"file": file, "line": str(line)}
            properties["title"] = f"Pluralism: {entry['outcome']}, {printable(str(entry['key']), most=80)}"
            shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
            yield f"::{level} {shown}::{_data(_words(entry))}"
    for level, count in counts.items():
        if count > MOST_ANNOTATIONS:
            more = count - MOST_ANNOTATIONS
            yield f"::notice title=Pluralism::{more} more {level}s of this kind stand in the summary of the job."


def code_quality_json(entries: Iterable[Entry], places: Mapping[str, tuple[str, int]], /) -> str:
    """Return the code quality report of GitLab: an issue for each verdict that did not pass."""
    entries = list(entries)
    issues = []
    if alike := alike_lines(entries):
        issues.append(
            {
                "description": f"Names that look the same: {'; '.join(alike)}",
                "check_name": "pluralism.names",
                "fingerprint": hashlib.sha256("\n".join(alike).encode("utf-8", "backslashreplace")).hexdigest(),
                "severity": "minor",
                "location": _place(entries[0], places),
            }
        )
    for entry in entries:
        if entry["outcome"] == "passed":
            continue
        # The same promise has the same fingerprint in every pipeline, so that GitLab tells new issues from old ones.
        identity = json.dumps([entry["nodeid"], entry["key"]])
        issues.append(
            {
                "description": f"{printable(str(entry['key']), most=80)}: {_words(entry)}",
                "check_name": f"pluralism.{entry['metric']}",
                "fingerprint": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest(),
                "severity": _GITLAB_SEVERITY[entry["outcome"]],
                "location": _place(entry, places),
            }
        )
    return json.dumps(issues, indent=1) + "\n"


def shortened_markdown(text: str, /) -> str:
    """Return a Markdown report that a job summary can hold: whole, or cut at the end of a line, which it then says."""
    if len(text.encode()) <= MOST_SUMMARY_BYTES:
        return text
    kept: list[str] = []
    size = 0
    for line in text.splitlines(keepends=True):
        size += len(line.encode())
        if size > MOST_SUMMARY_BYTES:
            break
        kept.append(line)
    return "".join(kept) + "\nThe rest is in the files that `--pluralism-report` wrote.\n"


def _place(entry: Entry, places: Mapping[str, tuple[str, int]]) -> dict[str, object]:
    file, line = places.get(entry["nodeid"], (str(entry["nodeid"]).partition("::")[0], 1))
    return {"path": file, "lines": {"begin": line}}


def _words(entry: Entry) -> str:
    words = interval_cell(entry)
    if promise := promise_cell(entry["gate"]):
        words += f", promised {promise}"
    if entry["outcome"] != "failed" and entry.get("reason"):
        words += f": {printable(str(entry['reason']), most=300)}"
    witness = entry.get("witness")
    if witness:
        words += f". Worst: {printable(str(witness['id']))}"
        if witness.get("text"):
            words += f" “{printable(str(witness['text']), most=120)}”"
    if warnings := warning_words(entry):
        words += f". Warned: {printable(warnings, most=400)}"
    return f"{words} ({printable(str(entry['model'].get('name', '')))})"


def _data(text: str) -> str:
    """Escape what follows the second ``::`` of a command; the older form of commands starts anywhere in a line."""
    text = without_commands(text)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
