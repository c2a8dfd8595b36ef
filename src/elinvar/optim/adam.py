"""Adam, AdamW and NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, numbers, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import ones, zeros
from elinvar.tensor.elementwise import maximum
from elinvar.tensor.tensor import Tensor


@composite
def _corrections(step: Tensor, lr: Tensor, beta1: Tensor, beta2: Tensor) -> tuple[Tensor, ...]:
    """lr/(1 - β₁ᵗ) and √(1 - β₂ᵗ)."""
    t = step.astype(float64)
    return lr / (1.0 - beta1**t), (1.0 - beta2**t).sqrt()


@composite
def _update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    greatest: Tensor | None,
    lr: Tensor,
    step_size: Tensor,
    root: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    eps: Tensor,
    weight_decay: Tensor,
    *,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    keep1, keep2 = 1.0 - beta1, 1.0 - beta2  # in float64, then rounded once
    decay = 1.0 - lr * weight_decay if decoupled else weight_decay
    p, g, m, v, step_size, root = wide(p, p, g, m, v, step_size, root)
    keep1, keep2, beta2, eps, decay = wide(p, keep1, keep2, beta2, eps, decay)
    g = -g if maximize else g
    if decoupled:
        p = decay * p
    else:
        g = g + decay * p
    m = m + keep1 * (g - m)
    v = beta2 * v + keep2 * (g * g)
    largest = v if greatest is None else maximum(greatest.astype(v.dtype), v)
    p = p - step_size * (m / (largest.sqrt() / root + eps))
    results = (p, m, v) if greatest is None else (p, m, v, largest)
    return tuple(result.astype(dtype) for result in results)


_NAMES = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


def adam_state(parameter: Tensor, group: ParameterGroup) -> State:
    """m and v; with amsgrad also the greatest v."""
    names = _NAMES if group.option("amsgrad") else _NAMES[:2]
    return {name: zeros(parameter.shape, dtype=parameter.dtype) for name in names}


def adam_rates(step: Tensor, group: ParameterGroup) -> Rates:
    """lr, step size, root of the second correction, β₁, β₂, eps, weight_decay."""
    lr, betas = group.cell("lr"), group.cell("betas")
    corrections = _corrections(step, lr, *betas)
    return lr, *corrections, *betas, group.cell("eps"), group.cell("weight_decay")


def adam_update(
    parameter: Tensor,
    gradient: Tensor,
    state: State,
    rates: Rates,
    group: ParameterGroup,
    decoupled: bool,
) -> tuple[Tensor, State]:
    """The step of Adam, or of AdamW (`decoupled`)."""
    value, *fresh = _update(
        parameter,
        gradient,
        state["exp_avg"],
        state["exp_avg_sq"],
        state.get("max_exp_avg_sq"),
        *rates,
        decoupled=decoupled,
        maximize=group.option("maximize"),
    )
    return value, dict(zip(_NAMES, fresh, strict=False))


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015).

    g ← ∇ + weight_decay · p
    m ← β₁ m + (1 - β₁) g
    v ← β₂ v + (1 - β₂) g²
    p ← p - lr · m/(1 - β₁ᵗ) / (√(v/(1 - β₂ᵗ)) + eps)    (amsgrad: the greatest v so far)

    Args:
        params: tensors or groups.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the denominator away from 0.
        weight_decay: see the formula.
        amsgrad: whether to divide by the greatest v so far (Reddi et al., 2018).
        maximize: whether to climb instead of descend.

    Example:
        >>> import elinvar as el
        >>> w = el.nn.Parameter(el.asarray([1.0]))
        >>> optimizer = el.optim.Adam([w], lr=0.25)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> round(w.item(), 4)
        0.75
    """

    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "betas": numbers(self, "betas", betas),
            "eps": number(self, "eps", eps),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "eps", "weight_decay"):
            need_range(type(self).__name__, group, name)
        need_range(type(self).__name__, group, "betas", 0.0, 1.0)

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """m and v; with amsgrad also the greatest v."""
        return adam_state(parameter, group)

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr and the bias corrections, and the other numbers."""
        return adam_rates(step, group)

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        return adam_update(parameter, gradient, state, rates, group, self.decoupled)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    p ← p - lr · weight_decay · p, then Adam's step with g = ∇. Arguments as `Adam`, but
    `weight_decay` is 0.01 unless told.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Linear(4, 2)
        >>> optimizer = el.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.1)
        >>> optimizer.param_groups[0]["weight_decay"]
        0.1
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


@composite
def _nadam_rates(
    step: Tensor, beta1: Tensor, beta2: Tensor, momentum_decay: Tensor
) -> tuple[Tensor, ...]:
    """μₜ, μₜ₊₁ and 1 - β₂ᵗ."""
    t = step.astype(float64)
    now = beta1 * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))
    later = beta1 * (1.0 - 0.5 * 0.96 ** ((t + 1.0) * momentum_decay))
    return now, later, 1.0 - beta2**t


@composite
def _nadam_update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    product: Tensor,
    lr: Tensor,
    now: Tensor,
    later: Tensor,
    correction: Tensor,
    beta1: Tensor,
    beta2: Tensor,
    eps: Tensor,
    weight_decay: Tensor,
    *,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    product = product * now
    from_gradient = lr * (1.0 - now) / (1.0 - product)
    from_average = lr * later / (1.0 - product * later)
    keep1, keep2 = 1.0 - beta1, 1.0 - beta2
    decay = 1.0 - lr * weight_decay if decoupled else weight_decay
    p, g, m, v, from_gradient, from_average = wide(p, p, g, m, v, from_gradient, from_average)
    keep1, keep2, beta2, eps, decay = wide(p, keep1, keep2, beta2, eps, decay)
    correction = correction.astype(p.dtype)
    g = -g if maximize else g
    if decoupled:
        p = decay * p
    else:
        g = g + decay * p
    m = m + keep1 * (g - m)
    v = beta2 * v + keep2 * (g * g)
    denominator = (v / correction).sqrt() + eps
    p = p - from_gradient * (g / denominator) - from_average * (m / denominator)
    return p.astype(dtype), m.astype(dtype), v.astype(dtype), product


class NAdam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2016).

    μₜ = β₁ (1 - ½ · 0.96^(t · momentum_decay)), m and v as in `Adam`,
    p ← p - lr · ((1 - μₜ) g / (1 - Πμ) + μₜ₊₁ m / (1 - Πμ · μₜ₊₁)) / (√(v/(1 - β₂ᵗ)) + eps)

    Args:
        params, lr, betas, eps, weight_decay, maximize: as `Adam`; `lr` is 0.002 unless told.
        momentum_decay: see the formula.
        decoupled_weight_decay: whether weight decay works as in `AdamW`.
    """

    names: tuple[str, ...] = ("exp_avg", "exp_avg_sq", "mu_product")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "betas": numbers(self, "betas", betas),
            "eps": number(self, "eps", eps),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "momentum_decay": number(self, "momentum_decay", momentum_decay),
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "eps", "weight_decay", "momentum_decay"):
            need_range("NAdam", group, name)
        need_range("NAdam", group, "betas", 0.0, 1.0)

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """m, v, and the product of all μ."""
        state = {name: zeros(parameter.shape, dtype=parameter.dtype) for name in self.names[:2]}
        return {**state, "mu_product": ones((), dtype=float64)}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr, μₜ, μₜ₊₁, the correction, β₁, β₂, eps, weight_decay."""
        beta1, beta2 = group.cell("betas")
        found = _nadam_rates(step, beta1, beta2, group.cell("momentum_decay"))
        return (
            group.cell("lr"),
            *found,
            beta1,
            beta2,
            group.cell("eps"),
            group.cell("weight_decay"),
        )

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        value, *fresh = _nadam_update(
            parameter,
            gradient,
            *(state[name] for name in self.names),
            *rates,
            decoupled=group.option("decoupled_weight_decay"),
            maximize=group.option("maximize"),
        )
        return value, dict(zip(self.names, fresh, strict=True))
