"""Optimizers and schedules by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.other_names import nearest
from elinvar.nn.module import Module
from elinvar.optim.adam import Adam, AdamW
from elinvar.optim.cycles import OneCycleLR, warmup_cosine
from elinvar.optim.lion import Lion
from elinvar.optim.muon import Muon
from elinvar.optim.optimizer import Optimizer
from elinvar.optim.rmsprop import RMSprop
from elinvar.optim.schedules import LRScheduler
from elinvar.optim.sgd import SGD
from elinvar.train.losses import NAMED as LOSSES

NAMED: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "lion": Lion,
    "muon": Muon,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def optimizer_of(optimizer: Any, model: Module) -> Optimizer:
    """The optimizer of a name over a model's parameters, or the optimizer itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        text = "optimizer must be one of el.optim or a name"
        hint = "write el.optim.AdamW(model.parameters(), lr=1e-3)"
        fail(DTypeError, "Trainer", f"{text}, received {optimizer!r:.60}", hint)
    if optimizer.lower() not in NAMED:
        hint = nearest(optimizer.lower(), NAMED)
        if optimizer in LOSSES:
            hint = "the order is el.Trainer(model, optimizer, loss)"
        fail(ValueRangeError, "Trainer", f"there is no optimizer {optimizer!r}", hint)
    return NAMED[optimizer.lower()](model.parameters())


def _one_cycle(optimizer: Optimizer, total: int) -> LRScheduler:
    rates = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, rates if len(rates) > 1 else rates[0], total_steps=total)


def _cosine(optimizer: Optimizer, total: int) -> LRScheduler:
    return warmup_cosine(optimizer, min(total // 20 + 1, total), total)


SCHEDULES: dict[str, Callable[[Optimizer, int], LRScheduler]] = {
    "one_cycle": _one_cycle,
    "cosine": _cosine,
}


def schedule_for(wish: Any, optimizer: Optimizer, total: int) -> LRScheduler:
    """The schedule of a name or function for so many steps.

    Raises:
        ValueRangeError, DTypeError: there is none of this name, or the function gives none.
    """
    if isinstance(wish, str):
        if wish not in SCHEDULES:
            hint = nearest(wish, SCHEDULES)
            fail(ValueRangeError, "Trainer", f"there is no schedule {wish!r}", hint)
        return SCHEDULES[wish](optimizer, total)
    found = wish(optimizer, total) if callable(wish) and not isinstance(wish, type) else wish
    if not isinstance(found, LRScheduler):
        text = "schedule must be a schedule of el.optim, a name, or a function that gives one"
        text = f"{text}, received {wish!r:.60}"
        hint = "for example lambda optimizer, steps: OneCycleLR(optimizer, 1e-3, steps)"
        fail(DTypeError, "Trainer", text, hint)
    return found
