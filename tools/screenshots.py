"""Take the pictures of the HTML report that the docs show, from the recorded report of the tests.

Usage: ``python tools/screenshots.py [FOLDER]`` (by default ``docs/static``). It needs playwright and a Chromium, which
``PLURALISM_CHROMIUM`` names.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from pytest_pluralism.report.html import report_html

ROOT = Path(__file__).parents[1]

#: The model whose promises the first screens show: one decision, and a table below it.
MODEL = "smollm2-135m-instruct"

#: Opens one promise alone, by words that stand in it, and brings it to the top.
ONE_GATE = """(words) => {
    document.querySelectorAll('details').forEach((one) => { one.open = false; });
    const gate = [...document.querySelectorAll('details.gate')].find((one) => one.textContent.includes(words));
    gate.open = true;
    gate.scrollIntoView();
    scrollBy(0, -8);
}"""


def top(page: Page) -> None:
    """Leave the page as it opens."""


def cards(page: Page) -> None:
    """Show the verdicts."""
    page.locator("#verdicts").evaluate("one => one.scrollIntoView()")


def gate(page: Page) -> None:
    """Show a promise that is not kept, with what its value is read against."""
    page.evaluate(ONE_GATE, "promised: ≤ 0.1")


def unfold(page: Page, unit: str) -> None:
    """Open the list of units of the open promise, and one unit in it, and bring it below the links."""
    page.locator("details.gate[open] details.units").first.evaluate("one => { one.open = true; }")
    row = page.locator("details.gate[open] table.units tbody details", has_text=unit).first
    row.evaluate("one => { one.open = true; one.closest('.wide').previousElementSibling.scrollIntoView(); }")


def questions(page: Page) -> None:
    """Show the questions of that promise, and one of them in whole."""
    gate(page)
    unfold(page, "abhlth")
    page.evaluate("scrollBy(0, -110)")


def board(page: Page) -> None:
    """Show the questions by the people that they are compared with."""
    page.locator("#questions").evaluate("one => one.scrollIntoView()")


def jury(page: Page) -> None:
    """Show a jury."""
    page.evaluate(ONE_GATE, "Jury welfare (example_town)")
    page.get_by_text("The jury", exact=True).locator("visible=true").first.evaluate("one => one.scrollIntoView()")
    page.evaluate("scrollBy(0, -60)")


def steering(page: Page) -> None:
    """Show whether a steering is real."""
    page.evaluate(ONE_GATE, "Is the steering real?")
    page.get_by_text("Is the steering real?").evaluate("one => one.scrollIntoView()")
    page.evaluate("scrollBy(0, -60)")


def windows(page: Page) -> None:
    """Show one response with the answers of its window that it holds and misses."""
    page.evaluate(ONE_GATE, "Overton coverage (contested)")
    unfold(page, "care_of_parents")
    row = page.locator("details.gate[open] table.units tbody details", has_text="care_of_parents").first
    row.evaluate("one => one.scrollIntoView()")
    page.evaluate("scrollBy(0, -100)")
    # The heads of the table stay at the top, over what stands below them.
    row.evaluate("one => one.closest('.tall').scrollBy(0, -56)")


@dataclass(frozen=True)
class Shot:
    """One picture: its name, what it shows, the size of the screen, and whether it is of one model alone."""

    name: str
    prepare: Callable[[Page], None]
    width: int
    height: int
    scheme: str = "light"
    one_model: bool = False


SHOTS = (
    Shot("report-verdicts", top, 1200, 860, one_model=True),
    Shot("report-gate", gate, 1060, 900),
    Shot("report-questions", questions, 1000, 620),
    Shot("report-board", board, 1060, 640),
    Shot("report-windows", windows, 1000, 800),
    Shot("report-jury", jury, 1320, 520),
    Shot("report-steering", steering, 1000, 780, "dark"),
    Shot("report-narrow", top, 360, 640, "dark", one_model=True),
    Shot("report-cards", cards, 360, 640, one_model=True),
)


def main(folder: Path) -> int:
    """Take all of them."""
    content = json.loads((ROOT / "tests" / "golden" / "report.json").read_text(encoding="utf-8"))
    browser_path = os.environ.get("PLURALISM_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for shot in SHOTS:
            verdicts = [one for one in content["verdicts"] if not shot.one_model or one["model"]["name"] == MODEL]
            path = Path(work, "report.html")
            path.write_text(report_html(verdicts, content["run"]), encoding="utf-8")
            # Without motion what is scrolled to is there at once.
            page = browser.new_page(
                viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme, reduced_motion="reduce"
            )
            page.set_default_timeout(120_000)
            page.goto(path.as_uri())
            shot.prepare(page)
            page.wait_for_timeout(200)
            target = folder / f"{shot.name}.png"
            page.screenshot(path=target)
            page.close()
            print(f"{target}: {target.stat().st_size:,} bytes")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "static"))
