"""Matrices of derivatives: jacrev, jacfwd, hessian, and their products with a vector.

The rows of a Jacobian are vector-Jacobian products of unit vectors, its columns Jacobian-vector
products; all of them are taken at once by vmap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from elinvar.core import tree
from elinvar.core.errors import DTypeError, GradientError, fail
from elinvar.core.shapes import size
from elinvar.tensor.creation import eye
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.gradients import grad, vjp
from elinvar.tensor.tangents import jvp
from elinvar.tensor.vmap import vmap
from elinvar.tensor.walk import need_function

Argnums = int | tuple[int, ...]


def _chosen(op: str, function: Any, argnums: Argnums, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The function of the chosen arguments alone, and these."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    for number in numbers:
        if not -len(args) <= number < len(args):
            text = f"argnums names argument {number}, but {len(args)} were passed"
            fail(GradientError, op, text)
    chosen = tuple(args[number] for number in numbers)
    for number, value in zip(numbers, chosen, strict=True):
        for leaf in tree.flatten(value)[0]:
            x = as_tensor(leaf)
            if x.dtype.kind != "f":
                text = f"argument {number} must be floating to be differentiated"
                fail(GradientError, op, f"{text}, received {x._type}", "cast it with `.float()`")

    @functools.wraps(function)
    def of_chosen(*values: Any) -> Any:
        given = list(args)
        for number, value in zip(numbers, values, strict=True):
            given[number] = value
        return function(*given, **kwargs)

    return of_chosen, chosen


def _units(leaves: list[Any]) -> list[Any]:
    """For each leaf the unit vectors of all leaves' elements: [total, …]."""
    counts: list[Any] = [size(leaf.shape) for leaf in leaves]
    total = sum(counts)
    found, first = [], 0
    for leaf, many in zip(leaves, counts, strict=True):
        rows = eye(total, many, k=-first, dtype=leaf.dtype)
        found.append(F.reshape(rows, shape=(total, *leaf.shape)))
        first += many
    return found


def _split(matrix: Any, leaves: list[Any], axis: int) -> list[Any]:
    """The parts of an axis that belong to the leaves, with the leaves' shapes in its place."""
    found, first = [], 0
    shape = matrix.shape
    for leaf in leaves:
        many: Any = size(leaf.shape)
        start = tuple(first if n == axis else 0 for n in range(len(shape)))
        part = tuple(many if n == axis else dim for n, dim in enumerate(shape))
        piece = F.slice(matrix, start=start, size=part, step=(1,) * len(shape))
        piece = F.reshape(piece, shape=(*shape[:axis], *leaf.shape, *shape[axis + 1 :]))
        found.append(piece)
        first += many
    return found


def _floating(op: str, leaves: list[Any]) -> None:
    for leaf in leaves:
        if leaf.dtype.kind != "f":
            text = f"the function must return floating tensors, received {leaf._type}"
            fail(GradientError, op, text, "return others as aux, with `has_aux=True`")


def jacrev(
    function: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of f, row by row: for f of few results.

    J[i…, j…] = ∂f(x)[i…] / ∂x[j…].

    Args:
        function: gives a tensor or a container of tensors (with `has_aux` a pair of it and
            anything).
        argnums: the positional arguments to differentiate by; they may be nested containers.
        has_aux: whether the function returns (value, aux).
        chunk_size: how many rows at most are taken at once; None: all. The bits are the same.

    Returns:
        a function with the same arguments that gives J, or (J, aux): the container of the result
        with, in place of each tensor y, the container of the argument (for several `argnums` a
        tuple of them) with, in place of each tensor x, one of the shape (*y.shape, *x.shape).

    Example:
        >>> import elinvar as el
        >>> el.jacrev(lambda x: x * x)(el.asarray([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    need_function("jacrev", function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        of_chosen, chosen = _chosen("jacrev", function, argnums, args, kwargs)
        value, pull_back, *aux = vjp(of_chosen, *chosen, has_aux=has_aux)  # type: ignore[call-overload]
        leaves, structure = tree.flatten(value)
        leaves = [as_tensor(leaf) for leaf in leaves]
        _floating("jacrev", leaves)
        units = _units(leaves)
        if not units:
            found = tree.unflatten(structure, [])
            return (found, aux[0]) if has_aux else found

        def row(seeds: Any) -> Any:
            return pull_back(tree.unflatten(structure, list(seeds)))

        rows = vmap(row, chunk_size=chunk_size)(tuple(units))
        columns, inner = tree.flatten(rows if isinstance(argnums, tuple) else rows[0])
        parts = [_split(column, leaves, 0) for column in columns]
        blocks = [tree.unflatten(inner, [part[n] for part in parts]) for n, _ in enumerate(leaves)]
        found = tree.unflatten(structure, blocks)
        return (found, aux[0]) if has_aux else found

    return wrapped


def jacfwd(
    function: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """A function that gives the Jacobian of f, column by column: for f of few arguments.

    Arguments and results are those of `jacrev`.

    Args:
        function, argnums, has_aux: as for `jacrev`.
        randomness: what random numbers are inside, as for `vmap`: f runs once for all columns, so
            "same" is what a derivative means.

    Example:
        >>> import elinvar as el
        >>> el.jacfwd(lambda x: el.stack([x, x * x]))(el.asarray(3.0)).tolist()
        [1.0, 6.0]
    """
    need_function("jacfwd", function)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        of_chosen, chosen = _chosen("jacfwd", function, argnums, args, kwargs)
        leaves, structure = tree.flatten(chosen)
        leaves = [as_tensor(leaf) for leaf in leaves]
        primals = tree.unflatten(structure, leaves)
        result: Any = None
        aux: Any = None

        def value_of(*values: Any) -> Any:
            found = of_chosen(*values)
            return found[0] if has_aux else found

        def push(tangents: Any) -> Any:
            nonlocal result, aux
            found, pushed = jvp(value_of, primals, tree.unflatten(structure, list(tangents)))
            outputs, result = tree.flatten(found)
            _floating("jacfwd", [as_tensor(y) for y in outputs])
            return tuple(tree.flatten(pushed)[0])

        if has_aux:
            aux = of_chosen(*primals)
            if not isinstance(aux, tuple) or len(aux) != 2:
                fail(GradientError, "jacfwd", "with has_aux the function must return (value, aux)")
        columns = vmap(push, out_axes=-1, randomness=randomness)((*_units(leaves),))
        inner = structure if isinstance(argnums, tuple) else structure.children[0]
        blocks = [
            tree.unflatten(inner, _split(column, leaves, column.ndim - 1)) for column in columns
        ]
        found = tree.unflatten(result, blocks)
        return (found, aux[1]) if has_aux else found

    return wrapped


def hessian(
    function: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the matrix of second derivatives: `jacfwd(jacrev(f))`.

    H[…, i…, j…] = ∂²f(x)[…] / ∂x[i…] ∂x[j…]; containers nest as in `jacrev`, twice.

    Example:
        >>> import elinvar as el
        >>> el.hessian(lambda x: x[0] * x[0] * x[1])(el.asarray([1.0, 2.0])).tolist()
        [[4.0, 2.0], [2.0, 0.0]]
    """
    return jacfwd(jacrev(function, argnums, has_aux), argnums, has_aux)


def hvp(function: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The product of the Hessian of f with the tangents: H · t. The Hessian itself is not made.

    Args:
        function: gives one number.
        primals, tangents: tuples with an entry for each argument.

    Returns:
        what has the structure of the primal; of several primals a tuple.

    Example:
        >>> import elinvar as el
        >>> x, t = el.asarray([1.0, 2.0]), el.asarray([1.0, 0.0])
        >>> el.hvp(lambda x: (x * x * x).sum(), (x,), (t,)).tolist()
        [6.0, 0.0]
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        text = "primals and tangents must be tuples, received"
        fail(DTypeError, "hvp", f"{text} {type(primals).__name__} and {type(tangents).__name__}")
    argnums: Any = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(function, argnums), primals, tangents)[1]


__all__ = ["hessian", "hvp", "jacfwd", "jacrev"]
