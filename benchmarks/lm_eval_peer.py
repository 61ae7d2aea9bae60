"""Way C of `benchmarks/scoring.py`: lm-eval's own scoring loop, in an environment of its own.

It is started by that benchmark and speaks JSON, a line each: the token ids of contexts, and for each the tokens of its
answers, one token an answer. Only the inner loop is timed, not lm-eval's fixed cost of some seconds for each call.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version


def main() -> None:
    folder, dtype, batch_size, threads = sys.argv[1:]
    # Lines that are printed while a model loads must not come between the replies.
    reply = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    import torch

    torch.set_num_threads(int(threads))
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=folder, dtype=dtype, batch_size=int(batch_size), device="cpu")
    versions = {name: version(name) for name in ("lm_eval", "torch", "transformers")}

    def say(content: object) -> None:
        reply.write(json.dumps(content) + "\n")
        reply.flush()

    say({"ready": True, "versions": versions, "resident_mib": peak_mib()})
    for line in sys.stdin:
        asked = json.loads(line)
        requests = [
            ((f"context {number}", f" {token}"), context, [token])
            for number, (context, tokens) in enumerate(asked)
            for token in tokens
        ]
        started = time.perf_counter()
        found = model._loglikelihood_tokens(requests, disable_tqdm=True)
        seconds = time.perf_counter() - started
        values = iter(found)
        scores = [[next(values)[0] for _ in tokens] for _, tokens in asked]
        say({"seconds": seconds, "log_probabilities": scores, "peak_mib": peak_mib()})


def peak_mib() -> float:
    """Return the highest resident memory of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


if __name__ == "__main__":
    main()
