"""fma as the hardware has it and as `codegen/soft_fma.py` makes it, on arrays; and hard operands."""

import ctypes
from functools import cache

import numpy as np

from elinvar.codegen.stand_ins import with_stand_ins
from elinvar.core.dtypes import float32
from elinvar.runtime import native

LANES = 8


def _text(name, dtype, has_fma):
    """A loop over `n` elements, a multiple of the lanes."""
    element = "float" if dtype is float32 else "double"
    vector, suffix = f"<{LANES} x {element}>", f"v{LANES}f{dtype.bits}"
    reads = "\n".join(
        f"  %at{p} = getelementptr {element}, ptr %{p}, i64 %i\n"
        f"  %v{p} = load {vector}, ptr %at{p}, align 4"
        for p in "abc"
    )
    text = f"""
declare {vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})
define void @{name}(ptr %out, ptr %a, ptr %b, ptr %c, i64 %n) nounwind {{
entry:
  br label %step
step:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
{reads}
  %r = call {vector} @llvm.fma.{suffix}({vector} %va, {vector} %vb, {vector} %vc)
  %at = getelementptr {element}, ptr %out, i64 %i
  store {vector} %r, ptr %at, align 4
  %next = add i64 %i, {LANES}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %step, label %done
done:
  ret void
}}
"""
    return with_stand_ins(text, has_fma, True)


@cache
def _function(dtype, has_fma):
    name = f"test_fma_{dtype.name}_{has_fma}"
    address = native.load(_text(name, dtype, has_fma), [name])[name]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)(address)


def run(dtype, has_fma, a, b, c):
    """fma of arrays whose length is a multiple of the lanes."""
    columns = [np.ascontiguousarray(x, dtype.numpy) for x in (a, b, c)]
    out = np.empty_like(columns[0])
    assert out.size % LANES == 0
    _function(dtype, has_fma)(out.ctypes.data, *(x.ctypes.data for x in columns), out.size)
    return out


def different(dtype, a, b, c):
    """The first few (a, b, c, hardware's, ours) that differ; every NaN is equal to every NaN."""
    hard, soft = run(dtype, True, a, b, c), run(dtype, False, a, b, c)
    word = np.dtype(f"u{dtype.itemsize}")
    both = np.isnan(hard) & np.isnan(soft)
    wrong = np.flatnonzero((hard.view(word) != soft.view(word)) & ~both)
    return [tuple(float(x[k]) for x in (a, b, c, hard, soft)) for k in wrong[:5]]


def _word(dtype):
    return np.uint32 if dtype is float32 else np.uint64


def any_bits(dtype, count, seed):
    """Operands of all bit patterns; in the first half all are of moderate size, so that vectors
    take the fast way in f64."""
    rng, word = np.random.default_rng(seed), _word(dtype)
    top, digits = np.iinfo(word).max, np.finfo(dtype.numpy).nmant
    found = [rng.integers(0, top, count, word, True) for _ in range(3)]
    for bits in found:
        exponents = rng.integers(0, 1 << 6, count // 2).astype(word) + word((top >> (digits + 2)) - 32)
        half = bits[: count // 2]
        half &= word(1 << (8 * half.itemsize - 1) | (1 << digits) - 1)
        half |= exponents << word(digits)
    return [bits.view(dtype.numpy) for bits in found]


def specials(dtype):
    """All triples of values next to which something changes."""
    info = np.finfo(dtype.numpy)
    digits, low = info.nmant, info.minexp
    powers = [low - digits, low, low // 2, low // 2 - digits, -digits - 1, -digits, -1, 0, 1,
              digits, digits + 1, info.maxexp // 2, info.maxexp - 1]  # fmt: skip
    with np.errstate(over="ignore"):
        sizes = np.ldexp(np.ones(len(powers), dtype.numpy), powers)
        sizes = [0, *sizes, *np.nextafter(sizes, np.inf), *np.nextafter(sizes, 0), 1.5, np.inf]
    values = np.array([*sizes, *(-x for x in sizes), np.nan], dtype.numpy)
    count = len(values)
    triples = np.indices((count,) * 3).reshape(3, -1)
    return [np.resize(values[t], -(-(count**3) // LANES) * LANES) for t in triples]


def halfway(dtype, count, seed):
    """c a number of any size, a·b half of its last digit, or twice or half that, or a little beside."""
    rng, info = np.random.default_rng(seed), np.finfo(dtype.numpy)
    c = any_bits(dtype, count, seed)[2]
    c = np.where(np.isfinite(c), c, dtype.numpy.type(1))
    tiny = rng.random(count) < 0.3  # subnormal ones, and those next to them
    tiny[: count // 2] = False
    c[tiny] = rng.integers(0, 1 << (info.nmant + 2), count).astype(_word(dtype)).view(dtype.numpy)[tiny]
    _, exponent = np.frexp(np.spacing(np.abs(c)))
    half = exponent - 2 + rng.integers(-1, 2, count)
    upper = half // 2 + rng.integers(-9, 9, count)
    with np.errstate(all="ignore"):
        a = np.ldexp(rng.choice([1.0, -1.0], count), upper).astype(dtype.numpy)
        b = np.ldexp(1.0, half - upper).astype(dtype.numpy)
        # a·b · (1 - e) and · (1 + e), with the last digit e, or · (1 - e²): beyond twice the digits
        beside = rng.integers(0, 4, count)
        e = float(info.eps)
        b = b * np.choose(beside, [1, 1 - e, 1 + e, 1 - e])
        a = np.where(beside == 3, a * (1 + e), a).astype(dtype.numpy)
    return [a, b.astype(dtype.numpy), c]


def cancelling(dtype, count, seed):
    """c next to -a·b, for products of all sizes."""
    a, b, _ = any_bits(dtype, count, seed)
    rng, word = np.random.default_rng(seed), _word(dtype)
    with np.errstate(all="ignore"):
        c = (-(a * b) * rng.choice([1, 1 + 2.0**-20, 2.0**-24, 2.0**-50], count)).astype(dtype.numpy)
    return [a, b, (c.view(word) + rng.integers(0, 3, count).astype(word)).view(dtype.numpy)]


def small(dtype, count, seed):
    """Products and sums at the end of the range where numbers lose digits."""
    rng, low = np.random.default_rng(seed), np.finfo(dtype.numpy).minexp
    half = low // 2
    ranges = (half - 40, half + 30), (half - 40, half + 30), (low - 50, low + 20)
    return [
        (rng.normal(size=count) * 2.0 ** rng.integers(*r, count)).astype(dtype.numpy)
        for r in ranges
    ]
