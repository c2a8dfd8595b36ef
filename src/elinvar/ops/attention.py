"""Attention and its derivative: softmax(q·kᵀ·scale + mask)·v, whose kernels keep no T×S in memory.

The order of all sums is a part of the numerics contract; docs/numerics.md tells it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from elinvar.core.dtypes import accumulator
from elinvar.core.errors import DTypeError, ShapeError, ValueRangeError, fail
from elinvar.core.types import TensorType
from elinvar.ops import attention_dense as dense
from elinvar.ops.record import Decompose, Op, Sample, absent
from elinvar.ops.rules import (
    is_dim,
    narrowed,
    need_equal_dtypes,
    reshaped,
    round_to_bfloat16,
    widened,
)
from elinvar.ops.sampling import bad, booleans, floats

PARAMS = ("scale", "causal", "offset")


# ---- types --------------------------------------------------------------------------------------


def _check_operands(op: str, q: TensorType, k: TensorType, v: TensorType) -> None:
    need_equal_dtypes(op, q, k, v)
    if q.dtype.kind != "f":
        fail(DTypeError, op, f"expected a floating dtype, received {q}")
    if not q.rank == k.rank == v.rank == 4:
        text = "expected queries [B,H,T,D], keys [B,K,S,D] and values [B,K,S,E]"
        fail(ShapeError, op, f"{text}, received {q}, {k} and {v}")
    if q.shape[0] != k.shape[0] or q.shape[3] != k.shape[3]:
        fail(ShapeError, op, f"queries {q} and keys {k} must agree in dimensions 0 and 3")
    if k.shape[:3] != v.shape[:3]:
        fail(ShapeError, op, f"keys {k} and values {v} must agree in dimensions 0, 1 and 2")
    heads, shared = q.shape[1], k.shape[1]
    if heads == shared:
        return
    known = isinstance(heads, int) and isinstance(shared, int)
    if not known or shared == 0 or heads % shared:  # type: ignore[operator]
        text = f"the heads (dimension 1) of keys {k} must divide those of queries {q}"
        fail(ShapeError, op, f"{text}, {shared} and {heads}")


def _check_masks(op: str, q: TensorType, k: TensorType, masks: tuple[TensorType, ...]) -> None:
    if len(masks) > 1:
        fail(ValueRangeError, op, f"expected one mask at most, received {len(masks)}")
    shape = (*q.shape[:3], k.shape[2])
    for mask in masks:
        fits = mask.rank == 4 and all(a in (1, b) for a, b in zip(mask.shape, shape, strict=True))
        if not fits:
            text = f"the mask {mask} must have rank 4 and broadcast to [B,H,T,S]"
            fail(ShapeError, op, f"{text}, {TensorType(q.dtype, shape)}")
        if mask.dtype.kind != "b" and mask.dtype not in (q.dtype, accumulator(q.dtype)):
            fail(DTypeError, op, f"the mask must be bool or {q.dtype.name}, received {mask}")


def _check_params(op: str, scale: Any, causal: Any, offset: Any) -> None:
    if not isinstance(scale, float):
        fail(ValueRangeError, op, f"scale must be a float, received {scale!r}")
    if not isinstance(causal, bool):
        fail(ValueRangeError, op, f"causal must be a bool, received {causal!r}")
    if not is_dim(offset):
        fail(ValueRangeError, op, f"offset must be a whole number, received {offset!r}")


def _type(
    q: TensorType, k: TensorType, v: TensorType, *masks: TensorType,
    scale: float, causal: bool, offset: Any,
) -> tuple[TensorType, TensorType]:  # fmt: skip
    _check_operands("attention", q, k, v)
    _check_masks("attention", q, k, masks)
    _check_params("attention", scale, causal, offset)
    rows = q.shape[:3]
    return TensorType(q.dtype, (*rows, v.shape[3])), TensorType(accumulator(q.dtype), rows)


def _backward_type(
    q: TensorType, k: TensorType, v: TensorType, log_sum: TensorType, delta: TensorType,
    g: TensorType, *masks: TensorType, scale: float, causal: bool, offset: Any,
) -> tuple[TensorType, TensorType, TensorType]:  # fmt: skip
    op = "attention_backward"
    _check_operands(op, q, k, v)
    _check_masks(op, q, k, masks)
    _check_params(op, scale, causal, offset)
    rows = TensorType(accumulator(q.dtype), q.shape[:3])
    for name, found in (("log_sum", log_sum), ("delta", delta)):
        if found != rows:
            fail(ShapeError, op, f"{name} must be {rows}, received {found}")
    result = TensorType(q.dtype, (*q.shape[:3], v.shape[3]))
    if g != result:
        fail(ShapeError, op, f"the cotangent must be {result}, received {g}")
    return q, k, v


# ---- numpy --------------------------------------------------------------------------------------


class _Numpy:
    """Scores in a wider type, -inf where a key is hidden."""

    def __init__(self, q: Any, k: Any, masks: tuple[Any, ...], params: dict[str, Any]) -> None:
        self.each = q.shape[1] // k.shape[1] if k.shape[1] else 1
        self.q, self.k = widened(q), self.by_query(widened(k))
        with np.errstate(all="ignore"):
            self.scores = self.q @ np.swapaxes(self.k, 2, 3) * params["scale"]
        self.hidden = np.zeros(self.scores.shape, bool)
        rows, keys = self.scores.shape[2:]
        if params["causal"]:
            later = np.arange(keys)[None] > np.arange(rows)[:, None] + params["offset"]
            self.hidden |= later
        for mask in masks:
            if mask.dtype == bool:
                self.hidden |= ~mask
            else:
                self.hidden |= np.isneginf(mask)
                self.scores = self.scores + widened(mask)
        self.scores = np.where(self.hidden, -np.inf, self.scores)

    def by_query(self, x: Any) -> Any:
        """Keys' heads repeated for each head of queries."""
        return np.repeat(x, self.each, axis=1)

    def by_key(self, x: Any) -> Any:
        """The inverse: heads that share keys are added up."""
        shape = (x.shape[0], x.shape[1] // self.each, self.each, *x.shape[2:])
        return x.reshape(shape).sum(axis=2)

    def mixed(self, weights: Any, x: Any) -> Any:
        """weights · x, to which hidden keys give nothing, whatever x holds there."""
        terms = weights[..., None] * x[:, :, None]
        return np.where(self.hidden[..., None], 0, terms).sum(axis=3)

    def gathered(self, weights: Any, x: Any) -> Any:
        """weightsᵀ · x, likewise, for each head of keys."""
        terms = weights[..., None] * x[:, :, :, None]
        return self.by_key(np.where(self.hidden[..., None], 0, terms).sum(axis=2))


def _accumulator_of(x: Any) -> Any:
    return np.float32 if x.dtype == np.float16 else x.dtype


def _reference(q: Any, k: Any, v: Any, *masks: Any, **params: Any) -> Any:
    numbers = _Numpy(q, k, masks, params)
    with np.errstate(all="ignore"):
        top = np.max(numbers.scores, axis=3, initial=-np.inf)
        weights = np.exp(numbers.scores - np.where(np.isneginf(top), 0, top)[..., None])
        total = weights.sum(axis=3)
        mixed = numbers.mixed(weights, numbers.by_query(widened(v)))
        found = np.where(total[..., None] == 0, 0, mixed / total[..., None])
        logs = top + np.log(total)
    return narrowed(found, q.dtype), narrowed(logs, _accumulator_of(q))


def _backward_reference(
    q: Any, k: Any, v: Any, log_sum: Any, delta: Any, g: Any, *masks: Any, **params: Any
) -> Any:
    numbers = _Numpy(q, k, masks, params)
    g, values = widened(g), numbers.by_query(widened(v))
    with np.errstate(all="ignore"):
        shifted = numbers.scores - widened(log_sum)[..., None]
        weights = np.where(numbers.hidden, 0, np.exp(shifted))
        slopes = weights * (g @ np.swapaxes(values, 2, 3) - widened(delta)[..., None])
        slopes = slopes * params["scale"]
        dq = numbers.mixed(slopes, numbers.k)
        dk, dv = numbers.gathered(slopes, numbers.q), numbers.gathered(weights, g)
    return tuple(narrowed(x, q.dtype) for x in (dq, dk, dv))


# ---- derivatives --------------------------------------------------------------------------------


def _derivative(f: Any, operands: Any, results: Any, cotangents: Any, **params: Any) -> Any:
    """delta = Σ over e of g·result, less the cotangent of the log-sum-exp; then the kernel."""
    (q, k, v, *masks), (result, log_sum), (g, by_log) = operands, results, cotangents
    if g is None:
        g = f.zeros_like(result)
    delta = f.sum(f.multiply(dense.wide(f, g), dense.wide(f, result)), axes=(3,))
    if by_log is not None:
        delta = f.subtract(delta, by_log)
    found = f.attention_backward(q, k, v, log_sum, delta, g, *masks, **params)
    for mask in masks:
        rest = (q, k, v, log_sum, delta, g, mask)
        added = mask.dtype.kind == "f"
        found = (*found, dense.mask_gradient(f, *rest, **params) if added else None)
    return found


def _backward_derivative(
    f: Any, operands: Any, results: Any, cotangents: Any, **params: Any
) -> Any:
    return dense.dense_second(f, operands, cotangents, params)


def _batched(f: Any, size: Any, x: Any, mapped: bool, count: Any) -> Any:
    """x with the new batch dimension merged into its own, which is repeated to `count`."""
    shape = tuple(x.shape[1:] if mapped else x.shape)
    wanted = (size, count, *shape[1:])
    if not mapped:
        x = reshaped(f, x, (1, *shape))
    if tuple(x.shape) != wanted:
        x = f.broadcast(x, shape=wanted)
    return reshaped(f, x, (size * count, *shape[1:]))


def _batching(name: str) -> Any:
    def rule(f: Any, size: Any, operands: Any, mapped: Any, **params: Any) -> Any:
        count = operands[0].shape[1 if mapped[0] else 0]
        rows = [_batched(f, size, x, m, count) for x, m in zip(operands, mapped, strict=True)]
        found = getattr(f, name)(*rows, **params)
        return tuple(reshaped(f, x, (size, count, *x.shape[1:])) for x in found)

    return rule


# ---- samples ------------------------------------------------------------------------------------


def _params(scale: float = 0.5, causal: Any = False, offset: Any = 0) -> dict[str, Any]:
    return {"scale": scale, "causal": causal, "offset": offset}


def _operands(
    batch: int, heads: int, shared: int, rows: int, keys: int, depth: int, width: int,
    dtype: Any = np.float64,
) -> tuple[Any, Any, Any]:  # fmt: skip
    return (
        floats(batch, heads, rows, depth, dtype=dtype),
        floats(batch, shared, keys, depth, seed=1, dtype=dtype),
        floats(batch, shared, keys, width, seed=2, dtype=dtype),
    )


def _samples() -> list[Sample]:
    plain = _operands(2, 2, 2, 3, 4, 2, 3)
    grouped = _operands(1, 4, 2, 3, 5, 3, 2)
    added = floats(1, 2, 3, 4, seed=3)
    blind = added.copy()
    blind[0, 0, 1], blind[0, 1, :, 2] = -np.inf, -np.inf
    chosen, padding = booleans(2, 1, 3, 4), booleans(1, 1, 1, 4, seed=2)
    chosen[..., 1], padding[..., 0] = True, True  # else a row sees nothing, and l is -inf
    found = [
        Sample(plain, _params()),
        Sample(plain, _params(causal=True)),
        Sample(grouped, _params(causal=True, offset=2)),
        Sample((*plain, chosen), _params(0.3)),
        Sample((*plain, added), _params()),
        Sample((*plain, padding), _params(causal=True)),
        Sample((*grouped, floats(1, 1, 3, 5)), _params(causal=True, offset=1)),
        Sample(grouped, _params(causal=True, offset=-1), differentiable=False),
        Sample((*plain, blind), _params(), differentiable=False),
        Sample((*plain, booleans(2, 2, 3, 4, seed=4)), _params(), differentiable=False),
        Sample(_operands(1, 1, 1, 2, 0, 2, 2), _params(), differentiable=False),
        Sample(_operands(1, 2, 1, 0, 3, 2, 2), _params(), differentiable=False),
        Sample(_operands(1, 1, 1, 1, 1, 1, 1), _params(1.0)),
    ]
    for dtype in (np.float32, np.float16):
        wide = _operands(1, 2, 1, 9, 70, 16, 24, dtype)
        found.append(Sample(wide, _params(0.25, True, 61), differentiable=False))
    brains = tuple(round_to_bfloat16(x) for x in _operands(1, 2, 2, 3, 66, 5, 17, np.float32))
    return [*found, Sample(brains, _params(0.25), differentiable=False, bfloat16=True)]


def _backward_samples() -> list[Sample]:
    found = []
    for sample in _samples():
        q, k, v, *masks = sample.operands
        result, log_sum = _reference(q, k, v, *masks, **sample.params)
        g = floats(*result.shape, seed=5, dtype=q.dtype)
        g = round_to_bfloat16(g) if sample.bfloat16 else g
        delta = (widened(g) * widened(result)).sum(axis=3).astype(log_sum.dtype)
        if sample.bfloat16:
            continue  # log_sum and delta are no bfloat16 numbers
        rest = (log_sum, delta, g, *masks)
        found.append(Sample((q, k, v, *rest), sample.params, sample.differentiable))
    return found


def _bad_samples() -> list[Any]:
    q = "f32[2,4,3,8]"
    return [
        bad(f"{q} f32[2,4,5,8] f64[2,4,5,8]", "[attention] dtypes differ", **_params()),
        bad(f"{q} f32[2,4,5,7] f32[2,4,5,8]", "must agree in dimensions 0 and 3", **_params()),
        bad(f"{q} f32[2,4,5,8] f32[2,4,6,8]", "must agree in dimensions 0, 1 and 2", **_params()),
        bad(f"{q} f32[2,3,5,8] f32[2,3,5,8]", "must divide those of queries", **_params()),
        bad(f"{q} f32[4,5,8] f32[4,5,8]", "expected queries [B,H,T,D]", **_params()),
        bad("i64[1,1,1,1] i64[1,1,1,1] i64[1,1,1,1]", "expected a floating dtype", **_params()),
        bad(f"{q} f32[2,4,5,8] f32[2,4,5,8] bool[3,5]", "broadcast to [B,H,T,S]", **_params()),
        bad(f"{q} f32[2,4,5,8] f32[2,4,5,8] f64[1,1,3,5]", "must be bool or float32", **_params()),
        bad(
            f"{q} f32[2,4,5,8] f32[2,4,5,8] bool[1,1,1,1] bool[1,1,1,1]", "one mask at most",
            **_params(),
        ),
        bad(f"{q} f32[2,4,5,8] f32[2,4,5,8]", "scale must be a float", **_params(1)),
        bad(f"{q} f32[2,4,5,8] f32[2,4,5,8]", "causal must be a bool", **_params(causal=1)),
        bad(f"{q} f32[2,4,5,8] f32[2,4,5,8]", "offset must be a whole", **_params(offset=0.5)),
    ]  # fmt: skip


def _backward_bad_samples() -> list[Any]:
    q, k = "f32[2,4,3,8]", "f32[2,4,5,8]"
    return [
        bad(f"{q} {k} {k} f32[2,4,3] f32[2,4,1] {q}", "delta must be f32[2,4,3]", **_params()),
        bad(f"{q} {k} {k} f32[2,4] f32[2,4,3] {q}", "log_sum must be f32[2,4,3]", **_params()),
        bad(
            f"{q} {k} {k} f32[2,4,3] f32[2,4,3] {k}",
            "[attention_backward] the cotangent must be f32[2,4,3,8]", **_params(),
        ),
    ]  # fmt: skip


# ---- the records --------------------------------------------------------------------------------

ATTENTION = Op(
    name="attention",
    family="contract",
    doc="""Scaled dot-product attention, and the logarithm of each row's sum.

    y[b, h, t] = Σ over s of exp(z[t, s] - l[t]) · v[b, h', s], where z[t, s] = scale · Σ over d of
    q[b, h, t, d] k[b, h', s, d] + mask[b, h, t, s], l[t] = log Σ over s of exp(z[t, s]), and h' is
    the head of keys that head h shares: h // (H / K). A key is hidden, and gives nothing even if
    it is NaN, where the mask is False or -inf, or where s > t + offset with `causal`. Without any
    visible key y is 0 and l is -inf.

    Args:
        scale: the factor of the products.
        causal: whether later keys are hidden.
        offset: the place of query 0 among the keys, for `causal`.

    Shape:
        q [B, H, T, D], k [B, K, S, D], v [B, K, S, E] and, if there is one, a mask that is bool
        or is added, of rank 4 with sizes that are 1 or those of [B, H, T, S] → [B, H, T, E] and
        [B, H, T], the latter in float32 for 16-bit operands.

    Raises:
        ShapeError: the operands do not fit together.

    Example:
        >>> x = array([[[[1.0], [2.0]]]])
        >>> y, l = attention(x, x, x, scale=0.0, causal=True, offset=0)
        >>> y.tolist()
        [[[[1.0], [1.5]]]]
    """,
    type_rule=_type,
    reference=_reference,
    derivative=_derivative,
    batching=_batching("attention"),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Decompose(dense.dense_attention),
    samples=_samples,
    bad_samples=_bad_samples,
    params=PARAMS,
    results=2,
)

BACKWARD = Op(
    name="attention_backward",
    family="contract",
    doc="""The derivative of `attention` for its three first operands.

    With the weights p = exp(z - log_sum), which are computed again, and the scores' gradients
    w = p · (Σ over e of g v - delta):

        dq = scale · Σ over s of w k      dk = scale · Σ over t of w q      dv = Σ over t of p g

    where dk and dv are summed over the heads that share a key, too.

    Args:
        scale, causal, offset: as for `attention`.

    Shape:
        q, k, v, log_sum [B, H, T], delta [B, H, T], g [B, H, T, E] and the mask, if there is one →
        the shapes of q, k and v. For the gradient of y alone, delta = Σ over e of g·y; a cotangent
        of the logarithms is subtracted from it.

    Raises:
        ShapeError: the operands do not fit together.

    Example:
        >>> one, zero = array([[[[1.0]]]]), array([[[0.0]]])
        >>> dq, dk, dv = attention_backward(one, one, one, one[..., 0], zero, one,
        ...                                 scale=1.0, causal=False, offset=0)
        >>> dq.item(), dk.item(), dv.item()
        (1.0, 1.0, 1.0)
    """,
    type_rule=_backward_type,
    reference=_backward_reference,
    derivative=_backward_derivative,
    batching=_batching("attention_backward"),
    lowering=absent("the kernel generator knows it by name"),
    stablehlo=Decompose(dense.dense_backward),
    samples=_backward_samples,
    bad_samples=_backward_bad_samples,
    params=PARAMS,
    results=3,
)

OPS: tuple[Op, ...] = (ATTENTION, BACKWARD)
