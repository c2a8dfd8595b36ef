"""Where random words come from, and what all distributions share.

A draw takes its words from a generator (`generator=`), from a key (`key=`, which is a tensor that
does not change), or from the default generator. Rejection samplers take one block from there and
go on with a stream of their own, so a generator advances by the same count whatever is rejected.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import as_dtype, default_float, float32, float64, uint32, uint64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import broadcast_shapes
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.cell import current_trace
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, expand, is_number, tensor_of
from elinvar.tensor.creation import checked_shape
from elinvar.tensor.dispatch import F
from elinvar.tensor.special import normal_of_bits
from elinvar.tensor.streams import source, words


def spawned(generator: Any, key: Any) -> Any:
    """The state of a fresh stream, made of one block of a source."""
    return spawned_of(source(generator, key))


def spawned_of(stream: Any) -> Any:
    """The state of a fresh stream, made of one block of a stream."""
    return _state_of(stream.bits((4,)))


def is_known(x: Any) -> bool:
    """Whether a tensor's values are known: outside of a trace."""
    return current_trace() is None and x._layout is not None


@composite
def _state_of(block: Any) -> Any:
    low, high = (
        F.slice(block, start=(i,), size=(2,), step=(2,)) for i in (0, 1)
    )
    return F.bitwise_or(ew.bitwise_left_shift(cast(high, uint64), 32), cast(low, uint64))


def float_dtype(op: str, dtype: Any, *parameters: Any) -> Any:
    """The dtype of a draw: as given, else that of the floating parameters, else float32."""
    if dtype is None:
        found = [p.dtype for p in parameters if not is_number(p) and p.dtype.kind == "f"]
        dtype = found[0] if found else default_float
        for other in found[1:]:
            dtype = other if other.bits > dtype.bits else dtype
    kind = as_dtype(dtype)
    if kind.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {kind.name}")
    return kind


def wide_of(dtype: Any) -> Any:
    """The dtype that a draw is computed in."""
    return dtype if dtype.bits > 16 else float32


def parameters(op: str, size: Any, *values: Any) -> tuple[list[Any], Any]:
    """Parameters as tensors, and the shape of the draw: `size`, or that to which they broadcast."""
    tensors = [tensor_of(op, value) for value in values]
    joint = broadcast_shapes(op, *(x.shape for x in tensors)) if tensors else ()
    if size is None:
        return tensors, joint
    shape = checked_shape(op, size)
    if broadcast_shapes(op, joint, shape) != shape:
        kinds = ", ".join(str(x._type) for x in tensors)
        fail(ShapeError, op, f"parameters {kinds} do not broadcast to size {shape}")
    return tensors, shape


def check(op: str, name: str, x: Any, least: float = 0.0, strict: bool = True) -> None:
    """Refuse parameters that are not above (or at least) a limit, where their values are known."""
    if current_trace() is not None or not x.size:
        return
    good = ew.greater(x, least) if strict else ew.greater_equal(x, least)
    if not bool(red.all(good)):
        what = "positive" if strict and not least else f"at least {least:g}"
        fail(ValueRangeError, op, f"{name} must be {what}, received {x!r:.120}")


def check_share(op: str, name: str, x: Any) -> None:
    """Refuse what is not a probability, where values are known."""
    if current_trace() is not None or not x.size:
        return
    good = ew.logical_and(ew.greater_equal(x, 0), ew.less_equal(x, 1))
    if not bool(red.all(good)):
        fail(ValueRangeError, op, f"{name} must be between 0 and 1, received {x!r:.120}")


def open_uniform(bits: Any) -> Any:
    """Words as numbers strictly between 0 and 1: (m + ½)·2^-k, in float32 or float64."""
    kind, kept = (float32, 23) if bits.dtype is uint32 else (float64, 52)
    top = cast(ew.bitwise_right_shift(bits, bits.dtype.bits - kept), kind)
    return ew.multiply(ew.add(top, 0.5), 2.0**-kept)


def bits_for(stream: Any, shape: Any, dtype: Any) -> Any:
    """Words as wide as a float dtype needs."""
    return words(stream, shape, dtype.bits == 64)


def uniform(stream: Any, shape: Any, dtype: Any) -> Any:
    """Numbers strictly between 0 and 1."""
    return open_uniform(bits_for(stream, shape, wide_of(dtype)))


def normal(stream: Any, shape: Any, dtype: Any) -> Any:
    """Normal numbers in float32 or float64."""
    return normal_of_bits(bits_for(stream, shape, wide_of(dtype)), dtype=wide_of(dtype))


def drawn(
    op: str, size: Any, dtype: Any, generator: Any, key: Any, transform: Any, *values: Any
) -> Any:
    """A draw by a formula of one uniform number in (0, 1) and of the parameters."""
    tensors, shape = parameters(op, size, *values)
    kind = float_dtype(op, dtype, *tensors_only(values))
    wide = wide_of(kind)
    u = uniform(source(generator, key), shape, kind)
    found = transform(u, *(expand(cast(x, wide), shape) for x in tensors))
    return cast(found, kind)


def tensors_only(values: Any) -> list[Any]:
    """The values that have a dtype of their own."""
    return [value for value in values if hasattr(value, "dtype")]

