"""Butterflies: discrete Fourier transforms of a few numbers, in scalar instructions.

The numbers are pairs (re, im) of vectors; lanes are transforms of their own. For an odd number of
points r, with s and d the sums and differences of the numbers j and r - j,

    t[k] = x[0] + Σ cos(2πjk/r) s[j]      y[k] = t[k] - i u[k]
    u[k] =        Σ sin(2πjk/r) d[j]      y[r-k] = t[k] + i u[k]

in increasing order of j, by fma.
"""

from __future__ import annotations

import functools

from elinvar.kernels.roots import roots
from elinvar.ops.scalars import Scalar, fma

Complex = tuple[Scalar, Scalar]
RADICES = (2, 3, 4, 5, 7, 8, 11, 13)


def add(x: Complex, y: Complex) -> Complex:
    """x + y."""
    return x[0] + y[0], x[1] + y[1]


def subtract(x: Complex, y: Complex) -> Complex:
    """x - y."""
    return x[0] - y[0], x[1] - y[1]


def multiply(x: Complex, y: Complex) -> Complex:
    """x · y, each part with one product rounded and one in an fma."""
    return fma(x[0], y[0], -(x[1] * y[1])), fma(x[0], y[1], x[1] * y[0])


def _add_turned(x: Complex, y: Complex) -> Complex:
    """x - i·y."""
    return x[0] + y[1], x[1] - y[0]


def _subtract_turned(x: Complex, y: Complex) -> Complex:
    """x + i·y."""
    return x[0] - y[1], x[1] + y[0]


def _two(x: list[Complex]) -> list[Complex]:
    return [add(x[0], x[1]), subtract(x[0], x[1])]


def _four(x: list[Complex]) -> list[Complex]:
    even, odd = _two([x[0], x[2]]), _two([x[1], x[3]])
    return [
        add(even[0], odd[0]),
        _add_turned(even[1], odd[1]),
        subtract(even[0], odd[0]),
        _subtract_turned(even[1], odd[1]),
    ]


def _eight(x: list[Complex]) -> list[Complex]:
    even, odd = _four(x[0::2]), _four(x[1::2])
    half = _constants(8)[1][0]
    (a, b), (c, d) = odd[1], odd[3]
    first = ((a + b) * half, (b - a) * half)  # exp(-πi/4) · odd[1]
    third = ((d - c) * half, (c + d) * half)  # exp(-3πi/4) · odd[3], its second part negative
    return [
        add(even[0], odd[0]),
        add(even[1], first),
        _add_turned(even[2], odd[2]),
        (even[3][0] + third[0], even[3][1] - third[1]),
        subtract(even[0], odd[0]),
        subtract(even[1], first),
        _subtract_turned(even[2], odd[2]),
        (even[3][0] - third[0], even[3][1] + third[1]),
    ]


@functools.cache
def _constants(order: int) -> list[tuple[float, float]]:
    """(cos, sin) of 2πk / order, as doubles."""
    found = roots(order)
    return [(float(c), -float(s)) for c, s in zip(found.re.high, found.im.high, strict=True)]


def _odd(x: list[Complex]) -> list[Complex]:
    order, half = len(x), len(x) // 2
    constants = _constants(order)
    sums = [add(x[j], x[order - j]) for j in range(1, half + 1)]
    ways = [subtract(x[j], x[order - j]) for j in range(1, half + 1)]
    total = x[0]
    for pair in sums:
        total = add(total, pair)
    found = [total] * order
    for k in range(1, half + 1):
        t = x[0]
        u: Complex | None = None
        for j, (s, d) in enumerate(zip(sums, ways, strict=True), 1):
            cosine, sine = constants[j * k % order]
            t = fma(s[0], cosine, t[0]), fma(s[1], cosine, t[1])
            if u is None:
                u = d[0] * sine, d[1] * sine
            else:
                u = fma(d[0], sine, u[0]), fma(d[1], sine, u[1])
        assert u is not None
        found[k], found[order - k] = _add_turned(t, u), _subtract_turned(t, u)
    return found


def butterfly(x: list[Complex]) -> list[Complex]:
    """The transform of len(x) numbers."""
    known = {2: _two, 4: _four, 8: _eight}
    return known.get(len(x), _odd)(x)
