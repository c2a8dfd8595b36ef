"""Constants, conversions between dtypes, and what works on a number's bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import (
    FLOATS,
    REALS,
    DType,
    bfloat16,
    bool_,
    by_name,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int32,
)
from elinvar.core.errors import DTypeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.elementwise import (
    EVERY_DTYPE,
    XY,
    X,
    document,
    edge_values,
    elementwise,
    float_samples,
    generator,
    quiet,
)
from elinvar.ops.record import BadSample, Op, Sample, absent
from elinvar.ops.rules import round_to_bfloat16
from elinvar.ops.scalars import Scalar, select

# ---- constant -----------------------------------------------------------------------------------


def _check_number(value: Any, dtype: DType) -> None:
    if isinstance(value, (bool, np.bool_)):
        return
    if not isinstance(value, (int, float, complex)):
        fail(DTypeError, "constant", f"value must be a Python number, received {value!r}")
    if dtype.kind == "c":
        return
    if isinstance(value, complex):
        fail(ValueRangeError, "constant", f"{value!r} is no value of {dtype.name}")
    if dtype.kind == "f":
        return
    if isinstance(value, float) and not value.is_integer():
        fail(ValueRangeError, "constant", f"{value!r} is no value of {dtype.name}")
    low, high = (0, 1) if dtype.kind == "b" else _limits(dtype)
    if not low <= value <= high:
        fail(ValueRangeError, "constant", f"{value!r} is out of range for {dtype.name}")


def _limits(dtype: DType) -> tuple[int, int]:
    if dtype.kind == "u":
        return 0, (1 << dtype.bits) - 1
    return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1


def _constant_type(*, value: Any, dtype: DType) -> TensorType:
    if not isinstance(dtype, DType):
        fail(DTypeError, "constant", f"expected a dtype such as el.float32, received {dtype!r}")
    _check_number(value, dtype)
    return TensorType(dtype, ())


def _constant_reference(*, value: Any, dtype: DType) -> Any:
    if dtype.kind == "c":
        with np.errstate(all="ignore"):
            return np.asarray(complex(value)).astype(dtype.numpy)
    if dtype.kind != "f":
        return np.asarray(int(value)).astype(dtype.numpy)
    with np.errstate(all="ignore"):
        return cast_array(np.asarray(float(value), np.float64), dtype)


def _constant_samples() -> list[Sample]:
    values = [(1.5, float32), (-0.0, float64), (3, float32), (0.1, float16), (0.1, bfloat16)]
    found = [{"value": value, "dtype": dtype} for value, dtype in values]
    found.append({"value": float("nan"), "dtype": float32})
    found += [{"value": 1.5 - 2j, "dtype": complex64}, {"value": 0.1 + 0j, "dtype": complex128}]
    found.append({"value": complex(-0.0, float("inf")), "dtype": complex128})
    found.append({"value": float("-inf"), "dtype": float64})
    for dtype in REALS:
        if dtype.is_integer:
            found += [{"value": limit, "dtype": dtype} for limit in _limits(dtype)]
    found += [{"value": True, "dtype": bool_}, {"value": 0, "dtype": bool_}]
    return [Sample((), params, differentiable=False) for params in found]


CONSTANT = Op(
    name="constant",
    family="elementwise",
    doc=(
        "One number.\n\n    y = value\n\nArgs:\n    value: a Python bool, int, float or complex.\n"
        "    dtype: the dtype of the result; the number is rounded to it once.\n\n"
        "Shape:\n    0-d.\n\nExample:\n    >>> import elinvar as el\n"
        "    >>> el.asarray(2.5).item()\n    2.5\n"
    ),
    type_rule=_constant_type,
    reference=_constant_reference,
    derivative=lambda f, operands, results, cotangents, **params: (),
    batching="family",
    lowering=absent("has no operand that brings a handler: generators write the number"),
    stablehlo="stablehlo.constant",
    samples=_constant_samples,
    bad_samples=lambda: [
        BadSample((), {"value": 300, "dtype": int8}, "300 is out of range for int8"),
        BadSample((), {"value": 0.5, "dtype": int32}, "0.5 is no value of int32"),
        BadSample((), {"value": "one", "dtype": float32}, "value must be a Python number"),
        BadSample((), {"value": 1, "dtype": "f32"}, "expected a dtype such as el.float32"),
    ],
    params=("value", "dtype"),
)


# ---- cast ---------------------------------------------------------------------------------------


def cast_array(x: Any, dtype: DType) -> Any:
    """Convert a numpy array: floats round once, float to integer saturates and sends NaN to 0.

    bfloat16 values travel as float32 arrays.
    """
    with np.errstate(all="ignore"):
        if dtype.kind == "b":
            return x != 0
        if dtype is bfloat16:
            return round_to_bfloat16(_odd_float32(x))
        if x.dtype.kind == "f" and dtype.is_integer:
            return _saturated(x, dtype)
        if dtype is float16 and x.dtype.itemsize > 2:
            return _odd_float32(x).astype(np.float16)
        return x.astype(dtype.numpy)


def _saturated(x: Any, dtype: DType) -> Any:
    low, high = _limits(dtype)
    whole = np.trunc(np.where(np.isnan(x), 0, x).astype(np.float64))
    below, above = whole < float(low), whole >= float(high + 1)
    inside = np.where(below | above, 0, whole).astype(dtype.numpy)
    edges = dtype.numpy.type(low), dtype.numpy.type(high)
    return np.where(below, edges[0], np.where(above, edges[1], inside))


def _odd_float32(x: Any) -> Any:
    """x as float32, rounded to odd where it is wider: a second rounding is then as good as one."""
    if x.dtype.kind != "f" and x.dtype.itemsize == 8:
        rest = x & x.dtype.type(0xFFF)
        sticky = np.where(rest != 0, (x - rest) | x.dtype.type(0x800), x)
        small = (x < 2**53) & (x > -(2**53)) if x.dtype.kind == "i" else x < 2**53
        x = np.where(small, x, sticky)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    if x.dtype.itemsize < 8:
        return x.astype(np.float32)
    single = np.asarray(x.astype(np.float32))
    back = single.astype(np.float64)
    bits = single.view(np.uint32)
    lower = np.where(np.abs(back) > np.abs(x), bits - np.uint32(1), bits)
    odd = np.where(back != x, lower | np.uint32(1), lower).astype(np.uint32)
    return np.where(np.isnan(x), np.float32(np.nan), odd.view(np.float32))


def _cast_type(x: TensorType, *, dtype: DType) -> TensorType:
    if not isinstance(dtype, DType):
        fail(DTypeError, "cast", f"expected a dtype such as el.float32, received {dtype!r}")
    return x.with_dtype(dtype)


def _cast_derivative(f: Any, operands: Any, results: Any, cotangents: Any, *, dtype: DType) -> Any:
    source = operands[0].dtype
    if source.kind != "f" or dtype.kind != "f":
        return (None,)
    return (f.cast(cotangents[0], dtype=source),)


def _cast_samples() -> list[Sample]:
    rng = generator()
    found = []
    with np.errstate(all="ignore"):
        for name in ("float32", "float64", "float16", "int32", "int64", "uint8", "uint64", "bool"):
            dtype = by_name(name).numpy
            values = rng.uniform(-300, 300, 40)
            if dtype.kind == "f":
                column = np.concatenate([values, edge_values(dtype)]).astype(dtype)
            else:
                column = np.abs(values).astype(dtype)
            if dtype.kind in "iu":
                limits = np.iinfo(dtype)
                near = [limits.min, limits.max, limits.max // 3, limits.max // 2 + 1]
                column = np.concatenate([column, np.array(near, dtype)])
            found += [Sample((column,), {"dtype": to}, differentiable=False) for to in REALS]
    smooth = rng.uniform(-3, 3, (4, 5))
    found.append(Sample((smooth.astype(np.float32),), {"dtype": float64}))
    return found


CAST = Op(
    name="cast",
    family="elementwise",
    doc=document(
        "The same value in another dtype. Floats are rounded once, to nearest even; a float beyond "
        "an integer type's range gives its nearest limit, and NaN gives 0; bool is x ≠ 0.",
        "y = x rounded to dtype",
        X,
        "any dtype; `dtype` names the result's",
        ">>> el.astype(el.asarray([1.75, -2.5]), el.int32).tolist()\n[1, -2]",
    ),
    type_rule=_cast_type,
    reference=lambda x, *, dtype: cast_array(x, dtype),
    derivative=_cast_derivative,
    batching="family",
    lowering=lambda x, *, dtype: x.cast(dtype),
    stablehlo="stablehlo.convert",
    samples=_cast_samples,
    bad_samples=lambda: [
        BadSample((TensorType(float32, (2,)),), {"dtype": "float"}, "expected a dtype such as"),
    ],
    params=("dtype",),
)


# ---- bitcast ------------------------------------------------------------------------------------


def _bitcast_type(x: TensorType, *, dtype: DType) -> TensorType:
    if not isinstance(dtype, DType):
        fail(DTypeError, "bitcast", f"expected a dtype such as el.int32, received {dtype!r}")
    if bool_ in (x.dtype, dtype) or x.dtype.bits != dtype.bits:
        text = f"{x} and {dtype.name} differ in width: {x.dtype.bits} and {dtype.bits} bits"
        if bool_ in (x.dtype, dtype):
            text = f"bool has no bits to reinterpret, received {x} and {dtype.name}"
        fail(DTypeError, "bitcast", text)
    return x.with_dtype(dtype)


def _bitcast_reference(x: Any, *, dtype: DType) -> Any:
    if x.dtype == np.float32 and dtype.bits == 16:  # a bfloat16 value
        upper = np.ascontiguousarray(x).view(np.uint32) >> np.uint32(16)
        x = upper.astype(np.uint16).reshape(x.shape)
    x = np.asarray(x)
    if dtype is bfloat16:
        wide = x.view(np.uint16).astype(np.uint32) << np.uint32(16)
        return np.asarray(wide, np.uint32).view(np.float32)
    return x.view(dtype.numpy)


def _bitcast_samples() -> list[Sample]:
    floats = np.array([0.0, -0.0, 1.5, -2.25, np.inf, 1e-40], np.float32)
    words = np.array([0, 1, -1, 0x3F800000, 12345], np.int32)
    return [
        Sample((floats,), {"dtype": int32}, differentiable=False),
        Sample((words,), {"dtype": float32}, differentiable=False),
        Sample((floats.astype(np.float64),), {"dtype": by_name("uint64")}, differentiable=False),
        Sample((floats.astype(np.float16),), {"dtype": by_name("int16")}, differentiable=False),
        Sample((np.array([0, 0x3F80], np.uint16),), {"dtype": bfloat16}, differentiable=False),
    ]


BITCAST = Op(
    name="bitcast",
    family="elementwise",
    doc=document(
        "The same bits read as another dtype of the same width. There is no gradient.",
        "bits(y) = bits(x)",
        X,
        "a numeric dtype; `dtype` names the result's",
        ">>> el.bitcast(el.asarray([1.0], dtype=el.float32), el.int32).tolist()\n[1065353216]",
    ),
    type_rule=_bitcast_type,
    reference=_bitcast_reference,
    derivative=lambda f, operands, results, cotangents, **params: (None,),
    batching="family",
    lowering=lambda x, *, dtype: x.bitcast(dtype),
    stablehlo="stablehlo.bitcast_convert",
    samples=_bitcast_samples,
    bad_samples=lambda: [
        BadSample(
            (TensorType(float32, (2,)),), {"dtype": float64}, "differ in width: 32 and 64 bits"
        ),
        BadSample((TensorType(bool_, (2,)),), {"dtype": int8}, "bool has no bits to reinterpret"),
    ],
    params=("dtype",),
)


# ---- stop_gradient, copysign, nextafter ----------------------------------------------------------


def _stop_gradient_samples() -> list[Sample]:
    x = generator().uniform(-3, 3, (3, 5)).astype(np.float32)
    return [Sample((x,), differentiable=False)]


def _integers_of(dtype: DType) -> DType:
    return by_name(f"int{dtype.bits}")


def _copysign_derivative(f: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
    one = f.full(1, x)
    return f.multiply(g, f.multiply(f.copysign(one, x), f.copysign(one, y))), None


def _copysign_stablehlo(f: Any, x: Any, y: Any) -> Any:
    word = _integers_of(x.dtype)
    low, high = _limits(word)
    size, sign = (f.bitcast(value, dtype=word) for value in (x, y))
    size = f.bitwise_and(size, f.full(high, size))
    sign = f.bitwise_and(sign, f.full(low, sign))
    return f.bitcast(f.bitwise_or(size, sign), dtype=x.dtype)


def _nextafter(x: Scalar, y: Scalar) -> Scalar:
    word = _integers_of(x.dtype)
    bits = x.bitcast(word)
    outwards = (y > x) ^ (bits < 0)
    neighbour = select(outwards, bits + 1, bits - 1).bitcast(x.dtype)
    smallest = x.const(1, word).bitcast(x.dtype).copysign(y)
    moved = select(x.eq(0.0), smallest, neighbour)
    return select(x.eq(y), y, select(x.isnan() | y.isnan(), x + y, moved))


def _nextafter_stablehlo(f: Any, x: Any, y: Any) -> Any:
    word = _integers_of(x.dtype)
    bits = f.bitcast(x, dtype=word)
    one = f.full(1, bits)
    outwards = f.bitwise_xor(f.greater(y, x), f.less(bits, f.zeros_like(bits)))
    neighbour = f.bitcast(f.where(outwards, f.add(bits, one), f.subtract(bits, one)), dtype=x.dtype)
    smallest = f.copysign(f.bitcast(one, dtype=x.dtype), y)
    moved = f.where(f.equal(x, f.zeros_like(x)), smallest, neighbour)
    ordered = f.bitwise_and(f.equal(x, x), f.equal(y, y))
    return f.where(f.equal(x, y), y, f.where(ordered, moved, f.add(x, y)))


OPS: tuple[Op, ...] = (
    CONSTANT,
    CAST,
    BITCAST,
    elementwise(
        "stop_gradient", X, "The same value, as a constant for differentiation.", "y = x",
        ">>> el.stop_gradient(el.asarray([1.0, 2.0])).tolist()\n[1.0, 2.0]",
        accepted=EVERY_DTYPE,
        reference=lambda x: x,
        derivative=None,
        lowering=lambda x: x,
        stablehlo=lambda f, x: x,
        samples=_stop_gradient_samples,
    ),
    elementwise(
        "copysign", XY,
        "The size of x with the sign of y. The gradient for x follows the two signs; y gets none.",
        "z = |x|·sign(y)",
        ">>> el.copysign(el.asarray([1.0, -2.0]), el.asarray([-3.0, 4.0])).tolist()\n[-1.0, 2.0]",
        accepted=FLOATS,
        reference=quiet(np.copysign),
        derivative=_copysign_derivative,
        lowering=lambda x, y: x.copysign(y),
        stablehlo=_copysign_stablehlo,
        samples=float_samples(2),
    ),
    elementwise(
        "nextafter", XY,
        "The next number of the dtype from x towards y. The gradient passes to x.",
        "z = x + one step towards y",
        ">>> el.nextafter(el.asarray([1.0]), el.asarray([2.0])).tolist()\n[1.0000001192092896]",
        accepted=FLOATS,
        reference=quiet(lambda x, y: np.where(x == y, y, np.nextafter(x, y))),
        derivative=lambda f, x, y, z, g: (g, None),
        lowering=_nextafter,
        stablehlo=_nextafter_stablehlo,
        samples=float_samples(2),
    ),
)  # fmt: skip
