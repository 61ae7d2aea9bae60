"""Jury evaluations: from answers and texts to welfare, by every kind of jurors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core import decide
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.estimation import estimate_scores
from pytest_pluralism.core.metrics import welfare
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.core.records import (
    Answer,
    EntailmentScores,
    Gate,
    GenerationSettings,
    Outcome,
    Response,
    RewardRequest,
    Scores,
)
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import Juror, Panel
from pytest_pluralism.datasets.panels.sources import read_dices
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.jury.evaluations import (
    AgainstReference,
    ChoiceEvaluation,
    JurySettings,
    WrittenEvaluation,
    agreement,
    choice_survey,
    jury_table,
    policy_scores,
)
from pytest_pluralism.evaluation.jury.jurors import (
    CallableJurors,
    Candidate,
    EntailmentJurors,
    JurorFunction,
    RecordedJurors,
    RewardJurors,
    ValueModelJurors,
    check_against_votes,
    scorer_of,
)
from pytest_pluralism.evaluation.jury.systems import (
    bridging_of_responses,
    compare_systems,
    response_lottery,
    system_lottery,
)

WRITING = GenerationSettings(max_new_tokens=8, temperature=0.0)

Ask = Callable[[Any], list[Any]]


def driven(evaluation: Any, ask: Ask) -> Scores:
    """Answer the rounds of an evaluation one by one."""
    scores: Scores = drive(evaluation.rounds(), ask)
    return scores


def chooser(shares: dict[str, float], panel: Panel) -> Ask:
    """Choose responses by their ids with fixed shares."""
    kinds = {one.text: one.response_id for query in panel.queries for one in query.responses}

    def ask(asked: Any) -> list[Answer]:
        answers = []
        for prompt in asked.requests:
            options = [line[3:] for line in prompt.question.splitlines()[-len(prompt.labels) :]]
            chosen = tuple(math.log(shares[kinds[option]]) for option in options)
            answers.append(Answer(chosen, 1.0, "A", 0.5))
        return answers

    return ask


def writer(texts: dict[str, list[str]], entails: Callable[[str, str], float] = lambda premise, hypothesis: 0.0) -> Ask:
    """Write fixed texts, and say what they entail."""

    def ask(asked: Any) -> list[Any]:
        if asked.work == "responses":
            return [
                tuple(Response(text, 1, "eos", draw) for draw, text in enumerate(texts[prompt.question]))
                for prompt in asked.requests
            ]
        assert asked.work == "entailment"
        return [EntailmentScores(entails(pair.premise, pair.hypothesis)) for pair in asked.requests]

    return ask


def panel_file(tmp_path: Path, rows: Sequence[dict[str, Any]]) -> Panel:
    path = tmp_path / "panel.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return load_panel(path)


TRAINS = [
    {"juror": "ana", "group": "north", "statement": "Build the railway."},
    {"juror": "bo", "group": "south", "statement": "Mend the roads."},
    {"query": "q1", "text": "What first?"},
    {"query": "q2", "text": "What then?"},
]


# ---------------------------------------------------------------------------------------------------- choosing


def test_what_a_model_chooses_is_worth_what_the_jurors_said() -> None:
    panel = load_panel("example_town")
    shares = {"for the center": 0.2, "for both": 0.7, "for the river": 0.1}
    scores = driven(ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=2.0))), chooser(shares, panel))
    matrix = panel.matrix().reshape(50, 12, 3)
    by_response = np.asarray(welfare(matrix, alpha=2.0, axis=0))
    wanted = by_response @ np.array(list(shares.values()))
    np.testing.assert_allclose([unit.value for unit in scores.units], wanted, atol=1e-9)
    assert scores.references["uniform"] == pytest.approx(by_response.mean(), abs=1e-9)
    assert scores.references["best"] == pytest.approx(by_response.max(axis=1).mean(), abs=1e-9)
    assert scores.references["worst"] == pytest.approx(by_response.min(axis=1).mean(), abs=1e-9)
    pleasing = matrix.mean(axis=0).argmax(axis=1)
    assert scores.references["majority"] == pytest.approx(by_response[np.arange(12), pleasing].mean(), abs=1e-9)
    assert scores.references["worst"] <= scores.references["shuffle"] <= scores.references["best"]
    assert scores.units[0].text == panel.queries[0].text
    assert scores.units[0].options == tuple(one.text for one in panel.queries[0].responses)


def test_pleasing_the_majority_is_good_on_average_and_bad_for_those_who_are_served_worst() -> None:
    panel = load_panel("example_town")
    shares = {"for the center": 0.94, "for both": 0.04, "for the river": 0.02}
    found = {
        alpha: driven(ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=alpha))), chooser(shares, panel))
        for alpha in (0.0, 5.0)
    }
    mean, worst = (estimate_scores(scores) for scores in found.values())
    assert mean.low > 0.55
    assert worst.high < 0.2
    assert found[5.0].witness is not None
    assert found[5.0].witness.unit_id == "group river"
    assert found[5.0].other_populations["river"] < 0.15 < 0.8 < found[5.0].other_populations["center"]


def test_a_gain_on_another_model_is_paired_by_query_and_juror() -> None:
    panel = load_panel("example_town")
    pleaser = {"for the center": 0.94, "for both": 0.04, "for the river": 0.02}
    bridge = {"for the center": 0.04, "for both": 0.92, "for the river": 0.04}

    def ask(asked: Any) -> list[Any]:
        return chooser(bridge if asked.role == "reference_language_model" else pleaser, panel)(asked)

    alone = ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=1.0)))
    scores = driven(AgainstReference(alone), ask)
    ours, theirs = (driven(alone, chooser(shares, panel)) for shares in (pleaser, bridge))
    wanted = [one.value - two.value for one, two in zip(ours.units, theirs.units, strict=True)]
    assert [unit.value for unit in scores.units] == wanted
    assert scores.witness is not None
    assert scores.witness.unit_id == "group river"
    assert scores.witness.value == ours.other_populations["river"] - theirs.other_populations["river"] < -0.3
    assert scores.details["gain_by_group"]["center"] > 0
    # The estimate is that of two stored results that are subtracted, less the bias of both.
    direct, apart = estimate_scores(scores), estimate_scores(ours) - estimate_scores(theirs)
    assert (direct.value, direct.standard_error) == pytest.approx((apart.value, apart.standard_error))
    assert scores.references["candidate"] - scores.references["reference_model"] == pytest.approx(direct.value)
    band = scores.details["dominance"]
    assert band["values"][0] > 0 > band["values"][-1]
    assert not band["dominates"]
    assert band["values"][2] == pytest.approx(direct.value)
    same = driven(AgainstReference(alone), chooser(bridge, panel))
    assert estimate_scores(same).value == 0.0
    swapped = driven(
        AgainstReference(ChoiceEvaluation(panel, JurySettings(rule=WelfareRule(alpha=1.0), group="river"))), ask
    )
    assert swapped.witness is None
    assert estimate_scores(swapped).high < -0.3


def test_the_interval_holds_queries_and_jurors_unless_these_are_the_whole_jury() -> None:
    panel = load_panel("example_town")
    share = np.tile([0.9, 0.1, 0.0], 12)
    sample = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=0.0)))
    whole = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=0.0), whole_jury=True))
    assert sample.crossed is not None
    assert len(sample.crossed.units) == 50
    assert whole.crossed is None
    wide, narrow = estimate_scores(sample), estimate_scores(whole)
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_maximin_has_no_interval_for_other_jurors() -> None:
    panel = load_panel("example_town")
    scores = policy_scores(panel, np.tile([0.0, 1.0, 0.0], 12), settings=JurySettings(rule=WelfareRule(alpha=math.inf)))
    assert scores.crossed is None
    assert any("over queries alone" in warning for warning in scores.warnings)
    wanted = panel.matrix().reshape(50, 12, 3)[:, :, 1].min(axis=0).mean()
    assert estimate_scores(scores).value == pytest.approx(wanted)


def test_one_group_is_measured_alone() -> None:
    panel = load_panel("example_town")
    share = np.tile([1.0, 0.0, 0.0], 12)
    everyone = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=1.0)))
    river = policy_scores(panel, share, settings=JurySettings(rule=WelfareRule(alpha=1.0), group="river"))
    assert estimate_scores(river).value == pytest.approx(everyone.other_populations["river"])
    with pytest.raises(InvalidParameterError, match="'center', 'river'"):
        policy_scores(panel, share, settings=JurySettings(group="hill"))


def test_a_stated_jury_is_the_median_of_sampled_ones() -> None:
    panel = load_panel("example_town")
    settings = JurySettings(composition={"center": 5, "river": 5}, n_juries=101)
    scores = policy_scores(panel, np.tile([1.0, 0.0, 0.0], 12), settings=settings)
    # Half of the seats at about .9 and half at about .06: the majority has no more say than the minority.
    assert estimate_scores(scores).value == pytest.approx(0.48, abs=0.03)
    assert settings.as_json()["rule"].startswith("median over 101 juries of 5 center, 5 river")
    said = "over queries alone: it leaves out what other jurors than these 50 would say (jury='whole'"
    assert [said in text for text in scores.warnings] == [True]
    # Nine jurors do not stand for others, however many queries they judged; by themselves they do.
    nine = panel.select(jurors=[one.juror_id for one in panel.jurors[36:45]])
    few = JurySettings(composition={"center": 4, "river": 5}, n_juries=11)
    undecided = policy_scores(nine, np.tile([0.0, 0.0, 1.0], 12), settings=few)
    assert "drawn from 9 jurors, who say too little of others" in undecided.doubt
    assert decide(Gate(at_least=0.1), estimate_scores(undecided)).outcome is Outcome.INCONCLUSIVE
    whole = policy_scores(nine, np.tile([0.0, 0.0, 1.0], 12), settings=replace(few, whole_jury=True))
    assert decide(Gate(at_least=0.1), estimate_scores(whole)).outcome is Outcome.PASSED
    assert not any("over queries alone" in text for text in whole.warnings)


@pytest.mark.parametrize("share", [np.tile([1.0, 1.0, 0.0], 12), np.ones(5), np.tile([1.5, -0.5, 0.0], 12)])
def test_shares_that_are_no_policy_are_refused(share: np.ndarray) -> None:
    with pytest.raises(InvalidParameterError, match="'share'"):
        policy_scores(load_panel("example_town"), share, settings=JurySettings())


def test_only_judged_responses_are_offered(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "text": "Which?"},
        *({"query": "q", "response": name, "text": f"The {name} one."} for name in ("red", "blue", "green")),
        *({"juror": "a", "query": "q", "response": name, "utility": 0.5} for name in ("red", "blue")),
    ]
    survey = choice_survey(panel_file(tmp_path, rows))
    assert survey.questions[0].options == ("The red one.", "The blue one.")
    with pytest.raises(DatasetError, match="no query has two responses"):
        choice_survey(panel_file(tmp_path, rows[:-1]))


def test_details_hold_what_the_views_show() -> None:
    panel = load_panel("example_town")
    scores = policy_scores(panel, np.tile([1.0, 0.0, 0.0], 12), settings=JurySettings(rule=WelfareRule(alpha=1.0)))
    details = json.loads(json.dumps(scores.details, allow_nan=False))
    assert details["jurors"] == {"kind": "recorded", "made": "recorded votes", "accuracy": {}, "n": 50, "votes": 1800}
    assert details["curve"]["values"] == sorted(details["curve"]["values"], reverse=True)
    assert set(details["curve_by_group"]) == {"center", "river"}
    worst = details["worst_off"][0]
    assert worst["attributes"] == {"group": "river"}
    assert worst["kind"] == "made up"
    assert worst["worst_query"] in {query.query_id for query in panel.queries}
    assert 0.0 < details["worst_decile"] < 0.1
    assert 0.1 < details["gini"] < 0.3


def test_inequality_and_the_worst_off_tenth_go_by_weight(tmp_path: Path) -> None:
    worth = {"a": 0.1, "b": 0.5, "c": 0.7, "d": 0.9, "nobody": 0.01}
    weight = {"a": 1, "b": 10, "c": 4, "d": 5, "nobody": 0}
    rows = [{"juror": name, "weight": weight[name]} for name in worth]
    rows += [{"juror": name, "query": f"q{n}", "utility": value} for name, value in worth.items() for n in (1, 2)]
    details = policy_scores(panel_file(tmp_path, rows), np.ones(2), settings=JurySettings()).details
    # A tenth of the weight of 20 is 2: all of a, and a tenth of b.
    assert details["worst_decile"] == pytest.approx((0.1 + 0.5) / 2)
    spread = sum(weight[i] * weight[k] * abs(worth[i] - worth[k]) for i in worth for k in worth)
    mean = sum(weight[name] * worth[name] for name in worth) / 20
    assert details["gini"] == pytest.approx(spread / (2 * 20**2 * mean))
    assert [one["juror"] for one in details["worst_off"]] == ["a", "b", "c", "d"]


def test_the_worst_off_tenth_of_fifteen_is_one_and_a_half(tmp_path: Path) -> None:
    rows = [{"juror": f"j{n}", "query": "q", "utility": (n + 1) / 20} for n in range(15)]
    rows += [{**row, "query": "r"} for row in rows]
    details = policy_scores(panel_file(tmp_path, rows), np.ones(2), settings=JurySettings()).details
    assert details["worst_decile"] == pytest.approx((0.05 + 0.5 * 0.1) / 1.5)


def test_a_utility_of_nothing_is_told_with_the_juror(tmp_path: Path) -> None:
    rows = [{"juror": name, "query": "q", "utility": value} for name, value in (("ana", 0.5), ("bo", 0.0))]
    with pytest.raises(InvalidParameterError, match=r"one juror with 0 \(juror 'bo'\)"):
        policy_scores(panel_file(tmp_path, rows), np.ones(1), settings=JurySettings(rule=WelfareRule(alpha=1.0)))


@pytest.mark.parametrize("name", ["alpha", "between_alpha", "satisfied_above", "worst_share"])
@pytest.mark.parametrize("value", [pytest.param(10**400, id="huge"), [1.0], "1", True, math.nan])
def test_a_number_of_a_rule_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of WelfareRule") as error:
        WelfareRule(**{name: value})
    assert len(str(error.value)) < 200


def test_numbers_of_numpy_make_a_rule() -> None:
    assert WelfareRule(alpha=np.int64(1)) == WelfareRule(alpha=1.0)  # type: ignore[arg-type]
    assert WelfareRule(worst_share=np.float32(0.5)).worst_share == 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"n_juries": "x"}, "'n_juries'"),
        ({"n_juries": 0}, "'n_juries'"),
        ({"confidence_level": 95}, "'confidence_level'"),
        ({"group": "river", "composition": {"river": 3}}, "'composition' needs several groups"),
        ({"group": "river", "rule": WelfareRule(alpha=0.0, between_alpha=1.0)}, "'between_alpha' needs several groups"),
    ],
)
def test_wrong_settings_are_refused(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        JurySettings(**keywords)


# ------------------------------------------------------------------------------------------------- kinds of jurors


def utilities_of(function: JurorFunction, panel: Panel, texts: dict[str, str], ask: Ask | None = None) -> Any:
    queries = {query.query_id: query.text for query in panel.queries}
    candidates = [Candidate(query, queries[query], text) for query, text in texts.items()]
    return drive(function.rounds(panel, candidates), ask or (lambda asked: []))


def test_recorded_votes_belong_to_the_same_text_alone() -> None:
    panel = load_panel("example_town")
    found = utilities_of(RecordedJurors(), panel, {"bus": "  Along the river. ", "park": "Anything else."})
    np.testing.assert_array_equal(found.utilities[0, :, 0], panel.matrix()[:, 2])
    assert np.isnan(found.utilities[0, :, 1]).all()
    assert found.kind == "recorded"
    assert "1 of 2 responses were never voted on" in found.warnings[0]


def test_a_function_of_yours_votes_on_the_scale_of_the_panel(tmp_path: Path) -> None:
    panel = panel_file(tmp_path, [{"scale": {"lowest": 1, "highest": 5, "levels": 5}}, *TRAINS])

    def likes(juror: Juror, query: str, response: str) -> float | None:
        assert query == "What first?"
        return 5 if juror.attributes["group"] == "north" and "rail" in response.lower() else None

    found = utilities_of(CallableJurors(likes), panel, {"q1": "A railway!"})
    assert found.utilities[0, :, 0].tolist()[0] == 1.0
    assert math.isnan(found.utilities[0, 1, 0])
    assert found.kind == "estimated"
    with pytest.raises(InvalidParameterError, match=r"\[1, 5\]"):
        utilities_of(CallableJurors(lambda juror, query, response: 6), panel, {"q1": "x"})
    with pytest.raises(InvalidParameterError, match="must be a function that returns a number in") as error:
        utilities_of(CallableJurors(lambda juror, query, response: 10**400), panel, {"q1": "x"})
    assert len(str(error.value)) < 250
    with pytest.raises(InvalidParameterError, match="Got a number of thousands of digits for 'ana'"):
        utilities_of(CallableJurors(lambda juror, query, response: 10**5000), panel, {"q1": "x"})
    given = utilities_of(CallableJurors(lambda juror, query, response: np.float32(5)), panel, {"q1": "x"})
    assert given.utilities.max() == 1.0


def test_entailment_asks_whether_the_response_entails_what_each_juror_wrote(tmp_path: Path) -> None:
    panel = panel_file(tmp_path, [*TRAINS, {"juror": "cy", "group": "south"}])

    def entails(premise: str, hypothesis: str) -> float:
        return 0.9 if premise.split()[-1] == hypothesis.split()[-1] else 0.1

    texts = {"What first?": ["We want the railway."], "What then?": [""]}
    evaluation = WrittenEvaluation(panel, JurySettings(rule=WelfareRule(alpha=0.0)), EntailmentJurors(), WRITING)
    scores = driven(evaluation, writer(texts, entails))
    first, second = scores.units
    assert first.value == pytest.approx(0.01 + 0.99 * (0.9 + 0.1) / 2)
    # A response that says nothing entails nothing.
    assert second.value == pytest.approx(0.01)
    told = " ".join(scores.warnings)
    assert "1 of 3 jurors wrote no statement" in told
    assert "not people" in told
    assert "nothing is known of how well they predict" in told
    assert "1 of 2 responses are empty" in told
    assert scores.details["jurors"]["kind"] == "estimated"
    assert scores.witness is not None
    assert scores.witness.unit_id == "group south"


def test_several_premises_count_by_the_best(tmp_path: Path) -> None:
    pytest.importorskip("sentencex")
    panel = panel_file(tmp_path, TRAINS)
    texts = {"What first?": ["Build the railway. Mend the roads."], "What then?": ["Nothing."]}
    evaluation = WrittenEvaluation(
        panel, JurySettings(rule=WelfareRule(alpha=0.0)), EntailmentJurors(form="sentences"), WRITING
    )
    scores = driven(evaluation, writer(texts, lambda premise, hypothesis: float(premise == hypothesis)))
    assert scores.units[0].value == pytest.approx(1.0)


def test_statements_are_needed_for_entailment() -> None:
    with pytest.raises(DatasetError, match="no juror wrote a statement"):
        utilities_of(EntailmentJurors(), load_panel("example_town"), {"bus": "x"})


def test_rewards_become_ranks_among_the_recorded_responses() -> None:
    panel = load_panel("example_town")

    def long_is_good(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(response)) for _, response in pairs]

    def short_is_good(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [-float(len(response)) for _, response in pairs]

    jurors = RewardJurors({"center": long_is_good, "river": short_is_good}, by="group")
    found = utilities_of(jurors, panel, {"bus": "x" * 500, "park": "y"})
    center, river = found.utilities[0, 0], found.utilities[0, -1]
    assert center[0] > 0.95 > 0.05 > center[1] > 0.0
    assert river[1] > 0.95 > 0.05 > river[0] > 0.0
    with pytest.raises(InvalidParameterError, match="none for 'river'"):
        utilities_of(RewardJurors({"center": long_is_good}, by="group"), panel, {"bus": "x"})
    broken = RewardJurors({"center": lambda pairs: [math.nan] * len(pairs), "river": short_is_good}, by="group")
    with pytest.raises(InvalidParameterError, match="one finite score a pair"):
        utilities_of(broken, panel, {"bus": "x"})


def test_the_value_model_of_the_run_is_asked_for_each_group() -> None:
    panel = load_panel("example_town").select(queries=["bus", "park"])

    def ask(asked: Any) -> list[Any]:
        if asked.work == "responses":
            return [(Response("along the river", 3, "eos"),) for _ in asked.requests]
        assert asked.work == "rewards"
        assert {one.attribute for one in asked.requests} == {"center", "river"}
        # A word of the group's name in the response is what this model rewards.
        return [float(one.attribute in one.response.lower()) for one in asked.requests]

    settings = JurySettings(rule=WelfareRule(alpha=1.0))
    scores = driven(WrittenEvaluation(panel, settings, ValueModelJurors(), WRITING), ask)
    assert scores.other_populations["river"] > scores.other_populations["center"]
    assert scores.witness is not None
    assert scores.witness.unit_id == "group center"
    assert "correlation" in scores.details["jurors"]["accuracy"]


def tiny_reward_model(folder: Path, *, seed: int = 0) -> Any:
    """Make a network with one output and random weights, and load it as a user would."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from pytest_pluralism.models.local.value_models import load_value_model

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "river", "center", "in", "along", "bus"]
    marks = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    known = {word: place for place, word in enumerate(words)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, marks["unk_token"]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, **marks)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64, num_labels=1, pad_token_id=0,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_value_model(str(folder), device="cpu")


@pytest.mark.whole
@pytest.mark.model
def test_a_real_reward_model_speaks_for_a_group(tmp_path: Path) -> None:
    model = tiny_reward_model(tmp_path / "reward")
    panel = load_panel("example_town").select(queries=["bus"])
    jurors = RewardJurors({"center": scorer_of(model), "river": scorer_of(model, attribute="river")}, by="group")
    found = utilities_of(jurors, panel, {"bus": "along the river"})
    assert found.kind == "estimated"
    values = found.utilities[0, :, 0]
    assert len(set(values[:40])) == len(set(values[40:])) == 1
    assert ((values > 0.0) & (values < 1.0)).all()
    assert values[0] == pytest.approx(rank_by_hand(model, panel, "along the river"))
    model.close()


def rank_by_hand(model: Any, panel: Panel, text: str) -> float:
    """The share of the recorded responses to the first query that a model rewards less."""
    query = panel.queries[0]
    own = model.reward([RewardRequest(query.text, text, "")])[0]
    others = model.reward([RewardRequest(query.text, one.text, "") for one in query.responses])
    below = sum(one < own for one in others) + 0.5 * sum(one == own for one in others)
    return float((below + 0.5) / (len(others) + 1))


@pytest.mark.whole
@pytest.mark.model
def test_every_juror_may_have_a_reward_model_of_their_own(tmp_path: Path) -> None:
    models = [tiny_reward_model(tmp_path / str(seed), seed=seed) for seed in range(2)]
    town = load_panel("example_town")
    names = [town.jurors[place].juror_id for place in (0, 1, 49)]
    panel = town.select(jurors=names, queries=["bus"])
    jurors = RewardJurors({name: scorer_of(models[place % 2]) for place, name in enumerate(names)}, by="juror")
    found = utilities_of(jurors, panel, {"bus": "along the river"})
    wanted = [rank_by_hand(models[place % 2], panel, "along the river") for place in range(3)]
    np.testing.assert_allclose(found.utilities[0, :, 0], wanted)
    assert found.kind == "estimated"
    assert all(name in found.made for name in names)
    lowest, highest = jurors.utility_range(panel)
    assert lowest <= min(wanted) <= max(wanted) <= highest
    with pytest.raises(InvalidParameterError, match=f"one for each juror. Got none for '{names[1]}'"):
        utilities_of(RewardJurors({names[0]: scorer_of(models[0])}, by="juror"), panel, {"bus": "x"})
    for model in models:
        model.close()


def test_estimated_jurors_are_checked_against_recorded_votes() -> None:
    panel = load_panel("example_town")
    means = {"for the center": (0.9, 0.06), "for both": (0.68, 0.64), "for the river": (0.25, 0.9)}
    kinds = {one.text: one.response_id for query in panel.queries for one in query.responses}

    def knows(juror: Juror, query: str, response: str) -> float | None:
        kind = kinds.get(response)
        return None if kind is None else means[kind][juror.attributes["group"] == "river"]

    texts = {query.text: [query.responses[0].text, query.responses[1].text] for query in panel.queries}
    evaluation = WrittenEvaluation(
        panel, JurySettings(rule=WelfareRule(alpha=1.0)), CallableJurors(knows, label="knows"), WRITING, n_draws=2
    )
    scores = driven(evaluation, writer(texts))
    accuracy = scores.details["jurors"]["accuracy"]
    assert accuracy["correlation"] > 0.95
    assert accuracy["within_juror"] > 0.9
    assert any("not people; on votes they were not shown" in warning for warning in scores.warnings)
    recorded = policy_scores(panel, np.tile([0.5, 0.5, 0.0], 12), settings=evaluation.settings)
    assert estimate_scores(scores).value == pytest.approx(estimate_scores(recorded).value, abs=0.04)


def test_predictions_that_know_nothing_are_shown_to() -> None:
    panel = load_panel("example_town")
    guess = np.random.default_rng(0).uniform(size=(50, 36))
    found = check_against_votes(panel, guess)
    assert abs(found["correlation"]) < 0.1
    assert found["within_juror"] == pytest.approx(0.5, abs=0.05)
    assert check_against_votes(panel, np.full((50, 36), np.nan)) == {}
    assert check_against_votes(panel, panel.matrix())["within_juror"] == 1.0


def test_draws_of_what_is_uncertain_widen_the_interval() -> None:
    panel = load_panel("example_town")
    texts = {query.text: ["something new"] for query in panel.queries}

    class Unsure:
        name = "unsure"

        def __init__(self, spread: float) -> None:
            self.spread = spread

        def rounds(self, panel: Panel, candidates: Sequence[Candidate]) -> Any:
            from pytest_pluralism.evaluation.jury.jurors import JurorUtilities

            yield from ()
            rng = np.random.default_rng(3)
            base = np.linspace(0.4, 0.6, len(panel.jurors))[None, :, None]
            common = rng.normal(scale=self.spread, size=(40, 1, len(candidates)))
            values = np.clip(base + common, 0.01, 1.0)
            return JurorUtilities(values, "estimated", "made for this test", {"rmse": self.spread})

    settings = JurySettings(rule=WelfareRule(alpha=0.0))
    sure, unsure = (
        estimate_scores(driven(WrittenEvaluation(panel, settings, Unsure(spread), WRITING), writer(texts)))
        for spread in (0.0, 0.2)
    )
    assert sure.value == pytest.approx(0.5, abs=0.01)
    assert unsure.standard_error**2 == pytest.approx(sure.standard_error**2 + 0.2**2 / 12, rel=0.5)


# ------------------------------------------------------------------------------------------- several at once, DICES


def test_a_lottery_over_systems_needs_only_orders() -> None:
    panel = load_panel("example_town")
    policies = {"pleaser": [1.0, 0.0, 0.0], "bridge": [0.0, 1.0, 0.0], "rebel": [0.0, 0.0, 1.0]}
    systems = {name: jury_table(panel, np.tile(share, 12)) for name, share in policies.items()}
    assert system_lottery(systems)["pleaser"] == pytest.approx(1.0)
    assert compare_systems(systems["bridge"], systems["pleaser"]) == 1
    assert compare_systems(systems["bridge"], systems["bridge"]) == 0
    with pytest.raises(InvalidParameterError, match="at least two systems"):
        system_lottery({"alone": systems["bridge"]})


def test_who_has_no_weight_has_no_voice_in_a_comparison() -> None:
    panel = load_panel("example_town")
    systems = {
        name: jury_table(panel, np.tile(share, 12))
        for name, share in (("pleaser", [1.0, 0.0, 0.0]), ("bridge", [0.0, 1.0, 0.0]))
    }
    center = np.array([float(group == "center") for group in panel.groups() or ()])
    without = {name: replace(table, weights=center) for name, table in systems.items()}
    assert compare_systems(systems["pleaser"], systems["bridge"]) == -1
    assert compare_systems(without["pleaser"], without["bridge"]) == 1
    assert system_lottery(without)["pleaser"] == pytest.approx(1.0)
    nobody = {name: replace(table, weights=0.0 * center) for name, table in systems.items()}
    with pytest.raises(InvalidParameterError, match="No juror judged"):
        system_lottery(nobody)


@pytest.mark.parametrize("systems", [{"a": 1, "b": 2}, [1, 2], {}])
def test_what_is_no_system_is_refused(systems: Any) -> None:
    with pytest.raises(InvalidParameterError, match="'systems' parameter of system_lottery must be a mapping"):
        system_lottery(systems)


@pytest.mark.parametrize("query", [["bus"], {}, 3, "bsu"])
def test_a_lottery_over_the_responses_to_no_query_is_refused(query: Any) -> None:
    with pytest.raises(InvalidParameterError, match="unknown query of panel"):
        response_lottery(load_panel("example_town"), query)


def test_a_lottery_over_responses_solves_a_cycle_of_majorities(tmp_path: Path) -> None:
    orders = {"a": ["x", "y", "z"], "b": ["y", "z", "x"], "c": ["z", "x", "y"]}
    rows = [
        {"juror": juror, "query": "q", "response": name, "utility": 0.9 - 0.3 * place}
        for juror, order in orders.items()
        for place, name in enumerate(order)
    ]
    assert response_lottery(panel_file(tmp_path, rows), "q") == pytest.approx({"x": 1 / 3, "y": 1 / 3, "z": 1 / 3})
    assert response_lottery(load_panel("example_town"), "bus") == pytest.approx(
        {"for the center": 1.0, "for both": 0.0, "for the river": 0.0}
    )


def test_bridging_prefers_what_both_groups_approve_of() -> None:
    panel = load_panel("example_town").select(queries=["bus", "flood", "clinic", "school"])
    scores = bridging_of_responses(panel).response_intercepts.reshape(4, 3).mean(axis=0)
    assert scores.argmax() == 1


def test_agreement_is_krippendorffs(tmp_path: Path) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    rows = [
        {"juror": juror, "query": f"q{place}", "utility": value}
        for juror, votes in (("a", [0, 1, 1, 0.5]), ("b", [0, 1, 0.5, 0.5]), ("c", [0, 1, 1, None]))
        for place, value in enumerate(votes)
        if value is not None
    ]
    panel = panel_file(tmp_path, rows)
    data = [[0, 1, 1, 0.5], [0, 1, 0.5, 0.5], [0, 1, 1, np.nan]]
    wanted = krippendorff.alpha(reliability_data=np.array(data), level_of_measurement="interval")
    assert agreement(panel) == pytest.approx(float(wanted))
    # Agreement of all votes that differ between queries is perfect.
    assert agreement(panel_file(tmp_path, [row for row in rows if row["query"] in ("q0", "q1")])) == pytest.approx(1.0)


@pytest.mark.whole
@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_policies_on_dices(shared_data: Path, alpha: float) -> None:
    panel = read_dices(shared_data / "jury" / "dices_350_crowdsourced.json.gz", responses="choices")
    settings = JurySettings(rule=WelfareRule(alpha=alpha))
    comply = policy_scores(panel, np.tile([1.0, 0.0], 350), settings=settings)
    refuse = policy_scores(panel, np.tile([0.0, 1.0], 350), settings=settings)
    matrix = panel.matrix().reshape(123, 350, 2)
    for scores, column in ((comply, 0), (refuse, 1)):
        wanted = float(np.mean(np.asarray(welfare(matrix[:, :, column], alpha=alpha, axis=0))))
        estimate = estimate_scores(scores)
        assert estimate.value == pytest.approx(wanted, abs=1e-12)
        assert estimate.low < estimate.value < estimate.high
    assert estimate_scores(comply).value > estimate_scores(refuse).value
    assert comply.references["best"] >= estimate_scores(comply).value
