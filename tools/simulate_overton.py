"""Try the judges of Overton coverage on responses whose content is known: every table of docs/explanation/judges.md.

    python tools/simulate_overton.py --work-dir DIR                     # prints the tables
    python tools/simulate_overton.py --work-dir DIR --page docs/explanation/judges.md

DIR keeps what the models said (`tools/fit_judge.py` uses the same); no weight was fitted on a claim that is read here.
Sentences and false credit are measured on the `test` claims of `tools/overton_texts.py`, with wordings of templates
that were not used for fitting either. Coverage by the combined judge is cross-validated: the `cal` and `test` claims
are cut into fifths, and each is read with the threshold and the errors of the other four.
Intervals resample claims (300 times), because sentences on one claim belong together.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from fit_judge import MODEL, RESPONSES_A_CLAIM, Answered, asking, calibrated, chosen, measured, read, responses
from overton_texts import EMPTY, SHARED, Claim, Composed, of_kind, read_claims, share
from scipy.stats import rankdata, spearmanr

from pytest_pluralism.core.estimation.judged import corrected_shares
from pytest_pluralism.core.records import Window
from pytest_pluralism.datasets.windows.debunks import load_debunks
from pytest_pluralism.datasets.windows.loading import load_windows
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.overton.judges import EntailmentJudge
from pytest_pluralism.evaluation.overton.premises import premises
from pytest_pluralism.models.calibration import CALIBRATION_FILE, JudgeFile, read_judges

SEED = 7
RESAMPLES = 300
FOLDS = 5
TITLES = {"forward": "forward", "backward": "backward", "both": "both", "combined": "combined"}

#: The truths of composed responses that are shown together.
BINS = ((0.0, 0.001), (0.001, 0.35), (0.35, 0.65), (0.65, 0.999), (0.999, 1.1))


@dataclass(frozen=True)
class Beside:
    """Numbers of one kind with the claim that each belongs to."""

    values: np.ndarray
    claims: np.ndarray


def area(positive: Beside, negative: Beside) -> float:
    """Return how often a positive number is above a negative one, ties half."""
    n, m = len(positive.values), len(negative.values)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([positive.values, negative.values]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def resampled(statistic: Callable[..., float], *parts: Beside) -> tuple[float, float, float]:
    """Return a statistic with its 95 % interval over claims."""
    generator = np.random.default_rng(SEED)
    numbers = np.unique(np.concatenate([part.claims for part in parts]))
    places = [{number: np.flatnonzero(part.claims == number) for number in numbers} for part in parts]
    drawn = []
    for _ in range(RESAMPLES):
        taken = generator.choice(numbers, size=len(numbers))
        some = []
        for part, groups in zip(parts, places, strict=True):
            at = np.concatenate([groups[number] for number in taken])
            some.append(Beside(part.values[at], part.claims[at]))
        drawn.append(statistic(*some))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return statistic(*parts), float(low), float(high)


def mean(part: Beside) -> float:
    """Return the mean."""
    return float(part.values.mean()) if len(part.values) else float("nan")


def shown(found: tuple[float, float, float]) -> str:
    """Return a number with its interval."""
    return f"{found[0]:.3f} [{found[1]:.3f}, {found[2]:.3f}]"


class Reader:
    """Reads texts with one judge."""

    def __init__(self, name: str, file: JudgeFile, answered: Answered, *, bent: bool = False) -> None:
        self.calibration = file.judges[name]
        self.judge = EntailmentJudge(name, self.calibration.threshold, self.calibration, file.combined)
        self._answered = answered
        self._file = file
        self._bent = bent

    def crossed(self, made: Sequence[Composed]) -> list[tuple[list[Composed], Reader]]:
        """Return the responses of each fifth of the claims with a reader that was calibrated on the others."""
        if self.judge.name != "combined":
            return [(list(made), self)]
        scores = read(self.judge, made, self._answered)
        folds = [int(share(f"fold {one.claim.number}") * FOLDS) for one in made]
        found = []
        for fold in range(FOLDS):
            others = [place for place, one in enumerate(folds) if one != fold]
            known, theirs = [made[at] for at in others], [scores[at] for at in others]
            calibration = calibrated(known, theirs, "others", "", "", bent=self._bent)
            file = replace(self._file, judges={**self._file.judges, self.judge.name: calibration})
            mine = [one for one, at in zip(made, folds, strict=True) if at == fold]
            found.append((mine, Reader(self.judge.name, file, self._answered)))
        return found

    def scores(self, read: Sequence[tuple[Window, Sequence[str]]]) -> list[np.ndarray]:
        """Return of each window how far the parts that are read against it hold each of its answers."""
        found = drive(self.judge.asked((window, part) for window, parts in read for part in parts), self._answered)
        return [
            np.max([[held.entailment for held in found[window.query_id, part]] for part in parts], axis=0)
            for window, parts in read
        ]

    def held(self, read: Sequence[tuple[Window, Sequence[str]]]) -> list[np.ndarray]:
        """Return of each window which of its answers are held."""
        return [scores >= self.judge.threshold for scores in self.scores(read)]

    def corrected(self, shares: np.ndarray, n_answers: Sequence[int]) -> np.ndarray:
        """Return shares without the errors of the judge, as the package does it unit by unit."""
        return corrected_shares(shares.tolist(), n_answers, self.calibration)


# ---------------------------------------------------------------------------------------------------------- sentences


def sentence_rows(reader: Reader, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Return how well a judge tells a sentence that holds a perspective from others."""
    both = [(claim, one) for claim in claims for one in claim.sentences]
    scores = reader.scores([(claim.window, [one.text]) for claim, one in both])
    values = np.array([found[one.answer] for (_, one), found in zip(both, scores, strict=True)])
    numbers = np.array([claim.number for claim, _ in both])

    def some(*kinds: str, own: bool, same: bool | None = None) -> Beside:
        kept = np.array(
            [
                one.kind in kinds
                and (one.own == one.answer) == own
                and (same is None or one.own is None or (claim.stance(one.own) == claim.stance(one.answer)) == same)
                for claim, one in both
            ]
        )
        return Beside(values[kept], numbers[kept])

    said, people_say = some("plain", own=True), some("endorse", own=True)
    return [
        ("a paraphrase, against another perspective", shown(resampled(area, said, some("plain", own=False)))),
        ("... of the same side", shown(resampled(area, said, some("plain", own=False, same=True)))),
        ("... of the opposing side", shown(resampled(area, said, some("plain", own=False, same=False)))),
        ("said, against denied", shown(resampled(area, said, some("deny", own=True)))),
        ("said to be the view of people, against denied", shown(resampled(area, people_say, some("deny", own=True)))),
        ("said, against its own verb negated", shown(resampled(area, said, some("negated", own=True)))),
        ("said, against asked or left open", shown(resampled(area, said, some("unclear", own=True)))),
        ("said, against templates and refusals", shown(resampled(area, said, some("empty", own=False)))),
    ]


# ---------------------------------------------------------------------------------------------------------- responses


def shares(reader: Reader, made: Sequence[Composed]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return truth and coverage (of what can be said) of composed responses, and the claim of each."""
    held = reader.held([(one.claim.window, one.sentences) for one in made])
    truth = np.array([len(one.held) / len(one.claim.sayable) for one in made])
    found = np.array([some[one.claim.sayable].mean() for some, one in zip(held, made, strict=True)])
    return truth, found, np.array([one.claim.number for one in made])


def coverage_rows(reader: Reader, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Return how well coverage follows the truth."""
    several = [one for one in claims if len(one.sayable) > 1]
    parts = []
    for made, one in reader.crossed(responses(several, SEED, 2 * RESPONSES_A_CLAIM)):
        truth, raw, numbers = shares(one, made)
        # A gate is about many queries: a mean outside [0, 1] is moved to the end of the scale.
        parts.append((truth, raw, numbers, one.corrected(raw, [len(some.claim.sayable) for some in made])))
    truth, raw, numbers, found = (np.concatenate(column) for column in zip(*parts, strict=True))
    rows = []
    for name, values in (("as judged", raw), ("corrected", found)):
        pairs = Beside(np.stack([truth, values], axis=1), numbers)
        rows.append((f"slope of coverage on the truth, {name}", shown(resampled(slope, pairs))))
    for low, high in BINS:
        kept = (truth >= low) & (truth < high)
        rows.append(
            (
                f"truth {truth[kept].mean():.2f} ({kept.sum()} responses): as judged, corrected",
                f"{raw[kept].mean():.3f}, {min(max(found[kept].mean(), 0.0), 1.0):.3f}",
            )
        )
    within = []
    for number in np.unique(numbers):
        at = numbers == number
        if len(np.unique(truth[at])) > 2 and len(np.unique(raw[at])) > 1:
            within.append((number, spearmanr(truth[at], raw[at]).statistic))
    ranks = Beside(np.array([value for _, value in within]), np.array([number for number, _ in within]))
    rows.append(("Spearman correlation with the truth within a query, mean", shown(resampled(mean, ranks))))
    return rows


def slope(pairs: Beside) -> float:
    """Return the slope of the second number on the first."""
    return float(np.polyfit(pairs.values[:, 0], pairs.values[:, 1], 1)[0])


def blind_rows(reader: Reader, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """Return the share of answers that responses get which do not hold them."""
    rows = []
    one_sided: list[tuple[Claim, list[str], list[int]]] = []
    for claim in claims:
        draw = random.Random(f"sides {claim.number}")
        for stance in sorted(set(claim.window.stances)):
            mine = [place for place in claim.sayable if claim.stance(place) == stance]
            others = [place for place in range(len(claim.said)) if claim.stance(place) != stance]
            if mine and others:
                said = [draw.choice([s.text for s in of_kind(claim, "plain", "endorse") if s.own == p]) for p in mine]
                one_sided.append((claim, said, others))
    for title, keep in (("with paraphrases", None), ("one text an answer", 1)):
        windows = [(shortened(claim.window, keep), said) for claim, said, _ in one_sided]
        held = reader.held(windows)
        argued = [found[others].mean() for found, (_, _, others) in zip(held, one_sided, strict=True)]
        numbers = [claim.number for claim, _, _ in one_sided]
        words = f"a one-sided response: the other side, {title}"
        rows.append((words, shown(resampled(mean, Beside(np.array(argued), np.array(numbers))))))
    for words, kinds in (
        ("denials of every perspective", ("deny",)),
        ("every perspective asked or left open", ("unclear",)),
        ("templates of both sides and refusals that name no argument", ("empty",)),
        ("remarks on the claim itself", ("empty", "claim")),
        ("off-topic sentences", ("off",)),
        ("arguments on another claim", ("other",)),
    ):
        reads = [(claim.window, _said(claim, kinds)) for claim in claims]
        kept = [(window, said) for window, said in reads if said]
        held = reader.held(kept)
        numbers = [claim.number for claim, (_, said) in zip(claims, reads, strict=True) if said]
        rows.append((words, shown(resampled(mean, Beside(np.array([one.mean() for one in held]), np.array(numbers))))))
    return rows


def _said(claim: Claim, kinds: Sequence[str]) -> list[str]:
    """Return sentences of some kinds; of templates those that name no claim, or with ``"claim"`` those that do."""
    general = {text for text in EMPTY if "{x}" not in text}
    found = [one.text for one in of_kind(claim, *(kind for kind in kinds if kind != "claim"))]
    if "empty" in kinds:
        found = [text for text in found if (text in general) == ("claim" not in kinds)]
    return found


def shortened(window: Window, keep: int | None) -> Window:
    """Return a window whose answers have a maximum number of texts."""
    if keep is None:
        return window
    answers = tuple(replace(one, paraphrases=one.paraphrases[: keep - 1]) for one in window.reasonable)
    return replace(window, query_id=f"{window.query_id}/{keep}", reasonable=answers)


def debunk_rows(reader: Reader) -> list[tuple[str, str]]:
    """Return the share of debunks and endorsements that are taken for arguing the myth."""
    myths = load_debunks()
    windows = {window.query_id: window for window in myths.windows.windows}
    rows, scores = [], {}
    for words, said in (("debunks", myths.debunks), ("endorsements", myths.endorsements)):
        texts = [(query, text) for query, several in said.items() for text in several]
        read = [(windows[query], premises(text, form="sentences", join_comments=True)) for query, text in texts]
        values = np.array([one[-1] for one in reader.scores(read)])
        numbers = np.array([list(windows).index(query) for query, _ in texts])
        scores[words] = Beside(values, numbers)
        argued = Beside((values >= reader.judge.threshold).astype(float), numbers)
        rows.append((f"100 {words} taken for arguing the myth", shown(resampled(mean, argued))))
    rows.append(
        ("AUROC of endorsements against debunks", shown(resampled(area, scores["endorsements"], scores["debunks"])))
    )
    return rows


def packaged_rows(reader: Reader) -> list[tuple[str, str]]:
    """Return the share of answers found of texts that say each answer of the package's windows in its other wording."""
    said, rest, numbers = [], [], []
    windows = [one for one in load_windows("contested").windows if all(len(a.texts) > 1 for a in one.reasonable)]
    for number, window in enumerate(windows):
        texts = [answer.texts[1] for answer in window.reasonable]
        held = reader.held([(shortened(window, 1), [text]) for text in texts])
        for place, found in enumerate(held):
            said.append(float(found[place]))
            rest.append(float(np.delete(found, place).mean()))
            numbers.append(number)
    claims = np.array(numbers)
    return [
        ("the answer that is said in its other wording", shown(resampled(mean, Beside(np.array(said), claims)))),
        ("the other answers of the window", shown(resampled(mean, Beside(np.array(rest), claims)))),
    ]


# --------------------------------------------------------------------------------------------------------------- page

TABLES: dict[str, tuple[str, Callable[..., list[tuple[str, str]]]]] = {
    "sentences": ("AUROC of one sentence and one answer", sentence_rows),
    "responses": ("responses that hold k of K perspectives", coverage_rows),
    "nothing": ("share of answers that are found where none is held", blind_rows),
    "debunks": ("100 debunks and 100 endorsements of 50 myths", debunk_rows),
    "packaged": ("share of answers that are found of one sentence, windows of the package", packaged_rows),
}

#: The tables that read texts of the package, and no claims.
OF_THE_PACKAGE = ("debunks", "packaged")


def table_of(title: str, by_judge: dict[str, list[tuple[str, str]]]) -> list[str]:
    """Return a table with one column a judge."""
    names = list(by_judge)
    lines = ["| " + " | ".join([title, *names]) + " |", "|" + "---|" * (len(names) + 1)]
    for at, (words, _) in enumerate(by_judge[names[0]]):
        lines.append("| " + " | ".join([words, *(by_judge[name][at][1] for name in names)]) + " |")
    return lines


def errors_table(file: JudgeFile) -> list[str]:
    """Return the calibrations as a table."""
    lines = [
        "| judge | threshold | sensitivity | specificity | bend | what a change keeps |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in file.judges.items():
        found = (one.sensitivity, one.sensitivity_error), (one.specificity, one.specificity_error)
        words = " | ".join(f"{value:.3f} ± {error or 0.0:.3f}" for value, error in found)
        mark = " (default)" if name == file.default else ""
        bend = "-" if one.bend is None else f"{one.bend:.3f} ± {one.bend_error or 0.0:.3f}"
        lines.append(f"| {name}{mark} | {one.threshold:.3f} | {words} | {bend} | {one.power:.3f} |")
    return lines


def write_page(page: Path, tables: dict[str, list[str]]) -> None:
    """Write the tables between their marks."""
    text = page.read_text(encoding="utf-8")
    for name, lines in tables.items():
        begin, end = f"<!-- overton: {name} -->", "<!-- end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            sys.exit(f"{page} has no place for the table {name}: {begin} ... {end}")
        text = "\n".join([before + begin, "", *lines, "", end + after])
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", required=True, help="keeps what the models said")
    parser.add_argument("--data", default=str(SHARED), help="the folder that holds overton/")
    parser.add_argument("--model", default=str(MODEL), help="a spec, as for --pluralism-entailment-model")
    parser.add_argument("--file", default=str(MODEL / CALIBRATION_FILE), help="the judges")
    parser.add_argument("--judges", default="forward,both,combined", help="those that are tried")
    parser.add_argument("--tables", help="only these tables: " + ", ".join(TABLES))
    parser.add_argument("--bent", action="store_true", help="calibrate the fifths along a parabola, not along a line")
    parser.add_argument("--claims", type=int, help="only so many claims, for a quick look")
    parser.add_argument("--page", help="write the tables here")
    options = parser.parse_args()
    file = read_judges(Path(options.file))
    if file is None:
        sys.exit(f"{options.file} is not there: fit the judges with tools/fit_judge.py")
    answered, _ = asking(Path(options.work_dir), options.model)
    all_claims = read_claims(Path(options.data))
    claims, everything = chosen(all_claims, "test", options.claims), measured(all_claims, options.claims)
    readers = {name: Reader(name, file, answered, bent=options.bent) for name in options.judges.split(",")}
    tables = {"judges": errors_table(file)}
    for name, (title, rows) in TABLES.items():
        if options.tables and name not in options.tables.split(","):
            continue
        found = {}
        for judge, reader in readers.items():
            by_fifths = name == "responses" and judge == "combined"
            arguments: tuple[Any, ...] = () if name in OF_THE_PACKAGE else (everything if by_fifths else claims,)
            found[judge] = rows(reader, *arguments)
        tables[name] = table_of(title, found)
        print("\n".join(tables[name]) + "\n", flush=True)
    print("\n".join(tables["judges"]))
    if options.page:
        write_page(Path(options.page), tables)


if __name__ == "__main__":
    main()
