"""The prepared script for a GPU, with the same parts on a tiny network here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

_spec = importlib.util.spec_from_file_location("gpu", Path(__file__).parents[3] / "benchmarks" / "gpu.py")
gpu = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gpu)


@pytest.mark.whole
def test_every_part_gives_its_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    lines = {line["part"]: line for line in gpu.main(["--tiny", f"--json={tmp_path / 'out.jsonl'}"])}
    assert not [line for line in lines.values() if "error" in line or "left_out" in line]
    assert list(lines) == ["machine", *gpu.PARTS]
    assert lines["correctness"]["float32_shared"] < 1e-4
    assert lines["correctness"]["bfloat16_shared"] < 0.5
    assert lines["speed"]["shared"]["share_of_peak"] > 0
    assert lines["speed"]["shared"]["prompts_a_second"] > 0
    assert lines["memory"]["answers"] == lines["memory"]["asked"] == 256
    assert lines["memory"]["difference"] < 1e-4
    assert lines["largest"]["rows"] == 64
    assert lines["largest"]["stopped_by"] == "the script"
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["part"] for line in written] == list(lines)


def test_no_part_begins_after_the_time(tmp_path):
    lines = gpu.main(["--tiny", "--seconds=-1"])
    assert [line.get("left_out") for line in lines[1:]] == ["no time"] * len(gpu.PARTS)


def test_a_part_that_fails_or_hangs_leaves_the_figures_of_the_others(tmp_path, monkeypatch):
    import time

    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu, "part_correctness", lambda bench: 1 / 0)
    monkeypatch.setattr(gpu, "part_memory", lambda bench: time.sleep(600))
    parts = [f"--part={name}" for name in ("correctness", "graphs", "memory", "largest")]
    out = tmp_path / "out.jsonl"
    # Time for the first two on a busy machine.
    lines = gpu.main(["--tiny", "--seconds=4", f"--json={out}", *parts])
    assert "ZeroDivisionError" in lines[1]["error"]
    assert lines[2]["eager_seconds"] > 0
    assert "Ended" in lines[3]["error"]
    assert lines[4]["left_out"] == "no time"
    assert [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()] == lines


def test_without_a_gpu_the_script_says_so():
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no CUDA device"):
        gpu.main([])
