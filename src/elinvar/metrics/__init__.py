"""Figures of how good a model is, gathered batch by batch."""

from __future__ import annotations

from typing import Any

from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.other_names import nearest
from elinvar.metrics.classification import Accuracy
from elinvar.metrics.metric import Metric

_NAMED: dict[str, type[Metric]] = {"accuracy": Accuracy}


def get(metric: Any) -> Metric:
    """The metric of a name (`"accuracy"`), or the metric itself."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if not isinstance(metric, str):
        text = f"expected a name or a Metric, received {type(metric).__name__}"
        fail(DTypeError, "metrics", text, f"names: {', '.join(_NAMED)}")
    if metric not in _NAMED:
        fail(ValueRangeError, "metrics", f"there is no metric {metric!r}", nearest(metric, _NAMED))
    return _NAMED[metric]()


__all__ = ["Accuracy", "Metric", "get"]
