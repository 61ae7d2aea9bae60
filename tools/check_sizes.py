"""Find modules and functions of the package that have grown too long, and types that nobody says.

    python tools/check_sizes.py [FOLDER]

A module has at most 600 lines, a function at most 60 lines of code (docstrings, comments and blank lines aside), and
``Any`` stands in the package fewer than 250 times, imports aside.
The exit code is 1 where something is found.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "pytest_pluralism"

#: Maximum number of lines of a module, of lines of code of a function, and of uses of ``Any`` in the package.
MODULE, FUNCTION, ANY = 600, 60, 250

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Tokens that are not code.
BESIDE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in BESIDE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node, clean=False):
            lines.difference_update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def problems(module: Path) -> Iterator[str]:
    """Return what is too long in a module, one line each."""
    text = module.read_text("utf-8")
    if (n_lines := text.count("\n")) > MODULE:
        yield f"{module}: {n_lines} lines, more than {MODULE}: take it apart by subject"
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, Function)]
    long = [node for node in functions if (node.end_lineno or 0) - node.lineno >= FUNCTION]
    lines = code_lines(text) if long else set()
    for node in long:
        if (size := len(lines.intersection(range(node.lineno, (node.end_lineno or 0) + 1)))) > FUNCTION:
            yield f"{module}:{node.lineno}: {node.name} has {size} lines of code, more than {FUNCTION}"


def uses_of_any(modules: list[Path]) -> int:
    """Return how often ``Any`` stands in modules, import lines aside."""
    lines = (line for module in modules for line in module.read_text("utf-8").splitlines())
    return sum(len(re.findall(r"\bAny\b", line)) for line in lines if "import" not in line)


def main(names: list[str]) -> int:
    """Check the modules of a folder, or of the package; return the exit code."""
    modules = sorted(Path(names[0] if names else PACKAGE).rglob("*.py"))
    found = [problem for module in modules for problem in problems(module)]
    if (n_any := uses_of_any(modules)) >= ANY:
        found.append(f"`Any` stands {n_any} times, {ANY} or more: say the type")
    print("\n".join(found) or f"{len(modules)} modules: nothing found, `Any` stands {n_any} times")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
