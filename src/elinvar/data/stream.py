"""Stages whose place depends on the data: filters, packing, buckets. Each knows what it holds.

Elements come with an *origin*, which says from what they were made: the number of an element that
can be read by number, or a list of the origins of parts. What a stage holds is saved as origins and
made again from them, so a position takes a few numbers, however long the run was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import DataError, DTypeError, ShapeError, fail
from elinvar.data.gathering import gathered
from elinvar.data.stages import Augment, Batch, Bucket, Filter, Map, Pack, Stage, Window

Element = tuple[Any, Any]  # origin, value
Identity = Callable[[int], tuple[int, int]]


def first_number(origin: Any) -> int:
    """The number of the first element that something was made from."""
    while isinstance(origin, list):
        origin = origin[0]
    return int(origin)


class Operator:
    """One stage at work: an iterator over the one below."""

    def __init__(self, below: Any, stage: Any, identity: Identity) -> None:
        self.below, self.stage, self.identity = below, stage, identity

    def __iter__(self) -> Iterator[Element]:
        return self

    def __next__(self) -> Element:
        raise StopIteration

    def state(self) -> Any:
        """What the stage holds, as numbers in lists."""
        return None

    def restore(self, state: Any) -> None:
        """Hold what was held when the state was taken."""

    def rebuild(self, origin: Any) -> Any:
        """The value with an origin, made again."""
        return self.below.rebuild(origin)

    def _numbers(self, origin: Any) -> tuple[Any, Any]:
        """Indices and epochs of the samples of a batch, or of one sample."""
        parts = origin if isinstance(origin, list) else [origin]
        pairs = [self.identity(first_number(part)) for part in parts]
        return np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)

    def _failed(self, origin: Any, error: Exception) -> DataError:
        index = self.identity(first_number(origin))[0]
        text = f"[data] {self.stage.describe()} failed for sample {index}"
        return DataError(f"{text}: {type(error).__name__}: {error}")


class Transforming(Operator):
    """A map or an augmentation behind a stage whose place depends on the data."""

    def __next__(self) -> Element:
        origin, value = next(self.below)
        return origin, self._apply(origin, value)

    def _apply(self, origin: Any, value: Any) -> Any:
        indices, epochs = self._numbers(origin)
        try:
            if isinstance(self.stage, Augment):
                return self.stage.apply(value, indices, epochs)
            return self.stage.apply(value, int(indices[0]), int(epochs[0]))
        except Exception as error:
            raise self._failed(origin, error) from error

    def rebuild(self, origin: Any) -> Any:
        """The function's value of what is made again."""
        return self._apply(origin, self.below.rebuild(origin))


class Filtering(Operator):
    """Elements that a function says yes to."""

    def __next__(self) -> Element:
        for origin, value in self.below:
            try:
                kept = self.stage.function(value)
            except Exception as error:
                raise self._failed(origin, error) from error
            if kept:
                return origin, value
        raise StopIteration


class Windowing(Operator):
    """Elements from one number to another."""

    def __init__(self, below: Any, stage: Window, identity: Identity) -> None:
        super().__init__(below, stage, identity)
        self._seen = 0

    def __next__(self) -> Element:
        stage = self.stage
        while self._seen < stage.start:
            next(self.below)
            self._seen += 1
        if stage.stop is not None and self._seen >= stage.stop:
            raise StopIteration
        element: Element = next(self.below)
        self._seen += 1
        return element

    def state(self) -> int:
        """How many elements came."""
        return self._seen

    def restore(self, state: Any) -> None:
        """Take over the count."""
        self._seen = int(state)


class Batching(Operator):
    """So many elements together. Between batches it holds nothing."""

    def __next__(self) -> Element:
        origins, values = [], []
        for origin, value in self.below:
            origins.append(origin)
            values.append(value)
            if len(values) == self.stage.size:
                break
        if not values or (self.stage.drop_last and len(values) < self.stage.size):
            raise StopIteration
        return origins, gathered(values, self.stage.pad)


class Bucketing(Operator):
    """Batches of elements of similar length."""

    def __init__(self, below: Any, stage: Bucket, identity: Identity) -> None:
        super().__init__(below, stage, identity)
        self._held: list[list[Element]] = [[] for _ in stage.edges]

    def __next__(self) -> Element:
        for origin, value in self.below:
            number = self._bucket(origin, value)
            held = self._held[number]
            held.append((origin, value))
            if len(held) == self.stage.sizes[number]:
                return self._emit(number)
        if not self.stage.drop_last:
            for number, held in enumerate(self._held):
                if held:
                    return self._emit(number)
        raise StopIteration

    def _bucket(self, origin: Any, value: Any) -> int:
        try:
            length = self.stage.key(value)
        except Exception as error:
            raise self._failed(origin, error) from error
        number = int(np.searchsorted(self.stage.edges, length, "left"))
        if number == len(self.stage.edges):
            index, last = self.identity(first_number(origin))[0], self.stage.edges[-1]
            text = f"sample {index} has length {length}, above the last edge {last}"
            fail(DataError, "bucket", text, "add an edge, or cut or filter long samples before")
        return number

    def _emit(self, number: int) -> Element:
        held, self._held[number] = self._held[number], []
        length = self.stage.edges[number] if self.stage.to_edge else None
        batch = gathered([value for _, value in held], self.stage.pad, length)
        return [origin for origin, _ in held], batch

    def state(self) -> list[list[Any]]:
        """The origins of the elements in each bucket."""
        return [[origin for origin, _ in held] for held in self._held]

    def restore(self, state: Any) -> None:
        """Make the elements again."""
        self._held = [[(o, self.below.rebuild(o)) for o in origins] for origins in state]


class Packing(Operator):
    """Rows of one length, from sequences one after the other.

    A row's origin is a list of [origin, start, stop] of its pieces.
    """

    def __init__(self, below: Any, stage: Pack, identity: Identity) -> None:
        super().__init__(below, stage, identity)
        self._queue: deque[tuple[Any, int, int, Any]] = deque()

    def __next__(self) -> Element:
        length, split = self.stage.length, self.stage.split
        row: list[tuple[Any, int, int, Any]] = []
        total = 0
        while total < length:
            if not self._queue and not self._more():
                break
            origin, start, stop, value = self._queue[0]
            room = length - total
            if stop - start <= room:
                row.append(self._queue.popleft())
                total += stop - start
            elif split:
                row.append((origin, start, start + room, value))
                self._queue[0] = (origin, start + room, stop, value)
                total = length
            else:
                break
        if not total or (total < length and self.stage.pad is None):
            raise StopIteration
        return [[o, a, b] for o, a, b, _ in row], self._row(row)

    def _more(self) -> bool:
        """Put the pieces of the next sequence into the queue."""
        for origin, value in self.below:
            size = self._size(origin, value)
            step = size if self.stage.split else self.stage.length
            for start in range(0, size, max(1, step)):
                self._queue.append((origin, start, min(size, start + step), value))
            if size:
                return True
        return False

    def _size(self, origin: Any, value: Any) -> int:
        if type(value) is np.ndarray and value.ndim:
            return len(value)
        leaves = tree.flatten(value)[0]
        arrays = [leaf for leaf in leaves if isinstance(leaf, np.ndarray) and leaf.ndim]
        index = self.identity(first_number(origin))[0]
        if not leaves or len(arrays) < len(leaves):
            text = f"sample {index} is no array, nor a container of arrays"
            fail(DTypeError, "pack", text, "make arrays of tokens with .map(…)")
        sizes = {len(array) for array in arrays}
        if len(sizes) > 1:
            fail(ShapeError, "pack", f"the arrays of sample {index} have lengths {sorted(sizes)}")
        return sizes.pop()

    def _row(self, pieces: Sequence[tuple[Any, int, int, Any]]) -> Any:
        if not self.stage.segments and type(pieces[0][3]) is np.ndarray:
            parts = [value[a:b] for _, a, b, value in pieces]
            return self._full(np.concatenate(parts), self.stage.pad)
        leaves = [tree.flatten(value) for _, _, _, value in pieces]
        structure, columns = leaves[0][1], []
        for place in range(len(leaves[0][0])):
            parts = [found[place][a:b] for (found, _), (_, a, b, _) in zip(leaves, pieces)]
            columns.append(self._full(np.concatenate(parts), self.stage.pad))
        row = tree.unflatten(structure, columns)
        if not self.stage.segments:
            return row
        sizes = [b - a for _, a, b, _ in pieces]
        numbers = np.repeat(np.arange(1, len(sizes) + 1, dtype=np.int32), sizes)
        places = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
        marks = {"segments": self._full(numbers, 0), "positions": self._full(places, 0)}
        return {**(row if isinstance(row, dict) else {"tokens": row}), **marks}

    def _full(self, array: Any, pad: float | None) -> Any:
        missing = self.stage.length - len(array)
        if not missing:
            return array
        rest = np.full((missing, *array.shape[1:]), pad, array.dtype)
        return np.concatenate([array, rest])

    def state(self) -> list[list[Any]]:
        """The pieces that wait."""
        return [[origin, start, stop] for origin, start, stop, _ in self._queue]

    def restore(self, state: Any) -> None:
        """Make the sequences again that the pieces are of."""
        values: dict[str, Any] = {}
        for origin, start, stop in state:
            if str(origin) not in values:
                values[str(origin)] = self.below.rebuild(origin)
            self._queue.append((origin, start, stop, values[str(origin)]))

    def rebuild(self, origin: Any) -> Any:
        """The row of given pieces."""
        return self._row([(o, a, b, self.below.rebuild(o)) for o, a, b in origin])


def operator(stage: Stage, below: Any, identity: Identity) -> Operator:
    """The stage at work over what is below."""
    kinds: dict[type, type[Operator]] = {
        Map: Transforming,
        Augment: Transforming,
        Filter: Filtering,
        Window: Windowing,
        Batch: Batching,
        Bucket: Bucketing,
        Pack: Packing,
    }
    return kinds[type(stage)](below, stage, identity)
