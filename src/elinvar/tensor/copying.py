"""Writing elements into a part of some memory: whither is an address, so no program knows a place.

`copy_call(target, source)` gives a program for two layouts, kept for the next time; a loop over all
positions of a tensor runs one program. `holds_alone` says whether memory may be written to at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from sys import getrefcount
from typing import Any

from elinvar.tensor.cell import Cell
from elinvar.tensor.engine import allocate, strided_copy
from elinvar.tensor.layout import Layout

Copy = Callable[[int, int], None]

MOST_KEPT = 4096
_copies: dict[tuple[Layout, Layout], Copy | None] = {}


def copy_call(target: Layout, source: Layout) -> Copy | None:
    """A program (source address, target address) that copies between layouts of the same dtype.

    The source broadcasts to the target's shape; both shapes were checked. None where there is
    nothing to copy.
    """
    try:
        return _copies[target, source]
    except KeyError:
        pass
    call = None
    if target.size:
        extra = target.ndim - source.ndim
        steps = (0,) * extra + tuple(
            0 if old == 1 else stride
            for old, stride in zip(source.shape, source.strides, strict=True)
        )
        call = strided_copy(target.dtype.itemsize, target.shape, steps, target.strides)
    if len(_copies) >= MOST_KEPT:
        _copies.clear()
    _copies[target, source] = call
    return call


# ---- who holds memory ---------------------------------------------------------------------------


class _Alone:
    """What `getrefcount(x._buffer)` says of memory that one tensor holds; -1: it cannot say."""

    __slots__ = ("count", "kind")

    def __init__(self) -> None:
        self.count = -1
        self.kind: Any = None

    def measure(self) -> None:
        """Look how this interpreter counts; where it does not, or counts late, write to nothing."""
        one, other = Cell(), Cell()
        one._buffer = allocate(1)
        alone = getrefcount(one._buffer)
        other._buffer = one._buffer
        both = getrefcount(one._buffer)
        self.kind = type(one._buffer)
        has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
        self.count = alone if both == alone + 1 and has_lock else -1


_alone = _Alone()


def holds_alone(x: Any) -> bool:
    """Whether nothing but this tensor holds its memory: no view, tape, array, program or capsule.

    Every holder keeps a reference to the buffer, and Python counts them. Memory of others (of a
    numpy array, of another library) is never the tensor's alone.
    """
    if _alone.kind is None:
        _alone.measure()
    return (
        getrefcount(x._buffer) == _alone.count
        and type(x._buffer) is _alone.kind
        and x._buffer.owner is None
    )
