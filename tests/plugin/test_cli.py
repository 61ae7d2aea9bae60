"""The `pluralism` command, run as a process where its encoding, its pipes and what it imports count."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import pytest_pluralism
from pytest_pluralism.cli import main
from pytest_pluralism.cli.showing import complain
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
    RewardRequest,
)
from pytest_pluralism.models.answers.kinds import ANSWERS, ENTAILMENTS, FULL_ANSWERS, RESPONSES, REWARDS
from pytest_pluralism.models.answers.store import FILE_NAME, AnswerStore
from pytest_pluralism.models.protocol import ModelIdentity

SMALL = ModelIdentity(spec="./small", name="small", sha256="ab" * 32, dtype="float32", device="cpu")
LARGE = ModelIdentity(spec="./large", name="large", sha256="cd" * 32, dtype="bfloat16", device="cuda:0")
HOSTILE = dataclasses.replace(SMALL, name="\x1b[31mred\x07\u202e\n", sha256="\x1b]0;title\x07" + "ef" * 20)


def fill(folder: Path, identity: ModelIdentity, count: int, *, days_ago: float = 0.0) -> None:
    with AnswerStore(folder, clock=lambda: time.time() - 86400 * days_ago) as store:
        pairs = [(Prompt(f"question {n}", ("A", "B")), Answer((-1.0, -float(n)), 0.5, "A", 0.25)) for n in range(count)]
        store.keep(ANSWERS, identity, pairs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fill(tmp_path / "store", SMALL, 30, days_ago=10)
    fill(tmp_path / "store", LARGE, 20)
    return tmp_path / "store"


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            code = main([str(one) for one in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    said = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, code, *said)


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_pluralism.cli", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env=os.environ | environment,
    )


def test_the_command_is_declared_and_exists() -> None:
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, name = declared["project"]["scripts"]["pluralism"].partition(":")
    assert getattr(import_module(module), name) is main


def test_version_and_help() -> None:
    done = process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"pytest-pluralism {pytest_pluralism.__version__}\n", "")
    for words in ((), ("answers",), ("answers", "list"), ("answers", "verify"), ("answers", "prune")):
        done = command(*words, "--help")
        assert done.returncode == 0
        assert "exit codes: 0 all is well; 1 problems" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "COMMAND"),
        (("answer",), "invalid choice"),
        (("answers",), "ACTION"),
        (("answers", "lst"), "invalid choice"),
        (("answers", "prune"), "say what to remove"),
        (("answers", "prune", "--older-than", "-1"), "must be a number of days"),
        (("answers", "prune", "--older-than", "nan"), "must be a number of days"),
        (("answers", "prune", "--most-bytes", "1T"), "must be a whole number of bytes"),
        (("answers", "prune", "--most-bytes", "-5"), "--most-bytes"),
        (("answers", "list", "--folder", "nowhere"), "there is no answer store in nowhere"),
        (("answers", "verify", "--folder", "nowhere"), "there is no answer store in nowhere"),
        (("answers", "prune", "--folder", "nowhere", "--older-than", "1"), "there is no answer store in nowhere"),
    ],
)
def test_a_wrong_command_ends_with_2_and_says_why(
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_list(folder: Path) -> None:
    done = command("answers", "list", "--folder", folder)
    assert (done.returncode, done.stderr) == (0, "")
    first, header, large, small = done.stdout.splitlines()
    assert first.startswith(f"{folder / FILE_NAME}: 50 answers, ")
    assert header.split() == ["model", "sha256", "dtype", "device", "answers", "size", "first", "last", "used"]
    assert re.fullmatch(r"large +cdcdcdcdcdcd +bfloat16 +cuda +20 +\d.* +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d", large)
    assert small.split()[:5] == ["small", "abababababab", "float32", "cpu", "30"]


def test_list_as_json(folder: Path) -> None:
    done = command("answers", "list", "--folder", folder, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    assert content["schema"] == "pytest-pluralism/answers/1"
    assert content["folder"] == str(folder)
    assert content["file_bytes"] >= (folder / FILE_NAME).stat().st_size
    assert [(one["name"], one["sha256"], one["answers"]) for one in content["models"]] == [
        ("large", "cd" * 32, 20),
        ("small", "ab" * 32, 30),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", content["models"][0]["used"])


def test_every_kind_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with AnswerStore(folder) as store:
        identity = ModelIdentity(spec="./small", name="small", sha256="ab" * 32, dtype="float32", device="cpu")
        prompt = Prompt("Is it?", ())
        drawn = [((prompt, GenerationSettings(5), i), Response("Yes", 2, "eos", i)) for i in (0, 1)]
        store.keep(RESPONSES, identity, drawn)
        scores = FullAnswerScores((-1.0,), (-2.0,), (1,), (3,))
        store.keep(FULL_ANSWERS, identity, [(FullAnswerPrompt(prompt, ("Yes",)), scores)])
        pairs = [
            (EntailmentPair("It is.", f"It is {number}."), EntailmentScores(0.5, 0.25, 0.25)) for number in range(4)
        ]
        store.keep(ENTAILMENTS, identity, pairs)
        store.keep(REWARDS, identity, [(RewardRequest("Is it?", "Yes", "thrift"), 0.25)])
    assert main(["answers", "list", "--folder", str(folder)]) == 0
    first, header, large, small = capsys.readouterr().out.splitlines()
    assert first.startswith(
        f"{folder / FILE_NAME}: 50 answers, 2 responses, 1 scored full answers, 4 entailment scores, 1 rewards, "
    )
    assert header.split()[4:10] == ["answers", "responses", "full", "answers", "entailments", "rewards"]
    assert large.split()[4:9] == ["20", "0", "0", "0", "0"]
    assert small.split()[4:9] == ["30", "2", "1", "4", "1"]
    assert main(["answers", "list", "--folder", str(folder), "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert [(one["responses"], one["full_answers"], one["entailments"]) for one in models] == [(0, 0, 0), (2, 1, 4)]
    assert [one["rewards"] for one in models] == [0, 1]
    assert main(["answers", "verify", "--folder", str(folder)]) == 0
    assert (
        "50 answers, 2 responses, 1 scored full answers, 4 entailment scores, 1 rewards checked, 0 damaged"
        in capsys.readouterr().out
    )
    assert main(["answers", "verify", "--folder", str(folder), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["answers"], content["responses"], content["full_answers"], content["entailments"]) == (50, 2, 1, 4)
    assert main(["answers", "prune", "--folder", str(folder), "--model", "small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 38


@pytest.mark.parametrize("name", ["small", "abababab", "sha256:" + "ab" * 32])
def test_one_model_by_name_or_hash(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "list", "--folder", str(folder), "--model", name, "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["models"]] == ["small"]
    assert main(["answers", "verify", "--folder", str(folder), "--model", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == 30


@pytest.mark.parametrize("action", ["list", "verify", "prune"])
def test_an_unknown_model(folder: Path, action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", action, "--folder", str(folder), "--model", "smal"]) == 2
    assert "unknown model 'smal' (there are 2). Nearest: 'small'" in capsys.readouterr().err


def test_the_default_folder(folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "answers")
    done = command("answers", "list", PLURALISM_CACHE=str(tmp_path))
    assert "50 answers" in done.stdout
    for words in (("list",), ("verify",), ("prune", "--older-than", "1")):
        done = command("answers", *words, PLURALISM_CACHE=str(tmp_path / "none"))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"no answers are stored in {tmp_path / 'none' / 'answers'}\n"
        assert json.loads(command("answers", *words, "--json", PLURALISM_CACHE=str(tmp_path / "none")).stdout)
    assert not (tmp_path / "none").exists()


def test_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "verify", "--folder", str(folder)]) == 0
    assert "50 answers checked, 0 damaged" in capsys.readouterr().out
    connection = sqlite3.connect(folder / FILE_NAME)
    connection.execute("UPDATE answers SET answer = x'00' WHERE model = 'small'")
    connection.commit()
    connection.close()
    assert main(["answers", "verify", "--folder", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert "50 answers checked, 30 damaged" in out
    assert "never used" in out
    assert err == ""
    assert main(["answers", "verify", "--folder", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["damaged"] == 30
    assert main(["answers", "verify", "--folder", str(folder), "--model", "large"]) == 0


@pytest.mark.parametrize("action", ["list", "verify", "prune"])
@pytest.mark.parametrize("content", [b"noise" * 3000, b"SQLite format 3\0" + b"\xff" * 9000, b""])
def test_a_store_that_is_none(folder: Path, action: str, content: bytes) -> None:
    (folder / FILE_NAME).write_bytes(content)
    done = command("answers", action, "--folder", folder, *(["--older-than", 1] if action == "prune" else []))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("pluralism: ")
    assert "Traceback" not in done.stderr
    assert (folder / FILE_NAME).read_bytes() == content


def test_a_store_of_a_newer_version(folder: Path) -> None:
    connection = sqlite3.connect(folder / FILE_NAME)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = (folder / FILE_NAME).read_bytes()
    for words in (("list",), ("verify",), ("prune", "--older-than", "1")):
        done = command("answers", *words, "--folder", folder)
        assert done.returncode == 1
        assert "newer version 99" in done.stderr
        assert "Install" in done.stderr
    assert (folder / FILE_NAME).read_bytes() == before


def test_files_that_were_set_aside_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / f"{FILE_NAME}.damaged-1").write_bytes(b"x")
    (folder / f"{FILE_NAME}.damaged-1-wal").write_bytes(b"x")
    for action in ("list", "verify"):
        assert main(["answers", action, "--folder", str(folder)]) == 0
        assert f"not used: {FILE_NAME}.damaged-1 (delete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--older-than", "5"], {"large": 20}),
        (["--older-than", "15"], {"large": 20, "small": 30}),
        (["--model", "large"], {"small": 30}),
        (["--model", "large", "--older-than", "5"], {"large": 20, "small": 30}),
        (["--most-bytes", "0"], {}),
        (["--most-bytes", "1g"], {"large": 20, "small": 30}),
        (["--model", "large", "--most-bytes", "1MB"], {"small": 30}),
    ],
    ids=" ".join,
)
def test_prune(folder: Path, words: list[str], left: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", "prune", "--folder", str(folder), *words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["removed"] == 50 - sum(left.values())
    assert content["bytes_after"] <= content["bytes_before"]
    with AnswerStore(folder, read_only=True) as store:
        assert {one.name: one.answers for one in store.models()} == left
    assert main(["answers", "prune", "--folder", str(folder), "--older-than", "1000"]) == 0
    assert "removed 0 answers" in capsys.readouterr().out


def test_prune_by_size_takes_the_least_recently_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, SMALL, 400, days_ago=10)
    fill(tmp_path, LARGE, 400)
    assert main(["answers", "prune", "--folder", str(tmp_path), "--most-bytes", "150k"]) == 0
    assert "removed" in capsys.readouterr().out
    assert 75_000 < (tmp_path / FILE_NAME).stat().st_size <= 150 * 1024
    with AnswerStore(tmp_path, read_only=True) as store:
        kept = {one.name: one.answers for one in store.models()}
    # Each kind of work has a table, and each table a page.
    assert kept["large"] > 220
    assert kept.get("small", 0) == 0 or kept["large"] == 400


def test_prune_of_a_locked_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(AnswerStore.__init__, "__kwdefaults__", AnswerStore.__init__.__kwdefaults__ | {"patience": 0.2})
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        assert main(["answers", "prune", "--folder", str(folder), "--older-than", "1"]) == 1
    finally:
        connection.close()
    assert "locked by another process" in capsys.readouterr().err


def test_nothing_reaches_the_terminal_that_it_would_obey(tmp_path: Path) -> None:
    folder = tmp_path / "store\x1b[2J"
    fill(folder, HOSTILE, 3)
    for words in (
        ("list",),
        ("verify",),
        ("list", "--json"),
        ("list", "--model", "\x1b[5m"),
        ("prune", "--older-than", 1),
    ):
        done = command("answers", *words, "--folder", folder)
        for text in (done.stdout, done.stderr):
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text), words
    assert "\\x1b[31mred\\x07\\u202e\\n" in command("answers", "list", "--folder", folder).stdout


def test_a_terminal_without_the_characters(tmp_path: Path) -> None:
    fill(tmp_path, dataclasses.replace(SMALL, name="modèle"), 1)
    done = process("answers", "list", "--folder", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "mod\\xe8le" in done.stdout


def test_a_reader_that_has_seen_enough(folder: Path) -> None:
    # As with `| head`: the pipe has no reader left when the command writes.
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_pluralism.cli", "answers", "list", "--folder", str(folder)],
            check=False,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_starts_without_the_heavy_packages(folder: Path) -> None:
    code = (
        "import sys\n"
        "from pytest_pluralism.cli import main\n"
        "main(['answers', 'verify', '--folder', sys.argv[1]])\n"
        "heavy = {'torch', 'numpy', 'scipy', 'transformers', 'pytest', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, text=True)


def test_a_complaint_about_several_problems_keeps_its_lines_without_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    complain("file.csv has 2 problems:\n  column 'a' has no text\n::error::forged\n\x1b[31mred")
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["pluralism: file.csv has 2 problems:", "  column 'a' has no text"]
    assert len(lines) == 4
    assert not any("::error::" in line or "\x1b" in line for line in lines)
