"""Methods of tensors by PyTorch's names and arguments: reductions, order, statistics, products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.dtypes import int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import normalize_axis, size
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear as lin
from elinvar.tensor import manipulation as man
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.convert import cast, expand
from elinvar.tensor.dispatch import F
from elinvar.tensor.extra import numeric, quantiles, sets, special, statistics
from elinvar.tensor.gathering import true_positions
from elinvar.tensor.methods_math import ValuesIndices

if TYPE_CHECKING:
    from elinvar.tensor.tensor import Tensor


class MinMax(NamedTuple):
    """Results of `aminmax`."""

    min: Tensor
    max: Tensor


def clamp_max(self: Any, max: Any) -> Any:
    """x limited from above."""
    return ew.clip(self, None, max)


def clamp_min(self: Any, min: Any) -> Any:
    """x limited from below."""
    return ew.clip(self, min, None)


def logit(self: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), where x is limited to eps … 1 - eps first, if eps is given."""
    return special.logit(self if eps is None else ew.clip(self, eps, 1 - eps))


def polygamma(self: Any, n: int) -> Any:
    """The n-th derivative of digamma."""
    return special.polygamma(n, self)


def aminmax(self: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The least and the greatest element, of all or along an axis."""
    return MinMax(
        red.min(self, axis=dim, keepdims=keepdim), red.max(self, axis=dim, keepdims=keepdim)
    )


def _running(x: Any, dim: int, primitive: Any) -> ValuesIndices:
    axis = normalize_axis("cummax", dim, x.ndim)
    values = primitive(x, axis=axis, reverse=False)
    # the place of the last element that equals the extreme so far
    hit = F.bitwise_or(F.equal(x, values), F.not_equal(x, x))
    shape = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
    place = expand(F.reshape(F.iota(size=x.shape[axis], dtype=int64), shape=shape), x.shape)
    return ValuesIndices(values, F.cummax(ew.where(hit, place, 0), axis=axis, reverse=False))


def cummax(self: Any, dim: int) -> ValuesIndices:
    """The greatest element so far along an axis, and its place (the last of equal ones)."""
    return _running(self, dim, F.cummax)


def cummin(self: Any, dim: int) -> ValuesIndices:
    """The least element so far along an axis, and its place (the last of equal ones)."""
    return _running(self, dim, F.cummin)


def logcumsumexp(self: Any, dim: int) -> Any:
    """log Σ exp(x) over the elements so far along an axis."""
    return statistics.logcumsumexp(self, axis=dim)


def quantile(
    self: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """The q-quantiles of all elements or along an axis."""
    return quantiles.quantile(self, q, dim, method=interpolation, keepdims=keepdim)


def nanquantile(
    self: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
    interpolation: str = "linear",
) -> Any:  # fmt: skip
    """The q-quantiles of the elements that are not NaN."""
    return quantiles.nanquantile(self, q, dim, method=interpolation, keepdims=keepdim)


def nanmedian(self: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the middle elements that are not NaN: of all, or values and indices."""
    if dim is None:
        return nanmedian(F.reshape(self, shape=(self._type.size,)), 0).values
    axis = normalize_axis("nanmedian", dim, self.ndim)
    order = find.argsort(self, axis=axis)
    present = red.sum(ew.logical_not(ew.isnan(self)), axis=axis, keepdims=True)
    middle = ew.maximum(ew.floor_divide(ew.subtract(present, 1), 2), 0)
    return _at(self, find.take_along_axis(order, middle, axis=axis), axis, keepdim)


def _at(x: Any, places: Any, axis: int, keepdim: bool) -> ValuesIndices:
    found = find.take_along_axis(x, places, axis=axis)
    if not keepdim:
        found, places = man.squeeze(found, axis), man.squeeze(places, axis)
    return ValuesIndices(found, places)


def kthvalue(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th least element along an axis (from 1), and its index."""
    axis = normalize_axis("kthvalue", dim, self.ndim)
    count = self.shape[axis]
    if k < 1 or (isinstance(count, int) and k > count):
        fail(ValueRangeError, "kthvalue", f"k is {k}, axis {dim} of {self._type} has {count}")
    order = find.argsort(self, axis=axis)
    return _at(self, man.sliced(order, axis, k - 1, 1), axis, keepdim)


def mode(self: Any, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent element along an axis (the least of several), and where it stands last."""
    axis = normalize_axis("mode", dim, self.ndim)
    moved = man.moveaxis(self, axis, -1)
    last, count = moved.ndim - 1, moved.shape[-1]
    if count == 0:
        fail(ShapeError, "mode", f"axis {dim} of {self._type} is empty")
    order = find.argsort(moved, axis=last)
    ordered = find.take_along_axis(moved, order, axis=last)
    place = expand(F.iota(size=count, dtype=int64), moved.shape)
    before = man.roll(ordered, 1, axis=last)
    starts = ew.logical_or(ew.not_equal(ordered, before), ew.equal(place, 0))
    begin = F.cummax(ew.where(starts, place, 0), axis=last, reverse=False)
    longest = red.argmax(ew.subtract(place, begin), axis=last, keepdims=True)
    found = _at(moved, find.take_along_axis(order, longest, axis=last), last, True)
    if keepdim:
        return ValuesIndices(*(man.moveaxis(x, -1, axis) for x in found))
    return ValuesIndices(*(man.squeeze(x, last) for x in found))


def msort(self: Any) -> Any:
    """The elements along the first axis in order."""
    return find.sort(self, axis=0)


def bincount(self: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0 … max(x) occurs. Not under `jit`; see `el.bincount`."""
    return statistics.bincount(self, weights, minlength)


def histc(self: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of several equal bins; with min = max those of the data."""
    span = None if min == max == 0 else (float(min), float(max))
    return cast(statistics.histogram(self, bins, span)[0], self.dtype)


def cov(self: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables, which are the rows."""
    return statistics.cov(self, ddof=correction, fweights=fweights, aweights=aweights)


def corrcoef(self: Any) -> Any:
    """The matrix of correlation coefficients of variables, which are the rows."""
    return statistics.corrcoef(self)


def dist(self: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of x - other."""
    return red.vector_norm(ew.subtract(self, other), ord=p)


def renorm(self: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along an axis shrunk such that their p-norm is at most maxnorm."""
    axis = normalize_axis("renorm", dim, self.ndim)
    others = tuple(i for i in range(self.ndim) if i != axis)
    norm = red.vector_norm(self, axis=others, keepdims=True, ord=p)
    large = ew.greater(norm, maxnorm)
    factor = ew.where(large, ew.divide(maxnorm, ew.add(norm, 1e-7)), 1.0)
    return ew.multiply(self, cast(factor, self.dtype))


def unique(
    self: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The distinct values in order (or slices along an axis). Not under `jit`; see `el.unique`."""
    return sets.unique(self, False, return_inverse, return_counts, dim, equal_nan=False)


def unique_consecutive(
    self: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first element of each run of equal ones (or slices along an axis). Not under `jit`."""
    find.need_values("unique_consecutive", self, "call it outside of the jit")
    axis = 0 if dim is None else normalize_axis("unique_consecutive", dim, self.ndim)
    x = man.reshape(self, (-1,)) if dim is None else man.moveaxis(self, axis, 0)
    count = x.shape[0]
    if not count:
        places = group = counts = F.iota(size=0, dtype=int64)
    else:
        later, earlier = man.sliced(x, 0, 1, count - 1), man.sliced(x, 0, 0, count - 1)
        flat = F.reshape(F.not_equal(later, earlier), shape=(count - 1, size(x.shape[1:])))
        changed = F.any(flat, axes=(1,))
        places = ew.add(true_positions(changed), 1)
        places = F.concatenate(F.iota(size=1, dtype=int64), places, axis=0)
        steps = F.concatenate(F.iota(size=1, dtype=int64), cast(changed, int64), axis=0)
        group = F.cumsum(steps, axis=0, reverse=False)
        end = F.reshape(F.constant(value=count, dtype=int64), shape=(1,))
        counts = red.diff(places, append=end)
    values = F.gather(x, places, axis=0) if count else x
    found = [values if dim is None else man.moveaxis(values, 0, axis)]
    if return_inverse:
        found.append(F.reshape(group, shape=self.shape) if dim is None else group)
    if return_counts:
        found.append(counts)
    return found[0] if len(found) == 1 else tuple(found)


def sum_to_size(self: Any, *sizes: Any) -> Any:
    """Added up along the axes along which `expand` would repeat a tensor of a shape."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    wanted = man.as_shape("sum_to_size", given)
    extra = self.ndim - len(wanted)
    if extra < 0 or any(
        n not in (1, m) for n, m in zip(wanted, self.shape[max(extra, 0) :], strict=False)
    ):
        fail(ShapeError, "sum_to_size", f"{self._type} cannot be added up to {wanted}")
    axes = tuple(
        i for i in range(self.ndim) if i < extra or (wanted[i - extra] == 1 != self.shape[i])
    )
    found = cast(red.sum(self, axis=axes, keepdims=True), self.dtype) if axes else self
    return F.reshape(found, shape=wanted)


def diff(self: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The n-th difference of neighbours along an axis."""
    return red.diff(self, axis=dim, n=n, prepend=prepend, append=append)


def is_nonzero(self: Any) -> bool:
    """Whether the one element is not zero."""
    if self._type.size != 1:
        fail(ShapeError, "is_nonzero", f"expected one element, received {self._type}")
    return bool(self)


def is_signed(self: Any) -> bool:
    """Whether the dtype has negative numbers."""
    return self.dtype.kind not in "bu"


# ---- products -----------------------------------------------------------------------------------


def _mixed(x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    product = product if alpha == 1 else ew.multiply(product, alpha)
    return ew.add(product, x if beta == 1 else ew.multiply(x, beta))


def addbmm(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · x + alpha · Σ batch1[i] @ batch2[i]."""
    product = lin.tensordot(batch1, batch2, axes=((0, 2), (0, 1)))
    return _mixed(self, product, beta, alpha)


def addmv(self: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · x + alpha · mat @ vec."""
    return _mixed(self, lin.matmul(mat, vec), beta, alpha)


def addr(self: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · x + alpha · the outer product of two vectors."""
    return _mixed(self, lin.outer(vec1, vec2), beta, alpha)


def cross(self: Any, other: Any, dim: int | None = None) -> Any:
    """The cross product along an axis; the first of size 3 if None."""
    if dim is None:
        dim = next((i for i, n in enumerate(self.shape) if n == 3), -1)
    return numeric.cross(self, other, axis=dim)
