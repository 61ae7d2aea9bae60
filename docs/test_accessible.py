"""axe-core finds nothing on the pages of the built site, in the light and in the dark.

It needs the site (``sphinx-build -b html docs docs/_build/html``), a Chromium, and ``PLURALISM_AXE``, which names the
file ``axe.min.js`` of the package axe-core.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

SITE = Path(os.environ.get("PLURALISM_SITE") or Path(__file__).parent / "_build" / "html")


def test_each_mending_is_done_once() -> None:
    spec = importlib.util.spec_from_file_location("accessible", Path(__file__).parent / "accessible.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = "".join(old for old, _ in module.MENDED)
    assert module.mended(page) == "".join(new for _, new in module.MENDED)
    # A page that was built before is left as it is.
    assert module.mended(module.mended(page)) == module.mended(page)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(scheme: str) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = os.environ.get("PLURALISM_AXE")
    path = os.environ.get("PLURALISM_CHROMIUM") or shutil.which("chromium")
    pages = [page for page in sorted(SITE.rglob("*.html")) if "_static" not in page.parts]
    if not (axe and path and pages):
        pytest.skip("no axe-core, no browser or no built site")
    found = {}
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        shown = browser.new_context(color_scheme=scheme, offline=True).new_page()
        for page in pages:
            shown.goto(page.as_uri())
            shown.evaluate(Path(axe).read_text(encoding="utf-8"))
            result = shown.evaluate("axe.run(document, {resultTypes: ['violations']})")
            if result["violations"]:
                found[page.name] = [(one["id"], one["nodes"][0]["html"][:120]) for one in result["violations"]]
        browser.close()
    assert found == {}
