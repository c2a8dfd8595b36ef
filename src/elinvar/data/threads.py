"""Worker threads: for work that Python lets run side by side, such as decoding images."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from elinvar.data.gathering import as_tensors
from elinvar.data.reader import DROPPED, Base

BLOCK = 8  # samples in a unit where batches depend on the data


class Stopped(BaseException):
    """Nobody waits for what this thread makes."""


def stoppable(base: Base) -> threading.Event:
    """An event that, once it is set, keeps all further samples of a pass from being read."""
    stopped = threading.Event()

    def told(index: int) -> None:
        if stopped.is_set():
            raise Stopped

    base.reader.told = told
    return stopped


class Threads:
    """Some threads over one pass, with the elements in order.

    Args:
        base: gives elements by number.
        count: how many threads.
        depth: results that may wait, beside those being made.
        final: whether elements are handed out as they come, as tensors.
    """

    def __init__(self, base: Base, count: int, depth: int, final: bool) -> None:
        self._base, self._count, self._depth, self._final = base, count, depth, final

    def elements(self, start: int) -> Iterator[tuple[int, Any]]:
        """Elements with their numbers, from one on; ends the threads when it is closed."""
        size = 1 if self._base.positional else BLOCK
        units = iter(range(start, self._base.count, size))
        pool = ThreadPoolExecutor(self._count, "elinvar-data")
        waiting: deque[Any] = deque()
        stopped = stoppable(self._base)
        try:
            while True:
                while len(waiting) < self._count + self._depth:
                    first = next(units, None)
                    if first is None:
                        break
                    waiting.append(pool.submit(self._make, first, size))
                if not waiting:
                    return
                found, error = waiting.popleft().result()
                for number, element in found:
                    yield number, as_tensors(element) if self._final else element
                if error is not None:
                    raise error
        finally:
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _make(self, first: int, size: int) -> tuple[list[tuple[int, Any]], Exception | None]:
        found: list[tuple[int, Any]] = []
        for number in range(first, min(first + size, self._base.count)):
            try:
                element = self._base.load(number, for_transport=True)
            except Exception as error:
                return found, error
            if element is not DROPPED:
                found.append((number, element))
        return found, None
