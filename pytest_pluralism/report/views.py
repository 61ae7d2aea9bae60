"""The view of a report: everything that its forms show, computed once from the JSON report as frozen records.

The page and the Markdown report are two templates over this view.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_pluralism.core.errors import PluralismError
from pytest_pluralism.core.messages import farthest_of, gained_over, needed_words, subject
from pytest_pluralism.core.records.how import MAY_COUNT_PEOPLE
from pytest_pluralism.core.records.measures import Measure
from pytest_pluralism.core.words import CLUSTERS, in_order, words_for
from pytest_pluralism.evaluation.measures.registry import measure_of
from pytest_pluralism.report.alike import alike_lines
from pytest_pluralism.report.blocks import Para, Part, Table, texts
from pytest_pluralism.report.boards import Asked, Board, boards
from pytest_pluralism.report.cells import (
    Entry,
    Ours,
    estimate_words,
    interval_cell,
    outcome_of,
    promise_cell,
    shortened,
    started_words,
)
from pytest_pluralism.report.charts import Track
from pytest_pluralism.report.decisions import KEPT, OUTCOMES, Decision, Judged, decisions, moved_of, source_words
from pytest_pluralism.report.family_views import VIEWS, groups_part, protocol_part
from pytest_pluralism.report.json_report import report_content
from pytest_pluralism.report.mutants import mutant_parts
from pytest_pluralism.report.shared_parts import (
    domains_of,
    front_part,
    front_parts,
    history_part,
    numbers,
    references_part,
    track_of,
    verdict_history,
)
from pytest_pluralism.report.unit_views import UnitsView, UnitView, units_view

__all__ = [
    "OUTCOMES",
    "UNEXPECTED",
    "Part",
    "RunView",
    "VerdictView",
    "front_part",
    "guarded",
    "history_part",
    "run_view",
    "title_of",
    "verdict_views",
]

#: Maximum number of characters of a question in the banner; the promise below it has the whole question.
MOST_WITNESS = 90

#: Maximum number of characters of a prompt that a page holds.
MOST_PROMPT = 20_000

#: The errors that a file of somebody else may cause in one part of a report, which is then left out and says so.
UNEXPECTED = (
    ArithmeticError, AttributeError, LookupError, PluralismError, RecursionError, TypeError, ValueError,
)  # fmt: skip

#: The meaning of the value of a measure in one plain sentence.
PLAIN = {
    "js_distance": "0 means that the model answers as these people do, 1 that no answer is shared.",
    "answer_entropy": "0 means one answer to everything; people who disagree have more.",
    "overton_coverage": "1 means that the responses hold every reasonable answer, 0 that they hold none.",
    "overton_win_rate": "0.5 means that the responses are as wide as those of the reference model, 1 always wider.",
    "false_balance": "0 means that no settled question is argued as if it were open.",
    "steering_faithfulness": "1 means that the model, told to speak for a group, answers as that group does.",
    "trade_off_steerability": "0 means that the model does the same whatever it is told to weigh; more is better.",
    "pareto_improvement": "Above 0 means a gain over the reference model; no objective may lose.",
    "jury_welfare": "More means that the jury is served better; the more alpha, the more those served worst count.",
}


@dataclass(frozen=True)
class WitnessView:
    """Hold the unit that shows an outcome, its value or its change in words, and the answers that differ most."""

    id: str
    text: str
    words: str
    said: str = ""
    is_unit: bool = True

    @property
    def name(self) -> str:
        """The words for it in a sentence: the text of a question, or what a group is called."""
        if self.is_unit or not self.text:
            return self.text or self.id
        return f"{self.id}, {self.text}"


@dataclass(frozen=True)
class VerdictView:
    """Hold everything that is shown of one verdict; what cannot be read has the defaults, and a part that says so.

    ``decided`` has the words for what decided, ``level`` those for the level of the interval; ``beside`` has the
    references that a table has room for, in their order, and ``against`` the two or three that say most.
    """

    nodeid: str
    key: str
    outcome: str
    model: str
    title: str
    parts: tuple[Part, ...]
    metric: str = ""
    measure: str = ""
    dataset: str = ""
    population: str = ""
    value: float | None = None
    interval: str = Ours("–")
    change_value: float | None = None
    change: str = ""
    moved: int | None = None
    decided: str = Ours("–")
    promise: str = ""
    level: str = ""
    reason: str = ""
    facts: str = ""
    needed: str = ""
    warnings: tuple[str, ...] = ()
    unseen: str = ""
    witness: WitnessView | None = None
    track: Track | None = None
    references: tuple[tuple[str, float], ...] = ()
    option_mass: float | None = None
    beside: tuple[tuple[str, float], ...] = ()
    against: tuple[tuple[str, float], ...] = ()
    history: tuple[Part, ...] = ()
    plain: str = ""
    test: str = ""
    nearest: tuple[str, float] | None = None
    units: UnitsView | None = None
    origins: Table | None = None
    repeat: str = ""

    @property
    def is_kept(self) -> bool:
        """Say whether the promise was not broken: kept, or stored with nothing to be compared with."""
        return self.outcome in KEPT

    @property
    def has_responses(self) -> bool:
        """Say whether the report holds texts of the model for this promise."""
        return self.units is not None and any(unit.responses for unit in self.units.units)

    @property
    def window(self) -> UnitView | None:
        """The unit whose response is shown beside its window: the witness, else the first that has one."""
        units = [unit for unit in (self.units.units if self.units else ()) if unit.answers and unit.responses]
        witness = self.witness.id if self.witness else None
        return next((unit for unit in units if unit.id == witness), units[0] if units else None)

    @property
    def worst_question(self) -> str:
        """The unit that did worst: without a beginning that other questions share, and cut after a whole word."""
        if self.witness is None or not self.witness.is_unit:
            return ""
        units = self.units.units if self.units else ()
        text = next((unit.brief or unit.text for unit in units if unit.id == self.witness.id), self.witness.text)
        return shortened(text or self.witness.id, most=MOST_WITNESS)

    @property
    def worst_group(self) -> str:
        """The group or objective that did worst, where that is not a unit."""
        if self.witness is None or self.witness.is_unit:
            return ""
        return shortened(self.witness.name, most=MOST_WITNESS)

    @property
    def worst(self) -> tuple[UnitView, ...]:
        """The five units that did worst."""
        return tuple(unit for unit in (self.units.units if self.units else ()) if unit.value is not None)[:5]


@dataclass(frozen=True)
class RunView:
    """Hold everything that a report shows, the verdicts in the order of the tests.

    ``run`` is what the JSON report says of the run; ``front`` compares models by the objectives that they share, and
    ``mutants`` says which damage the promises notice; ``alike`` names what looks the same and is not.
    """

    verdicts: tuple[VerdictView, ...]
    run: Entry
    settings: Table
    versions: Table
    front: tuple[Part, ...]
    mutants: tuple[Part, ...] = ()
    alike: tuple[str, ...] = ()

    @property
    def ordered(self) -> list[tuple[int, VerdictView]]:
        """The verdicts with their numbers, what did not pass first; within that, in the order of the tests."""
        return sorted(enumerate(self.verdicts, start=1), key=lambda pair: OUTCOMES.index(pair[1].outcome))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """May each model be released, and why not."""
        judged = [
            Judged(
                number,
                one.model,
                one.outcome,
                one.title,
                one.decided,
                one.promise,
                one.worst_question,
                one.worst_group,
                said=one.witness.said if one.witness else "",
                has_warnings=bool(one.warnings),
                moved=one.moved,
            )
            for number, one in enumerate(self.verdicts, start=1)
        ]
        policy = (self.run.get("settings", {}).get("inconclusive") or {}).get("value", "fail")
        return decisions(
            judged,
            complete=self.run.get("complete", True) is not False,
            lets_pass=policy != "fail",
            failed_tests=len(self.failed_tests),
        )

    @property
    def started(self) -> str:
        """The time at which the run began, in words; empty where the report does not have it."""
        return started_words(self.run["started"]) if self.run.get("started") else ""

    @property
    def failed_tests(self) -> list[str]:
        """The tests that failed although no promise of theirs is broken."""
        return [str(one) for one in self.run.get("failed_tests") or ()]

    @property
    def with_responses(self) -> list[tuple[int, VerdictView]]:
        """The verdicts on responses, with their numbers."""
        return [pair for pair in self.ordered if pair[1].has_responses]

    @property
    def boards(self) -> tuple[Board, ...]:
        """The questions by the promises that ask them, a board for each measure, data set and model."""
        return boards(
            Asked(place, f"{one.measure} ({one.dataset}), {one.model}", one.population or one.title, one.units)
            for place, one in self.ordered
            if one.units is not None
        )

    @property
    def prompts(self) -> list[tuple[str, str]]:
        """The names and the texts of the prompts that units name; a longer text ends with a count of what is left."""
        found = (self.run.get("prompts") or {}).get("texts") or {}
        wanted = {unit.prompt for one in self.verdicts if one.units is not None for unit in one.units.units}
        return [(str(name), _prompt(str(text))) for name, text in found.items() if str(name) in wanted]

    @property
    def source(self) -> list[tuple[str, str, str]]:
        """The commit, the job and the person of the run, where they are known."""
        return list(source_words(self.run))

    @property
    def counts(self) -> list[tuple[str, int]]:
        """Count the verdicts of each outcome."""
        found = [verdict.outcome for verdict in self.verdicts]
        return [(name, found.count(name)) for name in OUTCOMES if name in found]

    @property
    def counted(self) -> str:
        """The counts in words."""
        return Ours(", ".join(f"{count} {name}" for name, count in self.counts) or "No verdicts")

    @property
    def models(self) -> str:
        """The names of the models."""
        return ", ".join(dict.fromkeys(verdict.model for verdict in self.verdicts))


def _prompt(text: str) -> str:
    left = len(text) - MOST_PROMPT
    return f"{text[:MOST_PROMPT]}\n({left:,} characters more)" if left > 0 else text


def run_view(entries: Iterable[Entry], run: Entry, /) -> RunView:
    """Return the view of a report.

    Parameters
    ----------
    entries : iterable of mapping
        The verdicts, as they stand in the JSON report.
    run : mapping
        The description of the run.
    """
    verdicts = report_content(entries, run)["verdicts"]
    settings = [
        texts(name, one["value"] if isinstance(one["value"], str) else json.dumps(one["value"]), one["origin"])
        for name, one in sorted(run.get("settings", {}).items(), key=lambda pair: pair[1]["origin"] == "default")
    ]
    versions = [texts(name, version) for name, version in run.get("versions", {}).items()]
    return RunView(
        verdict_views(verdicts, run),
        run,
        Table("Settings, and where each comes from", (Ours("setting"), Ours("value"), Ours("from")), tuple(settings)),
        Table("Versions", (Ours("package"), Ours("version")), tuple(versions)),
        guarded("Models by all objectives", lambda: front_parts(verdicts)),
        guarded("Damage that the promises notice", lambda: mutant_parts(run.get("mutants", ()))),
        tuple(alike_lines(verdicts)),
    )


def verdict_views(verdicts: Sequence[Entry], run: Entry, /) -> tuple[VerdictView, ...]:
    """Return the views of verdicts, all on the same scales."""
    domains = domains_of(verdicts)
    return tuple(_verdict(entry, domains, run) for entry in verdicts)


def _verdict(entry: Entry, domains: Mapping[str, tuple[float, float]], run: Entry) -> VerdictView:
    try:
        return _whole(entry, domains, run)
    except UNEXPECTED as error:
        # One verdict of a stranger's file must not take the others with it.
        title = str(entry.get("key") or entry["nodeid"])
        model = str(entry["model"].get("name", ""))
        parts = (_left_out(title, error),)
        return VerdictView(str(entry["nodeid"]), str(entry.get("key")), entry["outcome"], model, title, parts)


def _whole(entry: Entry, domains: Mapping[str, tuple[float, float]], run: Entry) -> VerdictView:
    measure = measure_of(entry)
    estimate, change, gate = entry["estimate"], entry.get("change"), entry["gate"]
    dataset = entry.get("dataset") or {}
    references = {name: value for name, value in entry["references"].items() if value is not None}
    title, level = _verdict_title(entry), gate.get("confidence_level")
    skill = (("skill", float(entry["skill"])),) if entry.get("skill") is not None else ()
    others = {name: value for name, value in (entry.get("other_populations") or {}).items() if value is not None}
    closest = max if entry.get("direction") == "higher" else min
    nearest = closest(others.items(), key=lambda pair: pair[1]) if others and measure.has_nearest else None
    beside_words = [(words_for(measure.beside, measure.references), references.get(measure.beside))]
    masses = [unit["option_mass"] for unit in entry["units"] if unit.get("option_mass") is not None]
    parts = [*_parts(entry, title, measure, domains.get(measure.name))]
    needed = needed_words(measure, entry["units_needed"]) if entry.get("units_needed") else ""
    # The reason says the same in the words of the verdict; said once, in those of the measure.
    in_units = f"about {entry.get('units_needed')} more units would decide"
    reason = str(entry.get("reason") or "").replace(in_units, needed)
    units = None
    try:
        prompts = (run.get("prompts") or {}).get("of", {}).get(f"{entry['nodeid']} {entry['key']}", {})
        units = units_view(entry, measure, prompts) if entry["units"] else None
    except UNEXPECTED as error:
        parts.append(_left_out("The list of units", error))
    return VerdictView(
        str(entry["nodeid"]),
        str(entry["key"]),
        outcome_of(entry),
        str(entry["model"].get("name", "")),
        title,
        tuple(parts),
        metric=measure.name,
        measure=_begun(measure.title),
        dataset=str(dataset.get("name", "")),
        population=str(entry.get("population", measure.everybody if dataset else "")),
        value=(estimate or {}).get("value"),
        interval=estimate_words(estimate),
        change_value=change["value"] if change else None,
        change=estimate_words(change, "+") if change else "",
        moved=moved_of(entry),
        decided=interval_cell(entry),
        promise=promise_cell(gate),
        level=f"{100 * level:g} % interval" if level is not None else "",
        reason=reason,
        facts="; ".join(_facts(estimate, measure, masses)),
        needed="" if needed in reason else _begun(needed),
        warnings=tuple(map(str, entry.get("warnings", ()))),
        unseen=str(entry.get("unseen") or ""),
        witness=_witness(entry),
        track=track_of(entry, domains),
        references=(*in_order(references, measure.references), *skill),
        option_mass=sum(masses) / len(masses) if masses else None,
        beside=(*in_order(references, measure.references, brief=True), *skill),
        against=(*farthest_of(others, measure, entry.get("direction")), *numbers(beside_words)),
        history=guarded("The history", lambda: [verdict_history(entry, title)]) if entry.get("history") else (),
        plain=PLAIN.get(measure.name, ""),
        test=str(entry.get("test") or entry["nodeid"]),
        nearest=nearest,
        units=units,
        origins=_origins(entry),
        repeat=_repeat(str(run.get("command", "pytest")), entry),
    )


def _repeat(command: str, entry: Entry) -> str:
    """Return the command that repeats a promise; of a ready suite, whose tests nobody names, that of the suite."""
    if command.startswith("pluralism "):
        return command
    return str(entry.get("repeat") or f"{command} {shlex.quote(str(entry['nodeid']))}")


def guarded(title: str, make: Callable[[], Iterable[Part]]) -> tuple[Part, ...]:
    """Return parts, or a sentence where the report holds something that they cannot show."""
    try:
        return tuple(make())
    except UNEXPECTED as error:
        return (_left_out(title, error),)


def _left_out(title: str, error: Exception) -> Part:
    words = f"{type(error).__name__}: {error}"[:400]
    said = f"{title} cannot be shown: the report holds something that is not as expected there ({words})."
    return Part("", (Para((said,), is_warning=True),), section="Left out")


def _parts(entry: Entry, title: str, measure: Measure, domain: tuple[float, float] | None) -> Iterator[Part]:
    """Yield the parts of a verdict in the order of the page."""
    details, estimate = entry.get("details") or {}, entry["estimate"]
    if estimate is not None and domain is not None and (entry["references"] or entry["units"]):
        yield from guarded("The references", lambda: [references_part(entry, title, measure, domain)])
    if details and measure.view in VIEWS:
        yield from guarded(measure.title, lambda: VIEWS[measure.view](details, title, measure))
    if details.get("groups"):
        yield from guarded("The groups", lambda: [groups_part(details, measure)])
    if details.get("quirks") or "sound" in details:
        yield from guarded("The protocol", lambda: [protocol_part(details, (estimate or {}).get("value"))])


def title_of(measure: Measure, population: str | None, dataset: str, over: str | None = None, /) -> str:
    """Return what was measured, of whom."""
    return _begun(subject(measure, population, dataset, over=over))


def _begun(words: str) -> str:
    """Return words as the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def _verdict_title(entry: Entry) -> str:
    dataset = entry.get("dataset")
    if not dataset:
        # A requirement on a test's own estimates has no words but the test's.
        test = str(entry["nodeid"]).rpartition("::")[2].partition("[")[0]
        return f"{test}: {entry.get('key', '')}"
    measure = measure_of(entry)
    over = gained_over(entry.get("settings") or {})
    return title_of(measure, entry.get("population"), str(dataset.get("name", "")), over)


def _facts(estimate: Entry | None, measure: Measure, masses: Sequence[float]) -> Iterator[str]:
    if estimate is None:
        return
    n, n_clusters = estimate["n"], estimate["n_clusters"]
    units = f"{n:,} {measure.unit.of(n)}"
    if (estimate.get("how") or {}).get("kind") in MAY_COUNT_PEOPLE:
        # Over queries and jurors, of whom the number of clusters is that of the fewer.
        yield f"{units} x {n_clusters:,} {measure.people.of(n_clusters)}" if n_clusters < n else units
    else:
        yield f"{units} in {n_clusters:,} {CLUSTERS.of(n_clusters)}"
    if estimate.get("standard_error") is not None:
        yield f"standard error {estimate['standard_error']:.3f}"
    if estimate.get("method"):
        yield f"interval: {estimate['method']}"
    if masses:
        yield f"option mass {sum(masses) / len(masses):.2f} (lowest {min(masses):.2f})"


def _witness(entry: Entry) -> WitnessView | None:
    """Return the witness with its value, or with its change where that is what broke the promise."""
    witness = entry["witness"]
    if not witness:
        return None
    value = witness.get("value")
    words = "without a value"
    if value is not None:
        is_change = any(unit["id"] == witness["id"] and unit.get("change") == value for unit in entry["units"])
        words = f"changed by {value:+.3f}" if is_change else f"{value:z.3f}"
    found = next((unit for unit in entry["units"] if unit["id"] == witness["id"]), None)
    return WitnessView(
        str(witness["id"]), str(witness.get("text") or ""), words, _said(found or {}, entry), found is not None
    )


def _said(unit: Entry, entry: Entry) -> str:
    """Return the option on which the model and people differ most, with both shares; empty where they are not known."""
    ours, theirs = unit.get("model_probabilities") or (), unit.get("reference_probabilities") or ()
    options = unit.get("options") or ()
    if not len(ours) == len(theirs) == len(options) > 0:
        return ""
    most = max(range(len(options)), key=lambda place: abs(ours[place] - theirs[place]))
    people = unit.get("population") or entry.get("population") or "people"
    return f"model {100 * ours[most]:.0f} % “{options[most]}”, {people} {100 * theirs[most]:.0f} %"


def _origins(entry: Entry) -> Table:
    rows = [texts("test", entry["nodeid"])]
    for kind in ("model", "dataset", "settings", "baseline"):
        for name, value in (entry.get(kind) or {}).items():
            rows.append(
                texts(f"{kind}: {name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            )
    return Table("Model, data and settings", (Ours("name"), Ours("value")), tuple(rows))
