"""Schedules made of several curves: restarts, sequences, and one cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence

from elinvar.core.errors import ValueRangeError, fail
from elinvar.optim.optimizer import Optimizer
from elinvar.optim.schedules import (
    CosineAnnealingLR,
    LRScheduler,
    Number,
    WarmupLR,
    choose,
    cosine,
    real,
)
from elinvar.tensor.tensor import Tensor


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that starts again after T_0, T_0 · T_mult, T_0 · T_mult², … steps."""

    T_mult: int
    eta_min: float

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            text = f"T_0 and T_mult must be at least 1, received {T_0} and {T_mult}"
            fail(ValueRangeError, "CosineAnnealingWarmRestarts", text)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: Number) -> Number:
        """See the class."""
        start, length = self._period(t)
        wave = (1.0 + cosine(math.pi * real(t - start) / length)) / 2.0
        return self.eta_min + (base - self.eta_min) * wave

    def _period(self, t: Number) -> tuple[Number, Number]:
        """Start and length of the period that t lies in."""
        if self.T_mult == 1:
            return t // self.T_0 * self.T_0, float(self.T_0)
        start, length = real(t) * 0, real(t) * 0 + self.T_0
        next_start, next_length = self.T_0, self.T_0 * self.T_mult
        while next_start < 2**40:
            start = choose(t >= next_start, float(next_start), start)
            length = choose(t >= next_start, float(next_length), length)
            next_start, next_length = next_start + next_length, next_length * self.T_mult
        return start, length


def warmup_cosine(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, eta_min: float = 0.0
) -> SequentialLR:
    """Linear warm-up, then cosine annealing until `total_steps`.

    Example:
        >>> import elinvar as el
        >>> optimizer = el.optim.SGD([el.nn.Parameter(el.zeros(1))], lr=1.0)
        >>> scheduler = el.optim.lr_scheduler.warmup_cosine(optimizer, 2, 4)
        >>> rates = []
        >>> for _ in range(5):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 3))
        ...     scheduler.step()
        >>> rates
        [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    warmup = WarmupLR(optimizer, warmup_steps)
    annealing = CosineAnnealingLR(optimizer, max(1, total_steps - warmup_steps), eta_min)
    annealing.base_lrs = list(warmup.base_lrs)
    return SequentialLR(optimizer, [warmup, annealing], [warmup_steps])


class SequentialLR(LRScheduler):
    """Schedules one after the other: each starts with its own t = 0 at its milestone.

    Args:
        optimizer: the optimizer of all schedules.
        schedulers: the schedules.
        milestones: the steps at which the second, third, … begin.
    """

    milestones: list[int]
    schedulers: list[LRScheduler]

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) != len(milestones) + 1 or list(milestones) != sorted(milestones):
            text = f"{len(schedulers)} schedules need {len(schedulers) - 1} increasing milestones"
            fail(ValueRangeError, "SequentialLR", f"{text}, received {list(milestones)}")
        for scheduler in schedulers:
            if scheduler.optimizer is not optimizer:
                fail(ValueRangeError, "SequentialLR", "all schedules must have the same optimizer")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        for group, base in zip(optimizer.param_groups, schedulers[0].base_lrs, strict=True):
            group["lr"] = base
        super().__init__(optimizer, last_epoch)

    def _set(self, t: Number) -> None:
        for number, group in enumerate(self.optimizer.param_groups):
            group["lr"] = self._rate_of(number, t)

    def _rate_of(self, number: int, t: Number) -> Number:
        found = self.schedulers[0].rate(self.schedulers[0].base_lrs[number], t)
        for scheduler, start in zip(self.schedulers[1:], self.milestones, strict=True):
            if isinstance(t, Tensor) or t >= start:
                later = scheduler.rate(scheduler.base_lrs[number], t - start)
                found = choose(t >= start, later, found)
        return found

    def rate(self, base: float, t: Number) -> Number:
        """The rate of the first group."""
        return self._rate_of(0, t)


class OneCycleLR(LRScheduler):
    """One rise and one fall of the learning rate, with the momentum against it (Smith, 2018).

    From max_lr/div_factor to max_lr within the first `pct_start` of all steps, then down to
    max_lr/(div_factor · final_div_factor); momentum (or β₁) moves from max_momentum to
    base_momentum and back.

    Args:
        optimizer: see `LRScheduler`.
        max_lr: the greatest learning rate, or one for each group.
        total_steps: the number of steps; or give epochs and steps_per_epoch.
        pct_start: the part of the steps that rises.
        anneal_strategy: `cos` or `linear`.
        cycle_momentum, base_momentum, max_momentum: see above.
        div_factor, final_div_factor: see above.
        three_phase: whether the fall is as long as the rise, followed by a third phase.
    """

    total_steps: int
    momentum: str | None
    div_factor: float
    final_div_factor: float
    tops: list[float]

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                text = "give total_steps, or epochs and steps_per_epoch"
                fail(ValueRangeError, "OneCycleLR", text)
            total_steps = epochs * steps_per_epoch
        if total_steps < 1 or not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            text = f"total_steps {total_steps}, pct_start {pct_start} or anneal_strategy "
            text += f"{anneal_strategy!r} is out of range"
            fail(ValueRangeError, "OneCycleLR", text)
        count = len(optimizer.param_groups)
        tops = [max_lr] * count if isinstance(max_lr, (int, float)) else list(max_lr)
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.momentum = self._momentum_name(optimizer) if cycle_momentum else None
        rise = pct_start * total_steps - 1
        self.ends: tuple[float, ...] = (rise, total_steps - 1)
        self.momenta: tuple[float, ...] = (max_momentum, base_momentum, max_momentum)
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        if three_phase:
            self.ends = (rise, 2 * pct_start * total_steps - 2, total_steps - 1)
            self.momenta = (*self.momenta, max_momentum)
        for group, top in zip(optimizer.param_groups, tops, strict=True):
            group["max_lr"] = float(top)
            if last_epoch == -1:
                group["initial_lr"] = top / div_factor
        self.tops = [float(top) for top in tops]
        super().__init__(optimizer, last_epoch)

    def _momentum_name(self, optimizer: Optimizer) -> str:
        for name in ("betas", "momentum"):
            if name in optimizer.defaults:
                return name
        text = "cycle_momentum needs an optimizer with momentum or betas"
        fail(ValueRangeError, "OneCycleLR", text, "pass cycle_momentum=False")

    def _between(self, points: Sequence[float], t: Number) -> Number:
        """The value at t of the curve through `points`, at the ends of the phases."""
        value: Number = None
        start = 0.0
        t = choose(t < self.total_steps, t, self.total_steps - 1)  # behind its end it stays there
        for end, first, last in zip(self.ends, points, points[1:], strict=False):
            part = (real(t) - start) / (end - start) if end != start else real(t) * 0 + 1.0
            if self.anneal_strategy == "cos":
                here = last + (first - last) / 2.0 * (cosine(math.pi * part) + 1.0)
            else:
                here = (last - first) * part + first
            value = here if value is None else choose(t > start, here, value)
            start = end
        return value

    def _set(self, t: Number) -> None:
        if not isinstance(t, Tensor) and t > self.total_steps:
            text = f"step {t} lies behind total_steps {self.total_steps}"
            fail(ValueRangeError, "OneCycleLR", text)
        for group, top in zip(self.optimizer.param_groups, self.tops, strict=False):
            group["lr"] = self.rate(top, t)
            if self.momentum == "momentum":
                group["momentum"] = self._between(self.momenta, t)
            elif self.momentum == "betas":
                group["betas"] = (self._between(self.momenta, t), *group["betas"][1:])

    def rate(self, base: float, t: Number) -> Number:
        """The learning rate after t steps, for the greatest rate `base`."""
        first = base / self.div_factor
        last = first / self.final_div_factor
        middle = (base, first) if len(self.ends) == 3 else (base,)
        return self._between((first, *middle, last), t)
