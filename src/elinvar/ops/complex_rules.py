"""Arithmetic on complex numbers, written with real primitives on their parts.

`parts_rule(op, operands)` is asked wherever a primitive is applied: to tensors, in traces and in
graphs. A primitive with a rule never becomes a node for complex operands; its parts do, so that
derivatives, batching, fusion and every engine see real numbers. `CARRIED` primitives take complex
numbers as wholes. All others refuse them, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import bool_
from elinvar.core.errors import DTypeError, fail
from elinvar.ops import complex_functions as functions
from elinvar.ops.complex_numbers import parts
from elinvar.ops.record import Op

Rule = Callable[..., Any]
CARRIED = frozenset(
    "complex real imag constant where stop_gradient barrier reshape permute broadcast concatenate "
    "flip slice pad windows gather cond while_loop scan custom size_of fft irfft "
    "named_sum named_gather named_permute".split()
)


def parts_rule(op: Op, operands: Any, params: Any) -> Rule | None:
    """What computes `op` on these operands with real primitives; None if `op` itself does."""
    for operand in operands:
        if operand.dtype.kind == "c":
            break
    else:
        return _cast if op.name == "cast" and params["dtype"].kind == "c" else None
    if op.name in CARRIED:
        return None
    rule = RULES.get(op.name)
    if rule is not None:
        return rule
    hint = "complex numbers have no order" if op.name in _ORDERED else None
    fail(DTypeError, op.name, f"is not defined for complex numbers: {_text(operands)}", hint)


_ORDERED = frozenset(
    "less less_equal greater greater_equal maximum minimum max min argmax argmin sort argsort "
    "top_k cummax cummin floor_divide remainder floor ceil trunc round atan2".split()
)


def _text(operands: Any) -> str:
    found = (getattr(x, "type", None) or x._type for x in operands)
    return ", ".join(str(kind) for kind in found)


# ---- part by part -------------------------------------------------------------------------------


def _each(name: str) -> Rule:
    """Linear operations with real coefficients work on the parts one by one."""

    def rule(f: Any, *operands: Any, **params: Any) -> Any:
        apply = getattr(f, name)
        pairs = [parts(f, x) for x in operands]
        re = apply(*(pair[0] for pair in pairs), **params)
        return f.complex(re, apply(*(pair[1] for pair in pairs), **params))

    return rule


def _cast(f: Any, x: Any, *, dtype: Any) -> Any:
    if dtype.kind == "c":
        if x.dtype.kind != "c":
            re = f.cast(x, dtype=dtype.part)
            return f.complex(re, f.zeros_like(re))
        re, im = parts(f, x)
        return f.complex(f.cast(re, dtype=dtype.part), f.cast(im, dtype=dtype.part))
    if dtype.kind == "b":
        return _not_equal(f, x, f.zeros_like(x))
    text = f"a complex number cannot become {dtype.name}: {_text([x])}"
    fail(DTypeError, "cast", text, "take `.real`, `.imag` or `el.abs(x)`")


def _scatter(f: Any, x: Any, i: Any, u: Any, *, axis: int, mode: str) -> Any:
    (a, b), (c, d) = parts(f, x), parts(f, u)
    re = f.scatter(a, i, c, axis=axis, mode=mode)
    return f.complex(re, f.scatter(b, i, d, axis=axis, mode=mode))


def _equal(f: Any, x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(f, x), parts(f, y)
    return f.bitwise_and(f.equal(a, c), f.equal(b, d))


def _not_equal(f: Any, x: Any, y: Any) -> Any:
    (a, b), (c, d) = parts(f, x), parts(f, y)
    return f.bitwise_or(f.not_equal(a, c), f.not_equal(b, d))


def _isfinite(f: Any, x: Any) -> Any:
    a, b = parts(f, x)
    return f.bitwise_and(f.isfinite(a), f.isfinite(b))


def _truth(name: str) -> Rule:
    return lambda f, x, *, axes: getattr(f, name)(f.cast(x, dtype=bool_), axes=axes)


# ---- products -----------------------------------------------------------------------------------


def _bilinear(name: str) -> Rule:
    """(a + ib)(c + id): four real products."""

    def rule(f: Any, x: Any, y: Any, **params: Any) -> Any:
        apply = getattr(f, name)
        (a, b), (c, d) = parts(f, x), parts(f, y)
        if y.dtype.kind != "c":
            return f.complex(apply(a, c, **params), apply(b, c, **params))
        if x.dtype.kind != "c":
            return f.complex(apply(a, c, **params), apply(a, d, **params))
        re = f.subtract(apply(a, c, **params), apply(b, d, **params))
        return f.complex(re, f.add(apply(a, d, **params), apply(b, c, **params)))

    return rule


def _prod(f: Any, x: Any, *, axes: Any) -> Any:
    """Products of neighbours, and again until one number is left."""
    rest = [axis for axis in range(len(x.shape)) if axis not in axes]
    count = 1
    for axis in axes:
        count = count * x.shape[axis]
    shape = tuple(x.shape[axis] for axis in rest)
    if axes:
        x = f.permute(x, axes=(*rest, *axes))
    x = f.reshape(x, shape=(*shape, count))
    _need_number("prod", count)
    one = f.constant(value=1, dtype=x.dtype)
    if count == 0:
        return f.broadcast(one, shape=shape)
    while count > 1:
        if count % 2:
            x = _padded(f, x, one, 1)
            count += 1
        x = f.reshape(x, shape=(*shape, count // 2, 2))
        left, right = (_item(f, x, n) for n in (0, 1))
        x, count = f.multiply(left, right), count // 2
    return f.reshape(x, shape=shape)


def _cumprod(f: Any, x: Any, *, axis: int, **params: Any) -> Any:
    """Each number times the one 1, 2, 4, … places before it (Hillis and Steele)."""
    order = (*(n for n in range(len(x.shape)) if n != axis), axis)
    x = f.permute(x, axes=order)
    count = x.shape[-1]
    _need_number("cumprod", count)
    reverse = params.get("reverse", False)
    last = len(x.shape) - 1
    one = f.constant(value=1, dtype=x.dtype)
    step = 1
    while step < count:
        start, stop = (step, count) if reverse else (0, count - step)
        kept = _sliced(f, x, last, start, stop)
        x = f.multiply(x, _padded(f, kept, one, step, in_front=not reverse))
        step *= 2
    back = [0] * len(order)
    for place, axis_of in enumerate(order):
        back[axis_of] = place
    return f.permute(x, axes=tuple(back))


def _need_number(op: str, count: Any) -> None:
    if not isinstance(count, int):
        text = f"complex numbers along a dimension of unknown size: {count}"
        fail(DTypeError, op, text, "call it with sizes that are numbers")


def _padded(f: Any, x: Any, value: Any, count: int, in_front: bool = False) -> Any:
    zeros = (0,) * (len(x.shape) - 1)
    low, high = ((*zeros, count), (*zeros, 0))
    if not in_front:
        low, high = high, low
    return f.pad(x, value, low=low, high=high, interior=(*zeros, 0))


def _sliced(f: Any, x: Any, axis: int, start: int, stop: int) -> Any:
    count = len(x.shape)
    first = tuple(start if n == axis else 0 for n in range(count))
    size = tuple(stop - start if n == axis else dim for n, dim in enumerate(x.shape))
    return f.slice(x, start=first, size=size, step=(1,) * count)


def _item(f: Any, x: Any, number: int) -> Any:
    """x[..., number]"""
    last = len(x.shape) - 1
    return f.reshape(_sliced(f, x, last, number, number + 1), shape=tuple(x.shape[:-1]))


RULES: dict[str, Rule] = {
    "cast": _cast,
    "equal": _equal,
    "not_equal": _not_equal,
    "isfinite": _isfinite,
    "multiply": _bilinear("multiply"),
    "contract": _bilinear("contract"),
    "convolution": _bilinear("convolution"),
    "prod": _prod,
    "cumprod": _cumprod,
    "scatter": _scatter,
    "any": _truth("any"),
    "all": _truth("all"),
    **{name: _each(name) for name in ("add", "subtract", "negative", "sum", "cumsum", "fold")},
    **functions.RULES,
}
