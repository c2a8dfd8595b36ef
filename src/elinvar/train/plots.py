"""Pictures of training, drawn by matplotlib (the extra `plot`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elinvar.carbon import Forecast, Plan
from elinvar.carbon.times import HOUR
from elinvar.core.errors import ValueRangeError, fail
from elinvar.train.canvas import axes, finished
from elinvar.train.graph_plot import graph

__all__ = ["carbon_plan", "compare_runs", "confusion", "curves", "graph", "learning_rates"]

GREY = "#999999"


def learning_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
    path: str | os.PathLike[str] | None,
) -> Any:
    """Loss against learning rate."""
    figure, (place,) = axes()
    place.plot(rates, losses, color=GREY, linewidth=0.8, label="loss of the batch")
    place.plot(rates, smoothed, label="smoothed")
    place.axvline(suggestion, linestyle=":", color="black", label=f"suggestion: {suggestion:.2g}")
    place.set_xscale("log")
    place.set_xlabel("learning rate")
    place.set_ylabel("loss")
    place.legend(frameon=False)
    return finished(figure, path)


def curves(
    rows: Sequence[dict[str, Any]], path: str | os.PathLike[str] | None, hidden: Sequence[str]
) -> Any:
    """Each figure of a history by epoch, that of the validation data in the same axes."""
    names = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if name not in hidden and not name.startswith("val_")
        and all(isinstance(row.get(name, 0.0), int | float) for row in rows)
    ]  # fmt: skip
    figure, places = axes(max(1, len(names)))
    for name, place in zip(names, places, strict=False):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            points = [(row["epoch"], row[key]) for row in rows if key in row]
            if points:
                place.plot(*zip(*points, strict=True), marker=".", label=label)
        place.set_xlabel("epoch")
        place.set_title(name, loc="left")
        place.xaxis.get_major_locator().set_params(integer=True)
        place.legend(frameon=False)
    return finished(figure, path)


def compare_runs(
    runs: Mapping[str, Sequence[dict[str, Any]]],
    name: str,
    path: str | os.PathLike[str] | None,
) -> Any:
    """One figure of several runs by epoch, and that of their validation data dashed."""
    figure, (place,) = axes(height=4.2)
    for number, (run, rows) in enumerate(runs.items()):
        for key, style in ((name, "-"), (f"val_{name}", "--")):
            points = [(row["epoch"], row[key]) for row in rows if key in row]
            if points:
                label = run if style == "-" else f"{run}, validation"
                where, values = zip(*points, strict=True)
                place.plot(where, values, style, marker=".", color=f"C{number % 10}", label=label)
    place.set_xlabel("epoch")
    place.set_title(name, loc="left")
    place.xaxis.get_major_locator().set_params(integer=True)
    place.legend(frameon=False)
    return finished(figure, path)


def confusion(
    matrix: Any, labels: Sequence[str] | None, path: str | os.PathLike[str] | None
) -> Any:
    """A confusion matrix: rows are targets, columns what was said, shares of the row by colour."""
    matrix = np.asarray(matrix)  # of a history that was saved it is a list
    count = len(matrix)
    names = [str(i) for i in range(count)] if labels is None else list(labels)
    if len(names) != count:
        fail(ValueRangeError, "plot", f"{count} classes, but {len(names)} labels")
    figure, (place,) = axes(height=5.2)
    shares = matrix / matrix.sum(1, keepdims=True).clip(1)
    place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= 25:
        for i in range(count):
            for j in range(count):
                colour = "white" if shares[i, j] > 0.5 else "black"
                text = f"{matrix[i, j]:,}" if matrix[i, j] else ""
                place.text(j, i, text, ha="center", va="center", color=colour, fontsize=7)
    place.set_xticks(range(count), names, rotation=60, ha="right")
    place.set_yticks(range(count), names)
    place.set_xlabel("the model says")
    place.set_ylabel("it is")
    return finished(figure, path)


def carbon_plan(plan: Plan, forecast: Forecast, path: str | os.PathLike[str] | None = None) -> Any:
    """The carbon of a kilowatt-hour by hour, and when it will run."""
    figure, (place,) = axes(height=3.2)
    figure.set_size_inches(9, 3.2)
    end = max(plan.end, plan.deadline or plan.end)
    first = True
    for start, stop, grams in zip(forecast.starts, forecast.ends, forecast.grams, strict=True):
        if stop > plan.now and start < end + 6 * HOUR:
            hours = [(start - plan.now) / HOUR, (stop - plan.now) / HOUR]
            place.plot(hours, [grams, grams], color=GREY, linewidth=1.5)
    for start, stop in plan.blocks:
        label = "runs" if first else None
        first = False
        begin, till = (start - plan.now) / HOUR, (stop - plan.now) / HOUR
        place.axvspan(begin, till, color="C2", alpha=0.25, linewidth=0, label=label)
    if plan.deadline is not None:
        where = (plan.deadline - plan.now) / HOUR
        place.axvline(where, linestyle=":", color="black", label="deadline")
    place.set_xlabel("hours from now")
    place.set_ylabel("g CO₂e/kWh")
    place.set_ylim(bottom=0)
    place.legend(frameon=False)
    return finished(figure, path)
