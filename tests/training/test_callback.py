"""The callback of trainers: training is left as it was, the numbers are in its logs, a broken promise ends it."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")

import transformers  # noqa: E402

import pytest_pluralism as pp  # noqa: E402
from pytest_pluralism.core.errors import BaselineError, InvalidParameterError, ModelError  # noqa: E402
from pytest_pluralism.notebook import settings_of  # noqa: E402
from pytest_pluralism.training import PluralismCallback, Watch  # noqa: E402
from pytest_pluralism.training.live import undisturbed  # noqa: E402
from pytest_pluralism.training.watching import Watching, plans_of  # noqa: E402

_spec = importlib.util.spec_from_file_location("trainers", Path(__file__).with_name("trainers.py"))
trainers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trainers)
make_network, make_tokenizer, make_trainer = trainers.make_network, trainers.make_tokenizer, trainers.make_trainer
weights_hash, with_lora = trainers.weights_hash, trainers.with_lora

# Those of torch and transformers about themselves.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

TRAINERS = Path(__file__).with_name("trainers.py")

NORTH = "eval_pluralism/town/north/js_distance"


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A survey of twelve questions."""
    return str(trainers.write_survey(tmp_path_factory.mktemp("survey") / "town.jsonl"))


def watched(trainer: Any, town: str, /, every: int | str = 3, **keywords: Any) -> PluralismCallback:
    """Add the callback to a trainer, with a promise or without."""
    own = {"at_start": True} | {name: keywords.pop(name) for name in ("stop", "at_start") if name in keywords}
    callback = PluralismCallback(
        trainer, [Watch("js_distance", town, population="North", **keywords)], every=every, **own
    )
    trainer.add_callback(callback)
    return callback


def ours(trainer: Any) -> list[dict[str, float]]:
    return [row for row in trainer.state.log_history if "eval_pluralism/seconds" in row]


def theirs(trainer: Any) -> list[dict[str, float]]:
    """Return the rows that the trainer logs by itself, without times."""
    rows = [row for row in trainer.state.log_history if not any("pluralism" in name for name in row)]
    return [
        {name: value for name, value in row.items() if "runtime" not in name and "per_s" not in name} for row in rows
    ]


WAYS = {
    "plain": {},
    "lora": {"lora": True},
    "lora, checkpointed, bf16": {"lora": True, "gradient_checkpointing": True, "bf16": True},
    "accumulated": {"gradient_accumulation_steps": 2},
}


@pytest.mark.parametrize(
    "way", [name if "bf16" in name else pytest.param(name, marks=pytest.mark.slow) for name in WAYS]
)
def test_training_is_the_same_with_the_callback(way: str, tmp_path: Path, town: str) -> None:
    arguments = dict(WAYS[way])
    has_lora = arguments.pop("lora", False)
    if has_lora:
        pytest.importorskip("peft", reason="peft is not installed")
    hashes, logs = [], []
    for is_watched in (False, True):
        network = make_network(len(make_tokenizer()))
        trainer = make_trainer(tmp_path, network=with_lora(network) if has_lora else network, **arguments)
        if is_watched:
            watched(trainer, town, max_increase=0.5)
        trainer.train()
        assert trainer.model.training
        hashes.append(weights_hash(trainer))
        logs.append(theirs(trainer))
    assert hashes[0] == hashes[1]
    assert logs[0] == logs[1]
    assert any("loss" in row for row in logs[1])
    assert len(ours(trainer)) >= 2


@pytest.mark.whole
def test_what_is_logged_last_is_what_the_saved_model_gives(tmp_path: Path, town: str) -> None:
    trainer = make_trainer(tmp_path / "run")
    callback = watched(trainer, town, max_increase=0.5)
    trainer.train()
    trainer.save_model(str(tmp_path / "saved"))
    make_tokenizer().save_pretrained(tmp_path / "saved")
    saved = pp.evaluate(str(tmp_path / "saved"), "js_distance", town, population="North", settings={"answers": "off"})
    rows = ours(trainer)
    assert [row["step"] for row in rows] == [0, 3, 6] == [look.step for look in callback.history]
    assert rows[-1][NORTH] == pytest.approx(saved.value, abs=1e-6)
    assert rows[-1][f"{NORTH}_low"] == pytest.approx(saved.low, abs=1e-6)
    assert rows[0][NORTH] != pytest.approx(rows[-1][NORTH], abs=1e-4)
    assert rows[-1][f"{NORTH}_change"] == pytest.approx(rows[-1][NORTH] - rows[0][NORTH], abs=1e-9)
    place = NORTH.rpartition("/")[0]
    assert {f"{place}/skill", f"{place}/entropy", f"{place}/option_mass"} <= rows[-1].keys()
    assert 0.0 < rows[-1][f"{place}/entropy"] <= math.log2(3)


class Reporter(transformers.TrainerCallback):
    """Stands where TensorBoard and the like stand: before the callbacks of the user."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.rows.append(dict(logs))


@pytest.mark.whole
def test_reporters_get_the_numbers_once_an_epoch(tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, reporter = make_trainer(tmp_path, logging_strategy="epoch"), Reporter()
    trainer.add_callback(reporter)
    trainer.add_callback(PluralismCallback(trainer, [Watch("js_distance", town, population="all")], at_start=True))
    trainer.train()
    names = [row for row in reporter.rows if NORTH in row]
    assert [row["epoch"] for row in names] == [0, 1.0, 2.0]
    # A name of a population gets the characters that every reporter takes.
    assert "eval_pluralism/town/sud_été/js_distance" in names[0]
    # The log of the loss that was due at the same moment is not lost.
    assert sum("loss" in row for row in reporter.rows) == 2
    assert "once an epoch: 2 more looks take about" in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.parametrize("at_start", [None, False])
def test_a_start_that_is_not_measured_costs_no_look(
    at_start: bool | None, tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(tmp_path)
    callback = watched(trainer, town, at_start=at_start)
    trainer.train()
    assert [look.step for look in callback.history] == [3, 6]
    assert all(NORTH in look.values for look in callback.history)
    told = capsys.readouterr().err
    assert "measures every 3 steps, about 2 times; at_start=True adds the start." in told
    assert "every 3 steps: 1 more looks take about" in told
    assert not list(tmp_path.glob("pluralism-start*.json"))


@pytest.mark.whole
def test_letters_and_whole_answers_of_one_group_have_names_of_their_own(tmp_path: Path, town: str) -> None:
    trainer = make_trainer(tmp_path, max_steps=1)
    north = {"population": "North", "repetitions": 1}
    watches = [Watch("js_distance", town, **north), Watch("js_distance", town, scoring="per_byte", **north)]
    callback = PluralismCallback(trainer, watches)
    trainer.add_callback(callback)
    trainer.train()
    values = callback.history[-1].values
    assert values[NORTH] != values["eval_pluralism/town/north/per_byte/js_distance"]


def test_tensorboard_has_the_numbers(tmp_path: Path, town: str) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = make_trainer(tmp_path, report_to=["tensorboard"], max_steps=2)
    watched(trainer, town, every=1)
    trainer.train()
    folder = next(path.parent for path in tmp_path.rglob("events.out.tfevents.*"))
    events = EventAccumulator(str(folder))
    events.Reload()
    assert any("pluralism" in tag for tag in events.Tags()["scalars"])


@pytest.mark.whole
def test_a_broken_promise_ends_the_training(tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make_trainer(tmp_path)
    callback = watched(trainer, town, every=1, at_most=0.001)
    trainer.train()
    assert trainer.state.global_step == 1
    assert [look.step for look in callback.history] == [0, 1]
    assert ours(trainer)[-1][f"{NORTH}_broken"] == 1.0
    said = capsys.readouterr().err
    assert "before training, eval_pluralism/town/north/js_distance is broken" in said
    assert "step 1: eval_pluralism/town/north/js_distance is broken" in said
    assert "Training stops." in said


class Spoils(transformers.TrainerCallback):
    """Change the output layer before the third step."""

    def __init__(self, change: Any) -> None:
        self.change = change

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == 2:
            with torch.no_grad():
                self.change(model.lm_head)


@pytest.mark.whole
def test_a_loss_since_the_first_step_is_seen_and_may_be_only_logged(tmp_path: Path, town: str) -> None:
    letter = make_tokenizer()("A")["input_ids"][-1]

    def always(head: Any) -> None:
        head.bias = torch.nn.Parameter(torch.zeros(head.out_features))
        head.bias[letter] = 20.0

    trainer = make_trainer(tmp_path)
    trainer.add_callback(Spoils(always))
    callback = watched(trainer, town, max_increase=0.02, stop=False, option_order="none")
    trainer.train()
    assert trainer.state.global_step == 6
    last = callback.history[-1].verdicts[NORTH]
    assert last.outcome.value == "failed"
    assert last.witness is not None
    assert last.witness.text
    assert [row.get(f"{NORTH}_broken") for row in ours(trainer)] == [None, 1.0, 1.0]


@pytest.mark.whole
def test_a_network_that_gives_no_numbers_is_told_and_training_goes_on(
    tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(tmp_path)
    trainer.add_callback(Spoils(lambda head: head.weight.fill_(math.nan)))
    callback = watched(trainer, town, max_increase=0.02)
    trainer.train()
    assert trainer.state.global_step == 6
    assert ["NaN" in look.problem for look in callback.history] == [False, True, True]
    assert [row["step"] for row in trainer.state.log_history if row.get("eval_pluralism/failed") == 1.0] == [3, 6]
    assert "2 of 3 looks failed, at steps 3, 6." in capsys.readouterr().err


def test_all_that_training_uses_is_left_as_it_was() -> None:
    import numpy as np

    network = make_network(50)
    network.train()
    network.lm_head.eval()
    rotary = network.model.rotary_emb
    before = rotary.inv_freq
    modes = [part.training for part in network.modules()]

    def drawn() -> tuple[float, ...]:
        return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002

    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    first = drawn()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])

    def fail() -> None:
        assert not any(part.training for part in network.modules())
        rotary.register_buffer("inv_freq", torch.zeros_like(before), persistent=False)
        drawn()
        raise ModelError("it failed")

    with pytest.raises(ModelError), undisturbed(network):
        fail()
    assert drawn() == first
    assert [part.training for part in network.modules()] == modes
    assert rotary.inv_freq is before


def test_what_writes_texts_says_beforehand_how_many() -> None:
    chosen = settings_of({})
    chosen["entailment_model"] = "embedded:nli-minilm"
    watches = [Watch("overton_coverage", "contested", max_decrease=0.05), Watch("js_distance", "gss")]
    (line,) = Watching(plans_of(watches, chosen), chosen, {}).cost_words()
    assert re.fullmatch(
        r"eval_pluralism/contested/overton_coverage writes \d+ texts of up to \d+ tokens at every look\.", line
    )


# ------------------------------------------------------------------------------------------------------- resuming


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, town: str) -> Path:
    """The folder of a training that was stopped after three of six steps."""
    folder = tmp_path_factory.mktemp("stopped")
    trainer = make_trainer(folder, save_strategy="steps", save_steps=3, max_steps=3)
    watched(trainer, town, max_increase=0.5)
    trainer.train()
    return folder


def resumed(stopped: Path, tmp_path: Path, town: str, **keywords: Any) -> PluralismCallback:
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder, dirs_exist_ok=True)
    trainer = make_trainer(folder, max_steps=6)
    callback = watched(trainer, town, **{"max_increase": 0.5, **keywords})
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-3"))
    return callback


@pytest.mark.whole
def test_a_training_that_goes_on_is_compared_with_its_first_step(
    stopped: Path, tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = json.loads((stopped / "pluralism-start.json").read_text(encoding="utf-8"))
    callback = resumed(stopped, tmp_path, town)
    assert [look.step for look in callback.history] == [3, 6]
    values = callback.history[-1].values
    began = start["entries"][NORTH]["estimate"]["value"]
    assert values[f"{NORTH}_change"] == pytest.approx(values[NORTH] - began, abs=1e-9)
    assert "Changes are measured from step 0" in capsys.readouterr().err


@pytest.mark.whole
def test_without_its_first_step_the_change_begins_anew_and_that_is_told(
    stopped: Path, tmp_path: Path, town: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(stopped, tmp_path / "bare")
    (tmp_path / "bare/pluralism-start.json").unlink()
    callback = resumed(tmp_path / "bare", tmp_path, town)
    first, last = (look.values[NORTH] for look in callback.history)
    assert callback.history[-1].values[f"{NORTH}_change"] == pytest.approx(last - first, abs=1e-9)
    assert "changes are measured from the step at which this training is resumed" in capsys.readouterr().err


@pytest.mark.whole
@pytest.mark.parametrize(
    "damage", ["other data", "other settings", "other network", "other units", "no JSON", "no numbers", "another form"]
)
def test_another_first_step_is_refused(damage: str, stopped: Path, tmp_path: Path, town: str) -> None:
    shutil.copytree(stopped, tmp_path / "odd")
    file = tmp_path / "odd/pluralism-start.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    if damage == "other data":
        content["entries"][NORTH]["dataset"]["sha256"] = "0" * 64
    elif damage == "other network":
        content["entries"][NORTH]["model"]["parameters"] += 1
    elif damage == "other units":
        content["entries"][NORTH]["units"][0]["id"] = "another"
    elif damage == "no numbers":
        content["entries"][NORTH]["units"][0]["value"] = math.nan
    elif damage == "another form":
        content = {"schema": "something else", "step": 0, "looks": 0, "entries": {}}
    file.write_text("{" if damage == "no JSON" else json.dumps(content), encoding="utf-8")
    seed = {"seed": 5} if damage == "other settings" else {}
    said = "cannot be compared with the start" if damage == "other units" else r"pluralism-start.json .* remove "
    with pytest.raises(BaselineError, match=said):
        resumed(tmp_path / "odd", tmp_path, town, **seed)


@pytest.mark.whole
def test_two_callbacks_keep_a_start_each(tmp_path: Path, town: str) -> None:
    def both(**arguments: Any) -> tuple[Any, list[PluralismCallback]]:
        trainer = make_trainer(tmp_path, **arguments)
        other = PluralismCallback(
            trainer, [Watch("answer_entropy", town, population="North", max_decrease=2.0)], every=3
        )
        found = [watched(trainer, town, max_increase=0.5), other]
        trainer.add_callback(other)
        return trainer, found

    trainer, _ = both(save_strategy="steps", save_steps=3, max_steps=3)
    trainer.train()
    trainer, found = both(max_steps=6)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert [[look.step for look in one.history] for one in found] == [[3, 6], [3, 6]]
    assert (tmp_path / "pluralism-start-2.json").is_file()


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "keywords", "part"),
    [
        ((None,), {}, r"needs the trainer .* trainer.add_callback\(PluralismCallback\(trainer\)\)"),
        (("trainer", []), {}, "must be a list of Watch objects"),
        (("trainer", ["gss"]), {}, "must be Watch objects. Got 'gss'"),
        (("trainer",), {"every": 0}, "must be 'epoch' or a number of steps from 1. Got 0"),
        (("trainer",), {"every": "epochs"}, "Got 'epochs'"),
        (("trainer",), {"every": True}, "Got True"),
        (
            ("trainer", "change"),
            {"at_start": False},
            "at_start' parameter of PluralismCallback must be True where a promise comp",
        ),
        (("trainer",), {"settings": {"sead": 1}}, "unknown setting 'sead'.* Nearest: 'seed'"),
        (("trainer", "unknown"), {}, "unknown measure 'js_distence'.* Did you mean 'js_distance'"),
        (("trainer", "direction"), {}, "promises the wrong direction"),
        (("trainer", "population"), {}, "Nrth"),
        (("trainer", "twice"), {}, "Two measurements have the name 'eval_pluralism/town/north/js_distance'"),
    ],
)
def test_a_wrong_parameter_is_refused_before_training(
    arguments: tuple[Any, ...], keywords: dict[str, Any], part: str, tmp_path: Path, town: str
) -> None:
    lists = {
        "unknown": [Watch("js_distence", town, population="North")],
        "change": [Watch("js_distance", town, population="North", max_increase=0.2)],
        "direction": [Watch("js_distance", town, population="North", at_least=0.2)],
        "population": [Watch("js_distance", town, population="Nrth")],
        "twice": [Watch("js_distance", town, population="North"), Watch("js_distance", town, population="North")],
    }
    trainer = make_trainer(tmp_path)
    first, *rest = ((trainer if one == "trainer" else one) for one in arguments)
    watches = [lists[one] if isinstance(one, str) else one for one in rest] or [
        [Watch("js_distance", town, population="North")]
    ]
    with pytest.raises(InvalidParameterError, match=part):
        PluralismCallback(first, *watches, **keywords)


@pytest.mark.whole
@pytest.mark.parametrize("measures", [True, False])
def test_a_trainer_that_cannot_be_measured_is_refused_at_the_start(measures: bool, tmp_path: Path, town: str) -> None:
    bare = make_trainer(tmp_path, tokenizer=False)
    watched(bare, town, at_start=measures)
    with pytest.raises(InvalidParameterError, match=r"PluralismCallback\(trainer, tokenizer=tokenizer\)"):
        bare.train()

    sharded = make_trainer(tmp_path)
    sharded.is_fsdp_enabled = True
    with pytest.raises(ModelError, match=r"under FSDP.* pluralism sweep"):
        watched(sharded, town).on_train_begin(sharded.args, sharded.state, sharded.control, model=sharded.model)

    first, second = make_trainer(tmp_path), make_trainer(tmp_path)
    with pytest.raises(InvalidParameterError, match="made for another trainer"):
        watched(first, town).on_train_begin(second.args, second.state, second.control, model=second.model)


@pytest.mark.whole
def test_a_network_that_writes_no_text_is_refused(tmp_path: Path, town: str) -> None:
    words = make_tokenizer()
    config = make_network(len(words)).config
    config.num_labels = 2
    trainer = make_trainer(tmp_path, network=transformers.LlamaForSequenceClassification(config))
    watched(trainer, town)
    with pytest.raises(InvalidParameterError, match="LlamaForSequenceClassification has no output layer over tokens"):
        trainer.train()


@pytest.mark.whole
def test_an_adapter_that_changes_the_prompt_is_refused(tmp_path: Path, town: str) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    network = make_network(len(make_tokenizer()))
    chosen = peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    trainer = make_trainer(tmp_path, network=peft.get_peft_model(network, chosen))
    watched(trainer, town)
    with pytest.raises(InvalidParameterError, match="PromptTuningConfig changes the prompt"):
        trainer.train()


# ------------------------------------------------------------------------------------------- processes of their own

#: Two processes train; one of them measures, and both must end at the same step.
TWO = """
import importlib.util, json, os, sys
spec = importlib.util.spec_from_file_location("trainers", sys.argv[1])
trainers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainers)
from pytest_pluralism.training import PluralismCallback, Watch
trainer = trainers.make_trainer(sys.argv[2], per_device_train_batch_size=2, ddp_backend="gloo")
watch = Watch("js_distance", sys.argv[3], population="North", at_most=float(sys.argv[4]))
trainer.add_callback(PluralismCallback(trainer, [watch], every=2, at_start=True))
trainer.train()
rows = [row for row in trainer.state.log_history if "eval_pluralism/seconds" in row]
found = {"steps": [row["step"] for row in rows], "last": trainer.state.global_step, "world": trainer.args.world_size}
open(f"{sys.argv[2]}/rank{os.environ['RANK']}.json", "w").write(json.dumps(found))
"""

#: The trainer of trl gathers numbers of its own, and adds them to whatever is logged next.
SFT = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("trainers", sys.argv[1])
trainers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainers)
from datasets import Dataset
from trl import SFTConfig, SFTTrainer
from pytest_pluralism.training import PluralismCallback, Watch
results = []
for is_watched in (False, True):
    words = trainers.make_tokenizer()
    args = SFTConfig(output_dir=sys.argv[2], num_train_epochs=1, per_device_train_batch_size=2, logging_steps=4,
                     report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True, max_length=32, bf16=False)
    data = Dataset.from_dict({"text": list(trainers.TEXTS) * 3})
    trainer = SFTTrainer(model=trainers.make_network(len(words)), args=args, train_dataset=data, processing_class=words)
    if is_watched:
        watch = Watch("js_distance", sys.argv[3], population="North")
        trainer.add_callback(PluralismCallback(trainer, [watch], every=3, at_start=True))
    trainer.train()
    results.append({"weights": trainers.weights_hash(trainer), "log": trainer.state.log_history})
open(f"{sys.argv[2]}/out.json", "w").write(json.dumps(results))
"""


def run_alone(*words: object) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(("bound", "last"), [(0.999, 6), (0.001, 2)], ids=["kept", "broken"])
def test_all_processes_end_at_the_same_step(bound: float, last: int, tmp_path: Path, town: str) -> None:
    (tmp_path / "two.py").write_text(TWO, encoding="utf-8")
    run_alone(
        "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
        tmp_path / "two.py", TRAINERS, tmp_path, town, bound,
    )  # fmt: skip
    found = [json.loads((tmp_path / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    assert found[0] == found[1]
    assert found[0]["world"] == 2
    assert found[0]["last"] == last
    assert found[0]["steps"][0] == 0


@pytest.mark.slow
def test_a_trainer_of_trl_logs_as_without_the_callback(tmp_path: Path, town: str) -> None:
    if importlib.util.find_spec("trl") is None:
        pytest.skip("trl is not installed")
    (tmp_path / "sft.py").write_text(SFT, encoding="utf-8")
    run_alone(tmp_path / "sft.py", TRAINERS, tmp_path, town)
    bare, watched = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert bare["weights"] == watched["weights"]
    rows = [row for row in watched["log"] if "eval_pluralism/seconds" in row]
    assert [row["step"] for row in rows] == [0, 3, 6]
    assert not any("token" in name for row in rows for name in row)
    own = [row for row in watched["log"] if row not in rows]
    assert [{**row, "train_runtime": 0} for row in own if "loss" in row] == [
        {**row, "train_runtime": 0} for row in bare["log"] if "loss" in row
    ]
