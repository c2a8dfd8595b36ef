"""Samples put together to batches of numpy arrays, and batches made to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from elinvar.core import dtypes, tree
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.tensor.cell import Cell
from elinvar.tensor.storage import from_numpy, from_stored, stored_array


class Stored:
    """The memory of a tensor as a numpy array; for bfloat16 the bits as uint16."""

    def __init__(self, array: npt.NDArray[Any], dtype: str) -> None:
        self.array, self.dtype = array, dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the array."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.array.ndim


def gathered(samples: Sequence[Any], pad: float | None = None, length: int | None = None) -> Any:
    """One batch of samples with equal structure: arrays are stacked, texts become a list.

    Args:
        samples: at least one.
        pad: fills arrays up along their first axis to the longest.
        length: fills up to this length instead.

    Raises:
        ShapeError: the samples differ.
    """
    if not samples:
        fail(ValueRangeError, "batch", "there is no sample to put together")
    return _gather(samples, pad, length)


def _gather(values: Sequence[Any], pad: float | None, length: int | None) -> Any:
    first = values[0]
    kind = type(first)
    if kind is tuple:
        if any(type(value) is not tuple or len(value) != len(first) for value in values):
            _differ(values)
        return tuple(_gather(column, pad, length) for column in zip(*values))
    if kind is dict:
        keys = first.keys()
        if any(type(value) is not dict or value.keys() != keys for value in values):
            _differ(values)
        return {key: _gather([value[key] for value in values], pad, length) for key in keys}
    if isinstance(first, str | bytes):
        return list(values)
    if isinstance(first, np.ndarray):
        if pad is not None and first.ndim:
            return _padded(values, pad, length)
        return np.stack(_same_shape([np.asarray(value) for value in values]))
    if isinstance(first, np.generic):
        return np.stack(_same_shape([np.asarray(value) for value in values]))
    if isinstance(first, bool | int | float | complex):
        return _numbers(values)
    if isinstance(first, Cell | Stored):
        return _stacked_tensors(values)
    leaves = [tree.flatten(value) for value in values]
    if leaves[0][1] == tree.LEAF:
        text = f"a sample has a {kind.__name__}, of which no batch can be made"
        fail(DTypeError, "batch", text, "make arrays, numbers or texts of it with .map(…)")
    if any(structure != leaves[0][1] for _, structure in leaves):
        _differ(values)
    columns = zip(*(found for found, _ in leaves))
    return tree.unflatten(leaves[0][1], [_gather(column, pad, length) for column in columns])


def _numbers(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Python's numbers as an array of the default dtypes."""
    try:
        found = np.asarray(values)
    except (ValueError, OverflowError):
        found = np.empty(0, object)
    if found.dtype.kind == "O" or found.ndim != 1:
        kinds = sorted({type(value).__name__ for value in values})
        fail(DTypeError, "batch", f"values of a batch do not fit together: {', '.join(kinds)}")
    if found.dtype.kind == "f":
        return found.astype(dtypes.default_float.storage)
    return found.astype(dtypes.default_complex.storage) if found.dtype.kind == "c" else found


def _differ(values: Sequence[Any]) -> None:
    structures = [tree.flatten(value)[1] for value in values]
    number = next((i for i, other in enumerate(structures) if other != structures[0]), 0)
    a, b = _kind(values[0]), _kind(values[number])
    text = f"sample {number} of the batch has another structure than sample 0: {b}, not {a}"
    fail(ShapeError, "batch", text, "make all samples alike with .map(…)")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(str, value))}"
    return f"{type(value).__name__}" + (f" of {len(value)}" if hasattr(value, "__len__") else "")


def _stacked_tensors(values: Sequence[Any]) -> Stored:
    stored = [
        value if isinstance(value, Stored) else Stored(stored_array(value), value.dtype.name)
        for value in values
        if isinstance(value, Stored | Cell)
    ]
    if len(stored) != len(values) or len({value.dtype for value in stored}) > 1:
        fail(DTypeError, "batch", f"the samples are not all tensors of {stored[0].dtype}")
    return Stored(np.stack(_same_shape([value.array for value in stored])), stored[0].dtype)


def _same_shape(arrays: list[Any]) -> list[Any]:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        texts = " and ".join(str(list(shape)) for shape in sorted(shapes)[:3])
        text = f"samples of a batch have different shapes: {texts}"
        fail(ShapeError, "batch", text, "bring them to one shape with .map(…), or .batch(n, pad=0)")
    return arrays


def _padded(arrays: Sequence[Any], pad: float, length: int | None) -> npt.NDArray[Any]:
    longest = max(len(array) for array in arrays)
    if length is None:
        length = longest
    elif longest > length:
        fail(ShapeError, "batch", f"a sample of length {longest} does not fit into {length}")
    first = arrays[0]
    for array in arrays:
        if array.shape[1:] != first.shape[1:] or array.dtype != first.dtype:
            _same_shape([array[:0] for array in arrays])
            fail(DTypeError, "batch", f"samples have dtypes {first.dtype} and {array.dtype}")
    found = np.full((len(arrays), length, *first.shape[1:]), pad, first.dtype)
    for row, array in zip(found, arrays):
        row[: len(array)] = array
    return found


def plain(batch: Any) -> Any:
    """The batch with `Stored` arrays instead of tensors."""
    return mapped(
        batch, lambda x: Stored(stored_array(x), x.dtype.name) if isinstance(x, Cell) else x
    )


def as_tensors(batch: Any) -> Any:
    """The batch with tensors instead of arrays. Texts stay; arrays of objects and texts, too."""
    return mapped(batch, _tensor)


def _tensor(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray | np.generic):
        known = leaf.dtype.kind in "biufc" or leaf.dtype.name == "bfloat16"
        return from_numpy(np.asarray(leaf)) if known else leaf
    if isinstance(leaf, Stored):
        return from_stored(leaf.array, dtypes.by_name(leaf.dtype))
    return leaf


def mapped(value: Any, function: Any) -> Any:
    """`tree.map_tree`, with short ways for what batches mostly are."""
    kind = type(value)
    if kind is np.ndarray or isinstance(value, Cell):
        return function(value)
    if kind is tuple:
        return tuple([mapped(part, function) for part in value])
    if kind is dict:
        return {key: mapped(part, function) for key, part in value.items()}
    if kind is list and value and isinstance(value[0], str | bytes):
        return value
    return tree.map_tree(function, value)
