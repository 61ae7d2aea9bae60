"""Compare published distances of models on GlobalOpinionQA with those of their recorded answers.

.. code-block:: console

    $ git clone https://github.com/awesel/GlobalOpinionBench
    $ python tools/compare_recordings.py GlobalOpinionBench
"""

from __future__ import annotations

import ast
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_pluralism.core.metrics import jensen_shannon_distance

#: The cells of ``responses/benchmarking-final.ipynb``.
COUNTRIES = ("Brazil", "China", "Nigeria", "Pakistan", "Sweden", "United States")
PUBLISHED = {
    "gpt4.1": (0.245058, 0.269503, 0.260519, 0.273444, 0.269884, 0.208224),
    "claude": (0.306741, 0.339326, 0.290275, 0.297041, 0.320961, 0.216307),
    "gemini": (0.290824, 0.355871, 0.327206, 0.317631, 0.317541, 0.270302),
}


def distances(path: Path) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, int]]:
    """Return distances by country as published, those of whole answers alone, and how many answers are odd."""
    published, whole, odd = defaultdict(list), defaultdict(list), defaultdict(int)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            people, model = (
                np.array(ast.literal_eval(row[name]), float) for name in ("selections", "llm_distribution")
            )
            n_options = max(len(people), len(model))
            if not people.sum() or not model.sum():
                odd["nothing but zeros"] += 1
                continue
            found = float(jensen_shannon_distance(padded(people, n_options), padded(model, n_options)))
            published[row["country"]].append(found)
            if len(people) != len(model):
                odd["another number of options"] += 1
            elif abs(model.sum() - 1) > 0.02:
                odd["a sum that is not 1"] += 1
            else:
                whole[row["country"]].append(found)
    return published, whole, odd


def padded(shares: npt.NDArray[np.float64], n_options: int) -> npt.NDArray[np.float64]:
    """Return shares of a number of options that sum to 1; missing ones are 0, as in the published computation."""
    return np.pad(shares, (0, n_options - len(shares))) / shares.sum()


def main(folder: Path) -> None:
    """Print each cell as published, as computed here, and over whole answers alone."""
    csv.field_size_limit(10**8)
    for name, cells in PUBLISHED.items():
        published, whole, odd = distances(folder / "responses" / "benchmark" / f"{name}.csv")
        print(name, dict(odd))
        for country, cell in zip(COUNTRIES, cells, strict=True):
            here, sound = np.mean(published[country]), np.mean(whole[country])
            print(f"  {country:14} {cell:.6f} {here:.6f} {abs(here - cell):.0e}", end="")
            print(f"  whole {sound:.4f} ({len(whole[country])})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
