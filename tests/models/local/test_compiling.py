"""Models whose layers go through torch.compile."""

import copy
import shutil

import pytest

from pytest_pluralism.core.errors import ModelError
from pytest_pluralism.core.records import Prompt
from pytest_pluralism.models import load_model
from pytest_pluralism.models.lazy import lazy_model
from pytest_pluralism.models.local.compiling import compile_layers
from pytest_pluralism.models.local.packages import quiet_transformers

PROMPTS = [Prompt(f"Is {'very ' * n}cold water wet?", ("A", "B")) for n in range(4)]

needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler (g++)")


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_compiled_model_answers_alike_and_is_another_one(tiny_folder, family):
    folder = str(tiny_folder(family))
    plain = load_model(folder)
    compiled = lazy_model(folder, lambda: load_model(folder, compiled=True), compiled=True)
    assert compiled.identity.parts["compiled"].startswith("torch ")
    assert {**compiled.identity.parts, **plain.identity.parts} == compiled.identity.parts
    assert compiled.identity.sha256 != plain.identity.sha256
    # The network that is asked is the one whose identity was told before it was loaded.
    answers = compiled.answer(PROMPTS)
    parts = [part for part in compiled.opened().scorer.model.modules() if part._compiled_call_impl is not None]
    assert len(parts) == 3
    for one, other in zip(answers, plain.answer(PROMPTS), strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-5)


@pytest.mark.slow
@needs_a_compiler
def test_a_copy_for_an_adapter_is_not_compiled(tiny):
    network = tiny[1]("llama", 300)
    with quiet_transformers():
        assert compile_layers(network, "m") == 3
    assert all(part._compiled_call_impl is None for part in copy.deepcopy(network).modules())


def test_a_network_without_such_layers_is_refused():
    import torch

    with pytest.raises(ModelError, match=r"'odd' cannot be compiled: no layer .* Leave out --pluralism-compile"):
        compile_layers(torch.nn.Sequential(torch.nn.Linear(2, 2)), "odd")


@pytest.mark.slow
def test_without_a_compiler_it_says_what_is_missing(tiny, monkeypatch):
    import torch
    from torch._inductor import config

    # A graph that is known already needs no compiler.
    torch._dynamo.reset()
    monkeypatch.setattr(config, "force_disable_caches", True)
    monkeypatch.setattr(config.cpp, "cxx", ("/no/such/compiler",))
    with (
        quiet_transformers(),
        pytest.raises(ModelError, match=r"does not work for the model 'm' .* C\+\+ compiler") as found,
    ):
        compile_layers(tiny[1]("llama", 300), "m")
    torch._dynamo.reset()
    assert "--pluralism-compile" in str(found.value)
