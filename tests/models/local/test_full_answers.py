"""Likelihoods of whole answers: against one forward a row, with every logit, in double precision."""

from __future__ import annotations

import math
import random

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from pytest_pluralism.core.errors import InvalidParameterError, ModelError  # noqa: E402
from pytest_pluralism.core.records import FullAnswerPrompt, FullAnswerScores, Prompt, Turn  # noqa: E402
from pytest_pluralism.models import load_model  # noqa: E402
from pytest_pluralism.models.local import scoring  # noqa: E402
from pytest_pluralism.models.local.full_answers import answer_rows, joined_text  # noqa: E402
from pytest_pluralism.models.local.prefixes import plan_prefixes  # noqa: E402
from pytest_pluralism.models.local.scoring import ContinuationRequest, Scorer  # noqa: E402

DECODERS = ["llama", "mistral", "gpt2", "gemma3"]
ANSWERS = ("Yes", "No opinion", "I like it not", "I like it", "You tell me of dogs and of war, of bread and butter")
ASKED = [
    FullAnswerPrompt(
        Prompt(f"What do you think about {what} ?", (), (Turn("one two three", "No"), Turn("You are", "Yes"))), ANSWERS
    )
    for what in ("taxes", "dogs", "war", "bread and butter")
]


def one_by_one(network, row, start) -> list[float]:
    """The oracle: one row, no mask, no cache, every logit."""
    with torch.inference_mode():
        logits = network(torch.tensor([row])).logits[0].double()
    values = torch.log_softmax(logits, dim=-1)
    return [float(values[position - 1, row[position]]) for position in range(start, len(row))]


def make_requests(vocabulary: int, seed: int = 0) -> list[ContinuationRequest]:
    draw = random.Random(seed)

    def tokens(n):
        return tuple(draw.randrange(7, vocabulary) for _ in range(n))

    stem = (1, *tokens(14))
    answers = [tokens(n) for n in (1, 2, 2, 5, 13)]
    answers += [(*answers[3], *tokens(3)), answers[3][:4]]
    prompts = [(*stem, *tokens(n)) for n in (1, 3, 9)] + [(1,), stem]
    requests = [ContinuationRequest((*prompt, *answer), len(prompt)) for prompt in prompts for answer in answers]
    # Equal rows of which different parts are scored.
    requests += [ContinuationRequest(requests[4].token_ids, 3), requests[0]]
    draw.shuffle(requests)
    return requests


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("most_logits", [2**26, 300], ids=["whole", "pieces"])
def test_equals_one_forward_a_row(tiny, family, share, most_logits, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    monkeypatch.setattr(scoring, "MOST_LOGITS", most_logits)
    scorer = Scorer(network, share_prefixes=share)
    scorer.minimum_saving = 8
    requests = make_requests(network.config.vocab_size)
    calls, received = [], {}
    results = scorer.score_continuations(requests, progress=calls.append, receive=lambda batch: received.update(batch))
    for request, result in zip(requests, results, strict=True):
        expected = one_by_one(network, request.token_ids, request.start)
        assert list(result.log_probabilities) == pytest.approx(expected, abs=1e-5)
    assert calls[-1] == len(requests)
    assert [received[index] for index in range(len(requests))] == results
    assert not scorer.notes
    whole = sum(len(request.token_ids) for request in requests)
    if share and most_logits > 300:
        assert scorer.computed_tokens < 0.8 * whole


@pytest.mark.parametrize(("family", "share"), [("llama", True), ("gemma3", True), ("llama", False), ("mamba", True)])
def test_only_scored_positions_go_through_the_output_layer(tiny, family, share):
    make_tokenizer, make_network = tiny
    network = make_network(family, len(make_tokenizer()))
    shapes = []
    network.get_output_embeddings().register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    scorer = Scorer(network, share_prefixes=share)
    scorer.minimum_saving = 8
    scorer.sharing_checked = True
    requests = list(dict.fromkeys(make_requests(network.config.vocab_size)))
    results = scorer.score_continuations(requests)
    for request, result in zip(requests, results, strict=True):
        assert sum(result.log_probabilities) == pytest.approx(
            math.fsum(one_by_one(network, request.token_ids, request.start)), abs=1e-4
        )
    n_scored = sum(len(request.token_ids) - request.start for request in requests)
    # The oracle went through the same layer, and is left out; one position for each shared beginning.
    engine = shapes[: -len(requests)]
    assert sum(rows * positions for rows, positions, _ in engine) <= n_scored + 10


def test_beginnings_end_where_what_is_scored_begins():
    rows = [(1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 7), (1, 2, 3, 4, 9)]
    root = plan_prefixes(rows, minimum_saving=1, limits=[3, 3, 3])
    (child,) = root.children
    assert (child.length, sorted(child.rows), child.children) == (3, [0, 1, 2], [])
    unequal = plan_prefixes(rows, minimum_saving=1, limits=[5, 4, 2])
    assert unequal.children[0].length == 2
    assert unequal.children[0].children[0].length == 4


def test_a_network_whose_sharing_changes_answers_is_computed_whole(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_requests(network.config.vocab_size)
    scorer = Scorer(network)
    scorer.minimum_saving = 8
    real = scorer.forwards.token_log_probabilities

    def wrong(suffixes, reads, cache, cached):
        values = real(suffixes, reads, cache, cached)
        return values if cache is None else [tuple(value - 1 for value in row) for row in values]

    monkeypatch.setattr(scorer.forwards, "token_log_probabilities", wrong)
    results = scorer.score_continuations(requests)
    assert "sharing changed the first answer" in scorer.notes[0]
    for request, result in zip(requests, results, strict=True):
        expected = one_by_one(network, request.token_ids, request.start)
        assert list(result.log_probabilities) == pytest.approx(expected, abs=1e-5)


def test_out_of_memory_halves_the_batch(tiny, monkeypatch):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    requests = make_requests(network.config.vocab_size)
    expected = Scorer(network).score_continuations(requests)
    scorer = Scorer(network)
    real, sizes = scorer.forwards.token_log_probabilities, []

    def greedy(suffixes, reads, cache, cached):
        sizes.append(len(suffixes))
        if len(suffixes) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(suffixes, reads, cache, cached)

    monkeypatch.setattr(scorer.forwards, "token_log_probabilities", greedy)
    for result, wanted in zip(scorer.score_continuations(requests), expected, strict=True):
        assert result.log_probabilities == pytest.approx(wanted.log_probabilities, abs=1e-5)
    assert max(sizes) > 2


# ---------------------------------------------------------------------------------------------------------- the model


@pytest.mark.parametrize("chat", [False, True])
def test_scores_of_a_model(tiny_folder, chat):
    model = load_model(str(tiny_folder(chat=chat)))
    calls, received = [], []
    asked = [*ASKED, ASKED[2]]
    scores = model.score_answers(asked, progress=lambda *call: calls.append(call), receive=received.extend)
    tokenizer, network = model.reader.tokenizer, model.scorer.model
    assert scores[4] == scores[2]
    assert len({one.log_likelihoods for one in scores}) == 4
    assert calls[-1] == (5, 5)
    assert dict(received) == dict(zip(ASKED, scores, strict=False))
    assert len(received) == 4
    for one, score in zip(asked, scores, strict=True):
        text, neutral = "one two three\nAnswer: No\n\nYou are\nAnswer: Yes\n\n" + one.prompt.question, "Answer:"
        if chat:
            text = (
                "<user> one two three </s> <assistant> No </s> <user> You are </s> <assistant> Yes </s> "
                f"<user> {one.prompt.question} </s> <assistant>"
            )
            neutral = "<user> Answer: </s> <assistant>"
        else:
            text += "\nAnswer:"
        for before, found in ((text, score.log_likelihoods), (neutral, score.neutral_log_likelihoods)):
            for number, answer in enumerate(ANSWERS):
                ids = tokenizer(before)["input_ids"]
                more = tokenizer(answer, add_special_tokens=False)["input_ids"]
                expected = one_by_one(network, [*ids, *more], len(ids))
                assert found[number] == pytest.approx(math.fsum(expected), abs=1e-5)
                if before is text:
                    assert score.n_tokens[number] == len(more)
        assert score.n_bytes == tuple(map(len, ANSWERS))
        assert score.log_likelihoods_per_byte[1] == score.log_likelihoods[1] / 10
        assert score.pointwise_mutual_information == tuple(
            a - b for a, b in zip(score.log_likelihoods, score.neutral_log_likelihoods, strict=True)
        )


def test_a_neutral_prompt_of_ones_own(tiny_folder):
    model = load_model(str(tiny_folder()))
    neutral = Prompt("Please tell :", (), cue="")
    asked = FullAnswerPrompt(ASKED[0].prompt, ANSWERS, neutral=neutral)
    (own,) = model.score_answers([asked])
    (other,) = model.score_answers([FullAnswerPrompt(neutral, ANSWERS)])
    assert own.neutral_log_likelihoods == pytest.approx(other.log_likelihoods, abs=1e-5)
    # Nothing but the token for a beginning.
    (bare,) = model.score_answers([FullAnswerPrompt(ASKED[0].prompt, ANSWERS, neutral=Prompt("", (), verbatim=""))])
    row = [1, *model.reader.tokenizer(ANSWERS[1], add_special_tokens=False)["input_ids"]]
    assert bare.neutral_log_likelihoods[1] == pytest.approx(math.fsum(one_by_one(model.scorer.model, row, 1)), abs=1e-5)


def test_the_answers_of_a_verbatim_prompt_come_after_its_last_word(tiny_folder):
    model = load_model(str(tiny_folder(chat=True)))
    text = model.reader.chat_renderer()([{"role": "user", "content": "one two"}])
    (verbatim,) = model.score_answers([FullAnswerPrompt(Prompt("", (), verbatim=text), ANSWERS)])
    (rendered,) = model.score_answers([FullAnswerPrompt(Prompt("one two", ()), ANSWERS)])
    # Several threads add in another order.
    assert verbatim.log_likelihoods == pytest.approx(rendered.log_likelihoods, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "answer", "is_chat", "joined"),
    [
        ("Answer:", "Yes", False, "Answer: Yes"),
        ("Answer: ", "Yes", False, "Answer: Yes"),
        ("Answer:\n", "Yes", False, "Answer:\nYes"),
        ("Answer:", " Yes", False, "Answer: Yes"),
        ("<assistant>", "Yes", True, "<assistant>Yes"),
        ("<assistant>", "Yes", False, "<assistant>Yes"),
        ("", "Yes", False, " Yes"),
    ],
)
def test_the_space_between(text, answer, is_chat, joined):
    assert joined_text(text, answer, is_chat=is_chat, special=("<assistant>",)) == joined


class JoiningReader:
    """Reads texts with a tokenizer that joins a colon or a space with the word that follows."""

    model = "joining"

    class tokenizer:  # noqa: N801
        all_special_tokens = ()

    PIECES = (": Yes", ":", " Yes", " 7", " ", "Answer", "Yes", "7", "No")

    def chat_renderer(self):
        return None

    def encode(self, text):
        ids = [99]
        while text:
            token = next(i for i, piece in enumerate(self.PIECES) if text.startswith(piece))
            ids.append(token)
            text = text[len(self.PIECES[token]) :]
        return tuple(ids)


def test_tokens_that_join_prompt_and_answer():
    reader = JoiningReader()
    rows, start, alone = answer_rows(reader, Prompt("Answer:", (), cue=""), ("Yes", "7", "No"))
    assert alone == (99, 5, 1)
    assert rows == [(99, 5, 0), (99, 5, 1, 3), (99, 5, 1, 4, 8)]
    # "Answer" is the last token that all have in common; the colon is scored for all of them or for none.
    assert start == 2
    rows, start, alone = answer_rows(reader, Prompt("Answer:", (), cue=""), ("7", "No"))
    assert start == 3
    # A prompt that ends with a space, which the tokenizer joins with what follows.
    rows, start, alone = answer_rows(reader, Prompt("Yes ", (), cue=""), ("Yes", "No"))
    assert (alone, rows, start) == ((99, 6, 4), [(99, 6, 2), (99, 6, 4, 8)], 2)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((), "The 'answers' parameter of FullAnswerPrompt must be a tuple of at least one text"),
        (["Yes"], "a tuple of at least one text"),
        ("Yes", "a tuple of at least one text"),
        (("Yes", ""), "texts that are not empty"),
        (("Yes", " \n"), "texts that are not empty"),
        (("Yes", 3), "texts that are not empty"),
        (("Yes", "No", "Yes"), "different texts"),
    ],
)
def test_answers_are_checked(answers, message):
    with pytest.raises(InvalidParameterError, match=message):
        FullAnswerPrompt(Prompt("one", ()), answers)


@pytest.mark.whole
def test_bad_input(tiny_folder):
    model = load_model(str(tiny_folder()))
    assert model.score_answers([]) == []
    with pytest.raises(ModelError, match="A prompt is empty"):
        model.score_answers([*ASKED, FullAnswerPrompt(Prompt(" ", ()), ANSWERS)])
    long = FullAnswerPrompt(Prompt("Please tell me " + "dogs " * 248, ()), ("Yes", "No " * 9))
    with pytest.raises(ModelError, match=r"'Please tell me dogs .*' has 26\d tokens, and tiny reads at most 256"):
        model.score_answers([long])
    model.close()
    with pytest.raises(ModelError, match="has been closed"):
        model.score_answers(ASKED)


def test_without_a_token_for_a_beginning(tiny_folder):
    model = load_model(str(tiny_folder(bos=False)))
    model.score_answers(ASKED)
    with pytest.raises(ModelError, match="Nothing stands before the answers"):
        model.score_answers([FullAnswerPrompt(ASKED[0].prompt, ANSWERS, neutral=Prompt("", (), verbatim=""))])


def test_an_encoder_decoder_is_refused(tiny_folder):
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder"):
        load_model(str(tiny_folder("t5"))).score_answers(ASKED)


def test_a_network_that_gives_nan(tiny):
    make_tokenizer, make_network = tiny
    network = make_network("llama", len(make_tokenizer()))
    with torch.no_grad():
        network.lm_head.weight[3] = torch.nan
    with pytest.raises(ModelError, match="gives NaN"):
        Scorer(network).score_continuations(make_requests(network.config.vocab_size))


def test_derived_scores_of_answers_that_cannot_be():
    scores = FullAnswerScores((-math.inf, -2.0), (-1.0, -math.inf), (1, 1), (3, 4))
    assert scores.log_likelihoods_per_byte == (-math.inf, -0.5)
    assert scores.pointwise_mutual_information == (-math.inf, math.inf)


# ----------------------------------------------------------------------------------------------------- packaged model


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("template", ["auto", "raw"])
def test_smollm2_equals_one_forward_a_row(template):
    from pytest_pluralism.core.errors import MissingExtraError

    try:
        model = load_model("embedded:smollm2-135m-instruct")
    except MissingExtraError as error:
        pytest.skip(str(error))
    options = ("Very satisfied", "Somewhat satisfied", "Not at all satisfied", "Don't know", "Très bien, 很好")
    asked = [
        FullAnswerPrompt(Prompt(f"How satisfied are you with {what}?", (), template=template), options)
        for what in ("the way democracy works in this country", "the news on television", "your life")
    ]
    for one, score in zip(asked, model.score_answers(asked), strict=True):
        for prompt, found in (
            (one.prompt, score.log_likelihoods),
            (one.neutral_prompt, score.neutral_log_likelihoods),
        ):
            rows, start, alone = answer_rows(model.reader, prompt, options)
            assert start == len(alone)
            for row, value in zip(rows, found, strict=True):
                expected = one_by_one(model.scorer.model, row, start)
                assert value / len(expected) == pytest.approx(math.fsum(expected) / len(expected), abs=1e-5)
        assert score.n_bytes == (14, 18, 20, 10, 18)
    assert model.scorer.share_prefixes
    model.close()
