"""The tables of options, keywords and report fields hold what the code holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_pluralism.evaluation.surveys import planner as distributional_planner
from pytest_pluralism.report import json_report
from pytest_pluralism.settings import resolving as options

REFERENCE = Path(__file__).parent / "reference"

OPTIONS = (REFERENCE / "markers-and-options.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("setting", options.SETTINGS, ids=lambda setting: setting.name)
def test_an_option_has_its_row_with_its_default(setting: options.Setting) -> None:
    row = re.search(rf"^\| `{setting.option}(?:[ =][^`]*)?` \|([^|]*)\|", OPTIONS, re.MULTILINE)
    assert row is not None, f"{setting.option} is not in the table"
    # A setting without a default may say in words what happens without it.
    if setting.default is None or setting.default == () or setting.flag:
        assert "`" not in row[1]
    else:
        default = " ".join(setting.default) if isinstance(setting.default, tuple) else setting.default
        assert row[1].strip() == f"`{default}`"


def test_no_row_is_left_of_an_option_that_is_gone() -> None:
    known = {setting.option for setting in options.SETTINGS}
    assert set(re.findall(r"`(--pluralism-[a-z-]+)", OPTIONS)) <= known


def test_every_keyword_of_a_distance_is_in_the_table() -> None:
    keywords = {"at_most", "max_increase", "max_unit_increase", "confidence_level", *distributional_planner.KEYWORDS}
    rows = "\n".join(line for line in OPTIONS.partition("## Fixtures")[0].splitlines() if line.startswith("| `"))
    assert {keyword for keyword in keywords if f"`{keyword}`" not in rows} == set()


def test_every_field_of_a_verdict_is_in_the_table() -> None:
    schema = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    page = (REFERENCE / "report.md").read_text(encoding="utf-8")
    fields = [*schema["properties"], *schema["properties"]["run"]["properties"]]
    fields += schema["$defs"]["verdict"]["properties"]
    assert [name for name in fields if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", sorted([*REFERENCE.parent.rglob("*.md"), REFERENCE.parents[1] / "README.md"]), ids=str)
def test_the_value_of_an_option_follows_an_equals_sign(page: Path) -> None:
    # pytest takes a path after a blank for a test, and looks for its ini file there.
    valued = {one.option for one in options.SETTINGS if not one.flag and one.option not in options.ALONE}
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"(?:pytest|`)[^`\n]*?(--pluralism-[a-z-]+) +([^-\s`|\\][^\s`]*)", text)
    assert [f"{option} {value}" for option, value in found if option in valued] == []
