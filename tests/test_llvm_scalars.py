"""The scalar instructions as LLVM compiles them, against what `ops/scalars.py` says they mean."""

import math

import numpy as np
import pytest
from scalar_harness import compiled

from elinvar.codegen.llvm_scalars import FunctionText, LLVMHandler, constant_text, llvm_type
from elinvar.core.dtypes import (
    FLOATS,
    INTEGERS,
    REALS,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int32,
    int64,
    uint64,
)
from elinvar.core.errors import CompileError
from elinvar.ops import division
from elinvar.ops.conversion import cast_array
from elinvar.ops.scalars import INSTRUCTIONS, fma, select

LANES = pytest.mark.parametrize("lanes", [1, 16])
RNG = np.random.default_rng(3)


def bfloat16_values(bits):
    return (np.asarray(bits, np.uint32) << np.uint32(16)).view(np.float32)


def words(dtype, count=200):
    info = np.iinfo(dtype.numpy)
    middle = RNG.integers(max(-9, info.min), 9, count)
    wide = RNG.integers(info.min, info.max, count, dtype=dtype.numpy, endpoint=True)
    ends = [info.min, info.max, 0, 1, info.max // 2]
    return RNG.permutation(
        np.concatenate([middle.astype(dtype.numpy), wide, np.array(ends * 4, dtype.numpy)])
    )


def same(got, want):
    if got.dtype.kind != "f":
        return np.array_equal(got, want)
    equal = (got == want) & (np.signbit(got) == np.signbit(want))
    return bool(np.all(equal | (np.isnan(got) & np.isnan(want))))


# ---- text ---------------------------------------------------------------------------------------


def test_types_and_constants():
    assert llvm_type(float32, 16) == "<16 x float>"
    assert llvm_type(float64) == "double"
    assert llvm_type(bool_, 4) == "<4 x i1>"
    assert llvm_type(bfloat16) == llvm_type(float16) == "i16"
    assert constant_text(float32, 0.1) == "0x3FB99999A0000000"
    assert constant_text(float64, -math.inf) == "0xFFF0000000000000"
    assert constant_text(uint64, 2**64 - 1) == str(2**64 - 1)
    assert constant_text(int32, 2**31) == str(-(2**31))
    assert constant_text(bool_, 2) == "true"
    assert constant_text(bfloat16, 1.0) == str(0x3F80)
    assert constant_text(float16, 1e9) == str(0x7C00)
    assert constant_text(bfloat16, 1.00390625 + 2.0**-40) == str(0x3F81)  # no double rounding


def test_vector_constants_are_splats():
    text = FunctionText()
    handler = LLVMHandler(text, 8)
    x = handler.scalar(float32, "%x")
    assert (x + 1.0).payload == "%t1"
    assert text.lines == ["  %t1 = fadd <8 x float> %x, splat (float 0x3FF0000000000000)"]
    fma(x, x, x)
    fma(x, x, 2.0)
    assert len(text.declarations) == 1


def test_operands_of_different_dtypes_are_refused():
    handler = LLVMHandler(FunctionText(), 1)
    with pytest.raises(CompileError, match="scalar operands differ in dtype: f32, f64"):
        _ = handler.scalar(float32, "%x") + handler.scalar(float64, "%y")
    with pytest.raises(CompileError, match="no such instruction on bool scalars"):
        handler.scalar(bool_, "%x").sqrt()
    with pytest.raises(CompileError, match="no such instruction on f32 scalars"):
        handler.scalar(float32, "%x").emit("xor", 1.0)


def test_the_vocabulary_is_complete():
    assert len(INSTRUCTIONS) == len(set(INSTRUCTIONS)) == 35


# ---- integers -----------------------------------------------------------------------------------


@LANES
@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
def test_integers_wrap_and_division_never_traps(dtype, lanes):
    x, y = words(dtype), words(dtype)
    with np.errstate(all="ignore"):
        for name, ufunc in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
            got = compiled(lambda a, b, n=name: a.emit(n, b), (dtype, dtype), lanes)(x, y)
            assert same(got, ufunc(x, y)), name
        quotient = [int(a) // int(b) if b and (a < 0) == (b < 0) else -(abs(int(a)) // abs(int(b))) if b else 0
                    for a, b in zip(x, y, strict=True)]  # fmt: skip
        wrapped = np.array([q & (2**dtype.bits - 1) for q in quotient], np.uint64)
        want = wrapped.astype(f"u{dtype.itemsize}").view(dtype.numpy)
        assert same(compiled(lambda a, b: a / b, (dtype, dtype), lanes)(x, y), want)
        rest = x - want * y
        assert same(compiled(lambda a, b: a % b, (dtype, dtype), lanes)(x, y), rest)
        for name, ufunc in (("min", np.minimum), ("max", np.maximum), ("xor", np.bitwise_xor)):
            got = compiled(lambda a, b, n=name: a.emit(n, b), (dtype, dtype), lanes)(x, y)
            assert same(got, ufunc(x, y)), name
        assert same(compiled(lambda a: a.abs(), (dtype,), lanes)(x), np.abs(x))
        assert same(compiled(lambda a: -a, (dtype,), lanes)(x), np.negative(x))
        assert same(compiled(lambda a: ~a, (dtype,), lanes)(x), np.invert(x))
        shifted = compiled(lambda a: a >> 3, (dtype,), lanes)(x)
        assert same(shifted, x >> dtype.numpy.type(3))


@pytest.mark.parametrize("dtype", INTEGERS, ids=lambda d: d.name)
def test_integer_powers_and_floor_division(dtype):
    x, y = words(dtype), words(dtype)
    small = np.abs(y % dtype.numpy.type(13)).astype(dtype.numpy)
    with np.errstate(all="ignore"):
        got = compiled(division.integer_power, (dtype, dtype), 4)(x, small)
        assert same(got, np.power(x, small))
        got = compiled(division.floor_divide, (dtype, dtype), 4)(x, y)
        assert same(got, np.floor_divide(x, y))
        got = compiled(division.remainder, (dtype, dtype), 4)(x, y)
        assert same(got, np.remainder(x, y))


# ---- floats -------------------------------------------------------------------------------------


@LANES
@pytest.mark.parametrize("dtype", [float32, float64], ids=lambda d: d.name)
def test_minimum_and_maximum_order_zeros_and_keep_nan(dtype, lanes):
    values = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype.numpy)
    x, y = np.repeat(values, 7), np.tile(values, 7)
    low = compiled(lambda a, b: a.min(b), (dtype, dtype), lanes)(x, y)
    high = compiled(lambda a, b: a.max(b), (dtype, dtype), lanes)(x, y)
    for a, b, small, large in zip(x, y, low, high, strict=True):
        if math.isnan(a) or math.isnan(b):
            assert math.isnan(small) and math.isnan(large)
            continue
        ordered = sorted((a, b), key=lambda v: (v, math.copysign(1, v)))
        assert [math.copysign(1, v) for v in ordered] == [
            math.copysign(1, v) for v in (small, large)
        ]
        assert ordered == [small, large]


@LANES
def test_rounding_and_fma(lanes):
    x = np.array([0.5, 1.5, -0.5, -2.5, 0.49999997, 8388609.0, -0.0, np.inf], np.float32)
    for name, ufunc in (
        ("floor", np.floor),
        ("ceil", np.ceil),
        ("trunc", np.trunc),
        ("rint", np.rint),
    ):
        assert same(compiled(lambda a, n=name: a.emit(n), (float32,), lanes)(x), ufunc(x)), name
    tiny = np.array([2.0**-30, 3.0, 1 + 2.0**-23], np.float32)
    got = compiled(lambda a: fma(a, a, -1.0), (float32,), lanes)(tiny)
    want = (tiny.astype(np.float64) ** 2 - 1).astype(np.float32)
    assert same(got, want)


@LANES
def test_comparisons_with_nan_are_false_except_not_equal(lanes):
    x, y = np.array([1.0, np.nan, np.nan]), np.array([np.nan, 1.0, np.nan])
    for name in ("eq", "lt", "le", "gt", "ge"):
        got = compiled(lambda a, b, n=name: a.emit(n, b), (float64, float64), lanes)(x, y)
        assert not got.any()
    assert compiled(lambda a, b: a.ne(b), (float64, float64), lanes)(x, y).all()
    got = compiled(lambda a, b: select(a.isnan(), b, a), (float64, float64), lanes)(x, y)
    assert got[0] == 1.0 and got[1] == 1.0 and math.isnan(got[2])


@pytest.mark.parametrize("dtype", [float32, float64], ids=lambda d: d.name)
def test_float_remainder_is_exact_for_any_quotient(dtype):
    word = np.uint32 if dtype is float32 else np.uint64
    bits = RNG.integers(0, np.iinfo(word).max, (2, 4000), dtype=word, endpoint=True)
    x, y = bits.view(dtype.numpy)
    smallest = np.finfo(dtype.numpy).smallest_subnormal
    ends = [np.finfo(dtype.numpy).max] * 3 + [5.0, -5.0, 1.0, np.inf]
    x = np.concatenate([x, np.array(ends, dtype.numpy)])
    divisors = [smallest, 3 * smallest, 0.7, np.inf, np.inf, 0.0, 1.0]
    y = np.concatenate([y, np.array(divisors, dtype.numpy)])
    with np.errstate(all="ignore"):
        assert same(compiled(division.float_remainder, (dtype, dtype), 8)(x, y), np.fmod(x, y))
        assert same(compiled(division.remainder, (dtype, dtype), 8)(x, y), np.remainder(x, y))


# ---- conversions --------------------------------------------------------------------------------


def edge_floats(dtype):
    info = np.finfo(np.float64)
    exact = [2.0**k + d for k in (7, 8, 15, 16, 24, 31, 32, 53, 63, 64) for d in (-1, 0, 1)]
    halves = [1 + k * 2.0**-9 + d for k in range(16) for d in (-(2.0**-40), 0, 2.0**-40)]
    small = [2.0**-25 * (1 + d) for d in (-1e-9, 0, 1e-9)] + [
        2.0**-134 * (1 + d) for d in (0, 1e-9)
    ]
    values = [*exact, *halves, *small, 65519.999, 65520.0, 3.39e38, 3.4e38, 1e300, float(info.tiny)]
    values += [0.0, math.inf, 0.5, 0.99]
    with np.errstate(all="ignore"):
        return np.array([*values, *(-v for v in values), math.nan]).astype(dtype.numpy)


@LANES
@pytest.mark.parametrize("source", [d for d in REALS if d is not bfloat16], ids=lambda d: d.name)
def test_casts_agree_with_the_reference(source, lanes):
    if source.kind == "f":
        x = edge_floats(source)
    elif source is bool_:
        x = np.array([True, False])
    else:
        x = words(source)
        if source.bits == 64:  # ties of the 8 bits of bfloat16, with and without a rest
            ties = [(0x181 << 50) + d for d in (-1, 0, 1)] + [(0x183 << 50) + d for d in (-1, 0, 1)]
            x = np.concatenate([x, np.array(ties, source.numpy)])
    for target in REALS:
        got = compiled(lambda a, to=target: a.cast(to), (source,), lanes)(x)
        want = cast_array(x, target)
        if target is bfloat16:
            got = bfloat16_values(got)
        assert same(got, want), target


@LANES
def test_all_bfloat16_and_float16_numbers_survive_a_round_trip(lanes):
    bits = np.arange(2**16, dtype=np.uint16)
    for dtype in (bfloat16, float16):
        column = bits if dtype is bfloat16 else bits.view(np.float16)
        for wide in (float32, float64):
            there = compiled(lambda a, to=wide: a.cast(to), (dtype,), lanes)(column)
            exact = bfloat16_values(bits) if dtype is bfloat16 else column
            with np.errstate(invalid="ignore"):
                assert same(there, exact.astype(wide.numpy))
            back = compiled(lambda a, to=dtype: a.cast(to), (wide,), lanes)(there)
            nan = np.isnan(there)
            assert np.array_equal(back.view(np.uint16)[~nan], bits[~nan])
            again = bfloat16_values(back) if dtype is bfloat16 else back
            assert np.isnan(again[nan]).all()


def test_wide_integers_round_to_bfloat16_once():
    tie = (1 << 62) + (1 << 54)
    x = np.array([tie - 1, tie, tie + 1, -tie - 1, 3 * (1 << 54) + (1 << 62) - 1], np.int64)
    got = bfloat16_values(compiled(lambda a: a.cast(bfloat16), (int64,), 1)(x))
    step = 2.0**55
    want = [2.0**62, 2.0**62, 2.0**62 + step, -(2.0**62) - step, 2.0**62 + step]
    assert got.tolist() == want


@LANES
@pytest.mark.parametrize("dtype", [float16, bfloat16], ids=lambda d: d.name)
def test_arithmetic_of_16_bit_floats_is_rounded_once_from_f32(dtype, lanes):
    bits = RNG.integers(0, 2**16, (2, 3000), dtype=np.uint16)
    columns = [column if dtype is bfloat16 else column.view(np.float16) for column in bits]
    wide = [bfloat16_values(c) if dtype is bfloat16 else c.astype(np.float32) for c in columns]
    with np.errstate(all="ignore"):
        for name, ufunc in (("add", np.add), ("mul", np.multiply), ("div", np.divide)):
            got = compiled(lambda a, b, n=name: a.emit(n, b), (dtype, dtype), lanes)(*columns)
            want = cast_array(ufunc(*wide), dtype)
            assert same(bfloat16_values(got) if dtype is bfloat16 else got, want), name
    got = compiled(lambda a, b: a.copysign(b), (dtype, dtype), lanes)(*columns)
    assert np.array_equal(got.view(np.uint16), bits[0] & 0x7FFF | bits[1] & 0x8000)
    assert same(compiled(lambda a, b: a < b, (dtype, dtype), lanes)(*columns), wide[0] < wide[1])


def test_every_float_has_a_sign_that_can_be_flipped():
    for dtype in FLOATS:
        x = np.array([0, 1, 2], dtype.storage)
        got = compiled(lambda a: -a, (dtype,), 4)(x)
        word = f"u{dtype.itemsize}"
        top = np.array(1 << (dtype.bits - 1), word)
        assert np.array_equal(got.view(word), x.view(word) ^ top)
