r"""Fit the combined judge of the small entailment model, and measure the errors of all judges.

    python tools/fit_judge.py --work-dir DIR            # fits, measures, and writes judge_calibration.json and the card
    python tools/fit_judge.py --work-dir DIR --dry-run  # prints, and writes nothing
    python tools/fit_judge.py --work-dir DIR2 --model embedded:nli-mpnet --to fixtures/models/nli-mpnet \
        --judges combined --claims 40                   # of a larger model, on fewer claims

Texts are those of `tools/overton_texts.py`.
DIR keeps what the models said, so that a run that was killed goes on where it was; without it everything takes about
half an hour on one core.
The weights are those of a logistic regression on the sentences of the `fit` claims.
The threshold of each judge is the lowest at which 97 % of the answers that a response does not hold are not found, on
responses that are put together from claims on which no weight was fitted.
Sensitivity and specificity are the ends of the least squares curve of what is found of a response on what it holds,
because every further argument brings chances to find another one that is not there; their standard errors resample
claims. The curve is a line; with `--bent` it is a parabola for the combined judge, whose bend is not told from 0 yet.
The combined judge has the `cal` and the `test` claims for that, the others 50 of the `cal` claims.
`tools/simulate_overton.py` measures coverage on each fifth of them with the threshold and the errors of the others.
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

#: The kinds of sentences that hold an argument.
HOLDING = ("plain", "endorse")

#: The specificity at which the thresholds are set.
SPECIFICITY = 0.97
RESPONSES_A_CLAIM = 10
MOST_OTHERS = 4
RESAMPLES = 400

Answered = Callable[[Round], Sequence[Any]]


def chosen(claims: Sequence[Claim], split: str, most: int | None = None) -> list[Claim]:
    """Return the claims of one side of the split that are read, in a fixed order."""
    part, n = READ[split]
    kept = [one for one in claims if one.split == split and share(f"judge split sub {one.number}") < part]
    return sorted(kept, key=lambda one: share(f"judge split order {one.number}"))[:n][:most]


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


def measured(claims: Sequence[Claim], most: int | None = None) -> list[Claim]:
    """Return the claims on which the threshold and the errors of the combined judge are measured."""
    return [*chosen(claims, "cal", most), *chosen(claims, "test", most)]


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
    made: Sequence[Composed], scores: Sequence[np.ndarray], data: str, sha256: str, weights: str, *, bent: bool
) -> JudgeCalibration:
    """Return the threshold and the errors of a judge, along a parabola where it is ``bent``."""
    truth = np.concatenate(truths(made))
    value = np.concatenate(list(scores))
    candidates = np.unique(np.round(value, 3))
    candidates = candidates[candidates > 0.0]
    kept = [one for one in candidates if (value[~truth] < one).mean() >= SPECIFICITY]
    threshold = float(min(kept))
    pairs = [(one, some[one.claim.sayable]) for one, some in zip(made, scores, strict=True) if one.claim.sayable]
    held = np.array([len(one.held) / len(some) for one, some in pairs])
    found = np.array([(some >= threshold).mean() for _, some in pairs])
    claims = np.array([one.claim.number for one, _ in pairs])
    groups = [np.flatnonzero(claims == number) for number in np.unique(claims)]
    generator = np.random.default_rng(SEED)
    drawn = []
    for _ in range(RESAMPLES):
        places = np.concatenate([groups[at] for at in generator.integers(len(groups), size=len(groups))])
        drawn.append(rates(held[places], found[places], bent=bent))
    errors = np.std(drawn, axis=0)
    sensitivity, specificity, bend = rates(held, found, bent=bent)
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
        bend=round(bend, 4) if bent else None,
        bend_error=round(float(errors[2]), 4) if bent else None,
    )


def false_credit(judge: EntailmentJudge, claims: Sequence[Claim], answered: Answered) -> dict[str, float]:
    """Return the shares of answers of the opposing side, and of another claim, that are found where none is held."""
    opposing: list[Composed] = []
    of_other: list[Composed] = []
    for claim in claims:
        draw = random.Random(f"sides {claim.number}")
        for stance in sorted(set(claim.window.stances)):
            mine = [place for place in claim.sayable if claim.stance(place) == stance]
            ways = [[one.text for one in claim.sentences if one.own == at and one.kind in HOLDING] for at in mine]
            if mine and len({claim.stance(place) for place in range(len(claim.said))}) > 1:
                opposing.append(Composed(claim, tuple(draw.choice(several) for several in ways), tuple(mine)))
        said = tuple({one.text: None for one in claim.sentences if one.kind == "other"})
        of_other += [Composed(claim, said, ())] if said else []
    shares = {}
    for name, made in (("opposing_credit", opposing), ("other_credit", of_other)):
        found = []
        for one, scores in zip(made, read(judge, made, answered), strict=True):
            sides = {one.claim.stance(place) for place in one.held}
            others = [place for place in range(len(scores)) if one.claim.stance(place) not in sides]
            found.append((scores[others] >= judge.threshold).mean())
        shares[name] = round(float(np.mean(found)), 4)
    return shares


def rates(held: np.ndarray, found: np.ndarray, *, bent: bool) -> tuple[float, float, float]:
    """Return sensitivity, specificity and bend: those of the curve of what is found on what is held.

    The end of the curve at 1, its start, which is not below 0, and how far its middle is above the line between them.
    """
    columns = [held, 1.0 - held, *([4.0 * held * (1.0 - held)] if bent else [])]
    end, start, *bend = np.linalg.lstsq(np.stack(columns, axis=1), found, rcond=None)[0]
    if start < 0.0:
        end, *bend = np.linalg.lstsq(np.stack([columns[0], *columns[2:]], axis=1), found, rcond=None)[0]
    return float(end), float(1.0 - max(start, 0.0)), float(bend[0]) if bent else 0.0


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", required=True, help="keeps what the models said")
    parser.add_argument("--data", default=str(SHARED), help="the folder that holds overton/")
    parser.add_argument("--model", default=str(MODEL), help="a spec, as for --pluralism-entailment-model")
    parser.add_argument("--to", default=str(MODEL), help="the folder that gets the file")
    parser.add_argument("--judges", default=",".join(JUDGES), help="those that are measured")
    parser.add_argument("--claims", type=int, help="only so many claims of each side of the split")
    parser.add_argument("--bent", action="store_true", help="the errors of the combined judge are those of a parabola")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    claims = read_claims(Path(options.data))
    answered, model_hash = asking(Path(options.work_dir), options.model)
    rows, holds, weights = features(chosen(claims, "fit", options.claims), answered)
    print(f"{len(rows)} sentences beside an answer, {holds.sum()} of which hold it")
    judge = fitted(rows, holds, weights)
    judges = {}
    several = measured(claims, options.claims)
    for name in options.judges.split(","):
        by_all = name == "combined"
        made = responses(several if by_all else chosen(claims, "cal", options.claims)[:READ_BY_ENTAILMENT], SEED)
        texts = hashlib.sha256(json.dumps([one.sentences for one in made]).encode()).hexdigest()
        n_claims = len({one.claim.number for one in made})
        data = f"{len(made)} responses put together from {n_claims} claims of Perspectrum"
        scores = read(EntailmentJudge(name, combined=judge), made, answered)
        one = calibrated(made, scores, data, texts, model_hash, bent=by_all and options.bent)
        if by_all:
            reader = EntailmentJudge(name, one.threshold, combined=judge)
            one = replace(one, **false_credit(reader, several, answered))
        judges[name] = one
        print(name, judges[name])
    # The best is the one that shrinks changes least.
    best = max(judges, key=lambda name: judges[name].power)
    found = JudgeFile(best, judges, judge)
    print(judges_text(found))
    if not options.dry_run:
        (Path(options.to) / CALIBRATION_FILE).write_text(judges_text(replace(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
