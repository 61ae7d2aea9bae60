"""A suite in shards: each computes a part and judges nothing, and merged they say what one run says."""

from __future__ import annotations

import json

import pytest

from pytest_pluralism.cli import main

SUITE = """
import pytest

@pytest.mark.js_distance("town.jsonl", population=["North", "South"], at_most=0.45)
def test_letters(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.9, scoring="sum")
def test_whole_answers(): ...

@pytest.mark.js_distance("town.jsonl", population="North", max_increase=0.02)
def test_no_worse(): ...

@pytest.mark.answer_entropy("town.jsonl", population="North", max_decrease=0.3)
@pytest.mark.js_distance("town.jsonl", population="South", better_than="uniform")
def test_two_markers(): ...

@pytest.mark.js_distance("town.jsonl", population="South", at_most=0.2, examples=0)
def test_zero_shot(): ...
"""

MODEL = "--pluralism-model=table:mine*2"


@pytest.fixture
def suite(project, monkeypatch):
    monkeypatch.chdir(project.path)
    project.makepyfile(test_town=SUITE)
    project.runpytest("--pluralism-model=table:mine*1.9", "--pluralism-baseline=base", "--pluralism-update-baseline")
    return project


def shard(project, number, of=3, *options):
    place = f"--pluralism-report=shard-{number}.json"
    return project.runpytest(MODEL, "--pluralism-baseline=base", f"--pluralism-shard={number}/{of}", place, *options)


def told(path):
    verdicts = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
    parts = ("outcome", "reason", "estimate", "gate", "baseline", "warnings")
    return {(one["nodeid"], one["key"]): {part: one.get(part) for part in parts} for one in verdicts}


@pytest.mark.whole
def test_three_shards_give_the_verdicts_of_one_run(suite, capsys):
    for number in (1, 2, 3):
        result = shard(suite, number)
        assert result.ret == 0
        result.stdout.fnmatch_lines([f"*shard {number} of 3: * promises computed, none judged*"])
        result.stdout.no_fnmatch_line("*FAILED*")
    shards = [json.loads((suite.path / f"shard-{number}.json").read_text()) for number in (1, 2, 3)]
    dealt = [key for one in shards for key in one["promises"]]
    assert len(dealt) == len(set(dealt)) == 7
    assert sum(bool(one["promises"]) for one in shards) > 1
    # The populations of one marker ask the same, and stay together.
    assert any(sum("test_letters" in key for key in one["promises"]) == 2 for one in shards)
    names = [f"shard-{number}.json" for number in (3, 1, 2)]
    # A merge judges in one process, whatever the project asks of its runs.
    suite.makeini("[pytest]\naddopts = -n 2\n")
    capsys.readouterr()
    assert main(["merge", *names, "-o", "merged.json"]) == 1
    said = capsys.readouterr().out
    assert "3 shards merged:" in said
    assert "merging.json" not in said
    (suite.path / "tox.ini").unlink()
    live = suite.runpytest(MODEL, "--pluralism-baseline=base", "--pluralism-report=live.json")
    assert live.ret == 1
    merged, whole = told(suite.path / "merged.json"), told(suite.path / "live.json")
    assert len(whole) == 7
    assert merged == whole
    assert {one["outcome"] for one in whole.values()} >= {"passed", "failed"}


@pytest.mark.whole
def test_a_merge_may_store_the_baseline(suite, in_this_process):
    for number in (1, 2):
        assert shard(suite, number, 2).ret == 0
    before = (suite.path / "base" / "mine.json").read_text() if (suite.path / "base" / "mine.json").exists() else ""
    assert main(["merge", "shard-1.json", "shard-2.json", "-o", "merged.json", "--update-baseline"]) in (0, 1)
    stored = {path.name: path.read_text() for path in (suite.path / "base").iterdir()}
    assert any(text != before for text in stored.values())
    again = suite.runpytest(MODEL, "--pluralism-baseline=base", "-k", "no_worse")
    again.assert_outcomes(passed=1)


@pytest.mark.whole
def test_where_two_shards_answer_one_request_differently_the_first_counts(suite, in_this_process, capsys):
    """As a server that is not repeatable may: the merge says how often, whatever the order of the files."""
    for number in (1, 2):
        shard(suite, number, 2)
    paths = [suite.path / f"shard-{number}.json" for number in (1, 2)]
    first, second = (json.loads(path.read_text()) for path in paths)
    other = []
    for row in (row for row in first["results"] if row["work"] == "answers"):
        turned = json.loads(json.dumps(row))
        (name,) = [part for part, value in row["result"].items() if isinstance(value, list) and len(value) == 3][:1]
        turned["result"][name].reverse()
        other.append(turned)
    given = {(row["id"], row["draw"]) for row in first["results"]}
    assert other
    second["results"] = [row for row in second["results"] if (row["id"], row["draw"]) not in given] + other
    paths[1].write_text(json.dumps(second))
    outcomes = []
    for order in (paths, paths[::-1]):
        capsys.readouterr()
        main(["merge", *map(str, order), "-o", "merged.json"])
        said = capsys.readouterr().err
        assert f"{len(other)} requests were answered differently by two shards" in said
        outcomes.append(told(suite.path / "merged.json"))
    live = suite.runpytest(MODEL, "--pluralism-baseline=base", "--pluralism-report=live.json")
    assert live.ret == 1
    assert outcomes[0] == outcomes[1] == told(suite.path / "live.json")


@pytest.mark.whole
def test_shards_that_do_not_belong_together_are_refused(suite, in_this_process, capsys):
    for number in (1, 2):
        shard(suite, number, 2)
    one, two = suite.path / "shard-1.json", suite.path / "shard-2.json"

    def refused(*paths):
        capsys.readouterr()
        code = main(["merge", *map(str, paths), "-o", "merged.json"])
        assert code in (1, 2)
        assert not (suite.path / "merged.json").exists()
        return capsys.readouterr().err

    assert "1 of 2 shards are missing: 2" in refused(one)
    assert "both shard 1 of 2" in refused(one, one)
    content = json.loads(two.read_text())
    other = suite.path / "other.json"
    for change, why in [
        ({"shard": [2, 3]}, "one of 3"),
        ({"shard": [3, 2]}, "'shard' is missing or wrong"),
        ({"suite": "0" * 64}, "another suite"),
        ({"options": "--pluralism-seed=4"}, "another options"),
        ({"versions": {**content["versions"], "numpy": "0.1"}}, "another set of versions"),
        ({"schema": "x"}, "is not a shard"),
        ({"results": None}, "'results' is missing"),
        ({"results": [{"model": "m"}]}, "'results' is missing or wrong"),
        (
            {"models": {name: {**about, "sha256": "f" * 64} for name, about in content["models"].items()}},
            "different models",
        ),
        (
            {"models": {name: {**about, "dtype": "bfloat16"} for name, about in content["models"].items()}},
            "dtype float32 and bfloat16",
        ),
    ]:
        other.write_text(json.dumps({**content, **change}))
        assert why in refused(one, other)
    other.write_text(two.read_text()[:-100])
    assert "damaged or cut off" in refused(one, other)
    # Both shards are of one suite, and the suite here is another one now.
    suite.makepyfile(test_town=SUITE.replace("at_most=0.2", "at_most=0.3"))
    assert "the shards are of another suite" in refused(one, two)


@pytest.mark.whole
def test_shards_are_compared_where_the_first_asked_no_model(suite, in_this_process, capsys):
    for number in (1, 2, 3):
        shard(suite, number)
    contents = [json.loads((suite.path / f"shard-{number}.json").read_text()) for number in (1, 2, 3)]
    contents[0]["models"] = {}
    contents[2]["models"] = {role: {"sha256": "f" * 64} for role in contents[1]["models"]}
    assert contents[1]["models"]
    for number, content in enumerate(contents, start=1):
        (suite.path / f"shard-{number}.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["merge", *(f"shard-{number}.json" for number in (1, 2, 3)), "-o", "merged.json"]) == 1
    assert "shard-2.json and shard-3.json asked different models" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_shard_computed_is_judged_or_the_merge_is_no_success(project, monkeypatch, capsys):
    monkeypatch.chdir(project.path)
    marker = '@pytest.mark.js_distance("town.jsonl", population="North", at_most=%s)\ndef test_%s(): ...\n\n'
    skip = '@pytest.mark.skipif("NO_CHIP" in os.environ, reason="needs a chip")\n'
    kept, broken = marker % ("0.9", "kept"), skip + marker % ("0.01", "broken")
    project.makepyfile(test_town=f"import os\nimport pytest\n\n{kept}{broken}")
    blind = ("uniform", "shuffled", "constant")
    accepted = [f"--pluralism-suppress-health-check={name}_would_pass" for name in blind]

    def merged(*options):
        capsys.readouterr()
        code = main(["merge", "shard.json", "-o", "merged.json", *options])
        return code, capsys.readouterr().err

    def run(*options):
        place = ("--pluralism-shard=1/1", "--pluralism-report=shard.json")
        assert project.runpytest("--pluralism-model=table:mine*2", *accepted, *place, *options).ret == 0

    run()
    # The machine that merges would not run the broken one.
    with monkeypatch.context() as patch:
        patch.setenv("NO_CHIP", "1")
        code, said = merged()
        assert code == 2
        assert "other tests are skipped" in said
        run()
        assert merged()[0] == 0
        # A shard that could not compute everything does not succeed, although it keeps the rest.
        content = json.loads((project.path / "shard.json").read_text())
        lacking = {**content, "complete": False, "errors": ["test_kept: the model is gone"]}
        (project.path / "shard.json").write_text(json.dumps(lacking))
        code, said = merged()
        assert code == 1
        assert "the model is gone" in said
        # Nor may a merge leave out one of the models.
        run("--pluralism-model=table:other*9")
        code, said = merged("--pytest=-k", "--pytest=not other")
        assert code == 2
        assert "of another suite" in said


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--pluralism-shard=0/3",), "from 1"),
        (("--pluralism-shard=4/3",), "from 1"),
        (("--pluralism-shard=1/3",), "writes one file"),
        (("--pluralism-shard=1/3", "--pluralism-report=a.html"), "writes one file"),
        (
            ("--pluralism-shard=1/3", "--pluralism-report=a.json", "--pluralism-update-baseline"),
            "needs the whole suite",
        ),
        (("--pluralism-shard=1/3", "--pluralism-report=a.json", "--pluralism-prune-baseline"), "needs the whole suite"),
    ],
)
def test_a_shard_is_told_what_it_cannot_do(project, options, why):
    project.makepyfile(test_town=SUITE)
    result = project.runpytest(MODEL, *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert why in result.stderr.str() + result.stdout.str()


def test_what_cannot_be_computed_fails_its_shard(project):
    project.makepyfile(
        test_town="""
        import pytest

        @pytest.mark.overton_coverage("contested", at_least=0.1)
        def test_window(): ...
        """
    )
    result = project.runpytest(MODEL, "--pluralism-shard=1/1", "--pluralism-report=s.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*ERROR test_town.py::test_window*"])
    assert json.loads((project.path / "s.json").read_text())["complete"] is False
