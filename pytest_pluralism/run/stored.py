"""The entries that a run stores: one for a promise, or one for each measurement that a promise is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_pluralism.run.items import Json
from pytest_pluralism.run.measured import Measured, NoiseFloors

if TYPE_CHECKING:
    from pytest_pluralism.settings.resolving import Settings

__all__ = ["new_entry", "new_parts"]


def new_entry(measured: Measured, floors: NoiseFloors, settings: Settings, suite: str | None) -> Json:
    """Return the entry that stores a measurement.

    Parameters
    ----------
    measured : Measured
        The measurement.
    floors : NoiseFloors
        How much an unchanged model may seem to move.
    settings : Settings
        The settings of the run.
    suite : str or None
        The suite that stores it.
    """
    from pytest_pluralism.baselines.comparison import entry_of

    plan = measured.plan
    origins = {
        name: settings.origins[name] if settings.values.get(name) == value else "marker"
        for name, value in plan.settings.items()
        if name in settings.origins
    }
    entry = entry_of(
        measured.scores,
        measured.estimate,
        measured.provenance,
        plan.population,
        direction=plan.measure.direction,
        gate=plan.gate,
        prompts_sha256=measured.prompts_sha256,
        noise_floor=floors.mean or None,
        origins={name: origin for name, origin in origins.items() if origin != "default"},
    )
    return entry if suite is None else {**entry, "suite": suite}


def new_parts(
    measured: Measured, parts: Mapping[str, Measured], test: str, settings: Settings, suite: str | None
) -> dict[str, Json]:
    """Return the entries of the measurements that a promise is about, by key, each with that promise.

    A measurement by itself promises nothing, or another thing than all of them together.
    """
    plan = measured.plan
    assert plan.gate is not None  # noqa: S101 - the types say less than the callers know
    promise = {"key": f"{test} {plan.key}", "gate": plan.gate.as_json()}
    return {
        f"{test} {key}": {**new_entry(parts[name], NoiseFloors(), settings, suite), "promise": promise}
        for name, key in plan.part_keys.items()
    }
