"""What a Trainer shows while it trains: plain lines, one for each epoch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.train.callbacks import Callback
from elinvar.train.history import figure

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer


def progress_for(wish: Any) -> Callback | None:
    """The callback that shows progress as wished."""
    if wish is False:
        return None
    if wish not in ("auto", "plain", True):
        text = f"progress must be 'auto', 'plain' or False, received {wish!r}"
        fail(ValueRangeError, "Trainer", text)
    return PlainLines()


class PlainLines(Callback):
    """A line on stderr for each epoch."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the line."""
        hidden = ("seconds", "samples_per_second", "waiting", "lr")
        shown = [f"{k} {figure(v)}" for k, v in trainer.logs.items() if k not in hidden]
        speed = f"{trainer.logs['samples_per_second']:,.0f} samples/s"
        line = f"epoch {trainer.epoch}/{trainer.epochs}  {'  '.join(shown)}  {speed}"
        print(line, file=sys.stderr, flush=True)
