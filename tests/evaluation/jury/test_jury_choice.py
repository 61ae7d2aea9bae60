"""The choice of a jury together: by bridging, by Schulze's method, by the minimax winner."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_pluralism as pp
from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import InvalidParameterError
from pytest_pluralism.core.records import Gate, Outcome, Prompt

ASKING: dict[str, Any] = {"repetitions": 1, "examples": 0, "option_order": "none", "settings": {"answers": "off"}}


def write(path: Path, votes: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Write a panel: for each query a row of votes a juror."""
    rows: list[object] = [{"scale": {"lowest": 0, "highest": 4, "levels": 5}}]
    for query, table in votes.items():
        rows += [
            {"juror": f"j{juror}", "query": query, "response": f"r{place}", "utility": vote}
            for juror, row in enumerate(table)
            for place, vote in enumerate(row)
        ]
    rows += [{"query": query, "text": f"What about {query}?"} for query in votes]
    rows += [
        {"query": query, "response": f"r{place}", "text": f"Say {place} of {query}."}
        for query, table in votes.items()
        for place in range(len(table[0]))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def gives(place: int | None) -> Any:
    """Return a model that always gives one response, or all alike."""

    def model(prompt: Prompt) -> list[float]:
        options = [line[3:] for line in prompt.question.splitlines() if line[1:3] == ". "]
        if place is None:
            return [1 / len(options)] * len(options)
        return [float(f"Say {place} of" in option) for option in options]

    return model


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two camps of 17 and 3 love r0 and r1; both like r2."""
    rng = np.random.default_rng(0)
    votes = {}
    for number in range(12):
        big = np.tile([4, 0, 3], (17, 1))
        small = np.tile([0, 4, 3], (3, 1))
        table = np.vstack([big, small])
        table[rng.integers(20), rng.integers(3)] = 2
        votes[f"q{number}"] = table.tolist()
    return write(tmp_path_factory.mktemp("divided") / "divided.jsonl", votes)


def measured(place: int | None, panel: str, rule: str, **keywords: Any) -> Any:
    return pp.measure(gives(place), "jury_choice", panel, rule=rule, **ASKING, **keywords)


def test_bridging_prefers_what_both_camps_like(divided: str) -> None:
    both = measured(2, divided, "bridging", jury="whole")
    camp = measured(0, divided, "bridging", jury="whole")
    assert both.estimate.value > camp.estimate.value + 0.1
    assert both.scores.units[0].details["chosen_by_jury"] == "r2"
    assert both.scores.references["best"] == pytest.approx(both.estimate.value)


@pytest.mark.whole
def test_schulze_and_minimax_choose_what_the_majority_prefers(divided: str) -> None:
    winner, even = measured(0, divided, "schulze"), measured(None, divided, "schulze")
    assert winner.estimate.value == 1.0
    assert even.estimate.value == pytest.approx(1 / 3)
    assert decide(Gate(at_least=0.5), winner.estimate).outcome is Outcome.PASSED
    assert decide(Gate(at_least=0.5), even.estimate).outcome is not Outcome.PASSED
    lottery, rival = measured(0, divided, "minimax"), measured(1, divided, "minimax")
    assert lottery.estimate.value == pytest.approx(0.5)
    assert rival.estimate.value < 0.45


def test_the_interval_holds_what_another_jury_would_say(divided: str) -> None:
    sample, whole = measured(None, divided, "minimax"), measured(None, divided, "minimax", jury="whole")
    assert sample.estimate.value == whole.estimate.value
    assert sample.estimate.high - sample.estimate.low > whole.estimate.high - whole.estimate.low


def test_several_winners_count_as_one_or_by_lot(tmp_path: Path) -> None:
    tied = write(tmp_path / "tied.jsonl", {f"q{n}": [[4, 1, 0], [1, 4, 0]] for n in range(3)})
    assert measured(0, tied, "schulze", jury="whole").estimate.value == 1.0
    by_lot = measured(0, tied, "schulze", jury="whole", ties="random")
    assert by_lot.estimate.value == 0.5
    assert by_lot.scores.details["ties"] == 3
    assert by_lot.scores.references["best"] == pytest.approx(0.5)


def test_a_query_on_which_all_responses_win_says_nothing(tmp_path: Path) -> None:
    """Any answer is right there, so that such queries would keep a promise for every model."""
    even = [[4, 1], [1, 4]]
    panel = write(tmp_path / "even.jsonl", {f"q{n}": even if n else [[4, 1], [4, 1]] for n in range(4)})
    found = measured(1, panel, "schulze", jury="whole")
    assert [unit.unit_id for unit in found.scores.units] == ["q0"]
    assert found.estimate.value == 0.0
    assert found.scores.warnings[0].startswith("3 of 4 queries are left out: all their responses win")
    assert measured(1, panel, "schulze", jury="whole", ties="random").estimate.value == pytest.approx(0.375)
    nothing = write(tmp_path / "nothing.jsonl", {f"q{n}": even for n in range(3)})
    with pytest.raises(InvalidParameterError, match="any model gives what the jury chooses"):
        measured(1, nothing, "schulze", jury="whole")


def strongest_paths(table: np.ndarray) -> list[int]:
    """Return the winners of Schulze's method by looking at every path."""
    n = table.shape[1]
    counts = [[int((table[:, a] > table[:, b]).sum()) for b in range(n)] for a in range(n)]
    beats = [[counts[a][b] if counts[a][b] > counts[b][a] else 0 for b in range(n)] for a in range(n)]

    def strength(a: int, b: int) -> int:
        others = [one for one in range(n) if one not in (a, b)]
        paths = [
            (a, *between, b) for size in range(len(others) + 1) for between in itertools.permutations(others, size)
        ]
        return max(min(beats[x][y] for x, y in itertools.pairwise(path)) for path in paths)

    return [a for a in range(n) if all(strength(a, b) >= strength(b, a) for b in range(n) if b != a)]


def test_the_winners_are_those_of_every_path(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    votes = {f"q{number}": rng.integers(0, 5, (7, 4)).tolist() for number in range(20)}
    found = measured(None, write(tmp_path / "random.jsonl", votes), "schulze", jury="whole")
    for unit in found.scores.units:
        expected = ", ".join(f"r{place}" for place in strongest_paths(np.array(votes[unit.unit_id])))
        assert unit.details["chosen_by_jury"] == expected


def test_the_winners_are_those_of_pref_voting() -> None:
    """An implementation of others, where it is installed."""
    voting = pytest.importorskip("pref_voting.voting_methods")
    profiles = pytest.importorskip("pref_voting.profiles")
    from pytest_pluralism.core.metrics import pairwise_counts, schulze

    rng = np.random.default_rng(4)
    for _ in range(50):
        ballots = [rng.permutation(5).tolist() for _ in range(9)]
        ranks = np.array([[ballot.index(one) + 1 for one in range(5)] for ballot in ballots], dtype=float)
        ours = np.flatnonzero(schulze(pairwise_counts(ranks)).winners).tolist()
        assert ours == sorted(voting.beat_path(profiles.Profile(ballots)))


#: Ballots (ranks from 0, dense, a row a juror), and what the published code of the Habermas Machine
#: (github.com/google-deepmind/habermas_machine, revision 7923b71) makes of them: its ranking with ties, and the shares
#: of 2,000 seeds in which a statement comes first when ballots part the ties (TBRC).
PUBLISHED: list[tuple[list[list[int]], list[int], list[float]]] = [
    ([[0, 1, 2]] * 3, [0, 1, 2], [1.0, 0.0, 0.0]),
    ([[0, 1], [1, 0]], [0, 0], [0.4865, 0.5135]),
    ([[0, 1, 2], [1, 2, 0], [2, 0, 1]], [0, 0, 0], [0.31, 0.348, 0.342]),
    ([[0, 1, 2], [1, 0, 2], [0, 0, 1], [0, 1, 2], [1, 0, 2]], [0, 0, 1], [0.517, 0.483, 0.0]),
    ([[0, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0]], [0, 1, 1], [1.0, 0.0, 0.0]),
    ([[0, 1, 2, 3], [1, 2, 0, 3], [2, 0, 1, 3]], [0, 0, 0, 1], [0.31, 0.348, 0.342, 0.0]),
    ([[0, 1, 2], [0, 1, 2], [2, 0, 1], [2, 0, 1], [1, 2, 0], [0, 0, 0]], [0, 0, 1], [0.5975, 0.4025, 0.0]),
    ([[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 3, 2], [1, 0, 2, 3]], [0, 0, 1, 1], [0.5025, 0.4975, 0.0, 0.0]),
    ([[0, 0, 0], [0, 0, 0]], [0, 0, 0], [0.3335, 0.325, 0.3415]),
    ([[0, 1, 1, 0], [2, 1, 2, 0], [1, 0, 1, 0], [2, 0, 1, 2], [3, 1, 0, 2]], [2, 0, 1, 0], [0.0, 0.521, 0.0, 0.479]),
]


@pytest.mark.parametrize(("ballots", "ranking", "first"), PUBLISHED)
def test_rankings_and_ties_are_those_of_the_published_habermas_machine(
    tmp_path: Path, ballots: list[list[int]], ranking: list[int], first: list[float]
) -> None:
    from pytest_pluralism.core.metrics import pairwise_counts, schulze

    outcome = schulze(pairwise_counts(ballots))
    assert np.unique(outcome.ranks, return_inverse=True)[1].tolist() == ranking
    winners = [place for place, rank in enumerate(ranking) if rank == 0]
    # The model gives one statement each time: the value is the chance of that one.
    panel = write(tmp_path / "votes.jsonl", {f"q{n}": [[4 - rank for rank in row] for row in ballots] for n in (0, 1)})
    for place, share in enumerate(first):
        by_ballot, by_lot = (
            measured(place, panel, "schulze", jury="whole", ties=ties).estimate.value for ties in ("ballot", "random")
        )
        assert by_lot == pytest.approx((place in winners) / len(winners))
        assert by_ballot == pytest.approx(share, abs=4.0 * (share * (1.0 - share) / 2000) ** 0.5)
        if len(winners) < len(ranking):
            assert measured(place, panel, "schulze", jury="whole").estimate.value == float(place in winners)


def test_ballots_that_part_nothing_leave_a_fair_draw_and_weights_count() -> None:
    from pytest_pluralism.evaluation.jury.ties import worth_of_winners

    ranks = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0], [np.nan, 0.0, 1.0]])
    both = np.array([True, True, False])

    def chances(*weights: float) -> list[float]:
        return worth_of_winners(both, ranks, np.array(weights), ties="ballot").tolist()

    assert chances(3.0, 1.0, 9.0) == [0.75, 0.25, 0.0]
    # A juror who did not judge both of them parts nothing.
    assert chances(0.0, 0.0, 1.0) == [0.5, 0.5, 0.0]
    three = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = worth_of_winners(np.array([True] * 3), three, np.ones(2), ties="ballot")
    assert found.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "needs a rule"),
        ({"rule": "borda"}, "'bridging' or 'schulze' or 'minimax'"),
        ({"rule": "minimax", "ties": "any"}, "several Schulze winners"),
        ({"rule": "schulze", "ties": "first"}, "'any' or 'random' or 'ballot'"),
        ({"rule": "schulze", "jury": "both"}, "'sample' or 'whole'"),
    ],
)  # fmt: skip
def test_wrong_keywords_are_refused(divided: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        pp.evaluate(gives(0), "jury_choice", divided, **ASKING, **keywords)


def test_one_juror_is_not_a_jury(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="one juror"):
        measured(0, write(tmp_path / "one.jsonl", {"q": [[4, 0]], "p": [[4, 0]]}), "schulze")


def test_a_jury_that_compares_nothing_chooses_nothing(tmp_path: Path) -> None:
    """Half of the jurors judge each response alone, so that nobody prefers one of the two."""
    rows: list[object] = [{"scale": {"lowest": 0, "highest": 4, "levels": 5}}]
    for query in ("p", "q", "r"):
        rows += [
            {"juror": f"j{juror}", "query": query, "response": f"r{juror % 2}", "utility": juror % 5}
            for juror in range(24)
        ]
        rows += [{"query": query, "response": f"r{place}", "text": f"Say {place} of {query}."} for place in range(2)]
        rows.append({"query": query, "text": f"What about {query}?"})
    panel = tmp_path / "apart.jsonl"
    panel.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for rule in ("schulze", "minimax"):
        found = measured(0, str(panel), rule, jury="whole")
        assert found.estimate.n_missing == 3
        assert decide(Gate(at_least=0.1), found.estimate).outcome is not Outcome.PASSED
        assert any("no juror compared" in text for text in found.scores.warnings)
        assert found.scores.witness is None


@pytest.mark.whole
def test_few_jurors_who_agree_say_nothing_of_another_jury(tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", {f"q{n}": [[4, 0], [4, 1], [3, 0]] for n in range(40)})
    assert decide(Gate(at_least=0.5), measured(0, few, "schulze", jury="whole").estimate).outcome is Outcome.PASSED
    sample = measured(0, few, "schulze")
    assert decide(Gate(at_least=0.5), sample.estimate).outcome is Outcome.INCONCLUSIVE
    assert "3 jurors say too little" in sample.scores.doubt


def test_jurors_without_a_group_are_named_where_groups_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "town.csv"
    lines = ["juror,group,q/a,q/b,q/c", "j1,,.9,.5,.1", "j2,north,.1,.9,.5", "j3,,.1,.9,.5", "j4,south,.9,.5,.2"]
    path.write_text("\n".join(lines), encoding="utf-8")
    for keywords in ({"by": "group"}, {"population": "all"}, {"population": "worst"}):
        with pytest.raises(InvalidParameterError, match=r"juror 'j1' and 1 other\(s\) have no 'group'"):
            pp.evaluate(gives(0), "jury_welfare", str(path), alpha=0, **keywords, **ASKING)
    path.write_text(path.read_text(encoding="utf-8").replace("j3,,", "j3,north,"), encoding="utf-8")
    with pytest.raises(InvalidParameterError, match="juror 'j1' has no 'group'"):
        pp.evaluate(gives(0), "jury_welfare", str(path), alpha=0, population="all", **ASKING)
