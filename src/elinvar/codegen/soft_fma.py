"""fma on machines that have no instruction for it, as scalar instructions and as LLVM text.

f32   a·b is exact in f64; the sum with c is rounded to odd there, and then once to f32.
f64   for ordinary sizes by error-free transformations: a·b = u + v (Dekker), and u + v + c is
      rounded to nearest after the low part was rounded to odd. Source: Boldo, Melquiond, Emulation
      of FMA and correctly rounded sums: proved algorithms using rounding to odd (2008). If a lane
      holds something else (next to overflow or underflow, infinity, NaN) the lanes are computed
      one after the other in 128-bit integers made of two words.

Rounded to odd: a value that lies between two neighbours goes to the one whose last bit is 1. A
second rounding, to at least two bits less, is then as good as one of the exact value.
"""

from __future__ import annotations

from elinvar.codegen.llvm_scalars import FunctionText, LLVMHandler, llvm_type
from elinvar.core.dtypes import DType, float32, float64, uint64
from elinvar.ops.scalars import Scalar, select

_SIGN = 1 << 63
_LOW = (1 << 32) - 1
_HIDDEN = 1 << 52
_INFINITY = 0x7FF << 52
# Between these sizes (or zero) no intermediate value of `fma64` overflows or loses bits.
_SMALLEST, _LARGEST = 2.0**-400, 2.0**400
_BIAS = 4096

Pair = tuple[Scalar, Scalar]  # a number of 128 bits: its high and its low word


def fma32(a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """The f32 nearest to a·b + c."""
    product, more = a.cast(float64) * b.cast(float64), c.cast(float64)
    return _odd_sum(product, more).cast(float32)


def _two_sum(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """x + y = sum + error, exactly. Source: Knuth, The Art of Computer Programming 2, 4.2.2."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _odd_sum(x: Scalar, y: Scalar) -> Scalar:
    """The f64 sum, rounded to odd."""
    total, error = _two_sum(x, y)
    bits, sign = total.bitcast(uint64), (total.bitcast(uint64) ^ error.bitcast(uint64)) >> 63
    odd = (bits - sign) | 1  # of the two neighbours the smaller in size, or the odd one itself
    inexact = (error < 0.0) | (error > 0.0)  # false for NaN, the error of an infinite sum
    return select(inexact, odd, bits).bitcast(float64)


def fma64(a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """The f64 nearest to a·b + c, for operands that are `ordinary`."""
    product, rest = _two_product(a, b)
    high, low = _two_sum(c, rest)
    top, bottom = _two_sum(product, high)
    result = top + _odd_sum(low, bottom)
    return select(product.eq(0.0), product + c, result)  # the sign of a zero


def _two_product(a: Scalar, b: Scalar) -> tuple[Scalar, Scalar]:
    """a·b = product + rest, exactly. Source: Dekker (1971)."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, rest


def _halves(x: Scalar) -> tuple[Scalar, Scalar]:
    """x = high + low with 26 bits each. Source: Veltkamp."""
    large = x * float((1 << 27) + 1)
    high = large - (large - x)
    return high, x - high


def ordinary(x: Scalar) -> Scalar:
    """Whether `fma64` takes the operand."""
    size = x.abs()
    return ((size > _SMALLEST) & (size < _LARGEST)) | size.eq(0.0)


def fma64_of_all(a: Scalar, b: Scalar, c: Scalar) -> Scalar:
    """The f64 nearest to a·b + c, for any operands.

    With m the 53 bits of an operand and e its exponent, x = m · 2^(e - 1075). The terms are
    p · 2^(k_p) with p = m_a·m_b·2^21 and k_p = e_a + e_b - 2171, and t · 2^(k_t) with
    t = m_c·2^73 and k_t = e_c - 1148: 126 or 127 bits each. `_BIAS` keeps k positive.
    """
    words = [x.bitcast(uint64) for x in (a, b, c)]
    sizes = [word & (_SIGN - 1) for word in words]
    (m_a, e_a), (m_b, e_b), (m_c, e_c) = map(_parts, sizes)
    p = _product(m_a, m_b)
    p = p[0] << 21 | p[1] >> 43, p[1] << 21
    t = m_c << 9, m_c ^ m_c
    k_p, k_t = e_a + e_b + (_BIAS - 2171), e_c + (_BIAS - 1148)
    k = k_p.max(k_t)
    p, t = _shift_right(p, k - k_p), _shift_right(t, k - k_t)
    total, sign = _signed_sum(p, (words[0] ^ words[1]) & _SIGN, t, words[2] & _SIGN)
    bits = _rounded(*_normalised(total, k))
    result = select((total[0] | total[1]).eq(0), bits ^ bits, bits | sign).bitcast(float64)
    # infinities and NaN, and sums of one term, whose sign is that of the term even if it is tiny
    one_term = select(sizes[2].eq(0), a * b, result)
    no_product = sizes[0].eq(0) | sizes[1].eq(0)
    plain = no_product | (sizes[0] >= _INFINITY) | (sizes[1] >= _INFINITY)
    return select(plain, a * b + c, select(sizes[2] >= _INFINITY, c + c, one_term))


def _parts(size: Scalar) -> tuple[Scalar, Scalar]:
    """The 53 bits of a finite number that is not zero, and its exponent (it may wrap below 0)."""
    is_tiny = size < _HIDDEN
    larger = (size.bitcast(float64) * 2.0**54).bitcast(uint64)
    bits = select(is_tiny, larger, size)
    exponent = (bits >> 52) - select(is_tiny, bits.const(54), bits.const(0))
    return bits & (_HIDDEN - 1) | _HIDDEN, exponent


def _product(x: Scalar, y: Scalar) -> Pair:
    """The two words of a product of 53-bit numbers."""
    x_high, x_low, y_high, y_low = x >> 32, x & _LOW, y >> 32, y & _LOW
    middle = x_low * y_high + x_high * y_low
    low = x_low * y_low
    total = low + (middle << 32)
    return x_high * y_high + (middle >> 32) + _flag(total < low), total


def _flag(condition: Scalar) -> Scalar:
    return condition.cast(uint64)


def _shift_right(pair: Pair, count: Scalar) -> Pair:
    """Shifted; the last bit is 1 if any bit that fell out was."""
    high, low = pair
    count = count.min(127)
    whole, rest = count >= 64, count & 63
    zero = high ^ high
    lost = select(whole, low, zero)
    high, low = select(whole, zero, high), select(whole, high, low)
    lost = lost | low & ((high.const(1) << rest) - 1)
    low = low >> rest | high << 1 << (63 - rest)
    return high >> rest, low | _flag(lost.ne(0))


def _signed_sum(p: Pair, p_sign: Scalar, t: Pair, t_sign: Scalar) -> tuple[Pair, Scalar]:
    """The size of the sum and its sign."""
    low = p[1] + t[1]
    added = p[0] + t[0] + _flag(low < p[1]), low
    smaller = p[0] < t[0]
    smaller = smaller | p[0].eq(t[0]) & (p[1] < t[1])
    large, small = _choose(smaller, t, p), _choose(smaller, p, t)
    rest = large[0] - small[0] - _flag(large[1] < small[1]), large[1] - small[1]
    alike = p_sign.eq(t_sign)
    return _choose(alike, added, rest), select(alike, p_sign, select(smaller, t_sign, p_sign))


def _choose(condition: Scalar, yes: Pair, no: Pair) -> Pair:
    return select(condition, yes[0], no[0]), select(condition, yes[1], no[1])


def _normalised(pair: Pair, k: Scalar) -> tuple[Pair, Scalar]:
    """The pair shifted left until its top bit is set (unless it is 0), with its exponent."""
    zero = k ^ k
    for step in (64, 32, 16, 8, 4, 2, 1):
        high, low = pair
        is_free = high.eq(0) if step == 64 else (high >> (64 - step)).eq(0)
        moved = (low, zero) if step == 64 else (high << step | low >> (64 - step), low << step)
        pair = _choose(is_free, moved, pair)
        k = k - select(is_free, k.const(step), zero)
    return pair, k


def _rounded(pair: Pair, k: Scalar) -> Scalar:
    """The bits of the f64 nearest to a pair · 2^k whose top bit is set."""
    least = _BIAS - 1149  # k of the smallest normal number: 2^127 · 2^(1 - 1023 - 127)
    is_tiny = k < least
    high, low = _shift_right(pair, select(is_tiny, k.const(least) - k, k ^ k))
    mantissa, rest = high >> 11, (high & 0x3FF) | low
    up = (high >> 10) & (_flag(rest.ne(0)) | mantissa) & 1
    exponent = select(is_tiny, k ^ k, k - least)  # that of the result less 1: the hidden bit counts
    bits = (exponent << 52) + mantissa + up
    return select(exponent >= 2046, k.const(_INFINITY), bits)


# ---- as LLVM text ----


def definition(suffix: str) -> str:
    """`@elinvar.fma.SUFFIX`, for a suffix such as `f32` or `v8f64`.

    Example:
        >>> definition("v4f32").splitlines()[0][:52]
        'define internal <4 x float> @elinvar.fma.v4f32(<4 x '
    """
    dtype = float32 if suffix.endswith("f32") else float64
    lanes = int(suffix[1:-3]) if suffix.startswith("v") else 1
    if dtype is float32:
        # written once: kernels have dozens of them, and compile four times as fast
        return _function(suffix, dtype, lanes, _single_body(lanes), "noinline ")
    return _function(suffix, dtype, lanes, _double_body(lanes))


def exact_definition() -> str:
    """`@elinvar.fma.exact`, which the definitions for f64 call."""
    text, (a, b, c) = _operands(float64, 1)
    text.emit(f"ret double {fma64_of_all(a, b, c).payload}")
    return _function("exact", float64, 1, text, "noinline ")


def _function(name: str, dtype: DType, lanes: int, text: FunctionText, attributes: str = "") -> str:
    kind = llvm_type(dtype, lanes)
    lines = "\n".join(text.lines)
    head = f"define internal {kind} @elinvar.fma.{name}({kind} %a, {kind} %b, {kind} %c)"
    return "\n".join([*text.declarations, f"{head} nounwind {attributes}{{\nentry:\n{lines}\n}}\n"])


def _operands(dtype: DType, lanes: int) -> tuple[FunctionText, list[Scalar]]:
    text = FunctionText()
    handler = LLVMHandler(text, lanes)
    return text, [handler.scalar(dtype, name) for name in ("%a", "%b", "%c")]


def _single_body(lanes: int) -> FunctionText:
    text, (a, b, c) = _operands(float32, lanes)
    text.emit(f"ret {llvm_type(float32, lanes)} {fma32(a, b, c).payload}")
    return text


def _double_body(lanes: int) -> FunctionText:
    """The fast way if all lanes allow it, else lane by lane."""
    kind = llvm_type(float64, lanes)
    text, (a, b, c) = _operands(float64, lanes)
    every = (ordinary(a) & ordinary(b) & ordinary(c)).payload
    if lanes > 1:
        reduce = f"i1 @llvm.vector.reduce.and.v{lanes}i1(<{lanes} x i1>"
        text.declare(f"declare {reduce})")
        text.emit(f"%every = call {reduce} {every})")
        every = "%every"
    text.emit(f"br i1 {every}, label %fast, label %slow")
    text.lines.append("fast:")
    text.emit(f"ret {kind} {fma64(a, b, c).payload}")
    text.lines.append("slow:")
    found = "poison"
    for lane in range(lanes):
        given = ["%a", "%b", "%c"]
        if lanes > 1:
            given = [_taken(text, kind, name, lane) for name in given]
        numbers = ", ".join(f"double {name}" for name in given)
        one = text.fresh("one")
        text.emit(f"{one} = call double @elinvar.fma.exact({numbers})")
        if lanes == 1:
            found = one
            continue
        more = text.fresh("found")
        text.emit(f"{more} = insertelement {kind} {found}, double {one}, i64 {lane}")
        found = more
    text.emit(f"ret {kind} {found}")
    return text


def _taken(text: FunctionText, kind: str, name: str, lane: int) -> str:
    one = text.fresh("lane")
    text.emit(f"{one} = extractelement {kind} {name}, i64 {lane}")
    return one
