"""Kernels of the CPU compiler for whole factorizations.

    known("lu", loops, (x,))

`loops` says what is computed, in operations: other engines run it, and complex matrices. For real
ones on the CPU the compiler has a kernel by this name, which works through one matrix after the
other in its cache (`codegen/lower_matrices.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.dtypes import float32, float64
from elinvar.tensor.control import Region
from elinvar.tensor.dispatch import F


def known(kernel: str, loops: Callable[..., Any], matrices: tuple[Any, ...]) -> Any:
    """`loops(*matrices)`, stacks with equal leading axes; by a kernel where there is one."""
    first = matrices[0]
    is_alike = all(x.dtype is first.dtype and x.shape[:-2] == first.shape[:-2] for x in matrices)
    if first.dtype not in (float32, float64) or not is_alike:
        return loops(*matrices)
    types = [x._type for x in matrices]
    body = Region(kernel, loops, types, lambda stand_ins: stand_ins)
    graph = body.graph(body.inputs, body.outputs)
    count = len(matrices)
    return F.custom(
        *matrices, body=graph, derivative=graph, mode="none", moving=count, kernel=kernel
    )
