"""Plan the gates of the marker ``jury_welfare``: one for each group and each aversion that is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError, invalid_parameter, unknown_name
from pytest_pluralism.core.metrics.sparse_welfare import NEEDS_GROUPS, WelfareRule, query_welfare, refuse_negative
from pytest_pluralism.core.records import GenerationSettings
from pytest_pluralism.core.records.measures import Measure, Noun, Term
from pytest_pluralism.core.words import QUERIES
from pytest_pluralism.datasets.panels.loading import EMBEDDED_PANELS, SOURCES, load_panel
from pytest_pluralism.datasets.panels.records import Panel
from pytest_pluralism.evaluation.jury.beside import BesideSystem
from pytest_pluralism.evaluation.jury.evaluations import (
    AgainstReference,
    ChoiceEvaluation,
    JurySettings,
    WrittenEvaluation,
    choice_survey,
    jury_table,
)
from pytest_pluralism.evaluation.jury.jurors import (
    CallableJurors,
    EntailmentJurors,
    JurorFunction,
    RecordedJurors,
    ValueModelJurors,
    scale_range,
)
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.surveys.asking import AskSettings, requests

__all__ = ["DATASET", "EXAMPLE", "JURORS", "KEYWORDS", "MEASURE", "panel_for", "plan"]

MEASURE = Measure(
    "jury_welfare",
    "higher",
    "jury welfare",
    "how well the responses of a model serve a jury of different people, those who are served worst included",
    # 2: queries with too few votes are left out, and what jurors add is their influence.
    definition=2,
    unit=QUERIES,
    data="panel",
    people=Noun("juror", "jurors"),
    towards="for",
    references=(
        Term("candidate", "this model"),
        Term("reference_model", "the reference model"),
        Term("shuffle", "shuffled"),
        Term("uniform", "uniform"),
        Term("majority", "majority"),
        Term("refusal", "a refusal", brief=False),
        Term("best", "best possible"),
        Term("worst", "worst possible"),
    ),
    beside="uniform",
    comparisons=(Term("uniform", "uniform"), Term("majority", "majority")),
    compares_systems=True,
    others=Noun("group", "groups"),
    has_nearest=False,
    columns=(
        Term("change", "Change"),
        Term("option_mass", "Option mass"),
        # How many of the jurors judged the responses.
        Term("n_respondents", "Jurors"),
    ),
    facts=(Term("top_token", "likeliest token"), Term("best_response", "best response")),
    figures=(
        Term("gini", "Gini coefficient"),
        Term("worst_decile", "mean of the worst-off tenth"),
        Term("agreement", "Krippendorff's alpha of the votes"),
    ),
    view="jury",
)

#: Keywords that say how the model is asked to choose; each overrides the setting of the same name.
ASKING = ("template", "option_order", "repetitions", "examples", "seed")

#: Keywords of what is measured.
RULE = ("alpha", "satisfied_above", "worst_share", "between_alpha", "composition", "n_juries")

#: Keywords of what is measured by groups.
GROUPS = ("by", "population", "between_alpha", "composition")

#: Keywords of the panel.
PANEL = ("scale", "columns", "values", "leave_out_empty")

#: Keywords of responses that the model writes.
WRITING = ("n_draws", "max_new_tokens", "temperature", "system")

KEYWORDS = (*RULE, "by", "population", "jurors", "jury", "over", "least_votes", *PANEL, *WRITING, *ASKING)

#: The references that the welfare must exceed, by name.
OVER = "reference_model"

DEFAULT_JURIES = 200
DEFAULT_LEVEL = 0.95

DATASET = "the name or file of a panel"
EXAMPLE = "example_town"

#: The word for every aversion to inequality, and those at which it is looked at. Beyond the last, and at infinity, what
#: is measured is a handful of jurors.
EVERY = "all"
EVERY_ALPHA = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0)

#: The words for juror functions.
JURORS = ("recorded", "choice", "entailment", "fitted", "rewards")


def _source(panel: Panel) -> dict[str, str]:
    """Return where the utilities of a panel come from."""
    return {"name": panel.name, "sha256": panel.sha256, "source": panel.source, "scale": panel.scale.mapping}


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate for each group and aversion.

    Raises
    ------
    PluralismError
        The panel, the rule, the groups or the jurors are wrong.
    """
    over = _over(planning)
    every = _says(planning.keywords.get("alpha"), EVERY)
    rules = _rules(planning)
    panel = panel_for(planning)
    by = planning.keywords.get("by")
    _check_groups(planning, panel, by)
    groups = _groups(planning, panel, by)
    composition = _composition(planning, panel, by)
    asking = AskSettings(**{name: planning.choose(name) for name in ASKING})
    jury = planning.keywords.get("jury", "sample")
    if not _says(jury, "sample", "whole"):
        raise invalid_parameter("jury", "jury_welfare", "'sample' or 'whole'", repr(jury)[:60])
    plans: list[PlannedGate] = []
    for rule in rules:
        for group in groups:
            settings = JurySettings(
                rule=rule,
                by=by,
                group=group,
                whole_jury=jury == "whole",
                composition=composition,
                n_juries=planning.keywords.get("n_juries", DEFAULT_JURIES),
                least_votes=planning.keywords.get("least_votes"),
                asking=asking,
                seed=int(planning.choose("seed")),
                confidence_level=_level(planning),
            )
            evaluation, made, inside = _evaluation(planning, panel, settings)
            if inside is not None and not plans:
                _bounds(planning, panel, inside, rule, gain=over is not None)
            title = settings.rule_words
            wanted = planning.keywords.get("better_than")
            if isinstance(wanted, str) and over is None:
                evaluation = BesideSystem(evaluation, planning.measure.reference_key(wanted))
            if over is not None:
                evaluation = AgainstReference(evaluation, EVERY_ALPHA if every else ())
                title = "least gain in welfare" if every else f"gain in {title}"
            # Measures other than the usual one are told apart, so that one test may promise several.
            others = any(word in planning.keywords for word in RULE if word not in ("alpha", "n_juries"))
            which = title if others else "every alpha" if every else ""
            if not which and (len(rules) > 1 or over is not None):
                which = f"alpha {rule.alpha:g}"
            planned = planning.planned(
                evaluation,
                source=_source(panel),
                settings={
                    **settings.as_json(),
                    "jurors": made,
                    **({"over": over} if over is not None else {}),
                    **({"rule": f"{title} over alpha {', '.join(f'{a:g}' for a in EVERY_ALPHA)}"} if every else {}),
                },
                population=_named(group, which, gain=over is not None),
            )
            entry = planned.measure if others else dataclasses.replace(planned.measure, title=title)
            if over is not None:
                entry = dataclasses.replace(entry, kind="difference")
            plans.append(dataclasses.replace(planned, measure=entry))
    return plans


def _named(group: str | None, which: str, /, *, gain: bool) -> str | None:
    """Return the words for a jury and the measure among those of one test; nothing for everyone and the usual one."""
    parts = [group, which or None, "over the reference model" if gain else None]
    if group is None and any(parts):
        parts[0] = "everyone"
    return ", ".join(part for part in parts if part is not None) or None


def _level(planning: Planning) -> float:
    """Return the level of the bands; what is wrong with a promise is said where that is checked."""
    level = planning.confidence_level
    return level if isinstance(level, float) and 0.0 < level < 1.0 else DEFAULT_LEVEL


def _over(planning: Planning) -> str | None:
    """Return what the welfare must exceed, if that is named, and refuse what then has no meaning."""
    over: str | None = planning.keywords.get("over")
    if over is not None and not _says(over, OVER):
        raise invalid_parameter("over", "jury_welfare", repr(OVER), repr(over)[:60])
    if not _says(planning.keywords.get("alpha"), EVERY):
        return over
    if over is None:
        raise InvalidParameterError(
            f"alpha={EVERY!r} compares two models at every aversion to inequality. Add over={OVER!r}; or promise the "
            "welfare at the largest alpha that matters to you: it never rises with alpha."
        )
    if "between_alpha" in planning.keywords:
        raise InvalidParameterError(f"'between_alpha' has no part in alpha={EVERY!r}. Leave one of the two out.")
    if planning.gate is not None and (planning.gate.at_least is None or planning.gate.needs_baseline):
        raise InvalidParameterError(
            f"alpha={EVERY!r} promises at_least alone: the gain at every aversion. Against a baseline, name a list "
            "(alpha=[0, 1, 5], max_decrease=0.02): all must pass."
        )
    return over


def _bounds(planning: Planning, panel: Panel, inside: tuple[float, float], rule: WelfareRule, *, gain: bool) -> None:
    """Note a promise that no response could keep, or that every one keeps."""
    lowest, highest = inside
    words = f"utilities of {panel.name} by these jurors"
    above = rule.satisfied_above
    if above is not None:
        if not lowest <= above < highest:
            planning.problems.append(
                f"satisfied_above={above!r} says nothing: {words} lie in [{lowest:g}, {highest:g}] "
                f"({panel.scale.mapping})."
            )
        lowest, highest, words = 0.0, 1.0, "shares of jurors"
    if gain:
        lowest, highest, words = lowest - highest, highest - lowest, f"gains in {words}"
    if planning.gate is None or planning.gate.at_least is None:
        return
    bound = planning.gate.at_least
    if bound > highest:
        planning.problems.append(
            f"at_least={bound!r} cannot be reached: {words} end at {highest:g} ({panel.scale.mapping})."
        )
    elif bound < lowest:
        planning.problems.append(
            f"at_least={bound!r} says nothing: {words} begin at {lowest:g} ({panel.scale.mapping})."
        )


def _rules(planning: Planning) -> list[WelfareRule]:
    """Return a rule for each aversion that is named; one when none is."""
    keywords = planning.keywords
    alphas = _plain(keywords.get("alpha", 1.0))
    several = isinstance(alphas, (list, tuple))
    wrong = [one for one in (alphas if several else [alphas]) if isinstance(one, bool) or not _is_number(one)]
    if _says(alphas, EVERY):
        # A welfare that can be computed at the largest aversion can be at the others.
        alphas, several = EVERY_ALPHA[-1], False
    elif wrong or (several and (not alphas or len(set(alphas)) < len(alphas))):
        must = f"a float in [0, inf], a list of different ones, or {EVERY!r}"
        raise invalid_parameter("alpha", "jury_welfare", must, repr(alphas)[:60])
    kept = {name: keywords[name] for name in ("satisfied_above", "worst_share", "between_alpha") if name in keywords}
    if "alpha" in keywords and ("satisfied_above" in kept or "worst_share" in kept or "composition" in keywords):
        other = next(iter(kept), "composition")
        raise InvalidParameterError(f"'alpha' has no part in {other!r}. Leave one of the two out, or write two tests.")
    if "composition" in keywords and kept:
        raise InvalidParameterError(f"'composition' and {next(iter(kept))!r} are different measures. Choose one.")
    if "n_juries" in keywords and "composition" not in keywords:
        raise InvalidParameterError(
            "'n_juries' says how many juries of a 'composition' are drawn. Name a composition, or leave it out."
        )
    return [WelfareRule(alpha=alpha, **kept) for alpha in (alphas if several else (alphas,))]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating))


def _plain(value: object) -> Any:
    """Return an array as a list, and everything else as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value


def _says(value: object, /, *words: str) -> bool:
    """Return whether a keyword is one of some words; an array, which compares with each, is not."""
    return isinstance(value, str) and value in words


def panel_for(planning: Planning, /) -> Panel:
    """Return the panel of a marker: of a hook, of a file beside the test, or by its name."""
    name = planning.dataset
    if not isinstance(name, str) or not name:
        raise invalid_parameter("dataset", planning.measure.name, "the name or file of a panel, a str", repr(name))
    keywords = {key: planning.keywords[key] for key in PANEL if key in planning.keywords}
    brought = planning.brought(Panel)
    if brought is not None:
        if keywords:
            raise InvalidParameterError(
                f"{min(keywords)} says how a file is read, and the panel {name!r} comes from a hook. Leave it out."
            )
        return brought
    source, colon, rest = name.partition(":")
    if colon and source in SOURCES and rest.strip():
        # A folder is found by a file that it must hold.
        votes = planning.find_file(f"{rest}/participants-votes.csv")
        found = votes.parent if votes.is_file() else planning.find_file(rest)
        name = f"{source}:{found}"
    if name in EMBEDDED_PANELS or colon:
        return load_panel(name, **keywords)
    path = planning.find_file(name)
    return load_panel(path if Path(path).exists() else name, **keywords)


def _groups(planning: Planning, panel: Panel, by: str | None) -> list[str | None]:
    wanted = _plain(planning.keywords.get("population"))
    if wanted is None:
        if by is not None:
            panel.groups(by)
        return [None]
    known = list(dict.fromkeys(panel.groups(by) or ()))
    if not known:
        raise InvalidParameterError(
            panel.without_group()
            or f"Panel {panel.name} knows no groups, so population={wanted!r} names nobody. Give jurors a 'group', or "
            "leave 'population' out."
        )
    if _says(wanted, "all"):
        return list(known)
    names = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise invalid_parameter("population", "jury_welfare", "a group, a list of groups or 'all'", repr(wanted)[:60])
    for name in names:
        if name not in known:
            raise InvalidParameterError(unknown_name(f"group of panel {panel.name}", name, known))
    return list(dict.fromkeys(names))


def _check_groups(planning: Planning, panel: Panel, by: str | None) -> None:
    """Refuse a measure of groups that are single jurors: nothing is known of others like them.

    Raises
    ------
    InvalidParameterError
        If groups are asked for, and there are not more jurors than groups.
    """
    if all(planning.keywords.get(word) is None for word in GROUPS) or not panel.attributes:
        return
    # Without a usable kind the panel names none by itself.
    groups = panel.groups(by) or panel.groups(panel.attributes[0]) or ()
    if len(set(groups)) >= len(groups):
        raise InvalidParameterError(
            f"Panel {panel.name} has {len(groups)} jurors in {len(set(groups))} groups, so that every group is one "
            f"juror. Name a coarser kind with by= (there are {', '.join(map(repr, panel.attributes))}), or leave "
            "groups out."
        )


def _composition(planning: Planning, panel: Panel, by: str | None) -> Mapping[str, int] | None:
    composition = planning.keywords.get("composition")
    if composition is None:
        return None
    if not isinstance(composition, Mapping) or not composition:
        raise invalid_parameter("composition", "jury_welfare", "a mapping from group to seats", repr(composition)[:60])
    groups = list(panel.groups(by) or ())
    for name, seats in composition.items():
        there = groups.count(name)
        if isinstance(seats, bool) or not isinstance(seats, (int, np.integer)) or not 1 <= seats <= there:
            must = f"seats in [1, {there}] for {name!r}: so many jurors of this group are there"
            if not there:
                must = f"made of groups of the panel ({', '.join(dict.fromkeys(groups)) or 'it has none'})"
            raise invalid_parameter("composition", "jury_welfare", must, f"{name!r}: {seats!r}"[:60])
    return {name: int(seats) for name, seats in composition.items()}


def _evaluation(
    planning: Planning, panel: Panel, settings: JurySettings
) -> tuple[Any, str, tuple[float, float] | None]:
    """Return the evaluation, its jurors in a word, and between what their utilities lie, if that is known."""
    chosen = planning.keywords.get("jurors", "auto")
    if _says(chosen, "auto"):
        chosen = _usual(panel)
    writing = [name for name in WRITING if name in planning.keywords]
    if _says(chosen, "choice"):
        if writing:
            raise InvalidParameterError(
                f"{writing[0]!r} says how a model writes, but here it chooses among recorded responses. Leave it out, "
                "or name jurors= that judge new responses."
            )
        # Errors in the request are found now, not when the model has been loaded.
        survey = choice_survey(panel)
        requests(survey, settings.asking)
        kept = panel.select(queries=[question.question_id for question in survey.questions])
        even = [1.0 / len(query.responses) for query in kept.queries for _ in query.responses]
        if settings.composition is None:
            query_welfare(jury_table(kept, even, by=settings.by), settings.rule)
        made = "recorded votes on the response that the model chooses"
        return ChoiceEvaluation(panel, settings), made, scale_range(panel)
    function = _function(chosen, settings.by)
    # Responses that cannot be judged are found now, not when the model has written them.
    getattr(function, "check", lambda panel: None)(panel)
    if isinstance(function, RecordedJurors):
        refuse_negative(jury_table(panel, np.ones(len(panel.responses)), by=settings.by), settings.rule)
    if settings.rule.between_alpha is not None and len(set(panel.groups(settings.by) or ())) < 2:
        raise InvalidParameterError(NEEDS_GROUPS)
    generation = GenerationSettings(
        max_new_tokens=planning.keywords.get("max_new_tokens", 128),
        temperature=planning.keywords.get("temperature", 0.0 if planning.keywords.get("n_draws", 1) == 1 else 1.0),
        seed=settings.seed,
    )
    n_draws = planning.keywords.get("n_draws", 1)
    if isinstance(n_draws, bool) or not isinstance(n_draws, int) or not 1 <= n_draws <= 1000:
        raise invalid_parameter("n_draws", "jury_welfare", "an integer in [1, 1000]", repr(n_draws))
    system = planning.keywords.get("system", "")
    if not isinstance(system, str):
        raise invalid_parameter("system", "jury_welfare", "a str", repr(system))
    evaluation = WrittenEvaluation(panel, settings, function, generation, n_draws, system)
    made = f"{function.name}; {n_draws} response(s) of {generation.max_new_tokens} tokens at {generation.temperature:g}"
    inside = getattr(function, "utility_range", None)
    return evaluation, made + (f"; system {system!r}" if system else ""), None if inside is None else inside(panel)


def _usual(panel: Panel) -> str:
    """Choose among what was recorded where that can be done, else read statements; without any, say what is lacking."""
    try:
        choice_survey(panel)
    except PluralismError:
        return "entailment" if any(juror.statement.strip() for juror in panel.jurors) else "choice"
    return "choice"


def _function(chosen: Any, by: str | None) -> JurorFunction:
    if _says(chosen, "recorded"):
        return RecordedJurors()
    if _says(chosen, "entailment"):
        return EntailmentJurors()
    if _says(chosen, "fitted"):
        from pytest_pluralism.evaluation.jury.fitted import FittedJurors

        return FittedJurors(by=by)
    if _says(chosen, "rewards"):
        return ValueModelJurors(by)
    if isinstance(chosen, str):
        raise InvalidParameterError(unknown_name("kind of jurors", chosen, JURORS))
    if hasattr(chosen, "rounds") and hasattr(chosen, "name"):
        return chosen  # type: ignore[no-any-return]
    if callable(chosen):
        return CallableJurors(chosen)
    must = "one of " + ", ".join(map(repr, JURORS)) + ", a function of (juror, query, response), or a JurorFunction"
    raise invalid_parameter("jurors", "jury_welfare", must, repr(chosen)[:60])
