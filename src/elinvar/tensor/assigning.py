"""Assignment x[key] = value: a new value is built, the cell rebound; gradients flow through both.

spans and ints      the value is copied into a copy of x, or into x's own memory where nobody
                    else holds it (regions.py); under a trace `pad` and `where` say the same
integer arrays      `scatter`; of equal indices the last one counts
a mask              `where`, when the value has one element for the whole mask (works under jit)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, TraceError, fail
from elinvar.core.shapes import DimLike, Shape, broadcast_shapes, format_shape
from elinvar.tensor.cell import Cell, concrete, current_trace, state, traces
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, constant, expand, is_number, tensor_of
from elinvar.tensor.copying import copy_call, holds_alone
from elinvar.tensor.dispatch import F
from elinvar.tensor.engine import allocate, place_rows
from elinvar.tensor.gathering import check_bounds, scattered, true_positions
from elinvar.tensor.indexing import (
    Gap,
    Item,
    Items,
    Many,
    New,
    Single,
    Span,
    array_kinds,
    arrays_in_front,
    drop_singles,
    gathered_axis,
    items_of,
    need_inside,
    need_mask_fit,
    parse,
    region_of,
    result_shape,
)
from elinvar.tensor.layout import Layout, dense, layout
from elinvar.tensor.lost import watch_argument, watch_item
from elinvar.tensor.manipulation import permuted
from elinvar.tensor.places import find_place
from elinvar.tensor.regions import read, written
from elinvar.tensor.storage import stored_array
from elinvar.tensor.truths import lifted

Scatter = Callable[[Any, Any, Any, int], Any]
MOST_KEPT = 4096
MASK_HINT = "give one value for all of the mask, or use `el.where`"


def _set(x: Any, index: Any, update: Any, axis: int) -> Any:
    return scattered(x, index, update, axis, "set")


def rebound(op: str, target: Any, value: Any, inplace: bool) -> Any:
    """What functions that write into their argument give: the argument, which then holds `value`.

    Without `inplace`, and for arguments that are no tensors: `value` itself.
    """
    if not inplace or not isinstance(target, Cell):
        return value
    watch_argument(op, target)
    target._rebind(value)  # type: ignore[attr-defined]
    return target


def set_item(x: Any, key: Any, value: Any, op: str = "setitem") -> None:
    """x[key] = value as in NumPy, by rebinding the cell of x."""
    whole = x._layout
    update = _numbers.get((whole, value)) if type(value) is float and not traces.active else None
    if update is None:
        update = _update_of(op, x, value)
    if whole is not None and update._layout is not None and not traces.active:
        taped = x._node is not None or update._node is not None
        if not (taped and state.grad_enabled):
            if isinstance(key, Cell):
                if _set_rows(x, whole, key, update, op):
                    return
            elif _set_plain(x, whole, key, update, op):
                return
    if whole is None or not holds_alone(x):
        watch_item(x)
    x._rebind(_assigned(x, key, update, op))


_numbers: dict[tuple[Layout, float], Any] = {}  # (x's layout, value) → a 0-d tensor


def _update_of(op: str, x: Any, value: Any) -> Any:
    """A value as a tensor of x's dtype."""
    if not is_number(value):
        return cast(tensor_of(op, value, x.dtype), x.dtype)
    update = constant(op, value, x.dtype)
    if type(value) is float and value and x._layout is not None and not traces.active:
        if len(_numbers) >= MOST_KEPT:
            _numbers.clear()
        _numbers[x._layout, value] = update  # not 0.0, which is equal to -0.0
    return update


def _set_plain(x: Any, whole: Layout, key: Any, update: Any, op: str) -> bool:
    """Ints and slices without a tape: write, and rebind the cell unless it was in place."""
    is_dense = whole.is_dense
    target = whole if is_dense else dense(whole.dtype, whole.shape)
    found = find_place(target, key)
    if found is None:
        return False
    offset, view, _ = found
    layouts = (view, update._layout)
    call = _writing[layouts] if layouts in _writing else _write_program(op, *layouts)
    buffer, address = _open(x, target, update, view.size == target.size)
    if call is not None:
        call(update._address, address + offset)
    _close(x, buffer, address, target)
    return True


def _open(x: Any, target: Layout, update: Any, is_all: bool) -> tuple[Any, int]:
    """Memory to write to: x's own if nobody else holds it, else a copy (with `is_all`: new)."""
    if x._layout is target and update is not x and state.changes is None and holds_alone(x):
        return x._buffer, x._address
    watch_item(x)
    buffer = allocate(target.nbytes)
    address = buffer.address
    fill = None if is_all else copy_call(target, x._layout)
    if fill is not None:
        fill(x._address, address)
    return buffer, address


def _close(x: Any, buffer: Any, address: int, target: Layout) -> None:
    """Let x hold the memory that was written to."""
    if buffer is x._buffer:
        return
    if state.changes is not None:
        x._rebind(concrete(buffer, address, target))
    else:
        x._buffer, x._address, x._layout, x._apart = buffer, address, target, True


_placing: dict[Any, Any] = {}


def _set_rows(x: Any, whole: Layout, index: Any, update: Any, op: str) -> bool:
    """x[indices] = rows or one number, without a tape; False for what is written otherwise."""
    known = (whole, index._layout, update._layout)
    call = _placing.get(known)
    if call is None:
        call = _row_program(*known)
        if call is None:
            return False
        if len(_placing) >= MOST_KEPT:
            _placing.clear()
        _placing[known] = call
    target = whole if whole.is_dense else dense(whole.dtype, whole.shape)
    if index is x or index._buffer is x._buffer:
        return False
    buffer, address = _open(x, target, update, False)
    wrong: Any = allocate(8)
    call(update._address, index._address, address, wrong.address)
    if memoryview(wrong)[0]:
        check_bounds(op, stored_array(index, op), whole.shape[0], 0)
    _close(x, buffer, address, target)
    return True


def _row_program(whole: Layout, index: Layout | None, update: Layout) -> Any:
    if index is None or index.dtype is not int64 or not index.is_dense or not index.size:
        return None
    if not whole.size or not whole.ndim:
        return None
    rest = whole.shape[1:]
    width = whole.size // whole.shape[0]
    if update.size == 1 and update.ndim <= index.ndim + len(rest):
        step, inner = 0, 0
    elif update.is_dense and update.shape == (*index.shape, *rest):
        step, inner = width, 1
    elif update.is_dense and update.shape == rest:
        step, inner = 0, 1
    else:
        return None
    return place_rows(whole.dtype.itemsize, whole.shape[0], width, index.size, step, inner)


_writing: dict[tuple[Layout, Layout], Any] = {}  # (target, update as it came) → a program


def _write_program(op: str, view: Layout, update: Layout) -> Any:
    """The program that writes an update of any shape that broadcasts to the view's."""
    fitting = update if update.shape == view.shape else _trimmed(op, update, view.shape)
    call = copy_call(view, fitting)
    if len(_writing) >= MOST_KEPT:
        _writing.clear()
    _writing[view, update] = call
    return call


def _trimmed(op: str, update: Layout, shape: Shape) -> Layout:
    """An update's layout without leading axes of size 1 that its target has not."""
    while update.ndim > len(shape) and update.shape[0] == 1:
        update = layout(update.dtype, update.shape[1:], update.strides[1:])
    _need_fit(op, update.type, shape)
    return update


def _assigned(x: Any, key: Any, update: Any, op: str) -> Any:
    """A tensor for x to be rebound to: x in which the elements that `key` names are replaced."""
    if isinstance(key, Cell) and key.dtype.kind == "b":
        number = not update.ndim and key.ndim and x._layout is not None
        taped = state.grad_enabled and (x._node is not None or update._node is not None)
        if number and not taped and key.shape == x.shape[: key.ndim]:
            return _filled(x, key, update)
    found = _masked(op, x, key, update)
    if found is not None:
        return found
    is_mask = isinstance(key, Cell) and key.dtype.kind == "b" and key.ndim
    if is_mask and key.shape == x.shape[: key.ndim]:
        return _spread(op, x, key, update)
    simple = _put_whole(op, x, key, update)
    if simple is not None:
        return simple
    single = lifted(op, x, key)
    if single is not None:
        return F.reshape(_assigned(*single, update, op), shape=x.shape)
    items = parse(op, x, key)
    if any(isinstance(item, Many) for item in items):
        return _scattered(op, x, items, update)
    return _placed(op, x, items, update)


def _placed(op: str, x: Any, items: Items, update: Any) -> Any:
    """x with the value in the place of what spans and singles name."""
    update = _fitted(op, update, result_shape(items))
    # a leaf that must not be changed is refused by the rebinding, so its memory is left alone
    frozen = state.grad_enabled and x._node is not None and x._node.is_pinned
    return written(x, update, region_of(items), in_place=not frozen)


def combined(
    op: str, x: Any, key: Any, value: Any, function: Callable[[Any, Any], Any], place: Scatter
) -> Any:
    """A copy of x in which what `key` names is combined with values; equal indices all count.

    Args:
        op: for errors.
        x, key, value: as for `set_item`.
        function: of (old, value), element by element.
        place: the same for integers: of (x, index, values, axis), as `scatter` takes them.
    """
    update = _update_of(op, x, value)
    if isinstance(key, Cell) and key.dtype.kind == "b" and key.ndim:
        need_mask_fit(op, x, 0, key.shape)
        rest = x.shape[key.ndim :]
        if update.ndim > len(rest):
            text = f"a value {update._type} is more than one for the mask {key._type}"
            fail(ShapeError, op, text, MASK_HINT)
        mask = F.reshape(key, shape=(*key.shape, *(1,) * len(rest)))
        return F.where(expand(mask, x.shape), function(x, _fitted(op, update, rest)), x)
    single = lifted(op, x, key)
    if single is not None:
        found = combined(op, *single, update, function, place)
        return F.reshape(found, shape=x.shape)
    items = parse(op, x, key)
    if any(isinstance(item, Many) for item in items):
        return _scattered(op, x, items, update, place)
    region = region_of(items)
    shape = result_shape(items)
    old = F.reshape(read(x, region), shape=shape)
    return written(x, function(old, _fitted(op, update, shape)), region, in_place=False)


def _fitted(op: str, update: Any, shape: Shape) -> Any:
    """The value without leading axes of size 1 that what it replaces has not; it broadcasts."""
    while update.ndim > len(shape) and update.shape[0] == 1:
        update = F.reshape(update, shape=update.shape[1:])
    _need_fit(op, update._type, shape)
    return update


def _need_fit(op: str, kind: Any, shape: Shape) -> None:
    try:
        fits = broadcast_shapes(op, kind.shape, shape) == shape
    except ShapeError:
        fits = False
    if not fits:
        text = f"a value {kind} does not broadcast to the indexed shape"
        fail(ShapeError, op, f"{text} {format_shape(shape)}")


def _put_whole(op: str, x: Any, key: Any, update: Any) -> Any:
    """Integer tensors and whole slices, without a tape, in one program; None for all else."""
    key = key if type(key) is tuple else (key,)
    if x._layout is None or update._layout is None or current_trace() is not None:
        return None
    if state.grad_enabled and (x._node is not None or update._node is not None):
        return None
    kinds, arrays = array_kinds(x._layout, key)
    if not arrays:
        return None
    found, wrong = _put(x, update, *arrays, kinds=kinds)
    need_inside(op, x, kinds, arrays, wrong)
    return found


def _spread(op: str, x: Any, mask: Any, update: Any) -> Any:
    """x[mask] = values: one for each True element of the mask, in order."""
    rest = x.shape[mask.ndim :]
    places = true_positions(mask)
    shape = (*places.shape, *rest)
    update = expand(_fitted(op, update, shape), shape)
    flat = F.reshape(x, shape=(mask._layout.size, *rest))
    return F.reshape(scattered(flat, places, update, 0, "set"), shape=x.shape)


@composite
def _filled(x: Any, mask: Any, number: Any) -> Any:
    return _masked("setitem", x, mask, number)


@composite
def _put(x: Any, update: Any, *arrays: Any, kinds: Any) -> Any:
    items, wrong = items_of(x, kinds, arrays)
    return _scattered_whole("setitem", x, items, update), wrong


def _scattered(op: str, x: Any, items: Items, update: Any, place: Scatter = _set) -> Any:
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
        region = region_of(whole, keep_singles=True)
        part = read(x, region)
        inner = [_inner(item, part) for item in items]
        return written(x, _scattered_whole(op, part, inner, update, place), region)
    return _scattered_whole(op, x, items, update, place)


def _inner(item: Item, part: Any) -> Item:
    """The item within the part: all of a span, the one element of a single."""
    if isinstance(item, Span):
        return Span(item.axis, 0, part.shape[item.axis], 1)
    return Single(item.axis, 0) if isinstance(item, Single) else item


def _scattered_whole(
    op: str, x: Any, items: Items, update: Any, place: Scatter = _set
) -> Any:
    """Scatter into x, of which all spans are whole and all singles the only element."""
    arrays = [item for item in items if isinstance(item, Many)]
    flat, kept = drop_singles(x, items)
    axes = [kept.index(item.axis) for item in arrays]
    index, axis, merged = gathered_axis(flat, arrays, kept)
    shape = _indexed_shape(items, index.shape)
    update = expand(_fitted(op, update, shape), shape)
    update = _unplaced(update, items, axis, index.ndim)
    result = place(merged, index, update, axis)
    if len(arrays) > 1:
        moved = axes != list(range(axes[0], axes[0] + len(axes)))
        rest = [i for i in range(flat.ndim) if i not in axes]
        order = [*axes, *rest] if moved else list(range(flat.ndim))
        result = F.reshape(result, shape=tuple(flat.shape[i] for i in order))
        result = permuted(result, tuple(order.index(i) for i in range(flat.ndim)))
    return F.reshape(result, shape=x.shape)


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
    if not isinstance(key, Cell) or key.dtype.kind != "b":
        if current_trace() is not None and isinstance(key, tuple):
            if any(isinstance(i, Cell) and i.dtype.kind == "b" and i.ndim for i in key):
                text = "a mask beside other indices needs the mask's values"
                fail(TraceError, op, text, "use `el.where` with a mask of the tensor's shape")
        return None
    rank = key.ndim
    need_mask_fit(op, x, 0, key.shape)
    if key.shape != x.shape[:rank]:  # a mask of nothing
        return None
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
