"""Logs of other tools, in the exact shapes of their documentation: what is read, and what is refused."""

from __future__ import annotations

import inspect
import json
import math
import os
import subprocess
import sys
import zipfile

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import FullAnswerPrompt, GenerationSettings, Prompt, RequestName
from pytest_pluralism.models import load_model
from pytest_pluralism.models.recorded import readers
from pytest_pluralism.models.recorded.ids import prompt_id

PROMPT = Prompt("Is it?\nA. No\nB. Yes", ("A", "B"))
NAME = RequestName("q1", ("Yes", "No"), (1, 0))


def opened(path, rows, *, array=False):
    text = json.dumps(rows, indent=2) if array else "".join(f"{json.dumps(row)}\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return load_model(f"responses:{path}#logged")


def shares(model):
    model.take_names([(PROMPT, NAME)])
    (found,) = model.answer([PROMPT])
    return [round(math.exp(value), 6) for value in found.log_probabilities]


def test_each_reader_is_short():
    for reader in readers.READERS:
        own = [getattr(readers, name) for name in (reader.matches.__name__, reader.rows.__name__)]
        assert sum(len(inspect.getsource(one).splitlines()) for one in own) < 60


# ------------------------------------------------------------------------------------------------------- batches


def result(custom_id, body, *, status=200, error=None):
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}


def chat(*choices):
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": list(choices),
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }  # fmt: skip


def choice(text, index=0, logprobs=None, reason="stop"):
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}


TOP = [
    {"token": " A", "logprob": math.log(0.6), "bytes": [32, 65]},
    {"token": "B", "logprob": math.log(0.4), "bytes": [66]},
]


def test_a_batch_of_openai_with_likeliest_tokens(tmp_path):
    content = {"content": [{"token": " A", "logprob": -0.5, "bytes": [32, 65], "top_logprobs": TOP}], "refusal": None}
    model = opened(tmp_path / "out.jsonl", [result(prompt_id(PROMPT), chat(choice(" A", logprobs=content)))])
    assert shares(model) == [0.6, 0.4]


def test_a_batch_of_completions(tmp_path):
    logprobs = {
        "tokens": [" A"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{" A": math.log(0.3), " B": math.log(0.7)}],
    }
    body = {"object": "text_completion", "choices": [{"index": 0, "text": " A", "logprobs": logprobs}]}
    # vLLM writes the same envelope.
    model = opened(tmp_path / "out.jsonl", [{**result(prompt_id(PROMPT), body), "id": "vllm-1"}])
    assert shares(model) == [0.3, 0.7]


def test_a_batch_of_drawn_letters(tmp_path):
    choices = [choice(text, index) for index, text in enumerate(["A", "B. Yes", "B", "Hm"])]
    model = opened(tmp_path / "out.jsonl", [result(prompt_id(PROMPT), chat(*choices))])
    model.take_names([(PROMPT, NAME)])
    assert model.answer([PROMPT])[0].counts == (1.0, 2.0)


def test_a_batch_of_texts(tmp_path):
    how, prompt = GenerationSettings(20), Prompt("Hm?", (), cue="")
    choices = [choice("Two", 1, reason="length"), choice("One", 0)]
    model = opened(tmp_path / "out.jsonl", [result(prompt_id(prompt, how), chat(*choices))])
    ((first, second),) = model.generate([prompt], how, n_draws=2)
    assert (first.text, first.stopped_by, second.text, second.stopped_by) == ("One", "eos", "Two", "length")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"id": "x", "custom_id": "a-1", "response": None, "error": {"code": "x", "message": "no quota"}}, "no quota"),
        (result("a-1", {"error": {"message": "bad"}}, status=400), "bad"),
        (result("a-1", chat()), "holds no answer"),
        (result("a-1", chat(choice(None))), "without a text"),
    ],
    ids=["error", "status", "no choice", "no text"],
)
def test_results_without_an_answer_are_refused_with_their_line(tmp_path, row, why):
    good = result("r-1", chat(choice("x")))
    with pytest.raises(ModelError, match=why) as caught:
        opened(tmp_path / "out.jsonl", [good, row])
    assert "line 2" in str(caught.value)


# ---------------------------------------------------------------------------------------- lm-evaluation-harness


def harness(number, doc, arguments, resps, filtered):
    return {
        "doc_id": number, "doc": doc, "target": "1", "arguments": arguments, "resps": resps,
        "filtered_resps": filtered, "filter": "none", "metrics": ["acc"], "doc_hash": "0" * 64,
        "prompt_hash": "1" * 64, "target_hash": "2" * 64, "acc": 1.0,
    }  # fmt: skip


def gen_args(*continuations):
    return {f"gen_args_{i}": {"arg_0": "Is it?", "arg_1": text} for i, text in enumerate(continuations)}


def test_samples_of_lm_evaluation_harness_with_letters(tmp_path):
    values = [math.log(0.7), math.log(0.2)]
    resps = [[[str(value), "False"]] for value in values]
    filtered = [[str(value), "False"] for value in values]
    row = harness(4, {"question_id": "q1", "choices": ["Yes", "No"]}, gen_args(" A", " B"), resps, filtered)
    assert shares(opened(tmp_path / "samples_x.jsonl", [row])) == [0.2, 0.7]
    older = harness(4, {"id": "q1"}, [["Is it?", " A"], ["Is it?", " B"]], [[[v, False]] for v in values], filtered)
    assert shares(opened(tmp_path / "samples_y.jsonl", [older])) == [0.2, 0.7]


def test_samples_of_lm_evaluation_harness_with_whole_answers(tmp_path):
    row = harness(
        0, {"id": "q1"}, gen_args(" Yes", " No"), [[[-1.0, False]], [[-2.5, True]]], [[-1.0, False], [-2.5, True]]
    )
    model = opened(tmp_path / "samples.jsonl", [row])
    asked = FullAnswerPrompt(PROMPT, ("Yes", "No"))
    model.take_names([(asked, RequestName("q1", ("Yes", "No"), (0, 1)))])
    (scores,) = model.score_answers([asked])
    assert scores.log_likelihoods == (-1.0, -2.5)
    assert math.isnan(scores.neutral_log_likelihoods[0])


def test_samples_of_lm_evaluation_harness_with_texts(tmp_path):
    arguments = {"gen_args_0": {"arg_0": "Hm?", "arg_1": {"until": ["\n"], "do_sample": True}}}
    model = opened(tmp_path / "samples.jsonl", [harness(7, {"query": "Hm?"}, arguments, [["One", "Two"]], ["One"])])
    prompt = Prompt("Hm?", (), cue="")
    model.take_names([(prompt, RequestName("7"))])
    ((first, second),) = model.generate([prompt], GenerationSettings(5), n_draws=2)
    assert (first.text, second.text) == ("One", "Two")


def test_a_harness_sample_that_contradicts_itself_is_refused(tmp_path):
    row = harness(0, {"id": "q1"}, gen_args(" A", " A"), [[[-1.0, False]], [[-2.5, True]]], [])
    with pytest.raises(ModelError, match="2 likelihoods for 1 different continuations"):
        opened(tmp_path / "samples.jsonl", [row])
    row = harness(0, {"id": "q1"}, gen_args(" A", " B"), [[["nan?", False]], [[-2.5, True]]], [])
    with pytest.raises(ModelError, match="not a number"):
        opened(tmp_path / "samples.jsonl", [row])


def two_filters(**changes):
    """Return a log of a task with two filters: all documents of the first one, and all of the second one."""
    arguments = {"gen_args_0": {"arg_0": "Hm?", "arg_1": {"until": ["Q:"], "do_sample": True, "temperature": 0.7}}}
    rows = []
    for name, left in (("strict-match", "[invalid]"), ("flexible-extract", "18")):
        for number in range(3):
            row = harness(number, {"question": f"Q{number}"}, arguments, [[f"One {number}", "It is 18."]], [left])
            rows.append(row | {"filter": name, "metrics": ["exact_match"], "exact_match": float(left == "18")})
    rows[-1] |= changes
    return rows


@pytest.mark.parametrize("interleaved", [False, True])
def test_a_harness_log_with_two_filters_is_read_once(tmp_path, interleaved):
    rows = two_filters()
    rows = [rows[place] for place in (0, 3, 1, 4, 2, 5)] if interleaved else rows
    model = opened(tmp_path / "samples.jsonl", rows)
    prompt = Prompt("Hm?", (), cue="")
    model.take_names([(prompt, RequestName("2"))])
    ((first, second),) = model.generate([prompt], GenerationSettings(5), n_draws=2)
    assert (first.text, second.text) == ("One 2", "It is 18.")
    (note,) = [note for note in model.take_notes() if "filter" in note]
    assert '"strict-match" were read' in note
    assert '3 rows of "flexible-extract" repeat them' in note


def test_a_harness_log_with_likelihoods_and_two_filters_is_read_once(tmp_path):
    values = [math.log(0.7), math.log(0.2)]
    row = harness(4, {"id": "q1"}, gen_args(" A", " B"), [[[value, False]] for value in values], [])
    assert shares(opened(tmp_path / "samples.jsonl", [row, row | {"filter": "again"}])) == [0.2, 0.7]
    # Two rows of one filter are two answers, of which nobody knows the right one.
    with pytest.raises(ModelError, match="has two rows about"):
        opened(tmp_path / "samples.jsonl", [row, row])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resps": [["Another", "It is 18."]]}, 'under the filter "flexible-extract" that no row of "strict-match"'),
        ({"doc_id": 9}, 'under the filter "flexible-extract" that no row of "strict-match"'),
        ({"resps": []}, 'second filter, "flexible-extract", and has no "resps"'),
    ],
)
def test_filters_with_different_answers_are_refused_with_the_remedy(tmp_path, changes, words):
    with pytest.raises(ModelError) as error:
        opened(tmp_path / "samples.jsonl", two_filters(**changes))
    assert words in str(error.value)
    assert "line 6: the row" in str(error.value)
    assert 'Keep the rows of one filter, such as those with "filter": "strict-match"' in str(error.value)


# --------------------------------------------------------------------------------------------------- inspect_ai


def sample(name, epoch, text, logprobs=None, error=None):
    output = {"model": "m", "choices": [{"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}]}
    if logprobs is not None:
        output["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": logprobs}]}
    return {
        "id": name, "epoch": epoch, "input": "Is it?", "choices": ["Yes", "No"], "target": "A", "messages": [],
        "output": output, "scores": {}, "metadata": {}, "error": error,
    }  # fmt: skip


HEADER = {"version": 2, "status": "success", "eval": {"task": "opinions", "model": "m"}, "plan": {}, "results": {}}


def test_logs_of_inspect_as_one_document_and_as_an_archive(tmp_path):
    samples = [sample("q1", epoch, text) for epoch, text in ((1, "A"), (2, "Answer: B"), (3, [{"text": "A) Yes"}]))]
    (tmp_path / "log.json").write_text(json.dumps({**HEADER, "samples": samples}, indent=2))
    with zipfile.ZipFile(tmp_path / "log.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", json.dumps({"version": 2}))
        for one in samples:
            archive.writestr(f"samples/{one['id']}_epoch_{one['epoch']}.json", json.dumps(one))
        archive.writestr("summaries.json", "[]")
        archive.writestr("header.json", json.dumps(HEADER))
    for name in ("log.json", "log.eval"):
        model = load_model(f"responses:{tmp_path / name}#logged")
        model.take_names([(PROMPT, NAME)])
        # Letters are those of the question: A is Yes, which is the second label of the prompt.
        assert model.answer([PROMPT])[0].counts == (1.0, 2.0), name


def packed_by_zstd(path):
    """Pack the members of an archive anew as inspect_ai does: with zstd, which ``zipfile`` does not write."""
    zstd = pytest.importorskip("backports.zstd")
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, zstd.compress(content))
        places = [(one.header_offset, len(members[one.filename])) for one in archive.infolist()]
    content = bytearray(path.read_bytes())
    central = content.find(b"PK\x01\x02")
    for place, size in places:
        for start, method, whole in ((place, 8, 22), (central, 10, 24)):
            content[start + method : start + method + 2] = (93).to_bytes(2, "little")
            content[start + whole : start + whole + 4] = size.to_bytes(4, "little")
        central = content.find(b"PK\x01\x02", central + 4)
    path.write_bytes(content)


def test_an_archive_of_inspect_that_is_packed_with_zstd(tmp_path, monkeypatch):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps(HEADER))
        for epoch, text in ((1, "ANSWER: A"), (2, "ANSWER: B")):
            archive.writestr(f"samples/q1_epoch_{epoch}.json", json.dumps(sample("q1", epoch, text)))
    packed_by_zstd(path)
    with zipfile.ZipFile(path) as archive:
        assert {one.compress_type for one in archive.infolist()} == {93}
    model = load_model(f"responses:{path}#logged")
    model.take_names([(PROMPT, NAME)])
    assert model.answer([PROMPT])[0].counts == (1.0, 1.0)
    # A small file may unpack to more than any sample has.
    monkeypatch.setattr("pytest_pluralism.models.recorded.opening.MOST_LINE", 60)
    with pytest.raises(ModelError, match="more than 60 bytes"):
        load_model(f"responses:{path}#again")


def test_an_archive_that_is_packed_in_another_way_is_refused(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps(HEADER))
    path.write_bytes(path.read_bytes().replace(b"\x00\x00\x00\x00", b"\x00\x00\x61\x00", 1))
    content = bytearray(path.read_bytes())
    content[content.find(b"PK\x01\x02") + 10] = 97
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be unpacked|damaged"):
        load_model(f"responses:{path}#logged")


def test_likeliest_tokens_of_inspect(tmp_path):
    samples = [sample("q1", epoch, "A", TOP) for epoch in (1, 2)]
    (tmp_path / "log.json").write_text(json.dumps({**HEADER, "samples": samples}, indent=2))
    model = load_model(f"responses:{tmp_path / 'log.json'}#logged")
    assert shares(model) == [0.4, 0.6]


def test_a_failed_sample_of_inspect_is_refused(tmp_path):
    (tmp_path / "log.json").write_text(
        json.dumps({**HEADER, "samples": [sample("q1", 1, "", error="timeout")]}, indent=2)
    )
    with pytest.raises(ModelError, match=r"sample .q1. holds no answer.*timeout"):
        load_model(f"responses:{tmp_path / 'log.json'}#logged")


# --------------------------------------------------------------------------------------------------------- HELM


def helm(instance, trial, index, perturbation=None):
    stats = [
        {"name": {"name": name, "split": "test"}, "count": 1, "sum": value, "sum_squared": value**2, "min": value,
         "max": value, "mean": value, "variance": 0.0, "stddev": 0.0}
        for name, value in (("num_references", 2), ("exact_match", 1.0), ("predicted_index", float(index)))
    ]  # fmt: skip
    row = {"instance_id": instance, "train_trial_index": trial, "stats": stats}
    return {**row, "perturbation": perturbation} if perturbation else row


def test_per_instance_stats_of_helm(tmp_path):
    rows = [helm("q1", 0, 0), helm("q1", 1, 1), helm("q1", 2, 0), helm("q1", 0, 1, {"name": "typos"})]
    model = opened(tmp_path / "per_instance_stats.json", rows, array=True)
    model.take_names([(PROMPT, NAME)])
    assert model.answer([PROMPT])[0].counts == (1.0, 2.0)
    notes = model.take_notes()
    assert any("HELM tells only the likeliest option" in note for note in notes)
    assert any("1 entries" in note for note in notes)


def test_a_log_of_helm_without_choices_holds_no_rows(tmp_path):
    row = helm("q1", 0, 0)
    row["stats"] = row["stats"][:2]
    with pytest.raises(ModelError, match="holds no rows"):
        opened(tmp_path / "per_instance_stats.json", [row], array=True)


def state(instance, trial, *texts, **more):
    """Return an entry of a ``scenario_state.json``."""
    completions = [{"text": text, "logprob": -1.5, "tokens": [{"text": text, "logprob": -1.5}]} for text in texts]
    return {
        "instance": {
            "id": instance,
            "split": "test",
            "input": {"text": "Is it?"},
            "references": [{"output": {"text": "Yes"}, "tags": ["correct"]}, {"output": {"text": "No"}, "tags": []}],
        },
        "request_mode": None,
        "train_trial_index": trial,
        "output_mapping": {"A": "Yes", "B": "No"},
        "request": {"model": "tiny/tiny", "prompt": "Is it?", "num_completions": len(texts), "max_tokens": 1},
        "result": {"success": True, "embedding": [], "completions": completions, "cached": True},
        "num_train_instances": 3,
        "prompt_truncated": False,
        **more,
    }


def scenario(path, *states):
    """Write a file as HELM does, with indents."""
    spec = {"method": "multiple_choice_joint", "model": "tiny/tiny", "max_train_instances": 3}
    content = {"adapter_spec": spec, "request_states": list(states), "annotator_specs": []}
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return load_model(f"responses:{path}#tiny")


def test_the_texts_of_a_scenario_state_of_helm_are_counted(tmp_path):
    perturbed = state("q1", 0, " B")
    perturbed["instance"]["perturbation"] = {"name": "typos"}
    model = scenario(
        tmp_path / "scenario_state.json", state("q1", 0, " A", " B"), state("q1", 1, " A", " A"), perturbed
    )
    model.take_names([(PROMPT, NAME)])
    # The letters are those of the log's own prompt, not those of ours.
    assert model.answer([PROMPT])[0].counts == (1.0, 3.0)


def test_a_scenario_state_of_helm_without_an_answer_is_refused(tmp_path):
    failed = state("q1", 0, "A") | {"result": {"success": False, "error": "overloaded", "completions": []}}
    with pytest.raises(ModelError, match=r"of instance 'q1' holds no answer \(overloaded\)"):
        scenario(tmp_path / "scenario_state.json", failed)
    with pytest.raises(ModelError, match="multiple_choice_joint"):
        scenario(tmp_path / "scenario_state.json", state("q1", 0, "A", reference_index=1))


def test_the_display_predictions_of_helm_are_counted_by_the_option_that_they_were_mapped_to(tmp_path):
    rows = [
        {"instance_id": "q1", "train_trial_index": 0, "predicted_text": " A", "mapped_output": "Yes", "stats": {}},
        {"instance_id": "q1", "train_trial_index": 1, "predicted_text": " B", "mapped_output": "No", "stats": {}},
        {"instance_id": "q1", "train_trial_index": 2, "predicted_text": " B", "stats": {}},
        {"instance_id": "q1", "train_trial_index": 0, "predicted_text": "?", "perturbation": {"name": "typos"}},
    ]
    model = opened(tmp_path / "display_predictions.json", rows, array=True)
    model.take_names([(PROMPT, NAME)])
    assert model.answer([PROMPT])[0].n_drawn == 3.0


def test_an_unknown_log_is_refused_with_the_form_of_a_row(tmp_path):
    with pytest.raises(ModelError, match="A row is"):
        opened(tmp_path / "x.jsonl", [{"prompt": "x", "completion": "y"}])


def test_letters_in_another_order_than_the_alphabets_are_refused(tmp_path):
    def logged(*letters):
        pairs = [["Is it?", f" {letter}"] for letter in letters]
        resps = [[[math.log(0.5), False]] for _ in letters]
        row = {"doc_id": 0, "doc": {"question_id": "q1"}, "arguments": pairs, "resps": resps, "filtered_resps": []}
        return opened(tmp_path / "samples.jsonl", [row])

    # "Y" and "N" do not count anything.
    assert shares(logged("Y", "N")) == [0.5, 0.5]
    for letters in ("BA", "10"):
        with pytest.raises(ModelError, match=f"line 1: the row lists its choices as {letters[0]}, {letters[1]}"):
            logged(*letters)


@pytest.mark.parametrize(
    "row",
    [
        {"custom_id": "a-1", "response": {"status_code": 200, "body": {"choices": [3]}}},
        {"doc_id": 1, "doc": {}, "arguments": [3], "resps": []},
        {"id": "q1", "epoch": "x", "input": "", "output": {"choices": [{}]}},
        {"instance_id": "q1", "train_trial_index": 0, "stats": [{}]},
    ],
)
def test_an_entry_in_another_shape_than_its_log_is_refused_with_its_line(tmp_path, row):
    with pytest.raises(ModelError, match=r"(?s)line 1: the row is not in the shape of .*question_id"):
        opened(tmp_path / "log.jsonl", [row])


# ------------------------------------------------------------------------------------------ options as they were shown


def test_letters_stand_for_the_options_that_a_row_shows(tmp_path):
    other = {"question_id": "q1", "options": ["no", "Yes "]}
    for number, (answer, expected) in enumerate(
        [
            ({"response": "ANSWER: A"}, [1.0, 0.0]),
            ({"top_log_probabilities": {"A": math.log(0.7), "B": math.log(0.3)}}, [0.7, 0.3]),
            ({"probabilities": [0.7, 0.3]}, [0.7, 0.3]),
            ({"probabilities": {"No": 0.7, "Yes": 0.3}}, [0.7, 0.3]),
        ]
    ):
        # The labels of the prompt are No and Yes, as those of the row.
        assert shares(opened(tmp_path / f"{number}.jsonl", [{**other, **answer}])) == expected, answer


def test_other_options_than_those_of_the_question_are_refused(tmp_path):
    row = {"question_id": "q1", "response": "A", "options": ["Yes", "Never"]}
    with pytest.raises(ModelError, match=r"was shown the options 'Yes', 'Never', and the question has 'Yes', 'No'"):
        shares(opened(tmp_path / "a.jsonl", [row]))
    for wrong in ("Yes", [], ["Yes", 1], ["Yes", "yes"]):
        with pytest.raises(ModelError, match="option"):
            opened(tmp_path / "b.jsonl", [{**row, "options": wrong}])


def test_a_log_of_inspect_with_shuffled_choices_is_read_by_its_choices(tmp_path):
    # Where the choices are letters alone, they are those of the survey.
    for name, choices, counts in (
        ("a", ["Yes", "No"], (0.0, 1.0)),
        ("b", ["No", "Yes"], (1.0, 0.0)),
        ("c", ["A", "B"], (0.0, 1.0)),
    ):
        one = {**sample("q1", 1, "ANSWER: A"), "choices": choices}
        (tmp_path / f"{name}.json").write_text(json.dumps({**HEADER, "samples": [one]}, indent=2))
        model = load_model(f"responses:{tmp_path / f'{name}.json'}#logged")
        model.take_names([(PROMPT, NAME)])
        assert model.answer([PROMPT])[0].counts == counts


#: Run by inspect_ai: logs of both forms, written by its own mock model.
REAL = """
import json, sys
from inspect_ai import Task, eval as run
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice

# Counted here: else the mock model fetches a tokenizer.
usage = ModelUsage(input_tokens=9, output_tokens=3, total_tokens=12)
for form, choices in (("eval", ["Yes", "No"]), ("json", ["No", "Yes"])):
    outputs = (
        ModelOutput.from_content("mockllm/model", f"ANSWER: {letter}").model_copy(update={"usage": usage})
        for letter in "AAB"
    )
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    data = MemoryDataset([Sample(id="q1", input="Is it?", choices=choices, target="A")])
    task = Task(dataset=data, solver=multiple_choice(), scorer=choice())
    (log,) = run(task, model=model, epochs=3, max_samples=1, log_dir=form, log_format=form, display="none")
    assert log.status == "success", log.error
"""


@pytest.mark.slow
def test_logs_that_inspect_itself_wrote(tmp_path):
    python = os.environ.get("PLURALISM_INSPECT_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", "import inspect_ai"], capture_output=True)
    if found.returncode:
        pytest.skip("inspect_ai is not installed (PLURALISM_INSPECT_PYTHON names a Python that has it)")
    subprocess.run([python, "-c", REAL], cwd=tmp_path, check=True, capture_output=True)
    for form, counts in (("eval", (1.0, 2.0)), ("json", (2.0, 1.0))):
        (path,) = (tmp_path / form).glob(f"*.{form}")
        model = load_model(f"responses:{path}#logged")
        model.take_names([(PROMPT, NAME)])
        # Labels of the prompt are No and Yes; A was drawn twice, which is Yes in one log and No in the other.
        assert model.answer([PROMPT])[0].counts == counts
