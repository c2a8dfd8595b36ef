"""A figure to draw in, and what is done with it at the end (matplotlib, the extra `plot`).

Pictures have an opaque white ground and dark lines, on purpose and whatever style is set: so they
are read alike in light and dark notebooks and pages, and in print.
"""

from __future__ import annotations

import importlib.util
import io
import os
from functools import partial
from typing import Any

from elinvar.core.errors import ValueRangeError, fail

GROUND = "white"


def axes(columns: int = 1, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with axes side by side."""
    if importlib.util.find_spec("matplotlib") is None:
        fail(ValueRangeError, "plot", "pictures need matplotlib", 'pip install "elinvar[plot]"')
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure: Any = Figure(figsize=(5.2 * columns, height), layout="constrained")
        figure.set_facecolor(GROUND)
        figure._repr_png_ = partial(png, figure)  # notebooks show what no pyplot knows of, too
        found = figure.subplots(1, columns, squeeze=False)[0]
    for one in found:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(found)


def png(figure: Any) -> bytes:
    """The picture as the bytes of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, facecolor=figure.get_facecolor())
    return stream.getvalue()


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Save the figure if there is a path; give it, for notebooks to show."""
    for place in figure.axes:
        legend = place.get_legend()
        for text in [] if legend is None else legend.get_texts():
            text.set_color("black")
    if path is not None:
        figure.savefig(path, dpi=150, facecolor=figure.get_facecolor())
    return figure
