"""Data types: names, sizes, promotion (the Array API standard's) and the way to and from numpy."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from elinvar.core.errors import DTypeError, fail
from elinvar.core.settings import settings


class DType:
    """One data type. Instances are unique, so `is` and `==` agree.

    Beside what other libraries call the same, `==` holds, too: its name, numpy's dtype and scalar
    type.

    Attributes:
        name: the Array API name, `float32`.
        short: the name in printed graphs, `f32`.
        kind: `b` bool, `i` signed, `u` unsigned, `f` floating, `c` complex.
        bits, itemsize: size of one element in memory.
    """

    __slots__ = ("bits", "index", "itemsize", "kind", "name", "short")

    bits: int
    kind: str
    name: str
    short: str
    itemsize: int
    index: int

    def __init__(self, name: str, short: str, kind: str, bits: int, index: int) -> None:
        self.name, self.short, self.kind, self.bits = name, short, kind, bits
        self.itemsize = max(1, bits // 8)
        self.index = index

    def __repr__(self) -> str:
        return f"elinvar.{self.name}"

    def __eq__(self, other: object) -> bool:
        if other is self or isinstance(other, DType):
            return other is self
        if isinstance(other, str):
            return _NAMES.get(other) is self
        if isinstance(other, (type, np.dtype)):
            try:
                return as_dtype(other) is self
            except DTypeError:
                return False
        return NotImplemented

    if TYPE_CHECKING:

        def __hash__(self) -> int:
            """By identity, as instances are unique."""
            ...

    else:
        __hash__ = object.__hash__  # a method of ours would cost each look-up in a dict

    def __reduce__(self) -> tuple[Any, ...]:
        return (by_name, (self.name,))

    @property
    def is_floating(self) -> bool:
        return self.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        """Floating or complex: what gradients flow through."""
        return self.kind in "fc"

    @property
    def part(self) -> DType:
        """The dtype of the real and the imaginary part; of real numbers their own."""
        return self if self.kind != "c" else float32 if self.bits == 64 else float64

    @property
    def is_floating_point(self) -> bool:
        """PyTorch's spelling of `is_floating`."""
        return self.kind == "f"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The numpy dtype of the stored bits; bfloat16 needs the `ml_dtypes` package."""
        if self.name == "bfloat16":
            found = _ml_bfloat16()
            if found is None:
                fail(
                    DTypeError,
                    "dtype",
                    "numpy has no bfloat16 of its own",
                    "install ml_dtypes, or convert with `.float()` first",
                )
            return found
        return np.dtype(self.name)

    @property
    def __numpy_dtype__(self) -> np.dtype[Any]:
        """What `np.dtype(el.float32)` gives, from numpy 2.4 on."""
        return self.numpy

    @property
    def storage(self) -> np.dtype[Any]:
        """A numpy dtype of the same size that numpy itself knows (bfloat16 → uint16)."""
        return np.dtype(np.uint16) if self.name == "bfloat16" else np.dtype(self.name)


@cache
def _ml_bfloat16() -> np.dtype[Any] | None:
    try:
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        return None


_ROWS = (
    ("bool", "bool", "b", 8),
    ("int8", "i8", "i", 8),
    ("int16", "i16", "i", 16),
    ("int32", "i32", "i", 32),
    ("int64", "i64", "i", 64),
    ("uint8", "u8", "u", 8),
    ("uint16", "u16", "u", 16),
    ("uint32", "u32", "u", 32),
    ("uint64", "u64", "u", 64),
    ("float16", "f16", "f", 16),
    ("bfloat16", "bf16", "f", 16),
    ("float32", "f32", "f", 32),
    ("float64", "f64", "f", 64),
    ("complex64", "c64", "c", 64),
    ("complex128", "c128", "c", 128),
)
ALL: tuple[DType, ...] = tuple(DType(*row, index) for index, row in enumerate(_ROWS))
# one name a line, so that type checkers know each
bool_: DType
int8: DType
int16: DType
int32: DType
int64: DType
uint8: DType
uint16: DType
uint32: DType
uint64: DType
float16: DType
bfloat16: DType
float32: DType
float64: DType
complex64: DType
complex128: DType
(
    bool_,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
) = ALL
_BY_NAME = {d.name: d for d in ALL} | {d.short: d for d in ALL}
_AMBIGUOUS = ("i8", "u8")  # 8 bits in printed graphs, 8 bytes in numpy
# What users may write: names, what stands in printed graphs, and numpy's letter with bytes.
_NAMES = (
    _BY_NAME
    | {f"{d.kind}{d.itemsize}": d for d in ALL if d.kind in "iufc" and d.name != "bfloat16"}
    | {"b1": bool_, "?": bool_}
)
for _name in _AMBIGUOUS:
    del _NAMES[_name]
REALS = ALL[:-2]
FLOATS = (float16, bfloat16, float32, float64)
COMPLEX = (complex64, complex128)
INTEGERS = (int8, int16, int32, int64, uint8, uint16, uint32, uint64)
SIGNED = (int8, int16, int32, int64)
UNSIGNED = (uint8, uint16, uint32, uint64)
NUMERIC = INTEGERS + FLOATS

default_int: DType = int64


def by_name(name: str) -> DType:
    """The dtype called `name` (`float32` or `f32`)."""
    found = _BY_NAME.get(name)
    if found is None:
        fail(DTypeError, "dtype", f"no dtype is called {name!r}; known: {', '.join(_BY_NAME)}")
    return found


def as_dtype(value: Any) -> DType:
    """Accept a DType, a name, a numpy dtype or scalar type, or one of Python's number types."""
    if isinstance(value, DType):
        return value
    if value is bool:
        return bool_
    if value is int:
        return default_int
    if value is float:
        return default_float
    if value is complex:
        return default_complex
    if isinstance(value, str):
        found = _NAMES.get(value)
        if found is None and value in _AMBIGUOUS:
            text = f"{value!r} has 8 bytes in numpy and 8 bits in printed graphs"
            fail(DTypeError, "dtype", text, "write the whole name, such as 'int64' or 'int8'")
        return by_name(value) if found is None else found
    try:
        return from_numpy(np.dtype(value))
    except TypeError:
        fail(DTypeError, "dtype", f"expected a dtype such as el.float32, received {value!r}")


def from_numpy(value: np.dtype[Any]) -> DType:
    """The dtype that stores what the numpy dtype stores."""
    found = _BY_NAME.get(value.name)
    if found is None or (value.byteorder == ">" and value.itemsize > 1):
        hint = "convert the array with `.astype(...)` to a native bool, int, float or complex type"
        if value.kind in "US":
            hint = "number texts by numpy.unique(texts, return_inverse=True)[1]"
        text = f"numpy dtype {value} has no Elinvar counterpart"
        fail(DTypeError, "from_numpy", text, hint)
    return found


def promote(a: DType, b: DType) -> DType:
    """The type that holds both; the standard's table, and mixed kinds as PyTorch has them.

    bool with anything gives the other; an integer with a float gives the float; float16 with
    bfloat16 gives float32; a complex type holds the promoted parts; uint64 with a signed integer is
    refused, as in the standard.
    """
    if a is b:
        return a
    if a.kind == "b":
        return b
    if b.kind == "b":
        return a
    if a.kind == "c" or b.kind == "c":
        return complex_of(promote(a.part, b.part))
    if a.kind == "f" or b.kind == "f":
        if a.kind != b.kind:
            return a if a.kind == "f" else b
        if a.bits == b.bits:
            return float32
        return a if a.bits > b.bits else b
    if a.kind == b.kind:
        return a if a.bits > b.bits else b
    signed, unsigned = (a, b) if a.kind == "i" else (b, a)
    if signed.bits > unsigned.bits:
        return signed
    if unsigned.bits == 64:
        fail(
            DTypeError,
            "promote",
            f"{a.name} and {b.name} have no common integer type",
            "cast one of them with `.astype(...)`",
        )
    return by_name(f"int{unsigned.bits * 2}")


def _default_float(name: str) -> DType:
    """The dtype of Python's floats, as the environment has it: fixed while the process lives."""
    if name not in ("float32", "float64"):
        text = f"ELINVAR_DEFAULT_FLOAT must be float32 or float64, received {name!r}"
        fail(DTypeError, "dtype", text)
    return by_name(name)


default_float: DType = _default_float(settings.default_float)


def complex_of(dtype: DType) -> DType:
    """The complex type whose parts hold the numbers of a real one."""
    return complex128 if dtype is float64 else complex64


default_complex: DType = complex_of(default_float)


def scalar_dtype(value: Any, other: DType) -> DType:
    """The type of an operation between a tensor of type `other` and a Python scalar (weak)."""
    if isinstance(value, bool):
        return other
    if isinstance(value, int):
        return default_int if other.kind == "b" else other
    if isinstance(value, complex):
        return other if other.kind == "c" else complex_of(other)
    return other if other.kind in "fc" else default_float


def is_narrow(dtype: DType) -> bool:
    """Whether it is a 16-bit float: computed with in f32, and rounded."""
    return dtype.kind == "f" and dtype.bits == 16


def accumulator(dtype: DType) -> DType:
    """The type in which sums and products of `dtype` are carried: f32 for 16-bit floats."""
    return float32 if is_narrow(dtype) else dtype
