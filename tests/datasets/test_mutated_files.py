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
from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.records import Answer, Prompt
from pytest_pluralism.datasets import load_panel, load_survey, load_windows
from pytest_pluralism.datasets.preferences.file import load_preferences
from pytest_pluralism.datasets.steering.file import load_steering
from pytest_pluralism.datasets.steering.labels import read_labels
from pytest_pluralism.datasets.steering.trade_offs import load_trade_offs
from pytest_pluralism.datasets.windows.representation import read_ratings
from pytest_pluralism.datasets.windows.responses import read_responses
from pytest_pluralism.models.answers.kinds import ANSWERS
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.calibration import read_judges
from pytest_pluralism.models.composed.reading import read_composition
from pytest_pluralism.models.embedded import GgufSource
from pytest_pluralism.models.local.gguf import read_header, read_vocabulary
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.recorded.model import load_recorded

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


def tried(folder: Path, name: str, seed: int) -> bool:
    """Return whether a mutated file was read; it was refused otherwise."""
    text, load = FILES[name]
    chance = random.Random(f"{name} {seed}")
    content = mutated(name, text, chance)
    path = folder / f"{seed}-{name}"
    plain = ("baseline", "judges", "mixture", "modular", "header", "answers")
    if chance.random() < 0.1 and not name.startswith(plain):
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
    each = -(-2000 // len(FILES))
    found = [tried(tmp_path, name, seed) for seed in range(each)]
    assert found.count(False) > each // 10
    # Kilobytes on Linux, bytes on macOS.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < (1 << 30 if sys.platform == "darwin" else 1 << 20)
