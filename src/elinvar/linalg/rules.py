"""Functions with a derivative of their own: one node of the tape, whatever runs inside.

    @differentiable(derive)
    def function(*tensors, **static): ...

`derive(operands, results, cotangents, **static)` is written with public operations over operands
and results that are on the tape, so derivatives of every order come from it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from elinvar.tensor.cell import Cell, current_trace, detached, state
from elinvar.tensor.custom import custom_vjp
from elinvar.tensor.dispatch import F
from elinvar.tensor.tape import no_grad, record_call

Derivative = Callable[..., Any]
MOST_ORDERS = 2  # of derivatives within `scan` and `cond`
_depth = threading.local()


def differentiable(derive: Derivative) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function of tensors the derivative `derive`.

    Args:
        derive: (operands, results, cotangents, **static) → one cotangent or None for each operand.
            Cotangents of results to which nothing flows are None.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__

        @functools.wraps(function)
        def wrapped(*operands: Any, **static: Any) -> Any:
            if not state.grad_enabled:
                return function(*operands, **static)
            trace = current_trace()
            if trace is not None and trace.is_region:
                return _in_region(function, derive, operands, static)
            if all(x._node is None for x in operands):
                return function(*operands, **static)
            with no_grad():
                found = function(*[detached(x) for x in operands], **static)
            single = isinstance(found, Cell)
            results = [detached(found)] if single else [detached(y) for y in found]

            def pull(operands: Any, results: Any, cotangents: Any) -> Any:
                return derive(operands, results, cotangents, **static)

            record_call(name, pull, operands, results)
            return results[0] if single else tuple(results)

        return wrapped

    return decorate


def _in_region(function: Any, derive: Derivative, operands: Any, static: Any) -> Any:
    """In the functions of `scan` and `cond`, which are differentiated as graphs.

    The rule is traced with the function. Rules solve systems, whose rules solve systems: below
    MOST_ORDERS of them a function has none, and says so when it is differentiated.
    """
    depth = getattr(_depth, "value", 0)

    def body(*xs: Any) -> Any:
        return function(*xs, **static)

    body.__name__ = function.__name__
    inner = custom_vjp(body)

    def forward(*xs: Any) -> Any:
        found = function(*xs, **static)
        return found, (xs, found)

    def pull_back(residuals: Any, cotangents: Any) -> Any:
        xs, found = residuals
        single = isinstance(found, Cell)
        results = (found,) if single else tuple(found)
        given = (cotangents,) if single else tuple(cotangents)
        return tuple(derive(xs, results, given, **static))

    if depth < MOST_ORDERS:
        inner.defvjp(forward, pull_back)
    _depth.value = depth + 1
    try:
        return inner(*operands)
    finally:
        _depth.value = depth


def is_wanted(x: Any) -> bool:
    """Whether an operand's cotangent may be asked for; under a trace what is not is left out."""
    return x._node is not None or current_trace() is not None


def zeros_where_none(cotangents: Any, results: Any) -> list[Any]:
    """The cotangents, zeros where nothing flows."""
    return [F.zeros_like(y) if g is None else g for g, y in zip(cotangents, results, strict=True)]
