"""Equality of nested containers: to the bit, and up to a tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, uint64
from elinvar.core.errors import CheckError, DTypeError, ShapeError, fail
from elinvar.core.shapes import format_shape
from elinvar.tensor.storage import from_numpy
from elinvar.tensor.tensor import Tensor
from elinvar.testing.leaves import Array, Leaf, exact, leaves, named, pairs

# relative tolerances that a result of a few operations keeps
_RTOL = {"float64": 1e-7, "float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-3}
_RTOL |= {"complex128": 1e-7, "complex64": 1e-5}
_MOST = np.iinfo(np.uint64).max


def assert_bitwise_equal(a: Any, b: Any, *, nan_payload: bool = False) -> None:
    """Raise unless two containers hold the same dtypes, shapes and bits.

    -0.0 and 0.0 differ. All NaNs count as equal, for which NaN an operation gives is the
    processor's affair.

    Args:
        a, b: tensors, arrays, numbers, or nested containers of them.
        nan_payload: compare the bits of NaNs, too.

    Raises:
        CheckError: they differ. The text has the first index, both values and their bits, how many
            elements differ, and the largest distance in units in the last place.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([1.0, 2.0])
        >>> el.testing.assert_bitwise_equal({"x": x + x}, {"x": 2 * x})
        >>> el.testing.assert_bitwise_equal(0.0, -0.0)
        Traceback (most recent call last):
        elinvar.core.errors.CheckError: [assert_bitwise_equal] 1 of 1 elements differ...
    """
    op = "assert_bitwise_equal"
    text = first_difference(op, a, b, nan_payload)
    if text is not None:
        fail(CheckError, op, text)


def first_difference(op: str, a: Any, b: Any, nan_payload: bool = False) -> str | None:
    """What is unequal in two containers, or None where every bit is equal."""
    for x, y in pairs(op, a, b):
        if x.dtype is not y.dtype:
            return f"{named(x.path)}the dtypes differ: {x} and {y}"
        differ = x.words != y.words
        if not nan_payload and x.dtype.kind in "fc":
            differ &= ~(np.isnan(_parts(x)) & np.isnan(_parts(y)))
        if x.dtype.kind == "c":
            differ = differ.any(axis=-1)
        if differ.any():
            return f"{named(x.path)}{_difference(x, y, differ)}"
    return None


def _parts(x: Leaf) -> Array:
    """The numbers; of complex ones real and imaginary parts along a new last axis."""
    values = x.values
    return np.stack([values.real, values.imag], -1) if x.dtype.kind == "c" else values


def _difference(x: Leaf, y: Leaf, differ: Array) -> str:
    count = int(differ.sum())
    place = tuple(int(i) for i in np.argwhere(differ)[0]) if differ.ndim else ()
    lines = [f"{count} of {differ.size} elements differ, first at {format_shape(place)}"]
    for side, name in ((x, "left"), (y, "right")):
        words = np.atleast_1d(side.words[place])
        width = 2 * words.itemsize
        bits = ", ".join(f"0x{int(word):0{width}x}" for word in words)
        lines.append(f"    {name:<5} {shown(side, place)} ({bits})")
    distance = _distance(_parts(x), _parts(y), x) if x.dtype.kind in "fc" else None
    if distance is not None:
        most = int(distance.max())
        far = "a NaN and a number" if most == _MOST else f"{most} ulp"
        lines.append(f"    largest distance: {far}")
    return "\n".join(lines)


def shown(side: Leaf, place: tuple[int, ...]) -> str:
    """The element at an index, with all its digits."""
    value = side.values[place]
    if side.dtype.kind == "f":
        digits = {2: 6, 4: 9, 8: 17}[side.dtype.itemsize]
        return f"{float(value):.{digits}g}"
    return str(value)


def ulp_distance(a: Any, b: Any) -> Tensor:
    """How many floating-point numbers lie between two, element by element, as uint64.

    Neighbours are 1 apart, -0.0 and 0.0 not at all, nor are two NaNs; a NaN and a number are as far
    apart as possible. Infinities follow the largest numbers.

    Args:
        a, b: tensors of one floating dtype and shape.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([1.0, -0.0])
        >>> el.testing.ulp_distance(x, el.nextafter(x, el.asarray([2.0, 2.0]))).tolist()
        [1, 1]
    """
    (x,), (y,) = (leaves(side, "ulp_distance") for side in (a, b))
    if x.dtype is not y.dtype or x.dtype.kind != "f":
        text = f"expected two tensors of one floating dtype, received {x} and {y}"
        fail(DTypeError, "ulp_distance", text)
    if x.shape != y.shape:
        fail(ShapeError, "ulp_distance", f"the shapes differ: {x} and {y}")
    found: Tensor = from_numpy(_distance(x.values, y.values, x), uint64)
    return found


def _distance(x: Array, y: Array, kind: Leaf) -> Array:
    """See `ulp_distance`, for values as numpy has them."""
    item = kind.dtype.itemsize // 2 if kind.dtype.kind == "c" else kind.dtype.itemsize
    whole = {2: np.float16, 4: np.float32, 8: np.float64}[item]
    is_bfloat = kind.dtype.name == "bfloat16"

    def ranks(values: Array) -> Array:
        kept = np.ascontiguousarray(values, np.float32 if is_bfloat else whole)
        words = kept.view({2: np.int16, 4: np.int32, 8: np.int64}[kept.itemsize]).astype(np.int64)
        if is_bfloat:
            words >>= 16
        bits = 16 if is_bfloat else 8 * item
        sign = np.int64(-(1 << (bits - 1)))
        return np.where(words < 0, sign - words, words)  # wraps for -0.0 in float64: 0

    with np.errstate(over="ignore"):
        left, right = ranks(x), ranks(y)
        low, high = np.minimum(left, right), np.maximum(left, right)
        found = np.asarray(high.view(np.uint64) - low.view(np.uint64))
    nans = np.isnan(x).astype(int) + np.isnan(y)
    return np.where(nans == 2, np.uint64(0), np.where(nans == 1, np.uint64(_MOST), found))


def default_rtol(*kinds: DType) -> float:
    """The relative tolerance for the least precise of some dtypes; 0 for whole numbers."""
    return max(_RTOL.get(kind.name, 0.0) for kind in kinds)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float = 0.0,
    *,
    equal_nan: bool = True,
) -> None:
    """Raise unless |actual - expected| ≤ atol + rtol · |expected| everywhere.

    Dtypes may differ, shapes may not. Infinities are close to themselves only.

    Args:
        actual, expected: tensors, arrays, numbers, or nested containers of them. A number beside a
            tensor is held against all of its elements.
        rtol: by default by the less precise dtype: 1e-7 for float64, 1e-5 for float32, 2e-3 for
            float16, 2e-2 for bfloat16, 0 for whole numbers.
        atol: the tolerance where `expected` is 0.
        equal_nan: whether NaN is close to NaN.

    Raises:
        CheckError: they are not. The text names the worst element.

    Example:
        >>> import elinvar as el
        >>> el.testing.assert_allclose(el.asarray([1.0, 2.0]) / 3, [1 / 3, 2 / 3])
    """
    op = "assert_allclose"
    actual, expected = exact(actual, expected), exact(expected, actual)
    for x, y in pairs(op, actual, expected):
        relative = default_rtol(x.dtype, y.dtype) if rtol is None else rtol
        kind = np.complex128 if "c" in (x.dtype.kind, y.dtype.kind) else np.float64
        whole = x.dtype.kind not in "fc" and y.dtype.kind not in "fc"
        left: Array = x.values if whole else x.values.astype(kind)
        right: Array = y.values if whole else y.values.astype(kind)
        close = left == right
        if not whole or relative or atol:
            left, right = left.astype(kind), right.astype(kind)
            with np.errstate(all="ignore"):
                error = np.abs(left - right)
                finite = np.isfinite(left) & np.isfinite(right)
                close |= finite & (error <= atol + relative * np.abs(right))
        if equal_nan and not whole:
            close |= np.isnan(left) & np.isnan(right)
        if not close.all():
            text = _far(x, y, ~close, left.astype(kind), right.astype(kind))
            limits = f"rtol={relative:g}, atol={atol:g}"
            fail(CheckError, op, f"{named(x.path)}{text}\n    tolerances: {limits}")


def _far(x: Leaf, y: Leaf, bad: Array, left: Array, right: Array) -> str:
    with np.errstate(all="ignore"):
        error = np.abs(left - right)
        relative = error / np.abs(right)
    ranks = np.where(bad, np.where(np.isnan(error), np.inf, error), -1.0)
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(ranks)), bad.shape))
    shown_at = format_shape(place)
    return (
        f"{int(bad.sum())} of {bad.size} elements are not close; the worst at {shown_at}: "
        f"received {shown(x, place)}, expected {shown(y, place)}\n"
        f"    off by {float(error[place]):.3g}, relatively {float(relative[place]):.3g}"
    )
