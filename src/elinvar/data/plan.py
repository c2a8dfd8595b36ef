"""Which samples an epoch has, in which order: everything that is decided before data are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elinvar.data.counters import Integers, order


@dataclass(frozen=True)
class Plan:
    """The samples of an epoch in their order.

    Attributes:
        indices: into the source; a range where the order is the source's own.
        epochs: which epoch each counts as; they differ where a pipeline repeats.
    """

    indices: range | Integers
    epochs: int | Integers

    def __len__(self) -> int:
        return len(self.indices)

    def part(self, start: int, stop: int | None, step: int = 1) -> Plan:
        """Every so many of them, from one to another."""
        epochs = self.epochs if isinstance(self.epochs, int) else self.epochs[start:stop:step]
        return Plan(self.indices[start:stop:step], epochs)

    def chosen(self, numbers: Integers) -> Plan:
        """Those with the given numbers."""
        indices = self.indices
        if isinstance(indices, range):
            plain = indices == range(len(indices))
            indices = numbers if plain else np.array(indices, np.int64)[numbers]
        else:
            indices = indices[numbers]
        return Plan(indices, self.epochs if isinstance(self.epochs, int) else self.epochs[numbers])

    def at(self, number: int) -> tuple[int, int]:
        """Index and epoch of one."""
        epochs = self.epochs
        epoch = epochs if isinstance(epochs, int) else int(epochs[number])
        return int(self.indices[number]), epoch


def joined(plans: Sequence[Plan]) -> Plan:
    """One plan after the other."""
    if len(plans) == 1:
        return plans[0]
    indices = [np.asarray(plan.indices, np.int64) for plan in plans]
    epochs = [np.broadcast_to(np.asarray(p.epochs, np.int64), len(p)) for p in plans]
    return Plan(np.concatenate(indices), np.concatenate(epochs))


Below = Callable[[int], Plan]


@dataclass(frozen=True)
class Shuffle:
    """Mix all samples anew in each epoch."""

    seed: int

    def plan(self, below: Below, epoch: int) -> Plan:
        """The plan of what is below, mixed."""
        plan = below(epoch)
        return plan.chosen(order(len(plan), self.seed, epoch))

    def length(self, count: int) -> int:
        """How many of `count` samples are left."""
        return count


@dataclass(frozen=True)
class Shard:
    """Every `count`-th sample, from number `rank`."""

    rank: int
    count: int

    def plan(self, below: Below, epoch: int) -> Plan:
        """The plan of what is below, thinned."""
        return below(epoch).part(self.rank, None, self.count)

    def length(self, count: int) -> int:
        """How many of `count` samples are left."""
        return max(0, -(-(count - self.rank) // self.count))


@dataclass(frozen=True)
class Cut:
    """The samples from `start` to `stop`."""

    start: int
    stop: int | None

    def plan(self, below: Below, epoch: int) -> Plan:
        """A part of the plan of what is below."""
        return below(epoch).part(self.start, self.stop)

    def length(self, count: int) -> int:
        """How many of `count` samples are left."""
        return max(0, (count if self.stop is None else min(count, self.stop)) - self.start)


@dataclass(frozen=True)
class Repeat:
    """Several rounds in one epoch, each with an order and random numbers of its own."""

    count: int

    def plan(self, below: Below, epoch: int) -> Plan:
        """The plans of the rounds, one after the other."""
        return joined([below(epoch * self.count + number) for number in range(self.count)])

    def length(self, count: int) -> int:
        """How many samples `count` become."""
        return count * self.count


OrderStage = Shuffle | Shard | Cut | Repeat


def plan_of(source: Any, stages: Sequence[OrderStage], epoch: int) -> Plan:
    """The plan of an epoch."""
    if not stages:
        found: Plan = source.plan(epoch)
        return found
    return stages[-1].plan(lambda inner: plan_of(source, stages[:-1], inner), epoch)


def length_of(source: Any, stages: Sequence[OrderStage]) -> int:
    """The number of samples in an epoch, without making its plan."""
    count: int = source.plan_length()
    for stage in stages:
        count = stage.length(count)
    return count
