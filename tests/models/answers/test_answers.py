"""The answer store: exact, shared by processes, and never the reason why an answer is lost or a wrong one used."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError
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
    Turn,
)
from pytest_pluralism.models.answers import disk, file, kinds
from pytest_pluralism.models.answers.kinds import (
    ANSWERS,
    ENTAILMENTS,
    FULL_ANSWERS,
    RESPONSES,
    REWARDS,
    Draw,
    encode,
    key_of,
)
from pytest_pluralism.models.answers.layout import VERSION, row_of
from pytest_pluralism.models.answers.store import (
    FILE_NAME,
    TOUCH_AFTER,
    AnswerStore,
    AnswerStoreError,
    default_answers_folder,
)
from pytest_pluralism.models.answers.upkeep import StoreCheck
from pytest_pluralism.models.protocol import ModelIdentity

IDENTITY = ModelIdentity(spec="./m", name="m", sha256="ab" * 32, dtype="float32", device="cpu")
PROMPT = Prompt(
    "Is it raining?\nA. Yes\nB. No", ("A", "B"), examples=(Turn("Is it warm?", "A"),), system="Answer.", cue="Answer:"
)
ANSWER = Answer((-0.1, -2.5), 0.98, " A", 0.9)

#: Shared with other processes in these tests: answers that can be told from the number of their prompt.
MAKE = """
import sys
from pathlib import Path
from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.models.answers.kinds import ANSWERS
from pytest_pluralism.models.answers.store import AnswerStore, AnswerStoreError
from pytest_pluralism.models.protocol import ModelIdentity

identity = ModelIdentity(spec="./m", name="m", sha256="ab" * 32, dtype="float32", device="cpu")

def prompt(number):
    return Prompt(f"question {number}", ("A", "B"))

def answer(number):
    return Answer((-1.0 / (number + 1), -float(number)), 0.5, "A", 0.25)
"""


def prompt(number: int) -> Prompt:
    return Prompt(f"question {number}", ("A", "B"))


def answer(number: int) -> Answer:
    return Answer((-1.0 / (number + 1), -float(number)), 0.5, "A", 0.25)


def fill(store: AnswerStore, numbers: range, identity: ModelIdentity = IDENTITY) -> None:
    store.keep(ANSWERS, identity, [(prompt(number), answer(number)) for number in numbers])


def found(store: AnswerStore, numbers: range, identity: ModelIdentity = IDENTITY) -> set[int]:
    """Return the numbers that are found, having checked that each has its own answer."""
    there = store.lookup(ANSWERS, identity, [prompt(number) for number in numbers])
    result = {number for number in numbers if prompt(number) in there}
    assert all(there[prompt(number)] == answer(number) for number in result)
    return result


@contextlib.contextmanager
def raw(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the file behind the store's back."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        yield connection


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE + textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def damaged_files(folder: Path) -> list[str]:
    names = (path.name for path in folder.glob(f"{FILE_NAME}.damaged-*"))
    return sorted(name for name in names if not name.endswith(("-wal", "-shm", "-journal")))


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Return the connections to stores, the latest last, so that a test can make the disk of one full."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(name: str | Path, **options: object) -> sqlite3.Connection:
        connection = connect(name, **options)  # type: ignore[call-overload]
        if FILE_NAME in str(name):
            opened.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", remember)
    return opened


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


# -------------------------------------------------------------------------------------------------- kept and found


def test_what_was_kept_is_found_by_another_store(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "deep" / "er") as store:
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {}
        store.keep(ANSWERS, IDENTITY, [(PROMPT, ANSWER)])
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT, PROMPT]) == {PROMPT: ANSWER}
        assert (store.hits, store.misses, store.damaged) == (1, 1, 0)
    with AnswerStore(tmp_path / "deep" / "er") as store:
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {PROMPT: ANSWER}
        assert store.notes == ()
        assert store.writable


def test_many_answers_in_one_call(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(0, 3000, 2))
        assert found(store, range(3000)) == set(range(0, 3000, 2))
        assert store.verify() == StoreCheck(1500, 0, 0)


def test_a_later_answer_replaces_an_earlier_one(tmp_path: Path) -> None:
    later = dataclasses.replace(ANSWER, option_mass=0.5)
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, IDENTITY, [(PROMPT, ANSWER)])
        store.keep(ANSWERS, IDENTITY, [(PROMPT, later)])
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {PROMPT: later}


def test_a_call_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[Prompt, Answer]]:
        yield PROMPT, ANSWER
        raise RuntimeError("the model broke")

    with AnswerStore(tmp_path) as store:
        with pytest.raises(RuntimeError, match="the model broke"):
            store.keep(ANSWERS, IDENTITY, broken())
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {}
        store.keep(ANSWERS, IDENTITY, [])
        assert store.verify().answers == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "Is it raining?\nA. Yes\nB. No "},
        {"labels": ("A", "C")},
        {"labels": ("B", "A")},
        {"labels": ("AB",)},
        {"labels": ("A", "B", "C")},
        {"examples": ()},
        {"examples": (Turn("Is it warm?", "B"),)},
        {"system": ""},
        {"cue": "Answer Choice:"},
        {"template": "raw"},
        {"verbatim": "Is it raining?\nA. Yes\nB. No"},
        {"verbatim": ""},
    ],
    ids=str,
)
def test_another_prompt_is_a_miss(tmp_path: Path, changed: dict[str, object]) -> None:
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, IDENTITY, [(PROMPT, ANSWER)])
        assert store.lookup(ANSWERS, IDENTITY, [dataclasses.replace(PROMPT, **changed)]) == {}
        assert store.misses == 1


def test_every_field_of_a_prompt_is_tried_above() -> None:
    # A new field belongs into the parameters of the test above.
    assert {field.name for field in dataclasses.fields(Prompt)} == {
        "question", "labels", "examples", "system", "cue", "template", "verbatim",
    }  # fmt: skip


def test_another_model_or_type_of_device_is_a_miss(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, dataclasses.replace(IDENTITY, device="cuda:0"), [(PROMPT, ANSWER)])
        assert store.lookup(ANSWERS, dataclasses.replace(IDENTITY, device="cuda:1"), [PROMPT]) == {PROMPT: ANSWER}
        assert store.lookup(ANSWERS, dataclasses.replace(IDENTITY, device="cuda"), [PROMPT]) == {PROMPT: ANSWER}
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {}
        assert store.lookup(ANSWERS, dataclasses.replace(IDENTITY, device="cuda", sha256="cd" * 32), [PROMPT]) == {}
        # The names of a model, and the way its spec is written, are not its identity.
        renamed = dataclasses.replace(IDENTITY, device="cuda", name="other", spec="./other", notes=("moved",))
        assert store.lookup(ANSWERS, renamed, [PROMPT]) == {PROMPT: ANSWER}


def test_new_numerics_of_the_engine_are_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, IDENTITY, [(PROMPT, ANSWER)])
        monkeypatch.setattr(kinds, "ENGINE_NUMERICS", kinds.ENGINE_NUMERICS + 1)
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {}


def test_the_key_is_what_the_documentation_says() -> None:
    # Written out here, so that a change of the key by accident (and a store that no longer finds anything) shows.
    text = (
        '{"device":"cpu","model":"' + "ab" * 32 + '","numerics":2,"prompt":{"cue":"Answer:","examples":'
        '[{"answer":"A","question":"Is it warm?"}],"labels":["A","B"],"question":"Is it raining?\\nA. Yes\\nB. No",'
        '"system":"Answer.","template":"auto","verbatim":null}}'
    )
    assert key_of(ANSWERS, IDENTITY, PROMPT) == hashlib.sha256(text.encode()).digest()


def test_characters_that_escapes_would_confuse_have_keys_of_their_own() -> None:
    keys = {
        key_of(ANSWERS, IDENTITY, Prompt(text, ("A",))) for text in ("\U0001f600", "\ud83d\ude00", "\\ud83d\\ude00")
    }
    assert len(keys) == 3


log_probabilities = st.floats(max_value=0.0, allow_nan=False, allow_infinity=True, allow_subnormal=True)
any_answers = st.builds(
    Answer,
    log_probabilities=st.lists(log_probabilities, min_size=2, max_size=2).map(tuple),
    option_mass=st.floats(0, 1, allow_subnormal=True),
    top_token=st.text(st.characters(), max_size=8),
    top_probability=st.floats(0, 1, allow_subnormal=True),
)


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswerStore]:
    with AnswerStore(tmp_path_factory.mktemp("store")) as store:
        yield store


@settings(max_examples=100, deadline=None)
@given(given_answer=any_answers, question=st.text(st.characters(), max_size=20))
def test_answers_come_back_exactly(shared_store: AnswerStore, given_answer: Answer, question: str) -> None:
    asked = Prompt(question, ("A", "B"))
    shared_store.keep(ANSWERS, IDENTITY, [(asked, given_answer)])
    back = shared_store.lookup(ANSWERS, IDENTITY, [asked])[asked]
    assert back == given_answer
    assert [number.hex() for number in back.log_probabilities] == [
        number.hex() for number in given_answer.log_probabilities
    ]
    assert (back.option_mass.hex(), back.top_probability.hex()) == (
        given_answer.option_mass.hex(),
        given_answer.top_probability.hex(),
    )


def test_extreme_numbers_come_back_exactly(tmp_path: Path) -> None:
    extreme = Answer((-math.inf, -5e-324, -0.0, -1.7976931348623157e308, -0.1), 5e-324, "\x00\ud800\n", 0.1 + 0.2)
    asked = Prompt("?", ("A", "B", "C", "D", "E"))
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, IDENTITY, [(asked, extreme)])
        back = store.lookup(ANSWERS, IDENTITY, [asked])[asked]
    assert back == extreme
    assert math.copysign(1, back.log_probabilities[2]) == -1


@pytest.mark.parametrize(
    "bad",
    [
        dataclasses.replace(ANSWER, log_probabilities=(math.nan, -1.0)),
        dataclasses.replace(ANSWER, option_mass=math.nan),
        dataclasses.replace(ANSWER, log_probabilities=(-1.0,)),
        dataclasses.replace(ANSWER, option_mass=object()),  # type: ignore[arg-type]
        dataclasses.replace(ANSWER, top_probability=True),
        dataclasses.replace(ANSWER, top_token=None),  # type: ignore[arg-type]
        dataclasses.replace(ANSWER, log_probabilities=[-1.0, -1.0]),  # type: ignore[arg-type]
        dataclasses.replace(ANSWER, top_token="x" * 2_000_000),
    ],
    ids=lambda bad: str(bad)[:70],
)
def test_what_cannot_be_stored_exactly_is_left_out_with_a_note(tmp_path: Path, bad: Answer) -> None:
    with AnswerStore(tmp_path) as store:
        store.keep(ANSWERS, IDENTITY, [(PROMPT, bad), (prompt(1), answer(1))])
        assert store.lookup(ANSWERS, IDENTITY, [PROMPT]) == {}
        assert found(store, range(3)) == {1}
        assert any("1 answers were not kept" in note for note in store.notes)


@pytest.mark.parametrize(
    ("change", "is_found"),
    [
        (lambda content: content | {"a_later_field": 1}, False),
        (lambda content: {name: content[name] for name in content if name != "option_mass"}, False),
        (lambda content: content | {"option_mass": "0.5"}, False),
        (lambda content: content | {"log_probabilities": [-1.0, -2.0, -3.0]}, False),
        (lambda content: content | {"log_probabilities": -1.0}, False),
        (lambda content: content | {"option_mass": 10**400}, False),
        (lambda content: [content], False),
        (lambda content: dict(reversed(content.items())), True),
    ],
)
def test_rows_of_another_version_are_misses_and_no_damage(tmp_path: Path, change, is_found: bool) -> None:
    with AnswerStore(tmp_path) as store:
        content = json.loads(json.dumps(dataclasses.asdict(ANSWER)))
        row = row_of(IDENTITY, key_of(ANSWERS, IDENTITY, PROMPT), json.dumps(change(content)).encode(), 0.0)
        with raw(tmp_path) as connection:
            connection.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?,?,?,?)", row)
        assert bool(store.lookup(ANSWERS, IDENTITY, [PROMPT])) is is_found
        assert store.damaged == 0
        assert store.verify().damaged == 0


def test_an_answer_with_a_field_that_came_later_is_rebuilt_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = dataclasses.make_dataclass(
        "Answer",
        [
            ("log_probabilities", tuple),
            ("option_mass", float),
            ("top_token", str),
            ("top_probability", float),
            ("label_logits", tuple, dataclasses.field(default=())),
            ("top_tokens", tuple, dataclasses.field(default=())),
            ("counts", tuple, dataclasses.field(default=())),
            ("n_drawn", float, dataclasses.field(default=0.0)),
            ("bounds", tuple, dataclasses.field(default=())),
            ("unread_choice", bool, dataclasses.field(default=False)),
            ("spellings", tuple, dataclasses.field(default=())),
        ],
        frozen=True,
    )
    with AnswerStore(tmp_path) as store:
        fill(store, range(1))
        monkeypatch.setattr(kinds, "Answer", later)
        old = store.lookup(ANSWERS, IDENTITY, [prompt(0)])[prompt(0)]
        assert dataclasses.asdict(old) == dataclasses.asdict(answer(0)) | {"spellings": ()}
        new = later((-1.0, -2.0), 0.5, "A", 0.5, spellings=(("A", " A"), ("B",)))
        store.keep(ANSWERS, IDENTITY, [(prompt(1), new)])
        assert store.lookup(ANSWERS, IDENTITY, [prompt(1)])[prompt(1)] == new
        monkeypatch.undo()
        assert found(store, range(2)) == {0}


@pytest.mark.parametrize("bad", [0, 65535, 1e9, True, "1G", None])
def test_the_bound_is_checked(tmp_path: Path, bad: object) -> None:
    with pytest.raises(InvalidParameterError, match="The 'most_bytes' parameter of AnswerStore must be"):
        AnswerStore(tmp_path, most_bytes=bad)  # type: ignore[arg-type]


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.close()
    store.close()
    assert not store.writable
    with pytest.raises(AnswerStoreError, match="is closed"):
        store.lookup(ANSWERS, IDENTITY, [PROMPT])
    with pytest.raises(AnswerStoreError, match="is closed"):
        store.keep(ANSWERS, IDENTITY, [(PROMPT, ANSWER)])
    assert issubclass(AnswerStoreError, PluralismError)


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path))
    assert default_answers_folder() == tmp_path / "answers"
    monkeypatch.setenv("PLURALISM_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_answers_folder().name == "answers"
    assert "pytest-pluralism" in default_answers_folder().parts


def test_a_folder_with_characters_that_mean_something_in_an_address(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "a?mode=memory#b %41 é") as store:
        fill(store, range(2))
    assert (tmp_path / "a?mode=memory#b %41 é" / FILE_NAME).is_file()
    with AnswerStore(tmp_path / "a?mode=memory#b %41 é") as store:
        assert found(store, range(3)) == {0, 1}


# ------------------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize("byte", [0xCC, 0x00, 0x7F, 0xFF])
@pytest.mark.parametrize("word", [b"answers", b"CREATE TABLE"])
def test_a_damaged_byte_in_the_schema_sets_the_file_aside_with_a_note(tmp_path: Path, word: bytes, byte: int) -> None:
    AnswerStore(tmp_path).close()
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    content[content.find(word) + 2] = byte
    file.write_bytes(bytes(content))
    store = AnswerStore(tmp_path)
    try:
        assert len(store.notes) == 1
        assert "damaged" in store.notes[0]
        assert len(damaged_files(tmp_path)) == 1
    finally:
        store.close()


def test_a_damaged_row_is_never_used_and_is_replaced(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(5))
        with raw(tmp_path) as connection:
            changed = connection.execute(
                "UPDATE answers SET answer = CAST(replace(CAST(answer AS TEXT), '-2.0', '-1.0') AS BLOB) "
                "WHERE CAST(answer AS TEXT) LIKE '%-2.0%'"
            ).rowcount
        assert changed == 1
        assert found(store, range(5)) == {0, 1, 3, 4}
        assert store.damaged == 1
        assert "1 stored answers" in store.notes[0]
        assert "do not fit their checksums" in store.notes[0]
        assert store.verify().damaged == 1
        fill(store, range(2, 3))
        assert found(store, range(5)) == {0, 1, 2, 3, 4}
        assert store.verify() == StoreCheck(5, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        "answer = 7",
        "answer = CAST(answer AS TEXT)",
        "answer = zeroblob(3000000)",
        "answer = x'ffff'",
        "checksum = x''",
        "checksum = NULL",
        "model = CAST(x'ff' AS TEXT)",
        "model = 'an other name'",
        "model_sha256 = 5",
        "bytes = 'many'",
        "bytes = -9e99",
        "used = 'never'",
        "created = x'00', used = x'00'",
    ],
)
def test_strange_values_in_a_row_do_no_harm(tmp_path: Path, change: str) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(3))
    with raw(tmp_path) as connection:
        connection.execute("UPDATE OR IGNORE answers SET " + change)  # noqa: S608
    with AnswerStore(tmp_path, most_bytes=65536) as store:
        assert found(store, range(3)) in (set(), {0, 1, 2})
        assert len(store.models()) in {1, 0}
        store.verify()
        fill(store, range(3, 600))
        assert len(found(store, range(3, 600))) > 50
        store.prune(older_than=0.0, most_bytes=10_000)


def test_an_answer_under_the_key_of_another_prompt_is_not_used(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(1))
        with raw(tmp_path) as connection:
            connection.execute("UPDATE answers SET key = ?", (key_of(ANSWERS, IDENTITY, prompt(1)),))
        assert store.lookup(ANSWERS, IDENTITY, [prompt(1)]) == {}
        assert store.damaged == 1


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 5000, b"not a database", b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 5000, b"{}" * 3000],
    ids=["zeros", "text", "short", "noise", "json"],
)
def test_a_foreign_file_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with AnswerStore(tmp_path) as store:
        assert found(store, range(3)) == set()
        fill(store, range(3))
        assert found(store, range(3)) == {0, 1, 2}
        assert len(store.notes) == 1
        assert f"set aside as {FILE_NAME}.damaged-1" in store.notes[0]
    assert (tmp_path / f"{FILE_NAME}.damaged-1").read_bytes() == content
    (tmp_path / FILE_NAME).write_bytes(content)
    with AnswerStore(tmp_path):
        pass
    assert damaged_files(tmp_path) == [f"{FILE_NAME}.damaged-1", f"{FILE_NAME}.damaged-2"]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    with AnswerStore(tmp_path) as store:
        fill(store, range(2))
        assert found(store, range(2)) == {0, 1}
        assert store.notes == ()


def test_the_database_of_another_program_is_set_aside_whole(tmp_path: Path) -> None:
    with raw(tmp_path) as connection:
        connection.execute("CREATE TABLE answers (theirs)")
        connection.execute("INSERT INTO answers VALUES (42)")
    with AnswerStore(tmp_path) as store:
        assert "the database of another program" in store.notes[0]
        fill(store, range(2))
    with contextlib.closing(sqlite3.connect(tmp_path / f"{FILE_NAME}.damaged-1")) as theirs:
        assert theirs.execute("SELECT * FROM answers").fetchall() == [(42,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER mine AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE TABLE mine (x)",
        "DROP INDEX answers_by_use",
        "ALTER TABLE answers ADD COLUMN mine",
    ],
)
def test_a_store_with_other_tables_than_ours_is_set_aside(tmp_path: Path, statement: str) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(2))
    with raw(tmp_path) as connection:
        connection.execute(statement)
    with AnswerStore(tmp_path) as store:
        assert "its tables are not those of an answer store" in store.notes[0]
        assert found(store, range(2)) == set()
        fill(store, range(2))
        assert found(store, range(2)) == {0, 1}


def test_overwritten_bytes_are_found_when_the_store_is_opened(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(300))
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    page = 4096
    path.write_bytes(whole[: 2 * page] + b"\xa5" * (3 * page) + whole[5 * page :])
    with AnswerStore(tmp_path) as store:
        assert "set aside" in store.notes[0]
        assert found(store, range(300)) == set()
        fill(store, range(300))
        assert found(store, range(300)) == set(range(300))


def test_a_cut_file_is_found_when_the_store_is_opened(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(300))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[:20_000])
    with AnswerStore(tmp_path) as store:
        assert "set aside" in store.notes[0]
        fill(store, range(3))
        assert found(store, range(3)) == {0, 1, 2}


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_never_gives_a_wrong_answer(tmp_path: Path, seed: int) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(200))
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(chance.choice([1, 5, 50])):
        content[chance.randrange(100, len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    with AnswerStore(tmp_path) as store:
        found(store, range(200))
        fill(store, range(200))
        assert found(store, range(200)) == set(range(200))
        check = store.verify()
        assert (check.answers, check.damaged, check.problems) == (200, 0, ()) or store.notes


def test_damage_that_shows_in_the_middle_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a file that is too large to be checked whole when it is opened.
    monkeypatch.setattr(file, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(file, "CHECK_STEPS", 1)
    with AnswerStore(tmp_path) as store:
        fill(store, range(300))
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * 4096] + b"\xa5" * (len(whole) - 2 * 4096))
    with AnswerStore(tmp_path) as first, AnswerStore(tmp_path) as second:
        assert first.notes == second.notes == ()
        assert found(first, range(300)) == set()
        assert "set aside" in first.notes[0]
        fill(first, range(10))
        # The other one follows to the new file, and sets nothing aside.
        assert found(second, range(20)) == set(range(10))
        fill(second, range(10, 20))
        assert found(first, range(20)) == set(range(20))
        assert second.notes == ()
    assert damaged_files(tmp_path) == [f"{FILE_NAME}.damaged-1"]
    with AnswerStore(tmp_path, read_only=True) as store:
        assert store.verify() == StoreCheck(20, 0, 0)


def test_damage_that_shows_when_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(file, "CHECK_STEPS", 1)
    with AnswerStore(tmp_path) as store:
        fill(store, range(300))
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * 4096] + b"\xa5" * (len(whole) - 2 * 4096))
    with AnswerStore(tmp_path) as store:
        fill(store, range(10))
        assert found(store, range(10)) == set(range(10))
        assert "set aside" in store.notes[0]


def test_a_folder_that_is_deleted_during_the_run(tmp_path: Path) -> None:
    with AnswerStore(tmp_path / "store") as store:
        fill(store, range(3))
        shutil.rmtree(tmp_path / "store")
        assert found(store, range(3)) == set()
        fill(store, range(3))
        assert found(store, range(3)) == {0, 1, 2}


def test_left_over_files_are_not_read_as_changes_to_a_new_store(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(50))
        shutil.copy(tmp_path / f"{FILE_NAME}-wal", tmp_path / "kept-wal")
    (tmp_path / FILE_NAME).unlink()
    (tmp_path / "kept-wal").rename(tmp_path / f"{FILE_NAME}-wal")
    (tmp_path / f"{FILE_NAME}.new-12345").write_bytes(b"half")
    with AnswerStore(tmp_path) as store:
        assert found(store, range(50)) == set()
        assert store.verify() == StoreCheck(0, 0, 0)
        assert store.notes == ()
    assert not list(tmp_path.glob("*.new*"))


# -------------------------------------------------------------------------------------------- refused, untouched


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_newer_version_is_an_error_and_stays_untouched(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(2))
    with raw(tmp_path) as connection:
        connection.execute(f"PRAGMA user_version={VERSION + 1}")
        connection.execute("CREATE TABLE later (x)")
    before = listing(tmp_path)
    for read_only in (False, True):
        with pytest.raises(AnswerStoreError, match=f"newer version {VERSION + 1}") as caught:
            AnswerStore(tmp_path, read_only=read_only)
        assert "--pluralism-answers" in str(caught.value)
        assert "Install" in str(caught.value)
    assert listing(tmp_path) == before


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    with AnswerStore(outside):
        pass
    before = listing(outside)
    for number, name in enumerate((FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}.lock")):
        folder = tmp_path / f"store{number}"
        folder.mkdir()
        (folder / name).symlink_to(outside / FILE_NAME)
        for read_only in (False, True):
            with pytest.raises(AnswerStoreError, match="symbolic link"):
                AnswerStore(folder, read_only=read_only)
    assert listing(outside) == before


def test_a_link_to_the_folder_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    with AnswerStore(tmp_path / "link") as store:
        fill(store, range(1))
    with AnswerStore(tmp_path / "real") as store:
        assert found(store, range(1)) == {0}


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        (tmp_path / FILE_NAME).mkdir()
    else:
        os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(AnswerStoreError, match="is not a file"):
        AnswerStore(tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    for folder in (tmp_path / "store", tmp_path / "store" / "deeper"):
        with pytest.raises(AnswerStoreError, match="cannot be made") as caught:
            AnswerStore(folder)
        assert "--pluralism-answers" in str(caught.value)
    assert (tmp_path / "store").read_text() == "mine"


def test_looking_at_a_store_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(AnswerStoreError, match="there is no answer store"):
        AnswerStore(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    with AnswerStore(tmp_path) as store:
        fill(store, range(3))
    before = (tmp_path / FILE_NAME).read_bytes()
    with AnswerStore(tmp_path, read_only=True) as store:
        assert not store.writable
        assert found(store, range(4)) == {0, 1, 2}
        fill(store, range(4))
        assert found(store, range(4)) == {0, 1, 2}
        with pytest.raises(AnswerStoreError, match="cannot be written"):
            store.prune(older_than=0)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    (tmp_path / FILE_NAME).write_bytes(before[:9000])
    with pytest.raises(AnswerStoreError, match="Delete it"):
        AnswerStore(tmp_path, read_only=True)
    assert damaged_files(tmp_path) == []


# ------------------------------------------------------------------------------------------- locked, full, read-only


def test_a_locked_store_gives_up_in_time_and_the_run_goes_on(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, patience=0.3) as store:
        fill(store, range(2))
        with raw(tmp_path) as other:
            other.execute("BEGIN IMMEDIATE")
            start = time.monotonic()
            with pytest.raises(AnswerStoreError, match=r"locked by another process for more than 0\.3 s") as caught:
                fill(store, range(2, 4))
            assert 0.3 <= time.monotonic() - start < 3
            assert "--pluralism-answers" in str(caught.value)
            # Readers are not held up.
            assert found(store, range(4)) == {0, 1}
            start = time.monotonic()
            with pytest.raises(AnswerStoreError, match="locked"):
                fill(store, range(2, 4))
            assert time.monotonic() - start < 2
            other.execute("ROLLBACK")
            assert "locked by another process 2 times" in store.notes[0]
            fill(store, range(2, 4))
            assert found(store, range(4)) == {0, 1, 2, 3}
            # The patience is whole again.
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(AnswerStoreError, match=r"more than 0\.3 s"):
                fill(store, range(4, 6))


def test_patience_is_short_after_it_was_in_vain(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, patience=0.5) as store, raw(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AnswerStoreError, match=r"more than 0\.5 s"):
            fill(store, range(1))
        with pytest.raises(AnswerStoreError, match=r"more than 0\.1 s"):
            fill(store, range(1))


def test_a_lock_that_ends_in_time_is_waited_for(tmp_path: Path) -> None:
    code = """
    import sqlite3, time
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    time.sleep(0.7)
    connection.execute("COMMIT")
    """
    with AnswerStore(tmp_path, patience=20) as store:
        other = run(code, tmp_path / FILE_NAME)
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        fill(store, range(2))
        assert found(store, range(2)) == {0, 1}
        assert store.notes == ()
        other.communicate()


def test_a_store_that_is_locked_when_it_is_opened(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(2))
    with raw(tmp_path) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        for read_only in (False, True):
            with pytest.raises(AnswerStoreError, match="locked by another process"):
                AnswerStore(tmp_path, patience=0.2, read_only=read_only)
    with AnswerStore(tmp_path) as store:
        assert found(store, range(2)) == {0, 1}


def test_a_store_that_another_process_is_just_making(tmp_path: Path) -> None:
    import filelock

    with (
        filelock.FileLock(tmp_path / f"{FILE_NAME}.lock"),
        pytest.raises(AnswerStoreError, match="locked by another process"),
    ):
        AnswerStore(tmp_path, patience=0.2)
    with AnswerStore(tmp_path) as store:
        fill(store, range(2))


def test_a_full_disk_leaves_a_store_that_looks_up(tmp_path: Path, connections: list[sqlite3.Connection]) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(20))
        pages = connections[-1].execute("PRAGMA page_count").fetchone()[0]
        connections[-1].execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(AnswerStoreError, match="the disk is full") as caught:
            fill(store, range(20, 2000))
        assert "prune" in str(caught.value)
        assert found(store, range(2000)) == set(range(20))
        assert not store.writable
        assert "stored answers are used, new ones are not kept" in store.notes[0]
        fill(store, range(20, 30))
        assert found(store, range(2000)) == set(range(20))
        assert len(store.notes) == 1
    with AnswerStore(tmp_path) as store:
        assert store.verify() == StoreCheck(20, 0, 0)


def in_a_namespace(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script that may mount things which nobody else sees, and which are gone when it ends."""
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--map-root-user", "--mount", "sh", "-e", "-c"]
    tried = unshare and subprocess.run(
        [*command, f"mount -t tmpfs -o size=1m none '{folder}'"], check=False, capture_output=True
    )
    if not tried or tried.returncode:
        pytest.skip("this machine does not let these tests mount a file system")
    return subprocess.run([*command, script], check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.whole
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    code = """
    kept = 0
    with AnswerStore(Path(sys.argv[1])) as store:
        try:
            for start in range(0, 20_000, 100):
                store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(start, start + 100)])
                kept = start + 100
        except AnswerStoreError as error:
            print(error)
        there = store.lookup(ANSWERS, identity, [prompt(n) for n in range(20_000)])
        assert 100 <= kept < 20_000, kept
        assert all(there[prompt(n)] == answer(n) for n in range(kept))
        assert len(there) == kept, (len(there), kept)
        assert not store.writable
        store.keep(ANSWERS, identity, [(prompt(-1), answer(1))])
        print(store.notes)
    with AnswerStore(Path(sys.argv[1]) / "more") as store:
        pass
    """
    (tmp_path / "code.py").write_text(MAKE + textwrap.dedent(code))
    disk = tmp_path / "disk"
    disk.mkdir()
    done = in_a_namespace(
        f"mount -t tmpfs -o size=1m none '{disk}'; '{sys.executable}' '{tmp_path}/code.py' '{disk}'", disk
    )
    assert "not kept" in done.stdout, done.stderr
    # A second store finds no room at all, and says so as an error of ours.
    assert done.returncode == 0 or "AnswerStoreError" in done.stderr.splitlines()[-1], done.stderr


def test_a_store_on_a_disk_that_is_full_already(tmp_path: Path) -> None:
    code = """
    folder = Path(sys.argv[1])
    with AnswerStore(folder) as store:
        store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(20)])
    try:
        with (folder / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
    except OSError as error:
        assert error.errno == 28
    with AnswerStore(folder) as store:
        there = store.lookup(ANSWERS, identity, [prompt(n) for n in range(30)])
        assert there == {prompt(n): answer(n) for n in range(20)}, len(there)
        store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(20, 30)])
        assert not store.writable
        print(store.notes)
    """
    (tmp_path / "code.py").write_text(MAKE + textwrap.dedent(code))
    disk = tmp_path / "disk"
    disk.mkdir()
    done = in_a_namespace(
        f"mount -t tmpfs -o size=1m none '{disk}'; '{sys.executable}' '{tmp_path}/code.py' '{disk}'", disk
    )
    assert done.returncode == 0, done.stderr
    assert "stored answers are used, new ones are not kept" in done.stdout


@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "expected"),
    [
        (0o555, 0o444, "3 found; stored answers are used"),
        (0o755, 0o444, "3 found; stored answers are used"),
        (0o777, 0o444, "3 found; stored answers are used"),
        (0o777, 0o000, "cannot be read: Permission denied. Choose another folder: --pluralism-answers=DIR"),
        (0o000, 0o444, "Permission denied"),
    ],
)
def test_what_this_user_may_not_write_or_read(folder_mode: int, file_mode: int, expected: str) -> None:
    code = """
    import filelock, os
    if os.getuid() == 0:
        # Permissions do not bind root.
        os.setgroups([])
        os.setuid(65534)
    try:
        with AnswerStore(Path(sys.argv[1])) as store:
            there = store.lookup(ANSWERS, identity, [prompt(n) for n in range(10)])
            try:
                store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(10)])
            except AnswerStoreError:
                pass
            assert not store.writable
            print(len(there), "found;", store.notes[0].rpartition("; ")[2])
            assert len(store.lookup(ANSWERS, identity, [prompt(n) for n in range(10)])) == len(there)
    except AnswerStoreError as error:
        print(error)
    """
    # Not tmp_path, which lies in a folder that only its owner may enter.
    with tempfile.TemporaryDirectory() as outer:
        Path(outer).chmod(0o755)
        folder = Path(outer) / "store"
        with AnswerStore(folder) as store:
            fill(store, range(3))
        (folder / f"{FILE_NAME}.lock").unlink(missing_ok=True)
        (folder / FILE_NAME).chmod(file_mode)
        folder.chmod(folder_mode)
        process = run(code, folder)
        said, complaint = process.communicate(timeout=60)
        folder.chmod(0o700)
    assert process.returncode == 0, complaint
    assert expected in said
    assert "Traceback" not in complaint


@pytest.mark.parametrize("left_open", [False, True], ids=["closed", "left open"])
def test_a_read_only_file_system(tmp_path: Path, left_open: bool) -> None:
    code = """
    with AnswerStore(Path(sys.argv[1])) as store:
        assert not store.writable
        print(store.notes)
        there = store.lookup(ANSWERS, identity, [prompt(n) for n in range(30)])
        assert len(there) in ({10, 20} if sys.argv[2] == "True" else {20}), len(there)
        store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(30)])
        assert len(store.lookup(ANSWERS, identity, [prompt(n) for n in range(30)])) == len(there)
        assert store.verify().damaged == 0
    try:
        AnswerStore(Path(sys.argv[1]) / "none")
    except AnswerStoreError as error:
        assert "cannot be made: Read-only file system" in str(error)
    else:
        raise AssertionError("a store in a read-only folder")
    """
    (tmp_path / "code.py").write_text(MAKE + textwrap.dedent(code))
    disk = tmp_path / "disk"
    with AnswerStore(disk) as store:
        fill(store, range(10))
    with AnswerStore(disk) as store:
        fill(store, range(10, 20))
        if not left_open:
            store.close()
        done = in_a_namespace(
            f"mount --bind '{disk}' '{disk}'; mount -o remount,bind,ro '{disk}'; "
            f"'{sys.executable}' '{tmp_path}/code.py' '{disk}' {left_open}",
            disk,
        )
    assert done.returncode == 0, done.stderr
    assert "Read-only file system; stored answers are used, new ones are not kept" in done.stdout


def test_a_file_that_turns_out_to_be_read_only(tmp_path: Path, connections: list[sqlite3.Connection]) -> None:
    with AnswerStore(tmp_path) as store:
        fill(store, range(3))
        connections[-1].execute("PRAGMA query_only=ON")
        with pytest.raises(AnswerStoreError, match="it cannot be written"):
            fill(store, range(3, 6))
        assert found(store, range(6)) == {0, 1, 2}
        assert not store.writable


# ---------------------------------------------------------------------------------------------- least recently used


@pytest.mark.whole
def test_the_file_stays_within_its_bound(tmp_path: Path) -> None:
    clock = Clock()
    bound = 400_000
    with AnswerStore(tmp_path, most_bytes=bound, clock=clock) as store:
        for start in range(0, 5000, 50):
            clock.now += 1
            fill(store, range(start, start + 50))
            assert store.path.stat().st_size < 1.25 * bound
        there = found(store, range(5000))
        # The newest ones stay, and they are as many as fit.
        assert there >= set(range(5050 - len(there), 5000))
        assert min(there) >= 4950 - len(there)
        assert len(there) > 400
        assert store.verify().problems == ()


def test_what_is_used_stays(tmp_path: Path) -> None:
    clock = Clock()
    with AnswerStore(tmp_path, most_bytes=200_000, clock=clock) as store:
        fill(store, range(100))
        for start in range(100, 3000, 100):
            clock.now += 2 * TOUCH_AFTER
            assert found(store, range(10)) == set(range(10))
            fill(store, range(start, start + 100))
        assert found(store, range(100)) == set(range(10))


def test_one_call_that_is_larger_than_the_bound(tmp_path: Path) -> None:
    with AnswerStore(tmp_path, most_bytes=100_000) as store:
        fill(store, range(3000))
        assert 0 < len(found(store, range(3000))) < 400
        assert store.notes == ()


def test_pruning(tmp_path: Path) -> None:
    clock = Clock()
    other = dataclasses.replace(IDENTITY, name="other", sha256="cd" * 32)
    with AnswerStore(tmp_path, clock=clock) as store:
        fill(store, range(500))
        clock.now += 100
        fill(store, range(1000, 1500))
        fill(store, range(500), other)
        assert [(one.name, one.answers) for one in store.models()] == [("m", 1000), ("other", 500)]
        assert store.prune(older_than=50) == 500
        assert found(store, range(500)) == set()
        assert found(store, range(500), other) == set(range(500))
        assert store.prune(model_sha256s=["cd" * 32]) == 500
        assert [(one.name, one.answers) for one in store.models()] == [("m", 500)]
        assert store.prune(model_sha256s=[]) == 0
        assert store.prune() == 0
        before = store.path.stat().st_size
        assert 100 < store.prune(most_bytes=before // 2) < 400
        assert before // 3 < store.path.stat().st_size <= before // 2
        assert store.prune(most_bytes=0) > 0
        assert store.models() == []
        assert store.path.stat().st_size < 2**16
        assert store.verify() == StoreCheck(0, 0, 0)


# ------------------------------------------------------------------------------ responses, and scores of whole answers

SETTINGS = GenerationSettings(40, temperature=0.7, top_p=0.9, top_k=50, stop=("\n", "END"), seed=3)
WRITTEN = [
    Response("It is not. \ud800\x00", 7, "eos", 0),
    Response("", 1, "stop", 1),
    Response("Maybe", 40, "length", 2),
]
FULL = FullAnswerPrompt(PROMPT, ("Not at all", "Sehr schön"), neutral=Prompt("Answer:", (), cue=""))
FULL_SCORES = FullAnswerScores((-3.25, -math.inf), (-0.1, -5e-324), (3, 4), (10, 11))
PAIR = EntailmentPair("Steuern sind \ud800 gerecht.\x00", "Taxes are fair.")
ENTAILED = {
    PAIR: EntailmentScores(0.1, 0.7, 0.2),
    EntailmentPair(PAIR.hypothesis, PAIR.premise): EntailmentScores(5e-324, 1.0, 0.0),
    EntailmentPair("", "Taxes are fair."): EntailmentScores(0.30000000000000004),
}
ASKED = RewardRequest("What of taxes?\x00", "Steuern sind \ud800 gerecht.", "thrift")
REWARDED = {
    ASKED: -3.1000000000000005,
    dataclasses.replace(ASKED, attribute="fairness"): 5e-324,
    dataclasses.replace(ASKED, response=""): 1e300,
    dataclasses.replace(ASKED, prompt=ASKED.response, response=ASKED.prompt): 0.0,
}


def drawn(response: Response) -> Draw:
    """Return what was asked for a response."""
    return PROMPT, SETTINGS, response.draw


def draws(prompts: list[Prompt], settings: GenerationSettings = SETTINGS, n_draws: int = 3) -> list[Draw]:
    return [(prompt, settings, draw) for prompt in prompts for draw in range(n_draws)]


def old_store(folder: Path, version: int = 1) -> None:
    """Make a store of an older version, as that version made it."""
    with contextlib.closing(sqlite3.connect(folder / FILE_NAME, isolation_level=None)) as connection:
        connection.execute("PRAGMA application_id=1347179858")
        connection.execute(f"PRAGMA user_version={version}")
        for table in ("answers", "responses", "full_answers", "entailments")[: {1: 1, 2: 3, 3: 4}[version]]:
            connection.execute(f"""CREATE TABLE {table} (
    key BLOB NOT NULL PRIMARY KEY,
    model_sha256 TEXT NOT NULL,
    model TEXT NOT NULL,
    dtype TEXT NOT NULL,
    device TEXT NOT NULL,
    answer BLOB NOT NULL,
    checksum BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID""")
            connection.execute(f"CREATE INDEX {table}_by_use ON {table} (used, bytes)")
        connection.execute("PRAGMA journal_mode=WAL")
        for number in range(20):
            encoded = encode(ANSWERS, prompt(number), answer(number))
            assert encoded is not None
            row = row_of(IDENTITY, key_of(ANSWERS, IDENTITY, prompt(number)), encoded, time.time())
            connection.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?,?,?,?)", row)


def keep_all(store: AnswerStore) -> None:
    store.keep(RESPONSES, IDENTITY, [(drawn(response), response) for response in WRITTEN])
    store.keep(FULL_ANSWERS, IDENTITY, [(FULL, FULL_SCORES)])
    store.keep(ENTAILMENTS, IDENTITY, ENTAILED.items())
    store.keep(REWARDS, IDENTITY, REWARDED.items())


def all_there(store: AnswerStore) -> bool:
    responses = store.lookup(RESPONSES, IDENTITY, draws([PROMPT, prompt(1)], n_draws=4))
    assert responses in ({}, {drawn(response): response for response in WRITTEN})
    scores = store.lookup(FULL_ANSWERS, IDENTITY, [FULL])
    assert scores in ({}, {FULL: FULL_SCORES})
    entailments = store.lookup(ENTAILMENTS, IDENTITY, [*ENTAILED, EntailmentPair("a", "b")])
    assert entailments in ({}, ENTAILED)
    rewards = store.lookup(REWARDS, IDENTITY, [*REWARDED, RewardRequest("a", "b", "c")])
    assert rewards in ({}, REWARDED)
    assert bool(responses) is bool(scores) is bool(entailments) is bool(rewards)
    return bool(responses)


def test_responses_and_scores_come_back_exactly(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        assert not all_there(store)
        fill(store, range(5))
        keep_all(store)
        assert all_there(store)
        assert found(store, range(6)) == set(range(5))
    with AnswerStore(tmp_path) as store:
        assert all_there(store)
        assert store.notes == ()
        assert store.verify() == StoreCheck(5, 0, 0, responses=3, full_answers=1, entailments=3, rewards=4)
        (model,) = store.models()
        assert (model.answers, model.responses, model.full_answers) == (5, 3, 1)
        assert (model.entailments, model.rewards) == (3, 4)
        assert (store.hits, store.misses) == (11, 7)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_new_tokens": 41},
        {"temperature": 0.70000001},
        {"top_p": 1.0},
        {"top_k": None},
        {"stop": ("END", "\n")},
        {"seed": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_settings_are_a_miss(tmp_path: Path, changes: dict[str, object]) -> None:
    with AnswerStore(tmp_path) as store:
        keep_all(store)
        assert store.lookup(RESPONSES, IDENTITY, draws([PROMPT], dataclasses.replace(SETTINGS, **changes))) == {}  # type: ignore[arg-type]
        other = dataclasses.replace(IDENTITY, sha256="cd" * 32)
        assert store.lookup(RESPONSES, other, draws([PROMPT])) == {}
        assert store.lookup(FULL_ANSWERS, other, [FULL]) == {}
        assert store.lookup(ENTAILMENTS, other, list(ENTAILED)) == {}
        assert store.lookup(REWARDS, other, list(REWARDED)) == {}


def test_every_setting_is_tried_above() -> None:
    tried = {"max_new_tokens", "temperature", "top_p", "top_k", "stop", "seed"}
    assert {field.name for field in dataclasses.fields(GenerationSettings)} == tried


@pytest.mark.parametrize(
    "changes",
    [{"answers": ("Sehr schön", "Not at all")}, {"answers": ("Not at all",)}, {"prompt": prompt(1)},
     {"neutral": Prompt("Reply:", (), cue="")}],
)  # fmt: skip
def test_another_full_answer_prompt_is_a_miss(tmp_path: Path, changes: dict[str, object]) -> None:
    with AnswerStore(tmp_path) as store:
        keep_all(store)
        assert store.lookup(FULL_ANSWERS, IDENTITY, [dataclasses.replace(FULL, **changes)]) == {}  # type: ignore[arg-type]
        # The neutral prompt that is meant when none is named is the one that is kept.
        by_default = dataclasses.replace(FULL, neutral=None)
        assert store.lookup(FULL_ANSWERS, IDENTITY, [by_default, FULL]) == {by_default: FULL_SCORES, FULL: FULL_SCORES}


def test_numbers_that_are_equal_are_one_setting() -> None:
    keys = {
        key_of(RESPONSES, IDENTITY, (PROMPT, GenerationSettings(5, temperature=temperature, top_p=top_p), 0))
        for temperature, top_p in ((1, 1), (1.0, 1.0))
    }
    assert len(keys) == 1


def test_the_kinds_have_keys_of_their_own() -> None:
    keys = [key_of(RESPONSES, IDENTITY, (PROMPT, SETTINGS, draw)) for draw in range(3)]
    keys += [key_of(ANSWERS, IDENTITY, PROMPT), key_of(FULL_ANSWERS, IDENTITY, FULL)]
    # The two directions of a pair of texts are two questions.
    keys += [key_of(ENTAILMENTS, IDENTITY, pair) for pair in ENTAILED]
    # Of a reward, what is said and what it is said to.
    keys += [key_of(REWARDS, IDENTITY, asked) for asked in REWARDED]
    assert len(set(keys)) == 12


def test_what_is_no_response_or_score_is_left_out_with_a_note(tmp_path: Path) -> None:
    bad_responses = [
        Response(7, 1, "eos", 0),  # type: ignore[arg-type]
        Response("a", True, "eos", 0),
        Response("a", 1.0, "eos", 0),  # type: ignore[arg-type]
        Response("a", 1, None, 0),  # type: ignore[arg-type]
        Response("a", 1, "eos", -1),
        Response("a" * 2_000_000, 1, "eos", 0),
    ]
    bad_scores = [
        dataclasses.replace(FULL_SCORES, log_likelihoods=(math.nan, -1.0)),
        dataclasses.replace(FULL_SCORES, neutral_log_likelihoods=(-1.0,)),
        dataclasses.replace(FULL_SCORES, n_tokens=(1, 0)),
        dataclasses.replace(FULL_SCORES, n_bytes=(1, 1.5)),  # type: ignore[arg-type]
        FullAnswerScores((-1.0,), (-1.0,), (1,), (1,)),
    ]
    bad_entailments = [
        EntailmentScores(math.nan, 0.5, 0.5),
        EntailmentScores(1.0000001, 0.0, 0.0),
        EntailmentScores(0.5, -1e-9, 0.5),
        EntailmentScores(0.5, 0.5),
        EntailmentScores(0.5, None, 0.5),
        EntailmentScores(math.inf),
        EntailmentScores("0.5"),  # type: ignore[arg-type]
        EntailmentScores(True),
    ]
    with AnswerStore(tmp_path) as store:
        store.keep(RESPONSES, IDENTITY, [(drawn(response), response) for response in bad_responses])
        store.keep(FULL_ANSWERS, IDENTITY, [(FULL, scores) for scores in bad_scores])
        store.keep(ENTAILMENTS, IDENTITY, [(PAIR, scores) for scores in bad_entailments])
        store.keep(REWARDS, IDENTITY, [(ASKED, reward) for reward in (math.nan, math.inf, True, "0.5", None)])  # type: ignore[list-item]
        assert store.verify() == StoreCheck(0, 0, 0)
        assert any("24 answers were not kept" in note for note in store.notes)


@pytest.mark.parametrize("table", ["responses", "full_answers", "entailments", "rewards"])
def test_damaged_responses_and_scores_are_never_used(tmp_path: Path, table: str) -> None:
    with AnswerStore(tmp_path) as store:
        keep_all(store)
        with raw(tmp_path) as connection:
            connection.execute(
                f"UPDATE {table} SET answer = CAST(replace(CAST(answer AS TEXT), '}}', ']') AS BLOB)"  # noqa: S608
            )
        n_damaged = {"responses": 3, "full_answers": 1, "entailments": 3, "rewards": 4}[table]
        assert store.verify().damaged == n_damaged
        there = store.lookup(RESPONSES, IDENTITY, draws([PROMPT]))
        assert len(there) == (0 if table == "responses" else 3)
        assert bool(store.lookup(FULL_ANSWERS, IDENTITY, [FULL])) is (table != "full_answers")
        assert bool(store.lookup(ENTAILMENTS, IDENTITY, list(ENTAILED))) is (table != "entailments")
        assert bool(store.lookup(REWARDS, IDENTITY, list(REWARDED))) is (table != "rewards")
        assert store.damaged == n_damaged
        keep_all(store)
        assert all_there(store)


def test_a_row_in_the_wrong_table_is_not_used(tmp_path: Path) -> None:
    with AnswerStore(tmp_path) as store:
        keep_all(store)
        with raw(tmp_path) as connection:
            connection.execute("INSERT INTO answers SELECT * FROM responses")
            connection.execute("INSERT INTO full_answers SELECT * FROM responses")
            connection.execute("INSERT INTO entailments SELECT * FROM full_answers")
            connection.execute("INSERT INTO rewards SELECT * FROM full_answers")
        assert all_there(store)
        assert store.verify() == StoreCheck(3, 0, 14, responses=3, full_answers=4, entailments=7, rewards=8)


@pytest.mark.whole
def test_pruning_and_eviction_are_for_all_kinds(tmp_path: Path) -> None:
    clock = Clock()
    with AnswerStore(tmp_path, clock=clock, most_bytes=300_000) as store:
        keep_all(store)
        clock.now += 100
        fill(store, range(5))
        assert store.prune(older_than=50) == 11
        assert not all_there(store)
        assert found(store, range(5)) == set(range(5))
        keep_all(store)
        assert store.prune(model_sha256s=["ab" * 32]) == 16
        assert store.models() == []
        # The answer that was used longest ago goes first, of every kind.
        keep_all(store)
        for start in range(0, 3000, 100):
            clock.now += 1
            fill(store, range(start, start + 100))
        assert not all_there(store)
        assert found(store, range(2950, 3000)) == set(range(2950, 3000))
        clock.now += 2 * TOUCH_AFTER
        for start in range(0, 1000, 50):
            clock.now += 1
            long = Response("x" * 500, 9, "eos")
            store.keep(RESPONSES, IDENTITY, [((prompt(n), SETTINGS, 0), long) for n in range(start, start + 50)])
            assert store.path.stat().st_size < 1.3 * 300_000
        assert found(store, range(3000)) == set()
        assert store.models()[0].responses > 100


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_store_of_an_older_version_keeps_its_answers(tmp_path: Path, version: int) -> None:
    old_store(tmp_path, version)
    with AnswerStore(tmp_path, read_only=True) as store:
        assert found(store, range(21)) == set(range(20))
        assert not all_there(store)
        assert store.verify() == StoreCheck(20, 0, 0)
        assert store.models()[0].answers == 20
    with raw(tmp_path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
        # A process of the older version that has the file open goes on.
        connection.execute("SELECT count(*) FROM answers").fetchone()
        with AnswerStore(tmp_path) as store:
            assert found(store, range(21)) == set(range(20))
            keep_all(store)
            assert all_there(store)
            assert store.notes == ()
        connection.execute("UPDATE answers SET used = used")
    with AnswerStore(tmp_path) as store:
        assert all_there(store)
        assert store.verify() == StoreCheck(20, 0, 0, responses=3, full_answers=1, entailments=3, rewards=4)
    assert damaged_files(tmp_path) == []
    with raw(tmp_path) as connection, AnswerStore(tmp_path / "new"), raw(tmp_path / "new") as fresh:
        same = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
        assert connection.execute(same).fetchall() == fresh.execute(same).fetchall()
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_migration_that_is_cut_short_leaves_the_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_store(tmp_path)
    real = disk.statements

    def killed(table: str) -> tuple[str, ...]:
        if table == "full_answers":
            raise KeyboardInterrupt
        return real(table)

    monkeypatch.setattr(disk, "statements", killed)
    with pytest.raises(KeyboardInterrupt):
        AnswerStore(tmp_path)
    with raw(tmp_path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() == (1,)
    monkeypatch.undo()
    with AnswerStore(tmp_path) as store:
        keep_all(store)
        assert all_there(store)
        assert found(store, range(20)) == set(range(20))


def test_a_migration_waits_for_a_lock_and_gives_up_in_time(tmp_path: Path) -> None:
    old_store(tmp_path)
    with raw(tmp_path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AnswerStoreError, match="locked by another process"):
            AnswerStore(tmp_path, patience=0.2)
        other.execute("ROLLBACK")
    with AnswerStore(tmp_path) as store:
        assert found(store, range(20)) == set(range(20))


def test_a_store_of_version_1_that_cannot_be_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_store(tmp_path)

    def full(table: str) -> tuple[str, ...]:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(disk, "statements", full)
    with AnswerStore(tmp_path) as store:
        assert found(store, range(20)) == set(range(20))
        keep_all(store)
        assert not all_there(store)
        assert not store.writable
        assert "the disk is full" in store.notes[0]


@pytest.mark.whole
def test_processes_that_meet_a_store_of_version_1_at_once(tmp_path: Path) -> None:
    old_store(tmp_path)
    code = """
        with AnswerStore(Path(sys.argv[1])) as store:
            assert len(store.lookup(ANSWERS, identity, [prompt(number) for number in range(20)])) == 20
            store.keep(ANSWERS, identity, [(prompt(int(sys.argv[2])), answer(int(sys.argv[2])))])
            assert store.notes == (), store.notes
    """
    workers = [run(code, tmp_path, 100 + number) for number in range(4)]
    for worker in workers:
        assert worker.communicate(timeout=60)[1] == ""
        assert worker.returncode == 0
    with AnswerStore(tmp_path) as store:
        assert found(store, range(120)) == {*range(20), 100, 101, 102, 103}
    assert damaged_files(tmp_path) == []


# ------------------------------------------------------------------------------------------------ several processes


@pytest.mark.whole
def test_four_processes_write_at_once(tmp_path: Path) -> None:
    code = """
    own = int(sys.argv[2])
    with AnswerStore(Path(sys.argv[1]), patience=60) as store:
        for start in range(0, 400, 20):
            # Half of each batch is its own, half is written by everybody.
            numbers = [*range(start, start + 10), *(1000 * own + n for n in range(start, start + 10))]
            store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in numbers])
            there = store.lookup(ANSWERS, identity, [prompt(n) for n in numbers])
            assert all(there[prompt(n)] == answer(n) for n in numbers)
        assert store.notes == (), store.notes
    """
    workers = [run(code, tmp_path, own) for own in (1, 2, 3, 4)]
    ends = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, ends
    expected = {base + n for base in (0, 1000, 2000, 3000, 4000) for s in range(0, 400, 20) for n in range(s, s + 10)}
    with AnswerStore(tmp_path) as store:
        assert found(store, range(5000)) == expected
        assert store.verify() == StoreCheck(len(expected), 0, 0)
        assert store.notes == ()
    assert damaged_files(tmp_path) == []


def kill_at_random_moments(folder: Path, times: int) -> None:
    """Kill a writer again and again; all that it said it kept must be there, with its right answers."""
    code = """
    start = int(sys.argv[2])
    with AnswerStore(Path(sys.argv[1])) as store:
        assert store.notes == (), store.notes
        print("open", flush=True)
        for number in range(start, start + 100_000, 5):
            store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(number, number + 5)])
            print(number, flush=True)
    """
    chance = random.Random(0)
    committed: set[int] = set()
    for round_number in range(times):
        start = 100_000 * round_number
        writer = run(code, folder, start)
        assert writer.stdout is not None
        if round_number % 4 == 3:
            # Also while it starts: the imports take most of this.
            time.sleep(chance.uniform(0.05, 0.4))
        else:
            assert writer.stdout.readline() == "open\n", writer.communicate()
            time.sleep(chance.uniform(0.0, 0.3))
        writer.kill()
        assert writer.stderr is not None
        # Not communicate(): that would miss lines which came together with "open" and wait in the buffer.
        with writer:
            said, complaint = writer.stdout.read(), writer.stderr.read()
        # A line that was cut by the kill does not promise anything.
        lines = [line for line in said.splitlines(keepends=True) if line.endswith("\n") and line.strip().isdigit()]
        assert complaint == ""
        numbers = [int(line) for line in lines]
        committed |= {n for number in numbers for n in range(number, number + 5)}
        with contextlib.closing(sqlite3.connect(folder / FILE_NAME)) as connection:
            if (folder / FILE_NAME).stat().st_size:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        with AnswerStore(folder) as store:
            assert store.notes == ()
            there = store.lookup(ANSWERS, IDENTITY, [prompt(n) for n in committed])
            assert all(there.get(prompt(n)) == answer(n) for n in committed)
            check = store.verify()
            assert (check.damaged, check.problems) == (0, ())
            # At most the one call that was under way is there beside them, whole.
            assert check.answers - len(committed) in {5 * extra for extra in range(round_number + 2)}
    assert committed
    assert damaged_files(folder) == []


@pytest.mark.whole
def test_killed_writers_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, 8)


@pytest.mark.slow
def test_many_killed_writers_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    kill_at_random_moments(tmp_path, 20)


@pytest.mark.slow
def test_writers_that_are_killed_while_others_write(tmp_path: Path) -> None:
    code = """
    own = int(sys.argv[2])
    with AnswerStore(Path(sys.argv[1]), patience=60) as store:
        for number in range(100_000 * own, 100_000 * own + int(sys.argv[3]), 5):
            store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(number, number + 5)])
        assert store.notes == (), store.notes
    """
    steady = run(code, tmp_path, 0, 8000)
    chance = random.Random(1)
    for own in range(1, 11):
        victim = run(code, tmp_path, own, 100_000)
        time.sleep(chance.uniform(0.3, 1.0))
        victim.kill()
        victim.communicate()
    said, complaint = steady.communicate(timeout=300)
    assert steady.returncode == 0, (said, complaint)
    with AnswerStore(tmp_path) as store:
        assert found(store, range(8000)) == set(range(8000))
        check = store.verify()
        assert (check.damaged, check.problems) == (0, ())


@pytest.mark.whole
def test_four_processes_meet_the_same_damage(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    code = """
    with AnswerStore(Path(sys.argv[1]), patience=60) as store:
        own = int(sys.argv[2])
        store.keep(ANSWERS, identity, [(prompt(n), answer(n)) for n in range(10 * own, 10 * own + 10)])
    """
    workers = [run(code, tmp_path, own) for own in range(4)]
    ends = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4, ends
    assert damaged_files(tmp_path) == [f"{FILE_NAME}.damaged-1"]
    with AnswerStore(tmp_path) as store:
        assert found(store, range(40)) == set(range(40))


def test_the_store_needs_neither_torch_nor_pytest() -> None:
    code = (
        "import sys, pytest_pluralism.models.answers.store\n"
        "heavy = {'torch', 'numpy', 'scipy', 'transformers', 'pytest', 'rich', 'platformdirs', 'filelock'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
