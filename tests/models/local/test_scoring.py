"""The scoring engine against one forward a prompt, on tiny random networks of several families."""

from __future__ import annotations

import math
import random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pytest_pluralism.core.errors import ModelError  # noqa: E402
from pytest_pluralism.models.local import forwards  # noqa: E402
from pytest_pluralism.models.local.prefixes import PrefixNode, plan_prefixes, why_no_prefix_reuse  # noqa: E402
from pytest_pluralism.models.local.scoring import Scorer, ScoreRequest  # noqa: E402

DECODERS = ["llama", "mistral", "qwen2", "gpt2", "gemma3"]


def make_requests(vocabulary: int, *, seed: int = 0, n_prefixes: int = 3, n_questions: int = 8) -> list[ScoreRequest]:
    """Rows = prefix x question; the prefixes share a stem, the questions start alike in fours."""
    draw = random.Random(seed)

    def tokens(n):
        return tuple(draw.randrange(7, vocabulary) for _ in range(n))

    stem = tokens(14)
    prefixes = [(1, *stem, *tokens(9)) for _ in range(n_prefixes)]
    stems = [tokens(12) for _ in range(n_questions // 4)] or [tokens(12)]
    questions = [(*stems[i // 4], *tokens(draw.randrange(1, 11))) for i in range(n_questions)]
    labels = ((10, 11), (12,), (13,))
    rows = [ScoreRequest((*prefix, *question), labels) for prefix in prefixes for question in questions]
    rows.append(ScoreRequest(prefixes[0], labels))  # a row that is the beginning of others
    rows.append(ScoreRequest(tokens(3), labels))  # a row that shares nothing
    draw.shuffle(rows)
    return rows


def one_by_one(network, request: ScoreRequest) -> list[float]:
    """The oracle: one row, no mask, no cache, every logit, double precision at the end."""
    with torch.inference_mode():
        logits = network(torch.tensor([request.token_ids])).logits[0, -1].double()
    probabilities = torch.softmax(logits, dim=-1)
    return [math.log(sum(float(probabilities[token]) for token in tokens)) for tokens in request.spellings]


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("share", [True, False])
def test_equals_one_forward_a_prompt(tiny, family, share):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    scorer = Scorer(network, share_prefixes=share)
    scorer.minimum_saving = 8
    assert scorer.share_prefixes is share
    assert not scorer.notes
    requests = make_requests(network.config.vocab_size)
    scores = scorer.score(requests)
    for request, score in zip(requests, scores, strict=True):
        expected = one_by_one(network, request)
        assert score.log_probabilities == pytest.approx(expected, abs=1e-5)
        assert score.option_mass == pytest.approx(sum(math.exp(value) for value in expected), abs=1e-6)
    whole = sum(len(request.token_ids) for request in requests)
    if share:
        assert scorer.computed_tokens < 0.8 * whole
    else:
        assert scorer.computed_tokens >= whole


@pytest.mark.parametrize("family", ["mistral", "gemma3"])
def test_the_window_is_shorter_than_the_shared_beginning(tiny, family):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    text = network.config.get_text_config()
    requests = make_requests(network.config.vocab_size)
    root = plan_prefixes(list(dict.fromkeys(r.token_ids for r in requests)), minimum_saving=8)
    assert text.sliding_window < max(child.length for child in root.children)


@pytest.mark.parametrize(("family", "reason"), [("mamba", "state"), ("t5", "encoder"), ("phi3-longrope", "position")])
def test_networks_that_cannot_share_go_in_plain_batches_with_a_note(tiny, family, reason):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    assert reason in why_no_prefix_reuse(network)
    scorer = Scorer(network)
    assert not scorer.share_prefixes
    assert reason in scorer.notes[0]
    requests = make_requests(network.config.vocab_size, n_prefixes=2, n_questions=2)
    scores = scorer.score(requests)
    if family != "t5":
        for request, score in zip(requests, scores, strict=True):
            assert score.log_probabilities == pytest.approx(one_by_one(network, request), abs=1e-5)


def test_encoder_decoders_are_read_at_their_first_position(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("t5", len(make_tokenizer()))
    requests = make_requests(network.config.vocab_size, n_prefixes=2, n_questions=2)
    for request, score in zip(requests, Scorer(network).score(requests), strict=True):
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([request.token_ids]), decoder_input_ids=torch.tensor([[0]])).logits[
                0, 0
            ]
        expected = torch.log_softmax(logits.double(), -1)
        assert score.log_probabilities[1] == pytest.approx(float(expected[12]), abs=1e-5)
        assert score.top_token == int(expected.argmax())


def test_equal_rows_are_computed_once_whatever_their_labels(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    row = tuple(range(7, 27))
    requests = [ScoreRequest(row, ((10,), (11,))), ScoreRequest(row, ((12,),)), ScoreRequest(row, ((10,), (11,)))]
    scorer = Scorer(network)
    calls = []
    scores = scorer.score(requests, progress=calls.append)
    assert scorer.computed_tokens == len(row)
    assert scores[0] == scores[2]
    assert scores[1].log_probabilities == pytest.approx(one_by_one(network, requests[1]), abs=1e-5)
    assert calls[-1] == 3


@pytest.mark.parametrize("share", [True, False])
def test_out_of_memory_halves_the_batch_and_goes_on(tiny, monkeypatch, share):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_requests(network.config.vocab_size)
    expected = Scorer(network).score(requests)
    scorer = Scorer(network, share_prefixes=share)
    scorer.minimum_saving = 8
    real, sizes = scorer.forwards.last_logits, []

    def greedy(suffixes, cache, cached):
        sizes.append(len(suffixes))
        if len(suffixes) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(suffixes, cache, cached)

    monkeypatch.setattr(scorer.forwards, "last_logits", greedy)
    scores = scorer.score(requests)
    for score, wanted in zip(scores, expected, strict=True):
        assert score.log_probabilities == pytest.approx(wanted.log_probabilities, abs=1e-5)
    assert max(sizes) > 2
    sizes.clear()
    scorer.score(requests)
    assert max(sizes) <= 3, "what was learned about the memory is kept"


def test_out_of_memory_for_one_row_is_an_error_with_a_remedy(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    scorer = Scorer(make_network("llama", len(make_tokenizer())), batch_size=4)

    def hopeless(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(scorer.forwards, "last_logits", hopeless)
    with pytest.raises(ModelError, match=r"not enough memory on cpu for one prompt of .*--pluralism-dtype=bfloat16"):
        scorer.score(make_requests(40))


def test_other_errors_of_a_forward_are_not_swallowed(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    scorer = Scorer(make_network("llama", len(make_tokenizer())))

    def broken(*_):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(scorer.forwards, "last_logits", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        scorer.score(make_requests(40))


def test_nan_is_an_error(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    with torch.no_grad():
        network.model.norm.weight[0] = float("nan")
    with pytest.raises(ModelError, match="NaN"):
        Scorer(network).score(make_requests(network.config.vocab_size))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_batch_size_bounds_the_rows(tiny, monkeypatch, batch_size):
    make_tokenizer, make_network = tiny
    network = make_network("gpt2", len(make_tokenizer()))
    scorer = Scorer(network, batch_size=batch_size)
    real, sizes = scorer.forwards.last_logits, []
    monkeypatch.setattr(scorer.forwards, "last_logits", lambda s, c, n: (sizes.append(len(s)), real(s, c, n))[1])
    scorer.score(make_requests(network.config.vocab_size))
    assert max(sizes) == batch_size


def test_bfloat16_is_read_in_float32(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer())).to(torch.bfloat16)
    requests = make_requests(network.config.vocab_size)
    for request, score in zip(
        requests, Scorer(network, share_prefixes=False, batch_size=1).score(requests), strict=True
    ):
        # In bfloat16 a log-probability has three digits; read in float32 it agrees with float64 to rounding.
        assert score.log_probabilities == pytest.approx(one_by_one(network, request), abs=1e-4)


def test_only_the_last_position_reaches_the_output_layer(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("gemma3", len(make_tokenizer()))
    shapes = []
    network.lm_head.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape)))
    scorer = Scorer(network)
    scorer.minimum_saving = 8
    requests = make_requests(network.config.vocab_size)
    scorer.score(requests)
    assert {shape[1] for shape in shapes} == {0, 1}, (
        "nothing at the end of a shared beginning, whose output nobody reads"
    )
    # One row more a width: the check that filling up changes nothing; the first of them has a shared beginning too.
    checks = len(scorer.padding_checked)
    assert sum(rows * positions for rows, positions, _ in shapes) == len({r.token_ids for r in requests}) + checks


def test_sharing_that_changes_answers_is_noticed_and_given_up(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_requests(network.config.vocab_size)
    expected = Scorer(network, share_prefixes=False).score(requests)
    scorer = Scorer(network)
    scorer.minimum_saving = 8
    real = forwards.branched

    def forgetful(cache, n_rows):
        branch = real(cache, n_rows)
        for layer in branch.layers:
            layer.values = layer.values * 0.5
        return branch

    monkeypatch.setattr(forwards, "branched", forgetful)
    for score, wanted in zip(scorer.score(requests), expected, strict=True):
        assert score.log_probabilities == pytest.approx(wanted.log_probabilities, abs=1e-5)
    assert not scorer.share_prefixes
    assert "sharing changed the first answer" in scorer.notes[0]


# -------------------------------------------------------------------------------------------------------------- plans


def leaves(node: PrefixNode, above: int = 0) -> list[tuple[int, int]]:
    assert node.length >= above
    found = [(row, node.length) for row in node.rows]
    for child in node.children:
        assert child.length > node.length
        found += leaves(child, node.length)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_holds_each_row_once_under_beginnings_that_it_has(seed):
    draw = random.Random(seed)
    rows = list({tuple(draw.randrange(3) for _ in range(draw.randrange(1, 12))) for _ in range(40)})
    root = plan_prefixes(rows, minimum_saving=draw.choice([1, 3, 10]))
    found = leaves(root)
    assert sorted(row for row, _ in found) == list(range(len(rows)))

    def check(node: PrefixNode) -> None:
        members = [row for row, _ in leaves(node)]
        assert len({rows[row][: node.length] for row in members}) == 1
        assert all(len(rows[row]) > node.length for row in members)
        for child in node.children:
            check(child)

    check(root)


def test_a_plan_of_prefixes_times_questions():
    # 5 beginnings of 110 tokens, 4 questions each: one node a beginning, no more.
    rows = [(1, *[prefix] * 109, *[100 + question] * 60) for prefix in range(2, 7) for question in range(4)]
    root = plan_prefixes(rows, minimum_saving=64)
    assert [child.length for child in root.children] == [110] * 5
    assert not root.rows
    assert all(len(child.rows) == 4 and not child.children for child in root.children)


def test_a_saving_that_is_too_small_is_left():
    rows = [(1, 2, 3, index) for index in range(10)]
    assert not plan_prefixes(rows, minimum_saving=64).children
    assert plan_prefixes(rows, minimum_saving=27).children[0].length == 3
    assert plan_prefixes([], minimum_saving=1) == PrefixNode(0)


# ------------------------------------------------------------------------------------- beginnings that are equally long


def make_orders(vocabulary: int, *, n_questions: int = 12, n_orders: int = 3, step: int = 0) -> list[ScoreRequest]:
    """Rows = question x order of its options; each question has a beginning of its own, ``step`` tokens longer each."""
    draw = random.Random(4)

    def tokens(n):
        return tuple(draw.randrange(7, vocabulary) for _ in range(n))

    made = []
    for number in range(n_questions):
        stem = (1, *tokens(39 + number * step))
        # Their first tokens differ, so that a beginning ends where it should.
        made += [ScoreRequest((*stem, 10 + order, *tokens(4 + order)), ((10,), (11,))) for order in range(n_orders)]
    draw.shuffle(made)
    return made


def counted(scorer, monkeypatch):
    """Return a list to which each forward adds its number of rows and of tokens."""
    real, forwards_made = scorer.forwards.arguments, []
    monkeypatch.setattr(
        scorer.forwards,
        "arguments",
        lambda rows, *rest: (forwards_made.append((len(rows), max(map(len, rows)))), real(rows, *rest))[1],
    )
    return forwards_made


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3", "gpt2"])
@pytest.mark.parametrize("step", [0, 1])
def test_beginnings_of_one_length_cost_one_forward(tiny, monkeypatch, family, step):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    requests = make_orders(network.config.vocab_size, step=step)
    scorer = Scorer(network)
    made = counted(scorer, monkeypatch)
    scores = scorer.score(requests)
    for request, score in zip(requests, scores, strict=True):
        assert score.log_probabilities == pytest.approx(one_by_one(network, request), abs=2e-5)
    assert scorer.share_prefixes
    # Beginnings, tails, and the row that is checked. Cut to multiples of eight tokens, twelve lengths are two.
    n_lengths = 1 if step == 0 else 2
    assert len(made) == 2 * n_lengths + 1
    assert sum(rows for rows, width in made if width >= 40) - 1 == 12


def test_many_beginnings_are_computed_in_parts(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_orders(network.config.vocab_size)
    scorer = Scorer(network)
    scorer.budget.tokens = 200
    made = counted(scorer, monkeypatch)
    scores = scorer.score(requests)
    assert max(rows * width for rows, width in made) <= 200
    for request, score in zip(requests, scores, strict=True):
        assert score.log_probabilities == pytest.approx(one_by_one(network, request), abs=2e-5)


def test_out_of_memory_for_several_beginnings_halves_them(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_orders(network.config.vocab_size)
    scorer = Scorer(network)
    real, sizes = scorer.forwards.arguments, []

    def limited(rows, *rest):
        if len(rows) * max(map(len, rows)) > 130:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        sizes.append(len(rows))
        return real(rows, *rest)

    monkeypatch.setattr(scorer.forwards, "arguments", limited)
    scores = scorer.score(requests)
    assert max(sizes) > 1
    for request, score in zip(requests, scores, strict=True):
        assert score.log_probabilities == pytest.approx(one_by_one(network, request), abs=2e-5)


def test_beginnings_of_few_rows_are_cut_to_a_grain():
    def lengths(rows, **options):
        return sorted(child.length for child in plan_prefixes(rows, minimum_saving=8, **options).children)

    rows = [(*range(1, 44), 100 + row) for row in range(3)] + [(*range(50, 95), 100 + row) for row in range(3)]
    assert lengths(rows, grain=8) == [40, 40]
    assert lengths(rows) == [43, 45]
    # Not where many rows would be longer, nor where little is shared.
    assert lengths([(*range(1, 44), 100 + row) for row in range(9)], grain=8) == [43]
    assert lengths([(*range(1, 31), 100 + row) for row in range(3)], grain=8) == [30]
