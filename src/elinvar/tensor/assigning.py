"""Assignment x[key] = value: a new value is built, the cell rebound; gradients flow through both.

    spans and ints      the value is embedded by `pad` and chosen by `where`; where neither a trace
                        nor the tape looks on, it is copied into new memory at once
    integer arrays      `scatter`; of equal indices the last one counts
    a mask              `where`, when the value has one element for the whole mask (works under jit)
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.errors import ShapeError, TraceError, fail
from elinvar.core.shapes import DimLike, Shape, broadcast_shapes, format_shape
from elinvar.tensor.cell import Cell, current_trace
from elinvar.tensor.convert import cast, constant, expand, is_number, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.indexing import (
    Gap,
    Item,
    Items,
    Many,
    New,
    Single,
    Span,
    arrays_in_front,
    drop_singles,
    gathered_axis,
    parse,
    result_shape,
)
from elinvar.tensor.manipulation import permuted
from elinvar.tensor.storage import from_stored, stored_array

MASK_HINT = "give one value for all of the mask, or use `el.where`"


def set_item(x: Any, key: Any, value: Any, op: str = "setitem") -> None:
    """x[key] = value as in NumPy, by rebinding the cell of x."""
    x._rebind(assigned(x, key, value, op))


def assigned(x: Any, key: Any, value: Any, op: str = "setitem") -> Any:
    """A new tensor: x in which the elements named by `key` are replaced by `value`."""
    update = constant(op, value, x.dtype) if is_number(value) else tensor_of(op, value, x.dtype)
    update = cast(update, x.dtype)
    found = _masked(op, x, key, update)
    if found is not None:
        return found
    items = parse(op, x, key)
    if any(isinstance(item, Many) for item in items):
        return _scattered(op, x, items, update)
    plain = x._node is None and update._node is None and current_trace() is None
    if plain and x._layout is not None and update._layout is not None:
        return _copied(op, x, items, update)
    return _embedded(op, x, items, update)


def _copied(op: str, x: Any, items: Items, update: Any) -> Any:
    """Spans and singles in concrete memory: a copy of x, into which the value is copied."""
    update = _fitted(op, update, result_shape(items))
    found = from_stored(stored_array(x, op), x.dtype)
    if update._layout.size:
        kind = found._layout
        memory = (ctypes.c_char * kind.nbytes).from_address(found._address)
        array = np.ndarray(kind.shape, kind.dtype.storage, memory)
        array[tuple(_numpy_index(item) for item in items)] = stored_array(update, op)
    return found


def _numpy_index(item: Item) -> Any:
    if isinstance(item, Span):
        start: Any = item.start
        stop = start + item.length * item.step
        return slice(start, None if item.step < 0 and stop < 0 else stop, item.step)
    if isinstance(item, Single):
        return item.place
    return None if isinstance(item, New) else Ellipsis


def _fitted(op: str, update: Any, shape: Shape) -> Any:
    """The value broadcast to the shape of what it replaces (leading axes of size 1 may go)."""
    while update.ndim > len(shape) and update.shape[0] == 1:
        update = F.reshape(update, shape=update.shape[1:])
    try:
        fits = broadcast_shapes(op, update.shape, shape) == shape
    except ShapeError:
        fits = False
    if not fits:
        text = f"a value {update._type} does not broadcast to the indexed shape"
        fail(ShapeError, op, f"{text} {format_shape(shape)}")
    return expand(update, shape)


def _embedded(op: str, x: Any, items: Items, update: Any) -> Any:
    """Spans and singles: the value padded to the shape of x, chosen where it lies."""
    update = _fitted(op, update, result_shape(items))
    by_axis: dict[int, Item] = {
        item.axis: item for item in items if not isinstance(item, (New, Gap))
    }
    region = tuple(
        item.length if isinstance(item, Span) else 1
        for item in (by_axis[axis] for axis in range(x.ndim))
    )
    update = F.reshape(update, shape=region)
    if 0 in region:
        return F.reshape(x, shape=x.shape)
    low: list[DimLike] = []
    high: list[DimLike] = []
    inside: list[int] = []
    flipped = []
    for axis, dim in enumerate(x.shape):
        first, count, step = _extent(by_axis[axis])
        if step < 0:
            flipped.append(axis)
            first, step = first + (count - 1) * step, -step
        low.append(first)
        high.append(dim - 1 - (first + (count - 1) * step))
        inside.append(step - 1)
    if flipped:
        update = F.flip(update, axes=tuple(flipped))
    if region == x.shape:
        return update
    edges = {"low": tuple(low), "high": tuple(high), "interior": tuple(inside)}
    chosen = F.broadcast(constant(op, True, bool_dtype), shape=region)
    mask = F.pad(chosen, constant(op, False, bool_dtype), **edges)
    return F.where(mask, F.pad(update, constant(op, 0, x.dtype), **edges), x)


def _extent(item: Item) -> tuple[Any, Any, int]:
    if isinstance(item, Span):
        return item.start, item.length, item.step
    assert isinstance(item, Single)
    return item.place, 1, 1


def _scattered(op: str, x: Any, items: Items, update: Any) -> Any:
    """Integer arrays, perhaps beside spans and singles."""
    basic = [item for item in items if isinstance(item, (Span, Single))]
    partial = any(
        isinstance(item, Single) or item != Span(item.axis, 0, x.shape[item.axis], 1)
        for item in basic
    )
    if partial:
        # write into the part that spans and singles name, then put that part back
        whole: Items = [
            item if not isinstance(item, Many) else Span(item.axis, 0, x.shape[item.axis], 1)
            for item in items
            if not isinstance(item, (New, Gap))
        ]
        part = _part(x, whole)
        inner = [_inner(item, part) for item in items]
        written = _scattered_whole(op, part, inner, update)
        return _embedded(op, x, whole, _without_singles(written, basic))
    return _scattered_whole(op, x, items, update)


def _part(x: Any, whole: Items) -> Any:
    """The elements of spans and singles, singles kept as axes of size 1."""
    extents = [_extent(item) for item in whole]
    return F.slice(
        x,
        start=tuple(start for start, _, _ in extents),
        size=tuple(count for _, count, _ in extents),
        step=tuple(step for _, _, step in extents),
    )


def _inner(item: Item, part: Any) -> Item:
    """The item within the part: all of a span, the one element of a single."""
    if isinstance(item, Span):
        return Span(item.axis, 0, part.shape[item.axis], 1)
    return Single(item.axis, 0) if isinstance(item, Single) else item


def _without_singles(x: Any, items: list[Any]) -> Any:
    dropped = {item.axis for item in items if isinstance(item, Single)}
    return F.reshape(x, shape=tuple(d for axis, d in enumerate(x.shape) if axis not in dropped))


def _scattered_whole(op: str, x: Any, items: Items, update: Any) -> Any:
    """Scatter into x, of which all spans are whole and all singles the only element."""
    arrays = [item for item in items if isinstance(item, Many)]
    flat, kept = drop_singles(x, items)
    axes = [kept.index(item.axis) for item in arrays]
    index, axis, merged = gathered_axis(flat, arrays, kept)
    update = _fitted(op, update, _indexed_shape(items, index.shape))
    update = _unplaced(update, items, axis, index.ndim)
    written = F.scatter(merged, index, update, axis=axis, mode="set")
    if len(arrays) > 1:
        moved = axes != list(range(axes[0], axes[0] + len(axes)))
        rest = [i for i in range(flat.ndim) if i not in axes]
        order = [*axes, *rest] if moved else list(range(flat.ndim))
        written = F.reshape(written, shape=tuple(flat.shape[i] for i in order))
        written = permuted(written, tuple(order.index(i) for i in range(flat.ndim)))
    return F.reshape(written, shape=x.shape)


def _indexed_shape(items: Items, joint: Shape) -> Shape:
    """The shape of x[key] with integer arrays of the joint shape in it."""
    shape: list[DimLike] = []
    pending = True
    if arrays_in_front(items):
        shape, pending = list(joint), False
    for item in items:
        if isinstance(item, New):
            shape.append(1)
        elif isinstance(item, Span):
            shape.append(item.length)
        elif pending and not isinstance(item, Gap):
            shape += joint
            pending = False
    return tuple(shape)


def _unplaced(update: Any, items: Items, axis: int, count: int) -> Any:
    """From the shape of x[key] to that of gather's result: the index's axes together at `axis`."""
    joint: list[int] = []
    spans: list[int] = []
    new: list[int] = []
    place = 0
    pending = True
    if arrays_in_front(items):
        joint, place, pending = list(range(count)), count, False
    for item in items:
        if isinstance(item, New):
            new.append(place)
            place += 1
        elif isinstance(item, Span):
            spans.append(place)
            place += 1
        elif pending and not isinstance(item, Gap):
            joint = list(range(place, place + count))
            place += count
            pending = False
    order = [*spans[:axis], *joint, *spans[axis:], *new]
    update = permuted(update, tuple(order))
    return F.reshape(update, shape=update.shape[: len(order) - len(new)])


def _masked(op: str, x: Any, key: Any, update: Any) -> Any:
    """x[mask] = one value for the whole mask, as a `where`; None for every other assignment."""
    if not isinstance(key, Cell) or key.dtype.kind != "b" or not key.ndim:
        if current_trace() is not None and isinstance(key, tuple):
            if any(isinstance(item, Cell) and item.dtype.kind == "b" for item in key):
                text = "a mask beside other indices needs the mask's values"
                fail(TraceError, op, text, "use `el.where` with a mask of the tensor's shape")
        return None
    rank = key.ndim
    if rank > x.ndim or key.shape != x.shape[:rank]:
        text = f"mask {key._type} does not fit {x._type}"
        fail(ShapeError, op, text)
    rest = x.shape[rank:]
    lead = update.ndim - len(rest)
    if lead > 0 and any(dim != 1 for dim in update.shape[:lead]):
        if current_trace() is not None:
            text = f"how many elements of mask {key._type} are True is not known, so a value"
            fail(TraceError, op, f"{text} {update._type} cannot be spread over them", MASK_HINT)
        return None
    update = _fitted(op, update, (*(1,) * rank, *rest) if lead > 0 else rest)
    mask = F.reshape(key, shape=(*key.shape, *(1,) * len(rest)))
    return F.where(expand(mask, x.shape), expand(update, x.shape), x)
