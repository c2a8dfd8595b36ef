"""Figures for TensorBoard: its event files, which are records of protocol buffers.

    file     a record for each event
    record   u64 length · masked CRC-32C of it · the event · masked CRC-32C of the event
    event    1: double wall time · 2: int64 step · 3: string version, or 5: summary
    summary  1: value { 1: string name · 2: float }, for each figure

Written here, as the two packages that write them need a second to be imported, and this is all of
the format that figures need. Source: tensorflow/core/util/event.proto and lib/io/record_writer.h.
"""

from __future__ import annotations

import functools
import math
import struct
import time
from collections.abc import Mapping
from typing import Any

FIRST = "brain.Event:2"  # what each file begins with
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


def first_record() -> bytes:
    """The record that a file begins with."""
    return record(_double(1, time.time()) + _bytes(3, FIRST.encode()))


def record_of(kind: str, step: int, row: Mapping[str, Any]) -> bytes:
    """The record of the figures of an epoch or a step; empty where none is a number."""
    values = b""
    for name, value in row.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            figure = struct.pack("<Bf", 2 << 3 | 5, _single(float(value)))
            values += _bytes(1, _bytes(1, f"{kind}/{name}".encode()) + figure)
    if not values:
        return b""
    return record(_double(1, time.time()) + b"\x10" + _varint(step) + _bytes(5, values))


def record(event: bytes) -> bytes:
    """An event with its length and the checks of both."""
    length = struct.pack("<Q", len(event))
    return length + struct.pack("<I", _masked(length)) + event + struct.pack("<I", _masked(event))


def check(data: bytes) -> str | None:
    """What is wrong with a file's bytes; None where nothing is."""
    at, number = 0, 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at) if len(data) - at >= 16 else (-1,)
        if length < 0 or at + 16 + length > len(data):
            return f"ends within record {number}"
        head, event = data[at : at + 8], data[at + 12 : at + 12 + length]
        if data[at + 8 : at + 12] != struct.pack("<I", _masked(head)):
            return f"is damaged in record {number}"
        if data[at + 12 + length : at + 16 + length] != struct.pack("<I", _masked(event)):
            return f"is damaged in record {number}"
        at, number = at + 16 + length, number + 1
    return None


def _single(value: float) -> float:
    """A number that float32 has room for."""
    if math.isfinite(value) and abs(value) > 3.4028234e38:
        return math.copysign(math.inf, value)
    return value


def _double(field: int, value: float) -> bytes:
    return struct.pack("<Bd", field << 3 | 1, value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += bytes([value & 127 | 128])
        value >>= 7
    return found + bytes([value])


@functools.cache
def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        found.append(byte)
    return tuple(found)


def crc32c(data: bytes) -> int:
    """The check of the format.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    table, found = _table(), 0xFFFFFFFF
    for byte in data:
        found = found >> 8 ^ table[(found ^ byte) & 255]
    return found ^ 0xFFFFFFFF


def _masked(data: bytes) -> int:
    found = crc32c(data)
    return ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF
