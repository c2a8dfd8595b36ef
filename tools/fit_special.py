"""Fits the polynomials of `elinvar.special` and writes `special_tables.py` and
`special_bessel_tables.py` in `elinvar/tensor/extra`.

    python tools/fit_special.py            write the files
    python tools/fit_special.py --check    say how far each polynomial is from its function

Each table interpolates a function at Chebyshev points, in 60 digits. `POWERS` hold coefficients of
u⁰, u¹, … for u = (x - middle) / half; `SERIES` those of Chebyshev polynomials, for functions whose
coefficients fall too slowly for powers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mpmath as mp

mp.mp.dps = 60
EXTRA = Path(__file__).parent.parent / "src/elinvar/tensor/extra"
TARGET, BESSEL_TARGET = EXTRA / "special_tables.py", EXTRA / "special_bessel_tables.py"
SMALLEST = mp.mpf("2e-18")  # relative to the largest coefficient


class Fit(NamedTuple):
    """A function on low … high, and whether it becomes powers."""

    name: str
    text: str
    function: Callable[[Any], Any]
    low: Any
    high: Any
    powers: bool = True


def near(value: Callable[[Any], Any], zero: Any) -> Callable[[Any], Any]:
    """value(x) / (x - zero), with its limit."""

    def function(x: Any) -> Any:
        gap = x - zero
        if abs(gap) < mp.mpf(10) ** -25:
            return mp.diff(value, zero)
        return value(x) / gap

    return function


def _log_gamma(x: Any) -> Any:
    if abs(x - 1) < mp.mpf(10) ** -25:
        return mp.euler
    if abs(x - 2) < mp.mpf(10) ** -25:
        return mp.psi(0, 2)
    return mp.loggamma(x) / ((x - 1) * (x - 2))


def _quotient_of_erfinv(root: Any) -> Any:
    """erfinv(x) / x where root² = -log(1 - x²)."""
    q = mp.findroot(lambda v: v * (2 - v) - mp.exp(-(root**2)), mp.exp(-(root**2)) / 2)
    guess = root
    z = mp.findroot(lambda v: mp.log(mp.erfc(v)) - mp.log(q), guess)
    return z / (1 - q)


def _mapped(function: Callable[[Any], Any], scale: Any, start: Any = 0) -> Callable[[Any], Any]:
    """A function of x ≥ start as one of t = (x - start - scale) / (x - start + scale)."""

    def of_t(t: Any) -> Any:
        return function(start + scale * (1 + t) / (1 - t))

    return of_t


def _erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x) if x < 1e4 else _far_erfcx(x)


def _far_erfcx(x: Any) -> Any:
    total = mp.nsum(lambda k: 0, [0, 0])
    term = mp.mpf(1)
    for k in range(1, 9):
        total += term
        term *= -mp.mpf(2 * k - 1) / (2 * x * x)
    return total / (x * mp.sqrt(mp.pi)) * (1 + 2 * x)


def _e1(x: Any) -> Any:
    if x < 1e3:
        return x * mp.exp(x) * mp.e1(x)
    total, term = mp.mpf(0), mp.mpf(1)
    for k in range(1, 16):
        total += term
        term *= -k / x
    return total


def _ei(x: Any) -> Any:
    return x * mp.exp(-x) * mp.ei(x)


def _bessel(order: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def near_zero(x: Any) -> Any:
        value = mp.besseli(order, x) * mp.exp(-x)
        if order:
            return value / x if x > mp.mpf(10) ** -20 else mp.mpf(1) / 2
        return value

    def far(y: Any) -> Any:
        if y < mp.mpf("1e-5"):
            mu, total, term = 4 * order * order, mp.mpf(0), mp.mpf(1)
            for k in range(1, 14):
                total += term
                term *= -(mu - (2 * k - 1) ** 2) * y / (8 * k)
            return total / mp.sqrt(2 * mp.pi)
        x = 1 / y
        return mp.sqrt(x) * mp.besseli(order, x) * mp.exp(-x)

    return near_zero, far


EI_ROOT = mp.findroot(mp.ei, 0.3725)
PSI_ROOT = mp.findroot(lambda x: mp.psi(0, x), 1.4616)


def _ei_near(x: Any) -> Any:
    """(Ei(x) - log(x / root)) / (x - root)"""
    return near(lambda v: mp.ei(v) - mp.log(v / EI_ROOT), EI_ROOT)(x)


def _root(function: Callable[[Any], Any], guess: float) -> Any:
    return mp.findroot(function, guess)


def _over_roots(
    function: Callable[[Any], Any], roots: list[Any], half: int
) -> Callable[[Any], Any]:
    """A function of √z, divided by z - r² for each of its roots r, times (1 + z/half)²."""

    def quotient(z: Any) -> Any:
        x = mp.sqrt(z)
        for root in roots:
            if abs(x - root) < mp.mpf(10) ** -25:
                x += mp.mpf(10) ** -25
        bottom = 1 / (1 + z / half) ** 2
        for root in roots:
            bottom *= x * x - root * root
        return function(x) / bottom

    return quotient


J0_ROOTS = [_root(lambda x: mp.besselj(0, x), guess) for guess in (2.4, 5.5)]
J1_ROOTS = [_root(lambda x: mp.besselj(1, x), guess) for guess in (3.8, 7.0)]


def _j1_over_x(x: Any) -> Any:
    return mp.besselj(1, x) / x if x > mp.mpf(10) ** -20 else mp.mpf(1) / 2


def _y0_rest(z: Any) -> Any:
    """Y0(x) - 2/π·log(x)·J0(x)"""
    x = mp.sqrt(z) if z > mp.mpf(10) ** -40 else mp.mpf(10) ** -20
    return mp.bessely(0, x) - 2 / mp.pi * mp.log(x) * mp.besselj(0, x)


def _y1_rest(z: Any) -> Any:
    """(Y1(x) - 2/π·(log(x)·J1(x) - 1/x)) / x"""
    x = mp.sqrt(z) if z > mp.mpf(10) ** -12 else mp.mpf(10) ** -6
    with mp.workdps(90):
        part = mp.log(x) * mp.besselj(1, x) - 1 / x
        return (mp.bessely(1, x) - 2 / mp.pi * part) / x


def _hankel(order: int, wants_q: bool) -> Callable[[Any], Any]:
    """P(x), or x·Q(x), of Hankel's form √(2/(πx))·(P·cos χ - Q·sin χ), by t = (8/x)²."""

    def function(t: Any) -> Any:
        if t < mp.mpf("1e-4"):
            return _hankel_series(order, wants_q, 8 / mp.sqrt(t) if t else mp.inf)
        x = 8 / mp.sqrt(t)
        chi = x - (2 * order + 1) * mp.pi / 4
        j, y = mp.besselj(order, x), mp.bessely(order, x)
        scale = mp.sqrt(mp.pi * x / 2)
        if wants_q:
            return x * scale * (y * mp.cos(chi) - j * mp.sin(chi))
        return scale * (j * mp.cos(chi) + y * mp.sin(chi))

    return function


def _hankel_series(order: int, wants_q: bool, x: Any) -> Any:
    mu, total, term = 4 * order * order, mp.mpf(0), mp.mpf(1)
    for k in range(24):
        if k % 2 == wants_q:
            sign = -1 if k // 2 % 2 else 1
            total += sign * term * (x if wants_q and k > 1 else 1)
        following = mp.mpf(mu - (2 * k + 1) ** 2) / (8 * (k + 1))
        if wants_q and k == 0:
            term = following  # x·Q begins with a number
            continue
        term = term * following / x if not wants_q or k > 1 else term * following / (x * x)
    return total


def _k_rest(order: int) -> Callable[[Any], Any]:
    """K0(x) + log(x/2)·I0(x), or (K1(x) - log(x/2)·I1(x) - 1/x) / x, of z = x²."""

    def function(z: Any) -> Any:
        x = mp.sqrt(z) if z > mp.mpf(10) ** -16 else mp.mpf(10) ** -8
        with mp.workdps(90):
            logarithm = mp.log(x / 2) * mp.besseli(order, x)
            if order:
                return (mp.besselk(1, x) - logarithm - 1 / x) / x
            return mp.besselk(0, x) + logarithm

    return function


def _k_far(order: Any) -> Callable[[Any], Any]:
    """√x·e^x·K(x)"""

    def function(x: Any) -> Any:
        if x < 1e4:
            return mp.sqrt(x) * mp.exp(x) * mp.besselk(order, x)
        mu, total, term = 4 * order * order, mp.mpf(0), mp.mpf(1)
        for k in range(1, 16):
            total += term
            term *= mp.mpf(mu - (2 * k - 1) ** 2) / (8 * k * x)
        return total * mp.sqrt(mp.pi / 2)

    return function


def _i_of_square(order: int) -> Callable[[Any], Any]:
    def function(z: Any) -> Any:
        x = mp.sqrt(z)
        if not order:
            return mp.besseli(0, x)
        return mp.besseli(1, x) / x if x > mp.mpf(10) ** -20 else mp.mpf(1) / 2

    return function


def _airy_waves(slope: int, wants_q: bool) -> Callable[[Any], Any]:
    """Ai(-x) = π^-½·x^-¼·(P·cos θ + Q·sin θ / ζ), and for Ai'(-x) = π^-½·x^¼·(P·sin θ - Q·cos θ /
    ζ), with θ = ζ - π/4: P or Q, of t = 1/ζ²."""

    def function(t: Any) -> Any:
        zeta = 1 / mp.sqrt(max(t, mp.mpf("1e-9")))
        x = (3 * zeta / 2) ** (mp.mpf(2) / 3)
        theta = zeta - mp.pi / 4
        root = mp.sqrt(mp.pi) * (1 / mp.root(x, 4) if slope else mp.root(x, 4))
        ai = mp.airyai(-x, derivative=slope) * root
        bi = mp.airybi(-x, derivative=slope) * root
        if slope:
            p, q = ai * mp.sin(theta) + bi * mp.cos(theta), bi * mp.sin(theta) - ai * mp.cos(theta)
        else:
            p, q = ai * mp.cos(theta) - bi * mp.sin(theta), ai * mp.sin(theta) + bi * mp.cos(theta)
        return zeta * q if wants_q else p

    return function


def _dawson(z: Any) -> Any:
    """(1 + 2z)·D(x)/x with z = x², for z ≤ 25"""
    x = mp.sqrt(z) if z > mp.mpf(10) ** -40 else mp.mpf(10) ** -20
    return (1 + 2 * z) * mp.sqrt(mp.pi) / 2 * mp.exp(-z) * mp.erfi(x) / x


def _dawson_far(y: Any) -> Any:
    """2x·D(x) with y = 1/x²"""
    if y < mp.mpf("1e-3"):
        total, term = mp.mpf(0), mp.mpf(1)
        for k in range(40):
            total += term
            term *= (2 * k + 1) * y / 2
        return total
    x = 1 / mp.sqrt(y)
    return mp.sqrt(mp.pi) * x * mp.exp(-1 / y) * mp.erfi(x)


def _sine_integral(z: Any) -> Any:
    x = mp.sqrt(z) if z > mp.mpf(10) ** -40 else mp.mpf(10) ** -20
    return mp.si(x) / x


def _cosine_integral(z: Any) -> Any:
    """(Ci(x) - log x - γ) / x²"""
    x = mp.sqrt(z) if z > mp.mpf(10) ** -16 else mp.mpf(10) ** -8
    with mp.workdps(100):
        return (mp.ci(x) - mp.log(x) - mp.euler) / (x * x)


def _auxiliary(wants_g: bool) -> Callable[[Any], Any]:
    """x·f(x) or x²·g(x) of the auxiliary functions of Si and Ci, by t = (8/x)²."""

    def function(t: Any) -> Any:
        x = 8 / mp.sqrt(max(t, mp.mpf("1e-8")))
        si, ci = mp.si(x) - mp.pi / 2, mp.ci(x)
        if wants_g:
            return -x * x * (ci * mp.cos(x) + si * mp.sin(x))
        return x * (ci * mp.sin(x) - si * mp.cos(x))

    return function


def _fresnel(wants_s: bool) -> Callable[[Any], Any]:
    """S(x)/x³ or C(x)/x, of z = x⁴."""

    def function(z: Any) -> Any:
        x = mp.root(z, 4) if z > mp.mpf(10) ** -40 else mp.mpf(10) ** -10
        return mp.fresnels(x) / x**3 if wants_s else mp.fresnelc(x) / x

    return function


def _fresnel_far(wants_g: bool) -> Callable[[Any], Any]:
    """πx·f or π²x³·g, with f and g of Abramowitz and Stegun, 7.3.5; by t = (2/x)⁴."""

    def function(t: Any) -> Any:
        x = 2 / mp.root(max(t, mp.mpf("1e-12")), 4)
        s, c = mp.mpf(1) / 2 - mp.fresnels(x), mp.mpf(1) / 2 - mp.fresnelc(x)
        angle = mp.pi * x * x / 2
        if wants_g:
            return mp.pi**2 * x**3 * (c * mp.cos(angle) + s * mp.sin(angle))
        return mp.pi * x * (s * mp.cos(angle) - c * mp.sin(angle))

    return function


BESSEL_FITS = (
    Fit("J0_NEAR", "(1 + x²/8)²·J0(x) / Π (x² - root²), of x²",
        _over_roots(lambda x: mp.besselj(0, x), J0_ROOTS, 8), 0, 64, False),
    Fit("J1_NEAR", "(1 + x²/16)²·J1(x) / x / Π (x² - root²), of x²",
        _over_roots(_j1_over_x, J1_ROOTS, 16), 0, 64, False),
    Fit("Y0_NEAR", "Y0(x) - 2/π·log(x)·J0(x), of x²", _y0_rest, 0, 64, False),
    Fit("Y1_NEAR", "(Y1(x) - 2/π·(log(x)·J1(x) - 1/x)) / x, of x²", _y1_rest, 0, 64, False),
    Fit("P0", "P of J0 and Y0, of (8/x)²", _hankel(0, False), 0, 1, False),
    Fit("Q0", "x·Q of J0 and Y0, of (8/x)²", _hankel(0, True), 0, 1, False),
    Fit("P1", "P of J1 and Y1, of (8/x)²", _hankel(1, False), 0, 1, False),
    Fit("Q1", "x·Q of J1 and Y1, of (8/x)²", _hankel(1, True), 0, 1, False),
    Fit("I0_SQUARE", "I0(x), of x²", _i_of_square(0), 0, 1),
    Fit("I1_SQUARE", "I1(x) / x, of x²", _i_of_square(1), 0, 1),
    Fit("K0_NEAR", "K0(x) + log(x/2)·I0(x), of x²", _k_rest(0), 0, 1),
    Fit("K1_NEAR", "(K1(x) - log(x/2)·I1(x) - 1/x) / x, of x²", _k_rest(1), 0, 1),
    Fit("K0_FAR", "√x·e^x·K0(x), t = (x - 1 - 4) / (x - 1 + 4)",
        _mapped(_k_far(0), mp.mpf(4), 1), -1, 1, False),
    Fit("K1_FAR", "√x·e^x·K1(x), t = (x - 1 - 4) / (x - 1 + 4)",
        _mapped(_k_far(1), mp.mpf(4), 1), -1, 1, False),
    Fit("AIRY_NEAR", "Ai(x)", lambda x: mp.airyai(x), -4, 1, False),
    Fit("AIRY_SLOPE", "Ai'(x)", lambda x: mp.airyai(x, derivative=1), -4, 1, False),
    Fit("AIRY_FAR", "√ζ·e^ζ·K⅓(ζ), t = (ζ - ⅔ - 3) / (ζ - ⅔ + 3)",
        _mapped(_k_far(mp.mpf(1) / 3), mp.mpf(3), mp.mpf(2) / 3), -1, 1, False),
    Fit("AIRY_SLOPE_FAR", "√ζ·e^ζ·K⅔(ζ), t = (ζ - ⅔ - 3) / (ζ - ⅔ + 3)",
        _mapped(_k_far(mp.mpf(2) / 3), mp.mpf(3), mp.mpf(2) / 3), -1, 1, False),
    *(Fit(name, text, _airy_waves(slope, wants_q), 0, mp.mpf(9) / 256, False)
      for name, text, slope, wants_q in (
          ("AIRY_P", "P of Ai, of 1/ζ²", 0, False), ("AIRY_Q", "Q of Ai, of 1/ζ²", 0, True),
          ("AIRY_SLOPE_P", "P of Ai', of 1/ζ²", 1, False),
          ("AIRY_SLOPE_Q", "Q of Ai', of 1/ζ²", 1, True))),
    Fit("DAWSON_NEAR", "(1 + 2x²)·D(x) / x, of x²", _dawson, 0, 9, False),
    Fit("DAWSON_MIDDLE", "(1 + 2x²)·D(x) / x, of x²", _dawson, 9, 36, False),
    Fit("DAWSON_FAR", "2x·D(x), of 1/x²", _dawson_far, 0, mp.mpf(1) / 36, False),
    Fit("SI_NEAR", "Si(x) / x, of x²", _sine_integral, 0, 64, False),
    Fit("CI_NEAR", "(Ci(x) - log x - γ) / x², of x²", _cosine_integral, 0, 64, False),
    Fit("SI_F", "x·f(x), of (8/x)²", _auxiliary(False), 0, 1, False),
    Fit("SI_G", "x²·g(x), of (8/x)²", _auxiliary(True), 0, 1, False),
    Fit("FRESNEL_S", "S(x) / x³, of x⁴", _fresnel(True), 0, 16, False),
    Fit("FRESNEL_C", "C(x) / x, of x⁴", _fresnel(False), 0, 16, False),
    Fit("FRESNEL_F", "πx·f(x), of (2/x)⁴", _fresnel_far(False), 0, 1, False),
    Fit("FRESNEL_G", "π²x³·g(x), of (2/x)⁴", _fresnel_far(True), 0, 1, False),
)  # fmt: skip

FITS = (
    Fit("LOG_GAMMA", "log Γ(x) / ((x - 1)(x - 2))", _log_gamma, 1, 3),
    Fit("GAMMA", "Γ(x)", mp.gamma, 1, 2),
    Fit("DIGAMMA", "ψ(x) / (x - root)", near(lambda x: mp.psi(0, x), PSI_ROOT), 1, 2),
    Fit("ERFCX", "(1 + 2x)·erfcx(x), t = (x - 3.75) / (x + 3.75)", _mapped(_erfcx, mp.mpf("3.75")),
        -1, 1, False),
    Fit("ERFINV_TAIL", "erfinv(x) / x of √w, w = -log(1 - x²)", _quotient_of_erfinv, 7,
        mp.mpf("27.5")),
    Fit("I0_NEAR", "e^-x·I0(x)", _bessel(0)[0], 0, 8, False),
    Fit("I0_FAR", "√x·e^-x·I0(x), of 1/x", _bessel(0)[1], 0, mp.mpf(1) / 8, False),
    Fit("I1_NEAR", "e^-x·I1(x) / x", _bessel(1)[0], 0, 8, False),
    Fit("I1_FAR", "√x·e^-x·I1(x), of 1/x", _bessel(1)[1], 0, mp.mpf(1) / 8, False),
    Fit("EIN", "(E1(x) + log x + γ) / x", lambda x: mp.mpf(1) if x < 1e-30 else (
        (mp.e1(x) + mp.log(x) + mp.euler) / x), 0, 1),
    Fit("E1_FAR", "x·e^x·E1(x), t = (x - 1 - 4) / (x - 1 + 4)", _mapped(_e1, mp.mpf(4), 1),
        -1, 1, False),
    Fit("EI_NEAR", "(Ei(x) - log(x / root)) / (x - root)", _ei_near, mp.mpf("1e-20"), 3),
    Fit("EI_1", "x·e^-x·Ei(x)", _ei, 3, 7, False),
    Fit("EI_2", "x·e^-x·Ei(x)", _ei, 7, 16, False),
    Fit("EI_3", "x·e^-x·Ei(x)", _ei, 16, 40, False),
    Fit("EI_4", "x·e^-x·Ei(x), of 1/x", lambda y: mp.mpf(1) if y < 1e-25 else (
        _ei(1 / y) if y > mp.mpf("1e-3") else mp.fsum(mp.factorial(k) * y**k for k in range(20))),
        0, mp.mpf(1) / 40, False),
    Fit("DILOGARITHM", "spence(x) / (1 - x)", near(lambda x: -mp.polylog(2, 1 - x), 1),
        mp.mpf("0.5"), mp.mpf("1.5")),
)  # fmt: skip


def chebyshev(fit: Fit) -> list[Any]:
    """The coefficients of the interpolant, as many as the target needs."""
    count = 64
    low, high = mp.mpf(fit.low), mp.mpf(fit.high)
    angles = [mp.pi * (k + mp.mpf(1) / 2) / count for k in range(count)]
    values = [
        fit.function((low + high) / 2 + (high - low) / 2 * mp.cos(angle)) for angle in angles
    ]
    found = []
    for j in range(count):
        total = mp.fsum(v * mp.cos(j * angle) for v, angle in zip(values, angles, strict=True))
        found.append(total * 2 / count)
    found[0] /= 2
    most = max(abs(c) for c in found)
    while abs(found[-1]) < SMALLEST * most:
        found.pop()
    return found


def in_powers(series: list[Any]) -> list[Any]:
    """Coefficients of powers from those of Chebyshev polynomials."""
    before, now = [mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]
    total = [mp.mpf(0)] * len(series)
    for coefficient in series:
        for place, part in enumerate(before):
            total[place] += coefficient * part
        following = [mp.mpf(0), *(2 * part for part in now)]
        for place, part in enumerate(before):
            following[place] -= part
        before, now = now, following
    return total


def written(fit: Fit) -> str:
    series = chebyshev(fit)
    numbers = [float(c) for c in (in_powers(series) if fit.powers else series)]
    middle = float((mp.mpf(fit.low) + fit.high) / 2)
    half = float((mp.mpf(fit.high) - fit.low) / 2)
    rows, row = [], "    "
    for number in numbers:
        text = f"{number!r}, "
        if len(row + text) > 100:
            rows.append(row.rstrip())
            row = "    "
        row += text
    rows.append(row.rstrip())
    kind = "powers" if fit.powers else "Chebyshev polynomials"
    head = f"# {fit.text}: {kind}\n{fit.name}: Table = (("
    return head + "\n" + "\n".join(rows) + f"\n), {middle!r}, {half!r})  # fmt: skip\n"


HEADER = '''"""Made by `python tools/fit_special.py`: coefficients, middle and half of the range."""

from __future__ import annotations

Table = tuple[tuple[float, ...], float, float]

'''


def split_root(root: Any) -> tuple[float, float]:
    high = float(root)
    return high, float(root - mp.mpf(high))


def page(fits: tuple[Fit, ...], roots: dict[str, Any]) -> str:
    lines = "".join(
        f"{name} = {split_root(root)!r}  # in two parts\n" for name, root in roots.items()
    )
    return HEADER + "\n".join(written(fit) for fit in fits) + "\n" + lines


def main() -> None:
    if "--check" in sys.argv:
        for fit in FITS + BESSEL_FITS:
            print(fit.name, len(chebyshev(fit)))
        return
    TARGET.write_text(page(FITS, {"PSI_ROOT": PSI_ROOT, "EI_ROOT": EI_ROOT}))
    bessel_roots = {
        f"{name}_ROOT_{n}": root
        for name, roots in (("J0", J0_ROOTS), ("J1", J1_ROOTS))
        for n, root in enumerate(roots, 1)
    }
    BESSEL_TARGET.write_text(page(BESSEL_FITS, bessel_roots))


if __name__ == "__main__":
    main()
