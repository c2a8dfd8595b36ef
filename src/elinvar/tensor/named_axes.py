"""Operations along the axes that `vmap` maps, by the names that it gave them.

Inside of a mapped function an example sees itself alone; by these it hears of the others.

    axis_index, axis_size     its own place, and how many there are
    psum, pmean, pmax, pmin   over the values of all examples
    all_gather                the values of all examples, stacked
    ppermute                  the value of another example

The names are those of `jax.lax`. A tuple of names stands for all examples of several axes together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from elinvar.core import tree
from elinvar.core.errors import AxisError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike, normalize_axis
from elinvar.ops import named
from elinvar.tensor import elementwise as ew
from elinvar.tensor import reductions as red
from elinvar.tensor.dispatch import F, apply, as_tensor
from elinvar.tensor.mapped import MappedTrace, mapped_traces
from elinvar.tensor.storage import from_numpy

T = TypeVar("T")
Name = Any  # a name, or a tuple of names


def _axis(op: str, name: Any) -> MappedTrace:
    """The innermost mapped axis of a name."""
    known = []
    for trace in mapped_traces():
        if trace.axis_name is not None:
            if trace.axis_name == name:
                return trace
            known.append(repr(trace.axis_name))
    text = f"no mapped axis is called {name!r}"
    if known:
        fail(AxisError, op, f"{text}; there are {', '.join(known)}")
    fail(AxisError, op, text, "give it a name: `el.vmap(f, axis_name=...)`")


def _axes(op: str, names: Name) -> list[MappedTrace]:
    found = [_axis(op, name) for name in (names if isinstance(names, tuple | list) else (names,))]
    for trace in found:
        trace.is_collective = True
    return found


def axis_index(axis_name: Name) -> Any:
    """The place of the running example along a mapped axis: int64, 0-d.

    Of several axes the last one counts fastest.

    Example:
        >>> import elinvar as el
        >>> numbered = el.vmap(lambda x: x + el.axis_index("i"), axis_name="i")
        >>> numbered(el.asarray([10, 10, 10])).tolist()
        [10, 11, 12]
    """
    place: Any = None
    for trace in _axes("axis_index", axis_name):
        index = trace.index()
        place = index if place is None else ew.add(ew.multiply(place, trace.size), index)
    return place


def axis_size(axis_name: Name) -> DimLike:
    """How many examples a mapped axis has.

    Example:
        >>> import elinvar as el
        >>> shares = el.vmap(lambda x: x / el.axis_size("i"), axis_name="i")
        >>> shares(el.asarray([3.0, 6.0, 9.0])).tolist()
        [1.0, 2.0, 3.0]
    """
    total: DimLike = 1
    for trace in _axes("axis_size", axis_name):
        total = total * trace.size
    return total


def psum(x: T, axis_name: Name) -> T:
    """Σ x over all examples of a mapped axis; for each leaf of a container.

    Example:
        >>> import elinvar as el
        >>> el.vmap(lambda x: x / el.psum(x, "i"), axis_name="i")(el.asarray([1.0, 3.0])).tolist()
        [0.25, 0.75]
    """

    def total(leaf: Any) -> Any:
        found = as_tensor(leaf)
        if found.dtype.kind == "b":
            found = ew.add(found, 0)
        for trace in _axes("psum", axis_name):
            found = apply(named.NAMED_SUM, (found,), {"axis": trace.number})
        return found

    return tree.map_tree(total, x)


def pmean(x: T, axis_name: Name) -> T:
    """The mean of x over all examples of a mapped axis.

    Example:
        >>> import elinvar as el
        >>> el.vmap(lambda x: x - el.pmean(x, "i"), axis_name="i")(el.asarray([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """
    count = axis_size(axis_name)
    return tree.map_tree(lambda leaf: ew.divide(psum(leaf, axis_name), count), x)


def pmax(x: T, axis_name: Name) -> T:
    """The greatest x of all examples of a mapped axis.

    Example:
        >>> import elinvar as el
        >>> el.vmap(lambda x: el.pmax(x, "i"), axis_name="i")(el.asarray([1, 3, 2])).tolist()
        [3, 3, 3]
    """
    return _extreme(x, axis_name, red.max)


def pmin(x: T, axis_name: Name) -> T:
    """The least x of all examples of a mapped axis.

    Example:
        >>> import elinvar as el
        >>> el.vmap(lambda x: el.pmin(x, "i"), axis_name="i")(el.asarray([1, 3, 2])).tolist()
        [1, 1, 1]
    """
    return _extreme(x, axis_name, red.min)


def _extreme(x: Any, axis_name: Name, reduce: Callable[..., Any]) -> Any:
    return tree.map_tree(lambda leaf: reduce(all_gather(leaf, axis_name), axis=0), x)


def all_gather(x: T, axis_name: Name, *, axis: int = 0, tiled: bool = False) -> T:
    """x of all examples of a mapped axis.

    Args:
        axis: where the examples stand in the result.
        tiled: put the examples one after the other along an axis that x has, instead of along a new
            one.

    Example:
        >>> import elinvar as el
        >>> y = el.vmap(lambda x: el.all_gather(x, "i"), axis_name="i")(el.asarray([1, 3]))
        >>> y.tolist()
        [[1, 3], [1, 3]]
    """

    def gathered(leaf: Any) -> Any:
        found = as_tensor(leaf)
        inner = found.ndim
        traces = _axes("all_gather", axis_name)
        for trace in reversed(traces):
            params = {"axis": trace.number, "size": trace.size}
            found = apply(named.NAMED_GATHER, (found,), params)
        if len(traces) > 1:
            total = axis_size(axis_name)
            found = F.reshape(found, shape=(total, *found.shape[len(traces) :]))
        place = normalize_axis("all_gather", axis, inner if tiled else inner + 1)
        order = list(range(1, inner + 1))
        order.insert(place, 0)
        if place:
            found = F.permute(found, axes=tuple(order))
        if not tiled:
            return found
        shape = found.shape
        joined = shape[place] * shape[place + 1]
        return F.reshape(found, shape=(*shape[:place], joined, *shape[place + 2 :]))

    return tree.map_tree(gathered, x)


def ppermute(x: T, axis_name: Any, perm: Iterable[tuple[int, int]]) -> T:
    """x of another example: who is named as a target receives it from its source, others zeros.

    Args:
        axis_name: one name.
        perm: pairs (source, target); no source and no target may stand in two of them.

    Example:
        >>> import elinvar as el
        >>> shift = lambda x: el.ppermute(x, "i", [(0, 1), (1, 2)])
        >>> el.vmap(shift, axis_name="i")(el.asarray([1, 2, 3])).tolist()
        [0, 1, 2]
    """
    (trace,) = _axes("ppermute", (axis_name,))
    size = trace.size
    if not isinstance(size, int):
        fail(ShapeError, "ppermute", f"the number of examples must be known, it is {size}")
    source, target = (np.full(size, -1, np.int64) for _ in range(2))
    for origin, place in perm:
        if not (0 <= origin < size and 0 <= place < size):
            text = f"the pair {(origin, place)} is beyond the {size} examples of {axis_name!r}"
            fail(ValueRangeError, "ppermute", text)
        if source[place] >= 0 or target[origin] >= 0:
            text = f"a source or target stands in two pairs: {(origin, place)}"
            fail(ValueRangeError, "ppermute", text)
        source[place], target[origin] = origin, place
    tables = from_numpy(source), from_numpy(target)

    def permuted(leaf: Any) -> Any:
        operands = (as_tensor(leaf), *tables)
        return apply(named.NAMED_PERMUTE, operands, {"axis": trace.number})

    return tree.map_tree(permuted, x)
