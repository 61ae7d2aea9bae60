"""``pluralism publish``: writes the results of a report where teams look."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_pluralism.cli.showing import (
    EXIT_OK,
    Commands,
    UsageError,
    add_command,
    complain,
    option,
    say,
    say_json,
    shown,
)

__all__ = ["add_publish"]

SCHEMA = "pytest-pluralism/publish/1"

#: Each target with the place that it writes to by default.
PLACES = {
    "mlflow": "mlruns",
    "wandb": "wandb-runs",
    "tensorboard": "tensorboard",
    "model-card": "README.md",
}


def add_publish(commands: Commands) -> None:
    """Add ``pluralism publish``."""
    add_command(
        commands,
        "publish",
        publish_report,
        "write the results of a report to MLflow, Weights & Biases, TensorBoard or a model card",
        option("report", type=Path, metavar="RUN.json", help="a report of --pluralism-report"),
        option("--to", required=True, metavar="TARGET", help=f"the target: {', '.join(PLACES)}"),
        option("-o", "--output", type=Path, metavar="PATH", help="the folder of the target, or the model card"),
        option("--experiment", default="pluralism", metavar="NAME", help="the experiment or project"),
        option("--model", metavar="NAME", help="the model, where the report has several"),
        description="Write value, interval and outcome of each promise where a team looks. Everything is written to "
        "this machine; wandb sends it only where WANDB_MODE=online is set.",
    )


def publish_report(arguments: argparse.Namespace) -> int:
    """Write the results of a report to a target."""
    from pytest_pluralism.report.alike import alike_lines
    from pytest_pluralism.report.publishing import publish
    from pytest_pluralism.report.reading import read_report

    if arguments.to not in PLACES:
        raise UsageError(f"--to must be one of {', '.join(PLACES)}. Got {shown(arguments.to)!r}.")
    content = read_report(arguments.report)
    models = list(dict.fromkeys(str(entry["model"].get("name", "")) for entry in content["verdicts"]))
    if arguments.model is not None and arguments.model not in models:
        raise UsageError(f"--model must be one of {', '.join(map(shown, models))}. Got {shown(arguments.model)!r}.")
    if arguments.to == "model-card" and arguments.model is None and len(models) != 1:
        raise UsageError(f"a model card is about one model, and the report has {len(models)}. Choose one with --model.")
    entries = [entry for entry in content["verdicts"] if arguments.model in (None, entry["model"].get("name"))]
    output = arguments.output or Path(PLACES[arguments.to])
    for line in alike_lines(content["verdicts"]):
        complain(f"names that look the same: {line}")
    lines = publish(arguments.to, entries, content["run"], output, arguments.experiment)
    if arguments.json:
        say_json({"schema": SCHEMA, "target": arguments.to, "written": lines})
    else:
        for line in lines:
            say(shown(line))
    return EXIT_OK
