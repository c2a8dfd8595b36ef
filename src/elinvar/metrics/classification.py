"""Metrics of classes: right and wrong, counted exactly."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.metrics.metric import Metric
from elinvar.tensor.creation import arange
from elinvar.tensor.elementwise import where
from elinvar.tensor.extra.statistics import bincount

AVERAGES = ("macro", "micro", "weighted", "binary", None)


def classes(op: str, output: Any, target: Any, threshold: float) -> tuple[Any, Any, int]:
    """The class that each output says, the targets in its shape, and the number of classes."""
    if target.dtype.kind not in "iub":
        text = f"target must hold classes, which are integers, received {target._type}"
        hint = "for numbers take mse, mae or r2" if target.dtype.is_floating else None
        if hint and target.shape == output.shape and target.ndim > 1 and target.shape[1] != 1:
            hint += "; one-hot rows become classes by target.argmax(1); several labels of 0 and 1 "
            hint += "may be integers, which the loss 'bce' takes as well"
        fail(ShapeError, op, text, hint)
    if output.ndim == target.ndim + 1:
        if output.shape[0] == target.shape[0] and output.shape[2:] == target.shape[1:]:
            if output.shape[1] == 1:
                return (output.squeeze(1) > threshold).astype(int64), target.astype(int64), 2
            return output.argmax(1).astype(int64), target.astype(int64), output.shape[1]
    elif output.shape == target.shape:
        return (output > threshold).astype(int64), target.astype(int64), 2
    text = f"output {output._type} does not fit target {target._type}"
    hint = "expected (N, K, …) with (N, …), or equal shapes for two classes"
    fail(ShapeError, op, text, hint)


class _OfClasses(Metric):
    """A metric that compares the class that an output says with the target.

    Args:
        threshold: with two classes and one output each, an output above it says class 1: 0 fits
            logits, 0.5 fits probabilities.
        ignore_index: targets of this value are not counted.
    """

    def __init__(self, threshold: float = 0.0, ignore_index: int | None = None) -> None:
        super().__init__()
        self.threshold, self.ignore_index = threshold, ignore_index


class Accuracy(_OfClasses):
    """The part of samples whose class is right: #{i : argmaxₖ output[i, k] = target[i]} / n.

    Args:
        threshold: with outputs of the target's shape there are two classes, and an output above
            it says class 1: 0 fits logits, 0.5 fits probabilities.
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

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        found, wanted, _ = classes(self.name, output, target, self.threshold)
        self._count(found == wanted, wanted)

    def _count(self, right: Any, target: Any) -> None:
        counts = target == target if self.ignore_index is None else target != self.ignore_index
        self.add("right", (right & counts).sum())
        self.add("all", counts.sum())

    def compute(self) -> float:
        """The part of right ones; NaN if there were no samples."""
        return self.total("right") / self.total("all") if self.total("all") else math.nan


class TopKAccuracy(Accuracy):
    """The part of samples whose class is among the k greatest outputs.

    A class is among them if fewer than k others have a greater output, or an equal one and a lower
    index.

    Args:
        k: how many.
        ignore_index: targets of this value are not counted.

    Shape:
        output: (N, K, …); target: (N, …).

    Example:
        >>> import elinvar as el
        >>> outputs = el.asarray([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
        >>> el.metrics.TopKAccuracy(2)(outputs, el.asarray([1, 2]))
        0.5
    """

    name: ClassVar[str] = "top_k"

    def __init__(self, k: int = 5, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index=ignore_index)
        if not isinstance(k, int) or k < 1:
            fail(ValueRangeError, self.name, f"k must be 1 or more, received {k!r}")
        self.k = k

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        if output.ndim != target.ndim + 1 or output.shape[1] < self.k:
            text = f"output {output._type} does not fit target {target._type} and k = {self.k}"
            fail(ShapeError, self.name, text, "expected (N, K, …) with (N, …), K at least k")
        line = (1, output.shape[1], *(1 for _ in range(output.ndim - 2)))
        places = arange(output.shape[1]).reshape(line)
        wanted = target.astype(int64).unsqueeze(1)
        own = where(places == wanted, output, 0).sum(1, keepdim=True)  # the target's own output
        ahead = (output > own) | ((output == own) & (places < wanted))
        known = (places == wanted).any(1)
        self._count((ahead.sum(1) < self.k) & known, target)


class ConfusionMatrix(_OfClasses):
    """How often class i (the row) was taken for class j (the column).

    Args:
        threshold, ignore_index: see `Accuracy`.

    Shape:
        output: (N, K, …) with target (N, …), or both (N, …). The matrix is K × K.

    Example:
        >>> import elinvar as el
        >>> matrix = el.metrics.ConfusionMatrix()
        >>> matrix(el.asarray([2.0, -1.0, 3.0]), el.asarray([1, 1, 0])).tolist()
        [[0, 1], [1, 1]]
    """

    name: ClassVar[str] = "confusion"

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        found, wanted, count = classes(self.name, output, target, self.threshold)
        counts = (wanted >= 0) & (wanted < count)
        if self.ignore_index is not None:
            counts = counts & (wanted != self.ignore_index)
        pairs = where(counts, wanted * count + found, -1).reshape(-1)
        self.add("matrix", bincount(pairs, length=count * count).reshape(count, count))

    def compute(self) -> Any:
        """The matrix, a NumPy array of int64."""
        return self.matrix()

    def matrix(self) -> npt.NDArray[np.int64]:
        """Rows are targets, columns outputs."""
        found = self.total("matrix")
        return np.zeros((0, 0), np.int64) if isinstance(found, int) else np.array(found)


class _OfCounts(ConfusionMatrix):
    """A figure of true positives, false positives and false negatives.

    Args:
        average: `macro` (the mean over classes that occur), `weighted` (by the number of targets),
            `micro` (all counted together), `binary` (of class 1), or None (one for each class).
        threshold, ignore_index: see `Accuracy`.
    """

    def __init__(
        self,
        average: str | None = "macro",
        threshold: float = 0.0,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(threshold, ignore_index)
        if average not in AVERAGES:
            text = f"average must be one of {', '.join(map(repr, AVERAGES))}, received {average!r}"
            fail(ValueRangeError, self.name, text)
        self.average = average

    def _figure(self, right: Any, found: Any, wanted: Any) -> Any:
        """The figure, from true positives, what was said, and what should have been."""
        raise AssertionError("each figure has its formula")

    def compute(self) -> Any:
        """The figure; a class that was neither said nor wanted does not count in the mean."""
        matrix = self.matrix()
        if not matrix.sum():
            return math.nan
        right = np.diag(matrix).astype(float)
        found, wanted = matrix.sum(0).astype(float), matrix.sum(1).astype(float)
        if self.average == "micro":
            return float(self._figure(right.sum(), found.sum(), wanted.sum()))
        each = self._figure(right, found, wanted)
        if self.average is None:
            return each
        if self.average == "binary":
            if len(each) != 2:
                text = f"average='binary' needs two classes, there are {len(each)}"
                fail(ValueRangeError, self.name, text, "take 'macro' or 'weighted'")
            return float(each[1])
        if self.average == "weighted":
            return float((each * wanted).sum() / wanted.sum())
        return float(each[(found + wanted) > 0].mean())


def _share(part: Any, whole: Any) -> Any:
    """part / whole, 0 of nothing."""
    return np.divide(part, whole, out=np.zeros_like(np.asarray(part, float)), where=whole != 0)


class Precision(_OfCounts):
    """Of those that were said to be of a class, the part that is: TP / (TP + FP).

    Args:
        average, threshold, ignore_index: see `F1`.

    Example:
        >>> import elinvar as el
        >>> el.metrics.Precision("binary")(el.asarray([2.0, 1.0, -3.0]), el.asarray([1, 0, 1]))
        0.5
    """

    name: ClassVar[str] = "precision"

    def _figure(self, right: Any, found: Any, wanted: Any) -> Any:
        return _share(right, found)


class Recall(_OfCounts):
    """Of those that are of a class, the part that was said to be: TP / (TP + FN).

    Args:
        average, threshold, ignore_index: see `F1`.

    Example:
        >>> import elinvar as el
        >>> el.metrics.Recall("binary")(el.asarray([2.0, 1.0, -3.0]), el.asarray([1, 0, 1]))
        0.5
    """

    name: ClassVar[str] = "recall"

    def _figure(self, right: Any, found: Any, wanted: Any) -> Any:
        return _share(right, wanted)


class F1(_OfCounts):
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN).

    Args:
        average: `macro` (the mean over classes that occur), `weighted` (by the number of targets),
            `micro` (all counted together), `binary` (of class 1), or None (one for each class).
        threshold, ignore_index: see `Accuracy`.

    Example:
        >>> import elinvar as el
        >>> el.metrics.F1("binary")(el.asarray([2.0, 1.0, -3.0, 4.0]), el.asarray([1, 0, 1, 1]))
        0.6666666666666666
    """

    name: ClassVar[str] = "f1"

    def _figure(self, right: Any, found: Any, wanted: Any) -> Any:
        return _share(2 * right, found + wanted)
