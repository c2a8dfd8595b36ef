"""One-op programs: which graph to compile for one operation, so that few programs serve all sizes.

Elementwise operations see their operands as few axes as possible: neighbouring axes that all
operands walk as one are merged. Sizes become symbols d0, d1, …; strides that are neither 0 nor 1
become symbols s0_1, …; so the program depends on the op, its params, the dtypes and the pattern.
Other operations keep their axes (a reduction's order depends on the logical shape); equal sizes
share a symbol, 0 and 1 stay numbers. Where an operation needs sizes as numbers, shapes are static.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import ElinvarError
from elinvar.core.shapes import Dim
from elinvar.core.types import TensorType
from elinvar.graph.ir import Builder, result_types
from elinvar.ops.record import Op
from elinvar.ops.table import BY_NAME
from elinvar.tensor.engine import Compiled, compile_graph
from elinvar.tensor.layout import Layout, dense

OneOp = tuple[Any, int, list[tuple[int, Layout]]]  # call, arena_nbytes, (nbytes, layout) of results

MOST_COMPILED = 8192
_compiled: dict[Any, Compiled] = {}

# params that are sizes: they take the symbols of equal sizes among the operands
_SIZE_PARAMS = {
    "attention": ("offset",),
    "attention_backward": ("offset",),
    "fold": ("shape",),
    "iota": ("size",),
    "random_bits": ("shape",),
}


def kept(key: Any, compile_: Callable[[], Compiled]) -> Compiled:
    """The compiled graph of a key."""
    found = _compiled.get(key)
    if found is None:
        found = compile_()
        if len(_compiled) >= MOST_COMPILED:
            _compiled.clear()
        _compiled[key] = found
    return found


def bound(compiled: Compiled, sizes: dict[str, int], shapes: Any = None) -> OneOp:
    """The program for given sizes; `shapes` replaces the results' shapes by the logical ones."""
    program = compiled.bind(sizes)
    outputs = []
    for number, output in enumerate(program.outputs):
        shape = tuple(output.shape) if shapes is None else shapes[number]
        outputs.append((output.nbytes, dense(output.dtype, shape)))
    call = program.call if any(nbytes for nbytes, _ in outputs) else None
    return call, program.arena_nbytes, outputs


def one_op_program(op: Op, layouts: list[Layout], params: dict[str, Any]) -> OneOp:
    """The program that runs `op` on operands of these layouts."""
    if op.family == "elementwise" and layouts:
        return elementwise_program(op, layouts, params)
    return _general_program(op, layouts, params)


def copy_program(layouts: list[Layout]) -> OneOp:
    """The program that copies a tensor into dense row-major memory."""
    return elementwise_program(BY_NAME["stop_gradient"], layouts, {})


# elementwise


def collapse(layouts: list[Layout]) -> tuple[list[int], list[list[int]]]:
    """Sizes, and strides per operand, after merging axes that all operands walk as one.

    Example:
        >>> from elinvar.core.dtypes import float32
        >>> collapse([dense(float32, (2, 3, 4))])
        ([24], [[1]])
    """
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in layouts]
    for axis, size in enumerate(layouts[0].shape):
        if size == 1:
            continue
        steps = [layout.strides[axis] for layout in layouts]
        if sizes and all(s[-1] == step * size for s, step in zip(strides, steps, strict=True)):
            sizes[-1] *= size
            for s, step in zip(strides, steps, strict=True):
                s[-1] = step
        else:
            sizes.append(size)
            for s, step in zip(strides, steps, strict=True):
                s.append(step)
    if not sizes:
        return [1], [[1] for _ in layouts]
    return sizes, strides


def elementwise_program(op: Op, layouts: list[Layout], params: dict[str, Any]) -> OneOp:
    """The program of an elementwise op."""
    shape = layouts[0].shape
    results = result_types(op, [layout.type for layout in layouts], params)
    if 0 in shape:
        return None, 0, [(0, dense(kind.dtype, shape)) for kind in results]
    sizes, strides = collapse(layouts)
    values = {f"d{axis}": size for axis, size in enumerate(sizes)}
    dims = symbols(len(sizes))
    patterns: list[Any] = []
    for number, steps in enumerate(strides):
        patterns.append(stride_pattern(number, sizes, steps, values))
    dtypes = tuple(layout.dtype for layout in layouts)
    key = (op, tuple(params.items()), dtypes, len(sizes), tuple(patterns))
    if key not in _compiled:
        builder = Builder(capture_source=False)
        inputs = tuple(builder.input(TensorType(dtype, dims)) for dtype in dtypes)
        graph = builder.graph(builder.add(op, inputs, params), op.name)
        kept(key, lambda: compile_graph(graph, tuple(patterns)))
    return bound(_compiled[key], values, [shape for _ in results])


def symbols(count: int) -> tuple[Dim, ...]:
    """The sizes d0, d1, …"""
    return tuple(Dim(f"d{axis}") for axis in range(count))


def stride_pattern(
    number: int, sizes: list[int], steps: list[int], values: dict[str, int]
) -> tuple[Any, ...] | None:
    """None for dense; else each stride as 0, 1 or a symbol whose value goes into `values`."""
    step = 1
    for axis in reversed(range(len(sizes))):
        if steps[axis] != step:
            break
        step *= sizes[axis]
    else:
        return None
    pattern: list[Any] = []
    for axis, stride in enumerate(steps):
        if stride in (0, 1):
            pattern.append(stride)
        else:
            name = f"s{number}_{axis}"
            values[name] = stride
            pattern.append(Dim(name))
    return tuple(pattern)


# all other families


def symbolic(
    layouts: list[Layout], literal: Callable[[int, int], bool] = lambda operand, axis: False
) -> tuple[list[TensorType], list[Any], dict[str, int]]:
    """Types and strides with symbols, and the symbols' values. `literal` axes keep their size."""
    names: dict[int, Dim] = {}
    values: dict[str, int] = {}
    types: list[TensorType] = []
    strides: list[Any] = []
    for number, layout in enumerate(layouts):
        shape: list[Any] = []
        for axis, size in enumerate(layout.shape):
            if size <= 1 or literal(number, axis):
                shape.append(size)
                continue
            if size not in names:
                names[size] = Dim(f"d{len(names)}", min=2)
                values[f"d{len(values)}"] = size
            shape.append(names[size])
        types.append(TensorType(layout.dtype, tuple(shape)))
    for number, layout in enumerate(layouts):
        pattern = None
        if not layout.is_dense:
            pattern = stride_pattern(number, list(layout.shape), list(layout.strides), values)
        strides.append(pattern)
    return types, strides, values


def _general_program(op: Op, layouts: list[Layout], params: dict[str, Any]) -> OneOp:
    if op.family != "control":
        try:
            types, strides, values = symbolic(layouts, literal_axes(op, params))
            return bound(_compile(op, types, strides, with_symbols(op, params, values)), values)
        except ElinvarError:
            pass  # the op needs its sizes as numbers
    strides = [None if layout.is_dense else layout.strides for layout in layouts]
    return bound(_compile(op, [layout.type for layout in layouts], strides, params), {})


def literal_axes(op: Op, params: dict[str, Any]) -> Callable[[int, int], bool]:
    """Which axes of which operands keep their sizes as numbers."""
    if op.name == "convolution":  # kernels are made for the channels and windows at hand
        return lambda operand, axis: operand == 1 or axis > 0
    if op.name in ("attention", "attention_backward"):  # heads of keys divide those of queries
        return lambda operand, axis: axis == 1
    if op.name in ("fft", "rfft", "irfft"):  # stages are made for a length
        return lambda operand, axis: axis == params["axis"]
    return lambda operand, axis: False


def with_symbols(op: Op, params: dict[str, Any], values: dict[str, int]) -> dict[str, Any]:
    names = {size: Dim(name, min=2) for name, size in values.items() if name.startswith("d")}

    def replace(size: Any) -> Any:
        if isinstance(size, tuple):
            return tuple(replace(item) for item in size)
        if not isinstance(size, int) or size <= 1:
            return size
        if size not in names:
            names[size] = Dim(f"d{len(names)}", min=2)
            values[f"d{len(names) - 1}"] = size
        return names[size]

    wanted = _SIZE_PARAMS.get(op.name, ())
    return {name: replace(v) if name in wanted else v for name, v in params.items()}


def _compile(op: Op, types: Any, strides: Any, params: dict[str, Any]) -> Compiled:
    key: Any = None
    if op.family != "control":  # sub-graphs are new objects each time; eager.py keeps the entry
        key = (op, tuple(params.items()), tuple(types), tuple(strides))
        found = _compiled.get(key)
        if found is not None:
            return found
    builder = Builder(capture_source=False)
    inputs = tuple(builder.input(kind) for kind in types)
    graph = builder.graph(builder.add(op, inputs, params), op.name)
    if key is None:
        return compile_graph(graph, tuple(strides))
    return kept(key, lambda: compile_graph(graph, tuple(strides)))
