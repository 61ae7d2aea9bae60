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
from pytest_pluralism.datasets.surveys.refusals import REFUSAL_PHRASES

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


def test_the_list_of_phrases_is_in_the_reference() -> None:
    """The documentation names every refusal, since refusals change numbers."""
    reference = Path(__file__).parents[3] / "docs" / "reference" / "surveys.md"
    text = " ".join(reference.read_text(encoding="utf-8").split())
    assert [phrase for phrase in sorted(REFUSAL_PHRASES) if f"`{phrase}`" not in text] == []


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


@pytest.mark.parametrize("policy", ["Drop", "", None, True, 1, ["keep"]])
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
