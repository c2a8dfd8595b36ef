"""A table in a notebook: a row for each epoch, and the running one."""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from elinvar.train.callbacks import Callback
from elinvar.train.figures import HINT, SLOW_DATA, cost, final, of, running, took

if TYPE_CHECKING:
    from elinvar.train.trainer import Trainer

INTERVAL = 0.5  # seconds between two drawings


class NotebookTable(Callback):
    """The figures of all epochs as a table that grows."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._html: Any = None
        self._rows: list[dict[str, str]] = []
        self._note = ""
        self._next = self._start = 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Show an empty table."""
        from IPython.display import HTML, display  # there is one where this is used

        self._rows, self._note = [], ""
        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._start, self._next = time.monotonic(), 0.0

    def on_step_end(self, trainer: Trainer) -> None:
        """Draw, twice a second."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL
        total = trainer.num_batches
        row = {"epoch": of(trainer.epoch + 1, trainer.epochs), **dict(running(trainer))}
        row["time"] = took(now - self._start)
        self._draw(row, trainer.batches_done / total if total else None)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Add the epoch's row."""
        logs = trainer.logs
        row = {"epoch": of(trainer.epoch, trainer.epochs), **dict(final(trainer))}
        row["time"] = took(logs["seconds"])
        row["samples/s"] = f"{logs['samples_per_second']:,.0f}"
        row["energy"] = cost(trainer)
        self._rows.append(row)
        if logs["waiting"] > SLOW_DATA and logs["seconds"] > 1.0:
            self._note = "hint: " + HINT.format(share=logs["waiting"])
        self._draw(None, None)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Say why it ended early, and what it took."""
        if trainer.stop_reason is not None:
            self._note = f"stopped: {trainer.stop_reason}"
        self._note = "; ".join(filter(None, (self._note, trainer.energy.summary())))
        self._draw(None, None)

    def _draw(self, row: dict[str, str] | None, share: float | None) -> None:
        rows = [*self._rows, *([] if row is None else [row])]
        self._handle.update(self._html(table(rows, share, self._note)))


def table(rows: list[dict[str, str]], share: float | None, note: str) -> str:
    """The HTML of rows of figures, a bar for the running epoch, and a note."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(row.get(name, ''))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    bar = "" if share is None else f'<progress max="1" value="{share:.3f}"></progress>'
    text = f"<p>{escape(note)}</p>" if note else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{bar}{text}"
