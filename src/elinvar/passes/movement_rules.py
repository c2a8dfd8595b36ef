"""The part of `simplify` that is about moving elements: chains of movement become one or none."""

from __future__ import annotations

from elinvar.core.shapes import DimLike, Shape
from elinvar.graph.ir import Value
from elinvar.ops.record import Namespace
from elinvar.passes.rewriting import Operands, Params, Rules, made_by, never_negative


def _reshape(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    if x.shape == params["shape"]:
        return x
    inner = made_by(x, "reshape")
    found: Value | None = None
    if inner is not None:
        found = f.reshape(inner.operands[0], shape=params["shape"])
    return found


def _permute(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    axes = params["axes"]
    if axes == tuple(range(len(axes))):
        return x
    inner = made_by(x, "permute")
    found: Value
    if inner is not None:
        first = inner.params["axes"]
        found = f.permute(inner.operands[0], axes=tuple(first[axis] for axis in axes))
        return found
    moved = [axis for axis in axes if x.shape[axis] != 1]
    if moved == sorted(moved):  # only dimensions of size 1 move
        found = f.reshape(x, shape=tuple(x.shape[axis] for axis in axes))
        return found
    return None


def _broadcast(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    shape = params["shape"]
    if x.shape == shape:
        return x
    inner = made_by(x, "broadcast")
    found: Value
    if inner is not None:
        found = f.broadcast(inner.operands[0], shape=shape)
        return found
    inner = made_by(x, "reshape")
    if inner is not None:
        source = inner.operands[0]
        extra = len(x.shape) - len(source.shape)
        if extra > 0 and x.shape == (1,) * extra + source.shape:
            found = f.broadcast(source, shape=shape)
            return found
    return None


# ---- slices -------------------------------------------------------------------------------------


def _slice(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    start, size, step = params["start"], params["size"], params["step"]
    whole = all(first == 0 and stride == 1 for first, stride in zip(start, step, strict=True))
    if whole and size == x.shape:
        return x
    rule = _SLICE_OF.get(x.node.op_name)
    return None if rule is None else rule(f, x, start, size, step)


def _slice_of_slice(
    f: Namespace, x: Value, start: Shape, size: Shape, step: tuple[int, ...]
) -> Value | None:
    inner = x.node.params
    strides = tuple(a * b for a, b in zip(inner["step"], step, strict=True))
    first = tuple(a + b * c for a, b, c in zip(inner["start"], start, inner["step"], strict=True))
    found: Value = f.slice(x.node.operands[0], start=first, size=size, step=strides)
    return found


def _slice_of_broadcast(
    f: Namespace, x: Value, start: Shape, size: Shape, step: tuple[int, ...]
) -> Value | None:
    """Slice the dimensions that are really there, then broadcast to the slice's shape."""
    source = x.node.operands[0]
    extra = len(x.shape) - len(source.shape)
    rows: list[tuple[DimLike, DimLike, int]] = []
    for axis, dim in enumerate(source.shape):
        row = (start[extra + axis], size[extra + axis], step[extra + axis])
        rows.append((0, 1, 1) if dim == 1 != x.shape[extra + axis] else row)
    first, count = (tuple(row[part] for row in rows) for part in range(2))
    stride = tuple(row[2] for row in rows)
    part = f.slice(source, start=first, size=count, step=stride) if rows else source
    found: Value = f.broadcast(part, shape=size)
    return found


def _slice_of_pad(
    f: Namespace, x: Value, start: Shape, size: Shape, step: tuple[int, ...]
) -> Value | None:
    """A slice that reads nothing of the padding reads the operand."""
    source = x.node.operands[0]
    inner = x.node.params
    first: list[DimLike] = []
    for axis, dim in enumerate(source.shape):
        low = inner["low"][axis]
        if low == inner["high"][axis] == inner["interior"][axis] == 0:
            first.append(start[axis])
            continue
        begin = start[axis] + -low
        last = begin + (size[axis] + -1) * step[axis]
        rooms = (begin, last, dim + -1 + -begin, dim + -1 + -last)
        inside = all(never_negative(room) for room in rooms)
        if inner["interior"][axis] != 0 or not inside or size[axis] == 0:
            return None
        first.append(begin)
    found: Value = f.slice(source, start=tuple(first), size=size, step=step)
    return found


def _slice_of_concatenate(
    f: Namespace, x: Value, start: Shape, size: Shape, step: tuple[int, ...]
) -> Value | None:
    """A slice that reads one operand only."""
    axis = x.node.params["axis"]
    begin = start[axis]
    last = begin + (size[axis] + -1) * step[axis]
    offset: DimLike = 0
    for part in x.node.operands:
        after = offset + part.shape[axis]
        inside = all(
            never_negative(end + -offset) and never_negative(after + -1 + -end)
            for end in (begin, last)
        )
        if inside and size[axis] != 0:
            moved = tuple(
                first + -offset if position == axis else first
                for position, first in enumerate(start)
            )
            found: Value = f.slice(part, start=moved, size=size, step=step)
            return found
        offset = after
    return None


_SLICE_OF = {
    "slice": _slice_of_slice,
    "broadcast": _slice_of_broadcast,
    "pad": _slice_of_pad,
    "concatenate": _slice_of_concatenate,
}


# ---- padding, joining, the rest -----------------------------------------------------------------


def _pad(f: Namespace, operands: Operands, params: Params) -> Value | None:
    x, value = operands
    low, high, interior = params["low"], params["high"], params["interior"]
    if all(n == 0 for n in (*low, *high, *interior)):
        return x
    inner = made_by(x, "pad")
    if inner is not None and inner.operands[1] is value:
        nothing = (0,) * len(low)
        if interior == nothing == inner.params["interior"]:
            found: Value = f.pad(
                inner.operands[0],
                value,
                low=tuple(a + b for a, b in zip(low, inner.params["low"], strict=True)),
                high=tuple(a + b for a, b in zip(high, inner.params["high"], strict=True)),
                interior=nothing,
            )
            return found
    return None


def _concatenate(f: Namespace, operands: Operands, params: Params) -> Value | None:
    axis = params["axis"]
    kept = [x for x in operands if x.shape[axis] != 0] or list(operands[:1])
    flat: list[Value] = []
    for x in kept:
        inner = made_by(x, "concatenate")
        nested = inner is not None and inner.params["axis"] == axis
        flat.extend(inner.operands if inner is not None and nested else (x,))
    merged = [flat[0]]
    for x in flat[1:]:
        joined = _adjacent(f, merged[-1], x, axis)
        if joined is None:
            merged.append(x)
        else:
            merged[-1] = joined
    if len(merged) == 1:
        return merged[0]
    if len(merged) == len(operands) and all(a is b for a, b in zip(merged, operands, strict=True)):
        return None
    found: Value = f.concatenate(*merged, axis=axis)
    return found


def _adjacent(f: Namespace, left: Value, right: Value, axis: int) -> Value | None:
    """Two slices of one value that meet at `axis`, as one slice."""
    a, b = made_by(left, "slice"), made_by(right, "slice")
    if a is None or b is None or a.operands != b.operands or a.params["step"] != b.params["step"]:
        return None
    start, size, step = (a.params[name] for name in ("start", "size", "step"))
    for position, (first, second) in enumerate(zip(start, b.params["start"], strict=True)):
        if position == axis:
            if second != first + size[axis] * step[axis]:
                return None
        elif first != second:
            return None
    total = size[axis] + b.params["size"][axis]
    count = (*size[:axis], total, *size[axis + 1 :])
    found: Value = f.slice(a.operands[0], start=start, size=count, step=step)
    return found


def _flip(f: Namespace, operands: Operands, params: Params) -> Value | None:
    (x,) = operands
    axes = tuple(axis for axis in params["axes"] if x.shape[axis] != 1)
    if not axes:
        return x
    inner = made_by(x, "flip")
    found: Value
    if inner is not None:
        once = tuple(sorted(set(axes) ^ set(inner.params["axes"])))
        found = f.flip(inner.operands[0], axes=once)
        return found
    if axes != params["axes"]:
        found = f.flip(x, axes=axes)
        return found
    return None


def _no_windows(f: Namespace, operands: Operands, params: Params) -> Value | None:
    return None if params["axes"] else operands[0]


MOVEMENT_RULES: Rules = {
    "reshape": (_reshape,),
    "permute": (_permute,),
    "broadcast": (_broadcast,),
    "slice": (_slice,),
    "pad": (_pad,),
    "concatenate": (_concatenate,),
    "flip": (_flip,),
    "windows": (_no_windows,),
    "fold": (_no_windows,),
}
