"""Preference pairs: how often a reward or a judge prefers what people prefer, by group and by persona."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Answer, Gate, Outcome, Prompt, RewardRequest
from pytest_pluralism.datasets.panels.personas import panel_of_personas
from pytest_pluralism.evaluation.preferences.evaluation import _chosen
from pytest_pluralism.models.protocol import ModelIdentity

STORE_OFF = {"answers": "off"}


class Reward:
    """A reward model that asks a function."""

    def __init__(self, function: Callable[[RewardRequest], float]) -> None:
        self.function = function
        self.identity = ModelIdentity("reward", "reward", "reward", "float32", "cpu")

    def reward(self, requests: Sequence[RewardRequest], /, *, progress: object = None) -> list[float]:
        return [self.function(one) for one in requests]

    def close(self) -> None: ...


def write(path: Path, rows: Sequence[object]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def town(tmp_path: Path) -> str:
    """Two personas: the farmer prefers what is said of fields, the sailor what is said of the sea."""
    rows: list[object] = [
        {"persona": "ana", "description": "a farmer", "groups": {"trade": "farmer", "sex": "f"}, "weight": 2},
        {"persona": "bo", "description": "a sailor", "groups": {"trade": "sailor", "sex": "m"}},
    ]
    for number in range(20):
        texts = f"Think of the fields {number}.", f"Think of the open sea {number}."
        for persona, (chosen, rejected) in (("ana", texts), ("bo", texts[::-1])):
            rows.append({"prompt": f"Where to {number}?", "chosen": chosen, "rejected": rejected, "persona": persona})
    return write(tmp_path / "town.jsonl", rows)


def knows(request: RewardRequest) -> float:
    wanted = {"a farmer": "fields", "a sailor": "sea"}.get(request.attribute, "fields")
    return float(wanted in request.response)


def measured(reward: Callable[[RewardRequest], float], path: str, **keywords: Any) -> Any:
    return pp.measure(
        lambda prompt: "", "preference_accuracy", path, value_model=Reward(reward), settings=STORE_OFF, **keywords
    )


def test_a_reward_that_knows_the_persona_is_right_and_one_that_is_not_told_is_not(town: str) -> None:
    found = measured(knows, town)
    assert found.estimate.value == 1.0
    assert found.scores.references == {"uniform": 0.5, "longer": 0.5, "untold": 0.5}
    assert found.scores.details["kappa"] == pytest.approx(1.0)
    assert [row["group"] for row in found.scores.details["groups"]] == ["ana", "bo"]
    assert set(found.scores.details["by_kind"]) == {"trade", "sex"}


def test_a_reward_that_serves_one_persona_alone_has_a_worst_one(town: str) -> None:
    serves_ana = lambda one: float("fields" in one.response)  # noqa: E731
    found = measured(serves_ana, town, tell="nothing")
    assert found.estimate.value == 0.5
    assert (found.scores.witness.unit_id, found.scores.witness.value) == ("bo", 0.0)
    assert found.scores.details["kappa"] == pytest.approx(0, abs=0.2)
    worst = measured(serves_ana, town, population="worst", by="trade", tell="nothing")
    assert (worst.estimate.value, worst.scores.details["worst"]) == (0.0, "sailor")
    assert [row["group"] for row in worst.scores.details["groups"]] == ["farmer", "sailor"]


def test_pairs_without_a_group_are_counted(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{number}", "chosen": f"fields {number}", "rejected": "no", "groups": {"trade": trade}}
        for trade in ("farmer", "sailor")
        for number in range(12)
    ]
    rows += [{"prompt": f"p{number}", "chosen": f"sea {number}", "rejected": "fields"} for number in range(6)]
    path = write(tmp_path / "pairs.jsonl", rows)
    for keywords in ({"population": "worst"}, {"population": "farmer"}, {}):
        found = measured(lambda one: float("fields" in one.response), path, **keywords)
        said = [text for text in found.scores.warnings if "in none of the groups" in text]
        # Nothing else shows that the judge is wrong on the six pairs of nobody.
        assert said == ["6 of 30 pairs have no trade, and are in none of the groups"]
    whole = measured(knows, write(tmp_path / "all.jsonl", rows[:24]))
    assert not any("in none of the groups" in text for text in whole.scores.warnings)


def test_a_constant_reward_ties_and_says_so(town: str) -> None:
    found = measured(lambda one: 3.0, town)
    assert found.estimate.value == 0.5
    assert found.scores.details["ties"] == 40
    assert found.scores.details["kappa"] is None
    assert any("does not tell the two responses" in text for text in found.scores.warnings)


@pytest.mark.parametrize(("broken", "outcome"), [("", Outcome.ERROR), (" 3?", Outcome.INCONCLUSIVE)])
def test_a_reward_that_is_not_a_number_never_passes(town: str, broken: str, outcome: Outcome) -> None:
    found = measured(lambda one: math.nan if broken in one.prompt else knows(one), town, population="ana")
    assert decide(Gate(at_least=0.1), found.estimate).outcome is outcome
    worst = measured(lambda one: math.nan if broken in one.prompt else knows(one), town, population="worst")
    assert decide(Gate(at_least=0.1), worst.estimate).outcome is outcome


def test_an_infinite_reward_prefers_nothing(town: str) -> None:
    found = measured(lambda one: math.inf if "fields" in one.response else 0.0, town)
    assert found.estimate.n_missing == 40
    assert decide(Gate(at_least=0.1), found.estimate).outcome is not Outcome.PASSED


def test_a_language_model_judges_in_both_orders(town: str) -> None:
    asked: list[str] = []

    def judge(prompt: Prompt) -> list[float]:
        asked.append(prompt.question)
        first = prompt.question.partition("Answer A: ")[2].partition("\n")[0]
        wanted = "fields" if "a farmer" in prompt.question else "sea"
        return [0.9, 0.1] if wanted in first else [0.1, 0.9]

    told = pp.measure(judge, "preference_accuracy", town, judge="choice", settings=STORE_OFF)
    assert told.estimate.value == 1.0
    likes_a = pp.measure(lambda prompt: [0.9, 0.1], "preference_accuracy", town, judge="choice", settings=STORE_OFF)
    assert likes_a.estimate.value == 0.5
    assert any("This is a person:\na farmer" in text for text in asked)


def test_pairs_of_one_persona_or_prompt_are_one_cluster(town: str) -> None:
    assert measured(knows, town).estimate.n_clusters == 2
    assert measured(knows, town, population="ana").estimate.n_clusters == 20


def test_the_published_form_of_persona_is_read(tmp_path: Path) -> None:
    rows = [
        {
            "persona": f"age: {age}\nsex: Male\nreligion: None",
            "instruction": f"What is {number}?",
            "data": f"For you, {number}.",
            "original": "It depends.",
            "critique": "It should know the person.",
            "question type": "test",
            "scorer_level": 3,
        }
        for age in (31, 62)
        for number in range(3)
    ]
    found = pp.load_preferences(write(tmp_path / "persona.jsonl", rows))
    assert len(found.personas) == 2
    assert found.kinds == ("age", "sex", "religion", "persona")
    assert list(found.by_group("age")) == ["31", "62"]
    assert found.description_of(found.pairs[0]) == "age: 31\nsex: Male\nreligion: None"


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,chosen,rejected,group:party\nWhy?,Because.,No.,Green\nHow?,So.,Not.,Blue\n", "utf-8")
    assert pp.load_preferences(path).kinds == ("party",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "a", "chosen": "b", "rejected": "b "}], "the same text"),
        ([{"prompt": "a", "chosen": "b"}], "lacks 'rejected'"),
        ([{"persona": "x"}, {"prompt": "a", "chosen": "b", "rejected": "c", "persona": "y"}], "'y'"),
        ([{"persona": "x"}, {"prompt": "a", "chosen": "b", "rejected": "c"}], "no pair belongs to the persona 'x'"),
        ([{"persona": "x", "weight": 0}], "above 0"),
        ([{"pair_id": "1", "prompt": "a", "chosen": "b", "rejected": "c"}] * 2, "a second time"),
        ([{"prompt": "a", "chosen": "b", "rejected": "c", "groups": {"persona": "x"}}], "must not have the kind"),
        ([{"prompt": "a", "chosen": "", "rejected": "c"}], "not empty"),
    ],
)  # fmt: skip
def test_wrong_lines_are_refused(tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        pp.load_preferences(write(tmp_path / "pairs.jsonl", rows))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"judge": "person"}, "'rewards' or 'choice'"),
        ({"by": "age"}, "Did you mean|kind of group"),
        ({"population": "eva"}, "persona of town.jsonl"),
        ({"population": 3}, "a group, a list of groups"),
    ],
)  # fmt: skip
def test_wrong_keywords_are_refused(town: str, keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        measured(knows, town, **keywords)


def test_a_group_of_one_pair_is_refused(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{number}", "chosen": "b", "rejected": "c", "groups": group}
        for number, group in enumerate(("north", "north", "south"))
    ]
    path = write(tmp_path / "pairs.jsonl", rows)
    with pytest.raises(InvalidParameterError, match=r"'south' of pairs\.jsonl has 1 pair"):
        measured(knows, path, population="worst")


def test_personas_sit_as_a_jury_with_census_weights(town: str) -> None:
    preferences = pp.load_preferences(town)
    panel = panel_of_personas(preferences, margins={"sex": {"f": 0.25, "m": 0.75}})
    assert panel.weights.tolist() == pytest.approx([0.5, 1.5])
    assert {one.kind for one in panel.jurors} == {"made up"}
    assert len(panel.queries) == 20
    fields = [1.0, 0.0] * 20
    from pytest_pluralism.evaluation.jury.evaluations import JurySettings, policy_scores

    found = policy_scores(panel, fields, settings=JurySettings())
    assert found.units[0].value > 0
    assert pp.load_panel(f"preferences:{town}").weights.tolist() == [2.0, 1.0]
    with pytest.raises(DatasetError, match="no group of the kind 'age'"):
        panel_of_personas(preferences, margins={"age": {"old": 1}})


@pytest.mark.parametrize("masses", [(0.9, 0.02), (0.02, 0.9)])
def test_an_order_that_is_not_read_is_not_hidden_by_the_other(masses: tuple[float, float]) -> None:
    one, swapped = (Answer((-0.1, -3.0), mass, "A", 0.9) for mass in masses)
    assert _chosen(one, swapped).option_mass == 0.02
    assert _chosen(one, Answer((-math.inf, -math.inf), 0.9, "A", 0.9)).option_mass == min(0.9, masses[0])


BLIND_CONFTEST = """
import os

from pytest_pluralism.models.protocol import ModelIdentity


class Reward:
    identity = ModelIdentity("coin", "coin", "coin", "float32", "cpu")

    def reward(self, requests, /, *, progress=None):
        # Right on every other pair; or no preference at all.
        return [float(os.environ["KNOWS"]) * float(("fields" in one.response) == ("1" in one.prompt))
                for one in requests]

    def close(self):
        pass


def pytest_pluralism_load_value_model(spec, settings):
    return Reward() if spec == "coin" else None
"""


@pytest.mark.whole
def test_a_judge_that_prefers_nothing_keeps_no_promise_of_a_change(
    pytester: pytest.Pytester, town: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLURALISM_HEALTH", "fail")
    pytester.makeconftest(BLIND_CONFTEST)
    pytester.makeini("[pytest]\npluralism_seed = 0\npluralism_answers = off\n")
    pytester.makepyfile(
        test_it=f"import pytest\n\n@pytest.mark.preference_accuracy({town!r}, tell='nothing', max_decrease=0.05)\n"
        "def test_it(): ...\n"
    )
    found, few = [], "--pluralism-suppress-health-check=too_few_units"
    # A judge that is right as often as a coin loses nothing; of one that is blind nothing is known.
    for knows in ("1", "0"):
        monkeypatch.setenv("KNOWS", knows)
        for update in ("--pluralism-update-baseline", "--pluralism-report=out.json"):
            pytester.runpytest_inprocess("--pluralism-value-model=coin", few, update)
        (verdict,) = json.loads((pytester.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
        found.append((verdict["outcome"], "prefers neither response of any pair" in str(verdict["warnings"])))
    assert found == [("passed", False), ("inconclusive", True)]


def test_a_comparison_with_the_untold_judge_needs_something_to_tell(pytester: pytest.Pytester) -> None:
    """Otherwise every pair would be judged, and the comparison fail in the end."""
    rows: list[object] = [{"persona": "ana", "description": "a farmer"}, {"persona": "bo"}]
    rows += [
        {"prompt": f"p{number}", "chosen": f"fields {number}", "rejected": "no", "persona": persona}
        for persona in ("ana", "bo")
        for number in range(12)
    ]
    write(pytester.path / "half.jsonl", rows)
    write(pytester.path / "bare.jsonl", rows[2:])
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.preference_accuracy("half.jsonl", better_than="untold", tell="nothing")
        def test_nothing(): ...

        @pytest.mark.preference_accuracy("half.jsonl", better_than="untold", population="worst")
        def test_worst(): ...

        @pytest.mark.preference_accuracy("bare.jsonl", better_than="untold")
        def test_bare(): ...

        @pytest.mark.preference_accuracy("half.jsonl", better_than="untold", population="ana")
        def test_good(): ...
        """
    )
    result = pytester.runpytest_inprocess("--collect-only")
    result.stdout.fnmatch_lines(
        [
            "*ERROR*::test_nothing*: *told nothing, and so is this one with tell='nothing'. Leave 'tell' out*",
            "*ERROR*::test_worst*: *half.jsonl describes nobody of the persona 'bo', so that no judge is told. Add*",
            "*ERROR*::test_bare*: *bare.jsonl describes nobody, so that no judge is told. Add*",
        ]
    )
    result.stdout.no_fnmatch_line("*ERROR*::test_good*")
