"""The figures of a training run, epoch by epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from elinvar.carbon import words
from elinvar.core.habits import attribute
from elinvar.train.figures import HIDDEN, figure
from elinvar.train.plots import curves

HEADS = {"samples_per_second": "samples/s", "energy_joules": "energy", "grams_co2e": "carbon"}


def _cell(name: str, value: Any) -> str:
    """A figure in the table."""
    if isinstance(value, float) and math.isfinite(value):
        if name == "samples_per_second":
            return f"{value:,.0f}"
        if name == "waiting":
            return f"{value:.0%}"
        if name == "seconds":
            return f"{value:.2f}"
        if name == "energy_joules":
            return words.energy(value)
        if name == "grams_co2e":
            return words.carbon(value)
    return figure(value)


class Mean:
    """A mean over samples, of the means of batches."""

    total: float
    count: int

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self.total, self.count = total, count

    def add(self, value: float, count: int) -> None:
        """Take a batch in: its mean and its number of samples."""
        self.total += value * count
        self.count += count

    @property
    def value(self) -> float:
        """The mean; NaN of no samples."""
        return self.total / self.count if self.count else math.nan


class History:
    """What `fit` returns: a row of figures for each epoch.

    `history["val_loss"]` is a column, `history[-1]` a row; it prints as a table.
    """

    def __init__(self, rows: list[dict[str, Any]] | None = None) -> None:
        self.rows: list[dict[str, Any]] = rows if rows is not None else []

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            return attribute(self, "History object", name)

    @property
    def columns(self) -> list[str]:
        """The names of all figures, in the order in which they came."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def __getitem__(self, key: str | int) -> Any:
        if isinstance(key, int):
            return self.rows[key]
        if key not in self.columns:
            raise KeyError(f"no figure is called {key!r}; there are {', '.join(self.columns)}")
        return [row.get(key) for row in self.rows]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """The figures by epoch (matplotlib); saved if there is a path."""
        return curves(self.rows, path, (*HIDDEN, "lr"))

    def __str__(self) -> str:
        if not self.rows:
            return "History(no epochs)"
        names = [
            name
            for name in self.columns  # a confusion matrix has no place in a line
            if all(isinstance(row.get(name), int | float | str | None) for row in self.rows)
        ]
        heads = [HEADS.get(name, name) for name in names]
        cells = [heads, *([_cell(name, row.get(name)) for name in names] for row in self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in cells
        )

    __repr__ = __str__
