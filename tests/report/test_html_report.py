"""The HTML report as a file: whole, without a network, and with nothing of a stranger in effect."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from pytest_pluralism.report.html import report_html

VOID = {"meta", "link", "input", "br", "img", "path", "circle", "rect", "use", "line", "hr"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)

    def of(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def rendered(content: dict[str, Any]) -> str:
    return report_html(content["verdicts"], content["run"])


def test_every_verdict_is_in_the_table_and_has_its_part(recorded: dict[str, Any], page_text: str) -> None:
    page = Page(page_text)
    assert "cannot be shown" not in page.text
    gates = [attributes for attributes in page.of("details") if attributes.get("class") == "gate"]
    assert len(gates) == len(recorded["verdicts"])
    links = {attributes["href"] for attributes in page.of("a")}
    assert {f"#{attributes['id']}" for attributes in gates} <= links
    # Promises that did not pass come first, and are open.
    assert ["open" in attributes for attributes in gates] == [True, True, True, *[False] * (len(gates) - 3)]
    for words in (
        "3 failed",
        "11 passed",
        "0.301 [0.248, 0.351]",
        "≤ 0.1",
        "human sampling floor",
        "Bachelor's degree",
    ):
        assert words in page.text


def test_every_measure_has_its_view(page_text: str) -> None:
    words = Page(page_text).text
    for said in (
        "Is the steering real?",
        "movement under placebos +0.061",
        "Answers of each group (rows) by the model steered to each (columns), 25 questions",
        "Welfare by aversion to inequality",
        "Who is served worst",
        "50 jurors, 1,800 recorded votes;",
        "What each weighting (rows) makes of the model steered to each (columns)",
        "Hypervolume",
        "Objective by objective",
        "(decides)",
        "The window: what a response can say",
        "✓ covered (response 1)",
        "✗ missed",
        "Fact a holds for town 1.",
        "Settings, and where each comes from",
    ):
        assert said in words, said


def test_models_are_put_side_by_side_by_the_objectives_that_they_share(recorded: dict[str, Any]) -> None:
    both = [entry for entry in recorded["verdicts"] if entry["metric"] == "js_distance"][:4]
    words = Page(rendered({**recorded, "verdicts": both})).text
    assert "Models by all objectives" in words
    # The second model is nearer to both parties.
    assert "smollm2-135m-instruct 0.301 0.236 no" in words
    assert "gemma-3-270m 0.296 0.230 yes" in words
    assert "Models by all objectives" not in Page(rendered({**recorded, "verdicts": both[:2]})).text


def test_what_holds_an_answer_is_marked(page_text: str) -> None:
    assert "<mark>Fact a holds for town 1.<sup>1</sup></mark>" in page_text


def test_a_baseline_and_its_change_are_drawn(recorded: dict[str, Any]) -> None:
    entry = next(entry for entry in recorded["verdicts"] if "change" in entry)
    text = rendered({**recorded, "verdicts": [entry]})
    assert 'class="then"' in text
    assert "Change [interval]" in text
    assert "the baseline" in text
    # A promise about a change alone is drawn as one: around 0, which keeps it.
    del entry["gate"]["max_increase"]
    entry["gate"] = {"max_decrease": 0.5, "confidence_level": 0.95}
    assert "-0.6" in Page(rendered({**recorded, "verdicts": [entry]})).text


@pytest.mark.whole
def test_the_page_loads_nothing_and_forbids_everything_but_its_own(page_text: str) -> None:
    text = page_text
    page = Page(text)
    (policy,) = [one["content"] for one in page.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    for tag in ("style", "script"):
        ((body,),) = [re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "style", "xlink:href", "action"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
        assert (attributes.get("href") or "#").startswith(("#", "data:,")), tag
    assert not re.findall(r"@import|url\((?!#)", text)


def test_ids_are_unique_and_what_points_at_them_is_there(page_text: str) -> None:
    page = Page(page_text)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        for name in ("href", "aria-labelledby"):
            target = attributes.get(name)
            if target and (name == "aria-labelledby" or target.startswith("#")):
                assert target.removeprefix("#") in ids


def test_tables_can_be_read_aloud(page_text: str) -> None:
    text = page_text
    for table in re.findall(r"<table(?! class=\"options\").*?(?=<table|</table>)", text, re.DOTALL):
        assert "<caption" in table
    for head in re.findall(r"<thead>.*?</thead>", text, re.DOTALL):
        assert all('scope="col"' in cell for cell in re.findall(r"<th[^e][^>]*>", head))
    charts = re.findall(r"<svg [^>]*class=\"chart\"[^>]*>", text)
    assert len(charts) > 10
    assert all('role="img"' in chart and 'aria-label="' in chart for chart in charts)
    assert '<html lang="en">' in text
    assert 'class="skip"' in text


@pytest.mark.whole
def test_hostile_text_is_text(hostile: dict[str, Any]) -> None:
    text = rendered(hostile)
    page = Page(text)
    assert "cannot be shown" not in page.text
    assert len(list(page.of("script"))) == 1
    assert not list(page.of("img"))
    assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x00", "\ud800"} & set(text)
    assert "<script>document.title='owned'</script>" in page.text
    assert r"\x1b[31mred" in page.text
    assert "{{ 7*7 }}" in page.text
    assert "49" not in re.findall(r"\{?\{?(\d\d)\}?\}?\$", page.text)
    # A million characters are counted, and the first of them shown.
    assert "(999,600 characters more)" in page.text
    assert len(text) < 3_000_000
    text.encode("utf-8")


@pytest.mark.parametrize(
    "words",
    ["<script>alert(1)</script>'{{ 7*7 }}$a$", "W" * 1_000_000, "\x00\x0b\ufffe\ud800\x1b[31m" * 9],
    ids=["markup", "endless", "control"],
)
def test_the_name_of_a_measure_is_text_in_charts_too(recorded: dict[str, Any], words: str) -> None:
    kept = [entry for entry in recorded["verdicts"] if entry["metric"] == "js_distance"][:2]
    for entry in kept:
        entry["metric"] += words
        entry["history"] = [
            {"commit": "ab" * 20, "date": "2026-01-01", "tags": [words], "value": 0.3, "low": 0.2, "high": 0.4}
        ]
        entry["direction"] = "lower"
    text = report_html(kept, recorded["run"])
    page = Page(text)
    assert "cannot be shown" not in page.text
    assert len([chart for chart in page.of("svg") if chart.get("class") == "chart"]) >= 4
    assert not {"\x1b", "\x00", "\x0b", "\ufffe", "\ud800"} & set(text)
    assert len(list(page.of("script"))) == 1
    assert len(text) < 1_500_000


def test_a_verdict_that_is_not_as_expected_does_not_take_the_others_with_it(recorded: dict[str, Any]) -> None:
    first, second, *others = recorded["verdicts"]
    steering = next(entry for entry in others if entry["metric"] == "steering_faithfulness")
    steering["details"]["confusion"] = [{"groups": 3}]
    jury = next(entry for entry in others if entry["metric"] == "jury_welfare")
    jury["details"] = {"curve": ["none"]}
    del first["estimate"]["confidence_level"]
    second["baseline"] = {"estimate": {"value": "high"}}
    words = Page(rendered(recorded)).text
    assert words.count("cannot be shown") == 3
    assert "Trade-offs" in words


def test_an_empty_run_and_errors_have_a_page(recorded: dict[str, Any]) -> None:
    assert "No verdicts." in Page(rendered({**recorded, "verdicts": []})).text
    error = {
        "nodeid": "t.py::t", "key": "k", "metric": "js_distance", "outcome": "error", "reason": "no such survey",
        "model": {"name": "m", "sha256": None, "dtype": None, "device": None}, "dataset": None, "estimate": None,
        "gate": {"confidence_level": None}, "references": {}, "witness": None, "units": [], "warnings": [],
    }  # fmt: skip
    words = Page(rendered({"verdicts": [error], "run": {**recorded["run"], "complete": False}})).text
    assert "no such survey" in words
    assert "did not come to its end" in words


def test_a_promise_says_once_what_would_decide_it(recorded: dict[str, Any]) -> None:
    entry = next(entry for entry in recorded["verdicts"] if entry["metric"] == "js_distance")
    entry |= {"outcome": "inconclusive", "units_needed": 58}
    said = "the value is 0.300 [0.200, 0.400], must be at most 0.35: about 58 more units would decide"
    words = Page(rendered({**recorded, "verdicts": [{**entry, "reason": said}]})).text
    assert "must be at most 0.35: too close to call; about 58 more questions needed" in words
    assert words.lower().count("about 58 more") == 1
    # Another reason leaves the sentence to the page.
    words = Page(rendered({**recorded, "verdicts": [{**entry, "reason": "too few"}]})).text
    assert words.count("Too close to call; about 58 more questions needed.") == 1


def test_a_prompt_stands_once_and_links_lead_to_it(recorded: dict[str, Any]) -> None:
    entry = recorded["verdicts"][0]
    of = {f"{entry['nodeid']} {entry['key']}": {unit["id"]: "p1" for unit in entry["units"]}}
    recorded["run"]["prompts"] = {"texts": {"p1": "x" * 20_001, "p2": "nobody names it"}, "of": of}
    text = rendered(recorded)
    assert text.count('id="prompt-') == 1
    assert text.count('href="#prompt-p1"') == len(entry["units"])
    assert "x" * 20_000 + "\n(1 characters more)" in text
    assert "nobody names it" not in text


@pytest.mark.whole
def test_a_page_is_not_heavier_than_promised(survey: Callable[..., dict[str, Any]]) -> None:
    assert len(rendered(survey(n_questions=1000, n_groups=1)).encode()) < 3_000_000


def test_the_page_of_a_report_is_the_same_every_time(recorded: dict[str, Any], page_text: str) -> None:
    assert rendered(recorded) == page_text


def test_what_only_some_runs_have_is_shown_too(recorded: dict[str, Any]) -> None:
    by_metric = {entry["metric"]: entry for entry in recorded["verdicts"]}
    distance, jury, trade_off, pareto = (
        by_metric[name] for name in ("js_distance", "jury_welfare", "trade_off_steerability", "pareto_improvement")
    )
    distance["details"] = {
        "protocol": "sorensen2024",
        "sound": 0.25,
        "quirks": [{"quirk": "the order", "quantity": "distance", "published": 0.5, "without": None}],
    }
    curve = jury["details"]["curve"]
    jury["details"] |= {"dominance": {**curve, "dominates": True}, "gain_by_group": {"river": -0.125}}
    weights = trade_off["details"]["weights"]
    trade_off["details"]["pairs"][0]["on_front"] = [True, *[False] * (len(weights) - 1)]
    pareto["details"]["functions"] = {
        "both": {"candidate": 0.5, "reference": 0.25, "gain": 0.25, "low": 0.125, "high": 0.375}
    }
    words = Page(rendered({**recorded, "verdicts": [distance, jury, trade_off, pareto]})).text
    assert "cannot be shown" not in words
    assert "under the protocol sorensen2024 , 0.250 asked in the sound way." in words
    assert "the order distance 0.500 –" in words
    assert "Gain over the reference model by aversion to inequality: no aversion shows a loss" in words
    assert "river -0.125" in words
    assert words.count("(on the front)") == 1
    assert "+0.250 [+0.125, +0.375]" in words
