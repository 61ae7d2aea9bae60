"""The HTML report in a real browser: Chromium, without a network.

The fixture ``show`` of ``tests/conftest.py`` says which browser that is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pluralism.report.html import report_html

if TYPE_CHECKING:
    # Importing it would make a second module of the same name.
    Opened = Any

pytestmark = pytest.mark.browser

#: Maximum number of elements of a page, before and after somebody opens a part of it.
MOST_NODES = 15_000

HOSTILE_NAME = "<img src=x onerror=\"document.title='owned'\">"


def rendered(content: dict[str, Any]) -> str:
    return report_html(content["verdicts"], content["run"])


def column(table: Any, place: int) -> list[str]:
    """Return the visible cells of a column."""
    texts: list[str] = table.locator(f"> tbody > tr:visible > :nth-child({place})").all_inner_texts()
    return [text.strip() for text in texts]


def test_it_opens_without_an_error_or_a_request(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text)
    assert opened.page.title() == "Pluralism report: 3 failed, 11 passed"
    assert opened.page.locator("details.gate[open]").count() == 3
    opened.page.get_by_role("button", name="Open all").click()
    assert opened.page.locator("details.gate[open]").count() == 14
    opened.page.get_by_role("button", name="Close all").click()
    assert opened.page.locator("details.gate[open]").count() == 0
    # Each chart has room of its own.
    opened.page.get_by_role("button", name="Open all").click()
    boxes = opened.page.locator("svg.chart").evaluate_all("charts => charts.map(c => c.getBoundingClientRect().width)")
    assert len(boxes) > 10
    assert min(boxes) > 150
    opened.check()


def test_nothing_but_the_scripts_of_the_page_may_run(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text)
    opened.page.evaluate(
        """() => {
            const script = document.createElement('script');
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            const image = document.createElement('img');
            image.src = 'https://example.org/x.png';
            document.body.append(image);
        }"""
    )
    assert opened.page.title().startswith("Pluralism report")
    assert sum("Content Security Policy" in complaint for complaint in opened.complaints) >= 2


def test_verdicts_are_sorted_and_filtered(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text)
    section = opened.page.locator("#verdicts")
    table = section.locator("table")
    value = table.get_by_role("columnheader", name="Value [interval]")
    value.get_by_role("button").click()
    assert value.get_attribute("aria-sort") == "ascending"
    numbers = [float(text.split()[0]) for text in column(table, 3)]
    assert numbers == sorted(numbers)
    value.get_by_role("button").click()
    assert value.get_attribute("aria-sort") == "descending"
    assert [float(text.split()[0]) for text in column(table, 3)] == sorted(numbers, reverse=True)
    model = table.get_by_role("columnheader", name="Model")
    model.get_by_role("button").click()
    assert value.get_attribute("aria-sort") is None
    box = section.get_by_label("Filter verdicts")
    box.fill("jury PLEASER")
    opened.page.get_by_text("2 of 14 verdicts shown").wait_for()
    assert all("Jury welfare" in text for text in column(table, 2))
    box.fill("")
    table.locator("tbody > tr:visible").nth(13).wait_for()
    opened.check()


def test_a_link_opens_its_promise_and_a_question_its_answers(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text)
    opened.page.locator("#verdicts").get_by_role("link", name="JS distance to Republican").first.click()
    gate = opened.page.locator("details.gate:target")
    assert gate.get_attribute("open") is not None
    gate.locator("details.units > summary").click()
    table = gate.locator("table.units")
    distance = [float(text) for text in column(table, 3)]
    assert distance == sorted(distance, reverse=True)
    table.get_by_role("columnheader", name="Entropy, people").get_by_role("button").click()
    entropies = [float(text) for text in column(table, 5)]
    assert entropies == sorted(entropies)
    gate.get_by_label("Filter questions").fill("abortion serious defect")
    opened.page.get_by_text("1 of 25 questions shown").wait_for()
    row = table.locator("> tbody > tr:visible")
    row.locator("summary").click()
    assert row.get_by_role("rowheader", name="Yes").is_visible()
    assert row.locator("svg.bars").count() == 2
    opened.check()


def test_it_works_from_the_keyboard(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text)
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "skip"
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("document.activeElement.id") == "verdicts"
    # On from there: the filter box, the table that can be scrolled, then the heads of its columns.
    for _ in range(3):
        opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Space")
    assert opened.page.locator("#verdicts th[aria-sort=ascending]").inner_text().strip() == "Outcome"
    opened.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_it_can_be_read_in_every_light_and_width(
    show: Callable[..., Opened], page_text: str, scheme: str, width: int
) -> None:
    opened = show(page_text, width=width, scheme=scheme)
    opened.page.get_by_role("button", name="Open all").click()
    opened.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    # Wide tables scroll inside their own region; the page itself does not.
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    worst = opened.page.evaluate(CONTRAST)
    # WCAG 2 asks for 4.5 between text and ground.
    assert worst["ratio"] >= 4.5, worst
    opened.check()


#: The text of the page that has the least contrast with its ground.
CONTRAST = """() => {
    const parse = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
    const over = (top, ground) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + ground[i] * (1 - (top[3] ?? 1)));
    const light = (color) => {
        const [r, g, b] = color.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
        return layers.reverse().reduce((below, layer) => layer.length ? over(layer, below) : below, [255, 255, 255]);
    };
    let worst = { ratio: 99 };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const seen = new Set();
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || seen.has(element) || element.nodeName === 'SCRIPT') continue;
        seen.add(element);
        const style = getComputedStyle(element);
        const inside = element.closest('svg') ? style.fill : style.color;
        const below = ground(element.closest('svg')?.parentElement ?? element);
        const [one, other] = [light(over(parse(inside), below)), light(below)].sort((a, b) => b - a);
        const ratio = (one + 0.05) / (other + 0.05);
        if (ratio < worst.ratio) worst = { ratio, text: element.textContent.slice(0, 60), color: inside, below };
    }
    return worst;
}"""


def test_hostile_text_is_shown_as_text(show: Callable[..., Opened], hostile: dict[str, Any]) -> None:
    opened = show(rendered(hostile), width=360)
    opened.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert opened.page.title().startswith("Pluralism report")
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("img").count() == 0
    words = opened.page.locator("body").inner_text()
    assert "<script>document.title='owned'</script>" in words
    assert "(999,600 characters more)" in words
    assert "(998,000 characters more)" in words
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
    opened.check()


def test_400_questions_of_12_groups_are_sorted_and_filtered(show: Callable[..., Opened], large: dict[str, Any]) -> None:
    opened = show(rendered(large))
    assert opened.page.locator("details.gate").count() == 12
    assert opened.page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    gate = opened.page.locator("details.gate").last
    gate.locator("summary").first.click()
    gate.locator("details.units > summary").click()
    table = gate.locator("table.units")
    # A page of the rows at a time; sorting and filtering see all of them.
    table.locator("> tbody > tr").nth(49).wait_for()
    assert len(column(table, 1)) == 50
    first = column(table, 1)[0]
    gate.get_by_role("button", name="Next").click()
    assert gate.get_by_text("51 to 100 of 400").is_visible()
    assert column(table, 1)[0] != first
    table.get_by_role("columnheader", name="Question").get_by_role("button").click()
    table.get_by_role("columnheader", name="Question").get_by_role("button").click()
    assert column(table, 1)[0].startswith("question-399")
    gate.get_by_label("Filter questions").fill("question-12")
    opened.page.get_by_text("10 of 400 questions shown").wait_for()
    assert opened.page.evaluate("document.querySelectorAll('*').length") < MOST_NODES
    opened.check()


def n_pages(printed: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", printed))


def test_ten_promises_are_printed_on_one_page(show: Callable[..., Opened], recorded: dict[str, Any]) -> None:
    distances = [entry for entry in recorded["verdicts"] if entry["metric"] == "js_distance"]
    ten = (distances * 10)[:10]
    opened = show(rendered({**recorded, "verdicts": [{**one, "key": f"{n}"} for n, one in enumerate(ten)]}))
    assert n_pages(opened.page.pdf(format="A4")) == 1
    assert opened.page.locator("details.gate").count() == 10
    opened.page.emulate_media(media="print")
    assert not opened.page.get_by_role("button", name="Open all").is_visible()
    # Where somebody asks for them, all promises follow.
    opened.page.evaluate("window.print = () => {}")
    opened.page.emulate_media(media="screen")
    opened.page.get_by_role("button", name="Print with all promises").click()
    assert n_pages(opened.page.pdf(format="A4")) > 5
    opened.check()


def test_the_sections_are_marked_as_they_are_read(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text, reduced_motion="reduce")
    named = opened.page.get_by_role("navigation", name="Sections of the report")
    current = named.locator("[aria-current]")
    assert current.inner_text() == "Overview"
    for name in ("Promises", "Questions", "Responses", "Provenance"):
        named.get_by_role("link", name=name).click()
        opened.page.wait_for_function(
            "name => document.querySelector('nav [aria-current]').textContent === name", arg=name
        )
        # The links stay on the screen.
        assert named.bounding_box()["y"] < 5
    opened.check()


def test_questions_stand_beside_those_of_other_people(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text, fragment="#questions")
    board = opened.page.locator("details.board").first
    heads = board.locator("thead th").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Questions", "Democrat", "Republican"]
    assert len(column(board.locator("table"), 1)) == 25
    # Rows leave out the words that the questions share; the question itself has them.
    assert any("… foreign aid?" in text for text in column(board.locator("table"), 1))
    opened.check()


def test_a_command_is_copied(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text, permissions=["clipboard-read", "clipboard-write"])
    command = opened.page.locator("details.gate[open] p.command").first
    command.get_by_role("button", name="Copy").click()
    command.get_by_role("button", name="Copied").wait_for()
    assert opened.page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    opened.check()


def test_another_run_stands_beside_this_one(
    show: Callable[..., Opened], page_text: str, recorded: dict[str, Any], tmp_path: Path
) -> None:
    opened = show(page_text, fragment="#compare")
    recorded["verdicts"][0]["estimate"]["value"] -= 0.125
    del recorded["verdicts"][1]
    recorded["verdicts"][2]["model"]["name"] = HOSTILE_NAME
    recorded["verdicts"][3]["model"]["name"] = "gnp\u202e.safe"
    recorded["run"]["complete"] = False
    (tmp_path / "other.json").write_text(json.dumps(recorded), encoding="utf-8")
    opened.page.get_by_label("The JSON report of another run").set_input_files(tmp_path / "other.json")
    opened.page.get_by_text("13 of 14 promises are in both runs.").wait_for()
    opened.page.get_by_text("The other run did not come to its end").wait_for()
    table = opened.page.locator("#compare table")
    assert "+0.125" in column(table, 6)
    assert "gnp\\u{202e}.safe" in column(table, 7)
    assert opened.page.locator("img").count() == 0
    (tmp_path / "no.json").write_text("[]", encoding="utf-8")
    opened.page.get_by_label("The JSON report of another run").set_input_files(tmp_path / "no.json")
    opened.page.get_by_text("The file cannot be read").wait_for()
    opened.check()


def test_the_prompt_of_a_unit_is_one_click_away(show: Callable[..., Opened], recorded: dict[str, Any]) -> None:
    entry = recorded["verdicts"][0]
    text = "<script>document.title='owned'</script>\nIs it so?\nA. Yes\nAnswer:"
    of = {f"{entry['nodeid']} {entry['key']}": {unit["id"]: "p1" for unit in entry["units"]}}
    recorded["run"]["prompts"] = {"texts": {"p1": text}, "of": of}
    opened = show(rendered(recorded))
    units = opened.page.locator("details.gate[open] details.units").first
    units.locator("tbody details > summary").first.click()
    shown = units.locator("pre.prompt").first
    assert shown.inner_text() == text
    assert opened.page.title().startswith("Pluralism report")
    opened.check()


def test_without_scripts_a_unit_links_to_its_prompt(show: Callable[..., Opened], recorded: dict[str, Any]) -> None:
    entry = recorded["verdicts"][0]
    text = "</noscript><script>document.title='owned'</script>\nIs it so?\nA. Yes\nAnswer:"
    of = {f"{entry['nodeid']} {entry['key']}": {unit["id"]: "p1" for unit in entry["units"]}}
    recorded["run"]["prompts"] = {"texts": {"p1": text}, "of": of}
    opened = show(rendered({**recorded, "verdicts": [entry]}), java_script_enabled=False)
    gate = opened.page.locator("details.gate").first
    if gate.get_attribute("open") is None:
        gate.locator("summary").first.click()
    if gate.locator("details.units").get_attribute("open") is None:
        gate.locator("details.units > summary").click()
    gate.locator("table.units details > summary").first.click()
    gate.locator("a.prompt").first.click()
    shown = opened.page.locator("#prompt-p1")
    shown.locator("summary").click()
    assert shown.locator("pre.prompt").inner_text() == text
    opened.check()


def test_a_phone_shows_verdicts_as_cards(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text, width=360)
    boxes = opened.page.locator("#verdicts tbody > tr").evaluate_all("rows => rows.map(r => r.getBoundingClientRect())")
    assert all(box["width"] <= 360 and box["height"] > 80 for box in boxes)
    cell = opened.page.locator("#verdicts tbody td[data-name=Promise]").first
    assert cell.evaluate("one => getComputedStyle(one, '::before').content") != "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(show: Callable[..., Opened], page_text: str, scheme: str) -> None:
    """axe-core stands where ``PLURALISM_AXE`` says: the file ``axe.min.js`` of its package."""
    where = os.environ.get("PLURALISM_AXE")
    if not where:
        pytest.skip("no axe-core: PLURALISM_AXE names no file")
    opened = show(page_text, scheme=scheme, bypass_csp=True)
    opened.page.get_by_role("button", name="Open all").click()
    for part in ("details.units", "details.board", "details.responses", "details.origin"):
        opened.page.locator(part).evaluate_all("all => all.slice(0, 4).forEach(one => { one.open = true; })")
    opened.page.locator("table.units tbody details").evaluate_all(
        "all => all.slice(0, 9).forEach(o => { o.open = true; })"
    )
    opened.page.evaluate(Path(where).read_text(encoding="utf-8"))
    found = opened.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_without_scripts_everything_can_be_read(show: Callable[..., Opened], page_text: str) -> None:
    opened = show(page_text, java_script_enabled=False)
    gate = opened.page.locator("details.gate").last
    gate.locator("summary").first.click()
    gate.locator("details.units > summary").click()
    assert gate.locator("table.units").is_visible()
    assert opened.page.locator("input").count() == 0
    opened.check()
