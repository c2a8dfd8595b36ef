"""Rows that a mask picks, the numbers of those rows, and rows put at indices, as programs."""

from __future__ import annotations

import functools
from collections.abc import Callable

from elinvar.codegen.selecting import placing_text, selecting_text
from elinvar.runtime import native, program, recording

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


def place_rows(
    itemsize: int, rows: int, width: int, count: int, step: int, inner: int
) -> Callable[..., None]:
    """A program (update, indices, target, wrong) that writes rows into a dense target.

    Args:
        itemsize: bytes of an element: 1, 2, 4 or 8.
        rows, width: the target's rows and their elements.
        count: how many indices (i64) there are; negative ones count from the end.
        step, inner: elements from row to row of the update, and within one (0 or 1).

    Where an index is out of bounds, the i64 `wrong` becomes 1 and nothing is written.

    Example:
        >>> import numpy as np
        >>> x, index, wrong = np.zeros(3, np.int64), np.array([-1, 0]), np.zeros(1, np.int64)
        >>> arrays = (np.array([5, 6]), index, x, wrong)
        >>> place_rows(8, 3, 1, 2, 1, 1)(*(a.__array_interface__["data"][0] for a in arrays))
        >>> x.tolist(), wrong.tolist()
        ([6, 0, 5], [0])
    """
    name = f"elinvar_place_{8 * itemsize}"
    slots: list[program.Slot] = [(place, 0) for place in range(4)]
    slots += [(-1, number) for number in (rows, width, count, step, inner)]
    launch = program.Launch(_placing(8 * itemsize, name), 1, slots)
    return program.make_program([launch], 4, release=count * width >= SMALL)


@functools.cache
def _placing(bits: int, name: str) -> int:
    return native.load(placing_text(name, bits), [name])[name]


def _program(bits: int | None, rows: int, step: int, width: int) -> Callable[..., None]:
    slots: list[program.Slot] = [(place, 0) for place in range(4)]
    slots += [(-1, number) for number in (rows, step, width)]
    launch = program.Launch(_kernel(bits), 1, slots)
    return recording.named_program("selection", [launch], 4, release=rows * width >= SMALL)


@functools.cache
def _kernel(bits: int | None) -> int:
    name = f"elinvar_select_{bits or 'numbers'}"
    return native.load(selecting_text(name, bits), [name])[name]
