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


class debug_nans:
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

    @overload
    def __new__(cls, enabled: Callable[P, R], *, inf: bool = False) -> Callable[P, R]: ...  # type: ignore[misc]
    @overload
    def __new__(cls, enabled: bool | None = None, *, inf: bool = False) -> Self: ...
    def __new__(cls, enabled: Any = None, *, inf: bool = False) -> Any:
        mode = super().__new__(cls)
        if enabled is None or isinstance(enabled, bool):
            return mode
        if not callable(enabled):
            text = f"expected True, False or a function, received {enabled!r}"
            fail(DTypeError, "debug_nans", text, "write `with el.debug_nans():`")
        mode.__init__(inf=inf)  # type: ignore[misc]
        return mode(enabled)

    def __init__(self, enabled: bool | None = None, *, inf: bool = False) -> None:
        self._wanted = (enabled is None or enabled, bool(inf))
        self._before: list[tuple[bool, bool]] = []
        self._first: tuple[bool, bool] | None = None
        if enabled is not None:
            self._first = _switch(self._wanted)

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
        enabled, inf = self._wanted

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            mode = debug_nans(inf=inf)
            mode._wanted = (enabled, inf)
            with mode:
                return function(*args, **kwargs)

        return wrapped


def _switch(wanted: tuple[bool, bool]) -> tuple[bool, bool]:
    """Turn the watch on or off, for (NaN, infinities); gives what was before."""
    before = (watch.on, watch.infs)
    on, infs = wanted
    if on != watch.on:
        traces.add(1 if on else -1)
    watch.on, watch.infs = on, on and infs
    return before
