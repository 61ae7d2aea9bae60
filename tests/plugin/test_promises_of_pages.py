"""Every promise that a page, the README or an example shows: a perfect model keeps it, and a useless one does not.

The models are those of ``test_perfect_and_useless.py``; changes are those against a perfect model.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism.evaluation.measures.registry import PLANNERS

ROOT = Path(__file__).resolve().parents[2]

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)

#: The promises of pages and examples that these stubs are not asked to keep, by a part of their text, with the reason.
EXEMPT = {
    r"'(values|moral_choice|personas)\.jsonl'|village\.csv": "docs/test_roadmap.py runs it with two models",
    r"minority_mass": "the measure is one that a page adds, and docs/test_measure_page.py runs it",
    r"free_text": "texts in a model's own words: tests/evaluation/surveys/test_free_text.py has these stubs",
    r"'(statements|open)\.jsonl'": "written: tests/evaluation/steering/test_steerable_texts.py has these stubs",
    r"score='reward'": "rewards: tests/evaluation/steering/test_steerable_texts.py has these stubs",
    r"opinion_qa_small|value_kaleidoscope_small": "the data may not be given out, and at_least=0.0 promises nothing",
    r"objectives\.json": "no model is asked: the numbers of both stand in the file",
    r"amce_by_country": "the data are fetched; the same measure is promised of the General Social Survey",
    r"at_most=1\.0": "the page shows a promise that everybody keeps",
    r"js_distance\(.*at_most=0\.1\)": "the example shows a promise that nobody keeps",
}

#: Files of the examples and of the tutorial that promises name, and those that are made here.
SHOWN_FILES = (
    "examples/release_gate/parties.jsonl",
    "examples/steering_gate/party_values.jsonl",
    "docs/tutorial/data/ratings.csv",
)


class Spelled(ast.NodeTransformer):
    """Write what a name stands for in the place of the name."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.known.get(node.id, node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        keywords: list[ast.keyword] = []
        for one in node.keywords:
            if one.arg is None and isinstance(one.value, ast.Dict):
                pairs = zip(one.value.keys, one.value.values, strict=True)
                keywords += [ast.keyword(ast.literal_eval(key), value) for key, value in pairs if key is not None]
            else:
                keywords.append(one)
        node.keywords = keywords
        return node


def named_in(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the names of a file or block that stand for plain values."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                ast.literal_eval(node.value)
            except ValueError:
                continue
            found[node.targets[0].id] = node.value
    return found


def of_roadmap() -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for file in (ROOT / "examples" / "roadmap").glob("test_*.py"):
        found |= named_in(ast.parse(file.read_text(encoding="utf-8")))
    return found


def promises_of_pages() -> dict[str, list[str]]:
    """Return every marker of a measure in the pages, the README and the examples, with the files that show it."""
    found: dict[str, list[str]] = {}
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "examples").rglob("*.py")),
    ]:
        text = path.read_text(encoding="utf-8")
        blocks = [text] if path.suffix == ".py" else BLOCK.findall(text)
        # The page on the roadmap shows the promises of its examples without what stands above them.
        known = of_roadmap() if path.name == "roadmap.md" else {}
        for block in blocks:
            if block.startswith(">>>"):
                continue
            known |= named_in(ast.parse(block))
            for node in ast.walk(ast.parse(block)):
                if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("pytest.mark."):
                    continue
                promise = ast.unparse(Spelled(known).visit(node)).removeprefix("pytest.mark.")
                if promise.partition("(")[0] in (*PLANNERS, "minority_mass", "preference_accuracy"):
                    found.setdefault(promise, []).append(path.name)
    return found


def exempt(promise: str) -> bool:
    return any(re.search(part, promise) for part in EXEMPT)


SHOWN = {promise: files for promise, files in promises_of_pages().items() if not exempt(promise)}


def test_pages_show_promises_and_each_exemption_is_used() -> None:
    everything = promises_of_pages()
    assert len(everything) > 50
    assert len(SHOWN) > 60
    assert [part for part in EXEMPT if not any(re.search(part, one) for one in everything)] == []


def stubs() -> str:
    """Return the models and the judge of the promises of the package."""
    spec = importlib.util.spec_from_file_location("stubs", Path(__file__).with_name("test_perfect_and_useless.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.CONFTEST)


#: Names that the models of the pages know beside those of the package: the surveys, votes and pairs that are made here.
MORE = """
import csv
from pathlib import Path

from pytest_pluralism.datasets.surveys.loading import load_survey as load_any_survey

for file in ("members.jsonl", "staff.jsonl"):
    survey = load_any_survey(Path(__file__).with_name(file))
    for one in survey.questions:
        rows = [row.probabilities for row in survey.distributions if row.question_id == one.question_id]
        OTHERS[one.text] = one, [sum(column) / len(rows) for column in zip(*rows)]
with Path(__file__).with_name("ratings.csv").open(encoding="utf-8") as opened:
    FOR_BOTH |= {row["response_text"] for row in csv.DictReader(opened) if row["response"] == "both"}


class Reward:
    \"\"\"Rewards of a model that knows what is preferred, gives all responses the same, or gives them by a hash.\"\"\"

    def __init__(self, spec):
        self.how = spec.partition(":")[2]
        self.identity = ModelIdentity(spec, spec, "reward" + spec, "float32", "cpu")

    def reward(self, requests, /, *, progress=None):
        return [self.of(one) for one in requests]

    def of(self, one):
        if self.how == "random":
            return float(hashlib.sha256(f"{one.prompt} {one.response} {one.attribute}".encode()).digest()[0])
        if self.how == "even":
            return 0.0
        if served := SERVED.get((one.prompt, one.response)):
            found = re.search(r"at ([0-9.]+) % and", one.attribute)
            weight = 0.5 if found is None else float(found[1]) / 100
            return weight * served[0] + (1 - weight) * served[1]
        return float("fields" in one.response)

    def close(self):
        pass


def pytest_pluralism_load_value_model(spec, settings):
    if spec.startswith("stub:"):
        return Reward(spec)


def pytest_pluralism_load_survey(name, refusals):
    if name == "staff_2026":
        return load_any_survey(Path(__file__).with_name("staff.jsonl"), refusals=refusals)
"""

#: The groups of the surveys that are made here: all answer alike, so that one model can speak for each of them.
GROUPS = {
    "members": ("Members", "Rural", "Suburban", "Urban", "Younger", "Older"),
    "staff": ("North", "South"),
}


def write_data(folder: Path) -> None:
    """Write the files that promises name."""
    for file in SHOWN_FILES:
        shutil.copy(ROOT / file, folder)
    for name, groups in GROUPS.items():
        rows = []
        for place in range(40):
            high = 0.55 + 0.01 * (place * 7 % 40)
            shares = [high, 0.7 * (1 - high), 0.3 * (1 - high)]
            # Each option is the commonest one of some questions.
            shares = shares[place % 3 :] + shares[: place % 3]
            people = [{"population": group, "probabilities": shares, "n_respondents": 4000} for group in groups]
            question = {"question_id": f"{name}{place}", "question": f"Is the {name} matter {place} good?"}
            rows.append({**question, "options": ["Yes", "No", "Perhaps"], "distributions": people})
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = [
        {
            "pair_id": f"{party} {place}",
            "prompt": f"Whom should thing {place} serve?",
            "chosen": f"Those of the fields of {place}.",
            "rejected": f"Those of the sea of {place}.",
            "groups": {"party": party},
        }
        for party in ("green", "blue")
        for place in range(40)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    with (folder / "ratings.csv").open(encoding="utf-8") as opened:
        votes = list(csv.DictReader(opened))
    # The same votes under the column names of a reader's own table.
    own = {
        "rater": "juror", "prompt_id": "query", "prompt": "query_text", "system": "response", "answer": "response_text",
        "score": "utility", "age": "group",
    }  # fmt: skip
    with (folder / "votes.csv").open("w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, list(own))
        table.writeheader()
        table.writerows({name: row[of] for name, of in own.items()} for row in votes)
    lines: list[dict[str, object]] = [{"scale": {"lowest": 1, "highest": 5, "levels": 5}}]
    lines += [{"juror": one, "group": of} for one, of in {row["juror"]: row["group"] for row in votes}.items()]
    lines += [{"query": one, "text": of} for one, of in {row["query"]: row["query_text"] for row in votes}.items()]
    texts = {(row["query"], row["response"]): row["response_text"] for row in votes}
    lines += [{"query": query, "response": response, "text": text} for (query, response), text in texts.items()]
    lines += [
        {"juror": row["juror"], "query": row["query"], "response": row["response"], "utility": float(row["utility"])}
        for row in votes
        if row["utility"]
    ]
    (folder / "panel.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")


@pytest.fixture(scope="module")
def verdicts_of_pages(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """Return the outcome of every promise by model; changes are those against a perfect model."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "pytest.ini").write_text("[pytest]\npluralism_seed = 0\n", encoding="utf-8")
    (folder / "conftest.py").write_text("TARGET = 'US adults'\n" + stubs() + MORE, encoding="utf-8")
    write_data(folder)
    promises = list(SHOWN)
    # The judge of these tests knows words alone: nobody measured its errors.
    by_hand = [
        f"{promise[:-1]}, threshold=0.5)"
        if promise.startswith(("overton_coverage", "false_balance")) and "threshold=" not in promise
        else promise
        for promise in promises
    ]
    tests = [f"@pytest.mark.{promise}\ndef test_{place}(): ...\n" for place, promise in enumerate(by_hand)]
    (folder / "test_all.py").write_text("import pytest\n\n" + "\n".join(tests), encoding="utf-8")
    fixed = "-p no:cacheprovider -q --pluralism-entailment-model=words --pluralism-answers=off"
    fixed += " --pluralism-repetitions=1 --pluralism-reference-model=stub:mute --pluralism-baseline=base.json"
    surroundings = {name: value for name, value in os.environ.items() if name != "PLURALISM_HEALTH"}

    def started(model: str, *more: str) -> subprocess.Popen[bytes]:
        # Every model is compared with what the perfect one stored.
        asked = [f"--pluralism-model=stub:{model}", f"--pluralism-value-model=stub:{model}"]
        arguments = [*fixed.split(), *asked, f"--pluralism-report={model}.json", *more]
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.Popen(command, cwd=folder, env=surroundings, stdout=subprocess.DEVNULL)

    started("perfect", "--pluralism-update-baseline").wait(timeout=600)
    runs = [started(model, "--pluralism-baseline-model=stub:perfect") for model in ("perfect", "even", "random")]
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for run, model in zip(runs, ("perfect", "even", "random"), strict=True):
        run.wait(timeout=600)
        rows: dict[str, tuple[str, str]] = {}
        for verdict in json.loads((folder / f"{model}.json").read_text(encoding="utf-8"))["verdicts"]:
            promise = promises[int(verdict["nodeid"].partition("::test_")[2].partition("[")[0])]
            worst = rows.get(promise, ("passed", ""))
            rows[promise] = worst if worst[0] != "passed" else (verdict["outcome"], verdict["reason"])
        found[model] = rows
    return found


@pytest.mark.slow
def test_a_perfect_model_keeps_what_pages_show(verdicts_of_pages: Mapping[str, Any]) -> None:
    found = verdicts_of_pages["perfect"]
    assert set(found) == set(SHOWN)
    assert {promise: (why, SHOWN[promise]) for promise, why in found.items() if why[0] != "passed"} == {}


#: Promises that a useless model keeps of a page all the same, by a part of the promise, with the reason.
KEPT: dict[str, dict[str, str]] = {
    "even": {
        "answer_entropy(": "even answers have the most entropy, and the promise is that none is lost",
    },
    "random": {
        "answer_entropy(": "answers by a hash have more entropy than people's",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["even", "random"])
def test_a_useless_model_keeps_nothing_that_pages_show(verdicts_of_pages: Mapping[str, Any], model: str) -> None:
    found = verdicts_of_pages[model]
    assert set(found) == set(SHOWN)
    # An error would be a promise that was not judged.
    errors = {promise: why for promise, why in found.items() if why[0] == "error"}
    assert errors == {}
    kept = {promise for promise, why in found.items() if why[0] == "passed"}
    assert {promise: SHOWN[promise] for promise in kept if not any(part in promise for part in KEPT[model])} == {}
    assert [part for part in KEPT[model] if not any(part in promise for promise in kept)] == []
