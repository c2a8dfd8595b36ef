"""Metrics of an order: how well scores put one class before the other."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from elinvar.core.errors import ShapeError, fail
from elinvar.metrics.metric import Gathered

Floats = npt.NDArray[np.float64]


class AUROC(Gathered):
    """The chance that a sample of the class has a greater score than one that is not of it.

    That is the area under the curve of true against false positives; ties count half. With K
    scores for a sample it is the mean over the classes, each against all others.

    All scores are kept until `compute`.

    Shape:
        output: (N,) or (N, 1) scores of class 1, or (N, K); target: (N,).

    Example:
        >>> import elinvar as el
        >>> el.metrics.AUROC()(el.asarray([0.1, 0.4, 0.35, 0.8]), el.asarray([0, 0, 1, 1]))
        0.75
    """

    name: ClassVar[str] = "auroc"

    def compute(self) -> float:
        """The area; NaN where a class has no samples, or all of them."""
        return _over_classes(self.name, *self.gathered(), auroc)


class AveragePrecision(Gathered):
    """Σₙ (Rₙ - Rₙ₋₁) Pₙ over all thresholds: the area under precision against recall.

    With K scores for a sample it is the mean over the classes, each against all others. All scores
    are kept until `compute`.

    Shape:
        output: (N,) or (N, 1) scores of class 1, or (N, K); target: (N,).

    Example:
        >>> import elinvar as el
        >>> metric = el.metrics.AveragePrecision()
        >>> round(metric(el.asarray([0.1, 0.4, 0.35, 0.8]), el.asarray([0, 0, 1, 1])), 4)
        0.8333
    """

    name: ClassVar[str] = "average_precision"

    def compute(self) -> float:
        """The area; NaN where a class has no samples."""
        return _over_classes(self.name, *self.gathered(), average_precision)


def _over_classes(op: str, scores: Floats, target: npt.NDArray[Any], figure: Any) -> float:
    if not len(target):
        return math.nan
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.shape == target.shape:
        return float(figure(scores, target == 1))
    if scores.ndim != 2 or scores.shape[:1] != target.shape:
        text = f"scores {list(scores.shape)} do not fit targets {list(target.shape)}"
        fail(ShapeError, op, text, "expected (N,) or (N, K) with (N,)")
    if scores.shape[1] == 2:  # one is the other's opposite; the second is that of class 1
        return float(figure(scores[:, 1] - scores[:, 0], target == 1))
    return float(np.mean([figure(scores[:, k], target == k) for k in range(scores.shape[1])]))


def auroc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The area under the ROC curve, from ranks (the statistic of Mann and Whitney)."""
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return math.nan
    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]  # equal scores share their mean rank
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def average_precision(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The area under precision against recall, as steps."""
    count = int(positive.sum())
    if not count:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # where a group of equal scores ends
    precision = right[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(right[last], prepend=0) * precision).sum() / count)
