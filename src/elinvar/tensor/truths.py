"""Single bools in an index: True adds an axis of size 1 where it stands, False one of size 0.

So does a bool tensor without axes. It is written as an axis of size 1 that is put into the tensor,
and integers into that axis: none of them, or one 0. Then all rules of integer arrays hold, as in
NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.errors import TraceError, fail
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.dispatch import F

_WAY_OUT = "use `el.where(condition, x, other)`, or index outside of the jit"


def lifted(op: str, x: Any, key: Any) -> tuple[Any, Any] | None:
    """(x with axes put in, index without single bools); None where the index has none."""
    given = key if isinstance(key, tuple) else (key,)
    if not any(_is_truth(item) for item in given):
        return None
    used = sum(_consumed(item) for item in given)
    axis, shape, items = 0, list(x.shape), []
    added = 0
    for item in given:
        if _is_truth(item):
            shape.insert(axis + added, 1)
            items.append(np.arange(1 if _truth(op, item) else 0))
            added += 1
            continue
        items.append(item)
        axis += max(x.ndim - used, 0) if item is Ellipsis else _consumed(item)
    return F.reshape(x, shape=tuple(shape)), tuple(items)


def _is_truth(item: Any) -> bool:
    if isinstance(item, (bool, np.bool_)):
        return True
    if isinstance(item, Cell):
        return item.dtype.kind == "b" and not item.ndim
    return isinstance(item, np.ndarray) and item.dtype.kind == "b" and not item.ndim


def _truth(op: str, item: Any) -> bool:
    if isinstance(item, Cell) and current_trace() is not None:
        text = f"the shape of a result indexed by a mask {item._type} depends on its value"
        fail(TraceError, op, text, _WAY_OUT)
    return bool(item)


def _consumed(item: Any) -> int:
    """How many axes of the tensor an index item is for."""
    if item is None or item is Ellipsis or _is_truth(item):
        return 0
    kind = getattr(getattr(item, "dtype", None), "kind", None)
    if kind == "b":
        return len(item.shape)
    if isinstance(item, (list, tuple)):
        array = np.asarray(item) if not any(isinstance(part, Cell) for part in item) else None
        return array.ndim if array is not None and array.dtype.kind == "b" else 1
    return 1
