"""Products, convolutions, polynomials, interpolation, integrals and window functions of NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import default_float, float64, promote
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axes, normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear as lin
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.cell import Cell
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import (
    cast,
    expand,
    floating,
    is_number,
    optional_dtype,
    pair,
    tensor_of,
    typed_pair,
)
from elinvar.tensor.creation import linspace
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra.shaping import ravel


def kron(x1: Any, x2: Any, /) -> Any:
    """The Kronecker product: each element of x1 times all of x2, as blocks.

    Example:
        >>> import elinvar as el
        >>> el.kron(el.asarray([1, 10]), el.asarray([1, 2])).tolist()
        [1, 2, 10, 20]
    """
    a, b = typed_pair("kron", x1, x2)
    rank = max(a.ndim, b.ndim)
    a = F.reshape(a, shape=(1,) * (rank - a.ndim) + a.shape)
    b = F.reshape(b, shape=(1,) * (rank - b.ndim) + b.shape)
    left = F.reshape(a, shape=tuple(d for n in a.shape for d in (n, 1)))
    right = F.reshape(b, shape=tuple(d for n in b.shape for d in (1, n)))
    shape = tuple(n * m for n, m in zip(a.shape, b.shape, strict=True))
    return F.reshape(ew.multiply(left, right), shape=shape)


def inner(x1: Any, x2: Any, /) -> Any:
    """The sum of products over the last axes of both.

    Example:
        >>> import elinvar as el
        >>> el.inner(el.asarray([1, 2]), el.asarray([3, 4])).item()
        11
    """
    a, b = typed_pair("inner", x1, x2)
    if not a.ndim or not b.ndim:
        return ew.multiply(a, b)
    return lin.tensordot(a, b, axes=((-1,), (-1,)))


def vdot(x1: Any, x2: Any, /) -> Any:
    """The dot product of two flattened tensors.

    Example:
        >>> import elinvar as el
        >>> el.vdot(el.asarray([[1, 2]]), el.asarray([[3], [4]])).item()
        11
    """
    return lin.dot(ravel(ew.conj(x1)), ravel(x2))


def cross(
    x1: Any, x2: Any, /, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Any:
    """The cross product of vectors of three (or two, whose third element is 0) along an axis.

    Example:
        >>> import elinvar as el
        >>> el.cross(el.asarray([1, 0, 0]), el.asarray([0, 1, 0])).tolist()
        [0, 0, 1]
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = typed_pair("cross", x1, x2)
    a = man.moveaxis(a, normalize_axis("cross", axisa, a.ndim), -1)
    b = man.moveaxis(b, normalize_axis("cross", axisb, b.ndim), -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        fail(ShapeError, "cross", f"vectors must have 2 or 3 elements: {a._type} and {b._type}")
    flat = a.shape[-1] == 2 and b.shape[-1] == 2
    found = lin.cross(*_broadcast(_in_space(a), _in_space(b)))
    if flat:
        return F.reshape(man.sliced(found, found.ndim - 1, 2, 1), shape=found.shape[:-1])
    return man.moveaxis(found, -1, axisc)


def _in_space(x: Any) -> Any:
    if x.shape[-1] == 3:
        return x
    high, none = (*(0,) * (x.ndim - 1), 1), (0,) * x.ndim
    zero = F.constant(value=0.0 if x.dtype.kind == "f" else 0, dtype=x.dtype)
    return F.pad(x, zero, low=none, high=high, interior=none)


def _broadcast(a: Any, b: Any) -> tuple[Any, Any]:
    return pair("cross", a, b)


# ---- convolutions -------------------------------------------------------------------------------


def convolve(x1: Any, x2: Any, /, mode: str = "full") -> Any:
    """The discrete convolution of two 1-D tensors: y[k] = Σ x1[i] · x2[k - i].

    Args:
        mode: "full": all overlaps; "same": as many as the longer has elements; "valid": whole ones.

    Example:
        >>> import elinvar as el
        >>> el.convolve(el.asarray([1.0, 2.0]), el.asarray([1.0, 10.0])).tolist()
        [1.0, 12.0, 20.0]
    """
    a, b = _signals("convolve", x1, x2, mode)
    if a.shape[0] < b.shape[0]:
        a, b = b, a
    return _slid(a, F.flip(b, axes=(0,)), mode=mode)


def correlate(x1: Any, x2: Any, /, mode: str = "valid") -> Any:
    """The cross-correlation of two 1-D tensors: y[k] = Σ x1[i + k] · x2[i].

    Args:
        mode: as for `convolve`.

    Example:
        >>> import elinvar as el
        >>> el.correlate(el.asarray([1.0, 2.0, 3.0]), el.asarray([0.0, 1.0, 0.5])).tolist()
        [3.5]
    """
    a, b = _signals("correlate", x1, x2, mode)
    if a.shape[0] >= b.shape[0]:
        return _slid(a, b, mode=mode)
    return F.flip(_slid(b, a, mode=mode), axes=(0,))


def _signals(op: str, x1: Any, x2: Any, mode: str) -> tuple[Any, Any]:
    a, b = typed_pair(op, x1, x2)
    if a.ndim != 1 or b.ndim != 1 or 0 in (a.shape[0], b.shape[0]):
        text = f"expected 1-D tensors with elements, received {a._type} and {b._type}"
        fail(ShapeError, op, text)
    if mode not in ("full", "same", "valid"):
        fail(ValueRangeError, op, f"mode must be 'full', 'same' or 'valid', received {mode!r}")
    return a, b


@composite
def _slid(a: Any, b: Any, *, mode: str) -> Any:
    """Products of the shorter b with the windows of the longer a."""
    count = b.shape[0]
    low = {"full": count - 1, "same": count // 2, "valid": 0}[mode]
    high = {"full": count - 1, "same": count - 1 - count // 2, "valid": 0}[mode]
    zero = F.constant(value=0.0 if a.dtype.kind == "f" else 0, dtype=a.dtype)
    wide = F.pad(a, zero, low=(low,), high=(high,), interior=(0,))
    windows = F.windows(wide, axes=(0,), sizes=(count,), strides=(1,), dilations=(1,))  # (count, …)
    return lin.matmul(b, windows)


# ---- polynomials --------------------------------------------------------------------------------


def polyval(p: Any, x: Any, /) -> Any:
    """A polynomial's values, by Horner's rule: p[0]·x^(n-1) + … + p[n-1].

    Example:
        >>> import elinvar as el
        >>> el.polyval(el.asarray([3, 0, 1]), 5).item()
        76
    """
    coefficients = tensor_of("polyval", p)
    if coefficients.ndim != 1:
        fail(ShapeError, "polyval", f"coefficients must be 1-D, received {coefficients._type}")
    x = tensor_of("polyval", x, coefficients.dtype if is_number(x) else None)
    kind = promote(coefficients.dtype, x.dtype)
    return _horner(cast(coefficients, kind), cast(x, kind))


@composite
def _horner(p: Any, x: Any) -> Any:
    total = F.zeros_like(x)
    for i in range(p.shape[0]):
        total = ew.add(F.multiply(total, x), F.reshape(man.sliced(p, 0, i, 1), shape=()))
    return total


def polyadd(p1: Any, p2: Any, /) -> Any:
    """The sum of two polynomials, highest power first.

    Example:
        >>> import elinvar as el
        >>> el.polyadd(el.asarray([1, 2]), el.asarray([1, 0, 0])).tolist()
        [1, 1, 2]
    """
    a, b = typed_pair("polyadd", p1, p2)
    count = max(a.shape[0], b.shape[0])

    def longer(p: Any) -> Any:
        zero = F.constant(value=0.0 if p.dtype.kind == "f" else 0, dtype=p.dtype)
        return F.pad(p, zero, low=(count - p.shape[0],), high=(0,), interior=(0,))

    return ew.add(longer(a), longer(b))


def polymul(p1: Any, p2: Any, /) -> Any:
    """The product of two polynomials, highest power first.

    Example:
        >>> import elinvar as el
        >>> el.polymul(el.asarray([1, 1]), el.asarray([1, -1])).tolist()
        [1, 0, -1]
    """
    return convolve(p1, p2)


def polyder(p: Any, /, m: int = 1) -> Any:
    """The m-th derivative of a polynomial, highest power first.

    Example:
        >>> import elinvar as el
        >>> el.polyder(el.asarray([1, 0, 5])).tolist()
        [2, 0]
    """
    p = tensor_of("polyder", p)
    for _ in range(m):
        count = man.static_size("polyder", p, 0)
        powers = tensor_of("polyder", np.arange(count - 1, 0, -1))
        p = ew.multiply(man.sliced(p, 0, 0, max(count - 1, 0)), cast(powers, p.dtype))
    return p


def polyint(p: Any, /, m: int = 1, k: float = 0.0) -> Any:
    """The m-th integral of a polynomial, highest power first; k is each time the constant.

    Example:
        >>> import elinvar as el
        >>> el.polyint(el.asarray([2.0, 0.0])).tolist()
        [1.0, 0.0, 0.0]
    """
    p = floating("polyint", p)
    for _ in range(m):
        count = man.static_size("polyint", p, 0)
        powers = cast(tensor_of("polyint", np.arange(count, 0, -1)), p.dtype)
        last = F.reshape(F.constant(value=float(k), dtype=p.dtype), shape=(1,))
        p = F.concatenate(ew.divide(p, powers), last, axis=0)
    return p


def vander(x: Any, /, n: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix: the powers n-1 … 0 (or 0 … n-1) of each element.

    Example:
        >>> import elinvar as el
        >>> el.vander(el.asarray([2, 3]), 3).tolist()
        [[4, 2, 1], [9, 3, 1]]
    """
    x = tensor_of("vander", x)
    if x.ndim != 1:
        fail(ShapeError, "vander", f"expected a 1-D tensor, received {x._type}")
    count = man.static_size("vander", x, 0) if n is None else n
    if count < 0:
        fail(ValueRangeError, "vander", f"n must not be negative, received {count}")
    column = F.reshape(x, shape=(*x.shape, 1))
    if not count:
        return expand(man.sliced(column, 1, 0, 0), (*x.shape, 0))
    one = expand(F.constant(value=1.0 if x.dtype.kind == "f" else 1, dtype=x.dtype), column.shape)
    parts = [one]
    for _ in range(count - 1):
        parts.append(F.multiply(parts[-1], column))
    parts = parts if increasing else parts[::-1]
    return F.concatenate(*parts, axis=1) if len(parts) > 1 else parts[0]


# ---- interpolation, differences, integrals ------------------------------------------------------


def interp(
    x: Any, xp: Any, fp: Any, /, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """Linear interpolation between the points (xp, fp).

    Args:
        x: where.
        xp: 1-D, in increasing order (any with `period`).
        fp: the values there.
        left, right: values outside of the points; by default those at the ends.
        period: of x and xp.

    Example:
        >>> import elinvar as el
        >>> el.interp(2.5, el.asarray([1.0, 2.0, 3.0]), el.asarray([3.0, 2.0, 0.0])).item()
        1.0
    """
    knots, values = floating("interp", xp), floating("interp", fp)
    kind = promote(knots.dtype, values.dtype)
    places = tensor_of("interp", x, kind)
    kind = promote(kind, places.dtype) if places.dtype.kind == "f" else kind
    places, knots, values = (cast(item, kind) for item in (places, knots, values))
    if knots.ndim != 1 or knots.shape != values.shape:
        text = f"xp and fp must be 1-D and of one size, received {knots._type}, {values._type}"
        fail(ShapeError, "interp", text)
    if knots.shape[0] == 0:
        fail(ShapeError, "interp", "expected at least one point")
    if period is not None:
        if is_number(period) and period == 0:
            fail(ValueRangeError, "interp", "period must not be 0")
        period = abs(period) if is_number(period) else ew.abs(period)
        places, knots = ew.remainder(places, period), ew.remainder(knots, period)
        order = find.argsort(knots)
        knots, values = find.take(knots, order), find.take(values, order)
        last = knots.shape[0] - 1
        knots = man.concat([man.sliced(knots, 0, last, 1) - period, knots,
                            man.sliced(knots, 0, 0, 1) + period])  # fmt: skip
        values = man.concat([man.sliced(values, 0, last, 1), values, man.sliced(values, 0, 0, 1)])
        left = right = None
    found = _between_knots(places, knots, values)
    if left is not None:
        found = ew.where(ew.less(places, man.sliced(knots, 0, 0, 1).sum()), left, found)
    if right is not None:
        end = man.sliced(knots, 0, knots.shape[0] - 1, 1).sum()
        found = ew.where(ew.greater(places, end), right, found)
    return found


@composite
def _between_knots(x: Any, knots: Any, values: Any) -> Any:
    count = knots.shape[0]
    after = find.searchsorted(knots, x, side="right")
    high = ew.clip(after, 1, max(count - 1, 1)) if count > 1 else F.zeros_like(after)
    low = ew.maximum(ew.subtract(high, 1), 0)
    x0, x1 = F.gather(knots, low, axis=0), F.gather(knots, high, axis=0)
    y0, y1 = F.gather(values, low, axis=0), F.gather(values, high, axis=0)
    width = F.subtract(x1, x0)
    flat = ew.equal(width, 0.0)
    slope = F.divide(F.subtract(y1, y0), ew.where(flat, 1.0, width))
    inside = F.add(F.multiply(slope, F.subtract(x, x0)), y0)
    inside = F.where(F.bitwise_or(flat, F.equal(x, x1)), y1, inside)
    zero, top = F.zeros_like(low), _full_like(low, count - 1)
    first, last = F.gather(knots, zero, axis=0), F.gather(knots, top, axis=0)
    start, end = F.gather(values, zero, axis=0), F.gather(values, top, axis=0)
    found = F.where(F.less(x, first), start, F.where(F.greater(x, last), end, inside))
    return F.where(F.not_equal(x, x), x, found)


def _full_like(x: Any, value: int) -> Any:
    return expand(F.constant(value=value, dtype=x.dtype), x.shape)


def gradient(x: Any, /, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences along axes, one-sided ones at the ends; one tensor for each axis.

    Args:
        varargs: the distance for all axes, or one distance or 1-D coordinates for each of them.
        axis: the axes; all if None.
        edge_order: 1 or 2, the order of accuracy at the ends.

    Example:
        >>> import elinvar as el
        >>> el.gradient(el.asarray([1.0, 2.0, 4.0, 7.0])).tolist()
        [1.0, 1.5, 2.5, 3.0]
    """
    x = floating("gradient", x)
    axes = normalize_axes("gradient", axis, x.ndim)
    if hasattr(axis, "__len__"):
        axes = tuple(normalize_axis("gradient", item, x.ndim) for item in axis)
    spacing = list(varargs) if varargs else [1.0]
    if len(spacing) == 1 and len(axes) != 1:
        spacing = spacing * len(axes)
    if len(spacing) != len(axes):
        text = f"expected one distance or {len(axes)}, received {len(varargs)}"
        fail(ValueRangeError, "gradient", text)
    if edge_order not in (1, 2):
        fail(ValueRangeError, "gradient", f"edge_order must be 1 or 2, received {edge_order}")
    found = []
    for item, step in zip(axes, spacing, strict=True):
        count = man.static_size("gradient", x, item)
        if count < edge_order + 1:
            text = f"axis {item} of {x._type} needs {edge_order + 1} elements"
            fail(ShapeError, "gradient", text)
        found.append(_slopes(x, item, step, edge_order, count))
    return found[0] if len(found) == 1 else found


def _slopes(x: Any, axis: int, step: Any, order: int, count: int) -> Any:
    def part(start: int, size: int) -> Any:
        return man.sliced(x, axis, start, size)

    even = is_number(step) or (isinstance(step, Cell) and not step.ndim)
    if even:
        gaps = None
        middle = (part(2, count - 2) - part(0, count - 2)) / (2 * step)
    else:
        places = cast(tensor_of("gradient", step), x.dtype)
        if places.ndim != 1 or places.shape[0] != count:
            text = f"coordinates {places._type} do not fit axis {axis} of {x._type}"
            fail(ShapeError, "gradient", text)
        shape = tuple(count - 1 if i == axis else 1 for i in range(x.ndim))
        gaps = F.reshape(red.diff(places), shape=shape)
        before, after = man.sliced(gaps, axis, 0, count - 2), man.sliced(gaps, axis, 1, count - 2)
        both = before + after
        middle = (
            part(0, count - 2) * (-after / (before * both))
            + part(1, count - 2) * ((after - before) / (before * after))
            + part(2, count - 2) * (before / (after * both))
        )
    first = step if gaps is None else man.sliced(gaps, axis, 0, 1)
    last = step if gaps is None else man.sliced(gaps, axis, count - 2, 1)
    if order == 1:
        head = (part(1, 1) - part(0, 1)) / first
        tail = (part(count - 1, 1) - part(count - 2, 1)) / last
    else:
        second = step if gaps is None else man.sliced(gaps, axis, 1, 1)
        former = step if gaps is None else man.sliced(gaps, axis, count - 3, 1)
        head = _edge(part(0, 1), part(1, 1), part(2, 1), first, second)
        tail = -_edge(part(count - 1, 1), part(count - 2, 1), part(count - 3, 1), last, former)
    return F.concatenate(head, middle, tail, axis=axis)


def _edge(y0: Any, y1: Any, y2: Any, d1: Any, d2: Any) -> Any:
    """The slope at the first of three points, exact for parabolas."""
    both = d1 + d2
    a = -(d1 + both) / (d1 * both)
    return y0 * a + y1 * (both / (d1 * d2)) - y2 * (d1 / (d2 * both))


def trapezoid(y: Any, /, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral along an axis by the trapezoidal rule.

    Args:
        x: the coordinates, 1-D or of the shape of y; by default `dx` apart.

    Example:
        >>> import elinvar as el
        >>> el.trapezoid(el.asarray([1.0, 2.0, 3.0])).item()
        4.0
    """
    y = floating("trapezoid", y)
    axis = normalize_axis("trapezoid", axis, y.ndim)
    count = man.static_size("trapezoid", y, axis)
    width = dx
    if x is not None:
        places = cast(tensor_of("trapezoid", x), y.dtype)
        if places.ndim == 1:
            shape = tuple(max(count - 1, 0) if i == axis else 1 for i in range(y.ndim))
            width = F.reshape(red.diff(places), shape=shape)
        else:
            width = red.diff(places, axis=axis)
    rest = max(count - 1, 0)
    later, earlier = man.sliced(y, axis, min(1, count), rest), man.sliced(y, axis, 0, rest)
    return red.sum(ew.multiply(ew.multiply(ew.add(later, earlier), 0.5), width), axis=axis)


def ediff1d(x: Any, /, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours in the flattened tensor.

    Example:
        >>> import elinvar as el
        >>> el.ediff1d(el.asarray([1, 4, 9]), to_begin=0).tolist()
        [0, 3, 5]
    """
    flat = ravel(tensor_of("ediff1d", x))
    parts = [red.diff(flat)]
    if to_begin is not None:
        parts.insert(0, ravel(cast(tensor_of("ediff1d", to_begin), flat.dtype)))
    if to_end is not None:
        parts.append(ravel(cast(tensor_of("ediff1d", to_end), flat.dtype)))
    return man.concat(parts)


# ---- sequences ----------------------------------------------------------------------------------


def logspace(
    start: Any, stop: Any, /, num: int = 50, endpoint: bool = True, base: float = 10.0, *,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """base to evenly spaced powers from start to stop.

    Example:
        >>> import elinvar as el
        >>> el.logspace(0, 2, 3).tolist()
        [1.0, 10.0, 100.0]
    """
    powers = linspace(start, stop, num, endpoint=endpoint, dtype=float64)
    found = ew.pow(float(base), powers)
    return cast(found, optional_dtype(dtype) or default_float)


def geomspace(
    start: Any, stop: Any, /, num: int = 50, endpoint: bool = True, *, dtype: Any = None
) -> Any:
    """Numbers from start to stop whose neighbours have one ratio.

    Example:
        >>> import elinvar as el
        >>> el.geomspace(1, 8, 4).tolist()
        [1.0, 2.0, 4.0, 8.0]
    """
    low, high = float(start), float(stop)
    if not low * high > 0:
        text = f"the ends must not be 0 and have one sign, received {start} and {stop}"
        fail(ValueRangeError, "geomspace", text)
    ratio = linspace(0.0, 1.0, num, endpoint=endpoint, dtype=float64)
    found = ew.multiply(ew.pow(2.0, ew.multiply(ratio, math.log2(high / low))), low)
    if num > 1 and endpoint:
        found = ew.where(ew.equal(ratio, 1.0), high, found)
    return cast(found, optional_dtype(dtype) or default_float)
