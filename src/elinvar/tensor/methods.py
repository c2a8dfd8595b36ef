"""The operators and methods of tensors, as a mixin of `Tensor`.

    methods_math.py      elementwise mathematics, reductions, products, sorting
    methods_shape.py     shapes, axes, picking and placing
    methods_more.py      what few programs use
    methods_inplace.py   forms with a trailing underscore
    this file            operators, indexing, conversions, what Python and numpy ask of a tensor
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from sys import getrefcount
from typing import Any

import numpy as np

from elinvar.core import dtypes
from elinvar.core.dtypes import DType, as_dtype
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.shapes import Dim, DimLike
from elinvar.tensor import elementwise as ew
from elinvar.tensor import interop, printing
from elinvar.tensor.assigning import set_item
from elinvar.tensor.cell import Cell, detached
from elinvar.tensor.convert import cast
from elinvar.tensor.creation import asarray, check_device, dtype_of_target, fresh, full
from elinvar.tensor.dispatch import F, apart, packed
from elinvar.tensor.fast import binary_operator
from elinvar.tensor.indexing import get_item
from elinvar.tensor.linear import matmul
from elinvar.tensor.lost import counts, refuse_item
from elinvar.tensor.methods_inplace import InPlaceMethods, in_place_operator
from elinvar.tensor.methods_math import MathMethods
from elinvar.tensor.methods_more import MoreMethods
from elinvar.tensor.methods_shape import ShapeMethods, given_sizes
from elinvar.tensor.storage import stored_array

_OPERANDS = (Cell, int, float, complex, Dim, np.ndarray, np.generic, list, tuple)
Function = Callable[[Any, Any], Any]


def _operator(op: str, function: Function) -> Any:
    def general(x: Any, y: Any) -> Any:
        return function(x, y) if isinstance(y, _OPERANDS) else NotImplemented

    return binary_operator(op, general)


def _reflected(op: str, function: Function) -> Any:
    def general(x: Any, y: Any) -> Any:
        return function(y, x) if isinstance(y, _OPERANDS) else NotImplemented

    return binary_operator(op, general, True)


def _plain(function: Function, swapped: bool = False) -> Any:
    def method(self: Any, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        return function(other, self) if swapped else function(self, other)

    return method


class OperatorMethods(Cell):
    """Python's operators."""

    __slots__ = ()

    __add__, __radd__ = _operator("add", ew.add), _reflected("add", ew.add)
    __sub__, __rsub__ = _operator("subtract", ew.subtract), _reflected("subtract", ew.subtract)
    __mul__, __rmul__ = _operator("multiply", ew.multiply), _reflected("multiply", ew.multiply)
    __truediv__, __rtruediv__ = _operator("divide", ew.divide), _reflected("divide", ew.divide)
    __floordiv__ = _operator("floor_divide", ew.floor_divide)
    __rfloordiv__ = _reflected("floor_divide", ew.floor_divide)
    __mod__, __rmod__ = _operator("remainder", ew.remainder), _reflected("remainder", ew.remainder)
    __pow__, __rpow__ = _plain(ew.pow), _plain(ew.pow, True)
    __matmul__, __rmatmul__ = _plain(matmul), _plain(matmul, True)
    __divmod__ = _plain(lambda x, y: (ew.floor_divide(x, y), ew.remainder(x, y)))
    __rdivmod__ = _plain(lambda x, y: (ew.floor_divide(x, y), ew.remainder(x, y)), True)
    __and__, __rand__ = _operator("bitwise_and", ew.bitwise_and), _plain(ew.bitwise_and, True)
    __or__, __ror__ = _operator("bitwise_or", ew.bitwise_or), _plain(ew.bitwise_or, True)
    __xor__, __rxor__ = _operator("bitwise_xor", ew.bitwise_xor), _plain(ew.bitwise_xor, True)
    __lshift__ = _plain(ew.bitwise_left_shift)
    __rlshift__ = _plain(ew.bitwise_left_shift, True)
    __rshift__ = _plain(ew.bitwise_right_shift)
    __rrshift__ = _plain(ew.bitwise_right_shift, True)

    __eq__ = _operator("equal", ew.equal)
    __ne__ = _operator("not_equal", ew.not_equal)
    __lt__ = _operator("less", ew.less)
    __le__ = _operator("less_equal", ew.less_equal)
    __gt__ = _operator("greater", ew.greater)
    __ge__ = _operator("greater_equal", ew.greater_equal)
    __hash__ = object.__hash__  # by identity, as == is elementwise

    __iadd__ = in_place_operator("add", ew.add)
    __isub__ = in_place_operator("subtract", ew.subtract)
    __imul__ = in_place_operator("multiply", ew.multiply)
    __itruediv__ = in_place_operator("divide", ew.divide)
    __ifloordiv__ = in_place_operator("floor_divide", ew.floor_divide)
    __imod__ = in_place_operator("remainder", ew.remainder)
    __ipow__ = in_place_operator("pow", ew.pow)
    __imatmul__ = in_place_operator("matmul", matmul)
    __iand__ = in_place_operator("bitwise_and", ew.bitwise_and)
    __ior__ = in_place_operator("bitwise_or", ew.bitwise_or)
    __ixor__ = in_place_operator("bitwise_xor", ew.bitwise_xor)
    __ilshift__ = in_place_operator("bitwise_left_shift", ew.bitwise_left_shift)
    __irshift__ = in_place_operator("bitwise_right_shift", ew.bitwise_right_shift)

    def __neg__(self) -> Any:
        return F.negative(self)

    def __pos__(self) -> Any:
        return ew.positive(self)

    def __abs__(self) -> Any:
        return F.abs(self)

    def __invert__(self) -> Any:
        return F.bitwise_invert(self)

    def __getitem__(self, key: Any) -> Any:
        return get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if getrefcount(self) == counts.item:
            self._apart = True
            set_item(self, key, value)  # what is wrong with the key or the value is told first
            refuse_item()
        set_item(self, key, value)


_UFUNCS = {  # numpy's operators
    "add": ew.add, "subtract": ew.subtract, "multiply": ew.multiply, "divide": ew.divide,
    "floor_divide": ew.floor_divide, "remainder": ew.remainder, "power": ew.pow, "matmul": matmul,
    "bitwise_and": ew.bitwise_and, "bitwise_or": ew.bitwise_or, "bitwise_xor": ew.bitwise_xor,
    "left_shift": ew.bitwise_left_shift, "right_shift": ew.bitwise_right_shift,
    "equal": ew.equal, "not_equal": ew.not_equal, "less": ew.less, "less_equal": ew.less_equal,
    "greater": ew.greater, "greater_equal": ew.greater_equal,
}  # fmt: skip


class PythonMethods(Cell):
    """What Python and numpy ask of a tensor."""

    __slots__ = ()

    __array_priority__ = 1000

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """numpy asks: `array * tensor` is a tensor, `array += tensor`, `np.sin(tensor)` are arrays.
        """
        function = _UFUNCS.get(ufunc.__name__) if method == "__call__" and not options else None
        if function is not None and any(isinstance(x, (np.ndarray, np.generic)) for x in inputs):
            return function(*inputs)
        arrays = [np.asarray(x) if isinstance(x, Cell) else x for x in inputs]
        if any(isinstance(x, Cell) for x in options.get("out", ())):
            fail(ValueRangeError, ufunc.__name__, "numpy cannot write into a tensor")
        return getattr(ufunc, method)(*arrays, **options)

    def _single(self, op: str) -> Any:
        """The one element as a Python number."""
        if self._type.size != 1:
            fail(ShapeError, op, f"expected one element, received {self._type}")
        return interop.readable_array(self, op).item()

    def item(self, *index: Any) -> Any:
        """The one element as a Python number, or, as in numpy, that at an index.

        Args:
            index: one for each axis, or a single one for the flattened tensor.

        Raises:
            ShapeError: there is not exactly one element.
            TraceError: inside of a trace, where there is no value yet.
        """
        if not index:
            return self._single("item")
        places = index[0] if isinstance(index[0], tuple) else index
        flat = len(places) == 1 and self.ndim != 1
        picked = get_item(F.reshape(self, shape=(self._type.size,)) if flat else self, places)
        return picked.item()

    def __bool__(self) -> bool:
        if self._type.size != 1:
            hint = "use `.any()` or `.all()`"
            fail(ShapeError, "bool", f"the truth of {self._type} is not clear", hint)
        return bool(self._single("bool"))

    def __float__(self) -> float:
        return float(self._single("float"))

    def __round__(self, ndigits: int | None = None) -> Any:
        rounded: Any = getattr(self, "round")  # noqa: B009 — of another part of the class
        return rounded(decimals=ndigits or 0)

    def __int__(self) -> int:
        return int(self._single("int"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            fail(DTypeError, "index", f"only integers can be an index, received {self._type}")
        return int(self._single("index"))

    def __complex__(self) -> complex:
        return complex(self._single("complex"))

    def __len__(self) -> int:
        if not self.ndim:
            fail(DTypeError, "len", "a tensor without dimensions has no length")
        count = self.shape[0]
        if isinstance(count, Dim):
            text = f"the size of axis 0 of {self._type} is symbolic here"
            fail(ShapeError, "len", text, "use `x.shape[0]`, which computes symbolically")
        return count

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            fail(DTypeError, "iter", "a tensor without dimensions cannot be iterated over")
        return (get_item(self, place) for place in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        found: Any = self == value  # False for what is no number
        return found if isinstance(found, bool) else bool(found.any())

    def __repr__(self) -> str:
        return printing.to_text(self, type(self).__name__)

    def __format__(self, spec: str) -> str:
        if spec and not self.ndim:
            return format(self.item(), spec)
        if not self.ndim and self._layout is not None:  # inside of a trace there is no number yet
            return str(interop.readable_array(self, "format")[()])
        if spec:
            fail(ShapeError, "format", f"a format is for one number, received {self._type}")
        return repr(self)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return interop.python_value(self, "tolist")

    def tobytes(self) -> bytes:
        """The elements in row-major order, as they lie in memory."""
        return bytes(stored_array(self, "tobytes").tobytes())

    def numpy(self) -> Any:
        """A read-only numpy array over the tensor's memory (bfloat16 needs `ml_dtypes`)."""
        return interop.to_numpy(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return interop.to_array(self, dtype, copy)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        return interop.export_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return interop.CPU, 0

    def __reduce_ex__(self, protocol: Any) -> Any:
        return interop.reduced(self, protocol)

    def __copy__(self) -> Any:
        return interop.copied(self, deep=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = interop.copied(self, deep=True)
        return found

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version is not None and api_version not in REVISIONS:
            text = f"revision {api_version!r} of the standard is not known: {', '.join(REVISIONS)}"
            fail(ValueRangeError, "array_namespace", text)
        return namespace[0]


REVISIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")  # newer ones only add
namespace: list[Any] = [None]  # the `elinvar` package, which sets it when it is imported


class ConversionMethods(Cell):
    """Types, copies, facts."""

    __slots__ = ()

    def to(self, *args: Any, **options: Any) -> Any:
        """x in another dtype: `x.to(dtype)`, `x.to(other)`, `x.to("cpu")`, `x.to("cpu", dtype)`."""
        target: DType | None = None
        for value in (*args, options.get("dtype"), options.get("device"), options.get("other")):
            if isinstance(value, Cell):
                target = value.dtype
            elif value is not None and not isinstance(value, bool):
                target = dtype_of_target("to", value) or target
        found = self if target is None else cast(self, target)
        return fresh(found) if options.get("copy") and found is self else found

    def type(self, dtype: Any) -> Any:
        """x in another dtype."""
        return cast(self, as_dtype(dtype))

    def astype(self, dtype: Any, *, copy: Any = True) -> Any:
        """x in another dtype; with `copy=False` x itself where it has that dtype already."""
        found = cast(self, as_dtype(dtype))
        return apart(found, self) if copy else found

    def type_as(self, other: Any) -> Any:
        """x in the dtype of another tensor."""
        return cast(self, other.dtype)

    def bool(self) -> Any:
        """x as bool: False for zeros."""
        return cast(self, dtypes.bool_)

    def byte(self) -> Any:
        """x as uint8."""
        return cast(self, dtypes.uint8)

    def char(self) -> Any:
        """x as int8."""
        return cast(self, dtypes.int8)

    def short(self) -> Any:
        """x as int16."""
        return cast(self, dtypes.int16)

    def int(self) -> Any:
        """x as int32."""
        return cast(self, dtypes.int32)

    def long(self) -> Any:
        """x as int64."""
        return cast(self, dtypes.int64)

    def half(self) -> Any:
        """x as float16."""
        return cast(self, dtypes.float16)

    def bfloat16(self) -> Any:
        """x as bfloat16."""
        return cast(self, dtypes.bfloat16)

    def float(self) -> Any:
        """x as float32."""
        return cast(self, dtypes.float32)

    def double(self) -> Any:
        """x as float64."""
        return cast(self, dtypes.float64)

    def cpu(self) -> Any:
        """x itself: tensors live on the CPU."""
        return self

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """x itself; every device but "cpu" is refused."""
        check_device("to_device", device)
        if stream is not None:
            text = f"the CPU has no streams, received stream {stream!r}"
            fail(ValueRangeError, "to_device", text)
        return self

    def clone(self) -> Any:
        """Another tensor with the same content; gradients flow through."""
        return fresh(self)

    def copy(self) -> Any:
        """NumPy's name of `clone`."""
        return fresh(self)

    def contiguous(self) -> Any:
        """The same content in row-major order in memory."""
        if self._layout is None or self._layout.is_dense:
            return self
        # a copy by the program of an identity, so that it can be on the tape
        return packed(self) if self._node is None else F.reshape(self, shape=self.shape)

    def is_contiguous(self) -> Any:
        """Whether the elements lie in row-major order in memory."""
        return self._layout is None or self._layout.is_dense

    def stride(self, dim: Any = None) -> Any:
        """Distances in elements between neighbours along the axes."""
        stored_array(self, "stride")
        strides = self._layout.strides  # type: ignore[union-attr]
        return strides if dim is None else strides[dim]

    def dim(self) -> Any:
        """The number of axes."""
        return self.ndim

    ndimension = dim

    def numel(self) -> DimLike:
        """The number of elements."""
        return self._type.size

    nelement = numel

    def element_size(self) -> Any:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def itemsize(self) -> Any:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self._type.size * self.dtype.itemsize

    @property
    def data(self) -> Any:
        """The content without gradient; writing to it writes to x, as in `detach`."""
        return self.detach()  # type: ignore[attr-defined]

    @data.setter
    def data(self, value: Any) -> None:
        self._set_content(value)

    def _set_content(self, value: Any) -> None:
        """Take a content without recording it (`x.data = value`)."""
        wanted = self._node
        self._node = None
        try:
            self._rebind(detached(asarray(value)))  # type: ignore[attr-defined]
        finally:
            self._node = wanted

    def is_floating_point(self) -> Any:
        """Whether the dtype is a floating one."""
        return self.dtype.kind == "f"

    def is_complex(self) -> Any:
        """Whether the dtype is a complex one."""
        return self.dtype.kind == "c"

    @property
    def real(self) -> Any:
        """The real part; of real numbers all of them."""
        return ew.real(self)

    @property
    def imag(self) -> Any:
        """The imaginary part; of real numbers 0."""
        return ew.imag(self)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Any = None) -> Any:
        """A tensor of this dtype filled with a value."""
        return full(size, fill_value, dtype=dtype or self.dtype)

    def new_zeros(self, *size: Any, dtype: Any = None) -> Any:
        """Zeros of this dtype."""
        return full(given_sizes(size), 0, dtype=dtype or self.dtype)

    def new_ones(self, *size: Any, dtype: Any = None) -> Any:
        """Ones of this dtype."""
        return full(given_sizes(size), 1, dtype=dtype or self.dtype)

    new_empty = new_zeros

    def new_tensor(self, data: Any, *, dtype: Any = None) -> Any:
        """A tensor of data, of this dtype."""
        return asarray(data, dtype=dtype or self.dtype, copy=True)

    def cuda(self, device: Any = None) -> Any:
        """Refused: tensors live on the CPU."""
        fail(ValueRangeError, "cuda", "no CUDA device is available; tensors live on 'cpu'")


class TensorMethods(
    OperatorMethods,
    MathMethods,
    ShapeMethods,
    MoreMethods,
    InPlaceMethods,
    ConversionMethods,
    PythonMethods,
):
    """All operators and methods."""

    __slots__ = ()
