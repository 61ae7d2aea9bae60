"""Matrix products of a network's layers, through MKL and oneDNN: `python benchmarks/products.py [--model SPEC]`.

The products of one layer are computed for several numbers of tokens, those of the output layer for several rows, with
the weights of all layers in turn, so that they come from memory as they do in a forward.
The two ways take turns; the least processor time of the turns counts, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import time
from unittest import mock

import torch

from pytest_pluralism.models import load_model
from pytest_pluralism.models.local import products


def least(parts: list[torch.nn.Linear], n_rows: int, turns: int) -> dict[str, float]:
    """Return the milliseconds of processor time of each way, for all parts once."""
    inputs = {part.in_features: torch.randn(n_rows, part.in_features) for part in parts}
    network = torch.nn.ModuleList(parts)
    times: dict[str, list[float]] = {"MKL": [], "oneDNN": []}
    for _ in range(turns + 1):
        for way, taken in times.items():
            with (
                torch.inference_mode(),
                mock.patch.object(products, "has_slow_products", lambda way=way: way == "oneDNN"),
                products.quick_products(network),
            ):
                started = time.process_time()
                for part in parts:
                    part(inputs[part.in_features])
                taken.append(1000 * (time.process_time() - started))
    return {way: min(taken[1:]) for way, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded:gemma-3-270m")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    network = load_model(options.model).scorer.model
    head = network.get_output_embeddings()
    layers = [part for part in network.modules() if type(part) is torch.nn.Linear and part is not head]
    for name, parts, sizes in (
        ("layers", layers, (1, 17, 48, 160, 640)),
        ("output layer", [head], (1, 7, 20, 33, 150)),
    ):
        for n_rows in sizes:
            result = {"products": name, "rows": n_rows, "threads": torch.get_num_threads()}
            ways = {f"{way} ms": round(value, 1) for way, value in least(parts, n_rows, options.turns).items()}
            print(json.dumps({**result, **ways}), flush=True)


if __name__ == "__main__":
    main()
