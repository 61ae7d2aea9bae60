"""Tell the story of three releases: v1 is stored, v2 is refused, v3 is undecided, and a plot shows them.

    python examples/releases/tell.py FOLDER            # from the answers recorded in answers/
    python examples/releases/tell.py FOLDER --live     # the models answer here: some minutes of a CPU for each

FOLDER becomes a git repository that holds the baseline of the model and a commit for each release. The exit code is 0
where each release gets the verdict that ``EXPECTED`` names, whatever pytest's own exit code is.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "fixtures" / "models"

#: One name for all releases, so that each is compared with the stored one.
NAME = "smollm2-harmless"

#: Each release, and the model that it is.
SPECS = {
    "v1": "embedded:smollm2-135m-instruct",
    "v2": str(MODELS / "smollm2-harmless-v2"),
    "v3": str(MODELS / "smollm2-harmless-v3"),
}
#: The outcomes that each release may have: v3 is too close to call, and another judge of texts may refuse it.
EXPECTED = {"v1": {"accepted"}, "v2": {"refused"}, "v3": {"undecided", "refused"}}


def environment() -> dict[str, str]:
    """Return the environment of a run: an installed package does not hold the weights of the judge of texts."""
    return {"PLURALISM_NLI_MINILM": str(MODELS / "nli-minilm"), **os.environ}


def spec(release: str, live: bool) -> str:
    """Return what --pluralism-model names for a release."""
    return SPECS[release] if live else f"responses:{HERE / 'answers' / f'{release}.jsonl.gz'}#{NAME}"


def gate(release: str, folder: Path, *options: str, live: bool, quiet: bool = False) -> None:
    """Run the promises about a release; pytest's exit code is that of a gate, and says nothing about the story."""
    if live:
        # A local model goes by its own name.
        baseline = "smollm2-135m-instruct" if release != "v1" else ""
        options = (*options, *([f"--pluralism-baseline-model={baseline}"] if baseline else []))
    command = (
        *(sys.executable, "-m", "pytest", "-c", str(HERE / "pytest.ini"), f"--rootdir={HERE}", str(HERE)),
        *("-q", "--no-header", "-p", "no:cacheprovider"),
        f"--pluralism-model={spec(release, live)}",
        "--pluralism-entailment-model=embedded:nli-minilm",
        f"--pluralism-baseline={folder / 'pluralism-baselines'}",
        *options,
    )
    subprocess.run(command, check=False, cwd=folder, env=environment(), stdout=subprocess.DEVNULL if quiet else None)


def git(folder: Path, *words: str) -> None:
    """Run git in a folder, as somebody who is named."""
    identity = ("-c", "user.name=demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false")
    command = (shutil.which("git") or "git", *identity, "-C", str(folder), *words)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def keep(release: str, folder: Path) -> None:
    """Commit the stored baseline as the one of a release."""
    git(folder, "add", "pluralism-baselines")
    git(folder, "commit", "--quiet", "-m", f"Answers of {release}")
    git(folder, "tag", "--force", release)


def outcomes(report: Path) -> dict[str, str]:
    """Return the outcome of each promise of a report, by the name of its test."""
    verdicts = json.loads(report.read_text(encoding="utf-8"))["verdicts"]
    return {entry["nodeid"].partition("::")[2].partition("[")[0]: entry["outcome"] for entry in verdicts}


def main() -> int:
    """Tell the story, and return 0 where it went as ``EXPECTED`` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--live", action="store_true", help="ask the models instead of reading their recorded answers")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    if (folder / "pluralism-baselines").exists():
        parser.error(f"{folder} holds a story already. Name another folder, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    print("Three releases of one small model: v1 is stored, and two fine-tunes for harmlessness are judged.")
    print("No fine-tune is accepted: neither two trainings of v3 nor one of them at half strength kept the promises.")
    odd = []
    for release, expected in EXPECTED.items():
        print(f"\n=== {release}: {SPECS[release] if release == 'v1' else Path(SPECS[release]).name} ===", flush=True)
        report = folder / f"{release}.json"
        reports = (f"--pluralism-report={report}", f"--pluralism-report={folder / f'{release}.html'}")
        update = ("--pluralism-update-baseline",) if release == "v1" else ()
        gate(release, folder, *reports, *update, live=options.live)
        if not report.is_file():
            return 1
        found = outcomes(report)
        word = "refused" if "failed" in found.values() else "undecided"
        word = "accepted" if set(found.values()) == {"passed"} else word
        print(f"{release} is {word}: {found}")
        if word not in expected:
            odd.append(f"{release} is {word}: {found}")
        if release == "v1":
            keep(release, folder)
    if not options.live:
        draw(folder)
    if odd:
        print("Not as expected:", *odd, sep="\n  ", file=sys.stderr)
    return 1 if odd else 0


def draw(folder: Path) -> None:
    """Draw every release, the refused ones too, as if each had been stored."""
    for release in list(EXPECTED)[1:]:
        gate(release, folder, "--pluralism-update-baseline", live=False, quiet=True)
        keep(release, folder)
    picture = folder / "history.svg"
    command = (sys.executable, "-m", "pytest_pluralism.cli", "history", "pluralism-baselines", "-o", str(picture))
    subprocess.run(command, check=True, cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
