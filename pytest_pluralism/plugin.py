"""The entry point of the plugin: hooks that declare and delegate, and import nothing heavy."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_pluralism import hookspecs, loading
from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.untrusted import as_parameter_id, harmless, printable
from pytest_pluralism.fixtures import (
    Pluralism,
    entailment_model,
    failure_of,
    jury,
    language_model,
    pluralism,
    reference_language_model,
    value_model,
)
from pytest_pluralism.markers import (
    MarkerLines,
    marked_conftest,
    marks_of,
    misspelt_marks,
    uncollected,
    uncollected_class,
    yielding,
)
from pytest_pluralism.run import exporting, promises, surroundings
from pytest_pluralism.run.controller import Controller, Worker
from pytest_pluralism.run.items import (
    ENTRIES,
    MARKS,
    PLANS,
    UNJUDGED,
    error_entries,
    is_never_run,
    model_id,
    parameter_id,
    test_of,
)
from pytest_pluralism.run.models import SPECS
from pytest_pluralism.run.session import SESSION, PluralismSession
from pytest_pluralism.settings import resolving as options

__all__ = ["entailment_model", "jury", "language_model", "pluralism", "reference_language_model", "value_model"]

#: How pytest 8.2 and 8.3 skip an async test that no plugin runs; later versions fail it.
NOT_AWAITED = "async def function and no async plugin installed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings."""
    options.add_options(parser)
    # For the commands `pluralism promises` and `pluralism export` alone.
    parser.addoption(promises.OPTION, dest="pluralism_list_promises", default=None, help=argparse.SUPPRESS)
    parser.addoption(exporting.OPTION, dest="pluralism_export", default=None, help=argparse.SUPPRESS)
    parser.addoption("--pluralism-merge", dest="pluralism_merge", action="append", default=[], help=argparse.SUPPRESS)
    parser.addoption(
        exporting.ANSWERS, dest="pluralism_export_answers", action="append", default=[], help=argparse.SUPPRESS
    )


def pytest_load_initial_conftests(args: list[str]) -> None:
    """Keep a test that follows ``--pluralism-update-baseline`` a test."""
    options.tell_apart(args)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks, and how models and surveys of our own kinds are loaded."""
    # Named by its module too (pytest_plugins, -p), it is the same plugin and no second one.
    itself = sys.modules[__name__]
    for name in ("pluralism", __name__):
        pluginmanager._name2plugin.setdefault(name, itself)
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(loading, "pluralism-loading")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and resolve the settings so that a wrong one stops the run at its start."""
    try:
        _configure(config)
    except pytest.UsageError as error:
        # It may repeat what a stranger wrote.
        raise pytest.UsageError(harmless(str(error))) from None


def _configure(config: pytest.Config) -> None:
    config.pluginmanager.register(MarkerLines(config), "pluralism-markers")
    options.refuse_moved_root(config)
    session = PluralismSession(config, options.resolve(config))
    # Other names may belong to a hook in a conftest.py that is read while tests are collected.
    options.refuse_misspelt(config, session.settings, known_kinds=True)
    names = [model_id(spec) for spec in session.settings["model"]]
    for name in names:
        if names.count(name) > 1:
            raise pytest.UsageError(
                f"two models of this run are both called {name!r}, so that their tests and results could not be told "
                "apart. Rename a folder, or run them one after the other."
            )
    config.stash[SESSION] = session
    if not config.getoption("collectonly") and not session.settings["plan"] and not hasattr(config, "workerinput"):
        problem = session.baselines.check_writable(names)
        if problem:
            raise pytest.UsageError(f"--pluralism-baseline cannot be written: {problem}.")
    if session.settings["shard"] is not None:
        from pytest_pluralism.run import shards

        shards.refuse_misuse(session)
    alone = session.settings["plan"] or session.settings["aa"] is not None or session.settings["shard"] is not None
    if alone or config.getoption("pluralism_merge"):
        # There is nothing to distribute, whatever addopts says. This comes before pytest-xdist looks.
        config.option.dist, config.option.tx = "no", []
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Controller(session), "pluralism-controller")
    else:
        config.pluginmanager.register(Worker(session), "pluralism-worker")
    surroundings.register(config, session)
    if config.getoption("pluralism_list_promises") is not None:
        path = Path(config.getoption("pluralism_list_promises"))
        config.pluginmanager.register(promises.PromiseList(path), "pluralism-promises")
    if config.getoption("pluralism_merge"):
        from pytest_pluralism.run.merging import Merge

        session.models.merge = Merge([Path(one) for one in config.getoption("pluralism_merge")])
        config.pluginmanager.register(session.models.merge, "pluralism-merge")
    if config.getoption("pluralism_export") is not None:
        answers = config.getoption("pluralism_export_answers")
        export = exporting.Export(Path(config.getoption("pluralism_export")), answers)
        config.pluginmanager.register(export, "pluralism-export")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the run kept open."""
    session = config.stash.get(SESSION, None)
    if session is not None:
        session.models.close_store()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Show the settings that somebody chose, and where."""
    settings = config.stash[SESSION].settings
    chosen = [f"{name}={value} ({settings.origins[name]})" for name, value in settings.as_words().items()]
    chosen = [printable(one, most=1000) for one in chosen]
    return f"pluralism: {', '.join(chosen)}" if chosen else None


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what asks a language model once for each ``--pluralism-model``."""
    marked = marks_of(metafunc.definition)
    wanted = {"language_model", "pluralism"} & set(metafunc.fixturenames)
    specs = metafunc.config.stash[SESSION].settings["model"]
    if specs and (marked or wanted):
        _refuse_parametrized(metafunc, specs[0])
        if "language_model" not in metafunc.fixturenames:
            metafunc.fixturenames.append("language_model")
        # The session scope lets pytest sort the tests by model, so that each model loads once.
        metafunc.parametrize("language_model", specs, indirect=True, ids=parameter_id, scope="session")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a parameter so that its node id holds no command for a code host; pytest names all others."""
    if isinstance(val, str) and (safe := as_parameter_id(val)) != val:
        return safe.encode("unicode_escape", "surrogatepass").decode("ascii")
    return None


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, Any, Any]:
    """Warn of a function with a promise that is not a test by its name, and refuse one that pytest would not run."""
    if problem := yielding(collector, name, obj):
        raise collector.CollectError(harmless(problem))
    made = yield
    if made is None and (problem := uncollected(collector, name, obj) or uncollected_class(collector, name, obj)):
        collector.warn(pytest.PytestCollectionWarning(harmless(problem)))
    return made


# Last, so that markers which other hooks add are read too.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Read every marker, and let the tests whose markers are wrong report that before a model loads."""
    settings = config.stash[SESSION].settings
    if not hasattr(config, "workerinput"):
        options.refuse_misspelt(config, settings, known_kinds=False)
        if unread := marked_conftest(config):
            raise pytest.UsageError(harmless(unread))
    for item in items:
        problems = misspelt_marks(item)
        if not marks_of(item) and not problems:
            continue
        from pytest_pluralism.gate import plan_gates

        planned, wrong_marks = plan_gates(item, settings)
        item.stash[PLANS] = planned, [*wrong_marks, *problems]
        item.stash[MARKS] = _marks(item)
        if "pluralism" not in getattr(item, "fixturenames", ["pluralism"]):
            item.fixturenames.append("pluralism")  # type: ignore[attr-defined]
    session = config.stash[SESSION]
    collected = session.baselines.collected
    # A marker that is wrong plans nothing, and --lf leaves tests out before anybody sees them.
    has_wrong = any(item.stash.get(PLANS, ([], []))[1] for item in items)
    names_tests = any("::" in str(one) for one in config.args)
    collected.narrowed |= has_wrong or names_tests or bool(config.getoption("lf", False))
    collected.files.update(item.nodeid.partition("::")[0] for item in items)
    plans = ((item, plan) for item in items for plan in item.stash.get(PLANS, ([], []))[0])
    collected.keys.update(
        f"{test_of(item)} {key}" for item, plan in plans for key in (plan.key, *plan.part_keys.values())
    )
    wrong = session.baselines.collect([item.nodeid for item in items if item.stash.get(PLANS, ([], []))[0]])
    if wrong and items and not (hasattr(config, "workerinput") or config.getoption("collectonly")):
        raise pytest.UsageError(wrong)
    items.sort(key=lambda item: not item.stash.get(PLANS, ([], []))[1])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Remember each test, so that one that another plugin takes out is noticed."""
    item.config.stash[SESSION].baselines.collected.items.append(item)


def pytest_collection_finish(session: pytest.Session) -> None:
    """See whether tests were taken out."""
    collected = session.config.stash[SESSION].baselines.collected
    collected.narrowed |= not {id(item) for item in collected.items} <= {id(item) for item in session.items}
    collected.items.clear()


def pytest_deselected(items: list[pytest.Item]) -> None:
    """See that not all tests run, so that what no test uses cannot be known."""
    for item in items[:1]:
        item.config.stash[SESSION].baselines.collected.narrowed = True


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Show all that is wrong with the markers at once; below a quiet list of tests, which editors read."""
    wrong: dict[str, list[str]] = {}
    for item in items:
        for problem in item.stash.get(PLANS, ([], []))[1]:
            wrong.setdefault(problem, []).append(item.nodeid)
    lines = [
        harmless(f"pluralism: ERROR {tests[0]}{f' and {len(tests) - 1:,} more' if len(tests) > 1 else ''}: {problem}")
        for problem, tests in wrong.items()
    ]
    lines += [
        harmless(f"pluralism: {item.nodeid}: {plan.unreachable}")
        for item in items
        for plan in item.stash.get(PLANS, ([], []))[0]
        if plan.unreachable
    ]
    if not (config.getoption("collectonly") and config.option.verbose < 0):
        return lines
    config.stash[SESSION].below = lines
    return []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show below a quiet list of tests what is wrong with their markers."""
    for line in config.stash[SESSION].below:
        terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the hooks that hold for a test load its models: those of a ``conftest.py`` hold under its folder."""
    wrong = item.stash.get(PLANS, ([], []))[1]
    if wrong and is_never_run(item):
        # No fixture would tell of it.
        pytest.fail("\n".join(wrong), pytrace=False)
    item.config.stash[SESSION].models.enter(item)


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: Any) -> None:
    """Remember how a model of ours is closed, so that a test under other hooks gets its own, and what shadows ours."""
    models = request.config.stash[SESSION].models
    if fixturedef.argname not in SPECS:
        return
    if getattr(fixturedef.func, "__module__", "") == Pluralism.__module__:
        models.opened(fixturedef.argname, functools.partial(fixturedef.finish, request))
    elif fixturedef.argname not in fixturedef.argnames:
        models.shadowed(fixturedef)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """After the body of a marked test, judge its promises."""
    if not hasattr(item, "fixturenames") and PLANS in item.stash:
        pytest.fail("\n".join(item.stash[PLANS][1]), pytrace=False)
    try:
        result = yield
    except PluralismError as error:
        if {"pluralism", "jury"}.isdisjoint(getattr(item, "fixturenames", ())):
            raise
        # The sentence says what is wrong; the frames of ours between it and the test do not.
        pytest.fail(failure_of(item, error), pytrace=False)
    except pytest.skip.Exception as skipped:
        if PLANS in item.stash and NOT_AWAITED in str(skipped):
            pytest.fail(
                "the test is an async function, which pytest does not run, so that its promises were not judged. "
                "Install pytest-asyncio or anyio and mark the test for it, or take the word async out.",
                pytrace=False,
            )
        raise
    if _marks(item) != item.stash.get(MARKS, 0):
        pytest.fail(
            "a marker of this plugin was added after collection, so that its promise was not judged. "
            "Put it on the test, or add it in pytest_collection_modifyitems.",
            pytrace=False,
        )
    given = getattr(item, "funcargs", {})
    if "pluralism" in given and item.stash.get(PLANS, None):
        handle = given["pluralism"]
        if not isinstance(handle, Pluralism):
            pytest.fail(
                "the fixture 'pluralism' of this test is one of the project's own, so that the promises of its markers "
                "were not judged. Give that fixture another name.",
                pytrace=False,
            )
        handle.assert_promises()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Send the verdicts of a test along with its report, from a worker to the controller too."""
    entries = item.stash.get(ENTRIES, [])
    if call.when == "call" and entries:
        from pytest_pluralism.report.junit_xml import properties

        ours = properties(entries)
        # A test that runs again (pytest-rerunfailures) has those of its earlier run.
        names = {name for name, _ in ours}
        item.user_properties[:] = [*(one for one in item.user_properties if one[0] not in names), *ours]
    report = yield
    if hasattr(report, "wasxfail") and report.skipped and _is_wrong(item, call):
        # An expected failure is a promise that is broken, and not one that was never judged.
        report.outcome = "failed"
        del report.wasxfail
    if call.when == "call":
        report.pluralism_entries = item.stash.get(ENTRIES, [])
    if report.failed and call.when != "teardown" and PLANS in item.stash and call.excinfo is not None:
        missing = error_entries(item, str(call.excinfo.value))
        report.pluralism_entries = [*getattr(report, "pluralism_entries", []), *missing]
    return report


def _is_wrong(item: pytest.Item, call: pytest.CallInfo[None]) -> bool:
    """Return whether a test failed because its promises could not be judged."""
    if PLANS not in item.stash or call.excinfo is None or call.excinfo.errisinstance(pytest.xfail.Exception):
        return False
    if call.when != "call":
        return call.when == "setup" and bool(item.stash[PLANS][1])
    entries = item.stash.get(ENTRIES, [])
    return item.stash.get(UNJUDGED, False) or any(entry["outcome"] == "error" for entry in entries)


def _marks(item: pytest.Item) -> int:
    return len(marks_of(item))


def _refuse_parametrized(metafunc: pytest.Metafunc, spec: str) -> None:
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        words = names.replace(",", " ").split() if isinstance(names, str) else names
        if "language_model" in words:
            pytest.fail(
                f"{metafunc.definition.nodeid} is parametrized with 'language_model', and --pluralism-model={spec} "
                "parametrizes it too. Run without the option, or name each model with --pluralism-model=SPEC and leave "
                "the mark out.",
                pytrace=False,
            )
