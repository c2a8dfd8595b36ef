"""ReduceLROnPlateau: a smaller learning rate when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.optim.optimizer import Optimizer


class ReduceLROnPlateau:
    """Multiplies the learning rate by `factor` after `patience` steps without improvement.

    It looks at a metric's value, so it stands outside of jitted functions (once per epoch).

    Args:
        optimizer: whose groups are set.
        mode: `min` if a smaller metric is better, `max` if a greater one is.
        factor: below 1.
        patience: steps without improvement that are tolerated.
        threshold: improvements below it do not count.
        threshold_mode: `rel` for a part of the best value, `abs` for an absolute difference.
        cooldown: steps after a reduction that are not counted.
        min_lr: the least learning rate, or one for each group.
        eps: smaller changes of the learning rate are not made.

    Example:
        >>> import elinvar as el
        >>> optimizer = el.optim.SGD([el.nn.Parameter(el.zeros(1))], lr=1.0)
        >>> scheduler = el.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (1.0, 0.9, 0.9, 0.9):
        ...     scheduler.step(loss)
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """

    factor: float
    optimizer: Optimizer
    patience: int
    cooldown: int
    threshold: float
    eps: float
    min_lrs: list[float | int] | list[float]
    last_epoch: int
    cooldown_counter: int
    num_bad_epochs: int
    best: float

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            text = f"expected an optimizer, received {type(optimizer).__name__}"
            fail(DTypeError, "ReduceLROnPlateau", text)
        if factor >= 1.0:
            text = f"factor must be less than 1, received {factor}"
            fail(ValueRangeError, "ReduceLROnPlateau", text)
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            text = f"mode {mode!r} or threshold_mode {threshold_mode!r} is not known"
            fail(ValueRangeError, "ReduceLROnPlateau", text)
        count = len(optimizer.param_groups)
        floors = [min_lr] * count if isinstance(min_lr, (int, float)) else list(min_lr)
        if len(floors) != count:
            text = f"received {len(floors)} values of min_lr for {count} groups"
            fail(ValueRangeError, "ReduceLROnPlateau", text)
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.min_lrs, self.eps = floors, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: Any) -> None:
        """Take the metric's newest value and reduce the learning rate if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._improves(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _improves(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "abs":
            return sign * value < sign * self.best - self.threshold
        return sign * value < sign * (self.best * (1.0 - sign * self.threshold))

    def _reduce(self) -> None:
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
            rate = max(group["lr"] * self.factor, least)
            if group["lr"] - rate > self.eps:
                group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        names = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.best = float(state_dict["best"])
        for name in ("num_bad_epochs", "cooldown_counter", "last_epoch"):
            setattr(self, name, int(state_dict[name]))
