"""Answers that were given before are found again, across runs and workers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BODY = """
import pytest

@pytest.mark.js_distance("town.jsonl", population="all", at_most=0.99)
def test_one(): ...

@pytest.mark.js_distance("town.jsonl", population="North", at_most=0.99, seed=1)
def test_two(): ...
"""


@pytest.fixture
def kept(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PLURALISM_ANSWERS")
    project.makepyfile(test_town=BODY)
    return project


def run(project: pytest.Pytester, *args: str, model: str = "table:plain") -> dict[str, int]:
    project.runpytest_inprocess(
        f"--pluralism-model={model}", "--pluralism-answers=kept", "--pluralism-report=out.json", *args
    )
    answers: dict[str, int] = json.loads((project.path / "out.json").read_text())["run"]["answers"]
    return answers


@pytest.mark.whole
def test_a_second_run_computes_nothing(kept: pytest.Pytester) -> None:
    # 72 prompts a seed, of which the two seeds share 12: the same draws in one of their repetitions.
    assert run(kept) == {"computed": 132, "from_store": 0}
    first = json.loads((kept.path / "out.json").read_text())["verdicts"]
    assert run(kept) == {"computed": 0, "from_store": 132}
    assert json.loads((kept.path / "out.json").read_text())["verdicts"] == first


@pytest.mark.whole
def test_workers_share_the_store_and_report_what_they_did(kept: pytest.Pytester) -> None:
    counts = run(kept, "-n", "2")
    assert counts["computed"] + counts["from_store"] == 132
    # A run without workers finds all of theirs.
    assert run(kept) == {"computed": 0, "from_store": 132}


@pytest.mark.whole
def test_another_model_or_another_way_of_asking_misses(kept: pytest.Pytester) -> None:
    run(kept)
    assert run(kept, model="table:plain*2") == {"computed": 132, "from_store": 0}
    assert run(kept, "--pluralism-examples=2")["from_store"] == 0


def test_a_store_that_cannot_be_used_is_said_and_stops_nothing(kept: pytest.Pytester) -> None:
    (kept.path / "kept").write_text("a file where the folder should be")
    result = kept.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-answers=kept")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["answers are not kept: *"])


@pytest.mark.whole
def test_a_damaged_store_is_set_aside(kept: pytest.Pytester) -> None:
    run(kept)
    (file,) = (kept.path / "kept").glob("*.sqlite3")
    file.write_bytes(b"not a database" * 100)
    result = kept.runpytest_inprocess(
        "--pluralism-model=table:plain", "--pluralism-answers=kept", "--pluralism-report=out.json"
    )
    result.assert_outcomes(passed=2)
    assert json.loads((kept.path / "out.json").read_text())["run"]["answers"]["computed"] == 132
    assert "damaged" in result.stdout.str()


@pytest.mark.whole
def test_what_all_tests_want_is_asked_at_once(kept: pytest.Pytester) -> None:
    result = kept.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-answers=off", "-s")
    result.assert_outcomes(passed=2)
    assert "ASKED 132" in result.stdout.str()
    # A run that stops at the first failure asks only for what it comes to.
    stopping = kept.runpytest_inprocess("--pluralism-model=table:plain", "--pluralism-answers=off", "-s", "-x")
    assert "ASKED 72" in stopping.stdout.str()


def test_a_question_that_cannot_be_asked_is_the_error_of_its_own_test_alone(kept: pytest.Pytester) -> None:
    wide = {
        "question_id": "wide",
        "question": "Which of thirty?",
        "options": [f"Number {number}" for number in range(30)],
        "distributions": [{"population": "North", "probabilities": [1 / 30] * 30}],
    }
    (kept.path / "wide.jsonl").write_text(json.dumps(wide))
    kept.makepyfile(
        test_town=BODY
        + """
@pytest.mark.js_distance("wide.jsonl", population="North", at_most=0.99)
def test_wide(): ...
"""
    )
    result = kept.runpytest_inprocess("--pluralism-model=table:plain")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*'wide' of wide.jsonl has 30 options, but only 26 letters*"])


TINY = """
import sys
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

words = ["<unk>", "<s>", "</s>", *"ABCDEFGHIJ", ":", ".", "?", "Answer", "the", "town", "do", "thing", "number"]
tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
torch.manual_seed(1)
network = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512,
    )
)
network.save_pretrained(sys.argv[1])
fast.save_pretrained(sys.argv[1])
"""

WATCH = """
import sys

def pytest_unconfigure():
    print("\\nTORCH", "torch" in sys.modules)
"""


@pytest.mark.slow
def test_a_run_whose_answers_are_stored_loads_no_network(
    kept: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setenv("PLURALISM_CACHE", str(kept.path / "cache"))
    subprocess.run([sys.executable, "-c", TINY, str(kept.path / "tiny")], check=True, capture_output=True)
    kept.makeconftest(WATCH)
    # A network with random weights passes nothing; here its answers count, and not what they are worth.
    options = ("--pluralism-model=tiny", "--pluralism-report=out.json", "--pluralism-inconclusive=warn")

    def computed(result: pytest.RunResult) -> tuple[list[object], int]:
        content = json.loads((kept.path / "out.json").read_text())
        assert result.ret == pytest.ExitCode.OK
        return content["verdicts"], content["run"]["answers"]["computed"]

    planned = kept.runpytest_inprocess(*options, "--pluralism-plan")
    planned.stdout.fnmatch_lines(
        ["tiny: 3 gates", "*132 distinct, 0 stored, 132 to compute", "*are shared beginnings*"]
    )
    first, n_first = computed(kept.runpytest_inprocess(*options))
    assert n_first == 132
    second_run = kept.runpytest_inprocess(*options)
    second, n_second = computed(second_run)
    assert second == first
    assert n_second == 0
    second_run.stdout.fnmatch_lines(["TORCH False"])
    kept.runpytest_inprocess(*options, "--pluralism-plan").stdout.fnmatch_lines(["*132 stored, 0 to compute"])
    # A fixture gives the same model, which loads when it is asked.
    kept.makepyfile(
        test_more="""
from pytest_pluralism.core.records import Prompt

def test_own(language_model):
    assert not language_model.is_loaded
    assert len(language_model.answer([Prompt("Why ?", ("A", "B"))])) == 1
    assert language_model.is_loaded
"""
    )
    kept.runpytest_inprocess(*options, "test_more.py").assert_outcomes(passed=1)
