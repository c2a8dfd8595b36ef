"""Fits the polynomials of `elinvar/ops/scalar_math.py` and writes `elinvar/ops/coefficients.py`.

    python tools/fit_polynomials.py            write the file
    python tools/fit_polynomials.py --check    say how far each polynomial is from its function

Each polynomial is the best one in the weighted maximum norm (Remez' exchange algorithm, in
multiple precision). Coefficients are rounded one after the other, lowest first, and those that
follow are fitted again, so that they absorb the rounding of the ones before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np

mp.mp.dps = 60
Function = Callable[[Any], Any]
TARGET = Path(__file__).parent.parent / "src" / "elinvar" / "ops" / "coefficients.py"


class Fit(NamedTuple):
    """`function` ≈ polynomial on low … high; its degrees for f32 and f64 (None: not needed)."""

    name: str
    text: str
    function: Function
    weight: Function
    low: Any
    high: Any
    degree32: int | None
    degree64: int | None


# ---- Remez --------------------------------------------------------------------------------------


def _solve(f: Function, w: Function, points: list[Any], powers: list[int]) -> tuple[list[Any], Any]:
    """Coefficients and level of the polynomial whose weighted error alternates on the points."""
    size = len(points)
    matrix, right = mp.matrix(size, size), mp.matrix(size, 1)
    for i, x in enumerate(points):
        weight = w(x)
        for j, power in enumerate(powers):
            matrix[i, j] = weight * mp.mpf(x) ** power
        matrix[i, size - 1] = (-1) ** i
        right[i] = weight * f(x)
    solution = mp.lu_solve(matrix, right)
    return [solution[i] for i in range(size - 1)], abs(solution[size - 1])


def _value(coefficients: list[Any], powers: list[int], x: Any) -> Any:
    return mp.fsum(c * mp.mpf(x) ** p for c, p in zip(coefficients, powers, strict=True))


def remez(
    f: Function, weight: Function, low: Any, high: Any, powers: list[int]
) -> tuple[list[Any], Any]:
    """The best coefficients of the given powers of x, and the largest weighted error."""
    low, high = mp.mpf(low), mp.mpf(high)
    floor = max(abs(weight(low)), abs(weight(high))) / 1000

    def w(x: Any) -> Any:  # kept from zero, where the points of an exchange could not stand
        return max(abs(weight(x)), floor)

    size = len(powers) + 1
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(mp.pi * (i + mp.mpf("0.3")) / size) for i in range(size)]
    count = 24 * size
    grid = [middle - half * mp.cos(mp.pi * (i + mp.mpf(0.5)) / count) for i in range(count)]
    grid = [low, *grid, high]
    samples = [(abs(weight(x)), f(x)) for x in grid]
    best = None
    for _ in range(12):
        coefficients, level = _solve(f, w, points, powers)
        errors = [
            factor * (value - _value(coefficients, powers, x))
            for x, (factor, value) in zip(grid, samples, strict=True)
        ]
        worst = max(abs(e) for e in errors)
        if best is None or worst < best[1]:
            best = coefficients, worst
        points = _extrema(grid, errors, size)
        if worst < level * mp.mpf("1.02") or len(points) < size:
            break
    assert best is not None
    return best


def _extrema(grid: list[Any], errors: list[Any], size: int) -> list[Any]:
    """One point of largest error in each run of equal sign, thinned to `size` points."""
    runs: list[tuple[Any, Any]] = []
    for x, e in zip(grid, errors, strict=True):
        if runs and (runs[-1][1] > 0) == (e > 0):
            if abs(e) > abs(runs[-1][1]):
                runs[-1] = (x, e)
        else:
            runs.append((x, e))
    while len(runs) > size:
        if (len(runs) - size) % 2:
            runs.pop(0 if abs(runs[0][1]) < abs(runs[-1][1]) else -1)
        else:
            i = min(range(len(runs) - 1), key=lambda i: max(abs(runs[i][1]), abs(runs[i + 1][1])))
            del runs[i : i + 2]
    return [x for x, _ in runs]


def rounded(fit: Fit, degree: int, kind: type) -> tuple[list[float], Any]:
    """Coefficients in the precision `kind`, each rounded before the rest is fitted again."""
    fixed: list[float] = []
    for _ in range(degree + 1):
        powers = list(range(len(fixed), degree + 1))

        def rest(x: Any, fixed: list[float] = fixed) -> Any:
            return fit.function(x) - mp.fsum(mp.mpf(c) * x**p for p, c in enumerate(fixed))

        found, worst = remez(rest, fit.weight, fit.low, fit.high, powers)
        fixed = [*fixed, float(kind(float(found[0])))]
        if kind is np.float64 and len(fixed) > 2:  # further terms are far below the last bit
            fixed += [float(c) for c in found[1:]]
            break
    return fixed, worst


# ---- the functions ------------------------------------------------------------------------------


def _series(function: Function, limit: Function, small: str = "1e-15") -> Function:
    """`function`, or its Taylor polynomial `limit` where cancellation would spoil it."""
    return lambda x: limit(x) if abs(x) < mp.mpf(small) else function(x)


def _taylor(coefficients: list[Any]) -> Function:
    return lambda x: mp.fsum(c * x**i for i, c in enumerate(coefficients))


def _one(x: Any) -> Any:
    return mp.mpf(1)


_LN2 = mp.log(2)
_HALF_LN2 = _LN2 / 2 * mp.mpf("1.0001")
_INVERSE_FACTORIALS = _taylor([1 / mp.factorial(i + 2) for i in range(8)])
_exp_tail = _series(lambda r: (mp.exp(r) - 1 - r) / r**2, _INVERSE_FACTORIALS, "1e-6")
_log_tail = _series(
    lambda f: (mp.log1p(f) - f + f**2 / 2) / f**3,
    _taylor([mp.mpf((-1) ** i) / (i + 3) for i in range(10)]),
    "1e-5",
)


def _root(function: Function) -> Function:
    """A function of √z."""
    return lambda z: function(mp.sqrt(z))


_atanh_tail = _series(
    _root(lambda s: (mp.atanh(s) / s - 1) / s**2),
    _taylor([mp.mpf(1) / (2 * i + 3) for i in range(9)]),
    "1e-5",
)
_atanh_tail_2 = _series(
    lambda z: (_atanh_tail(z) - mp.mpf(1) / 3) / z,
    _taylor([mp.mpf(1) / (2 * i + 5) for i in range(9)]),
    "1e-5",
)
_sin_tail = _series(
    _root(lambda r: (mp.sin(r) / r - 1) / r**2),
    _taylor([mp.mpf((-1) ** (i + 1)) / mp.factorial(2 * i + 3) for i in range(8)]),
    "1e-5",
)
_cos_tail = _series(
    _root(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4),
    _taylor([mp.mpf((-1) ** i) / mp.factorial(2 * i + 4) for i in range(8)]),
    "1e-5",
)
_asin_tail = _series(
    _root(lambda x: (mp.asin(x) / x - 1) / x**2),
    _taylor([mp.binomial(2 * i, i) / mp.mpf(4) ** i / (2 * i + 1) for i in range(1, 12)]),
    "1e-5",
)
_atan_tail = _series(
    _root(lambda x: (mp.atan(x) / x - 1) / x**2),
    _taylor([mp.mpf((-1) ** (i + 1)) / (2 * i + 3) for i in range(9)]),
    "1e-5",
)


def _erf_rate(x: Any) -> Any:
    """-log(erfc(x)) / x."""
    if abs(x) < mp.mpf("1e-25"):
        return 2 / mp.sqrt(mp.pi)
    return -mp.log(mp.erfc(x)) / x


def _erf_weight(x: Any) -> Any:
    """Turns an error of the rate into the relative error of erf."""
    if abs(x) < mp.mpf("1e-25"):
        return mp.sqrt(mp.pi) / 2
    return x * mp.erfc(x) / mp.erf(x)


_EXP2_START = _taylor([_LN2 ** (i + 1) / mp.factorial(i + 1) for i in range(4)])
_sinh_tail = _series(
    _root(lambda x: (mp.sinh(x) / x - 1) / x**2),
    _taylor([1 / mp.factorial(2 * i + 3) for i in range(8)]),
    "1e-5",
)
_TANH_SERIES = (-mp.mpf(1) / 3, mp.mpf(2) / 15, -mp.mpf(17) / 315, mp.mpf(62) / 2835)
_tanh_tail = _series(
    _root(lambda x: (mp.tanh(x) / x - 1) / x**2), _taylor(list(_TANH_SERIES)), "1e-9"
)
_asinh_tail = _series(
    _root(lambda x: (mp.asinh(x) / x - 1) / x**2),
    _taylor([mp.binomial(2 * i, i) / mp.mpf(-4) ** i / (2 * i + 1) for i in range(1, 12)]),
    "1e-5",
)


def _acosh_ratio(t: Any) -> Any:
    """acosh(1 + t) / √(2t) - 1, over t."""
    if t < mp.mpf("1e-12"):
        return -mp.mpf(1) / 12 + 3 * t / 160 - 5 * t**2 / 896
    s = mp.sqrt(t / 2)
    return (mp.asinh(s) / s - 1) / t


def _erf_growth(z: Any) -> Any:
    """erf(√z)/√z - 1."""
    x = mp.sqrt(z)
    return (mp.erf(x) / x if x > mp.mpf("1e-15") else 2 / mp.sqrt(mp.pi)) - 1


def _erf_slope(x: Any) -> Any:
    """(-log(erfc(x))/x - 2/√π) / x."""
    if x < mp.mpf("1e-15"):
        return 2 / mp.pi
    return (_erf_rate(x) - 2 / mp.sqrt(mp.pi)) / x


_ERF_MIDDLE = mp.mpf("3.84375")
_QUARTER = mp.pi / 4 * mp.mpf("1.001")
_SQRT2 = mp.sqrt(2)
_LARGEST_S = (_SQRT2 - 1) / (_SQRT2 + 1) * mp.mpf("1.001")

FITS = (
    Fit(
        "EXP",
        "exp(r) = 1 + r + r²·EXP(r) for |r| ≤ ln 2",
        _exp_tail,
        lambda r: r**2 / mp.exp(r),
        -_LN2 * 1.0001,
        _LN2 * 1.0001,
        5,
        11,
    ),
    Fit(
        "EXPM1",
        "expm1(r) = r + r²·EXPM1(r) for |r| ≤ ln 2 / 2",
        _exp_tail,
        lambda r: r,
        -_HALF_LN2,
        _HALF_LN2,
        5,
        10,
    ),
    Fit(
        "EXP_HALF",
        "exp(r) = 1 + r + r²·EXP_HALF(r) for |r| ≤ ln 2 / 2",
        _exp_tail,
        lambda r: r**2,
        -_HALF_LN2,
        _HALF_LN2,
        4,
        9,
    ),
    Fit(
        "EXP2",
        "exp2(r) = 1 + r·EXP2(r) for |r| ≤ 1/2, for f32 results computed in f64",
        _series(lambda r: mp.expm1(r * _LN2) / r, _EXP2_START, "1e-12"),
        lambda r: r,
        -0.5,
        0.5,
        None,
        7,
    ),
    Fit(
        "LOG",
        "log(1 + f) = f - f²/2 + f³·LOG(f) for √½ ≤ 1 + f ≤ √2",
        _log_tail,
        lambda f: f**2,
        1 / _SQRT2 - 1,
        _SQRT2 - 1,
        7,
        None,
    ),
    Fit(
        "ATANH_LONG",
        "atanh(s) = s + s³/3 + s⁵·ATANH_LONG(s²) for |s| ≤ (√2 - 1)/(√2 + 1)",
        _atanh_tail_2,
        lambda z: z**2,
        mp.mpf(0),
        _LARGEST_S**2,
        None,
        7,
    ),
    Fit(
        "ATANH",
        "atanh(s) = s + s³·ATANH(s²) for |s| ≤ (√2 - 1)/(√2 + 1)",
        _atanh_tail,
        lambda z: z,
        mp.mpf(0),
        _LARGEST_S**2,
        None,
        7,
    ),
    Fit(
        "ATANH_SHORT",
        "the same for f32 results computed in f64",
        _atanh_tail,
        lambda z: z,
        mp.mpf(0),
        _LARGEST_S**2,
        None,
        4,
    ),
    Fit(
        "SIN",
        "sin(r) = r + r³·SIN(r²) for |r| ≤ π/4",
        _sin_tail,
        lambda z: z,
        mp.mpf(0),
        _QUARTER**2,
        2,
        6,
    ),
    Fit(
        "COS",
        "cos(r) = 1 - r²/2 + r⁴·COS(r²) for |r| ≤ π/4",
        _cos_tail,
        lambda z: z**2,
        mp.mpf(0),
        _QUARTER**2,
        2,
        6,
    ),
    Fit(
        "ASIN",
        "asin(x) = x + x³·ASIN(x²) for |x| ≤ 1/2",
        _asin_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("0.2502"),
        4,
        12,
    ),
    Fit(
        "SINH",
        "sinh(x) = x + x³·SINH(x²) for |x| ≤ 1",
        _sinh_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("1.001"),
        3,
        7,
    ),
    Fit(
        "TANH",
        "tanh(x) = x + x³·TANH(x²) for |x| ≤ 0.55",
        _tanh_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("0.3026"),
        4,
        10,
    ),
    Fit(
        "ASINH",
        "asinh(x) = x + x³·ASINH(x²) for |x| ≤ 1/2",
        _asinh_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("0.2502"),
        4,
        12,
    ),
    Fit(
        "ATANH_WIDE",
        "atanh(x) = x + x³·ATANH_WIDE(x²) for |x| ≤ 1/2",
        _atanh_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("0.2502"),
        5,
        14,
    ),
    Fit(
        "ACOSH",
        "acosh(1 + t) = √(2t)·(1 + t·ACOSH(t)) for 0 ≤ t ≤ 1/2",
        _acosh_ratio,
        lambda t: t,
        mp.mpf(0),
        mp.mpf("0.5"),
        5,
        13,
    ),
    Fit(
        "ERF_NEAR",
        "erf(x) = x + x·ERF_NEAR(x² - 1) for |x| ≤ 1.25",
        lambda u: _erf_growth(u + 1),
        lambda u: 1 / (1 + _erf_growth(u + 1)),
        mp.mpf(-1),
        mp.mpf("0.5625"),
        7,
        None,
    ),
    Fit(
        "ERF_FAR",
        "erf(x) = 1 - ERF_FAR(x - 1)⁴ for 1.25 ≤ x ≤ 3.93",
        lambda u: mp.sqrt(mp.sqrt(mp.erfc(u + 1))),
        lambda u: 4 * mp.erfc(u + 1) ** mp.mpf("0.75"),
        mp.mpf("0.25"),
        mp.mpf("2.93"),
        7,
        None,
    ),
    Fit(
        "ERF_LOW",
        "-log(erfc(x)) = 2/√π·x + x²·ERF_LOW(x) for 0 ≤ x ≤ 1.75",
        _erf_slope,
        lambda x: x * _erf_weight(x),
        mp.mpf(0),
        mp.mpf("1.75"),
        None,
        18,
    ),
    Fit(
        "ERF_HIGH",
        "-log(erfc(x)) = x·ERF_HIGH(x - 3.84375) for 1.75 ≤ x ≤ 5.9375",
        lambda u: _erf_rate(u + _ERF_MIDDLE),
        lambda u: _erf_weight(u + _ERF_MIDDLE),
        mp.mpf("1.75") - _ERF_MIDDLE,
        mp.mpf("5.9375") - _ERF_MIDDLE,
        None,
        19,
    ),
    Fit(
        "ATAN",
        "atan(x) = x + x³·ATAN(x²) for |x| ≤ 1/2",
        _atan_tail,
        lambda z: z,
        mp.mpf(0),
        mp.mpf("0.2502"),
        4,
        12,
    ),
)


def _literal(value: float) -> str:
    return repr(float(value))


def _block(fit: Fit) -> tuple[str, list[str]]:
    notes, lines = [], [f"# {fit.text}", f"{fit.name}: dict[DType, tuple[float, ...]] = {{"]
    rows = (("float32", fit.degree32, np.float32), ("float64", fit.degree64, np.float64))
    for key, degree, kind in rows:
        if degree is None:
            continue
        found, worst = rounded(fit, degree, kind)
        notes.append(f"{fit.name} {key}: degree {degree}, error 2^{float(mp.log(worst, 2)):.1f}")
        lines.append(f"    {key}: (")
        lines += [f"        {_literal(c)}," for c in found]
        lines.append("    ),")
    return "\n".join([*lines, "}"]), notes


HEAD = '''"""Coefficients of the polynomials of `scalar_math.py`, lowest power first.

Written by `tools/fit_polynomials.py`; change that file, not this one.
"""

from __future__ import annotations

from elinvar.core.dtypes import DType, float32, float64
'''


def main() -> None:
    blocks = []
    for fit in FITS:
        block, notes = _block(fit)
        print("\n".join(notes), flush=True)
        blocks.append(block)
    if "--check" not in sys.argv:
        TARGET.write_text(HEAD + "\n" + "\n\n".join(blocks) + "\n")


if __name__ == "__main__":
    main()
