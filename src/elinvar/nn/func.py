"""`el.func`: the functions of `torch.func` by its names, arguments and results.

They are those of the top level; where PyTorch's signature is another one, it is PyTorch's here.

    vmap(f, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None)
    grad(f, argnums=0, has_aux=False)              grad_and_value: (gradient, value)
    jvp(f, primals, tangents, *, strict=False, has_aux=False)
    linearize(f, *primals)                         vjp(f, *primals, has_aux=False)
    jacrev(f, argnums=0, *, has_aux=False, chunk_size=None)
    jacfwd(f, argnums=0, has_aux=False, *, randomness="error")
    hessian(f, argnums=0)                          functionalize(f, *, remove="mutations")
    functional_call, stack_module_state            as at the top level
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.nn.stateless import functional_call, stack_module_state
from elinvar.tensor import tangents as forward
from elinvar.tensor import vmap as mapping
from elinvar.tensor.gradients import grad, value_and_grad, vjp
from elinvar.tensor.jacobians import hessian, jacfwd, jacrev
from elinvar.tensor.tangents import linearize
from elinvar.tensor.walk import need_function


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function of one example as a function of many; see `el.vmap`.

    Example:
        >>> import elinvar as el
        >>> el.func.vmap(el.dot, in_dims=(0, None))(el.ones((2, 3)), el.ones(3)).tolist()
        [3.0, 3.0]
    """
    return mapping.vmap(func, in_dims, out_dims, randomness=randomness, chunk_size=chunk_size)


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives (gradient, value), or (gradient, (value, aux)); see `value_and_grad`.

    Example:
        >>> import elinvar as el
        >>> gradient, value = el.func.grad_and_value(lambda x: x * x)(el.asarray(3.0))
        >>> gradient.item(), value.item()
        (6.0, 9.0)
    """
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return wrapped


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """f(primals), and its derivative in the direction of the tangents; see `el.jvp`.

    Args:
        func, primals, tangents, has_aux: as for `el.jvp`.
        strict: only False: results that do not depend on the primals have the tangent 0.

    Example:
        >>> import elinvar as el
        >>> y, t = el.func.jvp(lambda x: x * x, (el.asarray(3.0),), (el.asarray(1.0),))
        >>> t.item()
        6.0
    """
    if strict:
        text = "strict=True, which refuses results that do not depend on the primals, is not there"
        fail(ValueRangeError, "jvp", text, "such results have the tangent 0")
    if has_aux:
        return forward.jvp(func, primals, tangents, has_aux=True)
    return forward.jvp(func, primals, tangents)


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: no tensor has a view that aliases it, so nothing is to be removed.

    Args:
        func: any function.
        remove: "mutations" or "mutations_and_views"; both hold here for every function.

    Example:
        >>> import elinvar as el
        >>> def f(x):
        ...     y = x * 2
        ...     y += 1
        ...     return y
        >>> el.func.functionalize(f)(el.asarray(1.0)).item()
        3.0
    """
    need_function("functionalize", func)
    if remove not in ("mutations", "mutations_and_views"):
        text = f"remove must be 'mutations' or 'mutations_and_views', received {remove!r:.60}"
        fail(ValueRangeError, "functionalize", text)
    return func


__all__ = [
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]
