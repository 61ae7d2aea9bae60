"""A gate of releases: updates of several kinds, several baselines, guards, multiplicity, health, profiles, a/a."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_pluralism.baselines.store import change_entries, read_baseline

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.02)
def test_north(): ...

@pytest.mark.js_distance("town.jsonl", population="South", max_increase=0.02)
def test_south(): ...
"""

GUARDED = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="North", {promise})
def test_north(): ...
"""

#: Makes what the model says depend on its examples, so that seeds matter.
BY_EXAMPLES = "(digest[0] + hashlib.sha256(repr(prompt.examples).encode()).digest()[0] * (digest[1] % 3) / 9) / 128"

Run = Callable[..., pytest.RunResult]


def edit_model(project: pytest.Pytester, old: str, new: str) -> None:
    conftest = project.path / "conftest.py"
    text = conftest.read_text(encoding="utf-8")
    assert old in text
    conftest.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def run(project: pytest.Pytester) -> Run:
    project.makepyfile(test_town=BODY)

    def run(*args: str, model: str = "table:plain") -> pytest.RunResult:
        return project.runpytest_inprocess(f"--pluralism-model={model}", "--pluralism-report=out.json", *args)

    return run


def stored(project: pytest.Pytester, path: str = "pluralism-baselines/plain.json") -> dict[str, Any]:
    entries = json.loads((project.path / path).read_text(encoding="utf-8"))["entries"]
    return {re.search(r"::test_(\w+)", key)[1]: entry["estimate"]["value"] for key, entry in entries.items()}  # type: ignore[index]


def verdicts(project: pytest.Pytester) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((project.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    return found


# -------------------------------------------------------------------------------------------------------- updates


def test_a_test_after_the_option_is_a_test(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline", "test_town.py::test_north").assert_outcomes(passed=1)
    assert set(stored(project)) == {"north"}


def test_an_update_of_one_test_in_a_run_of_all(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline=test_town.py::test_north").assert_outcomes(passed=1, failed=1)
    assert set(stored(project)) == {"north"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            "nwe",
            "must be all, new, better or a test (tests/test_x.py::test_y). Nearest: 'new'*Got 'nwe', and there is no",
        ),
        ("test_twon.py::test_north", "*Nearest: 'test_town.py'*Got 'test_twon.py::test_north'"),
        ("no/where.py", "*Got 'no/where.py', and there is no such file or folder"),
        ("x" * 5000, "*Got 'xxx"),
        ("test_town.py::test_nroth", "names no test with a promise in this run*Nearest: 'test_town.py::test_north'"),
        ("town.jsonl", "names no test with a promise in this run"),
    ],
    ids=lambda text: text[:20],
)
def test_an_update_of_what_is_not_there_stops_the_run(
    project: pytest.Pytester, run: Run, value: str, says: str
) -> None:
    result = run(f"--pluralism-update-baseline={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--pluralism-update-baseline*{says}*"])
    assert "LOADED" not in result.stdout.str()
    assert not list(project.path.glob("pluralism-baselines/*"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reference=some",), "names a place 'reference', which is what the reference model of the run is called"),
        (("",), "must be a .json file, a folder or a URL. Got ''"),
        (("last=",), "must be a .json file, a folder or a URL. Got 'last='"),
        (("town.jsonl",), "town.jsonl is a file that does not end with .json"),
        (("last=town.jsonl",), "town.jsonl is a file that does not end with .json"),
        (("refrence",), "Did you mean reference, the reference model of this run?"),
    ],
    ids=str,
)
def test_a_wrong_place_of_baselines_stops_the_run(
    project: pytest.Pytester, run: Run, words: tuple[str, ...], says: str
) -> None:
    options = [f"--pluralism-baseline={word}" for word in words]
    result = run(*options, "--pluralism-reference-model=table:other")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert says in result.stderr.str()


@pytest.mark.whole
@pytest.mark.parametrize("name", ["x" * 300, "модель", "a--b"], ids=["long", "letters", "dashes"])
def test_a_model_of_any_name_has_a_baseline(project: pytest.Pytester, run: Run, name: str) -> None:
    run("--pluralism-update-baseline", model=f"table:{name}").assert_outcomes(passed=2)
    run(model=f"table:{name}").assert_outcomes(passed=2)
    assert len(list(project.path.glob("pluralism-baselines/*.json"))) == 1


@pytest.mark.parametrize("option", ["--pluralism-baseline", "--pluralism-report"])
def test_a_path_that_is_too_long_stops_the_run(project: pytest.Pytester, run: Run, option: str) -> None:
    result = run(f"{option}={'x' * 300}.json", "--pluralism-update-baseline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option} cannot be *: File name too long*"])


@pytest.mark.slow
def test_an_update_of_what_is_not_there_is_an_error_of_workers_too(project: pytest.Pytester, run: Run) -> None:
    result = run("--pluralism-update-baseline=test_town.py::test_nroth", "-n", "2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*ERROR --pluralism-update-baseline=test_town.py::test_nroth names no test*north*"])
    run("--pluralism-update-baseline=test_town.py::test_north", "-n", "2").assert_outcomes(passed=1, failed=1)
    assert set(stored(project)) == {"north"}


def test_an_update_of_this_folder_is_one_of_all_tests(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline=.").assert_outcomes(passed=2)
    assert set(stored(project)) == {"north", "south"}


@pytest.mark.whole
def test_new_never_overwrites(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline", "test_town.py::test_north").assert_outcomes(passed=1)
    before = stored(project)
    # North is there and compared, so that its regression fails; South is new.
    result = run("--pluralism-update-baseline=new", model="table:plain*40")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*baseline written: 1 results of plain in pluralism-baselines/plain.json, 1 left*"])
    after = stored(project)
    assert after["north"] == before["north"]
    assert set(after) == {"north", "south"}


@pytest.mark.whole
def test_better_keeps_the_best_so_far(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline", model="table:plain*2").assert_outcomes(passed=2)
    first = stored(project)
    run("--pluralism-update-baseline=better", model="table:plain*40")
    assert stored(project) == first
    run("--pluralism-update-baseline=better", model="table:plain*0.5")
    assert all(stored(project)[name] < value for name, value in first.items())


@pytest.mark.whole
def test_what_no_test_uses_is_told_and_pruned_when_asked(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=2)
    project.makepyfile(test_town=BODY.replace("test_south", "test_south_of_the_river"))
    for args in (("-k", "north"), ("test_town.py::test_north",)):
        # Where a part of the tests was collected, nothing is known of the others.
        part = run(*args)
        part.assert_outcomes(passed=1, deselected=1 if "-k" in args else 0)
        assert "unused" not in part.stdout.str()
        assert set(stored(project)) == {"north", "south"}
    assert "nothing was pruned" in run("-k", "north", "--pluralism-prune-baseline").stdout.str()
    result = run()
    result.stdout.fnmatch_lines(
        ["unused in pluralism-baselines/plain.json: 1 (*test_south *--pluralism-prune-baseline*"]
    )
    pruned = run("--pluralism-prune-baseline")
    pruned.stdout.fnmatch_lines(["removed from pluralism-baselines/plain.json: 1 (*test_south *"])
    assert set(stored(project)) == {"north"}


@pytest.mark.slow
def test_pruning_under_xdist(project: pytest.Pytester, run: Run) -> None:
    run("--pluralism-update-baseline", "-n", "2").assert_outcomes(passed=2)
    project.makepyfile(test_town=BODY.replace("test_south", "test_other"))
    run("--pluralism-update-baseline=new", "--pluralism-prune-baseline", "-n", "2").assert_outcomes(passed=2)
    assert set(stored(project)) == {"north", "other"}


# ------------------------------------------------------------------------------------------------ several baselines


@pytest.mark.whole
def test_each_of_several_baselines_must_be_kept(project: pytest.Pytester, run: Run) -> None:
    last, best = "--pluralism-baseline=last=last", "--pluralism-baseline=best=best"
    run(last, "--pluralism-update-baseline", model="table:plain*1.2").assert_outcomes(passed=2)
    run(best, "--pluralism-update-baseline", model="table:plain*0.5").assert_outcomes(passed=2)
    result = run(last, best, model="table:plain*1.2")
    result.assert_outcomes(failed=2)
    by_key = {entry["key"]: (entry["outcome"], entry["baseline"]["name"]) for entry in verdicts(project)}
    assert by_key["js_distance town.jsonl North"] == ("passed", "last")
    assert by_key["js_distance town.jsonl North against best"][1] == "best"
    assert by_key["js_distance town.jsonl North against best"][0] in ("failed", "inconclusive")
    result.stdout.fnmatch_lines(["*change of JS distance to North (town.jsonl)*was *, is * (best)"])
    # An update goes to the first of them.
    before = stored(project, "best/plain.json")
    run(last, best, "--pluralism-update-baseline", model="table:plain*1.1")
    assert stored(project, "best/plain.json") == before
    # Another model's results, by name.
    reference = ("--pluralism-baseline=mine=last", "--pluralism-baseline=other=last")
    run("--pluralism-baseline=last", "--pluralism-update-baseline", model="table:other*1.2").assert_outcomes(passed=2)
    run(*reference, "--pluralism-baseline-model=other=other", model="table:plain*1.1").assert_outcomes(passed=2)


@pytest.mark.whole
def test_a_baseline_at_a_url(project: pytest.Pytester, run: Run) -> None:
    pytest.importorskip("fsspec")
    url = f"--pluralism-baseline=file://{project.path.as_posix()}/elsewhere"
    result = run(url)
    result.assert_outcomes(failed=2)
    assert "elsewhere/plain.json does not exist. To store one: pytest" in result.stdout.str()
    run(url, "--pluralism-update-baseline").assert_outcomes(passed=2)
    run(url).assert_outcomes(passed=2)
    assert set(stored(project, "elsewhere/plain.json")) == {"north", "south"}
    unknown = run("--pluralism-baseline=gs://bucket/x")
    unknown.assert_outcomes(failed=2)
    assert 'pip install "pytest-pluralism[remote]" gcsfs' in " ".join(unknown.stdout.str().split())


# ----------------------------------------------------------------------------------------------------------- guards


@pytest.mark.whole
def test_a_guard_finds_the_one_question_that_got_worse(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=GUARDED.format(promise="max_unit_increase=0.1"))
    run("--pluralism-update-baseline").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)
    # One question of twelve is answered as nobody answers it.
    edit_model(
        project,
        "            top = max(logits)",
        "            if 'thing number 7' in text:\n"
        "                logits = [90.0 * ('Perhaps' in line) for line in options]\n"
        "            top = max(logits)",
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*no unit may rise by more than 0.100: change of *", "*q7 rose by 0.*, no unit may rise by more than 0.1*"]
    )
    (entry,) = verdicts(project)
    assert (entry["outcome"], entry["witness"]["id"]) == ("failed", "q7")
    assert entry["witness"]["value"] > 0.1
    project.makepyfile(test_town=GUARDED.format(promise="max_unit_increase=0.9, max_increase=0.6"))
    run().assert_outcomes(passed=1)
    project.makepyfile(test_town=GUARDED.format(promise="max_unit_decrease=0.1"))
    result = run()
    result.assert_outcomes(errors=1)
    assert "promises the wrong direction" in result.stdout.str()
    assert "Use max_unit_increase" in result.stdout.str()


# ----------------------------------------------------------------------------------------------------- multiplicity

MANY = """
import pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.js_distance("town.jsonl", population="North", at_most={bound})
def test_many(number): ...
"""


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "2"), marks=pytest.mark.whole)], ids=["plain", "xdist"])
def test_failures_are_adjusted_for_their_number_before_the_tests_report(
    project: pytest.Pytester, run: Run, workers: tuple[str, ...]
) -> None:
    project.makepyfile(test_town=MANY.format(bound=0.9))
    run()
    (low,) = {entry["estimate"]["low"] for entry in verdicts(project)}
    # Just broken: among eight of its kind that may be chance.
    project.makepyfile(test_town=MANY.format(bound=low - 0.002))
    run("--pluralism-multiplicity=none").assert_outcomes(failed=8)
    assert {entry["outcome"] for entry in verdicts(project)} == {"failed"}
    adjusted = run("--pluralism-inconclusive=skip", *workers)
    adjusted.assert_outcomes(skipped=8)
    assert {entry["outcome"] for entry in verdicts(project)} == {"inconclusive"}
    assert all(
        "among 8 promises this may be chance (holm-adjusted p = " in entry["reason"] for entry in verdicts(project)
    )
    # A promise that is broken beyond doubt fails its own test.
    project.makepyfile(test_town=MANY.format(bound=0.01))
    run("--pluralism-inconclusive=skip").assert_outcomes(failed=8)


def test_a_run_that_stops_at_a_failure_says_that_it_did_not_adjust(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=MANY.format(bound=0.01))
    result = run("-x")
    result.assert_outcomes(failed=1)
    assert "failures were not adjusted for the number of promises" in " ".join(result.stdout.str().split())


# ----------------------------------------------------------------------------------------------- health and profiles


@pytest.mark.whole
def test_health_checks_are_named_and_can_be_accepted(project: pytest.Pytester, run: Run) -> None:
    lines = (project.path / "town.jsonl").read_text(encoding="utf-8").splitlines()
    (project.path / "town.jsonl").write_text("\n".join(lines[:5]) + "\n", encoding="utf-8")
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("Answer(logged, 1.0,", "Answer(logged, 0.3,"), encoding="utf-8")
    project.makepyfile(test_town=GUARDED.format(promise="at_most=0.001, max_increase=0.02"))
    names = ("promise_below_floor", "low_option_mass", "too_few_units")
    result = run("--pluralism-update-baseline")
    text = " ".join(result.stdout.str().split())
    for name in (*names, "seed_unset"):
        assert f"health {name}: " in text
        assert f"--pluralism-suppress-health-check={name})" in text
    (entry,) = verdicts(project)
    assert [warning.split(":")[0] for warning in entry["warnings"] if warning.startswith("health")] == [
        f"health {name}" for name in names
    ]
    accepted = run(
        "--pluralism-update-baseline", *(f"--pluralism-suppress-health-check={name}" for name in (*names, "seed_unset"))
    )
    assert "health " not in accepted.stdout.str().replace("suppress_health_check", "")
    # The other size of a baseline that is not compared with.
    (project.path / "town.jsonl").write_text("\n".join(lines[:4]) + "\n", encoding="utf-8")
    project.makepyfile(test_town=GUARDED.format(promise="at_most=0.9"))
    assert "health baseline_size: the baseline has 5 units, this run 4" in " ".join(run().stdout.str().split())


@pytest.mark.whole
def test_a_promise_below_the_numeric_noise_is_a_health_check(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(test_town=BODY.replace("max_increase=0.02", "max_increase=1e-7, max_unit_increase=1e-8"))
    run("--pluralism-update-baseline").assert_outcomes(passed=2)
    result = run()
    result.assert_outcomes(passed=2)
    for name in ("max_increase", "max_unit_increase"):
        result.stdout.fnmatch_lines([f"*health promise_below_noise: {name}=1e-0* is below the numeric noise*1e-05*"])
    assert "promise_below_noise" in json.dumps(verdicts(project)[0]["warnings"])
    # Nobody can check what is promised, so that it is not kept where health counts.
    run("--pluralism-health=fail").assert_outcomes(failed=2)
    accepted = run("--pluralism-health=fail", "--pluralism-suppress-health-check=promise_below_noise")
    accepted.assert_outcomes(passed=2)
    assert "promise_below_noise:" not in accepted.stdout.str()


def as_version_1(project: pytest.Pytester, *, keeps_schema: bool) -> None:
    """Make a baseline what version 1 would have stored, or what somebody who claims that makes of it."""
    path = project.path / "pluralism-baselines" / "plain.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    entries = read_baseline(path, "plain", update="")
    names = ("metric", "population", "estimate", "model", "dataset", "settings", "versions")
    old = {
        key: {
            **{name: one[name] for name in names},
            "units": [{"id": u["id"], "value": u["value"]} for u in one["units"]],
        }
        for key, one in entries.items()
    }
    content = {"schema": "pytest-pluralism/baseline/1", "model": "plain", "entries": old}
    path.write_text(json.dumps(content), encoding="utf-8")
    if not keeps_schema:
        # An update of nothing makes it version 2, with entries that say where they are from.
        change_entries(path, "plain", dict)


@pytest.mark.whole
@pytest.mark.parametrize("keeps_schema", [True, False], ids=["version 1", "claimed in version 2"])
def test_an_old_baseline_is_compared_and_told(
    project: pytest.Pytester, run: Run, keeps_schema: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--pluralism-update-baseline").assert_outcomes(passed=2)
    as_version_1(project, keeps_schema=keeps_schema)
    result = run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*health old_baseline: the baseline is of version 1, which kept neither what was*"])
    # A release is not let through on it.
    monkeypatch.delenv("PLURALISM_HEALTH")
    run("--pluralism-profile=release", "--pluralism-seed=0").assert_outcomes(failed=2)
    run("--pluralism-update-baseline").assert_outcomes(passed=2)
    result = run("--pluralism-profile=release")
    result.assert_outcomes(passed=2)
    assert "health old_baseline" not in result.stdout.str()


@pytest.mark.whole
def test_a_baseline_that_cannot_be_reached_costs_no_verdict_that_does_not_need_it(
    project: pytest.Pytester, run: Run
) -> None:
    project.makepyfile(test_town=BODY.replace("max_increase=0.02", "at_most=0.9"))
    loop = project.path / "loop.json"
    loop.symlink_to(loop)
    for place in ("s3://bucket/x", "nothing://x", str(loop)):
        result = run(f"--pluralism-baseline={place}")
        result.assert_outcomes(passed=2)
        assert "INTERNALERROR" not in result.stdout.str()


@pytest.mark.whole
def test_profiles(project: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLURALISM_HEALTH")
    lines = (project.path / "town.jsonl").read_text(encoding="utf-8").splitlines()
    (project.path / "town.jsonl").write_text("\n".join(lines[:5]) + "\n", encoding="utf-8")
    project.makepyfile(test_town=GUARDED.format(promise="at_most=0.9"))
    run().assert_outcomes(failed=1)
    run("--pluralism-profile=pr").assert_outcomes(passed=1)
    strict = run("--pluralism-profile=release")
    strict.assert_outcomes(failed=1)
    assert "undecided: health too_few_units" in strict.stdout.str()
    run("--pluralism-profile=release", "--pluralism-health=warn").assert_outcomes(passed=1)
    settings = json.loads((project.path / "out.json").read_text())["run"]["settings"]
    assert settings["inconclusive"] == {"value": "fail", "origin": "profile"}
    assert settings["health"] == {"value": "warn", "origin": "command line"}
    project.makeini(
        "[pytest]\naddopts = -p no:cacheprovider -p no:hypothesispytest\npluralism_seed = 3\npluralism_profiles =\n"
        "    release: seed=7 suppress_health_check=too_few_units,low_option_mass,uniform_would_pass,"
        "shuffled_would_pass,constant_would_pass\n    nightly: repetitions=2 health=warn\n"
    )
    run("--pluralism-profile=release").assert_outcomes(passed=1)
    settings = json.loads((project.path / "out.json").read_text())["run"]["settings"]
    assert (settings["seed"], settings["health"]["value"]) == ({"value": 7, "origin": "profile"}, "fail")
    run("--pluralism-profile=nightly").assert_outcomes(passed=1)
    settings = json.loads((project.path / "out.json").read_text())["run"]["settings"]
    assert (settings["repetitions"]["value"], settings["seed"]["value"]) == (2, 3)


@pytest.mark.parametrize(
    ("lines", "args", "words"),
    [
        ("", "--pluralism-profile=relase", "must be one of pr, release. Did you mean release? Got 'relase'."),
        ("", "--pluralism-profile=prd", "must be one of pr, release. Got 'prd'."),
        ("lax: health=warn", "--pluralism-profile=laxx", "must be one of pr, release, lax. Got 'laxx'."),
        ("x: sed=1", "", "sets 'sed', which is no setting. Did you mean seed?"),
        ("x: seed", "", "must have lines such as"),
        ("x: seed=one", "--pluralism-profile=x", "seed of the profile must be a whole number. Got 'one'."),
    ],
)
def test_a_wrong_profile_stops_the_run(project: pytest.Pytester, lines: str, args: str, words: str) -> None:
    project.makepyfile(test_town=BODY)
    project.makeini(f"[pytest]\naddopts = -p no:hypothesispytest\npluralism_profiles =\n    {lines}\n")
    result = project.runpytest_inprocess("--pluralism-model=table:plain", *args.split())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in result.stderr.str()


# --------------------------------------------------------------------------------------------------------------- a/a


@pytest.mark.whole
def test_the_suite_against_itself(project: pytest.Pytester, run: Run) -> None:
    project.makepyfile(
        test_town=BODY
        + """
@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.01, seed=5)
def test_broken(): ...
"""
    )
    edit_model(project, "digest[0] / 128", BY_EXAMPLES)
    result = run("--pluralism-aa=6")
    assert result.ret == pytest.ExitCode.OK
    text = result.stdout.str()
    assert "plain: 0 of 30 comparisons with itself raise a false alarm (0.0 %); it may be 2.5 %" in text
    assert "0 of 3 comparisons that share no run: between 0.0 and" in text
    assert "3 such pairs are too few to show that it is at most 2.5 %: it takes 146 without an alarm" in text
    assert "(--pluralism-aa=292)" in text
    assert "its bound is broken on the mean of all runs" in text
    (found,) = json.loads((project.path / "out.json").read_text())["run"]["false_alarms"]
    assert (found["n"], found["n_independent"], found["model"]) == (30, 3, "plain")
    assert found["high"] == pytest.approx(1 - 0.025 ** (1 / 3))
    assert (found["shows_level"], found["pairs_needed"]) == (False, 146)
    gates = {gate["key"].split()[0]: gate for gate in found["gates"]}
    assert gates["test_town.py::test_north"]["largest_change"] > 0
    assert gates["test_town.py::test_broken"]["is_broken"]
    assert not (project.path / "pluralism-baselines").exists()


def test_a_suite_that_cannot_keep_its_promise_is_told(project: pytest.Pytester, run: Run) -> None:
    """A guard that is tighter than what seeds do: nearly every comparison is a false alarm."""
    edit_model(project, "digest[0] / 128", BY_EXAMPLES)
    project.makepyfile(test_town=GUARDED.format(promise="max_unit_increase=0.0001"))
    result = run("--pluralism-aa", "test_town.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = re.search(r"plain: (\d+) of 90 comparisons with itself raise a false alarm", result.stdout.str())
    assert found is not None
    assert int(found[1]) > 80
    assert "which shows that it is more than 2.5 %: these gates are tighter than what seeds do" in result.stdout.str()
