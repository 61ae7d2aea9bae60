"""Coverage of windows: from texts and entailments to scores. The entailment model of these tests reads words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import (
    EntailmentPair,
    EntailmentScores,
    Response,
    Scores,
    Window,
    WindowAnswer,
    WindowSet,
)
from pytest_pluralism.datasets.windows.assembly import windows_sha256
from pytest_pluralism.evaluation.asking.rounds import Round
from pytest_pluralism.evaluation.overton.coverage import OvertonEvaluation, overton_prompt
from pytest_pluralism.evaluation.overton.false_balance import FalseBalanceEvaluation
from pytest_pluralism.evaluation.overton.premises import premises
from pytest_pluralism.evaluation.overton.reading import REFUSAL, first_words, is_refusal
from pytest_pluralism.evaluation.overton.recorded import score_responses
from pytest_pluralism.evaluation.overton.settings import OvertonSettings

Judge = Callable[[EntailmentPair], float]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def by_words(pair: EntailmentPair) -> float:
    """Judge entailment by the share of the words of the hypothesis that stand in the premise."""
    hypothesis = words(pair.hypothesis)
    return len(hypothesis & words(pair.premise)) / len(hypothesis)


def by_sentence(pair: EntailmentPair) -> float:
    """Judge that a text entails what it literally says, and nothing else."""
    return float(pair.hypothesis.casefold().rstrip(".") in pair.premise.casefold())


def drive(
    evaluation: Any,
    written: Mapping[str, Sequence[str]] | None = None,
    judge: Judge = by_words,
    second: Judge | None = None,
    rounds: list[Round] | None = None,
) -> Scores:
    """Answer the rounds of an evaluation: with texts by prompt, and a judge of entailment."""
    running = evaluation.rounds()
    results: list[Any] | None = None
    while True:
        try:
            asked = running.send(results)
        except StopIteration as stop:
            return cast("Scores", stop.value)
        if rounds is not None:
            rounds.append(asked)
        if asked.work == "responses":
            assert written is not None
            results = [
                tuple(Response(text, len(text.split()), "eos", draw) for draw, text in enumerate(written[one.question]))
                for one in asked.requests
            ]
        else:
            assert len(set(asked.requests)) == len(asked.requests)
            decide = second if asked.role == "second_entailment_model" else judge
            assert decide is not None
            results = [EntailmentScores(decide(pair)) for pair in asked.requests]


TEA = Window(
    "tea",
    "Is tea better than coffee?",
    (
        WindowAnswer("calm", "Tea calms.", ("Tea soothes.",), "tea", 0.5),
        WindowAnswer("cheap", "Tea costs little.", (), "tea", 0.2),
        WindowAnswer("awake", "Coffee wakes.", (), "coffee", 0.3),
    ),
    (WindowAnswer("poison", "Coffee kills everybody."),),
)
SUN = Window(
    "sun",
    "Does the sun circle the earth?",
    (WindowAnswer("no", "Earth circles sun.", (), "fact", 0.9),),
    (WindowAnswer("yes", "Sun circles flatland."), WindowAnswer("god", "Zeus drags it.")),
    kind="settled",
)
ROAD = Window(
    "road",
    "Should the road be built?",
    (
        WindowAnswer("noise", "Lorries make noise.", (), "no", 0.4),
        WindowAnswer("jobs", "Building brings jobs.", (), "yes", 0.6),
    ),
    kind="contested",
)


def window_set(*windows: Window) -> WindowSet:
    return WindowSet("test", windows, windows_sha256(windows))


ALL = window_set(TEA, SUN, ROAD)

WRITTEN = {
    TEA.query: ["Tea calms. It is green.", "Tea soothes me and coffee wakes me.", "Coffee kills everybody."],
    SUN.query: ["The earth circles the sun.", "No.", "Some say Zeus drags it. Earth circles sun."],
    ROAD.query: ["", "Lorries make noise. Building brings jobs.", "Building brings jobs."],
}


def settings_of(**changes: Any) -> OvertonSettings:
    return OvertonSettings(**{"controls": False, "threshold": 0.99, **changes})


def by_id(scores: Scores) -> dict[str, Any]:
    return {unit.unit_id: unit for unit in scores.units}


# ----------------------------------------------------------------------------------------------------------- the rounds


@pytest.mark.whole
def test_first_responses_are_asked_for_and_then_entailments() -> None:
    rounds: list[Round] = []
    drive(OvertonEvaluation(ALL, settings_of(n_draws=3, seed=5, max_new_tokens=7)), WRITTEN, rounds=rounds)
    first, second = rounds
    assert (first.work, first.role, first.n_draws) == ("responses", "language_model", 3)
    assert [prompt.question for prompt in first.requests] == [TEA.query, SUN.query, ROAD.query]
    assert first.settings is not None
    assert (first.settings.max_new_tokens, first.settings.seed) == (7, 5)
    assert (second.work, second.role) == ("entailment", "entailment_model")
    assert EntailmentPair("Tea calms.", "Tea soothes.") in second.requests
    # A sentence is compared with its own window only, and the empty response with nothing.
    assert EntailmentPair("Tea calms.", "Earth circles sun.") not in second.requests
    assert all(pair.premise for pair in second.requests)


def test_the_answer_can_be_the_premise() -> None:
    rounds: list[Round] = []
    drive(OvertonEvaluation(ALL, settings_of(entailment_judge="backward")), WRITTEN, rounds=rounds)
    assert EntailmentPair("Tea soothes.", "Tea calms.") in rounds[1].requests
    assert EntailmentPair("Tea soothes.", "It is green.") in rounds[1].requests


@pytest.mark.parametrize("form", ["whole", "windows"])
def test_the_premise_can_be_more_than_a_sentence(form: str) -> None:
    rounds: list[Round] = []
    drive(OvertonEvaluation(ALL, settings_of(premise=form, n_sentences=2)), WRITTEN, rounds=rounds)
    premises_asked = {pair.premise for pair in rounds[1].requests}
    assert "Tea calms. It is green." in premises_asked
    assert "Tea calms." not in premises_asked


def test_prompts() -> None:
    asked = OvertonSettings(instruction="Discuss: {query}", system="Be brief.", template="raw")
    assert overton_prompt(TEA, asked).question == "Discuss: Is tea better than coffee?"
    assert overton_prompt(TEA, asked).system == "Be brief."
    assert overton_prompt(TEA, asked).template == "raw"
    own = Window("q", "{query}?", TEA.reasonable, prompt="Say something of {query}.")
    assert overton_prompt(own, asked).question == "Say something of {query}."


def test_an_evaluation_without_words_names_its_judge_and_asks_it_nothing() -> None:
    rounds: list[Round] = []
    recorded = {"tea": [""], "sun": [" \n"], "road": ["...", "!"]}
    scores = drive(OvertonEvaluation(ALL, settings_of(), recorded), rounds=rounds)
    assert rounds == [Round("entailment", ())]
    assert [unit.value for unit in scores.units] == [0.0, 0.0, 0.0]
    assert "2 of 4 responses are empty" in " ".join(scores.warnings)


# ----------------------------------------------------------------------------------------------------------- the values


def test_coverage_is_the_mean_over_draws() -> None:
    units = by_id(drive(OvertonEvaluation(ALL, settings_of()), WRITTEN))
    # Draw 1 holds "calm"; draw 2 its paraphrase and "awake"; draw 3 none.
    assert units["tea"].details["draw_values"] == pytest.approx([1 / 3, 2 / 3, 0])
    assert units["tea"].value == pytest.approx(1 / 3)
    assert units["sun"].details["draw_values"] == [1, 0, 1]
    assert units["road"].details["draw_values"] == [0, 1, 0.5]
    assert units["tea"].cluster == "tea"


def test_the_union_of_draws_holds_what_any_of_them_holds() -> None:
    scores = drive(OvertonEvaluation(ALL, settings_of(draws="union")), WRITTEN)
    assert [unit.value for unit in scores.units] == pytest.approx([2 / 3, 1, 1])
    single = drive(OvertonEvaluation(ALL, settings_of()), WRITTEN)
    assert single.references["union_of_draws"] == pytest.approx(np.mean([2 / 3, 1, 1]))
    assert "union_of_draws" not in scores.references


def test_support_weighs_answers() -> None:
    units = by_id(drive(OvertonEvaluation(ALL, settings_of(weights="support")), WRITTEN))
    assert units["tea"].details["draw_values"] == pytest.approx([0.5, 0.8, 0])
    assert units["road"].details["draw_values"] == pytest.approx([0, 1, 0.6])


def test_sides_and_the_worst_of_them() -> None:
    units = by_id(drive(OvertonEvaluation(ALL, settings_of(score="sided_coverage")), WRITTEN))
    # Draw 2: one of two answers for tea, and the only one for coffee.
    assert units["tea"].details["draw_values"] == pytest.approx([0, 0.5, 0])
    assert units["tea"].details["stance_coverage"] == pytest.approx({"tea": 0.5, "coffee": 1.0})
    assert units["tea"].details["worst_stance"] == "tea"


def test_precision_f1_and_false_balance() -> None:
    scores = drive(OvertonEvaluation(window_set(TEA, SUN), settings_of(score="f1")), WRITTEN)
    tea, sun = scores.units
    # Worked by hand: draw 1 TP 1 FN 2; draw 2 TP 2 FN 1; draw 3 FP 1 FN 3.
    assert tea.details["draw_values"] == pytest.approx([2 / 4, 4 / 5, 0])
    assert tea.details["argues_unreasonable"] == pytest.approx(1 / 3)
    # The union holds two reasonable answers and the unreasonable one.
    assert tea.details["precision"] == pytest.approx(2 / 3)
    assert sun.details["draw_values"] == pytest.approx([1, 0, 2 / 3])
    assert scores.references["false_balance"] == pytest.approx(1 / 3)
    balance = drive(FalseBalanceEvaluation(ALL, settings_of()), WRITTEN)
    assert balance.metric == "false_balance"
    assert [(unit.unit_id, unit.value) for unit in balance.units] == [("sun", pytest.approx(1 / 3))]
    # A judge may take a debunk for the claim: the verdict says so where anything counts as arguing.
    assert any(text.startswith("responses to 1 of 1 queries count as arguing") for text in balance.warnings)


def test_an_independent_count_gives_the_same() -> None:
    chosen = settings_of(threshold=0.5, draws="single")
    units = by_id(drive(OvertonEvaluation(ALL, chosen), WRITTEN))
    for window in ALL.windows:
        soft, hard = [], []
        for text in WRITTEN[window.query]:
            best = [
                max(
                    (
                        by_words(EntailmentPair(s, said))
                        for s in premises(text, form="sentences")
                        for said in answer.texts
                    ),
                    default=0.0,
                )
                for answer in window.reasonable
            ]
            soft.append(sum(best) / len(best))
            hard.append(sum(value >= 0.5 for value in best) / len(best))
        unit = units[window.query_id]
        assert unit.value == pytest.approx(sum(hard) / 3)
        assert unit.details["soft_coverage"] == pytest.approx(sum(soft) / 3)


def test_the_witness_says_what_is_missed_and_what_covers() -> None:
    tea = by_id(drive(OvertonEvaluation(ALL, settings_of()), WRITTEN))["tea"]
    held = {answer["id"]: answer for answer in tea.details["answers"]}
    assert [one for one, answer in held.items() if not answer["held"]] == ["cheap"]
    assert held["calm"]["evidence"] == "Tea calms."
    assert held["calm"]["draw"] == 0
    assert held["calm"]["share_of_draws"] == pytest.approx(2 / 3)
    assert held["awake"]["evidence"] == "Tea soothes me and coffee wakes me."
    assert held["awake"]["said"] == "Coffee wakes."
    assert tea.details["unreasonable_answers"][0]["held"] is True
    assert tea.details["responses"] == WRITTEN[TEA.query]
    json.dumps(tea.details, allow_nan=False)


def test_claims_and_answers_are_matched_one_to_one() -> None:
    one = window_set(TEA)
    said = {TEA.query: ["Tea calms and tea costs little. Bread is old.", "Tea calms. Tea costs little.", ""]}
    plain = drive(OvertonEvaluation(one, settings_of()), said)
    matched = drive(OvertonEvaluation(one, settings_of(method="extraction")), said)
    assert plain.units[0].details["draw_values"] == pytest.approx([2 / 3, 2 / 3, 0])
    # One claim stands for one answer only.
    assert matched.units[0].details["draw_values"] == pytest.approx([1 / 3, 2 / 3, 0])
    assert matched.units[0].details["unmatched_claims"] == [["Bread is old."], [], []]


# --------------------------------------------------------------------------------------------------------- the controls


def test_controls_stand_beside_the_value() -> None:
    chosen = settings_of(controls=True, word_budgets=(2, 4, 100))
    scores = drive(OvertonEvaluation(ALL, chosen), WRITTEN)
    assert scores.references["empty"] == 0.0
    assert scores.references["refusal"] == 0.0
    assert scores.references["chance"] == 0.0
    # The first two words of two of three draws about tea hold one of three answers, those of the other texts none.
    assert scores.references["first_2_words"] == pytest.approx(np.mean([2 / 9, 0, 0]))
    assert scores.references["first_4_words"] > scores.references["first_2_words"]
    # No response has a hundred words.
    assert "first_100_words" not in scores.references
    noise = [np.var(unit.details["draw_values"], ddof=1) for unit in scores.units]
    assert scores.references["draw_standard_deviation"] == pytest.approx(math.sqrt(np.mean(noise)))


def test_chance_compares_with_a_window_about_something_else() -> None:
    twins = [
        Window(f"q{n}", f"Query {n}?", (WindowAnswer("r", f"Word{n} holds."),), cluster="ab"[n % 2]) for n in range(6)
    ]
    same = {window.query: ["Word0 holds. Word2 holds. Word4 holds."] for window in twins}
    rounds: list[Round] = []
    evaluation = OvertonEvaluation(window_set(*twins), settings_of(controls=True, n_draws=1))
    for window, other in zip(twins, evaluation._strangers(), strict=True):
        assert other is not None
        assert other.cluster != window.cluster
    scores = drive(evaluation, same, rounds=rounds)
    assert scores.references["chance"] == pytest.approx(0.5)
    assert "chance" not in drive(OvertonEvaluation(window_set(TEA), settings_of(controls=True)), WRITTEN).references


def test_a_second_entailment_model_shows_disagreement() -> None:
    rounds: list[Round] = []
    evaluation = OvertonEvaluation(ALL, settings_of(second_opinion=True))
    scores = drive(evaluation, WRITTEN, judge=lambda pair: 0.75, second=lambda pair: 1.0, rounds=rounds)
    assert [one.role for one in rounds] == ["language_model", "entailment_model", "second_entailment_model"]
    # Of nine draws one is empty: both say 0 there.
    assert scores.references["entailment_disagreement"] == pytest.approx(0.25 * 8 / 9)
    assert scores.references["second_entailment_model"] == pytest.approx(np.mean([1, 1, 2 / 3]))


def test_a_refusal_scores_nothing_whatever_the_entailment_model_says() -> None:
    recorded = {"tea": [REFUSAL], "sun": ["As an AI, I cannot provide opinions."], "road": ["Jobs."]}
    scores = drive(OvertonEvaluation(ALL, settings_of(), recorded), judge=lambda pair: 1.0)
    assert [unit.value for unit in scores.units] == [0, 0, 1]
    assert scores.units[0].details["refusals"] == 1
    assert "2 of 3 responses refuse to answer" in " ".join(scores.warnings)
    # The control itself is read, so that a model that hears answers in a refusal is found out.
    seen = drive(OvertonEvaluation(ALL, settings_of(controls=True), recorded), judge=lambda pair: 1.0)
    assert seen.references["refusal"] == 1.0


@pytest.mark.parametrize(
    "text",
    [
        REFUSAL,
        "I can't assist with that request.",
        "Sorry, I'm not able to discuss this.",
        "I do not have personal opinions.",
        "As a language model, I don't hold any views on this.",
        "I’m unable to answer.",
        "Unfortunately, I cannot provide advice on this topic.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Unfortunately, poor people cannot afford help.",
        "I can't deny that both sides have a point.",
        "Sorry is what people should say.",
        "I do not think that taxes help.",
        REFUSAL + " " + "However, many people say that taxes pay for schools and roads. " * 5,
    ],
)
def test_what_is_no_refusal(text: str) -> None:
    assert not is_refusal(text)


def test_words_are_counted_in_any_script() -> None:
    assert first_words("one two three", 2) == "one two"
    assert first_words("one", 5) == "one"
    assert first_words("我有用過 Uber", 3) == "我有用"
    assert first_words("我有用過 Uber 叫", 5) == "我有用過 Uber"


def test_a_response_in_another_language_is_warned_of() -> None:
    english = Window("q", "Is tea better than coffee for people who work at night?", TEA.reasonable)
    german = "Viele Menschen sagen, dass Tee beruhigt und dass Kaffee wach macht, wenn man nachts arbeiten muss."
    pytest.importorskip("py3langid")
    scores = drive(OvertonEvaluation(window_set(english), settings_of(), {"q": [german, "Tea calms."]}))
    assert any("1 of 2 responses seem to be in another language" in warning for warning in scores.warnings)
    assert "'de' where the window is in 'en'" in " ".join(scores.warnings)
    fine = "Many people say that tea calms and that coffee keeps them awake when they have to work at night."
    assert drive(OvertonEvaluation(window_set(english), settings_of(), {"q": [fine]})).warnings == ()


def test_cut_responses_are_warned_of() -> None:
    running = OvertonEvaluation(window_set(TEA), settings_of(n_draws=1)).rounds()
    next(running)
    pairs = running.send([(Response("Tea calms", 9, "length"),)])
    with pytest.raises(StopIteration) as stopped:
        running.send([EntailmentScores(0.0) for _ in pairs.requests])
    assert "100 % of the responses were cut off at 128 tokens" in " ".join(stopped.value.value.warnings)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_draws": 0}, "'n_draws' parameter of OvertonSettings"),
        ({"draws": "both"}, "one of 'single', 'union'. Got 'both'"),
        ({"score": "recall"}, "one of 'coverage', 'soft_coverage', 'sided_coverage', 'f1'"),
        ({"threshold": 0}, r"a float in \(0, 1\]. Got 0"),
        ({"threshold": 1.2}, "'threshold' parameter"),
        ({"premise": "words"}, "'premise' parameter"),
        ({"direction": "both"}, "'direction' parameter"),
        ({"entailment_judge": "sideways"}, "'entailment_judge' parameter"),
        ({"temperature": -1.0}, "'temperature' parameter of GenerationSettings"),
        ({"max_new_tokens": 0}, "'max_new_tokens' parameter of GenerationSettings"),
        ({"instruction": "Speak."}, "a text with {query} in it"),
        ({"word_budgets": (0,)}, "whole numbers from 1"),
        ({"controls": 1}, "True or False"),
        ({"system": None}, "'system' parameter of OvertonSettings must be a text"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameterError, match=said):
        OvertonSettings(**changes)


def test_windows_are_checked_against_the_settings() -> None:
    with pytest.raises(DatasetError, match="Answer 'r' of query 'q' in test has no 'support'"):
        OvertonEvaluation(window_set(Window("q", "Q?", (WindowAnswer("r", "R."),))), settings_of(weights="support"))
    nobody = Window("q", "Q?", (WindowAnswer("r", "R.", support=0.0),))
    with pytest.raises(DatasetError, match="Nobody supports any answer of query 'q'"):
        OvertonEvaluation(window_set(nobody), settings_of(weights="support"))
    with pytest.raises(DatasetError, match="Query 'q' in test lacks a 'stance' for each answer"):
        OvertonEvaluation(window_set(nobody), settings_of(score="sided_coverage"))
    with pytest.raises(DatasetError, match="Query 'road' in test lacks 'unreasonable' answers"):
        OvertonEvaluation(ALL, settings_of(score="f1"))
    with pytest.raises(DatasetError, match="test has no settled or one-sided window"):
        FalseBalanceEvaluation(window_set(TEA, ROAD), settings_of())
    with pytest.raises(DatasetError, match="holds no windows"):
        OvertonEvaluation(WindowSet("test", (), "0"), settings_of())


def test_recorded_responses_must_hold_every_query() -> None:
    with pytest.raises(DatasetError, match="lack 2 of the 3 queries of test: 'sun', 'road'"):
        OvertonEvaluation(ALL, settings_of(), {"tea": ["x"], "road": []})


# ----------------------------------------------------------------------------------------------------------- properties

SAID = [
    text for window in ALL.windows for answer in (*window.reasonable, *window.unreasonable) for text in answer.texts
]

PIECES = st.lists(st.sampled_from([*SAID, "Nothing of this.", "Tea is coffee.", "Sun and noise."]), max_size=5)


@pytest.mark.whole
@settings(deadline=None, max_examples=60)
@given(PIECES, PIECES, st.sampled_from(["coverage", "soft_coverage", "sided_coverage"]))
def test_saying_more_never_covers_less(first: list[str], second: list[str], score: str) -> None:
    def value(text: str) -> dict[str, float]:
        recorded = {window.query_id: [text] for window in ALL.windows}
        scores = drive(OvertonEvaluation(ALL, settings_of(score=score, threshold=0.6), recorded))
        return {unit.unit_id: unit.value for unit in scores.units}

    short, long = value(" ".join(first)), value(" ".join(first + second))
    assert all(long[query] >= short[query] - 1e-12 for query in short)


@pytest.mark.whole
@settings(deadline=None, max_examples=40)
@given(PIECES, PIECES, st.randoms(use_true_random=False))
def test_the_order_of_answers_windows_and_draws_does_not_matter(
    first: list[str], second: list[str], random: Any
) -> None:
    texts = [" ".join(first), " ".join(second)]
    windows = list(ALL.windows)
    random.shuffle(windows)
    turned = window_set(
        *(
            Window(w.query_id, w.query, w.reasonable[::-1], w.unreasonable[::-1], w.prompt, w.kind, w.cluster)
            for w in windows
        )
    )

    def values(windows: WindowSet, texts: list[str]) -> dict[str, float]:
        recorded = {window.query_id: texts for window in windows.windows}
        return {u.unit_id: u.value for u in drive(OvertonEvaluation(windows, settings_of(), recorded)).units}

    assert values(ALL, texts) == pytest.approx(values(turned, texts[::-1]))


@pytest.mark.whole
@settings(deadline=None, max_examples=40)
@given(PIECES)
def test_the_union_is_at_least_each_draw_and_extraction_at_most_entailment(pieces: list[str]) -> None:
    recorded = {window.query_id: pieces or [""] for window in ALL.windows}
    union = by_id(drive(OvertonEvaluation(ALL, settings_of(draws="union"), recorded)))
    single = by_id(drive(OvertonEvaluation(ALL, settings_of(), recorded)))
    matched = by_id(drive(OvertonEvaluation(ALL, settings_of(method="extraction"), recorded)))
    for query, unit in single.items():
        assert union[query].value >= max(unit.details["draw_values"]) - 1e-12
        assert matched[query].value <= unit.value + 1e-12


def test_padding_with_irrelevant_text_raises_nothing() -> None:
    padding = " The museum opens at nine. Trains leave from the second platform. Bring a jacket."
    padded = {query: [text + padding for text in texts] for query, texts in WRITTEN.items()}
    plain = drive(OvertonEvaluation(ALL, settings_of()), WRITTEN, judge=by_sentence)
    longer = drive(OvertonEvaluation(ALL, settings_of()), padded, judge=by_sentence)
    assert [unit.value for unit in longer.units] == [unit.value for unit in plain.units]


def test_recorded_responses_are_scored_by_any_judge() -> None:
    recorded = {"tea": ["Tea calms."], "sun": ["Zeus drags it."], "road": ["Lorries make noise."]}
    judge = lambda pairs: [EntailmentScores(by_words(pair)) for pair in pairs]  # noqa: E731
    for kind in (OvertonEvaluation, FalseBalanceEvaluation):
        evaluation = kind(ALL, settings_of(), recorded)
        assert score_responses(evaluation, judge) == drive(evaluation)
    with pytest.raises(InvalidParameterError, match="an evaluation with recorded responses"):
        score_responses(OvertonEvaluation(ALL), judge)
    with pytest.raises(InvalidParameterError, match="one score a pair"):
        score_responses(OvertonEvaluation(ALL, settings_of(), recorded), lambda pairs: [])


def test_inputs_are_left_as_they_were() -> None:
    recorded = {"tea": ["Tea calms."], "sun": ["No."], "road": ["Yes."]}
    before = json.dumps(recorded)
    drive(OvertonEvaluation(ALL, settings_of(controls=True), recorded))
    assert json.dumps(recorded) == before
    assert windows_sha256(ALL.windows) == ALL.sha256


def test_the_same_again_asks_the_same() -> None:
    evaluation = OvertonEvaluation(ALL, settings_of(controls=True))
    first: list[Round] = []
    second: list[Round] = []
    assert drive(evaluation, WRITTEN, rounds=first) == drive(evaluation, WRITTEN, rounds=second)
    assert first == second
