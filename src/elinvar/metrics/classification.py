"""Metrics of classes."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from elinvar.core.errors import ShapeError, fail
from elinvar.metrics.metric import Metric


class Accuracy(Metric):
    """The part of samples whose class is right: #{i : argmaxₖ output[i, k] = target[i]} / n.

    With outputs of the target's shape there are two classes, and an output above `threshold`
    says class 1 (0 fits logits; 0.5 fits probabilities).

    Args:
        threshold: see above.
        ignore_index: targets of this value are not counted.

    Shape:
        output: (N, K, …) with target (N, …), or both (N, …).

    Example:
        >>> import elinvar as el
        >>> accuracy = el.metrics.Accuracy()
        >>> accuracy.update(el.asarray([[0.1, 0.9], [0.8, 0.2]]), el.asarray([1, 1]))
        >>> accuracy.compute()
        0.5
    """

    name: ClassVar[str] = "accuracy"

    def __init__(self, threshold: float = 0.0, ignore_index: int | None = None) -> None:
        super().__init__()
        self.threshold, self.ignore_index = threshold, ignore_index

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        found = classes(self.name, output, target, self.threshold)
        target = target.reshape(found.shape)
        right = found == target
        if self.ignore_index is not None:
            counts = target != self.ignore_index
            self.add("right", (right & counts).sum())
            self.add("all", counts.sum())
            return
        self.add("right", right.sum())
        self.add("all", (right | True).sum())

    def compute(self) -> float:
        """The part of right ones; NaN if there were no samples."""
        return self.total("right") / self.total("all") if self.total("all") else math.nan


def classes(op: str, output: Any, target: Any, threshold: float) -> Any:
    """The class that each output says, in the target's shape."""
    if output.ndim == target.ndim + 1:
        if output.shape[0] == target.shape[0] and output.shape[2:] == target.shape[1:]:
            if output.shape[1] == 1:
                return (output.squeeze(1) > threshold).astype(target.dtype)
            return output.argmax(1).astype(target.dtype)
    elif output.shape == target.shape:
        return (output > threshold).astype(target.dtype)
    text = f"output {output._type} does not fit target {target._type}"
    hint = "expected (N, K, …) with (N, …), or equal shapes for two classes"
    fail(ShapeError, op, text, hint)
