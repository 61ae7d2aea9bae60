"""A tiny made-up file in the shape of each known source: told by its columns, and read as what it is.

The shapes are those of the published files; nothing of their content is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pytest_pluralism as pp
from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import DatasetError
from pytest_pluralism.datasets.kinds import taken_for
from pytest_pluralism.datasets.panels.others import PANEL_SOURCES
from pytest_pluralism.datasets.sources import Source, as_list, source_of
from pytest_pluralism.datasets.surveys.sources import SURVEY_SOURCES


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(path: Path, columns: list[str], rows: list[list[Any]]) -> Path:
    import csv

    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([columns, *rows])
    return path


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), path)
    return path


def shares(survey: Any, question: str, population: str) -> list[float]:
    row = next(r for r in survey.distributions if (r.question_id, r.population) == (question, population))
    return [round(share, 6) for share in row.probabilities]


# ---------------------------------------------------------------------------------------------------------- surveys


CROSS = ["question", "option", "North", "South"]


@pytest.mark.parametrize(
    ("unit", "north", "south", "n"),
    [
        ("counts", [30, 50, 20, 0], [10, 10, 20, 10], 100),
        ("per cents", ["30%", "50 %", "20", "0"], [20, 20, 40, 20], None),
        ("per cents", [30, 50, 19, 0], [20, 20, 40, 21], None),
        ("shares", [0.3, 0.5, 0.2, 0], [0.2, 0.2, 0.4, 0.2], None),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_crosstabs(tmp_path: Path, unit: str, north: list[Any], south: list[Any], n: int | None, ending: str) -> None:
    rows = [["Which?", f"option {place}", a, b] for place, (a, b) in enumerate(zip(north, south, strict=True))]
    survey = pp.load_survey(table(tmp_path / f"cross{ending}", CROSS, rows))
    total = 99 if north[2] == 19 else 100
    expected = [round(share / total, 6) for share in (30, 50, total - 80, 0)]
    assert shares(survey, "Which?", "North") == expected
    assert f"a crosstab of {unit}; read: 4 rows" in survey.source
    assert survey.distributions[0].n_respondents == n
    assert taken_for(tmp_path / f"cross{ending}").kind == "survey"


def test_rows_of_bases_and_totals_of_a_crosstab(tmp_path: Path) -> None:
    rows = [["q", "Yes", 60, 40], ["q", "No", 40, 60], ["q", "Total", 100, 100], ["q", "Unweighted base", 812, 410]]
    survey = pp.load_survey(table(tmp_path / "cross.csv", CROSS, rows))
    assert survey.questions[0].options == ("Yes", "No")
    assert [row.n_respondents for row in survey.distributions] == [812, 410]
    rows[2] = ["q", "Total", 100, 55]
    with pytest.raises(DatasetError, match="the total of 'South' is 55, and its options sum to 100"):
        pp.load_survey(table(tmp_path / "cross.csv", CROSS, rows))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([["q", "Yes", 60, "many"], ["q", "No", 40, 60]], "line 2: column 'South' must hold a number"),
        ([["q", "Yes", 60, -4], ["q", "No", 40, 60]], "line 2: column 'South' must hold a number of at least 0"),
        ([["q", "Yes", 0.6, 40], ["q", "No", 0.4, 60]], "must be counts, or sum to 1 or 100"),
        ([["q", "Yes", 60, 40], ["q", "Yes", 40, 60]], "'Yes' of question 'q' appears twice"),
        ([["q", "Yes", 60, ""], ["q", "No", 40, 60]], "'South' has no number for option 'Yes'"),
        ([["q", "Yes", 6, 40], ["q", "No", 4, 60], ["q", "Alle", 10, 100]], "row 'Alle' looks like the sum of all"),
        ([["q", "Yes", 60, 40], ["q", "No", 40, 60], ["q", "Basis", 812, 410]], "row 'Basis' looks like numbers of"),
        ([["q", "Yes", "60%", 410], ["q", "No", "40%", 220]], "line 2: '60%' stands in a crosstab of counts"),
    ],
)
def test_crosstabs_that_are_refused(tmp_path: Path, rows: list[list[Any]], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        pp.load_survey(table(tmp_path / "cross.csv", CROSS, rows))


def test_an_option_that_half_of_the_people_chose_is_no_sum(tmp_path: Path) -> None:
    rows = [["q", "Yes", 50, 30], ["q", "No", 30, 40], ["q", "Perhaps", 20, 50]]
    survey = pp.load_survey(table(tmp_path / "cross.csv", CROSS, rows))
    assert shares(survey, "q", "North") == [0.5, 0.3, 0.2]


@pytest.mark.parametrize("name", ["count", "n", "Percent", "%", "Weight", "Unnamed: 0"])
def test_a_column_that_is_not_a_population_is_refused(tmp_path: Path, name: str) -> None:
    path = table(
        tmp_path / "cross.csv", ["question", "option", "North", name], [["q", "Yes", 60, 60], ["q", "No", 40, 40]]
    )
    with pytest.raises(DatasetError, match=r"line 1: column '.*' is not the name of a population"):
        pp.load_survey(path)


def test_a_misspelt_survey_is_not_a_crosstab(tmp_path: Path) -> None:
    row = {"question_id": "q", "question": "Is it?", "option": ["Yes", "No"], "distributions": []}
    with pytest.raises(DatasetError, match="did you mean 'options'"):
        pp.load_survey(jsonl(tmp_path / "s.jsonl", [row]))
    columns = ["question_id", "question", "option", "population", "probabilty"]
    path = table(tmp_path / "s.csv", columns, [["q", "Is it?", "Yes", "North", 1]])
    with pytest.raises(DatasetError, match="did you mean 'probability'"):
        pp.load_survey(path)
    (tmp_path / "people.sav").write_bytes(b"$FL2")
    with pytest.raises(DatasetError, match="becomes a survey by: pluralism survey build"):
        pp.load_survey(tmp_path / "people.sav")


def test_a_crosstab_as_a_frame() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"question": ["q", "q"], "option": ["Yes", "No"], "North": [30, 70]})
    assert shares(pp.load_survey(frame), "q", "North") == [0.3, 0.7]


OPINIONQA = {
    "SAFE_W1": {
        "MC_options": ["Very safe", "Not safe", "Refused"],
        "question_text": "How safe is it?",
        "Female": {"Not safe": 30.0, "Refused": 10.0, "Very safe": 60.0},
        "Male": {"Not safe": 20.0, "Very safe": 30.0},
    },
    "GUN_W1": {
        # The published files cut these options at their commas.
        "MC_options": ["Yes", "I own one", '"No', 'I own none"', "Refused"],
        "question_text": "Do you own one?",
        "Female": {"No, I own none": 80.0, "Refused": 0.0, "Yes, I own one": 20.0},
    },
}


def test_opinionqa(tmp_path: Path) -> None:
    path = tmp_path / "SEX_data.json"
    path.write_text(json.dumps(OPINIONQA))
    survey = pp.load_survey(path, refusals="drop")
    assert survey.populations == ("Female", "Male")
    assert survey.questions[0].options == ("Very safe", "Not safe")
    assert survey.questions[1].options == ("Yes, I own one", "No, I own none")
    assert shares(survey, "SAFE_W1", "Female") == [round(60 / 90, 6), round(30 / 90, 6)]
    assert survey.distributions[0].n_respondents == pytest.approx(90)
    assert taken_for(path).words == "a survey: OpinionQA human_resp"
    assert pp.load_steering(str(path)).names == ("Female", "Male")


GLOBAL = {
    "question": "Is it so?",
    "selections": "defaultdict(<class 'list'>, {'Japan': [0.25, 0.75], 'Peru': [0.5, 0.5]})",
    "options": "['Yes', 'No']",
    "source": "GAS",
}


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet"])
def test_global_opinions_from_a_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"global{ending}"
    if ending == ".csv":
        table(path, list(GLOBAL), [list(GLOBAL.values())])
    elif ending == ".parquet":
        parquet(path, [GLOBAL])
    else:
        path.write_text(json.dumps([GLOBAL]) if ending == ".json" else json.dumps(GLOBAL) + "\n")
    survey = pp.load_survey(path)
    assert survey.populations == ("Japan", "Peru")
    assert survey.distributions[0].probabilities == (0.25, 0.75)
    assert "GlobalOpinionQA (CC BY-NC-SA 4.0" in survey.source
    assert taken_for(path).kind == "survey"


SUBPOP = {
    "qkey": "Q1_W92", "attribute": "SEX", "group": "Female", "question": "Is it?", "options": ["Yes", "No", "Refused"],
    "responses": [0.75, 0.25], "refusal_rate": 0.2, "ordinal": [1.0, 2.0],
}  # fmt: skip


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_subpop(tmp_path: Path, ending: str) -> None:
    rows = [SUBPOP, {**SUBPOP, "group": "Male", "responses": [0.5, 0.5], "refusal_rate": 0.0}]
    path = tmp_path / f"subpop{ending}"
    if ending == ".csv":
        table(path, list(SUBPOP), [[str(value) for value in row.values()] for row in rows])
    else:
        jsonl(path, rows)
    survey = pp.load_survey(path)
    assert survey.populations == ("SEX: Female", "SEX: Male")
    assert shares(survey, "Q1_W92", "SEX: Female") == [0.6, 0.2, 0.2]
    separate = pp.load_survey(path, refusals="separate")
    assert separate.questions[0].refusals == (2,)
    assert shares(pp.load_survey(path, refusals="drop"), "Q1_W92", "SEX: Female") == [0.75, 0.25]
    assert taken_for(path).words == "a survey: SubPOP"


def test_moral_choice_of_its_authors(tmp_path: Path) -> None:
    columns = ["scenario_id", "ambiguity", "generation_type", "context", "action1", "action2", "a1_death"]
    rows = [["C_1", "low", "Generated", "You see it.", "I help.", "I leave.", "No"],
            ["H_1", "high", "Hand-Written", "You must choose.", "I do.", "I do not.", "No"]]  # fmt: skip
    survey = pp.load_survey(table(tmp_path / "moral.csv", columns, rows))
    assert survey.questions[0].options == ("I help.", "I leave.")
    assert shares(survey, "C_1", "low ambiguity") == [1.0, 0.0]
    assert shares(survey, "H_1", "high ambiguity") == [0.5, 0.5]
    assert "not answers of people" in survey.source


def test_moral_choice_of_modular_pluralism(tmp_path: Path) -> None:
    frame = "Below is a scenario and two potential actions, please select the one that is more moral.\nScenario: {}"
    rows = [
        {
            "question": frame.format("You see it.") + "\nA. I help.\nB. I leave.\nAnswer:",
            "options": ["I help.", "I leave."], "attribute": "low_ambiguity", "gold_distribution": [1, 0],
            "pred_distribution": None, "id": "C_1",
        }
    ]  # fmt: skip
    path = tmp_path / "moral.json"
    path.write_text(json.dumps(rows))
    survey = pp.load_survey(path)
    assert survey.questions[0].text == frame.format("You see it.")
    assert survey.distributions[0].probabilities == (1.0, 0.0)


def test_the_whole_file_of_moral_choice(shared_data: Path) -> None:
    survey = pp.load_survey(shared_data / "surveys" / "moral_choice.json.gz")
    assert len(survey.questions) == 1366
    assert survey.populations == ("low_ambiguity", "high_ambiguity")
    assert "left out: 1 question(s) with the same option twice" in survey.source


# ----------------------------------------------------------------------------------------------------------- panels


def utilities(panel: Any) -> dict[tuple[str, str], float]:
    names = [response.response_id for response in panel.responses]
    votes = zip(panel.vote_jurors, panel.vote_responses, panel.vote_values, strict=True)
    return {(panel.jurors[who].juror_id, names[what]): float(value) for who, what, value in votes}


NOTES = ["noteId", "raterParticipantId", "createdAtMillis", "agree", "helpfulnessLevel"]


def test_community_notes(tmp_path: Path) -> None:
    rows = [["1", "A", 1, 1, "HELPFUL"], ["1", "B", 1, 0, "NOT_HELPFUL"], ["2", "A", 1, 1, "SOMEWHAT_HELPFUL"],
            ["2", "B", 1, 1, ""]]  # fmt: skip
    path = table(tmp_path / "ratings-00000.tsv", NOTES, rows)
    assert len(pp.load_panel(path).queries) == 2
    columns = ["noteId", "noteAuthorParticipantId", "tweetId", "summary"]
    table(tmp_path / "notes-00000.tsv", columns, [["1", "x", "77", "It was “otherwise”."], ["2", "y", "77", "No."]])
    panel = pp.load_panel(path)
    assert [query.query_id for query in panel.queries] == ["77"]
    assert [one.text for one in panel.responses] == ["It was “otherwise”.", "No."]
    assert utilities(panel) == {("A", "1"): 2.0, ("B", "1"): 0.0, ("A", "2"): 1.0}
    assert "3 votes read, 1 missing" in panel.source
    assert taken_for(path).words == "a panel: X Community Notes ratings"


def test_prism(tmp_path: Path) -> None:
    row = {"utterance_id": "ut1", "interaction_id": "int1", "conversation_id": "c1", "user_id": "user1", "turn": 0,
           "within_turn_id": 0, "user_prompt": "Hello?", "model_response": "Hello!", "model_name": "m", "score": 90,
           "if_chosen": True}  # fmt: skip
    rows = [
        row,
        {**row, "utterance_id": "ut2", "within_turn_id": 1, "model_response": "Go.", "score": 3, "if_chosen": False},
    ]
    path = jsonl(tmp_path / "utterances.jsonl", rows)
    people = {"user_id": "user1", "age": "18-24 years old", "gender": "Female", "religion": {"simplified": "None"}}
    jsonl(tmp_path / "survey.jsonl", [people])
    panel = pp.load_panel(path)
    assert utilities(panel) == {("user1", "ut1"): 90.0, ("user1", "ut2"): 3.0}
    assert panel.jurors[0].attributes == {"age": "18-24 years old", "gender": "Female", "religion": "None"}
    # Truth values are votes, too.
    columns = {"juror": "user_id", "query": "interaction_id", "response": "utterance_id", "utility": "if_chosen"}
    assert utilities(pp.load_panel(path, columns=columns)) == {("user1", "ut1"): 1.0, ("user1", "ut2"): 0.0}


@pytest.mark.parametrize("extra", [[], ["rater_locale"]])
def test_dices_tables(tmp_path: Path, extra: list[str]) -> None:
    people = ["rater_gender", "rater_race", "rater_age", "rater_education"]
    columns = ["rater_id", *people, "item_id", "context", "response",
               "Q_overall", *extra]  # fmt: skip
    more = ["US"] * len(extra)
    rows = [[f"r{n}", "Woman", "White", "gen z", "College", "10", "USER: Hi\nBOT: ?", "Bye", answer, *more]
            for n, answer in enumerate(["Yes", "No", "Unsure"])]  # fmt: skip
    panel = pp.load_panel(table(tmp_path / "diverse_safety.csv", columns, rows))
    assert utilities(panel) == {("r0", "response"): 0.0, ("r1", "response"): 2.0, ("r2", "response"): 1.0}
    assert panel.attributes == ("rater_gender", "rater_race", "rater_age", "rater_education", *extra)
    assert "'Yes' means unsafe" in panel.source


def test_habermas_machine(tmp_path: Path) -> None:
    row = {"metadata.participant_id": "p1", "question.id": "q1", "question.text": "Should it?", "round_id": "r1",
           "candidates.text": ["Yes, because.", "No, because."], "ratings.agreement": ["STRONGLY_AGREE", "DISAGREE"],
           "rankings.numerical_ranks": [0, 1]}  # fmt: skip
    other = {**row, "metadata.participant_id": "p2", "ratings.agreement": ["MOCK", "NEUTRAL"]}
    path = parquet(tmp_path / "hm_all_candidate_comparisons.parquet", [row, other])
    panel = pp.load_panel(path)
    assert [query.text for query in panel.queries] == ["Should it?"]
    assert sorted(panel.vote_values.tolist()) == [1.0, 3.0, 6.0]
    assert taken_for(path).words == "a panel: Habermas Machine candidate comparisons"
    position = {"metadata.participant_id": "p1", "question.id": "q1", "question.text": "Should it?", "rating_index": 0,
                "question.affirming_statement": "It should.", "ratings.agreement": ["AGREE"]}  # fmt: skip
    path = parquet(tmp_path / "hm_all_position_statement_ratings.parquet", [position])
    assert pp.load_panel(path).vote_values.tolist() == [5.0]


def test_community_alignment(tmp_path: Path) -> None:
    columns = ["conversation_id", "assigned_lang", "annotator_id", "annotator_age", "first_turn_prompt",
               *(f"first_turn_response_{letter}" for letter in "abcd"), "first_turn_preferred_response"]  # fmt: skip
    rows = [["1", "en", "x", "18-30", "Hi?", "One", "Two", "Three", "Four", "response_b"],
            # The same responses in other places are the same responses.
            ["2", "en", "y", "31-40", "Hi?", "Two", "One", "Four", "Three", "response_a"],
            ["3", "en", "y", "31-40", "", "Two", "One", "Four", "Three", "response_a"]]  # fmt: skip
    panel = pp.load_panel(table(tmp_path / "community_alignment.csv", columns, rows))
    assert len(panel.queries) == 1
    by_text = {one.text: one.response_id for one in panel.responses}
    assert utilities(panel)["x", by_text["Two"]] == utilities(panel)["y", by_text["Two"]] == 1.0
    assert sum(utilities(panel).values()) == 2.0
    assert panel.attributes == ("annotator_age",)


def test_overtonbench(tmp_path: Path) -> None:
    row = {"user": "u1", "question_id": 3, "question": "Should it?", "freeresponse": "I think so.", "model": "m1",
           "llm_response": "It depends.", "representation_rating": 4, "cluster_kmeans": 0, "Sex": "Female"}  # fmt: skip
    path = parquet(tmp_path / "full.parquet", [row, {**row, "model": "m2", "representation_rating": 1}])
    panel = pp.load_panel(path)
    assert utilities(panel) == {("u1", "m1"): 4.0, ("u1", "m2"): 1.0}
    assert panel.jurors[0].attributes == {"Sex": "Female"}


def test_a_parquet_file_of_no_source_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", [{"a": 1}])
    with pytest.raises(DatasetError, match="the columns of no panel"):
        pp.load_panel(path)
    with pytest.raises(DatasetError, match="of no kind of data here"):
        taken_for(path)


# ---------------------------------------------------------------------------------------------------------- windows


def test_perspectrum_and_its_pool(tmp_path: Path) -> None:
    claims = [{"cId": 7, "text": "It should be so.", "topics": [], "source": "web", "perspectives": [
        {"pids": [1, 2], "evidence": [], "stance_label_3": "SUPPORT", "stance_label_5": "SUPPORT", "voter_counts": []},
        {"pids": [3], "evidence": [], "stance_label_3": "UNDERMINE", "stance_label_5": "UNDERMINE", "voter_counts": []},
    ]}]  # fmt: skip
    path = tmp_path / "perspectrum_with_answers_v1.0.json"
    path.write_text(json.dumps(claims))
    with pytest.raises(DatasetError, match=r"perspective_pool_v1\.0\.json of the same release"):
        pp.load_windows(path)
    pool = [{"pId": 1, "text": "It helps.", "source": "s"}, {"pId": 2, "text": "It is of help.", "source": "s"},
            {"pId": 3, "text": "It hurts.", "source": "s"}]  # fmt: skip
    (tmp_path / "perspective_pool_v1.0.json").write_text(json.dumps(pool))
    (window,) = pp.load_windows(path).windows
    assert [(one.texts, one.stance) for one in window.reasonable] == [
        (("It helps.", "It is of help."), "support"), (("It hurts.",), "undermine"),
    ]  # fmt: skip
    (tmp_path / "perspective_pool_v1.0.json").write_text(json.dumps(pool[:2]))
    with pytest.raises(DatasetError, match="the pool has no perspective 3"):
        pp.load_windows(path)
    for damaged in (3, {"pId": 1}, None):
        (tmp_path / "perspective_pool_v1.0.json").write_text(json.dumps(damaged))
        with pytest.raises(DatasetError, match=r"perspective_pool_v1\.0\.json: must be a list"):
            pp.load_windows(path)


def test_value_prism_as_a_table(tmp_path: Path) -> None:
    columns = ["situation", "vrd", "text", "explanation", "valence"]
    rows = [["Telling a lie", "Value", "Honesty", "It is not honest.", "Opposes"],
            ["Telling a lie", "Value", "Kindness", "It may be kind.", "Either"]]  # fmt: skip
    path = table(tmp_path / "full.csv", columns, rows)
    (window,) = pp.load_windows(path).windows
    assert [(one.answer_id, one.text, one.stance) for one in window.reasonable] == [
        ("Honesty", "It is not honest.", "opposes"), ("Kindness", "It may be kind.", "either"),
    ]  # fmt: skip
    assert taken_for(path).kind == "windows"


WINDOW = ["query_id", "query", "answer", "reasonable", "answer_id", "stance", "support"]


def test_windows_as_a_table(tmp_path: Path) -> None:
    rows = [["tip", "Should tips end?", "Yes, wages should rise.", "1", "a", "for", "0.4"],
            ["tip", "Should tips end?", "Yes: raise wages.", "", "a", "for", "0.4"],
            ["tip", "Should tips end?", "No, they reward work.", "", "", "against", ""],
            ["tip", "Should tips end?", "Waiters are thieves.", "0", "", "", ""]]  # fmt: skip
    (window,) = pp.load_windows(table(tmp_path / "windows.csv", WINDOW, rows)).windows
    assert window.reasonable[0].texts == ("Yes, wages should rise.", "Yes: raise wages.")
    assert (window.reasonable[0].support, window.reasonable[1].stance) == (0.4, "against")
    assert [one.text for one in window.unreasonable] == ["Waiters are thieves."]
    rows[1][1] = "Another?"
    with pytest.raises(DatasetError, match="line 3: 'query' of query 'tip' differs from line 2"):
        pp.load_windows(table(tmp_path / "windows.csv", WINDOW, rows))
    rows[1][1:4] = ["Should tips end?", "Yes: raise wages.", "perhaps"]
    with pytest.raises(DatasetError, match="'reasonable' must be 1, 0 or empty, not 'perhaps'"):
        pp.load_windows(table(tmp_path / "windows.csv", WINDOW, rows))


def test_responses_as_a_table(tmp_path: Path) -> None:
    from pytest_pluralism.datasets.windows.responses import read_responses

    path = table(tmp_path / "said.csv", ["query_id", "response"], [["a", "Yes."], ["a", "No."], ["b", ""]])
    assert read_responses(path).responses == {"a": ("Yes.", "No."), "b": ("",)}
    assert taken_for(path).kind == "responses"


# ---------------------------------------------------------------------------------------------------------- the table


def test_each_source_has_a_row_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "sources.md").read_text(encoding="utf-8")
    for source in (*SURVEY_SOURCES[1:], *PANEL_SOURCES):
        assert f"| {source.name} |" in page, source.name
        assert source.link in page, source.name
        assert source.licence in page, source.name


def test_two_sources_that_fit_alike_are_an_error() -> None:
    def source(name: str, *fields: str) -> Source[None]:
        return Source(name, fields, lambda _: None, "", "")

    both = [source("one", "a", "b"), source("two", "a", "c")]
    with pytest.raises(DatasetError, match="fit two sources: one and two"):
        source_of(both, {"a": 1, "b": 2, "c": 3})
    assert source_of(both, {"a": 1, "b": 2}) is both[0]
    assert source_of(both, ["a", "b"]) is None
    assert source_of([*both, source("three", "a", "b", "c")], dict.fromkeys("abc")) is not None


@pytest.mark.parametrize(
    ("value", "found"),
    [("['a', 1]", ["a", 1]), ('["a"]', ["a"]), (("a",), ["a"]), ("a", None), ("{}", None), (3, None), ("[" * 9, None)],
)
def test_lists_in_cells(value: Any, found: list[Any] | None) -> None:
    assert as_list(value) == found


# ---------------------------------------------------------------------------------------------------- pluralism check


def survey_file(path: Path) -> Path:
    rows = [
        {
            "question_id": f"q{n}", "question": f"Is it {n}?", "options": ["Yes", "No", "(Don’t know)"],
            "distributions": [{"population": name, "probabilities": [0.5, 0.4, 0.1]} for name in names],
        }
        for n, names in enumerate([("North", "South"), ("North",)])
    ]  # fmt: skip
    return jsonl(path, rows)


def test_check_tells_what_a_file_was_taken_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = survey_file(tmp_path / "town.jsonl")
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr().out
    for part in (
        "town.jsonl: taken for a survey",
        "questions    2",
        "populations  2: North, South",
        "read: 2 questions, 3 distributions",
        "1 population(s) answered a part of the 2 questions, such as 'South'",
        "have no n_respondents",
        "'(Don’t know)'",
        "    A. Yes\n    B. No\n    C. (Don’t know)\n    Answer:",
        'town.jsonl", population="North", better_than="uniform")\n    def test_js_distance(): ...',
    ):
        assert part in told, part


def test_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(survey_file(tmp_path / "town.jsonl")), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["schema"], content["kind"]) == ("pytest-pluralism/check/1", "survey")
    assert content["populations"] == ["North", "South"]
    assert content["prompt"].endswith("Answer:")
    assert len(content["warnings"]) == 3


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("x.csv", lambda p: table(p, ["id", "q1", "age"], [["1", "Yes", "30"]]), "pluralism survey build"),
        ("x.jsonl", lambda p: jsonl(p, [{"a": 1}]), "has the fields 'a', which are those of no kind of data"),
        ("x.jsonl", lambda p: p.write_text("{oops"), "line 1: is not JSON"),
        ("gone.csv", lambda p: None, "there is no such file"),
        ("x.jsonl", lambda p: p.write_text("\n"), "is empty"),
    ],
)
def test_check_of_what_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, make: Callable[[Path], Any], says: str
) -> None:
    make(tmp_path / name)
    assert main(["check", str(tmp_path / name)]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("surveys/global_opinion_qa_small.json.gz", "survey"),
        ("surveys/pew_atp_w41_by_group.jsonl.gz", "steering"),
        ("steering/value_kaleidoscope_small.json.gz", "steering"),
        ("overton/value_kaleidoscope_small.json.gz", "windows"),
        ("overton/perspectrum_600_claims.jsonl.gz", "windows"),
        ("jury/dices_350_crowdsourced.json.gz", "panel"),
        ("jury/polis/vtaiwan.uberx", "windows"),
    ],
)
def test_check_of_real_files(shared_data: Path, capsys: pytest.CaptureFixture[str], file: str, kind: str) -> None:
    main(["check", str(shared_data / file), "--json"])
    assert json.loads(capsys.readouterr().out)["kind"] == kind
