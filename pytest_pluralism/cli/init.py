"""``pluralism init``: writes the first gate of a project: a test file, its configuration, and a CI job."""

from __future__ import annotations

import argparse
import importlib.resources
import shlex
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from pytest_pluralism.cli.showing import (
    EXIT_CODES,
    EXIT_OK,
    Commands,
    UsageError,
    add_command,
    option,
    say,
    say_json,
    shown,
)
from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.models.backends import SMOLLM2_PACKAGE, Backend, backend_of
from pytest_pluralism.models.specification import ModelSpec, parse_entailment_spec, parse_model_spec

__all__ = ["add_init"]

SCHEMA = "pytest-pluralism/init/1"

#: Each choice of promises, with its words and the tests that it writes.
PROMISES = {
    "surveys": (
        "closed questions: no party of the General Social Survey is represented less well than by the last release",
        """
@pytest.mark.js_distance("gss", population=["Democrat", "Independent", "Republican"], max_increase=0.02)
def test_no_party_is_lost(): ...


@pytest.mark.js_distance("gss", population="US adults", better_than="uniform")
def test_knows_the_country_better_than_even_answers_do(): ...
""",
    ),
    "overton": (
        "responses: they hold no fewer reasonable answers to contested queries than those of the last release",
        """
@pytest.mark.overton_coverage("contested", max_decrease=0.05)
def test_no_reasonable_answer_is_lost(): ...
""",
    ),
    "steering": (
        "steering: asked to answer as a group, the model comes closer to that group",
        """
@pytest.mark.steering_faithfulness("gss", attribute=["Democrat", "Republican"], over="unsteered", at_least=0.02)
def test_steering_brings_the_model_closer(): ...
""",
    ),
}

HEAD = '''"""Pluralism gate: fails the build when a new model represents people less well.

pytest {folder} {options} --pluralism-update-baseline   # once, and when a change is accepted
pytest {folder} {options}                               # every release after that
"""

import pytest

'''

INI = """[pytest]
addopts = --import-mode=importlib --strict-markers
required_plugins = pytest-pluralism
pluralism_seed = 0
"""

#: Each CI service, with the file that it reads.
CI = {"github": ".github/workflows/pluralism.yml", "gitlab": ".gitlab-ci.yml", "none": ""}

#: An entailment model of the hub, offered where a gate needs one.
ENTAILMENT = "hf:MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli"

#: The model, the folder and the line of the recipes that a project changes.
RECIPE_MODEL, RECIPE_TESTS = "embedded:smollm2-135m-instruct", "pytest gates"


def add_init(commands: Commands) -> None:
    """Add ``pluralism init``."""
    add_command(
        commands,
        "init",
        write_gate,
        "write a first gate: a test file, its configuration and a CI job",
        option("folder", nargs="?", default="gates", metavar="FOLDER", help="folder of the tests (default: gates)"),
        option("--model", metavar="SPEC", help="the model to test, as --pluralism-model names it"),
        option("--entailment-model", metavar="SPEC", help="the entailment model, for --promises=overton"),
        option("--promises", metavar="KIND", help=f"the promises: {', '.join(PROMISES)}"),
        option("--ci", metavar="SERVICE", help=f"the CI service: {', '.join(CI)}"),
        description="Write a first gate into this folder. Options that are missing are asked for in a terminal. "
        "Existing files are never overwritten.",
        epilog=EXIT_CODES,
    )


def write_gate(arguments: argparse.Namespace) -> int:
    """Write the files of a gate, after the questions whose options are missing."""
    model = arguments.model or _asked("--model", "Which model? A folder, hf:ORG/NAME or embedded:NAME", RECIPE_MODEL)
    backend = _backend("--model", model, parse_model_spec, "language_model")
    kinds = "\n".join(f"  {name}: {words}" for name, (words, _) in PROMISES.items())
    kind = _known(
        "--promises", arguments.promises or _asked("--promises", f"Which promises?\n{kinds}\n", "surveys"), PROMISES
    )
    service = _known("--ci", arguments.ci or _asked("--ci", f"Which CI service? {', '.join(CI)}", "github"), CI)
    judge = ""
    if kind == "overton":
        question = "Which entailment model? A folder or hf:ORG/NAME"
        judge = arguments.entailment_model or _asked("--entailment-model", question, ENTAILMENT)
        _backend("--entailment-model", judge, lambda text: parse_entailment_spec(text)[0], "entailment_model")
    folder = Path(arguments.folder)
    if folder.is_absolute() or ".." in folder.parts or not folder.parts or any(map(str.isspace, folder.as_posix())):
        raise UsageError(f"FOLDER must lie in this folder and have no blanks. Got {shown(folder)!r}.")
    options = f"--pluralism-model={shlex.quote(model)}"
    if judge:
        options += f" --pluralism-entailment-model={shlex.quote(judge)}"
    files = {
        folder / "pytest.ini": INI,
        folder / f"test_{kind}.py": HEAD.format(folder=folder.as_posix(), options=options) + PROMISES[kind][1],
    }
    extras = _extras(backend, judge, PROMISES[kind][1])
    if CI[service]:
        recipe = _recipe(service, model, judge, extras, folder.as_posix())
        if SMOLLM2_PACKAGE not in backend.command_for(model):
            recipe = "".join(line for line in recipe.splitlines(keepends=True) if SMOLLM2_PACKAGE not in line)
        files[Path(CI[service])] = recipe
    if there := [path for path in files if path.exists() or path.is_symlink()]:
        raise UsageError(
            f"{shown(there[0])} is there already, and is not overwritten. Nothing was written. "
            f"Name another FOLDER, move the file, or give --ci=none."
        )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    run = f"pytest {folder.as_posix()} {options}"
    install = backend.command_for(model).replace(backend.command, f'pip install "pytest-pluralism[{extras}]"')
    steps = [install, f"{run} --pluralism-update-baseline", run]
    if arguments.json:
        say_json({"schema": SCHEMA, "written": [path.as_posix() for path in files], "next": steps})
        return EXIT_OK
    for path in files:
        say(f"wrote {shown(path.as_posix())}")
    say("next:")
    for step, why in zip(steps, ("install", "store the last release", "judge each new one"), strict=True):
        say(f"  {shown(step)}   # {why}")
    return EXIT_OK


def _asked(flag: str, question: str, usual: str) -> str:
    """Return the answer of a person to a question, or refuse where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(f"{flag} is missing, and there is no terminal to ask in. Give {flag}={usual}, or another one.")
    sys.stderr.write(f"{question} [{usual}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise KeyboardInterrupt
    return answer.strip() or usual


def _known(flag: str, value: str, choices: Collection[str]) -> str:
    """Return one of the choices, or refuse."""
    if value not in choices:
        raise UsageError(f"{flag} must be one of {', '.join(choices)}. Got {shown(value)!r}.")
    return value


def _backend(flag: str, model: str, parse: Callable[[str], ModelSpec], role: str) -> Backend:
    """Return the kind of a model that can have a role, or refuse it."""
    if model != model.strip() or any(character in model for character in "\"'\\\r\n\0"):
        raise UsageError(f"{flag} must be a name without quotes, backslashes and outer blanks. Got {shown(model)!r}.")
    try:
        backend = backend_of(parse(model).kind)
        backend.check_role(model, role)
    except ModelError as error:
        raise UsageError(f"{flag}: {error}") from error
    return backend


def _extras(backend: Backend, judge: str, tests: str) -> str:
    """Return the extras that a gate needs: those of its models, and that of the embedded surveys."""
    names = (backend.extra or "embedded").split(",")
    if judge:
        names += ["embedded", *(["hub"] if judge.startswith("hf:") else [])]
    # These two bring the surveys too.
    if '"gss"' in tests and not {"embedded", "llamacpp"} & set(names):
        names.append("surveys")
    return ",".join(dict.fromkeys(names))


def _recipe(service: str, model: str, judge: str, extras: str, folder: str) -> str:
    """Return the CI job of a service for a model."""
    recipes = importlib.resources.files("pytest_pluralism.cli") / "recipes"
    text = (recipes / f"{service}.yml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        line = line.replace(RECIPE_TESTS, f"pytest {folder}").replace("[embedded,report]", f"[{extras},report]")
        if RECIPE_MODEL in line:
            line = line.replace(RECIPE_MODEL, f'"{model}"')
            if judge:
                indent = line[: len(line) - len(line.lstrip())]
                line += f'\n{indent}PLURALISM_ENTAILMENT_MODEL: "{judge}"'
        lines.append(line)
    return "\n".join(lines) + "\n"
