"""A bar on the terminal, drawn by rich."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from elinvar.train.callbacks import Callback
from elinvar.train.figures import HINT, SLOW_DATA, cost, duration, final, memory, of, running, took

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

BAR = 24  # its width
INTERVAL = 0.1  # seconds between two drawings


class TerminalBar(Callback):
    """The running epoch as a bar with its figures; an epoch that ended leaves one line.

    Args:
        console: rich's console; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._next = self._start = 0.0
        self._first_batch = self._first_sample = 0
        self._hinted = False

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Show an empty bar."""
        self._start = time.monotonic()
        self._first_batch, self._first_sample = trainer.batches_done, trainer.mean.count
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._next = 0.0

    def on_step_end(self, trainer: Trainer) -> None:
        """Draw, ten times a second."""
        now = time.monotonic()
        if now >= self._next and self._live is not None:
            self._live.update(self._row(trainer, now - self._start), refresh=True)
            self._next = time.monotonic() + INTERVAL

    def on_validation_start(self, trainer: Trainer) -> None:
        """Say what takes time now."""
        if self._live is not None:
            text = _head(trainer.epoch + 1, trainer.epochs)
            text.append("  looking at validation data …", "dim")
            self._live.update(text, refresh=True)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Leave the epoch's line."""
        self._close()
        logs = trainer.logs
        cells = [_head(trainer.epoch, trainer.epochs)]
        for name, value in final(trainer):
            cells.append(_named(name, value, "bold" if "val" in name else ""))
        cells.append(Text(took(logs["seconds"]), "cyan"))
        cells.append(Text(f"{logs['samples_per_second']:,.0f} samples/s", "dim"))
        cells.append(Text(cost(trainer), "dim"))
        self._console.print(fitted(cells, self._console.width), highlight=False)
        if logs["waiting"] > SLOW_DATA and logs["seconds"] > 1.0 and not self._hinted:
            self._hinted = True
            self._console.print("hint: " + HINT.format(share=logs["waiting"]), style="yellow")

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Clear the bar, so that the error stands alone."""
        self._close()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Say why it ended early, and what it took."""
        self._close()
        if trainer.stop_reason is not None:
            self._console.print(f"stopped: {trainer.stop_reason}", style="yellow", highlight=False)
        text = trainer.energy.summary()
        self._console.print(text, style="dim", highlight=False, soft_wrap=True)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _row(self, trainer: Trainer, seconds: float) -> Table:
        """One line: epoch, bar, place, time left, speed; below it the figures."""
        total, done = trainer.num_batches, trainer.batches_done
        taken = done - self._first_batch
        speed = (trainer.mean.count - self._first_sample) / seconds if seconds else 0.0
        parts = [_head(trainer.epoch + 1, trainer.epochs)]
        place = Text(f"{done:,}/{total:,}" if total else f"{done:,} batches")
        left = f"{duration((total - done) * seconds / taken)} left" if total and taken else ""
        figures = [_named(name, value) for name, value in running(trainer)]
        share = trainer.waited / seconds if seconds else 0.0
        figures.append(Text(memory(), "dim"))
        figures.append(Text(trainer.energy.running(), "dim"))
        figures.append(Text(f"waiting {share:.0%}", "yellow" if share > SLOW_DATA else "dim"))
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            *parts,
            self._bar(done, total),
            place,
            Text(left, "cyan"),
            Text(f"{speed:,.0f} samples/s", "dim"),
        )
        whole = Table.grid()
        whole.add_row(grid)
        whole.add_row(fitted([Text(""), *figures], self._console.width))
        return whole

    def _bar(self, done: int, total: int | None) -> Text | ProgressBar:
        """The bar; of blocks where there are no colours, for else the two parts look alike."""
        if self._console.no_color and total:
            full = min(BAR, BAR * done // total)
            return Text("█" * full + "░" * (BAR - full))
        return ProgressBar(total=total, completed=done, width=BAR, pulse=total is None)


def _named(name: str, value: str, style: str = "") -> Text:
    return Text().append(f"{name} ", "dim").append(value, style)


def fitted(cells: list[Text], width: int) -> Text:
    """Cells side by side, in as many lines as they need; none is torn apart."""
    whole, used = Text(), 0
    for number, cell in enumerate(cells):
        if used and used + 2 + cell.cell_len > width:
            whole.append("\n  ")
            used = 2
        elif number:
            whole.append("  ")
            used += 2
        whole.append_text(cell)
        used += cell.cell_len
    return whole


def _head(epoch: int, epochs: int) -> Text:
    return Text(f"epoch {of(epoch, epochs)}", "bold")
