"""The elementary functions: accuracy against mpmath, special values, and bits across vector widths."""

import math
import zlib

import llvmlite.binding as llvm
import mpmath as mp
import numpy as np
import pytest
from scalar_harness import assembly, compiled, cross_assembly

from elinvar.core.dtypes import float32, float64
from elinvar.ops import scalar_math, scalar_power, scalar_trigonometry

INF, NAN = math.inf, math.nan
DTYPES = pytest.mark.parametrize("dtype", [float32, float64], ids=lambda d: d.name)

# name: (range of ordinary arguments, largest error allowed in f32 and in f64, in ulp)
UNARY = {
    "exp": ((-88.0, 88.0), 1.7, 1.5),
    "expm1": ((-10.0, 88.0), 1.6, 1.8),
    "log": ((0.0, 10.0), 1.0, 0.9),
    "log1p": ((-1.0, 10.0), 1.6, 1.5),
    "log2": ((0.0, 10.0), 1.0, 0.9),
    "log10": ((0.0, 10.0), 1.0, 0.9),
    "sinh": ((-89.0, 89.0), 1.8, 1.7),
    "cosh": ((-89.0, 89.0), 1.6, 1.5),
    "tanh": ((-10.0, 10.0), 1.6, 1.6),
    "asinh": ((-10.0, 10.0), 1.0, 0.9),
    "acosh": ((1.0, 10.0), 1.6, 1.5),
    "atanh": ((-1.0, 1.0), 1.0, 0.9),
    "erf": ((-6.0, 6.0), 1.2, 1.1),
    "sin": ((-100.0, 100.0), 1.6, 1.2),
    "cos": ((-100.0, 100.0), 1.6, 1.2),
    "tan": ((-100.0, 100.0), 0.7, 1.1),
    "asin": ((-1.0, 1.0), 1.8, 1.8),
    "acos": ((-1.0, 1.0), 0.9, 0.9),
    "atan": ((-10.0, 10.0), 1.6, 1.5),
}
BINARY = {"power": (0.6, 1.0), "atan2": (1.6, 1.6)}
NAMES = (*UNARY, *BINARY)


def lowering(name):
    for module in (scalar_math, scalar_trigonometry, scalar_power):
        if hasattr(module, name):
            return getattr(module, name)
    raise AssertionError(name)


def operands_of(name):
    return 2 if name in BINARY else 1


_compiled = {}


def run(name, dtype, lanes, *arrays):
    key = name, dtype, lanes
    if key not in _compiled:
        _compiled[key] = compiled(lowering(name), (dtype,) * operands_of(name), lanes)
    return _compiled[key](*(np.asarray(array, dtype.numpy) for array in arrays))


def edges(dtype):
    info = np.finfo(dtype.numpy)
    sizes = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 1e4, 1e30, float(info.max), float(info.tiny)]
    sizes += [float(info.smallest_subnormal), 1 + float(info.eps), 1 - float(info.epsneg), INF]
    return np.array([*sizes, *(-size for size in sizes), NAN], dtype.numpy)


def bit_patterns(rng, dtype, count):
    """Numbers of all exponents, NaN and infinities among them."""
    word = np.uint32 if dtype is float32 else np.uint64
    return rng.integers(0, np.iinfo(word).max, count, dtype=word, endpoint=True).view(dtype.numpy)


def arguments(name, dtype, count):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name in BINARY:
        return pair_arguments(name, dtype, count, rng)
    low, high = UNARY[name][0]
    if dtype is float64 and abs(high) > 80 and name not in ("sin", "cos", "tan"):
        low, high = 8 * low, 8 * high
    columns = [
        edges(dtype),
        bit_patterns(rng, dtype, count),
        rng.uniform(low, high, count),
        rng.normal(size=count) * 10.0 ** rng.uniform(-4, 1, count),
        1 + rng.normal(size=count // 2) * 10.0 ** rng.uniform(-6, -1, count // 2),
        subnormal_arguments(name, dtype, rng, count // 4),
    ]
    return (joined(columns, dtype),)


def subnormal_arguments(name, dtype, rng, count):
    """Arguments whose results are subnormal."""
    tiny = float(np.finfo(dtype.numpy).tiny)
    if name in ("exp", "cosh"):
        return math.log(tiny) - rng.uniform(0, 18 if dtype is float32 else 38, count)
    return rng.uniform(-tiny, tiny, count)


def pair_arguments(name, dtype, count, rng):
    ends = edges(dtype)
    across, up = np.meshgrid(ends, ends)
    wide = 40.0 if dtype is float32 else 300.0
    base = np.exp(rng.uniform(-wide, wide, count))
    near = 1 + rng.normal(size=count) * 10.0 ** rng.uniform(-7, -1, count)
    logs = np.log(np.abs(np.concatenate([base, near])))
    limit = 87.0 if dtype is float32 else 708.0
    exponents = rng.uniform(-1.1 * limit, limit, 2 * count) / logs
    patterns = bit_patterns(rng, dtype, count), bit_patterns(rng, dtype, count)
    normal = rng.normal(size=(2, count))
    x = joined([across.ravel(), base, near, patterns[0], normal[0]], dtype)
    return x, joined([up.ravel(), exponents, patterns[1], normal[1]], dtype)


def joined(columns, dtype):
    with np.errstate(all="ignore"):
        return np.concatenate([column.astype(dtype.numpy) for column in columns])


# ---- accuracy -----------------------------------------------------------------------------------


def numpy_name(name):
    return {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "asin": "arcsin",
            "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}.get(name, name)  # fmt: skip


def in_double(name, *arrays):
    """The function in f64 by numpy."""
    with np.errstate(all="ignore"):
        wide = [np.asarray(array, np.float64) for array in arrays]
        if name == "erf":
            return np.vectorize(math.erf, otypes=[np.float64])(*wide)
        return getattr(np, numpy_name(name))(*wide)


def in_many_digits(name, *numbers):
    """The function of finite f64 numbers in multiple precision."""
    mp.mp.prec = 1300 if name in ("sin", "cos", "tan") else 220
    values = [mp.mpf(float(number)) for number in numbers]
    if name == "log2":
        return mp.log(values[0], 2)
    if name == "power":
        sign = -1 if values[0] < 0 and values[1] % 2 == 1 else 1
        return sign * abs(values[0]) ** values[1]
    return getattr(mp, name)(*values)


def unit(value, info):
    """The distance of neighbouring numbers at a value of any precision."""
    exponent = math.frexp(value)[1] - 1 if isinstance(value, float) else mp.frexp(value)[1] - 1
    return 2.0 ** (max(exponent, int(info.minexp)) - int(info.nmant))


def worst_error(name, dtype, arrays, got):
    """The largest error in ulp where the result is finite and not 0, and where it is."""
    info = np.finfo(dtype.numpy)
    reference = in_double(name, *arrays)
    worst, place = 0.0, None
    for position in np.flatnonzero(np.isfinite(reference) & (reference != 0) & np.isfinite(got)):
        numbers = [array[position] for array in arrays]
        if dtype is float32:
            exact = float(reference[position])
            error = abs(float(got[position]) - exact) / unit(exact, info)
        elif (
            not all(math.isfinite(number) for number in numbers) or name == "atan2" and 0 in numbers
        ):
            exact = float(reference[position])  # a special value: compared with numpy's
            error = abs(float(got[position]) - exact) / unit(exact, info)
        else:
            exact = in_many_digits(name, *numbers)
            error = float(abs(mp.mpf(float(got[position])) - exact) / unit(exact, info))
        if error > worst:
            worst, place = error, numbers
    return worst, place


@pytest.mark.slow
@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_accuracy(name, dtype):
    arrays = arguments(name, dtype, 6000 if dtype is float32 else 500)
    got = run(name, dtype, 16 if dtype is float32 else 8, *arrays)
    worst, place = worst_error(name, dtype, arrays, got)
    bounds = BINARY[name] if name in BINARY else UNARY[name][1:]
    limit = bounds[0 if dtype is float32 else 1]
    assert limit < 2
    assert 0 < worst <= limit, f"{worst} ulp at {place}"


@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_zeros_infinities_and_nan_are_where_they_belong(name, dtype):
    arrays = arguments(name, dtype, 20000)
    got = run(name, dtype, 16 if dtype is float32 else 8, *arrays)
    with np.errstate(all="ignore"):
        want = in_double(name, *arrays).astype(dtype.numpy)
    special = (want == 0) | ~np.isfinite(want) | (got == 0) | ~np.isfinite(got)
    agree = (got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want)
    wrong = np.flatnonzero(special & ~agree)[:5]
    rows = [(*(a[k] for a in arrays), got[k], want[k]) for k in wrong]
    assert not rows, rows
    assert special.sum() >= 3


# ---- bits ---------------------------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_one_lane_and_many_give_the_same_bits(name, dtype):
    arrays = arguments(name, dtype, 5000)
    one = run(name, dtype, 1, *arrays)
    many = run(name, dtype, 16 if dtype is float32 else 8, *arrays)
    same = (one.view(np.uint8) == many.view(np.uint8)) | np.repeat(np.isnan(one), one.itemsize)
    assert np.all(same)
    assert np.array_equal(np.isnan(one), np.isnan(many))


@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_no_library_is_called(name, dtype):
    text = assembly(lowering(name), (dtype,) * operands_of(name), 8)
    assert "vfmadd" in text or "fmadd" in text or "fmla" in text
    assert not [line for line in text.splitlines() if line.split()[:1] in (["call"], ["callq"])]


@pytest.mark.parametrize(
    ("triple", "cpu", "word"),
    [
        ("x86_64-unknown-linux-gnu", "x86-64-v3", "call"),
        ("x86_64-unknown-linux-gnu", "x86-64-v4", "call"),
        ("aarch64-unknown-linux-gnu", "generic", "bl"),
    ],
)
def test_no_library_is_called_on_other_machines(triple, cpu, word):
    try:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        llvm.Target.from_triple(triple)
    except RuntimeError:
        pytest.skip(f"this LLVM has no code generator for {triple}")
    for name in ("exp", "log", "tanh", "erf", "sin", "power"):
        for lanes in (1, 4):
            text = cross_assembly(
                lowering(name), (float32,) * operands_of(name), lanes, triple, cpu
            )
            assert "run" in text
            first_words = [line.split()[0] for line in text.splitlines() if line.split()]
            assert word not in first_words and word + "q" not in first_words, name


# ---- values that must be exact -------------------------------------------------------------------


@DTYPES
def test_logarithm_to_base_two_is_exact_for_powers_of_two(dtype):
    info = np.finfo(dtype.numpy)
    exponents = np.arange(int(info.minexp) - int(info.nmant), int(info.maxexp))
    powers = np.ldexp(np.ones(len(exponents)), exponents).astype(dtype.numpy)
    assert np.array_equal(run("log2", dtype, 8, powers), exponents.astype(dtype.numpy))


@DTYPES
def test_logarithm_to_base_ten_is_exact_for_powers_of_ten(dtype):
    exponents = np.arange(0, 11 if dtype is float32 else 23)  # those that the dtype holds exactly
    powers = np.array([10.0**k for k in exponents.tolist()], dtype.numpy)
    assert np.array_equal(run("log10", dtype, 8, powers), exponents.astype(dtype.numpy))


@DTYPES
def test_small_whole_powers_are_exact(dtype):
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(-9.0, 10), np.arange(0.0, 7)))
    assert np.array_equal(run("power", dtype, 8, x, y), (x**y).astype(dtype.numpy))


@pytest.mark.parametrize(
    ("x", "y", "want"),
    [
        (NAN, 0.0, 1.0), (NAN, -0.0, 1.0), (1.0, NAN, 1.0), (1.0, INF, 1.0), (-1.0, INF, 1.0),
        (-1.0, -INF, 1.0), (NAN, 1.0, NAN), (2.0, NAN, NAN), (0.0, 3.0, 0.0), (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0), (0.0, -3.0, INF), (-0.0, -3.0, -INF), (-0.0, -2.0, INF),
        (0.5, INF, 0.0), (0.5, -INF, INF), (2.0, INF, INF), (2.0, -INF, 0.0), (INF, 0.5, INF),
        (INF, -0.5, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, -3.0, -0.0),
        (-INF, 0.5, INF), (-8.0, 1 / 3, NAN), (-2.0, 3.0, -8.0), (0.0, 0.0, 1.0),
    ],
)  # fmt: skip
@DTYPES
def test_special_powers(dtype, x, y, want):
    got = float(run("power", dtype, 1, [x], [y])[0])
    assert math.isnan(got) if math.isnan(want) else got == want
    assert math.isnan(want) or math.copysign(1, got) == math.copysign(1, want)


@DTYPES
def test_hardest_arguments_of_sine(dtype):
    """Numbers next to multiples of π/2, where most digits of the reduction cancel."""
    if dtype is float32:
        numbers = [16367173 * 2.0**72, 6381956970095103 * 2.0**797, 1e22, 33.0, 355.0, 2.0**127]
        numbers = [n for n in numbers if n < 3e38]
    else:
        numbers = [6381956970095103 * 2.0**797, 5.319372648326541e255, 1e22, 355.0, 2.0**1023]
    x = np.array(numbers, dtype.numpy)
    for name in ("sin", "cos", "tan"):
        got = run(name, dtype, 8, x)
        for number, value in zip(x, got, strict=True):
            exact = in_many_digits(name, number)
            error = abs(mp.mpf(float(value)) - exact) / unit(exact, np.finfo(dtype.numpy))
            assert error < 1.6, (name, number, error)


@DTYPES
def test_functions_are_monotonic_where_they_should_be(dtype):
    """Where two formulas meet nothing steps back by more than the errors of both."""
    seams = {"sinh": 1.0, "tanh": 0.55, "asinh": 0.5, "atanh": 0.5, "acosh": 1.5, "asin": 0.5,
             "atan": 0.5, "erf": 1.75}  # fmt: skip
    epsilon = float(np.finfo(dtype.numpy).eps)
    for name, seam in seams.items():
        steps = np.arange(-40, 40) * np.spacing(np.asarray(seam, dtype.numpy))
        values = run(name, dtype, 8, np.asarray(seam, dtype.numpy) + steps).astype(np.float64)
        assert np.all(np.diff(values) >= -3 * epsilon * np.abs(values[1:])), name
        assert values[-1] > values[0]
