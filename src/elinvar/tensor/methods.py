"""The operators and methods of tensors, as a mixin of `Tensor`."""

from __future__ import annotations

from typing import Any

from elinvar.ops.table import BY_NAME
from elinvar.tensor.dispatch import F, elementwise
from elinvar.tensor.fast import binary_operator


def _operator(name: str, swapped: bool = False) -> Any:
    op = BY_NAME[name]

    def general(x: Any, y: Any) -> Any:
        return elementwise(op, y, x) if swapped else elementwise(op, x, y)

    return binary_operator(name, general, swapped)


class TensorMethods:
    """Arithmetic; widened by the functions of the public interface."""

    __slots__ = ()

    __add__ = _operator("add")
    __radd__ = _operator("add", swapped=True)
    __sub__ = _operator("subtract")
    __rsub__ = _operator("subtract", swapped=True)
    __mul__ = _operator("multiply")
    __rmul__ = _operator("multiply", swapped=True)
    __truediv__ = _operator("divide")
    __rtruediv__ = _operator("divide", swapped=True)

    def __neg__(self) -> Any:
        return F.negative(self)
