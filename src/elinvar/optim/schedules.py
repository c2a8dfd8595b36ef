"""Learning rate schedules: closed formulas of the number of steps.

A schedule sets `group["lr"]` to `rate(base, t)`, where `base` is the group's first learning rate
and t counts calls of `step()`. t lives in a tensor, so `scheduler.step()` may stand inside of a
jitted training step as well as outside.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from elinvar.core.dtypes import float64, int64
from elinvar.core.errors import DTypeError, StateError, ValueRangeError, fail
from elinvar.optim.optimizer import Optimizer
from elinvar.tensor.creation import asarray
from elinvar.tensor.elementwise import cos, minimum, pow, where
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import is_tracing, outside_trace

Number = Any  # a float or int, or a 0-d tensor within a trace


def choose(condition: Any, yes: Number, no: Number) -> Number:
    """`yes` where the condition holds, else `no`; for numbers and for tensors."""
    if isinstance(condition, Tensor):
        if not isinstance(yes, Tensor):
            yes = asarray(yes, dtype=float64)
        return where(condition, yes, no)
    return yes if condition else no


def least(x: Number, limit: float) -> Number:
    """min(x, limit)."""
    if isinstance(x, Tensor):
        return minimum(x, asarray(float(limit), dtype=x.dtype))
    return min(x, limit)


def cosine(x: Number) -> Number:
    """cos(x)."""
    return cos(x) if isinstance(x, Tensor) else _at_once(cos, x)


def power(base: Number, exponent: Number) -> Number:
    """base^exponent, in float64."""
    if isinstance(base, Tensor) or isinstance(exponent, Tensor):
        return pow(asarray(base, dtype=float64), asarray(exponent, dtype=float64))
    return _at_once(pow, base, exponent)


def _at_once(function: Callable[..., Any], *numbers: float) -> float:
    """A function of ours on numbers: Python's would ask the C library, whose bits are its own."""
    with outside_trace():
        return float(function(*(asarray(x, dtype=float64) for x in numbers)).item())


def real(t: Number) -> Number:
    """t as a float, or as a float64 tensor."""
    return t.astype(float64) if isinstance(t, Tensor) else float(t)


class LRScheduler(ABC):
    """The base of schedules: counts steps and sets the learning rate of each group.

    Args:
        optimizer: whose groups are set. The first rate (t = 0) is set at once.
        last_epoch: -1 starts anew; t continues from `last_epoch` + 1 otherwise.

    Attributes:
        base_lrs: the groups' learning rates at the start.
        last_epoch: t.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            text = f"expected an optimizer, received {type(optimizer).__name__}"
            fail(DTypeError, type(self).__name__, text)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if "initial_lr" not in group:
                group["initial_lr"] = group["lr"]
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._count = asarray(last_epoch + 1, dtype=int64)
        self._set(last_epoch + 1)

    @abstractmethod
    def rate(self, base: float, t: Number) -> Number:
        """The learning rate after t steps, for a group that started with `base`."""

    @property
    def last_epoch(self) -> Number:
        """The number of steps so far; a tensor within a trace."""
        return self._count.detach() if is_tracing() else int(self._count.item())

    def step(self) -> None:
        """Count one step and set the learning rates."""
        with no_grad():
            self._count.assign(self._count + 1)
            self._set(self.last_epoch)

    def _set(self, t: Number) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=False):
            group["lr"] = self.rate(base, t)

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on: t and the first learning rates."""
        return {"last_epoch": int(self._count.item()), "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state. The optimizer's own state holds the learning rates."""
        if not {"last_epoch", "base_lrs"} <= set(state_dict):
            fail(StateError, type(self).__name__, "the state lacks 'last_epoch' or 'base_lrs'")
        self.base_lrs = [float(base) for base in state_dict["base_lrs"]]
        with no_grad():
            self._count.assign(int(state_dict["last_epoch"]))


class LambdaLR(LRScheduler):
    """lr = base · f(t).

    Args:
        optimizer: see `LRScheduler`.
        lr_lambda: f, or one for each group. Within a jitted step it receives a float64 tensor.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[Number], Number] | Sequence[Callable[[Number], Number]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        if not callable(lr_lambda) and not isinstance(lr_lambda, (list, tuple)):
            text = f"lr_lambda must be a function, received {type(lr_lambda).__name__}"
            fail(DTypeError, "LambdaLR", text)
        functions = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(functions) != count:
            text = f"received {len(functions)} functions for {count} groups"
            fail(ValueRangeError, "LambdaLR", text)
        self.lr_lambdas = functions
        super().__init__(optimizer, last_epoch)

    def _set(self, t: Number) -> None:
        groups = self.optimizer.param_groups
        for group, base, function in zip(groups, self.base_lrs, self.lr_lambdas, strict=False):
            group["lr"] = base * function(real(t) if isinstance(t, Tensor) else t)

    def rate(self, base: float, t: Number) -> Number:
        """base · f(t), with the first group's f."""
        return base * self.lr_lambdas[0](t)


class ConstantLR(LRScheduler):
    """lr = base · factor for t < total_iters, then base."""

    factor: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 <= factor <= 1:
            text = f"factor must be between 0 and 1, received {factor}"
            fail(ValueRangeError, "ConstantLR", text)
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        return choose(t < self.total_iters, base * self.factor, base)


class LinearLR(LRScheduler):
    """lr = base · (start + (end - start) · min(t, n)/n), n = total_iters.

    Args:
        optimizer: see `LRScheduler`.
        start_factor, end_factor: start and end.
        total_iters: n.
    """

    end_factor: float
    start_factor: float

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            text = f"start_factor must be above 0 and at most 1, received {start_factor}"
            fail(ValueRangeError, "LinearLR", text)
        if not 0 <= end_factor <= 1:
            text = f"end_factor must be between 0 and 1, received {end_factor}"
            fail(ValueRangeError, "LinearLR", text)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        part = least(real(t), self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * part)


class StepLR(LRScheduler):
    """lr = base · gamma^⌊t/step_size⌋.

    Example:
        >>> import elinvar as el
        >>> optimizer = el.optim.SGD([el.nn.Parameter(el.zeros(1))], lr=1.0)
        >>> scheduler = el.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates.append(optimizer.param_groups[0]["lr"])
        ...     scheduler.step()
        >>> rates
        [1.0, 1.0, 0.5, 0.5]
    """

    gamma: float
    step_size: int

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            fail(ValueRangeError, "StepLR", f"step_size must be at least 1, received {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        return base * power(self.gamma, t // self.step_size)


class MultiStepLR(LRScheduler):
    """lr = base · gamma^(number of milestones at or before t)."""

    gamma: float
    milestones: list[int]

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        if isinstance(t, Tensor):
            passed: Number = sum((t >= milestone).astype(int64) for milestone in self.milestones)
        else:
            passed = bisect_right(self.milestones, t)
        return base * power(self.gamma, passed)


class ExponentialLR(LRScheduler):
    """lr = base · gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        return base * power(self.gamma, t)


class PolynomialLR(LRScheduler):
    """lr = base · (1 - min(t, n)/n)^power, n = total_iters."""

    power: float
    total_iters: int

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        left = 1.0 - least(real(t), self.total_iters) / self.total_iters
        return base * power(left, self.power)


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) · (1 + cos(π t/T_max))/2 (Loshchilov and Hutter, 2017)."""

    T_max: int
    eta_min: float

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            text = f"T_max must be at least 1, received {T_max}"
            fail(ValueRangeError, "CosineAnnealingLR", text)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        wave = (1.0 + cosine(math.pi * real(t) / self.T_max)) / 2.0
        return self.eta_min + (base - self.eta_min) * wave


class WarmupLR(LRScheduler):
    """Linear warm-up: lr = base · min(1, (t + 1)/warmup_steps).

    To go on with another schedule put both into `SequentialLR`, or use `warmup_cosine`.
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int, last_epoch: int = -1) -> None:
        if warmup_steps < 1:
            text = f"warmup_steps must be at least 1, received {warmup_steps}"
            fail(ValueRangeError, "WarmupLR", text)
        self.warmup_steps = warmup_steps
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        return base * least(real(t + 1) / self.warmup_steps, 1.0)
