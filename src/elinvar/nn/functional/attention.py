"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from elinvar.core import dtypes
from elinvar.core.errors import ShapeError, ValueRangeError, fail
from elinvar.core.shapes import broadcast_shapes, size
from elinvar.nn.functional.misc import dropout
from elinvar.tensor.activations import wide_softmax
from elinvar.tensor.composite import composite
from elinvar.tensor.convert import cast
from elinvar.tensor.dispatch import F, as_tensor
from elinvar.tensor.elementwise import where
from elinvar.tensor.linear import matmul
from elinvar.tensor.reductions import max as amax

MOST_FEATURES = 1024  # of a head, for which the kernels keep blocks on the stack
_OP = "scaled_dot_product_attention"


def _wide(x: Any) -> Any:
    return cast(x, dtypes.accumulator(x.dtype))


@composite
def _weights(query: Any, key: Any, mask: Any, *, scale: float, causal: bool, offset: int) -> Any:
    """softmax(q·kᵀ·scale + mask), in f32 for 16-bit operands; 0 in rows that are all masked."""
    scores = matmul(_wide(query) * scale, _wide(key).mT)  # (*, T, S)
    if causal:
        length, source = scores.shape[-2], scores.shape[-1]
        row = F.iota(size=length, dtype=dtypes.int64).reshape((length, 1))
        column = F.iota(size=source, dtype=dtypes.int64).reshape((1, source))
        scores = where(column <= row + offset, scores, -math.inf)
    if mask is None and (not causal or offset >= 0):
        return wide_softmax(scores, scores.ndim - 1)
    if mask is None:
        pass  # rows before the first key see nothing
    elif mask.dtype.kind == "b":
        scores = where(mask, scores, -math.inf)
    else:
        scores = scores + _wide(mask)
    weights = wide_softmax(scores, scores.ndim - 1)
    blind = amax(F.stop_gradient(scores), axis=-1, keepdims=True) == -math.inf
    return where(blind, 0.0, weights)


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    offset: int = 0,
) -> Any:
    """softmax(q·kᵀ / √d + mask) · v (Vaswani et al., 2017).

    Neither this nor its gradient keeps the T×S weights in memory, except with dropout, with
    operands of different dtypes, with a gradient for `attn_mask` and with more than 1024 features
    in a head. A position that may attend to nothing gives 0, and what stands at a hidden key is
    never seen, even if it is NaN. A step with a cache of keys and values, whose queries begin at
    position `offset`, gives the bits of these positions in the whole sequence.

    Args:
        query: (*, heads, T, d); key: (*, heads, S, d); value: (*, heads, S, e).
        attn_mask: bool (True: may be attended to) or floating (added), broadcast to (*, T, S).
        dropout_p: the probability that a weight is dropped.
        is_causal: position t attends to positions up to t + offset.
        scale: the factor on q·kᵀ; None: 1 / √d.
        enable_gqa: key and value may have fewer heads, each shared by neighbouring query heads.
        offset: the position of the first query among the keys.

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
        scale = 1.0 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    mask = None if attn_mask is None else as_tensor(attn_mask)
    options: dict[str, Any] = {"scale": float(scale), "causal": bool(is_causal), "offset": offset}
    if enable_gqa:
        _check_heads(q, k, v)
    if not dropout_p and _is_plain(q, k, v):
        return _tiled(q, k, v, mask, enable_gqa, options)
    shape = (*q.shape[:-1], v.shape[-1])
    if enable_gqa:
        q, k, v, mask = _shared_heads(q, k, v, mask)
    weights = _weights(q, k, mask, **options)
    if dropout_p:
        weights = dropout(weights, dropout_p)
    found = cast(matmul(weights, _wide(v)), q.dtype)
    return found.reshape(shape) if enable_gqa else found


def _is_plain(q: Any, k: Any, v: Any) -> bool:
    """Whether the operands are what the kernel takes."""
    sizes = (q.shape[-1], v.shape[-1])
    fits = all(isinstance(size, int) and size <= MOST_FEATURES for size in sizes)
    return fits and q.dtype.kind == "f" and q.dtype is k.dtype is v.dtype


def _tiled(q: Any, k: Any, v: Any, mask: Any, grouped: bool, options: dict[str, Any]) -> Any:
    """The primitive, on operands of four dimensions."""
    if mask is not None:
        if mask.dtype.kind != "b" and mask.dtype not in (q.dtype, dtypes.accumulator(q.dtype)):
            mask = cast(mask, dtypes.accumulator(q.dtype))
        mask = mask.reshape((*(1,) * (2 - mask.ndim), *mask.shape))
    if _is_regular(q, k, v, mask, grouped):
        lead = q.shape[:2]
        if mask is not None:
            mask = mask.reshape((*(1,) * (4 - mask.ndim), *mask.shape))
    else:
        q, k, v, mask, lead = _regular(q, k, v, mask, grouped)
    found, _ = F.attention(*(x for x in (q, k, v, mask) if x is not None), **options)
    return found if found.ndim == len(lead) + 2 else found.reshape((*lead, *found.shape[-2:]))


def _is_regular(q: Any, k: Any, v: Any, mask: Any, grouped: bool) -> bool:
    """Whether all operands have four dimensions already and repeat nothing but the mask."""
    if any(x.ndim != 4 or x.shape[0] != q.shape[0] for x in (q, k, v)):
        return False
    if not grouped and not q.shape[1] == k.shape[1] == v.shape[1]:
        return False
    if mask is None:
        return True
    lead = zip(reversed(mask.shape[:-2]), reversed(q.shape[:-2]), strict=False)
    return mask.ndim <= 4 and all(dim in (1, whole) for dim, whole in lead)


def _regular(q: Any, k: Any, v: Any, mask: Any, grouped: bool) -> Any:
    """The operands with four dimensions, and the dimensions for which the two first ones stand."""
    cut = -3 if grouped else -2
    given = [x for x in (q, k, v, mask) if x is not None]
    lead = broadcast_shapes(_OP, *(x.shape[:cut] for x in given))
    lead = (*lead, q.shape[-3]) if grouped else lead
    outer, heads = lead[:-1], lead[-1] if lead else 1
    if mask is not None:
        mask = mask.reshape((*(1,) * (len(outer) + 3 - mask.ndim), *mask.shape))
        if any(dim != 1 for dim in mask.shape[:-3]):
            mask = _spread(mask, outer, mask.shape[-3])
        else:
            mask = mask.reshape((1, *mask.shape[-3:]))
    q, k, v = (_spread(x, outer, x.shape[-3] if grouped else heads) for x in (q, k, v))
    return q, k, v, mask, lead


def _spread(x: Any, lead: Any, heads: Any) -> Any:
    """x repeated to (*lead, heads, ·, ·), then with one dimension before the heads."""
    shape = (*lead, heads, *x.shape[-2:])
    x = x.reshape((*(1,) * (len(shape) - x.ndim), *x.shape))
    if tuple(x.shape) != shape:
        x = F.broadcast(x, shape=shape)
    return x.reshape((size(lead), *shape[-3:]))


def _check_heads(q: Any, k: Any, v: Any) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 3 or q.shape[-3] % k.shape[-3] or k.shape[-3] != v.shape[-3]:
        text = f"the heads (axis -3) of key {k._type} and value {v._type} must divide those of"
        fail(ValueRangeError, _OP, f"{text} query {q._type}")


def _shared_heads(q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, Any, Any, Any]:
    """Heads as (key heads, query heads for each), so that keys and values broadcast."""
    heads, each = k.shape[-3], q.shape[-3] // k.shape[-3]
    q = q.reshape((*q.shape[:-3], heads, each, *q.shape[-2:]))
    k, v = (x.reshape((*x.shape[:-2], 1, *x.shape[-2:])) for x in (k, v))
    if mask is not None and mask.ndim > 2:
        parts = (1, 1) if mask.shape[-3] == 1 else (heads, each)
        mask = mask.reshape((*mask.shape[:-3], *parts, *mask.shape[-2:]))
    return q, k, v, mask


__all__ = ["scaled_dot_product_attention"]
