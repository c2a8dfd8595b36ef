"""Copies between places of any strides, as programs: one kernel per element size serves them all.

What is copied whither is given by two addresses at each call, so a program fits every position of
a window in an array: it depends on the window's shape and on the strides of both sides alone.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence

import numpy as np

from elinvar.codegen.strided import strided_text
from elinvar.runtime import native, program, recording

SMALL_COPY = 1 << 15  # below this many elements, a copy stays on the calling thread
TASK = 1 << 14  # elements of a task
MOST_INNER = 1 << 14  # neighbours in one task


def strided_copy(
    itemsize: int, shape: Sequence[int], source: Sequence[int], target: Sequence[int]
) -> Callable[[int, int], None]:
    """A program (source address, target address) that copies an array of `shape`.

    Args:
        itemsize: bytes of an element: 1, 2, 4 or 8.
        shape: sizes, none of them 0.
        source, target: strides in elements. The two places must not overlap, and no two elements
            of the target may share memory.

    Example:
        >>> import numpy as np
        >>> x, y = np.arange(3, dtype=np.int32), np.zeros((3, 2), np.int32)
        >>> at = lambda array: array.__array_interface__["data"][0]
        >>> strided_copy(4, (3,), (1,), (2,))(at(x), at(y) + 4)
        >>> y.tolist()
        [[0, 0], [0, 1], [0, 2]]
    """
    axes = _merged(shape, source, target)
    inner = axes.pop() if axes else (1, 1, 1)
    middle = axes.pop() if axes else (1, 0, 0)
    table = np.array(axes, dtype=np.int64).reshape(-1)
    rows = middle[0]
    for count, _, _ in axes:
        rows *= count
    total = rows * inner[0]
    block = min(inner[0], MOST_INNER)
    rows_of_task = min(max(1, TASK // block), rows)
    tasks = -(-rows // rows_of_task) * -(-inner[0] // block)
    numbers = (len(axes), *middle, *inner, rows, rows_of_task, block)
    slots: list[program.Slot] = [(0, 0), (1, 0), (-1, table.__array_interface__["data"][0])]
    slots += [(-1, number) for number in numbers]
    is_large = total >= SMALL_COPY
    launch = program.Launch(_kernel(8 * itemsize), tasks, slots, is_large and tasks > 1)
    call = recording.named_program("strided copy", [launch], 2, release=is_large)
    if axes:  # the table lives as long as the program
        weakref.finalize(call, _forget, table).atexit = False
    return call


def _forget(table: object) -> None:
    """The finalizer's hold on the table is what keeps it."""


@functools.cache
def _kernel(bits: int) -> int:
    name = f"elinvar_strided_{bits}"
    return native.load(strided_text(name, bits), [name])[name]


def _merged(
    shape: Sequence[int], source: Sequence[int], target: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(size, source step, target step) of the axes: the target's smallest step last; neighbours
    that both sides walk as one are joined, axes of size 1 left out."""
    rows = [row for row in zip(shape, source, target, strict=True) if row[0] != 1]
    rows.sort(key=lambda row: -abs(row[2]))
    merged: list[tuple[int, int, int]] = []
    for count, read, write in rows:
        if merged and merged[-1][1] == read * count and merged[-1][2] == write * count:
            merged[-1] = (merged[-1][0] * count, read, write)
        else:
            merged.append((count, read, write))
    return merged
