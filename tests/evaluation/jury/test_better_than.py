"""Welfare that must be better than another system's, on the same jurors and queries."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.evaluation.jury.beside import reference_shares
from pytest_pluralism.evaluation.jury.evaluations import JurySettings, policy_scores

for _name in (
    "pytest_pluralism.core.estimation.crossed",
    "pytest_pluralism.evaluation.jury.planner",
    "pytest_pluralism.report.json_report",
    "pytest_pluralism.report.terminal",
    "rich.table",
    "scipy.stats",
    "scipy.special",
):
    importlib.import_module(_name)

EXAMPLE = Path(__file__).parents[3] / "examples" / "jury_gate"

SHARES = {"pleaser": [0.94, 0.02, 0.04], "bridge": [0.04, 0.04, 0.92]}


@pytest.fixture
def town(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PLURALISM_ANSWERS", "off")
    pytester.makeconftest((EXAMPLE / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\n")
    return pytester


def judged(town: pytest.Pytester, promise: str, model: str) -> dict[str, Any]:
    marker = f'@pytest.mark.jury_welfare("example_town", {promise})'
    town.makepyfile(test_town=f"import pytest\n\n{marker}\ndef test_it(): ...\n")
    town.runpytest_inprocess(f"--pluralism-model=town:{model}", "--pluralism-report=out.json")
    (verdict,) = json.loads((town.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    found: dict[str, Any] = verdict
    return found


def welfare(shares: np.ndarray, alpha: float) -> float:
    panel = load_panel("example_town")
    scores = policy_scores(panel, shares, settings=JurySettings(rule=WelfareRule(alpha=alpha)))
    return float(np.mean([unit.value for unit in scores.units]))


@pytest.mark.parametrize(
    ("promise", "model", "alpha", "outcome"),
    [
        ('alpha=1.0, better_than="for the center"', "bridge", 1.0, "inconclusive"),
        ('alpha=2.0, better_than="for both"', "pleaser", 2.0, "failed"),
        ('alpha=5.0, better_than="uniform"', "bridge", 5.0, "passed"),
        ('alpha=1.0, better_than="majority"', "bridge", 1.0, "inconclusive"),
        ('alpha=0.0, better_than="system:for the river"', "pleaser", 0.0, "passed"),
    ],
)
def test_the_advantage_is_the_difference_of_the_welfares(
    town: pytest.Pytester, promise: str, model: str, alpha: float, outcome: str
) -> None:
    verdict = judged(town, promise, model)
    assert verdict["outcome"] == outcome
    panel = load_panel("example_town")
    ids = [one.response_id for one in panel.responses]
    word = verdict["gate"]["better_than"].removeprefix("system:")
    theirs = np.array([float(name == word) for name in ids]) if word in ids else reference_shares(
        panel, word, JurySettings(rule=WelfareRule(alpha=alpha))
    )  # fmt: skip
    kinds = dict(zip(("for the center", "for the river", "for both"), SHARES[model], strict=True))
    ours = np.array([kinds[name] for name in ids])
    advantage = verdict["advantage"]
    assert advantage["value"] == pytest.approx(welfare(ours, alpha) - welfare(theirs, alpha), abs=1e-9)
    # Jurors are a part of it: an interval over queries alone would be narrower than the 12 of them allow.
    assert advantage["low"] < advantage["value"] < advantage["high"]


def test_a_system_is_not_better_than_itself(town: pytest.Pytester) -> None:
    panel = load_panel("example_town")
    even = reference_shares(panel, "uniform", JurySettings())
    assert even.tolist() == [1 / 3] * len(panel.responses)
    conftest = (town.path / "conftest.py").read_text(encoding="utf-8")
    town.makeconftest(conftest.replace('"bridge": {', '"even": dict.fromkeys(("for the center", "for both", '
                                       '"for the river"), 1 / 3),\n    "bridge": {'))  # fmt: skip
    verdict = judged(town, 'alpha=1.0, better_than="uniform"', "even")
    assert verdict["advantage"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert verdict["outcome"] == "inconclusive"


def test_an_unknown_system_is_told_before_a_model_loads(town: pytest.Pytester) -> None:
    with pytest.raises(InvalidParameterError, match="have no response of that id or author"):
        reference_shares(load_panel("example_town"), "system:for nobody", JurySettings())
    town.makepyfile(
        test_town="import pytest\n\n@pytest.mark.jury_welfare('example_town', better_than='for nobody')\n"
        "def test_it(): ...\n"
    )
    result = town.runpytest_inprocess("--pluralism-model=town:bridge")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*better_than='for nobody': 12 of 12 queries of example_town have no response*"])


@pytest.mark.whole
@pytest.mark.parametrize(("n_river", "reason"), [
    (10, ""), (6, "6 jurors, fewer than 10"), (1, "a single juror says nothing about others"),
])  # fmt: skip
def test_a_gap_to_a_group_of_few_jurors_is_not_shown(
    town: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, n_river: int, reason: str
) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "fail")
    panel = load_panel("example_town")
    river = [one.juror_id for one in panel.jurors if one.attributes["group"] == "river"]
    jurors = [one for one in panel.jurors if one.juror_id not in river[n_river:]]
    kept = {one.juror_id for one in jurors}
    rows: list[dict[str, Any]] = [{"scale": {"lowest": 0, "highest": 1}}]
    rows += [{"juror": one.juror_id, **one.attributes} for one in jurors]
    for query in panel.queries:
        rows.append({"query": query.query_id, "text": query.text})
        rows += [{"query": query.query_id, "response": one.response_id, "text": one.text} for one in query.responses]
    votes = zip(panel.vote_jurors, panel.vote_responses, panel.utilities, strict=True)
    for juror, response, utility in votes:
        name, query = panel.jurors[juror].juror_id, panel.queries[panel.response_queries[response]].query_id
        if name in kept:
            of = panel.responses[response].response_id
            rows.append({"juror": name, "query": query, "response": of, "utility": float(utility)})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    town.path.joinpath("small.jsonl").write_text(lines, encoding="utf-8")
    town.makepyfile(
        test_town="""
        def test_gap(pluralism):
            sides = [
                pluralism.evaluate("jury_welfare", "small.jsonl", population=name, alpha=0.0)
                for name in ("center", "river")
            ]
            pluralism.require(sides[0] - sides[1], at_most=0.9)
        """
    )
    result = town.runpytest_inprocess("--pluralism-model=town:bridge", "--pluralism-report=out.json")
    result.assert_outcomes(passed=1 if not reason else 0, failed=1 if reason else 0)
    (verdict,) = json.loads((town.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    assert verdict["outcome"] == ("inconclusive" if reason else "passed")
    assert reason in verdict.get("reason", "")
    accepted = town.runpytest_inprocess(
        "--pluralism-model=town:bridge", "--pluralism-suppress-health-check=too_few_units"
    )
    # Nothing is known of others where there is one.
    accepted.assert_outcomes(passed=int(n_river > 1), failed=int(n_river == 1))
