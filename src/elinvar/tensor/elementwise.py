"""Elementwise functions of the Array API standard: one result element for each element.

Operands may be tensors, numpy arrays or Python numbers. Python numbers are weak: they take the
dtype of the tensor beside them (`x_int + 0.5` is float32, `x_bfloat16 * 2` stays bfloat16). Shapes
broadcast by the standard's rule. Functions of real analysis (`exp`, `sin`, …) and `divide` turn
integers and bool into float32.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.dtypes import default_float, int16, int32, int64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.ops.record import Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor.cell import Cell
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import (
    broadcast_all,
    cast,
    floating,
    is_number,
    pair,
    tensor_of,
    typed_pair,
)
from elinvar.tensor.dispatch import F, apart

Unary = Callable[[Any], Any]
Binary = Callable[[Any, Any], Any]


def _record(name: str) -> Op:
    return BY_NAME[name]


def _named(function: Callable[..., Any], name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _float_unary(name: str, op: str | None = None) -> Unary:
    primitive = getattr(F, op or name)

    def function(x: Any, /) -> Any:
        if not isinstance(x, Cell) or x.dtype.kind not in "fc":
            x = floating(name, x)
        return primitive(x)

    return _named(function, name, _record(op or name).doc)


def _unary(name: str, op: str | None = None) -> Unary:
    primitive = getattr(F, op or name)

    def function(x: Any, /) -> Any:
        return primitive(x if isinstance(x, Cell) else tensor_of(name, x))

    return _named(function, name, _record(op or name).doc)


def _rounding(name: str) -> Unary:
    """Rounding functions leave integers as they are."""
    primitive = getattr(F, name)

    def function(x: Any, /) -> Any:
        x = tensor_of(name, x)
        return primitive(x) if x.dtype.kind == "f" else apart(x, x)

    return _named(function, name, _record(name).doc)


def _binary(name: str, op: str | None = None) -> Binary:
    primitive = getattr(F, op or name)

    def function(x1: Any, x2: Any, /) -> Any:
        try:  # the common case: two tensors that already agree
            same = x1.dtype is x2.dtype and x1.shape == x2.shape and isinstance(x1, Cell)
            if not (same and isinstance(x2, Cell)):
                x1, x2 = pair(name, x1, x2)
        except AttributeError:
            x1, x2 = pair(name, x1, x2)
        return primitive(x1, x2)

    return _named(function, name, _record(op or name).doc)


def _binary_of_bools(name: str, of_bools: str) -> Binary:
    """A function of numbers that is a logical one for bools, as in NumPy and PyTorch."""
    numbers, bools = getattr(F, name), getattr(F, of_bools)

    def function(x1: Any, x2: Any, /) -> Any:
        a, b = pair(name, x1, x2)
        return numbers(a, b) if a.dtype.kind != "b" else bools(a, b)

    return _named(function, name, _record(name).doc)


def _float_binary(name: str, op: str | None = None) -> Binary:
    primitive = getattr(F, op or name)

    def function(x1: Any, x2: Any, /) -> Any:
        a, b = pair(name, x1, x2)
        if a.dtype.kind not in "fc":
            a, b = cast(a, default_float), cast(b, default_float)
        return primitive(a, b)

    return _named(function, name, _record(op or name).doc)


exp: Unary = _float_unary("exp")
expm1: Unary = _float_unary("expm1")
log: Unary = _float_unary("log")
log1p: Unary = _float_unary("log1p")
log2: Unary = _float_unary("log2")
log10: Unary = _float_unary("log10")
sqrt: Unary = _float_unary("sqrt")
sin: Unary = _float_unary("sin")
cos: Unary = _float_unary("cos")
tan: Unary = _float_unary("tan")
asin: Unary = _float_unary("asin")
acos: Unary = _float_unary("acos")
atan: Unary = _float_unary("atan")
sinh: Unary = _float_unary("sinh")
cosh: Unary = _float_unary("cosh")
tanh: Unary = _float_unary("tanh")
asinh: Unary = _float_unary("asinh")
acosh: Unary = _float_unary("acosh")
atanh: Unary = _float_unary("atanh")
erf: Unary = _float_unary("erf")

negative: Unary = _unary("negative")
abs: Unary = _unary("abs")
sign: Unary = _unary("sign")
bitwise_invert: Unary = _unary("bitwise_invert")
floor: Unary = _rounding("floor")
ceil: Unary = _rounding("ceil")
trunc: Unary = _rounding("trunc")
round: Unary = _rounding("round")

add: Binary = _binary_of_bools("add", "bitwise_or")
subtract: Binary = _binary("subtract")
multiply: Binary = _binary_of_bools("multiply", "bitwise_and")
floor_divide: Binary = _binary("floor_divide")
remainder: Binary = _binary("remainder")
maximum: Binary = _binary("maximum")
minimum: Binary = _binary("minimum")
equal: Binary = _binary("equal")
not_equal: Binary = _binary("not_equal")
less: Binary = _binary("less")
less_equal: Binary = _binary("less_equal")
greater: Binary = _binary("greater")
greater_equal: Binary = _binary("greater_equal")
bitwise_and: Binary = _binary("bitwise_and")
bitwise_or: Binary = _binary("bitwise_or")
bitwise_xor: Binary = _binary("bitwise_xor")
bitwise_left_shift: Binary = _binary("bitwise_left_shift", "shift_left")
bitwise_right_shift: Binary = _binary("bitwise_right_shift", "shift_right")
divide: Binary = _float_binary("divide")
atan2: Binary = _float_binary("atan2")
copysign: Binary = _float_binary("copysign")
nextafter: Binary = _float_binary("nextafter")


def positive(x: Any, /) -> Any:
    """The same numbers: +x.

    Example:
        >>> import elinvar as el
        >>> el.positive(el.asarray([1, -2])).tolist()
        [1, -2]
    """
    x = tensor_of("positive", x)
    return apart(x, x)


def square(x: Any, /) -> Any:
    """The square of each element: x · x.

    Example:
        >>> import elinvar as el
        >>> el.square(el.asarray([1, -2, 3])).tolist()
        [1, 4, 9]
    """
    x = tensor_of("square", x)
    return F.multiply(x, x)


def reciprocal(x: Any, /) -> Any:
    """1 / x of each element; integers become float32.

    Example:
        >>> import elinvar as el
        >>> el.reciprocal(el.asarray([2.0, -4.0])).tolist()
        [0.5, -0.25]
    """
    return divide(1, floating("reciprocal", x))


def pow(x1: Any, x2: Any, /) -> Any:
    """x1 raised to the power x2, with broadcasting.

    Small constant exponents are products or roots: `x ** 2` is `x * x`, `x ** 0.5` is `sqrt(x)`.

    Raises:
        ValueRangeError: an integer tensor is raised to a negative Python int.

    Example:
        >>> import elinvar as el
        >>> el.pow(el.asarray([1.0, 2.0, 3.0]), 2).tolist()
        [1.0, 4.0, 9.0]
    """
    if isinstance(x1, Cell) and is_number(x2) and not isinstance(x2, bool):
        found = _constant_power(x1, x2)
        if found is not None:
            return found
    return F.power(*pair("pow", x1, x2))


def _constant_power(x: Any, exponent: float) -> Any:
    if x.dtype.kind in "iu" and isinstance(exponent, int) and exponent < 0:
        text = f"an integer tensor to a negative integer power: {x._type} ** {exponent}"
        fail(ValueRangeError, "pow", text, "cast it first: `x.float() ** -1`")
    if x.dtype.kind == "b" or (x.dtype.kind in "iu" and not isinstance(exponent, int)):
        return None
    if isinstance(exponent, builtins.complex):
        return None
    if exponent == 1:
        return positive(x)
    if exponent == 2:
        return F.multiply(x, x)
    if exponent == 3:
        return F.multiply(F.multiply(x, x), x)
    if exponent == 0.5:
        return F.sqrt(x)
    if exponent == -1:
        return divide(1, x)
    return None


def _tested(name: str, x: Any, test: Callable[[Any], Any]) -> Any:
    """`test(x)` for floats, False everywhere for other dtypes."""
    x = tensor_of(name, x)
    if x.dtype.kind == "c":
        return F.bitwise_or(test(F.real(x)), test(F.imag(x)))
    return test(x) if x.dtype.kind == "f" else F.not_equal(x, x)


def isnan(x: Any, /) -> Any:
    """True where an element is not a number.

    Example:
        >>> import elinvar as el
        >>> el.isnan(el.asarray([1.0, el.nan])).tolist()
        [False, True]
    """
    return _tested("isnan", x, lambda value: F.not_equal(value, value))


def isinf(x: Any, /) -> Any:
    """True where an element is positive or negative infinity.

    Example:
        >>> import elinvar as el
        >>> el.isinf(el.asarray([1.0, -el.inf])).tolist()
        [False, True]
    """
    return _tested("isinf", x, lambda value: equal(F.abs(value), math.inf))


def isfinite(x: Any, /) -> Any:
    """True where an element is neither infinite nor NaN.

    Example:
        >>> import elinvar as el
        >>> el.isfinite(el.asarray([1.0, el.inf, el.nan])).tolist()
        [True, False, False]
    """
    x = tensor_of("isfinite", x)
    return F.isfinite(x) if x.dtype.kind in "fc" else F.equal(x, x)


def signbit(x: Any, /) -> Any:
    """True where the sign bit is set; it tells -0.0 from 0.0.

    Example:
        >>> import elinvar as el
        >>> el.signbit(el.asarray([0.0, -0.0, -3.0])).tolist()
        [False, True, True]
    """
    x = tensor_of("signbit", x)
    if x.dtype.kind == "f":
        x = F.bitcast(x, dtype={16: int16, 32: int32, 64: int64}[x.dtype.bits])
    return less(x, 0)


def logical_not(x: Any, /) -> Any:
    """True where an element is False (or zero).

    Example:
        >>> import elinvar as el
        >>> el.logical_not(el.asarray([True, False])).tolist()
        [False, True]
    """
    return F.bitwise_invert(cast(tensor_of("logical_not", x), bool_dtype))


def _logical(name: str, x1: Any, x2: Any, primitive: Callable[..., Any]) -> Any:
    a, b = (cast(tensor_of(name, value), bool_dtype) for value in (x1, x2))
    return primitive(*broadcast_all(name, a, b))


def logical_and(x1: Any, x2: Any, /) -> Any:
    """True where both elements are True (or not zero).

    Example:
        >>> import elinvar as el
        >>> el.logical_and(el.asarray([True, True]), el.asarray([True, False])).tolist()
        [True, False]
    """
    return _logical("logical_and", x1, x2, F.bitwise_and)


def logical_or(x1: Any, x2: Any, /) -> Any:
    """True where at least one element is True (or not zero).

    Example:
        >>> import elinvar as el
        >>> el.logical_or(el.asarray([True, False]), False).tolist()
        [True, False]
    """
    return _logical("logical_or", x1, x2, F.bitwise_or)


def logical_xor(x1: Any, x2: Any, /) -> Any:
    """True where exactly one element is True (or not zero).

    Example:
        >>> import elinvar as el
        >>> el.logical_xor(el.asarray([True, False]), True).tolist()
        [False, True]
    """
    return _logical("logical_xor", x1, x2, F.bitwise_xor)


def logaddexp(x1: Any, x2: Any, /) -> Any:
    """log(exp(x1) + exp(x2)) without overflow.

    Example:
        >>> import elinvar as el
        >>> print(f"{el.logaddexp(1000.0, 1000.0).item():.3f}")
        1000.693
    """
    a, b = pair("logaddexp", x1, x2)
    if a.dtype.kind != "f":
        a, b = cast(a, default_float), cast(b, default_float)
    return _logaddexp(a, b)


@composite
def _logaddexp(a: Any, b: Any) -> Any:
    """The greater operand is picked by `where`, for `maximum` has no second derivative at a = b."""
    swapped = less(a, b)
    large, small = where(swapped, b, a), where(swapped, a, b)
    # equal infinities would give inf - inf, so the difference is taken as 0 there
    is_infinite = F.bitwise_and(equal(a, b), equal(F.abs(a), math.inf))
    difference = where(is_infinite, 0.0, F.subtract(small, large))
    return F.add(large, F.log1p(F.exp(difference)))


def hypot(x1: Any, x2: Any, /) -> Any:
    """The length of the hypotenuse, √(x1² + x2²), without overflow.

    Example:
        >>> import elinvar as el
        >>> el.hypot(3.0, 4.0).item()
        5.0
    """
    a, b = pair("hypot", x1, x2)
    if a.dtype.kind != "f":
        a, b = cast(a, default_float), cast(b, default_float)
    return _hypot(a, b)


@composite
def _hypot(a: Any, b: Any) -> Any:
    """The scale is a constant of the derivatives, for the result does not depend on it."""
    scale = F.stop_gradient(F.maximum(F.abs(a), F.abs(b)))
    usual = F.bitwise_and(greater(scale, 0), less(scale, math.inf))
    scale = where(usual, scale, 1.0)
    a_part, b_part = F.divide(a, scale), F.divide(b, scale)
    squares = F.add(F.multiply(a_part, a_part), F.multiply(b_part, b_part))
    is_zero = equal(squares, 0)
    length = F.multiply(scale, F.sqrt(where(is_zero, 1.0, squares)))
    infinite = F.bitwise_or(equal(F.abs(a), math.inf), equal(F.abs(b), math.inf))
    return where(infinite, math.inf, where(is_zero, 0.0, length))


def where(condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where the condition holds, else x2; all three broadcast together.

    Args:
        condition: bool tensor (numbers are compared with zero).
        x1, x2: tensors or Python numbers; the result has their promoted dtype.

    Example:
        >>> import elinvar as el
        >>> x = el.asarray([-1.0, 2.0])
        >>> el.where(x > 0, x, 0.0).tolist()
        [0.0, 2.0]
    """
    condition = cast(tensor_of("where", condition), bool_dtype)
    a, b = typed_pair("where", x1, x2)
    return F.where(*broadcast_all("where", condition, a, b))


def clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    """Limit values to min … max; either bound may be None. NaN, also in a bound, gives NaN.

    The gradient is 1 for elements within the bounds (bounds included) and 0 outside.

    Raises:
        ValueRangeError: both bounds are Python numbers and min is greater than max.

    Example:
        >>> import elinvar as el
        >>> el.clip(el.asarray([-2, 0, 5]), 0, 3).tolist()
        [0, 0, 3]
    """
    given = x = tensor_of("clip", x)
    if is_number(min) and is_number(max) and min > max:
        fail(ValueRangeError, "clip", f"min {min} is greater than max {max}")
    if min is not None:
        x = where(_or_nan(less(x, min), min), min, x)
    found = x if max is None else where(_or_nan(greater(x, max), max), max, x)
    return apart(found, given)


def _or_nan(beyond: Any, bound: Any) -> Any:
    """Where a bound takes the place of a value: also where it is NaN."""
    if is_number(bound):
        return beyond if bound == bound else True
    bound = tensor_of("clip", bound)
    return logical_or(beyond, F.not_equal(bound, bound)) if bound.dtype.kind == "f" else beyond


def isclose(
    x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """True where |x1 - x2| ≤ atol + rtol · |x2|; equal infinities are close.

    Example:
        >>> import elinvar as el
        >>> el.isclose(el.asarray([1.0, 2.0]), el.asarray([1.0, 2.1])).tolist()
        [True, False]
    """
    a, b = pair("isclose", x1, x2)
    same = F.equal(a, b)
    if a.dtype.kind != "f":
        a, b = cast(a, default_float), cast(b, default_float)
    near = less_equal(F.abs(F.subtract(a, b)), add(multiply(F.abs(b), rtol), atol))
    close = F.bitwise_or(same, F.bitwise_and(near, F.isfinite(b)))
    if equal_nan:
        close = F.bitwise_or(close, F.bitwise_and(isnan(a), isnan(b)))
    return close


def lerp(start: Any, end: Any, weight: Any) -> Any:
    """Linear interpolation: start + weight · (end - start).

    Example:
        >>> import elinvar as el
        >>> el.lerp(el.asarray([0.0]), el.asarray([10.0]), 0.5).tolist()
        [5.0]
    """
    return add(start, multiply(weight, subtract(end, start)))


def real(x: Any, /) -> Any:
    """The real part; of real numbers x.

    Example:
        >>> import elinvar as el
        >>> el.real(el.asarray([1.5 + 2j])).tolist()
        [1.5]
    """
    x = tensor_of("real", x)
    return F.real(x) if x.dtype.kind == "c" else apart(x, x, is_view=True)


def imag(x: Any, /) -> Any:
    """The imaginary part; of real numbers 0.

    Example:
        >>> import elinvar as el
        >>> el.imag(el.asarray([1.5 + 2j])).tolist()
        [2.0]
    """
    x = tensor_of("imag", x)
    return F.imag(x) if x.dtype.kind == "c" else F.zeros_like(x)


def conj(x: Any, /) -> Any:
    """The complex conjugate, x - iy for x + iy; of real numbers x.

    Example:
        >>> import elinvar as el
        >>> el.conj(el.asarray([1.5 + 2j])).tolist()
        [(1.5-2j)]
    """
    x = tensor_of("conj", x)
    return _conj(x) if x.dtype.kind == "c" else apart(x, x)


@composite
def _conj(x: Any) -> Any:
    return F.complex(F.real(x), F.negative(F.imag(x)))


def complex(re: Any, im: Any, /) -> Any:
    """The complex numbers re + i·im, with broadcasting.

    Args:
        re, im: real tensors or numbers; float64 ones give complex128, all others complex64.

    Example:
        >>> import elinvar as el
        >>> el.complex(el.asarray([1.0, 2.0]), -1.0).tolist()
        [(1-1j), (2-1j)]
    """
    a, b = pair("complex", re, im)
    dtype = a.dtype if a.dtype.bits == 64 and a.dtype.kind == "f" else default_float
    return F.complex(cast(a, dtype), cast(b, dtype))
