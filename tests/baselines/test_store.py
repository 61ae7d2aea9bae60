"""Baseline files by themselves: written and read back, migrated, damaged in every way, killed in the middle."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.baselines.places import LocalFile, RemoteFile, companion_name, file_name, place_of
from pytest_pluralism.baselines.schema import SCHEMA, SCHEMA_1, baseline_texts
from pytest_pluralism.baselines.store import (
    change_entries,
    merge_entries,
    model_of,
    read_baseline,
    remove_entries,
)
from pytest_pluralism.core.errors import BaselineError, MissingExtraError

VERSION_1 = Path(__file__).with_name("version_1.json")

UPDATE = "pytest --pluralism-update-baseline test_x.py"


def entry(*values: float, direction: str = "lower", **changes: Any) -> dict[str, Any]:
    units = [
        {"id": f"q{number}", "cluster": f"c{number // 2}", "value": value, "sha256": f"{number:016x}"}
        for number, value in enumerate(values)
    ]
    mean = sum(values) / len(values)
    return {
        "metric": "js_distance",
        "direction": direction,
        "population": "North",
        "estimate": {"value": mean, "low": mean - 0.1, "high": mean + 0.1, "standard_error": 0.05, "n": len(values)},
        "variance": sum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else None,
        "noise_floor": 1e-5,
        "gate": {"max_increase": 0.02},
        "model": {"name": "m", "sha256": "ab"},
        "dataset": {"name": "town", "sha256": "cd"},
        "prompts_sha256": "ef",
        "settings": {"seed": 0},
        "origins": {},
        "versions": {"python": "3.11"},
        "units": units,
        **changes,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.json"
    merge_entries(path, "m", {"a": entry(0.1, 0.2, 0.4), "b": entry(0.5, 0.7)})
    return path


def companion_of(path: Path) -> Path:
    return path.with_name(companion_name(path.name))


def bare(entries: dict[str, Any]) -> Any:
    return json.loads(json.dumps(entries))


def test_what_is_stored_comes_back(file: Path) -> None:
    there = read_baseline(file, "m", update=UPDATE)
    anchors = {key: one.pop("anchor") for key, one in there.items()}
    assert [one.pop("looks") for one in there.values()] == [0, 0]
    assert bare(there) == bare({"a": entry(0.1, 0.2, 0.4), "b": entry(0.5, 0.7)})
    # The first accepted result is its own anchor.
    parts = ("metric", "estimate", "model", "dataset", "settings", "versions", "prompts_sha256", "noise_floor", "units")
    assert all(anchors[key][part] == there[key][part] for key in there for part in parts)
    assert model_of(file) == "m"
    summary = json.loads(file.read_text(encoding="utf-8"))
    assert summary["schema"] == SCHEMA
    assert summary["entries"]["a"]["units"] == {"n": 3, "sha256": summary["entries"]["a"]["units"]["sha256"]}
    lines = companion_of(file).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["a", "b"]
    assert json.loads(lines[0])["values"] == [0.1, 0.2, 0.4]


def test_a_summary_has_no_line_that_every_release_changes(file: Path) -> None:
    # A new release changes its numbers and its hashes, and nothing else in the summary or in other tests' lines.
    before = file.read_text(encoding="utf-8").splitlines()
    others = companion_of(file).read_text(encoding="utf-8").splitlines()[1]
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.5)})
    after = file.read_text(encoding="utf-8").splitlines()
    changed = [line.split('"')[1] for line, old in zip(after, before, strict=True) if line != old]
    # One look more at the anchor, which stays what it was.
    assert changed == ["value", "low", "high", "variance", "looks", "sha256"]
    assert others in companion_of(file).read_text(encoding="utf-8").splitlines()


def test_storing_the_same_again_writes_nothing(file: Path) -> None:
    before = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in (file, companion_of(file))]
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.4)})
    after = [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in (file, companion_of(file))]
    assert after == before


@pytest.mark.parametrize(
    ("mode", "stored", "a", "c"),
    [("all", ("a", "c"), 0.6, 0.3), ("new", ("c",), 0.7 / 3, 0.3), ("better", ("c",), 0.7 / 3, 0.3)],
)
def test_ways_to_update(file: Path, mode: str, stored: tuple[str, ...], a: float, c: float) -> None:
    assert merge_entries(file, "m", {"a": entry(0.6, 0.6), "c": entry(0.3, 0.3)}, mode=mode) == stored
    there = read_baseline(file, "m", update=UPDATE)
    assert {key: round(one["estimate"]["value"], 9) for key, one in there.items()} == {
        "a": round(a, 9),
        "b": 0.6,
        "c": c,
    }


def test_better_is_in_the_direction_of_the_measure(file: Path) -> None:
    values = [0.3 + 0.02 * number for number in range(16)]
    lower, higher = [value - 0.1 - value / 20 for value in values], [value + 0.1 + value / 20 for value in values]
    merge_entries(file, "m", {"a": entry(*values), "b": entry(*values, direction="higher")})
    assert merge_entries(file, "m", {"a": entry(*lower)}, mode="better") == ("a",)
    assert merge_entries(file, "m", {"b": entry(*higher, direction="higher")}, mode="better") == ("b",)
    assert merge_entries(file, "m", {"b": entry(*values, direction="higher")}, mode="better") == ()


def test_removing_takes_the_lines_too(file: Path) -> None:
    remove_entries(file, "m", {"a", "never there"})
    assert set(read_baseline(file, "m", update=UPDATE)) == {"b"}
    assert len(companion_of(file).read_text(encoding="utf-8").splitlines()) == 1


# --------------------------------------------------------------------------------------------------------- version 1


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    shutil.copy(VERSION_1, path)
    there = read_baseline(path, "plain", update=UPDATE)
    old = json.loads(VERSION_1.read_text(encoding="utf-8"))
    assert old["schema"] == SCHEMA_1
    assert set(there) == set(old["entries"])
    for key, one in there.items():
        assert one["estimate"] == old["entries"][key]["estimate"]
        assert [(unit["id"], unit["cluster"], unit["value"]) for unit in one["units"]] == [
            (unit["id"], unit["cluster"], unit["value"]) for unit in old["entries"][key]["units"]
        ]
        # A field that the old version did not keep is unknown, and not made up.
        assert one["prompts_sha256"] is None
        assert {unit["sha256"] for unit in one["units"]} == {None}


def test_an_update_makes_version_2_of_it(tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    shutil.copy(VERSION_1, path)
    old = read_baseline(path, "plain", update=UPDATE)
    merge_entries(path, "plain", {"z": entry(0.5, 0.5)})
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == SCHEMA
    there = read_baseline(path, "plain", update=UPDATE)
    assert set(there) == {*old, "z"}
    for key, one in old.items():
        assert there[key]["units"] == one["units"]
        assert there[key]["from_version"] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"from_version": 1}, "it says that it is of version 1, which did not keep"),
        ({"from_version": 1, "prompts_sha256": None}, "which did not keep noise_floor, gate, sha256s"),
        ({"from_version": True}, "it says that it is of version 'True', and only 1 is an older one"),
        ({"from_version": 0}, "it says that it is of version '0'"),
        ({"from_version": "1"}, "it says that it is of version '1', and only 1"),
    ],
)
def test_an_entry_cannot_claim_to_be_older_than_it_is(file: Path, changes: dict[str, Any], says: str) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    content["entries"]["a"] |= changes
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BaselineError, match="corrupt baseline") as found:
        read_baseline(file, "m", update=UPDATE)
    assert says in str(found.value)


def test_what_to_type_is_quoted_for_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "it's $(here)" / "a b.json"
    merge_entries(file, "m", {"a": entry(0.1, 0.2)})
    for damaged in (file, companion_of(file)):
        before = damaged.read_text(encoding="utf-8")
        for text in (before[:20], "<<<<<<< HEAD\n" + before):
            damaged.write_text(text, encoding="utf-8")
            with pytest.raises(BaselineError) as found:
                read_baseline(file, "m", update=UPDATE)
            command = re.search(r"\((git checkout .*?)\)[.,]? ", str(found.value).replace("$(here)", "$[here]"))
            assert command is not None
            words = shlex.split(command[1].replace("$[here]", "$(here)"))
            assert {words[-1], *words[words.index("--") + 1 :]} <= {str(file), str(companion_of(file))}
        damaged.write_text(before, encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ damage


def edit(old: str, new: str, *, companion: bool = False) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path = companion_of(path) if companion else path
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


def cut(*, companion: bool) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path = companion_of(path) if companion else path
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return apply


def sparse(*, companion: bool) -> Callable[[Path], None]:
    return lambda path: os.truncate(companion_of(path) if companion else path, 500_000_000)


def link(*, companion: bool) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path = companion_of(path) if companion else path
        elsewhere = path.parent.parent / f"elsewhere-{path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)

    return apply


def swap_units(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    entries = content["entries"]
    entries["a"]["units"], entries["b"]["units"] = entries["b"]["units"], entries["a"]["units"]
    path.write_text(json.dumps(content), encoding="utf-8")


def bytes_of(content: bytes, *, companion: bool = False) -> Callable[[Path], None]:
    return lambda path: (companion_of(path) if companion else path).write_bytes(content) and None


@pytest.mark.parametrize(
    ("damage", "says", "remedy"),
    [
        (lambda path: path.unlink(), "no baseline: {file} does not exist", UPDATE),
        (edit("baseline/3", "baseline/4"), "has the newer schema 'pytest-pluralism/baseline/4'", "Install the version"),
        (edit("baseline/3", "report/1"), "its schema is 'pytest-pluralism/report/1'", "git checkout -- {file}"),
        (edit('"value": 0.6', '"value": 0.5'), "is not the mean of its units (0.600000)", "was it edited by hand?"),
        (edit('"n": 3\n', '"n": 4\n'), "says n=4 but has 3 units", "was it edited by hand?"),
        (edit('"low": 0.5', '"low": 0.65'), "lies outside its interval", "was it edited by hand?"),
        (edit('"variance": 0.0', '"variance": 0.1'), "its variance 0.1", "was it edited by hand?"),
        (edit('"noise_floor": 1e-05', '"noise_floor": -1'), "its noise floor is '-1'", "git checkout -- {file}"),
        (
            edit('"n": 3,\n    "sha256": "', '"n": 3,\n    "sha256": "0'),
            "does not hold the units of entry 'a'",
            "git checkout -- {file} {units}",
        ),
        (edit("0.1,0.2", "0.1,0.3", companion=True), "does not hold the units of entry 'a'", "Restore both"),
        (swap_units, "entry 'a' names the units of 'b'", "git checkout -- {file}"),
        (edit('"a": {', '"b": {'), "'b' stands there twice", "git checkout -- {file}"),
        (edit('{\n "schema"', '<<<<<<< HEAD\n{\n "schema"'), "merge conflict markers", "git checkout --ours"),
        (edit('{"key"', '>>>>>>> theirs\n{"key"', companion=True), "merge conflict markers", "git checkout --ours"),
        (cut(companion=False), "is not JSON", "git checkout -- {file}"),
        (cut(companion=True), "does not hold the units of entry 'a'", "git checkout -- {file} {units}"),
        (lambda path: companion_of(path).unlink(), "{units} is missing", "git checkout -- {units}"),
        (bytes_of(b""), "is not JSON", "git checkout -- {file}"),
        (bytes_of(b"[]"), "does not name its schema", "git checkout -- {file}"),
        (bytes_of(b"[" * 200_000), "is not JSON", "git checkout -- {file}"),
        (bytes_of(b"\xff\xfe\x00"), "{file} is not UTF-8 text", "git checkout -- {file}"),
        (bytes_of(b"\xff\n", companion=True), "{units} is not UTF-8 text", "git checkout -- {units}"),
        (sparse(companion=False), "{file} has 500000000 bytes", "restore it"),
        (sparse(companion=True), "{units} has 500000000 bytes", "restore it"),
        (link(companion=False), "{file} is a symbolic link out of its folder", "name that file itself"),
        (link(companion=True), "{units} is a symbolic link out of its folder", "Replace it by a copy"),
        (lambda path: path.unlink() or path.mkdir(), "{file} is not a file", "Name a .json file or a folder"),
        (lambda path: path.unlink() or os.mkfifo(path), "{file} is not a file", "Name a .json file or a folder"),
    ],
)
def test_what_cannot_be_used_is_told_and_left_alone(
    tmp_path: Path, damage: Callable[[Path], None], says: str, remedy: str
) -> None:
    folder = tmp_path / "stored"
    folder.mkdir()
    file = folder / "m.json"
    merge_entries(file, "m", {"a": entry(0.1, 0.2, 0.4), "b": entry(0.5, 0.7)})
    damage(file)
    names = {"file": file.as_posix(), "units": companion_of(file).as_posix()}
    with pytest.raises(BaselineError) as found:
        read_baseline(file, "m", update=UPDATE)
    assert says.format(**names) in str(found.value)
    assert remedy.format(**names) in str(found.value)
    if not says.startswith("no baseline"):
        before = sorted((path.name, path.lstat().st_size) for path in folder.iterdir())
        with pytest.raises(BaselineError):
            merge_entries(file, "m", {"c": entry(0.5, 0.5)})
        assert sorted((path.name, path.lstat().st_size) for path in folder.iterdir()) == before


def test_the_line_ends_of_another_system_are_no_damage(file: Path) -> None:
    for path in (file, companion_of(file)):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert set(read_baseline(file, "m", update=UPDATE)) == {"a", "b"}


def test_a_link_inside_the_folder_stays_a_link(file: Path) -> None:
    file.rename(file.with_name("real.json"))
    file.symlink_to("real.json")
    merge_entries(file, "m", {"c": entry(0.5, 0.5)})
    assert file.is_symlink()
    assert set(read_baseline(file, "m", update=UPDATE)) == {"a", "b", "c"}


def test_another_model(file: Path) -> None:
    with pytest.raises(BaselineError, match=r"another model \('m', not 'other'\).*--pluralism-baseline-model=m"):
        read_baseline(file, "other", update=UPDATE)
    assert set(read_baseline(file, None, update=UPDATE)) == {"a", "b"}


@pytest.mark.parametrize(
    "name", ["..", "../../etc/passwd", "/etc/passwd", "a/../../b", "..\\..\\b", "", "\0", ".git", "x" * 5]
)
def test_the_name_of_a_model_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    found = place_of(tmp_path, name)
    assert isinstance(found, LocalFile)
    assert found.path.parent == tmp_path
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._~-]*\.json", found.path.name)


@pytest.mark.parametrize(
    "names",
    [
        ("a/b", "a--b", "a-/-b", "a/b/", "a//b", "/a/b", "a.b", "a b"),
        ("模型", "модель", "", ".", "..", "model", "é", "è", "\ud800"),
        ("x" * 300, "x" * 301, "x" * 120, "x" * 121, "x" * 119 + "/" + "y" * 200),
    ],
    ids=["separators", "letters", "long"],
)
def test_each_model_has_a_file_of_its_own(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        merge_entries(place_of(tmp_path, name), name, {"k": entry(0.1 * number, 0.2)})
    for number, name in enumerate(names):
        found = read_baseline(place_of(tmp_path, name), name, update=UPDATE)
        assert found["k"]["units"][0]["value"] == 0.1 * number
    assert len(list(tmp_path.glob("*.json"))) == len(names)


@given(st.lists(st.text(max_size=8), min_size=2, max_size=2, unique=True))
def test_no_two_names_of_models_are_one_file(names: list[str]) -> None:
    assert len({file_name(name) for name in names}) == 2


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "Org/Name_1.5", "a.b-c", "x" * 120])
def test_ordinary_names_stay_what_they_were(name: str) -> None:
    assert file_name(name) == name.replace("/", "--") + ".json"


def test_what_was_stored_under_an_earlier_name_is_found(tmp_path: Path) -> None:
    merge_entries(tmp_path / "model.json", "模型", {"k": entry(0.5, 0.7)})
    assert set(read_baseline(place_of(tmp_path, "模型"), "模型", update=UPDATE)) == {"k"}
    # Another model that had the same name then gets a file of its own.
    merge_entries(place_of(tmp_path, "модель"), "модель", {"k": entry(0.1, 0.2)})
    assert len(list(tmp_path.glob("*.json"))) == 2
    merge_entries(place_of(tmp_path, "模型"), "模型", {"l": entry(0.5, 0.7)})
    assert set(read_baseline(tmp_path / "model.json", "模型", update=UPDATE)) == {"k", "l"}


def test_names_with_anything_in_them(tmp_path: Path) -> None:
    odd = {"x\u2028y\ud800\x1b[2J": entry(0.5, 0.7), "<<<<<<< \n": entry(0.1, 0.2)}
    merge_entries(tmp_path / "m.json", "m", odd)
    assert set(read_baseline(tmp_path / "m.json", "m", update=UPDATE)) == set(odd)


def test_a_value_that_is_no_number_is_not_stored(file: Path) -> None:
    before = file.read_bytes(), companion_of(file).read_bytes()
    with pytest.raises(BaselineError, match="cannot be written"):
        merge_entries(file, "m", {"c": entry(0.5, 0.5, variance=float("nan"))})
    assert (file.read_bytes(), companion_of(file).read_bytes()) == before


# ------------------------------------------------------------------------------------------- read-only, at once, killed

#: Where nobody may write too.
ENVIRONMENT = os.environ | {"TMPDIR": "/tmp"}

AS_NOBODY = """
import os, sys
from pathlib import Path
from pytest_pluralism.baselines.store import merge_entries, read_baseline
from pytest_pluralism.core.errors import BaselineError
import filelock, json, hashlib, tempfile
entry = json.loads(sys.argv[2])
if os.getuid() == 0:
    # Permissions do not bind root.
    os.setgroups([])
    os.setuid(65534)
file = Path(sys.argv[1])
print(len(read_baseline(file, "m", update="")))
try:
    merge_entries(file, "m", {"c": entry})
except BaselineError as error:
    print(error)
"""


def test_a_read_only_folder(file: Path) -> None:
    folder = file.parent
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o555)
    folder.chmod(0o555)
    try:
        arguments = [sys.executable, "-c", AS_NOBODY, str(file), json.dumps(entry(0.5, 0.5))]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    finally:
        folder.chmod(0o755)
    count, why = done.stdout.splitlines()
    assert count == "2"
    assert "cannot be written: Permission denied. Nothing was changed. Choose a folder that can be written" in why


UPDATES_FOR_EVER = """
import json, sys
from pathlib import Path
from pytest_pluralism.baselines.store import merge_entries

entry = json.loads(sys.argv[2])
print("ready", flush=True)
number = 0
while True:
    number += 1
    value = number % 97 / 100
    for unit in entry["units"]:
        unit["value"] = value
    entry["estimate"] = {"value": value}
    entry["variance"] = 0.0
    merge_entries(Path(sys.argv[1]), "m", {f"{sys.argv[3]} {name}": entry for name in range(20)})
"""


@pytest.mark.whole
def test_killed_in_the_middle_of_an_update_the_old_or_the_new_file_is_there(file: Path) -> None:
    """Kill -9, for real, at moments that nobody chose."""
    random.seed(8)
    some = json.dumps(entry(*[0.5] * 300))
    for _ in range(12):
        command = [sys.executable, "-c", UPDATES_FOR_EVER, str(file), some, "k"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(random.uniform(0.0, 0.15))
            writer.send_signal(signal.SIGKILL)
            assert writer.wait() == -signal.SIGKILL
        there = read_baseline(file, "m", update=UPDATE)
        assert {"a", "b"} <= set(there)
        values = {one["estimate"]["value"] for key, one in there.items() if key.startswith("k ")}
        assert len(values) <= 1, "all entries of one update, or none"
    # The next update removes the traces of the killed ones, their half-written files too.
    (file.parent / ".m.json.abc.tmp").write_text("{", encoding="utf-8")
    merge_entries(file, "m", {"c": entry(0.5, 0.5)})
    there = read_baseline(file, "m", update=UPDATE)
    # Each line is one that an entry or its anchor names, and there is no other.
    shown = json.loads(file.read_text(encoding="utf-8"))["entries"].values()
    named = {part["units"]["sha256"] for one in shown for part in (one, one["anchor"])}
    assert len(companion_of(file).read_text(encoding="utf-8").splitlines()) == len(named)
    assert sorted(path.name for path in file.parent.iterdir()) == ["m.json", "m.units.jsonl"]


@pytest.mark.whole
def test_whoever_reads_meanwhile_sees_a_whole_baseline(file: Path) -> None:
    some = json.dumps(entry(*[0.5] * 50))
    command = [sys.executable, "-c", UPDATES_FOR_EVER, str(file), some, "k"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            seen = set()
            end = time.monotonic() + 2.0
            while time.monotonic() < end or len(seen) < 2:
                there = read_baseline(file, "m", update=UPDATE)
                values = {one["estimate"]["value"] for key, one in there.items() if key.startswith("k ")}
                assert len(values) <= 1
                seen |= values
        finally:
            writer.kill()


def test_a_run_that_waits_too_long_for_another_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_pluralism.baselines.places.LOCK_SECONDS", 0.05)
    before = file.read_bytes()
    # Another thread of this process would be let in: the lock knows its own.
    code = (
        "import sys, time; from pathlib import Path; from pytest_pluralism.baselines.places import LocalFile\n"
        "with LocalFile(Path(sys.argv[1])).locked():\n    print('locked', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        try:
            with pytest.raises(BaselineError, match=r"written by another run .* Nothing was changed\. Run"):
                merge_entries(file, "m", {"c": entry(0.5, 0.5)})
        finally:
            other.kill()
    assert file.read_bytes() == before


# --------------------------------------------------------------------------------------------------------- elsewhere


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_a_folder_elsewhere(tmp_path: Path, kind: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    url = "memory://stored" if kind == "memory" else f"file://{tmp_path.as_posix()}/stored"
    file = place_of(url, "org/m")
    assert str(file) == f"{url}/org--m.json"
    with pytest.raises(BaselineError, match=r"no baseline: .*org--m\.json does not exist"):
        read_baseline(file, "org/m", update=UPDATE)
    merge_entries(file, "org/m", {"a": entry(0.1, 0.2, 0.4)})
    merge_entries(file, "org/m", {"b": entry(0.5, 0.7)})
    assert set(read_baseline(file, "org/m", update=UPDATE)) == {"a", "b"}
    filesystem, folder = fsspec.core.url_to_fs(url)
    names = sorted(path.rpartition("/")[2] for path in filesystem.ls(folder, detail=False))
    assert names == ["org--m.json", "org--m.units.jsonl"]
    filesystem.pipe_file(f"{folder}/org--m.json", b"\xff")
    with pytest.raises(BaselineError, match="is not UTF-8 text"):
        read_baseline(file, "org/m", update=UPDATE)
    with pytest.raises(BaselineError, match="is not UTF-8 text"):
        merge_entries(file, "org/m", {"c": entry(0.5, 0.5)})
    filesystem.rm(folder, recursive=True)


def test_a_large_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    (tmp_path / "m.json").touch()
    os.truncate(tmp_path / "m.json", 500_000_000)
    with pytest.raises(BaselineError, match="has 500000000 bytes"):
        read_baseline(place_of(f"file://{tmp_path.as_posix()}", "m"), "m", update=UPDATE)


@pytest.mark.parametrize("protocol", ["s3", "gs"])
def test_a_missing_package_is_one_sentence(protocol: str) -> None:
    pytest.importorskip("fsspec")
    package = {"s3": "s3fs", "gs": "gcsfs"}[protocol]
    if __import__("importlib.util").util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(MissingExtraError) as found:
        read_baseline(place_of(f"{protocol}://bucket/stored", "m"), "m", update=UPDATE)
    assert str(found.value) == (
        f"The baseline {protocol}://bucket/stored/m.json needs packages that are not installed. "
        f'Install them with: pip install "pytest-pluralism[remote]" {package}'
    )


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[remote\]"$'):
        read_baseline(RemoteFile("s3://bucket/m.json"), "m", update=UPDATE)


def test_an_unknown_protocol() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(BaselineError, match=r"cannot be reached: .*Name a path, or a URL that"):
        read_baseline(place_of("nowhere://bucket", "m"), "m", update=UPDATE)


def test_texts_do_not_depend_on_the_order_of_entries() -> None:
    one, two = {"a": entry(0.1, 0.2), "b": entry(0.3, 0.4)}, {"b": entry(0.3, 0.4), "a": entry(0.1, 0.2)}
    assert baseline_texts("m", one) == baseline_texts("m", two)
    assert list(baseline_texts("m", one)[1]) == list(baseline_texts("m", two)[1])


def test_a_change_sees_what_is_there(file: Path) -> None:
    seen: list[str] = []

    def look(there: Any) -> Any:
        seen.extend(there)
        return there

    change_entries(file, "m", look)
    assert seen == ["a", "b"]
