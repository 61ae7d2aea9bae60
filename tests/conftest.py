"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib.metadata import PathDistribution
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# Runs in processes of their own share what they compile.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# On a busy machine, that examples are made slowly says nothing about what is tested.
with contextlib.suppress(ImportError):
    from hypothesis import HealthCheck, settings

    # Each run draws examples of its own, so that half as many in each find what many in one would find.
    usual = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "max_examples": 50}
    settings.register_profile("any machine", **usual)
    settings.load_profile("any machine")


#: The markers by which ``-m`` chooses the tests of another command than that of the quick suite.
APART = {"slow", "whole", "browser", "architectures"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Read no file of tests that cannot have the one marker that was asked for: to collect them all takes long."""
    wanted = config.option.markexpr
    if wanted not in APART or not collection_path.match("test_*.py"):
        return None
    return f"mark.{wanted}" not in collection_path.read_text(encoding="utf-8") or None


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let ``tox -e py -- SOME_TESTS`` end well where none of them is marked ``whole``."""
    is_part = session.config.args_source is session.config.ArgsSource.ARGS
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.option.markexpr == "whole" and is_part:
        session.exitstatus = pytest.ExitCode.OK


#: The packages that runs of pytest import where they are installed, beside our own modules.
IMPORTED_IN_RUNS = (
    "jinja2",
    "jsonschema",
    "krippendorff",
    "moocore",
    "py3langid.langid",
    "rich._emoji_codes",
    "rich.console",
    "rich.progress",
    "rich.table",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sentencex",
    "sqlite3",
)


#: The rooms that import torch.
WITH_TORCH = ("pytest_pluralism.models.local", "pytest_pluralism.training")

#: Packages that a run inside this process may import, and that are imported once in a process.
IMPORTED_ONCE = {"torch", "transformers", "tokenizers", "safetensors", "pandas", "pyarrow", "polars"}


def remembering(snapshot: Callable[..., Any]) -> Callable[..., Any]:
    """Return what takes a snapshot of the modules for pytester, and keeps those that are imported once."""

    def taken(preserve: Callable[[str], bool] | None = None) -> Any:
        def kept(name: str) -> bool:
            return name.partition(".")[0] in IMPORTED_ONCE or (preserve is not None and preserve(name))

        return snapshot(kept)

    return taken


@pytest.fixture(scope="session")
def imported() -> None:
    """Import all that runs inside this process need.

    pytester forgets what such a run imported: the next one would import it anew, which takes time, and which parts in C
    do not survive.
    """
    (root,) = importlib.import_module("pytest_pluralism").__path__
    # Not by pkgutil, which imports packages to look into them.
    files = (path.relative_to(root).with_suffix("") for path in Path(root).rglob("*.py"))
    ours = sorted(".".join(("pytest_pluralism", *path.parts)).removesuffix(".__init__") for path in files)
    for name in (*ours, *IMPORTED_IN_RUNS):
        # The first would run the command, and the others import torch.
        if not name.endswith("__main__") and not name.startswith(WITH_TORCH):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def passing_over(register: Callable[..., None], places: set[Path]) -> Callable[..., None]:
    """Return what looks for fixtures in a plugin, and passes over installed ones of which it is known to have none."""
    known: dict[object, bool] = {}

    def has_none(holder: Any) -> bool:
        file = getattr(sys.modules.get(getattr(holder, "__module__", holder.__name__)), "__file__", None) or ""
        if not places & set(Path(file).parents):
            return False
        parts = [one for kind in getattr(holder, "__mro__", (holder,)) for one in vars(kind).values()]
        # Before 8.4 a fixture is a function with an attribute.
        return not any(
            type(one).__name__ == "FixtureFunctionDefinition" or hasattr(one, "_pytestfixturefunction") for one in parts
        )

    def registered(manager: Any, plugin: object, plugin_name: str) -> None:
        holder = plugin if isinstance(plugin, ModuleType) else type(plugin)
        if holder not in known:
            known[holder] = has_none(holder)
        if not known[holder]:
            register(manager, plugin, plugin_name)

    return registered


@pytest.fixture(scope="session")
def installed() -> Iterator[None]:
    """Read what packages say of themselves once: each run inside this process would parse that of all packages anew.

    Packages that a test puts elsewhere are read as ever.
    """
    places = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}

    def remembered(read: Callable[[PathDistribution], Any]) -> property:
        known: dict[Path, Any] = {}

        def found(package: PathDistribution) -> Any:
            place: Path = package._path  # type: ignore[attr-defined]
            if place.parent not in places:
                return read(package)
            if place not in known:
                known[place] = read(package)
            return known[place]

        return property(found)

    with pytest.MonkeyPatch.context() as patch:
        # A private name of pytest: a version without it forgets all modules of a run.
        machinery = importlib.import_module("_pytest.pytester")
        if hasattr(machinery, "SysModulesSnapshot"):
            patch.setattr(machinery, "SysModulesSnapshot", remembering(machinery.SysModulesSnapshot))
        for name in ("metadata", "entry_points", "files"):
            patch.setattr(PathDistribution, name, remembered(getattr(PathDistribution, name).fget))
        # Private as well: a version without it looks through all plugins in each run.
        manager = getattr(importlib.import_module("_pytest.fixtures"), "FixtureManager", None)
        if hasattr(manager, "pytest_plugin_registered"):
            patch.setattr(manager, "pytest_plugin_registered", passing_over(manager.pytest_plugin_registered, places))
        yield


@pytest.fixture
def pytester(imported: None, installed: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """Return pytest's own pytester, with everything imported before."""
    return pytester


@pytest.fixture(autouse=True)
def lenient_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let health checks warn: most tests are about something else, and promise what any answer keeps."""
    monkeypatch.setenv("PLURALISM_HEALTH", "warn")


@pytest.fixture(autouse=True)
def same_output_on_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run inside a test print the same on a CI server as at a desk: pytest unfolds its summary there."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("BUILD_NUMBER", raising=False)


SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of data that cannot be published with the project, beside the repository."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    reason = "the data that may not be published with the project is not in ../shared/data"
    if os.environ.get("PLURALISM_REQUIRE_SHARED") == "1":
        pytest.fail(f"{reason}, and PLURALISM_REQUIRE_SHARED=1 asks for it")
    pytest.skip(reason)


#: The browser that opens reports: the one that ``PLURALISM_CHROMIUM`` names, or the first of these on the path.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("PLURALISM_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: neither PLURALISM_CHROMIUM nor any of {', '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        # Chromium has no sandbox for root, as in most containers; what it opens here is ours.
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


class Opened:
    """A page of the report, and everything it complained of or asked for."""

    def __init__(self, page: Any, path: Path, fragment: str = "") -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        # A busy machine may take minutes to load a page; how fast it is, the benchmark says.
        page.set_default_timeout(300_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}") or dialog.dismiss())
        page.goto(path.as_uri() + fragment)

    def check(self) -> None:
        """Fail where the page complained, or asked for anything beside itself."""
        assert self.complaints == []
        # An empty icon inside the page is asked of nobody.
        assert [url for url in self.requests[1:] if not url.startswith("data:")] == []


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Return what opens a page in the browser, without a network."""
    contexts = []

    def open_page(text: str, *, width: int = 1200, scheme: str = "light", fragment: str = "", **more: Any) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        contexts.append(
            browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, **more)
        )
        return Opened(contexts[-1].new_page(), path, fragment)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def check_witness() -> Callable[[Opened, dict[str, Any]], None]:
    """Return what looks on an open page for the question that broke a promise."""
    return look_for_witness


def look_for_witness(opened: Opened, entry: dict[str, Any]) -> None:
    """Look for the question that broke a promise where a reader does: under the verdict, and among the questions."""
    witness, (unit,) = entry["witness"], [one for one in entry["units"] if one["id"] == entry["witness"]["id"]]
    gate = opened.page.locator("details.gate[open]").filter(has_text=entry["population"]).first
    assert gate.get_by_text("failed").first.is_visible()
    worst = gate.locator("p", has_text="Worst:")
    assert worst.is_visible()
    words = " ".join(worst.inner_text().split())
    assert witness["id"] in words
    assert " ".join(witness["text"].split())[:200] in words
    assert f"changed by {witness['value']:+.3f}" in words
    # Its answers stand in the list of questions, with what the people said.
    units = gate.locator("details.units")
    if not units.evaluate("one => one.open"):
        units.locator("> summary").click()
    row = units.locator("tbody details", has_text=" ".join(unit["text"].split())[:40]).first
    row.locator("summary").click()
    for option in unit["options"]:
        assert row.get_by_text(option, exact=True).first.is_visible()
    opened.check()
