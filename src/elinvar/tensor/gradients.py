"""Reverse mode for users: grad, value_and_grad and vjp.

They run over the tape: the function is called on fresh tensors linked to the arguments, and
backward collects the gradients of just these. So they nest in each other, with `backward()`, with
jit inside and outside, and see through composites and control flow.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    overload,
)

from elinvar.core import tree
from elinvar.core.errors import DTypeError, GradientError, ShapeError, fail
from elinvar.tensor.cell import state
from elinvar.tensor.dispatch import F
from elinvar.tensor.walk import Walk, like, rebuilt

P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")
Aux = TypeVar("Aux")
Pull = Callable[[Any], tuple[Any, ...]]


@overload
def value_and_grad(
    function: Callable[Concatenate[X, P], R],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
) -> Callable[Concatenate[X, P], tuple[R, X]]: ...
@overload
def value_and_grad(
    function: Callable[P, R], argnums: tuple[int, ...], has_aux: bool = False
) -> Callable[P, tuple[R, tuple[Any, ...]]]: ...
@overload
def value_and_grad(
    function: Callable[P, R], argnums: int = 0, has_aux: bool = False
) -> Callable[P, tuple[R, Any]]: ...
def value_and_grad(
    function: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives f(x) and its gradient.

    Args:
        function: gives one number (with `has_aux` a pair of it and anything).
        argnums: the positional arguments to differentiate by; they may be nested containers.
        has_aux: whether the function returns (value, aux).

    Returns:
        a function with the same arguments; it gives (value, gradient), or ((value, aux), gradient).
        With several `argnums` the gradient is a tuple.

    Example:
        >>> import elinvar as el
        >>> value, gradient = el.value_and_grad(lambda x: (x * x).sum())(el.asarray([1.0, 3.0]))
        >>> value.item(), gradient.tolist()
        (10.0, [2.0, 6.0])
    """
    if not callable(function):
        fail(DTypeError, "grad", f"expected a function, received {type(function).__name__}")
    several = isinstance(argnums, tuple)
    numbers: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        text = f"argnums must be an int or a tuple of ints, received {argnums!r:.60}"
        fail(DTypeError, "grad", text)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        walk = Walk("grad", has_aux)
        given = list(args)
        structures = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                text = f"argnums names argument {number}, but {len(args)} were passed"
                hint = "pass it by position, not by its name" if kwargs else None
                fail(GradientError, "grad", text, hint)
            structures.append(tree.flatten(args[number])[1])
            given[number] = walk.link(args[number], f"argument {number}")
        walk.run(function, given, kwargs)
        output = _one_number(walk)
        found = walk.cotangents([F.full(1, output)], keep=walk.leads_outside([output]))
        gradients = rebuilt(structures, found)
        value = walk.values()
        gradient = gradients if several else gradients[0]
        return ((value, walk.aux) if has_aux else value), gradient

    return wrapped


def _one_number(walk: Walk) -> Any:
    if len(walk.outputs) != 1 or walk.structure is not tree.LEAF:
        shown = tree.describe(walk.structure)
        text = f"the function must return one tensor, received {shown}"
        hint = "pass `has_aux=True` for (value, aux)"
        if shown == "None":
            hint = "is a `return` missing?"
        fail(GradientError, "grad", text, hint)
    output = walk.outputs[0]
    if output.ndim or output.dtype.kind != "f":
        text = f"the function must return one floating number, received {output._type}"
        hint = "reduce with `.sum()` or `.mean()`"
        if not output.ndim:
            hint = "take its `.real`" if output.dtype.kind == "c" else "integers have no derivative"
        fail(GradientError, "grad", text, hint)
    return output


@overload
def grad(
    function: Callable[Concatenate[X, P], Any],
    argnums: Literal[0] = 0,
    has_aux: Literal[False] = False,
) -> Callable[Concatenate[X, P], X]: ...
@overload
def grad(
    function: Callable[Concatenate[X, P], tuple[Any, Aux]],
    argnums: Literal[0] = 0,
    *,
    has_aux: Literal[True],
) -> Callable[Concatenate[X, P], tuple[X, Aux]]: ...
@overload
def grad(
    function: Callable[P, Any], argnums: tuple[int, ...], has_aux: Literal[False] = False
) -> Callable[P, tuple[Any, ...]]: ...
@overload
def grad(
    function: Callable[P, Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[P, Any]: ...
def grad(
    function: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of f; see `value_and_grad`.

    With `has_aux` it gives (gradient, aux).

    Example:
        >>> import elinvar as el
        >>> cube = lambda x: x * x * x
        >>> el.grad(cube)(el.asarray(2.0)).item(), el.grad(el.grad(cube))(el.asarray(2.0)).item()
        (12.0, 12.0)
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


@overload
def vjp(
    function: Callable[..., R], *primals: Any, has_aux: Literal[False] = False
) -> tuple[R, Pull]: ...
@overload
def vjp(
    function: Callable[..., tuple[R, Aux]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Pull, Aux]: ...
def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """f(primals), and the function that maps cotangents of the result to those of the primals.

    Returns:
        (result, pull_back), or (result, pull_back, aux). `pull_back(cotangent)` takes a container
        like the result and gives a tuple with one entry for each primal. It may be called often.

    Example:
        >>> import elinvar as el
        >>> y, pull_back = el.vjp(lambda x: x * x, el.asarray([1.0, 2.0]))
        >>> pull_back(el.asarray([1.0, 10.0]))[0].tolist()
        [2.0, 40.0]
    """
    walk = Walk("vjp", has_aux)
    structures = [tree.flatten(primal)[1] for primal in primals]
    given = [walk.link(primal, f"primal {n}") for n, primal in enumerate(primals)]
    walk.run(function, given, {})

    def pull_back(cotangent: Any) -> tuple[Any, ...]:
        walk.records_outside = state.grad_enabled
        leaves, structure = tree.flatten(cotangent)
        if structure != walk.structure:
            shown = f"expected {tree.describe(walk.structure)}, received {tree.describe(structure)}"
            text = f"the cotangent must have the structure of the result: {shown}"
            fail(ShapeError, "vjp", text)
        seeds = [
            like("vjp", "the cotangent", leaf, y)
            for leaf, y in zip(leaves, walk.outputs, strict=True)
        ]
        found = walk.cotangents(seeds, keep=True)
        return rebuilt(structures, found)

    result = walk.values()
    return (result, pull_back, walk.aux) if has_aux else (result, pull_back)
