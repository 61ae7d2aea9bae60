"""Measurements of a model on one machine: the files, the token budget, and the budget on real tiny networks."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_pluralism.models.local import budget as budgets
from pytest_pluralism.models.local.budget import TokenBudget
from pytest_pluralism.models.measured import MOST_AGE, MeasuredFile, measured_folder, threads_offered

KEY = {"model": "abc", "device": "cpu", "threads": 2}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path))
    return MeasuredFile("budget", KEY)


# -------------------------------------------------------------------------------------------------------------- files


def test_what_is_kept_comes_back(kept, tmp_path):
    assert measured_folder() == tmp_path / "measured"
    assert kept.read() == (None, "")
    assert kept.write({"tokens": 512}) == ""
    assert MeasuredFile("budget", dict(KEY)).read() == ({"tokens": 512}, "")
    assert MeasuredFile("noise", KEY).read() == (None, "")
    assert MeasuredFile("budget", KEY | {"threads": 3}).read() == (None, "")
    assert [path.name for path in (tmp_path / "measured").iterdir()] == [kept.path.name], "nothing temporary is left"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": "pytest-pluralism/measured/1"}', '{"schema": "other/1"}', "\x00" * 50,
     "[" * 5000, "x" * 200_000],
)  # fmt: skip
def test_a_damaged_file_is_passed_over_with_a_note(kept, text):
    kept.write({"tokens": 512})
    kept.path.write_text(text, encoding="utf-8")
    content, note = kept.read()
    assert content is None
    assert "damaged" in note
    assert str(kept.path) in note
    # The next measurement takes its place.
    kept.write({"tokens": 1})
    assert kept.read() == ({"tokens": 1}, "")


def test_the_file_of_another_key_is_not_believed(kept):
    other = MeasuredFile("budget", KEY | {"model": "other"})
    other.write({"tokens": 512})
    other.path.rename(kept.path)
    assert "damaged" in kept.read()[1]


def test_what_is_old_is_measured_again(kept):
    kept.write({"tokens": 512})
    content = json.loads(kept.path.read_text(encoding="utf-8"))
    for created, known in ((time.time() - MOST_AGE + 60, True), (time.time() - MOST_AGE - 60, False), (9e15, False)):
        kept.path.write_text(json.dumps(content | {"created": created}), encoding="utf-8")
        assert kept.read() == ({"tokens": 512} if known else None, "")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "file"))
    kept = MeasuredFile("budget", KEY)
    assert "cannot be kept for the next run" in kept.write({"tokens": 512})
    assert kept.read()[0] is None
    budget = TokenBudget("cpu", kept=kept)
    budget.no_memory(600)
    budget.keep()
    assert budget.tokens == 300
    assert len([note for note in budget.notes if "cannot be kept" in note]) == 1


@pytest.mark.whole
def test_writers_at_once_leave_a_whole_file(kept):
    program = (
        "import sys\n"
        "from pytest_pluralism.models.measured import MeasuredFile\n"
        f"kept = MeasuredFile('budget', {KEY!r})\n"
        "for number in range(30):\n"
        "    kept.write({'writer': sys.argv[1], 'filling': 'x' * 5000})\n"
        "    assert kept.read()[0] is not None, kept.read()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, name]) for name in "ab"]
    assert [one.wait(60) for one in running] == [0, 0]
    assert kept.read()[0]["writer"] in {"a", "b"}


def test_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert threads_offered() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert 1 <= threads_offered() <= os.cpu_count()


def test_no_torch_is_imported():
    modules = "pytest_pluralism.models.local.budget, pytest_pluralism.models.noise"
    program = f"import sys, {modules}\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------------------- budget


def measure(budget: TokenBudget, planned: int, rate) -> list[int]:
    """Play the part of the engine: time sizes until no more are wanted."""
    sizes, spent = [], 0
    while (size := budget.next_size(planned, spent)) is not None:
        sizes.append(size)
        spent += budgets.REPEATS * size
        budget.record(size, rate(size))
    budget.keep()
    assert spent <= budgets.SHARE * planned
    return sizes


def test_the_smallest_size_that_is_about_as_fast_as_the_best(kept):
    budget = TokenBudget("cpu", kept=kept)
    assert budget.tokens == 2048
    assert measure(budget, 10**6, lambda size: {512: 100.0, 1024: 130.0}.get(size, 133.0)) == [512, 1024, 2048, 4096]
    assert budget.tokens == 1024
    # Remembered, and not measured again.
    again = TokenBudget("cpu", kept=kept)
    assert (again.tokens, again.rates, again.notes) == (1024, budget.rates, [])
    assert measure(again, 10**9, lambda _: pytest.fail("measured again")) == []
    assert TokenBudget("cpu", kept=MeasuredFile("budget", KEY | {"model": "other"})).tokens == 2048


def test_what_still_grows_at_the_largest_size(kept):
    budget = TokenBudget("cuda", kept=kept)
    sizes = measure(budget, 10**9, float)
    assert sizes[0] == 2048
    assert sizes[-1] == budget.tokens == 262144


def test_few_prompts_are_not_worth_a_measurement(kept):
    budget = TokenBudget("cpu", kept=kept)
    assert measure(budget, 20_000, lambda _: pytest.fail("measured")) == []
    assert budget.tokens == 2048
    assert TokenBudget("cpu", kept=None).next_size(10**9, 0) is None


def test_a_measurement_goes_on_where_an_earlier_run_had_to_stop(kept):
    budget = TokenBudget("cpu", kept=kept)
    assert measure(budget, 100_000, lambda size: size / 10) == [512, 1024]
    assert budget.tokens == 2048, "two sizes that still grow say little"
    again = TokenBudget("cpu", kept=kept)
    assert measure(again, 10**6, lambda _: 104.0) == [2048, 4096]
    assert again.complete
    assert again.tokens == 1024


def test_memory_that_ran_out_is_remembered(kept):
    budget = TokenBudget("cpu", kept=kept)
    budget.no_memory(1500)
    assert budget.tokens == 750
    budget.no_memory_while_writing(4000)
    again = TokenBudget("cpu", kept=kept)
    assert (again.tokens, again.no_memory_for, again.cached_tokens) == (750, 1500, 2000)
    # A size that did not fit is not tried again, however fast it would be.
    assert measure(again, 10**6, float) == [512, 1024]
    assert again.tokens <= 750
    tried = TokenBudget("cpu", kept=MeasuredFile("budget", KEY | {"threads": 9}))
    tried.record(512, 100.0)
    tried.no_memory_while_measuring(1024)
    assert tried.tokens == 512
    assert tried.complete


@pytest.mark.parametrize(
    "change",
    [{"tokens": 0}, {"tokens": True}, {"tokens": 1e3}, {"tokens": 2**40}, {"rates": [[512, -1.0]]},
     {"rates": [[1024, 1.0], [512, 1.0]]}, {"rates": 3}, {"rates": [[512, float("nan")]]}, {"complete": 1},
     {"no_memory_for": -5}, {"cached_tokens": "many"}],
)  # fmt: skip
def test_values_that_cannot_be_are_passed_over_with_a_note(kept, change):
    good = {"tokens": 700, "cached_tokens": None, "rates": [[512, 2.0]], "complete": True, "no_memory_for": None}
    kept.write(good)
    assert TokenBudget("cpu", kept=kept).tokens == 700
    content = json.loads(kept.path.read_text(encoding="utf-8"))
    content["measured"] = good | change
    kept.path.write_text(json.dumps(content), encoding="utf-8")
    budget = TokenBudget("cpu", kept=kept)
    assert (budget.tokens, budget.rates, budget.complete) == (2048, [], False)
    assert "damaged" in budget.notes[0]


@given(st.integers(0, 10**7), st.lists(st.floats(1, 1e6), min_size=12, max_size=12), st.sampled_from(["cpu", "cuda"]))
def test_whatever_is_measured_the_budget_is_a_size_that_was_tried_or_the_default(planned, rates, device):
    class Nowhere(MeasuredFile):
        def read(self):
            return None, ""

        def write(self, measured):
            json.dumps(measured, allow_nan=False)
            return ""

    budget = TokenBudget(device, kept=Nowhere("budget", KEY))
    order = iter(rates)
    sizes = measure(budget, planned, lambda _: next(order))
    assert budget.tokens in {*sizes, budget.default}
    assert all(b == 2 * a for a, b in itertools.pairwise(sizes))
    if budget.complete:
        best = max(rate for _, rate in budget.rates)
        assert dict(budget.rates)[budget.tokens] >= (1 - budgets.SLACK) * best


# ------------------------------------------------------------------------------------------------------- on a network


@pytest.mark.whole
def test_a_network_is_timed_only_when_that_pays_off(tiny, kept, monkeypatch):
    pytest.importorskip("torch")
    from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest

    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    draw = random.Random(0)
    rows = [tuple(draw.randrange(7, 40) for _ in range(60)) for _ in range(300)]
    requests = [ScoreRequest(row, ((10,), (11,))) for row in rows]
    plain = Scorer(network).score(requests)
    monkeypatch.setattr(budgets, "SIZES", {"cpu": (64, 512, 256)})
    few = Scorer(network, measured=kept)
    few.score(requests[:20])
    assert (few.timed_tokens, few.token_budget) == (0, 256)
    assert not kept.path.exists()
    many = Scorer(network, measured=kept)
    scores = many.score(requests)
    assert 0 < many.timed_tokens <= budgets.SHARE * 300 * 60 + 64
    assert many.computed_tokens <= 300 * 60, "what is timed is not counted as work"
    assert [size for size, _ in many.budget.rates][:2] == [64, 128]
    assert many.notes == []
    for one, other in zip(scores, plain, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
    again = Scorer(network, measured=kept)
    assert again.token_budget == many.token_budget
    assert again.budget.rates == [(size, pytest.approx(rate, rel=1e-3)) for size, rate in many.budget.rates]
    # A number of rows that somebody chose is not improved upon.
    chosen = Scorer(network, measured=kept, batch_size=3)
    chosen.score(requests)
    assert chosen.timed_tokens == 0


@pytest.mark.whole
def test_no_memory_while_a_network_is_timed_or_works(tiny, kept, monkeypatch):
    torch = pytest.importorskip("torch")
    from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest

    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    draw = random.Random(0)
    requests = [
        ScoreRequest(tuple(draw.randrange(7, 40) for _ in range(60)), ((10,), (11,))) for _ in range(400)
    ]  # fmt: skip
    expected = Scorer(network).score(requests)
    monkeypatch.setattr(budgets, "SIZES", {"cpu": (64, 512, 256)})
    scorer = Scorer(network, measured=kept)
    real, widths = scorer.forwards.last_logits, []

    def greedy(suffixes, cache, cached):
        widths.append(sum(map(len, suffixes)))
        if widths[-1] > 130:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(suffixes, cache, cached)

    monkeypatch.setattr(scorer.forwards, "last_logits", greedy)
    for one, other in zip(scorer.score(requests), expected, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)
    assert max(widths) > 130
    assert scorer.token_budget <= 128
    again = Scorer(network, measured=kept)
    assert again.token_budget == scorer.token_budget
    assert again.budget.no_memory_for == scorer.budget.no_memory_for
