"""The loss of a Trainer: a name, a function, or a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.habits import habit
from elinvar.core.other_names import nearest
from elinvar.nn import functional
from elinvar.tensor.tensor import Tensor

Loss = Callable[[Any, Any], Tensor]


def _binary(output: Any, target: Any) -> Tensor:
    """Cross entropy of two classes from logits; classes may be integers, as metrics want them."""
    if isinstance(target, Tensor) and not target.dtype.is_floating:
        target = target.astype(output.dtype)
    return functional.binary_cross_entropy_with_logits(output, target)


NAMED: dict[str, Loss] = {
    "cross_entropy": functional.cross_entropy,
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": functional.huber_loss,
    "bce": _binary,
    "nll": functional.nll_loss,
}


def get(loss: Any) -> Loss:
    """The loss of a name, or the function (output, target) → number itself.

    Raises:
        ValueRangeError: there is no loss of this name; the error names the nearest.
    """
    if isinstance(loss, str):
        if loss not in NAMED:
            hint = habit("loss", loss, NAMED) or nearest(loss.lower(), NAMED)
            fail(ValueRangeError, "Trainer", f"there is no loss {loss!r}", hint)
        return NAMED[loss]
    if isinstance(loss, type) or not callable(loss):
        text = f"loss must be a name or a function (output, target) → number, received {loss!r:.60}"
        hint = f"write {loss.__name__}()" if isinstance(loss, type) else nearest("", NAMED)
        fail(DTypeError, "Trainer", text, hint)
    return loss


def checked(value: Any) -> Tensor:
    """What a loss gave, if it is one real number."""
    if not isinstance(value, Tensor):
        text = f"the loss must give a tensor, received {type(value).__name__}"
        fail(DTypeError, "Trainer", text)
    if value.ndim and value.shape != (1,):
        text = f"the loss must give one number, received {value._type}"
        fail(ShapeError, "Trainer", text, "take its mean, or pass reduction='mean'")
    return value.reshape(()) if value.ndim else value
