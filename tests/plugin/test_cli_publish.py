"""``pluralism publish``: the results of a report in the real local libraries of each target."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from pytest_pluralism.cli import main

# Those of the libraries are theirs.
pytestmark = pytest.mark.filterwarnings("default")

GOLDEN = Path(__file__).parents[1] / "golden/report.json"
SMOLLM2 = "smollm2-135m-instruct"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(GOLDEN.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def democrats() -> float:
    (value,) = {
        entry["estimate"]["value"]
        for entry in json.loads(GOLDEN.read_text(encoding="utf-8"))["verdicts"]
        if entry["model"]["name"] == SMOLLM2 and entry.get("population") == "Democrat" and "at_most" in entry["gate"]
    }
    return float(value)


def test_mlflow_has_a_run_for_each_model(folder: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    assert main(["publish", "run.json", "--to=mlflow", "-o", "store"]) == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(folder / 'store/mlflow.db').absolute()}")
    number = client.get_experiment_by_name("pluralism").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([number])}
    assert runs[SMOLLM2].data.metrics["pluralism/js_distance/gss/Democrat"] == pytest.approx(democrats())
    assert runs[SMOLLM2].data.tags["pluralism.model_sha256"]
    assert main(["publish", "run.json", "--to=mlflow", "-o", "store"]) == 0
    assert len(client.search_runs([number])) == 2 * len(runs)


def test_wandb_has_an_offline_run_for_each_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert main(["publish", "run.json", "--to=wandb", "--model", SMOLLM2, "-o", "runs"]) == 0
    assert list(folder.glob("runs/wandb/offline-run-*/*.wandb"))


def test_tensorboard_has_the_numbers_of_each_model(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(["publish", "run.json", "--to=tensorboard", "-o", "events"]) == 0
    events = EventAccumulator(str(folder / "events/pluralism" / SMOLLM2), size_guidance={"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("pluralism/js_distance/gss/Democrat")
    assert event.tensor_proto.float_val[0] == pytest.approx(democrats(), abs=1e-6)


def test_a_model_card_keeps_its_text_and_other_results(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nmodel-index:\n- name: ours\n  results:\n  - task:\n      type: text-generation\n"
        "    dataset:\n      type: mmlu\n      name: mmlu\n    metrics:\n    - type: accuracy\n      value: 0.5\n---\n"
        "\n# Ours\n\nWritten by hand.\n",
        encoding="utf-8",
    )
    for _ in range(2):
        assert main(["publish", "run.json", "--to=model-card", "--model", SMOLLM2]) == 0
    card = hub.ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    found = {(row.task_type, row.dataset_config): row.metric_value for row in card.data.eval_results}
    assert found["text-generation", None] == 0.5
    assert found["pluralism", "Democrat"] == pytest.approx(democrats())
    assert card.text.count("## Pluralism") == 1
    assert "Written by hand." in card.text


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--to=excel"], "--to must be one of mlflow, wandb, tensorboard, model-card"),
        (["--to=model-card"], "a model card is about one model"),
        (["--to=model-card", "--model=nobody"], "--model must be one of"),
    ],
)
def test_a_wrong_choice_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main(["publish", "run.json", *words]) == 2
    assert part in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_missing_package_is_one_sentence_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "mlflow" else found(name))
    assert main(["publish", "run.json", "--to=mlflow"]) == 1
    assert 'pip install "pytest-pluralism[mlflow]"' in capsys.readouterr().err


def test_names_from_a_report_become_harmless_names(folder: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    content["verdicts"] = content["verdicts"][:1]
    content["verdicts"][0]["population"] = "a: [b]\n---\n| <script>"
    content["verdicts"][0]["model"]["name"] = "m\n---\nlicense: mit"
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    assert main(["publish", "run.json", "--to=model-card"]) == 0
    card = hub.ModelCard.load(folder / "README.md")
    assert card.data.license is None
    assert "<script>" not in card.text


def test_a_card_says_what_was_not_measured_or_only_stored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("huggingface_hub")
    content = json.loads(GOLDEN.read_text(encoding="utf-8"))
    kept = [entry for entry in content["verdicts"] if entry["model"]["name"] == SMOLLM2][:1]
    kept[0] |= {"outcome": "passed", "gate": {"max_increase": 0.1, "confidence_level": 0.95}}
    kept[0]["baseline"] = {"key": "a", "stored": True}
    lost = {**kept[0], "key": "js_distance gss Lost", "population": "Lost", "outcome": "error", "estimate": None}
    lost = {**lost, "gate": {"confidence_level": None}, "reason": "the model gave NaN", "units": [], "baseline": {}}
    run = {**content["run"], "complete": False}
    (folder / "run.json").write_text(json.dumps({**content, "run": run, "verdicts": [*kept, lost]}), encoding="utf-8")
    assert main(["publish", "run.json", "--to=model-card", "-o", "card.md"]) == 0
    assert "1 results, 1 promises without a value" in capsys.readouterr().out
    card = (folder / "card.md").read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.endswith(("| stored |", "| error |", "| passed |"))]
    assert [row.rsplit("|", 2)[1].strip() for row in rows] == ["stored", "error"]
    assert "The run did not come to its end" in card
