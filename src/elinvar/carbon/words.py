"""Energy and carbon as people read them."""

from __future__ import annotations

import math


def energy(joules: float) -> str:
    """An energy with a unit that fits.

    Example:
        >>> energy(0.012), energy(7.0), energy(4320.0), energy(9e6)
        ('0.012 J', '7 J', '1.2 Wh', '2.5 kWh')
    """
    hours = joules / 3600
    if hours >= 1000:
        return f"{digits(hours / 1000)} kWh"
    return f"{digits(hours)} Wh" if hours >= 0.1 else f"{digits(joules)} J"


def carbon(grams: float) -> str:
    """An amount of carbon dioxide (and what is as bad) with a unit that fits.

    Example:
        >>> carbon(0.0000021), carbon(0.0021), carbon(0.5), carbon(2345.0)
        ('2.1 µg CO₂e', '2.1 mg CO₂e', '0.5 g CO₂e', '2.35 kg CO₂e')
    """
    for least, unit in ((1000.0, "kg"), (0.1, "g"), (1e-4, "mg")):
        if abs(grams) >= least:
            factor = {"kg": 1e-3, "g": 1.0, "mg": 1e3}[unit]
            return f"{digits(grams * factor)} {unit} CO₂e"
    return f"{digits(grams * 1e6)} µg CO₂e" if grams else "0 g CO₂e"


def digits(number: float) -> str:
    """Two digits below 10 and three below 1000, without needless zeros.

    Example:
        >>> digits(0.01234), digits(2.345), digits(56.78), digits(12345.6)
        ('0.012', '2.35', '56.8', '12,346')
    """
    if not math.isfinite(number) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if abs(number) >= 1 else f"{number:.2g}"
