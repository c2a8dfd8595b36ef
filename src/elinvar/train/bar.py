"""What a Trainer shows while it trains: a bar, a table, or plain lines."""

from __future__ import annotations

import importlib.util
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from elinvar.core.errors import ValueRangeError, fail
from elinvar.train.callbacks import Callback
from elinvar.train.figures import HINT, SLOW_DATA, cost, duration, final, in_notebook, of, running

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

WISHES = ("auto", "bar", "plain", "table")


def progress_wish(wish: Any) -> str | None:
    """The display that is wished for, by name; None for none.

    Raises:
        ValueRangeError: there is none of this name.
    """
    if wish is False or wish is None:
        return None
    wish = "auto" if wish is True else wish
    if wish not in WISHES:
        text = f"progress must be one of {', '.join(map(repr, WISHES))} or False, received {wish!r}"
        fail(ValueRangeError, "Trainer", text)
    return str(wish)


def progress_for(wish: Any) -> Callback | None:
    """The callback that shows progress as wished: `auto`, `bar`, `plain`, `table`, or False."""
    wish = progress_wish(wish)
    if wish is None:
        return None
    if wish == "auto":
        wish = "table" if in_notebook() else "bar" if sys.stderr.isatty() else "plain"
        if wish == "bar" and importlib.util.find_spec("rich") is None:
            wish = "plain"
    if wish == "bar":
        return _made("elinvar.train.bar_terminal", "TerminalBar", "rich")
    if wish == "table":
        return _made("elinvar.train.bar_notebook", "NotebookTable", "IPython")
    return PlainLines()


def _made(module: str, name: str, package: str) -> Callback:
    if importlib.util.find_spec(package) is None:
        text = f"this kind of progress needs the package {package}"
        fail(ValueRangeError, "Trainer", text, f"pip install {package}, or progress='plain'")
    found: Callback = getattr(importlib.import_module(module), name)()
    return found


class PlainLines(Callback):
    """A line for each epoch, and one every `interval` seconds in long ones: for files and pipes.

    Args:
        stream: where to; standard error by default.
        interval: seconds.
    """

    def __init__(self, stream: TextIO | None = None, interval: float = 30.0) -> None:
        self._stream, self._interval = stream, interval
        self._last = self._start = 0.0
        self._first_batch = 0
        self._hinted = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Nothing was said about slow data yet."""
        self._hinted = False

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._last = self._start = time.monotonic()
        self._first_batch = trainer.batches_done

    def on_step_end(self, trainer: Trainer) -> None:
        """Write a line now and then."""
        now = time.monotonic()
        if now - self._last < self._interval:
            return
        self._last = now
        total = trainer.num_batches
        place = f"batch {trainer.batches_done}" + (f"/{total}" if total else "")
        left = ""
        if total:
            done = trainer.batches_done - self._first_batch
            left = f"  {duration((total - trainer.batches_done) * (now - self._start) / done)} left"
        self._write(trainer, trainer.epoch + 1, f"{place}  {_words(running(trainer))}{left}")

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the epoch's line."""
        logs = trainer.logs
        speed = f"{logs['samples_per_second']:,.0f} samples/s"
        took = f"{logs['seconds']:.1f} s"
        text = f"{_words(final(trainer))}  {took}  {speed}  {cost(trainer)}"
        self._write(trainer, trainer.epoch, text)
        if logs["waiting"] > SLOW_DATA and logs["seconds"] > 1.0 and not self._hinted:
            self._hinted = True
            self._print("hint: " + HINT.format(share=logs["waiting"]))

    def on_fit_end(self, trainer: Trainer) -> None:
        """Say why it ended early, and what it took."""
        if trainer.stop_reason is not None:
            self._print(f"stopped: {trainer.stop_reason}")
        self._print(trainer.energy.summary())

    def _write(self, trainer: Trainer, epoch: int, text: str) -> None:
        self._print(f"epoch {of(epoch, trainer.epochs)}  {text}")

    def _print(self, line: str) -> None:
        print(line, file=self._stream or sys.stderr, flush=True)


def _words(figures: list[tuple[str, str]]) -> str:
    return "  ".join(f"{name} {value}" for name, value in figures)
