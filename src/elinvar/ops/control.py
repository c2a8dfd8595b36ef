"""Control: operations that run sub-graphs."""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike
from elinvar.core.types import TensorType
from elinvar.ops.record import Op, absent
from elinvar.ops.rules import evaluate, is_dim, need_scalar

_LATER = absent("follows")


def _texts(types: Any) -> str:
    return "(" + ", ".join(str(kind) for kind in types) + ")"


def _need_types(op: str, what: str, found: Any, expected: Any) -> None:
    if tuple(found) != tuple(expected):
        fail(ShapeError, op, f"{what} {_texts(found)}, expected {_texts(expected)}")


def _cond_type(predicate: TensorType, *operands: TensorType, **graphs: Any) -> Any:
    need_scalar("cond", "the predicate", predicate)
    for name in ("true", "false"):
        _need_types("cond", f"the {name} branch takes", graphs[name].input_types, operands)
    results = graphs["true"].output_types
    _need_types("cond", "the false branch returns", graphs["false"].output_types, results)
    return results


def _cond(predicate: Any, *operands: Any, **graphs: Any) -> Any:
    return evaluate(graphs["true" if bool(predicate) else "false"], operands)


def _check_carry(op: str, count: int, carry: Any) -> None:
    if not isinstance(carry, int) or isinstance(carry, bool) or not 0 <= carry <= count:
        fail(ValueRangeError, op, f"carry must be from 0 to {count} operands, received {carry!r}")


def _while_type(*operands: TensorType, condition: Any, body: Any, carry: int) -> Any:
    op = "while_loop"
    _check_carry(op, len(operands), carry)
    _need_types(op, "the condition takes", condition.input_types, operands)
    _need_types(op, "the condition returns", condition.output_types, (TensorType(bool_, ()),))
    _need_types(op, "the body takes", body.input_types, operands)
    _need_types(op, "the body returns", body.output_types, operands[:carry])
    return operands[:carry]


def _while(*operands: Any, condition: Any, body: Any, carry: int) -> Any:
    state, constants = operands[:carry], operands[carry:]
    while bool(evaluate(condition, state + constants)[0]):
        state = evaluate(body, state + constants)
    return state


def _scan_type(
    *operands: TensorType, body: Any, carry: int, sequences: int, length: DimLike, reverse: bool
) -> Any:
    _check_carry("scan", len(operands), carry)
    if not isinstance(sequences, int) or not 0 <= sequences <= len(operands) - carry:
        text = f"sequences must be from 0 to {len(operands) - carry}, received {sequences!r}"
        fail(ValueRangeError, "scan", text)
    if not is_dim(length):
        fail(ValueRangeError, "scan", f"length must be a size, received {length!r}")
    stacked = operands[carry : carry + sequences]
    for x in stacked:
        if not x.rank or x.shape[0] != length:
            fail(ShapeError, "scan", f"a sequence must have {length} leading entries, received {x}")
    slices = tuple(x.with_shape(x.shape[1:]) for x in stacked)
    expected = (*operands[:carry], *slices, *operands[carry + sequences :])
    _need_types("scan", "the body takes", body.input_types, expected)
    results = body.output_types
    _need_types("scan", "the body carries on", results[:carry], operands[:carry])
    return (*results[:carry], *(y.with_shape((length, *y.shape)) for y in results[carry:]))


def _scan(
    *operands: Any, body: Any, carry: int, sequences: int, length: int, reverse: bool
) -> Any:
    state, constants = operands[:carry], operands[carry + sequences :]
    stacked = operands[carry : carry + sequences]
    columns: list[Any] = []
    for kind in body.output_types[carry:]:
        stored = np.float32 if kind.dtype.name == "bfloat16" else kind.dtype.numpy
        columns.append(np.zeros((length, *kind.shape), stored))
    for step in reversed(range(length)) if reverse else range(length):
        found = evaluate(body, (*state, *(x[step] for x in stacked), *constants))
        state = found[:carry]
        for column, y in zip(columns, found[carry:], strict=True):
            column[step] = y
    return (*state, *columns)


def _op(name: str, rule: Any, reference: Any, params: tuple[str, ...], results: Any) -> Op:
    seen = "the transforms see the sub-graphs"
    return Op(
        name=name,
        family="control",
        doc=name,
        type_rule=rule,
        reference=reference,
        derivative=absent("differentiated by transforms, which can see the sub-graphs"),
        batching=absent(f"batched by transforms: {seen}"),
        lowering=absent("the kernel generator knows it by name"),
        stablehlo=_LATER,
        samples=list,
        bad_samples=list,
        params=params,
        results=results,
    )


OPS: tuple[Op, ...] = (
    _op("cond", _cond_type, _cond, ("true", "false"), lambda **p: len(p["true"].outputs)),
    _op("while_loop", _while_type, _while, ("condition", "body", "carry"), lambda **p: p["carry"]),
    _op(
        "scan",
        _scan_type,
        _scan,
        ("body", "carry", "sequences", "length", "reverse"),
        lambda **p: len(p["body"].outputs),
    ),
)
