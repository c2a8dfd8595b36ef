"""Lion: steps by the sign of an average."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, numbers, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import zeros
from elinvar.tensor.tensor import Tensor


@composite
def _update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    lr: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    weight_decay: Tensor,
    *,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    keep1, keep2, kept = 1.0 - beta1, 1.0 - beta2, 1.0 - lr * weight_decay
    p, g, m, lr, keep1, keep2, kept = wide(p, p, g, m, lr, keep1, keep2, kept)
    g = -g if maximize else g
    direction = (m + keep1 * (g - m)).sign()
    p = kept * p - lr * direction
    m = m + keep2 * (g - m)
    return p.astype(dtype), m.astype(dtype)


class Lion(Optimizer):
    """Lion (Chen et al., 2023).

    u ← sign(β₁ m + (1 - β₁) ∇)
    p ← p - lr · (u + weight_decay · p)
    m ← β₂ m + (1 - β₂) ∇

    All steps have the same size, so `lr` is 3 to 10 times smaller than Adam's.

    Args:
        params: tensors or groups.
        lr: the learning rate.
        betas: β₁ and β₂.
        weight_decay: see the formula.
        maximize: whether to climb instead of descend.

    Example:
        >>> import elinvar as el
        >>> w = el.nn.Parameter(el.asarray([1.0, -2.0]))
        >>> optimizer = el.optim.Lion([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.75, -1.75]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "betas": numbers(self, "betas", betas),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "weight_decay"):
            need_range("Lion", group, name)
        need_range("Lion", group, "betas", 0.0, 1.0)

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """m."""
        return {"exp_avg": zeros(parameter.shape, dtype=parameter.dtype)}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr, β₁, β₂, weight_decay."""
        return group.cell("lr"), *group.cell("betas"), group.cell("weight_decay")

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        maximize = group.option("maximize")
        value, m = _update(parameter, gradient, state["exp_avg"], *rates, maximize=maximize)
        return value, {"exp_avg": m}
