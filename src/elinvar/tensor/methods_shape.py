"""Methods of tensors: shapes, axes, picking and placing, with PyTorch's names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elinvar.core.dtypes import DType, as_dtype, int64
from elinvar.core.errors import AxisError, DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis, size
from elinvar.tensor import linear as lin
from elinvar.tensor import manipulation as man
from elinvar.tensor import searching as find
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast, constant, expand, is_number, tensor_of
from elinvar.tensor.dispatch import F, apart
from elinvar.tensor.elementwise import conj, where
from elinvar.tensor.gathering import checked_index, scattered
from elinvar.tensor.indexing import get_item
from elinvar.tensor.methods_math import _UNSET, one_axis
from elinvar.tensor.repeating import repeat


def given_sizes(sizes: tuple[Any, ...]) -> Any:
    """Sizes given as in `x.view(2, 3)` or `x.view((2, 3))`."""
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


class ShapeMethods(Cell):
    """Shapes, axes, picking and placing."""

    __slots__ = ()

    # -- shapes --

    def reshape(self, *shape: Any) -> Any:
        """The elements in row-major order under another shape; one size may be -1."""
        return man.reshape(self, given_sizes(shape))

    def view(self, *shape: Any) -> Any:
        """`reshape`; with a dtype, the same bits read as another type of the same size."""
        if len(shape) == 1 and isinstance(shape[0], (DType, str)):
            target = as_dtype(shape[0])
            if target.bits != self.dtype.bits or target.kind == "b":
                text = f"{self._type} cannot be read as {target.name}: the sizes differ"
                fail(DTypeError, "view", text)
            return F.bitcast(self, dtype=target)
        return man.reshape(self, given_sizes(shape))

    def view_as(self, other: Any) -> Any:
        """The elements under the shape of another tensor."""
        return man.reshape(self, other.shape)

    reshape_as = view_as

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Any:
        """Axes start_dim … end_dim made one."""
        if not self.ndim:
            return F.reshape(self, shape=(1,))
        first = normalize_axis("flatten", start_dim, self.ndim)
        last = normalize_axis("flatten", end_dim, self.ndim)
        if first > last:
            fail(ValueRangeError, "flatten", f"start_dim {start_dim} lies after end_dim {end_dim}")
        shape = self.shape
        joined = (*shape[:first], size(shape[first : last + 1]), *shape[last + 1 :])
        return F.reshape(self, shape=joined)

    def ravel(self) -> Any:
        """All elements along one axis."""
        return man.reshape(self, (-1,))

    def unflatten(self, dim: int, sizes: Any) -> Any:
        """One axis cut into several; one size may be -1."""
        axis = normalize_axis("unflatten", dim, self.ndim)
        shape = self.shape
        known: Any = size(item for item in sizes if item != -1)
        parts = tuple(shape[axis] // known if item == -1 else item for item in sizes)
        return man.reshape(self, (*shape[:axis], *parts, *shape[axis + 1 :]))

    def expand(self, *sizes: Any) -> Any:
        """Axes of size 1 repeated, without a copy; -1 keeps an axis as it is."""
        wanted = man.as_shape("expand", given_sizes(sizes))
        extra = len(wanted) - self.ndim
        target = tuple(
            self.shape[axis - extra] if axis >= extra and isinstance(dim, int) and dim < 0 else dim
            for axis, dim in enumerate(wanted)
        )
        return man.broadcast_to(self, target)

    def expand_as(self, other: Any) -> Any:
        """Axes of size 1 repeated to the shape of another tensor."""
        return man.broadcast_to(self, other.shape)

    broadcast_to = expand

    def repeat(self, *sizes: Any, axis: Any = _UNSET) -> Any:
        """The whole tensor repeated along each axis, as in PyTorch (`el.tile`).

        With `axis=` each element along that axis, as in numpy (`el.repeat`).
        """
        if axis is not _UNSET:
            return repeat(self, sizes[0] if len(sizes) == 1 else sizes, axis=axis)
        return man.tile(self, given_sizes(sizes))

    def tile(self, *sizes: Any) -> Any:
        """The whole tensor repeated along each axis."""
        return man.tile(self, given_sizes(sizes))

    def repeat_interleave(self, repeats: Any, dim: int | None = None) -> Any:
        """Each element repeated (`el.repeat`)."""
        return repeat(self, repeats, axis=dim)

    # -- axes --

    def permute(self, *dims: Any) -> Any:
        """The axes in another order."""
        return man.permute_dims(self, given_sizes(dims))

    def transpose(self, dim0: int | Sequence[int] | None = None, dim1: int | None = None) -> Any:
        """Two axes exchanged; given a tuple all axes in that order, and without arguments in the
        opposite order, as in numpy."""
        if dim0 is None:
            return self.permute(tuple(reversed(range(self.ndim))))
        if isinstance(dim0, Sequence):
            return self.permute(tuple(dim0))
        if dim1 is None:
            text = "expected two axes, or a tuple of all, received one axis"
            fail(AxisError, "transpose", text, "write `x.transpose(0, 1)`, or `x.mT`")
        return self.swapaxes(dim0, dim1)

    def swapaxes(self, dim0: int, dim1: int) -> Any:
        """Two axes exchanged."""
        first = normalize_axis("transpose", dim0, self.ndim)
        second = normalize_axis("transpose", dim1, self.ndim)
        order = list(range(self.ndim))
        if order:
            order[first], order[second] = order[second], order[first]
        return man.permute_dims(self, tuple(order))

    swapdims = swapaxes

    def t(self) -> Any:
        """The transpose of a matrix; a tensor of fewer axes as it is."""
        if self.ndim > 2:
            text = f"expected at most 2 dimensions, received {self._type}"
            fail(ShapeError, "t", text, "use `.mT`, or `.permute(…)`")
        return apart(man.permuted(self, tuple(reversed(range(self.ndim)))), self, is_view=True)

    @property
    def T(self) -> Any:
        """The transpose of a matrix; see `mT` for stacks of matrices."""
        return self.t()

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return man.matrix_transpose(self)

    @property
    def H(self) -> Any:
        """The conjugate transpose of a matrix; see `mH` for stacks of matrices."""
        return conj(self.t())

    @property
    def mH(self) -> Any:
        """The last two axes exchanged, and the conjugate of complex numbers."""
        return conj(man.matrix_transpose(self))

    def adjoint(self) -> Any:
        """The last two axes exchanged, and the conjugate of complex numbers: `mH`."""
        return conj(man.matrix_transpose(self))

    def movedim(self, source: Any, destination: Any) -> Any:
        """Axes moved to other places."""
        return man.moveaxis(self, source, destination)

    moveaxis = movedim

    def unsqueeze(self, dim: int) -> Any:
        """A new axis of size 1."""
        return man.expand_dims(self, dim)

    def squeeze(self, dim: Any = _UNSET, *, axis: Any = _UNSET) -> Any:
        """Axes of size 1 removed: all of them, or the named ones that have size 1."""
        named = one_axis("squeeze", dim, axis)
        if named is None:
            wanted = range(self.ndim)
        else:
            items = (named,) if hasattr(named, "__index__") else named
            wanted = [normalize_axis("squeeze", item, self.ndim) for item in items]  # type: ignore[assignment]
        gone = {item for item in wanted if self.ndim and self.shape[item] == 1}
        return F.reshape(self, shape=tuple(d for i, d in enumerate(self.shape) if i not in gone))

    def flip(self, *dims: Any) -> Any:
        """Axes in reverse order."""
        return man.flip(self, axis=tuple(given_sizes(dims)) if dims else None)

    def roll(self, shifts: Any, dims: Any = None) -> Any:
        """Elements shifted along axes."""
        return man.roll(self, shifts, axis=dims)

    def split(self, split_size: Any, dim: Any = _UNSET, *, axis: Any = _UNSET) -> Any:
        """Pieces of a size along an axis."""
        return man.split(self, split_size, axis=one_axis("split", dim, axis, 0))

    def chunk(self, chunks: int, dim: Any = _UNSET, *, axis: Any = _UNSET) -> Any:
        """At most `chunks` pieces of equal size along an axis."""
        return man.chunk(self, chunks, axis=one_axis("chunk", dim, axis, 0))

    def unbind(self, dim: Any = _UNSET, *, axis: Any = _UNSET) -> Any:
        """The slices along an axis as a tuple."""
        return man.unstack(self, axis=one_axis("unbind", dim, axis, 0))

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
        """The diagonal of two axes, as the last axis."""
        first = normalize_axis("diagonal", dim1, self.ndim)
        second = normalize_axis("diagonal", dim2, self.ndim)
        rest = tuple(axis for axis in range(self.ndim) if axis not in (first, second))
        return lin.diagonal(man.permuted(self, (*rest, first, second)), offset=offset)

    def diag(self, diagonal: int = 0) -> Any:
        """The diagonal of a matrix, or the square matrix with a given diagonal."""
        if self.ndim == 2:
            return lin.diagonal(self, offset=diagonal)
        if self.ndim != 1:
            fail(ShapeError, "diag", f"expected 1 or 2 dimensions, received {self._type}")
        size_ = self.shape[0] + abs(diagonal)
        place = F.iota(size=self.shape[0], dtype=int64)
        row, column = max(0, -diagonal), max(0, diagonal)
        zeros = expand(constant("diag", 0, self.dtype), (size_ * size_,))
        flat = (place + row) * size_ + (place + column)
        return F.reshape(F.scatter(zeros, flat, self, axis=0, mode="set"), shape=(size_, size_))

    def unfold(self, dimension: int, size: int, step: int) -> Any:
        """All windows of an axis, as a new last axis."""
        axis = normalize_axis("unfold", dimension, self.ndim)
        windows = F.windows(self, axes=(axis,), sizes=(size,), strides=(step,), dilations=(1,))
        return man.moveaxis(windows, 0, -1)

    # -- picking --

    def narrow(self, dim: int, start: int, length: int) -> Any:
        """`length` elements of an axis from `start`."""
        axis = normalize_axis("narrow", dim, self.ndim)
        return get_item(self, (slice(None),) * axis + (slice(start, start + length),), "narrow")

    def select(self, dim: int, index: int) -> Any:
        """One element of an axis, which is dropped."""
        axis = normalize_axis("select", dim, self.ndim)
        return get_item(self, (slice(None),) * axis + (index,), "select")

    def index_select(self, dim: int, index: Any) -> Any:
        """Slices of an axis at indices (1-D)."""
        return find.take(self, index, axis=dim)

    def take(self, index: Any, axis: int | None = None) -> Any:
        """Elements of the flattened tensor at indices of any shape; with an axis, along it."""
        if axis is not None:
            return find.take(self, index, axis=axis)
        return find.take(man.reshape(self, (-1,)), index)

    def gather(self, dim: int, index: Any) -> Any:
        """result[…, i, …] = x[…, index[…, i, …], …]; other axes of index may be shorter."""
        axis, index = self._index_along("gather", dim, index)
        return find.gather_elements(self, index, axis) if self.ndim else self

    def _index_along(self, op: str, dim: int, index: Any) -> tuple[int, Any]:
        axis = normalize_axis(op, dim, max(self.ndim, 1))
        found = checked_index(op, index, self.shape[axis] if self.ndim else 1, axis)
        if found.ndim != self.ndim:
            text = f"index needs {self.ndim} dimensions as {self._type}, received {found._type}"
            fail(ShapeError, op, text)
        for place, (n, count) in enumerate(zip(self.shape, found.shape, strict=True)):
            if place != axis and isinstance(n, int) and isinstance(count, int) and count > n:
                text = f"index {found._type} is longer than {self._type} along axis {place}"
                fail(ShapeError, op, text)
        return axis, found

    def _scattered(self, op: str, dim: int, index: Any, src: Any, mode: str) -> Any:
        axis, index = self._index_along(op, dim, index)
        if is_number(src):
            update = expand(constant(op, src, self.dtype), index.shape)
        else:
            update = cast(tensor_of(op, src), self.dtype)
            if update.shape != index.shape:  # src may be longer; its leading part is used
                start, step = (0,) * update.ndim, (1,) * update.ndim
                update = F.slice(update, start=start, size=index.shape, step=step)
        if not self.ndim:
            return update if mode == "set" else F.add(self, update)
        places = man.reshape(find.flat_positions(self.shape, index, axis), (-1,))
        flat = man.reshape(self, (-1,))
        written = scattered(flat, places, man.reshape(update, (-1,)), 0, mode)
        return F.reshape(written, shape=self.shape)

    def scatter(self, dim: int, index: Any, src: Any) -> Any:
        """A copy in which result[…, index[…, i, …], …] = src[…, i, …]; the last one counts."""
        return self._scattered("scatter", dim, index, src, "set")

    def scatter_add(self, dim: int, index: Any, src: Any) -> Any:
        """A copy in which src is added at the indices, in order."""
        return self._scattered("scatter_add", dim, index, src, "add")

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
        """A copy in which slices of source are added at indices (1-D) of an axis, in order."""
        axis = normalize_axis("index_add", dim, self.ndim)
        index = checked_index("index_add", index, self.shape[axis], axis)
        update = cast(tensor_of("index_add", source), self.dtype)
        update = update if alpha == 1 else F.multiply(
            update, expand(constant("index_add", alpha, self.dtype), update.shape)
        )  # fmt: skip
        return scattered(self, index, update, axis, "add")

    def index_copy(self, dim: int, index: Any, source: Any) -> Any:
        """A copy in which slices at indices (1-D) of an axis are replaced."""
        axis = normalize_axis("index_copy", dim, self.ndim)
        index = checked_index("index_copy", index, self.shape[axis], axis)
        update = cast(tensor_of("index_copy", source), self.dtype)
        return scattered(self, index, update, axis, "set")

    def index_fill(self, dim: int, index: Any, value: Any) -> Any:
        """A copy in which slices at indices (1-D) of an axis are filled with a number."""
        axis = normalize_axis("index_fill", dim, self.ndim)
        index = checked_index("index_fill", index, self.shape[axis], axis)
        shape = (*self.shape[:axis], *index.shape, *self.shape[axis + 1 :])
        update = expand(constant("index_fill", value, self.dtype), shape)
        return scattered(self, index, update, axis, "set")

    def masked_fill(self, mask: Any, value: Any) -> Any:
        """A copy with a value where the mask is True; the mask broadcasts."""
        mask = tensor_of("masked_fill", mask)
        if mask.dtype.kind != "b":
            fail(DTypeError, "masked_fill", f"the mask must be bool, received {mask._type}")
        filler = (
            constant("masked_fill", value, self.dtype)
            if is_number(value)
            else cast(tensor_of("masked_fill", value), self.dtype)
        )
        return where(mask, filler, self)

    def masked_select(self, mask: Any) -> Any:
        """The elements where the mask is True, along one axis. Not under `jit`."""
        x, mask = man.broadcast_arrays(self, mask)
        return get_item(x, mask, "masked_select")

    def nonzero(self, as_tuple: bool = False) -> Any:
        """Indices of elements that are not zero: one row each, or one tensor per axis."""
        found = find.nonzero(self)
        return found if as_tuple else man.stack(found, axis=1)
