"""Nested containers as a list of named leaves, and tensors as numpy arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elinvar.core import tree
from elinvar.core.dtypes import DType
from elinvar.core.errors import CheckError, DTypeError, fail
from elinvar.core.types import TensorType
from elinvar.tensor.cell import Cell
from elinvar.tensor.creation import asarray
from elinvar.tensor.storage import as_numbers, stored_array

Array = np.ndarray[Any, np.dtype[Any]]
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Leaf(NamedTuple):
    """One tensor of a container: where it stands, as in `['w'][0]`, and its stored elements."""

    path: str
    dtype: DType
    stored: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    def __str__(self) -> str:
        return str(TensorType(self.dtype, self.shape))

    @property
    def values(self) -> Array:
        """The elements as numbers that numpy knows; bfloat16 as float32."""
        found: Array = as_numbers(self.stored, self.dtype)
        return found

    @property
    def words(self) -> Array:
        """The bits as unsigned integers; of a complex number both parts, along a new last axis."""
        stored = np.ascontiguousarray(self.stored)
        if self.dtype.kind == "c":
            half = self.dtype.itemsize // 2
            return stored.reshape(*self.shape, 1).view(_BITS[half])
        return stored.reshape(self.shape).view(_BITS[self.dtype.itemsize])


def numbers(x: Any) -> Array:
    """The elements of a tensor as numbers; bfloat16 as float32."""
    found: Array = as_numbers(stored_array(x, "testing"), x.dtype)
    return found


def leaves(value: Any, op: str) -> list[Leaf]:
    """All leaves of a container; numbers and numpy arrays count as tensors."""
    found, _ = tree.flatten(value)
    result = []
    for path, leaf in zip(paths(value), found, strict=True):
        if not isinstance(leaf, Cell | np.ndarray | np.generic | bool | int | float | complex):
            text = f"expected tensors, arrays or numbers, received {type(leaf).__name__}{path}"
            fail(DTypeError, op, text)
        x: Any = leaf if isinstance(leaf, Cell) else asarray(leaf)
        result.append(Leaf(path, x.dtype, stored_array(x, op)))
    return result


def exact(value: Any, other: Any) -> Any:
    """The container with Python's floats as float64; lists and numbers stand for an array where
    the other is one."""
    if isinstance(other, Cell | np.ndarray):
        if isinstance(value, list | tuple):
            value = np.asarray(value)
        elif isinstance(value, int | float | complex):
            value = np.full(other.shape, value)
    return tree.map_tree(lambda x: np.float64(x) if type(x) is float else x, value)


def paths(value: Any, at: str = "") -> list[str]:
    """Where the leaves of a container stand, in the order of `tree.flatten`.

    Example:
        >>> paths({"w": [1, 2], "b": 3})
        ["['w'][0]", "['w'][1]", "['b']"]
    """
    return _paths(tree.flatten(value)[1], at)


def _paths(structure: Any, at: str) -> list[str]:
    if isinstance(structure, tree.Leaf):
        return [at]
    kind, children = structure.kind, structure.children
    keys = getattr(structure, "keys", None)
    if keys is None:
        fields = getattr(kind, "_fields", None)
        steps = [f"[{n}]" for n in range(len(children))]
        steps = steps if fields is None else [f".{name}" for name in fields]
    elif issubclass(kind, dict):
        steps = [f"[{key!r}]" for key in keys]
    else:
        steps = [f".{name}" for name in keys]
    pairs = zip(steps, children, strict=True)
    return [path for step, child in pairs for path in _paths(child, at + step)]


class _Place:
    """A leaf in a printed structure."""

    def __repr__(self) -> str:
        return "·"


def pairs(op: str, a: Any, b: Any, shapes: bool = True) -> list[tuple[Leaf, Leaf]]:
    """The leaves of two containers of the same structure, side by side."""
    left, right = leaves(a, op), leaves(b, op)
    if tree.flatten(a)[1] != tree.flatten(b)[1]:
        one, other = (tree.map_tree(lambda _: _Place(), side) for side in (a, b))
        fail(CheckError, op, f"the structures differ: {one!r:.200} and {other!r:.200}")
    for x, y in zip(left, right, strict=True):
        if shapes and x.shape != y.shape:
            fail(CheckError, op, f"{named(x.path)}the shapes differ: {x} and {y}")
    return list(zip(left, right, strict=True))


def named(path: str) -> str:
    """How an error text names the leaf at a path."""
    return f"at {path}: " if path else ""
