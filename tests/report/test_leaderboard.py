"""The leaderboard: the front, ranks under each function, and what cannot be compared."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.report.json_report import SCHEMA
from pytest_pluralism.report.leaderboard import (
    Leaderboard,
    leaderboard_json,
    leaderboard_lines,
    leaderboard_of,
    read_leaderboard,
)

BOARD = Leaderboard(
    ("wide", "sharp", "poor"), ("distance", "faithful"), ("lower", "higher"), ((0.2, 0.5), (0.4, 0.9), (0.4, 0.5))
)


def verdict(model, key, value, direction="higher", sha256="ab", seed=0):
    return {"model": {"name": model}, "key": key, "direction": direction, "estimate": {"value": value},
            "dataset": {"sha256": sha256}, "settings": {"seed": seed}}  # fmt: skip


@pytest.fixture
def report(tmp_path):
    def write(name, *verdicts):
        path = tmp_path / name
        path.write_text(json.dumps({"schema": SCHEMA, "run": {}, "verdicts": list(verdicts)}), encoding="utf-8")
        return path

    return write


def test_the_front_and_the_ranks_by_hand():
    lines = list(leaderboard_lines(BOARD, functions={"equal": (0.5, 0.5)}))
    assert lines[0] == "| model | distance ↓ | faithful ↑ | on the front | front |"
    assert lines[2] == "| wide | 0.200 | 0.500 | yes | 1 |"
    assert lines[3] == "| sharp | 0.400 | 0.900 | yes | 1 |"
    assert lines[4] == "| poor | 0.400 | 0.500 |  | 2 |"
    assert lines[6] == "| rank of | equal | distance | faithful |"
    # .5 * -.2 + .5 * .5 = .15; .5 * -.4 + .5 * .9 = .25; .05
    assert lines[8:] == ["| wide | 2 | 1 | 2 |", "| sharp | 1 | 2 | 1 |", "| poor | 3 | 2 | 2 |"]


def test_reports_are_gathered_and_what_differs_is_left_out(report):
    first = report("a.json", verdict("m", "one", 0.5), verdict("m", "two", 0.3, "lower"), verdict("m", "seed", 1.0))
    second = report("b.json", verdict("n", "one", 0.6), verdict("n", "two", 0.4, "lower"),
                    verdict("n", "seed", 1.0, seed=1), verdict("n", "alone", 0.1))  # fmt: skip
    board = read_leaderboard([first, second])
    assert board.models == ("m", "n")
    assert board.objectives == ("one", "two")
    assert board.directions == ("higher", "lower")
    assert board.values == ((0.5, 0.3), (0.6, 0.4))
    assert set(board.left_out) == {"seed", "alone"}
    assert "Left out" in list(leaderboard_lines(board))[-1]


def test_the_same_measure_with_other_settings_is_another_objective(report):
    """Two tests of one file may measure the same promise by instruction and by portrait."""
    runs = []
    for name, one, two in (("m", 0.5, 0.3), ("n", 0.6, 0.2)):
        entries = [verdict(name, "gss Democrat", one), verdict(name, "gss Democrat", two)]
        for entry, context in zip(entries, ("instruction", "portrait"), strict=True):
            entry["settings"] = {"seed": 0, "steering": {"context": context}}
        runs.append(report(f"{name}.json", *entries, verdict(name, "other", 0.1)))
    board = read_leaderboard(runs)
    assert board.objectives == ("gss Democrat (context=instruction)", "gss Democrat (context=portrait)", "other")
    assert board.values == ((0.5, 0.3, 0.1), (0.6, 0.2, 0.1))
    assert board.left_out == ()


def test_two_releases_of_one_name_stand_side_by_side(report):
    runs = []
    for release, sha256, value in (("v1", "aa", 0.5), ("v2", "bb", 0.6), (None, "c" * 64, 0.7)):
        entry = verdict("m", "one", value)
        entry["model"] |= {"sha256": sha256} | ({"revision": release} if release else {})
        runs.append(report(f"{sha256[:2]}.json", entry))
    board = read_leaderboard(runs)
    assert board.models == ("m (v1)", "m (v2)", "m (cccccccccc)")
    assert board.values == ((0.5,), (0.6,), (0.7,))


def test_heads_are_not_cut_to_the_same_words():
    names = tuple(f"{'js_distance of a survey with a name that is long, ' * 2}{end}" for end in ("one", "two"))
    head = next(iter(leaderboard_lines(Leaderboard(("a", "b"), names, ("higher",) * 2, ((0.1, 0.2),) * 2))))
    cells = head.split(" | ")[1:3]
    assert len(set(cells)) == 2
    assert cells[0].endswith("one ↑")


def test_sums_that_rounding_parts_have_one_rank():
    board = Leaderboard(("a", "b"), ("one", "two"), ("higher",) * 2, ((0.1, 0.2), (0.3, 0.0)))
    ranks = [line for line in leaderboard_lines(board, functions={"equal": (1.0, 1.0)}) if line.startswith("| a |")][1]
    assert ranks == "| a | 1 | 2 | 1 |"


def test_an_improvement_is_no_objective(report):
    entries = [verdict(name, "pareto_improvement o.json", 0.1) | {"metric": "pareto_improvement"} for name in "mn"]
    board = read_leaderboard(
        [report(f"{name}.json", verdict(name, "one", 0.5), entry) for name, entry in zip("mn", entries, strict=True)]
    )
    assert board.objectives == ("one",)
    assert board.left_out == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": None}, "the name of the 'model' of the verdict 'two' must be a text. Got None"),
        ({"model": "x"}, "'model' of the verdict 'two' must be an object. Got 'x'"),
        ({"model": {"name": ["x"]}}, "must be a text"),
        ({"key": None}, "'key' of a verdict must be a text"),
        ({"key": ["x"]}, "'key' of a verdict must be a text"),
        ({"estimate": [1]}, "'estimate' of a verdict must be an object"),
        ({"estimate": {"value": "x"}}, "the value of the verdict 'two' must be a finite number. Got 'x'"),
        ({"estimate": {"value": True}}, "must be a finite number"),
        ({"dataset": "s"}, "'dataset' of the verdict 'two' must be an object"),
        ({"baseline": "x"}, "'baseline' of the verdict 'two' must be an object"),
        ({"direction": ["higher"]}, "'direction' of a verdict must be 'higher' or 'lower'"),
        (None, "each verdict must be an object"),
    ],
)
def test_a_hostile_report_is_one_sentence(report, capsys, change, says):
    first = report("a.json", verdict("m", "one", 0.5), verdict("m", "two", 0.3))
    broken = [] if change is None else verdict("n", "two", 0.2) | change
    second = report("b.json", verdict("n", "one", 0.6), broken)
    assert main(["leaderboard", str(first), str(second)]) != 0
    told = capsys.readouterr().err
    assert says in told
    assert "b.json" in told
    assert "--pluralism-report=run.json" in told


def test_the_command(report, capsys):
    first = report("a.json", verdict("m", "one", 0.5), verdict("m", "two", 0.3))
    second = report("b.json", verdict("n", "one", 0.6), verdict("n", "two", 0.2))
    assert main(["leaderboard", str(first), str(second), "--function", "equal=0.5,0.5"]) == 0
    shown = capsys.readouterr().out
    assert "| rank of | equal | one | two |" in shown
    assert shown.count("yes") == 2


@pytest.mark.parametrize(
    ("function", "says"),
    [("equal", "NAME=WEIGHT,WEIGHT"), ("equal=a,b", "NAME=WEIGHT,WEIGHT"), ("equal=1", "each of the 2 objectives"),
     ("none=0,0", "not all 0"), ("=1,1", "NAME=WEIGHT,WEIGHT"), ("one=1,1", "has the name of an objective")],
)  # fmt: skip
def test_wrong_functions(report, capsys, function, says):
    first = report("a.json", verdict("m", "one", 0.5), verdict("m", "two", 0.3))
    second = report("b.json", verdict("n", "one", 0.6), verdict("n", "two", 0.2))
    assert main(["leaderboard", str(first), str(second), "--function", function]) != 0
    assert says in capsys.readouterr().err


def test_a_function_is_named_once(report, capsys):
    first, second = report("a.json", verdict("m", "one", 0.5)), report("b.json", verdict("n", "one", 0.6))
    assert main(["leaderboard", str(first), str(second), "--function", "a=1", "--function", "a=2"]) != 0
    assert "names 'a' twice" in capsys.readouterr().err


def test_what_is_no_leaderboard(report, tmp_path):
    with pytest.raises(DatasetError, match="needs two"):
        read_leaderboard([report("a.json", verdict("m", "one", 0.5))])
    with pytest.raises(DatasetError, match="share no objective"):
        read_leaderboard([report("b.json", verdict("m", "one", 0.5), verdict("n", "two", 0.5))])
    with pytest.raises(DatasetError, match="two different results"):
        read_leaderboard([report("c.json", verdict("m", "one", 0.5), verdict("m", "one", 0.6))])
    (tmp_path / "d.json").write_text("{}")
    with pytest.raises(DatasetError, match="not a report of this version"):
        read_leaderboard([tmp_path / "d.json"])
    with pytest.raises(DatasetError, match="cannot be read"):
        read_leaderboard([tmp_path / "gone.json"])
    with pytest.raises(InvalidParameterError, match="each of the 2 objectives"):
        list(leaderboard_lines(BOARD, functions={"f": (1.0,)}))


def test_nothing_in_a_name_breaks_the_table():
    hostile = "a|b\x1b[31m"
    lines = list(leaderboard_lines(Leaderboard((hostile, "n"), ("o",), ("higher",), ((0.5,), (0.6,)))))
    assert "\x1b" not in "".join(lines)
    assert "a\\|b" in lines[2]


@pytest.mark.whole
def test_the_front_has_a_probability_where_units_are_known():
    """Of two models with one objective, the chance of being ahead is that of the mean of the paired differences."""
    rng = np.random.default_rng(0)
    base, gap = rng.normal(0.5, 0.1, 200), rng.normal(0.01, 0.1, 200)
    units = {"one": base, "two": base + gap}

    def measured(model, values, shared=False):
        found = verdict(model, "level", float(np.mean(values)))
        clusters = ["q0" if shared and n == 1 else f"q{n}" for n in range(len(values))]
        rows = [{"id": f"q{n}", "cluster": clusters[n], "value": value} for n, value in enumerate(values.tolist())]
        return model, {**found, "units": rows}

    board = leaderboard_of(measured(name, values) for name, values in units.items())
    chances = board.on_front()
    expected = norm.cdf(gap.mean() / (gap.std(ddof=1) / math.sqrt(len(gap))))
    assert chances[1] == pytest.approx(expected, abs=0.05)
    assert chances[0] == pytest.approx(1 - expected, abs=0.05)
    lines = list(leaderboard_lines(board))
    assert f"({100 * chances[1]:.0f} %)" in lines[3]
    content = leaderboard_json(board)
    assert [one["front_probability"] for one in content["models"]] == chances
    # Without units, or with units that share clusters, nothing is said of chance.
    assert BOARD.on_front() is None
    alike = leaderboard_of(measured(name, values, shared=True) for name, values in units.items())
    assert alike.on_front() is None
