"""Manipulation functions of the Array API standard: shapes, axes, joining and repeating.

Permuting, slicing, flipping, broadcasting and most reshapes share memory with their operand.
Tensors' memory never changes, so that is never visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from elinvar.core.dtypes import int64, promote
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import (
    Dim,
    DimLike,
    Shape,
    format_shape,
    normalize_axes,
    normalize_axis,
    one_name,
    size,
)
from elinvar.core.shapes import broadcast_shapes as joint_shape
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast, expand, size_tensor, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.regions import Region, form_of, read


def as_shape(op: str, shape: Any) -> Shape:
    """A shape argument (an int, a Dim or a sequence of them) as a tuple of sizes."""
    if isinstance(shape, (int, Dim)) or (
        hasattr(shape, "__index__") and not getattr(shape, "ndim", 0)
    ):
        shape = (shape,)
    found = []
    for dim in shape:
        if isinstance(dim, Dim):
            found.append(dim)
            continue
        try:
            found.append(dim.__index__())
        except AttributeError:
            fail(ShapeError, op, f"sizes must be ints, received {dim!r}")
    return tuple(found)


def completed_shape(op: str, x: Any, shape: Shape) -> Shape:
    """`shape` with its one -1 replaced by the size that keeps the number of elements."""
    holes = [axis for axis, dim in enumerate(shape) if isinstance(dim, int) and dim == -1]
    total = x._type.size
    if len(holes) > 1:
        fail(ShapeError, op, f"only one size may be -1, received {format_shape(shape)}")
    if holes:
        known = size(dim for axis, dim in enumerate(shape) if axis != holes[0])
        missing = _share(op, x, shape, total, known)
        shape = (*shape[: holes[0]], missing, *shape[holes[0] + 1 :])
    for dim in shape:
        if isinstance(dim, int) and dim < 0:
            fail(ShapeError, op, f"sizes must not be negative, received {format_shape(shape)}")
    if size(shape) != total:
        text = f"sizes differ: {x._type} to {format_shape(shape)}, {total} ≠ {size(shape)}"
        fail(ShapeError, op, text, one_name(total, size(shape)))
    return shape


def _share(op: str, x: Any, shape: Shape, total: DimLike, known: DimLike) -> DimLike:
    if known == total and known != 0:
        return 1
    if isinstance(known, int) and isinstance(total, int):
        if known == 0 or total % known:
            text = f"{x._type} does not fit into {format_shape(shape)}: {total} elements"
            fail(ShapeError, op, text)
        return total // known
    if isinstance(total, Dim):
        try:
            return total // known
        except ShapeError:
            text = f"{total} elements are not known to be divisible by {known}"
            fail(ShapeError, op, f"{x._type} does not fit into {format_shape(shape)}: {text}")
    fail(ShapeError, op, f"{x._type} does not fit into {format_shape(shape)}")


def reshape(x: Any, /, shape: Any, *, copy: bool | None = None) -> Any:
    """The elements in row-major order under another shape; one size may be -1.

    Raises:
        ShapeError: the numbers of elements differ.

    Example:
        >>> import elinvar as el
        >>> el.reshape(el.arange(6), (2, -1)).tolist()
        [[0, 1, 2], [3, 4, 5]]
    """
    x = tensor_of("reshape", x)
    target = completed_shape("reshape", x, as_shape("reshape", shape))
    return F.reshape(x, shape=target)


def permute_dims(x: Any, /, axes: Sequence[int]) -> Any:
    """The axes in another order.

    Example:
        >>> import elinvar as el
        >>> el.permute_dims(el.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    x = tensor_of("permute_dims", x)
    order = tuple(normalize_axis("permute_dims", axis, x.ndim) for axis in axes)
    if sorted(order) != list(range(x.ndim)):
        text = f"axes must name each dimension of {x._type} once, received {tuple(axes)}"
        fail(AxisError, "permute_dims", text)
    return apart(permuted(x, order), x, is_view=True)


def permuted(x: Any, order: tuple[int, ...]) -> Any:
    """x with its axes in `order`; x itself where nothing moves."""
    return x if order == tuple(range(x.ndim)) else F.permute(x, axes=order)


def matrix_transpose(x: Any, /) -> Any:
    """The last two axes exchanged.

    Example:
        >>> import elinvar as el
        >>> el.matrix_transpose(el.asarray([[1, 2], [3, 4]])).tolist()
        [[1, 3], [2, 4]]
    """
    x = tensor_of("matrix_transpose", x)
    if x.ndim < 2:
        fail(ShapeError, "matrix_transpose", f"expected at least 2 dimensions, received {x._type}")
    order = tuple(range(x.ndim - 2))
    return F.permute(x, axes=(*order, x.ndim - 1, x.ndim - 2))


def moveaxis(x: Any, /, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Any:
    """Move axes to new places; the others keep their order.

    Example:
        >>> import elinvar as el
        >>> el.moveaxis(el.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    x = tensor_of("moveaxis", x)
    origin = _axis_list("moveaxis", source, x.ndim)
    target = _axis_list("moveaxis", destination, x.ndim)
    if len(origin) != len(target):
        text = f"source and destination differ in length: {source} and {destination}"
        fail(ValueRangeError, "moveaxis", text)
    order = [axis for axis in range(x.ndim) if axis not in origin]
    for place, axis in sorted(zip(target, origin, strict=True)):
        order.insert(place, axis)
    return apart(permuted(x, tuple(order)), x, is_view=True)


def _axis_list(op: str, axes: Any, rank: int) -> list[int]:
    """Axes in the order given, each once."""
    given = (axes,) if hasattr(axes, "__index__") else tuple(axes)
    normalize_axes(op, given, rank)
    return [normalize_axis(op, axis, rank) for axis in given]


def expand_dims(x: Any, /, axis: int | tuple[int, ...] = 0) -> Any:
    """New axes of size 1 at the given places of the result.

    Example:
        >>> import elinvar as el
        >>> el.expand_dims(el.zeros((2, 3)), axis=1).shape
        (2, 1, 3)
    """
    x = tensor_of("expand_dims", x)
    count = 1 if hasattr(axis, "__index__") else len(tuple(axis))
    places = normalize_axes("expand_dims", axis, x.ndim + count)
    old = iter(x.shape)
    shape = tuple(1 if item in places else next(old) for item in range(x.ndim + count))
    return F.reshape(x, shape=shape)


def squeeze(x: Any, /, axis: int | tuple[int, ...] | None = None) -> Any:
    """Remove axes of size 1: the given ones, or all of them.

    Raises:
        ShapeError: an axis has another size.

    Example:
        >>> import elinvar as el
        >>> el.squeeze(el.zeros((2, 1, 3)), axis=1).shape
        (2, 3)
    """
    x = tensor_of("squeeze", x)
    if axis is None:
        axis = tuple(item for item, dim in enumerate(x.shape) if dim == 1)
    axes = normalize_axes("squeeze", axis, x.ndim)
    for item in axes:
        if x.shape[item] != 1:
            fail(ShapeError, "squeeze", f"axis {item} of {x._type} has size {x.shape[item]}, not 1")
    return F.reshape(x, shape=tuple(d for item, d in enumerate(x.shape) if item not in axes))


def flip(x: Any, /, axis: int | tuple[int, ...] | None = None) -> Any:
    """The elements along axes in reverse order (all axes if None).

    Example:
        >>> import elinvar as el
        >>> el.flip(el.asarray([1, 2, 3])).tolist()
        [3, 2, 1]
    """
    x = tensor_of("flip", x)
    axes = normalize_axes("flip", axis, x.ndim)
    return F.flip(x, axes=axes) if axes else apart(x, x, is_view=True)


def broadcast_to(x: Any, /, shape: Any) -> Any:
    """x repeated along new axes and axes of size 1.

    Example:
        >>> import elinvar as el
        >>> el.broadcast_to(el.asarray([1, 2]), (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    x = tensor_of("broadcast_to", x)
    target = as_shape("broadcast_to", shape)
    if len(target) < x.ndim or joint_shape("broadcast_to", x.shape, target) != target:
        fail(ShapeError, "broadcast_to", f"{x._type} does not broadcast to {format_shape(target)}")
    return apart(expand(x, target), x, is_view=True)


def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All tensors broadcast to their common shape.

    Example:
        >>> import elinvar as el
        >>> a, b = el.broadcast_arrays(el.zeros((2, 1)), el.zeros((3,)))
        >>> a.shape, b.shape
        ((2, 3), (2, 3))
    """
    tensors = [tensor_of("broadcast_arrays", item) for item in arrays]
    shape = joint_shape("broadcast_arrays", *(item.shape for item in tensors))
    return tuple(apart(expand(item, shape), item, is_view=True) for item in tensors)


def broadcast_shapes(*shapes: Any) -> tuple[Any, ...]:
    """The shape that all of the given shapes broadcast to.

    Args:
        shapes: tuples of sizes, or single sizes; a size may be symbolic.

    Raises:
        ShapeError: two sizes of one axis differ and neither is 1.

    Example:
        >>> import elinvar as el
        >>> el.broadcast_shapes((5, 1), (1, 3), (3,))
        (5, 3)
    """
    given = [as_shape("broadcast_shapes", shape) for shape in shapes]
    for shape in given:
        if any(isinstance(dim, int) and dim < 0 for dim in shape):
            text = f"sizes must not be negative, received {format_shape(shape)}"
            fail(ShapeError, "broadcast_shapes", text)
    return joint_shape("broadcast_shapes", *given)


def _same_dtype(op: str, arrays: Iterable[Any]) -> list[Any]:
    if isinstance(arrays, Cell):
        arrays = unstack(arrays)
    tensors = [tensor_of(op, item) for item in arrays]
    if not tensors:
        fail(ValueRangeError, op, "expected at least one tensor")
    dtype = tensors[0].dtype
    for item in tensors[1:]:
        dtype = promote(dtype, item.dtype)
    return [cast(item, dtype) for item in tensors]


def concat(arrays: Sequence[Any], /, axis: int | None = 0) -> Any:
    """Join tensors along an existing axis (None: flatten them first).

    Raises:
        ShapeError: the tensors differ in another axis.

    Example:
        >>> import elinvar as el
        >>> el.concat([el.asarray([1, 2]), el.asarray([3])]).tolist()
        [1, 2, 3]
    """
    _need_list("concat", axis)
    tensors = _same_dtype("concat", arrays)
    if axis is None:
        tensors, axis = [reshape(item, (-1,)) for item in tensors], 0
    first = tensors[0]
    axis = normalize_axis("concat", axis, first.ndim)
    for item in tensors[1:]:
        beside = [p for i, p in enumerate(zip(first.shape, item.shape)) if i != axis]
        if item.ndim != first.ndim or any(a != b for a, b in beside):
            text = f"shapes differ beside axis {axis}: {first._type} and {item._type}"
            _refuse_pairs("concat", text, beside)
    if not first.ndim:
        fail(ShapeError, "concat", "tensors without dimensions cannot be joined", "use `stack`")
    return F.concatenate(*tensors, axis=axis) if len(tensors) > 1 else apart(first, first)


def _need_list(op: str, axis: Any) -> None:
    if isinstance(axis, Cell) and axis.ndim:
        text = f"axis must be an int, received {axis._type}"
        fail(DTypeError, op, text, f"give the tensors as a list: `el.{op}([x, y])`")


def _refuse_pairs(op: str, text: str, pairs: Sequence[tuple[DimLike, DimLike]]) -> NoReturn:
    """Refuse shapes of which some sizes differ; symbolic ones are named."""
    differing = [(a, b) for a, b in pairs if a != b and not (type(a) is type(b) is int)]
    shown = "".join(f", {a} ≠ {b}" for a, b in differing)
    fail(ShapeError, op, text + shown, one_name(*(d for pair in differing for d in pair)))


def stack(arrays: Sequence[Any], /, axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis.

    Example:
        >>> import elinvar as el
        >>> el.stack([el.asarray([1, 2]), el.asarray([3, 4])], axis=1).tolist()
        [[1, 3], [2, 4]]
    """
    tensors = _same_dtype("stack", arrays)
    first = tensors[0]
    axis = normalize_axis("stack", axis, first.ndim + 1)
    for item in tensors[1:]:
        if item.shape != first.shape:
            text = f"shapes differ: {first._type} and {item._type}"
            _refuse_pairs("stack", text, list(zip(first.shape, item.shape)))
    shape = (*first.shape[:axis], 1, *first.shape[axis:])
    rows = [F.reshape(item, shape=shape) for item in tensors]
    return F.concatenate(*rows, axis=axis) if len(rows) > 1 else rows[0]


def unstack(x: Any, /, axis: int = 0) -> tuple[Any, ...]:
    """The slices along an axis, as a tuple.

    Example:
        >>> import elinvar as el
        >>> [row.tolist() for row in el.unstack(el.asarray([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    x = tensor_of("unstack", x)
    axis = normalize_axis("unstack", axis, x.ndim)
    count = static_size("unstack", x, axis)
    kept = tuple([item for item in range(x.ndim) if item != axis])
    lengths = tuple([1 if item == axis else dim for item, dim in enumerate(x.shape)])
    form = form_of(lengths, (1,) * x.ndim, kept)
    before, after = (0,) * axis, (0,) * (x.ndim - axis - 1)
    return tuple(read(x, Region((*before, i, *after), form)) for i in range(count))


def static_size(op: str, x: Any, axis: int) -> int:
    """The size of an axis that must be known now."""
    if not x.ndim:
        fail(AxisError, op, f"expected at least one dimension, received {x._type}")
    count = x.shape[axis]
    if isinstance(count, Dim):
        text = f"the number of results would depend on axis {axis} of {x._type}"
        fail(ShapeError, op, text, "its size is symbolic here; use `scan` or fix the size")
    return count


def sliced(x: Any, axis: int, start: DimLike, count: DimLike) -> Any:
    """`count` elements along one axis from `start`."""
    rank = x.ndim
    starts = tuple([start if item == axis else 0 for item in range(rank)])
    sizes = tuple([count if item == axis else dim for item, dim in enumerate(x.shape)])
    steps = (1,) * rank
    last: Any = start + count
    known = type(start) is int and type(last) is int and type(x.shape[axis]) is int
    if known and 0 <= start <= last <= x.shape[axis]:
        return read(x, Region(starts, form_of(sizes, steps, tuple(range(rank)))))
    return F.slice(x, start=starts, size=sizes, step=steps)


def split(x: Any, size_or_sizes: int | Sequence[int], /, axis: int = 0) -> tuple[Any, ...]:
    """Cut a tensor along an axis into pieces of a size (the last may be smaller) or of given sizes.

    As in PyTorch, the argument is the size of the pieces, not their number (for that: `chunk`).

    Example:
        >>> import elinvar as el
        >>> [piece.tolist() for piece in el.split(el.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    x = tensor_of("split", x)
    axis = normalize_axis("split", axis, x.ndim)
    if hasattr(size_or_sizes, "__index__"):
        piece = size_or_sizes.__index__()
        total = static_size("split", x, axis)
        if piece <= 0:
            fail(ValueRangeError, "split", f"the size must be positive, received {piece}")
        sizes = [min(piece, total - start) for start in range(0, total, piece)] or [0]
    else:
        sizes = list(size_or_sizes)
        if sum(sizes) != x.shape[axis]:
            text = f"sizes {sizes} do not add up to axis {axis} of {x._type}"
            fail(ShapeError, "split", text)
    pieces, start = [], 0
    for count in sizes:
        pieces.append(sliced(x, axis, start, count))
        start = start + count
    return tuple(pieces)


def chunk(x: Any, chunks: int, /, axis: int = 0) -> tuple[Any, ...]:
    """Cut a tensor along an axis into at most `chunks` pieces of equal size (the last smaller).

    Example:
        >>> import elinvar as el
        >>> [piece.tolist() for piece in el.chunk(el.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    x = tensor_of("chunk", x)
    axis = normalize_axis("chunk", axis, x.ndim)
    if chunks <= 0:
        fail(ValueRangeError, "chunk", f"chunks must be positive, received {chunks}")
    total = x.shape[axis]
    if isinstance(total, Dim):  # exact division only
        piece = total // chunks
        return tuple(sliced(x, axis, piece * i, piece) for i in range(chunks))
    return split(x, max(1, -(-total // chunks)), axis=axis)


def roll(x: Any, /, shift: int | tuple[int, ...], axis: Any = None) -> Any:
    """Shift elements along axes; what leaves at one end enters at the other.

    Example:
        >>> import elinvar as el
        >>> el.roll(el.asarray([1, 2, 3, 4]), 1).tolist()
        [4, 1, 2, 3]
    """
    given = x = tensor_of("roll", x)
    if axis is None:
        if not hasattr(shift, "__index__"):
            fail(ValueRangeError, "roll", f"several shifts need several axes, received {shift}")
        return reshape(roll(reshape(x, (-1,)), shift, axis=0), x.shape)
    axes = (axis,) if hasattr(axis, "__index__") else tuple(axis)
    shifts: Any = (shift,) * len(axes) if hasattr(shift, "__index__") else tuple(shift)
    if len(shifts) != len(axes):
        fail(ValueRangeError, "roll", f"shifts {shifts} and axes {axes} differ in length")
    for item, count in zip(axes, shifts, strict=True):
        item = normalize_axis("roll", item, x.ndim)
        total = x.shape[item]
        if isinstance(total, int):
            count = count % total if total else 0
        elif abs(count) > (total.least() or 0):  # it may go round several times
            x = _rolled(x, count, item)
            continue
        elif count < 0:
            count = total + count
        if count != 0:
            head = sliced(x, item, total - count, count)
            x = F.concatenate(head, sliced(x, item, 0, total - count), axis=item)
    return apart(x, given)


def _rolled(x: Any, count: int, axis: int) -> Any:
    """An axis of symbolic size, rolled by reading element (i - count) mod n."""
    total = x.shape[axis]
    length = expand(size_tensor(total), (total,))
    places = F.iota(size=total, dtype=int64)
    shifts = expand(F.constant(value=count, dtype=int64), (total,))
    return F.gather(x, F.remainder(F.subtract(places, shifts), length), axis=axis)


def tile(x: Any, repetitions: Any, /) -> Any:
    """The whole tensor repeated along each axis.

    Example:
        >>> import elinvar as el
        >>> el.tile(el.asarray([1, 2]), (2,)).tolist()
        [1, 2, 1, 2]
    """
    x = tensor_of("tile", x)
    counts = as_shape("tile", repetitions)
    rank = max(x.ndim, len(counts))
    shape = (1,) * (rank - x.ndim) + x.shape
    counts = (1,) * (rank - len(counts)) + counts
    if all(count == 1 for count in counts):
        return F.reshape(x, shape=shape)
    apart = F.reshape(x, shape=tuple(dim for old in shape for dim in (1, old)))
    pairs = zip(counts, shape, strict=True)
    repeated = expand(apart, tuple(dim for pair in pairs for dim in pair))
    joined = tuple(a * b for a, b in zip(counts, shape, strict=True))
    return F.reshape(repeated, shape=joined)
