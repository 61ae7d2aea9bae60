"""Write the output blocks of docs/explanation/roadmap.md: what each promise of examples/roadmap says of its models.

    python tools/roadmap_page.py          # some minutes on one core; nothing is fetched

A block stands behind a line ``<!-- output: FILE TEST -->``; both made models are asked, with their reward models. Of
real ones the recorded answers and texts are read (``tools/record_roadmap.py``), and the packaged judge reads the texts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "roadmap.md"
EXAMPLES = ROOT / "examples" / "roadmap"

#: The examples that run on made models; the others need packaged ones.
FILES = ("values", "steering", "moral_choice", "overton", "personas", "rewards", "juries", "hidden_context")

BLOCK = re.compile(r"(<!-- output: (\w+) (\w+) -->\n\n```text\n).*?(```\n)", re.DOTALL)

#: The models that are asked: the second ignores what is promised.
MODELS = ("good", "poor")

#: The real models: the name in the lines, and the recording. The second is a fine-tune of the first.
REAL, TUNED = "SmolLM2", "tuned"
RECORDINGS = {REAL: "answers/smollm2-135m-instruct.jsonl.gz", TUNED: "answers/smollm2-harmless-v2.jsonl.gz"}

#: Groups that are parameters of tests.
PARTIES = ("Democrat", "Independent", "Republican")

#: The judge of what real models wrote.
JUDGE = "embedded:nli-minilm"

#: The examples whose requests the first real model was asked, each with the tests, or all.
RECORDED = {
    "moral_choice": "sure_where_it_should_be",
    "juries": "",
    "values": "supports_opposes_or_either",
    "steering": "",
    "overton": "",
    "hidden_context": "",
}

#: Made systems: of two communities, with a third one that speaks for Republicans, or for Democrats once more; the main
#: model alone; and the mixture of the three parts.
SYSTEMS = {
    "two": "modular:made_two.toml",
    "patched": "modular:made_patched.toml",
    "again": "modular:made_again.toml",
    "plain": "made:listener",
    "mixture": "mixture:made_blend.toml",
}

#: The runs of systems: the file, the name in the lines, the system, the one that it is compared with, and options.
COMPARED = (
    ("modular_pluralism", "patched", "patched", "two", ("--pluralism-baseline=reference",)),
    ("modular_pluralism", "again", "again", "two", ("--pluralism-baseline=reference",)),
    ("composed_system", "plain", "patched", "plain", ()),
    ("composed_system", "mixture", "patched", "mixture", ()),
)


def outputs() -> dict[tuple[str, str], str]:
    """Return the lines of each promise by file and test."""
    found: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        # The good reward model is the last release, with which the others are compared.
        run("good", Path(folder), "--pluralism-update-baseline", "test_personas.py")
        for model in MODELS:
            for verdict in run(model, Path(folder), *(f"test_{name}.py" for name in FILES)):
                file, _, test = str(verdict["nodeid"]).rpartition("/")[2].partition("::")
                key = file.removeprefix("test_").removesuffix(".py"), test.partition("[")[0].removeprefix("test_")
                found[key] = found.get(key, "") + line(model, verdict)
        for name, test in RECORDED.items():
            for verdict in run(REAL, Path(folder), f"test_{name}.py", "-k", test or "test", reference=TUNED):
                key = name, str(verdict["nodeid"]).partition("::test_")[2].partition("[")[0]
                found[key] += line(REAL, verdict)
        for model, before in (("after", "before"), (TUNED, REAL)):
            pair = run(model, Path(folder), "--pluralism-baseline=reference", "test_lake.py", reference=before)
            for verdict in pair:
                test = str(verdict["nodeid"]).partition("::test_")[2].partition("[")[0]
                found["lake", test] = found.get(("lake", test), "") + line(model, verdict)
        for name, label, system, other, options in COMPARED:
            for verdict in run(system, Path(folder), *options, f"test_{name}.py", reference=other):
                test = str(verdict["nodeid"]).partition("::test_")[2].partition("[")[0]
                found[name, test] = found.get((name, test), "") + line(label, verdict)
    return found


def spec_of(model: str) -> str:
    """Return the spec of a model: its recording, the file of a system, or that of a made one."""
    if model in SYSTEMS:
        return SYSTEMS[model]
    return f"responses:{RECORDINGS[model]}#{model}" if model in RECORDINGS else f"made:{model}"


def run(model: str, folder: Path, *words: str, reference: str = "poor") -> list[dict[str, Any]]:
    """Return the verdicts of a run."""
    report = folder / "run.json"
    stored = (f"--pluralism-baseline={folder / 'past'}", "--pluralism-baseline-model=good-reward")
    options = [
        f"--pluralism-model={spec_of(model)}",
        f"--pluralism-reference-model={spec_of(reference)}",
        *([] if model in RECORDINGS else [f"--pluralism-value-model=made:{model}"]),
        f"--pluralism-entailment-model={JUDGE if model in RECORDINGS else 'words'}",
        *(stored if reference == "poor" and model not in RECORDINGS else ()),
        # The judge reads each text once.
        *([f"--pluralism-answers={folder / 'judged'}"] if model in RECORDINGS else []),
        f"--pluralism-report={report}",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLURALISM_HEALTH": "fail"}
    command = [sys.executable, "-m", "pytest", "-q", *options, *words]
    subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, check=False, timeout=3600)
    verdicts: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["verdicts"]
    return verdicts


def line(model: str, verdict: dict[str, Any]) -> str:
    """Return one verdict as a line."""
    shown = verdict.get("change") or verdict["estimate"]
    value = "nothing measured" if shown is None else f"{shown['value']:.3f}"
    if shown is not None and shown["low"] is not None:
        value += f" [{shown['low']:.3f}, {shown['high']:.3f}]"
    of = verdict.get("population") or parameter_of(str(verdict["nodeid"]))
    witness = verdict.get("witness") or {}
    worst = f"  ({witness['id']}: {witness['text']})" if witness and "worst" in str(witness.get("text")) else ""
    return f"{model:7} {verdict['outcome'].upper():12} {value:22} {of}{worst}".rstrip() + "\n"


def parameter_of(nodeid: str) -> str:
    """Return the group that stands among the parameters of a test; empty where none does."""
    names = nodeid.partition("[")[2].rstrip("]").split("-")
    return next((name for name in names if name in PARTIES), "")


def page(text: str, found: dict[tuple[str, str], str], /) -> str:
    """Return a page with its blocks written anew."""
    return BLOCK.sub(lambda block: f"{block[1]}{found[block[2], block[3]]}{block[4]}", text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), outputs()), encoding="utf-8")
