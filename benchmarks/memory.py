"""What the packaged models cost in memory, and whether closing one gives it back: `python benchmarks/memory.py`.

Prints JSON. Each measurement runs in a process of its own, since a peak never comes down again.
"""

from __future__ import annotations

import json
import subprocess
import sys

MODELS = ("embedded:smollm2-135m-instruct", "embedded:gemma-3-270m")


def peak_mib() -> float:
    """Return the highest resident memory of this process so far."""
    import resource

    # Kilobytes on Linux, bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def now_mib() -> float:
    """Return the resident memory of this process."""
    import psutil

    return psutil.Process().memory_info().rss / (1 << 20)


def one_process(specs: list[str]) -> dict[str, object]:
    """Load, ask and close models in turn."""
    from pytest_pluralism.core.records import Prompt
    from pytest_pluralism.models import load_model

    prompts = [
        Prompt(f"Question {number}: what do you think?\nA. Yes\nB. No", ("A", "B"), system="You answer a survey. " * 20)
        for number in range(8)
    ]
    stages = []
    for spec in specs:
        model = load_model(spec)
        loaded = now_mib()
        model.answer(prompts)
        asked = now_mib()
        model.close()
        del model
        stages.append({"model": spec, "loaded": loaded, "asked": asked, "closed": now_mib()})
    return {"peak": peak_mib(), "stages": stages}


def measure(specs: list[str]) -> dict[str, object]:
    """Run :func:`one_process` in a new process."""
    done = subprocess.run([sys.executable, __file__, *specs], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    alone = {spec: measure([spec]) for spec in MODELS}
    in_turn = measure(list(MODELS))
    larger = max(float(result["peak"]) for result in alone.values())
    ratio = float(in_turn["peak"]) / larger
    print(
        json.dumps({"unit": "MiB resident", "alone": alone, "in_turn": in_turn, "ratio": ratio, "limit": 1.3}, indent=1)
    )
    if ratio >= 1.3:
        sys.exit("two models in turn cost more than 1.3 times the larger one")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one_process(sys.argv[1:])))
    else:
        main()
