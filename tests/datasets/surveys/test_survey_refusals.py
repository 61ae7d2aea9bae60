"""Refusals: which options they are, and what the three policies make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Question, Survey
from pytest_pluralism.datasets import detect_refusals, load_survey
from pytest_pluralism.datasets.reading import Problems
from pytest_pluralism.datasets.surveys.assembly import ReadDistribution, ReadQuestion, assemble_survey
from pytest_pluralism.datasets.surveys.refusals import PHRASES_BY_LANGUAGE, REFUSAL_PHRASES

OPTIONS = ["Agree", "Disagree", "Don’t know", "Refused"]


def survey(policy: str, probabilities: list[float], **fields: object) -> Survey:
    row = ReadDistribution("Everybody", probabilities, 200, 150)
    read = ReadQuestion("q", "Is it so?", OPTIONS, [row], **fields)
    return assemble_survey("one", [read], problems=Problems("one"), refusals=policy)


@pytest.mark.parametrize(
    "option",
    [
        "Don't know",
        "DON’T KNOW",
        "DK/Refused",
        "DK / Refused",
        "Don't know/Refused (VOL)",
        "No answer",
        "Refused",
        "Refused.",
        "Missing; Not available",
        "Other missing; Multiple answers Mail (EVS)",
        "Don't know (DO NOT READ)",
        " Prefer not to say ",
    ],
)
def test_is_a_refusal(option: str) -> None:
    assert detect_refusals(["Yes", option]) == (1,)


@pytest.mark.parametrize(
    "option",
    [
        "No, I do not know anyone",
        "Yes, I know someone",
        "Depends",
        "Depends on the situation (VOL)",
        "Neither",
        "No",
        "None of these",
        "China will not replace U.S.",
        "Refused entry to asylum seekers",
        "No change (VOL)",
    ],
)
def test_is_an_answer(option: str) -> None:
    assert detect_refusals(["Yes", option]) == ()


#: Labels of refusals in the files of survey programmes and of practitioners, in several languages.
LABELS = [
    "(Don't know)", "DK/Ref", "Not sure", "Hard to say", "No answer/Don't know", "Don’t know/No answer", "Can't say",
    "Don't know/Not sure", "Not sure/Don't know", "Refused/Don't know", "DK/NA", "DK-NA", "D/K", "d.k.", "NA", "N/A",
    "n.a.", "No response", "No reply", "Not stated", "Not answered", "Skipped", "I'd rather not say",
    "I prefer not to answer", "Prefer not to respond", "Do not wish to answer", "Refuse to answer", "Refusal",
    "Refused (VOL.)", "(VOL.) DK/Ref", "[VOL. DO NOT READ] Don't know", "I am not sure", "I'm not sure",
    "Unsure/Don't know", "Undecided/Don't know", "No opinion/Don't know", "I have no opinion",
    "Haven't thought much about it", "Don't know enough to say", "Can't choose", "Cannot decide",
    "It is difficult to say", "Inapplicable", "IAP", "Not applicable", "Missing", "Unknown", "Dont know",
    "DONT KNOW", "Don´t know", "Don‘t know", "Don`t know", "Weiß nicht", "WEISS NICHT", "Keine Angabe", "k.A.",
    "Ne sait pas", "NSP/refus", "No sabe", "NS/NC", "No sabe/No contesta", "No sabe / No responde", "Não sabe",
    "NS/NR", "Não sabe/Não respondeu", "Non so", "Nie wiem", "Trudno powiedzieć", "Затрудняюсь ответить", "不知道",
    "わからない", "모르겠다", "모름/무응답", "لا أعرف", "पता नहीं", "Bilmiyorum", "Weet niet", "Vet ej", "-9. Refused",
    "-8. Don't know (FTF only)", "98 Don't know", "Don't know (99)", "[99] Refused", "8 = DK",
    "IAP, DK, NA, uncodeable", "DK (SPONTANEOUS)", "Refusal (SPONTANEOUS)", "Don't know (DO NOT READ OUT)",
    "Missing: other", "VOL: Don't know", "No answer; refused", "Don't know or refused", "Don't know – refused",
    "Don't Know / Can't Say", "Sin opinión", "Sans opinion", "Don't know (volunteered)", "Refused [DO NOT READ]",
    "(Refused)", "*Refused*", "Don't know.", "Don't know...", "-1. Inapplicable", "Don't know/Refused (VOL)",
    "Don't know ", " Refused ", " 拒绝回答", "無回答", "Don't know, no answer", "Ne sait pas / sans réponse",
    "Weiß nicht / keine Angabe", "Non sa / non risponde",
]  # fmt: skip

#: Answers that look a little like refusals.
ANSWERS = [
    "No", "Yes", "Neither", "Depends", "It depends", "Both", "None of these", "Other", "Other (please specify)",
    "No, I do not know anyone", "Refused entry to asylum seekers", "No change (VOL)", "Both equally (VOL)",
    "Never heard of", "Neither agree nor disagree", "Don't care", "98", "1", "7 - Completely", "10",
    "1 (not at all)", "5 (very much)", "Trifft nicht zu", "Non", "No difference", "Non, pas du tout",
    "No confidence", "Unsure about the future of Europe", "Not important", "Nicht wichtig", "No religion",
    "Don't know him", "Ne", "E", "O", "Or", "and", "-", "/", "?", "None", "Nothing", "A", "Definitely not",
    "North America", "North/South", "No/Yes", "Missing children", "Pass", "Data not safe",
    "Not applicable to me, I support it",
]  # fmt: skip


@pytest.mark.parametrize("option", LABELS)
def test_labels_of_the_large_programmes_are_refusals(option: str) -> None:
    assert detect_refusals(["Yes", option]) == (1,)


@pytest.mark.parametrize("option", ANSWERS)
def test_answers_that_hold_such_words_or_signs_are_no_refusals(option: str) -> None:
    assert detect_refusals(["Yes, it is", option]) == ()


def test_every_phrase_is_seen_alone_and_beside_another() -> None:
    for phrase in REFUSAL_PHRASES:
        assert detect_refusals(["Yes", phrase.upper()]) == (1,), phrase
        assert ";" in phrase or detect_refusals([f"({phrase}) / Refused"]) == (0,), phrase


def test_not_sure_is_an_answer_where_others_are_sure() -> None:
    assert detect_refusals(["Very sure", "Fairly sure", "Not sure", "Don't know"]) == (3,)
    assert detect_refusals(["Certainly not", "Not sure"]) == (1,)
    assert detect_refusals(["Very certain", "Uncertain"]) == ()


@pytest.mark.parametrize("policy", ["drop", "separate"])
def test_the_source_says_which_options_were_taken_for_refusals(policy: str) -> None:
    told = survey(policy, [0.3, 0.5, 0.15, 0.05]).source
    assert "taken for refusals, with the number of questions: 'Don’t know' (1), 'Refused' (1)" in told
    assert "no option was taken for a refusal" in survey(policy, [0.3, 0.5, 0.15, 0.05], refusals=[]).source
    assert "refusal" not in survey("keep", [0.3, 0.5, 0.15, 0.05]).source


def test_the_list_of_phrases_is_in_the_reference() -> None:
    """The documentation names every refusal, since refusals change numbers."""
    reference = Path(__file__).parents[3] / "docs" / "reference" / "surveys.md"
    text = " ".join(reference.read_text(encoding="utf-8").split())
    assert [phrase for phrase in sorted(REFUSAL_PHRASES) if f"`{phrase}`" not in text] == []
    assert [language for language in PHRASES_BY_LANGUAGE if f"| {language} |" not in text] == []


def test_keep_leaves_refusals_options_like_the_others() -> None:
    kept = survey("keep", [0.3, 0.5, 0.15, 0.05])
    assert kept.questions[0] == Question("q", "Is it so?", tuple(OPTIONS))
    assert kept.distributions[0].probabilities == (0.3, 0.5, 0.15, 0.05)
    assert kept.distributions[0].n_respondents == 200


def test_drop_removes_them_and_counts_those_who_answered() -> None:
    dropped = survey("drop", [0.3, 0.5, 0.15, 0.05])
    assert dropped.questions[0].options == ("Agree", "Disagree")
    assert dropped.questions[0].refusals == ()
    assert dropped.distributions[0].probabilities == pytest.approx((0.375, 0.625))
    assert dropped.distributions[0].n_respondents == pytest.approx(160)
    assert dropped.distributions[0].n_effective == pytest.approx(120)


def test_separate_marks_them_and_counts_those_who_answered() -> None:
    apart = survey("separate", [0.3, 0.5, 0.15, 0.05])
    assert apart.questions[0].options == tuple(OPTIONS)
    assert apart.questions[0].refusals == (2, 3)
    assert apart.distributions[0].probabilities == pytest.approx((0.3, 0.5, 0.15, 0.05))
    assert apart.distributions[0].n_respondents == pytest.approx(160)


def test_the_three_policies_have_three_hashes() -> None:
    assert len({survey(policy, [0.3, 0.5, 0.15, 0.05]).sha256 for policy in ("keep", "drop", "separate")}) == 3


def test_refusals_have_no_place_on_a_scale() -> None:
    positions = [1, 5, None, None]
    shares = [0.3, 0.5, 0.15, 0.05]
    assert survey("keep", shares, positions=positions).questions[0].positions is None
    assert survey("drop", shares, positions=positions).questions[0].positions == (1.0, 5.0)
    apart = survey("separate", shares, positions=positions).questions[0]
    assert apart.positions is not None
    assert apart.positions[:2] == (1.0, 5.0)


def test_a_file_may_name_its_refusals_itself() -> None:
    shares = [0.3, 0.5, 0.15, 0.05]
    assert survey("drop", shares, refusals=["Disagree"]).questions[0].options == ("Agree", "Don’t know", "Refused")
    assert survey("drop", shares, refusals=[]).questions[0].options == tuple(OPTIONS)
    with pytest.raises(DatasetError, match="'Maybe' in 'refusals' is not one of the options"):
        survey("drop", shares, refusals=["Maybe"])
    with pytest.raises(DatasetError, match="must be a list of options"):
        survey("drop", shares, refusals="Refused")


@pytest.mark.parametrize("policy", ["drop", "separate"])
def test_nothing_but_refusals_cannot_be_compared(policy: str) -> None:
    with pytest.raises(DatasetError, match="population 'Everybody' holds nothing but refusals"):
        survey(policy, [0.0, 0.0, 0.5, 0.5])
    with pytest.raises(DatasetError, match=r"has 1 option\(s\) besides refusals; use refusals='keep'"):
        survey(policy, [0.3, 0.5, 0.15, 0.05], refusals=["Disagree", "Don’t know", "Refused"])
    assert survey("keep", [0.0, 0.0, 0.5, 0.5]).distributions[0].probabilities == (0.0, 0.0, 0.5, 0.5)


def test_refusals_may_be_named_by_the_one_who_reads(tmp_path: Path) -> None:
    path = tmp_path / "survey.jsonl"
    rows = [{"population": "Japan", "probabilities": [0.5, 0.2, 0.2, 0.1], "n_respondents": 100}]
    options = [["Yes", "No", "It depends (VOL)", "Don't know"], ["Yes", "No", "Maybe", "Never heard of it"]]
    entries = [
        {"question_id": f"q{n}", "question": "Is it so?", "options": some, "distributions": rows}
        for n, some in enumerate(options)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    named = load_survey(path, refusals=["it depends", "NEVER HEARD OF IT"])
    # These are the refusals, and no others.
    assert [question.options for question in named.questions] == [("Yes", "No", "Don't know"), ("Yes", "No", "Maybe")]
    assert [row.n_respondents for row in named.distributions] == pytest.approx([80, 90])
    assert "'It depends (VOL)' (1), 'Never heard of it' (1)" in named.source
    with pytest.raises(
        DatasetError, match=r"no question has the option 'It depnds'.*did you mean 'It depends \(VOL\)'"
    ):
        load_survey(path, refusals=["It depnds"])


@pytest.mark.parametrize("policy", ["Drop", "", None, True, 1, ["keep"], [], [""], [3]])
def test_unknown_policy(policy: object, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"The 'refusals' parameter of load_survey must be 'keep', 'drop'"):
        load_survey(tmp_path / "never-opened.jsonl", refusals=policy)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4).filter(lambda c: c[0] + c[1] > 0))
def test_drop_is_separate_without_the_refusals(counts: list[int]) -> None:
    shares = [count / sum(counts) for count in counts]
    dropped, apart = survey("drop", shares).distributions[0], survey("separate", shares).distributions[0]
    inside = [apart.probabilities[index] for index in (0, 1)]
    assert dropped.probabilities == pytest.approx([p / sum(inside) for p in inside])
    assert sum(dropped.probabilities) == pytest.approx(1.0)
    assert dropped.n_respondents == apart.n_respondents == pytest.approx(200 * (counts[0] + counts[1]) / sum(counts))


def test_policies_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "survey.jsonl"
    row = {"population": "Japan", "probabilities": [0.5, 0.25, 0.25], "n_respondents": 100}
    entry = {"question_id": "q", "question": "Is it so?", "options": ["Yes", "No", "DK"], "distributions": [row]}
    path.write_text(json.dumps(entry), encoding="utf-8")
    assert load_survey(path).questions[0].options == ("Yes", "No", "DK")
    assert load_survey(path, refusals="drop").distributions[0].n_respondents == pytest.approx(75)
    assert load_survey(path, refusals="separate").questions[0].refusals == (2,)
