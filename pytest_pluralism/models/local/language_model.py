"""Models that run in this process, through torch and transformers."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib.util
import io
import json
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_pluralism.core.errors import MissingExtraError, ModelError, invalid_parameter, unknown_name
from pytest_pluralism.core.records import (
    Answer,
    FullAnswerPrompt,
    FullAnswerScores,
    GenerationSettings,
    Prompt,
    Response,
)
from pytest_pluralism.models.embedded import EMBEDDED_COMMAND, GgufSource, find_embedded
from pytest_pluralism.models.local.compiling import compile_layers
from pytest_pluralism.models.local.full_answers import answer_rows
from pytest_pluralism.models.measured import MeasuredFile, package_version
from pytest_pluralism.models.prompts import FIXED_TEMPLATE_ARGUMENTS, PromptReader, render_prompt
from pytest_pluralism.models.protocol import (
    ModelIdentity,
    Progress,
    Receive,
    ReceiveFullAnswers,
    ReceiveResponses,
)
from pytest_pluralism.models.specification import ModelSpec, parse_model_spec

__all__ = ["HuggingFaceModel", "load_model", "quiet_transformers", "require_packages"]

#: The part of an identity that says which torch compiled it.
COMPILED = "compiled"

DTYPES = ("float32", "bfloat16", "float16")

#: The files of a folder that decide how text becomes tokens.
TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)

#: What is fetched of a repository: never code, never pickles, never copies in other formats.
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def require_packages(*names: str) -> None:
    """Import nothing, and say which command installs what is missing.

    Raises
    ------
    MissingExtraError
        If one of the packages is not installed.
    """
    for name in names:
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise MissingExtraError("The local model backend", EMBEDDED_COMMAND)


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the imports and the loading of models out of the test run's output and of its warnings.

    Torch and transformers warn of their own deprecations while they are imported and while they load a model. A suite
    that turns warnings into errors must not fail on those; warnings of the suite itself are not touched.
    Progress bars and log lines would be written into the middle of pytest's own output.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            import torch  # noqa: F401
            from transformers.utils import logging
        except ImportError as error:
            raise MissingExtraError("The local model backend", EMBEDDED_COMMAND) from error
        level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


def check_loading(dtype: str, batch_size: int | str, /, *, function: str) -> None:
    """Refuse a number format or a batch size that no model is loaded with."""
    if dtype not in ("auto", *DTYPES):
        raise invalid_parameter("dtype", function, "one of 'auto', " + ", ".join(map(repr, DTYPES)), repr(dtype))
    if batch_size != "auto" and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise invalid_parameter("batch_size", function, "'auto' or a whole number from 1", repr(batch_size))


def load_model(
    spec: str,
    /,
    *,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | str = "auto",
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    compiled: bool = False,
) -> HuggingFaceModel:
    r"""Load a model into this process.

    Parameters
    ----------
    spec : str
        Which model; see :func:`pytest_pluralism.models.specification.parse_model_spec`.
    device : str
        ``"auto"`` (``cuda`` where there is one, else ``cpu``), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``, or
        ``"sharded"``: the layers spread over all CUDA devices, and over main memory where those are too small.
        ``"auto"`` does that too where there are several devices and the weights are too large for the first.
    dtype : str
        ``"auto"`` (``float32`` on a CPU, the checkpoint's own elsewhere), ``"float32"``, ``"bfloat16"``, ``"float16"``.
    batch_size : int or "auto"
        At most so many prompts in one forward pass; ``"auto"`` bounds the tokens instead. How many tokens is measured
        where much is asked at once, and kept in the user's cache.
    trust_remote_code : bool
        Whether Python code that comes with the model may run.
    allow_pickle : bool
        Whether weights in pickle files may be read where there are no others.
    compiled : bool
        Whether the feed-forward parts of the layers go through ``torch.compile`` when they are first used. It is part
        of the identity, because rounding may differ.

    Returns
    -------
    HuggingFaceModel
        The model, ready to be asked. Nothing has been fetched unless the spec starts with ``hf:``.

    Raises
    ------
    ModelError
        If the model cannot be named, found or loaded, or the device is not there.
    MissingExtraError
        If torch, transformers or the package of an embedded model is not installed.
    InvalidParameterError
        If ``dtype`` or ``batch_size`` is not one of the values above.

    Examples
    --------
    >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
    >>> model.answer([Prompt("Is the sky blue?\nA. Yes\nB. No", ("A", "B"))])  # doctest: +SKIP
    """
    named = parse_model_spec(spec)
    check_loading(dtype, batch_size, function="load_model")
    require_packages("torch", "transformers", "safetensors")
    with quiet_transformers():
        place = _device(device)
        found = described_folder(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
        tokenizer, network = _load(
            found.folder,
            named,
            device=place,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
            spread=device == "sharded" or (device == "auto" and _too_large_for_one(found.folder, place, dtype)),
        )
        if compiled:
            compile_layers(network, named.name)
    identity = identity_of(named, found.parts, tokenizer, network, place, compiled=compiled)
    return HuggingFaceModel(network, tokenizer, identity, batch_size=batch_size, add_bos=found.add_bos)


@dataclass(frozen=True, slots=True)
class DescribedFolder:
    """Where a model is loaded from: the hashes of its parts, and whether prompts open with a token of their own."""

    folder: Path
    parts: dict[str, str]
    add_bos: bool | None


def described_folder(named: ModelSpec, /, *, trust_remote_code: bool, allow_pickle: bool) -> DescribedFolder:
    """Return the folder of a model, fetched or converted if need be, after a look whether it may be loaded."""
    folder, parts, add_bos = _folder_of(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    if not trust_remote_code:
        _refuse_remote_code(folder, _read_json(folder / "config.json"), named)
    _refuse_pickles(folder, named, allow_pickle=allow_pickle)
    return DescribedFolder(folder, parts, add_bos)


def identity_of(
    named: ModelSpec,
    parts: Mapping[str, str],
    tokenizer: Any,
    network: Any,
    device: str,
    /,
    *,
    compiled: bool = False,
) -> ModelIdentity:
    """Return the identity of a network, with weights or without, and its tokenizer."""
    if compiled:
        parts = {**parts, COMPILED: f"torch {package_version('torch')}"}
    template = _sha256_of_text(str(getattr(tokenizer, "chat_template", None) or ""))
    return network_identity(named, {**parts, "chat_template": template}, network, device)


def network_identity(named: ModelSpec, parts: Mapping[str, str], network: Any, device: str, /) -> ModelIdentity:
    """Return the identity of a network by the hashes of its parts, to which its number format is added."""
    dtype = str(next(network.parameters()).dtype).removeprefix("torch.")
    parts = {**parts, "dtype": dtype}
    return ModelIdentity(
        spec=named.text,
        name=named.name,
        sha256=_sha256_of_text(json.dumps(parts, sort_keys=True)),
        dtype=dtype,
        device=device,
        architecture=type(network).__name__,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        parts=parts,
    )


class HuggingFaceModel:
    """A model of transformers that answers closed questions.

    Parameters
    ----------
    network : transformers.PreTrainedModel
        The network, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its tokenizer.
    identity : ModelIdentity
        Which model it is.
    batch_size : int or "auto"
        See :func:`load_model`.
    add_bos : bool or None
        Whether prompts start with the token for a beginning; ``None`` leaves it to the tokenizer.
    share_prefixes : bool
        Whether prompts that start alike share the computation of their beginnings.
    """

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        identity: ModelIdentity,
        *,
        batch_size: int | str = "auto",
        add_bos: bool | None = None,
        share_prefixes: bool = True,
    ) -> None:
        from pytest_pluralism.models.local.scoring import Scorer

        pad = tokenizer.pad_token_id
        self._identity = identity
        self._scorer: Scorer | None = Scorer(
            network,
            pad_token=0 if pad is None else pad,
            batch_size=batch_size,
            share_prefixes=share_prefixes,
            measured=_budget_file(identity, network),
        )
        self._reader: PromptReader | None = PromptReader(
            tokenizer,
            model=identity.name,
            add_bos=add_bos,
            closes_text=bool(getattr(network.config, "is_encoder_decoder", False)),
        )
        self._context = _context_length(network.config)
        self._generator: Any = None

    @property
    def identity(self) -> ModelIdentity:
        """Which model this is."""
        if self._scorer is not None and tuple(self._scorer.notes) != self._identity.notes:
            self._identity = replace(self._identity, notes=tuple(self._scorer.notes))
        return self._identity

    def token_ids(self, prompt: Prompt, /) -> tuple[int, ...]:
        """Return the token ids that the model reads for a prompt."""
        reader, _ = self._open()
        return reader.encode(render_prompt(prompt, chat=reader.chat_renderer(), model=self.identity.name))

    def answer(
        self, prompts: Sequence[Prompt], /, *, progress: Progress | None = None, receive: Receive | None = None
    ) -> list[Answer]:
        """Answer each prompt; the answers come in the order of the prompts, and batch by batch to ``receive``.

        Raises
        ------
        ModelError
            If a label is not one token, a prompt is longer than the model's context, the network gives NaN, or there is
            no memory even for one prompt at a time.
        """
        from pytest_pluralism.models.local.scoring import ScoreRequest, TokenScores

        reader, scorer = self._open()
        distinct = list(dict.fromkeys(prompts))
        copies = dict.fromkeys(distinct, 0)
        for prompt in prompts:
            copies[prompt] += 1
        requests = []
        for prompt in distinct:
            ids = self.token_ids(prompt)
            self._refuse_long(prompt, ids)
            requests.append(ScoreRequest(ids, reader.label_tokens(prompt.labels)))
        n_distinct, n_all = len(distinct), len(prompts)

        def report(done: int) -> None:
            if progress is not None:
                # Repeated prompts are done with the first of them.
                progress(n_all if done == n_distinct else done * n_all // n_distinct, n_all)

        def read(scores: TokenScores) -> Answer:
            return Answer(
                log_probabilities=scores.log_probabilities,
                option_mass=scores.option_mass,
                top_token=reader.decode(scores.top_token),
                top_probability=scores.top_probability,
                label_logits=scores.label_logits,
                top_tokens=tuple((reader.decode(token), probability) for token, probability in scores.top_tokens),
            )

        def pass_on(batch: list[tuple[int, TokenScores]]) -> None:
            if receive is not None:
                receive([(distinct[index], read(scores)) for index, scores in batch])

        answers = [read(scores) for scores in scorer.score(requests, progress=report, receive=pass_on)]
        by_prompt = dict(zip(distinct, answers, strict=True))
        return [by_prompt[prompt] for prompt in prompts]

    def answer_in_batches(self, prompts: Sequence[Prompt], /, *, batch_size: int | str) -> list[Answer]:
        """Answer each prompt as :meth:`answer` does, with at most so many in one forward pass.

        With a batch size of 1 no prompt shares the computation of its beginning with another.
        """
        from pytest_pluralism.models.local.scoring import Scorer

        _, scorer = self._open()
        other = Scorer(
            scorer.model,
            pad_token=scorer.pad_token,
            batch_size=batch_size,
            share_prefixes=scorer.share_prefixes and batch_size != 1,
        )
        if batch_size == "auto":
            other.budget.tokens = scorer.token_budget
        self._scorer = other
        try:
            return self.answer(prompts)
        finally:
            self._scorer = scorer

    def score_answers(
        self,
        prompts: Sequence[FullAnswerPrompt],
        /,
        *,
        progress: Progress | None = None,
        receive: ReceiveFullAnswers | None = None,
    ) -> list[FullAnswerScores]:
        r"""Return how likely each whole answer to each prompt is, in the order of the prompts.

        .. math:: \log P(a \mid p) = \sum_t \log P(a_t \mid p, a_{<t})

        The prompt is read as :meth:`answer` reads it. The answer stands behind it after one space; in a chat prompt it
        begins the model's own turn. Prompts that start alike, and all answers to one prompt, share the computation.

        Parameters
        ----------
        prompts : sequence of FullAnswerPrompt
            The questions, the texts of their answers, and the neutral prompts.
        progress : callable, optional
            Called with (prompts done, prompts in all).
        receive : callable, optional
            Called with the prompts whose answers are all scored, and their scores, as they are done.

        Returns
        -------
        list of FullAnswerScores
            Log-likelihoods in (-inf, 0], larger is likelier; by byte and against the neutral prompt as properties.

        Raises
        ------
        ModelError
            If a prompt is empty or longer with an answer than the model's context, an answer has no tokens of its own,
            the model is an encoder-decoder, the network gives NaN, or there is no memory for one row at a time.

        Notes
        -----
        Prompt and answer are made into tokens together, and the sum begins at the first token in which any answer to
        the prompt differs from the prompt alone; where a tokenizer joins the end of a prompt with an answer, the joint
        token is part of the likelihood of every answer to it.

        Examples
        --------
        >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
        >>> asked = FullAnswerPrompt(Prompt("How is the weather?", ()), ("Fair", "Foul"))  # doctest: +SKIP
        >>> model.score_answers([asked])[0].log_likelihoods_per_byte  # doctest: +SKIP
        """
        from pytest_pluralism.models.local.scoring import ContinuationRequest, ContinuationScores

        reader, scorer = self._open()
        distinct = list(dict.fromkeys(prompts))
        requests: list[ContinuationRequest] = []
        owners: list[int] = []
        for number, asked in enumerate(distinct):
            _refuse_empty(asked.prompt)
            for prompt in (asked.prompt, asked.neutral_prompt):
                rows, start, _ = answer_rows(reader, prompt, asked.answers)
                for row in rows:
                    self._refuse_long(prompt, row)
                requests += [ContinuationRequest(row, start) for row in rows]
                owners += [number] * len(rows)
        first = [owners.index(number) for number in range(len(distinct))]
        missing = [2 * len(asked.answers) for asked in distinct]
        found: list[ContinuationScores | None] = [None] * len(requests)
        scores: dict[FullAnswerPrompt, FullAnswerScores] = {}

        def pass_on(batch: list[tuple[int, ContinuationScores]]) -> None:
            fresh = []
            for index, one in batch:
                found[index] = one
                missing[owners[index]] -= 1
                if not missing[owners[index]]:
                    asked = distinct[owners[index]]
                    scores[asked] = read(asked, first[owners[index]])
                    fresh.append((asked, scores[asked]))
            if receive is not None and fresh:
                receive(fresh)
            if progress is not None:
                progress(len(prompts) if len(scores) == len(distinct) else len(scores), len(prompts))

        def read(asked: FullAnswerPrompt, at: int) -> FullAnswerScores:
            n = len(asked.answers)
            values = [one.log_probabilities for one in found[at : at + 2 * n] if one is not None]
            sums = [math.fsum(one) for one in values]
            return FullAnswerScores(
                log_likelihoods=tuple(sums[:n]),
                neutral_log_likelihoods=tuple(sums[n:]),
                n_tokens=tuple(len(one) for one in values[:n]),
                n_bytes=tuple(len(answer.encode("utf-8", "surrogatepass")) for answer in asked.answers),
            )

        scorer.score_continuations(requests, receive=pass_on)
        return [scores[asked] for asked in prompts]

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
        """Write ``n_draws`` texts after each prompt, in the order of the prompts.

        Parameters
        ----------
        prompts : sequence of Prompt
            What to go on from; labels are not used. Equal prompts get equal texts.
        settings : GenerationSettings
            Everything that decides a text beside the prompt and the model; the model's own ``generation_config`` is
            not read.
        n_draws : int
            How many texts a prompt, at least 1. With temperature 0 they are all alike, and written once.
        progress : callable, optional
            Called with (draws done, draws in all).
        receive : callable, optional
            Called with prompts and responses as each batch is done.

        Returns
        -------
        list of tuple of Response
            For each prompt its draws, by number.

        Raises
        ------
        ModelError
            If a prompt is empty, a prompt with the new tokens is longer than the model's context, the model is an
            encoder-decoder, the network gives NaN, or there is no memory for one prompt at a time.
        InvalidParameterError
            If ``n_draws`` is not a whole number from 1.

        Notes
        -----
        A text ends with the tokenizer's or the configuration's token for an end, with the token with which the chat
        template closes the model's turn, before a stop text, or at ``max_new_tokens``.
        White space with which a text begins is kept where the tokenizer keeps it.

        A draw depends on the seed, the prompt and its number, and not on what else is in the batch.
        The probabilities themselves move in the last digits with the shape of a batch (about 1e-6 in float32, more in
        half precision), so a draw whose random number, or a greedy choice whose two best logits, are that close to a
        border may come out differently; none of 420 such texts of a tiny network did.

        Examples
        --------
        >>> model = load_model("embedded:smollm2-135m-instruct")  # doctest: +SKIP
        >>> settings = GenerationSettings(max_new_tokens=40, temperature=0.8)  # doctest: +SKIP
        >>> model.generate([Prompt("Should voting be compulsory?", ())], settings, n_draws=3)  # doctest: +SKIP
        """
        from pytest_pluralism.models.local.generation import DrawnTokens, GenerationRequest, Generator, draw_key

        reader, scorer = self._open()
        if not isinstance(settings, GenerationSettings):
            raise invalid_parameter("settings", "generate", "a GenerationSettings", repr(settings))
        if isinstance(n_draws, bool) or not isinstance(n_draws, int) or n_draws < 1:
            raise invalid_parameter("n_draws", "generate", "a whole number from 1", repr(n_draws))
        distinct = list(dict.fromkeys(prompts))
        n_written = 1 if settings.greedy else n_draws
        requests: list[GenerationRequest] = []
        for prompt in distinct:
            _refuse_empty(prompt)
            ids = self.token_ids(prompt)
            self._refuse_long(prompt, ids, n_new=settings.max_new_tokens)
            requests += [GenerationRequest(ids, draw_key(prompt, settings.seed, draw)) for draw in range(n_written)]
        if self._generator is None:
            ends = _end_tokens(reader, scorer.model.config)
            self._generator = Generator(scorer, ends=ends, decode=reader.decode_text)
        ends = self._generator.ends
        responses: dict[Prompt, dict[int, Response]] = {prompt: {} for prompt in distinct}
        n_all = len(prompts) * n_draws

        def read(tokens: DrawnTokens, draw: int) -> Response:
            ids = tokens.token_ids[:-1] if tokens.token_ids[-1] in ends else tokens.token_ids
            text, why = reader.decode_text(ids), tokens.stopped_by
            cuts = [place for stop in settings.stop if (place := text.find(stop)) >= 0]
            if cuts:
                text, why = text[: min(cuts)], "stop"
            return Response(text, len(tokens.token_ids), why, draw)

        def pass_on(batch: list[tuple[int, DrawnTokens]]) -> None:
            fresh = []
            for index, tokens in batch:
                prompt = distinct[index // n_written]
                for draw in range(n_draws) if settings.greedy else (index % n_written,):
                    responses[prompt][draw] = read(tokens, draw)
                    fresh.append((prompt, responses[prompt][draw]))
            if receive is not None:
                receive(fresh)

        def report(done: int) -> None:
            if progress is not None:
                progress(n_all if done == len(requests) else done * n_all // len(requests), n_all)

        self._generator.generate(requests, settings, progress=report, receive=pass_on)
        return [tuple(responses[prompt][draw] for draw in range(n_draws)) for prompt in prompts]

    def close(self) -> None:
        """Give back the memory; the model cannot be asked any more."""
        if self._scorer is None:
            return
        import torch

        _ = self.identity
        on_cuda = self._scorer.device.type == "cuda"
        self._scorer = None
        self._reader = None
        self._generator = None
        gc.collect()
        if on_cuda:
            torch.cuda.empty_cache()
        _trim_heap()

    def _open(self) -> tuple[PromptReader, Any]:
        if self._reader is None or self._scorer is None:
            raise ModelError(f"The model {self._identity.name} has been closed and cannot be asked any more.")
        return self._reader, self._scorer

    def _refuse_long(self, prompt: Prompt, ids: tuple[int, ...], *, n_new: int = 0) -> None:
        if not ids:
            raise ModelError("A prompt has no tokens: its text is empty.")
        if self._context is not None and len(ids) + n_new > self._context:
            text = prompt.verbatim or prompt.question
            words = " ".join(text.split()[:8])
            if n_new:
                raise ModelError(
                    f"The prompt {words + ' ...'!r} has {len(ids)} tokens; with {n_new} new ones that is more than the "
                    f"{self._context} that {self._identity.name} can take. Choose fewer new tokens (max_new_tokens) or "
                    "a shorter prompt; nothing is cut off in silence."
                )
            raise ModelError(
                f"The prompt {words + ' ...'!r} has {len(ids)} tokens, and {self._identity.name} reads at most "
                f"{self._context}. Use fewer examples or a shorter context; nothing is cut off in silence."
            )


def _budget_file(identity: ModelIdentity, network: Any) -> MeasuredFile:
    """Return where the token budget of a network on this device is kept."""
    import torch

    device = network.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} of {os.cpu_count()}"
    return MeasuredFile(
        "budget",
        {
            "model": identity.sha256,
            "device": name,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "transformers": package_version("transformers"),
        },
    )


def _refuse_empty(prompt: Prompt) -> None:
    text = prompt.question if prompt.verbatim is None else prompt.verbatim
    if not text.strip():
        raise ModelError("A prompt is empty: its question (or verbatim text) holds nothing to go on from.")


def _end_tokens(reader: PromptReader, config: Any) -> frozenset[int]:
    """Return the tokens that end a text: of the tokenizer, of the configuration, and of the chat template's turns."""
    tokenizer = reader.tokenizer
    ends: set[int] = set()
    for owner in (tokenizer, config, config.get_text_config(decoder=True)):
        value = getattr(owner, "eos_token_id", None)
        ends.update(
            int(token) for token in (value if isinstance(value, list | tuple) else (value,)) if token is not None
        )
    if getattr(tokenizer, "chat_template", None):
        # The special token that the template sets behind what the model said.
        said = "Zebra"
        messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": said}]
        try:
            text = str(tokenizer.apply_chat_template(messages, tokenize=False, **FIXED_TEMPLATE_ARGUMENTS))
        except Exception:  # noqa: BLE001 - whatever a template may raise: then it closes no turn
            return frozenset(ends)
        behind = tokenizer(text.rpartition(said)[2].lstrip(), add_special_tokens=False)["input_ids"]
        if behind and (behind[0] in set(tokenizer.all_special_ids) or behind[0] in tokenizer.added_tokens_decoder):
            ends.add(int(behind[0]))
    return frozenset(ends)


def _trim_heap() -> None:
    """Hand freed memory back to the system: glibc keeps it otherwise, and the next model comes on top."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


# ------------------------------------------------------------------------------------------------------ where it runs


def _device(name: str) -> str:
    """Return the device to use, after a look whether it is there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "sharded":
        if torch.cuda.is_available():
            return "cuda"
        raise ModelError(
            f"No device to spread a model over is there: torch {torch.__version__} sees no CUDA device. "
            "Use --pluralism-device auto, which takes what there is, or cpu."
        )
    if not isinstance(name, str) or not re.fullmatch(r"(cpu|mps|cuda(:\d+)?|xpu(:\d+)?)", name):
        kind = str(name).partition(":")[0]
        raise ModelError(
            f"{unknown_name('device', kind, ('auto', 'cpu', 'cuda', 'mps', 'sharded', 'xpu'))} Got {name!r}."
        )
    kind, _, number = name.partition(":")
    remedy = "Use --pluralism-device auto, which takes what there is, or cpu."
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise ModelError(
                f"The device {name!r} is not there: torch {torch.__version__} sees no CUDA device. {remedy}"
            )
        if number and int(number) >= torch.cuda.device_count():
            raise ModelError(
                f"The device {name!r} is not there: torch sees {torch.cuda.device_count()} CUDA devices, "
                f"counted from 0. {remedy}"
            )
    elif kind != "cpu":
        backend = getattr(torch, kind, None) if kind == "xpu" else torch.backends.mps
        if backend is None or not backend.is_available():
            raise ModelError(f"The device {name!r} is not there. {remedy}")
    return name


def _too_large_for_one(folder: Path, device: str, dtype: str) -> bool:
    """Say whether weights fill more of the first of several devices than leaves room to work in."""
    import torch

    if device != "cuda" or torch.cuda.device_count() < 2:
        return False
    config = _read_json(folder / "config.json")
    stored = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    wanted = stored if dtype == "auto" else dtype
    n_bytes = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    # A checkpoint in an 8-bit format is counted as it lies there.
    widths = {"float32": 4, "bfloat16": 2, "float16": 2}
    needed = n_bytes * widths.get(wanted, 1) / widths.get(stored, 1)
    free, _ = torch.cuda.mem_get_info(0)
    return needed > 0.8 * int(free)


# ------------------------------------------------------------------------------------------------- which files it is


def _folder_of(
    named: ModelSpec, *, trust_remote_code: bool, allow_pickle: bool
) -> tuple[Path, dict[str, str], bool | None]:
    """Return the folder to load from, the hashes of its parts, and whether prompts open with a token of their own."""
    if named.kind in {"embedded", "gguf"}:
        from pytest_pluralism.models.local.gguf import CONVERTER_VERSION, converted

        if named.kind == "embedded":
            source = find_embedded(named.target)
        else:
            source = GgufSource(named.name, (Path(named.target),))
        model = converted(source)
        # The file holds weights, configuration and tokenizer in one.
        parts = {"weights": model.gguf_sha256, "converter": str(CONVERTER_VERSION)}
        return model.folder, parts, model.header.add_bos
    folder = Path(named.target)
    if named.kind == "hf":
        folder = _fetched(named, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    return folder, _hashes(folder), None


def _fetched(named: ModelSpec, *, trust_remote_code: bool, allow_pickle: bool) -> Path:
    """Return the local copy of a repository, fetching what is not there yet."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError as error:
        raise MissingExtraError("A model of the Hugging Face hub", 'pip install "pytest-pluralism[hub]"') from error
    offline = os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}
    patterns = [*HUB_PATTERNS, *(("*.py",) if trust_remote_code else ())]
    arguments: dict[str, Any] = {
        "revision": named.revision,
        "ignore_patterns": ["*/*", "consolidated*"],
        "local_files_only": offline,
    }
    try:
        folder = Path(snapshot_download(named.target, allow_patterns=patterns, **arguments))
        if allow_pickle and not list(folder.glob("*.safetensors")):
            snapshot_download(named.target, allow_patterns=list(PICKLE_PATTERNS), **arguments)
    except GatedRepoError as error:
        raise ModelError(
            f"The model {named.text!r} is gated: accept its terms on its page, then log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"The hub has no model {named.target!r}, or it is private. Check the name.") from error
    except LocalEntryNotFoundError as error:
        reason = "HF_HUB_OFFLINE is set and no copy is in the cache" if offline else "the hub cannot be reached"
        raise ModelError(f"The model {named.text!r} cannot be fetched: {reason}.") from error
    except Exception as error:
        message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise ModelError(f"The model {named.text!r} cannot be fetched: {message}") from error
    if not (folder / "config.json").is_file():
        raise ModelError(f"The repository {named.target!r} holds no config.json: it is no model of transformers.")
    return folder


def _hashes(folder: Path) -> dict[str, str]:
    """Return the hashes of weights, tokenizer and configuration of a folder."""
    weights = sorted(folder.glob("*.safetensors")) or sorted(
        path for pattern in PICKLE_PATTERNS for path in folder.glob(pattern)
    )
    tokenizer = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    # Which version of transformers saved it, and where, makes no difference to the answers.
    config = {
        key: value
        for key, value in _read_json(folder / "config.json").items()
        if key not in {"transformers_version", "_name_or_path"}
    }
    return {
        "weights": _sha256_of_files(weights),
        "tokenizer": _sha256_of_files(tokenizer),
        "config": _sha256_of_text(json.dumps(config, sort_keys=True)),
    }


def _sha256_of_files(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            digest.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object. Got a {type(value).__name__} instead.")
    return value


# ----------------------------------------------------------------------------------------------------- what is refused


def _refuse_remote_code(folder: Path, config: dict[str, Any], named: ModelSpec) -> None:
    """Refuse a model that transformers knows only through the code that comes with it."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    needs = []
    if config.get("auto_map") and config.get("model_type") not in CONFIG_MAPPING_NAMES:
        needs.append("config.json")
    tokenizer_config = folder / "tokenizer_config.json"
    if tokenizer_config.is_file() and "AutoTokenizer" in (_read_json(tokenizer_config).get("auto_map") or {}):
        has_own = (folder / "tokenizer.json").is_file() and config.get("model_type") in CONFIG_MAPPING_NAMES
        if not has_own:
            needs.append("tokenizer_config.json")
    if needs:
        raise _remote_code_error(named, f"its {needs[0]} names Python code of its own (auto_map)")


def _remote_code_error(named: ModelSpec, why: str) -> ModelError:
    return ModelError(
        f"The model {named.text!r} wants to run code that came with it: {why}. Read that code; if you trust it, allow "
        f"it for this model by name: --pluralism-trust-remote-code {named.text}"
    )


def _refuse_pickles(folder: Path, named: ModelSpec, *, allow_pickle: bool) -> None:
    """Refuse weights whose loading could run anything."""
    if list(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for pattern in PICKLE_PATTERNS for path in folder.glob(pattern))
    if allow_pickle and pickles:
        return
    if not pickles and named.kind == "folder":
        raise ModelError(f"The folder {named.text!r} holds no weights: no *.safetensors file is in it.")
    found = f"pickled weights only ({pickles[0]})" if pickles else "no weights in safetensors files"
    raise ModelError(
        f"The model {named.text!r} has {found}. A pickle can run code when it is read. Save it as safetensors, or "
        f"allow it for this model by name: --pluralism-allow-pickled-weights {named.text}"
    )


# ---------------------------------------------------------------------------------------------------------- loading


def _load(
    folder: Path,
    named: ModelSpec,
    *,
    device: str,
    dtype: str,
    trust_remote_code: bool,
    allow_pickle: bool,
    spread: bool = False,
) -> tuple[Any, Any]:
    """Load tokenizer and network, and translate what can go wrong."""
    import torch

    from pytest_pluralism.models.local.scoring import _is_out_of_memory

    if dtype != "auto":
        wanted: Any = getattr(torch, dtype)
    else:
        wanted = torch.float32 if device == "cpu" else "auto"
    config, tokenizer, auto = load_parts(folder, named, trust_remote_code=trust_remote_code)
    common = _arguments(named, trust_remote_code=trust_remote_code)
    try:
        arguments: dict[str, Any] = {"config": config, "dtype": wanted, "output_loading_info": True, **common}
        if not allow_pickle:
            arguments["use_safetensors"] = True
        if (spread or device != "cpu") and importlib.util.find_spec("accelerate") is not None:
            arguments["device_map"] = "auto" if spread else {"": device}
        elif spread:
            raise MissingExtraError("Spreading a model over several devices", "pip install accelerate")
        network, report = auto.from_pretrained(folder, **arguments)
        # What is spread stays where it was put.
        network = network.eval() if spread else network.to(device).eval()
    except (ModelError, MissingExtraError):
        raise
    except Exception as error:
        raise _translated(error, named, device, out_of_memory=_is_out_of_memory(error)) from error
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f"The weights of {named.text!r} are incomplete: {len(missing)} tensors of {type(network).__name__} are not "
            f"in them, such as {missing[0]!r}. They would be random numbers."
        )
    return tokenizer, network


def load_parts(folder: Path, named: ModelSpec, /, *, trust_remote_code: bool) -> tuple[Any, Any, Any]:
    """Load configuration and tokenizer, and find the class that loads the network."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    common = _arguments(named, trust_remote_code=trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(folder, **common)
        _refuse_other_kinds(config, named)
        tokenizer = AutoTokenizer.from_pretrained(folder, **common)
    except ModelError:
        raise
    except Exception as error:
        raise _translated(error, named, "cpu", out_of_memory=isinstance(error, MemoryError)) from error
    seq2seq = getattr(config, "is_encoder_decoder", False)
    return config, tokenizer, AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM


def _arguments(named: ModelSpec, *, trust_remote_code: bool) -> dict[str, Any]:
    # With trust, the code may lie in another repository.
    offline = not (trust_remote_code and named.kind == "hf")
    return {"trust_remote_code": trust_remote_code, "local_files_only": offline}


def _translated(error: Exception, named: ModelSpec, device: str, *, out_of_memory: bool) -> ModelError:
    """Put what transformers raised into our words."""
    message = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    if out_of_memory:
        return ModelError(
            f"There is not enough memory on {device} for the model {named.text!r}. Choose a smaller number format "
            "(--pluralism-dtype bfloat16), another device (--pluralism-device cpu), or a smaller model."
        )
    if "trust_remote_code" in str(error):
        return _remote_code_error(named, "transformers does not know its architecture")
    if isinstance(error, ImportError):
        return ModelError(f"The model {named.text!r} needs a package that is not installed: {message}")
    return ModelError(f"The model {named.text!r} cannot be loaded: {message}")


def _refuse_other_kinds(config: Any, named: ModelSpec) -> None:
    """Refuse a network that does not write text: a classifier would be loaded with a random output layer."""
    from transformers.models.auto import modeling_auto

    names: set[str] = set()
    for mapping in (
        "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
        "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
        "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES",
        "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES",
    ):
        for entry in getattr(modeling_auto, mapping, {}).values():
            names.update([entry] if isinstance(entry, str) else entry)
    declared = list(getattr(config, "architectures", None) or ())
    if declared and not names & set(declared) and not getattr(config, "auto_map", None):
        raise ModelError(
            f"The model {named.text!r} is a {declared[0]}: it does not write text, so it cannot be asked. "
            "Name a causal language model, or an encoder-decoder."
        )


def _context_length(config: Any) -> int | None:
    """Return how many tokens a network reads at most (``None``: as many as memory holds)."""
    if getattr(config, "is_encoder_decoder", False) and not hasattr(config, "max_position_embeddings"):
        return None
    length = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return int(length) if isinstance(length, int) and length > 0 else None
