"""Eager execution: one operation, at once.

    find   the entry for an op, its params and the operands' layouts; made on first use

An entry is a function of the operands. Movement gives views: new layouts over the same memory. All
else runs as a compiled one-op program (see oneop.py) that is bound to the sizes at hand; `pad` is
two copies. `gather` and `scatter` check their indices first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import DType
from elinvar.core.errors import DTypeError, OutOfBoundsError, fail
from elinvar.graph.ir import Builder, result_types
from elinvar.graph.walk import fingerprint, is_graph
from elinvar.ops.record import Op
from elinvar.tensor import oneop, views
from elinvar.tensor.cell import Cell, concrete
from elinvar.tensor.copying import copy_call
from elinvar.tensor.engine import allocate, allocator, compile_graph
from elinvar.tensor.layout import Layout, dense, layout
from elinvar.tensor.memory import number_bytes, read_number, write_bytes

Run = Callable[[Any], Any]


class Entry:
    """How one kind of operation runs: `run(operands)` gives a sequence of new tensors.

    `unchecked`: the same without a look at the values of indices.
    `rules`: how it is differentiated, by which operands want a gradient; kept by the tape.
    """

    __slots__ = ("rules", "run", "unchecked")

    run: Run
    unchecked: Run

    def __init__(self, run: Run, unchecked: Run | None = None) -> None:
        self.run = run
        self.unchecked = unchecked or run
        self.rules: dict[tuple[bool, ...], Any] = {}


MOST_ENTRIES = 16384
_entries: dict[Any, Entry] = {}
_constants: dict[Any, Any] = {}


def find(op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> Entry:
    """What runs one primitive on these concrete tensors."""
    try:
        if params:
            key: Any = (op, tuple(params.items()), *[x._layout for x in operands])
        else:
            key = (op, *[x._layout for x in operands])
        entry = _entries.get(key)
    except (AttributeError, TypeError):
        key = entry = None
    if entry is None:
        entry = _prepare(key, op, operands, params)
    return entry


def _prepare(key: Any, op: Op, operands: tuple[Any, ...], params: dict[str, Any]) -> Entry:
    for operand in operands:
        if not isinstance(operand, Cell):
            fail(DTypeError, op.name, f"expected a tensor, received {type(operand).__name__}")
        if operand._layout is None:
            operand._buffer.refuse_outside(operand, op.name)
    if op.name == "constant":
        op.type_rule(**params)  # 1, 1.0 and True, 0.0 and -0.0 are equal keys: not kept here
        return _constant(params["value"], params["dtype"])
    if op.name == "size_of":
        op.result_types((), params)
        return _constant(params["dim"], op.type_rule(**params).dtype)
    if op.family == "control":
        key = (op, _region_key(params), *[x._layout for x in operands])
        known = _entries.get(key)
        if known is not None:
            return known
    layouts = [x._layout for x in operands]
    run = make_run(op, layouts, params)
    if op.name in ("gather", "scatter") and operands[1]._layout.size:
        entry = Entry(_checked_run(op.name, layouts, params["axis"], run), run)
    else:
        entry = Entry(run)
    if key is not None:
        if len(_entries) >= MOST_ENTRIES:
            for old in list(_entries)[: MOST_ENTRIES // 2]:
                _entries.pop(old, None)
        _entries[key] = entry
    return entry


def make_run(op: Op, layouts: list[Any], params: dict[str, Any]) -> Run:
    """What runs `op` on operands of these layouts. Raises the op's own errors."""
    result_types(op, [layout.type for layout in layouts], params)
    if op.name in views.VIEWS:
        view = views.VIEWS[op.name](layouts[0], **params)
        if view is not None:
            return _view_run(*view)
        packing = program_run(oneop.copy_program([layouts[0]]))
        view = views.VIEWS[op.name](dense(layouts[0].dtype, layouts[0].shape), **params)
        assert view is not None
        moving = _view_run(*view)
        return lambda operands: moving(packing(operands))
    if op.name == "pad":
        return _padding_run(layouts, **params)
    return program_run(oneop.one_op_program(op, layouts, params))


def _view_run(offset: int, layout: Layout) -> Run:
    step = offset * layout.dtype.itemsize

    def run(operands: Any) -> Any:
        x = operands[0]
        return (concrete(x._buffer, x._address + step, layout),)

    return run


def _padding_run(layouts: list[Layout], low: Any, high: Any, interior: Any) -> Run:
    """Fill with the value, then copy x between: two programs that know no position."""
    x, value = layouts
    shape = [n + (n - 1) * k if n else 0 for n, k in zip(x.shape, interior, strict=True)]
    shape = [before + n + after for before, n, after in zip(low, shape, high, strict=True)]
    whole = dense(x.dtype, tuple(shape))
    steps = [(k + 1) * stride for k, stride in zip(interior, whole.strides, strict=True)]
    inside = layout(x.dtype, x.shape, tuple(steps))
    offset = sum(n * stride for n, stride in zip(low, whole.strides, strict=True))
    offset *= x.dtype.itemsize
    fill = None if inside.size == whole.size else copy_call(whole, value)
    place = copy_call(inside, x)

    def run(operands: Any) -> Any:
        x, value = operands
        buffer = allocate(whole.nbytes)
        address = buffer.address
        if fill is not None:
            fill(value._address, address)
        if place is not None:
            place(x._address, address + offset)
        return (concrete(buffer, address, whole),)

    return run


def program_run(program: oneop.OneOp) -> Run:
    """What runs a bound program."""
    call, arena_nbytes, outputs = program
    allocate = allocator()
    if call is None:  # nothing to compute: all results are empty
        return lambda operands: [_empty(layout) for _, layout in outputs]
    if len(outputs) == 1 and not arena_nbytes:
        ((nbytes, layout),) = outputs

        def run(operands: Any) -> Any:
            buffer = allocate(nbytes)
            address = buffer.address
            call(0, *[x._address for x in operands], address)
            return (concrete(buffer, address, layout),)

        return run

    def run_many(operands: Any) -> Any:
        buffers = [allocate(nbytes) for nbytes, _ in outputs]
        arena = allocate(arena_nbytes) if arena_nbytes else None
        call(
            0 if arena is None else arena.address,
            *[x._address for x in operands],
            *[buffer.address for buffer in buffers],
        )
        return [
            concrete(buffer, buffer.address, layout)
            for buffer, (_, layout) in zip(buffers, outputs, strict=True)
        ]

    return run_many


def _empty(layout: Layout) -> Any:
    buffer = allocate(0)
    return concrete(buffer, buffer.address, layout)


def packed(x: Any) -> Any:
    """x, or a copy, with its elements side by side in memory in row-major order."""
    layout = x._layout
    if layout is None or layout.is_dense:
        return x
    copy = program_run(oneop.copy_program([layout]))((x,))[0]
    copy._node = x._node  # a copy of the value: the tape goes on where x's does
    if x._node is not None:
        copy._slot = x._slot
    return copy


# constants


def _constant(value: Any, dtype: DType) -> Entry:
    key = (dtype, type(value), value if value and type(value) is not complex else str(value))
    held = _constants.get(key)
    if held is None:
        held = make_constant(value, dtype)
        if len(_constants) >= 4096:
            _constants.clear()
        _constants[key] = held
    return Entry(lambda _: (concrete(held._buffer, held._address, held._layout),))


def make_constant(value: Any, dtype: DType) -> Any:
    """A 0-d tensor of a Python number."""
    layout = dense(dtype, ())
    buffer = allocate(layout.nbytes)
    write_bytes(buffer.address, number_bytes(value, dtype))
    return concrete(buffer, buffer.address, layout)


# control: the key of a sub-graph is its content, as each call traces it anew


def _region_key(params: dict[str, Any]) -> Any:
    return tuple(
        (name, fingerprint(value) if is_graph(value) else value) for name, value in params.items()
    )


# indices


def _checked_run(name: str, layouts: list[Any], axis: int, go_on: Run) -> Run:
    """Refuse indices outside of 0 … size-1 before the kernel clamps or drops them."""
    size = layouts[0].shape[axis]
    indices = layouts[1]
    kind = layouts[0].type
    extremes: Run | None = None

    def run(operands: Any) -> Any:
        nonlocal extremes
        if extremes is None:
            extremes = program_run(_extremes_program(indices))
        low, high = (read_number(x) for x in extremes((operands[1],)))
        if low < 0 or high >= size:
            bad = low if low < 0 else high
            text = f"index {bad} is out of range for axis {axis} of {kind}, size {size}"
            fail(OutOfBoundsError, name, text)
        return go_on(operands)

    return run


def _extremes_program(indices: Layout) -> oneop.OneOp:
    """The least and the greatest element, in one program."""
    types, strides, sizes = oneop.symbolic([indices])
    builder = Builder(capture_source=False)
    x = builder.input(types[0])
    axes = tuple(range(indices.ndim))
    graph = builder.graph([builder.f.min(x, axes=axes), builder.f.max(x, axes=axes)], "extremes")
    key = ("extremes", types[0], strides[0])
    compiled = oneop.kept(key, lambda: compile_graph(graph, tuple(strides)))
    return oneop.bound(compiled, sizes)
