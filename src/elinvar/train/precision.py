"""Mixed precision in a Trainer: which type products have, and the scale of the loss for float16."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from elinvar.core.dtypes import DType, bfloat16, float16, float32, int64
from elinvar.core.errors import ValueRangeError, fail
from elinvar.core.other_names import nearest
from elinvar.tensor.creation import asarray
from elinvar.tensor.elementwise import where
from elinvar.tensor.manipulation import stack
from elinvar.tensor.reductions import all as every
from elinvar.tensor.tape import no_grad
from elinvar.tensor.tensor import Tensor
from elinvar.tensor.trace import outside_trace

_TYPES: dict[str, DType | None] = {"f32": None, "bf16": bfloat16, "f16": float16}
_ALSO = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "bf16-mixed": "bf16"}


def checked_precision(precision: str) -> str:
    """The name of a precision as we write it.

    Raises:
        ValueRangeError: there is no such precision.
    """
    found = _ALSO.get(precision, precision) if isinstance(precision, str) else str(precision)
    if found not in _TYPES:
        text = f"precision must be f32, bf16 or f16, received {precision!r}"
        fail(ValueRangeError, "Trainer", text, nearest(found, _TYPES))
    return found


def low_type(precision: str) -> DType | None:
    """The type of products; None for float32."""
    return _TYPES[precision]


class LossScale:
    """A factor on the loss that keeps gradients within float16's range, and finds itself.

    After a step whose gradients are not finite it is halved, and the step is left out; after
    `interval` good steps in a row it is doubled (Micikevicius et al., "Mixed precision training",
    2018).

    Args:
        first: the factor to begin with.
        interval: good steps until it is doubled.
    """

    def __init__(self, first: float = 2.0**16, interval: int = 2000) -> None:
        self.interval = interval
        with outside_trace():
            self.value: Tensor = asarray(first, dtype=float32)
            self._good: Tensor = asarray(0, dtype=int64)

    def unscale(self, parameters: Iterable[Tensor]) -> Tensor:
        """Divide all gradients by the factor, and say whether they are finite; set the factor for
        the next step."""
        checks = []
        with no_grad():
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad / self.value.astype(parameter.grad.dtype)
                    checks.append(every(parameter.grad.isfinite()))
            finite = every(stack(checks)) if checks else asarray(True)
            good = where(finite, self._good + 1, 0)
            grow = good >= self.interval
            factor = where(finite, where(grow, 2.0, 1.0), 0.5)
            self.value.assign((self.value * factor).clamp(1.0, 2.0**24))
            self._good.assign(where(grow, 0, good))
        return finite

    def state_dict(self) -> dict[str, Any]:
        """The factor, and the good steps since it last changed."""
        return {"value": self.value.detach(), "good": self._good.detach()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        with no_grad():
            self.value.assign(state_dict["value"])
            self._good.assign(state_dict["good"])
