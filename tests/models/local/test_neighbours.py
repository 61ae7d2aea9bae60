"""The answer to a prompt does not depend on its neighbours in a batch, whatever the network does with them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pytest_pluralism.core.records import GenerationSettings  # noqa: E402
from pytest_pluralism.models.local.generation import GenerationRequest, Generator  # noqa: E402
from pytest_pluralism.models.local.scoring import ContinuationRequest, Scorer, ScoreRequest  # noqa: E402

VOCABULARY = 60


def rows(*lengths):
    draw = torch.Generator().manual_seed(4)
    return [tuple(torch.randint(3, VOCABULARY, (length,), generator=draw).tolist()) for length in lengths]


def requests(lines):
    return [ScoreRequest(row, ((10,), (11, 12))) for row in lines]


def alone(network, line):
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([line]), use_cache=False).logits[0, -1].float()
    return float(torch.log_softmax(logits, -1)[10])


def compared(network, lines, scorer=None):
    scorer = Scorer(network) if scorer is None else scorer
    found = [one.log_probabilities[0] for one in scorer.score(requests(lines))]
    # In the reverse order of the batches, so that nothing that a network remembers hides a difference.
    expected = [alone(network, line) for line in sorted(lines, key=len)]
    assert [found[lines.index(line)] for line in sorted(lines, key=len)] == pytest.approx(expected, abs=2e-5)
    return scorer


def llama(**rope):
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, initializer_range=0.4, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        **({"rope_parameters": rope} if rope else {}),
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10000.0, "factor": 10.0, "original_max_position_embeddings": 64,
    "short_factor": [1.0] * 8, "long_factor": [2.0 + place for place in range(8)],
}  # fmt: skip


def test_rows_on_both_sides_of_a_longrope_border():
    network = llama(**LONGROPE)
    scorer = compared(network, rows(20, 100, 20, 63, 64, 65, 100))
    assert not scorer.alone


def test_dynamic_position_codes_do_not_remember_longer_rows():
    network = llama(rope_type="dynamic", rope_theta=10000.0, factor=4.0)
    network.config.max_position_embeddings = 32
    for module in network.modules():
        if hasattr(module, "original_max_seq_len"):
            module.original_max_seq_len = module.max_seq_len_cached = 32
    lines = rows(120, 40, 33, 20)
    fresh = []
    for line in lines:
        scorer = Scorer(network)
        fresh.append(scorer.score(requests([line]))[0].log_probabilities[0])
    together = [one.log_probabilities[0] for one in Scorer(network).score(requests(lines))]
    assert together == pytest.approx(fresh, abs=2e-5)
    backwards = [one.log_probabilities[0] for one in Scorer(network).score(requests(lines[::-1]))]
    assert backwards[::-1] == pytest.approx(fresh, abs=2e-5)


class Peeks(torch.nn.Module):
    """Adds to every logit how long the longest row of the batch is: a network that looks at its padding."""

    def __init__(self, network, what):
        super().__init__()
        self.network, self.what = network, what
        self.config, self.device = network.config, network.device

    def get_output_embeddings(self):
        return None

    def forward(self, input_ids=None, attention_mask=None, past_key_values=None, use_cache=None, return_dict=True):
        if self.what == "raises" and len(input_ids) > 1:
            raise ValueError("one row at a time")
        if self.what == "raises with keys" and past_key_values is not None:
            raise ValueError("no keys and values")
        output = self.network(
            input_ids=input_ids, attention_mask=attention_mask, past_key_values=past_key_values, use_cache=use_cache
        )
        if self.what == "peeks":
            shift = torch.zeros(VOCABULARY)
            shift[10] = 0.01 * input_ids.shape[1]
            output.logits = output.logits + shift
        return output


def test_a_network_that_looks_at_its_padding_is_computed_alone():
    network = Peeks(llama(), "peeks")
    scorer = compared(network, rows(20, 100, 30, 63), Scorer(network, share_prefixes=False))
    assert scorer.alone
    (note,) = scorer.notes
    assert note.startswith("each prompt is computed alone: a forward with several changed the first answer by")


def test_a_network_that_takes_one_row_is_computed_alone():
    network = Peeks(llama(), "raises")
    scorer = compared(network, rows(20, 20, 30, 63), Scorer(network, share_prefixes=False))
    assert scorer.alone
    assert scorer.notes == [
        "each prompt is computed alone: a forward with several raised ValueError: one row at a time"
    ]


def test_an_exception_with_a_shared_beginning_falls_back():
    network = Peeks(llama(), "raises with keys")
    (beginning,) = rows(200)
    lines = [beginning + one for one in rows(5, 9, 12)]
    scorer = compared(network, lines)
    assert not scorer.share_prefixes
    assert scorer.notes == [
        "prompts are computed whole, without sharing their beginnings: sharing raised ValueError: no keys and values"
    ]


def test_whole_answers_beside_longer_ones():
    network = Peeks(llama(), "peeks")
    lines = rows(20, 100, 30)
    scorer = Scorer(network, share_prefixes=False)
    found = scorer.score_continuations([ContinuationRequest(line, len(line) - 3) for line in lines])
    single = Scorer(network, share_prefixes=False, batch_size=1)
    expected = single.score_continuations([ContinuationRequest(line, len(line) - 3) for line in lines])
    for one, other in zip(found, expected, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=2e-5)
    assert scorer.alone


DRAWN = GenerationSettings(6, temperature=1.0)


def written(network, lines, *, together, settings=DRAWN):
    def one(some):
        generator = Generator(Scorer(network), ends=frozenset(), decode=lambda tokens: " ".join(map(str, tokens)))
        found = generator.generate([GenerationRequest(line, bytes(str(line), "ascii")) for line in some], settings)
        return [text.token_ids for text in found], generator

    if together:
        return one(lines)
    return [one([line])[0][0] for line in lines], None


@pytest.mark.parametrize("rope", [{}, LONGROPE])
def test_texts_are_those_that_a_prompt_gets_alone(rope):
    network = llama(**rope)
    lines = rows(20, 100, 62, 60, 64)
    found, _ = written(network, lines, together=True)
    assert found == written(network, lines, together=False)[0]


def test_texts_of_a_network_that_numbers_positions_in_its_own_way():
    torch.manual_seed(3)
    config = transformers.RobertaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=200, initializer_range=0.4, pad_token_id=0, is_decoder=True,
    )  # fmt: skip
    network = transformers.RobertaForCausalLM(config).eval()
    lines = rows(20, 60, 31)
    found, generator = written(network, lines, together=True)
    assert any(note.startswith("texts are written without keys and values") for note in generator.scorer.notes)
    with torch.inference_mode():
        for line, tokens in zip(lines, found, strict=True):
            greedy, _ = written(network, [line], together=True, settings=GenerationSettings(2, temperature=0.0))
            expected = int(network(input_ids=torch.tensor([line]), use_cache=False).logits[0, -1].argmax())
            assert greedy[0][0] == expected
            assert len(tokens) == 6
