"""Muon: steps of matrices made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from elinvar.core.errors import ValueRangeError, fail
from elinvar.optim.adam import adam_rates, adam_state, adam_update
from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, numbers, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import zeros
from elinvar.tensor.elementwise import maximum
from elinvar.tensor.tensor import Tensor

COEFFICIENTS = (3.4445, -4.775, 2.0315)


def orthogonalize(
    g: Tensor,
    steps: int = 5,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: float = 1e-7,
) -> Tensor:
    """Bring all singular values of a matrix near 1, keeping its singular vectors.

    X = G/|G|, then `steps` times the Newton-Schulz iteration X ← a X + (b A + c A²) X, A = X Xᵀ.

    Args:
        g: (rows, columns).
        steps: number of iterations.
        coefficients: a, b, c.
        eps: the least norm that G is divided by.

    Example:
        >>> import elinvar as el
        >>> y = orthogonalize(el.asarray([[3.0, 0.0], [0.0, 2.0]]))
        >>> bool(((y.diagonal() > 0.6) & (y.diagonal() < 1.3)).all())
        True
    """
    if g.shape[0] > g.shape[1]:  # the smaller product
        return _iterated(g.transpose(0, 1), steps, coefficients, eps).transpose(0, 1)
    return _iterated(g, steps, coefficients, eps)


def _iterated(
    g: Tensor, steps: int, coefficients: tuple[float, float, float], eps: float
) -> Tensor:
    a, b, c = coefficients
    x = g / maximum((g * g).sum().sqrt(), eps)
    for _ in range(steps):
        gram = x @ x.transpose(0, 1)
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


@composite
def _update(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    lr: Tensor,
    momentum: Tensor,
    weight_decay: Tensor,
    *,
    scale: float,
    tall: bool,
    nesterov: bool,
    steps: int,
    coefficients: tuple[float, float, float],
    eps: float,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    keep, kept, rate = 1.0 - momentum, 1.0 - lr * weight_decay, lr * scale
    p, g, m, momentum, keep, kept, rate = wide(p, p, g, m, momentum, keep, kept, rate)
    m = m + keep * (g - m)
    direction = g + momentum * (m - g) if nesterov else m
    if tall:
        direction = _iterated(direction.transpose(0, 1), steps, coefficients, eps).transpose(0, 1)
    else:
        direction = _iterated(direction, steps, coefficients, eps)
    p = kept * p - rate * direction
    return p.astype(dtype), m.astype(dtype)


class Muon(Optimizer):
    """Muon (Jordan et al., 2024) for matrices; everything else is trained by AdamW.

    m ← momentum · m + (1 - momentum) ∇
    u ← (1 - momentum) ∇ + momentum · m    (nesterov; else u = m)
    p ← p - lr · weight_decay · p - lr · s · orthogonalize(u)

    s is √max(1, rows/columns), or 0.2 √max(rows, columns) with `adjust_lr_fn="match_rms_adamw"`,
    which lets Muon use AdamW's learning rates.

    A group goes to AdamW with `"use_muon": False`. Without that word parameters of two dimensions
    use Muon and the others AdamW. Embeddings and the last layer are matrices too, and are better
    put into a group with `"use_muon": False`. The iteration runs in float32 (in PyTorch it runs
    in bfloat16).

    Args:
        params: tensors or groups.
        lr: the learning rate of matrices.
        weight_decay, momentum, nesterov: see the formula.
        ns_coefficients, eps, ns_steps: of `orthogonalize`.
        adjust_lr_fn: `original` (or None) or `match_rms_adamw`: see s.
        adamw_lr, adamw_betas, adamw_eps: AdamW's options for everything else; weight_decay is
            shared.

    Example:
        >>> import elinvar as el
        >>> model = el.nn.Linear(4, 2)
        >>> optimizer = el.optim.Muon(model.parameters(), lr=0.02)
        >>> sorted(group["use_muon"] for group in optimizer.param_groups)
        [False, True]
    """

    coefficients: tuple[float, float, float]
    smallest_norm: float
    adamw_lr: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        adamw_lr: float = 3e-4,
        adamw_betas: tuple[float, float] = (0.9, 0.95),
        adamw_eps: float = 1e-8,
    ) -> None:
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            text = f"adjust_lr_fn must be 'original' or 'match_rms_adamw', not {adjust_lr_fn!r}"
            fail(ValueRangeError, "Muon", text)
        defaults = {
            "lr": number(self, "lr", lr),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "momentum": number(self, "momentum", momentum),
            "nesterov": nesterov,
            "adjust_lr_fn": adjust_lr_fn,
            "ns_steps": ns_steps,
            "betas": numbers(self, "adamw_betas", adamw_betas),
            "eps": number(self, "adamw_eps", adamw_eps),
            "amsgrad": False,
            "maximize": False,
        }
        a, b, c = ns_coefficients
        self.coefficients = (float(a), float(b), float(c))
        self.smallest_norm = float(eps)
        self.adamw_lr = float(adamw_lr)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group; one without `use_muon` is split into matrices and the rest."""
        if "use_muon" in param_group:
            rest = {} if param_group["use_muon"] else {"lr": self.adamw_lr}
            super().add_param_group({**rest, **param_group})
            return
        given = param_group.get("params", ())
        params = [given] if isinstance(given, Tensor) else list(given)
        for use_muon in (True, False):
            part = [p for p in params if (getattr(p, "ndim", 2) == 2) == use_muon]
            if part:
                options = {**param_group, "params": part, "use_muon": use_muon}
                if not use_muon:
                    options["lr"] = self.adamw_lr
                super().add_param_group(options)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range, and what is no matrix in a group for Muon."""
        for name in ("lr", "weight_decay", "momentum"):
            need_range("Muon", group, name)
        for parameter in group["params"] if group["use_muon"] else ():
            if parameter.ndim != 2:
                text = f"only matrices can use Muon, received {parameter._type}"
                fail(ValueRangeError, "Muon", text, 'set "use_muon": False for its group')

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """m, or AdamW's state."""
        if not group.option("use_muon"):
            return adam_state(parameter, group)
        return {"momentum_buffer": zeros(parameter.shape, dtype=parameter.dtype)}

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """lr, momentum, weight_decay, or AdamW's rates."""
        if not group.option("use_muon"):
            return adam_rates(step, group)
        return tuple(map(group.cell, ("lr", "momentum", "weight_decay")))

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        if not group.option("use_muon"):
            return adam_update(parameter, gradient, state, rates, group, decoupled=True)
        rows, columns = parameter.shape
        matched = group.option("adjust_lr_fn") == "match_rms_adamw"
        scale = math.sqrt(max(1.0, rows / max(1, columns)))
        value, m = _update(
            parameter,
            gradient,
            state["momentum_buffer"],
            *rates,
            scale=0.2 * math.sqrt(max(rows, columns)) if matched else scale,
            tall=rows > columns,
            nesterov=group.option("nesterov"),
            steps=group.option("ns_steps"),
            coefficients=self.coefficients,
            eps=self.smallest_norm,
        )
        return value, {"momentum_buffer": m}
