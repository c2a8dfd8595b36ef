"""Control: operations that run sub-graphs.

Graphs are known here by their inputs, outputs, nodes and types only; the floor above defines them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import bool_, int64
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import DimLike
from elinvar.core.types import TensorType
from elinvar.ops.emit import array, constant, returning, statement
from elinvar.ops.record import BadSample, Emit, Op, Region, Sample, absent
from elinvar.ops.rules import evaluate, is_dim, need_scalar
from elinvar.ops.sampling import floats, integers, kind

_DERIVATIVE = absent("differentiated by transforms, which can see the sub-graphs")
_BATCHING = absent("batched by transforms, which can see the sub-graphs")
_LOWERING = absent("the kernel generator knows it by name")
COUNTER, FLAG = TensorType(int64, ()), TensorType(bool_, ())


def _texts(types: Any) -> str:
    return "(" + ", ".join(str(found) for found in types) + ")"


def need_types(op: str, what: str, found: Any, expected: Any) -> None:
    """Refuse types of a sub-graph other than those expected."""
    if tuple(found) != tuple(expected):
        fail(ShapeError, op, f"{what} {_texts(found)}, expected {_texts(expected)}")


def _check_carry(op: str, count: int, carry: Any) -> None:
    if not isinstance(carry, int) or isinstance(carry, bool) or not 0 <= carry <= count:
        fail(ValueRangeError, op, f"carry must be from 0 to {count} operands, received {carry!r}")


# ---- cond ---------------------------------------------------------------------------------------


def _cond_type(predicate: TensorType, *operands: TensorType, true: Any, false: Any) -> Any:
    need_scalar("cond", "the predicate", predicate)
    for name, graph in (("true", true), ("false", false)):
        need_types("cond", f"the {name} branch takes", graph.input_types, operands)
    need_types("cond", "the false branch returns", false.output_types, true.output_types)
    return true.output_types


def _cond_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    regions, results = [], printer.results
    for name in ("true", "false"):
        lines, found = printer.region(params[name], operands[1:])
        regions.append(((), (), [*lines, *returning(printer, found, result_types)]))
    return statement(printer, results, "if", operands[:1], types[:1], result_types, "", regions)


def _cond_samples() -> list[Sample]:
    x = kind("f64[3]")
    true = Region(lambda f, a, b: (f.multiply(a, b), f.negative(a)), (x, x))
    false = Region(lambda f, a, b: (f.subtract(a, b), b), (x, x))
    operands = (floats(3), floats(3, seed=1))
    branches = {"true": true, "false": false}
    alone = {"true": Region(lambda f: f.scalar(1, int64), ()),
             "false": Region(lambda f: f.scalar(2, int64), ())}  # fmt: skip
    return [
        Sample((np.array(True), *operands), branches),
        Sample((np.array(False), *operands), branches),
        Sample((np.array(False),), alone, differentiable=False),
    ]


def _cond_bad_samples() -> list[BadSample]:
    x = kind("f32[3]")
    same = Region(lambda f, a: a, (x,))
    total = Region(lambda f, a: f.sum(a, axes=(0,)), (x,))
    return [
        BadSample(
            (FLAG, x), {"true": same, "false": total},
            "[cond] the false branch returns (f32[]), expected (f32[3])",
        ),
        BadSample(
            (FLAG, kind("f32[4]")), {"true": same, "false": same},
            "[cond] the true branch takes (f32[3]), expected (f32[4])",
        ),
        BadSample(
            (kind("bool[2]"), x), {"true": same, "false": same},
            "[cond] the predicate must be bool[], received bool[2]",
        ),
    ]  # fmt: skip


COND = Op(
    name="cond",
    family="control",
    doc="""One of two sub-graphs, chosen when the program runs.

    Args:
        predicate: bool, 0-d.
        operands: what both sub-graphs receive.
        true, false: the sub-graphs, of equal types; only the chosen one runs.

    Shape:
        The results of the chosen sub-graph.

    Raises:
        ShapeError: a sub-graph takes or returns other types.
    """,
    type_rule=_cond_type,
    reference=lambda predicate, *operands, true, false: evaluate(
        true if bool(predicate) else false, operands
    ),
    derivative=_DERIVATIVE,
    batching=_BATCHING,
    lowering=_LOWERING,
    stablehlo=Emit(_cond_stablehlo),
    samples=_cond_samples,
    bad_samples=_cond_bad_samples,
    params=("true", "false"),
    results=lambda **params: len(params["true"].outputs),
)


# ---- while_loop ---------------------------------------------------------------------------------


def _while_type(*operands: TensorType, condition: Any, body: Any, carry: int) -> Any:
    op = "while_loop"
    _check_carry(op, len(operands), carry)
    need_types(op, "the condition takes", condition.input_types, operands)
    need_types(op, "the condition returns", condition.output_types, (FLAG,))
    need_types(op, "the body takes", body.input_types, operands)
    need_types(op, "the body returns", body.output_types, operands[:carry])
    return operands[:carry]


def _while(*operands: Any, condition: Any, body: Any, carry: int) -> Any:
    state, constants = operands[:carry], operands[carry:]
    while bool(evaluate(condition, state + constants)[0]):
        state = evaluate(body, state + constants)
    return state


def _names(printer: Any, count: int) -> tuple[str, ...]:
    return tuple(printer.fresh() for _ in range(count))


def _while_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """Constants are carried along."""
    carry, named = params["carry"], printer.results
    tested, arguments = _names(printer, len(types)), _names(printer, len(types))
    test, flag = printer.region(params["condition"], tested)
    body, found = printer.region(params["body"], arguments)
    regions = [
        (tested, types, [*test, *returning(printer, flag, (FLAG,))]),
        (arguments, types, [*body, *returning(printer, (*found, *arguments[carry:]), types)]),
    ]
    results = (*named, *_names(printer, len(types) - carry))
    return statement(printer, results, "while", operands, types, types, "", regions)


def _while_samples() -> list[Sample]:
    types = (kind("i64[]"), kind("f64[2]"), kind("i64[]"), kind("f64[2]"))
    condition = Region(lambda f, i, x, n, c: f.less(i, n), types)
    body = Region(
        lambda f, i, x, n, c: (f.add(i, f.scalar(1, int64)), f.add(f.multiply(x, c), c)), types
    )
    params = {"condition": condition, "body": body, "carry": 2}
    first, factor = floats(2), floats(2, seed=1)
    return [
        Sample((np.array(0), first, np.array(count), factor), params, differentiable=False)
        for count in (5, 1, 0)
    ]


def _while_bad_samples() -> list[BadSample]:
    x = kind("f32[2]")
    same = Region(lambda f, a: a, (x,))
    total = Region(lambda f, a: f.sum(a, axes=(0,)), (x,))
    test = Region(lambda f, a: f.constant(value=False, dtype=bool_), (x,))
    return [
        BadSample(
            (x,), {"condition": same, "body": same, "carry": 1},
            "[while_loop] the condition returns (f32[2]), expected (bool[])",
        ),
        BadSample(
            (x,), {"condition": test, "body": total, "carry": 1},
            "[while_loop] the body returns (f32[]), expected (f32[2])",
        ),
        BadSample(
            (x, x), {"condition": test, "body": same, "carry": 1},
            "[while_loop] the condition takes (f32[2]), expected (f32[2], f32[2])",
        ),
        BadSample(
            (x,), {"condition": test, "body": same, "carry": 2},
            "[while_loop] carry must be from 0 to 1 operands, received 2",
        ),
    ]  # fmt: skip


WHILE_LOOP = Op(
    name="while_loop",
    family="control",
    doc="""A sub-graph that is repeated while another one says so.

    Args:
        operands: first what is carried from one round to the next, then constants.
        condition: carried and constants → bool, 0-d.
        body: carried and constants → carried.
        carry: how many operands are carried.

    Shape:
        The carried values.

    Raises:
        ShapeError: a sub-graph takes or returns other types.
    """,
    type_rule=_while_type,
    reference=_while,
    derivative=_DERIVATIVE,
    batching=_BATCHING,
    lowering=_LOWERING,
    stablehlo=Emit(_while_stablehlo),
    samples=_while_samples,
    bad_samples=_while_bad_samples,
    params=("condition", "body", "carry"),
    results=lambda **params: params["carry"],
)


# ---- scan ---------------------------------------------------------------------------------------


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
    need_types("scan", "the body takes", body.input_types, expected)
    results = body.output_types
    need_types("scan", "the body carries on", results[:carry], operands[:carry])
    return (*results[:carry], *(y.with_shape((length, *y.shape)) for y in results[carry:]))


def _scan(*operands: Any, body: Any, carry: int, sequences: int, length: int, reverse: bool) -> Any:
    state, constants = operands[:carry], operands[carry + sequences :]
    stacked = operands[carry : carry + sequences]
    columns: list[Any] = []
    for y in body.output_types[carry:]:
        stored = np.float32 if y.dtype.name == "bfloat16" else y.dtype.numpy
        columns.append(np.zeros((length, *y.shape), stored))
    for step in reversed(range(length)) if reverse else range(length):
        found = evaluate(body, (*state, *(x[step] for x in stacked), *constants))
        state = found[:carry]
        for column, y in zip(columns, found[carry:], strict=True):
            column[step] = y
    return (*state, *columns)


def _scan_stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """A while over (counter, carried, stacked results, sequences and constants)."""
    carry, length, named = params["carry"], params["length"], printer.results
    start, limit = _names(printer, 2)
    lines = [constant(printer, start, 0, COUNTER)]
    stacks = list(_names(printer, len(result_types) - carry))
    for name, y in zip(stacks, result_types[carry:], strict=True):
        lines.append(constant(printer, name, 0, y))
    state = (COUNTER, *result_types, *types[carry:])
    tested = _names(printer, len(state))
    flag = printer.fresh()
    test = [constant(printer, limit, length, COUNTER)]
    test += statement(
        printer, (flag,), "compare", (tested[0], limit), (COUNTER, COUNTER), (FLAG,),
        "comparison_direction = #stablehlo<comparison_direction LT>",
    )  # fmt: skip
    arguments = _names(printer, len(state))
    body, found = _scan_body(printer, arguments, types, result_types, params)
    regions = [
        (tested, state, [*test, *returning(printer, (flag,), (FLAG,))]),
        (arguments, state, [*body, *returning(printer, found, state)]),
    ]
    results = (printer.fresh(), *named, *_names(printer, len(types) - carry))
    given = (start, *operands[:carry], *stacks, *operands[carry:])
    return lines + statement(printer, results, "while", given, state, state, "", regions)


def _scan_body(
    printer: Any, arguments: Any, types: Any, result_types: Any, params: Any
) -> tuple[list[str], tuple[str, ...]]:
    """The lines of one round, and the names of the next state."""
    carry, sequences, length = params["carry"], params["sequences"], params["length"]
    counter, rest = arguments[0], arguments[1:]
    carried, stacks = rest[:carry], rest[carry : len(result_types)]
    others = rest[len(result_types) :]
    one, zero, following, place = _names(printer, 4)
    pair = (COUNTER, COUNTER)
    lines = [constant(printer, one, 1, COUNTER), constant(printer, zero, 0, COUNTER)]
    lines += statement(printer, (following,), "add", (counter, one), pair, (COUNTER,))
    if params["reverse"]:
        end = printer.fresh()
        lines.append(constant(printer, end, length - 1, COUNTER))
        lines += statement(printer, (place,), "subtract", (end, counter), pair, (COUNTER,))
    else:
        place = counter
    slices = []
    if length:
        for name, x in zip(others, types[carry : carry + sequences], strict=False):
            row, piece = _names(printer, 2)
            thin = x.with_shape((1, *x.shape[1:]))
            starts = (place, *(zero,) * (x.rank - 1))
            sizes = f"slice_sizes = {array(thin.shape)}"
            kinds = (x, *(COUNTER,) * x.rank)
            lines += statement(
                printer, (row,), "dynamic_slice", (name, *starts), kinds, (thin,), sizes
            )
            whole = x.with_shape(x.shape[1:])
            lines += statement(printer, (piece,), "reshape", (row,), (thin,), (whole,))
            slices.append(piece)
    else:  # never runs
        for x in types[carry : carry + sequences]:
            slices.append(printer.fresh())
            lines.append(constant(printer, slices[-1], 0, x.with_shape(x.shape[1:])))
    inner, found = printer.region(params["body"], (*carried, *slices, *others[sequences:]))
    lines += inner
    filled = []
    for stack, y, kind_of in zip(stacks, found[carry:], result_types[carry:], strict=True):
        row, updated = _names(printer, 2)
        thin = kind_of.with_shape((1, *kind_of.shape[1:]))
        flat = kind_of.with_shape(kind_of.shape[1:])
        if not length:
            filled.append(stack)
            continue
        lines += statement(printer, (row,), "reshape", (y,), (flat,), (thin,))
        starts = (place, *(zero,) * (kind_of.rank - 1))
        kinds = (kind_of, thin, *(COUNTER,) * kind_of.rank)
        lines += statement(
            printer, (updated,), "dynamic_update_slice", (stack, row, *starts), kinds, (kind_of,)
        )
        filled.append(updated)
    return lines, (following, *found[:carry], *filled, *others)


def _scan_samples() -> list[Sample]:
    c = kind("f64[2]")

    def round_(f: Any, state: Any, x: Any, factor: Any) -> Any:
        following = f.add(f.multiply(state, factor), f.multiply(x, x))
        return following, f.multiply(following, x)

    body = Region(round_, (c, c, c))
    found = []
    for length, reverse in ((4, False), (4, True), (1, False), (0, False), (0, True)):
        params = {
            "body": body, "carry": 1, "sequences": 1, "length": length, "reverse": reverse,
        }  # fmt: skip
        found.append(Sample((floats(2), floats(length, 2), floats(2, seed=1)), params))
    counting = Region(
        lambda f, i: (f.add(i, f.scalar(2, int64)), i, f.multiply(i, i)), (kind("i64[]"),)
    )
    mapped = Region(lambda f, x, y: f.add(x, y), (kind("i64[3]"), kind("i64[3]")))
    plain = {"sequences": 0, "length": 3, "reverse": False}
    whole = (integers(2, 3), integers(2, 3, seed=1))
    return [
        *found,
        Sample((np.array(1),), {"body": counting, "carry": 1, **plain}, differentiable=False),
        Sample(
            whole, {"body": mapped, "carry": 0, "sequences": 2, "length": 2, "reverse": True},
            differentiable=False,
        ),
    ]  # fmt: skip


def _scan_bad_samples() -> list[BadSample]:
    x, xs = kind("f32[2]"), kind("f32[5,2]")
    body = Region(lambda f, state, row: f.add(state, row), (x, x))
    total = Region(lambda f, state, row: f.sum(state, axes=(0,)), (x, x))
    plain = {"carry": 1, "sequences": 1, "length": 5, "reverse": False}
    return [
        BadSample(
            (x, xs), {**plain, "body": body, "length": 4},
            "[scan] a sequence must have 4 leading entries, received f32[5,2]",
        ),
        BadSample(
            (x, xs), {**plain, "body": total},
            "[scan] the body carries on (f32[]), expected (f32[2])",
        ),
        BadSample(
            (x, kind("f32[5,3]")), {**plain, "body": body},
            "[scan] the body takes (f32[2], f32[2]), expected (f32[2], f32[3])",
        ),
        BadSample(
            (x, xs), {**plain, "body": body, "sequences": 2},
            "[scan] sequences must be from 0 to 1, received 2",
        ),
        BadSample(
            (x, xs), {**plain, "body": body, "carry": 3},
            "[scan] carry must be from 0 to 2 operands, received 3",
        ),
    ]  # fmt: skip


SCAN = Op(
    name="scan",
    family="control",
    doc="""A sub-graph that runs over the rows of sequences and carries a state along.

    Args:
        operands: first what is carried, then sequences, then constants.
        body: (carried, a row of each sequence, constants) → (carried, results).
        carry, sequences: how many operands are carried, and how many are sequences.
        length: the number of rounds, the first dimension of each sequence.
        reverse: start with the last row; results stand at the place of their row.

    Shape:
        What is carried at the end, then the results of all rounds along a new first dimension.

    Raises:
        ShapeError: the body takes or carries on other types, or a sequence has another length.
    """,
    type_rule=_scan_type,
    reference=_scan,
    derivative=_DERIVATIVE,
    batching=_BATCHING,
    lowering=_LOWERING,
    stablehlo=Emit(_scan_stablehlo),
    samples=_scan_samples,
    bad_samples=_scan_bad_samples,
    params=("body", "carry", "sequences", "length", "reverse"),
    results=lambda **params: len(params["body"].outputs),
)


OPS: tuple[Op, ...] = (COND, WHILE_LOOP, SCAN)
