"""Indexing as in NumPy: ints, slices, None, Ellipsis, integer arrays, bool masks, and mixtures.

An index is parsed into items, one for each axis of the tensor (and one for each None):

    New            None: a new axis of size 1
    Span           a slice: start, count, step (step may be negative)
    Single         an int: the axis is dropped
    Many           integers of any shape: a gather

Reading first takes spans and singles, which share memory, then gathers. Several integer arrays (and
the ints beside them) broadcast together; their axes stand where the first of them stood if they are
neighbours, else in front. That is NumPy's rule. A mask stands for the indices of its True elements.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from elinvar.core.dtypes import int64
from elinvar.core.errors import (
    AxisError,
    DTypeError,
    OutOfBoundsError,
    ShapeError,
    TraceError,
    fail,
)
from elinvar.core.shapes import (
    Dim,
    DimLike,
    Shape,
    broadcast_shapes,
    format_shape,
    is_never_negative,
    size,
)
from elinvar.tensor.cell import Cell, concrete, current_trace, state, traces
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast, constant, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F
from elinvar.tensor.gathering import (
    check_bounds,
    checked_index,
    counted,
    fail_bounds,
    gathered,
    selected,
    taken,
)
from elinvar.tensor.layout import Layout
from elinvar.tensor.manipulation import permuted
from elinvar.tensor.places import find_place, rows_of
from elinvar.tensor.regions import Reading, Region, form_of, read, record
from elinvar.tensor.searching import nonzero
from elinvar.tensor.storage import from_numpy, stored_array
from elinvar.tensor.truths import lifted


class New(NamedTuple):
    """A new axis of size 1."""


class Span(NamedTuple):
    """Elements start, start + step, … of an axis."""

    axis: int
    start: DimLike
    length: DimLike
    step: int


class Single(NamedTuple):
    """One element of an axis, which is dropped."""

    axis: int
    place: DimLike


class Many(NamedTuple):
    """Elements at an integer tensor, within bounds where that is known."""

    axis: int
    place: Any


class Gap(NamedTuple):
    """An Ellipsis that stands for no axis: it still keeps integer arrays apart."""


Item = New | Span | Single | Many | Gap
Items = list[Item]

MASK_HINT = (
    "use `el.where(mask, x, other)`, which keeps the shape, or `x[el.nonzero(mask, size=n)]`, "
    "which has a fixed one, or index outside of the jit"
)


def get_item(x: Any, key: Any, op: str = "getitem") -> Any:
    """x[key] as in NumPy."""
    whole = x._layout
    plain = whole is not None and not traces.active
    if plain:
        if type(key) is int:
            rows = rows_of(whole)
            if rows is not None:
                count, step, view, form, rest = rows
                place = key + count if key < 0 else key
                if 0 <= place < count:
                    found = concrete(x._buffer, x._address + place * step, view)
                    if x._node is not None and state.grad_enabled:
                        region = Region((place, *rest), form)
                        record(op, Reading(region), (x,), found)
                    return found
        else:
            known = find_place(whole, key)
            if known is not None:
                found = concrete(x._buffer, x._address + known[0], known[1])
                if x._node is not None and state.grad_enabled:
                    record(op, Reading(known[2].region(key)), (x,), found)
                return found
    if type(key) is list or type(key) is np.ndarray or type(key) is range:
        array = _as_array(op, key)
        key = array if isinstance(array, Cell) else from_numpy(array)
    if isinstance(key, Cell) and x.ndim:
        if key.dtype.kind in "iu":
            return taken(op, x, key, 0)
        if key.dtype.kind == "b" and 0 < key.ndim <= x.ndim and plain and key._layout is not None:
            if key.shape == x.shape[: key.ndim]:
                return selected(x, key)
    if plain and type(key) is tuple and (x._node is None or not state.grad_enabled):
        kinds, arrays = array_kinds(x._layout, key)
        if arrays:
            found, wrong = _picked(x, *arrays, kinds=kinds)
            need_inside(op, x, kinds, arrays, wrong)
            return found
    single = lifted(op, x, key)
    if single is not None:
        x, key = single
    return read_items(x, parse(op, x, key))


# ---- integer tensors and whole slices, as one program ------------------------------------------

_SPAN, _NEW = -1, -2


def array_kinds(whole: Layout, key: tuple[Any, ...]) -> tuple[tuple[int, ...], list[Any]]:
    """An index of integer tensors, whole slices and None: for each item the number of its tensor,
    or what it is; and the tensors. No tensors where the index is not of that kind."""
    kinds: list[int] = []
    arrays: list[Any] = []
    for item in key:
        if isinstance(item, Cell):
            kind = item._layout
            if kind is None or kind.dtype.kind not in "iu" or not kind.size:
                return (), []
            kinds.append(len(arrays))
            arrays.append(item)
        elif type(item) is slice and item.start is item.stop is item.step is None:
            kinds.append(_SPAN)
        elif item is None:
            kinds.append(_NEW)
        else:
            return (), []
    used = len(kinds) - kinds.count(_NEW)
    if used > whole.ndim or not whole.size:
        return (), []
    return (*kinds, *(_SPAN,) * (whole.ndim - used)), arrays


def items_of(x: Any, kinds: tuple[int, ...], arrays: Any) -> tuple[Items, Any]:
    """The items that kinds stand for, inside of a trace; and whether an index is out of bounds."""
    items: Items = []
    wrong: Any = None
    axis = 0
    for kind in kinds:
        if kind == _NEW:
            items.append(New())
            continue
        dim = x.shape[axis]
        if kind == _SPAN:
            items.append(Span(axis, 0, dim, 1))
        else:
            index, outside = counted(arrays[kind], dim)
            wrong = outside if wrong is None else F.bitwise_or(wrong, outside)
            items.append(Many(axis, index))
        axis += 1
    return items, wrong


def need_inside(op: str, x: Any, kinds: tuple[int, ...], arrays: list[Any], wrong: Any) -> None:
    """Refuse indices of which a program said that one is out of bounds."""
    if memoryview(wrong._buffer)[0]:
        axes = [kind for kind in kinds if kind != _NEW]
        for number, array in enumerate(arrays):
            axis = axes.index(number)
            check_bounds(op, stored_array(array, op), x.shape[axis], axis)


@composite
def _picked(x: Any, *arrays: Any, kinds: Any) -> Any:
    items, wrong = items_of(x, kinds, arrays)
    return read_items(x, items), wrong


def region_of(items: Items, keep_singles: bool = False) -> Region:
    """The region of spans and singles; with `keep_singles`, they remain as axes of size 1."""
    start: list[DimLike] = []
    lengths: list[DimLike] = []
    steps: list[int] = []
    axes: list[int] = []
    for item in items:
        if isinstance(item, Span):
            axes.append(item.axis)
            start.append(item.start)
            lengths.append(item.length)
            steps.append(item.step)
        elif isinstance(item, Single):
            if keep_singles:
                axes.append(item.axis)
            start.append(item.place)
            lengths.append(1)
            steps.append(1)
        elif isinstance(item, New):
            axes.append(-1)
    return Region(tuple(start), form_of(tuple(lengths), tuple(steps), tuple(axes)))


def read_items(x: Any, items: Items) -> Any:
    """The elements that parsed items name."""
    arrays = [item for item in items if isinstance(item, Many)]
    if not arrays:
        return read(x, region_of(items))
    wide: Items = [item for item in items if not isinstance(item, (New, Gap))]
    wide = [_whole_span(x, item) if isinstance(item, Many) else item for item in wide]
    region = region_of(wide)
    if len(region.form.axes) != x.ndim or not region.covers(x.shape):
        x = read(x, region)
    kept = list(region.form.axes)
    index, axis, x = gathered_axis(x, arrays, kept)
    return _placed(gathered(x, index, axis), items, axis, index.ndim)


def _whole_span(x: Any, item: Many) -> Span:
    return Span(item.axis, 0, x.shape[item.axis], 1)


def _reshaped(x: Any, shape: Shape) -> Any:
    return x if x.shape == shape else F.reshape(x, shape=shape)


def result_shape(items: Items) -> Shape:
    """The shape of what items without arrays read."""
    shape: list[DimLike] = []
    for item in items:
        if isinstance(item, New):
            shape.append(1)
        elif isinstance(item, Span):
            shape.append(item.length)
    return tuple(shape)


def drop_singles(x: Any, items: Items) -> tuple[Any, list[int]]:
    """x without the axes of singles, and the old numbers of the axes that remain."""
    singles = {item.axis for item in items if isinstance(item, Single)}
    kept = [axis for axis in range(x.ndim) if axis not in singles]
    return _reshaped(x, tuple(x.shape[axis] for axis in kept)), kept


def gathered_axis(x: Any, arrays: list[Many], kept: list[int]) -> tuple[Any, int, Any]:
    """One index tensor along one axis that stands for several along theirs.

    Returns:
        (index, axis, x'): the axes of several arrays are made one axis of x' (in front, where they
        are no neighbours), and their indices one row-major position in it.
    """
    axes = [kept.index(item.axis) for item in arrays]
    if len(arrays) == 1:
        return arrays[0].place, axes[0], x
    shape = broadcast_shapes("getitem", *(item.place.shape for item in arrays))
    first = axes[0]
    if axes != list(range(first, first + len(axes))):
        rest = [axis for axis in range(x.ndim) if axis not in axes]
        x = permuted(x, (*axes, *rest))
        first = 0
    last = first + len(axes)
    sizes = x.shape[first:last]
    position: Any = None
    for item, dim in zip(arrays, sizes, strict=True):
        index = expand(cast(item.place, int64), shape)
        if position is not None:
            scale = constant("getitem", dim, int64) if isinstance(dim, int) else size_tensor(dim)
            index = F.add(F.multiply(position, expand(scale, shape)), index)
        position = index
    merged = (*x.shape[:first], size(sizes), *x.shape[last:])
    return position, first, F.reshape(x, shape=merged)


def arrays_in_front(items: Items) -> bool:
    """Whether the axes of integer arrays stand in front, because they are no neighbours."""
    places = [i for i, item in enumerate(items) if isinstance(item, (Many, Single))]
    return places[-1] - places[0] + 1 != len(places)


def _placed(found: Any, items: Items, axis: int, count: int) -> Any:
    """Put the axes of the index where NumPy has them, and new axes where None stood.

    `found` has the spans' axes in order, with `count` axes of the index at `axis`.
    """
    spans = [i for i in range(found.ndim) if not axis <= i < axis + count]
    joint = list(range(axis, axis + count))
    order: list[int] = []
    shape: list[DimLike] = []
    pending = True
    if arrays_in_front(items):
        order, shape, pending = [*joint], [found.shape[i] for i in joint], False
    for item in items:
        if isinstance(item, New):
            shape.append(1)
        elif isinstance(item, Span):
            place = spans.pop(0)
            order.append(place)
            shape.append(found.shape[place])
        elif pending and not isinstance(item, Gap):
            order += joint
            shape += [found.shape[i] for i in joint]
            pending = False
    return _reshaped(permuted(found, tuple(order)), tuple(shape))


# ---- parsing ------------------------------------------------------------------------------------


def parse(op: str, x: Any, key: Any) -> Items:
    """The items of an index, one for each axis of x and each None."""
    given = key if isinstance(key, tuple) else (key,)
    given = tuple(_as_array(op, item) if isinstance(item, _ARRAYS) else item for item in given)
    used = sum(_consumed(item) for item in given)
    dots = [place for place, item in enumerate(given) if item is Ellipsis]
    if len(dots) > 1:
        fail(AxisError, op, "an index can have one `...`")
    if used > x.ndim:
        text = f"too many indices: {used} for {x._type} with {x.ndim} dimensions"
        fail(OutOfBoundsError, op, text)
    missing = (slice(None),) * (x.ndim - used)
    if dots:
        given = (*given[: dots[0]], *(missing or (Ellipsis,)), *given[dots[0] + 1 :])
    else:
        given = (*given, *missing)
    items: Items = []
    axis = 0
    for item in given:
        items += _item(op, x, axis, item)
        axis += _consumed(item)
    return items


_ARRAYS = (list, tuple, range, np.ndarray)


def _as_array(op: str, value: Any) -> Any:
    """Lists and numpy arrays as numpy arrays, or as tensors where they hold tensors."""
    if isinstance(value, (list, tuple)) and any(isinstance(item, Cell) for item in value):
        return tensor_of(op, value)
    array = np.asarray(value)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "biu":
        fail(DTypeError, op, f"an index must be integers or bool, received {array.dtype}")
    return array


def _is_bool(item: Any) -> bool:
    if isinstance(item, Cell):
        return item.dtype.kind == "b"
    return isinstance(item, np.ndarray) and item.dtype.kind == "b"


def _consumed(item: Any) -> int:
    """How many axes an index item is for."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if _is_bool(item) else 1


def _item(op: str, x: Any, axis: int, item: Any) -> Items:
    if item is None or item is Ellipsis:
        return [New() if item is None else Gap()]
    if isinstance(item, slice):
        return [_span(op, x, axis, item)]
    if _is_bool(item):
        return _mask(op, x, axis, item)
    if isinstance(item, (Cell, np.ndarray)):
        return [Many(axis, checked_index(op, item, x.shape[axis], axis))]
    if isinstance(item, Dim):
        return [Single(axis, item)]
    if hasattr(item, "__index__"):
        return [Single(axis, single_index(op, item.__index__(), x.shape[axis], axis))]
    text = f"an index must be ints, slices, None, ... or integer or bool tensors, received {item!r}"
    fail(DTypeError, op, text)


def single_index(op: str, index: int, dim: DimLike, axis: int) -> DimLike:
    """An int index counted from the start, within bounds."""
    if isinstance(dim, Dim):
        room = dim - index - 1 if index >= 0 else dim + index
        if index not in (0, -1) and not is_never_negative(room):
            _undecided(op, f"index {index}", dim, axis)
        return index if index >= 0 else dim + index
    if not -dim <= index < dim:
        fail_bounds(op, index, dim, axis)
    return index + dim if index < 0 else index


def _undecided(op: str, what: str, dim: DimLike, axis: int) -> None:
    text = f"{what} is not known to lie within axis {axis} of symbolic size {dim}"
    hint = "give a range (`el.Dim(name, min=…, max=…)`) or a fixed size, or index with a tensor"
    fail(ShapeError, op, text, hint)


def _span(op: str, x: Any, axis: int, item: slice) -> Span:
    dim = x.shape[axis]
    start, stop, step = (_bound(op, part) for part in (item.start, item.stop, item.step))
    if step == 0:
        fail(ShapeError, op, "the step of a slice must not be 0")
    if all(not isinstance(part, Dim) for part in (dim, start, stop, step)):
        first, last, stride = slice(start, stop, step).indices(dim)
        count = len(range(first, last, stride))
        return Span(axis, first if count else 0, count, stride)
    return _symbolic_span(op, dim, axis, start, stop, 1 if step is None else step)


def _bound(op: str, part: Any) -> Any:
    if part is None or isinstance(part, (int, Dim)):
        return part
    if hasattr(part, "__index__"):
        return part.__index__()
    fail(DTypeError, op, f"the parts of a slice must be ints, received {part!r}")


def _symbolic_span(op: str, dim: Any, axis: int, start: Any, stop: Any, step: Any) -> Span:
    """A slice of which the axis or a bound is symbolic; only what holds for every size is taken."""
    if step == -1 and start is None and stop is None:
        return Span(axis, dim - 1, dim, -1)
    if step != 1:
        _undecided(op, f"a slice of step {step}", dim, axis)
    first = 0 if start is None else start
    last = dim if stop is None else stop
    first = dim + first if isinstance(first, int) and first < 0 else first
    last = dim + last if isinstance(last, int) and last < 0 else last
    for bound in (first, last):
        room = dim - bound
        if bound is last and not is_never_negative(room):
            _undecided(op, f"bound {bound}", dim, axis)
    return Span(axis, first, last - first, 1)


def _mask(op: str, x: Any, axis: int, mask: Any) -> Items:
    """A mask as the indices of its True elements; their number has to be known."""
    if current_trace() is not None and (isinstance(mask, Cell)):
        text = f"the shape of a result indexed by a mask {mask._type} depends on its values"
        fail(TraceError, op, text, MASK_HINT)
    shape = tuple(mask.shape)
    need_mask_fit(op, x, axis, shape)
    if isinstance(mask, np.ndarray):
        found: Any = [tensor_of(op, part.astype(np.int64)) for part in np.nonzero(mask)]
    else:
        found = nonzero(mask)
    return [Many(axis + place, index) for place, index in enumerate(found)]


def need_mask_fit(op: str, x: Any, axis: int, shape: Shape) -> None:
    """Refuse a mask of other sizes than the axes that it stands for; 0 is always allowed."""
    here = x.shape[axis : axis + len(shape)]
    if len(here) == len(shape) and all(a in (b, 0) for a, b in zip(shape, here, strict=True)):
        return
    text = f"mask bool{format_shape(shape)} does not fit axes {axis} to {axis + len(shape) - 1}"
    fail(AxisError, op, f"{text} of {x._type}")
