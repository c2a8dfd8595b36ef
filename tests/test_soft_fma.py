"""fma made of other instructions, and float16 made of integers: against exact numbers, and against
the hardware where it has them."""

import ctypes
import math
from fractions import Fraction

import numpy as np
import pytest
from scalar_harness import compiled
from soft_fma_cases import any_bits, cancelling, different, halfway, run, small, specials

from elinvar.codegen.stand_ins import narrowed, widened, with_stand_ins
from elinvar.core.dtypes import float32, float64, uint16
from elinvar.runtime import native
from elinvar.runtime.llvm import has_fma, this_machine
from elinvar.runtime.targets import NAMES, target_named

DTYPES = pytest.mark.parametrize("dtype", [float32, float64], ids=lambda d: d.name)
hardware = pytest.mark.skipif(
    not has_fma(native.host()), reason="this machine has no fma to compare with"
)


def rounded(exact, dtype):
    """The nearest number of the dtype, ties to even. Python divides integers correctly to f64."""
    info = np.finfo(dtype.numpy)
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, int(info.minexp)) - info.nmant)
    whole = round(size / unit)  # half to even
    if whole * unit > Fraction(float(info.max)):
        return math.inf if exact > 0 else -math.inf
    return float(whole * unit) if exact > 0 else -float(whole * unit)


@DTYPES
@pytest.mark.parametrize("cases", [any_bits, halfway, cancelling, small], ids=lambda f: f.__name__)
def test_against_exact_numbers(dtype, cases):
    a, b, c = cases(dtype, 1600, 11)
    got = run(dtype, False, a, b, c)
    looked_at = 0
    for x, y, z, value in zip(*(v.tolist() for v in (a, b, c, got)), strict=True):
        if not all(map(math.isfinite, (x, y, z))):
            continue
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        want = rounded(exact, dtype)
        assert value == want, (x, y, z, value, want)
        if exact:
            assert math.copysign(1, value) == (1 if exact > 0 else -1), (x, y, z, value)
        looked_at += 1
    assert looked_at > 800


@pytest.mark.parametrize(
    ("a", "b", "c", "want"),
    [
        (0.0, 1.0, -0.0, 0.0), (-0.0, 1.0, -0.0, -0.0), (2.0, 3.0, -6.0, 0.0),
        (math.inf, 0.0, 1.0, math.nan), (math.inf, 1.0, -math.inf, math.nan),
        (1e300, 1e300, -math.inf, -math.inf), (1e300, 1e300, 1.0, math.inf),
        (1e-300, -1e-300, 0.0, -0.0), (1e-300, -1e-300, -0.0, -0.0), (math.inf, -2.0, 5.0, -math.inf),
    ],
)  # fmt: skip
def test_what_is_not_ordinary(a, b, c, want):
    got = run(float64, False, *(np.full(8, x) for x in (a, b, c)))[0]
    assert math.isnan(got) if math.isnan(want) else got == want
    assert math.isnan(want) or math.copysign(1, got) == math.copysign(1, want)


@hardware
@DTYPES
def test_against_the_hardware(dtype):
    """13 million triples in f32, 4 in f64."""
    assert not different(dtype, *specials(dtype))
    assert not different(dtype, *any_bits(dtype, 10_000_000 if dtype is float32 else 1_000_000, 0))
    for cases in (halfway, cancelling, small):
        assert not different(dtype, *cases(dtype, 1_000_000, 1)), cases.__name__


def every_half():
    return np.arange(1 << 16, dtype=np.uint16)


def test_float16_widens_exactly():
    halves = every_half()
    want = halves.view(np.float16).astype(np.float32)
    for lanes in (1, 16):
        got = compiled(widened, (uint16,), lanes)(halves)
        both = np.isnan(got) & np.isnan(want)
        assert np.all(both | (got.view(np.uint32) == want.view(np.uint32)))


def test_float16_rounds_to_even():
    """Every half, the middles between them, what lies beside those, and any bits."""
    positive = every_half()[: 0x7C01].view(np.float16).astype(np.float32)
    positive[-1] = 65536.0  # what would come after the largest
    middles = (positive[:-1] + positive[1:]) / 2
    x = [positive, middles, *(np.nextafter(middles, np.float32(to)) for to in (-np.inf, np.inf))]
    x = np.concatenate([*x, *(-part for part in x), any_bits(float32, 4_000_000, 5)[0]])
    with np.errstate(over="ignore"):
        want = x.astype(np.float16)
    for lanes in (1, 16):
        got = compiled(narrowed, (float32,), lanes)(x).view(np.float16)
        both = np.isnan(got) & np.isnan(want)
        assert np.all(both | (got.view(np.uint16) == want.view(np.uint16)))


HALVES = """
define void @test_halves(ptr %x, ptr %y) nounwind {
  %wide = load <4 x float>, ptr %x, align 4
  %t1 = fptrunc <4 x float> %wide to <4 x half>
  %t2 = fpext <4 x half> %t1 to <4 x float>
  store <4 x float> %t2, ptr %y, align 4
  %one = load float, ptr %x, align 4
  %t3 = fptrunc float %one to half
  %t4 = fpext half %t3 to float
  %at = getelementptr float, ptr %y, i64 4
  store float %t4, ptr %at, align 4
  ret void
}
"""


def test_conversions_in_a_text_are_replaced():
    text = with_stand_ins(HALVES, True, False)
    assert "fptrunc" not in text and "fpext" not in text and "fptrunc" in HALVES
    address = native.load(text, ["test_halves"])["test_halves"]
    x, y = np.array([1.0009765, -70000.0, 6e-8, 2.0], np.float32), np.zeros(5, np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)(x.ctypes.data, y.ctypes.data)
    with np.errstate(over="ignore"):
        want = x.astype(np.float16).astype(np.float32)
    assert y.tolist() == [*want.tolist(), float(want[0])]


LACKING = [name for name in NAMES if name != "host"]


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("suffix", ["f32", "f64", "v4f32", "v16f32", "v8f64"])
def test_no_library_is_called(name, suffix):
    element = "float" if suffix.endswith("f32") else "double"
    kind = f"<{suffix[1:-3]} x {element}>" if suffix.startswith("v") else element
    text = f"""
declare {kind} @llvm.fma.{suffix}({kind}, {kind}, {kind})
define void @test(ptr %p) nounwind {{
  %x = load {kind}, ptr %p
  %y = call {kind} @llvm.fma.{suffix}({kind} %x, {kind} %x, {kind} %x)
  store {kind} %y, ptr %p
  ret void
}}
{HALVES}
"""
    code = native.object_code(text, target_named(name).target)
    assert native.undefined_symbols(code) == set()


def test_short_shifts_are_behind_a_call():
    text = """
define <4 x i8> @f(<4 x i8> %x, <4 x i8> %n) {
  %y = lshr <4 x i8> %x, %n
  %z = lshr <4 x i8> %y, splat (i8 3)
  ret <4 x i8> %z
}
"""
    assert with_stand_ins(text, True, True, True) == text
    found = with_stand_ins(text, True, True, False)
    assert "%y = call <4 x i8> @elinvar.lshr.v4i8(<4 x i8> %x, <4 x i8> %n)" in found
    assert "%z = lshr <4 x i8> %y, splat (i8 3)" in found
    wasm = target_named("wasm32").target
    assert native.undefined_symbols(native.object_code(text, wasm)) == set()


def test_a_host_with_fma_uses_it():
    if not has_fma(this_machine()):
        pytest.skip("this machine has no fma")
    assert target_named("x86-64-v3").has_fma and not target_named("x86-64-v2").has_fma
    assert not target_named("wasm32").has_fma
