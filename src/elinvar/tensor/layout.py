"""Layouts: how the elements of a tensor lie in memory. Interned, so that caches key on identity.

Layout(dtype, shape, strides): element (i, j, …) lies at address + (i·strides[0] + j·strides[1] + …)
elements. Strides may be 0 (broadcast) or negative (flipped). Axes of size 1 and empty tensors carry
the strides of a dense array, so equal layouts are one object.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from elinvar.core.dtypes import DType
from elinvar.core.types import TensorType


class Layout:
    """dtype, shape and strides of a concrete tensor. Make it with `layout` or `dense`."""

    __slots__ = (
        "__weakref__",
        "dtype",
        "is_dense",
        "nbytes",
        "ndim",
        "shape",
        "size",
        "strides",
        "type",
    )

    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    ndim: int
    size: int
    nbytes: int
    is_dense: bool
    type: TensorType

    def __init__(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.ndim = len(shape)
        size = 1
        for dim in shape:
            size *= dim
        self.size = size
        self.nbytes = size * dtype.itemsize  # of the elements, packed
        self.is_dense = strides == _dense_strides(shape)
        self.type = TensorType(dtype, shape)

    def __repr__(self) -> str:
        return str(self.type) if self.is_dense else f"{self.type} strides {self.strides}"


_KNOWN: WeakValueDictionary[tuple[object, ...], Layout] = WeakValueDictionary()


def _dense_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides = []
    step = 1
    for dim in reversed(shape):
        strides.append(step)
        step *= dim
    return tuple(reversed(strides))


def dense(dtype: DType, shape: tuple[int, ...]) -> Layout:
    """The row-major layout."""
    return layout(dtype, shape, _dense_strides(shape))


def layout(dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...]) -> Layout:
    """The one layout with this dtype, shape and strides."""
    if 0 in shape:
        strides = _dense_strides(shape)
    elif 1 in shape:
        usual = _dense_strides(shape)
        strides = tuple(
            usual[axis] if dim == 1 else strides[axis] for axis, dim in enumerate(shape)
        )
    key = (dtype, shape, strides)
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = Layout(dtype, shape, strides)
    return found
