"""The forecast of a run: the work that it would do, and its time by the speed that earlier runs had."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_pluralism.core.errors import ModelError, PluralismError
from pytest_pluralism.core.records import FullAnswerPrompt, Prompt
from pytest_pluralism.evaluation.asking.engine import WORKS, Measured, Readings, cells_of
from pytest_pluralism.evaluation.asking.rounds import ROLES, Evaluation
from pytest_pluralism.models.address import parse_address
from pytest_pluralism.models.answers.kinds import read_by
from pytest_pluralism.models.answers.store import AnswerStore
from pytest_pluralism.models.backends import backend_of
from pytest_pluralism.models.lazy import LazyModel
from pytest_pluralism.models.measured import MeasuredFile, threads_offered
from pytest_pluralism.models.prompts import render_prompt
from pytest_pluralism.models.protocol import ModelIdentity
from pytest_pluralism.models.specification import parse_model_spec
from pytest_pluralism.models.versions import package_version
from pytest_pluralism.run.items import model_id

if TYPE_CHECKING:
    from pytest_pluralism.core.records.plain import JsonFields
    from pytest_pluralism.evaluation.asking.rounds import Identified
    from pytest_pluralism.models.protocol import LanguageModel

__all__ = ["Forecast", "WorkForecast", "forecast", "forecast_lines", "forecast_of", "remember_speed"]

#: Shorter work than this says little about speed, in seconds.
LEAST_SECONDS = 0.5

#: The words for the results of each work, one and several.
WORDS = {
    "answers": ("prompt", "prompts"),
    "full_answers": ("prompt with whole answers", "prompts with whole answers"),
    "responses": ("text", "texts"),
    "entailment": ("pair of texts", "pairs of texts"),
    "rewards": ("reward", "rewards"),
    "objectives": ("function", "functions"),
    "similarities": ("pair of texts", "pairs of texts"),
}


@dataclass
class WorkForecast:
    """The work of one kind that one model would do, in the first round of every gate.

    ``stored`` is ``None`` where only loading tells which model it is.
    ``tokens`` are those of the prompts that would be computed, ``shared`` how many of them a shared beginning saves.
    """

    work: str
    asked: int = 0
    distinct: int = 0
    stored: int | None = None
    tokens: int | None = None
    shared: int = 0
    seconds: float | None = None
    peak_bytes: int | None = None


@dataclass
class Forecast:
    """The work that one model would do; ``later`` is the maximum of what depends on answers."""

    name: str
    gates: int
    works: list[WorkForecast] = field(default_factory=list)
    later: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def forecast_of(
    spec: str, evaluations: Sequence[Evaluation], load: Callable[[str], LanguageModel], store: AnswerStore | None, /
) -> Forecast:
    """Return what the gates of one model would ask of it; the model is named by its files and not loaded.

    Parameters
    ----------
    spec : str
        The model.
    evaluations : sequence of Evaluation
        One a gate.
    load : callable
        Returns the model of a spec, which loads its network later.
    store : AnswerStore or None
        The answers that are there.
    """
    model = None
    notes = []
    with contextlib.suppress(PluralismError):
        if backend_of(parse_model_spec(spec).kind).in_files:
            try:
                model = load(spec)
            except PluralismError as error:
                notes.append(f"ERROR {error}")
    lazy = model if isinstance(model, LazyModel) and not model.is_loaded else None
    try:
        one = forecast(model_id(spec), evaluations, lazy, store)
    except PluralismError as error:
        one = Forecast(model_id(spec), len(evaluations), notes=[f"ERROR {error}"])
    one.notes += notes
    with contextlib.suppress(PluralismError):
        if parse_model_spec(spec).kind == "endpoint":
            one.notes.append(_served_words(spec, evaluations))
    if model is not None:
        model.close()
    return one


def forecast(
    name: str, evaluations: Sequence[Evaluation], model: LazyModel | None, store: AnswerStore | None, /
) -> Forecast:
    """Return what the gates of one language model would ask.

    Parameters
    ----------
    name : str
        The model.
    evaluations : sequence of Evaluation
        One a gate.
    model : LazyModel or None
        The model, not loaded; ``None`` where only loading tells which one it is.
    store : AnswerStore or None
        The answers that are there.
    """
    result = Forecast(name, len(evaluations))
    cells: dict[str, list[Any]] = {}
    for evaluation in evaluations:
        for work, most in getattr(evaluation, "later", dict)().items():
            result.later[work] = result.later.get(work, 0) + most
        # A question that cannot be asked is the error of its test.
        with contextlib.suppress(PluralismError):
            first = next(evaluation.rounds())
            cells.setdefault(first.work, []).extend(cell for row in cells_of(first) for cell in row)
    for work, wanted in cells.items():
        distinct = list(dict.fromkeys(wanted))
        one = WorkForecast(work, len(wanted), len(distinct))
        result.works.append(one)
        if model is None or ROLES[work] != "language_model":
            continue
        known: Mapping[Any, Any] = {}
        if store is not None:
            # A marker that cannot be read is its test's error.
            with contextlib.suppress(ModelError):
                readings = Readings().of(model, distinct, store)
                known = WORKS[work].lookup(store, model.identity, distinct, readings=readings)
        one.stored = len(known)
        missing = [cell for cell in distinct if cell not in known]
        if missing:
            _count_tokens(one, model, missing, result.notes)
            _tell_time(one, model.identity, len(missing))
    return result


def _served_words(spec: str, evaluations: Sequence[Evaluation]) -> str:
    """Return about how many tokens the first round of every gate sends to a served model, and their price."""
    address = parse_address(spec, spec.strip().partition(":")[2])
    texts: dict[Prompt, int] = {}
    for evaluation in evaluations:
        # A question that cannot be asked is the error of its test.
        with contextlib.suppress(PluralismError):
            for row in cells_of(next(evaluation.rounds())):
                for cell in row:
                    read = read_by(cell)
                    prompt = read.prompt if isinstance(read, FullAnswerPrompt) else read
                    if isinstance(prompt, Prompt):
                        raw = replace(prompt, template="auto") if prompt.template == "chat" else prompt
                        texts[prompt] = len(render_prompt(raw, chat=None))
    n_tokens = sum(texts.values()) // 4
    price = f", at the given prices about {n_tokens * address.prices[0] / 1e6:.2f}" if address.prices else ""
    told = f"served: {len(texts):,} prompts have about {n_tokens:,} tokens (of 4 characters){price}"
    return f"{told}, each read once or twice; what is stored is not asked again"


def remember_speed(model: Identified, measured: Measured, /) -> None:
    """Keep how fast a model was, for the plans of later runs."""
    if measured.seconds < LEAST_SECONDS:
        return
    content: JsonFields = {"cells": len(measured.cells), "seconds": measured.seconds, "peak_bytes": _peak_bytes()}
    if measured.work == "answers" and hasattr(model, "token_ids"):
        with contextlib.suppress(PluralismError):
            rows = [model.token_ids(prompt) for prompt in measured.cells]
            tokens, shared = _tokens(rows, measured.identity.device)
            content["tokens"] = tokens - shared
    _file(measured.identity, measured.work).write(content)


def forecast_lines(forecasts: Sequence[Forecast], /) -> list[str]:
    """Return forecasts as lines of text."""
    lines = []
    for one in forecasts:
        lines.append(f"{one.name}: {_many(one.gates, 'gate')}")
        lines += [f"  {line}" for work in one.works for line in _work_lines(work)]
        lines += [f"  then up to {_words(most, work)}, which depend on the answers" for work, most in one.later.items()]
        lines += [f"  {note}" for note in dict.fromkeys(one.notes)]
    return lines


def _work_lines(work: WorkForecast) -> Iterator[str]:
    stored = "what is stored is not known before the model is loaded"
    if work.stored is not None:
        stored = f"{work.stored:,} stored, {work.distinct - work.stored:,} to compute"
    yield f"{_words(work.asked, work.work)} asked, {work.distinct:,} distinct, {stored}"
    if work.stored == work.distinct:
        return
    if work.tokens is not None:
        yield (
            f"{work.tokens:,} tokens, of which {work.shared:,} are shared beginnings: "
            f"{work.tokens - work.shared:,} to compute"
        )
    if work.stored is None or work.seconds is None:
        yield "time and memory unknown: nothing measured yet"
    else:
        peak = f"; at most {work.peak_bytes / 2**30:.1f} GiB of memory" if work.peak_bytes else ""
        yield f"about {_duration(work.seconds)}{peak}, as in an earlier run"


def _count_tokens(one: WorkForecast, model: LazyModel, missing: Sequence[Any], notes: list[str]) -> None:
    try:
        if one.work == "full_answers":
            rows = [row for asked in missing for row in model.full_answer_ids(asked)]
        elif one.work in {"answers", "responses"}:
            rows = [model.token_ids(asked if one.work == "answers" else asked[0]) for asked in missing]
        else:
            return
    except PluralismError as error:
        notes.append(f"tokens unknown: {error}")
        return
    if rows:
        one.tokens, one.shared = _tokens(rows, model.identity.device)


def _tokens(rows: Sequence[tuple[int, ...]], device: str) -> tuple[int, int]:
    """Return how many tokens some prompts have, and how many of them the tree of shared beginnings saves."""
    from pytest_pluralism.models.local.prefixes import least_saving, plan_prefixes

    computed = 0
    distinct = list(dict.fromkeys(rows))
    stack = [(plan_prefixes(distinct, minimum_saving=least_saving(device)), 0)]
    while stack:
        node, above = stack.pop()
        computed += node.length - above + sum(len(distinct[row]) - node.length for row in node.rows)
        stack += [(child, node.length) for child in node.children]
    total = sum(map(len, rows))
    return total, total - computed


def _tell_time(one: WorkForecast, identity: ModelIdentity, missing: int) -> None:
    content, _ = _file(identity, one.work).read()
    try:
        if content is None or not content["seconds"] > 0 or not content["cells"] > 0:
            return
        share = missing / content["cells"]
        if one.tokens is not None and one.work == "answers" and content.get("tokens"):
            share = (one.tokens - one.shared) / content["tokens"]
        one.seconds = share * content["seconds"]
        one.peak_bytes = int(content["peak_bytes"])
    except (TypeError, KeyError, ValueError):
        return


def _file(identity: ModelIdentity, work: str) -> MeasuredFile:
    return MeasuredFile(
        "speed",
        {
            "model": identity.sha256,
            "device": identity.device,
            "work": work,
            "threads": threads_offered(),
            "torch": package_version("torch"),
        },
    )


def _peak_bytes() -> int:
    """Return the most memory that this process has had, on its device or off it."""
    try:
        import resource
    except ImportError:
        return 0
    # Kilobytes on Linux, bytes on a Mac.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    torch = sys.modules.get("torch")
    used: Callable[[], int] | None = getattr(getattr(torch, "cuda", None), "max_memory_allocated", None)
    return max(peak, int(used())) if used is not None and torch is not None and torch.cuda.is_available() else peak


def _words(number: int, work: str) -> str:
    one, several = WORDS[work]
    return f"{number:,} {one if number == 1 else several}"


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
