"""Fused groups as LLVM functions: elementwise kernels, and the choice of the kernel by kind."""

from __future__ import annotations

from elinvar.codegen.reducing import ColumnKernel, RowKernel
from elinvar.codegen.walking import LANES, Geometry, Walker
from elinvar.core.shapes import Shape, size
from elinvar.kernels.group import Group


class MapKernel(Walker):
    """Computes every element on its own."""

    def _loops(self) -> Geometry:
        variables = self.outer
        if not variables:
            with self.body.loop("%begin", "%end", hint="task"):
                for value in self.group.region.outputs:
                    self._store(value)
            return Geometry(1, 1, 1, 0)
        last = variables[-1]
        rows = size(v.extent for v in variables[:-1])
        for row, low, high in self._tasks(rows, last.extent, True):
            self._set_row(row, variables[:-1])
            lanes = (
                LANES
                if not isinstance(last.extent, int) or last.extent > 2 * LANES
                else last.extent
            )
            for _ in self._lanes(last, low, high, max(lanes, 1), True):
                for value in self.group.region.outputs:
                    self._store(value)
        return Geometry(rows, last.extent, last.extent, 64)


_KINDS: dict[str, type[Walker]] = {"map": MapKernel, "row": RowKernel, "column": ColumnKernel}


def fused_kernel(group: Group, strides: tuple[Shape | None, ...]) -> Walker:
    """The kernel of a group. `strides`: per region input, None for dense row-major."""
    return _KINDS[group.kind](group, strides)
