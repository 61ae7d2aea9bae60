"""Window files: what can be read, and what is said about what cannot."""

from __future__ import annotations

import copy
import csv
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.records import Window, WindowAnswer
from pytest_pluralism.datasets.panels.sources import read_polis
from pytest_pluralism.datasets.reading import Problems
from pytest_pluralism.datasets.windows.assembly import ReadAnswer, ReadWindow, assemble_windows, windows_sha256
from pytest_pluralism.datasets.windows.loading import load_windows
from pytest_pluralism.datasets.windows.polis import polis_window, read_polis_conversation

GOOD: list[dict[str, Any]] = [
    {
        "query_id": "tipping",
        "query": "Should tipping be abolished?",
        "prompt": "Say what people think about tipping.",
        "kind": "contested",
        "cluster": "work",
        "source": "a debate",
        "reasonable": [
            {
                "text": "Fixed wages are fairer.",
                "answer_id": "wages",
                "paraphrases": ["It is fairer to pay people a set wage."],
                "stance": "for",
                "support": 0.4,
                "support_by_group": {"waiters": 0.3, "guests": 0.5},
                "source": "a survey",
            },
            "Tips reward good service.",
        ],
        "unreasonable": ["Waiters are not people."],
    },
    {"query_id": "earth", "query": "Is the Earth flat?", "kind": "settled", "reasonable": ["It is a globe."]},
]


def written(folder: Path, rows: list[Any], name: str = "windows.jsonl") -> Path:
    path = folder / name
    text = json.dumps(rows) if ".json" in path.suffixes else "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["windows.jsonl", "windows.json", "windows.jsonl.gz", "windows.json.gz"])
def test_every_form_of_a_file_holds_the_same(tmp_path: Path, name: str) -> None:
    found = load_windows(str(written(tmp_path, GOOD, name)))
    assert found.name == name
    assert found.windows == (
        Window(
            "tipping",
            "Should tipping be abolished?",
            (
                WindowAnswer(
                    "wages",
                    "Fixed wages are fairer.",
                    ("It is fairer to pay people a set wage.",),
                    "for",
                    0.4,
                    (("waiters", 0.3), ("guests", 0.5)),
                    "a survey",
                ),
                WindowAnswer("r2", "Tips reward good service.", source="a debate"),
            ),
            (WindowAnswer("u1", "Waiters are not people."),),
            "Say what people think about tipping.",
            "contested",
            "work",
        ),
        Window("earth", "Is the Earth flat?", (WindowAnswer("r1", "It is a globe."),), kind="settled"),
    )
    assert found.windows[0].reasonable[0].texts == ("Fixed wages are fairer.", "It is fairer to pay people a set wage.")
    assert found.windows[0].stances == ("for",)


def changed(**fields: Any) -> list[dict[str, Any]]:
    rows = copy.deepcopy(GOOD)
    rows[1].update(fields)
    return rows


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reasonable": []}, "'reasonable' is empty; a window holds at least one reasonable answer"),
        ({"reasonable": "It is."}, "'reasonable' must be a list of answers, not 'It is.'"),
        ({"reasonable": [3]}, "reasonable answer 1: must be a string or an object with 'text', not 3"),
        ({"reasonable": [" "]}, "reasonable answer 1: 'text' must be a non-empty string"),
        ({"reasonable": [{"stance": "for"}]}, "reasonable answer 1: lacks 'text'"),
        ({"reasonable": [{"text": "A", "paraphrases": [""]}]}, "'paraphrases' must be strings that are not empty"),
        ({"reasonable": [{"text": "A", "paraphrases": "B"}]}, "'paraphrases' must be a list of strings, not 'B'"),
        (
            {"reasonable": [{"text": "A", "paraphrase": ["B"]}]},
            "unknown field 'paraphrase'; did you mean 'paraphrases'",
        ),
        (
            {"reasonable": [{"text": "A", "support": 40}]},
            "a share of people in [0, 1], not 40; this looks like per cent",
        ),
        ({"reasonable": [{"text": "A", "support": True}]}, "a share of people in [0, 1], not True"),
        ({"reasonable": [{"text": "A", "support": "most"}]}, "a share of people in [0, 1], not 'most'"),
        ({"reasonable": [{"text": "A", "support_by_group": [1]}]}, "must be an object of group and share, not [1]"),
        ({"reasonable": [{"text": "A", "support_by_group": {"x": 2}}]}, "'support_by_group' must be a share of people"),
        ({"reasonable": [{"text": "A", "stance": 1}]}, "'stance' must be a non-empty string, not 1"),
        ({"reasonable": [{"text": "A", "source": 1}]}, "'source' must be a string, not 1"),
        ({"reasonable": ["A", {"text": "B", "answer_id": "r1"}]}, "the answer_id 'r1' is already used in this window"),
        ({"reasonable": ["It is so.", "it IS  so."]}, "'it IS  so.' stands twice, in 'r1' and 'r2'"),
        ({"reasonable": [{"text": "A", "paraphrases": ["a"]}]}, "'a' stands twice, in 'r1' and 'r1'"),
        ({"reasonable": ["A"], "unreasonable": [" a "]}, "is listed as reasonable and as unreasonable; keep it in one"),
        (
            {"kind": "setled"},
            "'kind' must be one of 'contested', 'one_sided', 'settled', not 'setled'; did you mean 'sett",
        ),
        ({"kind": 4}, "'kind' must be one of"),
        ({"query": ""}, "'query' must be a non-empty string, not ''"),
        ({"prompt": 1}, "'prompt' must be a non-empty string, not 1"),
        ({"resonable": ["A"]}, "unknown field 'resonable'; did you mean"),
        ({"colour": "A"}, "unknown field 'colour'"),
        ({"query": "x" * 20_001}, "'query' has 20,001 characters; at most 20,000 are read"),
        ({"query": "\ud800"}, "holds half of a surrogate pair"),
        ({"reasonable": [f"A{n}" for n in range(1001)]}, "has 1001 reasonable answers; at most 1000 are read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    path = written(tmp_path, changed(**fields))
    with pytest.raises(DatasetError) as raised:
        load_windows(path)
    message = str(raised.value)
    assert said in message
    assert "line 2" in message
    assert str(path) in message
    assert "'earth'" in message


def test_ids_are_checked_over_the_whole_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 3, query 'earth': the query_id is already used by line 2"):
        load_windows(written(tmp_path, [*GOOD, GOOD[1]]))
    with pytest.raises(DatasetError, match="line 1: 'query_id' must be a non-empty string, not 7"):
        load_windows(written(tmp_path, [{**GOOD[1], "query_id": 7}]))
    with pytest.raises(DatasetError, match="lacks 'query_id', 'reasonable'"):
        load_windows(written(tmp_path, [{"query": "Is it?"}]))
    with pytest.raises(DatasetError, match="line 1: must be an object"):
        load_windows(written(tmp_path, [[1]]))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    rows = [{**GOOD[1], "query_id": f"q{n}", "kind": "none"} for n in range(12)]
    with pytest.raises(DatasetError, match="has 12 problems") as raised:
        load_windows(written(tmp_path, rows))
    assert str(raised.value).count("'kind' must be") == 10
    assert "and 2 more" in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, content, said in (
        ("a.jsonl", "", "is empty. A window file holds at least one window"),
        ("b.jsonl", "{", "line 1: is not JSON"),
        ("c.json", "{}", "must hold an array of windows, not an object"),
        ("d.json", "[]", "holds no windows"),
        ("e.jsonl", "\x00\x01", "is binary, not text"),
        ("f.txt", "x", r"a window file must end in .jsonl, .json"),
        ("g.jsonl", '{"query_id": "a", "query_id": "b"}', "field 'query_id' appears twice"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        with pytest.raises(DatasetError, match=said):
            load_windows(tmp_path / name)
    with pytest.raises(DatasetError, match=r"there is no such file. Nearest: 'b.jsonl'"):
        load_windows(tmp_path / "bb.jsonl")
    with pytest.raises(DatasetError, match=r"unknown window set 'contsted'.*Nearest: 'contested'"):
        load_windows("contsted")
    with pytest.raises(DatasetError, match="is no Polis conversation"):
        load_windows(tmp_path)
    with pytest.raises(InvalidParameterError, match="'name_or_path' parameter of load_windows"):
        load_windows("")


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_is_written_is_read_and_its_hash_ignores_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    texts = data.draw(st.lists(TEXT, min_size=2, max_size=6, unique_by=lambda text: " ".join(text.split()).casefold()))
    # Numbered, so that answers differ however their letters fold.
    rows = [
        {"query_id": f"q{n}", "query": text, "reasonable": [f"{i} {one}" for i, one in enumerate(texts)]}
        for n, text in enumerate(texts)
    ]
    folder = tmp_path_factory.mktemp("w")
    found = load_windows(written(folder, rows))
    assert [w.query for w in found.windows] == [text.strip() for text in texts]
    assert [a.text for a in found.windows[0].reasonable] == [one.strip() for one in rows[0]["reasonable"]]
    shuffled = list(found.windows)
    random.Random(0).shuffle(shuffled)
    turned = [Window(w.query_id, w.query, w.reasonable[::-1]) for w in shuffled]
    assert windows_sha256(turned) == found.sha256
    other = [*turned[1:], Window(turned[0].query_id, turned[0].query + "?", turned[0].reasonable)]
    assert windows_sha256(other) != found.sha256


@pytest.mark.whole
@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["query_id", "query", "reasonable", "unreasonable", "kind", "prompt", "x"]),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(max_size=3),
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["text", "support"]), inner)
                ),
                max_leaves=5,
            ),
        ),
        max_size=3,
    )
)
def test_nothing_but_an_error_of_the_dataset_comes_of_nonsense(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    path = written(tmp_path_factory.mktemp("w"), rows)
    try:
        found = load_windows(path)
    except DatasetError:
        return
    assert all(window.reasonable for window in found.windows)


def test_what_is_assembled_is_left_as_it_was() -> None:
    texts = ["A ", "B"]
    read = ReadWindow("q", "Is it?", [ReadAnswer(texts[0], paraphrases=texts[1:])])
    before = copy.deepcopy(read)
    assemble_windows("w", [read], problems=Problems("w"))
    assert read == before


# ---------------------------------------------------------------------------------------------- rows of other projects


def test_rows_with_lists_of_values(tmp_path: Path) -> None:
    row = {
        "situation": "skating on the road.",
        "vrd": ["Safety", "Fun", "Safety", "Health"],
        "explanation": ["It is risky.", "It is fun.", "Others may be hurt.", "it is  RISKY."],
        "id": 7,
        "output": None,
    }
    (window,) = load_windows(written(tmp_path, [row], "rows.json")).windows
    assert (window.query_id, window.query) == ("value-prism-7", "skating on the road.")
    assert window.prompt == "Please comment on the following situation: skating on the road."
    assert [(a.answer_id, a.text) for a in window.reasonable] == [
        ("Safety", "It is risky."),
        ("Fun", "It is fun."),
        ("Safety (2)", "Others may be hurt."),
    ]
    with pytest.raises(DatasetError, match="entry 1: has 4 values but 1 explanations"):
        load_windows(written(tmp_path, [{**row, "explanation": ["x"]}], "rows.json"))
    with pytest.raises(DatasetError, match="entry 1: 'explanation' must be a list, not 'x'"):
        load_windows(written(tmp_path, [{**row, "explanation": "x"}], "rows.json"))


def test_rows_with_one_value_each_are_gathered_by_situation(tmp_path: Path) -> None:
    rows = [
        {
            "situation": "Lying",
            "vrd": "Value",
            "text": "Honesty",
            "explanation": "Lies hurt trust.",
            "valence": "Opposes",
        },
        {"situation": "Singing", "vrd": "Joy", "label_text": "Supports", "id": 3},
        {
            "situation": "lying",
            "vrd": "Right",
            "text": "Privacy",
            "explanation": "Some lies protect.",
            "valence": "Either",
        },
    ]
    lying, singing = load_windows(written(tmp_path, rows)).windows
    assert [(a.answer_id, a.text, a.stance) for a in lying.reasonable] == [
        ("Honesty", "Lies hurt trust.", "opposes"),
        ("Privacy", "Some lies protect.", "either"),
    ]
    assert [(a.answer_id, a.text, a.stance) for a in singing.reasonable] == [("Joy", "Joy", "supports")]


def test_perspectives_are_answers_and_their_paraphrases(tmp_path: Path) -> None:
    row = {
        "claim": "Cats should go out",
        "id": 4,
        "perspectives": [
            {
                "stance": "SUPPORT",
                "paraphrases": ["Cats like it.", "cats LIKE it.", "They enjoy it."],
                "voter_counts": [1],
            },
            {"stance": "UNDERMINE", "paraphrases": ["Birds die.", "They enjoy it."]},
            {"stance": "UNDERMINE", "paraphrases": ["Cats like it."]},
        ],
    }
    (window,) = load_windows(written(tmp_path, [row])).windows
    assert window.query_id == "perspectrum-4"
    assert window.prompt is not None
    assert '"Cats should go out"' in window.prompt
    assert [(a.texts, a.stance, a.support) for a in window.reasonable] == [
        (("cats LIKE it.", "They enjoy it."), "support", None),
        (("Birds die.",), "undermine", None),
    ]
    with pytest.raises(DatasetError, match="line 1, perspective 1: lacks 'paraphrases'"):
        load_windows(written(tmp_path, [{**row, "perspectives": [{"stance": "SUPPORT"}]}]))


# -------------------------------------------------------------------------------------------------------------- Polis

COMMENTS = [
    ("0", "1", "Yes to it."),
    ("1", "1", "No to it."),
    ("2", "-1", "Buy my soap"),
    ("3", "1", "We agree."),
    ("4", "0", "?"),
]


def conversation(folder: Path, votes: list[list[str]] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "comments.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("comment-id", "moderated", "comment-body"), *COMMENTS])
    if votes is None:
        votes = [["1", "-1", "1", "1", ""]] * 6 + [["-1", "1", "1", "1", "-1"]] * 6 + [["0", "", "", "", ""]]
    groups = ["0"] * 6 + ["1"] * 6 + [""]
    with (folder / "participants-votes.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = [[str(n), group, *row] for n, (group, row) in enumerate(zip(groups, votes, strict=False))]
        csv.writer(stream).writerows([["participant", "group-id", "0", "1", "2", "3", "4"], *rows])
    return folder


def test_statements_are_answers_of_the_groups_that_hold_them(tmp_path: Path) -> None:
    found = load_windows(conversation(tmp_path / "shared-streets"))
    (window,) = found.windows
    assert found.name == "shared-streets"
    assert "shared streets" in window.query
    assert [(a.answer_id, a.text, a.stance) for a in window.reasonable] == [
        ("statement 0", "Yes to it.", "group 0"),
        ("statement 1", "No to it.", "group 1"),
        ("statement 3", "We agree.", "all groups"),
    ]
    # 6 of 13 votes: passing is a vote that does not agree.
    assert window.reasonable[0].support == pytest.approx(6 / 13)
    assert window.reasonable[0].support_by_group == (("group 0", 1.0), ("group 1", 0.0))
    assert not window.unreasonable


def test_the_topic_of_a_summary_and_the_parameters(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    (folder / "summary.csv").write_text('topic,"Streets, shared"\nurl,x\n', encoding="utf-8")
    read = read_polis_conversation(folder)
    assert read.topic == "Streets, shared"
    assert read.group_names == ("0", "1")
    assert read.groups[-1] is None
    assert read.votes[-1] == (0, None, None, None, None)
    assert [a.answer_id for a in polis_window(read, most_answers=2).reasonable] == ["statement 0", "statement 1"]
    assert polis_window(read, query="What of it?").query == "What of it?"
    with pytest.raises(DatasetError, match="no opinion group of at least 9 votes"):
        polis_window(read, least_votes=9)
    with pytest.raises(InvalidParameterError, match="'at_least' parameter of polis_window"):
        polis_window(read, at_least=2)
    with pytest.raises(InvalidParameterError, match="'query' parameter of polis_window"):
        polis_window(read, query=" ")


def test_rejected_statements_are_left_out_of_windows_and_panels_or_kept_in_both(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    note = "left out: 1 statement(s) that moderators rejected, with 12 vote(s)"
    assert note in load_windows(folder).source
    panel = read_polis(folder)
    assert note in panel.source
    assert [query.query_id for query in panel.queries] == ["0", "1", "3", "4"]
    window = polis_window(read_polis_conversation(folder), rejected="keep")
    assert "Buy my soap" in [answer.text for answer in window.reasonable]
    assert [query.query_id for query in read_polis(folder, rejected="keep").queries] == ["0", "1", "2", "3", "4"]
    for read in (lambda: read_polis(folder, rejected="all"), lambda: polis_window(window, rejected="all")):
        with pytest.raises(InvalidParameterError, match="'rejected' parameter"):
            read()


def test_columns_are_known_by_their_names(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    expected = read_polis_conversation(folder)
    path = folder / "participants-votes.csv"
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    with path.open("w", newline="", encoding="utf-8") as stream:
        heads = ["xid", "n-votes", *reversed(rows[0])]
        csv.writer(stream).writerows([heads, *([f"x{row[0]}", "3", *reversed(row)] for row in rows[1:])])
    found = read_polis_conversation(folder)
    assert found.participants == expected.participants
    assert found.groups == expected.groups
    assert [row[::-1] for row in found.votes] == list(expected.votes)


def test_a_statement_without_a_text_keeps_its_votes(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    path = folder / "comments.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("3,1,We agree.\n", ""), encoding="utf-8")
    panel = read_polis(folder)
    assert "1 statement(s) have no text" in panel.source
    assert [query.text for query in panel.queries if query.query_id == "3"] == ["statement 3"]
    assert (panel.select(queries=["3"])).n_votes == 12
    assert "statement 3" not in [answer.answer_id for answer in load_windows(folder).windows[0].reasonable]


def test_votes_one_a_row_count_with_the_last_of_each(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    (folder / "participants-votes.csv").unlink()
    rows = [
        ("9", "x", "0", "7", "-1"), ("5", "x", "0", "7", "1"), ("1", "x", "1", "8", "0"), ("2", "x", "1", "8", "1"),
        ("3", "x", "3", "7", "1"),
    ]  # fmt: skip
    with (folder / "votes.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("timestamp", "datetime", "comment-id", "voter-id", "vote"), *rows])
    found = read_polis_conversation(folder)
    assert found.participants == ("7", "8")
    assert [statement.statement_id for statement in found.statements] == ["0", "1", "3"]
    # The vote of time 9 stands before that of time 5, and counts.
    assert found.votes == ((-1, None, 1), (None, 1, None))
    assert "left out: 2 vote(s) that the same participant changed later" in read_polis(folder).source
    assert "left out: 2 statement(s) that nobody could vote on" in found.notes
    (folder / "votes.csv").write_text("comment-id,voter-id,vote\n0,7,2\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"line 2: 'vote' must be 1, -1 or 0 .* not '2'"):
        read_polis_conversation(folder)


def test_a_table_in_which_minus_one_agrees_is_an_error(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c")
    with (folder / "comments.csv").open("w", newline="", encoding="utf-8") as stream:
        heads = ("comment-id", "moderated", "comment-body", "agrees", "disagrees")
        # Six of each group: counted as the votes are, but for one that was cast later.
        counts = {"0": (6, 7), "1": (6, 6), "2": (12, 0), "3": (12, 0), "4": (0, 6)}
        csv.writer(stream).writerows([heads, *((*one, *counts[one[0]]) for one in COMMENTS)])
    assert len(read_polis_conversation(folder).votes) == 13
    path = folder / "participants-votes.csv"
    rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    turned = [[*row[:2], *({"1": "-1", "-1": "1"}.get(cell, cell) for cell in row[2:])] for row in rows[1:]]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([rows[0], *turned])
    with pytest.raises(DatasetError, match=r"-1 agrees and 1 disagrees, by the counts .* turn the sign"):
        read_polis_conversation(folder)


def test_conversations_that_are_none(tmp_path: Path) -> None:
    folder = conversation(tmp_path / "c", [["2", "", "", "", ""]])
    with pytest.raises(DatasetError, match="line 2: the vote on statement 0 must be 1, -1, 0 or empty, not '2'"):
        read_polis_conversation(folder)
    (folder / "participants-votes.csv").write_text("participant,votes\n1,2\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 1: lacks the column 'group-id'"):
        read_polis_conversation(folder)
    (folder / "participants-votes.csv").write_text("participant,group-id,77\n1,0,1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="no column is the comment-id"):
        read_polis_conversation(folder)
    (folder / "participants-votes.csv").write_text("participant,group-id,0\n1,0,1\n1,0,1\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 3: participant '1' stands twice"):
        read_polis_conversation(folder)
    (folder / "participants-votes.csv").write_text("participant,group-id,0\n1,0\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="line 2: must have 3 columns like the header, not 2"):
        read_polis_conversation(folder)
    (folder / "comments.csv").unlink()
    with pytest.raises(DatasetError, match=r"there is no comments\.csv in it"):
        read_polis_conversation(folder)


# ----------------------------------------------------------------------------------------------------------- real data


@pytest.mark.parametrize(
    ("path", "n_windows", "n_answers"),
    [
        ("overton/value_kaleidoscope_small.json.gz", 626, 4450),
        ("overton/perspectrum_600_claims.jsonl.gz", 600, 3454),
        ("steering/value_kaleidoscope_small.json.gz", 2425, 4368),
    ],
)
def test_the_files_of_the_other_projects(shared_data: Path, path: str, n_windows: int, n_answers: int) -> None:
    found = load_windows(shared_data / path)
    assert len(found.windows) == n_windows
    assert sum(len(window.reasonable) for window in found.windows) == n_answers
    assert len({window.query_id for window in found.windows}) == n_windows


@pytest.mark.whole
def test_the_conversations(shared_data: Path) -> None:
    for folder in sorted((shared_data / "jury" / "polis").iterdir()):
        read = read_polis_conversation(folder)
        assert len(read.votes) == len(read.participants)
        (window,) = load_windows(folder).windows
        # Counted a second time, from the table itself.
        with (folder / "participants-votes.csv").open(encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream))
        for answer in window.reasonable:
            cast = [row[answer.answer_id.removeprefix("statement ")] for row in table]
            votes = [vote for vote in cast if vote]
            assert answer.support == pytest.approx(votes.count("1") / len(votes))
            assert max(share for _, share in answer.support_by_group) >= 0.6


def test_each_myth_has_two_debunks_and_two_endorsements() -> None:
    from pytest_pluralism.datasets.windows.debunks import load_debunks

    found = load_debunks()
    queries = [window.query_id for window in found.windows.windows]
    assert len(queries) == len(set(queries)) == 50
    for said in (found.debunks, found.endorsements):
        assert list(said) == queries
        assert all(len(texts) == 2 for texts in said.values())
    texts = [text for said in (found.debunks, found.endorsements) for two in said.values() for text in two]
    assert len(set(texts)) == 200
    assert all(window.kind == "settled" and len(window.unreasonable) == 1 for window in found.windows.windows)
