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
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from pytest_pluralism.report.html import report_html

ROOT = Path(__file__).parents[1]

#: Opens one promise alone, by words that stand in it, and brings it to the top.
ONE_GATE = """(words) => {
    document.querySelectorAll('details').forEach((one) => { one.open = false; });
    const gate = [...document.querySelectorAll('details.gate')].find((one) => one.textContent.includes(words));
    gate.open = true;
    gate.scrollIntoView();
    return gate.id;
}"""

#: Opens the list of units of the open promise, and the first unit in it.
FIRST_UNIT = """() => {
    const units = document.querySelector('details.gate[open] details.units');
    units.open = true;
    units.querySelector('tbody details').open = true;
    units.scrollIntoView();
}"""


def verdicts(page: Page) -> None:
    """Leave the page as it opens."""


def gate(page: Page) -> None:
    """Show a promise that is not kept, with what its value is read against."""
    page.evaluate(ONE_GATE, "promised: ≤ 0.1")


def questions(page: Page) -> None:
    """Show the questions of that promise, and one of them in whole."""
    gate(page)
    page.evaluate(FIRST_UNIT)


def jury(page: Page) -> None:
    """Show a jury."""
    page.evaluate(ONE_GATE, "Jury welfare (example_town)")
    page.get_by_text("The jury", exact=True).locator("visible=true").first.evaluate("one => one.scrollIntoView()")


def steering(page: Page) -> None:
    """Show whether a steering is real."""
    page.evaluate(ONE_GATE, "Is the steering real?")
    page.get_by_text("Is the steering real?").evaluate("one => one.scrollIntoView()")


def windows(page: Page) -> None:
    """Show one response with the answers of its window that it holds and misses."""
    page.evaluate(ONE_GATE, "Overton coverage (contested)")
    page.evaluate(FIRST_UNIT)
    page.get_by_text("care_of_parents").locator("visible=true").evaluate(
        "one => { const row = one.closest('details'); row.open = true; row.scrollIntoView(); }"
    )


SHOTS = (
    # Wide enough for all columns of the table, which scrolls where it is not.
    ("report-verdicts", verdicts, 1320, 640, "light"),
    ("report-gate", gate, 1000, 812, "light"),
    ("report-questions", questions, 1000, 600, "light"),
    ("report-windows", windows, 1000, 800, "light"),
    ("report-jury", jury, 1320, 480, "light"),
    ("report-steering", steering, 1000, 760, "dark"),
    ("report-narrow", verdicts, 360, 640, "dark"),
)


def main(folder: Path) -> int:
    """Take all of them."""
    content = json.loads((ROOT / "tests" / "golden" / "report.json").read_text(encoding="utf-8"))
    browser_path = os.environ.get("PLURALISM_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        path = Path(work, "report.html")
        path.write_text(report_html(content["verdicts"], content["run"]), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name, prepare, width, height, scheme in SHOTS:
            # Without motion what is scrolled to is there at once.
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            page.goto(path.as_uri(), timeout=120_000)
            prepare(page)
            target = folder / f"{name}.png"
            page.screenshot(path=target)
            page.close()
            print(f"{target}: {target.stat().st_size:,} bytes")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "static"))
