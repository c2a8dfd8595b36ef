"""How well a language model predicts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from elinvar.core.dtypes import float64, int64
from elinvar.core.errors import ShapeError, fail
from elinvar.metrics.metric import Metric
from elinvar.tensor.creation import arange
from elinvar.tensor.elementwise import where
from elinvar.tensor.reductions import logsumexp


class Perplexity(Metric):
    """exp of the mean of -log p(target): how many equally likely choices the model wavers between.

    Args:
        ignore_index: targets of this value are not counted.

    Shape:
        output: (N, K, …) logits; target: (N, …).

    Example:
        >>> import elinvar as el
        >>> round(el.metrics.Perplexity()(el.zeros((3, 8)), el.asarray([0, 1, 2])), 6)
        8.0
    """

    name: ClassVar[str] = "perplexity"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        if output.ndim != target.ndim + 1 or output.shape[2:] != target.shape[1:]:
            text = f"output {output._type} does not fit target {target._type}"
            fail(ShapeError, self.name, text, "expected (N, K, …) with (N, …)")
        line = (1, output.shape[1], *(1 for _ in range(output.ndim - 2)))
        chosen = arange(output.shape[1]).reshape(line) == target.astype(int64).unsqueeze(1)
        loss = logsumexp(output, axis=1) - where(chosen, output, 0).sum(1)
        counts = target != self.ignore_index
        self.add("sum", where(counts, loss, 0).astype(float64).sum(), float64)
        self.add("all", counts.sum())

    def compute(self) -> float:
        """The perplexity; NaN if there were no targets, infinite where it is too large."""
        if not self.total("all"):
            return math.nan
        mean = self.total("sum") / self.total("all")
        return math.exp(mean) if mean < 700 else math.inf
