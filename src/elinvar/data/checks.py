"""What arguments of pipelines must be, and how stages are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.data.plan import Cut, OrderStage, Shard, Shuffle


def order_text(stage: OrderStage) -> str:
    """The method call that made a stage."""
    if isinstance(stage, Shuffle):
        return f"shuffle(seed={stage.seed})"
    if isinstance(stage, Shard):
        return f"shard({stage.rank}, {stage.count})"
    if isinstance(stage, Cut):
        return f"skip({stage.start})" if stage.stop is None else f"take({stage.stop})"
    return f"repeat({stage.count})"


def whole(op: str, name: str, value: Any, least: int) -> int:
    """A whole number that is not too small.

    Raises:
        ValueRangeError: it is something else.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < least:
        text = f"{name} must be a whole number of at least {least}, received {value!r}"
        fail(ValueRangeError, op, text)
    return int(value)


def seed_of(op: str, value: Any) -> int:
    """A seed of 64 bits.

    Raises:
        ValueRangeError: it is something else.
    """
    if not isinstance(value, int) or not 0 <= value < 2**64:
        fail(ValueRangeError, op, f"seed must be in 0 … 2^64-1, not {value!r}")
    return value


def function_of(op: str, value: Any) -> Callable[..., Any]:
    """Something that can be called.

    Raises:
        DTypeError: it cannot.
    """
    if not callable(value):
        fail(DTypeError, op, f"expected a function, received {type(value).__name__}")
    found: Callable[..., Any] = value
    return found
