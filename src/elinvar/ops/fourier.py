"""Discrete Fourier transforms of complex numbers, and of real ones.

The transforms are linear, so each derivative is another of them: that of `fft` runs the other
way, those of `rfft` and `irfft` are each other, with weights for the numbers whose mirror images
are left out. How they are computed is in codegen/fft.py.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from elinvar.core.dtypes import COMPLEX, DType, complex_of, float32, float64
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.emit import array, constant, statement
from elinvar.ops.record import BadSample, Emit, Op, Sample, absent
from elinvar.ops.rules import batch_axis, check_axis, positions, replaced
from elinvar.ops.sampling import bad, complexes, floats

_LONGEST = 1 << 24  # a column of the two passes, in all lanes, must fit on a stack


LARGEST_PRIME = 13  # a longer prime factor: by a convolution with a chirp


@functools.cache
def prime_factors(length: int) -> tuple[int, ...]:
    """In increasing order."""
    found, prime = [], 2
    while prime * prime <= length:
        while length % prime == 0:
            found.append(prime)
            length //= prime
        prime += 1
    return (*found, length) if length > 1 else tuple(found)


def is_smooth(length: int) -> bool:
    """Whether the stages of small radices can compute a transform."""
    return max(prime_factors(length), default=1) <= LARGEST_PRIME


def in_pairs(length: int) -> bool:
    """Whether real numbers are transformed as half as many complex ones."""
    return length % 2 == 0 and is_smooth(length // 2)


# ---- types --------------------------------------------------------------------------------------


def _check_scale(op: str, scale: Any) -> None:
    if not isinstance(scale, float) or not math.isfinite(scale):
        fail(ValueRangeError, op, f"scale must be a finite float, received {scale!r}")


def _check_length(op: str, x: TensorType, length: Any) -> None:
    """Transforms have a length of their own, so it must be a number."""
    if isinstance(length, bool) or not isinstance(length, int):
        text = f"the length of a transform must be a number, received {length} of {x}"
        fail(ShapeError, op, text, "leave only the other axes open, or give `n`")
    if not 1 <= length <= _LONGEST:
        fail(ShapeError, op, f"expected 1 to {_LONGEST} numbers, received {length} of {x}")


def _fft_type(x: TensorType, *, axis: int, inverse: bool, scale: float) -> TensorType:
    if x.dtype not in COMPLEX:
        hint = "cast with `.astype(el.complex64)`"
        fail(DTypeError, "fft", f"expected a complex dtype, received {x}", hint)
    check_axis("fft", x, axis)
    _check_scale("fft", scale)
    if not isinstance(inverse, bool):
        fail(ValueRangeError, "fft", f"inverse must be a bool, received {inverse!r}")
    _check_length("fft", x, x.shape[axis])
    return x


def _rfft_type(x: TensorType, *, axis: int, scale: float) -> TensorType:
    if x.dtype not in (float32, float64):
        hint = "cast with `.astype(el.float32)`"
        fail(DTypeError, "rfft", f"expected float32 or float64, received {x}", hint)
    check_axis("rfft", x, axis)
    _check_scale("rfft", scale)
    length = x.shape[axis]
    _check_length("rfft", x, length)
    assert isinstance(length, int)
    return TensorType(complex_of(x.dtype), replaced(x.shape, axis, length // 2 + 1))


def _irfft_type(x: TensorType, *, axis: int, length: int, scale: float) -> TensorType:
    if x.dtype not in COMPLEX:
        hint = "cast with `.astype(el.complex64)`"
        fail(DTypeError, "irfft", f"expected a complex dtype, received {x}", hint)
    check_axis("irfft", x, axis)
    _check_scale("irfft", scale)
    _check_length("irfft", x, length)
    if x.shape[axis] != length // 2 + 1:
        text = f"{length} real numbers have {length // 2 + 1} complex ones, received {x}"
        fail(ShapeError, "irfft", f"{text} along axis {axis}", "cut or pad them first")
    return TensorType(x.dtype.part, replaced(x.shape, axis, length))


# ---- references ---------------------------------------------------------------------------------


def _in_double(x: Any, dtype: Any, transform: Any) -> Any:
    """Computed in double precision and rounded once."""
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(transform(x)).astype(dtype)


def _fft_reference(x: Any, *, axis: int, inverse: bool, scale: float) -> Any:
    wide = x.astype(np.complex128)
    if inverse:
        return _in_double(
            wide, x.dtype, lambda z: np.fft.ifft(z, axis=axis, norm="forward") * scale
        )
    return _in_double(wide, x.dtype, lambda z: np.fft.fft(z, axis=axis) * scale)


def _rfft_reference(x: Any, *, axis: int, scale: float) -> Any:
    kind = np.complex64 if x.dtype == np.float32 else np.complex128
    wide = x.astype(np.float64)
    return _in_double(wide, kind, lambda z: np.fft.rfft(z, axis=axis) * scale)


def _irfft_reference(x: Any, *, axis: int, length: int, scale: float) -> Any:
    kind = np.float32 if x.dtype == np.complex64 else np.float64
    wide = x.astype(np.complex128)
    return _in_double(
        wide, kind, lambda z: np.fft.irfft(z, length, axis=axis, norm="forward") * scale
    )


# ---- derivatives --------------------------------------------------------------------------------


def _fft_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, inverse: bool, scale: float
) -> Any:
    return (f.fft(cotangents[0], axis=axis, inverse=not inverse, scale=scale),)


def weighted(f: Any, x: Any, axis: int, length: int, weight: float) -> Any:
    """Half a spectrum whose numbers with a mirror image elsewhere are multiplied by a weight."""
    part: DType = x.dtype.part
    shape = tuple(x.shape)
    places = positions(f, shape, axis)
    alone = f.equal(places, f.full(0, places))
    if length % 2 == 0:
        alone = f.bitwise_or(alone, f.equal(places, f.full(length // 2, places)))
    re, im = f.real(x), f.imag(x)
    factor = f.where(alone, f.full(1.0, re), f.full(weight, re))
    assert re.dtype is part
    return f.complex(f.multiply(re, factor), f.multiply(im, factor))


def _rfft_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, scale: float
) -> Any:
    (x,), (g,) = operands, cotangents
    length = x.shape[axis]
    half = weighted(f, g, axis, length, 0.5)
    return (f.irfft(half, axis=axis, length=length, scale=scale),)


def _irfft_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int, length: int, scale: float
) -> Any:
    spectrum = f.rfft(cotangents[0], axis=axis, scale=scale)
    return (weighted(f, spectrum, axis, length, 2.0),)


# ---- StableHLO ----------------------------------------------------------------------------------


def _stablehlo(kind: str) -> Emit:
    """Its transforms run along the last axis, and its inverse ones divide by the length."""

    def lines(printer: Any, operands: Any, types: Any, result_types: Any, params: Any) -> list[str]:
        (x,), (result,) = types, result_types
        axis, scale, word = params["axis"], params["scale"], kind
        if params.get("inverse"):
            word = "IFFT"
        length = result.shape[axis] if kind == "IRFFT" else x.shape[axis]
        if word.startswith("I"):
            scale = scale * length
        last = len(x.shape) - 1
        order = [n for n in range(last + 1) if n != axis] + [axis]
        back = [order.index(n) for n in range(last + 1)]
        found: list[str] = []
        names, (final,) = list(operands), printer.results

        def step(name: str, made: TensorType, attributes: str, target: str) -> None:
            kinds = [current[0]]
            found.extend(statement(printer, (target,), name, names, kinds, (made,), attributes))
            names[:], current[:] = [target], [made]

        current = [x]
        if axis != last:
            shape = tuple(x.shape[n] for n in order)
            step(
                "transpose",
                TensorType(x.dtype, shape),
                f"permutation = {array(order)}",
                printer.fresh(),
            )
        made = TensorType(result.dtype, tuple(result.shape[n] for n in order))
        attributes = f"fft_type = #stablehlo<fft_type {word}>, fft_length = {array([length])}"
        ends = scale == 1.0 and axis == last
        step("fft", made, attributes, final if ends else printer.fresh())
        if axis != last:
            target = final if scale == 1.0 else printer.fresh()
            step("transpose", result, f"permutation = {array(back)}", target)
        if scale != 1.0:
            factor = printer.fresh()
            found.append(constant(printer, factor, scale, result))
            found.extend(
                statement(
                    printer, (final,), "multiply", (*names, factor), (result, result), (result,)
                )
            )
        return found

    return Emit(lines)


# ---- samples ------------------------------------------------------------------------------------

_SHAPES = (
    ((8,), 0),
    ((3, 5), 1),
    ((4, 3), 0),
    ((2, 6, 3), 1),
    ((1,), 0),
    ((0, 4), 1),
    ((2, 19), 1),
)


def _fft_samples() -> list[Sample]:
    found = []
    for number, (shape, axis) in enumerate(_SHAPES):
        for inverse in (False, True):
            scale = (1.0, 0.5)[number % 2]
            params = {"axis": axis, "inverse": inverse, "scale": scale}
            found.append(Sample((complexes(*shape),), params, differentiable=0 not in shape))
    for length in (12, 21, 256, 300):
        x = complexes(3, length, dtype=np.complex64)
        params = {"axis": 1, "inverse": length == 12, "scale": 1.0}
        found.append(Sample((x,), params, differentiable=False))
    return found


def _rfft_samples() -> list[Sample]:
    found = []
    for number, (shape, axis) in enumerate(_SHAPES):
        params: dict[str, Any] = {"axis": axis, "scale": (1.0, 0.5)[number % 2]}
        found.append(Sample((floats(*shape),), params, differentiable=0 not in shape))
    for length in (12, 15, 38, 600):
        x = floats(3, length, dtype=np.float32)
        found.append(Sample((x,), {"axis": 1, "scale": 1.0}, differentiable=False))
    return found


def _irfft_samples() -> list[Sample]:
    found = []
    rows = (((5,), 0, 8), ((3, 3), 1, 5), ((3, 3), 0, 4), ((2, 4, 3), 1, 6), ((1,), 0, 1))
    for number, (shape, axis, length) in enumerate((*rows, ((0, 3), 1, 4), ((2, 20), 1, 38))):
        params = {"axis": axis, "length": length, "scale": (1.0, 0.5)[number % 2]}
        found.append(Sample((complexes(*shape),), params, differentiable=0 not in shape))
    for length in (12, 15, 38, 600):
        x = complexes(3, length // 2 + 1, dtype=np.complex64)
        params = {"axis": 1, "length": length, "scale": 1.0}
        found.append(Sample((x,), params, differentiable=False))
    return found


def _fft_bad() -> list[BadSample]:
    plain = {"inverse": False, "scale": 1.0}
    return [
        bad("f32[4]", "[fft] expected a complex dtype, received f32[4]", axis=0, **plain),
        bad("c64[4]", "[fft] axis 1 is out of range for c64[4]", axis=1, **plain),
        bad("c64[B]", "the length of a transform must be a number, received B", axis=0, **plain),
        bad("c64[2,0]", "received 0 of c64[2,0]", axis=1, **plain),
        bad("c64[4]", "[fft] inverse must be a bool, received 1", axis=0, inverse=1, scale=1.0),
        bad("c64[4]", "scale must be a finite float", axis=0, inverse=False, scale=2),
    ]


def _rfft_bad() -> list[BadSample]:
    return [
        bad("c64[4]", "[rfft] expected float32 or float64, received c64[4]", axis=0, scale=1.0),
        bad("f32[4]", "[rfft] axis 1 is out of range for f32[4]", axis=1, scale=1.0),
        bad("f32[0]", "[rfft] expected 1 to", axis=0, scale=1.0),
        bad("f32[4]", "[rfft] scale must be a finite float", axis=0, scale=math.inf),
    ]


def _irfft_bad() -> list[BadSample]:
    plain = {"axis": 0, "scale": 1.0}
    return [
        bad("f32[4]", "[irfft] expected a complex dtype, received f32[4]", length=6, **plain),
        bad("c64[4]", "[irfft] 9 real numbers have 5 complex ones", length=9, **plain),
        bad("c64[4]", "[irfft] expected 1 to", length=0, **plain),
        bad("c64[4]", "[irfft] axis 1 is out of range", length=6, axis=1, scale=1.0),
    ]


# ---- records ------------------------------------------------------------------------------------

FFT = Op(
    name="fft",
    family="opaque",
    doc="""The discrete Fourier transform along an axis.

    y[k] = scale · Σⱼ x[j] exp(∓2πi jk/n), with + for the inverse transform, which does not divide.

    Args:
        axis: the axis to run along; its size is a number.
        inverse: turn the other way.
        scale: what the sums are multiplied by.

    Shape:
        The type of x, a complex one.

    Example:
        >>> fft(array([1, 0, 0, 0], 'c16'), axis=0, inverse=False, scale=0.5).real
        array([0.5, 0.5, 0.5, 0.5])
    """,
    type_rule=_fft_type,
    reference=_fft_reference,
    derivative=_fft_derivative,
    batching=batch_axis("fft"),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=_stablehlo("FFT"),
    samples=_fft_samples,
    bad_samples=_fft_bad,
    params=("axis", "inverse", "scale"),
)

RFFT = Op(
    name="rfft",
    family="opaque",
    doc="""The first half of the discrete Fourier transform of real numbers along an axis.

    y[k] = scale · Σⱼ x[j] exp(-2πi jk/n) for k = 0, …, n/2 (rounded down). The others are mirror
    images: y[n-k] is the conjugate of y[k].

    Args:
        axis: the axis to run along; its size n is a number.
        scale: what the sums are multiplied by.

    Shape:
        As x, with n/2 + 1 complex numbers along the axis.

    Example:
        >>> rfft(array([1.0, 0, 0, 0]), axis=0, scale=1.0).real
        array([1., 1., 1.])
    """,
    type_rule=_rfft_type,
    reference=_rfft_reference,
    derivative=_rfft_derivative,
    batching=batch_axis("rfft"),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=_stablehlo("RFFT"),
    samples=_rfft_samples,
    bad_samples=_rfft_bad,
    params=("axis", "scale"),
)

IRFFT = Op(
    name="irfft",
    family="opaque",
    doc="""The real numbers to which half a spectrum belongs, but for a factor.

    y[j] = scale · Σₖ x[k] exp(+2πi jk/n) over k = 0, …, n-1, where x[n-k] is the conjugate of x[k].
    The imaginary part of x[0], and of x[n/2] where n is even, has no say.

    Args:
        axis: the axis to run along.
        length: n, which is 2 m - 2 or 2 m - 1 for m numbers along the axis.
        scale: what the sums are multiplied by.

    Shape:
        As x, with n real numbers along the axis.

    Example:
        >>> irfft(array([1, 1, 1], 'c16'), axis=0, length=4, scale=0.25)
        array([1., 0., 0., 0.])
    """,
    type_rule=_irfft_type,
    reference=_irfft_reference,
    derivative=_irfft_derivative,
    batching=batch_axis("irfft"),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=_stablehlo("IRFFT"),
    samples=_irfft_samples,
    bad_samples=_irfft_bad,
    params=("axis", "length", "scale"),
)

OPS: tuple[Op, ...] = (FFT, RFFT, IRFFT)
