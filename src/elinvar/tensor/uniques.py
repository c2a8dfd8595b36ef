"""Distinct values, by the Array API standard; with `size`, an extension of it, under `jit`, too.

The sorted elements are cut into runs of equal ones. Where the runs start, and how many there are,
are values: without `size` they are read, and each result has as many elements as there are runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.dtypes import int64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.tensor import elementwise as ew
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import ArrayLike, cast, expand, is_number, size_tensor, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.gathering import true_positions
from elinvar.tensor.manipulation import reshape, sliced
from elinvar.tensor.searching import checked_size, need_values, sized_positions

if TYPE_CHECKING:
    from elinvar.tensor.tensor import Tensor


class UniqueAll(NamedTuple):
    """Results of `unique_all`."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """Results of `unique_counts`."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """Results of `unique_inverse`."""

    values: Tensor
    inverse_indices: Tensor


def _order(flat: Any) -> Any:
    """What sorts a 1-D tensor; complex numbers by their real parts, then by imaginary ones."""
    if flat.dtype.kind == "c":
        order = F.argsort(_one_zero(F.imag(flat)), axis=0, descending=False)
        parts = F.gather(_one_zero(F.real(flat)), order, axis=0)
        return F.gather(order, F.argsort(parts, axis=0, descending=False), axis=0)
    keys = cast(flat, int64) if flat.dtype.kind == "b" else flat
    return F.argsort(keys, axis=0, descending=False)


def _one_zero(x: Any) -> Any:
    """-0 as 0, so that equal complex numbers come to stand side by side."""
    return ew.where(ew.equal(x, 0.0), 0.0, x)


def _sorted(flat: Any) -> tuple[Any, Any, Any]:
    """The order that sorts a 1-D tensor, the sorted elements, where a run of equal ones starts."""
    order = _order(flat)
    ordered = F.gather(flat, order, axis=0)
    count = flat.shape[0]
    changed = F.not_equal(sliced(ordered, 0, 1, count - 1), sliced(ordered, 0, 0, count - 1))
    true = expand(F.constant(value=True, dtype=changed.dtype), (1,))
    return order, ordered, F.concatenate(true, changed, axis=0)


_sort_runs = composite(_sorted)


def _inverse(order: Any, starts: Any) -> Any:
    """For each element of the unsorted tensor the number of its run."""
    number = ew.subtract(F.cumsum(cast(starts, int64), axis=0, reverse=False), 1)
    return F.scatter(F.zeros_like(number), order, number, axis=0, mode="set")


@composite
def _parts(order: Any, ordered: Any, starts: Any, places: Any) -> Any:
    """All four results, of runs that start at `places`."""
    total = expand(size_tensor(ordered.shape[0]), (1,))
    ends = F.concatenate(sliced(places, 0, 1, places.shape[0] - 1), total, axis=0)
    return (
        F.gather(ordered, places, axis=0),
        F.gather(order, places, axis=0),
        _inverse(order, starts),
        F.subtract(ends, places),
    )


@composite
def _sized_parts(flat: Any, fill: Any, *, size: Any, filled: bool) -> Any:
    """All four results of fixed sizes; behind distinct values stands `fill`, or the first one."""
    order, ordered, starts = _sorted(flat)
    count = flat.shape[0]
    places, found = sized_positions(starts, size + 1)
    ends = ew.where(found, places, size_tensor(count))  # of runs: where the next one starts
    counts = F.subtract(sliced(ends, 0, 1, size), sliced(ends, 0, 0, size))
    places, found = sliced(places, 0, 0, size), sliced(found, 0, 0, size)
    values = F.gather(ordered, places, axis=0)
    if filled:
        values = F.where(found, values, expand(fill, values.shape))
    return values, F.gather(order, places, axis=0), _inverse(order, starts), counts


def _found(op: str, x: ArrayLike, size: Any, fill_value: Any) -> UniqueAll:
    x = tensor_of(op, x)
    if size is None:
        need_values(op, x, "pass `size=`, or call it outside of the jit")
    flat, shape = reshape(x, (-1,)), x.shape
    if flat.shape[0] == 0:
        return _none(op, flat, shape, 0 if size is None else checked_size(op, size), fill_value)
    if size is None:
        order, ordered, starts = _sort_runs(flat)
        values, indices, inverse, counts = _parts(order, ordered, starts, true_positions(starts))
    else:
        fill = _fill(op, flat, 0 if fill_value is None else fill_value)
        given = {"size": checked_size(op, size), "filled": fill_value is not None}
        values, indices, inverse, counts = _sized_parts(flat, fill, **given)
    return UniqueAll(values, indices, F.reshape(inverse, shape=shape), counts)


def _fill(op: str, flat: Any, value: Any) -> Any:
    fill = tensor_of(op, value, flat.dtype) if is_number(value) else tensor_of(op, value)
    if fill.ndim:
        fail(ValueRangeError, op, f"fill_value must be one number, received {fill._type}")
    return cast(fill, flat.dtype)


def _none(op: str, flat: Any, shape: Any, size: Any, fill_value: Any) -> UniqueAll:
    """The results for a tensor without elements."""
    values = expand(_fill(op, flat, 0 if fill_value is None else fill_value), (size,))
    zeros = expand(F.constant(value=0, dtype=int64), (size,))
    inverse = expand(F.constant(value=0, dtype=int64), shape)
    return UniqueAll(values, zeros, inverse, zeros)


def unique_all(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike = None
) -> UniqueAll:
    """The distinct values in order, where each first occurs, the way back, and how often it occurs.

    Each NaN counts as a value of its own.

    Args:
        x: a tensor of any shape.
        size: how many distinct values there shall be, so that shapes are known and `jit` can trace
            it: the first `size` ones, with `fill_value` behind them where there are fewer (their
            counts are 0).
        fill_value: by default the least value.

    Raises:
        TraceError: inside of a trace without `size`: shapes would depend on values.

    Example:
        >>> import elinvar as el
        >>> found = el.unique_all(el.asarray([3, 1, 3]))
        >>> found.values.tolist(), found.indices.tolist()
        ([1, 3], [1, 0])
        >>> found.inverse_indices.tolist(), found.counts.tolist()
        ([1, 0, 1], [1, 2])
    """
    return _found("unique_all", x, size, fill_value)


def unique_counts(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike = None
) -> UniqueCounts:
    """The distinct values in order and how often each occurs. `size` as for `unique_all`.

    Example:
        >>> import elinvar as el
        >>> found = el.jit(lambda x: el.unique_counts(x, size=3))(el.asarray([3, 1, 3]))
        >>> found.values.tolist(), found.counts.tolist()
        ([1, 3, 1], [1, 2, 0])
    """
    found = _found("unique_counts", x, size, fill_value)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike = None
) -> UniqueInverse:
    """The distinct values in order and the indices that rebuild x from them. `size` as for
    `unique_all`.

    Example:
        >>> import elinvar as el
        >>> el.unique_inverse(el.asarray([3, 1, 3])).inverse_indices.tolist()
        [1, 0, 1]
    """
    found = _found("unique_inverse", x, size, fill_value)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(
    x: ArrayLike, /, *, size: int | None = None, fill_value: ArrayLike = None
) -> Any:
    """The distinct values in order. `size` as for `unique_all`.

    Example:
        >>> import elinvar as el
        >>> el.unique_values(el.asarray([3, 1, 3])).tolist()
        [1, 3]
        >>> el.unique_values(el.asarray([3, 1, 3]), size=3, fill_value=0).tolist()
        [1, 3, 0]
    """
    return _found("unique_values", x, size, fill_value).values
