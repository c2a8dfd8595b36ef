"""Stopping early, and the weights of the best epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.habits import named
from elinvar.core.other_names import nearest
from elinvar.tensor.tape import no_grad
from elinvar.train.callbacks import Callback

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer


class Monitor:
    """Which figure is watched, and whether a value of it is better than another.

    Args:
        name: a figure of the epoch, such as `val_loss`.
        mode: `min`, `max`, or `auto`: greater is better for metrics that say so, else smaller.
    """

    name: str

    def __init__(self, name: str, mode: str = "auto") -> None:
        if mode not in ("auto", "min", "max"):
            fail(ValueRangeError, "Monitor", f"mode must be min, max or auto, received {mode!r}")
        self.name, self.mode = name, mode

    def value(self, trainer: Trainer) -> float:
        """The figure's present value.

        Raises:
            ValueRangeError: the epoch has no figure of this name.
        """
        if self.name not in trainer.logs:
            text = f"there is no figure {self.name!r} to watch"
            hint = nearest(self.name, trainer.logs)
            if self.name.startswith("val_") and "val_loss" not in trainer.logs:
                hint = "pass validation=… to fit"
            fail(ValueRangeError, "Trainer", text, hint)
        return float(trainer.logs[self.name])

    def better(self, trainer: Trainer, new: float, old: float | None, delta: float = 0.0) -> bool:
        """Whether `new` is better than `old` by more than `delta`. NaN is never better."""
        if math.isnan(new):
            return False
        if old is None:
            return True
        return new > old + delta if self.is_max(trainer) else new < old - delta

    def is_max(self, trainer: Trainer) -> bool:
        """Whether greater is better."""
        if self.mode != "auto":
            return self.mode == "max"
        metric = trainer.metrics.get(self.name.removeprefix("val_"))
        return metric is not None and metric.higher_is_better


class EarlyStopping(Callback):
    """Stops when a figure has not become better for `patience` epochs.

    Args:
        monitor: the figure, such as `val_loss` or `val_accuracy`.
        patience: epochs without improvement that are tolerated.
        min_delta: improvements up to it do not count.
        mode: see `Monitor`.
        restore_best: at the end, put the weights of the best epoch back.
    """

    monitor: Monitor
    patience: int
    min_delta: float
    best_epoch: int
    waited: int

    @named("EarlyStopping")
    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        if not isinstance(patience, int) or patience < 0:
            text = f"patience must be a whole number from 0, received {patience!r}"
            fail(ValueRangeError, "EarlyStopping", text)
        self.monitor, self.patience, self.min_delta = Monitor(monitor, mode), patience, min_delta
        self.restore_best = restore_best
        self.best: float | None = None
        self.best_epoch = 0
        self.waited = 0
        self._weights: dict[str, Any] = {}
        self._averages: dict[str, Any] = {}  # with `ema` the figures are those of the averages

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Compare."""
        value = self.monitor.value(trainer)
        if self.monitor.better(trainer, value, self.best, self.min_delta):
            self.best, self.best_epoch, self.waited = value, trainer.epoch, 0
            if self.restore_best:
                state = trainer.model.state_dict()
                self._weights = {name: cell.detach().clone() for name, cell in state.items()}
                averages = {} if trainer.average is None else trainer.average.state_dict()
                self._averages = {name: cell.clone() for name, cell in averages.items()}
            return
        self.waited += 1
        if self.waited > self.patience:
            name = self.monitor.name
            best = "never a number" if self.best is None else f"best {self.best:.4g}"
            trainer.stop(f"{name} has not improved for {self.waited} epochs ({best})")

    def on_fit_end(self, trainer: Trainer) -> None:
        """Put the best weights back."""
        if self._weights and self.best_epoch != trainer.epoch:
            with no_grad():
                trainer.model.load_state_dict(self._weights)
                if trainer.average is not None and self._averages:
                    trainer.average.load_state_dict(self._averages)

    def state_dict(self) -> dict[str, Any]:
        """The best so far, its weights and their averages."""
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
            "averages": self._averages,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on."""
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.waited, self._weights = state_dict["waited"], dict(state_dict["weights"])
        self._averages = dict(state_dict.get("averages", {}))
