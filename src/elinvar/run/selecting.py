"""Rows that a mask picks, and the numbers of those rows, as programs."""

from __future__ import annotations

import functools
from collections.abc import Callable

from elinvar.codegen.selecting import selecting_text
from elinvar.run import native, program, recording

SMALL = 1 << 15  # below this many elements, a program keeps the interpreter lock


def select_rows(itemsize: int, rows: int, step: int, width: int) -> Callable[..., None]:
    """A program (source, mask, target, count): rows whose mask byte is set, side by side.

    Args:
        itemsize: bytes of an element: 1, 2, 4 or 8.
        rows: how many the source has; the target has room for one more.
        step: elements from row to row of the source.
        width: elements of a row, which are neighbours.

    Example:
        >>> import numpy as np
        >>> x, mask = np.array([5, 6, 7], np.int64), np.array([True, False, True])
        >>> found, count = np.zeros(4, np.int64), np.zeros(1, np.int64)
        >>> arrays = (x, mask, found, count)
        >>> select_rows(8, 3, 1, 1)(*(a.__array_interface__["data"][0] for a in arrays))
        >>> found[: count[0]].tolist()
        [5, 7]
    """
    return _program(8 * itemsize, rows, step, width)


def select_numbers(rows: int) -> Callable[..., None]:
    """A program (any address, mask, target, count): the numbers of the rows whose byte is set."""
    return _program(None, rows, 0, 1)


def _program(bits: int | None, rows: int, step: int, width: int) -> Callable[..., None]:
    slots: list[program.Slot] = [(place, 0) for place in range(4)]
    slots += [(-1, number) for number in (rows, step, width)]
    launch = program.Launch(_kernel(bits), 1, slots)
    return recording.named_program("selection", [launch], 4, release=rows * width >= SMALL)


@functools.cache
def _kernel(bits: int | None) -> int:
    name = f"elinvar_select_{bits or 'numbers'}"
    return native.load(selecting_text(name, bits), [name])[name]
