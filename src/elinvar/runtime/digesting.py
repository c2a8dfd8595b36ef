"""Numbers of 32 bits for what blocks of memory hold, as one program for all of them."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elinvar.codegen.digesting import FIRST, PLACE, SECOND, digesting_text
from elinvar.runtime import native, program, recording

TASK = 1 << 15  # words of a task
SMALL = 1 << 15  # below this many words, all stays on the calling thread


class Digester:
    """Digests blocks of given sizes, wherever they lie at each call.

        h = Σᵢ mix(wᵢ ⊕ i·K) mod 2³²,   wᵢ the words of 32 bits, the last filled up with zeros

    A sum modulo 2³² is the same in every order, so the number is the same on any machine and with
    any number of threads.

    Args:
        sizes: bytes of the blocks.

    Example:
        >>> import numpy as np
        >>> x = np.arange(5, dtype=np.float32)
        >>> digest = Digester([x.nbytes])([x.__array_interface__["data"][0]])
        >>> int(digest[0]) == digest_of_bytes(x.tobytes())
        True
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._rests = [(n, size // 4, size % 4) for n, size in enumerate(sizes) if size % 4]
        owners: list[int] = []
        firsts, counts, starts = list[int](), list[int](), list[int]()
        for number, size in enumerate(sizes):
            starts.append(len(owners))
            for first in range(0, max(size // 4, 1), TASK):
                owners.append(number)
                firsts.append(first)
                counts.append(min(TASK, size // 4 - first))
        self._owners, self._starts = np.array(owners, np.int64), np.array(starts, np.int64)
        self._table = np.zeros((len(owners), 3), np.int64)
        self._table[:, 1], self._table[:, 2] = firsts, counts
        self._offsets = self._table[:, 1] * 4
        self._out = np.zeros(len(owners), np.uint32)
        self._words = sum(sizes) // 4
        self._call: Callable[..., None] | None = None  # made when it is needed first

    def _program(self, words: int) -> Callable[..., None]:
        tables = (self._table, self._out)
        slots: list[program.Slot] = [(-1, x.__array_interface__["data"][0]) for x in tables]
        parallel = words >= SMALL and len(self._owners) > 1
        launch = program.Launch(_kernel(), len(self._owners), slots, parallel)
        return recording.named_program("digest", [launch], 0, release=words >= SMALL)

    def __call__(self, addresses: Sequence[int]) -> Any:
        """The numbers of the blocks: uint32, one for each."""
        if not len(self._owners):
            return np.empty(0, np.uint32)
        where = np.array(addresses, np.int64)
        np.add(where[self._owners], self._offsets, out=self._table[:, 0])
        if self._call is None:
            self._call = self._program(self._words)
        self._call()
        found = np.add.reduceat(self._out, self._starts, dtype=np.uint32)
        for number, words, rest in self._rests:
            tail = bytes_at(addresses[number] + 4 * words, rest) + bytes(4 - rest)
            found[number] = (int(found[number]) + digest_of_bytes(tail, words)) & 0xFFFFFFFF
        return found


def bytes_at(address: int, count: int) -> bytes:
    """Bytes of memory."""
    return (ctypes.c_char * count).from_address(address).raw


@functools.cache
def _kernel() -> int:
    name = "elinvar_digest"
    return native.load(digesting_text(name), [name])[name]


def digest_of_bytes(data: Any, first: int = 0) -> int:
    """The number of bytes, by numpy: the kernel's independent truth.

    Args:
        data: anything with the buffer protocol.
        first: the number of the first word.
    """
    view = memoryview(data).cast("B")
    whole = len(view) // 4 * 4
    total = 0
    for start in range(0, whole, 1 << 24):
        words = np.frombuffer(view[start : min(start + (1 << 24), whole)], "<u4")
        total += _mixed(words, first + start // 4)
    if whole < len(view):
        words = np.frombuffer(bytes(view[whole:]) + bytes(4 - len(view) + whole), "<u4")
        total += _mixed(words, first + whole // 4)
    return total & 0xFFFFFFFF


def _mixed(words: Any, first: int) -> int:
    places = np.arange(first, first + len(words), dtype=np.uint64).astype(np.uint32)
    h = (words ^ (places * np.uint32(PLACE))) * np.uint32(FIRST)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(SECOND)
    return int((h ^ (h >> np.uint32(16))).sum(dtype=np.uint64))
