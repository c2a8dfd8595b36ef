"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import zeros
from elinvar.tensor.elementwise import where
from elinvar.tensor.tensor import Tensor


@composite
def _first_gain(step: Tensor, dampening: Tensor) -> Tensor:
    """1 at the first step, 1 - dampening later."""
    return where(step == 1, 1.0, 1.0 - dampening)


@composite
def _update(
    p: Tensor,
    g: Tensor,
    buffer: Tensor | None,
    lr: Tensor,
    weight_decay: Tensor,
    momentum: Tensor,
    gain: Tensor,
    *,
    nesterov: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    p, g, lr, weight_decay, momentum, gain = wide(p, p, g, lr, weight_decay, momentum, gain)
    g = (-g if maximize else g) + weight_decay * p
    if buffer is None:
        return ((p - lr * g).astype(dtype),)
    buffer = momentum * buffer.astype(p.dtype) + gain * g
    direction = g + momentum * buffer if nesterov else buffer
    return (p - lr * direction).astype(dtype), buffer.astype(dtype)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al., 2013).

    g ← ∇ + weight_decay · p
    b ← momentum · b + (1 - dampening) · g    (b = g at the first step)
    p ← p - lr · b                            (nesterov: p - lr · (g + momentum · b))

    Args:
        params: tensors or groups.
        lr: the learning rate.
        momentum, dampening, weight_decay: see the formula; without momentum b is g.
        nesterov: whether to look ahead.
        maximize: whether to climb instead of descend.

    Example:
        >>> import elinvar as el
        >>> w = el.nn.Parameter(el.asarray([1.0, 2.0]))
        >>> optimizer = el.optim.SGD([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.0, 0.0]
    """

    switches: tuple[str, ...] = ("momentum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "momentum": number(self, "momentum", momentum),
            "dampening": number(self, "dampening", dampening),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "momentum", "weight_decay"):
            need_range("SGD", group, name)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            fail(ValueRangeError, "SGD", "nesterov needs a momentum above 0 and no dampening")

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """b, if there is momentum."""
        if not group.is_on("momentum"):
            return {}
        return {"momentum_buffer": zeros(parameter.shape, dtype=parameter.dtype)}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr, weight_decay, momentum, and the gradient's factor."""
        gain = _first_gain(step, group.cell("dampening"))
        return group.cell("lr"), group.cell("weight_decay"), group.cell("momentum"), gain

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        buffer = state.get("momentum_buffer") if group.is_on("momentum") else None
        value, *fresh = _update(
            parameter,
            gradient,
            buffer,
            *rates,
            nesterov=group.option("nesterov"),
            maximize=group.option("maximize"),
        )
        return value, dict(zip(("momentum_buffer",), fresh, strict=False))
