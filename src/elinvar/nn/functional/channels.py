"""Values of channels, (C,), beside arrays (N, C, *)."""

from __future__ import annotations

from typing import Any

from elinvar.tensor.dispatch import F
from elinvar.tensor.reductions import mean


def channel_means(x: Any) -> Any:
    """The mean of each channel of (N, C, *), summed in the order of channels-last memory."""
    turned = F.permute(x, axes=(0, *range(2, x.ndim), 1))
    return mean(turned, axis=tuple(range(x.ndim - 1)))


def per_channel(values: Any, x: Any) -> Any:
    """(C,) → the shape of x (N, C, *); its gradient is summed as `channel_means` sums."""
    samples, channels, *places = x.shape
    wide = F.broadcast(values, shape=(samples, *places, channels))
    return F.permute(wide, axes=(0, x.ndim - 1, *range(1, x.ndim - 1)))
