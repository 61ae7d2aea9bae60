"""Mutation testing of the measures and the verdict with mutmut: each small fault should fail a test.

    python tools/mutation.py --work-dir build/mutation                  # every mutant, about an hour on one core
    python tools/mutation.py --work-dir build/mutation --sample 100     # at most 100 drawn mutants a file, minutes
    python tools/mutation.py --work-dir build/mutation --survivors      # what survived last time, against new tests
    python tools/mutation.py --work-dir build/mutation --show           # the numbers and survivors of the last run

works on a copy in the work folder, prints a table and every survivor as a diff, and writes ``mutation.json`` beside
the copy. Mutants of texts alone (the words of an error or of a reason) are told apart by their place in the syntax
tree; they are counted, and left out unless ``--texts`` asks for them.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_pluralism.core.estimation import wilson_interval

ROOT = Path(__file__).parents[1]
#: Where the outcomes are decided, every mutant counts.
NEVER_SAMPLED = {"verdict.py"}
#: Parameters of our own functions that only ever reach the words of an error.
TEXT_KEYWORDS = frozenset({"name", "function", "other", "other_name", "reason", "what"})
#: Calls whose arguments (from the given one on) are words.
TEXT_CALLS = {"invalid_parameter": 0, "InvalidParameterError": 0}
#: The parts of a syntax tree that are one object a place.
NODES = (ast.expr, ast.stmt, ast.keyword, ast.arguments, ast.comprehension, ast.withitem)
#: mutmut's exit codes; whatever else it writes counts as a survivor.
KILLED = {1: "killed", 3: "killed", -24: "timeout", 24: "timeout", 36: "timeout", 152: "timeout", 255: "timeout"}


def main() -> int:
    """Copy, mutate, test, report."""
    options = _options()
    work = options.work_dir.resolve()
    if not options.show:
        _copy(work)
    files = _mutated_files()
    if options.show:
        tested = json.loads((work / "mutation.json").read_text())["tested"]
    elif options.survivors:
        tested = json.loads((work / "mutation.json").read_text())["tested"]
        (work / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)  # New tests run other functions.
        _mutmut(work, [name for name in tested if _outcome(work, name) not in KILLED.values()])
    else:
        shutil.rmtree(work / "mutants", ignore_errors=True)
        # The smallest file makes mutmut write the mutants of all files.
        _mutmut(work, ["pytest_pluralism.core.verdict.x__too_certain__mutmut_1"])
        tested = _chosen(work, files, options)
        _mutmut(work, tested)
    (work / "mutation.json").write_text(json.dumps({"tested": tested, "seed": options.seed}, indent=1))
    _report(work, files, tested)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, required=True, help="where the copy goes")
    parser.add_argument("--sample", type=int, help="at most so many mutants a file, drawn without replacement")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--only", default="", help="only files whose path holds this")
    parser.add_argument("--texts", action="store_true", help="mutants of texts too")
    parser.add_argument("--survivors", action="store_true", help="test again what survived in this work folder")
    parser.add_argument("--show", action="store_true", help="test nothing, report")
    return parser.parse_args()


def _copy(work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    for folder in ("pytest_pluralism", "tests"):
        shutil.rmtree(work / folder, ignore_errors=True)
        shutil.copytree(ROOT / folder, work / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", work)


def _mutated_files() -> list[Path]:
    """Return the files of [tool.mutmut], relative to the root."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    found = {path.relative_to(ROOT) for pattern in config["only_mutate"] for path in ROOT.glob(pattern)}
    return sorted(path for path in found if path.name != "__init__.py")


def _mutmut(work: Path, names: list[str]) -> None:
    if not names:
        return
    environment = os.environ | {"PLURALISM_HYPOTHESIS_PROFILE": "mutation", "OMP_NUM_THREADS": "1"}
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1", *names]
    with (work / "mutmut.log").open("w") as log:
        subprocess.run(command, cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def _chosen(work: Path, files: list[Path], options: argparse.Namespace) -> list[str]:
    tested: list[str] = []
    for path in files:
        if options.only in str(path):
            names = [name for name, mutant in _mutants(work, path) if options.texts or not mutant["text"]]
            if options.sample is not None and len(names) > options.sample and path.name not in NEVER_SAMPLED:
                # A generator a file: what is drawn from one does not depend on the others.
                names = sorted(random.Random(f"{options.seed} {path}").sample(names, options.sample))
            tested += names
    return tested


# ------------------------------------------------------------------------------------------------- mutmut's files


def _results(work: Path, path: Path) -> dict[str, int | None]:
    found: dict[str, int | None] = json.loads((work / "mutants" / f"{path}.meta").read_text())["exit_code_by_key"]
    return found


def _outcome(work: Path, name: str) -> str:
    path = Path(*name.rsplit(".", 1)[0].split(".")).with_suffix(".py")
    code = _results(work, path)[name]
    return KILLED.get(code, "survived") if code is not None else "not tested"


def _mutants(work: Path, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mutant of a file: its name, its diff, and whether it changes words alone."""
    functions: dict[str, ast.FunctionDef] = {
        node.name: node
        for node in ast.walk(ast.parse((work / "mutants" / path).read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    known = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.FunctionDef)}
    originals = {
        name: (node, _lines(node), _words(node, known))
        for name, node in functions.items()
        if name.endswith("__mutmut_orig")
    }
    for name in _results(work, path):
        mangled = name.rsplit(".", 1)[1]
        original, lines, words = originals[f"{mangled.rsplit('__mutmut_', 1)[0]}__mutmut_orig"]
        mutant = functions[mangled]
        changed = [
            node
            for old, new in ((original.args, mutant.args), (original.body, mutant.body))
            for node in _changed(old, new)
        ]
        difference = list(difflib.unified_diff(lines, _lines(mutant), lineterm="", n=0))[2:]
        yield (
            name,
            {
                "text": bool(changed) and all(id(node) in words for node in changed),
                "diff": [line for line in difference if not line.startswith("@@")],
            },
        )


def _lines(function: ast.FunctionDef) -> list[str]:
    return [line for part in (function.args, *function.body) for line in ast.unparse(part).splitlines()]


# ------------------------------------------------------------------------------------------- which mutants are words


def _changed(old: Any, new: Any) -> Iterator[ast.AST]:
    """Yield the smallest expressions and statements of the old tree that hold what differs."""
    if isinstance(old, list):
        if len(old) == len(new):
            for left, right in zip(old, new, strict=True):
                yield from _changed(left, right)
        else:  # An argument was taken away.
            kept = [_dump(node) for node in new]
            for node in old:
                if _dump(node) in kept:
                    kept.remove(_dump(node))
                else:
                    yield node.value if isinstance(node, ast.keyword) else node
    elif type(old) is not type(new):
        yield old
    elif isinstance(old, ast.AST):
        for field, value in ast.iter_fields(old):
            other = getattr(new, field)
            if isinstance(value, NODES) or (isinstance(value, list) and value and not isinstance(value[0], ast.cmpop)):
                yield from _changed(value, other)
            # Operators and contexts are one object in all of a tree: what differs is the node that has them.
            elif _dump(value) != _dump(other):
                yield old


def _dump(node: Any) -> str:
    if isinstance(node, list):
        return str([_dump(inner) for inner in node])
    return ast.dump(node) if isinstance(node, ast.AST) else repr(node)


def _words(function: ast.FunctionDef, functions: set[str]) -> set[int]:
    """Return the ids of the nodes that only make up words."""
    words: set[int] = set()

    def mark(node: ast.AST) -> None:
        words.update(id(inner) for inner in ast.walk(node))

    arguments = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == "function":
            words.add(id(node))
        elif isinstance(node, ast.Raise):
            for part in (node.exc, node.cause):
                if part is not None:
                    mark(part)
        elif isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)] if name in TEXT_CALLS else []:
                mark(argument)
            if name == "_Part" and len(node.args) > 1:
                mark(node.args[1])
            for keyword in node.keywords:
                if keyword.arg in TEXT_KEYWORDS:
                    mark(keyword.value)
            for argument in node.args:
                if isinstance(argument, ast.Constant) and argument.value in functions | arguments:
                    words.add(id(argument))
    # A variable that is read in words alone is words itself; such variables may be made of one another.
    local = Counter(node.id for node in ast.walk(function) if isinstance(node, ast.Name))
    for _ in range(3):
        for node in ast.walk(function):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if len(targets) == 1 and isinstance(targets[0], ast.Name) and local[targets[0].id] > 1:
                loads = [
                    name
                    for name in ast.walk(function)
                    if isinstance(name, ast.Name) and name.id == targets[0].id and isinstance(name.ctx, ast.Load)
                ]
                if loads and all(id(name) in words for name in loads):
                    mark(node.value)
    return words


# ------------------------------------------------------------------------------------------------------ the report


def _report(work: Path, files: list[Path], tested: list[str]) -> None:
    chosen = set(tested)
    total = Counter[str]()
    survivors: list[tuple[str, dict[str, Any]]] = []
    print("file                 mutants  texts  tested  killed  survived  rate    95 % interval")
    for path in files:
        count = Counter[str]()
        for name, mutant in _mutants(work, path):
            count["mutants"] += 1
            count["texts"] += mutant["text"]
            if name in chosen:
                outcome = _outcome(work, name)
                count["tested"] += 1
                count["killed"] += outcome in KILLED.values()
                count["timeout"] += outcome == "timeout"
                if outcome not in KILLED.values():
                    survivors.append((f"{name} ({outcome})", mutant))
        if count["tested"]:
            _row(path.stem, count)
            total += count
    if total["tested"]:
        _row("all", total)
        print(f"killed by a time limit: {total['timeout']}")
    for name, mutant in survivors:
        print(f"\n{name.removeprefix('pytest_pluralism.core.')}{' [text]' if mutant['text'] else ''}")
        for line in mutant["diff"]:
            print(f"  {line}")


def _row(name: str, count: Counter[str]) -> None:
    low, high = wilson_interval(count["killed"], count["tested"])
    # Where everything was tested, there is nothing to infer.
    interval = f"{low:.3f} to {high:.3f}" if count["tested"] < count["mutants"] - count["texts"] else "every mutant"
    survived = count["tested"] - count["killed"]
    print(
        f"{name:20} {count['mutants']:7} {count['texts']:6} {count['tested']:7} {count['killed']:7} {survived:9}"
        f"  {count['killed'] / count['tested']:.3f}   {interval}"
    )


if __name__ == "__main__":
    sys.exit(main())
