"""Figures of how good a model is, gathered batch by batch."""

from __future__ import annotations

from typing import Any

from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.habits import habit
from elinvar.core.other_names import nearest
from elinvar.metrics.classification import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Precision,
    Recall,
    TopKAccuracy,
)
from elinvar.metrics.metric import Averaged, Gathered, Metric
from elinvar.metrics.perplexity import Perplexity
from elinvar.metrics.ranking import AUROC, AveragePrecision
from elinvar.metrics.regression import MAE, MSE, R2, RMSE
from elinvar.metrics.text import BLEU, ROUGE

_ALL: tuple[type[Metric], ...] = (
    Accuracy, TopKAccuracy, Precision, Recall, F1, ConfusionMatrix, AUROC, AveragePrecision,
    Perplexity, MSE, RMSE, MAE, R2, BLEU, ROUGE,
)  # fmt: skip
_NAMED = {kind.name: kind for kind in _ALL}


def get(metric: Any) -> Metric:
    """The metric of a name (`"accuracy"`), or the metric itself; of a function its mean."""
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, type) and issubclass(metric, Metric):
        return metric()
    if callable(metric):
        return Averaged(metric)
    if not isinstance(metric, str):
        text = f"expected a name, a Metric or a function, received {type(metric).__name__}"
        fail(DTypeError, "metrics", text, f"names: {', '.join(_NAMED)}")
    if metric not in _NAMED:
        hint = habit("metric", metric, _NAMED) or nearest(metric.lower(), _NAMED)
        fail(ValueRangeError, "metrics", f"there is no metric {metric!r}", hint)
    return _NAMED[metric]()


__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "Averaged",
    "BLEU",
    "ConfusionMatrix",
    "F1",
    "Gathered",
    "MAE",
    "MSE",
    "Metric",
    "Perplexity",
    "Precision",
    "R2",
    "RMSE",
    "ROUGE",
    "Recall",
    "TopKAccuracy",
    "get",
]
