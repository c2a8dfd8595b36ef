"""Functions with a derivative of their own: custom_vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from elinvar.core import tree
from elinvar.core.errors import GradientError, fail
from elinvar.tensor.cell import Cell, current_trace, detached, state
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.tape import record_call

R = TypeVar("R")
Xs = TypeVarTuple("Xs")
Aux = TypeVar("Aux")


class custom_vjp(Generic[*Xs, R]):
    """A function with a derivative of its own.

    Args:
        function: of tensors (or containers of them), gives a tensor or a container.

    `defvjp(forward, pull_back)`: `forward(*args)` gives (result, residuals), `pull_back(residuals,
    cotangent)` one cotangent (or None) for each argument.

    Example:
        >>> import elinvar as el
        >>> @el.custom_vjp
        ... def straight(x):
        ...     return el.round(x)
        >>> straight.defvjp(lambda x: (el.round(x), None), lambda residuals, g: (g,))
        >>> el.grad(lambda x: straight(x).sum())(el.asarray([0.3, 1.7])).tolist()
        [1.0, 1.0]
    """

    def __init__(self, function: Callable[[Unpack[Xs]], R]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._forward: Any = None
        self._pull_back: Any = None

    def defvjp(
        self,
        forward: Callable[[Unpack[Xs]], tuple[R, Aux]],
        pull_back: Callable[[Aux, R], tuple[Any, ...]],
    ) -> None:
        """Set the derivative; see the class."""
        self._forward, self._pull_back = forward, pull_back

    def __call__(self, *args: *Xs) -> R:
        leaves = tree.flatten(args)[0]
        operands = [leaf for leaf in leaves if isinstance(leaf, Cell)]
        name = getattr(self.function, "__name__", "custom_vjp")
        if not state.grad_enabled or all(x._node is None for x in operands):
            return self.function(*args)
        if self._forward is None:
            fail(GradientError, name, "has no derivative yet", "call `.defvjp(forward, pull_back)`")
        trace = current_trace()
        if trace is not None:
            trace.refuse_region(name, "a function with a derivative of its own")
        result, residuals = self._forward(*args)
        outputs, result_structure = tree.flatten(result)
        results = [detached(as_tensor(y)) for y in outputs]

        def derive(held: Any, made: Any, cotangents: Any) -> list[Any]:
            filled = [
                F.zeros_like(y) if c is None else c for y, c in zip(made, cotangents, strict=True)
            ]
            found = self._pull_back(residuals, tree.unflatten(result_structure, filled))
            return self._per_operand(name, found, args)

        record_call(name, derive, operands, results)
        return tree.unflatten(result_structure, results)

    def _per_operand(self, name: str, found: Any, args: Any) -> list[Any]:
        """The cotangents of the tensors among the arguments."""
        if not isinstance(found, tuple) or len(found) != len(args):
            text = f"the derivative must return a tuple with {len(args)} entries"
            fail(GradientError, name, text)
        result: list[Any] = []
        for arg, given in zip(args, found, strict=True):
            inside = tree.flatten(arg)[0]
            parts = [None] * len(inside) if given is None else _parts(given, len(inside))
            result += [
                part for part, leaf in zip(parts, inside, strict=True) if isinstance(leaf, Cell)
            ]
        return result


def _parts(given: Any, count: int) -> list[Any]:
    parts = tree.flatten(given)[0]
    if len(parts) != count:
        fail(GradientError, "custom_vjp", f"expected {count} cotangents, received {len(parts)}")
    return parts
