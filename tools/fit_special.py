"""Fits the polynomials of `elinvar.special` and writes `elinvar/tensor/extra/special_tables.py`.

    python tools/fit_special.py            write the file
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
TARGET = Path(__file__).parent.parent / "src/elinvar/tensor/extra/special_tables.py"
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


def main() -> None:
    roots = "".join(
        f"{name} = {split_root(root)!r}  # in two parts\n"
        for name, root in (("PSI_ROOT", PSI_ROOT), ("EI_ROOT", EI_ROOT))
    )
    if "--check" in sys.argv:
        for fit in FITS:
            print(fit.name, len(chebyshev(fit)))
        return
    TARGET.write_text(HEADER + "\n".join(written(fit) for fit in FITS) + "\n" + roots)


if __name__ == "__main__":
    main()
