"""The callback of trainers: measures the live network, logs the numbers, and stops at a broken promise."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm
from transformers import (
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pytest_pluralism.core.errors import InvalidParameterError, PluralismError, invalid_parameter
from pytest_pluralism.core.records.plain import JsonObject
from pytest_pluralism.core.untrusted import harmless
from pytest_pluralism.models.local.budget import TokenBudget
from pytest_pluralism.models.local.language_model import HuggingFaceModel
from pytest_pluralism.notebook import OTHER_MODELS, settings_of, spec_of
from pytest_pluralism.training.live import asked_network, live_model, refuse_sharded, undisturbed
from pytest_pluralism.training.watching import PREFIX, Look, Watch, Watching, plans_of, start_file

__all__ = ["PluralismCallback"]

EPOCH = "epoch"

#: The measurements where none is named: each option stands once at each place, which is enough to see a trend.
DEFAULT = (Watch("js_distance", "gss", repetitions=1),)


class PluralismCallback(TrainerCallback):  # type: ignore[misc] # transformers is not installed where types are checked
    """Measure pluralism while a trainer of ``transformers`` or ``trl`` trains.

    The live network is asked, without loading it again, after each epoch or every so many steps, and where a promise
    needs it before the first step. The numbers go into the trainer's own logs, so that TensorBoard, W&B, MLflow and
    ``trainer_state.json`` hold them. Training goes on as if nothing had been measured: the weights are equal to the
    last bit.

    Parameters
    ----------
    trainer : transformers.Trainer
        The trainer whose network is measured and whose logs are written; add the callback to it.
    watches : sequence of Watch
        The measurements; by default the Jensen-Shannon distance to all adults of ``gss``, with skill and entropy,
        each question asked once with each option at each place (``repetitions=1``).
    every : "epoch" or int
        After each epoch, or each time after so many steps, at least 1. The last step is always measured.
    stop : bool
        Whether a broken promise ends the training. One that is broken before the first step ends nothing yet.
    at_start : bool, optional
        Whether the network is measured before the first step, too; by default where a promise is about a change, which
        needs it. Where it is not measured, the start only checks that the network can be asked.
    tokenizer : transformers.PreTrainedTokenizerBase, optional
        By default that of the trainer.
    entailment_model, value_model : str, optional
        The specs of other models that measures need, such as ``"embedded:nli-minilm"``.
    settings : mapping, optional
        Settings of a run by name, as for :func:`pytest_pluralism.evaluate`: ``{"seed": 1}``.

    Attributes
    ----------
    history : list of Look
        The looks of the last training, oldest first.

    Raises
    ------
    PluralismError
        A parameter, a measure or its data is wrong; at the start of the training, the network cannot be asked.

    Notes
    -----
    A promise is broken when its whole interval lies beyond the bound (FAILED), adjusted by Holm for the number of
    promises; the p-values of changes are multiplied by
    :func:`~pytest_pluralism.core.estimation.look_factor` of the number of looks. An undecided promise ends nothing.

    Where several processes train, the main one measures while the others wait, so the time-out of the process group
    (``ddp_timeout``) must be longer than a look. Weights that are spread over processes are refused.

    A look that fails after the first one (no memory, NaN) does not end the training: it is told, and logged as
    ``eval_pluralism/failed``.

    Examples
    --------
    >>> trainer.add_callback(PluralismCallback(trainer))  # doctest: +SKIP
    >>> watch = Watch("js_distance", "gss", population="Democrat", max_increase=0.03)  # doctest: +SKIP
    >>> trainer.add_callback(PluralismCallback(trainer, [watch], every=50))  # doctest: +SKIP
    """

    def __init__(
        self,
        trainer: Trainer | None = None,
        watches: Sequence[Watch] = DEFAULT,
        /,
        *,
        every: int | str = EPOCH,
        stop: bool = True,
        at_start: bool | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        entailment_model: str | None = None,
        value_model: str | None = None,
        settings: JsonObject | None = None,
    ) -> None:
        if not isinstance(trainer, Trainer):
            raise InvalidParameterError(
                f"PluralismCallback needs the trainer whose logs it writes. Got {type(trainer).__name__}. "
                "Make the trainer first: trainer.add_callback(PluralismCallback(trainer))"
            )
        if every != EPOCH and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            must = "'epoch' or a number of steps from 1"
            raise invalid_parameter("every", "PluralismCallback", must, repr(every))
        if isinstance(watches, Watch) or not watches:
            raise invalid_parameter("watches", "PluralismCallback", "a list of Watch objects", repr(watches)[:80])
        given = {"entailment_model": entailment_model, "value_model": value_model}
        chosen = settings_of({} if settings is None else settings, function="PluralismCallback")
        chosen["entailment_model"] = spec_of(entailment_model)
        others = {name: given[name] for name in OTHER_MODELS if given.get(name) is not None}
        self._trainer, self._every, self._stop, self._tokenizer = trainer, every, stop, tokenizer
        self._plans, self._chosen, self._others = plans_of(watches, chosen), chosen, others
        compared = [name for name, plan in self._plans.items() if plan.gate is not None and plan.gate.needs_baseline]
        if at_start is False and compared:
            must = f"True where a promise compares with the start, as that about {compared[0]} does"
            raise invalid_parameter("at_start", "PluralismCallback", must, repr(at_start))
        self._at_start = bool(compared) if at_start is None else at_start
        self._watching = Watching(self._plans, chosen, others)
        self._budget: TokenBudget | None = None
        self._seconds: list[float] = []
        self.history: list[Look] = []

    # ------------------------------------------------------------------------------------------------ the events

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the trainer and the network, say the cost, and measure the start."""
        if self._trainer.args is not args and self._trainer.state is not state:
            raise InvalidParameterError(
                "This PluralismCallback was made for another trainer. Make one for each: PluralismCallback(trainer)."
            )
        refuse_sharded(self._trainer)
        self.history, self._seconds = [], []
        self._watching = Watching(self._plans, self._chosen, self._others)
        for line in self._watching.cost_words() if state.is_world_process_zero else ():
            _tell(line)
        if not self._at_start:
            with self._asked(state, kwargs["model"]):
                if state.is_world_process_zero:
                    n_left = self._n_looks(args, state)
                    _tell(f"measures {self._when}, about {n_left} times; at_start=True adds the start.")
            return
        look = self._look(args, state, control, kwargs["model"], is_start=True)
        if state.is_world_process_zero:
            for line in look.broken:
                _tell(f"before training, {line} Training goes on; the next look may end it.")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Measure after every so many steps, and after the last one."""
        if self._every != EPOCH and (state.global_step % int(self._every) == 0 or state.global_step >= state.max_steps):
            self._look(args, state, control, kwargs["model"])
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Measure after an epoch, and where the training ends before the number of steps is reached."""
        if self._every == EPOCH or control.should_training_stop:
            self._look(args, state, control, kwargs["model"])
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close other models, and say how often a look failed."""
        self._watching.close()
        failed = [look.step for look in self.history if look.problem]
        if failed and state.is_world_process_zero:
            _tell(f"{len(failed)} of {len(self.history)} looks failed, at steps {', '.join(map(str, failed[:10]))}.")

    # ------------------------------------------------------------------------------------------------- one look

    def _look(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module,
        *,
        is_start: bool = False,
    ) -> Look:
        """Measure in the main process, tell all processes, log, and end the training where a promise is broken."""
        if self.history and self.history[-1].step == state.global_step:
            return self.history[-1]
        shared: list[Any] = [None, None]
        if state.is_world_process_zero:
            # The others wait for whatever comes of it.
            try:
                shared[0] = self._measured(args, state, model, is_start=is_start)
            except PluralismError as error:
                shared = [Look(state.global_step, problem=str(error)), error if is_start else None]
            except Exception as error:  # noqa: BLE001 - raised again below, in every process
                shared[1] = error
        mine = shared[0]
        if args.world_size > 1:
            sent: list[Any] = [
                None if mine is None else {name: getattr(mine, name) for name in ("values", "problem", "broken")},
                None if shared[1] is None else f"{type(shared[1]).__name__}: {shared[1]}",
            ]
            broadcast_object_list(sent, from_process=0)
            if not state.is_world_process_zero:
                mine = None if sent[0] is None else Look(state.global_step, **sent[0])
                shared[1] = None if sent[1] is None else RuntimeError(f"The main process could not measure: {sent[1]}")
        if shared[1] is not None:
            raise shared[1]
        look: Look = mine
        self.history.append(look)
        if look.problem and state.is_world_process_zero:
            _tell(f"step {look.step} was not measured: {look.problem} Training goes on.")
        self._log({f"{PREFIX}/failed": 1.0} if look.problem else look.values, control, model)
        if look.broken and not is_start:
            if state.is_world_process_zero:
                for line in look.broken:
                    _tell(f"step {look.step}: {line}{' Training stops.' if self._stop else ''}")
            control.should_training_stop = control.should_training_stop or self._stop
        return look

    def _measured(
        self, args: TrainingArguments, state: TrainerState, model: torch.nn.Module, *, is_start: bool
    ) -> Look:
        """Measure the network as it is now."""
        started = time.perf_counter()
        folder, file = Path(args.output_dir), start_file(self._place())
        with self._asked(state, model) as asked:
            if is_start and state.global_step > 0:
                _tell(self._watching.recall(folder / file, asked))
            look = self._watching.measured(asked, state.global_step)
            if self._at_start:
                self._watching.keep(folder / file)
        self._seconds.append(time.perf_counter() - started)
        if len(self._seconds) == 1:
            n_left, seconds = self._n_looks(args, state), self._seconds[0]
            _tell(
                f"measured in {seconds:.1f} s, {self._when}: {n_left} more looks take about {n_left * seconds:.0f} s "
                "of this training."
            )
        values = {**look.values, f"{PREFIX}/seconds": self._seconds[-1]}
        return Look(look.step, values, look.verdicts, look.problem, look.broken)

    @contextlib.contextmanager
    def _asked(self, state: TrainerState, model: torch.nn.Module) -> Iterator[HuggingFaceModel]:
        """Yield the network as a model that can be asked; afterwards all is as the training left it."""
        network = asked_network(model)
        tokenizer = self._tokenizer or self._trainer.processing_class
        # A processor of several kinds of input has the tokenizer of its text.
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        if tokenizer is None or not hasattr(tokenizer, "apply_chat_template"):
            got = "the trainer has none" if tokenizer is None else f"got a {type(tokenizer).__name__}"
            raise InvalidParameterError(
                f"PluralismCallback needs the tokenizer of the model, and {got}. "
                "Write PluralismCallback(trainer, tokenizer=tokenizer), or Trainer(processing_class=tokenizer)."
            )
        mixed = str(getattr(self._trainer.accelerator, "mixed_precision", "no"))
        own = str(next(network.parameters()).dtype).removeprefix("torch.")
        dtype = {"bf16": "bfloat16", "fp16": "float16", "no": own}.get(mixed, mixed)
        # The wish to compute in another format is that of the trainer: the network is asked as it is trained.
        with undisturbed(model), self._trainer.accelerator.autocast():
            asked = live_model(network, tokenizer, step=state.global_step, dtype=dtype, budget=self._budget)
            self._budget = asked.scorer.budget
            yield asked

    def _place(self) -> int:
        """Return the place of this callback among those of its kind, from 1: each keeps a start of its own."""
        all_of_kind = [one for one in self._trainer.callback_handler.callbacks if isinstance(one, PluralismCallback)]
        return next((place for place, one in enumerate(all_of_kind, start=1) if one is self), 1)

    def _log(self, values: Mapping[str, float], control: TrainerControl, model: torch.nn.Module) -> None:
        """Write numbers into the trainer's logs, and leave what it was about to log and to save as it was."""
        wishes = dict(vars(control))
        with _in_evaluation(model):
            # Trainers of trl add what they gathered in training to the next log of a network in training mode.
            self._trainer.log(dict(values))
        for name, wish in wishes.items():
            if wish:
                setattr(control, name, wish)

    @property
    def _when(self) -> str:
        """When the network is measured, in words."""
        return "once an epoch" if self._every == EPOCH else f"every {self._every} steps"

    def _n_looks(self, args: TrainingArguments, state: TrainerState) -> int:
        """Return about how many looks are still to come."""
        left: int = max(0, state.max_steps - state.global_step)
        if self._every != EPOCH:
            return -(-left // int(self._every))
        return math.ceil(state.num_train_epochs * left / state.max_steps) if left else 0


@contextlib.contextmanager
def _in_evaluation(model: torch.nn.Module) -> Iterator[None]:
    """Let a network say that it is in evaluation mode, without touching its parts."""
    mode, model.training = model.training, False
    try:
        yield
    finally:
        model.training = mode


def _tell(text: str) -> None:
    """Write a line for people, beside the progress bar of a trainer."""
    tqdm.write(harmless(f"pluralism: {text}"), file=sys.stderr)
