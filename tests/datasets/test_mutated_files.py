"""Mutated files of every kind are read or refused with a sentence, in bounded time and memory.

The quick suite takes a few mutations of each kind; ``slow`` takes two thousand in all.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
import resource
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.baselines.store import read_baseline
from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import DatasetError, PluralismError
from pytest_pluralism.core.records import Answer, Prompt, Turn
from pytest_pluralism.datasets import load_panel, load_survey, load_windows
from pytest_pluralism.datasets.kinds import taken_for
from pytest_pluralism.datasets.preferences.file import load_preferences
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.datasets.steering.labels import read_labels
from pytest_pluralism.datasets.steering.trade_offs import load_trade_offs
from pytest_pluralism.datasets.surveys.answer_keys import read_answer_key
from pytest_pluralism.datasets.windows.representation import read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses
from pytest_pluralism.evaluation.steering.contexts import steer_prompt
from pytest_pluralism.models.answers.kinds import ANSWERS
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.calibration import read_judges
from pytest_pluralism.models.composed.reading import read_composition
from pytest_pluralism.models.embedded import GgufSource
from pytest_pluralism.models.local.adapters import described_model
from pytest_pluralism.models.local.gguf import read_header, read_vocabulary
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.recorded.model import load_recorded
from pytest_pluralism.models.specification import parse_model_spec

#: Values that stand where another was.
JUNK = (None, -1, 0, 1.5, "x", "", [], {}, True, [None], {"a": None}, 1e308, "\u202e", [[1]], "NaN", 10**400, "\ud800")

#: Bytes that are put somewhere.
BYTES = (
    b"\x00",
    b"\xff\xfe",
    b'"',
    b"{",
    b"]",
    b",",
    b"\n",
    b"\t",
    b"1e999",
    b"\\ud800",
    b"'",
    b";",
    b"[" * 3000,
    b"a" * 99_999,
)

DISTRIBUTIONS = [{"population": p, "probabilities": [0.25, 0.75], "n_respondents": 90} for p in ("North", "South")]
QUESTIONS = [
    {"question_id": f"q{n}", "question": f"Is it {n}?", "options": ["Yes", "No"], "distributions": DISTRIBUTIONS}
    for n in range(4)
]
VOTES = [{"juror": f"j{n}", "query": q, "utility": 0.25} for n in range(3) for q in ("bus", "tram")]
ATTRIBUTE = {"attribute": "North", "who": "someone from the north"}
STEERED = [
    {"question_id": f"q{n}", "question": "So?", "options": ["Yes", "No"], "answers": {"North": "Yes"}} for n in "ab"
]
WINDOW = [
    {
        "query_id": q,
        "query": "May one?",
        "reasonable": [{"answer_id": "a", "text": "Yes."}, {"answer_id": "b", "text": "No."}],
    }
    for q in ("tips", "dogs")
]
RECORDED = [
    {"model": {"name": "big"}},
    {"question_id": "q1", "probabilities": {"Yes": 0.5, "No": 0.5}},
    {"question_id": "q2", "samples": {"Yes": 3, "No": 1}},
    {"query_id": "tips", "response": "It depends.", "draw": 0},
]
CALIBRATION = Path(__file__).parents[2] / "fixtures" / "models" / "nli-minilm" / "judge_calibration.json"
BASELINE = Path(__file__).parents[1] / "baselines" / "version_1.json"


HARNESS = [
    {
        "doc_id": n, "doc": {"question_id": f"q{n}"}, "target": "0",
        "arguments": {"gen_args_0": {"arg_0": "So?", "arg_1": " Yes"}, "gen_args_1": {"arg_0": "So?", "arg_1": " No"}},
        "resps": [[["-0.9", "False"]], [["-1.2", "False"]]], "filtered_resps": [["-0.9", "False"], ["-1.2", "False"]],
    }
    for n in range(3)
]  # fmt: skip
DRAWN = [
    {
        "doc_id": 0,
        "doc": {},
        "arguments": [["So?", {"until": ["."]}]],
        "resps": [["Yes", "No"]],
        "filtered_resps": ["Yes"],
    }
]
TOP = {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "A", "logprob": -0.5}]}]}
CHOICE = {"message": {"role": "assistant", "content": "ANSWER: A"}, "stop_reason": "stop"}
INSPECTED = {
    "version": 2, "status": "success", "eval": {"task": "town"},
    "samples": [
        {"id": f"q{n}", "epoch": 1, "input": "So?", "output": {"choices": [{**CHOICE, "logprobs": top}]}}
        for n, top in enumerate((None, TOP, TOP))
    ],
}  # fmt: skip
HELM = [
    {"instance_id": "id1", "train_trial_index": 0,
     "stats": [{"name": {"name": "predicted_index", "split": "test"}, "count": 1, "sum": 1, "mean": 1.0}]}
]  # fmt: skip
BATCH = [
    {
        "custom_id": "a-1",
        "response": {"status_code": 200, "body": {"choices": [{"index": 0, **CHOICE, "logprobs": TOP}]}},
    },
    {"custom_id": "r-1", "response": {"status_code": 200, "body": {"choices": [{"index": 0, **CHOICE}]}}},
]


PAIRS = [
    {"persona": "ana", "description": "a gardener", "groups": {"party": "Green"}},
    *({"prompt": f"So {n}?", "chosen": "Yes.", "rejected": "No.", "persona": "ana"} for n in range(3)),
]
SAFETY = {"individual_human_scores": ["Yes", "No", "Unsure"]}
DICES = {
    "instances": [
        {"id": n, "instance": {"user_prompt": "So?", "response": "No."}, "annotations": {"safety": SAFETY}}
        for n in range(2)
    ]
}


MODULAR = (
    'main = "./main"\nmode = "steerable"\n\n[[community]]\nmodel = "./a"\nname = "a"\n\n'
    '[[community]]\nmodel = "./b"\nname = "b"\n'
)


def packed(text: str) -> bytes:
    """Return a text as GGUF files hold it."""
    return struct.pack("<Q", len(text)) + text.encode()


#: A header with a number, a text, an array of texts, one of numbers and one of arrays, and one tensor without weights.
GGUF = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 1, 5)
    + (packed("general.alignment") + struct.pack("<II", 4, 32))
    + (packed("general.name") + struct.pack("<I", 8) + packed("tiny"))
    + (packed("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + packed("a") + packed("b"))
    + (packed("tokenizer.ggml.token_type") + struct.pack("<IIQii", 9, 5, 2, 3, 1))
    + (packed("nested") + struct.pack("<IIQIQi", 9, 9, 1, 5, 1, 7))
    + (packed("weights") + struct.pack("<IQQIQ", 2, 4, 0, 0, 0))
    + b"\0" * 64
)


def header(path: Path) -> None:
    source = GgufSource(path.name, (path,))
    read_header(source)
    read_vocabulary(source)


IDENTITY = ModelIdentity(spec="./m", name="m", sha256="1c5a", dtype="float32", device="cpu")
PROMPT = Prompt("Is it raining?", labels=("Yes", "No"))


def stored(path: Path) -> None:
    folder = path.parent / f"store of {path.name}"
    folder.mkdir()
    shutil.copy(path, folder / "answers.sqlite3")
    try:
        with AnswerStore(folder) as store:
            store.lookup(ANSWERS, IDENTITY, [PROMPT])
            store.keep(ANSWERS, IDENTITY, [(PROMPT, Answer((-0.25, -1.5), 1.0, " Yes", 0.78))])
    finally:
        shutil.rmtree(folder)


def store_file() -> bytes:
    """Return a store that holds one answer."""
    with tempfile.TemporaryDirectory() as folder:
        with AnswerStore(Path(folder)) as store:
            store.keep(ANSWERS, IDENTITY, [(PROMPT, Answer((-0.25, -1.5), 1.0, " Yes", 0.78))])
        return (Path(folder) / "answers.sqlite3").read_bytes()


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def recorded(path: Path) -> None:
    load_recorded(f"responses:{path}#big").close()


TEMPLATES = [
    {"attribute": "South", "you": "you come from the south", "category": "place", "population": "North"},
    {"template": "as a voter", "place": "before", "text": "You vote as {who} does.", "joiner": " "},
    {"template": "asked", "place": "exchange", "text": "Which ({category})?\n{choices}", "answer": "{letter}"},
    {"template": "shown", "place": "examples", "n_examples": 3},
]


def steered(path: Path) -> None:
    read = load_steering(str(path))
    for template in read.templates:
        for attribute in read.attributes:
            steer_prompt(PROMPT, template, attribute, family=read.attributes, examples=[Turn("So?", "Yes")])


ANSWER_KEY = [
    {"options": ["Yes", "No"], "option": "Yes", "says": ["I want {it}."], "checks": [{"text": "Let it be."}],
     "questions": {"q0": "the bus"}},
    {"options": ["Yes", "No"], "option": "No", "says": ["{It} must go."], "questions": {"q0": "the bus"}},
    {"options": ["Yes", "No"], "option": None, "checks": ["I know neither."], "questions": {"q0": "the bus"}},
]  # fmt: skip

#: The files of a conversation.
POLIS = {
    "comments.csv": "comment-id,author-id,agrees,disagrees,moderated,comment-body\n"
    + "".join(f"{n},0,{9 + n},{3 - n},1,Statement {n} is so.\n" for n in range(3)),
    "participants-votes.csv": "participant,group-id,0,1,2\n"
    + "".join(f"{n},{n % 2},{1 if n < 9 else -1},{1 if n < 10 else -1},1\n" for n in range(12)),
    "votes.csv": "timestamp,comment-id,voter-id,vote\n"
    + "".join(f"17{n},{c},{n},{1 if n < 9 + c else -1}\n" for n in range(12) for c in range(3)),
    "summary.csv": "topic,Buses\nviews,12\n",
}


def among(files: dict[str, str], name: str, load: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Return a reader of a folder in which one file was mutated."""

    def read(path: Path) -> None:
        folder = path.parent / f"folder of {path.name}"
        folder.mkdir()
        try:
            for other, text in files.items():
                (folder / other).write_text(text, encoding="utf-8")
            shutil.copy(path, folder / name)
            load(folder)
        finally:
            shutil.rmtree(folder)

    return read


def voted(folder: Path) -> None:
    load_panel(f"polis:{folder}")


def panel_and_window(folder: Path) -> None:
    load_panel(f"polis:{folder}")
    load_windows(str(folder))


MATRIX = {name: text for name, text in POLIS.items() if name != "votes.csv"}
RAW = {name: text for name, text in POLIS.items() if name != "participants-votes.csv"}

ADAPTER = {
    "base_model_name_or_path": "base", "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"],
    "bias": "none", "modules_to_save": None, "task_type": "CAUSAL_LM", "inference_mode": True, "revision": None,
}  # fmt: skip
#: Enough of a network for its identity.
BASE = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 8, "hidden_size": 4,
    "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8,
}  # fmt: skip
WEIGHTS = struct.pack("<Q", 2) + b"{}"


def identified(path: Path, of: str) -> None:
    """Find the identity of an adapter on a network, one of whose files was mutated."""
    folder = path.parent / f"model of {path.name}"
    (folder / "base").mkdir(parents=True)
    try:
        for place, config, weights in (
            (folder, (ADAPTER, "adapter_config.json"), "adapter_model.safetensors"),
            (folder / "base", (BASE, "config.json"), "model.safetensors"),
        ):
            (place / config[1]).write_text(json.dumps(config[0]), encoding="utf-8")
            (place / weights).write_bytes(WEIGHTS)
            (place / "tokenizer_config.json").write_text("{}", encoding="utf-8")
        shutil.copy(path, folder / of)
        described_model(parse_model_spec(str(folder)))
    finally:
        shutil.rmtree(folder)


RESPONDENTS = "weight,party,trust,tax\n" + "".join(
    f"{1 + n % 3}.5,{('Green', 'Blue')[n % 2]},{n % 4},{n % 3}\n" for n in range(70)
)
SURVEY_OF = {
    "questions": {"trust": {"question": "So?", "options": {"0": "No", "1": "A bit", "2": "Yes", "3": "Fully"}}},
    "weights": "weight", "groups": ["party"], "missing": [-1], "least": 5,
}  # fmt: skip
CODEBOOK_TOML = (
    'weights = "weight"\ngroups = ["party"]\nleast = 5\n[questions.trust]\nquestion = "Do you trust?"\n'
    'options = { 0 = "No", 1 = "A bit", 2 = "Yes", 3 = "Fully" }\n'
)


def built(path: Path) -> None:
    """Build a survey of a table of respondents, by the command, or by a codebook of it."""
    table, codebook = path, path
    if "codebook" in path.name:
        table = path.with_name(f"of {path.name}.csv")
        table.write_text(RESPONDENTS, encoding="utf-8")
    else:
        codebook = path.with_name(f"of {path.name}.json")
        codebook.write_text(json.dumps(SURVEY_OF), encoding="utf-8")
    output = path.with_name("built.jsonl")
    try:
        if main(["survey", "build", str(table), f"--codebook={codebook}", "-o", str(output)]) != 0:
            raise DatasetError("refused")
    finally:
        for one in {table, codebook} - {path}:
            one.unlink()
        output.unlink(missing_ok=True)


def respondents_in(ending: str) -> bytes:
    """Return the table of respondents in another format; nothing where its package is missing."""
    from importlib.util import find_spec

    rows = [line.split(",") for line in RESPONDENTS.splitlines()]
    needed = {".xlsx": "openpyxl", ".parquet": "pyarrow"}.get(ending, "pyreadstat")
    if find_spec(needed) is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"people{ending}"
        if ending == ".xlsx":
            import openpyxl

            book = openpyxl.Workbook()
            for row in rows:
                book.active.append(row)
            book.save(path)
        elif ending == ".parquet":
            import pyarrow as pa
            from pyarrow import parquet

            columns = list(zip(*rows, strict=True))
            parquet.write_table(pa.table({column[0]: list(column[1:]) for column in columns}), path)
        else:
            import pandas as pd
            import pyreadstat

            frame = pd.DataFrame(rows[1:], columns=rows[0])
            (pyreadstat.write_sav if ending == ".sav" else pyreadstat.write_dta)(frame, str(path))
        return path.read_bytes()


#: Other people's surveys and panels, told by their columns.
SUBPOP = {
    "qkey": "Q1", "attribute": "SEX", "group": "Female", "question": "Is it?", "options": ["Yes", "No", "Refused"],
    "responses": [0.75, 0.25], "refusal_rate": 0.2, "ordinal": [1.0, 2.0],
}  # fmt: skip
OPINIONS = {
    "SAFE": {"MC_options": ["Safe", "Not safe", "Refused"], "question_text": "How safe is it?",
             "Female": {"Not safe": 30.0, "Refused": 10.0, "Safe": 60.0}, "Male": {"Not safe": 20.0, "Safe": 30.0}}
}  # fmt: skip
GLOBAL = {
    "question": "Is it so?", "selections": "defaultdict(<class 'list'>, {'Japan': [0.25, 0.75], 'Peru': [0.5, 0.5]})",
    "options": "['Yes', 'No']", "source": "GAS",
}  # fmt: skip
NOTES = "noteId\traterParticipantId\tcreatedAtMillis\tagree\thelpfulnessLevel\n" + "".join(
    f"{n % 2}\tA{n}\t1\t1\t{('HELPFUL', 'NOT_HELPFUL')[n % 2]}\n" for n in range(6)
)
UTTERANCES = [
    {"utterance_id": f"ut{n}", "interaction_id": "int1", "conversation_id": "c1", "user_id": "user1", "turn": 0,
     "within_turn_id": n, "user_prompt": "Hello?", "model_response": f"Hello {n}!", "model_name": "m", "score": 9 + n,
     "if_chosen": n == 1} for n in range(2)
]  # fmt: skip


def checked(path: Path) -> None:
    taken_for(path).load()


#: The good files, and their readers.
FILES: dict[str, tuple[str | bytes, Callable[[Path], Any]]] = {
    "survey.jsonl": (lines(QUESTIONS), load_survey),
    "survey.json": (json.dumps(QUESTIONS), load_survey),
    "survey.csv": (
        "question_id,question,option,population,probability\n"
        + "".join(f"q{n},Is it {n}?,{o},North,{p}\n" for n in range(4) for o, p in (("Yes", 0.25), ("No", 0.75))),
        load_survey,
    ),
    "crosstab.csv": ("question,option,North,South\n" + "q?,Yes,75,25\nq?,No,25,75\n", load_survey),
    "panel.jsonl": (lines([*({"juror": f"j{n}", "group": "old"} for n in range(3)), *VOTES]), load_panel),
    "panel.tsv": ("juror\tquery\tutility\n" + "".join(f"j{n}\tbus\t0.{n}\n" for n in range(5)), load_panel),
    "wide.csv": ("juror,group,bus,tram\n" + "".join(f"j{n},old,0.{n},0.5\n" for n in range(5)), load_panel),
    "windows.jsonl": (lines(WINDOW), load_windows),
    "steering.jsonl": (lines([ATTRIBUTE, *STEERED]), lambda path: load_steering(str(path))),
    "trade_offs.jsonl": (
        (Path(__file__).parents[2] / "fixtures" / "trade_offs.jsonl")
        .read_text(encoding="utf-8")[:4000]
        .rpartition("\n")[0],
        load_trade_offs,
    ),
    "labels.csv": ("attribute,question_id,response,label\nNorth,q,So.,1\nNorth,r,No.,0\n", read_labels),
    "ratings.csv": ("question_id,cluster,rating\nq,old,4\nq,young,2\n", read_ratings),
    "said.jsonl": (lines([{"query_id": "tips", "response": f"So {n}."} for n in range(4)]), read_responses),
    "recorded.jsonl": (lines(RECORDED), recorded),
    "harness.jsonl": (lines(HARNESS), recorded),
    "drawn.jsonl": (lines(DRAWN), recorded),
    "inspected.json": (json.dumps(INSPECTED, indent=1), recorded),
    "helm.json": (json.dumps(HELM, indent=1), recorded),
    "batch.jsonl": (lines(BATCH), recorded),
    "judges.json": (CALIBRATION.read_text(encoding="utf-8"), read_judges),
    "mixture.toml": (
        '[[part]]\nmodel = "./a"\nweight = 0.5\n\n[[part]]\nmodel = "./b"\nweight = 0.5\n',
        lambda path: read_composition(path, "mixture"),
    ),
    "modular.toml": (MODULAR, lambda path: read_composition(path, "modular")),
    "pairs.jsonl": (lines(PAIRS), load_preferences),
    "personas.jsonl": (lines(PAIRS), lambda path: load_panel(f"preferences:{path}")),
    "dices.json": (json.dumps(DICES, indent=1), lambda path: load_panel(f"dices:{path}")),
    "templates.jsonl": (lines([ATTRIBUTE, *TEMPLATES, *STEERED]), steered),
    "answer_key.jsonl": (lines(ANSWER_KEY), read_answer_key),
    **{
        f"polis_{kind}_{name}": (text, among(files, name, panel_and_window if kind == "matrix" else voted))
        for kind, files in (("matrix", MATRIX), ("raw", RAW))
        for name, text in files.items()
    },
    "adapter_config.json": (json.dumps(ADAPTER, indent=1), lambda path: identified(path, "adapter_config.json")),
    "config.json": (json.dumps(BASE, indent=1), lambda path: identified(path, "base/config.json")),
    "respondents.csv": (RESPONDENTS, built),
    "respondents.tsv": (RESPONDENTS.replace(",", "\t"), built),
    **{f"respondents{ending}": (respondents_in(ending), built) for ending in (".xlsx", ".parquet", ".sav", ".dta")},
    "codebook.json": (json.dumps(SURVEY_OF, indent=1), built),
    "codebook.toml": (CODEBOOK_TOML, built),
    "subpop.jsonl": (lines([SUBPOP, {**SUBPOP, "group": "Male"}]), checked),
    "opinions.json": (json.dumps(OPINIONS, indent=1), checked),
    "global.jsonl": (lines([GLOBAL]), checked),
    "notes.tsv": (NOTES, checked),
    "utterances.jsonl": (lines(UTTERANCES), checked),
    "header.gguf": (GGUF, header),
    "answers.sqlite3": (store_file(), stored),
    "baseline.json": (BASELINE.read_text(encoding="utf-8"), lambda path: read_baseline(path, None, update="pytest")),
}


def mutated(name: str, text: str | bytes, chance: random.Random) -> bytes:
    """Return the text of a file with one to three parts gone, doubled or replaced."""
    if isinstance(text, str) and name.endswith((".jsonl", ".json")) and chance.random() < 0.6:
        rows = [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else [json.loads(text)]
        for _ in range(chance.choice((1, 1, 2, 3))):
            _mutate(chance.choice(rows), chance)
        return "\n".join(map(json.dumps, rows)).encode()
    content = bytearray(text.encode() if isinstance(text, str) else text)
    for _ in range(chance.choice((1, 1, 2, 3))):
        place, end = sorted(chance.choices(range(len(content) + 1), k=2))
        kind = chance.randrange(6)
        if kind == 0:
            del content[place:end]
        elif kind == 1:
            content[place:place] = content[place:end] * chance.choice((1, 3, 200))
        elif kind == 2:
            content[place:place] = chance.choice(BYTES)
        elif kind == 3 and place < len(content):
            content[place] ^= 1 << chance.randrange(8)
        elif kind == 4:
            del content[end:]
        else:
            content = content.replace(b"0", chance.choice((b"-0", b"1e9", b"nan", b"", b"0x1", b"\xd9\xa3")), 2)
    return bytes(content)


def _mutate(value: Any, chance: random.Random) -> None:
    """Damage one part of some JSON, deep or shallow."""
    while True:
        names = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not names:
            return
        name = chance.choice(names)
        if isinstance(value[name], (dict, list)) and value[name] and chance.random() < 0.6:
            value = value[name]
            continue
        kind = chance.random()
        if kind < 0.3:
            del value[name]
        elif kind < 0.4 and isinstance(value, list):
            value.append(copy.deepcopy(value[name]))
        elif kind < 0.5 and isinstance(value, dict):
            value[chance.choice(("x", "", "\u200b", "weight"))] = value.pop(name)
        else:
            value[name] = copy.deepcopy(chance.choice(JUNK))
        return


#: Files that are never packed.
UNPACKED = {
    "baseline.json", "judges.json", "mixture.toml", "modular.toml", "header.gguf", "answers.sqlite3", "codebook.json",
    "codebook.toml", "adapter_config.json", "config.json", *(name for name in FILES if name.startswith("polis_")),
    *(f"respondents{ending}" for ending in (".xlsx", ".parquet", ".sav", ".dta")),
}  # fmt: skip


#: Files that are hardly ever refused: a text that may say anything, and a store that is set aside.
UNREFUSED = {"polis_matrix_summary.csv", "polis_raw_summary.csv", "answers.sqlite3"}


def tried(folder: Path, name: str, seed: int) -> bool:
    """Return whether a mutated file was read; it was refused otherwise."""
    text, load = FILES[name]
    chance = random.Random(f"{name} {seed}")
    content = mutated(name, text, chance)
    path = folder / f"{seed}-{name}"
    if chance.random() < 0.1 and name not in UNPACKED:
        path = path.with_name(path.name + ".gz")
        content = gzip.compress(content)[: None if chance.random() < 0.5 else -chance.randrange(1, 20)]
    path.write_bytes(content)
    begun = time.process_time()
    try:
        load(path)
    except PluralismError:
        return False
    finally:
        path.unlink(missing_ok=True)
        assert time.process_time() - begun < 10, (name, seed)
    return True


@pytest.mark.parametrize("name", FILES)
def test_the_good_file_is_read_and_some_mutations_end_well(tmp_path: Path, name: str) -> None:
    text, load = FILES[name]
    if not text:
        pytest.skip(f"the package that writes {name} is not installed")
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    load(tmp_path / name)
    for seed in range(12):
        tried(tmp_path, name, seed)


def test_bombs_in_the_header_of_a_gguf_file_are_damage(tmp_path: Path) -> None:
    nested = packed("deep") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 20_000
    axes = packed("wide") + struct.pack("<I", 100_000) + b"\xff" * 800_000
    for counts, rest, words in (((0, 1), nested, "damaged"), ((1, 0), axes, "100,000 axes")):
        path = tmp_path / "bomb.gguf"
        path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, *counts) + rest)
        begun = time.process_time()
        with pytest.raises(PluralismError, match=words):
            read_header(GgufSource("bomb", (path,)))
        assert time.process_time() - begun < 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_two_thousand_mutations_end_well(tmp_path: Path, name: str) -> None:
    if not FILES[name][0]:
        pytest.skip(f"the package that writes {name} is not installed")
    each = -(-2000 // len(FILES))
    found = [tried(tmp_path, name, seed) for seed in range(each)]
    if name not in UNREFUSED:
        assert found.count(False) > each // 10
    # Kilobytes on Linux, bytes on macOS.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < (1 << 30 if sys.platform == "darwin" else 1 << 20)
