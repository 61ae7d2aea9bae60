"""Fit the combined judge of the small entailment model, and measure the errors of all judges.

    python tools/fit_judge.py --work-dir DIR            # fits, measures, and writes judge_calibration.json and the card
    python tools/fit_judge.py --work-dir DIR --dry-run  # prints, and writes nothing

Texts are those of `tools/overton_texts.py`.
DIR keeps what the models said, so that a run that was killed goes on where it was; without it everything takes about
half an hour on one core.
The weights are those of a logistic regression on the sentences of the `fit` claims.
The threshold of each judge is the lowest at which 97 % of the answers that a response does not hold are not found, on
responses that are put together from the `cal` claims; sensitivity and specificity are those of the same responses, with
standard errors that resample claims.
`tools/simulate_overton.py` measures the judges on the `test` claims.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from overton_texts import SHARED, Claim, Composed, composed, read_claims, share
from sklearn.linear_model import LogisticRegression

from pytest_pluralism.core.judges import FEATURES, JUDGES, CombinedJudge, features_of
from pytest_pluralism.core.records import Window
from pytest_pluralism.core.records.calibration import JudgeCalibration
from pytest_pluralism.evaluation.asking.engine import Engine
from pytest_pluralism.evaluation.asking.rounds import Round, drive
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge, nearest, pairs_of
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.calibration import CALIBRATION_FILE, JudgeFile, judges_text

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "fixtures" / "models" / "nli-minilm"
SEED = 20

#: The share of the claims of each side of the split of which some are read, and how many: more would take longer.
READ = {"fit": (0.5, 75), "cal": (0.55, 83), "test": (0.7, 76)}

#: The judges that read every text of every answer are measured on so many of the `cal` claims.
READ_BY_ENTAILMENT = 50

#: Texts of which the cosine is below are not read by the entailment model.
LEAST_SIMILARITY = 0.3

#: How often a sentence that holds nothing counts: less where there are many of a kind, more where few are read.
WEIGHTS = {"unclear": 0.5, "empty": 0.5, "off": 0.5, "other": 2.0}

#: The specificity at which the thresholds are set.
SPECIFICITY = 0.97
RESPONSES_A_CLAIM = 10
MOST_OTHERS = 4
RESAMPLES = 400

Answered = Callable[[Round], Sequence[Any]]


def chosen(claims: Sequence[Claim], split: str) -> list[Claim]:
    """Return the claims of one side of the split that are read, in a fixed order."""
    part, n = READ[split]
    kept = [one for one in claims if one.split == split and share(f"judge split sub {one.number}") < part]
    return sorted(kept, key=lambda one: share(f"judge split order {one.number}"))[:n]


def asking(folder: Path, model: str = str(MODEL)) -> tuple[Answered, str]:
    """Return what answers rounds (the packaged encoder, an entailment model, a store), and the hash of the weights."""
    from pytest_pluralism.models import load_entailment_model
    from pytest_pluralism.models.local.embeddings import TextEncoder

    store = AnswerStore(folder)
    models: dict[str, Any] = {"similarities": TextEncoder(), "entailment": load_entailment_model(model, device="cpu")}

    @contextlib.contextmanager
    def progress(text: str) -> Iterator[Callable[[int, int], None]]:
        def shown(done: int, n: int) -> None:
            if sys.stderr.isatty():
                print(f"\r{text} {done}/{n} ", end="", file=sys.stderr)

        yield shown

    engine = Engine(store=lambda: store, note=print, progress=progress)
    identity = models["entailment"].identity
    return (lambda asked: engine.answered(asked, models[asked.work])), str(identity.parts["weights"])


def features(claims: Sequence[Claim], answered: Answered) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the features of the sentences of claims, whether each holds its answer, and how much it counts.

    Sentences that are too unlike an answer are left out: no weight decides about them.
    """
    both = [(claim, one) for claim in claims for one in claim.sentences]
    pairs = tuple(dict.fromkeys(pair for claim, one in both for pair in pairs_of(claim.window, one.text)))
    alike = dict(zip(pairs, answered(Round("similarities", pairs)), strict=True))
    near = [nearest(claim.window, one.text, alike)[one.answer] for claim, one in both]
    kept = [(one, found) for (_, one), found in zip(both, near, strict=True) if found.similarity >= LEAST_SIMILARITY]
    asked = tuple(dict.fromkeys(pair for _, found in kept for pair in found.pairs))
    known = dict(zip(asked, answered(Round("entailment", asked)), strict=True))
    rows = [
        features_of(found.part, found.text, *(known[pair] for pair in found.pairs), found.similarity, found.others)
        for _, found in kept
    ]
    return (
        np.array([list(row.values()) for row in rows]),
        np.array([one.holds for one, _ in kept]),
        np.array([WEIGHTS.get(one.kind, 1.0) for one, _ in kept]),
    )


def fitted(rows: np.ndarray, holds: np.ndarray, weights: np.ndarray) -> CombinedJudge:
    """Return the judge with the weights of a logistic regression."""
    mean, spread = rows.mean(axis=0), rows.std(axis=0)
    model = LogisticRegression(C=1.0, max_iter=5000).fit((rows - mean) / spread, holds, sample_weight=weights)
    slopes = model.coef_[0] / spread
    intercept = float(model.intercept_[0] - slopes @ mean)
    named = {name: round(float(slope), 4) for name, slope in zip(FEATURES, slopes, strict=True)}
    return CombinedJudge(round(intercept, 4), named, LEAST_SIMILARITY)


def responses(claims: Sequence[Claim], seed: int, n: int = RESPONSES_A_CLAIM) -> list[Composed]:
    """Return responses to claims that hold none to all of what can be said."""
    found = []
    for claim in claims:
        draw = random.Random(f"{seed}/{claim.number}")
        for _ in range(n):
            places = claim.sayable
            held = draw.sample(places, draw.randint(0, len(places)))
            found.append(composed(claim, draw, held=held, n_others=draw.randint(0, MOST_OTHERS)))
    return [one for one in found if one.sentences]


def read(judge: EntailmentJudge, made: Sequence[Composed], answered: Answered) -> list[np.ndarray]:
    """Return of each response how far it holds each perspective, those first that can be said."""
    jobs: list[tuple[Window, str]] = [(one.claim.window, text) for one in made for text in one.sentences]
    found = drive(judge.asked(jobs), answered)
    result = []
    for one in made:
        rows = [[held.entailment for held in found[one.claim.window.query_id, text]] for text in one.sentences]
        result.append(np.max(rows, axis=0))
    return result


def truths(made: Sequence[Composed]) -> list[np.ndarray]:
    """Return of each response which perspectives it holds."""
    return [np.isin(np.arange(len(one.claim.said)), one.held) for one in made]


def calibrated(
    made: Sequence[Composed], scores: Sequence[np.ndarray], data: str, sha256: str, weights: str
) -> JudgeCalibration:
    """Return the threshold and the errors of a judge."""
    truth = np.concatenate(truths(made))
    value = np.concatenate(list(scores))
    claims = np.concatenate([np.full(len(one.claim.said), one.claim.number) for one in made])
    candidates = np.unique(np.round(value, 3))
    candidates = candidates[candidates > 0.0]
    kept = [one for one in candidates if (value[~truth] < one).mean() >= SPECIFICITY]
    threshold = float(min(kept))
    numbers = np.unique(claims)
    groups = [np.flatnonzero(claims == number) for number in numbers]
    generator = np.random.default_rng(SEED)
    drawn = []
    for _ in range(RESAMPLES):
        places = np.concatenate([groups[at] for at in generator.integers(len(groups), size=len(groups))])
        drawn.append(rates(truth[places], value[places], threshold))
    errors = np.std(drawn, axis=0)
    sensitivity, specificity = rates(truth, value, threshold)
    return JudgeCalibration(
        sensitivity=round(sensitivity, 4),
        specificity=round(specificity, 4),
        threshold=round(threshold, 3),
        n_entailing=int(truth.sum()),
        n_other=int((~truth).sum()),
        data=data,
        data_sha256=sha256,
        model_sha256=weights,
        sensitivity_error=round(float(errors[0]), 4),
        specificity_error=round(float(errors[1]), 4),
    )


def rates(truth: np.ndarray, value: np.ndarray, threshold: float) -> tuple[float, float]:
    """Return sensitivity and specificity."""
    return float((value[truth] >= threshold).mean()), float((value[~truth] < threshold).mean())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", required=True, help="keeps what the models said")
    parser.add_argument("--data", default=str(SHARED), help="the folder that holds overton/")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    claims = read_claims(Path(options.data))
    answered, model_hash = asking(Path(options.work_dir))
    rows, holds, weights = features(chosen(claims, "fit"), answered)
    print(f"{len(rows)} sentences beside an answer, {holds.sum()} of which hold it")
    judge = fitted(rows, holds, weights)
    judges = {}
    for name in JUDGES:
        n = None if name == "combined" else READ_BY_ENTAILMENT
        made = responses(chosen(claims, "cal")[:n], SEED)
        texts = hashlib.sha256(json.dumps([one.sentences for one in made]).encode()).hexdigest()
        n_claims = len({one.claim.number for one in made})
        data = f"{len(made)} responses put together from {n_claims} claims of Perspectrum"
        scores = read(EntailmentJudge(name, combined=judge), made, answered)
        judges[name] = calibrated(made, scores, data, texts, model_hash)
        print(name, judges[name])
    # The best is the one that shrinks changes least.
    best = max(judges, key=lambda name: judges[name].power)
    found = JudgeFile(best, judges, judge)
    print(judges_text(found))
    if not options.dry_run:
        (MODEL / CALIBRATION_FILE).write_text(judges_text(replace(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
