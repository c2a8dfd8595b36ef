"""Functions of functions: grad, value_and_grad, vjp, jvp, custom_vjp.

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
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    TypeVarTuple,
    Unpack,
    overload,
)

from elinvar.core import tree
from elinvar.core.errors import DTypeError, GradientError, ShapeError, fail
from elinvar.tensor.backward import backward
from elinvar.tensor.cell import Cell, current_trace, detached, state
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.tape import Leaf, enable_grad, record_call

P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")
Xs = TypeVarTuple("Xs")
Aux = TypeVar("Aux")
Pull = Callable[[Any], tuple[Any, ...]]


def linked(x: Any) -> Any:
    """A fresh tensor equal to x, at which backward can stop; gradients pass on to x's own tape."""
    fresh = detached(x)
    if x._node is None or not state.grad_enabled:
        fresh._node, fresh._slot = Leaf(fresh), 0
    else:
        record_call("argument", _pass_on, [x], [fresh])
    return fresh


def _pass_on(operands: Any, results: Any, cotangents: Any) -> Any:
    return cotangents


class Walk:
    """Runs a function with some arguments replaced by fresh tensors, and differentiates it."""

    has_aux: bool
    name: str
    records_outside: bool

    def __init__(self, name: str, has_aux: bool) -> None:
        self.name, self.has_aux = name, has_aux
        self.records_outside = state.grad_enabled
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.structure: Any = None
        self.aux: Any = None

    def link(self, value: Any, what: str) -> Any:
        """Replace the tensors of a container by fresh ones."""
        leaves, structure = tree.flatten(value)
        with enable_grad():
            fresh = [linked(self._floating(leaf, what)) for leaf in leaves]
        self.inputs += fresh
        return tree.unflatten(structure, fresh)

    def _floating(self, leaf: Any, what: str) -> Any:
        x = as_tensor(leaf)
        if x.dtype.kind not in "fc":
            text = f"{what} must be floating to be differentiated, received {x._type}"
            fail(GradientError, self.name, text, "cast it with `.float()`, or change `argnums`")
        return x

    def run(self, function: Any, args: Any, kwargs: Any) -> None:
        """Call the function and keep its results."""
        with enable_grad():
            found = function(*args, **kwargs)
        if self.has_aux:
            if not isinstance(found, tuple) or len(found) != 2:
                fail(GradientError, self.name, "with has_aux the function must return (value, aux)")
            found, self.aux = found
            self.aux = tree.map_tree(self._kept, self.aux)
        leaves, self.structure = tree.flatten(found)
        self.outputs = [as_tensor(leaf) for leaf in leaves]

    def _kept(self, value: Any) -> Any:
        """A result as the caller gets it: with its tape only if that leads outside."""
        if not isinstance(value, Cell) or value._node is None or self.leads_outside([value]):
            return value
        return detached(value)

    def leads_outside(self, outputs: list[Any]) -> bool:
        """Whether the tape of `outputs` reaches leaves other than the fresh ones."""
        if not self.records_outside:
            return False
        own = {x._node for x in self.inputs if x._node.is_leaf}
        seen: set[Any] = set()
        stack = [y._node for y in outputs if y._node is not None]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.is_leaf:
                if node not in own:
                    return True
            else:
                stack += [held[4] for held in node.operands or () if held[4] is not None]
        return False

    def cotangents(self, seeds: list[Any], keep: bool) -> list[Any]:
        """The cotangents of the inputs; zeros where nothing flows."""
        pairs = [(y, s) for y, s in zip(self.outputs, seeds, strict=True) if y._node is not None]
        found: Any = [None] * len(self.inputs)
        if pairs:
            create = self.records_outside and (
                self.leads_outside([y for y, _ in pairs]) or any(s._node is not None for s in seeds)
            )
            outputs, starts = [y for y, _ in pairs], [s for _, s in pairs]
            found = backward(outputs, starts, keep or create, create, self.inputs)
        return [
            F.zeros_like(x) if gradient is None else gradient
            for x, gradient in zip(self.inputs, found, strict=True)
        ]

    def values(self) -> Any:
        """The results of the function."""
        return tree.unflatten(self.structure, [self._kept(y) for y in self.outputs])


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

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        walk = Walk("grad", has_aux)
        given = list(args)
        structures = []
        for number in numbers:
            if not -len(args) <= number < len(args):
                text = f"argnums names argument {number}, but {len(args)} were passed"
                fail(GradientError, "grad", text)
            structures.append(tree.flatten(args[number])[1])
            given[number] = walk.link(args[number], f"argument {number}")
        walk.run(function, given, kwargs)
        output = _one_number(walk)
        found = iter(walk.cotangents([F.full(1, output)], keep=walk.leads_outside([output])))
        gradients = [tree.unflatten(s, [next(found) for _ in range(_count(s))]) for s in structures]
        value = walk.values()
        gradient = tuple(gradients) if several else gradients[0]
        return ((value, walk.aux) if has_aux else value), gradient

    return wrapped


def _one_number(walk: Walk) -> Any:
    if len(walk.outputs) != 1 or walk.structure is not tree.LEAF:
        fail(GradientError, "grad", "the function must return one tensor", "pass `has_aux=True`")
    output = walk.outputs[0]
    if output.ndim or output.dtype.kind != "f":
        text = f"the function must return one floating number, received {output._type}"
        fail(GradientError, "grad", text, "reduce with `.sum()` or `.mean()`")
    return output


def _count(structure: Any) -> int:
    if structure is tree.LEAF or isinstance(structure, tree.Leaf):
        return 1
    return sum(_count(child) for child in structure.children)


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
            fail(ShapeError, "vjp", "the cotangent must have the structure of the result")
        seeds = [_like(as_tensor(leaf), y) for leaf, y in zip(leaves, walk.outputs, strict=True)]
        found = iter(walk.cotangents(seeds, keep=True))
        return tuple(tree.unflatten(s, [next(found) for _ in range(_count(s))]) for s in structures)

    result = walk.values()
    return (result, pull_back, walk.aux) if has_aux else (result, pull_back)


def _like(cotangent: Any, output: Any) -> Any:
    if cotangent.shape != output.shape:
        fail(ShapeError, "vjp", f"the cotangent of {output._type} cannot be {cotangent._type}")
    return cotangent if cotangent.dtype is output.dtype else F.cast(cotangent, dtype=output.dtype)


def jvp(
    function: Callable[..., R], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[R, R]:
    """f(primals), and its derivative in the direction of the tangents: J · t.

    The vector-Jacobian product v ↦ vᵀJ is linear in v, and its own transpose is t ↦ J · t.

    Example:
        >>> import elinvar as el
        >>> y, t = el.jvp(lambda x: x * x, (el.asarray([1.0, 2.0]),), (el.asarray([1.0, 10.0]),))
        >>> t.tolist()
        [2.0, 40.0]
    """
    with enable_grad():
        result, pull_back = vjp(function, *primals)
        leaves, structure = tree.flatten(result)
        seeds = [linked(F.zeros_like(leaf)) for leaf in leaves]
        rows = pull_back(tree.unflatten(structure, seeds))
        outputs = tree.flatten(rows)[0]
        starts = [as_tensor(leaf) for leaf in tree.flatten(tuple(tangents))[0]]
        if len(starts) != len(outputs):
            fail(ShapeError, "jvp", "the tangents must have the structure of the primals")
        pairs = [
            (y, _like(s, y)) for y, s in zip(outputs, starts, strict=True) if y._node is not None
        ]
        found: Any = [None] * len(seeds)
        if pairs:
            found = backward([y for y, _ in pairs], [s for _, s in pairs], True, True, seeds)
    pushed = [
        F.zeros_like(leaf) if tangent is None else tangent
        for leaf, tangent in zip(leaves, found, strict=True)
    ]
    if not state.grad_enabled or not any(as_tensor(x)._node for x in tree.flatten(primals)[0]):
        pushed = [detached(tangent) for tangent in pushed]
    return result, tree.unflatten(structure, pushed)


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
