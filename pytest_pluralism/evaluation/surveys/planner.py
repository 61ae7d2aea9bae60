"""Plans the gates of the marker ``js_distance``: one a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError, invalid_parameter
from pytest_pluralism.core.parameters import whole_number
from pytest_pluralism.core.records import Survey
from pytest_pluralism.core.records.measures import POPULATION, Measure, Noun, Term
from pytest_pluralism.core.words import ANSWER_FACTS, POPULATIONS, UNIT_COLUMNS
from pytest_pluralism.datasets.surveys.answer_keys import AnswerKey, read_answer_key
from pytest_pluralism.datasets.surveys.refusals import check_refusal_policy
from pytest_pluralism.evaluation.measures.planning import PlannedGate, Planning
from pytest_pluralism.evaluation.surveys.asking import FREE_TEXT, OF_FREE_TEXT, AskSettings, requests
from pytest_pluralism.evaluation.surveys.distance import DistributionalEvaluation
from pytest_pluralism.evaluation.surveys.one_question import OneQuestionEvaluation
from pytest_pluralism.evaluation.surveys.published import FIXED
from pytest_pluralism.evaluation.surveys.whole_answers import whole_answer_requests

__all__ = [
    "ASKING",
    "DATASET",
    "ENTROPIES",
    "EXAMPLE",
    "KEYWORDS",
    "MEASURE",
    "OF_WORDS",
    "asked_survey",
    "key_of",
    "plan",
    "source_of",
]

#: How sure the model and the people are, in bits.
ENTROPIES = (Term("model_entropy", "Entropy, model"), Term("reference_entropy", "Entropy, people"))

MEASURE = Measure(
    "js_distance",
    "lower",
    "JS distance",
    "Jensen-Shannon distance (base 2, from 0 to 1) between the answers of a model and of a population",
    lowest=0.0,
    highest=1.0,
    everybody="every population",
    references=(
        Term("shuffle", "shuffled"),
        Term("uniform", "uniform"),
        Term("majority", "majority"),
        Term("sampling_floor", "human sampling floor"),
        Term("uncorrected", "uncorrected"),
        Term("as_read", "as read"),
        Term("letters", "asked for letters"),
        Term("apart", "apart from letters"),
        Term("gap", "free text less letters"),
    ),
    beside="uniform",
    comparisons=(Term("uniform", "uniform"), Term("shuffle", "shuffled"), Term("majority", "majority")),
    compares_people=True,
    columns=(*ENTROPIES, *UNIT_COLUMNS),
    facts=ANSWER_FACTS,
    # 2: corrected for the sample of people.
    definition=2,
)

#: Keywords that say how the model is asked; each overrides the setting of the same name.
ASKING = ("protocol", "template", "option_order", "repetitions", "examples", "seed", "scoring")

#: Keywords of answers in free text alone.
OF_WORDS = (*OF_FREE_TEXT, "answer_key")

KEYWORDS = ("population", "refusals", "seeds", "wordings", *ASKING, *OF_WORDS)

#: The most seeds that one question is asked under.
MOST_SEEDS = 1000

#: The units of one question that is asked in several ways.
ASKINGS = Noun("answer to a population", "answers to populations")

DATASET = "the name or file of a survey"
EXAMPLE = "gss"


def plan(planning: Planning, /) -> list[PlannedGate]:
    """Return one gate a population.

    Raises
    ------
    PluralismError
        The survey or the population is wrong, or a question cannot be asked.
    """
    survey, populations, asking, settings = asked_survey(planning)
    if asking is None:
        return []
    key = key_of(planning, asking)
    settings |= {} if key is None else {"answer_key_sha256": key.sha256}
    if planning.gate is not None and planning.gate.better_than is not None:
        planning.problems += _missing_reference(survey, populations, planning.measure, planning.gate.better_than)
    seeds, wordings = _ways_to_ask(planning, survey, populations, asking)
    if seeds > 1 or wordings:
        settings |= {"seeds": seeds, **({"wordings": list(wordings)} if wordings else {})}
        return [
            planning.planned(
                OneQuestionEvaluation(survey, asking, seeds, wordings),
                source=source_of(survey),
                settings=settings,
                measure=replace(planning.measure, unit=ASKINGS),
            )
        ]
    return [
        planning.planned(
            DistributionalEvaluation(survey, asking, population, key),
            source=source_of(survey),
            settings=settings,
            population=population,
            # Where nobody is named, every population is a unit.
            measure=planning.measure if population is not None else replace(planning.measure, unit=POPULATIONS),
            n_units=None if population is None else _asked(survey, population),
        )
        for population in populations
    ]


def _asked(survey: Survey, population: str) -> int:
    """Return how many questions a population was asked."""
    return sum(row.population == population for row in survey.distributions)


def asked_survey(planning: Planning, /) -> tuple[Survey, list[str | None], AskSettings | None, dict[str, object]]:
    """Return the survey of a marker, its populations, how it is asked, and that as JSON with what becomes of refusals.

    How it is asked is ``None`` where that is wrong, which is said among the problems. A question that cannot be asked
    is found now, not when the model has been loaded.
    """
    asking = _asking(planning)
    refusals = check_refusal_policy(planning.choose("refusals"), function=planning.measure.name)
    survey = planning.load_survey(planning.dataset, refusals)
    populations = _populations(survey, planning.keywords.get("population"))
    if asking is None:
        return survey, populations, None, {}
    if asking.scoring in ("letters", FREE_TEXT):
        requests(survey, asking.by_letter() if asking.scoring == FREE_TEXT else asking)
    else:
        whole_answer_requests(survey, (), repetitions=1, template=asking.template, seed=asking.seed)
    return (
        survey,
        populations,
        asking,
        {**asking.as_json(), "refusals": refusals if isinstance(refusals, str) else list(refusals)},
    )


def _ways_to_ask(
    planning: Planning, survey: Survey, populations: list[str | None], asking: AskSettings
) -> tuple[int, tuple[str, ...]]:
    """Return how many seeds a survey of one question is asked under, and its other wordings."""
    seeds, wordings = planning.keywords.get("seeds", 1), planning.keywords.get("wordings", ())
    seeds = whole_number(seeds, name="seeds", function=planning.measure.name, most=MOST_SEEDS)
    texts = (
        isinstance(wordings, (list, tuple))
        and all(isinstance(text, str) and text.strip() for text in wordings)
        and len({*wordings, survey.questions[0].text}) == len(wordings) + 1
    )
    if not texts:
        must = "a list of texts, each another one than the question of the survey"
        raise invalid_parameter("wordings", planning.measure.name, must, repr(wordings)[:80])
    if (seeds > 1 or wordings) and populations != [None]:
        raise InvalidParameterError(
            "seeds and wordings are for a survey of one question whose populations are the units. Leave them out: "
            "here each question is a unit of its own."
        )
    if (seeds > 1 or wordings) and (asking.scoring != "letters" or asking.protocol != "sound"):
        raise InvalidParameterError(
            f"seeds and wordings need protocol='sound' and scoring='letters'. Got {asking.protocol!r} and "
            f"{asking.scoring!r}."
        )
    return seeds, tuple(wordings)


def _missing_reference(survey: Survey, populations: list[str | None], measure: Measure, reference: str) -> list[str]:
    """Return why another population cannot be the reference of a promise; nothing where it can."""
    from pytest_pluralism.datasets import resolve_populations

    key = measure.reference_key(reference)
    if not key.startswith(POPULATION):
        return []
    if None in populations:
        why = "the units are the populations of one question, so that none of them can be the reference."
        return [f"better_than={reference!r}: {why} Name the population that is measured, or use 'uniform'."]
    other = key.removeprefix(POPULATION)
    if other not in survey.populations:
        # The same error as for the population that is measured, with the nearest names.
        resolve_populations(survey, [other])
    answered = {row.question_id for row in survey.distributions if row.population == other}
    problems = []
    for population in populations:
        if population == other:
            problems.append(f"better_than={reference!r} is the population that is measured. Name another one.")
            continue
        asked = {row.question_id for row in survey.distributions if row.population == population}
        if not asked <= answered:
            counts = f"{len(asked & answered)} of the {len(asked)} questions that {population} answered"
            problems.append(
                f"better_than={reference!r}: {other} answered {counts}. Name a population that answered all of them."
            )
    return problems


def key_of(planning: Planning, asking: AskSettings, /) -> AnswerKey | None:
    """Return the texts by which answers in free text are read: those of a file, or of the package.

    Raises
    ------
    PluralismError
        The file is wrong, or a keyword of free text stands beside another scoring.
    """
    if asking.scoring != FREE_TEXT:
        given = [name for name in OF_WORDS if name in planning.keywords]
        if given:
            raise InvalidParameterError(
                f"{given[0]}={planning.keywords[given[0]]!r} is for answers in free text. Use scoring='free_text', or "
                "leave it out."
            )
        return None
    name = planning.keywords.get("answer_key")
    if name is not None and (not isinstance(name, str) or not name):
        raise invalid_parameter("answer_key", planning.measure.name, "the name of a file, a str", repr(name))
    return read_answer_key(None if name is None else planning.find_file(name))


def source_of(survey: Survey, /) -> dict[str, object]:
    """Return what a report says of where a survey comes from."""
    return {"name": survey.name, "sha256": survey.sha256, "source": survey.source}


def _asking(planning: Planning) -> AskSettings | None:
    keywords, problems = planning.keywords, planning.problems
    chosen = {name: planning.choose(name) for name in ASKING}
    chosen |= {name: keywords[name] for name in OF_FREE_TEXT if name in keywords}
    protocols = ("sound", *FIXED)
    if chosen["protocol"] not in protocols:
        must = "one of " + ", ".join(repr(name) for name in protocols)
        problems.append(str(invalid_parameter("protocol", "the marker", must, repr(chosen["protocol"]))))
        return None
    fixed = FIXED.get(chosen["protocol"], {})
    problems += [
        f"{name}={keywords[name]!r} cannot be chosen under the protocol {chosen['protocol']!r}, which has {value!r}. "
        "Leave it out, or use protocol='sound'."
        for name, value in fixed.items()
        if keywords.get(name, value) != value
    ]
    if chosen["scoring"] != "letters" and keywords.get("option_order") == "cyclic":
        problems.append(
            f"option_order='cyclic' cannot be chosen with scoring={chosen['scoring']!r}: the options are not listed, "
            "so that they have no order. Leave it out, or use scoring='letters'."
        )
        return None
    try:
        return AskSettings(**chosen)
    except PluralismError as error:
        problems.append(str(error))
        return None


def _populations(survey: Survey, wanted: str | Sequence[str] | None) -> list[str | None]:
    """Return the populations to compare with: one verdict each; ``None`` makes them the units."""
    from pytest_pluralism.datasets import resolve_populations

    if wanted is None:
        if len(survey.questions) == 1 and len(survey.populations) > 1:
            return [None]
        wanted = survey.default_population
        if wanted is None and len(survey.populations) == 1:
            wanted = survey.populations[0]
        if wanted is None:
            raise InvalidParameterError(
                f"no population. {survey.name} has {len(survey.populations)}: "
                f"{', '.join(survey.populations[:6])}{', ...' if len(survey.populations) > 6 else ''}. "
                'Name one, a list of several, or population="all".'
            )
    return list(resolve_populations(survey, wanted))
