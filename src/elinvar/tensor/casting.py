"""Data type functions of the Array API standard; `bitcast` and `stop_gradient`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elinvar.core import dtypes, tree
from elinvar.core.dtypes import DType, as_dtype, promote
from elinvar.core.errors import DTypeError, fail
from elinvar.tensor.cell import Cell
from elinvar.tensor.convert import cast, integer_range, result_dtype, tensor_of
from elinvar.tensor.creation import check_device, fresh
from elinvar.tensor.dispatch import F


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """x converted to another dtype.

    Floats become integers by dropping the fraction; values beyond the range take the nearest bound
    and NaN becomes 0.

    Example:
        >>> import elinvar as el
        >>> el.astype(el.asarray([1.7, -1.7]), el.int32).tolist()
        [1, -1]
    """
    check_device("astype", device)
    x = tensor_of("astype", x)
    target = as_dtype(dtype)
    return (fresh(x) if copy else x) if target is x.dtype else cast(x, target)


def bitcast(x: Any, dtype: Any, /) -> Any:
    """The same bits read as another dtype of the same size.

    Example:
        >>> import elinvar as el
        >>> hex(el.bitcast(el.asarray(1.0), el.uint32).item())
        '0x3f800000'
    """
    return F.bitcast(tensor_of("bitcast", x), dtype=as_dtype(dtype))


def stop_gradient(x: Any, /) -> Any:
    """x itself, a tensor or a container of tensors, through which no gradient flows.

    Example:
        >>> import elinvar as el
        >>> el.grad(lambda x: x * el.stop_gradient(x))(el.asarray(3.0)).item()
        3.0
    """
    leaves, structure = tree.flatten(x)
    if structure is tree.LEAF or not any(isinstance(leaf, Cell) for leaf in leaves):
        return F.stop_gradient(tensor_of("stop_gradient", x))
    stopped = [F.stop_gradient(leaf) if isinstance(leaf, Cell) else leaf for leaf in leaves]
    return tree.unflatten(structure, stopped)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion can turn the first dtype into the second.

    Example:
        >>> import elinvar as el
        >>> el.can_cast(el.int32, el.int64), el.can_cast(el.float32, el.int64)
        (True, False)
    """
    source = from_.dtype if isinstance(from_, Cell) else as_dtype(from_)
    target = as_dtype(to)
    if {source.kind, target.kind} == {"i", "u"} and 64 in (source.bits, target.bits):
        if "uint64" in (source.name, target.name):
            return False
    return promote(source, target) is target


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that an operation on these tensors, dtypes and Python numbers has.

    Example:
        >>> import elinvar as el
        >>> el.result_type(el.int8, el.asarray([1.0]), 2)
        elinvar.float32
    """
    values = [as_dtype(v) if isinstance(v, (str, type)) else v for v in arrays_and_dtypes]
    return result_dtype("result_type", values)


_KINDS = {
    "bool": ("b",),
    "signed integer": ("i",),
    "unsigned integer": ("u",),
    "integral": ("i", "u"),
    "real floating": ("f",),
    "complex floating": ("c",),
    "numeric": ("i", "u", "f", "c"),
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind.

    Args:
        kind: a dtype, one of "bool", "signed integer", "unsigned integer", "integral",
            "real floating", "complex floating", "numeric", or a tuple of these.

    Example:
        >>> import elinvar as el
        >>> el.isdtype(el.int8, "integral"), el.isdtype(el.int8, (el.int16, "real floating"))
        (True, False)
    """
    found = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, item) for item in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return found.kind in _KINDS[kind]
    if isinstance(kind, str):
        fail(DTypeError, "isdtype", f"unknown kind {kind!r}; known: {', '.join(_KINDS)}")
    return found is as_dtype(kind)


@dataclass(frozen=True, slots=True)
class FloatInfo:
    """What `finfo` returns: limits of a floating dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True, slots=True)
class IntegerInfo:
    """What `iinfo` returns: limits of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: DType


_MANTISSA_AND_EXPONENT = {
    "float16": (10, 15),
    "bfloat16": (7, 127),
    "float32": (23, 127),
    "float64": (52, 1023),
}


def finfo(type: Any, /) -> FloatInfo:
    """The limits of a floating dtype; of a complex one, those of its parts.

    Example:
        >>> import elinvar as el
        >>> el.finfo(el.float32).eps == 2.0**-23
        True
    """
    dtype = (type.dtype if isinstance(type, Cell) else as_dtype(type)).part
    if dtype.kind != "f":
        fail(DTypeError, "finfo", f"expected a floating dtype, received {dtype.name}")
    mantissa, exponent = _MANTISSA_AND_EXPONENT[dtype.name]
    top = (2.0 - 2.0**-mantissa) * 2.0**exponent
    return FloatInfo(dtype.bits, 2.0**-mantissa, top, -top, 2.0 ** (1 - exponent), dtype)


def iinfo(type: Any, /) -> IntegerInfo:
    """The limits of an integer dtype.

    Example:
        >>> import elinvar as el
        >>> el.iinfo(el.int8).max
        127
    """
    dtype = type.dtype if isinstance(type, Cell) else as_dtype(type)
    if dtype.kind not in "iu":
        fail(DTypeError, "iinfo", f"expected an integer dtype, received {dtype.name}")
    low, high = integer_range(dtype)
    return IntegerInfo(dtype.bits, high, low, dtype)


class _Devices(tuple[str, ...]):
    """A tuple, as the standard has it since 2025.12. Before, it was a list, and programs of that
    time add lists to it."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return [*self, *other] if isinstance(other, list) else tuple.__add__(self, other)


class NamespaceInfo:
    """What the standard's `__array_namespace_info__` returns: devices, dtypes, capabilities."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and data-dependent shapes work eagerly."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The one device."""
        return "cpu"

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The dtypes of Python numbers."""
        check_device("default_dtypes", device)
        return {
            "real floating": dtypes.default_float,
            "complex floating": dtypes.default_complex,
            "integral": dtypes.default_int,
            "indexing": dtypes.int64,
        }

    def devices(self) -> tuple[str, ...]:
        """All devices."""
        return _Devices(("cpu",))

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, DType]:
        """The standard's dtypes, or those of a kind. (16-bit floats are no part of it.)"""
        check_device("dtypes", device)
        found = {dtype.name: dtype for dtype in dtypes.ALL if dtype not in _BEYOND}
        if kind is None:
            return found
        return {name: dtype for name, dtype in found.items() if isdtype(dtype, kind)}


_BEYOND = (dtypes.float16, dtypes.bfloat16)
