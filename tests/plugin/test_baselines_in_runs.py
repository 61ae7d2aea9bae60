"""The life of a baseline, as a project sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population=["North", "South"], max_increase=0.02)
def test_no_side_is_lost(): ...
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    project.makepyfile(test_town=BODY)

    def run(*args: str, model: str = "table:plain") -> pytest.RunResult:
        return project.runpytest_inprocess(f"--pluralism-model={model}", "--pluralism-baseline=base.json", *args)

    return run


@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("-n", "1"), marks=pytest.mark.slow), ("--reruns", "1")],
    ids=["plain", "xdist", "reruns"],
)
def test_the_whole_life_of_a_baseline(project: pytest.Pytester, run: Run, options: tuple[str, ...]) -> None:
    base = project.path / "base.json"
    first = run(*options)
    assert first.parseoutcomes()["failed"] == 1
    first.stdout.fnmatch_lines(
        ["*no baseline: base.json does not exist. To store one: pytest * --pluralism-update-baseline *"]
    )
    assert not base.exists()

    run("--pluralism-update-baseline", *options).assert_outcomes(passed=1)
    stored = base.read_text()
    assert len(json.loads(stored)["entries"]) == 2

    for _ in range(2):
        run(*options).assert_outcomes(passed=1)
        assert base.read_text() == stored

    # The same model, collapsed onto its favourite options.
    worse = run(*options, "--pluralism-baseline-model=plain", model="table:plain*40")
    worse.assert_outcomes(failed=1, passed=0)
    worse.stdout.fnmatch_lines(["*may rise by at most 0.020: change of JS distance to North*was 0.*, is 0.*"])
    worse.stdout.fnmatch_lines(["*to accept: pytest *--pluralism-update-baseline *"])
    assert base.read_text() == stored

    # A collapsed checkpoint under the same name is what a new release is.
    renamed = run(*options, model="table:plain*41")
    assert renamed.parseoutcomes()["failed"] == 1


@pytest.mark.whole
def test_an_unchanged_model_passes_its_own_baseline_again_and_again(run: Run) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    for _ in range(3):
        run().assert_outcomes(passed=1)


def damage_survey(project: pytest.Pytester) -> None:
    path = project.path / "town.jsonl"
    path.write_text(path.read_text().replace("thing number 3", "thing number three"))


def drop_entry(project: pytest.Pytester) -> None:
    base = project.path / "base.json"
    content = json.loads(base.read_text())
    del content["entries"][next(iter(content["entries"]))]
    base.write_text(json.dumps(content))


def edit(path: str, change: Callable[[str], str]) -> Callable[[pytest.Pytester], None]:
    def apply(project: pytest.Pytester) -> None:
        file = project.path / path
        file.write_text(change(file.read_text()))

    return apply


def write_bytes(content: bytes) -> Callable[[pytest.Pytester], None]:
    return lambda project: (project.path / "base.json").write_bytes(content) and None


@pytest.mark.whole
@pytest.mark.parametrize(
    ("damage", "args", "words"),
    [
        (damage_survey, (), ["not comparable", "content of the data was"]),
        (drop_entry, (), ["no baseline", "has no entry", "nearest"]),
        (edit("base.json", lambda text: text[: len(text) // 2]), (), ["corrupt baseline", "not JSON", "git checkout"]),
        (edit("base.json", lambda text: "<<<<<<< HEAD\n" + text), (), ["merge conflict markers"]),
        (edit("base.json", lambda text: text.replace("baseline/3", "baseline/9")), (), ["newer schema"]),
        (edit("base.json", lambda text: text.replace("baseline/3", "other")), (), ["corrupt baseline", "schema"]),
        (
            edit("base.json", lambda text: text.replace('"value": 0.', '"value": 1.', 1)),
            (),
            ["not the mean of its units"],
        ),
        (edit("base.json", lambda text: text.replace('"value": 0.', '"value": NaN, "x": 0.', 1)), (), ["NaN"]),
        (write_bytes(b"\xff\xfe\x00"), (), ["corrupt baseline", "not UTF-8"]),
        (write_bytes(b"[]"), (), ["corrupt baseline"]),
        (write_bytes(b""), (), ["corrupt baseline", "not JSON"]),
        (lambda project: None, ("--pluralism-seed=1",), ["not comparable", "seed was 0, is 1"]),
        (
            lambda project: None,
            ("--pluralism-option-order=none",),
            ["not comparable", "option_order was 'cyclic', is 'none'"],
        ),
        (
            lambda project: None,
            ("--pluralism-protocol=sorensen2024",),
            ["not comparable", "protocol was 'sound', is 'sorensen2024'"],
        ),
    ],
)
def test_a_baseline_that_is_missing_corrupt_or_not_comparable_never_passes(
    project: pytest.Pytester,
    run: Run,
    damage: Callable[[pytest.Pytester], None],
    args: tuple[str, ...],
    words: list[str],
) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    damage(project)
    result = run(*args, "--pluralism-report=out.json")
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    for word in words:
        assert word in text
    verdicts = json.loads((project.path / "out.json").read_text())["verdicts"]
    assert "error" in {entry["outcome"] for entry in verdicts}


@pytest.mark.whole
def test_a_baseline_of_another_model(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    result = run(model="table:other")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*holds the results of another model ('plain', not 'other')*--pluralism-baseline-model=plain*"]
    )


@pytest.mark.whole
def test_a_promise_against_a_baseline_without_a_place_for_it(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY)
    result = project.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no baseline: pluralism-baselines/plain.json does not exist. To store one: pytest *"])
    project.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-update-baseline").assert_outcomes(
        passed=1
    )
    there = sorted(path.name for path in (project.path / "pluralism-baselines").iterdir())
    assert there == ["plain.json", "plain.units.jsonl"]
    project.runpytest_inprocess("--pluralism-model=table:plain").assert_outcomes(passed=1)


def test_updating_never_overwrites_what_it_cannot_read(project: pytest.Pytester, run: Run) -> None:
    base = project.path / "base.json"
    base.write_text("not json")
    result = run("--pluralism-update-baseline", "--pluralism-report=run.json", "--pluralism-report=run.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR corrupt baseline: *"])
    result.stdout.no_fnmatch_line("*STORED*")
    assert base.read_text() == "not json"
    verdicts = json.loads((project.path / "run.json").read_text(encoding="utf-8"))["verdicts"]
    assert {verdict["outcome"] for verdict in verdicts} == {"error"}
    assert "could not be stored: corrupt baseline" in verdicts[0]["reason"]
    assert "Do not release" in (project.path / "run.md").read_text(encoding="utf-8")


@pytest.mark.whole
def test_a_folder_holds_one_file_a_model(project: pytest.Pytester) -> None:
    project.makepyfile(test_town=BODY)
    options = ("--pluralism-model=table:one", "--pluralism-model=table:org/two", "--pluralism-baseline=stored")
    project.runpytest_inprocess(*options, "--pluralism-update-baseline").assert_outcomes(passed=2)
    assert sorted(path.name for path in Path(project.path / "stored").iterdir()) == [
        *("one.json", "one.units.jsonl"),
        *("org--two.json", "org--two.units.jsonl"),
    ]
    project.runpytest_inprocess(*options).assert_outcomes(passed=2)


@pytest.mark.whole
def test_updating_one_test_leaves_the_others(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(
        test_town=BODY
        + """
@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.02)
def test_other(): ...
"""
    )
    run("--pluralism-update-baseline").assert_outcomes(passed=2)
    base = project.path / "base.json"
    before = json.loads(base.read_text())
    # It is stored, and fails because it is off its anchor.
    run("--pluralism-update-baseline", "test_town.py::test_other", model="table:plain*3").assert_outcomes(failed=1)
    after = json.loads(base.read_text())
    changed = {key for key in before["entries"] if before["entries"][key] != after["entries"][key]}
    assert len(changed) == 1
    assert "test_other" in changed.pop()
