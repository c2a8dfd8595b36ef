"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import ShapeError, fail
from elinvar.nn.functional.activation import softmax
from elinvar.nn.functional.misc import dropout
from elinvar.tensor.composite import composite
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.linear import matmul
from elinvar.tensor.manipulation import repeat


@composite
def _scores(query: Any, key: Any, mask: Any, *, scale: float | None, causal: bool) -> Any:
    """softmax(q·kᵀ·scale + mask), masked places 0."""
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(query * scale, key.mT)
    length, source = scores.shape[-2], scores.shape[-1]
    if causal:
        row = F.iota(size=length, dtype=dtypes.int64).reshape((length, 1))
        column = F.iota(size=source, dtype=dtypes.int64).reshape((1, source))
        scores = where(column <= row, scores, -math.inf)
    if mask is not None:
        scores = where(mask, scores, -math.inf) if mask.dtype.kind == "b" else scores + mask
    return softmax(scores, dim=-1)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(q·kᵀ / √d + mask) · v (Vaswani et al., 2017).

    Args:
        query: (*, heads, T, d); key: (*, heads, S, d); value: (*, heads, S, e).
        attn_mask: bool (True: may be attended to) or floating (added), broadcast to (*, T, S).
        is_causal: position t attends to positions up to t.
        scale: the factor on q·kᵀ; None: 1 / √d.
        enable_gqa: key and value may have fewer heads, each shared by neighbouring query heads.

    Shape:
        (*, heads, T, e).
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1]:
        text = f"query {q._type} and key {k._type} must agree in the last axis"
        fail(ShapeError, "scaled_dot_product_attention", text)
    if k.shape[-2] != v.shape[-2]:
        text = f"key {k._type} and value {v._type} must agree in the length (axis -2)"
        fail(ShapeError, "scaled_dot_product_attention", text)
    if enable_gqa:
        k = repeat(k, q.shape[-3] // k.shape[-3], axis=k.ndim - 3)
        v = repeat(v, q.shape[-3] // v.shape[-3], axis=v.ndim - 3)
    mask = None if attn_mask is None else as_tensor(attn_mask)
    weights = _scores(q, k, mask, scale=scale, causal=is_causal)
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return matmul(weights, v)


__all__ = ["scaled_dot_product_attention"]
