"""The table of measures that can be promised; free of numpy, because the plugin reads it when it loads."""

from __future__ import annotations

from pytest_pluralism.core.measures import Measure

__all__ = ["MEASURES"]

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "js_distance",
            "lower",
            "JS distance",
            "Jensen-Shannon distance (base 2, from 0 to 1) between the answers of a model and of a population",
            lowest=0.0,
            highest=1.0,
        ),
    )
}
