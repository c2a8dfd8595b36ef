"""disable_jit: jitted functions and control flow as plain Python, to print and to stop inside."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from elinvar.tensor.cell import current_trace, state, traces

P = ParamSpec("P")
R = TypeVar("R")


class disable_jit:
    """Run jitted functions and control flow operation by operation, to see values inside.

    Within, `el.jit` calls the function itself, and `cond`, `switch`, `scan`, `map`, `fori_loop` and
    `while_loop` are Python's own branches and loops: `print`, `float(x)`, a debugger's breakpoint
    see numbers, and an error has the step's line. All bits are the same as compiled ones. Inside
    of `vmap` nothing changes, as there all examples run at once.

    A context manager, and a decorator; it holds for the running thread.

    Args:
        enabled: False lets an inner block compile again.

    Example:
        >>> import elinvar as el
        >>> @el.jit
        ... def total(x):
        ...     def step(carry, row):
        ...         print(float(carry))
        ...         return carry + row, None
        ...     return el.scan(step, 0.0, x)[0]
        >>> with el.disable_jit():
        ...     total(el.asarray([1.0, 2.0, 3.0])).item()
        0.0
        1.0
        3.0
        6.0
    """

    def __init__(self, enabled: bool = True) -> None:
        self._wanted = bool(enabled)
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(state.by_steps)
        _switch(self._wanted)

    def __exit__(self, *_: object) -> None:
        _switch(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with disable_jit(self._wanted):
                return function(*args, **kwargs)

        return wrapped


def _switch(wanted: bool) -> None:
    if wanted != state.by_steps:
        traces.add(1 if wanted else -1)
    state.by_steps = wanted


def by_steps() -> bool:
    """Whether control flow runs as Python here: what is traced must stay an operation."""
    return state.by_steps and current_trace() is None
