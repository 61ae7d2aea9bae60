"""Reports that were damaged in any way end each command that reads them with a sentence, not with a traceback."""

from __future__ import annotations

import copy
import io
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.cli import main

pytest.importorskip("jsonschema")

RECORDED = Path(__file__).parents[1] / "golden" / "report.json"

#: Values that stand where another was.
JUNK = (None, -1, 0, 1.5, "x", "", [], {}, True, [None], [1, "a"], {"a": None}, 1e12, -1e12, "\u202e", [[1]], "NaN")

Way = tuple[Any, ...]


def ways(value: Any, way: Way = ()) -> Iterator[Way]:
    """Yield the way to each part of some JSON."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield (*way, name)
        yield from ways(part, (*way, name))


def mutated(content: Any, every: list[Way], chance: random.Random) -> Any:
    """Return some JSON with one to three parts gone, doubled, or replaced by another value."""
    content = copy.deepcopy(content)
    outer = [way for way in every if len(way) <= 4]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        *above, name = chance.choice(outer if chance.random() < 0.5 else every)
        place = content
        try:
            for step in above:
                place = place[step]
            kind = chance.random()
            if kind < 0.25:
                del place[name]
            elif kind < 0.3 and isinstance(place, list):
                place.append(copy.deepcopy(place[name]))
            else:
                place[name] = copy.deepcopy(chance.choice(JUNK))
        except (KeyError, IndexError, TypeError):
            # An earlier mutation took that part away.
            continue
    return content


@pytest.mark.parametrize(
    "seeds",
    [range(12), *(pytest.param(range(n, n + 100), marks=pytest.mark.slow) for n in range(12, 412, 100))],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop}",
)
def test_no_mutation_of_a_report_gives_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seeds: range
) -> None:
    monkeypatch.chdir(tmp_path)
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    for verdict in content["verdicts"]:
        verdict["units"] = verdict["units"][:12]
    every = list(ways(content))
    model = content["verdicts"][0]["model"]["name"]
    Path("good.json").write_text(json.dumps(content), encoding="utf-8")
    commands = [
        *(["report", "bad.json", "-o", f"out.{form}"] for form in ("html", "md")),
        *(["compare", *pair, "--model", model] for pair in (("good.json", "bad.json"), ("bad.json", "good.json"))),
        ["compare", "bad.json", "bad.json", "--json", "--model", model],
        ["leaderboard", "bad.json"],
        ["plan", "bad.json", "--model", model],
        ["plan", "bad.json", "--against", "good.json", "--model", model],
    ]
    refused = 0
    for seed in seeds:
        damaged = mutated(content, every, random.Random(seed))
        Path("bad.json").write_text(json.dumps(damaged), encoding="utf-8")
        for command in commands:
            begun = time.process_time()
            # An exception would be a traceback.
            code = main(command)
            assert time.process_time() - begun < 10, (seed, command)
            complaint = capsys.readouterr().err
            assert code == 0 or complaint.count("\n") >= 1 or command[0] == "compare", (seed, command)
            refused += code != 0
    assert refused > len(seeds)


def test_a_report_that_breaks_its_schema_is_refused_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    content["verdicts"][0]["estimate"]["n"] = "many"
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    # A leaderboard reads names and values alone, and checks these itself.
    for command in (["compare", str(file), str(file)], ["plan", str(file)]):
        assert main(command) == 1
        assert "$.verdicts[0].estimate" in capsys.readouterr().err


@pytest.mark.parametrize(
    "seeds",
    [range(60), pytest.param(range(60, 1000), marks=pytest.mark.slow)],
    ids=lambda seeds: f"{seeds.start}-{seeds.stop}",
)
def test_no_mutation_of_what_is_labelled_gives_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seeds: range
) -> None:
    monkeypatch.chdir(tmp_path)
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    kept = next(one for one in content["verdicts"] if one["metric"] == "overton_coverage")
    answers = [{"id": str(at), "text": f"answer {at}", "entailment_by_draw": [0.2 + 0.3 * at]} for at in range(3)]
    unit = {"id": "q", "cluster": "q", "value": 0.5, "text": "Q?", "responses": ["r"], "answers": answers}
    settings = {"protocol": "sound", "threshold": 0.5, "entailment_judge": "both", "entailment_model": {"sha256": "a"}}
    listed = {"close_pairs": [{"query_id": "q", "draw": 0, "answer": "1"}]}
    labelled = {name: kept[name] for name in kept.keys() - {"details"}}
    content["verdicts"] = [{**labelled, "settings": settings, "units": [unit, {**unit, "id": "p"}], "details": listed}]
    every = [way for way in ways(content) if len(way) > 2 and way[2] in {"settings", "units", "details", "nodeid"}]
    refused = 0
    for seed in seeds:
        for old in ("labels.jsonl", "judges.json"):
            Path(old).unlink(missing_ok=True)
        Path("bad.json").write_text(json.dumps(mutated(content, every, random.Random(seed))), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", io.StringIO("y\nn\n" * 4))
        # An exception would be a traceback.
        code = main(["label", "bad.json", "--n=6"])
        said = capsys.readouterr()
        if code != 0:
            complaint = said.err if code == 2 or not said.out else said.out.splitlines()[-1]
            assert complaint.strip(), seed
        refused += code == 2 or not Path("labels.jsonl").exists()
    assert refused > len(seeds) / 4


@pytest.mark.parametrize(
    ("way", "value", "words"),
    [
        (("settings", "threshold"), "high", "the threshold of its judge must be a number in (0, 1]. Got"),
        (("settings", "threshold"), 2, "the threshold of its judge must be a number in (0, 1]. Got 2"),
        (("units", 0, "responses"), [], "the text of response 0 of unit 0 is missing"),
        (("units", 0, "answers", 0, "entailment_by_draw"), [7], "what the judge said in unit 0 must be in [0, 1]"),
        (("units", 0, "id"), None, "the 'id' in unit 0 must be a text"),
    ],
)
def test_what_is_labelled_is_checked_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: Way, value: Any, words: str
) -> None:
    content = json.loads(RECORDED.read_text(encoding="utf-8"))
    kept = next(one for one in content["verdicts"] if one["metric"] == "overton_coverage")
    answer = {"id": "0", "text": "answer", "entailment_by_draw": [0.4]}
    unit = {"id": "q", "cluster": "q", "value": 0.5, "text": "Q?", "responses": ["r"], "answers": [answer]}
    verdict = {**kept, "settings": {"protocol": "sound", "threshold": 0.5, "entailment_judge": "both"}, "units": [unit]}
    *above, name = way
    place: Any = verdict
    for step in above:
        place = place[step]
    place[name] = value
    content["verdicts"] = [verdict]
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    assert main(["label", str(file)]) in (1, 2)
    assert words in capsys.readouterr().err


DEEP, LONG = "[" * 100_000, "1" * 5000
BYTES = {"deep": DEEP.encode(), "long": b'{"held": %b, "key": "a"}' % LONG.encode(), "not utf-8": b'{"key": "\xff"}'}


@pytest.mark.parametrize("kind", BYTES)
def test_files_that_python_cannot_read_end_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data.json", "data.jsonl", "book.json", "labels.jsonl", "numbers.json", "shard.json"):
        Path(name).write_bytes(BYTES[kind])
    Path("book.toml").write_bytes(b"a = " + BYTES[kind])
    Path("mixture.toml").write_bytes(b"a = " + (BYTES[kind] if kind != "long" else LONG.encode()))
    Path("people.csv").write_text("a\n1\n", encoding="utf-8")
    commands = [
        ["check", "data.json"],
        ["check", "data.jsonl"],
        ["survey", "build", "people.csv", "-o", "o.jsonl", "--codebook=book.json"],
        ["survey", "build", "people.csv", "-o", "o.jsonl", "--codebook=book.toml"],
        ["sweep", "./a", "--front", "test_it", "numbers.json"],
        ["label", str(RECORDED), "--labels=labels.jsonl"],
        ["merge", "shard.json", "-o", "out.json"],
        ["report", "data.json", "-o", "out.html"],
        ["history", "data.json"],
    ]
    for command in commands:
        try:
            code = main(command)
        except SystemExit as ended:
            code = int(str(ended.code))
        assert code != 0, command
        assert capsys.readouterr().err.strip(), command
