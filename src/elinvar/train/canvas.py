"""A figure to draw in, and what is done with it at the end (matplotlib, the extra `plot`)."""

from __future__ import annotations

import importlib.util
import io
import os
from functools import partial
from typing import Any

from elinvar.core.errors import ValueRangeError, fail


def axes(columns: int = 1, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with axes side by side."""
    if importlib.util.find_spec("matplotlib") is None:
        fail(ValueRangeError, "plot", "pictures need matplotlib", 'pip install "elinvar[plot]"')
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(5.2 * columns, height), layout="constrained")
    figure._repr_png_ = partial(png, figure)  # notebooks show what no pyplot knows of, too
    found = figure.subplots(1, columns, squeeze=False)[0]
    for one in found:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(found)


def png(figure: Any) -> bytes:
    """The picture as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Save the figure if there is a path; give it, for notebooks to show."""
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
