"""Single numbers in memory, by address: writing constants, reading indices and 0-d results."""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from elinvar.core.dtypes import DType

_CODES = {
    "bool": "?", "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B",
    "uint16": "H", "uint32": "I", "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
    "complex64": "ff", "complex128": "dd",
}  # fmt: skip


def number_bytes(value: Any, dtype: DType) -> bytes:
    """A Python number as it lies in memory, rounded to the dtype."""
    if dtype.kind == "f":
        return _float_bytes(float(value), dtype)
    if dtype.kind == "c":
        number = complex(value)
        return _float_bytes(number.real, dtype.part) + _float_bytes(number.imag, dtype.part)
    if dtype.kind == "b":
        return b"\x01" if value else b"\x00"
    number = int(value) & ((1 << dtype.bits) - 1)
    return number.to_bytes(dtype.itemsize, "little")


def _float_bytes(value: float, dtype: DType) -> bytes:
    if dtype.name == "bfloat16":
        return bfloat16_bits(value).to_bytes(2, "little")
    if value != value:
        quiet = {"float16": 0x7E00, "float32": 0x7FC00000, "float64": 0x7FF8 << 48}[dtype.name]
        return quiet.to_bytes(dtype.itemsize, "little")
    try:
        return struct.pack("<" + _CODES[dtype.name], value)
    except OverflowError:
        return struct.pack("<" + _CODES[dtype.name], float("inf") if value > 0 else -float("inf"))


def bfloat16_bits(value: float) -> int:
    """The nearest bfloat16 of a Python float, rounded once (ties to even)."""
    if value != value:
        return 0x7FC0
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    sign, exponent, fraction = bits >> 63, (bits >> 52) & 0x7FF, bits & ((1 << 52) - 1)
    power = exponent - 1023
    if exponent == 0x7FF or power > 127:
        return sign << 15 | 0x7F80
    if power < -126:  # subnormal in bfloat16: count multiples of 2**-133
        whole = ((1 << 52) | fraction) if exponent else fraction
        return sign << 15 | _round_shift(whole, 45 + (-126 - power))
    return sign << 15 | ((power + 127) << 7) + _round_shift(fraction, 45)


def _round_shift(value: int, shift: int) -> int:
    """value / 2**shift, rounded to nearest, ties to even."""
    if shift > 60:
        return 0
    whole, rest = value >> shift, value & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return whole + (rest > half or (rest == half and whole & 1))


def write_bytes(address: int, content: bytes) -> None:
    """Copy bytes to an address."""
    ctypes.memmove(address, content, len(content))


def read_number(x: Any) -> Any:
    """The Python number in the first element of a concrete tensor."""
    dtype = x._layout.dtype
    content = ctypes.string_at(x._address, dtype.itemsize)
    if dtype.name == "bfloat16":
        return struct.unpack("<f", b"\0\0" + content)[0]
    found = struct.unpack("<" + _CODES[dtype.name], content)
    return complex(*found) if dtype.kind == "c" else found[0]
