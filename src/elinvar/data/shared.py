"""Memory that processes share without a name in the file system: nothing can be left behind."""

from __future__ import annotations

import mmap
import os
import pickle
import tempfile
from multiprocessing import reduction
from typing import Any

import numpy as np

from elinvar.data.gathering import Stored

_STEP = 64  # arrays begin at multiples of a cache line
_PAGE = 1 << 16


class Block:
    """A piece of shared memory that grows as needed; it is gone with the last process that has it.

    The kernel gives it as a file without a name (`memfd_create`, elsewhere a deleted temporary
    file), so no crash can leave it behind, and the size of `/dev/shm` does not bound it.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("elinvar-data")
        else:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())
        self._map: mmap.mmap | None = None

    def __getstate__(self) -> Any:
        return reduction.DupFd(self._descriptor)  # while a process is being spawned

    def __setstate__(self, state: Any) -> None:
        self._descriptor, self._map = state.detach(), None

    def view(self, size: int) -> memoryview:
        """The first bytes, of a block that another process may have made larger."""
        if self._map is None or len(self._map) < size:
            have = os.fstat(self._descriptor).st_size
            if have < size:
                have = -(-size * 5 // 4 // _PAGE) * _PAGE  # some room, for batches differ
                os.ftruncate(self._descriptor, have)
            self._map = mmap.mmap(self._descriptor, have)
        return memoryview(self._map)

    def numbers(self, count: int) -> Any:
        """The block as int64 numbers."""
        return np.frombuffer(self.view(count * 8), np.int64, count)

    def write(self, value: Any) -> list[int]:
        """Put a value into the block; arrays as they are in memory, the rest pickled.

        Returns:
            The sizes in bytes of the pickle and of each array, which `read` needs.
        """
        buffers: list[pickle.PickleBuffer] = []
        text = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(text), *(buffer.raw() for buffer in buffers)]
        sizes = [part.nbytes for part in parts]
        view = self.view(max(1, sum(-(-size // _STEP) * _STEP for size in sizes)))
        place = 0
        for part, size in zip(parts, sizes):
            view[place : place + size] = part
            place += -(-size // _STEP) * _STEP
        return sizes

    def read(self, sizes: list[int], copy: bool = False) -> Any:
        """The value that was written by another of our processes; its arrays are views.

        Args:
            sizes: what `write` gave.
            copy: views of one copy of all, which stays when the block is written again.
        """
        total = max(1, sum(-(-size // _STEP) * _STEP for size in sizes))
        view = self.view(total)
        if copy:
            view = memoryview(bytearray(view[:total]))
        parts, place = [], 0
        for size in sizes:
            parts.append(view[place : place + size])
            place += -(-size // _STEP) * _STEP
        return pickle.loads(parts[0], buffers=parts[1:])

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back, once no view of it is alive."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._map = -1, None


def compact(leaf: Any) -> Any:
    """An array as it must be to go without pickling: contiguous."""
    if isinstance(leaf, np.ndarray) and leaf.ndim:
        return np.ascontiguousarray(leaf)
    if isinstance(leaf, Stored) and leaf.ndim:
        return Stored(np.ascontiguousarray(leaf.array), leaf.dtype)
    return leaf
