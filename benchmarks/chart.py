"""The README's picture: a bar for each case, our time over the best peer's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.measure import geometric_mean
from benchmarks.report import label, readable

AHEAD, BEHIND, INK, FAINT = "#2a7f62", "#b5523b", "#222222", "#c8c8c8"
GROUPS = {"rows": "gelu + softmax, layer norm", "matmul": "products", "conv": "convolutions",
          "infer": "inference"}  # fmt: skip
MOST_BARS = 24
"""Groups with many cases show their mean when all of them would not fit."""


def bars_of(report: dict[str, Any]) -> list[tuple[str, float, str]]:
    """(name, ratio, note) for each bar, in the order of the cases.

    Where there are more cases than fit, each group of single operations becomes one bar: the
    geometric mean of its ratios.
    """
    ratios = {name: case for name, case in report["cases"].items() if "ratio" in case}
    if len(ratios) <= MOST_BARS:
        return [(name, case["ratio"], _note(case)) for name, case in ratios.items()]
    bars, groups = [], {}
    for name, case in ratios.items():
        group = name.split("/")[0]
        if group in ("train", "epoch", "eager"):
            bars.append((name, case["ratio"], _note(case)))
        else:
            groups.setdefault(group, []).append(case["ratio"])
    for group, found in groups.items():
        ahead = sum(value <= 1 for value in found)
        text = f"mean of {len(found)} cases, ahead in {ahead}"
        bars.append((GROUPS.get(group, group), geometric_mean(found), text))
    return bars


def _note(case: dict[str, Any]) -> str:
    ours = readable(case["results"]["elinvar"]["median"])
    theirs = readable(case["results"][case["best_peer"]]["median"])
    return f"{ours}, {label(case['best_peer'])} {theirs}"


def draw(report: dict[str, Any], path: Path) -> None:
    """Write the picture; its kind follows the path's ending.

    Raises:
        ValueError: no case has both our time and a peer's.
    """
    bars = bars_of(report)
    if not bars:
        raise ValueError("nothing to draw: no case has both our time and a peer's")
    figure, axes = plt.subplots(figsize=(9, 0.9 + 0.36 * len(bars)), layout="constrained")
    names, values, notes = zip(*bars, strict=True)
    places = range(len(bars))
    colors = [AHEAD if value <= 1 else BEHIND for value in values]
    axes.barh(places, values, color=colors, height=0.62)
    limit = max(1.0, *values)
    for place, value, note in zip(places, values, notes, strict=True):
        text = f"{value:.2f}   {note}"
        axes.text(1.04 * limit, place, text, va="center", fontsize=8, color=INK)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(places, names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, limit * 1.65)  # room for the notes
    axes.set_xlabel("Elinvar's time over the best peer's (left of the line: Elinvar is faster)")
    title = f"{report['machine']}; {report['threads']} threads; {report['when']}"
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= limit])
    axes.xaxis.grid(True, color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
