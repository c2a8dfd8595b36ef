"""A sub-graph with a derivative of its own: what custom_vjp and custom_jvp leave in sub-graphs.

Before anything is compiled `passes/unfold.py` puts the body in its place, unless the CPU compiler
has a kernel that computes the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops.control import need_types
from elinvar.ops.emit import statement
from elinvar.ops.record import BadSample, Emit, Op, Region, Sample, absent
from elinvar.ops.rules import evaluate
from elinvar.ops.sampling import floats, kind

MODES = ("vjp", "jvp", "none")


def floating(types: Any) -> tuple[TensorType, ...]:
    """The floating ones among types: those that have tangents and cotangents."""
    return tuple(found for found in types if found.dtype.is_inexact)


def _type(
    *operands: TensorType,
    body: Any,
    derivative: Any,
    mode: str,
    moving: int,
    kernel: str | None = None,
) -> Any:
    if mode not in MODES:
        fail(ValueRangeError, "custom", f"mode must be one of {MODES}, received {mode!r}")
    need_types("custom", "the body takes", body.input_types, operands)
    if not isinstance(moving, int) or not 0 <= moving <= len(operands):
        text = f"moving must be from 0 to {len(operands)} operands, received {moving!r}"
        fail(ValueRangeError, "custom", text)
    given, found = floating(operands[:moving]), floating(body.output_types)
    if mode == "vjp":
        given, found = found, given
    if mode != "none":
        takes, gives = (*operands, *given), found
        need_types("custom", "the derivative takes", derivative.input_types, takes)
        need_types("custom", "the derivative returns", derivative.output_types, gives)
    return body.output_types


def _stablehlo(
    printer: Any, operands: Any, types: Any, result_types: Any, params: Any
) -> list[str]:
    """The body's lines; a barrier of all results gives them their names."""
    results = printer.results
    lines, found = printer.region(params["body"], operands)
    barrier = "optimization_barrier"
    return [*lines, *statement(printer, results, barrier, found, result_types, result_types)]


_X = kind("f64[3]")
_BODY = Region(lambda f, x, y: (f.multiply(x, f.sin(y)), f.negative(x)), (_X, _X))
_PULL = Region(
    lambda f, x, y, g, h: (
        f.subtract(f.multiply(g, f.sin(y)), h),
        f.multiply(g, f.multiply(x, f.cos(y))),
    ),
    (_X,) * 4,
)
_PUSH = Region(
    lambda f, x, y, s, t: (
        f.add(f.multiply(s, f.sin(y)), f.multiply(t, f.multiply(x, f.cos(y)))),
        f.negative(s),
    ),
    (_X,) * 4,
)


def _samples() -> list[Sample]:
    operands = (floats(3), floats(3, seed=1))
    modes = (("vjp", _PULL), ("jvp", _PUSH))
    found = [
        Sample(operands, {"body": _BODY, "derivative": derivative, "mode": mode, "moving": 2})
        for mode, derivative in modes
    ]
    nothing = {"body": _BODY, "derivative": _BODY, "mode": "none", "moving": 2}
    count = Region(lambda f, n: f.add(n, n), (kind("i64[2]"),))
    none = Region(lambda f, n: (), (kind("i64[2]"),))
    whole = {"body": count, "derivative": none, "mode": "jvp", "moving": 1}
    alone = Region(lambda f, x, y, s: (f.multiply(s, f.sin(y)), f.negative(s)), (_X,) * 3)
    one = {"body": _BODY, "derivative": alone, "mode": "jvp", "moving": 1}
    return [
        *found,
        Sample(operands, one, differentiable=False),
        Sample(operands, nothing, differentiable=False),
        Sample((np.array([1, 2]),), whole, differentiable=False),
    ]


def _bad_samples() -> list[BadSample]:
    good = {"body": _BODY, "derivative": _PULL, "mode": "vjp", "moving": 2}
    return [
        BadSample((_X, _X), good | {"mode": "both"}, "mode must be one of"),
        BadSample((_X, _X), good | {"moving": 3}, "moving must be from 0 to 2 operands"),
        BadSample((_X,), good, "[custom] the body takes (f64[3], f64[3]), expected (f64[3])"),
        BadSample(
            (_X, _X), good | {"derivative": _BODY},
            "[custom] the derivative takes (f64[3], f64[3]), expected (f64[3], f64[3], f64[3], ",
        ),
    ]  # fmt: skip


CUSTOM = Op(
    name="custom",
    family="control",
    doc="""A sub-graph with a derivative of its own.

    Args:
        operands: what the body receives.
        body: what is computed.
        derivative: another sub-graph. For "vjp": (operands, a cotangent for each floating result) →
            a cotangent for each floating operand; for "jvp": (operands, a tangent for each floating
            operand) → a tangent for each floating result; linear in what comes after the operands.
        mode: "vjp", "jvp", or "none": to differentiate it is an error.
        moving: how many operands have derivatives, the first ones; the others are only read.
        kernel: the name of a kernel that the CPU compiler has for the body, for stacks of matrices
            of one dtype (`lower_matrices.py`).

    Shape:
        The results of the body.

    Raises:
        ShapeError: a sub-graph takes or returns other types.
    """,
    type_rule=_type,
    reference=lambda *operands, body, **_: evaluate(body, operands),
    derivative=absent("differentiated by transforms, which can see the sub-graphs"),
    batching=absent("batched by transforms, which can see the sub-graphs"),
    lowering=absent("its body takes its place before anything is lowered"),
    stablehlo=Emit(_stablehlo),
    samples=_samples,
    bad_samples=_bad_samples,
    params=("body", "derivative", "mode", "moving", "kernel"),
    optional=("kernel",),
    results=lambda **params: len(params["body"].outputs),
)


OPS: tuple[Op, ...] = (CUSTOM,)
