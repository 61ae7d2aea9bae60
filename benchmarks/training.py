"""Cost of the training callback: the share of a training run that its looks take.

Run it on one core::

    OMP_NUM_THREADS=1 python benchmarks/training.py

The packaged SmolLM2-135M-Instruct is trained with LoRA (r 16, last 12 of 30 layers) on batches of eight dialogues of 78
tokens, which are drawn at random: what a token says does not change what it costs. The time of a few steps is projected
to one epoch of 956 dialogues. All times are of the processor, which other work on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

#: The training run of the documentation: dialogues, and their mean length in tokens.
DIALOGUES, LENGTH, BATCH = 956, 78, 8


def main() -> None:
    import peft
    import torch
    import transformers

    from pytest_pluralism import load_model
    from pytest_pluralism.training import PluralismCallback

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed (default: 6)")
    steps = parser.parse_args().steps
    model = load_model("embedded:smollm2-135m-instruct")
    parts = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    chosen = peft.LoraConfig(
        r=16, lora_alpha=32, target_modules=parts, layers_to_transform=list(range(18, 30)), task_type="CAUSAL_LM"
    )
    network = peft.get_peft_model(model.network, chosen)
    torch.manual_seed(0)
    rows = torch.randint(10, 40_000, (steps * BATCH, LENGTH)).tolist()
    data = [{"input_ids": row, "labels": row} for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=1e-4, report_to=[],
            use_cpu=True, save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=network,
            args=arguments,
            train_dataset=data,
            data_collator=transformers.DataCollatorForSeq2Seq(model.tokenizer),
        )
        timed = _Timed(PluralismCallback(trainer, tokenizer=model.tokenizer, at_start=True))
        trainer.add_callback(timed)
        trainer.train()
    step = timed.steps / steps
    epoch = step * DIALOGUES / BATCH
    print(f"threads: {os.environ.get('OMP_NUM_THREADS', 'not set')}")
    print(f"a step of {BATCH} dialogues: {step:.2f} s of CPU; an epoch of {DIALOGUES}: {epoch:.0f} s")
    for name, seconds in zip(("before the first step", "after the epoch"), timed.looks, strict=True):
        print(f"a look {name}: {seconds:.1f} s of CPU, {100 * seconds / epoch:.1f} % of the epoch")
    print(f"both looks: {100 * sum(timed.looks) / epoch:.1f} % of the epoch")


class _Timed:
    """Passes the events of a trainer on to a callback, and measures the time of the looks and of the steps."""

    def __init__(self, callback: object) -> None:
        self.callback = callback
        self.looks: list[float] = []
        self.steps = 0.0
        self.began = 0.0

    def __getattr__(self, name: str) -> object:
        passed_on = getattr(self.callback, name)

        def event(*arguments: object, **keywords: object) -> object:
            now = time.process_time()
            if name == "on_step_begin":
                self.began = now
            elif name == "on_step_end":
                self.steps += now - self.began
            result = passed_on(*arguments, **keywords)
            if name in ("on_train_begin", "on_epoch_end"):
                self.looks.append(time.process_time() - now)
            return result

        return event


if __name__ == "__main__":
    main()
