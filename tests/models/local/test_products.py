"""Matrix products through oneDNN: the same numbers, from the same weights, and nothing is left behind."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pytest_pluralism.models.local import products  # noqa: E402
from pytest_pluralism.models.local.packages import quiet_transformers  # noqa: E402
from pytest_pluralism.models.local.products import has_slow_products, quick_products  # noqa: E402
from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest  # noqa: E402


@pytest.fixture
def elsewhere(monkeypatch):
    """Let this be a processor on which MKL is slow."""
    monkeypatch.setattr(products, "has_slow_products", lambda: True)


def replaced(network):
    return [part for part in network.modules() if "forward" in vars(part)]


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("bias", [False, True])
def test_products_are_equal(bias):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(40, 24, bias=bias))
    with torch.inference_mode():
        for inputs in (
            torch.randn(1, 40), torch.randn(1, 1, 40), torch.randn(7, 40), torch.randn(2, 3, 40), torch.randn(2, 0, 40),
            torch.randn(40, 5).T, torch.randn(3, 5, 80)[:, ::2, :40], torch.randn(3, 40, dtype=torch.float64).float(),
        ):  # fmt: skip
            expected = network(inputs)
            with quick_products(network):
                assert len(replaced(network)) == 1
                found = network(inputs)
            assert found.shape == expected.shape
            assert torch.allclose(found, expected, atol=1e-5, rtol=0)
            assert not replaced(network)


@pytest.mark.usefixtures("elsewhere")
def test_layers_are_put_back_after_an_error():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    with torch.inference_mode(), pytest.raises(RuntimeError), quick_products(network):
        network(torch.ones(3, 5))
    assert not replaced(network)


class Odd(torch.nn.Linear):
    """A linear layer with a forward of its own."""

    def forward(self, inputs):
        return super().forward(inputs) + 1


@pytest.mark.usefixtures("elsewhere")
def test_other_layers_stay_as_they_are():
    hooked = torch.nn.Linear(4, 4)
    hooked.forward = functools.partial(torch.nn.Linear.forward, hooked)
    turned = torch.nn.Linear(4, 4)
    turned.weight = torch.nn.Parameter(torch.ones(4, 4).T[:, [0, 2, 1, 3]].T)
    half = torch.nn.Linear(4, 4, dtype=torch.bfloat16)
    absent = torch.nn.Linear(4, 4, device="meta")
    network = torch.nn.ModuleList([hooked, turned, half, absent, Odd(4, 4), torch.nn.Linear(4, 4)])
    with torch.inference_mode(), quick_products(network):
        assert replaced(network) == [hooked, network[-1]]
    assert replaced(network) == [hooked]


@pytest.mark.usefixtures("elsewhere")
def test_a_network_that_learns_stays_as_it_is():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    with quick_products(network):
        assert not replaced(network)


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_a_network_with_a_compiled_part_stays_as_it_is():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Sequential(torch.nn.Linear(4, 4)))
    with quiet_transformers():
        network[1].compile(dynamic=True)
    with torch.inference_mode(), quick_products(network):
        assert not replaced(network)


@pytest.mark.usefixtures("elsewhere")
def test_without_the_operator_nothing_changes(monkeypatch):
    def missing(*_arguments):
        raise AttributeError("_linear_pointwise")

    monkeypatch.setattr(products, "_multiply", missing)
    products._works.cache_clear()
    network = torch.nn.Sequential(torch.nn.Linear(4, 4))
    with torch.inference_mode(), quick_products(network):
        assert not replaced(network)
    products._works.cache_clear()


def test_the_processor_decides():
    made = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    if "GenuineIntel" in made or not torch.backends.mkl.is_available():
        assert not has_slow_products()
    elif "AuthenticAMD" in made:
        assert has_slow_products()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
def test_answers_are_those_of_the_plain_network(monkeypatch, tiny, family):
    if family == "gemma3_text":
        torch.manual_seed(0)
        network = transformers.Gemma3ForCausalLM(
            transformers.Gemma3TextConfig(
                vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=1, head_dim=16, sliding_window=24,
                layer_types=["sliding_attention", "full_attention"],
            )
        ).eval()  # fmt: skip
    else:
        network = tiny[1](family, 300)
    draw = torch.Generator().manual_seed(4)
    start = torch.randint(3, 300, (40,), generator=draw).tolist()
    lines = [
        (*start[: 40 - 20 * (number % 2)], *torch.randint(3, 300, (5 + number,), generator=draw).tolist())
        for number in range(8)
    ]
    for slow in (False, True):
        monkeypatch.setattr(products, "has_slow_products", lambda slow=slow: slow)
        found = Scorer(network).score([ScoreRequest(line, ((10,), (11, 12))) for line in lines])
        assert not replaced(network)
        with torch.inference_mode():
            for line, scores in zip(lines, found, strict=True):
                logits = network(input_ids=torch.tensor([line]), use_cache=False).logits[0, -1]
                expected = float(torch.log_softmax(logits, -1)[10])
                assert scores.log_probabilities[0] == pytest.approx(expected, abs=2e-5)
