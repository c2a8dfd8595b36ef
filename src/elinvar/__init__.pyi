# Made by `python tools/type_stubs.py` from the op table and the sources. Do not edit.

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np

from elinvar import carbon as carbon
from elinvar import data as data
from elinvar import export as export
from elinvar import linalg as linalg
from elinvar import metrics as metrics
from elinvar import nn as nn
from elinvar import optim as optim
from elinvar import testing as testing
from elinvar import train as train
from elinvar.core.dtypes import DType as DType
from elinvar.core.dtypes import bfloat16 as bfloat16
from elinvar.core.dtypes import complex64 as complex64
from elinvar.core.dtypes import complex128 as complex128
from elinvar.core.dtypes import float16 as float16
from elinvar.core.dtypes import float32 as float32
from elinvar.core.dtypes import float64 as float64
from elinvar.core.dtypes import int8 as int8
from elinvar.core.dtypes import int16 as int16
from elinvar.core.dtypes import int32 as int32
from elinvar.core.dtypes import int64 as int64
from elinvar.core.dtypes import uint8 as uint8
from elinvar.core.dtypes import uint16 as uint16
from elinvar.core.dtypes import uint32 as uint32
from elinvar.core.dtypes import uint64 as uint64
from elinvar.core.errors import ElinvarError as ElinvarError
from elinvar.core.errors import ValueSemanticsWarning as ValueSemanticsWarning
from elinvar.core.shapes import Dim as Dim
from elinvar.export.loader import load_native as load_native
from elinvar.export.native import export_native as export_native
from elinvar.nn import func as func
from elinvar.nn.serialization import load as load
from elinvar.nn.serialization import save as save
from elinvar.nn.stateless import functional_call as functional_call
from elinvar.nn.stateless import stack_module_state as stack_module_state
from elinvar.runs.loop import run as run
from elinvar.runtime.pool import get_num_threads as get_num_threads
from elinvar.runtime.pool import set_num_threads as set_num_threads
from elinvar.tensor import checkpoint_policies as checkpoint_policies
from elinvar.tensor import fft as fft
from elinvar.tensor import random as random
from elinvar.tensor import trees as tree
from elinvar.tensor.autocasting import autocast as autocast
from elinvar.tensor.casting import FloatInfo, IntegerInfo, NamespaceInfo
from elinvar.tensor.checkpoint import checkpoint as checkpoint
from elinvar.tensor.composite import composite as composite
from elinvar.tensor.control import cond as cond
from elinvar.tensor.control import fori_loop as fori_loop
from elinvar.tensor.control import scan as scan
from elinvar.tensor.control import while_loop as while_loop
from elinvar.tensor.custom import custom_jvp as custom_jvp
from elinvar.tensor.custom import custom_vjp as custom_vjp
from elinvar.tensor.debugging import debug_nans as debug_nans
from elinvar.tensor.evaluating import eval_shape as eval_shape
from elinvar.tensor.extra import special as special
from elinvar.tensor.gradients import grad as grad
from elinvar.tensor.gradients import value_and_grad as value_and_grad
from elinvar.tensor.gradients import vjp as vjp
from elinvar.tensor.jacobians import hessian as hessian
from elinvar.tensor.jacobians import hvp as hvp
from elinvar.tensor.jacobians import jacfwd as jacfwd
from elinvar.tensor.jacobians import jacrev as jacrev
from elinvar.tensor.jit import jit as jit
from elinvar.tensor.looping import associative_scan as associative_scan
from elinvar.tensor.looping import map as map
from elinvar.tensor.looping import switch as switch
from elinvar.tensor.named_axes import all_gather as all_gather
from elinvar.tensor.named_axes import axis_index as axis_index
from elinvar.tensor.named_axes import axis_size as axis_size
from elinvar.tensor.named_axes import pmax as pmax
from elinvar.tensor.named_axes import pmean as pmean
from elinvar.tensor.named_axes import pmin as pmin
from elinvar.tensor.named_axes import ppermute as ppermute
from elinvar.tensor.named_axes import psum as psum
from elinvar.tensor.printing import set_printoptions as set_printoptions
from elinvar.tensor.profile import profile as profile
from elinvar.tensor.random import manual_seed as manual_seed
from elinvar.tensor.searching import TopK
from elinvar.tensor.specs import TensorSpec as TensorSpec
from elinvar.tensor.stepping import disable_jit as disable_jit
from elinvar.tensor.streams import Generator as Generator
from elinvar.tensor.tangents import jvp as jvp
from elinvar.tensor.tangents import linearize as linearize
from elinvar.tensor.tape import enable_grad as enable_grad
from elinvar.tensor.tape import inference_mode as inference_mode
from elinvar.tensor.tape import is_grad_enabled as is_grad_enabled
from elinvar.tensor.tape import no_grad as no_grad
from elinvar.tensor.tape import set_grad_enabled as set_grad_enabled
from elinvar.tensor.tensor import Tensor as Tensor
from elinvar.tensor.tensor import _ArrayLike, _Axis, _DTypeLike, _ShapeLike
from elinvar.tensor.uniques import UniqueAll, UniqueCounts, UniqueInverse
from elinvar.tensor.vmap import vmap as vmap
from elinvar.train.trainer import Trainer as Trainer

_bool = builtins.bool

__version__: str
__array_api_version__: str

bool: DType
e: float
inf: float
nan: float
pi: float
newaxis: None
mgrid: Any
ogrid: Any

def abs(x: _ArrayLike, /) -> Tensor:
    """The absolute value. Its derivative at 0 is 0."""

def acos(x: _ArrayLike, /) -> Tensor:
    """The inverse cosine, in 0 … π; NaN beyond ±1."""

def acosh(x: _ArrayLike, /) -> Tensor:
    """The inverse hyperbolic cosine; NaN below 1."""

def add(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The sum; integers wrap around."""

def all(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """True where every element along axes is True (or not zero)."""

def allclose(
    x1: _ArrayLike,
    x2: _ArrayLike,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: _bool = False,
) -> _bool:
    """Whether |x1 - x2| ≤ atol + rtol · |x2| everywhere, as one Python _bool."""

def angle(x: _ArrayLike, /, deg: _bool = False) -> Tensor:
    """The angle of a number from the positive real axis, -π … π (or -180° … 180°)."""

def any(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """True where at least one element along axes is True (or not zero)."""

def arange(
    start: _ArrayLike,
    /,
    stop: _ArrayLike | None = None,
    step: _ArrayLike = 1,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Evenly spaced numbers start, start + step, … up to but without stop."""

def argmax(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """The index of the greatest element along an axis (of the flattened tensor if None)."""

def argmin(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """The index of the least element along an axis (of the flattened tensor if None)."""

def argsort(
    x: _ArrayLike,
    /,
    axis: int = -1,
    *,
    descending: _bool = False,
    stable: _bool = True,
) -> Tensor:
    """The indices that sort an axis; NaN comes last. Always stable."""

def array(
    data: Any,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
    requires_grad: _bool = False,
) -> Tensor:
    """A new tensor of data, as `torch.tensor` makes one."""

def asarray(
    obj: Any,
    /,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
    copy: _bool | None = None,
) -> Tensor:
    """A tensor of any data: numbers, nested lists, numpy arrays, tensors, buffers, other …"""

def asin(x: _ArrayLike, /) -> Tensor:
    """The inverse sine, in -π/2 … π/2; NaN beyond ±1."""

def asinh(x: _ArrayLike, /) -> Tensor:
    """The inverse hyperbolic sine."""

def astype(
    x: _ArrayLike,
    dtype: _DTypeLike,
    /,
    *,
    copy: _bool = True,
    device: str | None = None,
) -> Tensor:
    """x converted to another dtype."""

def atan(x: _ArrayLike, /) -> Tensor:
    """The inverse tangent, in -π/2 … π/2."""

def atan2(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The angle of the point (x, y), in -π … π. The gradient at the origin is 0."""

def atanh(x: _ArrayLike, /) -> Tensor:
    """The inverse hyperbolic tangent; ±∞ at ±1 and NaN beyond."""

def bernoulli(
    p: _ArrayLike,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """1 with probability p, else 0."""

def bincount(
    x: _ArrayLike,
    /,
    weights: _ArrayLike | None = None,
    minlength: int = 0,
    *,
    length: int | None = None,
) -> Tensor:
    """How often each of 0 … max(x) occurs in a 1-D tensor of integers."""

def bitcast(x: _ArrayLike, dtype: _DTypeLike, /) -> Tensor:
    """The same bits read as another dtype of the same size."""

def bitwise_and(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The bits set in both operands; for _bool: and."""

def bitwise_invert(x: _ArrayLike, /) -> Tensor:
    """All bits flipped; for _bool: not."""

def bitwise_left_shift(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The bits of x moved up by y places."""

def bitwise_or(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The bits set in an operand at least; for _bool: or."""

def bitwise_right_shift(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The bits of x moved down by y places; signed numbers keep their sign."""

def bitwise_xor(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The bits set in one operand only; for _bool: either but not both."""

def broadcast_arrays(*arrays: _ArrayLike) -> tuple[Tensor, ...]:
    """All tensors broadcast to their common shape."""

def broadcast_shapes(*shapes: _ShapeLike) -> tuple[int, ...]:
    """The shape that all of the given shapes broadcast to."""

def broadcast_to(x: _ArrayLike, /, shape: _ShapeLike) -> Tensor:
    """x repeated along new axes and axes of size 1."""

def can_cast(from_: _DTypeLike | _ArrayLike, to: _DTypeLike, /) -> _bool:
    """Whether promotion can turn the first dtype into the second."""

def ceil(x: _ArrayLike, /) -> Tensor:
    """The smallest integer that is not below x."""

def checkpoint_name(x: _ArrayLike, name: str) -> Tensor:
    """x itself, under a name by which a policy of `checkpoint` may keep it."""

def chunk(x: _ArrayLike, chunks: int, /, axis: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor along an axis into at most `chunks` pieces of equal size (the last …"""

def clip(
    x: _ArrayLike,
    /,
    min: _ArrayLike | None = None,
    max: _ArrayLike | None = None,
) -> Tensor:
    """Limit values to min … max; either bound may be None. NaN, also in a bound, gives NaN."""

def complex(re: _ArrayLike, im: _ArrayLike, /) -> Tensor:
    """The complex numbers re + i·im, with broadcasting."""

def concat(arrays: Sequence[_ArrayLike], /, axis: int | None = 0) -> Tensor:
    """Join tensors along an existing axis (None: flatten them first)."""

def conj(x: _ArrayLike, /) -> Tensor:
    """The complex conjugate, x - iy for x + iy; of real numbers x."""

def copysign(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The size of x with the sign of y."""

def cos(x: _ArrayLike, /) -> Tensor:
    """The cosine, accurate for every finite x."""

def cosh(x: _ArrayLike, /) -> Tensor:
    """The hyperbolic cosine."""

def count_nonzero(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """The number of elements along axes that are not zero (or not False)."""

def cumulative_prod(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: _DTypeLike | None = None,
    include_initial: _bool = False,
) -> Tensor:
    """Running products along an axis. Arguments as for `cumulative_sum`."""

def cumulative_sum(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: _DTypeLike | None = None,
    include_initial: _bool = False,
) -> Tensor:
    """Running sums along an axis."""

def diff(
    x: _ArrayLike,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: _ArrayLike | None = None,
    append: _ArrayLike | None = None,
) -> Tensor:
    """The n-th difference of neighbours along an axis: x[i + 1] - x[i]."""

def divide(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The quotient of floats, with IEEE's infinities and NaN."""

def dot(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """NumPy's product: Σ over the last axis of x1 and the last but one of x2 (1-D: last)."""

def einsum(*operands: Any, optimize: Any = "structure") -> Tensor:
    """Sums of products, written with one letter for each axis."""

def einsum_path(*operands: Any, optimize: Any = "optimal") -> tuple[list[Any], str]:
    """The order in which `einsum` joins its operands, and a text about it."""

def empty(
    shape: _ShapeLike,
    *more: _ArrayLike,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor whose values do not matter. They are zeros, so that a run can be repeated."""

def empty_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor with the shape and dtype of x; its values are zeros (see `empty`)."""

def equal(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x = y, element by element; false where an operand is NaN."""

def erf(x: _ArrayLike, /) -> Tensor:
    """The error function."""

def erfinv(x: _ArrayLike, /) -> Tensor:
    """The inverse of the error function on -1 … 1: erf(erfinv(x)) = x."""

def exp(x: _ArrayLike, /) -> Tensor:
    """The exponential function."""

def expand_dims(x: _ArrayLike, /, axis: int | tuple[int, ...] = 0) -> Tensor:
    """New axes of size 1 at the given places of the result."""

def expm1(x: _ArrayLike, /) -> Tensor:
    """The exponential function less 1, accurate near 0."""

def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""

def finfo(type: _DTypeLike | _ArrayLike, /) -> FloatInfo:
    """The limits of a floating dtype; of a complex one, those of its parts."""

def flip(x: _ArrayLike, /, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """The elements along axes in reverse order (all axes if None)."""

def floor(x: _ArrayLike, /) -> Tensor:
    """The largest integer that is not above x."""

def floor_divide(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The quotient rounded down, as Python's `//`. Integers give 0 for a zero divisor."""

def from_dlpack(
    x: Any,
    /,
    *,
    device: str | None = None,
    copy: _bool | None = None,
) -> Tensor:
    """A tensor that shares the memory of another library's array, by the DLPack protocol."""

def from_numpy(array: np.ndarray[Any, Any], /) -> Tensor:
    """A tensor that shares the memory of a numpy array."""

def full(
    shape: _ShapeLike,
    fill_value: _ArrayLike,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor filled with one value."""

def full_like(
    x: _ArrayLike,
    /,
    fill_value: _ArrayLike,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """One value in the shape and dtype of x."""

def greater(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x > y, element by element; false where an operand is NaN."""

def greater_equal(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x ≥ y, element by element; false where an operand is NaN."""

def hypot(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The length of the hypotenuse, √(x1² + x2²), without overflow."""

def iinfo(type: _DTypeLike | _ArrayLike, /) -> IntegerInfo:
    """The limits of an integer dtype."""

def imag(x: _ArrayLike, /) -> Tensor:
    """The imaginary part; of real numbers 0."""

def isclose(
    x1: _ArrayLike,
    x2: _ArrayLike,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: _bool = False,
) -> Tensor:
    """True where |x1 - x2| ≤ atol + rtol · |x2|; equal infinities are close."""

def isdtype(
    dtype: _DTypeLike,
    kind: _DTypeLike | str | tuple[_DTypeLike | str, ...],
) -> _bool:
    """Whether a dtype is of a kind."""

def isfinite(x: _ArrayLike, /) -> Tensor:
    """True where an element is neither infinite nor NaN."""

def isin(x1: _ArrayLike, x2: _ArrayLike, /, *, invert: _bool = False) -> Tensor:
    """True where an element of x1 occurs in x2."""

def isinf(x: _ArrayLike, /) -> Tensor:
    """True where an element is positive or negative infinity."""

def isnan(x: _ArrayLike, /) -> Tensor:
    """True where an element is not a number."""

def lerp(start: _ArrayLike, end: _ArrayLike, weight: _ArrayLike) -> Tensor:
    """Linear interpolation: start + weight · (end - start)."""

def less(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x < y, element by element; false where an operand is NaN."""

def less_equal(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x ≤ y, element by element; false where an operand is NaN."""

def linspace(
    start: _ArrayLike,
    stop: _ArrayLike,
    /,
    num: int,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
    endpoint: _bool = True,
) -> Tensor:
    """`num` evenly spaced numbers from start to stop (stop itself only with `endpoint`)."""

def log(x: _ArrayLike, /) -> Tensor:
    """The natural logarithm; -∞ at 0 and NaN for negative numbers."""

def log10(x: _ArrayLike, /) -> Tensor:
    """The logarithm to base 10."""

def log1p(x: _ArrayLike, /) -> Tensor:
    """The natural logarithm of 1 + x, accurate near 0."""

def log2(x: _ArrayLike, /) -> Tensor:
    """The logarithm to base 2, exact for powers of two."""

def logaddexp(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """log(exp(x1) + exp(x2)) without overflow."""

def logical_and(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """True where both elements are True (or not zero)."""

def logical_not(x: _ArrayLike, /) -> Tensor:
    """True where an element is False (or zero)."""

def logical_or(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """True where at least one element is True (or not zero)."""

def logical_xor(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """True where exactly one element is True (or not zero)."""

def logsumexp(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """log Σ exp(x) along axes without overflow."""

def matmul(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The matrix product x1 @ x2."""

def matrix_transpose(x: _ArrayLike, /) -> Tensor:
    """The last two axes exchanged."""

def max(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The greatest element along axes; NaN if one is NaN."""

def maximum(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The larger number. NaN wins, and -0 < +0."""

def mean(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The arithmetic mean along axes; integers give float32."""

def meshgrid(*arrays: _ArrayLike, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinate grids of 1-D tensors."""

def min(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The least element along axes; NaN if one is NaN."""

def minimum(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The smaller number. NaN wins, and -0 < +0."""

def moveaxis(
    x: _ArrayLike,
    /,
    source: int | tuple[int, ...],
    destination: int | tuple[int, ...],
) -> Tensor:
    """Move axes to new places; the others keep their order."""

def multinomial(
    weights: _ArrayLike,
    num_samples: int,
    replacement: _bool = False,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Indices drawn in proportion to weights (which need not add up to 1) along the last …"""

def multiply(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The product; integers wrap around."""

def negative(x: _ArrayLike, /) -> Tensor:
    """The number with the opposite sign."""

def nextafter(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The next number of the dtype from x towards y. The gradient passes to x."""

def nonzero(
    x: _ArrayLike,
    /,
    *,
    size: int | None = None,
    fill_value: int = 0,
) -> tuple[Tensor, ...]:
    """The indices of elements that are not zero, one tensor per axis."""

def normal(
    mean: _ArrayLike = 0.0,
    std: _ArrayLike = 1.0,
    size: _ShapeLike | None = None,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from normal distributions; mean and std may be tensors that broadcast."""

def not_equal(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """Whether x ≠ y, element by element; true where an operand is NaN."""

def one_hot(
    x: _ArrayLike,
    num_classes: int,
    /,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Rows with a 1 at the given class and zeros elsewhere."""

def ones(
    shape: _ShapeLike,
    *more: _ArrayLike,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor of ones."""

def ones_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Ones with the shape and dtype of x."""

def outer(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """All products of two 1-D tensors: result[i, j] = x1[i] · x2[j]."""

def permutation(
    n: int | _ArrayLike,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def permute_dims(x: _ArrayLike, /, axes: Sequence[int]) -> Tensor:
    """The axes in another order."""

def positive(x: _ArrayLike, /) -> Tensor:
    """The same numbers: +x."""

def pow(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """x1 raised to the power x2, with broadcasting."""

def prod(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The product of elements along axes. Arguments as for `sum`."""

def rand(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [0, 1)."""

def rand_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [0, 1) in the shape of x, and of its dtype."""

def randint(
    low: int,
    high: int | None = None,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Integers from the uniform distribution on low … high-1 (0 … low-1 with one bound)."""

def randn(
    *shape: _ShapeLike,
    size: _ShapeLike | None = None,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the normal distribution with mean 0 and variance 1."""

def randn_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the normal distribution in the shape of x, and of its dtype."""

def randperm(
    n: int | _ArrayLike,
    *,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """The numbers 0 … n-1 in random order, or the rows of a tensor in random order."""

def real(x: _ArrayLike, /) -> Tensor:
    """The real part; of real numbers x."""

def reciprocal(x: _ArrayLike, /) -> Tensor:
    """1 / x of each element; integers become float32."""

def remainder(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The remainder with the divisor's sign, as Python's `%`; exact for floats."""

def repeat(
    x: _ArrayLike,
    /,
    repeats: _ArrayLike,
    axis: int | None = None,
    *,
    total_repeat_length: int | None = None,
) -> Tensor:
    """Each element repeated along an axis (of the flattened tensor if None)."""

def reshape(x: _ArrayLike, /, shape: _ShapeLike, *, copy: _bool | None = None) -> Tensor:
    """The elements in row-major order under another shape; one size may be -1."""

def result_type(*arrays_and_dtypes: _ArrayLike | DType) -> DType:
    """The dtype that an operation on these tensors, dtypes and Python numbers has."""

def roll(x: _ArrayLike, /, shift: int | tuple[int, ...], axis: _Axis = None) -> Tensor:
    """Shift elements along axes; what leaves at one end enters at the other."""

def round(x: _ArrayLike, /) -> Tensor:
    """The nearest integer; halves go to the even one."""

def searchsorted(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    side: str = "left",
    sorter: _ArrayLike | None = None,
) -> Tensor:
    """Where values would be put into a sorted 1-D tensor so that it stays sorted."""

def sign(x: _ArrayLike, /) -> Tensor:
    """The sign: -1, 0 or 1; NaN stays NaN. Its derivative is 0 everywhere."""

def signbit(x: _ArrayLike, /) -> Tensor:
    """True where the sign bit is set; it tells -0.0 from 0.0."""

def sin(x: _ArrayLike, /) -> Tensor:
    """The sine, accurate for every finite x."""

def sinh(x: _ArrayLike, /) -> Tensor:
    """The hyperbolic sine."""

def sort(
    x: _ArrayLike,
    /,
    axis: int = -1,
    *,
    descending: _bool = False,
    stable: _bool = True,
) -> Tensor:
    """The elements along an axis in order; NaN comes last. Always stable."""

def split(
    x: _ArrayLike,
    size_or_sizes: int | Sequence[int],
    /,
    axis: int = 0,
) -> tuple[Tensor, ...]:
    """Cut a tensor along an axis into pieces of a size (the last may be smaller) or of …"""

def sqrt(x: _ArrayLike, /) -> Tensor:
    """The square root; NaN for negative numbers. Its derivative at 0 is infinite."""

def square(x: _ArrayLike, /) -> Tensor:
    """The square of each element: x · x."""

def squeeze(x: _ArrayLike, /, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Remove axes of size 1: the given ones, or all of them."""

def stack(arrays: Sequence[_ArrayLike], /, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis."""

def std(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    correction: float = 0.0,
    keepdims: _bool = False,
) -> Tensor:
    """The standard deviation along axes, √var. Arguments as for `var`."""

def stop_gradient(x: _ArrayLike, /) -> Tensor:
    """x itself, a tensor or a container of tensors, through which no gradient flows."""

def subtract(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The difference; integers wrap around."""

def sum(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The sum of elements along axes."""

def take(x: _ArrayLike, indices: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """The elements (or slices) at indices along an axis."""

def take_along_axis(x: _ArrayLike, indices: _ArrayLike, /, axis: int = -1) -> Tensor:
    """Elements picked along one axis: result[…, i, …] = x[…, indices[…, i, …], …]."""

def tan(x: _ArrayLike, /) -> Tensor:
    """The tangent, accurate for every finite x."""

def tanh(x: _ArrayLike, /) -> Tensor:
    """The hyperbolic tangent."""

def tensor(
    data: Any,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
    requires_grad: _bool = False,
) -> Tensor:
    """A new tensor of data, as `torch.tensor` makes one."""

def tensordot(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    axes: int | tuple[Sequence[int], Sequence[int]] = 2,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The sum of products over pairs of axes."""

def tile(x: _ArrayLike, repetitions: int | Sequence[int], /) -> Tensor:
    """The whole tensor repeated along each axis."""

def topk(x: _ArrayLike, k: int, /, axis: int = -1, *, largest: _bool = True) -> TopK:
    """The k greatest (or least) elements along an axis in order, and their indices."""

def tril(x: _ArrayLike, /, *, k: int = 0) -> Tensor:
    """The lower triangles of matrices; zeros above the k-th diagonal."""

def triu(x: _ArrayLike, /, *, k: int = 0) -> Tensor:
    """The upper triangles of matrices; zeros below the k-th diagonal."""

def trunc(x: _ArrayLike, /) -> Tensor:
    """The integer part of x."""

def uniform(
    low: float = 0.0,
    high: float = 1.0,
    size: _ShapeLike = (),
    *,
    dtype: _DTypeLike | None = None,
    generator: Generator | None = None,
    key: _ArrayLike | None = None,
) -> Tensor:
    """Numbers from the uniform distribution on [low, high)."""

def unique_all(
    x: _ArrayLike,
    /,
    *,
    size: int | None = None,
    fill_value: _ArrayLike | None = None,
) -> UniqueAll:
    """The distinct values in order, where each first occurs, the way back, and how often …"""

def unique_counts(
    x: _ArrayLike,
    /,
    *,
    size: int | None = None,
    fill_value: _ArrayLike | None = None,
) -> UniqueCounts:
    """The distinct values in order and how often each occurs. `size` as for `unique_all`."""

def unique_inverse(
    x: _ArrayLike,
    /,
    *,
    size: int | None = None,
    fill_value: _ArrayLike | None = None,
) -> UniqueInverse:
    """The distinct values in order and the indices that rebuild x from them. `size` as for"""

def unique_values(
    x: _ArrayLike,
    /,
    *,
    size: int | None = None,
    fill_value: _ArrayLike | None = None,
) -> Tensor:
    """The distinct values in order. `size` as for `unique_all`."""

def unstack(x: _ArrayLike, /, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, as a tuple."""

def var(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    correction: float = 0.0,
    keepdims: _bool = False,
) -> Tensor:
    """The variance along axes: Σ (x - mean)² / (n - correction)."""

def vecdot(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    *,
    axis: int = -1,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """The dot product of vectors along an axis: Σ conj(x1) · x2; other axes broadcast."""

@overload
def where(condition: _ArrayLike, x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor: ...
@overload
def where(
    condition: _ArrayLike,
    x1: None = ...,
    x2: None = ...,
    /,
    *,
    size: int | None = ...,
    fill_value: int = ...,
) -> tuple[Tensor, ...]: ...
def zeros(
    shape: _ShapeLike,
    *more: _ArrayLike,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor of zeros; the sizes as a tuple or one after another."""

def zeros_like(
    x: _ArrayLike,
    /,
    *,
    dtype: _DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Zeros with the shape and dtype of x."""

def append(x: _ArrayLike, values: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """x with values behind it along an axis (both flattened if None)."""

def apply_along_axis(
    function: Callable[..., Any],
    axis: int,
    x: _ArrayLike,
    /,
    *args: Any,
    **kwargs: _ArrayLike,
) -> Tensor:
    """`function(row, *args)` for each 1-D row of a tensor along an axis, by `vmap`."""

def apply_over_axes(
    function: Callable[..., Any],
    x: _ArrayLike,
    axes: int | Sequence[int],
    /,
) -> Tensor:
    """`function(x, axis=…)` for each of several axes in turn; axes that it drops are put …"""

def argpartition(
    x: _ArrayLike,
    /,
    kth: int | Sequence[int],
    axis: int | None = -1,
) -> Tensor:
    """The indices of `partition`."""

def argwhere(x: _ArrayLike, /) -> Tensor:
    """The indices of elements that are not zero, one row for each. Not under `jit`."""

def around(x: _ArrayLike, /, decimals: int = 0) -> Tensor:
    """The nearest number with some decimals; halves go to the even neighbour."""

def array_equal(x1: _ArrayLike, x2: _ArrayLike, /, equal_nan: _bool = False) -> _bool:
    """Whether shapes and all elements are equal, as one Python _bool."""

def array_equiv(x1: _ArrayLike, x2: _ArrayLike, /) -> _bool:
    """Whether two tensors broadcast together and then are equal, as one Python _bool."""

def array_split(
    x: _ArrayLike,
    indices_or_sections: int | Sequence[int],
    /,
    axis: int = 0,
) -> tuple[Tensor, ...]:
    """Cut an axis into a number of nearly equal pieces, or before each of several indices."""

@overload
def atleast_1d(array: _ArrayLike, /) -> Tensor: ...
@overload
def atleast_1d(*arrays: _ArrayLike) -> tuple[Tensor, ...]: ...
@overload
def atleast_2d(array: _ArrayLike, /) -> Tensor: ...
@overload
def atleast_2d(*arrays: _ArrayLike) -> tuple[Tensor, ...]: ...
@overload
def atleast_3d(array: _ArrayLike, /) -> Tensor: ...
@overload
def atleast_3d(*arrays: _ArrayLike) -> tuple[Tensor, ...]: ...
@overload
def average(
    x: _ArrayLike,
    /,
    axis: _Axis = ...,
    weights: _ArrayLike | None = ...,
    returned: Literal[False] = ...,
    *,
    keepdims: _bool = ...,
) -> Tensor: ...
@overload
def average(
    x: _ArrayLike,
    /,
    axis: _Axis = ...,
    weights: _ArrayLike | None = ...,
    *,
    returned: Literal[True],
    keepdims: _bool = ...,
) -> tuple[Tensor, Tensor]: ...
def bartlett(n: int, /, *, dtype: _DTypeLike | None = None) -> Tensor:
    """The triangular window: 1 - |2i / (n - 1) - 1|."""

def blackman(n: int, /, *, dtype: _DTypeLike | None = None) -> Tensor:
    """The Blackman window: 0.42 - ½ cos(2πi / (n - 1)) + 0.08 cos(4πi / (n - 1))."""

def block(arrays: _ArrayLike, /) -> Tensor:
    """A tensor of nested lists of blocks: the innermost lists are joined along the last …"""

def cbrt(x: _ArrayLike, /) -> Tensor:
    """The cube root, also of negative numbers."""

def choose(x: _ArrayLike, choices: _ArrayLike, /, mode: str = "raise") -> Tensor:
    """For each element i of x the element of choices[i] at the same place."""

def column_stack(arrays: Sequence[_ArrayLike], /) -> Tensor:
    """1-D tensors as columns, matrices as they are, side by side."""

def compress(
    condition: _ArrayLike,
    x: _ArrayLike,
    /,
    axis: int | None = None,
) -> Tensor:
    """The slices along an axis (of the flattened tensor if None) where a condition holds."""

def convolve(x1: _ArrayLike, x2: _ArrayLike, /, mode: str = "full") -> Tensor:
    """The discrete convolution of two 1-D tensors: y[k] = Σ x1[i] · x2[k - i]."""

def corrcoef(
    x: _ArrayLike,
    /,
    y: _ArrayLike | None = None,
    rowvar: _bool = True,
) -> Tensor:
    """The matrix of correlation coefficients: cov(i, j) / √(var(i) · var(j))."""

def correlate(x1: _ArrayLike, x2: _ArrayLike, /, mode: str = "valid") -> Tensor:
    """The cross-correlation of two 1-D tensors: y[k] = Σ x1[i + k] · x2[i]."""

def cov(
    m: _ArrayLike,
    /,
    y: _ArrayLike | None = None,
    rowvar: _bool = True,
    bias: _bool = False,
    ddof: int | None = None,
    fweights: _ArrayLike | None = None,
    aweights: _ArrayLike | None = None,
) -> Tensor:
    """The covariance matrix of variables, which are the rows (the columns if not `rowvar`)."""

def cross(
    x1: _ArrayLike,
    x2: _ArrayLike,
    /,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Tensor:
    """The cross product of vectors of three (or two, whose third element is 0) along an …"""

def cumlogsumexp(x: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """log Σ exp(x) over the elements so far along an axis, without overflow."""

def cummax(x: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """The greatest element so far along an axis; NaN from the first NaN on."""

def cummin(x: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """The least element so far along an axis; NaN from the first NaN on."""

def cumprod(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Running products along an axis (of the flattened tensor if None), as in NumPy."""

def cumsum(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Running sums along an axis (of the flattened tensor if None), as in NumPy."""

def deg2rad(x: _ArrayLike, /) -> Tensor:
    """Degrees as radians: x · π / 180."""

def delete(x: _ArrayLike, obj: Any, /, axis: int | None = None) -> Tensor:
    """x without the slices at some places of an axis (of the flattened tensor if None)."""

def diag(x: _ArrayLike, /, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or the square matrix with a given diagonal."""

def diag_indices(n: int, /, ndim: int = 2) -> tuple[Tensor, ...]:
    """The indices of the diagonal of a tensor with `ndim` axes of size n."""

def diagflat(x: _ArrayLike, /, k: int = 0) -> Tensor:
    """The square matrix whose k-th diagonal holds the flattened elements."""

def diagonal(
    x: _ArrayLike,
    /,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
) -> Tensor:
    """The diagonal of two axes as the last axis, as in NumPy (see also …"""

def digitize(x: _ArrayLike, bins: Any, /, right: _bool = False) -> Tensor:
    """The number of the bin of each element: i with bins[i-1] ≤ x < bins[i]."""

def divmod(x1: _ArrayLike, x2: _ArrayLike, /) -> tuple[Tensor, Tensor]:
    """(x1 // x2, x1 % x2)."""

def dsplit(
    x: _ArrayLike,
    indices_or_sections: int | Sequence[int],
    /,
) -> tuple[Tensor, ...]:
    """`array_split` into equal pieces along the third axis."""

def dstack(arrays: Sequence[_ArrayLike], /) -> Tensor:
    """Tensors joined along the third axis."""

def dynamic_index_in_dim(
    x: _ArrayLike,
    /,
    index: _ArrayLike,
    axis: int = 0,
    keepdims: _bool = True,
) -> Tensor:
    """One slice along an axis at an index that may be a tensor."""

def dynamic_slice(x: _ArrayLike, /, starts: _ArrayLike, sizes: _ShapeLike) -> Tensor:
    """The block of x of some sizes that begins at `starts`, which may be tensors: x[s: s + …"""

def dynamic_slice_in_dim(
    x: _ArrayLike,
    /,
    start_index: _ArrayLike,
    slice_size: int,
    axis: int = 0,
) -> Tensor:
    """`dynamic_slice` along one axis: all of the others."""

def dynamic_update_slice(
    x: _ArrayLike,
    update: _ArrayLike,
    /,
    starts: _ArrayLike,
) -> Tensor:
    """A copy of x with a block replaced by `update`; see `dynamic_slice`."""

def dynamic_update_slice_in_dim(
    x: _ArrayLike,
    update: _ArrayLike,
    /,
    start_index: _ArrayLike,
    axis: int = 0,
) -> Tensor:
    """`dynamic_update_slice` along one axis: from the first element of the others."""

def ediff1d(
    x: _ArrayLike,
    /,
    to_end: _ArrayLike | None = None,
    to_begin: _ArrayLike | None = None,
) -> Tensor:
    """Differences of neighbours in the flattened tensor."""

def exp2(x: _ArrayLike, /) -> Tensor:
    """2 to the power x."""

def extract(condition: _ArrayLike, x: _ArrayLike, /) -> Tensor:
    """The elements of x where a condition of its size holds. Not under `jit`."""

def fill_diagonal(
    x: _ArrayLike,
    val: _ArrayLike,
    wrap: _bool = False,
    *,
    inplace: _bool = True,
) -> Tensor:
    """Set the elements (i, i, …) to val, in place; 1-D values are repeated along it."""

def flatnonzero(x: _ArrayLike, /) -> Tensor:
    """The places of elements that are not zero in the flattened tensor. Not under `jit`."""

def fliplr(x: _ArrayLike, /) -> Tensor:
    """The second axis in reverse order."""

def flipud(x: _ArrayLike, /) -> Tensor:
    """The first axis in reverse order."""

def float_power(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """x1 to the power x2 in float64."""

def fmax(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The larger of two numbers; where one is NaN, the other."""

def fmin(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The smaller of two numbers; where one is NaN, the other."""

def fmod(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The remainder with the sign of x1: x1 - x2 · trunc(x1 / x2)."""

def frexp(x: _ArrayLike, /) -> tuple[Tensor, Tensor]:
    """m and e (int32) with x = m · 2^e and ½ ≤ |m| < 1; 0, ±∞ and NaN as they are."""

def fromfunction(
    function: Callable[..., Any],
    shape: _ShapeLike,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """`function(i, j, …)` called once on the indices of a grid."""

def gcd(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The greatest common divisor of |x1| and |x2|; gcd(0, 0) = 0."""

def geomspace(
    start: _ArrayLike,
    stop: _ArrayLike,
    /,
    num: int = 50,
    endpoint: _bool = True,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Numbers from start to stop whose neighbours have one ratio."""

def gradient(
    x: _ArrayLike,
    /,
    *varargs: _ArrayLike,
    axis: _Axis = None,
    edge_order: int = 1,
) -> Any:
    """Central differences along axes, one-sided ones at the ends; one tensor for each axis."""

def hamming(n: int, /, *, dtype: _DTypeLike | None = None) -> Tensor:
    """The Hamming window: 0.54 - 0.46 cos(2πi / (n - 1))."""

def hanning(n: int, /, *, dtype: _DTypeLike | None = None) -> Tensor:
    """The Hann window: ½ - ½ cos(2πi / (n - 1))."""

def heaviside(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The step function: 0 where x1 < 0, 1 where x1 > 0, x2 where x1 = 0; NaN stays NaN."""

def histogram(
    x: _ArrayLike,
    /,
    bins: Any = 10,
    range: _ArrayLike | None = None,
    density: _bool = False,
    weights: _ArrayLike | None = None,
) -> tuple[Tensor, Tensor]:
    """How many elements fall into each of several bins; gives (counts, edges)."""

def histogram2d(
    x: _ArrayLike,
    y: _ArrayLike,
    /,
    bins: Any = 10,
    range: _ArrayLike | None = None,
    density: _bool = False,
    weights: _ArrayLike | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """A histogram of points in a plane; gives (counts, edges along x, edges along y)."""

def histogram_bin_edges(
    x: _ArrayLike,
    /,
    bins: Any = 10,
    range: _ArrayLike | None = None,
    weights: _ArrayLike | None = None,
) -> Tensor:
    """The edges of the bins of `histogram`."""

def histogramdd(
    sample: _ArrayLike,
    /,
    bins: Any = 10,
    range: _ArrayLike | None = None,
    density: _bool = False,
    weights: _ArrayLike | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """A histogram of points with D coordinates; gives (counts, the edges along each of …"""

def hsplit(
    x: _ArrayLike,
    indices_or_sections: int | Sequence[int],
    /,
) -> tuple[Tensor, ...]:
    """`array_split` into equal pieces along the second axis (of 1-D tensors: the only one)."""

def hstack(arrays: Sequence[_ArrayLike], /) -> Tensor:
    """Tensors side by side: along the second axis, 1-D ones along their only one."""

@overload
def indices(
    dimensions: _ShapeLike,
    /,
    dtype: _DTypeLike | None = ...,
    sparse: Literal[False] = ...,
) -> Tensor: ...
@overload
def indices(
    dimensions: _ShapeLike,
    /,
    dtype: _DTypeLike | None = ...,
    *,
    sparse: Literal[True],
) -> tuple[Tensor, ...]: ...
def inner(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The sum of products over the last axes of both."""

def insert(
    x: _ArrayLike,
    obj: Any,
    values: _ArrayLike,
    /,
    axis: int | None = None,
) -> Tensor:
    """x with values put before some places of an axis (of the flattened tensor if None)."""

def interp(
    x: _ArrayLike,
    xp: _ArrayLike,
    fp: _ArrayLike,
    /,
    left: _ArrayLike | None = None,
    right: _ArrayLike | None = None,
    period: _ArrayLike | None = None,
) -> Tensor:
    """Linear interpolation between the points (xp, fp)."""

def intersect1d(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The distinct values in order that two tensors share. Not under `jit`."""

def isneginf(x: _ArrayLike, /) -> Tensor:
    """True where an element is -∞."""

def isposinf(x: _ArrayLike, /) -> Tensor:
    """True where an element is +∞."""

def isreal(x: _ArrayLike, /) -> Tensor:
    """True where an element has no imaginary part."""

def isscalar(x: _ArrayLike, /) -> _bool:
    """Whether something is a plain number (tensors without axes are not)."""

def ix_(*args: Any) -> tuple[Tensor, ...]:
    """1-D indices shaped such that they pick a grid: x[el.ix_([0, 2], [1])]."""

def kaiser(n: int, beta: float, /, *, dtype: _DTypeLike | None = None) -> Tensor:
    """The Kaiser window: I0(β·√(1 - (2i / (n - 1) - 1)²)) / I0(β)."""

def kron(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The Kronecker product: each element of x1 times all of x2, as blocks."""

def lcm(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The least common multiple of |x1| and |x2|; 0 if one is 0."""

def ldexp(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """x1 · 2^x2, rounded once."""

def lexsort(keys: Any, /, axis: int = -1) -> Tensor:
    """The indices that sort by several keys; the last key counts first."""

def logaddexp2(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """log2(2^x1 + 2^x2) without overflow."""

def logcumsumexp(x: _ArrayLike, /, axis: int | None = None) -> Tensor:
    """log Σ exp(x) over the elements so far along an axis, without overflow."""

def logspace(
    start: _ArrayLike,
    stop: _ArrayLike,
    /,
    num: int = 50,
    endpoint: _bool = True,
    base: float = 10.0,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """base to evenly spaced powers from start to stop."""

def median(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The middle of the sorted elements; the mean of the two middle ones of an even number."""

def modf(x: _ArrayLike, /) -> tuple[Tensor, Tensor]:
    """Fraction and integer part, both with the sign of x."""

def nan_to_num(
    x: _ArrayLike,
    /,
    copy: _bool = True,
    nan: float = 0.0,
    posinf: _ArrayLike | None = None,
    neginf: _ArrayLike | None = None,
) -> Tensor:
    """NaN and infinities replaced; infinities by default by the dtype's extremes."""

def nanargmax(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """The index of the greatest element that is not NaN."""

def nanargmin(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """The index of the least element that is not NaN. As `nanargmax`."""

def nancumprod(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Running products in which NaN counts as 1 (of the flattened tensor if the axis is …"""

def nancumsum(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Running sums in which NaN counts as 0 (of the flattened tensor if the axis is None)."""

def nanmax(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The greatest of the elements that are not NaN; NaN where there is none."""

def nanmean(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The mean of the elements that are not NaN; NaN where there is none."""

def nanmedian(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    keepdims: _bool = False,
) -> Tensor:
    """`median` of the elements that are not NaN; NaN where there is none."""

def nanmin(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The least of the elements that are not NaN; NaN where there is none."""

def nanpercentile(
    x: _ArrayLike,
    /,
    q: _ArrayLike,
    axis: _Axis = None,
    *,
    method: str = "linear",
    keepdims: _bool = False,
) -> Tensor:
    """`percentile` of the elements that are not NaN; NaN where there is none."""

def nanprod(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The product of the elements that are not NaN."""

def nanquantile(
    x: _ArrayLike,
    /,
    q: _ArrayLike,
    axis: _Axis = None,
    *,
    method: str = "linear",
    keepdims: _bool = False,
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where there is none."""

def nanstd(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    correction: float = 0.0,
    keepdims: _bool = False,
    ddof: float | None = None,
) -> Tensor:
    """The standard deviation of the elements that are not NaN; arguments as of `nanvar`."""

def nansum(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    keepdims: _bool = False,
) -> Tensor:
    """The sum of the elements that are not NaN."""

def nanvar(
    x: _ArrayLike,
    /,
    axis: _Axis = None,
    *,
    dtype: _DTypeLike | None = None,
    correction: float = 0.0,
    keepdims: _bool = False,
    ddof: float | None = None,
) -> Tensor:
    """The variance of the elements that are not NaN: Σ (x - mean)² / (n - correction)."""

def packbits(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    bitorder: str = "big",
) -> Tensor:
    """Eight elements (0 or not) as the bits of one uint8, zeros behind the last ones."""

def pad(
    x: _ArrayLike,
    pad_width: Any,
    mode: str = "constant",
    *,
    constant_values: _ArrayLike = 0,
    end_values: _ArrayLike = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Tensor:
    """x with elements put before and behind it along its axes, as in NumPy."""

def partition(
    x: _ArrayLike,
    /,
    kth: int | Sequence[int],
    axis: int | None = -1,
) -> Tensor:
    """Elements such that those before place kth are not greater, those after it not less."""

def percentile(
    x: _ArrayLike,
    /,
    q: _ArrayLike,
    axis: _Axis = None,
    *,
    method: str = "linear",
    keepdims: _bool = False,
) -> Tensor:
    """`quantile` with q in percent."""

def piecewise(
    x: _ArrayLike,
    condlist: Any,
    funclist: Sequence[Any],
    /,
    *args: Any,
) -> Tensor:
    """A function given in pieces: the last piece whose condition holds counts, as in NumPy."""

def place(
    x: _ArrayLike,
    mask: _ArrayLike,
    values: _ArrayLike,
    /,
    *,
    inplace: _bool = True,
) -> Tensor:
    """Replace the elements under a mask by the values in turn, in place; gives x."""

def polyadd(p1: _ArrayLike, p2: _ArrayLike, /) -> Tensor:
    """The sum of two polynomials, highest power first."""

def polyder(p: _ArrayLike, /, m: int = 1) -> Tensor:
    """The m-th derivative of a polynomial, highest power first."""

def polyint(p: _ArrayLike, /, m: int = 1, k: float = 0.0) -> Tensor:
    """The m-th integral of a polynomial, highest power first; k is each time the constant."""

def polymul(p1: _ArrayLike, p2: _ArrayLike, /) -> Tensor:
    """The product of two polynomials, highest power first."""

def polyval(p: _ArrayLike, x: _ArrayLike, /) -> Tensor:
    """A polynomial's values, by Horner's rule: p[0]·x^(n-1) + … + p[n-1]."""

def ptp(x: _ArrayLike, /, axis: _Axis = None, *, keepdims: _bool = False) -> Tensor:
    """The range along axes: max - min."""

def put(
    x: _ArrayLike,
    indices: _ArrayLike,
    values: _ArrayLike,
    /,
    *,
    inplace: _bool = True,
) -> Tensor:
    """Replace elements of the flattened tensor, in place; values are repeated. Gives x."""

def put_along_axis(
    x: _ArrayLike,
    indices: _ArrayLike,
    values: _ArrayLike,
    axis: int | None,
    inplace: _bool = True,
) -> Tensor:
    """x[…, indices[…, i, …], …] = values[…, i, …] along an axis, in place; gives x."""

def quantile(
    x: _ArrayLike,
    /,
    q: _ArrayLike,
    axis: _Axis = None,
    *,
    method: str = "linear",
    keepdims: _bool = False,
) -> Tensor:
    """The q-quantiles along axes: the values that a share q of the elements does not exceed."""

def rad2deg(x: _ArrayLike, /) -> Tensor:
    """Radians as degrees: x · 180 / π."""

def ravel(x: _ArrayLike, /) -> Tensor:
    """All elements along one axis, in row-major order."""

def ravel_multi_index(
    multi_index: Any,
    dims: _ShapeLike,
    /,
    mode: str = "raise",
) -> Tensor:
    """One tensor of indices for each axis as places in the flattened tensor."""

def resize(x: _ArrayLike, new_shape: _ShapeLike, /) -> Tensor:
    """The elements in row-major order, repeated or cut to fill a shape."""

def rot90(x: _ArrayLike, /, k: int = 1, axes: tuple[int, int] = ...) -> Tensor:
    """A plane turned k times by 90°, from the first of the two axes towards the second."""

def segment_max(
    data: _ArrayLike,
    segment_ids: _ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: _bool = False,
) -> Tensor:
    """The greatest of the rows of each segment, element by element; NaN if one is NaN."""

def segment_mean(
    data: _ArrayLike,
    segment_ids: _ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: _bool = False,
) -> Tensor:
    """The mean of the rows of each segment; NaN for segments without rows."""

def segment_min(
    data: _ArrayLike,
    segment_ids: _ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: _bool = False,
) -> Tensor:
    """The least of the rows of each segment, element by element; NaN if one is NaN."""

def segment_prod(
    data: _ArrayLike,
    segment_ids: _ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: _bool = False,
) -> Tensor:
    """The product of the rows of each segment; 1 for segments without rows."""

def segment_sum(
    data: _ArrayLike,
    segment_ids: _ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: _bool = False,
) -> Tensor:
    """The sum of the rows of each segment, added in the order of the rows."""

def select(
    condlist: Sequence[_ArrayLike],
    choicelist: Sequence[_ArrayLike],
    /,
    default: _ArrayLike = 0,
) -> Tensor:
    """From the first condition that holds the element of its choice, else the default."""

def setdiff1d(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The distinct values in order of x1 that x2 does not have. Not under `jit`."""

def setxor1d(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The distinct values in order that only one of two tensors has. Not under `jit`."""

def sinc(x: _ArrayLike, /) -> Tensor:
    """sin(πx) / (πx), 1 at 0."""

def sliding_window_view(
    x: _ArrayLike,
    window_shape: _ShapeLike,
    /,
    axis: _Axis = None,
) -> Tensor:
    """All windows of a shape, as new last axes."""

def swapaxes(x: _ArrayLike, /, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""

def trace(x: _ArrayLike, /, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal of two axes, as in NumPy (see also `el.linalg.trace`)."""

def transpose(x: _ArrayLike, /, axes: Sequence[int] | None = None) -> Tensor:
    """The axes in another order, reversed if none is given, as in NumPy."""

def trapezoid(
    y: _ArrayLike,
    /,
    x: _ArrayLike | None = None,
    dx: _ArrayLike = 1.0,
    axis: int = -1,
) -> Tensor:
    """The integral along an axis by the trapezoidal rule."""

def tri(
    n: int,
    m: int | None = None,
    /,
    k: int = 0,
    *,
    dtype: _DTypeLike | None = None,
) -> Tensor:
    """Ones on and below the k-th diagonal, zeros above."""

def tril_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The indices (rows, columns) of the lower triangle of an n × m matrix."""

def tril_indices_from(x: _ArrayLike, /, k: int = 0) -> tuple[Tensor, Tensor]:
    """`tril_indices` for the shape of a matrix."""

def trim_zeros(x: _ArrayLike, /, trim: str = "fb") -> Tensor:
    """A 1-D tensor without the zeros at its front ("f") and back ("b"). Not under `jit`."""

def triu_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The indices (rows, columns) of the upper triangle of an n × m matrix."""

def triu_indices_from(x: _ArrayLike, /, k: int = 0) -> tuple[Tensor, Tensor]:
    """`triu_indices` for the shape of a matrix."""

def union1d(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The distinct values of two tensors in order. Not under `jit`."""

@overload
def unique(
    x: _ArrayLike,
    /,
    return_index: Literal[False] = ...,
    return_inverse: Literal[False] = ...,
    return_counts: Literal[False] = ...,
    axis: int | None = ...,
    *,
    equal_nan: _bool = ...,
    size: int | None = ...,
    fill_value: _ArrayLike | None = ...,
) -> Tensor: ...
@overload
def unique(
    x: _ArrayLike,
    /,
    return_index: _bool = ...,
    return_inverse: _bool = ...,
    return_counts: _bool = ...,
    axis: int | None = ...,
    *,
    equal_nan: _bool = ...,
    size: int | None = ...,
    fill_value: _ArrayLike | None = ...,
) -> tuple[Tensor, ...]: ...
def unpackbits(
    x: _ArrayLike,
    /,
    axis: int | None = None,
    count: int | None = None,
    bitorder: str = "big",
) -> Tensor:
    """The bits of uint8 numbers, as uint8; the inverse of `packbits`."""

def unravel_index(indices: _ArrayLike, shape: _ShapeLike, /) -> tuple[Tensor, ...]:
    """Places in a flattened tensor as one tensor of indices for each axis."""

def unwrap(
    x: _ArrayLike,
    /,
    discont: float | None = None,
    axis: int = -1,
    *,
    period: float = 6.283185307179586,
) -> Tensor:
    """Jumps of more than half a period taken out of a sequence by whole periods."""

def vander(x: _ArrayLike, /, n: int | None = None, increasing: _bool = False) -> Tensor:
    """The Vandermonde matrix: the powers n-1 … 0 (or 0 … n-1) of each element."""

def vdot(x1: _ArrayLike, x2: _ArrayLike, /) -> Tensor:
    """The dot product of two flattened tensors."""

def vectorize(
    function: Callable[..., Any],
    /,
    signature: str | None = None,
) -> Callable[..., Any]:
    """A function of numbers (or of the axes that a signature names) as one of tensors, by …"""

def vsplit(
    x: _ArrayLike,
    indices_or_sections: int | Sequence[int],
    /,
) -> tuple[Tensor, ...]:
    """`array_split` into equal pieces along the first axis."""

def vstack(arrays: Sequence[_ArrayLike], /) -> Tensor:
    """Tensors one below the other; 1-D ones are rows."""

def __array_namespace_info__() -> NamespaceInfo: ...

__all__ = [
    "DType",
    "Dim",
    "ElinvarError",
    "Trainer",
    "ValueSemanticsWarning",
    "Generator",
    "Tensor",
    "TensorSpec",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "all_gather",
    "allclose",
    "angle",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array",
    "asarray",
    "asin",
    "asinh",
    "associative_scan",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "autocast",
    "axis_index",
    "axis_size",
    "bernoulli",
    "bfloat16",
    "bincount",
    "bitcast",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "can_cast",
    "carbon",
    "ceil",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "chunk",
    "clip",
    "complex",
    "complex128",
    "complex64",
    "composite",
    "concat",
    "cond",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "custom_jvp",
    "custom_vjp",
    "data",
    "debug_nans",
    "disable_jit",
    "diff",
    "divide",
    "dot",
    "e",
    "einsum",
    "einsum_path",
    "empty",
    "empty_like",
    "enable_grad",
    "equal",
    "erf",
    "erfinv",
    "eval_shape",
    "exp",
    "expand_dims",
    "expm1",
    "export",
    "export_native",
    "eye",
    "fft",
    "finfo",
    "flip",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "fori_loop",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "func",
    "functional_call",
    "get_num_threads",
    "grad",
    "greater",
    "greater_equal",
    "hessian",
    "hvp",
    "hypot",
    "iinfo",
    "imag",
    "inf",
    "inference_mode",
    "int16",
    "int32",
    "int64",
    "int8",
    "is_grad_enabled",
    "isclose",
    "isdtype",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "lerp",
    "less",
    "less_equal",
    "linalg",
    "linearize",
    "linspace",
    "load",
    "load_native",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "manual_seed",
    "map",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "metrics",
    "min",
    "minimum",
    "moveaxis",
    "multinomial",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "nn",
    "no_grad",
    "nonzero",
    "normal",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "permutation",
    "permute_dims",
    "pi",
    "pmax",
    "pmean",
    "pmin",
    "positive",
    "pow",
    "ppermute",
    "prod",
    "profile",
    "psum",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "roll",
    "round",
    "run",
    "save",
    "scan",
    "searchsorted",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "special",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "stack_module_state",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "switch",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "testing",
    "tile",
    "topk",
    "train",
    "tree",
    "tril",
    "triu",
    "trunc",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "uniform",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "value_and_grad",
    "var",
    "vecdot",
    "vjp",
    "vmap",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
    "append",
    "apply_along_axis",
    "apply_over_axes",
    "argpartition",
    "argwhere",
    "around",
    "array_equal",
    "array_equiv",
    "array_split",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "average",
    "bartlett",
    "blackman",
    "block",
    "cbrt",
    "choose",
    "column_stack",
    "compress",
    "convolve",
    "corrcoef",
    "correlate",
    "cov",
    "cross",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "deg2rad",
    "delete",
    "diag",
    "diag_indices",
    "diagflat",
    "diagonal",
    "digitize",
    "divmod",
    "dsplit",
    "dstack",
    "dynamic_index_in_dim",
    "dynamic_slice",
    "dynamic_slice_in_dim",
    "dynamic_update_slice",
    "dynamic_update_slice_in_dim",
    "ediff1d",
    "exp2",
    "extract",
    "fill_diagonal",
    "flatnonzero",
    "fliplr",
    "flipud",
    "float_power",
    "fmax",
    "fmin",
    "fmod",
    "frexp",
    "fromfunction",
    "gcd",
    "geomspace",
    "gradient",
    "hamming",
    "hanning",
    "heaviside",
    "histogram",
    "histogram2d",
    "histogram_bin_edges",
    "histogramdd",
    "hsplit",
    "hstack",
    "indices",
    "inner",
    "insert",
    "interp",
    "intersect1d",
    "isneginf",
    "isposinf",
    "isreal",
    "isscalar",
    "ix_",
    "kaiser",
    "kron",
    "lcm",
    "ldexp",
    "lexsort",
    "logaddexp2",
    "logcumsumexp",
    "logspace",
    "median",
    "mgrid",
    "modf",
    "nan_to_num",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
    "ogrid",
    "packbits",
    "pad",
    "partition",
    "percentile",
    "piecewise",
    "place",
    "polyadd",
    "polyder",
    "polyint",
    "polymul",
    "polyval",
    "ptp",
    "put",
    "put_along_axis",
    "quantile",
    "rad2deg",
    "ravel",
    "ravel_multi_index",
    "resize",
    "rot90",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "select",
    "setdiff1d",
    "setxor1d",
    "sinc",
    "sliding_window_view",
    "swapaxes",
    "trace",
    "transpose",
    "trapezoid",
    "tri",
    "tril_indices",
    "tril_indices_from",
    "trim_zeros",
    "triu_indices",
    "triu_indices_from",
    "union1d",
    "unique",
    "unpackbits",
    "unravel_index",
    "unwrap",
    "vander",
    "vdot",
    "vectorize",
    "vsplit",
    "vstack",
]
