"""From prompts to text, and from labels to tokens."""

# ruff: noqa: S106 - the words for special tokens are not passwords.
from __future__ import annotations

import pytest

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import Prompt, Turn
from pytest_pluralism.models.prompts import PromptReader, render_prompt

QUESTION = "Do you like it?\nA. Yes\nB. No"


def chat(messages):
    return "".join(f"[{m['role']}]{m['content']}" for m in messages) + "[assistant]"


def test_raw_text():
    prompt = Prompt(QUESTION, ("A", "B"), (Turn("Is it so?", "B"), Turn("And now?", "A")), system="Be brief.")
    assert render_prompt(prompt, chat=None) == (
        "Be brief.\n\nIs it so?\nAnswer: B\n\nAnd now?\nAnswer: A\n\nDo you like it?\nA. Yes\nB. No\nAnswer:"
    )


def test_the_cue_stands_on_one_line_of_its_own():
    assert render_prompt(Prompt("Q\n", ("A",), cue="Choice:"), chat=None) == "Q\nChoice:"
    assert render_prompt(Prompt("Q", ("A",), cue=""), chat=None) == "Q"


def test_chat_text():
    prompt = Prompt(QUESTION, ("A", "B"), (Turn("Is it so?", "B"),), system="Be brief.")
    expected = f"[system]Be brief.[user]Is it so?[assistant]B[user]{QUESTION}[assistant]"
    assert render_prompt(prompt, chat=chat) == expected
    assert render_prompt(Prompt(QUESTION, ("A", "B"), template="chat"), chat=chat) == f"[user]{QUESTION}[assistant]"


def test_auto_takes_the_chat_template_where_there_is_one():
    prompt = Prompt(QUESTION, ("A", "B"))
    assert render_prompt(prompt, chat=chat).startswith("[user]")
    assert render_prompt(prompt, chat=None).endswith("Answer:")
    assert render_prompt(Prompt(QUESTION, ("A", "B"), template="raw"), chat=chat).endswith("Answer:")


def test_chat_of_a_model_without_a_template():
    with pytest.raises(ModelError, match=r"gemma-3-270m has no chat template.*template='raw'"):
        render_prompt(Prompt(QUESTION, ("A",), template="chat"), chat=None, model="gemma-3-270m")


@pytest.mark.parametrize("renderer", [None, chat])
def test_verbatim_is_sent_as_it_is(renderer):
    text = "  odd \n text "
    assert render_prompt(Prompt("Q", ("A",), system="S", verbatim=text), chat=renderer) == text


def test_an_unknown_template():
    with pytest.raises(InvalidParameterError, match="The 'template' parameter of Prompt must be"):
        render_prompt(Prompt("Q", ("A",), template="caht"), chat=None)


def test_a_template_that_refuses_the_system_role():
    def strict(messages):
        if messages[0]["role"] == "system":
            raise ValueError("System role not supported")
        return chat(messages)

    prompt = Prompt("Q", ("A",), (Turn("E", "A"),), system="S")
    assert render_prompt(prompt, chat=strict) == "[user]S\n\nE[assistant]A[user]Q[assistant]"

    def broken(messages):
        raise ValueError("broken template")

    with pytest.raises(ValueError, match="broken"):
        render_prompt(prompt, chat=broken)


def test_bos_once(tiny):
    make_tokenizer, _ = tiny
    reader = PromptReader(make_tokenizer(bos=True), model="tiny")
    bare = PromptReader(make_tokenizer(bos=False), model="tiny")
    assert reader.opening == (1,)
    assert bare.opening == ()
    assert reader.encode("one two") == (1, *bare.encode("one two"))
    assert reader.encode("<s> one two") == reader.encode("one two")
    assert PromptReader(make_tokenizer(bos=True), model="tiny", add_bos=False).encode("one") == bare.encode("one")
    assert PromptReader(make_tokenizer(bos=False), model="tiny", add_bos=True).encode("one") == reader.encode("one")


def test_a_chat_template_that_writes_the_date_gets_a_fixed_one(tiny):
    make_tokenizer, _ = tiny
    tokenizer = make_tokenizer()
    tokenizer.chat_template = (
        "{{ date_string }} {{ enable_thinking }} {% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    text = render_prompt(Prompt("Q", ("A",)), chat=PromptReader(tokenizer, model="tiny").chat_renderer())
    assert text == "26 Jul 2024 False Q"


def byte_level(tokens):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted({letter for token in tokens for letter in token} | set("ABC"))
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(["<s>", *letters, *tokens]))}
    merges = [(token[:-1], token[-1]) for token in tokens if len(token) > 1]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>"), vocabulary


def test_spellings_of_byte_level_bpe():
    tokenizer, vocabulary = byte_level(["ĠA", "ĊA", "ĠĠ", "ĠĠA", "AB", "Ġ", "Ċ", "Ã", "Ã©"])
    reader = PromptReader(tokenizer, model="tiny")
    assert {tokenizer.convert_ids_to_tokens(token) for token in reader.spellings("A")} == {"A", "ĠA", "ĊA", "ĠĠA"}
    assert reader.spellings("B") == (vocabulary["B"],)
    assert reader.spellings(" A ") == reader.spellings("A")
    # Spelled in two bytes, one token.
    assert reader.spellings("é") == (vocabulary["Ã©"],)
    with pytest.raises(ModelError, match="The label 'CC' is not one token of the tokenizer of tiny: it falls into"):
        reader.spellings("CC")


def test_spellings_of_sentencepiece():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<unk>": 0, "▁": 1, "A": 2, "▁A": 3, "<0x41>": 4, "B": 5, "▁B": 6, "<0x42>": 7, "AA": 8}
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [("▁", "A"), ("▁", "B"), ("A", "A")], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    reader = PromptReader(fast, model="tiny")
    # The bare letter, the letter behind a space, and its byte.
    assert set(reader.spellings("A")) == {2, 3, 4}
    assert set(reader.spellings("B")) == {5, 6, 7}


def test_labels_of_one_question(tiny):
    make_tokenizer, _ = tiny
    reader = PromptReader(make_tokenizer(), model="tiny")
    a, b = reader.label_tokens(("A", "B"))
    assert a != b
    assert a == reader.spellings("A")
    for labels in (("A", "A"), ("A", " A"), ()):
        with pytest.raises(ModelError):
            reader.label_tokens(labels)
    with pytest.raises(ModelError, match="A label must hold"):
        reader.label_tokens((" ", "A"))
    with pytest.raises(ModelError, match="The label '<s>' is not one token"):
        reader.label_tokens(("<s>",))
    with pytest.raises(ModelError, match="The label 'Zebra' is not one token"):
        reader.label_tokens(("A", "Zebra"))
