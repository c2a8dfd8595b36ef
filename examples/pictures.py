"""A picture of a classifier's training: the loss curve beside the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws into files, needs no screen
import matplotlib.pyplot as plt
import numpy as np


def draw(
    path: str | Path, losses: Sequence[float], confusion: np.ndarray, classes: Sequence[str]
) -> None:
    """Write the picture as PNG.

    Args:
        path: the file; its folder is made.
        losses: one number for each step.
        confusion: `(classes, classes)`, counts by true (rows) and predicted (columns) class.
        classes: their names.
    """
    window = max(1, min(50, len(losses) // 4))
    accuracy = np.trace(confusion) / confusion.sum()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    left.plot(losses, color="0.8", label="each step")
    mean = np.convolve(losses, np.ones(window) / window, "valid")
    left.plot(np.arange(len(mean)) + window / 2, mean, label=f"mean of {window}")
    left.set(title="training loss", xlabel="step", ylabel="cross entropy", yscale="log")
    left.legend()
    right.imshow(np.sqrt(confusion), cmap="Blues")
    right.set(title=f"test accuracy {accuracy:.2%}", xlabel="predicted", ylabel="true")
    right.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    right.set_yticks(range(len(classes)), classes)
    dark = confusion.max() / 3
    for (row, column), count in np.ndenumerate(confusion):
        color = "white" if count > dark else "black"
        right.text(column, row, count, ha="center", va="center", fontsize=7, color=color)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
