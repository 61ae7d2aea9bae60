"""Simulate how much labels narrow the interval of corrected coverage: the last table of docs/explanation/judges.md.

python tools/simulate_labels.py [--page docs/explanation/judges.md]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pytest_pluralism.core.estimation.at_level import with_extra_variance
from pytest_pluralism.core.estimation.intervals import estimate_mean
from pytest_pluralism.core.estimation.judged import corrected_shares, level_variance
from pytest_pluralism.core.estimation.labelled import Label, calibrate_from_labels

SEED = 11
QUERIES, ANSWERS = 60, 5
SENSITIVITY, SPECIFICITY, COVERAGE = 0.75, 0.95, 0.5
LABELS = (25, 50, 100, 200, 400)
RUNS = 200


def run(rng: np.random.Generator, n_labels: int) -> tuple[float, float, bool]:
    """Return the half width without and with what the labels do not know, and whether the interval holds the truth."""
    share = np.clip(rng.normal(COVERAGE, 0.2, QUERIES), 0.0, 1.0)
    held = rng.random((QUERIES, ANSWERS)) < share[:, None]
    found = np.where(held, rng.random(held.shape) < SENSITIVITY, rng.random(held.shape) > SPECIFICITY)
    labels = []
    for value in (True, False):
        places = np.argwhere(found == value)
        taken = rng.permutation(len(places))[: n_labels // 2]
        labels += [
            Label(float(value), bool(held[query, answer]), len(places) / len(taken), str(query))
            for query, answer in places[taken]
        ]
    calibration = calibrate_from_labels(labels, threshold=0.5, data="labels", data_sha256="-")
    estimate = estimate_mean(corrected_shares(found.mean(axis=1).tolist(), [ANSWERS] * QUERIES, calibration))
    corrected = with_extra_variance(estimate, level_variance(estimate.value, calibration))
    alone = (estimate.high - estimate.low) / 2.0
    return alone, (corrected.high - corrected.low) / 2.0, bool(corrected.low <= COVERAGE <= corrected.high)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", help="write the table here")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    lines = [
        "| labels | half width, median | ... if the errors were known exactly | holds the truth |",
        "|---|---|---|---|",
    ]
    for n in LABELS:
        found = []
        for _ in range(RUNS):
            try:
                found.append(run(rng, n))
            except ValueError:
                # Too few labels of one kind.
                found.append((np.nan, np.nan, True))
        alone, width, holds = zip(*found, strict=True)
        lines.append(f"| {n} | {np.nanmedian(width):.3f} | {np.nanmedian(alone):.3f} | {100 * np.mean(holds):.0f} % |")
    print("\n".join(lines))
    if options.page:
        page = Path(options.page)
        before, _, rest = page.read_text(encoding="utf-8").partition("<!-- labels -->")
        _, _, after = rest.partition("<!-- end -->")
        page.write_text(
            "\n".join([before + "<!-- labels -->", "", *lines, "", "<!-- end -->" + after]), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
