"""How a graph becomes something callable: the seam between the tensor floor and the compiler.

`compile_graph(graph, layouts)` gives a Compiled; `.bind(sizes)` a Bound with

    call(arena address, input addresses…, output addresses…), arena_nbytes, outputs

Each output is (dtype, shape, nbytes) and dense.
"""

from __future__ import annotations

import numpy as np

from elinvar.run.compile import Bound, Compiled, compile_graph


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


__all__ = ["Bound", "Buffer", "Compiled", "allocate", "compile_graph"]
