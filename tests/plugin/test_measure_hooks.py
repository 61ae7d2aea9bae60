"""The hook ``pytest_pluralism_measures``: a project's measures, and what is wrong with them."""

from __future__ import annotations

import inspect
import textwrap

import pytest

from pytest_pluralism import hookspecs

#: A planner whose number is told in its marker.
PLANNER = """
from dataclasses import dataclass

from pytest_pluralism.core.records import Scores, UnitScore
from pytest_pluralism.core.records.measures import Measure, Noun

MEASURE = Measure(
    "{name}", "higher", "{title}", unit=Noun("letter", "letters"), data="letters", lowest=0.0, highest=1.0
)
KEYWORDS = ("shift",)
DATASET = "a word"
EXAMPLE = "word"


@dataclass(frozen=True)
class Evaluation:
    word: str
    shift: float

    def rounds(self):
        yield from ()
        values = [(ord(letter) % 10) / 10 + self.shift for letter in self.word]
        return Scores("{name}", tuple(UnitScore(str(i), str(i), value) for i, value in enumerate(values)))


def plan(planning):
    shift = planning.keywords.get("shift", 0.0)
    evaluation = Evaluation(planning.dataset, shift)
    return [planning.planned(evaluation, source={{"name": planning.dataset}}, settings={{"shift": shift}})]
"""

TEST = """
import pytest

@pytest.mark.{name}("abcdefgh", at_least={bound})
def test_it(): ...
"""


def example() -> str:
    """Return the conftest of the docstring of the hook."""
    text = inspect.getdoc(hookspecs.pytest_pluralism_measures) or ""
    block = text.partition("::\n")[2].partition("\n\nThe marker")[0]
    return textwrap.dedent(block)


def planner(name: str, title: str = "lettering") -> str:
    return PLANNER.format(name=name, title=title)


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    return project.runpytest_inprocess("--strict-markers", "--pluralism-model=table:plain", *options)


def test_the_conftest_of_the_docstring_brings_a_measure(project: pytest.Pytester) -> None:
    project.makeconftest((project.path / "conftest.py").read_text() + example())
    project.makepyfile(
        minority_mass=planner("minority_mass"),
        test_passes=TEST.format(name="minority_mass", bound=0.1),
        test_fails=TEST.format(name="minority_mass", bound=0.9),
    )
    result = run(project)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*must be at least 0.900: lettering (abcdefgh)*", "*letters 8 in 8 clusters*", "*letters abcdefgh sha256*"]
    )
    run(project, "--markers").stdout.fnmatch_lines(["@pytest.mark.minority_mass(dataset, *at_least=None*lettering*"])


def test_two_folders_bring_measures_of_the_same_name(project: pytest.Pytester) -> None:
    for folder, title in (("east", "eastern"), ("west", "western")):
        (project.path / folder).mkdir()
        files = {
            "conftest.py": f"import {folder}_plan\n\ndef pytest_pluralism_measures():\n    return [{folder}_plan]\n",
            f"{folder}_plan.py": planner("lettered", title),
            f"test_{folder}.py": TEST.format(name="lettered", bound=0.9),
        }
        for name, text in files.items():
            (project.path / folder / name).write_text(text, encoding="utf-8")
    result = run(project, "east", "west")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*: eastern (abcdefgh)*", "*: western (abcdefgh)*"])


def test_evaluate_knows_the_measures_of_the_folder(project: pytest.Pytester) -> None:
    project.makeconftest((project.path / "conftest.py").read_text() + example())
    project.makepyfile(
        minority_mass=planner("minority_mass"),
        test_it="""
        def test_evaluated(pluralism):
            low = pluralism.evaluate("minority_mass", "abcdefgh")
            high = pluralism.evaluate("minority_mass", "abcdefgh", shift=0.2)
            assert abs((high - low).value - 0.2) < 1e-9

        def test_unknown(pluralism):
            pluralism.evaluate("minority_mas", "abcdefgh")
        """,
    )
    result = run(project)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*unknown measure 'minority_mas'*Did you mean 'minority_mass'?"])


@pytest.mark.parametrize(
    ("module", "returned", "said"),
    [
        (planner("js_distance"), "[lettered]", "*the measure 'js_distance' of lettered is the name of another marker*"),
        (planner("skip"), "[lettered]", "*the measure 'skip' of lettered is the name of another marker*"),
        (planner("two words"), "[lettered]", "*the measure 'two words' of lettered cannot be the name of a marker*"),
        (planner("lettered"), "lettered", "*must return a list of planners. Got a module.*"),
        (
            planner("lettered").replace("KEYWORDS =", "WORDS ="),
            "[lettered]",
            "*must have KEYWORDS, a tuple. Got nothing*",
        ),
        (
            planner("lettered").replace("def plan(", "def planned("),
            "[lettered]",
            "*must have a function plan(planning)*",
        ),
        (planner("lettered").replace('"higher"', '"up"'), "[lettered]", "*'direction' parameter of the measure*'up'*"),
    ],
)
def test_what_cannot_be_a_measure_is_told_at_the_start(
    project: pytest.Pytester, module: str, returned: str, said: str
) -> None:
    project.makeconftest(f"import lettered\n\ndef pytest_pluralism_measures():\n    return {returned}\n")
    project.makepyfile(lettered=module, test_it=TEST.format(name="lettered", bound=0.5))
    result = run(project)
    assert result.ret != 0
    assert "passed" not in result.stdout.str()
    text = result.stdout.str() + result.stderr.str()
    pytest.LineMatcher(text.splitlines()).fnmatch_lines([said])


def test_two_hooks_that_bring_the_same_measure_are_an_error(project: pytest.Pytester) -> None:
    project.makeconftest((project.path / "conftest.py").read_text() + example())
    (project.path / "inner").mkdir()
    inner = "import other\n\ndef pytest_pluralism_measures():\n    return [other]\n"
    (project.path / "inner" / "conftest.py").write_text(inner, encoding="utf-8")
    (project.path / "inner" / "test_it.py").write_text(TEST.format(name="minority_mass", bound=0.1), encoding="utf-8")
    project.makepyfile(minority_mass=planner("minority_mass"), other=planner("minority_mass"))
    result = run(project)
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    pytest.LineMatcher(text.splitlines()).fnmatch_lines(["*two hooks pytest_pluralism_measures bring a measure*"])
