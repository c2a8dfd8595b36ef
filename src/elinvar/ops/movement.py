"""Movement: operations that rearrange, repeat or join elements.

slice and pad are in cutting.py, windows and fold in windows.py; their records are joined here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.errors import ShapeError, fail
from elinvar.core.shapes import Shape, format_shape, size
from elinvar.core.types import TensorType
from elinvar.ops import cutting, windows
from elinvar.ops.emit import array
from elinvar.ops.indexing import Read
from elinvar.ops.record import Op, Sample
from elinvar.ops.rules import (
    batch_axes,
    batched,
    check_axes,
    check_axis,
    check_dims,
    need_equal_dtypes,
    next_axes,
    permuted,
    replaced,
    reshaped,
)
from elinvar.ops.sampling import bad, booleans, brain_floats, complexes, floats, integers

# ---- reshape ------------------------------------------------------------------------------------


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    check_dims("reshape", "shape", shape)
    if x.size != size(shape):
        text = f"sizes differ: {x} to {format_shape(shape)}, {x.size} ≠ {size(shape)}"
        fail(ShapeError, "reshape", text)
    return x.with_shape(shape)


def aligned_groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]]:
    """The smallest groups of dims (none of them 1) of two shapes with equal products.

    `(2, 3, 4)` and `(6, 2, 2)` give `[([0, 1], [0]), ([2], [1, 2])]`.
    """
    positions: dict[Any, tuple[int, int]] = {}
    total: Any = 1
    for place, dim in enumerate(new):
        total = total * dim
        if dim != 1:
            positions[total] = (place, len(positions))
    groups: list[tuple[list[int], list[int]]] = []
    pending: list[int] = []
    taken = 0
    total = 1
    for place, dim in enumerate(old):
        total = total * dim
        if dim == 1:
            continue
        pending.append(place)
        if total in positions and positions[total][0] >= taken:
            end = positions[total][0] + 1
            groups.append((pending, [i for i in range(taken, end) if new[i] != 1]))
            pending, taken = [], end
    return groups


def _reshape_map(ix: Any, index: Any, types: Any, *, shape: Shape) -> list[Read]:
    old = types[0].shape
    found: list[Any] = [0] * len(old)
    if size(old) == 0:
        return [Read(0, tuple(found))]
    for sources, targets in aligned_groups(old, shape):
        if len(sources) == len(targets) == 1:
            found[sources[0]] = index[targets[0]]
            continue
        linear = index[targets[0]]
        for target in targets[1:]:
            linear = linear * shape[target] + index[target]
        for position, source in enumerate(sources):
            stride = size(old[i] for i in sources[position + 1 :])
            part = linear if len(sources) == position + 1 else linear // stride
            found[source] = part if position == 0 else part % old[source]
    return [Read(0, tuple(found))]


def _reshape_samples() -> list[Sample]:
    pairs: list[tuple[Any, Any]] = [
        ((6,), (2, 3)), ((2, 3), (6,)), ((2, 3, 4), (6, 4)), ((2, 3, 4), (2, 12)),
        ((2, 3, 4), (4, 3, 2)), ((2, 6), (3, 4)), ((), (1, 1)), ((1,), ()), ((2, 1, 3), (2, 3)),
        ((2, 3), (1, 2, 1, 3)), ((0, 3), (0,)), ((2, 0), (5, 0, 7)), ((4, 6, 5), (2, 12, 5)),
        ((2, 3, 4, 5), (2, 3, 4, 5)), ((4, 3, 5), (2, 2, 15)), ((6, 4), (3, 8)),
    ]  # fmt: skip
    found = [Sample((floats(*old),), {"shape": new}) for old, new in pairs]
    return [
        *found,
        Sample((booleans(2, 3),), {"shape": (3, 2)}, differentiable=False),
        Sample((complexes(2, 3),), {"shape": (3, 2)}),
        Sample((integers(2, 3, dtype=np.int8),), {"shape": (6,)}, differentiable=False),
        Sample((brain_floats(4),), {"shape": (2, 2)}, False, bfloat16=True),
    ]


RESHAPE = Op(
    name="reshape",
    family="movement",
    doc="""The same elements in row-major order in another shape.

    Args:
        shape: the new shape, with the same number of elements.

    Shape:
        `shape`; the dtype of x.

    Raises:
        ShapeError: the numbers of elements differ.

    Example:
        >>> reshape(array([[1, 2, 3], [4, 5, 6]]), shape=(3, 2))
        array([[1, 2],
               [3, 4],
               [5, 6]])
    """,
    type_rule=_reshape_type,
    reference=lambda x, *, shape: np.reshape(x, shape),
    derivative=lambda f, operands, results, cotangents, *, shape: (
        reshaped(f, cotangents[0], operands[0].shape),
    ),
    batching=lambda f, size, operands, mapped, *, shape: f.reshape(
        operands[0], shape=(size, *shape)
    ),
    lowering=_reshape_map,
    stablehlo="stablehlo.reshape",
    samples=_reshape_samples,
    bad_samples=lambda: [
        bad("f32[2,3]", "[reshape] sizes differ: f32[2,3] to [4], 6 ≠ 4", shape=(4,)),
        bad("f32[B,3]", "sizes differ: f32[B,3] to [12], 3*B ≠ 12", shape=(12,)),
        bad("f32[6]", "[reshape] shape must not be negative: -1", shape=(-1, 3)),
        bad("f32[6]", "[reshape] shape must be a tuple of sizes, received [6]", shape=[6]),
    ],
    params=("shape",),
)


# ---- permute ------------------------------------------------------------------------------------


def _permute_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    check_axes("permute", x, axes, in_order=False)
    if len(axes) != x.rank:
        fail(ShapeError, "permute", f"axes {axes} must name each dimension of {x} once")
    return x.with_shape(tuple(x.shape[axis] for axis in axes))


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes another."""
    return tuple(axes.index(axis) for axis in range(len(axes)))


PERMUTE = Op(
    name="permute",
    family="movement",
    doc="""The dimensions in another order: dimension d of the result is dimension axes[d] of x.

    Args:
        axes: each dimension of x once.

    Shape:
        x's dimensions in that order; the dtype of x.

    Example:
        >>> permute(array([[1, 2, 3], [4, 5, 6]]), axes=(1, 0))
        array([[1, 4],
               [2, 5],
               [3, 6]])
    """,
    type_rule=_permute_type,
    reference=lambda x, *, axes: np.transpose(x, axes),
    derivative=lambda f, operands, results, cotangents, *, axes: (
        permuted(f, cotangents[0], inverse(axes)),
    ),
    batching=lambda f, size, operands, mapped, *, axes: f.permute(
        operands[0], axes=(0, *next_axes(axes))
    ),
    lowering=lambda ix, index, types, *, axes: [
        Read(0, tuple(index[axes.index(axis)] for axis in range(len(axes))))
    ],
    stablehlo=("stablehlo.transpose", lambda x, axes: {"permutation": array(axes)}),
    samples=lambda: [
        *(
            Sample((floats(*shape),), {"axes": axes})
            for shape, axes in (
                ((), ()), ((3,), (0,)), ((2, 3), (1, 0)), ((2, 3, 4), (1, 2, 0)),
                ((2, 3, 4), (2, 1, 0)), ((2, 1, 3, 2), (3, 0, 2, 1)), ((0, 3), (1, 0)),
            )
        ),
        Sample((booleans(2, 3),), {"axes": (1, 0)}, differentiable=False),
        Sample((complexes(20, 30),), {"axes": (1, 0)}),
        Sample((floats(2, 3, dtype=np.float16),), {"axes": (1, 0)}, differentiable=False),
    ],
    bad_samples=lambda: [
        bad("f32[2,3]", "axes (0,) must name each dimension of f32[2,3] once", axes=(0,)),
        bad("f32[2,3]", "[permute] an axis is named twice in (0, 0)", axes=(0, 0)),
        bad("f32[2,3]", "[permute] axis 2 is out of range for f32[2,3]", axes=(0, 2)),
    ],
    params=("axes",),
)  # fmt: skip


# ---- broadcast ----------------------------------------------------------------------------------


def _broadcast_type(x: TensorType, *, shape: Shape) -> TensorType:
    check_dims("broadcast", "shape", shape)
    extra = len(shape) - x.rank
    if extra < 0:
        fail(ShapeError, "broadcast", f"{x} has more dimensions than {format_shape(shape)}")
    for old, new in zip(x.shape, shape[extra:], strict=True):
        if old != 1 and old != new:
            text = f"{x} does not broadcast to {format_shape(shape)}: {old} ≠ {new}"
            fail(ShapeError, "broadcast", text)
    return x.with_shape(shape)


def _broadcast_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, shape: Shape
) -> Any:
    """The one place where broadcasting is undone: by a sum over the repeated dimensions."""
    old = tuple(operands[0].shape)
    extra = len(shape) - len(old)
    axes = tuple(
        axis
        for axis, dim in enumerate(shape)
        if axis < extra or (old[axis - extra] == 1 and dim != 1)
    )
    summed = f.sum(cotangents[0], axes=axes) if axes else cotangents[0]
    return (reshaped(f, summed, old),)


def _broadcast_batching(f: Any, size: Any, operands: Any, mapped: Any, *, shape: Shape) -> Any:
    x = operands[0]
    ones = (1,) * (len(shape) + 1 - len(x.shape))
    return f.broadcast(reshaped(f, x, (size, *ones, *x.shape[1:])), shape=(size, *shape))


def _broadcast_map(ix: Any, index: Any, types: Any, *, shape: Shape) -> list[Read]:
    extra = len(shape) - types[0].rank
    places = enumerate(types[0].shape)
    return [Read(0, tuple(0 if dim == 1 else index[extra + axis] for axis, dim in places))]


BROADCAST = Op(
    name="broadcast",
    family="movement",
    doc="""x repeated along new leading dimensions and along dimensions of size 1.

    Args:
        shape: the new shape; aligned at the end, each dimension of x is 1 or equal to it.

    Shape:
        `shape`; the dtype of x.

    Raises:
        ShapeError: a dimension is neither 1 nor equal.

    Example:
        >>> broadcast(array([[1], [2]]), shape=(2, 3))
        array([[1, 1, 1],
               [2, 2, 2]])
    """,
    type_rule=_broadcast_type,
    reference=lambda x, *, shape: np.array(np.broadcast_to(x, shape)),
    derivative=_broadcast_derivative,
    batching=_broadcast_batching,
    lowering=_broadcast_map,
    stablehlo=(
        "stablehlo.broadcast_in_dim",
        lambda x, shape: {
            "broadcast_dimensions": array(range(len(shape) - x.rank, len(shape)))
        },
    ),
    samples=lambda: [
        *(
            Sample((floats(*old),), {"shape": new})
            for old, new in (
                ((), (3,)), ((), ()), ((3,), (2, 3)), ((1,), (4,)), ((2, 1), (2, 3)),
                ((1, 3), (2, 3)), ((2, 1, 3), (4, 2, 5, 3)), ((1, 1), (0, 3)), ((1,), (2, 1)),
                ((0, 1), (0, 4)), ((2, 3), (2, 3)),
            )
        ),
        Sample((booleans(2, 1),), {"shape": (2, 3)}, differentiable=False),
        Sample((complexes(2, 1),), {"shape": (2, 3)}),
        Sample((integers(1, 3, dtype=np.uint16),), {"shape": (2, 3)}, differentiable=False),
    ],
    bad_samples=lambda: [
        bad("f32[2,3]", "f32[2,3] does not broadcast to [2,4]: 3 ≠ 4", shape=(2, 4)),
        bad("f32[B]", "f32[B] does not broadcast to [4]: B ≠ 4", shape=(4,)),
        bad("f32[2,3]", "[broadcast] f32[2,3] has more dimensions than [3]", shape=(3,)),
    ],
    params=("shape",),
)  # fmt: skip


# ---- concatenate --------------------------------------------------------------------------------


def _concatenate_type(*xs: TensorType, axis: int) -> TensorType:
    if not xs:
        fail(ShapeError, "concatenate", "expected at least one operand")
    check_axis("concatenate", xs[0], axis)
    need_equal_dtypes("concatenate", *xs)
    for x in xs[1:]:
        if x.rank != xs[0].rank or replaced(x.shape, axis) != replaced(xs[0].shape, axis):
            fail(ShapeError, "concatenate", f"shapes differ beside axis {axis}: {xs[0]} and {x}")
    total = xs[0].shape[axis]
    for x in xs[1:]:
        total = total + x.shape[axis]
    return xs[0].with_shape(replaced(xs[0].shape, axis, total))


def _concatenate_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, *, axis: int
) -> Any:
    found = []
    none, ones = (0,) * len(operands[0].shape), (1,) * len(operands[0].shape)
    offset: Any = 0
    for x in operands:
        start = replaced(none, axis, offset)
        found.append(f.slice(cotangents[0], start=start, size=tuple(x.shape), step=ones))
        offset = offset + x.shape[axis]
    return tuple(found)


def _concatenate_map(ix: Any, index: Any, types: Any, *, axis: int) -> list[Read]:
    found = []
    offset: Any = 0
    for operand, kind in enumerate(types):
        place = index[axis] - offset if offset != 0 else index[axis]
        offset = offset + kind.shape[axis]
        guard = None if operand == len(types) - 1 else index[axis].lt(offset)
        found.append(Read(operand, replaced(tuple(index), axis, place), guard))
    return found


CONCATENATE = Op(
    name="concatenate",
    family="movement",
    doc="""The operands one after the other along an axis.

    Args:
        axis: the axis along which they are joined.

    Shape:
        The sum of the sizes along the axis; elsewhere the operands agree.

    Raises:
        ShapeError: the operands differ beside the axis.

    Example:
        >>> concatenate(array([1, 2]), array([3]), axis=0)
        array([1, 2, 3])
    """,
    type_rule=_concatenate_type,
    reference=lambda *xs, axis: np.concatenate(xs, axis),
    derivative=_concatenate_derivative,
    batching=lambda f, size, operands, mapped, *, axis: f.concatenate(
        *(batched(f, size, x, m) for x, m in zip(operands, mapped, strict=True)), axis=axis + 1
    ),
    lowering=_concatenate_map,
    stablehlo=("stablehlo.concatenate", lambda *xs, axis: {"dimension": f"{axis} : i64"}),
    samples=lambda: [
        Sample((floats(2), floats(3)), {"axis": 0}),
        Sample((floats(2, 3), floats(1, 3), floats(4, 3)), {"axis": 0}),
        Sample((floats(2, 3), floats(2, 1)), {"axis": 1}),
        Sample((floats(2, 0), floats(2, 2), floats(2, 0)), {"axis": 1}),
        Sample((floats(2, 2),), {"axis": 1}),
        Sample((floats(0, 2), floats(0, 1)), {"axis": 1}),
        Sample((booleans(2), booleans(1)), {"axis": 0}, differentiable=False),
        Sample((complexes(2), complexes(33)), {"axis": 0}),
        Sample((integers(2, 2), integers(2, 1, seed=1)), {"axis": 1}, differentiable=False),
        Sample((brain_floats(2), brain_floats(3)), {"axis": 0}, False, bfloat16=True),
    ],
    bad_samples=lambda: [
        bad("", "[concatenate] expected at least one operand", axis=0),
        bad("f32[2,3] f32[2,4]", "shapes differ beside axis 0: f32[2,3] and f32[2,4]", axis=0),
        bad("f32[2] f32[2,1]", "shapes differ beside axis 0: f32[2] and f32[2,1]", axis=0),
        bad("f32[2] i32[2]", "[concatenate] dtypes differ: f32[2] and i32[2]", axis=0),
        bad("f32[] f32[]", "[concatenate] axis 0 is out of range for f32[]", axis=0),
    ],
    params=("axis",),
)


# ---- flip ---------------------------------------------------------------------------------------


def _flip_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    check_axes("flip", x, axes)
    return x


def _flip_map(ix: Any, index: Any, types: Any, *, axes: tuple[int, ...]) -> list[Read]:
    rows = enumerate(zip(index, types[0].shape, strict=True))
    return [Read(0, tuple(n - 1 - i if axis in axes else i for axis, (i, n) in rows))]


FLIP = Op(
    name="flip",
    family="movement",
    doc="""The elements in reverse order along some axes.

    Args:
        axes: the axes to reverse, increasing.

    Shape:
        The type of x.

    Example:
        >>> flip(array([1, 2, 3]), axes=(0,))
        array([3, 2, 1])
    """,
    type_rule=_flip_type,
    reference=lambda x, *, axes: np.flip(x, axes),
    derivative=lambda f, operands, results, cotangents, *, axes: (
        f.flip(cotangents[0], axes=axes),
    ),
    batching=batch_axes("flip"),
    lowering=_flip_map,
    stablehlo=("stablehlo.reverse", lambda x, axes: {"dimensions": array(axes)}),
    samples=lambda: [
        Sample((floats(4),), {"axes": (0,)}),
        Sample((floats(2, 3),), {"axes": (1,)}),
        Sample((floats(2, 1, 3),), {"axes": (0, 2)}),
        Sample((floats(2, 3),), {"axes": ()}),
        Sample((floats(0, 3),), {"axes": (0, 1)}),
        Sample((booleans(3),), {"axes": (0,)}, differentiable=False),
        Sample((complexes(35),), {"axes": (0,)}),
    ],
    bad_samples=lambda: [
        bad("f32[2,3]", "[flip] axis 2 is out of range for f32[2,3]", axes=(2,)),
        bad("f32[2,3]", "[flip] axes must increase, received (1, 0)", axes=(1, 0)),
    ],
    params=("axes",),
)


OPS: tuple[Op, ...] = (
    RESHAPE, PERMUTE, BROADCAST, CONCATENATE, FLIP, *cutting.OPS, *windows.OPS,
)  # fmt: skip
