"""Trials before training: a dry run, one batch learned by heart, learning rates, batch sizes.

Each leaves the trainer as it was: weights, optimizer, schedule, random numbers, position.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import DataError, ValueRangeError, fail
from elinvar.nn.state import modes_kept
from elinvar.nn.summary import readable, table
from elinvar.train import state
from elinvar.train.averaging import training
from elinvar.train.batches import feed, sample_count, tensors
from elinvar.train.figures import figure, resident_bytes
from elinvar.train.plots import learning_rates as plot_rates

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer


@contextmanager
def restored(trainer: Trainer, schedule: bool = True) -> Iterator[None]:
    """Within, the trainer may train; afterwards it is as before.

    Args:
        trainer: whose state is kept.
        schedule: whether its schedule sets the learning rate within.
    """
    before = state.captured(trainer)
    with modes_kept(trainer.model):
        try:
            with nullcontext() if schedule else trainer.without_schedule():
                yield
        finally:
            state.restore(trainer, before)


def _batches(data: Any, batch_size: int) -> Iterator[Any]:
    """Batches without end: the data are begun anew when they are used up."""
    source = feed(data, batch_size, True, 0, "data")
    while True:
        count = 0
        for batch in source:
            count += 1
            yield tensors(batch)
        if not count:
            fail(DataError, "Trainer", "the data gave no batch")


def _take(trainer: Trainer, batch: Any) -> float:
    return float(trainer.prepared().train(batch)[0].item())


@dataclass(frozen=True)
class RateFinding:
    """What `find_lr` saw: `suggestion` is a learning rate to begin with; `plot()` shows all."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Loss against learning rate, on a logarithmic axis (matplotlib)."""
        return plot_rates(self.rates, self.losses, self.smoothed, self.suggestion, path)

    def __str__(self) -> str:
        return f"learning rate {self.suggestion:.2g} (of {len(self.rates)} tried)"


def find_lr(
    trainer: Trainer,
    data: Any,
    *,
    start: float = 1e-6,
    end: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RateFinding:
    """Train for some steps with growing rates; see `Trainer.find_lr`."""
    if not 0 < start < end or steps < 10:
        text = f"expected 0 < start < end and at least 10 steps, received {start}, {end}, {steps}"
        fail(ValueRangeError, "find_lr", text)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average, best = 0.0, math.inf
    optimizer = trainer.need_optimizer("find_lr")
    with restored(trainer, schedule=False):
        training(trainer.model, trainer.rests)
        batches = itertools.islice(_batches(data, batch_size), steps)
        for number, batch in enumerate(batches):
            rate = start * (end / start) ** (number / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _take(trainer, batch)
            if not math.isfinite(loss):
                break
            average = 0.9 * average + 0.1 * loss
            smooth = average / (1 - 0.9 ** (number + 1))
            if number > 10 and smooth > 4 * best:
                break
            best = min(best, smooth)
            rates.append(rate)
            losses.append(loss)
            smoothed.append(smooth)
    if len(rates) < 10:
        text = f"the loss left the finite numbers after {len(rates)} steps, at rate {rate:.2g}"
        fail(ValueRangeError, "find_lr", text, "begin with a smaller `start`")
    return RateFinding(rates, losses, smoothed, _steepest(rates, smoothed))


def _steepest(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate at which the loss falls fastest, by the logarithm of the rate.

    The fall is measured over a tenth of the rates to either side, for batches differ; the first
    ones are left out, for their average is of few.
    """
    reach = max(3, len(losses) // 10)
    low = min(range(len(losses)), key=lambda i: losses[i])
    places = range(reach, max(low, reach + 1))
    last = len(losses) - 1
    return rates[min(places, key=lambda i: losses[min(i + reach, last)] - losses[i - reach])]


@dataclass(frozen=True)
class SizeFinding:
    """What `find_batch_size` saw. `suggestion`: the least size that is nearly the fastest."""

    sizes: list[int]
    speeds: list[float]
    memory: list[int]
    suggestion: int

    def __str__(self) -> str:
        rows = [
            [str(size), f"{speed:,.0f}", readable(held), "←" if size == self.suggestion else ""]
            for size, speed, held in zip(self.sizes, self.speeds, self.memory, strict=True)
        ]
        return table(["batch size", "samples/s", "memory", ""], rows, right=4)


def find_batch_size(
    trainer: Trainer,
    data: Any,
    *,
    smallest: int = 8,
    largest: int = 4096,
    memory_limit: int | None = None,
    seconds: float = 0.5,
) -> SizeFinding:
    """Time some steps of each size; see `Trainer.find_batch_size`."""
    limit = memory_limit or int(0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    sizes: list[int] = []
    speeds: list[float] = []
    memory: list[int] = []
    trainer.need_optimizer("find_batch_size")
    size = smallest
    while size <= largest:
        with restored(trainer):
            training(trainer.model, trainer.rests)
            batch = next(_batches(data, size))
            if sample_count(batch) < size and sizes:
                break
            _take(trainer, batch)
            speeds.append(_speed(trainer, batch, seconds) * size)
        sizes.append(size)
        memory.append(resident_bytes())
        if memory[-1] * 1.5 > limit:
            break
        size *= 2
    enough = 0.95 * max(speeds)
    return SizeFinding(sizes, speeds, memory, sizes[[s >= enough for s in speeds].index(True)])


def _speed(trainer: Trainer, batch: Any, seconds: float) -> float:
    """Steps in a second, by the fastest step of a while: others also use the machine."""
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end or best == math.inf:
        start = time.perf_counter()
        _take(trainer, batch)
        best = min(best, time.perf_counter() - start)
    return 1 / best


@dataclass(frozen=True)
class OverfitFinding:
    """Whether one batch could be learned by heart, and how the loss went."""

    losses: list[float]
    passed: bool

    def __str__(self) -> str:
        first, last = figure(self.losses[0]), figure(self.losses[-1])
        if self.passed:
            return f"one batch was learned by heart: loss {first} → {last}"
        return (
            f"one batch could not be learned: loss {first} → {last} in {len(self.losses)} steps; "
            "look at the loss function, the learning rate, the targets, and layers that are frozen"
        )


def overfit(
    trainer: Trainer, data: Any, *, steps: int = 200, batch_size: int = 32
) -> OverfitFinding:
    """Train on one batch again and again; see `Trainer.overfit`."""
    trainer.need_optimizer("overfit")
    losses = []
    with restored(trainer, schedule=False):
        training(trainer.model, trainer.rests)
        batch = next(_batches(data, batch_size))
        for _ in range(steps):
            losses.append(_take(trainer, batch))
            if not math.isfinite(losses[-1]):
                break
    return OverfitFinding(losses, math.isfinite(losses[-1]) and losses[-1] < 0.1 * losses[0])
