"""The seam between the tensor floor and the compiler: programs and memory.

compile_graph(graph, layouts, …, numerics) -> Compiled;  Compiled.bind(sizes) -> Bound
Bound.call(arena address, input addresses…, output addresses…), .arena_nbytes, .outputs
strided_copy(itemsize, shape, source strides, target strides) -> call(source, target)
select_rows, select_numbers -> call(source, mask, target, count); place_rows -> call(update,
indices, target, wrong)
allocate(nbytes) -> Buffer with .address; allocator() is the same function, bare
"""

from __future__ import annotations

from elinvar.runtime.compile import NUMERICS, Compiled, compile_graph
from elinvar.runtime.memory import Buffer, allocate, allocator
from elinvar.runtime.selecting import place_rows, select_numbers, select_rows
from elinvar.runtime.strided import strided_copy

__all__ = [
    "NUMERICS",
    "Buffer",
    "Compiled",
    "allocate",
    "allocator",
    "compile_graph",
    "place_rows",
    "select_numbers",
    "select_rows",
    "strided_copy",
]
