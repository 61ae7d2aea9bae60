"""A mixture has the weighted means of the probabilities of its parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pluralism.core.errors import InvalidParameterError, ModelError
from pytest_pluralism.core.records import Answer, FullAnswerPrompt, GenerationSettings, Prompt, sampled_answer
from pytest_pluralism.models import load_model
from pytest_pluralism.models.composed.mixture import mixed_answer, mixture

PROMPTS = [
    Prompt("What do you think about taxes ?\nA. Yes\nB. No", ("A", "B")),
    Prompt("What do you think about dogs ?\nA. Yes\nB. No", ("A", "B")),
]


@pytest.fixture
def folders(tiny_folder: Callable[..., Path]) -> tuple[Path, Path]:
    return tiny_folder("llama", name="one"), tiny_folder("gpt2", name="two")


def write(path: Path, *parts: str) -> Path:
    path.write_text("\n".join(f"[[part]]\n{part}" for part in parts), encoding="utf-8")
    return path


@pytest.mark.whole
def test_probabilities_are_the_weighted_means_of_those_of_the_parts(folders: tuple[Path, Path]) -> None:
    one, two = folders
    file = write(one.parent / "blend.toml", 'model = "one"\nweight = 3', 'model = "two"\nweight = 1')
    blend = load_model(f"mixture:{file}")
    parts = [load_model(str(folder)).answer(PROMPTS) for folder in (one, two)]
    for mixed, first, second in zip(blend.answer(PROMPTS), *parts, strict=True):
        for log, a, b in zip(mixed.log_probabilities, first.log_probabilities, second.log_probabilities, strict=True):
            assert math.exp(log) == pytest.approx(0.75 * math.exp(a) + 0.25 * math.exp(b), abs=1e-12)
        assert mixed.option_mass == pytest.approx(0.75 * first.option_mass + 0.25 * second.option_mass, abs=1e-12)
    assert blend.identity.name == "blend"
    assert len(blend.identity.parts) == 2
    blend.close()


def test_whole_answers_are_scored_by_the_mixture(folders: tuple[Path, Path]) -> None:
    models = [load_model(str(folder)) for folder in folders]
    asked = [FullAnswerPrompt(PROMPTS[0], ("Yes", "No"))]
    (mixed,) = mixture(models, weights=[1, 1]).score_answers(asked)
    (first,), (second,) = (model.score_answers(asked) for model in models)
    for log, a, b in zip(mixed.log_likelihoods, first.log_likelihoods, second.log_likelihoods, strict=True):
        assert math.exp(log) == pytest.approx((math.exp(a) + math.exp(b)) / 2, rel=1e-9)


def test_each_text_is_that_of_one_part_and_parts_are_drawn_with_their_weights(folders: tuple[Path, Path]) -> None:
    models = [load_model(str(folder)) for folder in folders]
    settings = GenerationSettings(max_new_tokens=4, seed=3)
    received = []
    drawn = mixture(models, weights=[1, 1]).generate(PROMPTS, settings, n_draws=8, receive=received.extend)
    each = [model.generate(PROMPTS, settings, n_draws=8) for model in models]
    from_first = 0
    for place, responses in enumerate(drawn):
        for draw, response in enumerate(responses):
            assert response in (each[0][place][draw], each[1][place][draw])
            from_first += response == each[0][place][draw]
    assert 0 < from_first < 16
    assert len(received) == 16
    assert mixture(models, weights=[1, 0]).generate(PROMPTS, settings, n_draws=8) == each[0]


def test_the_identity_covers_parts_and_weights(folders: tuple[Path, Path]) -> None:
    models = [load_model(str(folder)) for folder in folders]
    identities = {mixture(models, weights=weights).identity.sha256 for weights in ([1, 1], [2, 1], [1, 2])} | {
        mixture(models[::-1]).identity.sha256,
        mixture(models[:1]).identity.sha256,
    }
    assert len(identities) == 5
    assert mixture(models, weights=[2, 2]).identity.sha256 == mixture(models).identity.sha256


def test_compositions_nest_and_one_that_holds_itself_is_refused(folders: tuple[Path, Path]) -> None:
    folder = folders[0].parent
    write(folder / "inner.toml", 'model = "one"', 'model = "two"')
    outer = write(folder / "outer.toml", 'model = "mixture:inner.toml"', 'model = "one"')
    first = load_model(f"mixture:{outer}").answer(PROMPTS)[0]
    direct = write(folder / "direct.toml", 'model = "one"\nweight = 3', 'model = "two"\nweight = 1')
    assert first.log_probabilities == pytest.approx(
        load_model(f"mixture:{direct}").answer(PROMPTS)[0].log_probabilities
    )
    loop = write(folder / "loop.toml", 'model = "mixture:loop.toml"')
    with pytest.raises(ModelError, match="holds itself"):
        load_model(f"mixture:{loop}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"at least one table \[\[part\]\]"),
        ("part = 3", r"at least one table \[\[part\]\]"),
        ("[[part]]\nweight = 1", "must have model = SPEC"),
        ('[[part]]\nmodel = "one"\nweight = -1', "must be a number of at least 0"),
        ('[[part]]\nmodel = "one"\nweight = nan', "must be a number of at least 0"),
        ('[[part]]\nmodel = "one"\nweight = 1e308', "must be a number of at least 0, and at most 1,000,000,000"),
        (f'[[part]]\nmodel = "one"\nweight = 1{"0" * 400}', "must be a number of at least 0"),
        ('[[part]]\nmodel = "one"\n' * 27, "at most 26 tables"),
        ('[[part]]\nmodel = "one"\nweight = 0', "must not all be 0"),
        ('[[part]]\nmodle = "one"', "modle"),
        ('[[part]]\nmodel = "nowhere"', "There is no folder"),
        ("[[part", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "blend.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load_model(f"mixture:{tmp_path / 'blend.toml'}")


def test_a_spec_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no file"):
        load_model(f"mixture:{tmp_path / 'blend.toml'}")
    with pytest.raises(ModelError, match=r"is a \.toml file"):
        load_model(f"mixture:{tmp_path}")


def test_weights_must_fit_the_models() -> None:
    with pytest.raises(InvalidParameterError, match="'models' parameter of mixture"):
        mixture([], weights=[])


def test_what_a_part_leaves_open_stays_open() -> None:
    known = Answer((math.log(0.5), math.log(0.5)), 1.0, "A", 0.5)
    served = Answer((math.log(0.7), math.log(0.1)), 0.8, "A", 0.7, bounds=((0.7, 0.7), (0.0, 0.2)))
    mixed = mixed_answer([known, served], [0.25, 0.75])
    assert mixed.bounds == (pytest.approx((0.65, 0.65)), pytest.approx((0.125, 0.275)))
    assert mixed_answer([known, known], [0.25, 0.75]).bounds == ()


@pytest.mark.parametrize("places", [(0, 1), (1, 0)])
def test_a_probability_that_one_part_does_not_know_is_not_known_of_the_mixture(places: tuple[int, int]) -> None:
    answers = [Answer((-math.inf, 0.0), 1.0, "B", 1.0), Answer((math.nan, math.log(0.5)), 0.5, "B", 0.5)]
    mixed = mixed_answer([answers[place] for place in places], [0.5, 0.5])
    assert math.isnan(mixed.log_probabilities[0])
    assert math.exp(mixed.log_probabilities[1]) == pytest.approx(0.75)
    # A part without weight says nothing.
    alone = mixed_answer([answers[place] for place in places], [1.0 - place for place in places])
    assert alone.log_probabilities == (-math.inf, 0.0)


def test_a_file_with_a_byte_order_mark_is_read(folders: tuple[Path, Path]) -> None:
    file = write(folders[0].parent / "blend.toml", 'model = "one"')
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_model(f"mixture:{file}").identity.name == "blend"


def test_the_file_of_another_kind_is_named_as_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('mode = "overton"\nmain = "a"\n[[community]]\nmodel = "b"', encoding="utf-8")
    with pytest.raises(ModelError, match=r"is a modular model. Write modular:x.toml"):
        load_model(f"mixture:{file}")
    write(file, 'model = "a"')
    with pytest.raises(ModelError, match=r"is a mixture model. Write mixture:x.toml"):
        load_model(f"modular:{file}")


def test_a_home_folder_is_found_in_every_kind_of_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for part in ("~/nowhere", "responses:~/nowhere.jsonl#x", "mixture:~/nowhere.toml"):
        file = write(tmp_path / "blend.toml", f'model = "{part}"')
        with pytest.raises(ModelError, match=f"{tmp_path}/home/nowhere"):
            load_model(f"mixture:{file}")


def test_sampled_answers_are_refused() -> None:
    exact = Answer((math.log(0.5), math.log(0.5)), 1.0, "A", 0.5)
    with pytest.raises(ModelError, match="sampled answers"):
        mixed_answer([exact, sampled_answer([3, 1])], [0.5, 0.5])
