"""The functions that a Trainer compiles: one training step, its parts, evaluation, prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from elinvar.core.dtypes import float16
from elinvar.core.errors import StateError, fail
from elinvar.metrics.metric import Metric
from elinvar.nn.module import Module
from elinvar.nn.utils import clip_grad_norm_, clip_grad_value_, get_total_norm
from elinvar.optim.optimizer import Optimizer
from elinvar.optim.schedules import LRScheduler
from elinvar.tensor.autocasting import autocast
from elinvar.tensor.creation import asarray
from elinvar.tensor.elementwise import where as choose
from elinvar.tensor.jit import jit
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.train.averaging import MovingAverage
from elinvar.train.batches import parts, sample_count
from elinvar.train.checking import called
from elinvar.train.losses import Loss, checked
from elinvar.train.precision import LossScale, low_type


class Steps:
    """The compiled functions over one model, optimizer and loss.

    A step whose loss (or norm, where there is one) is not finite leaves everything as it was.
    A training step is `train(batch)`. With gradient accumulation it is `gradients(batch, …)` as
    often as wanted, then `finish(samples)`.

    Args:
        model, optimizer, loss: what is trained, and how.
        metrics: what is counted of each batch.
        schedule: what sets the learning rate after each step; None for none.
        average: the moving average of the weights; None for none.
        clip_norm, clip_value: limits of the gradients; None for none.
        grad_norm: give the norm of all gradients, also where it is not clipped.
        precision: `f32`, or `bf16` or `f16` for products of 16-bit operands; `f16` scales the loss.
        compiled: whether to compile.
    """

    model: Module
    loss: Loss | None
    scale: LossScale | None
    finish: Callable[..., Any]
    predict: Callable[..., Any]

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer | None,
        loss: Loss | None,
        metrics: Sequence[Metric],
        *,
        schedule: LRScheduler | None,
        average: MovingAverage | None,
        clip_norm: float | None,
        clip_value: float | None,
        grad_norm: bool,
        precision: str,
        compiled: bool,
    ) -> None:
        self.model, self.loss = model, loss
        self._compiled_metrics = [metric for metric in metrics if metric.compiled]
        self._other_metrics = [metric for metric in metrics if not metric.compiled]
        self._optimizer, self._schedule, self._average = optimizer, schedule, average
        self._clip_norm, self._clip_value, self._grad_norm = clip_norm, clip_value, grad_norm
        self._low = low_type(precision)
        self.scale = LossScale() if self._low is float16 else None

        def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
            return jit(function) if compiled else function

        self._train_step = wrapped(self._train)
        self._first_step, self._more_step = wrapped(self._first), wrapped(self._more)
        self.finish = wrapped(self._finish)
        self._evaluate_step = wrapped(self._evaluate)
        self.predict = wrapped(self._predict)

    def train(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """A whole step: the loss, and the norm of the gradients if it was wanted."""
        loss, norm, output = self._train_step(batch)
        self._gather(output, batch)
        return loss, norm

    def gradients(self, batch: Any, is_first: bool) -> Tensor:
        """Add a batch's gradients to those of the batches before, for `finish`: the loss."""
        loss, output = self._first_step(batch) if is_first else self._more_step(batch)
        self._gather(output, batch)
        return loss

    def evaluate(self, batch: Any) -> Tensor | None:
        """Count a batch: its loss, if there is a loss function."""
        loss, output = self._evaluate_step(batch)
        self._gather(output, batch)
        return loss

    def _gather(self, output: Any, batch: Any) -> None:
        for metric in self._other_metrics:
            metric.update(output, parts(batch).target)

    # ---- training -----------------------------------------------------------------------------

    def _train(self, batch: Any) -> tuple[Tensor, Tensor | None, Any]:
        self.optimizer.zero_grad()
        buffers = values_of_buffers(self.model)
        loss, output = self._loss(batch)
        self._scaled(loss).backward()
        return loss, self._update(loss, buffers), output

    def _first(self, batch: Any) -> tuple[Tensor, Any]:
        self.optimizer.zero_grad()
        return self._more(batch)

    def _more(self, batch: Any) -> tuple[Tensor, Any]:
        buffers = values_of_buffers(self.model)
        loss, output = self._loss(batch)
        self._scaled(loss * sample_count(batch)).backward()
        _keep(loss.isfinite(), buffers)
        return loss, output

    def _finish(self, samples: Tensor) -> Tensor | None:
        """The step with the mean of the gradients gathered over so many samples."""
        scale = 1.0 / samples
        with no_grad():
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * scale.astype(parameter.grad.dtype)
        return self._update(scale, [])

    def _update(self, loss: Tensor, buffers: list[tuple[Tensor, Tensor]]) -> Tensor | None:
        norm = None
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        with no_grad():
            unscaled = None if self.scale is None else self.scale.unscale(parameters)
            if self._clip_value is not None:
                clip_grad_value_(parameters, self._clip_value)
            if self._clip_norm is not None:
                norm = clip_grad_norm_(parameters, self._clip_norm)
            elif self._grad_norm:
                norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
            finite = loss.isfinite()
            if norm is not None and unscaled is None:
                finite = finite & norm.isfinite()
            _keep(finite, buffers)
            if unscaled is not None:  # too great a scale is no error: the step is left out
                finite = finite & unscaled
            self.optimizer.step(where=finite)
            if self._schedule is not None:
                self._schedule.step()
            if self._average is not None:
                self._average.update(finite)
        return norm

    def _scaled(self, loss: Tensor) -> Tensor:
        return loss if self.scale is None else loss * self.scale.value

    def autocasting(self) -> Any:
        """Within, the model computes in the precision of the steps."""
        return nullcontext() if self._low is None else autocast(self._low)

    def _loss(self, batch: Any) -> tuple[Tensor, Any]:
        inputs, named, target = parts(batch)
        assert self.loss is not None
        with self.autocasting():
            output = called(self.model, inputs, named)
            loss = checked(self.loss(output, target))
        return loss, self._count(output, target)

    def _count(self, output: Any, target: Any) -> Any:
        """Tell the metrics of a batch; those outside of the program get what is returned."""
        with no_grad():
            given = output.detach() if isinstance(output, Tensor) else output
            for metric in self._compiled_metrics:
                metric.update(given, target)
                if not metric.is_counting:
                    kind = type(metric).__name__
                    text = f"{kind} keeps what it counts in Python, where a compiled step is blind"
                    hint = f"count by self.add(name, tensor), or write compiled = False in {kind}"
                    fail(StateError, "Trainer", text, hint)
        return given if self._other_metrics else None

    @property
    def optimizer(self) -> Optimizer:
        """What changes the parameters."""
        assert self._optimizer is not None
        return self._optimizer

    # ---- looking ------------------------------------------------------------------------------

    def _evaluate(self, batch: Any) -> tuple[Tensor | None, Any]:
        inputs, named, target = parts(batch)
        with no_grad(), self.autocasting():
            output = called(self.model, inputs, named)
            loss = None if self.loss is None else checked(self.loss(output, target))
            return loss, self._count(output, target)

    def _predict(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        with no_grad(), self.autocasting():
            return called(self.model, inputs, named)


def values_of_buffers(model: Module) -> list[tuple[Tensor, Tensor]]:
    """A model's buffers with their values, so that a bad batch leaves no trace in them."""
    return [(buffer, buffer.detach()) for buffer in model.buffers()]


def _keep(finite: Tensor, buffers: list[tuple[Tensor, Tensor]]) -> None:
    with no_grad():
        for buffer, before in buffers:
            buffer.assign(choose(finite, buffer, before))


class Stepper:
    """Batches become steps: one for each, or one for so many.

    Attributes:
        pending: the samples whose gradients wait for their step.
    """

    pending: int

    def __init__(self, steps: Steps, accumulate: int) -> None:
        self._steps, self._accumulate = steps, accumulate
        self.pending, self._batches = 0, 0

    def take(self, batch: Any, count: int) -> tuple[Tensor, Tensor | None]:
        """Use a batch of so many samples: its loss, and the gradients' norm if there was a step."""
        if self._accumulate == 1:
            return self._steps.train(batch)
        loss = self._steps.gradients(batch, not self.pending)
        self.pending += count
        self._batches += 1
        return loss, self.finish() if self._batches == self._accumulate else None

    def finish(self) -> Tensor | None:
        """The step for what is pending."""
        samples, self.pending, self._batches = self.pending, 0, 0
        return self._steps.finish(asarray(float(samples)))
