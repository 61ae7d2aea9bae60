"""Find constructions that a reader must read twice, in the pages and in docstrings and comments of the package.

    python tools/check_words.py [FILE ...]

The style guide (docs/contributing/style.md) gives the reason for each rule.
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

ROOT = Path(__file__).parent.parent

#: The folders whose modules are read where no file is named.
MODULES = ("pytest_pluralism",)

#: Words after "is no" that are idiomatic.
IDIOMS = "longer|more|less|fewer|other|such|different|better|worse|closer|nearer|further|matter"

#: Each rule: its pattern, and the remedy.
RULES = (
    (r"(?:^|(?<=[.!?:] ))(?:What|Who|Whoever|Whose|Whatever)\b[^?]*$", "begin the sentence with its subject"),
    (rf"(?<!\b[Tt]here )\b(?:is|are|was|were) no (?!(?:{IDIOMS})\b)\w+", "write `is not a ...`"),
    (r"\bat most so many\b", "write `maximum number of ...`"),
    (r"\bout of the blue\b", "write `arbitrary`"),
    (r"\b(?:say|says|have|has|hold|holds) nothing of (?:it|them)\b", "name the missing thing"),
    (r"\b(?:say|says|said|know|knows) nothing of\b", "write `nothing about`"),
    (
        r"\b(?:is|are|was|were) told (?:by|from|in|at|instead|only|as|on|like)\b",
        "write `reported`, `recognized` or `said`",
    ),
    (r"\b[Ww]hoever\b", "name the person or the part of the program"),
)
COMPILED = tuple((re.compile(pattern), remedy) for pattern, remedy in RULES)

#: A docstring says what its function does.
NO_VERB = re.compile(r"(?:What|Whoever|Who|Whose|How)\b")


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Return the lines of a page outside blocks of code, without markup."""
    text = re.sub(
        r"^(`{3,}|:{3,}).*?^\1$",
        lambda block: "\n" * block[0].count("\n"),
        page.read_text("utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("    ") and not line.startswith("#"):
            for cell in line.split(" | ") if line.startswith("|") else [line]:
                yield number, cell.lstrip("-*> 0123456789.|").replace("**", "")


def comments(module: Path) -> Iterator[tuple[int, str]]:
    """Return the lines of docstrings and comments of a module, docstrings with their first line checked for a verb."""
    source = module.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=True)
            if docstring:
                start = node.body[0].lineno
                if NO_VERB.match(docstring) and not docstring.partition("\n")[0].endswith("?"):
                    yield start, "What begins a docstring."
                yield from ((start + number, line.strip()) for number, line in enumerate(docstring.split("\n")))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: ")


def problems(path: Path) -> Iterator[str]:
    """Return what to change in a file, one line each."""
    for number, line in prose(path) if path.suffix == ".md" else comments(path):
        text = re.sub(r"``[^`]*``|`[^`]*`", "X", line)
        for pattern, remedy in COMPILED:
            if found := pattern.search(text):
                yield f"{path}:{number}: {found[0][:60]!r}: {remedy}"


def main(names: list[str]) -> int:
    """Check the named files, or all pages and modules; return the exit code."""
    pages = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("fixtures/**/*.md"),
        *ROOT.glob("changelog.d/*.md"),
    ]
    modules = [module for folder in MODULES for module in ROOT.glob(f"{folder}/**/*.py")]
    paths = [Path(name) for name in names] or sorted([*pages, *modules])
    found = [problem for path in paths if "_build" not in path.parts for problem in problems(path)]
    print("\n".join(found) or f"{len(paths)} files: nothing found")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
