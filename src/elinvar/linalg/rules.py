"""Functions with a derivative of their own: one node of the tape, whatever runs inside.

    @differentiable(derive)
    def function(*tensors, **static): ...

`derive(operands, results, cotangents, **static)` is written with public operations over operands
and results that are on the tape, so derivatives of every order come from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from elinvar.core.errors import GradientError, fail
from elinvar.tensor.cell import Cell, current_trace, detached, state
from elinvar.tensor.dispatch import F
from elinvar.tensor.tape import no_grad, record_call

Derivative = Callable[..., Any]


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
            if not state.grad_enabled or all(x._node is None for x in operands):
                return function(*operands, **static)
            trace = current_trace()
            if trace is not None and trace.is_region:
                text = f"has no derivative inside of the functions of `{trace.purpose}`"
                fail(GradientError, name, text, "take its derivative outside, or unroll the loop")
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


def zeros_where_none(cotangents: Any, results: Any) -> list[Any]:
    """The cotangents, zeros where nothing flows."""
    return [F.zeros_like(y) if g is None else g for g, y in zip(cotangents, results, strict=True)]
