"""eval_shape: what a function would return, without computing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core import tree
from elinvar.tensor.control import Region
from elinvar.tensor.jit import as_input
from elinvar.tensor.specs import TensorSpec
from elinvar.tensor.walk import need_function


def eval_shape(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The dtypes and shapes of `function(*args, **kwargs)`, of which nothing is computed.

    Args:
        function: of tensors, or containers of them; it is traced once.
        args, kwargs: tensors, or a `TensorSpec` in the place of each; numbers count as tensors
            without axes, and all else is passed on as it is.

    Returns:
        a container like the function's result, with a `TensorSpec` in the place of each tensor.

    Example:
        >>> import elinvar as el
        >>> weight = el.TensorSpec((4, 8))
        >>> el.eval_shape(lambda x, w: {"y": x @ w, "n": w.sum()}, el.ones((2, 4)), weight)
        {'y': TensorSpec('f32[2,8]'), 'n': TensorSpec('f32[]')}
    """
    need_function("eval_shape", function)
    leaves, structure = tree.flatten((args, kwargs))
    types = [leaf.type if isinstance(leaf, TensorSpec) else _type(leaf) for leaf in leaves]

    def call(*tensors: Any) -> Any:
        rest = iter(tensors)
        given = [leaf if t is None else next(rest) for leaf, t in zip(leaves, types, strict=True)]
        positional, named = tree.unflatten(structure, given)
        return function(*positional, **named)

    found = Region("eval_shape", call, [t for t in types if t is not None], lambda xs: xs)
    made = [TensorSpec(value.type.shape, value.type.dtype) for value in found.outputs]
    return tree.unflatten(found.structure, made)


def _type(leaf: Any) -> Any:
    tensor = as_input(leaf)
    return None if tensor is None else tensor._type
