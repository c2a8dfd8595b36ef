"""Methods of tensors: mathematics. Reductions take `dim`, `keepdim` or `axis`, `keepdims`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from elinvar.core.dtypes import as_dtype
from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.shapes import normalize_axis
from elinvar.tensor import activations, special
from elinvar.tensor import elementwise as ew
from elinvar.tensor import linear as lin
from elinvar.tensor import reductions as red
from elinvar.tensor import searching as find
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import tril, triu
from elinvar.tensor.dispatch import F
from elinvar.tensor.manipulation import sliced, squeeze

if TYPE_CHECKING:
    from elinvar.tensor.tensor import Tensor


class ValuesIndices(NamedTuple):
    """Values and their indices along an axis."""

    values: Tensor
    indices: Tensor


_UNSET: Any = object()


def one_axis(op: str, dim: Any, axis: Any, default: Any = None) -> Any:
    """The axis that was named `dim` or `axis`; both at once are refused."""
    if axis is _UNSET:
        return default if dim is _UNSET else dim
    if dim is not _UNSET:
        fail(ValueRangeError, op, f"dim and axis are the same thing, received {dim} and {axis}")
    return axis


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def _reduction(function: Callable[..., Any]) -> Any:
    name = function.__name__

    def method(
        self: Any,
        dim: Any = _UNSET,
        keepdim: bool = False,
        *,
        axis: Any = _UNSET,
        keepdims: bool = False,
        out: None = None,  # numpy's own functions pass it
        **options: Any,
    ) -> Any:
        if out is not None:
            fail(ValueRangeError, name, "results are new tensors; `out` cannot be given")
        axes = _axes(one_axis(name, dim, axis))
        return function(self, axis=axes, keepdims=keepdim or keepdims, **options)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def _spread(function: Callable[..., Any]) -> Any:
    """var and std: the correction is 1 by default, as in PyTorch."""
    name = function.__name__

    def method(
        self: Any,
        dim: Any = _UNSET,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        axis: Any = _UNSET,
        keepdims: bool = False,
        correction: float | None = None,
        ddof: float | None = None,  # NumPy's word for it
        dtype: Any = None,
        out: None = None,
    ) -> Any:
        if out is not None:
            fail(ValueRangeError, name, "results are new tensors; `out` cannot be given")
        correction = ddof if correction is None else correction
        x = self if dtype is None else cast(self, as_dtype(dtype))
        if isinstance(dim, bool):  # x.var(False)
            dim, unbiased = _UNSET, dim
        if correction is None:
            correction = 1.0 if unbiased is None or unbiased else 0.0
        axes = _axes(one_axis(name, dim, axis))
        return function(x, axis=axes, correction=correction, keepdims=keepdim or keepdims)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"As `el.{name}`, but the correction is 1 by default, as in PyTorch."
    return method


def _extreme(name: str, values: Any, indices: Any, binary: Any) -> Any:
    def method(
        self: Any,
        dim: Any = _UNSET,
        keepdim: bool = False,
        *,
        axis: Any = _UNSET,
        keepdims: bool = False,
        out: None = None,  # numpy's own functions pass it
    ) -> Any:
        if out is not None:
            fail(ValueRangeError, name, "results are new tensors; `out` cannot be given")
        if isinstance(dim, Cell):
            return binary(self, dim)
        if dim is _UNSET or dim is None:
            axes = None if axis is _UNSET else _axes(axis)
            return values(self, axis=axes, keepdims=keepdim or keepdims)
        one_axis(name, dim, axis)
        kept = keepdim or keepdims
        places = indices(self, axis=dim, keepdims=kept)
        if self._node is None or not self.ndim:
            return ValuesIndices(values(self, axis=dim, keepdims=kept), places)
        # on the tape the gradient shall go to the one element that was chosen
        column = indices(self, axis=dim, keepdims=True)
        found = find.take_along_axis(self, column, axis=dim)
        return ValuesIndices(F.reshape(found, shape=places.shape), places)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"""`x.{name}()`: the {name}imum of all elements; `x.{name}(dim)`: values and
        indices along an axis, as in PyTorch; `x.{name}(axis=…)`: the values alone, as in NumPy;
        `x.{name}(other)`: elementwise."""
    return method


def _cumulative(name: str, primitive: str) -> Any:
    function = getattr(red, "cumulative_sum" if primitive == "cumsum" else "cumulative_prod")

    def method(self: Any, dim: Any = _UNSET, *, axis: Any = _UNSET, dtype: Any = None) -> Any:
        return function(self, axis=one_axis(name, dim, axis), dtype=dtype)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


class MathMethods(Cell):
    """Elementwise mathematics, reductions, comparisons, products, sorting."""

    __slots__ = ()

    abs = absolute = ew.abs
    acos = arccos = ew.acos
    acosh = arccosh = ew.acosh
    asin = arcsin = ew.asin
    asinh = arcsinh = ew.asinh
    atan = arctan = ew.atan
    atan2 = ew.atan2
    atanh = arctanh = ew.atanh
    ceil = ew.ceil
    conj = conjugate = ew.conj
    cos = ew.cos
    cosh = ew.cosh
    erf = ew.erf
    erfinv = special.erfinv
    exp = ew.exp
    expm1 = ew.expm1
    floor = ew.floor
    isfinite = ew.isfinite
    isinf = ew.isinf
    isnan = ew.isnan
    log = ew.log
    log10 = ew.log10
    log1p = ew.log1p
    log2 = ew.log2
    neg = negative = ew.negative
    positive = ew.positive
    reciprocal = ew.reciprocal
    sign = ew.sign
    sin = ew.sin
    sinh = ew.sinh
    sqrt = ew.sqrt
    square = ew.square
    tan = ew.tan
    tanh = ew.tanh
    trunc = fix = ew.trunc

    def add(self, other: Any, *, alpha: Any = 1) -> Any:
        """self + alpha · other."""
        return ew.add(self, other if alpha == 1 else ew.multiply(other, alpha))

    def sub(self, other: Any, *, alpha: Any = 1) -> Any:
        """self - alpha · other."""
        return ew.subtract(self, other if alpha == 1 else ew.multiply(other, alpha))

    def div(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        """self / other; `rounding_mode` may be "floor" or "trunc"."""
        if rounding_mode is None:
            return ew.divide(self, other)
        if rounding_mode == "floor":
            return ew.floor_divide(self, other)
        if rounding_mode != "trunc":
            text = f"rounding_mode must be None, 'floor' or 'trunc', received {rounding_mode!r}"
            fail(ValueRangeError, "div", text)
        found = ew.trunc(ew.divide(self, other))
        return found if self.dtype.kind == "f" else cast(found, self.dtype)

    subtract, divide, true_divide = sub, div, div
    mul = multiply = ew.multiply
    floor_divide = ew.floor_divide
    remainder = ew.remainder
    pow = ew.pow
    maximum, minimum = ew.maximum, ew.minimum
    eq, ne, lt, le, gt, ge = (
        ew.equal,
        ew.not_equal,
        ew.less,
        ew.less_equal,
        ew.greater,
        ew.greater_equal,
    )
    logical_and, logical_or, logical_xor = ew.logical_and, ew.logical_or, ew.logical_xor
    logical_not = ew.logical_not
    bitwise_and, bitwise_or, bitwise_xor = ew.bitwise_and, ew.bitwise_or, ew.bitwise_xor
    bitwise_not = ew.bitwise_invert
    isclose = ew.isclose
    lerp = ew.lerp
    copysign = ew.copysign
    hypot = ew.hypot
    logaddexp = ew.logaddexp

    def round(self, decimals: int = 0) -> Any:
        """The nearest number with some decimals; halves go to the even neighbour."""
        if not decimals or (decimals > 0 and self.dtype.kind not in "fc"):
            return ew.round(self)
        scale = 10.0**decimals
        return ew.divide(ew.round(ew.multiply(self, scale)), scale)

    def fmod(self, other: Any) -> Any:
        """The remainder with the sign of self: x - y · trunc(x / y)."""
        rest = ew.remainder(ew.abs(self), ew.abs(other) if isinstance(other, Cell) else abs(other))
        return ew.where(ew.less(self, 0), ew.negative(rest), rest)

    def rsqrt(self) -> Any:
        """1 / √x."""
        return ew.divide(1.0, ew.sqrt(self))

    def frac(self) -> Any:
        """x - trunc(x)."""
        return ew.subtract(self, ew.trunc(self))

    def clamp(self, min: Any = None, max: Any = None) -> Any:
        """x limited to min … max."""
        return ew.clip(self, min, max)

    clip = clamp

    def addcmul(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """self + value · tensor1 · tensor2."""
        return ew.add(self, ew.multiply(ew.multiply(tensor1, tensor2), value))

    def addcdiv(self, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
        """self + value · tensor1 / tensor2."""
        return ew.add(self, ew.multiply(ew.divide(tensor1, tensor2), value))

    def where(self, condition: Any, other: Any) -> Any:
        """self where the condition holds, else other."""
        return ew.where(condition, self, other)

    def nan_to_num(self, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
        """NaN and infinities replaced; infinities by default by the dtype's extremes."""
        top = (2 - 2.0 ** -_MANTISSA[self.dtype.name]) * 2.0 ** _EXPONENT[self.dtype.name]
        found = ew.where(ew.isnan(self), nan, self)
        found = ew.where(ew.equal(self, math.inf), top if posinf is None else posinf, found)
        return ew.where(ew.equal(self, -math.inf), -top if neginf is None else neginf, found)

    relu, sigmoid = activations.relu, activations.sigmoid
    softmax, log_softmax = activations.softmax, activations.log_softmax

    sum, prod, mean = _reduction(red.sum), _reduction(red.prod), _reduction(red.mean)
    any, all = _reduction(red.any), _reduction(red.all)
    amax, amin = _reduction(red.max), _reduction(red.min)
    argmax, argmin = _reduction(red.argmax), _reduction(red.argmin)
    logsumexp = _reduction(red.logsumexp)
    count_nonzero = _reduction(red.count_nonzero)
    var, std = _spread(red.var), _spread(red.std)
    max = _extreme("max", red.max, red.argmax, ew.maximum)
    min = _extreme("min", red.min, red.argmin, ew.minimum)
    cumsum, cumprod = _cumulative("cumsum", "cumsum"), _cumulative("cumprod", "cumprod")

    def norm(
        self,
        p: Any = 2,
        dim: Any = _UNSET,
        keepdim: bool = False,
        *,
        axis: Any = _UNSET,
        keepdims: bool = False,
    ) -> Any:
        """The p-norm of all elements or along axes; "fro" is 2."""
        axes = _axes(one_axis("norm", dim, axis))
        order = 2 if p in ("fro", None) else p
        return red.vector_norm(self, axis=axes, keepdims=keepdim or keepdims, ord=order)

    def median(self, dim: Any = _UNSET, keepdim: bool = False) -> Any:
        """The lower of the middle elements: of all, or values and indices along an axis."""
        if dim is _UNSET:
            return F.reshape(self, shape=(self._type.size,)).median(0).values
        order = find.argsort(self, axis=dim)
        middle = (self.shape[dim] - 1) // 2
        places = sliced(order, normalize_axis("median", dim, self.ndim), middle, 1)
        found = find.take_along_axis(self, places, axis=dim)
        if self.dtype.kind == "f":
            found = ew.where(red.any(ew.isnan(self), axis=dim, keepdims=True), math.nan, found)
        if not keepdim:
            found, places = squeeze(found, dim), squeeze(places, dim)
        return ValuesIndices(found, places)

    def nansum(self, dim: Any = _UNSET, keepdim: bool = False) -> Any:
        """The sum of the elements that are not NaN."""
        kept = ew.where(ew.isnan(self), 0, self)
        return red.sum(kept, axis=_axes(one_axis("nansum", dim, _UNSET)), keepdims=keepdim)

    def nanmean(self, dim: Any = _UNSET, keepdim: bool = False) -> Any:
        """The mean of the elements that are not NaN."""
        axes = _axes(one_axis("nanmean", dim, _UNSET))
        count = red.sum(ew.logical_not(ew.isnan(self)), axis=axes, keepdims=keepdim)
        return ew.divide(MathMethods.nansum(self, dim, keepdim), cast(count, self.dtype))

    matmul = mm = bmm = lin.matmul
    dot = lin.dot
    outer = lin.outer

    def mv(self, vec: Any) -> Any:
        """The product of a matrix and a vector."""
        return lin.matmul(self, vec)

    def addmm(self, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
        """beta · self + alpha · mat1 @ mat2."""
        product = lin.matmul(mat1, mat2)
        product = product if alpha == 1 else ew.multiply(product, alpha)
        return ew.add(product, self if beta == 1 else ew.multiply(self, beta))

    baddbmm = addmm

    def tril(self, diagonal: int = 0) -> Any:
        """Zeros above a diagonal."""
        return tril(self, k=diagonal)

    def triu(self, diagonal: int = 0) -> Any:
        """Zeros below a diagonal."""
        return triu(self, k=diagonal)

    def trace(self) -> Any:
        """The sum of the diagonal."""
        return lin.trace(self)

    def sort(self, dim: Any = _UNSET, descending: bool = False, *, axis: Any = _UNSET) -> Any:
        """Sorted values and their indices along an axis, as in PyTorch. Always stable."""
        place = one_axis("sort", dim, axis, -1)
        order = find.argsort(self, axis=place, descending=descending)
        return ValuesIndices(find.take_along_axis(self, order, axis=place), order)

    def argsort(self, dim: Any = _UNSET, descending: bool = False, *, axis: Any = _UNSET) -> Any:
        """The indices that sort an axis."""
        return find.argsort(self, axis=one_axis("argsort", dim, axis, -1), descending=descending)

    def topk(
        self, k: int, dim: Any = _UNSET, largest: bool = True, sorted: bool = True, *,
        axis: Any = _UNSET,
    ) -> Any:  # fmt: skip
        """The k greatest (or least) elements along an axis and their indices."""
        return find.topk(self, k, axis=one_axis("topk", dim, axis, -1), largest=largest)

    def allclose(
        self, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
    ) -> bool:
        """Whether |x - y| ≤ atol + rtol · |y| everywhere."""
        return bool(red.all(ew.isclose(self, other, rtol, atol, equal_nan)))

    def equal(self, other: Any) -> bool:
        """Whether shape and all elements are equal, as one bool."""
        return self.shape == other.shape and bool(red.all(ew.equal(self, other)))


_MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
_EXPONENT = {"float16": 15, "bfloat16": 127, "float32": 127, "float64": 1023}
