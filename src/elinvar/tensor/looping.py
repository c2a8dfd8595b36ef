"""What is made of cond and scan: switch, map, associative_scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from elinvar.core import tree
from elinvar.core.dtypes import int64
from elinvar.core.errors import (
    AxisError,
    DTypeError,
    ShapeError,
    TraceError,
    ValueRangeError,
    fail,
)
from elinvar.tensor.control import choose, scan
from elinvar.tensor.dispatch import F, as_tensor, scalar
from elinvar.tensor.vmap import vmap

R = TypeVar("R")
X = TypeVar("X")
Y = TypeVar("Y")


def switch(index: Any, branches: Sequence[Callable[..., R]], *operands: Any) -> R:
    """`branches[index](*operands)`; an index beyond the ends counts as the nearest one.

    All branches must give the same structure, dtypes and shapes; only one of them runs.

    Args:
        index: an integer tensor without axes, or a Python int (then that branch is simply called).
        branches: functions of the operands; they may read other tensors too.
        operands: nested containers of tensors.

    Raises:
        ValueRangeError: there are no branches.
        DTypeError, ShapeError: the index is no integer without axes.
        TraceError: the branches return different structures.

    Example:
        >>> import elinvar as el
        >>> branches = [lambda x: -x, lambda x: x * 2, lambda x: x + 10]
        >>> [el.switch(el.asarray(i), branches, el.asarray(3)).item() for i in (0, 1, 2, 7)]
        [-3, 6, 13, 13]
    """
    functions = list(branches)
    if not functions:
        fail(ValueRangeError, "switch", "expected at least one branch, received none")
    for number, function in enumerate(functions):
        if not callable(function):
            text = f"branch {number} must be a function, received {type(function).__name__}"
            fail(DTypeError, "switch", text)
    if isinstance(index, int) and not isinstance(index, bool):
        return functions[min(max(index, 0), len(functions) - 1)](*operands)
    place = as_tensor(index)
    if place.dtype.kind not in "iu":
        fail(DTypeError, "switch", f"the index must be an integer, received {place._type}")
    if place.ndim:
        fail(ShapeError, "switch", f"the index must have no axes, received {place._type}")
    place = F.cast(place, dtype=int64)

    def among(first: int, last: int) -> Callable[..., R]:
        """The choice among some of the branches, by halves."""
        if last - first == 1:
            return functions[first]
        middle = (first + last) // 2
        below, above = among(first, middle), among(middle, last)

        def chosen(*given: Any) -> R:
            is_below = F.less(place, scalar(middle, int64))
            return choose("switch", is_below, below, above, given)

        return chosen

    return among(0, len(functions))(*operands)


def map(function: Callable[[X], Y], xs: X, batch_size: int | None = None) -> Y:
    """f of each element along the leading axis, one after the other; the results are stacked.

    A `scan` without a carry: memory for one element at a time, where `vmap` takes that of all. With
    `batch_size`, so many at a time by `vmap`. The bits are the same.

    Args:
        function: of one element of xs; gives a tensor or a container.
        xs: a nested container of tensors with equal leading sizes.
        batch_size: how many elements to work on at a time.

    Raises:
        ShapeError: leading sizes differ.
        ValueRangeError: xs holds no tensor, or batch_size is not positive.

    Example:
        >>> import elinvar as el
        >>> el.map(lambda x: x.sum() * x, el.asarray([[1.0, 2.0], [3.0, 4.0]])).tolist()
        [[3.0, 6.0], [21.0, 28.0]]
    """
    if batch_size is None:
        return scan(lambda _, x: (None, function(x)), None, xs)[1]
    if not isinstance(batch_size, int) or batch_size < 1:
        text = f"batch_size must be a positive int, received {batch_size!r}"
        fail(ValueRangeError, "map", text)
    leaves, structure = tree.flatten(xs)
    rows = [as_tensor(leaf) for leaf in leaves]
    count = _common_size("map", rows, 0)
    whole, rest = divmod(count, batch_size)
    many = vmap(function)
    if not whole:
        return many(tree.unflatten(structure, rows))
    first = [_taken(x, 0, 0, whole * batch_size) for x in rows]
    chunks = [F.reshape(x, shape=(whole, batch_size, *x.shape[1:])) for x in first]
    found = map(many, tree.unflatten(structure, chunks))
    found = tree.map_tree(lambda y: F.reshape(y, shape=(whole * batch_size, *y.shape[2:])), found)
    if rest:
        last = tree.unflatten(structure, [_taken(x, 0, count - rest, rest) for x in rows])
        found = tree.map_tree(lambda a, b: F.concatenate(a, b, axis=0), found, many(last))
    return found


def associative_scan(
    function: Callable[[X, X], X], elems: X, reverse: bool = False, axis: int = 0
) -> X:
    """All prefixes of an associative function: y[i] = x[0] ∘ x[1] ∘ … ∘ x[i].

    In about 2 · log₂(n) calls of f, each on many elements at once. The order of evaluation is a
    function of n alone: neighbours are combined in pairs from the start, y of the pairs is found in
    the same way (it is y at the odd places), and y[i] at an even place i > 0 is y[i-1] ∘ x[i].

    Args:
        function: associative; of two containers like elems, whose tensors hold many elements along
            the axis, gives such a container.
        elems: a nested container of tensors with equal sizes along the axis.
        reverse: combine from the last element on: y[i] = x[n-1] ∘ … ∘ x[i].
        axis: the axis along which the elements stand.

    Raises:
        ShapeError: sizes differ, or f gives other shapes than it takes.
        AxisError: a tensor has no such axis.
        TraceError: f gives another structure than it takes, or the size is a symbol.

    Example:
        >>> import elinvar as el
        >>> el.associative_scan(el.add, el.asarray([1, 2, 3, 4, 5])).tolist()
        [1, 3, 6, 10, 15]
        >>> el.associative_scan(el.maximum, el.asarray([1, 5, 2]), reverse=True).tolist()
        [5, 5, 2]
    """
    if not callable(function):
        text = f"expected a function, received {type(function).__name__}"
        fail(DTypeError, "associative_scan", text)
    leaves, structure = tree.flatten(elems)
    rows = [as_tensor(leaf) for leaf in leaves]
    for x in rows:
        if not -x.ndim <= axis < x.ndim:
            fail(AxisError, "associative_scan", f"axis {axis} is out of range for {x._type}")
    axes = [axis % x.ndim for x in rows]
    if len(set(axes)) > 1:
        text = "a negative axis means different ones for tensors of different ranks"
        fail(AxisError, "associative_scan", text, "count from the front")
    place = axes[0] if axes else 0
    _common_size("associative_scan", rows, place)

    def combine(left: list[Any], right: list[Any]) -> list[Any]:
        given = tree.unflatten(structure, left), tree.unflatten(structure, right)
        found, found_structure = tree.flatten(function(*given))
        if found_structure != structure:
            shown = f"{tree.describe(structure)}, received {tree.describe(found_structure)}"
            fail(TraceError, "associative_scan", f"the function must return {shown}")
        results = [as_tensor(y) for y in found]
        for y, x in zip(results, left, strict=True):
            if y._type != x._type:
                text = f"the function must return {x._type}, received {y._type}"
                fail(ShapeError, "associative_scan", text)
        return results

    if reverse:
        rows = [F.flip(x, axes=(place,)) for x in rows]
    found = _prefixes(combine, rows, place) if rows else rows
    if reverse:
        found = [F.flip(x, axes=(place,)) for x in found]
    return tree.unflatten(structure, found)


def _prefixes(combine: Any, rows: list[Any], axis: int) -> list[Any]:
    count = rows[0].shape[axis]
    if count < 2:
        return rows
    pairs = count // 2
    evens = [_taken(x, axis, 0, pairs, 2) for x in rows]
    odds = [_taken(x, axis, 1, pairs, 2) for x in rows]
    at_odd = _prefixes(combine, combine(evens, odds), axis)
    following = (count - 1) // 2  # even places but the first
    at_even = [_taken(x, axis, 0, 1) for x in rows]
    if following:
        left = [_taken(y, axis, 0, following) for y in at_odd]
        more = combine(left, [_taken(x, axis, 2, following, 2) for x in rows])
        at_even = [F.concatenate(a, b, axis=axis) for a, b in zip(at_even, more, strict=True)]
    return [_alternating(a, b, axis) for a, b in zip(at_even, at_odd, strict=True)]


def _alternating(evens: Any, odds: Any, axis: int) -> Any:
    """Elements of two tensors in turn; the first may have one more."""
    pairs = odds.shape[axis]
    shape = odds.shape
    parted = (*shape[: axis + 1], 1, *shape[axis + 1 :])
    both = F.concatenate(
        F.reshape(_taken(evens, axis, 0, pairs), shape=parted),
        F.reshape(odds, shape=parted),
        axis=axis + 1,
    )
    both = F.reshape(both, shape=(*shape[:axis], 2 * pairs, *shape[axis + 1 :]))
    if evens.shape[axis] == pairs:
        return both
    return F.concatenate(both, _taken(evens, axis, pairs, 1), axis=axis)


def _taken(x: Any, axis: int, first: int, count: int, step: int = 1) -> Any:
    """Some elements along an axis."""
    start = tuple(first if n == axis else 0 for n in range(x.ndim))
    size = tuple(count if n == axis else dim for n, dim in enumerate(x.shape))
    steps = tuple(step if n == axis else 1 for n in range(x.ndim))
    return F.slice(x, start=start, size=size, step=steps)


def _common_size(op: str, rows: list[Any], axis: int) -> int:
    """The size along an axis, which all tensors agree on."""
    found: Any = None
    for x in rows:
        if x.ndim <= axis:
            fail(ShapeError, op, f"expected an axis {axis}, received {x._type}")
        size = x.shape[axis]
        if found is not None and size != found:
            fail(ShapeError, op, f"sizes along axis {axis} differ: {found} and {x._type}")
        found = size
    if found is not None and not isinstance(found, int):
        fail(TraceError, op, f"needs the size along axis {axis} as a number, which is {found}")
    if found is None and op == "map":
        fail(ValueRangeError, op, "expected a tensor in xs")
    return found or 0
