"""Fused groups as LLVM functions: the choice of the kernel."""

from __future__ import annotations

from elinvar.codegen.columns import WORTH_TWO_LAUNCHES, ColumnKernel
from elinvar.codegen.maps import MapKernel
from elinvar.codegen.numerics import EXACT, Numerics
from elinvar.codegen.reducing import RowKernel, TileKernel
from elinvar.codegen.walking import Walker
from elinvar.core.shapes import Shape, size
from elinvar.kernels.cluster import FEW_ROWS
from elinvar.kernels.group import Group
from elinvar.kernels.pull import is_reduction, squeeze


def fused_kernel(
    group: Group, strides: tuple[Shape | None, ...], numerics: Numerics = EXACT
) -> Walker:
    """The kernel of a group. `strides`: per region input, None for dense row-major."""
    if group.kind == "map":
        return MapKernel(group, strides)
    if group.kind == "column":
        return ColumnKernel(group, strides, numerics)
    return (TileKernel if _has_few_rows(group) else RowKernel)(group, strides, numerics)


def _has_few_rows(group: Group) -> bool:
    """Whether there are too few rows to share among threads, and long ones.

    The tiles of a row can then be summed one by one, if nothing needs a row's result.
    """
    rows = size(n for axis, n in enumerate(group.space) if axis not in group.axes)
    total = size(group.space)
    if not isinstance(rows, int) or rows >= FEW_ROWS:
        return False
    if isinstance(total, int) and total < WORTH_TWO_LAUNCHES:
        return False
    reductions = [node for node in group.region.nodes if is_reduction(node)]
    results = {value for node in reductions for value in node.results}
    if any(operand in results for node in group.region.nodes for operand in node.operands):
        return False
    return all(
        value in results or squeeze(value.shape) == group.space for value in group.region.outputs
    )
