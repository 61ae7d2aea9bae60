"""Files of recorded answers: what a row may say, how files are opened, and what is refused, with its line."""

from __future__ import annotations

import gzip
import json
import math
import os
import zipfile

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import (
    EntailmentPair,
    FullAnswerPrompt,
    GenerationSettings,
    Prompt,
    RequestName,
    RewardRequest,
    Turn,
)
from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded.ids import messages_of, prompt_id
from pytest_pluralism.models.recorded.rows import read_row
from pytest_pluralism.models.specification import parse_model_spec

OPTIONS = ("Yes", "No", "Unsure")
PROMPT = Prompt("Is it?\nA. No\nB. Unsure\nC. Yes", ("A", "B", "C"))
#: Label A stands for the second option.
NAME = RequestName("q1", OPTIONS, (1, 2, 0))
PLAIN = {"question_id": "q1", "probabilities": {"Yes": 0.5, "No": 0.3, "Unsure": 0.2}}


def recorded(tmp_path, *rows, name="answers.jsonl", spec="#mine"):
    path = tmp_path / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return load_model(f"responses:{path}{spec}")


def answer(model, prompt=PROMPT, *names):
    model.take_names([(prompt, name) for name in names or (NAME,)])
    (found,) = model.answer([prompt])
    return [round(math.exp(value), 6) for value in found.log_probabilities]


# ---------------------------------------------------------------------------------------------------- what rows say


@pytest.mark.parametrize(
    "row",
    [
        PLAIN,
        {"question_id": "q1", "probabilities": [0.5, 0.3, 0.2]},
        {"question_id": "q1", "log_probabilities": {name: math.log(p) for name, p in PLAIN["probabilities"].items()}},
        {"question_id": "q1", "samples": {"Yes": 5, "No": 3, "Unsure": 2}},
        {"query_id": "q1", "samples": [50, 30, 20]},
        {"prompt_id": prompt_id(PROMPT), "probabilities": {"A": 0.3, "B": 0.2, "C": 0.5}},
        {"custom_id": prompt_id(PROMPT), "probabilities": [0.3, 0.2, 0.5]},
        {"prompt": "Is it?\nA. No\nB. Unsure\nC. Yes\nAnswer:", "probabilities": {"A": 0.3, "B": 0.2, "C": 0.5}},
        {"messages": messages_of(PROMPT), "probabilities": {"A": 0.3, "B": 0.2, "C": 0.5}},
    ],
    ids=lambda row: "-".join(map(str, row)),
)
def test_a_row_answers_its_question_in_the_order_of_the_labels(tmp_path, row):
    assert answer(recorded(tmp_path, row)) == [0.3, 0.2, 0.5]


def test_samples_are_counted_and_shared_out_among_the_requests_of_a_question(tmp_path):
    model = recorded(tmp_path, {"question_id": "q1", "samples": {"Yes": 6, "No": 3, "Unsure": 1}, "n_drawn": 12})
    other = Prompt("Is it?\nA. Unsure\nB. Yes\nC. No", ("A", "B", "C"))
    model.take_names([(PROMPT, NAME), (other, RequestName("q1", OPTIONS, (2, 0, 1)))])
    first, second = model.answer([PROMPT, other])
    assert first.counts == (1.5, 0.5, 3.0)
    assert second.counts == (0.5, 3.0, 1.5)
    # Ten draws stay ten, however many prompts share them.
    assert sum(first.counts) + sum(second.counts) == 10
    assert first.option_mass == pytest.approx(10 / 12)


def test_samples_can_be_shared_out_among_any_number_of_requests(tmp_path):
    model = recorded(tmp_path, {"question_id": "q1", "samples": {"Yes": 9, "No": 7, "Unsure": 4}})
    for number in range(1, 60):
        asked = Prompt(f"Is it, for the time {number}?", PROMPT.labels)
        model.take_names([(asked, NAME)])
        assert model.answer([asked])[0].n_drawn == pytest.approx(20 / number)


def test_recorded_texts_of_a_closed_question_are_counted_by_letter_and_by_option(tmp_path):
    texts = ["A. Yes", "no", "The answer is B.", "Unsure", "I would rather not say"]
    model = recorded(tmp_path, *({"question_id": "q1", "response": text} for text in texts))
    model.take_names([(PROMPT, NAME)])
    (found,) = model.answer([PROMPT])
    # Letters are those of the survey's order: A is Yes, B is No.
    assert found.counts == (2.0, 1.0, 1.0)
    assert found.option_mass == pytest.approx(0.8)
    by_id = recorded(tmp_path, *({"custom_id": prompt_id(PROMPT), "response": text} for text in ("A", "A", "C")))
    (found,) = by_id.answer([PROMPT])
    assert found.counts == (2.0, 0.0, 1.0)
    with pytest.raises(ModelError, match="none of the 1 texts about"):
        recorded(tmp_path, {"custom_id": prompt_id(PROMPT), "response": "Well"}).answer([PROMPT])


def test_likeliest_tokens_give_bounds_where_a_label_is_not_among_them(tmp_path):
    tokens = {" A": math.log(0.5), "A": math.log(0.1), " B": math.log(0.3), " the": math.log(0.05)}
    row = {"custom_id": prompt_id(PROMPT), "top_log_probabilities": tokens}
    (found,) = recorded(tmp_path, row).answer([PROMPT])
    assert found.bounds[0][0] == pytest.approx(0.6)
    assert found.bounds[2][0] == 0.0
    assert 0.0 < found.bounds[2][1] <= 0.06


def test_steered_answers_are_found_by_attribute_and_context(tmp_path):
    rows = [
        PLAIN,
        {"question_id": "q1", "population": "Japan", "probabilities": {"Yes": 0.1, "No": 0.9, "Unsure": 0}},
        {"question_id": "q1", "steering": "France", "context": "essay", "probabilities": [1, 0, 0]},
    ]
    model = recorded(tmp_path, *rows)
    assert answer(model, PROMPT, NAME) == [0.3, 0.2, 0.5]
    steered = Prompt("You live in Japan. Is it?", ("A", "B", "C"))
    assert answer(model, steered, RequestName("q1", OPTIONS, (1, 2, 0), "Japan", "instruction")) == [0.9, 0.0, 0.1]
    essay = Prompt("Write. Is it?", ("A", "B", "C"))
    assert answer(model, essay, RequestName("q1", OPTIONS, (0, 1, 2), "France", "essay")) == [1.0, 0.0, 0.0]
    # With two contexts of one attribute, a row without a context answers neither.
    model.take_names([(steered, RequestName("q1", OPTIONS, (1, 2, 0), "Japan", "essay"))])
    with pytest.raises(ModelError, match="no row for 1 of 1 requests: q1 steered to Japan"):
        model.answer([steered])


def test_texts_come_by_query_and_by_id_with_their_draws(tmp_path):
    how, prompt = GenerationSettings(100, seed=3), Prompt("Tipping?", (), cue="")
    model = recorded(tmp_path, {"query_id": "tip", "response": "One"}, {"query_id": "tip", "response": "Two"})
    model.take_names([(prompt, RequestName("tip"))])
    ((first, second),) = model.generate([prompt], how, n_draws=2)
    assert (first.text, first.draw, second.text, second.draw) == ("One", 0, "Two", 1)
    with pytest.raises(ModelError, match="2 texts about 'tip', and 3 are wanted"):
        model.generate([prompt], how, n_draws=3)
    key = prompt_id(prompt, how)
    rows = [{"custom_id": key, "response": text, "draw": draw} for draw, text in ((1, "Two"), (0, "One"))]
    ((first, _),) = recorded(tmp_path, *rows).generate([prompt], how, n_draws=2)
    assert first.text == "One"
    with pytest.raises(ModelError, match="no row"):
        recorded(tmp_path, *rows).generate([prompt], GenerationSettings(200, seed=3), n_draws=2)


def test_whole_answers_entailment_and_rewards(tmp_path):
    asked = FullAnswerPrompt(PROMPT, OPTIONS)
    pair, reward = EntailmentPair("It rains.", "It is wet."), RewardRequest("q", "r", "calm")
    rows = [
        {"prompt_id": prompt_id(asked), "log_likelihoods": [-1.0, -2.0, -3.5], "neutral_log_likelihoods": [-2, -2, -2]},
        {"prompt_id": prompt_id(pair), "entailment": 0.9, "neutral": 0.1, "contradiction": 0.0},
        {"prompt_id": prompt_id(reward), "reward": -1.5},
    ]
    model = recorded(tmp_path, *rows)
    (scores,) = model.score_answers([asked])
    assert scores.log_likelihoods == (-1.0, -2.0, -3.5)
    assert scores.n_bytes == (3, 2, 6)
    (entailed,) = model.entail([pair])
    assert (entailed.entailment, entailed.neutral) == (0.9, 0.1)
    assert model.reward([reward]) == [-1.5]


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"question_id": "q1", "probabilities": {"Yes": 0.8, "No": 0.5, "Unsure": 0}}, "sum to 1.3"),
        ({"question_id": "q1", "probabilities": {"Yes": -0.1, "No": 0.5, "Unsure": 0}}, "outside of"),
        ({"question_id": "q1", "probabilities": {"Yes": 0, "No": 0, "Unsure": 0}}, "all 0"),
        ({"question_id": "q1", "probabilities": {"Yes": None, "No": 0.5}}, "must be a number"),
        ({"question_id": "q1", "probabilities": {"Yes": True, "No": 0}}, "must be a number"),
        ({"question_id": "q1", "probabilities": {}}, "neither an object"),
        ({"question_id": "q1", "log_probabilities": {"Yes": 0.5, "No": -1}}, "above 0"),
        ({"question_id": "q1", "log_probabilities": {"Yes": -0.1, "No": -0.1}}, "sum to 1.81"),
        ({"question_id": "q1", "samples": {"Yes": 1.5, "No": 1}}, "not counts"),
        ({"question_id": "q1", "samples": {"Yes": 5, "No": 1}, "n_drawn": 3}, "samples that sum to 6"),
        ({"question_id": "q1", "log_likelihoods": [-3.0, 5.0]}, "log_likelihoods above 0"),
        ({"query_id": "w1", "responses": ["one", "two"], "draw": 0}, "one draw for several 'responses'"),
        ({"question_id": "q1", "probabilites": {"Yes": 1}}, "Did you mean 'probabilities'"),
        ({"question_id": "q1"}, "must have an answer"),
        ({"probabilities": [1, 0, 0]}, "the name of what it answers"),
        ({"question_id": "q1", "query_id": "q1", "response": "x"}, "Got 'question_id' and 'query_id'"),
        ({"question_id": "q1", "response": "x", "draw": -1}, "whole number from 0"),
        ({"question_id": "q1", "response": "x", "population": "A", "steering": "B"}, "Name one of them"),
        ({"question_id": "q1", "response": 3}, "not a text"),
        ({"question_id": "q1", "error": "rate limit", "response": "x"}, "holds an error"),
        ({"prompt_id": "e-1", "entailment": 1.5}, "must be a probability"),
        ({"messages": "hello", "response": "x"}, "role and content"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path, row, why):
    with pytest.raises(ModelError, match=why) as caught:
        recorded(tmp_path, PLAIN, row)
    assert "line 2" in str(caught.value)


def test_not_a_number_and_doubled_names_are_refused_with_their_line(tmp_path):
    path = tmp_path / "odd.jsonl"
    for text, why in [
        ('{"question_id": "q1", "probabilities": [NaN, 0.5]}', "must be a number"),
        ('{"question_id": "q1", "probabilities": {"Yes": 0.5, "Yes": 0.5}}', "'Yes' twice"),
        ('{"question_id": "q1", "probabilities": [0.5', "cut off"),
        ("[1, 2]", "JSON object"),
        ("\x00\x01", "not JSON"),
        ("{" * 100_000, "not JSON"),
    ]:
        path.write_text(f"{json.dumps(PLAIN)}\n{text}\n", encoding="utf-8")
        with pytest.raises(ModelError, match=why) as caught:
            load_model(f"responses:{path}#mine")
        assert "line 2" in str(caught.value)


def test_options_that_are_missing_or_unknown_are_refused(tmp_path):
    for given, why in [
        ({"Yes": 0.5, "No": 0.5}, "lacks 'Unsure'"),
        ({"Yes": 0.5, "No": 0.5, "Unsure": 0, "Maybe": 0}, "has 'Maybe', which is not an option"),
        ({"Yes": 0.5, "No": 0.3, "Not sure": 0.2}, "meant to be 'Unsure'"),
        ([0.5, 0.5], "has 2 numbers, and the question has 3 options"),
    ]:
        with pytest.raises(ModelError, match=why):
            answer(recorded(tmp_path, {"question_id": "q1", "probabilities": given}))


def test_mass_off_the_options_is_the_option_mass(tmp_path):
    model = recorded(tmp_path, {"question_id": "q1", "probabilities": {"Yes": 0.2, "No": 0.1, "Unsure": 0}})
    model.take_names([(PROMPT, NAME)])
    assert model.answer([PROMPT])[0].option_mass == pytest.approx(0.3)


def test_rows_that_are_missing_are_named_and_the_others_are_passed_on(tmp_path):
    model = recorded(tmp_path, PLAIN)
    other = Prompt("And now?", ("A", "B", "C"))
    model.take_names([(PROMPT, NAME), (other, RequestName("q2", OPTIONS, (0, 1, 2)))])
    passed = []
    with pytest.raises(ModelError, match=r"no row for 1 of 2 requests: q2\. Record them"):
        model.answer([other, PROMPT], receive=passed.extend)
    assert [prompt for prompt, _ in passed] == [PROMPT]


def test_two_rows_about_one_question_are_refused(tmp_path):
    with pytest.raises(ModelError, match="two rows about 'q1'"):
        recorded(tmp_path, PLAIN, {"question_id": "q2", "probabilities": [1, 0, 0]}, PLAIN)
    texts = [{"query_id": "q", "response": "x", "draw": draw} for draw in (0, 1, 0)]
    with pytest.raises(ModelError, match="two rows about 'q' and draw 0"):
        recorded(tmp_path, *texts)
    with pytest.raises(ModelError, match="two rows"):
        recorded(tmp_path, texts[0], {"query_id": "q", "response": "y"})
    both = recorded(tmp_path, PLAIN, {"prompt_id": prompt_id(PROMPT), "probabilities": [1, 0, 0]})
    both.take_names([(PROMPT, NAME)])
    with pytest.raises(ModelError, match="answer one request"):
        both.answer([PROMPT])


def test_likelihoods_are_not_taken_for_probabilities_of_letters(tmp_path):
    model = recorded(tmp_path, {"question_id": "q1", "log_likelihoods": {"Yes": -1.0, "No": -2.0, "Unsure": -3.0}})
    with pytest.raises(ModelError, match="scoring='sum'"):
        answer(model)


def test_rows_that_nobody_asked_for_are_counted(tmp_path):
    model = recorded(tmp_path, PLAIN, {"question_id": "q9", "probabilities": [1, 0, 0]})
    answer(model)
    model.close()
    assert model.unused_note() == "1 of 2 rows of answers.jsonl answer nothing that this run asked (first: q9)"


# ------------------------------------------------------------------------------------------------------------- files


def test_the_name_of_the_model(tmp_path):
    header = {"model": {"name": "my-model", "revision": "v1", "dtype": "bfloat16"}}
    model = recorded(tmp_path, header, PLAIN, spec="")
    assert (model.identity.name, model.identity.dtype) == ("my-model", "bfloat16")
    assert model.identity.parts == {"revision": "v1"}
    assert len(model.recording) == 1
    assert recorded(tmp_path, header, PLAIN).identity.name == "mine"
    with pytest.raises(ModelError, match="does not name the model that was recorded"):
        recorded(tmp_path, PLAIN, spec="")
    with pytest.raises(ModelError, match="unknown field 'nme'"):
        recorded(tmp_path, {"model": {"nme": "x"}}, PLAIN, spec="")
    with pytest.raises(ModelError, match=r"There is no file .*answers\.json'.*Nearest: .*answers\.jsonl"):
        parse_model_spec(f"responses:{tmp_path / 'answers.json'}#x")
    odd = tmp_path / "a#b.jsonl"
    odd.write_text(f"{json.dumps(header)}\n{json.dumps(PLAIN)}\n", encoding="utf-8")
    assert parse_model_spec(f"responses:{odd}").name == "my-model"


def test_the_same_rows_in_every_container_give_the_same_answers(tmp_path):
    lines = "".join(f"{json.dumps(row)}\n" for row in (PLAIN, {"question_id": "q2", "samples": [1, 2, 3]})).encode()
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "a.json").write_text(json.dumps([json.loads(line) for line in lines.splitlines()], indent=1))
    for name in ("a.jsonl", "a.jsonl.gz", "a.json"):
        model = load_model(f"responses:{tmp_path / name}#x")
        assert answer(model) == [0.3, 0.2, 0.5], name
        assert len(model.recording) == 2


def test_zst(tmp_path):
    zstd = pytest.importorskip("backports.zstd")
    whole = zstd.compress(f"{json.dumps(PLAIN)}\n".encode() * 1)
    (tmp_path / "a.jsonl.zst").write_bytes(whole)
    assert answer(load_model(f"responses:{tmp_path / 'a.jsonl.zst'}#x")) == [0.3, 0.2, 0.5]
    (tmp_path / "a.jsonl.zst").write_bytes(whole[:-8])
    with pytest.raises(ModelError, match="damaged or cut off"):
        load_model(f"responses:{tmp_path / 'a.jsonl.zst'}#x")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [PLAIN, {"question_id": "q2", "probabilities": {"A": 0.5, "B": 0.5}}]
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(
        {b"pytest_pluralism": json.dumps({"model": {"name": "tabled"}}).encode()}
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    model = load_model(f"responses:{tmp_path / 'a.parquet'}")
    assert model.identity.name == "tabled"
    assert answer(model) == [0.3, 0.2, 0.5]
    maps = pyarrow.table(
        {
            "question_id": ["q1"],
            "samples": pyarrow.array([[("Yes", 5), ("No", 3), ("Unsure", 2)]], pyarrow.map_(pyarrow.string(), "int64")),
        }
    )
    parquet.write_table(maps, tmp_path / "m.parquet")
    assert answer(load_model(f"responses:{tmp_path / 'm.parquet'}#x")) == [0.3, 0.2, 0.5]
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-30])
    with pytest.raises(ModelError, match="damaged"):
        load_model(f"responses:{tmp_path / 'a.parquet'}#x")


def test_the_index_of_a_large_file_is_kept_until_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pytest_pluralism.models.recorded.index.LEAST_KEPT", 1)
    rows = [{"question_id": f"q{n}", "probabilities": {"Yes": 0.5, "No": 0.3, "Unsure": 0.2}} for n in range(50)]
    assert answer(recorded(tmp_path, *rows)) == [0.3, 0.2, 0.5]
    (kept,) = (tmp_path / "cache" / "recordings").iterdir()
    # Nothing is read again, so that another reading would be seen.
    with monkeypatch.context() as patched:
        patched.setattr("pytest_pluralism.models.recorded.index.read_row", lambda content: 1 / 0)
        model = load_model(f"responses:{tmp_path / 'answers.jsonl'}#mine")
        assert len(model.recording) == 50
    assert answer(model) == [0.3, 0.2, 0.5]
    kept.write_bytes(b"PK damaged")
    assert answer(load_model(f"responses:{tmp_path / 'answers.jsonl'}#mine")) == [0.3, 0.2, 0.5]
    rows[1] = {"question_id": "q1", "probabilities": {"Yes": 0.1, "No": 0.8, "Unsure": 0.1}}
    assert answer(recorded(tmp_path, *rows)) == [0.8, 0.1, 0.1]
    rows[2] = rows[1]
    with pytest.raises(ModelError, match="two rows"):
        recorded(tmp_path, *rows)


def test_a_reading_that_is_interrupted_keeps_no_index(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pytest_pluralism.models.recorded.index.LEAST_KEPT", 1)
    rows = [{"question_id": f"q{n}", "probabilities": {"Yes": 0.5, "No": 0.3, "Unsure": 0.2}} for n in range(9)]
    seen = []

    def interrupted(content):
        seen.append(content)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return read_row(content)

    with monkeypatch.context() as patched:
        patched.setattr("pytest_pluralism.models.recorded.index.read_row", interrupted)
        with pytest.raises(KeyboardInterrupt):
            recorded(tmp_path, *rows)
    assert not list((tmp_path / "cache").rglob("*.npz"))
    assert len(recorded(tmp_path, *rows).recording) == 9


def test_an_edit_in_place_with_the_old_time_is_seen(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pytest_pluralism.models.recorded.index.LEAST_KEPT", 1)
    rows = [{"question_id": f"q{n}", "probabilities": {"Yes": 0.5, "No": 0.3, "Unsure": 0.2}} for n in range(50)]
    recorded(tmp_path, *rows)
    path = tmp_path / "answers.jsonl"
    status = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace('"q2"', '"q1"'), encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ModelError, match="two rows"):
        load_model(f"responses:{path}#mine")


def test_damaged_and_hostile_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(PLAIN)}\n".encode() * 2000)[:-20])
    with pytest.raises(ModelError, match="damaged or cut off"):
        load_model(f"responses:{path}#x")
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="holds no rows"):
        load_model(f"responses:{path}#x")
    with zipfile.ZipFile(tmp_path / "a.eval", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    with pytest.raises(ModelError, match="holds no rows"):
        load_model(f"responses:{tmp_path / 'a.eval'}#x")
    monkeypatch.setattr("pytest_pluralism.models.recorded.opening.MOST_LINE", 200)
    with pytest.raises(ModelError, match="line 2: the line has more than 200 bytes"):
        recorded(tmp_path, PLAIN, {"query_id": "q", "response": "x" * 300})
    monkeypatch.setattr("pytest_pluralism.models.recorded.opening.MOST_BYTES", 100)
    path.write_bytes(gzip.compress(f"{json.dumps(PLAIN)}\n".encode() * 20))
    with pytest.raises(ModelError, match="more than 100 bytes after decompression"):
        load_model(f"responses:{path}#x")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_blanks_around_a_member_of_an_archive_are_read_over(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(2):
            row = json.dumps({"question_id": f"q{number}", "probabilities": {"Yes": 0.5, "No": 0.3, "Unsure": 0.2}})
            archive.writestr(f"samples/{number}.json", f"\n  {row}\n\n")
    assert answer(load_model(f"responses:{path}#mine"), PROMPT) == [0.3, 0.2, 0.5]


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="There is no file"):
        parse_model_spec(f"responses:{tmp_path / 'pipe'}#x")


def test_ids_are_those_of_the_request_alone():
    assert prompt_id(PROMPT) == prompt_id(Prompt(PROMPT.question, PROMPT.labels))
    assert prompt_id(PROMPT) != prompt_id(Prompt(PROMPT.question, PROMPT.labels, examples=(Turn("a", "b"),)))
    assert prompt_id(PROMPT, GenerationSettings(5)) != prompt_id(PROMPT, GenerationSettings(6))
    assert len(prompt_id(PROMPT)) <= 64
