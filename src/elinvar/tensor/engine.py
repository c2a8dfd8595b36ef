"""The seam between the tensor floor and the compiler: programs and memory.

    compile_graph(graph, layouts) -> Compiled;  Compiled.bind(sizes) -> Bound
    Bound.call(arena address, input addresses…, output addresses…), .arena_nbytes, .outputs
    allocate(nbytes) -> Buffer with .address
"""

from __future__ import annotations

import numpy as np

from elinvar.run.compile import Compiled, compile_graph


class Buffer:
    """Memory of a tensor."""

    __slots__ = ("__weakref__", "_owner", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        self._owner = np.empty(nbytes + 64, np.uint8)
        base = self._owner.__array_interface__["data"][0]
        self.address = (base + 63) & ~63
        self.nbytes = nbytes


def allocate(nbytes: int) -> Buffer:
    """New memory, aligned to 64 bytes."""
    return Buffer(nbytes)


__all__ = ["Buffer", "Compiled", "allocate", "compile_graph"]
