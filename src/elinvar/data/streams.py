"""Pure streams: samples that come one after the other and cannot be asked for by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from elinvar.core.errors import DataError, fail
from elinvar.data.reader import Skipped
from elinvar.data.source import Source


class StreamSource(Source):
    """What a function gives anew for each epoch."""

    name = "stream"

    def __init__(self, make: Callable[[], Iterable[Any]]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 0


class StreamBase:
    """The elements of a stream, from a number on.

    A place is found again by reading from the beginning: what is held there is kept on the way.

    Args:
        source: gives the stream.
        epoch: which epoch.
        state: where the pass is to begin, or None.
    """

    positional = False
    count = 1 << 62

    def __init__(self, source: StreamSource, epoch: int, state: Any) -> None:
        self.epoch = epoch
        self.skipped = Skipped()
        self._kept: dict[int, Any] = {}
        self._next = 0
        self._stream: Iterator[Any] = iter(source.make())
        if state is None:
            return
        wanted = set(_numbers(state["held"]))
        for _ in range(int(state["position"])):
            value = self._read()
            if self._next - 1 in wanted:
                self._kept[self._next - 1] = value

    def _read(self) -> Any:
        try:
            value = next(self._stream)
        except StopIteration:
            text = f"the stream ended after {self._next} samples; it was read further before"
            fail(DataError, "data", text, "did what it reads change?")
        self._next += 1
        return value

    def elements(self) -> Iterator[tuple[int, Any]]:
        """What is left of the stream."""
        for value in self._stream:
            self._next += 1
            yield self._next - 1, value

    def load(self, number: int) -> Any:
        """An element that was kept on the way."""
        return self._kept[number]

    def identity(self, number: int) -> tuple[int, int]:
        """The number and the epoch of an element."""
        return number, self.epoch


def _numbers(held: Any) -> Iterator[int]:
    """All whole numbers in nested lists."""
    if isinstance(held, list):
        for part in held:
            yield from _numbers(part)
    elif held is not None:
        yield int(held)
