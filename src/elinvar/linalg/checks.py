"""What arguments must be, the words for those that are not, and what a program cannot refuse.

square, matrix        the checks of one argument
refuse_singular       raises in eager mode; under a trace no value is known and nothing is done
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, bfloat16, float16, float32, promote
from elinvar.core.errors import DTypeError, LinAlgError, ShapeError, fail
from elinvar.core.shapes import broadcast_shapes
from elinvar.tensor.cell import current_trace, state
from elinvar.tensor.convert import cast, expand, tensor_of
from elinvar.tensor.tape import no_grad


def floating(op: str, x: Any) -> Any:
    """A tensor of a floating (or complex) dtype; 16-bit floats as float32."""
    x = tensor_of(op, x)
    if x.dtype.kind not in "fc":
        text = f"expected a floating dtype, received {x._type}"
        fail(DTypeError, op, text, "convert it, for example with `.float()`")
    return cast(x, wide(x.dtype))


def wide(dtype: DType) -> DType:
    """The dtype in which a decomposition is computed."""
    return float32 if dtype in (float16, bfloat16) else dtype


def matrix(op: str, x: Any) -> Any:
    """Matrices (…, M, N) of a floating dtype."""
    x = floating(op, x)
    if x.ndim < 2:
        fail(ShapeError, op, f"expected at least 2 dimensions, received {x._type}")
    return x


def square(op: str, x: Any) -> Any:
    """Square matrices (…, N, N) of a floating dtype."""
    x = matrix(op, x)
    if x.shape[-1] != x.shape[-2]:
        fail(ShapeError, op, f"expected square matrices, received {x._type}")
    return x


def original(op: str, x: Any) -> DType:
    """The dtype of an argument, in which the results are given."""
    found: DType = tensor_of(op, x).dtype
    return found


def is_empty(*values: Any) -> bool:
    """Whether one of the tensors has no elements."""
    return any(0 in x.shape for x in values)


def same_lead(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two stacks of matrices with their leading axes broadcast."""
    lead_a, lead_b = a.shape[:-2], b.shape[:-2]
    if lead_a == lead_b:
        return a, b
    try:
        lead = broadcast_shapes(op, lead_a, lead_b)
    except ShapeError:
        fail(ShapeError, op, f"leading dimensions do not broadcast: {a._type} and {b._type}")
    return expand(a, (*lead, *a.shape[-2:])), expand(b, (*lead, *b.shape[-2:]))


def refuse(op: str, info: Any, what: str, hint: str, flag: Any = None) -> None:
    """Raise if an element of `info` (…) is not 0. Only where values are known: not in a trace.

    `flag`: whether one is, where that has been computed already.
    """
    if current_trace() is not None or 0 in info.shape:
        return
    with no_grad():
        if not (info.any() if flag is None else flag).item():
            return
        found = info.numpy()
    place = next(place for place in np.ndindex(found.shape) if found[place])
    number = int(found[place])
    where = f" {', '.join(str(int(i)) for i in place)} of the stack" if place else ""
    fail(LinAlgError, op, f"matrix{where} {what.format(number=number)}", hint)


def is_plain(*values: Any) -> bool:
    """Whether nothing is traced or recorded, so that a program may do several things at once."""
    if current_trace() is not None or is_empty(*values):
        return False
    return not state.grad_enabled or all(x._node is None for x in values)


def same_dtype(op: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Two tensors in their common dtype."""
    dtype = promote(a.dtype, b.dtype)
    return cast(a, dtype), cast(b, dtype)


def narrow(computed: DType, given: DType) -> DType:
    """The dtype of a result: 16 bits again where the argument had them."""
    return given if given in (float16, bfloat16) and computed is float32 else computed
