"""Eager execution: movement as views, everything else as one-op programs kept in memory."""

from __future__ import annotations

from typing import Any

from elinvar.core.errors import DTypeError, fail
from elinvar.graph.ir import Builder
from elinvar.ops.record import Op
from elinvar.tensor import views
from elinvar.tensor.cell import Cell, concrete
from elinvar.tensor.engine import allocate, compile_graph
from elinvar.tensor.layout import dense

_programs: dict[Any, Any] = {}


def execute(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
    """Run one primitive on concrete tensors."""
    for operand in operands:
        if not isinstance(operand, Cell):
            fail(DTypeError, op.name, f"expected a tensor, received {type(operand).__name__}")
        if operand._layout is None:
            operand._buffer.refuse_outside(operand, op.name)
    if op.name in views.VIEWS:
        (x,) = operands
        op.result_types((x._layout.type,), params)
        view = views.VIEWS[op.name](x._layout, **params)
        if view is not None:
            offset, layout = view
            return [concrete(x._buffer, x._address + offset * layout.dtype.itemsize, layout)]
    return run(op, operands, params)


def run(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> list[Any]:
    """Run a primitive as a compiled program."""
    values = tuple((name, params[name], repr(params[name])) for name in sorted(params))
    key = (op, values, tuple(x._layout for x in operands))
    bound = _programs.get(key)
    if bound is None:
        builder = Builder()
        inputs = tuple(builder.input(x._layout.type) for x in operands)
        graph = builder.graph(builder.add(op, inputs, params))
        compiled = compile_graph(graph, [x._layout.strides for x in operands])
        bound = _programs[key] = compiled.bind({})
    buffers = [allocate(nbytes) for _, _, nbytes in bound.outputs]
    arena = allocate(bound.arena_nbytes) if bound.arena_nbytes else None
    bound.call(
        arena.address if arena else 0,
        *(x._address for x in operands),
        *(buffer.address for buffer in buffers),
    )
    return [
        concrete(buffer, buffer.address, dense(dtype, shape))
        for buffer, (dtype, shape, _) in zip(buffers, bound.outputs, strict=True)
    ]
