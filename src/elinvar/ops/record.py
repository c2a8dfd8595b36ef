"""The record of one primitive: everything that is true of it, in one place.

A field may be `absent("reason")`, never missing. The conventions that all records keep:

- Operands are strict: binary operations take equal dtypes and shapes. Promotion and broadcasting
  are explicit `cast` and `broadcast` operations, put there by the tensor floor; so the derivative
  of broadcasting is written once.
- Params are hashable: ints, floats, strings, dtypes, tuples of these, dims, graphs.
- `type_rule(*types, **params)` returns one TensorType, or a tuple for several results.
- `reference(*arrays, **params)` is numpy. bfloat16 values travel as float32 arrays that are already
  rounded; the interpreter rounds results.
- `derivative(f, operands, results, cotangents, **params)` returns one cotangent (or None) for each
  operand, written with `f`, a namespace of all primitives (see `Namespace`), so it serves eager
  tensors, traced tensors and graph values, and can be differentiated again.
- `lowering`: for the elementwise family a function of scalars `lowering(*scalars, **params)` (see
  scalars.py); for movement and index families an index map (see indexing.py); for reductions the
  pair (combine, identity); for others a reason why the kernel generator knows the op by name.
- `batching(f, size, operands, mapped, **params)`: operands whose `mapped` flag is set carry a batch
  dimension of `size` in front; the result (a tuple for several) carries it in front.
- `stablehlo` is one of
    "stablehlo.name"          that operation on the same operands, without attributes
    (name, attributes)        `attributes(*types, **params)`: a dict from attribute to MLIR text
    Decompose(rule)           `rule(f, *operands, **params)` says the op in terms of others (so does
                              a bare function); f has one more method, `native` (see elementwise.py)
    Emit(function)            for special syntax, see `Emit`
  All dims are ints by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from elinvar.core.dtypes import DType, bfloat16, from_numpy
from elinvar.core.shapes import Shape
from elinvar.core.types import TensorType

if TYPE_CHECKING:  # a stub made from the table: each primitive with its operands and params
    from elinvar.ops.primitives import Primitives
else:
    Primitives = object

FAMILIES = (
    "elementwise",
    "reduce",
    "movement",
    "contract",
    "index",
    "random",
    "control",
    "opaque",
)


@dataclass(frozen=True, slots=True)
class Absent:
    """A field that has no meaning for an op, with the reason."""

    reason: str


def absent(reason: str) -> Any:
    """Mark a field of a record as meaningless, with the reason."""
    return Absent(reason)


@dataclass(frozen=True)
class Decompose:
    """A StableHLO field: the op written with other primitives, `rule(f, *operands, **params)`."""

    rule: Callable[..., Any]


@dataclass(frozen=True)
class Emit:
    """A StableHLO field for special syntax: a function that gives the lines of text.

    `function(printer, operands, types, result_types, params)` receives the operands' names (`%3`)
    and types; its lines define the names `printer.results`. Further names come from
    `printer.fresh()`; `printer.type(kind)` is the text of a TensorType (`tensor<2x3xf32>`);
    `printer.region(graph, names)` is the pair (lines, result names) of a sub-graph on named values.
    Take `printer.results` before `printer.region` is called, which has results of its own.
    """

    function: Callable[..., list[str]]

    def __call__(
        self, printer: Any, operands: Any, types: Any, result_types: Any, params: Any
    ) -> list[str]:
        return self.function(printer, operands, types, result_types, params)


@dataclass(frozen=True)
class Region:
    """A sub-graph in the params of a sample: `rule(f, *inputs)` on inputs of these types.

    Who runs the sample builds the graph from it (`graph/regions.py`).
    """

    rule: Callable[..., Any]
    types: tuple[TensorType, ...]


@dataclass(frozen=True)
class Sample:
    """Operands (numpy arrays) and params on which an op is tested.

    `differentiable` is False where finite differences do not apply (ties, integers, kinks). With
    `bfloat16`, the float32 operands stand for bfloat16 values (and are already rounded).
    """

    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    differentiable: bool = True
    bfloat16: bool = False

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The types of the operands."""
        return tuple(TensorType(self.dtype_of(x), tuple(x.shape)) for x in self.operands)

    def dtype_of(self, x: Any) -> DType:
        """The dtype for which an operand stands."""
        return bfloat16 if self.bfloat16 and x.dtype == np.float32 else from_numpy(x.dtype)


@dataclass(frozen=True)
class BadSample:
    """Operand types and params that the type rule must refuse, with a part of the message."""

    types: tuple[TensorType, ...]
    params: dict[str, Any]
    expected: str


@dataclass(frozen=True, eq=False)
class Op:
    """One primitive. See the module's text for the conventions of the fields."""

    name: str
    family: str
    doc: str
    type_rule: Callable[..., Any]
    reference: Callable[..., Any]
    derivative: Callable[..., Any] | Absent
    batching: Callable[..., Any] | Absent | str  # "family", or an own rule
    lowering: Any  # by family, see above; or Absent
    stablehlo: Any
    samples: Callable[[], list[Sample]]
    bad_samples: Callable[[], list[BadSample]]
    params: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()  # those of the params that may be left out
    results: int | Callable[..., int] = 1

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"op {self.name}: unknown family {self.family}")

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def result_types(
        self, types: tuple[TensorType, ...], params: dict[str, Any]
    ) -> tuple[TensorType, ...]:
        """The result types as a tuple, whatever the number of results."""
        found = self.type_rule(*types, **params)
        return (found,) if isinstance(found, TensorType) else tuple(found)


class ValueLike(Protocol):
    """What derivative rules may rely on: a graph value or a tensor."""

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> Shape: ...


class Namespace(Primitives):
    """All primitives as functions, over whatever `apply(op, operands, params)` does.

    `f.add(x, y)`, `f.sum(x, axes=(0,))`. One result comes back bare, several as a tuple.
    """

    def __init__(self, table: dict[str, Op], apply: Callable[..., Any]) -> None:
        self._table = table
        self._apply = apply

    def _function(self, name: str) -> Callable[..., Any]:
        op = self._table.get(name)
        if op is None:
            raise AttributeError(f"no primitive is called {name!r}")
        apply = self._apply

        def call(*operands: Any, **params: Any) -> Any:
            return apply(op, operands, params)

        call.__name__ = name
        setattr(self, name, call)
        return call

    if not TYPE_CHECKING:  # there the stub names every primitive
        __getattr__ = _function

    def apply(self, op: Op, *operands: Any, **params: Any) -> Any:
        """Apply a record, which need not be in the table."""
        return self._apply(op, operands, params)

    def scalar(self, value: float | int | bool, dtype: DType) -> Any:
        """A 0-d constant."""
        return self.constant(value=value, dtype=dtype)

    def full(self, value: float | int | bool, like: ValueLike) -> Any:
        """A constant with the dtype and shape of `like`."""
        constant = self.constant(value=value, dtype=like.dtype)
        return self.broadcast(constant, shape=tuple(like.shape)) if like.shape else constant

    def zeros_like(self, like: ValueLike) -> Any:
        """Zeros with the dtype and shape of `like`."""
        return self.full(False if like.dtype.kind == "b" else 0, like)
