"""Items of pytest, and what the plugin keeps at each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from _pytest.skipping import Skip, Xfail, evaluate_skip_marks, evaluate_xfail_marks

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.records.plain import JsonFields
from pytest_pluralism.core.untrusted import as_parameter_id

if TYPE_CHECKING:
    from pytest_pluralism.evaluation.measures.planning import PlannedGate

__all__ = [
    "ENTRIES",
    "MARKS",
    "PLANS",
    "UNJUDGED",
    "Json",
    "Suite",
    "by_suite",
    "error_entries",
    "forms_in_ids",
    "model_id",
    "parameter_id",
    "plans_of",
    "skipped_because",
    "suite_of",
    "test_of",
]


#: The hooks that load models.
MODEL_HOOKS = (
    "pytest_pluralism_load_model",
    "pytest_pluralism_load_entailment_model",
    "pytest_pluralism_load_value_model",
    "pytest_pluralism_load_steered_model",
)

#: The plugins whose hooks load the models of a test, by name: those of a ``conftest.py`` hold under its folder.
Suite = tuple[str, ...]

#: A JSON object.
Json: TypeAlias = JsonFields

#: The promises of a test, and what is wrong with its markers.
PLANS: pytest.StashKey[tuple[list[PlannedGate], list[str]]] = pytest.StashKey()

#: How many markers of ours a test had when they were read.
MARKS: pytest.StashKey[int] = pytest.StashKey()

#: Whether the promises of a test could not be judged, whatever was measured.
UNJUDGED: pytest.StashKey[bool] = pytest.StashKey()

#: The verdicts of a test, as JSON values, on their way to its report.
ENTRIES: pytest.StashKey[list[Json]] = pytest.StashKey()


def suite_of(item: pytest.Item) -> Suite:
    """Return which hooks load the models of a test; tests of one suite share their models."""
    hooks = (getattr(item.ihook, name) for name in MODEL_HOOKS)
    return tuple(impl.plugin_name for hook in hooks for impl in hook.get_hookimpls())


def by_suite(items: Iterable[pytest.Item], spec: str) -> list[list[pytest.Item]]:
    """Return the tests with promises about a model, those whose models the same hooks load together."""
    found: dict[Suite, list[pytest.Item]] = {}
    for item in items:
        if plans_of(item, spec):
            found.setdefault(suite_of(item), []).append(item)
    return list(found.values())


def plans_of(item: pytest.Item, spec: str) -> list[PlannedGate]:
    """Return the promises of a test that one model must keep."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or callspec.params.get("language_model") != spec or PLANS not in item.stash:
        return []
    return item.stash[PLANS][0] if skipped_because(item) is None else []


def is_never_run(item: pytest.Item) -> bool:
    """Return whether a test is expected to fail and not run at all: ``xfail(run=False)``."""
    try:
        _, expected = _as_marked(item)
    except (pytest.fail.Exception, TypeError):
        # The error of its test.
        return False
    return expected is not None and not expected.run


def skipped_because(item: pytest.Item) -> str | None:
    """Return why a test does not run, as its marks ``skip``, ``skipif`` and ``xfail`` say; ``None`` where it runs."""
    try:
        skipped, expected = _as_marked(item)
    except (pytest.fail.Exception, TypeError) as error:
        # A condition that cannot be evaluated is the error of its test, which does not run.
        return str(error)
    if skipped is not None:
        return skipped.reason
    if expected is not None and not expected.run:
        return expected.reason or "xfail(run=False)"
    return None


def _as_marked(item: pytest.Item) -> tuple[Skip | None, Xfail | None]:
    """Return what the marks ``skip``, ``skipif`` and ``xfail`` of a test come to; of a skipped one only the former."""
    if not item.config.pluginmanager.hasplugin("skipping"):
        # With -p no:skipping all tests run.
        return None, None
    skipped = evaluate_skip_marks(item)
    return skipped, None if skipped or item.config.option.runxfail else evaluate_xfail_marks(item)


def test_of(item: pytest.Item) -> str:
    """Return the node id of a test without the model in its brackets."""
    callspec = getattr(item, "callspec", None)
    nodeid = item.nodeid
    if getattr(item.config.option, "loadgroup", False) and item.get_closest_marker("xdist_group") is not None:
        # With --dist loadgroup pytest-xdist adds the group.
        nodeid = nodeid.rpartition("@")[0] or nodeid
    if callspec is None or "language_model" not in callspec.params:
        return nodeid
    base, _, inside = nodeid.partition("[")
    forms = forms_in_ids(callspec.params["language_model"])
    own = next((form for form in forms if form in inside), forms[0])
    rest = "-".join(part for part in inside.removesuffix("]").replace(own, "\0", 1).split("-") if part != "\0")
    return f"{base}[{rest}]" if rest else base


def parameter_id(spec: str) -> str:
    """Return the name of a model for the brackets of a node id, before pytest escapes it."""
    return as_parameter_id(model_id(spec))


def forms_in_ids(spec: str) -> tuple[str, str]:
    """Return how a model is called in node ids, where the project lets pytest escape what is not ASCII or not."""
    name = parameter_id(spec)
    return name.encode("unicode_escape", "surrogatepass").decode("ascii"), name


def model_id(spec: str) -> str:
    """Return the name of a model."""
    from pytest_pluralism.models.specification import parse_model_spec

    try:
        return parse_model_spec(spec).name
    except PluralismError:
        return spec


def error_entries(item: pytest.Item, reason: str) -> list[Json]:
    """Return the entries of the promises of a test that nothing was said of: they were not judged."""
    from pytest_pluralism.core.untrusted import harmless
    from pytest_pluralism.markers import marks_of
    from pytest_pluralism.report.json_report import error_json

    plans, problems = item.stash[PLANS]
    judged = {entry["key"] for entry in item.stash.get(ENTRIES, [])}
    test = test_of(item)
    callspec = getattr(item, "callspec", None)
    spec = callspec.params.get("language_model") if callspec else None
    model = {"spec": spec, "name": "" if spec is None else model_id(spec)}
    reason = harmless("; ".join(problems) or reason)[:2000]
    result = [
        error_json(
            item.nodeid,
            test,
            plan.key,
            plan.measure.name,
            reason,
            model=model,
            dataset={name: plan.source[name] for name in ("name", "sha256") if name in plan.source},
        )
        for plan in plans
        if plan.key not in judged
    ]
    if problems and not plans:
        # Of a misspelt marker alone, it is that one's name.
        name = next(mark.name for mark in (*marks_of(item), *item.iter_markers()) if mark.name in problems[0])
        result.append(error_json(item.nodeid, test, name, name, reason, model=model, dataset=None))
    return result
