"""A figure to draw in, and what is done with it at the end (matplotlib, the extra `plot`)."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from elinvar.core.errors import ValueRangeError, fail


def axes(columns: int = 1, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with axes side by side."""
    if importlib.util.find_spec("matplotlib") is None:
        fail(ValueRangeError, "plot", "pictures need matplotlib", 'pip install "elinvar[plot]"')
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, height), layout="constrained")
    found = figure.subplots(1, columns, squeeze=False)[0]
    for one in found:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(found)


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Save the figure if there is a path; give it, for notebooks to show."""
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
