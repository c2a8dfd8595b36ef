"""debug_nans: switch the watch for NaNs on and off."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Self, TypeVar, overload

from elinvar.core.errors import DTypeError, fail
from elinvar.tensor.cell import traces
from elinvar.tensor.watching import watch

P = ParamSpec("P")
R = TypeVar("R")


class DebugMode:
    """What `debug_nans` returns: a context manager and a decorator."""

    def __init__(self, enabled: bool, inf: bool) -> None:
        self._wanted = (enabled, inf)
        self._before: list[tuple[bool, bool]] = []
        self._first: tuple[bool, bool] | None = None

    def switch(self) -> Self:
        """Count at once; `with` then restores what was before."""
        self._first = _switch(self._wanted)
        return self

    def __enter__(self) -> None:
        before = _switch(self._wanted)
        first, self._first = self._first, None
        self._before.append(before if first is None else first)

    def __exit__(self, *_: object) -> None:
        _switch(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if self._first is not None:  # as a decorator, it counts in calls alone
            _switch(self._first)
            self._first = None

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with DebugMode(*self._wanted):
                return function(*args, **kwargs)

        return wrapped


@overload
def debug_nans(enabled: Callable[P, R], *, inf: bool = False) -> Callable[P, R]: ...
@overload
def debug_nans(enabled: bool | None = None, *, inf: bool = False) -> DebugMode: ...
def debug_nans(enabled: Any = None, *, inf: bool = False) -> Any:
    """Find where a NaN is born: within, an operation that makes one raises `BadValueError`.

    A NaN is born where an operation's result has one and its operands have none. The error names
    the operation and its operands' types, where the bad values stand and what they were made of,
    the user's line, the module's path, and what the operation is a part of: a jitted function, a
    backward, an iteration of a loop. A jitted function raises before it changes anything, so
    weights are still those that made the NaN.

    It works as a context manager, as a decorator, and as a switch for the whole process
    (`el.debug_nans(True)`, `el.debug_nans(False)`). Off, it costs nothing.

    Args:
        enabled: on or off; given, it counts at once, and `with` restores what was before.
        inf: look for infinities, too: where a result is infinite and the operands are finite.

    Raises:
        BadValueError: an operation made a NaN (or an infinity).

    Example:
        >>> import elinvar as el
        >>> with el.debug_nans():
        ...     el.log(el.asarray([1.0, -2.0]))
        Traceback (most recent call last):
        elinvar.core.errors.BadValueError: [log] makes NaN: 1 of 2 values, the first at [1]...
        >>> el.log(el.asarray([1.0, -2.0])).tolist()
        [0.0, nan]
    """
    mode = DebugMode(enabled is not False, bool(inf))
    if enabled is None:
        return mode
    if isinstance(enabled, bool):
        return mode.switch()
    if not callable(enabled):
        text = f"expected True, False or a function, received {enabled!r}"
        fail(DTypeError, "debug_nans", text, "write `with el.debug_nans():`")
    return mode(enabled)


def _switch(wanted: tuple[bool, bool]) -> tuple[bool, bool]:
    """Turn the watch on or off, for (NaN, infinities); gives what was before."""
    before = (watch.on, watch.infs)
    on, infs = wanted
    if on != watch.on:
        traces.add(1 if on else -1)
    watch.on, watch.infs = on, on and infs
    return before
