"""Writes the results of a report where teams look: MLflow, Weights & Biases, TensorBoard, and model cards."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_pluralism.core.errors import MissingExtraError
from pytest_pluralism.core.untrusted import printable
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.cells import Entry, outcome_of
from pytest_pluralism.report.views import title_of

__all__ = ["TARGETS", "Result", "Target", "publish", "results_of"]

#: The marks around our section of a model card.
START, END = "<!-- pytest-pluralism -->", "<!-- /pytest-pluralism -->"

#: Characters that every target takes in the name of a number.
_ODD = re.compile(r"[^A-Za-z0-9_./ -]+")


@dataclass(frozen=True)
class Result:
    """One promise: its names, value, interval and outcome; without a value where nothing was measured."""

    model: str
    sha256: str
    metric: str
    dataset: str
    population: str
    title: str
    value: float | None
    low: float | None
    high: float | None
    outcome: str

    @property
    def name(self) -> str:
        """The name of the number, ``js_distance/gss/Democrat``, in characters that every target takes."""
        parts = (self.metric, self.dataset, self.population)
        return "/".join(_ODD.sub("_", part)[:80].strip() or "_" for part in parts if part)

    def numbers(self) -> dict[str, float]:
        """Return the value and the ends of its interval, by name."""
        ends = {"": self.value, "/low": self.low, "/high": self.high}
        return {f"pluralism/{self.name}{end}": value for end, value in ends.items() if value is not None}


@dataclass(frozen=True)
class Target:
    """A place for results: the package that it needs, the extra that installs it, and the function that writes."""

    package: str
    extra: str
    words: str
    write: Callable[[list[Result], Entry, Path, str], list[str]]


def results_of(entries: Iterable[Entry], /) -> list[Result]:
    """Return the results of a report in its order, those without a number too."""
    found = []
    for entry in entries:
        estimate, model = entry.get("estimate") or {}, entry["model"]
        said = estimate.get("value")
        value = float(said) if isinstance(said, int | float) and math.isfinite(said) else None
        measure = measure_of(entry)
        dataset, population = str((entry.get("dataset") or {}).get("name", "")), entry.get("population")
        title = title_of(measure, population, dataset) if dataset else str(entry.get("key", ""))
        has_interval = value is not None and estimate.get("confidence_level") is not None
        found.append(
            Result(
                printable(str(model.get("name", "")), most=80),
                str(model.get("sha256", "")),
                measure.name,
                printable(dataset, most=80),
                printable(str(population or ""), most=80),
                printable(title, most=160),
                value,
                float(estimate["low"]) if has_interval and estimate.get("low") is not None else None,
                float(estimate["high"]) if has_interval and estimate.get("high") is not None else None,
                outcome_of(entry),
            )
        )
    return found


def publish(target: str, entries: Iterable[Entry], run: Entry, output: Path, experiment: str, /) -> list[str]:
    """Write the results of a report to a target.

    Parameters
    ----------
    target : str
        A key of :data:`TARGETS`.
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    run : mapping
        The description of the run.
    output : Path
        The folder of the target, or the file of a model card.
    experiment : str
        The experiment or project.

    Returns
    -------
    list of str
        A line for each model: what was written, and where.

    Raises
    ------
    MissingExtraError
        The package of the target is not installed; the message holds the command.
    """
    known = TARGETS[target]
    missing = MissingExtraError(f"pluralism publish --to={target}", f'pip install "pytest-pluralism[{known.extra}]"')
    if importlib.util.find_spec(known.package) is None:
        raise missing
    try:
        return known.write(results_of(entries), run, output, experiment)
    except ImportError as error:
        # A part of the package that only this use of it needs.
        raise missing from error


def _by_model(results: list[Result]) -> dict[str, list[Result]]:
    return {name: [one for one in results if one.model == name] for name in dict.fromkeys(one.model for one in results)}


def _tags(results: list[Result], run: Entry) -> dict[str, str]:
    source = run.get("source") or {}
    seed = ((run.get("settings") or {}).get("seed") or {}).get("value", "")
    known = {
        "pluralism.model_sha256": results[0].sha256,
        "pluralism.started": run.get("started", ""),
        "pluralism.seed": seed,
        "pluralism.commit": source.get("commit", ""),
        "pluralism.complete": "" if is_complete(run) else "false",
        "pluralism.outcomes": ", ".join(
            f"{sum(one.outcome == outcome for one in results)} {outcome}"
            for outcome in dict.fromkeys(one.outcome for one in results)
        ),
    }
    return {name: printable(str(value), most=200) for name, value in known.items() if value not in ("", None)}


def is_complete(run: Entry, /) -> bool:
    """Return whether a run came to its end; a report that does not say so is taken for one that did."""
    return run.get("complete", True) is not False


def _counted(results: list[Result]) -> str:
    """Return the number of results in words, and of promises that have none."""
    lost = sum(one.value is None for one in results)
    return f"{len(results) - lost} results" + (f", {lost} promises without a value" if lost else "")


def _numbers(results: list[Result]) -> dict[str, float]:
    return {name: value for one in results for name, value in one.numbers().items()}


def _mlflow(results: list[Result], run: Entry, output: Path, experiment: str) -> list[str]:
    import mlflow

    output.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{(output / 'mlflow.db').absolute()}"
    client = mlflow.MlflowClient(tracking_uri=address)
    found = client.get_experiment_by_name(experiment)
    place = (output / "artifacts").absolute().as_uri()
    number = found.experiment_id if found else client.create_experiment(experiment, artifact_location=place)
    lines = []
    for model, mine in _by_model(results).items():
        made = client.create_run(number, run_name=model, tags=_tags(mine, run))
        for name, value in _numbers(mine).items():
            client.log_metric(made.info.run_id, name, value)
        client.set_terminated(made.info.run_id)
        lines.append(f"{model}: {_counted(mine)} in the run {made.info.run_id} of {address}")
    return lines


def _wandb(results: list[Result], run: Entry, output: Path, experiment: str) -> list[str]:
    import wandb

    output.mkdir(parents=True, exist_ok=True)
    # Nothing is sent unless the person asks for it by the variable of wandb.
    mode: object = os.environ.get("WANDB_MODE", "offline")
    lines = []
    for model, mine in _by_model(results).items():
        with wandb.init(
            project=experiment,
            name=model,
            mode=mode,
            dir=str(output),
            config=_tags(mine, run),
            reinit="finish_previous",
        ) as made:
            made.log(_numbers(mine))
            lines.append(f"{model}: {_counted(mine)} in {made.dir}")
    return lines


def _tensorboard(results: list[Result], run: Entry, output: Path, experiment: str) -> list[str]:
    from tensorboard.summary import Writer

    lines = []
    for model, mine in _by_model(results).items():
        folder = output / experiment / (_ODD.sub("_", model).replace("/", "_") or "_")
        writer = Writer(str(folder))
        for name, value in _numbers(mine).items():
            writer.add_scalar(name, value, 0)
        writer.close()
        lines.append(f"{model}: {_counted(mine)} in {folder}")
    return lines


def _model_card(results: list[Result], run: Entry, output: Path, experiment: str) -> list[str]:
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    ((model, mine),) = _by_model(results).items()
    rows = [
        EvalResult(
            task_type="pluralism",
            task_name="Pluralism",
            dataset_type=one.dataset or "none",
            dataset_name=one.dataset or "none",
            dataset_config=one.population or None,
            metric_type=one.metric,
            metric_name=one.title,
            metric_value=one.value,
        )
        for one in mine
        if one.value is not None
    ]
    card = ModelCard.load(output) if output.exists() else ModelCard(f"---\n---\n\n# {model}\n")
    kept = [row for row in card.data.eval_results or [] if row.task_type != "pluralism"]
    about: dict[str, object] = {**card.data.to_dict(), "model_name": card.data.get("model_name") or model}
    about.pop("model-index", None)
    data = ModelCardData(eval_results=[*kept, *rows], **about)
    before, _, rest = card.text.partition(START)
    after = rest.partition(END)[2] if rest else ""
    section = f"{START}\n## Pluralism\n\n{_card_table(mine, run)}\n{END}"
    text = f"{before.rstrip()}\n\n{section}\n{after.lstrip()}".rstrip()
    content = f"---\n{data.to_yaml()}\n---\n{text}\n"
    # The library reads what it is about to be given: a card that it refuses is not written.
    ModelCard(content)
    output.write_text(content, encoding="utf-8")
    return [f"{model}: {_counted(mine)} in {output}"]


def _card_table(results: list[Result], run: Entry) -> str:
    from pytest_pluralism.report.templates import markdown_text

    lines = ["| measure | value [interval] | verdict |", "|---|---|---|"]
    for one in results:
        ends = f" [{one.low:z.3f}, {one.high:z.3f}]" if one.low is not None and one.high is not None else ""
        value = "-" if one.value is None else f"{one.value:z.3f}{ends}"
        lines.append(f"| {markdown_text(one.title)} | {value} | {markdown_text(one.outcome)} |")
    if not is_complete(run):
        lines += ["", "The run did not come to its end, and verdicts are missing."]
    if run.get("failed_tests"):
        lines += ["", "Other tests of the run failed."]
    return "\n".join(lines)


#: The targets of ``pluralism publish``, by name.
TARGETS: Mapping[str, Target] = {
    "mlflow": Target("mlflow", "mlflow", "runs of a local MLflow store", _mlflow),
    "wandb": Target("wandb", "wandb", "offline runs of Weights & Biases", _wandb),
    "tensorboard": Target("tensorboard", "tensorboard", "event files of TensorBoard", _tensorboard),
    "model-card": Target("huggingface_hub", "hub,report", "the metadata and a section of a model card", _model_card),
}
