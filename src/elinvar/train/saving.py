"""Checkpoints of a Trainer: last, best, top k, on exception."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.habits import named
from elinvar.train.callbacks import Callback
from elinvar.train.stopping import Monitor

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer


class Checkpoint(Callback):
    """Saves the whole state of a training run, so that it can go on.

    Files in the folder: `last.safetensors` after each epoch; `epoch-0007.safetensors` and the like
    for the `keep` best epochs, if a figure is monitored (`best` is the path of the first of them);
    `exception.safetensors` when an error ends training.

    Args:
        folder: where; it is made.
        monitor: the figure that says which epoch is best; None keeps no best one.
        mode: see `Monitor`.
        keep: how many of the best.
        last: whether to keep the last.
        every: also save `last` after so many steps; 0 for epochs only.
    """

    folder: Path
    keep: int
    last: bool
    every: int
    monitor: Monitor | None

    @named("Checkpoint")
    def __init__(
        self,
        folder: str | os.PathLike[str],
        monitor: str | None = "val_loss",
        mode: str = "auto",
        keep: int = 1,
        last: bool = True,
        every: int = 0,
    ) -> None:
        if keep < 1 or every < 0:
            text = f"keep must be 1 or more and every 0 or more, received {keep} and {every}"
            fail(ValueRangeError, "Checkpoint", text)
        self.folder, self.keep, self.last, self.every = Path(folder), keep, last, every
        self.monitor = None if monitor is None else Monitor(monitor, mode)
        self.ranking: list[dict[str, Any]] = []  # the best first: value, epoch, file

    def on_fit_start(self, trainer: Trainer) -> None:
        """Make the folder now: an error after an epoch would be too late."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_step_end(self, trainer: Trainer) -> None:
        """Save after so many steps."""
        if self.every and trainer.step % self.every == 0:
            trainer.save(self.folder / "last.safetensors")

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Save the last, and the best."""
        if self.monitor is not None:
            self._rank(trainer, self.monitor)
        if self.last:
            trainer.save(self.folder / "last.safetensors")

    def _rank(self, trainer: Trainer, monitor: Monitor) -> None:
        value = monitor.value(trainer)
        worse = [
            place
            for place, held in enumerate(self.ranking)
            if monitor.better(trainer, value, held["value"])
        ]
        place = worse[0] if worse else len(self.ranking)
        if place >= self.keep or not monitor.better(trainer, value, None):
            return
        file = f"epoch-{trainer.epoch:04d}.safetensors"
        self.ranking.insert(place, {"value": value, "epoch": trainer.epoch, "file": file})
        dropped, self.ranking = self.ranking[self.keep :], self.ranking[: self.keep]
        trainer.save(self.folder / file)
        for held in dropped:
            (self.folder / held["file"]).unlink(missing_ok=True)

    @property
    def best(self) -> Path | None:
        """The file of the best epoch."""
        return self.folder / self.ranking[0]["file"] if self.ranking else None

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Save what there is, unless `fit` itself does so."""
        if isinstance(error, Exception):
            trainer.save(self.folder / "exception.safetensors")

    def state_dict(self) -> dict[str, Any]:
        """The ranking."""
        return {"ranking": self.ranking}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the ranking; files that are gone do not count."""
        self.ranking = [
            dict(held) for held in state_dict["ranking"] if (self.folder / held["file"]).exists()
        ]
