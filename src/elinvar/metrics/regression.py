"""Metrics of numbers. Sums are taken in float64."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from elinvar.core.dtypes import float64
from elinvar.core.errors import ShapeError, fail
from elinvar.metrics.metric import Metric


def _pair(op: str, output: Any, target: Any) -> tuple[Any, Any]:
    """Both in float64 and of one shape; a last axis of one output may be left out of the target."""
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1:
        output = output.squeeze(-1)
    if output.shape != target.shape:
        text = f"output {output._type} and target {target._type} have different shapes"
        fail(ShapeError, op, text, "reshape one of them: broadcasting would compare all with all")
    return output.astype(float64), target.astype(float64)


class _MeanOf(Metric):
    """A mean over all elements."""

    higher_is_better: ClassVar[bool] = False

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        output, target = _pair(self.name, output, target)
        self.add("sum", self._of(output - target).sum(), float64)
        self.add("all", (target == target).sum() + (target != target).sum())

    def _of(self, difference: Any) -> Any:
        raise AssertionError("each mean has its formula")

    def compute(self) -> float:
        """The mean; NaN if there was nothing."""
        return self.total("sum") / self.total("all") if self.total("all") else math.nan


class MSE(_MeanOf):
    """Mean of (output - target)².

    Example:
        >>> import elinvar as el
        >>> el.metrics.MSE()(el.asarray([1.0, 2.0]), el.asarray([1.0, 4.0]))
        2.0
    """

    name: ClassVar[str] = "mse"

    def _of(self, difference: Any) -> Any:
        return difference * difference


class RMSE(MSE):
    """√ of the mean of (output - target)².

    Example:
        >>> import elinvar as el
        >>> el.metrics.RMSE()(el.asarray([1.0, 2.0]), el.asarray([3.0, 4.0]))
        2.0
    """

    name: ClassVar[str] = "rmse"

    def compute(self) -> float:
        """The root of the mean."""
        return math.sqrt(super().compute())


class MAE(_MeanOf):
    """Mean of |output - target|.

    Example:
        >>> import elinvar as el
        >>> el.metrics.MAE()(el.asarray([1.0, 2.0]), el.asarray([1.0, 4.0]))
        1.0
    """

    name: ClassVar[str] = "mae"

    def _of(self, difference: Any) -> Any:
        return difference.abs()


class R2(Metric):
    """The part of the targets' variance that outputs explain: 1 - Σ (y - ŷ)² / Σ (y - ȳ)².

    Several columns are weighted alike. The variance is gathered by the update of Chan, Golub and
    LeVeque (1979), which does not cancel.

    Shape:
        both (N,) or (N, columns).

    Example:
        >>> import elinvar as el
        >>> el.metrics.R2()(el.asarray([1.0, 2.0, 3.0]), el.asarray([1.0, 2.0, 4.0]))
        0.7857142857142857
    """

    name: ClassVar[str] = "r2"

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        output, target = _pair(self.name, output, target)
        columns = target.shape[1:]
        if target.ndim == 0 or target.shape[0] == 0:
            return
        before = self.counter("all", (), float64)
        mean = self.counter("mean", columns, float64)
        count = (target == target).sum(0).astype(float64) + (target != target).sum(0)
        fresh = target.mean(0)
        spread = ((target - fresh) ** 2).sum(0)
        step = fresh - mean
        after = before + count
        self.add("spread", spread + step * step * before * count / after, float64)
        self.add("mean", step * count / after, float64)
        self.add("all", count.reshape(-1)[0] if count.ndim else count, float64)
        self.add("residual", ((target - output) ** 2).sum(0), float64)

    def compute(self) -> float:
        """The mean over columns; NaN of fewer than two samples. A constant target gives 1 or 0."""
        if self.total("all") < 2:
            return math.nan
        residual, spread = np.asarray(self.total("residual")), np.asarray(self.total("spread"))
        with np.errstate(divide="ignore", invalid="ignore"):
            found = 1 - residual / spread
        constant = np.where(residual == 0, 1.0, 0.0)
        return float(np.mean(np.where(spread == 0, constant, found)))
