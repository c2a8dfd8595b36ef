"""The seam between the tensor floor and the compiler: programs and memory.

compile_graph(graph, layouts) -> Compiled;  Compiled.bind(sizes) -> Bound
Bound.call(arena address, input addresses…, output addresses…), .arena_nbytes, .outputs
allocate(nbytes) -> Buffer with .address; allocator() is the same function, bare
"""

from __future__ import annotations

from elinvar.run.compile import Compiled, compile_graph
from elinvar.run.memory import Buffer, allocate, allocator

__all__ = ["Buffer", "Compiled", "allocate", "allocator", "compile_graph"]
