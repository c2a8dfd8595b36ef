"""Where samples come from: anything with a length and samples by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import DTypeError, OutOfBoundsError, ShapeError, ValueRangeError, fail
from elinvar.data.counters import Integers, order
from elinvar.data.gathering import Stored
from elinvar.data.plan import Plan
from elinvar.tensor.cell import Cell
from elinvar.tensor.storage import from_stored, stored_array


class Source:
    """Samples by number. A source of your own needs `__len__` and `__getitem__`.

    Attributes:
        name: for errors.
        takes_batches: whether `take` gives whole batches faster than sample by sample.
        reads_lists: whether what `take` gives is a list of samples.
        told: where `take` tells which sample it is at, in a worker process.
    """

    name: str = "source"
    takes_batches = False
    reads_lists = False
    told: Callable[[int], None] | None = None

    def __len__(self) -> int:
        """The number of samples that can be asked for."""
        raise TypeError(f"{type(self).__name__} needs __len__")

    def __getitem__(self, index: int) -> Any:
        """One sample."""
        raise TypeError(f"{type(self).__name__} needs __getitem__")

    def load(self, index: int, epoch: int) -> Any:
        """One sample as it is in an epoch; the epoch matters where random stages are inside."""
        return self[index]

    def take(self, indices: range | Integers, epochs: int | Integers) -> Any:
        """The samples with the given numbers, as one batch."""
        raise TypeError(f"{type(self).__name__} gives no batches")

    def describe(self, index: int) -> str:
        """Where a sample comes from, such as a file and a line; may be empty."""
        return ""

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """What it is made of: arrays, paths of files or folders, and parts with a `source`."""
        return [], [], []

    def plan(self, epoch: int) -> Plan:
        """The samples of an epoch in their own order."""
        return Plan(range(len(self)), epoch)

    def plan_length(self) -> int:
        """The number of samples in an epoch."""
        return len(self)


class SequenceSource(Source):
    """A list, or any other object with a length and samples by number."""

    def __init__(self, sequence: Any) -> None:
        if not (hasattr(sequence, "__len__") and hasattr(sequence, "__getitem__")):
            text = f"{type(sequence).__name__} has no len() and [index]"
            fail(DTypeError, "from_sequence", text, "an iterator goes into el.data.from_stream")
        self._sequence = sequence
        self.name = type(sequence).__name__

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, index: int) -> Any:
        return self._sequence[index]

    def describe(self, index: int) -> str:
        """What the object itself says, if it has a method `describe`."""
        tell = getattr(self._sequence, "describe", None)
        return str(tell(index)) if callable(tell) else ""


class ArraySource(Source):
    """Arrays side by side: sample i is row i of each.

    Attributes:
        numeric: whether all can be tensors.
    """

    name = "arrays"
    takes_batches = True

    def __init__(self, arrays: Any) -> None:
        leaves, self._structure = tree.flatten(arrays)
        if not leaves:
            fail(ValueRangeError, "from_arrays", "there is no array")
        self._columns: list[tuple[Any, Any]] = []
        for leaf in leaves:
            column: tuple[Any, Any]
            if isinstance(leaf, Cell):
                column = (stored_array(leaf, "from_arrays"), leaf.dtype)
            elif isinstance(leaf, np.ndarray):
                column = (leaf, None)
            else:
                text = f"expected arrays or tensors, received {type(leaf).__name__}"
                fail(DTypeError, "from_arrays", text, "samples in a list: el.data.from_sequence")
            if not column[0].ndim:
                fail(ShapeError, "from_arrays", "an array needs an axis that counts the samples")
            self._columns.append(column)
        lengths = [len(array) for array, _ in self._columns]
        if len(set(lengths)) > 1:
            fail(ShapeError, "from_arrays", f"the arrays have different lengths: {lengths}")
        self._count = lengths[0]
        self.numeric = all(array.dtype.kind in "biufc" for array, _ in self._columns)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Any:
        rows = [
            array[index] if dtype is None or dtype.name != "bfloat16"
            else from_stored(array[index], dtype)
            for array, dtype in self._columns
        ]  # fmt: skip
        return tree.unflatten(self._structure, rows)

    def take(self, indices: range | Integers, epochs: int | Integers) -> Any:
        """Rows of all columns; views of them where they follow each other."""
        chosen: Any = indices
        if isinstance(indices, range):
            chosen = slice(indices.start, indices.stop, indices.step)
        rows = [
            array[chosen] if dtype is None else Stored(array[chosen], dtype.name)
            for array, dtype in self._columns
        ]
        return tree.unflatten(self._structure, rows)

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The arrays."""
        return [array for array, _ in self._columns], [], []

    def columns(self) -> tuple[list[tuple[Any, Any]], Any]:
        """The arrays with their dtypes (None for numpy's own), and their structure."""
        return self._columns, self._structure


def _quotas(shares: Any, count: int) -> list[int]:
    """Whole numbers in given proportions: those with the largest remainders are rounded up."""
    exact = shares * count
    found = np.floor(exact + 1e-9)
    late = np.argsort(found - exact, kind="stable")[: count - int(found.sum())]
    found[late] += 1
    return [int(quota) for quota in found]


class MixtureSource(Source):
    """Several pipelines in one: each has its share of every epoch.

    Args:
        parts: what is mixed: objects with `source`, `load`, `plan` and `plan_length`.
        weights: the shares; they need not sum to 1.
        seed: in which order.
        stop: `"first"`: an epoch ends before any part would come a second time; `"all"`: not
            before all samples of all parts came.
    """

    name = "mixture"

    def __init__(self, parts: Sequence[Any], weights: Sequence[float], seed: int, stop: str):
        self._parts, self._seed = list(parts), seed
        sizes = [part.plan_length() for part in parts]
        if not all(sizes):
            fail(ValueRangeError, "mix", f"a part is empty; the parts have {sizes} samples")
        shares = np.asarray(weights, np.float64) / np.sum(weights)
        rounds = np.asarray(sizes) / shares
        count = int(
            np.floor(rounds.min() + 1e-9) if stop == "first" else np.ceil(rounds.max() - 1e-9)
        )
        bound = min if stop == "first" else max
        self._quotas = [bound(a, b) for a, b in zip(_quotas(shares, count), sizes)]
        self._sizes = sizes
        self._starts = np.cumsum([0, *(len(part.source) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def contents(self) -> tuple[list[Any], list[str], list[Any]]:
        """The parts."""
        return [], [], self._parts

    def plan_length(self) -> int:
        """The number of samples in an epoch."""
        return sum(self._quotas)

    def plan(self, epoch: int) -> Plan:
        """Each part's own order, interleaved at random in exact proportions."""
        count = self.plan_length()
        picks = np.repeat(np.arange(len(self._parts)), self._quotas)
        picks = picks[order(count, self._seed, epoch)]
        indices, epochs = np.empty(count, np.int64), np.empty(count, np.int64)
        for number, part in enumerate(self._parts):
            quota, size = self._quotas[number], self._sizes[number]
            rounds = -(-quota // size)
            there = np.flatnonzero(picks == number)
            for turn in range(rounds):
                plan = part.plan(epoch * rounds + turn).part(0, quota - turn * size)
                place = there[turn * size : turn * size + len(plan)]
                indices[place] = self._starts[number] + np.asarray(plan.indices)
                epochs[place] = plan.epochs
        return Plan(indices, epochs)

    def _place(self, index: int) -> tuple[Any, int]:
        if not 0 <= index < len(self):
            fail(OutOfBoundsError, "mix", f"sample {index} is out of range for {len(self)} samples")
        number = int(np.searchsorted(self._starts, index, "right")) - 1
        return self._parts[number], index - int(self._starts[number])

    def load(self, index: int, epoch: int) -> Any:
        """The sample of the part that the number falls into."""
        part, inner = self._place(index)
        return part.load(inner, epoch)

    def describe(self, index: int) -> str:
        """The part's name, and what it says."""
        part, inner = self._place(index)
        return f"sample {inner} of {part.source.name} {part.source.describe(inner)}".rstrip()
