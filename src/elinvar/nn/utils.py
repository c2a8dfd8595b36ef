"""Helpers on parameters: clipping gradients, one long vector."""

from __future__ import annotations

import math
from collections.abc import Iterable

from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from elinvar.nn.parameter import set_value
from elinvar.nn.stateless import functional_call
from elinvar.tensor.creation import zeros
from elinvar.tensor.manipulation import concat, stack
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Each parameter that has a gradient, with it."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    pairs = [(parameter, parameter.grad) for parameter in given]
    return [(parameter, gradient) for parameter, gradient in pairs if gradient is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The norm of all tensors as one long vector: (Σ |x|^p)^(1/p), or the greatest |x| for p = ∞.

    Example:
        >>> import elinvar as el
        >>> float(el.nn.utils.get_total_norm([el.asarray([3.0]), el.asarray([4.0])]))
        5.0
    """
    given = list(tensors)
    if not given:
        return zeros(())
    if norm_type == math.inf:
        return stack([tensor.abs().max() for tensor in given]).max()
    if not norm_type > 0:
        fail(ValueRangeError, "norm", f"norm_type must be greater than 0, received {norm_type}")
    if norm_type == 2.0:
        return stack([(tensor * tensor).sum() for tensor in given]).sum().sqrt()
    powers = [(tensor.abs() ** norm_type).sum() for tensor in given]
    return stack(powers).sum() ** (1.0 / norm_type)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)), so that their norm is limited.

    Args:
        parameters: those whose gradients count.
        max_norm: the limit.
        norm_type: p of the norm; `float("inf")` for the greatest absolute value.
        error_if_nonfinite: raise where the norm is NaN or infinite (not within a jit).

    Returns:
        The norm before clipping.

    Example:
        >>> import elinvar as el
        >>> w = el.nn.Parameter(el.asarray([3.0, 4.0]))
        >>> (w * w).sum().backward()
        >>> float(el.nn.utils.clip_grad_norm_([w], 1.0))
        10.0
    """
    if not isinstance(max_norm, Tensor) and not max_norm >= 0:
        text = f"max_norm must not be negative, received {max_norm}"
        fail(ValueRangeError, "clip_grad_norm_", text)
    found = _with_gradients(parameters)
    with no_grad():
        norm = get_total_norm([gradient for _, gradient in found], norm_type)
        if error_if_nonfinite and not bool(norm.isfinite()):
            text = f"the gradients' norm is {float(norm)}"
            hint = "look for divisions by zero, or pass error_if_nonfinite=False"
            fail(ValueRangeError, "clip_grad_norm_", text, hint)
        factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
        for parameter, gradient in found:
            parameter.grad = gradient * factor.astype(gradient.dtype)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each element of the gradients to -clip_value … clip_value."""
    with no_grad():
        for parameter, gradient in _with_gradients(parameters):
            parameter.grad = gradient.clamp(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters as one vector, in order.

    Example:
        >>> import elinvar as el
        >>> el.nn.utils.parameters_to_vector(el.nn.Linear(3, 2).parameters()).shape
        (8,)
    """
    return concat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters from one vector, in order."""
    cells = list(parameters)
    sizes = [math.prod(cell.shape) for cell in cells]
    if vec.ndim != 1 or vec.shape[0] != sum(sizes):
        text = f"the parameters have {sum(sizes)} elements, received {vec._type}"
        fail(ShapeError, "vector_to_parameters", text)
    start = 0
    for cell, size in zip(cells, sizes, strict=True):
        part = vec.detach()[start : start + size].reshape(cell.shape)
        set_value(cell, part.astype(cell.dtype))
        start += size


__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "functional_call",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]
