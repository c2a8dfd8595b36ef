"""Methods of tensors by PyTorch's names and arguments: picking, placing, diagonals, pieces."""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import bool_, int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import elementwise as ew
from elinvar.tensor import manipulation as man
from elinvar.tensor import searching as find
from elinvar.tensor.assigning import set_item
from elinvar.tensor.convert import cast, constant, expand, tensor_of
from elinvar.tensor.creation import fresh
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import picking, segments, shaping
from elinvar.tensor.gathering import checked_index, gathered, scattered

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def diagflat(self: Any, offset: int = 0) -> Any:
    """The square matrix whose diagonal holds the flattened elements."""
    return shaping.diagflat(self, offset)


def diag_embed(self: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices whose diagonals hold the last axis; their axes stand at dim1 and dim2."""
    count, rank = self.shape[-1], self.ndim + 1
    first, second = (normalize_axis("diag_embed", axis, rank) for axis in (dim1, dim2))
    total = count + abs(offset)
    place = F.iota(size=total, dtype=int64)
    row, column = F.reshape(place, shape=(total, 1)), place
    mask = ew.equal(column, ew.add(row, offset))
    none, more = (0,) * self.ndim, (*(0,) * (self.ndim - 1), abs(offset))
    padded = F.pad(self, constant("diag_embed", 0, self.dtype), low=none, high=more, interior=none)
    shape = (*padded.shape[:-1], total, 1) if offset >= 0 else (*padded.shape[:-1], 1, total)
    found = ew.where(mask, F.reshape(padded, shape=shape), constant("diag_embed", 0, self.dtype))
    return man.moveaxis(found, (-2, -1), (first, second))


def rot90(self: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """A plane turned k times by 90°."""
    return shaping.rot90(self, k, tuple(dims))


def tensor_split(self: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    """Nearly equal pieces of an axis, or pieces that end before given indices."""
    return shaping.array_split(self, indices_or_sections, axis=dim)


def split_with_sizes(self: Any, split_sizes: Any, dim: int = 0) -> Any:
    """Pieces of given sizes along an axis."""
    return man.split(self, list(split_sizes), axis=dim)


def narrow_copy(self: Any, dim: int, start: int, length: int) -> Any:
    """`length` elements of an axis from `start`."""
    return self.narrow(dim, start, length)


def argwhere(self: Any) -> Any:
    """The indices of elements that are not zero, one row for each. Not under `jit`."""
    return picking.argwhere(self)


def take_along_dim(self: Any, indices: Any, dim: int | None = None) -> Any:
    """Elements picked along an axis (of the flattened tensor if None)."""
    if dim is None:
        return man.reshape(self, (-1,)).gather(0, man.reshape(indices, (-1,)))
    return find.take_along_axis(self, indices, axis=dim)


# ---- placing ------------------------------------------------------------------------------------


def slice_scatter(
    self: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None,
    step: int = 1,
) -> Any:  # fmt: skip
    """A copy in which a slice of an axis is replaced."""
    axis = normalize_axis("slice_scatter", dim, self.ndim)
    found = fresh(self)
    set_item(found, (slice(None),) * axis + (slice(start, end, step),), src)
    return found


def select_scatter(self: Any, src: Any, dim: int, index: int) -> Any:
    """A copy in which one element of an axis is replaced."""
    axis = normalize_axis("select_scatter", dim, self.ndim)
    found = fresh(self)
    set_item(found, (slice(None),) * axis + (index,), src)
    return found


def diagonal_scatter(
    self: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Any:
    """A copy in which the diagonal of two axes is replaced."""
    first, second = (normalize_axis("diagonal_scatter", d, self.ndim) for d in (dim1, dim2))
    moved = man.moveaxis(self, (first, second), (-2, -1))
    rows, columns = moved.shape[-2:]
    values = cast(tensor_of("diagonal_scatter", src), self.dtype)
    count = max(0, min(rows - max(0, -offset), columns - max(0, offset)))
    if values.shape != (*moved.shape[:-2], count):
        text = f"src must have the shape {(*moved.shape[:-2], count)}, received {values._type}"
        fail(ShapeError, "diagonal_scatter", text)
    place = F.iota(size=count, dtype=int64)
    flat = ew.add(ew.multiply(place, columns + 1), max(0, -offset) * columns + max(0, offset))
    line = F.reshape(moved, shape=(*moved.shape[:-2], rows * columns))
    written = scattered(line, flat, values, line.ndim - 1, "set")
    return man.moveaxis(F.reshape(written, shape=moved.shape), (-2, -1), (first, second))


def index_put(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy in which x[indices] is replaced by values, or increased by them."""
    key = tuple(indices)
    if not accumulate:
        found = fresh(self)
        set_item(found, key, values)
        return found
    parts = man.broadcast_arrays(*(tensor_of("index_put", part) for part in key))
    if len(parts) != self.ndim or any(part.dtype.kind not in "iu" for part in parts):
        text = f"with accumulate, expected integers for each axis of {self._type}"
        fail(ValueRangeError, "index_put", text)
    counted = [
        checked_index("index_put", part, count, axis)
        for axis, (part, count) in enumerate(zip(parts, self.shape, strict=True))
    ]
    places = man.reshape(picking.ravel_multi_index(counted, self.shape), (-1,))
    update = expand(cast(tensor_of("index_put", values, self.dtype), self.dtype), parts[0].shape)
    flat = man.reshape(self, (-1,))
    written = scattered(flat, places, man.reshape(update, (-1,)), 0, "add")
    return F.reshape(written, shape=self.shape)


def put(self: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy in which elements of the flattened tensor are replaced, or increased."""
    flat = man.reshape(self, (-1,))
    places = man.reshape(checked_index("put", index, flat.shape[0], 0), (-1,))
    update = man.reshape(cast(tensor_of("put", source, self.dtype), self.dtype), (-1,))
    update = expand(update, places.shape)
    found = scattered(flat, places, update, 0, "add" if accumulate else "set")
    return F.reshape(found, shape=self.shape)


def masked_scatter(self: Any, mask: Any, source: Any) -> Any:
    """A copy in which elements under a mask are replaced by those of a source, in order."""
    x, flags = man.broadcast_arrays(self, cast(tensor_of("masked_scatter", mask), bool_))
    flat = man.reshape(flags, (-1,))
    update = man.reshape(cast(tensor_of("masked_scatter", source), x.dtype), (-1,))
    if not x.size:
        return x
    number = ew.subtract(F.cumsum(cast(flat, int64), axis=0, reverse=False), 1)
    number = ew.clip(number, 0, max(update.shape[0] - 1, 0))
    chosen = F.reshape(gathered(update, number, 0), shape=x.shape)
    return F.where(flags, chosen, x)


def scatter_reduce(
    self: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy in which elements at the indices become the reduction of what src has for them.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the elements of x themselves take part.
    """
    if reduce not in _REDUCTIONS:
        text = f"reduce must be one of {', '.join(_REDUCTIONS)}, received {reduce!r}"
        fail(ValueRangeError, "scatter_reduce", text)
    axis, place = self._index_along("scatter_reduce", dim, index)
    update = cast(tensor_of("scatter_reduce", src), self.dtype)
    if update.shape != place.shape:
        none, one = (0,) * update.ndim, (1,) * update.ndim
        update = F.slice(update, start=none, size=place.shape, step=one)
    flat = man.reshape(self, (-1,))
    places = man.reshape(find.flat_positions(self.shape, place, axis), (-1,))
    values = man.reshape(update, (-1,))
    ones = expand(constant("scatter_reduce", 1, int64), places.shape)
    hits = segments.segment_sum(ones, places, flat.shape[0])
    touched = ew.greater(hits, 0)
    if reduce in ("sum", "mean"):
        found = segments.segment_sum(values, places, flat.shape[0])
        found = ew.add(found, flat) if include_self else found
        if reduce == "mean":
            count = cast(ew.add(hits, 1) if include_self else ew.maximum(hits, 1), self.dtype)
            found = (ew.divide if self.dtype.kind == "f" else ew.floor_divide)(found, count)
    else:
        function, join = {
            "prod": (segments.segment_prod, ew.multiply),
            "amax": (segments.segment_max, ew.maximum),
            "amin": (segments.segment_min, ew.minimum),
        }[reduce]
        found = function(values, places, flat.shape[0])
        found = join(found, flat) if include_self else found
    return F.reshape(F.where(touched, found, flat), shape=self.shape)
