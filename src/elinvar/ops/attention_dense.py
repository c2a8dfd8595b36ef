"""Attention written with other primitives, the scores in memory: T·S of them.

For devices whose compilers have no attention, for sizes that the kernels do not take, for the
gradient of a mask and for second derivatives. Heads stand as (B, K, G, …): K heads of keys, each
shared by G heads of queries.
"""

from __future__ import annotations

from typing import Any

from elinvar.core.dtypes import accumulator, int64
from elinvar.core.shapes import DimLike, Shape
from elinvar.ops.rules import dim_value, expanded, filled, quotient, reshaped

INFINITY = float("inf")
_BATCH = ((0, 1), (0, 1))


def wide(f: Any, x: Any) -> Any:
    """x in the type in which sums are carried."""
    kind = accumulator(x.dtype)
    return x if x.dtype is kind else f.cast(x, dtype=kind)


def _narrow(f: Any, x: Any, like: Any) -> Any:
    return x if x.dtype is like.dtype else f.cast(x, dtype=like.dtype)


def by_key_heads(f: Any, x: Any, heads: DimLike) -> Any:
    """(B, H, …) as (B, K, G, …)."""
    shape = tuple(x.shape)
    each = quotient("attention", shape[1], heads) if heads != 0 else 0
    return reshaped(f, x, (shape[0], heads, each, *shape[2:]))


def merged_heads(f: Any, x: Any) -> Any:
    """(B, K, G, …) as (B, H, …)."""
    shape = tuple(x.shape)
    return reshaped(f, x, (shape[0], shape[1] * shape[2], *shape[3:]))


def _scores(f: Any, q: Any, k: Any) -> Any:
    """Σ over d of q[…, t, d] k[…, s, d]: (B, K, G, T, S)."""
    return f.contract(q, k, batch=_BATCH, axes=((4,), (3,)))


def _mixed(f: Any, weights: Any, v: Any) -> Any:
    """Σ over s of weights[…, t, s] v[…, s, e]: (B, K, G, T, E)."""
    return f.contract(weights, v, batch=_BATCH, axes=((4,), (2,)))


def _gathered(f: Any, weights: Any, x: Any) -> Any:
    """Σ over g and t of weights[…, g, t, s] x[…, g, t, e]: (B, K, S, E)."""
    return f.contract(weights, x, batch=_BATCH, axes=((2, 3), (2, 3)))


def _summed(f: Any, x: Any, shape: Shape) -> Any:
    """x summed over the axes along which `shape` has 1."""
    axes = tuple(n for n, dim in enumerate(shape) if dim == 1 and x.shape[n] != 1)
    return reshaped(f, f.sum(x, axes=axes), shape) if axes else x


class Dense:
    """Scores and what hides them, for operands in the type in which sums are carried."""

    f: Any
    params: Any
    heads: Any
    k: Any
    q: Any
    shape: tuple[Any, Any, Any, Any]
    scores: Any

    def __init__(self, f: Any, q: Any, k: Any, masks: tuple[Any, ...], params: Any) -> None:
        self.f, self.params = f, params
        self.heads = k.shape[1]
        self.q, self.k = by_key_heads(f, wide(f, q), self.heads), wide(f, k)
        self.shape = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])  # (B, H, T, S)
        scores = merged_heads(f, _scores(f, self.q, self.k))
        self.scores = f.multiply(scores, f.full(params["scale"], scores))
        self.hidden = self._later() if params["causal"] else None
        for mask in masks:
            self._add(mask)

    def _later(self) -> Any:
        """Where a key stands behind the query's own place."""
        f, line = self.f, self.shape[2:]
        keys = expanded(f, f.iota(size=line[1], dtype=int64), line, (0,))
        rows = expanded(f, f.iota(size=line[0], dtype=int64), line, (1,))
        rows = f.add(rows, filled(f, dim_value(f, self.params["offset"]), line))
        return expanded(f, f.less(rows, keys), self.shape, (0, 1))

    def _add(self, mask: Any) -> None:
        f = self.f
        if mask.dtype.kind == "b":
            hidden = f.bitwise_invert(mask)
        else:
            bias = _narrow(f, mask, self.scores)
            self.scores = f.add(self.scores, f.broadcast(bias, shape=self.shape))
            hidden = f.equal(bias, f.full(-INFINITY, bias))
        hidden = f.broadcast(hidden, shape=self.shape)
        self.hidden = hidden if self.hidden is None else f.bitwise_or(self.hidden, hidden)

    def visible(self, x: Any, value: float) -> Any:
        """x, with `value` where a key is hidden."""
        if self.hidden is None:
            return x
        return self.f.where(self.hidden, self.f.full(value, x), x)

    def along_keys(self, x: Any) -> Any:
        """A number for each query, repeated for each key."""
        return expanded(self.f, x, self.shape, (3,))

    def weights(self, log_sum: Any) -> Any:
        """exp(scores - log of their sum), 0 where hidden."""
        shifted = self.f.subtract(self.scores, self.along_keys(log_sum))
        return self.visible(self.f.exp(shifted), 0.0)


def dense_attention(f: Any, q: Any, k: Any, v: Any, *masks: Any, **params: Any) -> Any:
    """(result, log-sum-exp of each row's scores)."""
    rows, kind = tuple(q.shape[:3]), accumulator(q.dtype)
    if any(isinstance(dim, int) and dim == 0 for dim in (*rows, *v.shape[1:3])):
        nothing = filled(f, f.scalar(0.0, q.dtype), (*rows, v.shape[3]))
        return nothing, filled(f, f.scalar(-INFINITY, kind), rows)
    dense = Dense(f, q, k, masks, params)
    scores = dense.visible(dense.scores, -INFINITY)
    top = f.max(scores, axes=(3,))
    none = f.equal(top, f.full(-INFINITY, top))
    shift = f.where(none, f.zeros_like(top), top)
    weights = f.exp(f.subtract(scores, dense.along_keys(shift)))
    total = f.sum(weights, axes=(3,))
    mixed = _mixed(f, by_key_heads(f, weights, dense.heads), wide(f, v))
    mixed = merged_heads(f, mixed)  # (B, H, T, E)
    spread = expanded(f, total, tuple(mixed.shape), (3,))
    empty = f.equal(spread, f.zeros_like(spread))
    result = f.where(empty, f.zeros_like(mixed), f.divide(mixed, spread))
    return _narrow(f, result, q), f.add(top, f.log(total))


def dense_backward(
    f: Any, q: Any, k: Any, v: Any, log_sum: Any, delta: Any, g: Any, *masks: Any, **params: Any
) -> Any:
    """(dq, dk, dv)."""
    dense = Dense(f, q, k, masks, params)
    weights = dense.weights(log_sum)
    by_head = by_key_heads(f, wide(f, g), dense.heads)
    slopes = _slopes(f, dense, weights, by_head, wide(f, v), delta)
    scaled = by_key_heads(f, f.multiply(slopes, f.full(params["scale"], slopes)), dense.heads)
    dq = merged_heads(f, _mixed(f, scaled, dense.k))
    dk = _gathered(f, scaled, dense.q)
    dv = _gathered(f, by_key_heads(f, weights, dense.heads), by_head)
    return _narrow(f, dq, q), _narrow(f, dk, k), _narrow(f, dv, v)


def _slopes(f: Any, dense: Dense, weights: Any, g: Any, v: Any, delta: Any) -> Any:
    """The scores' gradients: weights · (g·v - delta), (B, H, T, S)."""
    gains = merged_heads(f, _scores(f, g, v))
    return f.multiply(weights, f.subtract(gains, dense.along_keys(delta)))


def mask_gradient(
    f: Any, q: Any, k: Any, v: Any, log_sum: Any, delta: Any, g: Any, mask: Any, **params: Any
) -> Any:
    """The gradient of a mask that is added."""
    dense = Dense(f, q, k, (mask,), params)
    by_head = by_key_heads(f, wide(f, g), dense.heads)
    slopes = _slopes(f, dense, dense.weights(log_sum), by_head, wide(f, v), delta)
    return _narrow(f, _summed(f, slopes, tuple(mask.shape)), mask)


def dense_second(f: Any, operands: Any, cotangents: Any, params: Any) -> tuple[Any, ...]:
    """The derivative of `dense_backward`: cotangents a, b, c of dq, dk, dv → those of operands.

    With P the weights, R = g·v - delta, S = P·R the scores' gradients and W = scale·(a·k + q·b):

        P̄ = g·c + W·R        scores: P̄·P        R: W·P
    """
    q, k, v, log_sum, delta, g, *masks = operands
    dense = Dense(f, q, k, tuple(masks), params)
    heads, scale = dense.heads, params["scale"]
    v_wide, g_heads = wide(f, v), by_key_heads(f, wide(f, g), heads)
    a, b, c = (
        wide(f, f.zeros_like(x) if given is None else given)
        for x, given in zip((q, k, v), cotangents, strict=True)
    )
    a = by_key_heads(f, a, heads)
    weights = dense.weights(log_sum)
    rest = f.subtract(merged_heads(f, _scores(f, g_heads, v_wide)), dense.along_keys(delta))
    slopes = f.multiply(weights, rest)
    both = f.add(_scores(f, a, dense.k), _scores(f, dense.q, b))
    both = f.multiply(merged_heads(f, both), f.full(scale, weights))  # W
    pulled = f.add(merged_heads(f, _scores(f, g_heads, c)), f.multiply(both, rest))
    by_scores = f.multiply(pulled, weights)
    by_rest = f.multiply(both, weights)

    def scaled(x: Any) -> Any:
        return by_key_heads(f, f.multiply(x, f.full(scale, x)), heads)

    s, z, r = scaled(slopes), scaled(by_scores), by_key_heads(f, by_rest, heads)
    dq = f.add(_mixed(f, s, b), _mixed(f, z, dense.k))
    dk = f.add(_gathered(f, s, a), _gathered(f, z, dense.q))
    dg = f.add(_mixed(f, by_key_heads(f, weights, heads), c), _mixed(f, r, v_wide))
    dv = _gathered(f, r, g_heads)
    found = [
        _narrow(f, merged_heads(f, dq), q), _narrow(f, dk, k), _narrow(f, dv, v),
        f.negative(f.sum(by_scores, axes=(3,))), f.negative(f.sum(by_rest, axes=(3,))),
        _narrow(f, merged_heads(f, dg), g),
    ]  # fmt: skip
    for mask in masks:
        added = mask.dtype.kind == "f"
        by_mask = _summed(f, by_scores, tuple(mask.shape)) if added else None
        found.append(None if by_mask is None else _narrow(f, by_mask, mask))
    return tuple(found)
