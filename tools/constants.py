"""Prints the long constants of `elinvar/ops/scalar_trigonometry.py`, from many digits of π."""

from __future__ import annotations

import mpmath as mp

mp.mp.prec = 2000


def pieces(value: mp.mpf, bits: int, count: int) -> list[float]:
    """`value` (below 1) cut into floats of `bits` bits each, as far as it has leading bits."""
    found = []
    step = int(mp.ceil(-mp.log(value, 2))) - 1
    for index in range(count):
        scale = mp.mpf(2) ** (step + bits * (index + 1))
        piece = mp.floor(value * scale) / scale
        found.append(float(piece))
        value -= piece
    return found


def main() -> None:
    print("_TURNS =", tuple(pieces(1 / (2 * mp.pi), 29, 7)))
    first = mp.floor(mp.pi / 2 * 2**26) / 2**26
    second = float(mp.pi / 2 - first)
    third = float(mp.pi / 2 - first - mp.mpf(second))
    print("_PARTS =", (float(first), second, third))
    total = int(mp.floor(2 / mp.pi * mp.mpf(2) ** (64 * 19 - 28)))
    words = [(total >> (64 * (18 - k))) & (2**64 - 1) for k in range(19)]
    print("_WORDS =", ", ".join(f"0x{word:016X}" for word in words))


if __name__ == "__main__":
    main()
