"""Answers exported prompts with Ray Data, and writes rows that ``responses:FILE`` reads.

The plugin itself never imports Ray: this job runs where the model runs.

.. code-block:: console

    $ pluralism export tests -o prompts.jsonl
    $ python ray_answers.py prompts.jsonl answers.jsonl --model=embedded:smollm2-135m-instruct --workers=2
    $ python ray_answers.py prompts.jsonl answers.jsonl --model=meta/llama --engine=vllm --workers=4 --gpus=2
    $ pytest --pluralism-model=responses:answers.jsonl

A row that is in the output is not asked again, so that a job that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from pathlib import Path

#: The number of prompts that one call of an actor answers.
BATCH = 64

#: The likeliest tokens that vLLM gives for each prompt (`max_logprobs`).
TOP_TOKENS = 20


class Answerer:
    """Answers rows with a model of this package: the same numbers as in a run of pytest."""

    def __init__(self, model: str, dtype: str) -> None:
        from pytest_pluralism.models import load_model

        self.model = load_model(model, dtype=dtype)

    def __call__(self, batch):
        from pytest_pluralism.models.recorded.exported import answered_rows

        rows = [json.loads(text) for text in batch["row"]]
        return {"answer": [json.dumps(one) for one in answered_rows(self.model, rows)]}


class VllmAnswerer:
    """Answers rows with vLLM: likeliest tokens of closed questions, and texts."""

    def __init__(self, model: str, dtype: str, gpus: int) -> None:
        from vllm import LLM

        self.llm = LLM(model, dtype=dtype, tensor_parallel_size=max(gpus, 1), max_logprobs=TOP_TOKENS)
        self.has_chat = bool(getattr(self.llm.get_tokenizer(), "chat_template", None))

    def __call__(self, batch):
        answers = []
        for text in batch["row"]:
            answers += list(self.answered(json.loads(text)))
        return {"answer": [json.dumps(one) for one in answers]}

    def answered(self, row):
        from vllm import SamplingParams

        if row["work"] == "responses":
            how = row["settings"]
            asked = SamplingParams(
                n=row["n_draws"],
                max_tokens=how["max_new_tokens"],
                temperature=how.get("temperature", 1.0),
                top_p=how.get("top_p", 1.0),
                stop=how.get("stop"),
                seed=how.get("seed", 0),
            )
        elif row["work"] == "answers":
            asked = SamplingParams(max_tokens=1, temperature=0.0, logprobs=TOP_TOKENS)
        else:
            raise SystemExit(f"vLLM is not asked for {row['work']}: use --engine=package for these rows.")
        as_chat = "messages" in row and (self.has_chat or "prompt" not in row)
        (done,) = self.llm.chat(row["messages"], asked) if as_chat else self.llm.generate([row["prompt"]], asked)
        for draw, one in enumerate(done.outputs):
            if row["work"] == "answers":
                top = {token.decoded_token: token.logprob for token in one.logprobs[0].values()}
                yield {"prompt_id": row["prompt_id"], "top_log_probabilities": top}
            else:
                stopped = "length" if one.finish_reason == "length" else "eos"
                yield {"prompt_id": row["prompt_id"], "response": one.text, "draw": draw, "stopped_by": stopped}


def left(prompts: Path, answers: Path) -> list[str]:
    """Return the rows whose answers are not there; what a killed job wrote by halves is cut away first."""
    with prompts.open(encoding="utf-8") as lines:
        rows = {json.loads(line)["prompt_id"]: line for line in lines}
    if not answers.exists():
        return list(rows.values())
    whole = answers.read_bytes()
    header, *written = whole[: whole.rfind(b"\n") + 1].splitlines(keepends=True)
    found = Counter(json.loads(line)["prompt_id"] for line in written)
    done = {name for name, line in rows.items() if found[name] >= json.loads(line).get("n_draws", 1)}
    kept = [
        line for line in written if json.loads(line)["prompt_id"] in done or json.loads(line)["prompt_id"] not in rows
    ]
    answers.write_bytes(b"".join([header, *kept]))
    return [line for name, line in rows.items() if name not in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", help="the name of the model in reports and baselines (default: --model)")
    parser.add_argument("--engine", choices=("package", "vllm"), default="package")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of each worker")
    arguments = parser.parse_args()
    rows = left(arguments.prompts, arguments.answers)
    print(f"{len(rows)} prompts to answer")
    if not arguments.answers.exists():
        dtype = {} if arguments.dtype == "auto" else {"dtype": arguments.dtype}
        header = {"model": {"name": arguments.name or arguments.model.rpartition(":")[2], **dtype}}
        arguments.answers.write_text(json.dumps(header) + "\n", encoding="utf-8")
    if not rows:
        return
    import ray

    ray.init(ignore_reinit_error=True)
    vllm = arguments.engine == "vllm"
    values = (arguments.model, arguments.dtype, arguments.gpus) if vllm else (arguments.model, arguments.dtype)
    # Texts of one prompt stay together: a row is a prompt, and an actor answers whole rows.
    found = ray.data.from_items(
        [{"row": row} for row in rows], override_num_blocks=max(1, len(rows) // BATCH)
    ).map_batches(
        VllmAnswerer if vllm else Answerer,
        fn_constructor_args=values,
        batch_size=BATCH,
        concurrency=arguments.workers,
        num_gpus=arguments.gpus or None,
    )
    with arguments.answers.open("a", encoding="utf-8") as file:
        # All rows of a batch are written before the next, so that no prompt is half there.
        for batch in found.iter_batches(batch_size=None):
            file.writelines(f"{text}\n" for text in itertools.chain(batch["answer"]))
            file.flush()


if __name__ == "__main__":
    main()
