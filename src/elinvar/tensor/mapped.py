"""The trace of a function that `vmap` maps: its stand-ins are single examples.

A `MappedTrace` is found by name by the operations along named axes, and by the random generators,
which ask what `randomness` says. It looks outwards through the traces that are open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from elinvar.core.shapes import DimLike
from elinvar.core.source import running_modules
from elinvar.ops import named
from elinvar.tensor.cell import current_trace
from elinvar.tensor.dispatch import apply
from elinvar.tensor.trace import Trace

_numbers = itertools.count(1 << 32)  # no axis of an array has such a number


class MappedTrace(Trace):
    """One run of a function on stand-ins for one example.

    Attributes:
        size: how many examples there are.
        axis_name: what the mapped axis is called inside, or None.
        randomness: "error", "same" or "different".
        number: tells the axis from all others in the graph.
        is_collective: whether examples heard of each other.
    """

    axis_name: Any
    randomness: str
    size: DimLike
    number: int

    def __init__(self, purpose: str, size: DimLike, axis_name: Any, randomness: str) -> None:
        outer = current_trace()
        self.is_mapped = True
        super().__init__(purpose, region=outer is not None and outer.is_region)
        self.size, self.axis_name, self.randomness = size, axis_name, randomness
        self.number = next(_numbers)
        self.is_collective = False
        self.writers: dict[int, Any] = {}  # the modules that rebound tensors from outside

    def __enter__(self) -> MappedTrace:
        super().__enter__()
        return self

    def write(self, cell: Any, value: Any) -> None:
        """Rebind a tensor; remember which module did it, for errors."""
        super().write(cell, value)
        if id(cell) in self.captured and running_modules.stack:
            self.writers.setdefault(id(cell), running_modules.stack[-1])

    def name_of(self, cell: Any) -> str:
        """What the module that wrote a tensor calls it; empty where no module did."""
        module = self.writers.get(id(cell))
        for name, value in vars(module).items() if module is not None else ():
            if value is cell:
                return f"{type(module).__name__}.{name}"
        return ""

    def index(self) -> Any:
        """The place of the running example along the mapped axis: int64, 0-d."""
        return apply(named.NAMED_INDEX, (), {"axis": self.number})


def mapped_traces() -> Iterator[MappedTrace]:
    """The mapped traces that are open on this thread, the innermost first."""
    trace = current_trace()
    while trace is not None:
        if isinstance(trace, MappedTrace):
            yield trace
        trace = trace._parents[-1] if trace._parents else None
