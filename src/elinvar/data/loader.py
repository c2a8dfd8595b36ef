"""Batches: an order that is a function of seed and epoch, and samples put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from elinvar.core import tree
from elinvar.core.dtypes import DType
from elinvar.core.errors import (
    DTypeError,
    OutOfBoundsError,
    ShapeError,
    StateError,
    ValueRangeError,
    fail,
)
from elinvar.tensor.cell import Cell
from elinvar.tensor.storage import from_data, from_numpy, from_stored, gathered_rows, stored_array


@runtime_checkable
class Dataset(Protocol):
    """Anything with a length and samples by number."""

    def __len__(self) -> int:
        """The number of samples."""
        ...

    def __getitem__(self, index: int) -> Any:
        """One sample: an array, or a nested container of arrays."""
        ...


class _Column:
    """One array whose first axis counts the samples. Cuts batches out of it as tensors."""

    __slots__ = ("array", "dtype")

    def __init__(self, value: Any) -> None:
        self.dtype: DType | None = None
        if isinstance(value, Cell):
            self.dtype = value.dtype
            self.array = stored_array(value, "DataLoader")
        elif isinstance(value, np.ndarray):
            self.array = value
        elif hasattr(value, "__array__") and hasattr(value, "shape"):
            self.array = np.asarray(value)  # of other libraries: PyTorch, pandas, polars
        else:
            is_list = isinstance(value, bool | int | float | str)
            fail(
                DTypeError,
                "DataLoader",
                f"expected arrays or tensors, received {type(value).__name__}",
                "make arrays of lists: numpy.array(list)"
                if is_list
                else "columns go in a tuple or a dict; samples by number need len() and [index]",
            )
        if not self.array.ndim:
            fail(ShapeError, "DataLoader", "a column needs an axis that counts the samples")

    def take(self, chosen: npt.NDArray[np.int64] | slice) -> Any:
        """A tensor of the chosen rows."""
        if not isinstance(chosen, slice):
            return gathered_rows([(self.array, self.dtype)], tree.LEAF, chosen)
        rows = self.array[chosen]
        return from_numpy(rows) if self.dtype is None else from_stored(rows, self.dtype)


class TensorDataset:
    """Arrays side by side: sample i is row i of each.

    Args:
        columns: arrays or tensors with equal first axes.

    Raises:
        ShapeError: the first axes differ.
    """

    def __init__(self, *columns: Any) -> None:
        self._columns = _columns(columns)[0]

    def __len__(self) -> int:
        return len(self._columns[0].array)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        count = len(self)
        if not -count <= index < count:
            text = f"sample {index} is out of range for {count} samples"
            fail(OutOfBoundsError, "TensorDataset", text)  # an IndexError: ends iteration, too
        row = np.array([index % count])
        return tuple(column.take(row)[0] for column in self._columns)


def _columns(value: Any) -> tuple[list[_Column], Any]:
    """The columns in a nested container and its structure; all have the same length."""
    leaves, structure = tree.flatten(value)
    columns = [_Column(leaf) for leaf in leaves]
    if not columns:
        fail(ValueRangeError, "DataLoader", "there is no array to take batches from")
    lengths = [len(column.array) for column in columns]
    if len(set(lengths)) > 1:
        fail(ShapeError, "DataLoader", f"columns have different lengths: {lengths}")
    return columns, structure


def collate(samples: Sequence[Any]) -> Any:
    """Put samples together: equal containers, whose arrays are stacked along a new first axis.

    Python numbers become tensors, texts become a list.

    Args:
        samples: at least one sample; all have the same structure and shapes.

    Returns:
        A container like one sample, of tensors with `len(samples)` rows.

    Raises:
        ShapeError: the samples' structures or shapes differ.
    """
    if not samples:
        fail(ValueRangeError, "collate", "there is no sample to collate")
    flat = [tree.flatten(sample) for sample in samples]
    structure = flat[0][1]
    for number, (_, other) in enumerate(flat):
        if other != structure:
            fail(ShapeError, "collate", f"sample {number} has another structure than sample 0")
    stacked = [_stack([leaves[i] for leaves, _ in flat]) for i in range(len(flat[0][0]))]
    return tree.unflatten(structure, stacked)


def _stack(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, str | bytes):
        return values
    if isinstance(first, Cell):
        dtype = first.dtype
        if any(not isinstance(value, Cell) or value.dtype is not dtype for value in values):
            fail(DTypeError, "collate", f"the samples are not all tensors of {dtype.name}")
        return from_stored(_same_shape([stored_array(value) for value in values]), dtype)
    if isinstance(first, np.ndarray | np.generic):
        return from_numpy(_same_shape([np.asarray(value) for value in values]))
    return from_data(values)


def _same_shape(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        texts = " and ".join(str(list(shape)) for shape in sorted(shapes)[:3])
        fail(
            ShapeError,
            "collate",
            f"samples have different shapes: {texts}",
            "pad them to one shape, or pass a `collate` of your own",
        )
    return np.stack(arrays)


class DataLoader:
    """Batches of a data set, in an order that is a function of the seed and the epoch.

    Every pass over the loader is one epoch; the next pass has another order. The order comes from
    raw words of the counter-based generator Philox4x64 with the key (seed, epoch), sorted: it is
    the same on every machine and with every version of numpy.

    Args:
        dataset: a tuple, named tuple or dict (also nested) of arrays or tensors with equal first
            axes; or one array; or anything with `len()` and `[index]`.
        batch_size: samples in a batch.
        shuffle: mix the samples anew in each epoch.
        seed: which orders; the same seed gives the same ones.
        drop_last: leave out the last batch where it is smaller than the others.
        collate: how samples of a `Dataset` are put together (default: `elinvar.data.collate`).

    Raises:
        ShapeError: arrays of different lengths.
        ValueRangeError: a batch size below 1, or a negative seed.

    Example:
        >>> import numpy as np
        >>> loader = DataLoader((np.arange(5), np.arange(5) * 10), batch_size=2)
        >>> [x.tolist() for x, y in loader]
        [[0, 1], [2, 3], [4]]
    """

    collate: Callable[[Sequence[Any]], Any]
    batch_size: int
    dataset: Any
    shuffle: bool
    drop_last: bool
    seed: int
    epoch: int

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        collate: Callable[[Sequence[Any]], Any] = collate,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            fail(
                ValueRangeError, "DataLoader", f"batch_size must be at least 1, not {batch_size!r}"
            )
        if not callable(collate):
            text = f"collate must be a function, received {type(collate).__name__}"
            fail(DTypeError, "DataLoader", text)
        if not isinstance(seed, int) or not 0 <= seed < 2**64:
            fail(ValueRangeError, "DataLoader", f"seed must be in 0 … 2^64-1, not {seed!r}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.seed, self.drop_last, self.collate = seed, drop_last, collate
        self.epoch = 0
        self._position = (0, 0)  # the epoch and the batch that come next
        self._skip = 0
        self._columns: list[_Column] | None = None
        if isinstance(dataset, tuple | dict | np.ndarray | Cell):
            self._columns, self._structure = _columns(dataset)
        elif isinstance(dataset, TensorDataset):
            self._columns = dataset._columns
            self._structure = tree.flatten(tuple(self._columns))[1]
        elif not isinstance(dataset, Dataset):
            fail(
                DTypeError,
                "DataLoader",
                f"{type(dataset).__name__} has no len() and [index]",
                "pass arrays in a tuple or dict, or a sequence of samples",
            )

    @property
    def columns(self) -> list[Any] | None:
        """The arrays that batches are cut out of; None where samples are asked for one by one."""
        return None if self._columns is None else [column.array for column in self._columns]

    @property
    def num_samples(self) -> int:
        """The number of samples in the data set."""
        return len(self._columns[0].array) if self._columns else len(self.dataset)

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        count = self.num_samples
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass the given epoch, as when a run goes on where another stopped."""
        if not isinstance(epoch, int) or epoch < 0:
            fail(ValueRangeError, "DataLoader", f"epoch must be 0 or more, not {epoch!r}")
        self.epoch, self._position, self._skip = epoch, (epoch, 0), 0

    def state_dict(self) -> dict[str, Any]:
        """Where the newest pass stands: its epoch, the batch that comes next, and the order."""
        epoch, batch = self._position
        return {
            "epoch": epoch,
            "batch": batch,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "samples": self.num_samples,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Make the next pass go on from a saved place, in constant time.

        Raises:
            StateError: the place is of another order: other samples, batches or seed.
        """
        own = self.state_dict()
        for name in ("seed", "batch_size", "samples"):
            if state_dict.get(name) != own[name]:
                text = f"the state was saved with {name} {state_dict.get(name)}, here it is"
                fail(StateError, "DataLoader", f"{text} {own[name]}")
        self.set_epoch(int(state_dict["epoch"]))
        self._skip = int(state_dict["batch"])
        self._position = (self.epoch, self._skip)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The numbers of all samples in the order of an epoch."""
        count = self.num_samples
        if not self.shuffle:
            return np.arange(count, dtype=np.int64)
        words = np.random.Philox(key=np.array([self.seed, epoch], np.uint64)).random_raw(count)
        return np.argsort(words, kind="stable").astype(np.int64)

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        skipped, self._skip = self._skip, 0
        return self._batches(epoch, skipped)

    def _batches(self, epoch: int, skipped: int) -> Iterator[Any]:
        order, size, count = self.order(epoch), self.batch_size, len(self)
        for number in range(skipped, count):
            self._position = (epoch, number + 1)
            start = number * size
            chosen = order[start : start + size]
            if self._columns is None:
                yield self.collate([self.dataset[int(index)] for index in chosen])
                continue
            rows = chosen if self.shuffle else slice(start, start + size)
            yield tree.unflatten(self._structure, [column.take(rows) for column in self._columns])
        self._position = (epoch + 1, 0)
