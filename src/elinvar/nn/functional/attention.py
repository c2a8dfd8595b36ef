"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.nn.functional.misc import dropout
from elinvar.tensor.activations import wide_softmax
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.linear import matmul
from elinvar.tensor.reductions import max as amax

_OP = "scaled_dot_product_attention"


def _wide(x: Any) -> Any:
    return cast(x, dtypes.accumulator(x.dtype))


def _weights_of(query: Any, key: Any, mask: Any, scale: float, causal: bool) -> Any:
    """softmax(q·kᵀ·scale + mask), in f32 for 16-bit operands; 0 in rows that are all masked."""
    scores = matmul(_wide(query) * scale, _wide(key).mT)  # (*, T, S)
    if causal:
        length, source = scores.shape[-2], scores.shape[-1]
        row = F.iota(size=length, dtype=dtypes.int64).reshape((length, 1))
        column = F.iota(size=source, dtype=dtypes.int64).reshape((1, source))
        scores = where(column <= row, scores, -math.inf)
    if mask is None:
        return wide_softmax(scores, scores.ndim - 1)
    if mask.dtype.kind == "b":
        scores = where(mask, scores, -math.inf)
    else:
        scores = scores + _wide(mask)
    weights = wide_softmax(scores, scores.ndim - 1)
    blind = amax(F.stop_gradient(scores), axis=-1, keepdims=True) == -math.inf
    return where(blind, 0.0, weights)


@composite
def _weights(query: Any, key: Any, mask: Any, *, scale: float, causal: bool) -> Any:
    return _weights_of(query, key, mask, scale, causal)


@composite
def _attention(query: Any, key: Any, value: Any, mask: Any, *, scale: float, causal: bool) -> Any:
    weights = _weights_of(query, key, mask, scale, causal)
    return cast(matmul(weights, _wide(value)), query.dtype)


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

    A position that may attend to nothing gives 0.

    Args:
        query: (*, heads, T, d); key: (*, heads, S, d); value: (*, heads, S, e).
        attn_mask: bool (True: may be attended to) or floating (added), broadcast to (*, T, S).
        dropout_p: the probability that a weight is dropped.
        is_causal: position t attends to positions up to t.
        scale: the factor on q·kᵀ; None: 1 / √d.
        enable_gqa: key and value may have fewer heads, each shared by neighbouring query heads.

    Shape:
        (*, heads, T, e).

    Raises:
        ShapeError: the operands do not fit together.

    Example:
        >>> import elinvar as el
        >>> x = el.ones((1, 2, 3, 4))
        >>> el.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True).shape
        (1, 2, 3, 4)
    """
    q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1]:
        fail(ShapeError, _OP, f"query {q._type} and key {k._type} must agree in the last axis")
    if k.shape[-2] != v.shape[-2]:
        text = f"key {k._type} and value {v._type} must agree in the length (axis -2)"
        fail(ShapeError, _OP, text)
    if scale is None:
        if not isinstance(q.shape[-1], int):
            text = f"the last axis of query {q._type} must have a fixed size"
            fail(ShapeError, _OP, text, "or give `scale`")
        scale = 1.0 / math.sqrt(q.shape[-1])
    mask = None if attn_mask is None else as_tensor(attn_mask)
    shape = (*q.shape[:-1], v.shape[-1])
    if enable_gqa:
        q, k, v, mask = _shared_heads(q, k, v, mask)
    if dropout_p:
        weights = dropout(_weights(q, k, mask, scale=float(scale), causal=is_causal), dropout_p)
        found = cast(matmul(weights, _wide(v)), q.dtype)
    else:
        found = _attention(q, k, v, mask, scale=float(scale), causal=is_causal)
    return found.reshape(shape) if enable_gqa else found


def _shared_heads(q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Heads as (key heads, query heads for each), so that keys and values broadcast."""
    if min(q.ndim, k.ndim, v.ndim) < 3 or q.shape[-3] % k.shape[-3] or k.shape[-3] != v.shape[-3]:
        text = f"the heads (axis -3) of key {k._type} and value {v._type} must divide those of"
        fail(ValueRangeError, _OP, f"{text} query {q._type}")
    heads, each = k.shape[-3], q.shape[-3] // k.shape[-3]
    q = q.reshape((*q.shape[:-3], heads, each, *q.shape[-2:]))
    k, v = (x.reshape((*x.shape[:-2], 1, *x.shape[-2:])) for x in (k, v))
    if mask is not None and mask.ndim > 2:
        parts = (1, 1) if mask.shape[-3] == 1 else (heads, each)
        mask = mask.reshape((*mask.shape[:-3], *parts, *mask.shape[-2:]))
    return q, k, v, mask


__all__ = ["scaled_dot_product_attention"]
