"""RMSprop and Adagrad: steps divided by the size of past gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import full, zeros
from elinvar.tensor.tensor import Tensor


@composite
def _rmsprop(
    p: Tensor,
    g: Tensor,
    v: Tensor,
    average: Tensor | None,
    buffer: Tensor | None,
    lr: Tensor,
    alpha: Tensor,
    eps: Tensor,
    weight_decay: Tensor,
    momentum: Tensor,
    *,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    keep = 1.0 - alpha  # in float64, then rounded once
    p, g, v, lr, alpha, keep = wide(p, p, g, v, lr, alpha, keep)
    eps, weight_decay, momentum = wide(p, eps, weight_decay, momentum)
    g = (-g if maximize else g) + weight_decay * p
    v = alpha * v + keep * (g * g)
    results, spread = [v], v
    if average is not None:
        average = average.astype(p.dtype)
        average = average + keep * (g - average)
        spread = v - average * average
        results.append(average)
    step = g / (spread.sqrt() + eps)
    if buffer is not None:
        step = momentum * buffer.astype(p.dtype) + step
        results.append(step)
    return tuple(result.astype(dtype) for result in (p - lr * step, *results))


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012).

    g ← ∇ + weight_decay · p
    v ← α v + (1 - α) g²
    a ← α a + (1 - α) g                  (centered; else a = 0)
    b ← momentum · b + g / (√(v - a²) + eps)
    p ← p - lr · b

    Args:
        params: tensors or groups.
        lr: the learning rate.
        alpha, eps, weight_decay, momentum: see the formula.
        centered: whether the mean gradient is taken off.
        maximize: whether to climb instead of descend.
    """

    switches: tuple[str, ...] = ("momentum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "momentum": number(self, "momentum", momentum),
            "alpha": number(self, "alpha", alpha),
            "eps": number(self, "eps", eps),
            "centered": centered,
            "weight_decay": number(self, "weight_decay", weight_decay),
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "momentum", "alpha", "eps", "weight_decay"):
            need_range("RMSprop", group, name)

    def _names(self, group: ParameterGroup) -> list[str]:
        names = ["square_avg"]
        if group.option("centered"):
            names.append("grad_avg")
        if group.is_on("momentum"):
            names.append("momentum_buffer")
        return names

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """v, a and b, as far as they are needed."""
        names = self._names(group)
        return {name: zeros(parameter.shape, dtype=parameter.dtype) for name in names}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr, alpha, eps, weight_decay, momentum."""
        return tuple(map(group.cell, ("lr", "alpha", "eps", "weight_decay", "momentum")))

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        names = self._names(group)
        value, *fresh = _rmsprop(
            parameter,
            gradient,
            state["square_avg"],
            state["grad_avg"] if "grad_avg" in names else None,
            state["momentum_buffer"] if "momentum_buffer" in names else None,
            *rates,
            maximize=group.option("maximize"),
        )
        return value, dict(zip(names, fresh, strict=True))


@composite
def _decayed(step: Tensor, lr: Tensor, lr_decay: Tensor) -> Tensor:
    """lr / (1 + (t - 1) · lr_decay)."""
    return lr / (1.0 + (step.astype(float64) - 1.0) * lr_decay)


@composite
def _adagrad(
    p: Tensor,
    g: Tensor,
    total: Tensor,
    lr: Tensor,
    eps: Tensor,
    weight_decay: Tensor,
    *,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    p, g, total, lr, eps, weight_decay = wide(p, p, g, total, lr, eps, weight_decay)
    g = (-g if maximize else g) + weight_decay * p
    total = total + g * g
    p = p - lr * (g / (total.sqrt() + eps))
    return p.astype(dtype), total.astype(dtype)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011).

    g ← ∇ + weight_decay · p
    s ← s + g²
    p ← p - lr/(1 + (t - 1) lr_decay) · g / (√s + eps)

    Args:
        params: tensors or groups.
        lr: the learning rate.
        lr_decay, weight_decay, eps: see the formula.
        initial_accumulator_value: the first s.
        maximize: whether to climb instead of descend.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "lr_decay": number(self, "lr_decay", lr_decay),
            "eps": number(self, "eps", eps),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "initial_accumulator_value": number(
                self, "initial_accumulator_value", initial_accumulator_value
            ),
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"):
            need_range("Adagrad", group, name)

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """s."""
        first = group["initial_accumulator_value"]
        return {"sum": full(parameter.shape, first, dtype=parameter.dtype)}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """The decayed lr, eps, weight_decay."""
        lr = _decayed(step, group.cell("lr"), group.cell("lr_decay"))
        return lr, group.cell("eps"), group.cell("weight_decay")

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        maximize = group.option("maximize")
        value, total = _adagrad(parameter, gradient, state["sum"], *rates, maximize=maximize)
        return value, {"sum": total}
