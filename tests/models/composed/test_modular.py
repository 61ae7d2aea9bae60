"""Modular systems: community models comment, and the main model answers with their help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

import pytest_pluralism as pp
from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import Answer, GenerationSettings, Prompt, Response
from pytest_pluralism.models import load_model
from pytest_pluralism.models.composed.modular import Modular
from pytest_pluralism.models.protocol import ModelIdentity

QUESTION = Prompt("Ban cars?\nA. Yes\nB. No", ("A", "B"), system="You drive a lorry.")


class Speaker:
    """A model that always says one thing, and answers by what it reads."""

    def __init__(self, name: str, comment: str) -> None:
        self.identity = ModelIdentity(spec=name, name=name, sha256=name, dtype="float32", device="cpu")
        self.comment = comment
        self.asked: list[Prompt] = []
        self.written: list[Prompt] = []

    def answer(self, prompts: Sequence[Prompt], /, *, progress: object = None) -> list[Answer]:
        self.asked += prompts
        found = []
        for prompt in prompts:
            if "Which passage fits this best?" in prompt.question:
                wanted = next(line[0] for line in prompt.question.splitlines() if "roads are for lorries" in line)
                found.append(self._sure(prompt, wanted, 0.9))
            else:
                passage = prompt.question.partition("Ban cars?")[0]
                found.append(self._sure(prompt, "A" if "clean air" in passage else "B", 0.8))
        return found

    def _sure(self, prompt: Prompt, label: str, share: float) -> Answer:
        other = (1 - share) / (len(prompt.labels) - 1)
        logs = tuple(math.log(share if one == label else other) for one in prompt.labels)
        return Answer(logs, 1.0, label, share)

    def generate(
        self, prompts: Sequence[Prompt], settings: GenerationSettings, /, *, n_draws: int = 1
    ) -> list[tuple[Response, ...]]:
        self.written += prompts
        return [tuple(Response(self.comment, 3, "eos", draw) for draw in range(n_draws)) for _ in prompts]

    def close(self) -> None:
        self.comment = ""


def system(mode: str) -> tuple[Modular, Speaker, list[Speaker]]:
    main = Speaker("main", "A summary.")
    communities = [Speaker("green", "We want clean air."), Speaker("drivers", "We say roads are for lorries.")]
    made = Modular(main, communities, [0.75, 0.25], mode=mode, spec="modular:x.toml", name="x", tokens=50)
    return made, main, communities


def test_distributional_averages_the_answers_after_each_comment() -> None:
    made, main, communities = system("distributional")
    (answer,) = made.answer([QUESTION])
    assert math.exp(answer.log_probabilities[0]) == pytest.approx(0.75 * 0.8 + 0.25 * 0.2)
    assert [prompt.question.split("Passage: ")[1].split("\n")[0] for prompt in main.asked] == [
        "We want clean air.",
        "We say roads are for lorries.",
    ]
    assert all(prompt.system == QUESTION.system for prompt in main.asked)
    assert "A. Yes" not in communities[0].written[0].question


def test_a_question_is_commented_on_once_however_its_options_stand() -> None:
    made, _, communities = system("distributional")
    turned = Prompt("Ban cars?\nA. No\nB. Yes", ("A", "B"))
    made.answer([QUESTION, turned])
    made.answer([QUESTION])
    assert len(communities[0].written) == 1


def test_steerable_answers_after_the_comment_that_fits_the_system_text() -> None:
    made, main, _ = system("steerable")
    (answer,) = made.answer([QUESTION])
    assert "You drive a lorry." in main.asked[0].question
    assert "Passage: We say roads are for lorries." in main.asked[1].question
    assert math.exp(answer.log_probabilities[1]) == pytest.approx(0.8)


def test_a_community_that_says_nothing_is_told_once() -> None:
    main, green, silent = Speaker("main", "A summary."), Speaker("green", "Clean air."), Speaker("silent", " ")
    made = pp.modular(main, [green, silent], mode="distributional", name="town")
    made.answer([QUESTION, Prompt("Ban dogs?", ("A", "B"))])
    (note,) = made.take_notes()
    assert note == (
        "town: community 2 (silent) wrote an empty comment on 2 question(s), such as 'Ban cars?': the main model read "
        "nothing from it"
    )
    assert made.take_notes() == []


def test_the_notes_of_parts_are_passed_on() -> None:
    class Noted(Speaker):
        def take_notes(self) -> list[str]:
            return ["two replicas answer"]

    parts = [Noted("one", "Yes."), Noted("two", "No.")]
    assert pp.mixture(parts).take_notes() == ["two replicas answer"]
    assert pp.modular(parts[0], parts[1:], mode="overton").take_notes() == ["two replicas answer"]


def test_overton_writes_with_all_comments() -> None:
    made, main, _ = system("overton")
    received: list[tuple[Prompt, Response]] = []
    settings = GenerationSettings(max_new_tokens=9)
    (responses,) = made.generate([Prompt("Ban cars?", ())], settings, n_draws=2, receive=received.extend)
    assert [one.text for one in responses] == ["A summary.", "A summary."]
    assert "Passage 1: We want clean air." in main.written[0].question
    assert "Passage 2: We say roads are for lorries." in main.written[0].question
    assert [response.draw for _, response in received] == [0, 1]


def test_the_identity_covers_mode_weights_and_models() -> None:
    assert len({system(mode)[0].identity.sha256 for mode in ("overton", "steerable", "distributional")}) == 3


def test_a_system_of_files_answers(tiny_folder: object, tmp_path: Path) -> None:
    for name, family in (("main", "llama"), ("other", "gpt2")):
        tiny_folder(family, name=name)  # type: ignore[operator]
    file = tmp_path / "patched.toml"
    file.write_text(
        'mode = "distributional"\nmain = "main"\ncomment_tokens = 4\n[[community]]\nmodel = "other"\n', encoding="utf-8"
    )
    model = load_model(f"modular:{file}")
    assert model.identity.name == "patched"
    (answer,) = model.answer([Prompt("What do you think about dogs ?\nA. Yes\nB. No", ("A", "B"))])
    assert 0 < answer.option_mass <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('main = "a"\n[[community]]\nmodel = "b"', "mode must be one of overton, steerable, distributional"),
        ('mode = "overton"\n[[community]]\nmodel = "b"', "main must be the spec"),
        ('mode = "overton"\nmain = "a"', r"at least one table \[\[community\]\]"),
        ('mode = "overton"\nmain = "a"\ncomment_tokens = 0\n[[community]]\nmodel = "b"', "comment_tokens must be"),
        ('mode = "overton"\nmain = "a"\n' + '[[community]]\nmodel = "b"\nname = "x"\n' * 2, "the same name"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_model(f"modular:{tmp_path / 'x.toml'}")


PROMPTS = """
[prompts]
summary = "Cover all of these.\\n\\n{comments}\\n\\nSituation: {question}"
"""


def test_a_file_can_have_prompts_of_its_own(tiny_folder: object, tmp_path: Path) -> None:
    tiny_folder("llama", name="main")  # type: ignore[operator]
    text = 'mode = "overton"\nmain = "main"\n{0}\n[[community]]\nmodel = "main"\n'
    for name, prompts in (("ours", ""), ("others", PROMPTS)):
        (tmp_path / f"{name}.toml").write_text(text.format(prompts), encoding="utf-8")
    ours, others = (load_model(f"modular:{tmp_path / name}.toml") for name in ("ours", "others"))
    assert ours.identity.sha256 != others.identity.sha256


def test_prompts_reach_the_models() -> None:
    main, green, drivers = Speaker("main", "A summary."), Speaker("green", "Clean air."), Speaker("drivers", "Roads.")
    prompts = {"comment": "Say: {question}", "summary": "{comments}\n{{all}}\n{question}"}
    made = pp.modular(main, [green, drivers], mode="overton", prompts=prompts)
    made.generate([Prompt("Ban {cars}?", ())], GenerationSettings(max_new_tokens=9))
    assert green.written[0].question == "Say: Ban {cars}?"
    assert main.written[0].question == "Passage 1: Clean air.\n\nPassage 2: Roads.\n{all}\nBan {cars}?"
    same = pp.modular(main, [green, drivers], mode="overton")
    assert made.identity.sha256 != same.identity.sha256


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({"summary": "{question}"}, r"under 'summary' a text with {comments} and {question}"),
        ({"passage": "{comment} {question} {who}"}, "no other braces"),
        ({"comment": "{question!r}"}, "no other braces"),
        ({"comment": "{question"}, "no other braces"),
        ({"choice": 3}, r"{options}, which may also have {question} and {system}"),
        ({"answer": "{question}"}, "some of the names comment, passage, summary, choice"),
        ({}, "a table of prompts by name"),
    ],
)
def test_a_wrong_prompt_is_refused_with_what_it_must_hold(prompts: object, message: str) -> None:
    speaker = Speaker("main", "")
    with pytest.raises(InvalidParameterError, match=message):
        pp.modular(speaker, [speaker], mode="overton", prompts=prompts)  # type: ignore[arg-type]


def test_a_wrong_prompt_of_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(
        'mode = "overton"\nmain = "a"\n[[community]]\nmodel = "b"\n[prompts]\nsummary = "{question}"\n', "utf-8"
    )
    with pytest.raises(ModelError, match=r"x.toml: prompts must be under 'summary' a text with {comments}"):
        load_model(f"modular:{file}")
