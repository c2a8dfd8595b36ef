"""Regions: the part of a tensor that ints and slices name; read, written, and the adjoints of both.

    read(x, r)          x's elements in r: the same memory under another layout
    written(x, u, r)    x with u in r
    embedded(g, r, n)   zeros of shape n with g in r

    read' = embedded;  embedded' = read;  written' = (g with zeros in r, read(g, r))

A region is a form (lengths, steps, axes of the result) at a start. Programs and layouts are kept
for forms; a start only moves an address. On the tape each of the three is one node. Under a trace
they are made of slice, pad and where, which give the same bits.
"""

from __future__ import annotations

import ctypes
from typing import Any

from elinvar.core.dtypes import bool_ as bool_dtype
from elinvar.core.shapes import DimLike, Shape
from elinvar.core.source import user_place
from elinvar.tensor.cell import concrete, current_trace, state
from elinvar.tensor.convert import constant
from elinvar.tensor.copying import copy_call, holds_alone
from elinvar.tensor.dispatch import F
from elinvar.tensor.engine import allocator
from elinvar.tensor.layout import Layout, dense, layout
from elinvar.tensor.tape import TapeNode, next_serial

MOST_KEPT = 4096


class Form:
    """A region without its place.

    Args:
        lengths, steps: along each axis of the tensor.
        axes: for each axis of the result the tensor's axis, or -1 for a new one. Axes of the
            tensor that are missing have length 1.
    """

    __slots__ = ("axes", "lengths", "shape", "steps", "views")

    axes: tuple[int, ...]
    lengths: tuple[DimLike, ...]
    steps: tuple[int, ...]

    def __init__(
        self, lengths: tuple[DimLike, ...], steps: tuple[int, ...], axes: tuple[int, ...]
    ) -> None:
        self.lengths, self.steps, self.axes = lengths, steps, axes
        self.shape: Shape = tuple([1 if axis < 0 else lengths[axis] for axis in axes])
        self.views: dict[Layout, Layout] = {}

    def view(self, whole: Layout) -> Layout:
        """The layout of the region in a tensor of a layout."""
        found = self.views.get(whole)
        if found is None:
            strides = tuple([0 if a < 0 else self.steps[a] * whole.strides[a] for a in self.axes])
            if len(self.views) >= 64:
                self.views.clear()
            shape: Any = self.shape
            found = self.views[whole] = layout(whole.dtype, shape, strides)
        return found


_forms: dict[Any, Form] = {}


def form_of(lengths: tuple[DimLike, ...], steps: tuple[int, ...], axes: tuple[int, ...]) -> Form:
    """The form with these lengths, steps and axes; one object for equal ones."""
    key = (lengths, steps, axes)
    found = _forms.get(key)
    if found is None:
        if len(_forms) >= MOST_KEPT:
            _forms.clear()
        found = _forms[key] = Form(lengths, steps, axes)
    return found


class Region:
    """A form at a start: the first index along each axis of the tensor."""

    __slots__ = ("form", "start")

    form: Form
    start: tuple[DimLike, ...]

    def __init__(self, start: tuple[DimLike, ...], form: Form) -> None:
        self.start, self.form = start, form

    def covers(self, shape: Shape) -> bool:
        """Whether the region is a whole tensor of a shape, in its order."""
        form = self.form
        whole = form.lengths == shape and not any(first != 0 for first in self.start)
        return whole and all(step == 1 for step in form.steps)

    def offset(self, whole: Layout) -> int:
        """Where the region begins in a tensor of a layout, in bytes."""
        total: Any = 0
        for first, stride in zip(self.start, whole.strides, strict=True):
            total += first * stride
        return total * whole.dtype.itemsize if self.form.view(whole).size else 0


# ---- what the tape calls: (operands, results, cotangents or tangents) → those of the others -----


class Reading:
    """Backward puts the cotangent between zeros; forward reads the tangent."""

    __slots__ = ("region",)

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, operands: Any, results: Any, cotangents: Any) -> Any:
        (x,) = operands
        return (embedded(cotangents[0], self.region, x.shape),)

    def push(self, operands: Any, results: Any, tangents: Any) -> Any:
        return (read(tangents[0], self.region),)


class Embedding:
    """Backward takes what the cotangent holds in the region; forward embeds the tangent."""

    __slots__ = ("region",)

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, operands: Any, results: Any, cotangents: Any) -> Any:
        return (read(cotangents[0], self.region),)

    def push(self, operands: Any, results: Any, tangents: Any) -> Any:
        return (embedded(tangents[0], self.region, results[0].shape),)


class Writing:
    """Backward: the cotangent outside of the region for x, that inside for the update. Forward:
    the tangent of x with that of the update in the region."""

    __slots__ = ("region",)

    def __init__(self, region: Region) -> None:
        self.region = region

    def __call__(self, operands: Any, results: Any, cotangents: Any) -> Any:
        x, update = operands
        (g,) = cotangents
        outside = inside = None
        if x._node is not None:
            outside = written(g, constant("setitem", 0, g.dtype), self.region)
        if update._node is not None:
            inside = read(g, self.region)
        return outside, inside

    def push(self, operands: Any, results: Any, tangents: Any) -> Any:
        by_x, by_update = tangents
        if by_x is None:
            by_update = F.broadcast(by_update, shape=self.region.form.shape)
            return (embedded(by_update, self.region, results[0].shape),)
        if by_update is None:
            by_update = constant("setitem", 0, by_x.dtype)
        return (written(by_x, by_update, self.region),)


# ---- the three ----------------------------------------------------------------------------------


def read(x: Any, region: Region) -> Any:
    """The elements of x in the region."""
    whole = x._layout
    if whole is None or current_trace() is not None:
        return _read_traced(x, region)
    view = region.form.view(whole)
    found = concrete(x._buffer, x._address + region.offset(whole), view)
    if x._node is not None:
        record("getitem", Reading(region), (x,), found)
    return found


def written(x: Any, update: Any, region: Region, in_place: bool = False) -> Any:
    """x with the update, of x's dtype and broadcast to the region's shape, in the region.

    `in_place`: x is rebound to the result, so its memory may be used if x holds it alone.
    """
    whole = x._layout
    if whole is None or update._layout is None or current_trace() is not None:
        return _written_traced(x, update, region)
    wanted = state.grad_enabled and whole.dtype.kind in "fc"
    if wanted and update._node is not None and update.shape != region.form.shape:
        update = F.broadcast(update, shape=region.form.shape)
    target = dense(whole.dtype, whole.shape)
    view = region.form.view(target)
    in_place = in_place and update._buffer is not x._buffer
    buffer, address = _memory(x, target, view, in_place)
    call = copy_call(view, update._layout)
    if call is not None:
        call(update._address, address + region.offset(target))
    found = concrete(buffer, address, target)
    if wanted:
        flowing = (
            x._node is not None and (view.size < whole.size or not whole.size),
            update._node is not None and view.size > 0,
        )
        if any(flowing):
            record("setitem", Writing(region), (x, update), found, flowing)
    return found


def _memory(x: Any, target: Layout, view: Layout, in_place: bool) -> tuple[Any, int]:
    """Memory with the elements of x, dense: x's own where that is allowed, else a copy."""
    if in_place and state.changes is None and x._layout is target and holds_alone(x):
        return x._buffer, x._address
    buffer = allocator()(target.nbytes)
    address = buffer.address
    if view.size != target.size:
        fill = copy_call(target, x._layout)
        if fill is not None:
            fill(x._address, address)
    return buffer, address


def embedded(g: Any, region: Region, shape: Shape) -> Any:
    """Zeros of a shape with g in the region."""
    if g._layout is None or current_trace() is not None:
        zero = constant("getitem", 0, g.dtype)
        return _padded(g, zero, region, shape)
    kind: Any = dense(g.dtype, shape)  # type: ignore[arg-type]
    view = region.form.view(kind)
    buffer = allocator()(kind.nbytes)
    address = buffer.address
    if view.size != kind.size:
        ctypes.memset(address, 0, kind.nbytes)
    call = copy_call(view, g._layout)
    if call is not None:
        call(g._address, address + region.offset(kind))
    found = concrete(buffer, address, kind)
    if g._node is not None:
        record("embedded", Embedding(region), (g,), found)
    return found


_new = object.__new__


def record(name: str, derive: Any, operands: Any, result: Any, flowing: Any = (True,)) -> None:
    """Put one of the three on the tape, if gradients are wanted. No memory is kept for backward.

    `flowing`: for each operand whether a gradient can flow to it.
    """
    made = result._layout
    if not state.grad_enabled or made.dtype.kind not in "fc":
        return
    held = []
    for x, flows in zip(operands, flowing, strict=True):
        above = x._node if flows else None
        held.append((None, 0, x._layout, None, above, 0 if above is None else x._slot))
    node = _new(TapeNode)
    node.name = name
    node.rule = derive
    node.params = None
    node.operands = tuple(held)
    node.results = ((None, 0, made, None, None, 0),)
    node.count = 1
    node.serial = next_serial()
    node.hooks = None
    node._place = user_place(3)
    result._node = node
    result._slot = 0


# ---- the same from primitives, for traces -------------------------------------------------------


def _read_traced(x: Any, region: Region) -> Any:
    form = region.form
    if not region.covers(x.shape):
        x = F.slice(x, start=region.start, size=form.lengths, step=form.steps)
    return F.reshape(x, shape=form.shape)


def _written_traced(x: Any, update: Any, region: Region) -> Any:
    form = region.form
    if 0 in form.shape:
        return F.reshape(x, shape=x.shape)
    if update.shape != form.shape:
        update = F.broadcast(update, shape=form.shape)
    if form.lengths == x.shape:  # steps are 1, or -1 and the whole axis is turned
        return _turned(F.reshape(update, shape=form.lengths), form)
    false, true = (constant("setitem", value, bool_dtype) for value in (False, True))
    chosen = F.broadcast(true, shape=form.shape)
    mask = _padded(chosen, false, region, x.shape)
    return F.where(mask, _padded(update, constant("setitem", 0, x.dtype), region, x.shape), x)


def _turned(x: Any, form: Form) -> Any:
    axes = tuple([axis for axis, step in enumerate(form.steps) if step < 0])
    return F.flip(x, axes=axes) if axes else x


def _padded(x: Any, value: Any, region: Region, shape: Shape) -> Any:
    """`value` over a shape, with x in the region."""
    form = region.form
    low: list[DimLike] = []
    high: list[DimLike] = []
    for first, count, step, dim in zip(region.start, form.lengths, form.steps, shape, strict=True):
        last = first + (count - 1) * step
        lower, upper = (first, last) if step > 0 else (last, first)
        empty = isinstance(count, int) and count == 0
        low.append(0 if empty else lower)
        high.append(dim if empty else dim - 1 - upper)
    inside = tuple([abs(step) - 1 for step in form.steps])
    x = _turned(F.reshape(x, shape=form.lengths), form)
    return F.pad(x, value, low=tuple(low), high=tuple(high), interior=inside)
