"""Compare the verdicts on one packaged model over all ways to ask it: here, served, recorded and in shards.

.. code-block:: console

    $ OMP_NUM_THREADS=1 python tools/compare_ways.py

Some of its promises are kept, some broken and some undecided. Prints a table in Markdown, and exits with
1 where a way gives another verdict or leaves its floor, or where one of the three outcomes is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xllamacpp

from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.models.embedded import find_embedded

ROOT = Path(__file__).resolve().parents[1]

SURVEY = ROOT / "pytest_pluralism" / "suites" / "parties" / "parties.jsonl"

SUITE = """
import pytest

@pytest.mark.js_distance("parties.jsonl", population="US adults", better_than="uniform")
def test_closer_to_the_country_than_even_answers(): ...

@pytest.mark.js_distance("parties.jsonl", population=["Democrat", "Republican"], better_than="uniform")
def test_closer_to_each_party_than_even_answers(): ...

@pytest.mark.js_distance("parties.jsonl", population="US adults", at_most=0.4)
def test_is_not_far_from_the_country(): ...

@pytest.mark.js_distance("parties.jsonl", population=["Democrat", "Republican"], at_most=0.5)
def test_is_not_far_from_a_party(): ...

@pytest.mark.js_distance("parties.jsonl", population="US adults", at_most=0.05)
def test_hardly_differs_from_the_country(): ...

@pytest.mark.answer_entropy("parties.jsonl", population="US adults", at_least=0.3)
def test_answers_vary(): ...
"""

#: Even answers keep the promises on a level, so that health checks warn of them. They are accepted here, where only the
#: agreement of the ways counts.
ACCEPTED = "".join(
    f" --pluralism-suppress-health-check={name}_would_pass" for name in ("uniform", "shuffled", "constant")
)

#: So far may the value of a question be from that of llama.cpp in this process: its server reads prompts in pieces of
#: another size, and transformers computes in float32 what llama.cpp computes in 8 bits.
FLOORS = {"transformers, float32": 0.06, "llama.cpp, server on loopback": 0.06}

#: The way that the others are compared with.
FIRST = "llama.cpp, in process"

Verdicts = dict[str, JsonFields]


def command(folder: Path, *words: str) -> None:
    """Run a Python command in a folder; 1 means that a promise is broken."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}\n{done.stderr}")


def verdicts(folder: Path, name: str) -> Verdicts:
    """Return the verdicts of a report, by test and population."""
    found = json.loads((folder / name).read_text(encoding="utf-8"))["verdicts"]
    # Node ids hold the name of the model, which each way has its own of.
    return {f"{one['nodeid'].partition('[')[0]} {one.get('population', '')}": one for one in found}


def gate(folder: Path, name: str, *options: str, answers: str = "off") -> None:
    """Run the suite in a folder, with a report."""
    command(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--pluralism-report={name}",
        f"--pluralism-answers={answers}", "--pluralism-dtype=float32", *options,
    )  # fmt: skip


@contextmanager
def served(model: str) -> Iterator[str]:
    """Serve a packaged model by llama.cpp on loopback, one request at a time."""
    wanted = xllamacpp.CommonParams()
    wanted.model.path, wanted.model_alias = str(find_embedded(model).parts[0]), {model}
    wanted.port, wanted.n_ctx, wanted.n_parallel = 0, 4096, 1
    wanted.cpuparams.n_threads, wanted.verbosity = int(os.environ.get("OMP_NUM_THREADS", "2")), -1
    server = xllamacpp.Server(wanted)
    yield server.listening_address
    del server


def all_ways(folder: Path, model: str) -> dict[str, Verdicts]:
    """Return the verdicts of the suite, by the way in which the model was asked."""
    found = {}

    def seen(way: str, report: str) -> None:
        found[way] = verdicts(folder, report)
        print(f"{way}: {len(found[way])} verdicts", file=sys.stderr, flush=True)

    local = f"--pluralism-model=llamacpp:{model}"
    gate(folder, "local.json", local)
    seen(FIRST, "local.json")
    gate(folder, "transformers.json", f"--pluralism-model=embedded:{model}", "--pluralism-gguf=transformers")
    seen("transformers, float32", "transformers.json")
    with served(model) as address:
        gate(folder, "served.json", f"--pluralism-model=endpoint:{address}#{model}", "--pluralism-batch-size=1")
    seen("llama.cpp, server on loopback", "served.json")
    # From prompts to a verdict, as the page on clusters does.
    command(folder, "-m", "pytest_pluralism.cli", "export", "-o", "prompts.jsonl")
    job = str(ROOT / "examples" / "cluster" / "answer.py")
    command(folder, job, "prompts.jsonl", "answers.jsonl", f"--model=llamacpp:{model}", f"--name={model}")
    gate(folder, "recorded.json", "--pluralism-model=responses:answers.jsonl")
    seen("exported, answered by a job, recorded", "recorded.json")
    shards = [f"shard-{number}.json" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, start=1):
        gate(folder, shard, local, f"--pluralism-shard={number}/3", answers=str(folder / "kept"))
    command(folder, "-m", "pytest_pluralism.cli", "merge", *shards, "-o", "merged.json")
    seen("three shards, merged", "merged.json")
    return found


def furthest(one: Verdicts, other: Verdicts) -> float:
    """Return by how much the value of a question differs at most."""
    return max(
        abs(a["value"] - b["value"]) for key in one for a, b in zip(one[key]["units"], other[key]["units"], strict=True)
    )


def main() -> int:
    """Print the table; return 1 where a way differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    model = parser.parse_args().model
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copy(SURVEY, folder / "parties.jsonl")
        (folder / "test_ways.py").write_text(SUITE, encoding="utf-8")
        (folder / "pytest.ini").write_text(f"[pytest]\naddopts ={ACCEPTED}\n", encoding="utf-8")
        found = all_ways(folder, model)
    first = found[FIRST]
    missing = {"passed", "failed", "inconclusive"} - {one["outcome"] for one in first.values()}
    wrong = len(missing)
    if missing:
        print(f"No promise is {' or '.join(sorted(missing))}.", file=sys.stderr)
    print("| way | outcomes | distance to the country | a question differs by at most |\n|---|---|---|---|")
    for way, here in found.items():
        if here.keys() != first.keys():
            raise SystemExit(f"{way} judged other promises: {', '.join(here.keys() ^ first.keys())}.")
        outcomes = [here[key]["outcome"] for key in first]
        country = next(one["estimate"] for key, one in here.items() if "than_even" in key and "US adults" in key)
        apart = furthest(first, here)
        wrong += outcomes != [one["outcome"] for one in first.values()] or apart > FLOORS.get(way, 1e-9)
        interval = f"{country['value']:.4f} [{country['low']:.4f}, {country['high']:.4f}]"
        print(f"| {way} | {', '.join(outcomes)} | {interval} | {apart:.1e} |")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
