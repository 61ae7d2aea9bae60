"""The simulation behind docs/explanation/statistics.md: a quick round always, the full one with ``-m slow``."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

TOOL = Path(__file__).parents[2] / "tools" / "simulate_statistics.py"


@pytest.fixture(scope="module")
def simulation():
    if not TOOL.is_file():
        pytest.skip("the tools are not beside the tests")
    spec = importlib.util.spec_from_file_location("simulate_statistics", TOOL)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look modules up by name; it is taken out again so that no other test sees it.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def allowed(low, high, n_runs, alarm=1e-6):
    """The shares of ``n_runs`` that a true share in [low, high] gives all but once in a million."""
    return stats.binom.ppf(alarm, n_runs, low) / n_runs, stats.binom.isf(alarm, n_runs, high) / n_runs


def check_coverage(rows, n_runs):
    low, high = allowed(0.935, 0.965, n_runs)
    for row in rows:
        assert low <= row["coverage"]["auto"] <= high, row


@pytest.mark.whole
def test_coverage_roughly(simulation):
    rows = list(simulation.coverage(150, methods=("auto",)))
    assert len(rows) == len(simulation.SCORES) * len(simulation.SIZES)
    check_coverage(rows, 150)


def test_ignoring_clusters_is_seen(simulation):
    # The check can fail: intervals that ignore clusters of five are far outside.
    row = next(row for row in simulation.coverage(150, methods=("unclustered t",)) if row["cluster_size"] == 5)
    assert row["coverage"]["unclustered t"] < allowed(0.935, 0.965, 150)[0]


@pytest.mark.whole
def test_the_paired_gate_roughly(simulation):
    rows = list(simulation.paired_gate(150, np.array([0.0, 0.02, 0.05])))
    for row in rows:
        outcomes = row["outcomes"]
        if row["true_change"] <= row["margin"]:
            assert outcomes["failed"] <= allowed(0, 0.025, 150)[1], row
        if row["true_change"] >= row["margin"]:
            assert outcomes["passed"] <= allowed(0, 0.025, 150)[1], row
        if row["true_change"] == 0.0:
            assert outcomes["passed"] > 0.8, row
        if row["true_change"] == 0.05:
            assert outcomes["failed"] > 0.9, row


def worst_allowed(row):
    """Check the page: the level from 25 clusters on, for changes also with few, up to a skewness of 2."""
    if row.get("differences", "").startswith("exponential") and row["n"] < 50:
        return 0.03
    return 0.025 if row["n_clusters"] >= 25 or "differences" in row else 0.05


def check_one_sided(rows, n_runs):
    for row in rows:
        for share in row["false_decisions"].values():
            assert share <= allowed(0, worst_allowed(row), n_runs, alarm=1e-4)[1], row


@pytest.mark.whole
def test_one_sided_errors_roughly(simulation):
    rows = list(simulation.one_sided(150, sizes=((25, 1), (25, 5), (100, 5))))
    assert len(rows) == 13
    check_one_sided(rows, 150)
    mirrored = [row for row in rows if row["differences"].startswith("gamma")]
    for right, left in zip(mirrored[:3], mirrored[3:], strict=True):
        assert right["false_decisions"]["too_low"] == left["false_decisions"]["too_high"]
        assert right["width"] == pytest.approx(left["width"])


def test_the_plain_interval_does_not_keep_its_level(simulation):
    # The check can fail: Student's t at the same bound errs twice as often as it may.
    differences, truth = simulation.draw_differences(
        np.random.default_rng(3), 3000, simulation.cluster_labels(25, 1), "Beta(0.7, 6), skewness 1.7"
    )
    ends = differences.mean(axis=1) + stats.t.ppf(0.975, 24) * stats.sem(differences, axis=1)
    assert (ends <= truth).mean() > allowed(0, 0.025, 3000)[1]


@pytest.mark.slow
def test_one_sided_errors(simulation):
    check_one_sided(simulation.one_sided(2500), 2500)
    check_one_sided(simulation.coverage(2500, methods=("auto",)), 2500)


@pytest.mark.whole
def test_rare_cases_are_as_bad_as_the_page_says(simulation):
    rows = list(simulation.rare_cases(300))
    # When no unit happens to worsen, the model looks unchanged: 0.92 ** n.
    for row in rows[:3]:
        low, high = allowed(0.92 ** row["n"], 0.92 ** row["n"], 300)
        assert low <= row["passed"] <= high, row
    low, high = allowed(0.7, 0.72, 300)
    assert low <= rows[4]["coverage"] <= high


@pytest.mark.whole
def test_twenty_gates_roughly(simulation):
    for row in simulation.simulate_verdicts.many_gates(60):
        false = row["runs_with_a_false_failure"]
        assert false["holm"] <= allowed(0, 0.025, 60)[1], row
        assert false["unadjusted"] > false["holm"], row


def test_the_tool_writes_what_it_measured(simulation, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(simulation, "SIZES", ((25, 1),))
    monkeypatch.setattr(simulation, "SCORES", {"one": (2.0, 5.0)})
    parts = {"coverage": [next(iter(simulation.coverage(20)))]}
    monkeypatch.setattr(simulation, "simulate", lambda n_runs, folder, jobs, only: parts)
    monkeypatch.setattr(simulation.statistics_page, "draw_figures", lambda results, folder, sizes: None)
    assert simulation.main(["--quick", "--out", str(tmp_path / "new")]) == 0
    document = json.loads((tmp_path / "new" / "statistics.json").read_text(encoding="utf-8"))
    assert (document["seed"], document["n_runs"]) == (simulation.SEED, 200)
    assert document["results"] == json.loads(json.dumps(parts))


def test_what_is_done_is_not_done_again(simulation, tmp_path, monkeypatch):
    calls = []

    def parts_of(n_runs):
        return {"shares": lambda: calls.append(n_runs) or iter([{"share": 0.5}])}

    monkeypatch.setattr(simulation, "parts_of", parts_of)
    first = simulation.run_part("shares", 20, tmp_path)
    assert simulation.run_part("shares", 20, tmp_path) == (first[0], 0.0)
    assert calls == [20]
    # Other numbers of runs, and other code, are other results.
    simulation.run_part("shares", 30, tmp_path)
    monkeypatch.setattr(simulation, "fingerprint", lambda: "other code")
    simulation.run_part("shares", 30, tmp_path)
    assert calls == [20, 30, 30]


def test_the_page_shows_what_was_measured(simulation):
    page = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.md"
    stored = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    text = page.read_text(encoding="utf-8")
    assert simulation.statistics_page.with_tables(text, stored["results"]) == text
    # Every table that the tool makes has its place, and the check can fail.
    assert all(f"<!-- measured: {name} -->" in text for name in simulation.statistics_page.tables(stored["results"]))
    stored["results"]["two_way"][0]["coverage"]["both"] += 0.01
    assert simulation.statistics_page.with_tables(text, stored["results"]) != text


def test_the_published_numbers_keep_their_promises(simulation):
    page = Path(__file__).parents[2] / "docs" / "explanation" / "statistics.json"
    results = json.loads(page.read_text(encoding="utf-8"))["results"]
    for row in results["coverage"]:
        check_coverage([row], row["n_runs"])
    for row in (*results["one_sided"], *results["coverage"]):
        check_one_sided([row], row["n_runs"])


@pytest.mark.slow
def test_coverage(simulation):
    # Sized so that a true coverage outside [93, 97] % is found: 2500 runs have a standard error of 0.4 %.
    check_coverage(simulation.coverage(2500, methods=("auto",)), 2500)


@pytest.mark.slow
def test_the_paired_gate(simulation):
    for row in simulation.paired_gate(2500, np.array([0.0, 0.02])):
        assert row["outcomes"]["failed"] <= allowed(0, 0.025, 2500, alarm=1e-4)[1], row
        if row["true_change"] == row["margin"]:
            assert row["outcomes"]["passed"] <= allowed(0, 0.025, 2500, alarm=1e-4)[1], row


@pytest.mark.slow
def test_twenty_gates(simulation):
    for row in simulation.simulate_verdicts.many_gates(2000):
        assert row["runs_with_a_false_failure"]["holm"] <= allowed(0, 0.025, 2000, alarm=1e-4)[1], row


@pytest.mark.slow
def test_the_exact_test_keeps_its_level(simulation):
    for row in simulation.simulate_verdicts.exact_test(2000):
        assert row["false_alarms_at_5_percent"]["symmetric"] <= allowed(0, 0.05, 2000, alarm=1e-4)[1], row


@pytest.mark.slow
def test_respondents(simulation):
    for row in simulation.respondents(400):
        assert row["coverage"]["with the bias"] >= allowed(0.935, 1.0, 400, alarm=1e-4)[0], row


@pytest.mark.whole
def test_targets_of_verdicts_roughly(simulation):
    verdicts = simulation.simulate_verdicts
    for row in verdicts.near_constant(60):
        assert row["passed"] <= (0.0 if row["n"] < 75 else allowed(0, 0.05, 60)[1]), row
    for row in verdicts.patchy(60):
        if row["n"] >= 25 and row["change"].startswith(("every", "80 %")):
            assert row["passed"] <= allowed(0, 0.05, 60)[1], row
        if row["change"].startswith("unchanged") and row["n"] >= 80:
            assert row["passed"] >= allowed(0.8, 1, 60)[0], row


@pytest.mark.whole
def test_nothing_fits_better_where_all_are_equal(simulation):
    for row in simulation.simulate_verdicts.selection(60):
        assert row["warned"]["adjusted"] <= allowed(0, 0.05, 60)[1], row
    for row in simulation.simulate_verdicts.two_bounds(60):
        assert row["failed"]["as two"] <= row["failed"]["each end alone"]
