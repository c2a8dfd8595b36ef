# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

from builtins import bool as _bool
from builtins import float as _float
from builtins import int as _int
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Literal, NoReturn, Protocol, Self, TypeAlias, overload

import numpy as np

from elinvar.core.dtypes import DType
from elinvar.core.shapes import Dim
from elinvar.tensor.cell import Cell
from elinvar.tensor.extra.at import At
from elinvar.tensor.extra.methods import MinMax
from elinvar.tensor.methods_math import ValuesIndices
from elinvar.tensor.random import Generator
from elinvar.tensor.searching import TopK
from elinvar.tensor.tape import HookHandle

_Number: TypeAlias = int | float | complex
_Nested: TypeAlias = list[Any] | tuple[Any, ...] | range
_ArrayLike: TypeAlias = Tensor | _Number | np.generic | _SupportsArray | _Nested
_DTypeLike: TypeAlias = DType | str | type[Any] | np.dtype[Any]
_ShapeLike: TypeAlias = int | Dim | Sequence[int | Dim]
_Axis: TypeAlias = int | Sequence[int] | None
_Sizes: TypeAlias = int | Sequence[int]

class _SupportsArray(Protocol):
    def __array__(self) -> np.ndarray[Any, Any]: ...

class Size(int):
    """The number of elements; calling it gives the shape, or one dimension, as in PyTorch."""

    @overload
    def __call__(self, dim: None = None) -> tuple[int, ...]: ...
    @overload
    def __call__(self, dim: int) -> int: ...

class Tensor(Cell):
    """An n-dimensional array of one data type that can carry a gradient."""

    __array_priority__: _int

    def __hash__(self) -> _int: ...
    def __abs__(self) -> Tensor: ...
    def __add__(self, other: _ArrayLike) -> Tensor: ...
    def __and__(self, other: _ArrayLike) -> Tensor: ...
    def __array__(
        self,
        dtype: Any = None,
        copy: _bool | None = None,
    ) -> np.ndarray[Any, Any]: ...
    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType: ...
    def __array_ufunc__(
        self,
        ufunc: np.ufunc,
        method: str,
        *inputs: Any,
        **options: Any,
    ) -> Any:
        """numpy asks: `array * tensor` is a tensor, `array += tensor`, `np.sin(tensor)` are …"""

    def __bool__(self) -> _bool: ...
    def __complex__(self) -> complex: ...
    def __contains__(self, value: _ArrayLike) -> _bool: ...
    def __copy__(self) -> Tensor: ...
    def __deepcopy__(self, memo: dict[_int, Any]) -> Tensor: ...
    def __divmod__(self, other: _ArrayLike) -> tuple[Tensor, Tensor]: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[_int, _int] | None = None,
        dl_device: tuple[_int, _int] | None = None,
        copy: _bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[_int, _int]: ...
    def __eq__(self, other: _ArrayLike) -> Tensor: ...  # type: ignore[override]
    def __float__(self) -> _float: ...
    def __floordiv__(self, other: _ArrayLike) -> Tensor: ...
    def __format__(self, spec: str) -> str: ...
    def __ge__(self, other: _ArrayLike) -> Tensor: ...
    def __getitem__(self, key: Any) -> Tensor: ...
    def __gt__(self, other: _ArrayLike) -> Tensor: ...
    def __iadd__(self, other: _ArrayLike) -> Self: ...
    def __iand__(self, other: _ArrayLike) -> Self: ...
    def __ifloordiv__(self, other: _ArrayLike) -> Self: ...
    def __ilshift__(self, other: _ArrayLike) -> Self: ...
    def __imatmul__(self, other: _ArrayLike) -> Self: ...
    def __imod__(self, other: _ArrayLike) -> Self: ...
    def __imul__(self, other: _ArrayLike) -> Self: ...
    def __index__(self) -> _int: ...
    def __init__(
        self,
        data: Any,
        dtype: DType | None = None,
        requires_grad: _bool = False,
    ) -> None: ...
    def __int__(self) -> _int: ...
    def __invert__(self) -> Tensor: ...
    def __ior__(self, other: _ArrayLike) -> Self: ...
    def __ipow__(self, other: _ArrayLike) -> Self: ...
    def __irshift__(self, other: _ArrayLike) -> Self: ...
    def __isub__(self, other: _ArrayLike) -> Self: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __itruediv__(self, other: _ArrayLike) -> Self: ...
    def __ixor__(self, other: _ArrayLike) -> Self: ...
    def __le__(self, other: _ArrayLike) -> Tensor: ...
    def __len__(self) -> _int: ...
    def __lshift__(self, other: _ArrayLike) -> Tensor: ...
    def __lt__(self, other: _ArrayLike) -> Tensor: ...
    def __matmul__(self, other: _ArrayLike) -> Tensor: ...
    def __mod__(self, other: _ArrayLike) -> Tensor: ...
    def __mul__(self, other: _ArrayLike) -> Tensor: ...
    def __ne__(self, other: _ArrayLike) -> Tensor: ...  # type: ignore[override]
    def __neg__(self) -> Tensor: ...
    def __or__(self, other: _ArrayLike) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __pow__(self, other: _ArrayLike) -> Tensor: ...
    def __radd__(self, other: _ArrayLike) -> Tensor: ...
    def __rand__(self, other: _ArrayLike) -> Tensor: ...
    def __rdivmod__(self, other: _ArrayLike) -> tuple[Tensor, Tensor]: ...
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]: ...
    def __repr__(self) -> str: ...
    def __rfloordiv__(self, other: _ArrayLike) -> Tensor: ...
    def __rlshift__(self, other: _ArrayLike) -> Tensor: ...
    def __rmatmul__(self, other: _ArrayLike) -> Tensor: ...
    def __rmod__(self, other: _ArrayLike) -> Tensor: ...
    def __rmul__(self, other: _ArrayLike) -> Tensor: ...
    def __ror__(self, other: _ArrayLike) -> Tensor: ...
    def __round__(self, ndigits: _int | None = None) -> Tensor: ...
    def __rpow__(self, other: _ArrayLike) -> Tensor: ...
    def __rrshift__(self, other: _ArrayLike) -> Tensor: ...
    def __rshift__(self, other: _ArrayLike) -> Tensor: ...
    def __rsub__(self, other: _ArrayLike) -> Tensor: ...
    def __rtruediv__(self, other: _ArrayLike) -> Tensor: ...
    def __rxor__(self, other: _ArrayLike) -> Tensor: ...
    def __setitem__(self, key: Any, value: _ArrayLike) -> None: ...
    def __sub__(self, other: _ArrayLike) -> Tensor: ...
    def __truediv__(self, other: _ArrayLike) -> Tensor: ...
    def __xor__(self, other: _ArrayLike) -> Tensor: ...
    @property
    def H(self) -> Tensor:
        """The conjugate transpose of a matrix; see `mH` for stacks of matrices."""

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix; see `mT` for stacks of matrices."""

    def _rebind(self, value: Cell) -> None:
        """Hold what `value` holds. The one way in which a tensor changes."""

    def abs(x, /) -> Tensor:
        """The absolute value. Its derivative at 0 is 0."""

    def abs_(self, /) -> Self:
        """`abs` in place: computes the new value and rebinds the tensor."""

    def absolute(x, /) -> Tensor:
        """The absolute value. Its derivative at 0 is 0."""

    def acos(x, /) -> Tensor:
        """The inverse cosine, in 0 … π; NaN beyond ±1."""

    def acosh(x, /) -> Tensor:
        """The inverse hyperbolic cosine; NaN below 1."""

    def add(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Tensor:
        """self + alpha · other."""

    def add_(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Self:
        """`add` in place: computes the new value and rebinds the tensor."""

    def addbmm(
        self,
        batch1: _ArrayLike,
        batch2: _ArrayLike,
        *,
        beta: _ArrayLike = 1,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """beta · x + alpha · Σ batch1[i] @ batch2[i]."""

    def addcdiv(
        self,
        tensor1: _ArrayLike,
        tensor2: _ArrayLike,
        *,
        value: _ArrayLike = 1,
    ) -> Tensor:
        """self + value · tensor1 / tensor2."""

    def addcdiv_(
        self,
        tensor1: _ArrayLike,
        tensor2: _ArrayLike,
        *,
        value: _ArrayLike = 1,
    ) -> Self:
        """`addcdiv` in place: computes the new value and rebinds the tensor."""

    def addcmul(
        self,
        tensor1: _ArrayLike,
        tensor2: _ArrayLike,
        *,
        value: _ArrayLike = 1,
    ) -> Tensor:
        """self + value · tensor1 · tensor2."""

    def addcmul_(
        self,
        tensor1: _ArrayLike,
        tensor2: _ArrayLike,
        *,
        value: _ArrayLike = 1,
    ) -> Self:
        """`addcmul` in place: computes the new value and rebinds the tensor."""

    def addmm(
        self,
        mat1: _ArrayLike,
        mat2: _ArrayLike,
        *,
        beta: _ArrayLike = 1,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """beta · self + alpha · mat1 @ mat2."""

    def addmv(
        self,
        mat: _ArrayLike,
        vec: _ArrayLike,
        *,
        beta: _ArrayLike = 1,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """beta · x + alpha · mat @ vec."""

    def addr(
        self,
        vec1: _ArrayLike,
        vec2: _ArrayLike,
        *,
        beta: _ArrayLike = 1,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """beta · x + alpha · the outer product of two vectors."""

    def adjoint(self) -> Tensor:
        """The last two axes exchanged, and the conjugate of complex numbers: `mH`."""

    def all(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """True where every element along axes is True (or not zero)."""

    def allclose(
        self,
        other: _ArrayLike,
        rtol: _float = 1e-05,
        atol: _float = 1e-08,
        equal_nan: _bool = False,
    ) -> _bool:
        """Whether |x - y| ≤ atol + rtol · |y| everywhere."""

    def amax(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The greatest element along axes; NaN if one is NaN."""

    def amin(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The least element along axes; NaN if one is NaN."""

    def aminmax(self, *, dim: _int | None = None, keepdim: _bool = False) -> MinMax:
        """The least and the greatest element, of all or along an axis."""

    def any(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """True where at least one element along axes is True (or not zero)."""

    def arccos(x, /) -> Tensor:
        """The inverse cosine, in 0 … π; NaN beyond ±1."""

    def arccosh(x, /) -> Tensor:
        """The inverse hyperbolic cosine; NaN below 1."""

    def arcsin(x, /) -> Tensor:
        """The inverse sine, in -π/2 … π/2; NaN beyond ±1."""

    def arcsinh(x, /) -> Tensor:
        """The inverse hyperbolic sine."""

    def arctan(x, /) -> Tensor:
        """The inverse tangent, in -π/2 … π/2."""

    def arctan2(x1, x2: _ArrayLike, /) -> Tensor:
        """The angle of the point (x, y), in -π … π. The gradient at the origin is 0."""

    def arctanh(x, /) -> Tensor:
        """The inverse hyperbolic tangent; ±∞ at ±1 and NaN beyond."""

    def argmax(
        self,
        dim: _int | None = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The index of the greatest element along an axis (of the flattened tensor if None)."""

    def argmin(
        self,
        dim: _int | None = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The index of the least element along an axis (of the flattened tensor if None)."""

    def argsort(
        self,
        dim: _int = ...,
        descending: _bool = False,
        *,
        axis: _int = ...,
    ) -> Tensor:
        """The indices that sort an axis."""

    def argwhere(self) -> Tensor:
        """The indices of elements that are not zero, one row for each. Not under `jit`."""

    def asin(x, /) -> Tensor:
        """The inverse sine, in -π/2 … π/2; NaN beyond ±1."""

    def asinh(x, /) -> Tensor:
        """The inverse hyperbolic sine."""

    def assign(self, value: _ArrayLike) -> Self:
        """Replace the content in place by `value`, broadcast and cast to this shape and dtype."""

    def astype(self, dtype: _DTypeLike, *, copy: _bool = True) -> Tensor:
        """x in another dtype; with `copy=False` x itself where it has that dtype already."""

    @property
    def at(self) -> At:
        """Copies in which some elements are other ones: `x.at[key].set(value)`."""

    def atan(x, /) -> Tensor:
        """The inverse tangent, in -π/2 … π/2."""

    def atan2(x1, x2: _ArrayLike, /) -> Tensor:
        """The angle of the point (x, y), in -π … π. The gradient at the origin is 0."""

    def atanh(x, /) -> Tensor:
        """The inverse hyperbolic tangent; ±∞ at ±1 and NaN beyond."""

    def backward(
        self,
        gradient: _ArrayLike | None = None,
        retain_graph: _bool = False,
        create_graph: _bool = False,
    ) -> None:
        """Add d self / d leaf to the `.grad` of every leaf that this tensor depends on."""

    def baddbmm(
        self,
        mat1: _ArrayLike,
        mat2: _ArrayLike,
        *,
        beta: _ArrayLike = 1,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """beta · self + alpha · mat1 @ mat2."""

    def bernoulli_(self, p: _float = 0.5, *, generator: Generator | None = None) -> Self:
        """Fill with 1 with probability p, else 0."""

    def bfloat16(self) -> Tensor:
        """x as bfloat16."""

    def bincount(self, weights: _ArrayLike | None = None, minlength: _int = 0) -> Tensor:
        """How often each of 0 … max(x) occurs. Not under `jit`; see `el.bincount`."""

    def bitwise_and(x1, x2: _ArrayLike, /) -> Tensor:
        """The bits set in both operands; for bool: and."""

    def bitwise_left_shift(x1, x2: _ArrayLike, /) -> Tensor:
        """The bits of x moved up by y places."""

    def bitwise_not(x, /) -> Tensor:
        """All bits flipped; for bool: not."""

    def bitwise_or(x1, x2: _ArrayLike, /) -> Tensor:
        """The bits set in an operand at least; for bool: or."""

    def bitwise_right_shift(x1, x2: _ArrayLike, /) -> Tensor:
        """The bits of x moved down by y places; signed numbers keep their sign."""

    def bitwise_xor(x1, x2: _ArrayLike, /) -> Tensor:
        """The bits set in one operand only; for bool: either but not both."""

    def bmm(x1, x2: _ArrayLike, /, *, dtype: _DTypeLike | None = None) -> Tensor:
        """The matrix product x1 @ x2."""

    def bool(self) -> Tensor:
        """x as bool: False for zeros."""

    def broadcast_to(self, *sizes: _ShapeLike) -> Tensor:
        """Axes of size 1 repeated, without a copy; -1 keeps an axis as it is."""

    def byte(self) -> Tensor:
        """x as uint8."""

    def ceil(x, /) -> Tensor:
        """The smallest integer that is not below x."""

    def ceil_(self, /) -> Self:
        """`ceil` in place: computes the new value and rebinds the tensor."""

    def char(self) -> Tensor:
        """x as int8."""

    def chunk(self, chunks: _int, dim: _int = ..., *, axis: _int = ...) -> tuple[Tensor, ...]:
        """At most `chunks` pieces of equal size along an axis."""

    def clamp(self, min: _ArrayLike | None = None, max: _ArrayLike | None = None) -> Tensor:
        """x limited to min … max."""

    def clamp_(self, min: _ArrayLike | None = None, max: _ArrayLike | None = None) -> Self:
        """`clamp` in place: computes the new value and rebinds the tensor."""

    def clamp_max(self, max: _ArrayLike) -> Tensor:
        """x limited from above."""

    def clamp_min(self, min: _ArrayLike) -> Tensor:
        """x limited from below."""

    def clip(self, min: _ArrayLike | None = None, max: _ArrayLike | None = None) -> Tensor:
        """x limited to min … max."""

    def clip_(self, min: _ArrayLike | None = None, max: _ArrayLike | None = None) -> Self:
        """`clip` in place: computes the new value and rebinds the tensor."""

    def clone(self) -> Tensor:
        """Another tensor with the same content; gradients flow through."""

    def conj(x, /) -> Tensor:
        """The complex conjugate, x - iy for x + iy; of real numbers x."""

    def conjugate(x, /) -> Tensor:
        """The complex conjugate, x - iy for x + iy; of real numbers x."""

    def contiguous(self) -> Tensor:
        """The same content in row-major order in memory."""

    def copy(self) -> Tensor:
        """NumPy's name of `clone`."""

    def copy_(self, src: _ArrayLike, non_blocking: _bool = False) -> Self:
        """Take the values of another tensor, broadcast and cast to this one's shape and dtype."""

    def copysign(x1, x2: _ArrayLike, /) -> Tensor:
        """The size of x with the sign of y."""

    def corrcoef(self) -> Tensor:
        """The matrix of correlation coefficients of variables, which are the rows."""

    def cos(x, /) -> Tensor:
        """The cosine, accurate for every finite x."""

    def cos_(self, /) -> Self:
        """`cos` in place: computes the new value and rebinds the tensor."""

    def cosh(x, /) -> Tensor:
        """The hyperbolic cosine."""

    def count_nonzero(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The number of elements along axes that are not zero (or not False)."""

    def cov(
        self,
        *,
        correction: _int = 1,
        fweights: _ArrayLike | None = None,
        aweights: _ArrayLike | None = None,
    ) -> Tensor:
        """The covariance matrix of variables, which are the rows."""

    def cpu(self) -> Tensor:
        """x itself: tensors live on the CPU."""

    def cross(self, other: _ArrayLike, dim: _int | None = None) -> Tensor:
        """The cross product along an axis; the first of size 3 if None."""

    def cuda(self, device: str | None = None) -> NoReturn:
        """Refused: tensors live on the CPU."""

    def cummax(self, dim: _int) -> ValuesIndices:
        """The greatest element so far along an axis, and its place (the last of equal ones)."""

    def cummin(self, dim: _int) -> ValuesIndices:
        """The least element so far along an axis, and its place (the last of equal ones)."""

    def cumprod(
        self,
        dim: _int | None = ...,
        *,
        axis: _int | None = ...,
        dtype: _DTypeLike | None = None,
    ) -> Tensor:
        """Running products along an axis. Arguments as for `cumulative_sum`."""

    def cumprod_(
        self,
        dim: _int | None = ...,
        *,
        axis: _int | None = ...,
        dtype: _DTypeLike | None = None,
    ) -> Self:
        """`cumprod` in place: computes the new value and rebinds the tensor."""

    def cumsum(
        self,
        dim: _int | None = ...,
        *,
        axis: _int | None = ...,
        dtype: _DTypeLike | None = None,
    ) -> Tensor:
        """Running sums along an axis."""

    def cumsum_(
        self,
        dim: _int | None = ...,
        *,
        axis: _int | None = ...,
        dtype: _DTypeLike | None = None,
    ) -> Self:
        """`cumsum` in place: computes the new value and rebinds the tensor."""

    @property
    def data(self) -> Tensor:
        """The content without gradient; writing to it writes to x, as in `detach`."""
    @data.setter
    def data(self, value: _ArrayLike) -> None: ...
    def deg2rad(x, /) -> Tensor:
        """Degrees as radians: x · π / 180."""

    def detach(self) -> Tensor:
        """A tensor with the same content that does not require a gradient."""

    @property
    def device(self) -> str:
        """Where the elements are: always the CPU."""

    def diag(self, diagonal: _int = 0) -> Tensor:
        """The diagonal of a matrix, or the square matrix with a given diagonal."""

    def diag_embed(self, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor:
        """Matrices whose diagonals hold the last axis; their axes stand at dim1 and dim2."""

    def diagflat(self, offset: _int = 0) -> Tensor:
        """The square matrix whose diagonal holds the flattened elements."""

    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """The diagonal of two axes, as the last axis."""

    def diagonal_scatter(
        self,
        src: _ArrayLike,
        offset: _int = 0,
        dim1: _int = 0,
        dim2: _int = 1,
    ) -> Tensor:
        """A copy in which the diagonal of two axes is replaced."""

    def diff(
        self,
        n: _int = 1,
        dim: _int = -1,
        prepend: _ArrayLike | None = None,
        append: _ArrayLike | None = None,
    ) -> Tensor:
        """The n-th difference of neighbours along an axis."""

    def digamma(x, /) -> Tensor:
        """ψ(x), the derivative of log Γ; NaN at negative whole numbers, ∓∞ at ±0."""

    def dim(self) -> _int:
        """The number of axes."""

    def dist(self, other: _ArrayLike, p: _float = 2) -> Tensor:
        """The p-norm of x - other."""

    def div(self, other: _ArrayLike, *, rounding_mode: str | None = None) -> Tensor:
        """self / other; `rounding_mode` may be "floor" or "trunc"."""

    def div_(self, other: _ArrayLike, *, rounding_mode: str | None = None) -> Self:
        """`div` in place: computes the new value and rebinds the tensor."""

    def divide(self, other: _ArrayLike, *, rounding_mode: str | None = None) -> Tensor:
        """self / other; `rounding_mode` may be "floor" or "trunc"."""

    def divide_(self, other: _ArrayLike, *, rounding_mode: str | None = None) -> Self:
        """`divide` in place: computes the new value and rebinds the tensor."""

    def dot(x1, x2: _ArrayLike, /) -> Tensor:
        """NumPy's product: Σ over the last axis of x1 and the last but one of x2 (1-D: last)."""

    def double(self) -> Tensor:
        """x as float64."""

    def dsplit(x, indices_or_sections: _int | Sequence[_int], /) -> tuple[Tensor, ...]:
        """`array_split` into equal pieces along the third axis."""

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""

    def element_size(self) -> _int:
        """Bytes of one element."""

    def eq(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x = y, element by element; false where an operand is NaN."""

    def equal(self, other: _ArrayLike) -> _bool:
        """Whether shape and all elements are equal, as one bool."""

    def erf(x, /) -> Tensor:
        """The error function."""

    def erf_(self, /) -> Self:
        """`erf` in place: computes the new value and rebinds the tensor."""

    def erfc(x, /) -> Tensor:
        """1 - erf(x), accurate where that is small."""

    def erfinv(x, /) -> Tensor:
        """The inverse of the error function on -1 … 1: erf(erfinv(x)) = x."""

    def erfinv_(self, /) -> Self:
        """`erfinv` in place: computes the new value and rebinds the tensor."""

    def exp(x, /) -> Tensor:
        """The exponential function."""

    def exp2(x, /) -> Tensor:
        """2 to the power x."""

    def exp_(self, /) -> Self:
        """`exp` in place: computes the new value and rebinds the tensor."""

    def expand(self, *sizes: _ShapeLike) -> Tensor:
        """Axes of size 1 repeated, without a copy; -1 keeps an axis as it is."""

    def expand_as(self, other: _ArrayLike) -> Tensor:
        """Axes of size 1 repeated to the shape of another tensor."""

    def expm1(x, /) -> Tensor:
        """The exponential function less 1, accurate near 0."""

    def exponential_(
        self,
        lambd: _float = 1.0,
        *,
        generator: Generator | None = None,
    ) -> Self:
        """Fill with numbers from an exponential distribution."""

    def fill(self, value: _ArrayLike) -> None:
        """NumPy's form of `fill_`, without a result."""

    def fill_(self, value: _ArrayLike) -> Self:
        """Set all elements to a number."""

    def fix(x, /) -> Tensor:
        """The integer part of x."""

    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """Axes start_dim … end_dim made one."""

    def flip(self, *dims: _int | Sequence[_int]) -> Tensor:
        """Axes in reverse order."""

    def fliplr(x, /) -> Tensor:
        """The second axis in reverse order."""

    def flipud(x, /) -> Tensor:
        """The first axis in reverse order."""

    def float(self) -> Tensor:
        """x as float32."""

    def float_power(x1, x2: _ArrayLike, /) -> Tensor:
        """x1 to the power x2 in float64."""

    def floor(x, /) -> Tensor:
        """The largest integer that is not above x."""

    def floor_(self, /) -> Self:
        """`floor` in place: computes the new value and rebinds the tensor."""

    def floor_divide(x1, x2: _ArrayLike, /) -> Tensor:
        """The quotient rounded down, as Python's `//`. Integers give 0 for a zero divisor."""

    def floor_divide_(self, x2: _ArrayLike, /) -> Self:
        """`floor_divide` in place: computes the new value and rebinds the tensor."""

    def fmax(x1, x2: _ArrayLike, /) -> Tensor:
        """The larger of two numbers; where one is NaN, the other."""

    def fmin(x1, x2: _ArrayLike, /) -> Tensor:
        """The smaller of two numbers; where one is NaN, the other."""

    def fmod(self, other: _ArrayLike) -> Tensor:
        """The remainder with the sign of self: x - y · trunc(x / y)."""

    def frac(self) -> Tensor:
        """x - trunc(x)."""

    def frexp(x, /) -> tuple[Tensor, Tensor]:
        """m and e (int32) with x = m · 2^e and ½ ≤ |m| < 1; 0, ±∞ and NaN as they are."""

    def gather(self, dim: _int, index: _ArrayLike) -> Tensor:
        """result[…, i, …] = x[…, index[…, i, …], …]; other axes of index may be shorter."""

    def gcd(x1, x2: _ArrayLike, /) -> Tensor:
        """The greatest common divisor of |x1| and |x2|; gcd(0, 0) = 0."""

    def ge(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≥ y, element by element; false where an operand is NaN."""

    def ger(x1, x2: _ArrayLike, /) -> Tensor:
        """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j]."""

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` added up, or None."""
    @grad.setter
    def grad(self, value: Tensor | None) -> None: ...
    def greater(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x > y, element by element; false where an operand is NaN."""

    def greater_equal(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≥ y, element by element; false where an operand is NaN."""

    def gt(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x > y, element by element; false where an operand is NaN."""

    def half(self) -> Tensor:
        """x as float16."""

    def heaviside(x1, x2: _ArrayLike, /) -> Tensor:
        """The step function: 0 where x1 < 0, 1 where x1 > 0, x2 where x1 = 0; NaN stays NaN."""

    def histc(self, bins: _int = 100, min: _float = 0, max: _float = 0) -> Tensor:
        """How many elements fall into each of several equal bins; with min = max those of the …"""

    def hsplit(x, indices_or_sections: _int | Sequence[_int], /) -> tuple[Tensor, ...]:
        """`array_split` into equal pieces along the second axis (of 1-D tensors: the only one)."""

    def hypot(x1, x2: _ArrayLike, /) -> Tensor:
        """The length of the hypotenuse, √(x1² + x2²), without overflow."""

    def i0(x, /) -> Tensor:
        """I0(x), the modified Bessel function of order 0."""

    def igamma(x, y: _ArrayLike, /) -> Tensor:
        """The regularized lower incomplete gamma function P(a, x) = γ(a, x) / Γ(a)."""

    def igammac(x, y: _ArrayLike, /) -> Tensor:
        """The regularized upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""

    @property
    def imag(self) -> Tensor:
        """The imaginary part; of real numbers 0."""

    def index_add(
        self,
        dim: _int,
        index: _ArrayLike,
        source: _ArrayLike,
        *,
        alpha: _ArrayLike = 1,
    ) -> Tensor:
        """A copy in which slices of source are added at indices (1-D) of an axis, in order."""

    def index_add_(
        self,
        dim: _int,
        index: _ArrayLike,
        source: _ArrayLike,
        *,
        alpha: _ArrayLike = 1,
    ) -> Self:
        """`index_add` in place: computes the new value and rebinds the tensor."""

    def index_copy(self, dim: _int, index: _ArrayLike, source: _ArrayLike) -> Tensor:
        """A copy in which slices at indices (1-D) of an axis are replaced."""

    def index_copy_(self, dim: _int, index: _ArrayLike, source: _ArrayLike) -> Self:
        """`index_copy` in place: computes the new value and rebinds the tensor."""

    def index_fill(self, dim: _int, index: _ArrayLike, value: _ArrayLike) -> Tensor:
        """A copy in which slices at indices (1-D) of an axis are filled with a number."""

    def index_fill_(self, dim: _int, index: _ArrayLike, value: _ArrayLike) -> Self:
        """`index_fill` in place: computes the new value and rebinds the tensor."""

    def index_put(
        self,
        indices: _ArrayLike,
        values: _ArrayLike,
        accumulate: _bool = False,
    ) -> Tensor:
        """A copy in which x[indices] is replaced by values, or increased by them."""

    def index_select(self, dim: _int, index: _ArrayLike) -> Tensor:
        """Slices of an axis at indices (1-D)."""

    def inner(x1, x2: _ArrayLike, /) -> Tensor:
        """The sum of products over the last axes of both."""

    def int(self) -> Tensor:
        """x as int32."""

    def is_complex(self) -> _bool:
        """Whether the dtype is a complex one."""

    def is_contiguous(self) -> _bool:
        """Whether the elements lie in row-major order in memory."""

    def is_floating_point(self) -> _bool:
        """Whether the dtype is a floating one."""

    @property
    def is_leaf(self) -> _bool:
        """True for tensors that no recorded operation made."""

    def is_nonzero(self) -> _bool:
        """Whether the one element is not zero."""

    def is_signed(self) -> _bool:
        """Whether the dtype has negative numbers."""

    def isclose(
        x1,
        x2: _ArrayLike,
        rtol: _float = 1e-05,
        atol: _float = 1e-08,
        equal_nan: _bool = False,
    ) -> Tensor:
        """True where |x1 - x2| ≤ atol + rtol · |x2|; equal infinities are close."""

    def isfinite(x, /) -> Tensor:
        """True where an element is neither infinite nor NaN."""

    def isinf(x, /) -> Tensor:
        """True where an element is positive or negative infinity."""

    def isnan(x, /) -> Tensor:
        """True where an element is not a number."""

    def isneginf(x, /) -> Tensor:
        """True where an element is -∞."""

    def isposinf(x, /) -> Tensor:
        """True where an element is +∞."""

    def isreal(x, /) -> Tensor:
        """True where an element has no imaginary part."""

    def item(self, *index: _int | tuple[_int, ...]) -> Any:
        """The one element as a Python number, or, as in numpy, that at an index."""

    @property
    def itemsize(self) -> _int:
        """Bytes of one element."""

    def kron(x1, x2: _ArrayLike, /) -> Tensor:
        """The Kronecker product: each element of x1 times all of x2, as blocks."""

    def kthvalue(self, k: _int, dim: _int = -1, keepdim: _bool = False) -> ValuesIndices:
        """The k-th least element along an axis (from 1), and its index."""

    def lcm(x1, x2: _ArrayLike, /) -> Tensor:
        """The least common multiple of |x1| and |x2|; 0 if one is 0."""

    def ldexp(x1, x2: _ArrayLike, /) -> Tensor:
        """x1 · 2^x2, rounded once."""

    def le(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≤ y, element by element; false where an operand is NaN."""

    def lerp(start, end: _ArrayLike, weight: _ArrayLike) -> Tensor:
        """Linear interpolation: start + weight · (end - start)."""

    def lerp_(self, end: _ArrayLike, weight: _ArrayLike) -> Self:
        """`lerp` in place: computes the new value and rebinds the tensor."""

    def less(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x < y, element by element; false where an operand is NaN."""

    def less_equal(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≤ y, element by element; false where an operand is NaN."""

    def lgamma(x, /) -> Tensor:
        """log |Γ(x)|, the logarithm of the gamma function's size."""

    def log(x, /) -> Tensor:
        """The natural logarithm; -∞ at 0 and NaN for negative numbers."""

    def log10(x, /) -> Tensor:
        """The logarithm to base 10."""

    def log1p(x, /) -> Tensor:
        """The natural logarithm of 1 + x, accurate near 0."""

    def log2(x, /) -> Tensor:
        """The logarithm to base 2, exact for powers of two."""

    def log_(self, /) -> Self:
        """`log` in place: computes the new value and rebinds the tensor."""

    def log_softmax(x, dim: _int = -1, dtype: _DTypeLike | None = None) -> Tensor:
        """log(softmax(x)) without loss of precision: x - log Σ exp(x)."""

    def logaddexp(x1, x2: _ArrayLike, /) -> Tensor:
        """log(exp(x1) + exp(x2)) without overflow."""

    def logaddexp2(x1, x2: _ArrayLike, /) -> Tensor:
        """log2(2^x1 + 2^x2) without overflow."""

    def logcumsumexp(self, dim: _int) -> Tensor:
        """log Σ exp(x) over the elements so far along an axis."""

    def logical_and(x1, x2: _ArrayLike, /) -> Tensor:
        """True where both elements are True (or not zero)."""

    def logical_and_(self, x2: _ArrayLike, /) -> Self:
        """`logical_and` in place: computes the new value and rebinds the tensor."""

    def logical_not(x, /) -> Tensor:
        """True where an element is False (or zero)."""

    def logical_not_(self, /) -> Self:
        """`logical_not` in place: computes the new value and rebinds the tensor."""

    def logical_or(x1, x2: _ArrayLike, /) -> Tensor:
        """True where at least one element is True (or not zero)."""

    def logical_or_(self, x2: _ArrayLike, /) -> Self:
        """`logical_or` in place: computes the new value and rebinds the tensor."""

    def logical_xor(x1, x2: _ArrayLike, /) -> Tensor:
        """True where exactly one element is True (or not zero)."""

    def logical_xor_(self, x2: _ArrayLike, /) -> Self:
        """`logical_xor` in place: computes the new value and rebinds the tensor."""

    def logit(self, eps: _float | None = None) -> Tensor:
        """log(x / (1 - x)), where x is limited to eps … 1 - eps first, if eps is given."""

    def logsumexp(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """log Σ exp(x) along axes without overflow."""

    def long(self) -> Tensor:
        """x as int64."""

    def lt(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x < y, element by element; false where an operand is NaN."""

    @property
    def mH(self) -> Tensor:
        """The last two axes exchanged, and the conjugate of complex numbers."""

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""

    def masked_fill(self, mask: _ArrayLike, value: _ArrayLike) -> Tensor:
        """A copy with a value where the mask is True; the mask broadcasts."""

    def masked_fill_(self, mask: _ArrayLike, value: _ArrayLike) -> Self:
        """`masked_fill` in place: computes the new value and rebinds the tensor."""

    def masked_scatter(self, mask: _ArrayLike, source: _ArrayLike) -> Tensor:
        """A copy in which elements under a mask are replaced by those of a source, in order."""

    def masked_select(self, mask: _ArrayLike) -> Tensor:
        """The elements where the mask is True, along one axis. Not under `jit`."""

    def matmul(x1, x2: _ArrayLike, /, *, dtype: _DTypeLike | None = None) -> Tensor:
        """The matrix product x1 @ x2."""

    @overload
    def max(self) -> Tensor: ...
    @overload
    def max(self, dim: _int, keepdim: _bool = ..., *, keepdims: _bool = ...) -> ValuesIndices: ...
    @overload
    def max(self, dim: Tensor) -> Tensor: ...
    @overload
    def max(
        self,
        dim: None = ...,
        keepdim: _bool = ...,
        *,
        axis: _Axis = ...,
        keepdims: _bool = ...,
        out: None = ...,
    ) -> Tensor: ...
    def maximum(x1, x2: _ArrayLike, /) -> Tensor:
        """The larger number. NaN wins, and -0 < +0."""

    def mean(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
    ) -> Tensor:
        """The arithmetic mean along axes; integers give float32."""

    @overload
    def median(self) -> Tensor: ...
    @overload
    def median(self, dim: _int, keepdim: _bool = ...) -> ValuesIndices: ...
    @overload
    def min(self) -> Tensor: ...
    @overload
    def min(self, dim: _int, keepdim: _bool = ..., *, keepdims: _bool = ...) -> ValuesIndices: ...
    @overload
    def min(self, dim: Tensor) -> Tensor: ...
    @overload
    def min(
        self,
        dim: None = ...,
        keepdim: _bool = ...,
        *,
        axis: _Axis = ...,
        keepdims: _bool = ...,
        out: None = ...,
    ) -> Tensor: ...
    def minimum(x1, x2: _ArrayLike, /) -> Tensor:
        """The smaller number. NaN wins, and -0 < +0."""

    def mm(x1, x2: _ArrayLike, /, *, dtype: _DTypeLike | None = None) -> Tensor:
        """The matrix product x1 @ x2."""

    def mode(self, dim: _int = -1, keepdim: _bool = False) -> ValuesIndices:
        """The most frequent element along an axis (the least of several), and where it stands …"""

    def moveaxis(
        self,
        source: _int | tuple[_int, ...],
        destination: _int | tuple[_int, ...],
    ) -> Tensor:
        """Axes moved to other places."""

    def movedim(
        self,
        source: _int | tuple[_int, ...],
        destination: _int | tuple[_int, ...],
    ) -> Tensor:
        """Axes moved to other places."""

    def msort(self) -> Tensor:
        """The elements along the first axis in order."""

    def mul(x1, x2: _ArrayLike, /) -> Tensor:
        """The product; integers wrap around."""

    def mul_(self, x2: _ArrayLike, /) -> Self:
        """`mul` in place: computes the new value and rebinds the tensor."""

    def multiply(x1, x2: _ArrayLike, /) -> Tensor:
        """The product; integers wrap around."""

    def multiply_(self, x2: _ArrayLike, /) -> Self:
        """`multiply` in place: computes the new value and rebinds the tensor."""

    def mv(self, vec: _ArrayLike) -> Tensor:
        """The product of a matrix and a vector."""

    def mvlgamma(a, d: _int, /) -> Tensor:
        """log Γ_d(a) = d(d - 1)/4 · log π + Σ log Γ(a - j/2) over j < d, for a > (d - 1)/2."""

    def nan_to_num(
        self,
        nan: _float = 0.0,
        posinf: _ArrayLike | None = None,
        neginf: _ArrayLike | None = None,
    ) -> Tensor:
        """NaN and infinities replaced; infinities by default by the dtype's extremes."""

    def nan_to_num_(
        self,
        nan: _float = 0.0,
        posinf: _ArrayLike | None = None,
        neginf: _ArrayLike | None = None,
    ) -> Self:
        """`nan_to_num` in place: computes the new value and rebinds the tensor."""

    def nanmean(self, dim: _Axis = ..., keepdim: _bool = False) -> Tensor:
        """The mean of the elements that are not NaN."""

    @overload
    def nanmedian(self, dim: None = ..., keepdim: _bool = ...) -> Tensor: ...
    @overload
    def nanmedian(self, dim: _int, keepdim: _bool = ...) -> ValuesIndices: ...
    def nanquantile(
        self,
        q: _ArrayLike,
        dim: _int | None = None,
        keepdim: _bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        """The q-quantiles of the elements that are not NaN."""

    def nansum(self, dim: _Axis = ..., keepdim: _bool = False) -> Tensor:
        """The sum of the elements that are not NaN."""

    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        """`length` elements of an axis from `start`."""

    def narrow_copy(self, dim: _int, start: _int, length: _int) -> Tensor:
        """`length` elements of an axis from `start`."""

    @property
    def nbytes(self) -> _int:
        """Bytes of all elements."""

    @property
    def ndim(self) -> _int:
        """The number of axes."""

    def ndimension(self) -> _int:
        """The number of axes."""

    def ne(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≠ y, element by element; true where an operand is NaN."""

    def neg(x, /) -> Tensor:
        """The number with the opposite sign."""

    def neg_(self, /) -> Self:
        """`neg` in place: computes the new value and rebinds the tensor."""

    def negative(x, /) -> Tensor:
        """The number with the opposite sign."""

    def nelement(self) -> _int:
        """The number of elements."""

    def new_empty(self, *size: _ShapeLike, dtype: _DTypeLike | None = None) -> Tensor:
        """Zeros of this dtype."""

    def new_full(
        self,
        size: _ShapeLike,
        fill_value: _ArrayLike,
        *,
        dtype: _DTypeLike | None = None,
    ) -> Tensor:
        """A tensor of this dtype filled with a value."""

    def new_ones(self, *size: _ShapeLike, dtype: _DTypeLike | None = None) -> Tensor:
        """Ones of this dtype."""

    def new_tensor(self, data: Any, *, dtype: _DTypeLike | None = None) -> Tensor:
        """A tensor of data, of this dtype."""

    def new_zeros(self, *size: _ShapeLike, dtype: _DTypeLike | None = None) -> Tensor:
        """Zeros of this dtype."""

    def nextafter(x1, x2: _ArrayLike, /) -> Tensor:
        """The next number of the dtype from x towards y. The gradient passes to x."""

    @overload
    def nonzero(self, as_tuple: Literal[False] = ...) -> Tensor: ...
    @overload
    def nonzero(self, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
    def norm(
        self,
        p: _float | str | None = 2,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
    ) -> Tensor:
        """The p-norm of all elements or along axes; "fro" is 2."""

    def normal_(
        self,
        mean: _float = 0.0,
        std: _float = 1.0,
        *,
        generator: Generator | None = None,
    ) -> Self:
        """Fill with numbers from a normal distribution."""

    def not_equal(x1, x2: _ArrayLike, /) -> Tensor:
        """Whether x ≠ y, element by element; true where an operand is NaN."""

    def numel(self) -> _int:
        """The number of elements."""

    def numpy(self) -> np.ndarray[Any, Any]:
        """A read-only numpy array over the tensor's memory (bfloat16 needs `ml_dtypes`)."""

    def outer(x1, x2: _ArrayLike, /) -> Tensor:
        """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j]."""

    def permute(self, *dims: _int | Sequence[_int]) -> Tensor:
        """The axes in another order."""

    def polygamma(self, n: _int) -> Tensor:
        """The n-th derivative of digamma."""

    def positive(x, /) -> Tensor:
        """The same numbers: +x."""

    def pow(x1, x2: _ArrayLike, /) -> Tensor:
        """x1 raised to the power x2, with broadcasting."""

    def pow_(self, x2: _ArrayLike, /) -> Self:
        """`pow` in place: computes the new value and rebinds the tensor."""

    def prod(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
        dtype: _DTypeLike | None = None,
    ) -> Tensor:
        """The product of elements along axes. Arguments as for `sum`."""

    def put(
        self,
        index: _ArrayLike,
        source: _ArrayLike,
        accumulate: _bool = False,
    ) -> Tensor:
        """A copy in which elements of the flattened tensor are replaced, or increased."""

    def quantile(
        self,
        q: _ArrayLike,
        dim: _int | None = None,
        keepdim: _bool = False,
        *,
        interpolation: str = "linear",
    ) -> Tensor:
        """The q-quantiles of all elements or along an axis."""

    def rad2deg(x, /) -> Tensor:
        """Radians as degrees: x · 180 / π."""

    def random_(
        self,
        low: _int = 0,
        high: _int | None = None,
        *,
        generator: Generator | None = None,
    ) -> Self:
        """Fill with integers from the uniform distribution on low … high-1."""

    def ravel(self) -> Tensor:
        """All elements along one axis."""

    @property
    def real(self) -> Tensor:
        """The real part; of real numbers all of them."""

    def reciprocal(x, /) -> Tensor:
        """1 / x of each element; integers become float32."""

    def reciprocal_(self, /) -> Self:
        """`reciprocal` in place: computes the new value and rebinds the tensor."""

    def register_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call `hook(gradient)` in backward; its result, if not None, replaces the gradient."""

    def relu(x) -> Tensor:
        """max(0, x); its gradient at 0 is 0. NaN stays NaN."""

    def relu_(self) -> Self:
        """`relu` in place: computes the new value and rebinds the tensor."""

    def remainder(x1, x2: _ArrayLike, /) -> Tensor:
        """The remainder with the divisor's sign, as Python's `%`; exact for floats."""

    def remainder_(self, x2: _ArrayLike, /) -> Self:
        """`remainder` in place: computes the new value and rebinds the tensor."""

    def renorm(self, p: _float, dim: _int, maxnorm: _float) -> Tensor:
        """Slices along an axis shrunk such that their p-norm is at most maxnorm."""

    def repeat(self, *sizes: _ShapeLike, axis: _Axis = ...) -> Tensor:
        """The whole tensor repeated along each axis, as in PyTorch (`el.tile`)."""

    def repeat_interleave(self, repeats: _ArrayLike, dim: _int | None = None) -> Tensor:
        """Each element repeated (`el.repeat`)."""

    @property
    def requires_grad(self) -> _bool:
        """Whether gradients flow to this tensor."""
    @requires_grad.setter
    def requires_grad(self, value: _bool) -> None: ...
    def requires_grad_(self, requires_grad: _bool = True) -> Self:
        """Set `requires_grad` and return the tensor."""

    def reshape(self, *shape: _ShapeLike) -> Tensor:
        """The elements in row-major order under another shape; one size may be -1."""

    def reshape_as(self, other: _ArrayLike) -> Tensor:
        """The elements under the shape of another tensor."""

    def retain_grad(self) -> None:
        """Keep `.grad` of this tensor in backward although it is no leaf."""

    def roll(self, shifts: _int | Sequence[_int], dims: _Axis = None) -> Tensor:
        """Elements shifted along axes."""

    def rot90(self, k: _int = 1, dims: _int | Sequence[_int] = ...) -> Tensor:
        """A plane turned k times by 90°."""

    def round(self, decimals: _int = 0) -> Tensor:
        """The nearest number with some decimals; halves go to the even neighbour."""

    def round_(self, decimals: _int = 0) -> Self:
        """`round` in place: computes the new value and rebinds the tensor."""

    def rsqrt(self) -> Tensor:
        """1 / √x."""

    def rsqrt_(self) -> Self:
        """`rsqrt` in place: computes the new value and rebinds the tensor."""

    def scatter(self, dim: _int, index: _ArrayLike, src: _ArrayLike) -> Tensor:
        """A copy in which result[…, index[…, i, …], …] = src[…, i, …]; the last one counts."""

    def scatter_(self, dim: _int, index: _ArrayLike, src: _ArrayLike) -> Self:
        """`scatter` in place: computes the new value and rebinds the tensor."""

    def scatter_add(self, dim: _int, index: _ArrayLike, src: _ArrayLike) -> Tensor:
        """A copy in which src is added at the indices, in order."""

    def scatter_add_(self, dim: _int, index: _ArrayLike, src: _ArrayLike) -> Self:
        """`scatter_add` in place: computes the new value and rebinds the tensor."""

    def scatter_reduce(
        self,
        dim: _int,
        index: _ArrayLike,
        src: _ArrayLike,
        reduce: str,
        *,
        include_self: _bool = True,
    ) -> Tensor:
        """A copy in which elements at the indices become the reduction of what src has for them."""

    def select(self, dim: _int, index: _int) -> Tensor:
        """One element of an axis, which is dropped."""

    def select_scatter(self, src: _ArrayLike, dim: _int, index: _int) -> Tensor:
        """A copy in which one element of an axis is replaced."""

    def sgn(x, /) -> Tensor:
        """The sign: -1, 0 or 1; NaN stays NaN. Its derivative is 0 everywhere."""

    @property
    def shape(self) -> tuple[_int, ...]:
        """The sizes of all axes."""

    def short(self) -> Tensor:
        """x as int16."""

    def sigmoid(x) -> Tensor:
        """1 / (1 + exp(-x)), without overflow."""

    def sigmoid_(self) -> Self:
        """`sigmoid` in place: computes the new value and rebinds the tensor."""

    def sign(x, /) -> Tensor:
        """The sign: -1, 0 or 1; NaN stays NaN. Its derivative is 0 everywhere."""

    def sign_(self, /) -> Self:
        """`sign` in place: computes the new value and rebinds the tensor."""

    def signbit(x, /) -> Tensor:
        """True where the sign bit is set; it tells -0.0 from 0.0."""

    def sin(x, /) -> Tensor:
        """The sine, accurate for every finite x."""

    def sin_(self, /) -> Self:
        """`sin` in place: computes the new value and rebinds the tensor."""

    def sinc(x, /) -> Tensor:
        """sin(πx) / (πx), 1 at 0."""

    def sinh(x, /) -> Tensor:
        """The hyperbolic sine."""

    @property
    def size(self) -> Size:
        """The number of elements, as an int; `x.size()` is the shape and `x.size(1)` one of it."""

    def slice_scatter(
        self,
        src: _ArrayLike,
        dim: _int = 0,
        start: _int | None = None,
        end: _int | None = None,
        step: _int = 1,
    ) -> Tensor:
        """A copy in which a slice of an axis is replaced."""

    def softmax(x, dim: _int = -1, dtype: _DTypeLike | None = None) -> Tensor:
        """exp(x) / Σ exp(x) along an axis, without overflow."""

    def sort(
        self,
        dim: _int = ...,
        descending: _bool = False,
        *,
        axis: _int = ...,
    ) -> ValuesIndices:
        """Sorted values and their indices along an axis, as in PyTorch. Always stable."""

    def split(
        self,
        split_size: _int | Sequence[_int],
        dim: _int = ...,
        *,
        axis: _int = ...,
    ) -> tuple[Tensor, ...]:
        """Pieces of a size along an axis."""

    def split_with_sizes(self, split_sizes: _ArrayLike, dim: _int = 0) -> tuple[Tensor, ...]:
        """Pieces of given sizes along an axis."""

    def sqrt(x, /) -> Tensor:
        """The square root; NaN for negative numbers. Its derivative at 0 is infinite."""

    def sqrt_(self, /) -> Self:
        """`sqrt` in place: computes the new value and rebinds the tensor."""

    def square(x, /) -> Tensor:
        """The square of each element: x · x."""

    def square_(self, /) -> Self:
        """`square` in place: computes the new value and rebinds the tensor."""

    def squeeze(self, dim: _Axis = ..., *, axis: _Axis = ...) -> Tensor:
        """Axes of size 1 removed: all of them, or the named ones that have size 1."""

    def std(
        self,
        dim: _Axis | _bool = ...,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        correction: _float | None = None,
        ddof: _float | None = None,
        dtype: _DTypeLike | None = None,
        out: None = None,
    ) -> Tensor:
        """As `el.std`, but the correction is 1 by default, as in PyTorch."""

    @overload
    def stride(self, dim: None = ...) -> tuple[_int, ...]: ...
    @overload
    def stride(self, dim: _int) -> _int: ...
    def sub(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Tensor:
        """self - alpha · other."""

    def sub_(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Self:
        """`sub` in place: computes the new value and rebinds the tensor."""

    def subtract(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Tensor:
        """self - alpha · other."""

    def subtract_(self, other: _ArrayLike, *, alpha: _ArrayLike = 1) -> Self:
        """`subtract` in place: computes the new value and rebinds the tensor."""

    def sum(
        self,
        dim: _Axis = ...,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        out: None = None,
        dtype: _DTypeLike | None = None,
    ) -> Tensor:
        """The sum of elements along axes."""

    def sum_to_size(self, *sizes: _ShapeLike) -> Tensor:
        """Added up along the axes along which `expand` would repeat a tensor of a shape."""

    def swapaxes(self, dim0: _int, dim1: _int) -> Tensor:
        """Two axes exchanged."""

    def swapdims(self, dim0: _int, dim1: _int) -> Tensor:
        """Two axes exchanged."""

    def t(self) -> Tensor:
        """The transpose of a matrix; a tensor of fewer axes as it is."""

    def take(self, index: _ArrayLike, axis: _int | None = None) -> Tensor:
        """Elements of the flattened tensor at indices of any shape; with an axis, along it."""

    def take_along_dim(self, indices: _ArrayLike, dim: _int | None = None) -> Tensor:
        """Elements picked along an axis (of the flattened tensor if None)."""

    def tan(x, /) -> Tensor:
        """The tangent, accurate for every finite x."""

    def tanh(x, /) -> Tensor:
        """The hyperbolic tangent."""

    def tanh_(self, /) -> Self:
        """`tanh` in place: computes the new value and rebinds the tensor."""

    def tensor_split(
        self,
        indices_or_sections: _int | Sequence[_int],
        dim: _int = 0,
    ) -> tuple[Tensor, ...]:
        """Nearly equal pieces of an axis, or pieces that end before given indices."""

    def tile(self, *sizes: _ShapeLike) -> Tensor:
        """The whole tensor repeated along each axis."""

    @overload
    def to(self, dtype: _DTypeLike, /, *, copy: _bool = ...) -> Tensor: ...
    @overload
    def to(self, other: Tensor, /, *, copy: _bool = ...) -> Tensor: ...
    @overload
    def to(self, device: str, dtype: _DTypeLike, /, *, copy: _bool = ...) -> Tensor: ...
    @overload
    def to(
        self,
        *,
        dtype: _DTypeLike | None = ...,
        device: str | None = ...,
        other: Tensor | None = ...,
        copy: _bool = ...,
    ) -> Tensor: ...
    def to_device(self, device: str | None, /, *, stream: Any = None) -> Tensor:
        """x itself; every device but "cpu" is refused."""

    def tobytes(self) -> bytes:
        """The elements in row-major order, as they lie in memory."""

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""

    def topk(
        self,
        k: _int,
        dim: _int = ...,
        largest: _bool = True,
        sorted: _bool = True,
        *,
        axis: _int = ...,
    ) -> TopK:
        """The k greatest (or least) elements along an axis and their indices."""

    def trace(self) -> Tensor:
        """The sum of the diagonal."""

    @overload
    def transpose(self, dim0: _int, dim1: _int) -> Tensor: ...
    @overload
    def transpose(self, dim0: Sequence[_int] | None = ..., dim1: None = ...) -> Tensor: ...
    def tril(self, diagonal: _int = 0) -> Tensor:
        """Zeros above a diagonal."""

    def tril_(self, diagonal: _int = 0) -> Self:
        """`tril` in place: computes the new value and rebinds the tensor."""

    def triu(self, diagonal: _int = 0) -> Tensor:
        """Zeros below a diagonal."""

    def triu_(self, diagonal: _int = 0) -> Self:
        """`triu` in place: computes the new value and rebinds the tensor."""

    def true_divide(self, other: _ArrayLike, *, rounding_mode: str | None = None) -> Tensor:
        """self / other; `rounding_mode` may be "floor" or "trunc"."""

    def trunc(x, /) -> Tensor:
        """The integer part of x."""

    def trunc_(self, /) -> Self:
        """`trunc` in place: computes the new value and rebinds the tensor."""

    def type(self, dtype: _DTypeLike) -> Tensor:
        """x in another dtype."""

    def type_as(self, other: _ArrayLike) -> Tensor:
        """x in the dtype of another tensor."""

    def unbind(self, dim: _int = ..., *, axis: _int = ...) -> tuple[Tensor, ...]:
        """The slices along an axis as a tuple."""

    def unflatten(self, dim: _int, sizes: Sequence[_int]) -> Tensor:
        """One axis cut into several; one size may be -1."""

    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor:
        """All windows of an axis, as a new last axis."""

    def uniform_(
        self,
        a: _float = 0.0,
        b: _float = 1.0,
        *,
        generator: Generator | None = None,
    ) -> Self:
        """Fill with numbers from the uniform distribution on [a, b)."""

    @overload
    def unique(
        self,
        sorted: _bool = ...,
        return_inverse: Literal[False] = ...,
        return_counts: Literal[False] = ...,
        dim: _int | None = ...,
    ) -> Tensor: ...
    @overload
    def unique(
        self,
        sorted: _bool = ...,
        return_inverse: _bool = ...,
        return_counts: _bool = ...,
        dim: _int | None = ...,
    ) -> tuple[Tensor, ...]: ...
    @overload
    def unique_consecutive(
        self,
        return_inverse: Literal[False] = ...,
        return_counts: Literal[False] = ...,
        dim: _int | None = ...,
    ) -> Tensor: ...
    @overload
    def unique_consecutive(
        self,
        return_inverse: _bool = ...,
        return_counts: _bool = ...,
        dim: _int | None = ...,
    ) -> tuple[Tensor, ...]: ...
    def unsqueeze(self, dim: _int) -> Tensor:
        """A new axis of size 1."""

    def var(
        self,
        dim: _Axis | _bool = ...,
        unbiased: _bool | None = None,
        keepdim: _bool = False,
        *,
        axis: _Axis = ...,
        keepdims: _bool = False,
        correction: _float | None = None,
        ddof: _float | None = None,
        dtype: _DTypeLike | None = None,
        out: None = None,
    ) -> Tensor:
        """As `el.var`, but the correction is 1 by default, as in PyTorch."""

    def vdot(x1, x2: _ArrayLike, /) -> Tensor:
        """The dot product of two flattened tensors."""

    def view(self, *shape: _ShapeLike | _DTypeLike) -> Tensor:
        """`reshape`; with a dtype, the same bits read as another type of the same size."""

    def view_as(self, other: _ArrayLike) -> Tensor:
        """The elements under the shape of another tensor."""

    def vsplit(x, indices_or_sections: _int | Sequence[_int], /) -> tuple[Tensor, ...]:
        """`array_split` into equal pieces along the first axis."""

    def where(self, condition: _ArrayLike, other: _ArrayLike) -> Tensor:
        """self where the condition holds, else other."""

    def xlogy(x, y: _ArrayLike, /) -> Tensor:
        """x·log(y), and 0 where x = 0 (unless y is NaN)."""

    def zero_(self) -> Self:
        """Set all elements to zero."""
