"""Specifications of arguments: dtypes and shapes whose sizes may be named instead of known.

    trees, ranges = normalize_specs("jit", specs)

turns whatever a user may write for `specs` into one tree for each positional argument, whose leaves
are `TensorSpec`s, and the ranges of all names. `Jit` and exporters trace with `spec.type` of the
leaves (`tree.flatten` finds them: a spec is a leaf, a None is a place for something static), and
hold the sizes that they meet against the ranges. A name is the same size wherever it stands, in all
arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from elinvar.core.dtypes import DType, as_dtype, default_float, default_int
from elinvar.core.errors import DTypeError, ElinvarError, ShapeError, fail
from elinvar.core.shapes import (
    LARGEST,
    Dim,
    DimLike,
    Range,
    Shape,
    merged_ranges,
)
from elinvar.core.types import TensorType, parse_type

_ACCEPTED = (
    "write el.TensorSpec(shape, dtype), a text such as 'f32[batch,784]', or a tensor of that type"
)


class TensorSpec:
    """The dtype and shape of an argument, whose sizes may be `el.Dim`s.

    Args:
        shape: ints, dims and arithmetic on dims, such as `(2 * el.Dim("B"), 784)`.
        dtype: the dtype of the elements.

    Attributes:
        shape, dtype, type: the same as a core `TensorType`, which prints as `f32[batch,784]`.
        ranges: the smallest and largest size of each name for which one was given.

    Example:
        >>> import elinvar as el
        >>> batch = el.Dim("batch", min=1)
        >>> el.TensorSpec((batch, 784))
        TensorSpec('f32[batch,784]')
    """

    __slots__ = ("dtype", "ranges", "shape")

    def __init__(self, shape: Iterable[DimLike] | DimLike, dtype: Any = default_float) -> None:
        given = (shape,) if isinstance(shape, Dim | int) else shape
        if isinstance(given, str) or not isinstance(given, Iterable):
            text = f"shape must be a tuple of ints and dims, received {shape!r}"
            fail(ShapeError, "TensorSpec", text, _ACCEPTED)
        self.shape: Shape = tuple(_checked_dim(dim) for dim in given)
        self.dtype: DType = as_dtype(dtype)
        self.ranges: dict[str, Range] = {}
        for dim in self.shape:
            if isinstance(dim, Dim):
                self.ranges = merged_ranges("TensorSpec", self.ranges, dim.ranges)

    @property
    def type(self) -> TensorType:
        """dtype and shape."""
        return TensorType(self.dtype, self.shape)

    def __repr__(self) -> str:
        return f"TensorSpec({str(self.type)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorSpec):
            return NotImplemented
        return self.type == other.type and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.type)


def normalize_specs(
    op: str, specs: Any, names: Sequence[str] = ()
) -> tuple[list[Any], dict[str, Range]]:
    """What a user gives as `specs`, as trees of `TensorSpec`s.

    Args:
        op: for errors, the function that was called: "jit", "export_native".
        specs: a tuple or list with one entry for each positional argument, a dict of entries by the
            arguments' names, or the entry of the only one. An entry is a container (tuple, list,
            dict, dataclass) of leaves; a leaf is a `TensorSpec`, a text such as "f32[batch,784]", a
            shape with a dim such as `(batch, 784)` (of float32), a pair `((batch, 784), el.int64)`,
            a tensor or numpy array, whatever has a `shape` and a `dtype`, or a Python float or int
            (0-d float32 and int64, as `jit` reads them). None stands for a static value.
        names: of the arguments, for errors.

    Returns:
        a tree for each argument, and `{name: (min, max or None)}` of all dims, (0, None) where no
        range was given. Every name can be found from the shapes: a name that stands in products
        alone is refused.

    Example:
        >>> trees, ranges = normalize_specs("jit", ("f32[B,3]", {"rate": 0.1}))
        >>> trees, ranges
        ([TensorSpec('f32[B,3]'), {'rate': TensorSpec('f32[]')}], {'B': (0, None)})
    """
    given = _by_position(specs, names)
    found: list[TensorSpec] = []
    trees = []
    for number, spec in enumerate(given):
        where = f"argument {names[number]!r}" if number < len(names) else f"argument {number}"
        trees.append(_tree(op, spec, where, found))
    ranges: dict[str, Range] = {}
    for leaf in found:
        ranges = merged_ranges(op, ranges, leaf.ranges)
    dims = [dim for leaf in found for dim in leaf.shape if isinstance(dim, Dim)]
    for name in sorted({name for dim in dims for name in dim.names()}):
        ranges.setdefault(name, (0, None))
    _refuse_hidden_names(op, dims)
    return trees, ranges


def _by_position(specs: Any, names: Sequence[str]) -> list[Any]:
    """An entry for each positional argument."""
    if isinstance(specs, Mapping) and specs and set(specs) <= set(names):
        last = max(names.index(name) for name in specs)
        return [specs.get(name) for name in names[: last + 1]]
    is_many = type(specs) in (tuple, list) and _as_shape(specs) is None
    return list(specs) if is_many else [specs]


def _as_shape(spec: Any) -> TensorSpec | None:
    """What `(batch, 784)` and `((batch, 784), dtype)` stand for; None for anything else."""
    if type(spec) not in (tuple, list):
        return None
    if len(spec) == 2 and type(spec[0]) in (tuple, list) and _is_dtype(spec[1]):
        return TensorSpec(spec[0], spec[1])
    sized = all(isinstance(dim, Dim) or type(dim) is int for dim in spec)
    return TensorSpec(spec) if sized and any(isinstance(dim, Dim) for dim in spec) else None


def _is_dtype(value: Any) -> bool:
    return isinstance(value, DType | np.dtype) or (
        isinstance(value, type) and issubclass(value, np.generic)
    )


def _tree(op: str, spec: Any, where: str, found: list[TensorSpec]) -> Any:
    """The tree of one argument; its leaves are added to `found`."""
    if spec is None:
        return None
    if isinstance(spec, Mapping):
        pairs = [(key, _tree(op, v, f"{where}[{key!r}]", found)) for key, v in spec.items()]
        return dict(pairs) if type(spec) is dict else type(spec)(pairs)  # type: ignore[call-arg]
    shape = _as_shape(spec)
    if shape is not None:
        spec = shape
    if isinstance(spec, tuple | list) and not isinstance(spec, TensorType):
        items = [_tree(op, item, f"{where}[{n}]", found) for n, item in enumerate(spec)]
        return type(spec)(*items) if hasattr(spec, "_fields") else type(spec)(items)
    if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        names = [field.name for field in dataclasses.fields(spec)]
        parts = {n: _tree(op, getattr(spec, n), f"{where}.{n}", found) for n in names}
        return type(spec)(**parts)
    leaf = _leaf(op, spec, where)
    found.append(leaf)
    return leaf


def _leaf(op: str, spec: Any, where: str) -> TensorSpec:
    if isinstance(spec, TensorSpec):
        return spec
    if type(spec) is float or type(spec) is int:
        return TensorSpec((), default_float if type(spec) is float else default_int)
    try:
        if isinstance(spec, str):
            kind = parse_type(spec)
            return TensorSpec(kind.shape, kind.dtype)
        if hasattr(spec, "shape") and hasattr(spec, "dtype") and not isinstance(spec, type):
            return TensorSpec(spec.shape, spec.dtype)
    except ElinvarError as error:
        reason = str(error).split("\n", 1)[0]
        kind_of = ShapeError if isinstance(error, ShapeError) else DTypeError
        fail(kind_of, op, f"the specification of {where} is no type: {reason}", _ACCEPTED)
    shown = repr(spec) if isinstance(spec, bool) else type(spec).__name__
    text = f"the specification of {where} must be a type, received {shown}"
    hint = "None stands for a static argument" if isinstance(spec, bool) else _ACCEPTED
    fail(DTypeError, op, text, hint)


def _checked_dim(dim: Any) -> DimLike:
    if isinstance(dim, Dim):
        if all(factor < 0 for factor in dim.terms.values()):
            fail(ShapeError, "TensorSpec", f"a size is negative: {dim}")
        return dim
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        hint = "a size that changes from call to call has a name: el.Dim('batch')"
        text = f"a size must be an int or an el.Dim, received {dim!r}"
        fail(ShapeError, "TensorSpec", text, hint)
    size: int = dim.__index__()
    if not 0 <= size <= LARGEST:
        fail(ShapeError, "TensorSpec", f"a size must be from 0 to 2**63-1, received {size}")
    return size


def _refuse_hidden_names(op: str, dims: list[Dim]) -> None:
    """Refuse names that sizes such as B*T, and no others, depend on: their values are not found."""
    known: set[str] = set()
    waiting = list(dims)
    while True:
        left = []
        for dim in waiting:
            unknown = dim.names() - known
            if len(unknown) == 1 and _is_linear(dim, *unknown):
                known |= unknown
            elif unknown:
                left.append(dim)
        if len(left) == len(waiting):
            break
        waiting = left
    for dim in left:
        name = min(dim.names() - known)
        hint = f"give {name} an axis of its own, or the whole size a name of its own"
        fail(ShapeError, op, f"the size {dim} does not tell what {name} is", hint)


def _is_linear(dim: Dim, name: str) -> bool:
    return all(monomial.count(name) <= 1 for monomial in dim.terms)
