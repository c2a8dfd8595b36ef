"""Trainer: from data to a trained model in the fewest words, made of parts that stand alone.

    trainer = el.Trainer(model, optimizer, "cross_entropy", metrics=["accuracy"])
    history = trainer.fit(train, epochs=5, validation=test)
    trainer.evaluate(test), trainer.predict(images)

What a step computes is in `steps.py`; what happens when, in `callbacks.py`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elinvar.carbon import Account
from elinvar.core.errors import DataError, DTypeError, ValueRangeError, fail
from elinvar.core.habits import Refused, attribute, named
from elinvar.metrics.metric import Metric
from elinvar.nn.module import Module
from elinvar.optim.optimizer import Optimizer
from elinvar.optim.plateau import ReduceLROnPlateau
from elinvar.optim.schedules import LRScheduler
from elinvar.tensor.tensor import Tensor
from elinvar.train import checking, finders, losses, recording, state
from elinvar.train.averaging import MovingAverage, evaluating, training
from elinvar.train.bar import progress_for
from elinvar.train.batches import feed, joined, parts, sample_count, tensors
from elinvar.train.callbacks import Callback, Listeners
from elinvar.train.history import History, Mean
from elinvar.train.optimizers import optimizer_of, schedule_for
from elinvar.train.precision import checked_precision
from elinvar.train.recording import Recorder, Recording
from elinvar.train.signals import Signals, Waited
from elinvar.train.steps import Stepper, Steps
from elinvar.train.trouble import explain, judge, placed
from elinvar.train.waiting import timed

ENDLESS = sys.maxsize  # epochs, where steps say when to end


class Trainer:
    """Trains a model, and says how good it is.

    Args:
        model: a module. Its forward takes a batch's inputs: all parts of a tuple but the last, or
            the entries of a dict but `target`, by name.
        optimizer: of `el.optim`, over the model's parameters; or a name such as `"adamw"`. Not
            needed to evaluate and predict.
        loss: (output, target) → one number: a function, a module of `el.nn`, or a name such as
            `"cross_entropy"`.
        metrics: names such as `"accuracy"`, objects of `el.metrics`, or functions
            (output, target) → number, whose mean over samples is shown; or a dict of them, whose
            keys are the names in the results.
        callbacks: `Callback` objects, called in this order.
        precision: `"f32"`; `"bf16"` or `"f16"` for mixed precision: products have 16-bit operands
            and sums in float32, weights stay float32 (`el.autocast`). `"f16"` scales the loss, and
            leaves out a step whose scale was too great.
        schedule: a schedule of the learning rate, called after each step; `ReduceLROnPlateau` is
            called after each epoch with `val_loss` (or `loss`). Or a function (optimizer, total
            number of steps) → schedule; or `"one_cycle"` or `"cosine"`.
        accumulate: batches whose gradients make one step together, each sample counting the same.
        clip_norm: greatest norm of all gradients together.
        clip_value: greatest absolute value of a gradient's element.
        ema: decay of a moving average of the weights, with which `fit` validates, and `evaluate`
            and `predict` work; it warms up (see `MovingAverage`). None for none.
        compiled: run each step as one compiled program.
        progress: `"bar"` for a terminal, `"table"` for a notebook, `"plain"` for files and pipes,
            `"auto"` for what fits, or False.
        grad_norm: show the norm of the gradients in the bar; costs a pass over them.
        folder: where a run that is interrupted is saved, if it is not recorded.
        record: each `fit` is recorded in a folder of its own in `runs` (or `ELINVAR_RUNS`): what
            went in, each step, and states to go on from (docs/runs.md). A name or a `Recording`
            says how; False switches it off.

    Attributes:
        epoch: the number of finished epochs.
        step: the number of steps (updates of the weights) so far.
        logs: the newest figures by name.
        history: the figures of all epochs.
        run_folder: where the newest `fit` was recorded; None where it was not.
        energy: the energy that the run takes, and its carbon (`el.carbon.Account`).

    Example:
        >>> import elinvar as el
        >>> x = el.randn(256, 2, generator=el.random.Generator(0))
        >>> model = el.nn.Linear(2, 1)
        >>> trainer = el.Trainer(model, "adamw", "mse", progress=False)
        >>> trainer.optimizer.param_groups[0]["lr"] = 0.05
        >>> history = trainer.fit((x, x[:, :1] - x[:, 1:]), epochs=30)
        >>> history[-1]["loss"] < 0.01
        True
    """

    optimizer: Optimizer | None
    loss: losses.Loss | None
    metrics: dict[str, Metric]
    callbacks: list[Callback]
    average: MovingAverage | None
    accumulate: int
    folder: Path
    progress: str | bool
    epoch: int
    step: int
    epochs: int
    batches_done: int
    history: History
    mean: Mean
    waited: float
    pass_over: bool
    energy: Account
    recorder: Recorder

    plateau: ReduceLROnPlateau | None

    @named("Trainer")
    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | str | None = None,
        loss: Any = None,
        metrics: Sequence[Any] | Mapping[str, Any] = (),
        callbacks: Iterable[Callback] = (),
        *,
        precision: str = "f32",
        schedule: Any = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        compiled: bool = True,
        progress: str | bool = "auto",
        grad_norm: bool = False,
        folder: str | os.PathLike[str] = "checkpoints",
        record: bool | str | os.PathLike[str] | Recording | None = None,
    ) -> None:
        if not isinstance(model, Module):
            text = f"model must be an el.nn.Module, received {type(model).__name__}"
            fail(DTypeError, "Trainer", text)
        checking.check_limits(accumulate, clip_norm, clip_value, ema)
        checking.check_words(schedule, progress)
        self.model = model
        self.optimizer = None if optimizer is None else optimizer_of(optimizer, model)
        self.loss = None if loss is None else losses.get(loss)
        self.metrics = checking.named_metrics(metrics)
        self.callbacks = checking.listed(callbacks)
        Listeners(self.callbacks)
        self.schedule = schedule if isinstance(schedule, LRScheduler) else None
        self.plateau = schedule if isinstance(schedule, ReduceLROnPlateau) else None
        self._schedule_wish = None if self.schedule or self.plateau else schedule
        self.average = None if ema is None else MovingAverage(model, ema)
        self.accumulate, self.folder, self.progress = accumulate, Path(folder), progress
        self.epoch, self.step, self.epochs, self.batches_done, self.waited = 0, 0, 0, 0, 0.0
        self.logs: dict[str, Any] = {}
        self.history, self.mean, self.energy = History(), Mean(), Account()
        self.batch: Any = None
        self.grad_norm: Tensor | None = None
        self.stop_reason: str | None = None
        self.pass_over = False
        self.source: Any = None
        self.rests: list[Module] = []  # parts that stay in evaluation mode
        self.held_place: Any = None  # of the data, while a batch is waited for
        self.run_folder: Path | None = None
        self._record = recording.wish_of(record)
        self.options: dict[str, Any] = {
            "clip_norm": clip_norm,
            "clip_value": clip_value,
            "grad_norm": grad_norm,
            "compiled": compiled,
            "precision": checked_precision(precision),
        }
        self._first_rates: list[Any] | None = None
        self._steps: Steps | None = None

    if not TYPE_CHECKING:
        stop_training = should_stop = Refused("Trainer object", "stop_training")

        def __getattr__(self, name):
            return attribute(self, "Trainer object", name)

    # ---- the three verbs -----------------------------------------------------------------------

    @named("Trainer.fit")
    def fit(
        self,
        data: Any,
        epochs: int | None = None,
        validation: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        steps: int | None = None,
        resume: str | os.PathLike[str] | bool | None = None,
        dry_run: bool = False,
    ) -> History:
        """Train until `epochs` epochs are done.

        Args:
            data: a tuple of arrays (the last is the target), a `DataLoader`, a pipeline, or
                anything else that gives batches each time it is iterated over.
            epochs: how many in all; after an earlier `fit` of the same trainer so many more. One,
                unless `steps` says where to end.
            validation: data of the same kinds, looked at after each epoch.
            batch_size: where batches are made of arrays; of validation too.
            shuffle: mix the samples of arrays anew in each epoch.
            seed: of the order.
            steps: end after so many steps in this call, wherever that is; the figures of an
                epoch that is not complete are those of its batches so far.
            resume: a recorded run's folder: go on in it, from its newest checkpoint that is whole;
                or a file that `save` or a `Checkpoint` wrote: go on from there. `True`: the newest
                run of this program, if it did not finish; without one a new run begins. `epochs`
                then counts from the start of the run.
            dry_run: use one training batch and one validation batch, to see that all of it works;
                then everything is as before. Callbacks are not called.

        Returns:
            The figures of all epochs. The model is then in evaluation mode.

        Raises:
            DataError: the data are empty, or a batch is not what the model takes.
            BadValueError: the loss is no longer finite; the error names where that began.
            Interrupted: Ctrl-C was pressed; the run was saved, and the text says where.
        """
        checking.check_counts(epochs, steps)
        checking.check_switches(shuffle=shuffle, dry_run=dry_run)
        checking.check_trains(self.model, self.need_optimizer("fit"))
        source = self.source = feed(data, batch_size, shuffle, seed, "data")
        what = "validation"
        checks = None if validation is None else feed(validation, batch_size, False, seed, what)
        if dry_run:
            return self._dry_run(source, checks)
        checking.check_watched(self.callbacks, checks is not None)
        resume = recording.resumed(resume, self._record)
        self.epochs = self._last_epoch(epochs, steps, resume is not None)
        self._make_schedule(steps if epochs is None else None)
        bar = progress_for(self.progress)
        listeners = Listeners([*self.callbacks, *([] if bar is None else [bar])])
        if resume is None:
            self.batches_done, self.pass_over = 0, False
            if self.average is not None and not self.step:
                self.average.restart()  # weights may have been loaded since
        uses = {"training": source, "validation": checks}
        recorder = self.recorder = Recorder(self, self._record, resume, uses)
        self.stop_reason = None
        last_step = math.inf if steps is None else self.step + steps
        with recorder.recorded(bar is not None), Signals() as signals:
            try:
                self.energy.start()
                listeners.tell("on_fit_start", self)
                recorder.start()
                while self.epoch < self.epochs and self.stop_reason is None:
                    with suppress(Waited):
                        self._run_epoch(source, checks, listeners, signals, last_step)
                    if signals.received is not None:  # while data were waited for, or at the end
                        recorder.interrupted(signals.received)
                recorder.last_step()
            except BaseException as error:
                listeners.tell_error(self, error)
                raise
            finally:
                self.model.eval()
                self.energy.stop()
                listeners.tell_end(self)
        return self.history

    def _dry_run(self, source: Any, checks: Any) -> History:
        with finders.restored(self, schedule=False):
            self.rests = training(self.model, self.rests)
            batch = tensors(next(iter(source)))
            loss = self.prepared().train(batch)[0].item()
            if not math.isfinite(loss):
                explain(self, batch, loss)
            logs = {"loss": loss}
            if checks is not None:
                found = self._evaluate([next(iter(checks))], "validation data")
                logs.update({f"val_{name}": value for name, value in found.items()})
        return History([logs])

    @named("Trainer.evaluate")
    def evaluate(self, data: Any, *, batch_size: int = 256) -> dict[str, Any]:
        """The loss and all metrics over data, in evaluation mode.

        Returns:
            Figures by name, exact over uneven batches.

        Example:
            >>> import elinvar as el
            >>> model = el.nn.Linear(2, 3)
            >>> trainer = el.Trainer(model, loss="cross_entropy", metrics=["accuracy"])
            >>> sorted(trainer.evaluate((el.randn(10, 2), el.zeros(10, dtype=el.int64))))
            ['accuracy', 'loss']
        """
        if self.loss is None and not self.metrics:
            fail(ValueRangeError, "Trainer", "evaluate needs a loss or metrics")
        return self._evaluate(feed(data, batch_size, False, 0, "data"))

    def predict(self, data: Any, *, batch_size: int = 256, has_target: bool = False) -> Any:
        """The model's outputs for all inputs, in evaluation mode, put together.

        Args:
            data: inputs: an array, a tuple of them for a model with several inputs, or what gives
                batches of inputs.
            batch_size: where batches are made of arrays.
            has_target: the last part of each batch is a target, which is left out.

        Returns:
            What the model gives for one batch, with all samples along the first axis.
        """
        steps = self.prepared()
        source = feed(data, batch_size, False, 0, "data")
        found: list[Any] = []
        with self.energy.predicting() as made, evaluating(self.model, self.average_in_use):
            for batch in source:
                batch = tensors(batch)
                if has_target:
                    inputs, named, _ = parts(batch)
                elif isinstance(batch, Mapping):
                    inputs, named = (), dict(batch)
                else:
                    inputs, named = (batch if isinstance(batch, tuple) else (batch,)), {}
                found.append(steps.predict(tuple(inputs), named))
                made(sample_count(batch))
        if not found:
            fail(DataError, "Trainer", "there is no batch to predict")
        return joined(found)

    # ---- trials -------------------------------------------------------------------------------

    def find_lr(self, data: Any, **options: Any) -> finders.RateFinding:
        """Train with growing learning rates, and say at which one the loss falls fastest.

        The trainer is left as it was.

        Args:
            data: as of `fit`.
            start, end: the first and the last rate (1e-6, 1).
            steps: how many rates (100).
            batch_size: where batches are made of arrays (32).

        Returns:
            `suggestion`, the rates and losses, and `plot()`.
        """
        return finders.find_lr(self, data, **options)

    def find_batch_size(self, data: Any, **options: Any) -> finders.SizeFinding:
        """Time training steps of growing batches.

        The trainer is left as it was.

        Args:
            data: a tuple of arrays.
            smallest, largest: the sizes, doubled each time (8, 4096).
            memory_limit: bytes that the process may take (80 % of the machine's).
            seconds: for each size (0.5).

        Returns:
            Sizes, samples per second, memory; `suggestion` is the least size that reaches 95 % of
            the greatest speed.
        """
        return finders.find_batch_size(self, data, **options)

    def overfit(self, data: Any, **options: Any) -> finders.OverfitFinding:
        """Whether the model can learn one batch by heart; if it cannot, something is wrong.

        The trainer is left as it was.

        Args:
            data: as of `fit`; its first batch is used.
            steps: how often (200).
            batch_size: where batches are made of arrays (32).
        """
        return finders.overfit(self, data, **options)

    @contextmanager
    def without_schedule(self) -> Iterator[None]:
        """Within, no schedule sets the learning rate."""
        held, self.schedule, self._steps = self.schedule, None, None
        try:
            yield
        finally:
            self.schedule, self._steps = held, None

    def need_optimizer(self, what: str) -> Optimizer:
        """The optimizer.

        Raises:
            ValueRangeError: there is none, or no loss.
        """
        if self.optimizer is None or self.loss is None:
            missing = "an optimizer" if self.optimizer is None else "a loss"
            text = f"{what} needs {missing}"
            fail(ValueRangeError, "Trainer", text, 'write el.Trainer(model, "adamw", "mse")')
        return self.optimizer

    def stop(self, reason: str = "a callback asked for it") -> None:
        """End training after the present step; for callbacks."""
        self.stop_reason = reason

    # ---- an epoch ------------------------------------------------------------------------------

    def _run_epoch(
        self, source: Any, checks: Any, listeners: Listeners, signals: Signals, last_step: float
    ) -> None:
        stepper = Stepper(self.prepared(), self.accumulate)
        self.logs, self.waited = {}, 0.0
        if not self.batches_done:
            self._begin_counting()
        start, first_sample = time.perf_counter(), self.mean.count
        self.recorder.epoch_begins()
        self.energy.begin_epoch()
        listeners.tell("on_epoch_start", self)
        self.rests = training(self.model, self.rests)
        complete = True
        batches = timed(self, source, signals, stepper)
        for batch in batches:
            self.batch = batch
            listeners.tell("on_step_start", self)
            count = sample_count(batch)
            with placed(f"epoch {self.epoch + 1}, batch {self.batches_done + 1} of the data"):
                loss, self.grad_norm = stepper.take(batch, count)
            value = loss.item()
            if not math.isfinite(value):
                explain(self, batch, value)
            self.mean.add(value, count)
            self.batches_done += 1
            self.logs["loss"] = value
            if stepper.pending:
                continue
            self.step += 1
            listeners.tell("on_step_end", self)
            self.recorder.step_done(value)
            if signals.received is not None:
                self.recorder.interrupted(signals.received)
            if self.stop_reason is None and self.step >= last_step:
                self.stop("the wanted number of steps is done")
            if self.stop_reason is not None:
                complete = self.batches_done == self.num_batches
                if complete:
                    next(batches, None)  # so that the data, too, know that the pass is over
                break
        if stepper.pending:
            self.grad_norm = stepper.finish()
            self.step += 1
            listeners.tell("on_step_end", self)
            self.recorder.step_done(self.logs["loss"])
            if self.step >= last_step:
                self.stop("the wanted number of steps is done")
        if not self.mean.count:
            text = f"the data gave no batch in epoch {self.epoch + 1}"
            fail(DataError, "Trainer", text, "a generator is used up after one pass: give a list")
        self.logs = {"loss": self.mean.value, **self._figures()}
        self.logs["seconds"] = time.perf_counter() - start
        self.logs["samples_per_second"] = (self.mean.count - first_sample) / self.logs["seconds"]
        self.logs["waiting"] = self.waited / self.logs["seconds"]
        self._end_epoch(checks, listeners, complete)

    def _begin_counting(self) -> None:
        self.mean = Mean()
        for metric in self.metrics.values():
            metric.reset()

    def _end_epoch(self, checks: Any, listeners: Listeners, complete: bool) -> None:
        counted = {} if complete else {n: m.state_dict() for n, m in self.metrics.items()}
        if checks is not None:
            listeners.tell("on_validation_start", self)
            found = self._evaluate(checks, "validation data")
            self.logs.update({f"val_{name}": value for name, value in found.items()})
            listeners.tell("on_validation_end", self)
        place, self.pass_over = self.batches_done, False
        self.epoch, self.batches_done = self.epoch + 1, 0
        self.logs.update(lr=self.learning_rate, **self.energy.epoch())
        if self.plateau is not None and complete:  # else it comes when the epoch is
            self.plateau.step(self.logs.get("val_loss", self.logs["loss"]))
        if self.history.rows and self.history.rows[-1]["epoch"] == self.epoch:
            self.history.rows.pop()  # that of the same epoch when it was not complete
        self.history.rows.append({"epoch": self.epoch, "step": self.step, **self.logs})
        listeners.tell("on_epoch_end", self)
        self.recorder.epoch_done()
        if not complete:  # what is saved from now on goes on in this epoch
            self.epoch, self.batches_done = self.epoch - 1, place
            for name, state_dict in counted.items():
                self.metrics[name].load_state_dict(state_dict)

    def _evaluate(self, source: Iterable[Any], name: str = "data") -> dict[str, Any]:
        steps = self.prepared()
        total = Mean()
        for metric in self.metrics.values():
            metric.reset()
        with self.energy.predicting() as made, evaluating(self.model, self.average_in_use):
            for number, batch in enumerate(map(tensors, source), 1):
                with placed(f"batch {number} of the {name}"):
                    loss = steps.evaluate(batch)
                    value = math.nan if loss is None else loss.item()
                    if loss is not None and not math.isfinite(value):
                        judge(self, batch, value)
                total.add(value, sample_count(batch))
            made(total.count)
        if not total.count:
            fail(DataError, "Trainer", "there is no sample to evaluate on")
        return {**({} if self.loss is None else {"loss": total.value}), **self._figures()}

    def _figures(self) -> dict[str, Any]:
        return {name: metric.compute() for name, metric in self.metrics.items()}

    # ---- parts ---------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first group."""
        assert self.optimizer is not None
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def average_in_use(self) -> MovingAverage | None:
        """The averages, once there was a step; till then the model's own weights are in use."""
        return self.average if self.step else None

    @property
    def num_batches(self) -> int | None:
        """The batches of an epoch; None where the data do not know."""
        return len(self.source) if hasattr(self.source, "__len__") else None

    def prepared(self) -> Steps:
        """The compiled steps."""
        if self._steps is None:
            self._steps = Steps(
                self.model,
                self.optimizer,
                self.loss,
                list(self.metrics.values()),
                schedule=self.schedule,
                average=self.average,
                **self.options,
            )
        return self._steps

    def _last_epoch(self, epochs: int | None, steps: int | None, resumes: bool) -> int:
        """The number of the epoch at whose end training ends."""
        if epochs is None and steps is None:
            epochs = 1
        if epochs is None:
            if self.num_batches is None:
                return ENDLESS
            assert steps is not None
            return self.epoch + -(-steps * self.accumulate // self.num_batches)
        return epochs if resumes else self.epoch + epochs

    def _make_schedule(self, steps: int | None) -> None:
        """Schedules that depend on the number of steps are made when it is known: for each `fit`
        anew, of the rates that the optimizer had at first."""
        if self._schedule_wish is None:
            return
        batches = self.num_batches
        if batches is None and steps is None:
            text = "the schedule needs the number of steps, but the data have no length"
            fail(ValueRangeError, "Trainer", text, "pass a schedule that is made already, or steps")
        per_epoch = 0 if batches is None else -(-batches // self.accumulate)
        total = steps or (self.epochs - self.epoch) * per_epoch
        assert self.optimizer is not None
        groups = self.optimizer.param_groups
        if self._first_rates is None:
            self._first_rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, self._first_rates, strict=True):
            group["lr"] = rate
            group.pop("initial_lr", None)
        self.schedule = schedule_for(self._schedule_wish, self.optimizer, max(total, 1))
        self._steps = None

    # ---- state ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """All that training needs to go on as if it had not stopped."""
        return state.captured(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            StateError: it is of another model or optimizer. Then nothing is changed.
        """
        state.restore(self, state_dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a safetensors file; one of the same name is replaced at the end."""
        state.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Take over a state that `save` wrote.

        Raises:
            StateError: the file is no state of a Trainer, or of another model or optimizer.
        """
        state.load(self, path)
