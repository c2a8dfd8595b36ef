"""Bits packed into bytes, and back."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import uint8
from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor.convert import cast, tensor_of
from elinvar.tensor.dispatch import F


def packbits(x: Any, /, axis: int | None = None, bitorder: str = "big") -> Any:
    """Eight elements (0 or not) as the bits of one uint8, zeros behind the last ones.

    Example:
        >>> import elinvar as el
        >>> el.packbits(el.asarray([1, 0, 1])).tolist()
        [160]
    """
    x = ew.not_equal(tensor_of("packbits", x), 0)
    if axis is None:
        x, axis = man.reshape(x, (-1,)), 0
    axis = normalize_axis("packbits", axis, x.ndim)
    _check_order("packbits", bitorder)
    total = man.static_size("packbits", x, axis)
    moved = cast(man.moveaxis(x, axis, -1), uint8)
    none, ends = (0,) * x.ndim, (*(0,) * (x.ndim - 1), -total % 8)
    zero = F.constant(value=0, dtype=uint8)
    padded = F.pad(moved, zero, low=none, high=ends, interior=none)
    rows = F.reshape(padded, shape=(*moved.shape[:-1], -(-total // 8), 8))
    places = F.iota(size=8, dtype=uint8)
    shifts = places if bitorder == "little" else ew.subtract(7, places)
    weights = ew.bitwise_left_shift(rows, shifts)
    return man.moveaxis(cast(F.sum(weights, axes=(rows.ndim - 1,)), uint8), -1, axis)


def _check_order(op: str, order: str) -> None:
    if order not in ("big", "little"):
        fail(ValueRangeError, op, f"bitorder must be 'big' or 'little', received {order!r}")


def unpackbits(
    x: Any, /, axis: int | None = None, count: int | None = None, bitorder: str = "big"
) -> Any:
    """The bits of uint8 numbers, as uint8; the inverse of `packbits`.

    Example:
        >>> import elinvar as el
        >>> el.unpackbits(el.asarray([160], dtype=el.uint8), count=3).tolist()
        [1, 0, 1]
    """
    x = tensor_of("unpackbits", x)
    if x.dtype is not uint8:
        fail(DTypeError, "unpackbits", f"expected uint8, received {x._type}")
    _check_order("unpackbits", bitorder)
    if axis is None:
        x, axis = man.reshape(x, (-1,)), 0
    axis = normalize_axis("unpackbits", axis, x.ndim)
    moved = man.moveaxis(x, axis, -1)
    places = F.iota(size=8, dtype=uint8)
    shifts = places if bitorder == "little" else ew.subtract(7, places)
    bits = ew.bitwise_right_shift(F.reshape(moved, shape=(*moved.shape, 1)), shifts)
    flat = man.reshape(ew.bitwise_and(bits, 1), (*moved.shape[:-1], moved.shape[-1] * 8))
    if count is not None:
        last = flat.ndim - 1
        total = man.static_size("unpackbits", flat, last)
        wanted = count if count >= 0 else total + count
        if wanted > total:
            ends = (*(0,) * last, wanted - total)
            none = (0,) * flat.ndim
            zero = F.constant(value=0, dtype=uint8)
            flat = F.pad(flat, zero, low=none, high=ends, interior=none)
        flat = man.sliced(flat, last, 0, wanted)
    return man.moveaxis(flat, -1, axis)
