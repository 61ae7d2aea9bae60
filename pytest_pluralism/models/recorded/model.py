"""A model whose answers were recorded in a file: it answers what the file holds, and refuses the rest by name."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pytest_pluralism.core.errors import ModelError, NotRecordedError, nearest_names
from pytest_pluralism.core.records import (
    Answer,
    EntailmentPair,
    EntailmentScores,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    RequestName,
    Response,
    RewardRequest,
    sampled_answer,
)
from pytest_pluralism.models.endpoint.letters import named_label
from pytest_pluralism.models.endpoint.options import answer_of, read_options
from pytest_pluralism.models.endpoint.replies import NextToken
from pytest_pluralism.models.prompts import render_prompt
from pytest_pluralism.models.protocol import (
    ModelIdentity,
    Progress,
    Receive,
    ReceiveEntailments,
    ReceiveFullAnswers,
    ReceiveResponses,
    ReceiveRewards,
)
from pytest_pluralism.models.recorded.ids import messages_of, prompt_id, text_key
from pytest_pluralism.models.recorded.index import Recording
from pytest_pluralism.models.recorded.naming import named_recording
from pytest_pluralism.models.recorded.opening import file_digest, header_of
from pytest_pluralism.models.recorded.rows import Row, name_key

__all__ = ["RecordedModel", "load_recorded"]

AskedT = TypeVar("AskedT")
ResultT = TypeVar("ResultT")

#: Maximum number of requests without an answer that an error names.
MOST_NAMED = 5

#: The number format and the device of a recording that does not say them.
UNKNOWN_DTYPE, UNKNOWN_DEVICE = "recorded", "elsewhere"


def load_recorded(spec: str, /, **_options: object) -> RecordedModel:
    """Open a file of recorded answers as a model.

    Parameters
    ----------
    spec : str
        ``responses:FILE`` or ``responses:FILE#NAME``.
    **_options
        The options of models that are computed here, which a recording does not need.

    Raises
    ------
    ModelError
        The file, a row or its name is wrong.
    MissingExtraError
        A package that reads the file is not installed.
    """
    path, name = named_recording(spec)
    about = header_of(path)
    recording = Recording(path)
    identity = ModelIdentity(
        spec=spec,
        name=name,
        sha256=file_digest(path),
        dtype=about.get("dtype", UNKNOWN_DTYPE),
        device=about.get("device", UNKNOWN_DEVICE),
        architecture="recorded answers",
        parts={"revision": about["revision"]} if "revision" in about else {},
    )
    return RecordedModel(recording, identity)


class RecordedModel:
    """The recorded answers of one model.

    Parameters
    ----------
    recording : Recording
        The rows.
    identity : ModelIdentity
        The identity of the model that was recorded; its hash is that of the file.
    """

    #: True for a model whose answers need not be stored once more.
    is_recorded = True

    def __init__(self, recording: Recording, identity: ModelIdentity, /) -> None:
        self.recording, self.identity = recording, identity
        self._names: dict[object, dict[RequestName, None]] = {}
        self._unused: tuple[int, str] | None = None
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._contexts: dict[tuple[str, str], set[str]] = {}
        self._questions: dict[str, set[str]] = {}
        self._notes = [f"answers of {identity.name} are recorded: {len(recording):,} rows of {recording.path.name}"]
        if recording.note:
            self._notes.append(recording.note)
        if recording.left_out:
            self._notes.append(f"{recording.left_out:,} entries of {recording.path.name} hold no answer to a question")

    def close(self) -> None:
        """Close the file; rows that nobody asked for stay known."""
        if self._unused is None:
            self._unused = self.recording.unused()
        self.recording.close()

    def take_notes(self) -> list[str]:
        """Return what the run should say, once."""
        notes, self._notes = self._notes, []
        return notes

    def unused_note(self) -> str:
        """Return what is said of rows that nobody asked for; empty where there are none."""
        count, first = self._unused or self.recording.unused()
        if not count:
            return ""
        rows = f"{count:,} of {len(self.recording):,} rows of {self.recording.path.name}"
        return f"{rows} answer nothing that this run asked (first: {first})"

    def take_names(self, named: Iterable[tuple[object, RequestName]], /) -> None:
        """Learn how people call requests, so that rows are found by the ids of questions and queries."""
        for request, name in named:
            known = self._names.setdefault(request, {})
            if name not in known:
                known[name] = None
                self._requests[name.name, name.steering, name.context] += 1
            self._contexts.setdefault((name.name, name.steering), set()).add(name.context)
            self._questions.setdefault(name.name, set()).update({name.text} - {""})

    # ---------------------------------------------------------------------------------------------------- answering

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Return the recorded answer to each prompt.

        Raises
        ------
        ModelError
            A prompt has no row, or its row does not fit it.
        """
        return self._each(prompts, self._answer, receive, progress)

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        """Return the recorded likelihoods of whole answers to each prompt."""
        return self._each(prompts, self._scores, receive, progress)

    def generate(
        self,
        prompts: Sequence[Prompt],
        /,
        settings: GenerationSettings,
        *,
        n_draws: int = 1,
        progress: Progress | None = None,
        receive: ReceiveResponses | None = None,
    ) -> list[tuple[Response, ...]]:
        """Return the recorded texts after each prompt."""

        def drawn(prompt: Prompt) -> tuple[Response, ...] | None:
            return self._texts(prompt, settings, n_draws)

        found = self._each(prompts, drawn, None, progress)
        if receive is not None:
            pairs = zip(prompts, found, strict=True)
            receive([(prompt, one) for prompt, draws in pairs for one in draws])
        return found

    def entail(
        self,
        pairs: Sequence[EntailmentPair],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveEntailments | None = None,
    ) -> list[EntailmentScores]:
        """Return the recorded entailment of each pair."""
        return self._each(pairs, self._entailment, receive, progress)

    def reward(
        self,
        requests: Sequence[RewardRequest],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveRewards | None = None,
    ) -> list[float]:
        """Return the recorded reward of each response."""
        return self._each(requests, self._reward, receive, progress)

    def find(self, work: str, asked: Any, settings: GenerationSettings | None = None, n_draws: int = 1, /) -> Any:
        """Return the recorded result of one request; ``None`` where it has no row.

        Raises
        ------
        ModelError
            Its row does not fit it.
        """
        if work == "responses" and settings is not None:
            return self._texts(asked, settings, n_draws)
        finders: Mapping[str, Callable[[Any], Any]] = {
            "answers": self._answer,
            "full_answers": self._scores,
            "entailment": self._entailment,
            "rewards": self._reward,
        }
        return finders[work](asked)

    def _entailment(self, pair: EntailmentPair) -> EntailmentScores | None:
        row = self._one(self.recording.rows(f"id:{prompt_id(pair)}"), "entailment")
        if row is None:
            return None
        return EntailmentScores(row.value, row.content.get("neutral"), row.content.get("contradiction"))

    def _reward(self, request: RewardRequest) -> float | None:
        row = self._one(self.recording.rows(f"id:{prompt_id(request)}"), "reward")
        return None if row is None else float(row.value)

    def _each(
        self,
        asked: Sequence[AskedT],
        find: Callable[[AskedT], ResultT | None],
        receive: Callable[[Sequence[tuple[AskedT, ResultT]]], None] | None,
        progress: Progress | None,
    ) -> list[ResultT]:
        """Find the result of each request; pass on those that are there before one that is missing is an error."""
        found = [find(one) for one in asked]
        known = [(one, result) for one, result in zip(asked, found, strict=True) if result is not None]
        if receive is not None and known:
            receive(known)
        if progress is not None:
            progress(len(known), len(asked))
        missing = [one for one, result in zip(asked, found, strict=True) if result is None]
        if missing:
            shown = ", ".join(self._called(one) for one in missing[:MOST_NAMED])
            more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
            raise NotRecordedError(
                f"{self.recording.path} has no row for {len(missing)} of {len(asked)} requests: {shown}{more}. Record "
                "them (pluralism export writes what a suite asks), or leave their questions out."
            )
        return [result for _, result in known]

    def _called(self, asked: Any) -> str:
        names = [
            name.name
            + (f" steered to {name.steering}" if name.steering else "")
            + (f" (context {name.context!r})" if name.context else "")
            for name in self._of(asked)
        ]
        return names[0] if names else prompt_id(asked)

    # ----------------------------------------------------------------------------------------------- finding rows

    def _of(self, asked: object) -> list[RequestName]:
        return list(self._names.get(asked, ()))

    def _rows(
        self, asked: Prompt | FullAnswerPrompt, settings: GenerationSettings | None = None
    ) -> Iterator[tuple[list[Row], RequestName | None]]:
        """Yield the rows of a request under each of its keys: its id, its text or messages, and its names."""
        yield self.recording.rows(f"id:{prompt_id(asked, settings)}"), None
        if isinstance(asked, Prompt):
            raw = asked if asked.verbatim is not None else replace(asked, template="raw")
            keys = [] if asked.template == "chat" else [text_key(render_prompt(raw, chat=None))]
            keys += [] if raw is asked or asked.template == "raw" else [text_key(messages_of(asked))]
            for key in keys:
                yield self.recording.rows(key), None
        for name in self._of(asked):
            keys = [name_key(name.name, name.steering, name.context)]
            if name.context and len(self._contexts[name.name, name.steering]) == 1:
                keys.append(name_key(name.name, name.steering))
            rows = [row for key in keys for row in self.recording.rows(key)]
            texts = sorted(self._questions[name.name])
            if rows and len(texts) > 1:
                raise ModelError(
                    f"{self.recording.path}: the row about {rows[0].shown!r} may answer {len(texts)} questions of this "
                    f"run, which have one id: {texts[0][:60]!r} and {texts[1][:60]!r}. Record rows by prompt_id "
                    "(pluralism export writes them), or run the suites one by one."
                )
            yield rows, name

    def _found(
        self, asked: Prompt | FullAnswerPrompt, kinds: Sequence[str], settings: GenerationSettings | None = None
    ) -> tuple[list[Row], RequestName | None]:
        """Return the rows of one request, of the first key that has some.

        Raises
        ------
        ModelError
            They hold something else, or rows of several keys answer it.
        """
        found = [(rows, name) for rows, name in self._rows(asked, settings) if rows]
        if not found:
            return [], None
        if len(found) > 1:
            shown = " and ".join(repr(rows[0].shown) for rows, _ in found[:2])
            raise ModelError(f"{self.recording.path}: rows about {shown} answer one request. Keep one of them.")
        rows, name = found[0]
        odd = next((row for row in rows if row.kind not in kinds), None)
        if odd is not None:
            raise ModelError(
                f"{self.recording.path}: the row about {odd.shown!r} has {odd.field!r}, where {' or '.join(kinds)} "
                f"is wanted.{_HINTS.get((kinds[0], odd.kind), '')}"
            )
        return rows, name

    def _one(self, rows: Sequence[Row], kind: str) -> Row | None:
        if rows and rows[0].kind != kind:
            raise ModelError(f"{self.recording.path}: the row about {rows[0].shown!r} is not about {kind}.")
        return rows[0] if rows else None

    # ------------------------------------------------------------------------------------------------ reading rows

    def _answer(self, prompt: Prompt) -> Answer | None:
        rows, name = self._found(prompt, ("answer", "text"))
        if not rows:
            return None
        if rows[0].kind == "text":
            return self._counted(rows, prompt, name)
        row = rows[0]
        if row.field == "top_log_probabilities":
            return self._from_tokens(row, prompt, name)
        values = self._by_label(row, prompt.labels, name)
        if row.field == "samples":
            drawn = row.content.get("n_drawn")
            shared = self._shared_out(values, math.fsum(values) if drawn is None else drawn, name)
            return replace(shared, unread_choice=_is_unread(row))
        if row.field == "log_probabilities":
            logged = values
        else:
            logged = [math.log(value) if value > 0 else -math.inf for value in values]
        top = max(range(len(logged)), key=logged.__getitem__)
        content = row.content
        return Answer(
            log_probabilities=tuple(logged),
            option_mass=min(1.0, math.fsum(map(math.exp, logged))),
            top_token=prompt.labels[top],
            top_probability=min(1.0, math.exp(logged[top])),
            label_logits=tuple(map(tuple, content.get("label_logits") or ())),
            top_tokens=tuple((str(text), float(value)) for text, value in content.get("top_tokens") or ()),
            unread_choice=_is_unread(row),
        )

    def _by_label(self, row: Row, labels: Sequence[str], name: RequestName | None) -> list[float]:
        """Return the numbers of a row in the order of the labels of a prompt."""
        name = self._as_shown(row, name)
        options = list(labels) if name is None or not row.by_name else list(name.options)
        order = range(len(labels)) if name is None or not row.by_name else name.order
        value = row.value
        if isinstance(value, dict):
            self._refuse_other_options(row, options)
            value = [value[option] for option in options]
        if len(value) != len(options):
            raise ModelError(
                f"{self.recording.path}: the row about {row.shown!r} has {len(value)} numbers, and the question has "
                f"{len(options)} options: {', '.join(map(repr, options[:8]))}. Write one for each, 0 where it is 0."
            )
        return [float(value[place]) for place in order]

    def _as_shown(self, row: Row, name: RequestName | None) -> RequestName | None:
        """Return a name whose options stand in the order in which a row says that they were shown.

        Raises
        ------
        ModelError
            Other options were shown.
        """
        shown = row.content.get("options")
        if shown is None or name is None or not row.by_name or not name.options:
            return name
        folded, own = ([one.strip().casefold() for one in names] for names in (shown, name.options))
        if sorted(folded) != sorted(own):
            theirs, ours = (", ".join(map(repr, names[:8])) for names in (shown, name.options))
            raise ModelError(
                f"{self.recording.path}: the row about {row.shown!r} was shown the options {theirs}, and the question "
                f"has {ours}. Ask with the options of the survey, or name them alike."
            )
        options = tuple(name.options[own.index(one)] for one in folded)
        return replace(name, options=options, order=tuple(folded.index(own[option]) for option in name.order))

    def _refuse_other_options(self, row: Row, options: Sequence[str]) -> None:
        lacking = [option for option in options if option not in row.value]
        odd = [option for option in row.value if option not in options]
        if not lacking and not odd:
            return
        near = nearest_names(odd[0], lacking, most=1) if odd and lacking else []
        parts = [f"lacks {lacking[0]!r}"] if lacking else []
        parts += [f"has {odd[0]!r}, which is not an option"] if odd else []
        hint = f" Is {odd[0]!r} meant to be {near[0]!r}?" if near else ""
        raise ModelError(
            f"{self.recording.path}: the row about {row.shown!r} {' and '.join(parts)}.{hint} Write a number for each "
            f"option, 0 where it is 0: {', '.join(map(repr, options[:8]))}."
        )

    def _counted(self, rows: Sequence[Row], prompt: Prompt, name: RequestName | None) -> Answer:
        """Count the labels, or the options, that recorded texts name."""
        texts = [text for row in rows for text in _texts_of(row)]
        shown = [(text, own) for row in rows for own in [self._as_shown(row, name)] for text in _texts_of(row)]
        options: dict[str, int] = {}
        if name is not None:
            options = {name.options[option].strip().casefold(): label for label, option in enumerate(name.order)}
        counts = [0.0] * len(prompt.labels)
        for text, own in shown:
            label = options.get(text.strip().casefold())
            if label is None:
                letter = named_label(text, prompt.labels)
                # Letters of a question by name are those of the survey's order, or of the row's own, whatever order a
                # prompt shows.
                label = letter if letter is None or own is None else own.order.index(letter)
            if label is not None:
                counts[label] += 1
        if not any(counts):
            raise ModelError(
                f"{self.recording.path}: none of the {len(texts)} texts about {rows[0].shown!r} names an option (the "
                f"first is {texts[0].strip()[:40]!r}). Record texts that begin with a letter of the options."
            )
        ((top, _),) = Counter(text.strip() for text in texts).most_common(1)
        return self._shared_out(counts, float(len(texts)), name, top[:40])

    def _shared_out(self, counts: Sequence[float], drawn: float, name: RequestName | None, top: str = "") -> Answer:
        """Return counted draws; those of a question are shared out among its requests, so that none counts twice."""
        n = 1 if name is None else self._requests[name.name, name.steering, name.context]
        shares = [count / n for count in counts]
        # Rounding may part the two where each draw named an option.
        return sampled_answer(shares, n_drawn=max(drawn / n, math.fsum(shares)), top_text=top)

    def _from_tokens(self, row: Row, prompt: Prompt, name: RequestName | None) -> Answer:
        """Return an answer from likeliest tokens, with bounds where a label is not among them."""
        listed = sorted(row.value.items(), key=lambda pair: -pair[1])
        tokens = tuple((text, None, value) for text, value in listed)
        found = NextToken(tokens, listed[0][0], None)
        read = read_options(found, prompt.labels, {})
        name = self._as_shown(row, name)
        if name is not None:
            # Letters of a question by name are those of the survey's order, or of the row's own.
            low, high = (tuple(side[option] for option in name.order) for side in (read.low, read.high))
            read = replace(read, low=low, high=high)
        return answer_of(found, read)

    def _scores(self, asked: FullAnswerPrompt) -> FullAnswerScores | None:
        rows, name = self._found(asked, ("full_answers",))
        if not rows:
            return None
        row = rows[0]
        values = self._by_label(row, asked.answers, name)
        beside = row.content.get("neutral_log_likelihoods")
        # Without them a reading that needs them says that nothing can be compared.
        neutral = [math.nan] * len(values) if beside is None else list(beside)
        if len(neutral) != len(values):
            many = f"{len(neutral)} neutral likelihoods for {len(values)} answers"
            raise ModelError(f"{self.recording.path}: the row about {row.shown!r} has {many}. Write one for each.")
        tokens = row.content.get("n_tokens") or [1] * len(values)
        sizes = tuple(len(answer.encode("utf-8")) for answer in asked.answers)
        return FullAnswerScores(tuple(values), tuple(neutral), tuple(tokens), sizes)

    def _texts(self, prompt: Prompt, settings: GenerationSettings, n_draws: int) -> tuple[Response, ...] | None:
        rows, _ = self._found(prompt, ("text",), settings)
        by_draw: dict[int, Response] = {}
        for row in rows:
            for text in _texts_of(row):
                draw = len(by_draw) if row.draw is None else row.draw
                stopped, tokens = row.content.get("stopped_by", "eos"), row.content.get("n_tokens", 0)
                by_draw[draw] = Response(text, int(tokens), str(stopped), draw, _is_unread(row))
        if not by_draw:
            return None
        lacking = [draw for draw in range(n_draws) if draw not in by_draw]
        if lacking:
            raise ModelError(
                f"{self.recording.path}: {len(by_draw)} texts about {rows[0].shown!r}, and {n_draws} are wanted (draw "
                f"{lacking[0]} is missing). Record as many, or ask for fewer draws."
            )
        return tuple(by_draw[draw] for draw in range(n_draws))


def _is_unread(row: Row) -> bool:
    """Return whether a row rests on a choice that could not be read."""
    return bool(row.content.get("unread_choice"))


def _texts_of(row: Row) -> Sequence[str]:
    return row.value if row.field == "responses" else [row.value]


#: Where something else was recorded than is wanted: the remedy, by what is wanted and what is there.
_HINTS: Mapping[tuple[str, str], str] = {
    ("answer", "full_answers"): " Use scoring='sum' or 'per_byte', which reads the likelihoods of whole answers.",
    ("full_answers", "answer"): " Use scoring='letters', which reads the probabilities of options.",
}
