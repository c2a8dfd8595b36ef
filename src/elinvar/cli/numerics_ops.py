"""The families that are made of primitives: functions of scalars, conversions, sums, orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from elinvar.cli.numerics_inputs import (
    from_patterns,
    integers,
    numbers,
    patterns,
    special_patterns,
    spread,
)
from elinvar.cli.numerics_items import Item, Operands, item
from elinvar.core import dtypes
from elinvar.core.dtypes import DType, bool_, float32, float64
from elinvar.core.errors import ElinvarError
from elinvar.core.types import TensorType
from elinvar.graph.ir import result_types
from elinvar.nn import functional
from elinvar.ops.record import Op
from elinvar.ops.table import TABLE
from elinvar.tensor import elementwise as ew
from elinvar.tensor import random, reductions, searching, special
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, apply
from elinvar.tensor.tensor import Tensor

CHUNK = 1 << 20  # inputs that a function of scalars gets at once
ALL_DTYPES = (bool_, *dtypes.INTEGERS, *dtypes.FLOATS)
_SOME_DTYPES = (
    bool_, dtypes.int8, dtypes.int32, dtypes.int64, dtypes.uint8, *dtypes.FLOATS, *dtypes.COMPLEX,
)  # fmt: skip


# ---- functions of scalars -----------------------------------------------------------------------


def scalar_functions() -> Iterator[Item]:
    """Every elementwise primitive without parameters, in each dtype that it takes."""
    for op in TABLE:
        if op.family == "elementwise" and not op.params:
            for dtype in _SOME_DTYPES:
                types = _operand_types(op, dtype)
                if types:
                    name = f"{op.name} {dtype.short}"
                    yield Item(name, partial(_apply, op), partial(_scalar_operands, types))


def _apply(op: Op, *operands: Tensor) -> Any:
    return apply(op, operands, {})


def _operand_types(op: Op, dtype: DType) -> tuple[DType, ...]:
    """The operands' dtypes if an op takes this one; its samples tell how many there are."""
    sample = op.samples()[0].types
    chooses = op.name == "where"  # the one whose first operand is bool whatever the others are
    kinds = tuple(bool_ if chooses and i == 0 else dtype for i in range(len(sample)))
    try:
        result_types(op, [TensorType(kind, (1,)) for kind in kinds], {})
    except ElinvarError:
        return ()
    return kinds


def _scalar_operands(
    types: tuple[DType, ...], source: random.Generator, count: int
) -> Iterator[Operands]:
    """Special values (all pairs of them), then random patterns; all patterns of small types."""
    if any(kind.kind == "c" for kind in types):
        yield from _complex_operands(types, source, count)
        return
    special = [special_patterns(kind) for kind in types]
    if len(types) == 1:
        if types[0].bits <= 16:
            whole = np.arange(1 << types[0].bits) % (1 << types[0].bits)
            kind = np.dtype(f"u{types[0].itemsize}")
            yield (from_patterns(whole.astype(kind), types[0]),)
            return
        yield (from_patterns(special[0], types[0]),)
    else:
        places = np.meshgrid(*(np.arange(len(part)) for part in special), indexing="ij")
        found = [part[place.ravel()][: CHUNK] for part, place in zip(special, places, strict=True)]
        yield tuple(from_patterns(part, kind) for part, kind in zip(found, types, strict=True))
    for start in range(0, count, CHUNK):
        here = min(CHUNK, count - start)
        yield tuple(from_patterns(spread(here, kind, source), kind) for kind in types)


def _complex_operands(
    types: tuple[DType, ...], source: random.Generator, count: int
) -> Iterator[Operands]:
    """The same for complex numbers: pairs of special parts, then random ones."""

    def joined(re: Any, im: Any, kind: DType) -> Tensor:
        if kind.kind != "c":
            return from_patterns(re, kind)
        return ew.complex(from_patterns(re, kind.part), from_patterns(im, kind.part))

    parts = np.meshgrid(*(special_patterns(types[-1].part),) * 2, indexing="ij")
    re, im = (part.ravel() for part in parts)
    if len(types) == 1:
        yield (joined(re, im, types[0]),)
    for start in range(0, count // 4, CHUNK):
        here = min(CHUNK, count // 4 - start)
        yield tuple(
            joined(spread(here, kind.part, source), spread(here, kind.part, source), kind)
            for kind in types
        )


def conversions() -> Iterator[Item]:
    """Every dtype to every other one, by value and (of equal size) by bits."""
    for name in ("cast", "bitcast"):
        op = next(op for op in TABLE if op.name == name)
        for source in ALL_DTYPES:
            for target in ALL_DTYPES:
                sizes_fit = source.itemsize == target.itemsize and bool_ not in (source, target)
                if source is not target and (name == "cast" or sizes_fit):
                    function = partial(_convert, op, target)
                    title = f"{name} {source.short} {target.short}"
                    yield Item(title, function, partial(_scalar_operands, (source,)))


def _convert(op: Op, target: DType, x: Tensor) -> Any:
    return apply(op, (x,), {"dtype": target})


# ---- functions made of several ------------------------------------------------------------------

_ACTIVATIONS = (
    "relu", "relu6", "leaky_relu", "sigmoid", "silu", "gelu", "elu", "celu", "selu", "softplus",
    "logsigmoid", "mish", "tanh", "softsign", "tanhshrink", "hardtanh", "hardsigmoid", "hardswish",
    "hardshrink", "softshrink",
)  # fmt: skip
_NARROW = ("relu", "sigmoid", "silu", "gelu", "softplus", "tanh")  # in bf16, too


def activations() -> Iterator[Item]:
    """Activations with their gradients, and functions of two numbers made of several primitives."""
    for name in _ACTIVATIONS:
        for dtype in (float32, dtypes.bfloat16) if name in _NARROW else (float32,):
            yield _on_numbers(name, getattr(functional, name), dtype, gradients=1)
    gelu = partial(functional.gelu, approximate="tanh")
    yield _on_numbers("gelu by tanh", gelu, float32, gradients=1)
    for dtype in (float32, float64):
        yield _on_numbers("erfinv", special.erfinv, dtype)
        yield _on_numbers("hypot", ew.hypot, dtype, operands=2, gradients=2)
        yield _on_numbers("logaddexp", ew.logaddexp, dtype, operands=2, gradients=2)
    for name in ("softmax", "log_softmax", "softmin"):
        for dtype in (float32, dtypes.bfloat16, float64):
            along_rows = partial(getattr(functional, name), dim=-1)
            operands = partial(_wide_numbers, shape=(9, 77), dtype=dtype)
            yield item(f"{name} {dtype.short}", along_rows, operands, 1)
    along_columns = partial(functional.softmax, dim=0)
    operands = partial(_wide_numbers, shape=(300, 11), dtype=float32)
    yield item("softmax f32 by columns", along_columns, operands, 1)


def _on_numbers(
    name: str, function: Callable[..., Any], dtype: DType, operands: int = 1, gradients: int = 0
) -> Item:
    def make(source: random.Generator) -> Operands:
        scale = 1.0 if name == "erfinv" else 8.0
        return tuple(numbers(source, 4099, dtype=dtype) * scale for _ in range(operands))

    return item(f"{name} {dtype.short}", function, make, gradients)


def _wide_numbers(source: random.Generator, shape: tuple[int, ...], dtype: DType) -> Tensor:
    made: Tensor = numbers(source, *shape, dtype=dtype) * 8.0
    return made


# ---- reductions ---------------------------------------------------------------------------------

_SHAPES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((100_003,), None), ((7, 1031), 1), ((1031, 7), 0), ((5, 6, 77), (0, 2)),
)  # fmt: skip
_OF_ONE_AXIS = ("argmax", "argmin")
_REDUCTIONS = {
    float32: ("sum", "mean", "var", "std", "logsumexp", "prod", "max", "min", *_OF_ONE_AXIS),
    float64: ("sum", "var", "logsumexp", "prod", "max"),
    dtypes.bfloat16: ("sum", "var", "max", "argmax"),
    dtypes.float16: ("sum", "prod"),
    dtypes.int32: ("sum", "prod", "max", "argmin"),
    bool_: ("any", "all", "count_nonzero"),
}
_DIFFERENTIATED = ("sum", "var", "logsumexp", "prod", "max")  # in f32


def sums() -> Iterator[Item]:
    """Sums and their kin over last, first and several axes."""
    for dtype, names in _REDUCTIONS.items():
        for name in names:
            yield _reduction(name, dtype, int(dtype is float32 and name in _DIFFERENTIATED))


def _reduction(name: str, dtype: DType, gradients: int = 0) -> Item:
    function = getattr(reductions, name)

    def operands(source: random.Generator, count: int) -> Iterable[Operands]:
        for shape, axis in _SHAPES:
            if name in _OF_ONE_AXIS and isinstance(axis, tuple):
                continue
            yield (_elements(name, source, shape, dtype),)

    def reduce(x: Tensor) -> Any:
        axis = next(axis for shape, axis in _SHAPES if shape == tuple(x.shape))
        return function(x, axis=axis)

    return Item(f"{name} {dtype.short}", reduce, operands, gradients)


def _elements(name: str, source: random.Generator, shape: tuple[int, ...], dtype: DType) -> Tensor:
    if dtype.kind == "b":
        rare = integers(source, 64, *shape)
        made: Tensor = ew.not_equal(rare, 0) if name == "all" else ew.equal(rare, 0)
        return made
    if dtype.kind != "f":
        return integers(source, 1000, *shape, low=-1000, dtype=dtype)
    found = numbers(source, *shape, dtype=dtype)
    made = 1.0 + found * 0.125 if name == "prod" else found
    return made


# ---- orders and places --------------------------------------------------------------------------


def orders() -> Iterator[Item]:
    """Cumulative sums, sorting, the largest ones, reading and adding at places."""
    for dtype in (float32, float64, dtypes.bfloat16, dtypes.int32):
        short = dtype.short
        gradients = 1 if dtype is float32 else 0
        matrix = partial(_matrix, dtype=dtype)
        for axis in (0, 1):
            for name in ("cumulative_sum", "cumulative_prod"):
                run = partial(getattr(reductions, name), axis=axis)
                yield item(f"{name} {short} axis {axis}", run, matrix, gradients * axis)
            sort = partial(searching.sort, axis=axis)
            yield item(f"sort {short} axis {axis}", sort, matrix, gradients)
        down = partial(searching.argsort, descending=True)
        yield item(f"argsort {short}", down, matrix)
        if dtype.kind == "f":
            yield item(f"top_k {short}", lambda x: searching.topk(x, 7), matrix)
            special_ones = partial(_special_ones, dtype=dtype)
            yield item(f"sort {short} of special values", searching.sort, special_ones)
    for dtype in (float32, dtypes.bfloat16):
        table = partial(_table_and_places, dtype=dtype)
        yield item(f"embedding {dtype.short}", _embedding, table, 1)
        yield item(f"adding at places {dtype.short}", _added, table, 1)
    yield item("searchsorted f32", searching.searchsorted, _sorted_and_values)


def _matrix(source: random.Generator, dtype: DType) -> Tensor:
    if dtype.kind == "f":
        return numbers(source, 33, 130, dtype=dtype)
    return integers(source, 50, 33, 130, low=-50, dtype=dtype)


def _special_ones(source: random.Generator, dtype: DType) -> Tensor:
    found = np.concatenate([special_patterns(dtype), patterns(500, dtype, source)])
    return from_patterns(found, dtype)


def _table_and_places(source: random.Generator, dtype: DType) -> Operands:
    return numbers(source, 40, 24, dtype=dtype), integers(source, 40, 6, 200)


def _embedding(table: Tensor, places: Tensor) -> Any:
    return functional.embedding(places, table)


def _added(table: Tensor, places: Tensor) -> Any:
    """1/8 of each row to the rows that stand at the places, some of which come twice."""
    rows = functional.embedding(places, table) * 0.125
    return F.scatter(table, places, rows, axis=0, mode="add")


def _sorted_and_values(source: random.Generator) -> Operands:
    whole = cast(integers(source, 1000, 200), float32)
    return searching.sort(whole), cast(integers(source, 1000, 300), float32)
