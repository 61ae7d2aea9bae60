"""Measure the size of the HTML report and its first paint in Chromium: 400 questions of 12 groups, and 1,000 units.

The report is that of the tests in another size (``survey_report`` in tests/report/conftest.py). Chromium says itself
when it painted first (the entry ``first-contentful-paint`` of its timeline) and when everything was loaded.

    python benchmarks/report_page.py [--runs 5]

It needs playwright, and a Chromium that ``PLURALISM_CHROMIUM`` names or that is on the
path.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from pytest_pluralism.report.html import report_html

ROOT = Path(__file__).parents[1]

#: Questions and groups: the size that is promised to stay usable, and about 1,000 units.
SIZES = ((400, 12), (250, 4))

TIMES = """() => ({
    painted: performance.getEntriesByName('first-contentful-paint')[0]?.startTime,
    loaded: performance.getEntriesByType('navigation')[0].loadEventEnd,
})"""


def report_of(n_questions: int, n_groups: int) -> dict[str, Any]:
    """Return a report of the wanted size, in the form of the recorded one."""
    specification = importlib.util.spec_from_file_location("made", ROOT / "tests" / "report" / "conftest.py")
    assert specification is not None
    assert specification.loader is not None
    made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    recorded = json.loads((ROOT / "tests" / "golden" / "report.json").read_text(encoding="utf-8"))
    content: dict[str, Any] = made.survey_report(recorded, n_questions=n_questions, n_groups=n_groups)
    return content


def opened(browser: Browser, path: Path) -> tuple[float, float]:
    """Open the page in a new window, and return when it was first painted and loaded, in seconds."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(path.as_uri())
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    times = page.evaluate(TIMES)
    page.close()
    return times["painted"] / 1000, times["loaded"] / 1000


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    browser_path = os.environ.get("PLURALISM_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for n_questions, n_groups in SIZES:
            content = report_of(n_questions, n_groups)
            start = time.perf_counter()
            text = report_html(content["verdicts"], content["run"])
            made = time.perf_counter() - start
            path = Path(work, "report.html")
            path.write_text(text, encoding="utf-8")
            times = [opened(browser, path) for _ in range(arguments.runs)]
            painted, loaded = (statistics.median(column) for column in zip(*times, strict=True))
            slowest = max(one for one, _ in times)
            units = n_questions * n_groups
            print(
                f"{n_questions} questions x {n_groups} groups ({units:,} units): {path.stat().st_size / 1e6:.1f} MB, "
                f"made in {made:.1f} s; first painted after {painted:.2f} s (slowest of {arguments.runs}: "
                f"{slowest:.2f} s), loaded after {loaded:.2f} s"
            )
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
