"""Adafactor: second moments kept as a row and a column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from elinvar.core.dtypes import float64
from elinvar.optim.group import ParameterGroup
from elinvar.optim.optimizer import Optimizer, Rates, State, need_range, number, wide
from elinvar.tensor.composite import composite
from elinvar.tensor.creation import zeros
from elinvar.tensor.elementwise import maximum, minimum
from elinvar.tensor.tensor import Tensor

# The distance from 1 to the next number of each type.
EPSILON = {
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float32": 2.0**-23,
    "float64": 2.0**-52,
}


@composite
def _rates(
    step: Tensor, lr: Tensor, beta2_decay: Tensor, weight_decay: Tensor
) -> tuple[Tensor, ...]:
    """min(lr, 1/√t), t^beta2_decay and 1 - lr · weight_decay."""
    t = step.astype(float64)
    return minimum(lr, 1.0 / t.sqrt()), t**beta2_decay, 1.0 - lr * weight_decay


def _rms(x: Tensor) -> Tensor:
    return (x * x).mean().sqrt()


@composite
def _update(
    p: Tensor,
    g: Tensor,
    rows: Tensor,
    columns: Tensor | None,
    rho: Tensor,
    keep: Tensor,
    kept: Tensor,
    eps1: Tensor | float,
    eps2: Tensor | float,
    d: Tensor,
    *,
    maximize: bool,
) -> tuple[Tensor, ...]:
    dtype = p.dtype
    p, g, rho, keep, kept = wide(p, p, g, rho, keep, kept)
    eps1, eps2, d, rows = wide(p, eps1, eps2, d, rows)
    g = -g if maximize else g
    squares = g * g
    alpha = maximum(eps2, _rms(p)) * rho
    p = kept * p
    if columns is None:
        rows = rows + keep * (squares - rows)
        estimate, moments = rows, [rows]
    else:
        columns = columns.astype(p.dtype)
        rows = rows + keep * (squares.mean(-1, keepdim=True) - rows)  # (*, rows, 1)
        columns = columns + keep * (squares.mean(-2, keepdim=True) - columns)  # (*, 1, columns)
        estimate = rows * columns / maximum(rows.mean(-2, keepdim=True), eps1)
        moments = [rows, columns]
    step = g / maximum(estimate, eps1 * eps1).sqrt()
    p = p - alpha / maximum(_rms(step) / d, 1.0) * step
    return tuple(result.astype(dtype) for result in (p, *moments))


class Adafactor(Optimizer):
    """Adafactor (Shazeer and Stern, 2018): Adam's scale from two vectors instead of a matrix.

    ρ = min(lr, 1/√t), β = 1 - t^beta2_decay, α = max(eps₂, RMS(p)) · ρ
    r ← β r + (1 - β) mean of ∇² over columns, c ← β c + (1 - β) mean of ∇² over rows
    u = ∇ / √max(r c / max(mean(r), eps₁), eps₁²)
    p ← p - lr · weight_decay · p - α · u / max(1, RMS(u)/d)

    Parameters of fewer than two dimensions keep the whole second moment.

    Args:
        params: tensors or groups.
        lr: the greatest ρ.
        beta2_decay: see the formula.
        eps: eps₁ (None: the dtype's epsilon) and eps₂.
        d: limit of the step's root mean square.
        weight_decay: see the formula.
        maximize: whether to climb instead of descend.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": number(self, "lr", lr),
            "beta2_decay": number(self, "beta2_decay", beta2_decay),
            "eps": (None if eps[0] is None else float(eps[0]), float(eps[1])),
            "d": number(self, "d", d),
            "weight_decay": number(self, "weight_decay", weight_decay),
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check(self, group: ParameterGroup) -> None:
        """Refuse options out of range."""
        for name in ("lr", "weight_decay"):
            need_range("Adafactor", group, name)
        need_range("Adafactor", group, "d", 1.0)

    def initial_state(self, parameter: Tensor, group: ParameterGroup) -> State:
        """r and c, or the whole second moment."""
        shape, dtype = tuple(parameter.shape), parameter.dtype
        if len(shape) < 2:
            return {"variance": zeros(shape, dtype=dtype)}
        return {
            "row_var": zeros((*shape[:-1], 1), dtype=dtype),
            "col_var": zeros((*shape[:-2], 1, shape[-1]), dtype=dtype),
        }

    def rates(self, step: Tensor, group: ParameterGroup) -> Rates:
        """ρ, 1 - β, 1 - lr · weight_decay."""
        names = ("lr", "beta2_decay", "weight_decay")
        return _rates(step, *map(group.cell, names))

    def update(
        self, parameter: Tensor, gradient: Tensor, state: State, rates: Rates, group: ParameterGroup
    ) -> tuple[Tensor, State]:
        """See the formula of the class."""
        names = [name for name in state if name != "step"]
        held = [state[name] for name in names]
        columns = held[1] if len(held) == 2 else None
        rho, keep, kept = rates
        value, *fresh = _update(
            parameter,
            gradient,
            held[0],
            columns,
            rho,
            keep,
            kept,
            EPSILON[parameter.dtype.name] if group["eps"][0] is None else group["eps"][0],
            group["eps"][1],
            group.cell("d"),
            maximize=group.option("maximize"),
        )
        return value, dict(zip(names, fresh, strict=True))
