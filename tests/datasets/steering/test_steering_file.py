"""Steering files: what they hold, and what is said of wrong ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.datasets.steering.file import load_steering, steering_of_survey
from pytest_pluralism.datasets.steering.templates import (
    PLACEHOLDERS,
    TEMPLATES,
    Attribute,
    SteeringTemplate,
    fill_template,
    join_attributes,
)
from pytest_pluralism.datasets.surveys.loading import load_survey

DEMOCRAT = {"attribute": "Democrat", "who": "a Democrat", "category": "party", "opposite": "Republican"}
REPUBLICAN = {"attribute": "Republican", "who": "a Republican", "category": "party", "opposite": "Democrat"}
GUNS = {
    "question_id": "guns",
    "question": "Should it be harder to buy a gun?",
    "options": ["Yes", "No"],
    "answers": {"Democrat": "Yes", "Republican": "No"},
}


@pytest.fixture
def write(tmp_path):
    def save(*rows, name="party.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return save


def problem(path):
    with pytest.raises(DatasetError) as caught:
        load_steering(path)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------------- what fits


def test_answers_become_distributions_with_all_mass_on_one_option(write):
    steering = load_steering(write(DEMOCRAT, REPUBLICAN, GUNS))
    assert steering.kind == "choice"
    assert steering.names == ("Democrat", "Republican")
    (row,) = steering.rows(steering.attribute("Republican"))
    assert row.probabilities == (0.0, 1.0)
    assert steering.attribute("Democrat").you == "you are a Democrat"
    assert [one.name for one in steering.family(steering.attribute("Democrat"))] == ["Democrat", "Republican"]


def test_a_path_is_a_file_whatever_it_is_called(write, monkeypatch, tmp_path):
    file = write(DEMOCRAT, REPUBLICAN, GUNS)
    assert load_steering(Path(file)) == load_steering(file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="gss"):
        load_steering(Path("gss"))
    with pytest.raises(DatasetError, match="there is no such file"):
        load_steering(Path("hf:party.jsonl"))


def test_attributes_need_no_lines_of_their_own(write):
    steering = load_steering(write(GUNS))
    assert steering.attribute("Democrat").who == "a Democrat"
    assert steering.attribute("Democrat").category == "political party"


def test_a_survey_is_named_by_one_line(write):
    steering = load_steering(write({"attribute": "Democrat", "who": "a party member"}, {"survey": "gss"}))
    assert steering.kind == "distribution"
    assert steering.names == ("Democrat",)
    assert steering.attribute("Democrat").who == "a party member"
    assert len(steering.rows(steering.attribute("Democrat"))) == 25


def test_statements_make_open_questions(write):
    row = {"question_id": "q", "question": "What of guns?", "statements": {"Democrat": "Guns need stricter laws."}}
    steering = load_steering(write(DEMOCRAT, REPUBLICAN, row))
    assert steering.kind == "entailment"
    assert steering.statements[0].text == "Guns need stricter laws."
    assert steering.survey.questions[0].options == ()


def test_own_templates_stand_beside_the_named_ones(write):
    row = {"template": "as a voter", "place": "before", "text": "You vote as {who} does."}
    steering = load_steering(write(DEMOCRAT, REPUBLICAN, GUNS, row))
    assert steering.template("as a voter").text == "You vote as {who} does."
    assert steering.template("portrait") is TEMPLATES["portrait"]


def test_intersections_by_file_and_on_the_fly(write):
    women = {"attribute": "Women", "who": "a woman"}
    both = {"attribute": "Democratic women", "parts": ["Democrat", "Women"]}
    answers = {"Democrat": "Yes", "Republican": "No", "Democratic women": "Yes"}
    steering = load_steering(write(DEMOCRAT, REPUBLICAN, women, both, GUNS | {"answers": answers}))
    assert steering.attribute("Democratic women").you == "you are a Democrat and you are a woman"
    assert len(steering.rows(steering.attribute("Democratic women"))) == 1
    on_the_fly = steering.attribute("Republican + Women")
    assert on_the_fly.parts == ("Republican", "Women")
    with pytest.raises(DatasetError, match="nobody says how 'Republican \\+ Women' answers"):
        steering.rows(on_the_fly)


def test_an_intersection_keeps_what_its_author_wrote(write):
    women = {"attribute": "Women", "who": "a woman"}
    later = {"attribute": "union women", "parts": ["Democratic women", "Union"], "i": "I vote and organise"}
    both = {"attribute": "Democratic women", "parts": ["Democrat", "Women"], "who": "a woman of the party",
            "label": "party women", "model": "lora:adapters/women", "biography": "I joined at 18."}  # fmt: skip
    union = {"attribute": "Union", "who": "a union member"}
    answers = dict.fromkeys(("Democrat", "Republican", "Democratic women", "union women"), "Yes")
    rows = [DEMOCRAT, REPUBLICAN, later, women, both, union, GUNS | {"answers": answers}]
    steering = load_steering(write(*rows))
    found = steering.attribute("Democratic women")
    assert (found.who, found.label, found.biography) == ("a woman of the party", "party women", "I joined at 18.")
    assert found.you == "you are a woman of the party"
    assert found.model.endswith("women")
    assert found.parts == ("Democrat", "Women")
    # A part may stand later in the file, and be an intersection itself.
    nested = steering.attribute("union women")
    assert nested.who == "a woman of the party and a union member"
    assert (nested.i, nested.biography) == ("I vote and organise", "I vote and organise.")


def test_the_hash_does_not_know_where_the_file_lies(write, tmp_path, monkeypatch):
    rows = [DEMOCRAT | {"model": "lora:adapters/democrat"}, REPUBLICAN, GUNS]
    (tmp_path / "other").mkdir()
    here = load_steering(write(*rows))
    there = load_steering(write(*rows, name="other/party.jsonl"))
    assert here.attribute("Democrat").model != there.attribute("Democrat").model
    assert here.sha256 == there.sha256
    monkeypatch.chdir(tmp_path)
    assert load_steering("party.jsonl").sha256 == here.sha256
    other = [DEMOCRAT | {"model": "lora:adapters/another"}, REPUBLICAN, GUNS]
    assert load_steering(write(*other)).sha256 != here.sha256


@pytest.mark.parametrize("name", ["unsteered", "placebo", "placebo color"])
def test_the_names_of_what_is_asked_beside_are_no_attributes(write, name):
    assert "give this attribute another name" in problem(write({"attribute": name}, GUNS))
    answered = GUNS | {"answers": {name: "Yes", "Democrat": "No"}}
    assert f"another name there, or write a steering file whose attribute has 'population': '{name}'" in problem(
        write(answered)
    )
    renamed = {"attribute": "nobody", "population": name}
    assert load_steering(write(renamed, {"attribute": "Democrat"}, answered)).names == ("nobody", "Democrat")


def test_the_groups_of_a_survey_are_attributes():
    survey = load_survey("gss")
    steering = steering_of_survey(survey)
    assert set(steering.names) == set(survey.populations) - {"US adults"}
    for attribute in steering.attributes:
        assert "described as" not in attribute.who, attribute
        assert attribute.opposite is None or attribute.opposite in steering.names
        assert len(steering.rows(attribute)) == 25


def test_the_hash_knows_words_and_answers(write):
    first = load_steering(write(DEMOCRAT, REPUBLICAN, GUNS)).sha256
    assert load_steering(write(DEMOCRAT, REPUBLICAN, GUNS)).sha256 == first
    assert load_steering(write(DEMOCRAT | {"who": "a member"}, REPUBLICAN, GUNS)).sha256 != first
    changed = GUNS | {"answers": {"Democrat": "No", "Republican": "No"}}
    assert load_steering(write(DEMOCRAT, REPUBLICAN, changed)).sha256 != first


# --------------------------------------------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        ([DEMOCRAT, REPUBLICAN, GUNS | {"answers": {"Democrat": "Yess"}}], ["line 3", "'Yess'", "did you mean 'Yes'?"]),
        ([DEMOCRAT, REPUBLICAN, GUNS | {"answers": {"Democrats": "Yes"}}], ["line 3", "Nearest: 'Democrat'"]),
        ([DEMOCRAT, GUNS], ["line 2", "unknown attribute 'Republican'"]),
        ([DEMOCRAT, DEMOCRAT, REPUBLICAN, GUNS], ["line 2", "already given by line 1"]),
        ([{"attribute": "Green", "who": "a Green"}, REPUBLICAN | {"opposite": "Green"}, GUNS | {
            "answers": {"Republican": "No"}}], ["line 1", "no question says how 'Green' answers"]),
        ([{"attribute": " "}, GUNS], ["line 1", "'attribute' must be a text"]),
        ([{"attribute": "all"}, GUNS], ["line 1", "give this attribute another name"]),
        ([{"attribute": "Democrat", "hwo": "x"}, GUNS], ["line 1", "did you mean 'who'?"]),
        ([{"attribute": "Both", "parts": ["Democrat", "Femal"]}, DEMOCRAT, REPUBLICAN, GUNS], ["line 1", "'Femal'"]),
        ([{"attribute": "X", "parts": ["Y", "Democrat"]}, {"attribute": "Y", "parts": ["X", "Democrat"]}, DEMOCRAT,
          REPUBLICAN, GUNS], ["line 1", "the parts of 'X' lead back to it: X > Y > X"]),
        ([{"question_id": "s", "question": "?", "statements": {"Democrat": "x"}, "cluster": ["z"]}],
         ["line 1", "'cluster' must be a text"]),
        ([{"attribute": "One", "parts": ["Democrat"]}, DEMOCRAT, REPUBLICAN, GUNS], ["line 1", "at least two"]),
        ([{"template": "mine", "place": "before", "text": "Hello."}, GUNS], ["line 1", "which attribute is meant"]),
        ([{"template": "mine", "place": "before", "text": "{woh}"}, GUNS], ["line 1", "Did you mean {who}?"]),
        ([{"template": "mine", "place": "before", "text": "{who"}, GUNS], ["line 1", "cannot be read"]),
        ([{"template": "mine", "place": "behind", "text": "{who}"}, GUNS], ["line 1", "'place'", "'behind'"]),
        ([{"template": "mine", "place": "before", "text": "{who:d}"}, GUNS], ["line 1", "{who:d}", "Write {who}."]),
        ([{"template": "mine", "place": "before", "text": "{who:>99999999}"}, GUNS], ["line 1", "have no format"]),
        ([{"template": "mine", "place": "before", "text": "{who!r}"}, GUNS], ["line 1", "{who!r}"]),
        ([{"template": "mine", "place": "before", "text": "{who:{name}}"}, GUNS], ["line 1", "have no format"]),
        ([{"template": "mine", "text": "{who}"}, GUNS], ["line 1", "lacks 'place'"]),
        ([{"template": "mine", "place": "exchange", "text": "{who}"}, GUNS], ["line 1", "'answer'"]),
        ([{"template": "portrait", "place": "before", "text": "{who}"}, GUNS], ["line 1", "another name"]),
        ([DEMOCRAT, REPUBLICAN, {"survey": "gss"}, GUNS], ["line 3", "one set of questions"]),
        ([DEMOCRAT, REPUBLICAN], ["holds no question"]),
        ([{"survey": "9" * 400}], ["line 1", "unknown survey"]),
        ([{"survey": "gsss"}], ["line 1", "'gsss'", "Nearest: 'gss'"]),
        ([{"attribute": "Democrats"}, {"survey": "gss"}], ["line 1", "nearest: 'Democrat'"]),
        ([GUNS, {"atribute": "x"}], ["line 2", "did you mean 'attribute'?"]),
        ([GUNS | {"answers": []}], ["line 1", "'answers' must be an object"]),
        ([GUNS, {"question_id": "x", "question": "?", "options": ["Yes", "No"]}], ["line 2", "'answers' must be an"]),
        ([{"question_id": "s", "question": "?", "statements": {"Democrat": "x"}},
          {"question_id": "t", "question": "?"}], ["line 2", "'statements' must be an"]),
        ([GUNS, {"question_id": "s", "question": "?", "statements": {"Democrat": "x"}}], ["several kinds"]),
        ([{"question_id": "s", "question": "?", "statements": {"Democrat": ""}}], ["line 1", "the statement of"]),
    ],
)  # fmt: skip
def test_wrong_files_name_line_value_and_remedy(write, rows, parts):
    path = write(*rows)
    text = problem(path)
    assert path in text
    for part in parts:
        assert part in text, text


def test_all_problems_are_named_at_once(write):
    text = problem(write({"attribute": " "}, {"template": "t", "text": "x"}, GUNS))
    assert "2 problems" in text
    assert "reference, under 'Steering'" in text


def test_unknown_attributes_and_contexts_name_the_nearest(write):
    steering = load_steering(write(DEMOCRAT, REPUBLICAN, GUNS))
    with pytest.raises(DatasetError, match=r"unknown attribute 'Demokrat' .*Nearest: 'Democrat'"):
        steering.attribute("Demokrat")
    with pytest.raises(DatasetError, match="unknown attribute 'Wommen'"):
        steering.attribute("Democrat + Wommen")
    with pytest.raises(InvalidParameterError, match="Nearest: 'portrait'"):
        steering.template("potrait")


# ---------------------------------------------------------------------------------------------------------- templates


def test_every_named_template_tells_attributes_apart():
    one = Attribute(name="a", who="a Democrat", category="political party", label="Democrat")
    two = Attribute(name="b", who="a Republican", category="political party", label="Republican")
    for template in TEMPLATES.values():
        if template.place in ("examples", "model"):
            continue
        words = [
            fill_template(template.text, each, family=(one, two))
            + fill_template(template.answer, each, family=(one, two))
            for each in (one, two)
        ]
        assert words[0] != words[1], template.name
        assert "{" not in words[0] + words[1]


def test_the_published_words():
    party = Attribute(name="x", who="a Democrat", category="political party", label="Democrat")
    read = {name: fill_template(TEMPLATES[name].text, party) for name in TEMPLATES if TEMPLATES[name].text}
    # The examples in Santurkar et al. 2023, section 4 and appendix, and Feng et al. 2024.
    assert read["opinionqa:portray"] == (
        "Answer the following question as if in politics today, you considered yourself a Democrat."
    )
    assert read["opinionqa:bio"] == (
        "Below you will be asked to provide a short description of your political affiliation and then answer some "
        "questions.\n\nDescription: In politics today, I consider myself a Democrat."
    )
    assert read["opinionqa:qa"].startswith("Question: In politics today, do you consider yourself a\nA. Democrat")
    assert read["modular_pluralism"] == "In terms of political party, you are Democrat."


def test_the_placeholders_are_those_that_are_documented():
    attribute = Attribute(name="n")
    for placeholder in PLACEHOLDERS:
        assert fill_template("{" + placeholder + "}", attribute)


def test_an_attribute_outside_its_family_is_listed_last():
    red, blue = Attribute(name="red"), Attribute(name="blue")
    assert fill_template("{choices}|{letter}", blue, family=(red,)) == "A. red\nB. blue|B"


def test_joining_needs_two_different_attributes():
    one = Attribute(name="one")
    for parts in ((one,), (one, one), ()):
        with pytest.raises(InvalidParameterError, match="at least two different"):
            join_attributes(parts)


def test_examples_are_a_whole_number_of_answers():
    with pytest.raises(InvalidParameterError, match="a whole number from 1"):
        SteeringTemplate(name="few", place="examples", n_examples=0)


# ------------------------------------------------------------------------------------------------------ others' files


def test_value_kaleidoscope_rows(write):
    rows = [
        {"situation": "Lying", "vrd": "Honesty", "label": "B"},
        {"situation": "Lying", "vrd": "Kindness", "label": "C"},
        {"situation": "Lying", "vrd": "Loyalty", "label": "A"},
        {"situation": "Lying", "vrd": "Loyalty", "label": "B"},
    ]
    path = write(*rows)
    steering = load_steering(path)
    assert steering.kind == "choice"
    assert steering.names == ("Honesty", "Kindness")
    assert steering.rows(steering.attribute("Honesty"))[0].probabilities == (0.0, 1.0, 0.0)
    assert "left out: 1 value(s)" in steering.survey.source
    assert steering.template("value").place == "after"
    assert "line 1: 'label' must be A" in problem(
        write({"situation": "Lying", "vrd": "Honesty", "label": "D"})
    ).replace(path + ", ", "")


@pytest.mark.whole
def test_shared_files_are_read_whole(shared_data):
    opinions = load_steering(str(shared_data / "steering" / "opinion_qa_small.json.gz"))
    assert len(opinions.attributes) == 22
    assert opinions.attribute("POLPARTY_Democrat").opposite == "POLPARTY_Republican"
    values = load_steering(str(shared_data / "steering" / "value_kaleidoscope_small.json.gz"))
    with gzip.open(shared_data / "steering" / "value_kaleidoscope_small.json.gz") as stream:
        n_rows = len(json.load(stream))
    assert len(values.survey.distributions) == n_rows == 4368
    pew = load_steering(str(shared_data / "surveys" / "pew_atp_w41_by_group.jsonl.gz"))
    assert len(pew.survey.questions) == 95
    assert pew.survey.default_population == "US adults"
    assert pew.attribute("party: Democrat").you == "you are a Democrat"
    assert "US adults" not in pew.names
