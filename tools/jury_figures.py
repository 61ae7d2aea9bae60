"""Compute the figures of docs/explanation/juries.md from the data that cannot be published with the project.

python tools/jury_figures.py dices DICES_350.json.gz
python tools/jury_figures.py polis POLIS/15-per-hour-seattle POLIS/vtaiwan.uberx ...
python tools/jury_figures.py consensus POLIS/15-per-hour-seattle "a minimum wage of 15 dollars an hour in Seattle"

Each prints the rows of a table in Markdown. ``polis`` and ``consensus`` need ``pytest-pluralism[jury]``, ``consensus``
also the packaged instruct model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_pluralism.core.estimation import estimate_scores
from pytest_pluralism.core.estimation.welfare_bands import dominance_band
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.core.records import GenerationSettings, Prompt
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.datasets.panels.sources import read_dices, read_polis
from pytest_pluralism.evaluation.asking.rounds import drive
from pytest_pluralism.evaluation.jury.evaluations import JurySettings, jury_table, policy_scores
from pytest_pluralism.evaluation.jury.fitted import FittedJurors, cross_validate
from pytest_pluralism.evaluation.jury.jurors import Candidate
from pytest_pluralism.evaluation.jury.systems import consensus

ALPHAS = (0.0, 1.0, 2.0, 5.0, 10.0)

#: How the model is asked for its statement.
WRITER = "embedded:smollm2-135m-instruct"
WRITING = GenerationSettings(max_new_tokens=60, temperature=0.0)
N_SHOWN = 6
N_DRAWS = 60


def short(number: float, digits: int = 3) -> str:
    """Return a number without the 0 before its point."""
    # Rounded to 0, a number has no sign.
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("0.", ".", 1)


def policies(panel: Panel) -> dict[str, np.ndarray]:
    """Return how often each of the two responses to a conversation is given, for three ways of choosing."""
    n = len(panel.queries)
    worth = panel.matrix().reshape(len(panel.jurors), n, 2)
    best = worth.max()
    # Withholding a reply is worth most to those who call it unsafe.
    unsafe = (worth[:, :, 1] == best).sum(axis=0) > (worth[:, :, 0] == best).sum(axis=0)
    return {
        "always comply": np.tile([1.0, 0.0], n),
        "always refuse": np.tile([0.0, 1.0], n),
        f"refuse where more say unsafe than safe ({int(unsafe.sum())} of {n})": np.stack(
            [~unsafe, unsafe], axis=1
        ).reshape(-1).astype(float),
    }  # fmt: skip


def dices(file: Path) -> Iterator[str]:
    """Yield the welfare of complying, refusing and following the majority, by aversion to inequality."""
    panel = read_dices(file, responses="choices")
    chosen = policies(panel)
    yield "| alpha | " + " | ".join(chosen) + " |"
    yield "|" + "---|" * (len(chosen) + 1)
    for alpha in ALPHAS:
        settings = JurySettings(rule=WelfareRule(alpha=alpha))
        found = [estimate_scores(policy_scores(panel, share, settings=settings)) for share in chosen.values()]
        cells = [f"{short(one.value)} [{short(one.low)}, {short(one.high)}]" for one in found]
        yield f"| {alpha:g} | " + " | ".join(cells) + " |"
    comply, refuse, majority = (jury_table(panel, share) for share in chosen.values())
    for words, one, other in (("comply - refuse", comply, refuse), ("majority - comply", majority, comply)):
        band = dominance_band(one, other, alphas=ALPHAS)
        lows = ", ".join(f"{low:.3f}" for low in band.band_low)
        yield f"{words}: lower end of the band over all alpha {lows}; dominates: {band.dominates}"


def polis(folders: list[Path]) -> Iterator[str]:
    """Yield how well fitted jurors predict held-out votes and votes on held-out statements."""
    from pytest_pluralism.models.local.embeddings import embed_texts

    parts = ("votes", "responses")
    heads = (f"fitted, held-out {part} | group mean | gain" for part in parts)
    yield "| conversation | " + " | ".join(heads) + " |"
    yield "|" + "---|" * 7
    for folder in folders:
        panel = read_polis(folder, rejected="keep")
        vectors = embed_texts([response.text for response in panel.responses])
        cells = []
        for part in parts:
            found = cross_validate(panel, vectors, held_out=part)
            gain = [short(found["gain"][name], 4) for name in ("value", "low", "high")]
            cells += [short(found["rmse"]["fitted"]), short(found["rmse"]["group_mean"])]
            cells.append(f"{gain[0]} [{gain[1]}, {gain[2]}]")
        yield f"| {folder.name} | " + " | ".join(cells) + " |"


def statement_of(panel: Panel, topic: str) -> tuple[str, str]:
    """Return what the packaged instruct model is asked, and the statement that it writes."""
    from pytest_pluralism.models import load_model

    counts = np.bincount(panel.vote_responses, minlength=len(panel.responses))
    said = "\n".join(f"- {panel.responses[place].text}" for place in np.argsort(-counts)[:N_SHOWN])
    question = (
        f"People discuss {topic}. Some of them said:\n{said}\n\nWrite one short statement, a single sentence, that as "
        "many of these people as possible can agree with."
    )
    model = load_model(WRITER)
    ((response,),) = model.generate([Prompt(question, (), cue="", template="auto")], WRITING)
    model.close()
    return question, response.text.strip()


def compared(folder: Path, topic: str) -> Iterator[str]:
    """Yield the welfare of the model's statement beside that of the best human one."""
    panel = read_polis(folder, ballots="conversation", rejected="keep")
    question, statement = statement_of(panel, topic)
    candidate = Candidate(panel.queries[0].query_id, question, statement)
    # Fitted jurors ask nothing.
    jurors = drive(FittedJurors(n_draws=N_DRAWS).rounds(panel, [candidate]), lambda asked: [])
    found = consensus(panel, statement, jurors)
    welfare, agree = found.welfare, found.satisfied
    cells = [
        f"{short(welfare.value)} [{short(welfare.low)}, {short(welfare.high)}]",
        f"{short(agree.value, 2)} [{short(agree.low, 2)}, {short(agree.high, 2)}]",
        short(found.best_welfare),
        short(found.best_satisfied, 2),
        f"{found.rank} of {found.n_statements}",
    ]
    yield f"| {folder.name} | " + " | ".join(cells) + " |"
    yield f"the model wrote: {statement!r}"
    yield f"the best human statement: {found.best!r}"
    yield f"draws in which more agree with the model's: {round(found.more_satisfied * N_DRAWS)} of {N_DRAWS}"


def main() -> int:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("dices", help="welfare of complying and refusing")
    one.add_argument("file", type=Path)
    one = commands.add_parser("polis", help="how well jurors can be fitted")
    one.add_argument("folder", type=Path, nargs="+")
    one = commands.add_parser("consensus", help="a model's statement beside those of people")
    one.add_argument("folder", type=Path)
    one.add_argument("topic", help="what is discussed, in words that follow 'People discuss'")
    arguments = parser.parse_args()
    if arguments.command == "dices":
        lines = dices(arguments.file)
    elif arguments.command == "polis":
        lines = polis(arguments.folder)
    else:
        lines = compared(arguments.folder, arguments.topic)
    for line in lines:
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
